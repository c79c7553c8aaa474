//! What becomes of blocks (money rules, section 5), by compare and set; and the postings that follow.

use std::collections::BTreeMap;
use std::iter;
use std::ops::ControlFlow;

use orebook_schema::policy::{PotRules, Scheme};
use orebook_schema::work::{BlockRecovered, BlockState, BlockStatus};
use orebook_schema::{Account, At, Hash};

use crate::fold::{Backwards, FoldStop};
use crate::folds::obeyed::{self, Recovery, Refusal};
use crate::rows::{Order, Rows, Span, StoreFault, first, get, put, scan};

use super::books::{Book, Entries, totals};
use super::direct;
use super::settings::{DonationRow, donation_at};
use super::split::{Split, all_to_reserve, donation, split, window_work};
use super::tables::{
    AccountRow, BlockAtRow, BlockRow, CreditOfRow, CreditRow, Finding, HeightRow, Held, RefusedRow,
    Status,
};
use super::window::{Weights, weights, weights_below};
use super::{SUB_UNITS, is_known, payouts, prop, rules_of};

/// A share found a block whose hash is known already: it stays what it is.
pub(super) fn found_again(at: At, hash: Hash, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    if let Some(mut known) = known(rows, hash)?.filter(|known| known.finding.is_none()) {
        known.found_later = true;
        put(rows, &known)?;
    }
    refuse(rows, at, hash, Refusal::Known)
}

/// A block is named for the first time, by a share or by the settler.
pub(super) fn name(block: BlockRow, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let index = BlockAtRow {
        at: block.at,
        hash: block.hash,
        pot: block.finding.as_ref().map(|finding| finding.pot),
    };
    put(rows, &index)?;
    put(rows, &block)
}

/// A coinbase of ours that no share explains. Its subject is the height.
pub(super) fn recovered(
    at: At,
    ledger_time: u64,
    event: &BlockRecovered,
    rows: &mut dyn Rows,
) -> Result<(), StoreFault> {
    let height: Option<HeightRow> = get(&*rows, &HeightRow::key_of(&event.height))?;
    let before = known(rows, event.hash)?;
    let last = height.map(|row| row.last);
    let recovery = match obeyed::recovered(last, before.as_ref(), event) {
        Ok(recovery) => recovery,
        Err(why) => return refuse(rows, at, event.hash, why),
    };
    put(
        rows,
        &HeightRow {
            height: event.height,
            last: at,
        },
    )?;
    if recovery == Recovery::Again {
        return Ok(());
    }
    let block = BlockRow {
        hash: event.hash,
        at,
        ledger_time,
        height: event.height,
        coinbase_txid: event.coinbase_txid,
        finding: None,
        status: None,
        held: Held::Nowhere,
        standing: Vec::new(),
        standing_posted: 0,
        weights: None,
        found_later: false,
        direct: None,
    };
    name(block, rows)
}

/// The settler says what became of a block: obeyed by the rule of [`obeyed`], and if the books have room for it.
pub(super) fn status(
    at: At,
    ledger_time: u64,
    event: &BlockStatus,
    rows: &mut dyn Rows,
    ledger: &dyn Backwards,
) -> Result<(), FoldStop> {
    let block = match obeyed::status(known(rows, event.hash)?, event) {
        Ok(block) => block,
        Err(why) => return Ok(refuse(rows, at, event.hash, why)?),
    };
    if !has_room(rows, &block, event)? {
        return Ok(refuse(rows, at, event.hash, Refusal::Value)?);
    }
    let next = Status {
        at,
        state: event.state,
        value: event.value,
        fees: event.fees,
    };
    obey(block, next, ledger_time, rows, ledger)
}

pub(super) fn known(rows: &dyn Rows, hash: Hash) -> Result<Option<BlockRow>, StoreFault> {
    get(rows, &BlockRow::key_of(&hash))
}

fn refuse(rows: &mut dyn Rows, at: At, hash: Hash, why: Refusal) -> Result<(), StoreFault> {
    put(rows, &RefusedRow { at, hash, why })
}

/// Whether everything that the status may post fits into the sums: at most the opposite of what stands, or the difference of
/// two values, that of their donations and the move of the new one, and what payouts that cite the block give back. Both values
/// are [`VALUE_MAX`](obeyed::VALUE_MAX) at most.
fn has_room(rows: &dyn Rows, block: &BlockRow, event: &BlockStatus) -> Result<bool, StoreFault> {
    let old = block.status.map_or(0, |status| status.value);
    let held = match event.state {
        BlockState::Orphaned => payouts::held_of_block(rows, block.hash)?,
        _ => 0,
    };
    let most = (event.value * 3 + old * 2)
        .checked_mul(SUB_UNITS)
        .and_then(|sub| sub.checked_add(block.standing_posted))
        .and_then(|sub| sub.checked_add(held));
    // What a coinbase pays is reserved, paid, and weighed against another value.
    let direct = block.direct.map_or(0, |direct| direct.pays * 3);
    let most = most.and_then(|most| most.checked_add(direct));
    let sum = totals(rows)?.credits;
    Ok(most.and_then(|most| sum.checked_add(most)).is_some())
}

