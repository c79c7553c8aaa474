//! Reports of the activity log, against what was typed from ACTIVITY-FORMAT.md.

use orebook_schema::activity::{
    ACTIVITY_MAGIC, AgentText, Closed, Closing, ENTRY_BYTES_MAX, Entry, EntryKind,
    FLOOD_REPORT_BYTES_MAX, GROUPS_MAX, Group, LoginFault, NODE_ENTRY_BYTES_MAX, Network, NodeSaid,
    NodeText, Opened, REPORT_BYTES_MAX, REPORT_ENTRIES_MAX, REPORT_HEAD_BYTES, Reject, Report,
    SIGNATURE_BYTES,
};
use orebook_schema::names::{RegisteredName, Script};
use orebook_schema::units::hex;
use orebook_schema::{Account, Key, WorkerName};

use crate::expected::{START, gateway_key, ledger, run};
use crate::page::cases;

fn group(first_ms: u32, last_ms: u32, count: u64) -> Group {
    Group {
        first_ms,
        last_ms,
        count,
    }
}

fn prefix(start: u8) -> Network {
    Network::V4(run(start, 3).try_into().unwrap())
}

fn anna() -> Account {
    Account::Name(RegisteredName::parse("anna").unwrap())
}

fn script() -> Account {
    Account::Script(Script::new(&run(0, 64)).unwrap())
}

fn opened(account: Account, worker: &str, agent: &str) -> Opened {
    Opened {
        session: 0,
        user: 0,
        at_ms: 0,
        network: Network::V4([0; 3]),
        account,
        worker: WorkerName::parse(worker).unwrap(),
        agent: AgentText::of(agent),
    }
}

/// The longest account that a refused share may have.
fn longest_rejects() -> Entry {
    Entry::Rejects {
        account: Some(script()),
        reason: Reject::Unrecorded,
        group: group(0, 0, u64::MAX),
    }
}

fn longest_opened() -> Entry {
    Entry::Opened(Box::new(Opened {
        session: u32::MAX,
        user: u16::MAX,
        at_ms: u32::MAX,
        network: Network::V6([0xff; 6]),
        ..opened(script(), &"w".repeat(64), &"~".repeat(32))
    }))
}

fn longest_node() -> Entry {
    Entry::Node {
        said: NodeSaid::Source,
        node: NodeText::of(&"n".repeat(65)),
        group: group(0, u32::MAX, u64::MAX),
    }
}

fn reports() -> Vec<Report> {
    let empty = Report {
        ledger: ledger(),
        coin: 1,
        key: gateway_key(),
        run: START,
        number: 0,
        from_ms: START,
        span_ms: 0,
        sessions: 0,
        lost: 0,
        entries: Vec::new(),
    };
    let typical = Report {
        number: 7,
        from_ms: START + 70_000,
        span_ms: 10_000,
        sessions: 3,
        entries: vec![
            Entry::Opened(Box::new(Opened {
                session: 5,
                at_ms: 120,
                network: prefix(0xc0),
                ..opened(anna(), "rig-1", "cgminer/4.11")
            })),
            Entry::Closed(Closed {
                session: 5,
                at_ms: 9_000,
                cause: Closing::Left,
                accepted: 41,
                rejected: 1,
            }),
            Entry::FailedLogins {
                reason: LoginFault::Name,
                network: prefix(0xc6),
                group: group(0, 9_999, 100_000),
            },
            Entry::Bans {
                network: prefix(0xc6),
                group: group(600, 600, 1),
            },
            Entry::Rejects {
                account: Some(anna()),
                reason: Reject::Low,
                group: group(8_000, 8_000, 1),
            },
            Entry::Rejects {
                account: None,
                reason: Reject::NotSubscribed,
                group: group(1, 10_000, 12),
            },
            Entry::Rest {
                of: EntryKind::FailedLogins,
                count: 31,
            },
            Entry::Node {
                said: NodeSaid::OldWork,
                node: NodeText::of("geth-1"),
                group: group(500, 9_000, 2),
            },
        ],
        ..empty.clone()
    };
    let far = Network::V6([0xff; 6]);
    let mut entries = vec![
        longest_opened(),
        Entry::Opened(Box::new(opened(Account::Evm([0; 20]), "a", ""))),
        Entry::Closed(Closed {
            session: u32::MAX,
            at_ms: u32::MAX,
            cause: Closing::Other,
            accepted: u64::MAX,
            rejected: u64::MAX,
        }),
        Entry::FailedLogins {
            reason: LoginFault::Banned,
            network: far,
            group: group(u32::MAX, u32::MAX, u64::MAX),
        },
        Entry::Bans {
            network: far,
            group: group(0, u32::MAX, u64::MAX),
        },
        longest_rejects(),
    ];
    let rest = EntryKind::ALL.iter().filter(|of| **of != EntryKind::Rest);
    entries.extend(rest.map(|of| Entry::Rest {
        of: *of,
        count: u64::MAX,
    }));
    entries.push(longest_node());
    let most = Report {
        key: Key(run(0x20, 32).try_into().unwrap()),
        run: u64::MAX,
        number: u64::MAX,
        from_ms: u64::MAX,
        span_ms: u32::MAX,
        sessions: u32::MAX,
        lost: u64::MAX,
        entries,
        ..empty.clone()
    };
    vec![empty, typical, most]
}

