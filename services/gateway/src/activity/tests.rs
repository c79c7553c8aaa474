//! What strangers can make a gateway write, and what is left of it when nobody takes reports.

use orebook_ledger::activity::{ActivityError, open};
use orebook_schema::names::RegisteredName;

use super::*;

#[derive(Debug, Default)]
struct Taken {
    reports: Vec<Vec<u8>>,
    down: bool,
    tried: usize,
}

/// Keeps reports in memory; while it is down it takes none.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<(Mutex<Taken>, Condvar)>);

impl Memory {
    fn held(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.0.0.lock().unwrap()
    }

    fn set_down(&self, down: bool) {
        self.held().down = down;
    }

    fn wait_for_a_try(&self) {
        let patience = Duration::from_secs(30);
        let waited = self
            .0
            .1
            .wait_timeout_while(self.held(), patience, |taken| taken.tried == 0);
        assert!(!waited.unwrap().1.timed_out(), "no report was tried");
    }

    fn reports(&self) -> Vec<Report> {
        let key = Signer::from_seed(&[2; 32]).key();
        let held = self.held();
        let reports = held.reports.iter();
        reports
            .map(|bytes| open(bytes, |known| *known == key).unwrap())
            .collect()
    }
}

impl ActivitySink for Memory {
    fn append(&mut self, _: u64, report: &[u8], _: u64) -> Result<(), ActivityError> {
        let mut taken = self.held();
        taken.tried += 1;
        self.0.1.notify_all();
        if taken.down {
            return Err(ActivityError::Full);
        }
        taken.reports.push(report.to_vec());
        Ok(())
    }

    fn lost(&self) -> u64 {
        0
    }
}

struct Rig {
    activity: Activity,
    memory: Memory,
    thread: std::thread::JoinHandle<()>,
    figures: Arc<Figures>,
    now: Instant,
    now_ms: u64,
}

