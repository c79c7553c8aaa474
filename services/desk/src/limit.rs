//! Who sends wrong signatures has to wait, and cannot fill the disk with lines about it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use orebook_schema::Account;

/// A window of time, in milliseconds.
const WINDOW_MS: u64 = 60_000;
/// Wrong signatures of one address in a window, at most; the next ones are not looked at.
pub const WRONG_PER_MINUTE_MAX: u32 = 10;
/// Lines that the audit trail gets in a window for wrong signatures of everybody, at most; further ones are counted, and the
/// next line says how many there were.
pub const WRONG_LINES_PER_MINUTE_MAX: u32 = 6;
/// Addresses that are told apart in a window; what comes from further ones is not looked at.
const ADDRESSES_MAX: usize = 1_024;
/// What miners of one address (of IPv6, of one /64) ask and send in a minute, at most; more is not looked at.
pub const TRIES_PER_MINUTE_MAX: u32 = 60;
/// Settings of one account that are written in an hour, at most.
pub const SETTINGS_PER_HOUR_MAX: u32 = 10;
/// Settings of all owners that are written in a day, at most: each is an event for ever, and strangers have addresses without end.
pub const SETTINGS_PER_DAY_MAX: u32 = 2_000;
/// Addresses whose tries are told apart in a minute; what comes from further ones is not looked at.
const TRIERS_MAX: usize = 4_096;

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
        self.line()
    }

    /// Whether something of a stranger gets a line now, and how many got none since the last line.
    fn line(&mut self) -> Option<u64> {
        if self.lines < WRONG_LINES_PER_MINUTE_MAX {
            self.lines += 1;
            return Some(std::mem::take(&mut self.unwritten));
        }
        self.unwritten = self.unwritten.saturating_add(1);
        None
    }
}

/// Counts by key in a window of time.
#[derive(Clone, Debug)]
struct Window<K> {
    len_ms: u64,
    count_max: u32,
    keys_max: usize,
    since_ms: u64,
    counts: BTreeMap<K, u32>,
}

impl<K: Ord> Window<K> {
    const fn new(len_ms: u64, count_max: u32, keys_max: usize) -> Self {
        Self {
            len_ms,
            count_max,
            keys_max,
            since_ms: 0,
            counts: BTreeMap::new(),
        }
    }

    /// One more, if there is room for it.
    fn take(&mut self, key: K, now: u64) -> bool {
        let gone = now.checked_sub(self.since_ms);
        if gone.is_none_or(|gone| self.len_ms <= gone) {
            self.since_ms = now;
            self.counts.clear();
        }
        if self.keys_max <= self.counts.len() && !self.counts.contains_key(&key) {
            return false;
        }
        let count = self.counts.entry(key).or_default();
        let has_room = *count < self.count_max;
        *count = count.saturating_add(u32::from(has_room));
        has_room
    }
}

/// What strangers may cost who say settings.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    tries: Window<IpAddr>,
    accounts: Window<Account>,
    all: Window<()>,
    wrong: Limit,
}

impl Default for Rates {
    fn default() -> Self {
        let keys_max = usize::try_from(SETTINGS_PER_DAY_MAX).unwrap_or(0);
        Self {
            tries: Window::new(WINDOW_MS, TRIES_PER_MINUTE_MAX, TRIERS_MAX),
            accounts: Window::new(60 * WINDOW_MS, SETTINGS_PER_HOUR_MAX, keys_max),
            all: Window::new(24 * 60 * WINDOW_MS, SETTINGS_PER_DAY_MAX, 1),
            wrong: Limit::default(),
        }
    }
}

impl Rates {
    /// Whether what comes from here is looked at.
    pub(crate) fn is_open(&mut self, from: IpAddr, now: u64) -> bool {
        let from = group(from);
        self.wrong.is_open(from, now) && self.tries.take(from, now)
    }

    /// Whether another setting of the account is written.
    pub(crate) fn may_say(&mut self, account: &Account, now: u64) -> bool {
        self.accounts.take(account.clone(), now) && self.all.take((), now)
    }

    /// Something was refused. Says whether it gets a line, and how many got none since the last line.
    pub(crate) fn refused(&mut self, from: IpAddr, is_wrong: bool, now: u64) -> Option<u64> {
        if is_wrong {
            return self.wrong.wrong(group(from), now);
        }
        self.wrong.turn(now);
        self.wrong.line()
    }
}

/// Whoever has an address of IPv6 has 2^64 of them.
fn group(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address => address,
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

    #[test]
    fn an_address_asks_sixty_times_a_minute_and_one_of_ipv6_is_its_network() {
        let mut rates = Rates::default();
        let six = |text: &str| text.parse::<IpAddr>().unwrap();
        for _ in 0..TRIES_PER_MINUTE_MAX {
            assert!(rates.is_open(HERE, 1_000));
            assert!(rates.is_open(six("2001:db8:0:1::1"), 1_000));
        }
        assert!(!rates.is_open(HERE, 1_001));
        assert!(!rates.is_open(six("::ffff:192.0.2.1"), 1_001), "the same");
        assert!(!rates.is_open(six("2001:db8:0:1:ffff::9"), 1_001));
        assert!(rates.is_open(six("2001:db8:0:2::1"), 1_001));
        assert!(rates.is_open(THERE, 1_001));
        assert!(rates.is_open(HERE, 61_000), "the next minute");
    }

    #[test]
    fn an_account_says_ten_settings_an_hour_and_all_together_two_thousand_a_day() {
        let mut rates = Rates::default();
        let account = |number: u32| Account::parse(&format!("name:n{number}")).unwrap();
        let now = 90_000_000;
        let said = (0..20).filter(|_| rates.may_say(&account(0), now)).count();
        assert_eq!(said, 10);
        for number in 1..=SETTINGS_PER_DAY_MAX - 10 {
            assert!(rates.may_say(&account(number), now), "{number}");
        }
        assert!(!rates.may_say(&account(9_999), now));
        assert!(!rates.may_say(&account(9_999), now + 3_600_000));
        assert!(rates.may_say(&account(9_999), now + 86_400_000));
    }

    #[test]
    fn wrong_signatures_close_the_door_and_other_refusals_only_cost_lines() {
        let mut rates = Rates::default();
        let lines = (0..20).filter(|_| rates.refused(HERE, false, 1_000).is_some());
        assert_eq!(lines.count(), 6);
        assert!(rates.is_open(HERE, 1_000));
        for _ in 0..WRONG_PER_MINUTE_MAX {
            rates.refused(HERE, true, 1_000);
        }
        assert!(!rates.is_open(HERE, 1_000));
        assert!(rates.is_open(THERE, 1_000));
    }
}
