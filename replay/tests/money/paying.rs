//! What tables say of payouts. The wallet is 0 and the batch its newest where nothing else is said.
//!
//! - `batch fee=4 of=A,B txs=3: anna 29, ben 19 fee 5, carl 7 to X`: the paymaster proposes the wallet's next batch, said in
//!   parts before: lines with the fee that they bear and another address than the account's, blocks that it pays of; one
//!   transaction if nothing is said. `wallet=1 number=7 total=50 late`: of another wallet, with another number, another
//!   total, another `expects`. `lost` leaves out the last part.
//! - `approve 0`: the desk approves the newest batch of a wallet; `approve next fee=4: …` one that is not said yet.
//! - `tx 0 signed`, `tx 0 signed again` (another version), `tx 0 broadcast`, `tx 1 confirmed fee=3`, `tx 2 cancelled`: what the
//!   paymaster says of a transaction. `by=X fee=2`: the transaction that conflicts. `version=0`: another version than the
//!   newest. `spends=other`, `bytes=other`, `parts`: what a version spends, raw bytes that are not its own, raw bytes said in
//!   parts. `wallet=1 batch=0 late`: of others, with another `expects`.
//! - `halts 0`, `resumes 0`, `resumes 0 waits`, `resumes 0 late`: what the desk says of a wallet; `approved` as elsewhere.

use orebook_replay::folds::money::payouts::{TxRow, WalletRow, batch, tx, wallet};
use orebook_replay::folds::money::settings::settings;
use orebook_replay::store::Store as _;
use orebook_schema::account::{Registration, SetBy, Setting, SettingValue};
use orebook_schema::desk::Reason;
use orebook_schema::names::{RegisteredName, Script};
use orebook_schema::payout::{
    Answerer, BatchBody, BatchLine, DigestAnswer, PayoutCancelled, PayoutHalt, PayoutProposed,
    PayoutResume, PayoutSigned, PayoutStep, Spends, Step, cut_into_parts,
};
use orebook_schema::policy::{NetworkFees, Policy};
use orebook_schema::{Account, At, Event, Hash};

use crate::later::milliseconds;
use crate::pool::{desk_approves, hash, named, policy_of_all};
use crate::table::{Table, owner, rules_of};

/// First words of the statements of this file.
pub(crate) const SUBJECTS: [&str; 8] = [
    "lives",
    "threshold",
    "wants",
    "batch",
    "approve",
    "tx",
    "halts",
    "resumes",
];

/// An `expects` that is nobody's last event.
const WRONG: At = At {
    position: 1,
    index: 7,
};

/// What the tables remember of payouts.
#[derive(Default)]
pub(crate) struct Paying {
    /// A count: raw bytes of versions differ by it.
    versions: u32,
    /// Who has an address already.
    registered: Vec<String>,
}

/// Whether a word of a `policy` line is not about pots.
pub(crate) fn is_rule(word: &str) -> bool {
    [
        "threshold=",
        "limit=",
        "bears=",
        "hold=",
        "writeoff=",
        "rounding=",
    ]
    .iter()
    .any(|key| word.starts_with(key))
}

/// The policy of a `policy` line.
pub(crate) fn policy(words: &str) -> Policy {
    let mut policy = policy_of_all(rules_of(words));
    policy.auto_pay_limit = u128::MAX;
    for (key, value) in words
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
    {
        match key {
            "threshold" => policy.threshold = value.parse().expect("base units"),
            "limit" => policy.auto_pay_limit = value.parse().expect("base units"),
            "hold" => policy.address_hold_ms = milliseconds(value),
            "bears" if value == "miner" => policy.network_fees = NetworkFees::Miner,
            "writeoff" => policy.writeoff_ms = milliseconds(value),
            "rounding" => policy.rounding_to_fee = value == "fee",
            _ => {}
        }
    }
    policy
}

/// The address of a name.
pub(crate) fn address(name: &str) -> Account {
    Account::Script(Script::new(format!("script of {name}").as_bytes()).expect("a script"))
}

fn said<'w>(words: &[&'w str], key: &str) -> Option<&'w str> {
    words.iter().find_map(|word| word.strip_prefix(key))
}

fn number<N: std::str::FromStr>(words: &[&str], key: &str) -> Option<N> {
    said(words, key).map(|text| text.parse().unwrap_or_else(|_| panic!("{key}{text}")))
}

pub(crate) fn say(table: &mut Table, subject: &str, rest: &str) {
    match subject {
        "lives" => lives(table, rest),
        "threshold" | "wants" => sets(table, subject, rest),
        "batch" => {
            let (events, _) = proposal(table, rest);
            for event in events {
                table.pool.paymaster_says(&[event]);
            }
        }
        "approve" => approve(table, rest),
        "tx" => moves(table, rest),
        "halts" => halts(table, rest),
        "resumes" => resumes(table, rest),
        other => panic!("no {other}"),
    }
}

