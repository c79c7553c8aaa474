//! Brokers killed, frozen, and restarted with a damaged disk.

use std::fs::{self, OpenOptions};

use orebook_kafka::KafkaConfig;
use orebook_ledger::log::Log;
use orebook_tests::kafka::Cluster;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::equal::records_of;
use crate::rig::{PATIENCE, Rig, wait_until};

/// Serves until some records are on their way and not acknowledged.
fn in_mid_publishing(rig: &mut Rig) {
    rig.serve(60);
    while rig.keeper.in_flight() == 0 {
        rig.turn(true);
    }
}

#[test]
fn one_broker_killed_frozen_and_cut_loses_nothing_and_counts_nothing_twice() {
    let mut cluster = Cluster::start(1);
    let mut rig = Rig::start(72, &KafkaConfig::development(cluster.addresses()));
    in_mid_publishing(&mut rig);
    cluster.kill(0);
    // Miners notice nothing: the spools take it.
    rig.serve(120);
    cluster.restart(0);
    rig.settle();

    in_mid_publishing(&mut rig);
    cluster.freeze(0);
    rig.serve(120);
    cluster.thaw(0);
    rig.settle();
    assert_eq!(rig.incarnation(), Some(0), "the log lost nothing so far");
    let held = records_of(&rig.keeper, 0);

    // A disk that lost what was acknowledged and signed for: the incarnation is dead, the next one opens.
    cluster.kill(0);
    let folder = cluster.partition_folder(0, &rig.topic(0));
    let log = folder.join("00000000000000000000.log");
    let file = OpenOptions::new()
        .write(true)
        .open(&log)
        .expect("a segment");
    let bytes = file.metadata().expect("a size").len();
    file.set_len(bytes * 2 / 3).expect("cut");
    for entry in fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        // What the broker remembers of producers is lost with it.
        if path.extension().is_some_and(|name| name == "snapshot") {
            fs::remove_file(path).expect("removed");
        }
    }
    let (before, _) = rig.final_tree();
    rig.serve(60);
    cluster.restart(0);
    rig.settle();
    assert_eq!(rig.incarnation(), Some(1));
    println!("producers rebuilt: {}", rig.keeper.producers_rebuilt());
    assert!(
        before < rig.final_tree().0,
        "it goes on after what was final"
    );
    let left = records_of(&rig.keeper, 0);
    assert!(!left.starts_with(&held), "the log did lose something");
    assert!(left.first() == held.first(), "and not all");
}

/// The broker that leads the topic's partition.
fn leader(addresses: &[String], topic: &str) -> usize {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", addresses.join(","));
    let client: BaseConsumer = config.create().expect("a client");
    wait_until("a leader", || {
        let metadata = client.fetch_metadata(Some(topic), PATIENCE).ok()?;
        let leader = metadata.topics().first()?.partitions().first()?.leader();
        usize::try_from(leader - 1).ok()
    })
}

#[test]
fn a_leader_that_dies_and_one_that_freezes_are_followed_by_another() {
    let mut cluster = Cluster::start(3);
    let config = KafkaConfig {
        replication: 3,
        min_isr: 2,
        i_know: false,
        ..KafkaConfig::development(cluster.addresses())
    };
    let mut rig = Rig::start(73, &config);
    rig.serve(60);
    rig.settle();
    let preflight = rig.keeper.preflight().expect("brokers answer");
    assert_eq!(preflight.refused, [], "a production cluster passes");
    assert_eq!(preflight.let_through, []);

    let before = rig.keeper.generation(0).expect("known");
    in_mid_publishing(&mut rig);
    let first = leader(&cluster.addresses(), &rig.topic(0));
    cluster.kill(first);
    rig.serve(120);
    rig.settle();
    assert_ne!(leader(&cluster.addresses(), &rig.topic(0)), first);
    wait_until("the reader hears of the new leader", || {
        let now = rig.keeper.generation(0).ok()?;
        (before < now).then_some(())
    });
    cluster.restart(first);

    in_mid_publishing(&mut rig);
    let second = leader(&cluster.addresses(), &rig.topic(0));
    cluster.freeze(second);
    rig.serve(120);
    wait_until("another leads", || {
        rig.turn(false);
        let client: BaseConsumer = {
            let addresses = cluster.addresses();
            let others = (0..3).filter(|index| *index != second);
            let others: Vec<&str> = others.map(|index| addresses[index].as_str()).collect();
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", others.join(","));
            config.create().expect("a client")
        };
        let topic = rig.topic(0);
        let metadata = client.fetch_metadata(Some(&topic), PATIENCE).ok()?;
        let now = metadata.topics().first()?.partitions().first()?.leader() - 1;
        (usize::try_from(now).is_ok_and(|now| now != second)).then_some(())
    });
    rig.settle();
    cluster.thaw(second);
    rig.serve(30);
    rig.settle();
    assert_eq!(
        rig.incarnation(),
        Some(0),
        "nothing that was final was lost"
    );
}
