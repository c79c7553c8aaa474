//! Recognition, and a whole session of each dialect: the captured ones (`tests/sessions`), the ladder of a miner that looks
//! for a pool's dialect, and what a session is told when something changes.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

mod pool;

use std::fs;
use std::path::Path;

use orebook_schema::Work;
use orebook_schema::units::{U256, WorkUnit};
use orebook_stratum::write::Reconnect;
use orebook_stratum::{
    Action, CloseReason, Dialect, Dialects, FOREIGN_REQUESTS_MAX, JobRef, Recognised, Refused,
    StratumError, UserNumber, ethash_difficulty, recognise,
};
use pool::{Pool, hash, job};

const SESSIONS: [Dialect; 6] = Dialect::ALL;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("answers are UTF-8")
}

/// A line of a fixture as it goes over the wire.
fn wire(mark: &str, said: &str) -> Vec<u8> {
    match mark {
        ">" => format!("{said}\n").into_bytes(),
        "G" => format!("GET {said} HTTP/1.1\r\nHost: pool\r\n\r\n").into_bytes(),
        _ => {
            let (path, body) = said.split_once(' ').expect("a path and a body");
            let len = body.len();
            format!(
                "POST {path} HTTP/1.1\r\nHost: pool\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n{body}"
            )
            .into_bytes()
        }
    }
}

/// Status and body of each answer, their lengths checked.
fn http_answers(mut all: &str) -> String {
    let mut told = String::new();
    while !all.is_empty() {
        let (head, rest) = all.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .expect("a length");
        let (body, rest) = rest.split_at(length.parse().expect("a number"));
        told.push_str(&format!("= {status} {}\n", body.trim_end()));
        all = rest;
    }
    told
}

#[test]
fn captured_sessions_are_answered_as_captured() {
    for dialect in SESSIONS {
        let name = format!("{}.txt", dialect.name());
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/sessions")
            .join(&name);
        let fixture = fs::read_to_string(path).expect("the session is checked in");
        let mut pool = Pool::new(Dialects::ALL);
        let (mut told, mut expected, mut count) = (String::new(), String::new(), 0);
        for line in fixture.lines().filter(|line| !line.starts_with('#')) {
            let (mark, said) = line.split_once(' ').expect("a mark");
            match mark {
                "<" => expected.push_str(&format!("{said}\n")),
                "=" => expected.push_str(&format!("= {said}\n")),
                "!" => assert_eq!(pool.closed.expect("closed").to_string(), said, "{name}"),
                _ => {
                    assert_eq!(told, expected, "{name}, before {said}");
                    (expected, count) = (String::new(), count + 1);
                    let out = text(pool.hear(&wire(mark, said)));
                    told = if mark == ">" { out } else { http_answers(&out) };
                }
            }
        }
        assert_eq!(told, expected, "{name}, at the end");
        assert!(3 < count, "{name} is no session");
        assert_eq!(pool.speaker.dialect(), Some(dialect), "{name}");
        let is_ethash = dialect != Dialect::StratumV1;
        assert_eq!(pool.shares.is_empty(), !is_ethash, "{name}");
        for share in &pool.shares {
            let whole = share.nonce >> 16;
            let theirs = [0xaf4c_6a90_9d9b, 0xaf4c_6876_5fcc];
            assert!(theirs.contains(&whole), "{name}: {:x}", share.nonce);
            let by_seal = matches!(share.job, JobRef::Seal(_));
            let claims = !matches!(dialect, Dialect::NiceHash | Dialect::EthereumStratum2);
            assert_eq!((by_seal, share.mix.is_some()), (claims, claims), "{name}");
        }
        let said_rate = pool.actions.contains(&Action::Hashrate {
            user: UserNumber(0),
            hashes_per_second: 0x50_0000,
        });
        let says_rate = !matches!(dialect, Dialect::StratumV1 | Dialect::Legacy);
        assert_eq!(said_rate, says_rate, "{name}");
    }
}

