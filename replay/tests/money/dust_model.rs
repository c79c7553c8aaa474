//! Random ledgers against a plain reference of what moves by itself (money rules, 7.2 and 7.3) and of who waits for a coinbase
//! (11.5.2): at every position the reference looks through all that was said before it, and keeps nothing but the books.

use std::collections::BTreeMap;

use orebook_replay::folds::money::origins::origins;
use orebook_replay::folds::money::{BookRow, Money};
use orebook_replay::rows::{Order, Span, collect};
use orebook_replay::store::Store as _;
use orebook_schema::account::{Registration, SetBy, Setting, SettingValue};
use orebook_schema::desk::AdjustedBook;
use orebook_schema::dust::{DUST_NOTICE_MS, DustBook, InactiveDust};
use orebook_schema::names::RegisteredName;
use orebook_schema::policy::{PotRules, Scheme};
use orebook_schema::work::{BlockState, Job};
use orebook_schema::{At, Event, Hash};

use crate::dust::{DAY, UNIT, adjust, approved, reason, rounding};
use crate::paying::address;
use crate::pool::{
    GATEWAY, PPLNS, Pen, Pool, block_found, block_status, desk_approves, job, named, policy,
    replayed, share, worker,
};
use crate::table::coinbase2;

const SEEDS: u64 = 40;
const STEPS: usize = 90;
/// The last finds all blocks.
const NAMES: [&str; 4] = ["ann", "bob", "cat", "fin"];
const THRESHOLD: i128 = 20;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }

    fn name(&mut self) -> &'static str {
        NAMES[usize::try_from(self.below(3)).expect("small")]
    }
}

