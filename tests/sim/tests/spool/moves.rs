//! Moving: what a closed stream held counts once, whatever happens meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use orebook_ledger::spool::{Renumbered, Spool, SpoolError};
use orebook_schema::event::{Moved, NO_NUMBER, RecoveryCode};
use orebook_schema::{Event, Frame, StreamId};
use orebook_sim::disk::SimDisk;

use crate::world::{
    Ledger, SECOND, START_MS, all_frames, announcements, at, begun, block, difficulty, frames, job,
    open, share, shares, stream, teach, worker,
};

/// A begun spool of which some shares are admitted and others, with a block, are not; its stream is closed then.
pub(crate) fn closed(disk: &SimDisk, ledger: &mut Ledger) -> Spool<SimDisk> {
    let mut spool = begun(disk);
    spool.append(&at(START_MS, announcements())).unwrap();
    spool.append(&shares(START_MS, 0..4)).unwrap();
    spool.cut().unwrap();
    ledger.publish(&spool);
    spool.append(&shares(START_MS + 5, 4..8)).unwrap();
    spool.cut().unwrap();
    let mut found = share(0, 1, 8);
    found.block = true;
    spool
        .append(&at(START_MS + 9, vec![Event::Share(found), block(1)]))
        .unwrap();
    assert!(ledger.close(stream(100)));
    spool
}

pub(crate) fn move_from(
    spool: &mut Spool<SimDisk>,
    ledger: &Ledger,
    from: StreamId,
    to: StreamId,
) -> Result<Renumbered, SpoolError> {
    spool.move_stream(START_MS + 100, from, ledger.admitted_next(from), to)
}

fn moved(frames: &[Frame]) -> Vec<Moved> {
    let events = frames.iter().flat_map(|frame| frame.decode().unwrap());
    let moved = events.filter_map(|event| match event {
        Event::Moved(moved) => Some(moved),
        _ => None,
    });
    moved.collect()
}

#[test]
fn unadmitted_events_are_said_again_and_live_sessions_go_on() {
    let disk = SimDisk::new(1);
    let mut ledger = Ledger::new();
    let mut spool = closed(&disk, &mut ledger);
    let next = ledger.admitted_next(stream(100));
    let said = all_frames(&spool);
    let numbers = move_from(&mut spool, &ledger, stream(100), stream(101)).unwrap();
    assert_eq!(
        (spool.stream(), spool.epoch(), spool.is_moving()),
        (Some(stream(101)), 0, false)
    );
    assert_eq!(
        numbers.workers.keys().copied().collect::<Vec<u32>>(),
        [0, 1]
    );
    assert_eq!(numbers.jobs.keys().copied().collect::<Vec<u32>>(), [0, 1]);
    let live = share(numbers.workers[&1], numbers.jobs[&0], 9);
    spool
        .append(&at(START_MS + 200, vec![Event::Share(live)]))
        .unwrap();
    spool.cut().unwrap();
    let copies = frames(&spool, stream(101), 0);
    let old: BTreeMap<(u64, u64), Vec<u8>> = said
        .iter()
        .chain(&all_frames(&spool))
        .filter(|frame| frame.header().stream == stream(100))
        .flat_map(|frame| {
            let base = frame.header().base_time;
            let seqs = frame.header().first_seq..;
            seqs.zip(frame.events())
                .map(move |(seq, raw)| ((seq, base), raw.unwrap().bytes.to_vec()))
        })
        .collect();
    let again = moved(&copies);
    assert_eq!(
        again.iter().map(|it| it.seq).collect::<Vec<u64>>(),
        (next..next + 6).collect::<Vec<u64>>()
    );
    for one in &again {
        assert_eq!((one.stream, one.epoch), (stream(100), 0));
        assert_eq!(old[&(one.seq, one.base_time)], one.event, "byte for byte");
    }
    assert_eq!(
        again[5].worker, NO_NUMBER,
        "the block, right after its share"
    );
    let events: Vec<Event> = copies
        .iter()
        .flat_map(|frame| frame.decode().unwrap())
        .collect();
    let note = events.iter().find_map(|event| match event {
        Event::RecoveryNote(note) => Some(note),
        _ => None,
    });
    assert_eq!(note.map(|note| note.code), Some(RecoveryCode::StreamMoved));
    // Extranonce1 and job bytes are the old ones but for the number.
    let workers: BTreeSet<Vec<u8>> = events.iter().filter_map(extranonce1).collect();
    assert_eq!(workers, BTreeSet::from([vec![0; 4], vec![1, 0, 0, 0]]));
    ledger.publish(&spool);
    ledger.assert_counted(&(0..10).collect::<Vec<u32>>());
    assert_eq!(
        (ledger.counted.clone(), ledger.blocks),
        ((0..10).collect(), 1)
    );
}

