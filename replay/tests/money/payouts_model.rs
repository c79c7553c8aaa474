//! Random payouts against a plain model, which has no postings: what each account has follows from the fates of its lines
//! alone. Whatever is proposed, approved, signed, lost, halted and reorganised, the books must be those.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::payouts::{EVENTS, LETTERS};
use crate::table::table;

const SEEDS: u64 = 20;
const STEPS: usize = 120;
/// Dora finds the blocks.
const ACCOUNTS: [&str; 4] = ["anna", "ben", "carl", "dora"];
const BLOCKS: [&str; 4] = ["B1", "B2", "B3", "B4"];
/// What a block pays.
const VALUE: i64 = 30;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let n = u64::try_from(n.max(1)).expect("small");
        usize::try_from((z ^ (z >> 31)) % n).expect("small")
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn amount(&mut self, below: usize) -> i64 {
        i64::try_from(self.below(below)).expect("small")
    }
}

struct Line {
    account: &'static str,
    amount: i64,
    fee: i64,
    tx: usize,
}

struct Tx {
    /// One of [`LETTERS`].
    state: char,
    sent: bool,
    fee: i64,
    is_signed: bool,
}

struct Batch {
    lines: Vec<Line>,
    txs: Vec<Tx>,
    cites: Vec<&'static str>,
    is_approved: bool,
}

#[derive(Default)]
struct Wallet {
    batches: Vec<Batch>,
    is_halted: bool,
}

impl Wallet {
    fn is_free(&self) -> bool {
        let mut txs = self.batches.iter().flat_map(|batch| &batch.txs);
        txs.all(|tx| "CFDK".contains(tx.state))
    }
}

#[derive(Default)]
struct Model {
    miner_bears: bool,
    limit: i64,
    given: BTreeMap<&'static str, i64>,
    /// Found blocks, and whether they are confirmed.
    blocks: BTreeMap<&'static str, bool>,
    wallets: [Wallet; 2],
    text: String,
}

impl Model {
    fn say(&mut self, line: &str) {
        writeln!(self.text, "{line}").expect("text");
    }

    fn lines(&self) -> impl Iterator<Item = (&Line, &Tx)> {
        let batches = self.wallets.iter().flat_map(|wallet| &wallet.batches);
        batches.flat_map(|batch| batch.lines.iter().map(|line| (line, &batch.txs[line.tx])))
    }

    fn available(&self, account: &str) -> i64 {
        let confirmed = self.blocks.values().filter(|confirmed| **confirmed).count();
        let mined = if account == "dora" {
            VALUE * i64::try_from(confirmed).expect("few")
        } else {
            0
        };
        let kept = |tx: &Tx| !"DK".contains(tx.state);
        let lines = self
            .lines()
            .filter(|(line, tx)| line.account == account && kept(tx));
        let taken: i64 = lines.map(|(line, _)| line.amount).sum();
        self.given.get(account).copied().unwrap_or(0) + mined - taken
    }

    /// All books that are not zero, as a table says them.
    fn check(&mut self) {
        let mut books: Vec<(String, i64)> = Vec::new();
        let (mut brought, mut taken) = (0, 0);
        for account in ACCOUNTS {
            let held = self.lines().filter(|(line, tx)| {
                line.account == account && !tx.sent && !"DK".contains(tx.state)
            });
            let held: i64 = held.map(|(line, _)| line.amount).sum();
            let sent = self
                .lines()
                .filter(|(line, tx)| line.account == account && tx.sent);
            let sent: Vec<(i64, i64)> = sent
                .map(|(line, _)| (line.amount - line.fee, line.fee))
                .collect();
            brought += sent.iter().map(|(_, fee)| fee).sum::<i64>();
            books.push((format!("{account} available"), self.available(account)));
            books.push((format!("{account} reserved"), held));
            books.push((
                format!("{account} paid"),
                sent.iter().map(|(paid, _)| paid).sum(),
            ));
        }
        let batches = self.wallets.iter().flat_map(|wallet| &wallet.batches);
        taken += batches
            .flat_map(|batch| &batch.txs)
            .map(|tx| tx.fee)
            .sum::<i64>();
        books.push(("network_fees".to_owned(), brought - taken));
        books.push(("wallet".to_owned(), taken));
        books.push(("donation".to_owned(), -self.given.values().sum::<i64>()));
        books.retain(|(_, figure)| *figure != 0);
        if books.is_empty() {
            self.say("= nothing");
        }
        for (book, figure) in books {
            self.say(&format!("= {book} {figure}"));
        }
    }

