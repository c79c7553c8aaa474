//! One reconciliation under way: what is left to be compared, what was found, what the chain did not tell.
//!
//! It compares everything, a piece at a step, so that a paymaster does other things between: newest batches first, then blocks, then
//! the wallet. Only the piece under way is in memory, and rows are read at each step anew.
//!
//! What an earlier whole comparison found equal ([`Whole`]) is not asked for one by one, and is compared all the same: each block names
//! the one before it, so where one block of that comparison still stands at its height, everything in blocks up to there is where
//! it was. One question about a block proves all that is below it; where it fails, each is asked for. Payouts that are not at an
//! end may still change and are asked for each time, and so are cancelled ones, unless what took their coins is that deep.

use std::collections::{BTreeSet, VecDeque};

use orebook_replay::folds::money::payouts::{TxRow, TxState};
use orebook_replay::rows::StoreFault;
use orebook_schema::{Account, At};

use crate::book::{Book, Standing};
use crate::survey::{Asked, Survey, Surveyed};
use crate::wallet::{Wallet, WalletError, Watched};

use super::{Comparison, Difference, OfBlock, UNCLE_REACH};

/// How often a question without an answer is asked again before it counts as one that the chain does not tell.
const TRIES: u32 = 3;
/// After so many questions in a row without an answer no more of the kind are asked: the rest counts as one.
const SILENT_IN_A_ROW_MAX: u32 = 64;
/// What was not told is named so often at most.
const SILENT_MAX: usize = 100;
/// Rows that one step looks at, at most, asked for or not.
const ROWS_AT_ONCE: usize = 8_192;
/// Blocks that are read at once, of whatever state.
const BLOCKS_AT_ONCE: usize = 1_024;

/// An earlier reconciliation that compared everything and found no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Every position up to this one was compared.
    pub position: u64,
    /// Transactions that it compared.
    pub txs: u32,
    /// Blocks that it compared.
    pub blocks: u32,
}

/// Something to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Tx { batch: u64, tx: u16 },
    Block(Standing),
    Survey,
}

/// What is read when nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Transactions of the batches below.
    Batches(u64),
    /// Blocks named before.
    Blocks(Option<At>),
    Survey,
    Nothing,
}

/// What became of a comparison.
enum Told {
    /// It was proved before: nothing was asked.
    Proved,
    Asked,
    /// The wallet reads on when it is asked again.
    More,
    Silent(WalletError),
}

/// A reconciliation. See the module.
#[derive(Debug)]
pub struct Run {
    comparison: Comparison,
    before: Option<Whole>,
    /// Up to this height the best chain is the one of `before`.
    proved: Option<u64>,
    /// What of `txs` and `blocks` it compared too.
    again: (u32, u32),
    next: Next,
    left: VecDeque<(Task, u32)>,
    silent_in_a_row: u32,
    /// What the ledger had of the wallet when its survey began, and whether it was looked up anew since.
    asked: Option<Asked>,
    is_fresh: bool,
    /// What differs.
    pub found: BTreeSet<Difference>,
    /// Blocks that lost their place and may yet be orphaned: neither the same nor a difference.
    pub open: Vec<Difference>,
    /// What the chain paid for these by the ledger, base units.
    open_value: u128,
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
    /// What accounts have available and reserved, without what signed payments hold, base units, rounded up, when the survey was made.
    pub owed: u128,
}

