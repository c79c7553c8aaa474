//! Proposing: everything that has to hold before, in order; then a plan; then two projectors' digests; then the words.

use orebook_ledger::admit::State;
use orebook_ledger::disk::Disk;
use orebook_schema::payout::{
    Answerer, BatchBody, DigestAnswer, PAYOUT_MAX, PayoutProposed, cut_into_parts,
};
use orebook_schema::{At, Event, Hash};

use crate::digests::{Agreement, Digests, compare};
use crate::metrics::Counters;
use crate::plan::{Bounds, Draft, Plan, Told, cited};
use crate::wallet::{Ready, Wallet, WalletError};
use crate::why::Why;

use super::{Events, Facts, Machine, MachineError};

impl<D: Disk + Clone> Machine<D> {
    /// Proposes the wallet's next batch if everything is well. Says why not.
    pub(super) async fn propose(
        &mut self,
        wallet: &impl Wallet,
        digests: &impl Digests,
        facts: &Facts,
        events: &mut Events,
    ) -> Result<Why, MachineError> {
        if let Some(why) = self.not_now(facts)? {
            return Ok(why);
        }
        let ready = match wallet.ready().await {
            Ok(ready) => ready,
            Err(error) => return Ok(self.wallet_says(&error)),
        };
        let spendable = u64::try_from(ready.spendable).unwrap_or(u64::MAX);
        Counters::set(&self.counters.spendable, spendable);
        let owed = self.book.owed_in_all()?;
        if ready.balance < owed {
            self.short = self.short.saturating_add(1);
            let balance = ready.balance;
            if self.config.sights <= self.short {
                let words = format!("the wallet has {balance} base units, and {owed} are owed");
                events.extend(self.halt(facts, &words));
            }
            return Ok(Why::Short { owed, balance });
        }
        self.short = 0;
        let plan = match self.make_plan(wallet, facts, &ready).await? {
            Ok(plan) => plan,
            Err(why) => {
                self.plan = None;
                self.plan_rest.begin(facts.now, self.config.retry_ms);
                self.no_plan = why.clone();
                return Ok(why);
            }
        };
        self.plan = Some(plan.clone());
        self.ask_and_say(wallet, digests, facts, &ready, plan, events)
            .await
    }

    /// What has to be well before the wallet is asked.
    fn not_now(&self, facts: &Facts) -> Result<Option<Why>, MachineError> {
        if let Some(halted) = facts.halted {
            return Ok(Some(self.book.halted(halted)?));
        }
        if !self.book.is_free()? {
            let live = self.book.live()?;
            let open = live.iter().find(|tx| tx.state.is_open());
            return Ok(Some(open.map_or(Why::Nothing, |tx| Why::Unfinished {
                batch: tx.batch,
                tx: tx.tx,
                state: tx.state.name(),
            })));
        }
        let last = match facts.batches.checked_sub(1) {
            Some(last) => self.book.batch(last)?,
            None => None,
        };
        if let Some(last) = last {
            let next = last.ledger_time.saturating_add(self.config.interval_ms);
            if facts.ledger_time < next {
                return Ok(Some(Why::Interval(next)));
            }
        }
        let rests = self.plan_rest.is_on(facts.now);
        Ok(rests.then(|| self.no_plan.clone()))
    }

    fn wallet_says(&self, error: &WalletError) -> Why {
        self.count_no_answer(error);
        Why::Wallet(error.to_string())
    }

    async fn make_plan(
        &mut self,
        wallet: &impl Wallet,
        facts: &Facts,
        ready: &Ready,
    ) -> Result<Result<Plan, Why>, MachineError> {
        let mut owed = self.book.owed(facts.ledger_time, &facts.policy)?;
        let before = owed.len();
        owed.retain(|one| wallet.accepts(&one.address));
        let strange = u64::try_from(before.saturating_sub(owed.len())).unwrap_or(u64::MAX);
        Counters::set(&self.counters.strange_addresses, strange);
        let paid_today = self.book.paid_today(facts.ledger_time)?;
        let bounds = Bounds {
            lines_max: self.config.lines_max,
            batch_max: self.config.batch_max.min(PAYOUT_MAX),
            day_left: self.config.day_max.saturating_sub(paid_today),
            spendable: ready.spendable,
            dust: ready.dust,
            fees: facts.policy.network_fees,
        };
        let mut draft = match Draft::choose(owed, bounds) {
            Ok(draft) => draft,
            Err(nobody) => return Ok(Err(nobody.into())),
        };
        loop {
            let fee = match wallet.estimate(&draft.pays()).await {
                Ok(fee) => fee.min(PAYOUT_MAX),
                Err(error) => return Ok(Err(self.wallet_says(&error))),
            };
            draft = match draft.with_fee(fee) {
                Told::Done(plan) => return Ok(Ok(plan)),
                Told::Again(draft) => draft,
                Told::Nobody(nobody) => return Ok(Err(nobody.into())),
            };
        }
    }

