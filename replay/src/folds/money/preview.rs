//! A dry run: how the next block would be divided under a policy that nobody has said yet. Nothing is written; the same
//! functions divide real blocks.

use orebook_schema::names::Pot;
use orebook_schema::policy::{PotRules, Scheme};
use orebook_schema::{Account, At, Policy};

use crate::fold::{Backwards, FoldStop};
use crate::rows::View;

use super::prop;
use super::settings::donation_at;
use super::split::{all_to_reserve, donation, split, window_work};
use super::window::{Walk, Weights};

/// A block that somebody would find now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextBlock {
    /// Positions that the rows stand for; the finding share would come right behind them.
    pub size: u64,
    /// Pot of the finding share.
    pub pot: Pot,
    /// Who finds it.
    pub finder: Account,
    /// What the finding share is credited: of a stale one after `stale_ppm`.
    pub work: u128,
    /// Network work of its job, at least 1.
    pub network_work: u128,
    /// What the chain would pay us, base units, at most [`VALUE_MAX`](crate::folds::obeyed::VALUE_MAX).
    pub value: u128,
    /// Transaction fees therein, base units, at most `value`.
    pub fees: u128,
}

/// What an account would get, sub-units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextPart {
    /// Who.
    pub account: Account,
    /// Its work in the block's window or round.
    pub weight: u128,
    /// Its part of the reward.
    pub amount: u128,
    /// The finder's bonus, not in the amount.
    pub bonus: u128,
    /// What it donates of the amount.
    pub donation: u128,
}

/// How the block would be divided, sub-units. Parts with their bonuses, and the pool's three, add up to the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextSettlement {
    /// All of it.
    pub whole: u128,
    /// By account, ascending.
    pub parts: Vec<NextPart>,
    /// To `fee`.
    pub fee: u128,
    /// To `rounding`.
    pub rounding: u128,
    /// To `reserve`: all of a block whose pot the policy lacks, or pays by share.
    pub reserve: u128,
}

/// Divides the next block under `policy`, with what stands in `view` and `ledger` up to the question's size. Shares before it
/// count by what they were credited under their own policies, as they will. Whether the policy may come into force, a pot's
/// scheme being what it was, is not asked.
///
/// # Errors
/// [`FoldStop`].
pub fn preview(
    view: &dyn View,
    ledger: &dyn Backwards,
    policy: &Policy,
    next: &NextBlock,
) -> Result<NextSettlement, FoldStop> {
    let rules = policy.pot(next.pot);
    let rules = rules.filter(|rules| !rules.scheme.is_per_share());
    let Some(rules) = rules else {
        let split = all_to_reserve(next.value);
        return Ok(NextSettlement {
            whole: split.whole,
            parts: Vec::new(),
            fee: 0,
            rounding: 0,
            reserve: split.reserve,
        });
    };
    let weighed = weigh(view, ledger, rules, next)?;
    let weights: Vec<u128> = weighed.values().copied().collect();
    let split = split(next.value, next.fees, rules, &weights);
    let place = At {
        position: next.size,
        index: 0,
    };
    let mut parts = Vec::new();
    for ((account, weight), amount) in weighed.into_iter().zip(split.parts) {
        let ppm = donation_at(view, &account, place)?;
        parts.push(NextPart {
            weight,
            amount,
            bonus: if account == next.finder {
                split.bonus
            } else {
                0
            },
            donation: donation(amount, ppm),
            account,
        });
    }
    Ok(NextSettlement {
        whole: split.whole,
        parts,
        fee: split.fee,
        rounding: split.rounding,
        reserve: split.reserve,
    })
}

fn weigh(
    view: &dyn View,
    ledger: &dyn Backwards,
    rules: &PotRules,
    next: &NextBlock,
) -> Result<Weights, FoldStop> {
    let finding = (&next.finder, next.work);
    let mut weights = match rules.scheme {
        Scheme::Solo => [(next.finder.clone(), 1)].into(),
        Scheme::Pplns => {
            let n = window_work(rules.n_ppm, next.network_work);
            let mut walk = Walk::new(view, ledger, next.pot, n);
            walk.take(finding.0, finding.1);
            walk.down(next.size)?;
            walk.weights()
        }
        Scheme::Prop => prop::weights_of_next(view, ledger, next.pot, next.size, finding)?,
        Scheme::Pps | Scheme::Fpps => Weights::new(),
    };
    if 0 < rules.bonus_ppm {
        weights.entry(next.finder.clone()).or_insert(0);
    }
    Ok(weights)
}
