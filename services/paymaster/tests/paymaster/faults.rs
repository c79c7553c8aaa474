//! Every edge × {failed, failed but happened} × {before, after a kill}: exactly one payment each, and the run ends by itself.

use std::sync::atomic::Ordering;

use orebook_schema::payout::{RAW_BYTES_MAX, cut_into_parts};
use orebook_schema::{Event, Hash};
use orebook_sim::broker::SendFaults;

use crate::chain::{Edge, Fault};
use crate::setup::{Setup, account};
use crate::world::World;

/// Turns of a story; what is left to do after them is done in peace.
const STORY_TURNS: u32 = 70;
/// Turns between two blocks.
const BLOCK_TURNS: u32 = 7;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It does not.
    Lives,
    /// kill -9 right before the turn in which the edge fails: what was written is there.
    KillBefore,
    /// The same right after it.
    KillAfter,
    /// The machine loses power right after it: what was not synced may be gone.
    PowerAfter,
}

const ENDS: [End; 4] = [End::Lives, End::KillBefore, End::KillAfter, End::PowerAfter];

/// Three accounts are paid.
struct Story {
    world: World,
    turn: u32,
}

impl Story {
    fn new(one_each: bool) -> Self {
        let mut world = World::new(Setup::new(one_each));
        world.chain.set_not_ready(Some("the story has not begun"));
        world.give(&[(account(1), 500), (account(2), 300), (account(3), 100)]);
        world.chain.set_not_ready(None);
        Self { world, turn: 0 }
    }

    fn before_turn(&mut self) {
        self.turn += 1;
        if self.turn.is_multiple_of(BLOCK_TURNS) {
            self.world.chain.mine(1);
        }
    }

    fn restart(&mut self, power: bool) {
        let now = self.world.now;
        self.world.paymasters[0].restart(now, power);
    }

    fn finish(mut self, what: &str) {
        self.world.chain.no_more_faults();
        self.world.broker.set_faults(SendFaults::default());
        self.world.keeper_runs = true;
        self.world.broker.deliver(true);
        self.world.settle();
        self.world.check_all_paid(what);
    }
}

/// A question fails, and the process ends at that or not. Returns whether it came to the question.
fn story_of_an_edge(one_each: bool, edge: Edge, after: u64, fault: Fault, end: End) -> bool {
    let mut story = Story::new(one_each);
    story.world.chain.fault(edge, after, fault);
    let before = story.world.chain.asked(edge) + after;
    let mut killed = false;
    for _ in 0..STORY_TURNS {
        story.before_turn();
        // The kill comes before whatever turn asks: before each, as long as it was not asked.
        if end == End::KillBefore && story.world.chain.asked(edge) == before && !killed {
            story.restart(false);
            killed = true;
        }
        story.world.turns(1);
        let struck = 0 < story.world.chain.struck();
        if struck && !killed && matches!(end, End::KillAfter | End::PowerAfter) {
            story.restart(end == End::PowerAfter);
            killed = true;
        }
    }
    let struck = 0 < story.world.chain.struck();
    story.finish(&format!(
        "one each {one_each}, {edge:?} {after} {fault:?}, {end:?}"
    ));
    struck
}

fn edge_fails(edge: Edge, faults: &[Fault]) {
    let mut stories = 0;
    for one_each in [false, true] {
        for fault in faults {
            for end in ENDS {
                for after in 0..3 {
                    stories += u32::from(story_of_an_edge(one_each, edge, after, *fault, end));
                }
            }
        }
    }
    println!("{edge:?}: {stories} stories");
    assert!(8 <= stories, "{edge:?} was asked in {stories} stories");
}

#[test]
fn a_wallet_that_does_not_say_whether_it_is_ready() {
    edge_fails(Edge::Ready, &[Fault::Failed]);
    edge_fails(Edge::Estimate, &[Fault::Failed]);
}

#[test]
fn a_signature_that_failed_or_was_made_and_lost() {
    edge_fails(Edge::Sign, &[Fault::Failed, Fault::FailedButHappened]);
}

#[test]
fn a_transaction_that_was_not_sent_or_was_and_the_node_says_otherwise() {
    let faults = [
        Fault::Failed,
        Fault::FailedButHappened,
        Fault::Refused,
        Fault::RefusedButHappened,
    ];
    edge_fails(Edge::Send, &faults);
}

#[test]
fn a_look_without_an_answer() {
    edge_fails(Edge::Look, &[Fault::Failed]);
}

/// The disk dies at its n-th operation, which is done or not done; returns whether it came so far.
fn story_with_disk_that_dies_at(one_each: bool, operation: u64, power: bool) -> bool {
    let mut story = Story::new(one_each);
    let disk = story.world.paymasters[0].disk.clone();
    disk.faults().crash_after(operation);
    let mut died = false;
    for _ in 0..STORY_TURNS {
        story.before_turn();
        if !story.world.turn_with_deaths().is_empty() {
            died = true;
            story.restart(power);
        }
    }
    disk.faults().crash_after(0);
    story.finish(&format!("operation {operation}, power {power}"));
    died
}

#[test]
fn a_disk_that_dies_at_any_operation_pays_once() {
    for (one_each, power, step) in [(false, false, 3), (false, true, 2), (true, true, 3)] {
        let mut operation = 1;
        while story_with_disk_that_dies_at(one_each, operation, power) {
            operation += step;
        }
        println!("one each {one_each}, power {power}: {operation} operations");
        assert!(
            40 < operation,
            "the story writes more than {operation} times"
        );
    }
}

