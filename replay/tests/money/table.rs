//! Tables that a bookkeeper can read: shares go in, blocks are found, and every book is said to the sub-unit.
//!
//! One statement a line:
//! - `policy fee=10000 bonus=0 n=1000000 stale=0 keep=no`: parts per million; the first line is genesis' policy, later ones
//!   come into force for the jobs after them. `threshold=20 limit=100 bears=miner hold=1000`: of payouts, base units and
//!   milliseconds; 1, no limit, the pool and 0 if nothing is said. `writeoff=90d rounding=fee`: what an account has to owe for,
//!   and that whole base units of rounding go to the fees; 0 and no if nothing is said. `chain=ethash`, last of the first line:
//!   of which the work is; a sha256d chain's if nothing is said. Without more an account mines in the PPLNS pot; `@solo`, `@prop`, `@pps` and
//!   `@fpps` are the others.
//! - `g1 job 100`: gateway 1 has a new job of this network work, under the newest policy; `g1 job 100 void` cites none.
//!   `direct=now pool=4 outs=A:14,B:9`: a direct job, whose list stands on all positions before it, or on those before `mark`; its
//!   coinbase pays 4 to the pool, and the others to these addresses. `plain`: none any more.
//!   `pays=51 fees=1` say what the block would pay us, and the fees therein, in base units; 50 and 1 if nothing is said.
//! - `g1 frame: anna 30, ben 20 stale, anna@solo 5, carl 50 finds A`: one frame of shares, in this order.
//!   `ann 6 as s`: this share is called s; `bob 6 as t like s`: it has the nonce that s has.
//! - `g1 restarts`: a new epoch.
//! - `g1 lost: …`: a frame that never reached the ledger. `g1 moves`: its stream is given up, and the lost shares are said
//!   again in a new one; each further `g1 moves` says them once more. `g1 moves twice`: each two times in one frame.
//! - `A immature 50 fees=2`: the settler says so, in base units. `A confirmed 50 late`: with another `expects` than the last.
//! - `recovered A`: the settler found a coinbase of ours; `recovered again A`: it says so again, expecting its last word.
//! - `adjust anna +24.5 reserve`: from the book to anna's available, approved; `-2 fee`: from her to the book; `explains A`
//!   names a block, `late` expects something else than her last one, `waits` leaves the approval to the next `approved`.
//! - `mean 3`: the settler says the mean fees, in base units; `mean 3 late` with another `expects` than the last.
//! - `donates anna 15000`: parts per million of what she gets from here on, said by the operator.
//! - `lives anna A`: her payout address is A from here on, or after the policy's hold. `threshold anna 30`, `wants anna`: she is
//!   paid from 30 base units on, or at once.
//! - What the paymaster and the desk say of payouts: see `paying.rs`. Time that passes, write-offs, dust, voids: see `later.rs`.
//! - `mark`: the positions that later direct jobs' lists stand on.
//! - `= A available 3`: of the account that an address is. `= anna immature 24.5`, `= fee 0.5`: after the statements above, these are all the books that are not zero, in base
//!   units with nine decimals at most. `= nothing` if all are zero. `reward` is always minus their sum.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use orebook_replay::engine::{Engine, Past};
use orebook_replay::folds::money::{
    Book, BookRow, CreditRow, Money, NextBlock, NextSettlement, PostingRow, RefusedRow, SUB_UNITS,
    block, credits_of_block, preview,
};
use orebook_replay::rows::{Order, Span, collect, scan};
use orebook_replay::store::{MemoryStore, Store};
use orebook_replay::{digest, engine};
use orebook_schema::account::{SetBy, Setting, SettingValue};
use orebook_schema::desk::{AdjustedBook, Adjustment, Direction, Reason};
use orebook_schema::genesis::Algorithm;
use orebook_schema::names::Pot;
use orebook_schema::policy::{PotRules, Scheme};
use orebook_schema::work::{BlockState, FeeMean, Share, Worker, ethash_name};
use orebook_schema::{Account, At, Event, Hash};

