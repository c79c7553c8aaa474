//! Shares that take long to hash: scrypt² at Verium's N, checked away from the loop.

use std::time::Duration;

use orebook_gateway::{DifficultyRule, Limits, difficulty};
use orebook_ledger::log::Log as _;
use orebook_pow::{Claim, PreparedJob};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{U256, WorkUnit, target_of_bits};
use orebook_schema::work::Extranonce;
use orebook_schema::{Event, Hash, Work};
use serde_json::json;

use crate::miner::{Found, Miner, Notified, code};
use crate::others::cloned_frame;
use crate::pool::{DEADLINE, EASY, HARD, Pool, Setup, account, jobs, now_ms, shares, workers};

fn scrypt_work(text: &str) -> Work {
    difficulty(text, WorkUnit::Scrypt).expect("a difficulty")
}

/// No check waits too long for these tests: a machine that does much else checks a share in seconds.
fn patient() -> Limits {
    Limits {
        check_wait: DEADLINE,
        ..Limits::default()
    }
}

/// One thread checks; every hash is a share on the first port, and none is on the second.
fn pool(limits: Limits) -> Pool {
    Pool::start(&setup(limits))
}

fn setup(limits: Limits) -> Setup {
    Setup {
        algorithm: Algorithm::Scrypt2,
        ports: ["0.000001", "1000000"]
            .map(|text| DifficultyRule::Fixed(scrypt_work(text)))
            .to_vec(),
        limits: Limits {
            check_threads: 1,
            ..limits
        },
        stale_grace: Duration::ZERO,
        ..Setup::default()
    }
}

fn ready(pool: &Pool, port: usize, user: &str) -> Miner {
    let mut miner = Miner::ready(pool.address(port), user);
    miner.algorithm = Algorithm::Scrypt2;
    miner
}

/// A claim that nobody hashed.
fn claim(job: &Notified, nonce: u32) -> Found {
    Found {
        job: job.id.clone(),
        extranonce2: [0; 4],
        ntime: job.ntime,
        nonce,
        bits: None,
        hash: Hash::ZERO,
        pow: U256::ZERO,
    }
}

fn send(miner: &mut Miner, user: &str, found: &Found) -> u64 {
    miner.send("mining.submit", &Miner::params(user, found))
}

#[test]
fn replies_stay_in_order_around_shares_that_are_checked_elsewhere() {
    let pool = pool(patient());
    pool.work_at(1, HARD);
    let mut miner = ready(&pool, 0, "name-a");
    let job = miner.job();
    let nowhere = Found {
        job: "ffffffff".to_owned(),
        ..claim(&job, 5)
    };
    let mut expected = Vec::new();
    for (found, code) in [
        (claim(&job, 1), 0),
        (nowhere.clone(), 21),
        (claim(&job, 1), 22),
        (claim(&job, 2), 0),
        (nowhere, 21),
    ] {
        expected.push((json!(send(&mut miner, "name-a", &found)), code));
        let ping = miner.send("mining.suggest_difficulty", &json!([1]));
        expected.push((json!(ping), 0));
    }
    for (id, expected) in expected {
        let reply = miner.reply();
        assert_eq!((&reply["id"], code(&reply)), (&id, expected), "{reply}");
    }
    // What is known is refused without a check.
    let checked = pool.gateway.metrics().checks.checked;
    assert_eq!(code(&miner.submit("name-a", &claim(&job, 2))), 22);
    assert_eq!(pool.gateway.metrics().checks.checked, checked);

    let nonces = pool.final_shares(2);
    let nonces: Vec<u32> = nonces.iter().map(|share| share.nonce).collect();
    assert_eq!(nonces, [1, 2]);
    let counts = pool.gateway.metrics().sessions.counts.shares;
    assert_eq!(
        (counts.accepted, counts.duplicate, counts.unknown_job),
        (2, 2, 2)
    );
    pool.stop();
}

#[test]
fn a_scrypt2_share_of_the_ledger_hashes_to_what_its_miner_found() {
    let pool = pool(patient());
    pool.work_at(1, HARD);
    let mut miner = ready(&pool, 0, "name-a");
    let job = miner.job();
    let found = miner.mine(&job);
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
    let share = pool.final_shares(1)[0];
    let events = pool.ledger.events();
    let job = jobs(&events)[&share.job].clone();
    let prepared = PreparedJob::new(&job, Algorithm::Scrypt2).expect("an algorithm that is built");
    let proof = prepared.prove(&Claim {
        extranonce1: Extranonce::new(&miner.extranonce1).expect("four bytes"),
        extranonce2: share.extranonce2,
        ntime: share.ntime,
        nonce: share.nonce,
        version: share.version,
    });
    assert_eq!(
        (proof.value(), proof.block_hash),
        (found.pow, found.hash),
        "the miner hashed the same"
    );
    pool.stop();
}

