//! Who may come in, and who is kept out for a while. Pure: the clock comes as an argument.
//!
//! The first measure is the narrowest: a rig's share window judges a user of a session, then its login at its address is kept
//! out, and only an address where nobody stands well is kept out as a whole, so that one bad rig bans no farm. Connections are
//! a matter of credit: an address opens so many a minute, and each good share earns it further ones, so that a farm comes back
//! at once after a power cut and a flood does not. An IPv6 address counts by its /64, which is what one customer is given.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::config::Limits;
use crate::proxy::Network;

/// Connections and offences of an address are counted for this long.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered. Beyond it those without a connection are forgotten: first those with nothing against or for them.
const ADDRESSES_MAX: usize = 65_536;
/// Logins that are kept out, at most. Beyond it only their sessions are closed.
const LOGINS_MAX: usize = 4_096;
/// Bits of an IPv6 address that count: the least that a network is given (RFC 6177).
const IPV6_BITS: u32 = 64;

/// What counts as one address: IPv4 whole, also within IPv6, IPv6 by its /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place(IpAddr);

impl Place {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                let behind = 128 - IPV6_BITS;
                let bits = address.to_bits() >> behind << behind;
                IpAddr::V6(Ipv6Addr::from_bits(bits))
            }
        })
    }

    /// Its first address.
    pub(crate) const fn address(self) -> IpAddr {
        self.0
    }
}

/// What an address can be kept out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offence {
    FailedLogin,
    /// A connection that ended since it spoke another protocol, or none.
    Malformed,
    /// A login that was kept out for its shares.
    BadLogin,
}

impl Offence {
    const COUNT: usize = 3;

    const fn index(self) -> usize {
        match self {
            Self::FailedLogin => 0,
            Self::Malformed => 1,
            Self::BadLogin => 2,
        }
    }

    const fn most(self, limits: &Limits) -> u32 {
        match self {
            Self::FailedLogin => limits.failed_logins_per_address,
            Self::Malformed => limits.malformed_per_address,
            Self::BadLogin => limits.bad_logins_per_address,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::FailedLogin => "too many failed logins",
            Self::Malformed => "too many connections that do not speak Stratum",
            Self::BadLogin => "too many workers with bad shares",
        }
    }
}

/// Why somebody is turned away at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// The port is full.
    Port,
    /// The address has its connections.
    Address,
    /// It opened too many of late; for so long none more.
    Rate(Duration),
    /// It is kept out for so long.
    Banned(Offence, Duration),
}

impl Turned {
    /// For the miner to read.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Port => "this port has no room for more connections".to_owned(),
            Self::Address => "too many connections from this address".to_owned(),
            Self::Rate(left) => format!(
                "too many new connections from this address: none more for {} s",
                seconds(left)
            ),
            Self::Banned(offence, left) => format!(
                "this address is kept out for {} s: {}",
                seconds(left),
                offence.words()
            ),
        }
    }
}

/// Seconds as people are told them: rounded up.
pub(crate) fn seconds(left: Duration) -> u64 {
    left.as_secs()
        .saturating_add(u64::from(0 < left.subsec_nanos()))
}

/// What is known of an address.
#[derive(Debug, Default)]
struct Visitor {
    connections: usize,
    /// Connections among them that had a good share.
    proved: usize,
    /// Since when the next two are counted.
    since: Option<Instant>,
    connects: u32,
    offences: [u32; Offence::COUNT],
    /// Connections that shares earned.
    credit: u32,
    banned: Option<(Instant, Offence)>,
}

/// Who is inside, who earned what, and who is kept out, by address.
#[derive(Debug)]
pub(crate) struct Visitors {
    limits: Limits,
    exempt: Vec<Network>,
    began: Instant,
    by_place: HashMap<Place, Visitor>,
}

impl Visitors {
    pub(crate) fn new(limits: Limits, exempt: Vec<Network>, now: Instant) -> Self {
        Self {
            limits,
            exempt,
            began: now,
            by_place: HashMap::new(),
        }
    }

    /// Whether no limit of addresses holds there.
    pub(crate) fn is_exempt(&self, address: IpAddr) -> bool {
        self.exempt.iter().any(|network| network.contains(address))
    }

    /// Counts one more, if he may enter.
    pub(crate) fn arrive(&mut self, address: IpAddr, now: Instant) -> Result<(), Turned> {
        let is_exempt = self.is_exempt(address);
        let is_grace = now.saturating_duration_since(self.began) < self.limits.connects_grace;
        let limits = self.limits;
        let visitor = self.of(address, now);
        if !is_exempt {
            visitor.may_enter(&limits, is_grace, now)?;
        }
        visitor.connections += 1;
        Ok(())
    }

