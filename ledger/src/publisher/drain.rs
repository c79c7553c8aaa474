//! Fair drain: how gateways that were cut off from the log bring their backlogs.
//!
//! Positions decide weights, so whoever has the faster link after an outage would push everybody else's shares behind a
//! block of his. Instead a frame with last time t leaves not before R + (t − D)/20. R is when the log took a frame of ours
//! again; D is the producer time of the first frame that waited in any stream, as far as this process knows: its own
//! first one, and the late frames of others that it reads meanwhile. So all backlogs come in the order of their times, 20
//! times as fast as they were made, and what is made meanwhile fits in.
//!
//! An outage is: what is due does not stand for [`OUTAGE_MS`], or a backlog
//! as old at the start of the process. While it lasts one
//! frame is offered again and again. Only gateways wait: what archivers, settlers and desks say weighs nothing, and
//! checkpoints are what empties spools.

use orebook_schema::Header;

use super::RETRY_MS;
use crate::reader::LateFrames;

/// What is due and does not stand for so long, milliseconds: the log is away. A shorter hiccup costs no order worth the name.
pub const OUTAGE_MS: u64 = 3 * RETRY_MS;
/// So much faster than it was made a backlog leaves. A backlog of an hour takes 3 minutes and 10 seconds.
pub const DRAIN_SPEED: u64 = 20;
/// D is at most so long before R, milliseconds: statistics clamp times so too. No drain takes longer than 76 minutes, also
/// if some producer's clock is wrong by years.
pub const DRAIN_SPAN_MS_MAX: u64 = 86_400_000;
/// Time that counts between two looks, milliseconds: a clock that jumps neither empties a spool at once nor stops it.
const STEP_MS_MAX: u64 = 10_000;
/// Others may be ahead of us by so much of producer time, milliseconds, for us to go where they are: half a minute between
/// their R and ours. Further ahead there is nobody to wait for, only a frame that came late by itself.
const APART_MS_MAX: u64 = 30_000 * DRAIN_SPEED;
/// The log's clock may be behind ours by so much, milliseconds; late frames that it took before are of another outage.
const CLOCKS_MS_MAX: u64 = 60_000;

/// Which frames may leave now.
#[derive(Debug)]
pub(super) struct Drain {
    phase: Phase,
    looked_at: u64,
    /// Since when something is due that does not stand.
    waits_since: Option<u64>,
    /// Late frames of the ledger that were heeded.
    late_seen: u64,
}

#[derive(Debug)]
enum Phase {
    /// Never looked.
    New,
    /// No outage: frames leave at once.
    Open,
    /// The log takes nothing of ours; when the first frame that waits was begun.
    Cut { first: u64 },
    /// The log is there again.
    Paced(Pace),
}

#[derive(Debug)]
struct Pace {
    /// R.
    since: u64,
    /// Producer time of our own first frame that waited.
    own: u64,
    /// D.
    from: u64,
    /// Time since R.
    elapsed: u64,
}

/// What a publisher sees in a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'l> {
    /// Now, milliseconds since 1970.
    pub(super) now: u64,
    /// Whether a frame of ours came to stand since the last look.
    pub(super) stood: bool,
    /// The first of ours that does not stand.
    pub(super) first: Option<&'l Header>,
    /// Late frames that the reader took.
    pub(super) late: &'l LateFrames,
    /// Whether the spool has little room left.
    pub(super) is_nearly_full: bool,
}

