//! What people have looked at halts no wallet again: by a report, or by the reason of a resume.

use orebook_paymaster::reconcile::{Comparison, Difference, Known, REPORT_BYTES_MAX, report};
use orebook_paymaster::survey::{Foreign, Survey};
use orebook_schema::{Account, Hash};

const COMPARISON: Comparison = Comparison {
    own: Account::Evm([0x77; 20]),
};

fn name(byte: u8) -> Hash {
    Hash([byte; 32])
}

fn gone(batch: u32) -> Difference {
    Difference {
        what: format!("batch {batch} tx 0"),
        says: "is final here, and no node knows it — or does it?".to_owned(),
    }
}

/// How many of these nobody looked at who saw these reports and gave these reasons.
fn new(of: &[Difference], reports: &[String], reasons: &[&str]) -> usize {
    let reports = reports.iter().map(String::as_str);
    let known = Known::new(reports, reasons.iter().copied());
    known.new_ones(of).len()
}

#[test]
fn a_report_has_whole_lines_and_what_it_has_or_had_no_room_for_is_known() {
    assert_eq!(report(&[], 0), "");
    assert_eq!(report(&[], 3), "", "no report without a difference");
    let few = report(&[gone(1)], 3);
    let lines: Vec<&str> = few.lines().collect();
    assert_eq!(
        lines,
        [
            "batch 1 tx 0: is final here, and no node knows it ? or does it?",
            "not compared: 3, since the chain does not tell"
        ]
    );
    let all: Vec<Difference> = (0..200).map(gone).collect();
    for silences in [0, 7] {
        let text = report(&all, silences);
        assert!(text.len() <= REPORT_BYTES_MAX && REPORT_BYTES_MAX - 200 < text.len());
        let whole = text.lines().filter(|line| line.ends_with("or does it?"));
        let whole = whole.count();
        let rest = format!("and {} more, whose digest is ", 200 - whole);
        assert_eq!(
            text.lines().filter(|it| it.starts_with(&rest)).count(),
            1,
            "{text}"
        );
        let known = [text];
        assert_eq!(new(&all, &known, &[]), 0, "all of them were there");
        // One of those that have no line is over, or is another: people look again.
        assert_eq!(new(&all[..199], &known, &[]), 199 - whole);
        let mut other = all.clone();
        other[199] = gone(999);
        assert_eq!(new(&other, &known, &[]), 200 - whole);
        // One that has a line is over: nothing is new.
        assert_eq!(new(&all[1..], &known, &[]), 0);
        let more = [all.clone(), vec![gone(999)]].concat();
        assert_eq!(new(&more, &known, &[]), 201 - whole);
    }
    // Longer than any report: its digest alone.
    let long = Difference {
        what: "batch 1 tx 0".to_owned(),
        says: "x".repeat(5_000),
    };
    let text = report(std::slice::from_ref(&long), 0);
    assert!(text.starts_with("and 1 more, whose digest is "), "{text}");
    assert_eq!(new(&[long], &[text], &[]), 0);
}

/// A spend that no event names.
fn spend(txid: Option<u8>, height: Option<u64>, nonce: Option<u64>) -> Vec<Difference> {
    let survey = Survey {
        balance: 1,
        height: 9,
        since: Some(1),
        foreign: vec![Foreign {
            txid: txid.map(name),
            height,
            nonce,
        }],
    };
    COMPARISON.of_wallet(&survey, 0, 0)
}

#[test]
fn a_spend_is_the_same_by_its_name_or_nonce_whatever_block_the_chain_tells() {
    for (then, now, is_new) in [
        (
            spend(Some(1), Some(5), None),
            spend(Some(1), Some(6), None),
            0,
        ),
        (
            spend(Some(1), Some(5), None),
            spend(Some(2), Some(5), None),
            1,
        ),
        (
            spend(Some(1), Some(5), Some(4)),
            spend(None, None, Some(4)),
            0,
        ),
        (
            spend(None, None, Some(4)),
            spend(Some(1), Some(5), Some(4)),
            0,
        ),
        (spend(None, None, Some(4)), spend(None, None, Some(40)), 1),
    ] {
        let known = [report(&then, 0)];
        assert_eq!(new(&now, &known, &[]), is_new, "{then:?} and {now:?}");
    }
}

#[test]
fn a_reason_announces_a_spend_by_its_whole_name_or_nonce_and_nothing_else() {
    let one = name(1).to_string();
    let named = format!("moved to the cold wallet: {one}, approved by both");
    let by_name = || spend(Some(1), Some(5), None);
    let table: [(&str, Vec<Difference>, usize); 10] = [
        (&named, by_name(), 0),
        (&one, by_name(), 0),
        ("moved to the cold wallet", by_name(), 1),
        (&one[..63], by_name(), 1),
        (&named, spend(Some(2), Some(5), None), 1),
        ("nonce 4, to the cold wallet", spend(None, None, Some(4)), 0),
        (
            "nonce 4: to the cold wallet",
            spend(Some(1), Some(5), Some(4)),
            0,
        ),
        (&one, spend(Some(1), Some(5), Some(4)), 0),
        (
            "nonce 4, to the cold wallet",
            spend(None, None, Some(40)),
            1,
        ),
        // What is no spend is looked at first, whatever a reason says.
        ("batch 1 tx 0", vec![gone(1)], 1),
    ];
    for (reason, now, is_new) in table {
        assert_eq!(new(&now, &[], &[reason]), is_new, "{reason}: {now:?}");
    }
    let short = Survey {
        balance: 1,
        height: 9,
        since: None,
        foreign: Vec::new(),
    };
    let short = COMPARISON.of_wallet(&short, 2, 0);
    assert_eq!(new(&short, &[], &["the wallet has too little"]), 1);
}
