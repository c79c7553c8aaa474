//! The activity log (`schema/ACTIVITY-FORMAT.md`): who takes reports and who gives them back, signatures, and the embedded
//! case, a ring of files. Best effort on purpose: reports are not synced, nothing waits, what is lost is counted.
//!
//! Not here: what a gateway counts (`services/gateway`), what is shown (`services/projector`), Kafka (`ledger/kafka`).

use std::fmt::Debug;

use orebook_schema::Key;
use orebook_schema::activity::{ACTIVITY_DOMAIN, REPORT_BYTES_MAX, Report};
use orebook_schema::bytes::DecodeError;

use crate::disk::{Disk, DiskError, DiskFile, DiskResult};
use crate::sign::{Signer, Verifier};

/// Bytes of a file of the ring, after which the next one begins; a report may reach over it.
pub const RING_FILE_BYTES: u64 = 1 << 20;
/// Bytes before a report in a file: length, CRC32C.
const HEAD_BYTES: usize = 8;
/// Ending of a file's name.
const SUFFIX: &str = ".act";

/// Why a report was not taken. It is lost; the caller counts what it said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActivityError {
    /// There is no room now.
    #[error("there is no room for a report")]
    Full,
    /// Nobody takes or gives reports now.
    #[error("the activity log cannot be reached: {0}")]
    Unavailable(String),
}

/// Takes reports.
pub trait ActivitySink: Debug + Send {
    /// Takes a sealed report that says so many things. `now` is the process's clock, milliseconds since 1970. May take a
    /// few seconds; whoever serves miners calls it from another thread.
    ///
    /// # Errors
    /// [`ActivityError`]: the report is lost.
    fn append(&mut self, now: u64, report: &[u8], things: u64) -> Result<(), ActivityError>;

    /// Things of reports that were taken and lost after all, ever.
    fn lost(&self) -> u64;

    /// Gives what was taken a last chance to leave, at most a few seconds.
    fn finish(&mut self) {}
}

/// Gives reports back, oldest first, each at least once.
pub trait ActivitySource: Debug + Send {
    /// The next reports, sealed and unverified, at most `max`; none if there is nothing new now.
    ///
    /// # Errors
    /// [`ActivityError::Unavailable`]: try again later.
    fn read(&mut self, max: usize) -> Result<Vec<Vec<u8>>, ActivityError>;
}

/// Why bytes are no report of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportFault {
    /// They are no report.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// Its key is no point or its signature is wrong.
    #[error("the signature of a report is wrong")]
    Signature,
}

/// A report with its signature. The report's key must be the signer's.
#[must_use]
pub fn seal(report: &Report, signer: &Signer) -> Vec<u8> {
    let mut bytes = report.signed_bytes();
    let signature = signer.sign(ACTIVITY_DOMAIN, &bytes);
    bytes.extend_from_slice(&signature);
    bytes
}

/// Reads a sealed report, if its signature is that of its own key and `may_say` knows the key as a gateway's in force.
///
/// # Errors
/// [`ReportFault`].
pub fn open(bytes: &[u8], may_say: impl Fn(&Key) -> bool) -> Result<Report, ReportFault> {
    let (report, signature) = Report::read(bytes)?;
    let signed = bytes.len().saturating_sub(signature.len());
    let signed = bytes.get(..signed).unwrap_or_default();
    let is_right = || {
        Verifier::of(&report.key)
            .is_some_and(|verifier| verifier.verify(ACTIVITY_DOMAIN, signed, &signature))
    };
    if may_say(&report.key) && is_right() {
        Ok(report)
    } else {
        Err(ReportFault::Signature)
    }
}

/// How long and how much the embedded log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingConfig {
    /// Bytes of all files, at least two files; the oldest go beyond it.
    pub bytes_max: u64,
    /// Milliseconds after which a file that is no longer written to goes.
    pub age_ms_max: u64,
}

/// The embedded log's writer: files of a folder, in a ring.
#[derive(Debug)]
pub struct Ring<D: Disk> {
    disk: D,
    dir: String,
    config: RingConfig,
    /// Files by number, with when their last report was written as far as this process knows.
    files: Vec<(u64, u64)>,
    /// The newest, and where its next report goes.
    open: Option<(D::File, u64)>,
    lost: u64,
}

impl<D: Disk> Ring<D> {
    /// Opens the ring of a folder, which is made if it does not exist; cuts a torn tail off the newest file. `now` in
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn open(disk: D, dir: &str, config: RingConfig, now: u64) -> DiskResult<Self> {
        disk.create_dir(dir)?;
        let mut files = Vec::new();
        for number in numbers(&disk, dir)? {
            let file = disk.open(&path(dir, number))?;
            files.push((number, last_time(&file)?.unwrap_or(now)));
        }
        let mut ring = Self {
            disk,
            dir: dir.to_owned(),
            config,
            files,
            open: None,
            lost: 0,
        };
        if let Some((number, _)) = ring.files.last() {
            let mut file = ring.disk.open(&path(&ring.dir, *number))?;
            let end = scan(&file, 0, usize::MAX, |_| {})?;
            file.truncate(end)?;
            // The only sync: what was cut must not come back behind what is written next.
            file.sync()?;
            ring.open = Some((file, end));
        }
        Ok(ring)
    }