impl Drain {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::New,
            looked_at: 0,
            waits_since: None,
            late_seen: 0,
        }
    }

    /// Whether frames wait for the log or for their turn.
    pub(super) const fn is_on(&self) -> bool {
        matches!(self.phase, Phase::Cut { .. } | Phase::Paced(_))
    }

    /// Whether the log is away: the first frame that does not stand is all that is offered.
    pub(super) const fn is_cut(&self) -> bool {
        matches!(self.phase, Phase::Cut { .. })
    }

    /// Whether a frame with this last time may leave. A spool that is nearly full waits for nobody else: it still empties
    /// 20 times as fast as it was filled.
    pub(super) const fn is_due(&self, last_time: u64, is_nearly_full: bool) -> bool {
        match &self.phase {
            Phase::Paced(pace) => {
                last_time <= pace.reached(pace.from)
                    || is_nearly_full && last_time <= pace.reached(pace.own)
            }
            Phase::New | Phase::Open | Phase::Cut { .. } => true,
        }
    }

    pub(super) fn look(&mut self, look: Look<'_>) {
        let now = look.now;
        let step = now.saturating_sub(self.looked_at).min(STEP_MS_MAX);
        self.looked_at = now;
        if let Phase::Paced(pace) = &mut self.phase {
            pace.elapsed = pace.elapsed.saturating_add(step);
        }
        let away = self.is_away(look);
        match (&mut self.phase, look.first) {
            (Phase::New, Some(first)) if first.last_time.saturating_add(OUTAGE_MS) <= now => {
                self.cut(first);
            }
            (Phase::New, _) => self.phase = Phase::Open,
            (Phase::Cut { first }, _) if look.stood => {
                let own = (*first).max(now.saturating_sub(DRAIN_SPAN_MS_MAX));
                self.phase = Phase::Paced(Pace {
                    since: now,
                    own,
                    from: own,
                    elapsed: 0,
                });
            }
            (Phase::Open | Phase::Paced(_), Some(first)) if away => self.cut(first),
            (Phase::Open | Phase::Cut { .. } | Phase::Paced(_), _) => {}
        }
        match &mut self.phase {
            // What others say is read when the log is back.
            Phase::Cut { .. } => return,
            Phase::Paced(pace) => {
                pace.heed(look.late, self.late_seen);
                if pace.is_over() {
                    self.phase = Phase::Open;
                }
            }
            Phase::New | Phase::Open => {}
        }
        self.late_seen = look.late.count();
    }

    fn cut(&mut self, first: &Header) {
        self.phase = Phase::Cut {
            first: first.base_time,
        };
    }

    fn is_away(&mut self, look: Look<'_>) -> bool {
        let is_due = |first: &Header| self.is_due(first.last_time, look.is_nearly_full);
        if look.stood || !look.first.is_some_and(is_due) {
            self.waits_since = None;
            return false;
        }
        // A clock that was set back starts again.
        let since = self.waits_since.unwrap_or(look.now).min(look.now);
        self.waits_since = Some(since);
        OUTAGE_MS <= look.now - since
    }
}

impl Pace {
    /// Producer time up to which frames may leave, if the first that waited is of `from`.
    const fn reached(&self, from: u64) -> u64 {
        from.saturating_add(self.elapsed.saturating_mul(DRAIN_SPEED))
    }

    /// Others' late frames: when theirs began to wait, and how far they are. Waiting longer than they did would only put
    /// our frames behind theirs.
    fn heed(&mut self, late: &LateFrames, seen: u64) {
        let earliest = self.since.saturating_sub(DRAIN_SPAN_MS_MAX);
        for frame in late.since(seen) {
            if frame.append_time.saturating_add(CLOCKS_MS_MAX) < self.since {
                continue;
            }
            self.from = self.from.min(frame.base_time.max(earliest));
            let ahead = frame.last_time.saturating_sub(self.reached(self.from));
            if ahead <= APART_MS_MAX {
                self.elapsed = self.elapsed.saturating_add(ahead.div_ceil(DRAIN_SPEED));
            }
        }
    }

    /// Whether what leaves is what is made now.
    const fn is_over(&self) -> bool {
        self.since.saturating_add(self.elapsed) <= self.reached(self.from)
    }
}

#[cfg(test)]
mod tests {
    use orebook_schema::{Hash, LedgerId, StreamId};

    use super::*;
    use crate::admit::Admitted;

    const HOUR: u64 = 3_600_000;
    /// When the outage began.
    const D: u64 = 1_700_000_000_000;

    fn frame(base_time: u64, last_time: u64) -> Header {
        Header {
            ledger: LedgerId([1; 16]),
            coin: 1,
            stream: StreamId([2; 16]),
            epoch: 0,
            first_seq: 0,
            count: 1,
            body_len: 0,
            base_time,
            last_time,
            previous: Hash::ZERO,
            events_root: Hash::ZERO,
            summary_hash: Hash::ZERO,
            kinds: orebook_schema::Kind::Share.bit(),
            schema_set: 0,
            summary_len: 0,
            key: orebook_schema::Key([0; 32]),
            signature: [0; 64],
        }
    }

    fn look(drain: &mut Drain, now: u64, stood: bool, first: Option<&Header>, late: &LateFrames) {
        drain.look(Look {
            now,
            stood,
            first,
            late,
            is_nearly_full: false,
        });
    }

    /// Cut off at D, back at `since`.
    fn back_at(since: u64, late: &LateFrames) -> Drain {
        let first = frame(D, D + 1_000);
        let mut drain = Drain::new();
        look(&mut drain, since - 100, false, Some(&first), late);
        assert!(drain.is_cut(), "a backlog at the start is an outage");
        look(&mut drain, since, true, Some(&first), late);
        drain
    }

    fn note(late: &mut LateFrames, append_time: u64, base_time: u64, last_time: u64) {
        let admitted = Admitted {
            position: 0,
            ledger_time: append_time,
            counts: Vec::new(),
            obeyed: None,
            disagrees: false,
        };
        late.note(&admitted, append_time, &frame(base_time, last_time));
    }

