//! A batch's lines, each back to the credits that it pays, and these back to their blocks (docs/rules.md, 8.14).

use orebook_replay::folds::money::origins::{self, Given, Origins, Source};
use orebook_replay::folds::money::payouts::{self, BatchRow, LineRow, StepRow, TxRow, What};
use orebook_replay::folds::money::{self, SUB_UNITS};
use orebook_schema::Account;

use super::{Books, Section, block, failure, grouped};
use crate::Failure;

/// Of one account's line, with the blocks that it pays; without an account of every line, without their blocks' arithmetic.
pub(super) fn explain(
    books: &Books<'_>,
    (wallet, number): (u16, u64),
    account: Option<&Account>,
) -> Result<Vec<Section>, Failure> {
    let batch = payouts::batch(books.view, wallet, number).map_err(failure)?;
    let missing = || Failure::new(format!("no batch {wallet}/{number} is in this ledger"));
    let batch = batch.ok_or_else(missing)?;
    let lines = payouts::lines(books.view, wallet, number).map_err(failure)?;
    let steps = payouts::steps(books.view, wallet, number).map_err(failure)?;
    let mut sections = vec![of_batch(&batch, &steps)];
    let wanted = |line: &&LineRow| account.is_none_or(|account| line.account == *account);
    let wanted: Vec<&LineRow> = lines.iter().filter(wanted).collect();
    if wanted.is_empty() {
        let whose = account.map_or_else(String::new, |account| books.shown(account));
        return Err(Failure::new(format!(
            "batch {wallet}/{number} has no line of {whose}"
        )));
    }
    for line in wanted {
        let tx = payouts::tx(books.view, wallet, number, line.tx).map_err(failure)?;
        let found = origins::origins(books.view, &line.account).map_err(failure)?;
        let mut section = of_line(books, line);
        moved(tx.as_ref(), &steps, &mut section);
        let blocks = match &found {
            Some(origins) => pays(origins, line, &mut section),
            None => {
                let how = "the account has too many credits to be looked through";
                section.row("pays", "unknown", how, "8.14", None);
                Vec::new()
            }
        };
        sections.push(section);
        if account.is_some() {
            for hash in blocks {
                let row = money::block(books.view, &hash).map_err(failure)?;
                let row =
                    row.ok_or_else(|| Failure::new("a block of a credit is missing").found())?;
                sections.push(block::section(books, &row, &line.account)?);
            }
        }
    }
    Ok(sections)
}

fn of_batch(batch: &BatchRow, steps: &[StepRow]) -> Section {
    let title = format!("batch {}/{} (base units)", batch.wallet, batch.batch);
    let mut section = Section::new(title);
    let how = format!("Σ of {} lines, in {} transactions", batch.lines, batch.txs);
    section.row("total", grouped(batch.total), how, "8.8", Some(batch.at));
    section.row(
        "fee",
        grouped(batch.fee),
        "expected of the network",
        "8.3",
        Some(batch.at),
    );
    let how = format!("approvals are needed, of the digest {}", batch.digest);
    section.row("needed", batch.needed, how, "8.7", Some(batch.policy));
    let approved = steps.iter().find(|step| step.what == What::Approved);
    let (value, how) = match (batch.approved, approved) {
        (None, _) => ("no", "it waits"),
        (Some(_), _) => ("yes", "so many distinct approvers signed the digest"),
    };
    section.row("approved", value, how, "8.7.1", batch.approved);
    let how = "confirmed blocks that the batch cites: it was refused if one were not";
    section.row("blocks", batch.cited.len(), how, "8.8", Some(batch.at));
    section
}

fn of_line(books: &Books<'_>, line: &LineRow) -> Section {
    let account = books.shown(&line.account);
    let title = format!("line {} of it: {account} (base units)", line.number);
    let mut section = Section::new(title);
    let how = "available:a to reserved:a at the proposal";
    section.row("amount", grouped(line.amount), how, "8.10", None);
    let how = "of it, to network_fees";
    section.row("fee", grouped(line.fee), how, "8.3", None);
    let how = format!(
        "arrives at {}, in force at the proposal",
        books.shown(&line.address)
    );
    section.row("sent", grouped(line.sent()), how, "8.5", None);
    section
}

/// What became of a line's transaction, step by step.
fn moved(tx: Option<&TxRow>, steps: &[StepRow], section: &mut Section) {
    let Some(tx) = tx else {
        return;
    };
    let how = if tx.state.is_returned() {
        "the line went back to the account"
    } else if tx.posted {
        "the line is in paid:a"
    } else {
        "the line is in reserved:a"
    };
    section.row(
        format!("transaction {}", tx.tx),
        tx.state.name(),
        how,
        "8.6",
        Some(tx.last),
    );
    let own =
        |step: &&StepRow| step.tx == tx.tx && !matches!(step.what, What::Proposed | What::Approved);
    for step in steps.iter().filter(own) {
        let txid = step.txid.map_or_else(String::new, |txid| format!("{txid}"));
        let height = match step.height {
            0 => String::new(),
            height => format!(" at height {height}"),
        };
        section.row(
            step.what.name(),
            grouped(step.fee),
            format!("{txid}{height}"),
            "8.9",
            Some(step.at),
        );
    }
}

/// The credits that a line takes; returns the blocks among them.
fn pays(origins: &Origins, line: &LineRow, section: &mut Section) -> Vec<orebook_schema::Hash> {
    let Some(taken) = origins.line(line.wallet, line.batch) else {
        section.row(
            "pays",
            "nothing",
            "it went back to the account",
            "8.14",
            None,
        );
        return Vec::new();
    };
    let mut blocks = Vec::new();
    for (number, amount) in &taken.parts {
        let Some(credit) = origins.credits.get(*number) else {
            continue;
        };
        if let Source::Block { hash, .. } = credit.source {
            blocks.push(hash);
        }
        let how = format!(
            "sub-units of {} of {}",
            grouped(credit.amount),
            named(credit)
        );
        section.row("pays", grouped(*amount), how, "8.14", credit.place);
    }
    if taken.uncovered != 0 {
        let how = "sub-units: a block that it was paid of was orphaned since";
        section.row(
            "uncovered",
            grouped(taken.uncovered),
            how,
            "8.14, 5.4",
            None,
        );
    }
    let how = format!("sub-units: amount × {}", grouped(SUB_UNITS));
    section.row(
        "together",
        grouped(taken.need.amount),
        how,
        "1.5",
        Some(taken.need.place),
    );
    blocks
}

fn named(credit: &Given) -> String {
    match credit.source {
        Source::Block { hash, height, .. } => {
            format!("block {height} {}", super::reversed(hash))
        }
        Source::ByShare => "what was paid by share (3.6)".to_owned(),
        Source::Adjustment(at) => format!("the adjustment said at {at} (7.5)"),
        Source::WriteOff(at) => format!("the write-off said at {at} (5.4)"),
    }
}
