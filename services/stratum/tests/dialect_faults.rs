//! The catalogue of faults (background: protocols 5) as far as ethash's dialects and getwork have them, and that nothing
//! depends on how bytes are split. The corpora of `fuzz/make_dialect_corpus.py` go through the fuzz target's entry.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "../fuzz/dialect_entry.rs"]
mod entry;
mod pool;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use entry::{Outcome, fuzz_dialects, ready};
use orebook_stratum::{
    Action, CloseReason, Dialect, Dialects, HTTP_BODY_BYTES_MAX, HTTP_HEAD_BYTES_MAX,
    HTTP_HEADERS_MAX, LINE_BYTES_MAX, MALFORMED_LINES_MAX, Refused, StratumError, USERS_MAX,
};
use pool::{Pool, SEAL};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

const MIX: &str = "d1fe5700000000000000000000000000d1fe5700000000000000000000000000";

/// Logins as each dialect has them; getwork's are in its requests.
const LOGINS: [(Dialect, &str); 4] = [
    (
        Dialect::EthProxy,
        "{\"id\":1,\"method\":\"eth_submitLogin\",\"params\":[\"0xa.rig\"]}\n",
    ),
    (
        Dialect::NiceHash,
        "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"a\",\"EthereumStratum/1.0.0\"]}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"0xa.rig\"]}\n",
    ),
    (
        Dialect::EthereumStratum2,
        "{\"id\":0,\"method\":\"mining.hello\",\"params\":{\"proto\":\"EthereumStratum/2.0.0\"}}\n{\"id\":1,\"method\":\"mining.subscribe\"}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"0xa.rig\",\"\"]}\n",
    ),
    (
        Dialect::Legacy,
        "{\"id\":1,\"jsonrpc\":\"2.0\",\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"0xa.rig\",\"\"]}\n",
    ),
];

fn logged_in(dialect: Dialect) -> Pool {
    let mut pool = Pool::new(Dialects::ALL);
    let (_, lines) = LOGINS
        .iter()
        .find(|(of, _)| *of == dialect)
        .expect("a login");
    pool.hear(lines.as_bytes());
    assert!(pool.speaker.may_send_work(), "{dialect:?}");
    pool.actions.clear();
    pool
}

fn share_line(dialect: Dialect, params: &str) -> String {
    let method = match dialect {
        Dialect::EthProxy => "eth_submitWork",
        _ => "mining.submit",
    };
    format!("{{\"id\":40,\"method\":\"{method}\",\"params\":[{params}]}}\n")
}

/// The parameters of a good share with one of them replaced.
fn params(dialect: Dialect, at: Option<(usize, &str)>) -> String {
    let quoted = |text: &str| format!("\"{text}\"");
    let mut all: Vec<String> = match dialect {
        Dialect::EthProxy => [
            "0xaf4c6a909d9bbc0f",
            &format!("0x{SEAL}"),
            &format!("0x{MIX}"),
        ]
        .map(quoted)
        .to_vec(),
        Dialect::NiceHash => ["0xa.rig", "bf0488aa", "6a909d9bbc0f"].map(quoted).to_vec(),
        Dialect::EthereumStratum2 => ["bf0488aa", "6a909d9bbc0f", "w-0"].map(quoted).to_vec(),
        _ => [
            "0xa.rig",
            SEAL,
            "0xaf4c6a909d9bbc0f",
            &format!("0x{SEAL}"),
            &format!("0x{MIX}"),
        ]
        .map(quoted)
        .to_vec(),
    };
    if let Some((at, value)) = at {
        all[at] = value.to_owned();
    }
    all.join(",")
}

