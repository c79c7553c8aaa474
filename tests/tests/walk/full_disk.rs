//! A pool whose disk has no room any more, as a process: the system refuses every byte behind a file's limit, as it does on a
//! full disk, for ledger, mirror and spool alike. Miners are told why their shares are not taken; with room it goes on by
//! itself; and what was answered `true` is in the ledger once.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::Instant;

use orebook_miner::{Client, Rig};
use orebook_schema::Hash;
use orebook_schema::genesis::Algorithm;
use orebook_tests::pool::{DEADLINE, Pool};
use orebook_tests::shares::shares_of;

use crate::books;
use crate::rig::Working;
use crate::rig::exactly_once;

/// The smallest file of a spool.
const SPOOL_FILE_BYTES: u64 = 262_144;
/// Files may be as large as the spool's first one is filled (its end is kept free for what closes it), not as the next one
/// would be.
const LIMIT_BYTES: u64 = SPOOL_FILE_BYTES - 4_096;
/// So many spools together hold more than one file of the archiver may.
const GATEWAYS: f64 = 4.0;
/// Shares that are answered after the disk had room again.
const AFTERWARDS: u64 = 50;
const USER: &str = "ob1q2aul8m749aphmnrea66ajddz0ga2mxea5venuu.rig";

/// Shares are cheap, so that the spool fills within seconds; blocks are rare.
const CONFIG: &str = r#"
[pool]
text = "/full/"

[development]
difficulty = "0.02"
block_seconds = 60
foreign_one_in = 0
orphan_one_in = 0
miners = []

[http]
listen = "127.0.0.1:0"

[spool]
file_bytes = 262144
total_bytes = 67108864

[[gateway]]
[[gateway.port]]
listen = "127.0.0.1:0"
difficulty = "0.0000001"
[[gateway]]
[[gateway.port]]
listen = "127.0.0.1:0"
difficulty = "0.0000001"
[[gateway]]
[[gateway.port]]
listen = "127.0.0.1:0"
difficulty = "0.0000001"
[[gateway]]
[[gateway.port]]
listen = "127.0.0.1:0"
difficulty = "0.0000001"
"#;

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < DEADLINE, "{what}");
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_full_disk_refuses_shares_with_the_reason_and_room_lets_the_pool_go_on_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("full.toml");
    fs::write(&config, CONFIG).expect("written");
    let data = folder.path().join("pool");
    let mut pool = Pool::start_demo(&data, &config);
    let start = |(salt, address): (usize, &SocketAddr)| Working::start(*address, USER, salt);
    let rigs: Vec<Working> = pool.stratum.iter().enumerate().map(start).collect();
    let accepted = || rigs.iter().map(Working::accepted_so_far).sum::<u64>();
    wait_until("the first shares", || {
        rigs.iter().all(|rig| 10 < rig.accepted_so_far())
    });

    pool.limit_files(Some(LIMIT_BYTES));
    wait_until("every spool is full", || {
        assert!(!pool.is_gone(), "a full disk does not end the process");
        pool.metric("orebook_spool_is_full") == GATEWAYS
    });
    let refused = Client::connect(&Rig {
        url: pool.stratum[0].to_string(),
        user: USER.to_owned(),
        password: "x".to_owned(),
        algorithm: Algorithm::Sha256d,
        threads: 1,
        hashes_per_second: None,
    });
    let why = refused.expect_err("nobody is let in");
    assert!(
        why.contains("cannot record shares now: the spool is full"),
        "{why}"
    );
    // What the spools hold is more than the archiver could write: archiver and mirror wait for room too.
    wait_until("the archiver waits", || {
        assert!(!pool.is_gone(), "a full disk does not end the process");
        0.0 < pool.metric("orebook_archiver_errors_total")
    });
    let before = accepted();

    pool.limit_files(None);
    wait_until("room", || pool.metric("orebook_spool_is_full") == 0.0);
    wait_until("shares are taken again", || {
        before + AFTERWARDS <= accepted()
    });
    let sent: BTreeMap<Hash, bool> = rigs
        .into_iter()
        .flat_map(Working::end)
        .map(|(hash, sent)| (hash, sent.accepted))
        .collect();
    drop(books::rest(&pool));
    pool.stop();

    let held = shares_of(&data.join("ledger"), Algorithm::Sha256d);
    exactly_once(&sent, &held);
    let accepted = sent.values().filter(|accepted| **accepted).count();
    println!(
        "{accepted} of {} shares answered true, {before} before the disk was full",
        sent.len()
    );
}
