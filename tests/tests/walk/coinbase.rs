//! Coinbases that pay accounts, on the development chain: what the books say was paid, and what they hold until blocks are
//! confirmed, is what the chain has for the accounts, to the last unit, through reorganisations and a kill -9.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orebook_chain::address::{Network, parse};
use orebook_chain::dev::{DevChain, DevConfig, bits_of_difficulty};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::WorkUnit;
use orebook_tests::orebook_binary;
use orebook_tests::pool::{DEADLINE, Pool};
use serde_json::Value;

use crate::books;
use crate::rig::Working;

/// Blocks slow enough for lists to stand behind them, and a paymaster that only plans: coinbases alone pay.
const CONFIG: &str = r#"
[[pool.pot]]
pot = 0
scheme = "pplns"
direct_min = 1000
direct_outputs = 10

[development]
difficulty = "0.00005"
block_seconds = 5
maturity = 3
foreign_one_in = 9
orphan_one_in = 5
miners = []

[http]
listen = "127.0.0.1:0"

[settler]
poll_ms = 100
grace_ms = 2000

[[gateway]]
direct = { each_s = 1 }
[[gateway.port]]
listen = "127.0.0.1:0"
difficulty = "0.000002"

[wallet]
dry_run = true
"#;
const MINERS: [&str; 2] = [
    "ob1q2aul8m749aphmnrea66ajddz0ga2mxea5venuu",
    "ob1qh5cxgfwcw0wra8732g8xjw256mtqt69ddndjl4",
];

/// Heights of blocks of these states.
fn heights(pool: &Pool, states: &[&str]) -> BTreeSet<u64> {
    let found = pool.json("/api/v1/pools/0/blocks?limit=200");
    let blocks = found["blocks"].as_array().expect("a list");
    let is_one = |block: &&Value| states.contains(&block["state"].as_str().expect("a state"));
    let heights = blocks.iter().filter(is_one);
    heights
        .map(|block| block["height"].as_u64().expect("a height"))
        .collect()
}

/// A balance of a miner in base units: books keep no part of one there.
fn balance(pool: &Pool, miner: &str, book: &str) -> u128 {
    let account = pool.json(&format!("/api/v1/accounts/{miner}"));
    let text = account["balances"][book].as_str().expect("base units");
    text.parse().expect("a number")
}

/// Blocks whose coinbases paid somebody for good. One alone may pay both.
fn paid_by(pool: &Pool) -> BTreeSet<String> {
    let mut paid = BTreeSet::new();
    for miner in MINERS {
        let account = pool.json(&format!("/api/v1/accounts/{miner}?limit=200"));
        let credits = account["credits"].as_array().expect("a list").iter();
        let by_coinbase =
            credits.filter(|one| one["state"] == "confirmed" && one["coinbase"] != "0");
        paid.extend(by_coinbase.map(|one| one["hash"].as_str().expect("a hash").to_owned()));
    }
    paid
}

/// What the chain's best branch has for a miner in coinbases of these heights.
fn on_chain(data: &Path, miner: &str, heights: &BTreeSet<u64>) -> u128 {
    let bits = bits_of_difficulty("0.00005", WorkUnit::Sha256d).expect("a difficulty");
    let config = DevConfig {
        algorithm: Algorithm::Sha256d,
        bits_start: bits,
        block_time_s: 5,
        maturity: 3,
        ..DevConfig::default()
    };
    let chain = DevChain::open(config, Arc::new(|| u64::MAX), &data.join("chain"));
    let chain = chain.expect("the pool's chain");
    let script = parse(miner, Network::Development).expect("an address");
    let coins = chain.unspent(script.bytes());
    let coins = coins
        .iter()
        .filter(|coin| coin.is_coinbase && heights.contains(&coin.height));
    coins.map(|coin| u128::from(coin.amount)).sum()
}

/// Mines with both until the condition holds.
fn mine_until(pool: &Pool, what: &str, holds: impl Fn(&Pool) -> bool) {
    let rigs: Vec<Working> = MINERS
        .iter()
        .enumerate()
        .map(|(salt, miner)| Working::start(pool.stratum[0], &format!("{miner}.rig"), salt))
        .collect();
    let started = Instant::now();
    while !holds(pool) {
        assert!(
            started.elapsed() < 3 * DEADLINE,
            "{what}: {}",
            pool.json("/api/v1/pools/0/blocks?limit=200")
        );
        std::thread::park_timeout(Duration::from_millis(100));
    }
    rigs.into_iter().for_each(|rig| drop(rig.end()));
}

#[test]
fn the_chain_has_for_accounts_what_the_books_say_coinbases_paid() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, config) = (folder.path().join("pool"), folder.path().join("c.toml"));
    fs::write(&config, CONFIG).expect("written");
    let pool = Pool::start(&data, &config);
    mine_until(&pool, "somebody is paid by a coinbase", |pool| {
        MINERS.iter().any(|miner| 0 < balance(pool, miner, "paid"))
    });
    drop(pool.kill());
    let pool = Pool::start(&data, &config);
    mine_until(
        &pool,
        "both are paid by two blocks, and one was orphaned",
        |pool| {
            let paid = |miner: &&str| 0 < balance(pool, miner, "paid");
            let is_orphaned = !heights(pool, &["orphaned"]).is_empty();
            MINERS.iter().all(paid) && is_orphaned && 1 < paid_by(pool).len()
        },
    );
    let digests = books::settle(&pool);
    assert!(0.0 < pool.metric("orebook_gateway_direct_jobs_total"));
    let (confirmed, immature) = (
        heights(&pool, &["confirmed"]),
        heights(&pool, &["immature"]),
    );
    let said = MINERS.map(|miner| {
        let of = |book| balance(&pool, miner, book);
        (of("paid"), of("reserved"))
    });
    pool.stop();
    for (miner, (paid, reserved)) in MINERS.iter().zip(said) {
        assert_eq!(on_chain(&data, miner, &confirmed), paid, "{miner} was paid");
        assert_eq!(
            on_chain(&data, miner, &immature),
            reserved,
            "{miner} will be"
        );
    }
    // An auditor makes every list again from the positions that it stands on.
    let audit = Command::new(orebook_binary())
        .args(["ledger", "coinbases", "--format", "json", "--data"])
        .arg(&data)
        .output()
        .expect("the binary runs");
    assert!(audit.status.success(), "{audit:?}");
    let audit: Value = serde_json::from_slice(&audit.stdout).expect("one JSON object");
    let lists = audit["blocks"].as_array().expect("a list").len();
    assert!(1 < lists && lists <= 200, "{audit}");
    assert_eq!(audit["differences"], 0, "{audit}");
    books::agree(&data, &config, &digests);
}