#[test]
fn first_bytes_are_recognised() {
    for (bytes, expected) in [
        (&b""[..], Recognised::More),
        (b" \r\n\t", Recognised::More),
        (b"P", Recognised::More),
        (b"POST", Recognised::More),
        (b"POST ", Recognised::Http),
        (b"\r\nGET / HTTP/1.1", Recognised::Http),
        (b"OPTIONS * HTTP/1.1", Recognised::Http),
        (b"PO5", Recognised::Lines),
        (b"{", Recognised::Lines),
        (b"\n {\"id\":1", Recognised::Lines),
        (b"garbage", Recognised::Lines),
        (b"\x16\x03\x01", Recognised::Tls),
        (b"\x16", Recognised::Tls),
        (b"\x15\x03", Recognised::Lines),
        (b"\0", Recognised::Lines),
    ] {
        assert_eq!(recognise(bytes), expected, "{}", bytes.escape_ascii());
    }
    for dialect in Dialect::ALL {
        assert_eq!(Dialect::parse(dialect.name()), Some(dialect));
        let alone = Dialects::NONE.with(dialect);
        for other in Dialect::ALL {
            assert_eq!(alone.has(other), other == dialect);
        }
    }
    assert_eq!(Dialect::parse("stratum2"), None);
    assert_eq!(
        Dialect::ALL.into_iter().collect::<Dialects>(),
        Dialects::ALL
    );
}

