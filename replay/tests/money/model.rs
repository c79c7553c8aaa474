//! Random tables against a plain model: every share is an entry of one list, a window is walked entry by entry, a round is
//! looked for in the list of everything that happened, and the books are added up from the blocks' last states. What the fold
//! does with summaries, rows and differences must come to the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::table::table;

const SEEDS: u64 = 60;
const STEPS: usize = 40;
const SUB_UNITS: u128 = 1_000_000_000;
const ACCOUNTS: [&str; 5] = ["anna", "ben", "carl", "dora", "emil"];
/// Pots as a table says them, the PPLNS pot first.
const POTS: [&str; 5] = ["", "@solo", "@prop", "@pps", "@fpps"];
/// Where accounts live; nobody is called so.
const ADDRESSES: [&str; 4] = ["North", "South", "East", "West"];
const STATES: [&str; 5] = ["seen", "immature", "uncle", "confirmed", "orphaned"];

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = self.below(from.len() as u64);
        from[usize::try_from(index).expect("an index")]
    }
}

#[derive(Clone, Copy, Default)]
struct Rules {
    n: u128,
    fee: u128,
    bonus: u128,
    stale: u128,
    keep: bool,
    direct: bool,
}

#[derive(Clone)]
struct Entry {
    account: &'static str,
    pot: &'static str,
    credit: u128,
}

/// What a PROP round asks for, in order; entries by their index in the list of all, blocks by theirs.
#[derive(Clone, Copy)]
enum Happened {
    Entry(usize),
    Found(usize),
    Orphaned(usize),
    Returned(usize),
}

/// A share as said; what it is credited depends on the job that it counts under.
#[derive(Clone)]
struct Said {
    account: &'static str,
    pot: &'static str,
    work: u128,
    stale: bool,
    finds: Option<String>,
}

struct Block {
    name: String,
    /// Entries up to and including the finding share.
    entries: usize,
    finder: &'static str,
    pot: &'static str,
    network_work: u128,
    rules: Option<Rules>,
    /// What accounts donated when it was found, parts per million.
    donations: BTreeMap<&'static str, u128>,
    direct: Option<Direct>,
    is_out: bool,
    /// Whose book has the accounts' parts, if anything is posted; value and fees of the last status.
    held: Option<&'static str>,
    value: u128,
    fees: u128,
}

impl Block {
    /// What its coinbase pays goes from what accounts have of the block, then from what they have, to where it is held.
    fn outputs(
        &self,
        kind: &str,
        net: &BTreeMap<&str, u128>,
        weights: &BTreeMap<&'static str, u128>,
        books: &mut BTreeMap<String, i128>,
    ) {
        let Some(direct) = &self.direct else { return };
        let mut paid: BTreeMap<&str, u128> = BTreeMap::new();
        for (place, amount) in &direct.outs {
            let lives = |who: &str| direct.mark.addresses.get(who) == Some(place);
            let mut weighed = weights.iter().filter(|(_, weight)| 0 < **weight);
            let owner = weighed.find(|(who, _)| lives(who));
            // Of nobody who has a part: the first registered account that lives there.
            let mut registered = direct.mark.addresses.iter();
            let owner = owner
                .map(|(who, _)| *who)
                .or_else(|| Some(*registered.find(|(_, lives)| *lives == place)?.0));
            let owner = owner.unwrap_or(*place);
            *paid.entry(owner).or_insert(0) += amount * SUB_UNITS;
        }
        for (who, amount) in paid {
            let own = amount.min(net.get(who).copied().unwrap_or(0));
            let mut put = |book: &str, amount: i128| {
                *books.entry(format!("{who} {book}")).or_insert(0) += amount;
            };
            let signed = |amount: u128| i128::try_from(amount).expect("small");
            put(kind, -signed(own));
            put("available", -signed(amount - own));
            let where_to = if kind == "immature" {
                "reserved"
            } else {
                "paid"
            };
            put(where_to, signed(amount));
        }
    }

