//! What people did by hand, and what the mirror says of itself.

use orebook_projector::MirrorSays;
use orebook_schema::desk::{
    AdjustedBook, Adjustment, Ban, BanAction, BanTarget, Direction, Network, Reason,
};
use orebook_schema::{At, Event};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::Api;
use crate::world::{START, World, named};

fn reason(text: &str) -> Reason {
    Reason::parse(text).expect("a reason")
}

fn ban(target: &BanTarget, action: BanAction, until_ms: u64, expects: u64) -> Event {
    Event::Ban(Box::new(Ban {
        target: target.clone(),
        action,
        until_ms,
        expects: At {
            position: expects,
            index: 0,
        },
        reason: reason("botnet"),
    }))
}

fn adjust(name: &str, direction: Direction, amount: u128, expects: u64) -> Event {
    Event::Adjustment(Box::new(Adjustment {
        account: named(name),
        expects: At {
            position: expects,
            index: 0,
        },
        book: AdjustedBook::Reserve,
        direction,
        amount,
        block: None,
        reason: reason("a gift"),
    }))
}

/// All rows of a list, in pages of one.
fn paged(api: &Api, path: &str, list: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.get(&format!("{path}limit=1{cursor}"));
        let found = page[list].as_array().expect("a list");
        assert!(found.len() <= 1);
        rows.extend(found.iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={}", next.replace('@', "%40")),
            None => return rows,
        }
    }
}

#[test]
fn bans_and_adjustments_are_the_desks_last_words() {
    let mut world = World::new();
    let (anna, ben) = (
        BanTarget::Account(named("anna")),
        BanTarget::Account(named("ben")),
    );
    let net = BanTarget::Network(Network::new(&[10, 0, 0, 0], 8).expect("a network"));
    let first = world.desk(ban(&anna, BanAction::Ban, 0, 0));
    let ended = world.desk(ban(&ben, BanAction::Ban, START, 0));
    let of_net = world.desk(ban(&net, BanAction::Ban, START + 86_400_000, 0));
    let lifted = world.desk(ban(&anna, BanAction::Lift, 0, first));
    let given = world.approved(adjust("anna", Direction::ToAccount, 3_000_000_007, 0));
    let taken = world.approved(adjust("anna", Direction::FromAccount, 1_000_000_000, given));
    let refused = world.approved(adjust("anna", Direction::ToAccount, 1, given));
    let of_zoe = world.approved(adjust("zoe", Direction::ToAccount, 1, 0));
    world.clock += 1_000;
    world.finalise();
    let api = Api::over(&world);
    let place = |position: u64| Value::from(format!("{position}.0"));
    let approval = |position: u64| Value::from(format!("{position}.1"));

    let bans = api.get("/api/v1/bans");
    assert_eq!(bans["next"], Value::Null);
    let whole = bans["bans"].as_array().expect("a list").clone();
    let said: Vec<_> = whole
        .iter()
        .map(|ban| {
            (
                ban["target"].clone(),
                ban["state"].clone(),
                ban["at"].clone(),
            )
        })
        .collect();
    let expected = [
        (json!("name:ben"), json!("ended"), place(ended)),
        (json!("name:anna"), json!("lifted"), place(lifted)),
        (json!("10.0.0.0/8"), json!("banned"), place(of_net)),
    ];
    assert_eq!(said, expected);
    assert_eq!(whole[0]["reason"], "botnet");
    assert_eq!(whole[0]["effective"], ended);
    assert_eq!(whole[1]["until"], Value::Null);
    assert_eq!(whole[2]["kind"], "network");
    assert_eq!(paged(&api, "/api/v1/bans?", "bans"), whole);

    let all = api.get("/api/v1/adjustments")["adjustments"].clone();
    let all = all.as_array().expect("a list");
    let said: Vec<_> = all
        .iter()
        .map(|row| {
            let of = |key: &str| row[key].clone();
            (
                of("account"),
                of("to_account"),
                of("amount_sub_units"),
                of("taken"),
            )
        })
        .collect();
    let (anna, zoe) = (json!("name:anna"), json!("name:zoe"));
    assert_eq!(
        said,
        [
            (zoe, json!(true), json!("1"), approval(of_zoe)),
            (
                anna.clone(),
                json!(true),
                json!("3000000007"),
                approval(given)
            ),
            (
                anna.clone(),
                json!(false),
                json!("1000000000"),
                approval(taken)
            ),
            (anna, json!(true), json!("1"), Value::Null),
        ]
    );
    assert_eq!(all[1]["amount"], "3");
    assert_eq!(all[1]["book"], "reserve");
    assert_eq!(all[3]["at"], place(refused));
    assert_eq!(paged(&api, "/api/v1/adjustments?", "adjustments"), *all);
    // Of one account, newest first.
    let mut own: Vec<Value> = all[1..].to_vec();
    own.reverse();
    let path = "/api/v1/adjustments?account=name:anna&";
    assert_eq!(paged(&api, path, "adjustments"), own);
    let balances = api.get("/api/v1/accounts/name:anna")["sub_units"].clone();
    assert_eq!(balances["available"], "2000000007");
}

