//! Whole base units of `rounding` that go to the fees, and dust of who is not active (money rules, 7.2 and 7.3).

use orebook_replay::folds::money::{
    Balance, Book, BookRow, DUST_INDEX, Money, PostingRow, ROUNDING_INDEX, announcements, dust_of,
    notice,
};
use orebook_replay::rows::{Order, Span, collect, get};
use orebook_replay::store::{MemoryStore, Store as _};
use orebook_schema::account::{SetBy, Setting, SettingValue};
use orebook_schema::desk::{AdjustedBook, Adjustment, Direction, Reason};
use orebook_schema::dust::{DUST_NOTICE_MS, DustBook, InactiveDust};
use orebook_schema::event::PolicyChange;
use orebook_schema::policy::PotRules;
use orebook_schema::work::BlockState;
use orebook_schema::{Account, At, Event};

use crate::pool::{
    GATEWAY, PPLNS, Pen, Pool, block_found, block_status, desk_approves, hash, job, moved, named,
    policy, replayed, share, worker,
};
use crate::table::table;

/// A base unit in sub-units.
pub(crate) const UNIT: i128 = 1_000_000_000;
pub(crate) const DAY: u64 = 86_400_000;

pub(crate) fn reason() -> Reason {
    Reason::parse("silent for a year").expect("a reason")
}

pub(crate) fn adjust(pool: &Pool, account: &Account, book: AdjustedBook, amount: i128) -> Event {
    let authority = pool.state.authority().expect("genesis");
    Event::Adjustment(Box::new(Adjustment {
        account: account.clone(),
        expects: authority.last_adjustment(account),
        book,
        direction: if amount < 0 {
            Direction::FromAccount
        } else {
            Direction::ToAccount
        },
        amount: amount.unsigned_abs(),
        block: None,
        reason: reason(),
    }))
}

pub(crate) fn rounding(pool: &Pool, says: bool) -> Event {
    let authority = pool.state.authority().expect("genesis");
    let (expects, newest) = authority.newest_policy();
    let mut policy = newest.expect("a policy").policy.as_ref().clone();
    policy.rounding_to_fee = says;
    Event::Policy(Box::new(PolicyChange { expects, policy }))
}

/// Says a thing with the approval that it needs. Returns its position.
pub(crate) fn approved(pool: &mut Pool, thing: Event) -> u64 {
    let approval = desk_approves(&thing);
    pool.desk_says(&[thing, approval])
}

fn balance(store: &MemoryStore, book: &Book) -> i128 {
    let view = store.view().expect("a view");
    let row: Option<BookRow> = get(view.as_ref(), &BookRow::key_of(book)).expect("a row");
    let balance = row.map_or_else(Balance::default, |row| row.balance());
    i128::try_from(balance.credits).expect("small") - i128::try_from(balance.debits).expect("small")
}

/// Postings at an index behind the events: position, debit, credit, sub-units.
pub(crate) fn behind(store: &MemoryStore, index: u16) -> Vec<(u64, String, String, u128)> {
    let view = store.view().expect("a view");
    let all: Vec<PostingRow> =
        collect(view.as_ref(), &Span::all(), Order::Forward, usize::MAX).expect("rows");
    let of = all.into_iter().filter(|posting| posting.at.index == index);
    of.map(|posting| {
        let (debit, credit) = (posting.debit.to_string(), posting.credit.to_string());
        (posting.at.position, debit, credit, posting.amount)
    })
    .collect()
}

