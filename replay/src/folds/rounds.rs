//! Rounds: per pot the effort of the running one and of each that a block ended, and what chance predicts.
//!
//! A round goes from after the pot's previous block, whatever became of that, up to and including the finding share (money
//! rules, section 6). Effort is by credit: a stale share adds its `stale_ppm`, a share of a void job nothing; both are
//! counted as shares. A block that no share explains (`block_recovered`) ends no round, since it names no pot; if its
//! `block_found` comes later, that one does. Uncles and orphans count as found: luck is about finding.
//!
//! A void changes no round: they show what gateways accepted (rules 3.3).
//!
//! Besides, per block, what late frames changed: [`late`]. For that it keeps the rows that a window asks for, in `money`'s
//! tables 2 to 5, 40 and 41.

pub mod chance;

pub mod late;

pub mod tally;

use std::ops::ControlFlow;

use orebook_ledger::credit::EFFORT_SCALE;
use orebook_schema::names::Pot;
use orebook_schema::{At, Hash};

use crate::fold::{Backwards, FinalFrame, Fold, FoldStop};
use crate::folds::money::{self, JobRunRow, MovedRow, PolicyRow, VoidOfRow, VoidRow, WorkerRow};
use crate::rows::{self, KeyField, Order, Rows, Span, StoreFault, View};
use crate::{canonical_of, row};

pub use self::tally::Running;
use self::tally::{Ended, advance};

row! {
    /// A round that a block ended. One row a block, for ever.
    pub struct Finished in table 6 {
        key {
            /// Which pot.
            pot: Pot,
            /// Place of the `block_found`.
            at: At,
        }
        value {
            /// The block, header order.
            hash: Hash,
            /// Its height.
            height: u64,
            /// Network work of the finding share's job.
            network_work: u128,
            /// When the round began, milliseconds since 1970.
            since_ms: u64,
            /// When the block was found, milliseconds since 1970: its gateway's time, clamped.
            found_ms: u64,
            /// Accepted shares, the finding one included.
            shares: u64,
            /// Credited work.
            work: u128,
            /// Effort in parts of 10^12.
            effort: u128,
        }
    }
}

row! {
    /// Where the round of a block stands.
    struct ByHash in table 7 {
        key {
            /// The block, header order.
            hash: Hash,
        }
        value {
            /// Which pot.
            pot: u16,
            /// Place of the `block_found`.
            at: At,
        }
    }
}

row! {
    /// A pot's rounds so far.
    pub struct Total in table 8 {
        key {
            /// Which pot.
            pot: Pot,
        }
        value {
            /// Blocks found.
            blocks: u64,
            /// Their efforts' sum in parts of 10^12; saturates.
            effort: u128,
            /// Their credited work.
            work: u128,
            /// Late frames with shares of the pot so far, this round's included.
            late: u64,
        }
    }
}

/// The fold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rounds;

impl Rounds {
    /// Its name.
    pub const NAME: &'static str = "rounds";
}

impl Fold for Rounds {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn version(&self) -> u32 {
        3
    }

    fn apply(
        &mut self,
        frame: &FinalFrame<'_>,
        rows: &mut dyn Rows,
        ledger: &dyn Backwards,
    ) -> Result<(), FoldStop> {
        late::report(frame, rows, ledger)?;
        money::announced(frame, rows, ledger)?;
        advance(frame, rows, &mut |rows, ended| finish(frame, rows, &ended))?;
        Ok(late::note(frame, rows)?)
    }

