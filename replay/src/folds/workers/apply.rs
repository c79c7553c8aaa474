//! How a frame changes the rows of `workers`.

use std::collections::BTreeMap;

use orebook_schema::names::Pot;
use orebook_schema::{Account, Event, Kind, WorkerName};

use super::due::{self, set_active};
use super::kept::{KeptMachine, Machines};
use super::registry::{self, Rig};
use super::silence::{PACE_SHARES, explained_ms};
use super::{Machine, Tally, WORKER_KEPT_MS, Worker, WorkerDue, read};
use crate::fold::{FinalFrame, FoldStop, ShareEntry};
use crate::folds::hashrate::shown_time;
use crate::folds::kept::{Epoch, Place};
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
    kept: &mut Machines,
) -> Result<(), FoldStop> {
    kept.still_whole()?;
    registry::learn(frame, rows)?;
    let (header, now_ms) = (frame.header(), frame.ledger_time);
    let (mut known, behind) = kept.epoch((header.stream, header.epoch));
    let others = hear_kept(frame, rows, &mut known, behind)?;
    let mut rigs = Vec::new();
    for (number, said) in others {
        if let Some(rig) = registry::rig(frame, rows, number)? {
            rigs.push((rig, said));
        }
    }
    let sums = rigs
        .iter()
        .map(|(rig, said)| ((&rig.account, rig.pot, &rig.name), &said.shares));
    add_to_sums(rows, sums, now_ms)?;
    for (rig, said) in rigs {
        let machine = update(rows, kept, &rig, said, now_ms)?;
        // One without shares takes another's place with its first.
        if !machine.shares.is_empty() {
            kept.keep(rows, machine, frame)?;
        }
    }
    Ok(())
}

/// Takes what a frame says of machines that are kept, and returns what it says of others.
fn hear_kept(
    frame: &FinalFrame<'_>,
    rows: &mut dyn Rows,
    kept: &mut Epoch<'_, KeptMachine>,
    behind: &mut Vec<Place>,
) -> Result<BTreeMap<u32, Said>, StoreFault> {
    let mut others: BTreeMap<u32, Said> = BTreeMap::new();
    let mut heard = Vec::new();
    // Difficulties come first, wherever in the frame they stand.
    if frame.has(Kind::Difficulty) {
        for (_, _, event) in frame.events() {
            if let Event::Difficulty(difficulty) = event {
                let (number, units) = (difficulty.worker, difficulty.work.units());
                if let Some(known) = kept.get_mut(number) {
                    known.announce(units);
                    heard.extend(known.hear_of(frame).then_some(number));
                } else {
                    others.entry(number).or_default().difficulty = Some(units);
                }
            }
        }
    }
    if frame.has_any(Kind::SHARES | Kind::Moved.bit()) {
        for entry in frame.shares() {
            let share = Heard::of(&entry, frame.ledger_time);
            if let Some(known) = kept.get_mut(entry.worker) {
                known.hear_share(&share);
                heard.extend(known.hear_of(frame).then_some(entry.worker));
            } else {
                let said = others.entry(entry.worker).or_default();
                said.shares.add_share(&share);
                push_recent(&mut said.recent, (share.time, share.units));
            }
        }
    }
    let header = frame.header();
    for number in heard {
        if let Some(known) = kept.get_mut(number) {
            let place = (header.stream, header.epoch, number);
            behind.extend(known.fall_behind().then_some(place));
            if !known.is_settled(frame.ledger_time) {
                let (machine, silent_ms) = known.unsettled();
                judge(rows, machine, silent_ms, frame.ledger_time)?;
                known.settle();
            }
        }
    }
    Ok(others)
}

/// A share, as far as it is counted here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// When it is shown, milliseconds since 1970.
    pub(super) time: u64,
    /// Its work.
    pub(super) units: u64,
    /// Whether it is stale.
    pub(super) is_stale: bool,
}

impl Heard {
    fn of(entry: &ShareEntry<'_>, ledger_ms: u64) -> Self {
        Self {
            time: shown_time(entry.time, ledger_ms),
            units: entry.share.work.units(),
            is_stale: entry.share.stale,
        }
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
    kept: &mut Machines,
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
    if !machine.shares.is_empty() {
        let explained_ms = explained_ms(&machine.recent, machine.difficulty);
        let silent_ms = machine.shares.last_ms.saturating_add(explained_ms);
        judge(rows, &mut machine, silent_ms, now_ms)?;
    }
    rows::put(rows, &machine)?;
    Ok(machine)
}

/// Adds what a frame said of a machine.
fn hear(machine: &mut Machine, said: Said) {
    machine.shares.add(&said.shares);
    if let Some(units) = said.difficulty {
        machine.announce(units);
    }
    for share in said.recent {
        machine.hear_difficulty(share.1);
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
    kept: &mut Machines,
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

/// A worker, and what a machine of it sent.
pub(super) type Sent<'r> = ((&'r Account, Pot, &'r WorkerName), &'r Tally);

/// Adds what the frame's rigs sent to their workers, accounts and pots, so that each row is written once a frame. Workers'
/// rows are there before their machines become active.
pub(super) fn add_to_sums<'r>(
    rows: &mut dyn Rows,
    sent: impl Iterator<Item = Sent<'r>>,
    now_ms: u64,
) -> Result<(), StoreFault> {
    let mut workers: BTreeMap<(&Account, Pot, &WorkerName), Tally> = BTreeMap::new();
    let mut accounts: BTreeMap<&Account, (Tally, u32)> = BTreeMap::new();
    let mut pots: BTreeMap<Pot, Tally> = BTreeMap::new();
    for (worker, shares) in sent.filter(|(_, shares)| !shares.is_empty()) {
        workers.entry(worker).or_default().add(shares);
        let (account, pot, _) = worker;
        accounts.entry(account).or_default().0.add(shares);
        pots.entry(pot).or_default().add(shares);
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
fn judge(
    rows: &mut dyn Rows,
    machine: &mut Machine,
    silent_ms: u64,
    now_ms: u64,
) -> Result<(), StoreFault> {
    machine.silent_ms = silent_ms;
    let is_active = now_ms <= silent_ms;
    set_active(rows, machine, is_active)?;
    if is_active && silent_ms < machine.due_ms {
        due::move_to(rows, machine, |machine| machine.silent_ms)?;
    }
    Ok(())
}
