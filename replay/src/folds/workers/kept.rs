//! Machines that send shares in many frames between two commits: decoded, and written once.

use orebook_schema::StreamId;

use super::apply::{Heard, add_to_sums};
use super::silence::{PACE_SHARES, explained_ms};
use super::{Machine, Tally};
use crate::fold::FinalFrame;
use crate::folds::kept::{Epoch, Kept, Place};
use crate::rows::{self, Rows, StoreFault};

/// Most machines kept until the next commit; at more all are written at once.
const KEPT_MAX: usize = 32_768;

/// A machine that has a row and has sent shares; so has its worker.
#[derive(Clone, Debug)]
pub(super) struct KeptMachine {
    /// As it is now, but for its shares, which are as its row has them, and its last shares, which are in `recent`.
    pub(super) machine: Machine,
    /// Shares that its row, and its worker's, account's and pot's sums do not have yet.
    more: Tally,
    recent: Recent,
    /// Ledger time of the last frame that said something of it.
    now_ms: u64,
    /// Positions up to the end of that frame.
    heard: u64,
}

impl KeptMachine {
    /// Notes that a frame says something of it; whether that is the first thing it says.
    pub(super) const fn hear_of(&mut self, frame: &FinalFrame<'_>) -> bool {
        let size = frame.size();
        let is_first = self.heard != size;
        self.heard = size;
        self.now_ms = frame.ledger_time;
        is_first
    }

    pub(super) fn hear_share(&mut self, share: &Heard) {
        self.more.add_share(share);
        self.machine.hear_difficulty(share.units);
        self.recent.push((share.time, share.units));
    }

    /// Until when its silence is explained.
    pub(super) fn silent_ms(&self) -> u64 {
        let last_ms = self.machine.shares.last_ms.max(self.more.last_ms);
        last_ms.saturating_add(explained_ms(
            self.recent.as_slice(),
            self.machine.difficulty,
        ))
    }

    fn written(&mut self) -> &Machine {
        self.machine.shares.add(&self.more);
        self.machine.recent = self.recent.as_slice().to_vec();
        &self.machine
    }
}

/// A machine's last shares, oldest first: time, work.
#[derive(Clone, Copy, Debug)]
struct Recent {
    len: usize,
    shares: [(u64, u64); PACE_SHARES],
}

impl Recent {
    fn of(shares: &[(u64, u64)]) -> Self {
        let mut recent = Self {
            len: 0,
            shares: [(0, 0); PACE_SHARES],
        };
        shares.iter().for_each(|share| recent.push(*share));
        recent
    }

    fn push(&mut self, share: (u64, u64)) {
        if self.len == PACE_SHARES {
            self.shares.copy_within(1.., 0);
        } else {
            self.len += 1;
        }
        if let Some(newest) = self.shares.get_mut(self.len - 1) {
            *newest = share;
        }
    }

    fn as_slice(&self) -> &[(u64, u64)] {
        self.shares.get(..self.len).unwrap_or_default()
    }
}

/// Machines whose own rows and sums are behind. All other rows are always up to date.
#[derive(Clone, Debug, Default)]
pub(super) struct Machines(Kept<Box<KeptMachine>>);

impl Machines {
    pub(super) const fn new() -> Self {
        Self(Kept::new())
    }

    pub(super) fn forget(&mut self) {
        self.0.forget();
    }

    /// Fails if changes were lost.
    pub(super) fn still_whole(&self) -> Result<(), StoreFault> {
        self.0.still_whole()
    }

    /// Those of a (stream, epoch).
    pub(super) fn epoch(
        &mut self,
        (stream, epoch): (StreamId, u32),
    ) -> Epoch<'_, Box<KeptMachine>> {
        self.0.epoch(stream, epoch)
    }

    /// Keeps a machine whose row was just written.
    pub(super) fn keep(
        &mut self,
        rows: &mut dyn Rows,
        machine: Machine,
        frame: &FinalFrame<'_>,
    ) -> Result<(), StoreFault> {
        if KEPT_MAX <= self.0.len() {
            self.flush(rows)?;
        }
        let place = (machine.stream, machine.epoch, machine.number);
        let kept = KeptMachine {
            more: Tally::default(),
            recent: Recent::of(&machine.recent),
            now_ms: frame.ledger_time,
            heard: frame.size(),
            machine,
        };
        self.0.insert(place, Box::new(kept));
        Ok(())
    }

    /// Brings the rows of a machine up to date, and keeps it no more.
    pub(super) fn write_back(
        &mut self,
        rows: &mut dyn Rows,
        place: &Place,
    ) -> Result<(), StoreFault> {
        self.0
            .write_one(place, |kept| write(rows, &mut std::iter::once(kept)))
    }

    /// Brings all rows up to date.
    pub(super) fn flush(&mut self, rows: &mut dyn Rows) -> Result<(), StoreFault> {
        self.0.flush(|all| write(rows, all))
    }
}

fn write(
    rows: &mut dyn Rows,
    all: &mut dyn Iterator<Item = Box<KeptMachine>>,
) -> Result<(), StoreFault> {
    let mut written = Vec::new();
    let mut now_ms = 0;
    for mut kept in all {
        rows::put(rows, kept.written())?;
        now_ms = kept.now_ms.max(now_ms);
        written.push(kept);
    }
    let sums = written.iter().map(|kept| {
        let machine = &kept.machine;
        ((&machine.account, machine.pot, &machine.name), &kept.more)
    });
    add_to_sums(rows, sums, now_ms)
}
