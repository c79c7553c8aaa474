//! Kills and faults at every point: {write, send, admission, finality} × {failed, failed but happened}.

use orebook_sim::broker::SendFaults;
use orebook_sim::rng::Rng;

use crate::world::{COUNTER, World};

/// Turns of a story.
const TURNS: u32 = 60;
/// Turns of one that is told again for each operation of its disk.
const TURNS_OF_DISK: u32 = 30;
/// Numbers that any story comes to, at least.
const NUMBERS_MIN: usize = 3;

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

struct Story {
    world: World,
    trouble: Trouble,
    records_before: u64,
}

impl Story {
    fn new(trouble: Trouble) -> Self {
        let world = World::new(COUNTER);
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
            trouble,
            records_before: 0,
        }
    }

    fn before_turn(&mut self, turn: u32) {
        if !matches!(self.trouble, Trouble::AdmissionLost | Trouble::FinalityLate) {
            return;
        }
        match turn % 30 {
            2 => {
                self.world.keeper_runs = false;
                self.records_before = self.world.records() as u64;
            }
            12 => {
                self.world.keeper_runs = true;
                if self.trouble == Trouble::AdmissionLost {
                    self.world.broker.cut_to(self.records_before);
                }
            }
            _ => {}
        }
    }

    fn restart(&mut self, end: End) {
        let counter = &mut self.world.counters[0];
        counter.life = None;
        match end {
            End::Kill => counter.disk.restart_process(),
            End::Power => counter.disk.restart(),
        }
        counter
            .start(self.world.now)
            .expect("it starts on what is left");
    }

    fn finish(mut self, what: &str) {
        self.world.calm();
        let numbers = self.world.numbers();
        let once: Vec<u64> = (1..).take(numbers.len()).collect();
        assert_eq!(numbers, once, "{what}: each number once, in order");
        assert!(NUMBERS_MIN <= numbers.len(), "{what}: {numbers:?}");
    }
}

#[test]
fn a_process_killed_at_any_turn_says_everything_once() {
    for trouble in TROUBLES {
        for end in ENDS {
            for killed_at in 0..TURNS {
                let mut story = Story::new(trouble);
                for turn in 0..TURNS {
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

#[test]
fn a_process_killed_all_the_time_says_everything_once() {
    for trouble in TROUBLES {
        for end in ENDS {
            for pace in [3, 5, 7] {
                let mut story = Story::new(trouble);
                for turn in 0..2 * TURNS {
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
    let disk = story.world.counters[0].disk.clone();
    disk.faults().crash_after(operation);
    let mut died = false;
    for turn in 0..TURNS_OF_DISK {
        story.before_turn(turn);
        if story.world.turn_with_death() {
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
        assert!(40 < operation, "it writes more than {operation} times");
    }
}

#[test]
fn whatever_fails_each_number_stands_once() {
    let mut deaths = 0;
    for seed in 0..60 {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let mut story = Story::new(Trouble::None);
        for _ in 0..2 * TURNS {
            let world = &mut story.world;
            world.broker.set_faults(if rng.chance(1, 2) {
                SendFaults::BAD_DAY
            } else {
                SendFaults::default()
            });
            world.keeper_runs = !rng.chance(1, 4);
            if rng.chance(1, 8) {
                let disk = &world.counters[0].disk;
                disk.faults().crash_after(rng.range(1, 20));
            }
            if world.turn_with_death() {
                deaths += 1;
                let counter = &mut world.counters[0];
                if rng.chance(1, 2) {
                    counter.disk.restart();
                } else {
                    counter.disk.restart_process();
                }
                // A disk that dies while its process starts: again.
                while counter.start(world.now).is_err() {
                    counter.disk.restart();
                }
            }
        }
        story.world.counters[0].disk.faults().crash_after(0);
        story.finish(&format!("seed {seed}"));
    }
    assert!(100 < deaths, "it died {deaths} times");
}
