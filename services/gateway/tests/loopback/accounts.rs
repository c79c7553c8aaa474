//! Registered accounts at the login: known without a restart, in any case, also with everything else down.

use orebook_gateway::{EdgeConfig, REGISTER_DEFAULT};
use orebook_schema::account::Registration;
use orebook_schema::activity::{Entry, LoginFault};
use orebook_schema::names::{Account, RegisteredName, WorkerName};
use orebook_schema::{At, Event};
use serde_json::{Value, json};

use crate::miner::{Miner, code};
use crate::others::Desk;
use crate::pool::{HARD, Ledger, Pool, Setup, workers};

fn register(desk: &mut Desk, ledger: &Ledger, name: &str, registered_only: bool, rigs: &[&str]) {
    let name = RegisteredName::parse(name).expect("a name");
    let rigs = rigs
        .iter()
        .map(|rig| WorkerName::parse(rig).expect("a name"));
    let event = Event::Account(Box::new(Registration {
        expects: ledger.registered_at(&name),
        name,
        payout: Account::parse("script:51").expect("a script"),
        threshold: 0,
        token: None,
        registered_only,
        workers: rigs.collect(),
    }));
    desk.says(ledger, event);
}

/// What a login is answered on a connection of its own.
fn login(pool: &Pool, user: &str) -> (u64, Value) {
    let mut miner = Miner::connect(pool.address(0));
    miner.subscribe();
    let reply = miner.authorize(user);
    (code(&reply), reply["error"][1].clone())
}

fn until_heard(what: &str, is_heard: impl Fn() -> bool) {
    let heard = (0..400).any(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
        is_heard()
    });
    assert!(heard, "the gateway does not hear of {what}");
}

#[test]
fn a_registered_name_is_served_from_when_it_is_final_on_and_after_a_start_with_everything_down() {
    let pool = Pool::start(&Setup::default());
    pool.work_at(1, HARD);
    let mut other = Miner::ready(pool.address(0), "name-b");
    let why =
        format!("a login begins with name-; and no account anna is registered: {REGISTER_DEFAULT}");
    assert_eq!(login(&pool, "anna.rig1"), (24, json!(why)));
    let mut desk = Desk::new();
    assert_eq!(
        pool.ledger
            .registered_at(&RegisteredName::parse("anna").expect("a name")),
        At::default()
    );
    register(&mut desk, &pool.ledger, "anna", false, &[]);
    until_heard("the name", || login(&pool, "anna.rig1").0 == 0);
    // Whoever was inside noticed nothing, and every spelling is one account.
    let job = other.job();
    let found = other.mine(&job);
    assert_eq!(code(&other.submit("name-b", &found)), 0);
    let mut anna = Miner::ready(pool.address(0), "ANNA/rig1");
    let job = anna.job();
    let found = anna.mine(&job);
    assert_eq!(code(&anna.submit("ANNA/rig1", &found)), 0);
    assert_eq!(pool.final_shares(2).len(), 2);
    let said = workers(&pool.ledger.events());
    let said: Vec<String> = said
        .iter()
        .map(|worker| worker.account.to_string())
        .collect();
    assert!(said.contains(&"name:anna".to_owned()), "{said:?}");
    // A mistyped address is no name, and is not told of names.
    let long = "x".repeat(34);
    assert_eq!(
        login(&pool, &long),
        (24, json!("a login begins with name-"))
    );
    let ledger = pool.stop();
    ledger.log.set_down(true);
    let pool = Pool::on(ledger, &Setup::default());
    pool.work_at(2, HARD);
    assert_eq!(login(&pool, "anna").0, 0);
    assert_eq!(login(&pool, "ann").0, 24);
}

#[test]
fn where_only_registered_workers_may_mine_a_cluster_that_came_too_early_is_told_why_and_counted() {
    let hint = "register at https://pool.example/";
    let setup = Setup {
        edge: EdgeConfig {
            register: hint.to_owned(),
            ..EdgeConfig::default()
        },
        ..Setup::default()
    };
    let pool = Pool::start(&setup);
    pool.work_at(1, HARD);
    let mut desk = Desk::new();
    register(&mut desk, &pool.ledger, "farm", true, &["a"]);
    until_heard("the farm", || login(&pool, "farm.a").0 == 0);
    let files = pool.ledger.path("gateway").join("accounts");
    until_heard("its file", || files.exists());
    let before = std::fs::read(&files).expect("the file");
    let failed_before = pool.gateway.metrics().sessions.counts.failed_logins;
    let why = |rig: &str| {
        json!(format!(
            "only registered workers may mine for farm, and {rig} is none: {hint}"
        ))
    };
    for rig in ["b", "A", "default"] {
        let user = if rig == "default" {
            "farm".to_owned()
        } else {
            format!("farm.{rig}")
        };
        assert_eq!(login(&pool, &user), (24, why(rig)));
    }
    // The name in the password is the one that counts.
    let mut miner = Miner::connect(pool.address(0));
    miner.subscribe();
    let reply = miner.ask("mining.authorize", &json!(["farm.b", "id=a"]));
    assert_eq!(code(&reply), 0, "{reply}");
    pool.until("each is counted", |metrics| {
        metrics.sessions.counts.failed_logins == failed_before + 3
    });
    assert_eq!(
        std::fs::read(&files).expect("the file"),
        before,
        "no store is touched"
    );
    // The rest comes, without a restart.
    register(&mut desk, &pool.ledger, "farm", true, &["b"]);
    until_heard("the second batch", || login(&pool, "farm.b").0 == 0);
    assert_eq!(login(&pool, "farm.a").0, 0, "the first batch stays");
    register(&mut desk, &pool.ledger, "farm", false, &[]);
    until_heard("the flag", || login(&pool, "farm.new").0 == 0);
    let reports = pool.stop().reports();
    let entries = reports.iter().flat_map(|report| &report.entries);
    let told: u64 = entries
        .map(|entry| match entry {
            Entry::FailedLogins {
                reason: LoginFault::Unregistered,
                group,
                ..
            } => group.count,
            _ => 0,
        })
        .sum();
    assert!(3 <= told, "{told}");
}
