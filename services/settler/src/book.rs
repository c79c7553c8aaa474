//! What the final ledger says of our blocks: each one, its job's depths, and its last obeyed status.
//!
//! A fold like those of `replay`, so that the engine feeds it final frames only and any store keeps it: after a restart it
//! goes on, or is made again from the ledger. Which events are obeyed is [`obeyed`]'s to say. Nobody is paid by it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use orebook_ledger::admit::State;
use orebook_replay::fold::{Backwards, BlockEntry, FinalFrame, Fold, FoldStop};
use orebook_replay::folds::obeyed::{self, Known, Recovery};
use orebook_replay::rows::{
    Field, Order, Row, Rows, Span, StoreFault, View, collect, delete, get, put, scan,
};
use orebook_replay::store::Store;
use orebook_replay::{canonical_of, row};
use orebook_schema::work::{BlockRecovered, BlockState, BlockStatus, FeeMean};
use orebook_schema::{At, Event, Hash, Key, Kind, Policy, Role, StreamId};

use crate::fee_mean::LastMean;
use crate::grace::Gateway;

/// Rows of jobs of a stream's former epochs that one frame with jobs deletes, at most; the next one goes on.
const OLD_JOBS_PER_FRAME: usize = 256;

/// How deep is deep enough, in blocks on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depths {
    /// Immature from here on.
    pub immature: u32,
    /// Confirmed from here on.
    pub confirmed: u32,
    /// Orphaned when another block at its height has so many on top.
    pub orphan: u32,
}

impl Depths {
    /// Those of a policy.
    #[must_use]
    pub const fn of(policy: &Policy) -> Self {
        Self {
            immature: policy.immature_depth,
            confirmed: policy.confirmed_depth,
            orphan: policy.orphan_depth,
        }
    }

    /// Those of the newest policy that was obeyed; none before genesis.
    #[must_use]
    pub fn newest(state: &State) -> Option<Self> {
        let (_, obeyed) = state.authority()?.newest_policy();
        obeyed.map(|obeyed| Self::of(&obeyed.policy))
    }
}

impl Field for Depths {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        Field::encode(&self.immature, encoder)?;
        Field::encode(&self.confirmed, encoder)?;
        Field::encode(&self.orphan, encoder)
    }

    fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self {
            immature: Field::decode(decoder)?,
            confirmed: Field::decode(decoder)?,
            orphan: Field::decode(decoder)?,
        })
    }

    fn canonical(&self, out: &mut Vec<u8>) {
        self.immature.canonical(out);
        self.confirmed.canonical(out);
        self.orphan.canonical(out);
    }
}

/// The last obeyed status of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obeyed {
    /// Where it stands.
    pub at: At,
    /// What it says.
    pub state: BlockState,
    /// What the chain paid us then, base units.
    pub value: u128,
    /// Transaction fees therein, base units.
    pub fees: u128,
    /// Whether it is an uncle by that: the last of its `immature` and `uncle` was the latter, and it is not orphaned.
    pub is_uncle: bool,
}

impl Field for Obeyed {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        Field::encode(&self.at, encoder)?;
        Field::encode(&self.state, encoder)?;
        Field::encode(&self.value, encoder)?;
        Field::encode(&self.fees, encoder)?;
        Field::encode(&self.is_uncle, encoder)
    }

    fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self {
            at: Field::decode(decoder)?,
            state: Field::decode(decoder)?,
            value: Field::decode(decoder)?,
            fees: Field::decode(decoder)?,
            is_uncle: Field::decode(decoder)?,
        })
    }

    fn canonical(&self, out: &mut Vec<u8>) {
        self.at.canonical(out);
        self.state.canonical(out);
        self.value.canonical(out);
        self.fees.canonical(out);
        self.is_uncle.canonical(out);
    }
}

