//! Payouts as the API shows them, from the proposal to the end, and what is missing for the next one.

use std::fmt::Write as _;

use orebook_schema::account::{SetBy, Setting, SettingValue};
use orebook_schema::desk::Reason;
use orebook_schema::payout::{PayoutCancelled, PayoutHalt, Step};
use orebook_schema::reconciled::{Reconciled, Report};
use orebook_schema::{At, Event, Hash};
use serde_json::{Value, json};

use crate::world::World;
use crate::world::payouts::{ANNA, BEN, account, at, mined, propose, signed, step};
use crate::{Api, assert_shapes};

/// Keys and types of these answers.
const GOLDEN: &str = include_str!("../golden_payouts.txt");

fn reason(text: &str) -> Reason {
    Reason::parse(text).expect("a reason")
}

/// Names of the conditions that are not met.
fn missing(api: &Api, account: &str) -> Vec<String> {
    let status = api.get(&format!("/api/v1/accounts/{account}/payout-status"));
    let conditions = status["conditions"].as_array().expect("a list");
    let unmet: Vec<String> = conditions
        .iter()
        .filter(|one| one["met"] == false)
        .map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(status["ready"], unmet.is_empty(), "{status}");
    unmet
}

fn detail(api: &Api, account: &str, name: &str) -> String {
    let status = api.get(&format!("/api/v1/accounts/{account}/payout-status"));
    let conditions = status["conditions"].as_array().expect("a list");
    let one = conditions.iter().find(|one| one["name"] == name);
    let one = one.unwrap_or_else(|| panic!("no {name} in {status}"));
    one["detail"].as_str().expect("text").to_owned()
}

fn balance(api: &Api, account: &str, book: &str) -> String {
    let view = api.get(&format!("/api/v1/accounts/{account}"));
    view["balances"][book].as_str().expect("text").to_owned()
}

