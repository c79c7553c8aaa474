//! Shares of ethash that two gateways credited: archivers say of each copy, once, that it is void.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

mod pool;

use std::path::Path;
use std::sync::{Arc, Mutex};

use orebook_archiver::{Mirror, SharedLog, Source, genesis_into, lock, now_ms, start_mirror};
use orebook_ledger::segment::{Record, first_frame};
use orebook_schema::genesis::Algorithm;
use orebook_schema::names::{Pot, RegisteredName};
use orebook_schema::void::Void;
use orebook_schema::work::{EthashJob, EthashShare, Extranonce, Worker};
use orebook_schema::{Account, At, Event, Hash, Work, WorkerName};
use pool::{LEDGER, Producer, archiver, disk_of, fatal, genesis_of, open_reader, producer, write};

fn worker() -> Event {
    Event::Worker(Box::new(Worker {
        number: 0,
        pot: Pot(0),
        extranonce1: Extranonce::default(),
        extranonce2_size: 8,
        version_mask: 0,
        account: Account::Name(RegisteredName::parse("anna").expect("a name")),
        name: WorkerName::parse("rig").expect("a name"),
    }))
}

fn job(number: u32, seal: u8) -> Event {
    Event::EthashJob(Box::new(EthashJob {
        number,
        policy: At::default(),
        height: 7,
        network_work: 1_000,
        reward: 50,
        fees: 0,
        seal: Hash([seal; 32]),
        seed: Hash::ZERO,
        time: 1,
        clean: true,
    }))
}

fn share(job: u32, nonce: u64) -> Event {
    Event::EthashShare(EthashShare {
        worker: 0,
        job,
        work: Work::new(5).expect("work"),
        block: false,
        stale: false,
        nonce,
    })
}

/// Says events in one frame, and waits until it is final.
fn say(producer: &mut Producer, events: &[Event], what: &str) {
    let events: Vec<(u64, Event)> = events
        .iter()
        .map(|event| (now_ms(), event.clone()))
        .collect();
    let policy = Arc::new(genesis_of(Algorithm::Etchash).policy);
    let spool = &mut producer.spool;
    spool.learn_policy(At::default(), policy).expect("learnt");
    producer.spool.append(&events).expect("there is room");
    producer.spool.cut().expect("cut");
    producer.wait_until(what, |producer| producer.publisher.is_idle());
}

/// Final voids, in order, and the places of final shares.
fn final_words(mirror: &Mirror) -> (Vec<Void>, Vec<At>) {
    let reader = lock(mirror);
    let (mut voids, mut shares) = (Vec::new(), Vec::new());
    for record in reader.store().records(0) {
        let Record::Frame(stored) = record.expect("a record") else {
            continue;
        };
        if reader.final_size() <= stored.position {
            break;
        }
        let events = stored.frame.decode().expect("events");
        for (index, event) in (0..).zip(events) {
            let at = At {
                position: stored.position,
                index,
            };
            match event {
                Event::Void(void) => voids.push(void),
                Event::EthashShare(_) => shares.push(at),
                _ => {}
            }
        }
    }
    (voids, shares)
}

fn voids_of(mirror: &Mirror, share: At) -> usize {
    let (voids, _) = final_words(mirror);
    voids.iter().filter(|void| void.share == share).count()
}

fn wait_for_void(producer: &mut Producer, share: At, first: At) {
    producer.wait_until("the copy is void", |producer| {
        let (voids, _) = final_words(&producer.mirror);
        voids
            .iter()
            .any(|void| void.share == share && void.first == first)
    });
}

fn copy_genesis(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("segments")).expect("a folder");
    for file in std::fs::read_dir(from.join("segments")).expect("a folder") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), to.join("segments").join(file.file_name())).expect("copied");
    }
}

#[test]
fn a_share_credited_by_two_gateways_is_void_once_also_after_restarts() {
    let root = tempfile::tempdir().expect("a folder");
    let dirs: Vec<_> = ["a", "b", "m", "p", "q"]
        .map(|name| root.path().join(name))
        .into();
    write(&dirs[0], &genesis_of(Algorithm::Etchash));
    copy_genesis(&dirs[0], &dirs[1]);
    let log = SharedLog::new();
    let (reader_a, reader_b, reader_m) = (log.reader(), log.reader(), log.reader());
    // One that takes nothing: the log keeps all while an archiver is away.
    let keeps = log.reader();
    let source = Source::Folder {
        dir: dirs[0].clone(),
        ledger: LEDGER,
    };
    let (mut reader, _) = open_reader(&dirs[2]);
    let genesis = first_frame(&disk_of(&dirs[0]), "a/segments").expect("it is there");
    genesis_into(&mut reader, genesis).expect("the genesis");
    let mirror: Mirror = Arc::new(Mutex::new(reader));
    let mirror_thread = start_mirror(mirror.clone(), log.clone(), Some(reader_m), source, fatal())
        .expect("a thread")
        .0;
    let first = archiver(&dirs[0], 2, &log, reader_a);
    let second = archiver(&dirs[1], 3, &log, reader_b);
    let mut one = producer(&dirs[3], &log, &mirror);
    let mut other = producer(&dirs[4], &log, &mirror);
    one.wait_until("the genesis becomes final", |producer| {
        1 <= lock(&producer.mirror).final_size()
    });
    say(
        &mut one,
        &[worker(), job(0, 1), share(0, 7)],
        "the first share",
    );
    // The same nonce of another seal hash is another share.
    let copies = [
        worker(),
        job(0, 2),
        share(0, 7),
        job(1, 1),
        share(1, 7),
        share(1, 8),
    ];
    say(&mut other, &copies, "the other gateway");
    let (_, shares) = final_words(&mirror);
    let (first_share, copy) = (shares[0], shares[2]);
    wait_for_void(&mut other, copy, first_share);
    first.stop().expect("no panic");
    second.stop().expect("no panic");
    other.make_final(0, "nothing waits");
    let said = voids_of(&mirror, copy);
    assert!(
        (1..=2).contains(&said),
        "two archivers said it {said} times"
    );

    // One archiver, started again, knows from the ledger what is void; the gateway's next epoch says the nonce again.
    let again = archiver(&dirs[0], 2, &log, log.reader());
    drop(one);
    let mut one = producer(&dirs[3], &log, &mirror);
    say(
        &mut one,
        &[worker(), job(0, 1), share(0, 7)],
        "the next epoch",
    );
    let (_, shares) = final_words(&mirror);
    let third = shares[4];
    wait_for_void(&mut one, third, first_share);
    one.make_final(30, "time to say it again");
    again.stop().expect("no panic");
    mirror_thread.stop().expect("no panic");
    drop(keeps);
    let (voids, shares) = final_words(&mirror);
    assert_eq!(shares.len(), 5);
    assert_eq!(
        voids_of(&mirror, copy),
        said,
        "said again after the restart"
    );
    assert_eq!(voids_of(&mirror, third), 1);
    assert_eq!(voids.len(), said + 1, "{voids:?}");
}
