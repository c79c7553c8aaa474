//! `orebook up` with no configuration: what somebody sees within the first minute.

use std::fs;
use std::process::Command;

use orebook_tests::orebook_binary;
use orebook_tests::pool::Pool;
use serde_json::Value;

use crate::books;

fn units(account: &Value, book: &str) -> i128 {
    let text = account[book].as_str().expect("a decimal string");
    text.parse().expect("a number")
}

#[test]
fn up_shows_shares_a_block_its_luck_and_a_balance_that_became_available() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("up.toml");
    // Nothing but other ports: those of the default may be in use.
    let text = "[http]\nlisten = \"127.0.0.1:0\"\n[[gateway]]\n[[gateway.port]]\n\
                listen = \"127.0.0.1:0\"\ndifficulty = \"0.0001\"\n";
    fs::write(&config, text).expect("written");
    let data = folder.path().join("pool");
    let pool = Pool::start(&data, &config);
    let pools = pool.wait_for("/api/v1/pools", "a block and its luck", |pools| {
        let first = &pools["pools"][0];
        1 <= first["blocks_found"].as_u64().unwrap_or(0)
            && first["luck"]["luck"]
                .as_f64()
                .is_some_and(|luck| 0.0 < luck)
            && 1 <= first["workers_online"].as_u64().unwrap_or(0)
            && 0.0 < first["hashrate"].as_f64().unwrap_or(0.0)
    });
    assert!(!pools["pools"][0]["last_block"]["finder"].is_null());
    let accounts = pool.wait_for("/api/v1/pools/0/accounts", "an available balance", |page| {
        let accounts = page["accounts"].as_array().expect("a list");
        accounts
            .iter()
            .any(|account| 0 < units(account, "available"))
    });
    let first = accounts["accounts"][0]["address"]
        .as_str()
        .expect("an address");
    let workers = pool.json(&format!("/api/v1/accounts/{first}/workers"));
    assert!(
        workers["workers"]
            .as_array()
            .is_some_and(|workers| !workers.is_empty())
    );
    let (status, page) = pool.get("/").expect("a page");
    assert_eq!(status, 200);
    assert!(page.contains("<title>"), "{page}");
    let (status, metrics) = pool.get("/metrics").expect("metrics");
    assert_eq!(status, 200);
    for name in [
        "orebook_gateway_shares_total",
        "orebook_spool_sync_seconds",
        "orebook_ledger_final",
    ] {
        assert!(metrics.contains(name), "{name} is missing");
    }
    let digests = books::settle_moving(&pool);
    pool.stop();
    let verified = Command::new(orebook_binary())
        .args(["ledger", "verify", "--data"])
        .arg(&data)
        .output()
        .expect("the binary runs");
    assert!(verified.status.success());
    books::agree(&data, &config, &digests);
}
