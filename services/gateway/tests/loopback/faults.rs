//! What a good pool does with bad input (background: protocols 5).

use std::time::Duration;

use serde_json::{Value, json};

use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup};

#[test]
fn each_wrong_share_gets_its_own_error() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::connect(pool.address(0));
    let early = json!(["name-a", "0", "00000000", "00000000", "00000000"]);
    assert_eq!(code(&miner.ask("mining.submit", &early)), 25);
    miner.subscribe();
    assert_eq!(code(&miner.ask("mining.submit", &early)), 24);
    assert_eq!(code(&miner.authorize("name-a")), 0);
    let job = miner.job();
    let good = miner.mine(&job);
    let params = Miner::params("name-a", &good);
    let with = |index: usize, value: &str| {
        let mut changed = params.clone();
        changed[index] = json!(value);
        changed
    };
    let table: [(&str, Value, u64); 17] = [
        ("another user", with(0, "name-b"), 24),
        ("no such job", with(1, "ffff"), 21),
        ("a job that is no number", with(1, "job"), 21),
        (
            "a job spelled otherwise",
            with(1, &format!("0{}", good.job)),
            21,
        ),
        ("short extranonce2", with(2, "000000"), 20),
        ("long extranonce2", with(2, "0000000000"), 20),
        ("extranonce2 no hex", with(2, "0000000g"), 20),
        ("prefixed nonce", with(4, "0x000000"), 20),
        ("short nonce", with(4, "0000000"), 20),
        ("signed nonce", with(4, "-0000001"), 20),
        ("ntime no hex", with(3, "zzzzzzzz"), 20),
        ("ntime long ago", with(3, "00000001"), 20),
        ("ntime in the far future", with(3, "ffffffff"), 20),
        ("too few parameters", json!(["name-a", good.job]), 20),
        ("parameters as an object", json!({ "user": "name-a" }), 20),
        (
            "a number for a text",
            json!(["name-a", good.job, 1, 2, 3]),
            20,
        ),
        (
            "version bits nobody agreed on",
            {
                let mut six = params.clone();
                six.as_array_mut().expect("a list").push(json!("00002000"));
                six
            },
            20,
        ),
    ];
    for (what, params, expected) in table {
        let reply = miner.ask("mining.submit", &params);
        assert_eq!(code(&reply), expected, "{what}: {reply}");
    }
    let low = miner.mine_low(&job);
    assert_eq!(code(&miner.submit("name-a", &low)), 23);
    assert_eq!(
        code(&miner.submit("name-a", &good)),
        0,
        "nothing of it spoiled the good one"
    );
    assert_eq!(code(&miner.submit("name-a", &good)), 22);
    let upper = format!("{:08X}", good.nonce);
    assert_eq!(
        code(&miner.ask("mining.submit", &with(4, &upper))),
        22,
        "upper case is no other share"
    );
    let low = miner.mine_low(&job);
    assert_eq!(
        code(&miner.submit("name-a", &low)),
        23,
        "a low share is low, not a duplicate"
    );
    assert_eq!(code(&miner.submit("name-a", &low)), 23, "and stays so");
    let counts = pool.gateway.metrics().sessions.counts.shares;
    assert_eq!((counts.accepted, counts.duplicate, counts.low), (1, 2, 3));
    assert_eq!(
        (
            counts.unknown_job,
            counts.unauthorized,
            counts.not_subscribed
        ),
        (3, 2, 1)
    );
    assert_eq!(counts.other, 13);
    assert_eq!(pool.final_shares(1).len(), 1);
}

#[test]
fn a_share_of_another_session_is_not_the_thief_s() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut honest = Miner::ready(pool.address(0), "name-a");
    let mut thief = Miner::ready(pool.address(0), "name-thief");
    let job = honest.job();
    let found = honest.mine(&job);
    assert_eq!(
        code(&thief.submit("name-thief", &found)),
        23,
        "his extranonce1 makes another hash"
    );
    assert_eq!(code(&honest.submit("name-a", &found)), 0);
    assert_eq!(pool.final_shares(1).len(), 1);
}

#[test]
fn replies_leave_in_the_order_of_requests_whatever_they_are() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    let good: Vec<_> = (0..3).map(|_| miner.mine(&job)).collect();
    let low = miner.mine_low(&job);
    let mut unknown = good[0].clone();
    unknown.job = "ffff".to_owned();
    let submit = |found| ("mining.submit", Miner::params("name-a", found));
    let requests = [
        submit(&good[0]),
        ("mining.ping", json!([])),
        submit(&good[0]),
        submit(&low),
        ("mining.authorize", json!(["nobody", "x"])),
        submit(&good[1]),
        submit(&unknown),
        ("mining.nonsense", json!([])),
        ("mining.authorize", json!(["name-b", "x"])),
        submit(&good[2]),
        ("mining.ping", json!([])),
    ];
    for round in 0..20 {
        let lines: String = requests
            .iter()
            .enumerate()
            .map(|(n, (method, params))| {
                format!(
                    "{}\n",
                    json!({ "id": n, "method": method, "params": params })
                )
            })
            .collect();
        miner.raw(lines.as_bytes());
        for (n, (method, _)) in requests.iter().enumerate() {
            let reply = miner.reply();
            assert_eq!(reply["id"], json!(n), "round {round}, {method}: {reply}");
            let fresh = if round == 0 { 0 } else { 22 };
            match n {
                0 | 5 | 9 => assert_eq!(code(&reply), fresh, "{n}"),
                2 => assert_eq!(code(&reply), 22),
                3 => assert_eq!(code(&reply), 23),
                4 => assert_eq!(code(&reply), 24),
                6 => assert_eq!(code(&reply), 21),
                7 => assert_eq!(code(&reply), 20),
                8 => assert_eq!(code(&reply), 0),
                _ => assert_eq!(reply["result"], json!("pong")),
            }
        }
        if round == 6 {
            // The eighth refused login of a connection ends it.
            break;
        }
    }
    assert_eq!(pool.final_shares(3).len(), 3);
}

