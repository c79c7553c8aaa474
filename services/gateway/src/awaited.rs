//! Claims that take long to hash: asked of [`Checks`], judged when the answer comes, and the replies behind them kept in the
//! order of the requests.
//!
//! A claim that was taken is judged, and recorded if it is a share, also when its job is superseded or its connection lost
//! meanwhile ([`lost`](crate::looper::lost)).

use std::collections::HashMap;

use orebook_pow::ethash::{self, claimed_value};
use orebook_pow::{Proof, sha256d};
use orebook_schema::work::ethash_name;
use orebook_stratum::StratumError;

use crate::batch::ConnId;
use crate::caches::Caches;
use crate::checks::{Answer, Checks, Done, EthashQuestion, Question};
use crate::conn::Conn;
use crate::jobs::{JobWork, LiveJob};
use crate::judge::{Claimed, Said, Verdict, ethash_verdict, verdict};
use crate::looper::Loop;

/// A reply that waits for a check, or behind one that does.
#[derive(Debug)]
pub(crate) enum Held {
    /// The claim with the check of this name.
    Asked(u64),
    Judged(Box<Claimed>),
    Lines(Box<[u8]>),
}

/// What waits for checks.
#[derive(Debug)]
pub(crate) struct Awaited {
    checks: Checks,
    /// By the names of their checks. As many as the checks have room for.
    pub(crate) claims: HashMap<u64, Claimed>,
    /// Connections that ended while claims of theirs were checked.
    pub(crate) lost: HashMap<ConnId, Box<Conn>>,
    /// Name of the next one.
    next: u64,
    /// Replies that connections hold back.
    pub(crate) held: usize,
    /// Memory of a turn, used again.
    done: Vec<Done>,
}

impl Awaited {
    pub(crate) fn new(checks: Checks) -> Self {
        Self {
            checks,
            claims: HashMap::new(),
            lost: HashMap::new(),
            next: 0,
            held: 0,
            done: Vec::new(),
        }
    }

    /// Whether no claim is checked.
    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }
}

impl Loop {
    /// Asks for the check of a claim, if it is one that takes long; its verdict says what became of that.
    pub(crate) fn ask(&mut self, claimed: &mut Claimed) {
        let job = self.jobs.get_mut(claimed.job);
        let Some(job) = job.filter(|job| job.is_slow()) else {
            return;
        };
        let asked = question(job, claimed, &self.caches);
        let question = match asked {
            Ok(question) => question,
            Err(error) => {
                claimed.verdict = Verdict::Refused(error);
                return;
            }
        };
        let token = self.awaited.next;
        claimed.verdict = match self.awaited.checks.ask(token, claimed.conn, question) {
            Ok(()) => {
                self.awaited.next += 1;
                job.awaited += 1;
                Verdict::Asked(token)
            }
            Err(busy) => {
                tracing::debug!(?busy, "a share is not checked");
                Verdict::Busy
            }
        };
    }

    /// Holds the reply to a claim back, until its check and what is before it.
    pub(crate) fn hold(&mut self, conn: &mut Conn, claimed: &mut Claimed) {
        let taken = claimed.taken();
        let held = match taken.verdict {
            Verdict::Asked(token) => {
                self.awaited.claims.insert(token, taken);
                Held::Asked(token)
            }
            _ => Held::Judged(Box::new(taken)),
        };
        conn.held.push_back(held);
        self.awaited.held += 1;
    }

    /// Takes the checks that came back.
    pub(crate) fn take_checked(&mut self) {
        let mut done = std::mem::take(&mut self.awaited.done);
        self.awaited.checks.take_done(&mut done);
        for done in done.drain(..) {
            self.checked(&done);
        }
        self.awaited.done = done;
    }

    fn checked(&mut self, done: &Done) {
        let Some(mut claimed) = self.awaited.claims.remove(&done.token) else {
            return;
        };
        self.judge_checked(&mut claimed, done.answer);
        let place = usize::try_from(done.session.slot).unwrap_or(usize::MAX);
        let conn = self.conns.get_mut(place);
        let is_its = |conn: &mut Box<Conn>| conn.generation == done.session.generation;
        let Some(mut conn) = conn.and_then(|conn| conn.take_if(is_its)) else {
            return self.checked_of_lost(&mut claimed, done.token);
        };
        let mut held = conn.held.iter_mut();
        let its = held.find(|held| matches!(held, Held::Asked(token) if *token == done.token));
        if let Some(its) = its {
            *its = Held::Judged(Box::new(claimed));
        }
        self.release_held(&mut conn, done.session);
        if let Some(place) = self.conns.get_mut(place) {
            *place = Some(conn);
        }
    }

    /// Judges a claim by its check. Where its job went, its verdict stays as it is.
    fn judge_checked(&mut self, claimed: &mut Claimed, answer: Answer) {
        let Some(job) = self.jobs.get_mut(claimed.job) else {
            return;
        };
        job.awaited = job.awaited.saturating_sub(1);
        let block;
        (claimed.verdict, block) = match (answer, claimed.said, &job.work) {
            (Answer::Scrypt2(pow), Said::Header(claim), JobWork::Built(built)) => {
                let header = built.prepared.header(&claim);
                let block_hash = sha256d(&header);
                let proof = Proof {
                    header,
                    pow,
                    block_hash,
                };
                verdict(job, claimed, &proof)
            }
            (Answer::Ethash(answer), Said::Nonce(nonce, _), JobWork::Given(given)) => {
                let seal = given.work.seal;
                let question = ethash::Question { seal, nonce };
                ethash_verdict(job, claimed, (question, answer))
            }
            _ => return,
        };
        claimed.judged = Some(self.now);
        if let Some(block) = block {
            self.counts.blocks += 1;
            (self.on_block)(block);
        }
    }

    /// Answers what no check is awaited for any more.
    fn release_held(&mut self, conn: &mut Conn, id: ConnId) {
        while let Some(held) = conn.held.pop_front() {
            match held {
                Held::Asked(_) => return conn.held.push_front(held),
                Held::Judged(mut claimed) => self.answer_claim(conn, &mut claimed),
                Held::Lines(text) => self.reply_lines(conn, id, &text),
            }
            self.awaited.held = self.awaited.held.saturating_sub(1);
        }
        // An idle connection owns no buffer.
        conn.held = std::collections::VecDeque::new();
    }
}

/// What is to be computed for a claim; else what is wrong with it already, as far as that costs a microsecond.
fn question(
    job: &LiveJob,
    claimed: &Claimed,
    caches: &Option<Caches>,
) -> Result<Question, StratumError> {
    match (&job.work, claimed.said) {
        (JobWork::Built(built), Said::Header(claim)) => {
            let header = built.prepared.header(&claim);
            if job.seen.contains(&sha256d(&header)) {
                return Err(StratumError::Duplicate);
            }
            Ok(Question::Scrypt2(header))
        }
        (JobWork::Given(given), Said::Nonce(nonce, mix)) => {
            let seal = given.work.seal;
            let question = ethash::Question { seal, nonce };
            let easiest = claimed.work.target.max(given.work.target);
            if mix.is_some_and(|mix| easiest < claimed_value(&question, &mix)) {
                return Err(StratumError::LowDifficulty);
            }
            if job.seen.contains(&ethash_name(&seal, nonce)) {
                return Err(StratumError::Duplicate);
            }
            let cache = caches.as_ref().and_then(|caches| caches.get(given.epoch));
            cache
                .map(|by| Question::Ethash(EthashQuestion { by, question }))
                .ok_or(StratumError::JobNotFound)
        }
        _ => Err(StratumError::JobNotFound),
    }
}
