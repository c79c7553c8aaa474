//! What shares are credited (section 4): the one function that turns a body into its summary, used by producers when they
//! cut a frame and by admission when it judges one.

use std::sync::Arc;

use orebook_schema::names::Pot;
use orebook_schema::policy::PPM;
use orebook_schema::summary::{PotSummary, Row, Summary};
use orebook_schema::work::{JobRef, Share, ShareRef};
use orebook_schema::{Event, FRAME_EVENTS_MAX, Policy};

/// Parts of one that effort counts in.
pub const EFFORT_SCALE: u128 = 1_000_000_000_000;

/// What a share's credit depends on, of its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobTerms {
    /// Network work, at least 1.
    pub network_work: u128,
    /// The policy that the job cites; none if the job is void.
    pub policy: Option<Arc<Policy>>,
}

/// Workers and jobs announced within one (stream, epoch), by their dense numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Pot of each worker.
    pub workers: Vec<Pot>,
    /// Terms of each job.
    pub jobs: Vec<JobTerms>,
}

/// An event that refers to a number nobody announced, or announces one out of turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unannounced;

/// Announced numbers and, on top, those of the frame in hand.
#[derive(Debug)]
pub struct Overlay<'a> {
    base: Option<&'a Announced>,
    added: Announced,
}

impl<'a> Overlay<'a> {
    /// On what was announced before in this epoch; `None` at an epoch's first frame.
    #[must_use]
    pub fn new(base: Option<&'a Announced>) -> Self {
        Self {
            base,
            added: Announced::default(),
        }
    }

    /// Pot of a worker.
    ///
    /// # Errors
    /// [`Unannounced`].
    pub fn pot(&self, number: u32) -> Result<Pot, Unannounced> {
        lookup(
            self.base.map(|base| base.workers.as_slice()),
            &self.added.workers,
            number,
        )
        .copied()
    }

    /// Terms of a job.
    ///
    /// # Errors
    /// [`Unannounced`].
    pub fn job(&self, number: u32) -> Result<&JobTerms, Unannounced> {
        lookup(
            self.base.map(|base| base.jobs.as_slice()),
            &self.added.jobs,
            number,
        )
    }

    /// Announces the next worker.
    ///
    /// # Errors
    /// [`Unannounced`] if `number` is not the next one.
    pub fn add_worker(&mut self, number: u32, pot: Pot) -> Result<(), Unannounced> {
        let next = self.base.map_or(0, |base| base.workers.len()) + self.added.workers.len();
        if usize::try_from(number) != Ok(next) {
            return Err(Unannounced);
        }
        self.added.workers.push(pot);
        Ok(())
    }

    /// Announces the next job.
    ///
    /// # Errors
    /// [`Unannounced`] if `number` is not the next one.
    pub fn add_job(&mut self, number: u32, terms: JobTerms) -> Result<(), Unannounced> {
        let next = self.base.map_or(0, |base| base.jobs.len()) + self.added.jobs.len();
        if usize::try_from(number) != Ok(next) {
            return Err(Unannounced);
        }
        self.added.jobs.push(terms);
        Ok(())
    }

    /// What the frame in hand announced.
    #[must_use]
    pub fn into_added(self) -> Announced {
        self.added
    }
}

fn lookup<'t, T>(base: Option<&'t [T]>, added: &'t [T], number: u32) -> Result<&'t T, Unannounced> {
    let number = usize::try_from(number).map_err(|_| Unannounced)?;
    let base = base.unwrap_or_default();
    base.get(number)
        .or_else(|| added.get(number.checked_sub(base.len())?))
        .ok_or(Unannounced)
}

/// What a share of a worker of `pot` is credited under its job's terms.
#[must_use]
pub fn credit(share: ShareRef, pot: Pot, terms: &JobTerms) -> u128 {
    let Some(policy) = &terms.policy else {
        return 0;
    };
    let work = u128::from(share.work.units());
    if !share.stale {
        return work;
    }
    policy.pot(pot).map_or(0, |rules| {
        work * u128::from(rules.stale_ppm) / u128::from(PPM)
    })
}