use crate::pool::{
    ARCHIVER, FPPS, GATEWAY, PPLNS, PPS, PROP, Pen, Pool, SEAL, SOLO, block_found, block_recovered,
    block_status, desk_approves, genesis, in_ethash, job, moved, named, opened, replayed, share,
    worker,
};
use crate::{later, paying};

/// Runs a table. Panics at the first line that does not come true.
#[track_caller]
pub(crate) fn table(text: &str) -> Table {
    let mut lines = text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty()).expect("a first line");
    let rest = first
        .strip_prefix("policy")
        .expect("the first line is a policy");
    let mut table = Table::new(rest);
    let mut expected: Vec<&str> = Vec::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("= ") {
            Some(book) => expected.push(book),
            None => {
                table.check(&std::mem::take(&mut expected));
                table.say(line);
            }
        }
    }
    assert!(!expected.is_empty(), "a table ends with books");
    table.check(&expected);
    table
}

/// A lost event: its seq, itself, and what it is about.
#[derive(Clone)]
struct Lost {
    seq: u64,
    event: Event,
    account: String,
    pot: Pot,
}

struct Gateway {
    pen: Pen,
    workers: BTreeMap<(String, u16), u32>,
    network_work: u128,
    /// What the block would pay us, and fees therein.
    pays: (u128, u128),
    /// `direct` of its job, and the coinbase2.
    direct: (u64, Vec<u8>),
    policy: At,
    /// The stream that was given up, and what it lost.
    lost: Vec<Lost>,
    left: Option<Pen>,
}

impl Gateway {
    /// The next job, as the last one.
    fn job(&mut self) -> Event {
        let event = job(&mut self.pen, self.policy, self.network_work);
        let Event::Job(mut job) = event else {
            panic!("a job");
        };
        (job.reward, job.fees) = self.pays;
        (job.direct, job.coinbase2) = self.direct.clone();
        Event::Job(job)
    }
}

pub(crate) struct Table {
    pub pool: Pool,
    pub(crate) paying: paying::Paying,
    /// Who says voids.
    pub(crate) keeper: Pen,
    is_ethash: bool,
    /// Places and nonces of the shares that have a name.
    pub(crate) shares: BTreeMap<String, (At, u32)>,
    gateways: BTreeMap<String, Gateway>,
    policy: At,
    nonce: u32,
    blocks: BTreeMap<String, (Hash, At)>,
    /// Where the settler last said that it recovered something.
    last_recovered: At,
    last_mean: At,
    streams: u8,
    pub(crate) mark: u64,
    live: (Engine, Arc<MemoryStore>),
    /// A thing that nobody approved.
    pub(crate) waiting: Option<Event>,
}

pub(crate) fn rules_of(words: &str) -> impl Fn(&mut PotRules) + use<> {
    let words: Vec<(String, String)> = words
        .split_whitespace()
        .filter(|word| !paying::is_rule(word))
        .map(|word| {
            let (key, value) = word.split_once('=').expect("key=value");
            (key.to_owned(), value.to_owned())
        })
        .collect();
    move |rules| {
        for (key, value) in &words {
            let ppm = || value.parse::<u32>().expect("parts per million");
            match key.as_str() {
                "n" => rules.n_ppm = value.parse().expect("n"),
                "fee" => rules.fee_ppm = ppm(),
                "bonus" => rules.bonus_ppm = ppm(),
                "stale" => rules.stale_ppm = ppm(),
                "direct" if rules.scheme == Scheme::Pplns => {
                    rules.direct_min = value.parse().expect("base units");
                    rules.direct_outputs = rules.direct_outputs.max(100);
                }
                "outputs" if rules.scheme == Scheme::Pplns => {
                    rules.direct_outputs = value.parse().expect("outputs");
                }
                "direct" | "outputs" => {}
                "keep" => rules.keep_tx_fees = value == "yes",
                other => panic!("a policy has no {other}"),
            }
        }
    }
}

fn pot_of(name: &str) -> Pot {
    match name {
        "solo" => SOLO,
        "prop" => PROP,
        "pps" => PPS,
        "fpps" => FPPS,
        other => panic!("no pot {other}"),
    }
}

