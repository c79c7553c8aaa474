//! Voids, registered accounts, settings and mean fees: what their golden pages mean, and their limits from both sides.

use orebook_schema::account::{
    PROOF_BYTES_MAX, REGISTERED_WORKERS_MAX, Registration, SetBy, Setting, SettingValue,
};
use orebook_schema::event::RawEvent;
use orebook_schema::names::{RegisteredName, Script};
use orebook_schema::void::Void;
use orebook_schema::work::{FEE_MEAN_MAX, FeeMean};
use orebook_schema::{Account, At, Event, Hash, Kind, WorkerName};

use crate::expected::{AT_MAX, FULL, MAX, NONE, at, bytes, events, run};

fn script(script: &[u8]) -> Account {
    Account::Script(Script::new(script).unwrap())
}

fn witness() -> Account {
    script(&[bytes("0014"), run(0x10, 20)].concat())
}

fn evm() -> Account {
    Account::Evm(run(0xe0, 20).try_into().unwrap())
}

fn name(name: &str) -> RegisteredName {
    RegisteredName::parse(name).unwrap()
}

pub(crate) fn voids() -> Vec<(u32, Event)> {
    let void = |share, first, expects| {
        Event::Void(Void {
            share,
            first,
            expects,
        })
    };
    vec![
        (0, void(at(1_234, 5), at(1_230, 17), NONE)),
        (1, void(at(0, 1), NONE, NONE)),
        (MAX, void(AT_MAX, at(u64::MAX, u16::MAX - 1), AT_MAX)),
    ]
}

pub(crate) fn registrations() -> Vec<(u32, Event)> {
    let registration =
        |said: &str, expects, payout, threshold, token, registered_only, workers: &[String]| {
            Event::Account(Box::new(Registration {
                name: name(said),
                expects,
                payout,
                threshold,
                token,
                registered_only,
                workers: workers
                    .iter()
                    .map(|worker| WorkerName::parse(worker).unwrap())
                    .collect(),
            }))
        };
    let list = |workers: &[&str]| workers.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
    let secret = Some(Hash::of(&[b"secret"]));
    let rigs = list(&["rig-1", "rig-10", "rig-2"]);
    let many: Vec<String> = (0..400)
        .map(|n| format!("{}{n:03}", "w".repeat(61)))
        .collect();
    let (typical, longest) = (witness(), script(&run(0, 64)));
    let tenth = 100_000_000_000_000_000;
    let most = (u128::MAX, Some(FULL));
    vec![
        (
            0,
            registration("anna_k-7", NONE, typical, 250_000, secret, false, &rigs),
        ),
        (
            1,
            registration("0", at(0, 1), script(&[0x51]), 0, None, false, &[]),
        ),
        (
            2,
            registration(
                "ben",
                at(17, 2),
                evm(),
                tenth,
                None,
                true,
                &list(&["-", "A"]),
            ),
        ),
        (
            MAX,
            registration(
                &"z".repeat(32),
                AT_MAX,
                longest,
                most.0,
                most.1,
                true,
                &many,
            ),
        ),
    ]
}

pub(crate) fn settings() -> Vec<(u32, Event)> {
    use SettingValue::{Address, Donation, PayNow, Threshold};
    let setting = |account, expects: At, by, value, proof: Vec<u8>| {
        Event::Setting(Box::new(Setting {
            account,
            expects,
            by,
            value,
            proof,
        }))
    };
    let named = |text: &str| Account::Name(name(text));
    vec![
        (
            0,
            setting(
                named("anna_k-7"),
                NONE,
                SetBy::Operator,
                Threshold(250_000),
                Vec::new(),
            ),
        ),
        (
            1,
            setting(
                witness(),
                at(1_234, 5),
                SetBy::Signed,
                Address(script(&[0x51])),
                run(0, 65),
            ),
        ),
        (
            2,
            setting(
                named(&"z".repeat(32)),
                at(17, 2),
                SetBy::Token,
                Address(evm()),
                vec![0],
            ),
        ),
        (
            3,
            setting(
                evm(),
                at(0, 1),
                SetBy::Operator,
                Donation(1_000_000),
                Vec::new(),
            ),
        ),
        (
            4,
            setting(named("ben"), at(18, 0), SetBy::Token, PayNow, run(0x20, 32)),
        ),
        (
            MAX,
            setting(
                script(&run(0, 64)),
                AT_MAX,
                SetBy::Signed,
                Threshold(u128::MAX),
                vec![0xff; 1_024],
            ),
        ),
    ]
}

pub(crate) fn means() -> Vec<(u32, Event)> {
    let mean = |height, expects, mean| {
        Event::FeeMean(FeeMean {
            height,
            expects,
            mean,
        })
    };
    vec![
        (40, mean(840_001, at(17, 2), 12_345_678)),
        (0, mean(0, NONE, 0)),
        (MAX, mean(u64::MAX, AT_MAX, 1 << 80)),
    ]
}

/// Whether the golden event of a page is read with other bytes at an offset of its fields.
fn patched(kind: Kind, case: usize, offset: usize, bytes: &[u8]) -> bool {
    let mut event = events(kind).swap_remove(case).1.to_bytes(0);
    event[8 + offset..8 + offset + bytes.len()].copy_from_slice(bytes);
    RawEvent::one(&event).and_then(|raw| raw.decode()).is_ok()
}

