//! What shares are credited (section 4): the one function that turns a body into its summary, used by producers when they
//! cut a frame and by admission when it judges one.

use std::collections::BTreeMap;
use std::sync::Arc;

use orebook_schema::names::Pot;
use orebook_schema::policy::PPM;
use orebook_schema::summary::{PotSummary, Row, Summary};
use orebook_schema::work::Share;
use orebook_schema::{Event, Policy};

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

/// By worker: shares and credit.
type Rows = BTreeMap<u32, (u32, u128)>;

/// Adds up the shares of a frame: by pot, effort and rows.
#[derive(Debug, Default)]
pub struct SummaryBuilder {
    pots: BTreeMap<Pot, (u128, Rows)>,
}

impl SummaryBuilder {
    /// Counts a share.
    pub fn add(&mut self, worker: u32, pot: Pot, credit: u128, network_work: u128) {
        let (total, rows) = self.pots.entry(pot).or_default();
        *total += effort(credit, network_work);
        let (count, sum) = rows.entry(worker).or_default();
        *count += 1;
        *sum += credit;
    }

    /// The summary of all that was counted.
    #[must_use]
    pub fn finish(self) -> Summary {
        let rows = |rows: Rows| {
            rows.into_iter()
                .map(|(worker, (count, credit))| Row {
                    worker,
                    count,
                    credit,
                })
                .collect()
        };
        let pots = self.pots.into_iter();
        Summary {
            pots: pots
                .map(|(pot, (effort, all))| PotSummary {
                    pot,
                    effort,
                    rows: rows(all),
                })
                .collect(),
        }
    }
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
    let mut builder = SummaryBuilder::default();
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
