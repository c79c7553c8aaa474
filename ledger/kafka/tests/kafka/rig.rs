//! The simulator's actors around one log over Kafka.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use orebook_kafka::{KafkaConfig, KafkaLog, Topics};
use orebook_ledger::log::Log;
use orebook_schema::{Hash, LedgerId};
use orebook_sim::checks::{Miners, count_shares, exactly_once, leaves};
use orebook_sim::rng::Rng;
use orebook_sim::world::actors::{Outcome, read};
use orebook_sim::world::{Pool, final_records, pool};
use orebook_tests::kafka::Cluster;
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);
/// Longest pause of a turn.
const PAUSE: Duration = Duration::from_millis(5);
/// SLIP-44 number of the simulator's coin.
pub(crate) const COIN: u32 = 1;

/// The broker of the tests that harm nobody's.
pub(crate) fn shared() -> MutexGuard<'static, Cluster> {
    static SHARED: OnceLock<Mutex<Cluster>> = OnceLock::new();
    let cluster = SHARED.get_or_init(|| Mutex::new(Cluster::start_secured()));
    cluster.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Addresses of the broker of the tests that harm nobody's.
pub(crate) fn shared_addresses() -> Vec<String> {
    shared().addresses()
}

/// Waits until `done` gives something.
pub(crate) fn wait_until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(done) = done() {
            return done;
        }
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::park_timeout(PAUSE);
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_millis()).expect("before the year 584 million")
}

/// Librdkafka's own admin client, for what a test does to topics behind our back.
pub(crate) fn admin(addresses: &[String]) -> AdminClient<DefaultClientContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", addresses.join(","));
    config.create().expect("an admin client")
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future.
pub(crate) fn wait_for<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

/// A pool over Kafka. Each actor has a handle of its own.
pub(crate) struct Rig {
    pub(crate) pool: Pool,
    pub(crate) gateways: Vec<KafkaLog>,
    pub(crate) projectors: Vec<KafkaLog>,
    pub(crate) keeper: KafkaLog,
    pub(crate) miners: Miners,
    rng: Rng,
    next_share: u32,
}

impl Rig {
    /// All actors of a seed, started, on the log that `config` names.
    pub(crate) fn start(seed: u64, config: &KafkaConfig) -> Self {
        println!("seed {seed}");
        let mut pool = pool(seed);
        let mut rng = Rng::new(seed);
        let common = pool.common.clone();
        let keeper = KafkaLog::open(config, COIN, common.ledger).expect("a log");
        let another = || keeper.another().expect("a handle");
        let gateways = pool.gateways.iter().map(|_| another()).collect();
        let projectors = pool.projectors.iter().map(|_| another()).collect();
        for gateway in &mut pool.gateways {
            gateway.start(&common, now_ms(), &mut rng).expect("starts");
        }
        for projector in &mut pool.projectors {
            projector.start(&common).expect("starts");
        }
        pool.keeper
            .start(&common, now_ms(), &mut rng)
            .expect("starts");
        Self {
            pool,
            gateways,
            projectors,
            keeper,
            miners: Miners::default(),
            rng,
            next_share: 0,
        }
    }

    /// The ledger.
    pub(crate) const fn ledger(&self) -> LedgerId {
        self.pool.common.ledger
    }

    /// The topic of an incarnation.
    pub(crate) fn topic(&self, incarnation: u32) -> String {
        Topics::new("orebook", COIN, self.ledger()).incarnation(incarnation)
    }

