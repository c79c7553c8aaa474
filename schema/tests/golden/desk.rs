//! Bans and adjustments: what their golden pages mean, and their limits from both sides.

use orebook_schema::desk::{
    ADJUSTMENT_MAX, AdjustedBook, Adjustment, Ban, BanAction, BanTarget, Direction, Network, Reason,
};
use orebook_schema::event::RawEvent;
use orebook_schema::names::{RegisteredName, Script};
use orebook_schema::{Account, At, Event, Hash, Kind};

use crate::expected::{AT_MAX, BLOCK_HASH, FULL, MAX, NONE, START, at, bytes, events, hash, run};

fn witness() -> Account {
    let script = [bytes("0014"), run(0x10, 20)].concat();
    Account::Script(Script::new(&script).unwrap())
}

fn anna() -> Account {
    Account::Name(RegisteredName::parse("anna_k-7").unwrap())
}

fn reason(text: &str) -> Reason {
    Reason::parse(text).unwrap()
}

fn network(address: &[u8], prefix: u8) -> BanTarget {
    BanTarget::Network(Network::new(address, prefix).unwrap())
}

pub(crate) fn bans() -> Vec<(u32, Event)> {
    let ban = |target, action, until_ms, expects, text: &str| {
        Event::Ban(Box::new(Ban {
            target,
            action,
            until_ms,
            expects,
            reason: reason(text),
        }))
    };
    let v4 = network(&[203, 0, 113, 0], 24);
    let v6 = network(&bytes("20010db8000000000000000000000000"), 33);
    let all = network(&[0xff; 16], 128);
    let day = START + 86_400_000;
    vec![
        (
            0,
            ban(
                BanTarget::Account(witness()),
                BanAction::Ban,
                0,
                NONE,
                "botnet",
            ),
        ),
        (
            1,
            ban(
                BanTarget::Account(anna()),
                BanAction::Lift,
                0,
                at(1_234, 5),
                "it was not he",
            ),
        ),
        (2, ban(v4, BanAction::Ban, day, at(17, 2), "floods us")),
        (3, ban(v6, BanAction::Ban, 1, at(0, 1), "~")),
        (
            MAX,
            ban(all, BanAction::Ban, u64::MAX, AT_MAX, &"w".repeat(200)),
        ),
    ]
}

pub(crate) fn adjustments() -> Vec<(u32, Event)> {
    use AdjustedBook::{Donation, Fee, Reserve, Rounding};
    use Direction::{FromAccount, ToAccount};
    let adjustment =
        |account: Account, expects: At, way, amount, block: Option<Hash>, text: &str| {
            let (book, direction) = way;
            Event::Adjustment(Box::new(Adjustment {
                account,
                expects,
                book,
                direction,
                amount,
                block,
                reason: reason(text),
            }))
        };
    let evm = Account::Evm(run(0xe0, 20).try_into().unwrap());
    let longest = Account::Script(Script::new(&run(0, 64)).unwrap());
    let most = 1_208_925_819_614_629_174_706_176_000_000_000;
    let found = Some(hash(BLOCK_HASH));
    let text = "found block 840,001";
    vec![
        (
            0,
            adjustment(
                witness(),
                NONE,
                (Reserve, ToAccount),
                49_500_000_000,
                found,
                text,
            ),
        ),
        (
            1,
            adjustment(
                anna(),
                at(1_234, 5),
                (Fee, FromAccount),
                1,
                None,
                "paid twice",
            ),
        ),
        (
            2,
            adjustment(
                evm,
                at(17, 2),
                (Donation, ToAccount),
                1_000_000_000,
                None,
                " ",
            ),
        ),
        (
            MAX,
            adjustment(
                longest,
                AT_MAX,
                (Rounding, FromAccount),
                most,
                Some(FULL),
                &"~".repeat(200),
            ),
        ),
    ]
}

