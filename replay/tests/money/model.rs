//! Random tables against a plain model: every share is an entry of one list, a window is walked entry by entry, and the books
//! are added up from the blocks' last states. What the fold does with summaries, rows and differences must come to the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::table::table;

const SEEDS: u64 = 60;
const STEPS: usize = 40;
const SUB_UNITS: u128 = 1_000_000_000;
const ACCOUNTS: [&str; 5] = ["anna", "ben", "carl", "dora", "emil"];
const STATES: [&str; 4] = ["seen", "immature", "confirmed", "orphaned"];

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
}

#[derive(Clone)]
struct Entry {
    account: &'static str,
    solo: bool,
    credit: u128,
}

/// A share as said; what it is credited depends on the job that it counts under.
#[derive(Clone)]
struct Said {
    account: &'static str,
    solo: bool,
    work: u128,
    stale: bool,
    finds: Option<String>,
}

struct Block {
    name: String,
    /// Entries up to and including the finding share.
    entries: usize,
    finder: &'static str,
    solo: bool,
    network_work: u128,
    rules: Option<Rules>,
    /// Whose book has the accounts' parts, if anything is posted; value and fees of the last status.
    held: Option<&'static str>,
    value: u128,
    fees: u128,
}

impl Block {
    fn say(&mut self, state: &str, value: u128, fees: u128) {
        (self.value, self.fees) = (value, fees);
        self.held = match (state, self.held) {
            ("orphaned", _) => None,
            ("confirmed", _) => Some("available"),
            ("immature", None) => Some("immature"),
            (_, held) => held,
        };
    }
}

#[derive(Clone, Default)]
struct Gateway {
    network_work: u128,
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
}

impl Model {
    fn count(&mut self, gateway: &Gateway, said: &[Said]) {
        for share in said {
            let credit = match gateway.rules {
                None => 0,
                Some(rules) if share.stale => share.work * rules.stale / 1_000_000,
                Some(_) => share.work,
            };
            self.entries.push(Entry {
                account: share.account,
                solo: share.solo,
                credit,
            });
            if let Some(name) = &share.finds {
                self.blocks.push(Block {
                    name: name.clone(),
                    entries: self.entries.len(),
                    finder: share.account,
                    solo: share.solo,
                    network_work: gateway.network_work,
                    rules: gateway.rules,
                    held: None,
                    value: 0,
                    fees: 0,
                });
            }
        }
    }

    fn weights(&self, block: &Block, rules: Rules) -> BTreeMap<&'static str, u128> {
        let mut weights = BTreeMap::new();
        if block.solo {
            return [(block.finder, 1)].into();
        }
        let mut left = (rules.n * block.network_work / 1_000_000).max(1);
        for entry in self.entries[..block.entries].iter().rev() {
            let taken = entry.credit.min(left);
            if !entry.solo && 0 < taken {
                *weights.entry(entry.account).or_insert(0) += taken;
                left -= taken;
            }
        }
        weights
    }

    /// Every book that is not zero, from the blocks' last states alone.
    fn books(&self) -> BTreeMap<String, u128> {
        let mut books: BTreeMap<String, u128> = BTreeMap::new();
        for block in &self.blocks {
            let Some(kind) = block.held else { continue };
            let (value, fees) = (block.value, block.fees);
            let mut put = |book: String, amount| *books.entry(book).or_insert(0) += amount;
            let whole = value * SUB_UNITS;
            let Some(rules) = block.rules else {
                put("reserve".to_owned(), whole);
                continue;
            };
            let kept = if rules.keep { fees * SUB_UNITS } else { 0 };
            let bonus = (whole - kept) * rules.bonus / 1_000_000;
            let fee = (whole - kept - bonus) * rules.fee / 1_000_000;
            let rest = whole - kept - bonus - fee;
            put(format!("{} {kind}", block.finder), bonus);
            put("fee".to_owned(), fee + kept);
            let weights = self.weights(block, rules);
            let total: u128 = weights.values().sum();
            if total == 0 {
                put("reserve".to_owned(), rest);
                continue;
            }
            let mut left = rest;
            for (account, weight) in weights {
                let part = rest * weight / total;
                put(format!("{account} {kind}"), part);
                left -= part;
            }
            put("rounding".to_owned(), left);
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
            let (whole, part) = (amount / SUB_UNITS, amount % SUB_UNITS);
            writeln!(text, "= {book} {whole}.{part:09}").expect("text");
        }
    }
}

fn rules(rng: &mut Rng) -> (Rules, String) {
    let rules = Rules {
        n: u128::from(rng.pick(&[1u64, 300_000, 1_000_000, 2_000_000, 5_000_000])),
        fee: u128::from(rng.pick(&[0u64, 1, 10_000, 333_333, 1_000_000])),
        bonus: u128::from(rng.pick(&[0u64, 0, 7, 50_000])),
        stale: u128::from(rng.pick(&[0u64, 333_333, 500_000, 1_000_000])),
        keep: rng.below(3) == 0,
    };
    let keep = if rules.keep { "yes" } else { "no" };
    let Rules {
        n,
        fee,
        bonus,
        stale,
        ..
    } = rules;
    let line = format!("policy n={n} fee={fee} bonus={bonus} stale={stale} keep={keep}\n");
    (rules, line)
}

fn shares(rng: &mut Rng, blocks: &mut usize) -> (Vec<Said>, String) {
    let mut said = Vec::new();
    let mut words = Vec::new();
    for _ in 0..=rng.below(7) {
        let account = rng.pick(&ACCOUNTS);
        let solo = rng.below(6) == 0;
        let work = u128::from(1 + rng.below(60));
        let stale = rng.below(5) == 0;
        let finds = (rng.below(8) == 0).then(|| {
            *blocks += 1;
            format!("B{blocks}")
        });
        let mut word = account.to_owned();
        word.push_str(if solo { "@solo" } else { "" });
        write!(word, " {work}{}", if stale { " stale" } else { "" }).expect("text");
        if let Some(name) = &finds {
            write!(word, " finds {name}").expect("text");
        }
        words.push(word);
        said.push(Said {
            account,
            solo,
            work,
            stale,
            finds,
        });
    }
    (said, words.join(", "))
}

/// A random table, with the books that the model expects.
fn random(seed: u64) -> String {
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
        match rng.below(20) {
            0 => {
                let (rules, line) = rules(rng);
                model.rules = rules;
                text.push_str(&line);
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
                let block = &mut model.blocks[usize::try_from(index).expect("an index")];
                let state = rng.pick(&STATES);
                let value = u128::from(rng.below(1_000));
                let fees = u128::from(rng.below(1_000)).min(value);
                writeln!(text, "{} {state} {value} fees={fees}", block.name).expect("text");
                block.say(state, value, fees);
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
                writeln!(text, "g{id} job {}{void}", gateway.network_work).expect("text");
            }
        }
        model.gateways.insert(id, gateway);
        if step % 8 == 7 {
            model.expect(&mut text);
        }
    }
    // Every block comes to its end: mostly confirmed.
    for block in &mut model.blocks {
        let state = rng.pick(&["confirmed", "confirmed", "orphaned"]);
        let value = u128::from(1 + rng.below(5_000_000_000));
        writeln!(text, "{} {state} {value} fees=0", block.name).expect("text");
        block.say(state, value, 0);
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