#[test]
fn a_batch_is_shown_from_its_proposal_to_its_end_with_the_blocks_that_each_line_pays() {
    let mut world = World::new();
    let [first, _] = mined(&mut world);
    let api = Api::over(&world);
    let none = api.get("/api/v1/payouts");
    assert_eq!(
        (&none["payouts"], &none["wallets"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(none["books"]["paid"], "0");
    assert_eq!(missing(&api, ANNA), Vec::<String>::new());
    drop(api);
    let lines = [(ANNA, 200_000_000), (BEN, 100_000_000)];
    let (proposed, digest) = propose(&mut world, 0, &lines, 1, first);
    world.finalise();
    let api = Api::over(&world);
    let page = api.get("/api/v1/payouts");
    let batch = &page["payouts"][0];
    assert_eq!(
        (
            &batch["state"],
            &batch["at"],
            &batch["total"],
            &batch["digest"]
        ),
        (
            &json!("waits"),
            &json!(proposed.to_string()),
            &json!("300000000"),
            &json!(digest.to_string())
        )
    );
    assert_eq!(
        batch["approvals"],
        json!({"had": 0, "needed": 1, "approved": null})
    );
    assert_eq!(
        (&page["books"]["reserved"], &page["books"]["paid"]),
        (&json!("300000000"), &json!("0"))
    );
    assert_eq!(balance(&api, ANNA, "reserved"), "200000000");
    assert_eq!(missing(&api, ANNA), ["batch", "approvals"]);
    assert_eq!(
        detail(&api, ANNA, "approvals"),
        "batch 0 has 0 of 1 approvals"
    );
    drop(api);
    let approved = world.approve(digest);
    let mut last = signed(&mut world, 0, 0, At::default(), 9);
    for (what, name) in [(Step::Broadcast, 9), (Step::Seen, 9), (Step::Confirmed, 9)] {
        last = step(&mut world, 0, 0, last, what, name);
    }
    world.finalise();
    let api = Api::over(&world);
    let page = api.get("/api/v1/payouts");
    let batch = &page["payouts"][0];
    let at = format!("{approved}.0");
    assert_eq!(
        batch["approvals"],
        json!({"had": 1, "needed": 1, "approved": at})
    );
    assert_eq!(
        (&batch["state"], &batch["cost"]),
        (&json!("confirmed"), &json!("4500"))
    );
    let books = &page["books"];
    assert_eq!(
        [
            &books["reserved"],
            &books["paid"],
            &books["network_fees"],
            &books["wallet"]
        ],
        ["0", "300000000", "-4500", "4500"]
    );
    assert_eq!(page["wallets"][0]["free"], true);
    assert_eq!(
        (balance(&api, ANNA, "paid"), balance(&api, ANNA, "reserved")),
        ("200000000".to_owned(), "0".to_owned())
    );

    // The chain's explorers show bytes reversed: what is first here is last there.
    let shown = format!("{}01", "09".repeat(31));
    let detail = api.get("/api/v1/payouts/0/0");
    let line = &detail["lines"][0];
    assert_eq!(
        [
            &line["account"],
            &line["amount"],
            &line["sent"],
            &line["state"],
            &line["txid"]
        ],
        [ANNA, "200000000", "200000000", "confirmed", shown.as_str()]
    );
    let mut said = String::new();
    for step in detail["transactions"][0]["steps"]
        .as_array()
        .expect("a list")
    {
        write!(
            said,
            "{} {} ",
            step["what"].as_str().expect("a word"),
            step["height"]
        )
        .expect("text");
    }
    assert_eq!(said, "signed null broadcast null seen null confirmed 120 ");
    let whole: Vec<&Value> = detail["steps"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|step| &step["what"])
        .collect();
    assert_eq!(whole, ["proposed", "approved"]);
    assert_eq!(detail["payout"], page["payouts"][0]);

    // Anna's line is of the one block that is confirmed.
    let of = api.get(&format!("/api/v1/payouts/0/0/{ANNA}"));
    let pays = of["pays"].as_array().expect("a list");
    let credit = &api.get(&format!("/api/v1/accounts/{ANNA}"))["credits"][1];
    assert_eq!(pays.len(), 1, "{of}");
    assert_eq!(
        (&pays[0]["source"], &pays[0]["height"], &pays[0]["hash"]),
        (&json!("block"), &json!(100), &credit["hash"])
    );
    assert_eq!(pays[0]["amount_sub_units"], "200000000000000000");
    assert_eq!(pays[0]["of_sub_units"], credit["amount_sub_units"]);
    assert_eq!(of["uncovered_sub_units"], "0");
    assert_eq!(of["line"], *line);
    let own = api.get(&format!("/api/v1/accounts/{ANNA}/payouts"));
    assert_eq!(own["payouts"], json!([line]));
    let nobody = api.ask("GET", "/api/v1/payouts/0/0/script:0014cc", "");
    assert!(
        nobody.status == 404 && nobody.body.contains("no_payout"),
        "{}",
        nobody.body
    );
    assert_shapes(
        &api,
        &[
            "/api/v1/payouts",
            "/api/v1/payouts/0/0",
            &format!("/api/v1/payouts/0/0/{ANNA}"),
            &format!("/api/v1/accounts/{ANNA}/payouts"),
            &format!("/api/v1/accounts/{ANNA}/payout-status"),
        ],
        GOLDEN,
    );
    assert_eq!(api.ask("GET", "/api/v1/payouts/0/1", "").status, 404);
    assert_eq!(api.ask("GET", "/api/v1/payouts/0/x", "").status, 400);
}

#[test]
fn each_missing_precondition_is_named_and_a_line_that_comes_back_pays_nothing() {
    let mut world = World::new();
    let blocks = mined(&mut world);
    let api = Api::over(&world);
    let nobody = "name:zoe";
    assert_eq!(
        missing(&api, nobody),
        ["available", "threshold", "pay_now", "address"]
    );
    assert_eq!(detail(&api, nobody, "address"), "no address was ever named");
    drop(api);
    let set = |value, expects| {
        Event::Setting(Box::new(Setting {
            account: account(ANNA),
            expects,
            by: SetBy::Operator,
            value,
            proof: Vec::new(),
        }))
    };
    let threshold = at(world.desk(set(SettingValue::Threshold(1 << 60), At::default())));
    let halt = PayoutHalt {
        wallet: 0,
        reason: reason("two digests differ"),
    };
    let halted = world.paymaster(&[Event::PayoutHalt(Box::new(halt))]);
    world.finalise();
    let api = Api::over(&world);
    assert_eq!(missing(&api, ANNA), ["threshold", "pay_now", "halt"]);
    assert!(
        detail(&api, ANNA, "threshold").ends_with("below 1152921504606846976, its own threshold")
    );
    assert_eq!(
        detail(&api, ANNA, "halt"),
        format!("wallet 0 is halted since {halted}.0: two digests differ")
    );
    let wallet = &api.get("/api/v1/payouts")["wallets"][0];
    assert_eq!(wallet["halted"]["reason"], "two digests differ");
    drop(api);
    let asked = world.desk(set(SettingValue::PayNow, threshold));
    world.finalise();
    let api = Api::over(&world);
    assert_eq!(missing(&api, ANNA), ["halt"]);
    assert_eq!(
        detail(&api, ANNA, "pay_now"),
        format!("payment at once was asked for at {asked}.0")
    );
    drop(api);

    // In another pool: three batches, the second of which comes back; the lists come in pages.
    let mut world = World::new();
    let _ = blocks;
    let [first, _] = mined(&mut world);
    for batch in 0..3 {
        let (_, digest) = propose(
            &mut world,
            batch,
            &[(ANNA, 10_000_000), (BEN, 20_000_000)],
            2,
            first,
        );
        world.approve(digest);
        for tx in 0..2 {
            if batch == 1 && tx == 0 {
                let cancelled = PayoutCancelled {
                    wallet: 0,
                    batch,
                    tx,
                    expects: At::default(),
                    by: None,
                    height: 0,
                    fee: 0,
                    reason: reason("no such address"),
                };
                world.paymaster(&[Event::PayoutCancelled(Box::new(cancelled))]);
                continue;
            }
            let name = u8::try_from(10 * batch + u64::from(tx)).expect("small") + 16;
            let last = signed(&mut world, batch, tx, At::default(), name);
            let last = step(&mut world, batch, tx, last, Step::Confirmed, name);
            step(&mut world, batch, tx, last, Step::Final, name);
        }
    }
    world.finalise();
    let api = Api::over(&world);
    let paged = |path: &str, list: &str, key: &str| -> Vec<Value> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = api.get(&format!("{path}?limit=1{cursor}"));
            let found = page[list].as_array().expect("a list");
            rows.extend(found.iter().map(|row| row[key].clone()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    };
    assert_eq!(paged("/api/v1/payouts", "payouts", "batch"), [2, 1, 0]);
    let own = format!("/api/v1/accounts/{ANNA}/payouts");
    assert_eq!(
        paged(&own, "payouts", "state"),
        ["final", "cancelled", "final"]
    );
    assert_eq!(
        paged("/api/v1/payouts/0/1", "lines", "state"),
        ["cancelled", "final"]
    );
    let page = api.get("/api/v1/payouts");
    let states = [0, 1, 2].map(|index| page["payouts"][index]["state"].clone());
    assert_eq!(states, ["final", "final", "final"]);
    assert_eq!(
        page["payouts"][1]["states"],
        json!([{"state": "final", "count": 1}, {"state": "cancelled", "count": 1}])
    );
    assert_eq!(page["books"]["paid"], "80000000");
    let back = api.get(&format!("/api/v1/payouts/0/1/{ANNA}"));
    assert_eq!(
        (&back["pays"], &back["uncovered_sub_units"]),
        (&json!([]), &json!("0"))
    );
    // What is left of her credits is what she has available: two of her three lines took.
    assert_eq!(balance(&api, ANNA, "paid"), "20000000");
    let last = api.get(&format!("/api/v1/payouts/0/2/{ANNA}"));
    assert_eq!(last["pays"][0]["amount_sub_units"], "10000000000000000");
}

#[test]
fn reconciliations_are_shown_newest_first_with_what_they_found() {
    let mut world = World::new();
    let [first, _] = mined(&mut world);
    propose(&mut world, 0, &[(ANNA, 10_000_000)], 1, first);
    let said = |position, report: &str| {
        Event::Reconciled(Box::new(Reconciled {
            wallet: 0,
            compared_position: position,
            money: Hash([7; 32]),
            wallet_expected: 5_000_000_000,
            wallet_found: 4_999_999_000,
            transactions: 3,
            blocks: 2,
            differences: u32::try_from(report.lines().count()).expect("few"),
            report: Report::parse(report).expect("a report"),
        }))
    };
    let equal = world.paymaster(&[said(1, "")]);
    let differs = world.paymaster(&[said(2, "batch 0 tx 0: one thing\nthe wallet: another")]);
    world.finalise();
    let api = Api::over(&world);
    let page = api.get("/api/v1/reconciliations?limit=1");
    let [newest] = page["reconciliations"]
        .as_array()
        .expect("a list")
        .as_slice()
    else {
        panic!("one: {page}");
    };
    assert_eq!(newest["at"], format!("{differs}.0"));
    assert_eq!(
        (&newest["wallet"], &newest["differences"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(
        newest["report"],
        json!(["batch 0 tx 0: one thing", "the wallet: another"])
    );
    assert_eq!(
        (&newest["expected"], &newest["found"]),
        (&json!("5000000000"), &json!("4999999000"))
    );
    assert_eq!(
        (&newest["transactions"], &newest["blocks"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(newest["money"], "07".repeat(32));
    let next = page["next"].as_str().expect("there is another");
    let page = api.get(&format!("/api/v1/reconciliations?cursor={next}"));
    let older = &page["reconciliations"][0];
    assert_eq!(
        (&older["at"], &older["report"]),
        (&json!(format!("{equal}.0")), &json!([]))
    );
    assert_eq!(
        (&older["compared_position"], &page["next"]),
        (&json!(1), &Value::Null)
    );
}
