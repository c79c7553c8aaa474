//! The spool on a disk that fails: what was answered is never lost, doubled or changed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests may panic, and their numbers are small"
)]

#[path = "spool/crashes.rs"]
mod crashes;
#[path = "spool/damage.rs"]
mod damage;
#[path = "spool/moves.rs"]
mod moves;
#[path = "spool/moves_room.rs"]
mod moves_room;
#[path = "spool/room.rs"]
mod room;
#[path = "spool/world.rs"]
mod world;

use orebook_ledger::spool::{Fault, SpoolError};
use orebook_schema::work::{EthashHeader, EthashJob, EthashShare};
use orebook_schema::{At, Event, Kind, StreamId};
use orebook_sim::disk::SimDisk;
use world::{
    Ledger, SECOND, START_MS, all_frames, announcements, at, begun, block, difficulty, frames,
    gateway, job, nonces, open, share, shares, stream, teach, worker,
};

fn refused(index: usize, fault: Fault) -> SpoolError {
    SpoolError::Refused { index, fault }
}

#[test]
fn frames_are_admitted_with_their_summaries_stale_shares_included() {
    let disk = SimDisk::new(1);
    let mut spool = begun(&disk);
    let mut ledger = Ledger::new();
    spool.append(&at(START_MS, announcements())).unwrap();
    for nonce in 0..40 {
        let mut one = share(nonce % 2, nonce / 2 % 2, nonce);
        one.stale = nonce % 3 == 0;
        let now_ms = START_MS + u64::from(nonce);
        spool.append(&at(now_ms, vec![Event::Share(one)])).unwrap();
        if nonce % 10 == 9 {
            let frame = spool.cut().unwrap().unwrap();
            assert!(frame.header().base_time <= now_ms && frame.header().last_time == now_ms);
        }
    }
    ledger.publish(&spool);
    ledger.assert_counted(&(0..40).collect::<Vec<u32>>());
    assert_eq!(ledger.counted, (0..40).collect::<Vec<u32>>());
    assert_eq!(spool.cut().unwrap(), None);
}

#[test]
fn a_job_whose_policy_was_never_taught_is_void_and_admitted_as_void() {
    let disk = SimDisk::new(1);
    let (mut spool, _) = open(&disk).unwrap();
    spool.begin(START_MS, stream(100)).unwrap();
    let mut ledger = Ledger::new();
    let unknown = At {
        position: 1,
        index: 0,
    };
    let events = vec![
        worker(0, 0),
        job(0, unknown, 10),
        Event::Share(share(0, 0, 1)),
    ];
    spool.append(&at(START_MS, events)).unwrap();
    spool.cut().unwrap();
    ledger.publish(&spool);
    assert_eq!(ledger.counted, [1]);
}

#[test]
fn an_epoch_goes_on_where_the_former_life_ended() {
    let disk = SimDisk::new(1);
    let mut ledger = Ledger::new();
    let mut answered = Vec::new();
    for life in 0..4 {
        let (mut spool, found) = open(&disk).unwrap();
        let expected = (life != 0).then(|| (stream(100), life - 1));
        assert_eq!(found.stream, expected);
        assert_eq!(found.unframed_events, if life == 0 { 0 } else { 9 });
        assert_eq!(
            spool.append(&shares(START_MS, 0..1)),
            Err(SpoolError::NotBegun)
        );
        spool
            .begin(START_MS, stream(100 + u8::try_from(life).unwrap()))
            .unwrap();
        assert_eq!((spool.stream(), spool.epoch()), (Some(stream(100)), life));
        assert_eq!(
            spool.append(&shares(START_MS, 0..1)),
            Err(refused(0, Fault::Unannounced))
        );
        teach(&mut spool);
        spool.append(&at(START_MS, announcements())).unwrap();
        spool
            .append(&shares(START_MS, life * 3..life * 3 + 3))
            .unwrap();
        answered.extend(life * 3..life * 3 + 3);
        disk.restart_process();
    }
    let (mut spool, _) = open(&disk).unwrap();
    spool.begin(START_MS, stream(99)).unwrap();
    ledger.publish(&spool);
    let epochs: Vec<u32> = all_frames(&spool)
        .iter()
        .map(|it| it.header().epoch)
        .collect();
    assert_eq!(epochs, [0, 1, 2, 3]);
    assert_eq!(ledger.counted, answered);
}