#[test]
fn lines_come_in_any_pieces() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    let found = miner.mine(&job);
    let line =
        json!({ "id": 7, "method": "mining.submit", "params": Miner::params("name-a", &found) });
    let ping = json!({ "id": 8, "method": "mining.ping", "params": [] });
    let text = format!("\r\n\n{line}\r\n{ping}\n");
    for byte in text.as_bytes() {
        miner.raw(&[*byte]);
    }
    let reply = miner.reply();
    assert_eq!((code(&reply), &reply["id"]), (0, &json!(7)));
    assert_eq!(miner.reply()["result"], json!("pong"));
}

#[test]
fn garbage_is_answered_or_named_and_closed() {
    // What is sent, the error codes that come back, whether the connection ends.
    let long = vec![b'a'; 20_000];
    let nested = format!("{}\n", "[".repeat(10_000));
    let table: [(&str, &[u8], &[u64], bool); 9] = [
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00", &[], true),
        ("an endless line", &long, &[20], true),
        ("deep nesting", nested.as_bytes(), &[20], false),
        ("not UTF-8", b"\xff\xfe\x00\n", &[20], false),
        ("a number", b"42\n", &[20], false),
        (
            "a batch",
            b"[{\"id\":1,\"method\":\"mining.ping\"}]\n",
            &[20],
            false,
        ),
        ("three bad lines", b"x\ny\nz\n", &[20, 20, 20], true),
        (
            "an unknown method",
            b"{\"id\":1,\"method\":\"mining.get_job\",\"params\":[]}\n",
            &[20],
            false,
        ),
        ("empty lines", b"\n\r\n\n", &[], false),
    ];
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    for (what, bytes, codes, closes) in table {
        println!("{what}");
        let mut miner = Miner::connect(pool.address(0));
        miner.raw(bytes);
        for expected in codes {
            assert_eq!(code(&miner.reply()), *expected, "{what}");
        }
        if closes {
            assert!(miner.is_closed(), "{what}");
        } else {
            assert_eq!(
                miner.ask("mining.ping", &json!([]))["result"],
                json!("pong"),
                "{what}"
            );
        }
    }
    pool.until("each is counted", |metrics| {
        let closed = metrics.sessions.counts.closed;
        (closed.tls_on_plain, closed.protocol) == (1, 2)
    });
}

#[test]
fn a_browser_is_told_what_this_is() {
    use std::io::{Read as _, Write as _};
    let pool = Pool::start(&Setup::default());
    let mut stream = std::net::TcpStream::connect(pool.address(0)).expect("somebody listens");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("it reads");
    stream
        .set_read_timeout(Some(crate::pool::DEADLINE))
        .expect("a socket");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it closes");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.ends_with(&format!("Content-Length: {}", body.len())),
        "{head}"
    );
}

#[test]
fn who_stops_sending_still_gets_his_answers() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    let found: Vec<_> = (0..5).map(|_| miner.mine(&job)).collect();
    let ids: Vec<u64> = found
        .iter()
        .map(|one| miner.send("mining.submit", &Miner::params("name-a", one)))
        .collect();
    miner.shutdown_write();
    for id in ids {
        let reply = miner.reply();
        assert_eq!((code(&reply), &reply["id"]), (0, &json!(id)));
    }
    assert!(miner.is_closed());
    assert_eq!(pool.final_shares(5).len(), 5);
}

#[test]
fn who_leaves_without_his_answers_is_credited_all_the_same() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::ready(pool.address(0), "name-a");
    let job = miner.job();
    let found = miner.mine(&job);
    miner.send("mining.submit", &Miner::params("name-a", &found));
    pool.until("the share", |metrics| metrics.spool.shares == 1);
    drop(miner);
    assert_eq!(pool.final_shares(1).len(), 1);
    pool.until("he left", |metrics| {
        metrics.sessions.counts.connections == 0
    });
}

#[test]
fn a_miner_that_is_slow_to_authorize_in_time_is_served() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::connect(pool.address(0));
    // Authorize may come before subscribe; no work comes before both.
    assert_eq!(code(&miner.authorize("name-a")), 0);
    assert!(miner.jobs.is_empty());
    miner.subscribe();
    let again = miner.subscribe();
    assert!(
        again["result"].is_array(),
        "a second subscribe is the same session"
    );
    let job = miner.job();
    let found = miner.mine(&job);
    assert_eq!(code(&miner.submit("name-a", &found)), 0);
    assert!(miner.try_raw(b"\n", Duration::from_secs(1)));
}

#[test]
fn a_first_request_of_another_dialect_is_answered_in_its_shape_and_is_no_offence() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut miner = Miner::connect(pool.address(0));
    miner.raw(
        b"{\"id\":1,\"jsonrpc\":\"2.0\",\"method\":\"eth_submitLogin\",\"params\":[\"0x0\"]}\n",
    );
    let reply = miner.reply();
    assert_eq!(reply["error"]["code"], json!(-3), "{reply}");
    // It may speak ours on the same connection.
    miner.subscribe();
    assert_eq!(code(&miner.authorize("name-a")), 0);
    let counts = pool.gateway.metrics().sessions.counts;
    assert_eq!((counts.failed_logins, counts.closed.protocol), (0, 0));
}
