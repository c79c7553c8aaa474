//! Voids (money rules, 3.3): a share that was credited twice is an entry with negative work where its void stands.
//!
//! What rows and the ledger's own bytes tell is asked here: that both shares count, and that their nonces are equal. That
//! they are of one seal hash is the archiver's word, which an audit checks: seal hashes are no rows.

use std::ops::ControlFlow;

use orebook_ledger::credit::{JobTerms, credit};
use orebook_schema::names::Pot;
use orebook_schema::void::Void;
use orebook_schema::work::ShareRef;
use orebook_schema::{Account, At, Event, Hash, StreamId};

use crate::fold::{Backwards, FoldStop};
use crate::folds::obeyed::Refusal;
use crate::row;
use crate::rows::{Order, Rows, Span, StoreFault, View, get, put, scan};

use super::tables::{MovedRow, RefusedRow};
use super::{per_share, policy_of_job, window};

row! {
    /// A void that was obeyed: an entry with negative work.
    pub struct VoidRow in table 40 {
        key {
            /// Its place.
            at: At,
        }
        value {
            /// The share that is taken back.
            share: At,
            /// The counted share that it repeats.
            first: At,
            /// Who was credited.
            account: Account,
            /// In which pot.
            pot: Pot,
            /// What the share was credited, and what is taken from the account's sum.
            credit: u128,
        }
    }
}

row! {
    /// The void of a share.
    pub struct VoidOfRow in table 41 {
        key {
            /// The share.
            share: At,
        }
        value {
            /// Place of its void.
            at: At,
        }
    }
}

/// An archiver says that a share was credited twice.
pub(super) fn said(
    at: At,
    void: &Void,
    rows: &mut dyn Rows,
    ledger: &dyn Backwards,
) -> Result<(), FoldStop> {
    match note(at, void, rows, ledger)? {
        Ok(()) => per_share::undo(void.share, at, rows, ledger)?,
        Err(why) => {
            let hash = Hash::ZERO;
            put(rows, &RefusedRow { at, hash, why })?;
        }
    }
    Ok(())
}

/// Keeps a void if it is obeyed; else why not.
pub(super) fn note(
    at: At,
    void: &Void,
    rows: &mut dyn Rows,
    ledger: &dyn Backwards,
) -> Result<Result<(), Refusal>, FoldStop> {
    let before: Option<VoidOfRow> = get(&*rows, &VoidOfRow::key_of(&void.share))?;
    if void.expects != At::default() || before.is_some() {
        return Ok(Err(Refusal::Expects));
    }
    let first = counted(void.first, &*rows, ledger)?;
    let share = counted(void.share, &*rows, ledger)?;
    let (Some(first), Some(share)) = (first, share) else {
        return Ok(Err(Refusal::Unknown));
    };
    if first.nonce != share.nonce {
        return Ok(Err(Refusal::Unknown));
    }
    let (account, pot) = per_share::worker_of(&*rows, share.stream, share.epoch, share.worker)?;
    let policy = policy_of_job(&*rows, share.stream, share.epoch, share.job)?.flatten();
    let policy = policy.map(|at| window::policy(&*rows, at)).transpose()?;
    let terms = JobTerms {
        // What a share is credited does not ask for it.
        network_work: 1,
        policy: policy.flatten(),
    };
    let row = VoidRow {
        at,
        share: void.share,
        first: void.first,
        account,
        pot,
        credit: credit(share.share, pot, &terms),
    };
    put(rows, &row)?;
    let share = void.share;
    put(rows, &VoidOfRow { share, at })?;
    Ok(Ok(()))
}

/// Every void of a frame that was obeyed.
pub(super) fn of_frame(
    rows: &dyn View,
    position: u64,
    mut each: impl FnMut(VoidRow),
) -> Result<(), StoreFault> {
    let span = Span::prefix(&position.to_be_bytes());
    scan(rows, &span, Order::Forward, |row| {
        each(row);
        ControlFlow::Continue(())
    })
}

/// A share of ethash that counts.
struct Counted {
    stream: StreamId,
    epoch: u32,
    worker: u32,
    job: u32,
    share: ShareRef,
    nonce: u64,
}

fn counted(at: At, rows: &dyn Rows, ledger: &dyn Backwards) -> Result<Option<Counted>, FoldStop> {
    let stored = ledger.frame(at.position)?;
    let header = stored.frame.header();
    let Some(raw) = stored.frame.events().nth(usize::from(at.index)) else {
        return Ok(None);
    };
    let unreadable = |error| FoldStop::Unreadable(format!("position {}: {error}", at.position));
    let event = raw.and_then(|raw| raw.decode()).map_err(unreadable)?;
    let moved: Option<MovedRow> = get(rows, &MovedRow::key_of(&at.position))?;
    let counts = moved.is_some_and(|moved| moved.counted.contains(&at.index));
    let inner = match &event {
        Event::Moved(moved) => moved.inner().ok(),
        other => Some(other.clone()),
    };
    let (Some((worker, job, share)), Some(Event::EthashShare(own))) =
        (window::entry(&event, counts), inner)
    else {
        return Ok(None);
    };
    Ok(Some(Counted {
        stream: header.stream,
        epoch: header.epoch,
        worker,
        job,
        share,
        nonce: own.nonce,
    }))
}