#[test]
fn whole_base_units_of_rounding_go_to_the_fees_while_the_policy_says_so_as_the_rules_example_says()
{
    // What happens: sub-units into `rounding`, or what the next policy says; what `fee` gets, what `rounding` has then.
    let table = [
        (Ok(700_000_000), 0, 700_000_000),
        (Ok(UNIT), 0, 1_700_000_000),
        (Err(true), UNIT, 700_000_000),
        (Ok(299_999_999), 0, 999_999_999),
        (Ok(1), UNIT, 0),
        (Ok(-1), 0, -1),
        (Ok(2 * UNIT), UNIT, 999_999_999),
        (Err(false), 0, 999_999_999),
        (Ok(1), 0, UNIT),
        (Err(true), UNIT, 0),
    ];
    let mut pool = Pool::new(policy(|_: &mut PotRules| {}));
    let (ann, mut fee, mut swept) = (named("ann"), 0, Vec::new());
    for (happens, to_fee, left) in table {
        let thing = match happens {
            Ok(amount) => adjust(&pool, &ann, AdjustedBook::Rounding, -amount),
            Err(says) => rounding(&pool, says),
        };
        let position = approved(&mut pool, thing);
        let store = replayed(&pool, Money);
        let what = format!("{happens:?} at {position}");
        fee += to_fee;
        assert_eq!(balance(&store, &Book::Rounding), left, "{what}");
        assert_eq!(balance(&store, &Book::Fee), fee, "{what}");
        if 0 < to_fee {
            let (debit, credit) = ("rounding".to_owned(), "fee".to_owned());
            swept.push((position, debit, credit, to_fee.unsigned_abs()));
        }
        assert_eq!(behind(&store, ROUNDING_INDEX), swept, "{what}");
    }
}

#[test]
fn an_orphan_opposes_its_split_and_not_what_went_to_the_fees_of_it() {
    let mut rules = policy(|_: &mut PotRules| {});
    rules.rounding_to_fee = true;
    let mut pool = Pool::new(rules);
    let ann = named("ann");
    let gathered = adjust(&pool, &ann, AdjustedBook::Rounding, -999_999_999);
    approved(&mut pool, gathered);
    // A base unit for three of equal weight leaves one sub-unit.
    let mut pen = Pen::new(GATEWAY, 1);
    let mut events: Vec<Event> = ["ann", "bob", "cat"]
        .iter()
        .map(|name| worker(&mut pen, name, "rig", PPLNS))
        .collect();
    events.push(job(&mut pen, At::default(), 3));
    events.extend((0..3).map(|number| {
        let mut share = share(number, 0, 1, number);
        share.block = number == 2;
        Event::Share(share)
    }));
    events.push(block_found(hash(7), 7));
    pool.say(&mut pen, &events);
    let none = At::default();
    let said = pool.settler_says(&[block_status(hash(7), none, BlockState::Immature, 1, 0)]);
    let store = replayed(&pool, Money);
    let books = |store| (balance(store, &Book::Rounding), balance(store, &Book::Fee));
    assert_eq!(books(&store), (0, UNIT));
    pool.settler_says(&[block_status(hash(7), said, BlockState::Orphaned, 1, 0)]);
    let store = replayed(&pool, Money);
    assert_eq!(
        books(&store),
        (-1, UNIT),
        "below zero: later remainders fill it"
    );
}

/// A pool whose threshold is 20, with who has what, and an announcement of all of them.
struct Silence {
    pool: Pool,
    /// Ledger time where the announcement took effect.
    announced: u64,
    pen: Pen,
}

impl Silence {
    /// Everybody has a rig of his own from the beginning, whose share was the last before the cut-off.
    fn of(amounts: &[(&str, i128)], to: DustBook) -> Self {
        let mut rules = policy(|_: &mut PotRules| {});
        rules.threshold = 20;
        let mut pool = Pool::new(rules);
        pool.tick = 0;
        let mut pen = Pen::new(GATEWAY, 1);
        let names = amounts.iter().map(|(name, _)| *name);
        let mut events: Vec<Event> = names
            .map(|name| worker(&mut pen, name, "rig", PPLNS))
            .collect();
        events.push(job(&mut pen, At::default(), 1_000));
        events.extend(
            (0u32..)
                .zip(amounts)
                .map(|(n, _)| Event::Share(share(n, 0, 1, n))),
        );
        pool.say(&mut pen, &events);
        for (name, amount) in amounts {
            let given = adjust(&pool, &named(name), AdjustedBook::Reserve, *amount);
            approved(&mut pool, given);
        }
        let announced = pool.clock;
        let mut silence = Self {
            pool,
            announced,
            pen,
        };
        let names: Vec<&str> = amounts.iter().map(|(name, _)| *name).collect();
        silence.announce(&names, to);
        silence
    }

