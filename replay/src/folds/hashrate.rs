//! Hashrate: accepted work by time, for a pot, an account or a worker. One fold for every page.
//!
//! From work, never from counts: a share is worth the difficulty its job was sent with. Hashrate says what rigs did, money
//! what is paid: a fresh share counts with its whole work, also if its job is void; a stale one not at all (`workers` shows
//! it). Moved shares that count are counted. A share stands at its gateway's time, clamped to the 24 hours before the
//! ledger time of its frame, so that a wrong clock moves it by a day at most.
//!
//! Shares are added up by the minute, one row for each hour and subject. Behind [`MINUTES_HOURS`] the minutes become one
//! figure for the hour, behind [`HOURS_KEPT`] hours become days (a worker's end there), behind [`DAYS_KEPT`] days end.

mod apply;

pub mod read;

use orebook_schema::bytes::{DecodeError, Decoded, Reader};
use orebook_schema::names::Pot;
use orebook_schema::units::{U256, WorkUnit};
use orebook_schema::{Account, WorkerName};

use crate::fold::{Backwards, FinalFrame, Fold, FoldStop};
use crate::folds::workers::registry::Rig;
use crate::rows::{Field, KeyField, Rows, StoreFault};
use crate::{canonical_of, row};

use self::apply::Sums;

pub use self::read::{Point, Step, hashrate, series, work_of};

/// Milliseconds of a minute, the smallest bucket.
pub const MINUTE_MS: u64 = 60_000;
/// Milliseconds of an hour.
pub const HOUR_MS: u64 = 60 * MINUTE_MS;
/// Milliseconds of a day.
pub const DAY_MS: u64 = 24 * HOUR_MS;
/// How far before ledger time a share may stand: one that says earlier stands there.
pub const SHARE_AGE_MS_MAX: u64 = DAY_MS;
/// Hours before the running one whose minutes are kept: a window of 24 hours, begun within an hour, and one to spare.
pub const MINUTES_HOURS: u64 = 26;
/// Hours that are kept one by one: eight days, so that a week's page has each of its hours.
pub const HOURS_KEPT: u64 = 8 * 24;
/// Days that are kept: a year and five weeks to compare with it.
pub const DAYS_KEPT: u64 = 400;

/// Whose work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// All workers of a pot.
    Pot(Pot),
    /// All workers of an account, over all pots.
    Account(Account),
    /// A worker: every machine of this name.
    Worker(Account, Pot, WorkerName),
}

impl KeyField for Who {
    fn put_key(&self, out: &mut Vec<u8>) {
        match self {
            Self::Pot(pot) => {
                out.push(0);
                pot.put_key(out);
            }
            Self::Account(account) => {
                out.push(1);
                account.put_key(out);
            }
            Self::Worker(account, pot, name) => {
                out.push(2);
                account.put_key(out);
                pot.put_key(out);
                name.put_key(out);
            }
        }
    }

    fn take_key(reader: &mut Reader<'_>) -> Decoded<Self> {
        match reader.u8()? {
            0 => KeyField::take_key(reader).map(Self::Pot),
            1 => KeyField::take_key(reader).map(Self::Account),
            2 => Ok(Self::Worker(
                KeyField::take_key(reader)?,
                KeyField::take_key(reader)?,
                KeyField::take_key(reader)?,
            )),
            _ => Err(DecodeError::Value("whose work")),
        }
    }
}

row! {
    /// What hashrates are computed with, and how far old rows were cleared.
    struct Ledger in table 1 {
        key {}
        value {
            /// Ledger time of position 0: nothing was mined before.
            started_ms: u64,
            /// Unit of the coin's work.
            unit: WorkUnit,
            /// No minutes of hours below this are left.
            minutes_from: u64,
            /// No hours below this are left.
            hours_from: u64,
            /// No days below this are left.
            days_from: u64,
        }
    }
}

row! {
    /// One hour's work by the minute.
    struct Minutes in table 2 {
        key {
            /// Hours since 1970.
            hour: u64,
            /// Whose.
            who: Who,
        }
        value {
            /// Minutes of the hour that have work, ascending, each with it.
            minutes: Vec<(u8, u128)>,
        }
    }
}

