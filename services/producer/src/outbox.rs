//! What a producer says: durable in its spool, sent until it is final, waited for until it is read back.
//!
//! | edge | it failed | it failed, but happened |
//! |---|---|---|
//! | write to the spool | the process ends; nothing was said, the next life decides anew | the process ends; the next life finds it, sends it, waits for it |
//! | send to the log | it is sent again | it is sent again; admission takes it once |
//! | the ledger's tail is lost before it is final | it is sent again | – |
//! | the stream is closed | what was not final is waited for no more, and decided anew | what stands in it is read like everything else; the same word again is not obeyed, its subject moved |
//! | the key is refused | nothing is sent for [`REFUSED_MS`], the spool keeps it | – |
//!
//! Not here: what is said. Nothing of these producers is moved to a new stream: a word that was lost is decided anew.

use std::sync::{MutexGuard, PoisonError};

use orebook_ledger::admit::State;
use orebook_ledger::disk::Disk;
use orebook_ledger::log::Log;
use orebook_ledger::publisher::{Clock, PublishError, Publisher};
use orebook_ledger::reader::Reader;
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::{Spool, SpoolConfig, SpoolError};
use orebook_replay::engine::SharedReader;
use orebook_schema::{Event, Frame, Hash, Key, Kind, StreamId};

use crate::ProducerError;
use crate::thread::Rest;

/// After the ledger refused our key, nothing is sent for so long, in milliseconds: somebody may put the key in force.
pub const REFUSED_MS: u64 = 60_000;

/// A frame of ours that says something and is not read back yet.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    stream: StreamId,
    first_seq: u64,
    hash: Hash,
}

impl Awaited {
    /// None for a frame of heartbeats: nobody decides by them.
    fn of(frame: &Frame) -> Option<Self> {
        let header = frame.header();
        (header.kinds & !Kind::Heartbeat.bit() != 0).then(|| Self {
            stream: header.stream,
            first_seq: header.first_seq,
            hash: frame.header_hash(),
        })
    }
}

/// Where an event of a producer's stands, or will: its stream, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The stream.
    pub stream: StreamId,
    /// The event's number, from 0.
    pub number: u64,
}

/// An event that the spool holds; it may be final.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Where it stands.
    pub place: Place,
    /// The event.
    pub event: Event,
    /// Whether its stream was closed: if it is not final, it never will be.
    pub is_closed: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Outbox<D: Disk + Clone> {
    name: &'static str,
    spool: Spool<D>,
    publisher: Publisher<D>,
    awaited: Vec<Awaited>,
    rest: Rest,
    is_key_refused: bool,
    no_room: u64,
    /// Whether the last that was said found none: logged once, not at each turn.
    waits_for_room: bool,
}

impl<D: Disk + Clone> Outbox<D> {
    /// Opens the spool in folder `dir` of `disk`, and its epoch; `new_stream` is used if it has none yet. What a former life
    /// said is sent, and waited for, like before. `name` is the producer's, for the log.
    ///
    /// # Errors
    /// [`ProducerError::Spool`].
    pub fn open(
        name: &'static str,
        disk: D,
        dir: &str,
        config: SpoolConfig,
        signer: Signer,
        now: u64,
        new_stream: StreamId,
    ) -> Result<Self, ProducerError> {
        let (mut spool, _) = Spool::open(disk, dir, config, signer)?;
        spool.begin(now, new_stream)?;
        let mut outbox = Self {
            name,
            spool,
            publisher: Publisher::new(),
            awaited: Vec::new(),
            rest: Rest::default(),
            is_key_refused: false,
            no_room: 0,
            waits_for_room: false,
        };
        let mut awaited = Vec::new();
        outbox.each_frame(|frame, is_closed| {
            awaited.extend(Awaited::of(frame).filter(|_| !is_closed));
            Ok(())
        })?;
        outbox.awaited = awaited;
        Ok(outbox)
    }

    /// The key that it signs with.
    #[must_use]
    pub fn key(&self) -> Key {
        self.spool.key()
    }

    /// Whether everything that was said is final and read back.
    #[must_use]
    pub fn is_read_back(&self) -> bool {
        self.awaited.is_empty() && !self.spool.is_moving()
    }

    /// Whether something was said and is not read back.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Whether the ledger refused the key when something was sent last: an alarm.
    #[must_use]
    pub const fn is_key_refused(&self) -> bool {
        self.is_key_refused
    }

    /// Whether nothing is sent now since the ledger refused the key.
    #[must_use]
    pub fn is_resting(&self, now: u64) -> bool {
        self.rest.is_on(now)
    }

    /// How often something found no room in this life.
    #[must_use]
    pub const fn no_room(&self) -> u64 {
        self.no_room
    }

    /// Where the next event stands that is said. None while a move is under way: then nothing is said.
    #[must_use]
    pub fn next_place(&self) -> Option<Place> {
        let stream = self.spool.stream().filter(|_| !self.spool.is_moving())?;
        let number = self.spool.next_seq();
        Some(Place { stream, number })
    }

