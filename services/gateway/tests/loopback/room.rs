//! A spool without room, and what is known with everything else down.

use orebook_chain::Template;
use orebook_gateway::{DifficultyRule, Elsewhere};
use orebook_ledger::spool::FILE_BYTES_MIN;
use orebook_schema::Role;

use crate::keys::is_refused_at_the_door;
use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup, shares, template_fields, work};

#[test]
fn a_full_spool_refuses_with_the_reason_and_recovers_by_itself() {
    let pool = Pool::start(&Setup {
        spool_bytes: (FILE_BYTES_MIN, 2 * FILE_BYTES_MIN),
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    pool.ledger.log.set_down(true);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    let mut accepted = 0;
    let reply = loop {
        let found = miner.mine(&job);
        let reply = miner.submit("name-a", &found);
        if code(&reply) != 0 {
            break reply;
        }
        accepted += 1;
        assert!(accepted < 20_000, "512 KiB take no 20,000 shares");
    };
    assert!(100 < accepted);
    assert_eq!(code(&reply), 20);
    let why = "cannot record shares now: the spool is full";
    assert_eq!(reply["error"][1], why);
    assert!(miner.is_closed());
    assert_eq!(miner.messages, [why]);
    let mut late = Miner::connect(pool.address(0));
    assert_eq!(late.subscribe()["error"][1], why);
    assert!(late.is_closed());
    assert!(pool.gateway.metrics().spool.is_full);
    // The ledger takes shares again: what was answered gets there, and miners are served.
    pool.ledger.log.set_down(false);
    pool.until("room", |metrics| !metrics.spool.is_full);
    let jobs = pool.gateway.metrics().sessions.counts.jobs;
    pool.until("a new job", |metrics| jobs <= metrics.sessions.counts.jobs);
    let mut back = Miner::ready(pool.address(0), "name-a");
    let job = back.job();
    let found = back.mine(&job);
    assert_eq!(code(&back.submit("name-a", &found)), 0);
    assert_eq!(pool.final_shares(accepted + 1).len(), accepted + 1);
    drop(pool.stop());
}

#[test]
fn a_spool_that_fills_alarms_then_turns_newcomers_away_and_only_then_refuses_shares() {
    let elsewhere = "gateway-2.pool.example:3334";
    let pool = Pool::start(&Setup {
        // Some forty hashes a share: thousands are wanted.
        ports: vec![DifficultyRule::Fixed(work("0.00000001"))],
        spool_bytes: (FILE_BYTES_MIN, 4 * FILE_BYTES_MIN),
        elsewhere: Elsewhere::parse(elsewhere).into_iter().collect(),
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    pool.ledger.log.set_down(true);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    // By what the gateway itself shows: how many shares it took at each stage.
    let (mut alarmed, mut turned_away, mut accepted, mut used) = (None, None, 0, 0);
    let refused = loop {
        // Near the end one at a time: what is sent behind a refusal is not heard any more.
        let batch = if turned_away.is_some() { 1 } else { 50 };
        for _ in 0..batch {
            let found = miner.mine(&job);
            miner.send("mining.submit", &Miner::params("name-a", &found));
        }
        let replies: Vec<_> = (0..batch).map(|_| miner.reply()).collect();
        let refused = replies.iter().find(|reply| code(reply) != 0).cloned();
        accepted += replies.iter().filter(|reply| code(reply) == 0).count();
        if let Some(refused) = refused {
            break refused;
        }
        if alarmed.is_none() && pool.gateway.metrics().spool.is_nearly_full {
            alarmed = Some(accepted);
        }
        if alarmed.is_some() && turned_away.is_none() {
            // Its figures, and what follows from them, are of this batch too.
            pool.until("figures", |metrics| used < metrics.spool.used_bytes);
            used = pool.gateway.metrics().spool.used_bytes;
            let mut late = Miner::connect(pool.address(0));
            let reply = late.subscribe();
            if reply["error"].is_array() {
                assert_eq!(
                    reply["error"][1],
                    "no new sessions now: the spool is nearly full"
                );
                assert!(late.is_closed());
                assert_eq!(late.reconnects, [elsewhere], "it is sent elsewhere");
                turned_away = Some(accepted);
            }
        }
        assert!(accepted < 40_000, "1 MiB takes no 40,000 shares");
    };
    assert_eq!(
        refused["error"][1],
        "cannot record shares now: the spool is full"
    );
    let (alarmed, turned_away) = (alarmed.expect("alarmed"), turned_away.expect("turned away"));
    println!("alarm at {alarmed}, newcomers at {turned_away}, shares until {accepted}");
    assert!(alarmed < turned_away && turned_away < accepted);
    assert!(miner.is_closed());
    assert_eq!(miner.reconnects, [elsewhere]);
    // Everything that was answered `true` gets there, and the alarm ends.
    pool.ledger.log.set_down(false);
    assert_eq!(pool.final_shares(accepted).len(), accepted);
    pool.until("room", |metrics| {
        !metrics.spool.is_full && !metrics.spool.is_nearly_full
    });
    drop(pool.stop());
}

#[test]
fn a_gateway_starts_with_the_ledger_down() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    let found = miner.mine(&job);
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
    pool.final_shares(1);
    let ledger = pool.stop();
    ledger.log.set_down(true);
    let pool = Pool::on(ledger, &Setup::default());
    pool.work_at(2, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    let found = miner.mine(&job);
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
    assert_eq!(shares(&pool.ledger.events()).len(), 1);
    pool.ledger.log.set_down(false);
    assert_eq!(pool.final_shares(2).len(), 2);
}

#[test]
fn a_stopped_gateway_has_answered_and_framed_everything() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miners: Vec<_> = (0..10)
        .map(|_| Miner::ready(pool.address(0), "name-a"))
        .collect();
    for miner in &mut miners {
        let job = miner.job();
        for _ in 0..5 {
            let found = miner.mine(&job);
            miner.send("mining.submit", &Miner::params("name-a", &found));
        }
    }
    pool.until("all shares", |metrics| metrics.spool.shares == 50);
    let ledger = pool.stop();
    for miner in &mut miners {
        (0..5).for_each(|_| assert_eq!(code(&miner.reply()), 0));
        assert!(miner.is_closed());
        assert_eq!(miner.messages, ["the gateway stops"]);
    }
    assert_eq!(ledger.final_shares(50).len(), 50);
}

#[test]
fn a_gateway_whose_key_was_never_in_force_lets_nobody_in_and_says_why() {
    // Keys that no genesis names, and one that may say other things.
    for key in [Role::Settler, Role::Archiver] {
        let pool = Pool::start(&Setup {
            key,
            ..Setup::default()
        });
        is_refused_at_the_door(&pool);
        assert!(pool.gateway.metrics().spool.is_barred);
        let ledger = pool.stop();
        assert_eq!(shares(&ledger.events()).len(), 0);
    }
}

#[test]
fn with_a_clock_far_from_the_node_s_frames_stay_in_the_spool() {
    let pool = Pool::start(&Setup::default());
    let mut early = template_fields(1, HARD);
    let time = early.time;
    early.time -= 3 * 3_600;
    early.mintime = early.time - 600;
    pool.work(Template::new(early).expect("a template"));
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    assert!(job.ntime < time);
    let found = miner.mine(&job);
    assert_eq!(
        code(&miner.submit("name-a", &found)),
        0,
        "it is recorded all the same"
    );
    let metrics = pool.until("the alarm", |metrics| {
        metrics.spool.is_clock_doubted && metrics.spool.pending_events == 0
    });
    assert_eq!(metrics.spool.frames_sent, 0);
    pool.work_at(2, HARD);
    assert_eq!(pool.final_shares(1).len(), 1);
    assert!(!pool.gateway.metrics().spool.is_clock_doubted);
}
