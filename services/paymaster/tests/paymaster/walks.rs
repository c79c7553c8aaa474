//! What becomes of payouts when nothing fails but the world.

use orebook_paymaster::machine::{BACK_MAX, VERSIONS_MAX};
use orebook_replay::folds::money::payouts::TxState;
use orebook_schema::account::SettingValue;
use orebook_schema::policy::NetworkFees;
use orebook_schema::work::BlockState;
use orebook_schema::{At, Event, Kind};

use crate::chain::{Edge, FEE, Fault};
use crate::setup::{
    APPROVERS, GATEWAY, LAST, Mood, PAID, STUCK_MS, Setup, TURN_MS, account, signer,
};
use crate::world::World;

const BOTH: [bool; 2] = [false, true];

/// The first transaction is in this state.
fn is(state: TxState) -> impl Fn(&World) -> bool {
    move |world| world.state(0, 0) == Some(state)
}

#[test]
fn a_balance_is_proposed_signed_sent_seen_confirmed_and_final() {
    for one_each in BOTH {
        let mut world = World::with(
            Setup::new(one_each),
            &[(account(1), 500), (account(2), 30), (account(3), 19)],
        );
        world.until("seen", is(TxState::Seen));
        assert_eq!(world.chain.paid().len(), 0);
        world.chain.mine(PAID);
        world.until("confirmed", is(TxState::Confirmed));
        world.chain.mine(LAST - PAID);
        world.until("final", is(TxState::Final));
        world.settle();
        let paid = world.chain.paid();
        assert_eq!(paid.get(&account(1)), Some(&500));
        assert_eq!(paid.get(&account(2)), Some(&30));
        assert_eq!(paid.get(&account(3)), None, "below its threshold");
        world.check("in peace");
        let metrics = world.paymasters[0].metrics();
        let txs = if one_each { 2 } else { 1 };
        assert_eq!(metrics.said_proposed, 1);
        assert_eq!((metrics.said_signed, world.chain.signatures()), (txs, txs));
        assert_eq!((metrics.said_final, metrics.not_obeyed), (txs, 0));
    }
}

#[test]
fn a_transaction_that_the_nodes_forget_is_sent_again_and_never_built_again() {
    for one_each in BOTH {
        let mut world = World::with(Setup::new(one_each), &[(account(1), 500)]);
        world.until("seen", is(TxState::Seen));
        let sent = world.chain.asked(Edge::Send);
        for _ in 0..3 {
            world.chain.forget();
            world.turns(20);
        }
        assert!(sent + 3 <= world.chain.asked(Edge::Send));
        world.settle();
        world.check_all_paid("forgotten");
        assert_eq!(world.chain.signatures(), 1);
    }
}

#[test]
fn a_payout_that_a_reorganisation_takes_away_is_sent_again_and_paid_once() {
    for one_each in BOTH {
        for keeps in BOTH {
            let mut world = World::with(
                Setup::new(one_each),
                &[(account(1), 500), (account(2), 300)],
            );
            world.until("seen", is(TxState::Seen));
            world.chain.mine(PAID);
            world.until("confirmed", is(TxState::Confirmed));
            world.chain.reorganise(PAID, keeps);
            assert!(world.chain.paid().is_empty());
            world.until("taken back", |world| {
                matches!(world.state(0, 0), Some(TxState::Broadcast | TxState::Seen))
            });
            assert!(world.txs(0)[0].posted, "what was posted stands");
            world.settle();
            world.check_all_paid("reorganised");
            assert_eq!(world.chain.signatures(), if one_each { 2 } else { 1 });
        }
    }
}

#[test]
fn a_confirmation_is_taken_back_only_so_often_and_becomes_final_all_the_same() {
    let mut world = World::with(Setup::new(false), &[(account(1), 500)]);
    world.until("seen", is(TxState::Seen));
    let without = world.chain.branch();
    world.chain.mine(PAID);
    let with = world.chain.branch();
    for back in 0..=BACK_MAX {
        world.chain.stand_at(&with);
        world.until("confirmed", is(TxState::Confirmed));
        world.chain.stand_at(&without);
        if back < BACK_MAX {
            world.until("taken back", is(TxState::Seen));
            assert_eq!(world.paymasters[0].metrics().disputed, 0, "back {back}");
        }
    }
    world.looks(20);
    assert_eq!(world.state(0, 0), Some(TxState::Confirmed));
    assert_eq!(world.paymasters[0].metrics().disputed, 1);
    world.chain.stand_at(&with);
    world.settle();
    assert_eq!(world.state(0, 0), Some(TxState::Final));
    world.check_all_paid("taken back often");
}

