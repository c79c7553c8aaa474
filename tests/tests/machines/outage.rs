//! Every broker gone for a minute, and gateways that are killed and started meanwhile.

use std::time::{Duration, Instant};

use orebook_tests::kafka::Cluster;

use crate::books;
use crate::flood::{FLOOD, Flood, config, drained};
use crate::site::{Site, agrees, has_archived};

/// Brokers.
const BROKERS: usize = 3;
/// How long all of them are gone.
const GONE: Duration = Duration::from_secs(60);
/// Lives of the gateways in that time.
const LIVES: u32 = 4;
/// Shares a second.
const PACE: u64 = 2_000;
/// Shares that are waited for before, in each life, and after.
const SHARES: u64 = 2_000;

#[test]
fn every_broker_gone_for_a_minute_and_gateways_killed_meanwhile_lose_and_repeat_nothing() {
    let mut cluster = Cluster::start(BROKERS);
    let site = Site::new(&cluster, "dev", &config("0.000001"));
    let mut first = site.up();
    let second = site.role("two", &["archiver", "--number", "2"]);
    let flood = Flood::start(&FLOOD, PACE);
    flood.goes_to(&first.stratum);
    flood.go_on(SHARES, "with everything there");

    let gone = Instant::now();
    (0..BROKERS).for_each(|broker| cluster.kill(broker));
    for life in 1..=LIVES {
        // They go on until their part of the minute is over, and have been heard.
        while gone.elapsed() < GONE * life / LIVES {
            flood.go_on(1, "without a broker");
        }
        flood.go_on(SHARES, "without a broker");
        drop(first.kill());
        first = site.up();
        flood.goes_to(&first.stratum);
        println!("life {life}: {} shares", flood.accepted());
    }
    flood.go_on(SHARES, "started without a broker");
    (0..BROKERS).for_each(|broker| cluster.restart_later(broker));
    (0..BROKERS).for_each(|broker| cluster.await_ready(broker));
    flood.go_on(SHARES, "with the brokers again");
    let answers = flood.end();

    drained(&first, answers.accepted());
    let digests = books::settle(&first);
    let late = site.role("three", &["projector"]);
    agrees(&late, &first, &digests, "a projector from nothing");
    has_archived(&second, &first);
    for role in [late, second, first] {
        role.stop();
    }
    for machine in ["one", "two"] {
        let sums = answers.are_in(&site.machine(machine).join("ledger"));
        println!("{machine}: {sums:?}");
    }
}
