//! Who is paid how much by the next batch: a pure function of the ledger's rows and of what the wallet says it has.
//!
//! A line pays all whole base units of an account's available balance (money rules, 8.2). The network fee depends on the
//! lines and, where miners bear it, the lines on the fee: a [`Draft`] is asked for its payments, told the fee, and says
//! whether it is done. Which blocks a batch cites says [`cited`].

use std::collections::BTreeSet;

use orebook_schema::payout::{BATCH_BLOCKS_MAX, BatchLine};
use orebook_schema::policy::NetworkFees;
use orebook_schema::{Account, Hash};

use crate::wallet::Pay;

/// Lines of a batch at most, unless the configuration says less; the format allows 2,000. Who is left out has the next one.
pub const LINES_MAX: usize = 1_000;

/// What an account could be paid: the ledger's rows say that it reaches its threshold or asked for payment at once (8.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Who.
    pub account: Account,
    /// Its address in force.
    pub address: Account,
    /// Whole base units that are available.
    pub amount: u128,
}

/// What bounds a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Lines at most.
    pub lines_max: usize,
    /// Base units of all lines at most.
    pub batch_max: u128,
    /// Base units that may still be paid today.
    pub day_left: u128,
    /// Base units that the wallet can spend now.
    pub spendable: u128,
    /// Smallest payment that the chain relays, base units.
    pub dust: u128,
    /// Who bears the network fee.
    pub fees: NetworkFees,
}

/// A batch to be proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its lines, accounts ascending.
    pub lines: Vec<BatchLine>,
    /// Σ of their amounts, base units.
    pub total: u128,
    /// Expected network fee of all transactions, base units.
    pub fee: u128,
}

/// Why nobody is paid now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nobody {
    /// No balance reaches its threshold.
    #[error("nobody's balance reaches its threshold")]
    Due,
    /// Every line alone is above the limit of a batch.
    #[error("each balance alone is above the limit of a batch")]
    BatchLimit,
    /// Today's limit is used up.
    #[error("today's limit leaves no room for a line")]
    DayLimit,
    /// The wallet has not enough.
    #[error("the wallet cannot spend enough for a line and its fee")]
    Funds,
    /// The network fee would leave every line below the dust limit.
    #[error("the network fee would leave every line below the chain's dust limit")]
    Fee,
}

/// What a fee makes of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is done.
    Done(Plan),
    /// Lines were left out: the fee of the others is asked again.
    Again(Draft),
    /// Nobody is left.
    Nobody(Nobody),
}

/// Chosen lines whose fee is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    bounds: Bounds,
    /// Accounts ascending; of each the address and its amount.
    lines: Vec<(Account, Account, u128)>,
}

impl Draft {
    /// Chooses: largest first, accounts ascending among equals, each that still fits within every bound.
    ///
    /// # Errors
    /// [`Nobody`].
    pub fn choose(owed: Vec<Owed>, bounds: Bounds) -> Result<Self, Nobody> {
        let mut due: Vec<_> = owed
            .into_iter()
            .filter(|one| bounds.dust.max(1) <= one.amount)
            .map(|one| (one.account, one.address, one.amount))
            .collect();
        if due.is_empty() {
            return Err(Nobody::Due);
        }
        due.sort_unstable_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
        let draft = Self {
            bounds,
            lines: fitting(due, bounds.room(), bounds.lines_max),
        };
        if draft.lines.is_empty() {
            return Err(bounds.narrowest());
        }
        Ok(draft)
    }

    /// What its lines would pay without any fee: what the wallet is asked the fee of.
    #[must_use]
    pub fn pays(&self) -> Vec<Pay> {
        let pay = |(_, address, amount): &(Account, Account, u128)| Pay {
            address: address.clone(),
            amount: *amount,
        };
        self.lines.iter().map(pay).collect()
    }

    /// What a fee, base units of the whole batch, makes of it.
    #[must_use]
    pub fn with_fee(mut self, fee: u128) -> Told {
        let before = self.lines.len();
        let share = self.leave_out_dust(fee);
        if self.lines.is_empty() {
            return Told::Nobody(Nobody::Fee);
        }
        if self.lines.len() < before {
            return Told::Again(self);
        }
        let total = self.total();
        let paid = u128::try_from(self.lines.len())
            .unwrap_or(u128::MAX)
            .saturating_mul(share);
        let needed = total.saturating_sub(paid).saturating_add(fee);
        if self.bounds.spendable < needed {
            let room = self.bounds.spendable.saturating_sub(fee);
            return self.within(room);
        }
        let line = |(account, address, amount)| BatchLine {
            account,
            address,
            amount,
            fee: share,
        };
        Told::Done(Plan {
            lines: self.lines.into_iter().map(line).collect(),
            total,
            fee,
        })
    }