    async fn ask_and_say(
        &mut self,
        wallet: &impl Wallet,
        digests: &impl Digests,
        facts: &Facts,
        ready: &Ready,
        plan: Plan,
        events: &mut Events,
    ) -> Result<Why, MachineError> {
        let Some(ours) = self.book.digest()? else {
            return Ok(Why::Digests("this ledger has no digest yet".to_owned()));
        };
        let answers = digests.ask(ours.size).await;
        let agreed = match compare(ours.digest, self.answers_needed(), answers) {
            Agreement::Agreed(agreed) => agreed,
            Agreement::Differs(who, other) => {
                tracing::error!(%who, %other, ours = %ours.digest, size = ours.size, "a projector's money differs from ours");
                let words = format!("the digest of money at {} differs: {who}", ours.size);
                events.extend(self.halt(facts, &words));
                return Ok(Why::Digests(words));
            }
            Agreement::TooFew(words) => {
                Counters::set(&self.counters.digests_missing, 1);
                return Ok(Why::Digests(words));
            }
        };
        Counters::set(&self.counters.digests_missing, 0);
        if self.config.dry_run {
            return Ok(Why::DryRun);
        }
        let depth = u64::from(facts.policy.confirmed_depth);
        let blocks = cited(&self.book.confirmed()?, ready.height, depth);
        let digests = Said {
            size: ours.size,
            agreed,
        };
        match self.proposal(wallet, facts, plan, blocks, digests) {
            Some(said) => {
                events.extend(said);
                Ok(Why::Nothing)
            }
            None => {
                tracing::error!("a plan does not fit the ledger's format");
                Ok(Why::Wallet(
                    "a plan does not fit the ledger's format".to_owned(),
                ))
            }
        }
    }

    fn answers_needed(&self) -> u8 {
        let authority = self.decider.state().and_then(State::authority);
        authority.map_or(u8::MAX, |it| it.genesis().digest_answers)
    }

    /// The body in parts, and the proposal that names it; none if the format does not take it.
    fn proposal(
        &self,
        wallet: &impl Wallet,
        facts: &Facts,
        plan: Plan,
        blocks: Vec<Hash>,
        digests: Said,
    ) -> Option<Events> {
        let lines = u16::try_from(plan.lines.len()).ok()?;
        let txs = u16::try_from(wallet.divide(plan.lines.len()).len()).ok()?;
        let body = BatchBody {
            lines: plan.lines,
            blocks,
        };
        if !body.is_legal() || body.total() != Some(plan.total) {
            return None;
        }
        let bytes = body.to_bytes();
        let mut answers = digests.agreed.into_iter();
        let answers = answers.try_fold(Vec::new(), |mut all, (who, digest)| {
            let who = Answerer::parse(&who)?;
            all.push(DigestAnswer { who, digest });
            Some(all)
        })?;
        let mut events: Events = cut_into_parts(&bytes)?
            .into_iter()
            .map(Event::Part)
            .collect();
        events.push(Event::PayoutProposed(Box::new(PayoutProposed {
            wallet: self.config.wallet,
            batch: facts.batches,
            expects: At::default(),
            txs,
            lines,
            total: plan.total,
            fee: plan.fee,
            body: Hash::of(&[&bytes]),
            digest_position: digests.size,
            digests: answers,
        })));
        Some(events)
    }
}

/// What projectors answered.
struct Said {
    size: u64,
    agreed: Vec<(String, Hash)>,
}
