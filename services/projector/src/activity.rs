//! The activity log, read: a thread that takes gateways' reports into small tables in memory, for the API (ADR 0016).
//!
//! These are no fold's rows: they have no position, no digest and no store. A start reads what the log still keeps.

mod tables;

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use orebook_ledger::activity::{ActivitySource, open};
use orebook_schema::{Key, LedgerId};

pub use self::tables::{GATEWAYS_MAX, HOURS, NETWORKS_MAX, REJECTED_MAX, WORKERS_MAX};
pub(crate) use self::tables::{GatewayView, Hours, Tables};
use crate::moment::ms_of;

/// Pause between two looks at a log that gave nothing.
const LOOK: Duration = Duration::from_millis(500);
/// Reports taken at once.
const REPORTS_A_TURN: usize = 256;

/// Whether a key is a gateway's in force.
pub type MaySay = Box<dyn Fn(&Key) -> bool + Send>;
/// Whether the reader may begin: keys are known by the ledger, which is read first.
pub type MayBegin = Box<dyn Fn() -> bool + Send>;

/// What gateways reported, for the API. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    tables: Arc<Mutex<Tables>>,
}

/// The thread that reads. Dropped, it ends at its next look; [`ActivityReader::stop`] waits for that.
#[derive(Debug)]
pub struct ActivityReader {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Activity {
    // A panic ends the process (see `orebook`); until it has, the tables are as good as they were.
    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to read a ledger's reports. Those of other ledgers, of keys that may not say anything, and those with a wrong
    /// signature are counted and passed over.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start(
        &self,
        ledger: LedgerId,
        source: Box<dyn ActivitySource>,
        may_say: MaySay,
        may_begin: MayBegin,
    ) -> io::Result<ActivityReader> {
        let (stop, stopped) = sync_channel(1);
        let reading = Reading {
            activity: self.clone(),
            ledger,
            source,
            may_say,
        };
        let thread = std::thread::Builder::new()
            .name("projector-activity".to_owned())
            .spawn(move || reading.run(&stopped, &may_begin))?;
        Ok(ActivityReader { stop, thread })
    }
}

impl ActivityReader {
    /// Waits for the thread's end.
    ///
    /// # Errors
    /// If it panicked.
    pub fn stop(self) -> std::thread::Result<()> {
        drop(self.stop);
        self.thread.join()
    }
}

struct Reading {
    activity: Activity,
    ledger: LedgerId,
    source: Box<dyn ActivitySource>,
    may_say: MaySay,
}

impl Reading {
    fn run(mut self, stopped: &Receiver<()>, may_begin: &MayBegin) {
        let mut begun = false;
        let mut pause = Duration::ZERO;
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            begun = begun || may_begin();
            pause = if begun && self.turn() {
                Duration::ZERO
            } else {
                LOOK
            };
        }
    }

    /// Whether there may be more at once.
    fn turn(&mut self) -> bool {
        let reports = match self.source.read(REPORTS_A_TURN) {
            Ok(reports) => reports,
            Err(error) => {
                tracing::debug!(%error, "the activity log gives nothing now");
                return false;
            }
        };
        // A key is looked up once a turn.
        let known = Mutex::new(BTreeMap::new());
        let may_say = |key: &Key| {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            *known.entry(*key).or_insert_with(|| (self.may_say)(key))
        };
        let opened: Vec<_> = reports.iter().map(|bytes| open(bytes, may_say)).collect();
        let now_ms = ms_of(SystemTime::now());
        let mut tables = self.activity.tables();
        for report in opened {
            match report {
                Ok(report) if report.ledger == self.ledger => tables.apply(&report, now_ms),
                Ok(_) | Err(_) => tables.refused = tables.refused.saturating_add(1),
            }
        }
        reports.len() == REPORTS_A_TURN
    }
}
