//! What the ledger says of a wallet, compared with what its chain shows: a pure function of both, and only the differences.
//!
//! What the paymaster has yet to say is none: a transaction that is sent and not seen, more confirmations. A block that lost its place is
//! open, and none either, as long as the settler may not say that it is orphaned. What the chain does not
//! tell is none either, and is not compared. A sentence has no depth and no time in it: the same difference is the same words
//! another night, and what people resumed the wallet after does not halt it again (`known`).

mod known;
mod run;

use std::fmt;

use orebook_chain::eth::UNCLE_DEPTH;
use orebook_replay::folds::money::payouts::{TxRow, TxState};
use orebook_schema::{Account, Hash};

use crate::book::Standing;
use crate::survey::{Foreign, Survey};
use crate::wallet::{Found, Pay, Sight};

pub use self::known::{Known, REPORT_BYTES_MAX, report};
pub use self::run::{Run, Whole};

/// So far above a block may stand one that names it as an uncle, and the first after these (money rules, 5.9).
const UNCLE_REACH: u64 = UNCLE_DEPTH + 1;

/// How a sentence ends that is about a spend which no event names.
const NO_EVENT: &str = "spends the wallet's coins, and no event names it";

/// One thing that ledger and chain say differently.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Of what: a batch's transaction, a block, the wallet.
    pub what: String,
    /// What the ledger says of it, and what the chain shows.
    pub says: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.says)
    }
}

/// Whether a transaction's fate on the chain can be compared: it was signed, and the ledger says how it ended, or that it is paid.
/// What is under way is followed every few seconds, and what the paymaster has yet to say of it is no difference.
#[must_use]
pub fn is_compared(row: &TxRow) -> bool {
    let is_told = row.state.is_end() || row.state == TxState::Confirmed;
    !row.txids.is_empty() && is_told
}

/// Blocks after which a thing that the settler may say is final and read here, at the latest. It looks every few seconds, and a minute
/// is much for the rest: four or five blocks of the fastest chain. Blocks come in bursts, so it is more than twice that.
pub const SAID_WITHIN: u64 = 12;

/// Whether a block of this height that is not on the best chain any more may still be waited for: the settler is not yet to say that it is
/// orphaned (money rules, 5.2), or was to say so a moment ago. A chain that ends far below the block's height is none that it waits for.
/// `reach`: blocks that may still name it as an uncle, and the first after them (5.9); 0 where there are no uncles.
#[must_use]
pub fn is_open(height: u64, tip: u64, reach: u64, orphan_depth: u32) -> bool {
    let depth = reach.saturating_add(orphan_depth.into());
    let said_at = height.saturating_add(depth).saturating_add(SAID_WITHIN);
    tip < said_at && height <= tip.saturating_add(SAID_WITHIN)
}

/// What the chain shows of a confirmed block of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfBlock {
    /// What the ledger says.
    Same,
    /// It lost its place, and what became of it the settler has yet to say: no difference, and not the same either.
    Open(Difference),
    /// Something else.
    Differs(Difference),
}

/// Compares, for one wallet.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Where the wallet's change goes. It tells how the chain's programs show names: a script's backwards.
    pub own: Account,
}

impl Comparison {
    /// What the chain shows of a transaction that is not what the ledger says of it.
    #[must_use]
    pub fn of_tx(&self, row: &TxRow, sight: &Sight) -> Option<Difference> {
        let is = format!("is {} here", row.state.name());
        let says = match (row.state, sight) {
            _ if !is_compared(row) => return None,
            (TxState::Cancelled, Sight::Nowhere) => {
                format!(
                    "{is}, and what it spends is not spent on the chain: whoever has it can still send it"
                )
            }
            (_, Sight::Nowhere) => format!("{is}, and no node knows it"),
            (_, Sight::Pending { txid }) => {
                format!("{is}, and {} waits in a memory pool", self.shown(*txid))
            }
            (TxState::Cancelled, Sight::Mined { txid, height, .. }) => {
                format!("{is}, and {} is in block {height}", self.shown(*txid))
            }
            (TxState::Cancelled, Sight::Conflict { by, height, .. }) => {
                // Where the chain did not name it, the ledger has a name of its own for it.
                let is_other = |said: Hash| said != *by && *by != Hash::ZERO && !names_itself(row);
                let is_elsewhere = row.height != *height && row.height != 0 && *height != 0;
                match row.txid.filter(|said| is_other(*said)) {
                    Some(said) => format!(
                        "{is} since {} spent the same, and on the chain {} did",
                        self.shown(said),
                        self.shown(*by)
                    ),
                    None if is_elsewhere => format!(
                        "{is} since the same was spent at height {}, and on the chain at {height}",
                        row.height
                    ),
                    None => return None,
                }
            }
            (_, Sight::Conflict { by, .. }) => {
                format!("{is}, and {} spent the same on the chain", self.named(*by))
            }
            (
                state,
                Sight::Mined {
                    txid,
                    height,
                    block,
                    paid,
                    fee,
                    ..
                },
            ) => {
                if *paid != (state != TxState::Failed) {
                    let did = if *paid { "paid" } else { "did nothing" };
                    format!("{is}, and it {did} in block {height}")
                } else if state == TxState::Confirmed {
                    // Another version, or another block, is the paymaster's to say when it is final.
                    return None;
                } else if row.txid != Some(*txid) {
                    let said = row.txid.unwrap_or(Hash::ZERO);
                    format!(
                        "{is} as {}, and {} is in block {height}",
                        self.shown(said),
                        self.shown(*txid)
                    )
                } else if row.block != Some(*block) {
                    format!("{is} in another block than {height} {}", self.shown(*block))
                } else if row.height != *height {
                    format!(
                        "{is} at height {}, and at {height} on the chain",
                        row.height
                    )
                } else if row.fee != *fee {
                    format!("cost {} here, and {fee} on the chain", row.fee)
                } else {
                    return None;
                }
            }
        };
        let what = format!("batch {} tx {}", row.batch, row.tx);
        Some(Difference { what, says })
    }

