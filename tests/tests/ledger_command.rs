//! `orebook init` and `orebook ledger` as a person uses them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "ledger_command/explain.rs"]
mod explain;
#[path = "../../replay/store/tests/world/mod.rs"]
mod world;

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
    // Desk, settler, paymaster; gateways; archivers; approvers; the development wallet.
    assert_eq!(keys.len(), 3 + 2 + 2 + 3 + 1, "{keys:?}");
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
    assert_eq!(
        genesis["approvals"],
        serde_json::json!([[1, 2], [2, 2], [4, 2], [7, 2], [8, 2], [9, 2], [10, 2]])
    );
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

/// Turns a bit of the genesis frame.
fn damage(data: &Path) {
    let path = data.join("ledger/segments/00000000000000000000.open");
    let mut bytes = fs::read(&path).expect("the segment");
    bytes[300] ^= 4;
    fs::write(&path, &bytes).expect("our own file");
}

#[test]
fn repair_brings_a_damaged_segment_back_says_so_and_touches_nothing_that_verifies() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pool, copy) = (folder.path().join("pool"), folder.path().join("copy"));
    assert!(orebook(&["init"], &pool).status.success());
    let segments = pool.join("ledger/segments");
    let name = "00000000000000000000.open";
    fs::create_dir_all(&copy).expect("a folder");
    fs::copy(segments.join(name), copy.join(name)).expect("copied");
    let good = fs::read(segments.join(name)).expect("read");
    let from = copy.to_str().expect("UTF-8");
    let repair = |more: &[&str]| {
        orebook(
            &[&["ledger", "repair", "--from", from], more].concat(),
            &pool,
        )
    };
    let whole = repair(&[]);
    assert!(whole.status.success(), "{}", stderr(&whole));
    assert!(stdout(&whole).contains("nothing was touched"));
    damage(&pool);
    let bad = fs::read(segments.join(name)).expect("read");
    let dry = repair(&["--dry-run"]);
    assert_eq!(dry.status.code(), Some(3), "{}", stderr(&dry));
    assert!(stderr(&dry).contains("position 0"), "{}", stderr(&dry));
    assert_eq!(fs::read(segments.join(name)).expect("read"), bad);
    // While a process uses the folder nothing is done.
    let lock = fs::File::options()
        .create(true)
        .append(true)
        .open(pool.join("lock"));
    let lock = lock.expect("a lock file");
    lock.lock().expect("locked");
    let busy = repair(&[]);
    assert_eq!(busy.status.code(), Some(1));
    assert!(
        stderr(&busy).contains("another orebook process"),
        "{}",
        stderr(&busy)
    );
    drop(lock);
    let done = repair(&["--format", "json"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let done: serde_json::Value = serde_json::from_slice(&done.stdout).expect("one object");
    assert_eq!(
        done["replaced"],
        serde_json::json!([format!("ledger/segments/{name}")])
    );
    assert_eq!(fs::read(segments.join(name)).expect("read"), good);
    let aside = segments.join(format!("{name}.damaged-1"));
    assert_eq!(fs::read(aside).expect("kept"), bad);
    assert!(orebook(&["ledger", "verify"], &pool).status.success());
}

#[test]
fn repair_refuses_a_donor_that_is_none_or_damaged_too_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (pool, other) = (folder.path().join("pool"), folder.path().join("other"));
    assert!(orebook(&["init"], &pool).status.success());
    assert!(orebook(&["init"], &other).status.success());
    damage(&pool);
    let bad = fs::read(pool.join("ledger/segments/00000000000000000000.open")).expect("read");
    let own = pool.to_str().expect("UTF-8").to_owned();
    let foreign = other.to_str().expect("UTF-8").to_owned();
    for (from, code, said) in [
        ("no-such-thing", 1, "neither a folder nor a peer"),
        ("http://127.0.0.1:1", 3, "does not answer"),
        (&own, 3, "the donor's file ends at position 0"),
        (&foreign, 3, "belongs to ledger"),
    ] {
        let output = orebook(&["ledger", "repair", "--from", from], &pool);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{from}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(said),
            "{from}: {}",
            stderr(&output)
        );
        let now = fs::read(pool.join("ledger/segments/00000000000000000000.open"));
        assert_eq!(now.expect("read"), bad, "{from}");
    }
}

#[test]
fn republish_says_what_it_would_send_and_never_the_genesis() {
    let folder = tempfile::tempdir().expect("a folder");
    let pool = folder.path().join("pool");
    assert!(orebook(&["init"], &pool).status.success());
    let config = folder.path().join("orebook.toml");
    fs::write(&config, "").expect("written");
    let config = config.to_str().expect("UTF-8");
    let dry = orebook(
        &["ledger", "republish", "--config", config, "--dry-run"],
        &pool,
    );
    assert!(dry.status.success(), "{}", stderr(&dry));
    assert!(stdout(&dry).contains("0 would be sent"), "{}", stdout(&dry));
    let nowhere = folder.path().join("nowhere");
    let nowhere = nowhere.to_str().expect("UTF-8");
    let wrong = orebook(
        &[
            "ledger",
            "republish",
            "--config",
            config,
            "--segments",
            nowhere,
        ],
        &pool,
    );
    assert_eq!(wrong.status.code(), Some(1), "{}", stderr(&wrong));
    assert!(
        stderr(&wrong).contains("no segment files"),
        "{}",
        stderr(&wrong)
    );
}

#[test]
fn help_ends_with_examples() {
    for arguments in [
        &["--help"][..],
        &["init", "--help"],
        &["ledger", "cat", "--help"],
        &["ledger", "verify", "--help"],
        &["ledger", "repair", "--help"],
        &["ledger", "republish", "--help"],
    ] {
        let output = Command::new(orebook_binary())
            .args(arguments)
            .output()
            .expect("help");
        assert!(output.status.success());
        assert!(stdout(&output).contains("Examples:"), "{arguments:?}");
    }
}