    fn announce(&mut self, of: &[&str], to: DustBook) -> u64 {
        let thing = self.thing(of, to);
        approved(&mut self.pool, thing)
    }

    fn thing(&self, of: &[&str], to: DustBook) -> Event {
        let mut accounts: Vec<Account> = of.iter().map(|name| named(name)).collect();
        accounts.sort();
        let authority = self.pool.state.authority().expect("genesis");
        Event::InactiveDust(Box::new(InactiveDust {
            cutoff: self.pool.size() - 1,
            to,
            accounts,
            expects: authority.last_dust(),
            reason: reason(),
        }))
    }

    /// A heartbeat so long after the announcement. Returns its position.
    fn beat(&mut self, after_ms: u64) -> u64 {
        self.pool.clock = self.announced + after_ms;
        self.pool.desk_says(&[Event::Heartbeat])
    }

    fn share(&mut self, number: u32, nonce: u32) {
        let share = Event::Share(share(number, 0, 1, nonce));
        self.pool.say(&mut self.pen, &[share]);
    }

    fn available(&self, name: &str) -> i128 {
        let store = replayed(&self.pool, Money);
        balance(&store, &Book::Available(named(name)))
    }
}

#[test]
fn dust_of_the_silent_moves_at_the_first_position_thirty_days_on() {
    let mut silence = Silence::of(
        &[("ann", 7), ("bob", 20 * UNIT - 1), ("cat", 20 * UNIT)],
        DustBook::Donation,
    );
    let early = silence.beat(DUST_NOTICE_MS - 1);
    let store = replayed(&silence.pool, Money);
    assert_eq!(behind(&store, DUST_INDEX), [], "at {early}");
    let waits = notice(store.view().expect("a view").as_ref()).expect("a row");
    let until = silence.announced + DUST_NOTICE_MS;
    assert_eq!(waits.map(|(_, until)| until), Some(until));
    let moved_at = silence.beat(DUST_NOTICE_MS);
    silence.beat(DUST_NOTICE_MS + DAY);
    let store = replayed(&silence.pool, Money);
    let bob = 20 * UNIT.unsigned_abs() - 1;
    let posting = |name: &str, amount| {
        let debit = format!("available:name:{name}");
        (moved_at, debit, "donation".to_owned(), amount)
    };
    let expected = [posting("ann", 7), posting("bob", bob)];
    assert_eq!(
        behind(&store, DUST_INDEX),
        expected,
        "each once, cat keeps 20"
    );
    let view = store.view().expect("a view");
    let rows = announcements(view.as_ref(), None, 9).expect("rows");
    assert_eq!(
        rows.iter()
            .map(|row| (row.moved, row.amount))
            .collect::<Vec<_>>(),
        [(Some(moved_at), bob + 7)]
    );
    let of_ann = dust_of(view.as_ref(), &named("ann"), 9).expect("rows");
    assert_eq!(of_ann.iter().map(|row| row.amount).collect::<Vec<_>>(), [7]);
    assert_eq!(notice(view.as_ref()).expect("a row"), None);
}

