//! The PPLNS window (money rules, section 3): walking backwards over frame summaries until N is reached. Only the finding
//! frame, frames with moved shares or voids and the frame where the window begins are opened.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range, RangeInclusive};
use std::sync::Arc;

use orebook_ledger::credit::{JobTerms, credit};
use orebook_schema::event::NO_NUMBER;
use orebook_schema::names::Pot;
use orebook_schema::summary::Row as SummaryRow;
use orebook_schema::work::ShareRef;
use orebook_schema::{Account, At, Event, Kind, Policy, StreamId};

use crate::fold::{Backwards, FoldStop, FrameSummary};
use crate::rows::{Order, Row as _, Span, StoreFault, View, get, scan};

use super::tables::{JobRunRow, MovedRow, PolicyRow, WorkerRow};
use super::voids;

/// Work by account, in the order of accounts.
pub(in crate::folds) type Weights = BTreeMap<Account, u128>;

/// Weights of the entries of `pot` that end with the one at `last`, `n` work of them.
pub(in crate::folds) fn weights(
    rows: &dyn View,
    ledger: &dyn Backwards,
    pot: Pot,
    last: At,
    n: u128,
) -> Result<Weights, FoldStop> {
    let mut walk = Walk::new(rows, ledger, pot, n);
    walk.open(last.position, 0..=last.index)?;
    walk.down(last.position)?;
    Ok(walk.weights())
}

/// Weights of the entries of `pot` at positions below `size`, the last `n` work of them.
pub(super) fn weights_below(
    rows: &dyn View,
    ledger: &dyn Backwards,
    pot: Pot,
    size: u64,
    n: u128,
) -> Result<Weights, FoldStop> {
    let mut walk = Walk::new(rows, ledger, pot, n);
    walk.down(size)?;
    Ok(walk.weights())
}

/// What a stream announced in an epoch, as far as weights ask.
#[derive(Default)]
struct Epoch {
    /// By worker's number: index of the account, and pot.
    workers: Vec<(u32, Pot)>,
    /// First job's number and its terms, ascending.
    runs: Vec<(u32, JobTerms)>,
}

/// Accounts of a window, each with an index. What they have stands apart from what they are: a window's rows go through all of
/// it again and again, and that should fit a core's cache.
#[derive(Default)]
struct Accounts {
    numbers: BTreeMap<Account, u32>,
    /// By index: work.
    work: Vec<u128>,
    /// By index: what voids take back of it. Those behind its end have none.
    void: Vec<u128>,
}

impl Accounts {
    /// The index of an account, which is given one if it is new.
    fn number_of(&mut self, account: &Account) -> u32 {
        if let Some(number) = self.numbers.get(account) {
            return *number;
        }
        let number = u32::try_from(self.work.len());
        assert!(number.is_ok(), "a window has fewer than 2^32 accounts");
        let number = number.unwrap_or(u32::MAX);
        self.numbers.insert(account.clone(), number);
        self.work.push(0);
        number
    }

    fn add(&mut self, account: u32, work: u128) {
        if let Some(sum) = self.work.get_mut(place(account)) {
            *sum += work;
        }
    }

    fn add_void(&mut self, account: u32, credit: u128) {
        let place = place(account);
        if self.void.len() <= place {
            self.void.resize(place + 1, 0);
        }
        if let Some(sum) = self.void.get_mut(place) {
            *sum += credit;
        }
    }

    fn total(&self) -> u128 {
        let (work, void): (u128, u128) = (self.work.iter().sum(), self.void.iter().sum());
        work.saturating_sub(void)
    }

    /// Those that have weight, ascending.
    fn weights(self) -> Weights {
        let Self {
            numbers,
            work,
            void,
        } = self;
        let sum = |sums: &[u128], number| sums.get(place(number)).copied().unwrap_or(0);
        let weights = numbers
            .into_iter()
            .map(|(account, number)| {
                let weight = sum(&work, number).saturating_sub(sum(&void, number));
                (account, weight)
            })
            .filter(|(_, weight)| 0 < *weight);
        weights.collect()
    }
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A window that is being filled: frames are given to it, the last first. What numbers stand for it asks the rows that
/// [`announced`](super::announced) keeps.
pub(in crate::folds) struct Walk<'w> {
    rows: &'w dyn View,
    ledger: &'w dyn Backwards,
    pot: Pot,
    /// Work that the window still takes; a void makes room for as much as it takes back.
    left: u128,
    accounts: Accounts,
    epochs: BTreeMap<(StreamId, u32), Epoch>,
}

impl<'w> Walk<'w> {
    /// A window of `n` work of a pot.
    pub(in crate::folds) const fn new(
        rows: &'w dyn View,
        ledger: &'w dyn Backwards,
        pot: Pot,
        n: u128,
    ) -> Self {
        Self {
            rows,
            ledger,
            pot,
            left: n,
            accounts: Accounts {
                numbers: BTreeMap::new(),
                work: Vec::new(),
                void: Vec::new(),
            },
            epochs: BTreeMap::new(),
        }
    }