impl Rig {
    fn start() -> Self {
        let memory = Memory::default();
        let figures = Arc::new(Figures::default());
        let parts = ActivityParts {
            sink: Box::new(memory.clone()),
            signer: Signer::from_seed(&[2; 32]),
            coin: 1,
            flush: Duration::from_secs(10),
        };
        let (activity, teller) = start(Some(parts), LedgerId([9; 16]), Arc::clone(&figures));
        let teller = teller.unwrap();
        Self {
            now: Instant::now(),
            now_ms: activity.from_ms,
            activity,
            memory,
            thread: std::thread::spawn(move || teller.run()),
            figures,
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.now_ms += seconds * 1_000;
        self.activity.look(self.now, self.now_ms, 0);
    }

    fn end(self) -> (Vec<Report>, u64) {
        self.activity.finish(self.now_ms);
        self.thread.join().unwrap();
        (self.memory.reports(), self.figures.read().lost)
    }
}

fn count_of(reports: &[Report], kind: EntryKind) -> u64 {
    let entries = reports.iter().flat_map(|report| &report.entries);
    let counts = entries.map(|entry| match entry {
        Entry::Rest { of, count } if *of == kind => *count,
        entry if entry.kind() == kind => entry.count(),
        _ => 0,
    });
    counts.sum()
}

fn account(number: usize) -> Account {
    Account::Name(RegisteredName::parse(&format!("a{number}")).unwrap())
}

/// 1,000 addresses in as many networks.
fn address(number: usize) -> IpAddr {
    let [.., high, low] = number.to_be_bytes();
    IpAddr::from([198, high, low, 7])
}

#[test]
fn a_flood_of_failed_logins_writes_few_bytes_and_each_is_counted() {
    let mut rig = Rig::start();
    // 100 s: ten reports.
    for number in 0..100_000usize {
        rig.activity
            .failed_login(LoginFault::Name, address(number % 1_000), rig.now_ms);
        rig.activity
            .rejected(Some(&account(number % 1_000)), Reject::Low, rig.now_ms);
        rig.activity
            .rejected(None, Reject::NotSubscribed, rig.now_ms);
        rig.activity.banned(address(number % 1_000), rig.now_ms);
        if number % 1_000 == 999 {
            rig.pass(1);
        }
    }
    let figures = Arc::clone(&rig.figures);
    let (reports, lost) = rig.end();
    assert_eq!(lost, 0);
    let bytes = usize::try_from(figures.read().bytes).unwrap();
    assert!(reports.len() <= 11, "{} reports", reports.len());
    assert!(bytes <= 11 * FLOOD_REPORT_BYTES_MAX, "{bytes} bytes");
    assert_eq!(count_of(&reports, EntryKind::FailedLogins), 100_000);
    assert_eq!(count_of(&reports, EntryKind::Rejects), 200_000);
    assert_eq!(count_of(&reports, EntryKind::Bans), 100_000);
    for report in &reports {
        for kind in [EntryKind::FailedLogins, EntryKind::Bans, EntryKind::Rejects] {
            let groups = report.entries.iter().filter(|entry| entry.kind() == kind);
            assert!(groups.count() <= GROUPS_MAX, "{kind:?}");
        }
    }
    println!("{bytes} bytes in {} reports", reports.len());
}

#[test]
fn while_nobody_takes_reports_memory_is_bounded_and_counts_stay_exact() {
    let mut rig = Rig::start();
    rig.memory.set_down(true);
    let (worker, agent) = (WorkerName::parse("rig").unwrap(), AgentText::of("x"));
    for number in 0..20_000usize {
        let first = FirstShare {
            session: u32::try_from(number).unwrap(),
            user: 0,
            address: address(number % 1_000),
            account: &account(number % 1_000),
            worker: &worker,
            agent: &agent,
        };
        rig.activity.opened(&first, rig.now_ms);
        rig.activity
            .failed_login(LoginFault::Name, address(number % 1_000), rig.now_ms);
        if number % 100 == 0 {
            rig.pass(10);
        }
        assert!(rig.activity.sessions.len() <= SESSIONS_MAX);
        assert!(rig.activity.failed.len() <= GROUPS_MAX);
    }
    rig.memory.wait_for_a_try();
    rig.memory.set_down(false);
    let (reports, lost) = rig.end();
    assert_eq!(lost, 0);
    // One with the thread, the queue, the last.
    assert!(reports.len() <= QUEUE_REPORTS + 2, "{}", reports.len());
    assert_eq!(count_of(&reports, EntryKind::Opened), 20_000);
    assert_eq!(count_of(&reports, EntryKind::FailedLogins), 20_000);
    let numbers = reports.iter().map(|report| report.number);
    assert!(numbers.eq(0..u64::try_from(reports.len()).unwrap()));
}

#[test]
fn what_nobody_took_until_the_end_is_lost_and_counted() {
    let mut rig = Rig::start();
    rig.memory.set_down(true);
    for _ in 0..7 {
        rig.activity
            .failed_login(LoginFault::Pot, address(1), rig.now_ms);
    }
    rig.pass(10);
    rig.activity
        .failed_login(LoginFault::Pot, address(1), rig.now_ms);
    assert_eq!(rig.end(), (Vec::new(), 8));
}

#[test]
fn a_gateway_where_nothing_happens_says_so_each_minute() {
    let mut rig = Rig::start();
    for _ in 0..18 {
        rig.pass(10);
    }
    let (reports, _) = rig.end();
    // At 60, 120 and 180 s, and at its end.
    assert_eq!(reports.len(), 4);
    assert!(reports.iter().all(|report| report.entries.is_empty()));
}

#[test]
fn a_clock_that_is_set_back_makes_no_illegal_report() {
    let mut rig = Rig::start();
    let back = rig.now_ms - 3_600_000;
    rig.activity
        .failed_login(LoginFault::Name, address(1), rig.now_ms + 500);
    rig.activity
        .failed_login(LoginFault::Name, address(1), back);
    rig.now_ms = back;
    let (reports, _) = rig.end();
    let [Entry::FailedLogins { group, .. }] = reports[0].entries.as_slice() else {
        panic!("{reports:?}");
    };
    assert_eq!((group.first_ms, group.last_ms, group.count), (500, 500, 2));
}

#[test]
fn addresses_are_recorded_as_networks() {
    for (text, shown) in [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
    ] {
        assert_eq!(network(text.parse().unwrap()).to_string(), shown);
    }
}
