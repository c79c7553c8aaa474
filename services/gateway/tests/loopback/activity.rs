//! What the activity log says of a gateway's doors: each share, refusal and failed login once.

use orebook_gateway::Limits;
use orebook_schema::activity::{
    Closing, Entry, EntryKind, LoginFault, NODE_GROUPS_MAX, Network, NodeSaid, REPORT_HEAD_BYTES,
    Reject, Report,
};
use serde_json::json;

use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup, account};

const HERE: Network = Network::V4([127, 0, 0]);

fn entries(reports: &[Report]) -> impl Iterator<Item = &Entry> {
    reports.iter().flat_map(|report| &report.entries)
}

fn failed(reports: &[Report], of: LoginFault) -> u64 {
    let counts = entries(reports).map(|entry| match entry {
        Entry::FailedLogins {
            reason,
            network,
            group,
        } if *reason == of && *network == HERE => group.count,
        _ => 0,
    });
    counts.sum()
}

fn rejected(reports: &[Report], whose: Option<&str>, of: Reject) -> u64 {
    let whose = whose.map(account);
    let counts = entries(reports).map(|entry| match entry {
        Entry::Rejects {
            account,
            reason,
            group,
        } if *reason == of && *account == whose => group.count,
        _ => 0,
    });
    counts.sum()
}