#[test]
fn two_paymasters_pay_once() {
    for one_each in BOTH {
        let setup = Setup {
            paymasters: 2,
            ..Setup::new(one_each)
        };
        let accounts: Vec<_> = (0..12).map(|n| (account(n), 100 + u128::from(n))).collect();
        let mut world = World::with(setup, &accounts);
        world.settle();
        world.give(&accounts);
        world.settle();
        world.check_all_paid("two paymasters");
        let said: Vec<_> = world.events_from(0).into_iter().collect();
        let proposals = said
            .iter()
            .filter(|(_, _, event)| matches!(event, Event::PayoutProposed(_)));
        assert!(
            world.wallet().batches < proposals.count() as u64,
            "both said some"
        );
        let refused: Vec<u64> = world
            .paymasters
            .iter()
            .map(|it| it.metrics().refused)
            .collect();
        let book = world.paymasters[0].machine().book();
        let all = book.refused(At::default(), usize::MAX).unwrap().len();
        assert_eq!(
            refused.iter().sum::<u64>(),
            all as u64,
            "each refused word has one who said it: {refused:?}"
        );
    }
}

#[test]
fn nothing_is_signed_before_two_different_approvers_approved_the_batch() {
    for one_each in BOTH {
        let setup = Setup {
            auto_pay_limit: 100,
            ..Setup::new(one_each)
        };
        let mut world = World::with(setup, &[(account(1), 500)]);
        world.until("a proposal", |world| world.batch(0).is_some());
        world.turns(30);
        assert_eq!(world.why(), "batch 0 waits for approvals: 0 of 2");
        let digest = world.digest_of(0);
        // The same approver twice is one.
        for _ in 0..2 {
            world.approve(digest, &APPROVERS[..1]);
            world.turns(20);
            assert_eq!(world.why(), "batch 0 waits for approvals: 1 of 2");
            assert_eq!(world.chain.asked(Edge::Sign), 0);
        }
        world.approve(digest, &APPROVERS[1..]);
        world.approve(digest, &APPROVERS);
        world.settle();
        world.check_all_paid("approved");
        assert_eq!(world.chain.signatures(), 1);
    }
}

#[test]
fn a_batch_that_nobody_approves_is_cancelled_and_a_late_approval_changes_nothing() {
    let setup = Setup {
        auto_pay_limit: 0,
        ..Setup::new(true)
    };
    let mut world = World::with(setup, &[(account(1), 500), (account(2), 300)]);
    world.until("a proposal", |world| world.batch(0).is_some());
    let digest = world.digest_of(0);
    world.until("it is cancelled", |world| {
        let txs = world.txs(0);
        txs.iter().all(|tx| tx.state == TxState::Cancelled)
    });
    world.approve(digest, &APPROVERS);
    world.until("another proposal", |world| world.batch(1).is_some());
    world.turns(50);
    assert_eq!(world.chain.asked(Edge::Sign), 0);
    world.approve(world.digest_of(1), &APPROVERS);
    world.settle();
    world.check_all_paid("approved late");
}

#[test]
fn a_change_of_address_after_the_proposal_is_for_the_next_batch() {
    let setup = Setup {
        auto_pay_limit: 0,
        ..Setup::new(false)
    };
    let mut world = World::with(setup, &[(account(1), 500)]);
    world.until("a proposal", |world| world.batch(0).is_some());
    world.set(&account(1), SettingValue::Address(account(9)));
    world.approve(world.digest_of(0), &APPROVERS);
    world.settle();
    assert_eq!(world.chain.paid().get(&account(1)), Some(&500));
    world.give(&[(account(1), 70)]);
    world.until("another proposal", |world| world.batch(1).is_some());
    world.approve(world.digest_of(1), &APPROVERS);
    world.settle();
    assert_eq!(world.chain.paid().get(&account(9)), Some(&70));
    world.check_all_paid("moved");
}

