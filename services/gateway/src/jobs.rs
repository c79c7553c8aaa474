//! The job book: live jobs with everything their shares need, oldest first.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orebook_chain::{CoinbaseParts, EthWork, JobParts, Paying, Template, TemplateError};
use orebook_pow::PreparedJob;
use orebook_pow::ethash::Epoch;
use orebook_schema::Hash;
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::U256;
use orebook_schema::work::EthashJob;
use orebook_stratum::write::write_notify;
use orebook_stratum::{EthashLines, EthashWork};

use crate::batch::{Announced, JobKey, Tagged};
use crate::bridge::Terms;
use crate::clock::now_ms;
use crate::config::{EXTRANONCE1_BYTES, GatewayConfig};
use crate::former::Former;
use crate::seen::Seen;

/// A live job.
#[derive(Debug)]
pub(crate) struct LiveJob {
    pub(crate) key: JobKey,
    pub(crate) work: JobWork,
    /// Grows with each new parent.
    pub(crate) parent: u32,
    pub(crate) seen: Seen,
    pub(crate) made: Instant,
    /// Claims of it that wait for a check: it lives until they are judged.
    pub(crate) awaited: u32,
}

/// What a job's shares are made of.
#[derive(Debug)]
pub(crate) enum JobWork {
    /// Headers are put together here.
    Built(Box<Built>),
    /// The header is the node's: ethash and etchash.
    Given(Box<Given>),
}

#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) template: Arc<Template>,
    pub(crate) prepared: PreparedJob,
    /// Header version before rolling.
    pub(crate) version: u32,
    /// Its notification, clean and not clean.
    clean_line: Box<[u8]>,
    line: Box<[u8]>,
}

#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) work: EthWork,
    pub(crate) epoch: Epoch,
    pub(crate) lines: EthashLines,
}

/// Whether a job's shares are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Of the present parent.
    Fresh,
    /// Of the parent before, within the grace.
    Stale,
}

/// What a new job is made of.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) template: &'a Arc<Template>,
    /// What its coinbase pays besides the pool, under the terms' policy.
    pub(crate) paying: Option<&'a Paying>,
    /// When the template came: the job's time goes on from there.
    pub(crate) since: Instant,
    pub(crate) terms: &'a Terms,
    pub(crate) now: Instant,
}

/// What a job becomes in the ledger.
pub(crate) type Made = (JobKey, Announced, Tagged);

/// Live jobs. Keys are consecutive: only the oldest go.
#[derive(Debug)]
pub(crate) struct JobBook {
    algorithm: Algorithm,
    payout_script: Vec<u8>,
    text: String,
    extranonce_bytes: usize,
    grace: Duration,
    jobs_max: usize,
    seen_max: usize,
    live: VecDeque<LiveJob>,
    /// Jobs before this one name another stream: no share of them is taken any more, and one lives only while it is awaited.
    cleared: JobKey,
    /// What miners work on, where that is not the newest: nodes give the same work again.
    current: Option<JobKey>,
    /// What a former process recorded of work that may come again.
    former: Former,
    next: u32,
    parent: u32,
    /// When the present parent came.
    parent_since: Instant,
    /// Shares of the last job that went: the next ones are presized by it.
    expected: usize,
    /// Jobs that went since they were last asked for.
    gone: Vec<JobKey>,
}

