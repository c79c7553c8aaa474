//! What is not done though it could be: a halted wallet sends nothing, what is taken is not taken again, what is grave is not
//! believed at first sight.

use std::collections::BTreeSet;

use orebook_paymaster::why::Why;
use orebook_replay::folds::money::payouts::TxState;
use orebook_schema::{Event, StreamId};

use crate::chain::{Alters, Edge, Fault, Tx};
use crate::setup::{APPROVERS, LAST, PAID, Setup, account};
use crate::world::World;

const BOTH: [bool; 2] = [false, true];
/// Sights that the paymaster of these tests wants.
const SIGHTS: u32 = 3;

/// Steps in the final ledger.
fn steps(world: &World) -> usize {
    let said = world.events_from(0);
    let steps = said
        .iter()
        .filter(|(_, _, event)| matches!(event, Event::PayoutStep(_)));
    steps.count()
}

#[test]
fn a_halted_wallet_sends_nothing_that_it_signed_before_until_it_is_resumed() {
    for one_each in BOTH {
        // What was sent and is forgotten, and what was signed and never sent.
        for was_sent in BOTH {
            let mut world = World::new(Setup::new(one_each));
            if !was_sent {
                for after in 0..500 {
                    world.chain.fault(Edge::Send, after, Fault::Failed);
                }
            }
            world.give(&[(account(1), 500)]);
            let state = if was_sent {
                TxState::Seen
            } else {
                TxState::Signed
            };
            world.until("signed", |world| world.state(0, 0) == Some(state));
            world.halt();
            world.turns(2);
            world.chain.forget();
            world.chain.no_more_faults();
            let sent = world.chain.asked(Edge::Send);
            world.looks(20);
            assert_eq!(
                world.chain.asked(Edge::Send),
                sent,
                "one each {one_each}, sent {was_sent}: halted"
            );
            assert_eq!(world.chain.counts(), (0, 0), "no node has it");
            world.resume();
            world.until("it is sent", |world| world.chain.counts() == (0, 1));
            world.settle();
            world.check_all_paid("halted while it waits");
            assert_eq!(world.chain.signatures(), 1);
        }
    }
}

#[test]
fn coins_and_nonces_of_a_payout_that_a_reorganisation_took_away_are_not_spent_by_the_next() {
    for one_each in BOTH {
        let setup = Setup {
            auto_pay_limit: 0,
            ..Setup::new(one_each)
        };
        let mut world = World::with(setup, &[(account(1), 500)]);
        world.until("a proposal", |world| world.batch(0).is_some());
        world.approve(world.digest_of(0), &APPROVERS);
        world.until("seen", |world| world.state(0, 0) == Some(TxState::Seen));
        world.chain.mine(PAID);
        world.until("confirmed", |world| {
            world.state(0, 0) == Some(TxState::Confirmed)
        });
        world.give(&[(account(2), 300)]);
        world.until("another proposal", |world| world.batch(1).is_some());
        // It waits again; its coins are in the best chain, and unspent there.
        world.chain.reorganise(PAID, true);
        world.until("taken back", |world| {
            matches!(world.state(0, 0), Some(TxState::Broadcast | TxState::Seen))
        });
        world.approve(world.digest_of(1), &APPROVERS);
        world.until("signed", |world| {
            world.state(1, 0) > Some(TxState::Unsigned)
        });
        let spends = |batch| -> BTreeSet<Vec<u8>> {
            let raws = world.raws(batch);
            raws.iter().flat_map(|raw| Tx::read(raw).spends).collect()
        };
        let (first, second) = (spends(0), spends(1));
        assert!(!first.is_empty() && !second.is_empty());
        assert!(
            first.is_disjoint(&second),
            "one each {one_each}: what batch 0 spends is taken"
        );
        world.settle();
        world.check_all_paid("two at once");
        assert_eq!(world.paymasters[0].metrics().said_conflicted, 0);
        assert_eq!(world.wallet().batches, 2, "nothing was paid again");
    }
}

#[test]
fn of_many_transactions_each_has_its_own_nonce_though_a_signature_fails_between() {
    let mut world = World::new(Setup::new(true));
    world.chain.fault(Edge::Sign, 1, Fault::Failed);
    world.halt();
    world.give(&[(account(1), 500), (account(2), 300), (account(3), 100)]);
    world.resume();
    world.until("all are signed", |world| {
        let txs = world.txs(0);
        !txs.is_empty() && txs.iter().all(|tx| tx.state > TxState::Unsigned)
    });
    let txs = world.txs(0);
    let spends: BTreeSet<_> = txs.iter().map(|tx| tx.spends.clone()).collect();
    assert_eq!((txs.len(), spends.len()), (3, 3), "three nonces");
    world.settle();
    world.check_all_paid("a signature fails");
    assert_eq!(world.paymasters[0].metrics().said_conflicted, 0);
}

/// A wallet with one payout in a state, and what the chain then shows.
struct Grave {
    what: &'static str,
    one_each: bool,
    from: TxState,
    shows: fn(&World),
    to: TxState,
}

/// Somebody else with the key spends what the payout spends.
fn steals(world: &World) {
    let _by = world.chain.steal(&world.txs(0)[0].spends);
}