#[test]
fn who_becomes_active_before_it_moves_keeps_what_he_has() {
    let names = ["ann", "bob", "cat", "dan", "eve"];
    let all = names.map(|name| (name, 3 * UNIT));
    let mut silence = Silence::of(&all, DustBook::Reserve);
    // Ann has a share at once, bob one in the very frame by which it moves, cat a setting, dan one that was moved.
    silence.share(0, 100);
    let expects = At::default();
    let setting = Event::Setting(Box::new(Setting {
        account: named("cat"),
        expects,
        by: SetBy::Operator,
        value: SettingValue::Donation(5),
        proof: Vec::new(),
    }));
    silence.pool.desk_says(&[setting]);
    let mut heir = Pen::new(GATEWAY, 2);
    let lost = Event::Share(share(3, 0, 1, 300));
    let events = [
        worker(&mut heir, "dan", "rig", PPLNS),
        job(&mut heir, At::default(), 1_000),
        moved(&silence.pen, silence.pen.next_seq, &lost, 0, 0),
    ];
    silence.pool.say(&mut heir, &events);
    let mut other = Pen::new(GATEWAY, 3);
    silence.pool.clock = silence.announced + DUST_NOTICE_MS;
    let events = [
        worker(&mut other, "bob", "rig", PPLNS),
        job(&mut other, At::default(), 1_000),
        Event::Share(share(0, 0, 1, 200)),
    ];
    silence.pool.say(&mut other, &events);
    for (name, left) in names.into_iter().zip([3, 3, 3, 3, 0]) {
        assert_eq!(silence.available(name), left * UNIT, "{name}");
    }
}

#[test]
fn a_later_announcement_takes_the_place_of_one_that_did_not_move() {
    let mut silence = Silence::of(&[("ann", 5 * UNIT)], DustBook::Fee);
    silence.pool.clock = silence.announced + 20 * DAY;
    let withdrawn = silence.announce(&[], DustBook::Fee);
    silence.beat(40 * DAY);
    assert_eq!(silence.available("ann"), 5 * UNIT);
    // Announced again: thirty days from there.
    silence.announce(&["ann"], DustBook::Fee);
    silence.beat(70 * DAY - 1);
    assert_eq!(silence.available("ann"), 5 * UNIT);
    // One that is announced in the frame by which the other would move comes first.
    silence.pool.clock = silence.announced + 70 * DAY;
    silence.announce(&["ann"], DustBook::Reserve);
    assert_eq!(silence.available("ann"), 5 * UNIT);
    silence.beat(100 * DAY);
    assert_eq!(silence.available("ann"), 0);
    let store = replayed(&silence.pool, Money);
    assert_eq!(balance(&store, &Book::Fee), 0);
    assert_eq!(balance(&store, &Book::Reserve), 0);
    let view = store.view().expect("a view");
    let rows = announcements(view.as_ref(), None, 9).expect("rows");
    let ends: Vec<(bool, bool)> = rows
        .iter()
        .map(|row| (row.moved.is_some(), row.withdrawn.is_some()))
        .collect();
    assert_eq!(
        ends,
        [(true, false), (false, true), (false, false), (false, true)]
    );
    let first = rows.last().expect("the first");
    assert_eq!(first.withdrawn.map(|at| at.position), Some(withdrawn));
}

#[test]
fn notice_counts_from_where_the_approval_is() {
    let mut silence = Silence::of(&[("ann", 5 * UNIT)], DustBook::Fee);
    let thing = silence.thing(&["ann"], DustBook::Donation);
    silence.pool.desk_says(std::slice::from_ref(&thing));
    silence.pool.clock = silence.announced + 20 * DAY;
    silence.pool.desk_says(&[desk_approves(&thing)]);
    silence.beat(50 * DAY - 1);
    assert_eq!(silence.available("ann"), 5 * UNIT);
    silence.beat(50 * DAY);
    assert_eq!(silence.available("ann"), 0);
    let store = replayed(&silence.pool, Money);
    assert_eq!(balance(&store, &Book::Donation), 5 * UNIT);
}

/// A table's ledger, dust announced behind it with a cut-off so many positions back, what is said then, and the line that is the first
/// thirty days later.
struct Story<'a> {
    text: &'a str,
    back: u64,
    then: &'a [&'a str],
    last: &'a str,
}