/// Posts what follows (rules 5, readings 10 to 12): everything when the block is first immature, an uncle or confirmed, the move when
/// it is first confirmed, the difference when its value changes, the opposite when it is orphaned; nothing else.
fn obey(
    mut block: BlockRow,
    next: Status,
    ledger_time: u64,
    rows: &mut dyn Rows,
    ledger: &dyn Backwards,
) -> Result<(), FoldStop> {
    let before = block.status.filter(|_| block.held != Held::Nowhere);
    follow_round(&mut block, next, rows, ledger)?;
    block.status = Some(next);
    match next.state {
        BlockState::Orphaned => {
            direct::end_waiting(&block, rows)?;
            take_back(&mut block, next.at, ledger_time, rows)?;
        }
        BlockState::Seen if block.held == Held::Nowhere => {}
        BlockState::Seen | BlockState::Immature | BlockState::Confirmed | BlockState::Uncle => {
            settle(&mut block, before, next, rows, ledger)?;
        }
    }
    Ok(put(rows, &block)?)
}

/// An orphan of a PROP pot brings its weights to the pot's open round, and takes them back where it returns (rules 3.5).
fn follow_round(
    block: &mut BlockRow,
    next: Status,
    rows: &mut dyn Rows,
    ledger: &dyn Backwards,
) -> Result<(), FoldStop> {
    let is_out = |state| state == BlockState::Orphaned;
    let was_out = block.status.is_some_and(|status| is_out(status.state));
    let Some(rules) = rules(block, rows)?.filter(|rules| rules.scheme == Scheme::Prop) else {
        return Ok(());
    };
    match (was_out, is_out(next.state)) {
        (false, true) => {
            if block.weights.is_none() {
                for credit in weigh(block, rows, ledger)? {
                    put(rows, &credit)?;
                }
            }
            prop::orphaned(block.at, rules.pot, next.at, rows)?;
        }
        (true, false) => prop::returned(block.at, rules.pot, next.at, rows)?,
        (false, false) | (true, true) => {}
    }
    Ok(())
}

/// Brings the postings from the value that stands, if one does, to the new one, and to available if the block is confirmed.
fn settle(
    block: &mut BlockRow,
    before: Option<Status>,
    next: Status,
    rows: &mut dyn Rows,
    ledger: &dyn Backwards,
) -> Result<(), FoldStop> {
    let is_new = block.weights.is_none();
    let credits = if is_new {
        weigh(block, rows, ledger)?
    } else {
        credits_of(rows, block.at)?
    };
    let division = Division {
        rules: rules(block, rows)?,
        finder: block
            .finding
            .as_ref()
            .map(|finding| finding.account.clone()),
        credits,
    };
    let new = division.of(next);
    let old = before.map(|status| division.of(status));
    if block.held == Held::Nowhere {
        block.held = Held::Immature;
        direct::end_waiting(block, rows)?;
        direct::count(block.direct, Held::Nowhere, Held::Immature, rows)?;
    }
    let held = block.held;
    let mut entries = Entries::new(rows, next.at, block.hash);
    division.post(&mut entries, old.as_ref(), &new, held)?;
    division.post_outputs(&mut entries, old.as_ref(), &new, held)?;
    if next.state == BlockState::Confirmed && block.held == Held::Immature {
        division.confirm(&mut entries, &new)?;
        block.held = Held::Available;
    }
    let posted = entries.finish()?;
    direct::count(block.direct, held, block.held, rows)?;
    if 0 < posted {
        block.standing.push(next.at);
        block.standing_posted += posted;
    }
    Ok(division.keep(rows, &new, is_new)?)
}

/// Opposes every posting that stands, the last event's first; before that, what payouts hold of the block goes back.
fn take_back(
    block: &mut BlockRow,
    at: At,
    ledger_time: u64,
    rows: &mut dyn Rows,
) -> Result<(), StoreFault> {
    let mut entries = Entries::new(rows, at, block.hash);
    payouts::lose_block(block.hash, ledger_time, &mut entries)?;
    while let Some(event) = block.standing.pop() {
        entries.oppose(event)?;
    }
    entries.finish()?;
    direct::count(block.direct, block.held, Held::Nowhere, rows)?;
    block.standing_posted = 0;
    block.held = Held::Nowhere;
    Ok(())
}

