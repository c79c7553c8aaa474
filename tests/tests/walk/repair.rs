//! A segment file rots while the pool rests: the pool does not start, a copy brings the file back, and the ledger says so.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use orebook_tests::orebook_binary;
use orebook_tests::pool::{Pool, Start};

use crate::rig::CONFIG;

/// Final positions that a life adds at least: nobody mines, and what is said before the note are heartbeats.
const MORE: u64 = 1;

fn ledger(arguments: &[&str], data: &Path) -> Output {
    let mut command = Command::new(orebook_binary());
    command
        .arg("ledger")
        .args(arguments)
        .arg("--data")
        .arg(data);
    command.output().expect("the binary runs")
}

/// One life; returns how many positions were final in it.
fn live(data: &Path, config: &Path, from: u64) -> u64 {
    let pool = Pool::start(data, config);
    let said = pool.wait_for("/api/v1/ledger", "the ledger grows", |ledger| {
        from + MORE <= ledger["as_of"].as_u64().unwrap_or(0)
    });
    pool.stop();
    said["as_of"].as_u64().expect("a size")
}

/// Notes of a recovery in the ledger: their texts.
fn notes(data: &Path) -> Vec<String> {
    let said = ledger(&["cat"], data);
    assert!(said.status.success());
    let text = String::from_utf8(said.stdout).expect("UTF-8");
    let lines = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        line
    });
    lines
        .filter(|line| line["kind"] == "recovery_note")
        .map(|line| line["text"].as_str().expect("a text").to_owned())
        .collect()
}

#[test]
fn a_repaired_segment_is_said_in_the_ledger_once_the_pool_runs_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, copy) = (folder.path().join("pool"), folder.path().join("copy"));
    let config = folder.path().join("orebook.toml");
    fs::write(&config, CONFIG).expect("written");
    let size = live(&data, &config, 0);
    assert_eq!(notes(&data), [""; 0]);
    let name = "00000000000000000000.open";
    let file = data.join("ledger/segments").join(name);
    fs::create_dir_all(&copy).expect("a folder");
    fs::copy(&file, copy.join(name)).expect("copied");
    let mut bytes = fs::read(&file).expect("the segment");
    bytes[300] ^= 4;
    fs::write(&file, &bytes).expect("our own file");
    assert!(
        matches!(Pool::try_start(&data, &config, None), Start::Ended(_)),
        "a pool on a damaged ledger does not start"
    );
    let from = copy.to_str().expect("UTF-8");
    let repaired = ledger(&["repair", "--from", from], &data);
    assert!(repaired.status.success(), "{repaired:?}");
    live(&data, &config, size);
    assert_eq!(
        notes(&data),
        ["segments from position 0 replaced from a peer, admitted again"]
    );
    assert!(ledger(&["verify"], &data).status.success());
}