impl Story<'_> {
    /// Whole base units that are left available to accounts, all of which were named.
    fn left(&self, names: &[&str]) -> Vec<i128> {
        let mut table = table(self.text);
        let mut accounts: Vec<Account> = names.iter().map(|name| named(name)).collect();
        accounts.sort();
        let authority = table.pool.state.authority().expect("genesis");
        let thing = Event::InactiveDust(Box::new(InactiveDust {
            cutoff: table.pool.size() - 1 - self.back,
            to: DustBook::Donation,
            accounts,
            expects: authority.last_dust(),
            reason: reason(),
        }));
        approved(&mut table.pool, thing);
        let announced = table.pool.clock;
        for line in self.then {
            table.then(line);
        }
        table.pool.clock = announced + DUST_NOTICE_MS;
        table.then(self.last);
        let store = replayed(&table.pool, Money);
        let left = names.iter().map(|name| {
            let available = balance(&store, &Book::Available(named(name)));
            assert_eq!(available % UNIT, 0, "{name}");
            available / UNIT
        });
        left.collect()
    }
}

/// Everybody has rigs and an address from the beginning.
const RICH: &str = "policy threshold=20
     lives anna A
     lives ben B
     g1 job 100
     g1 frame: anna 1, ben 1, carl 1, dan 1
     adjust anna +3 reserve
     adjust ben +25 reserve
     adjust carl +3 reserve
     adjust dan +3 reserve
     = anna available 3
     = ben available 25
     = carl available 3
     = dan available 3
     = reserve -34";

#[test]
fn who_has_something_on_its_way_keeps_his_dust() {
    let story = Story {
        text: &format!(
            "{RICH}
             g1 frame: anna 100 finds A
             A immature 100
             batch: ben 22
             = anna available 3
             = anna immature 100
             = ben available 3
             = ben reserved 22
             = carl available 3
             = dan available 3
             = reserve -34"
        ),
        back: 0,
        then: &[],
        last: "g1 frame: dan 1",
    };
    // Anna has something immature, ben reserved, carl nothing, and dan has a share just then.
    assert_eq!(story.left(&["anna", "ben", "carl", "dan"]), [3, 3, 0, 3]);
}

#[test]
fn a_line_and_a_credited_share_are_activity_and_a_stale_share_that_counts_nothing_is_not() {
    let story = Story {
        text: RICH,
        back: 0,
        then: &["batch: ben 22", "tx 0 signed", "tx 0 confirmed"],
        last: "g1 frame: carl 5 stale, dan 5",
    };
    assert_eq!(story.left(&["ben", "carl", "dan"]), [3, 0, 3]);
}

#[test]
fn a_share_right_above_the_cut_off_is_activity_and_one_at_it_is_not() {
    let text = format!(
        "{RICH}
         g1 frame: carl 5
         = anna available 3
         = ben available 25
         = carl available 3
         = dan available 3
         = reserve -34"
    );
    for (back, left) in [(0, 0), (1, 3)] {
        let story = Story {
            text: &text,
            back,
            then: &[],
            last: "g1 frame: dan 1",
        };
        assert_eq!(story.left(&["carl"]), [left], "{back} positions back");
    }
}

#[test]
fn dust_of_who_waits_for_a_coinbase_stays_wherever_he_lives_meanwhile() {
    for (said, left) in [("X seen 50", 3 * UNIT), ("X orphaned 50", 0)] {
        let mut table = table(
            "policy direct=5 threshold=20
             lives ann A
             adjust ann +3 reserve
             g1 job 10
             g1 frame: ann 10
             g1 job 10 direct=now pool=37 outs=A:13
             g1 frame: ben 1 finds X
             lives ann Z
             = ann available 3
             = reserve -3",
        );
        table.then(said);
        let pool = &mut table.pool;
        let thing = Event::InactiveDust(Box::new(InactiveDust {
            cutoff: pool.size() - 1,
            to: DustBook::Donation,
            accounts: vec![named("ann")],
            expects: At::default(),
            reason: reason(),
        }));
        approved(pool, thing);
        pool.clock += DUST_NOTICE_MS + DAY;
        pool.desk_says(&[Event::Heartbeat]);
        let store = replayed(pool, Money);
        let available = balance(&store, &Book::Available(named("ann")));
        assert_eq!(available, left, "{said}");
    }
}
