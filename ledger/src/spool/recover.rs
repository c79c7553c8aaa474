//! Recovery: reads every file, says where the spool stands, cuts a torn tail, and stops at damage.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use orebook_schema::bytes::Reader;
use orebook_schema::{Hash, StreamId};

use super::SpoolConfig;
use super::error::{SpoolError, SpoolResult};
use super::file::{self, FileMeta, Scanner};
use super::record::{
    EpochOpened, FILE_HEAD_BYTES, FileHead, Group, Progress, RecordKind, StreamClosed, read_header,
    read_policy,
};
use super::standing::{Broken, Standing};
use super::state::read_state;
use crate::disk::{Disk, DiskFile, rewrite, zero};

/// Most bytes of one write: the header of the frame before, unsaved policies, a group, how far a move has come.
const WRITE_BYTES_MAX: u64 = 196_608;

/// A write that never was durable was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Path of the file.
    pub path: String,
    /// Offset at which it was cut.
    pub offset: u64,
    /// Bytes up to the last one that was not zero.
    pub bytes: u64,
}

/// What was found when the spool was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolRecovery {
    /// Files found.
    pub files: u64,
    /// The stream in hand and its epoch; none in a new spool.
    pub stream: Option<(StreamId, u32)>,
    /// Sequence number after its last durable event.
    pub next_seq: u64,
    /// Durable events that no frame covers yet; `begin` makes one frame of them.
    pub unframed_events: usize,
    /// Whether events of a closed stream wait to be moved; `begin` goes on with it.
    pub moving: bool,
    /// The torn tail that was cut.
    pub torn: Option<TornTail>,
}

/// Where the spool stands, and its files.
#[derive(Debug)]
pub(super) struct Recovered<F> {
    pub(super) standing: Standing,
    pub(super) older: VecDeque<FileMeta>,
    /// The file that is written to; none in a new spool.
    pub(super) current: Option<(FileMeta, F)>,
    pub(super) torn: Option<TornTail>,
}

/// Goes through the records of one file from its state on.
#[derive(Debug)]
pub(super) struct Replay<F> {
    pub(super) standing: Standing,
    pub(super) scanner: Scanner<F>,
    pub(super) offset: u64,
    pub(super) head: FileHead,
    /// Below this offset everything was synced before the last record was written.
    durable: u64,
}

/// A record that was taken into the standing.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) kind: RecordKind,
    pub(super) payload: Vec<u8>,
}

impl<F: DiskFile> Replay<F> {
    /// Reads a file's head and state.
    pub(super) fn open<D: Disk<File = F>>(disk: &D, dir: &str, number: u64) -> SpoolResult<Self> {
        let mut scanner = Scanner::open(disk, dir, number)?;
        let head = scanner.file_head()?;
        let mut offset = FILE_HEAD_BYTES as u64;
        let mut bytes = Vec::new();
        while offset < head.state_end {
            let record = scanner.record(offset, head.state_end)?;
            let record = record.filter(|record| record.kind == RecordKind::State);
            let record = record.ok_or_else(|| scanner.damaged(offset, "no part of the state"))?;
            bytes.extend(record.payload);
            offset = record.next;
        }
        let standing = read_state(&bytes);
        let standing =
            standing.map_err(|_| scanner.damaged(FILE_HEAD_BYTES as u64, "no state of a spool"))?;
        Ok(Self {
            standing,
            scanner,
            offset,
            head,
            durable: offset,
        })
    }

    /// Takes the next record before `limit`; `None` if none stands there.
    pub(super) fn step(&mut self, limit: u64) -> SpoolResult<Option<Replayed>> {
        let Some(record) = self.scanner.record(self.offset, limit)? else {
            return Ok(None);
        };
        let taken = take(&mut self.standing, record.kind, &record.payload);
        taken.map_err(|what| self.scanner.damaged(self.offset, what))?;
        self.offset = record.next;
        self.durable = record.durable;
        Ok(Some(Replayed {
            kind: record.kind,
            payload: record.payload,
        }))
    }
}

fn take(standing: &mut Standing, kind: RecordKind, payload: &[u8]) -> Result<(), Broken> {
    let unreadable = |_| "a record that does not decode";
    match kind {
        RecordKind::State => Err("a state in the middle of a file"),
        RecordKind::Policy => {
            let mut reader = Reader::new(payload, "policy record");
            let (at, policy) = read_policy(&mut reader).map_err(unreadable)?;
            reader.end().map_err(unreadable)?;
            standing.add_policy(at, Arc::new(policy));
            Ok(())
        }
        RecordKind::Epoch => {
            let opened = EpochOpened::read(payload).map_err(unreadable)?;
            *standing = standing.after_epoch(opened)?;
            Ok(())
        }
        RecordKind::Group => standing.read_group(&Group::read(payload).map_err(unreadable)?),
        RecordKind::Header => {
            let (header, _) = read_header(payload).map_err(unreadable)?;
            standing.add_header(&header, Hash::of(&[&header.to_bytes()]))
        }
        RecordKind::Move => {
            let moved = StreamClosed::read(payload).map_err(unreadable)?;
            let current = standing.current.as_ref().map(|current| current.stream);
            if current == Some(moved.opened) {
                return standing.reopen(moved);
            }
            *standing = standing.after_close(moved)?;
            Ok(())
        }
        RecordKind::Progress => standing.add_progress(Progress::read(payload).map_err(unreadable)?),
    }
}

