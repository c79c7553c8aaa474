//! The reconciliation that a paymaster makes by itself: one event each time that it is due, and one halt for what is new.

use std::sync::atomic::Ordering;

use orebook_replay::folds::money::payouts::{ReconciledRow, reconciliations};
use orebook_replay::store::Store as _;
use orebook_schema::Event;

use crate::chain::{Edge, Fault};
use crate::setup::{LAST, RECONCILE_MS, Setup, TURN_MS, account};
use crate::world::World;

const BOTH: [bool; 2] = [false, true];

fn rows(world: &World) -> Vec<ReconciledRow> {
    let view = world.projectors.store.view().unwrap();
    let mut rows = reconciliations(&*view, 0, None, 100).unwrap();
    rows.reverse();
    rows
}

/// Halts in the final ledger.
fn halts(world: &World) -> usize {
    let said = world.events_from(0);
    let halts = said
        .iter()
        .filter(|(_, _, event)| matches!(event, Event::PayoutHalt(_)));
    halts.count()
}

/// A world that compares, with three payments made for good, just before a reconciliation is due again.
fn world(one_each: bool, sights: u32) -> World {
    let mut world = World::new(Setup {
        reconciles: true,
        sights,
        ..Setup::new(one_each)
    });
    world.give(&[(account(1), 500), (account(2), 300), (account(3), 100)]);
    world.settle();
    let before = rows(&world).len();
    world.until("one more", |world| before < rows(world).len());
    world
}

/// Turns of a whole period, and a few more.
const PERIOD_TURNS: u32 = (RECONCILE_MS / TURN_MS) as u32 + 40;

#[test]
fn it_is_said_once_each_time_that_it_is_due_with_its_figures() {
    for one_each in BOTH {
        let mut world = world(one_each, 1);
        world.turns(3 * PERIOD_TURNS);
        let rows = rows(&world);
        assert!((5..=8).contains(&rows.len()), "{}", rows.len());
        for pair in rows.windows(2) {
            let apart = pair[1].ledger_time - pair[0].ledger_time;
            assert!(RECONCILE_MS <= apart, "{apart}");
        }
        let last = rows.last().unwrap();
        let txs = world.states().concat().len() as u32;
        assert_eq!((last.transactions, last.differences), (txs, 0));
        assert_eq!(last.report, "");
        assert!(last.compared_position < last.at.position);
        assert_eq!(last.found, 8_000_000 - 900 - world.chain.cost());
        assert_eq!(
            last.expected, 0,
            "the wallet of this world was given its coins"
        );
        assert_eq!(halts(&world), 0);
        let said = world.paymasters[0].metrics().said_reconciled;
        assert_eq!(said as usize, rows.len());
        world.check_all_paid("each night");
    }
}

#[test]
fn what_waits_behind_a_comparison_that_is_said_does_not_wait_for_the_next_look() {
    let mut world = world(false, 1);
    let before = world.paymasters[0].metrics().said_reconciled;
    for _ in 0..2 * PERIOD_TURNS {
        assert!(!world.paymasters[0].machine().has_news(), "nothing is new");
        world.turns(1);
        if before < world.paymasters[0].metrics().said_reconciled {
            break;
        }
    }
    assert!(world.paymasters[0].machine().has_news(), "it said one");
    world.until("the chain has its turn", |world| {
        !world.paymasters[0].machine().has_news()
    });
}

#[test]
fn a_wallet_that_proposed_nothing_and_a_dry_run_say_none() {
    for (dry_run, gives) in [(false, 0), (true, 500)] {
        let mut world = World::new(Setup {
            reconciles: true,
            dry_run,
            ..Setup::new(false)
        });
        world.give(&[(account(1), 1 + gives)]);
        world.turns(PERIOD_TURNS);
        assert_eq!(rows(&world), []);
    }
}

