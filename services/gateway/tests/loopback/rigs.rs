//! `orebook mine`'s rigs of ethash, with their sockets, threads and caches, in each dialect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use orebook_miner::{Counts, EthCaches, EthDialect, EthLogin, EthRig, Mining};
use orebook_pow::ethash::EpochRule;
use orebook_schema::Event;

use crate::ethash::{HARD, given, start};
use crate::pool::{DEADLINE, Pool, workers};

const DIALECTS: [EthDialect; 5] = [
    EthDialect::EthProxy,
    EthDialect::NiceHash,
    EthDialect::Stratum2,
    EthDialect::Legacy,
    EthDialect::GetWork,
];
/// Shares that each rig brings of a job.
const SHARES: u64 = 4;

fn rig(pool: &Pool, dialect: EthDialect, number: u64, caches: &EthCaches) -> EthRig {
    EthRig {
        url: pool.address(0).to_string(),
        login: EthLogin {
            address: "name-a".to_owned(),
            rig: format!("rig-{number}"),
            password: "x".to_owned(),
        },
        dialect,
        rule: EpochRule::Ethash,
        threads: 2,
        // Every fourth hash is a share. Over getwork each call waits for the one before it, those for work too: with more of them
        // than a busy machine answers, a rig would never hear of new work.
        hashes_per_second: Some(16),
        first_nonce: number << 40,
        caches: caches.clone(),
    }
}

fn until(what: &str, counts: &[Arc<Counts>], done: impl Fn(&Counts) -> bool) {
    let started = Instant::now();
    while !counts.iter().all(|counts| done(counts)) {
        assert!(started.elapsed() < DEADLINE, "{what}: {counts:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::SeqCst)
}

/// Shares of each rig in the final ledger, by job; rigs without one too.
fn by_rig(pool: &Pool) -> Vec<[u64; 2]> {
    let events = pool.ledger.events();
    let known = workers(&events).len().max(DIALECTS.len());
    let mut counts = vec![[0; 2]; known];
    for event in &events {
        if let Event::EthashShare(share) = event {
            let job = usize::try_from(share.job).expect("few");
            let worker = usize::try_from(share.worker).expect("few");
            counts[worker][job] += 1;
        }
    }
    counts
}

#[test]
fn a_rig_of_each_dialect_mines_and_follows_new_work() {
    let pool = start();
    let first = pool.give(given("first", "parent", HARD));
    let caches = EthCaches::default();
    let rigs = (0..).zip(DIALECTS).map(|(number, dialect)| {
        let rig = rig(&pool, dialect, number, &caches);
        Mining::start_eth(&rig, Arc::default()).unwrap_or_else(|why| panic!("{dialect:?}: {why}"))
    });
    let rigs: Vec<Mining> = rigs.collect();
    let counts: Vec<_> = rigs.iter().map(|rig| rig.counts.clone()).collect();
    until("the first job", &counts, |counts| {
        SHARES <= read(&counts.accepted)
    });
    let second = pool.give(given("second", "parent", HARD));
    // A node's caller hears of new work when it asks again, and what it brings of the old until then counts.
    let started = Instant::now();
    while !by_rig(&pool).iter().all(|[_, second]| SHARES <= *second) {
        let counts = by_rig(&pool);
        assert!(started.elapsed() < DEADLINE, "the second job: {counts:?}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    for rig in rigs {
        assert_eq!(rig.stop(), None, "the pool kept them all");
    }
    let accepted: u64 = counts.iter().map(|count| read(&count.accepted)).sum();
    let refused: u64 = counts.iter().map(|count| read(&count.refused)).sum();
    let metrics = pool.gateway.metrics();
    assert_eq!(
        refused, metrics.checks.busy,
        "nothing twice, low or late; a busy machine refuses what it has no time for"
    );
    pool.final_nonces(usize::try_from(accepted).expect("few"));

    // By the ledger: each rig had shares of both jobs, and nobody's nonce is there twice.
    let events = pool.ledger.events();
    let mut seals = Vec::new();
    let mut nonces = Vec::new();
    for event in &events {
        match event {
            Event::EthashJob(job) => seals.push(job.seal),
            Event::EthashShare(share) => {
                nonces.push((share.job, share.nonce));
            }
            _ => {}
        }
    }
    assert_eq!(seals, [first.seal, second.seal]);
    let by_rig = by_rig(&pool);
    assert!(
        by_rig.iter().flatten().all(|count| 0 < *count),
        "{by_rig:?}"
    );
    let count = nonces.len();
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), count, "nothing is there twice");
}

#[test]
fn a_rig_says_why_it_is_not_let_in() {
    let pool = start();
    pool.give(given("seal", "parent", HARD));
    for dialect in DIALECTS {
        let mut rig = rig(&pool, dialect, 0, &EthCaches::default());
        rig.login.address = "nobody".to_owned();
        let refused = Mining::start_eth(&rig, Arc::default());
        let why = refused.map(|_| ()).expect_err("nobody is let in");
        assert!(
            why.contains("a login begins with name-"),
            "{dialect:?}: {why}"
        );
    }
}
