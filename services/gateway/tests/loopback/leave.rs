//! A gateway that ends sends its miners elsewhere, in waves, and loses nothing.

use std::time::Duration;

use orebook_gateway::{Elsewhere, Limits};
use serde_json::json;

use crate::miner::{Miner, code};
use crate::pool::{HARD, Pool, Setup, template};

const HOUR: Duration = Duration::from_secs(3_600);

fn siblings() -> [&'static str; 2] {
    ["gateway-2.pool.example:3333", "gateway-3.pool.example:3333"]
}

fn setup(limits: Limits) -> Setup {
    Setup {
        limits,
        elsewhere: siblings()
            .iter()
            .filter_map(|text| Elsewhere::parse(text))
            .collect(),
        ..Setup::default()
    }
}

#[test]
fn miners_leave_in_waves_and_the_others_are_served_until_theirs() {
    let pool = Pool::start(&setup(Limits {
        drain_wave: 2,
        drain_interval: Duration::from_millis(400),
        drain_grace: HOUR,
        drain_max: 2 * HOUR,
        ..Limits::default()
    }));
    pool.work_at(1, HARD);
    let mut miners: Vec<_> = (0..6)
        .map(|_| Miner::ready(pool.address(0), "name-a"))
        .collect();
    let address = pool.address(0);
    pool.gateway.drain();
    pool.until("the first wave", |metrics| {
        metrics.sessions.counts.sent_elsewhere == 2
    });
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "nobody comes in any more"
    );
    // Work and answers go on for everybody who is still there, told or not.
    pool.work(template(1, HARD, 1));
    for miner in &mut miners {
        let job = miner.next_job();
        let found = miner.mine(&job);
        assert_eq!(code(&miner.submit("name-a", &found)), 0);
    }
    pool.until("all waves", |metrics| {
        metrics.sessions.counts.sent_elsewhere == 6
    });
    let mut went = Vec::new();
    for mut miner in miners {
        miner.ask("mining.ping", &json!([]));
        went.append(&mut miner.reconnects);
        assert_eq!(miner.messages, ["the gateway stops"]);
    }
    let [second, third] = siblings();
    assert_eq!(went, [second, third, second, third, second, third]);
    // They are gone: nobody is waited for any more.
    let ledger = pool.stop();
    assert_eq!(ledger.final_shares(6).len(), 6);
}

#[test]
fn who_does_not_go_is_closed_after_the_grace_and_what_he_sent_counts() {
    let pool = Pool::start(&setup(Limits {
        drain_wave: 100,
        drain_grace: Duration::from_millis(300),
        drain_max: HOUR,
        ..Limits::default()
    }));
    pool.work_at(1, HARD);
    let mut stays = Miner::ready(pool.address(0), "name-a");
    let _silent = Miner::connect(pool.address(0));
    pool.until("two", |metrics| metrics.sessions.counts.connections == 2);
    pool.gateway.drain();
    let mut count = 0;
    let job = stays.job();
    loop {
        let found = stays.mine(&job);
        if !stays.try_submit("name-a", &found) {
            break;
        }
        count += 1;
    }
    assert!(0 < count);
    let closed = pool.gateway.metrics().sessions.counts.closed;
    assert_eq!(closed.drained, 1);
    let ledger = pool.stop();
    assert!(count <= ledger.final_shares(count).len());
}

#[test]
fn the_time_to_end_is_bounded_whoever_stays() {
    let pool = Pool::start(&setup(Limits {
        drain_wave: 1,
        drain_interval: Duration::from_millis(100),
        drain_grace: HOUR,
        drain_max: Duration::from_millis(500),
        ..Limits::default()
    }));
    pool.work_at(1, HARD);
    let mut miners: Vec<_> = (0..3)
        .map(|_| Miner::ready(pool.address(0), "name-a"))
        .collect();
    pool.gateway.stop().expect("no thread panicked");
    for miner in &mut miners {
        assert!(miner.is_closed());
        assert_eq!(miner.messages, ["the gateway stops"]);
        assert_eq!(miner.reconnects.len(), 1, "each is told once");
    }
}