row! {
    /// A block of ours.
    pub struct OurBlock in table 1 {
        key {
            /// Its hash, header order.
            hash: Hash,
        }
        value {
            /// Its height, as who named it first said.
            height: u64,
            /// Txid of its coinbase.
            coinbase_txid: Hash,
            /// Transaction fees of its job's template, base units; none if it was recovered first.
            job_fees: Option<u128>,
            /// Whether its job's coinbase pays accounts too: all that it pays is its value then.
            is_direct: bool,
            /// Whether a `block_found` named it, first or later.
            is_found: bool,
            /// Depths of its job's policy; of the newest policy if it was recovered or its job is void.
            depths: Depths,
            /// Its last obeyed status; none if nothing was said yet.
            obeyed: Option<Obeyed>,
        }
    }
}

impl From<&OurBlock> for Known {
    fn from(block: &OurBlock) -> Self {
        Self {
            is_found: block.is_found,
            last: block.obeyed.map(|obeyed| obeyed.at),
        }
    }
}

row! {
    /// A block by its height.
    struct AtHeight in table 2 {
        key {
            /// Height.
            height: u64,
            /// Hash.
            hash: Hash,
        }
        value {}
    }
}

row! {
    /// A block that is not confirmed and not orphaned.
    struct Open in table 3 {
        key {
            /// Hash.
            hash: Hash,
        }
        value {}
    }
}

row! {
    /// The last obeyed recovered block of a height.
    struct Recovered in table 4 {
        key {
            /// Height.
            height: u64,
        }
        value {
            /// Where it stands.
            at: At,
        }
    }
}

row! {
    /// A job's fees.
    struct JobFees in table 5 {
        key {
            /// Stream.
            stream: StreamId,
            /// Its epoch.
            epoch: u32,
            /// Number of the job.
            number: u32,
        }
        value {
            /// Fees of its template, base units.
            fees: u128,
            /// Whether its coinbase pays accounts too.
            is_direct: bool,
        }
    }
}

row! {
    /// What there is once.
    struct Facts in table 6 {
        key {}
        value {
            /// Lowest height that a job was made for.
            first_height: Option<u64>,
            /// Statuses, recovered blocks and means that were not obeyed.
            refused: u64,
        }
    }
}

row! {
    /// What was heard of a gateway whose key is in force.
    struct Heard in table 7 {
        key {
            /// Its key's bytes.
            key: Hash,
        }
        value {
            /// As [`Gateway::last_time`].
            last_time: u64,
            /// As [`Gateway::said_at`].
            said_at: u64,
            /// As [`Gateway::heard_at`].
            heard_at: u64,
        }
    }
}

row! {
    /// The last obeyed mean of fees.
    struct MeanRow in table 8 {
        key {}
        value {
            /// Where it stands.
            at: At,
            /// Height of its newest block.
            height: u64,
        }
    }
}

/// The fold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch;

impl Fold for Watch {
    fn name(&self) -> &'static str {
        "settler"
    }

    fn version(&self) -> u32 {
        3
    }

    fn apply(
        &mut self,
        frame: &FinalFrame<'_>,
        rows: &mut dyn Rows,
        _ledger: &dyn Backwards,
    ) -> Result<(), FoldStop> {
        note_keys(frame, rows)?;
        note_heard(frame, rows)?;
        if frame.has_any(Kind::JOBS) {
            take_jobs(frame, rows)?;
        }
        if frame.has(Kind::BlockFound) || frame.has(Kind::Moved) {
            for entry in frame.blocks() {
                take_found(frame, rows, &entry)?;
            }
        }
        if frame.has(Kind::BlockStatus)
            || frame.has(Kind::BlockRecovered)
            || frame.has(Kind::FeeMean)
        {
            for (at, _, event) in frame.events() {
                let obeyed = match event {
                    Event::BlockStatus(status) => take_status(rows, at, status)?,
                    Event::BlockRecovered(block) => take_recovered(frame.state, rows, at, block)?,
                    Event::FeeMean(mean) => take_mean(rows, at, mean)?,
                    _ => continue,
                };
                if !obeyed {
                    let mut facts = facts(rows)?;
                    facts.refused = facts.refused.saturating_add(1);
                    put(rows, &facts)?;
                }
            }
        }
        Ok(())
    }

    fn canonical(&self, table: u8, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StoreFault> {
        canonical_of!(table, key, value; OurBlock, AtHeight, Open, Recovered, JobFees, Facts, Heard, MeanRow)
    }

    fn has_digest(&self) -> bool {
        false
    }
}

