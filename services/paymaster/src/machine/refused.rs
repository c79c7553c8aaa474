//! Whose words the ledger did not obey. Of two paymasters that say the same, one is refused: people should read which.

use std::sync::PoisonError;

use orebook_ledger::disk::Disk;
use orebook_replay::engine::SharedReader;
use orebook_schema::{At, Event, Kind};

use crate::metrics::Counters;

use super::{Machine, MachineError};

/// Refused words that one turn tells at most; the next goes on.
const TOLD_PER_TURN: usize = 64;

impl<D: Disk + Clone> Machine<D> {
    /// Tells each word of a paymaster that was refused since this process was level with the ledger, once, with whose it was.
    pub(super) fn tell_refused(&mut self, mirror: &SharedReader<D>) -> Result<(), MachineError> {
        let size = self.decider.follower().size();
        let end = At {
            position: size,
            index: 0,
        };
        // What a former life read it does not tell again.
        let Some(from) = self.refused_from.filter(|from| from.position < size) else {
            self.refused_from.get_or_insert(end);
            return Ok(());
        };
        let rows = self.book.refused(from, TOLD_PER_TURN)?;
        self.refused_from = match rows.last() {
            Some(last) if rows.len() == TOLD_PER_TURN => Some(At {
                position: last.at.position,
                index: last.at.index.saturating_add(1),
            }),
            _ => Some(end),
        };
        let ours = self.decider.outbox().next_place();
        let ours = ours.map(|place| place.stream);
        let reader = mirror.0.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let stored = reader.store().read(row.at.position).ok().flatten();
            let Some(stored) = stored else {
                continue;
            };
            let raw = stored.frame.events().nth(usize::from(row.at.index));
            let event = raw.and_then(Result::ok).and_then(|raw| raw.decode().ok());
            let Some((kind, batch)) = event.as_ref().and_then(of_a_paymaster) else {
                continue;
            };
            let stream = stored.frame.header().stream;
            let is_ours = ours == Some(stream);
            if is_ours {
                Counters::add(&self.counters.refused, 1);
            }
            let (position, why) = (row.at.position, row.why.name());
            let whose = if is_ours { "ours" } else { "another's" };
            tracing::warn!(
                position,
                %stream,
                whose,
                kind = kind.name(),
                batch,
                why,
                "a paymaster's word was refused, and changed nothing"
            );
        }
        Ok(())
    }
}

/// What a paymaster says of a batch, and of which.
fn of_a_paymaster(event: &Event) -> Option<(Kind, u64)> {
    let batch = match event {
        Event::PayoutProposed(said) => said.batch,
        Event::PayoutSigned(said) => said.batch,
        Event::PayoutStep(said) => said.batch,
        Event::PayoutCancelled(said) => said.batch,
        _ => return None,
    };
    Some((event.kind(), batch))
}
