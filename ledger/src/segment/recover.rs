//! Opening a folder of segments: what was promised must be there, what was not may be cut.
//!
//! Files are synced one after another, and a segment's file is made only after the one before was synced. So after a
//! crash only the last file can be torn, and bytes behind the last record of another are the footer of a seal that did
//! not come to its end.

use orebook_schema::Hash;

use super::index::{Limits, Rules, SegmentIndex};
use super::record::FILE_HEADER_BYTES;
use super::scan::{PIECE_BYTES, Pieces, Stop, Walk, has_later_frame, last_nonzero, sha256};
use super::sealed::{Sealed, read_file_header};
use super::view::{Open, View};
use super::{FileName, Flaw, StoreError, as_index, damaged, list_files};
use crate::disk::{Disk, DiskFile, DiskResult, rewrite, zero};

/// What was cut at open: the rest of a batch that was never promised. Worth a recovery note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Path below the disk's root of the first file that was cut.
    pub file: String,
    /// Offset from which on it was cut; 0 if the file went.
    pub offset: u64,
    /// Bytes that were cut, up to the last one of each file that was not zero.
    pub bytes: u64,
    /// The first position that is not there.
    pub position: u64,
}

/// A folder's segments.
pub(super) struct Recovered<F> {
    pub(super) sealed: Vec<Sealed>,
    pub(super) open: Vec<Open<F>>,
    pub(super) limits: Option<Limits>,
    pub(super) torn: Option<TornTail>,
}

/// One open file, walked over up to the first record that is none.
struct Scanned<F> {
    open: Open<F>,
    len: u64,
    /// Why the walk ended before the end or the zeros: the file header's flaw, or the next record's.
    stop: Option<Flaw>,
}

impl<F> Scanned<F> {
    /// Offset from which on nothing of the file is of use.
    const fn end(&self) -> u64 {
        if self.open.index.positions() == 0 {
            0
        } else {
            self.open.index.end()
        }
    }
}

/// The first place where the files do not go on.
struct Break {
    /// Which open file; those after it are of no use.
    at: usize,
    file: String,
    offset: u64,
    position: u64,
    what: String,
}

/// Reads the segments of a folder. With `writes` the torn tail is cut on the disk, and all that is not known to be
/// durable is written and synced again; without, the files stay as they are.
pub(super) fn recover<D: Disk>(
    disk: &D,
    dir: &str,
    mut rules: Rules,
    floor: u64,
    writes: bool,
) -> Result<Recovered<D::File>, StoreError> {
    let files = list_files(disk, dir)??;
    let (sealed_files, open_files) = files.split_at(files.partition_point(|file| file.sealed));
    let sealed = read_sealed(disk, sealed_files, &rules)?;
    if let Some(first) = sealed.first() {
        rules.limits = Some(limits_of(disk, first)?);
    }
    let mut scanned = Vec::new();
    for file in open_files {
        scanned.push(scan(disk, file, &mut rules)?);
    }
    if let (Some(last), Some(it)) = (sealed.last(), scanned.first())
        && 0 < it.open.index.positions()
    {
        joins(last, it.open.index.first(), it.open.root, &it.open.path)?;
    }
    let torn = settle(disk, dir, &sealed, &mut scanned, floor, writes)?;
    let size = scanned
        .last()
        .map_or(sealed.last().map_or(0, Sealed::next), |it| {
            it.open.index.next()
        });
    if size < floor {
        let (file, end) = scanned
            .last()
            .map_or((dir, 0), |it| (&it.open.path, it.end()));
        return Err(damaged(
            file,
            end,
            size,
            format!("positions up to {floor} were promised"),
        ));
    }
    let mut open = Vec::new();
    for mut it in scanned {
        if writes {
            make_durable(&mut it, floor)?;
        }
        open.push(it.open);
    }
    // A rename may not be durable either.
    if writes && 0 < size {
        disk.sync_dir(dir)?;
    }
    let limits = rules.limits.filter(|_| 0 < size);
    Ok(Recovered {
        sealed,
        open,
        limits,
        torn,
    })
}

