//! All of a simulated disk behind its lock: names, files, and the faults that wait.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use orebook_ledger::disk::real::split_path;
use orebook_ledger::disk::{DiskError, DiskResult};

use super::OPERATION_LOG_MAX;
use super::content::Content;
use super::names::{Folder, NameChange};
use crate::rng::Rng;

pub(super) struct Inode {
    pub(super) content: Content,
    /// Each open handle holds a clone: an unnamed file lives until the last one is gone.
    pub(super) open: Arc<()>,
}

impl Inode {
    fn at_rest(bytes: Vec<u8>) -> Self {
        Self {
            content: Content::at_rest(bytes),
            open: Arc::new(()),
        }
    }
}

/// Faults that were ordered. A countdown of 0 is off, 1 means the next.
#[derive(Clone, Default)]
pub(super) struct Faults {
    pub(super) capacity: Option<u64>,
    pub(super) sync_fails_in: u64,
    pub(super) crash_in: u64,
    pub(super) misdirect: Option<(String, i64)>,
}

pub(super) struct State {
    pub(super) rng: Rng,
    pub(super) folders: BTreeMap<String, Folder>,
    pub(super) files: BTreeMap<u64, Inode>,
    next_file: u64,
    pub(super) life: u64,
    pub(super) crashed: bool,
    pub(super) operations: u64,
    pub(super) log: VecDeque<(&'static str, String)>,
    pub(super) faults: Faults,
}

pub(super) fn fatal(path: &str, operation: &'static str, cause: &str) -> DiskError {
    DiskError::Fatal {
        path: path.to_owned(),
        operation,
        cause: cause.to_owned(),
    }
}

fn not_found(path: &str) -> DiskError {
    DiskError::NotFound {
        path: path.to_owned(),
    }
}

/// Takes one from a countdown; true when it has just reached its end.
pub(super) fn fires(countdown: &mut u64) -> bool {
    let last = *countdown == 1;
    *countdown = countdown.saturating_sub(1);
    last
}

fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            folders: BTreeMap::from([(String::new(), Folder::default())]),
            files: BTreeMap::new(),
            next_file: 0,
            life: 0,
            crashed: false,
            operations: 0,
            log: VecDeque::new(),
            faults: Faults::default(),
        }
    }

    pub(super) fn alive(&self, operation: &'static str, path: &str) -> DiskResult<()> {
        if self.crashed {
            Err(fatal(path, operation, "simulated crash"))
        } else {
            Ok(())
        }
    }

    /// Counts a mutating operation and does it, unless the disk crashes here: then it is done half of the time, and
    /// reported as failed always.
    pub(super) fn mutate<T>(
        &mut self,
        operation: &'static str,
        path: &str,
        act: impl FnOnce(&mut Self) -> DiskResult<T>,
    ) -> DiskResult<T> {
        self.alive(operation, path)?;
        self.operations += 1;
        if self.log.len() == OPERATION_LOG_MAX {
            self.log.pop_front();
        }
        self.log.push_back((operation, path.to_owned()));
        if !fires(&mut self.faults.crash_in) {
            return act(self);
        }
        self.crashed = true;
        if self.rng.chance(1, 2) {
            act(self).ok();
        }
        Err(fatal(path, operation, "simulated crash"))
    }

    fn find(&self, path: &str) -> Option<u64> {
        let (folder, name) = split_path(path);
        self.folders.get(folder)?.seen.get(name).copied()
    }

    /// The file of a path, if there is one.
    ///
    /// # Errors
    /// Fatal where the machine says "not a directory" or "is a directory".
    pub(super) fn lookup(&self, path: &str, operation: &'static str) -> DiskResult<Option<u64>> {
        if parents(path).any(|it| self.find(it).is_some()) {
            return Err(fatal(
                path,
                operation,
                "a file stands where a folder should",
            ));
        }
        if self.folders.contains_key(path) {
            return Err(fatal(path, operation, "is a folder"));
        }
        Ok(self.find(path))
    }

    pub(super) fn existing(&self, path: &str, operation: &'static str) -> DiskResult<u64> {
        self.lookup(path, operation)?.ok_or_else(|| not_found(path))
    }

    fn names(&mut self, path: &str, operation: &'static str) -> DiskResult<&mut Folder> {
        let folder = self.folders.get_mut(split_path(path).0);
        folder.ok_or_else(|| fatal(path, operation, "no such folder"))
    }

    pub(super) fn create_dir(&mut self, path: &str) -> DiskResult<()> {
        if self.folders.contains_key(path) {
            return Ok(());
        }
        let wanted: Vec<&str> = parents(path).chain([path]).collect();
        if wanted.iter().any(|it| self.find(it).is_some()) {
            return Err(fatal(
                path,
                "create_dir",
                "a file stands where a folder should",
            ));
        }
        if self.room() == 0 {
            return Err(DiskError::Full {
                path: path.to_owned(),
            });
        }
        for folder in wanted {
            self.folders.entry(folder.to_owned()).or_default();
        }
        Ok(())
    }

    pub(super) fn create(&mut self, path: &str) -> DiskResult<u64> {
        let exists = || DiskError::Exists {
            path: path.to_owned(),
        };
        if self.folders.contains_key(path) || self.lookup(path, "create")?.is_some() {
            return Err(exists());
        }
        let full = self.room() == 0;
        let file = self.next_file;
        let folder = self.names(path, "create")?;
        if full {
            return Err(DiskError::Full {
                path: path.to_owned(),
            });
        }
        folder.change(NameChange::Create {
            name: split_path(path).1.to_owned(),
            file,
        });
        self.files.insert(file, Inode::at_rest(Vec::new()));
        self.next_file += 1;
        Ok(file)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> DiskResult<()> {
        self.existing(from, "rename")?;
        if self.folders.contains_key(to) {
            return Err(fatal(from, "rename", "the new name is a folder"));
        }
        let (from_name, to_name) = (split_path(from).1.to_owned(), split_path(to).1.to_owned());
        self.names(from, "rename")?.change(NameChange::Rename {
            from: from_name,
            to: to_name,
        });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> DiskResult<()> {
        self.existing(path, "remove")?;
        let name = split_path(path).1.to_owned();
        self.names(path, "remove")?
            .change(NameChange::Remove { name });
        Ok(())
    }

    pub(super) fn list(&self, dir: &str) -> DiskResult<Vec<String>> {
        if let Some(folder) = self.folders.get(dir) {
            return Ok(folder.seen.keys().cloned().collect());
        }
        if parents(dir).chain([dir]).any(|it| self.find(it).is_some()) {
            return Err(fatal(dir, "list", "a file stands where a folder should"));
        }
        Ok(Vec::new())
    }

    pub(super) fn sync_dir(&mut self, dir: &str) -> DiskResult<()> {
        let folder = self.folders.get_mut(dir);
        folder
            .ok_or_else(|| fatal(dir, "sync_dir", "no such folder"))?
            .sync();
        self.forget_unnamed();
        Ok(())
    }

    fn forget_unnamed(&mut self) {
        let mut named = BTreeSet::new();
        self.folders
            .values()
            .for_each(|folder| folder.refers_to(&mut named));
        self.files
            .retain(|id, file| named.contains(id) || Arc::strong_count(&file.open) > 1);
    }

    /// Paths of all files, sorted.
    pub(super) fn paths(&self) -> Vec<String> {
        let in_folder = |(folder, it): (&String, &Folder)| -> Vec<String> {
            let path = |name: &String| match folder.as_str() {
                "" => name.clone(),
                folder => format!("{folder}/{name}"),
            };
            it.seen.keys().map(path).collect()
        };
        let mut paths: Vec<String> = self.folders.iter().flat_map(in_folder).collect();
        paths.sort();
        paths
    }

    pub(super) fn flip_bit(&mut self, path: &str, bit: u64) -> DiskResult<()> {
        let file = self.existing(path, "flip_bit")?;
        if self.content(file, path, "flip_bit")?.flip_bit(bit) {
            return Ok(());
        }
        Err(DiskError::Short {
            path: path.to_owned(),
            offset: bit / 8,
        })
    }

    pub(super) fn write_raw(&mut self, path: &str, bytes: Vec<u8>) -> DiskResult<()> {
        if let Some(file) = self.lookup(path, "write_raw")? {
            *self.content(file, path, "write_raw")? = Content::at_rest(bytes);
        } else {
            self.create_dir(split_path(path).0)?;
            let file = self.create(path)?;
            *self.content(file, path, "write_raw")? = Content::at_rest(bytes);
        }
        self.sync_dir(split_path(path).0)
    }

    pub(super) fn cut_power(&mut self) {
        for folder in self.folders.values_mut() {
            folder.cut_power(&mut self.rng);
        }
        for file in self.files.values_mut() {
            file.content.cut_power(&mut self.rng);
        }
        self.start_life();
    }

    pub(super) fn start_life(&mut self) {
        self.life += 1;
        self.crashed = false;
        self.files
            .values_mut()
            .for_each(|file| file.open = Arc::new(()));
        self.forget_unnamed();
    }

    /// The disk as seen now, all of it durable, with no fault ordered but the capacity.
    pub(super) fn copy(&self) -> Self {
        let mut copy = Self::new(self.rng.clone().next_u64());
        copy.folders.clone_from(&self.folders);
        copy.folders.values_mut().for_each(Folder::sync);
        let at_rest = |(id, it): (&u64, &Inode)| (*id, Inode::at_rest(it.content.seen().to_vec()));
        copy.files = self.files.iter().map(at_rest).collect();
        copy.forget_unnamed();
        copy.next_file = self.next_file;
        copy.faults.capacity = self.faults.capacity;
        copy
    }
}
