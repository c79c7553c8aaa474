//! Moving where room is short: what stays until when, and a move that a full disk interrupts.

use std::collections::BTreeMap;

use orebook_ledger::spool::{FullCause, SPACE_RETRY_MS, Spool, SpoolError};
use orebook_schema::{Event, Kind};
use orebook_sim::disk::SimDisk;

use crate::moves::{closed, move_from};
use crate::world::{
    Ledger, SECOND, START_MS, announcements, at, begun, config, difficulty, frames, job, open,
    share, shares, stream, worker,
};

#[test]
fn a_closed_streams_events_stay_until_their_copies_are_final() {
    let disk = SimDisk::new(5);
    let mut ledger = Ledger::new();
    let mut spool = closed(&disk, &mut ledger);
    for first in (9..6_000).step_by(700) {
        spool
            .append(&shares(START_MS + 20, first..first + 700))
            .unwrap();
    }
    let files = disk.paths().len();
    assert!(files > 1);
    move_from(&mut spool, &ledger, stream(100), stream(101)).unwrap();
    spool.cut().unwrap();
    let mut final_next = ledger.final_next();
    assert_eq!(spool.trim(&final_next, u64::MAX), Ok(0));
    final_next.insert(stream(101), spool.next_seq() - 1);
    assert_eq!(
        spool.trim(&final_next, u64::MAX),
        Ok(0),
        "one copy is not final"
    );
    // Nor while what was admitted of the closed stream is not final itself.
    let copies = BTreeMap::from([(stream(101), spool.next_seq())]);
    assert_eq!(spool.trim(&copies, u64::MAX), Ok(0));
    // The same after a restart: what was released is found again.
    disk.restart();
    let (mut spool, _) = open(&disk).unwrap();
    assert_eq!(spool.trim(&final_next, u64::MAX), Ok(0));
    ledger.publish(&spool);
    assert!(spool.trim(&ledger.final_next(), u64::MAX).unwrap() >= files as u64 - 1);
    spool.begin(START_MS + 200, stream(9)).unwrap();
    ledger.publish(&spool);
    ledger.assert_counted(&(0..9).collect::<Vec<u32>>());
}

#[test]
fn a_caller_that_was_restarted_need_not_know_what_was_trimmed() {
    let disk = SimDisk::new(5);
    let mut spool = begun(&disk);
    spool.append(&at(START_MS, announcements())).unwrap();
    let mut nonce = 0;
    let mut file_ends = Vec::new();
    while disk.paths().len() < 4 {
        let (files, before) = (disk.paths().len(), spool.next_seq());
        spool.append(&shares(START_MS, nonce..nonce + 500)).unwrap();
        nonce += 500;
        if files < disk.paths().len() {
            file_ends.push(before);
        }
    }
    let end = file_ends[2];
    let trimmed = BTreeMap::from([(stream(100), end)]);
    spool
        .move_stream(START_MS, stream(100), end, stream(101))
        .unwrap();
    assert_eq!(spool.trim(&trimmed, u64::MAX), Ok(3));
    while disk.paths().len() < 2 {
        spool.append(&[(START_MS, Event::Heartbeat)]).unwrap();
    }
    let copies = BTreeMap::from([(stream(101), spool.next_seq())]);
    disk.restart();
    let (mut spool, _) = open(&disk).unwrap();
    assert_eq!(
        spool.trim(&copies, u64::MAX),
        Ok(1),
        "nobody speaks of the closed stream any more"
    );
}

#[test]
fn a_move_interrupted_by_another_closure_leaves_copies_in_two_streams() {
    let disk = SimDisk::new(6);
    let mut ledger = Ledger::new();
    let mut spool = closed(&disk, &mut ledger);
    let mut end = 9;
    while disk.paths().len() < 4 {
        spool
            .append(&shares(START_MS + 20, end..end + 500))
            .unwrap();
        end += 500;
    }
    let admitted = ledger.admitted_next(stream(100));
    disk.faults()
        .set_capacity(Some(6 * config().file_bytes + 5_000));
    let full = Err(SpoolError::Full(FullCause::Disk));
    assert_eq!(
        spool.move_stream(START_MS, stream(100), admitted, stream(101)),
        full
    );
    spool.cut().unwrap();
    ledger.publish(&spool);
    assert!(ledger.close(stream(101)));
    let middle = ledger.admitted_next(stream(101));
    disk.faults().set_capacity(None);
    let now_ms = START_MS + SPACE_RETRY_MS;
    let numbers = spool
        .move_stream(now_ms, stream(101), middle, stream(102))
        .unwrap();
    assert_eq!(
        (numbers.workers.len(), numbers.jobs.len()),
        (2, 2),
        "sessions knew the first ones"
    );
    let live = share(numbers.workers[&1], numbers.jobs[&1], end);
    spool.append(&[(now_ms, Event::Share(live))]).unwrap();
    spool.cut().unwrap();
    ledger.publish(&spool);
    ledger.assert_counted(&(0..=end).collect::<Vec<u32>>());
    assert_eq!(ledger.counted, (0..=end).collect::<Vec<u32>>());
    // All in the newest stream is final, the copies in the middle one are not.
    let mut final_next = ledger.final_next();
    final_next.insert(stream(101), middle - 1);
    assert_eq!(spool.trim(&final_next, u64::MAX), Ok(0));
    assert!(spool.trim(&ledger.final_next(), u64::MAX).unwrap() > 4);
}