    fn write(&mut self, now: u64, report: &[u8]) -> DiskResult<()> {
        if self
            .open
            .as_ref()
            .is_none_or(|(_, end)| RING_FILE_BYTES <= *end)
        {
            self.open = None;
            let number = self.files.last().map_or(0, |(number, _)| number + 1);
            let file = self.disk.create(&path(&self.dir, number))?;
            self.files.push((number, now));
            self.open = Some((file, 0));
        }
        self.forget(now)?;
        let Some((file, end)) = &mut self.open else {
            return Ok(());
        };
        let length = u32::try_from(report.len()).unwrap_or(u32::MAX);
        let mut record = Vec::with_capacity(HEAD_BYTES + report.len());
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&crc32c::crc32c(report).to_le_bytes());
        record.extend_from_slice(report);
        file.write_at(*end, &record)?;
        *end += record.len() as u64;
        if let Some((_, newest)) = self.files.last_mut() {
            *newest = now;
        }
        Ok(())
    }

    /// Removes what is too old or too much; the newest stays.
    fn forget(&mut self, now: u64) -> DiskResult<()> {
        let most = (self.config.bytes_max / RING_FILE_BYTES).max(2);
        let oldest = now.saturating_sub(self.config.age_ms_max);
        while let [(number, last), _, ..] = self.files.as_slice() {
            let too_many = most < self.files.len() as u64;
            if !too_many && oldest <= *last {
                break;
            }
            self.disk.remove(&path(&self.dir, *number))?;
            self.files.remove(0);
        }
        Ok(())
    }
}

impl<D: Disk> ActivitySink for Ring<D> {
    fn append(&mut self, now: u64, report: &[u8], _things: u64) -> Result<(), ActivityError> {
        self.write(now, report).map_err(|error| {
            // What the file holds now is not known: the next report begins another one.
            self.open = None;
            match error {
                DiskError::Full { .. } => ActivityError::Full,
                other => ActivityError::Unavailable(other.to_string()),
            }
        })
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

/// The embedded log's reader. It begins with the oldest report that is kept.
#[derive(Debug)]
pub struct RingReader<D: Disk> {
    disk: D,
    dir: String,
    /// The file that is read, and where its next report begins.
    place: Option<(u64, u64)>,
}

impl<D: Disk> RingReader<D> {
    /// A reader of a folder, which need not exist yet.
    #[must_use]
    pub fn new(disk: D, dir: &str) -> Self {
        Self {
            disk,
            dir: dir.to_owned(),
            place: None,
        }
    }

    fn next(&mut self, max: usize) -> DiskResult<Vec<Vec<u8>>> {
        let numbers = numbers(&self.disk, &self.dir)?;
        let mut found = Vec::new();
        loop {
            let at = self.place.map_or(0, |(number, _)| number);
            // A file that was removed meanwhile is passed over.
            let Some(number) = numbers.iter().copied().find(|number| at <= *number) else {
                return Ok(found);
            };
            let from = self
                .place
                .filter(|(of, _)| *of == number)
                .map_or(0, |(_, offset)| offset);
            let file = match self.disk.open(&path(&self.dir, number)) {
                Err(DiskError::NotFound { .. }) => {
                    self.place = Some((number + 1, 0));
                    continue;
                }
                other => other?,
            };
            let end = scan(&file, from, max - found.len(), |report| found.push(report))?;
            self.place = Some((number, end));
            if max <= found.len() || numbers.last() == Some(&number) {
                return Ok(found);
            }
            // A file with another behind it is not written to any more.
            self.place = Some((number + 1, 0));
        }
    }
}

impl<D: Disk> ActivitySource for RingReader<D> {
    fn read(&mut self, max: usize) -> Result<Vec<Vec<u8>>, ActivityError> {
        self.next(max)
            .map_err(|error| ActivityError::Unavailable(error.to_string()))
    }
}

fn path(dir: &str, number: u64) -> String {
    format!("{dir}/{number:010}{SUFFIX}")
}

/// Numbers of the files of a folder, ascending; other names are left alone.
fn numbers<D: Disk>(disk: &D, dir: &str) -> DiskResult<Vec<u64>> {
    let names = disk.list(dir)?;
    let number = |name: &String| {
        let digits = name.strip_suffix(SUFFIX)?;
        let number: u64 = digits.parse().ok()?;
        (format!("{number:010}") == digits).then_some(number)
    };
    let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Gives at most `max` reports from an offset on; returns where the next one begins.
fn scan<F: DiskFile>(
    file: &F,
    from: u64,
    max: usize,
    mut found: impl FnMut(Vec<u8>),
) -> DiskResult<u64> {
    let len = file.len()?;
    let mut at = from;
    for _ in 0..max {
        let mut head = [0; HEAD_BYTES];
        if len < at + HEAD_BYTES as u64 {
            break;
        }
        file.read_at(at, &mut head)?;
        let [a, b, c, d, e, f, g, h] = head;
        let (length, crc) = (
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, g, h]),
        );
        let end = at + HEAD_BYTES as u64 + u64::from(length);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(1..=REPORT_BYTES_MAX).contains(&length) || len < end {
            break;
        }
        let mut report = vec![0; length];
        file.read_at(at + HEAD_BYTES as u64, &mut report)?;
        if crc32c::crc32c(&report) != crc {
            break;
        }
        found(report);
        at = end;
    }
    Ok(at)
}

/// When a file's last report ended, as it says itself.
fn last_time<F: DiskFile>(file: &F) -> DiskResult<Option<u64>> {
    let mut last = None;
    scan(file, 0, usize::MAX, |report| last = Some(report))?;
    let report = last.and_then(|bytes| Report::read(&bytes).ok());
    Ok(report.map(|(report, _)| report.from_ms.saturating_add(report.span_ms.into())))
}
