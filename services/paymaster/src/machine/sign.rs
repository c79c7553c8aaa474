//! Signing: only what is approved and final, and again only what spends the same.

use std::collections::VecDeque;

use orebook_ledger::admit::State;
use orebook_ledger::disk::Disk;
use orebook_replay::folds::money::payouts::{BatchRow, TxRow, TxState};
use orebook_schema::desk::Reason;
use orebook_schema::payout::{
    PAYOUT_MAX, PayoutCancelled, PayoutSigned, RAW_BYTES_MAX, Spends, cut_into_parts,
};
use orebook_schema::{Event, Hash};

use crate::wallet::{Order, Pay, SignedTx, Wallet, WalletError};
use crate::why::Why;

use super::{Events, Facts, Machine, MachineError, SIGNS_PER_TURN};

impl<D: Disk + Clone> Machine<D> {
    /// Signs what is not signed of the newest batch: no other can have any. [`Why::Nothing`]: there is nothing to sign.
    pub(super) async fn sign(
        &mut self,
        wallet: &impl Wallet,
        facts: &Facts,
        events: &mut Events,
    ) -> Result<Why, MachineError> {
        let Some(number) = facts.batches.checked_sub(1) else {
            return Ok(Why::Nothing);
        };
        let txs = self.book.txs(number)?;
        let unsigned: Vec<&TxRow> = txs
            .iter()
            .filter(|tx| tx.state == TxState::Unsigned)
            .take(SIGNS_PER_TURN)
            .collect();
        let Some(batch) = self.book.batch(number)?.filter(|_| !unsigned.is_empty()) else {
            return Ok(Why::Nothing);
        };
        if let Some(halted) = facts.halted {
            return Ok(self.book.halted(halted)?);
        }
        if batch.approved.is_none() {
            return Ok(self.wait_for_approval(facts, &batch, &unsigned, events));
        }
        if self.config.dry_run {
            return Ok(Why::DryRun);
        }
        let mut order = Order {
            pays: Vec::new(),
            fee_max: self.config.fee_max,
            taken: self.taken(None)?,
            replaces: None,
        };
        let pays = self.book.pays(number)?;
        for tx in unsigned {
            order.pays = pays_of(&pays, tx.tx);
            match sign_exactly(wallet, &order).await {
                Ok(signed) => {
                    events.extend(self.signed(tx, &signed));
                    order.taken.push(signed.raw);
                }
                // It never can: what was not signed needs nothing to be given back.
                Err(WalletError::Cannot(words)) => {
                    tracing::error!(batch = tx.batch, tx = tx.tx, %words, "a payout cannot be signed");
                    events.extend(self.cancel_unsigned(tx, &words));
                }
                Err(error) => {
                    self.count_no_answer(&error);
                    return Ok(Why::Wallet(error.to_string()));
                }
            }
        }
        Ok(Why::Nothing)
    }

    /// A batch that nobody approves does not block the wallet for ever.
    fn wait_for_approval(
        &self,
        facts: &Facts,
        batch: &BatchRow,
        unsigned: &[&TxRow],
        events: &mut Events,
    ) -> Why {
        let until = batch
            .ledger_time
            .saturating_add(self.config.approve_within_ms);
        if until <= facts.ledger_time {
            let cancel = |tx: &&TxRow| self.cancel_unsigned(tx, "it was not approved in time");
            events.extend(unsigned.iter().filter_map(cancel));
        }
        Why::Unapproved {
            batch: batch.batch,
            have: self.approvals(&batch.digest),
            needed: batch.needed,
        }
    }

    fn approvals(&self, digest: &Hash) -> u8 {
        let authority = self.decider.state().and_then(State::authority);
        let count = authority.map_or(0, |it| it.approved_by(digest).count());
        u8::try_from(count).unwrap_or(u8::MAX)
    }

