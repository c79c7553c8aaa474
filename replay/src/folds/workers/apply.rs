//! How a frame changes the rows of `workers`.

use std::collections::BTreeMap;

use orebook_schema::names::Pot;
use orebook_schema::{Account, Event, Kind, WorkerName};

use super::due::{self, set_active};
use super::kept::Kept;
use super::registry::{self, Rig};
use super::silence::{PACE_SHARES, explained_ms};
use super::{Machine, Tally, WORKER_KEPT_MS, Worker, WorkerDue, read};
use crate::fold::{FinalFrame, FoldStop, ShareEntry};
use crate::folds::hashrate::shown_time;
use crate::rows::{self, KeyField, Order, Row as _, Rows, Span, StoreFault};

/// What a frame says of one number.
#[derive(Debug, Default)]
struct Said {
    difficulty: Option<u64>,
    shares: Tally,
    /// The frame's last shares of it: time, work.
    recent: Vec<(u64, u64)>,
}

pub(super) fn apply(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    kept: &mut Kept,
) -> Result<(), FoldStop> {
    kept.still_whole()?;
    registry::learn(frame, rows)?;
    let mut said: BTreeMap<u32, Said> = BTreeMap::new();
    if frame.has(Kind::Difficulty) {
        for (_, _, event) in frame.events() {
            if let Event::Difficulty(difficulty) = event {
                let number = said.entry(difficulty.worker).or_default();
                number.difficulty = Some(difficulty.work.units());
            }
        }
    }
    if frame.has(Kind::Share) || frame.has(Kind::Moved) {
        for entry in frame.shares() {
            let number = said.entry(entry.worker).or_default();
            number.take(&entry, frame.ledger_time);
        }
    }
    let (header, now_ms) = (frame.header(), frame.ledger_time);
    let mut rigs = Vec::new();
    for (number, said) in said {
        if let Some(known) = kept.get_mut(&(header.stream, header.epoch, number)) {
            known.more.add(&said.shares);
            known.now_ms = now_ms;
            hear(&mut known.machine, said);
            judge(rows, &mut known.machine, now_ms)?;
        } else if let Some(rig) = registry::rig(frame, rows, number)? {
            rigs.push((rig, said));
        }
    }
    let sums = rigs.iter().map(|(rig, said)| (rig, &said.shares));
    add_to_sums(rows, sums, now_ms)?;
    for (rig, said) in rigs {
        let machine = update(rows, kept, &rig, said, now_ms)?;
        // One without shares takes another's place with its first.
        if !machine.shares.is_empty() {
            kept.keep(rows, rig, machine, now_ms)?;
        }
    }
    Ok(())
}

impl Said {
    fn take(&mut self, entry: &ShareEntry<'_>, ledger_ms: u64) {
        let time = shown_time(entry.time, ledger_ms);
        let units = entry.share.work.units();
        let work = u128::from(units);
        let is_stale = entry.share.stale;
        self.shares.add(&Tally {
            accepted: u64::from(!is_stale),
            accepted_work: if is_stale { 0 } else { work },
            stale: u64::from(is_stale),
            stale_work: if is_stale { work } else { 0 },
            first_ms: time,
            last_ms: time,
        });
        push_recent(&mut self.recent, (time, units));
    }
}

fn push_recent(recent: &mut Vec<(u64, u64)>, share: (u64, u64)) {
    if PACE_SHARES <= recent.len() {
        recent.remove(0);
    }
    recent.push(share);
}

/// Updates the row of a machine that is not kept, and returns it.
fn update(
    rows: &mut dyn Rows,
    kept: &mut Kept,
    rig: &Rig,
    said: Said,
    now_ms: u64,
) -> Result<Machine, StoreFault> {
    let key = Machine::key_of(
        &rig.account,
        &rig.pot,
        &rig.name,
        &rig.stream,
        &rig.epoch,
        &rig.number,
    );
    let known = rows::get::<Machine>(rows, &key)?;
    let mut machine = match known {
        Some(machine) => machine,
        None => made(rows, rig, now_ms)?,
    };
    if machine.shares.is_empty() && !said.shares.is_empty() {
        machine.recent = replaced(rows, kept, &machine)?;
    }
    hear(&mut machine, said);
    judge(rows, &mut machine, now_ms)?;
    rows::put(rows, &machine)?;
    Ok(machine)
}

/// Adds what a frame said of a machine.
fn hear(machine: &mut Machine, said: Said) {
    machine.shares.add(&said.shares);
    // Shares of the difficulty before may still come, so the announced one is not taken from shares.
    if let Some(difficulty) = said.difficulty {
        machine.difficulty = difficulty;
        machine.is_announced = true;
    }
    for share in said.recent {
        if !machine.is_announced {
            machine.difficulty = share.1;
        }
        push_recent(&mut machine.recent, share);
    }
}

