//! How a frame adds to the running rounds: by pot, cut behind each finding share. One function for every fold that needs it.

use std::collections::BTreeMap;

use orebook_ledger::credit::effort;
use orebook_schema::Kind;
use orebook_schema::names::Pot;

use crate::fold::{BlockEntry, FinalFrame, FoldStop, ShareEntry};
use crate::folds::hashrate::shown_time;
use crate::row;
use crate::rows::{self, Rows};

row! {
    /// A pot's running round: what came after the pot's previous block, or since the ledger's begin.
    pub struct Running in table 1 {
        key {
            /// Which pot.
            pot: Pot,
        }
        value {
            /// When it began, milliseconds since 1970: when the block before was found, or ledger time of the frame with the
            /// pot's first share.
            since_ms: u64,
            /// Accepted shares, those that are credited nothing (stale, void job) included.
            shares: u64,
            /// Credited work.
            work: u128,
            /// Σ floor(credit · 10^12 / network work of the share's job); saturates.
            effort: u128,
        }
    }
}

/// A round that a block ended.
#[derive(Clone, Debug)]
pub struct Ended<'a> {
    /// Which pot.
    pub pot: Pot,
    /// The block; its share is the round's last.
    pub block: BlockEntry<'a>,
    /// When it was found: producer's time, clamped.
    pub time_ms: u64,
    /// The round, finding share included.
    pub round: Running,
}

#[derive(Clone, Copy, Debug, Default)]
struct Added {
    shares: u64,
    work: u128,
    effort: u128,
}

/// Adds a frame to the running rounds. For each block that counts as found, `end` is asked whether it ends its round, and
/// is given it; a block that was found before (a moved one, said again) ends none.
///
/// # Errors
/// [`FoldStop`] of the rows or of `end`.
pub fn advance(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    end: &mut dyn FnMut(&mut dyn Rows, Ended<'_>) -> Result<bool, FoldStop>,
) -> Result<(), FoldStop> {
    let mut added: BTreeMap<Pot, Added> = BTreeMap::new();
    if !frame.has(Kind::BlockFound) && !frame.has(Kind::Moved) {
        for pot in &frame.summary().pots {
            let counts = pot.rows.iter().map(|row| u64::from(row.count));
            let credits = pot.rows.iter().map(|row| row.credit);
            let sum = Added {
                shares: counts.sum(),
                work: credits.fold(0, u128::saturating_add),
                effort: pot.effort,
            };
            added.insert(pot.pot, sum);
        }
        return flush(frame, rows, added);
    }
    let mut shares = frame.shares().peekable();
    for block in frame.blocks() {
        while let Some(share) = shares.next_if(|share| share.at <= block.at) {
            count(frame, &share, &mut added);
        }
        let Some(pot) = frame.pot(block.share.worker) else {
            continue;
        };
        flush(frame, rows, std::mem::take(&mut added))?;
        let time_ms = shown_time(block.time, frame.ledger_time);
        let round = running(frame, rows, pot)?;
        let ended = Ended {
            pot,
            block,
            time_ms,
            round,
        };
        if end(rows, ended)? {
            let next = Running {
                pot,
                since_ms: time_ms,
                shares: 0,
                work: 0,
                effort: 0,
            };
            rows::put(rows, &next)?;
        }
    }
    shares.for_each(|share| count(frame, &share, &mut added));
    flush(frame, rows, added)
}

fn count(frame: &FinalFrame<'_>, share: &ShareEntry<'_>, added: &mut BTreeMap<Pot, Added>) {
    let (Some(pot), Some(terms)) = (frame.pot(share.worker), frame.terms(share.job)) else {
        return;
    };
    let credit = frame.credit(share);
    let sum = added.entry(pot).or_default();
    sum.shares += 1;
    sum.work = sum.work.saturating_add(credit);
    sum.effort = sum
        .effort
        .saturating_add(effort(credit, terms.network_work));
}

fn flush(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    added: BTreeMap<Pot, Added>,
) -> Result<(), FoldStop> {
    for (pot, sum) in added {
        let mut round = running(frame, rows, pot)?;
        round.shares = round.shares.saturating_add(sum.shares);
        round.work = round.work.saturating_add(sum.work);
        round.effort = round.effort.saturating_add(sum.effort);
        rows::put(rows, &round)?;
    }
    Ok(())
}

fn running(frame: &FinalFrame<'_>, rows: &dyn Rows, pot: Pot) -> Result<Running, FoldStop> {
    let found = rows::get::<Running>(rows, &Running::key_of(&pot))?;
    Ok(found.unwrap_or(Running {
        pot,
        since_ms: frame.ledger_time,
        shares: 0,
        work: 0,
        effort: 0,
    }))
}