/// Rules that the block is divided by; none if all is the reserve's: no share explains it, its job is void, its policy lacks
/// the pot, or the pot's shares are paid one by one.
fn rules(block: &BlockRow, rows: &dyn Rows) -> Result<Option<PotRules>, StoreFault> {
    let Some(finding) = &block.finding else {
        return Ok(None);
    };
    let rules = rules_of(rows, finding.policy, finding.pot)?;
    Ok(rules.filter(|rules| !rules.scheme.is_per_share()))
}

/// Finds out, once and for ever, whose the block is, and whom its coinbase pays: what each has of it before it is divided, by
/// account. The caller writes that down.
fn weigh(
    block: &mut BlockRow,
    rows: &mut dyn Rows,
    ledger: &dyn Backwards,
) -> Result<Vec<CreditRow>, FoldStop> {
    let rules = rules(block, rows)?;
    let listed = block.direct.filter(|_| rules.is_some_and(direct::pays));
    let mut found = match (&block.finding, rules) {
        (Some(finding), Some(rules)) => {
            weights_of(block.at, finding, &rules, listed, rows, ledger)?
        }
        _ => Weights::new(),
    };
    block.weights = Some(found.values().sum());
    let paid = match block.direct {
        Some(direct) => direct::paid(direct, &found, rows, ledger)?,
        None => BTreeMap::new(),
    };
    for account in paid.keys() {
        found.entry(account.clone()).or_insert(0);
        if !is_known(&*rows, account)? {
            let account = account.clone();
            let first = block.at;
            put(rows, &AccountRow { account, first })?;
        }
    }
    let finding = block.finding.as_ref().map(|finding| finding.share);
    let asked = listed.map(direct::Direct::end).or(finding);
    let anybody_donates = first::<DonationRow>(&*rows, &Span::all(), Order::Forward)?.is_some();
    let mut credits = Vec::with_capacity(found.len());
    for (account, weight) in found {
        let donation_ppm = if anybody_donates {
            donation_at(&*rows, &account, asked.unwrap_or(block.at))?
        } else {
            0
        };
        let index = CreditOfRow {
            account: account.clone(),
            block: block.at,
        };
        put(rows, &index)?;
        let direct = paid.get(&account).copied().unwrap_or(0);
        credits.push(CreditRow {
            block: block.at,
            account,
            weight,
            amount: 0,
            bonus: 0,
            donation_ppm,
            donation: 0,
            direct,
        });
    }
    Ok(credits)
}

/// By account, ascending. The finder is among them also where he has no weight: he may have a bonus.
fn weights_of(
    block: At,
    finding: &Finding,
    rules: &PotRules,
    listed: Option<direct::Direct>,
    rows: &dyn Rows,
    ledger: &dyn Backwards,
) -> Result<Weights, FoldStop> {
    let mut found = match rules.scheme {
        Scheme::Solo => [(finding.account.clone(), 1)].into(),
        Scheme::Pplns => {
            let n = window_work(rules.n_ppm, finding.network_work);
            match listed {
                Some(direct) => weights_below(rows, ledger, finding.pot, direct.size, n)?,
                None => weights(rows, ledger, finding.pot, finding.share, n)?,
            }
        }
        Scheme::Prop => prop::weights(rows, ledger, finding, block)?,
        // All of such a block is the reserve's: it has no rules to be divided by.
        Scheme::Pps | Scheme::Fpps => Weights::new(),
    };
    if 0 < rules.bonus_ppm {
        found.entry(finding.account.clone()).or_insert(0);
    }
    Ok(found)
}

