//! PROP (money rules, 3.5): a block is its round's. The round is walked like a window, without an N, down to the finding share
//! of the pot's block before; orphans bring their weights to the round that is open then, and take them back if they return
//! in time.

use std::ops::ControlFlow;

use orebook_schema::names::Pot;
use orebook_schema::{Account, At};

use crate::fold::{Backwards, FoldStop, FrameSummary};
use crate::row;
use crate::rows::{Order, Rows, Span, StoreFault, View, collect, delete, get, put, scan};

use super::read::credits_of_block;
use super::tables::{BlockAtRow, BlockRow, Finding};
use super::window::{Walk, Weights};

/// Work of a round stays below this, whatever orphans bring: an addition that would not is left out. Shares alone come
/// nowhere near it.
const ROUND_WORK_END: u128 = 1 << 127;

row! {
    /// Weights of an orphan, added to the round of its pot that was open there.
    pub struct AddedRow in table 58 {
        key {
            /// Which pot.
            pot: Pot,
            /// Place of the status that orphaned the block.
            at: At,
        }
        value {
            /// Place of the block, whose credits have the weights.
            block: At,
        }
    }
}

/// Weights of the block at `block`: those of the entries after the pot's block before it, up to its finding share, and those
/// of orphans.
pub(super) fn weights(
    rows: &dyn View,
    ledger: &dyn Backwards,
    finding: &Finding,
    block: At,
) -> Result<Weights, FoldStop> {
    let mut walk = Walk::new(rows, ledger, finding.pot, u128::MAX);
    let last = finding.share;
    let round = Round::before(rows, finding.pot, block)?;
    walk.open(last.position, round.first_index(last.position)..=last.index)?;
    round.walk(&mut walk, rows, ledger, last.position)?;
    Ok(walk.weights())
}

/// Weights of a block that `finder` would find next, behind all frames below `size`, by a share of `work`.
pub(super) fn weights_of_next(
    rows: &dyn View,
    ledger: &dyn Backwards,
    pot: Pot,
    size: u64,
    (finder, work): (&Account, u128),
) -> Result<Weights, FoldStop> {
    let mut walk = Walk::new(rows, ledger, pot, u128::MAX);
    walk.take(finder, work);
    let end = At {
        position: size,
        index: 0,
    };
    let round = Round::before(rows, pot, end)?;
    round.walk(&mut walk, rows, ledger, size)?;
    Ok(walk.weights())
}

/// Where a round begins.
struct Round {
    pot: Pot,
    /// The last entry that is not in it; none if it begins with the ledger.
    after: Option<At>,
    /// From the pot's block before to the round's own: orphans in between bring their weights.
    from: At,
    to: At,
}

impl Round {
    /// The round of a block that stands, or would stand, at a place.
    fn before(rows: &dyn View, pot: Pot, block: At) -> Result<Self, StoreFault> {
        let before = newest_before(rows, pot, block)?;
        let finding = before.as_ref().and_then(|before| before.finding.as_ref());
        Ok(Self {
            pot,
            after: finding.map(|finding| finding.share),
            from: before.as_ref().map_or_else(At::default, |before| before.at),
            to: block,
        })
    }

    /// Index of a frame's first event that may be in it.
    fn first_index(&self, position: u64) -> u16 {
        match self.after {
            Some(after) if after.position == position => after.index.saturating_add(1),
            _ => 0,
        }
    }

    /// Takes what it has in the frames below a position, and what orphans bring.
    fn walk(
        &self,
        walk: &mut Walk<'_>,
        rows: &dyn View,
        ledger: &dyn Backwards,
        below: u64,
    ) -> Result<(), FoldStop> {
        let lowest = self.after.map_or(0, |after| after.position);
        let mut frame = FrameSummary::new();
        for position in (lowest..below).rev() {
            if self.after.is_some() && position == lowest {
                walk.open(position, self.first_index(position)..=u16::MAX)?;
            } else {
                ledger.summary(position, &mut frame)?;
                walk.step(&frame)?;
            }
        }
        Ok(give_added(walk, rows, self)?)
    }
}

/// Adds the weights of the orphans of a round.
fn give_added(walk: &mut Walk<'_>, rows: &dyn View, round: &Round) -> Result<(), StoreFault> {
    let mut total = walk.total();
    for added in added_between(rows, round.pot, round.from, round.to)? {
        let credits = credits_of_block(rows, added.block)?;
        let work: u128 = credits.iter().map(|credit| credit.weight).sum();
        let Some(sum) = total.checked_add(work).filter(|sum| *sum < ROUND_WORK_END) else {
            continue;
        };
        total = sum;
        for credit in credits {
            walk.give(&credit.account, credit.weight);
        }
    }
    Ok(())
}

/// A PROP block that has its weights became orphaned.
pub(super) fn orphaned(block: At, pot: Pot, at: At, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    put(rows, &AddedRow { pot, at, block })
}

/// A PROP block that was orphaned is none any more: its weights leave the round that they were added to, if that is open.
pub(super) fn returned(block: At, pot: Pot, at: At, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let newest = newest_before(&*rows, pot, at)?;
    let from = newest.map_or_else(At::default, |newest| newest.at);
    for added in added_between(&*rows, pot, from, at)? {
        if added.block == block {
            delete::<AddedRow>(rows, &AddedRow::key_of(&pot, &added.at))?;
        }
    }
    Ok(())
}

fn added_between(rows: &dyn View, pot: Pot, from: At, to: At) -> Result<Vec<AddedRow>, StoreFault> {
    let span = Span::between(AddedRow::key_of(&pot, &from), AddedRow::key_of(&pot, &to));
    collect(rows, &span, Order::Forward, usize::MAX)
}

/// The pot's newest block that was named before a place, whatever became of it.
fn newest_before(rows: &dyn View, pot: Pot, place: At) -> Result<Option<BlockRow>, StoreFault> {
    let span = Span {
        from: Vec::new(),
        to: Some(BlockAtRow::key_of(&place)),
    };
    let mut found = None;
    scan(rows, &span, Order::Backward, |row: BlockAtRow| {
        if row.pot == Some(pot) {
            found = Some(row.hash);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    match found {
        Some(hash) => get(rows, &BlockRow::key_of(&hash)),
        None => Ok(None),
    }
}
