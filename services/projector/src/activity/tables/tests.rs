//! Reports taken once, sessions that end, counts by hour, and limits.

use orebook_schema::LedgerId;
use orebook_schema::activity::{Closing, Group};
use orebook_schema::names::RegisteredName;

use super::*;

/// 2026-11-21, at the beginning of an hour.
const NOW: u64 = 1_795_219_200_000;
const KEY: Key = Key([1; 32]);

fn account(name: &str) -> Account {
    Account::Name(RegisteredName::parse(name).unwrap())
}

fn opened(session: u32, of: &str, agent: &str) -> Entry {
    Entry::Opened(Box::new(Opened {
        session,
        user: 0,
        at_ms: 0,
        network: Network::V4([192, 0, 2]),
        account: account(of),
        worker: WorkerName::parse("rig").unwrap(),
        agent: AgentText::of(agent),
    }))
}

fn closed(session: u32) -> Entry {
    Entry::Closed(Closed {
        session,
        at_ms: 0,
        cause: Closing::Left,
        accepted: 1,
        rejected: 0,
    })
}

fn group(count: u64) -> Group {
    Group {
        first_ms: 0,
        last_ms: 0,
        count,
    }
}

fn rejects(of: Option<&str>, count: u64) -> Entry {
    Entry::Rejects {
        account: of.map(account),
        reason: Reject::Low,
        group: group(count),
    }
}

fn failed(network: [u8; 3], count: u64) -> Entry {
    Entry::FailedLogins {
        reason: LoginFault::Pot,
        network: Network::V4(network),
        group: group(count),
    }
}

fn report((run, number): (u64, u64), from_ms: u64, entries: Vec<Entry>) -> Report {
    Report {
        ledger: LedgerId([7; 16]),
        coin: 1,
        key: KEY,
        run,
        number,
        from_ms,
        span_ms: 0,
        sessions: 3,
        lost: number,
        entries,
    }
}

fn open_of(tables: &Tables, of: &str) -> u32 {
    let workers = tables.workers(&account(of), 10);
    workers.iter().map(|worker| worker.open).sum()
}

#[test]
fn a_report_that_comes_again_counts_once() {
    let mut tables = Tables::default();
    let first = report(
        (1, 0),
        NOW,
        vec![opened(1, "anna", "a"), rejects(Some("anna"), 5)],
    );
    let second = report((1, 1), NOW, vec![rejects(None, 2)]);
    for again in [&first, &first, &second, &first, &second] {
        tables.apply(again, NOW);
    }
    assert_eq!(tables.sums(NOW).rejects[3], 7);
    assert_eq!(tables.rejects(&account("anna"), NOW)[3], 5);
    assert_eq!(open_of(&tables, "anna"), 1);
    let [gateway] = tables.gateways(NOW).try_into().unwrap();
    assert_eq!((gateway.reports, gateway.lost, gateway.sessions), (2, 1, 3));
}

#[test]
fn a_restarted_gateway_has_no_sessions_of_before_even_with_its_clock_set_back() {
    let mut tables = Tables::default();
    let entries = vec![opened(1, "anna", "a"), opened(2, "ben", "b")];
    tables.apply(&report((9, 0), NOW, entries), NOW);
    tables.apply(&report((9, 1), NOW, vec![closed(2), closed(77)]), NOW);
    assert_eq!((open_of(&tables, "anna"), open_of(&tables, "ben")), (1, 0));
    // Started "earlier" than the run before.
    tables.apply(&report((5, 0), NOW, vec![opened(1, "ben", "b")]), NOW);
    assert_eq!((open_of(&tables, "anna"), open_of(&tables, "ben")), (0, 1));
    // What was heard of the run before is not taken again.
    tables.apply(&report((9, 1), NOW, vec![opened(3, "anna", "a")]), NOW);
    assert_eq!(open_of(&tables, "anna"), 0);
    let worker = &tables.workers(&account("anna"), 10)[0];
    assert_eq!(worker.agent.as_str(), "a", "what it ran last is remembered");
}

#[test]
fn counts_are_of_the_last_day_and_a_fast_clock_moves_none_out() {
    let mut tables = Tables::default();
    let hours = |n: u64| n * HOUR_MS;
    tables.apply(
        &report((1, 0), NOW - hours(24), vec![rejects(None, 1)]),
        NOW,
    );
    tables.apply(
        &report((1, 1), NOW - hours(23), vec![rejects(None, 2)]),
        NOW,
    );
    tables.apply(
        &report((1, 2), NOW + hours(900), vec![rejects(None, 4)]),
        NOW,
    );
    assert_eq!(tables.sums(NOW).rejects[3], 6);
    assert_eq!(tables.sums(NOW + hours(1)).rejects[3], 4);
    assert_eq!(tables.sums(NOW + hours(24)).rejects[3], 0);
    tables.apply(
        &report((1, 3), NOW + hours(48), Vec::new()),
        NOW + hours(48),
    );
    assert!(tables.hours.is_empty(), "old hours are forgotten");
}

#[test]
fn a_gateway_that_is_silent_is_away() {
    let mut tables = Tables::default();
    tables.apply(
        &report((1, 0), NOW, vec![opened(1, "anna", "cgminer/4")]),
        NOW,
    );
    let away = |tables: &Tables, now| tables.gateways(now)[0].is_away;
    assert!(!away(&tables, NOW + AWAY_MS));
    assert_eq!(tables.agents(NOW), [("cgminer".to_owned(), 1)]);
    assert!(away(&tables, NOW + AWAY_MS + 1));
    assert!(tables.agents(NOW + AWAY_MS + 1).is_empty());
}

#[test]
fn sums_stay_exact_where_rows_find_no_room() {
    let mut tables = Tables::default();
    let mut number = 0;
    let mut apply = |tables: &mut Tables, entries| {
        tables.apply(&report((1, number), NOW, entries), NOW);
        number += 1;
    };
    for n in 0..5_000u32 {
        let [_, a, b, c] = n.to_be_bytes();
        let name = format!("a{n}");
        apply(
            &mut tables,
            vec![failed([a, b, c], 2), rejects(Some(&name), 3)],
        );
    }
    let rest = Entry::Rest {
        of: EntryKind::FailedLogins,
        count: 9,
    };
    apply(&mut tables, vec![rest]);
    let hour = tables.hours.values().next().unwrap();
    assert_eq!(hour.networks.len(), NETWORKS_MAX);
    assert_eq!(hour.rejected.len(), REJECTED_MAX);
    let sums = tables.sums(NOW);
    assert_eq!((sums.rejects[3], sums.failed_logins[2]), (15_000, 10_000));
    assert_eq!(sums.rest[&EntryKind::FailedLogins], 9);
    for n in 0..=GATEWAYS_MAX {
        let key = Key([u8::try_from(n % 256).unwrap(); 32]);
        let key = if n == GATEWAYS_MAX {
            Key([0xab; 32])
        } else {
            key
        };
        tables.apply(
            &Report {
                key,
                ..report((1, 0), NOW, Vec::new())
            },
            NOW,
        );
    }
    assert!(tables.gateways.len() <= GATEWAYS_MAX);
}
