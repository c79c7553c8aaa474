//! `orebook ledger verify --work`: every share that counts is hashed again, from the ledger's bytes alone.
//!
//! What admission cannot know, since it hashes nothing: a share that misses its target, a block that is none, a share under
//! another stream's tag or nonce prefix, one share twice and no void of it, a void of what is no copy, a block that no share
//! explains. Each is named by its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orebook_ledger::admit::{Admitted, Parsed};
use orebook_pow::ethash::{Answer, Epoch, EpochRule, Question};
use orebook_pow::{Claim, PreparedJob, coinbase_tag};
use orebook_schema::event::NO_NUMBER;
use orebook_schema::genesis::{Algorithm, Genesis};
use orebook_schema::units::{U256, WorkUnit};
use orebook_schema::void::Void;
use orebook_schema::work::{
    BlockFound, EthashHeader, EthashJob, EthashShare, Share, Worker, ethash_name,
};
use orebook_schema::{At, Event, Hash, StreamId, Work};

use super::hashers::Hasher;
use crate::Failure;

/// Shares of a ledger at most: each takes 24 bytes of memory, to find the one that is there twice.
const SHARES_MAX: usize = 1 << 28;
/// Shares that are hashed together, shared among the processor's cores.
const TOGETHER: usize = 8_192;
/// Faults that are named; the others are counted.
const FAULTS_NAMED: usize = 100;

/// Why a share, a block or a job is not what the ledger says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Target,
    NotABlock,
    BlockNotSaid,
    Tag,
    Prefix,
    Duplicate(At),
    Void,
    Unexplained,
    Mix,
    Job,
    Epoch,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Target => "a share whose hash misses its target",
            Self::NotABlock => "a share said to be a block whose hash misses the block target",
            Self::BlockNotSaid => "a share whose hash makes a block, not said to be one",
            Self::Tag => "a share whose coinbase has another stream's or epoch's tag",
            Self::Prefix => "a share whose nonce is outside of its worker's prefix",
            Self::Void => "a void of a share that has not the name of the other",
            Self::Duplicate(first) => return write!(f, "a share that is also at {first}"),
            Self::Unexplained => "a block found that no share explains",
            Self::Mix => "a block found whose header has another mix than its nonce gives",
            Self::Job => "a job whose shares cannot be hashed",
            Self::Epoch => "a job whose seed is not that of its height",
        })
    }
}

/// What is worked on under a number.
#[derive(Clone, Debug)]
enum Job {
    Header {
        prepared: Arc<PreparedJob>,
        tag: [u8; 8],
    },
    Ethash {
        epoch: Epoch,
        seal: Hash,
        network_work: u128,
    },
    /// It was named as a fault; its shares are not judged.
    Unusable,
}

/// What a stream announced in an epoch. A kilobyte a job; gone when the stream's next epoch begins.
#[derive(Debug, Default)]
struct Announced {
    workers: BTreeMap<u32, Worker>,
    jobs: BTreeMap<u32, Job>,
}

/// A share that waits to be hashed.
#[derive(Clone, Debug)]
struct Waiting {
    at: At,
    claim: Claimed,
    work: Work,
    is_block: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Claimed {
    Header(Arc<PreparedJob>, Claim),
    Ethash(Epoch, Question, u128),
}

/// What came out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hashed {
    /// The number that is compared with targets.
    pub(super) value: U256,
    /// What names the share.
    pub(super) name: Hash,
}

/// A block that was found, to be explained by a share.
#[derive(Debug)]
struct Found {
    at: At,
    hash: Hash,
    header: Option<(Epoch, EthashHeader)>,
}

/// What was hashed, and what is wrong.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) hashed: u64,
    pub(super) blocks: u64,
    /// The first ones, by place.
    named: Vec<(At, Fault)>,
    pub(super) faults: u64,
}

impl Findings {
    fn add(&mut self, at: At, fault: Fault) {
        self.faults += 1;
        if self.named.len() < FAULTS_NAMED {
            self.named.push((at, fault));
        }
    }

    /// A line for each fault that is named.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut named = self.named.clone();
        named.sort_unstable_by_key(|(at, _)| *at);
        let line = |(at, fault): &(At, Fault)| format!("{at}: {fault}");
        named.iter().map(line).collect()
    }
}

