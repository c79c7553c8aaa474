//! What the desk says about accounts (section 3, kinds 11 and 12): operators' bans, and adjustments of balances.
//!
//! A ban takes nothing from anybody: what was earned stays and is paid. Networks are bytes here; a shell reads what a
//! person types, and this crate knows no sockets.

use std::fmt;

use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::names::Account;
use crate::units::{At, Hash};

/// Most targets that are banned at one time, so that what gateways hold of bans has a limit: a ban of one more is refused
/// until another is lifted. A ban that has run out by its time counts until it is lifted.
pub const BANS_MAX: usize = 16_384;
/// Largest amount of an adjustment, sub-units: 2^80 base units, as of a block's value.
pub const ADJUSTMENT_MAX: u128 = (1 << 80) * 1_000_000_000;
/// The first bytes of an IPv4 address in IPv6 clothes.
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// Why something was said: 1 to 200 printable ASCII characters, which miners and bookkeepers read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Reason(Box<str>);

impl Reason {
    /// Most bytes of a reason.
    pub const BYTES_MAX: usize = 200;

    /// Reads a reason; none if it is empty, too long, or has anything but the bytes 0x20 to 0x7e.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |byte: u8| (0x20..=0x7e).contains(&byte);
        (!text.is_empty() && text.len() <= Self::BYTES_MAX && text.bytes().all(legal))
            .then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Decoded<Self> {
        str::from_utf8(reader.bytes8(255)?)
            .ok()
            .and_then(Self::parse)
            .ok_or(DecodeError::Value("reason"))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An IP network: the first `prefix` bits of an address, the others zero. One spelling only: IPv4 is never written in IPv6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Network {
    address: Address,
    prefix: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Address {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Network {
    /// Shortest prefix of IPv4: a slip of the finger bans no more than one address of 256.
    pub const PREFIX_V4_MIN: u8 = 8;
    /// Shortest prefix of IPv6: shorter ones belong to registries, not to people.
    pub const PREFIX_V6_MIN: u8 = 16;

    /// Exactly this network: 4 or 16 bytes in network order, a prefix of 8 to 32 or of 16 to 128 bits, zero after it.
    #[must_use]
    pub fn new(address: &[u8], prefix: u8) -> Option<Self> {
        Self::covering(address, prefix).filter(|network| network.address() == address)
    }

    /// The network of this prefix that an address is in; an IPv4 address in IPv6 clothes becomes IPv4, its prefix less 96.
    #[must_use]
    pub fn covering(address: &[u8], prefix: u8) -> Option<Self> {
        let (address, prefix) = match Address::of(address)? {
            // A prefix that ends before the IPv4 part holds other addresses too.
            v4 @ Address::V4(_) if address.len() == 16 => (v4, prefix.checked_sub(96)?),
            other => (other, prefix),
        };
        let (least, most) = match address {
            Address::V4(_) => (Self::PREFIX_V4_MIN, 32),
            Address::V6(_) => (Self::PREFIX_V6_MIN, 128),
        };
        (least..=most).contains(&prefix).then(|| Self {
            address: address.cut(prefix),
            prefix,
        })
    }

    /// Its address: 4 or 16 bytes.
    #[must_use]
    pub const fn address(&self) -> &[u8] {
        match &self.address {
            Address::V4(bytes) => bytes,
            Address::V6(bytes) => bytes,
        }
    }

    /// Its prefix, bits.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether an address of 4 or 16 bytes is in it; an IPv4 address in IPv6 clothes is asked for as IPv4.
    #[must_use]
    pub fn contains(&self, address: &[u8]) -> bool {
        Address::of(address).is_some_and(|address| {
            address.len() == self.address.len() && address.cut(self.prefix) == self.address
        })
    }
}

impl Address {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes.strip_prefix(&MAPPED) {
            Some(inner) if bytes.len() == 16 => inner.try_into().ok().map(Self::V4),
            _ if bytes.len() == 4 => bytes.try_into().ok().map(Self::V4),
            _ => bytes.try_into().ok().map(Self::V6),
        }
    }

    const fn len(&self) -> usize {
        match self {
            Self::V4(_) => 4,
            Self::V6(_) => 16,
        }
    }

    /// The first `prefix` bits, the others zero.
    fn cut(self, prefix: u8) -> Self {
        let cut = |bytes: &mut [u8]| {
            for (byte, before) in bytes.iter_mut().zip((0u8..).step_by(8)) {
                let kept = prefix.saturating_sub(before).min(8);
                *byte &= u8::MAX.checked_shl(u32::from(8 - kept)).unwrap_or(0);
            }
        };
        let mut address = self;
        match &mut address {
            Self::V4(bytes) => cut(bytes),
            Self::V6(bytes) => cut(bytes),
        }
        address
    }
}

impl fmt::Display for Network {
    /// `10.0.0.0/8`, or all 32 hex digits of IPv6 in groups of four: the form of `orebook ledger cat`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::V4([a, b, c, d]) => write!(f, "{a}.{b}.{c}.{d}")?,
            Address::V6(bytes) => {
                for (number, group) in bytes.chunks(2).enumerate() {
                    let colon = if number == 0 { "" } else { ":" };
                    write!(f, "{colon}{}", crate::units::hex(group))?;
                }
            }
        }
        write!(f, "/{}", self.prefix)
    }
}

/// Whom a ban is about; the subject of its compare and set.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BanTarget {
    /// Everything of an account, wherever it connects from.
    Account(Account),
    /// Every connection from a network. Other networks, also those around it or inside of it, are other targets.
    Network(Network),
}

