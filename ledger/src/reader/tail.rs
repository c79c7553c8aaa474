//! What stands between the final positions and the head: taken, stored, and settled when a checkpoint covers it.

use std::collections::{BTreeSet, VecDeque};

use orebook_schema::{Event, Hash, Header};

use super::anchor::Anchor;
use super::{DOUBTED_MAX, NOTICES_MAX, Notice, ReadError, Reader, TreeHead};
use crate::admit::{AdmitError, Admitted, Cause, History, Parsed, State, Trust, Verdict};
use crate::disk::Disk;
use crate::log::LogRecord;
use crate::segment::{Record, StoredFrame};

/// Something between the final positions and the head.
#[derive(Clone, Debug)]
pub(super) enum TailItem {
    Frame {
        append_time: u64,
        offset: Option<u64>,
        parsed: Box<Parsed>,
    },
    Closure {
        position: u64,
        header: Box<Header>,
    },
}

impl<D: Disk + Clone> Reader<D> {
    /// Judges one record. False if the place in the log was given up.
    pub(super) fn take(&mut self, record: LogRecord) -> Result<bool, ReadError> {
        let LogRecord {
            offset,
            append_time,
            bytes,
        } = record;
        let position = self.head.size();
        let (verdict, parsed) = self.head.admit(&self.store, append_time, bytes)?;
        if let Some(place) = &mut self.place {
            place.next_offset = offset + 1;
        }
        match (verdict, parsed) {
            (Verdict::Admitted(admitted), Some(parsed)) => {
                self.take_admitted(&admitted, append_time, offset, parsed)
            }
            (Verdict::Refused(cause), parsed) => {
                if cause == Cause::Fork
                    && let Some(parsed) = &parsed
                {
                    self.take_closure(position, append_time, parsed.frame().header())?;
                }
                self.notice(cause, parsed.as_ref());
                Ok(true)
            }
            (Verdict::Admitted(_), None) => Ok(true),
        }
    }

    pub(super) fn take_admitted(
        &mut self,
        admitted: &Admitted,
        append_time: u64,
        offset: u64,
        parsed: Parsed,
    ) -> Result<bool, ReadError> {
        self.store_frame(admitted, append_time, &parsed)?;
        let is_provisional = self.final_size() <= admitted.position;
        let ends_final = self.head.size() == self.final_size();
        if !is_provisional && ends_final && self.head.root() != self.settled.root() {
            return Err(self.dead(admitted.position, "the root differs"));
        }
        let hash = parsed.frame().header_hash();
        let is_doubted = admitted.disagrees && self.doubted.insert(hash);
        if !is_doubted {
            self.note_obeyed(admitted, &parsed);
        }
        if is_provisional {
            self.late
                .note(admitted, append_time, parsed.frame().header());
            self.tail.push_back(TailItem::Frame {
                append_time,
                offset: Some(offset),
                parsed: Box::new(parsed),
            });
        }
        if is_doubted {
            // Either this reader's tail is not the log's any more, or the checkpoint is wrong: read again to know.
            if DOUBTED_MAX < self.doubted.len() {
                self.doubted = BTreeSet::from([hash]);
            }
            self.cut()?;
        }
        Ok(!is_doubted)
    }

    pub(super) fn note_obeyed(&mut self, admitted: &Admitted, parsed: &Parsed) {
        let Some(size) = admitted.obeyed else {
            return;
        };
        self.target = self.target.max(size);
        self.is_proof_waiting |= size == self.final_size();
        let stream = self.head.stream(parsed.frame().header().stream);
        let signed = parsed.events().iter().find_map(|event| match event {
            Event::Checkpoint(checkpoint) if checkpoint.size == size => Some(checkpoint),
            _ => None,
        });
        if let (Some(stream), Some(signed)) = (stream, signed) {
            self.obeyed = Some(TreeHead {
                size,
                root: signed.root,
                key: stream.key,
                signature: signed.signature,
            });
        }
    }

    /// Stores a frame, or compares it with the one that stands on disk at its position.
    pub(super) fn store_frame(
        &mut self,
        admitted: &Admitted,
        append_time: u64,
        parsed: &Parsed,
    ) -> Result<(), ReadError> {
        let position = admitted.position;
        if position < self.store.size() {
            let stored = self.store.read(position)?;
            let same = stored.is_some_and(|stored: StoredFrame| {
                stored.ledger_time == admitted.ledger_time
                    && stored.frame.header_hash() == parsed.frame().header_hash()
            });
            let unseen_closure = self.kept_closures.iter().any(|(at, _)| *at <= position);
            if same && !unseen_closure {
                return Ok(());
            }
            if position < self.keep.max(self.final_size()) {
                return Err(self.dead(position, "another frame stands there"));
            }
            self.store.truncate(position)?;
            self.kept_closures.clear();
        }
        self.store
            .append_frame(position, admitted.ledger_time, append_time, parsed.frame())?;
        Ok(())
    }

