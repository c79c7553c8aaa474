//! Looking at machines and workers again when their time has come: what is silent for too long is not active any more, and
//! what is silent for much longer is dropped.

use super::kept::Machines;
use super::{
    AccountWorkers, MACHINE_KEPT_MS, Machine, MachineDue, PotWorkers, WORKER_KEPT_MS, Worker,
    WorkerDue, read,
};
use crate::rows::{self, KeyField, Order, Row, Rows, Span, StoreFault};

/// Most machines, and most workers, looked at again with one frame; the others wait for the next frame, ten seconds at most.
const LOOKED_AT_MAX: usize = 1_024;

/// Looks at all whose time is before `now_ms`.
pub(super) fn look_again(
    now_ms: u64,
    rows: &mut dyn Rows,
    kept: &mut Machines,
) -> Result<(), StoreFault> {
    for due in before::<MachineDue>(rows, now_ms)? {
        kept.write_back(rows, &(due.stream, due.epoch, due.number))?;
        look_at_machine(rows, &due, now_ms)?;
    }
    let workers = before::<WorkerDue>(rows, now_ms)?;
    if !workers.is_empty() {
        // No machine that is kept may outlive its worker's row.
        kept.let_go(rows)?;
    }
    for due in workers {
        look_at_worker(rows, &due, now_ms)?;
    }
    Ok(())
}

fn before<R: Row>(rows: &dyn Rows, now_ms: u64) -> Result<Vec<R>, StoreFault> {
    let mut to = Vec::new();
    now_ms.put_key(&mut to);
    let span = Span::between(Vec::new(), to);
    rows::collect(rows, &span, Order::Forward, LOOKED_AT_MAX)
}

fn look_at_machine(rows: &mut dyn Rows, due: &MachineDue, now_ms: u64) -> Result<(), StoreFault> {
    let key = Machine::key_of(
        &due.account,
        &due.pot,
        &due.name,
        &due.stream,
        &due.epoch,
        &due.number,
    );
    let Some(mut machine) = rows::get::<Machine>(rows, &key)? else {
        return rows::delete::<MachineDue>(rows, &due.key());
    };
    if machine.is_active && now_ms <= machine.silent_ms {
        move_to(rows, &mut machine, |machine| machine.silent_ms)?;
        return rows::put(rows, &machine);
    }
    set_active(rows, &mut machine, false)?;
    let kept_ms = machine.shares.last_ms.saturating_add(MACHINE_KEPT_MS);
    if kept_ms < now_ms {
        return drop_machine(rows, &machine);
    }
    move_to(rows, &mut machine, |_| kept_ms)?;
    rows::put(rows, &machine)
}

fn look_at_worker(rows: &mut dyn Rows, due: &WorkerDue, now_ms: u64) -> Result<(), StoreFault> {
    rows::delete::<WorkerDue>(rows, &due.key())?;
    let Some(worker) = read::worker(rows, &due.account, due.pot, &due.name)? else {
        return Ok(());
    };
    let kept_ms = worker.shares.last_ms.saturating_add(WORKER_KEPT_MS);
    // A machine is active for a week at most, so none is when its worker goes.
    if now_ms <= kept_ms || worker.is_active() {
        let again = WorkerDue {
            due_ms: kept_ms.max(now_ms),
            account: worker.account,
            pot: worker.pot,
            name: worker.name,
        };
        return rows::put(rows, &again);
    }
    rows::delete::<Worker>(rows, &worker.key())?;
    let mut account = read::account_or_new(rows, &worker.account)?;
    account.workers = account.workers.saturating_sub(1);
    rows::put(rows, &account)
}

/// The row that says when a machine is looked at again.
pub(super) fn row_of(machine: &Machine) -> MachineDue {
    MachineDue {
        due_ms: machine.due_ms,
        account: machine.account.clone(),
        pot: machine.pot,
        name: machine.name.clone(),
        stream: machine.stream,
        epoch: machine.epoch,
        number: machine.number,
    }
}

/// Looks at a machine again at another time; its own row is the caller's to write.
pub(super) fn move_to(
    rows: &mut dyn Rows,
    machine: &mut Machine,
    when_ms: impl FnOnce(&Machine) -> u64,
) -> Result<(), StoreFault> {
    rows::delete::<MachineDue>(rows, &row_of(machine).key())?;
    machine.due_ms = when_ms(machine);
    rows::put(rows, &row_of(machine))
}

/// Drops a machine that is not active.
pub(super) fn drop_machine(rows: &mut dyn Rows, machine: &Machine) -> Result<(), StoreFault> {
    rows::delete::<MachineDue>(rows, &row_of(machine).key())?;
    rows::delete::<Machine>(rows, &machine.key())
}

/// Sets whether a machine is active, and counts it; its own row is the caller's to write.
pub(super) fn set_active(
    rows: &mut dyn Rows,
    machine: &mut Machine,
    is_active: bool,
) -> Result<(), StoreFault> {
    if machine.is_active == is_active {
        return Ok(());
    }
    machine.is_active = is_active;
    let mut account = read::account_or_new(rows, &machine.account)?;
    let mut pot = read::pot(rows, machine.pot)?;
    let worker = read::worker(rows, &machine.account, machine.pot, &machine.name)?;
    assert!(
        worker.is_some(),
        "an active machine has sent shares, and its worker's row outlives it"
    );
    let Some(mut worker) = worker else {
        return Ok(());
    };
    step(&mut worker.machines_active, is_active);
    // The first of a worker's machines makes it active, the last one ends that.
    let turns = if is_active { 1 } else { 0 };
    if worker.machines_active == turns {
        step(&mut account.workers_active, is_active);
        step(&mut pot.workers_active, is_active);
    }
    step(&mut account.machines_active, is_active);
    step(&mut pot.machines_active, is_active);
    rows::put::<Worker>(rows, &worker)?;
    rows::put::<AccountWorkers>(rows, &account)?;
    rows::put::<PotWorkers>(rows, &pot)
}

const fn step(count: &mut u32, up: bool) {
    *count = if up {
        count.saturating_add(1)
    } else {
        count.saturating_sub(1)
    };
}
