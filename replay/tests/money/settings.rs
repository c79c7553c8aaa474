//! Registered accounts and settings (money rules, section 10): the page's own tables, step by step.

use orebook_replay::folds::money::settings::{DonationRow, donation_at, registered, settings};
use orebook_replay::folds::money::{Balance, Money, pool_books};
use orebook_replay::rows::View;
use orebook_replay::store::Store as _;
use orebook_schema::account::{Registration, SetBy, Setting, SettingValue};
use orebook_schema::genesis::Approved;
use orebook_schema::names::{Account, RegisteredName, WorkerName};
use orebook_schema::{At, Event, Hash, Policy};

use crate::pool::{Pool, desk_approves, genesis, named, policy, replayed};

const NONE: At = At {
    position: 0,
    index: 0,
};

fn at(position: u64, index: u16) -> At {
    At { position, index }
}

/// The address that a letter stands for.
fn address(letter: &str) -> Account {
    Account::parse(&format!("script:{:02x}", letter.as_bytes()[0])).expect("a script")
}

fn letter(account: &Account) -> String {
    let text = account.to_string();
    let byte = text.strip_prefix("script:").expect("a script of one byte");
    let byte = u8::from_str_radix(byte, 16).expect("hex");
    char::from(byte).to_string()
}

fn holding(address_hold_ms: u64, threshold: u128) -> Policy {
    Policy {
        address_hold_ms,
        threshold,
        ..policy(|_| {})
    }
}

/// Ann's events, each expecting the last obeyed one.
struct Ann {
    pool: Pool,
    zero: u64,
}

impl Ann {
    fn new(policy: Policy) -> Self {
        let pool = Pool::new(policy);
        let zero = pool.clock;
        Self { pool, zero }
    }

    fn name() -> RegisteredName {
        RegisteredName::parse("ann").expect("a name")
    }

    fn registration(&self, payout: &str, threshold: u128, workers: &[String]) -> Event {
        let authority = self.pool.state.authority().expect("a genesis");
        let workers = workers
            .iter()
            .map(|name| WorkerName::parse(name).expect("a name"));
        Event::Account(Box::new(Registration {
            name: Self::name(),
            expects: authority.last_registration(&Self::name()),
            payout: address(payout),
            threshold,
            token: None,
            registered_only: false,
            workers: workers.collect(),
        }))
    }

    fn setting(&self, value: SettingValue) -> Event {
        let authority = self.pool.state.authority().expect("a genesis");
        Event::Setting(Box::new(Setting {
            account: named("ann"),
            expects: authority.last_setting(&named("ann")),
            by: SetBy::Operator,
            value,
            proof: Vec::new(),
        }))
    }

    /// Says events so many milliseconds after the beginning.
    fn says(&mut self, after_ms: u64, events: &[Event]) -> u64 {
        self.pool.clock = self.zero + after_ms;
        self.pool.desk_says(events)
    }

    /// A policy with another hold or threshold, in force at once.
    fn policy(&mut self, after_ms: u64, new: Policy) {
        self.pool.clock = self.zero + after_ms;
        self.pool.new_policy(new);
    }

    fn see<T>(&self, look: impl Fn(&dyn View) -> T) -> T {
        let store = replayed(&self.pool, Money);
        let view = store.view().expect("a view");
        let books = pool_books(view.as_ref()).expect("rows");
        let is_zero = |(_, balance): &(_, Balance)| *balance == Balance::default();
        assert!(books.iter().all(is_zero), "no posting comes of it");
        look(view.as_ref())
    }

    /// In force, waiting, and until when, at a ledger time.
    fn address_at(&self, after_ms: u64) -> (String, String, u64) {
        let (zero, now) = (self.zero, self.zero + after_ms);
        self.see(|view| {
            let row = settings(view, &named("ann")).expect("rows");
            let waiting = row.waiting_at(now);
            (
                row.address_at(now).map_or_else(String::new, letter),
                waiting.map_or_else(String::new, |waits| letter(&waits.address)),
                waiting.map_or(0, |waits| waits.until_ms - zero),
            )
        })
    }

