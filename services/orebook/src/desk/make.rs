//! Events made from what the desk says is in force.

use std::path::Path;

use orebook_desk::words::words;
use orebook_ledger::authority::thing_digest;
use orebook_ledger::sign::Signer;
use orebook_schema::bytes::Reader;
use orebook_schema::event::{
    Approval, KeyAction, KeyChange, PolicyChange, RawEvent, SchemaEntry, SchemaSet,
};
use orebook_schema::names::Pot;
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::units::unhex;
use orebook_schema::{At, Event, Hash, Key, Kind, LedgerId, Policy, Role};
use serde::Deserialize;
use serde_json::Value;

use super::args::{PolicyArgs, RoleName};
use crate::Failure;
use orebook::config::{DIRECT_OUTPUTS_DEFAULT, direct_outputs};

/// Bytes of a file with a policy at most.
const POLICY_FILE_BYTES_MAX: u64 = 64 << 10;

pub(super) fn strange(what: &str) -> Failure {
    Failure::new(format!("the desk's state has no {what}")).hint("is it of the same version?")
}

/// The ledger that the desk speaks of.
pub(super) fn ledger(state: &Value) -> Result<LedgerId, Failure> {
    let text = state["ledger"].as_str();
    text.and_then(LedgerId::parse)
        .ok_or_else(|| strange("ledger"))
}

pub(super) fn place(value: &Value) -> Option<At> {
    Some(At {
        position: value[0].as_u64()?,
        index: value[1].as_u64()?.try_into().ok()?,
    })
}

/// A hash as people type it.
pub(super) fn hash(text: &str) -> Result<Hash, Failure> {
    let bytes: Option<[u8; 32]> = unhex(text).and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or_else(|| Failure::new(format!("{text} is no digest: 64 hex digits")))?;
    Ok(Hash(bytes))
}

fn public(text: &str) -> Result<Key, Failure> {
    Key::parse(text).ok_or_else(|| {
        Failure::new(format!("{text} is no public key: 64 hex digits"))
            .hint("`orebook key show` shows those of the ledger")
    })
}

/// Role and last obeyed change of a key; none if the ledger never had it.
fn known(state: &Value, key: &Key) -> Result<Option<(Role, At)>, Failure> {
    let keys = state["keys"].as_array().ok_or_else(|| strange("keys"))?;
    let text = key.to_string();
    let Some(found) = keys.iter().find(|one| one["key"] == text.as_str()) else {
        return Ok(None);
    };
    let role = found["role"].as_str().and_then(Role::parse);
    let both = role.zip(place(&found["at"]));
    both.map(Some).ok_or_else(|| strange("role of a key"))
}

/// One key in words.
pub(super) fn key_words(key: &Value) -> String {
    let text = |name: &str| key[name].as_str().unwrap_or("?").to_owned();
    let in_force = if key["in_force"] == true {
        "in force"
    } else {
        "revoked"
    };
    format!("{}  {:<9}  {in_force}", text("key"), text("role"))
}

/// A key comes.
pub(super) fn key_added(state: &Value, key: &str, role: RoleName) -> Result<Event, Failure> {
    let key = public(key)?;
    let expects = known(state, &key)?.map_or_else(At::default, |(_, at)| at);
    Ok(Event::KeyChange(KeyChange {
        key,
        role: role.role(),
        action: KeyAction::InForce,
        expects,
    }))
}

/// A key goes.
pub(super) fn key_revoked(state: &Value, key: &str) -> Result<Event, Failure> {
    let key = public(key)?;
    let (role, expects) = known(state, &key)?
        .ok_or_else(|| Failure::new(format!("the ledger never had the key {key}")))?;
    Ok(Event::KeyChange(KeyChange {
        key,
        role,
        action: KeyAction::Revoked,
        expects,
    }))
}

/// The policy in force.
pub(super) fn policy_in_force(state: &Value) -> Result<Policy, Failure> {
    let bytes = state
        .pointer("/policy/bytes")
        .and_then(Value::as_str)
        .and_then(unhex);
    let bytes = bytes.ok_or_else(|| strange("policy"))?;
    let mut reader = Reader::new(&bytes, "policy");
    let policy = Policy::from_reader(&mut reader);
    policy.map_err(|error| Failure::new(format!("the desk's policy: {error}")))
}

