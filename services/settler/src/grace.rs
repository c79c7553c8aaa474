//! How long a coinbase of ours waits for a share to explain it.
//!
//! The share may wait in a gateway's spool: for the log, for a link, or for its turn in a drain. Ledger time says nothing of
//! that, since it jumps when the log is back. What a gateway says it says in the order of its times, so one that was
//! heard at a later time than the coinbase was noticed has said all that it knows of it. Pure: times come as arguments.
//!
//! **A key that never opened a stream** is a spare one, or a gateway that started while the log was away and holds its first
//! shares. The second says its first frame, a heartbeat at least, within seconds of the log's being back, and from that
//! frame on it is waited for like every other. So a spare key is waited for [`SPARE_MS`] of level time, which stands still
//! while the log is away. What that leaves: a gateway that works for an hour from its very first start without ever
//! reaching a log that all others reach, and finds a block in it. Its coinbase counts as recovered then: nothing is lost, all
//! of it is in `reserve`, and an adjustment pays it (docs/rules.md, 3.7).

use orebook_schema::Key;

/// A gateway that the ledger does not hear for so much ledger time is waited for no more, in milliseconds; and no coinbase
/// waits longer than so much level time, whoever was not heard: also wrong clocks do not block for ever.
pub const GONE_MS: u64 = 86_400_000;
/// A key that never opened a stream is waited for so much level time, in milliseconds: hundreds of times what a gateway needs
/// from the log's being there to its first frame, so that an operator sees and mends one that cannot reach it.
pub const SPARE_MS: u64 = 3_600_000;
/// A gateway whose last frame is so much older than its ledger time is not heard, in milliseconds: it drains, and if its clock
/// was ahead its times would say too much. Clocks may differ by so much.
pub const LAG_MS_MAX: u64 = 60_000;
/// One step of the level clock is at most so long, in milliseconds: two heartbeats.
pub const STEP_MS_MAX: u64 = 20_000;

/// What the final ledger has of a gateway whose key is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its key.
    pub key: Key,
    /// Last time of its last frame that moves nothing, milliseconds since 1970; 0 before the first.
    pub last_time: u64,
    /// Ledger time of that frame, milliseconds since 1970.
    pub said_at: u64,
    /// Ledger time of its last frame of any kind, or since when its key is in force, milliseconds since 1970.
    pub heard_at: u64,
    /// Whether it opened a stream, ever: also before its key was revoked and put in force again.
    pub has_stream: bool,
}

impl Gateway {
    /// Whether it has said all that it knew at `time`, milliseconds since 1970.
    #[must_use]
    pub fn has_said_all_until(&self, time: u64) -> bool {
        let lag = self.said_at.saturating_sub(self.last_time);
        lag <= LAG_MS_MAX && time <= self.last_time.min(self.said_at)
    }

    /// Whether nobody waits for it any more.
    #[must_use]
    pub const fn is_gone(&self, ledger_time: u64) -> bool {
        GONE_MS <= ledger_time.saturating_sub(self.heard_at)
    }
}

/// Time that passed by our clock and by the ledger's alike: it stands still while the log is away, and neither a jump of
/// ledger time nor one of our clock moves it by more than a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct LevelClock {
    looked_at: Option<u64>,
    ledger_time: u64,
    level_ms: u64,
}

impl LevelClock {
    /// Goes on to `now` and `ledger_time`, both milliseconds since 1970. A clock that went back starts again from there.
    pub fn look(&mut self, now: u64, ledger_time: u64) {
        let Some(before) = self.looked_at.filter(|before| *before <= now) else {
            (self.looked_at, self.ledger_time) = (Some(now), ledger_time);
            return;
        };
        // Between two frames of the ledger our time is kept, to be counted with the next.
        let ledger_ms = ledger_time.saturating_sub(self.ledger_time);
        if 0 < ledger_ms {
            let step = ledger_ms.min(now - before).min(STEP_MS_MAX);
            self.level_ms = self.level_ms.saturating_add(step);
            (self.looked_at, self.ledger_time) = (Some(now), ledger_time);
        }
    }

    /// Level time so far, in milliseconds.
    #[must_use]
    pub const fn level_ms(&self) -> u64 {
        self.level_ms
    }
}

/// When a coinbase was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noticed {
    /// Our clock or the ledger's, whichever was later, milliseconds since 1970.
    pub time: u64,
    /// Level time, in milliseconds.
    pub level_ms: u64,
}

/// What is known now.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Milliseconds since 1970.
    pub now: u64,
    /// Final ledger time, milliseconds since 1970.
    pub ledger_time: u64,
    /// The gateways whose keys are in force.
    pub gateways: &'a [Gateway],
}

/// Whether a coinbase that nothing explained counts as recovered: `grace_ms` of level time passed, and every gateway that is
/// not gone was heard at a time so long after it was noticed (one without a stream: [`SPARE_MS`] of level time passed, if that
/// is more than the grace); or [`GONE_MS`] of level time passed.
#[must_use]
pub fn is_over(noticed: Noticed, level_ms: u64, grace_ms: u64, facts: &Facts<'_>) -> bool {
    let waited = level_ms.saturating_sub(noticed.level_ms);
    let until = noticed.time.saturating_add(grace_ms);
    let is_spare = |it: &Gateway| !it.has_stream && grace_ms.max(SPARE_MS) <= waited;
    let is_free = |it: &Gateway| {
        it.is_gone(facts.ledger_time) || it.has_said_all_until(until) || is_spare(it)
    };
    grace_ms.max(GONE_MS) <= waited || grace_ms <= waited && facts.gateways.iter().all(is_free)
}