    /// A connection ended, which had a good share or not.
    pub(crate) fn left(&mut self, address: IpAddr, had_proved: bool, now: Instant) {
        let place = Place::of(address);
        if let Some(visitor) = self.by_place.get_mut(&place) {
            visitor.connections = visitor.connections.saturating_sub(1);
            visitor.proved = visitor.proved.saturating_sub(usize::from(had_proved));
            if visitor.connections == 0 && visitor.is_forgettable(now) {
                self.by_place.remove(&place);
            }
        }
    }

    /// A connection had its first good share: somebody stands well at this address.
    pub(crate) fn prove(&mut self, address: IpAddr) {
        if let Some(visitor) = self.by_place.get_mut(&Place::of(address)) {
            visitor.proved += 1;
        }
    }

    /// So many good shares were sent from there.
    pub(crate) fn earn(&mut self, address: IpAddr, shares: u32) {
        let jump = self.limits.connects_per_share.saturating_mul(shares);
        let most = u32::try_from(self.limits.connections_per_address).unwrap_or(u32::MAX);
        if let Some(visitor) = self.by_place.get_mut(&Place::of(address)) {
            visitor.credit = visitor.credit.saturating_add(jump).min(most);
        }
    }

    /// Notes an offence. The place, if it is kept out from now on and was not before.
    pub(crate) fn offend(
        &mut self,
        address: IpAddr,
        offence: Offence,
        now: Instant,
    ) -> Option<Place> {
        if self.is_exempt(address) {
            return None;
        }
        let (most, ban) = (offence.most(&self.limits), self.limits.ban);
        let visitor = self.of(address, now);
        visitor.forget_old(now);
        visitor.since.get_or_insert(now);
        let count = visitor.offences.get_mut(offence.index())?;
        *count = count.saturating_add(1);
        let is_banned = most <= *count && visitor.proved == 0 && visitor.banned.is_none();
        if !is_banned {
            return None;
        }
        visitor.banned = Some((now.checked_add(ban)?, offence));
        Some(Place::of(address))
    }

    fn of(&mut self, address: IpAddr, now: Instant) -> &mut Visitor {
        if ADDRESSES_MAX <= self.by_place.len() {
            self.by_place
                .retain(|_, visitor| 0 < visitor.connections || !visitor.is_forgettable(now));
        }
        if ADDRESSES_MAX <= self.by_place.len() {
            self.by_place.retain(|_, visitor| 0 < visitor.connections);
        }
        self.by_place.entry(Place::of(address)).or_default()
    }
}

impl Visitor {
    fn forget_old(&mut self, now: Instant) {
        if self.is_window_over(now) {
            (self.since, self.connects, self.offences) = (None, 0, [0; Offence::COUNT]);
        }
        if self.banned.is_some_and(|(until, _)| until <= now) {
            // The window may be longer than the ban: it begins anew too.
            (self.banned, self.offences) = (None, [0; Offence::COUNT]);
        }
    }

    fn is_window_over(&self, now: Instant) -> bool {
        self.since
            .is_some_and(|since| WINDOW <= now.saturating_duration_since(since))
    }

    /// Whether nothing that still counts is known of it.
    fn is_forgettable(&self, now: Instant) -> bool {
        let is_counted = self.since.is_some() && !self.is_window_over(now);
        let is_banned = self.banned.is_some_and(|(until, _)| now < until);
        !is_counted && !is_banned && self.credit == 0
    }

    fn may_enter(&mut self, limits: &Limits, is_grace: bool, now: Instant) -> Result<(), Turned> {
        self.forget_old(now);
        if let Some((until, offence)) = self.banned {
            return Err(Turned::Banned(
                offence,
                until.saturating_duration_since(now),
            ));
        }
        if limits.connections_per_address <= self.connections {
            return Err(Turned::Address);
        }
        if is_grace {
            return Ok(());
        }
        let since = *self.since.get_or_insert(now);
        if self.connects < limits.connects_per_minute {
            self.connects += 1;
        } else if let Some(left) = self.credit.checked_sub(1) {
            self.credit = left;
        } else {
            let left = WINDOW.saturating_sub(now.saturating_duration_since(since));
            return Err(Turned::Rate(left));
        }
        Ok(())
    }
}