const GRAVE: [Grave; 6] = [
    Grave {
        what: "so deep that nobody looks any more",
        one_each: false,
        from: TxState::Confirmed,
        shows: |world| world.chain.mine(LAST - PAID),
        to: TxState::Final,
    },
    Grave {
        what: "taken back, and it waits again",
        one_each: false,
        from: TxState::Confirmed,
        shows: |world| world.chain.reorganise(PAID, true),
        to: TxState::Seen,
    },
    Grave {
        what: "taken back, and nobody has it",
        one_each: true,
        from: TxState::Confirmed,
        shows: |world| world.chain.reorganise(PAID, false),
        to: TxState::Broadcast,
    },
    Grave {
        what: "its coins are spent by another",
        one_each: false,
        from: TxState::Seen,
        shows: steals,
        to: TxState::Conflicted,
    },
    Grave {
        what: "its nonce is used by another",
        one_each: true,
        from: TxState::Seen,
        shows: steals,
        to: TxState::Conflicted,
    },
    Grave {
        what: "status 0, for good",
        one_each: true,
        from: TxState::Seen,
        shows: |world| {
            world.chain.will_fail(Some(account(1)));
            world.chain.mine(LAST);
        },
        to: TxState::Failed,
    },
];

#[test]
fn what_is_grave_is_said_only_when_it_was_seen_so_often_in_a_row() {
    for Grave {
        what,
        one_each,
        from,
        shows,
        to,
    } in GRAVE
    {
        let setup = Setup {
            sights: SIGHTS,
            ..Setup::new(one_each)
        };
        let mut world = World::with(setup, &[(account(1), 500)]);
        world.until("seen", |world| world.state(0, 0) == Some(TxState::Seen));
        if from == TxState::Confirmed {
            world.chain.mine(PAID);
            world.until("confirmed", |world| world.state(0, 0) == Some(from));
        }
        // Until the archiver, too, has read all that was said.
        world.turns(5);
        let (before, said) = (world.chain.branch(), steps(&world));
        // A node shows it, and takes it back before it was seen often enough; and the count begins anew.
        for _ in 0..3 {
            shows(&world);
            world.looks(u64::from(SIGHTS) - 1);
            world.chain.stand_at(&before);
            world.looks(10);
        }
        assert_eq!(steps(&world), said, "{what}: nothing was said");
        assert_eq!(world.state(0, 0), Some(from), "{what}");
        shows(&world);
        world.looks(u64::from(SIGHTS));
        world.until(what, |world| world.state(0, 0) == Some(to));
    }
}

#[test]
fn a_clock_that_is_set_back_delays_no_payout() {
    let mut world = World::new(Setup::new(false));
    world.until("a plan that pays nobody", |world| {
        matches!(world.paymasters[0].machine().why_waiting(), Why::Nobody(_))
    });
    world.paymasters[0].behind_ms = 900_000;
    world.give(&[(account(1), 500)]);
    world.until("seen", |world| world.state(0, 0) == Some(TxState::Seen));
    world.settle();
    world.check_all_paid("with a clock that was set back");
}

/// The paymaster's turn with the ledger alone; whether it has news after it.
fn reads(world: &mut World) -> bool {
    let stream = StreamId::from_parts(world.now, [77; 10]);
    let (mirror, machine) = world.paymasters[0].life.as_mut().expect("it runs");
    mirror.0.lock().unwrap().poll(&world.broker, 100).unwrap();
    machine
        .ledger_turn(mirror, &mut world.broker, world.now, stream)
        .unwrap();
    machine.has_news()
}

#[test]
fn the_approval_that_was_missing_is_news_until_the_chain_has_its_turn() {
    let setup = Setup {
        auto_pay_limit: 0,
        ..Setup::new(false)
    };
    let mut world = World::with(setup, &[(account(1), 500)]);
    world.until("a proposal", |world| world.batch(0).is_some());
    world.turns(30);
    for (approver, is_news) in [(APPROVERS[0], false), (APPROVERS[1], true)] {
        assert!(!reads(&mut world), "nothing new");
        let asleep = world.paymasters[0].life.take();
        world.approve(world.digest_of(0), &[approver]);
        world.paymasters[0].life = asleep;
        assert_eq!(reads(&mut world), is_news, "approver {approver}");
        assert_eq!(reads(&mut world), is_news, "and still is");
        assert_eq!(world.state(0, 0), Some(TxState::Unsigned));
        world.turns(1);
    }
    assert!(!reads(&mut world), "the chain had its turn");
    world.until("signed", |world| {
        world.state(0, 0) > Some(TxState::Unsigned)
    });
}

#[test]
fn what_the_wallet_signed_is_recorded_and_sent_only_if_it_is_what_was_ordered() {
    let alterations: [(&str, Alters); 5] = [
        ("a unit less", |pays| pays[0].1 -= 1),
        ("a unit more", |pays| pays[0].1 += 1),
        ("somebody else", |pays| pays[0].0 = account(99)),
        ("somebody more", |pays| pays.push((account(99), 5))),
        ("a line not", |pays| drop(pays.pop())),
    ];
    for one_each in BOTH {
        for (what, alters) in alterations {
            let mut world = World::new(Setup::new(one_each));
            world.chain.alters(Some(alters));
            world.give(&[(account(1), 500), (account(2), 300)]);
            world.until(what, |world| {
                let states = world.states();
                let first = states.first();
                first.is_some_and(|states| states.iter().all(|state| *state == "cancelled"))
            });
            assert_eq!(world.chain.counts(), (0, 0), "{what}: nothing was sent");
            let said = world.events_from(0);
            let is_signed = |event: &Event| matches!(event, Event::PayoutSigned(_));
            assert!(
                !said.iter().any(|(_, _, event)| is_signed(event)),
                "{what}: nothing was recorded"
            );
            world.chain.alters(None);
            world.settle();
            world.check_all_paid(what);
        }
    }
}