fn facts(view: &(impl View + ?Sized)) -> Result<Facts, StoreFault> {
    let none = Facts {
        first_height: None,
        refused: 0,
    };
    Ok(get(view, &Facts::key_of())?.unwrap_or(none))
}

fn heard_of(view: &(impl View + ?Sized), key: Key) -> Result<Option<Heard>, StoreFault> {
    get(view, &Heard::key_of(&Hash(key.0)))
}

/// A gateway is waited for from when its key is in force, and not after.
fn note_keys(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let changes = [Kind::Genesis, Kind::KeyChange, Kind::Approval];
    let Some(authority) = frame.state.authority() else {
        return Ok(());
    };
    if !changes.iter().any(|kind| frame.has(*kind)) {
        return Ok(());
    }
    for (key, role, in_force, _) in authority.keys() {
        let known = heard_of(rows, key)?;
        match (role == Role::Gateway && in_force, known) {
            (true, None) => put(
                rows,
                &Heard {
                    key: Hash(key.0),
                    last_time: 0,
                    said_at: 0,
                    heard_at: frame.ledger_time,
                },
            )?,
            (false, Some(known)) => delete::<Heard>(rows, &Heard::key_of(&known.key))?,
            (true, Some(_)) | (false, None) => {}
        }
    }
    Ok(())
}

/// A frame that moves events was made now of what is old: more of it may follow, so it says nothing of times.
fn note_heard(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let header = frame.header();
    let Some(mut heard) = heard_of(rows, header.key)? else {
        return Ok(());
    };
    heard.heard_at = frame.ledger_time;
    if !frame.has(Kind::Moved) {
        (heard.last_time, heard.said_at) = (header.last_time, frame.ledger_time);
    }
    put(rows, &heard)
}

fn take_jobs(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let header = frame.header();
    let mut facts = facts(rows)?;
    for (_, _, event) in frame.events() {
        if let Some(job) = event.job() {
            put(
                rows,
                &JobFees {
                    stream: header.stream,
                    epoch: header.epoch,
                    number: job.number,
                    fees: job.fees,
                    is_direct: matches!(event, Event::Job(job) if job.direct != 0),
                },
            )?;
            let first = facts.first_height.unwrap_or(job.height);
            facts.first_height = Some(first.min(job.height));
        }
    }
    put(rows, &facts)?;
    // Nothing refers to a former epoch's jobs any more.
    let from = JobFees::key_of(&header.stream, &0, &0);
    let to = JobFees::key_of(&header.stream, &header.epoch, &0);
    let span = Span::between(from, to);
    let old: Vec<JobFees> = collect(rows, &span, Order::Forward, OLD_JOBS_PER_FRAME)?;
    old.iter().try_for_each(|job| {
        let key = JobFees::key_of(&job.stream, &job.epoch, &job.number);
        delete::<JobFees>(rows, &key)
    })
}

fn take_found(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    entry: &BlockEntry<'_>,
) -> Result<(), StoreFault> {
    let header = frame.header();
    let job = entry.share.job;
    let fees: Option<JobFees> = get(rows, &JobFees::key_of(&header.stream, &header.epoch, &job))?;
    let policy = frame.terms(job).and_then(|terms| terms.policy.as_deref());
    let depths = policy.map(Depths::of);
    if let Some(depths) = depths.or_else(|| Depths::newest(frame.state)) {
        let block = OurBlock {
            hash: entry.found.hash,
            height: entry.found.height,
            coinbase_txid: entry.found.coinbase_txid,
            job_fees: Some(fees.as_ref().map_or(0, |job| job.fees)),
            is_direct: fees.is_some_and(|job| job.is_direct),
            is_found: true,
            depths,
            obeyed: None,
        };
        name(rows, block)?;
    }
    Ok(())
}