    fn adjust(&mut self, rng: &mut Rng) {
        let account = ACCOUNTS[rng.below(ACCOUNTS.len())];
        let amount = 1 + rng.amount(20);
        let (sign, change) = if rng.one_in(6) {
            ('-', -amount)
        } else {
            ('+', amount)
        };
        *self.given.entry(account).or_default() += change;
        self.say(&format!("adjust {account} {sign}{amount} donation"));
    }

    fn block(&mut self, rng: &mut Rng) {
        let name = BLOCKS[rng.below(BLOCKS.len())];
        match self.blocks.get(name).copied() {
            None => {
                self.say(&format!("g1 frame: dora 100 finds {name}"));
                self.blocks.insert(name, false);
            }
            Some(false) => {
                self.say(&format!("{name} confirmed {VALUE}"));
                self.blocks.insert(name, true);
            }
            Some(true) if rng.one_in(2) => {
                self.say(&format!("{name} orphaned {VALUE}"));
                self.blocks.insert(name, false);
                let batches = self
                    .wallets
                    .iter_mut()
                    .flat_map(|wallet| &mut wallet.batches);
                for batch in batches.filter(|batch| batch.cites.contains(&name)) {
                    for tx in batch.txs.iter_mut().filter(|tx| tx.state == 'U') {
                        tx.state = 'K';
                    }
                }
            }
            Some(true) => {}
        }
    }

