//! The nightly reconciliation: due by ledger time, made in small steps between everything else, said with what it came to.
//!
//! It is said only if everything was compared, or something differs: an event with no differences says that there are none.

use std::collections::BTreeSet;

use orebook_ledger::disk::Disk;
use orebook_producer::thread::Rest;
use orebook_replay::digest::Digest;
use orebook_schema::reconciled::{Reconciled, Report};
use orebook_schema::{At, Event};

use crate::metrics::Counters;
use crate::reconcile::{Difference, Run, report};
use crate::survey::Survey;
use crate::wallet::Wallet;

use super::{Events, Facts, Machine, MachineError};

/// Things that are asked for in one turn at most.
const STEP: usize = 64;
/// What could not be compared is asked for again after this part of the time between two.
const AGAIN: u64 = 24;

/// What is kept between turns.
#[derive(Debug, Default)]
pub(super) struct Nightly {
    under_way: Option<UnderWay>,
    /// While it lasts none begins.
    rest: Rest,
    /// What the last one found, and the place of the wallet's last halt or resume when it was told what of it is new.
    found: Vec<Difference>,
    judged: At,
    /// Ledger time at which a dry run, which says nothing, made its last.
    dry: Option<u64>,
}

/// One that is under way.
#[derive(Debug)]
struct UnderWay {
    run: Run,
    /// The last position read when the run began, and the newest digest then.
    position: u64,
    money: Digest,
    /// Ledger time of the last that was said when all of it began.
    said: Option<u64>,
    /// What earlier runs of it found, all of them; none in the first.
    seen: Option<BTreeSet<Difference>>,
    runs: u32,
}

impl<D: Disk + Clone> Machine<D> {
    /// Shows since when nothing was compared, and how much of what differs nobody has looked at.
    pub(super) fn show_reconciled(&mut self, facts: &Facts) -> Result<(), MachineError> {
        let first = match self.book.batch(0)? {
            Some(first) => first.ledger_time,
            None => 0,
        };
        let last = self.book.reconciled_last()?.max(self.nightly.dry);
        Counters::set(&self.counters.reconciled_ms, last.unwrap_or(first));
        if self.nightly.judged != facts.last {
            self.nightly.judged = facts.last;
            self.new_ones()?;
        }
        Ok(())
    }

    /// What the last one found and nobody has looked at.
    fn new_ones(&self) -> Result<Vec<Difference>, MachineError> {
        let known = self.book.known()?;
        let new = known.new_ones(&self.nightly.found);
        let count = u64::try_from(new.len()).unwrap_or(u64::MAX);
        Counters::set(&self.counters.reconcile_new, count);
        Ok(new.into_iter().cloned().collect())
    }

    /// A step of the reconciliation that is due, if one is. A difference is said only when it was found several times in a
    /// row: a reorganisation, or what another paymaster said a moment ago, is none.
    pub(super) async fn reconcile(
        &mut self,
        wallet: &impl Wallet,
        facts: &Facts,
        events: &mut Events,
    ) -> Result<(), MachineError> {
        let Some(mut now) = self.under_way(wallet, facts)? else {
            return Ok(());
        };
        if !now.run.step(&self.book, wallet, STEP).await? {
            self.nightly.under_way = Some(now);
            return Ok(());
        }
        let Some(survey) = now.run.survey.clone() else {
            // The wallet's node does not say what it has: nothing is said, and it is asked again later.
            let words = now.run.silent.last().map_or("", String::as_str);
            tracing::warn!(%words, "a reconciliation could not be made; see docs/runbooks/reconciliation.md");
            self.nightly.rest.begin(facts.now, self.config.retry_ms);
            return Ok(());
        };
        let found = std::mem::take(&mut now.run.found);
        let found: BTreeSet<Difference> = match now.seen.take() {
            Some(seen) => seen.intersection(&found).cloned().collect(),
            None => found,
        };
        now.runs = now.runs.saturating_add(1);
        if !found.is_empty() && now.runs < self.config.sights {
            let Some(begun) = self.begun(wallet)? else {
                return Ok(());
            };
            self.nightly.under_way = Some(UnderWay {
                seen: Some(found),
                runs: now.runs,
                said: now.said,
                ..begun
            });
            return Ok(());
        }
        self.came_to(facts, &now, &survey, found, events)
    }