/// Sub-units of `24.5` or `-0.000000001`, as (below zero, distance from zero).
fn amount(text: &str) -> (bool, u128) {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= 9, "nine decimals at most");
    let whole: u128 = whole.parse().expect("base units");
    let fraction: u128 = format!("{fraction:0<9}").parse().expect("sub-units");
    (negative, whole * SUB_UNITS + fraction)
}

impl Table {
    fn new(rules: &str) -> Self {
        let (rules, chain) = rules.split_once("chain=").unwrap_or((rules, ""));
        let mut genesis = genesis(paying::policy(rules));
        if chain == "ethash" {
            genesis.algorithm = Algorithm::Ethash;
        }
        let pool = Pool::of(&genesis);
        let store = Arc::new(MemoryStore::new());
        let live = (opened(&pool, Money, &store), store);
        Self {
            pool,
            paying: paying::Paying::default(),
            keeper: Pen::new(ARCHIVER, 0xa5),
            is_ethash: chain == "ethash",
            shares: BTreeMap::new(),
            gateways: BTreeMap::new(),
            policy: At::default(),
            nonce: 0,
            blocks: BTreeMap::new(),
            last_recovered: At::default(),
            last_mean: At::default(),
            streams: 0,
            mark: 1,
            live,
            waiting: None,
        }
    }

    #[track_caller]
    fn say(&mut self, line: &str) {
        if line == "mark" {
            self.mark = self.pool.size();
            return;
        }
        if line == "approved" {
            let thing = self.waiting.take().expect("one that waits");
            self.pool.desk_says(&[desk_approves(&thing)]);
            return;
        }
        let (subject, rest) = line.split_once(' ').unwrap_or((line, ""));
        match subject {
            "batch:" => paying::say(self, "batch", &format!(": {rest}")),
            "policy" => self.policy = self.pool.new_policy(paying::policy(rest)),
            "recovered" => self.recovered(rest),
            "adjust" => self.adjust(rest),
            "mean" => self.mean(rest),
            "donates" => self.donates(rest),
            _ if paying::SUBJECTS.contains(&subject) => paying::say(self, subject, rest),
            _ if later::SUBJECTS.contains(&subject) => later::say(self, subject, rest),
            _ if subject.starts_with('g') => self.gateway_says(subject, rest),
            _ => self.status(subject, rest),
        }
    }

    fn gateway_says(&mut self, name: &str, rest: &str) {
        let number = name.trim_start_matches('g').parse::<u8>().expect("g1, g2");
        let mut gateway = self.gateways.remove(name).unwrap_or_else(|| {
            self.streams += 1;
            Gateway {
                pen: Pen::new(GATEWAY + number, self.streams),
                workers: BTreeMap::new(),
                network_work: 0,
                pays: (50, 1),
                direct: (0, vec![2]),
                policy: At::default(),
                lost: Vec::new(),
                left: None,
            }
        });
        if let Some(shares) = rest.strip_prefix("frame:") {
            let events = self.shares(&mut gateway, shares);
            let events: Vec<Event> = events.into_iter().map(|lost| lost.event).collect();
            self.say_of_chain(&mut gateway.pen, &events);
        } else if let Some(shares) = rest.strip_prefix("lost:") {
            let first = gateway.pen.next_seq + gateway.lost.len() as u64;
            let lost = self.shares(&mut gateway, shares);
            gateway
                .lost
                .extend((first..).zip(lost).map(|(seq, lost)| Lost { seq, ..lost }));
        } else if rest == "restarts" {
            gateway.pen.restart();
            gateway.workers.clear();
            let event = gateway.job();
            self.say_of_chain(&mut gateway.pen, &[event]);
        } else if let Some(how) = rest.strip_prefix("moves") {
            let times = if how == " twice" { 2 } else { 1 };
            self.moves(&mut gateway, times);
        } else {
            let words: Vec<&str> = rest.split_whitespace().collect();
            assert_eq!(words.first(), Some(&"job"), "{rest}");
            gateway.network_work = words[1].parse().expect("network work");
            let is_void = words.get(2) == Some(&"void");
            // Position 1 is a checkpoint, which is no policy.
            let none = At {
                position: 1,
                index: 0,
            };
            gateway.policy = if is_void { none } else { self.policy };
            let said = |key| {
                let mut values = words.iter().filter_map(|word| word.strip_prefix(key));
                values
                    .next()
                    .map(|value| value.parse().expect("base units"))
            };
            let (pays, fees) = gateway.pays;
            gateway.pays = (said("pays=").unwrap_or(pays), said("fees=").unwrap_or(fees));
            self.direct(&mut gateway, &words);
            let event = gateway.job();
            self.say_of_chain(&mut gateway.pen, &[event]);
        }
        self.gateways.insert(name.to_owned(), gateway);
    }

