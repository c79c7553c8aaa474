//! What happens at the doors, for the activity log: counted by the loop, sealed and handed on by a thread of its own.
//!
//! The loop only counts: its memory is bounded by [`GROUPS_MAX`] groups of a kind and [`SESSIONS_MAX`] sessions, and it gives
//! a report away only if that needs no waiting. While nobody takes reports the thread keeps one, the queue
//! [`QUEUE_REPORTS`], and the loop counts on: what was many reports becomes one with coarser times and exact counts.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use orebook_ledger::activity::{ActivitySink, seal};
use orebook_ledger::sign::Signer;
use orebook_schema::activity::{
    AgentText, Closed, Closing, ENTRY_BYTES_MAX, Entry, EntryKind, FLOOD_REPORT_BYTES_MAX,
    GROUPS_MAX, Group, LoginFault, NODE_ENTRY_BYTES_MAX, NODE_GROUPS_MAX, Network, NodeSaid,
    NodeText, Opened, REPORT_BYTES_MAX, REPORT_ENTRIES_MAX, Reject, Report,
};
use orebook_schema::names::WorkerName;
use orebook_schema::{Account, LedgerId};
use orebook_stratum::StratumError;

use crate::clock::now_ms;
use crate::conn::Cause;

/// Sessions, opened or closed, in one report; reaching it makes a report at once.
const SESSIONS_MAX: usize = 256;
/// Reports between the loop and the thread. Beyond it the loop goes on counting.
const QUEUE_REPORTS: usize = 16;
/// A gateway where nothing happens says so this often.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Pause before a report that was not taken is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Groups of rejects that accounts may have; the others are for those who have not logged in.
const ACCOUNT_GROUPS_MAX: usize = GROUPS_MAX - Reject::ALL.len();

const _: () = assert!(
    SESSIONS_MAX * ENTRY_BYTES_MAX
        + FLOOD_REPORT_BYTES_MAX
        + (NODE_GROUPS_MAX + 1) * NODE_ENTRY_BYTES_MAX
        <= REPORT_BYTES_MAX
        && SESSIONS_MAX + 3 * GROUPS_MAX + NODE_GROUPS_MAX + 6 <= REPORT_ENTRIES_MAX,
    "a report has room for all that the loop counts"
);

/// Where a gateway's reports go.
#[derive(Debug)]
pub struct ActivityParts {
    /// Who takes them.
    pub sink: Box<dyn ActivitySink>,
    /// The gateway's producer key.
    pub signer: Signer,
    /// SLIP-44 coin type.
    pub coin: u32,
    /// Time between reports.
    pub flush: Duration,
}

/// Figures of the activity log in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActivityMetrics {
    /// Reports that were taken.
    pub reports: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Things that were counted and got lost.
    pub lost: u64,
    /// Reports that were not taken at once.
    pub refused: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Figures {
    reports: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
    refused: AtomicU64,
}

impl Figures {
    pub(crate) fn read(&self) -> ActivityMetrics {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        ActivityMetrics {
            reports: read(&self.reports),
            bytes: read(&self.bytes),
            lost: read(&self.lost),
            refused: read(&self.refused),
        }
    }
}

/// A report without what the thread fills in.
#[derive(Debug)]
struct Draft {
    from_ms: u64,
    span_ms: u32,
    sessions: u32,
    entries: Vec<Entry>,
}

type Reasons = [Option<Group>; Reject::ALL.len()];

/// The loop's half. Without [`ActivityParts`] it counts nothing.
#[derive(Debug)]
pub(crate) struct Activity {
    out: Option<SyncSender<Draft>>,
    stop: Arc<Stop>,
    flush: Duration,
    from_ms: u64,
    /// The latest time seen since; a clock that is set back moves nothing.
    latest_ms: u64,
    sessions: Vec<Entry>,
    failed: BTreeMap<(LoginFault, Network), Group>,
    bans: BTreeMap<Network, Group>,
    nodes: BTreeMap<(NodeText, NodeSaid), Group>,
    rejects: HashMap<Account, Reasons>,
    /// Groups in `rejects`.
    reject_groups: usize,
    /// Rejects of those who have not logged in.
    nobody: Reasons,
    /// What found no group, by kind.
    rest: BTreeMap<EntryKind, u64>,
    /// Sessions that may be given work, as of the last look.
    serving: u32,
    due: Instant,
    silent_since: Instant,
}

