//! Late frames: those that the ledger took long after they were made, after an outage of the log or of a link to it.

use std::collections::VecDeque;

use orebook_schema::{Header, Kind};

use crate::admit::Admitted;

/// A frame whose last event is so much older than its ledger time is late, milliseconds.
pub const LATE_MS: u64 = 10_000;
/// Late frames that are remembered, 24 bytes each: as many as a reader takes between two looks of a publisher. Of older ones
/// only the count is left.
const KEPT_MAX: usize = 1_024;

/// Whether a frame of that ledger time is late.
#[must_use]
pub const fn is_late(ledger_time: u64, last_time: u64) -> bool {
    LATE_MS < ledger_time.saturating_sub(last_time)
}

/// A late frame with shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LateFrame {
    /// When the log took it.
    pub(crate) append_time: u64,
    /// Time of its first event.
    pub(crate) base_time: u64,
    /// Time of its last event.
    pub(crate) last_time: u64,
}

/// Late frames with shares that a reader took from the log since it was opened.
#[derive(Clone, Debug, Default)]
pub struct LateFrames {
    count: u64,
    newest: VecDeque<LateFrame>,
}

impl LateFrames {
    /// How many. One that is read again after its position was given up counts again.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Those after the first `seen`, as far as they are remembered.
    pub(crate) fn since(&self, seen: u64) -> impl Iterator<Item = &LateFrame> {
        let new = usize::try_from(self.count.saturating_sub(seen)).unwrap_or(usize::MAX);
        let skipped = self.newest.len().saturating_sub(new);
        self.newest.iter().skip(skipped)
    }

    /// Notes a frame, if it is late and has shares.
    pub(crate) fn note(&mut self, admitted: &Admitted, append_time: u64, header: &Header) {
        let weighs = Kind::SHARES | Kind::Moved.bit();
        if header.kinds & weighs == 0 || !is_late(admitted.ledger_time, header.last_time) {
            return;
        }
        self.count += 1;
        if KEPT_MAX <= self.newest.len() {
            self.newest.pop_front();
        }
        self.newest.push_back(LateFrame {
            append_time,
            base_time: header.base_time,
            last_time: header.last_time,
        });
    }
}