#[test]
fn a_full_disk_interrupts_a_move_and_room_finishes_it() {
    for bound in [true, false] {
        let disk = SimDisk::new(6);
        let mut ledger = Ledger::new();
        let mut spool = closed(&disk, &mut ledger);
        let mut end = 9;
        let files = 6;
        // Each group refers to a job of its own, so that each batch announces some.
        while disk.paths().len() < files {
            let number = spool.next_job();
            let mut group = at(START_MS + 20, vec![job(number, SECOND, 900)]);
            let of_job = |nonce| (START_MS + 20, Event::Share(share(nonce % 2, number, nonce)));
            group.extend((end..end + 100).map(of_job));
            spool.append(&group).unwrap();
            spool.retire_jobs_below(number);
            end += 100;
        }
        drop(spool);
        // Room for one more file than there are.
        let mut small = config();
        if bound {
            small.total_bytes = (files as u64 + 1) * small.file_bytes;
        } else {
            disk.faults()
                .set_capacity(Some((files as u64 + 1) * small.file_bytes + 5_000));
        }
        let opened = Spool::open(disk.clone(), "spool", small, crate::world::gateway());
        let mut spool = opened.unwrap().0;
        spool.begin(START_MS + 50, stream(1)).unwrap();
        let mut now_ms = START_MS + 100;
        let admitted = ledger.admitted_next(stream(100));
        let cause = if bound {
            FullCause::Bound
        } else {
            FullCause::Disk
        };
        let mut tries = 0;
        loop {
            let result = spool.move_stream(now_ms, stream(100), admitted, stream(101));
            if result.is_ok() {
                break;
            }
            assert_eq!(result, Err(SpoolError::Full(cause)));
            assert!(spool.is_moving());
            assert_eq!(
                spool.append(&[(now_ms, Event::Heartbeat)]),
                Err(SpoolError::Moving)
            );
            // What was moved so far is published; the rest of the disk is made free by somebody.
            spool.cut().unwrap();
            ledger.publish(&spool);
            spool.trim(&ledger.final_next(), u64::MAX).unwrap();
            tries += 1;
            now_ms += SPACE_RETRY_MS;
            if bound {
                drop(spool);
                small.total_bytes += small.file_bytes;
                let opened = Spool::open(disk.clone(), "spool", small, crate::world::gateway());
                spool = opened.unwrap().0;
                let begun = spool.begin(now_ms, stream(1));
                assert!(
                    matches!(begun, Ok(()) | Err(SpoolError::Full(_))),
                    "{begun:?}"
                );
            } else {
                let more = (files as u64 + 1 + tries) * small.file_bytes + 5_000;
                disk.faults().set_capacity(Some(more));
            }
        }
        assert!(tries > 1, "{tries}");
        spool.cut().unwrap();
        ledger.publish(&spool);
        ledger.assert_counted(&(0..end).collect::<Vec<u32>>());
        assert_eq!(ledger.counted, (0..end).collect::<Vec<u32>>());
        spool.trim(&ledger.final_next(), u64::MAX).unwrap();
        assert_eq!(disk.paths().len(), 1);
        assert_eq!(spool.streams().len(), 1, "{:?}", spool.streams());
    }
}

#[test]
fn more_jobs_than_a_state_holds_are_moved_all_the_same() {
    let disk = SimDisk::new(7);
    let mut ledger = Ledger::new();
    let mut spool = begun(&disk);
    spool
        .append(&at(START_MS, vec![worker(0, 0), difficulty(0, 1_000)]))
        .unwrap();
    for number in 0..60 {
        spool
            .append(&at(START_MS, vec![job(number, SECOND, 8_000)]))
            .unwrap();
        spool
            .append(&at(START_MS, vec![Event::Share(share(0, number, number))]))
            .unwrap();
        spool.retire_jobs_below(number.saturating_sub(3));
    }
    let numbers = spool
        .move_stream(START_MS + 1, stream(100), 0, stream(101))
        .unwrap();
    assert_eq!(
        numbers.jobs.keys().copied().collect::<Vec<u32>>(),
        [56, 57, 58, 59]
    );
    let live = share(numbers.workers[&0], numbers.jobs[&57], 60);
    spool
        .append(&at(START_MS + 2, vec![Event::Share(live)]))
        .unwrap();
    spool.cut().unwrap();
    let copies = frames(&spool, stream(101), 0);
    assert!(
        copies
            .iter()
            .any(|frame| frame.header().kinds & Kind::Moved.bit() != 0)
    );
    for frame in copies {
        ledger.admit(&frame);
    }
    ledger.assert_counted(&(0..61).collect::<Vec<u32>>());
}