/// Effort of a credit: floor(credit · 10^12 / network work).
#[must_use]
pub const fn effort(credit: u128, network_work: u128) -> u128 {
    // credit < 2^63 for one share, so the product stays below 2^103.
    credit * EFFORT_SCALE / network_work
}

/// Most shares that a [`SummaryBuilder`] counts: a key has 16 bits for the index. A frame has 1,000 at most.
const SHARES_MAX: usize = 1 << INDEX_BITS;

/// Bits of a key below the worker's.
const INDEX_BITS: u32 = 16;

/// Bits of a key below the pot's.
const WORKER_END: u32 = INDEX_BITS + u32::BITS;

/// Adds up the shares of a frame: by pot, effort and rows.
#[derive(Debug, Default)]
pub struct SummaryBuilder {
    /// Pot, worker and index in `credits` of each share, in one number that sorts.
    keys: Vec<u64>,
    /// Credit of each share.
    credits: Vec<u128>,
    /// Efforts of shares that follow each other in one pot, added up.
    pots: Vec<(Pot, u128)>,
    efforts: Efforts,
}

impl SummaryBuilder {
    /// With room for so many shares.
    #[must_use]
    pub fn with_capacity(shares: usize) -> Self {
        Self {
            keys: Vec::with_capacity(shares),
            credits: Vec::with_capacity(shares),
            ..Self::default()
        }
    }

    /// Counts a share.
    ///
    /// # Panics
    /// If 65,536 were counted before.
    #[inline]
    pub fn add(&mut self, worker: u32, pot: Pot, credit: u128, network_work: u128) {
        let index = self.credits.len();
        assert!(index < SHARES_MAX, "a frame has at most 1,000 shares");
        let key = u64::from(pot.0) << WORKER_END | u64::from(worker) << INDEX_BITS;
        self.keys.push(key | index as u64);
        self.credits.push(credit);
        let effort = self.efforts.of(credit, network_work);
        match self.pots.last_mut() {
            Some((last, sum)) if *last == pot => *sum += effort,
            _ => self.pots.push((pot, effort)),
        }
    }

    /// The summary of all that was counted.
    #[must_use]
    pub fn finish(mut self) -> Summary {
        sort_by_pot_and_worker(&mut self.keys);
        self.pots.sort_unstable_by_key(|(pot, _)| *pot);
        let mut pots: Vec<PotSummary> = Vec::new();
        for (pot, effort) in self.pots {
            match pots.last_mut() {
                Some(last) if last.pot == pot => last.effort += effort,
                _ => pots.push(PotSummary {
                    pot,
                    effort,
                    rows: Vec::new(),
                }),
            }
        }
        let mut keys = self.keys.as_slice();
        for pot in &mut pots {
            let of_pot = keys.partition_point(|key| key >> WORKER_END <= u64::from(pot.pot.0));
            let (now, later) = keys.split_at(of_pot);
            pot.rows = rows(now, &self.credits);
            keys = later;
        }
        Summary { pots }
    }
}

/// Rows of one pot's keys, in order.
fn rows(keys: &[u64], credits: &[u128]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::with_capacity(keys.len());
    for key in keys {
        let [i0, i1, w0, w1, w2, w3, ..] = key.to_le_bytes();
        let worker = u32::from_le_bytes([w0, w1, w2, w3]);
        let index = usize::from(u16::from_le_bytes([i0, i1]));
        let credit = credits.get(index).copied().unwrap_or_default();
        match rows.last_mut() {
            Some(row) if row.worker == worker => {
                row.count += 1;
                row.credit += credit;
            }
            _ => rows.push(Row {
                worker,
                count: 1,
                credit,
            }),
        }
    }
    rows
}

/// From how many keys on sorting by bytes is faster than by comparing.
const BYTEWISE_MIN: usize = 64;