    fn propose(&mut self, rng: &mut Rng) {
        let number = rng.below(2);
        let mut lines = Vec::new();
        for account in ACCOUNTS {
            let has = self.available(account);
            if rng.one_in(2) && (0 < has || rng.one_in(8)) {
                let most = usize::try_from(has.max(1)).expect("small");
                let amount = 1 + rng.amount(most) + i64::from(rng.one_in(12)) * has.max(0);
                lines.push((account, amount));
            }
        }
        if lines.is_empty() {
            return;
        }
        let count = lines.len();
        let fee = rng.amount(7);
        let share = if self.miner_bears {
            fee / i64::try_from(count).expect("few")
        } else {
            0
        };
        lines.retain(|(_, amount)| share < *amount);
        if lines.len() != count {
            return;
        }
        let txs = if rng.one_in(2) { 1 } else { count };
        let cites: Vec<&'static str> = BLOCKS
            .into_iter()
            .filter(|name| {
                let is_confirmed = self.blocks.get(name) == Some(&true);
                rng.one_in(if is_confirmed { 2 } else { 24 })
            })
            .collect();
        let faults = ["lost", "late", "number=9", "txs=7"];
        let fault = match rng.below(12) {
            0..=3 => format!(" {}", faults[rng.below(4)]),
            _ => String::new(),
        };
        let total: i64 = lines.iter().map(|(_, amount)| amount).sum();
        let mut text = format!("batch wallet={number} fee={fee} txs={txs}");
        if fault == " txs=7" {
            text = text.replace(&format!(" txs={txs}"), "");
        }
        if !cites.is_empty() {
            write!(text, " of={}", cites.join(",")).expect("text");
        }
        let said: Vec<String> = lines
            .iter()
            .map(|(account, amount)| format!("{account} {amount} fee {share}"))
            .collect();
        self.say(&format!("{text}{fault}: {}", said.join(", ")));
        let wallet = &self.wallets[number];
        let is_obeyed = fault.is_empty()
            && !wallet.is_halted
            && wallet.is_free()
            && lines
                .iter()
                .all(|(account, amount)| *amount <= self.available(account))
            && cites
                .iter()
                .all(|name| self.blocks.get(name) == Some(&true));
        if !is_obeyed {
            return;
        }
        let line = |(index, (account, amount)): (usize, &(&'static str, i64))| Line {
            account,
            amount: *amount,
            fee: share,
            tx: if txs == 1 { 0 } else { index },
        };
        let tx = |_| Tx {
            state: 'U',
            sent: false,
            fee: 0,
            is_signed: false,
        };
        self.wallets[number].batches.push(Batch {
            lines: lines.iter().enumerate().map(line).collect(),
            txs: (0..txs).map(tx).collect(),
            cites,
            is_approved: total <= self.limit,
        });
    }

    fn approve(&mut self, rng: &mut Rng) {
        let number = rng.below(2);
        if let Some(batch) = self.wallets[number].batches.last_mut() {
            batch.is_approved = true;
            self.say(&format!("approve {number}"));
        }
    }

    /// Something is said of one of a wallet's last two batches: mostly what may follow, and often that it is confirmed.
    fn step(&mut self, rng: &mut Rng) {
        let number = rng.below(2);
        let count = self.wallets[number].batches.len();
        if count == 0 {
            return;
        }
        let batch = count - 1 - rng.below(count.min(2));
        let tx = rng.below(self.wallets[number].batches[batch].txs.len());
        let state = self.wallets[number].batches[batch].txs[tx].state;
        let follows: Vec<_> = EVENTS
            .into_iter()
            .filter(|(_, from)| from.contains(state))
            .collect();
        let (text, from) = match rng.below(8) {
            0 | 1 => EVENTS[rng.below(EVENTS.len())],
            2..=4 if "SBENX".contains(state) => EVENTS[3],
            5 if state == 'U' => EVENTS[0],
            _ if follows.is_empty() => return,
            _ => follows[rng.below(follows.len())],
        };
        let fee = rng.amount(5);
        let late = if rng.one_in(10) { " late" } else { "" };
        let text = text
            .replace("tx 0", &format!("tx {tx}"))
            .replace("fee=1", &format!("fee={fee}"));
        self.say(&format!("{text} wallet={number} batch={batch}{late}"));
        let is_halted = self.wallets[number].is_halted;
        let batch = &mut self.wallets[number].batches[batch];
        let is_approved = batch.is_approved;
        let tx = &mut batch.txs[tx];
        let signs = text.contains("signed");
        if !late.is_empty()
            || !from.contains(tx.state)
            || signs && (is_halted || !tx.is_signed && !is_approved)
        {
            return;
        }
        let to = LETTERS.chars().zip([
            "",
            "signed",
            "broadcast",
            "seen",
            "confirmed",
            "final",
            "conflicted",
            "failed",
            "unknown",
            "cancelled",
        ]);
        let (letter, _) = to
            .skip(1)
            .find(|(_, name)| text.contains(name))
            .expect("a state");
        tx.state = letter;
        tx.is_signed |= signs;
        match letter {
            'C' => tx.sent = true,
            'D' | 'K' => tx.sent = false,
            _ => {}
        }
        if text.contains("fee=") {
            tx.fee = fee;
        } else if letter == 'K' {
            tx.fee = 0;
        }
    }

    fn halt(&mut self, rng: &mut Rng) {
        let number = rng.below(2);
        if self.wallets[number].is_halted {
            let late = rng.one_in(4);
            self.say(&format!(
                "resumes {number}{}",
                if late { " late" } else { "" }
            ));
            self.wallets[number].is_halted = late;
        } else {
            self.say(&format!("halts {number}"));
            self.wallets[number].is_halted = true;
        }
    }

    /// Every transaction comes to an end.
    fn end(&mut self) {
        for number in 0..2 {
            for batch in 0..self.wallets[number].batches.len() {
                for tx in 0..self.wallets[number].batches[batch].txs.len() {
                    let row = &mut self.wallets[number].batches[batch].txs[tx];
                    let by = match row.state {
                        'U' => "",
                        'F' | 'D' | 'K' => continue,
                        _ => "by=X ",
                    };
                    (row.state, row.sent, row.fee) = ('K', false, 0);
                    self.say(&format!(
                        "tx {tx} cancelled {by}wallet={number} batch={batch}"
                    ));
                }
            }
        }
    }
}

fn random(seed: u64) -> String {
    let rng = &mut Rng(seed);
    let mut model = Model {
        miner_bears: rng.one_in(2),
        limit: 10 * rng.amount(5),
        ..Model::default()
    };
    let bears = if model.miner_bears { "miner" } else { "pool" };
    let limit = model.limit;
    model.say(&format!("policy limit={limit} bears={bears}"));
    model.say("g1 job 100 pays=30 fees=0");
    for account in ACCOUNTS {
        model.say(&format!("lives {account} {account}s"));
        model.given.insert(account, 90);
        model.say(&format!("adjust {account} +90 donation"));
    }
    for step in 0..STEPS {
        match rng.below(16) {
            0 | 1 => model.adjust(rng),
            2 => model.block(rng),
            3..=5 => model.propose(rng),
            6 => model.approve(rng),
            7 if rng.one_in(2) => model.halt(rng),
            _ => model.step(rng),
        }
        if step % 20 == 19 {
            model.check();
        }
    }
    // Nothing is reserved after this, since no line is held.
    model.end();
    model.check();
    model.text
}

#[test]
fn whatever_happens_the_books_are_what_the_fates_of_lines_say() {
    let mut batches = 0;
    for seed in 0..SEEDS {
        let text = random(seed);
        println!("seed {seed}\n{text}");
        let mut table = table(&text);
        for wallet in 0..2 {
            let row = crate::paying::wallet_row(&mut table, wallet);
            assert_eq!(row.open, 0, "all is at an end");
            batches += row.batches;
        }
    }
    assert!(
        SEEDS * 2 < batches,
        "{batches} batches: proposals are obeyed"
    );
}