#[test]
fn a_claim_that_misses_is_refused_after_its_check() {
    let pool = pool(patient());
    pool.work_at(1, HARD);
    let mut miner = ready(&pool, 1, "name-a");
    let job = miner.job();
    assert_eq!(code(&miner.submit("name-a", &claim(&job, 1))), 23);
    let metrics = pool.gateway.metrics();
    assert_eq!(
        (metrics.checks.checked, metrics.sessions.counts.shares.low),
        (1, 1)
    );
    pool.stop();
}

#[test]
fn a_flood_is_told_busy_in_order_and_a_quiet_miner_is_served() {
    let pool = pool(Limits {
        checks_waiting_per_connection: 2,
        ..patient()
    });
    pool.work_at(1, HARD);
    let mut flood = ready(&pool, 0, "name-a");
    let mut quiet = ready(&pool, 0, "name-b");
    let job = flood.job();
    let ids: Vec<u64> = (0..40)
        .map(|nonce| send(&mut flood, "name-a", &claim(&job, nonce)))
        .collect();
    pool.until("the flood is refused", |metrics| 0 < metrics.checks.busy);
    let quiet_job = quiet.job();
    assert_eq!(code(&quiet.submit("name-b", &claim(&quiet_job, 1))), 0);
    let mut accepted = 0;
    for id in ids {
        let reply = flood.reply();
        assert_eq!(reply["id"], json!(id), "in order");
        match code(&reply) {
            0 => accepted += 1,
            20 => assert!(
                reply["error"][1]
                    .as_str()
                    .expect("a text")
                    .starts_with("busy")
            ),
            other => panic!("{other}: {reply}"),
        }
    }
    assert!((1..40).contains(&accepted), "{accepted} of 40");
    assert_eq!(pool.final_shares(accepted + 1).len(), accepted + 1);
    pool.stop();
}

#[test]
fn a_share_handed_in_before_a_new_parent_counts_though_its_check_ends_after_it() {
    let pool = pool(patient());
    pool.work_at(1, HARD);
    let mut miner = ready(&pool, 0, "name-a");
    let job = miner.job();
    let lines = pool.gateway.metrics().sessions.counts.lines;
    for nonce in 0..4 {
        send(&mut miner, "name-a", &claim(&job, nonce));
    }
    pool.until("they are read", |metrics| {
        lines + 4 <= metrics.sessions.counts.lines
    });
    pool.work_at(2, HARD);
    pool.work_at(3, HARD);
    let checked = pool.gateway.metrics().checks.checked;
    assert!(checked < 4, "the parent came before the last check ended");
    for _ in 0..4 {
        let reply = miner.reply();
        assert_eq!(code(&reply), 0, "{reply}");
    }
    // The job is gone with the last of them.
    assert_eq!(code(&miner.submit("name-a", &claim(&job, 9))), 21);
    assert_eq!(pool.final_shares(4).len(), 4);
    pool.stop();
}

#[test]
fn a_block_goes_out_though_its_miner_left_before_its_check() {
    let pool = pool(patient());
    pool.work_at(1, EASY);
    let mut miner = ready(&pool, 0, "name-a");
    let job = miner.job();
    let target = target_of_bits(EASY).expect("a target");
    let found = miner.mine_between(&job, None, target, U256::ZERO);
    send(&mut miner, "name-a", &found);
    drop(miner);
    pool.until("a block", |metrics| metrics.sessions.counts.blocks == 1);
    let blocks = pool.blocks.lock().expect("no panic").clone();
    assert_eq!(blocks[0].hash, found.hash);
    pool.until("its miner left", |metrics| {
        metrics.sessions.counts.connections == 0
    });
    pool.stop();
}

/// Sends claims, and leaves as soon as they are read.
fn send_and_leave(pool: &Pool, mut miner: Miner, claims: &[(&str, Found)]) {
    let lines = pool.gateway.metrics().sessions.counts.lines;
    for (user, found) in claims {
        send(&mut miner, user, found);
    }
    let count = u64::try_from(claims.len()).expect("few");
    pool.until("they are read", |metrics| {
        lines + count <= metrics.sessions.counts.lines
    });
    miner.reset();
}