/// Where a process begins to number jobs: what a miner still has of a former life is unknown here, and answered with 21. A
/// life makes fewer than one job a millisecond; after 24 days numbers come again.
const fn first_key(now_ms: u64) -> u32 {
    let [a, b, c, d, ..] = (now_ms % (1 << 31)).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

impl JobBook {
    pub(crate) fn new(config: &GatewayConfig, former: Former) -> Self {
        Self {
            algorithm: config.algorithm,
            payout_script: config.payout_script.clone(),
            text: config.coinbase_text.clone(),
            extranonce_bytes: EXTRANONCE1_BYTES + config.extranonce2_bytes,
            grace: config.stale_grace,
            jobs_max: config.limits.jobs,
            seen_max: config.limits.seen,
            live: VecDeque::new(),
            cleared: JobKey(0),
            current: None,
            former,
            next: first_key(now_ms()),
            parent: 0,
            parent_since: Instant::now(),
            expected: 0,
            gone: Vec::new(),
        }
    }

    /// The job that miners work on.
    pub(crate) fn newest(&self) -> Option<&LiveJob> {
        let current = self.current.and_then(|key| self.get(key));
        current.or(self.back())
    }

    /// The newest job, if it names our stream.
    fn back(&self) -> Option<&LiveJob> {
        let newest = self.live.back();
        newest.filter(|job| !self.is_cleared(job.key))
    }

    fn is_cleared(&self, key: JobKey) -> bool {
        key < self.cleared
    }

    /// The live job of a seal hash.
    pub(crate) fn sealed(&self, seal: &Hash) -> Option<JobKey> {
        let mut newest_first = self.live.iter().rev();
        let found = newest_first.find(|job| {
            let given = job.given();
            given.is_some_and(|given| given.work.seal == *seal)
        });
        found.map(|job| job.key)
    }

    /// Key of the oldest live job.
    pub(crate) fn oldest(&self) -> JobKey {
        self.live.front().map_or(JobKey(self.next), |job| job.key)
    }

    /// A live job.
    pub(crate) fn get(&self, key: JobKey) -> Option<&LiveJob> {
        self.live.get(self.index(key)?)
    }

    /// A live job.
    pub(crate) fn get_mut(&mut self, key: JobKey) -> Option<&mut LiveJob> {
        let index = self.index(key)?;
        self.live.get_mut(index)
    }

    fn index(&self, key: JobKey) -> Option<usize> {
        let first = self.live.front()?.key;
        usize::try_from(key.0.checked_sub(first.0)?).ok()
    }

    /// Whether shares of a job are taken; `None` if it is not known, or no longer.
    pub(crate) fn freshness(&self, key: JobKey, now: Instant) -> Option<Freshness> {
        let job = self.get(key).filter(|_| !self.is_cleared(key))?;
        if job.parent == self.parent {
            Some(Freshness::Fresh)
        } else if job.parent == self.parent.wrapping_sub(1)
            && now.saturating_duration_since(self.parent_since) <= self.grace
        {
            Some(Freshness::Stale)
        } else {
            None
        }
    }

    /// Makes a job. A template with another parent makes the jobs before it stale.
    ///
    /// # Errors
    /// [`TemplateError`] of the configured coinbase parts; nothing changed then.
    pub(crate) fn make(&mut self, wanted: &Wanted<'_>) -> Result<Made, TemplateError> {
        let template = wanted.template;
        let newest = self.back().and_then(LiveJob::built);
        let clean = newest.is_none_or(|newest| template.is_clean_after(&newest.template));
        let key = JobKey(self.next);
        // No two jobs have one coinbase: a share of one is none of another, also where a node says the same twice.
        let text = format!("{}/{:x}", self.text, key.0);
        let parts = JobParts {
            number: 0,
            policy: wanted.terms.at,
            clean,
            unit: self.algorithm.work_unit(),
            coinbase: CoinbaseParts {
                tag: wanted.terms.tag,
                text: &text,
                payout_script: &self.payout_script,
                extranonce_bytes: self.extranonce_bytes,
            },
        };
        let mut job = template.job_paying(&parts, wanted.paying)?;
        let passed = wanted.now.saturating_duration_since(wanted.since).as_secs();
        job.time = job.time.saturating_add(u32::try_from(passed).unwrap_or(0));
        let bits = TemplateError::Bits(job.nbits);
        let prepared = PreparedJob::new(&job, self.algorithm).ok_or(bits)?;
        self.next = self.next.wrapping_add(1);
        if clean {
            self.next_parent(wanted.now);
        }
        let [clean_line, line] = [true, false].map(|clean| {
            let mut line = Vec::new();
            write_notify(&mut line, key.0, &job, clean);
            line.into_boxed_slice()
        });
        let built = Built {
            template: Arc::clone(template),
            prepared,
            version: job.version,
            clean_line,
            line,
        };
        self.put(key, JobWork::Built(Box::new(built)), wanted.now);
        let announced = Announced::Built(Arc::new(job));
        Ok((key, announced, wanted.terms.tagged))
    }

    /// Makes a job of a node's work, or takes up the one that there is. `None` if miners have it already; the job for the
    /// ledger if it is new.
    pub(crate) fn give(
        &mut self,
        work: &EthWork,
        epoch: Epoch,
        terms: &Terms,
        now: Instant,
    ) -> Option<Option<Made>> {
        let newest = self.newest().map(|job| (job.key, job.given()));
        let before = newest.and_then(|(_, given)| given.map(|given| given.work));
        if before.is_some_and(|before| before.seal == work.seal) {
            return None;
        }
        let seed = epoch.seed();
        if seed != work.seed {
            tracing::error!(height = work.height, seed = %work.seed, "the node's work has the seed of another epoch");
            return None;
        }
        let clean = before.is_none_or(|before| before.parent != work.parent);
        if clean {
            self.next_parent(now);
        }
        if let Some(key) = self.sealed(&work.seal) {
            let parent = self.parent;
            if let Some(job) = self.get_mut(key) {
                job.parent = parent;
            }
            self.current = Some(key);
            return Some(None);
        }
        let key = JobKey(self.next);
        self.next = self.next.wrapping_add(1);
        let job = EthashJob {
            number: 0,
            policy: terms.at,
            height: work.height,
            network_work: work.network_work.max(1),
            reward: work.reward.unwrap_or(0),
            fees: 0,
            seal: work.seal,
            seed,
            time: work.time,
            clean,
        };
        let lines = EthashLines::new(EthashWork {
            number: key.0,
            seal: work.seal,
            seed,
            epoch: epoch.seed_rounds(),
            algorithm: self.algorithm,
            height: work.height,
        });
        let given = Given {
            work: *work,
            epoch,
            lines,
        };
        self.current = Some(key);
        self.put(key, JobWork::Given(Box::new(given)), now);
        let former = self.former.remove(&work.seal).unwrap_or_default();
        if let Some(job) = self.live.back_mut() {
            former.iter().for_each(|name| {
                job.seen.insert(name);
            });
        }
        let announced = Announced::Given(Arc::new(job));
        Some(Some((key, announced, terms.tagged)))
    }

    /// What there is becomes stale. Of the parents before, one is left for the grace.
    fn next_parent(&mut self, now: Instant) {
        self.parent = self.parent.wrapping_add(1);
        self.parent_since = now;
        let before = self.parent.wrapping_sub(1);
        self.drop_while(|job| job.parent != before);
    }

    fn put(&mut self, key: JobKey, work: JobWork, now: Instant) {
        self.live.push_back(LiveJob {
            key,
            work,
            parent: self.parent,
            seen: Seen::new(self.expected),
            made: now,
            awaited: 0,
        });
        self.bound();
    }

    /// Drops the jobs of the parent before, once the grace is over.
    pub(crate) fn end_grace(&mut self, now: Instant) {
        let cleared = self.cleared;
        self.drop_while(|job| job.key < cleared);
        if self.grace < now.saturating_duration_since(self.parent_since) {
            let parent = self.parent;
            self.drop_while(|job| job.parent != parent);
        }
    }

    /// No share of the jobs so far is taken any more: their coinbase names another stream. Those with claims that are checked
    /// go when these are judged: a block among them is none the worse for it.
    pub(crate) fn clear(&mut self) {
        self.cleared = JobKey(self.next);
        self.current = None;
        self.drop_while(|_| true);
    }

    /// Drops the oldest jobs while there are too many, or too many shares are remembered; never the newest, nor one that is
    /// awaited.
    pub(crate) fn bound(&mut self) {
        let mut seen: usize = self.live.iter().map(|job| job.seen.len()).sum();
        let current = self.current;
        while 1 < self.live.len()
            && self
                .live
                .front()
                .is_some_and(|job| Some(job.key) != current)
            && (self.jobs_max < self.live.len() || self.seen_max < seen)
            && self.live.front().is_some_and(|job| job.awaited == 0)
        {
            seen -= self.live.front().map_or(0, |job| job.seen.len());
            self.drop_oldest();
        }
    }

    /// Takes the jobs that went.
    pub(crate) fn take_gone(&mut self, gone: &mut Vec<JobKey>) {
        gone.append(&mut self.gone);
    }

    /// Drops the oldest jobs that are so, up to one that is awaited.
    fn drop_while(&mut self, is_so: impl Fn(&LiveJob) -> bool) {
        let goes = |job: &LiveJob| is_so(job) && job.awaited == 0;
        while self.live.front().is_some_and(goes) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(job) = self.live.pop_front() {
            self.expected = job.seen.len();
            self.gone.push(job.key);
        }
    }
}

impl LiveJob {
    pub(crate) fn built(&self) -> Option<&Built> {
        match &self.work {
            JobWork::Built(built) => Some(built),
            JobWork::Given(_) => None,
        }
    }

    pub(crate) fn given(&self) -> Option<&Given> {
        match &self.work {
            JobWork::Built(_) => None,
            JobWork::Given(given) => Some(given),
        }
    }

    /// Height of its block.
    pub(crate) fn height(&self) -> u64 {
        match &self.work {
            JobWork::Built(built) => built.template.height,
            JobWork::Given(given) => given.work.height,
        }
    }

    /// What a block's value is at most.
    pub(crate) fn block_target(&self) -> U256 {
        match &self.work {
            JobWork::Built(built) => built.prepared.block_target(),
            JobWork::Given(given) => given.work.target,
        }
    }

    /// Whether a check takes so long that other threads do it.
    pub(crate) fn is_slow(&self) -> bool {
        match &self.work {
            JobWork::Built(built) => built.prepared.is_slow(),
            JobWork::Given(_) => true,
        }
    }
}

impl Built {
    /// Its notification.
    pub(crate) fn notification(&self, clean: bool) -> &[u8] {
        if clean { &self.clean_line } else { &self.line }
    }
}
