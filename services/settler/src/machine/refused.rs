//! Whose words the ledger did not obey. Of two settlers that say the same, one is refused: people should read which.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use orebook_ledger::disk::Disk;
use orebook_replay::engine::SharedReader;
use orebook_replay::rows::StoreFault;
use orebook_schema::{At, Event, Hash, Kind, StreamId};

use super::Machine;

/// A status of the ledger: its place, what it expects, whose it is.
struct Said {
    at: At,
    expects: At,
    stream: StreamId,
    state: &'static str,
}

impl<D: Disk + Clone> Machine<D> {
    /// Tells each status among positions `from` to `below` that was refused, with whose it was.
    pub(super) fn tell_refused(
        &self,
        mirror: &SharedReader<D>,
        from: u64,
        below: u64,
    ) -> Result<(), StoreFault> {
        let ours = self.decider.outbox().next_place();
        let ours = ours.map(|place| place.stream);
        for (hash, said) in statuses(mirror, from, below) {
            let Some(block) = self.book.block(hash)? else {
                continue;
            };
            let obeyed = obeyed(&said, block.obeyed.map(|obeyed| obeyed.at));
            for one in said.iter().filter(|one| !obeyed.contains(&one.at)) {
                let is_ours = ours == Some(one.stream);
                let whose = if is_ours { "ours" } else { "another's" };
                tracing::warn!(
                    position = one.at.position,
                    stream = %one.stream,
                    whose,
                    %hash,
                    state = one.state,
                    "a settler's word was refused, and changed nothing"
                );
            }
        }
        Ok(())
    }
}

/// Statuses by block, in their order.
fn statuses<D: Disk + Clone>(
    mirror: &SharedReader<D>,
    from: u64,
    below: u64,
) -> BTreeMap<Hash, Vec<Said>> {
    let reader = mirror.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found: BTreeMap<Hash, Vec<Said>> = BTreeMap::new();
    for position in from..below {
        let stored = reader.store().read(position).ok().flatten();
        let is_said = |kinds: u64| kinds & Kind::BlockStatus.bit() != 0;
        let Some(stored) = stored.filter(|it| is_said(it.frame.header().kinds)) else {
            continue;
        };
        let stream = stored.frame.header().stream;
        for (index, raw) in (0u16..).zip(stored.frame.events()) {
            let event = raw.ok().and_then(|raw| raw.decode().ok());
            let Some(Event::BlockStatus(status)) = event else {
                continue;
            };
            found.entry(status.hash).or_default().push(Said {
                at: At { position, index },
                expects: status.expects,
                stream,
                state: status.state.name(),
            });
        }
    }
    found
}

/// Places of those that were obeyed: the block's last one, what that expects, and so on.
fn obeyed(said: &[Said], last: Option<At>) -> BTreeSet<At> {
    let mut obeyed = BTreeSet::new();
    let mut next = last;
    for one in said.iter().rev() {
        if next == Some(one.at) {
            obeyed.insert(one.at);
            next = Some(one.expects);
        }
    }
    obeyed
}