impl BanTarget {
    /// Canonical bytes (section 3).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(36);
        self.write(&mut out);
        out
    }

    /// Reads canonical bytes from the front of a reader.
    ///
    /// # Errors
    /// [`DecodeError`] if they are none.
    pub fn from_reader(reader: &mut Reader<'_>) -> Decoded<Self> {
        match reader.u8()? {
            1 => Account::from_reader(reader).map(Self::Account),
            2 => {
                let address = reader.bytes8(16)?;
                let network = Network::new(address, reader.u8()?);
                network
                    .map(Self::Network)
                    .ok_or(DecodeError::Value("network"))
            }
            _ => Err(DecodeError::Value("ban target")),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Account(account) => {
                out.push(1);
                account.write(out);
            }
            Self::Network(network) => {
                out.push(2);
                out.put_bytes8(network.address());
                out.push(network.prefix);
            }
        }
    }
}

impl fmt::Display for BanTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(account) => account.fmt(f),
            Self::Network(network) => write!(f, "network:{network}"),
        }
    }
}

/// Whether a ban comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum BanAction {
    /// Gateways refuse the target.
    Ban = 1,
    /// They do not any more.
    Lift = 2,
}

impl BanAction {
    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Lift => "lift",
        }
    }
}

/// An operator's ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Of whom.
    pub target: BanTarget,
    /// Ban, or lift.
    pub action: BanAction,
    /// When it ends, milliseconds since 1970; 0: not by itself. A lift has 0.
    pub until_ms: u64,
    /// The target's last obeyed ban or lift.
    pub expects: At,
    /// Why; the miner reads it.
    pub reason: Reason,
}

impl Ban {
    /// Whether it keeps its target out at a time, milliseconds since 1970.
    #[must_use]
    pub const fn holds_at(&self, now_ms: u64) -> bool {
        matches!(self.action, BanAction::Ban) && (self.until_ms == 0 || now_ms < self.until_ms)
    }
}

/// The book on the other side of an adjustment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum AdjustedBook {
    /// `reserve`.
    Reserve = 1,
    /// `donation`.
    Donation = 2,
    /// `fee`.
    Fee = 3,
    /// `rounding`.
    Rounding = 4,
}