    fn direct(&self, gateway: &mut Gateway, words: &[&str]) {
        let said = |key| words.iter().find_map(|word| word.strip_prefix(key));
        if words.contains(&"plain") {
            gateway.direct = (0, vec![2]);
        }
        let Some(direct) = said("direct=") else {
            return;
        };
        let direct = match direct {
            "now" => self.pool.size(),
            "mark" => self.mark,
            number => number.parse().expect("a position"),
        };
        let rest = said("pool=").map_or(0, |text| text.parse().expect("base units"));
        let mut outputs = vec![(rest, b"the pool".to_vec())];
        let outs = said("outs=").unwrap_or_default().split(',');
        for out in outs.filter(|out| !out.is_empty()) {
            let (name, amount) = out.split_once(':').expect("an address and its amount");
            let Account::Script(script) = paying::address(name) else {
                panic!("a script");
            };
            let amount = amount.parse().expect("base units");
            outputs.push((amount, script.bytes().to_vec()));
        }
        gateway.direct = (direct, coinbase2(&outputs));
    }

    /// Events of a frame: announcements of new workers first, then the shares.
    fn shares(&mut self, gateway: &mut Gateway, text: &str) -> Vec<Lost> {
        let mut announced = Vec::new();
        let mut events = Vec::new();
        let mut called = Vec::new();
        for words in text.split(',') {
            let words: Vec<&str> = words.split_whitespace().collect();
            let after = |key| {
                let at = words.iter().position(|word| *word == key);
                at.map(|at| words[at + 1])
            };
            let (account, pot) = match words[0].split_once('@') {
                Some((account, pot)) => (account, pot_of(pot)),
                None => (words[0], PPLNS),
            };
            let number = match gateway.workers.get(&(account.to_owned(), pot.0)) {
                Some(number) => *number,
                None => {
                    announced.push(miner(&mut gateway.pen, account, pot));
                    let number = gateway.pen.workers - 1;
                    gateway.workers.insert((account.to_owned(), pot.0), number);
                    number
                }
            };
            self.nonce += 1;
            let nonce = after("like").map_or(self.nonce, |first| self.shares[first].1);
            if let Some(name) = after("as") {
                called.push((name.to_owned(), events.len(), nonce));
            }
            let work = words[1].parse().expect("work");
            let found = after("finds");
            let entry = Share {
                stale: words.contains(&"stale"),
                block: found.is_some(),
                ..share(number, gateway.pen.jobs - 1, work, nonce)
            };
            let lost = |event| Lost {
                seq: 0,
                event,
                account: account.to_owned(),
                pot,
            };
            events.push(lost(Event::Share(entry)));
            if let Some(name) = found {
                let (hash, height) = match self.is_ethash {
                    true => (ethash_name(&SEAL, nonce.into()), nonce.into()),
                    false => (Hash::of(&[name.as_bytes()]), 7),
                };
                let before = self.blocks.get(name).map_or(At::default(), |known| known.1);
                self.blocks.insert(name.to_owned(), (hash, before));
                events.push(lost(block_found(hash, height)));
            }
        }
        let position = self.pool.size();
        for (name, index, nonce) in called {
            let index = u16::try_from(announced.len() + index).expect("an index");
            self.shares.insert(name, (At { position, index }, nonce));
        }
        let announced = announced.into_iter().map(|event| Lost {
            seq: 0,
            event,
            account: String::new(),
            pot: PPLNS,
        });
        announced.chain(events).collect()
    }