#[test]
fn each_wrong_field_of_a_share_has_its_own_answer() {
    use Dialect::{EthProxy, EthereumStratum2, Legacy, NiceHash};
    use StratumError::{JobNotFound, Nonce, Parameters, Unauthorized};
    let hash_of_zeros = format!("\"0x{}\"", "0".repeat(64));
    let mut cases = Vec::new();
    // Where each dialect has its nonce, and what is none.
    for (dialect, at) in [
        (EthProxy, 0),
        (NiceHash, 2),
        (EthereumStratum2, 1),
        (Legacy, 2),
    ] {
        for wrong in [
            "\"\"",
            "\"0x\"",
            "\"6a909d9bbc0\"",
            "\"6a909d9bbc0ff0\"",
            "\"6a909d9bbc0g\"",
            "\" a909d9bbc0f\"",
            "\"+a909d9bbc0f\"",
            "\"0x909d9bbc0f\"",
            "\"0xaf4c6a909d9bbc0f0\"",
            "\"0Xaf4c6a909d9bbc0f\"",
            "\"0x0xaf4c6a909d9bbc\"",
            "\"af4c6a909d9bbc0\u{e9}\"",
            "\"af4c6a909d9b\\u0000c0f\"",
        ] {
            cases.push((dialect, at, wrong.to_owned(), Nonce));
        }
        for wrong in ["5", "null", "[]", "{}", "true"] {
            cases.push((dialect, at, wrong.to_owned(), Parameters));
        }
    }
    for (dialect, at) in [(NiceHash, 2), (EthereumStratum2, 1)] {
        cases.push((dialect, at, "\"ffff6a909d9bbc0f\"".to_owned(), Nonce));
        cases.push((dialect, at, "\"0x6a909d9bbc0f\"".to_owned(), Nonce));
    }
    for (dialect, seal, mix) in [(EthProxy, 1, 2), (Legacy, 3, 4)] {
        for at in [seal, mix] {
            for wrong in ["\"\"", "\"0x\"", "\"0x00\"", "\"zz\"", "null"] {
                cases.push((dialect, at, wrong.to_owned(), Parameters));
            }
        }
        cases.push((dialect, seal, hash_of_zeros.clone(), JobNotFound));
    }
    for (dialect, at) in [(NiceHash, 1), (EthereumStratum2, 0), (Legacy, 1)] {
        for wrong in [
            "\"\"",
            "\"0bf0488aa\"",
            "\"BF0488AA\"",
            "\"0xbf0488aa\"",
            "\"bf0488aab\"",
            "\"zz\"",
            "\"1\"",
        ] {
            cases.push((dialect, at, wrong.to_owned(), JobNotFound));
        }
    }
    for (dialect, at) in [(NiceHash, 0), (Legacy, 0), (EthereumStratum2, 2)] {
        for wrong in [
            "\"\"",
            "\"0xb\"",
            "\"0xa.rig2\"",
            "\"0xa.\"",
            "\"w-1\"",
            "\"w-00\"",
            "\"w-10000\"",
            "\"w-\"",
        ] {
            cases.push((dialect, at, wrong.to_owned(), Unauthorized));
        }
    }
    for (dialect, at, wrong, expected) in cases {
        let mut pool = logged_in(dialect);
        let line = share_line(dialect, &params(dialect, Some((at, &wrong))));
        let out = String::from_utf8(pool.hear(line.as_bytes())).expect("UTF-8");
        let refused = match &pool.actions[..] {
            [
                Action::Refused {
                    what: Refused::Submit,
                    error,
                },
            ] => *error,
            // A job that could be one is the pool's to know.
            [Action::EthashSubmit(_)] if expected == JobNotFound => JobNotFound,
            other => panic!("{dialect:?} {line}: {other:?}"),
        };
        assert_eq!(refused, expected, "{dialect:?} {line}");
        let answer: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(answer["id"], 40);
        assert!(!answer["error"].is_null(), "{out}");
        assert!(pool.shares.is_empty());
    }
}

#[test]
fn good_shares_are_one_number_however_they_are_written() {
    for (dialect, _) in LOGINS {
        let line = share_line(dialect, &params(dialect, None));
        let upper = line.replace("6a909d9bbc0f", "6A909D9BBC0F");
        let more = line.replace("]}", ",\"more\",5]}");
        let mut nonces = Vec::new();
        for line in [&line, &upper, &more] {
            let mut pool = logged_in(dialect);
            pool.hear(line.as_bytes());
            nonces.extend(pool.shares.iter().map(|share| share.nonce));
        }
        assert_eq!(nonces, [0xaf4c_6a90_9d9b_bc0f; 3], "{dialect:?}");
    }
}