#[test]
fn shares_and_a_block_are_recorded_though_their_miner_left_before_their_checks() {
    let pool = pool(patient());
    pool.work_at(1, EASY);
    let mut miner = ready(&pool, 0, "name-a");
    for user in ["name-b", "name-c"] {
        assert_eq!(code(&miner.authorize(user)), 0);
    }
    let job = miner.job();
    let target = target_of_bits(EASY).expect("a target");
    let found = miner.mine_between(&job, None, target, U256::ZERO);
    let claims = [
        ("name-a", claim(&job, u32::MAX)),
        ("name-c", claim(&job, u32::MAX - 1)),
        ("name-c", found.clone()),
        ("name-c", found.clone()),
    ];
    send_and_leave(&pool, miner, &claims);
    assert_eq!(pool.final_shares(3).len(), 3);
    let metrics = pool.until("the last check", |metrics| metrics.checks.waiting == 0);
    assert_eq!(metrics.sessions.counts.connections, 0);
    let blocks = pool.blocks.lock().expect("no panic").clone();
    assert!(blocks.iter().any(|block| block.hash == found.hash));
    // Everything that was handed in is recorded once, for whom it is.
    let events = pool.stop().events();
    let shares = shares(&events);
    assert_eq!(shares.len(), 3);
    let names: Vec<_> = shares
        .iter()
        .map(|share| {
            let workers = workers(&events);
            let mut workers = workers.iter();
            let its = workers.find(|worker| worker.number == share.worker);
            its.expect("announced").account.clone()
        })
        .collect();
    assert_eq!(names, ["name-a", "name-c", "name-c"].map(account));
    let in_ledger = events.iter().filter_map(|event| match event {
        Event::BlockFound(block) => Some(block.hash),
        _ => None,
    });
    let given: Vec<Hash> = blocks.iter().map(|block| block.hash).collect();
    assert_eq!(in_ledger.collect::<Vec<_>>(), given);
    assert_eq!(
        shares.iter().filter(|share| share.block).count(),
        given.len()
    );
}

#[test]
fn a_block_that_is_checked_while_its_stream_moves_is_a_block_and_a_share_is_told_21() {
    let pool = pool(patient());
    pool.work_at(1, EASY);
    let mut miner = ready(&pool, 0, "name-a");
    let job = miner.job();
    assert_eq!(code(&miner.submit("name-a", &claim(&job, 1))), 0);
    pool.final_shares(1);
    // Somebody copies the spool, and both go on.
    let ledger = pool.stop();
    let clone = cloned_frame(&ledger);
    let pool = Pool::on(ledger, &setup(patient()));
    pool.work_at(2, EASY);
    let mut miner = ready(&pool, 0, "name-a");
    let job = miner.job();
    assert_eq!(code(&miner.submit("name-a", &claim(&job, u32::MAX))), 0);
    pool.final_shares(2);
    let target = target_of_bits(EASY).expect("a target");
    let block = miner.mine_between(&job, None, target, U256::ZERO);
    let share = miner.mine_between(&job, None, U256::MAX, target);
    let before = pool.gateway.metrics();
    let waits: Vec<Found> = (1..=4).map(|nonce| claim(&job, u32::MAX - nonce)).collect();
    for found in waits.iter().chain([&share, &block]) {
        send(&mut miner, "name-a", found);
    }
    pool.until("they are read", |metrics| {
        before.sessions.counts.lines + 6 <= metrics.sessions.counts.lines
    });
    let mut log = pool.ledger.log.clone();
    let incarnation = log.newest().expect("it is up").expect("it is open");
    log.send(incarnation, now_ms(), &clone)
        .expect("the log takes everything");
    let metrics = pool.until("the move", |metrics| metrics.spool.moves == 1);
    assert!(
        metrics.checks.checked < before.checks.checked + 5,
        "the move came before the last two were checked"
    );
    let codes: Vec<u64> = (0..6).map(|_| code(&miner.reply())).collect();
    assert_eq!(codes[4..], [21, 0], "{codes:?}");
    let blocks = pool.blocks.lock().expect("no panic").clone();
    assert!(blocks.iter().any(|given| given.hash == block.hash));
    // The old work is over.
    assert_eq!(code(&miner.submit("name-a", &claim(&job, 77))), 21);
    drop(pool.stop());
}

#[test]
fn a_gateway_that_ends_waits_for_the_checks_of_who_left() {
    let pool = pool(patient());
    pool.work_at(1, HARD);
    let mut miner = ready(&pool, 0, "name-a");
    let job = miner.job();
    let claims = [1, 2, 3].map(|nonce| ("name-a", claim(&job, nonce)));
    send_and_leave(&pool, miner, &claims);
    let ledger = pool.stop();
    assert_eq!(ledger.final_shares(3).len(), 3);
}