fn extranonce1(event: &Event) -> Option<Vec<u8>> {
    match event {
        Event::Worker(worker) => Some(worker.extranonce1.bytes().to_vec()),
        _ => None,
    }
}

#[test]
fn a_repeat_is_harmless_and_changes_no_number() {
    let disk = SimDisk::new(1);
    let mut ledger = Ledger::new();
    let mut spool = closed(&disk, &mut ledger);
    let numbers = move_from(&mut spool, &ledger, stream(100), stream(101)).unwrap();
    let (next, operations) = (spool.next_seq(), disk.operations());
    let again = move_from(&mut spool, &ledger, stream(100), stream(102)).unwrap();
    assert_eq!((again, spool.next_seq()), (Renumbered::default(), next));
    assert_eq!(disk.operations(), operations);
    // Less was admitted than was thought: more is moved, and what is live keeps its numbers.
    let more = spool
        .move_stream(START_MS + 200, stream(100), 7, stream(102))
        .unwrap();
    assert!(
        more.workers
            .iter()
            .chain(&more.jobs)
            .all(|(old, new)| old == new)
    );
    assert_eq!(more.workers.len(), 2);
    assert_eq!(spool.stream(), Some(stream(101)));
    let live = share(numbers.workers[&0], numbers.jobs[&1], 9);
    spool
        .append(&at(START_MS + 300, vec![Event::Share(live)]))
        .unwrap();
    spool.cut().unwrap();
    let all = moved(&frames(&spool, stream(101), 0));
    // Whole groups are moved: the one of seq 7 begins at 6.
    assert_eq!(all.iter().map(|it| it.seq).min(), Some(6));
    assert!(all.iter().filter(|it| it.seq == 7).count() == 1);
    ledger.publish(&spool);
    ledger.assert_counted(&(0..10).collect::<Vec<u32>>());
    let unknown = spool.move_stream(START_MS, stream(55), 0, stream(56));
    assert_eq!(unknown, Err(SpoolError::NoSuchStream(stream(55))));
    let in_use = spool.move_stream(START_MS, stream(101), 0, stream(100));
    assert_eq!(in_use, Err(SpoolError::StreamInUse(stream(100))));
}

#[test]
fn what_was_moved_before_is_moved_again_with_its_first_identity() {
    let disk = SimDisk::new(1);
    let mut ledger = Ledger::new();
    let mut spool = closed(&disk, &mut ledger);
    let first = move_from(&mut spool, &ledger, stream(100), stream(101)).unwrap();
    // The first announcements are admitted, the moved events are not.
    let live = share(first.workers[&1], first.jobs[&0], 9);
    spool
        .append(&at(START_MS + 200, vec![Event::Share(live)]))
        .unwrap();
    let second = spool
        .move_stream(START_MS + 300, stream(101), 0, stream(102))
        .unwrap();
    let [worker, job] = [
        second.workers[&first.workers[&0]],
        second.jobs[&first.jobs[&1]],
    ];
    spool
        .append(&at(
            START_MS + 400,
            vec![Event::Share(share(worker, job, 10))],
        ))
        .unwrap();
    spool.cut().unwrap();
    let all = moved(&frames(&spool, stream(102), 0));
    let from = |of: StreamId| all.iter().filter(|it| it.stream == of).count();
    assert_eq!((from(stream(100)), from(stream(101)), all.len()), (6, 1, 7));
    // The moved stream was never opened in the ledger: it is closed before its first frame.
    for frame in frames(&spool, stream(102), 0) {
        ledger.admit(&frame);
    }
    ledger.assert_counted(&(0..11).collect::<Vec<u32>>());
    assert_eq!(
        (ledger.counted.clone(), ledger.blocks),
        ((0..11).collect(), 1)
    );
}