row! {
    /// One hour's work, of hours whose minutes were given up.
    struct Hours in table 3 {
        key {
            /// Hours since 1970.
            hour: u64,
            /// Whose.
            who: Who,
        }
        value {
            /// Its work.
            work: u128,
        }
    }
}

row! {
    /// One day's work, of hours that were given up.
    struct Days in table 4 {
        key {
            /// Days since 1970, UTC.
            day: u64,
            /// Whose: a pot's or an account's.
            who: Who,
        }
        value {
            /// Its work.
            work: u128,
        }
    }
}

impl Field for WorkUnit {
    fn encode<E: bincode::enc::Encoder>(
        &self,
        encoder: &mut E,
    ) -> Result<(), bincode::error::EncodeError> {
        Field::encode(&unit_byte(*self), encoder)
    }

    fn decode<D: bincode::de::Decoder>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        match <u8 as Field>::decode(decoder)? {
            0 => Ok(Self::Sha256d),
            1 => Ok(Self::Scrypt),
            2 => Ok(Self::Ethash),
            _ => Err(bincode::error::DecodeError::Other("work unit")),
        }
    }

    fn canonical(&self, out: &mut Vec<u8>) {
        out.push(unit_byte(*self));
    }
}

const fn unit_byte(unit: WorkUnit) -> u8 {
    match unit {
        WorkUnit::Sha256d => 0,
        WorkUnit::Scrypt => 1,
        WorkUnit::Ethash => 2,
    }
}

/// The fold.
#[derive(Clone, Debug, Default)]
pub struct Hashrate {
    /// Shares that no row has yet.
    kept: Sums,
}

/// The fold, with nothing kept: as if it had no memory.
#[allow(
    non_upper_case_globals,
    reason = "a fold is named like a unit struct, with or without a cache"
)]
pub const Hashrate: Hashrate = Hashrate { kept: Sums::new() };

impl Hashrate {
    /// Its name.
    pub const NAME: &'static str = "hashrate";
}

impl Fold for Hashrate {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply(
        &mut self,
        frame: &FinalFrame<'_>,
        rows: &mut dyn Rows,
        _ledger: &dyn Backwards,
    ) -> Result<(), FoldStop> {
        apply::apply(frame, rows, &mut self.kept)
    }

    fn forget(&mut self) {
        self.kept.forget();
    }

    fn flush(&mut self, rows: &mut dyn Rows) -> Result<(), StoreFault> {
        self.kept.flush(rows)
    }

    fn canonical(&self, table: u8, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreFault> {
        canonical_of!(table, key, value; Ledger, Minutes, Hours, Days, Rig)
    }
}

/// The time a share or block is shown at: its producer's, clamped to the 24 hours before the ledger time of its frame
/// (design 4). All in milliseconds since 1970.
#[must_use]
pub fn shown_time(producer_ms: u64, ledger_ms: u64) -> u64 {
    producer_ms.clamp(ledger_ms.saturating_sub(SHARE_AGE_MS_MAX), ledger_ms)
}

/// Hashes that work takes on average, rounded down: difficulty 1 is 2^48/65535 hashes of sha256d, 2^32/65535 of scrypt;
/// work of ethash counts hashes (money rules, section 1). Saturates.
#[must_use]
pub fn expected_hashes(work: u128, unit: WorkUnit) -> u128 {
    narrow(hashes_over(work, unit, 1))
}

/// Thousandths of hashes a second that did this work within a span, rounded down; 0 of no time. Saturates. A processor needs
/// seconds for a hash of scrypt², so whole ones would be none.
#[must_use]
pub fn milli_per_second(work: u128, unit: WorkUnit, span_ms: u64) -> u128 {
    if span_ms == 0 {
        return 0;
    }
    // One division, so that it rounds once.
    narrow(hashes_over(work.saturating_mul(1_000_000), unit, span_ms))
}

fn hashes_over(work: u128, unit: WorkUnit, parts: u64) -> U256 {
    let work = U256::from(work);
    let parts = U256::from(parts);
    let whole = U256::from(65_535u32);
    match unit {
        WorkUnit::Sha256d => (work << 16) / (whole * parts),
        WorkUnit::Scrypt => work / (whole * parts),
        WorkUnit::Ethash => work / parts,
    }
}

fn narrow(hashes: U256) -> u128 {
    u128::try_from(hashes).unwrap_or(u128::MAX)
}