#[test]
fn golden_reports_mean_what_was_typed_beside_them() {
    let golden = cases("activity.hex");
    let typed = reports();
    assert_eq!(golden.len(), typed.len());
    for (case, report) in golden.iter().zip(typed) {
        let read = Report::read(&case.bytes);
        let (read, signature) = read.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(read, report, "{}", case.name);
        let bytes = [report.signed_bytes(), signature.to_vec()].concat();
        assert_eq!(hex(&bytes), hex(&case.bytes), "{}", case.name);
    }
}

#[test]
fn every_changed_bit_of_a_report_is_refused_or_means_something_else() {
    let mut refused = 0;
    for case in cases("activity.hex") {
        let meaning = Report::read(&case.bytes).unwrap();
        for bit in 0..8 * case.bytes.len() {
            let mut changed = case.bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            match Report::read(&changed) {
                Ok(other) => assert_ne!(other, meaning, "{} bit {bit}", case.name),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(200 < refused, "{refused} changed bits were refused");
}

#[test]
fn what_is_illegal_is_refused_by_name() {
    let [_, typical, _]: [Report; 3] = reports().try_into().unwrap();
    let with = |entry: Entry| Report {
        entries: vec![entry],
        ..typical.clone()
    };
    let late = opened(anna(), "rig", "agent");
    let late = Opened {
        at_ms: 10_001,
        ..late
    };
    let counted = |group| Entry::Bans {
        network: prefix(1),
        group,
    };
    let rest = |of, count| Entry::Rest { of, count };
    for illegal in [
        Entry::Opened(Box::new(late)),
        counted(group(2, 1, 1)),
        counted(group(0, 10_001, 1)),
        counted(group(0, 0, 0)),
        rest(EntryKind::Rest, 1),
        rest(EntryKind::Bans, 0),
    ] {
        let bytes = [with(illegal.clone()).signed_bytes(), vec![0; 64]].concat();
        let says = Report::read(&bytes).unwrap_err().to_string();
        assert_eq!(
            says, "times or count of an entry is outside of its limits",
            "{illegal:?}"
        );
    }
    let mut bytes = [typical.signed_bytes(), vec![0; 64]].concat();
    bytes[100..102].copy_from_slice(&513u16.to_le_bytes());
    let says = Report::read(&bytes).unwrap_err().to_string();
    assert_eq!(says, "entries of a report is outside of its limits");
    let mut long = ACTIVITY_MAGIC.to_vec();
    long.resize(REPORT_BYTES_MAX + 1, 0);
    let says = Report::read(&long).unwrap_err().to_string();
    assert_eq!(says, "report is outside of its limits");
}

#[test]
fn the_limits_are_those_of_the_longest_entries() {
    let [empty, ..]: [Report; 3] = reports().try_into().unwrap();
    assert_eq!(empty.signed_bytes().len(), REPORT_HEAD_BYTES);
    let length = |entry: Entry| {
        let report = Report {
            entries: vec![entry],
            span_ms: u32::MAX,
            ..empty.clone()
        };
        report.signed_bytes().len() - REPORT_HEAD_BYTES
    };
    assert_eq!(length(longest_opened()), ENTRY_BYTES_MAX);
    assert_eq!(length(longest_node()), NODE_ENTRY_BYTES_MAX);
    let (far, most) = (Network::V6([1; 6]), group(1, 2, u64::MAX));
    let of_each = [
        longest_rejects(),
        Entry::Bans {
            network: far,
            group: most,
        },
        Entry::FailedLogins {
            reason: LoginFault::Name,
            network: far,
            group: most,
        },
    ];
    let groups: usize = of_each
        .into_iter()
        .map(|one| GROUPS_MAX * length(one))
        .sum();
    let rests = 5 * length(Entry::Rest {
        of: EntryKind::Bans,
        count: 1,
    });
    let most = REPORT_HEAD_BYTES + groups + rests + SIGNATURE_BYTES;
    assert_eq!(most, FLOOD_REPORT_BYTES_MAX);
    const {
        // 1 kB/s at a report each 10 s.
        assert!(FLOOD_REPORT_BYTES_MAX < 10_000);
        assert!(3 * GROUPS_MAX + 5 <= REPORT_ENTRIES_MAX);
    }
}

#[test]
fn agents_are_cut_and_cleaned_and_networks_are_shown_as_prefixes() {
    let long = "x".repeat(40);
    for (text, is, family) in [
        ("cgminer/4.11.1", "cgminer/4.11.1", "cgminer"),
        ("Bitaxe ULTRA\r\n\u{7}", "Bitaxe ULTRA???", "Bitaxe"),
        ("", "", ""),
        ("ünï", "?n?", "?n?"),
        (long.as_str(), &long[..32], &long[..32]),
    ] {
        let agent = AgentText::of(text);
        assert_eq!((agent.as_str(), agent.family()), (is, family));
    }
    assert_eq!(Network::V4([192, 0, 2]).to_string(), "192.0.2.0/24");
    let six = Network::V6([0x20, 1, 0x0d, 0xb8, 0, 0x0f]);
    assert_eq!(six.to_string(), "2001:db8:f::/48");
}