#[derive(Debug, Default)]
struct Stop {
    stopped: AtomicBool,
    lock: Mutex<()>,
    told: Condvar,
}

impl Stop {
    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.told.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Waits for the pause, or until it is stopped.
    fn pause(&self) {
        let held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .told
            .wait_timeout_while(held, RETRY, |()| !self.is_stopped());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// The thread's half.
#[derive(Debug)]
pub(crate) struct Teller {
    parts: ActivityParts,
    ledger: LedgerId,
    run: u64,
    number: u64,
    /// Things lost here; the sink counts its own.
    lost: u64,
    drafts: Receiver<Draft>,
    stop: Arc<Stop>,
    figures: Arc<Figures>,
}

/// Both halves; the second only if somebody takes reports.
pub(crate) fn start(
    parts: Option<ActivityParts>,
    ledger: LedgerId,
    figures: Arc<Figures>,
) -> (Activity, Option<Teller>) {
    let (now, now_ms) = (Instant::now(), now_ms());
    let stop = Arc::new(Stop::default());
    let flush = parts.as_ref().map_or(Duration::MAX, |parts| parts.flush);
    let (out, drafts) = sync_channel(QUEUE_REPORTS);
    let out = parts.is_some().then_some(out);
    let teller = parts.map(|parts| Teller {
        parts,
        ledger,
        run: now_ms,
        number: 0,
        lost: 0,
        drafts,
        stop: Arc::clone(&stop),
        figures,
    });
    let activity = Activity {
        out,
        stop,
        flush,
        from_ms: now_ms,
        latest_ms: now_ms,
        sessions: Vec::new(),
        failed: BTreeMap::new(),
        bans: BTreeMap::new(),
        nodes: BTreeMap::new(),
        rejects: HashMap::new(),
        reject_groups: 0,
        nobody: Reasons::default(),
        rest: BTreeMap::new(),
        serving: 0,
        due: now.checked_add(flush).unwrap_or(now),
        silent_since: now,
    };
    (activity, teller)
}

/// The network of an address: nothing more exact is ever recorded. An IPv4 address in IPv6's form is an IPv4 address.
fn network(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Network::V4([a, b, c])
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, ..] = address.octets();
            Network::V6([a, b, c, d, e, f])
        }
    }
}

const fn closing(cause: Cause) -> Closing {
    match cause {
        Cause::Left => Closing::Left,
        Cause::Protocol
        | Cause::Http
        | Cause::Proxy
        | Cause::TlsOnPlain
        | Cause::PlainOnTls
        | Cause::Tls => Closing::Protocol,
        Cause::SlowReader => Closing::SlowReader,
        Cause::LoginTimeout
        | Cause::TurnedAway
        | Cause::Handshake
        | Cause::Idle
        | Cause::Resumed => Closing::Other,
        Cause::FailedLogins => Closing::FailedLogins,
        Cause::BadShares | Cause::KeptOut => Closing::BadShares,
        Cause::Banned => Closing::Banned,
        Cause::NoWork => Closing::NoWork,
        Cause::Stopping | Cause::Drained => Closing::Stopped,
    }
}

/// What a share's error says in a report.
pub(crate) const fn reject(error: StratumError) -> Reject {
    match error {
        StratumError::JobNotFound => Reject::UnknownJob,
        StratumError::Duplicate => Reject::Duplicate,
        StratumError::LowDifficulty => Reject::Low,
        StratumError::Unauthorized => Reject::Unauthorized,
        StratumError::NotSubscribed => Reject::NotSubscribed,
        _ => Reject::Other,
    }
}