impl Run {
    /// Begins one; without an earlier one each thing is asked for.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn new(
        book: &Book,
        wallet: &impl Wallet,
        before: Option<Whole>,
    ) -> Result<Self, StoreFault> {
        Ok(Self {
            comparison: Comparison {
                own: wallet.address(),
            },
            before,
            proved: None,
            again: (0, 0),
            next: Next::Batches(book.wallet()?.batches),
            left: VecDeque::new(),
            silent_in_a_row: 0,
            asked: None,
            is_fresh: false,
            found: BTreeSet::new(),
            open: Vec::new(),
            open_value: 0,
            silent: Vec::new(),
            silences: 0,
            txs: 0,
            blocks: 0,
            survey: None,
            owed: 0,
        })
    }

    /// Asks for so many things at most, and ends where one is not told: a node that is away keeps nobody waiting twice. True if
    /// nothing is left.
    ///
    /// # Errors
    /// [`StoreFault`]. A wallet that does not answer is none: what was not told is counted.
    pub async fn step(
        &mut self,
        book: &Book,
        wallet: &impl Wallet,
        questions: usize,
    ) -> Result<bool, StoreFault> {
        let mut questions = questions;
        for _ in 0..ROWS_AT_ONCE {
            if questions == 0 {
                return Ok(false);
            }
            let Some((task, tries)) = self.next_task(book)? else {
                return self.ended(book, wallet);
            };
            match self.compare(book, wallet, task).await? {
                Told::Proved => {}
                Told::Asked => {
                    self.silent_in_a_row = 0;
                    questions -= 1;
                }
                Told::More => {
                    self.silent_in_a_row = 0;
                    self.left.push_front((task, tries));
                    return Ok(false);
                }
                Told::Silent(error) => {
                    self.silent_in_a_row = self.silent_in_a_row.saturating_add(1);
                    if tries < TRIES {
                        self.left.push_back((task, tries.saturating_add(1)));
                    } else {
                        self.note_silence(&named(task), &error);
                    }
                    if SILENT_IN_A_ROW_MAX <= self.silent_in_a_row {
                        self.give_up(task, &error);
                    }
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    fn next_task(&mut self, book: &Book) -> Result<Option<(Task, u32)>, StoreFault> {
        for _ in 0..ROWS_AT_ONCE {
            if let Some(next) = self.left.pop_front() {
                return Ok(Some(next));
            }
            self.next = match self.next {
                Next::Batches(0) => Next::Blocks(None),
                Next::Batches(above) => {
                    let batch = above.saturating_sub(1);
                    let txs = book.compared(batch)?.into_iter();
                    self.left.extend(txs.map(|tx| (Task::Tx { batch, tx }, 0)));
                    Next::Batches(batch)
                }
                Next::Blocks(before) => {
                    let (blocks, last) = book.standing_blocks(before, BLOCKS_AT_ONCE)?;
                    self.left
                        .extend(blocks.into_iter().map(|block| (Task::Block(block), 0)));
                    last.map_or(Next::Survey, |last| Next::Blocks(Some(last)))
                }
                Next::Survey => {
                    self.left.push_back((Task::Survey, 0));
                    Next::Nothing
                }
                Next::Nothing => return Ok(None),
            };
        }
        Ok(None)
    }

    /// True, unless the earlier one counted less than is taken for compared by it: then it was none of everything, and all begins
    /// anew without it.
    fn ended(&mut self, book: &Book, wallet: &impl Wallet) -> Result<bool, StoreFault> {
        if self.next != Next::Nothing {
            return Ok(false);
        }
        let is_whole = |it: Whole| self.again.0 <= it.txs && self.again.1 <= it.blocks;
        if self.before.is_none_or(is_whole) {
            return Ok(true);
        }
        *self = Self::new(book, wallet, None)?;
        Ok(false)
    }

    async fn compare(
        &mut self,
        book: &Book,
        wallet: &impl Wallet,
        task: Task,
    ) -> Result<Told, StoreFault> {
        match task {
            Task::Tx { batch, tx } => match book.tx(batch, tx)? {
                Some(row) => self.tx(book, wallet, &row).await,
                None => Ok(Told::Proved),
            },
            Task::Block(block) => Ok(self.block(wallet, block).await),
            Task::Survey => self.survey(book, wallet).await,
        }
    }

    async fn tx(
        &mut self,
        book: &Book,
        wallet: &impl Wallet,
        row: &TxRow,
    ) -> Result<Told, StoreFault> {
        let is_again = row.state.is_end() && self.was_compared(row.last);
        let told = if is_again {
            self.proof(wallet, row).await
        } else {
            None
        };
        let told = match told {
            Some(told) => told,
            None => self.look(book, wallet, row).await?,
        };
        if let Told::Proved | Told::Asked = told {
            self.txs = self.txs.saturating_add(1);
            self.again.0 = self.again.0.saturating_add(u32::from(is_again));
        }
        Ok(told)
    }

    fn was_compared(&self, at: At) -> bool {
        self.before.is_some_and(|it| at.position <= it.position)
    }

    /// What was compared and ended before, by its block; none: it has to be looked for.
    async fn proof(&mut self, wallet: &impl Wallet, row: &TxRow) -> Option<Told> {
        let is_below = 0 < row.height && self.proved >= Some(row.height);
        if row.state == TxState::Cancelled {
            // Which transaction used up a nonce, and where, not every node tells: of these the height may never have been compared.
            let is_told = matches!(self.comparison.own, Account::Script(_));
            return (is_below && is_told).then_some(Told::Proved);
        }
        if is_below {
            return Some(Told::Proved);
        }
        match wallet.block(row.block?).await {
            Ok(found) if found == Some(row.height) => {
                self.proved = found;
                Some(Told::Asked)
            }
            Ok(_) => None,
            Err(error) => Some(Told::Silent(error)),
        }
    }

    async fn look(
        &mut self,
        book: &Book,
        wallet: &impl Wallet,
        row: &TxRow,
    ) -> Result<Told, StoreFault> {
        let watched = Watched {
            versions: book.versions(row)?,
            spends: row.spends.clone(),
        };
        let sight = match book.explained(wallet.look(&watched).await)? {
            Ok(sight) => sight,
            Err(error) => return Ok(Told::Silent(error)),
        };
        let pays = book.lines_of(row)?;
        for (txid, raw) in &watched.versions {
            match wallet.payments(raw) {
                Ok(paid) => {
                    let of = self.comparison.of_version(row, *txid, &pays, &paid);
                    self.found.extend(of);
                }
                Err(error) => return Ok(Told::Silent(error)),
            }
        }
        self.found.extend(self.comparison.of_tx(row, &sight));
        Ok(Told::Asked)
    }

    async fn block(&mut self, wallet: &impl Wallet, block: Standing) -> Told {
        let is_again = self.was_compared(block.said);
        // An uncle stands by a block above it that names it.
        let is_below = is_again && self.proved >= Some(block.height.saturating_add(UNCLE_REACH));
        if !is_below {
            match wallet.our_block(block.hash, block.height).await {
                Ok(found) => match self.comparison.of_block(&block, found) {
                    OfBlock::Same => {}
                    OfBlock::Differs(differs) => {
                        self.found.insert(differs);
                    }
                    // It counts as one that was not compared.
                    OfBlock::Open(open) => {
                        self.open.push(open);
                        self.open_value = self.open_value.saturating_add(block.value);
                        return Told::Asked;
                    }
                },
                Err(error) => return Told::Silent(error),
            }
        }
        self.blocks = self.blocks.saturating_add(1);
        self.again.1 = self.again.1.saturating_add(u32::from(is_again));
        if is_below { Told::Proved } else { Told::Asked }
    }

    async fn survey(&mut self, book: &Book, wallet: &impl Wallet) -> Result<Told, StoreFault> {
        let is_old = self.asked.is_some();
        let asked = match self.asked.take() {
            Some(asked) => asked,
            None => book.asked()?,
        };
        let survey = match wallet.survey(&asked).await {
            Ok(Surveyed::Reading(_)) => {
                self.asked = Some(asked);
                return Ok(Told::More);
            }
            // What the ledger named while blocks were read is no stranger's.
            Ok(Surveyed::Done(survey))
                if is_old && !self.is_fresh && !survey.foreign.is_empty() =>
            {
                self.is_fresh = true;
                return Ok(Told::More);
            }
            Ok(Surveyed::Done(survey)) => survey,
            Err(error) => return Ok(Told::Silent(error)),
        };
        // The chain may have paid what signed payments hold.
        self.owed = book.owed_in_all()?.saturating_sub(book.under_way()?);
        self.found.extend(
            self.comparison
                .of_wallet(&survey, self.owed, self.open_value),
        );
        self.survey = Some(survey);
        Ok(Told::Asked)
    }

    /// The others of its kind are not asked for any more.
    fn give_up(&mut self, task: Task, error: &WalletError) {
        self.silent_in_a_row = 0;
        self.left.clear();
        let (what, next) = match task {
            Task::Tx { batch, .. } => {
                let below = format!("other transactions of batch {batch}, and of those before");
                (below, Next::Blocks(None))
            }
            Task::Block(Standing { height, .. }) => {
                let before = format!("other blocks named before {height}");
                (before, Next::Survey)
            }
            Task::Survey => return,
        };
        self.note_silence(&what, error);
        self.next = next;
    }

    fn note_silence(&mut self, what: &str, error: &WalletError) {
        self.silences = self.silences.saturating_add(1);
        if self.silent.len() < SILENT_MAX {
            self.silent
                .push(format!("{what}: could not be compared: {error}"));
        }
    }
}

fn named(task: Task) -> String {
    match task {
        Task::Tx { batch, tx } => format!("batch {batch} tx {tx}"),
        Task::Block(block) => format!("block {}", block.height),
        Task::Survey => "the wallet".to_owned(),
    }
}