fn lives(table: &mut Table, rest: &str) {
    let (name, place) = rest.split_once(' ').expect("a name and its address");
    let mut registered = table.paying.registered.iter();
    if matches!(owner(name), Account::Script(_)) || registered.any(|known| known == name) {
        set(table, name, SettingValue::Address(address(place)));
        return;
    }
    table.paying.registered.push(name.to_owned());
    let event = Event::Account(Box::new(Registration {
        name: RegisteredName::parse(name).expect("a name"),
        expects: At::default(),
        payout: address(place),
        threshold: 0,
        token: None,
        registered_only: false,
        workers: Vec::new(),
    }));
    table.pool.desk_says(&[event]);
}

fn sets(table: &mut Table, subject: &str, rest: &str) {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let value = match subject {
        "threshold" => SettingValue::Threshold(words[1].parse().expect("base units")),
        _ => SettingValue::PayNow,
    };
    set(table, words[0], value);
}

fn set(table: &mut Table, name: &str, value: SettingValue) {
    let account = owner(name);
    let authority = table.pool.state.authority().expect("genesis");
    let event = Event::Setting(Box::new(Setting {
        expects: authority.last_setting(&account),
        account,
        by: SetBy::Operator,
        value,
        proof: Vec::new(),
    }));
    table.pool.desk_says(&[event]);
}

pub(crate) fn wallet_row(table: &mut Table, number: u16) -> WalletRow {
    let view = table.rows().view().expect("a view");
    wallet(view.as_ref(), number).expect("rows")
}

/// Parts and proposal of a `batch` line; and the body.
pub(crate) fn proposal(table: &mut Table, text: &str) -> (Vec<Event>, BatchBody) {
    let (head, lines) = text.split_once(':').expect("lines");
    let head: Vec<&str> = head.split_whitespace().collect();
    let wallet = number(&head, "wallet=").unwrap_or(0);
    let next = wallet_row(table, wallet).batches;
    let now = table.pool.clock;
    let mut blocks: Vec<Hash> = said(&head, "of=").map_or_else(Vec::new, |names| {
        let names = names.split(',');
        names.map(|name| table.hash_of(name)).collect()
    });
    blocks.sort();
    let view = table.rows().view().expect("a view");
    let mut body = BatchBody {
        lines: lines
            .split(',')
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let after = |key| {
                    let at = words.iter().position(|word| *word == key);
                    at.map(|at| words[at + 1])
                };
                let account = named(words[0]);
                let terms = settings(view.as_ref(), &account).expect("rows");
                let in_force = terms.address_at(now).cloned();
                BatchLine {
                    account,
                    address: match after("to") {
                        Some(place) => address(place),
                        None => in_force.unwrap_or_else(|| address("nobody")),
                    },
                    amount: words[1].parse().expect("base units"),
                    fee: after("fee").map_or(0, |fee| fee.parse().expect("base units")),
                }
            })
            .collect(),
        blocks,
    };
    drop(view);
    body.lines.sort_by(|a, b| a.account.cmp(&b.account));
    let bytes = body.to_bytes();
    let total: u128 = body.lines.iter().map(|line| line.amount).sum();
    let parts = cut_into_parts(&bytes).expect("parts");
    let mut events: Vec<Event> = parts.into_iter().map(Event::Part).collect();
    if head.contains(&"lost") {
        events.pop();
    }
    events.push(Event::PayoutProposed(Box::new(PayoutProposed {
        wallet,
        batch: number(&head, "number=").unwrap_or(next),
        expects: if head.contains(&"late") {
            WRONG
        } else {
            At::default()
        },
        txs: number(&head, "txs=").unwrap_or(1),
        lines: u16::try_from(body.lines.len()).expect("lines"),
        total: number(&head, "total=").unwrap_or(total),
        fee: number(&head, "fee=").unwrap_or(0),
        body: Hash::of(&[&bytes]),
        digest_position: 1,
        digests: vec![DigestAnswer {
            who: Answerer::parse("projector").expect("a name"),
            digest: hash(1),
        }],
    })));
    (events, body)
}

fn approve(table: &mut Table, rest: &str) {
    let thing = match rest.strip_prefix("next ") {
        Some(text) => proposal(table, text).0.pop().expect("a proposal"),
        None => {
            let wallet = rest.parse().expect("a wallet");
            let newest = wallet_row(table, wallet).batches - 1;
            let view = table.rows().view().expect("a view");
            let row = batch(view.as_ref(), wallet, newest).expect("rows");
            let at = row.expect("a batch").at;
            drop(view);
            table.pool.event_at(at)
        }
    };
    table.pool.desk_says(&[desk_approves(&thing)]);
}