/// The audit of a ledger's work: frames in order, then [`Self::finish`].
pub(super) struct WorkAudit {
    algorithm: Algorithm,
    unit: WorkUnit,
    rule: Option<EpochRule>,
    hasher: Hasher,
    announced: BTreeMap<StreamId, (u32, Announced)>,
    waiting: Vec<Waiting>,
    /// The first 16 bytes of each share's name, and its place: the position's 48 bits and the index's 16.
    names: Vec<[u64; 3]>,
    found: Vec<Found>,
    /// Voids with their places.
    voids: Vec<(At, Void)>,
    findings: Findings,
}

impl WorkAudit {
    pub(super) fn new(genesis: &Genesis, oracle: bool) -> Result<Self, Failure> {
        let algorithm = genesis.algorithm;
        let rule = EpochRule::of(algorithm);
        if oracle && rule.is_none() {
            let message = format!("there is no other hasher of {}", algorithm.name());
            return Err(Failure::new(message).hint("--oracle is for ethash and etchash"));
        }
        Ok(Self {
            algorithm,
            unit: algorithm.work_unit(),
            rule,
            hasher: Hasher::new(oracle),
            announced: BTreeMap::new(),
            waiting: Vec::new(),
            names: Vec::new(),
            found: Vec::new(),
            voids: Vec::new(),
            findings: Findings::default(),
        })
    }

    /// Shares hashed so far.
    pub(super) const fn hashed(&self) -> u64 {
        self.findings.hashed
    }

    /// Takes the events of an admitted frame.
    pub(super) fn frame(&mut self, parsed: &Parsed, admitted: &Admitted) -> Result<(), Failure> {
        let header = parsed.frame().header();
        let (stream, epoch) = (header.stream, header.epoch);
        let of_stream = self.announced.entry(stream).or_default();
        if of_stream.0 != epoch {
            // No frame of an earlier epoch is admitted any more.
            *of_stream = (epoch, Announced::default());
        }
        let mut counts = admitted.counts.iter();
        for (index, event) in (0..).zip(parsed.events()) {
            let at = At {
                position: admitted.position,
                index,
            };
            match event {
                Event::Moved(moved) => {
                    let counted = counts.next().copied().unwrap_or(false);
                    let Ok(inner) = moved.inner() else {
                        continue;
                    };
                    if !counted {
                        continue;
                    }
                    match inner {
                        Event::Share(share) if moved.worker != NO_NUMBER => {
                            let (worker, job) = (moved.worker, moved.job);
                            let share = Share {
                                worker,
                                job,
                                ..share
                            };
                            self.share(at, stream, (moved.stream, moved.epoch), &share);
                        }
                        Event::EthashShare(share) if moved.worker != NO_NUMBER => {
                            let (worker, job) = (moved.worker, moved.job);
                            self.ethash_share(
                                at,
                                stream,
                                &EthashShare {
                                    worker,
                                    job,
                                    ..share
                                },
                            );
                        }
                        Event::BlockFound(found) => self.block_found(at, &found),
                        _ => {}
                    }
                }
                Event::Share(share) => self.share(at, stream, (stream, epoch), share),
                Event::EthashShare(share) => self.ethash_share(at, stream, share),
                Event::BlockFound(found) => self.block_found(at, found),
                Event::Void(void) => self.voids.push((at, *void)),
                other => self.announce(at, stream, other),
            }
        }
        if TOGETHER <= self.waiting.len() {
            self.hash_waiting()?;
        }
        Ok(())
    }

    fn announce(&mut self, at: At, stream: StreamId, event: &Event) {
        let (number, job) = match event {
            Event::Worker(worker) => {
                if let Some((_, announced)) = self.announced.get_mut(&stream) {
                    announced
                        .workers
                        .insert(worker.number, worker.as_ref().clone());
                }
                return;
            }
            Event::Job(job) => {
                let tag = job.coinbase1.last_chunk::<8>().copied();
                let prepared = PreparedJob::new(job, self.algorithm).map(Arc::new);
                let usable = tag.zip(prepared);
                let made = usable.map(|(tag, prepared)| Job::Header { prepared, tag });
                (job.number, made.ok_or(Fault::Job))
            }
            Event::EthashJob(job) => (job.number, self.ethash_job(job)),
            _ => return,
        };
        let job = job.unwrap_or_else(|fault| {
            self.findings.add(at, fault);
            Job::Unusable
        });
        if let Some((_, announced)) = self.announced.get_mut(&stream) {
            announced.jobs.insert(number, job);
        }
    }