    /// The same payments again, of the same coins or nonce, with a higher fee. The inner error is the wallet's.
    pub(super) async fn sign_again(
        &mut self,
        wallet: &impl Wallet,
        tx: &TxRow,
    ) -> Result<Result<Events, WalletError>, MachineError> {
        let versions = self.book.versions(tx)?;
        let order = Order {
            pays: pays_of(&self.book.pays(tx.batch)?, tx.tx),
            fee_max: self.config.fee_max,
            taken: self.taken(Some(tx))?,
            replaces: versions.last().map(|(_, raw)| raw.clone()),
        };
        Ok(match sign_exactly(wallet, &order).await {
            Ok(signed) if signed.spends != tx.spends => Err(WalletError::Cannot(
                "the replacement spends something else".to_owned(),
            )),
            Ok(signed) => Ok(self.signed(tx, &signed)),
            Err(error) => Err(error),
        })
    }

    /// Raw bytes of all versions of the transactions that are signed and not at an end, but of `not`.
    fn taken(&self, not: Option<&TxRow>) -> Result<Vec<Vec<u8>>, MachineError> {
        let mut taken = Vec::new();
        for tx in self.book.live()? {
            let is_not = not.is_some_and(|not| (not.batch, not.tx) == (tx.batch, tx.tx));
            if !is_not {
                let versions = self.book.versions(&tx)?;
                taken.extend(versions.into_iter().map(|(_, raw)| raw));
            }
        }
        Ok(taken)
    }

    /// The events that record a signed transaction: its bytes as parts first, where they are many.
    fn signed(&self, tx: &TxRow, signed: &SignedTx) -> Events {
        let mut events = Events::new();
        let is_long = RAW_BYTES_MAX < signed.raw.len();
        let (Some(parts), Some(spends)) =
            (cut_into_parts(&signed.raw), Spends::new(&signed.spends))
        else {
            tracing::error!(txid = %signed.txid, "a signed transaction is larger than the ledger takes");
            return events;
        };
        if is_long {
            events.extend(parts.into_iter().map(Event::Part));
        }
        events.push(Event::PayoutSigned(Box::new(PayoutSigned {
            wallet: self.config.wallet,
            batch: tx.batch,
            tx: tx.tx,
            expects: tx.last,
            txid: signed.txid,
            fee: signed.fee.min(PAYOUT_MAX),
            spends,
            body: Hash::of(&[&signed.raw]),
            raw: if is_long {
                Vec::new()
            } else {
                signed.raw.clone()
            },
        })));
        events
    }

    fn cancel_unsigned(&self, tx: &TxRow, words: &str) -> Option<Event> {
        let legal = |c: &char| (' '..='~').contains(c);
        let words: String = words
            .chars()
            .filter(legal)
            .take(Reason::BYTES_MAX)
            .collect();
        let reason = Reason::parse(&words).or_else(|| Reason::parse("it cannot be signed"))?;
        Some(Event::PayoutCancelled(Box::new(PayoutCancelled {
            wallet: self.config.wallet,
            batch: tx.batch,
            tx: tx.tx,
            expects: tx.last,
            by: None,
            height: 0,
            fee: 0,
            reason,
        })))
    }
}

/// The order, signed, if that pays each of its lines once and nobody else but the wallet itself. Wallets see to it too; this is the last
/// look before it is recorded and sent.
async fn sign_exactly(wallet: &impl Wallet, order: &Order) -> Result<SignedTx, WalletError> {
    let signed = wallet.sign(order).await?;
    let mut paid: VecDeque<Pay> = wallet.payments(&signed.raw)?.into();
    for pay in &order.pays {
        let at = paid.iter().position(|one| one == pay);
        if at.and_then(|at| paid.remove(at)).is_none() {
            let words = "what was signed does not pay each line as it stands";
            return Err(WalletError::Cannot(words.to_owned()));
        }
    }
    let own = wallet.address();
    if paid.iter().any(|one| one.address != own) {
        let words = "what was signed pays somebody whom no line names";
        return Err(WalletError::Cannot(words.to_owned()));
    }
    Ok(signed)
}

fn pays_of(pays: &[(u16, Pay)], tx: u16) -> Vec<Pay> {
    let of = pays.iter().filter(|(number, _)| *number == tx);
    of.map(|(_, pay)| pay.clone()).collect()
}