    fn say(&mut self, state: &str, value: u128, fees: u128) {
        (self.value, self.fees) = (value, fees);
        self.held = match (state, self.held) {
            ("orphaned", _) => None,
            ("confirmed", _) => Some("available"),
            ("immature" | "uncle", None) => Some("immature"),
            (_, held) => held,
        };
    }
}

/// What a ledger had where a list was made: how many entries, what accounts gave and where they lived.
#[derive(Clone, Default)]
struct Mark {
    entries: usize,
    donations: BTreeMap<&'static str, u128>,
    addresses: BTreeMap<&'static str, &'static str>,
}

#[derive(Clone)]
struct Direct {
    mark: Mark,
    outs: Vec<(&'static str, u128)>,
}

#[derive(Clone, Default)]
struct Gateway {
    direct: Option<Direct>,
    network_work: u128,
    subsidy: u128,
    rules: Option<Rules>,
    lost: Vec<Said>,
    has_moved: bool,
}

#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    blocks: Vec<Block>,
    rules: Rules,
    gateways: BTreeMap<u64, Gateway>,
    happened: Vec<Happened>,
    mean: u128,
    addresses: BTreeMap<&'static str, &'static str>,
    mark: Mark,
    donations: BTreeMap<&'static str, u128>,
    /// Books that shares paid one by one moved, below zero too.
    paid: BTreeMap<String, i128>,
}

impl Model {
    /// A frame of shares that count.
    fn count(&mut self, gateway: &Gateway, said: &[Said]) {
        let mut earned: BTreeMap<&'static str, u128> = BTreeMap::new();
        for share in said {
            let credit = match gateway.rules {
                None => 0,
                Some(rules) if share.stale => share.work * rules.stale / 1_000_000,
                Some(_) => share.work,
            };
            self.happened.push(Happened::Entry(self.entries.len()));
            self.entries.push(Entry {
                account: share.account,
                pot: share.pot,
                credit,
            });
            if let Some(rules) = gateway.rules.filter(|_| is_per_share(share.pot)) {
                let work = credit * SUB_UNITS;
                let network = gateway.network_work;
                let by_subsidy =
                    work * gateway.subsidy * (1_000_000 - rules.fee) / (network * 1_000_000);
                let by_fees = work * self.mean / network;
                let fpps = share.pot == "@fpps";
                *earned.entry(share.account).or_insert(0) +=
                    by_subsidy + if fpps { by_fees } else { 0 };
            }
            if let Some(name) = &share.finds {
                self.happened.push(Happened::Found(self.blocks.len()));
                self.blocks.push(Block {
                    name: name.clone(),
                    entries: self.entries.len(),
                    finder: share.account,
                    pot: share.pot,
                    network_work: gateway.network_work,
                    rules: gateway.rules,
                    donations: self.donations.clone(),
                    direct: gateway.direct.clone(),
                    is_out: false,
                    held: None,
                    value: 0,
                    fees: 0,
                });
            }
        }
        for (account, amount) in earned {
            let given = amount * self.donations.get(account).copied().unwrap_or(0) / 1_000_000;
            let mut put = |book: String, amount: u128| {
                *self.paid.entry(book).or_insert(0) += i128::try_from(amount).expect("small");
            };
            put(format!("{account} available"), amount - given);
            put("donation".to_owned(), given);
            let amount = i128::try_from(amount).expect("small");
            *self.paid.entry("reserve".to_owned()).or_insert(0) -= amount;
        }
    }

    fn marked(&self) -> Mark {
        Mark {
            entries: self.entries.len(),
            donations: self.donations.clone(),
            addresses: self.addresses.clone(),
        }
    }

    /// Says a block's state.
    fn say(&mut self, index: usize, state: &str, value: u128, fees: u128) {
        let block = &mut self.blocks[index];
        let is_out = state == "orphaned";
        if is_out != block.is_out {
            self.happened.push(if is_out {
                Happened::Orphaned(index)
            } else {
                Happened::Returned(index)
            });
        }
        block.is_out = is_out;
        block.say(state, value, fees);
    }

