//! All claims of a turn: hashed together job by job, compared with their targets, and those that are shares put into the
//! turn's batch, in the order of the requests. A block leaves for the nodes before anything else.

use std::time::Instant;

use orebook_pow::ethash::{self, Question};
use orebook_pow::{Claim, Judgement, Proof, judge};
use orebook_schema::Hash;
use orebook_schema::activity::Reject;
use orebook_schema::work::{BlockFound, EthashHeader, Worker, ethash_name};
use orebook_stratum::{Id, Speaker, StratumError, UserNumber};

use crate::awaited::Held;
use crate::batch::{self, Answer, Candidate, ConnId, JobKey, Outcome, Reply, WorkerKey};
use crate::conn::{Conn, Due};
use crate::edge::ShareResult;
use crate::handle::{Found, FoundBlock};
use crate::jobs::{Built, LiveJob};
use crate::looper::{Loop, Order};

/// Said to a miner whose share nobody has time to check.
const BUSY: &str = "busy: too many shares wait for their checks";

/// A submit whose fields are in order.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) conn: ConnId,
    pub(crate) user: UserNumber,
    pub(crate) job: JobKey,
    /// The difficulty its job was sent with.
    pub(crate) work: Due,
    pub(crate) stale: bool,
    pub(crate) said: Said,
    pub(crate) id: Id,
    pub(crate) verdict: Verdict,
    /// When it was read and, if it was hashed, judged.
    pub(crate) read: Instant,
    pub(crate) judged: Option<Instant>,
}

/// What a submit says that was hashed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    Header(Claim),
    /// Under the job's seal hash, perhaps with the mix that it is to have.
    Nonce(u64, Option<Hash>),
}

/// What a claim comes to.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Not judged yet.
    Open,
    /// Judged when the check of this name comes back.
    Asked(u64),
    /// Not judged, and not to be: too many wait for their checks.
    Busy,
    Share,
    Block(Box<BlockFound>),
    Refused(StratumError),
}

impl Claimed {
    /// Takes it, with its verdict.
    pub(crate) fn taken(&mut self) -> Self {
        Self {
            id: self.id.clone(),
            verdict: std::mem::replace(&mut self.verdict, Verdict::Open),
            ..*self
        }
    }
}

/// Memory of a turn's judging, used again.
#[derive(Debug, Default)]
pub(crate) struct Bench {
    order: Vec<usize>,
    claims: Vec<Claim>,
    proofs: Vec<Proof>,
}

impl Loop {
    /// Judges the claims of this turn and puts all its answers in order.
    pub(crate) fn judge(&mut self) {
        if self.orders.is_empty() {
            return;
        }
        let mut claims = std::mem::take(&mut self.claims);
        self.prove(&mut claims);
        let mut orders = std::mem::take(&mut self.orders);
        for order in orders.drain(..) {
            match order {
                Order::Lines(id, range) => self.lines(id, range),
                Order::Claim(index) => {
                    if let Some(claimed) = claims.get_mut(index) {
                        self.conclude(claimed);
                    }
                }
            }
        }
        claims.clear();
        self.claims = claims;
        self.orders = orders;
        self.arena.clear();
    }

    fn prove(&mut self, claims: &mut [Claimed]) {
        let mut bench = std::mem::take(&mut self.bench);
        bench.order.clear();
        bench.order.extend(0..claims.len());
        let job_of = |index: &usize| claims.get(*index).map(|claimed| claimed.job);
        if !bench.order.is_sorted_by_key(job_of) {
            bench.order.sort_by_key(job_of);
        }
        let order = std::mem::take(&mut bench.order);
        let same_job = |a: &usize, b: &usize| {
            claims.get(*a).map(|claimed| claimed.job) == claims.get(*b).map(|claimed| claimed.job)
        };
        let groups: Vec<(usize, usize)> = order
            .chunk_by(same_job)
            .scan(0, |start, group| {
                let from = *start;
                *start += group.len();
                Some((from, *start))
            })
            .collect();
        for (from, to) in groups {
            let group = order.get(from..to).unwrap_or_default();
            self.prove_group(claims, group, &mut bench);
        }
        bench.order = order;
        self.bench = bench;
    }

    /// Proves the claims of one job together, then judges them in their order.
    fn prove_group(&mut self, claims: &mut [Claimed], group: &[usize], bench: &mut Bench) {
        bench.claims.clear();
        bench.proofs.clear();
        let members = group.iter().filter_map(|index| claims.get(*index));
        let headers = members.filter_map(|claimed| match claimed.said {
            Said::Header(claim) => Some(claim),
            Said::Nonce(..) => None,
        });
        bench.claims.extend(headers);
        let job = group.first().and_then(|index| claims.get(*index));
        let job = job.and_then(|claimed| self.jobs.get_mut(claimed.job));
        let Some(job) = job.filter(|job| !job.is_slow()) else {
            return;
        };
        let Some(built) = job.built() else {
            return;
        };
        built.prepared.prove_batch(&bench.claims, &mut bench.proofs);
        job.seen
            .prefetch(bench.proofs.iter().map(|proof| &proof.block_hash));
        let mut blocks = 0;
        let judged = Instant::now();
        for (index, proof) in group.iter().zip(&bench.proofs) {
            let Some(claimed) = claims.get_mut(*index) else {
                continue;
            };
            let block;
            (claimed.verdict, block) = verdict(job, claimed, proof);
            claimed.judged = Some(judged);
            if let Some(block) = block {
                blocks += 1;
                (self.on_block)(block);
            }
        }
        self.counts.blocks += blocks;
    }

