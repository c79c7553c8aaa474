//! The hot wallet, its transactions and what left it, against its chain.

use std::sync::Arc;

use orebook::config::{Config, base_units};
use orebook_paymaster::book::Book;
use orebook_paymaster::reconcile::Run;
use orebook_replay::folds::money::payouts::TxState;
use orebook_replay::rows::StoreFault;
use tokio::runtime::Handle;

use super::{Difference, failure};
use crate::cat::Object;
use crate::explain::Replayed;
use crate::up::{self, Chain, Place};
use crate::{Failure, say};

/// Things compared between two looks at what is left.
const STEP: usize = 256;

/// What a comparison of a wallet came to.
pub(super) struct Compared {
    /// What is open among them.
    pub(super) differences: Vec<Difference>,
    /// What the chain does not tell, in words, and how much of it there is.
    pub(super) silent: Vec<String>,
    pub(super) silences: u32,
    /// What is no difference and an operator should know.
    pub(super) notes: Vec<String>,
    expected: u128,
    found: Option<u128>,
    owed: u128,
    since: Option<u64>,
    txs: u32,
    blocks: u32,
}

impl Compared {
    pub(super) fn json(&self) -> String {
        let number = |value: Option<u64>| value.map_or("null".to_owned(), |it| it.to_string());
        let mut object = Object::new();
        object
            .text("expected", self.expected.to_string())
            .raw(
                "found",
                self.found
                    .map_or("null".to_owned(), |it| format!("\"{it}\"")),
            )
            .text("owed", self.owed.to_string())
            .raw("transactions", self.txs)
            .raw("blocks", self.blocks)
            .raw("spends_since_height", number(self.since));
        object.end()
    }

    pub(super) fn words(&self) -> String {
        let found = self.found.map_or("?".to_owned(), |it| it.to_string());
        format!(
            "the wallet: {} transactions and {} blocks compared; it has {found} base units, by the books {}, and {} are owed",
            self.txs, self.blocks, self.expected, self.owed
        )
    }
}

/// Compares the configured wallet, or the development chain's; none if there is none.
pub(super) fn compare(
    replayed: &Replayed,
    config: &Config,
    place: &Place,
    chain: &Chain,
    runtime: &Handle,
) -> Result<Option<Compared>, Failure> {
    let said = config.wallet.clone().unwrap_or_default();
    if config.wallet.is_none() && chain.dev.is_none() {
        say("note: the configuration has no [wallet]: it was not compared");
        return Ok(None);
    }
    let Some(wallet) = up::hot_wallet(config, &said, place, chain.dev.clone())? else {
        say("note: there is no wallet.key in the folder of keys: the wallet was not compared");
        return Ok(None);
    };
    let book = Book::new(Arc::clone(&replayed.money) as _, said.number);
    // By hand each thing is asked for, whatever an earlier one found.
    let mut run = Run::new(&book, &wallet, None).map_err(failure)?;
    let done: Result<(), StoreFault> = runtime.block_on(async {
        while !run.step(&book, &wallet, STEP).await? {}
        Ok(())
    });
    done.map_err(failure)?;
    let expected = book.expected().map_err(failure)?;
    let found = run.survey.as_ref().map(|survey| survey.balance);
    let least = base_units("balance_min", said.balance_min.as_deref()).map_err(Failure::new)?;
    let mut notes = waiting(replayed, &book, said.stuck_ms).map_err(failure)?;
    if let Some(found) = found {
        if found < expected {
            notes.push(format!(
                "the wallet has {found} base units, and {expected} by the books: coins left it in another way, or came in nowhere"
            ));
        }
        if let Some(least) = least.filter(|least| found < *least) {
            notes.push(format!(
                "the wallet has {found} base units, less than wallet.balance_min, {least}"
            ));
        }
    }
    let found_all: Vec<_> = run.found.into_iter().collect();
    let known = book.known().map_err(failure)?;
    let new = known.new_ones(&found_all);
    let differences = found_all.iter().map(|one| Difference {
        is_known: !new.contains(&one),
        ..Difference::new("wallet", one.what.as_str(), one.says.as_str())
    });
    let open = run.open.iter().map(|one| Difference {
        is_open: true,
        ..Difference::new("wallet", one.what.as_str(), one.says.as_str())
    });
    Ok(Some(Compared {
        differences: differences.chain(open).collect(),
        silent: run.silent,
        silences: run.silences,
        notes,
        expected,
        found,
        owed: run.owed,
        since: run.survey.and_then(|survey| survey.since),
        txs: run.txs,
        blocks: run.blocks,
    }))
}

/// Transactions that are signed and not in a block for longer than a payout may wait.
fn waiting(replayed: &Replayed, book: &Book, stuck_ms: u64) -> Result<Vec<String>, StoreFault> {
    let mut notes = Vec::new();
    for tx in book.live()? {
        if matches!(tx.state, TxState::Unsigned | TxState::Confirmed) {
            continue;
        }
        let Some((signed, _)) = book.newest_signed(&tx)? else {
            continue;
        };
        let waits_ms = replayed.ledger_time.saturating_sub(signed);
        if stuck_ms <= waits_ms {
            let (batch, number, state) = (tx.batch, tx.tx, tx.state.name());
            notes.push(format!(
                "batch {batch} tx {number} is {state}, and was signed {} s ago: see docs/runbooks/payout-stuck.md",
                waits_ms / 1_000
            ));
        }
    }
    Ok(notes)
}
