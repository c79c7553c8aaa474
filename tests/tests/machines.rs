//! Roles as processes of their own, each with its own folder as on its own machine, and real Kafka between them: brokers are
//! killed and frozen, roles are killed, and the books stay those of a pool in one process.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "walk/books.rs"]
mod books;
#[path = "machines/desk.rs"]
mod desk;
#[path = "machines/far.rs"]
mod far;
#[path = "machines/flood.rs"]
mod flood;
#[path = "machines/newcomers.rs"]
mod newcomers;
#[path = "machines/outage.rs"]
mod outage;
#[path = "machines/republish.rs"]
mod republish;
#[path = "walk/rig.rs"]
mod rig;
#[path = "machines/schedule.rs"]
mod schedule;
#[path = "machines/site.rs"]
mod site;
#[path = "machines/snapshot.rs"]
mod snapshot;
#[path = "machines/two.rs"]
mod two;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use orebook_miner::{Mining, Rig};
use orebook_schema::Hash;
use orebook_schema::genesis::Algorithm;
use orebook_tests::kafka::Cluster;
use orebook_tests::litecoind::Pair;
use orebook_tests::pool::DEADLINE;
use orebook_tests::shares::shares_of;
use rig::{CONFIG, RIGS, exactly_once, send_again_until_heard};
use serde_json::Value;
use site::{Miners, Site, reaches, ready};

#[test]
fn brokers_and_roles_are_killed_and_nothing_is_lost_or_repeated() {
    let mut cluster = Cluster::start(1);
    let site = Site::new(&cluster, "dev", CONFIG);
    let mut miners = Miners::default();
    let mut first = site.up();
    let second = site.role("two", &["archiver", "--number", "2"]);
    let reader = site.role("three", &["projector"]);
    miners.start(&first);
    miners.go_on("with everything there");

    cluster.kill(0);
    miners.go_on("without a broker");
    miners.end();
    drop(first.kill());
    // A gateway starts with everything else down, from what lies beside its spool.
    first = site.up();
    miners.start(&first);
    miners.go_on("started without a broker");
    cluster.restart(0);
    miners.go_on("with the broker again");

    drop(second.kill());
    let second = site.role("two", &["archiver", "--number", "2"]);
    cluster.freeze(0);
    miners.go_on("with a frozen broker");
    cluster.thaw(0);
    miners.go_on("with the broker thawed");
    miners.end();
    drop(first.kill());
    first = site.up();
    for ((port, user), memory) in RIGS.iter().zip(&miners.memories) {
        let answers = send_again_until_heard(first.stratum[*port], user, memory);
        assert!(
            answers.iter().all(|code| *code == Some(21)),
            "{user}: what is sent again gains nothing: {answers:?}"
        );
    }

    let digests = books::settle(&first);
    let size = first.json("/api/v1/ledger")["as_of"]
        .as_u64()
        .expect("a size");
    let late = site.role("four", &["projector"]);
    for (projector, what) in [
        (&reader, "the one that was there"),
        (&late, "the one from nothing"),
    ] {
        reaches(projector, size, what);
        for ((fold, position), digest) in &digests {
            let said = projector.json(&format!("/api/v1/digest?fold={fold}&position={position}"));
            assert_eq!(
                said["digest"],
                Value::from(digest.as_str()),
                "{what}: {fold} at {position}"
            );
        }
        assert!(!books::settle_moving(projector).is_empty());
    }
    for role in [late, reader, second, first] {
        role.stop();
    }

    let all: BTreeMap<Hash, bool> = miners
        .memories
        .iter()
        .flatten()
        .map(|(hash, sent)| (*hash, sent.accepted))
        .collect();
    for machine in ["one", "two"] {
        let held = shares_of(&site.machine(machine).join("ledger"), Algorithm::Sha256d);
        exactly_once(&all, &held);
        println!("{machine}: {} shares of {} sent", held.len(), all.len());
    }
    books::agree(&site.machine("one"), &site.config, &digests);
}

/// Who mines on the real node: an address of its test network.
const MINER: &str = "rltc1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpjt8zj4";
/// Whom coinbases pay there.
const POOL: &str = "rltc1qqgpqyqszqgpqyqszqgpqyqszqgpqyqszr0p8er";
/// Whose blocks the nodes find themselves.
const OTHERS: &str = "rltc1qqvpsxqcrqvpsxqcrqvpsxqcrqvpsxqcrzlqxnz";