    fn moves(&mut self, gateway: &mut Gateway, times: usize) {
        let left = match &gateway.left {
            Some(left) => left.clone(),
            None => {
                self.streams += 1;
                let pen = Pen::new(gateway.pen.name, self.streams);
                let left = std::mem::replace(&mut gateway.pen, pen);
                gateway.left = Some(left.clone());
                gateway.workers.clear();
                left
            }
        };
        let mut events = vec![gateway.job()];
        let number = gateway.pen.jobs - 1;
        let lost = gateway.lost.clone();
        let lost = lost
            .iter()
            .filter(|lost| matches!(lost.event, Event::Share(_) | Event::BlockFound(_)));
        for lost in lost.clone() {
            let key = (lost.account.clone(), lost.pot.0);
            if !gateway.workers.contains_key(&key) {
                events.push(miner(&mut gateway.pen, &lost.account, lost.pot));
                gateway.workers.insert(key, gateway.pen.workers - 1);
            }
        }
        for _ in 0..times {
            for lost in lost.clone() {
                let worker = gateway.workers[&(lost.account.clone(), lost.pot.0)];
                events.push(moved(&left, lost.seq, &lost.event, worker, number));
            }
        }
        self.say_of_chain(&mut gateway.pen, &events);
    }

    /// Says events of work as the chain has them.
    fn say_of_chain(&mut self, pen: &mut Pen, events: &[Event]) {
        if self.is_ethash {
            let events: Vec<Event> = events.iter().map(in_ethash).collect();
            self.pool.say(pen, &events);
        } else {
            self.pool.say(pen, events);
        }
    }

    /// Of a block's name.
    pub(crate) fn hash_of(&self, name: &str) -> Hash {
        let known = self.blocks.get(name).map(|known| known.0);
        known.unwrap_or_else(|| Hash::of(&[name.as_bytes()]))
    }

    fn recovered(&mut self, name: &str) {
        let again = name.strip_prefix("again ");
        let name = again.unwrap_or(name);
        let hash = Hash::of(&[name.as_bytes()]);
        // Only the height's last obeyed one is expected rightly.
        let expects = again.map_or_else(At::default, |_| self.last_recovered);
        let said = self.pool.settler_says(&[block_recovered(hash, 9, expects)]);
        self.last_recovered = said;
        if again.is_none() {
            self.blocks.insert(name.to_owned(), (hash, At::default()));
        }
    }

    fn mean(&mut self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_late = words.contains(&"late");
        let wrong = At {
            position: 1,
            index: 7,
        };
        let event = Event::FeeMean(FeeMean {
            height: 7,
            expects: if is_late { wrong } else { self.last_mean },
            mean: words[0].parse().expect("base units"),
        });
        let at = self.pool.settler_says(&[event]);
        if !is_late {
            self.last_mean = at;
        }
    }

    fn donates(&mut self, text: &str) {
        let (account, ppm) = text.split_once(' ').expect("an account and its ppm");
        let account = named(account);
        let authority = self.pool.state.authority().expect("genesis");
        let thing = Event::Setting(Box::new(Setting {
            expects: authority.last_setting(&account),
            account,
            by: SetBy::Operator,
            value: SettingValue::Donation(ppm.trim().parse().expect("parts per million")),
            proof: Vec::new(),
        }));
        self.pool.desk_says(&[thing]);
    }

    fn adjust(&mut self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let account = named(words[0]);
        let (is_back, amount) = amount(words[1].trim_start_matches('+'));
        let authority = self.pool.state.authority().expect("genesis");
        let expects = authority.last_adjustment(&account);
        let wrong = At {
            position: 1,
            index: 7,
        };
        let explains = words.iter().position(|word| *word == "explains");
        let thing = Event::Adjustment(Box::new(Adjustment {
            account,
            expects: if words.contains(&"late") {
                wrong
            } else {
                expects
            },
            book: AdjustedBook::parse(words[2]).expect("a book"),
            direction: if is_back {
                Direction::FromAccount
            } else {
                Direction::ToAccount
            },
            amount,
            block: explains.map(|at| Hash::of(&[words[at + 1].as_bytes()])),
            reason: Reason::parse(text).expect("a reason"),
        }));
        if words.contains(&"waits") {
            self.pool.desk_says(std::slice::from_ref(&thing));
            self.waiting = Some(thing);
        } else {
            self.pool.desk_says(&[thing.clone(), desk_approves(&thing)]);
        }
    }

