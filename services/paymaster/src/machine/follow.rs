//! Looking at signed transactions: what the chain shows is said, what nobody has is sent again.

use orebook_ledger::disk::Disk;
use orebook_replay::folds::money::payouts::{TxRow, TxState};
use orebook_schema::desk::Reason;
use orebook_schema::payout::{PAYOUT_MAX, PayoutCancelled, PayoutHalt, PayoutStep, Step};
use orebook_schema::{Event, Hash};

use crate::decide::{Act, Known, Said, decide, is_grave};
use crate::metrics::Counters;
use crate::wallet::{Sent, Wallet, WalletError, Watched};

use super::{BACK_MAX, Events, Facts, LOOKS_PER_TURN, Machine, MachineError, VERSIONS_MAX};

impl<D: Disk + Clone> Machine<D> {
    /// Looks at transactions, those first that were not looked at for longest. The error is the wallet's that did not answer:
    /// the others are looked at when it does.
    pub(super) async fn look_at_txs(
        &mut self,
        wallet: &impl Wallet,
        facts: &Facts,
        events: &mut Events,
    ) -> Result<Result<(), WalletError>, MachineError> {
        let live = self.book.live()?;
        let mut open: Vec<TxRow> = live
            .into_iter()
            .filter(|tx| tx.state != TxState::Unsigned)
            .collect();
        self.forget_ended(&open);
        let count = u64::try_from(open.len()).unwrap_or(u64::MAX);
        Counters::set(&self.counters.open, count);
        let after = |tx: &TxRow| self.looked < Some((tx.batch, tx.tx));
        let first = open.iter().position(after).unwrap_or(0);
        open.rotate_left(first);
        open.truncate(LOOKS_PER_TURN);
        let mut waits: Vec<TxRow> = Vec::new();
        for tx in open {
            let place = (tx.batch, tx.tx);
            self.looked = Some(place);
            Counters::add(&self.counters.looks, 1);
            let watched = Watched {
                versions: self.book.versions(&tx)?,
                spends: tx.spends.clone(),
            };
            let sight = match self.book.explained(wallet.look(&watched).await)? {
                Ok(sight) => sight,
                Err(error) => {
                    self.count_no_answer(&error);
                    events.extend(self.note_silence(&tx));
                    return Ok(Err(error));
                }
            };
            self.silent.remove(&place);
            let known = Known {
                state: tx.state,
                newest: tx.txids.last().copied().unwrap_or(Hash::ZERO),
                block: tx.block,
            };
            match decide(&known, &sight, facts.depths) {
                Act::Nothing => drop(self.steady.remove(&place)),
                Act::Waits => {
                    self.steady.remove(&place);
                    waits.push(tx);
                }
                Act::Say(said) => events.extend(self.judge(&tx, said)),
                Act::Send => {
                    if let Err(error) = self.send(wallet, facts, &tx, &watched, events).await {
                        self.count_no_answer(&error);
                        return Ok(Err(error));
                    }
                }
                Act::Conflict { by, height, fee } => {
                    events.extend(self.conflict(facts, &tx, by, height, fee)?);
                }
            }
        }
        self.replace_stuck(wallet, facts, waits, events).await
    }

    fn forget_ended(&mut self, open: &[TxRow]) {
        let is_open = |place: &(u64, u16)| {
            let found = open.binary_search_by_key(place, |tx| (tx.batch, tx.tx));
            found.is_ok()
        };
        self.steady.retain(|place, _| is_open(place));
        self.silent.retain(|place, _| is_open(place));
        self.backs.retain(|place, _| is_open(place));
    }

