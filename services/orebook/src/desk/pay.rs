//! Payouts from what people type: what there is, what would be, approvals, halts and resumes, and write-offs.

use orebook_schema::payout::{PayoutHalt, PayoutResume, WriteOff};
use orebook_schema::{Account, At, Event};
use serde_json::Value;

use super::args::{PayCommand, WriteOffArgs};
use super::ban::{account, reason};
use super::client::get_json;
use super::make::{approval, hash, ledger, place, strange};
use super::{state, state_of, utter};
use crate::cli::Format;
use crate::{Failure, keys, print, say};

/// `orebook pay`.
pub(crate) fn pay(command: &PayCommand) -> Result<(), Failure> {
    match command {
        PayCommand::Status { api, limit, format } => {
            let found = get_json(
                "the projector",
                api,
                &format!("/api/v1/payouts?limit={limit}"),
            )?;
            shown(&found, *format, payouts_words)
        }
        PayCommand::Propose { paymaster, format } => {
            let found = get_json("the paymaster", paymaster, "/paymaster/plan")?;
            shown(&found, *format, plan_words)
        }
        PayCommand::Approve {
            wallet,
            batch,
            api,
            say: how,
        } => {
            let path = format!("/api/v1/payouts/{wallet}/{batch}");
            let found = get_json("the projector", api, &path)?;
            let payout = found.get("payout").unwrap_or(&Value::Null);
            say(&format!("to be approved: {}", batch_words(payout)));
            let thing = payout.get("digest").and_then(Value::as_str);
            let thing = hash(thing.ok_or_else(|| strange("digest of the batch"))?)?;
            let state = state(&how.desk)?;
            let ledger = ledger(&state)?;
            let event = approval(ledger, thing, &keys::read(&how.key)?);
            utter(&state, &event, how)
        }
        PayCommand::Halt {
            wallet,
            reason,
            say,
        } => {
            let event = halted(*wallet, reason)?;
            utter(&state(&say.desk)?, &event, say)
        }
        PayCommand::Resume {
            wallet,
            expects,
            api,
            reason,
            say: how,
        } => {
            let event = resumed(*wallet, expects, reason)?;
            match api {
                Some(api) => {
                    let found = get_json("the projector", api, "/api/v1/payouts?limit=1")?;
                    is_halted_at(&found, *wallet, typed_place(expects)?)?;
                }
                None => say(&format!(
                    "note: no --api was given, so nobody was asked whether wallet {wallet} is halted at {expects}. The desk \
                     cannot know: a resume that names another place is approved and never obeyed. `orebook pay status` names it"
                )),
            }
            utter(&state(&how.desk)?, &event, how)
        }
    }
}

/// `orebook writeoff`.
pub(crate) fn write_off(args: &WriteOffArgs) -> Result<(), Failure> {
    let account = account(&state(&args.say.desk)?, &args.account)?;
    let state = state_of(&args.say.desk, &account)?;
    let event = written_off(&state, account, &args.reason)?;
    utter(&state, &event, &args.say)
}

fn shown(found: &Value, format: Format, words: fn(&Value) -> String) -> Result<(), Failure> {
    match format {
        Format::Json => print(&found.to_string()),
        Format::Text => print(&words(found)),
    }
}

