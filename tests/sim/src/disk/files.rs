//! The bytes of a simulated disk's files: reading, writing, syncing, and the room they share.

use orebook_ledger::disk::{DiskError, DiskResult};

use super::FILE_BYTES_MAX;
use super::content::Content;
use super::state::{Inode, State, fatal, fires};

impl State {
    pub(super) fn inode(&self, file: u64, path: &str, op: &'static str) -> DiskResult<&Inode> {
        self.files
            .get(&file)
            .ok_or_else(|| fatal(path, op, "the simulator lost this file"))
    }

    pub(super) fn content(
        &mut self,
        file: u64,
        path: &str,
        op: &'static str,
    ) -> DiskResult<&mut Content> {
        let inode = self.files.get_mut(&file).map(|it| &mut it.content);
        inode.ok_or_else(|| fatal(path, op, "the simulator lost this file"))
    }

    pub(super) fn bytes(&self, file: u64, path: &str, op: &'static str) -> DiskResult<&[u8]> {
        Ok(self.inode(file, path, op)?.content.seen())
    }

    /// Bytes that files may yet grow by.
    pub(super) fn room(&self) -> u64 {
        let Some(capacity) = self.faults.capacity else {
            return u64::MAX;
        };
        let ids = self
            .folders
            .values()
            .flat_map(|folder| folder.seen.values());
        let files = ids.filter_map(|id| self.files.get(id));
        capacity.saturating_sub(files.map(|it| it.content.seen().len() as u64).sum())
    }

    pub(super) fn write(
        &mut self,
        file: u64,
        path: &str,
        offset: u64,
        bytes: &[u8],
    ) -> DiskResult<()> {
        let ordered = self
            .faults
            .misdirect
            .take_if(|(part, _)| path.contains(part.as_str()));
        let offset = ordered.map_or(offset, |(_, delta)| offset.saturating_add_signed(delta));
        let end = offset.saturating_add(bytes.len() as u64);
        let len = self.bytes(file, path, "write_at")?.len() as u64;
        let room = self.room();
        let Some(at) = usize::try_from(offset)
            .ok()
            .filter(|_| end <= FILE_BYTES_MAX)
        else {
            return Err(fatal(path, "write_at", "file too large for the simulator"));
        };
        if bytes.is_empty() || end.saturating_sub(len) <= room {
            self.content(file, path, "write_at")?.write(at, bytes);
            return Ok(());
        }
        // As the machine does, a part may have been written before the room ended.
        let fitting = len.saturating_add(room).saturating_sub(offset);
        let written = self.rng.range(0, fitting.saturating_add(1));
        let part = usize::try_from(written).ok().and_then(|it| bytes.get(..it));
        self.content(file, path, "write_at")?
            .write(at, part.unwrap_or_default());
        Err(DiskError::Full {
            path: path.to_owned(),
        })
    }

    pub(super) fn preallocate(&mut self, file: u64, path: &str, len: u64) -> DiskResult<()> {
        let grows_by = len.saturating_sub(self.bytes(file, path, "preallocate")?.len() as u64);
        if grows_by > self.room() {
            return Err(DiskError::Full {
                path: path.to_owned(),
            });
        }
        let Some(len) = usize::try_from(len).ok().filter(|_| len <= FILE_BYTES_MAX) else {
            return Err(fatal(
                path,
                "preallocate",
                "file too large for the simulator",
            ));
        };
        self.content(file, path, "preallocate")?.grow(len);
        // A crash came before the sync: the growth may be lost yet.
        if self.crashed {
            Ok(())
        } else {
            self.sync(file, path, "preallocate")
        }
    }

    pub(super) fn truncate(&mut self, file: u64, path: &str, len: u64) -> DiskResult<()> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.content(file, path, "truncate")?.truncate(len);
        Ok(())
    }

    pub(super) fn sync(&mut self, file: u64, path: &str, op: &'static str) -> DiskResult<()> {
        let fails = fires(&mut self.faults.sync_fails_in);
        let content = self.content(file, path, op)?;
        if fails {
            content.forget_unsynced();
            return Err(fatal(path, op, "simulated sync failure"));
        }
        content.sync();
        Ok(())
    }
}
