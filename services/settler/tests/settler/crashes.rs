//! Kills and faults at every point: {append, cut, send, admission, finality} × {failed, failed but happened}.

use std::collections::BTreeSet;

use orebook_schema::{Event, Hash};
use orebook_sim::broker::SendFaults;
use orebook_sim::rng::Rng;

use crate::chain::{Coinbase, Mood, txid_of};
use crate::world::{CONFIRMED, ORPHAN, World};

/// Turns between two blocks of the story; each state is final within.
const BLOCK_TURNS: u32 = 14;
/// Turns of the story.
const STORY_TURNS: u32 = BLOCK_TURNS * (CONFIRMED as u32 + 2);
const STATES: [&str; 3] = ["seen", "immature", "confirmed"];

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// kill -9: what was written is there.
    Kill,
    /// The machine loses power: what was not synced may be gone.
    Power,
}

const ENDS: [End; 2] = [End::Kill, End::Power];

/// What goes wrong outside of the process.
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

/// A block of ours is found and the chain grows until it is confirmed.
struct Story {
    world: World,
    hash: Hash,
    trouble: Trouble,
    records_before: u64,
}

impl Story {
    fn new(trouble: Trouble) -> Self {
        let mut world = World::new(1, 1);
        let hash = world.chain.mine(&Coinbase::ours());
        world.found(hash, 1);
        world.broker.set_faults(match trouble {
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
        Self {
            world,
            hash,
            trouble,
            records_before: 0,
        }
    }

    fn before_turn(&mut self, turn: u32) {
        if turn % BLOCK_TURNS == BLOCK_TURNS - 1 {
            self.world.chain.mine_foreign(1);
        }
        let is_away = matches!(self.trouble, Trouble::AdmissionLost | Trouble::FinalityLate);
        match turn % (2 * BLOCK_TURNS) {
            2 if is_away => {
                self.world.keeper_runs = false;
                self.records_before = self.world.broker.records().len() as u64;
            }
            12 if is_away => {
                self.world.keeper_runs = true;
                if self.trouble == Trouble::AdmissionLost {
                    self.world.broker.cut_to(self.records_before);
                }
            }
            _ => {}
        }
    }

    fn restart(&mut self, end: End) {
        let settler = &mut self.world.settlers[0];
        settler.kill();
        match end {
            End::Kill => settler.disk.restart_process(),
            End::Power => settler.disk.restart(),
        }
        settler
            .start(self.world.now)
            .expect("it starts on what is left");
    }

    fn finish(mut self, what: &str) {
        self.world.broker.set_faults(SendFaults::default());
        self.world.keeper_runs = true;
        self.world.broker.deliver(true);
        self.world.calm();
        assert_eq!(self.world.obeyed(self.hash), STATES, "{what}");
        let said = self.world.statuses(self.hash);
        assert_eq!(said.len(), STATES.len(), "{what}: said once each: {said:?}");
        assert!(self.world.recoveries().is_empty(), "{what}");
    }
}

#[test]
fn a_process_killed_at_any_turn_says_everything_once() {
    for trouble in TROUBLES {
        for end in ENDS {
            for killed_at in (0..STORY_TURNS).step_by(3) {
                let mut story = Story::new(trouble);
                for turn in 0..STORY_TURNS {
                    story.before_turn(turn);
                    if turn == killed_at {
                        story.restart(end);
                    }
                    story.world.turns(1);
                }
                story.finish(&format!("{trouble:?}, {end:?} at turn {killed_at}"));
            }
        }
    }
}

/// When a process is killed at a question that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    Never,
    /// Right before the turn that asks.
    Before,
    /// Right after it.
    After,
}

/// The n-th question about the chain has no answer; a question changes nothing, so it cannot fail and happen. Returns whether it
/// was asked.
fn story_with_a_question_unheard(number: u64, killed: Killed, end: End) -> bool {
    let mut story = Story::new(Trouble::None);
    story.world.chain.drop_answer(number);
    let asked = |story: &Story| number <= story.world.chain.questions();
    let mut was_killed = killed == Killed::Never;
    for turn in 0..STORY_TURNS {
        story.before_turn(turn);
        // Nobody knows which turn asks it: the first life that comes near is killed.
        let is_near = number <= story.world.chain.questions() + 4;
        if killed == Killed::Before && is_near && !was_killed {
            story.restart(end);
            was_killed = true;
        }
        story.world.turns(1);
        if killed == Killed::After && asked(&story) && !was_killed {
            story.restart(end);
            was_killed = true;
        }
    }
    let was_asked = asked(&story);
    story.finish(&format!("question {number}, {killed:?}, {end:?}"));
    was_asked
}

#[test]
fn whichever_question_has_no_answer_and_whatever_is_killed_at_it_everything_is_said_once() {
    for killed in [Killed::Never, Killed::Before, Killed::After] {
        for end in ENDS {
            let mut number = 1;
            while story_with_a_question_unheard(number, killed, end) {
                number += 7;
            }
            println!("{killed:?}, {end:?}: {number} questions");
            assert!(40 < number, "there are more than {number} questions");
        }
    }
}

#[test]
fn a_process_killed_all_the_time_says_everything_once() {
    for trouble in TROUBLES {
        for end in ENDS {
            for pace in [2, 3, 5, 7] {
                let mut story = Story::new(trouble);
                for turn in 0..STORY_TURNS {
                    story.before_turn(turn);
                    if turn % pace == 0 {
                        story.restart(end);
                    }
                    story.world.turns(1);
                }
                story.finish(&format!("{trouble:?}, {end:?} each {pace} turns"));
            }
        }
    }
}

/// The disk dies at its n-th operation, which is done or not done; returns whether it came so far.
fn story_with_disk_that_dies_at(operation: u64, end: End) -> bool {
    let mut story = Story::new(Trouble::None);
    let disk = story.world.settlers[0].disk.clone();
    disk.faults().crash_after(operation);
    let mut died = false;
    for turn in 0..STORY_TURNS {
        story.before_turn(turn);
        if !story.world.turn_with_deaths().is_empty() {
            died = true;
            story.restart(end);
        }
    }
    disk.faults().crash_after(0);
    story.finish(&format!("operation {operation}, {end:?}"));
    died
}

#[test]
fn a_disk_that_dies_at_any_operation_loses_nothing_and_repeats_nothing() {
    for end in ENDS {
        let mut operation = 1;
        while story_with_disk_that_dies_at(operation, end) {
            operation += 1;
        }
        println!("{end:?}: {operation} operations");
        assert!(
            40 < operation,
            "the story writes more than {operation} times"
        );
    }
}

/// How often things happened in all chaos: what never happens proves nothing.
#[derive(Debug, Default)]
struct Happened {
    deaths: usize,
    orphaned: usize,
    returned: usize,
    confirmed: usize,
    recovered: usize,
    refused: u64,
}

/// Two settlers, everything goes wrong, the chain changes its mind; then calm.
fn chaos(seed: u64, happened: &mut Happened) {
    let mut rng = Rng::new(seed);
    let mut world = World::new(2, 1 + (seed % 2) as u32);
    let mut ours = Vec::new();
    for _ in 0..200 {
        if rng.chance(1, 6) {
            trouble_with_the_chain(&mut world, &mut rng, &mut ours);
        }
        world.broker.set_faults(if rng.chance(1, 2) {
            SendFaults::BAD_DAY
        } else {
            SendFaults::default()
        });
        world.keeper_runs = !rng.chance(1, 4);
        if rng.chance(1, 8) {
            let index = rng.below(2) as usize;
            world.settlers[index]
                .disk
                .faults()
                .crash_after(rng.range(1, 20));
        }
        for index in world.turn_with_deaths() {
            happened.deaths += 1;
            let settler = &mut world.settlers[index];
            if rng.chance(1, 2) {
                settler.disk.restart();
            } else {
                settler.disk.restart_process();
            }
            // A disk that dies while its process starts: again.
            while settler.start(world.now).is_err() {
                settler.disk.restart();
            }
        }
    }
    for settler in &mut world.settlers {
        settler.disk.faults().crash_after(0);
    }
    world.broker.set_faults(SendFaults::default());
    world.broker.deliver(true);
    world.keeper_runs = true;
    world.chain.set_nodes(&[Mood::Honest]);
    world.chain.mine_foreign(CONFIRMED + ORPHAN + 1);
    world.turns(60);
    world.calm();
    check(&world, &ours, seed);
    for (hash, _) in &ours {
        let steps = world.obeyed(*hash);
        let count = |state: &str| steps.iter().filter(|step| **step == state).count();
        happened.orphaned += count("orphaned");
        happened.returned += count("immature").saturating_sub(1);
        happened.confirmed += count("confirmed");
    }
    happened.recovered += world.recoveries().len();
    happened.refused += world.settlers[0].metrics().refused_events;
}

fn trouble_with_the_chain(world: &mut World, rng: &mut Rng, ours: &mut Vec<(Hash, u64)>) {
    let height = world.chain.height();
    match rng.below(7) {
        0 | 1 => world.chain.mine_foreign(rng.range(1, 3)),
        2 => {
            let hash = world.chain.mine(&Coinbase::ours());
            ours.push((hash, height + 1));
            // Now and then the gateway dies between the nodes and its spool.
            if !rng.chance(1, 4) {
                world.found(hash, height + 1);
            }
        }
        3 => {
            let from = height.saturating_sub(rng.below(4)).max(1);
            let other = world.chain.make(from, &Coinbase::foreign());
            world.chain.put(other);
            // A branch replaces another by being the longer one.
            world
                .chain
                .mine_foreign(height.saturating_sub(from) + rng.range(1, 4));
        }
        4 => {
            let dropped = |(hash, at): &&(Hash, u64)| {
                *at <= height && world.chain.best_at(*at) != Some(*hash)
            };
            if let Some((hash, at)) = ours.iter().rev().find(dropped) {
                world.chain.put(*hash);
                world.chain.mine_foreign(height - at + rng.range(1, 4));
            }
        }
        5 => world.chain.set_nodes(&[Mood::Silent, Mood::Honest]),
        _ => world
            .chain
            .set_nodes(&[Mood::Honest, Mood::Late(2), Mood::Honest]),
    }
}

/// After the calm: what the chain keeps is confirmed, what it dropped is orphaned, and every step was a legal one, said
/// once by each settler and obeyed once.
fn check(world: &World, ours: &[(Hash, u64)], seed: u64) {
    let mut said = BTreeSet::new();
    for (at, key, event) in world.said() {
        let (subject, expects) = match event {
            Event::BlockStatus(status) => (status.hash, status.expects),
            Event::BlockRecovered(block) => (txid_of(block.hash), block.expects),
            _ => continue,
        };
        let is_new = said.insert((key, subject, expects));
        assert!(is_new, "seed {seed}: said twice by one settler: {at:?}");
    }
    for (hash, height) in ours {
        let stands = world.chain.best_at(*height) == Some(*hash);
        let steps = world.obeyed(*hash);
        let mut before = "none";
        for step in &steps {
            let legal = matches!(
                (before, *step),
                ("none" | "seen" | "immature" | "confirmed", "orphaned")
                    | ("none", "seen")
                    | ("seen" | "orphaned", "immature")
                    | ("immature", "confirmed")
            );
            assert!(legal, "seed {seed}: {steps:?}");
            before = step;
        }
        let is_known = world.book(*hash).is_some();
        let expected = match (stands, is_known) {
            (true, _) => "confirmed",
            (false, true) => "orphaned",
            (false, false) => "none",
        };
        assert_eq!(world.state(*hash), expected, "seed {seed}: {steps:?}");
        let books = world
            .settlers
            .iter()
            .map(|it| it.machine().book().block(*hash));
        let books: Vec<_> = books.map(Result::unwrap).collect();
        assert_eq!(books[0], books[1], "seed {seed}: the settlers agree");
    }
}

#[test]
fn whatever_fails_the_ledger_ends_as_the_chain_does() {
    let mut happened = Happened::default();
    for seed in 0..60 {
        println!("seed {seed}");
        chaos(seed, &mut happened);
    }
    println!("{happened:?}");
    let Happened {
        deaths,
        orphaned,
        returned,
        confirmed,
        recovered,
        refused,
    } = happened;
    assert!(50 < deaths && 50 < refused);
    assert!(50 < confirmed && 20 < orphaned && 5 < returned && 20 < recovered);
}