    /// Every event that the spool holds, oldest first, heartbeats too.
    ///
    /// # Errors
    /// [`ProducerError::Spool`], [`ProducerError::Decode`].
    pub fn held(&self) -> Result<Vec<Held>, ProducerError> {
        let mut held = Vec::new();
        self.each_frame(|frame, is_closed| {
            let header = frame.header();
            for (number, event) in (header.first_seq..).zip(frame.decode()?) {
                let stream = header.stream;
                held.push(Held {
                    place: Place { stream, number },
                    event,
                    is_closed,
                });
            }
            Ok(())
        })?;
        Ok(held)
    }

    /// Every frame that the spool holds, oldest first, and whether its stream was closed.
    fn each_frame(
        &self,
        mut take: impl FnMut(&Frame, bool) -> Result<(), ProducerError>,
    ) -> Result<(), ProducerError> {
        let held = self.spool.streams();
        let Some(oldest) = held.first() else {
            return Ok(());
        };
        let mut frames = self.spool.frames_from(oldest.stream, 0)?;
        while let Some(frame) = frames.next_frame(&self.spool)? {
            let stream = frame.header().stream;
            let is_closed = held
                .iter()
                .any(|held| held.stream == stream && held.moved_from.is_some());
            take(&frame, is_closed)?;
        }
        Ok(())
    }

    /// Says these events, in one frame. False if there is no room now, or a move is under way: then nothing is said.
    ///
    /// # Errors
    /// [`ProducerError::Spool`]: nobody knows whether it was said; the next life does.
    pub fn say(&mut self, now: u64, events: &[Event]) -> Result<bool, ProducerError> {
        let timed: Vec<(u64, Event)> = events.iter().map(|event| (now, event.clone())).collect();
        if timed.is_empty() {
            return Ok(true);
        }
        if !self.append(&timed)? {
            return Ok(false);
        }
        self.cut()?;
        Ok(true)
    }

    /// A heartbeat, where nothing was said for a while.
    ///
    /// # Errors
    /// [`ProducerError::Spool`].
    pub fn beat(&mut self, now: u64) -> Result<(), ProducerError> {
        if self.spool.heartbeat_due(now) {
            self.append(&[(now, Event::Heartbeat)])?;
        }
        if self.spool.should_cut(now) {
            self.cut()?;
        }
        Ok(())
    }

    /// Sends what does not stand, and lets the spool forget what is final. `new_stream` is used if the stream was closed; then
    /// the size of the ledger's head is returned: what was said and is not below it is lost.
    ///
    /// # Errors
    /// [`ProducerError`]. A refused key is none.
    pub fn publish(
        &mut self,
        reader: &mut Reader<D>,
        log: &mut impl Log,
        now: u64,
        new_stream: StreamId,
    ) -> Result<Option<u64>, ProducerError> {
        if self.is_resting(now) {
            return Ok(None);
        }
        let clock = Clock::at(now);
        let ticked = self
            .publisher
            .tick(&mut self.spool, reader, log, clock, new_stream);
        let head = reader.head().size();
        match ticked {
            Ok(published) => {
                self.is_key_refused = false;
                if published.moved.is_none() {
                    return Ok(None);
                }
                self.awaited.clear();
                tracing::error!(
                    producer = self.name,
                    "a stream was closed; its producer goes on in a new one. Does another process have a copy of its folder?"
                );
                Ok(Some(head))
            }
            Err(PublishError::Refused) => {
                self.rest.begin(now, REFUSED_MS);
                self.publisher = Publisher::new();
                self.is_key_refused = true;
                tracing::error!(producer = self.name, "{}", PublishError::Refused);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What stands below `state`'s size, which was read, is waited for no more.
    ///
    /// # Errors
    /// [`ProducerError::Admit`].
    pub fn read_back(&mut self, reader: &Reader<D>, state: &State) -> Result<(), ProducerError> {
        let mut left = Vec::new();
        for awaited in &self.awaited {
            let Awaited {
                stream,
                first_seq,
                hash,
            } = *awaited;
            if !reader.stands(state, stream, first_seq, hash)? {
                left.push(*awaited);
            }
        }
        self.awaited = left;
        Ok(())
    }

    fn append(&mut self, events: &[(u64, Event)]) -> Result<bool, ProducerError> {
        match self.spool.append(events) {
            Ok(_) => {
                if std::mem::take(&mut self.waits_for_room) {
                    tracing::info!(producer = self.name, "the spool has room again");
                }
                Ok(true)
            }
            Err(SpoolError::Full(_) | SpoolError::Moving) => {
                self.no_room = self.no_room.saturating_add(1);
                if !std::mem::replace(&mut self.waits_for_room, true) {
                    tracing::warn!(producer = self.name, "the spool has no room now");
                }
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn cut(&mut self) -> Result<(), ProducerError> {
        let frame = self.spool.cut()?;
        self.awaited.extend(frame.as_ref().and_then(Awaited::of));
        Ok(())
    }
}

/// The reader, whatever became of who had it last.
pub fn locked<D: Disk>(mirror: &SharedReader<D>) -> MutexGuard<'_, Reader<D>> {
    mirror.0.lock().unwrap_or_else(PoisonError::into_inner)
}
