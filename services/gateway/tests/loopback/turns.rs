//! Turns of the loop: who had a good share is judged before newcomers, who come a few at a time, and none of them is forgotten.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::miner::{Miner, code};
use crate::pool::{DEADLINE, EASY, Pool, Setup};

/// Newcomers that are read in one turn at most (`looper/read.rs`).
const A_TURN: usize = 64;

/// What the loop did, in its order; it stands still at names for which a gate is closed.
#[derive(Debug, Default)]
struct Watch {
    seen: Mutex<(Vec<String>, Vec<&'static str>)>,
    changed: Condvar,
}

impl Watch {
    /// In the loop's thread.
    fn note(&self, what: &str) {
        let mut seen = self.seen.lock().expect("no panic");
        seen.0.push(what.to_owned());
        self.changed.notify_all();
        let is_shut = |seen: &mut (Vec<String>, Vec<&'static str>)| {
            seen.1.iter().any(|gate| what.starts_with(gate))
        };
        let waited = self.changed.wait_timeout_while(seen, DEADLINE, is_shut);
        assert!(!waited.expect("no panic").1.timed_out(), "{what} waits");
    }

    fn shut(&self, gates: &[&'static str]) {
        self.seen.lock().expect("no panic").1 = gates.to_vec();
        self.changed.notify_all();
    }

    /// Waits until the loop did it.
    fn until(&self, what: &str) {
        let seen = self.seen.lock().expect("no panic");
        let lacks = |seen: &mut (Vec<String>, Vec<&'static str>)| {
            !seen.0.iter().any(|seen| seen.starts_with(what))
        };
        let waited = self.changed.wait_timeout_while(seen, DEADLINE, lacks);
        assert!(!waited.expect("no panic").1.timed_out(), "no {what}");
    }

    fn all(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").0.clone()
    }
}

#[test]
fn who_had_a_good_share_is_judged_before_newcomers_and_these_a_few_a_turn() {
    let watch = Arc::new(Watch::default());
    let told = Arc::clone(&watch);
    let pool = Pool::start(&Setup {
        watch: Some(Arc::new(move |what: &str| told.note(what))),
        ..Setup::default()
    });
    // Every share is a block, of which the nodes hear when it is judged.
    pool.work_at(1, EASY);
    let mut good = Miner::ready(pool.address(0), "name-good");
    let job = good.job();
    let found: Vec<_> = (0..3).map(|_| good.mine(&job)).collect();
    assert_eq!(code(&good.submit("name-good", &found[0])), 0);

    let mut keeper = Miner::connect(pool.address(0));
    keeper.subscribe();
    let mut newcomers: Vec<_> = (0..3 * A_TURN + 7)
        .map(|_| Miner::connect(pool.address(0)))
        .collect();
    let count = newcomers.len() + 2;
    pool.until("all are inside", |metrics| {
        metrics.sessions.counts.connections == count as u64
    });

    // The loop stands still; meanwhile newcomers say something, and the miner's share comes last.
    watch.shut(&["name-keeper", "name-new"]);
    let asked = keeper.send("mining.authorize", &json!(["name-keeper", "x"]));
    watch.until("name-keeper");
    for (number, newcomer) in newcomers.iter_mut().enumerate() {
        newcomer.send("mining.subscribe", &json!(["test/1"]));
        newcomer.send(
            "mining.authorize",
            &json!([format!("name-new{number}"), "x"]),
        );
    }
    let first = good.send("mining.submit", &Miner::params("name-good", &found[1]));
    watch.shut(&["name-new"]);
    watch.until("name-new");
    let seen = watch.all();
    let kinds: Vec<&str> = seen.iter().map(|what| kind(what)).collect();
    assert_eq!(
        kinds,
        ["good", "block", "keeper", "block", "new"],
        "in one turn: the share first"
    );
    // It stands still at the first newcomer; the next share comes.
    let second = good.send("mining.submit", &Miner::params("name-good", &found[2]));
    until_they_arrived(&pool, &[good.port()]);
    watch.shut(&[]);
    for id in [first, second] {
        let reply = good.reply();
        assert_eq!((&reply["id"], code(&reply)), (&json!(id), 0));
    }
    let reply = keeper.reply();
    assert_eq!((&reply["id"], code(&reply)), (&json!(asked), 0));
    for newcomer in &mut newcomers {
        assert!(newcomer.reply()["result"].is_array(), "subscribed");
        assert_eq!(code(&newcomer.reply()), 0, "logged in");
    }
    let seen = watch.all();
    let mut blocks = seen.iter().enumerate();
    let blocks: Vec<usize> = blocks
        .by_ref()
        .filter(|(_, what)| kind(what) == "block")
        .map(|(place, _)| place)
        .collect();
    let [_, before, after] = blocks[..] else {
        panic!("three shares: {seen:?}");
    };
    assert_eq!(after - before - 1, A_TURN, "then the next share");
    assert_eq!(pool.final_shares(3).len(), 3);
}

/// Waits until bytes of each of these ports wait to be read by the gateway: a busy system hands them on a moment after they are
/// written (proc(5), /proc/net/tcp: addresses and `tx_queue:rx_queue`, in hex).
fn until_they_arrived(pool: &Pool, ports: &[u16]) {
    let (to, start) = (format!(":{:04X}", pool.address(0).port()), Instant::now());
    loop {
        let sockets = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
        let fields = sockets.lines().map(|line| line.split_ascii_whitespace());
        let from: HashSet<u16> = fields
            .filter_map(|mut fields| {
                let (local, remote) = (fields.nth(1)?, fields.next()?);
                let (_, waiting) = fields.nth(1)?.split_once(':')?;
                let (_, port) = remote.split_once(':')?;
                let has_some = local.ends_with(&to) && u32::from_str_radix(waiting, 16).ok()? != 0;
                u16::from_str_radix(port, 16).ok().filter(|_| has_some)
            })
            .collect();
        if ports.iter().all(|port| from.contains(port)) {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{} arrived", from.len());
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// What somebody did, without his number.
fn kind(what: &str) -> &str {
    let what = what.strip_prefix("name-").unwrap_or(what);
    what.trim_end_matches(|digit: char| digit.is_ascii_digit())
}
