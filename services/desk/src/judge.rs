//! Whether the ledger would obey an event, and what became of one that stands. No rule of obedience is written here: the
//! ledger's own [`Authority`] is tried on a copy. What is added are refusals of what it would obey and people would regret.

use orebook_ledger::authority::{Authority, Waiting, thing_digest};
use orebook_ledger::sign::{Verifier, verify_approval};
use orebook_schema::account::{Registration, Setting};
use orebook_schema::desk::{Ban, BanAction, BanTarget};
use orebook_schema::dust::InactiveDust;
use orebook_schema::event::{Approval, KeyAction, KeyChange, PolicyChange, SchemaSet};
use orebook_schema::names::RegisteredName;
use orebook_schema::payout::{PayoutResume, WriteOff};
use orebook_schema::{Account, At, Event, Hash, Key, Kind, Role};

use crate::answer::{Outcome, Refusal, ThingState};

/// What a command is about: of one subject one command waits at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A producer's key.
    Key(Key),
    /// The policy.
    Policy,
    /// Whom a ban is about.
    Ban(BanTarget),
    /// Whose balance is adjusted.
    Adjustment(Account),
    /// A registered name.
    Registration(RegisteredName),
    /// Whose settings.
    Setting(Account),
    /// Which wallet is halted.
    Halt(u16),
    /// Which wallet is resumed.
    Resume(u16),
    /// Whose debt is written off.
    WriteOff(Account),
    /// The ledger's one line of dust.
    Dust,
    /// A schema set's number.
    SchemaSet(u32),
    /// An approver's word on a thing.
    Approval(Hash, Key),
}

impl Subject {
    /// Of an event that people may say.
    ///
    /// # Errors
    /// [`Refusal::Kind`] for any other.
    pub fn of(event: &Event) -> Result<Self, Refusal> {
        match event {
            Event::KeyChange(change) => Ok(Self::Key(change.key)),
            Event::Policy(_) => Ok(Self::Policy),
            Event::Ban(ban) => Ok(Self::Ban(ban.target.clone())),
            Event::Adjustment(adjustment) => Ok(Self::Adjustment(adjustment.account.clone())),
            Event::Account(said) => Ok(Self::Registration(said.name.clone())),
            Event::Setting(setting) => Ok(Self::Setting(setting.account.clone())),
            Event::PayoutHalt(said) => Ok(Self::Halt(said.wallet)),
            Event::PayoutResume(said) => Ok(Self::Resume(said.wallet)),
            Event::WriteOff(said) => Ok(Self::WriteOff(said.account.clone())),
            Event::InactiveDust(_) => Ok(Self::Dust),
            Event::SchemaSet(set) => Ok(Self::SchemaSet(set.number)),
            Event::Approval(approval) => Ok(Self::Approval(approval.thing, approval.approver)),
            other => Err(Refusal::Kind(other.kind().name())),
        }
    }
}

/// Whether an event would be obeyed, or wait for approvals, if it were the ledger's next one. Whoever says it may say it, and a
/// setting by its owner has its proof: others look at that before.
///
/// # Errors
/// The first [`Refusal`] that fits.
pub fn judge(authority: &Authority, size: u64, event: &Event) -> Result<(), Refusal> {
    if !event.is_legal() {
        return Err(Refusal::Malformed("outside of its limits".to_owned()));
    }
    match event {
        Event::KeyChange(change) => judge_key(authority, change)?,
        Event::Policy(change) => judge_policy(authority, change)?,
        Event::Ban(ban) => judge_ban(authority, ban)?,
        // Whether an adjustment is wise is for its approvers to say.
        Event::Adjustment(_) => {}
        Event::Account(said) => judge_registration(authority, said)?,
        Event::Setting(setting) => judge_setting(authority, setting)?,
        Event::WriteOff(said) => judge_write_off(authority, said)?,
        Event::InactiveDust(said) => judge_dust(size, said)?,
        // A halt always works. Batches and resumes are judged with the balances, which the desk does not know.
        Event::PayoutHalt(_) => return Ok(()),
        Event::PayoutResume(said) => return judge_resume(size, said),
        Event::SchemaSet(set) => return judge_schema_set(authority, set),
        Event::Approval(approval) => return judge_approval(authority, approval),
        other => return Err(Refusal::Kind(other.kind().name())),
    }
    let digest = thing_digest(authority.genesis().ledger, event);
    if let Some(waiting) = authority.waiting().find(|one| one.digest == digest) {
        let missing = waiting.needed.saturating_sub(waiting.approved.len());
        return Err(Refusal::Already(format!(
            "it was said at {}, and waits for {missing} more approvals of {digest}",
            waiting.at
        )));
    }
    let at = At {
        position: size,
        index: 0,
    };
    let mut tried = authority.clone();
    tried.apply(at, event);
    match outcome(&tried, at, event, None) {
        Outcome::Overtaken => Err(why_not(authority, event)),
        Outcome::Obeyed | Outcome::Waits(_) | Outcome::Counted(_) | Outcome::Said(_) => Ok(()),
    }
}