fn moves(table: &mut Table, rest: &str) {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let wallet: u16 = number(&words, "wallet=").unwrap_or(0);
    let newest = wallet_row(table, wallet).batches.saturating_sub(1);
    let batch: u64 = number(&words, "batch=").unwrap_or(newest);
    let number_of_tx: u16 = words[0].parse().expect("a transaction");
    let view = table.rows().view().expect("a view");
    let row = tx(view.as_ref(), wallet, batch, number_of_tx).expect("rows");
    drop(view);
    let row = row.unwrap_or_else(|| TxRow::new(wallet, batch, number_of_tx));
    let expects = if words.contains(&"late") {
        WRONG
    } else {
        row.last
    };
    let version = number(&words, "version=").unwrap_or(row.txids.len().saturating_sub(1));
    let fee = number(&words, "fee=").unwrap_or(0);
    let ids = (wallet, batch, number_of_tx);
    let mut event = words.iter().skip(1).filter(|word| !word.contains('='));
    let event = match *event.next().expect("an event") {
        "signed" => {
            for event in signed(table, ids, expects, fee, &words) {
                table.pool.paymaster_says(&[event]);
            }
            return;
        }
        "cancelled" => Event::PayoutCancelled(Box::new(PayoutCancelled {
            wallet,
            batch,
            tx: number_of_tx,
            expects,
            by: match said(&words, "by=") {
                Some("itself") => row.txids.last().copied(),
                by => by.map(|name| Hash::of(&[name.as_bytes()])),
            },
            height: said(&words, "by=").map_or(0, |_| 9),
            fee,
            reason: reason(),
        })),
        name => {
            let step = Step::ALL.into_iter().find(|known| known.name() == name);
            let step = step.unwrap_or_else(|| panic!("no step {rest}"));
            Event::PayoutStep(Box::new(PayoutStep {
                wallet,
                batch,
                tx: number_of_tx,
                expects,
                step,
                txid: row.txids.get(version).copied().unwrap_or(hash(77)),
                height: if step.is_in_a_block() { 9 } else { 0 },
                block: step.is_in_a_block().then_some(hash(9)),
                fee,
            }))
        }
    };
    table.pool.paymaster_says(&[event]);
}

fn signed(
    table: &mut Table,
    (wallet, batch, tx): (u16, u64, u16),
    expects: At,
    fee: u128,
    words: &[&str],
) -> Vec<Event> {
    table.paying.versions += 1;
    let raw = format!("{wallet} {batch} {tx} version {}", table.paying.versions).into_bytes();
    let txid = match said(words, "txid=") {
        Some(name) => Hash::of(&[name.as_bytes()]),
        None => Hash::of(&[b"txid of ", &raw]),
    };
    let spent = if words.contains(&"spends=other") {
        99
    } else {
        u32::from(tx)
    };
    let mut events = Vec::new();
    let in_parts = words.contains(&"parts");
    if in_parts {
        let parts = cut_into_parts(&raw).expect("parts");
        events.extend(parts.into_iter().map(Event::Part));
    }
    let body = if words.contains(&"bytes=other") {
        hash(5)
    } else {
        Hash::of(&[&raw])
    };
    events.push(Event::PayoutSigned(Box::new(PayoutSigned {
        wallet,
        batch,
        tx,
        expects,
        txid,
        fee,
        spends: Spends::outpoint(hash(3), spent),
        body,
        raw: if in_parts { Vec::new() } else { raw },
    })));
    events
}

fn reason() -> Reason {
    Reason::parse("for a test").expect("a reason")
}

fn halts(table: &mut Table, rest: &str) {
    let event = Event::PayoutHalt(Box::new(PayoutHalt {
        wallet: rest.parse().expect("a wallet"),
        reason: reason(),
    }));
    table.pool.desk_says(&[event]);
}

fn resumes(table: &mut Table, rest: &str) {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let wallet: u16 = words[0].parse().expect("a wallet");
    let last = wallet_row(table, wallet).last;
    let thing = Event::PayoutResume(Box::new(PayoutResume {
        wallet,
        expects: if words.contains(&"late") { WRONG } else { last },
        reason: reason(),
    }));
    if words.contains(&"waits") {
        table.pool.desk_says(std::slice::from_ref(&thing));
        table.waiting = Some(thing);
    } else {
        table
            .pool
            .desk_says(&[thing.clone(), desk_approves(&thing)]);
    }
}