/// A text or number of an answer, as it stands there.
fn word(of: &Value, name: &str) -> String {
    match &of[name] {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn list(of: &Value) -> &[Value] {
    of.as_array().map_or(&[], Vec::as_slice)
}

fn lines(count: Option<u64>) -> String {
    match count {
        Some(1) => "1 line".to_owned(),
        count => format!("{} lines", count.unwrap_or(0)),
    }
}

/// A batch in words.
fn batch_words(batch: &Value) -> String {
    let approvals = &batch["approvals"];
    let had = approvals["had"].as_u64().unwrap_or(0);
    let needed = approvals["needed"].as_u64().unwrap_or(0);
    let missing = match needed.saturating_sub(had) {
        0 => String::new(),
        missing => format!(", {missing} of {needed} approvals are missing"),
    };
    format!(
        "batch {} of wallet {}: {} base units in {}, fee {}, said at {}: {}{missing}; digest {}",
        word(batch, "batch"),
        word(batch, "wallet"),
        word(batch, "total"),
        lines(batch["lines"].as_u64()),
        word(batch, "fee"),
        word(batch, "at"),
        word(batch, "state"),
        word(batch, "digest"),
    )
}

/// What a projector says of payouts, in words.
fn payouts_words(found: &Value) -> String {
    let wallet = |wallet: &Value| {
        let stands = match (&wallet["halted"], wallet["free"].as_bool()) {
            (Value::Null, Some(true)) => "free".to_owned(),
            (Value::Null, _) => "a payout is under way".to_owned(),
            (halted, _) => format!(
                "halted at {} ({}); resume it with --expects {}",
                word(halted, "at"),
                word(halted, "reason"),
                // The place of the last halt or resume, where the projector tells it.
                wallet["last"].as_str().unwrap_or(&word(halted, "at")),
            ),
        };
        format!(
            "wallet {}: {} batches, paid {} base units, the chain took {}; {stands}",
            word(wallet, "wallet"),
            word(wallet, "batches"),
            word(wallet, "paid"),
            word(wallet, "fees"),
        )
    };
    let wallets = list(&found["wallets"]).iter().map(wallet);
    let batches = list(&found["payouts"]).iter().map(batch_words);
    let lines: Vec<String> = wallets.chain(batches).collect();
    if lines.is_empty() {
        return "no payout was ever proposed".to_owned();
    }
    lines.join("\n")
}

/// What a paymaster plans, in words.
fn plan_words(found: &Value) -> String {
    let mut text = format!("waits for: {}", word(found, "why"));
    let plan = &found["plan"];
    if plan.is_null() {
        text.push_str("\nno plan was made yet");
        return text;
    }
    text.push_str(&format!(
        "\nthe last plan: {} base units in {}, expected fee {}",
        word(plan, "total"),
        lines(u64::try_from(list(&plan["lines"]).len()).ok()),
        word(plan, "fee"),
    ));
    for line in list(&plan["lines"]) {
        // Of an address that is paid at itself, the address says it all.
        let account = word(line, "account");
        let account = account
            .strip_prefix("name:")
            .map(|name| format!(" of {name}"));
        text.push_str(&format!(
            "\n{} base units, {} of them fee, to {}{}",
            word(line, "amount"),
            word(line, "fee"),
            word(line, "address"),
            account.unwrap_or_default(),
        ));
    }
    text
}

/// Whether a projector shows that the wallet is halted, and there.
fn is_halted_at(found: &Value, wallet: u16, expects: At) -> Result<(), Failure> {
    let mut wallets = list(&found["wallets"]).iter();
    let known = wallets.find(|one| one["wallet"].as_u64() == Some(u64::from(wallet)));
    let halted = known.map_or(&Value::Null, |known| &known["halted"]);
    let Some(at) = halted["at"].as_str() else {
        return Err(Failure::new(format!(
            "wallet {wallet} is not halted, as of position {}",
            word(found, "as_of")
        )));
    };
    if typed_place(at)? == expects {
        return Ok(());
    }
    let reason = word(halted, "reason");
    Err(Failure::new(format!(
        "wallet {wallet} is halted at {at} ({reason}), not at {expects}: a resume of another place is never obeyed"
    ))
    .hint(format!("--expects {at}, if its reason is gone")))
}

fn halted(wallet: u16, why: &str) -> Result<Event, Failure> {
    let reason = reason(why)?;
    Ok(Event::PayoutHalt(Box::new(PayoutHalt { wallet, reason })))
}

fn resumed(wallet: u16, expects: &str, why: &str) -> Result<Event, Failure> {
    Ok(Event::PayoutResume(Box::new(PayoutResume {
        wallet,
        expects: typed_place(expects)?,
        reason: reason(why)?,
    })))
}

fn written_off(state: &Value, account: Account, why: &str) -> Result<Event, Failure> {
    let expects = state.pointer("/account/written_off").and_then(place);
    Ok(Event::WriteOff(Box::new(WriteOff {
        account,
        expects: expects.ok_or_else(|| strange("last write-off of the account"))?,
        reason: reason(why)?,
    })))
}

/// A place as it is shown: position and index with a dot between.
fn typed_place(text: &str) -> Result<At, Failure> {
    let numbers = text.split_once('.');
    let place = numbers.and_then(|(position, index)| {
        Some(At {
            position: position.parse().ok()?,
            index: index.parse().ok()?,
        })
    });
    place.ok_or_else(|| {
        Failure::new(format!("{text} is no place"))
            .hint("position and index of an event with a dot between: 81200.3")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payouts_and_plans_are_told_in_words() {
        let batch = serde_json::json!({
            "wallet": 0, "batch": 7, "total": "29", "lines": 1, "fee": "3", "at": "81.0", "state": "waits",
            "approvals": { "had": 1, "needed": 2 }, "digest": "ab",
        });
        let found = serde_json::json!({
            "payouts": [batch],
            "wallets": [
                { "wallet": 0, "batches": 8, "paid": "100", "fees": "9", "free": true, "halted": null },
                { "wallet": 1, "batches": 0, "paid": "0", "fees": "0", "free": false,
                  "halted": { "at": "90.2", "reason": "it differs" } },
                { "wallet": 2, "batches": 0, "paid": "0", "fees": "0", "free": false, "last": "99.1",
                  "halted": { "at": "90.2", "reason": "it differs" } },
            ],
        });
        let words = payouts_words(&found);
        for says in [
            "wallet 0: 8 batches, paid 100 base units, the chain took 9; free",
            "halted at 90.2 (it differs); resume it with --expects 90.2",
            "halted at 90.2 (it differs); resume it with --expects 99.1",
            "batch 7 of wallet 0: 29 base units in 1 line, fee 3, said at 81.0: waits, 1 of 2 approvals are missing; digest ab",
        ] {
            assert!(words.contains(says), "{says}: {words}");
        }
        let none = serde_json::json!({ "payouts": [], "wallets": [] });
        assert_eq!(payouts_words(&none), "no payout was ever proposed");
        let line = serde_json::json!({ "account": "name:ann", "address": "script:00", "amount": "29", "fee": "2" });
        let plan = serde_json::json!({
            "why": "approvals", "plan": { "total": "29", "fee": "2", "lines": [line] },
        });
        let words = plan_words(&plan);
        assert!(words.contains("waits for: approvals\nthe last plan: 29 base units in 1 line,"));
        assert!(
            words.ends_with("\n29 base units, 2 of them fee, to script:00 of ann"),
            "{words}"
        );
        let words = plan_words(&serde_json::json!({ "why": "x", "plan": null }));
        assert!(words.ends_with("no plan was made yet"));
    }

    #[test]
    fn a_place_is_a_position_and_an_index() {
        for (text, place) in [
            ("81200.3", Some((81_200, 3))),
            ("0.0", Some((0, 0))),
            ("7", None),
            ("7.", None),
            (".7", None),
            ("7.65536", None),
            ("7.1.2", None),
            ("-7.1", None),
        ] {
            let read = typed_place(text).ok().map(|at| (at.position, at.index));
            assert_eq!(read, place, "{text}");
        }
    }

    #[test]
    fn a_resume_is_not_said_of_a_place_where_the_wallet_is_not_halted() {
        let found = serde_json::json!({ "as_of": 120, "wallets": [
            { "wallet": 0, "halted": null },
            { "wallet": 1, "halted": { "at": "90.2", "reason": "it differs" } },
        ] });
        let right = "";
        let moved = "error: wallet 1 is halted at 90.2 (it differs), not at 81.0: a resume of another place is never obeyed\n  \
                     hint: --expects 90.2, if its reason is gone";
        for (wallet, place, says) in [
            (1, "90.2", right),
            (1, "81.0", moved),
            (
                0,
                "90.2",
                "error: wallet 0 is not halted, as of position 120",
            ),
            (
                2,
                "90.2",
                "error: wallet 2 is not halted, as of position 120",
            ),
        ] {
            let said = is_halted_at(&found, wallet, typed_place(place).unwrap());
            let said = said.map_or_else(|failure| failure.to_string(), |()| String::new());
            assert_eq!(said, says, "{wallet} {place}");
        }
        let strange = serde_json::json!({ "wallets": [{ "wallet": 1, "halted": { "at": "x" } }] });
        assert!(is_halted_at(&strange, 1, At::default()).is_err());
    }

    #[test]
    fn what_is_said_is_what_was_typed_and_what_the_desk_shows() {
        let Event::PayoutResume(said) = resumed(3, "9.2", "mended").unwrap() else {
            panic!("a resume");
        };
        assert_eq!((said.wallet, said.expects.position), (3, 9));
        let Event::PayoutHalt(said) = halted(4, "they differ").unwrap() else {
            panic!("a halt");
        };
        assert_eq!((said.wallet, said.reason.as_str()), (4, "they differ"));
        let state = serde_json::json!({ "account": { "written_off": [7, 1] } });
        let anna = Account::parse("name:anna").unwrap();
        let Event::WriteOff(said) = written_off(&state, anna.clone(), "she left").unwrap() else {
            panic!("a write-off");
        };
        assert_eq!((said.expects.position, said.expects.index), (7, 1));
        assert_eq!(said.account, anna);
        assert!(written_off(&serde_json::json!({}), anna, "she left").is_err());
        assert!(halted(4, "").is_err() && resumed(3, "9.2", "a\nb").is_err());
    }
}
