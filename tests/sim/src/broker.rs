//! A broker that fails: lost and late acknowledgements, duplicates, reordering between senders, lost suffixes, a topic made
//! anew, and plain absence. One seeded source decides; the same seed gives the same log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orebook_ledger::log::{Log, LogError, LogRecord, LogResult};
use orebook_schema::frame::IncarnationOpened;

use crate::rng::Rng;

/// How often sends go wrong, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendFaults {
    /// Appended, but the sender is told of a failure.
    pub ack_lost: u64,
    /// Not appended, and the sender is told of a failure.
    pub lost: u64,
    /// Appended some time later, after others; the sender is told of a failure.
    pub late: u64,
    /// Appended twice.
    pub twice: u64,
}

impl SendFaults {
    /// Faults of a bad day.
    pub const BAD_DAY: Self = Self {
        ack_lost: 60,
        lost: 60,
        late: 60,
        twice: 60,
    };
}

#[derive(Debug, Default)]
struct Topic {
    /// All that was ever appended and not lost, what was deleted at the beginning too.
    records: Vec<LogRecord>,
    /// First offset after the opening record that can still be read; 0 and 1: all can.
    first: u64,
    generation: u64,
}

#[derive(Debug)]
struct Inner {
    rng: Rng,
    faults: SendFaults,
    available: bool,
    topics: BTreeMap<u32, Topic>,
    late: Vec<(u32, Vec<u8>)>,
    clock: u64,
    happened: BTreeMap<&'static str, u64>,
}

/// A handle on the broker; clones share it.
#[derive(Clone, Debug)]
pub struct SimBroker {
    inner: Arc<Mutex<Inner>>,
}

impl SimBroker {
    /// A healthy broker without a topic.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let inner = Inner {
            rng: Rng::new(seed),
            faults: SendFaults::default(),
            available: true,
            topics: BTreeMap::new(),
            late: Vec::new(),
            clock: 0,
            happened: BTreeMap::new(),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// Sets how sends go wrong from now on.
    pub fn set_faults(&self, faults: SendFaults) {
        self.lock().faults = faults;
    }

    /// Whether it answers at all.
    pub fn set_available(&self, available: bool) {
        let mut inner = self.lock();
        if inner.available && !available {
            inner.count("unavailable");
        }
        inner.available = available;
    }

    /// Appends some of what is still on its way, in any order; all of it if `all`.
    pub fn deliver(&self, all: bool) {
        let mut inner = self.lock();
        while !inner.late.is_empty() && (all || inner.rng.chance(1, 2)) {
            let waiting = inner.late.len() as u64;
            let index = usize::try_from(inner.rng.below(waiting)).unwrap_or(0);
            let (incarnation, bytes) = inner.late.swap_remove(index);
            inner.append(incarnation, bytes);
        }
    }

    /// Loses up to `most` records at the end of the newest incarnation, never the ones below `keep`.
    pub fn lose_suffix(&self, most: u64, keep: u64) {
        let mut inner = self.lock();
        // What comes instead comes later: an election takes longer than a millisecond.
        inner.clock += 1;
        let lost = inner.rng.below(most + 1);
        let Some(topic) = inner.topics.values_mut().next_back() else {
            return;
        };
        let end = topic.records.len() as u64;
        let cut = end
            .saturating_sub(lost)
            .max(keep.max(1))
            .max(topic.first)
            .min(end);
        topic.generation += 1;
        if cut < end {
            topic
                .records
                .truncate(usize::try_from(cut).unwrap_or(usize::MAX));
            inner.count("suffix_lost");
        }
    }

    /// Loses exactly what follows the first `keep` records of the newest incarnation.
    pub fn cut_to(&self, keep: u64) {
        let mut inner = self.lock();
        inner.clock += 1;
        if let Some(topic) = inner.topics.values_mut().next_back() {
            topic.generation += 1;
            topic
                .records
                .truncate(usize::try_from(keep).unwrap_or(usize::MAX));
            inner.count("suffix_lost");
        }
    }

    /// Deletes the records of the newest incarnation below `first`; its opening record is kept elsewhere.
    pub fn trim(&self, first: u64) {
        let mut inner = self.lock();
        if let Some(topic) = inner.topics.values_mut().next_back() {
            let first = first.min(topic.records.len() as u64);
            if topic.first.max(1) < first {
                topic.first = first;
                inner.count("trimmed");
            }
        }
    }

    /// The newest topic is deleted and made again, empty, under the same name.
    pub fn recreate(&self) {
        let mut inner = self.lock();
        inner.clock += 1;
        if let Some(topic) = inner.topics.values_mut().next_back() {
            topic.records.clear();
            topic.first = 0;
            topic.generation += 1;
            inner.count("recreated");
        }
    }

    /// Records of the newest incarnation, for checkers.
    #[must_use]
    pub fn records(&self) -> Vec<LogRecord> {
        self.lock()
            .topics
            .values()
            .next_back()
            .map(|topic| topic.records.clone())
            .unwrap_or_default()
    }

