//! What `/metrics` tells of the doors: by port, dialect and program, and nothing by anybody's name.

use std::time::Duration;

use orebook_gateway::{
    AskedDifficulty, DifficultyRule, EdgeCrew, EdgeTime, EdgeWay, Limits, Metrics, VardiffRule,
};
use serde_json::json;

use crate::ethash::{DIALECTS, Rig, answer, given, setup};
use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup, work};
use crate::tls::{Tunnel, certificate};

fn way<'m>(metrics: &'m Metrics, port: usize, dialect: &str) -> &'m EdgeWay {
    let mut ways = metrics.edge.ports[port].ways.iter();
    let found = ways.find(|way| way.dialect == dialect);
    found.unwrap_or_else(|| panic!("nobody came by {dialect}: {metrics:?}"))
}

fn crew<'m>(metrics: &'m Metrics, port: usize, dialect: &str, agent: &str) -> &'m EdgeCrew {
    let mut crews = metrics.edge.ports[port].crews.iter();
    let found = crews.find(|crew| (crew.dialect, crew.agent) == (dialect, agent));
    found.unwrap_or_else(|| panic!("no {agent} came by {dialect}: {metrics:?}"))
}

#[test]
fn connections_logins_shares_and_times_are_counted_where_they_are() {
    let vardiff = DifficultyRule::Vardiff(VardiffRule {
        start: work("0.00001"),
        min: work("0.00001"),
        max: work("1"),
        target: Duration::from_secs(10),
        retarget: Duration::from_secs(3_600),
        asked: AskedDifficulty::Start,
    });
    let pool = Pool::start(&Setup {
        ports: vec![DifficultyRule::Fixed(work("0.001")), vardiff],
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let mut fixed = Miner::connect(pool.address(0));
    fixed.subscribe_as("cgminer/4.12.0");
    assert_eq!(code(&fixed.authorize("nobody")), 24);
    assert_eq!(code(&fixed.authorize("name-a")), 0);
    let job = fixed.job();
    let found = fixed.mine(&job);
    assert_eq!(code(&fixed.submit("name-a", &found)), 0);
    assert_eq!(code(&fixed.submit("name-a", &found)), 22);
    let mut moved = Miner::connect(pool.address(1));
    moved.subscribe_as("\"}\n{evil=\"1\"");
    assert_eq!(code(&moved.authorize("name-b")), 0);
    let job = moved.job();
    let found = moved.mine(&job);
    assert_eq!(code(&moved.submit("name-b", &found)), 0);
    let silent = Miner::connect(pool.address(1));
    let metrics = pool.until("all are there", |metrics| {
        metrics.sessions.counts.connections == 3
    });
    assert_eq!(metrics.edge.ports[0].region.as_str(), "test");
    let (one, none) = (way(&metrics, 0, "stratum"), way(&metrics, 0, "none"));
    assert_eq!((none.accepts, one.accepts), (1, 0), "it had said nothing");
    assert_eq!(one.logins, [("ok", 1), ("name", 1)]);
    for (what, count) in [
        (EdgeTime::Handshake, 0),
        (EdgeTime::JobHandedOut, 1),
        (EdgeTime::JobAtShare, 2),
        (EdgeTime::Validation, 2),
        (EdgeTime::Answer, 1),
        (EdgeTime::RoundTrip, 1),
    ] {
        let time = one.time(what);
        assert_eq!(time.count(), count, "{what:?}");
        assert_eq!(
            0 < time.sum_ns,
            0 < count && what != EdgeTime::JobHandedOut || 0 < time.sum_ns,
            "{what:?}"
        );
    }
    let cgminer = crew(&metrics, 0, "stratum", "cgminer");
    assert_eq!((cgminer.connections, cgminer.miners), (1, 1));
    assert_eq!(cgminer.shares, [("accepted", 1), ("duplicate", 1)]);
    // 0.001 of 2^32 hashes.
    assert_eq!(cgminer.work, 4_000_000);
    assert_eq!(cgminer.expected, 0, "a fixed port wants no pace");
    let other = crew(&metrics, 1, "stratum", "other");
    assert_eq!(other.expected, work("0.00001").units() / 10);
    assert_eq!((other.connections, other.miners), (1, 1));
    let silents = crew(&metrics, 1, "none", "none");
    assert_eq!((silents.connections, silents.miners), (1, 0));
    drop((fixed, moved, silent));
    let metrics = pool.until("all left", |metrics| {
        metrics.sessions.counts.connections == 0
    });
    assert_eq!(way(&metrics, 0, "stratum").closed, [("left", 1)]);
    assert_eq!(way(&metrics, 1, "none").closed, [("left", 1)]);
    for port in &metrics.edge.ports {
        for crew in &port.crews {
            let open = (crew.connections, crew.miners, crew.expected);
            assert_eq!(open, (0, 0, 0), "{crew:?}");
        }
    }
    let shown = format!("{:?}", metrics.edge);
    for secret in ["evil", "name-", "127.0.0.1", "nobody"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

#[test]
fn each_dialect_is_counted_as_itself() {
    let (tls, _dir) = certificate();
    let pool = Pool::start(&Setup {
        tls: Some(tls),
        ..setup()
    });
    let tunnel = Tunnel::plainly(&pool);
    let work = pool.give(given("seal", "parent", crate::ethash::HARD));
    let names = [
        "eth-proxy",
        "nicehash",
        "ethereum-stratum-2",
        "ethminer-legacy",
        "getwork",
    ];
    for (dialect, name) in DIALECTS.into_iter().zip(names) {
        let mut rig = Rig::new(dialect, tunnel.address, &format!("name-{}", &name[..2]));
        let job = rig.job(work.seal);
        let nonce = rig.share(&job);
        let mix = answer(job.seal, nonce).mix;
        let submitted = rig.submit(&job, nonce, mix);
        let metrics = pool.gateway.metrics();
        let crews: Vec<&EdgeCrew> = metrics.edge.ports[0]
            .crews
            .iter()
            .filter(|crew| crew.dialect == name)
            .collect();
        let shares: Vec<_> = crews.iter().flat_map(|crew| &crew.shares).collect();
        let result = if submitted == 0 {
            "accepted"
        } else {
            "duplicate"
        };
        assert_eq!(shares, [&(result, 1)], "{name}");
        assert_eq!(way(&metrics, 0, name).logins, [("ok", 1)], "{name}");
        assert_eq!(
            way(&metrics, 0, name).time(EdgeTime::JobHandedOut).count(),
            1
        );
        let trips = u64::from(name != "getwork");
        assert_eq!(
            way(&metrics, 0, name).time(EdgeTime::RoundTrip).count(),
            trips,
            "{name}"
        );
    }
    let metrics = pool.gateway.metrics();
    let none = way(&metrics, 0, "none");
    assert_eq!((none.accepts, none.handshakes), (5, 5));
    assert_eq!(none.time(EdgeTime::Handshake).count(), 5);
}

#[test]
fn who_is_turned_away_is_counted_at_his_port_and_why() {
    let limits = Limits {
        connections_per_address: 1,
        ..Limits::default()
    };
    let pool = Pool::start(&Setup {
        ports: vec![DifficultyRule::Fixed(work("1")); 2],
        limits,
        ..Setup::default()
    });
    pool.work_at(1, HARD);
    let mut inside = Miner::connect(pool.address(1));
    assert_eq!(
        inside.ask("mining.ping", &json!([]))["result"],
        json!("pong")
    );
    for _ in 0..2 {
        assert!(Miner::connect(pool.address(1)).is_closed());
    }
    let metrics = pool.gateway.metrics();
    assert_eq!(metrics.edge.ports[0].turned_away, []);
    assert_eq!(metrics.edge.ports[1].turned_away, [("address", 2)]);
}