#[test]
fn a_difference_halts_the_wallet_once_and_what_people_looked_at_halts_it_no_more() {
    for one_each in BOTH {
        let mut world = world(one_each, 1);
        let by = world.chain.sweep();
        world.until("a halt", |world| world.wallet().halted.is_some());
        world.turns(PERIOD_TURNS);
        let told = rows(&world);
        let last = told.last().unwrap();
        assert_eq!(last.differences, 1);
        assert!(
            last.report.starts_with(&format!("transaction {by}: ")),
            "{}",
            last.report
        );
        assert_eq!(halts(&world), 1, "one each {one_each}: it is halted");
        world.resume();
        world.turns(2 * PERIOD_TURNS);
        let told = rows(&world);
        assert_eq!(told.last().unwrap().differences, 1, "it still differs");
        assert_eq!((halts(&world), world.wallet().halted), (1, None));
        // Another one is new.
        world.chain.sweep();
        world.until("a halt", |world| world.wallet().halted.is_some());
        // Until the archiver, too, has read it.
        world.turns(5);
        assert_eq!(halts(&world), 2);
        let reason = world
            .events_from(0)
            .into_iter()
            .rev()
            .find_map(|(_, _, event)| match event {
                Event::PayoutHalt(halt) => Some(halt.reason.to_string()),
                _ => None,
            });
        let reason = reason.unwrap();
        assert!(
            reason.contains("docs/runbooks/reconciliation.md"),
            "{reason}"
        );
        let metrics = world.paymasters[0].metrics();
        assert_eq!(
            (metrics.reconcile_differences, metrics.reconcile_new),
            (2, 1)
        );
        world.resume();
        world.until("nothing is new", |world| {
            world.paymasters[0].metrics().reconcile_new == 0
        });
    }
}

#[test]
fn coins_that_people_move_while_it_is_halted_halt_it_no_more_if_the_resume_names_them() {
    for one_each in BOTH {
        for named in BOTH {
            let mut world = world(one_each, 1);
            world.halt();
            world.turns(5);
            let by = world.chain.sweep();
            world.chain.mine(LAST);
            // Before the next comparison is due: no report has it.
            let reason = if named {
                format!("moved to the cold wallet: {by}")
            } else {
                "moved to the cold wallet".to_owned()
            };
            world.resume_with(&reason);
            let halted = halts(&world);
            let said = rows(&world).len();
            world.turns(2 * PERIOD_TURNS);
            let told = rows(&world);
            assert!(said < told.len(), "it goes on comparing");
            assert_eq!(told.last().unwrap().differences, 1, "it is told each time");
            let metrics = world.paymasters[0].metrics();
            let new = u64::from(!named);
            // Whoever resumed it without a word has to look.
            assert_eq!(halts(&world) - halted, new as usize, "named {named}");
            assert_eq!(
                (metrics.reconcile_differences, metrics.reconcile_new),
                (1, new)
            );
            assert_eq!(world.wallet().halted.is_some(), !named);
        }
    }
}

#[test]
fn what_was_not_compared_is_never_said_to_have_no_difference() {
    for one_each in BOTH {
        let mut world = world(one_each, 1);
        let before = rows(&world);
        let shown = |world: &World| world.paymasters[0].metrics().reconciled_ms;
        let since = shown(&world);
        assert_eq!(Some(since), before.last().map(|row| row.ledger_time));
        for edge in [Edge::Block, Edge::Look] {
            for after in 0..10_000 {
                world.chain.fault(edge, after, Fault::Failed);
            }
        }
        world.turns(2 * PERIOD_TURNS);
        let metrics = world.paymasters[0].metrics();
        assert_eq!(
            (rows(&world).len(), metrics.reconciled_ms),
            (before.len(), since)
        );
        assert!(0 < metrics.reconcile_silent, "it is shown");
        assert_eq!(halts(&world), 0);
        // What differs besides is said, and with it what was not compared.
        world.chain.sweep();
        world.until("one more", |world| before.len() < rows(world).len());
        let told = rows(&world);
        let last = told.last().unwrap();
        assert_eq!(
            (last.differences, last.report.lines().count()),
            (1, 2),
            "{}",
            last.report
        );
        assert!(last.report.contains("\nnot compared: "), "{}", last.report);
        world.chain.no_more_faults();
        world.resume();
        world.until("all is compared", |world| {
            !rows(world).last().unwrap().report.contains("not compared")
        });
        assert_eq!(halts(&world), 1, "what is known halts it no more");
    }
}

#[test]
fn a_block_that_lost_its_place_halts_nothing_until_the_settler_ought_to_have_said_so() {
    for one_each in BOTH {
        let mut world = world(one_each, 1);
        let tip = world.chain.tip();
        let block = world.confirmed_block(tip);
        world.chain.stands(block, Some(tip));
        world.until("it is compared", |world| {
            rows(world).last().unwrap().blocks == 1
        });
        let before = rows(&world).len();
        let shown = |world: &World| {
            let metrics = world.paymasters[0].metrics();
            (metrics.reconcile_open, metrics.reconcile_differences)
        };
        assert_eq!(shown(&world), (0, 0));
        world.chain.stands(block, None);
        world.until("it is open", |world| shown(world) == (1, 0));
        world.turns(2 * PERIOD_TURNS);
        assert_eq!(shown(&world), (1, 0));
        assert_eq!(halts(&world), 0, "one each {one_each}");
        assert_eq!(rows(&world).len(), before, "not all was compared");
        world.chain.mine(100);
        world.until("a halt", |world| world.wallet().halted.is_some());
        assert_eq!(shown(&world), (0, 1));
        let told = rows(&world);
        let last = told.last().unwrap();
        assert_eq!((last.differences, last.blocks), (1, 1));
        assert!(
            last.report.starts_with(&format!("block {tip} ")),
            "{}",
            last.report
        );
    }
}

