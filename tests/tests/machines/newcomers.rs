//! Machines from nothing: the topic has lost its beginning, and then the brokers are gone too.

use std::fs;
use std::time::{Duration, Instant};

use orebook_schema::genesis::Algorithm;
use orebook_tests::kafka::Cluster;
use orebook_tests::pool::{DEADLINE, Pool};
use orebook_tests::shares::shares_of;

use crate::books;
use crate::rig::{CONFIG, Memory, RIGS, Working, exactly_once};
use crate::site::{Miners, SHARES_AN_ACT, Site, reaches};

/// Waits until a process said this on stderr.
fn says(pool: &mut Pool, what: &str) {
    let started = Instant::now();
    while !pool.says(what) {
        assert!(started.elapsed() < DEADLINE, "in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_projector_and_a_gateway_start_from_nothing_on_a_trimmed_topic_and_without_brokers() {
    let mut cluster = Cluster::start(1);
    let site = Site::new(&cluster, "dev", CONFIG);
    // The configuration ends with [kafka]: what is final and archived goes at the next start of an archiver.
    let mut config = fs::read_to_string(&site.config).expect("text");
    config += "retention_days = 0\n";
    fs::write(&site.config, &config).expect("written");
    let mut miners = Miners::default();
    let first = site.up();
    miners.start(&first);
    miners.go_on("before the topic is trimmed");
    miners.end();
    let size = books::rest(&first)["as_of"].as_u64().expect("a size");
    let digests = books::settle(&first);
    first.stop();
    let mut archiver = site.role("one", &["archiver"]);
    says(&mut archiver, "the log begins here");

    config += &format!("[ledger]\npeers = [\"{}\"]\n", archiver.http);
    fs::write(&site.config, &config).expect("written");
    let mut projector = site.role("three", &["projector"]);
    says(
        &mut projector,
        "what the log does not have came from elsewhere",
    );
    reaches(&projector, size, "all of what was deleted");
    for ((fold, position), digest) in &digests {
        let said = projector.json(&format!("/api/v1/digest?fold={fold}&position={position}"));
        assert_eq!(said["digest"], digest.as_str(), "{fold} at {position}");
    }

    // A gateway that has its genesis and its key, while no broker answers: a peer tells it the policy.
    let (status, said) = archiver.get("/ledger/control").expect("it answers");
    assert_eq!(status, 200, "{said}");
    cluster.kill(0);
    let mut gateway = site.role("two", &["gateway", "--number", "2"]);
    says(&mut gateway, "a peer gave control");
    let working = Working::start(gateway.stratum[0], RIGS[1].1, 99);
    let started = Instant::now();
    while working.accepted_so_far() < SHARES_AN_ACT {
        assert!(started.elapsed() < DEADLINE, "shares without a broker");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let memory = working.end();
    cluster.restart(0);
    // Whatever comes now is the new gateway's.
    reaches(&projector, size + 2, "what was mined without a broker");
    books::rest(&projector);
    for role in [gateway, projector, archiver] {
        role.stop();
    }
    let held = shares_of(&site.machine("one").join("ledger"), Algorithm::Sha256d);
    exactly_once(&all_of(&miners, &memory), &held);
}

fn all_of(
    miners: &Miners,
    memory: &Memory,
) -> std::collections::BTreeMap<orebook_schema::Hash, bool> {
    let memories = miners.memories.iter().chain([memory]).flatten();
    memories
        .map(|(hash, sent)| (*hash, sent.accepted))
        .collect()
}