#[test]
fn a_share_without_a_rig_is_nobodys_where_two_rigs_are_logged_in() {
    let mut pool = logged_in(Dialect::NiceHash);
    let line = share_line(
        Dialect::NiceHash,
        &params(Dialect::NiceHash, Some((0, "\"0xa\""))),
    );
    pool.hear(b"{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"0xa.two\"]}\n");
    let out = pool.hear(line.as_bytes());
    assert!(out.ends_with(b"[24,\"Unauthorized worker\",null]}\n"));
    assert!(pool.shares.is_empty());
}

#[test]
fn shares_wait_for_subscribe_and_login() {
    for (dialect, login) in LOGINS {
        let line = share_line(dialect, &params(dialect, None));
        let lines: Vec<&str> = login.lines().collect();
        for said in 1..lines.len() {
            let mut pool = Pool::new(Dialects::ALL.with(dialect));
            for before in &lines[..said] {
                pool.hear(format!("{before}\n").as_bytes());
            }
            pool.actions.clear();
            pool.hear(line.as_bytes());
            let error = match &pool.actions[..] {
                [Action::Refused { error, .. }] => *error,
                other => panic!("{dialect:?}: {other:?}"),
            };
            let is_early = dialect == Dialect::EthereumStratum2 && said == 1;
            let expected = if is_early {
                StratumError::NotSubscribed
            } else {
                StratumError::Unauthorized
            };
            assert_eq!(error, expected, "{dialect:?} behind {said}");
            assert!(!pool.speaker.may_send_work());
        }
    }
    let mut pool = Pool::new(Dialects::ETHASH);
    let out = pool.hear(b"{\"id\":5,\"method\":\"eth_getWork\"}\n");
    assert!(out.ends_with(b"\"error\":{\"code\":25,\"message\":\"Not subscribed\"}}\n"));
}

#[test]
fn lines_that_are_no_requests_end_a_connection_of_every_dialect() {
    for (dialect, _) in LOGINS {
        for line in [
            "nonsense",
            "[1]",
            "{}",
            "{\"id\":1",
            "\"x\"",
            "\u{0}",
            "{\"id\":[],\"method\":\"a\"}",
        ] {
            let mut pool = logged_in(dialect);
            for turn in 1..=MALFORMED_LINES_MAX {
                let out = pool.hear(format!("{line}\n").as_bytes());
                let answer: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
                assert!(
                    answer["id"].is_null() && !answer["error"].is_null(),
                    "{line}"
                );
                let last = turn == MALFORMED_LINES_MAX;
                assert_eq!(
                    pool.closed,
                    last.then_some(CloseReason::Malformed),
                    "{line}"
                );
            }
        }
        let mut pool = logged_in(dialect);
        pool.hear(&vec![b' '; LINE_BYTES_MAX + 1]);
        assert_eq!(pool.closed, Some(CloseReason::LineTooLong), "{dialect:?}");
        // Lines before the dialect was known count as well.
        let mut pool = Pool::new(Dialects::ALL);
        pool.hear(b"x\nx\n");
        assert_eq!(pool.closed, None);
        let (_, login) = LOGINS.iter().find(|(of, _)| *of == dialect).expect("one");
        pool.hear(format!("{login}x\n").as_bytes());
        assert_eq!(pool.closed, Some(CloseReason::Malformed), "{dialect:?}");
    }
}

#[test]
fn users_of_a_connection_are_bounded() {
    for (dialect, method) in [
        (Dialect::EthProxy, "eth_submitLogin"),
        (Dialect::NiceHash, "mining.authorize"),
    ] {
        let mut pool = logged_in(dialect);
        for number in 1..=USERS_MAX {
            let line =
                format!("{{\"id\":2,\"method\":\"{method}\",\"params\":[\"0xa.r{number}\"]}}\n");
            let out = pool.hear(line.as_bytes());
            let answer: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
            let is_full = number == USERS_MAX;
            assert_eq!(answer["result"].is_null(), is_full, "{number}");
        }
    }
}

