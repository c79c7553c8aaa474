//! Whether a rig's silence is explained by its own difficulty.
//!
//! A rig that does h work a second finds a share of work d every d/h seconds on average, and is silent for k times that
//! with probability e^−k. Its h is taken from its own last shares, by work and never by count, so that a difficulty that
//! moved does not mislead.

/// Shares that a rig's own pace is taken from: enough to be within a third mostly, few enough to follow a rig that changes.
pub const PACE_SHARES: usize = 8;
/// Expected intervals that a silence may last: by chance alone a rig that works is silent for so long once in e^10 = 22,026
/// shares.
pub const SILENCE_INTERVALS: u64 = 10;
/// A silence up to here needs no explanation: a reboot, a pool's restart, a slow network.
pub const SILENCE_MS_MIN: u64 = 5 * 60_000;
/// Silence of a rig with one share, whose pace is not known yet: long enough for a slow rig's second share.
pub const SILENCE_MS_UNKNOWN: u64 = 30 * 60_000;
/// No silence is explained beyond this: a share a week is no worker.
pub const SILENCE_MS_MAX: u64 = 7 * 24 * 3_600_000;

/// How long a silence is explained, in milliseconds, of a rig with these last shares (time in milliseconds, work; oldest
/// first) at this difficulty, as work of a share. Rounded down.
#[must_use]
pub fn explained_ms(recent: &[(u64, u64)], difficulty: u64) -> u64 {
    let (Some((_, first_work)), true) = (recent.first(), 2 <= recent.len()) else {
        return SILENCE_MS_UNKNOWN;
    };
    let times = recent.iter().map(|(time, _)| *time);
    let span_ms = times.clone().max().unwrap_or(0) - times.min().unwrap_or(0);
    let all: u128 = recent.iter().map(|(_, work)| u128::from(*work)).sum();
    // The first share's work was done before the span. The others have at least one unit of work each.
    let work = (all - u128::from(*first_work)).max(1);
    // difficulty < 2^63; a span above 2^60 ms is cut long before it matters.
    let span = u128::from(span_ms.min(1 << 60)) * u128::from(SILENCE_INTERVALS);
    let explained = u128::from(difficulty).saturating_mul(span) / work;
    let explained = u64::try_from(explained).unwrap_or(u64::MAX);
    explained.clamp(SILENCE_MS_MIN, SILENCE_MS_MAX)
}
