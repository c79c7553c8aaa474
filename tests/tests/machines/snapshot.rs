//! A gateway's machine is restored from a snapshot: it says something else where it spoke before. That is a fork.

use std::fs;
use std::process::Command;

use orebook_tests::kafka::Cluster;
use orebook_tests::orebook_binary;
use orebook_tests::pool::Pool;
use serde_json::Value;

use crate::books;
use crate::flood::{FLOOD, Flood, config, drained};
use crate::site::{Site, copy, has_archived};

/// Shares a second.
const PACE: u64 = 5_000;
/// Shares of each life.
const SHARES: u64 = 5_000;
/// The folder of the gateway that is restored, in its machine's.
const RESTORED: &str = "gateway-1";

/// One life: shares, until all of them are final. What lies in a spool only would be lost with its disk.
fn live(site: &Site, flood: &Flood, what: &str) -> Pool {
    let pool = site.up();
    flood.goes_to(&pool.stratum);
    flood.go_on(SHARES, what);
    flood.pause();
    drained(&pool, flood.accepted());
    books::rest(&pool);
    pool
}

#[test]
fn a_gateway_restored_from_a_snapshot_loses_its_stream_and_nothing_counts_twice() {
    let cluster = Cluster::start(1);
    let site = Site::new(&cluster, "dev", &config("0.000001"));
    let second = site.role("two", &["archiver", "--number", "2"]);
    let flood = Flood::start(&FLOOD, PACE);
    let own = site.machine("one").join(RESTORED);
    let snapshot = site.machine("snapshot");

    drop(live(&site, &flood, "before the snapshot").kill());
    copy(&own, &snapshot);
    drop(live(&site, &flood, "after the snapshot").kill());
    fs::remove_dir_all(&own).expect("it was there");
    copy(&snapshot, &own);
    let restored = live(&site, &flood, "restored");
    // The same epoch of the same stream begins with another frame: the stream closes, and what it would have said moves.
    let moves = restored.metric("orebook_spool_moves_total");
    assert!((1.0..1.5).contains(&moves), "{moves} moves");
    let answers = flood.end();
    let digests = books::settle(&restored);
    has_archived(&second, &restored);
    second.stop();
    restored.stop();

    for machine in ["one", "two"] {
        let ledger = site.machine(machine);
        println!("{machine}: {:?}", answers.are_in(&ledger.join("ledger")));
        let mut verify = Command::new(orebook_binary());
        verify.args(["ledger", "verify", "--format", "json", "--data"]);
        let said = verify.arg(&ledger).output().expect("the binary runs");
        assert!(said.status.success(), "the ledger is whole");
        let said: Value = serde_json::from_slice(&said.stdout).expect("JSON");
        assert_eq!(
            said["closures"], 1,
            "one stream is closed and no other: {said}"
        );
    }
    books::agree(&site.machine("one"), &site.config, &digests);
}