/// A machine's first row.
fn made(rows: &mut dyn Rows, rig: &Rig, now_ms: u64) -> Result<Machine, StoreFault> {
    let machine = Machine {
        account: rig.account.clone(),
        pot: rig.pot,
        name: rig.name.clone(),
        stream: rig.stream,
        epoch: rig.epoch,
        number: rig.number,
        shares: Tally::default(),
        difficulty: 0,
        is_announced: false,
        recent: Vec::new(),
        silent_ms: 0,
        is_active: false,
        due_ms: now_ms.saturating_add(super::MACHINE_KEPT_MS),
    };
    rows::put(rows, &due::row_of(&machine))?;
    Ok(machine)
}

/// Drops the oldest machine of the same worker and stream that an earlier epoch announced, if there is one: it is the same
/// rig, announced anew. Returns the shares that its pace was taken from.
fn replaced(
    rows: &mut dyn Rows,
    kept: &mut Kept,
    machine: &Machine,
) -> Result<Vec<(u64, u64)>, StoreFault> {
    let mut prefix = Vec::new();
    machine.account.put_key(&mut prefix);
    machine.pot.put_key(&mut prefix);
    machine.name.put_key(&mut prefix);
    machine.stream.put_key(&mut prefix);
    let mut now = prefix.clone();
    machine.epoch.put_key(&mut now);
    let before = rows::first::<Machine>(rows, &Span::prefix_to(&prefix, now), Order::Forward)?;
    let Some(before) = before else {
        return Ok(Vec::new());
    };
    // A kept machine has a row, but one that is behind.
    kept.write_back(rows, &(before.stream, before.epoch, before.number))?;
    let Some(mut before) = rows::get::<Machine>(rows, &before.key())? else {
        return Ok(Vec::new());
    };
    set_active(rows, &mut before, false)?;
    due::drop_machine(rows, &before)?;
    Ok(before.recent)
}

/// Adds what the frame's rigs sent to their workers, accounts and pots, so that each row is written once a frame. Workers'
/// rows are there before their machines become active.
pub(super) fn add_to_sums<'r>(
    rows: &mut dyn Rows,
    rigs: impl Iterator<Item = (&'r Rig, &'r Tally)>,
    now_ms: u64,
) -> Result<(), StoreFault> {
    let mut workers: BTreeMap<(&Account, Pot, &WorkerName), Tally> = BTreeMap::new();
    let mut accounts: BTreeMap<&Account, (Tally, u32)> = BTreeMap::new();
    let mut pots: BTreeMap<Pot, Tally> = BTreeMap::new();
    for (rig, shares) in rigs.filter(|(_, shares)| !shares.is_empty()) {
        let worker = workers.entry((&rig.account, rig.pot, &rig.name));
        worker.or_default().add(shares);
        let (account, _) = accounts.entry(&rig.account).or_default();
        account.add(shares);
        pots.entry(rig.pot).or_default().add(shares);
    }
    for ((account, pot, name), shares) in workers {
        let known = read::worker(rows, account, pot, name)?;
        if known.is_none() {
            let (_, made) = accounts.entry(account).or_default();
            *made += 1;
            let due = WorkerDue {
                due_ms: now_ms.saturating_add(WORKER_KEPT_MS),
                account: account.clone(),
                pot,
                name: name.clone(),
            };
            rows::put(rows, &due)?;
        }
        let mut worker = known.unwrap_or_else(|| Worker {
            account: account.clone(),
            pot,
            name: name.clone(),
            shares: Tally::default(),
            machines_active: 0,
        });
        worker.shares.add(&shares);
        rows::put(rows, &worker)?;
    }
    for (account, (shares, made)) in accounts {
        let mut row = read::account_or_new(rows, account)?;
        row.workers = row.workers.saturating_add(made);
        row.shares.add(&shares);
        rows::put(rows, &row)?;
    }
    for (pot, shares) in pots {
        let mut row = read::pot(rows, pot)?;
        row.shares.add(&shares);
        rows::put(rows, &row)?;
    }
    Ok(())
}

/// Says until when the machine's silence is explained, and whether it is active now; its own row is the caller's to write.
fn judge(rows: &mut dyn Rows, machine: &mut Machine, now_ms: u64) -> Result<(), StoreFault> {
    if machine.shares.is_empty() {
        return Ok(());
    }
    let explained_ms = explained_ms(&machine.recent, machine.difficulty);
    machine.silent_ms = machine.shares.last_ms.saturating_add(explained_ms);
    let is_active = now_ms <= machine.silent_ms;
    set_active(rows, machine, is_active)?;
    if is_active && machine.silent_ms < machine.due_ms {
        due::move_to(rows, machine, |machine| machine.silent_ms)?;
    }
    Ok(())
}