fn judge_key(authority: &Authority, change: &KeyChange) -> Result<(), Refusal> {
    let role = authority.role(&change.key);
    let is_so = match change.action {
        KeyAction::InForce => role == Some(change.role),
        KeyAction::Revoked => role.is_none(),
    };
    if is_so {
        let what = match change.action {
            KeyAction::InForce => format!("is in force as {}", change.role.name()),
            KeyAction::Revoked => "is not in force".to_owned(),
        };
        return Err(Refusal::Already(format!(
            "key {} {what} already",
            change.key
        )));
    }
    if change.action == KeyAction::InForce && Verifier::of(&change.key).is_none() {
        return Err(Refusal::NoKey);
    }
    // Without a desk nobody can put a key in force again; without an archiver nothing becomes final.
    let lasting = [Role::Desk, Role::Archiver].into_iter();
    for lost in lasting.filter(|lasting| role == Some(*lasting)) {
        let others = authority.keys_in_force();
        let mut others = others.filter(|(key, role)| *key != change.key && *role == lost);
        if others.next().is_none() {
            return Err(Refusal::LastKey(lost.name()));
        }
    }
    Ok(())
}

fn judge_policy(authority: &Authority, change: &PolicyChange) -> Result<(), Refusal> {
    let (at, newest) = authority.newest_policy();
    if newest.is_some_and(|newest| *newest.policy == change.policy) {
        return Err(Refusal::Already(format!(
            "the policy at {at} says the same"
        )));
    }
    Ok(())
}

fn judge_ban(authority: &Authority, ban: &Ban) -> Result<(), Refusal> {
    let last = authority.ban(&ban.target).map(|obeyed| &obeyed.ban);
    let is_so = match ban.action {
        BanAction::Ban => {
            last.is_some_and(|last| (last.action, last.until_ms) == (BanAction::Ban, ban.until_ms))
        }
        BanAction::Lift => last.is_none_or(|last| last.action == BanAction::Lift),
    };
    if is_so {
        let what = match ban.action {
            BanAction::Ban => "is banned so",
            BanAction::Lift => "is not banned",
        };
        return Err(Refusal::Already(format!("{} {what} already", ban.target)));
    }
    Ok(())
}

fn judge_registration(authority: &Authority, said: &Registration) -> Result<(), Refusal> {
    let Some(known) = authority.registered_as(&said.name) else {
        return Ok(());
    };
    let is_so = (
        &known.payout,
        known.threshold,
        known.token,
        known.registered_only,
    ) == (
        &said.payout,
        said.threshold,
        said.token,
        said.registered_only,
    ) && said
        .workers
        .iter()
        .all(|worker| known.workers.contains(worker));
    if is_so {
        let (name, at) = (said.name.as_str(), known.at);
        return Err(Refusal::Already(format!("{name} is registered so at {at}")));
    }
    Ok(())
}

fn judge_setting(authority: &Authority, setting: &Setting) -> Result<(), Refusal> {
    match &setting.account {
        Account::Name(name) if authority.registered_as(name).is_none() => {
            Err(Refusal::NotRegistered(name.as_str().to_owned()))
        }
        _ => Ok(()),
    }
}

/// Whether the account owes, and for how long, is the money rules' to say.
fn judge_write_off(authority: &Authority, said: &WriteOff) -> Result<(), Refusal> {
    match &said.account {
        Account::Name(name) if authority.registered_as(name).is_none() => {
            Err(Refusal::NotRegistered(name.as_str().to_owned()))
        }
        _ => Ok(()),
    }
}

/// Who is named, and whether he has dust, is for the approvers and the money rules to say.
fn judge_dust(size: u64, said: &InactiveDust) -> Result<(), Refusal> {
    if said.cutoff < size {
        Ok(())
    } else {
        let (position, index) = (said.cutoff, 0);
        Err(Refusal::NotThere(At { position, index }))
    }
}

/// What cites a place that is not there yet would not be admitted.
fn judge_resume(size: u64, said: &PayoutResume) -> Result<(), Refusal> {
    if said.expects.position < size {
        Ok(())
    } else {
        Err(Refusal::NotThere(said.expects))
    }
}

fn judge_schema_set(authority: &Authority, set: &SchemaSet) -> Result<(), Refusal> {
    if authority.schema_set(set.number).is_some() {
        return Err(Refusal::Already(format!(
            "schema set {} is announced already",
            set.number
        )));
    }
    let known = Kind::known();
    match set.entries.iter().find(|entry| !known.contains(entry)) {
        Some(entry) => Err(Refusal::UnknownKind {
            kind: entry.kind,
            version: entry.version,
        }),
        None => Ok(()),
    }
}

fn judge_approval(authority: &Authority, approval: &Approval) -> Result<(), Refusal> {
    let genesis = authority.genesis();
    let Approval {
        thing,
        approver,
        signature,
    } = approval;
    if !genesis.approvers.contains(approver) {
        return Err(Refusal::NotApprover);
    }
    if !verify_approval(approver, genesis.ledger, thing, signature) {
        return Err(Refusal::ApprovalSignature);
    }
    if authority.approved_by(thing).any(|known| known == *approver) {
        return Err(Refusal::Already(format!(
            "{approver} approved {thing} already"
        )));
    }
    Ok(())
}