#[test]
fn a_payment_in_a_block_that_the_ledger_does_not_count_yet_is_not_missing_in_the_wallet() {
    for one_each in BOTH {
        let mut world = world(one_each, 1);
        // The wallet has what is owed, fees, and nothing else.
        let spare = 400;
        let has = 8_000_000 - 900 - world.chain.cost();
        world.chain.hide(has - 5_000 - spare);
        world.give(&[(account(1), 3_000), (account(2), 2_000)]);
        let states = |world: &World| world.states().into_iter().flatten().collect::<Vec<_>>();
        world.until("both were sent", |world| {
            let sent = states(world).into_iter().filter(|it| *it == "seen");
            sent.count() == if one_each { 2 } else { 1 }
        });
        world.chain.mine(1);
        let told = rows(&world).len();
        world.turns(3 * PERIOD_TURNS);
        assert!(told < rows(&world).len(), "it goes on comparing");
        assert!(states(&world).contains(&"seen"), "no block came");
        assert_eq!(halts(&world), 0, "one each {one_each}");
        // What is owed besides is not covered by it.
        world.give(&[(account(3), 1_000)]);
        let has = 8_000_000 - 900 - 5_000 - world.chain.cost();
        world.chain.hide(has - 999);
        world.until("a halt", |world| world.wallet().halted.is_some());
        world.chain.hide(0);
        world.resume();
        world.settle();
        world.check_all_paid("with all that it had");
    }
}

#[test]
fn a_wallet_that_was_never_compared_shows_since_when_it_pays() {
    let mut world = World::new(Setup {
        reconciles: true,
        ..Setup::new(false)
    });
    let shown = |world: &World| world.paymasters[0].metrics().reconciled_ms;
    for after in 0..10_000 {
        world.chain.fault(Edge::Survey, after, Fault::Failed);
    }
    world.turns(PERIOD_TURNS);
    assert_eq!(shown(&world), 0, "it pays nobody");
    world.give(&[(account(1), 500)]);
    world.settle();
    world.turns(PERIOD_TURNS);
    let first = world.batch(0).unwrap().ledger_time;
    assert_eq!((rows(&world), shown(&world)), (Vec::new(), first));
    // Nor does it look well while the node answers nothing at all.
    for after in 0..10_000 {
        world.chain.fault(Edge::Look, after, Fault::Failed);
    }
    world.give(&[(account(1), 500)]);
    world.turns(PERIOD_TURNS);
    assert_eq!(shown(&world), first);
    world.chain.no_more_faults();
    world.until("compared", |world| !rows(world).is_empty());
    let told = rows(&world)[0].ledger_time;
    world.until("it is shown", |world| shown(world) == told);
}

#[test]
fn a_wallet_with_less_than_its_operator_wants_is_shown() {
    for (balance_min, is_low) in [(1, 0), (1 << 100, 1)] {
        let mut world = World::new(Setup {
            reconciles: true,
            balance_min,
            ..Setup::new(false)
        });
        world.give(&[(account(1), 500)]);
        world.until("compared", |world| !rows(world).is_empty());
        assert_eq!(world.paymasters[0].metrics().balance_low, is_low);
    }
}

