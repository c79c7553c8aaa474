//! The names in one simulated folder: as seen, as durable, and the changes between.

use std::collections::{BTreeMap, BTreeSet};

use crate::rng::Rng;

/// A change of a folder's names that was made and not yet synced.
#[derive(Clone)]
pub(super) enum NameChange {
    Create { name: String, file: u64 },
    Rename { from: String, to: String },
    Remove { name: String },
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Create { name, file } => {
                names.insert(name.clone(), *file);
            }
            Self::Rename { from, to } => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Remove { name } => {
                names.remove(name);
            }
        }
    }
}

#[derive(Clone, Default)]
pub(super) struct Folder {
    pub(super) seen: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    pending: Vec<NameChange>,
}

impl Folder {
    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.seen);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.seen);
        self.pending.clear();
    }

    /// Power cut: the first so many of the unsynced changes survive.
    pub(super) fn cut_power(&mut self, rng: &mut Rng) {
        let unsynced = u64::try_from(self.pending.len()).unwrap_or(0);
        let survivors = usize::try_from(rng.range(0, unsynced + 1)).unwrap_or(0);
        for change in self.pending.drain(..).take(survivors) {
            change.apply(&mut self.durable);
        }
        self.seen.clone_from(&self.durable);
    }

    /// Adds every file that a name leads to, now or after a power cut.
    pub(super) fn refers_to(&self, files: &mut BTreeSet<u64>) {
        files.extend(self.seen.values().chain(self.durable.values()));
        for change in &self.pending {
            if let NameChange::Create { file, .. } = change {
                files.insert(*file);
            }
        }
    }
}
