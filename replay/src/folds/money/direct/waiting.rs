//! Who waits for a block whose coinbase pays accounts (money rules, 11.5.2): until the block is settled, what it pays is still in
//! balances, and nobody else may pay it.
//!
//! An account waits by its address at the list, not by the one that it has now: else a change of address would pay it twice.

use orebook_schema::coinbase::MinerOutput;
use orebook_schema::{Account, At};

use crate::folds::money::settings::address_before;
use crate::row;
use crate::rows::{Order, Rows, Span, StoreFault, View, collect, delete, get, put};

row! {
    /// A block that pays accounts by its coinbase and is not settled yet.
    pub struct WaitingRow in table 91 {
        key {
            /// Place of the block.
            block: At,
        }
        value {
            /// Positions that its list stands on.
            size: u64,
            /// Ledger time of the last of them, milliseconds since 1970.
            ledger_time: u64,
            /// Scripts of its accounts' outputs, ascending.
            scripts: Vec<Account>,
        }
    }
}

/// A block was found.
pub(super) fn begin(
    block: At,
    size: u64,
    ledger_time: u64,
    outputs: Vec<MinerOutput>,
    rows: &mut dyn Rows,
) -> Result<(), StoreFault> {
    let scripts = outputs.into_iter();
    let mut scripts: Vec<Account> = scripts.map(|one| Account::Script(one.script)).collect();
    scripts.sort();
    scripts.dedup();
    put(
        rows,
        &WaitingRow {
            block,
            size,
            ledger_time,
            scripts,
        },
    )
}

/// A block is settled, or orphaned.
pub(super) fn end(block: At, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let key = WaitingRow::key_of(&block);
    match get::<WaitingRow>(&*rows, &key)? {
        Some(_) => delete::<WaitingRow>(rows, &key),
        None => Ok(()),
    }
}

/// The blocks that accounts wait for, read once for many accounts.
pub(in crate::folds::money) struct Waits {
    blocks: Vec<WaitingRow>,
}

impl Waits {
    pub(in crate::folds::money) fn read(view: &(impl View + ?Sized)) -> Result<Self, StoreFault> {
        let blocks = collect(view, &Span::all(), Order::Forward, usize::MAX)?;
        Ok(Self { blocks })
    }

    /// Whether an account waits for one of them.
    pub(in crate::folds::money) fn has(
        &self,
        view: &(impl View + ?Sized),
        account: &Account,
    ) -> Result<bool, StoreFault> {
        for block in &self.blocks {
            let address = address_before(view, account, block.size, block.ledger_time)?;
            let is_paid = |script: &Account| block.scripts.binary_search(script).is_ok();
            if is_paid(account) || address.as_ref().is_some_and(is_paid) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
