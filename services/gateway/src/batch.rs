//! What the loop hands to the writer, and what comes back: shares with what they refer to, and the replies that wait for them.
//! Batches are used again; in the steady state nothing is allocated for a share.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use orebook_schema::Work;
use orebook_schema::work::{BlockFound, EthashJob, Extranonce, Job, Worker};
use orebook_stratum::Id;

use crate::edge::EdgePlace;

/// A user of a session, as the loop names it. Never used again while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerKey(pub(crate) u32);

/// A job, as the loop and the wire name it. Never used again while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobKey(pub(crate) u32);

/// A connection: its place, and which of those that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// A checked share on its way to the spool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) worker: WorkerKey,
    pub(crate) job: JobKey,
    pub(crate) work: Work,
    pub(crate) block: bool,
    pub(crate) stale: bool,
    /// Where its connection was counted.
    pub(crate) edge: EdgePlace,
    pub(crate) proof: Proof,
    pub(crate) outcome: Outcome,
}

/// What was hashed, beside the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A header that was put together here.
    Header {
        nonce: u32,
        ntime: u32,
        version: u32,
        extranonce2: Extranonce,
    },
    /// A nonce of ethash under the job's seal hash.
    Nonce(u64),
}

/// A job as the ledger has it; its number is filled in by the writer.
#[derive(Clone, Debug)]
pub(crate) enum Announced {
    Built(Arc<Job>),
    Given(Arc<EthashJob>),
}

/// What became of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Not written yet: nobody may be answered.
    Waiting,
    /// Durable.
    Recorded,
    /// Not recorded, and never will be.
    Refused(Refusal),
}

/// Why a checked share was not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The spool has no room.
    NoRoom,
    /// The gateway's key is not in force.
    NotInForce,
    /// Too many rigs and jobs are announced.
    TooMany,
    /// The stream was closed since its job was made.
    OldStream,
    /// A fault of ours: the spool does not take it.
    Fault,
}

/// What a connection is told, in the order of its requests.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) conn: ConnId,
    pub(crate) what: Answer,
}

/// A reply.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// As the share of this index fares; `id` is the request's.
    Share { index: u32, id: Id },
    /// These lines of the batch's arena.
    Lines(Range<u32>),
}

/// One turn of the loop.
#[derive(Debug)]
pub(crate) struct Batch {
    /// When its bytes were read.
    pub(crate) received: Instant,
    /// The same, milliseconds since 1970: the shares' time.
    pub(crate) now_ms: u64,
    /// Rigs with their first share below. The number is filled in by the writer.
    pub(crate) new_workers: Vec<(WorkerKey, Box<Worker>)>,
    /// Jobs made since the last batch. The number is filled in by the writer.
    pub(crate) new_jobs: Vec<(JobKey, Announced, Tagged)>,
    pub(crate) shares: Vec<Candidate>,
    /// Blocks, each with the index of its share, ascending.
    pub(crate) blocks: Vec<(u32, BlockFound)>,
    /// Rigs that send nothing after this batch.
    pub(crate) gone_workers: Vec<WorkerKey>,
    /// Jobs that nothing refers to after this batch.
    pub(crate) gone_jobs: Vec<JobKey>,
    pub(crate) replies: Vec<Reply>,
    pub(crate) arena: Vec<u8>,
}

/// Which opening of a stream a job's coinbase names: grows with each new epoch or stream of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tagged(pub(crate) u32);

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            received: Instant::now(),
            now_ms: 0,
            new_workers: Vec::new(),
            new_jobs: Vec::new(),
            shares: Vec::new(),
            blocks: Vec::new(),
            gone_workers: Vec::new(),
            gone_jobs: Vec::new(),
            replies: Vec::new(),
            arena: Vec::new(),
        }
    }

    /// Whether the writer has nothing to do with it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.new_workers.is_empty()
            && self.new_jobs.is_empty()
            && self.shares.is_empty()
            && self.gone_workers.is_empty()
            && self.gone_jobs.is_empty()
            && self.replies.is_empty()
    }

    /// Empties it and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.new_workers.clear();
        self.new_jobs.clear();
        self.shares.clear();
        self.blocks.clear();
        self.gone_workers.clear();
        self.gone_jobs.clear();
        self.replies.clear();
        self.arena.clear();
    }

    /// Bytes of the arena.
    pub(crate) fn text(&self, range: &Range<u32>) -> &[u8] {
        let at = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        self.arena
            .get(at(range.start)..at(range.end))
            .unwrap_or_default()
    }

    /// Puts bytes into the arena.
    pub(crate) fn keep(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        arena_range(start, self.arena.len())
    }
}

/// A range of an arena; a turn reads far fewer bytes than 2^32.
pub(crate) fn arena_range(start: usize, end: usize) -> Range<u32> {
    let at = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    at(start)..at(end)
}
