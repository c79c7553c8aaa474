//! The machine's turn with the ledger: reads what is final, sends what was said, waits until that is final.

use std::sync::{Arc, PoisonError};

use orebook_ledger::admit::Trust;
use orebook_ledger::disk::Disk;
use orebook_ledger::log::Log;
use orebook_ledger::publisher::{Clock, PublishError, Publisher};
use orebook_ledger::spool::{Spool, SpoolError};
use orebook_replay::engine::{Engine, EngineError, SharedReader};
use orebook_replay::fold::Fold;
use orebook_replay::folds::money::Money;
use orebook_schema::payout::Step;
use orebook_schema::{Event, Frame, Hash, Kind, StreamId};

use crate::metrics::Counters;

use super::{Events, Machine, MachineError, POSITIONS_PER_TURN, Subject};

/// After the ledger refused our key, nothing is sent for so long, in milliseconds: somebody may put the key in force.
const REFUSED_MS: u64 = 60_000;
/// Bytes of one frame's events, at most, by a generous guess: the format allows 49,152.
const GROUP_BYTES_MAX: usize = 40_000;
/// Bytes of an event besides its raw transaction or part, at most.
const EVENT_BYTES_GUESS: usize = 700;

/// A frame of ours that says something and is not read back yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    stream: StreamId,
    first_seq: u64,
    hash: Hash,
}

impl Awaited {
    fn of(frame: &Frame) -> Option<Self> {
        let header = frame.header();
        (header.kinds & !Kind::Heartbeat.bit() != 0).then(|| Self {
            stream: header.stream,
            first_seq: header.first_seq,
            hash: frame.header_hash(),
        })
    }
}

impl<D: Disk + Clone> Machine<D> {
    /// A turn with the ledger: reads what is final, sends what was said, looks whether it is final. `new_stream` is used if
    /// the stream was closed.
    ///
    /// # Errors
    /// [`MachineError`]: the process ends, and starts again from what is durable.
    pub fn ledger_turn(
        &mut self,
        mirror: &SharedReader<D>,
        log: &mut impl Log,
        now: u64,
        new_stream: StreamId,
    ) -> Result<(), MachineError> {
        self.read_final(mirror)?;
        if !self.config.dry_run {
            if self.spool.heartbeat_due(now) {
                self.append(&[(now, Event::Heartbeat)])?;
            }
            if self.spool.should_cut(now) {
                self.cut()?;
            }
            if self.refused_until <= now {
                self.publish(mirror, log, now, new_stream)?;
            }
        }
        self.heed_final(mirror)?;
        let waiting = u64::from(!self.awaited.is_empty());
        Counters::set(&self.counters.waiting, waiting);
        Ok(())
    }

