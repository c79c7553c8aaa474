//! Saying: events in as many frames as they need, and what is noted and logged of each.

use orebook_ledger::disk::Disk;
use orebook_schema::Event;
use orebook_schema::payout::Step;

use crate::metrics::Counters;

use super::follow::takes_back;
use super::{Events, Machine, MachineError, Subject};

/// Bytes of one frame's events, at most, by a generous guess: the format allows 49,152.
const GROUP_BYTES_MAX: usize = 40_000;
/// Bytes of an event besides its raw transaction or part, at most.
const EVENT_BYTES_GUESS: usize = 700;

impl<D: Disk + Clone> Machine<D> {
    /// Appends events in their order, in as many frames as they need, and cuts. Where room ends, the rest is not said: the
    /// next turns decide anew, and a body that was said in part begins anew.
    pub(super) fn say(&mut self, now: u64, events: Events) -> Result<(), MachineError> {
        if events.is_empty() || self.config.dry_run {
            return Ok(());
        }
        let mut group: Events = Vec::new();
        let mut bytes = 0usize;
        for event in events {
            let size = size_of(&event);
            if GROUP_BYTES_MAX < bytes.saturating_add(size) {
                if !self.say_group(now, &group)? {
                    return Ok(());
                }
                group.clear();
                bytes = 0;
            }
            bytes = bytes.saturating_add(size);
            group.push(event);
        }
        self.say_group(now, &group)?;
        Ok(())
    }

    /// False if there is no room.
    fn say_group(&mut self, now: u64, group: &[Event]) -> Result<bool, MachineError> {
        if !self.decider.say(now, group)? {
            return Ok(false);
        }
        for event in group {
            self.note_said(event)?;
        }
        Ok(true)
    }

    fn note_said(&mut self, event: &Event) -> Result<(), MachineError> {
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
                let before = self.book.tx(said.batch, said.tx)?;
                if before.is_some_and(|tx| takes_back(tx.state, said.step)) {
                    let count = self.backs.entry((said.batch, said.tx)).or_insert(0);
                    *count = count.saturating_add(1);
                }
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
