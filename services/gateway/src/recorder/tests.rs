use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::{FILE_BYTES_MIN, SpoolConfig};
use orebook_schema::names::{Account, Pot, RegisteredName, WorkerName};
use orebook_schema::work::Extranonce;
use orebook_schema::{At, Hash, LedgerId, Role, StreamId};
use tempfile::TempDir;

use super::*;
use crate::agents::AgentFamily;
use crate::edge::EdgePlace;
use std::sync::Arc;

const TAGGED: Tagged = Tagged(0);

fn stream(number: u8) -> StreamId {
    StreamId::from_parts(1, [number; 10])
}

fn spool(total_files: u64) -> (Spool<RealDisk>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let config = SpoolConfig {
        ledger: LedgerId([1; 16]),
        coin: 1,
        role: Role::Gateway,
        schema_set: 0,
        file_bytes: FILE_BYTES_MIN,
        total_bytes: total_files * FILE_BYTES_MIN,
    };
    let disk = RealDisk::new(dir.path().to_path_buf());
    let (mut spool, _) = Spool::open(disk, "spool", config, Signer::from_seed(&[2; 32])).unwrap();
    spool.begin(1_000, stream(1)).unwrap();
    (spool, dir)
}

fn worker(key: u32) -> (WorkerKey, Box<Worker>) {
    let worker = Worker {
        number: 0,
        pot: Pot(0),
        extranonce1: Extranonce::new(&key.to_be_bytes()).unwrap(),
        extranonce2_size: 4,
        version_mask: 0,
        account: Account::Name(RegisteredName::parse("anna").unwrap()),
        name: WorkerName::parse("rig").unwrap(),
    };
    (WorkerKey(key), Box::new(worker))
}

fn job(key: u32, coinbase: usize) -> (JobKey, Announced, Tagged) {
    let job = Job {
        number: 0,
        policy: At::default(),
        height: 1,
        network_work: 1_000,
        reward: 50,
        fees: 0,
        version: 2,
        prev: Hash([3; 32]),
        nbits: 0x1d00_ffff,
        time: 5,
        clean: true,
        coinbase1: vec![1; coinbase],
        coinbase2: vec![2; 60],
        branches: Vec::new(),
        direct: 0,
    };
    (JobKey(key), Announced::Built(Arc::new(job)), TAGGED)
}

fn share(worker: u32, job: u32, nonce: u32) -> Candidate {
    Candidate {
        worker: WorkerKey(worker),
        job: JobKey(job),
        work: Work::new(1_000).unwrap(),
        block: false,
        stale: false,
        edge: EdgePlace::new(0, None, AgentFamily::NONE),
        proof: Proof::Header {
            nonce,
            ntime: 5,
            version: 2,
            extranonce2: Extranonce::new(&[0; 4]).unwrap(),
        },
        outcome: Outcome::Waiting,
    }
}

fn batch(shares: Vec<Candidate>) -> Batch {
    Batch {
        now_ms: 2_000,
        shares,
        ..Batch::new()
    }
}

/// Every event of the spool, in order.
fn events(spool: &mut Spool<RealDisk>) -> Vec<Event> {
    spool.cut().unwrap();
    let mut events = Vec::new();
    let oldest = spool.streams()[0].stream;
    let mut frames = spool.frames_from(oldest, 0).unwrap();
    while let Some(frame) = frames.next_frame(spool).unwrap() {
        events.extend(frame.decode().unwrap());
    }
    events
}

fn nonces(events: &[Event]) -> Vec<u32> {
    let nonce = |event: &Event| match event {
        Event::Share(share) => Some(share.nonce),
        _ => None,
    };
    events.iter().filter_map(nonce).collect()
}

#[test]
fn what_passes_a_frame_goes_in_several_groups_in_order() {
    let (mut spool, _dir) = spool(8);
    let mut recorder = Recorder::new(TAGGED);
    let shares = (0..2_500).map(|n| share(n % 700, n % 3, n)).collect();
    let mut one = batch(shares);
    one.new_workers = (0..700).map(worker).collect();
    one.new_jobs = (0..3).map(|key| job(key, 8_000)).collect();
    let mut batches = vec![one];
    let recorded = recorder.record(&mut spool, &mut batches).unwrap();
    assert_eq!(recorded.shares, 2_500);
    assert!((3..10).contains(&recorded.groups), "{}", recorded.groups);
    assert!(
        batches[0]
            .shares
            .iter()
            .all(|it| it.outcome == Outcome::Recorded)
    );
    let events = events(&mut spool);
    assert_eq!(nonces(&events), (0..2_500).collect::<Vec<_>>());
    let workers = events.iter().filter(|it| matches!(it, Event::Worker(_)));
    assert_eq!(workers.count(), 700, "each is announced once");
}