/// Whether the golden event of a page is read with other bytes at an offset of its fields.
fn patched(kind: Kind, case: usize, offset: usize, bytes: &[u8]) -> bool {
    let mut event = events(kind).swap_remove(case).1.to_bytes(0);
    event[8 + offset..8 + offset + bytes.len()].copy_from_slice(bytes);
    RawEvent::one(&event).and_then(|raw| raw.decode()).is_ok()
}

#[test]
fn reasons_are_1_to_200_printable_bytes() {
    let lengths = [(0, false), (1, true), (200, true), (201, false)];
    for (len, legal) in lengths {
        assert_eq!(Reason::parse(&"x".repeat(len)).is_some(), legal, "{len}");
    }
    // The reasons of these two are a single byte at their ends.
    for (kind, case) in [(Kind::Ban, 3), (Kind::Adjustment, 2)] {
        let end = events(kind).swap_remove(case).1.to_bytes(0).len() - 8;
        for byte in 0..=u8::MAX {
            let legal = (0x20..=0x7e).contains(&byte);
            assert_eq!(patched(kind, case, end - 1, &[byte]), legal, "{byte:#x}");
        }
        assert!(!patched(kind, case, end - 2, &[0]), "no reason");
    }
    let mut longer = events(Kind::Ban).swap_remove(4).1.to_bytes(0);
    longer.push(b'w');
    let (len, at) = (longer.len(), longer.len() - 202);
    longer[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_le_bytes());
    longer[at] = 201;
    let read = RawEvent::one(&longer).and_then(|raw| raw.decode());
    assert!(read.is_err(), "201 bytes");
}

#[test]
fn bans_have_their_limits() {
    // Of a script: target's kind, account's kind, length, 22 bytes, action.
    let action = 1 + 1 + 1 + 22;
    // Of an IPv4 network: target's kind, length, 4 bytes, prefix, action, end.
    let prefix = 1 + 1 + 4;
    for byte in 0..=u8::MAX {
        let named = (1..=2).contains(&byte);
        assert_eq!(patched(Kind::Ban, 0, action, &[byte]), named, "{byte}");
        // 203.0.113.0 has 24 bits.
        let legal = (24..=32).contains(&byte);
        assert_eq!(patched(Kind::Ban, 2, prefix, &[byte]), legal, "/{byte}");
    }
    assert!(!patched(Kind::Ban, 0, 0, &[0]) && !patched(Kind::Ban, 0, 0, &[3]));
    assert!(
        !patched(Kind::Ban, 2, prefix - 1, &[1]),
        "bits after the prefix"
    );
    // A lift has no end: after target's kind, account's kind, length, 8 bytes and the action.
    let until = 1 + 1 + 1 + 8 + 1;
    assert!(!patched(Kind::Ban, 1, until, &[1]), "a lift with an end");
    assert!(patched(Kind::Ban, 1, until - 1, &[1, 1]), "a ban with one");
    for len in 0..=u8::MAX {
        assert_eq!(patched(Kind::Ban, 2, 1, &[len]), len == 4, "{len} bytes");
    }
}

#[test]
fn adjustments_have_their_limits() {
    // Of a script: account's kind, length, 22 bytes, expects, book, direction, amount.
    let book = 1 + 1 + 22 + 10;
    for byte in 0..=u8::MAX {
        let of = |last| (1..=last).contains(&byte);
        assert_eq!(patched(Kind::Adjustment, 0, book, &[byte]), of(4));
        assert_eq!(patched(Kind::Adjustment, 0, book + 1, &[byte]), of(2));
    }
    let amounts = [
        (0, false),
        (1, true),
        (ADJUSTMENT_MAX, true),
        (ADJUSTMENT_MAX + 1, false),
        (u128::MAX, false),
    ];
    for (amount, legal) in amounts {
        let bytes = u128::to_le_bytes(amount);
        let read = patched(Kind::Adjustment, 0, book + 2, &bytes);
        assert_eq!(read, legal, "{amount}");
    }
}
