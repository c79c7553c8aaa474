//! The process that reads a topic from its beginning: records through admission into synced segments, on one thread.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use orebook_kafka::{KafkaConfig, KafkaLog};
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::log::Log as _;
use orebook_ledger::reader::{ReadError, Reader};
use orebook_ledger::segment::StoreConfig;
use serde::{Deserialize, Serialize};

use super::ground::{COIN, LEDGER, failed};
use super::process::cpu_ns;
use crate::{Failure, print};

/// Records taken at once, as a mirror does.
const RECORDS_MAX: usize = 256;
/// Longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Longest wait for a record.
const TURN: Duration = Duration::from_millis(5);

/// What the process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReaderSettings {
    /// The bench's folder.
    pub(super) dir: PathBuf,
    /// The reader's folder in it, with the genesis.
    pub(super) folder: String,
    /// `host:port` of brokers.
    pub(super) brokers: Vec<String>,
    /// Positions that are to become final.
    pub(super) positions: u64,
}

/// What it says at the end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ReaderFigures {
    /// From the first look at a topic whose name is known.
    pub(super) nanos: u64,
    /// Processor time of the process in that time.
    pub(super) cpu_ns: u64,
}

/// Reads until so many positions are final.
pub(super) fn run() -> Result<(), Failure> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.map_err(|error| failed("settings", error))?;
    let settings: ReaderSettings =
        serde_json::from_str(&line).map_err(|error| failed("settings", error))?;
    let config = KafkaConfig::development(settings.brokers);
    let opened = KafkaLog::open(&config, COIN, LEDGER);
    let log = opened.map_err(|error| failed("kafka", error))?;
    let disk = RealDisk::new(settings.dir);
    let opened = Reader::open(disk, &settings.folder, LEDGER, StoreConfig::default(), 0);
    let (mut reader, _) = opened.map_err(|error| failed("reader", error))?;
    let waiting = Instant::now();
    let late = || PATIENCE < waiting.elapsed();
    while !matches!(log.newest(), Ok(Some(_))) {
        if late() {
            return Err(Failure::new("there is no topic"));
        }
        std::thread::sleep(TURN);
    }
    let (started, before) = (Instant::now(), cpu_ns(std::process::id())?);
    while reader.final_size() < settings.positions {
        match reader.poll(&log, RECORDS_MAX) {
            Ok(RECORDS_MAX) => {}
            Ok(_) | Err(ReadError::Unopened | ReadError::Log(_)) => log.wait(TURN),
            Err(error) => return Err(failed("reader", error).found()),
        }
        if late() {
            let what = format!("{} positions are final", reader.final_size());
            return Err(Failure::new(what).found());
        }
    }
    let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let cpu_ns = cpu_ns(std::process::id())? - before;
    reader.persist().map_err(|error| failed("reader", error))?;
    let figures = ReaderFigures { nanos, cpu_ns };
    print(&serde_json::to_string(&figures).map_err(|error| failed("json", error))?)
}
