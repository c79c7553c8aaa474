//! Machines that send shares in many frames between two commits: decoded, and written once.

use std::collections::BTreeMap;

use orebook_schema::StreamId;

use super::apply::add_to_sums;
use super::registry::{self, Rig};
use super::{Machine, Tally};
use crate::rows::{self, Rows, StoreFault};

/// Most machines kept until the next commit; at more all are written at once.
const KEPT_MAX: usize = 32_768;

/// Stream, epoch and number of a machine.
pub(super) type Place = (StreamId, u32, u32);

/// A machine that has a row and has sent shares, as it is now; so has its worker.
#[derive(Clone, Debug)]
pub(super) struct KeptMachine {
    pub(super) rig: Rig,
    pub(super) machine: Machine,
    /// What its worker's, account's and pot's sums do not have yet.
    pub(super) more: Tally,
    /// Ledger time of the last frame that said something of it.
    pub(super) now_ms: u64,
}

/// Machines whose own rows and sums are behind. All other rows are always up to date.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    machines: BTreeMap<Place, KeptMachine>,
    /// Changes were dropped: the rows would be wrong.
    is_lost: bool,
}

impl Kept {
    pub(super) const fn new() -> Self {
        Self {
            machines: BTreeMap::new(),
            is_lost: false,
        }
    }

    pub(super) fn forget(&mut self) {
        self.is_lost |= !self.machines.is_empty();
        self.machines.clear();
    }

    /// Fails if changes were lost.
    pub(super) fn still_whole(&self) -> Result<(), StoreFault> {
        registry::still_whole(self.is_lost)
    }

    pub(super) fn get_mut(&mut self, place: &Place) -> Option<&mut KeptMachine> {
        self.machines.get_mut(place)
    }

    /// Keeps a machine whose row was just written.
    pub(super) fn keep(
        &mut self,
        rows: &mut dyn Rows,
        rig: Rig,
        machine: Machine,
        now_ms: u64,
    ) -> Result<(), StoreFault> {
        if KEPT_MAX <= self.machines.len() {
            self.flush(rows)?;
        }
        let place = (machine.stream, machine.epoch, machine.number);
        let kept = KeptMachine {
            rig,
            machine,
            more: Tally::default(),
            now_ms,
        };
        self.machines.insert(place, kept);
        Ok(())
    }

    /// Brings the rows of a machine up to date, and keeps it no more.
    pub(super) fn write_back(
        &mut self,
        rows: &mut dyn Rows,
        place: &Place,
    ) -> Result<(), StoreFault> {
        if let Some(kept) = self.machines.remove(place) {
            let lost = std::mem::replace(&mut self.is_lost, true);
            write(rows, std::iter::once(kept))?;
            self.is_lost = lost;
        }
        Ok(())
    }

    /// Brings all rows up to date.
    pub(super) fn flush(&mut self, rows: &mut dyn Rows) -> Result<(), StoreFault> {
        self.still_whole()?;
        self.is_lost = true;
        write(rows, std::mem::take(&mut self.machines).into_values())?;
        self.is_lost = false;
        Ok(())
    }
}

fn write(rows: &mut dyn Rows, all: impl Iterator<Item = KeptMachine>) -> Result<(), StoreFault> {
    let mut rigs = Vec::new();
    let mut now_ms = 0;
    for kept in all {
        rows::put(rows, &kept.machine)?;
        now_ms = kept.now_ms.max(now_ms);
        rigs.push((kept.rig, kept.more));
    }
    let sums = rigs.iter().map(|(rig, more)| (rig, more));
    add_to_sums(rows, sums, now_ms)
}