/// Why a thing that passed every other check is not obeyed.
fn why_not(authority: &Authority, event: &Event) -> Refusal {
    let (expects, current) = match event {
        Event::KeyChange(change) => (change.expects, current_key(authority, &change.key)),
        Event::Policy(change) => (change.expects, authority.newest_policy().0),
        Event::Ban(ban) => (ban.expects, current_ban(authority, &ban.target)),
        Event::Adjustment(adjustment) => (
            adjustment.expects,
            authority.last_adjustment(&adjustment.account),
        ),
        Event::Account(said) => (said.expects, authority.last_registration(&said.name)),
        Event::Setting(setting) => (setting.expects, authority.last_setting(&setting.account)),
        Event::WriteOff(said) => (said.expects, authority.last_write_off(&said.account)),
        Event::InactiveDust(said) => (said.expects, authority.last_dust()),
        _ => return Refusal::NotObeyed,
    };
    if expects != current {
        return Refusal::Expects { expects, current };
    }
    match event {
        Event::Policy(_) => Refusal::Scheme,
        Event::Ban(_) => Refusal::TooManyBans,
        Event::Account(_) => Refusal::TooManyAccounts,
        _ => Refusal::NotObeyed,
    }
}

/// What a change of a key has to expect.
fn current_key(authority: &Authority, key: &Key) -> At {
    let mut keys = authority.keys();
    keys.find(|(known, ..)| known == key)
        .map_or_else(At::default, |(.., last)| last)
}

/// What a ban or its lift has to expect.
fn current_ban(authority: &Authority, target: &BanTarget) -> At {
    authority
        .ban(target)
        .map_or_else(At::default, |obeyed| obeyed.at)
}

/// The thing that an approval is about, if it waits.
#[must_use]
pub fn thing_of(authority: &Authority, event: &Event) -> Option<Waiting> {
    let Event::Approval(approval) = event else {
        return None;
    };
    let mut waiting = authority.waiting();
    waiting.find(|one| one.digest == approval.thing)
}

/// What became of an event that stands at `at`; `thing` is what it approved, as it waited before.
#[must_use]
pub fn outcome(authority: &Authority, at: At, event: &Event, thing: Option<&Waiting>) -> Outcome {
    if let Event::Approval(approval) = event {
        return approval_outcome(authority, approval, thing);
    }
    if takes_effect(authority, at, event) {
        return Outcome::Obeyed;
    }
    if matches!(event, Event::PayoutResume(_)) {
        let digest = thing_digest(authority.genesis().ledger, event);
        return Outcome::Said(ThingState {
            digest,
            needed: Some(authority.resume_approvals_needed()),
            approved: authority.approved_by(&digest).count(),
        });
    }
    let mut waiting = authority.waiting();
    match waiting.find(|one| one.at == at) {
        Some(waiting) => Outcome::Waits(state_of(&waiting)),
        None => Outcome::Overtaken,
    }
}

fn takes_effect(authority: &Authority, at: At, event: &Event) -> bool {
    match event {
        Event::KeyChange(change) => current_key(authority, &change.key) == at,
        Event::Policy(_) => authority.policy(at).is_some(),
        Event::Ban(ban) => current_ban(authority, &ban.target) == at,
        Event::Adjustment(adjustment) => authority.last_adjustment(&adjustment.account) == at,
        Event::Account(said) => authority.last_registration(&said.name) == at,
        Event::Setting(setting) => authority.last_setting(&setting.account) == at,
        Event::WriteOff(said) => authority.last_write_off(&said.account) == at,
        Event::InactiveDust(_) => authority.last_dust() == at,
        // It compares nothing and needs nobody.
        Event::PayoutHalt(_) => true,
        Event::SchemaSet(set) => authority.schema_set(set.number) == Some(set.entries.as_slice()),
        _ => false,
    }
}

fn approval_outcome(
    authority: &Authority,
    approval: &Approval,
    thing: Option<&Waiting>,
) -> Outcome {
    let approved = authority.approved_by(&approval.thing).count();
    if let Some(waiting) = thing_of(authority, &Event::Approval(*approval)) {
        return Outcome::Counted(Some(state_of(&waiting)));
    }
    match thing {
        Some(thing) if takes_effect(authority, thing.at, &thing.event) => {
            Outcome::Counted(Some(ThingState {
                digest: thing.digest,
                needed: Some(thing.needed),
                approved: approved.max(thing.needed),
            }))
        }
        // It waited, waits no more, and took no effect.
        Some(_) => Outcome::Overtaken,
        None => Outcome::Counted(Some(ThingState {
            digest: approval.thing,
            needed: None,
            approved,
        })),
    }
}

fn state_of(waiting: &Waiting) -> ThingState {
    ThingState {
        digest: waiting.digest,
        needed: Some(waiting.needed),
        approved: waiting.approved.len(),
    }
}
