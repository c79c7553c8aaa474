//! The catalogue of clients' faults (background: protocols 5), as far as a session sees them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise and says which"
)]

use orebook_schema::work::Extranonce;
use orebook_stratum::{
    Action, CloseReason, LINE_BYTES_MAX, MALFORMED_LINES_MAX, Refused, Session, SessionConfig,
    StratumError, Submit,
};

const SHARE: &str = r#"{"id":4,"method":"mining.submit","params":["addr.rig1","1","00000000","6b011d6c","8d000000"]}"#;

fn session(version_mask: u32) -> Session {
    Session::new(SessionConfig {
        extranonce2_size: 4,
        version_mask,
    })
}

fn subscribe(session: &mut Session) {
    let mut out = Vec::new();
    match session.line(b"{\"id\":1,\"method\":\"mining.subscribe\"}", &mut out) {
        Action::Subscribe(asked) => {
            session.subscribed(&mut out, &asked, "s", Extranonce::default());
        }
        other => panic!("{other:?}"),
    }
}

fn authorize(session: &mut Session) {
    let mut out = Vec::new();
    let line = br#"{"id":1,"method":"mining.authorize","params":["addr.rig1"]}"#;
    match session.line(line, &mut out) {
        Action::Authorize(asked) => {
            session.authorized(&mut out, &asked, Ok(()));
        }
        other => panic!("{other:?}"),
    }
}

fn ready() -> Session {
    let mut session = session(0x1fff_e000);
    subscribe(&mut session);
    authorize(&mut session);
    session
}

fn send(session: &mut Session, line: &[u8]) -> (Action, String) {
    let mut out = Vec::new();
    let action = session.line(line, &mut out);
    (action, String::from_utf8(out).expect("replies are UTF-8"))
}