fn read_sealed<D: Disk>(
    disk: &D,
    files: &[FileName],
    rules: &Rules,
) -> Result<Vec<Sealed>, StoreError> {
    let mut all: Vec<Sealed> = Vec::new();
    for file in files {
        let sealed = Sealed::read(disk, file.path.clone(), file.first, rules)?;
        if let Some(last) = all.last() {
            joins(last, sealed.first(), sealed.header.root, &sealed.path)?;
        }
        all.push(sealed);
    }
    Ok(all)
}

/// A segment goes on where the sealed one before it ends.
fn joins(before: &Sealed, first: u64, root: Hash, path: &str) -> Result<(), StoreError> {
    if before.next() != first {
        return Err(damaged(
            path,
            0,
            before.next(),
            "a segment is missing before it",
        ));
    }
    if before.facts.root == root {
        return Ok(());
    }
    Err(damaged(
        path,
        0,
        first,
        "its root is not the one of the segment before",
    ))
}

fn limits_of<D: Disk>(disk: &D, first: &Sealed) -> Result<Limits, StoreError> {
    let sealed = std::slice::from_ref(first);
    let stored = View {
        disk,
        sealed,
        open: &[],
    }
    .frame(0)?;
    let limits = stored.and_then(|stored| Limits::of_genesis(&stored.frame));
    limits.ok_or_else(|| damaged(&first.path, FILE_HEADER_BYTES as u64, 0, Flaw::Genesis))
}

fn scan<D: Disk>(
    disk: &D,
    file: &FileName,
    rules: &mut Rules,
) -> Result<Scanned<D::File>, StoreError> {
    let path = file.path.clone();
    let handle = disk.open(&path)?;
    let len = handle.len()?;
    let mut index = SegmentIndex::new(file.first);
    let (root, stop) = match read_file_header(&handle, len)? {
        Ok(header) if header.ledger != rules.ledger => {
            return Err(StoreError::OtherLedger {
                file: path,
                found: header.ledger,
            });
        }
        Ok(header) if header.first != file.first => {
            return Err(damaged(
                &path,
                0,
                file.first,
                "name and header differ in the position",
            ));
        }
        Ok(header) => (header.root, walk(&handle, len, &mut index, rules)?),
        Err(flaw) => (Hash::ZERO, Some(flaw)),
    };
    let end = index.end();
    let (file, pending) = (Some(handle), Vec::new());
    let open = Open {
        path,
        root,
        index,
        file,
        named: true,
        synced: end,
        touched: end,
        pending,
    };
    Ok(Scanned { open, len, stop })
}

/// Walks over a file's records; the flaw that it ends at, none if only zeros follow.
fn walk<F: DiskFile>(
    file: &F,
    len: u64,
    index: &mut SegmentIndex,
    rules: &mut Rules,
) -> DiskResult<Option<Flaw>> {
    let mut walk = Walk::new(index.end(), len);
    let flaw = loop {
        match walk.next(file) {
            Ok(Some(found)) => {
                if let Err(flaw) = index.take(&found, rules) {
                    break flaw;
                }
            }
            Ok(None) => return Ok(None),
            Err(Stop::Flaw(flaw)) => break flaw,
            Err(Stop::Disk(error)) => return Err(error),
        }
    };
    Ok(last_nonzero(file, index.end(), len)?.map(|_| flaw))
}

/// Cuts at the first place where the files do not go on, unless that is damage.
fn settle<D: Disk>(
    disk: &D,
    dir: &str,
    sealed: &[Sealed],
    scanned: &mut Vec<Scanned<D::File>>,
    floor: u64,
    writes: bool,
) -> Result<Option<TornTail>, StoreError> {
    pass_over_footers(scanned)?;
    let Some(found) = first_break(sealed, scanned) else {
        return Ok(None);
    };
    let Break {
        at,
        file,
        offset,
        position,
        what,
    } = found;
    let first = scanned.get(at).map_or(position, |it| it.open.index.first());
    let overlaps = offset == 0 && first < position;
    if position < floor || overlaps {
        return Err(damaged(&file, offset, position, what));
    }
    if floor == 0 && later_frames(scanned, at, offset, position)? {
        let what = format!("{what}, and whole frames stand behind it: damage in the middle");
        return Err(damaged(&file, offset, position, what));
    }
    let mut bytes = 0;
    // Overlaps apart, the files of no use are those that begin here or behind.
    while let Some(mut it) = scanned.pop_if(|it| position <= it.open.index.first()) {
        bytes += extent(&it)?;
        if writes {
            it.open.file = None;
            disk.remove(&it.open.path)?;
            // One by one, so that a crash in between leaves no gap.
            disk.sync_dir(dir)?;
        }
    }
    if let Some(it) = scanned.last_mut().filter(|it| it.stop.is_some()) {
        bytes += extent(it)?;
        it.stop = None;
    }
    Ok((0 < bytes).then_some(TornTail {
        file,
        offset,
        bytes,
        position,
    }))
}