#[test]
fn of_a_thousand_lines_only_the_one_with_a_bad_address_waits() {
    let accounts: Vec<_> = (0..1_000).map(|n| (account(n), 50)).collect();
    let mut world = World::new(Setup::new(false));
    world.chain.does_not_know(&account(500));
    world.halt();
    world.give(&accounts);
    world.resume();
    world.until("final", |world| {
        world.chain.mine(1);
        world.state(0, 0) == Some(TxState::Final)
    });
    assert_eq!(world.lines(0).len(), 999);
    let paid = world.chain.paid();
    assert_eq!((paid.len(), paid.get(&account(500))), (999, None));
    assert_eq!(world.paymasters[0].metrics().strange_addresses, 1);
    world.check("one in a thousand");
}

#[test]
fn a_halted_wallet_proposes_signs_and_sends_nothing_until_it_is_resumed() {
    for one_each in BOTH {
        let setup = Setup {
            auto_pay_limit: 0,
            ..Setup::new(one_each)
        };
        let mut world = World::with(setup, &[(account(1), 500)]);
        world.until("a proposal", |world| world.batch(0).is_some());
        world.halt();
        world.approve(world.digest_of(0), &APPROVERS);
        world.turns(50);
        let at = world.wallet().halted.expect("it is halted");
        let since = format!("the wallet is halted since {at}: a test halts it");
        assert_eq!(world.why(), since);
        assert_eq!(world.chain.asked(Edge::Sign), 0);
        world.resume();
        world.until("signed", |world| {
            world.state(0, 0) > Some(TxState::Unsigned)
        });
        world.settle();
        world.halt();
        world.give(&[(account(1), 100)]);
        world.turns(60);
        assert_eq!(world.wallet().batches, 1);
        world.resume();
        world.until("a proposal", |world| world.batch(1).is_some());
        world.approve(world.digest_of(1), &APPROVERS);
        world.settle();
        world.check_all_paid("halted twice");
    }
}

#[test]
fn a_digest_that_differs_halts_the_wallet_and_one_that_is_missing_waits() {
    let mut world = World::new(Setup::new(false));
    *world.projectors.moods.lock().unwrap() = [Mood::Honest, Mood::Silent];
    world.give(&[(account(1), 500)]);
    world.turns(60);
    assert!(
        world.why().starts_with("too few projectors answer"),
        "{}",
        world.why()
    );
    let metrics = world.paymasters[0].metrics();
    assert_eq!((metrics.digests_missing, metrics.said_halted), (1, 0));
    *world.projectors.moods.lock().unwrap() = [Mood::Honest, Mood::Other];
    world.until("a halt", |world| world.wallet().halted.is_some());
    world.turns(60);
    let metrics = world.paymasters[0].metrics();
    assert_eq!((metrics.halted, metrics.said_halted), (1, 1), "said once");
    *world.projectors.moods.lock().unwrap() = [Mood::Honest; 2];
    world.turns(30);
    assert_eq!(world.wallet().batches, 0);
    world.resume();
    world.settle();
    world.check_all_paid("digests");
}

#[test]
fn a_stuck_payout_is_replaced_by_one_that_pays_more_and_spends_the_same() {
    for one_each in BOTH {
        let mut world = World::with(Setup::new(one_each), &[(account(1), 500)]);
        world.until("seen", is(TxState::Seen));
        let before = world.txs(0)[0].clone();
        world.turns((STUCK_MS / TURN_MS) as u32);
        world.until("replaced", |world| world.txs(0)[0].txids.len() == 2);
        world.until("seen again", is(TxState::Seen));
        let after = world.txs(0)[0].clone();
        assert_eq!(before.spends, after.spends);
        assert_eq!(world.chain.counts(), (0, 1), "one waits");
        world.settle();
        world.check_all_paid("replaced");
        assert_eq!(world.chain.cost(), 2 * FEE);
        assert_eq!(world.paymasters[0].metrics().said_replaced, 1);
    }
}

#[test]
fn a_payout_that_cannot_be_replaced_is_shown_as_stuck_until_it_is() {
    let mut world = World::with(Setup::new(false), &[(account(1), 500)]);
    let stuck = |world: &World| world.paymasters[0].metrics().stuck;
    world.until("seen", is(TxState::Seen));
    for after in 0..10_000 {
        world.chain.fault(Edge::Sign, after, Fault::Failed);
    }
    world.turns((STUCK_MS / TURN_MS) as u32);
    world.until("stuck", |world| stuck(world) == 1);
    assert_eq!(world.txs(0)[0].txids.len(), 1);
    world.chain.no_more_faults();
    world.until("replaced", |world| world.txs(0)[0].txids.len() == 2);
    assert_eq!(stuck(&world), 0);
    world.settle();
    world.check_all_paid("stuck for a while");
}

