//! What the ledger says of a wallet, compared with what its chain shows: a pure function of both, and only the differences.
//!
//! What the paymaster has yet to say is none: a transaction that is sent and not seen, more confirmations. What the chain does not
//! tell is none either, and is not compared. A sentence has no depth and no time in it: the same difference is the same words
//! another night, and what people resumed the wallet after does not halt it again (`known`).

mod known;
mod run;

use std::fmt;

use orebook_replay::folds::money::payouts::{TxRow, TxState};
use orebook_schema::{Account, Hash};

use crate::survey::{Foreign, Survey};
use crate::wallet::{Pay, Sight};

pub use self::known::{Known, REPORT_BYTES_MAX, report};
pub use self::run::{Run, Whole};

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

    /// A confirmed block of ours; `found` is its height on the best chain, none if it does not stand there.
    #[must_use]
    pub fn of_block(&self, hash: Hash, height: u64, found: Option<u64>) -> Option<Difference> {
        let says = match found {
            Some(found) if found == height => return None,
            Some(found) => format!("has the height {height} here, and {found} on the chain"),
            None => "is confirmed here, and does not stand on the best chain".to_owned(),
        };
        let what = format!("block {height} {}", self.shown(hash));
        Some(Difference { what, says })
    }

    /// What left the wallet and no event names, and a wallet that has less than is owed. `owed`: what accounts have available and
    /// reserved, base units.
    #[must_use]
    pub fn of_wallet(&self, survey: &Survey, owed: u128) -> Vec<Difference> {
        let mut found: Vec<Difference> = survey
            .foreign
            .iter()
            .map(|one| self.of_foreign(one))
            .collect();
        if survey.balance < owed {
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
