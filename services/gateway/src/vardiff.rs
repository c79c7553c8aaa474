//! Variable difficulty: a session's shares are to come at a chosen pace. Integers only; what rounds, rounds down.

use orebook_schema::Work;
use orebook_schema::units::WorkUnit;

use crate::config::{AskedDifficulty, DifficultyRule, VardiffRule, exact};

/// Most a step changes the difficulty, as a factor either way.
const STEP_MAX: u128 = 4;
/// A step smaller than this, in percent of the present difficulty, is not worth a notification.
const STEP_PERCENT_MIN: u128 = 30;
/// Shares that end the observation before its time, as a multiple of those expected in it.
const HASTE: u128 = 4;
/// Shares that it takes at least to end the observation before its time.
const HASTE_SHARES_MIN: u128 = 16;

/// A session's pace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vardiff {
    rule: DifficultyRule,
    unit: WorkUnit,
    /// What the session's next job is sent with.
    wanted: Work,
    /// Lowest that the miner takes (`minimum-difficulty`).
    floor: Option<Work>,
    /// What the miner asked for last.
    asked: Option<Work>,
    /// It keeps what it asked for in its password.
    is_kept: bool,
    since_ms: u64,
    shares: u32,
    /// Work of the shares in the observation.
    work: u128,
}

impl Vardiff {
    /// At the port's start.
    pub(crate) fn new(rule: DifficultyRule, unit: WorkUnit, now_ms: u64) -> Self {
        let wanted = match rule {
            DifficultyRule::Fixed(work) => work,
            DifficultyRule::Vardiff(rule) => rule.start,
        };
        Self {
            rule,
            unit,
            wanted: exact(wanted, unit),
            floor: None,
            asked: None,
            is_kept: false,
            since_ms: now_ms,
            shares: 0,
            work: 0,
        }
    }

    /// Goes on where a former connection of the session ended, if it was on such a port. What this one asked for already counts.
    pub(crate) fn resume(&mut self, former: Self, now_ms: u64) {
        if self.rule != former.rule {
            return;
        }
        let (asked, floor) = (self.asked, self.floor);
        *self = former;
        self.restart(now_ms);
        if let Some(floor) = floor {
            self.at_least(floor, now_ms);
        }
        if let Some(asked) = asked {
            self.suggest(asked, now_ms);
        }
    }

    /// What the session's next job is sent with.
    pub(crate) const fn wanted(&self) -> Work {
        self.wanted
    }

    /// Hashes a second at which shares of this work come at the pace that the port wants; 0 where it wants none, being fixed.
    pub(crate) fn expected(&self, work: Work) -> u64 {
        let DifficultyRule::Vardiff(rule) = self.rule else {
            return 0;
        };
        let target_ms = rule.target.as_millis().max(1);
        let expected = u128::from(work.units()) * 1_000 / target_ms;
        u64::try_from(expected).unwrap_or(u64::MAX)
    }

    /// The miner asks for a difficulty: it is taken within the port's bounds. Said again it changes nothing, nor do fixed ports.
    pub(crate) fn suggest(&mut self, work: Work, now_ms: u64) {
        if self.asked != Some(work) && !self.is_kept {
            self.asked = Some(work);
            self.begin_with(work, now_ms);
        }
    }

    /// The miner's password asks for a difficulty: the session starts with it, or keeps it, as the port has it.
    pub(crate) fn ask(&mut self, work: Work, now_ms: u64) {
        if self.asked == Some(work) {
            return;
        }
        if let DifficultyRule::Vardiff(rule) = self.rule {
            self.asked = Some(work);
            self.is_kept = rule.asked == AskedDifficulty::Fixed;
            self.begin_with(work, now_ms);
        }
    }

    /// The miner says what it takes at least. Fixed ports change nothing.
    pub(crate) fn at_least(&mut self, work: Work, now_ms: u64) {
        if let DifficultyRule::Vardiff(rule) = self.rule {
            self.floor = Some(work.min(rule.max));
            if self.wanted < work {
                self.begin_with(work, now_ms);
            }
        }
    }

    fn begin_with(&mut self, work: Work, now_ms: u64) {
        if let DifficultyRule::Vardiff(rule) = self.rule {
            self.wanted = exact(self.clamp(work, &rule), self.unit);
            self.restart(now_ms);
        }
    }