impl AdjustedBook {
    /// Every one, by number.
    pub const ALL: [Self; 4] = [Self::Reserve, Self::Donation, Self::Fee, Self::Rounding];

    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Donation => "donation",
            Self::Fee => "fee",
            Self::Rounding => "rounding",
        }
    }

    /// Reads a shown name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|book| book.name() == text)
    }
}

/// Which way an adjustment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Direction {
    /// From the book to the account's `available`.
    ToAccount = 1,
    /// From the account's `available` to the book.
    FromAccount = 2,
}

impl Direction {
    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ToAccount => "to_account",
            Self::FromAccount => "from_account",
        }
    }
}

/// Money moved by hand between a book of the pool and an account's `available`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// Whose `available`.
    pub account: Account,
    /// The account's last obeyed adjustment.
    pub expects: At,
    /// The other book.
    pub book: AdjustedBook,
    /// Which way.
    pub direction: Direction,
    /// Sub-units, 1 to [`ADJUSTMENT_MAX`].
    pub amount: u128,
    /// The block that it explains, such as a recovered one whose finder it names. A remark: nothing is asked of the block.
    pub block: Option<Hash>,
    /// Why.
    pub reason: Reason,
}

pub(crate) fn write_ban(ban: &Ban, out: &mut Vec<u8>) {
    ban.target.write(out);
    out.push(ban.action as u8);
    out.put(&ban.until_ms.to_le_bytes());
    out.put_at(ban.expects);
    out.put_bytes8(ban.reason.as_str().as_bytes());
}

pub(crate) fn read_ban(reader: &mut Reader<'_>) -> Decoded<Ban> {
    let target = BanTarget::from_reader(reader)?;
    let action = match reader.u8()? {
        1 => BanAction::Ban,
        2 => BanAction::Lift,
        _ => return Err(DecodeError::Value("ban action")),
    };
    let until_ms = reader.u64()?;
    if action == BanAction::Lift && until_ms != 0 {
        return Err(DecodeError::Value("end of a lift"));
    }
    Ok(Ban {
        target,
        action,
        until_ms,
        expects: reader.at()?,
        reason: Reason::read(reader)?,
    })
}

pub(crate) fn write_adjustment(adjustment: &Adjustment, out: &mut Vec<u8>) {
    adjustment.account.write(out);
    out.put_at(adjustment.expects);
    out.put(&[adjustment.book as u8, adjustment.direction as u8]);
    out.put(&adjustment.amount.to_le_bytes());
    out.put(&adjustment.block.unwrap_or(Hash::ZERO).0);
    out.put_bytes8(adjustment.reason.as_str().as_bytes());
}

