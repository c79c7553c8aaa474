//! Sessions that go on at a new connection.

use orebook_gateway::{AskedDifficulty, DifficultyRule, VardiffRule};
use serde_json::{Value, json};
use std::time::Duration;

use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup, UNIT, template, work};

fn setup() -> Setup {
    Setup {
        ports: vec![DifficultyRule::Vardiff(VardiffRule {
            start: work("0.000002"),
            min: work("0.000001"),
            max: work("0.01"),
            target: Duration::from_secs(3_600),
            retarget: Duration::from_secs(3_600),
            asked: AskedDifficulty::Start,
        })],
        ..Setup::default()
    }
}

/// A subscribed and authorized miner, with the id of its session and its number. Resumes what `id` says.
fn enter(pool: &Pool, id: &str) -> (Miner, String) {
    let mut miner = Miner::connect(pool.address(0));
    let reply = miner.ask("mining.subscribe", &json!(["test/1", id]));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let session = text(&reply["result"][0][1][1]);
    miner.extranonce1 = orebook_schema::units::unhex(&text(&reply["result"][1])).expect("hex");
    assert_eq!(code(&miner.authorize("name-a")), 0);
    miner.job();
    (miner, session)
}

#[test]
fn a_session_goes_on_with_its_number_its_jobs_and_its_difficulty() {
    let pool = Pool::start(&setup());
    pool.work_at(1, HARD);
    let (mut first, id) = enter(&pool, "");
    let easy = first.job();
    assert_eq!(
        code(&first.ask("mining.suggest_difficulty", &json!([0.00001]))),
        0
    );
    pool.work(template(1, HARD, 1));
    let hard = first.next_job();
    let (before, after) = (first.mine(&easy), first.mine(&easy));
    assert_eq!(code(&first.submit("name-a", &before)), 0);
    let number = first.extranonce1.clone();
    // Its machine lost power: nobody says good-bye, and the connection stands.
    let (mut second, same) = enter(&pool, &id);
    assert_eq!((&second.extranonce1, &same), (&number, &id));
    let job = second.job();
    assert_eq!(
        (job.id.as_str(), job.difficulty.as_str(), job.clean),
        (hard.id.as_str(), "0.00001", false),
        "what it had last, at once"
    );
    assert_eq!(code(&second.submit("name-a", &before)), 22);
    assert_eq!(
        code(&second.submit("name-a", &after)),
        0,
        "found before, at the difficulty of its job"
    );
    let found = second.mine(&job);
    assert_eq!(code(&second.submit("name-a", &found)), 0);
    assert!(first.is_closed());
    pool.until("the former connection has a named end", |metrics| {
        let counts = metrics.sessions.counts;
        (counts.closed.resumed, counts.resumed, counts.connections) == (1, 1, 1)
    });
    // And once more, after it has gone by itself; work has moved on meanwhile.
    drop(second);
    pool.until("it left", |metrics| {
        metrics.sessions.counts.connections == 0
    });
    pool.work_at(2, HARD);
    let (mut third, _) = enter(&pool, &id);
    assert_eq!(third.extranonce1, number);
    let job = third.job();
    assert_eq!((job.difficulty.as_str(), job.clean), ("0.00001", true));
    assert_eq!(
        code(&third.submit("name-a", &found)),
        22,
        "of the former parent"
    );
    let shares = pool.final_shares(3);
    let works: Vec<_> = shares.iter().map(|share| share.work).collect();
    let (easy, hard) = (work("0.000002"), work("0.00001"));
    assert_eq!(works, [easy, easy, hard]);
}

#[test]
fn a_job_keeps_its_difficulty_where_its_session_goes_on() {
    let pool = Pool::start(&setup());
    pool.work_at(1, HARD);
    let (mut first, id) = enter(&pool, "");
    let job = first.job();
    // Wanted, and not said yet: the job is too young to be replaced for it.
    let asked = first.ask("mining.suggest_difficulty", &json!([0.0001]));
    assert_eq!(code(&asked), 0);
    let (mut second, _) = enter(&pool, &id);
    let (low, high) = (work("0.000002").target(UNIT), work("0.0001").target(UNIT));
    let between = second.mine_between(&job, None, low, high);
    assert_eq!(code(&second.submit("name-a", &between)), 0);
    if second.job().id == job.id {
        assert_eq!(second.job().difficulty, "0.000002");
        second.next_job();
    }
    let harder = second.job();
    assert_eq!(harder.difficulty, "0.0001", "from the next job on");
}

#[test]
fn what_the_former_connection_asked_is_recorded_once_all_the_same() {
    let pool = Pool::start(&setup());
    pool.work_at(1, HARD);
    let (mut first, id) = enter(&pool, "");
    let job = first.job();
    let found: Vec<_> = (0..50).map(|_| first.mine(&job)).collect();
    for one in &found {
        first.send("mining.submit", &Miner::params("name-a", one));
    }
    let (mut second, _) = enter(&pool, &id);
    let mut codes: Vec<u64> = Vec::new();
    for one in &found {
        codes.push(code(&second.submit("name-a", one)));
    }
    assert!(codes.iter().all(|code| [0, 22].contains(code)), "{codes:?}");
    assert_eq!(pool.final_shares(50).len(), 50);
}

#[test]
fn an_id_of_another_process_and_a_guessed_one_give_a_new_session() {
    let pool = Pool::start(&setup());
    pool.work_at(1, HARD);
    let (mut victim, id) = enter(&pool, "");
    let number = &id[..8];
    let former = {
        let other = Pool::start(&setup());
        other.work_at(1, HARD);
        enter(&other, "").1
    };
    assert_ne!(former, id, "the first session of each");
    for guess in [
        number.to_owned(),
        format!("{number}0000000000000000"),
        former,
        id.to_uppercase() + "0",
        "x".repeat(64),
    ] {
        let (thief, other) = enter(&pool, &guess);
        assert_ne!(thief.extranonce1, victim.extranonce1, "{guess}");
        assert_ne!(other, id);
    }
    assert_eq!(
        victim.ask("mining.ping", &json!([]))["result"],
        json!("pong")
    );
    assert_eq!(pool.gateway.metrics().sessions.counts.closed.resumed, 0);
}