    fn ethash_job(&self, job: &EthashJob) -> Result<Job, Fault> {
        let epoch = self.rule.and_then(|rule| rule.epoch(job.height));
        let epoch = epoch.ok_or(Fault::Job)?;
        if epoch.seed() != job.seed {
            return Err(Fault::Epoch);
        }
        Ok(Job::Ethash {
            epoch,
            seal: job.seal,
            network_work: job.network_work,
        })
    }

    fn job(&self, stream: StreamId, number: u32) -> Option<&Job> {
        self.announced.get(&stream)?.1.jobs.get(&number)
    }

    fn worker(&self, stream: StreamId, number: u32) -> Option<&Worker> {
        self.announced.get(&stream)?.1.workers.get(&number)
    }

    /// Its job was announced by `stream`, its coinbase is of `home`: another one if the share was moved.
    fn share(&mut self, at: At, stream: StreamId, home: (StreamId, u32), share: &Share) {
        let found = self
            .job(stream, share.job)
            .zip(self.worker(stream, share.worker));
        let Some((Job::Header { prepared, tag }, worker)) = found else {
            return;
        };
        let claim = Claim {
            extranonce1: worker.extranonce1,
            extranonce2: share.extranonce2,
            ntime: share.ntime,
            nonce: share.nonce,
            version: share.version,
        };
        let waiting = Waiting {
            at,
            claim: Claimed::Header(Arc::clone(prepared), claim),
            work: share.work,
            is_block: share.block,
        };
        if *tag != coinbase_tag(home.0, home.1) {
            self.findings.add(at, Fault::Tag);
        }
        self.waiting.push(waiting);
    }

    fn ethash_share(&mut self, at: At, stream: StreamId, share: &EthashShare) {
        let found = self
            .job(stream, share.job)
            .zip(self.worker(stream, share.worker));
        let Some((
            Job::Ethash {
                epoch,
                seal,
                network_work,
            },
            worker,
        )) = found
        else {
            return;
        };
        let question = Question {
            seal: *seal,
            nonce: share.nonce,
        };
        let waiting = Waiting {
            at,
            claim: Claimed::Ethash(*epoch, question, *network_work),
            work: share.work,
            is_block: share.block,
        };
        if !share
            .nonce
            .to_be_bytes()
            .starts_with(worker.extranonce1.bytes())
        {
            self.findings.add(at, Fault::Prefix);
        }
        self.waiting.push(waiting);
    }

    fn block_found(&mut self, at: At, found: &BlockFound) {
        let epoch = self.rule.and_then(|rule| rule.epoch(found.height));
        self.findings.blocks += 1;
        self.found.push(Found {
            at,
            hash: found.hash,
            header: epoch.zip(EthashHeader::read(&found.header)),
        });
    }

    fn hash_waiting(&mut self) -> Result<(), Failure> {
        let waiting = std::mem::take(&mut self.waiting);
        if SHARES_MAX < self.names.len() + waiting.len() {
            let message = format!("more than {SHARES_MAX} shares cannot be compared in one run");
            return Err(Failure::new(message));
        }
        let claims: Vec<&Claimed> = waiting.iter().map(|one| &one.claim).collect();
        let hashed = self.hasher.hash(&claims)?;
        for (one, hashed) in waiting.iter().zip(hashed) {
            self.findings.hashed += 1;
            if let Some(fault) = judge(one, hashed.value, self.unit) {
                self.findings.add(one.at, fault);
            }
            let [first, second] = name_words(&hashed.name);
            self.names.push([first, second, packed(one.at)]);
        }
        Ok(())
    }

