//! Random reports come back from their bytes; changed ones are refused or canonical.

use orebook_schema::activity::{
    AgentText, Closed, Closing, Entry, EntryKind, Group, LoginFault, Network, NodeSaid, NodeText,
    Opened, Reject, Report,
};
use orebook_schema::{Key, LedgerId, WorkerName};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::sample::select;

use crate::entry::fuzz_activity;
use crate::strategies::{account, mutate, mutations};

fn network() -> impl Strategy<Value = Network> {
    prop_oneof![
        any::<[u8; 3]>().prop_map(Network::V4),
        any::<[u8; 6]>().prop_map(Network::V6),
    ]
}

fn group() -> impl Strategy<Value = Group> {
    (any::<u32>(), any::<u32>(), 1..=u64::MAX).prop_map(|(a, b, count)| Group {
        first_ms: a.min(b),
        last_ms: a.max(b),
        count,
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let opened = (
        any::<(u32, u16, u32)>(),
        network(),
        account(),
        "[A-Za-z0-9_.-]{1,64}",
        ".{0,40}",
    );
    let opened = opened.prop_map(
        |((session, user, at_ms), network, account, worker, agent)| {
            Entry::Opened(Box::new(Opened {
                session,
                user,
                at_ms,
                network,
                account,
                worker: WorkerName::parse(&worker).unwrap(),
                agent: AgentText::of(&agent),
            }))
        },
    );
    let closed = (any::<(u32, u32, u64, u64)>(), select(Closing::ALL));
    let closed = closed.prop_map(|((session, at_ms, accepted, rejected), cause)| {
        Entry::Closed(Closed {
            session,
            at_ms,
            cause,
            accepted,
            rejected,
        })
    });
    let failed = (select(LoginFault::ALL), network(), group());
    let failed = failed.prop_map(|(reason, network, group)| Entry::FailedLogins {
        reason,
        network,
        group,
    });
    let bans = (network(), group()).prop_map(|(network, group)| Entry::Bans { network, group });
    let rejects = (option::of(account()), select(Reject::ALL), group());
    let rejects = rejects.prop_map(|(account, reason, group)| Entry::Rejects {
        account,
        reason,
        group,
    });
    let node = (select(NodeSaid::ALL), "[ -~]{0,64}", group());
    let node = node.prop_map(|(said, node, group)| Entry::Node {
        said,
        node: NodeText::of(&node),
        group,
    });
    let of = select(&EntryKind::ALL[..5]);
    let rest = (of, 1..=u64::MAX).prop_map(|(of, count)| Entry::Rest { of, count });
    prop_oneof![opened, closed, failed, bans, rejects, rest, node]
}

fn report() -> impl Strategy<Value = Report> {
    let head = any::<([u8; 16], u32, [u8; 32], u64, u64, u64, u32, u64)>();
    (head, vec(entry(), 0..12)).prop_map(|(head, entries)| {
        let (ledger, coin, key, run, number, from_ms, sessions, lost) = head;
        Report {
            ledger: LedgerId(ledger),
            coin,
            key: Key(key),
            run,
            number,
            from_ms,
            span_ms: u32::MAX,
            sessions,
            lost,
            entries,
        }
    })
}

#[test]
fn reports_come_back_from_their_bytes_and_changed_ones_are_refused_or_canonical() {
    let values = (report(), any::<[u8; 32]>(), mutations());
    crate::check("reports", 2_000, values, |(report, half, mutations)| {
        let mut bytes = report.signed_bytes();
        bytes.extend_from_slice(&[half, half].concat());
        let (read, signature) = Report::read(&bytes).unwrap();
        assert_eq!((read, &signature[32..]), (report, half.as_slice()));
        fuzz_activity(&mutate(bytes, &mutations));
    });
}

#[test]
fn random_bytes_are_no_reports() {
    let values = vec(any::<u8>(), 0..400);
    crate::check("random reports", 5_000, values, |bytes| {
        assert!(!fuzz_activity(&bytes));
    });
}