#[test]
fn a_hello_of_another_protocol_and_hashrates_that_are_none_do_no_harm() {
    let mut pool = logged_in(Dialect::EthereumStratum2);
    let out = pool.hear(b"{\"id\":7,\"method\":\"mining.hello\",\"params\":{\"proto\":\"EthereumStratum/3.0.0\"}}\n");
    assert_eq!(
        out,
        b"{\"id\":7,\"error\":{\"code\":400,\"message\":\"Invalid parameters\"}}\n"
    );
    for (dialect, _) in LOGINS {
        for rate in [
            "\"0x\"",
            "\"\"",
            "5",
            "null",
            "\"0x10000000000000000\"",
            "\"-1\"",
            "\"0xzz\"",
            "[]",
        ] {
            let mut pool = logged_in(dialect);
            let line =
                format!("{{\"id\":9,\"method\":\"eth_submitHashrate\",\"params\":[{rate}]}}\n");
            let out = pool.hear(line.as_bytes());
            let answer: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
            assert!(answer.get("error").is_none_or(serde_json::Value::is_null));
            assert_eq!(pool.actions, [Action::Nothing], "{rate}");
        }
    }
}

fn post(path: &str, more: &str, body: &str) -> String {
    let len = body.len();
    format!("POST {path} HTTP/1.1\r\n{more}Content-Length: {len}\r\n\r\n{body}")
}

const GET_WORK: &str = r#"{"id":1,"method":"eth_getWork"}"#;

#[test]
fn http_requests_that_are_not_served_are_told_why() {
    let long = "a".repeat(HTTP_HEAD_BYTES_MAX);
    let many = "X-A: b\r\n".repeat(HTTP_HEADERS_MAX);
    let body = " ".repeat(HTTP_BODY_BYTES_MAX);
    let one = "POST / HTTP/1.1\r\n";
    for (request, status, ends) in [
        ("GET /a/b/c HTTP/1.1\r\n\r\n".to_owned(), 404, false),
        ("GET /0xa/rig HTTP/1.1\r\n\r\n".to_owned(), 200, false),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 200, true),
        (
            "GET / HTTP/1.1\r\nConnection: Keep-Alive, Close\r\n\r\n".to_owned(),
            200,
            true,
        ),
        ("DELETE /0xa HTTP/1.1\r\n\r\n".to_owned(), 405, false),
        (post("/a/b/c", "", GET_WORK), 404, false),
        (post("/0xa/../rig", "", GET_WORK), 404, false),
        (post("/%30xa", "", GET_WORK), 404, false),
        (post("/0xa/rig?d=5", "", GET_WORK), 200, false),
        (post("//0xa//rig", "", GET_WORK), 404, false),
        (post("/0xa/rig/", "", GET_WORK), 200, false),
        (post("0xa/rig", "", GET_WORK), 400, true),
        (post("/0xa rig", "", GET_WORK), 400, true),
        (format!("{one}\r\n"), 411, true),
        (
            format!("{one}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}"),
            400,
            true,
        ),
        (format!("{one}Content-Length: +2\r\n\r\n{{}}"), 400, true),
        (format!("{one}Content-Length: 0x2\r\n\r\n{{}}"), 400, true),
        (
            format!("{one}Content-Length: 99999999999999999999999\r\n\r\n"),
            413,
            true,
        ),
        (
            format!("{one}Content-Length: {}\r\n\r\n", HTTP_BODY_BYTES_MAX + 1),
            413,
            true,
        ),
        (post("/0xa", "", &body), 200, false),
        (post("/", "Transfer-Encoding: chunked\r\n", "0"), 411, true),
        (post("/", "Expect: 100-continue\r\n", "0"), 417, true),
        (post("/", "X-A : b\r\n", "0"), 400, true),
        (post("/", " folded: b\r\n", "0"), 400, true),
        (post("/", "no colon\r\n", "0"), 400, true),
        (post("/", "X: a\u{0}b\r\n", "0"), 400, true),
        (post("/", "X: a\nY: b\r\n", "0"), 400, true),
        (post("/", &many, "0"), 431, true),
        (post("/", &format!("X: {long}\r\n"), "0"), 431, true),
        ("POST / HTTP/2.0\r\n\r\n".to_owned(), 505, true),
        ("POST / HTP\r\n\r\n".to_owned(), 400, true),
        ("POST /\r\n\r\n".to_owned(), 400, true),
        ("POST  / HTTP/1.1\r\n\r\n".to_owned(), 400, true),
    ] {
        let mut pool = Pool::new(Dialects::ETHASH);
        let out = String::from_utf8(pool.hear(request.as_bytes())).expect("UTF-8");
        let shown: String = request.chars().take(120).collect();
        assert!(
            out.starts_with(&format!("HTTP/1.1 {status} ")),
            "{shown:?}: {out}"
        );
        assert_eq!(pool.closed.is_some(), ends, "{shown:?}");
        let (_, body) = out.split_once("\r\n\r\n").expect("a body");
        assert!(
            out.contains(&format!("Content-Length: {}\r\n", body.len())),
            "{out}"
        );
    }
    let mut pool = Pool::new(Dialects::ETHASH);
    let out = String::from_utf8(pool.hear(b"HEAD / HTTP/1.1\r\n\r\n")).expect("UTF-8");
    assert!(out.ends_with("Content-Length: 47\r\n\r\n"), "{out}");
}