#[test]
fn a_payout_at_its_last_version_is_shown_as_stuck_and_replaced_no_more() {
    let mut world = World::with(Setup::new(false), &[(account(1), 500)]);
    world.until("seen", is(TxState::Seen));
    for _ in 0..VERSIONS_MAX + 2 {
        world.turns((2 * STUCK_MS / TURN_MS) as u32);
    }
    assert_eq!(world.txs(0)[0].txids.len(), VERSIONS_MAX);
    assert_eq!(world.paymasters[0].metrics().stuck, 1);
    world.settle();
    world.check_all_paid("at its last version");
}

#[test]
fn a_batch_is_no_larger_than_its_limit() {
    let setup = Setup {
        batch_max: 600,
        ..Setup::new(false)
    };
    let mut world = World::with(setup, &[(account(1), 500), (account(2), 400)]);
    world.settle();
    let totals = [0, 1].map(|batch| world.batch(batch).unwrap().total);
    assert_eq!(totals, [500, 400]);
    world.check_all_paid("in two batches");
}

#[test]
fn a_batch_is_cancelled_when_a_block_that_it_cites_is_orphaned_before_it_is_signed() {
    let setup = Setup {
        auto_pay_limit: 0,
        ..Setup::new(false)
    };
    let mut world = World::new(setup);
    let block = world.confirmed_block(1);
    world.give(&[(account(1), 500)]);
    world.until("a proposal", |world| world.batch(0).is_some());
    assert_eq!(world.batch(0).unwrap().cited, [block]);
    let last = world.last_status(block);
    world.status(block, 1, BlockState::Orphaned, last);
    world.until("cancelled", is(TxState::Cancelled));
    world.approve(world.digest_of(0), &APPROVERS);
    world.until("another proposal", |world| world.batch(1).is_some());
    assert!(world.batch(1).unwrap().cited.is_empty());
    assert_eq!(world.chain.asked(Edge::Sign), 0);
    world.approve(world.digest_of(1), &APPROVERS);
    world.settle();
    world.check_all_paid("orphaned");
}

#[test]
fn a_conflict_that_nobody_recorded_halts_the_wallet_and_is_cancelled_after_people_looked() {
    for one_each in BOTH {
        let mut world = World::with(Setup::new(one_each), &[(account(1), 500)]);
        world.until("seen", is(TxState::Seen));
        world.chain.steal(&world.txs(0)[0].spends);
        world.until("conflicted", is(TxState::Conflicted));
        world.turns(40);
        assert_eq!(world.wallet().halted, None, "it may still be taken back");
        world.chain.mine(LAST);
        world.until("a halt", |world| world.wallet().halted.is_some());
        world.turns(40);
        assert_eq!(world.state(0, 0), Some(TxState::Conflicted));
        world.resume();
        world.until("cancelled", is(TxState::Cancelled));
        world.settle();
        world.check_all_paid("stolen");
        assert_eq!(world.wallet().batches, 2);
    }
}

#[test]
fn an_evm_transaction_of_status_0_has_failed_at_final_depth_and_its_line_is_paid_again() {
    let mut world = World::with(Setup::new(true), &[(account(1), 500), (account(2), 300)]);
    world.chain.will_fail(Some(account(1)));
    world.until("seen", is(TxState::Seen));
    world.chain.mine(PAID + 1);
    world.until("the other one is confirmed", |world| {
        world.state(0, 1) == Some(TxState::Confirmed)
    });
    world.turns(40);
    assert_eq!(world.state(0, 0), Some(TxState::Seen));
    world.chain.will_fail(None);
    world.chain.mine(1);
    world.until("failed", is(TxState::Failed));
    world.settle();
    world.check_all_paid("status 0");
}

#[test]
fn silence_is_unknown_and_blocks_the_wallet_until_the_chain_answers() {
    let mut world = World::with(Setup::new(false), &[(account(1), 500)]);
    world.until("seen", is(TxState::Seen));
    for after in 0..200 {
        world.chain.fault(Edge::Look, after, Fault::Failed);
    }
    world.until("unknown", is(TxState::Unknown));
    world.give(&[(account(2), 500)]);
    assert_eq!(world.wallet().batches, 1);
    world.chain.no_more_faults();
    world.until("seen", is(TxState::Seen));
    world.settle();
    world.check_all_paid("silence");
}