/// Sorts keys whose indices ascend: byte by byte from the lowest of the worker up, in the order that they have; bytes that
/// are the same in all keys are passed over, which leaves two of six for a pool of up to 65,536 rigs.
fn sort_by_pot_and_worker(keys: &mut Vec<u64>) {
    if keys.len() < BYTEWISE_MIN {
        keys.sort_unstable();
        return;
    }
    let all = keys.iter().fold(u64::MAX, |all, key| all & key);
    let any = keys.iter().fold(0, |any, key| any | key);
    let mut sorted = vec![0; keys.len()];
    for shift in (INDEX_BITS..u64::BITS).step_by(8) {
        let byte = |key: u64| usize::from((key >> shift).to_le_bytes()[0]);
        if byte(all ^ any) == 0 {
            continue;
        }
        let mut places = [0_usize; 256];
        for key in keys.iter() {
            if let Some(place) = places.get_mut(byte(*key)) {
                *place += 1;
            }
        }
        let mut next = 0;
        for place in &mut places {
            next += std::mem::replace(place, next);
        }
        for key in keys.iter() {
            if let Some(place) = places.get_mut(byte(*key)) {
                if let Some(slot) = sorted.get_mut(*place) {
                    *slot = *key;
                }
                *place += 1;
            }
        }
        std::mem::swap(keys, &mut sorted);
    }
}

/// How many efforts are remembered: rigs have few difficulties, and a division of u128 is slow.
const EFFORTS: usize = 16;

/// By credit: credit, network work and [`effort`] of what was worked out last.
#[derive(Debug)]
struct Efforts([(u128, u128, u128); EFFORTS]);

impl Default for Efforts {
    fn default() -> Self {
        // Zero credit of work one has no effort, so the first entries are right.
        Self([(0, 1, 0); EFFORTS])
    }
}

impl Efforts {
    /// [`effort`], remembered.
    #[inline]
    fn of(&mut self, credit: u128, network_work: u128) -> u128 {
        // Difficulties differ in their high bits: the product's top byte mixes them all.
        let [.., mixed] = u64::to_le_bytes(low(credit).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let place = usize::from(mixed) % EFFORTS;
        let Some(known) = self.0.get_mut(place) else {
            return effort(credit, network_work);
        };
        if (known.0, known.1) != (credit, network_work) {
            *known = (credit, network_work, effort(credit, network_work));
        }
        known.2
    }
}

/// Low half of a number.
const fn low(value: u128) -> u64 {
    let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = value.to_le_bytes();
    u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7])
}

/// The summary of a body of shares alone, each with its `dt`.
///
/// # Errors
/// [`Unannounced`] if a worker or job was never announced.
pub fn summarise_shares(
    shares: &[(u32, Share)],
    overlay: &Overlay<'_>,
) -> Result<Summary, Unannounced> {
    let mut builder = SummaryBuilder::with_capacity(shares.len().min(FRAME_EVENTS_MAX));
    for (_, share) in shares {
        count(share.into(), overlay, &mut builder)?;
    }
    Ok(builder.finish())
}

#[inline]
fn count(
    share: ShareRef,
    overlay: &Overlay<'_>,
    builder: &mut SummaryBuilder,
) -> Result<(), Unannounced> {
    let pot = overlay.pot(share.worker)?;
    let terms = overlay.job(share.job)?;
    let credit = credit(share, pot, terms);
    builder.add(share.worker, pot, credit, terms.network_work);
    Ok(())
}