#[test]
fn requests_over_one_http_connection_are_answered_in_order_and_each_for_its_user() {
    let share = |nonce: u8| {
        format!(
            r#"{{"id":{nonce},"method":"eth_submitWork","params":["0x00000000000000{nonce:02x}","0x{SEAL}","0x{MIX}"]}}"#
        )
    };
    let all = [
        post(
            "/0xa/rig1",
            "X-Forwarded-For: 198.51.100.7, 203.0.113.9\r\n",
            &share(16),
        ),
        post("/0xb.rig2", "", &share(17)),
        post("/wrong/rig", "", &share(18)),
        post("/0xa/rig1", "", &share(19)),
        // user 0xc.rig3, password d=4
        post("/", "Authorization: Basic MHhjLnJpZzM6ZD00\r\n", &share(20)),
        post("/", "", &share(21)),
        post("/0xb.rig2", "Connection: close\r\n", &share(22)),
        post("/0xb.rig2", "", &share(23)),
    ]
    .concat();
    let mut pool = Pool::new(Dialects::ALL);
    let out = String::from_utf8(pool.hear(all.as_bytes())).expect("UTF-8");
    let credited: Vec<(u64, u16)> = pool
        .shares
        .iter()
        .map(|share| (share.nonce, share.user.0))
        .collect();
    assert_eq!(credited, [(16, 0), (17, 1), (19, 0), (20, 2), (22, 1)]);
    assert_eq!(
        pool.closed,
        Some(CloseReason::Served),
        "what follows a close is not read"
    );
    let ids: Vec<&str> = out
        .split("{\"id\":")
        .skip(1)
        .map(|rest| &rest[..2])
        .collect();
    assert_eq!(ids, ["16", "17", "18", "19", "20", "21", "22"]);
    let asked: Vec<_> = pool
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Authorize(asked) => Some((
                &*asked.user,
                asked.options.difficulty.as_ref().map(ToString::to_string),
            )),
            _ => None,
        })
        .collect();
    assert_eq!(
        asked,
        [
            ("0xa/rig1", None),
            ("0xb.rig2", None),
            ("wrong/rig", None),
            ("0xc.rig3", Some("4".to_owned()))
        ]
    );
    let mut pool = Pool::new(Dialects::ALL);
    assert_eq!(pool.speaker.take_forwarded_for(), None, "no request yet");
    for (headers, said) in [
        (
            "X-Forwarded-For: 198.51.100.7, 203.0.113.9\r\n",
            "198.51.100.7, 203.0.113.9",
        ),
        (
            "x-forwarded-for: 198.51.100.7\r\nX-FORWARDED-FOR: \"\r\n",
            "198.51.100.7, \"",
        ),
        ("Forwarded: for=198.51.100.7\r\n", ""),
    ] {
        pool.hear(post("/0xa", headers, GET_WORK).as_bytes());
        let taken = pool.speaker.take_forwarded_for();
        assert_eq!(taken.as_deref(), Some(said), "as it came");
        assert_eq!(pool.speaker.take_forwarded_for(), None, "once a request");
    }
    assert!(!pool.speaker.may_send_work(), "nothing is pushed over HTTP");
}

