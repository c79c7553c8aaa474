//! Inactive dust (section 3, kind 39): what the approvers say of small balances that nobody will claim.
//!
//! What it moves, when, and who keeps it, is the money rules' (docs/rules.md 7.3).

use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::desk::Reason;
use crate::names::Account;
use crate::units::At;

/// Most accounts of one announcement: 400 of the longest fit in an event.
pub const DUST_ACCOUNTS_MAX: usize = 400;
/// Ledger time from where an announcement takes effect to where dust is moved, milliseconds: 30 days.
pub const DUST_NOTICE_MS: u64 = 2_592_000_000;

/// Where dust goes. Never to a miner, and not to `rounding`, which is what splits left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DustBook {
    /// Of the pool's own money.
    Reserve = 1,
    /// Of what miners gave.
    Donation = 2,
    /// Of the pool's fees.
    Fee = 3,
}

impl DustBook {
    /// Every one, by number.
    pub const ALL: [Self; 3] = [Self::Reserve, Self::Donation, Self::Fee];

    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Donation => "donation",
            Self::Fee => "fee",
        }
    }

    /// Reads a shown name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|book| book.name() == text)
    }
}

/// Dust is announced to be moved: what kind 39 says. By compare and set on the ledger's one line of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InactiveDust {
    /// A position before its own: who was active above it keeps what he has.
    pub cutoff: u64,
    /// Where it goes.
    pub to: DustBook,
    /// Whose, at most [`DUST_ACCOUNTS_MAX`], strictly ascending; none: what was announced before is taken back.
    pub accounts: Vec<Account>,
    /// The ledger's last obeyed one.
    pub expects: At,
    /// Why.
    pub reason: Reason,
}

pub(crate) fn write_inactive_dust(said: &InactiveDust, out: &mut Vec<u8>) {
    out.put(&said.cutoff.to_le_bytes());
    out.push(said.to as u8);
    let count = u16::try_from(said.accounts.len()).unwrap_or(u16::MAX);
    out.put(&count.to_le_bytes());
    said.accounts.iter().for_each(|account| account.write(out));
    out.put_at(said.expects);
    out.put_bytes8(said.reason.as_str().as_bytes());
}

pub(crate) fn read_inactive_dust(reader: &mut Reader<'_>) -> Decoded<InactiveDust> {
    let cutoff = reader.u64()?;
    let to = reader.u8()?;
    let to = DustBook::ALL
        .into_iter()
        .find(|known| *known as u8 == to)
        .ok_or(DecodeError::Value("book of dust"))?;
    let count = reader.u16()?;
    if DUST_ACCOUNTS_MAX < usize::from(count) {
        return Err(DecodeError::Limit("accounts of dust"));
    }
    let accounts = (0..count)
        .map(|_| Account::from_reader(reader))
        .collect::<Decoded<Vec<_>>>()?;
    if !accounts.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Order("accounts of dust"));
    }
    Ok(InactiveDust {
        cutoff,
        to,
        accounts,
        expects: reader.at()?,
        reason: Reason::read(reader)?,
    })
}
