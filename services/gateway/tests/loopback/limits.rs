//! Limits: each is hit on purpose, and what its page says happens.

use std::time::Duration;

use orebook_gateway::{Limits, REGISTER_DEFAULT};
use orebook_schema::WorkerName;
use serde_json::json;

use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup, workers};

fn limited(limits: Limits) -> Pool {
    Pool::start(&Setup {
        limits,
        ..Setup::default()
    })
}

#[test]
fn connections_of_a_port_and_of_an_address_are_counted() {
    let table = [
        Limits {
            connections_per_port: 3,
            ..Limits::default()
        },
        Limits {
            connections_per_address: 3,
            ..Limits::default()
        },
    ];
    for limits in table {
        let pool = limited(limits);
        pool.work_at(1, HARD);
        let mut inside: Vec<_> = (0..3)
            .map(|_| Miner::ready(pool.address(0), "name-a"))
            .collect();
        assert!(Miner::connect(pool.address(0)).is_closed());
        drop(inside.pop());
        pool.until("one left", |metrics| {
            metrics.sessions.counts.connections == 2
        });
        inside.push(Miner::ready(pool.address(0), "name-a"));
        pool.until("one refused", |metrics| {
            metrics.sessions.counts.refused.all() == 1
        });
    }
}

#[test]
fn who_sees_his_connection_end_finds_that_counted() {
    let pool = limited(Limits {
        malformed_per_address: 100,
        ..Limits::default()
    });
    pool.work_at(1, HARD);
    for count in 1..=200_u64 {
        let mut other = Miner::connect(pool.address(0));
        if count <= 100 {
            other.raw(b"\x16\x03\x01");
        }
        assert!(other.is_closed());
        let counts = pool.gateway.metrics().sessions.counts;
        let all = (counts.closed.tls_on_plain, counts.refused.banned);
        assert_eq!(all, (count.min(100), count.saturating_sub(100)));
    }
}

#[test]
fn who_does_not_log_in_is_sent_away() {
    let pool = limited(Limits {
        login_timeout: Duration::from_millis(300),
        ..Limits::default()
    });
    pool.work_at(1, HARD);
    let mut stays = Miner::ready(pool.address(0), "name-a");
    let mut silent = Miner::connect(pool.address(0));
    let mut dripping = Miner::connect(pool.address(0));
    dripping.subscribe();
    dripping.raw(b"{\"id\":");
    assert!(silent.is_closed() && dripping.is_closed());
    pool.until("both are counted", |metrics| {
        metrics.sessions.counts.closed.login_timeout == 2
    });
    assert_eq!(
        stays.ask("mining.ping", &json!([]))["result"],
        json!("pong")
    );
}

#[test]
fn failed_logins_say_why_and_end_a_connection_and_keep_an_address_out() {
    let pool = limited(Limits {
        failed_logins_per_connection: 4,
        failed_logins_per_address: 8,
        ..Limits::default()
    });
    pool.work_at(1, HARD);
    let mut good = Miner::ready(pool.address(0), "name-a");
    for _ in 0..2 {
        let mut flood = Miner::connect(pool.address(0));
        flood.subscribe();
        for user in ["nobody", "x.y", "", "name-a;drop table"] {
            let reply = flood.authorize(user);
            assert_eq!(code(&reply), 24, "{reply}");
            assert_eq!(reply["result"], json!(false));
            if user == "nobody" {
                let why = reply["error"][1].as_str().expect("words");
                let (address, name) = why.split_once("; ").expect("both");
                assert_eq!(address, "a login begins with name-");
                assert_eq!(
                    name,
                    format!("and no account nobody is registered: {REGISTER_DEFAULT}")
                );
            }
        }
        assert!(flood.is_closed());
    }
    assert!(
        Miner::connect(pool.address(0)).is_closed(),
        "its address is kept out"
    );
    let job = good.job();
    let found = good.mine(&job);
    assert_eq!(
        code(&good.submit("name-a", &found)),
        0,
        "who is inside is not moved"
    );
    pool.until("each is counted", |metrics| {
        let counts = metrics.sessions.counts;
        (
            counts.failed_logins,
            counts.closed.failed_logins,
            counts.refused.banned,
        ) == (8, 2, 1)
    });
}