fn credits_of(rows: &dyn Rows, block: At) -> Result<Vec<CreditRow>, StoreFault> {
    let mut all = Vec::new();
    let prefix = BlockAtRow::key_of(&block);
    scan(rows, &Span::prefix(&prefix), Order::Forward, |row| {
        all.push(row);
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

/// An account's part of a split.
struct Part<'d> {
    account: &'d Account,
    /// Its bonus included, sub-units.
    gross: u128,
    /// What it donates of it, sub-units.
    donation: u128,
    /// What the coinbase pays it, sub-units.
    direct: u128,
}

impl Part<'_> {
    /// What stands in its book but for the coinbase, sub-units.
    const fn net(&self) -> u128 {
        self.gross - self.donation
    }

    /// What the coinbase paid of that, sub-units.
    fn own(&self) -> u128 {
        self.direct.min(self.net())
    }
}

/// How a block is divided: the same rules and weights for every value that it ever has.
struct Division {
    /// None if all is the reserve's.
    rules: Option<PotRules>,
    finder: Option<Account>,
    credits: Vec<CreditRow>,
}

impl Division {
    fn of(&self, status: Status) -> Split {
        let Some(rules) = &self.rules else {
            return all_to_reserve(status.value);
        };
        let weights: Vec<u128> = self.credits.iter().map(|credit| credit.weight).collect();
        split(status.value, status.fees, rules, &weights)
    }

    /// The bonus in an account's part.
    fn bonus(&self, credit: &CreditRow, split: &Split) -> u128 {
        if self.finder.as_ref() == Some(&credit.account) {
            split.bonus
        } else {
            0
        }
    }

    /// What a split gives each account.
    fn parts<'d>(&'d self, split: &'d Split) -> impl Iterator<Item = Part<'d>> {
        // Where all is the reserve's, those are left whom the coinbase paid.
        let parts = split.parts.iter().chain(iter::repeat(&0));
        self.credits.iter().zip(parts).map(|(credit, part)| Part {
            account: &credit.account,
            gross: part + self.bonus(credit, split),
            donation: donation(*part, credit.donation_ppm),
            direct: credit.direct,
        })
    }

    /// Posts a split from `reward`; where an old one stands, the difference, net for each book.
    fn post(
        &self,
        entries: &mut Entries<'_>,
        old: Option<&Split>,
        new: &Split,
        held: Held,
    ) -> Result<(), StoreFault> {
        let mut change = |from: &Book, to: &Book, before: u128, after: u128| {
            if before <= after {
                entries.post(from, to, after - before, None)
            } else {
                entries.post(to, from, before - after, None)
            }
        };
        let mut before = old.map(|old| self.parts(old));
        for part in self.parts(new) {
            let stood = before.as_mut().and_then(Iterator::next);
            let (gross, donation) = stood.map_or((0, 0), |stood| (stood.gross, stood.donation));
            let book = match held {
                Held::Available => Book::Available(part.account.clone()),
                Held::Nowhere | Held::Immature => Book::Immature(part.account.clone()),
            };
            change(&Book::Reward, &book, gross, part.gross)?;
            change(&book, &Book::Donation, donation, part.donation)?;
        }
        let mut change = |book: &Book, before, after| change(&Book::Reward, book, before, after);
        let before = |part: fn(&Split) -> u128| old.map_or(0, part);
        change(&Book::Fee, before(|split| split.fee), new.fee)?;
        change(
            &Book::Rounding,
            before(|split| split.rounding),
            new.rounding,
        )?;
        change(&Book::Reserve, before(|split| split.reserve), new.reserve)
    }

    /// What the coinbase pays is reserved: first of the block's own credit, then of the balance. Where an old split stands, what
    /// the block's own credit bears follows the new one (money rules, 11.5).
    fn post_outputs(
        &self,
        entries: &mut Entries<'_>,
        old: Option<&Split>,
        new: &Split,
        held: Held,
    ) -> Result<(), StoreFault> {
        let mut before = old.map(|old| self.parts(old));
        for part in self.parts(new) {
            let stood = before.as_mut().and_then(Iterator::next);
            let immature = Book::Immature(part.account.clone());
            let available = Book::Available(part.account.clone());
            let Some(stood) = stood else {
                let reserved = Book::Reserved(part.account.clone());
                entries.post(&immature, &reserved, part.own(), None)?;
                entries.post(&available, &reserved, part.direct - part.own(), None)?;
                continue;
            };
            if held == Held::Available {
                continue;
            }
            let (was, is) = (stood.own(), part.own());
            entries.post(&available, &immature, was.saturating_sub(is), None)?;
            entries.post(&immature, &available, is.saturating_sub(was), None)?;
        }
        Ok(())
    }

    /// What the coinbase pays is paid, and the rest of what accounts have of the block goes from immature to available.
    fn confirm(&self, entries: &mut Entries<'_>, split: &Split) -> Result<(), StoreFault> {
        for part in self.parts(split) {
            let reserved = Book::Reserved(part.account.clone());
            let paid = Book::Paid(part.account.clone());
            entries.post(&reserved, &paid, part.direct, None)?;
        }
        for part in self.parts(split) {
            let immature = Book::Immature(part.account.clone());
            let available = Book::Available(part.account.clone());
            entries.post(&immature, &available, part.net() - part.own(), None)?;
        }
        Ok(())
    }

    /// Keeps what each account gets at the newest value, for those who ask; whatever that is where nothing is kept yet.
    fn keep(&self, rows: &mut dyn Rows, split: &Split, is_new: bool) -> Result<(), StoreFault> {
        // Where all is the reserve's, those are left whom the coinbase paid.
        let parts = split.parts.iter().chain(iter::repeat(&0));
        for (credit, part) in self.credits.iter().zip(parts) {
            let new = CreditRow {
                amount: *part,
                bonus: self.bonus(credit, split),
                donation: donation(*part, credit.donation_ppm),
                ..credit.clone()
            };
            if is_new || new != *credit {
                put(rows, &new)?;
            }
        }
        Ok(())
    }
}
