//! Where fuzzing enters: any line may come, nothing may panic, replies are JSON, and the scanner agrees with serde.
//! Used by the target beside it and, on stored and generated inputs, by `services/stratum/tests/lines.rs`.

use orebook_schema::work::Extranonce;
use orebook_stratum::{Action, LINE_BYTES_MAX, Session, SessionConfig};

/// The users of a ready session.
pub(crate) const USERS: [&str; 2] = ["addr.rig1", "addr.rig2"];

/// What becomes of a line in a ready session that may roll versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// A share to be checked.
    Submit,
    /// Something for the gateway to decide.
    Asked,
    /// A reply without an error.
    Answered,
    /// Nothing at all.
    Silent,
    /// A reply with an error.
    Refused,
    /// A reply with an error, and the end.
    Closed,
}

/// One line, in a session that said nothing yet, in one that may submit, and in one that may roll versions too.
pub(crate) fn fuzz_line(data: &[u8]) -> Outcome {
    let new = session(0);
    let plain = ready(session(0));
    let mut rolling = ready(session(0x1fff_e000));
    let wish = br#"{"id":1,"method":"mining.configure","params":[["version-rolling"]]}"#;
    let agreed = rolling.line(wish, &mut Vec::new());
    assert!(matches!(agreed, Action::Configured(_)), "rolling is agreed");
    fuzz_session(new, data);
    fuzz_session(plain, data);
    fuzz_session(rolling, data)
}

fn fuzz_session(session: Session, data: &[u8]) -> Outcome {
    let (action, out) = said(&session, data);
    if let Some(disguised) = disguised(data) {
        // The scanner knows no such key, so this one is serde's to read.
        assert!(
            said(&session, &disguised) == (action.clone(), out.clone()),
            "both readers agree"
        );
    }
    let error = error_code(&out);
    if let Action::Refused { error: refused, .. } = &action {
        assert!(
            error == Some(u64::from(refused.code())),
            "what is refused is answered"
        );
    }
    match action {
        Action::Submit(submit) => {
            assert!(out.is_empty(), "the gateway answers a submit");
            let user = USERS.get(usize::from(submit.user.0));
            assert!(user.is_some(), "a submit is of a known user");
            Outcome::Submit
        }
        Action::Subscribe(_) | Action::Authorize(_) => {
            assert!(out.is_empty(), "the gateway answers these");
            Outcome::Asked
        }
        Action::Suggest(_) | Action::Configured(_) | Action::ExtranonceSubscribed => {
            assert!(!out.is_empty() && error.is_none(), "these are answered");
            Outcome::Answered
        }
        Action::Nothing | Action::Agent(_) if out.is_empty() => Outcome::Silent,
        Action::Nothing | Action::Agent(_) => {
            assert!(error.is_none(), "an error is counted");
            Outcome::Answered
        }
        Action::Refused { .. } => Outcome::Refused,
        Action::Close(_) => {
            assert!(
                LINE_BYTES_MAX < data.len(),
                "one line closes only if it is too long"
            );
            Outcome::Closed
        }
        other => panic!("not Stratum V1's: {other:?}"),
    }
}

/// What a copy of the session says to a line.
fn said(session: &Session, line: &[u8]) -> (Action, Vec<u8>) {
    let mut out = Vec::new();
    let action = session.clone().line(line, &mut out);
    (action, out)
}

/// The code of the error in a reply; there is at most one reply, and it is JSON with `id`, `result` and `error`.
fn error_code(out: &[u8]) -> Option<u64> {
    if out.is_empty() {
        return None;
    }
    let line = out.strip_suffix(b"\n");
    let line = line.filter(|line| !line.contains(&b'\n'));
    let reply = line.and_then(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let Some(serde_json::Value::Object(reply)) = reply else {
        panic!(
            "a reply is one line and a JSON object: {}",
            out.escape_ascii()
        );
    };
    let keys = ["error", "id", "result"];
    assert!(
        keys.iter().eq(reply.keys()),
        "a reply has three keys: {reply:?}"
    );
    let error = reply.get("error").filter(|error| !error.is_null())?;
    let error = error.as_array().map(Vec::as_slice);
    let Some([code, message, serde_json::Value::Null]) = error else {
        panic!("an error is a tuple of three: {error:?}");
    };
    assert!(message.is_string(), "its second is a text");
    code.as_u64()
        .filter(|code| (20..=25).contains(code))
        .or_else(|| panic!("no code: {code}"))
}

/// The same object with one key more that means nothing.
fn disguised(data: &[u8]) -> Option<Vec<u8>> {
    const KEY: &[u8] = b"{\"_\":0";
    let rest = data.trim_ascii().strip_prefix(b"{")?;
    let comma: &[u8] = if rest.trim_ascii_start().starts_with(b"}") {
        b""
    } else {
        b","
    };
    let whole = [KEY, comma, rest].concat();
    (whole.len() <= LINE_BYTES_MAX && data.len() <= LINE_BYTES_MAX).then_some(whole)
}

fn session(version_mask: u32) -> Session {
    Session::new(SessionConfig {
        extranonce2_size: 4,
        version_mask,
    })
}

fn ready(mut session: Session) -> Session {
    let mut out = Vec::new();
    let asked = session.line(b"{\"id\":1,\"method\":\"mining.subscribe\"}", &mut out);
    if let Action::Subscribe(asked) = asked {
        session.subscribed(&mut out, &asked, "s", Extranonce::default());
    }
    for user in USERS {
        let line = format!(r#"{{"id":1,"method":"mining.authorize","params":["{user}"]}}"#);
        if let Action::Authorize(asked) = session.line(line.as_bytes(), &mut out) {
            session.authorized(&mut out, &asked, Ok(()));
        }
    }
    assert!(session.may_send_work(), "it is subscribed and authorized");
    session
}
