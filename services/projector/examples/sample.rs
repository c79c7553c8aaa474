//! A server with sample data that grows: `cargo run -p orebook-projector --example sample -- 127.0.0.1:8099`. For looking at
//! the page; the data is made up, the ledger, folds and API are real.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "an example stops at the first surprise"
)]

#[path = "../../../replay/store/tests/world/mod.rs"]
mod world;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use orebook_projector::{ApiConfig, Member, Metrics, Projector, Server, Verify, folds, router};
use orebook_replay::store::MemoryStore;
use orebook_schema::At;
use orebook_schema::work::BlockState;

use world::{DIFFICULTY_1, World, named};

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    u64::try_from(since.as_millis()).expect("before the year 584 million")
}

fn main() {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8099".to_owned());
    let mut world = World::begun_at(now_ms() - 4 * 3_600_000);
    let metrics = Metrics::new();
    let member = |fold| -> Member { (fold, Arc::new(MemoryStore::new())) };
    let members = folds().into_iter().map(member).collect();
    let fatal = Arc::new(|why: &str| panic!("fatal: {why}"));
    let reader = world.reader.clone();
    let projector =
        Projector::start(world::LEDGER, members, reader, &metrics, fatal).expect("a thread");
    let verify = |what: &str, command: &str| Verify {
        what: what.to_owned(),
        command: command.to_owned(),
    };
    let config = ApiConfig {
        verify: vec![
            verify(
                "Check every frame, signature and root of the files.",
                "./orebook ledger verify --data ./data",
            ),
            verify(
                "Compute every balance again, from nothing but the ledger.",
                "./orebook replay --data ./data --into ./again",
            ),
            verify(
                "Ask this projector for its digest, and compare.",
                "curl 'http://127.0.0.1:8080/api/v1/digest?fold=money'",
            ),
        ],
        ..ApiConfig::default()
    };
    let listener = TcpListener::bind(&address).expect("a free port");
    let server =
        Server::start(listener, router(projector.books(), config, &metrics)).expect("a server");
    println!("http://{}", server.address());
    grow(&mut world);
}

/// Four hours at once, then as the clock goes.
fn grow(world: &mut World) -> ! {
    let network = 22_000 * u128::from(DIFFICULTY_1);
    let rigs: Vec<(u32, u64)> = (0..14u64)
        .map(|rig| {
            let account = named(
                ["anna", "ben-the-miner", "clara", "dust"]
                    [usize::try_from(rig % 4).expect("small")],
            );
            let work = DIFFICULTY_1 * (4 + rig % 5);
            (
                world.worker(
                    &account,
                    &format!("rig-{}", rig % 6),
                    if rig % 7 == 6 { 2 } else { 1 },
                    work,
                ),
                work,
            )
        })
        .collect();
    let mut pending: Vec<(orebook_schema::Hash, u64, At)> = Vec::new();
    let mut height = 2_400;
    let mut job = world.job(height, network);
    for turn in 0u64.. {
        if now_ms() < world.clock {
            std::thread::sleep(Duration::from_millis(200));
            continue;
        }
        world.clock += 5_000;
        let swing = 2 + (turn / 120) % 4 + (turn * 7_919) % 3;
        let shares: Vec<(u32, u64, bool)> = rigs
            .iter()
            .cycle()
            .skip(usize::try_from(turn * 5 % 14).expect("small"))
            .take(usize::try_from(swing * 10).expect("small"))
            .map(|(rig, work)| (*rig, *work, (turn + u64::from(*rig)).is_multiple_of(97)))
            .collect();
        world.shares(job, &shares);
        if (turn * turn * 31 + turn * 17) % 211 < 2 {
            let (finder, work) = rigs[usize::try_from(turn % 14).expect("small")];
            let hash = world.block(finder, job, work, height);
            pending.push((hash, height, At::default()));
            height += 1 + turn % 5;
            job = world.job(height, network);
            settle(world, &mut pending);
        }
        if turn.is_multiple_of(3) {
            world.finalise();
        }
    }
    unreachable!("turns do not end")
}

fn settle(world: &mut World, pending: &mut [(orebook_schema::Hash, u64, At)]) {
    let count = pending.len();
    for (index, (hash, height, at)) in pending.iter_mut().enumerate() {
        let age = count - index;
        let orphan = (*height).is_multiple_of(11);
        let state = match age {
            2 => BlockState::Seen,
            3 if orphan => BlockState::Orphaned,
            3 => BlockState::Immature,
            6 if !orphan => BlockState::Confirmed,
            _ => continue,
        };
        *at = world.status(*hash, *height, *at, state);
    }
}