fn bump(group: &mut Group, at_ms: u32) {
    group.last_ms = at_ms;
    group.count = group.count.saturating_add(1);
}

const fn one(at_ms: u32) -> Group {
    Group {
        first_ms: at_ms,
        last_ms: at_ms,
        count: 1,
    }
}

/// Counts under a key, unless that would be one group too many. Whether it did.
fn bump_in<K: Ord>(groups: &mut BTreeMap<K, Group>, groups_max: usize, key: K, at_ms: u32) -> bool {
    if let Some(group) = groups.get_mut(&key) {
        bump(group, at_ms);
        return true;
    }
    let has_room = groups.len() < groups_max;
    if has_room {
        groups.insert(key, one(at_ms));
    }
    has_room
}

/// A worker of a session with its first accepted share, as the loop knows it.
#[derive(Debug)]
pub(crate) struct FirstShare<'c> {
    pub(crate) session: u32,
    pub(crate) user: usize,
    pub(crate) address: IpAddr,
    pub(crate) account: &'c Account,
    pub(crate) worker: &'c WorkerName,
    pub(crate) agent: &'c AgentText,
}

impl Activity {
    /// Milliseconds after the beginning of the report in hand.
    fn at(&mut self, now_ms: u64) -> u32 {
        self.latest_ms = self.latest_ms.max(now_ms);
        let since = self.latest_ms.saturating_sub(self.from_ms);
        u32::try_from(since).unwrap_or(u32::MAX)
    }

    fn count_rest(&mut self, of: EntryKind) {
        let count = self.rest.entry(of).or_default();
        *count = count.saturating_add(1);
    }

    fn say_session(&mut self, entry: Entry) {
        if SESSIONS_MAX <= self.sessions.len() {
            return self.count_rest(entry.kind());
        }
        self.sessions.push(entry);
        if self.sessions.len() == SESSIONS_MAX {
            self.tell();
        }
    }

    /// A worker's first accepted share in a session.
    pub(crate) fn opened(&mut self, first: &FirstShare<'_>, now_ms: u64) {
        if self.out.is_none() {
            return;
        }
        let at_ms = self.at(now_ms);
        self.say_session(Entry::Opened(Box::new(Opened {
            session: first.session,
            user: u16::try_from(first.user).unwrap_or(u16::MAX),
            at_ms,
            network: network(first.address),
            account: first.account.clone(),
            worker: first.worker.clone(),
            agent: first.agent.clone(),
        })));
    }

    /// A session that had an accepted share ended.
    pub(crate) fn closed(
        &mut self,
        session: u32,
        cause: Cause,
        (accepted, rejected): (u64, u64),
        now_ms: u64,
    ) {
        if self.out.is_none() {
            return;
        }
        let at_ms = self.at(now_ms);
        self.say_session(Entry::Closed(Closed {
            session,
            at_ms,
            cause: closing(cause),
            accepted,
            rejected,
        }));
    }

    /// A login failed.
    pub(crate) fn failed_login(&mut self, reason: LoginFault, address: IpAddr, now_ms: u64) {
        if self.out.is_none() {
            return;
        }
        let at_ms = self.at(now_ms);
        if !bump_in(
            &mut self.failed,
            GROUPS_MAX,
            (reason, network(address)),
            at_ms,
        ) {
            self.count_rest(EntryKind::FailedLogins);
        }
    }

    /// An address is kept out from now on, for a while.
    pub(crate) fn banned(&mut self, address: IpAddr, now_ms: u64) {
        if self.out.is_none() {
            return;
        }
        let at_ms = self.at(now_ms);
        if !bump_in(&mut self.bans, GROUPS_MAX, network(address), at_ms) {
            self.count_rest(EntryKind::Bans);
        }
    }

