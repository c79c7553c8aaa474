//! `orebook init` and `orebook ledger` as a person uses them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use orebook_tests::orebook_binary;

fn orebook(arguments: &[&str], data: &Path) -> Output {
    let mut command = Command::new(orebook_binary());
    command.args(arguments).arg("--data").arg(data);
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

#[test]
fn init_writes_a_ledger_that_verifies_and_keys_that_only_the_owner_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("pool");
    let made = orebook(
        &[
            "init",
            "--gateways",
            "2",
            "--archivers",
            "2",
            "--approvers",
            "3",
            "--needed",
            "2",
        ],
        &data,
    );
    assert!(made.status.success(), "{}", stderr(&made));
    let keys: Vec<String> = fs::read_dir(data.join("keys"))
        .expect("keys")
        .map(|entry| {
            entry
                .expect("a file")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    assert_eq!(keys.len(), 3 + 2 + 2 + 3, "{keys:?}");
    for key in &keys {
        let path = data.join("keys").join(key);
        assert_eq!(
            fs::metadata(&path).expect("a file").permissions().mode() & 0o777,
            0o600,
            "{key}"
        );
        let secret = fs::read_to_string(&path).expect("hex");
        assert!(
            !stdout(&made).contains(secret.trim()),
            "a secret is never shown"
        );
    }
    let verified = orebook(&["ledger", "verify", "--format", "json"], &data);
    let verified: serde_json::Value = serde_json::from_slice(&verified.stdout).expect("one object");
    assert_eq!(verified["positions"], 1);
    let cat = orebook(&["ledger", "cat"], &data);
    let genesis: serde_json::Value = serde_json::from_str(stdout(&cat).trim()).expect("one line");
    assert_eq!(genesis["kind"], "genesis");
    assert_eq!(genesis["approvals"], serde_json::json!([[1, 2], [2, 2]]));
    assert_eq!(genesis["producers"].as_array().expect("a list").len(), 7);
}

#[test]
fn init_never_touches_a_ledger_that_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(orebook(&["init"], folder.path()).status.success());
    let before = stdout(&orebook(&["ledger", "cat"], folder.path())).to_owned();
    let again = orebook(&["init"], folder.path());
    assert_eq!(again.status.code(), Some(1));
    assert!(
        stderr(&again).contains("exists already"),
        "{}",
        stderr(&again)
    );
    assert!(stderr(&again).contains("hint:"), "{}", stderr(&again));
    assert_eq!(stdout(&orebook(&["ledger", "cat"], folder.path())), before);
}

#[test]
fn more_approvals_than_approvers_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = orebook(
        &["init", "--approvers", "1", "--needed", "2"],
        &folder.path().join("pool"),
    );
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("2 approvals are needed of 1 approvers"),
        "{}",
        stderr(&refused)
    );
    assert!(!folder.path().join("pool").exists(), "nothing was begun");
}

#[test]
fn a_folder_without_segments_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in ["cat", "verify", "stat"] {
        let output = orebook(&["ledger", command], folder.path());
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(
            stderr(&output).contains("no segment files"),
            "{command}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains("--segments"),
            "{command}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn damage_is_named_with_file_offset_and_position_and_exits_with_3() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(orebook(&["init"], folder.path()).status.success());
    let path = folder
        .path()
        .join("ledger/segments/00000000000000000000.open");
    let mut bytes = fs::read(&path).expect("the segment");
    bytes[300] ^= 4;
    fs::write(&path, &bytes).expect("our own file");
    let output = orebook(&["ledger", "verify"], folder.path());
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("00000000000000000000.open offset 72 position 0"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn help_ends_with_examples() {
    for arguments in [
        &["--help"][..],
        &["init", "--help"],
        &["ledger", "cat", "--help"],
        &["ledger", "verify", "--help"],
    ] {
        let output = Command::new(orebook_binary())
            .args(arguments)
            .output()
            .expect("help");
        assert!(output.status.success());
        assert!(stdout(&output).contains("Examples:"), "{arguments:?}");
    }
}
