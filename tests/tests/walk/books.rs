//! The books of a pool, by four hands: the live API, a fresh replay, a rebuild of the projections, and the oracle.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use orebook_tests::pool::Pool;
use orebook_tests::{nets, orebook_binary, repo_root};
use serde_json::Value;

/// What a pool said of its folds: (fold, position) → digest.
pub(crate) type Digests = BTreeMap<(String, u64), String>;

/// How long nothing new may become final: a frame is cut after a second at the latest, and covered half a second later.
const REST: Duration = Duration::from_millis(2_500);

/// Waits until everything that was recorded is final and folded. Returns the digests at the newest digest point of each
/// fold.
pub(crate) fn settle(pool: &Pool) -> Digests {
    digests_of(&rest(pool))
}

/// Waits until everything that was recorded is final. Returns what the ledger's page says then.
pub(crate) fn rest(pool: &Pool) -> Value {
    let seen = Cell::new((0, Instant::now()));
    pool.wait_for("/api/v1/ledger", "the ledger comes to rest", |ledger| {
        let as_of = ledger["as_of"].as_u64().expect("a number");
        let (before, since) = seen.get();
        if before != as_of {
            seen.set((as_of, Instant::now()));
        }
        // What is left above it are heartbeats: they wait for a minute.
        before == as_of && REST <= since.elapsed()
    })
}

/// The same of a pool that goes on working.
pub(crate) fn settle_moving(pool: &Pool) -> Digests {
    digests_of(&pool.json("/api/v1/ledger"))
}

fn digests_of(ledger: &Value) -> Digests {
    let folds = ledger["folds"].as_array().expect("folds");
    let mut digests = Digests::new();
    for fold in folds {
        let digest = &fold["digest"];
        let name = fold["fold"].as_str().expect("a name").to_owned();
        let position = digest["position"].as_u64().expect("a digest point");
        let shown = digest["digest"].as_str().expect("a digest").to_owned();
        digests.insert((name, position), shown);
    }
    digests
}

/// A fresh replay, a snapshot with its tail, a rebuild from nothing, and the oracle say the same as the pool did.
pub(crate) fn agree(data: &Path, config: &Path, digests: &Digests) {
    let again = data.with_extension("again");
    let snapshot = data.with_extension("snapshot");
    let to = snapshot.to_str().expect("a path");
    let replayed = replayed(data, &again, &["--snapshot", to]);
    let size = replayed["size"].as_u64().expect("a size");
    // RocksDB is disposable.
    fs::remove_dir_all(data.join("projections")).expect("it was there");
    let pool = Pool::start(data, config);
    let folds = &pool.wait_for("/api/v1/ledger", "the projections are rebuilt", |ledger| {
        size <= ledger["as_of"].as_u64().unwrap_or(0)
    });
    assert!(
        folds["folds"]
            .as_array()
            .is_some_and(|folds| !folds.is_empty())
    );
    same_digests(&pool, &replayed, "rebuilt");
    for ((name, position), digest) in digests {
        let rebuilt = pool.json(&format!("/api/v1/digest?fold={name}&position={position}"));
        assert_eq!(
            rebuilt["digest"],
            Value::from(digest.as_str()),
            "{name}: rebuilt against live"
        );
    }
    pool.stop();
    // What was added since: by the snapshot and its tail, and from the beginning.
    let (tail, whole) = (data.with_extension("tail"), data.with_extension("whole"));
    let with_tail = run(
        &["replay", "--format", "json", "--from", to],
        data,
        Some(&tail),
    );
    let from_nothing = run(&["replay", "--format", "json"], data, Some(&whole));
    assert_eq!(with_tail, from_nothing, "a snapshot with its tail");
}

/// A replay into an empty folder, whose balances the oracle shares. Returns what it said.
pub(crate) fn replayed(data: &Path, again: &Path, more: &[&str]) -> Value {
    let arguments = [&["replay", "--format", "json"], more].concat();
    let said = run(&arguments, data, Some(again));
    let replayed: Value = serde_json::from_str(&said).expect("one JSON object");
    let size = replayed["size"].as_u64().expect("a size");
    assert!(0 < size);
    oracle_agrees(data, again, size);
    replayed
}

/// A pool has the digests of a replay, each at the replay's position.
pub(crate) fn same_digests(pool: &Pool, replayed: &Value, what: &str) {
    for fold in replayed["folds"].as_array().expect("folds") {
        let (name, at) = (fold["fold"].as_str().expect("a name"), &fold["size"]);
        let said = pool.json(&format!("/api/v1/digest?fold={name}&position={at}"));
        assert_eq!(
            said["digest"], fold["digest"],
            "{name} at {at}: {what} against replayed"
        );
    }
}

/// `tests/oracle.py`, written by another hand, comes to the same balances.
fn oracle_agrees(data: &Path, again: &Path, size: u64) {
    let events = run(&["ledger", "cat"], data, None);
    let said = oracle(&events, size - 1);
    let ours = run(&["replay", "--balances"], data, Some(again));
    let ours: Value = serde_json::from_str(&ours).expect("one JSON object");
    let (theirs, ours) = (nets(&said), nets(&ours));
    assert!(
        theirs
            .keys()
            .any(|book| book.starts_with("script:") || book.starts_with("evm:")),
        "somebody has a balance: {theirs:?}"
    );
    assert_eq!(theirs, ours, "the oracle's balances against ours");
}

fn oracle(events: &str, last: u64) -> Value {
    let mut child = Command::new("python3")
        .arg(repo_root().join("tests").join("oracle.py"))
        .args(["--at", &last.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut stdin = child.stdin.take().expect("piped");
    let lines = events.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap_or_default());
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("the writer ends");
    assert!(output.status.success(), "the oracle refuses the ledger");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn run(arguments: &[&str], data: &Path, into: Option<&Path>) -> String {
    let mut command = Command::new(orebook_binary());
    command.args(arguments).arg("--data").arg(data);
    if let Some(into) = into {
        command.arg("--into").arg(into);
    }
    let output = command.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}
