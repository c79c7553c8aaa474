//! The list of a coinbase's outputs (money rules, 11.6 to 11.8): a function of the ledger's first positions and of what the block
//! would pay. Gateways ask for it, auditors compute it again; no posting asks it.

use orebook_schema::coinbase::{MinerOutput, miner_outputs};
use orebook_schema::names::{Pot, Script};
use orebook_schema::policy::PotRules;
use orebook_schema::work::Job;
use orebook_schema::{Account, Policy};

use crate::fold::{Backwards, FoldStop};
use crate::folds::money::books::{Book, balance_of};
use crate::folds::money::payouts::is_due;
use crate::folds::money::settings::{donation_at, settings};
use crate::folds::money::split::{SUB_UNITS, donation, split, window_work};
use crate::folds::money::window::weights_below;
use crate::rows::{StoreFault, View};

use super::{end, owners, pays, waits};

/// Bytes of an output beside its script: amount, and the script's length.
const OUTPUT_HEAD_BYTES: u64 = 9;
/// What a signature operation of an output costs.
const SIGOP_COST: u64 = 4;
/// Operations that a script of an unknown form is taken to have.
const SIGOPS_UNKNOWN: u64 = 20;

/// A coinbase that somebody wants to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coinbase {
    /// Positions that the rows stand for: all of them count.
    pub size: u64,
    /// Ledger time of the last of them.
    pub ledger_time: u64,
    /// The pot.
    pub pot: Pot,
    /// Network work of the job, at least 1.
    pub network_work: u128,
    /// What the block would pay, base units, fees included.
    pub value: u64,
    /// Transaction fees therein, at most `value`.
    pub fees: u64,
    /// What it has room for.
    pub room: Room,
}

/// What a coinbase has room for besides the pool's own outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of outputs.
    pub bytes: u64,
    /// Cost of their signature operations.
    pub sigops: u64,
    /// Outputs, whatever the policy allows besides.
    pub outputs: usize,
}

/// An output of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Who is paid.
    pub account: Account,
    /// Where.
    pub script: Script,
    /// Base units.
    pub amount: u64,
}

/// What a coinbase pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Accounts' outputs, the largest wish first.
    pub outputs: Vec<Listed>,
    /// What is left for the pool's own output, base units.
    pub rest: u64,
}

/// An account that may be listed.
struct Candidate {
    account: Account,
    script: Script,
    wants: u64,
}

/// The list; none if the pot does not pay by the coinbase under this policy.
///
/// # Errors
/// [`FoldStop`].
pub fn list(
    view: &dyn View,
    ledger: &dyn Backwards,
    policy: &Policy,
    coinbase: &Coinbase,
) -> Result<Option<List>, FoldStop> {
    let Some(rules) = policy.pot(coinbase.pot).filter(|rules| pays(**rules)) else {
        return Ok(None);
    };
    let mut candidates = candidates(view, ledger, policy, rules, coinbase)?;
    candidates.sort_by(|a, b| {
        b.wants
            .cmp(&a.wants)
            .then_with(|| a.account.cmp(&b.account))
    });
    let outputs_max = usize::from(rules.direct_outputs).min(coinbase.room.outputs);
    let (mut rest, mut room) = (coinbase.value, coinbase.room);
    let mut outputs = Vec::new();
    for candidate in candidates.into_iter().take(outputs_max) {
        let amount = candidate.wants.min(rest);
        let has_room = room.take(&candidate.script);
        if amount < rules.direct_min || !has_room {
            break;
        }
        rest -= amount;
        outputs.push(Listed {
            account: candidate.account,
            script: candidate.script,
            amount,
        });
    }
    Ok(Some(List { outputs, rest }))
}

