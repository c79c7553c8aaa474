//! Silent miners: who is slow stays, who ended goes, and the system asks after those who are gone.

use std::time::Duration;

use orebook_gateway::{AskedDifficulty, DifficultyRule, Limits, VardiffRule};
use orebook_schema::Work;
use serde_json::json;

use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup, work};

fn limits() -> Limits {
    Limits {
        idle: Duration::from_millis(400),
        ..Limits::default()
    }
}

#[test]
fn a_slow_miner_on_a_high_difficulty_stays_and_one_who_stopped_is_cut() {
    let hard = work("1000000");
    let pool = Pool::start(&Setup {
        ports: vec![
            DifficultyRule::Fixed(hard),
            DifficultyRule::Fixed(work("0.000001")),
        ],
        limits: limits(),
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    // It says nothing more, from before the other one began.
    let mut slow = Miner::ready(pool.address(0), "name-slow");
    let mut fast = Miner::ready(pool.address(1), "name-fast");
    let job = fast.job();
    for _ in 0..8 {
        let found = fast.mine(&job);
        assert_eq!(code(&fast.submit("name-fast", &found)), 0);
    }
    assert!(fast.is_closed());
    pool.until("it is counted", |metrics| {
        metrics.sessions.counts.closed.idle == 1
    });
    assert_eq!(slow.ask("mining.ping", &json!([]))["result"], json!("pong"));
    assert_eq!(pool.gateway.metrics().sessions.counts.connections, 1);
}

#[test]
fn who_never_had_a_share_is_judged_by_the_slowest_rig_that_is_expected() {
    let fixed = |hashes| DifficultyRule::Fixed(Work::new(hashes).expect("work"));
    let pool = Pool::start(&Setup {
        // 64 milliseconds for 64 shares, and a quarter of a year.
        ports: vec![fixed(1 << 40), fixed(1 << 20)],
        limits: Limits {
            slowest_hashes_per_s: 1 << 30,
            ..limits()
        },
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let mut patient = Miner::ready(pool.address(0), "name-a");
    let mut silent = Miner::ready(pool.address(1), "name-b");
    assert!(silent.is_closed());
    assert_eq!(
        patient.ask("mining.ping", &json!([]))["result"],
        json!("pong")
    );
}

#[test]
fn a_difficulty_in_the_password_is_the_first_jobs() {
    let rule = |asked| {
        DifficultyRule::Vardiff(VardiffRule {
            start: work("0.00001"),
            min: work("0.000001"),
            max: work("0.01"),
            target: Duration::from_secs(3_600),
            retarget: Duration::from_secs(3_600),
            asked,
        })
    };
    let pool = |ports| {
        let pool = Pool::start(&Setup {
            ports,
            ..Setup::default()
        });
        pool.work_at(1, HARD);
        pool
    };
    let moving = [AskedDifficulty::Start, AskedDifficulty::Fixed];
    let moving = pool(moving.map(rule).to_vec());
    let fixed = pool(vec![DifficultyRule::Fixed(work("0.5"))]);
    for (address, password, difficulty) in [
        (moving.address(0), "d=0.0001", "0.0001"),
        (moving.address(0), "x,diff=1e-4;md=0.0005", "0.0005"),
        (moving.address(0), "md=0.002", "0.002"),
        (moving.address(0), "d=77", "0.01"),
        (moving.address(0), "d=0.00000001", "0.000001"),
        (moving.address(0), "d=-1", "0.00001"),
        (moving.address(0), "d=0", "0.00001"),
        (moving.address(0), "d=NaN", "0.00001"),
        (moving.address(0), "d=1e400", "0.00001"),
        (moving.address(0), "x", "0.00001"),
        (fixed.address(0), "d=0.0001,md=3", "0.5"),
        (moving.address(1), "d=0.0001", "0.0001"),
    ] {
        let mut miner = Miner::connect(address);
        miner.subscribe();
        let reply = miner.ask("mining.authorize", &json!(["name-a", password]));
        assert_eq!(code(&reply), 0);
        assert_eq!(miner.job().difficulty, difficulty, "{password}");
    }
}

/// Whether the system asks after the peer of a connection of this port when it is silent: column `tr` of /proc/net/tcp
/// is 2 while keep-alive's timer runs (proc_net_tcp.txt of the kernel).
#[cfg(target_os = "linux")]
fn is_kept_alive(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let end = format!(":{port:04X}");
    table.lines().skip(1).any(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let local = columns.next().is_some_and(|local| local.ends_with(&end));
        let established = columns.nth(1) == Some("01");
        let timer = columns.nth(1).unwrap_or_default();
        local && established && timer.starts_with("02:")
    })
}

#[cfg(target_os = "linux")]
#[test]
fn the_system_asks_after_a_silent_peer() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let _miner = Miner::ready(pool.address(0), "name-a");
    let port = pool.address(0).port();
    // While bytes wait for their acknowledgement another timer runs.
    pool.until("keep-alive", |_| is_kept_alive(port));
}