#[test]
fn a_void_s_first_share_is_before_the_other() {
    let table = [
        (at(5, 3), at(5, 2), true),
        (at(5, 3), at(5, 3), false),
        (at(5, 3), at(5, 4), false),
        (at(5, 3), at(4, 9), true),
        (at(5, 3), at(6, 0), false),
        (NONE, NONE, false),
    ];
    for (share, first, legal) in table {
        let void = Event::Void(Void {
            share,
            first,
            expects: NONE,
        });
        assert_eq!(void.is_legal(), legal, "{share:?}, {first:?}");
    }
}

#[test]
fn registrations_have_their_limits() {
    let edited = |edit: &dyn Fn(&mut Registration)| {
        let Event::Account(mut said) = registrations().swap_remove(0).1 else {
            panic!("a registration");
        };
        edit(&mut said);
        Event::Account(said).is_legal()
    };
    let workers = |texts: &[&str]| -> Vec<WorkerName> {
        let names = texts.iter().map(|text| WorkerName::parse(text).unwrap());
        names.collect()
    };
    let many = |count: usize| (0..count).map(|n| WorkerName::parse(&format!("w{n:04}")).unwrap());
    let most = REGISTERED_WORKERS_MAX;
    assert_eq!(most, 400);
    assert!(edited(&|_| {}));
    assert!(!edited(&|said| said.payout = Account::Name(name("ben"))));
    assert!(edited(&|said| said.workers = workers(&["B", "a"])));
    assert!(!edited(&|said| said.workers = workers(&["a", "B"])));
    assert!(!edited(&|said| said.workers = workers(&["a", "a"])));
    assert!(edited(&|said| said.workers = many(most).collect()));
    assert!(!edited(&|said| said.workers = many(most + 1).collect()));
    assert!(!edited(&|said| said.workers = many(70_000).collect()));
    // name, expects, payout of 22 bytes, threshold, token, flags.
    let flags = 9 + 10 + 24 + 16 + 32;
    for byte in 0..=u8::MAX {
        assert_eq!(patched(Kind::Account, 0, flags, &[byte]), byte <= 1);
    }
    // A capital letter would be another spelling of the same name.
    assert!(!patched(Kind::Account, 0, 1, b"A"));
    assert!(patched(Kind::Account, 0, 1, b"b"));
}

#[test]
fn settings_have_their_limits() {
    // Of the operator's threshold: account's kind, length, 8 bytes, expects, by, what.
    let by = 1 + 1 + 8 + 10;
    for byte in 0..=u8::MAX {
        // Said by anybody else it would need a proof.
        assert_eq!(patched(Kind::Setting, 0, by, &[byte]), byte == 1, "{byte}");
        assert_eq!(patched(Kind::Setting, 0, by + 1, &[byte]), byte == 1);
    }
    // Pay now of ben, by token, with a proof.
    let by = 1 + 1 + 3 + 10;
    for byte in 0..=u8::MAX {
        let proven = (2..=3).contains(&byte);
        assert_eq!(patched(Kind::Setting, 4, by, &[byte]), proven, "{byte}");
        assert_eq!(patched(Kind::Setting, 4, by + 1, &[byte]), byte == 4);
    }
    // An EVM account's donation: kind, length, 20 bytes, expects, by, what.
    let ppm = 1 + 1 + 20 + 10 + 2;
    for (value, legal) in [(0, true), (1_000_000, true), (1_000_001_u32, false)] {
        let read = patched(Kind::Setting, 3, ppm, &value.to_le_bytes());
        assert_eq!(read, legal, "{value}");
    }
    let edited = |case: usize, edit: &dyn Fn(&mut Setting)| {
        let Event::Setting(mut said) = settings().swap_remove(case).1 else {
            panic!("a setting");
        };
        edit(&mut said);
        Event::Setting(said).is_legal()
    };
    assert!(!edited(1, &|said| said.value =
        SettingValue::Address(Account::Name(name("ben")))));
    for (len, legal) in [
        (0, false),
        (1, true),
        (PROOF_BYTES_MAX, true),
        (1_025, false),
        (70_000, false),
    ] {
        assert_eq!(edited(1, &|said| said.proof = vec![1; len]), legal, "{len}");
    }
}

#[test]
fn means_of_fees_have_their_limit() {
    for (mean, legal) in [(0, true), (FEE_MEAN_MAX, true), (FEE_MEAN_MAX + 1, false)] {
        let read = patched(Kind::FeeMean, 0, 18, &u128::to_le_bytes(mean));
        assert_eq!(read, legal, "{mean}");
    }
}

#[test]
fn an_address_waits_at_most_30_days() {
    // expects, pots of the least policy, depths, threshold.
    let hold = 10 + 1 + 34 + 12 + 16;
    for (ms, legal) in [(0, true), (2_592_000_000, true), (2_592_000_001_u64, false)] {
        assert_eq!(
            patched(Kind::Policy, 1, hold, &ms.to_le_bytes()),
            legal,
            "{ms}"
        );
    }
}