pub(crate) fn read_adjustment(reader: &mut Reader<'_>) -> Decoded<Adjustment> {
    let account = Account::from_reader(reader)?;
    let expects = reader.at()?;
    let book = reader.u8()?;
    let book = AdjustedBook::ALL
        .into_iter()
        .find(|known| *known as u8 == book)
        .ok_or(DecodeError::Value("adjusted book"))?;
    let direction = match reader.u8()? {
        1 => Direction::ToAccount,
        2 => Direction::FromAccount,
        _ => return Err(DecodeError::Value("direction")),
    };
    let amount = reader.u128()?;
    if !(1..=ADJUSTMENT_MAX).contains(&amount) {
        return Err(DecodeError::Limit("adjusted amount"));
    }
    let block = reader.hash()?;
    Ok(Adjustment {
        account,
        expects,
        book,
        direction,
        amount,
        block: (block != Hash::ZERO).then_some(block),
        reason: Reason::read(reader)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(groups: [u16; 8]) -> Vec<u8> {
        groups
            .iter()
            .flat_map(|group| group.to_be_bytes())
            .collect()
    }

    #[test]
    fn a_network_has_one_spelling() {
        let doc = v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]);
        let mapped = |c| v6([0, 0, 0, 0, 0, 0xffff, 0x0a01, c]);
        let table: [(&[u8], u8, Option<&str>); 16] = [
            (&[10, 0, 0, 0], 8, Some("10.0.0.0/8")),
            (&[10, 0, 0, 0], 7, None),
            (&[10, 1, 2, 3], 32, Some("10.1.2.3/32")),
            (&[10, 1, 2, 3], 33, None),
            (&[10, 1, 2, 3], 31, None),
            (&[10, 1, 2, 2], 31, Some("10.1.2.2/31")),
            (&[10, 1, 2, 128], 25, Some("10.1.2.128/25")),
            (&[10, 1, 2, 128], 24, None),
            (&[10, 1, 2], 24, None),
            (&[], 8, None),
            (&doc, 32, Some("2001:0db8:0000:0000:0000:0000:0000:0000/32")),
            (&doc, 16, None),
            (&doc, 129, None),
            (&doc[..15], 32, None),
            // IPv4 in IPv6 clothes.
            (&mapped(0), 112, None),
            (&mapped(1), 128, None),
        ];
        for (address, prefix, shown) in table {
            let network = Network::new(address, prefix);
            let text = network.map(|network| network.to_string());
            assert_eq!(text.as_deref(), shown, "{address:?}/{prefix}");
        }
        let covering = [
            (vec![10, 1, 2, 3], 24, Some("10.1.2.0/24")),
            (mapped(0x0203), 120, Some("10.1.2.0/24")),
            (mapped(0x0203), 128, Some("10.1.2.3/32")),
            // Wider than all of IPv4, and not IPv4 alone.
            (mapped(0x0203), 95, None),
            (
                v6([0x2001, 0xdb8, 7, 0, 0, 0, 0, 9]),
                48,
                Some("2001:0db8:0007:0000:0000:0000:0000:0000/48"),
            ),
        ];
        for (address, prefix, shown) in covering {
            let text = Network::covering(&address, prefix).map(|network| network.to_string());
            assert_eq!(text.as_deref(), shown, "{address:?}/{prefix}");
        }
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_like_it() {
        let net = |address: &[u8], prefix| Network::new(address, prefix).unwrap();
        let doc = net(&v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]), 33);
        let table = [
            (net(&[10, 1, 0, 0], 16), vec![10, 1, 255, 255], true),
            (net(&[10, 1, 0, 0], 16), vec![10, 2, 0, 0], false),
            (net(&[10, 1, 2, 128], 25), vec![10, 1, 2, 129], true),
            (net(&[10, 1, 2, 128], 25), vec![10, 1, 2, 127], false),
            (
                net(&[10, 1, 0, 0], 16),
                v6([0, 0, 0, 0, 0, 0xffff, 0x0a01, 0x0203]),
                true,
            ),
            // The same bits without the clothes are another address.
            (
                net(&[10, 1, 0, 0], 16),
                v6([0, 0, 0, 0, 0, 0, 0x0a01, 0x0203]),
                false,
            ),
            (doc, v6([0x2001, 0xdb8, 0x7fff, 1, 2, 3, 4, 5]), true),
            (doc, v6([0x2001, 0xdb8, 0x8000, 1, 2, 3, 4, 5]), false),
            (doc, vec![0x20, 1, 0x0d, 0xb8], false),
            (doc, vec![], false),
        ];
        for (network, address, is_in) in table {
            assert_eq!(network.contains(&address), is_in, "{network}, {address:?}");
        }
    }

    #[test]
    fn a_ban_holds_from_when_it_is_obeyed_until_its_end() {
        let ban = |action, until_ms| Ban {
            target: BanTarget::Account(Account::parse("name:anna").unwrap()),
            action,
            until_ms,
            expects: At::default(),
            reason: Reason::parse("botnet").unwrap(),
        };
        let table = [
            (ban(BanAction::Ban, 0), u64::MAX, true),
            (ban(BanAction::Ban, 10), 9, true),
            (ban(BanAction::Ban, 10), 10, false),
            (ban(BanAction::Lift, 0), 0, false),
        ];
        for (ban, now, holds) in table {
            assert_eq!(ban.holds_at(now), holds, "{ban:?} at {now}");
        }
    }
}
