//! People around a payout of a running pool: the same approver twice, an approval after somebody refused, approvals after the
//! payment. One payment, and what they read says who was refused and why.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use orebook_tests::orebook_binary;
use orebook_tests::pool::Pool;
use serde_json::Value;

use crate::books;
use crate::payouts::{CONFIG, MINER, on_chain};
use crate::rig::Working;

/// Positions that become final while a payout is refused: long enough for a signature.
const POSITIONS: u64 = 30;

fn orebook(arguments: &[&str]) -> Output {
    let mut command = Command::new(orebook_binary());
    command.args(arguments).output().expect("the binary runs")
}

/// What an approver is answered.
fn says(desk: &str, key: &str, words: &[&str]) -> Value {
    let how = ["--yes", "--format", "json", "--desk", desk, "--key", key];
    let output = orebook(&[words, &how].concat());
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {shown}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// What an approver reads who is refused.
fn is_refused(desk: &str, key: &str, words: &[&str]) -> String {
    let output = orebook(&[words, &["--yes", "--desk", desk, "--key", key]].concat());
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{words:?} is taken: {shown}");
    shown
}

fn batch(pool: &Pool) -> Value {
    pool.json("/api/v1/payouts/0/0")["payout"].clone()
}

fn signatures(data: &Path) -> usize {
    let output = orebook(&["ledger", "cat", "--data", data.to_str().expect("a path")]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let text = String::from_utf8(output.stdout).expect("text");
    let events = text.lines().map(|line| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        event
    });
    let signed = events.filter(|it| it["kind"] == "payout_signed" && it["batch"] == 0);
    signed.count()
}

#[test]
fn approved_twice_refused_and_approved_again_a_batch_is_paid_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("approvals.toml");
    fs::write(&config, format!("{CONFIG}interval_ms = 1000\n")).expect("written");
    let data = folder.path().join("pool");
    let at = data.to_str().expect("a path").to_owned();
    let made = [
        "--approvers",
        "2",
        "--needed",
        "2",
        "--auto-pay-limit",
        "0",
        "--payout-depth",
        "2",
        "--payout-final-depth",
        "4",
    ];
    let made = orebook(&[&["init", "--data", &at], &made[..]].concat());
    assert!(made.status.success(), "{made:?}");
    let pool = Pool::start(&data, &config);
    let rig = Working::start(pool.stratum[0], &format!("{MINER}.rig"), 0);
    let desk = pool.desk.expect("a desk").to_string();
    let api = pool.http.to_string();
    let [anna, otto] = [1, 2].map(|of| format!("{at}/keys/approver-{of}.key"));
    let approve = ["pay", "approve", "--batch", "0", "--api", &api];

    pool.wait_for("/api/v1/payouts", "a batch is proposed", |found| {
        found["payouts"].as_array().is_some_and(|it| !it.is_empty())
    });
    let first = says(&desk, &anna, &approve);
    assert_eq!(first["outcome"], "counted", "{first}");
    let twice = is_refused(&desk, &anna, &approve);
    assert!(
        twice.contains("approved") && twice.contains("already"),
        "{twice}"
    );
    assert_eq!(batch(&pool)["approvals"]["had"], 1, "{}", batch(&pool));

    // Somebody refuses it; the other one, who does not know, approves.
    let halt = ["pay", "halt", "--reason", "it is looked into"];
    let halted = says(&desk, &anna, &halt);
    let second = says(&desk, &otto, &approve);
    let position = second["at"][0].as_u64().expect("a position");
    pool.wait_for("/api/v1/ledger", "time enough for a signature", |ledger| {
        ledger["as_of"].as_u64() >= Some(position + POSITIONS)
    });
    let refused = batch(&pool);
    assert_eq!(refused["approvals"]["had"], 2, "{refused}");
    assert_eq!(refused["state"], "unsigned", "nothing is signed: {refused}");
    let plan = pool.json("/paymaster/plan");
    let why = plan["why"].as_str().expect("words");
    assert!(why.contains("halted"), "{why}");

    let place = |at: &Value| format!("{}.{}", at[0], at[1]);
    let expects = place(&halted["at"]);
    let reason = "it was looked into";
    let resume = ["pay", "resume", "--expects", &expects, "--reason", reason];
    let waits = says(&desk, &anna, &resume);
    let thing = waits["thing"]["digest"].as_str().expect("a digest");
    for key in [&anna, &otto] {
        says(&desk, key, &["approve", "--thing", thing]);
    }
    pool.wait_for("/api/v1/payouts/0/0", "it is paid", |found| {
        found["payout"]["state"] == "final"
    });
    rig.end();
    for key in [&anna, &otto] {
        let late = is_refused(&desk, key, &approve);
        assert!(late.contains("already"), "{late}");
    }
    let account = pool.json(&format!("/api/v1/accounts/{MINER}"));
    let paid = account["balances"]["paid"].as_str().expect("base units");
    let total = batch(&pool)["total"].clone();
    assert_eq!(total, paid, "one payment");
    drop(books::settle_moving(&pool));
    pool.stop();
    assert_eq!(signatures(&data), 1);
    assert_eq!(on_chain(&data).to_string(), paid);
    drop(books::replayed(&data, &folder.path().join("again"), &[]));
}
