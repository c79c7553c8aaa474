//! What the final ledger says of our wallet, its batches and whom it owes: questions to the rows of the fold `money`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orebook_replay::digest::{self, Digest};
use orebook_replay::folds::money::payouts::{
    self, BatchRow, LineRow, RECONCILIATIONS_KEPT, RawRow, TxRow, TxState, WalletRow,
};
use orebook_replay::folds::money::{self, Held, PolicyRow, RefusedRow, SUB_UNITS};
use orebook_replay::rows::{Order, Row, Span, StoreFault, View, collect, get};
use orebook_replay::store::Store;
use orebook_schema::work::BlockState;
use orebook_schema::{Account, At, Hash, Policy};

use crate::plan::{Confirmed, Owed};
use crate::reconcile::{Known, Whole, is_compared};
use crate::survey::Asked;
use crate::wallet::{Pay, Sight, WalletError};
use crate::why::Why;

/// Accounts that one plan looks at, at most; the others' turn comes when these are paid.
const OWED_MAX: usize = 1_000_000;
/// Accounts that are summed up at once.
const ACCOUNTS_AT_ONCE: usize = 1_024;
/// Blocks that are looked through for a citation: those named last. Where a block was confirmed later than so many younger
/// ones were named, it is not cited.
const BLOCKS_LOOKED_THROUGH: usize = 4_096;
/// A day of ledger time, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// Newest halts and resumes that are looked through.
const HALTS_LOOKED_THROUGH: usize = 400;

/// A confirmed block of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its hash.
    pub hash: Hash,
    /// The height that the ledger has.
    pub height: u64,
    /// Where it was said to be confirmed.
    pub said: At,
    /// What the chain paid for it by that, base units.
    pub value: u128,
    /// Its policy's orphan depth; of the newest policy that a job cites if it was recovered or its job is void.
    pub orphan_depth: u32,
}

/// Answers from one store.
#[derive(Clone)]
pub struct Book {
    store: Arc<dyn Store>,
    wallet: u16,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Book of wallet {}", self.wallet)
    }
}

impl Book {
    /// Of a wallet, from a store with the rows of `money`.
    #[must_use]
    pub const fn new(store: Arc<dyn Store>, wallet: u16) -> Self {
        Self { store, wallet }
    }