    /// Lines that a signed version does not pay as they stand, and payments of it that are no line's. `pays`: the lines of the
    /// transaction, in their order; `paid`: what the version pays.
    #[must_use]
    pub fn of_version(
        &self,
        row: &TxRow,
        txid: Hash,
        pays: &[(Account, Pay)],
        paid: &[Pay],
    ) -> Vec<Difference> {
        let mut left = paid.to_vec();
        let mut found = Vec::new();
        let mut say = |what: String, says: String| found.push(Difference { what, says });
        for (account, pay) in pays {
            let what = || format!("batch {} tx {} {account}", row.batch, row.tx);
            let of = self.shown(txid);
            if let Some(at) = left.iter().position(|one| one == pay) {
                left.swap_remove(at);
            } else if let Some(at) = left
                .iter()
                .position(|one| one.address == pay.address && one.address != self.own)
            {
                let amount = left.swap_remove(at).amount;
                say(
                    what(),
                    format!(
                        "its line is {} base units, and {of} pays {amount}",
                        pay.amount
                    ),
                );
            } else {
                say(
                    what(),
                    format!(
                        "its line is {} base units, and {of} pays it nothing",
                        pay.amount
                    ),
                );
            }
        }
        for one in left.iter().filter(|one| one.address != self.own) {
            let what = format!("batch {} tx {}", row.batch, row.tx);
            let of = self.shown(txid);
            say(
                what,
                format!(
                    "{of} pays {} base units to {}, and no line does",
                    one.amount, one.address
                ),
            );
        }
        found
    }

    /// A confirmed block of ours, and where it was found.
    #[must_use]
    pub fn of_block(&self, block: &Standing, found: Found) -> OfBlock {
        let height = block.height;
        let differs = |says| {
            let what = format!("block {height} {}", self.shown(block.hash));
            Difference { what, says }
        };
        match found {
            Found::At(found) if found == height => OfBlock::Same,
            Found::At(found) => OfBlock::Differs(differs(format!(
                "has the height {height} here, and {found} on the chain"
            ))),
            Found::Gone { tip } => {
                let gone =
                    differs("is confirmed here, and does not stand on the best chain".to_owned());
                let reach = match self.own {
                    Account::Evm(_) => UNCLE_REACH,
                    _ => 0,
                };
                if is_open(height, tip, reach, block.orphan_depth) {
                    OfBlock::Open(gone)
                } else {
                    OfBlock::Differs(gone)
                }
            }
        }
    }

    /// What left the wallet and no event names, and a wallet that has less than is owed. `owed`: what accounts have available and
    /// reserved, base units; `open`: how much of that blocks paid that lost their place and may yet be orphaned.
    #[must_use]
    pub fn of_wallet(&self, survey: &Survey, owed: u128, open: u128) -> Vec<Difference> {
        let mut found: Vec<Difference> = survey
            .foreign
            .iter()
            .map(|one| self.of_foreign(one))
            .collect();
        if survey.balance.saturating_add(open) < owed {
            found.push(Difference {
                what: "the wallet".to_owned(),
                says: format!(
                    "has {} base units on the chain, and {owed} are owed",
                    survey.balance
                ),
            });
        }
        found
    }

    fn of_foreign(&self, foreign: &Foreign) -> Difference {
        let what = match (foreign.nonce, foreign.txid) {
            (Some(nonce), _) => format!("nonce {nonce}"),
            (None, Some(txid)) => format!("transaction {}", self.shown(txid)),
            (None, None) => "a transaction".to_owned(),
        };
        let which = match (foreign.nonce, foreign.txid) {
            (Some(_), Some(txid)) => format!("transaction {} ", self.shown(txid)),
            (Some(_), None) => "a transaction ".to_owned(),
            (None, _) => String::new(),
        };
        let place = match foreign.height {
            Some(height) => format!("in block {height} "),
            None => String::new(),
        };
        let says = format!("{which}{place}{NO_EVENT}");
        Difference { what, says }
    }

    fn named(&self, by: Hash) -> String {
        if by == Hash::ZERO {
            "another transaction".to_owned()
        } else {
            self.shown(by)
        }
    }

    /// A name as the chain's programs show it.
    fn shown(&self, hash: Hash) -> String {
        match self.own {
            Account::Script(_) => orebook_chain::hash::shown(hash),
            Account::Evm(_) | Account::Name(_) => hash.to_string(),
        }
    }
}

/// Whether what spent the same was never named by the chain: the ledger named it by what was spent.
fn names_itself(row: &TxRow) -> bool {
    row.txid == Some(Hash::of(&[&row.spends]))
}
