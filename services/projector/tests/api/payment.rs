//! How an account is paid, as its page shows it.

use orebook_schema::account::{Registration, SetBy, Setting, SettingValue};
use orebook_schema::event::PolicyChange;
use orebook_schema::names::{RegisteredName, WorkerName};
use orebook_schema::{Account, At, Event};
use serde_json::{Value, json};

use crate::Api;
use crate::world::{World, genesis, named};

const NONE: At = At {
    position: 0,
    index: 0,
};

fn script(byte: &str) -> Account {
    Account::parse(&format!("script:{byte}")).expect("a script")
}

fn set(account: &Account, value: SettingValue, expects: u64) -> Event {
    Event::Setting(Box::new(Setting {
        account: account.clone(),
        expects: At {
            position: expects,
            index: 0,
        },
        by: SetBy::Operator,
        value,
        proof: Vec::new(),
    }))
}

fn payment(world: &World, account: &str) -> Value {
    let api = Api::over(world);
    api.get(&format!("/api/v1/accounts/{account}"))["payment"].clone()
}

#[test]
fn an_account_shows_its_address_what_waits_threshold_donation_and_registration() {
    let mut world = World::new();
    let mut policy = genesis().policy;
    policy.address_hold_ms = 60_000;
    let change = PolicyChange {
        expects: NONE,
        policy,
    };
    world.approved(Event::Policy(Box::new(change)));
    world.finalise();
    let nobody = payment(&world, "name:anna");
    let nothing = json!({
        "address": null, "pending": null, "threshold": "1000000", "own_threshold": false, "donation_ppm": 0,
        "pay_now": null, "registered": null,
    });
    assert_eq!(nobody, nothing);
    let rigs = ["a", "b"].map(|rig| WorkerName::parse(rig).expect("a name"));
    let since = world.desk(Event::Account(Box::new(Registration {
        name: RegisteredName::parse("anna").expect("a name"),
        expects: NONE,
        payout: script("51"),
        threshold: 7,
        token: None,
        registered_only: true,
        workers: rigs.to_vec(),
    })));
    let anna = named("anna");
    let first = world.desk(set(&anna, SettingValue::Address(script("52")), 0));
    let second = world.desk(set(&anna, SettingValue::Donation(25), first));
    let third = world.desk(set(&anna, SettingValue::PayNow, second));
    world.finalise();
    let waits = payment(&world, "name:anna");
    let pending = &waits["pending"];
    assert_eq!(
        (&waits["address"], &pending["address"]),
        (&json!("script:51"), &json!("script:52"))
    );
    assert_eq!(pending["at"], format!("{first}.0"));
    assert!(
        pending["holds_from"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z'))
    );
    assert_eq!(
        (&waits["threshold"], &waits["own_threshold"]),
        (&json!("7"), &json!(true))
    );
    assert_eq!(
        (&waits["donation_ppm"], &waits["pay_now"]),
        (&json!(25), &json!(format!("{third}.0")))
    );
    let registered = json!({
        "since": format!("{since}.0"), "token": false, "only_registered_workers": true, "workers": 2,
    });
    assert_eq!(waits["registered"], registered);
    // A minute of ledger time later it holds, without any event of hers.
    world.clock += 60_000;
    world.desk(Event::Heartbeat);
    world.finalise();
    let holds = payment(&world, "name:anna");
    assert_eq!(
        (&holds["address"], &holds["pending"]),
        (&json!("script:52"), &Value::Null)
    );
    // Whoever is paid at himself is no registered account.
    let other = payment(&world, "script:51");
    assert_eq!(
        (&other["address"], &other["registered"]),
        (&json!("script:51"), &Value::Null)
    );
}
