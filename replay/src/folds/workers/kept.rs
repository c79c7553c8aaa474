//! Machines that send shares in many frames: decoded, and written once a commit. They stay here after it, so that the next
//! share of a machine reads no row.

use orebook_schema::StreamId;

use super::apply::{Heard, Sent, add_to_sums};
use super::silence::{PACE_SHARES, explained_ms};
use super::{Machine, Tally};
use crate::fold::FinalFrame;
use crate::folds::kept::{Epoch, Kept, Place};
use crate::rows::{self, Rows, StoreFault};

/// Most machines kept, of about 600 bytes each; at more all are written at once, and none is kept.
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
    /// Whether its row may be behind: it is in [`Machines::behind`].
    is_behind: bool,
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

    /// Notes that its row is behind now; whether it was not before.
    pub(super) const fn fall_behind(&mut self) -> bool {
        !std::mem::replace(&mut self.is_behind, true)
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

    /// Who it is, and what its worker's, account's and pot's sums do not have yet.
    fn sent(&self) -> Sent<'_> {
        let machine = &self.machine;
        ((&machine.account, machine.pot, &machine.name), &self.more)
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

/// Machines whose own rows and sums may be behind. All other rows are always up to date.
#[derive(Clone, Debug, Default)]
pub(super) struct Machines {
    kept: Kept<Box<KeptMachine>>,
    /// Those that are behind, and some that were.
    behind: Vec<Place>,
}

impl Machines {
    pub(super) const fn new() -> Self {
        Self {
            kept: Kept::new(),
            behind: Vec::new(),
        }
    }

    pub(super) fn forget(&mut self) {
        if self.behind.is_empty() {
            self.kept.clear();
        } else {
            self.kept.forget();
        }
        self.behind.clear();
    }

    /// Fails if changes were lost.
    pub(super) fn still_whole(&self) -> Result<(), StoreFault> {
        self.kept.still_whole()
    }

    /// Those of a (stream, epoch), and the list of those that are behind: who changes one, notes it there.
    pub(super) fn epoch(
        &mut self,
        (stream, epoch): (StreamId, u32),
    ) -> (Epoch<'_, Box<KeptMachine>>, &mut Vec<Place>) {
        (self.kept.epoch(stream, epoch), &mut self.behind)
    }

    /// Keeps a machine whose row was just written.
    pub(super) fn keep(
        &mut self,
        rows: &mut dyn Rows,
        machine: Machine,
        frame: &FinalFrame<'_>,
    ) -> Result<(), StoreFault> {
        if KEPT_MAX <= self.kept.len() {
            self.let_go(rows)?;
        }
        let place = (machine.stream, machine.epoch, machine.number);
        let kept = KeptMachine {
            more: Tally::default(),
            recent: Recent::of(&machine.recent),
            now_ms: frame.ledger_time,
            heard: frame.size(),
            is_behind: false,
            machine,
        };
        self.kept.insert(place, Box::new(kept));
        Ok(())
    }

    /// Brings the rows of a machine up to date, and keeps it no more.
    pub(super) fn write_back(
        &mut self,
        rows: &mut dyn Rows,
        place: &Place,
    ) -> Result<(), StoreFault> {
        self.kept.write_one(place, |mut kept| {
            if !kept.is_behind {
                return Ok(());
            }
            rows::put(rows, kept.written())?;
            add_to_sums(rows, std::iter::once(kept.sent()), kept.now_ms)
        })
    }

    /// Brings all rows up to date; what is kept stays.
    pub(super) fn flush(&mut self, rows: &mut dyn Rows) -> Result<(), StoreFault> {
        let mut behind = std::mem::take(&mut self.behind);
        self.kept.write_kept(|all| {
            // One that was written back alone and kept again is listed twice.
            behind.retain(|place| {
                let kept = all.get_mut(place);
                kept.is_some_and(|kept| std::mem::take(&mut kept.is_behind))
            });
            let mut now_ms = 0;
            for place in &behind {
                if let Some(kept) = all.get_mut(place) {
                    rows::put(rows, kept.written())?;
                    now_ms = kept.now_ms.max(now_ms);
                }
            }
            let sent = behind.iter().filter_map(|place| all.get(place));
            add_to_sums(rows, sent.map(|kept| kept.sent()), now_ms)?;
            for place in &behind {
                if let Some(kept) = all.get_mut(place) {
                    kept.more = Tally::default();
                }
            }
            Ok(())
        })
    }

    /// Brings all rows up to date, and keeps none.
    pub(super) fn let_go(&mut self, rows: &mut dyn Rows) -> Result<(), StoreFault> {
        self.flush(rows)?;
        self.kept.clear();
        Ok(())
    }
}
