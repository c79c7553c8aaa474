//! Announcements of dust and reconciliations: what their golden pages mean, and their limits from both sides.

use orebook_schema::desk::Reason;
use orebook_schema::dust::{DUST_ACCOUNTS_MAX, DustBook, InactiveDust};
use orebook_schema::event::RawEvent;
use orebook_schema::genesis::Algorithm;
use orebook_schema::names::{RegisteredName, Script};
use orebook_schema::policy::{DIRECT_OUTPUTS_MAX, Scheme};
use orebook_schema::reconciled::{Reconciled, Report};
use orebook_schema::{Account, DecodeError, Event, Hash, Kind};

use crate::expected::{AT_MAX, FULL, MAX, NONE, at, bytes, events, genesis_typical, run, run_hash};

fn script(script: &[u8]) -> Account {
    Account::Script(Script::new(script).unwrap())
}

fn name(name: &str) -> Account {
    Account::Name(RegisteredName::parse(name).unwrap())
}

/// 400 of the longest accounts, ascending.
fn longest() -> Vec<Account> {
    let account = |n: u16| script(&[n.to_be_bytes().as_slice(), &[0xff; 62]].concat());
    (0..400).map(account).collect()
}

pub(crate) fn announcements() -> Vec<(u32, Event)> {
    let dust = |cutoff, to, accounts, expects, reason: &str| {
        Event::InactiveDust(Box::new(InactiveDust {
            cutoff,
            to,
            accounts,
            expects,
            reason: Reason::parse(reason).unwrap(),
        }))
    };
    let witness = script(&[bytes("0014"), run(0x10, 20)].concat());
    let two = vec![witness, name("anna_k-7")];
    let silent = "silent for a year";
    vec![
        (
            0,
            dust(1_200_000, DustBook::Donation, two, at(900, 1), silent),
        ),
        (1, dust(0, DustBook::Reserve, Vec::new(), NONE, " ")),
        (
            MAX,
            dust(u64::MAX, DustBook::Fee, longest(), AT_MAX, &"~".repeat(200)),
        ),
    ]
}

pub(crate) fn reconciliations() -> Vec<(u32, Event)> {
    let of = |counts: [u32; 3], report: &str| Reconciled {
        wallet: 0,
        compared_position: 1_234_567,
        money: run_hash(0x37),
        wallet_expected: 2_500_000_000,
        wallet_found: 2_500_000_000,
        transactions: counts[0],
        blocks: counts[1],
        differences: counts[2],
        report: Report::parse(report).unwrap(),
    };
    let said = |it: Reconciled| Event::Reconciled(Box::new(it));
    let least = Reconciled {
        compared_position: 0,
        money: Hash::ZERO,
        wallet_expected: 0,
        wallet_found: 0,
        ..of([0; 3], "")
    };
    let differs = Reconciled {
        wallet: 1,
        wallet_found: 2_499_999_000,
        ..of([12, 3, 1], "wallet: 1000 base units are missing\n")
    };
    let most = Reconciled {
        wallet: u16::MAX,
        compared_position: u64::MAX,
        money: FULL,
        wallet_expected: u128::MAX,
        wallet_found: u128::MAX,
        ..of([MAX; 3], &"~".repeat(4_096))
    };
    vec![
        (100, said(of([12, 3, 0], ""))),
        (0, said(least)),
        (4, said(differs)),
        (MAX, said(most)),
    ]
}

fn is_read(bytes: &[u8]) -> Result<Event, DecodeError> {
    RawEvent::one(bytes).and_then(|raw| raw.decode())
}

/// A golden announcement, changed.
fn dust(edit: impl FnOnce(&mut InactiveDust)) -> Event {
    let Event::InactiveDust(mut said) = events(Kind::InactiveDust).swap_remove(0).1 else {
        panic!("an announcement");
    };
    edit(&mut said);
    Event::InactiveDust(said)
}