    #[test]
    fn a_backlog_leaves_by_its_times_twenty_times_as_fast_until_it_is_level() {
        let (since, none) = (D + HOUR, LateFrames::default());
        let mut drain = back_at(since, &none);
        let first = frame(D + 1_000, D + 2_000);
        // Milliseconds after R: the last times that leave, and the first that do not.
        for after in [0, 100, 1_000, 10_000, 19_000] {
            look(&mut drain, since + after, true, Some(&first), &none);
            let reached = D + after * 20;
            assert!(drain.is_due(reached, false), "{after}");
            assert!(!drain.is_due(reached + 1, false), "{after}");
        }
        // An hour is level after 3,600 / 19 seconds.
        for after in (20_000..189_473).step_by(1_000) {
            look(&mut drain, since + after, true, Some(&first), &none);
            assert!(drain.is_on(), "{after}");
        }
        look(&mut drain, since + 189_474, true, Some(&first), &none);
        assert!(!drain.is_on() && drain.is_due(u64::MAX, false));
    }

    #[test]
    fn a_hiccup_is_no_outage_and_what_nobody_takes_for_three_seconds_is() {
        let none = LateFrames::default();
        let mut drain = Drain::new();
        look(&mut drain, D, false, None, &none);
        let first = frame(D, D);
        for after in [0, 1_000, 2_999] {
            look(&mut drain, D + after, false, Some(&first), &none);
            assert!(!drain.is_on(), "{after}");
        }
        look(&mut drain, D + 3_000, false, Some(&first), &none);
        assert!(drain.is_cut());
        // Back after so short an outage nothing waits for long.
        look(&mut drain, D + 3_100, true, None, &none);
        look(&mut drain, D + 3_300, false, None, &none);
        assert!(!drain.is_on());
    }

    #[test]
    fn what_others_bring_late_moves_ours_behind_theirs_and_up_to_them() {
        let since = D + HOUR;
        let mut late = LateFrames::default();
        // Of another outage, long ago; it does not count.
        note(&mut late, since - HOUR / 2, D - 9 * HOUR, D - 9 * HOUR);
        let mut drain = back_at(since, &late);
        assert!(drain.is_due(D, false) && !drain.is_due(D + 1, false));
        // Another was cut off ten minutes before us: ours wait for his first ten.
        note(&mut late, since + 100, D - 600_000, D - 599_000);
        look(&mut drain, since + 100, false, None, &late);
        assert!(!drain.is_due(D - 598_000 + 2_000, false));
        assert!(drain.is_due(D - 599_000, false));
        // But a spool that is nearly full waits for none of it.
        assert!(drain.is_due(D + 1_000, true));
        // He is ahead: nothing is gained by waiting longer than he did.
        note(&mut late, since + 200, D - 100_000, D - 90_000);
        look(&mut drain, since + 200, false, None, &late);
        assert!(drain.is_due(D - 90_000, false) && !drain.is_due(D - 80_000, false));
        // So far ahead it is no backlog like ours, but one frame that was late by itself.
        note(&mut late, since + 300, since - 11_000, since - 11_000);
        look(&mut drain, since + 300, false, None, &late);
        assert!(!drain.is_due(D - 80_000, false));
    }

    #[test]
    fn a_clock_that_jumps_neither_empties_the_spool_at_once_nor_stops_it() {
        let (since, none) = (D + HOUR, LateFrames::default());
        for jumped in [since + 50 * HOUR, since - HOUR / 2, D - HOUR] {
            let mut drain = back_at(since, &none);
            let first = frame(D + 1_000, D + 2_000);
            look(&mut drain, jumped, true, Some(&first), &none);
            let most = D + STEP_MS_MAX * DRAIN_SPEED;
            assert!(!drain.is_due(most + 1, false), "{jumped}");
            for turn in 1..=190 {
                look(&mut drain, jumped + turn * 1_000, true, Some(&first), &none);
            }
            assert!(!drain.is_on(), "{jumped}");
        }
        // Frames of a clock that was years ahead, or behind.
        for first in [frame(u64::MAX, u64::MAX), frame(0, 0)] {
            let mut drain = Drain::new();
            look(&mut drain, D, false, None, &none);
            look(&mut drain, D, false, Some(&first), &none);
            look(&mut drain, D + 3_000, false, Some(&first), &none);
            look(&mut drain, D + 3_001, true, Some(&first), &none);
            for turn in 1..=4_600 {
                look(&mut drain, D + turn * 1_000, true, Some(&first), &none);
            }
            assert!(!drain.is_on());
        }
    }
}