#[test]
fn two_paymasters_compare_and_halt_for_a_difference_once_or_twice_and_no_more_after_a_resume() {
    for one_each in BOTH {
        let mut world = World::new(Setup {
            reconciles: true,
            paymasters: 2,
            ..Setup::new(one_each)
        });
        world.give(&[(account(1), 500), (account(2), 300), (account(3), 100)]);
        world.settle();
        let before = rows(&world);
        world.turns(3 * PERIOD_TURNS);
        let told = rows(&world);
        let new = &told[before.len()..];
        // Each time one, or both where neither had read the other.
        assert!((2..=8).contains(&new.len()), "{}", new.len());
        let mut nights: Vec<u64> = new.iter().map(|row| row.ledger_time).collect();
        nights.dedup_by(|now, then| *now - *then < RECONCILE_MS);
        assert!(
            new.len() <= 2 * nights.len(),
            "{} in {}",
            new.len(),
            nights.len()
        );
        assert!(new.iter().all(|row| row.differences == 0));
        world.chain.sweep();
        world.until("a halt", |world| world.wallet().halted.is_some());
        world.turns(PERIOD_TURNS);
        let halted = halts(&world);
        assert!((1..=2).contains(&halted), "{halted}");
        world.resume();
        world.give(&[(account(1), 500)]);
        world.turns(2 * PERIOD_TURNS);
        assert_eq!((halts(&world), world.wallet().halted), (halted, None));
        world.settle();
        world.check_all_paid("two that compare");
    }
}

#[test]
fn what_is_seen_less_often_than_it_should_be_is_no_difference() {
    let mut world = world(false, 3);
    let before = (rows(&world).len(), world.chain.branch());
    let asked = world.chain.asked(Edge::Survey);
    world.chain.sweep();
    // Two questions each, and again where something is found. It stands in the first of three surveys.
    world.until("a survey", |world| {
        asked + 4 <= world.chain.asked(Edge::Survey)
    });
    world.chain.stand_at(&before.1);
    world.until("one more", |world| before.0 < rows(world).len());
    let told = rows(&world);
    assert_eq!(told.last().unwrap().differences, 0);
    assert_eq!(halts(&world), 0);
}

#[test]
fn a_wallet_that_does_not_say_what_it_has_is_asked_again_and_nothing_is_said() {
    let mut world = world(false, 1);
    let before = rows(&world).len();
    for after in 0..10_000 {
        world.chain.fault(Edge::Survey, after, Fault::Failed);
    }
    world.turns(2 * PERIOD_TURNS);
    assert_eq!(rows(&world).len(), before);
    world.chain.no_more_faults();
    world.until("one more", |world| before < rows(world).len());
}

/// How its process ends around the event.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Killed before the turn that says it; what was compared is forgotten.
    Before,
    /// Killed after: it stands in the spool.
    After,
    /// The machine loses power after.
    Power,
    /// The commit of the rows in which it is read back fails, or fails but happens.
    Commit(bool),
}

#[test]
fn it_is_said_once_and_halts_once_whatever_ends_the_process() {
    let ends = [
        End::Before,
        End::After,
        End::Power,
        End::Commit(false),
        End::Commit(true),
    ];
    for (one_each, fault) in [
        (false, None),
        (true, Some(Edge::Look)),
        (false, Some(Edge::Survey)),
    ] {
        for end in ends {
            let mut world = world(one_each, 1);
            let (before, said) = (
                rows(&world).len(),
                world.paymasters[0].metrics().said_reconciled,
            );
            world.chain.sweep();
            if let Some(edge) = fault {
                world.chain.fault(edge, 0, Fault::Failed);
            }
            let asked = world.chain.asked(Edge::Survey);
            let mut is_done = false;
            for _ in 0..2 * PERIOD_TURNS {
                let is_surveyed = asked < world.chain.asked(Edge::Survey);
                let is_said = said < world.paymasters[0].metrics().said_reconciled;
                let is_now = match end {
                    End::Before => is_surveyed,
                    End::After | End::Power | End::Commit(_) => is_said,
                };
                if is_now && !is_done {
                    is_done = true;
                    let now = world.now;
                    match end {
                        End::Before | End::After => world.paymasters[0].restart(now, false),
                        End::Power => world.paymasters[0].restart(now, true),
                        End::Commit(happens) => {
                            let store = &world.paymasters[0].store;
                            store.happens.store(happens, Ordering::Relaxed);
                            store.left.store(1, Ordering::Relaxed);
                        }
                    }
                }
                if !world.turn_with_deaths().is_empty() {
                    let now = world.now;
                    world.paymasters[0].restart(now, false);
                }
            }
            assert!(is_done, "{end:?}: it came to it");
            let rows = rows(&world);
            let new = rows.get(before..).unwrap_or_default();
            assert!(!new.is_empty(), "{end:?}");
            for pair in new.windows(2) {
                let apart = pair[1].ledger_time - pair[0].ledger_time;
                assert!(
                    RECONCILE_MS <= apart,
                    "{end:?} {fault:?}: one each time: {apart}"
                );
            }
            assert!(new.iter().all(|row| row.differences == 1), "{end:?}");
            assert_eq!(halts(&world), 1, "{end:?} {fault:?}");
        }
    }
}