/// Shares of a user of a session since they were judged last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShareWindow {
    good: u32,
    bad: u32,
}

impl ShareWindow {
    /// Counts a share. The bad ones among the last [`Limits::invalid_of`], if they are too many.
    pub(crate) fn note(&mut self, is_good: bool, limits: &Limits) -> Option<u32> {
        self.good += u32::from(is_good);
        self.bad += u32::from(!is_good);
        if self.good.saturating_add(self.bad) < limits.invalid_of {
            return None;
        }
        let bad = std::mem::take(self).bad;
        let most = u64::from(limits.invalid_of) * u64::from(limits.invalid_percent);
        (most < u64::from(bad) * 100).then_some(bad)
    }
}

/// Logins that are kept out at their address.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    until: HashMap<(Place, Box<str>), Instant>,
}

impl Logins {
    /// Keeps a login out.
    pub(crate) fn ban(&mut self, address: IpAddr, user: &str, until: Instant, now: Instant) {
        if LOGINS_MAX <= self.until.len() {
            self.until.retain(|_, until| now < *until);
        }
        if self.until.len() < LOGINS_MAX {
            self.until.insert((Place::of(address), user.into()), until);
        }
    }

    /// How long a login is kept out still.
    pub(crate) fn left(&self, address: IpAddr, user: &str, now: Instant) -> Option<Duration> {
        if self.until.is_empty() {
            return None;
        }
        let until = self.until.get(&(Place::of(address), user.into()))?;
        until
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn limits() -> Limits {
        Limits {
            connections_per_address: 5,
            connects_per_minute: 3,
            connects_grace: Duration::ZERO,
            failed_logins_per_address: 3,
            malformed_per_address: 2,
            bad_logins_per_address: 2,
            ban: Duration::from_secs(300),
            ..Limits::default()
        }
    }

    fn book(limits: Limits, exempt: &[&str]) -> (Visitors, Instant) {
        let start = Instant::now();
        let exempt = exempt.iter().map(|text| Network::parse(text).unwrap());
        (Visitors::new(limits, exempt.collect(), start), start)
    }

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn an_address_counts_by_what_one_customer_has() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::1", "::2", true),
            ("::1", "127.0.0.1", false),
        ] {
            let place = |text: &str| Place::of(text.parse().unwrap());
            assert_eq!(place(one) == place(other), same, "{one} {other}");
        }
    }

    #[test]
    fn who_offends_too_often_is_kept_out_until_the_ban_ends_and_others_are_not() {
        for (offence, most) in [
            (Offence::FailedLogin, 3),
            (Offence::Malformed, 2),
            (Offence::BadLogin, 2),
        ] {
            let (mut book, start) = book(limits(), &[]);
            for n in 1..=most + 1 {
                let banned = book.offend(HERE, offence, at(start, n));
                let expected = (n == most).then_some(Place::of(HERE));
                assert_eq!(banned, expected, "{offence:?} {n}: each time once");
            }
            let ban = u64::from(most == 3) + 2 + 300;
            let kept_out = book.arrive(HERE, at(start, ban - 1));
            let left = Duration::from_secs(1);
            assert_eq!(kept_out, Err(Turned::Banned(offence, left)));
            assert_eq!(book.arrive(THERE, at(start, 9)), Ok(()));
            assert_eq!(book.arrive(HERE, at(start, ban)), Ok(()));
            let again = book.offend(HERE, offence, at(start, ban + 1));
            assert_eq!(again, None, "{offence:?}: counted anew");
        }
    }

    #[test]
    fn offences_of_different_minutes_or_kinds_are_not_added_up() {
        let (mut book, start) = book(limits(), &[]);
        let fails = |book: &mut Visitors, second| {
            let banned = book.offend(HERE, Offence::FailedLogin, at(start, second));
            banned.is_some()
        };
        assert!(!fails(&mut book, 0) && !fails(&mut book, 59));
        assert!(!fails(&mut book, 60), "a minute is over");
        let malformed = book.offend(HERE, Offence::Malformed, at(start, 60));
        assert_eq!(malformed, None);
        assert!(!fails(&mut book, 61));
        assert!(fails(&mut book, 62));
    }

    #[test]
    fn where_somebody_stands_well_the_address_is_not_kept_out() {
        let (mut book, start) = book(limits(), &[]);
        assert_eq!(book.arrive(HERE, start), Ok(()));
        book.prove(HERE);
        for _ in 0..100 {
            let banned = book.offend(HERE, Offence::FailedLogin, start);
            assert_eq!(banned, None);
        }
        assert_eq!(book.arrive(HERE, start), Ok(()));
        // He leaves; what went on meanwhile is held against who stays.
        book.left(HERE, true, start);
        let banned = book.offend(HERE, Offence::FailedLogin, start);
        assert_eq!(banned, Some(Place::of(HERE)));
    }

    #[test]
    fn connections_beyond_the_minutes_are_earned_by_shares() {
        let (mut book, start) = book(limits(), &[]);
        let come_and_go = |book: &mut Visitors, times: u32, second| {
            let mut entered = 0;
            for _ in 0..times {
                let came = book.arrive(HERE, at(start, second));
                if came.is_ok() {
                    entered += 1;
                    book.left(HERE, false, at(start, second));
                }
            }
            entered
        };
        assert_eq!(come_and_go(&mut book, 9, 0), 3);
        let turned = book.arrive(HERE, at(start, 20));
        assert_eq!(turned, Err(Turned::Rate(Duration::from_secs(40))));
        assert_eq!(come_and_go(&mut book, 9, 60), 3, "the next minute");
        book.earn(HERE, 4);
        assert_eq!(come_and_go(&mut book, 9, 61), 4);
        book.earn(HERE, 1_000_000);
        assert_eq!(come_and_go(&mut book, 9, 62), 5, "no more than it may have");
    }

    #[test]
    fn after_the_gateways_start_everybody_may_come_back_at_once() {
        let limits = Limits {
            connects_grace: Duration::from_secs(10),
            connections_per_address: 100,
            ..limits()
        };
        let (mut book, start) = book(limits, &[]);
        let mut come = |second| {
            let came = (0..20).filter(|_| book.arrive(HERE, at(start, second)).is_ok());
            came.count()
        };
        assert_eq!((come(9), come(10), come(11)), (20, 3, 0));
    }

    #[test]
    fn who_is_exempt_is_never_turned_away_for_his_address() {
        let (mut book, start) = book(limits(), &["192.0.2.0/31"]);
        for _ in 0..20 {
            assert_eq!(book.offend(HERE, Offence::Malformed, start), None);
            assert_eq!(book.arrive(HERE, start), Ok(()));
        }
        assert_eq!(
            (0..20)
                .filter(|_| book.arrive(THERE, start).is_ok())
                .count(),
            3
        );
    }

    #[test]
    fn a_flood_of_addresses_keeps_memory_bounded_and_forgets_nobody_who_is_inside() {
        let (mut book, start) = book(limits(), &[]);
        (0..3).for_each(|_| assert_eq!(book.arrive(HERE, start), Ok(())));
        for number in 0..200_000u32 {
            let other = IpAddr::V4((0x0b00_0000 + number).into());
            book.offend(other, Offence::FailedLogin, start);
            assert!(book.by_place.len() <= ADDRESSES_MAX);
        }
        assert!(matches!(book.arrive(HERE, start), Err(Turned::Rate(_))));
    }

    #[test]
    fn shares_are_judged_by_the_hundred() {
        let limits = Limits {
            invalid_percent: 30,
            invalid_of: 100,
            ..Limits::default()
        };
        let judged = |bad: u32| {
            let mut window = ShareWindow::default();
            let mut found = Vec::new();
            for n in 0..200 {
                found.extend(window.note(bad <= n % 100, &limits));
            }
            found
        };
        assert_eq!(judged(0), [0; 0]);
        assert_eq!(judged(30), [0; 0]);
        assert_eq!(judged(31), [31, 31]);
        assert_eq!(judged(100), [100, 100]);
    }

    #[test]
    fn a_login_is_kept_out_at_its_address_only_and_not_for_ever() {
        let (mut logins, start) = (Logins::default(), Instant::now());
        logins.ban(HERE, "a.rig", at(start, 5), start);
        for (address, user, second, left) in [
            (HERE, "a.rig", 0, Some(5)),
            (HERE, "a.rig", 4, Some(1)),
            (HERE, "a.rig", 5, None),
            (HERE, "a.other", 0, None),
            (THERE, "a.rig", 0, None),
        ] {
            let found = logins.left(address, user, at(start, second));
            assert_eq!(found, left.map(Duration::from_secs), "{user} {second}");
        }
        for number in 0..2 * LOGINS_MAX {
            logins.ban(HERE, &number.to_string(), at(start, 9), at(start, 8));
        }
        assert_eq!(logins.until.len(), LOGINS_MAX);
    }
}
