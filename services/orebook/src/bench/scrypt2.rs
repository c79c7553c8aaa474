//! How many scrypt² checks one thread makes, and how long they take.

use std::path::Path;
use std::time::{Duration, Instant};

use orebook_gateway::Scratchpad;
use orebook_pow::{HEADER_BYTES, scrypt2, scrypt2_pair};

use super::{Milli, Point};
use crate::{Failure, say};

/// A run takes so long at least.
const RUN_MIN: Duration = Duration::from_secs(5);
/// Times that one header alone is hashed in a run.
const ALONE: u32 = 3;

pub(super) fn run(_: &Path, runs: usize) -> Result<Vec<Point>, Failure> {
    let pad = || {
        let pad = Scratchpad::new();
        pad.map_err(|error| Failure::new(format!("no memory for a scratchpad: {error}")))
    };
    let (mut first, mut second) = (pad()?, pad()?);
    let mut points = Vec::new();
    for _ in 0..runs {
        points.extend(once(first.bytes(), second.bytes())?);
    }
    Ok(points)
}

fn once(first: &mut [u8], second: &mut [u8]) -> Result<[Point; 2], Failure> {
    let small = || Failure::new("a scratchpad is too small");
    let mut number = 0_u64;
    let mut header = || {
        number += 1;
        let mut header = [0; HEADER_BYTES];
        let (place, _) = header.split_at_mut(8);
        place.copy_from_slice(&number.to_le_bytes());
        header
    };
    // The system gives pages when they are first written.
    first.fill(0);
    second.fill(0);
    let mut alone = Vec::new();
    for _ in 0..ALONE {
        let start = Instant::now();
        scrypt2(&header(), first).ok_or_else(small)?;
        alone.push(start.elapsed());
    }
    let (start, mut pairs) = (Instant::now(), Vec::new());
    while start.elapsed() < RUN_MIN {
        let (one, two, began) = (header(), header(), Instant::now());
        scrypt2_pair([&one, &two], [&mut *first, &mut *second]).ok_or_else(small)?;
        pairs.push(began.elapsed());
    }
    let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let checks = 2 * u64::try_from(pairs.len()).unwrap_or(0);
    let rate = Milli::per_second(checks, nanos);
    let (pair, alone) = (median(&mut pairs), median(&mut alone));
    say(&format!(
        "  {rate} checks/s, two in {pair} ms, one alone in {alone} ms"
    ));
    Ok([
        Point {
            part: "rate",
            value: rate,
            extra: vec![("checks", checks.to_string())],
        },
        Point {
            part: "latency",
            value: pair,
            extra: vec![("alone_ms", alone.to_string())],
        },
    ])
}

/// Milliseconds.
fn median(times: &mut [Duration]) -> Milli {
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    Milli::ratio(middle.as_nanos(), 1_000_000)
}