    fn threshold(&self) -> u128 {
        let own = self.see(|view| settings(view, &named("ann")).expect("rows").threshold);
        let authority = self.pool.state.authority().expect("a genesis");
        let (_, newest) = authority.newest_policy();
        let policys = newest.expect("a policy").policy.threshold;
        if own == 0 { policys } else { own }
    }
}

#[test]
fn an_address_holds_when_its_time_has_come_and_what_repeats_undoes_nothing() {
    let workers: Vec<String> = (0..400).map(|number| format!("rig-{number:03}")).collect();
    let mut ann = Ann::new(holding(1_000, 1));
    assert_eq!(ann.address_at(0), (String::new(), String::new(), 0));
    // Ledger time, what is said, in force, waits, until: the table of 10.4.
    let table: [(u64, &str, &str, &str, u64); 15] = [
        (10_000, "account A", "A", "", 0),
        (20_000, "address B", "A", "B", 21_000),
        (20_500, "workers A", "A", "B", 21_000),
        (20_600, "address B", "A", "B", 21_000),
        (20_999, "nothing", "A", "B", 21_000),
        (21_000, "nothing", "B", "", 0),
        (30_000, "address C", "B", "C", 31_000),
        (30_400, "account D", "B", "D", 31_400),
        (30_500, "address B", "B", "", 0),
        (40_000, "account D", "B", "", 0),
        (41_000, "policy 5000", "B", "", 0),
        (42_000, "address A", "B", "A", 47_000),
        (43_000, "policy 0", "B", "A", 47_000),
        (44_000, "address C", "C", "", 0),
        (50_000, "nothing", "C", "", 0),
    ];
    for (time, said, in_force, waits, until) in table {
        let (what, value) = said.split_once(' ').unwrap_or((said, ""));
        match what {
            "account" => ann.says(time, &[ann.registration(value, 0, &[])]),
            "workers" => ann.says(time, &[ann.registration(value, 0, &workers)]),
            "address" => ann.says(time, &[ann.setting(SettingValue::Address(address(value)))]),
            "policy" => {
                ann.policy(time, holding(value.parse().expect("a number"), 1));
                0
            }
            _ => 0,
        };
        let expected = (in_force.to_owned(), waits.to_owned(), until);
        assert_eq!(ann.address_at(time), expected, "{time}: {said}");
    }
}

#[test]
fn an_address_is_its_own_until_a_setting_says_otherwise() {
    let mut pool = Pool::new(holding(1_000, 1));
    let ben = address("b");
    let zero = pool.clock;
    let setting = Event::Setting(Box::new(Setting {
        account: ben.clone(),
        expects: NONE,
        by: SetBy::Signed,
        value: SettingValue::Address(address("c")),
        proof: vec![1],
    }));
    let see = |pool: &Pool, after_ms: u64| {
        let store = replayed(pool, Money);
        let view = store.view().expect("a view");
        let row = settings(view.as_ref(), &ben).expect("rows");
        row.address_at(zero + after_ms).map(letter)
    };
    assert_eq!(see(&pool, 0).as_deref(), Some("b"));
    pool.desk_says(&[setting]);
    assert_eq!(see(&pool, 999).as_deref(), Some("b"));
    assert_eq!(see(&pool, 1_000).as_deref(), Some("c"));
}

#[test]
fn the_threshold_said_last_holds_and_none_is_the_policys() {
    let mut ann = Ann::new(holding(0, 50));
    let threshold = |to| SettingValue::Threshold(to);
    for (step, (said, value, expected)) in [
        ("account", 0, 50),
        ("setting", 20, 20),
        ("account", 0, 20),
        ("policy", 70, 20),
        ("account", 30, 30),
        ("setting", 0, 70),
    ]
    .into_iter()
    .enumerate()
    {
        let time = 1_000 * u64::try_from(step + 1).expect("few steps");
        match said {
            "account" => ann.says(time, &[ann.registration("A", value, &[])]),
            "setting" => ann.says(time, &[ann.setting(threshold(value))]),
            _ => {
                ann.policy(time, holding(0, value));
                0
            }
        };
        assert_eq!(ann.threshold(), expected, "{step}: {said} {value}");
    }
}

