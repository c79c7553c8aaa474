//! The list of a coinbase's outputs, as gateways ask for it.

use orebook_schema::event::PolicyChange;
use orebook_schema::names::{Account, Pot, Script};
use orebook_schema::work::BlockState;
use orebook_schema::{At, Event, Policy};
use serde_json::json;

use crate::Api;
use crate::world::{DIFFICULTY_1, World};

fn script(byte: u8) -> Account {
    Account::Script(Script::new(&[0x51, 1, byte]).expect("a script"))
}

/// Under a policy whose PPLNS pot pays by the coinbase: 3 of one account, 1 of another.
fn world() -> World {
    let mut world = World::new();
    let rules = |policy: &Policy| {
        let mut policy = policy.clone();
        for rules in policy.pots.iter_mut().filter(|rules| rules.pot == Pot(1)) {
            (rules.direct_min, rules.direct_outputs, rules.fee_ppm) = (100, 10, 0);
        }
        policy
    };
    let policy = {
        let reader = world.lock();
        let authority = reader.head().authority().expect("genesis");
        rules(&authority.newest_policy().1.expect("a policy").policy)
    };
    let expects = At::default();
    world.approved(Event::Policy(Box::new(PolicyChange { expects, policy })));
    world.finalise();
    let job = world.job(100, 100 * u128::from(DIFFICULTY_1));
    let (one, other) = (
        world.worker(&script(7), "rig", 1, 3 * DIFFICULTY_1),
        world.worker(&script(8), "rig", 1, DIFFICULTY_1),
    );
    world.shares(
        job,
        &[(one, 3 * DIFFICULTY_1, false), (other, DIFFICULTY_1, false)],
    );
    world.finalise();
    world
}

fn refusal(api: &Api, path: &str) -> String {
    let body: serde_json::Value =
        serde_json::from_str(&api.ask("GET", path, "").body).expect("JSON");
    body["error"].as_str().expect("a code").to_owned()
}

const ASKED: &str = "value=1000&fees=10&network_work=429496729600&room=100&sigops=400";

#[test]
fn a_gateway_is_told_what_its_coinbase_should_pay_and_where_that_stands() {
    let world = world();
    let api = Api::over(&world);
    let size = world.lock().final_size();
    let answer = api.get(&format!("/api/v1/pools/1/direct?{ASKED}"));
    assert_eq!(answer["direct"], size);
    assert_eq!(answer["as_of"], size);
    assert_eq!(answer["policy"], "2.0");
    assert!(answer["ledger_time_ms"].is_u64(), "{answer}");
    assert_eq!(
        answer["outputs"],
        json!([
            {"account": "script:510107", "script": "510107", "amount": 750},
            {"account": "script:510108", "script": "510108", "amount": 250},
        ])
    );
    assert_eq!(answer["pool"], 0);
    // Room for one of 12 bytes.
    let little = ASKED.replace("room=100", "room=23");
    let answer = api.get(&format!("/api/v1/pools/1/direct?{little}"));
    assert_eq!(answer["outputs"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["pool"], 250);
}

#[test]
fn questions_that_say_too_little_or_too_much_are_refused() {
    let api = Api::over(&world());
    for (path, code) in [
        (format!("/api/v1/pools/2/direct?{ASKED}"), "no_direct"),
        (format!("/api/v1/pools/9/direct?{ASKED}"), "no_direct"),
        (format!("/api/v1/pools/x/direct?{ASKED}"), "bad_pool"),
        ("/api/v1/pools/1/direct".to_owned(), "bad_query"),
        (
            format!("/api/v1/pools/1/direct?{ASKED}&position=3"),
            "bad_query",
        ),
    ] {
        assert_eq!(refusal(&api, &path), code, "{path}");
    }
    for (good, bad) in [
        ("value=1000", "value=9"),
        ("value=1000", "value=-1"),
        ("network_work=429496729600", "network_work=0"),
        ("network_work=429496729600", "network_work=01"),
        (
            "network_work=429496729600",
            "network_work=340282366920938463463374607431768211456",
        ),
        ("room=100", "room=16385"),
        ("sigops=400", "sigops=80001"),
    ] {
        let path = format!("/api/v1/pools/1/direct?{}", ASKED.replace(good, bad));
        assert_eq!(refusal(&api, &path), "bad_query", "{path}");
    }
    // The most that a number has.
    let most = ASKED.replace("429496729600", "340282366920938463463374607431768211455");
    assert_eq!(
        api.get(&format!("/api/v1/pools/1/direct?{most}"))["pool"],
        0
    );
}

/// The end of a coinbase that pays the pool 100, one account 300 and the other 50.
fn coinbase2() -> Vec<u8> {
    let mut bytes = vec![0xff, 0xff, 0xff, 0xff, 3];
    for (amount, script) in [
        (100u64, [0x51, 1, 1]),
        (300, [0x51, 1, 7]),
        (50, [0x51, 1, 8]),
    ] {
        bytes.extend(amount.to_le_bytes());
        bytes.push(3);
        bytes.extend(script);
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn what_a_coinbase_pays_is_on_its_way_until_its_block_is_confirmed_and_paid_then() {
    let mut world = world();
    let size = world.lock().final_size();
    let job = world.job_with(101, 100 * u128::from(DIFFICULTY_1), |job| {
        job.policy = At {
            position: 2,
            index: 0,
        };
        (job.direct, job.coinbase2) = (size, coinbase2());
    });
    let finder = world.worker(&script(8), "lucky", 1, DIFFICULTY_1);
    let block = world.block(finder, job, DIFFICULTY_1, 101);
    let at = world.status(block, 101, At::default(), BlockState::Immature);
    world.finalise();
    let shown = |api: &Api| {
        let books = &api.get("/api/v1/payouts")["books"];
        [
            "reserved",
            "reserved_by_coinbase",
            "paid",
            "paid_by_coinbase",
        ]
        .map(|book| books[book].as_str().expect("text").to_owned())
    };
    let api = Api::over(&world);
    assert_eq!(shown(&api), ["350", "350", "0", "0"]);
    world.status(block, 101, at, BlockState::Confirmed);
    world.finalise();
    let api = Api::over(&world);
    assert_eq!(shown(&api), ["0", "0", "350", "350"]);
    // 3 : 1 of 625,010,000, without a fee.
    for (whose, net, coinbase) in [(7, "468757500", "300"), (8, "156252500", "50")] {
        let account = api.get(&format!("/api/v1/accounts/{}", script(whose)));
        let credit = &account["credits"][0];
        assert_eq!(
            (&credit["net"], &credit["coinbase"]),
            (&json!(net), &json!(coinbase)),
            "{account}"
        );
        assert_eq!(account["balances"]["paid"], coinbase);
    }
}
