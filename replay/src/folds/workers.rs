//! Workers: what each sent, and whether it is at work.
//!
//! A worker is an account's name in a pot; names repeat over many machines, and a machine is a number that a gateway
//! announced, so it lives in one (stream, epoch). A worker is active while one of its machines is: while the machine's own
//! difficulty explains its silence ([`silence`]). That is judged at every final frame by ledger time, so the counts of active
//! workers and machines are rows, exact as of the cursor.
//!
//! Shares are counted as they were accepted: fresh ones and stale ones apart, each with its work, whatever their job is
//! worth; a void job's shares are counted like others (and credited nothing, as `rounds` and `money` show). Moved shares
//! that count are counted. Times are the gateway's, clamped to the 24 hours before ledger time.
//!
//! A gateway that starts again announces its rigs anew: a worker's first share under a new epoch takes the place of one of
//! its machines of an epoch before, with what is known of its pace. A rig that connects again within an epoch is a new
//! machine, and the old one counts until its silence is no longer explained.

mod apply;

mod due;

mod kept;

pub mod read;

pub mod registry;

pub mod silence;

use orebook_schema::names::Pot;
use orebook_schema::{Account, StreamId, WorkerName};

use crate::fold::{Backwards, FinalFrame, Fold, FoldStop};
use crate::rows::{Field, Rows, StoreFault};
use crate::{canonical_of, row};

use self::apply::Heard;
use self::kept::Machines;
pub use self::read::{Page, account, machines, pot, worker, workers};
use self::registry::Rig;

/// A machine's row is dropped this long after its last share, once it is not active. Its shares stay in its worker's sums.
pub const MACHINE_KEPT_MS: u64 = 7 * 24 * 3_600_000;
/// A worker's row is dropped this long after its last share. Its shares stay in its account's sums.
pub const WORKER_KEPT_MS: u64 = 90 * 24 * 3_600_000;

/// Accepted shares and their work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    /// Fresh shares.
    pub accepted: u64,
    /// Their work.
    pub accepted_work: u128,
    /// Stale shares.
    pub stale: u64,
    /// Their work.
    pub stale_work: u128,
    /// Time of the first share, fresh or stale, milliseconds since 1970.
    pub first_ms: u64,
    /// Time of the last share, fresh or stale.
    pub last_ms: u64,
}

impl Tally {
    /// Adds later shares; one without shares changes nothing.
    fn add(&mut self, more: &Self) {
        if more.is_empty() {
            return;
        }
        self.first_ms = if self.is_empty() {
            more.first_ms
        } else {
            self.first_ms.min(more.first_ms)
        };
        self.last_ms = self.last_ms.max(more.last_ms);
        self.accepted = self.accepted.saturating_add(more.accepted);
        self.accepted_work = self.accepted_work.saturating_add(more.accepted_work);
        self.stale = self.stale.saturating_add(more.stale);
        self.stale_work = self.stale_work.saturating_add(more.stale_work);
    }

    /// Adds one share.
    fn add_share(&mut self, share: &Heard) {
        self.first_ms = if self.is_empty() {
            share.time
        } else {
            self.first_ms.min(share.time)
        };
        self.last_ms = self.last_ms.max(share.time);
        let (count, work) = if share.is_stale {
            (&mut self.stale, &mut self.stale_work)
        } else {
            (&mut self.accepted, &mut self.accepted_work)
        };
        *count = count.saturating_add(1);
        *work = work.saturating_add(u128::from(share.units));
    }

    /// Whether there is no share.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.accepted == 0 && self.stale == 0
    }
}

impl Field for Tally {
    fn encode<E: bincode::enc::Encoder>(
        &self,
        encoder: &mut E,
    ) -> Result<(), bincode::error::EncodeError> {
        Field::encode(&self.accepted, encoder)?;
        Field::encode(&self.accepted_work, encoder)?;
        Field::encode(&self.stale, encoder)?;
        Field::encode(&self.stale_work, encoder)?;
        Field::encode(&self.first_ms, encoder)?;
        Field::encode(&self.last_ms, encoder)
    }

    fn decode<D: bincode::de::Decoder>(
        decoder: &mut D,
    ) -> Result<Self, bincode::error::DecodeError> {
        Ok(Self {
            accepted: Field::decode(decoder)?,
            accepted_work: Field::decode(decoder)?,
            stale: Field::decode(decoder)?,
            stale_work: Field::decode(decoder)?,
            first_ms: Field::decode(decoder)?,
            last_ms: Field::decode(decoder)?,
        })
    }