/// The policy in force, changed.
pub(super) fn policy_changed(state: &Value, change: &PolicyArgs) -> Result<Event, Failure> {
    let policy = match &change.file {
        Some(file) => policy_of(file)?,
        None => changed(policy_in_force(state)?, change)?,
    };
    if !policy.is_legal() {
        return Err(Failure::new("the policy is outside of its limits")
            .hint("fees at most 1000000 ppm, a window of at least 1, immature before confirmed, paid before final"));
    }
    let expects = state
        .pointer("/policy/at")
        .and_then(place)
        .ok_or_else(|| strange("place of the policy"))?;
    Ok(Event::Policy(Box::new(PolicyChange { expects, policy })))
}

fn changed(mut policy: Policy, change: &PolicyArgs) -> Result<Policy, Failure> {
    let mut is_found = false;
    let chosen = |rules: &&mut PotRules| change.pot.is_none_or(|pot| rules.pot == Pot(pot));
    for rules in policy.pots.iter_mut().filter(chosen) {
        is_found = true;
        rules.fee_ppm = change.fee_ppm.unwrap_or(rules.fee_ppm);
        rules.n_ppm = change.window_ppm.unwrap_or(rules.n_ppm);
        rules.bonus_ppm = change.bonus_ppm.unwrap_or(rules.bonus_ppm);
        rules.stale_ppm = change.stale_ppm.unwrap_or(rules.stale_ppm);
        rules.keep_tx_fees = change.keep_tx_fees.unwrap_or(rules.keep_tx_fees);
        rules.direct_min = change.direct_min.unwrap_or(rules.direct_min);
        let said = change.direct_outputs.unwrap_or(match rules.direct_outputs {
            0 => DIRECT_OUTPUTS_DEFAULT,
            before => before,
        });
        rules.direct_outputs = direct_outputs(rules.direct_min, said);
    }
    if !is_found {
        return Err(Failure::new("the policy in force has no such pot")
            .hint("`orebook policy show` shows its pots; --file says a policy with a new one"));
    }
    policy.threshold = change.threshold.unwrap_or(policy.threshold);
    policy.address_hold_ms = change.address_hold_ms.unwrap_or(policy.address_hold_ms);
    policy.auto_pay_limit = change.auto_pay_limit.unwrap_or(policy.auto_pay_limit);
    policy.writeoff_ms = change.writeoff_ms.unwrap_or(policy.writeoff_ms);
    policy.rounding_to_fee = change.rounding_to_fee.unwrap_or(policy.rounding_to_fee);
    if let Some([paid, last]) = change.payout_depths.as_deref() {
        policy.payout_depth = *paid;
        policy.payout_final_depth = *last;
    }
    if let Some([immature, confirmed, orphan]) = change.depths.as_deref() {
        policy.immature_depth = *immature;
        policy.confirmed_depth = *confirmed;
        policy.orphan_depth = *orphan;
    }
    Ok(policy)
}

/// A policy as `policy show --format json` has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    pots: Vec<PotText>,
    immature_depth: u32,
    confirmed_depth: u32,
    orphan_depth: u32,
    threshold: String,
    address_hold_ms: u64,
    network_fees: String,
    auto_pay_limit: String,
    payout_depth: u32,
    payout_final_depth: u32,
    writeoff_ms: u64,
    #[serde(default)]
    rounding_to_fee: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PotText {
    pot: u16,
    scheme: String,
    n_ppm: u64,
    fee_ppm: u32,
    bonus_ppm: u32,
    stale_ppm: u32,
    keep_tx_fees: bool,
    /// Of a file that an earlier version showed: none.
    #[serde(default)]
    direct_min: Option<String>,
    #[serde(default)]
    direct_outputs: u16,
}

