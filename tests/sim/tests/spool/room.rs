//! Room: the bound, a full disk, the reserve, trimming, and the state that stands in for what was trimmed.

use std::collections::BTreeMap;

use orebook_ledger::spool::{FullCause, SPACE_RETRY_MS, Spool, SpoolConfig, SpoolError};
use orebook_schema::{Event, StreamId};
use orebook_sim::disk::SimDisk;

use crate::world::{
    Ledger, SECOND, START_MS, all_frames, announcements, at, begun, config, gateway, job, open,
    share, shares, stream, teach, worker,
};

fn open_with(disk: &SimDisk, change: impl FnOnce(&mut SpoolConfig)) -> Spool<SimDisk> {
    let mut config = config();
    change(&mut config);
    let (mut spool, _) = Spool::open(disk.clone(), "spool", config, gateway()).unwrap();
    spool.begin(START_MS, stream(100)).unwrap();
    teach(&mut spool);
    spool
}

fn total(spool: &Spool<SimDisk>) -> u64 {
    spool.used_bytes()
}

/// Appends until it is refused; gives the nonces that were answered and the refusal.
fn fill(spool: &mut Spool<SimDisk>, mut nonce: u32) -> (u32, SpoolError) {
    loop {
        match spool.append(&shares(START_MS, nonce..nonce + 100)) {
            Ok(_) => nonce += 100,
            Err(error) => return (nonce, error),
        }
    }
}

#[test]
fn a_full_spool_refuses_drains_and_recovers() {
    let disk = SimDisk::new(1);
    let mut spool = open_with(&disk, |it| it.total_bytes = 3 * it.file_bytes + 100);
    let mut ledger = Ledger::new();
    spool.append(&at(START_MS, announcements())).unwrap();
    assert!(!spool.is_nearly_full());
    let (answered, error) = fill(&mut spool, 0);
    assert_eq!(error, SpoolError::Full(FullCause::Bound));
    assert!(spool.is_nearly_full() && disk.paths().len() == 3);
    let full = spool.used_percent();
    assert!((80..=100).contains(&full), "{full} %");
    // Refused again and again, it stays as it is: no byte, no event.
    let before = (spool.next_seq(), disk.operations(), total(&spool));
    assert_eq!(
        spool.append(&shares(START_MS, 0..100)),
        Err(SpoolError::Full(FullCause::Bound))
    );
    assert_eq!(before, (spool.next_seq(), disk.operations(), total(&spool)));
    // Draining needs no room.
    spool.cut().unwrap();
    ledger.publish(&spool);
    ledger.assert_counted(&(0..answered).collect::<Vec<u32>>());
    assert_eq!(spool.trim(&ledger.final_next(), u64::MAX), Ok(2));
    assert!(!spool.is_nearly_full());
    assert!(spool.used_percent() < 40, "one file of three is left");
    let (more, _) = fill(&mut spool, answered);
    assert!(more >= answered + 2_000, "{answered} {more}");
    spool.cut().unwrap();
    ledger.publish(&spool);
    ledger.assert_counted(&(0..more).collect::<Vec<u32>>());
}

#[test]
fn a_full_disk_refuses_and_is_asked_again_after_a_while() {
    let disk = SimDisk::new(1);
    let mut spool = begun(&disk);
    spool.append(&at(START_MS, announcements())).unwrap();
    disk.faults()
        .set_capacity(Some(2 * config().file_bytes + 1_000));
    let (answered, error) = fill(&mut spool, 0);
    assert_eq!(error, SpoolError::Full(FullCause::Disk));
    assert!(spool.is_nearly_full());
    assert_eq!(spool.used_percent(), 100, "whatever its own bound says");
    assert_eq!(
        disk.paths().len(),
        2,
        "nothing is left behind: {:?}",
        disk.paths()
    );
    disk.faults().set_capacity(None);
    let again = |spool: &mut Spool<SimDisk>, now_ms| {
        spool
            .append(&shares(now_ms, answered..answered + 100))
            .map(|_| ())
    };
    let operations = disk.operations();
    let soon = START_MS + SPACE_RETRY_MS - 1;
    assert_eq!(
        again(&mut spool, soon),
        Err(SpoolError::Full(FullCause::Disk))
    );
    assert_eq!(
        disk.operations(),
        operations,
        "a full disk is left alone for a while"
    );
    assert_eq!(again(&mut spool, soon + 1), Ok(()));
    assert!(!spool.is_nearly_full());
    spool.cut().unwrap();
    let mut ledger = Ledger::new();
    ledger.publish(&spool);
    ledger.assert_counted(&(0..answered + 100).collect::<Vec<u32>>());
}