    pub(super) fn take_closure(
        &mut self,
        position: u64,
        append_time: u64,
        header: &Header,
    ) -> Result<(), ReadError> {
        if position < self.store.size() {
            let expected = self
                .kept_closures
                .iter()
                .position(|kept| *kept == (position, header.stream));
            if let Some(index) = expected {
                self.kept_closures.remove(index);
            } else if self.final_size() <= position {
                if position < self.keep {
                    return Err(self.dead(position, "a stream was closed there"));
                }
                self.store.truncate(position)?;
                self.store.append_closure(position, append_time, header)?;
            }
        } else {
            self.store.append_closure(position, append_time, header)?;
        }
        if self.final_size() <= position {
            self.tail.push_back(TailItem::Closure {
                position,
                header: Box::new(header.clone()),
            });
        }
        Ok(())
    }

    /// Moves the final size up to the newest obeyed checkpoint, once the segments are synced.
    pub(super) fn settle(&mut self) -> Result<(), ReadError> {
        if self.target <= self.final_size() || self.head.size() < self.target {
            // After a restart the checkpoint of what is final comes once more: who reads these files needs it.
            if std::mem::take(&mut self.is_proof_waiting) {
                self.store.sync()?;
            }
            return Ok(());
        }
        self.is_proof_waiting = false;
        self.store.sync()?;
        let offset = advance(&mut self.settled, &self.store, &mut self.tail, self.target)?;
        // What was adopted has no place in the log. That it is final is written down all the same: the checkpoint that says
        // so is not kept.
        let anchor = match (self.place, offset) {
            (Some(place), Some(offset)) => Anchor {
                incarnation: place.incarnation,
                size: self.target,
                offset,
            },
            _ => Anchor {
                incarnation: self.last_incarnation().or(self.behind_in).unwrap_or(0),
                size: self.target,
                offset: 0,
            },
        };
        anchor.save(&self.disk, &self.dir)?;
        self.anchor = Some(anchor);
        self.store.seal(self.settled.size())?;
        Ok(())
    }

    pub(super) fn notice(&mut self, cause: Cause, parsed: Option<&Parsed>) {
        if cause == Cause::Duplicate {
            return;
        }
        if NOTICES_MAX <= self.notices.len() {
            self.notices.pop_front();
        }
        self.notices.push_back(Notice {
            cause,
            header: parsed.map(|parsed| parsed.frame().header().clone()),
            header_hash: parsed.map_or(Hash::ZERO, |parsed| parsed.frame().header_hash()),
        });
    }
}

/// Pops tail items into the settled state until it has `size` positions. Returns the log offset of the last frame taken.
pub(super) fn advance(
    settled: &mut State,
    history: &impl History,
    tail: &mut VecDeque<TailItem>,
    size: u64,
) -> Result<Option<u64>, AdmitError> {
    let mut last = None;
    while settled.size() < size {
        let Some(item) = tail.pop_front() else { break };
        apply_item(settled, history, &item)?;
        if let TailItem::Frame { offset, .. } = item {
            last = offset;
        }
    }
    Ok(last)
}

/// Applies an item that was judged before at this very place.
pub(super) fn apply_item(
    state: &mut State,
    history: &impl History,
    item: &TailItem,
) -> Result<(), AdmitError> {
    match item {
        TailItem::Frame {
            append_time,
            parsed,
            ..
        } => {
            let verdict =
                state.admit_parsed(history, *append_time, parsed, Trust::CheckedBefore)?;
            assert!(
                matches!(verdict, Verdict::Admitted(_)),
                "what was admitted once is admitted again"
            );
        }
        TailItem::Closure { header, .. } => {
            state.close_by_evidence(history, header)?;
        }
    }
    Ok(())
}

/// Judges a stored record again, as this disk's own.
pub(super) fn replay_record(
    state: &mut State,
    history: &impl History,
    record: Record,
) -> Result<TailItem, ReadError> {
    match record {
        Record::Frame(stored) => {
            let position = state.size();
            let damaged = |what: &str| AdmitError::Damaged(format!("position {position}: {what}"));
            let append_time = stored.append_time;
            let parsed = Parsed::read(stored.frame.bytes().to_vec())
                .map_err(|error| damaged(&format!("the stored frame is malformed: {error}")))?;
            let verdict =
                state.admit_parsed(history, append_time, &parsed, Trust::CheckedBefore)?;
            match verdict {
                Verdict::Admitted(admitted) if admitted.ledger_time == stored.ledger_time => {
                    Ok(TailItem::Frame {
                        append_time,
                        offset: None,
                        parsed: Box::new(parsed),
                    })
                }
                Verdict::Admitted(_) => Err(damaged("the stored ledger time is wrong").into()),
                Verdict::Refused(cause) => Err(damaged(&format!(
                    "the stored frame is not admitted: {}",
                    cause.name()
                ))
                .into()),
            }
        }
        Record::Closure {
            position, header, ..
        } => {
            if !state.close_by_evidence(history, &header)? {
                return Err(AdmitError::Damaged(format!(
                    "position {position}: the closure is no fork"
                ))
                .into());
            }
            Ok(TailItem::Closure {
                position,
                header: Box::new(header),
            })
        }
    }
}