    fn status(&mut self, name: &str, rest: &str) {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let state = BlockState::ALL.into_iter().find(|s| s.name() == words[0]);
        let state = state.unwrap_or_else(|| panic!("no state {}", words[0]));
        let value = words.get(1).map_or(0, |word| word.parse().expect("value"));
        let fees = words.iter().find_map(|word| word.strip_prefix("fees="));
        let fees = fees.map_or(0, |word| word.parse().expect("fees"));
        let hash = self.hash_of(name);
        let is_late = words.contains(&"late");
        let expects = self.blocks.get(name).map_or(At::default(), |known| known.1);
        let wrong = At {
            position: 1,
            index: 7,
        };
        let expects_said = if is_late { wrong } else { expects };
        let at = self
            .pool
            .settler_says(&[block_status(hash, expects_said, state, value, fees)]);
        if !is_late && self.blocks.contains_key(name) {
            self.blocks.insert(name.to_owned(), (hash, at));
        }
    }

    /// The live engine and a fresh replay have these books, and equal digests.
    #[track_caller]
    fn check(&mut self, expected: &[&str]) {
        if expected.is_empty() {
            return;
        }
        let (live, store) = &mut self.live;
        let size = self.pool.size();
        live.advance(&self.pool, size, u64::MAX, &mut |_| {})
            .expect("the live engine goes on");
        let fresh = replayed(&self.pool, Money);
        let wanted: BTreeMap<String, (bool, u128)> = expected
            .iter()
            .filter(|line| **line != "nothing")
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                match words.as_slice() {
                    [account, book, figure] => {
                        (format!("{book}:{}", owner(account)), amount(figure))
                    }
                    [book, figure] => ((*book).to_owned(), amount(figure)),
                    _ => panic!("no book: {line}"),
                }
            })
            .collect();
        assert_eq!(books(&fresh), wanted, "a fresh replay");
        assert_eq!(books(store), wanted, "the live engine");
        let (live, fresh) = (store.view().expect("a view"), fresh.view().expect("a view"));
        let cursors = [&live, &fresh].map(|view| engine::cursor(view.as_ref()).expect("a cursor"));
        assert_eq!(cursors[0], cursors[1]);
        let scratch = [&live, &fresh]
            .map(|view| digest::from_scratch(&Money, view.as_ref()).expect("a digest"));
        assert_eq!(scratch[0], scratch[1]);
        let newest = [&live, &fresh].map(|view| digest::newest(view.as_ref()).expect("a digest"));
        assert_eq!(newest[0], newest[1]);
    }

    /// Says one more line, and gives the live engine's books.
    pub(crate) fn then(&mut self, line: &str) -> BTreeMap<String, (bool, u128)> {
        self.say(line);
        books(self.rows())
    }

    /// The live engine's rows, as of the end of the ledger.
    pub(crate) fn rows(&mut self) -> &MemoryStore {
        let (live, store) = &mut self.live;
        live.advance(&self.pool, self.pool.size(), u64::MAX, &mut |_| {})
            .expect("the live engine goes on");
        store
    }

    /// Why events were refused, in order.
    pub(crate) fn refusals(&self) -> Vec<&'static str> {
        let store = replayed(&self.pool, Money);
        let mut found = Vec::new();
        let view = store.view().expect("a view");
        scan(
            view.as_ref(),
            &Span::all(),
            Order::Forward,
            |row: RefusedRow| {
                found.push(row.why.name());
                ControlFlow::Continue(())
            },
        )
        .expect("rows");
        found
    }

    /// Every posting of payouts, in order: debit, credit and base units.
    pub(crate) fn paid(&self) -> Vec<String> {
        let store = replayed(&self.pool, Money);
        let view = store.view().expect("a view");
        let all: Vec<PostingRow> =
            collect(view.as_ref(), &Span::all(), Order::Forward, usize::MAX).expect("rows");
        let is_of_payouts = |book: &Book| {
            let (reserved, paid) = (
                matches!(book, Book::Reserved(_)),
                matches!(book, Book::Paid(_)),
            );
            reserved || paid || *book == Book::Wallet
        };
        all.iter()
            .filter(|row| is_of_payouts(&row.debit) || is_of_payouts(&row.credit))
            .map(|row| {
                let text = format!("{} > {} {}", row.debit, row.credit, row.amount / SUB_UNITS);
                text.replace("name:", "")
            })
            .collect()
    }

    /// Every posting that a block ever made, in order.
    pub(crate) fn postings(&self, name: &str) -> Vec<PostingRow> {
        let store = replayed(&self.pool, Money);
        let view = store.view().expect("a view");
        let all: Vec<PostingRow> =
            collect(view.as_ref(), &Span::all(), Order::Forward, usize::MAX).expect("rows");
        let hash = Hash::of(&[name.as_bytes()]);
        all.into_iter().filter(|row| row.block == hash).collect()
    }

    /// How the next block would be divided, under a policy said as in a `policy` line.
    pub(crate) fn preview(&self, policy: &str, next: &NextBlock) -> NextSettlement {
        let store = replayed(&self.pool, Money);
        let view = store.view().expect("a view");
        let past = Past::new(&self.pool, self.pool.size());
        let policy = paying::policy(policy);
        preview(view.as_ref(), &past, &policy, next).expect("rows")
    }

    /// What a block's settlement gave each account.
    pub(crate) fn credits(&self, name: &str) -> Vec<CreditRow> {
        let store = replayed(&self.pool, Money);
        let view = store.view().expect("a view");
        let row = block(view.as_ref(), &Hash::of(&[name.as_bytes()])).expect("rows");
        credits_of_block(view.as_ref(), row.expect("a block").at).expect("rows")
    }

    /// Σ of a block's weights.
    pub(crate) fn weights(&self, name: &str) -> Option<u128> {
        let store = replayed(&self.pool, Money);
        let view = store.view().expect("a view");
        let row = block(view.as_ref(), &Hash::of(&[name.as_bytes()])).expect("rows");
        row.and_then(|row| row.weights)
    }
}

