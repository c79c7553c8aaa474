//! The whole ledger under one seeded scheduler. `OREBOOK_SEEDS=n` runs n seeds, `OREBOOK_SEED=s` one, with its report; seeds that
//! once failed are in `failing-seeds.txt` and run first, every time.

#![allow(
    clippy::panic,
    reason = "a test stops at the first surprise and says which"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use orebook_sim::world::{Plant, Report, Scenario, run};

/// Seeds of a test run, unless the environment says more.
const SEEDS: u64 = 10_000;
/// Seeds within which a planted fault must be found.
const PLANT_SEEDS: u64 = 1_000;
/// Steps with faults in one run.
const STEPS: u64 = 220;

const HONEST: Scenario = Scenario {
    plant: Plant::Nothing,
    steps: STEPS,
};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// First seed of this run: another one on each commit's machine, printed.
fn base_seed() -> u64 {
    number("OREBOOK_BASE_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |since| since.as_secs()) * 1_000_000
    })
}

/// Runs seeds on all cores, to the end or until a failure has the words; returns every failure and the sum of the reports.
fn run_seeds(seeds: &[u64], scenario: Scenario, until: Option<&str>) -> (Vec<String>, Report) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let total = Mutex::new(Report::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found =
                        |failure: &String| until.is_some_and(|words| failure.contains(words));
                    if failures
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .iter()
                        .any(found)
                    {
                        return;
                    }
                    let outcome = std::panic::catch_unwind(|| run(*seed, scenario))
                        .unwrap_or_else(|_| Err(format!("seed {seed}: panicked")));
                    match outcome {
                        Ok(report) => add(
                            &mut total.lock().unwrap_or_else(PoisonError::into_inner),
                            report,
                        ),
                        Err(violation) => failures
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(violation),
                    }
                }
            });
        }
    });
    let failures = failures
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    (
        failures,
        total.into_inner().unwrap_or_else(PoisonError::into_inner),
    )
}

fn add(total: &mut Report, one: Report) {
    total.accepted += one.accepted;
    total.positions += one.positions;
    for (what, times) in one.happened {
        *total.happened.entry(what).or_default() += times;
    }
}

fn failing_seeds() -> Vec<u64> {
    include_str!("../failing-seeds.txt")
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect()
}

fn expect_none(seeds: &[u64]) -> Report {
    let (failures, report) = run_seeds(seeds, HONEST, None);
    let shown = failures
        .iter()
        .take(5)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        failures.is_empty(),
        "{} of {} seeds failed:\n{shown}",
        failures.len(),
        seeds.len()
    );
    report
}

#[test]
fn seeds_that_once_failed_pass() {
    expect_none(&failing_seeds());
}

#[test]
fn every_accepted_share_ends_up_final_exactly_once_and_all_readers_agree() {
    if let Some(seed) = number("OREBOOK_SEED") {
        println!(
            "{:#?}",
            run(seed, HONEST).unwrap_or_else(|violation| panic!("{violation}"))
        );
        return;
    }
    let (base, count) = (base_seed(), number("OREBOOK_SEEDS").unwrap_or(SEEDS));
    println!("seeds {base} to {}", base + count - 1);
    let seeds: Vec<u64> = (base..base + count).collect();
    let report = expect_none(&seeds);
    println!(
        "{} shares accepted, {} positions final",
        report.accepted, report.positions
    );
    for (what, times) in &report.happened {
        println!("{times:>9}  {what}");
    }
    assert_covered(&report.happened);
}

/// A simulation in which nothing goes wrong proves nothing: each kind of trouble must have come up.
fn assert_covered(happened: &BTreeMap<String, u64>) {
    let wanted = [
        "archiver died",
        "bit flipped",
        "broker ack_lost",
        "broker late",
        "broker lost",
        "broker recreated",
        "broker suffix_lost",
        "broker trimmed",
        "broker twice",
        "broker unavailable",
        "cloned",
        "damage found",
        "disk nearly full",
        "frames with moved events of ethash",
        "frames with moved events of others",
        "frames with shares of ethash",
        "frames with shares of others",
        "frames with voids",
        "gateway died",
        "incarnations opened again",
        "killed",
        "move interrupted",
        "reader died",
        "share sent again",
        "started",
        "streams closed",
        "write misdirected",
    ];
    for what in wanted {
        assert!(
            happened.get(what).is_some_and(|times| 0 < *times),
            "it never happened: {what}"
        );
    }
}

fn is_found(plant: Plant, words: &str) {
    let base = base_seed();
    println!("{plant:?}: seeds from {base}");
    let seeds: Vec<u64> = (base..base + PLANT_SEEDS).collect();
    let (failures, _) = run_seeds(
        &seeds,
        Scenario {
            plant,
            steps: STEPS,
        },
        Some(words),
    );
    let found = failures.iter().find(|failure| failure.contains(words));
    let found = found.unwrap_or_else(|| {
        panic!("{plant:?} was not found in {PLANT_SEEDS} seeds, but: {failures:?}")
    });
    println!("found: {found}");
}

#[test]
fn a_gateway_that_answers_unrecorded_shares_is_found() {
    is_found(
        Plant::AnswersUnrecorded,
        "was accepted, and is neither final nor in a spool",
    );
}

#[test]
fn a_gateway_that_records_shares_twice_is_found() {
    is_found(Plant::RecordsTwice, " times");
}

#[test]
fn a_reader_that_misses_a_record_is_found() {
    is_found(Plant::SkipsRecord, "not everything became final");
}

#[test]
fn an_archiver_that_forgets_what_it_signed_is_found() {
    is_found(Plant::ForgetsSigned, "a checkpoint of size");
}

#[test]
fn an_archiver_that_forgets_shares_is_found() {
    is_found(Plant::ForgetsShares, " times");
}

#[test]
fn an_archiver_that_shows_two_ledgers_is_found() {
    is_found(Plant::SplitView, "readers disagree at size");
}

#[test]
fn a_gateway_restored_from_a_snapshot_in_secret_is_found() {
    is_found(Plant::SecretClone, "is closed, and nobody forked it");
}

#[test]
fn a_gateway_that_never_sends_again_is_found() {
    is_found(Plant::NeverRetries, "not everything became final");
}
