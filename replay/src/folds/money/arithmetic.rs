//! How a block was divided, step by step (money rules, section 4): what `orebook explain` prints. The same functions divided it.

use orebook_schema::policy::{PotRules, Scheme};
use orebook_schema::{Account, At};

use crate::rows::{StoreFault, View};

use super::SUB_UNITS;
use super::read::{credits_of_block, postings_of_block};
use super::split::{Split, all_to_reserve, split, window_work};
use super::tables::{BlockRow, CreditRow, PostingRow, Status};
use super::window::policy;

/// A block's division at the value of its last obeyed status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    /// That status: its value is G (4.1).
    pub status: Status,
    /// Rules of the finding share's pot in its job's policy, and the policy's place; none if all is the reserve's.
    pub rules: Option<(At, PotRules)>,
    /// N of a PPLNS window (3.1).
    pub window: Option<u128>,
    /// T: transaction fees that go to `fee`, sub-units (4.2).
    pub kept: u128,
    /// F: the pool's part, sub-units (4.4).
    pub pool: u128,
    /// R: what accounts share, sub-units (4.4).
    pub rest: u128,
    /// W: Σ of the weights (3.2).
    pub weights: u128,
    /// All of it; its parts are in the order of `credits`.
    pub split: Split,
    /// What each account has of it, ascending.
    pub credits: Vec<CreditRow>,
}

/// How a block was divided; none before its first obeyed status.
///
/// # Errors
/// [`StoreFault`].
pub fn of_block(view: &dyn View, block: &BlockRow) -> Result<Option<Arithmetic>, StoreFault> {
    let Some(status) = block.status else {
        return Ok(None);
    };
    let credits = credits_of_block(view, block.at)?;
    let rules = rules_of(view, block)?;
    let Some((at, rules)) = rules else {
        return Ok(Some(Arithmetic {
            status,
            rules: None,
            window: None,
            kept: 0,
            pool: 0,
            rest: 0,
            weights: 0,
            split: all_to_reserve(status.value),
            credits,
        }));
    };
    let weights: Vec<u128> = credits.iter().map(|credit| credit.weight).collect();
    let split = split(status.value, status.fees, &rules, &weights);
    let kept = if rules.keep_tx_fees {
        status.fees * SUB_UNITS
    } else {
        0
    };
    let work = block.finding.as_ref().map(|finding| finding.network_work);
    let work = work.filter(|_| rules.scheme == Scheme::Pplns);
    Ok(Some(Arithmetic {
        status,
        rules: Some((at, rules)),
        window: work.map(|work| window_work(rules.n_ppm, work)),
        kept,
        pool: split.fee - kept,
        rest: split.whole - split.fee - split.bonus,
        weights: weights.iter().sum(),
        split,
        credits,
    }))
}

/// Rules that a block is divided by, as its settlement asked for them.
fn rules_of(view: &dyn View, block: &BlockRow) -> Result<Option<(At, PotRules)>, StoreFault> {
    let Some((finding, at)) = block
        .finding
        .as_ref()
        .and_then(|finding| Some((finding, finding.policy?)))
    else {
        return Ok(None);
    };
    let policy = policy(view, at)?;
    let rules = policy.and_then(|policy| policy.pot(finding.pot).copied());
    let rules = rules.filter(|rules| !rules.scheme.is_per_share());
    Ok(rules.map(|rules| (at, rules)))
}

/// Postings of a block that stand and touch an account, in the order of the events that made them.
///
/// # Errors
/// [`StoreFault`].
pub fn postings_of_account(
    view: &dyn View,
    block: &BlockRow,
    account: &Account,
) -> Result<Vec<PostingRow>, StoreFault> {
    let mut postings = postings_of_block(view, block)?;
    let is_of = |book: &super::Book| book.account() == Some(account);
    postings.retain(|posting| is_of(&posting.debit) || is_of(&posting.credit));
    Ok(postings)
}