#[test]
fn events_of_several_epochs_and_difficulties_move_with_what_they_refer_to() {
    let disk = SimDisk::new(3);
    let mut ledger = Ledger::new();
    let mut nonce = 0;
    for life in 0..4 {
        let mut spool = begun(&disk);
        // Other workers have the same numbers in each epoch.
        spool
            .append(&at(
                START_MS,
                vec![worker(0, 0), worker(1, life % 2), difficulty(1, 7)],
            ))
            .unwrap();
        spool
            .append(&at(START_MS, vec![job(0, SECOND, 100 + usize::from(life))]))
            .unwrap();
        for work in [1_000, 5_000, 1_000, 9_000] {
            let mut one = share(u32::from(life % 2), 0, nonce);
            one.work = orebook_schema::Work::new(work).unwrap();
            spool
                .append(&at(
                    START_MS,
                    vec![difficulty(one.worker, work), Event::Share(one)],
                ))
                .unwrap();
            nonce += 1;
        }
        disk.restart();
    }
    let mut spool = begun(&disk);
    spool.append(&at(START_MS, vec![Event::Heartbeat])).unwrap();
    let numbers = spool
        .move_stream(START_MS, stream(100), 0, stream(101))
        .unwrap();
    assert_eq!(numbers, Renumbered::default(), "nothing was live");
    spool.cut().unwrap();
    for frame in frames(&spool, stream(101), 0) {
        ledger.admit(&frame);
        // Each moved share's work is its worker's newest or previous difficulty.
        let mut works: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for event in frame.decode().unwrap() {
            match event {
                Event::Difficulty(it) => works.entry(it.worker).or_default().push(it.work.units()),
                Event::Moved(it) => {
                    let Event::Share(inner) = it.inner().unwrap() else {
                        continue;
                    };
                    let known = works[&it.worker].iter().rev().take(2);
                    assert!(known.copied().any(|work| work == inner.work.units()));
                }
                _ => {}
            }
        }
    }
    ledger.assert_counted(&(0..nonce).collect::<Vec<u32>>());
}

#[test]
fn a_crash_in_the_middle_of_a_move_loses_nothing() {
    for power in [true, false] {
        for at_operation in 1.. {
            println!("power {power}, operation {at_operation}");
            let disk = SimDisk::new(at_operation);
            let mut ledger = Ledger::new();
            let mut spool = closed(&disk, &mut ledger);
            // More than one frame, and more than one file.
            for first in (9..6_000).step_by(700) {
                spool
                    .append(&shares(START_MS + 20, first..first + 700))
                    .unwrap();
            }
            let end = 9 + 700 * (6_000u32 - 9).div_ceil(700);
            disk.faults().crash_after(at_operation);
            let result = move_from(&mut spool, &ledger, stream(100), stream(101));
            if result.is_ok() {
                assert!(at_operation > 20, "{at_operation} operations");
                break;
            }
            drop(spool);
            if power {
                disk.restart()
            } else {
                disk.restart_process()
            }
            // The next start crashes too, and the one after it asks for the move again.
            disk.faults().crash_after(1 + at_operation % 9);
            if let Ok((mut spool, _)) = open(&disk) {
                spool.begin(START_MS + 200, stream(102)).ok();
            }
            if power {
                disk.restart_process()
            } else {
                disk.restart()
            }
            disk.faults().crash_after(0);
            let (mut spool, _) = open(&disk).unwrap();
            spool.begin(START_MS + 300, stream(103)).unwrap();
            teach(&mut spool);
            move_from(&mut spool, &ledger, stream(100), stream(104)).unwrap();
            spool.cut().unwrap();
            ledger.publish(&spool);
            ledger.assert_counted(&(0..end).collect::<Vec<u32>>());
            assert_eq!(
                (ledger.counted.clone(), ledger.blocks),
                ((0..end).collect(), 1)
            );
        }
    }
}

#[test]
fn a_live_worker_keeps_its_newest_difficulty() {
    let disk = SimDisk::new(6);
    let mut ledger = Ledger::new();
    let mut spool = begun(&disk);
    spool.append(&at(START_MS, announcements())).unwrap();
    spool.append(&shares(START_MS, 0..6)).unwrap();
    spool
        .append(&at(
            START_MS,
            vec![difficulty(0, 2_000), difficulty(0, 3_000)],
        ))
        .unwrap();
    let numbers = spool
        .move_stream(START_MS, stream(100), 0, stream(101))
        .unwrap();
    spool.cut().unwrap();
    let mut newest = BTreeMap::new();
    for frame in frames(&spool, stream(101), 0) {
        ledger.admit(&frame);
        for event in frame.decode().unwrap() {
            if let Event::Difficulty(it) = event {
                newest.insert(it.worker, it.work.units());
            }
        }
    }
    assert_eq!(newest[&numbers.workers[&0]], 3_000);
    assert_eq!(newest[&numbers.workers[&1]], 1_000);
    ledger.assert_counted(&(0..6).collect::<Vec<u32>>());
}