fn policy_of(file: &Path) -> Result<Policy, Failure> {
    let shown = file.display();
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("{shown}: {error}"));
    let len = std::fs::metadata(file)
        .map_err(|error| failed(&error))?
        .len();
    if POLICY_FILE_BYTES_MAX < len {
        return Err(failed(&"more than 64 KiB"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    policy_from(&text).map_err(|what| failed(&what))
}

fn policy_from(text: &str) -> Result<Policy, String> {
    let read: PolicyText = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let schemes = [
        Scheme::Pplns,
        Scheme::Solo,
        Scheme::Prop,
        Scheme::Pps,
        Scheme::Fpps,
    ];
    let pots = read.pots.into_iter().map(|pot| {
        let scheme = schemes.iter().find(|known| known.name() == pot.scheme);
        Ok(PotRules {
            pot: Pot(pot.pot),
            scheme: *scheme.ok_or_else(|| format!("{} is no scheme", pot.scheme))?,
            n_ppm: pot.n_ppm,
            fee_ppm: pot.fee_ppm,
            bonus_ppm: pot.bonus_ppm,
            stale_ppm: pot.stale_ppm,
            keep_tx_fees: pot.keep_tx_fees,
            direct_min: pot
                .direct_min
                .map_or(Ok(0), |text| text.parse())
                .map_err(|_| "direct_min is a number in a text".to_owned())?,
            direct_outputs: pot.direct_outputs,
        })
    });
    Ok(Policy {
        pots: pots.collect::<Result<_, String>>()?,
        immature_depth: read.immature_depth,
        confirmed_depth: read.confirmed_depth,
        orphan_depth: read.orphan_depth,
        threshold: read
            .threshold
            .parse()
            .map_err(|_| "threshold is a number in a text".to_owned())?,
        address_hold_ms: read.address_hold_ms,
        network_fees: match read.network_fees.as_str() {
            "pool" => NetworkFees::Pool,
            "miner" => NetworkFees::Miner,
            _ => return Err("network_fees are pool or miner".to_owned()),
        },
        auto_pay_limit: read
            .auto_pay_limit
            .parse()
            .map_err(|_| "auto_pay_limit is a number in a text".to_owned())?,
        payout_depth: read.payout_depth,
        payout_final_depth: read.payout_final_depth,
        writeoff_ms: read.writeoff_ms,
        rounding_to_fee: read.rounding_to_fee,
    })
}

/// Every kind that this software knows, as the next schema set.
pub(super) fn schema_set(state: &Value) -> Result<Event, Failure> {
    let sets = state["schema_sets"].as_array();
    let sets = sets.ok_or_else(|| strange("schema sets"))?;
    let numbers = sets.iter().filter_map(|set| set["number"].as_u64());
    let next = numbers.max().map_or(0, |last| last.saturating_add(1));
    let number = next.try_into().map_err(|_| strange("next schema set"))?;
    let entries: Vec<SchemaEntry> = Kind::known();
    Ok(Event::SchemaSet(SchemaSet { number, entries }))
}

/// An approver's word.
pub(super) fn approval(ledger: LedgerId, thing: Hash, signer: &Signer) -> Event {
    Event::Approval(Approval {
        thing,
        approver: signer.key(),
        signature: signer.sign_approval(ledger, &thing),
    })
}

/// What a thing that waits says, by its own bytes; none if none of this digest waits.
pub(super) fn thing_words(state: &Value, thing: Hash) -> Result<Option<String>, Failure> {
    let waiting = state["waiting"].as_array();
    let waiting = waiting.ok_or_else(|| strange("waiting things"))?;
    let digest = thing.to_string();
    let Some(found) = waiting.iter().find(|one| one["digest"] == digest.as_str()) else {
        return Ok(None);
    };
    let bytes = found["event"].as_str().and_then(unhex).unwrap_or_default();
    let event = RawEvent::one(&bytes).and_then(|raw| raw.decode());
    let event = event.map_err(|error| Failure::new(format!("the thing's event: {error}")))?;
    if thing_digest(ledger(state)?, &event) != thing {
        return Err(Failure::new(
            "the desk shows another thing than the one of this digest: do not approve it",
        ));
    }
    Ok(Some(words(&event)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const POLICY: &str = r#"{"pots":[{"pot":0,"scheme":"pplns","n_ppm":2,"fee_ppm":3,"bonus_ppm":4,"stale_ppm":5,
        "keep_tx_fees":true}],"immature_depth":1,"confirmed_depth":2,"orphan_depth":3,"threshold":"7",
        "address_hold_ms":60000,"network_fees":"miner","auto_pay_limit":"11","payout_depth":6,"payout_final_depth":12,
        "writeoff_ms":5}"#;
    /// The same with what came later.
    const LATER: [(&str, &str); 2] = [
        (
            "\"keep_tx_fees\":true",
            "\"keep_tx_fees\":true,\"direct_min\":\"50\",\"direct_outputs\":9",
        ),
        (
            "\"writeoff_ms\":5",
            "\"writeoff_ms\":5,\"rounding_to_fee\":true",
        ),
    ];

    fn state(policy: &Policy) -> Value {
        let bytes = orebook_schema::units::hex(&policy.to_bytes());
        json!({ "ledger": LedgerId([7; 16]).to_string(), "policy": { "at": [5, 1], "bytes": bytes }, "waiting": [] })
    }

    fn nothing() -> PolicyArgs {
        PolicyArgs {
            pot: None,
            fee_ppm: None,
            window_ppm: None,
            bonus_ppm: None,
            stale_ppm: None,
            keep_tx_fees: None,
            direct_min: None,
            direct_outputs: None,
            rounding_to_fee: None,
            threshold: None,
            address_hold_ms: None,
            auto_pay_limit: None,
            payout_depths: None,
            writeoff_ms: None,
            depths: None,
            file: None,
        }
    }

    #[test]
    fn a_policy_is_the_one_in_force_but_for_what_is_given() {
        let policy = policy_from(POLICY).unwrap();
        let state = state(&policy);
        let mut change = nothing();
        change.fee_ppm = Some(9);
        change.address_hold_ms = Some(1);
        change.auto_pay_limit = Some(12);
        change.payout_depths = Some(vec![7, 9]);
        change.writeoff_ms = Some(6);
        change.depths = Some(vec![4, 8, 6]);
        let Event::Policy(said) = policy_changed(&state, &change).unwrap() else {
            panic!("a policy");
        };
        assert_eq!((said.expects.position, said.expects.index), (5, 1));
        assert_eq!(said.policy.pots[0].fee_ppm, 9);
        assert_eq!(said.policy.pots[0].n_ppm, 2);
        assert_eq!(said.policy.confirmed_depth, 8);
        assert_eq!(said.policy.threshold, 7);
        assert_eq!(
            (policy.address_hold_ms, said.policy.address_hold_ms),
            (60_000, 1)
        );
        let payouts = |policy: &Policy| {
            let depths = (policy.payout_depth, policy.payout_final_depth);
            (policy.auto_pay_limit, depths, policy.writeoff_ms)
        };
        assert_eq!(payouts(&policy), (11, (6, 12), 5));
        assert_eq!(payouts(&said.policy), (12, (7, 9), 6));
        let mut wrong = nothing();
        wrong.payout_depths = Some(vec![9, 9]);
        assert!(policy_changed(&state, &wrong).is_err());
        for (pot, fee_ppm, depths) in [
            (Some(1), None, None),
            (None, Some(1_000_001), None),
            (None, None, Some(vec![8, 8, 6])),
        ] {
            let mut wrong = nothing();
            (wrong.pot, wrong.fee_ppm, wrong.depths) = (pot, fee_ppm, depths);
            assert!(policy_changed(&state, &wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_policy_says_who_is_paid_by_the_coinbase_and_where_roundings_go() {
        let figures = |policy: &Policy| {
            let pot = policy.pots[0];
            (pot.direct_min, pot.direct_outputs, policy.rounding_to_fee)
        };
        let old = policy_from(POLICY).unwrap();
        assert_eq!(figures(&old), (0, 0, false), "what a file of before says");
        let text = LATER
            .iter()
            .fold(POLICY.to_owned(), |text, (from, to)| text.replace(from, to));
        assert_eq!(figures(&policy_from(&text).unwrap()), (50, 9, true));
        let said = |change: &PolicyArgs| match policy_changed(&state(&old), change) {
            Ok(Event::Policy(said)) => Some(figures(&said.policy)),
            _ => None,
        };
        let mut change = nothing();
        change.direct_min = Some(70);
        change.rounding_to_fee = Some(true);
        assert_eq!(said(&change), Some((70, DIRECT_OUTPUTS_DEFAULT, true)));
        change.direct_outputs = Some(501);
        assert_eq!(said(&change), None, "too many outputs");
        change.direct_min = Some(0);
        assert_eq!(said(&change), Some((0, 0, true)), "nobody is paid so");
    }

    #[test]
    fn what_an_approver_is_shown_is_computed_from_the_things_own_bytes() {
        let policy = policy_from(POLICY).unwrap();
        let mut state = state(&policy);
        let event = policy_changed(&state, &nothing()).unwrap();
        let thing = thing_digest(LedgerId([7; 16]), &event);
        assert_eq!(thing_words(&state, thing).unwrap(), None);
        let bytes = orebook_schema::units::hex(&event.to_bytes(0));
        state["waiting"] = json!([{ "digest": thing.to_string(), "event": bytes }]);
        let shown = thing_words(&state, thing).unwrap().unwrap();
        assert!(shown.contains("fee 3 ppm"), "{shown}");
        let other = orebook_schema::units::hex(&Event::Heartbeat.to_bytes(0));
        state["waiting"][0]["event"] = other.into();
        let said = thing_words(&state, thing).unwrap_err().to_string();
        assert!(said.contains("do not approve"), "{said}");
    }
}
