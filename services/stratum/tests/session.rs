//! What a well-behaved miner and a pool say to each other.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise and says which"
)]

use orebook_schema::units::U256;
use orebook_schema::work::Extranonce;
use orebook_stratum::{
    Action, Authorize, Configured, DifficultyText, Session, SessionConfig, StratumError, Submit,
    Subscribe, Suggestion, USERS_MAX, UserNumber,
};

const MASK: u32 = 0x1fff_e000;

fn session() -> Session {
    Session::new(SessionConfig {
        extranonce2_size: 4,
        version_mask: MASK,
    })
}

fn extranonce(bytes: &[u8]) -> Extranonce {
    Extranonce::new(bytes).expect("at most eight bytes")
}

/// Sends a line; gives what the session says and writes.
fn send(session: &mut Session, line: &str) -> (Action, String) {
    let mut out = Vec::new();
    let action = session.line(line.as_bytes(), &mut out);
    (action, String::from_utf8(out).expect("replies are UTF-8"))
}

fn subscribe(session: &mut Session, line: &str) -> Subscribe {
    match send(session, line) {
        (Action::Subscribe(subscribe), out) if out.is_empty() => subscribe,
        other => panic!("{line}: {other:?}"),
    }
}

fn authorize(session: &mut Session, line: &str) -> Authorize {
    match send(session, line) {
        (Action::Authorize(authorize), out) if out.is_empty() => authorize,
        other => panic!("{line}: {other:?}"),
    }
}

/// A session that is subscribed, with one user.
fn ready() -> Session {
    let mut session = session();
    let mut out = Vec::new();
    let asked = subscribe(
        &mut session,
        r#"{"id":1,"method":"mining.subscribe","params":[]}"#,
    );
    session.subscribed(&mut out, &asked, "s1", extranonce(&[0xf0, 0, 0, 15]));
    let asked = authorize(
        &mut session,
        r#"{"id":2,"method":"mining.authorize","params":["addr.rig1","x"]}"#,
    );
    let number = session.authorized(&mut out, &asked, Ok(()));
    assert_eq!(number, Some(UserNumber(0)));
    session
}

#[test]
fn a_captured_session_gets_the_captured_replies() {
    let mut session = session();
    let mut out = Vec::new();
    let asked = subscribe(
        &mut session,
        r#"{"id": 1, "method": "mining.subscribe", "params": ["cpuminer/2.5.1"]}"#,
    );
    assert_eq!(asked.agent.as_str(), "cpuminer/2.5.1");
    assert_eq!(asked.resume, None);
    session.subscribed(&mut out, &asked, "s1", extranonce(&[0xf0, 0, 0, 15]));
    assert!(!session.may_send_work(), "nobody is authorized yet");
    let asked = authorize(
        &mut session,
        r#"{"id": 2, "method": "mining.authorize", "params": ["addr.rig1", "d=0.01"]}"#,
    );
    assert_eq!(&*asked.name.login, "addr");
    assert_eq!(asked.name.worker.as_str(), "rig1");
    assert_eq!(asked.options.difficulty, DifficultyText::parse("0.01"));
    assert_eq!(
        session.authorized(&mut out, &asked, Ok(())),
        Some(UserNumber(0))
    );
    assert!(session.may_send_work());
    let (action, reply) = send(
        &mut session,
        r#"{"method": "mining.submit", "params": ["addr.rig1", "1", "00000000", "6b011d6c", "8d000000"], "id":4}"#,
    );
    let Action::Submit(submit) = action else {
        panic!("{action:?} {reply}");
    };
    orebook_stratum::write::reply_true(&mut out, &submit.id);
    assert_eq!(
        str::from_utf8(&out).expect("UTF-8"),
        concat!(
            r#"{"id":1,"result":[[["mining.set_difficulty","s1"],["mining.notify","s1"]],"f000000f",4],"error":null}"#,
            "\n",
            r#"{"id":2,"result":true,"error":null}"#,
            "\n",
            r#"{"id":4,"result":true,"error":null}"#,
            "\n",
        )
    );
    let expected = Submit {
        id: submit.id.clone(),
        user: UserNumber(0),
        job: 1,
        extranonce2: extranonce(&[0; 4]),
        ntime: 0x6b01_1d6c,
        nonce: 0x8d00_0000,
        version_bits: None,
    };
    assert_eq!(submit, expected);
}