    /// Something happened to a chain node.
    pub(crate) fn node(&mut self, said: NodeSaid, node: NodeText, now_ms: u64) {
        if self.out.is_none() {
            return;
        }
        let at_ms = self.at(now_ms);
        if !bump_in(&mut self.nodes, NODE_GROUPS_MAX, (node, said), at_ms) {
            self.count_rest(EntryKind::Node);
        }
    }

    /// A share was refused; nothing is allocated for the second one of an account.
    pub(crate) fn rejected(&mut self, account: Option<&Account>, reason: Reject, now_ms: u64) {
        if self.out.is_none() {
            return;
        }
        let at_ms = self.at(now_ms);
        let known = account.and_then(|account| self.rejects.get_mut(account));
        let reasons = match (known, account) {
            (Some(reasons), _) => reasons,
            (None, None) => &mut self.nobody,
            (None, Some(_)) if ACCOUNT_GROUPS_MAX <= self.reject_groups => {
                return self.count_rest(EntryKind::Rejects);
            }
            (None, Some(account)) => self.rejects.entry(account.clone()).or_default(),
        };
        let place = Reject::ALL.iter().position(|known| *known == reason);
        let Some(group) = place.and_then(|place| reasons.get_mut(place)) else {
            return;
        };
        match group {
            Some(group) => bump(group, at_ms),
            None if account.is_some() && ACCOUNT_GROUPS_MAX <= self.reject_groups => {
                self.count_rest(EntryKind::Rejects);
            }
            None => {
                *group = Some(one(at_ms));
                self.reject_groups += usize::from(account.is_some());
            }
        }
    }

    /// Makes a report if it is time for one.
    pub(crate) fn look(&mut self, now: Instant, now_ms: u64, serving: u64) {
        self.serving = u32::try_from(serving).unwrap_or(u32::MAX);
        if self.out.is_none() || now < self.due {
            return;
        }
        let silent = now.saturating_duration_since(self.silent_since);
        if self.is_empty() && silent < SILENCE_MAX {
            return;
        }
        self.at(now_ms);
        if self.tell() {
            self.due = now.checked_add(self.flush).unwrap_or(now);
            self.silent_since = now;
        }
    }

    /// Makes the last report, which waits for room: nobody is served any more.
    pub(crate) fn finish(mut self, now_ms: u64) {
        self.at(now_ms);
        self.serving = 0;
        let draft = self.take();
        // First, so that the thread does not wait for a sink that takes nothing.
        self.stop.stop();
        if let Some(out) = &self.out {
            // An error says that the thread panicked; who joins it hears of it.
            drop(out.send(draft));
        }
    }

    fn is_empty(&self) -> bool {
        self.sessions.is_empty()
            && self.failed.is_empty()
            && self.bans.is_empty()
            && self.nodes.is_empty()
            && self.reject_groups == 0
            && self.nobody.iter().all(Option::is_none)
            && self.rest.is_empty()
    }

    /// Gives the report in hand away if that needs no waiting; else it is counted on. Whether it did.
    fn tell(&mut self) -> bool {
        let Some(out) = self.out.clone() else {
            return false;
        };
        let draft = self.take();
        match out.try_send(draft) {
            Ok(()) => true,
            Err(TrySendError::Full(draft) | TrySendError::Disconnected(draft)) => {
                self.put_back(draft);
                false
            }
        }
    }