    fn weights(&self, block: &Block, rules: Rules) -> BTreeMap<&'static str, u128> {
        let mut weights = BTreeMap::new();
        if block.pot == "@solo" {
            return [(block.finder, 1)].into();
        }
        let mut left = (rules.n * block.network_work / 1_000_000).max(1);
        let listed = block.direct.as_ref().filter(|_| rules.direct);
        let end = listed.map_or(block.entries, |direct| direct.mark.entries);
        for entry in self.entries[..end].iter().rev() {
            let taken = entry.credit.min(left);
            if entry.pot == block.pot && 0 < taken {
                *weights.entry(entry.account).or_insert(0) += taken;
                left -= taken;
            }
        }
        weights
    }

    /// Weights of a PROP block: everything that happened between the pot's block before and it.
    fn round(&self, index: usize) -> BTreeMap<&'static str, u128> {
        let mut weights = BTreeMap::new();
        if self.blocks[index].rules.is_none() {
            return weights;
        }
        let is_prop = |block: usize| self.blocks[block].pot == "@prop";
        let found = |it: &Happened| matches!(it, Happened::Found(found) if *found == index);
        let end = self.happened.iter().position(found).expect("it was found");
        let before = |it: &Happened| matches!(it, Happened::Found(found) if is_prop(*found));
        let begin = self.happened[..end].iter().rposition(before);
        let round = &self.happened[begin.map_or(0, |begin| begin + 1)..end];
        for (at, it) in round.iter().enumerate() {
            match it {
                Happened::Entry(entry) if self.entries[*entry].pot == "@prop" => {
                    let Entry {
                        account, credit, ..
                    } = self.entries[*entry];
                    *weights.entry(account).or_insert(0) += credit;
                }
                Happened::Orphaned(orphan) if is_prop(*orphan) => {
                    let back =
                        |it: &Happened| matches!(it, Happened::Returned(back) if back == orphan);
                    if round[at..].iter().any(back) {
                        continue;
                    }
                    for (account, work) in self.round(*orphan) {
                        *weights.entry(account).or_insert(0) += work;
                    }
                }
                _ => {}
            }
        }
        weights
    }

    /// Every book that is not zero: what shares were paid, and the blocks' last states.
    fn books(&self) -> BTreeMap<String, i128> {
        let mut books = self.paid.clone();
        for (index, block) in self.blocks.iter().enumerate() {
            let Some(kind) = block.held else { continue };
            let (value, fees) = (block.value, block.fees);
            let mut put = |book: String, amount: u128| {
                *books.entry(book).or_insert(0) += i128::try_from(amount).expect("small");
            };
            let whole = value * SUB_UNITS;
            let Some(rules) = block.rules.filter(|_| !is_per_share(block.pot)) else {
                put("reserve".to_owned(), whole);
                block.outputs(kind, &[].into(), &[].into(), &mut books);
                continue;
            };
            let kept = if rules.keep { fees * SUB_UNITS } else { 0 };
            let bonus = (whole - kept) * rules.bonus / 1_000_000;
            let fee = (whole - kept - bonus) * rules.fee / 1_000_000;
            let rest = whole - kept - bonus - fee;
            put(format!("{} {kind}", block.finder), bonus);
            put("fee".to_owned(), fee + kept);
            let mut net: BTreeMap<&str, u128> = [(block.finder, bonus)].into();
            let weights = match block.pot {
                "@prop" => self.round(index),
                _ => self.weights(block, rules),
            };
            let total: u128 = weights.values().sum();
            if total == 0 {
                put("reserve".to_owned(), rest);
                block.outputs(kind, &net, &weights, &mut books);
                continue;
            }
            let mut left = rest;
            let listed = block.direct.as_ref();
            let listed = listed.filter(|_| rules.direct && block.pot.is_empty());
            let donations = listed.map_or(&block.donations, |direct| &direct.mark.donations);
            for (account, weight) in &weights {
                let (account, weight) = (*account, *weight);
                let part = rest * weight / total;
                let ppm = donations.get(account).copied().unwrap_or(0);
                let given = part * ppm / 1_000_000;
                put(format!("{account} {kind}"), part - given);
                put("donation".to_owned(), given);
                *net.entry(account).or_insert(0) += part - given;
                left -= part;
            }
            put("rounding".to_owned(), left);
            block.outputs(kind, &net, &weights, &mut books);
        }
        books.retain(|_, amount| *amount != 0);
        books
    }

    fn expect(&self, text: &mut String) {
        let books = self.books();
        if books.is_empty() {
            text.push_str("= nothing\n");
        }
        for (book, amount) in books {
            let sign = if amount < 0 { "-" } else { "" };
            let amount = amount.unsigned_abs();
            let (whole, part) = (amount / SUB_UNITS, amount % SUB_UNITS);
            writeln!(text, "= {book} {sign}{whole}.{part:09}").expect("text");
        }
    }
}

