//! The desk as a process of its own: what an operator says goes over Kafka to a gateway elsewhere.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use orebook_miner::{Client, Rig};
use orebook_tests::orebook_binary;
use orebook_tests::pool::{DEADLINE, Pool};
use serde_json::Value;

/// Why; the miner reads it.
const REASON: &str = "withholds blocks";

/// What the desk answers to `orebook ban`, signed with a key.
fn ban(desk: &Pool, key: &Path, what: &str, account: &str) -> Value {
    let at = desk.desk.expect("a desk").to_string();
    let mut command = Command::new(orebook_binary());
    command.args(["ban", what, "--account", account, "--reason", REASON]);
    command.args(["--yes", "--format", "json", "--desk", &at, "--key"]);
    let output = command.arg(key).output().expect("the binary runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ban {what}: {words}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// The position at which something was obeyed.
fn obeyed(answer: &Value) -> u64 {
    assert_eq!(answer["outcome"], "obeyed", "{answer}");
    answer["at"][0].as_u64().expect("a position")
}

/// Logs in again and again, until the outcome is as wanted.
fn until(rig: &Rig, what: &str, wanted: impl Fn(&Result<(), String>) -> bool) {
    let started = Instant::now();
    loop {
        let outcome = Client::connect(rig).map(drop);
        if wanted(&outcome) {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "{what}: {outcome:?}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// An account is banned and let in again: each time the desk names the position, and a gateway does as it was told.
pub(crate) fn bans_and_lifts(desk: &Pool, key: &Path, rig: &Rig, other: &Rig, account: &str) {
    until(rig, "nobody is banned yet", Result::is_ok);
    let banned = obeyed(&ban(desk, key, "add", account));
    let says_why = format!("this account is banned: {REASON}");
    until(rig, "banned", |outcome| {
        outcome.as_ref().is_err_and(|why| why.contains(&says_why))
    });
    until(other, "somebody else", Result::is_ok);
    let lifted = obeyed(&ban(desk, key, "lift", account));
    assert!(0 < banned && banned < lifted, "{banned}, {lifted}");
    until(rig, "let in again", Result::is_ok);
}