#[test]
fn a_gateway_that_starts_on_a_full_disk_frames_its_tail_and_drains() {
    let mut waited = 0;
    for seed in 0..2 {
        let disk = SimDisk::new(seed);
        let mut spool = begun(&disk);
        spool.append(&at(START_MS, announcements())).unwrap();
        disk.faults().set_capacity(Some(config().file_bytes));
        let mut answered = fill(&mut spool, 0).0;
        // Single shares to the last byte that may be used.
        while spool
            .append(&shares(START_MS + 10_000, answered..answered + 1))
            .is_ok()
        {
            answered += 1;
        }
        drop(spool);
        let mut ledger = Ledger::new();
        // Crash loops write epochs into the reserve, until one finds no room.
        for life in 0..2_000 {
            if life % 2 == 0 {
                disk.restart()
            } else {
                disk.restart_process()
            }
            let (mut spool, _) = open(&disk).unwrap();
            let begun = spool.begin(START_MS, stream(100));
            assert!(
                matches!(begun, Ok(()) | Err(SpoolError::Full(FullCause::Disk))),
                "{begun:?}"
            );
            if life == 0 {
                ledger.publish(&spool);
                ledger.assert_counted(&(0..answered).collect::<Vec<u32>>());
            }
            if begun.is_err() {
                waited += 1;
                assert_eq!(
                    spool.append(&[(START_MS, Event::Heartbeat)]),
                    Err(SpoolError::NotBegun)
                );
                disk.faults().set_capacity(None);
                spool.begin(START_MS + SPACE_RETRY_MS, stream(100)).unwrap();
                spool.append(&[(START_MS, Event::Heartbeat)]).unwrap();
                spool.cut().unwrap();
                ledger.publish(&spool);
                ledger.assert_counted(&(0..answered).collect::<Vec<u32>>());
                break;
            }
        }
    }
    assert_eq!(waited, 2, "no crash loop used the reserve up");
}

#[test]
fn what_was_trimmed_is_not_needed_to_frame_the_tail() {
    for seed in 0..40 {
        println!("seed {seed}");
        let disk = SimDisk::new(seed);
        let mut spool = begun(&disk);
        let mut ledger = Ledger::new();
        spool.append(&at(START_MS, announcements())).unwrap();
        spool.append(&shares(START_MS, 0..2)).unwrap();
        let mut nonce = 2;
        while disk.paths().len() < 3 {
            spool.append(&shares(START_MS, nonce..nonce + 300)).unwrap();
            nonce += 300;
        }
        spool.cut().unwrap();
        ledger.publish(&spool);
        assert_eq!(spool.trim(&ledger.final_next(), u64::MAX), Ok(2));
        // Stale shares: their credit hangs on policies and pots that stood in the first file.
        for (worker, number) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let mut one = share(worker, number, nonce);
            one.stale = true;
            spool.append(&[(START_MS + 50, Event::Share(one))]).unwrap();
            nonce += 1;
        }
        if seed % 2 == 0 {
            disk.restart()
        } else {
            disk.restart_process()
        }
        let (mut spool, found) = open(&disk).unwrap();
        assert_eq!((found.files, found.unframed_events), (1, 4));
        spool.begin(START_MS + 60, stream(100)).unwrap();
        ledger.publish(&spool);
        ledger.assert_counted(&(0..nonce).collect::<Vec<u32>>());
    }
}

#[test]
fn only_whole_files_of_final_events_are_trimmed_oldest_first() {
    let disk = SimDisk::new(1);
    let mut spool = begun(&disk);
    spool.append(&at(START_MS, announcements())).unwrap();
    let mut ends = Vec::new();
    let mut nonce = 0;
    while disk.paths().len() < 5 {
        let files = disk.paths().len();
        let before = spool.next_seq();
        spool
            .append(&shares(START_MS + files as u64, nonce..nonce + 400))
            .unwrap();
        nonce += 400;
        if files < disk.paths().len() {
            ends.push(before);
        }
    }
    let final_at = |next| BTreeMap::from([(stream(100), next)]);
    assert_eq!(spool.trim(&BTreeMap::new(), u64::MAX), Ok(0));
    assert_eq!(spool.trim(&final_at(ends[0] - 1), u64::MAX), Ok(0));
    assert_eq!(spool.trim(&final_at(ends[0]), u64::MAX), Ok(1));
    assert_eq!(spool.trim(&final_at(ends[2] - 1), u64::MAX), Ok(1));
    // What is final may be kept for its age.
    assert_eq!(spool.trim(&final_at(u64::MAX), START_MS + 3), Ok(0));
    assert_eq!(spool.trim(&final_at(u64::MAX), START_MS + 4), Ok(1));
    assert_eq!(spool.trim(&final_at(u64::MAX), u64::MAX), Ok(1));
    assert_eq!(disk.paths().len(), 1, "the file in hand stays");
    assert_eq!(spool.trim(&final_at(u64::MAX), u64::MAX), Ok(0));
    // A reader goes over what was trimmed.
    spool.cut().unwrap();
    assert!(
        all_frames(&spool)
            .iter()
            .all(|frame| ends[3] <= frame.header().first_seq)
    );
}