    /// Each line's part of the fee, when no line falls below the dust limit by it any more.
    fn leave_out_dust(&mut self, fee: u128) -> u128 {
        if self.bounds.fees == NetworkFees::Pool {
            return 0;
        }
        let dust = self.bounds.dust.max(1);
        loop {
            let Ok(count @ 1..) = u128::try_from(self.lines.len()) else {
                return 0;
            };
            let share = fee / count;
            let least = share.saturating_add(dust);
            let before = self.lines.len();
            self.lines.retain(|(_, _, amount)| least <= *amount);
            if self.lines.len() == before {
                return share;
            }
        }
    }

    /// The lines that fit into less; at least one is left out.
    fn within(mut self, room: u128) -> Told {
        let before = self.lines.len();
        self.lines
            .sort_unstable_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
        let mut lines = fitting(self.lines, room, self.bounds.lines_max);
        if lines.len() == before {
            // They fit without the fee that miners bear, and not with what of it the pool does: the smallest waits.
            let smallest = (0..lines.len()).min_by_key(|at| lines.get(*at).map(|line| line.2));
            if let Some(at) = smallest {
                lines.remove(at);
            }
        }
        if lines.is_empty() {
            return Told::Nobody(Nobody::Funds);
        }
        self.lines = lines;
        Told::Again(self)
    }

    fn total(&self) -> u128 {
        let amounts = self.lines.iter().map(|(_, _, amount)| *amount);
        amounts.fold(0, u128::saturating_add)
    }
}

impl Bounds {
    fn room(&self) -> u128 {
        self.batch_max.min(self.day_left).min(self.spendable)
    }

    /// Why not even the smallest line fits.
    fn narrowest(&self) -> Nobody {
        if self.spendable == self.room() {
            Nobody::Funds
        } else if self.day_left == self.room() {
            Nobody::DayLimit
        } else {
            Nobody::BatchLimit
        }
    }
}

/// Of lines in their order those that still fit, accounts ascending.
fn fitting(
    lines: Vec<(Account, Account, u128)>,
    room: u128,
    lines_max: usize,
) -> Vec<(Account, Account, u128)> {
    let mut left = room;
    let mut kept = Vec::new();
    for line in lines {
        if lines_max <= kept.len() {
            break;
        }
        if let Some(rest) = left.checked_sub(line.2) {
            left = rest;
            kept.push(line);
        }
    }
    kept.sort_unstable();
    kept
}

/// A block whose credits are available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// Its hash.
    pub hash: Hash,
    /// Its height.
    pub height: u64,
    /// Whether it was confirmed after the wallet's last batch of which nothing was cancelled was proposed.
    pub is_new: bool,
}

/// The blocks that a batch pays of, ascending: of `blocks`, newest first, at most [`BATCH_BLOCKS_MAX`].
///
/// Rule 8.4 cancels an unsigned batch if a block that it cites stops being confirmed, so a batch has to cite whatever may
/// still do so. That is what was confirmed since the last batch, for nobody was asked about it yet; since the last one *of
/// which nothing was cancelled*, for a cancelled batch's money is paid by the next; and, also of those before, what has fewer
/// than twice the confirmations that it needed (`depth`), for accounts below their thresholds then are paid now. What is deeper
/// and is orphaned all the same is rule 5.4's: the balance goes below zero. Citing too much costs a batch that is proposed again.
#[must_use]
pub fn cited(blocks: &[Confirmed], height: u64, depth: u64) -> Vec<Hash> {
    let lowest = height.saturating_sub(depth.saturating_mul(2));
    let chosen = blocks
        .iter()
        .filter(|block| block.is_new || lowest < block.height)
        .take(usize::from(BATCH_BLOCKS_MAX))
        .map(|block| block.hash);
    chosen.collect::<BTreeSet<Hash>>().into_iter().collect()
}