#[test]
fn the_unframed_tail_becomes_one_frame_of_the_old_epoch_unchanged() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let mut spool = begun(&disk);
        spool.append(&at(START_MS + 5, announcements())).unwrap();
        spool.cut().unwrap().unwrap();
        spool.append(&shares(START_MS + 1_000, 0..3)).unwrap();
        spool.append(&shares(START_MS + 1_007, 3..5)).unwrap();
        // What the same life would have cut.
        let copy = disk.fork_copy();
        let (mut twin, _) = open(&copy).unwrap();
        let expected = twin.cut().unwrap().unwrap();
        disk.restart();
        let (mut spool, found) = open(&disk).unwrap();
        assert_eq!(found.unframed_events, 5, "seed {seed}");
        spool.begin(START_MS + 90_000, stream(5)).unwrap();
        let tail = frames(&spool, stream(100), 6);
        assert!(tail == [expected], "seed {seed}");
        assert_eq!(tail[0].header().base_time, START_MS + 1_000);
        assert_eq!(tail[0].header().last_time, START_MS + 1_007);
        assert_eq!(nonces(&tail[0]), [0, 1, 2, 3, 4]);
        assert_eq!((tail[0].header().epoch, spool.epoch()), (0, 1));
    }
}

#[test]
fn groups_never_split_and_a_frame_is_cut_before_its_limits() {
    let disk = SimDisk::new(2);
    let mut spool = begun(&disk);
    let mut ledger = Ledger::new();
    spool.append(&at(START_MS, announcements())).unwrap();
    let mut groups = Vec::new();
    for first in (0..2_100).step_by(70) {
        let appended = spool.append(&shares(START_MS, first..first + 70)).unwrap();
        assert_eq!(appended.next_seq - appended.first_seq, 70);
        groups.push((appended.first_seq, appended.next_seq));
    }
    // 1,000 events end the first frames; jobs of 8 KiB end further ones by their bytes.
    for number in 2..20 {
        spool.retire_jobs_below(number - 1);
        let appended = spool
            .append(&at(START_MS, vec![job(number, SECOND, 8_000)]))
            .unwrap();
        groups.push((appended.first_seq, appended.next_seq));
    }
    spool.cut().unwrap();
    let all = all_frames(&spool);
    for frame in &all {
        let header = frame.header();
        let (first, next) = (header.first_seq, header.next_seq());
        assert!(header.count <= 1_000 && header.body_len <= 49_152);
        let inside = |seq: u64| first < seq && seq < next;
        assert!(
            !groups
                .iter()
                .any(|(from, to)| inside(*to) && *from < first || inside(*from) && next < *to)
        );
    }
    assert!(all.len() >= 5, "{} frames", all.len());
    ledger.publish(&spool);
    ledger.assert_counted(&(0..2_100).collect::<Vec<u32>>());
}

#[test]
fn a_group_that_is_too_large_by_itself_is_refused_whole() {
    let disk = SimDisk::new(2);
    let mut spool = begun(&disk);
    spool.append(&at(START_MS, announcements())).unwrap();
    let (next, pending, writes) = (spool.next_seq(), spool.pending_events(), disk.operations());
    assert_eq!(
        spool.append(&shares(START_MS, 0..1_001)),
        Err(SpoolError::TooLarge)
    );
    let wide = (2..9).map(|number| job(number, SECOND, 8_000)).collect();
    assert_eq!(spool.append(&at(START_MS, wide)), Err(SpoolError::TooLarge));
    let months = vec![
        (START_MS, Event::Heartbeat),
        (START_MS + (1 << 33), Event::Heartbeat),
    ];
    assert_eq!(spool.append(&months), Err(SpoolError::TooLarge));
    assert_eq!(
        (spool.next_seq(), spool.pending_events(), disk.operations()),
        (next, pending, writes)
    );
    let nothing = spool.append(&[]).unwrap();
    assert_eq!((nothing.first_seq, nothing.next_seq), (next, next));
    assert_eq!(disk.operations(), writes, "an empty group does nothing");
    spool.append(&shares(START_MS, 0..1_000)).unwrap();
    assert_eq!(spool.pending_events(), 1_000);
    assert!(spool.should_cut(START_MS));
}