    /// Lines that have to wait for answers before them.
    fn lines(&mut self, id: ConnId, range: std::ops::Range<usize>) {
        let place = usize::try_from(id.slot).unwrap_or(usize::MAX);
        let Some(Some(conn)) = self.conns.get_mut(place) else {
            return;
        };
        conn.claims = 0;
        let text = self.arena.get(range).unwrap_or_default();
        if !conn.held.is_empty() {
            conn.held.push_back(Held::Lines(text.into()));
            self.awaited.held += 1;
        } else if conn.waiting == 0 {
            conn.out(&mut self.spare).extend_from_slice(text);
            self.soil(id.slot);
        } else {
            conn.waiting += 1;
            let what = Answer::Lines(self.batch.keep(text));
            self.batch.replies.push(Reply { conn: id, what });
        }
    }

    fn conclude(&mut self, claimed: &mut Claimed) {
        let id = claimed.conn;
        let place = usize::try_from(id.slot).unwrap_or(usize::MAX);
        let Some(mut conn) = self.conns.get_mut(place).and_then(Option::take) else {
            return;
        };
        conn.claims = 0;
        if matches!(claimed.verdict, Verdict::Open) {
            self.ask(claimed);
        }
        if conn.held.is_empty() && !matches!(claimed.verdict, Verdict::Asked(_)) {
            self.answer_claim(&mut conn, claimed);
        } else {
            self.hold(&mut conn, claimed);
        }
        if let Some(place) = self.conns.get_mut(place) {
            *place = Some(conn);
        }
    }

    /// Everything before it is answered, and it is judged.
    pub(crate) fn answer_claim(&mut self, conn: &mut Conn, claimed: &mut Claimed) {
        self.note_verdict(conn, claimed);
        match std::mem::replace(&mut claimed.verdict, Verdict::Open) {
            Verdict::Share => self.record(conn, claimed, None),
            Verdict::Block(event) => self.record(conn, claimed, Some(*event)),
            Verdict::Refused(error) => self.refuse(conn, claimed, error),
            Verdict::Busy => self.refuse_busy(conn, claimed),
            Verdict::Open | Verdict::Asked(_) => {
                self.refuse(conn, claimed, StratumError::JobNotFound);
            }
        }
    }

    fn refuse(&mut self, conn: &mut Conn, claimed: &Claimed, error: StratumError) {
        self.count_refused(conn, Some(claimed.user), error);
        self.reply(conn, claimed.conn, |speaker, out| {
            speaker.refused(out, &claimed.id, error);
        });
    }

    /// The miner is not to blame, so it is not counted against its session.
    fn refuse_busy(&mut self, conn: &mut Conn, claimed: &Claimed) {
        let user = conn.users.get(usize::from(claimed.user.0));
        let account = user.map(|user| &user.account);
        self.activity
            .rejected(account, Reject::Unrecorded, self.now_ms);
        conn.rejected += 1;
        self.counts.shares.other += 1;
        self.edge.share(conn.edge, ShareResult::Busy);
        self.reply(conn, claimed.conn, |speaker, out| {
            speaker.refused_why(out, &claimed.id, StratumError::Unavailable, BUSY);
        });
    }

    /// Replies behind what waits for the writer.
    fn reply(&mut self, conn: &mut Conn, id: ConnId, write: impl FnOnce(&Speaker, &mut Vec<u8>)) {
        if conn.waiting == 0 {
            conn.say(&mut self.spare, write);
        } else {
            conn.waiting += 1;
            let start = self.batch.arena.len();
            write(&conn.session, &mut self.batch.arena);
            let what = Answer::Lines(batch::arena_range(start, self.batch.arena.len()));
            self.batch.replies.push(Reply { conn: id, what });
        }
        self.soil(id.slot);
    }

    /// Lines whose turn came.
    pub(crate) fn reply_lines(&mut self, conn: &mut Conn, id: ConnId, text: &[u8]) {
        self.reply(conn, id, |_, out| out.extend_from_slice(text));
    }

