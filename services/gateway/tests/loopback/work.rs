//! Jobs and difficulties: what is taken when work changes.

use std::time::Duration;

use orebook_gateway::{AskedDifficulty, DifficultyRule, Limits, VardiffRule};
use orebook_schema::Work;
use serde_json::json;

use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup, UNIT, jobs, template, work};

#[test]
fn older_jobs_of_the_same_parent_stay_valid() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let first = miner.job();
    pool.work(template(1, HARD, 1));
    let second = miner.next_job();
    assert!(!second.clean && first.clean);
    assert_eq!(first.prev, second.prev);
    for job in [&first, &second, &first] {
        let found = miner.mine(job);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
    }
    let shares = pool.final_shares(3);
    assert!(shares.iter().all(|share| !share.stale));
    let jobs = jobs(&pool.ledger.events());
    assert_eq!(jobs.len(), 2);
    assert_eq!(
        shares.iter().map(|share| share.job).collect::<Vec<_>>(),
        [0, 1, 0]
    );
    assert!(jobs[&0].clean && !jobs[&1].clean);
}

#[test]
fn within_the_grace_the_parent_before_gives_stale_shares() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let old = miner.job();
    pool.work_at(2, HARD);
    let new = miner.next_job();
    assert!(new.clean);
    for job in [&old, &new] {
        let found = miner.mine(job);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
    }
    let shares = pool.final_shares(2);
    assert!(shares[0].stale && !shares[1].stale);
    // Of the parent before that nothing is left.
    pool.work_at(3, HARD);
    miner.next_job();
    let found = miner.mine(&old);
    assert_eq!(code(&miner.submit("name-a", &found)), 21);
    let counts = pool.gateway.metrics().sessions.counts.shares;
    assert_eq!(
        (counts.accepted, counts.stale, counts.unknown_job),
        (2, 1, 1)
    );
}