/// Whether it is obeyed.
fn take_status(rows: &mut dyn Rows, at: At, status: &BlockStatus) -> Result<bool, StoreFault> {
    let known: Option<OurBlock> = get(rows, &OurBlock::key_of(&status.hash))?;
    let Ok(mut block) = obeyed::status(known, status) else {
        return Ok(false);
    };
    let was_uncle = block.obeyed.is_some_and(|obeyed| obeyed.is_uncle);
    block.obeyed = Some(Obeyed {
        at,
        state: status.state,
        value: status.value,
        fees: status.fees,
        is_uncle: match status.state {
            BlockState::Uncle => true,
            BlockState::Immature | BlockState::Orphaned => false,
            BlockState::Seen | BlockState::Confirmed => was_uncle,
        },
    });
    put(rows, &block)?;
    match status.state {
        BlockState::Seen | BlockState::Immature | BlockState::Uncle => {
            put(rows, &Open { hash: status.hash })?;
        }
        BlockState::Confirmed | BlockState::Orphaned => {
            delete::<Open>(rows, &Open::key_of(&status.hash))?;
        }
    }
    Ok(true)
}

/// Whether it is obeyed.
fn take_recovered(
    state: &State,
    rows: &mut dyn Rows,
    at: At,
    block: &BlockRecovered,
) -> Result<bool, StoreFault> {
    let last: Option<Recovered> = get(rows, &Recovered::key_of(&block.height))?;
    let known: Option<OurBlock> = get(rows, &OurBlock::key_of(&block.hash))?;
    let recovery = obeyed::recovered(last.map(|last| last.at), known.as_ref(), block);
    let (Ok(recovery), Some(depths)) = (recovery, Depths::newest(state)) else {
        return Ok(false);
    };
    let height = block.height;
    put(rows, &Recovered { height, at })?;
    if recovery == Recovery::Again {
        return Ok(true);
    }
    let ours = OurBlock {
        hash: block.hash,
        height: block.height,
        coinbase_txid: block.coinbase_txid,
        job_fees: None,
        is_direct: false,
        is_found: false,
        depths,
        obeyed: None,
    };
    name(rows, ours)?;
    Ok(true)
}

/// Whether it is obeyed: it compares and sets the ledger's one mean.
fn take_mean(rows: &mut dyn Rows, at: At, mean: &FeeMean) -> Result<bool, StoreFault> {
    if last_mean(rows)?.at != mean.expects {
        return Ok(false);
    }
    let height = mean.height;
    put(rows, &MeanRow { at, height })?;
    Ok(true)
}

fn last_mean(view: &(impl View + ?Sized)) -> Result<LastMean, StoreFault> {
    let row: Option<MeanRow> = get(view, &MeanRow::key_of())?;
    Ok(row.map_or_else(LastMean::default, |row| LastMean {
        at: row.at,
        height: row.height,
    }))
}

/// The first who names a block decides what it is; that a share explains it is noted also later.
fn name(rows: &mut dyn Rows, block: OurBlock) -> Result<(), StoreFault> {
    let (hash, height) = (block.hash, block.height);
    let known: Option<OurBlock> = get(rows, &OurBlock::key_of(&hash))?;
    if let Some(mut known) = known {
        known.is_found |= block.is_found;
        return put(rows, &known);
    }
    put(rows, &block)?;
    put(rows, &AtHeight { height, hash })?;
    put(rows, &Open { hash })
}

fn recovered_at(view: &(impl View + ?Sized), height: u64) -> Result<At, StoreFault> {
    let row: Option<Recovered> = get(view, &Recovered::key_of(&height))?;
    Ok(row.map(|row| row.at).unwrap_or_default())
}

/// The fold's rows, to read. Each question takes a view of its own: nothing is held between two.
#[derive(Clone)]
pub struct Book {
    store: Arc<dyn Store>,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Book")
    }
}

