//! Who misbehaves is stopped by the narrowest measure that stops him, and is told why.

use std::time::Duration;

use orebook_gateway::{EdgeConfig, FirewallConfig, FirewallMetrics, Limits, Network};
use serde_json::json;

use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup};

fn limited(limits: Limits, exempt: &[&str]) -> Pool {
    let exempt = exempt
        .iter()
        .map(|text| Network::parse(text).expect("a network"));
    let pool = Pool::start(&Setup {
        edge: EdgeConfig {
            exempt: exempt.collect(),
            ..EdgeConfig::default()
        },
        limits,
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    pool
}

/// Judged by twenty shares, of which six may be bad.
fn judging() -> Limits {
    Limits {
        invalid_of: 20,
        invalid_percent: 30,
        bad_logins_per_address: 2,
        ..Limits::default()
    }
}

fn send_good(miner: &mut Miner, user: &str, count: usize) {
    let job = miner.job();
    for _ in 0..count {
        let found = miner.mine(&job);
        assert_eq!(code(&miner.submit(user, &found)), 0, "{user}");
    }
}

fn send_bad(miner: &mut Miner, user: &str, count: usize) {
    let job = miner.job();
    for _ in 0..count {
        let low = miner.mine_low(&job);
        assert_eq!(code(&miner.submit(user, &low)), 23, "{user}");
    }
}

fn said(miner: &mut Miner) -> String {
    let line = miner.try_line().expect("a word before the end");
    let why = line["error"][1].as_str().expect("words").to_owned();
    assert!(miner.is_closed());
    why
}

#[test]
fn of_two_hundred_rigs_behind_one_address_the_bad_one_goes_and_no_other() {
    let pool = limited(judging(), &[]);
    let mut rigs: Vec<(String, Miner)> = (0..199)
        .map(|n| format!("name-farm.rig{n}"))
        .map(|user| {
            let mut miner = Miner::ready(pool.address(0), &user);
            send_good(&mut miner, &user, 1);
            (user, miner)
        })
        .collect();
    let bad = "name-farm.bad";
    let mut miner = Miner::ready(pool.address(0), bad);
    send_good(&mut miner, bad, 13);
    send_bad(&mut miner, bad, 7);
    assert!(miner.is_closed());
    let why = "7 of 20 shares of name-farm.bad were refused: it is kept out for 300 s";
    assert_eq!(miner.messages, [why]);
    // It comes again and again, and fails to log in besides.
    for _ in 0..50 {
        let mut again = Miner::connect(pool.address(0));
        again.subscribe();
        let reply = again.authorize(bad);
        assert_eq!(code(&reply), 24);
        let why = reply["error"][1].as_str().expect("words");
        assert!(why.ends_with("it is kept out for 300 s"), "{why}");
        assert!(again.is_closed());
    }
    for (user, miner) in &mut rigs {
        send_good(miner, user, 1);
    }
    // Another rig of the farm that was off comes back.
    let (user, left) = rigs.swap_remove(0);
    drop(left);
    let mut back = Miner::ready(pool.address(0), &user);
    send_good(&mut back, &user, 1);
    let counts = pool.gateway.metrics().sessions.counts;
    assert_eq!((counts.closed.bad_shares, counts.closed.kept_out), (1, 50));
    assert_eq!((counts.bans, counts.refused.all()), (1, 0));
    assert_eq!(pool.final_shares(199 + 13 + 199 + 1).len(), 412);
}

#[test]
fn six_bad_shares_of_twenty_are_nobodys_business() {
    let pool = limited(judging(), &[]);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    for _ in 0..3 {
        send_good(&mut miner, "name-a", 14);
        send_bad(&mut miner, "name-a", 6);
    }
    assert_eq!(
        miner.ask("mining.ping", &json!([]))["result"],
        json!("pong")
    );
    assert_eq!(pool.gateway.metrics().sessions.counts.bans, 0);
}

#[test]
fn one_bad_rig_of_a_proxys_connection_is_refused_and_the_others_are_served() {
    let pool = limited(judging(), &[]);
    let (good, bad) = ("name-farm.good", "name-farm.bad");
    let mut proxy = Miner::ready(pool.address(0), good);
    assert_eq!(code(&proxy.authorize(bad)), 0);
    send_good(&mut proxy, bad, 10);
    send_bad(&mut proxy, bad, 10);
    let job = proxy.job();
    let found = proxy.mine(&job);
    assert_eq!(code(&proxy.submit(bad, &found)), 24, "a good one, too late");
    assert_eq!(code(&proxy.submit(good, &found)), 0);
    let why = "10 of 20 shares of name-farm.bad were refused: it is kept out for 300 s";
    assert_eq!(proxy.messages, [why]);
    assert_eq!(code(&proxy.authorize("name-farm.third")), 0);
    assert_eq!(pool.final_shares(11).len(), 11);
}

#[test]
fn rigs_that_share_a_login_with_a_bad_one_keep_it() {
    let pool = limited(judging(), &[]);
    let mut good = Miner::ready(pool.address(0), "name-farm");
    send_good(&mut good, "name-farm", 1);
    for _ in 0..3 {
        let mut bad = Miner::ready(pool.address(0), "name-farm");
        send_bad(&mut bad, "name-farm", 20);
        assert!(bad.is_closed());
        let why = "20 of 20 shares of name-farm were refused";
        assert_eq!(bad.messages, [why]);
    }
    send_good(&mut good, "name-farm", 1);
    assert_eq!(pool.gateway.metrics().sessions.counts.bans, 0);
}

#[test]
fn an_address_with_bad_rigs_only_is_kept_out_at_last() {
    let pool = limited(judging(), &[]);
    let mut sleeping = Miner::ready(pool.address(0), "name-d");
    for user in ["name-a", "name-b"] {
        let mut bad = Miner::ready(pool.address(0), user);
        send_bad(&mut bad, user, 20);
        assert!(bad.is_closed());
    }
    let why = "this address is kept out for 300 s: too many workers with bad shares";
    assert_eq!(said(&mut Miner::connect(pool.address(0))), why);
    send_good(&mut sleeping, "name-d", 1);
    let counts = pool.gateway.metrics().sessions.counts;
    assert_eq!((counts.bans, counts.refused.banned), (3, 1));
}

#[test]
fn an_address_that_speaks_something_else_too_often_is_kept_out_until_the_ban_ends() {
    let limits = Limits {
        malformed_per_address: 3,
        ban: Duration::from_millis(1_500),
        ..Limits::default()
    };
    let pool = limited(limits, &[]);
    for bytes in [&b"\x16\x03\x01"[..], b"PROXY TCP4 ", b"x\ny\nz\n"] {
        let mut other = Miner::connect(pool.address(0));
        other.raw(bytes);
        assert!(other.is_closed());
    }
    // A balancer's looks are no offence, and the third one may be counted a moment after its end is seen.
    pool.until("the ban", |metrics| metrics.sessions.counts.bans == 1);
    let why = "this address is kept out for 2 s: too many connections that do not speak Stratum";
    assert_eq!(said(&mut Miner::connect(pool.address(0))), why);
    let heard = (0..400).any(|_| {
        std::thread::park_timeout(Duration::from_millis(20));
        let mut miner = Miner::connect(pool.address(0));
        let line = json!({ "id": 1, "method": "mining.ping", "params": [] });
        miner.try_raw(format!("{line}\n").as_bytes(), Duration::from_secs(9))
            && miner
                .try_line()
                .is_some_and(|line| line["result"] == json!("pong"))
    });
    assert!(heard, "the ban does not end");
}

#[test]
fn looks_of_a_load_balancer_are_answered_and_no_offence() {
    let limits = Limits {
        malformed_per_address: 1,
        ..Limits::default()
    };
    let pool = limited(limits, &[]);
    for _ in 0..20 {
        let mut look = Miner::connect(pool.address(0));
        look.raw(b"GET / HTTP/1.1\r\n\r\n");
        assert!(look.is_told_in_http());
    }
    pool.until("each is counted", |metrics| {
        metrics.sessions.counts.closed.http == 20
    });
    assert_eq!(pool.gateway.metrics().sessions.counts.bans, 0);
}

#[test]
fn new_connections_are_limited_by_the_minute_and_shares_earn_more_of_them() {
    let limits = Limits {
        connects_per_minute: 4,
        connects_grace: Duration::ZERO,
        ..Limits::default()
    };
    let pool = limited(limits, &[]);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    for _ in 0..3 {
        Miner::ready(pool.address(0), "name-a");
    }
    let why = said(&mut Miner::connect(pool.address(0)));
    assert!(why.starts_with("too many new connections from this address: none more for "));
    // A farm earned what it needs to come back at once.
    send_good(&mut miner, "name-a", 16);
    drop(miner);
    for _ in 0..16 {
        Miner::ready(pool.address(0), "name-a");
    }
    said(&mut Miner::connect(pool.address(0)));
    pool.until("both are counted", |metrics| {
        metrics.sessions.counts.refused.rate == 2
    });
}

#[test]
fn nothing_of_that_holds_for_who_is_exempt() {
    let limits = Limits {
        connections_per_address: 1,
        connects_per_minute: 1,
        connects_grace: Duration::ZERO,
        failed_logins_per_address: 1,
        ..judging()
    };
    let pool = limited(limits, &["127.0.0.0/8", "::1"]);
    for _ in 0..3 {
        let mut flood = Miner::ready(pool.address(0), "name-a");
        (0..5).for_each(|_| assert_eq!(code(&flood.authorize("nobody")), 24));
    }
    let counts = pool.gateway.metrics().sessions.counts;
    assert_eq!((counts.failed_logins, counts.bans), (15, 0));
    assert_eq!(counts.refused.all(), 0);
}

#[test]
fn a_port_of_both_families_counts_ipv4_as_such_and_ipv6_by_its_network() {
    let pool = Pool::start(&Setup {
        limits: Limits {
            malformed_per_address: 1,
            ..Limits::default()
        },
        listen: "[::]:0".parse().expect("an address"),
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let at = |host: &str| {
        let address = format!("{host}:{}", pool.address(0).port());
        address.parse().expect("an address")
    };
    let (v4, v6) = (at("127.0.0.1"), at("[::1]"));
    let mut inside = [Miner::ready(v4, "name-a"), Miner::ready(v6, "name-a")];
    for (bad, other) in [(v4, v6), (v6, v4)] {
        let mut tls = Miner::connect(bad);
        tls.raw(b"\x16\x03\x01");
        assert!(tls.is_closed());
        let bans = 1 + u64::from(bad == v6);
        pool.until("the ban", |metrics| metrics.sessions.counts.bans == bans);
        assert!(said(&mut Miner::connect(bad)).starts_with("this address is kept out"));
        if bans == 1 {
            Miner::ready(other, "name-a");
        }
    }
    for miner in &mut inside {
        send_good(miner, "name-a", 1);
    }
}

/// A pool whose filter is this line of a shell, with the address, the seconds and the family as its arguments.
fn filtered(script: &str, timeout: Duration) -> Pool {
    let arguments = ["-c", script, "sh", "{ %a timeout %ss }", "orebook%f"];
    let pool = Pool::start(&Setup {
        limits: Limits {
            malformed_per_address: 1,
            ..Limits::default()
        },
        edge: EdgeConfig {
            firewall: Some(FirewallConfig {
                program: "/bin/sh".into(),
                arguments: arguments.map(str::to_owned).to_vec(),
                timeout,
            }),
            ..EdgeConfig::default()
        },
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let mut other = Miner::connect(pool.address(0));
    other.raw(b"\x16\x03\x01");
    assert!(other.is_closed());
    pool
}

#[test]
fn the_systems_filter_is_told_of_a_ban_with_its_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let said = dir.path().join("said");
    let script = "for word in \"$@\"; do echo \"<$word>\"; done";
    let script = format!("{{ {script}; }} > {}", said.display());
    let pool = filtered(&script, Duration::from_secs(30));
    pool.until("it is told", |metrics| metrics.firewall.told == 1);
    let said = std::fs::read_to_string(said).expect("it was told");
    assert_eq!(said, "<{ 127.0.0.1 timeout 300s }>\n<orebook4>\n");
    pool.stop();
}

#[test]
fn a_filter_that_fails_or_hangs_is_counted_and_holds_nobody_up() {
    for script in ["exit 1", "exec sleep 600"] {
        let pool = filtered(script, Duration::from_millis(300));
        let expected = FirewallMetrics {
            failed: 1,
            ..FirewallMetrics::default()
        };
        pool.until(script, |metrics| metrics.firewall == expected);
        pool.stop();
    }
}