#[test]
fn a_wallet_with_less_than_is_owed_is_halted() {
    let mut world = World::new(Setup {
        sights: 2,
        ..Setup::new(false)
    });
    world.chain.hide(8_000_000 - 100);
    world.give(&[(account(1), 500)]);
    world.until("a halt", |world| world.wallet().halted.is_some());
    world.chain.hide(0);
    world.resume();
    world.settle();
    world.check_all_paid("funds again");
}

#[test]
fn a_wallet_that_is_not_ready_says_why_and_nothing_is_proposed() {
    let mut world = World::new(Setup::new(false));
    world.chain.set_not_ready(Some("locked"));
    world.give(&[(account(1), 500)]);
    world.turns(30);
    assert_eq!(world.why(), "the wallet is not ready: locked");
    assert_eq!(world.wallet().batches, 0);
    world.chain.set_not_ready(None);
    world.settle();
    world.check_all_paid("ready");
}

#[test]
fn a_dry_run_plans_and_says_nothing() {
    let setup = Setup {
        dry_run: true,
        ..Setup::new(false)
    };
    let mut world = World::with(setup, &[(account(1), 500), (account(2), 3)]);
    world.turns(200);
    assert_eq!(
        world.why(),
        "this is a dry run: nothing is said, signed or sent"
    );
    let plan = world.paymasters[0].machine().plan().unwrap().clone();
    assert_eq!((plan.lines.len(), plan.total, plan.fee), (1, 500, FEE));
    let key = signer(crate::setup::PAYMASTERS[0]).key();
    assert!(world.events_from(0).iter().all(|(_, by, _)| *by != key));
    assert_eq!(
        world.chain.asked(Edge::Sign) + world.chain.asked(Edge::Send),
        0
    );
}

#[test]
fn miners_bear_the_fee_where_the_policy_says_so() {
    let setup = Setup {
        fees: NetworkFees::Miner,
        ..Setup::new(false)
    };
    let mut world = World::new(setup);
    world.chain.set_fee(11);
    world.halt();
    world.give(&[(account(1), 29), (account(2), 20)]);
    world.resume();
    world.settle();
    let paid = world.chain.paid();
    assert_eq!(paid.get(&account(1)), Some(&24));
    assert_eq!(paid.get(&account(2)), Some(&15));
    world.check("rules 8.3");
}

#[test]
fn the_largest_are_paid_first_and_a_day_has_its_limit() {
    let setup = Setup {
        lines_max: 2,
        day_max: 900,
        ..Setup::new(false)
    };
    let mut world = World::new(setup);
    world.halt();
    world.give(&[
        (account(1), 100),
        (account(2), 500),
        (account(3), 300),
        (account(4), 200),
    ]);
    world.resume();
    world.settle();
    let whom: Vec<Vec<_>> = (0..world.wallet().batches)
        .map(|batch| {
            world
                .lines(batch)
                .into_iter()
                .map(|line| line.account)
                .collect()
        })
        .collect();
    assert_eq!(whom, [vec![account(2), account(3)], vec![account(1)]]);
    assert_eq!(world.why(), "today's limit leaves no room for a line");
    world.check("a day");
}

#[test]
fn who_asks_for_payment_at_once_is_paid_below_the_threshold_but_not_below_dust() {
    let mut world = World::with(Setup::new(false), &[(account(1), 19), (account(2), 4)]);
    world.turns(50);
    assert_eq!(world.wallet().batches, 0);
    world.set(&account(1), SettingValue::PayNow);
    world.set(&account(2), SettingValue::PayNow);
    world.settle();
    assert_eq!(world.chain.paid().get(&account(1)), Some(&19));
    assert_eq!(world.chain.paid().get(&account(2)), None);
    world.check("pay now");
}

#[test]
fn a_gateways_key_cannot_say_a_payout() {
    let mut world = World::new(Setup::new(false));
    world.paymasters[0].become_(GATEWAY);
    world.paymasters[0].restart(world.now, false);
    world.give(&[(account(1), 500)]);
    world.turns(100);
    assert_eq!(world.paymasters[0].metrics().key_refused, 1);
    assert_eq!(world.wallet().batches, 0);
    let payouts = Kind::PayoutProposed.bit() | Kind::PayoutHalt.bit();
    let said = world.events_from(0);
    assert!(
        said.iter()
            .all(|(_, _, event)| event.kind().bit() & payouts == 0)
    );
}