    /// Whether it has all of its work.
    pub(in crate::folds) const fn is_full(&self) -> bool {
        self.left == 0
    }

    /// All the work that it has; what voids take back is taken off.
    pub(super) fn total(&self) -> u128 {
        self.accounts.total()
    }

    /// What it has, by account; those without weight are left out.
    pub(in crate::folds) fn weights(self) -> Weights {
        self.accounts.weights()
    }

    /// Takes the frames below a position until it is full.
    pub(super) fn down(&mut self, below: u64) -> Result<(), FoldStop> {
        let mut position = below;
        let mut frame = FrameSummary::new();
        while 0 < position && !self.is_full() {
            position -= 1;
            self.ledger.summary(position, &mut frame)?;
            self.step(&frame)?;
        }
        Ok(())
    }

    /// Takes one entry that no frame has, as far as there is room.
    pub(super) fn take(&mut self, account: &Account, work: u128) {
        let work = work.min(self.left);
        self.give(account, work);
        self.left -= work;
    }

    /// Takes a whole frame by its summary, or opens it.
    pub(in crate::folds) fn step(&mut self, frame: &FrameSummary) -> Result<(), FoldStop> {
        let position = frame.position;
        if frame.has(Kind::Void) {
            // An archiver's: it has nothing else that weighs.
            return Ok(self.take_voids(position)?);
        }
        if frame.has(Kind::Moved) && self.counted(position)?.is_some() {
            return self.open(position, 0..=u16::MAX);
        }
        let mut pots = frame.summary.pots.iter();
        let Some(pot) = pots.find(|pot| pot.pot == self.pot) else {
            return Ok(());
        };
        let work: u128 = pot.rows.iter().map(|row| row.credit).sum();
        if self.left < work {
            return self.open(position, 0..=u16::MAX);
        }
        self.take_rows(frame, &pot.rows)?;
        self.left -= work;
        Ok(())
    }

    /// Takes a frame's voids, which always count whole.
    fn take_voids(&mut self, position: u64) -> Result<(), StoreFault> {
        let pot = self.pot;
        let mut taken = Vec::new();
        voids::of_frame(self.rows, position, |void| {
            if void.pot == pot {
                taken.push((void.account, void.credit));
            }
        })?;
        for (account, credit) in taken {
            let index = self.accounts.number_of(&account);
            self.accounts.add_void(index, credit);
            // A window without end stays one.
            self.left = self.left.saturating_add(credit);
        }
        Ok(())
    }

    fn take_rows(&mut self, frame: &FrameSummary, rows: &[SummaryRow]) -> Result<(), FoldStop> {
        let epoch = self.epoch(frame.stream, frame.epoch)?;
        for row in rows {
            let (account, _) = worker_of(&epoch, row.worker)?;
            self.accounts.add(account, row.credit);
        }
        self.epochs.insert((frame.stream, frame.epoch), epoch);
        Ok(())
    }

    /// Adds work that comes beside entries, and that no window cuts.
    pub(super) fn give(&mut self, account: &Account, work: u128) {
        let index = self.accounts.number_of(account);
        self.accounts.add(index, work);
    }

    /// Takes the entries of a frame at the indices one by one, the last first.
    pub(in crate::folds) fn open(
        &mut self,
        position: u64,
        indices: RangeInclusive<u16>,
    ) -> Result<(), FoldStop> {
        let stored = self.ledger.frame(position)?;
        let header = stored.frame.header();
        let (stream, number) = (header.stream, header.epoch);
        let events = stored
            .frame
            .decode()
            .map_err(|error| FoldStop::Unreadable(format!("position {position}: {error}")))?;
        let counted = self.counted(position)?.unwrap_or_default();
        let epoch = self.epoch(stream, number)?;
        let entries: Vec<(u16, &Event)> = (0..=*indices.end()).zip(&events).collect();
        for (index, event) in entries.into_iter().rev() {
            if index < *indices.start() {
                break;
            }
            if self.left == 0 {
                break;
            }
            let Some((worker, job, share)) = entry(event, counted.contains(&index)) else {
                continue;
            };
            let (account, pot) = worker_of(&epoch, worker)?;
            if pot != self.pot {
                continue;
            }
            let work = credit(share, pot, terms_of(&epoch, job)?).min(self.left);
            self.accounts.add(account, work);
            self.left -= work;
        }
        self.epochs.insert((stream, number), epoch);
        Ok(())
    }

    /// What the moved shares of a frame that count were credited, each with the index of its account.
    fn moved_credits(
        &self,
        position: u64,
        epoch: &Epoch,
        counted: &[u16],
    ) -> Result<Vec<(u32, u128)>, FoldStop> {
        let stored = self.ledger.frame(position)?;
        let events = stored
            .frame
            .decode()
            .map_err(|error| FoldStop::Unreadable(format!("position {position}: {error}")))?;
        let mut credits = Vec::new();
        for (index, event) in (0u16..).zip(&events) {
            let moved = counted.contains(&index).then(|| entry(event, true));
            if let Some((worker, job, share)) = moved.flatten() {
                let (account, pot) = worker_of(epoch, worker)?;
                credits.push((account, credit(share, pot, terms_of(epoch, job)?)));
            }
        }
        Ok(credits)
    }