fn ethash_job(number: u32) -> Event {
    Event::EthashJob(Box::new(EthashJob {
        number,
        policy: SECOND,
        height: 1,
        network_work: 1,
        reward: 0,
        fees: 0,
        seal: orebook_schema::Hash::ZERO,
        seed: orebook_schema::Hash::ZERO,
        time: 1,
        clean: false,
    }))
}

/// A block candidate with the nonce 7.
fn ethash_share(worker: u32, job: u32) -> Event {
    Event::EthashShare(EthashShare {
        worker,
        job,
        work: share(worker, job, 7).work,
        block: true,
        stale: false,
        nonce: 7,
    })
}

#[test]
fn what_is_wrong_leaves_no_trace() {
    let disk = SimDisk::new(3);
    let mut spool = begun(&disk);
    spool.append(&at(START_MS, announcements())).unwrap();
    let mut block_share = share(0, 0, 1);
    block_share.block = true;
    let good = Event::Share(share(0, 0, 7));
    let long = orebook_schema::event::Part {
        whole: orebook_schema::Hash([0; 32]),
        index: 0,
        of: 1,
        bytes: vec![0; 70_000],
    };
    let status = Event::Checkpoint(orebook_schema::event::Checkpoint {
        size: 1,
        root: orebook_schema::Hash([0; 32]),
        signature: [0; 64],
    });
    let header = EthashHeader {
        seal: orebook_schema::Hash::ZERO,
        nonce: 8,
        mix: orebook_schema::Hash::ZERO,
    };
    let found = Event::BlockFound(header.found(1));
    let cases: Vec<(Vec<Event>, usize, Fault)> = vec![
        (vec![good.clone(), worker(1, 0)], 1, Fault::OutOfTurn),
        (vec![worker(3, 0)], 0, Fault::OutOfTurn),
        (vec![job(1, SECOND, 5)], 0, Fault::OutOfTurn),
        (
            vec![good.clone(), Event::Share(share(2, 0, 8))],
            1,
            Fault::Unannounced,
        ),
        (
            vec![Event::Share(share(0, 2, 8)), job(2, SECOND, 5)],
            0,
            Fault::Unannounced,
        ),
        (vec![difficulty(2, 5)], 0, Fault::Unannounced),
        (
            vec![Event::Share(block_share), good.clone(), block(9)],
            2,
            Fault::BlockAlone,
        ),
        (vec![block(9)], 0, Fault::BlockAlone),
        (vec![ethash_job(1)], 0, Fault::OutOfTurn),
        (
            vec![good.clone(), ethash_share(2, 0)],
            1,
            Fault::Unannounced,
        ),
        (
            vec![ethash_share(0, 2), ethash_job(2)],
            0,
            Fault::Unannounced,
        ),
        // Named by another share: admission would refuse its frame for ever.
        (vec![ethash_share(0, 0), found], 1, Fault::BlockAlone),
        (vec![good, status], 1, Fault::NotOurs),
        (vec![Event::Part(long)], 0, Fault::Illegal),
        (vec![job(2, SECOND, 8_193)], 0, Fault::Illegal),
    ];
    let before = (
        spool.next_seq(),
        disk.operations(),
        disk.read_raw(&disk.paths()[0]).unwrap(),
    );
    for (events, index, fault) in cases {
        assert_eq!(
            spool.append(&at(START_MS, events)),
            Err(refused(index, fault))
        );
    }
    let after = (
        spool.next_seq(),
        disk.operations(),
        disk.read_raw(&disk.paths()[0]).unwrap(),
    );
    assert!(before == after);
    spool
        .append(&at(START_MS, vec![worker(2, 0), difficulty(2, 5)]))
        .unwrap();
    spool
        .append(&at(START_MS, vec![Event::Share(block_share), block(9)]))
        .unwrap();
    assert!(spool.should_cut(START_MS), "a block is urgent");
    let named = EthashHeader { nonce: 7, ..header };
    let block = Event::BlockFound(named.found(1));
    spool
        .append(&at(
            START_MS,
            vec![ethash_job(2), ethash_share(0, 2), block],
        ))
        .unwrap();
}