/// Reads the whole spool. Only a torn tail and unfinished new files are changed.
pub(super) fn recover<D: Disk>(
    disk: &D,
    dir: &str,
    config: &SpoolConfig,
) -> SpoolResult<Recovered<D::File>> {
    disk.create_dir(dir)?;
    let mut numbers = file::list(disk, dir)?;
    // After a kill names may be there that are not durable yet; what follows relies on them.
    disk.sync_dir(dir)?;
    let mut standing: Option<Standing> = None;
    let mut older = VecDeque::new();
    let mut previous_end = None;
    while let Some(number) = numbers.pop_front() {
        let mut replay = Replay::open(disk, dir, number)?;
        check_follows(&replay, config, standing.as_ref(), previous_end)?;
        let mut meta = meta_of(&replay)?;
        let known_end = match numbers.front() {
            Some(after) => Some(Scanner::open(disk, dir, *after)?.file_head()?.previous_end),
            None => None,
        };
        let limit = known_end.unwrap_or(meta.len).min(meta.len);
        while replay
            .step(limit)?
            .map(|taken| note(&mut meta, &replay, &taken))
            .is_some()
        {}
        meta.end = replay.offset;
        previous_end = Some(meta.end);
        if known_end.is_none() {
            let standing = std::mem::take(&mut replay.standing);
            let (file, torn) = end_of_spool(replay, &meta)?;
            return Ok(Recovered {
                standing,
                older,
                current: Some((meta, file)),
                torn,
            });
        }
        if known_end != Some(meta.end) {
            return Err(replay
                .scanner
                .damaged(meta.end, "no record where one was durable"));
        }
        standing = Some(replay.standing);
        older.push_back(meta);
    }
    Ok(Recovered {
        standing: Standing::default(),
        older,
        current: None,
        torn: None,
    })
}

fn check_follows<F: DiskFile>(
    replay: &Replay<F>,
    config: &SpoolConfig,
    before: Option<&Standing>,
    previous_end: Option<u64>,
) -> SpoolResult<()> {
    let head = &replay.head;
    if (head.ledger, head.coin) != (config.ledger, config.coin) {
        let path = replay.scanner.path().to_owned();
        return Err(SpoolError::Foreign { path });
    }
    let follows = before.is_none_or(|before| replay.standing.follows(before))
        && previous_end.is_none_or(|end| end == head.previous_end);
    if follows {
        Ok(())
    } else {
        Err(replay
            .scanner
            .damaged(0, "not what follows the file before"))
    }
}

fn meta_of<F: DiskFile>(replay: &Replay<F>) -> SpoolResult<FileMeta> {
    Ok(FileMeta {
        number: replay.scanner.number(),
        len: replay.scanner.len()?,
        end: replay.offset,
        spans: BTreeMap::new(),
        last_time: 0,
    })
}

fn note<F>(meta: &mut FileMeta, replay: &Replay<F>, taken: &Replayed) {
    if taken.kind == RecordKind::Group
        && let Ok(group) = Group::read(&taken.payload)
        && let Some(current) = &replay.standing.current
    {
        let span = (group.first_seq, group.next_seq());
        meta.note(group.stream, span, current.last_time);
    }
}

/// The last file has no later one that says where it ends: a tail that never was durable is cut, damage is not. Written
/// again and synced on return, since after a kill or a failed sync records may be there that are not durable yet.
fn end_of_spool<F: DiskFile>(
    mut replay: Replay<F>,
    meta: &FileMeta,
) -> SpoolResult<(F, Option<TornTail>)> {
    let tail = replay.scanner.tail(meta.end)?;
    if tail.was_durable || meta.end < replay.head.state_end {
        return Err(replay
            .scanner
            .damaged(meta.end, "no record where one was durable"));
    }
    let bytes = tail.end.saturating_sub(meta.end);
    let path = replay.scanner.path().to_owned();
    let mut file = replay.scanner.into_file();
    rewrite(&mut file, replay.durable, meta.end)?;
    // Zeros that a former start wrote may not be durable either.
    let zero_end = meta.end.saturating_add(WRITE_BYTES_MAX).min(meta.len);
    zero(&mut file, meta.end, zero_end.max(tail.end))?;
    file.sync()?;
    let torn = (bytes != 0).then_some(TornTail {
        path,
        offset: meta.end,
        bytes,
    });
    Ok((file, torn))
}