    /// The shares that voids take back rightly: both it cites are shares of one name. A void of others is a fault; one that
    /// repeats another, as two archivers may say it, is none.
    fn judge_voids(&mut self) -> BTreeSet<u64> {
        let cited = self.voids.iter();
        let mut cited: BTreeMap<u64, Option<[u64; 2]>> = cited
            .flat_map(|(_, void)| [packed(void.share), packed(void.first)])
            .map(|place| (place, None))
            .collect();
        for [first, second, place] in &self.names {
            if let Some(name) = cited.get_mut(place) {
                *name = Some([*first, *second]);
            }
        }
        let name = |at: At| cited.get(&packed(at)).copied().flatten();
        let mut right = BTreeSet::new();
        for (at, void) in &self.voids {
            if name(void.share).is_some() && name(void.share) == name(void.first) {
                right.insert(packed(void.share));
            } else {
                self.findings.add(*at, Fault::Void);
            }
        }
        right
    }

    /// Hashes what waits, and looks for shares that are there twice and for blocks without a share.
    pub(super) fn finish(mut self) -> Result<Findings, Failure> {
        self.hash_waiting()?;
        self.names.sort_unstable();
        let void = self.judge_voids();
        let mut first_of_name: Option<[u64; 3]> = None;
        for name in &self.names {
            match first_of_name {
                Some(first) if first[..2] == name[..2] => {
                    if !void.contains(&name[2]) {
                        let fault = Fault::Duplicate(place(first[2]));
                        self.findings.add(place(name[2]), fault);
                    }
                }
                _ => first_of_name = Some(*name),
            }
        }
        for found in &self.found {
            let name = name_words(&found.hash);
            let explained = self.names.binary_search_by_key(&name, |[a, b, _]| [*a, *b]);
            if explained.is_err() {
                self.findings.add(found.at, Fault::Unexplained);
            }
            if let Some((epoch, header)) = found.header {
                let question = Question {
                    seal: header.seal,
                    nonce: header.nonce,
                };
                let Answer { mix, .. } = self.hasher.answer(epoch, question)?;
                if mix != header.mix {
                    self.findings.add(found.at, Fault::Mix);
                }
            }
        }
        Ok(self.findings)
    }
}

/// A place in one number, as [`place`] reads it.
fn packed(at: At) -> u64 {
    at.position << 16 | u64::from(at.index)
}

/// As the money rules have it: at the block target a share is accepted also where it misses its own.
fn judge(one: &Waiting, value: U256, unit: WorkUnit) -> Option<Fault> {
    let (surely, possibly) = match &one.claim {
        Claimed::Header(job, _) => (job.block_target(), job.block_target()),
        Claimed::Ethash(_, _, network_work) => ethash_block_targets(*network_work),
    };
    if one.is_block && possibly < value {
        return Some(Fault::NotABlock);
    }
    if !one.is_block && value <= surely {
        return Some(Fault::BlockNotSaid);
    }
    (!one.is_block && one.work.target(unit) < value).then_some(Fault::Target)
}

/// An ethash job has its network work and not its target: the smallest and the largest target that have this work.
fn ethash_block_targets(network_work: u128) -> (U256, U256) {
    let target = |work: U256| match work {
        work if work <= U256::from(1) => U256::MAX,
        // floor(2^256 / w) without 257 bits: (2^256 - w) / w + 1.
        work => (U256::ZERO.wrapping_sub(work) / work) + U256::from(1),
    };
    let work = U256::from(network_work);
    let next = target(work + U256::from(1));
    (next.min(target(work)), target(work))
}

fn name_words(name: &Hash) -> [u64; 2] {
    let words = name.0.as_chunks::<8>().0;
    let word = |at: usize| words.get(at).map_or(0, |bytes| u64::from_be_bytes(*bytes));
    [word(0), word(1)]
}

fn place(packed: u64) -> At {
    At {
        position: packed >> 16,
        index: u16::try_from(packed & 0xffff).unwrap_or(u16::MAX),
    }
}

/// The name of a share of ethash.
pub(super) fn ethash_hashed(question: &Question, answer: &Answer) -> Hashed {
    Hashed {
        value: answer.value,
        name: ethash_name(&question.seal, question.nonce),
    }
}