    /// After so many looks without an answer nobody knows it: the wallet pays nothing more until somebody does.
    fn note_silence(&mut self, tx: &TxRow) -> Option<Event> {
        let count = self.silent.entry((tx.batch, tx.tx)).or_insert(0);
        *count = count.saturating_add(1);
        if *count < self.config.silences || tx.state == TxState::Unknown {
            return None;
        }
        *count = 0;
        let said = Said {
            step: Step::Unknown,
            txid: tx.txids.last().copied().unwrap_or(Hash::ZERO),
            height: 0,
            block: None,
            fee: 0,
        };
        Some(self.step(tx, said))
    }

    /// What is grave wants to be seen several times in a row, and is not said for ever.
    fn judge(&mut self, tx: &TxRow, said: Said) -> Option<Event> {
        let place = (tx.batch, tx.tx);
        if is_grave(tx.state, said.step) {
            let entry = self.steady.entry(place);
            let entry = entry.or_insert((said.step, said.txid, 0));
            if (entry.0, entry.1) != (said.step, said.txid) {
                *entry = (said.step, said.txid, 0);
            }
            entry.2 = entry.2.saturating_add(1);
            if entry.2 < self.config.sights {
                return None;
            }
        }
        self.steady.remove(&place);
        let backs = self.backs.get(&place).copied().unwrap_or(0);
        if takes_back(tx.state, said.step) && BACK_MAX <= backs {
            if self.counters.read().disputed == 0 {
                tracing::error!(
                    batch = tx.batch,
                    tx = tx.tx,
                    "another paymaster keeps saying otherwise of a payout: whose node is right?"
                );
            }
            Counters::set(&self.counters.disputed, 1);
            return None;
        }
        Some(self.step(tx, said))
    }

    fn step(&self, tx: &TxRow, said: Said) -> Event {
        Event::PayoutStep(Box::new(PayoutStep {
            wallet: self.config.wallet,
            batch: tx.batch,
            tx: tx.tx,
            expects: tx.last,
            step: said.step,
            txid: said.txid,
            height: if said.block.is_some() { said.height } else { 0 },
            block: said.block,
            fee: if said.step.is_in_a_block() {
                said.fee.min(PAYOUT_MAX)
            } else {
                0
            },
        }))
    }

    /// Gives the newest version to the nodes, as it was recorded. What they refuse the next look tells more of. A halted
    /// wallet sends nothing.
    async fn send(
        &mut self,
        wallet: &impl Wallet,
        facts: &Facts,
        tx: &TxRow,
        watched: &Watched,
        events: &mut Events,
    ) -> Result<(), WalletError> {
        let Some((txid, raw)) = watched.versions.last() else {
            return Ok(());
        };
        if facts.halted.is_some() || self.config.dry_run {
            return Ok(());
        }
        match wallet.send(raw).await? {
            Sent::Taken => {
                Counters::add(&self.counters.sent, 1);
                if tx.state != TxState::Broadcast {
                    let said = Said {
                        step: Step::Broadcast,
                        txid: *txid,
                        height: 0,
                        block: None,
                        fee: 0,
                    };
                    events.extend(self.judge(tx, said));
                }
            }
            Sent::Refused(words) => {
                Counters::add(&self.counters.sends_refused, 1);
                tracing::warn!(batch = tx.batch, tx = tx.tx, %words, "the nodes refuse a payout: the next look tells");
            }
        }
        Ok(())
    }

