//! How long a miner may be silent. Who is slow on a high difficulty is not dead: the time follows the difficulty and the pace he
//! showed. Who is gone is found by the system's keep-alive, not here.

use std::time::{Duration, Instant};

use orebook_schema::Work;

use crate::config::Limits;

/// Shares after which a rig's pace is believed.
const SHARES_MIN: u32 = 8;
/// Silence that is borne, as a multiple of the time that a share should need by the pace of the last shares. A rig that goes on
/// is silent for longer with a chance of (1 + 64/n)^-n after n shares: 2e-8 after the first eight, less later.
const SHARES_MISSED_MAX: u128 = 64;
/// Shares at which the older half of what is known fades, so that a pace is the present one.
const SHARES_MAX: u32 = 256;

/// What is known of a session's pace, and when it was last heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence {
    /// When a whole line came last; at first, when it was let in.
    heard: Instant,
    /// Since when the pace is counted, once it has work.
    since: Option<Instant>,
    /// When its last share came.
    last: Instant,
    shares: u32,
    work: u128,
    /// What faded, milliseconds.
    faded_ms: u128,
}

impl Silence {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            heard: now,
            since: None,
            last: now,
            shares: 0,
            work: 0,
            faded_ms: 0,
        }
    }

    /// It said something.
    pub(crate) const fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// It has work from now on.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// A share of it was accepted.
    pub(crate) fn share(&mut self, work: Work, now: Instant) {
        self.last = now;
        self.shares += 1;
        self.work = self.work.saturating_add(u128::from(work.units()));
        if self.shares == SHARES_MAX {
            self.faded_ms += self.counted_ms() / 2;
            self.shares /= 2;
            self.work /= 2;
        }
    }

    fn counted_ms(&self) -> u128 {
        let since = self.since.unwrap_or(self.last);
        let whole = self.last.saturating_duration_since(since).as_millis();
        whole.saturating_sub(self.faded_ms)
    }

    /// Whether it was silent for longer than a miner at this difficulty is.
    pub(crate) fn is_over(&self, due: Work, limits: &Limits, now: Instant) -> bool {
        let silent = now.saturating_duration_since(self.heard);
        limits.idle <= silent
            && self
                .borne(due, limits)
                .is_some_and(|borne| borne <= silent.as_millis())
    }

    /// Milliseconds of silence that are borne at a difficulty; `None`: any.
    fn borne(&self, due: Work, limits: &Limits) -> Option<u128> {
        let due = u128::from(due.units());
        let share_ms = if self.shares < SHARES_MIN {
            (due * 1_000).checked_div(u128::from(limits.slowest_hashes_per_s))?
        } else {
            due.saturating_mul(self.counted_ms().max(1)) / self.work.max(1)
        };
        let floor = limits.idle.max(Duration::from_millis(1)).as_millis();
        Some(share_ms.saturating_mul(SHARES_MISSED_MAX).max(floor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn limits(slowest_hashes_per_s: u64) -> Limits {
        Limits {
            idle: HOUR,
            slowest_hashes_per_s,
            ..Limits::default()
        }
    }

    fn units(units: u64) -> Work {
        Work::new(units).unwrap()
    }

    /// A rig with a share of `work` each `pace`; when it was last heard.
    fn rig(shares: u32, pace: Duration, work: Work) -> (Silence, Instant) {
        let start = Instant::now();
        let mut rig = Silence::new(start);
        rig.begin(start);
        for n in 1..=shares {
            rig.heard(start + pace * n);
            rig.share(work, start + pace * n);
        }
        (rig, start + pace * shares)
    }

    #[test]
    fn the_silence_that_is_borne_follows_difficulty_and_pace() {
        let (minute, day) = (Duration::from_secs(60), 24 * HOUR);
        // shares so far, one each, the difficulty now against theirs, the slowest rig, borne.
        let table = [
            (8, minute, 1_000, 0, Some(64 * minute)),
            (8, minute, 30_000, 0, Some(64 * 30 * minute)),
            (500, minute, 1_000, 0, Some(64 * minute)),
            (8, Duration::from_millis(5), 1_000, 0, Some(HOUR)),
            (100, day, 1_000, 0, Some(64 * day)),
            (7, minute, 1_000, 0, None),
            (0, minute, 1_000, 0, None),
            (7, minute, 360_000, 1, Some(64 * 100 * HOUR)),
            (0, minute, 1_000, 1, Some(64_000 * Duration::from_secs(1))),
        ];
        for (shares, pace, due, slowest, borne) in table {
            let (rig, heard) = rig(shares, pace, units(1_000));
            let (due, limits) = (units(due), limits(slowest));
            let Some(borne) = borne else {
                assert!(!rig.is_over(due, &limits, heard + 10_000 * day), "{shares}");
                continue;
            };
            // Halves are cut to milliseconds.
            let slack = borne / 1_000;
            assert!(
                !rig.is_over(due, &limits, heard + borne - slack),
                "{shares}"
            );
            assert!(rig.is_over(due, &limits, heard + borne + slack), "{shares}");
        }
    }

    #[test]
    fn a_rig_that_became_slow_is_known_as_slow_within_some_hundred_shares() {
        let (mut rig, mut now) = rig(100_000, Duration::from_millis(100), units(1_000));
        let slow = Duration::from_secs(600);
        for _ in 0..1_000 {
            now += slow;
            rig.heard(now);
            rig.share(units(1_000), now);
        }
        let due = units(1_000);
        assert!(!rig.is_over(due, &limits(0), now + 60 * slow));
        assert!(rig.is_over(due, &limits(0), now + 65 * slow));
    }

    #[test]
    fn any_line_is_a_sign_of_life() {
        let (mut rig, heard) = rig(8, Duration::from_secs(1), units(1_000));
        assert!(rig.is_over(units(1_000), &limits(0), heard + HOUR));
        rig.heard(heard + HOUR / 2);
        assert!(!rig.is_over(units(1_000), &limits(0), heard + HOUR));
    }
}
