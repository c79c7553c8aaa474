//! What goes wrong in a run: disks, processes, the broker, and who starts again.

#[allow(
    clippy::wildcard_imports,
    reason = "one room in three files: all of the world is in scope"
)]
use super::*;

use orebook_ledger::log::Log as _;

impl World {
    /// Kills, crashes, fills and copies disks.
    pub(super) fn break_something(&mut self) {
        let who = usize::try_from(self.rng.below(self.gateways.len() as u64 + 3)).unwrap_or(0);
        let disk = self.disk_of(who);
        match self.rng.below(12) {
            10 => self.damage_reader(),
            11 => {
                let index = usize::try_from(self.rng.below(2)).unwrap_or(0);
                let Some(projector) = self.projectors.get_mut(index) else {
                    return;
                };
                projector.disk.misdirect_next_write(".open", 512);
                projector.damaged = true;
                self.note("write misdirected");
            }
            0..=3 => {
                let after = self.rng.range(1, 25);
                disk.faults().crash_after(after);
                self.note("crash ordered");
            }
            4 => {
                disk.faults().fail_sync_after(self.rng.range(1, 6));
                self.note("sync failure ordered");
            }
            5 => {
                let used: u64 = disk
                    .paths()
                    .iter()
                    .filter_map(|path| disk.read_raw(path).ok())
                    .map(|b| b.len() as u64)
                    .sum();
                disk.faults()
                    .set_capacity(Some(used + self.rng.below(20_000)));
                self.note("disk nearly full");
            }
            6 => {
                disk.faults().set_capacity(None);
            }
            7 => self.clone_gateway(who),
            _ => {
                self.kill(who);
                self.note("killed");
            }
        }
    }

    /// A bit rots on a reader's disk, at rest.
    pub(super) fn damage_reader(&mut self) {
        let index = usize::try_from(self.rng.below(2)).unwrap_or(0);
        let Some(projector) = self.projectors.get_mut(index) else {
            return;
        };
        let segments: Vec<String> = projector
            .disk
            .paths()
            .into_iter()
            .filter(|path| path.contains("/segments/"))
            .collect();
        let pick = usize::try_from(self.rng.below(segments.len().max(1) as u64)).unwrap_or(0);
        let Some(path) = segments.get(pick) else {
            return;
        };
        let bits = projector
            .disk
            .read_raw(path)
            .map_or(0, |bytes| bytes.len() as u64 * 8);
        if bits == 0 || projector.disk.flip_bit(path, self.rng.below(bits)).is_err() {
            return;
        }
        projector.damaged = true;
        self.note("bit flipped");
    }

    /// A reader whose damage was found starts from nothing but genesis.
    pub(super) fn repair_reader(&mut self, index: usize) {
        self.note("damage found");
        let disk = SimDisk::new(self.rng.next_u64());
        write_genesis(&disk, "mirror", &self.common, &self.genesis, &self.desk);
        let Some(projector) = self.projectors.get_mut(index) else {
            return;
        };
        projector.disk = disk;
        projector.life = None;
        projector.damaged = false;
    }

    pub(super) fn disk_of(&self, who: usize) -> SimDisk {
        let readers = self.gateways.len();
        match self.gateways.get(who) {
            Some(gateway) => gateway.disk.clone(),
            None if who == readers => self.keeper.disk.clone(),
            None => self.projectors[(who - readers - 1).min(1)].disk.clone(),
        }
    }

    pub(super) fn kill(&mut self, who: usize) {
        let readers = self.gateways.len();
        match self.gateways.get_mut(who) {
            Some(gateway) => gateway.life = None,
            None if who == readers => self.keeper.life = None,
            None => self.projectors[(who - readers - 1).min(1)].life = None,
        }
        let disk = self.disk_of(who);
        if self.rng.chance(1, 2) {
            disk.restart()
        } else {
            disk.restart_process()
        }
    }

    /// A machine is restored from a snapshot, while the first one lives on.
    pub(super) fn clone_gateway(&mut self, who: usize) {
        if 4 < self.gateways.len() {
            return;
        }
        let Some(gateway) = self.gateways.get(who) else {
            return;
        };
        let Some(stream) = gateway.life.as_ref().and_then(|life| life.spool.stream()) else {
            return;
        };
        let disk = gateway.disk.fork_copy();
        let clone = Gateway {
            name: format!("{} cloned", gateway.name),
            disk,
            signer: gateway.signer.clone(),
            life: None,
        };
        if self.scenario.plant != Plant::SecretClone {
            self.may_close.insert(stream);
        }
        self.gateways.push(clone);
        self.note("cloned");
    }

