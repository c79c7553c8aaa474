//! The thread itself, asking the development chain through its nodes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use orebook_chain::{DevChain, DevConfig, NodeConfig, NodeKind, Nodes, NodesConfig, Timing};
use orebook_ledger::reader::Reader;
use orebook_replay::store::MemoryStore;
use orebook_schema::{Hash, StreamId};
use orebook_settler::book::Book;
use orebook_settler::look::{Dialect, Payout};
use orebook_settler::settler::{Settler, SettlerConfig, SettlerParts};
use orebook_sim::disk::SimDisk;

use crate::world::{
    CONFIRMED, IMMATURE, LEDGER, ORPHAN, SETTLERS, World, disk_with_genesis, machine_config, poll,
    signer, store_config,
};

const SCRIPT: &[u8] = b"\x00\x14aaaaaaaaaaaaaaaaaaaa";
const OTHER: &[u8] = b"\x00\x14bbbbbbbbbbbbbbbbbbbb";
/// Real time after which a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);

/// A pool with one settler's thread on a development chain.
struct Live {
    world: World,
    dev: DevChain,
    nodes: Nodes,
    settler: Option<Settler>,
    mirror: Arc<Mutex<Reader<SimDisk>>>,
    clock: Arc<AtomicU64>,
    store: Arc<MemoryStore>,
    disk: SimDisk,
    runtime: tokio::runtime::Runtime,
    fatal: Arc<Mutex<Vec<String>>>,
}

impl Live {
    fn new() -> Self {
        let world = World::new(0, 1);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let clock = Arc::new(AtomicU64::new(world.now));
        let seconds = clock.clone();
        // The easiest target there is: the test mines blocks itself.
        let easy = DevConfig {
            bits_start: 0x207f_ffff,
            ..DevConfig::default()
        };
        let begin = u64::from(easy.genesis_time);
        let dev_clock = Arc::new(move || begin + seconds.load(Ordering::Relaxed) / 1_000);
        let dev = DevChain::new(easy, dev_clock).unwrap();
        let config = NodesConfig {
            nodes: vec![NodeConfig {
                name: "dev".to_owned(),
                kind: NodeKind::Dev(dev.clone()),
            }],
            genesis: Some(dev.genesis()),
            push: None,
            timing: Timing::default(),
        };
        let guard = runtime.enter();
        let nodes = Nodes::start(config).unwrap();
        drop(guard);
        let mirror = disk_with_genesis(55, "mirror");
        let (reader, _) = Reader::open(mirror, "mirror", LEDGER, store_config(), 0).unwrap();
        let mut live = Self {
            world,
            dev,
            nodes,
            settler: None,
            mirror: Arc::new(Mutex::new(reader)),
            clock,
            store: Arc::new(MemoryStore::new()),
            disk: SimDisk::new(56),
            runtime,
            fatal: Arc::default(),
        };
        live.start();
        live
    }

    fn start(&mut self) {
        let mut machine = machine_config(2);
        machine.dialect = Dialect::Bitcoin(Payout {
            scripts: vec![SCRIPT.to_vec()],
            texts: vec!["/dev/".to_owned()],
        });
        let config = SettlerConfig {
            machine,
            dir: "settler".to_owned(),
            turn_ms: 1,
            poll_ms: 100,
        };
        let (clock, clock2) = (self.clock.clone(), self.clock.clone());
        let fatal = self.fatal.clone();
        let parts = SettlerParts {
            disk: self.disk.clone(),
            signer: signer(SETTLERS[0]),
            mirror: self.mirror.clone(),
            log: self.world.broker.clone(),
            view: self.nodes.clone(),
            store: self.store.clone(),
            runtime: self.runtime.handle().clone(),
            now_ms: Box::new(move || clock.load(Ordering::Relaxed)),
            new_stream: Box::new(move || {
                StreamId::from_parts(clock2.load(Ordering::Relaxed), [7; 10])
            }),
            fatal: Arc::new(move |why| fatal.lock().unwrap().push(why.to_owned())),
        };
        self.settler = Some(Settler::start(config, parts).unwrap());
    }

