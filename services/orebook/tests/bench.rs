//! Each bench of the gateway's doors once in a small size, so that none of them rots. What they check of the ledger is as
//! strict as in the large; their figures are nobody's.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::process::Command;

use serde_json::Value;

/// What a bench prints, an object a line.
fn run_small(name: &str) -> Vec<Value> {
    let dir = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_orebook"))
        .args(["bench", name, "--small", "--format", "json"])
        .env("OREBOOK_BENCH_DIR", dir.path())
        .output()
        .expect("the binary runs");
    let said = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name}: {said}\n{errors}");
    let left = std::fs::read_dir(dir.path()).expect("a folder").count();
    assert_eq!(left, 0, "{name} leaves nothing behind");
    let object = |line: &str| serde_json::from_str(line).expect("an object a line");
    said.lines().map(object).collect()
}

fn check(name: &str, parts: &[&str], keys: &[&str]) {
    let lines = run_small(name);
    let found: Vec<_> = lines.iter().map(|line| line["part"].as_str()).collect();
    let wanted: Vec<_> = parts.iter().map(|part| Some(*part)).collect();
    assert_eq!(found, wanted, "{name}");
    for line in &lines {
        assert_eq!(
            (&line["name"], &line["small"]),
            (&Value::from(name), &true.into()),
            "{line}"
        );
        assert!(line["value"].is_number(), "{line}");
        for key in keys {
            let value = line[key].as_u64();
            assert!(
                value.is_some_and(|value| 0 < value),
                "{name}: {key}: {line}"
            );
        }
    }
}

#[test]
fn every_fold_follows_a_ledger() {
    check("replay_folds", &["rate"], &["shares"]);
}

#[test]
fn a_block_is_divided_among_all_accounts() {
    let keys = ["accounts", "window_shares", "confirmed_us"];
    check("settle_100k_accounts", &["time"], &keys);
}

#[test]
fn a_batch_is_signed_pays_exactly_its_lines_and_the_chain_takes_it() {
    let keys = ["lines", "outputs", "raw_bytes", "signature_final_ms"];
    check("payout_batch_1000", &["time"], &keys);
}

#[test]
fn shares_of_ethash_are_answered_and_found_once() {
    let keys = ["answered_and_found_once"];
    check("gateway_ethproxy_recorded", &["rate"], &keys);
}

#[test]
fn new_jobs_reach_everybody_and_shares_meanwhile_are_found_once() {
    let keys = ["answered_and_found_once", "shares_meanwhile"];
    check("gateway_broadcast_cpu", &["cpu", "last", "p99"], &keys);
}

#[test]
fn logins_are_counted_by_both_ends() {
    check("gateway_login_cpu", &["cpu"], &["logins"]);
}

#[test]
fn idle_connections_are_weighed_plain_and_over_tls() {
    let keys = ["resident_before", "resident"];
    check("gateway_idle_connection", &["memory"], &keys);
    check("gateway_idle_connection_tls", &["memory"], &keys);
}

#[test]
fn floods_leave_nothing_in_the_ledger_and_shares_meanwhile_are_found_once() {
    let keys = ["answered_and_found_once", "failed_logins", "ledger_rigs"];
    check("flood_p99_ratio", &["ratio", "above", "memory"], &keys);
}

#[test]
fn a_bench_without_a_small_size_says_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_orebook"))
        .args(["bench", "replay_full", "--small"])
        .output()
        .expect("the binary runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("replay_full has no small size"), "{said}");
}
