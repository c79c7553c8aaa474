//! Machines that send shares in many frames: decoded, and written once a commit. They stay here after it, so that the next
//! share of a machine reads no row.

use orebook_schema::StreamId;

use super::apply::{Heard, Sent, add_to_sums};
use super::silence::{PACE_SHARES, SILENCE_MS_MIN, explained_ms};
use super::{Machine, Tally};
use crate::fold::FinalFrame;
use crate::folds::kept::{Epoch, Kept, Place};
use crate::rows::{self, Rows, StoreFault};

/// Most machines kept, of about 700 bytes each; at more all are written at once, and none is kept.
const KEPT_MAX: usize = 32_768;

/// A machine that has a row and has sent shares; so has its worker. What each share changes stands here, side by side; the rest of
/// the machine is apart, since ten thousand whole ones are more than a core's cache holds.
#[derive(Clone, Debug)]
pub(super) struct KeptMachine {
    /// Positions up to the end of the last frame that said something of it.
    heard: u64,
    /// Ledger time of that frame.
    now_ms: u64,
    /// See [`Machine::difficulty`].
    difficulty: u64,
    /// See [`Machine::is_announced`].
    is_announced: bool,
    /// Whether its row may be behind: it is in [`Machines::behind`].
    is_behind: bool,
    /// Time of its last share, those that its row has included.
    last_ms: u64,
    /// Up to here it is active and is looked at again in time, whatever its pace is; see [`KeptMachine::is_settled`].
    settled_ms: u64,
    /// Shares that its row, and its worker's, account's and pot's sums do not have yet.
    more: Tally,
    recent: Recent,
    /// As its row has it, but for what stands above, and for `silent_ms`.
    machine: Box<Machine>,
}

impl KeptMachine {
    fn of(machine: Machine, frame: &FinalFrame<'_>) -> Self {
        let mut kept = Self {
            heard: frame.size(),
            now_ms: frame.ledger_time,
            difficulty: machine.difficulty,
            is_announced: machine.is_announced,
            is_behind: false,
            last_ms: machine.shares.last_ms,
            settled_ms: 0,
            more: Tally::default(),
            recent: Recent::of(&machine.recent),
            machine: Box::new(machine),
        };
        kept.settle();
        kept
    }

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

    /// See [`Machine::announce`].
    pub(super) const fn announce(&mut self, units: u64) {
        self.difficulty = units;
        self.is_announced = true;
    }

    pub(super) fn hear_share(&mut self, share: &Heard) {
        self.more.add_share(share);
        self.last_ms = self.last_ms.max(share.time);
        if !self.is_announced {
            self.difficulty = share.units;
        }
        self.recent.push((share.time, share.units));
    }

    /// Whether judging it now would change nothing but `silent_ms`, which is computed when its row is written: it is active, some
    /// silence is always explained, and that reaches beyond now and beyond the time at which it is looked at again.
    pub(super) const fn is_settled(&self, now_ms: u64) -> bool {
        let explained_ms = self.last_ms.saturating_add(SILENCE_MS_MIN);
        now_ms <= explained_ms && self.settled_ms <= explained_ms
    }

    /// The machine, with all that its judgement asks, to be judged; call [`KeptMachine::settle`] after it.
    pub(super) fn unsettled(&mut self) -> (&mut Machine, u64) {
        let silent_ms = self.silent_ms();
        (&mut self.machine, silent_ms)
    }

    /// Notes what judging it has made of it.
    pub(super) fn settle(&mut self) {
        self.settled_ms = if self.machine.is_active {
            self.machine.due_ms
        } else {
            u64::MAX
        };
    }

    /// Until when its silence is explained.
    fn silent_ms(&self) -> u64 {
        let recent = self.recent.in_order();
        let recent = recent.get(..self.recent.len).unwrap_or_default();
        let explained_ms = explained_ms(recent, self.difficulty);
        self.last_ms.saturating_add(explained_ms)
    }

    /// Who it is, and what its worker's, account's and pot's sums do not have yet.
    fn sent(&self) -> Sent<'_> {
        let machine = &self.machine;
        ((&machine.account, machine.pot, &machine.name), &self.more)
    }

    fn written(&mut self) -> &Machine {
        self.machine.silent_ms = self.silent_ms();
        self.machine.shares.add(&self.more);
        self.machine.difficulty = self.difficulty;
        self.machine.is_announced = self.is_announced;
        let recent = self.recent.in_order();
        self.machine.recent.clear();
        let recent = recent.get(..self.recent.len).unwrap_or_default();
        self.machine.recent.extend_from_slice(recent);
        &self.machine
    }
}

/// A machine's last shares: time, work.
#[derive(Clone, Copy, Debug)]
struct Recent {
    len: usize,
    /// Where the next one goes; once all places are taken, the oldest stands there.
    next: usize,
    shares: [(u64, u64); PACE_SHARES],
}

impl Recent {
    fn of(shares: &[(u64, u64)]) -> Self {
        let mut recent = Self {
            len: 0,
            next: 0,
            shares: [(0, 0); PACE_SHARES],
        };
        shares.iter().for_each(|share| recent.push(*share));
        recent
    }

    fn push(&mut self, share: (u64, u64)) {
        if let Some(place) = self.shares.get_mut(self.next) {
            *place = share;
        }
        self.next = (self.next + 1) % PACE_SHARES;
        self.len = PACE_SHARES.min(self.len + 1);
    }

    /// Oldest first; the first `len` count.
    fn in_order(&self) -> [(u64, u64); PACE_SHARES] {
        let mut shares = self.shares;
        if self.len == PACE_SHARES {
            shares.rotate_left(self.next);
        }
        shares
    }
}

/// Machines whose own rows and sums may be behind. All other rows are always up to date.
#[derive(Clone, Debug, Default)]
pub(super) struct Machines {
    kept: Kept<KeptMachine>,
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
    ) -> (Epoch<'_, KeptMachine>, &mut Vec<Place>) {
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
        self.kept.insert(place, KeptMachine::of(machine, frame));
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