    fn canonical(&self, out: &mut Vec<u8>) {
        self.accepted.canonical(out);
        self.accepted_work.canonical(out);
        self.stale.canonical(out);
        self.stale_work.canonical(out);
        self.first_ms.canonical(out);
        self.last_ms.canonical(out);
    }
}

row! {
    /// A machine: one announced number.
    pub struct Machine in table 2 {
        key {
            /// Who is paid.
            account: Account,
            /// Where its shares go.
            pot: Pot,
            /// Its name.
            name: WorkerName,
            /// Stream of its announcement.
            stream: StreamId,
            /// Epoch of its announcement.
            epoch: u32,
            /// Its number there.
            number: u32,
        }
        value {
            /// What it sent.
            shares: Tally,
            /// Work of a share at its difficulty now: as announced last; of its last share if that is not known any more.
            difficulty: u64,
            /// Whether the difficulty is the announced one.
            is_announced: bool,
            /// Its last shares, oldest first: time in milliseconds, work. At most [`silence::PACE_SHARES`].
            recent: Vec<(u64, u64)>,
            /// Its silence is explained up to and including this time.
            silent_ms: u64,
            /// Whether it is active.
            is_active: bool,
            /// When it is looked at again.
            due_ms: u64,
        }
    }
}

row! {
    /// A worker: an account's name in a pot.
    pub struct Worker in table 3 {
        key {
            /// Who is paid.
            account: Account,
            /// Where its shares go.
            pot: Pot,
            /// Its name.
            name: WorkerName,
        }
        value {
            /// What its machines sent.
            shares: Tally,
            /// Machines that are active.
            machines_active: u32,
        }
    }
}

row! {
    /// An account's workers together.
    pub struct AccountWorkers in table 4 {
        key {
            /// Who is paid.
            account: Account,
        }
        value {
            /// What they sent, for ever.
            shares: Tally,
            /// Workers that have a row.
            workers: u32,
            /// Workers that are active.
            workers_active: u32,
            /// Machines that are active.
            machines_active: u32,
        }
    }
}

row! {
    /// A pot's workers together.
    pub struct PotWorkers in table 5 {
        key {
            /// Which pot.
            pot: Pot,
        }
        value {
            /// What they sent, for ever.
            shares: Tally,
            /// Workers that are active.
            workers_active: u32,
            /// Machines that are active.
            machines_active: u32,
        }
    }
}

row! {
    /// When a machine is looked at again. One row a machine.
    struct MachineDue in table 6 {
        key {
            /// When.
            due_ms: u64,
            /// Its account.
            account: Account,
            /// Its pot.
            pot: Pot,
            /// Its name.
            name: WorkerName,
            /// Stream of its announcement.
            stream: StreamId,
            /// Epoch of its announcement.
            epoch: u32,
            /// Its number.
            number: u32,
        }
        value {}
    }
}

row! {
    /// When a worker is looked at again. One row a worker.
    struct WorkerDue in table 7 {
        key {
            /// When.
            due_ms: u64,
            /// Its account.
            account: Account,
            /// Its pot.
            pot: Pot,
            /// Its name.
            name: WorkerName,
        }
        value {}
    }
}

impl Machine {
    /// Takes its difficulty from a share, if it was not announced. Shares of the difficulty before may still come, so an
    /// announced one is not taken from shares.
    const fn hear_difficulty(&mut self, units: u64) {
        if !self.is_announced {
            self.difficulty = units;
        }
    }

    const fn announce(&mut self, units: u64) {
        self.difficulty = units;
        self.is_announced = true;
    }
}

impl Worker {
    /// Whether it is at work: one of its machines is.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        0 < self.machines_active
    }
}

/// The fold.
#[derive(Clone, Debug, Default)]
pub struct Workers {
    /// Machines whose rows are behind.
    kept: Machines,
}

/// The fold, with nothing kept: as if it had no memory.
#[allow(
    non_upper_case_globals,
    reason = "a fold is named like a unit struct, with or without a cache"
)]
pub const Workers: Workers = Workers {
    kept: Machines::new(),
};

impl Workers {
    /// Its name.
    pub const NAME: &'static str = "workers";
}

impl Fold for Workers {
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
        apply::apply(frame, rows, &mut self.kept)?;
        Ok(due::look_again(frame.ledger_time, rows, &mut self.kept)?)
    }

    fn forget(&mut self) {
        self.kept.forget();
    }

    fn flush(&mut self, rows: &mut dyn Rows) -> Result<(), StoreFault> {
        self.kept.flush(rows)
    }

    fn canonical(&self, table: u8, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreFault> {
        canonical_of!(
            table, key, value;
            Machine, Worker, AccountWorkers, PotWorkers, MachineDue, WorkerDue, Rig
        )
    }
}