/// What a position says.
#[derive(Clone, Debug)]
enum Said {
    /// Sub-units from a book to an account.
    Adjusted(&'static str, &'static str, i128),
    Rounds(bool),
    /// Something else of an account: its share, or a setting.
    Active(Vec<&'static str>),
    Threshold(&'static str, i128),
    Lives(&'static str),
    /// An announcement that has its approval: accounts, cut-off, book.
    Announced(Vec<&'static str>, u64, &'static str),
    /// A block of which all 50 are an account's, and which pays it so many.
    Found(usize, &'static str, i128),
    Status(usize, BlockState),
    Nothing,
}

struct Position {
    number: u64,
    time: u64,
    said: Said,
}

type Books = BTreeMap<String, i128>;

fn put(books: &mut Books, from: &str, to: &str, amount: i128) {
    *books.entry(from.to_owned()).or_insert(0) -= amount;
    *books.entry(to.to_owned()).or_insert(0) += amount;
}

fn of(books: &Books, book: &str, account: &str) -> i128 {
    let name = format!("{book}:name:{account}");
    books.get(&name).copied().unwrap_or(0)
}

/// What stands of a block by what was said of it before: where, and whom it pays.
fn block(before: &[Position], number: usize) -> (Option<BlockState>, &'static str, i128) {
    let mut found = (None, "", 0);
    for position in before {
        match position.said {
            Said::Found(block, who, pays) if block == number => found = (None, who, pays),
            Said::Status(block, state) if block == number => {
                found.0 = match (found.0, state) {
                    (before, BlockState::Seen) => before,
                    (Some(BlockState::Confirmed), BlockState::Immature) => continue,
                    (_, state) => Some(state),
                }
            }
            _ => {}
        }
    }
    found
}

/// What a block has posted in a state, against the direction of `sign`.
fn settle(books: &mut Books, (state, who, pays): (Option<BlockState>, &str, i128), sign: i128) {
    let (own, pays) = ((pays * UNIT).min(50 * UNIT), pays * UNIT);
    let book = |book: &str| format!("{book}:name:{who}");
    let (held, paid) = match state {
        Some(BlockState::Immature) => ("immature", "reserved"),
        Some(BlockState::Confirmed) => ("available", "paid"),
        _ => return,
    };
    put(books, "reward", &book(held), sign * 50 * UNIT);
    put(books, &book(held), &book(paid), sign * own);
    put(books, &book("available"), &book(paid), sign * (pays - own));
}

/// Whether an account waits for a block that was said before.
fn waits(before: &[Position], who: &str) -> bool {
    let mut blocks = before.iter().filter_map(|position| match position.said {
        Said::Found(block, of, _) if of == who => Some(block),
        _ => None,
    });
    blocks.any(|number| {
        !before.iter().any(|position| {
            matches!(position.said, Said::Status(block, state)
                if block == number && state != BlockState::Seen)
        })
    })
}

fn is_active(before: &[Position], cutoff: u64, who: &str) -> bool {
    let mut above = before.iter().filter(|position| cutoff < position.number);
    above.any(|position| match &position.said {
        Said::Active(all) => all.contains(&who),
        Said::Threshold(account, _) | Said::Lives(account) => *account == who,
        Said::Found(..) => who == "fin",
        _ => false,
    })
}

fn threshold(before: &[Position], who: &str) -> i128 {
    let mut said = before
        .iter()
        .rev()
        .filter_map(|position| match position.said {
            Said::Threshold(account, units) if account == who => Some(units),
            _ => None,
        });
    said.next().unwrap_or(THRESHOLD)
}

/// The books after all of it.
fn books(all: &[Position]) -> Books {
    let mut books = Books::new();
    for (index, now) in all.iter().enumerate() {
        let (earlier, before) = (&all[..index], &all[..=index]);
        match &now.said {
            Said::Adjusted(book, who, amount) => {
                put(&mut books, book, &format!("available:name:{who}"), *amount);
            }
            Said::Status(number, _) => {
                settle(&mut books, block(earlier, *number), -1);
                settle(&mut books, block(before, *number), 1);
            }
            _ => {}
        }
        // The newest announcement moves at the first position that is late enough.
        let newest = before
            .iter()
            .rev()
            .find_map(|position| match &position.said {
                Said::Announced(accounts, cutoff, to) => Some((position, accounts, *cutoff, *to)),
                _ => None,
            });
        if let Some((said, accounts, cutoff, to)) = newest {
            let is_due = |position: &Position| {
                said.number <= position.number && said.time + DUST_NOTICE_MS <= position.time
            };
            if is_due(now) && !earlier.iter().any(is_due) {
                for who in accounts {
                    let available = of(&books, "available", who);
                    if 0 < available
                        && available < threshold(before, who) * UNIT
                        && of(&books, "reserved", who) == 0
                        && of(&books, "immature", who) == 0
                        && !waits(before, who)
                        && !is_active(before, cutoff, who)
                    {
                        put(&mut books, &format!("available:name:{who}"), to, available);
                    }
                }
            }
        }
        let rounds = before
            .iter()
            .rev()
            .find_map(|position| match position.said {
                Said::Rounds(says) => Some(says),
                _ => None,
            });
        let rounding = books.get("rounding").copied().unwrap_or(0);
        if rounds == Some(true) && UNIT <= rounding {
            put(&mut books, "rounding", "fee", rounding / UNIT * UNIT);
        }
    }
    books.retain(|_, balance| *balance != 0);
    books
}

/// A ledger in the making, and what it says.
struct World {
    pool: Pool,
    pen: Pen,
    /// Where each lives, and the last word on each block.
    homes: BTreeMap<&'static str, &'static str>,
    blocks: Vec<At>,
    all: Vec<Position>,
}

impl World {
    fn new() -> Self {
        let mut rules = policy(|rules: &mut PotRules| {
            if rules.scheme == Scheme::Pplns {
                (rules.direct_min, rules.direct_outputs) = (5, 100);
            }
        });
        rules.threshold = THRESHOLD.unsigned_abs();
        let mut pool = Pool::new(rules);
        pool.tick = 0;
        let mut world = Self {
            pool,
            pen: Pen::new(GATEWAY, 1),
            homes: BTreeMap::new(),
            blocks: Vec::new(),
            all: Vec::new(),
        };
        let mut events: Vec<Event> = NAMES
            .iter()
            .map(|name| worker(&mut world.pen, name, "rig", PPLNS))
            .collect();
        events.push(job(&mut world.pen, At::default(), 10));
        world.gateway(&events, Said::Nothing);
        for (name, place) in NAMES.into_iter().zip(["A", "B", "C", "F"]) {
            let event = Event::Account(Box::new(Registration {
                name: RegisteredName::parse(name).expect("a name"),
                expects: At::default(),
                payout: address(place),
                threshold: 0,
                token: None,
                registered_only: false,
                workers: Vec::new(),
            }));
            world.homes.insert(name, place);
            world.desk(&[event], Said::Lives(name));
        }
        world
    }

    fn note(&mut self, time: u64, said: Said) {
        let number = self.pool.size() - 1;
        self.all.push(Position { number, time, said });
    }

    fn gateway(&mut self, events: &[Event], said: Said) {
        let (time, mut pen) = (self.pool.clock, self.pen.clone());
        self.pool.say(&mut pen, events);
        self.pen = pen;
        self.note(time, said);
    }

    fn desk(&mut self, events: &[Event], said: Said) {
        let time = self.pool.clock;
        self.pool.desk_says(events);
        self.note(time, said);
    }

    fn set(&mut self, name: &'static str, value: SettingValue, said: Said) {
        let account = named(name);
        let authority = self.pool.state.authority().expect("genesis");
        let event = Event::Setting(Box::new(Setting {
            expects: authority.last_setting(&account),
            account,
            by: SetBy::Operator,
            value,
            proof: Vec::new(),
        }));
        self.desk(&[event], said);
    }

    fn shares(&mut self, name: &str, rng: &mut Rng) -> Event {
        let number = NAMES.iter().position(|known| *known == name);
        let number = u32::try_from(number.expect("a name")).expect("small");
        let nonce = u32::try_from(rng.below(1 << 30)).expect("small");
        Event::Share(share(number, self.pen.jobs - 1, 10, nonce))
    }

    /// All of the window is `who`'s, a job pays where `who` lives then, and a block of it is found.
    fn finds(&mut self, who: &'static str, rng: &mut Rng) {
        let event = self.shares(who, rng);
        self.gateway(&[event], Said::Active(vec![who]));
        let pays = 5 + rng.below(70);
        let orebook_schema::Account::Script(script) = address(self.homes[who]) else {
            panic!("a script");
        };
        let outputs = [(1, b"the pool".to_vec()), (pays, script.bytes().to_vec())];
        let Event::Job(plain) = job(&mut self.pen, At::default(), 10) else {
            panic!("a job");
        };
        let direct = Event::Job(Box::new(Job {
            direct: self.pool.size(),
            coinbase2: coinbase2(&outputs),
            ..*plain
        }));
        self.gateway(&[direct], Said::Nothing);
        let Event::Share(mut share) = self.shares("fin", rng) else {
            panic!("a share");
        };
        share.block = true;
        let number = self.blocks.len();
        let found = block_found(hash_of(number), 7);
        self.blocks.push(At::default());
        let said = Said::Found(number, who, i128::from(pays));
        self.gateway(&[Event::Share(share), found], said);
    }

    fn status(&mut self, number: usize, state: BlockState) {
        let (time, expects) = (self.pool.clock, self.blocks[number]);
        let said = block_status(hash_of(number), expects, state, 50, 0);
        self.blocks[number] = self.pool.settler_says(&[said]);
        self.note(time, Said::Status(number, state));
    }

    fn announce(&mut self, rng: &mut Rng) {
        let who: Vec<&str> = NAMES.into_iter().filter(|_| rng.below(3) != 0).collect();
        let size = self.pool.size();
        // Mostly just now: else everybody was active since.
        let cutoff = size - 1 - rng.below(3).min(size - 1);
        let (to, book) = match rng.below(3) {
            0 => (DustBook::Reserve, "reserve"),
            1 => (DustBook::Donation, "donation"),
            _ => (DustBook::Fee, "fee"),
        };
        let authority = self.pool.state.authority().expect("genesis");
        let thing = Event::InactiveDust(Box::new(InactiveDust {
            cutoff,
            to,
            accounts: who.iter().map(|name| named(name)).collect(),
            expects: authority.last_dust(),
            reason: reason(),
        }));
        let approval = desk_approves(&thing);
        if rng.below(3) == 0 {
            self.desk(&[thing], Said::Nothing);
            self.pool.clock += DAY;
            self.desk(&[approval], Said::Announced(who, cutoff, book));
        } else {
            self.desk(&[thing, approval], Said::Announced(who, cutoff, book));
        }
    }

    fn step(&mut self, rng: &mut Rng) {
        self.pool.clock +=
            [0, 1, DAY, 3 * DAY, 31 * DAY][usize::try_from(rng.below(5)).expect("small")];
        let name = rng.name();
        match rng.below(16) {
            0..=3 => {
                let (to, book) = match rng.below(2) {
                    0 => (AdjustedBook::Rounding, "rounding"),
                    _ => (AdjustedBook::Reserve, "reserve"),
                };
                let amount = i128::from(rng.below(14_000_000_000)) - 5_000_000_000;
                // Mostly into `rounding`, so that there is something to move.
                let amount = if book == "rounding" { -amount } else { amount };
                if amount != 0 {
                    let thing = adjust(&self.pool, &named(name), to, amount);
                    let time = self.pool.clock;
                    approved(&mut self.pool, thing);
                    self.note(time, Said::Adjusted(book, name, amount));
                }
            }
            4 => {
                let says = rng.below(2) == 0;
                let (thing, time) = (rounding(&self.pool, says), self.pool.clock);
                approved(&mut self.pool, thing);
                self.note(time, Said::Rounds(says));
            }
            5 => {
                let event = self.shares(name, rng);
                self.gateway(&[event], Said::Active(vec![name]));
            }
            6 => {
                let units = 1 + rng.below(30);
                let value = SettingValue::Threshold(u128::from(units));
                self.set(name, value, Said::Threshold(name, i128::from(units)));
            }
            7 => {
                let place =
                    ["A", "B", "C", "X", "Y"][usize::try_from(rng.below(5)).expect("small")];
                // Whoever else lives there would be the owner, or wait too: that is direct.rs' to try.
                if self.homes.values().all(|home| *home != place) {
                    self.homes.insert(name, place);
                    let value = SettingValue::Address(address(place));
                    self.set(name, value, Said::Lives(name));
                }
            }
            8 => self.finds(name, rng),
            9 | 10 if !self.blocks.is_empty() => {
                let newest = self.blocks.len() - 1;
                let number = newest - usize::try_from(rng.below(2)).expect("small").min(newest);
                let state = [
                    BlockState::Seen,
                    BlockState::Immature,
                    BlockState::Confirmed,
                    BlockState::Orphaned,
                ][usize::try_from(rng.below(4)).expect("small")];
                self.status(number, state);
            }
            11..=13 => self.announce(rng),
            _ => self.desk(&[Event::Heartbeat], Said::Nothing),
        }
    }
}

fn hash_of(number: usize) -> Hash {
    Hash::of(&[&number.to_le_bytes()])
}

#[test]
fn what_moves_by_itself_is_what_a_plain_reference_moves() {
    let (mut moved, mut rounded) = (0, 0);
    for seed in 0..SEEDS {
        let rng = &mut Rng(seed);
        let mut world = World::new();
        for _ in 0..STEPS {
            world.step(rng);
        }
        let store = replayed(&world.pool, Money);
        let view = store.view().expect("a view");
        let rows: Vec<BookRow> =
            collect(view.as_ref(), &Span::all(), Order::Forward, usize::MAX).expect("rows");
        let signed = |sum: u128| i128::try_from(sum).expect("small");
        let folded: Books = rows
            .iter()
            .map(|row| {
                (
                    row.book.to_string(),
                    signed(row.credits) - signed(row.debits),
                )
            })
            .filter(|(_, balance)| *balance != 0)
            .collect();
        let said: Vec<String> = world
            .all
            .iter()
            .map(|at| format!("{} at {}: {:?}", at.number, at.time, at.said))
            .collect();
        assert_eq!(
            folded,
            books(&world.all),
            "seed {seed}:\n{}",
            said.join("\n")
        );
        // What credits have left, less what is uncovered, is the balance (8.14): dust and coinbases take like lines.
        for name in NAMES {
            let found = origins(view.as_ref(), &named(name))
                .expect("rows")
                .expect("a few");
            let left: u128 = found.credits.iter().map(|credit| credit.left).sum();
            let uncovered: u128 = found.takes.iter().map(|taken| taken.uncovered).sum();
            let balance = of(&folded, "available", name);
            assert_eq!(
                signed(left) - signed(uncovered),
                balance,
                "seed {seed}, {name}"
            );
        }
        moved += crate::dust::behind(&store, orebook_replay::folds::money::DUST_INDEX).len();
        rounded += crate::dust::behind(&store, orebook_replay::folds::money::ROUNDING_INDEX).len();
    }
    assert!(
        20 < moved && 20 < rounded,
        "{moved} moved and {rounded} rounded are few"
    );
}
