//! A seeded schedule of faults under a flood of shares, on three brokers: what fails, in which order and for how long follows
//! from the seed. `OREBOOK_SEED` sets it, `OREBOOK_SHARES` how many shares there are at least.

use std::time::Instant;

use orebook_sim::rng::Rng;
use orebook_tests::kafka::Cluster;
use orebook_tests::pool::Pool;

use crate::books;
use crate::flood::{FLOOD, Flood, config, drained};
use crate::site::{Site, agrees, has_archived};

/// Shares that are answered `true`, at least.
const SHARES: u64 = 1_000_000;
/// The seed, unless the variable gives another.
const SEED: u64 = 4;
/// Brokers; each is harmed at least once, so that the leader is.
const BROKERS: usize = 3;
/// Shares a second: so many that faults have something to lose, and that spools drain while they last.
const PACE: u64 = 50_000;
/// How long a fault lasts, in shares that are answered meanwhile.
const FAULT_SHARES: (u64, u64) = (20_000, 160_000);

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A broker is killed, and started again later.
    BrokerKilled(usize),
    /// A broker stands still, with its connections open.
    BrokerFrozen(usize),
    /// Both gateways are killed, with the archiver, the settler and the projector of their machine.
    Gateways,
    /// The archiver of its own machine.
    Archiver,
    /// The projector of its own machine.
    Projector,
}

/// Every fault of the list at least once, in the seed's order, with how many shares it lasts.
fn schedule(rng: &mut Rng) -> Vec<(Fault, u64)> {
    let mut faults: Vec<Fault> = (0..BROKERS)
        .map(|broker| {
            if rng.chance(1, 2) {
                Fault::BrokerKilled(broker)
            } else {
                Fault::BrokerFrozen(broker)
            }
        })
        .chain([
            Fault::Gateways,
            Fault::Gateways,
            Fault::Archiver,
            Fault::Projector,
        ])
        .collect();
    for last in (1..faults.len()).rev() {
        let other = usize::try_from(rng.below(last as u64 + 1)).expect("small");
        faults.swap(last, other);
    }
    let (least, most) = FAULT_SHARES;
    let lasts = |fault| (fault, rng.range(least, most));
    faults.into_iter().map(lasts).collect()
}

/// The machines as they run.
struct Running {
    cluster: Cluster,
    site: Site,
    flood: Flood,
    first: Pool,
    second: Pool,
    third: Pool,
}

impl Running {
    fn start() -> Self {
        let cluster = Cluster::start(BROKERS);
        let site = Site::new(&cluster, "dev", &config("0.00002"));
        let first = site.up();
        let second = site.role("two", &["archiver", "--number", "2"]);
        let third = site.role("three", &["projector"]);
        let flood = Flood::start(&FLOOD, PACE);
        flood.goes_to(&first.stratum);
        Self {
            cluster,
            site,
            flood,
            first,
            second,
            third,
        }
    }

    /// One fault, its time, and its end.
    fn suffer(self, fault: Fault, shares: u64) -> Self {
        let what = format!("{fault:?}");
        let mut now = self;
        match fault {
            Fault::BrokerKilled(broker) => {
                now.cluster.kill(broker);
                now.flood.go_on(shares, &what);
                now.cluster.restart(broker);
            }
            Fault::BrokerFrozen(broker) => {
                now.cluster.freeze(broker);
                now.flood.go_on(shares, &what);
                now.cluster.thaw(broker);
            }
            Fault::Gateways => {
                drop(now.first.kill());
                now.first = now.site.up();
                now.flood.goes_to(&now.first.stratum);
                now.flood.go_on(shares, &what);
            }
            Fault::Archiver => {
                drop(now.second.kill());
                now.flood.go_on(shares, &what);
                now.second = now.site.role("two", &["archiver", "--number", "2"]);
            }
            Fault::Projector => {
                drop(now.third.kill());
                now.flood.go_on(shares, &what);
                now.third = now.site.role("three", &["projector"]);
            }
        }
        now
    }
}

pub(crate) fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn a_million_shares_under_a_seeded_schedule_of_faults_are_the_oracle_s() {
    let (seed, shares) = (
        number("OREBOOK_SEED", SEED),
        number("OREBOOK_SHARES", SHARES),
    );
    println!("OREBOOK_SEED={seed} OREBOOK_SHARES={shares}");
    let mut rng = Rng::new(seed);
    let faults = schedule(&mut rng);
    let started = Instant::now();
    let say = |what: &str, accepted: u64| {
        println!(
            "{:6.1} s, {accepted} shares: {what}",
            started.elapsed().as_secs_f64()
        );
    };
    let mut now = Running::start();
    say("all roles run", 0);
    let rest = rng.range(FAULT_SHARES.0 / 2, FAULT_SHARES.0);
    now.flood.go_on(rest, "with everything there");
    for (fault, lasts) in faults {
        say(
            &format!("{fault:?} for {lasts} shares"),
            now.flood.accepted(),
        );
        now = now.suffer(fault, lasts);
        now.flood.go_on(rest, "between two faults");
    }
    while now.flood.accepted() < shares {
        now.flood.go_on(rest, "up to the million");
    }
    say("enough", now.flood.accepted());
    let answers = now.flood.end();
    drained(&now.first, answers.accepted());
    say("the spools are empty", answers.accepted());

    let digests = books::settle(&now.first);
    let size = now.first.json("/api/v1/ledger")["as_of"].as_u64();
    let size = size.expect("a size");
    say("everything is final", size);
    agrees(
        &now.third,
        &now.first,
        &digests,
        "the projector that was killed",
    );
    has_archived(&now.second, &now.first);
    for role in [now.third, now.second] {
        role.stop();
    }
    now.first.stop();
    for machine in ["one", "two"] {
        let sums = answers.are_in(&now.site.machine(machine).join("ledger"));
        println!("{machine}: {sums:?}");
        assert!(shares <= sums.accepted, "{sums:?}");
    }
    say("each share is there once", size);
    let again = now.site.machine("again");
    let replayed = books::replayed(&now.site.machine("one"), &again, &[]);
    for fold in replayed["folds"].as_array().expect("folds") {
        let at = (
            fold["fold"].as_str().expect("a name"),
            fold["size"].as_u64(),
        );
        let at = (at.0.to_owned(), at.1.expect("a size"));
        if let Some(said) = digests.get(&at) {
            assert_eq!(
                fold["digest"].as_str(),
                Some(said.as_str()),
                "{at:?}: live against replayed"
            );
        }
    }
    say(
        "the oracle has the same balances",
        replayed["size"].as_u64().unwrap_or(0),
    );
}