    /// Each actor has a turn; gateways serve shares before theirs if they are to.
    pub(crate) fn turn(&mut self, serving: bool) {
        let (rng, pool) = (&mut self.rng, &mut self.pool);
        let now = now_ms();
        let archiver = pool.keeper.life.as_ref().expect("it runs").reader();
        for (gateway, log) in pool.gateways.iter_mut().zip(&mut self.gateways) {
            let life = gateway.life.as_mut().expect("it runs");
            if serving {
                let next = &mut self.next_share;
                let mut fresh = || {
                    *next += 1;
                    (*next, 1_700_000_000)
                };
                let (sent, outcome) = life.serve(now, rng, &mut fresh);
                assert_eq!(outcome, Outcome::Alive, "{}", gateway.name);
                for share in sent {
                    assert!(share.answered, "miners notice nothing");
                    self.miners.sent.insert(share.id);
                    self.miners.accepted.insert(share.id);
                }
            }
            let outcome = life.turn(log, Some(archiver), now, rng);
            assert_eq!(outcome, Outcome::Alive, "{}", gateway.name);
        }
        let outcome = pool.keeper.turn(&mut self.keeper, now, rng);
        assert_eq!(outcome, Outcome::Alive, "the archiver");
        let archiver = pool.keeper.life.as_ref().expect("it runs").reader();
        for (projector, log) in pool.projectors.iter_mut().zip(&self.projectors) {
            let reader = projector.life.as_mut().expect("it runs");
            let outcome = read(reader, log, Some(archiver), rng);
            assert_eq!(outcome, Outcome::Alive, "{}", projector.name);
        }
        self.keeper.wait(PAUSE);
    }

    /// Serves so many more shares.
    pub(crate) fn serve(&mut self, shares: usize) {
        let until = self.miners.accepted.len() + shares;
        let started = Instant::now();
        while self.miners.accepted.len() < until {
            assert!(started.elapsed() < PATIENCE, "{}", self.standing());
            self.turn(true);
        }
    }

    /// Goes on without new shares until everything is final everywhere, and judges it.
    pub(crate) fn settle(&mut self) {
        let started = Instant::now();
        while !self.is_done() {
            assert!(started.elapsed() < PATIENCE, "{}", self.standing());
            self.turn(false);
        }
        self.judge();
    }

    /// Incarnation that the archiver reads.
    pub(crate) fn incarnation(&self) -> Option<u32> {
        let archiver = self.pool.keeper.life.as_ref().expect("it runs");
        archiver.reader().incarnation()
    }

    /// Final size and root at the archiver.
    pub(crate) fn final_tree(&self) -> (u64, Hash) {
        let reader = self.pool.keeper.life.as_ref().expect("it runs").reader();
        (reader.final_size(), reader.settled().root())
    }

    fn is_done(&self) -> bool {
        let archiver = self.pool.keeper.life.as_ref().expect("it runs");
        let size = archiver.reader().final_size();
        let gateways = &self.pool.gateways;
        let all_sent = gateways
            .iter()
            .all(|one| one.life.as_ref().is_some_and(|life| life.is_done()));
        let read = self.pool.projectors.iter().all(|one| {
            let reader = one.life.as_ref();
            reader.is_some_and(|reader| reader.final_size() == size)
        });
        all_sent && read && archiver.signed().is_some_and(|signed| signed.size == size)
    }

    /// Every share that was answered counts once, and every reader holds the same.
    fn judge(&self) {
        let archiver = self.pool.keeper.life.as_ref().expect("it runs");
        let records = final_records(archiver.reader()).expect("whole");
        exactly_once(&self.miners, &count_shares(&records), &BTreeSet::new()).expect("the rule");
        for projector in &self.pool.projectors {
            let reader = projector.life.as_ref().expect("it runs");
            let own = final_records(reader).expect("whole");
            assert_eq!(leaves(&own), leaves(&records), "{}", projector.name);
            assert_eq!(reader.settled().root(), archiver.reader().settled().root());
        }
    }

    fn standing(&self) -> String {
        let (size, _) = self.final_tree();
        let archiver = self.pool.keeper.life.as_ref().expect("it runs");
        let gateways = self
            .pool
            .gateways
            .iter()
            .filter_map(|one| one.life.as_ref());
        let gateways: Vec<_> = gateways
            .map(|life| {
                (
                    life.is_done(),
                    life.reader.final_size(),
                    life.reader.head().size(),
                )
            })
            .collect();
        format!(
            "not done: archiver final {size}, head {}, signed {:?}, incarnation {:?} of {:?}; gateways {gateways:?}; \
             {} records on their way",
            archiver.reader().head().size(),
            archiver.signed().map(|signed| signed.size),
            self.incarnation(),
            self.keeper.newest(),
            self.keeper.in_flight(),
        )
    }
}