    fn take(&mut self) -> Draft {
        let mut entries = std::mem::take(&mut self.sessions);
        let failed = std::mem::take(&mut self.failed).into_iter();
        entries.extend(
            failed.map(|((reason, network), group)| Entry::FailedLogins {
                reason,
                network,
                group,
            }),
        );
        let bans = std::mem::take(&mut self.bans).into_iter();
        entries.extend(bans.map(|(network, group)| Entry::Bans { network, group }));
        let nodes = std::mem::take(&mut self.nodes).into_iter();
        entries.extend(nodes.map(|((node, said), group)| Entry::Node { said, node, group }));
        let nobody = (None, std::mem::take(&mut self.nobody));
        let accounts = std::mem::take(&mut self.rejects).into_iter();
        let accounts = accounts.map(|(account, reasons)| (Some(account), reasons));
        for (account, reasons) in std::iter::once(nobody).chain(accounts) {
            for (reason, group) in Reject::ALL.iter().zip(reasons) {
                entries.extend(group.map(|group| Entry::Rejects {
                    account: account.clone(),
                    reason: *reason,
                    group,
                }));
            }
        }
        let rest = std::mem::take(&mut self.rest).into_iter();
        entries.extend(rest.map(|(of, count)| Entry::Rest { of, count }));
        self.reject_groups = 0;
        let span_ms = self.latest_ms.saturating_sub(self.from_ms);
        let draft = Draft {
            from_ms: self.from_ms,
            span_ms: u32::try_from(span_ms).unwrap_or(u32::MAX),
            sessions: self.serving,
            entries,
        };
        self.from_ms = self.latest_ms;
        draft
    }

    fn put_back(&mut self, draft: Draft) {
        self.from_ms = draft.from_ms;
        for entry in draft.entries {
            match entry {
                Entry::Opened(_) | Entry::Closed(_) => self.sessions.push(entry),
                Entry::FailedLogins {
                    reason,
                    network,
                    group,
                } => {
                    self.failed.insert((reason, network), group);
                }
                Entry::Bans { network, group } => {
                    self.bans.insert(network, group);
                }
                Entry::Node { said, node, group } => {
                    self.nodes.insert((node, said), group);
                }
                Entry::Rejects {
                    account,
                    reason,
                    group,
                } => self.put_back_rejects(account, reason, group),
                Entry::Rest { of, count } => {
                    self.rest.insert(of, count);
                }
            }
        }
    }

    fn put_back_rejects(&mut self, account: Option<Account>, reason: Reject, group: Group) {
        self.reject_groups += usize::from(account.is_some());
        let reasons = match account {
            Some(account) => self.rejects.entry(account).or_default(),
            None => &mut self.nobody,
        };
        let place = Reject::ALL.iter().position(|known| *known == reason);
        if let Some(place) = place.and_then(|place| reasons.get_mut(place)) {
            *place = Some(group);
        }
    }
}

impl Teller {
    /// Runs until the loop has told its last report.
    pub(crate) fn run(mut self) {
        while let Ok(draft) = self.drafts.recv() {
            self.tell(draft);
        }
        self.parts.sink.finish();
        self.count_lost();
        let lost = self.figures.read().lost;
        if 0 < lost {
            tracing::warn!(lost, "things that happened are in no activity report");
        }
    }

    fn tell(&mut self, draft: Draft) {
        let report = Report {
            ledger: self.ledger,
            coin: self.parts.coin,
            key: self.parts.signer.key(),
            run: self.run,
            number: self.number,
            from_ms: draft.from_ms,
            span_ms: draft.span_ms,
            sessions: draft.sessions,
            lost: self.lost.saturating_add(self.parts.sink.lost()),
            entries: draft.entries,
        };
        self.number = self.number.saturating_add(1);
        let bytes = seal(&report, &self.parts.signer);
        let things = report.things();
        while let Err(error) = self.parts.sink.append(now_ms(), &bytes, things) {
            tracing::debug!(%error, "an activity report is tried again");
            self.figures.refused.fetch_add(1, Ordering::Relaxed);
            if self.stop.is_stopped() {
                self.lost = self.lost.saturating_add(things);
                return self.count_lost();
            }
            self.stop.pause();
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.figures.reports.fetch_add(1, Ordering::Relaxed);
        self.figures.bytes.fetch_add(length, Ordering::Relaxed);
        self.count_lost();
    }

    fn count_lost(&self) {
        let lost = self.lost.saturating_add(self.parts.sink.lost());
        self.figures.lost.store(lost, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