#[test]
fn a_group_that_found_no_room_leaves_no_gap_in_the_numbers() {
    let (mut spool, _dir) = spool(2);
    let mut recorder = Recorder::new(TAGGED);
    let mut first = batch(vec![share(0, 0, 0)]);
    first.new_workers = vec![worker(0)];
    first.new_jobs = vec![job(0, 100)];
    recorder
        .record(&mut spool, std::slice::from_mut(&mut first))
        .unwrap();
    // Fills the spool.
    let mut next = 1;
    let full = loop {
        let mut more = batch((next..next + 500).map(|n| share(0, 0, n)).collect());
        let recorded = recorder
            .record(&mut spool, std::slice::from_mut(&mut more))
            .unwrap();
        if recorded.no_room {
            break more;
        }
        next += 500;
    };
    assert!(
        full.shares
            .iter()
            .all(|it| it.outcome == Outcome::Refused(Refusal::NoRoom))
    );
    // Refused with what it announces, and again, and then taken.
    let (next_worker, next_job) = (spool.next_worker(), spool.next_job());
    let mut refused = batch((0..900).map(|n| share(1, 1, n)).collect());
    refused.new_workers = vec![worker(1)];
    refused.new_jobs = vec![job(1, 100)];
    let recorded = recorder
        .record(&mut spool, std::slice::from_mut(&mut refused))
        .unwrap();
    assert!(recorded.no_room);
    assert_eq!(
        (spool.next_worker(), spool.next_job()),
        (next_worker, next_job)
    );
    let mut again = batch(vec![share(1, 1, 7)]);
    let frames: BTreeMap<StreamId, u64> = BTreeMap::from([(stream(1), u64::MAX)]);
    spool.cut().unwrap();
    spool.trim(&frames, u64::MAX).unwrap();
    spool.find_room(3_000).unwrap();
    let recorded = recorder
        .record(&mut spool, std::slice::from_mut(&mut again))
        .unwrap();
    assert_eq!((recorded.shares, recorded.no_room), (1, false));
    assert_eq!(
        (spool.next_worker(), spool.next_job()),
        (next_worker + 1, next_job + 1)
    );
}

#[test]
fn one_that_the_spool_does_not_take_takes_no_other_with_it() {
    let (mut spool, _dir) = spool(8);
    let mut recorder = Recorder::new(TAGGED);
    // A coinbase longer than a job may have.
    let mut mixed = batch(vec![
        share(0, 0, 1),
        share(0, 1, 2),
        share(0, 0, 3),
        share(9, 0, 4),
    ]);
    mixed.new_workers = vec![worker(0)];
    mixed.new_jobs = vec![job(0, 100), job(1, 9_000)];
    let recorded = recorder
        .record(&mut spool, std::slice::from_mut(&mut mixed))
        .unwrap();
    assert_eq!(recorded.shares, 2);
    let outcomes: Vec<Outcome> = mixed.shares.iter().map(|it| it.outcome).collect();
    let fault = Outcome::Refused(Refusal::Fault);
    assert_eq!(
        outcomes,
        [Outcome::Recorded, fault, Outcome::Recorded, fault]
    );
    assert_eq!(nonces(&events(&mut spool)), [1, 3]);
}

#[test]
fn difficulties_are_announced_when_they_are_neither_newest_nor_the_one_before() {
    let (mut spool, _dir) = spool(8);
    let mut recorder = Recorder::new(TAGGED);
    let works = [10, 20, 10, 20, 30, 20, 10];
    let shares = works.iter().map(|work| Candidate {
        work: Work::new(*work).unwrap(),
        ..share(0, 0, 0)
    });
    let mut one = batch(shares.collect());
    one.new_workers = vec![worker(0)];
    one.new_jobs = vec![job(0, 100)];
    recorder
        .record(&mut spool, std::slice::from_mut(&mut one))
        .unwrap();
    let said = events(&mut spool);
    let said = said.iter().filter_map(|event| match event {
        Event::Difficulty(it) => Some(it.work.units()),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), [10, 20, 30, 10]);
}

#[test]
fn after_a_move_only_blocks_of_the_old_work_are_taken() {
    let (mut spool, _dir) = spool(8);
    let mut recorder = Recorder::new(TAGGED);
    let mut before = batch(vec![share(0, 0, 1)]);
    before.new_workers = vec![worker(0), worker(1)];
    before.new_jobs = vec![job(0, 100)];
    recorder
        .record(&mut spool, std::slice::from_mut(&mut before))
        .unwrap();
    let map = spool.move_stream(3_000, stream(1), 0, stream(2)).unwrap();
    recorder.moved(&map, Tagged(1));
    let block = Candidate {
        block: true,
        ..share(0, 0, 3)
    };
    let mut after = batch(vec![share(0, 0, 2), block, share(1, 5, 4), share(0, 5, 5)]);
    let found = BlockFound {
        hash: Hash([7; 32]),
        height: 1,
        coinbase_txid: Hash([8; 32]),
        header: vec![0; 80],
    };
    after.blocks = vec![(1, found)];
    after.new_jobs = vec![(JobKey(5), job(5, 100).1, Tagged(1))];
    recorder
        .record(&mut spool, std::slice::from_mut(&mut after))
        .unwrap();
    let outcomes: Vec<Outcome> = after.shares.iter().map(|it| it.outcome).collect();
    let old = Outcome::Refused(Refusal::OldStream);
    assert_eq!(
        outcomes,
        [old, Outcome::Recorded, Outcome::Recorded, Outcome::Recorded]
    );
}

#[test]
fn who_left_is_retired_and_his_shares_before_that_are_not() {
    let (mut spool, _dir) = spool(8);
    let mut recorder = Recorder::new(TAGGED);
    let mut last = batch(vec![share(0, 0, 1)]);
    last.new_workers = vec![worker(0)];
    last.new_jobs = vec![job(0, 100), job(1, 100)];
    last.gone_workers = vec![WorkerKey(0)];
    last.gone_jobs = vec![JobKey(0)];
    let mut late = batch(vec![share(0, 1, 2)]);
    let mut batches = vec![last];
    recorder.record(&mut spool, &mut batches).unwrap();
    assert_eq!(batches[0].shares[0].outcome, Outcome::Recorded);
    recorder
        .record(&mut spool, std::slice::from_mut(&mut late))
        .unwrap();
    assert_eq!(late.shares[0].outcome, Outcome::Refused(Refusal::Fault));
}
