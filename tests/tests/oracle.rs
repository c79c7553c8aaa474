//! The oracle (`tests/oracle.py`, written from docs/rules.md and LEDGER-FORMAT.md alone): its own tests, and its fixtures
//! against the folds. Whole pools are compared with it in `walk`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use orebook_schema::units::unhex;
use orebook_tests::{nets, orebook_binary, repo_root};
use serde_json::Value;

fn fixtures() -> Vec<PathBuf> {
    let folder = repo_root().join("tests").join("oracle");
    let files = fs::read_dir(folder).expect("the fixtures are checked in");
    let mut found: Vec<PathBuf> = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "hex"))
        .collect();
    found.sort();
    found
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

/// A fixture's segment in a folder.
fn segments(fixture: &Path, folder: &Path) -> PathBuf {
    let text = fs::read_to_string(fixture).expect("a fixture");
    let joined: String = text.split_whitespace().collect();
    let segments = folder.join("segments");
    fs::create_dir(&segments).expect("a fresh folder");
    let bytes = unhex(&joined).expect("hex");
    fs::write(segments.join("00000000000000000000.open"), bytes).expect("written");
    segments
}

#[test]
fn the_oracles_own_tests_pass() {
    let run = Command::new("python3")
        .args(["-m", "unittest", "tests/test_oracle.py"])
        .current_dir(repo_root())
        .output()
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert!(
        said.contains("\nRan ") && !said.contains("\nRan 0 "),
        "{said}"
    );
}

#[test]
fn the_folds_come_to_the_oracles_balances_in_every_fixture() {
    let fixtures = fixtures();
    assert!(19 <= fixtures.len(), "{} fixtures", fixtures.len());
    for fixture in fixtures {
        println!("{}", fixture.display());
        let folder = tempfile::tempdir().expect("a folder");
        let segments = segments(&fixture, folder.path());
        let ours = output(
            Command::new(orebook_binary())
                .args(["replay", "--balances", "--segments"])
                .arg(&segments)
                .arg("--into")
                .arg(folder.path().join("again")),
        );
        let expected = fs::read_to_string(fixture.with_extension("json")).expect("an answer");
        let expected: Value = serde_json::from_str(&expected).expect("JSON");
        let ours: Value = serde_json::from_str(&ours).expect("JSON");
        let (theirs, ours): (BTreeMap<_, _>, _) = (nets(&expected), nets(&ours));
        assert_eq!(theirs, ours, "{}", fixture.display());
    }
}

#[test]
fn the_fixtures_are_what_the_ledger_command_prints() {
    for fixture in fixtures() {
        let folder = tempfile::tempdir().expect("a folder");
        let segments = segments(&fixture, folder.path());
        let printed = output(
            Command::new(orebook_binary())
                .args(["ledger", "cat", "--segments"])
                .arg(&segments),
        );
        let expected = fs::read_to_string(fixture.with_extension("jsonl")).expect("lines");
        assert_eq!(printed, expected, "{}", fixture.display());
    }
}
