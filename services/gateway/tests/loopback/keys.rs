//! A gateway whose key is changed: the old one's shares stay in the spool, the new one's gateway brings them to the ledger.

use orebook_schema::Event;
use std::sync::Arc;
use std::time::Instant;

use orebook_schema::Role;
use orebook_schema::event::{KeyAction, RecoveryCode};

use crate::miner::{Miner, code};
use crate::pool::{DEADLINE, HARD, Ledger, Pool, Setup, template};

/// What miners are told.
const NOT_IN_FORCE: &str = "cannot record shares now: the ledger does not take this gateway's key";
/// Whose keys stand for the old and the new one.
const OLD: Role = Role::Gateway;
const NEW: Role = Role::Settler;

fn setup(key: Role) -> Setup {
    Setup {
        key,
        ..Setup::default()
    }
}

/// So many shares, each answered `true`.
fn mine(pool: &Pool, height: u64, count: usize) {
    pool.work_at(height, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    for _ in 0..count {
        let found = miner.mine(&job);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
    }
}

/// A miner who comes now is told why nothing is taken, and sent away.
pub(crate) fn is_refused_at_the_door(pool: &Pool) {
    pool.gateway.template(Arc::new(template(3, HARD, 0)));
    let start = Instant::now();
    loop {
        let mut late = Miner::connect(pool.address(0));
        let why = late.subscribe()["error"][1].clone();
        assert!(late.is_closed());
        if why == NOT_IN_FORCE {
            return;
        }
        // The gateway has not looked at the template yet.
        assert_eq!(why, "no node has given work yet");
        assert!(start.elapsed() < DEADLINE, "{why}");
    }
}

/// With three shares in the ledger, two in the spool, and a key that was retired while the gateway ran.
fn retired() -> Ledger {
    let pool = Pool::start(&setup(OLD));
    mine(&pool, 1, 3);
    pool.final_shares(3);
    pool.ledger.log.set_down(true);
    pool.work_at(2, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    for _ in 0..2 {
        let found = miner.mine(&job);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
    }
    pool.ledger
        .change_keys(&[(OLD, KeyAction::Revoked), (NEW, KeyAction::InForce)]);
    pool.ledger.log.set_down(false);
    pool.until("the key is retired", |metrics| metrics.spool.is_barred);
    assert!(miner.is_closed());
    assert_eq!(miner.messages, [NOT_IN_FORCE]);
    is_refused_at_the_door(&pool);
    // The process goes on, and ends well when it is asked to.
    pool.stop()
}

#[test]
fn a_retired_key_s_gateway_says_why_it_takes_nothing_and_keeps_what_it_answered() {
    let ledger = retired();
    assert_eq!(ledger.counted_shares(), 3);
    // Started again, it knows at once.
    let pool = Pool::on(ledger, &setup(OLD));
    assert!(pool.gateway.metrics().spool.is_barred);
    is_refused_at_the_door(&pool);
    assert_eq!(pool.gateway.metrics().spool.frames_sent, 0);
    let ledger = pool.stop();
    assert_eq!(ledger.counted_shares(), 3);
}

#[test]
fn started_with_the_new_key_a_gateway_brings_what_the_old_one_answered() {
    let pool = Pool::on(retired(), &setup(NEW));
    pool.ledger.until_counted(5);
    pool.until("the move", |metrics| metrics.spool.moves == 1);
    mine(&pool, 3, 2);
    pool.ledger.until_counted(7);
    let ledger = pool.stop();
    let moved = |event: &&Event| matches!(event, Event::RecoveryNote(note) if note.code == RecoveryCode::StreamMoved);
    assert_eq!(ledger.events().iter().filter(moved).count(), 1);
    // Another start moves nothing any more.
    let pool = Pool::on(ledger, &setup(NEW));
    mine(&pool, 4, 1);
    pool.ledger.until_counted(8);
    assert_eq!(pool.gateway.metrics().spool.moves, 0);
    assert_eq!(pool.stop().counted_shares(), 8);
}

#[test]
fn a_stream_whose_key_is_still_in_force_is_not_taken_over() {
    let pool = Pool::start(&setup(OLD));
    mine(&pool, 1, 2);
    pool.final_shares(2);
    let ledger = pool.stop();
    ledger.change_keys(&[(NEW, KeyAction::InForce)]);
    let pool = Pool::on(ledger, &setup(NEW));
    // What is moved out of an open stream would not count.
    pool.ledger.until_in_force(NEW);
    is_refused_at_the_door(&pool);
    assert!(pool.gateway.metrics().spool.is_barred);
    pool.ledger.change_keys(&[(OLD, KeyAction::Revoked)]);
    pool.until("the move", |metrics| {
        metrics.spool.moves == 1 && !metrics.spool.is_barred
    });
    mine(&pool, 4, 2);
    pool.ledger.until_counted(4);
    assert_eq!(pool.stop().counted_shares(), 4);
}