fn share(session: &mut Session, params: &str) -> Result<Submit, StratumError> {
    let line = format!(r#"{{"id":4,"method":"mining.submit","params":[{params}]}}"#);
    match send(session, line.as_bytes()) {
        (Action::Submit(submit), out) if out.is_empty() => Ok(submit),
        (
            Action::Refused {
                what: Refused::Submit,
                error,
            },
            out,
        ) => {
            let expected = format!(
                "{{\"id\":4,\"result\":null,\"error\":[{},\"{error}\",null]}}\n",
                error.code()
            );
            assert_eq!(out, expected, "{params}");
            Err(error)
        }
        other => panic!("{params}: {other:?}"),
    }
}

#[test]
fn shares_wait_for_subscribe_and_authorize() {
    let fields = r#""addr.rig1","1","00000000","6b011d6c","8d000000""#;
    let mut new = session(0);
    assert_eq!(share(&mut new, fields), Err(StratumError::NotSubscribed));
    authorize(&mut new);
    assert_eq!(share(&mut new, fields), Err(StratumError::NotSubscribed));
    let mut new = session(0);
    subscribe(&mut new);
    assert_eq!(share(&mut new, fields), Err(StratumError::Unauthorized));
    authorize(&mut new);
    assert!(share(&mut new, fields).is_ok());
}

#[test]
fn each_wrong_field_has_its_own_answer() {
    use StratumError::{
        Extranonce2, JobNotFound, Nonce, Ntime, Parameters, Unauthorized, VersionBits,
    };
    for (params, error) in [
        (r#""addr.rig1","1","00000000","6b011d6c""#, Parameters),
        ("", Parameters),
        (r#""addr.rig1","1","00000000","6b011d6c",5"#, Parameters),
        (
            r#""addr.rig1","1","00000000","6b011d6c","8d000000",5"#,
            Parameters,
        ),
        (r#""who","zz","zz","zz","zz""#, Unauthorized),
        (r#""addr.rig1","zz","0000000","zz","zz""#, Extranonce2),
        (r#""addr.rig1","zz","0x000000","zz","zz""#, Extranonce2),
        (r#""addr.rig1","zz","00000000","6b011d6","zz""#, Ntime),
        (
            r#""addr.rig1","zz","00000000","6b011d6c","+d000000""#,
            Nonce,
        ),
        (
            r#""addr.rig1","zz","00000000","6b011d6c","8d000000","6000""#,
            VersionBits,
        ),
        (
            r#""addr.rig1","zz","00000000","6b011d6c","8d000000","00006000""#,
            VersionBits,
        ),
        (
            r#""addr.rig1","zz","00000000","6b011d6c","8d000000""#,
            JobNotFound,
        ),
        (
            r#""addr.rig1","01","00000000","6b011d6c","8d000000""#,
            JobNotFound,
        ),
    ] {
        assert_eq!(share(&mut ready(), params), Err(error), "{params}");
    }
}

#[test]
fn upper_and_lower_case_are_one_share() {
    let mut session = ready();
    let configure = br#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{}]}"#;
    send(&mut session, configure);
    let lower = share(
        &mut session,
        r#""addr.rig1","bf","0abcdef0","6b011d6c","8d0000ff","0fffe000""#,
    );
    let upper = share(
        &mut session,
        r#""addr.rig1","bf","0ABCDEF0","6B011D6C","8D0000FF","0FFFE000""#,
    );
    let escaped = share(
        &mut session,
        r#""addr\u002erig1","bf","0ABCDEF0","6B011D6C","8D0000F\u0066","0FFFE000""#,
    );
    assert!(lower.is_ok());
    assert_eq!(lower, upper);
    assert_eq!(lower, escaped);
}

#[test]
fn a_sixth_parameter_is_taken_as_negotiated() {
    let configure = |mask: &str| {
        format!(
            r#"{{"id":1,"method":"mining.configure","params":[["version-rolling"],{{"version-rolling.mask":"{mask}"}}]}}"#
        )
    };
    for (mask, sixth, bits) in [
        (None, "", Ok(None)),
        (None, r#","00000000""#, Ok(None)),
        (None, ",null", Ok(None)),
        (None, r#","00002000""#, Err(StratumError::VersionBits)),
        (None, r#","zz""#, Err(StratumError::VersionBits)),
        (Some("1fffe000"), "", Ok(None)),
        (Some("1fffe000"), ",null", Ok(None)),
        (Some("1fffe000"), r#","00000000""#, Ok(Some(0))),
        (
            Some("1fffe000"),
            r#","1fffe000","ignored",{}"#,
            Ok(Some(0x1fff_e000)),
        ),
        (
            Some("1fffe000"),
            r#","20000000""#,
            Err(StratumError::VersionBits),
        ),
        (
            Some("00006000"),
            r#","00008000""#,
            Err(StratumError::VersionBits),
        ),
        (Some("00006000"), r#","00004000""#, Ok(Some(0x4000))),
        (
            Some("e0000000"),
            r#","00002000""#,
            Err(StratumError::VersionBits),
        ),
    ] {
        let mut session = ready();
        if let Some(mask) = mask {
            send(&mut session, configure(mask).as_bytes());
        }
        let params = format!(r#""addr.rig1","1","00000000","6b011d6c","8d000000"{sixth}"#);
        let read = share(&mut session, &params).map(|submit| submit.version_bits);
        assert_eq!(read, bits, "{mask:?} {sixth}");
    }
}

#[test]
fn extranonce2_has_the_sessions_size() {
    for size in 0..=8 {
        let mut session = Session::new(SessionConfig {
            extranonce2_size: size,
            version_mask: 0,
        });
        subscribe(&mut session);
        authorize(&mut session);
        for digits in 0..=18 {
            let text = "0123456789abcdef01".get(..digits).expect("ASCII");
            let params = format!(r#""addr.rig1","1","{text}","6b011d6c","8d000000""#);
            let read = share(&mut session, &params);
            assert_eq!(
                read.is_ok(),
                digits == 2 * usize::from(size),
                "{size} {digits}"
            );
            if let Ok(submit) = read {
                assert_eq!(orebook_schema::units::hex(submit.extranonce2.bytes()), text);
            }
        }
    }
}

#[test]
fn the_third_malformed_line_closes() {
    let mut session = ready();
    for number in 1..=MALFORMED_LINES_MAX {
        // A request between them does not forgive.
        assert!(matches!(
            send(&mut session, SHARE.as_bytes()).0,
            Action::Submit(_)
        ));
        let (action, out) = send(&mut session, b"\xff\x00[[[");
        assert_eq!(
            out,
            "{\"id\":null,\"result\":null,\"error\":[20,\"Malformed request\",null]}\n"
        );
        let expected = if number < MALFORMED_LINES_MAX {
            Action::Refused {
                what: Refused::Line,
                error: StratumError::Malformed,
            }
        } else {
            Action::Close(CloseReason::Malformed)
        };
        assert_eq!(action, expected, "{number}");
    }
}

#[test]
fn unknown_methods_never_close() {
    let mut session = session(0);
    for _ in 0..1_000 {
        let (action, out) = send(
            &mut session,
            br#"{"id":1,"method":"eth_submitLogin","params":["0x0"]}"#,
        );
        assert_eq!(
            out,
            "{\"id\":1,\"result\":null,\"error\":[20,\"Unsupported method\",null]}\n"
        );
        let expected = Action::Refused {
            what: Refused::Request,
            error: StratumError::Method,
        };
        assert_eq!(action, expected);
    }
    subscribe(&mut session);
}

#[test]
fn a_line_over_the_limit_closes_with_an_error() {
    let of_length = |bytes: usize| {
        let mut line = SHARE.as_bytes().to_vec();
        line.resize(bytes, b' ');
        line
    };
    assert!(matches!(
        send(&mut ready(), &of_length(LINE_BYTES_MAX)).0,
        Action::Submit(_)
    ));
    let (action, out) = send(&mut ready(), &of_length(LINE_BYTES_MAX + 1));
    assert_eq!(action, Action::Close(CloseReason::LineTooLong));
    assert_eq!(
        out,
        "{\"id\":null,\"result\":null,\"error\":[20,\"Malformed request\",null]}\n"
    );
}

#[test]
fn bad_names_are_refused_at_once() {
    for user in [
        "",
        "../../x",
        "a b",
        "a\\u0000b",
        "\\ud83d\\udc1f",
        &"a".repeat(10_000),
    ] {
        let line = format!(r#"{{"id":2,"method":"mining.authorize","params":["{user}","p"]}}"#);
        let (action, out) = send(&mut session(0), line.as_bytes());
        let expected = Action::Refused {
            what: Refused::Authorize,
            error: StratumError::Unauthorized,
        };
        assert_eq!(action, expected, "{line}");
        assert_eq!(
            out,
            "{\"id\":2,\"result\":false,\"error\":[24,\"Unauthorized worker\",null]}\n"
        );
    }
}

#[test]
fn a_password_is_nowhere_in_what_is_kept() {
    let line = br#"{"id":2,"method":"mining.authorize","params":["addr.rig1","hunter2,d=5"]}"#;
    let (action, out) = send(&mut session(0), line);
    assert!(matches!(action, Action::Authorize(_)));
    assert!(!format!("{action:?}{out}").contains("hunter2"));
}
