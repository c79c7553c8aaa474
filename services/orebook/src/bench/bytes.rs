//! How large the ledger grows: everything in the segments over shares, in simulated time. Each share comes at a random
//! moment of its own interval.

use std::fs;
use std::path::Path;

use super::ground::failed;
use super::sim::{Sim, xorshift};
use super::{Milli, Point};
use crate::{Failure, say};

/// Small segments, so that seals and footers are in the figure: they cost the same a position in any.
const SEGMENT_POSITIONS: u32 = 256;
/// A new job each so many milliseconds, as the gateway's silence asks for at the latest.
const JOB_MS: u64 = 30_000;

struct Case {
    part: &'static str,
    per_second: u64,
    seconds: u64,
}

const CASES: [Case; 3] = [
    Case {
        part: "1/s",
        per_second: 1,
        seconds: 1_800,
    },
    Case {
        part: "100/s",
        per_second: 100,
        seconds: 300,
    },
    Case {
        part: "10000/s",
        per_second: 10_000,
        seconds: 120,
    },
];

/// When shares come, milliseconds since 1970.
struct Arrivals {
    begin: u64,
    /// Microseconds between shares.
    spacing: u64,
    intervals: u64,
    random: u64,
    next: u64,
}

impl Arrivals {
    fn new(begin: u64, per_second: u64) -> Self {
        let mut arrivals = Self {
            begin,
            spacing: 1_000_000 / per_second,
            intervals: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            next: 0,
        };
        arrivals.draw();
        arrivals
    }

    /// Draws the next one, within the next interval.
    const fn draw(&mut self) {
        self.random = xorshift(self.random);
        let within = self.random % self.spacing;
        self.next = self.begin + (self.intervals * self.spacing + within) / 1_000;
        self.intervals += 1;
    }

    /// Takes those before a moment.
    fn before(&mut self, end: u64) -> Vec<u64> {
        let mut times = Vec::new();
        while self.next < end {
            times.push(self.next);
            self.draw();
        }
        times
    }
}

/// `ledger_bytes_per_share`. It gives the same each time, so it is run once.
pub(super) fn run(dir: &Path, _runs: usize) -> Result<Vec<Point>, Failure> {
    CASES
        .iter()
        .map(|case| {
            let dir = dir.join(format!("rate-{}", case.per_second));
            fs::create_dir(&dir).map_err(|error| failed("a folder", error))?;
            let point = measure(&dir, case);
            fs::remove_dir_all(&dir).map_err(|error| failed("a folder", error))?;
            point
        })
        .collect()
}

fn measure(dir: &Path, case: &Case) -> Result<Point, Failure> {
    let mut sim = Sim::open(dir, SEGMENT_POSITIONS)?;
    let bytes = |sim: &Sim| {
        sim.store()
            .segments()
            .iter()
            .map(|it| it.bytes)
            .sum::<u64>()
    };
    let (bytes_before, positions_before) = (bytes(&sim), sim.store().size());
    let begin = sim.now();
    let (mut arrivals, mut jobs) = (Arrivals::new(begin, case.per_second), 0);
    while sim.now() < begin + case.seconds * 1_000 {
        let now = sim.now();
        if JOB_MS * jobs <= now - begin {
            jobs += 1;
            sim.announce_job(u32::try_from(jobs).unwrap_or(u32::MAX))?;
        }
        let due = arrivals.before(now + 1);
        if !due.is_empty() {
            sim.say_shares(due.into_iter())?;
        }
        sim.turn()?;
    }
    sim.settle()?;
    let grown = bytes(&sim) - bytes_before;
    let positions = sim.store().size() - positions_before;
    let sealed = sim.store().segments().iter().filter(|it| it.sealed).count();
    let value = Milli::ratio(u128::from(grown), u128::from(sim.shares()));
    say(&format!("  {}: {value} bytes a share", case.part));
    Ok(Point {
        part: case.part,
        value,
        extra: vec![
            ("shares", sim.shares().to_string()),
            ("simulated_seconds", case.seconds.to_string()),
            ("bytes", grown.to_string()),
            ("positions", positions.to_string()),
            ("jobs", jobs.to_string()),
            ("sealed_segments", sealed.to_string()),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_in_order_one_in_each_interval() {
        for per_second in [1, 100, 10_000] {
            let mut arrivals = Arrivals::new(5_000, per_second);
            let times = arrivals.before(15_000);
            assert!(times.is_sorted() && times.iter().all(|time| (5_000..15_000).contains(time)));
            assert_eq!(times.len() as u64, 10 * per_second);
        }
    }
}
