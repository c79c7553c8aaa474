//! How many light checks of ethash one thread makes.

use std::path::Path;
use std::time::{Duration, Instant};

use orebook_pow::ethash::{Cache, EPOCH_BLOCKS, EpochRule, Prove as _, Question, TOGETHER_MAX};
use orebook_schema::Hash;

use super::process::cpu_ns;
use super::{Milli, Point};
use crate::cat::Object;
use crate::{Failure, say};

/// A run takes so long at least.
const RUN_MIN: Duration = Duration::from_secs(3);
/// Questions asked in step, besides as many as can be: a share alone, a few, and what a quiet pool has.
const TOGETHER: [usize; 4] = [1, 2, 4, 8];

/// `pow_ethash_epoch0`.
pub(super) fn first(_: &Path, runs: usize) -> Result<Vec<Point>, Failure> {
    points(0, runs)
}

/// `pow_ethash_epoch450`.
pub(super) fn late(_: &Path, runs: usize) -> Result<Vec<Point>, Failure> {
    points(450, runs)
}

fn points(number: u64, runs: usize) -> Result<Vec<Point>, Failure> {
    let epoch = EpochRule::Ethash.epoch(number * EPOCH_BLOCKS);
    let epoch = epoch.ok_or_else(|| Failure::new("an epoch that nobody knows"))?;
    let start = Instant::now();
    let cache = Cache::build(epoch);
    let build = Milli::ratio(start.elapsed().as_micros(), 1_000);
    let point = |run| {
        let (value, by_clock) = rate(&cache, TOGETHER_MAX, run)?;
        let mut in_step = Object::new();
        for together in TOGETHER {
            in_step.raw(&together.to_string(), rate(&cache, together, run)?.0);
        }
        say(&format!("  {value} checks/s"));
        let regime = "\"one thread, not pinned, cache in memory without huge pages\"";
        Ok(Point {
            part: "rate",
            value,
            extra: vec![
                ("together", TOGETHER_MAX.to_string()),
                ("checks_per_second_of_so_many_together", in_step.end()),
                ("cache_bytes", cache.bytes().len().to_string()),
                ("cache_build_ms", build.to_string()),
                ("by_the_clock", by_clock.to_string()),
                ("regime", regime.to_owned()),
                ("load", format!("\"{}\"", load())),
            ],
        })
    };
    (0..runs as u64).map(point).collect()
}

/// Asks so many at a time, each another question: checks a second of the processor's time, and of the clock's.
fn rate(cache: &Cache, together: usize, run: u64) -> Result<(Milli, Milli), Failure> {
    let seal = Hash::of(&[&run.to_le_bytes()]);
    let (mut nonce, mut asked, mut answers) = (0_u64, 0, Vec::new());
    let me = std::process::id();
    let (start, cpu) = (Instant::now(), cpu_ns(me)?);
    while start.elapsed() < RUN_MIN {
        let questions: Vec<Question> = (0..together)
            .map(|_| {
                nonce = nonce.wrapping_add(0x9e37_79b9_7f4a_7c15);
                Question { seal, nonce }
            })
            .collect();
        answers.clear();
        cache.prove(&questions, &mut answers);
        asked += answers.len() as u64;
    }
    let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let cpu = cpu_ns(me)?.saturating_sub(cpu);
    Ok((
        Milli::per_second(asked, cpu),
        Milli::per_second(asked, nanos),
    ))
}

/// What else ran on the machine: threads that ran or wanted to, over a minute. Without it the figure says little.
pub(super) fn load() -> String {
    let said = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    said.split(' ').next().unwrap_or_default().to_owned()
}
