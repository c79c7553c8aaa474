//! The thread itself: it starts, pays, stops, hangs on a question, and ends for good where it cannot go on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use orebook_ledger::reader::Reader;
use orebook_paymaster::paymaster::{Paymaster, PaymasterConfig, PaymasterParts};
use orebook_paymaster::why::Why;
use orebook_replay::folds::money::payouts::TxState;
use orebook_schema::{Event, StreamId};
use orebook_sim::disk::SimDisk;
use orebook_sim::ground::{mirror, poll};

use crate::chain::Edge;
use crate::setup::{FaultyStore, LAST, LEDGER, PAYMASTERS, Setup, account, signer};
use crate::world::World;

/// Real time after which a test gives up.
const DEADLINE: Duration = Duration::from_secs(60);

/// A world whose only paymaster is a thread.
struct Live {
    world: World,
    paymaster: Option<Paymaster>,
    mirror: Arc<Mutex<Reader<SimDisk>>>,
    clock: Arc<AtomicU64>,
    disk: SimDisk,
    store: Arc<FaultyStore>,
    runtime: tokio::runtime::Runtime,
    fatal: Arc<Mutex<Vec<String>>>,
    starts: u8,
}

impl Live {
    fn new() -> Self {
        let setup = Setup {
            paymasters: 0,
            ..Setup::new(false)
        };
        let world = World::new(setup);
        let disk = setup.disk_with_genesis(77, "mirror");
        let reader = mirror(&disk, LEDGER).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut live = Self {
            clock: Arc::new(AtomicU64::new(world.now)),
            world,
            paymaster: None,
            mirror: Arc::new(Mutex::new(reader)),
            disk: SimDisk::new(78),
            store: Arc::default(),
            runtime,
            fatal: Arc::default(),
            starts: 0,
        };
        live.start();
        live
    }

    fn start(&mut self) {
        self.starts += 1;
        let (clock, clock2) = (self.clock.clone(), self.clock.clone());
        let (fatal, starts) = (self.fatal.clone(), self.starts);
        let config = PaymasterConfig {
            machine: self.world.setup.machine_config(),
            dir: "paymaster".to_owned(),
            turn_ms: 1,
            poll_ms: 100,
        };
        let parts = PaymasterParts {
            disk: self.disk.clone(),
            signer: signer(PAYMASTERS[0]),
            mirror: self.mirror.clone(),
            log: self.world.broker.clone(),
            wallet: self.world.chain.clone(),
            digests: self.world.projectors.clone(),
            store: self.store.clone(),
            runtime: self.runtime.handle().clone(),
            now_ms: Box::new(move || clock.load(Ordering::Relaxed)),
            new_stream: Box::new(move || {
                StreamId::from_parts(clock2.load(Ordering::Relaxed), [starts; 10])
            }),
            fatal: Arc::new(move |why| fatal.lock().unwrap().push(why.to_owned())),
        };
        self.paymaster = Some(Paymaster::start(config, parts).unwrap());
    }

    fn running(&self) -> &Paymaster {
        self.paymaster.as_ref().unwrap()
    }

    /// A turn of everybody else.
    fn turn(&mut self) {
        self.world.turns(1);
        self.clock.store(self.world.now, Ordering::Relaxed);
        poll(&mut self.mirror.lock().unwrap(), &self.world.broker);
        std::thread::yield_now();
    }

    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            let fatal = self.fatal.lock().unwrap().clone();
            assert!(
                begun.elapsed() < DEADLINE,
                "{what} does not happen: {fatal:?}"
            );
            self.turn();
        }
    }

    fn until_state(&mut self, state: TxState) {
        self.until(state.name(), |live| live.world.state(0, 0) == Some(state));
    }

    fn end(mut self) {
        self.paymaster.take().unwrap().stop().unwrap();
        assert!(self.fatal.lock().unwrap().is_empty());
    }
}

#[test]
fn it_pays_and_one_that_was_stopped_goes_on_where_it_was() {
    let mut live = Live::new();
    live.world.give(&[(account(1), 500)]);
    live.until_state(TxState::Seen);
    live.paymaster.take().unwrap().stop().unwrap();
    live.world.chain.mine(LAST);
    let looks = live.world.chain.asked(Edge::Look);
    for _ in 0..50 {
        live.turn();
    }
    assert_eq!(live.world.chain.asked(Edge::Look), looks, "it is stopped");
    live.start();
    live.until_state(TxState::Final);
    live.world.check_all_paid("stopped on the way");
    assert_eq!(live.world.chain.signatures(), 1);
    live.until("it says what it waits for", |live| {
        let standing = live.running().standing();
        let standing = standing.lock().unwrap();
        matches!(standing.why, Why::Nobody(_)) && standing.plan.is_none()
    });
    assert_eq!(live.running().metrics().batches, 1);
    live.end();
}

#[test]
fn a_question_that_hangs_holds_up_its_stop_until_it_is_over_and_nobody_is_paid_twice() {
    for sent in [false, true] {
        let mut live = Live::new();
        if sent {
            live.world.give(&[(account(1), 500)]);
            live.until_state(TxState::Seen);
        }
        live.world.chain.hold(true);
        live.world.give(&[(account(2), 300)]);
        live.until("it hangs", |live| live.world.chain.held() != 0);
        for _ in 0..50 {
            live.turn();
        }
        assert_eq!(live.world.chain.held(), 1, "it asks nothing else meanwhile");
        live.running().ask();
        let paymaster = live.paymaster.take().unwrap();
        let ends = std::thread::spawn(move || paymaster.stop().unwrap());
        for _ in 0..50 {
            live.turn();
        }
        assert!(
            !ends.is_finished(),
            "what is asked may happen: it is waited for"
        );
        live.world.chain.hold(false);
        ends.join().unwrap();
        live.start();
        live.until("all is paid", |live| {
            live.world.chain.mine(1);
            let batches = live.world.wallet().batches;
            batches == 1 + u64::from(sent)
                && (0..batches).all(|it| live.world.state(it, 0) == Some(TxState::Final))
        });
        live.world.check_all_paid("a question hung");
        assert_eq!(live.world.chain.signatures(), 1 + u64::from(sent));
        live.end();
    }
}

#[test]
fn a_disk_or_a_store_that_fails_is_reported_once_and_ends_the_thread() {
    for is_disk in [true, false] {
        let mut live = Live::new();
        live.until("it reads", |live| 0 < live.running().metrics().final_size);
        if is_disk {
            live.disk.faults().crash_after(1);
        } else {
            live.store.left.store(1, Ordering::Relaxed);
        }
        live.world.give(&[(account(1), 500)]);
        live.until("the report", |live| !live.fatal.lock().unwrap().is_empty());
        let turns = live.world.final_size();
        live.until("time goes on", |live| turns + 5 < live.world.final_size());
        live.paymaster.take().unwrap().stop().unwrap();
        let said = live.fatal.lock().unwrap().clone();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("paymaster: "), "{said:?}");
        // It starts again from what is durable.
        live.fatal.lock().unwrap().clear();
        live.disk.restart();
        live.start();
        live.until("all is paid", |live| {
            live.world.chain.mine(1);
            live.world.state(0, 0) == Some(TxState::Final)
        });
        live.world.check_all_paid("it failed once");
        let proposals = live.world.events_from(0);
        let is_one = |(_, _, event): &&(_, _, Event)| matches!(event, Event::PayoutProposed(_));
        assert_eq!(proposals.iter().filter(is_one).count(), 1);
        live.end();
    }
}