/// Who is called so: an address begins with a capital letter.
pub(crate) fn owner(name: &str) -> Account {
    if name.starts_with(|first: char| first.is_uppercase()) {
        paying::address(name)
    } else {
        named(name)
    }
}

/// A new worker of an account, which may be an address.
fn miner(pen: &mut Pen, account: &str, pot: Pot) -> Event {
    let Event::Worker(said) = worker(pen, "anybody", "rig", pot) else {
        panic!("a worker");
    };
    Event::Worker(Box::new(Worker {
        account: owner(account),
        ..*said
    }))
}

/// The end of a coinbase with these outputs: a text, the sequence, and so on.
pub(crate) fn coinbase2(outputs: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"/1".to_vec();
    bytes.extend([0xff; 4]);
    bytes.push(u8::try_from(outputs.len()).expect("a few outputs"));
    for (amount, script) in outputs {
        bytes.extend(amount.to_le_bytes());
        bytes.push(u8::try_from(script.len()).expect("a short script"));
        bytes.extend(script);
    }
    bytes.extend([0; 4]);
    bytes
}

/// Books that are not zero, `reward` left out; it is minus their sum.
#[track_caller]
fn books(store: &MemoryStore) -> BTreeMap<String, (bool, u128)> {
    let view = store.view().expect("a view");
    let mut found = BTreeMap::new();
    let (mut put, mut taken) = (0u128, 0u128);
    scan(
        view.as_ref(),
        &Span::all(),
        Order::Forward,
        |row: BookRow| {
            let balance = row.balance();
            put += balance.credits;
            taken += balance.debits;
            if balance.magnitude() != 0 && row.book != Book::Reward {
                let figure = (balance.is_negative(), balance.magnitude());
                found.insert(row.book.to_string(), figure);
            }
            ControlFlow::Continue(())
        },
    )
    .expect("rows");
    assert_eq!(put, taken, "debits equal credits");
    found
}