    /// What is under way, or begins now since it is due.
    fn under_way(
        &mut self,
        wallet: &impl Wallet,
        facts: &Facts,
    ) -> Result<Option<UnderWay>, MachineError> {
        if let Some(now) = self.nightly.under_way.take() {
            return Ok(Some(now));
        }
        // A wallet that proposed nothing has nothing to be compared.
        if facts.batches == 0 || self.nightly.rest.is_on(facts.now) {
            return Ok(None);
        }
        let last = self.book.reconciled_last()?;
        let age_ms = last.map_or(u64::MAX, |last| facts.ledger_time.saturating_sub(last));
        if age_ms <= self.config.reconcile_ms {
            return Ok(None);
        }
        self.begun(wallet)
    }

    /// None before the ledger has a digest.
    fn begun(&self, wallet: &impl Wallet) -> Result<Option<UnderWay>, MachineError> {
        let size = self.decider.follower().size();
        let (Some(money), Some(position)) = (self.book.digest()?, size.checked_sub(1)) else {
            return Ok(None);
        };
        Ok(Some(UnderWay {
            run: Run::new(&self.book, wallet, self.book.whole_last()?)?,
            position,
            money,
            said: self.book.reconciled_last()?,
            seen: None,
            runs: 0,
        }))
    }

    /// Says it. What nobody has looked at yet halts the wallet.
    fn came_to(
        &mut self,
        facts: &Facts,
        now: &UnderWay,
        survey: &Survey,
        found: BTreeSet<Difference>,
        events: &mut Events,
    ) -> Result<(), MachineError> {
        let run = &now.run;
        let expected = self.book.expected()?;
        let found: Vec<Difference> = found.into_iter().collect();
        let differences = u32::try_from(found.len()).unwrap_or(u32::MAX);
        let counters = &self.counters;
        Counters::set(&counters.reconcile_differences, differences.into());
        Counters::set(&counters.reconcile_silent, run.silences.into());
        let open = u64::try_from(run.open.len()).unwrap_or(u64::MAX);
        Counters::set(&counters.reconcile_open, open);
        let is_low = survey.balance < self.config.balance_min;
        Counters::set(&counters.balance_low, u64::from(is_low));
        for words in &run.silent {
            tracing::warn!(%words, "not compared; see docs/runbooks/reconciliation.md");
        }
        for one in &run.open {
            tracing::warn!(%one, "a block lost its place on the chain: the settler has yet to say what became of it");
        }
        for one in &found {
            tracing::error!(%one, "ledger and chain differ; see docs/runbooks/reconciliation.md");
        }
        tracing::info!(
            differences,
            expected,
            found = survey.balance,
            owed = run.owed,
            transactions = run.txs,
            blocks = run.blocks,
            open,
            not_compared = run.silences,
            "ledger and chain were compared"
        );
        self.nightly.found = found;
        self.nightly.judged = facts.last;
        let new = self.new_ones()?;
        // What is open is compared when it is no more: an event without a difference says that everything was.
        let is_whole = run.silences == 0 && run.open.is_empty();
        // A dry run says nothing, and has no last one in the ledger to go by.
        let pause_ms = if self.config.dry_run && is_whole {
            self.nightly.dry = Some(facts.ledger_time);
            self.config.reconcile_ms
        } else if is_whole {
            self.config.retry_ms
        } else {
            self.config.retry_ms.max(self.config.reconcile_ms / AGAIN)
        };
        self.nightly.rest.begin(facts.now, pause_ms);
        let found = &self.nightly.found;
        if found.is_empty() && !is_whole {
            return Ok(());
        }
        let Some(text) = Report::parse(&report(found, run.silences)) else {
            return Ok(());
        };
        // What another paymaster said meanwhile is not said again.
        if now.said == self.book.reconciled_last()? || !found.is_empty() {
            events.push(Event::Reconciled(Box::new(Reconciled {
                wallet: self.config.wallet,
                compared_position: now.position,
                money: now.money.digest,
                wallet_expected: expected,
                wallet_found: survey.balance,
                transactions: run.txs,
                blocks: run.blocks,
                differences,
                report: text,
            })));
        }
        if let Some(first) = new.first() {
            let count = new.len();
            let words =
                format!("reconciliation found {count}, docs/runbooks/reconciliation.md: {first}");
            events.extend(self.halt(facts, &words));
        }
        Ok(())
    }
}
