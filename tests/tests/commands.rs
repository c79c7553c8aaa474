//! The script `./orebook`: cheap promises that need no build.
//!
//! The script is sourced where one of its functions is under test; it does nothing then.

#![allow(
    clippy::expect_used,
    reason = "a test stops at the first surprise and says which"
)]

use std::fs;
use std::process::{Command, Output};

use orebook_tests::repo_root;

fn script() -> String {
    repo_root().join("orebook").to_string_lossy().into_owned()
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir("/")
        .output()
        .expect("the program starts")
}

fn orebook(arguments: &[&str]) -> Output {
    run(&script(), arguments)
}

/// Runs bash commands after sourcing the script.
fn sourced(commands: &str) -> Output {
    run(
        "bash",
        &["-c", &format!("source '{}'\n{commands}", script())],
    )
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The suites as the script lists them.
fn suites() -> Vec<String> {
    let listed = stdout(&sourced("echo \"${SUITES[@]}\""));
    let suites: Vec<String> = listed.split_whitespace().map(str::to_owned).collect();
    assert!(suites.len() >= 6, "suites: {suites:?}");
    suites
}

#[test]
fn both_scripts_are_bash() {
    for path in ["orebook", ".ci/run"] {
        let checked = run("bash", &["-n", &repo_root().join(path).to_string_lossy()]);
        assert!(checked.status.success(), "{path}: {}", stderr(&checked));
    }
    let broken = run("bash", &["-n", "-c", "if then"]);
    assert!(!broken.status.success(), "bash -n finds a planted fault");
}

#[test]
fn the_script_is_at_most_two_hundred_and_sixty_lines() {
    let text = fs::read_to_string(script()).expect("the script is a text");
    let lines = text.lines().count();
    assert!(
        lines <= 260,
        "{lines} lines: what a suite does belongs into its tests"
    );
}

#[test]
fn help_lists_every_suite_with_its_meaning() {
    for arguments in [&["help"][..], &["--help"], &["test", "--help"], &[]] {
        let shown = orebook(arguments);
        assert!(shown.status.success());
        let page = stdout(&shown);
        for suite in suites() {
            let line = page
                .lines()
                .find(|line| line.split_whitespace().next() == Some(&suite));
            let words = line.map_or(0, |line| line.split_whitespace().count());
            assert!(words >= 3, "{suite} is not explained in: {page}");
        }
    }
}

#[test]
fn every_suite_has_its_function() {
    for suite in suites() {
        let known = sourced(&format!("declare -F suite_{suite}"));
        assert!(known.status.success(), "suite_{suite} is missing");
    }
}

#[test]
fn an_unknown_suite_is_refused_before_anything_runs() {
    for arguments in [&["test", "hous"][..], &["test", "house", "hous"]] {
        let refused = orebook(arguments);
        assert_eq!(refused.status.code(), Some(2));
        assert_eq!(stdout(&refused), "");
        let message = stderr(&refused);
        assert!(message.contains("unknown suite 'hous'"), "{message}");
        for suite in suites() {
            assert!(
                message.contains(&suite),
                "{suite} is not named in: {message}"
            );
        }
    }
}

#[test]
fn it_works_through_a_link_from_another_folder() {
    let link = std::env::temp_dir().join(format!("orebook-link-{}", std::process::id()));
    std::os::unix::fs::symlink(script(), &link).expect("a link can be made");
    let shown = run(&link.to_string_lossy(), &["help"]);
    let root = run(
        "bash",
        &[
            "-c",
            &format!("source '{}'; echo \"$ROOT\"", link.display()),
        ],
    );
    fs::remove_file(&link).expect("the link is ours");
    assert!(shown.status.success(), "{}", stderr(&shown));
    assert_eq!(stdout(&root).trim(), repo_root().to_string_lossy());
}

#[test]
fn a_target_folder_is_respected_and_relative_ones_are_the_caller_s() {
    let target = |setting: &str| {
        let command = format!(
            "{setting}; source '{}'; echo \"$CARGO_TARGET_DIR\"",
            script()
        );
        stdout(&run("bash", &["-c", &command])).trim().to_owned()
    };
    let own = repo_root().join("target");
    assert_eq!(target("unset CARGO_TARGET_DIR"), own.to_string_lossy());
    assert_eq!(target("export CARGO_TARGET_DIR=/a/b"), "/a/b");
    assert_eq!(
        target("export CARGO_TARGET_DIR=b"),
        "/b",
        "the tests call it from /"
    );
}

const PASSES: &str = "echo 'test result: ok. 3 passed; 0 failed; 0 ignored'";
const PASSES_MORE: &str = "echo 'test result: ok. 4 passed; 0 failed; 0 ignored'";
const RUNS_NOTHING: &str = "echo 'test result: ok. 0 passed; 0 failed; 0 ignored'";

#[test]
fn the_table_shows_minutes_and_tests_of_each_suite() {
    let ran = sourced(&format!(
        "suite_house() {{ {PASSES}; {PASSES_MORE}; }}; suite_format() {{ :; }}\n\
         run_suites format house"
    ));
    assert!(ran.status.success(), "{}", stderr(&ran));
    let report = stdout(&ran);
    let row = |suite: &str| {
        let line = report
            .lines()
            .rfind(|line| line.starts_with(suite))
            .unwrap_or_default();
        let mut cells: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        assert!(cells.len() >= 4, "{suite} has no row in: {report}");
        // The machine decides how long it took; `minutes` is tested below.
        let minutes = cells.remove(1);
        assert!(minutes.parse::<f64>().is_ok(), "{minutes}");
        cells
    };
    assert_eq!(row("format"), ["format", "-", "ok"]);
    assert_eq!(row("house"), ["house", "7", "ok"]);
    assert!(
        report.contains("3 passed"),
        "the runner's own summary is printed"
    );
    assert_eq!(
        stdout(&sourced("minutes 0; minutes 90; minutes 3603")),
        "0.001.5060.05"
    );
}

#[test]
fn a_suite_that_fails_runs_nothing_or_cannot_run_fails_the_run() {
    for (body, reason) in [
        (format!("{PASSES}; false"), "FAILED"),
        (format!("false; {PASSES}"), "FAILED"),
        (RUNS_NOTHING.to_owned(), "FAILED: no test ran"),
        (":".to_owned(), "FAILED: no test ran"),
        ("no_such_program".to_owned(), "FAILED"),
    ] {
        let ran = sourced(&format!(
            "suite_house() {{ {body}; }}; suite_pure() {{ {PASSES}; }}\nrun_suites house pure"
        ));
        let report = stdout(&ran);
        assert_eq!(ran.status.code(), Some(1), "{body}: {report}");
        let ends = |suite: &str, end: &str| {
            report
                .lines()
                .any(|line| line.starts_with(suite) && line.ends_with(end))
        };
        assert!(ends("house", reason), "{body}: {report}");
        assert!(ends("pure", "ok"), "the next suite still runs: {report}");
        assert!(stderr(&ran).contains("1 of 2 suites failed"));
    }
}

/// Instead of installing, what would be run as root goes to stdout.
const DRY: &str = "as_root() { echo \"root: $*\"; }; check_cargo() { :; }";

#[test]
fn what_is_missing_is_installed_and_nothing_else() {
    let installs = |missing: &str| {
        let commands = format!(
            "{DRY}; have() {{ [[ \" {missing} \" != *\" $1 \"* ]]; }}; install_missing cargo cc python3 2>&1"
        );
        stdout(&sourced(&commands))
    };
    assert_eq!(
        installs(""),
        "",
        "nothing is missing, apt-get is left alone"
    );
    let report = installs("cc python3");
    assert!(report.contains("root: apt-get update\n"), "{report}");
    assert!(report.contains("gcc libc6-dev python3\n"), "{report}");
    assert!(!report.contains("rustup"), "{report}");
    assert!(installs("cargo").contains("rustup ca-certificates\n"));
    assert!(installs("cargo apt-get").contains("There is no apt-get here"));
}

#[test]
fn a_release_without_rustup_and_an_old_cargo_are_explained() {
    let refused = sourced("as_root() { [[ $2 == update ]]; }; install_packages rustup");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("https://rustup.rs"),
        "{}",
        stderr(&refused)
    );

    let check = |version: &str| {
        sourced(&format!(
            "cargo_here() {{ echo 'cargo {version} (x 2026-01-01)'; }}; check_cargo"
        ))
    };
    assert_eq!(check("1.63.0").status.code(), Some(1));
    assert!(stderr(&check("1.63.0")).contains("cargo is 1.63.0, not 1.95.0"));
    assert!(check("1.95.0").status.success());
    assert!(
        check("1.100.1").status.success(),
        "versions are numbers, not words"
    );
}