/// The n-th commit of the rows fails; returns whether it came so far.
fn story_with_commit_that_fails(one_each: bool, commit: u64, happens: bool, end: End) -> bool {
    let mut story = Story::new(one_each);
    let store = story.world.paymasters[0].store.clone();
    store.happens.store(happens, Ordering::Relaxed);
    store.left.store(commit, Ordering::Relaxed);
    let mut died = false;
    for _ in 0..STORY_TURNS {
        story.before_turn();
        if !story.world.turn_with_deaths().is_empty() {
            died = true;
            story.restart(end == End::PowerAfter);
        }
    }
    store.left.store(0, Ordering::Relaxed);
    story.finish(&format!("commit {commit}, happens {happens}, {end:?}"));
    died
}

#[test]
fn a_commit_that_failed_or_happened_pays_once() {
    for one_each in [false, true] {
        for happens in [false, true] {
            for end in [End::KillAfter, End::PowerAfter] {
                let mut commit = 1;
                while story_with_commit_that_fails(one_each, commit, happens, end) {
                    commit += 2;
                }
                println!("one each {one_each}, happens {happens}, {end:?}: {commit} commits");
                assert!(8 < commit, "there are more than {commit} commits");
            }
        }
    }
}

/// What goes wrong between the process and the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// Sends fail, and the frame does not get there.
    SendFails,
    /// Sends fail, and the frame gets there; or later; or twice.
    SendFailsButHappens,
    /// Frames that stand in the ledger are lost again before they are final.
    AdmissionLost,
    /// Nothing becomes final for a while.
    FinalityLate,
}

const TROUBLES: [Trouble; 5] = [
    Trouble::None,
    Trouble::SendFails,
    Trouble::SendFailsButHappens,
    Trouble::AdmissionLost,
    Trouble::FinalityLate,
];

fn story_with_trouble(one_each: bool, trouble: Trouble, power: bool, killed_at: u32) {
    let mut story = Story::new(one_each);
    story.world.broker.set_faults(match trouble {
        Trouble::SendFails => SendFaults {
            lost: 500,
            ..SendFaults::default()
        },
        Trouble::SendFailsButHappens => SendFaults {
            ack_lost: 400,
            late: 300,
            twice: 300,
            lost: 0,
        },
        _ => SendFaults::default(),
    });
    let is_away = matches!(trouble, Trouble::AdmissionLost | Trouble::FinalityLate);
    let mut records = 0;
    for turn in 0..STORY_TURNS {
        story.before_turn();
        match turn % 20 {
            2 if is_away => {
                story.world.keeper_runs = false;
                records = story.world.broker.records().len() as u64;
            }
            12 if is_away => {
                story.world.keeper_runs = true;
                if trouble == Trouble::AdmissionLost {
                    story.world.broker.cut_to(records);
                }
            }
            _ => {}
        }
        if turn == killed_at {
            story.restart(power);
        }
        story.world.turns(1);
    }
    story.finish(&format!(
        "one each {one_each}, {trouble:?}, power {power}, turn {killed_at}"
    ));
}

#[test]
fn a_process_killed_at_any_turn_pays_once() {
    for one_each in [false, true] {
        for trouble in TROUBLES {
            for power in [false, true] {
                for killed_at in (0..STORY_TURNS).step_by(4) {
                    story_with_trouble(one_each, trouble, power, killed_at);
                }
            }
        }
    }
}

/// A payout of so many lines that its bytes go before it in parts, in frames of their own.
const LONG_LINES: u16 = 1_000;

/// The disk dies at an operation while a long transaction is said; returns whether it came so far, and how many more parts of
/// it than it has stand in the ledger.
fn story_of_a_long_transaction(operation: u64, power: bool) -> (bool, usize) {
    let mut world = World::new(Setup::new(false));
    let accounts: Vec<_> = (0..LONG_LINES).map(|n| (account(n), 50)).collect();
    world.halt();
    world.give(&accounts);
    for after in 0..10_000 {
        world.chain.fault(Edge::Sign, after, Fault::Failed);
    }
    world.resume();
    world.until("a signature fails", |world| 0 < world.chain.struck());
    // It signs in the next turn.
    world.chain.no_more_faults();
    let disk = world.paymasters[0].disk.clone();
    disk.faults().crash_after(operation);
    let mut died = false;
    for _ in 0..30 {
        if !world.turn_with_deaths().is_empty() {
            died = true;
            let now = world.now;
            world.paymasters[0].restart(now, power);
        }
    }
    disk.faults().crash_after(0);
    world.settle();
    let what = format!("operation {operation}, power {power}");
    world.check_all_paid(&what);
    assert_eq!(
        world.txs(0)[0].txids.len(),
        1,
        "{what}: one version: {:?}",
        world.txs(0)
    );
    let raw = world.raws(0).remove(0);
    let whole = Hash::of(&[&raw]);
    let parts = cut_into_parts(&raw).expect("parts");
    assert!(
        RAW_BYTES_MAX < raw.len() && 1 < parts.len(),
        "{what}: it is long"
    );
    let said = world.events_from(0);
    let said = said.iter().filter(|(_, _, event)| match event {
        Event::Part(part) => part.whole == whole,
        _ => false,
    });
    (died, said.count() - parts.len())
}

#[test]
fn a_transaction_that_is_cut_between_its_parts_is_said_anew_and_paid_once() {
    for power in [false, true] {
        let (mut deaths, mut cut) = (0, 0);
        for operation in 1..=12 {
            let (died, more) = story_of_a_long_transaction(operation, power);
            deaths += u32::from(died);
            cut += u32::from(0 < more);
        }
        println!("power {power}: {deaths} deaths, {cut} between the parts");
        assert!(10 < deaths && 0 < cut, "{deaths} deaths, {cut} between");
    }
}