/// Everybody with a weight and an address that is a script, who wants enough.
fn candidates(
    view: &dyn View,
    ledger: &dyn Backwards,
    policy: &Policy,
    rules: &PotRules,
    coinbase: &Coinbase,
) -> Result<Vec<Candidate>, FoldStop> {
    let n = window_work(rules.n_ppm, coinbase.network_work);
    let weighed = weights_below(view, ledger, coinbase.pot, coinbase.size, n)?;
    let weights: Vec<u128> = weighed.values().copied().collect();
    let split = split(
        u128::from(coinbase.value),
        u128::from(coinbase.fees.min(coinbase.value)),
        rules,
        &weights,
    );
    let owners = owners(weighed.keys(), coinbase.size, coinbase.ledger_time, view)?;
    let mut parts: Vec<(&Account, u128)> = weighed.keys().zip(split.parts).collect();
    // By account, to be found by the owners of scripts.
    parts.sort();
    let mut candidates = Vec::new();
    for (address, account) in owners {
        let Account::Script(script) = &address else {
            continue;
        };
        let found = parts.binary_search_by(|(of, _)| (*of).cmp(&account));
        let part = found
            .ok()
            .and_then(|at| parts.get(at))
            .map_or(0, |(_, part)| *part);
        let ppm = donation_at(view, &account, end(coinbase.size))?;
        let part = part - donation(part, ppm);
        let wants = wants(view, policy, &account, &address, part)?;
        if rules.direct_min <= wants {
            candidates.push(Candidate {
                account,
                script: script.clone(),
                wants,
            });
        }
    }
    Ok(candidates)
}

/// Base units that an account wants of a coinbase of which it has a part of so many sub-units (11.6).
fn wants(
    view: &dyn View,
    policy: &Policy,
    account: &Account,
    address: &Account,
    part: u128,
) -> Result<u64, StoreFault> {
    let balance = balance_of(view, &Book::Available(account.clone()))?;
    let sum = if balance.is_negative() {
        part.saturating_sub(balance.magnitude())
    } else {
        let terms = settings(view, account)?;
        let is_paid_else =
            waits(view, address)? || is_due(view, &terms, policy, balance.magnitude() / SUB_UNITS)?;
        part + if is_paid_else { 0 } else { balance.magnitude() }
    };
    // More than a coinbase can pay is as much as it has.
    Ok(u64::try_from(sum / SUB_UNITS).unwrap_or(u64::MAX))
}

impl Room {
    /// Takes the room of an output; false if it has none.
    fn take(&mut self, script: &Script) -> bool {
        let bytes = OUTPUT_HEAD_BYTES + u64::try_from(script.bytes().len()).unwrap_or(u64::MAX);
        let sigops = sigops(script.bytes()) * SIGOP_COST;
        match (
            self.bytes.checked_sub(bytes),
            self.sigops.checked_sub(sigops),
        ) {
            (Some(bytes), Some(sigops)) => {
                (self.bytes, self.sigops) = (bytes, sigops);
                true
            }
            _ => false,
        }
    }
}

/// Signature operations of an output script of a usual form.
const fn sigops(script: &[u8]) -> u64 {
    match script {
        // To a script's hash; to a witness program.
        [0xa9, 0x14, .., 0x87] | [0x00 | 0x51..=0x60, 0x02..=0x28, ..] => 0,
        // To a key's hash, to a key.
        [.., 0xac] if script.len() <= 67 => 1,
        _ => SIGOPS_UNKNOWN,
    }
}

/// How a direct job's coinbase differs from the list that it should have (11.6 to 11.8), one sentence each; empty if it does not.
/// `coinbase` is of the list's positions, with the job's figures and without a limit of room; a list that ends early is one for
/// which there was no room.
///
/// # Errors
/// [`FoldStop`].
pub fn differences(
    view: &dyn View,
    ledger: &dyn Backwards,
    policy: &Policy,
    coinbase: &Coinbase,
    job: &Job,
) -> Result<Vec<String>, FoldStop> {
    let made = miner_outputs(&job.coinbase2);
    let asked = Coinbase {
        room: Room {
            outputs: made.len(),
            ..coinbase.room
        },
        ..*coinbase
    };
    let Some(list) = list(view, ledger, policy, &asked)? else {
        return Ok(vec![format!(
            "pot {} does not pay by the coinbase, and the coinbase pays {} accounts",
            coinbase.pot.0,
            made.len()
        )]);
    };
    let mut found = Vec::new();
    for (number, output) in made.iter().enumerate() {
        match list.outputs.get(number) {
            Some(listed) if is_same(listed, output) => {}
            Some(listed) => found.push(format!(
                "output {}: {} to {} in the coinbase, {} to {} by the rules",
                number + 1,
                output.amount,
                Account::Script(output.script.clone()),
                listed.amount,
                Account::Script(listed.script.clone()),
            )),
            None => found.push(format!(
                "output {}: {} to {} in the coinbase, nothing by the rules",
                number + 1,
                output.amount,
                Account::Script(output.script.clone()),
            )),
        }
    }
    Ok(found)
}

fn is_same(listed: &Listed, output: &MinerOutput) -> bool {
    listed.amount == output.amount && listed.script == output.script
}
