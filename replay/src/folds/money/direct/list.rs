//! The list of a coinbase's outputs (money rules, 11.6 to 11.8): a function of the ledger's first positions and of what the block
//! would pay. Gateways ask for it, auditors compute it again; no posting asks it.

use orebook_schema::coinbase::{MinerOutput, miner_outputs};
use orebook_schema::names::{Pot, Script};
use orebook_schema::policy::PotRules;
use orebook_schema::work::Job;
use orebook_schema::{Account, At, Policy};

use crate::fold::{Backwards, FoldStop};
use crate::folds::money::books::{Book, balance_of};
use crate::folds::money::payouts::is_due;
use crate::folds::money::settings::{donation_at, settings};
use crate::folds::money::split::{SUB_UNITS, donation, split, window_work};
use crate::folds::money::window::weights_below;
use crate::rows::{StoreFault, View};

use super::{Waits, end, owners, pays};

/// Bytes of an output beside its script: amount, and the script's length.
const OUTPUT_HEAD_BYTES: u64 = 9;
/// What a signature operation of an output costs.
const SIGOP_COST: u64 = 4;
/// Operations that a check of several keys counts for.
const SIGOPS_MULTISIG: u64 = 20;

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
    let waits = Waits::read(view)?;
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
        let wants = wants(view, policy, &account, &waits, part)?;
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
    waits: &Waits,
    part: u128,
) -> Result<u64, StoreFault> {
    let balance = balance_of(view, &Book::Available(account.clone()))?;
    let sum = if balance.is_negative() {
        part.saturating_sub(balance.magnitude())
    } else {
        let terms = settings(view, account)?;
        let is_paid_else = waits.has(view, account)?
            || is_due(view, &terms, policy, balance.magnitude() / SUB_UNITS)?;
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

/// Signature operations of an output script, as Bitcoin counts them without running it: what is pushed is none, and a push that
/// goes past the end ends the count.
fn sigops(mut script: &[u8]) -> u64 {
    let mut count = 0;
    while let Some((op, behind)) = script.split_first() {
        let (size_bytes, direct) = match op {
            0x01..=0x4b => (0, usize::from(*op)),
            0x4c => (1, 0),
            0x4d => (2, 0),
            0x4e => (4, 0),
            _ => (0, 0),
        };
        let Some((size, behind)) = behind.split_at_checked(size_bytes) else {
            break;
        };
        let size = size.iter().rev().fold(direct, |size, byte| {
            size.saturating_mul(256).saturating_add(usize::from(*byte))
        });
        let Some((_, behind)) = behind.split_at_checked(size) else {
            break;
        };
        count += match op {
            0xac | 0xad => 1,
            0xae | 0xaf => SIGOPS_MULTISIG,
            _ => 0,
        };
        script = behind;
    }
    count
}

/// How a direct job's coinbase differs from the list that it should have (11.6 to 11.8), one sentence each; empty if it does not.
/// `policy` is the newest obeyed one after the list's positions, and where it stands; `coinbase` is of these positions, with the
/// job's figures and without a limit of room: a list that ends early is one for which there was no room.
///
/// # Errors
/// [`FoldStop`].
pub fn differences(
    view: &dyn View,
    ledger: &dyn Backwards,
    (at, policy): (At, &Policy),
    coinbase: &Coinbase,
    job: &Job,
) -> Result<Vec<String>, FoldStop> {
    let mut found = Vec::new();
    if job.policy != at {
        found.push(format!(
            "the job cites the policy at {}, its list follows the one at {at}",
            job.policy
        ));
    }
    let made = miner_outputs(&job.coinbase2);
    let asked = Coinbase {
        room: Room {
            outputs: made.len(),
            ..coinbase.room
        },
        ..*coinbase
    };
    let Some(list) = list(view, ledger, policy, &asked)? else {
        found.push(format!(
            "pot {} does not pay by the coinbase, and the coinbase pays {} accounts",
            coinbase.pot.0,
            made.len()
        ));
        return Ok(found);
    };
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

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test stops at the first surprise")]

    use orebook_schema::units::unhex;

    use super::*;

    fn script(text: &str) -> Script {
        let bytes = unhex(&text.replace(' ', "")).expect("hex");
        Script::new(&bytes).expect("a script")
    }

    #[test]
    fn an_output_takes_its_bytes_and_what_its_operations_cost() {
        let key = "11".repeat(20);
        let long = "22".repeat(32);
        // The rules' example 11.8, and pushes of each form: what they hold is no operation.
        for (text, bytes, cost) in [
            (format!("76a914 {key} 88ac"), 34, 4),
            (format!("a914 {key} 87"), 32, 0),
            (format!("0014 {key}"), 31, 0),
            (format!("5120 {long}"), 43, 0),
            (format!("21 33{long} ac"), 44, 4),
            ("acacad".to_owned(), 12, 12),
            ("51ae".to_owned(), 11, 80),
            ("ac4cff".to_owned(), 12, 4),
            ("af".to_owned(), 10, 80),
            ("4c02acac ac".to_owned(), 14, 4),
            ("4d0200acac ac".to_owned(), 15, 4),
            ("4e02000000acac ac".to_owned(), 17, 4),
            ("4d02".to_owned(), 11, 0),
            ("4effffffff".to_owned(), 14, 0),
            ("4eacac".to_owned(), 12, 0),
            ("ac".repeat(64), 73, 256),
        ] {
            let room = Room {
                bytes,
                sigops: cost,
                outputs: 1,
            };
            let mut exact = room;
            assert!(exact.take(&script(&text)), "{text}");
            assert_eq!((exact.bytes, exact.sigops), (0, 0), "{text}");
            let mut short = Room {
                bytes: bytes - 1,
                ..room
            };
            assert!(!short.take(&script(&text)), "{text}");
            if let Some(sigops) = cost.checked_sub(1) {
                let mut few = Room { sigops, ..room };
                assert!(!few.take(&script(&text)), "{text}");
            }
        }
    }
}
