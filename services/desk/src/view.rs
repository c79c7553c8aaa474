//! What is in force, as JSON: people's commands are made from it.

use orebook_ledger::admit::State;
use orebook_ledger::authority::Authority;
use orebook_schema::genesis::Approved;
use orebook_schema::policy::NetworkFees;
use orebook_schema::units::hex;
use orebook_schema::{Account, Event, Policy};
use serde_json::{Value, json};

use crate::answer::place;
use crate::words::words;

/// Keys, policy, schema sets, bans and what waits for approvals, as of the final head, and of an account that is asked for the
/// last adjustment, setting and write-off and what it is registered as; none before genesis is final.
#[must_use]
pub(crate) fn state(settled: &State, account: Option<&Account>) -> Option<Value> {
    let authority = settled.authority()?;
    let genesis = authority.genesis();
    let (at, newest) = authority.newest_policy();
    let needed = |what| genesis.needed(what);
    Some(json!({
        "ledger": genesis.ledger.to_string(),
        "coin": genesis.coin_name.as_str(),
        "as_of": settled.size(),
        "approvers": genesis.approvers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "needed": {
            "key": needed(Approved::Key),
            "policy": needed(Approved::Policy),
            "ban": needed(Approved::Ban),
            "adjustment": needed(Approved::Adjustment),
            "account": needed(Approved::Account),
            "setting": needed(Approved::Setting),
            "payout": needed(Approved::Payout),
            "resume": needed(Approved::Resume),
            "write_off": needed(Approved::WriteOff),
            "inactive_dust": needed(Approved::InactiveDust),
        },
        "keys": keys(authority),
        "policy": newest.map(|newest| json!({
            "at": place(at),
            "effective": newest.effective,
            "says": policy(&newest.policy),
            "bytes": hex(&newest.policy.to_bytes()),
        })),
        "schema_sets": schema_sets(authority),
        "bans": bans(authority),
        "account": account.map(|account| json!({
            "account": account.to_string(),
            "adjusted": place(authority.last_adjustment(account)),
            "set": place(authority.last_setting(account)),
            "written_off": place(authority.last_write_off(account)),
            "registered": registered(authority, account),
        })),
        // What the next announcement of dust has to expect.
        "dust": place(authority.last_dust()),
        "waiting": waiting(authority),
    }))
}

fn keys(authority: &Authority) -> Vec<Value> {
    let keys = authority.keys().map(|(key, role, in_force, last)| {
        json!({
            "key": key.to_string(),
            "role": role.name(),
            "in_force": in_force,
            "at": place(last),
        })
    });
    keys.collect()
}

fn schema_sets(authority: &Authority) -> Vec<Value> {
    let sets = authority.schema_sets().map(|(number, entries)| {
        let entries = entries
            .iter()
            .map(|entry| json!([entry.kind, entry.version]));
        json!({ "number": number, "entries": entries.collect::<Vec<_>>() })
    });
    sets.collect()
}

/// Last bans and lifts that were obeyed, by target: what the next must expect.
fn bans(authority: &Authority) -> Vec<Value> {
    let bans = authority.bans().map(|obeyed| {
        json!({
            "target": obeyed.ban.target.to_string(),
            "action": obeyed.ban.action.name(),
            "until_ms": obeyed.ban.until_ms,
            "reason": obeyed.ban.reason.as_str(),
            "at": place(obeyed.at),
        })
    });
    bans.collect()
}

/// What an account is registered as, with its workers; nothing if it is not.
fn registered(authority: &Authority, account: &Account) -> Option<Value> {
    let Account::Name(name) = account else {
        return None;
    };
    let known = authority.registered_as(name)?;
    let workers = known.workers.iter().map(|worker| worker.as_str());
    Some(json!({
        "at": place(known.at),
        "payout": known.payout.to_string(),
        // As text: it may be larger than a number of JSON is read by others.
        "threshold": known.threshold.to_string(),
        "token": known.token.map(|token| token.to_string()),
        "registered_only": known.registered_only,
        "workers": workers.collect::<Vec<_>>(),
    }))
}

fn waiting(authority: &Authority) -> Vec<Value> {
    let things = authority.waiting().map(|thing| {
        json!({
            "digest": thing.digest.to_string(),
            "at": place(thing.at),
            "event": event(&thing.event),
            "words": words(&thing.event),
            "needed": thing.needed,
            "approved": thing.approved.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    });
    things.collect()
}

/// An event's canonical bytes, so that an approver can compute himself what he approves.
fn event(event: &Event) -> String {
    hex(&event.to_bytes(0))
}

/// A policy by its fields.
#[must_use]
fn policy(policy: &Policy) -> Value {
    let pots = policy.pots.iter().map(|rules| {
        json!({
            "pot": rules.pot.0,
            "scheme": rules.scheme.name(),
            "n_ppm": rules.n_ppm,
            "fee_ppm": rules.fee_ppm,
            "bonus_ppm": rules.bonus_ppm,
            "stale_ppm": rules.stale_ppm,
            "keep_tx_fees": rules.keep_tx_fees,
            // As text, like every amount.
            "direct_min": rules.direct_min.to_string(),
            "direct_outputs": rules.direct_outputs,
        })
    });
    json!({
        "pots": pots.collect::<Vec<_>>(),
        "immature_depth": policy.immature_depth,
        "confirmed_depth": policy.confirmed_depth,
        "orphan_depth": policy.orphan_depth,
        // As text: it may be larger than a number of JSON is read by others.
        "threshold": policy.threshold.to_string(),
        "address_hold_ms": policy.address_hold_ms,
        "network_fees": match policy.network_fees {
            NetworkFees::Pool => "pool",
            NetworkFees::Miner => "miner",
        },
        "auto_pay_limit": policy.auto_pay_limit.to_string(),
        "payout_depth": policy.payout_depth,
        "payout_final_depth": policy.payout_final_depth,
        "writeoff_ms": policy.writeoff_ms,
        "rounding_to_fee": policy.rounding_to_fee,
    })
}