    /// Counts an accepted share, and moves the difficulty where the pace asks for it. Whether it moved.
    pub(crate) fn share(&mut self, work: Work, now_ms: u64) -> bool {
        if self.is_kept || matches!(self.rule, DifficultyRule::Fixed(_)) {
            return false;
        }
        self.shares = self.shares.saturating_add(1);
        self.work = self.work.saturating_add(u128::from(work.units()));
        self.look(now_ms)
    }

    /// Moves the difficulty if the observation is over. Silence lowers it, step by step, and never ends a session.
    pub(crate) fn look(&mut self, now_ms: u64) -> bool {
        let DifficultyRule::Vardiff(rule) = self.rule else {
            return false;
        };
        if self.is_kept {
            return false;
        }
        let (target, window) = (
            millis(rule.target.as_millis()),
            millis(rule.retarget.as_millis()),
        );
        let elapsed = u128::from(now_ms.saturating_sub(self.since_ms));
        let expected = (window / target).max(1);
        let hasty = (HASTE * expected).max(HASTE_SHARES_MIN) <= u128::from(self.shares);
        if elapsed < window && !hasty {
            return false;
        }
        let now = u128::from(self.wanted.units());
        let paced = self.work.saturating_mul(target) / elapsed.max(1);
        let (least, most) = ((now / STEP_MAX).max(1), now.saturating_mul(STEP_MAX));
        let next = paced.clamp(least, most);
        self.restart(now_ms);
        if now.abs_diff(next) * 100 < now * STEP_PERCENT_MIN {
            return false;
        }
        let next = u64::try_from(next).unwrap_or(u64::MAX).min(Work::MAX);
        let next = Work::new(next).unwrap_or(self.wanted);
        let next = exact(self.clamp(next, &rule), self.unit);
        let moved = next != self.wanted;
        self.wanted = next;
        moved
    }

    fn clamp(&self, work: Work, rule: &VardiffRule) -> Work {
        let floor = self.floor.map_or(rule.min, |floor| floor.max(rule.min));
        work.clamp(floor, rule.max)
    }

    fn restart(&mut self, now_ms: u64) {
        (self.since_ms, self.shares, self.work) = (now_ms, 0, 0);
    }
}