#[test]
fn announcements_name_at_most_four_hundred_accounts_in_their_order() {
    assert_eq!(longest().len(), DUST_ACCOUNTS_MAX);
    let more = dust(|said| {
        said.accounts = longest();
        said.accounts.push(name("z"));
    });
    assert!(!more.is_legal());
    assert_eq!(
        is_read(&more.to_bytes(0)),
        Err(DecodeError::Limit("accounts of dust"))
    );
    for (what, event) in [
        ("not in order", dust(|said| said.accounts.swap(0, 1))),
        (
            "twice",
            dust(|said| said.accounts[1] = said.accounts[0].clone()),
        ),
    ] {
        let read = is_read(&event.to_bytes(0));
        assert_eq!(read, Err(DecodeError::Order("accounts of dust")), "{what}");
        assert!(!event.is_legal(), "{what}");
    }
    for byte in 0..=u8::MAX {
        let mut event = dust(|_| {}).to_bytes(0);
        event[8 + 8] = byte;
        assert_eq!(
            is_read(&event).is_ok(),
            (1..=3).contains(&byte),
            "to {byte}"
        );
    }
}

#[test]
fn a_report_stands_iff_there_is_a_difference() {
    let with = |differences: u32, report: &str| {
        let Event::Reconciled(mut said) = events(Kind::Reconciled).swap_remove(0).1 else {
            panic!("a reconciliation");
        };
        said.differences = differences;
        said.report = Report::parse(report).unwrap();
        Event::Reconciled(said).is_legal()
    };
    for (differences, report, legal) in [
        (0, "", true),
        (1, "", false),
        (0, "one", false),
        (1, "one\ntwo\n", true),
    ] {
        assert_eq!(with(differences, report), legal, "{differences} {report:?}");
    }
    let longest = "~".repeat(Report::BYTES_MAX);
    assert!(Report::parse(&longest).is_some());
    for wrong in [
        format!("{longest}~"),
        "\u{e9}".to_owned(),
        "\t".to_owned(),
        "\x7f".to_owned(),
    ] {
        assert_eq!(Report::parse(&wrong), None, "{} bytes", wrong.len());
    }
}

#[test]
fn only_pplns_pots_of_bitcoin_likes_without_a_bonus_pay_by_the_coinbase() {
    let table = [
        (Scheme::Pplns, true),
        (Scheme::Solo, false),
        (Scheme::Prop, false),
        (Scheme::Pps, false),
        (Scheme::Fpps, false),
    ];
    for algorithm in Algorithm::ALL {
        let is_bitcoin_like = !matches!(algorithm, Algorithm::Ethash | Algorithm::Etchash);
        for (scheme, can) in table {
            for (direct_min, bonus_ppm) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let mut genesis = genesis_typical();
                genesis.algorithm = algorithm;
                genesis.policy.pots.truncate(1);
                genesis.policy.pots[0].scheme = scheme;
                genesis.policy.pots[0].bonus_ppm = bonus_ppm;
                genesis.policy.pots[0].direct_min = direct_min;
                genesis.policy.pots[0].direct_outputs = u16::from(direct_min == 1);
                let legal = direct_min == 0 || can && is_bitcoin_like && bonus_ppm == 0;
                let what = format!("{algorithm:?} {scheme:?} {direct_min} {bonus_ppm}");
                let fits = genesis.policy.pays_direct_where_it_can(algorithm);
                assert_eq!(fits, legal, "{what}");
                assert!(genesis.policy.is_legal(), "the parser leaves it: {what}");
                let event = Event::Genesis(Box::new(genesis));
                assert_eq!(event.is_legal(), legal, "genesis: {what}");
            }
        }
    }
}

#[test]
fn a_pot_names_outputs_iff_it_pays_by_the_coinbase() {
    for (direct_min, direct_outputs, legal) in [
        (0, 0, true),
        (0, 1, false),
        (1, 0, false),
        (1, 1, true),
        (u64::MAX, DIRECT_OUTPUTS_MAX, true),
        (1, DIRECT_OUTPUTS_MAX + 1, false),
    ] {
        let mut policy = genesis_typical().policy;
        policy.pots[0].direct_min = direct_min;
        policy.pots[0].direct_outputs = direct_outputs;
        assert_eq!(policy.is_legal(), legal, "{direct_min} {direct_outputs}");
    }
}