#[test]
fn authorize_may_come_before_subscribe_but_work_waits_for_both() {
    let mut session = session();
    let mut out = Vec::new();
    let asked = authorize(
        &mut session,
        r#"{"id":1,"method":"mining.authorize","params":["addr"]}"#,
    );
    assert_eq!(asked.name.worker.as_str(), "default");
    session.authorized(&mut out, &asked, Ok(()));
    assert!(!session.may_send_work());
    let asked = subscribe(&mut session, r#"{"id":2,"method":"mining.subscribe"}"#);
    assert_eq!(asked.agent.as_str(), "");
    session.subscribed(&mut out, &asked, "s", extranonce(&[1]));
    assert!(session.may_send_work());
    assert_eq!(session.extranonce1(), Some(extranonce(&[1])));
}

#[test]
fn a_second_subscribe_gets_the_same_answer() {
    let mut session = ready();
    let (action, again) = send(
        &mut session,
        r#"{"id":9,"method":"mining.subscribe","params":["other/1","elsewhere"]}"#,
    );
    assert_eq!(action, Action::Nothing);
    assert_eq!(
        again,
        concat!(
            r#"{"id":9,"result":[[["mining.set_difficulty","s1"],["mining.notify","s1"]],"f000000f",4],"error":null}"#,
            "\n"
        )
    );
}

#[test]
fn a_session_to_resume_is_told_if_it_could_be_ours() {
    let long = format!(
        r#"{{"id":1,"method":"mining.subscribe","params":["a","{}"]}}"#,
        "a".repeat(65)
    );
    for (line, resume) in [
        (
            r#"{"id":1,"method":"mining.subscribe","params":["a","s-17"]}"#,
            Some("s-17"),
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":["a","s-17","host",3333]}"#,
            Some("s-17"),
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":["a",null,"host",3333]}"#,
            None,
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":["a",""]}"#,
            None,
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":["a","with space"]}"#,
            None,
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":[null,"\u0007"]}"#,
            None,
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":[7,8]}"#,
            None,
        ),
        (
            r#"{"id":1,"method":"mining.subscribe","params":null}"#,
            None,
        ),
        (long.as_str(), None),
    ] {
        let asked = subscribe(&mut session(), line);
        assert_eq!(asked.resume.as_deref(), resume, "{line}");
    }
}

#[test]
fn several_users_have_a_number_each_and_keep_it() {
    let mut session = ready();
    let mut out = Vec::new();
    for (user, number) in [("b.1", 1), ("addr.rig1", 0), ("b.2", 2), ("b.1", 1)] {
        let line = format!(r#"{{"id":5,"method":"mining.authorize","params":["{user}","p"]}}"#);
        let asked = authorize(&mut session, &line);
        assert_eq!(
            session.authorized(&mut out, &asked, Ok(())),
            Some(UserNumber(number))
        );
    }
    for (user, number) in [("b.2", 2), ("b.1", 1), ("addr.rig1", 0)] {
        let line = format!(
            r#"{{"id":5,"method":"mining.submit","params":["{user}","1","00000000","00000000","00000000"]}}"#
        );
        match send(&mut session, &line).0 {
            Action::Submit(submit) => assert_eq!(submit.user, UserNumber(number)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn more_users_than_the_limit_are_refused() {
    let mut session = session();
    let mut out = Vec::new();
    for user in 0..=USERS_MAX {
        let line = format!(r#"{{"id":5,"method":"mining.authorize","params":["u{user}"]}}"#);
        let asked = authorize(&mut session, &line);
        out.clear();
        let number = session.authorized(&mut out, &asked, Ok(()));
        assert_eq!(number.is_some(), user < USERS_MAX, "{user}");
    }
    assert_eq!(
        out,
        b"{\"id\":5,\"result\":false,\"error\":[24,\"Unauthorized worker\",null]}\n"
    );
    let again = authorize(
        &mut session,
        r#"{"id":5,"method":"mining.authorize","params":["u7"]}"#,
    );
    let number = session.authorized(&mut out, &again, Ok(()));
    assert_eq!(number, Some(UserNumber(7)), "who is known stays");
}

#[test]
fn a_refused_user_may_not_submit() {
    let mut session = ready();
    let mut out = Vec::new();
    let asked = authorize(
        &mut session,
        r#"{"id":5,"method":"mining.authorize","params":["no.body"]}"#,
    );
    let number = session.authorized(&mut out, &asked, Err(StratumError::Unauthorized));
    assert_eq!(number, None);
    assert_eq!(
        out,
        b"{\"id\":5,\"result\":false,\"error\":[24,\"Unauthorized worker\",null]}\n"
    );
    let (_, reply) = send(
        &mut session,
        r#"{"id":6,"method":"mining.submit","params":["no.body","1","00000000","00000000","00000000"]}"#,
    );
    assert_eq!(
        reply,
        "{\"id\":6,\"result\":null,\"error\":[24,\"Unauthorized worker\",null]}\n"
    );
}

#[test]
fn ids_come_back_as_they_were_written() {
    let long = "7".repeat(64);
    for id in [
        "1",
        "0",
        "-3",
        "1.50",
        "1e3",
        "null",
        "\"4\"",
        "\"\"",
        "\"a\\u0041\\\"\"",
        "\"ä\"",
        "18446744073709551616",
        long.as_str(),
    ] {
        for method in ["mining.ping", "mining.nothing", "mining.submit"] {
            let line = format!(
                r#"{{"id":{id},"method":"{method}","params":["addr.rig1","zz","00000000","00000000","00000000"]}}"#
            );
            let (_, reply) = send(&mut ready(), &line);
            assert!(
                reply.starts_with(&format!("{{\"id\":{id},\"result\":")),
                "{line} {reply}"
            );
        }
    }
    let (_, reply) = send(&mut ready(), r#"{"method":"mining.ping"}"#);
    assert_eq!(reply, "{\"id\":null,\"result\":\"pong\",\"error\":null}\n");
}

#[test]
fn configure_agrees_what_both_want() {
    let full = r#"[["version-rolling","minimum-difficulty","subscribe-extranonce","info"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2,"minimum-difficulty.value":2048,"info.sw-version":"x"}]"#;
    for (params, mask, least, result) in [
        (
            full,
            Some(MASK),
            Some("2048"),
            r#"{"version-rolling.mask":"1fffe000","version-rolling":true,"minimum-difficulty":true,"subscribe-extranonce":true,"info":true}"#,
        ),
        (
            r#"[["version-rolling"],{}]"#,
            Some(MASK),
            None,
            r#"{"version-rolling.mask":"1fffe000","version-rolling":true}"#,
        ),
        (
            r#"[["version-rolling"]]"#,
            Some(MASK),
            None,
            r#"{"version-rolling.mask":"1fffe000","version-rolling":true}"#,
        ),
        (
            r#"[["version-rolling"],null]"#,
            Some(MASK),
            None,
            r#"{"version-rolling.mask":"1fffe000","version-rolling":true}"#,
        ),
        (
            r#"[["version-rolling"],{"version-rolling.mask":"00FF0000"}]"#,
            Some(0x00ff_0000),
            None,
            r#"{"version-rolling.mask":"00ff0000","version-rolling":true}"#,
        ),
        (
            r#"[["version-rolling"],{"version-rolling.mask":"e000"}]"#,
            Some(0xe000),
            None,
            r#"{"version-rolling.mask":"0000e000","version-rolling":true}"#,
        ),
        (
            r#"[["version-rolling"],{"version-rolling.mask":"e0000000"}]"#,
            Some(0),
            None,
            r#"{"version-rolling":false}"#,
        ),
        (
            r#"[["version-rolling"],{"version-rolling.mask":"zz"}]"#,
            Some(0),
            None,
            r#"{"version-rolling":false}"#,
        ),
        (
            r#"[["version-rolling"],{"version-rolling.mask":"0x1fffe000"}]"#,
            Some(0),
            None,
            r#"{"version-rolling":false}"#,
        ),
        (
            r#"[["version-rolling"],{"version-rolling.min-bit-count":99}]"#,
            Some(0),
            None,
            r#"{"version-rolling":false}"#,
        ),
        (
            r#"[["version-rolling"],{"version-rolling.min-bit-count":16}]"#,
            Some(MASK),
            None,
            r#"{"version-rolling.mask":"1fffe000","version-rolling":true}"#,
        ),
        (
            r#"[["version-rolling"],{"version-rolling.min-bit-count":"2"}]"#,
            Some(MASK),
            None,
            r#"{"version-rolling.mask":"1fffe000","version-rolling":true}"#,
        ),
        (
            r#"[["version-rolling"],{"version-rolling.min-bit-count":-1}]"#,
            Some(0),
            None,
            r#"{"version-rolling":false}"#,
        ),
        (
            r#"[["minimum-difficulty"],{"minimum-difficulty.value":"0.5"}]"#,
            None,
            Some("0.5"),
            r#"{"minimum-difficulty":true}"#,
        ),
        (
            r#"[["minimum-difficulty"],{"minimum-difficulty.value":0}]"#,
            None,
            None,
            r#"{"minimum-difficulty":false}"#,
        ),
        (
            r#"[["minimum-difficulty"],{}]"#,
            None,
            None,
            r#"{"minimum-difficulty":false}"#,
        ),
        (
            r#"[["what\"ever","info","info"],{}]"#,
            None,
            None,
            r#"{"what\"ever":false,"info":true}"#,
        ),
        (r"[[],{}]", None, None, "{}"),
    ] {
        let mut session = session();
        let line = format!(r#"{{"id":3,"method":"mining.configure","params":{params}}}"#);
        let (action, reply) = send(&mut session, &line);
        let expected = Configured {
            version_mask: mask,
            difficulty_min: least.and_then(DifficultyText::parse),
        };
        assert_eq!(action, Action::Configured(expected), "{params}");
        assert_eq!(
            reply,
            format!("{{\"id\":3,\"result\":{result},\"error\":null}}\n")
        );
        assert_eq!(session.version_mask(), mask.unwrap_or(0), "{params}");
        assert_eq!(session.takes_extranonce(), params == full, "{params}");
    }
}

#[test]
fn a_later_configure_replaces_the_mask_only_if_it_asks_for_one() {
    let mut session = session();
    for (params, mask) in [
        (r#"[["version-rolling"],{}]"#, MASK),
        (r#"[["info"],{}]"#, MASK),
        (
            r#"[["version-rolling"],{"version-rolling.mask":"00ff0000"}]"#,
            0x00ff_0000,
        ),
        (r#"[["version-rolling"],{"version-rolling.mask":"zz"}]"#, 0),
    ] {
        send(
            &mut session,
            &format!(r#"{{"id":3,"method":"mining.configure","params":{params}}}"#),
        );
        assert_eq!(session.version_mask(), mask, "{params}");
    }
}

#[test]
fn a_gateway_without_rolling_agrees_to_none() {
    let mut session = Session::new(SessionConfig {
        extranonce2_size: 4,
        version_mask: 0,
    });
    let (_, reply) = send(
        &mut session,
        r#"{"id":3,"method":"mining.configure","params":[["version-rolling"],{}]}"#,
    );
    assert_eq!(
        reply,
        "{\"id\":3,\"result\":{\"version-rolling\":false},\"error\":null}\n"
    );
    assert!(
        !session.change_version_mask(&mut Vec::new(), MASK),
        "it was never agreed"
    );
}

#[test]
fn suggestions_are_exact_and_answered_true() {
    let target = |hex: &str| Suggestion::Target(U256::from_str_radix(hex, 16).expect("hex"));
    let difficulty =
        |text: &str| Suggestion::Difficulty(DifficultyText::parse(text).expect("a difficulty"));
    let full = "00000000ffff0000000000000000000000000000000000000000000000000000";
    for (method, param, suggestion) in [
        ("difficulty", "1024", difficulty("1024")),
        ("difficulty", "0.003", difficulty("0.003")),
        ("difficulty", "\"512\"", difficulty("512")),
        ("difficulty", "1e3", difficulty("1000")),
        ("difficulty", "16,\"more\"", difficulty("16")),
        ("target", &format!("\"{full}\""), target(full)),
        ("target", "\"FF\"", target("ff")),
    ] {
        let line = format!(r#"{{"id":3,"method":"mining.suggest_{method}","params":[{param}]}}"#);
        let (action, reply) = send(&mut session(), &line);
        assert_eq!(action, Action::Suggest(suggestion), "{line}");
        assert_eq!(
            reply, "{\"id\":3,\"result\":true,\"error\":null}\n",
            "{line}"
        );
    }
}

#[test]
fn small_talk_is_answered_and_never_closes() {
    for (method, result, error) in [
        ("mining.ping", "\"pong\"", "null"),
        ("mining.noop", "true", "null"),
        ("mining.capabilities", "true", "null"),
        ("mining.multi_version", "true", "null"),
        ("mining.hashrate", "true", "null"),
        ("mining.extranonce.subscribe", "true", "null"),
        (
            "mining.get_transactions",
            "null",
            "[20,\"Unsupported method\",null]",
        ),
        (
            "eth_submitLogin",
            "null",
            "[20,\"Unsupported method\",null]",
        ),
    ] {
        for params in [
            "",
            r#","params":[]"#,
            r#","params":null"#,
            r#","params":{"a":[[]]}"#,
        ] {
            for mut session in [session(), ready()] {
                let line = format!(r#"{{"id":"q","method":"{method}"{params}}}"#);
                let (action, reply) = send(&mut session, &line);
                assert!(!matches!(action, Action::Close(_)), "{line}");
                let expected = format!("{{\"id\":\"q\",\"result\":{result},\"error\":{error}}}\n");
                assert_eq!(reply, expected, "{line}");
            }
        }
    }
}

#[test]
fn the_agent_is_taken_only_when_it_was_asked_for() {
    let mut session = ready();
    let answer = r#"{"id":"orebook-version","result":"cg\u0007miner/4.12","error":null}"#;
    assert_eq!(send(&mut session, answer), (Action::Nothing, String::new()));
    let mut out = Vec::new();
    session.ask_version(&mut out);
    assert_eq!(
        out,
        b"{\"id\":\"orebook-version\",\"method\":\"client.get_version\",\"params\":[]}\n"
    );
    let (action, reply) = send(&mut session, answer);
    assert_eq!(reply, "");
    match action {
        Action::Agent(agent) => assert_eq!(agent.as_str(), "cg?miner/4.12"),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        send(&mut session, answer).0,
        Action::Nothing,
        "one question, one answer"
    );
}

#[test]
fn replies_of_clients_are_not_answered() {
    let mut session = ready();
    session.ask_version(&mut Vec::new());
    for line in [
        r#"{"id":7,"result":true,"error":null}"#,
        r#"{"id":null,"result":true}"#,
        r#"{"id":"orebook-version","result":null,"error":null}"#,
        r#"{"id":8,"error":[20,"what?",null]}"#,
        r#"{"id":8,"method":null,"result":{"a":1}}"#,
    ] {
        assert_eq!(
            send(&mut session, line),
            (Action::Nothing, String::new()),
            "{line}"
        );
    }
}

#[test]
fn extranonce_and_mask_change_only_for_who_agreed() {
    let (mut session, mut out) = (ready(), Vec::new());
    assert!(!session.change_extranonce(&mut out, extranonce(&[9; 4])));
    assert!(!session.change_version_mask(&mut out, 0xe000));
    assert!(out.is_empty());
    let (action, _) = send(
        &mut session,
        r#"{"id":null,"method":"mining.extranonce.subscribe","params":[]}"#,
    );
    assert_eq!(action, Action::ExtranonceSubscribed);
    assert_eq!(session.version_mask(), 0, "it was never agreed");
    send(
        &mut session,
        r#"{"id":3,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"00006000"}]}"#,
    );
    assert_eq!(
        session.version_mask(),
        0x6000,
        "of the gateway's newest mask"
    );
    assert!(session.change_extranonce(&mut out, extranonce(&[9; 4])));
    assert!(session.change_version_mask(&mut out, MASK & !0x4000));
    assert_eq!(
        str::from_utf8(&out).expect("UTF-8"),
        concat!(
            r#"{"id":null,"method":"mining.set_extranonce","params":["09090909",4]}"#,
            "\n",
            r#"{"id":null,"method":"mining.set_version_mask","params":["00002000"]}"#,
            "\n",
        )
    );
    assert_eq!(session.extranonce1(), Some(extranonce(&[9; 4])));
    assert_eq!(
        session.version_mask(),
        0x2000,
        "the client never asked for more"
    );
}

#[test]
fn line_ends_and_empty_lines_do_not_matter() {
    let mut session = session();
    for line in ["", "\r", "  ", "\t\r"] {
        assert_eq!(send(&mut session, line), (Action::Nothing, String::new()));
    }
    let (_, reply) = send(&mut session, "  {\"id\":1,\"method\":\"mining.ping\"}\r");
    assert_eq!(reply, "{\"id\":1,\"result\":\"pong\",\"error\":null}\n");
}