/// At least 1: it divides.
fn millis(millis: u128) -> u128 {
    millis.max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const UNIT: WorkUnit = WorkUnit::Sha256d;

    fn work(text: &str) -> Work {
        Work::from_difficulty(text, UNIT).unwrap()
    }

    fn vardiff(start: &str) -> Vardiff {
        vardiff_with(start, AskedDifficulty::Start)
    }

    fn vardiff_with(start: &str, asked: AskedDifficulty) -> Vardiff {
        let rule = VardiffRule {
            start: work(start),
            min: work("0.0001"),
            max: work("1000000"),
            target: Duration::from_secs(10),
            retarget: Duration::from_secs(60),
            asked,
        };
        Vardiff::new(DifficultyRule::Vardiff(rule), UNIT, 0)
    }

    /// Sends shares of a rig that needs `work_per_second`, for `seconds`; silence is looked at once a second.
    fn mine(vardiff: &mut Vardiff, from_ms: u64, seconds: u64, work_per_second: u128) -> u64 {
        let mut done = 0;
        let end = from_ms + 1_000 * seconds;
        for now in (from_ms..end).step_by(100) {
            done += work_per_second / 10;
            while u128::from(vardiff.wanted().units()) <= done {
                done -= u128::from(vardiff.wanted().units());
                vardiff.share(vardiff.wanted(), now);
            }
            vardiff.look(now);
        }
        end
    }

    #[test]
    fn the_pace_is_found_from_far_below_and_far_above() {
        // 2^32 units a second: difficulty 10 gives a share in 10 s.
        for start in ["0.0001", "0.5", "9", "300", "1000000"] {
            let mut vardiff = vardiff(start);
            mine(&mut vardiff, 0, 3_600, 1 << 32);
            let found = vardiff.wanted().units();
            let ideal = work("10").units();
            assert!(
                ideal / 2 <= found && found <= ideal * 2,
                "{start}: {found} for {ideal}"
            );
        }
    }

    #[test]
    fn bounds_hold_and_every_difficulty_is_shown_exactly() {
        let mut slow = vardiff("1");
        for minute in 1..100 {
            slow.look(minute * 60_000);
            let shown = slow.wanted().shown(UNIT);
            assert_eq!(
                Work::from_difficulty(&shown, UNIT),
                Some(slow.wanted()),
                "{shown}"
            );
        }
        assert_eq!(
            slow.wanted(),
            work("0.0001"),
            "silence lowers it to the bound and no further"
        );
        let mut fast = vardiff("1");
        mine(&mut fast, 0, 600, 1 << 62);
        assert_eq!(fast.wanted(), work("1000000"));
    }

    #[test]
    fn a_steady_pace_moves_nothing() {
        let mut vardiff = vardiff("10");
        for n in 1..500 {
            assert!(!vardiff.share(work("10"), n * 10_000), "share {n}");
        }
    }

    #[test]
    fn a_suggestion_is_taken_within_bounds_and_on_fixed_ports_not_at_all() {
        let mut moving = vardiff("1");
        moving.suggest(work("64"), 0);
        assert_eq!(moving.wanted(), work("64"));
        moving.suggest(work("0.000002"), 0);
        assert_eq!(moving.wanted(), work("0.0001"));
        moving.at_least(work("2048"), 0);
        assert_eq!(moving.wanted(), work("2048"));
        moving.suggest(work("3"), 0);
        assert_eq!(
            moving.wanted(),
            work("2048"),
            "what the miner takes at least"
        );
        let mut fixed = Vardiff::new(DifficultyRule::Fixed(work("5")), UNIT, 0);
        fixed.suggest(work("64"), 0);
        fixed.at_least(work("64"), 0);
        assert!(!fixed.share(work("5"), 1) && !fixed.look(1 << 40));
        assert_eq!(fixed.wanted(), work("5"));
    }

    #[test]
    fn a_difficulty_in_the_password_is_a_start_or_stays_as_the_port_has_it() {
        for (rule, moves) in [
            (AskedDifficulty::Start, true),
            (AskedDifficulty::Fixed, false),
        ] {
            let mut asked = vardiff_with("1", rule);
            asked.ask(work("64"), 0);
            assert_eq!(asked.wanted(), work("64"));
            mine(&mut asked, 0, 3_600, 1 << 32);
            assert_eq!(asked.wanted() != work("64"), moves);
            asked.suggest(work("2"), 3_600_000);
            assert_eq!(asked.wanted() == work("2"), moves, "a suggestion");
            // Bounds hold, and the least that the miner takes does.
            asked.ask(work("0.000001"), 3_600_000);
            assert_eq!(asked.wanted(), work("0.0001"));
            asked.at_least(work("4"), 3_600_000);
            assert_eq!(asked.wanted(), work("4"));
            asked.ask(work("9000000"), 3_600_000);
            assert_eq!(asked.wanted(), work("1000000"));
        }
    }

    #[test]
    fn what_is_suggested_again_does_not_undo_what_was_learned() {
        let mut vardiff = vardiff("1");
        vardiff.suggest(work("64"), 0);
        let now = mine(&mut vardiff, 0, 3_600, 1 << 32);
        let learned = vardiff.wanted();
        assert_ne!(learned, work("64"));
        vardiff.suggest(work("64"), now);
        assert_eq!(vardiff.wanted(), learned);
        vardiff.suggest(work("32"), now);
        assert_eq!(vardiff.wanted(), work("32"), "another is heeded");
    }

    #[test]
    fn a_resumed_session_goes_on_at_its_difficulty_unless_it_asks_for_another() {
        let mut former = vardiff("1");
        former.ask(work("64"), 0);
        let now = mine(&mut former, 0, 3_600, 1 << 32);
        let learned = former.wanted();
        let mut same = vardiff("1");
        same.resume(former, now);
        assert_eq!(same.wanted(), learned);
        same.ask(work("64"), now);
        assert_eq!(same.wanted(), learned, "it asks for that each time");
        let mut other = vardiff("1");
        other.suggest(work("128"), now);
        other.resume(former, now);
        assert_eq!(other.wanted(), work("128"));
        let mut strong = vardiff("1");
        strong.at_least(work("4096"), now);
        strong.resume(former, now);
        assert_eq!(strong.wanted(), work("4096"));
        let mut elsewhere = vardiff("3");
        elsewhere.resume(former, now);
        assert_eq!(elsewhere.wanted(), work("3"), "a port with another rule");
    }

    #[test]
    fn a_burst_is_heeded_before_the_observation_is_over() {
        let mut vardiff = vardiff("1");
        let moved = (0..200).any(|n| vardiff.share(work("1"), n));
        assert!(moved, "200 shares in 200 ms");
        assert!(work("1") < vardiff.wanted());
    }
}