#[test]
fn without_a_grace_the_parent_before_is_gone_at_once() {
    let pool = Pool::start(&Setup {
        stale_grace: Duration::ZERO,
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let old = miner.job();
    let found = miner.mine(&old);
    pool.work_at(2, HARD);
    miner.next_job();
    assert_eq!(code(&miner.submit("name-a", &found)), 21);
}

#[test]
fn a_job_keeps_the_difficulty_it_was_sent_with() {
    let rule = VardiffRule {
        start: work("0.00001"),
        min: work("0.000001"),
        max: work("0.01"),
        target: Duration::from_secs(3_600),
        retarget: Duration::from_secs(3_600),
        asked: AskedDifficulty::Start,
    };
    let pool = Pool::start(&Setup {
        ports: vec![DifficultyRule::Vardiff(rule)],
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let easy = miner.job();
    assert_eq!(easy.difficulty, "0.00001");
    assert_eq!(
        code(&miner.ask("mining.suggest_difficulty", &json!([0.0001]))),
        0
    );
    pool.work(template(1, HARD, 1));
    let hard = miner.next_job();
    assert_eq!(hard.difficulty, "0.0001");
    // A share that only the easy job takes: as the miner sees it, difficulty went up meanwhile.
    let (low, high) = (work("0.00001").target(UNIT), work("0.0001").target(UNIT));
    let between = miner.mine_between(&easy, None, low, high);
    assert_eq!(code(&miner.submit("name-a", &between)), 0);
    let between = miner.mine_between(&hard, None, low, high);
    assert_eq!(code(&miner.submit("name-a", &between)), 23);
    let found = miner.mine(&hard);
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
    let again = miner.mine(&easy);
    assert_eq!(code(&miner.submit("name-a", &again)), 0);
    let shares = pool.final_shares(3);
    let works: Vec<Work> = shares.iter().map(|share| share.work).collect();
    assert_eq!(works, [work("0.00001"), work("0.0001"), work("0.00001")]);
}

#[test]
fn fractional_difficulties_are_said_and_credited_exactly() {
    for text in ["0.0001", "0.0003", "0.000123"] {
        let pool = Pool::start(&Setup {
            ports: vec![DifficultyRule::Fixed(work(text))],
            ..Setup::default()
        });
        pool.work_at(1, HARD);
        let mut miner = Miner::ready(pool.address(0), "name-a");
        assert_eq!(miner.difficulty, text);
        let job = miner.job();
        let found = miner.mine_between(&job, None, work(text).target(UNIT), Default::default());
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
        assert_eq!(pool.final_shares(1)[0].work, work(text), "{text}");
    }
}

#[test]
fn a_fast_miner_gets_a_harder_job_and_keeps_the_one_he_has() {
    let rule = VardiffRule {
        start: work("0.000001"),
        min: work("0.000001"),
        max: work("1000"),
        target: Duration::from_secs(60),
        retarget: Duration::from_secs(60),
        asked: AskedDifficulty::Start,
    };
    let pool = Pool::start(&Setup {
        ports: vec![DifficultyRule::Vardiff(rule)],
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let start = miner.job();
    let found: Vec<_> = (0..40).map(|_| miner.mine(&start)).collect();
    for one in &found {
        assert_eq!(code(&miner.submit("name-a", one)), 0);
    }
    let harder = miner.next_job();
    assert!(work(&start.difficulty) < work(&harder.difficulty));
    assert!(!harder.clean, "the work before stays valid");
    for job in [&start, &harder] {
        let found = miner.mine(job);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
    }
    let shares = pool.final_shares(42);
    let [.., easy, hard] = shares.as_slice() else {
        panic!("42 shares");
    };
    assert_eq!(easy.work, work(&start.difficulty));
    assert_eq!(hard.work, work(&harder.difficulty));
}

#[test]
fn silence_brings_another_job_of_the_same_template() {
    let pool = Pool::start(&Setup {
        limits: Limits {
            renotify: Duration::from_millis(150),
            ..Limits::default()
        },
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let first = miner.job();
    let second = miner.next_job();
    assert_ne!(first.id, second.id);
    assert_eq!(first.prev, second.prev);
    let found = miner.mine(&first);
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
}

#[test]
fn a_job_with_many_shares_is_followed_by_another_and_the_oldest_go() {
    let pool = Pool::start(&Setup {
        limits: Limits {
            seen_per_job: 5,
            seen: 12,
            ..Limits::default()
        },
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let mut job = miner.job();
    let first = job.clone();
    for _ in 0..4 {
        for _ in 0..5 {
            let found = miner.mine(&job);
            assert_eq!(code(&miner.submit("name-a", &found)), 0);
        }
        job = miner.next_job();
        assert!(!job.clean);
    }
    let found = miner.mine(&first);
    assert_eq!(code(&miner.submit("name-a", &found)), 21);
    assert_eq!(pool.final_shares(20).len(), 20);
}

#[test]
fn every_miner_gets_a_new_job_however_many_there_are() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miners: Vec<Miner> = (0..400)
        .map(|n| Miner::ready(pool.address(0), &format!("name-a.{n}")))
        .collect();
    pool.until("400 miners", |metrics| {
        metrics.sessions.counts.miners == 400
    });
    pool.work_at(2, HARD);
    for miner in &mut miners {
        assert!(miner.next_job().clean);
    }
    for miner in miners.iter_mut().step_by(40) {
        let job = miner.job();
        let found = miner.mine(&job);
        let user = "name-a.0";
        assert!(matches!(code(&miner.submit(user, &found)), 0 | 24));
    }
    drop(miners);
    pool.until("nobody", |metrics| metrics.sessions.counts.connections == 0);
}

#[test]
fn without_work_miners_are_told_at_once() {
    let pool = Pool::start(&Setup::default());
    let mut early = Miner::connect(pool.address(0));
    let reply = early.subscribe();
    assert_eq!(code(&reply), 20, "{reply}");
    assert!(early.is_closed());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    let found = miner.mine(&job);
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
    pool.gateway.no_work("all nodes are down");
    assert!(miner.is_closed());
    assert_eq!(miner.messages, ["all nodes are down"]);
    let mut late = Miner::connect(pool.address(0));
    let reply = late.ask("mining.authorize", &json!(["name-a", "x"]));
    assert_eq!(reply["error"][1], json!("all nodes are down"), "{reply}");
    assert!(late.is_closed());
    pool.work_at(2, HARD);
    let mut back = Miner::ready(pool.address(0), "name-a");
    let job = back.job();
    let found = back.mine(&job);
    assert_eq!(code(&back.submit("name-a", &found)), 0);
}

#[test]
fn a_share_of_one_job_is_none_of_another_of_the_same_template() {
    let pool = Pool::start(&Setup::default());
    let template = pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let first = miner.job();
    // The node says exactly the same once more.
    pool.work((*template).clone());
    let second = miner.next_job();
    let mut gained = 0;
    for _ in 0..20 {
        let mut found = miner.mine(&first);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
        found.job.clone_from(&second.id);
        gained += u32::from(code(&miner.submit("name-a", &found)) == 0);
    }
    // By chance one hash in 4,295 is a share.
    assert!(gained < 3, "{gained} of 20 counted twice");
}