    /// What this transaction spends is gone for good. If a transaction that the ledger has spent it, this one is cancelled;
    /// what that one cost is its own to say. Else people have to look first: the wallet is halted, and only when it was
    /// resumed after, the transaction is cancelled.
    fn conflict(
        &mut self,
        facts: &Facts,
        tx: &TxRow,
        by: Hash,
        height: u64,
        fee: u128,
    ) -> Result<Option<Event>, MachineError> {
        let place = (tx.batch, tx.tx);
        let entry = self.steady.entry(place);
        let entry = entry.or_insert((Step::Conflicted, by, 0));
        if (entry.0, entry.1) != (Step::Conflicted, by) {
            *entry = (Step::Conflicted, by, 0);
        }
        entry.2 = entry.2.saturating_add(1);
        if entry.2 < self.config.sights {
            return Ok(None);
        }
        let (by, fee, words) = match self.book.recorded(by, tx)? {
            Some(by) => (by, 0, "another transaction of the ledger's spent the same"),
            None if facts.halted.is_some() => return Ok(None),
            None if facts.last < tx.last => {
                let words = format!(
                    "batch {} tx {}: a transaction that the ledger does not have spent the same",
                    tx.batch, tx.tx
                );
                return Ok(self.halt(facts, &words));
            }
            // Where the chain does not name it, what it spends does.
            None if by == Hash::ZERO => (Hash::of(&[&tx.spends]), fee, FOREIGN),
            None => (by, fee, FOREIGN),
        };
        self.steady.remove(&place);
        let Some(reason) = Reason::parse(words) else {
            return Ok(None);
        };
        Ok(Some(Event::PayoutCancelled(Box::new(PayoutCancelled {
            wallet: self.config.wallet,
            batch: tx.batch,
            tx: tx.tx,
            expects: tx.last,
            by: Some(by),
            height,
            fee: fee.min(PAYOUT_MAX),
            reason,
        }))))
    }

    /// A halt, unless the wallet is halted.
    pub(super) fn halt(&self, facts: &Facts, words: &str) -> Option<Event> {
        if facts.halted.is_some() {
            return None;
        }
        let words: String = words.chars().take(Reason::BYTES_MAX).collect();
        let reason = Reason::parse(&words)?;
        Some(Event::PayoutHalt(Box::new(PayoutHalt {
            wallet: self.config.wallet,
            reason,
        })))
    }

    /// The oldest transaction that waits for too long is signed again with a higher fee: it holds up those after it.
    async fn replace_stuck(
        &mut self,
        wallet: &impl Wallet,
        facts: &Facts,
        waits: Vec<TxRow>,
        events: &mut Events,
    ) -> Result<Result<(), WalletError>, MachineError> {
        let oldest = waits.into_iter().min_by_key(|tx| (tx.batch, tx.tx));
        let signed = match &oldest {
            Some(tx) => self.book.newest_signed(tx)?,
            None => None,
        };
        let is_stuck = |(time, _): &(u64, u128)| {
            time.saturating_add(self.config.stuck_ms) <= facts.ledger_time
        };
        let (Some(tx), Some((_, fee))) = (oldest, signed.filter(is_stuck)) else {
            Counters::set(&self.counters.stuck, 0);
            return Ok(Ok(()));
        };
        let may_not =
            facts.halted.is_some() || self.config.dry_run || self.replace_rest.is_on(facts.now);
        if may_not {
            return Ok(Ok(()));
        }
        self.replace_rest.begin(facts.now, self.config.retry_ms);
        if VERSIONS_MAX <= tx.txids.len() || self.config.fee_max <= fee {
            Counters::set(&self.counters.stuck, 1);
            tracing::error!(
                batch = tx.batch,
                tx = tx.tx,
                "a payout is stuck, and its fee is at the limit"
            );
            return Ok(Ok(()));
        }
        match self.sign_again(wallet, &tx).await? {
            Ok(signed) => {
                Counters::set(&self.counters.stuck, 0);
                Counters::add(&self.counters.said_replaced, 1);
                events.extend(signed);
            }
            Err(error) => {
                Counters::set(&self.counters.stuck, 1);
                self.count_no_answer(&error);
                tracing::error!(batch = tx.batch, tx = tx.tx, %error, "a payout is stuck, and could not be replaced");
            }
        }
        Ok(Ok(()))
    }
}

/// Whether a step takes a confirmation back.
pub(super) fn takes_back(state: TxState, step: Step) -> bool {
    state == TxState::Confirmed && step != Step::Final
}

const FOREIGN: &str =
    "a transaction that the ledger does not have spent the same; the wallet was resumed since";