#[test]
fn times_never_run_back_within_a_stream() {
    let disk = SimDisk::new(4);
    let mut spool = begun(&disk);
    let mut ledger = Ledger::new();
    for time in [500, 400, 900, 100] {
        spool
            .append(&[(START_MS + time, Event::Heartbeat)])
            .unwrap();
    }
    let frame = spool.cut().unwrap().unwrap();
    let dts: Vec<u32> = frame.events().map(|raw| raw.unwrap().dt).collect();
    assert_eq!(
        (frame.header().base_time, dts),
        (START_MS + 500, vec![0, 0, 400, 400])
    );
    // A later frame and a later life go on from there; 50 days do not fit into one frame.
    spool.append(&[(START_MS, Event::Heartbeat)]).unwrap();
    disk.restart_process();
    let (mut spool, _) = open(&disk).unwrap();
    spool.begin(START_MS, stream(9)).unwrap();
    spool.append(&[(START_MS + 10, Event::Heartbeat)]).unwrap();
    let later = START_MS + 50 * 86_400_000;
    assert!(spool.append(&[(later, Event::Heartbeat)]).unwrap().cut);
    spool.cut().unwrap();
    let bases: Vec<u64> = all_frames(&spool)
        .iter()
        .map(|it| it.header().base_time)
        .collect();
    assert_eq!(
        bases,
        [START_MS + 500, START_MS + 900, START_MS + 900, later]
    );
    ledger.publish(&spool);
}

#[test]
fn frames_are_cut_in_time_and_silence_asks_for_a_heartbeat() {
    let disk = SimDisk::new(5);
    let mut spool = begun(&disk);
    assert!(!spool.should_cut(START_MS + 10_000) && !spool.heartbeat_due(START_MS + 9_999));
    assert!(spool.heartbeat_due(START_MS + 10_000));
    spool.append(&at(START_MS, announcements())).unwrap();
    spool.cut().unwrap();
    spool.append(&shares(START_MS + 100, 0..49)).unwrap();
    assert!(!spool.should_cut(START_MS + 1_099) && spool.should_cut(START_MS + 1_100));
    spool.append(&shares(START_MS + 150, 49..50)).unwrap();
    assert!(!spool.should_cut(START_MS + 299) && spool.should_cut(START_MS + 300));
    assert!(spool.should_cut(START_MS + 99), "the clock went back");
    spool.cut().unwrap();
    assert!(!spool.should_cut(START_MS + 99_999));
    assert!(!spool.heartbeat_due(START_MS + 10_149) && spool.heartbeat_due(START_MS + 10_150));
}

