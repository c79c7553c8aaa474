//! One reconciliation under way: what is left to be compared, what was found, what the chain did not tell.
//!
//! It asks in small steps, so that a paymaster does other things between, and reads the ledger's rows at each step anew.

use std::collections::{BTreeSet, VecDeque};

use orebook_replay::folds::money::payouts::TxRow;
use orebook_replay::rows::StoreFault;
use orebook_schema::Hash;

use crate::book::Book;
use crate::survey::{Asked, Survey, Surveyed};
use crate::wallet::{Wallet, WalletError, Watched};

use super::{Comparison, Difference};

/// How often a question without an answer is asked again before it counts as one that the chain does not tell.
const TRIES: u32 = 3;
/// What was not told is named so often at most.
const SILENT_MAX: usize = 100;

/// What a reconciliation compares at most, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transactions.
    pub txs: usize,
    /// Blocks.
    pub blocks: usize,
}

/// Something to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Tx { batch: u64, tx: u16 },
    Block { hash: Hash, height: u64 },
    Survey,
}

/// A reconciliation. See the module.
#[derive(Debug)]
pub struct Run {
    comparison: Comparison,
    left: VecDeque<(Task, u32)>,
    /// What the ledger had of the wallet when its survey began, and whether it was looked up anew since.
    asked: Option<Asked>,
    is_fresh: bool,
    /// What differs.
    pub found: BTreeSet<Difference>,
    /// What was not compared, and why: at most 100 of [`Run::silences`].
    pub silent: Vec<String>,
    /// How much was not compared, since the chain does not tell.
    pub silences: u32,
    /// Transactions that were compared.
    pub txs: u32,
    /// Blocks that were compared.
    pub blocks: u32,
    /// What the chain has of the wallet as a whole; none until it was told.
    pub survey: Option<Survey>,
    /// What accounts have available and reserved, base units, rounded up, when the survey was made.
    pub owed: u128,
}

impl Run {
    /// Begins one.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn new(book: &Book, wallet: &impl Wallet, limits: Limits) -> Result<Self, StoreFault> {
        let txs = book.compared(limits.txs)?.into_iter();
        let txs = txs.map(|(batch, tx)| Task::Tx { batch, tx });
        let blocks = book.standing_blocks(limits.blocks)?.into_iter();
        let blocks = blocks.map(|(hash, height)| Task::Block { hash, height });
        let all = txs.chain(blocks).chain([Task::Survey]);
        Ok(Self {
            comparison: Comparison {
                own: wallet.address(),
            },
            left: all.map(|task| (task, 0)).collect(),
            asked: None,
            is_fresh: false,
            found: BTreeSet::new(),
            silent: Vec::new(),
            silences: 0,
            txs: 0,
            blocks: 0,
            survey: None,
            owed: 0,
        })
    }

    /// Compares so many things. True if nothing is left.
    ///
    /// # Errors
    /// [`StoreFault`]. A wallet that does not answer is none: what was not told is counted.
    pub async fn step(
        &mut self,
        book: &Book,
        wallet: &impl Wallet,
        count: usize,
    ) -> Result<bool, StoreFault> {
        for _ in 0..count {
            let Some((task, tries)) = self.left.pop_front() else {
                return Ok(true);
            };
            let answered = match task {
                Task::Tx { batch, tx } => match book.tx(batch, tx)? {
                    Some(row) => self.tx(book, wallet, &row).await?,
                    None => Ok(()),
                },
                Task::Block { hash, height } => self.block(wallet, hash, height).await,
                Task::Survey => match self.survey(book, wallet).await? {
                    Ok(false) => {
                        self.left.push_front((task, tries));
                        return Ok(false);
                    }
                    Ok(true) => Ok(()),
                    Err(error) => Err(error),
                },
            };
            match answered {
                Ok(()) => {}
                Err(_) if tries < TRIES => self.left.push_back((task, tries.saturating_add(1))),
                Err(error) => self.note_silence(task, &error),
            }
        }
        Ok(self.left.is_empty())
    }

    async fn tx(
        &mut self,
        book: &Book,
        wallet: &impl Wallet,
        row: &TxRow,
    ) -> Result<Result<(), WalletError>, StoreFault> {
        let watched = Watched {
            versions: book.versions(row)?,
            spends: row.spends.clone(),
        };
        let sight = match wallet.look(&watched).await {
            Ok(sight) => sight,
            Err(error) => return Ok(Err(error)),
        };
        let pays = book.lines_of(row)?;
        for (txid, raw) in &watched.versions {
            match wallet.payments(raw) {
                Ok(paid) => {
                    let of = self.comparison.of_version(row, *txid, &pays, &paid);
                    self.found.extend(of);
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        self.found.extend(self.comparison.of_tx(row, &sight));
        self.txs = self.txs.saturating_add(1);
        Ok(Ok(()))
    }

    async fn block(
        &mut self,
        wallet: &impl Wallet,
        hash: Hash,
        height: u64,
    ) -> Result<(), WalletError> {
        let found = wallet.our_block(hash, height).await?;
        self.found
            .extend(self.comparison.of_block(hash, height, found));
        self.blocks = self.blocks.saturating_add(1);
        Ok(())
    }

    /// False if there is more to be read.
    async fn survey(
        &mut self,
        book: &Book,
        wallet: &impl Wallet,
    ) -> Result<Result<bool, WalletError>, StoreFault> {
        let is_old = self.asked.is_some();
        let asked = match self.asked.take() {
            Some(asked) => asked,
            None => book.asked()?,
        };
        let survey = match wallet.survey(&asked).await {
            Ok(Surveyed::Reading(_)) => {
                self.asked = Some(asked);
                return Ok(Ok(false));
            }
            // What the ledger named while blocks were read is no stranger's.
            Ok(Surveyed::Done(survey))
                if is_old && !self.is_fresh && !survey.foreign.is_empty() =>
            {
                self.is_fresh = true;
                return Ok(Ok(false));
            }
            Ok(Surveyed::Done(survey)) => survey,
            Err(error) => return Ok(Err(error)),
        };
        self.owed = book.owed_in_all()?;
        self.found
            .extend(self.comparison.of_wallet(&survey, self.owed));
        self.survey = Some(survey);
        Ok(Ok(true))
    }

    fn note_silence(&mut self, task: Task, error: &WalletError) {
        self.silences = self.silences.saturating_add(1);
        if SILENT_MAX <= self.silent.len() {
            return;
        }
        let what = match task {
            Task::Tx { batch, tx } => format!("batch {batch} tx {tx}"),
            Task::Block { height, .. } => format!("block {height}"),
            Task::Survey => "the wallet".to_owned(),
        };
        self.silent
            .push(format!("{what}: could not be compared: {error}"));
    }
}