fn first_break<F>(sealed: &[Sealed], scanned: &[Scanned<F>]) -> Option<Break> {
    let mut position = sealed.last().map_or(0, Sealed::next);
    for (at, it) in scanned.iter().enumerate() {
        let index = &it.open.index;
        let file = it.open.path.clone();
        let broken = |offset, position, what| {
            Some(Break {
                at,
                file,
                offset,
                position,
                what,
            })
        };
        if index.first() != position {
            return broken(0, position, "positions are missing before it".to_owned());
        }
        position = index.next();
        if let Some(flaw) = it.stop {
            return broken(it.end(), position, flaw.to_string());
        }
        if index.positions() == 0 {
            return broken(0, position, "the segment has no record".to_owned());
        }
    }
    None
}

fn later_frames<F: DiskFile>(
    scanned: &[Scanned<F>],
    at: usize,
    offset: u64,
    position: u64,
) -> DiskResult<bool> {
    let mut from = if offset == 0 { 0 } else { offset + 8 };
    for it in scanned.iter().skip(at) {
        if let Some(file) = &it.open.file
            && has_later_frame(file, from, it.len, position)?
        {
            return Ok(true);
        }
        from = 0;
    }
    Ok(false)
}

/// Bytes from a file's end of use up to the last that is not zero.
fn extent<F: DiskFile>(it: &Scanned<F>) -> DiskResult<u64> {
    let Some(file) = &it.open.file else {
        return Ok(0);
    };
    Ok(last_nonzero(file, it.end(), it.len)?.map_or(0, |last| last - it.end()))
}

/// A seal that did not come to its end leaves some of the footer's bytes, in a file whose successor is there: the
/// segment is open again. Anything else in their place is no footer.
fn pass_over_footers<F: DiskFile>(scanned: &mut [Scanned<F>]) -> DiskResult<()> {
    let mut after: Option<(u64, Hash)> = None;
    for it in scanned.iter_mut().rev() {
        let index = &it.open.index;
        if let Some((first, root)) = after.filter(|_| it.stop.is_some())
            && first == index.next()
            && let Some(file) = &it.open.file
        {
            let footer = index.footer(root, sha256(file, index.end())?);
            if is_part_of(file, index.end(), it.len, &footer)? {
                it.stop = None;
            }
        }
        let has_header = 0 < it.open.index.positions();
        after = has_header.then_some((it.open.index.first(), it.open.root));
    }
    Ok(())
}

/// Whether each byte of a range is zero or the one that `whole` has in its place.
fn is_part_of<F: DiskFile>(file: &F, from: u64, to: u64, whole: &[u8]) -> DiskResult<bool> {
    let mut pieces = Pieces::default();
    let mut at = from;
    while at < to {
        let len = as_index(to - at).min(PIECE_BYTES);
        let piece = pieces.get(file, at, len, to)?.unwrap_or_default();
        let wanted = whole.get(as_index(at - from)..).unwrap_or_default();
        let wanted = wanted.iter().chain(std::iter::repeat(&0));
        if !piece
            .iter()
            .zip(wanted)
            .all(|(byte, wanted)| *byte == 0 || byte == wanted)
        {
            return Ok(false);
        }
        at += len as u64;
    }
    Ok(true)
}

/// Clears what stands behind the records, writes again those that are not known to be durable, and syncs: after a
/// failed sync a process may see bytes that are not on the disk and that no later sync would write, since their pages
/// count as clean.
fn make_durable<F: DiskFile>(it: &mut Scanned<F>, floor: u64) -> DiskResult<()> {
    let index = &it.open.index;
    let from = if floor <= index.first() {
        0
    } else {
        index.offset_from(floor)
    };
    let (end, len) = (index.end(), it.len);
    let Some(file) = &mut it.open.file else {
        return Ok(());
    };
    rewrite(file, from, end)?;
    zero(file, end, len)?;
    file.sync()
}
