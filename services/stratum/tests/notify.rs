//! What a pool sends: the captured vectors word by word, and the small notifications.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use orebook_schema::units::unhex;
use orebook_schema::work::{Extranonce, Job};
use orebook_schema::{At, Hash};
use orebook_stratum::write::{
    Reconnect, reply_error, reply_refused, reply_true, write_notify, write_reconnect,
    write_set_difficulty, write_show_message,
};
use orebook_stratum::{
    Action, DifficultyText, Id, Session, SessionConfig, StratumError, parse_job_id, show_job_id,
};
use serde_json::{Value, json};

const ASSEMBLY: &str = include_str!("../../../tests/vectors/assembly.json");
const SUBMITS: &str = include_str!("../../../tests/vectors/sv1_submit.json");
const ROLLING: &str = include_str!("../../../tests/vectors/sv1_version_rolling.json");

fn vectors(text: &str) -> Value {
    serde_json::from_str(text).expect("a vector file is JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn bytes(value: &Value) -> Vec<u8> {
    unhex(value.as_str().expect("a string")).expect("hex")
}

fn little_endian(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

/// A job from a header that a node accepted, and the parts that only the notification has.
fn job(header: &[u8], notify: &Value) -> Job {
    Job {
        number: 7,
        policy: At::default(),
        height: 1,
        network_work: 1,
        reward: 0,
        fees: 0,
        direct: 0,
        version: little_endian(&header[..4]),
        prev: Hash(header[4..36].try_into().expect("32 bytes")),
        nbits: little_endian(&header[72..76]),
        time: little_endian(&header[68..72]),
        clean: true,
        coinbase1: bytes(&notify[2]),
        coinbase2: bytes(&notify[3]),
        branches: list(&notify[4])
            .iter()
            .map(|branch| Hash(bytes(branch).try_into().expect("32 bytes")))
            .collect(),
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut out = Vec::new();
    write(&mut out);
    assert_eq!(
        out.iter().filter(|byte| **byte == b'\n').count(),
        1,
        "one line"
    );
    assert_eq!(out.last(), Some(&b'\n'));
    serde_json::from_slice(&out).expect("it is JSON")
}

#[test]
fn captured_jobs_are_written_as_they_were_captured() {
    let cases = vectors(SUBMITS);
    assert_eq!(list(&cases["cases"]).len(), 6);
    for case in list(&cases["cases"]) {
        let notify = &case["notify"];
        let job = job(&bytes(&case["header"]), notify);
        let id = parse_job_id(notify[0].as_str().expect("a string")).expect("a job id");
        for clean in [true, false] {
            let mut params = notify.clone();
            params[8] = json!(clean);
            let expected = json!({"id": null, "method": "mining.notify", "params": params});
            assert_eq!(written(|out| write_notify(out, id, &job, clean)), expected);
        }
    }
}

#[test]
fn captured_submits_are_read_as_the_headers_have_them() {
    for case in list(&vectors(SUBMITS)["cases"]) {
        let size = case["extranonce2_size"].as_u64().expect("a number");
        let mut session = session(u8::try_from(size).expect("at most eight"));
        let line = json!({"id": 4, "method": "mining.submit", "params": case["submit"]});
        let mut out = Vec::new();
        let Action::Submit(submit) = session.line(line.to_string().as_bytes(), &mut out) else {
            panic!("{case}");
        };
        let header = bytes(&case["header"]);
        assert_eq!(submit.ntime, little_endian(&header[68..72]));
        assert_eq!(submit.nonce, little_endian(&header[76..80]));
        assert_eq!(show_job_id(submit.job), case["submit"][1]);
        assert_eq!(submit.extranonce2.bytes(), bytes(&case["submit"][2]));
        assert_eq!(submit.version_bits, None);
    }
}

#[test]
fn captured_version_bits_are_taken_inside_the_mask_only() {
    for case in list(&vectors(ROLLING)["cases"]) {
        let mut session = session(4);
        let mut out = Vec::new();
        let mask = case["mask"].as_str().expect("a string");
        let wish = json!({"id": 1, "method": "mining.configure", "params":
            [["version-rolling"], {"version-rolling.mask": mask}]});
        session.line(wish.to_string().as_bytes(), &mut out);
        let bits = case["version_bits"].as_str().expect("a string");
        let line = json!({"id": 4, "method": "mining.submit", "params":
            ["addr.rig1", "1", "00000000", "6b011d8f", case["nonce"].as_str().unwrap_or("00000000"), bits]});
        let action = session.line(line.to_string().as_bytes(), &mut out);
        match action {
            Action::Submit(submit) => {
                assert_eq!(case["allowed"], true, "{case}");
                assert_eq!(format!("{:08x}", submit.version_bits.expect("bits")), bits);
            }
            Action::Refused { error, .. } => {
                assert_eq!(case["allowed"], false, "{case}");
                assert_eq!(error, StratumError::VersionBits);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_parent_goes_out_with_its_words_in_opposite_order() {
    let cases = vectors(ASSEMBLY);
    for case in list(&cases["prevhash"]) {
        let mut rpc = bytes(&case["rpc_previousblockhash"]);
        rpc.reverse();
        assert_eq!(
            rpc,
            bytes(&case["header_bytes"]),
            "header order is the RPC's, reversed"
        );
        let job = Job {
            prev: Hash(rpc.try_into().expect("32 bytes")),
            ..small_job()
        };
        let line = written(|out| write_notify(out, 1, &job, false));
        assert_eq!(line["params"][1], case["stratum_notify"]);
    }
}

#[test]
fn numbers_of_a_job_keep_their_leading_zeros() {
    let line = written(|out| write_notify(out, 0xbf, &small_job(), false));
    let params = json!([
        "bf",
        "00".repeat(32),
        "01",
        "02",
        ["03".repeat(32)],
        "00000001",
        "0000ffff",
        "0000000a",
        false
    ]);
    assert_eq!(line["params"], params);
}

#[test]
fn small_notifications_are_json_whatever_the_text() {
    let difficulty = DifficultyText::parse("0.0001").expect("a difficulty");
    let mut out = Vec::new();
    write_set_difficulty(&mut out, &difficulty);
    assert_eq!(
        out,
        b"{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[0.0001]}\n"
    );
    let text = "a \"quote\"\n\u{7}\u{1f41f}\\";
    let message = written(|out| write_show_message(out, text));
    assert_eq!(
        message,
        json!({"id": null, "method": "client.show_message", "params": [text]})
    );
    let there = Reconnect {
        host: "pool.example",
        port: 3333,
        wait_s: 5,
    };
    for (to, params) in [
        (None, json!([])),
        (Some(there), json!(["pool.example", 3333, 5])),
    ] {
        let line = written(|out| write_reconnect(out, to));
        assert_eq!(
            line,
            json!({"id": null, "method": "client.reconnect", "params": params})
        );
    }
}

#[test]
fn replies_always_have_both_keys() {
    assert_eq!(
        written(|out| reply_true(out, &Id::null())),
        json!({"id": null, "result": true, "error": null})
    );
    for error in StratumError::ALL {
        let tuple = json!([error.code(), error.to_string(), null]);
        assert_eq!(
            written(|out| reply_error(out, &Id::null(), error)),
            json!({"id": null, "result": null, "error": tuple})
        );
        assert_eq!(
            written(|out| reply_refused(out, &Id::null(), error)),
            json!({"id": null, "result": false, "error": tuple})
        );
    }
    let mut names = StratumError::ALL.map(StratumError::name);
    names.sort_unstable();
    assert!(names.is_sorted_by(|a, b| a < b), "a name each");
}

#[test]
fn codes_are_the_protocols() {
    for (error, code) in [
        (StratumError::Malformed, 20),
        (StratumError::NtimeRange, 20),
        (StratumError::Unavailable, 20),
        (StratumError::NoWork, 20),
        (StratumError::JobNotFound, 21),
        (StratumError::Duplicate, 22),
        (StratumError::LowDifficulty, 23),
        (StratumError::Unauthorized, 24),
        (StratumError::NotSubscribed, 25),
    ] {
        assert_eq!(error.code(), code, "{error:?}");
    }
}

#[test]
fn a_job_id_has_one_spelling() {
    for id in [0, 1, 9, 10, 0xbf, 0x1234_5678, u32::MAX] {
        assert_eq!(parse_job_id(&show_job_id(id)), Some(id));
    }
    for text in [
        "",
        "00",
        "01",
        "BF",
        "0x1",
        "g",
        "+1",
        " 1",
        "123456789",
        "-1",
        "ä",
    ] {
        assert_eq!(parse_job_id(text), None, "{text}");
    }
}

fn small_job() -> Job {
    Job {
        number: 0,
        policy: At::default(),
        height: 1,
        network_work: 1,
        reward: 0,
        fees: 0,
        direct: 0,
        version: 1,
        prev: Hash::ZERO,
        nbits: 0xffff,
        time: 10,
        clean: false,
        coinbase1: vec![1],
        coinbase2: vec![2],
        branches: vec![Hash([3; 32])],
    }
}

/// Subscribed, with the user of the vectors.
fn session(extranonce2_size: u8) -> Session {
    let mut session = Session::new(SessionConfig {
        extranonce2_size,
        version_mask: 0x1fff_e000,
    });
    let mut out = Vec::new();
    let asked = session.line(b"{\"id\":1,\"method\":\"mining.subscribe\"}", &mut out);
    let Action::Subscribe(asked) = asked else {
        panic!("{asked:?}");
    };
    let extranonce1 = Extranonce::new(&[0xf0, 0, 0, 15]).expect("four bytes");
    session.subscribed(&mut out, &asked, "s", extranonce1);
    let line = br#"{"id":2,"method":"mining.authorize","params":["addr.rig1"]}"#;
    let asked = session.line(line, &mut out);
    let Action::Authorize(asked) = asked else {
        panic!("{asked:?}");
    };
    session.authorized(&mut out, &asked, Ok(()));
    session
}