#[test]
fn sessions_rejects_and_failed_logins_are_reported_with_exact_counts() {
    let pool = Pool::start(&Setup {
        limits: Limits {
            failed_logins_per_connection: 5,
            failed_logins_per_address: 7,
            ..Limits::default()
        },
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let mut good = Miner::ready(pool.address(0), "name-a.rig");
    good.authorize("name-b.other");
    let job = good.job();
    for _ in 0..5 {
        let found = good.mine(&job);
        assert_eq!(code(&good.submit("name-a.rig", &found)), 0);
    }
    // The second user of the session has no share yet; a duplicate, a low one, an unknown job.
    let found = good.mine(&job);
    assert_eq!(code(&good.submit("name-a.rig", &found)), 0);
    assert_eq!(code(&good.submit("name-a.rig", &found)), 22);
    let low = good.mine_low(&job);
    for _ in 0..3 {
        assert_eq!(code(&good.submit("name-b.other", &low)), 23);
    }
    assert_eq!(code(&good.submit("name-c", &found)), 24);
    let mut stranger = Miner::connect(pool.address(0));
    assert_eq!(code(&stranger.submit("name-a.rig", &found)), 25);
    stranger.subscribe();
    for _ in 0..5 {
        assert_eq!(code(&stranger.authorize("nobody")), 24);
    }
    assert!(stranger.is_closed());
    let mut idle = Miner::ready(pool.address(0), "name-idle");
    idle.job();
    pool.until("reports say that", |metrics| {
        1 <= metrics.activity.reports && metrics.activity.lost == 0
    });
    drop(good);
    pool.until("it left", |metrics| metrics.sessions.counts.miners == 1);
    // Now nobody stands well at the address.
    for _ in 0..2 {
        assert_eq!(code(&idle.authorize("nobody")), 24);
    }
    let ledger = pool.stop();
    let reports = ledger.reports();
    assert!(reports.iter().all(|report| report.lost == 0));
    let numbers = reports.iter().map(|report| report.number);
    assert!(numbers.eq(0..u64::try_from(reports.len()).expect("few")));
    let opened: Vec<_> = entries(&reports)
        .filter_map(|entry| match entry {
            Entry::Opened(opened) => Some(opened),
            _ => None,
        })
        .collect();
    let [opened] = opened.as_slice() else {
        panic!("one worker had an accepted share: {opened:?}");
    };
    assert_eq!(opened.account, account("name-a"));
    assert_eq!((opened.worker.as_str(), opened.network), ("rig", HERE));
    let closed: Vec<_> = entries(&reports)
        .filter_map(|entry| match entry {
            Entry::Closed(closed) => Some(closed),
            _ => None,
        })
        .collect();
    let [closed] = closed.as_slice() else {
        panic!("one session had an accepted share: {closed:?}");
    };
    assert_eq!(closed.session, opened.session);
    assert_eq!(
        (closed.cause, closed.accepted, closed.rejected),
        (Closing::Left, 6, 5)
    );
    let a = Some("name-a");
    for (whose, reason, count) in [
        (a, Reject::Duplicate, 1),
        (Some("name-b"), Reject::Low, 3),
        (None, Reject::Unauthorized, 1),
        (None, Reject::NotSubscribed, 1),
    ] {
        assert_eq!(rejected(&reports, whose, reason), count, "{whose:?}");
    }
    assert_eq!(failed(&reports, LoginFault::Name), 7);
    let bans = entries(&reports).filter(|entry| entry.kind() == EntryKind::Bans);
    assert_eq!(bans.count(), 1);
    let last = reports.last().expect("one at least");
    assert_eq!(
        last.sessions, 0,
        "the gateway says at its end that it serves nobody"
    );
}

#[test]
fn an_agent_is_reported_without_control_characters() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::connect(pool.address(0));
    miner.subscribe_as("cg\u{7}miner/4.11\n");
    miner.authorize("name-a.rig");
    let job = miner.job();
    let found = miner.mine(&job);
    assert_eq!(code(&miner.submit("name-a.rig", &found)), 0);
    let reports = pool.stop().reports();
    let agents: Vec<_> = entries(&reports)
        .filter_map(|entry| match entry {
            Entry::Opened(opened) => Some(opened.agent.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(agents, ["cg?miner/4.11?"]);
}

#[test]
fn what_happens_to_nodes_is_reported_by_their_names_and_no_more_of_it_than_is_room_for() {
    let pool = Pool::start(&Setup::default());
    for _ in 0..3 {
        pool.gateway.node_said(NodeSaid::OldWork, "geth-1");
    }
    pool.gateway.node_said(NodeSaid::Well, "geth\n1");
    let said = |reports: &[Report], name: &str, of: NodeSaid| {
        let counts = entries(reports).map(|entry| match entry {
            Entry::Node { said, node, group } if node.as_str() == name && *said == of => {
                group.count
            }
            _ => 0,
        });
        counts.sum::<u64>()
    };
    let before = pool.gateway.metrics().activity.reports;
    pool.until("a report", |metrics| before < metrics.activity.reports);
    for number in 0..40 {
        let name = format!("node-{number}");
        pool.gateway.node_said(NodeSaid::Dead, &name);
    }
    let reports = pool.stop().reports();
    assert_eq!(said(&reports, "geth-1", NodeSaid::OldWork), 3);
    assert_eq!(said(&reports, "geth?1", NodeSaid::Well), 1);
    let things = entries(&reports).map(|entry| match entry {
        Entry::Node { group, .. } => group.count,
        Entry::Rest { of, count } if *of == EntryKind::Node => *count,
        _ => 0,
    });
    assert_eq!(things.sum::<u64>(), 44, "each once, by name or in a sum");
    for report in &reports {
        let nodes = report.entries.iter().map(Entry::kind);
        let nodes = nodes.filter(|kind| *kind == EntryKind::Node).count();
        assert!(nodes <= NODE_GROUPS_MAX, "{nodes}");
    }
}

#[test]
fn a_flood_through_real_sockets_writes_few_bytes() {
    let pool = Pool::start(&Setup {
        limits: Limits {
            failed_logins_per_connection: 1_000_000,
            failed_logins_per_address: 1_000_000,
            ..Limits::default()
        },
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let line = json!({ "id": 1, "method": "mining.authorize", "params": ["nobody", "secret"] });
    let flood = format!("{line}\n").repeat(1_000);
    let mut miner = Miner::connect(pool.address(0));
    miner.raw(flood.as_bytes());
    (0..1_000).for_each(|_| assert_eq!(code(&miner.reply()), 24));
    let bytes = pool.gateway.metrics().activity;
    let reports = pool.stop().reports();
    assert_eq!(failed(&reports, LoginFault::Name), 1_000);
    // One group of 25 bytes a report, however many failed.
    let most = u64::try_from(reports.len() * (REPORT_HEAD_BYTES + 64 + 25)).expect("few");
    assert!(bytes.bytes <= most, "{bytes:?}");
    let text = format!("{reports:?}");
    assert!(!text.contains("secret") && !text.contains("nobody"));
}
