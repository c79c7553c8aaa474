//! Bans and adjustments from what people type.

use std::net::IpAddr;

use orebook_chain::address::{self, Network as Coin};
use orebook_schema::desk::{
    AdjustedBook, Adjustment, Ban, BanAction, BanTarget, Direction, Network, Reason,
};
use orebook_schema::{Account, At, Event};
use serde_json::Value;

use super::args::{AdjustArgs, BookName, TargetArgs};
use super::make::{hash, place, strange};
use crate::Failure;

/// One ban in words.
pub(super) fn words(ban: &Value) -> String {
    let text = |name: &str| ban[name].as_str().unwrap_or("?").to_owned();
    let until = match ban["until_ms"].as_u64() {
        Some(0) | None => String::new(),
        Some(until) => format!(" until {until}"),
    };
    format!(
        "{:<4}{until}  {}  {}",
        text("action"),
        text("target"),
        text("reason")
    )
}

/// An account by a payout address of the ledger's coin, or by its canonical text.
pub(super) fn account(state: &Value, text: &str) -> Result<Account, Failure> {
    if let Some(account) = Account::parse(text) {
        return Ok(account);
    }
    let coin = state["coin"].as_str().ok_or_else(|| strange("coin"))?;
    let coin = Coin::of_coin(coin)
        .ok_or_else(|| Failure::new(format!("addresses of {coin} are not known")))?;
    address::account(text, coin).map_err(|error| Failure::new(format!("{text}: {error}")))
}

/// A network as people write it; a ban's has a shortest prefix of its own.
fn network(text: &str) -> Option<Network> {
    let (address, prefix) = orebook_gateway::Network::parse(text).ok()?.parts();
    match address {
        IpAddr::V4(address) => Network::new(&address.octets(), prefix),
        IpAddr::V6(address) => Network::new(&address.octets(), prefix),
    }
}

fn target(state: &Value, args: &TargetArgs) -> Result<BanTarget, Failure> {
    match (&args.account, &args.network) {
        (Some(text), _) => account(state, text).map(BanTarget::Account),
        (None, Some(text)) => network(text).map(BanTarget::Network).ok_or_else(|| {
            Failure::new(format!("{text} is no network"))
                .hint("an address, or the first address of a network and its prefix: 192.0.2.0/24")
        }),
        (None, None) => Err(Failure::new("give --account or --network")),
    }
}

pub(super) fn reason(text: &str) -> Result<Reason, Failure> {
    Reason::parse(text)
        .ok_or_else(|| Failure::new("a reason is 1 to 200 printable ASCII characters"))
}

/// What the next word on a target must expect.
fn expects(state: &Value, target: &BanTarget) -> Result<At, Failure> {
    let bans = state["bans"].as_array().ok_or_else(|| strange("bans"))?;
    let text = target.to_string();
    match bans.iter().find(|ban| ban["target"] == text.as_str()) {
        Some(ban) => place(&ban["at"]).ok_or_else(|| strange("place of a ban")),
        None => Ok(At::default()),
    }
}

/// A ban, until a time or its lift.
pub(super) fn added(
    state: &Value,
    args: &TargetArgs,
    until_ms: Option<u64>,
    why: &str,
) -> Result<Event, Failure> {
    said(state, args, BanAction::Ban, until_ms.unwrap_or(0), why)
}

/// A ban goes.
pub(super) fn lifted(state: &Value, args: &TargetArgs, why: &str) -> Result<Event, Failure> {
    said(state, args, BanAction::Lift, 0, why)
}

fn said(
    state: &Value,
    args: &TargetArgs,
    action: BanAction,
    until_ms: u64,
    why: &str,
) -> Result<Event, Failure> {
    let target = target(state, args)?;
    let expects = expects(state, &target)?;
    Ok(Event::Ban(Box::new(Ban {
        target,
        action,
        until_ms,
        expects,
        reason: reason(why)?,
    })))
}

/// Money moved by hand.
pub(super) fn adjusted(
    state: &Value,
    account: Account,
    args: &AdjustArgs,
) -> Result<Event, Failure> {
    let (direction, amount) = match (args.way.give, args.way.take) {
        (Some(amount), _) => (Direction::ToAccount, amount),
        (None, Some(amount)) => (Direction::FromAccount, amount),
        (None, None) => return Err(Failure::new("give --give or --take")),
    };
    let expects = state.pointer("/account/adjusted").and_then(place);
    let event = Event::Adjustment(Box::new(Adjustment {
        account,
        expects: expects.ok_or_else(|| strange("last adjustment of the account"))?,
        book: match args.book {
            BookName::Reserve => AdjustedBook::Reserve,
            BookName::Donation => AdjustedBook::Donation,
            BookName::Fee => AdjustedBook::Fee,
            BookName::Rounding => AdjustedBook::Rounding,
        },
        direction,
        amount,
        block: args.block.as_deref().map(hash).transpose()?,
        reason: reason(&args.reason)?,
    }));
    if event.is_legal() {
        Ok(event)
    } else {
        Err(Failure::new(
            "the amount is outside of its limits: 1 to 2^80 base units",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_address_and_its_prefix_without_bits_after_it() {
        for (text, shown) in [
            ("192.0.2.0/24", Some("192.0.2.0/24")),
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("192.0.2.7/24", None),
            ("192.0.2.0/33", None),
            ("10.0.0.0/7", None),
            (
                "2001:db8::/32",
                Some("2001:0db8:0000:0000:0000:0000:0000:0000/32"),
            ),
            ("2001:db8::1/32", None),
            ("nowhere", None),
            ("192.0.2.0/x", None),
        ] {
            let read = network(text).map(|network| network.to_string());
            assert_eq!(read.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn a_ban_expects_the_targets_last_one_and_an_account_is_an_address_of_the_coin() {
        let state = serde_json::json!({
            "coin": "dev",
            "bans": [{ "target": "network:192.0.2.0/24", "at": [7, 2] }],
        });
        let at = |network: &str| {
            let args = TargetArgs {
                account: None,
                network: Some(network.to_owned()),
            };
            match added(&state, &args, None, "floods").unwrap() {
                Event::Ban(ban) => (ban.expects.position, ban.expects.index),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(at("192.0.2.0/24"), (7, 2));
        assert_eq!(at("192.0.2.0/25"), (0, 0), "another target");
        let text = "ob1q2aul8m749aphmnrea66ajddz0ga2mxea5venuu";
        let known = account(&state, text).unwrap();
        assert_eq!(account(&state, &known.to_string()).unwrap(), known);
        assert!(account(&state, "nobody").is_err());
        assert!(reason("").is_err() && reason("a\nb").is_err());
    }
}