impl Book {
    /// Over the store that the engine gives to [`Watch`].
    #[must_use]
    pub const fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// A block.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn block(&self, hash: Hash) -> Result<Option<OurBlock>, StoreFault> {
        get(self.store.view()?.as_ref(), &OurBlock::key_of(&hash))
    }

    /// The height's last obeyed recovered block, zero if none: what a further one must expect.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn recovered_at(&self, height: u64) -> Result<At, StoreFault> {
        recovered_at(self.store.view()?.as_ref(), height)
    }

    /// The last obeyed mean of fees.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn last_mean(&self) -> Result<LastMean, StoreFault> {
        last_mean(self.store.view()?.as_ref())
    }

    /// Lowest height that a job was made for; none before the first job. Blocks of ours stand from there on.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn first_height(&self) -> Result<Option<u64>, StoreFault> {
        Ok(facts(self.store.view()?.as_ref())?.first_height)
    }

    /// What was heard of the gateways whose keys are in force in `state`. One that the rows do not know counts as heard
    /// right now, without having said anything: it is waited for.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn gateways(&self, state: &State) -> Result<Vec<Gateway>, StoreFault> {
        let view = self.store.view()?;
        let openers: BTreeSet<Key> = state.streams().map(|(_, stream)| stream.key).collect();
        let in_force = state.authority().into_iter();
        let keys = in_force.flat_map(|authority| authority.keys_in_force());
        keys.filter(|(_, role)| *role == Role::Gateway)
            .map(|(key, _)| {
                let heard = heard_of(view.as_ref(), key)?;
                Ok(Gateway {
                    key,
                    last_time: heard.as_ref().map_or(0, |heard| heard.last_time),
                    said_at: heard.as_ref().map_or(0, |heard| heard.said_at),
                    heard_at: heard.map_or_else(|| state.ledger_time(), |heard| heard.heard_at),
                    has_stream: openers.contains(&key),
                })
            })
            .collect()
    }

    /// Statuses and recovered blocks that expected something else and were not obeyed.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn refused(&self) -> Result<u64, StoreFault> {
        Ok(facts(self.store.view()?.as_ref())?.refused)
    }

    /// Blocks that are neither confirmed nor orphaned, at most `most`, in a circle after `last`.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn open(&self, last: Hash, most: usize) -> Result<Vec<OurBlock>, StoreFault> {
        let view = self.store.view()?;
        let view = view.as_ref();
        let mut found = Vec::new();
        for span in circle(Vec::new(), &Open::key_of(&last)) {
            let left = most.saturating_sub(found.len());
            let part: Vec<Open> = collect(view, &span, Order::Forward, left)?;
            found.extend(part.into_iter().map(|open| open.hash));
        }
        blocks(view, &found)
    }

    /// Confirmed and orphaned blocks from height `lowest` on, at most `most`, in a circle after `last`. No more rows are
    /// looked through than there are blocks above `lowest`.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub fn late(
        &self,
        lowest: u64,
        last: (u64, Hash),
        most: usize,
    ) -> Result<Vec<OurBlock>, StoreFault> {
        let view = self.store.view()?;
        let view = view.as_ref();
        let start = AtHeight::key_of(&lowest, &Hash::ZERO);
        let mut found = Vec::new();
        for span in circle(start, &AtHeight::key_of(&last.0, &last.1)) {
            let mut fault = None;
            scan(view, &span, Order::Forward, |row: AtHeight| {
                match view.get(Open::TABLE, &Open::key_of(&row.hash)) {
                    Ok(Some(_)) => {}
                    Ok(None) if found.len() < most => found.push(row.hash),
                    Ok(None) => return ControlFlow::Break(()),
                    Err(error) => {
                        fault = Some(error);
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            })?;
            if let Some(fault) = fault {
                return Err(fault);
            }
        }
        blocks(view, &found)
    }
}

fn blocks(view: &(impl View + ?Sized), hashes: &[Hash]) -> Result<Vec<OurBlock>, StoreFault> {
    let found = hashes.iter().map(|hash| get(view, &OurBlock::key_of(hash)));
    found.filter_map(Result::transpose).collect()
}

/// The keys from `start` on, beginning after `last`.
fn circle(start: Vec<u8>, last: &[u8]) -> [Span; 2] {
    let mut after = last.to_vec();
    after.push(0);
    let from = after.max(start.clone());
    let to_the_end = Span {
        from: from.clone(),
        to: None,
    };
    [to_the_end, Span::between(start, from)]
}
