//! A gateway at the end of a long and bad line, and one beside the broker.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use orebook_tests::kafka::Cluster;
use orebook_tests::link::{Badness, Link};
use orebook_tests::pool::Pool;

use crate::books;
use crate::flood::{FLOOD, Flood, config, drained};
use crate::schedule::number;
use crate::site::{Site, agrees, has_archived};

/// Half of a round trip of 300 ms.
const DELAY: Duration = Duration::from_millis(150);
/// One packet of a hundred is lost.
const LOST_ONE_IN: u64 = 100;
/// Shares a second, for a while: what such a line carries.
const PACE: u64 = 2_000;
const SHARES: u64 = 24_000;

#[test]
fn a_line_of_300_ms_that_loses_one_packet_of_a_hundred_is_noticed_by_no_miner() {
    let link = Link::new(Badness {
        delay: DELAY,
        lost_one_in: LOST_ONE_IN,
        seed: number("OREBOOK_SEED", 5),
    });
    let (cluster, far) = Cluster::start_far(link.near());
    link.leads_to(far);
    let site = Site::new(&cluster, "dev", &config("0.000001"));
    // The first gateway with its mirror, an archiver and the settler are far away; the others are beside the broker.
    let near = fs::read_to_string(&site.config).expect("a configuration");
    let text = near.replace(&cluster.addresses()[0], &link.near().to_string());
    assert_ne!(text, near);
    let second_of = |text: &str| {
        let mut places = text.match_indices("[[gateway]]");
        places.nth(1).expect("two gateways").0
    };
    let kafka = text.find("\n[kafka]").expect("the brokers");
    let text = format!("{}{}", &text[..second_of(&text)], &text[kafka..]);
    let far = site.machine("far.toml");
    fs::write(&far, text).expect("written");
    let first = Pool::start(&site.machine("one"), &far);
    let second = site.role("two", &["archiver", "--number", "2"]);
    let third = site.role("three", &["projector"]);
    let beside = site.role("four", &["gateway", "--number", "2"]);
    let flood = Flood::start(&FLOOD, PACE);
    flood.goes_to(&[first.stratum.clone(), beside.stratum.clone()].concat());
    flood.go_on(SHARES / 2, "at the end of a bad line");
    drop(second.kill());
    flood.go_on(SHARES / 2, "without the near archiver");
    let second = site.role("two", &["archiver", "--number", "2"]);
    let answers = flood.end();

    // Spools drain: who reads beside the broker has it all.
    drained(&third, answers.accepted());
    let digests = books::settle(&third);
    let counts = link.counts();
    println!("{counts:?}");
    assert!(0 < counts.stalls.load(Ordering::Relaxed), "a bad line");
    agrees(&first, &third, &digests, "the far projector");
    has_archived(&second, &third);
    for role in [third, second, beside] {
        role.stop();
    }
    first.stop();
    println!("{:?}", answers.are_in(&site.machine("two").join("ledger")));
}