fn litecoin(pair: &Pair) -> String {
    let node = |name: &str, node: &orebook_tests::litecoind::Node| {
        let (rpc, cookie) = (node.rpc(), node.cookie());
        let cookie = cookie.display();
        format!("[[node]]\nname = \"{name}\"\nrpc = \"{rpc}\"\ncredentials_file = \"{cookie}\"\n")
    };
    format!(
        "[pool]\npayout_address = \"{POOL}\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [settler]\npoll_ms = 200\ngrace_ms = 2000\n\
         [[gateway]]\n[[gateway.port]]\nlisten = \"127.0.0.1:0\"\ndifficulty = \"0.0002\"\n{}{}",
        node("a", &pair.a),
        node("b", &pair.b)
    )
}

#[test]
fn each_role_alone_is_a_pool_together_on_a_real_node() {
    let pair = Pair::start();
    let cluster = Cluster::start(1);
    let site = Site::new(&cluster, "litecoin-regtest", &litecoin(&pair));
    let archiver = site.role("one", &["archiver"]);
    let gateway = site.role("two", &["gateway", "--number", "2"]);
    let settler = site.role("three", &["settler"]);
    let projector = site.role("four", &["projector"]);
    let desk = site.role("five", &["desk"]);
    assert!(archiver.stratum.is_empty() && settler.stratum.is_empty());
    for (role, what) in [
        (&archiver, "archiver"),
        (&gateway, "gateway"),
        (&settler, "settler"),
        (&projector, "projector"),
        (&desk, "desk"),
    ] {
        ready(role, what);
        let (status, figures) = role.get("/metrics").expect("it answers");
        assert_eq!(status, 200, "{what}");
        assert!(
            figures.contains("orebook_kafka_in_flight"),
            "{what}: {figures}"
        );
    }

    let rig = Rig {
        url: gateway.stratum[0].to_string(),
        user: format!("{MINER}.alone"),
        password: "x".to_owned(),
        algorithm: Algorithm::Scrypt,
        threads: 1,
        // Every other hash is a block there: slowly, or the nodes drown.
        hashes_per_second: Some(24),
    };
    let count =
        |pools: &Value, state: &str| pools["pools"][0]["blocks"][state].as_u64().unwrap_or(0);
    let mut mining: Option<Mining> = None;
    let started = Instant::now();
    loop {
        // Like any miner's software it comes again until it is let in.
        if mining.as_ref().is_none_or(Mining::is_over) {
            mining = Mining::start(&rig).ok();
        }
        let (status, body) = projector.get("/api/v1/pools").expect("it answers");
        let pools: Value = serde_json::from_str(&body).expect("JSON");
        if status == 200 && 3 <= count(&pools, "immature") {
            break;
        }
        assert!(started.elapsed() < DEADLINE, "three blocks of ours: {body}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    if let Some(mining) = mining {
        drop(mining.stop());
    }
    pair.a.cli(&["generatetoaddress", "101", OTHERS]);
    pair.agree();
    projector.wait_for("/api/v1/pools", "every block has its fate", |pools| {
        3 <= count(pools, "confirmed")
            && ["found", "seen", "immature"]
                .iter()
                .all(|state| count(pools, state) == 0)
    });
    let account = projector.json(&format!("/api/v1/accounts/{MINER}"));
    let available = account["balances"]["available"]
        .as_str()
        .expect("a decimal string");
    assert!(
        0 < available.parse::<i128>().expect("a number"),
        "{account}"
    );

    let other = Rig {
        user: format!("{OTHERS}.other"),
        ..rig.clone()
    };
    let key = site.machine("one").join("keys").join("approver-1.key");
    desk::bans_and_lifts(&desk, &key, &rig, &other, MINER);

    books::settle(&projector);
    for role in [desk, gateway, settler, archiver] {
        role.stop();
    }
    let again = site.machine("again");
    let replayed = books::replayed(&site.machine("one"), &again, &[]);
    let size = replayed["size"].as_u64().expect("a size");
    reaches(&projector, size, "all that the archiver has");
    books::same_digests(&projector, &replayed, "the projector's");
    projector.stop();
}