#[test]
fn the_first_method_decides_on_ports_of_every_kind() {
    use Dialect::{EthProxy, EthereumStratum2, Legacy, NiceHash, StratumV1};
    let all = Some(Dialects::ALL);
    let ethash = Some(Dialects::ETHASH);
    let v1 = Some(Dialects::STRATUM_V1);
    for (line, on_all, on_ethash, on_v1) in [
        (
            r#"{"id":1,"method":"mining.subscribe","params":["a/1","EthereumStratum/1.0.0"]}"#,
            Some(NiceHash),
            Some(NiceHash),
            None,
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":["a/1"]}"#,
            Some(StratumV1),
            Some(Legacy),
            Some(StratumV1),
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":["a/1","f000000f"]}"#,
            Some(StratumV1),
            Some(Legacy),
            Some(StratumV1),
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":[]}"#,
            Some(StratumV1),
            Some(Legacy),
            Some(StratumV1),
        ),
        (
            r#"{"id":1,"jsonrpc":"2.0","method":"mining.subscribe","params":[]}"#,
            Some(Legacy),
            Some(Legacy),
            Some(StratumV1),
        ),
        (
            r#"{"id":1,"jsonrpc":"1.0","method":"mining.subscribe","params":[]}"#,
            Some(StratumV1),
            Some(Legacy),
            Some(StratumV1),
        ),
        (
            r#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{}]}"#,
            Some(StratumV1),
            None,
            Some(StratumV1),
        ),
        (
            r#"{"id":1,"method":"mining.authorize","params":["0xa"]}"#,
            Some(StratumV1),
            None,
            Some(StratumV1),
        ),
        (
            r#"{"id":1,"method":"mining.hello","params":{"proto":"EthereumStratum/2.0.0"}}"#,
            Some(EthereumStratum2),
            Some(EthereumStratum2),
            None,
        ),
        (
            r#"{"id":1,"method":"mining.hello","params":{"proto":"AbelianStratum"}}"#,
            None,
            None,
            None,
        ),
        (r#"{"id":1,"method":"mining.hello"}"#, None, None, None),
        (
            r#"{"id":1,"method":"eth_submitLogin","params":["0xa"]}"#,
            Some(EthProxy),
            Some(EthProxy),
            None,
        ),
        (
            r#"{"id":1,"method":"eth_getWork","params":[]}"#,
            Some(EthProxy),
            Some(EthProxy),
            None,
        ),
        (
            r#"{"id":1,"method":"mining.ping","params":[]}"#,
            None,
            None,
            None,
        ),
        (
            r#"{"id":1,"method":"mining.extranonce.subscribe","params":[]}"#,
            None,
            None,
            None,
        ),
        (
            r#"{"id":1,"method":"mining.submit","params":["a","1","2","3","4"]}"#,
            None,
            None,
            None,
        ),
        (r#"{"id":1,"method":"login","params":{}}"#, None, None, None),
        (r#"{"id":1,"result":true}"#, None, None, None),
    ] {
        for (port, expected) in [(all, on_all), (ethash, on_ethash), (v1, on_v1)] {
            let port = port.expect("a port");
            let mut pool = Pool::new(port);
            pool.hear(format!("{line}\n").as_bytes());
            assert_eq!(pool.speaker.dialect(), expected, "{line} on {port:?}");
            assert_eq!(pool.closed, None, "{line}");
        }
    }
}

/// What ethminer does on a `stratum://` address: each dialect on a connection of its own, on to the next at any error.
#[test]
fn a_ladder_of_attempts_ends_where_the_port_speaks_and_offends_nobody() {
    let ladder = [
        (
            Dialect::EthereumStratum2,
            r#"{"id":1,"method":"mining.hello","params":{"agent":"ethminer-0.19","host":"pool","port":"d05","proto":"EthereumStratum/2.0.0"}}"#,
        ),
        (
            Dialect::NiceHash,
            r#"{"id":1,"method":"mining.subscribe","params":["ethminer-0.19","EthereumStratum/1.0.0"]}"#,
        ),
        (
            Dialect::EthProxy,
            r#"{"id":1,"method":"eth_submitLogin","params":["0xaddr","x"],"worker":"rig"}"#,
        ),
        (
            Dialect::Legacy,
            r#"{"id":1,"jsonrpc":"2.0","method":"mining.subscribe","params":[]}"#,
        ),
    ];
    for (rung, (spoken, _)) in ladder.iter().enumerate() {
        let port = Dialects::NONE.with(*spoken);
        for (index, (tried, line)) in ladder.iter().enumerate().take(rung + 1) {
            let mut pool = Pool::new(port);
            let out = text(pool.hear(format!("{line}\n").as_bytes()));
            // It waits for one line, which must have its id, and an error exactly where it is to go on.
            let first = out.lines().next().expect("an answer at once");
            let answer: serde_json::Value = serde_json::from_str(first).expect("JSON");
            assert_eq!(answer["id"], 1);
            if index == rung {
                assert!(
                    answer.get("error").is_none_or(serde_json::Value::is_null),
                    "{first}"
                );
                assert_eq!(pool.speaker.dialect(), Some(*tried));
            } else {
                assert!(!answer["error"].is_null(), "{first}");
                let said = [Action::NotSpoken(StratumError::Method)];
                assert_eq!(pool.actions, said, "no offence");
                assert_eq!((pool.speaker.dialect(), pool.closed), (None, None));
            }
        }
    }
}

#[test]
fn a_connection_that_only_says_foreign_things_ends() {
    let mut pool = Pool::new(Dialects::STRATUM_V1);
    for turn in 1..=FOREIGN_REQUESTS_MAX {
        let out = text(pool.hear(b"{\"id\":7,\"method\":\"eth_getWork\"}\n"));
        let answer: serde_json::Value = serde_json::from_str(&out).expect("one answer");
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&7.into(), &(-3).into())
        );
        let last = turn == FOREIGN_REQUESTS_MAX;
        assert_eq!(pool.closed, last.then_some(CloseReason::Dialect));
    }
}

#[test]
fn tls_and_http_where_neither_is_taken_end_at_once() {
    let mut pool = Pool::new(Dialects::STRATUM_V1);
    assert!(pool.hear(b"\x16\x03\x01\x02\0").is_empty());
    assert_eq!(pool.closed, Some(CloseReason::Tls));
    let mut pool = Pool::new(Dialects::STRATUM_V1);
    let out = text(pool.hear(b"GET / HTT"));
    assert_eq!(
        http_answers(&out),
        "= 200 This port speaks Stratum, for mining machines.\n"
    );
    assert_eq!(pool.closed, Some(CloseReason::Http));
}

#[test]
fn what_changed_is_said_before_the_job_and_nothing_else() {
    let login = [
        (
            Dialect::NiceHash,
            "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"a\",\"EthereumStratum/1.0.0\"]}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"0xa\"]}\n",
        ),
        (
            Dialect::EthereumStratum2,
            "{\"id\":1,\"method\":\"mining.hello\",\"params\":{\"proto\":\"EthereumStratum/2.0.0\"}}\n{\"id\":1,\"method\":\"mining.subscribe\"}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"0xa\",\"\"]}\n",
        ),
    ];
    for (dialect, lines) in login {
        let mut pool = Pool::new(Dialects::ETHASH);
        pool.hear(lines.as_bytes());
        assert_eq!(pool.speaker.dialect(), Some(dialect));
        let sent = |pool: &mut Pool, clean| {
            let mut out = Vec::new();
            pool.send(&mut out, clean);
            text(out)
        };
        assert_eq!(sent(&mut pool, false).lines().count(), 1, "nothing changed");
        pool.work = Work::new(1 << 33).expect("work");
        let told = sent(&mut pool, true);
        let (set, notify) = told.split_once('\n').expect("two lines");
        match dialect {
            Dialect::NiceHash => {
                assert!(
                    set.ends_with(r#""mining.set_difficulty","params":[1.999969482421882106]}"#),
                    "{set}"
                );
                assert!(notify.ends_with(",true]}\n"), "{notify}");
            }
            _ => {
                let target = format!("{:064x}", U256::ONE << 223);
                let expected =
                    format!(r#"{{"method":"mining.set","params":{{"target":"{target}"}}}}"#);
                assert_eq!(set, expected);
                assert!(notify.ends_with(",\"1\"]}\n"), "{notify}");
            }
        }
        assert_eq!(sent(&mut pool, false).lines().count(), 1);
    }
}

#[test]
fn eth_proxy_and_legacy_say_the_target_with_each_job() {
    for lines in [
        "{\"id\":1,\"method\":\"eth_submitLogin\",\"params\":[\"0xa\"]}\n",
        "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"0xa\"]}\n",
    ] {
        let mut pool = Pool::new(Dialects::ETHASH);
        pool.hear(lines.as_bytes());
        for work in [1, 2, 3, 1 << 20, 4_000_000_000, Work::MAX] {
            pool.work = Work::new(work).expect("work");
            pool.job = Some(job(7, hash(&"ab".repeat(32))));
            let mut out = Vec::new();
            pool.send(&mut out, false);
            let out = text(out);
            let target = pool.work.target(WorkUnit::Ethash);
            assert!(out.contains(&format!("\"0x{target:064x}\"")), "{out}");
            assert_eq!(out.lines().count(), 1);
        }
    }
}

#[test]
fn work_that_is_not_ready_is_said_so() {
    let mut pool = Pool::new(Dialects::ETHASH);
    pool.job = None;
    let out = text(pool.hear(b"{\"id\":1,\"method\":\"eth_submitLogin\",\"params\":[\"0xa\"]}\n{\"id\":5,\"method\":\"eth_getWork\"}\n"));
    assert_eq!(
        out,
        "{\"id\":1,\"jsonrpc\":\"2.0\",\"result\":true}\n{\"id\":5,\"jsonrpc\":\"2.0\",\"result\":null,\"error\":{\"code\":0,\"message\":\"Work not ready\"}}\n"
    );
}

#[test]
fn rigs_are_named_by_the_name_or_by_the_member() {
    for (params, member, user, login, worker) in [
        (r#"["0xaddr.rig","x"]"#, "", "0xaddr.rig", "0xaddr", "rig"),
        (r#"["0xaddr/rig"]"#, "", "0xaddr/rig", "0xaddr", "rig"),
        (
            r#"["addr","x"]"#,
            r#","worker":"r7""#,
            "addr.r7",
            "addr",
            "r7",
        ),
        (
            r#"["0xaddr.rig"]"#,
            r#","worker":"r7""#,
            "0xaddr.rig",
            "0xaddr",
            "rig",
        ),
        (
            r#"["0xaddr"]"#,
            r#","worker":"""#,
            "0xaddr",
            "0xaddr",
            "default",
        ),
        (
            r#"["0xaddr"]"#,
            r#","worker":5"#,
            "0xaddr",
            "0xaddr",
            "default",
        ),
    ] {
        let mut pool = Pool::new(Dialects::ETHASH);
        let line = format!(r#"{{"id":1,"method":"eth_submitLogin","params":{params}{member}}}"#);
        pool.hear(format!("{line}\n").as_bytes());
        match &pool.actions[0] {
            Action::Authorize(asked) => {
                let name = (&*asked.user, &*asked.name.login, asked.name.worker.as_str());
                assert_eq!(name, (user, login, worker), "{line}");
            }
            other => panic!("{line}: {other:?}"),
        }
    }
    let mut pool = Pool::new(Dialects::ETHASH);
    pool.hear(b"{\"id\":1,\"method\":\"eth_submitLogin\",\"params\":[\"0xaddr\",\"d=5,m=solo\"],\"worker\":\"a b\"}\n");
    let refused = Action::Refused {
        what: Refused::Authorize,
        error: StratumError::Unauthorized,
    };
    assert_eq!(pool.actions, [refused], "a rig's name has no space");
}

#[test]
fn a_repeated_subscribe_and_login_are_the_same_session_and_user() {
    let mut pool = Pool::new(Dialects::ETHASH);
    let subscribe = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"a\",\"EthereumStratum/1.0.0\"]}\n";
    let first = pool.hear(subscribe);
    pool.prefix = vec![1];
    assert_eq!(pool.hear(subscribe), first);
    let login = b"{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"0xa.b\",\"x\"]}\n";
    assert_eq!(pool.hear(login).iter().filter(|b| **b == b'\n').count(), 3);
    assert_eq!(
        pool.hear(login),
        b"{\"id\":2,\"result\":true,\"error\":null}\n"
    );
    let size = (
        pool.speaker.extranonce1().expect("subscribed"),
        pool.speaker.extranonce2_size(),
    );
    assert_eq!((size.0.bytes(), size.1), (&[0xaf, 0x4c][..], 6));
}

#[test]
fn goodbyes_and_redirections_are_said_where_a_dialect_has_words() {
    let to = Reconnect {
        host: "other.example",
        port: 0xd80,
        wait_s: 3,
    };
    for (dialect, line, reconnect, bye) in [
        (
            Dialect::EthProxy,
            r#"{"id":1,"method":"eth_submitLogin","params":["0xa"]}"#,
            "",
            "",
        ),
        (
            Dialect::Legacy,
            r#"{"id":1,"method":"mining.subscribe","params":[]}"#,
            "",
            "",
        ),
        (
            Dialect::NiceHash,
            r#"{"id":1,"method":"mining.subscribe","params":["a","EthereumStratum/1.0.0"]}"#,
            "{\"id\":null,\"method\":\"client.reconnect\",\"params\":[\"other.example\",3456,3]}\n",
            "",
        ),
        (
            Dialect::EthereumStratum2,
            r#"{"id":1,"method":"mining.hello","params":{"proto":"EthereumStratum/2.0.0"}}"#,
            "{\"method\":\"mining.reconnect\",\"params\":{\"host\":\"other.example\",\"port\":\"d80\",\"resume\":\"0\"}}\n",
            "{\"method\":\"mining.bye\"}\n",
        ),
    ] {
        let mut pool = Pool::new(Dialects::ETHASH);
        pool.hear(format!("{line}\n").as_bytes());
        assert_eq!(pool.speaker.dialect(), Some(dialect));
        let (mut said, mut last) = (Vec::new(), Vec::new());
        assert_eq!(
            pool.speaker.reconnect(&mut said, Some(to)),
            !reconnect.is_empty()
        );
        pool.speaker.bye(&mut last);
        assert_eq!((text(said).as_str(), text(last).as_str()), (reconnect, bye));
    }
}

/// A miner's target from NiceHash's difficulty: exactly, and as ethminer and most others compute it.
#[test]
fn a_told_difficulty_is_never_easier_and_hardly_harder() {
    let mut works = vec![1, 2, 3, 65_535, 65_536, 1 << 20, WORK, Work::MAX];
    // Steps through all sizes, without a pattern in the low bits.
    let mut work: u64 = 7;
    while work < Work::MAX / 3 {
        work = work * 5 / 2 + work % 13;
        works.push(work);
    }
    for work in works {
        let text = ethash_difficulty(Work::new(work).expect("work"));
        let ours = Work::new(work).expect("work").target(WorkUnit::Ethash);
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        // As a fraction: digits / 10^n. floor(D1 / d) = D1 × 10^n / digits.
        let digits: U256 = format!("{whole}{fraction}").parse().expect("digits");
        let power = U256::from(10).pow(U256::from(fraction.len()));
        let d1 = U256::from(0xffff) << 208;
        let exact = wide_divide(d1, power, digits);
        let double: f64 = text.parse().expect("a number");
        assert!(exact <= ours, "{work}: easier: {text}");
        assert!(ours - exact <= ours >> 47, "{work}: harder: {text}");
        // Doubles: D1 / d has 53 bits, and work is what it is in 2^256 / target.
        let theirs = 65_535.0 * 2f64.powi(208) / double;
        let limit = if work == 1 {
            2f64.powi(256)
        } else {
            2f64.powi(256) / work.to_string().parse::<f64>().expect("a number")
        };
        assert!(theirs < limit, "{work}: easier in doubles: {text}");
        assert!(
            limit - theirs < limit * 2f64.powi(-46),
            "{work}: harder in doubles"
        );
    }
}

/// floor(a × b / c) where the product may pass 256 bits and the quotient saturates.
fn wide_divide(a: U256, b: U256, c: U256) -> U256 {
    let (mut quotient, mut rest) = (U256::ZERO, U256::ZERO);
    // Schoolbook: a's bits from the top, each times b, over c.
    for bit in (0..256).rev() {
        let (next, over) = quotient.overflowing_shl(1);
        if over {
            return U256::MAX;
        }
        quotient = next;
        rest <<= 1;
        if a.bit(bit) {
            rest += b;
        }
        let (more, left) = rest.div_rem(c);
        rest = left;
        let (next, over) = quotient.overflowing_add(more);
        if over {
            return U256::MAX;
        }
        quotient = next;
    }
    quotient
}

const WORK: u64 = pool::WORK;
