//! What shares are credited (section 4): the one function that turns a body into its summary, used by producers when they
//! cut a frame and by admission when it judges one.

use std::sync::Arc;

use orebook_schema::names::Pot;
use orebook_schema::policy::PPM;
use orebook_schema::summary::{PotSummary, Row, Summary};
use orebook_schema::work::Share;
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
pub fn credit(share: &Share, pot: Pot, terms: &JobTerms) -> u128 {
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

/// Efforts that a [`SummaryBuilder`] remembers: rigs have few difficulties, and a division of u128 is slow.
const EFFORTS: usize = 16;

/// Credit, network work and effort of a share.
type Effort = (u128, u128, u128);

/// Adds up the shares of a frame: by pot, effort and rows.
#[derive(Debug)]
pub struct SummaryBuilder {
    /// Pot, worker and index in `amounts` of each share, in one number that sorts.
    keys: Vec<u128>,
    /// Credit and effort of each share.
    amounts: Vec<(u128, u128)>,
    /// By credit: what was worked out last. Zero credit of work one has no effort, so the first entries are right.
    efforts: [Effort; EFFORTS],
}

impl Default for SummaryBuilder {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl SummaryBuilder {
    /// With room for so many shares.
    #[must_use]
    pub fn with_capacity(shares: usize) -> Self {
        Self {
            keys: Vec::with_capacity(shares),
            amounts: Vec::with_capacity(shares),
            efforts: [(0, 1, 0); EFFORTS],
        }
    }

    /// Counts a share.
    pub fn add(&mut self, worker: u32, pot: Pot, credit: u128, network_work: u128) {
        let effort = self.effort(credit, network_work);
        let index = self.amounts.len() as u64;
        self.keys
            .push(u128::from(pot.0) << 96 | u128::from(worker) << 64 | u128::from(index));
        self.amounts.push((credit, effort));
    }

    /// [`effort`], remembered.
    fn effort(&mut self, credit: u128, network_work: u128) -> u128 {
        // Difficulties differ in their high bits: the product's top byte mixes them all.
        let [.., mixed] = u64::to_le_bytes(low(credit).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let place = usize::from(mixed) % EFFORTS;
        let Some(known) = self.efforts.get_mut(place) else {
            return effort(credit, network_work);
        };
        if (known.0, known.1) != (credit, network_work) {
            *known = (credit, network_work, effort(credit, network_work));
        }
        known.2
    }

    /// The summary of all that was counted.
    #[must_use]
    pub fn finish(mut self) -> Summary {
        self.keys.sort_unstable();
        let mut pots: Vec<PotSummary> = Vec::new();
        for key in &self.keys {
            let pot = Pot(u16::try_from(key >> 96).unwrap_or(u16::MAX));
            let worker = u32::try_from(key >> 64 & u128::from(u32::MAX)).unwrap_or(u32::MAX);
            let index = usize::try_from(low(*key)).unwrap_or(usize::MAX);
            let (credit, effort) = self.amounts.get(index).copied().unwrap_or_default();
            if pots.last().is_none_or(|last| last.pot != pot) {
                let rows = Vec::with_capacity(if pots.is_empty() { self.keys.len() } else { 0 });
                pots.push(PotSummary {
                    pot,
                    effort: 0,
                    rows,
                });
            }
            let Some(last) = pots.last_mut() else {
                continue;
            };
            last.effort += effort;
            match last.rows.last_mut() {
                Some(row) if row.worker == worker => {
                    row.count += 1;
                    row.credit += credit;
                }
                _ => last.rows.push(Row {
                    worker,
                    count: 1,
                    credit,
                }),
            }
        }
        Summary { pots }
    }
}

/// Low half of a number.
const fn low(value: u128) -> u64 {
    let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = value.to_le_bytes();
    u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7])
}

/// The summary of a body, in order: announcements count for what follows them. `terms_of` gives the terms of a job that is
/// announced in the body; announcements are added to `overlay`.
///
/// # Errors
/// [`Unannounced`] if a number is out of turn or was never announced.
pub fn summarise(
    events: &[Event],
    overlay: &mut Overlay<'_>,
    mut terms_of: impl FnMut(&orebook_schema::work::Job) -> JobTerms,
) -> Result<Summary, Unannounced> {
    let mut builder = SummaryBuilder::with_capacity(events.len().min(FRAME_EVENTS_MAX));
    for event in events {
        match event {
            Event::Share(share) => {
                let pot = overlay.pot(share.worker)?;
                let terms = overlay.job(share.job)?;
                builder.add(
                    share.worker,
                    pot,
                    credit(share, pot, terms),
                    terms.network_work,
                );
            }
            Event::Worker(worker) => overlay.add_worker(worker.number, worker.pot)?,
            Event::Job(job) => {
                let terms = terms_of(job);
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
            | Event::BlockStatus(_)
            | Event::BlockRecovered(_) => {}
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