/// A whole conversation of any dialect, some lines of it wrong.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let login = select(LOGINS.map(|(_, lines)| lines.to_owned()).to_vec());
    let shares = select(
        LOGINS
            .map(|(dialect, _)| share_line(dialect, &params(dialect, None)))
            .to_vec(),
    );
    let line = prop_oneof![
        4 => shares,
        1 => select(vec!["\n", "\r\n", "x\n", "{}\n", "[\n", "{\"id\":1,\"method\":\"mining.ping\"}\r\n", "{\"id\":1,\"method\":\"eth_getWork\"}\n", "{\"method\":\"mining.bye\"}\n"]).prop_map(str::to_owned),
    ];
    let lines = (
        prop_oneof![8 => login, 1 => Just(String::new())],
        vec(line, 0..6),
    )
        .prop_map(|(login, lines)| (login + &lines.concat()).into_bytes());
    let share = format!(
        r#"{{"id":7,"method":"eth_submitWork","params":["0xaf4c6a909d9bbc0f","0x{SEAL}","0x{MIX}"]}}"#
    );
    let requests = select(vec![
        post("/0xa/rig", "", GET_WORK),
        post("/0xa/rig", "Host: pool\r\n", &share),
        post("/b", "", GET_WORK),
        post("/", "", GET_WORK),
        post("/0xa/rig", "", "{"),
        post("/0xa/b/c", "", &share),
        post("/0xa/b", "Connection: close\r\n", &share),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "HEAD / HTTP/1.0\r\n\r\n".to_owned(),
        "PUT /0xa HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
        "POST / HTTP/1.1\r\nbad\r\n\r\n".to_owned(),
    ]);
    let requests = vec(requests, 1..6).prop_map(|requests| requests.concat().into_bytes());
    let changed = (
        prop_oneof![2 => lines.boxed(), 1 => requests.boxed()],
        vec((any::<Index>(), any::<u8>()), 0..2),
    );
    changed.prop_map(|(mut bytes, changes)| {
        for (index, byte) in changes {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

#[test]
fn what_is_said_does_not_depend_on_how_bytes_are_split() {
    let strategy = (
        conversation(),
        vec(any::<Index>(), 0..5),
        select(vec![Dialects::ALL, Dialects::ETHASH, Dialects::STRATUM_V1]),
    );
    let mut runner = TestRunner::new(Config {
        cases: 3_000,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&strategy, |(bytes, cuts, port)| {
        let mut whole = Pool::new(port);
        let out = whole.hear(&bytes);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.sort_unstable();
        let mut split = Pool::new(port);
        let (mut said, mut from) = (Vec::new(), 0);
        for to in places.into_iter().chain([bytes.len()]) {
            said.extend(split.hear(&bytes[from..to]));
            from = to;
        }
        assert_eq!(said, out, "{}", bytes.escape_ascii());
        assert_eq!((split.actions, split.closed), (whole.actions, whole.closed));
        let mut single = Pool::new(port);
        let said: Vec<u8> = bytes
            .iter()
            .flat_map(|byte| single.hear(&[*byte]))
            .collect();
        assert_eq!(said, out, "{}", bytes.escape_ascii());
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}");
}

#[test]
fn the_corpora_are_understood_as_their_names_say() {
    let mut seen: BTreeMap<Outcome, usize> = BTreeMap::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/dialect");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the corpus is checked in")
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    assert!(150 <= files.len(), "{} inputs, too few", files.len());
    for path in files {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let bytes = fs::read(&path).expect("it is read");
        let outcome = fuzz_dialects(&bytes);
        let expected = match name.split('-').next().unwrap_or_default() {
            "share" => Outcome::Share,
            "asked" => Outcome::Asked,
            "answered" => Outcome::Answered,
            "silent" => Outcome::Silent,
            "refused" => Outcome::Refused,
            "closed" => Outcome::Closed,
            "any" => outcome,
            other => panic!("{name}: what is {other}?"),
        };
        assert_eq!(outcome, expected, "{name}: {}", bytes.escape_ascii());
        *seen.entry(outcome).or_default() += 1;
    }
    assert_eq!(seen.len(), 6, "every outcome comes: {seen:?}");
}

#[test]
fn any_bytes_are_answered_or_ignored_in_every_dialect() {
    let bytes = prop_oneof![1 => vec(any::<u8>(), 0..200), 3 => conversation()];
    let selected = (0_u8..6, bytes).prop_map(|(dialect, mut bytes)| {
        bytes.insert(0, dialect);
        bytes
    });
    let mut runner = TestRunner::new(Config {
        cases: 3_000,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&selected, |bytes| {
        fuzz_dialects(&bytes);
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}");
    for number in 0..5 {
        assert_eq!(ready(number).dialect().is_none(), number == 4, "{number}");
    }
}
