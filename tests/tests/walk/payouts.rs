//! Payouts on the development chain: a miner is paid coins that the pool mined, the process is killed with -9 at every step of
//! it, and at the end the chain has what the ledger says was paid, to the last unit.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orebook_chain::address::{Network, parse};
use orebook_chain::dev::{DevChain, DevConfig, bits_of_difficulty};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::WorkUnit;
use orebook_tests::pool::{DEADLINE, Pool, Start};
use serde_json::Value;

use crate::books;
use crate::rig::Working;

/// Blocks each second or so, some of them somebody else's, some that replace others. Payouts as often as there is something to pay.
pub(crate) const CONFIG: &str = r#"
[development]
difficulty = "0.00005"
block_seconds = 1
maturity = 3
foreign_one_in = 9
orphan_one_in = 7
miners = []

[http]
listen = "127.0.0.1:0"

[settler]
poll_ms = 100
grace_ms = 2000

[[gateway]]
[[gateway.port]]
listen = "127.0.0.1:0"
difficulty = "0.000002"

[wallet]
poll_ms = 50
"#;
/// A miner, whose key nobody has.
pub(crate) const MINER: &str = "ob1q2aul8m749aphmnrea66ajddz0ga2mxea5venuu";
/// Where a process is stopped to be killed, on the way of a payout: the proposal, the signed transaction and the first steps, on
/// their way into the spool.
const SPOOL: [&str; 6] = [
    "paymaster/spool write_at before 3",
    "paymaster/spool sync after 3",
    "paymaster/spool sync before 4",
    "paymaster/spool sync after 4",
    "paymaster/spool write_at before 5",
    "paymaster/spool sync after 6",
];
/// The wallet, the rows in RocksDB, the frame that the checkpoint covers, and the checkpoint.
const AROUND: [&str; 10] = [
    "wallet sign before 1",
    "wallet sign after 1",
    "wallet send before 1",
    "wallet send after 1",
    "paymaster/rows commit before 9",
    "paymaster/rows commit after 9",
    "paymaster/rows commit before 31",
    "mirror/segments sync before 20",
    "ledger/segments sync after 20",
    "ledger rename before 20",
];

fn written(folder: &Path, name: &str, more: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    fs::write(&path, format!("{CONFIG}{more}\n")).expect("written");
    path
}

fn batches(pool: &Pool) -> Vec<Value> {
    let found = pool.json("/api/v1/payouts?limit=100");
    found["payouts"].as_array().expect("a list").clone()
}

/// Mines until the condition holds.
fn mine_until(pool: &mut Pool, what: &str, mut holds: impl FnMut(&mut Pool) -> bool) {
    let rig = Working::start(pool.stratum[0], &format!("{MINER}.rig"), 0);
    let started = Instant::now();
    while !holds(pool) {
        assert!(
            started.elapsed() < 3 * DEADLINE,
            "{what}: {:?}",
            batches(pool)
        );
        std::thread::park_timeout(Duration::from_millis(100));
    }
    rig.end();
}

/// What the chain's best branch has for the miner, base units.
pub(crate) fn on_chain(data: &Path) -> u128 {
    let bits = bits_of_difficulty("0.00005", WorkUnit::Sha256d).expect("a difficulty");
    let config = DevConfig {
        algorithm: Algorithm::Sha256d,
        bits_start: bits,
        block_time_s: 1,
        maturity: 3,
        ..DevConfig::default()
    };
    let chain = DevChain::open(config, Arc::new(|| u64::MAX), &data.join("chain"));
    let chain = chain.expect("the pool's chain");
    let script = parse(MINER, Network::Development).expect("an address");
    let coins = chain.unspent(script.bytes());
    coins.iter().map(|coin| u128::from(coin.amount)).sum()
}

fn is_paid_to_the_last_unit(points: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("pool");
    let often = written(folder.path(), "often.toml", "interval_ms = 1000");
    let mut lives = 0;
    for point in points {
        lives += 1;
        match Pool::try_start(&data, &often, Some(point)) {
            // It stopped before it served: what it had to say from its last life.
            Start::Ended(said) => {
                assert!(
                    said.iter().any(|line| line.starts_with("stopped at ")),
                    "{said:?}"
                );
            }
            Start::Serves(mut pool) => {
                mine_until(&mut pool, point, Pool::is_stopped);
                drop(pool.kill());
            }
        }
    }
    // No batch is proposed any more: what was is brought to its end.
    let never = written(folder.path(), "never.toml", "interval_ms = 3600000");
    let mut pool = Pool::start(&data, &never);
    mine_until(&mut pool, "every batch comes to its end", |pool| {
        let batches = batches(pool);
        let is_over = |batch: &Value| matches!(batch["state"].as_str(), Some("final" | "returned"));
        !batches.is_empty() && batches.iter().all(is_over)
    });
    let account = pool.json(&format!("/api/v1/accounts/{MINER}"));
    let paid = account["balances"]["paid"]
        .as_str()
        .expect("base units")
        .to_owned();
    let digests = books::settle(&pool);
    pool.stop();
    assert_eq!(on_chain(&data).to_string(), paid, "after {lives} lives");
    assert_ne!(paid, "0", "somebody was paid");
    books::agree(&data, &never, &digests);
}

#[test]
fn a_miner_is_paid_on_chain_to_the_last_unit_whatever_is_killed() {
    is_paid_to_the_last_unit(&SPOOL);
}

#[test]
fn killed_before_and_after_the_wallet_the_rows_and_the_checkpoint_a_pool_pays_to_the_last_unit() {
    is_paid_to_the_last_unit(&AROUND);
}
