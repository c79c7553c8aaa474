//! The independent reader (`tests/reader.py`, written from LEDGER-FORMAT.md alone) against ledgers that this software wrote
//! under the simulator's faults: the same root, and the same events to the letter.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use orebook_schema::Kind;
use orebook_sim::world::{Plant, Scenario, ledger_of};
use orebook_tests::{orebook_binary, repo_root};

/// Seeds whose ledgers are compared; between them they hold every kind of event that a simulation writes.
const SEEDS: std::ops::Range<u64> = 1..25;

/// Writes a ledger of the reader's own pen into a folder.
const WRITE_STORY: &str = "
import pathlib, sys
sys.path.insert(0, 'tests')
import ledger_pen
segments = pathlib.Path(sys.argv[2]) / 'segments'
segments.mkdir()
for name, data in getattr(ledger_pen, sys.argv[1])().files.items():
    (segments / name).write_bytes(data)
";

fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("both print UTF-8")
}

fn write_ledger(seed: u64, folder: &Path) {
    println!("seed {seed}");
    let scenario = Scenario {
        plant: Plant::Nothing,
        steps: 260,
    };
    let files = ledger_of(seed, scenario).unwrap_or_else(|violation| panic!("{violation}"));
    fs::create_dir(folder.join("segments")).expect("a fresh folder");
    for (name, bytes) in files {
        fs::write(folder.join("segments").join(name), bytes).expect("a fresh folder");
    }
}

fn reader(folder: &Path, arguments: &[&str]) -> Output {
    run(Command::new("python3")
        .arg(repo_root().join("tests/reader.py"))
        .arg(folder)
        .args(arguments))
}

fn orebook(folder: &Path, arguments: &[&str]) -> Output {
    run(Command::new(orebook_binary())
        .arg("ledger")
        .args(arguments)
        .arg("--segments")
        .arg(folder.join("segments")))
}

/// Compares both, line by line, and notes the kinds.
fn compare_cats(folder: &Path, what: &str, kinds: &mut BTreeSet<String>) {
    let theirs = reader(folder, &["--cat", "--signatures", "none"]);
    let ours = orebook(folder, &["cat"]);
    let (theirs, ours) = (text(&theirs.stdout), text(&ours.stdout));
    for (number, (their, our)) in theirs.lines().zip(ours.lines()).enumerate() {
        assert_eq!(their, our, "{what}, line {number}");
    }
    assert_eq!(theirs.len(), ours.len(), "{what}");
    for line in ours.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        kinds.insert(line["kind"].as_str().unwrap_or("closed").to_owned());
    }
}

#[test]
fn events_of_every_kind_that_the_reader_s_own_pen_writes_are_shown_alike() {
    let (mut kinds, mut owners_settings) = (BTreeSet::new(), 0);
    for story in ["story", "ethash_story"] {
        let folder = tempfile::tempdir().expect("a folder");
        let written = run(Command::new("python3")
            .args(["-c", WRITE_STORY, story])
            .arg(folder.path())
            .current_dir(repo_root()));
        assert!(
            written.status.success(),
            "{story}: {}",
            text(&written.stderr)
        );
        let ours = orebook(folder.path(), &["verify", "--format", "json"]);
        let said: serde_json::Value = serde_json::from_slice(&ours.stdout)
            .unwrap_or_else(|_| panic!("{story}: {}", text(&ours.stderr)));
        // The pen signs as the desk, and for no owner: all that is said in an owner's name lacks its proof.
        let without = said["settings_without_proof"].as_u64().expect("a number");
        assert_eq!(said["owners_settings"], without, "{story}: {said}");
        owners_settings += without;
        assert_eq!(ours.status.code(), Some(if without == 0 { 0 } else { 3 }));
        compare_cats(folder.path(), story, &mut kinds);
    }
    assert!(0 < owners_settings);
    for kind in Kind::ALL {
        assert!(kinds.contains(kind.name()), "no {} was said", kind.name());
    }
}

#[test]
fn the_independent_reader_finds_the_same_root_and_the_same_events() {
    let mut kinds = BTreeSet::new();
    for seed in SEEDS {
        let folder = tempfile::tempdir().expect("a folder");
        write_ledger(seed, folder.path());
        let theirs = reader(folder.path(), &[]);
        assert!(
            theirs.status.success(),
            "seed {seed}: {}",
            text(&theirs.stderr)
        );
        let ours = orebook(folder.path(), &["verify", "--format", "json"]);
        assert!(ours.status.success(), "seed {seed}: {}", text(&ours.stderr));
        let ours: serde_json::Value = serde_json::from_slice(&ours.stdout).expect("one object");
        let expected = format!(
            "ok: {} positions, {} events, final {}, root {}",
            ours["positions"],
            ours["events"],
            ours["final"],
            ours["root"].as_str().expect("hex")
        );
        assert_eq!(text(&theirs.stdout).trim(), expected, "seed {seed}");
        compare_cats(folder.path(), &format!("seed {seed}"), &mut kinds);
    }
    let wanted = [
        "block_found",
        "checkpoint",
        "closed",
        "difficulty",
        "ethash_job",
        "ethash_share",
        "genesis",
        "job",
        "moved",
        "recovery_note",
        "share",
        "worker",
    ];
    for kind in wanted {
        assert!(
            kinds.contains(kind),
            "no ledger had a {kind}: more seeds are needed"
        );
    }
}

#[test]
fn the_independent_reader_and_verify_find_the_same_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let segments = folder.path().join("segments");
    let first = segments.join("00000000000000000000.seg");
    let sealed = SEEDS.into_iter().find(|seed| {
        fs::remove_dir_all(&segments).unwrap_or_default();
        write_ledger(*seed, folder.path());
        first.is_file()
    });
    assert!(sealed.is_some(), "no ledger has a sealed segment");
    let whole = fs::read(&first).expect("the first segment");
    for bit in [
        5,
        8 * 100 + 1,
        8 * 500,
        8 * (whole.len() as u64 / 2),
        8 * (whole.len() as u64 - 50),
    ] {
        let mut bytes = whole.clone();
        bytes[usize::try_from(bit / 8).expect("small")] ^= 1 << (bit % 8);
        fs::write(&first, &bytes).expect("our own file");
        let theirs = reader(folder.path(), &[]);
        assert_eq!(theirs.status.code(), Some(1), "bit {bit}");
        assert!(
            text(&theirs.stderr).contains("00000000000000000000.seg"),
            "bit {bit}: {}",
            text(&theirs.stderr)
        );
        let ours = orebook(folder.path(), &["verify"]);
        assert_eq!(ours.status.code(), Some(3), "bit {bit}");
        assert!(
            text(&ours.stderr).contains("00000000000000000000.seg offset"),
            "bit {bit}: {}",
            text(&ours.stderr)
        );
    }
    fs::write(&first, &whole).expect("our own file");
    assert!(orebook(folder.path(), &["verify"]).status.success());
}

#[test]
fn the_independent_reader_passes_its_own_tests() {
    let output = run(Command::new("python3")
        .args(["-m", "unittest", "tests/test_reader.py"])
        .arg("tests/test_reader_bodies.py")
        .current_dir(repo_root()));
    println!("{}", text(&output.stderr));
    assert!(output.status.success(), "{}", text(&output.stderr));
}