    /// Turns of everybody else, until the settler did it.
    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < DEADLINE, "{what} does not happen");
            self.world.turns(1);
            self.clock.store(self.world.now, Ordering::Relaxed);
            poll(&mut self.mirror.lock().unwrap(), &self.world.broker);
            std::thread::yield_now();
        }
    }

    fn state(&self, hash: Hash) -> &'static str {
        let block = Book::new(self.store.clone()).block(hash).unwrap();
        let obeyed = block.and_then(|block| block.obeyed);
        obeyed.map_or("none", |obeyed| obeyed.state.name())
    }

    fn until_state(&mut self, hash: Hash, state: &str) {
        self.until(state, |live| live.state(hash) == state);
    }

    fn mine(&self, count: u64) {
        for _ in 0..count {
            self.dev.mine(OTHER).unwrap();
        }
    }

    fn end(mut self) {
        self.settler.take().unwrap().stop().unwrap();
        self.runtime.block_on(self.nodes.stop());
        assert!(self.fatal.lock().unwrap().is_empty());
    }
}

#[test]
fn on_the_development_chain_blocks_are_settled_orphaned_and_recovered() {
    let mut live = Live::new();
    // A found block, and one whose gateway died right after the chain took it.
    let found = live.dev.mine(SCRIPT).unwrap();
    let lost = live.dev.mine(SCRIPT).unwrap();
    let height = live.dev.header(found).unwrap().height;
    let txid = live.dev.block(found).unwrap().coinbase_txid;
    live.world.found_with(found, height, txid);
    live.until_state(found, "seen");
    live.mine(IMMATURE);
    live.until_state(found, "immature");
    live.until_state(lost, "immature");
    live.until("the archiver's view", |live| {
        live.world.obeyed(lost).len() == 2
    });
    let recovered = live.world.recoveries();
    assert_eq!(recovered.len(), 1);
    let paid = live.dev.block(lost).unwrap();
    assert_eq!(recovered[0].value, paid.paid_to(SCRIPT));
    assert_eq!(Some(recovered[0].fees), paid.fees);
    assert_eq!(recovered[0].coinbase_txid, paid.coinbase_txid);
    live.dev.reorganise(live.dev.tip().height - height).unwrap();
    live.mine(ORPHAN);
    live.until_state(lost, "orphaned");
    live.mine(CONFIRMED);
    live.until_state(found, "confirmed");
    live.until("the archiver's view", |live| {
        live.world.obeyed(found).len() == 3
    });
    assert_eq!(live.world.obeyed(found), ["seen", "immature", "confirmed"]);
    assert_eq!(live.world.obeyed(lost), ["seen", "immature", "orphaned"]);
    let (_, status) = live.world.statuses(found)[0];
    assert_eq!(status.value, live.dev.block(found).unwrap().paid_to(SCRIPT));
    live.end();
}

#[test]
fn a_settler_that_was_stopped_goes_on_from_its_store() {
    let mut live = Live::new();
    let found = live.dev.mine(SCRIPT).unwrap();
    let txid = live.dev.block(found).unwrap().coinbase_txid;
    live.world.found_with(found, 1, txid);
    live.until_state(found, "seen");
    live.settler.take().unwrap().stop().unwrap();
    live.mine(IMMATURE);
    live.start();
    live.until_state(found, "immature");
    live.until("the archiver's view", |live| {
        live.world.obeyed(found).len() == 2
    });
    assert_eq!(live.world.statuses(found).len(), 2, "once each");
    assert_eq!(live.settler.as_ref().unwrap().metrics().said_immature, 1);
    live.end();
}

#[test]
fn a_disk_that_fails_is_reported_once_and_ends_the_thread() {
    let mut live = Live::new();
    let found = live.dev.mine(SCRIPT).unwrap();
    let txid = live.dev.block(found).unwrap().coinbase_txid;
    live.world.found_with(found, 1, txid);
    live.disk.faults().crash_after(1);
    live.until("the report", |live| !live.fatal.lock().unwrap().is_empty());
    assert_eq!(live.fatal.lock().unwrap().len(), 1);
    live.settler.take().unwrap().stop().unwrap();
}
