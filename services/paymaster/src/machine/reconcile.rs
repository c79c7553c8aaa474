//! The nightly reconciliation: due by ledger time, made in small steps between everything else, said with what it came to.

use std::collections::BTreeSet;

use orebook_ledger::disk::Disk;
use orebook_schema::Event;
use orebook_schema::reconciled::{Reconciled, Report};

use crate::metrics::Counters;
use crate::reconcile::{Difference, Limits, Run, new_ones, report};
use crate::survey::Survey;
use crate::wallet::Wallet;

use super::{Events, Facts, Machine, MachineError};

/// Compared at most, newest first; `orebook reconcile` compares all.
const LIMITS: Limits = Limits {
    txs: 1_000,
    blocks: 1_000,
};
/// Things compared in one turn at most.
const STEP: usize = 64;
/// Earlier reconciliations whose differences people have looked at, at most.
const KNOWN_MAX: usize = 64;

/// One that is under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    run: Run,
    /// What earlier runs of it found, all of them; none in the first.
    seen: Option<BTreeSet<Difference>>,
    runs: u32,
}

impl<D: Disk + Clone> Machine<D> {
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
            self.reconciling = Some(now);
            return Ok(());
        }
        let Some(survey) = now.run.survey.clone() else {
            // The wallet's node does not say what it has: nothing is said, and it is asked again later.
            let words = now.run.silent.last().map_or("", String::as_str);
            tracing::warn!(%words, "a reconciliation could not be made; see docs/runbooks/reconciliation.md");
            self.reconcile_rest.begin(facts.now, self.config.retry_ms);
            return Ok(());
        };
        let found = std::mem::take(&mut now.run.found);
        let found: BTreeSet<Difference> = match now.seen.take() {
            Some(seen) => seen.intersection(&found).cloned().collect(),
            None => found,
        };
        now.runs = now.runs.saturating_add(1);
        if !found.is_empty() && now.runs < self.config.sights {
            now.run = Run::new(&self.book, wallet, LIMITS)?;
            now.seen = Some(found);
            self.reconciling = Some(now);
            return Ok(());
        }
        self.came_to(facts, &now.run, &survey, &found, events)
    }

    /// What is under way, or begins now since it is due.
    fn under_way(
        &mut self,
        wallet: &impl Wallet,
        facts: &Facts,
    ) -> Result<Option<UnderWay>, MachineError> {
        if let Some(now) = self.reconciling.take() {
            return Ok(Some(now));
        }
        // A wallet that proposed nothing has nothing to be compared.
        if facts.batches == 0 || self.reconcile_rest.is_on(facts.now) {
            return Ok(None);
        }
        let last = self.book.reconciled_last()?;
        let age_ms = last.map_or(u64::MAX, |last| facts.ledger_time.saturating_sub(last));
        let shown = if last.is_some() { age_ms } else { 0 };
        Counters::set(&self.counters.reconciled_age_ms, shown);
        if age_ms <= self.config.reconcile_ms {
            return Ok(None);
        }
        Ok(Some(UnderWay {
            run: Run::new(&self.book, wallet, LIMITS)?,
            seen: None,
            runs: 0,
        }))
    }

    /// Says it. What nobody has looked at yet halts the wallet.
    fn came_to(
        &mut self,
        facts: &Facts,
        run: &Run,
        survey: &Survey,
        found: &BTreeSet<Difference>,
        events: &mut Events,
    ) -> Result<(), MachineError> {
        let expected = self.book.expected()?;
        let found: Vec<Difference> = found.iter().cloned().collect();
        let differences = u32::try_from(found.len()).unwrap_or(u32::MAX);
        let counters = &self.counters;
        Counters::set(&counters.reconcile_differences, differences.into());
        Counters::set(&counters.reconcile_silent, run.silences.into());
        let is_low = survey.balance < self.config.balance_min;
        Counters::set(&counters.balance_low, u64::from(is_low));
        for words in &run.silent {
            tracing::warn!(%words, "not compared; see docs/runbooks/reconciliation.md");
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
            not_compared = run.silences,
            "ledger and chain were compared"
        );
        // A dry run says nothing, and has no last one in the ledger to go by.
        let pause_ms = if self.config.dry_run {
            self.config.reconcile_ms
        } else {
            self.config.retry_ms
        };
        self.reconcile_rest.begin(facts.now, pause_ms);
        let digest = self.book.digest()?;
        let size = self.decider.follower().size();
        let (Some(digest), Some(position)) = (digest, size.checked_sub(1)) else {
            return Ok(());
        };
        let Some(text) = Report::parse(&report(&found)) else {
            return Ok(());
        };
        events.push(Event::Reconciled(Box::new(Reconciled {
            wallet: self.config.wallet,
            compared_position: position,
            money: digest.digest,
            wallet_expected: expected,
            wallet_found: survey.balance,
            transactions: run.txs,
            blocks: run.blocks,
            differences,
            report: text,
        })));
        let known = self.book.looked_at(facts.last, KNOWN_MAX)?;
        let new = new_ones(&found, &known);
        if let Some(first) = new.first() {
            let count = new.len();
            let words =
                format!("reconciliation found {count}, docs/runbooks/reconciliation.md: {first}");
            events.extend(self.halt(facts, &words));
        }
        Ok(())
    }
}