    /// A share goes to the writer; its answer comes back with it.
    fn record(&mut self, conn: &mut Conn, claimed: &Claimed, block: Option<BlockFound>) {
        let Some(worker) = self.introduce(conn, claimed.user) else {
            return self.refuse(conn, claimed, StratumError::Unauthorized);
        };
        conn.bad_shares = 0;
        self.note_good(conn, claimed.user);
        conn.silence.share(claimed.work.work, self.now);
        conn.wants_job |= conn.vardiff.share(claimed.work.work, self.now_ms);
        conn.waiting += 1;
        let index = u32::try_from(self.batch.shares.len()).unwrap_or(u32::MAX);
        let is_block = block.is_some();
        self.batch.blocks.extend(block.map(|block| (index, block)));
        self.batch.shares.push(Candidate {
            worker,
            job: claimed.job,
            work: claimed.work.work,
            block: is_block,
            stale: claimed.stale,
            edge: conn.edge,
            proof: match claimed.said {
                Said::Header(claim) => batch::Proof::Header {
                    nonce: claim.nonce,
                    ntime: claim.ntime,
                    version: claim.version,
                    extranonce2: claim.extranonce2,
                },
                Said::Nonce(nonce, _) => batch::Proof::Nonce(nonce),
            },
            outcome: Outcome::Waiting,
        });
        self.batch.replies.push(Reply {
            conn: claimed.conn,
            what: Answer::Share {
                index,
                id: claimed.id.clone(),
            },
        });
    }

    /// How the writer knows a user: named with its first accepted share, and again when its version mask changed.
    fn introduce(&mut self, conn: &mut Conn, number: UserNumber) -> Option<WorkerKey> {
        let mask = conn.session.version_mask();
        let user = conn.users.get(usize::from(number.0))?;
        if let Some((key, of)) = user.introduced
            && of == mask
        {
            return Some(key);
        }
        self.batch
            .gone_workers
            .extend(user.introduced.map(|(key, _)| key));
        let (account, name) = (user.account.clone(), user.name.clone());
        let name = self.recorded_name(&account, &name);
        let key = WorkerKey(self.next_worker);
        self.next_worker = self.next_worker.wrapping_add(1);
        let worker = Worker {
            number: 0,
            pot: self.config.ports.get(conn.port)?.pot,
            extranonce1: conn.session.extranonce1()?,
            extranonce2_size: conn.session.extranonce2_size(),
            version_mask: mask,
            account,
            name,
        };
        self.batch.new_workers.push((key, Box::new(worker)));
        if let Some(user) = conn.users.get_mut(usize::from(number.0)) {
            // Another version mask introduces it again; it is said once.
            conn.unsaid += u32::from(user.introduced.is_none());
            user.introduced = Some((key, mask));
        }
        Some(key)
    }
}

/// What a proven claim comes to, and the block for the nodes if it is one.
pub(crate) fn verdict(
    job: &mut LiveJob,
    claimed: &Claimed,
    proof: &Proof,
) -> (Verdict, Option<FoundBlock>) {
    let judgement = judge(proof, claimed.work.target, job.block_target());
    if let Some(refused) = refused(job, judgement, &proof.block_hash) {
        return (refused, None);
    }
    match (judgement, job.built(), claimed.said) {
        (Judgement::Block, Some(built), Said::Header(claim)) => {
            let (found, event) = found(built, &claim, proof);
            (Verdict::Block(Box::new(event)), Some(found))
        }
        _ => (Verdict::Share, None),
    }
}

/// The same of ethash: the answer to the question that the claim asks.
pub(crate) fn ethash_verdict(
    job: &mut LiveJob,
    claimed: &Claimed,
    (question, answer): (Question, ethash::Answer),
) -> (Verdict, Option<FoundBlock>) {
    let Question { seal, nonce } = question;
    let is_as_said = match claimed.said {
        Said::Nonce(_, Some(mix)) => mix == answer.mix,
        _ => true,
    };
    let judgement = if !is_as_said {
        Judgement::Low
    } else if answer.value <= job.block_target() {
        Judgement::Block
    } else if answer.value <= claimed.work.target {
        Judgement::Share
    } else {
        Judgement::Low
    };
    let name = ethash_name(&seal, nonce);
    if let Some(refused) = refused(job, judgement, &name) {
        return (refused, None);
    }
    if judgement != Judgement::Block {
        return (Verdict::Share, None);
    }
    let mix = answer.mix;
    let header = EthashHeader { seal, nonce, mix };
    let height = job.height();
    let found = FoundBlock {
        hash: name,
        height,
        what: Found::Solution(header),
    };
    (Verdict::Block(Box::new(header.found(height))), Some(found))
}

/// Why a proven claim is no share. A share is remembered only if it is one: an entry costs its miner work.
fn refused(job: &mut LiveJob, judgement: Judgement, name: &Hash) -> Option<Verdict> {
    if judgement == Judgement::Low {
        Some(Verdict::Refused(StratumError::LowDifficulty))
    } else if !job.seen.insert(name) {
        Some(Verdict::Refused(StratumError::Duplicate))
    } else {
        None
    }
}

/// The block for the nodes, and what the ledger says of it.
fn found(job: &Built, claim: &Claim, proof: &Proof) -> (FoundBlock, BlockFound) {
    let coinbase = job.prepared.coinbase(claim);
    let found = FoundBlock {
        hash: proof.block_hash,
        height: job.template.height,
        what: Found::Block(job.template.block(&proof.header, &coinbase)),
    };
    let event = BlockFound {
        hash: proof.block_hash,
        height: job.template.height,
        coinbase_txid: job.prepared.coinbase_txid(claim),
        header: proof.header.to_vec(),
    };
    (found, event)
}