    /// How often each fault happened.
    #[must_use]
    pub fn happened(&self) -> BTreeMap<&'static str, u64> {
        self.lock().happened.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn count(&mut self, fault: &'static str) {
        *self.happened.entry(fault).or_default() += 1;
    }

    fn check(&self) -> LogResult<()> {
        if self.available {
            Ok(())
        } else {
            Err(LogError::Unavailable("broker is away".to_owned()))
        }
    }

    fn topic(&self, incarnation: u32) -> LogResult<&Topic> {
        self.check()?;
        self.topics
            .get(&incarnation)
            .ok_or(LogError::Gone(incarnation))
    }

    fn append(&mut self, incarnation: u32, bytes: Vec<u8>) {
        let append_time = self.clock;
        if let Some(topic) = self.topics.get_mut(&incarnation)
            && !topic.records.is_empty()
        {
            let offset = topic.records.len() as u64;
            topic.records.push(LogRecord {
                offset,
                append_time,
                bytes,
            });
        }
    }
}

impl Log for SimBroker {
    fn newest(&self) -> LogResult<Option<u32>> {
        let inner = self.lock();
        inner.check()?;
        Ok(inner.topics.keys().next_back().copied())
    }

    fn generation(&self, incarnation: u32) -> LogResult<u64> {
        Ok(self.lock().topic(incarnation)?.generation)
    }

    fn read(&self, incarnation: u32, offset: u64, max: usize) -> LogResult<Vec<LogRecord>> {
        let mut inner = self.lock();
        let end = inner.topic(incarnation)?.records.len() as u64;
        if end < offset {
            // A suffix may have been lost, says `ledger/kafka` then, to all who read.
            if let Some(topic) = inner.topics.get_mut(&incarnation) {
                topic.generation += 1;
            }
            return Err(LogError::OutOfRange { offset, end });
        }
        let topic = inner.topic(incarnation)?;
        if 0 < offset && offset < topic.first {
            let first = topic.first;
            return Err(LogError::Trimmed { offset, first });
        }
        // A read of a trimmed log's beginning gives the opening record, and nothing that followed it.
        let max = if offset == 0 && 1 < topic.first {
            1
        } else {
            max
        };
        Ok(topic
            .records
            .iter()
            .skip(usize::try_from(offset).unwrap_or(usize::MAX))
            .take(max)
            .cloned()
            .collect())
    }

    fn offset_at(&self, incarnation: u32, append_time: u64) -> LogResult<Option<u64>> {
        let inner = self.lock();
        let topic = inner.topic(incarnation)?;
        let from = usize::try_from(topic.first.max(1)).unwrap_or(usize::MAX);
        let mut left = topic.records.iter().skip(from);
        let found = left.find(|record| append_time <= record.append_time);
        Ok(found.map(|record| record.offset))
    }

    fn send(&mut self, incarnation: u32, now: u64, bytes: &[u8]) -> LogResult<()> {
        let mut inner = self.lock();
        inner.topic(incarnation)?;
        inner.clock = inner.clock.max(now);
        let timeout = || LogError::Unavailable("timed out".to_owned());
        let faults = inner.faults;
        let roll = inner.rng.below(1_000);
        let bounds = [
            ("ack_lost", faults.ack_lost),
            ("lost", faults.lost),
            ("late", faults.late),
            ("twice", faults.twice),
        ];
        let mut below = 0;
        let fault = bounds.into_iter().find_map(|(name, thousandths)| {
            below += thousandths;
            (roll < below).then_some(name)
        });
        if let Some(name) = fault {
            inner.count(name);
        }
        match fault {
            Some("lost") => return Err(timeout()),
            Some("late") => {
                inner.late.push((incarnation, bytes.to_vec()));
                return Err(timeout());
            }
            Some("ack_lost") => {
                inner.append(incarnation, bytes.to_vec());
                return Err(timeout());
            }
            Some(_) => {
                inner.append(incarnation, bytes.to_vec());
                inner.append(incarnation, bytes.to_vec());
            }
            None => inner.append(incarnation, bytes.to_vec()),
        }
        Ok(())
    }

    fn open_incarnation(&mut self, now: u64, opened: &IncarnationOpened) -> LogResult<()> {
        let mut inner = self.lock();
        inner.check()?;
        inner.clock = inner.clock.max(now);
        if inner.topics.contains_key(&opened.incarnation) {
            return Err(LogError::Exists(opened.incarnation));
        }
        let append_time = inner.clock;
        let record = LogRecord {
            offset: 0,
            append_time,
            bytes: opened.to_bytes(),
        };
        inner.topics.insert(
            opened.incarnation,
            Topic {
                records: vec![record],
                first: 0,
                generation: 0,
            },
        );
        Ok(())
    }
}
