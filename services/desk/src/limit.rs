//! Who sends wrong signatures has to wait, and cannot fill the disk with lines about it.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A window of time, in milliseconds.
const WINDOW_MS: u64 = 60_000;
/// Wrong signatures of one address in a window, at most; the next ones are not looked at.
pub const WRONG_PER_MINUTE_MAX: u32 = 10;
/// Lines that the audit trail gets in a window for wrong signatures of everybody, at most; further ones are counted, and the
/// next line says how many there were.
pub const WRONG_LINES_PER_MINUTE_MAX: u32 = 6;
/// Addresses that are told apart in a window; what comes from further ones is not looked at.
const ADDRESSES_MAX: usize = 1_024;

/// Wrong signatures of the present window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limit {
    since_ms: u64,
    by_address: BTreeMap<IpAddr, u32>,
    lines: u32,
    unwritten: u64,
}

impl Limit {
    fn turn(&mut self, now: u64) {
        // A clock that went back begins anew.
        let in_window = now
            .checked_sub(self.since_ms)
            .is_some_and(|gone| gone < WINDOW_MS);
        if !in_window {
            self.since_ms = now;
            self.by_address.clear();
            self.lines = 0;
        }
    }

    /// Whether a command from here is looked at.
    pub(crate) fn is_open(&mut self, from: IpAddr, now: u64) -> bool {
        self.turn(now);
        match self.by_address.get(&from) {
            Some(wrong) => *wrong < WRONG_PER_MINUTE_MAX,
            None => self.by_address.len() < ADDRESSES_MAX,
        }
    }

    /// A wrong one came. Says whether it gets a line, and how many got none since the last line.
    pub(crate) fn wrong(&mut self, from: IpAddr, now: u64) -> Option<u64> {
        self.turn(now);
        let count = self.by_address.entry(from).or_default();
        *count = count.saturating_add(1);
        if self.lines < WRONG_LINES_PER_MINUTE_MAX {
            self.lines += 1;
            return Some(std::mem::take(&mut self.unwritten));
        }
        self.unwritten = self.unwritten.saturating_add(1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn ten_wrong_signatures_close_the_door_for_their_address_until_the_minute_is_over() {
        let mut limit = Limit::default();
        let mut lines = 0;
        for _ in 0..WRONG_PER_MINUTE_MAX {
            assert!(limit.is_open(HERE, 1_000));
            lines += u32::from(limit.wrong(HERE, 1_000).is_some());
        }
        assert!(!limit.is_open(HERE, 1_001));
        assert!(limit.is_open(THERE, 1_001), "another address");
        assert_eq!(lines, WRONG_LINES_PER_MINUTE_MAX);
        assert_eq!(limit.wrong(THERE, 1_001), None, "no line is left");
        assert!(limit.is_open(HERE, 61_000), "the next minute");
        let unwritten = u64::from(WRONG_PER_MINUTE_MAX - WRONG_LINES_PER_MINUTE_MAX) + 1;
        assert_eq!(limit.wrong(HERE, 61_000), Some(unwritten));
        assert_eq!(limit.wrong(HERE, 61_001), Some(0), "said once");
    }

    #[test]
    fn more_addresses_than_can_be_told_apart_are_not_looked_at() {
        let mut limit = Limit::default();
        for number in 0..u32::try_from(ADDRESSES_MAX).unwrap() {
            let from = IpAddr::V4(number.into());
            assert!(limit.is_open(from, 100_005));
            limit.wrong(from, 100_005);
        }
        assert!(!limit.is_open(HERE, 100_005));
        assert!(limit.is_open(HERE, 100_004), "a clock that went back");
    }
}