    fn read_final(&mut self, mirror: &SharedReader<D>) -> Result<(), MachineError> {
        self.is_level = false;
        let below = mirror.final_size();
        let engine = match &mut self.engine {
            Some(engine) => engine,
            none => {
                let fold: Box<dyn Fold + Send> = Box::new(Money);
                let folds = vec![(fold, Arc::clone(&self.store.0))];
                let ledger = self.config.spool.ledger;
                match Engine::open(ledger, folds, Trust::CheckedBefore, mirror, below) {
                    Ok(engine) => none.insert(engine),
                    Err(EngineError::Waits(why)) => {
                        tracing::debug!(%why, "the paymaster waits for the mirror");
                        return Ok(());
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        match engine.advance(mirror, below, POSITIONS_PER_TURN, &mut |_| {}) {
            Ok(_) | Err(EngineError::Waits(_)) => {}
            Err(error) => return Err(error.into()),
        }
        // An engine whose fold stopped would go on without it.
        if let Some((_, stop)) = engine.stops().next() {
            return Err(EngineError::Waits(stop.clone()).into());
        }
        self.is_level = 0 < below && engine.size() == below;
        Counters::set(&self.counters.final_size, engine.size());
        Ok(())
    }

    fn publish(
        &mut self,
        mirror: &SharedReader<D>,
        log: &mut impl Log,
        now: u64,
        new_stream: StreamId,
    ) -> Result<(), MachineError> {
        let mut reader = mirror.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ticked = self.publisher.tick(
            &mut self.spool,
            &mut reader,
            log,
            Clock::at(now),
            new_stream,
        );
        drop(reader);
        match ticked {
            Ok(published) => {
                if published.moved.is_some() {
                    // Nothing of ours is moved. What was said is lost, or stands in the closed stream and is read.
                    self.awaited.clear();
                    tracing::error!(
                        "the paymaster's stream was closed; it goes on in a new one. Does another process have a copy of \
                         its folder?"
                    );
                }
                Counters::set(&self.counters.key_refused, 0);
                Ok(())
            }
            Err(PublishError::Refused) => {
                self.refused_until = now.saturating_add(REFUSED_MS);
                self.publisher = Publisher::new();
                Counters::set(&self.counters.key_refused, 1);
                tracing::error!("{}", PublishError::Refused);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What is read back is waited for no more.
    fn heed_final(&mut self, mirror: &SharedReader<D>) -> Result<(), MachineError> {
        let Some(engine) = &self.engine else {
            return Ok(());
        };
        let reader = mirror.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = Vec::new();
        for awaited in self.awaited.drain(..) {
            let Awaited {
                stream,
                first_seq,
                hash,
            } = awaited;
            if !reader.stands(engine.state(), stream, first_seq, hash)? {
                left.push(awaited);
            }
        }
        self.awaited = left;
        Ok(())
    }

    /// Appends events in their order, in as many frames as they need, and cuts. Where room ends, the rest is not said: the
    /// next turns decide anew, and a body that was said in part begins anew.
    pub(super) fn say(&mut self, now: u64, events: Events) -> Result<(), MachineError> {
        if events.is_empty() || self.config.dry_run {
            return Ok(());
        }
        let mut group: Vec<(u64, Event)> = Vec::new();
        let mut bytes = 0usize;
        for event in events {
            let size = size_of(&event);
            if GROUP_BYTES_MAX < bytes.saturating_add(size) {
                if !self.say_group(&group)? {
                    return Ok(());
                }
                group.clear();
                bytes = 0;
            }
            bytes = bytes.saturating_add(size);
            group.push((now, event));
        }
        self.say_group(&group)?;
        Ok(())
    }

    /// False if there is no room.
    fn say_group(&mut self, group: &[(u64, Event)]) -> Result<bool, MachineError> {
        if group.is_empty() {
            return Ok(true);
        }
        if !self.append(group)? {
            return Ok(false);
        }
        for (_, event) in group {
            self.note_said(event);
        }
        self.cut()?;
        Ok(true)
    }

    fn note_said(&mut self, event: &Event) {
        let counters = &self.counters;
        match event {
            Event::PayoutProposed(said) => {
                Counters::add(&counters.said_proposed, 1);
                tracing::info!(batch = said.batch, lines = said.lines, total = %said.total, "a batch is proposed");
                self.said.push(Subject::Batch(said.batch));
            }
            Event::PayoutSigned(said) => {
                Counters::add(&counters.said_signed, 1);
                tracing::info!(batch = said.batch, tx = said.tx, txid = %said.txid, "a transaction is signed");
                self.said.push(Subject::Tx {
                    batch: said.batch,
                    tx: said.tx,
                    expects: said.expects,
                });
            }
            Event::PayoutStep(said) => {
                counters.said(said.step);
                let step = said.step.name();
                if matches!(said.step, Step::Conflicted | Step::Failed) {
                    tracing::error!(batch = said.batch, tx = said.tx, step, "a payout");
                } else {
                    tracing::info!(batch = said.batch, tx = said.tx, step, "a payout");
                }
                self.said.push(Subject::Tx {
                    batch: said.batch,
                    tx: said.tx,
                    expects: said.expects,
                });
            }
            Event::PayoutCancelled(said) => {
                Counters::add(&counters.said_cancelled, 1);
                tracing::warn!(batch = said.batch, tx = said.tx, reason = %said.reason, "a payout is cancelled");
                self.said.push(Subject::Tx {
                    batch: said.batch,
                    tx: said.tx,
                    expects: said.expects,
                });
            }
            Event::PayoutHalt(said) => {
                Counters::add(&counters.said_halted, 1);
                tracing::error!(wallet = said.wallet, reason = %said.reason, "the paymaster halts its wallet");
            }
            Event::Reconciled(_) => Counters::add(&counters.said_reconciled, 1),
            _ => {}
        }
    }

    /// False if there is no room now, or a move is under way.
    fn append(&mut self, events: &[(u64, Event)]) -> Result<bool, MachineError> {
        match self.spool.append(events) {
            Ok(_) => Ok(true),
            Err(SpoolError::Full(_) | SpoolError::Moving) => {
                Counters::add(&self.counters.spool_full, 1);
                tracing::warn!("the paymaster's spool has no room now");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn cut(&mut self) -> Result<(), MachineError> {
        let frame = self.spool.cut()?;
        self.awaited.extend(frame.as_ref().and_then(Awaited::of));
        Ok(())
    }
}

fn size_of(event: &Event) -> usize {
    let bytes = match event {
        Event::PayoutSigned(said) => said.raw.len(),
        Event::Part(part) => part.bytes.len(),
        Event::Reconciled(said) => said.report.as_str().len(),
        _ => 0,
    };
    bytes.saturating_add(EVENT_BYTES_GUESS)
}

/// Frames that a former life said and that may not be final yet.
pub(super) fn awaited_in<D: Disk + Clone>(spool: &Spool<D>) -> Result<Vec<Awaited>, SpoolError> {
    let held = spool.streams();
    let Some(oldest) = held.first() else {
        return Ok(Vec::new());
    };
    let mut awaited = Vec::new();
    let mut frames = spool.frames_from(oldest.stream, 0)?;
    while let Some(frame) = frames.next_frame(spool)? {
        let stream = frame.header().stream;
        let is_moved = held
            .iter()
            .any(|held| held.stream == stream && held.moved_from.is_some());
        awaited.extend(Awaited::of(&frame).filter(|_| !is_moved));
    }
    Ok(awaited)
}