fn is_per_share(pot: &str) -> bool {
    matches!(pot, "@pps" | "@fpps")
}

fn rules(rng: &mut Rng) -> (Rules, String) {
    let rules = Rules {
        n: u128::from(rng.pick(&[1u64, 300_000, 1_000_000, 2_000_000, 5_000_000])),
        fee: u128::from(rng.pick(&[0u64, 1, 10_000, 333_333, 1_000_000])),
        bonus: u128::from(rng.pick(&[0u64, 0, 7, 50_000])),
        stale: u128::from(rng.pick(&[0u64, 333_333, 500_000, 1_000_000])),
        keep: rng.below(3) == 0,
        direct: rng.below(3) != 0,
    };
    // Who finds the block is not known when the list is made.
    let rules = Rules {
        bonus: if rules.direct { 0 } else { rules.bonus },
        ..rules
    };
    let keep = if rules.keep { "yes" } else { "no" };
    let Rules {
        n,
        fee,
        bonus,
        stale,
        ..
    } = rules;
    let direct = if rules.direct { " direct=5" } else { "" };
    let line = format!("policy n={n} fee={fee} bonus={bonus} stale={stale} keep={keep}{direct}\n");
    (rules, line)
}

/// A job's list, and how it is said.
fn direct(rng: &mut Rng, model: &Model, gateway: &mut Gateway) -> String {
    let (mark, said) = match rng.below(4) {
        0 => (model.marked(), "now"),
        1 | 2 => (model.mark.clone(), "mark"),
        _ => {
            gateway.direct = None;
            return " plain".to_owned();
        }
    };
    let mut outs: Vec<(&'static str, u128)> = Vec::new();
    for _ in 0..rng.below(5) {
        outs.push((rng.pick(&ADDRESSES), u128::from(rng.below(90))));
    }
    let words: Vec<String> = outs
        .iter()
        .map(|(place, amount)| format!("{place}:{amount}"))
        .collect();
    gateway.direct = Some(Direct { mark, outs });
    format!(" direct={said} pool=3 outs={}", words.join(","))
}

fn shares(rng: &mut Rng, blocks: &mut usize) -> (Vec<Said>, String) {
    let mut said = Vec::new();
    let mut words = Vec::new();
    for _ in 0..=rng.below(7) {
        let account = rng.pick(&ACCOUNTS);
        let pot = match rng.below(3) {
            0 => "",
            _ => rng.pick(&POTS),
        };
        let work = u128::from(1 + rng.below(60));
        let stale = rng.below(5) == 0;
        let finds = (rng.below(8) == 0).then(|| {
            *blocks += 1;
            format!("B{blocks}")
        });
        let mut word = account.to_owned();
        word.push_str(pot);
        write!(word, " {work}{}", if stale { " stale" } else { "" }).expect("text");
        if let Some(name) = &finds {
            write!(word, " finds {name}").expect("text");
        }
        words.push(word);
        said.push(Said {
            account,
            pot,
            work,
            stale,
            finds,
        });
    }
    (said, words.join(", "))
}

/// A random table, with the books that the model expects.
pub(crate) fn random(seed: u64) -> String {
    let rng = &mut Rng(seed);
    let mut model = Model::default();
    let (first, mut text) = rules(rng);
    model.rules = first;
    let mut blocks = 0;
    for step in 0..STEPS {
        let id = 1 + rng.below(3);
        let mut gateway = model.gateways.remove(&id).unwrap_or_default();
        let has_job = gateway.network_work != 0;
        let has_lost = !gateway.lost.is_empty();
        match rng.below(25) {
            0 => {
                let (rules, line) = rules(rng);
                model.rules = rules;
                text.push_str(&line);
            }
            20 => {
                model.mean = u128::from(rng.below(9));
                writeln!(text, "mean {}", model.mean).expect("text");
            }
            21 => {
                let account = rng.pick(&ACCOUNTS);
                let ppm = u128::from(rng.pick(&[0u64, 1, 15_000, 333_333, 1_000_000]));
                model.donations.insert(account, ppm);
                writeln!(text, "donates {account} {ppm}").expect("text");
            }
            22 => {
                let account = rng.pick(&ACCOUNTS);
                let place = rng.pick(&ADDRESSES);
                model.addresses.insert(account, place);
                writeln!(text, "lives {account} {place}").expect("text");
            }
            23 => {
                model.mark = model.marked();
                text.push_str("mark\n");
            }
            _ if has_lost && !gateway.has_moved => {
                let twice = if rng.below(2) == 0 { " twice" } else { "" };
                writeln!(text, "g{id} moves{twice}").expect("text");
                let said = gateway.lost.clone();
                model.count(&gateway, &said);
                gateway.has_moved = true;
            }
            1 if gateway.has_moved => writeln!(text, "g{id} moves").expect("text"),
            2 if has_job && !has_lost => {
                let (said, words) = shares(rng, &mut blocks);
                writeln!(text, "g{id} lost: {words}").expect("text");
                gateway.lost = said;
            }
            3 if has_job => writeln!(text, "g{id} restarts").expect("text"),
            4..=9 if !model.blocks.is_empty() => {
                let index = rng.below(model.blocks.len() as u64);
                let index = usize::try_from(index).expect("an index");
                let name = model.blocks[index].name.clone();
                let state = rng.pick(&STATES);
                let value = u128::from(rng.below(1_000));
                let fees = u128::from(rng.below(1_000)).min(value);
                writeln!(text, "{name} {state} {value} fees={fees}").expect("text");
                model.say(index, state, value, fees);
            }
            10..=18 if has_job => {
                let (said, words) = shares(rng, &mut blocks);
                writeln!(text, "g{id} frame: {words}").expect("text");
                model.count(&gateway, &said);
            }
            _ => {
                let is_void = rng.below(5) == 0;
                gateway.network_work = u128::from(1 + rng.below(300));
                gateway.rules = (!is_void).then_some(model.rules);
                let void = if is_void { " void" } else { "" };
                let fees = u128::from(rng.below(20));
                gateway.subsidy = u128::from(rng.pick(&[0u64, 1, 50, 77, 1_000]));
                let (network_work, pays) = (gateway.network_work, gateway.subsidy + fees);
                let how = direct(rng, &model, &mut gateway);
                let line = format!("g{id} job {network_work}{void} pays={pays} fees={fees}{how}");
                writeln!(text, "{line}").expect("text");
            }
        }
        model.gateways.insert(id, gateway);
        if step % 8 == 7 {
            model.expect(&mut text);
        }
    }
    // Every block comes to its end: mostly confirmed.
    for index in 0..model.blocks.len() {
        let name = model.blocks[index].name.clone();
        let state = rng.pick(&["confirmed", "confirmed", "orphaned"]);
        let value = u128::from(1 + rng.below(5_000_000_000));
        writeln!(text, "{name} {state} {value} fees=0").expect("text");
        model.say(index, state, value, 0);
    }
    model.expect(&mut text);
    text
}

#[test]
fn random_tables_come_to_the_books_of_the_plain_model() {
    let mut blocks = 0;
    for seed in 0..SEEDS {
        let text = random(seed);
        blocks += text.matches(" finds ").count();
        let outcome = std::panic::catch_unwind(|| table(&text));
        assert!(outcome.is_ok(), "seed {seed}:\n{text}");
    }
    assert!(200 < blocks, "{blocks} blocks are few");
}