#[test]
fn who_may_not_see_networks_sees_banned_accounts_only() {
    let mut world = World::new();
    let net = BanTarget::Network(Network::new(&[10, 0, 0, 0], 8).expect("a network"));
    world.desk(ban(&net, BanAction::Ban, 0, 0));
    world.desk(ban(
        &BanTarget::Account(named("anna")),
        BanAction::Ban,
        0,
        0,
    ));
    world.finalise();
    let api = Api::with(&world, |config| config.show_networks = false);
    let bans = api.get("/api/v1/bans?limit=1");
    assert_eq!(bans["bans"].as_array().map(Vec::len), Some(1));
    assert_eq!(bans["bans"][0]["target"], "name:anna");
    assert!(!bans.to_string().contains("10.0.0.0"));
    assert_eq!(paged(&api, "/api/v1/bans?", "bans").len(), 1);
}

#[test]
fn readyz_says_why_the_mirror_waits_and_stays_ready_while_the_log_is_away() {
    let says = |text: Option<&str>| -> Arc<orebook_projector::Says> {
        let text = text.map(ToOwned::to_owned);
        Arc::new(move || text.clone())
    };
    let world = World::new();
    let gone = "the topic begins at 7; no peer is configured; see docs/runbooks/topic-trimmed.md";
    let away = "no broker; see docs/runbooks/broker-lost.md";
    for (waits, trouble, status) in [
        (None, None, 200),
        (None, Some(away), 200),
        (Some(gone), None, 503),
        (Some(gone), Some(away), 503),
    ] {
        let api = Api::with(&world, |config| {
            config.mirror = MirrorSays {
                waits: says(waits),
                trouble: says(trouble),
            };
        });
        let answer = api.ask("GET", "/readyz", "");
        assert_eq!(answer.status, status, "{}", answer.body);
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(body["why"], json!(waits), "{body}");
        assert_eq!(body["log"], json!(trouble), "{body}");
    }
}

#[test]
fn a_reserve_below_zero_is_shown_as_it_is() {
    let mut world = World::new();
    let shown = |world: &World| {
        let api = Api::over(world);
        let text = api.ask("GET", "/metrics", "").body;
        let reserve = "orebook_book_balance{book=\"reserve\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(reserve));
        let books = api.get("/api/v1/payouts")["books"].clone();
        (line.map(str::to_owned), books["reserve"].clone())
    };
    // A sub-unit below zero is below zero: figures are rounded down.
    let given = world.approved(adjust("anna", Direction::ToAccount, 1, 0));
    world.finalise();
    let (line, book) = shown(&world);
    assert_eq!((line.as_deref(), book), (Some("-1"), json!("-1")));
    world.approved(adjust("anna", Direction::FromAccount, 2_000_000_001, given));
    world.finalise();
    let (line, book) = shown(&world);
    assert_eq!((line.as_deref(), book), (Some("2"), json!("2")));
}