#[test]
fn a_donation_is_asked_for_at_a_place_and_holds_from_where_it_took_effect() {
    let mut genesis = genesis(holding(0, 1));
    genesis.approvals = vec![(Approved::Setting, 1)];
    let pool = Pool::of(&genesis);
    let zero = pool.clock;
    let mut ann = Ann { pool, zero };
    let first = ann.setting(SettingValue::Donation(10_000));
    let said = ann.says(0, &[first.clone(), desk_approves(&first)]);
    let second = ann.setting(SettingValue::Donation(0));
    let waits = ann.says(1_000, std::slice::from_ref(&second));
    let between = ann.says(2_000, &[Event::Heartbeat, desk_approves(&second)]);
    let asked = |place: At| ann.see(|view| donation_at(view, &named("ann"), place).expect("rows"));
    for (place, ppm) in [
        (at(said - 1, 9), 0),
        (at(said, 0), 0),
        (at(said, 1), 10_000),
        (at(waits, 0), 10_000),
        (at(between, 0), 10_000),
        (at(between, 1), 0),
        (at(u64::MAX, u16::MAX), 0),
    ] {
        assert_eq!(asked(place), ppm, "{place}");
    }
    // Neither of accounts whose bytes are before or behind hers.
    for other in ["anm", "ann0", "ano", "an"] {
        let ppm = ann.see(|view| donation_at(view, &named(other), at(between, 0)).expect("rows"));
        assert_eq!(ppm, 0, "{other}");
    }
    let kept = ann.see(|view| {
        let all = orebook_replay::rows::Span::all();
        let order = orebook_replay::rows::Order::Forward;
        let rows = orebook_replay::rows::collect(view, &all, order, 9);
        rows.expect("rows")
            .iter()
            .map(|row: &DonationRow| (row.from, row.ppm))
            .collect::<Vec<_>>()
    });
    assert_eq!(kept, [(at(said, 1), 10_000), (at(between, 1), 0)]);
}

#[test]
fn what_is_not_obeyed_is_not_written_down_and_each_subject_has_its_own_line() {
    let mut ann = Ann::new(holding(0, 1));
    let stale = ann.registration("B", 9, &[]);
    let mut token = ann.registration("A", 7, &[]);
    if let Event::Account(said) = &mut token {
        (said.token, said.registered_only) = (Some(Hash([5; 32])), true);
    }
    let late = ann.setting(SettingValue::Donation(3));
    // In one frame, in this order: who expects what is not so any more is not obeyed.
    let pay = ann.setting(SettingValue::PayNow);
    let said = ann.says(0, &[token, stale, pay, late]);
    let (row, terms) = ann.see(|view| {
        let row = registered(view, &named("ann")).expect("rows");
        (row, settings(view, &named("ann")).expect("rows"))
    });
    let row = row.expect("she is registered");
    assert_eq!((row.since, row.last), (at(said, 0), at(said, 0)));
    assert_eq!((letter(&row.payout).as_str(), row.threshold), ("A", 7));
    assert_eq!(
        (row.token, row.registered_only),
        (Some(Hash([5; 32])), true)
    );
    assert_eq!(
        (terms.last, terms.pay_now),
        (at(said, 2), Some(at(said, 2)))
    );
    assert_eq!(terms.threshold, 7);
    let again = ann.registration("A", 0, &[]);
    let second = ann.says(1_000, &[again]);
    let (row, ben) = ann.see(|view| {
        let row = registered(view, &named("ann")).expect("rows");
        (row, registered(view, &named("ben")).expect("rows"))
    });
    let row = row.expect("she is registered");
    assert_eq!((row.since, row.last), (at(said, 0), at(second, 0)));
    assert_eq!((row.token, row.registered_only), (None, false));
    assert_eq!(ben, None);
}
