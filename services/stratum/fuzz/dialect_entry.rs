//! Where fuzzing of ethash's dialects enters: the first byte chooses one, what follows are lines, or requests over HTTP, of a
//! session that is ready. Nothing may panic, every answer has the dialect's shape, and nothing but what is whole is taken.
//! Used by the target beside it and by `services/stratum/tests/dialect_faults.rs`.

use orebook_schema::work::Extranonce;
use orebook_stratum::{
    Action, Dialect, Dialects, HTTP_BODY_BYTES_MAX, HTTP_HEAD_BYTES_MAX, HelloTerms,
    LINE_BYTES_MAX, SessionConfig, Speaker, SpeakerConfig, StratumError,
};

/// What becomes of the first thing that asks something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// A share to be checked.
    Share,
    /// Something for the gateway to decide.
    Asked,
    /// An answer without an error.
    Answered,
    /// Nothing at all.
    Silent,
    /// An answer with an error.
    Refused,
    /// The end.
    Closed,
}

/// Most turns of one input; each takes a byte at least, or asks for a login.
const TURNS_MAX: usize = 100_000;

/// Logins by the number of a dialect: eth-proxy, NiceHash, EthereumStratum/2.0.0, legacy. The others are new connections.
const LOGINS: [&[&str]; 4] = [
    &[r#"{"id":1,"method":"eth_submitLogin","params":["addr.rig1"]}"#],
    &[
        r#"{"id":1,"method":"mining.subscribe","params":["a","EthereumStratum/1.0.0"]}"#,
        r#"{"id":2,"method":"mining.authorize","params":["addr.rig1"]}"#,
    ],
    &[
        r#"{"id":0,"method":"mining.hello","params":{"proto":"EthereumStratum/2.0.0"}}"#,
        r#"{"id":1,"method":"mining.subscribe"}"#,
        r#"{"id":2,"method":"mining.authorize","params":["addr.rig1","x"]}"#,
    ],
    &[
        r#"{"id":1,"jsonrpc":"2.0","method":"mining.subscribe","params":[]}"#,
        r#"{"id":2,"jsonrpc":"2.0","method":"mining.authorize","params":["addr.rig1","x"]}"#,
    ],
];

/// A session that may submit; behind the fourth a new connection of a port that takes everything.
pub(crate) fn ready(number: u8) -> Speaker {
    let mut speaker = Speaker::new(SpeakerConfig {
        dialects: Dialects::ALL,
        session: SessionConfig {
            extranonce2_size: 4,
            version_mask: 0,
        },
        hello: HelloTerms {
            timeout_s: 180,
            errors_max: 5,
        },
    });
    let lines = LOGINS.get(usize::from(number)).copied().unwrap_or_default();
    for line in lines {
        let mut out = Vec::new();
        match speaker.line(line.as_bytes(), &mut out) {
            Action::Subscribe(asked) => {
                let prefix = Extranonce::new(&[0xaf, 0x4c]).unwrap_or_default();
                speaker.subscribed(&mut out, &asked, "s", prefix);
            }
            Action::Authorize(asked) => {
                speaker.authorized(&mut out, &asked, Ok(()));
            }
            _ => {}
        }
    }
    assert!(
        speaker.may_send_work() != lines.is_empty(),
        "it is logged in"
    );
    speaker
}

/// The first thing that becomes of the bytes and is not nothing.
pub(crate) fn fuzz_dialects(data: &[u8]) -> Outcome {
    let (number, mut rest) = match data.split_first() {
        Some((number, rest)) => (*number, rest),
        None => return Outcome::Silent,
    };
    let mut speaker = ready(number);
    let mut first = Outcome::Silent;
    for _ in 0..TURNS_MAX {
        let mut out = Vec::new();
        let heard = speaker.hear(rest, &mut out);
        assert!(
            heard.taken <= rest.len(),
            "no byte is taken that did not come"
        );
        rest = rest.get(heard.taken..).unwrap_or_default();
        let (outcome, goes_on) = outcome(&mut speaker, heard.action, rest, heard.taken, out);
        if first == Outcome::Silent {
            first = outcome;
        }
        if !goes_on {
            break;
        }
    }
    first
}

fn outcome(
    speaker: &mut Speaker,
    action: Action,
    rest: &[u8],
    taken: usize,
    mut out: Vec<u8>,
) -> (Outcome, bool) {
    let is_answered = !out.is_empty();
    let outcome = match &action {
        Action::More => {
            let held = LINE_BYTES_MAX.max(HTTP_HEAD_BYTES_MAX + HTTP_BODY_BYTES_MAX);
            assert!(!is_answered && rest.len() <= held, "what waits is bounded");
            return (Outcome::Silent, false);
        }
        Action::Close(_) => return (Outcome::Closed, false),
        Action::EthashSubmit(share) => {
            assert!(!is_answered, "the gateway answers a share");
            assert!(share.user.0 < 1_024, "a share is of a known user");
            speaker.accepted(&mut out, &share.id);
            Outcome::Share
        }
        Action::Submit(share) => {
            speaker.accepted(&mut out, &share.id);
            Outcome::Share
        }
        Action::Subscribe(asked) => {
            speaker.subscribed(&mut out, asked, "s", Extranonce::default());
            Outcome::Asked
        }
        Action::Authorize(asked) => {
            assert!(!is_answered, "the gateway answers a login");
            let is_http = speaker.dialect() == Some(Dialect::GetWork);
            assert!(
                is_http == (taken == 0),
                "only a request waits for its login"
            );
            let verdict = if asked.name.login.len().is_multiple_of(2) {
                Ok(())
            } else {
                Err(StratumError::Unauthorized)
            };
            speaker.authorized(&mut out, asked, verdict);
            if is_http && verdict.is_ok() {
                return (Outcome::Silent, true);
            }
            Outcome::Asked
        }
        Action::GetWork { id } => {
            speaker.refused(&mut out, id, StratumError::NoWork);
            Outcome::Asked
        }
        Action::GetHeight { id, .. } => {
            speaker.give_height(&mut out, id, 1);
            Outcome::Asked
        }
        Action::Refused { .. } | Action::NotSpoken(_) => Outcome::Refused,
        _ if is_answered => Outcome::Answered,
        _ => Outcome::Silent,
    };
    check_shape(speaker.dialect(), outcome == Outcome::Silent, &out);
    (outcome, true)
}

/// One answer to one thing, in the dialect's own shape.
fn check_shape(dialect: Option<Dialect>, is_silent: bool, out: &[u8]) {
    if is_silent {
        assert!(out.is_empty());
        return;
    }
    let body = match dialect {
        Some(Dialect::GetWork) => {
            let text = str::from_utf8(out).unwrap_or_default();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                panic!("an answer of HTTP has a head: {}", out.escape_ascii());
            };
            if !head.contains("application/json") {
                return;
            }
            assert!(head.contains(&format!("Content-Length: {}", body.len())));
            body.as_bytes()
        }
        _ => match out.strip_suffix(b"\n") {
            Some(line) => line,
            None => panic!("an answer is a line: {}", out.escape_ascii()),
        },
    };
    let answer: serde_json::Value = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(error) => panic!("an answer is JSON: {error}: {}", out.escape_ascii()),
    };
    let keys = answer
        .as_object()
        .map(serde_json::Map::len)
        .unwrap_or_default();
    let error = answer.get("error").filter(|error| !error.is_null());
    assert!(answer.get("id").is_some(), "an answer has an id");
    let is_object = error.is_some_and(serde_json::Value::is_object);
    match dialect {
        Some(Dialect::StratumV1 | Dialect::NiceHash) => {
            assert!(keys == 3 && !is_object, "tuples, and all keys: {answer}");
        }
        Some(Dialect::EthereumStratum2) => {
            assert!(keys <= 2 && answer.get("jsonrpc").is_none(), "{answer}");
        }
        Some(_) => {
            assert!(answer.get("jsonrpc").is_some(), "{answer}");
            assert!(error.is_some() == answer.get("error").is_some(), "{answer}");
            assert!(error.is_none() || is_object, "{answer}");
        }
        None => {}
    }
}
