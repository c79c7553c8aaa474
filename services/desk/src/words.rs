//! Events in words, for who signs them and for the audit trail.

use orebook_schema::account::{Registration, SetBy, Setting, SettingValue};
use orebook_schema::desk::{Adjustment, Ban, BanAction, Direction};
use orebook_schema::dust::InactiveDust;
use orebook_schema::event::KeyAction;
use orebook_schema::policy::{NetworkFees, PotRules};
use orebook_schema::{Event, Kind, Policy};

/// One sentence that says what an event would change.
#[must_use]
pub fn words(event: &Event) -> String {
    match event {
        Event::KeyChange(change) => {
            let role = change.role.name();
            match change.action {
                KeyAction::InForce => {
                    format!("from now on key {} speaks as {role}", change.key)
                }
                KeyAction::Revoked => format!(
                    "key {} ({role}) is revoked: nothing that it signs counts from there on",
                    change.key
                ),
            }
        }
        Event::Policy(change) => format!("jobs get this policy: {}", policy(&change.policy)),
        Event::Ban(ban) => ban_words(ban),
        Event::Adjustment(adjustment) => adjustment_words(adjustment),
        Event::Account(said) => registration_words(said),
        Event::Setting(setting) => setting_words(setting),
        Event::SchemaSet(set) => {
            let entries = set.entries.iter().map(|entry| {
                let name = Kind::from_byte(entry.kind).map_or("unknown", Kind::name);
                format!("{name} {}", entry.version)
            });
            let entries: Vec<String> = entries.collect();
            format!(
                "schema set {} is announced: {}",
                set.number,
                entries.join(", ")
            )
        }
        Event::PayoutProposed(said) => format!(
            "wallet {} pays batch {}: {} base units to {} accounts, in {} transactions for a fee of {} base units",
            said.wallet, said.batch, said.total, said.lines, said.txs, said.fee
        ),
        Event::PayoutHalt(said) => {
            format!(
                "wallet {} pays nothing until it is resumed: {}",
                said.wallet, said.reason
            )
        }
        Event::PayoutResume(said) => format!(
            "wallet {} pays again, if nothing was said of it since {}: {}",
            said.wallet, said.expects, said.reason
        ),
        Event::WriteOff(said) => format!(
            "what {} owes is taken over by the reserve, if it has owed for as long as the policy asks: {}",
            said.account, said.reason
        ),
        Event::InactiveDust(said) => dust_words(said),
        Event::Approval(approval) => {
            format!("{} approves {}", approval.approver, approval.thing)
        }
        other => format!("a {}", other.kind().name()),
    }
}

fn dust_words(said: &InactiveDust) -> String {
    let InactiveDust { cutoff, reason, .. } = said;
    if said.accounts.is_empty() {
        return format!("dust that was announced and did not move yet stays: {reason}");
    }
    let accounts: Vec<String> = said.accounts.iter().map(ToString::to_string).collect();
    format!(
        "what these {} accounts have below their thresholds goes to {} when 30 days have passed, of those that were not active after \
         position {cutoff}: {reason}: {}",
        accounts.len(),
        said.to.name(),
        accounts.join(", ")
    )
}

fn ban_words(ban: &Ban) -> String {
    let (target, reason) = (&ban.target, ban.reason.as_str());
    match (ban.action, ban.until_ms) {
        (BanAction::Lift, _) => format!("{target} is banned no more: {reason}"),
        (BanAction::Ban, 0) => format!("{target} is banned until that is lifted: {reason}"),
        (BanAction::Ban, until) => {
            format!("{target} is banned until {until} ms since 1970: {reason}")
        }
    }
}

fn adjustment_words(adjustment: &Adjustment) -> String {
    let Adjustment {
        account,
        book,
        amount,
        ..
    } = adjustment;
    let (from, to) = match adjustment.direction {
        Direction::ToAccount => (book.name().to_owned(), account.to_string()),
        Direction::FromAccount => (account.to_string(), book.name().to_owned()),
    };
    let block = adjustment.block;
    let block = block.map_or_else(String::new, |block| format!(", for block {block}"));
    let reason = adjustment.reason.as_str();
    format!("{amount} sub-units (10^-9 base units) go from {from} to {to}{block}: {reason}")
}

fn registration_words(said: &Registration) -> String {
    let threshold = threshold_words(said.threshold);
    let token = if said.token.is_some() { "a" } else { "no" };
    let who = if said.registered_only {
        "only registered workers"
    } else {
        "any worker"
    };
    let workers: Vec<&str> = said.workers.iter().map(|name| name.as_str()).collect();
    let workers = match workers.len() {
        0 => String::new(),
        count => format!("; {count} workers are added: {}", workers.join(", ")),
    };
    format!(
        "account {} is registered: paid at {}, {threshold}, {token} token, {who} may mine for it{workers}",
        said.name.as_str(),
        said.payout,
    )
}

fn setting_words(setting: &Setting) -> String {
    let account = &setting.account;
    let by = match setting.by {
        SetBy::Operator => "the operator says it",
        SetBy::Signed => "the owner signs it",
        SetBy::Token => "its token says it",
    };
    let what = match &setting.value {
        SettingValue::Threshold(threshold) => format!("is paid {}", threshold_words(*threshold)),
        SettingValue::Address(address) => {
            format!("is paid at {address} when the policy's hold is over")
        }
        SettingValue::Donation(ppm) => {
            format!("donates {ppm} ppm of what it is credited from now on")
        }
        SettingValue::PayNow => "asks for payment now".to_owned(),
    };
    format!("{account} {what} ({by})")
}

fn threshold_words(threshold: u128) -> String {
    match threshold {
        0 => "from the policy's threshold on".to_owned(),
        threshold => format!("from {threshold} base units on"),
    }
}

/// A policy in one sentence.
#[must_use]
pub fn policy(policy: &Policy) -> String {
    let pots: Vec<String> = policy.pots.iter().map(pot).collect();
    let fees = match policy.network_fees {
        NetworkFees::Pool => "the pool",
        NetworkFees::Miner => "the miners",
    };
    format!(
        "{}; blocks are immature at {}, confirmed at {}, orphaned at {} blocks on top; payouts from {} base units on, their \
         network fees borne by {fees}; a changed address waits {} ms; batches up to {} base units are paid unasked, paid at {}, \
         final at {} confirmations; a debt may be written off after {} ms; what splits leave {}",
        pots.join("; "),
        policy.immature_depth,
        policy.confirmed_depth,
        policy.orphan_depth,
        policy.threshold,
        policy.address_hold_ms,
        policy.auto_pay_limit,
        policy.payout_depth,
        policy.payout_final_depth,
        policy.writeoff_ms,
        if policy.rounding_to_fee {
            "goes to the fees"
        } else {
            "stays apart"
        },
    )
}

fn pot(rules: &PotRules) -> String {
    let direct = match rules.direct_min {
        0 => String::new(),
        least => format!(
            ", paid by the coinbase from {least} base units on in at most {} outputs",
            rules.direct_outputs
        ),
    };
    format!(
        "pot {} {} over {} ppm of the network's work, fee {} ppm, finder's bonus {} ppm, stale shares {} ppm, transaction \
         fees to the {}{direct}",
        rules.pot.0,
        rules.scheme.name(),
        rules.n_ppm,
        rules.fee_ppm,
        rules.bonus_ppm,
        rules.stale_ppm,
        if rules.keep_tx_fees { "pool" } else { "miners" },
    )
}
