//! A stream that the ledger closed: a clone of the spool spoke with the gateway's key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use orebook_ledger::log::Log as _;
use orebook_pow::coinbase_tag;
use orebook_schema::Event;
use orebook_schema::event::RecoveryCode;

use crate::miner::{Miner, code};
use crate::others::cloned_frame;
use crate::pool::{HARD, Pool, Setup, now_ms, shares};

#[test]
fn a_closed_stream_is_left_and_every_answered_share_counts_once() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    let found = miner.mine(&job);
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
    pool.final_shares(1);
    let ledger = pool.stop();
    // Somebody copies the spool, and both go on.
    let clone = cloned_frame(&ledger);
    let pool = Pool::on(ledger, &Setup::default());
    pool.work_at(2, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let old = miner.job();
    let mut sent = BTreeSet::from([(found.nonce, found.extranonce2)]);
    for _ in 0..3 {
        let found = miner.mine(&old);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
        sent.insert((found.nonce, found.extranonce2));
    }
    pool.final_shares(4);
    let mut log = pool.ledger.log.clone();
    let incarnation = log.newest().expect("it is up").expect("it is open");
    log.send(incarnation, now_ms(), &clone)
        .expect("the log takes everything");
    pool.until("the move", |metrics| metrics.spool.moves == 1);
    // Work of before names the closed stream: it is replaced.
    let new = miner.next_job();
    assert!(new.clean);
    let late = miner.mine(&old);
    assert_eq!(code(&miner.submit("name-a", &late)), 21);
    for _ in 0..3 {
        let found = miner.mine(&new);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
        sent.insert((found.nonce, found.extranonce2));
    }
    pool.final_shares(7);
    let events = pool.ledger.events();
    let counted: BTreeSet<_> = shares(&events)
        .iter()
        .map(|share| {
            let extranonce2: [u8; 4] = share.extranonce2.bytes().try_into().expect("four bytes");
            (share.nonce, extranonce2)
        })
        .collect();
    assert_eq!(counted, sent);
    assert_eq!(shares(&events).len(), 7);
    let moved = |event: &&Event| matches!(event, Event::RecoveryNote(note) if note.code == RecoveryCode::StreamMoved);
    assert_eq!(events.iter().filter(moved).count(), 1);
    // The newest job's coinbase names the new stream.
    let newest = pool.ledger.newest_job();
    let (header, job) = newest.expect("there are jobs");
    assert!(
        job.coinbase1
            .ends_with(&coinbase_tag(header.stream, header.epoch))
    );
    assert_eq!(header.epoch, 0);
    drop(pool.stop());
}

/// Copies a folder of files.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a new folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("a file");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("room");
    }
}

/// What a share is told by.
type Proof = (u32, [u8; 4]);

/// Mines shares that are answered `true`.
fn mine(pool: &Pool, count: usize, sent: &mut BTreeMap<Proof, usize>) {
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let mut job = miner.job();
    let mut taken = 0;
    while taken < count {
        let found = miner.mine(&job);
        match code(&miner.submit("name-a", &found)) {
            0 => {
                *sent.entry((found.nonce, found.extranonce2)).or_default() += 1;
                taken += 1;
            }
            // The stream moved meanwhile: the job names the closed one.
            21 => {
                let newest = miner.job();
                job = if newest.id == job.id {
                    miner.next_job()
                } else {
                    newest
                };
            }
            other => panic!("error {other}"),
        }
    }
}

/// Every final share, those that were moved among them, with how often it stands.
fn counted(pool: &Pool) -> BTreeMap<Proof, usize> {
    let mut counted = BTreeMap::new();
    for event in pool.ledger.events() {
        let share = match &event {
            Event::Share(share) => Some(*share),
            Event::Moved(moved) => match moved.inner().expect("it was decoded") {
                Event::Share(share) => Some(share),
                _ => None,
            },
            _ => None,
        };
        if let Some(share) = share {
            let extranonce2 = share.extranonce2.bytes().try_into().expect("four bytes");
            *counted.entry((share.nonce, extranonce2)).or_default() += 1;
        }
    }
    counted
}

#[test]
fn a_restored_snapshot_forks_its_own_stream_and_no_other_and_nothing_is_lost_or_counted_twice() {
    let pool = Pool::start(&Setup::default());
    let mut neighbour = pool.ledger.neighbour();
    pool.work_at(1, HARD);
    let mut sent = BTreeMap::new();
    mine(&pool, 3, &mut sent);
    pool.final_shares(3);
    pool.ledger.neighbour_speaks(&mut neighbour);
    let ledger = pool.stop();
    copy(&ledger.path("spool"), &ledger.path("snapshot"));
    // The machine goes on for a while …
    let pool = Pool::on(ledger, &Setup::default());
    pool.work_at(2, HARD);
    mine(&pool, 3, &mut sent);
    pool.final_shares(6);
    let ledger = pool.stop();
    // … and is set back.
    std::fs::remove_dir_all(ledger.path("spool")).expect("removed");
    std::fs::rename(ledger.path("snapshot"), ledger.path("spool")).expect("restored");
    let pool = Pool::on(ledger, &Setup::default());
    pool.work_at(3, HARD);
    mine(&pool, 3, &mut sent);
    pool.until("the move", |metrics| metrics.spool.moves == 1);
    mine(&pool, 3, &mut sent);
    let all: usize = sent.values().sum();
    pool.until("all of it stands", |_| {
        all <= counted(&pool).values().sum::<usize>()
    });
    assert_eq!(counted(&pool), sent, "each as often as it was answered");
    let closed: Vec<bool> = pool
        .ledger
        .share_streams()
        .iter()
        .map(|(_, closed)| *closed)
        .collect();
    assert_eq!(closed, [true, false], "one stream, and its successor");
    pool.ledger.neighbour_speaks(&mut neighbour);
    assert_eq!(pool.gateway.metrics().spool.moves, 1, "and no second move");
    drop(pool.stop());
}

#[test]
fn a_gateway_with_its_key_and_an_empty_folder_opens_a_new_stream_and_what_stood_stays() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut sent = BTreeMap::new();
    mine(&pool, 3, &mut sent);
    pool.final_shares(3);
    let ledger = pool.stop();
    for lost in ["spool", "gateway"] {
        std::fs::remove_dir_all(ledger.path(lost)).expect("lost");
    }
    let pool = Pool::on(ledger, &Setup::default());
    pool.work_at(2, HARD);
    mine(&pool, 3, &mut sent);
    pool.final_shares(6);
    assert_eq!(counted(&pool), sent, "each as often as it was answered");
    let streams = pool.ledger.share_streams();
    let closed: Vec<bool> = streams.iter().map(|(_, closed)| *closed).collect();
    assert_eq!(closed, [false, false], "nobody closes the old stream");
    assert_eq!(pool.gateway.metrics().spool.moves, 0);
    drop(pool.stop());
}