    pub(super) fn break_broker(&mut self) {
        // An outage lasts until the broker's next event.
        let what = self.rng.below(9);
        self.broker.set_available(what != 3);
        match what {
            0 | 1 => self.broker.set_faults(SendFaults::BAD_DAY),
            2 => self.broker.set_faults(SendFaults::default()),
            3 | 4 => {}
            5 => self.broker.deliver(false),
            6 => {
                let keep = if self.kafka {
                    1
                } else {
                    self.checkpointed_offset()
                };
                self.broker.lose_suffix(12, keep);
            }
            7 if self.kafka && self.rng.chance(1, 3) => self.broker.recreate(),
            8 if self.kafka => self.trim(),
            _ => self.broker.deliver(true),
        }
    }

    /// The archiver has all final positions in synced files, so what stands before the last of them is deleted.
    fn trim(&self) {
        if let Some(archiver) = &self.keeper.life {
            let reader = archiver.reader();
            if reader.incarnation() == self.broker.newest().ok().flatten() {
                self.broker.trim(reader.forgettable_offset());
            }
        }
    }

    /// First offset that may be lost by a log that keeps what is checkpointed.
    pub(super) fn checkpointed_offset(&self) -> u64 {
        let records = self.broker.records();
        // Everything up to the newest checkpoint that stands in the log.
        let last = records.iter().rev().find(|record| {
            orebook_schema::Frame::read(record.bytes.clone())
                .is_ok_and(|frame| frame.header().kinds & Kind::Checkpoint.bit() != 0)
        });
        last.map_or(u64::MAX, |record| record.offset + 1)
    }

    pub(super) fn start_somebody(&mut self) -> Result<(), Violation> {
        let down = self.down();
        if down.is_empty() {
            return Ok(());
        }
        let index = usize::try_from(self.rng.below(down.len() as u64)).unwrap_or(0);
        self.start(down[index])
    }

    pub(super) fn down(&self) -> Vec<usize> {
        let gateways = self.gateways.len();
        let gateway = (0..gateways).filter(|index| self.gateways[*index].life.is_none());
        let keeper = self.keeper.life.is_none().then_some(gateways);
        let readers = (0..2).filter(|index| self.projectors[*index].life.is_none());
        gateway
            .chain(keeper)
            .chain(readers.map(|index| gateways + 1 + index))
            .collect()
    }

    pub(super) fn start(&mut self, who: usize) -> Result<(), Violation> {
        let disk = self.disk_of(who);
        if disk.crashed() {
            disk.restart();
        } else {
            disk.restart_process();
        }
        let gateways = self.gateways.len();
        let started = match self.gateways.get_mut(who) {
            Some(gateway) => gateway.start(&self.common, self.now, &mut self.rng),
            None if who == gateways => {
                if self.scenario.plant == Plant::ForgetsSigned
                    && disk.remove("archive/signed").is_ok()
                {
                    disk.sync_dir("archive").unwrap_or_default();
                }
                let started = self.keeper.start(&self.common, self.now, &mut self.rng);
                if self.scenario.plant == Plant::ForgetsShares
                    && let Some(archiver) = &mut self.keeper.life
                {
                    archiver.limit_names(0);
                }
                started
            }
            None => self.projectors[(who - gateways - 1).min(1)].start(&self.common),
        };
        match started {
            Ok(()) => {
                self.note("started");
                trace(format_args!("  {}", self.name_of(who)));
                self.maybe_record_twice(who);
                Ok(())
            }
            Err(Outcome::Damaged(_)) if self.is_damaged(who) => {
                self.repair_reader((who - self.gateways.len() - 1).min(1));
                Ok(())
            }
            Err(Outcome::Damaged(what)) => Err(format!(
                "damage that nobody did, on {}: {what}",
                self.name_of(who)
            )),
            // The start itself met an ordered crash, or a full disk: it is tried again later.
            Err(_) => Ok(()),
        }
    }

    pub(super) fn is_damaged(&self, who: usize) -> bool {
        let reader = who
            .checked_sub(self.gateways.len() + 1)
            .and_then(|index| self.projectors.get(index));
        reader.is_some_and(|projector| projector.damaged)
    }

    pub(super) fn name_of(&self, who: usize) -> String {
        self.gateways
            .get(who)
            .map_or_else(|| format!("actor {who}"), |gateway| gateway.name.clone())
    }

    pub(super) fn maybe_record_twice(&mut self, who: usize) {
        if self.scenario.plant != Plant::RecordsTwice {
            return;
        }
        let Some(life) = self
            .gateways
            .get_mut(who)
            .and_then(|gateway| gateway.life.as_mut())
        else {
            return;
        };
        let Some(id) = shares_in(&life.spool)
            .unwrap_or_default()
            .into_iter()
            .next()
        else {
            return;
        };
        let mut again = || id;
        let (sent, _) = life.serve(self.now, &mut self.rng, &mut again);
        drop(sent);
    }
}