    fn canonical(&self, table: u8, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreFault> {
        canonical_of!(
            table, key, value;
            Running, WorkerRow, PolicyRow, JobRunRow, MovedRow, VoidRow, VoidOfRow, Finished, ByHash, Total,
            late::LateFrame, late::Due, late::Late, late::LateAccount,
        )
    }
}

fn finish(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    ended: &Ended<'_>,
) -> Result<bool, FoldStop> {
    let (block, round) = (&ended.block, &ended.round);
    let hash = block.found.hash;
    if rows::get::<ByHash>(rows, &ByHash::key_of(&hash))?.is_some() {
        return Ok(false);
    }
    let terms = frame.terms(block.share.job);
    let finished = Finished {
        pot: ended.pot,
        at: block.at,
        hash,
        height: block.found.height,
        network_work: terms.map_or(0, |terms| terms.network_work),
        since_ms: round.since_ms,
        found_ms: ended.time_ms,
        shares: round.shares,
        work: round.work,
        effort: round.effort,
    };
    rows::put(rows, &finished)?;
    let by_hash = ByHash {
        hash,
        pot: ended.pot.0,
        at: block.at,
    };
    rows::put(rows, &by_hash)?;
    let mut total = total(rows, ended.pot)?;
    total.blocks = total.blocks.saturating_add(1);
    total.effort = total.effort.saturating_add(round.effort);
    late::expect(frame, rows, ended, total.work)?;
    total.work = total.work.saturating_add(round.work);
    rows::put(rows, &total)?;
    Ok(true)
}

/// The running round of a pot; none before the pot's first share.
///
/// # Errors
/// [`StoreFault`].
pub fn running(view: &(impl View + ?Sized), pot: Pot) -> Result<Option<Running>, StoreFault> {
    rows::get(view, &Running::key_of(&pot))
}

/// All of a pot's rounds so far; zero before its first block.
///
/// # Errors
/// [`StoreFault`].
pub fn total(view: &(impl View + ?Sized), pot: Pot) -> Result<Total, StoreFault> {
    let found = rows::get(view, &Total::key_of(&pot))?;
    Ok(found.unwrap_or(Total {
        pot,
        blocks: 0,
        effort: 0,
        work: 0,
        late: 0,
    }))
}

/// Finished rounds of a pot, newest first, that stand before `before` (none: from the newest), at most `rows_max`.
///
/// # Errors
/// [`StoreFault`].
pub fn page(
    view: &(impl View + ?Sized),
    pot: Pot,
    before: Option<At>,
    rows_max: usize,
) -> Result<Vec<Finished>, StoreFault> {
    let mut prefix = Vec::new();
    pot.put_key(&mut prefix);
    let span = match before {
        Some(before) => Span::prefix_to(&prefix, Finished::key_of(&pot, &before)),
        None => Span::prefix(&prefix),
    };
    rows::collect(view, &span, Order::Backward, rows_max)
}

/// The round that a block ended.
///
/// # Errors
/// [`StoreFault`].
pub fn of_block(view: &(impl View + ?Sized), hash: &Hash) -> Result<Option<Finished>, StoreFault> {
    let Some(place) = rows::get::<ByHash>(view, &ByHash::key_of(hash))? else {
        return Ok(None);
    };
    rows::get(view, &Finished::key_of(&Pot(place.pot), &place.at))
}

/// Luck over the newest blocks of a pot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Window {
    /// Blocks looked at: fewer than asked for if there are fewer.
    pub blocks: u32,
    /// Σ of their efforts in parts of 10^12.
    pub effort: u128,
}

/// The newest `blocks` finished rounds of a pot, at most [`chance::CHANCE_BLOCKS_MAX`].
///
/// # Errors
/// [`StoreFault`].
pub fn window(view: &(impl View + ?Sized), pot: Pot, blocks: u32) -> Result<Window, StoreFault> {
    let wanted = blocks.min(chance::CHANCE_BLOCKS_MAX);
    let mut found = Window::default();
    if wanted == 0 {
        return Ok(found);
    }
    let mut prefix = Vec::new();
    pot.put_key(&mut prefix);
    rows::scan(
        view,
        &Span::prefix(&prefix),
        Order::Backward,
        |round: Finished| {
            found.blocks += 1;
            found.effort = found.effort.saturating_add(round.effort);
            if found.blocks < wanted {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        },
    )?;
    Ok(found)
}

impl Window {
    /// Σ effort / blocks, in parts of 10^12, rounded down; none without a block.
    #[must_use]
    pub fn mean_effort(&self) -> Option<u128> {
        self.effort.checked_div(u128::from(self.blocks))
    }

    /// Luck = 1 / mean effort, in parts of 10^12; see [`luck`].
    #[must_use]
    pub fn luck(&self) -> Option<u128> {
        luck(self.mean_effort()?)
    }

    /// Probability, in parts of 10^12, of doing worse: of needing more effort for as many blocks.
    #[must_use]
    pub fn chance_of_worse(&self) -> Option<u64> {
        chance::of_doing_worse(self.effort, self.blocks)
    }
}

/// Luck of an effort, 1 / effort, both in parts of 10^12, rounded down; none for no effort at all.
#[must_use]
pub const fn luck(effort: u128) -> Option<u128> {
    // 10^24 fits u128.
    (EFFORT_SCALE * EFFORT_SCALE).checked_div(effort)
}
