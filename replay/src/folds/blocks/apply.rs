//! How a frame changes the rows of `blocks`.

use orebook_schema::work::{BlockRecovered, BlockState, BlockStatus};
use orebook_schema::{At, Event, Kind};

use super::{Block, Count, List, Listed, Recovered, Refused, count, refused};
use crate::fold::{FinalFrame, FoldStop};
use crate::folds::obeyed::{self, Recovery};
use crate::folds::rounds::tally::{Ended, advance};
use crate::folds::workers::registry;
use crate::rows::{self, Rows, StoreFault};

pub(super) use crate::folds::workers::registry::Rig;

pub(super) fn apply(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<(), FoldStop> {
    registry::learn(frame, rows)?;
    advance(frame, rows, &mut |rows, ended| found(frame, rows, &ended))?;
    // A status stands in a frame of a settler, a found block in one of a gateway: one frame never has both.
    if !frame.has(Kind::BlockStatus) && !frame.has(Kind::BlockRecovered) {
        return Ok(());
    }
    for (at, _, event) in frame.events() {
        match event {
            Event::BlockStatus(said) => status(frame, rows, at, said)?,
            Event::BlockRecovered(said) => recovered(frame, rows, at, said)?,
            _ => {}
        }
    }
    Ok(())
}

fn found(frame: &FinalFrame<'_>, rows: &mut dyn Rows, ended: &Ended<'_>) -> Result<bool, FoldStop> {
    let event = &ended.block;
    let known = super::block(rows, &event.found.hash)?;
    if known.as_ref().is_some_and(|block| block.found_at.is_some()) {
        return Ok(false);
    }
    let rig = match &known {
        // A recovered block names no finder.
        Some(_) => None,
        None => registry::rig(frame, rows, event.share.worker)?,
    };
    let is_new = known.is_none();
    let mut block = known.unwrap_or_else(|| Block {
        hash: event.found.hash,
        at: event.at,
        found_at: None,
        pot: None,
        height: event.found.height,
        coinbase_txid: event.found.coinbase_txid,
        finder: rig.map(|rig| (rig.account, rig.name)),
        time_ms: ended.time_ms,
        network_work: 0,
        effort: None,
        round_shares: None,
        is_recovered: false,
        state: None,
        is_uncle: false,
        status_at: At::default(),
        status_ms: 0,
        value: None,
        fees: None,
        refused: 0,
    });
    let terms = frame.terms(event.share.job);
    block.found_at = Some(event.at);
    block.pot = Some(ended.pot);
    block.network_work = terms.map_or(0, |terms| terms.network_work);
    block.effort = Some(ended.round.effort);
    block.round_shares = Some(ended.round.shares);
    rows::put(rows, &block)?;
    if is_new {
        list(rows, List::All, event.at, &block)?;
    }
    list(rows, List::Of(ended.pot), event.at, &block)?;
    Ok(true)
}

fn recovered(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    at: At,
    said: &BlockRecovered,
) -> Result<(), FoldStop> {
    let last = rows::get::<Recovered>(rows, &Recovered::key_of(&said.height))?;
    let known = super::block(rows, &said.hash)?;
    let last = last.map(|last| last.at);
    let Ok(recovery) = obeyed::recovered(last, known.as_ref(), said) else {
        return refuse(rows, |refused| &mut refused.recoveries);
    };
    let height = said.height;
    rows::put(rows, &Recovered { height, at })?;
    if recovery == Recovery::Again {
        return Ok(());
    }
    let block = Block {
        hash: said.hash,
        at,
        found_at: None,
        pot: None,
        height,
        coinbase_txid: said.coinbase_txid,
        finder: None,
        time_ms: frame.ledger_time,
        network_work: 0,
        effort: None,
        round_shares: None,
        is_recovered: true,
        state: None,
        is_uncle: false,
        status_at: At::default(),
        status_ms: 0,
        value: Some(said.value),
        fees: Some(said.fees),
        refused: 0,
    };
    rows::put(rows, &block)?;
    list(rows, List::All, at, &block)?;
    Ok(list(rows, List::Recovered, at, &block)?)
}

fn status(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    at: At,
    said: &BlockStatus,
) -> Result<(), FoldStop> {
    let known = super::block(rows, &said.hash)?;
    let Ok(mut block) = obeyed::status(known.clone(), said) else {
        return refuse_status(rows, known);
    };
    let before = block.state;
    block.state = Some(said.state);
    block.is_uncle = match said.state {
        BlockState::Uncle => true,
        BlockState::Immature | BlockState::Orphaned => false,
        BlockState::Seen | BlockState::Confirmed => block.is_uncle,
    };
    block.status_at = at;
    block.status_ms = frame.ledger_time;
    block.value = Some(said.value);
    block.fees = Some(said.fees);
    rows::put(rows, &block)?;
    for list in lists_of(&block) {
        let mut count = count(rows, list)?;
        let old = of_state(&mut count, before);
        *old = old.saturating_sub(1);
        let new = of_state(&mut count, block.state);
        *new = new.saturating_add(1);
        rows::put(rows, &count)?;
    }
    Ok(())
}

fn lists_of(block: &Block) -> impl Iterator<Item = List> + use<> {
    let recovered = block.is_recovered.then_some(List::Recovered);
    [Some(List::All), block.pot.map(List::Of), recovered]
        .into_iter()
        .flatten()
}

fn list(rows: &mut dyn Rows, list: List, at: At, block: &Block) -> Result<(), StoreFault> {
    let hash = block.hash;
    rows::put(rows, &Listed { list, at, hash })?;
    let mut count = count(rows, list)?;
    count.blocks = count.blocks.saturating_add(1);
    let state = of_state(&mut count, block.state);
    *state = state.saturating_add(1);
    rows::put(rows, &count)
}

const fn of_state(count: &mut Count, state: Option<BlockState>) -> &mut u64 {
    match state {
        None => &mut count.fresh,
        Some(BlockState::Seen) => &mut count.seen,
        Some(BlockState::Immature) => &mut count.immature,
        Some(BlockState::Confirmed) => &mut count.confirmed,
        Some(BlockState::Orphaned) => &mut count.orphaned,
        Some(BlockState::Uncle) => &mut count.uncle,
    }
}

/// Counts a refused status, at its block if there is one.
fn refuse_status(rows: &mut dyn Rows, block: Option<Block>) -> Result<(), FoldStop> {
    let Some(mut block) = block else {
        return refuse(rows, |refused| &mut refused.unknown);
    };
    block.refused = block.refused.saturating_add(1);
    rows::put(rows, &block)?;
    refuse(rows, |refused| &mut refused.statuses)
}

fn refuse(
    rows: &mut dyn Rows,
    which: impl FnOnce(&mut Refused) -> &mut u64,
) -> Result<(), FoldStop> {
    let mut refused = refused(rows)?;
    let counter = which(&mut refused);
    *counter = counter.saturating_add(1);
    Ok(rows::put(rows, &refused)?)
}
