//! The activity log of a process: files beside the ledger, or a topic of Kafka.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orebook_archiver::{Mirror, lock, now_ms};
use orebook_gateway::ActivityParts;
use orebook_ledger::activity::{
    ActivityError, ActivitySink, ActivitySource, Ring, RingConfig, RingReader,
};
use orebook_ledger::authority::Authority;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::sign::Signer;
use orebook_projector::{Activity, ActivityReader, Books};
use orebook_schema::Role;

use super::place::Place;
use crate::Failure;
use orebook::config::Config;

/// Folder of the reports, in the pool's.
const FOLDER: &str = "activity";
const DAY_MS: u64 = 86_400_000;
/// A projector reads reports once it is so near the ledger's final end: it knows the gateways' keys then.
const LAG_POSITIONS_MAX: u64 = 4_096;

/// The ring of files, for every gateway of the process.
#[derive(Clone, Debug)]
struct SharedRing(Arc<Mutex<Ring<RealDisk>>>);

impl SharedRing {
    // A panic ends the process; until it has, the ring is as good as it was.
    fn held(&self) -> MutexGuard<'_, Ring<RealDisk>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActivitySink for SharedRing {
    fn append(&mut self, now: u64, report: &[u8], things: u64) -> Result<(), ActivityError> {
        self.held().append(now, report, things)
    }

    fn lost(&self) -> u64 {
        self.held().lost()
    }
}

/// Where the gateways of this process report to.
pub(crate) struct Sinks {
    ring: Option<SharedRing>,
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("activity: {error}"))
}

impl Sinks {
    /// Opens the files, unless there are brokers.
    pub(crate) fn open(config: &Config, place: &Place) -> Result<Self, Failure> {
        if has_brokers(config) {
            return Ok(Self { ring: None });
        }
        let keep = RingConfig {
            bytes_max: config.activity.total_bytes,
            age_ms_max: u64::from(config.activity.retention_days) * DAY_MS,
        };
        let ring = Ring::open(place.disk(), FOLDER, keep, now_ms()).map_err(failed)?;
        Ok(Self {
            ring: Some(SharedRing(Arc::new(Mutex::new(ring)))),
        })
    }

    /// What a gateway with this key is told.
    pub(crate) fn parts(
        &self,
        config: &Config,
        place: &Place,
        signer: Signer,
    ) -> Result<ActivityParts, Failure> {
        let sink: Box<dyn ActivitySink> = match &self.ring {
            Some(ring) => Box::new(ring.clone()),
            None => topic_sink(config, place)?,
        };
        Ok(ActivityParts {
            sink,
            signer,
            coin: place.genesis.coin,
            flush: Duration::from_millis(u64::from(config.activity.flush_ms)),
        })
    }
}

#[cfg(feature = "kafka")]
const fn has_brokers(config: &Config) -> bool {
    config.kafka.is_some()
}

#[cfg(not(feature = "kafka"))]
const fn has_brokers(_: &Config) -> bool {
    false
}

#[cfg(feature = "kafka")]
fn topic_sink(config: &Config, place: &Place) -> Result<Box<dyn ActivitySink>, Failure> {
    let kafka = config.kafka.as_ref();
    let kafka = kafka.ok_or_else(|| failed("no brokers are configured"))?;
    let days = config.activity.retention_days;
    let (coin, ledger) = (place.genesis.coin, place.ledger);
    let sink = orebook_kafka::KafkaActivity::open(kafka, coin, ledger, days);
    Ok(Box::new(sink.map_err(failed)?))
}

#[cfg(not(feature = "kafka"))]
fn topic_sink(_: &Config, _: &Place) -> Result<Box<dyn ActivitySink>, Failure> {
    Err(failed("this program is built without Kafka"))
}

fn source(config: &Config, place: &Place) -> Result<Box<dyn ActivitySource>, Failure> {
    #[cfg(feature = "kafka")]
    if let Some(kafka) = &config.kafka {
        let (coin, ledger) = (place.genesis.coin, place.ledger);
        let reader = orebook_kafka::KafkaActivityReader::open(kafka, coin, ledger);
        return Ok(Box::new(reader.map_err(failed)?));
    }
    // Only a pool of one process has no brokers.
    let _ = config;
    Ok(Box::new(RingReader::new(place.disk(), FOLDER)))
}

/// Starts to read what gateways reported, for the API.
pub(crate) fn start_reader(
    config: &Config,
    place: &Place,
    mirror: Mirror,
    books: Books,
) -> Result<(Activity, ActivityReader), Failure> {
    let may_say = move |key: &orebook_schema::Key| {
        let mirror = lock(&mirror);
        let role = mirror
            .settled()
            .authority()
            .map(|known| Authority::role(known, key));
        role.flatten() == Some(Role::Gateway)
    };
    let may_begin = move || {
        let (Some(tip), Some(heads)) = (books.tip(), books.heads()) else {
            return false;
        };
        heads.final_size.saturating_sub(tip.size) <= LAG_POSITIONS_MAX
    };
    let activity = Activity::default();
    let reader = activity.start(
        place.ledger,
        source(config, place)?,
        Box::new(may_say),
        Box::new(may_begin),
    );
    Ok((activity, reader.map_err(failed)?))
}
