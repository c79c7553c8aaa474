//! Who a worker's number is: rows that every fold keeps that shows by account or name.

use std::collections::BTreeSet;

use orebook_schema::names::Pot;
use orebook_schema::{Account, Event, Kind, StreamId, WorkerName};

use crate::fold::FinalFrame;
use crate::row;
use crate::rows::{self, KeyField, Order, Rows, Span, StoreFault};

/// Most rows of dead numbers dropped with one frame; what is left goes with later ones.
const DROPPED_MAX: usize = 1_024;

row! {
    /// An announced worker. Kept while its (stream, epoch) may still use the number.
    pub struct Rig in table 9 {
        key {
            /// Stream of the announcement.
            stream: StreamId,
            /// Its epoch.
            epoch: u32,
            /// Worker's number.
            number: u32,
        }
        value {
            /// Who is paid.
            account: Account,
            /// Where its shares go.
            pot: Pot,
            /// Its name.
            name: WorkerName,
        }
    }
}

/// Takes the announcements of a frame, and drops numbers that no event can use any more: those of the stream's earlier
/// epochs, and those of closed streams from which the frame moves events.
///
/// # Errors
/// [`StoreFault`].
pub fn learn(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let header = frame.header();
    if frame.has(Kind::Worker) {
        for (_, _, event) in frame.events() {
            if let Event::Worker(worker) = event {
                let rig = Rig {
                    stream: header.stream,
                    epoch: header.epoch,
                    number: worker.number,
                    account: worker.account.clone(),
                    pot: worker.pot,
                    name: worker.name.clone(),
                };
                rows::put(rows, &rig)?;
            }
        }
        let now = Rig::key_of(&header.stream, &header.epoch, &0);
        forget(rows, &Span::prefix_to(&key_of_stream(header.stream), now))?;
    }
    if frame.has(Kind::Moved) {
        let from: BTreeSet<StreamId> = frame.moved().map(|(_, moved, _)| moved.stream).collect();
        let is_closed = |stream: &StreamId| {
            let known = frame.state.stream(*stream);
            known.is_some_and(|known| known.closed)
        };
        for stream in from.into_iter().filter(is_closed) {
            forget(rows, &Span::prefix(&key_of_stream(stream)))?;
        }
    }
    Ok(())
}

/// The rig of a number in the frame's (stream, epoch).
///
/// # Errors
/// [`StoreFault`].
pub fn rig(
    frame: &FinalFrame<'_>,
    rows: &dyn Rows,
    number: u32,
) -> Result<Option<Rig>, StoreFault> {
    let header = frame.header();
    rows::get(rows, &Rig::key_of(&header.stream, &header.epoch, &number))
}

fn key_of_stream(stream: StreamId) -> Vec<u8> {
    let mut key = Vec::new();
    stream.put_key(&mut key);
    key
}

fn forget(rows: &mut dyn Rows, span: &Span) -> Result<(), StoreFault> {
    let dead: Vec<Rig> = rows::collect(rows, span, Order::Forward, DROPPED_MAX)?;
    for rig in dead {
        let key = Rig::key_of(&rig.stream, &rig.epoch, &rig.number);
        rows::delete::<Rig>(rows, &key)?;
    }
    Ok(())
}