#[test]
fn the_state_is_bounded_and_retiring_makes_room() {
    let disk = SimDisk::new(1);
    let mut spool = begun(&disk);
    spool.append(&at(START_MS, announcements())).unwrap();
    let next_job = |spool: &Spool<SimDisk>| job(spool.next_job(), SECOND, 8_000);
    let mut full = None;
    while full.is_none() {
        let event = next_job(&spool);
        full = spool.append(&at(START_MS, vec![event])).err();
        assert!(spool.next_job() < 100);
    }
    assert_eq!(full, Some(SpoolError::StateFull));
    spool.append(&shares(START_MS, 0..10)).unwrap();
    spool.retire_jobs_below(spool.next_job() - 1);
    for _ in 0..60 {
        let event = next_job(&spool);
        spool.append(&at(START_MS, vec![event])).unwrap();
        spool.retire_jobs_below(spool.next_job() - 1);
    }
    let workers = spool.next_worker();
    for number in workers..workers + 3_000 {
        spool
            .append(&at(START_MS, vec![worker(number, 0)]))
            .unwrap();
        spool.retire_worker(number);
    }
    spool.cut().unwrap();
    Ledger::new().publish(&spool);
}

#[test]
fn a_state_of_several_records_is_read_back() {
    let disk = SimDisk::new(2);
    let big = |it: &mut SpoolConfig| {
        it.file_bytes = 2 << 20;
        it.total_bytes = 8 << 20;
    };
    let mut spool = open_with(&disk, big);
    let mut ledger = Ledger::new();
    spool.append(&at(START_MS, announcements())).unwrap();
    for number in 2..80 {
        spool
            .append(&at(START_MS, vec![job(number, SECOND, 8_000)]))
            .unwrap();
    }
    for number in 2..1_500 {
        spool
            .append(&at(START_MS, vec![worker(number, 1)]))
            .unwrap();
    }
    let mut nonce = 0;
    while disk.paths().len() < 2 {
        spool.append(&shares(START_MS, nonce..nonce + 500)).unwrap();
        nonce += 500;
    }
    spool.cut().unwrap();
    ledger.publish(&spool);
    assert_eq!(spool.trim(&ledger.final_next(), u64::MAX), Ok(1));
    for (worker, number) in [(1_499, 79), (700, 40), (0, 1), (1_000, 0)] {
        let one = share(worker, number, nonce);
        spool.append(&[(START_MS, Event::Share(one))]).unwrap();
        nonce += 1;
    }
    disk.restart();
    let mut spool = open_with(&disk, big);
    ledger.publish(&spool);
    ledger.assert_counted(&(0..nonce).collect::<Vec<u32>>());
    assert_eq!(spool.trim(&ledger.final_next(), u64::MAX), Ok(0));
}

#[test]
fn a_job_that_was_void_when_announced_stays_void_over_files_and_lives() {
    let disk = SimDisk::new(2);
    let mut spool = begun(&disk);
    let unknown = orebook_schema::At {
        position: 1,
        index: 0,
    };
    spool.append(&at(START_MS, announcements())).unwrap();
    let number = spool.next_job();
    spool
        .append(&at(START_MS, vec![job(number, unknown, 10)]))
        .unwrap();
    let late = std::sync::Arc::new(crate::world::policy(1));
    spool.learn_policy(unknown, late).unwrap();
    let mut nonce = 0;
    while disk.paths().len() < 2 {
        spool.append(&shares(START_MS, nonce..nonce + 500)).unwrap();
        nonce += 500;
    }
    spool.cut().unwrap();
    let void = Event::Share(share(0, number, nonce));
    spool.append(&[(START_MS, void)]).unwrap();
    let (mut twin, _) = open(&disk.fork_copy()).unwrap();
    let frame = spool.cut().unwrap().unwrap();
    assert_eq!(twin.cut().unwrap(), Some(frame.clone()));
    let summary = orebook_schema::summary::Summary::read(frame.summary()).unwrap();
    assert_eq!(summary.pots[0].rows[0].credit, 0);
}

#[test]
fn policies_beyond_the_limit_go_oldest_first_and_survive_restarts() {
    let disk = SimDisk::new(2);
    let mut spool = begun(&disk);
    let place = |position: u64| orebook_schema::At { position, index: 0 };
    for position in 10..200 {
        spool
            .learn_policy(
                place(position),
                std::sync::Arc::new(crate::world::policy(1)),
            )
            .unwrap();
    }
    let streams: Vec<StreamId> = spool.streams().iter().map(|held| held.stream).collect();
    assert_eq!(streams, [stream(100)]);
    spool
        .append(&at(START_MS, vec![worker(0, 0), job(0, place(199), 10)]))
        .unwrap();
    spool
        .append(&[(START_MS, Event::Share(share(0, 0, 1)))])
        .unwrap();
    disk.restart();
    let (mut spool, found) = open(&disk).unwrap();
    assert_eq!(found.unframed_events, 3);
    let tail = spool.cut().unwrap().unwrap();
    let summary = orebook_schema::summary::Summary::read(tail.summary()).unwrap();
    assert_eq!(
        summary.pots[0].rows[0].credit, 1_000,
        "the job's policy is known after the crash"
    );
}
