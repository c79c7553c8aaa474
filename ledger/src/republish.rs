//! Frames that the log lost and that no spool holds any more are sent again, from segments somewhere that still have them. Each is
//! signed by its producer, and admission takes it once, so that it does no harm to send what stands already.
//!
//! A publisher does the same for a spool; here nobody may move events to another stream, since the producer's key is not at hand: a
//! frame that is refused for good is counted under its cause and given up.

use std::collections::BTreeMap;

use orebook_schema::{Frame, Hash};

use crate::admit::{AdmitError, Cause};
use crate::disk::Disk;
use crate::log::{Log, LogError};
use crate::publisher::{IN_FLIGHT_MAX, RETRY_MS, has_passed};
use crate::reader::Reader;

/// Frames of one run at most, up to 98 KiB each: what lies between what was signed and the end of a log is far less.
pub const FRAMES_MAX: usize = 16_384;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Waiting,
    Standing,
    Final,
    Refused(Cause),
}

/// What became of all frames, as of the last tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Not admitted yet: sent, or to be sent. That a frame stays here means that frames of its stream before it are missing.
    pub waiting: usize,
    /// Admitted, and not final yet.
    pub standing: usize,
    /// Final.
    pub settled: usize,
    /// Refused for good, by cause.
    pub refused: BTreeMap<&'static str, usize>,
    /// Sends so far, repeats included.
    pub sent: usize,
}

impl Tally {
    /// Whether nothing is left to be done.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.waiting == 0 && self.standing == 0
    }
}

/// Sends frames until they are final, or refused.
#[derive(Debug)]
pub struct Republisher {
    frames: Vec<(Frame, Hash, Fate)>,
    /// How many from the front were sent, or needed no sending, since the last retry.
    sent_below: usize,
    progress_at: u64,
    tally: Tally,
}

impl Republisher {
    /// With these frames, in the order of their positions; none if they are more than [`FRAMES_MAX`].
    #[must_use]
    pub fn new(frames: Vec<Frame>) -> Option<Self> {
        let fits = frames.len() <= FRAMES_MAX;
        fits.then(|| Self {
            frames: frames
                .into_iter()
                .map(|frame| {
                    let hash = frame.header_hash();
                    (frame, hash, Fate::Waiting)
                })
                .collect(),
            sent_below: 0,
            progress_at: 0,
            tally: Tally::default(),
        })
    }

    /// One turn: looks what stands, and sends what does not. The reader is polled by whoever has it.
    ///
    /// # Errors
    /// [`AdmitError`] if the index of what was admitted cannot be read. A log that fails is no error.
    pub fn tick<D: Disk + Clone>(
        &mut self,
        reader: &mut Reader<D>,
        log: &mut impl Log,
        now: u64,
    ) -> Result<&Tally, AdmitError> {
        let before = self.tally.clone();
        self.look(reader)?;
        self.heed_notices(reader);
        self.count();
        if self.tally != before {
            self.progress_at = now;
        } else if has_passed(RETRY_MS, self.progress_at, now) {
            self.sent_below = 0;
            self.progress_at = now;
        }
        self.send(reader, log, now);
        Ok(&self.tally)
    }

    fn look<D: Disk + Clone>(&mut self, reader: &Reader<D>) -> Result<(), AdmitError> {
        for (frame, hash, fate) in &mut self.frames {
            if matches!(fate, Fate::Final | Fate::Refused(_)) {
                continue;
            }
            let (stream, seq) = (frame.header().stream, frame.header().first_seq);
            *fate = if reader.stands(reader.settled(), stream, seq, *hash)? {
                Fate::Final
            } else if reader.stands(reader.head(), stream, seq, *hash)? {
                Fate::Standing
            } else {
                Fate::Waiting
            };
        }
        Ok(())
    }

    fn heed_notices<D: Disk + Clone>(&mut self, reader: &mut Reader<D>) {
        let waiting: BTreeMap<Hash, usize> = (0..)
            .zip(&self.frames)
            .filter(|(_, (_, _, fate))| *fate == Fate::Waiting)
            .map(|(index, (_, hash, _))| (*hash, index))
            .collect();
        if waiting.is_empty() {
            return;
        }
        for notice in reader.take_notices(|notice| waiting.contains_key(&notice.header_hash)) {
            let index = waiting.get(&notice.header_hash);
            let frame = index.and_then(|index| self.frames.get_mut(*index));
            match notice.cause {
                // After a gap, or too early, sending again helps.
                Cause::Gap | Cause::Early | Cause::Duplicate => {}
                cause => {
                    if let Some((_, _, fate)) = frame {
                        *fate = Fate::Refused(cause);
                    }
                }
            }
        }
    }

    fn count(&mut self) {
        let sent = self.tally.sent;
        self.tally = Tally {
            sent,
            ..Tally::default()
        };
        for (_, _, fate) in &self.frames {
            match fate {
                Fate::Waiting => self.tally.waiting += 1,
                Fate::Standing => self.tally.standing += 1,
                Fate::Final => self.tally.settled += 1,
                Fate::Refused(cause) => {
                    *self.tally.refused.entry(cause.name()).or_default() += 1;
                }
            }
        }
    }

    fn send<D: Disk + Clone>(&mut self, reader: &Reader<D>, log: &mut impl Log, now: u64) {
        let Some(incarnation) = reader.incarnation() else {
            return;
        };
        let is_waiting = |it: &&(Frame, Hash, Fate)| it.2 == Fate::Waiting;
        let sent = self.frames.iter().take(self.sent_below);
        let mut in_flight = sent.filter(is_waiting).count();
        while in_flight < IN_FLIGHT_MAX {
            let Some((frame, _, fate)) = self.frames.get(self.sent_below) else {
                return;
            };
            if *fate == Fate::Waiting {
                match log.send(incarnation, now, frame.bytes()) {
                    // After an unavailable log nobody knows whether it is there; the ledger will tell.
                    Ok(()) | Err(LogError::Unavailable(_)) => {}
                    Err(_) => return,
                }
                self.tally.sent += 1;
                in_flight += 1;
            }
            self.sent_below += 1;
        }
    }
}
