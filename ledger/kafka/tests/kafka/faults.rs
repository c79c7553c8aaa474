//! Brokers killed, frozen, and restarted with a damaged disk.

use std::fs::{self, OpenOptions};
use std::time::Duration;

use orebook_kafka::KafkaConfig;
use orebook_ledger::log::Log;
use orebook_tests::kafka::Cluster;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::equal::records_of;
use crate::rig::{Rig, wait_until};

/// Longest that a broker may take for an answer; it is asked again.
const QUESTION: Duration = Duration::from_secs(3);

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

/// Asks brokers who leads a topic's partition.
struct Leaders(BaseConsumer);

impl Leaders {
    fn ask(addresses: &[String]) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", addresses.join(","));
        Self(config.create().expect("a client"))
    }

    fn of(&self, topic: &str) -> Option<usize> {
        let metadata = self.0.fetch_metadata(Some(topic), QUESTION).ok()?;
        let leader = metadata.topics().first()?.partitions().first()?.leader();
        usize::try_from(leader - 1).ok()
    }
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
    let (addresses, topic) = (cluster.addresses(), rig.topic(0));
    in_mid_publishing(&mut rig);
    let leaders = Leaders::ask(&addresses);
    let first = wait_until("a leader", || leaders.of(&topic));
    cluster.kill(first);
    rig.serve(120);
    rig.settle();
    let leads = |leader: usize| leader != first;
    wait_until("another leads", || {
        leaders.of(&topic).filter(|now| leads(*now))
    });
    // Enough to open nothing new, and no reason to stop.
    let preflight = wait_until("a preflight", || rig.keeper.preflight().ok());
    let refused: Vec<&str> = preflight.refused.iter().map(|one| one.setting).collect();
    assert_eq!(refused, ["brokers"]);
    assert_eq!(rig.keeper.newest(), Ok(Some(0)));
    wait_until("the reader hears of the new leader", || {
        let now = rig.keeper.generation(0).ok()?;
        (before < now).then_some(())
    });
    cluster.restart(first);

    in_mid_publishing(&mut rig);
    let second = wait_until("a leader", || leaders.of(&topic));
    cluster.freeze(second);
    rig.serve(120);
    // The frozen one would answer with what it knew.
    let others: Vec<String> = (0..3)
        .filter(|index| *index != second)
        .map(|index| addresses[index].clone())
        .collect();
    let leaders = Leaders::ask(&others);
    wait_until("another leads", || {
        rig.turn(false);
        leaders.of(&topic).filter(|now| *now != second)
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