/// The summary of a body, in order: announcements count for what follows them. `terms_of` gives the terms of a job that is
/// announced in the body; announcements are added to `overlay`.
///
/// # Errors
/// [`Unannounced`] if a number is out of turn or was never announced.
pub fn summarise(
    events: &[Event],
    overlay: &mut Overlay<'_>,
    mut terms_of: impl FnMut(JobRef) -> JobTerms,
) -> Result<Summary, Unannounced> {
    let mut builder = SummaryBuilder::with_capacity(events.len().min(FRAME_EVENTS_MAX));
    for event in events {
        match event {
            Event::Share(share) => count(share.into(), overlay, &mut builder)?,
            Event::EthashShare(share) => count(share.into(), overlay, &mut builder)?,
            Event::Worker(worker) => overlay.add_worker(worker.number, worker.pot)?,
            Event::Job(job) => {
                let terms = terms_of(job.as_ref().into());
                overlay.add_job(job.number, terms)?;
            }
            Event::EthashJob(job) => {
                let terms = terms_of(job.as_ref().into());
                overlay.add_job(job.number, terms)?;
            }
            Event::Difficulty(difficulty) => {
                overlay.pot(difficulty.worker)?;
            }
            Event::Moved(moved) if moved.worker != orebook_schema::event::NO_NUMBER => {
                overlay.pot(moved.worker)?;
                overlay.job(moved.job)?;
            }
            Event::Moved(_)
            | Event::BlockFound(_)
            | Event::Genesis(_)
            | Event::SchemaSet(_)
            | Event::KeyChange(_)
            | Event::Policy(_)
            | Event::Approval(_)
            | Event::Checkpoint(_)
            | Event::Heartbeat
            | Event::RecoveryNote(_)
            | Event::Part(_)
            | Event::Ban(_)
            | Event::Adjustment(_)
            | Event::BlockStatus(_)
            | Event::BlockRecovered(_)
            | Event::Void(_)
            | Event::Account(_)
            | Event::Setting(_)
            | Event::FeeMean(_)
            | Event::PayoutProposed(_)
            | Event::PayoutSigned(_)
            | Event::PayoutStep(_)
            | Event::PayoutCancelled(_)
            | Event::PayoutHalt(_)
            | Event::PayoutResume(_)
            | Event::WriteOff(_)
            | Event::InactiveDust(_)
            | Event::Reconciled(_) => {}
        }
    }
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{Strategy, any, prop_oneof};

    use super::*;

    /// One share: worker, pot, credit, network work.
    type Counted = (u32, Pot, u128, u128);

    /// By worker: shares and credit.
    type Rows = BTreeMap<u32, (u32, u128)>;

    /// The plain way: maps, and a division for each share.
    fn reference(shares: &[Counted]) -> Summary {
        let mut pots: BTreeMap<Pot, (u128, Rows)> = BTreeMap::new();
        for (worker, pot, credit, network_work) in shares {
            let (total, rows) = pots.entry(*pot).or_default();
            *total += effort(*credit, *network_work);
            let (count, sum) = rows.entry(*worker).or_default();
            *count += 1;
            *sum += credit;
        }
        let row = |(worker, (count, credit))| Row {
            worker,
            count,
            credit,
        };
        Summary {
            pots: pots
                .into_iter()
                .map(|(pot, (effort, rows))| PotSummary {
                    pot,
                    effort,
                    rows: rows.into_iter().map(row).collect(),
                })
                .collect(),
        }
    }

    fn shares() -> impl Strategy<Value = Vec<Counted>> {
        let worker = prop_oneof![0..8u32, 0..5_000u32, any::<u32>()];
        let pot = prop_oneof![0..3u16, any::<u16>()].prop_map(Pot);
        let credit = prop_oneof![
            (0..40u32).prop_map(|bits| 1 << bits),
            0..(1u128 << 63),
            0..4u128
        ];
        let network_work = prop_oneof![1..4u128, 1..u128::MAX, (1..4u128).prop_map(|n| n << 70)];
        proptest::collection::vec((worker, pot, credit, network_work), 0..400)
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config {
            cases: 512,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(7),
            ..Default::default()
        })]

        #[test]
        fn summaries_equal_those_added_up_in_maps(shares in shares()) {
            let mut builder = SummaryBuilder::default();
            for (worker, pot, credit, network_work) in &shares {
                builder.add(*worker, *pot, *credit, *network_work);
            }
            let (built, expected) = (builder.finish(), reference(&shares));
            proptest::prop_assert_eq!(built.to_bytes(), expected.to_bytes());
            proptest::prop_assert_eq!(built, expected);
        }
    }
}