#[test]
fn retired_numbers_are_not_used_again() {
    let disk = SimDisk::new(6);
    let mut spool = begun(&disk);
    let mut ledger = Ledger::new();
    spool.append(&at(START_MS, announcements())).unwrap();
    spool.append(&shares(START_MS, 0..2)).unwrap();
    spool.retire_jobs_below(1);
    spool.retire_worker(1);
    let share_of = |worker, job, nonce| vec![(START_MS, Event::Share(share(worker, job, nonce)))];
    assert_eq!(
        spool.append(&share_of(0, 0, 9)),
        Err(refused(0, Fault::Unannounced))
    );
    assert_eq!(
        spool.append(&share_of(1, 1, 9)),
        Err(refused(0, Fault::Unannounced))
    );
    spool.append(&share_of(0, 1, 2)).unwrap();
    assert_eq!((spool.next_worker(), spool.next_job()), (2, 2));
    // What was said with them before is framed all the same, in this life or the next.
    disk.restart();
    let (mut spool, _) = open(&disk).unwrap();
    spool.begin(START_MS, stream(9)).unwrap();
    ledger.publish(&spool);
    assert_eq!(ledger.counted, [0, 1, 2]);
}

#[test]
fn a_policy_has_one_content() {
    let disk = SimDisk::new(6);
    let mut spool = begun(&disk);
    teach(&mut spool);
    let other = std::sync::Arc::new(world::policy(1));
    assert_eq!(
        spool.learn_policy(SECOND, other),
        Err(SpoolError::Policy(SECOND))
    );
    let mut illegal = world::policy(1);
    illegal.pots.clear();
    let place = At {
        position: 9,
        index: 0,
    };
    let taught = spool.learn_policy(place, std::sync::Arc::new(illegal));
    assert_eq!(taught, Err(SpoolError::Policy(place)));
}

#[test]
fn another_ledgers_spool_is_refused_and_a_wrong_configuration_too() {
    let disk = SimDisk::new(7);
    drop(begun(&disk));
    let open_with = |change: fn(&mut orebook_ledger::spool::SpoolConfig)| {
        let mut config = world::config();
        change(&mut config);
        orebook_ledger::spool::Spool::open(disk.clone(), "spool", config, gateway()).map(|_| ())
    };
    assert!(matches!(
        open_with(|it| it.coin = 2),
        Err(SpoolError::Foreign { .. })
    ));
    assert!(matches!(
        open_with(|it| it.ledger.0[0] = 0),
        Err(SpoolError::Foreign { .. })
    ));
    assert!(matches!(
        open_with(|it| it.file_bytes = 1_000),
        Err(SpoolError::Config(_))
    ));
    assert!(matches!(
        open_with(|it| it.file_bytes += 4),
        Err(SpoolError::Config(_))
    ));
    assert!(matches!(
        open_with(|it| it.total_bytes = it.file_bytes),
        Err(SpoolError::Config(_))
    ));
    assert_eq!(open_with(|_| ()), Ok(()));
}

#[test]
fn readers_follow_what_is_cut_later_and_unknown_streams_are_named() {
    let disk = SimDisk::new(8);
    let mut spool = begun(&disk);
    let unknown: StreamId = stream(1);
    assert!(
        matches!(spool.frames_from(unknown, 0), Err(SpoolError::NoSuchStream(it)) if it == unknown)
    );
    let mut reader = spool.frames_from(stream(100), 0).unwrap();
    assert_eq!(reader.next_frame(&spool).unwrap(), None);
    spool.append(&at(START_MS, announcements())).unwrap();
    assert_eq!(reader.next_frame(&spool).unwrap(), None);
    let mut cut = Vec::new();
    let mut seen = Vec::new();
    for first in (0..20_000).step_by(500) {
        spool.append(&shares(START_MS, first..first + 500)).unwrap();
        cut.extend(spool.cut().unwrap());
        while let Some(frame) = reader.next_frame(&spool).unwrap() {
            seen.push(frame);
        }
    }
    assert_eq!(seen, cut, "byte for byte, over several files");
    assert!(disk.paths().len() > 2);
    let middle = cut[20].header().first_seq;
    assert_eq!(frames(&spool, stream(100), middle), cut[20..]);
    assert_eq!(
        frames(&spool, stream(100), middle + 1),
        cut[20..],
        "the frame that holds it"
    );
    assert!(
        cut.iter()
            .all(|frame| frame.header().kinds & !(Kind::Share.bit()) & Kind::Moved.bit() == 0)
    );
}