#[test]
fn a_flood_of_failed_logins_costs_nobody_a_share() {
    let pool = limited(Limits {
        failed_logins_per_connection: 1_000_000,
        failed_logins_per_address: 1_000_000,
        ..Limits::default()
    });
    pool.work_at(1, HARD);
    let mut good = Miner::ready(pool.address(0), "name-a");
    let flood: String = (0..2_000)
        .map(|n| {
            format!(
                "{}\n",
                json!({ "id": n, "method": "mining.authorize", "params": ["nobody", "x"] })
            )
        })
        .collect();
    let mut others: Vec<_> = (0..5).map(|_| Miner::connect(pool.address(0))).collect();
    std::thread::scope(|scope| {
        for other in &mut others {
            scope.spawn(|| {
                other.raw(flood.as_bytes());
                (0..2_000).for_each(|_| assert_eq!(code(&other.reply()), 24));
            });
        }
        let job = good.job();
        for _ in 0..50 {
            let found = good.mine(&job);
            assert_eq!(code(&good.submit("name-a", &found)), 0);
        }
    });
    assert_eq!(pool.gateway.metrics().sessions.counts.failed_logins, 10_000);
    assert_eq!(pool.final_shares(50).len(), 50);
}

#[test]
fn who_does_not_read_is_cut_and_nobody_else() {
    let pool = limited(Limits {
        write_timeout: Duration::from_millis(300),
        ..Limits::default()
    });
    pool.work_at(1, HARD);
    let mut good = Miner::ready(pool.address(0), "name-a");
    let mut deaf = Miner::ready(pool.address(0), "name-deaf");
    let ping = b"{\"id\":1,\"method\":\"mining.ping\",\"params\":[]}\n".repeat(10_000);
    // It sends until nobody takes it any more.
    while deaf.try_raw(&ping, Duration::from_millis(200)) {}
    pool.until("the deaf one is cut", |metrics| {
        metrics.sessions.counts.closed.slow_reader == 1
    });
    let job = good.job();
    let found = good.mine(&job);
    assert_eq!(code(&good.submit("name-a", &found)), 0);
    assert_eq!(pool.gateway.metrics().sessions.counts.connections, 1);
}

#[test]
fn users_of_a_connection_and_bad_shares_in_a_row_are_counted() {
    let pool = limited(Limits {
        users_per_connection: 2,
        bad_shares_in_a_row: 3,
        ..Limits::default()
    });
    pool.work_at(1, HARD);
    let mut proxy = Miner::ready(pool.address(0), "name-a");
    assert_eq!(code(&proxy.authorize("name-b")), 0);
    let reply = proxy.authorize("name-c");
    assert_eq!(code(&reply), 24);
    assert_eq!(
        reply["error"][1],
        json!("too many workers on one connection")
    );
    assert_eq!(
        code(&proxy.authorize("name-a")),
        0,
        "who is known may come again"
    );
    let job = proxy.job();
    for _ in 0..2 {
        let low = proxy.mine_low(&job);
        assert_eq!(code(&proxy.submit("name-a", &low)), 23);
    }
    let found = proxy.mine(&job);
    assert_eq!(
        code(&proxy.submit("name-a", &found)),
        0,
        "a good one begins the row anew"
    );
    for _ in 0..3 {
        let low = proxy.mine_low(&job);
        assert_eq!(code(&proxy.submit("name-a", &low)), 23);
    }
    assert!(proxy.is_closed());
    pool.until("it is counted", |metrics| {
        metrics.sessions.counts.closed.bad_shares == 1
    });
}

#[test]
fn names_beyond_the_limit_of_an_account_are_recorded_as_other() {
    let pool = limited(Limits {
        names_per_account: 2,
        ..Limits::default()
    });
    pool.work_at(1, HARD);
    let mut names = Vec::new();
    for user in ["name-a.1", "name-a.2", "name-a.3", "name-a.1", "name-b.3"] {
        let mut miner = Miner::ready(pool.address(0), user);
        let job = miner.job();
        let found = miner.mine(&job);
        assert_eq!(code(&miner.submit(user, &found)), 0);
        names.push(miner.extranonce1);
    }
    pool.final_shares(5);
    let workers = workers(&pool.ledger.events());
    let recorded: Vec<&WorkerName> = workers.iter().map(|worker| &worker.name).collect();
    let expected =
        ["1", "2", "other", "1", "3"].map(|name| WorkerName::parse(name).expect("a name"));
    assert_eq!(recorded, expected.iter().collect::<Vec<_>>());
    names.dedup();
    assert_eq!(names.len(), 5, "the session's own number stays the rig's");
}

#[test]
fn with_few_answers_allowed_to_wait_everything_is_answered_all_the_same() {
    let pool = limited(Limits {
        unanswered: 3,
        unanswered_per_connection: 2,
        ..Limits::default()
    });
    pool.work_at(1, HARD);
    let mut miners: Vec<_> = (0..4)
        .map(|_| Miner::ready(pool.address(0), "name-a"))
        .collect();
    for miner in &mut miners {
        let job = miner.job();
        let found: Vec<_> = (0..40).map(|_| miner.mine(&job)).collect();
        for one in found {
            miner.send("mining.submit", &Miner::params("name-a", &one));
        }
    }
    for miner in &mut miners {
        (0..40).for_each(|_| assert_eq!(code(&miner.reply()), 0));
    }
    assert_eq!(pool.final_shares(160).len(), 160);
}