    /// Indices of the moved events of a frame that count.
    fn counted(&self, position: u64) -> Result<Option<Vec<u16>>, StoreFault> {
        let row: Option<MovedRow> = get(self.rows, &MovedRow::key_of(&position))?;
        Ok(row.map(|row| row.counted))
    }

    /// Takes an epoch out of the cache, loading it first if need be; the caller puts it back.
    fn epoch(&mut self, stream: StreamId, number: u32) -> Result<Epoch, StoreFault> {
        if let Some(epoch) = self.epochs.remove(&(stream, number)) {
            return Ok(epoch);
        }
        let mut epoch = Epoch::default();
        let span = Span::prefix(&[stream.0.as_slice(), &number.to_be_bytes()].concat());
        let accounts = &mut self.accounts;
        scan(self.rows, &span, Order::Forward, |row: WorkerRow| {
            let index = accounts.number_of(&row.account);
            epoch.workers.push((index, row.pot));
            ControlFlow::Continue(())
        })?;
        let mut runs: Vec<JobRunRow> = Vec::new();
        scan(self.rows, &span, Order::Forward, |row| {
            runs.push(row);
            ControlFlow::Continue(())
        })?;
        for run in runs {
            let policy = run.policy.map(|at| policy(self.rows, at)).transpose()?;
            let terms = JobTerms {
                // What a share is credited does not ask for it.
                network_work: 1,
                policy: policy.flatten(),
            };
            epoch.runs.push((run.from, terms));
        }
        Ok(epoch)
    }
}

/// Adds to `found` which of `named` had a share credited 1 or more at these positions, in any pot. Frames are read from the last
/// down until all are found.
pub(super) fn credited(
    rows: &dyn View,
    ledger: &dyn Backwards,
    positions: Range<u64>,
    named: &BTreeSet<Account>,
    found: &mut BTreeSet<Account>,
) -> Result<(), FoldStop> {
    // It takes nothing: its epochs and accounts are asked.
    let mut walk = Walk::new(rows, ledger, Pot(0), 0);
    let mut known: BTreeMap<u32, Account> = BTreeMap::new();
    let mut numbered = 0;
    let mut frame = FrameSummary::new();
    for position in positions.rev() {
        if found.len() == named.len() {
            break;
        }
        ledger.summary(position, &mut frame)?;
        let counted = match frame.has(Kind::Moved) {
            true => walk.counted(position)?,
            false => None,
        };
        if counted.is_none() && frame.summary.pots.is_empty() {
            continue;
        }
        let epoch = walk.epoch(frame.stream, frame.epoch)?;
        if walk.accounts.work.len() != numbered {
            numbered = walk.accounts.work.len();
            let numbers = &walk.accounts.numbers;
            let number = |account: &Account| Some((*numbers.get(account)?, account.clone()));
            known = named.iter().filter_map(number).collect();
        }
        let mut credits: Vec<(u32, u128)> = Vec::new();
        for row in frame.summary.pots.iter().flat_map(|pot| &pot.rows) {
            credits.push((worker_of(&epoch, row.worker)?.0, row.credit));
        }
        if let Some(counted) = counted {
            credits.extend(walk.moved_credits(position, &epoch, &counted)?);
        }
        walk.epochs.insert((frame.stream, frame.epoch), epoch);
        for (index, credit) in credits {
            if 0 < credit {
                found.extend(known.get(&index).cloned());
            }
        }
    }
    Ok(())
}

/// A policy that a job cited.
pub(super) fn policy(rows: &dyn View, at: At) -> Result<Option<Arc<Policy>>, StoreFault> {
    let row: Option<PolicyRow> = get(rows, &PolicyRow::key_of(&at))?;
    Ok(row.map(|row| Arc::new(row.policy)))
}

/// Worker, job and share of an entry; none for events that are none.
pub(super) fn entry(event: &Event, counts: bool) -> Option<(u32, u32, ShareRef)> {
    match event {
        Event::Moved(moved) if counts && moved.worker != NO_NUMBER => {
            let share = moved.inner().ok()?.share()?;
            Some((moved.worker, moved.job, share))
        }
        _ => event.share().map(|share| (share.worker, share.job, share)),
    }
}

/// Admission lets no frame name a worker or job that was not announced: a row that is not here is a damaged store's.
fn worker_of(epoch: &Epoch, number: u32) -> Result<(u32, Pot), StoreFault> {
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    epoch
        .workers
        .get(index)
        .copied()
        .ok_or(StoreFault::Damaged {
            table: WorkerRow::TABLE,
            what: "a worker is missing",
        })
}

fn terms_of(epoch: &Epoch, number: u32) -> Result<&JobTerms, StoreFault> {
    let after = epoch.runs.partition_point(|(from, _)| *from <= number);
    let run = after.checked_sub(1).and_then(|at| epoch.runs.get(at));
    run.map(|(_, terms)| terms).ok_or(StoreFault::Damaged {
        table: JobRunRow::TABLE,
        what: "a job is missing",
    })
}