    /// The wallet.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn wallet(&self) -> Result<WalletRow, StoreFault> {
        payouts::wallet(&*self.store.view()?, self.wallet)
    }

    /// Why the wallet is halted there.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn halted(&self, at: At) -> Result<Why, StoreFault> {
        let behind = At {
            position: at.position,
            index: at.index.saturating_add(1),
        };
        let said = payouts::halts(&*self.store.view()?, self.wallet, Some(behind), 1)?;
        let said = said.into_iter().find(|row| row.at == at);
        let reason = said.map_or_else(String::new, |row| row.reason);
        Ok(Why::Halted { at, reason })
    }

    /// Whether a proposal could be obeyed: every transaction of all batches is confirmed or at an end.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn is_free(&self) -> Result<bool, StoreFault> {
        payouts::is_free(&*self.store.view()?, self.wallet)
    }

    /// A batch.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn batch(&self, batch: u64) -> Result<Option<BatchRow>, StoreFault> {
        payouts::batch(&*self.store.view()?, self.wallet, batch)
    }

    /// A batch's transactions.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn txs(&self, batch: u64) -> Result<Vec<TxRow>, StoreFault> {
        payouts::txs(&*self.store.view()?, self.wallet, batch)
    }

    /// Transactions that are not at an end, oldest batch first.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn live(&self) -> Result<Vec<TxRow>, StoreFault> {
        payouts::live(&*self.store.view()?, self.wallet)
    }

    /// One transaction.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn tx(&self, batch: u64, tx: u16) -> Result<Option<TxRow>, StoreFault> {
        payouts::tx(&*self.store.view()?, self.wallet, batch, tx)
    }

    /// What a transaction pays, in the order of the lines.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn pays(&self, batch: u64) -> Result<Vec<(u16, Pay)>, StoreFault> {
        let lines = payouts::lines(&*self.store.view()?, self.wallet, batch)?;
        let pay = |line: LineRow| {
            let pay = Pay {
                address: line.address,
                amount: line.amount.saturating_sub(line.fee),
            };
            (line.tx, pay)
        };
        Ok(lines.into_iter().map(pay).collect())
    }

    /// Names and raw bytes of a transaction's versions, oldest first.
    ///
    /// # Errors
    /// [`StoreFault`], also if a version's bytes are missing.
    pub fn versions(&self, tx: &TxRow) -> Result<Vec<(Hash, Vec<u8>)>, StoreFault> {
        let view = self.store.view()?;
        let names = tx.txids.iter().zip(&tx.signed);
        names
            .map(|(txid, at)| {
                let raw = payouts::raw(&*view, self.wallet, tx.batch, tx.tx, *at)?;
                let raw = raw.ok_or(StoreFault::Damaged {
                    table: <RawRow as Row>::TABLE,
                    what: "a signed transaction has no bytes",
                })?;
                Ok((*txid, raw))
            })
            .collect()
    }

    /// Ledger time of a transaction's newest signature and the most that it can cost, base units; none before the first.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn newest_signed(&self, tx: &TxRow) -> Result<Option<(u64, u128)>, StoreFault> {
        let Some(newest) = tx.signed.last() else {
            return Ok(None);
        };
        let steps = payouts::steps(&*self.store.view()?, self.wallet, tx.batch)?;
        let mut steps = steps.into_iter();
        let step = steps.find(|step| step.at == *newest && step.tx == tx.tx);
        Ok(step.map(|step| (step.ledger_time, step.fee)))
    }

    /// Whether a transaction is one that the ledger has of this wallet: by its name, or, where the chain does not tell that,
    /// by what it spends and that it is in a block. Returns its name. `not` itself is left out.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn recorded(&self, by: Hash, not: &TxRow) -> Result<Option<Hash>, StoreFault> {
        for batch in (0..self.wallet()?.batches).rev() {
            for tx in self.txs(batch)? {
                if (tx.batch, tx.tx) == (not.batch, not.tx) {
                    continue;
                }
                // What cancelled another was looked at then, by people if it was a stranger's.
                let has_cancelled = tx.state == TxState::Cancelled && tx.txid == Some(by);
                if by != Hash::ZERO && (tx.txids.contains(&by) || has_cancelled) {
                    return Ok(Some(by));
                }
                let is_mined = matches!(
                    tx.state,
                    TxState::Confirmed | TxState::Final | TxState::Failed
                );
                if by == Hash::ZERO && is_mined && tx.spends == not.spends {
                    return Ok(tx.txid);
                }
            }
        }
        Ok(None)
    }

    /// What a wallet told of a transaction; where it does not know who took what that spends, but the ledger has the end of what
    /// made it, the conflict that this is: change of a payout that is no more goes with it.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn explained(
        &self,
        told: Result<Sight, WalletError>,
    ) -> Result<Result<Sight, WalletError>, StoreFault> {
        let Err(WalletError::Gone { makers, .. }) = &told else {
            return Ok(told);
        };
        let mut last = None;
        for of_version in makers {
            let mut death = None;
            for maker in of_version {
                death = death.or(self.death_of(*maker)?);
            }
            let Some(death) = death else {
                return Ok(told);
            };
            // The latest is told, as of any conflict: until then the other version might have been mined.
            last = last.max(Some(death));
        }
        Ok(match last {
            None => told,
            Some((is_shallow, height, by)) => Ok(Sight::Conflict {
                by,
                height,
                confirmations: if is_shallow { 1 } else { u64::MAX },
                fee: 0,
            }),
        })
    }

    /// Whether the ledger says that a signed version is not mined, since something else took what it spends: whether that may
    /// still be taken back, its height, and its name.
    fn death_of(&self, maker: Hash) -> Result<Option<(bool, u64, Hash)>, StoreFault> {
        for batch in (0..self.wallet()?.batches).rev() {
            let txs = self.txs(batch)?;
            let Some(tx) = txs.into_iter().find(|tx| tx.txids.contains(&maker)) else {
                continue;
            };
            let is_shallow = match tx.state {
                TxState::Cancelled | TxState::Final | TxState::Failed => false,
                TxState::Confirmed | TxState::Conflicted => true,
                _ => return Ok(None),
            };
            let by = tx.txid.filter(|by| *by != maker);
            return Ok(by.map(|by| (is_shallow, tx.height, by)));
        }
        Ok(None)
    }

    /// Who could be paid.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn owed(&self, ledger_time: u64, policy: &Policy) -> Result<Vec<Owed>, StoreFault> {
        let payable = payouts::payable(&*self.store.view()?, ledger_time, policy, OWED_MAX)?;
        let owed = payable.into_iter().map(|one| Owed {
            account: one.account,
            address: one.address,
            amount: one.available,
        });
        Ok(owed.collect())
    }

    /// Available balances above zero and reserved ones of all accounts together, base units, rounded up. What immature coinbases
    /// pay is reserved and not among them: the chain has paid it (rules 11.5.1).
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn owed_in_all(&self) -> Result<u128, StoreFault> {
        let view = self.store.view()?;
        let by_coinbases = money::direct::totals(&*view)?.reserved;
        let mut sum = 0u128;
        let mut after = None;
        loop {
            let rows = money::accounts(&*view, after.as_ref(), ACCOUNTS_AT_ONCE)?;
            for row in &rows {
                let balances = money::account(&*view, &row.account)?;
                for balance in [balances.available, balances.reserved] {
                    let above = balance.credits.saturating_sub(balance.debits);
                    sum = sum.saturating_add(above);
                }
            }
            after = rows.last().map(|row| row.account.clone());
            if rows.len() < ACCOUNTS_AT_ONCE {
                return Ok(sum.saturating_sub(by_coinbases).div_ceil(SUB_UNITS));
            }
        }
    }

    /// Of that what lines of signed transactions hold, base units: the chain may have paid them, and the ledger does not say so yet.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn under_way(&self) -> Result<u128, StoreFault> {
        let mut held: BTreeMap<u64, BTreeSet<u16>> = BTreeMap::new();
        for tx in self.live()? {
            if tx.state != TxState::Unsigned && tx.is_held() {
                held.entry(tx.batch).or_default().insert(tx.tx);
            }
        }
        let view = self.store.view()?;
        let mut sum = 0u128;
        for (batch, txs) in held {
            for line in payouts::lines(&*view, self.wallet, batch)? {
                if txs.contains(&line.tx) {
                    sum = sum.saturating_add(line.amount);
                }
            }
        }
        Ok(sum)
    }

    /// What batches proposed within the last day of ledger time pay, base units, without what was returned.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn paid_today(&self, ledger_time: u64) -> Result<u128, StoreFault> {
        let view = self.store.view()?;
        let mut sum = 0u128;
        for number in (0..payouts::wallet(&*view, self.wallet)?.batches).rev() {
            let batch = payouts::batch(&*view, self.wallet, number)?;
            let is_today = |row: &BatchRow| ledger_time < row.ledger_time.saturating_add(DAY_MS);
            if !batch.as_ref().is_some_and(is_today) {
                break;
            }
            let txs = payouts::txs(&*view, self.wallet, number)?;
            let returned = txs.iter().filter(|tx| tx.state.is_returned());
            let returned: BTreeSet<u16> = returned.map(|tx| tx.tx).collect();
            for line in payouts::lines(&*view, self.wallet, number)? {
                if !returned.contains(&line.tx) {
                    sum = sum.saturating_add(line.amount);
                }
            }
        }
        Ok(sum)
    }

    /// Blocks that are confirmed, those named last first; new ones are those confirmed after the last batch of which nothing
    /// was cancelled.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn confirmed(&self) -> Result<Vec<Confirmed>, StoreFault> {
        let since = self.last_whole_batch()?;
        let blocks = money::blocks(&*self.store.view()?, None, None, BLOCKS_LOOKED_THROUGH)?;
        let confirmed = blocks
            .into_iter()
            .filter(|block| block.held == Held::Available);
        let of = confirmed.filter_map(|block| {
            let status = block.status?;
            Some(Confirmed {
                hash: block.hash,
                height: block.height,
                is_new: status.state == BlockState::Confirmed && since < status.at,
            })
        });
        Ok(of.collect())
    }

    /// Where the last batch of which nothing was cancelled was proposed; zero if there is none.
    fn last_whole_batch(&self) -> Result<At, StoreFault> {
        for number in (0..self.wallet()?.batches).rev() {
            let txs = self.txs(number)?;
            let is_cancelled = |tx: &TxRow| tx.state == TxState::Cancelled;
            if !txs.iter().any(is_cancelled) {
                return Ok(self.batch(number)?.map(|row| row.at).unwrap_or_default());
            }
        }
        Ok(At::default())
    }

    /// The newest digest of the rows.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn digest(&self) -> Result<Option<Digest>, StoreFault> {
        digest::newest(&*self.store.view()?)
    }

    /// What a wallet is asked for a survey.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn asked(&self) -> Result<Asked, StoreFault> {
        let view = self.store.view()?;
        let mut asked = Asked::default();
        for batch in 0..payouts::wallet(&*view, self.wallet)?.batches {
            for tx in payouts::txs(&*view, self.wallet, batch)? {
                asked.txids.extend(tx.txids.into_iter().chain(tx.txid));
                if !tx.spends.is_empty() {
                    asked.spends.insert(tx.spends);
                }
                if 0 < tx.height {
                    asked.since = Some(asked.since.map_or(tx.height, |it| it.min(tx.height)));
                }
            }
        }
        let blocks = money::blocks(&*view, None, None, usize::MAX)?;
        asked.coinbases = blocks.iter().map(|block| block.coinbase_txid).collect();
        Ok(asked)
    }

    /// Transactions of a batch whose fate on the chain can be compared.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn compared(&self, batch: u64) -> Result<Vec<u16>, StoreFault> {
        let txs = self.txs(batch)?.into_iter().filter(is_compared);
        Ok(txs.map(|tx| tx.tx).collect())
    }

    /// What a transaction has to pay, by account, in the order of the lines.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn lines_of(&self, tx: &TxRow) -> Result<Vec<(Account, Pay)>, StoreFault> {
        let lines = payouts::lines(&*self.store.view()?, self.wallet, tx.batch)?;
        let lines = lines.into_iter().filter(|line| line.tx == tx.tx);
        let pay = |line: LineRow| {
            let amount = line.sent();
            let address = line.address;
            (line.account, Pay { address, amount })
        };
        Ok(lines.map(pay).collect())
    }

    /// Confirmed blocks of ours, uncles too, of so many that were named before `before`, those named last first; and the
    /// place to go on from, if there may be more.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn standing_blocks(
        &self,
        before: Option<At>,
        blocks_max: usize,
    ) -> Result<(Vec<Standing>, Option<At>), StoreFault> {
        let view = self.store.view()?;
        let blocks = money::blocks(&*view, None, before, blocks_max)?;
        let last = blocks.last().filter(|_| blocks.len() == blocks_max);
        let last = last.map(|block| block.at);
        let mut standing = Vec::new();
        for block in blocks {
            let confirmed = |status: &money::Status| status.state == BlockState::Confirmed;
            let Some(status) = block.status.filter(confirmed) else {
                continue;
            };
            let policy = block.finding.and_then(|finding| finding.policy);
            standing.push(Standing {
                hash: block.hash,
                height: block.height,
                said: status.at,
                value: status.value,
                orphan_depth: orphan_depth(&*view, policy)?,
            });
        }
        Ok((standing, last))
    }

    /// What the wallets hold by the books, base units, rounded down: all that the chain paid for blocks, less what accounts were
    /// paid, by immature coinbases too (rules 11.5.1), and what the chain took. Deposits are in no book.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn expected(&self) -> Result<u128, StoreFault> {
        let view = self.store.view()?;
        let reward = money::book(&*view, &money::Book::Reward)?;
        let mut gone = money::direct::totals(&*view)?.reserved;
        let mut after = None;
        loop {
            let rows = money::accounts(&*view, after.as_ref(), ACCOUNTS_AT_ONCE)?;
            for row in &rows {
                let paid = money::account(&*view, &row.account)?.paid;
                gone = gone.saturating_add(paid.credits.saturating_sub(paid.debits));
            }
            after = rows.last().map(|row| row.account.clone());
            if rows.len() < ACCOUNTS_AT_ONCE {
                break;
            }
        }
        let took = money::book(&*view, &money::Book::Wallet)?;
        gone = gone.saturating_add(took.credits.saturating_sub(took.debits));
        let came = reward.debits.saturating_sub(reward.credits);
        Ok(came.saturating_sub(gone) / SUB_UNITS)
    }

    /// Deciding events from a place on that were not obeyed, in their order, at most so many.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn refused(&self, from: At, rows_max: usize) -> Result<Vec<RefusedRow>, StoreFault> {
        let span = Span::prefix_from(&[], RefusedRow::key_of(&from));
        collect(&*self.store.view()?, &span, Order::Forward, rows_max)
    }

    /// Ledger time of the wallet's last reconciliation.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn reconciled_last(&self) -> Result<Option<u64>, StoreFault> {
        let last = payouts::reconciliations(&*self.store.view()?, self.wallet, None, 1)?;
        Ok(last.first().map(|row| row.ledger_time))
    }

    /// The wallet's last reconciliation that compared everything and found no difference.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn whole_last(&self) -> Result<Option<Whole>, StoreFault> {
        let view = self.store.view()?;
        let rows = payouts::reconciliations(&*view, self.wallet, None, RECONCILIATIONS_KEPT)?;
        let whole = rows.into_iter().find(|row| row.differences == 0);
        Ok(whole.map(|row| Whole {
            position: row.compared_position,
            txs: row.transactions,
            blocks: row.blocks,
        }))
    }

    /// What people have looked at: reports before they resumed the wallet last, and the reasons of resumes.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn known(&self) -> Result<Known, StoreFault> {
        let view = self.store.view()?;
        let halts = payouts::halts(&*view, self.wallet, None, HALTS_LOOKED_THROUGH)?;
        let resumes = halts
            .into_iter()
            .filter(|row| !row.halts && row.taken.is_some());
        let resumes: Vec<_> = resumes.map(|row| (row.at, row.reason)).collect();
        let rows = match resumes.first() {
            Some((last, _)) => {
                payouts::reconciliations(&*view, self.wallet, Some(*last), RECONCILIATIONS_KEPT)?
            }
            None => Vec::new(),
        };
        let reports = rows.iter().map(|row| row.report.as_str());
        let reasons = resumes.iter().map(|(_, reason)| reason.as_str());
        Ok(Known::new(reports, reasons))
    }
}

/// The orphan depth of a policy that a job cites; without one, of the newest.
fn orphan_depth(view: &dyn View, policy: Option<At>) -> Result<u32, StoreFault> {
    let cited: Option<PolicyRow> = match policy {
        Some(at) => get(view, &PolicyRow::key_of(&at))?,
        None => None,
    };
    let row = match cited {
        Some(row) => Some(row),
        None => collect(view, &Span::all(), Order::Backward, 1)?.pop(),
    };
    Ok(row.map_or(0, |row: PolicyRow| row.policy.orphan_depth))
}
