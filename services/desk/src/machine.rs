//! One desk without threads or clocks: commands in, answers out, a turn with the ledger again and again.
//!
//! In this order, whatever fails in between: the command is noted and synced, then written to the spool, then sent, then
//! final, then its answer is noted and synced, and only then may the spool forget it. So after a crash a command that was
//! noted and is not in the spool was never written, and one that is there is waited for; the same command is never written
//! twice.

mod settings;

use std::net::SocketAddr;
use std::sync::Arc;

use orebook_ledger::authority::Authority;
use orebook_ledger::disk::{Disk, DiskError};
use orebook_ledger::log::Log;
use orebook_ledger::reader::Reader;
use orebook_ledger::segment::{Record, StoreError};
use orebook_ledger::sign::Signer;
use orebook_ledger::spool::SpoolConfig;
use orebook_producer::outbox::locked;
use orebook_producer::{Outbox, ProducerError};
use orebook_replay::engine::SharedReader;
use orebook_schema::{Account, At, DecodeError, Hash, Role, StreamId};
use serde_json::Value;

use crate::answer::{Answer, Outcome, Refusal, lost, pending, unknown};
use crate::audit::{Audit, AuditError, FILE_BYTES_MAX, Trail};
use crate::command::{COMMAND_LIFE_MS_MAX, Signed};
use crate::judge::{Subject, judge, outcome, thing_of};
use crate::limit::{Limit, Rates};
use crate::memory::{Kept, Memory, Pending, Standing};
use crate::metrics::Counters;
use crate::notes;
use crate::operators::Operators;
use crate::view;

pub use self::settings::{
    Asked, Sent, Shown, TEXT_LIFE_S, TOKEN_DONATION_PPM_MAX, TOKEN_HOLD_MS_MIN,
};

/// Commands that wait to become final, at most; further ones are told to come again.
pub const PENDING_MAX: usize = 64;
/// Frames that are read at once, at most 100 KiB each.
const FRAMES_AT_ONCE: u64 = 64;
/// Final positions that one turn reads at most; the next goes on.
const POSITIONS_PER_TURN: u64 = 1_024;

/// What a desk is told.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    /// Its spool; the role is the desk's.
    pub spool: SpoolConfig,
    /// Who may say what.
    pub operators: Operators,
}

/// Why a desk's turn failed: the process ends, and starts again from what is durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// Its audit trail.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Its turn with the ledger.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// The segments that it reads.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event of its own that it cannot read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl From<DiskError> for MachineError {
    fn from(error: DiskError) -> Self {
        Self::Audit(AuditError::Disk(error))
    }
}

/// What comes of a command at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Submitted {
    /// Its answer.
    Answered(Answer),
    /// It is written; [`Machine::take_answers`] has its answer when it is final.
    Waits(Hash),
}

/// A desk. See the module.
#[derive(Debug)]
pub struct Machine<D: Disk + Clone> {
    config: MachineConfig,
    outbox: Outbox<D>,
    audit: Audit<D>,
    memory: Memory,
    /// Below it every final position was looked through for what is pending.
    read_to: u64,
    /// Lines of the audit trail that found no room.
    no_lines: u64,
    /// Whether the last line found none: said once, not at each turn.
    lines_wait: bool,
    limit: Limit,
    rates: Rates,
    answers: Vec<(Hash, Answer)>,
    counters: Arc<Counters>,
}

impl<D: Disk + Clone> Machine<D> {
    /// Opens audit trail and spool in folder `dir` of `disk`, and an epoch; `new_stream` is used if there is no stream yet.
    ///
    /// # Errors
    /// [`MachineError`].
    pub fn open(
        disk: D,
        dir: &str,
        config: MachineConfig,
        signer: Signer,
        now: u64,
        new_stream: StreamId,
    ) -> Result<(Self, Trail), MachineError> {
        let mut memory = Memory::default();
        let mut strange = 0;
        let (audit, trail) = Audit::open(&disk, dir, FILE_BYTES_MAX, &mut |fields| {
            strange += u64::from(notes::recall(fields, &mut memory).is_none());
        })?;
        if 0 < strange {
            let (line, what) = (trail.lines, "lines before it are not this software's");
            return Err(AuditError::Damaged { line, what }.into());
        }
        let (spool, dir) = (config.spool, format!("{dir}/spool"));
        let outbox = Outbox::open("desk", disk, &dir, spool, signer, now, new_stream)?;
        let mut machine = Self {
            config,
            outbox,
            audit,
            memory,
            read_to: 0,
            no_lines: 0,
            lines_wait: false,
            limit: Limit::default(),
            rates: Rates::default(),
            answers: Vec::new(),
            counters: Arc::default(),
        };
        machine.recover(now)?;
        Ok((machine, trail))
    }

    /// Its counters.
    #[must_use]
    pub const fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Whether nothing that was written waits to become final.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.memory.pending.is_empty()
    }

    /// Answers of commands that became final, or were lost, since the last call.
    pub fn take_answers(&mut self) -> Vec<(Hash, Answer)> {
        std::mem::take(&mut self.answers)
    }

    /// What is in force, as JSON, and what an adjustment of `account` must expect; none before genesis is final here.
    #[must_use]
    pub fn state(&self, mirror: &SharedReader<D>, account: Option<&Account>) -> Option<Value> {
        view::state(locked(mirror).settled(), account)
    }

    /// What became of a command.
    #[must_use]
    pub fn ask(&self, mirror: &SharedReader<D>, id: Hash) -> Answer {
        let Some(kept) = self.memory.commands.get(&id) else {
            return unknown(id);
        };
        match &kept.standing {
            Standing::Pending => pending(id),
            Standing::Lost => lost(id),
            Standing::Answered(answer) => {
                // What waited for approvals may have got them meanwhile.
                let waited = answer.body.get("outcome").and_then(Value::as_str) == Some("waits");
                match notes::place_of(&answer.body).filter(|_| waited) {
                    Some(at) => self
                        .now_of(mirror, id, at, kept)
                        .unwrap_or_else(|| answer.clone()),
                    None => answer.clone(),
                }
            }
        }
    }

    fn now_of(&self, mirror: &SharedReader<D>, id: Hash, at: At, kept: &Kept) -> Option<Answer> {
        let reader = locked(mirror);
        let authority = reader.settled().authority()?;
        Some(outcome(authority, at, &kept.event, None).answer(id, at))
    }

    /// Takes a command that came from `from`: refuses it, or writes it.
    ///
    /// # Errors
    /// [`MachineError`]: nobody knows whether it was written; asking for it after the next start tells.
    pub fn submit(
        &mut self,
        mirror: &SharedReader<D>,
        bytes: &[u8],
        from: SocketAddr,
        now: u64,
    ) -> Result<Submitted, MachineError> {
        self.memory.forget(now);
        if !self.limit.is_open(from.ip(), now) {
            Counters::add(&self.counters.turned_away, 1);
            return Ok(Submitted::Answered(Refusal::TooMany.answer(None)));
        }
        let (signed, who) = match self.identify(mirror, bytes) {
            Ok(identified) => identified,
            Err(refusal) => return self.refuse_stranger(bytes, from, now, &refusal),
        };
        let id = signed.id;
        match self.memory.commands.get(&id).map(|kept| &kept.standing) {
            Some(Standing::Pending) => return Ok(Submitted::Waits(id)),
            Some(Standing::Answered(_)) => return Ok(Submitted::Answered(self.ask(mirror, id))),
            Some(Standing::Lost) | None => {}
        }
        match self.examine(mirror, &signed, &who.name, now) {
            Ok(pending) => self.say(&signed, &who.name, from, now, pending),
            Err(refusal) => {
                let answer = refusal.answer(Some(id));
                let line = notes::refused(&signed, &who.name, from, &answer);
                Counters::add(&self.counters.refused, 1);
                self.note(now, "refused", line)?;
                Ok(Submitted::Answered(answer))
            }
        }
    }

    /// Whose command it is.
    fn identify(&self, mirror: &SharedReader<D>, bytes: &[u8]) -> Result<(Signed, Who), Refusal> {
        let signed = Signed::read(bytes).map_err(|error| Refusal::Malformed(error.to_string()))?;
        if signed.command.ledger != self.config.spool.ledger {
            return Err(Refusal::WrongLedger);
        }
        let reader = locked(mirror);
        let authority = reader.settled().authority().ok_or(Refusal::NotReady)?;
        let key = &signed.command.operator;
        let name = self.config.operators.name(key, authority.genesis());
        let name = name.ok_or(Refusal::UnknownOperator)?;
        drop(reader);
        if signed.is_signed() {
            Ok((signed, Who { name }))
        } else {
            Err(Refusal::Signature)
        }
    }

    /// Whether a command that its operator signed is written.
    fn examine(
        &self,
        mirror: &SharedReader<D>,
        signed: &Signed,
        who: &str,
        now: u64,
    ) -> Result<Pending, Refusal> {
        let command = &signed.command;
        let subject = Subject::of(&command.event)?;
        self.config
            .operators
            .may(&command.operator, &command.event)?;
        if command.until_ms < now {
            return Err(Refusal::Expired);
        }
        if now.saturating_add(COMMAND_LIFE_MS_MAX) < command.until_ms {
            return Err(Refusal::TooLong);
        }
        let is_busy = self.memory.pending.iter().any(|one| one.subject == subject);
        if is_busy || PENDING_MAX <= self.memory.pending.len() || self.memory.is_full() {
            return Err(Refusal::Busy);
        }
        let reader = locked(mirror);
        let settled = reader.settled();
        let authority = settled.authority().ok_or(Refusal::NotReady)?;
        if !self.may_say(authority, now) {
            return Err(Refusal::KeyNotInForce);
        }
        judge(authority, settled.size(), &command.event)?;
        tracing::info!(id = %signed.id, who, "a command is written");
        Ok(Pending {
            id: signed.id,
            subject,
            event: command.event.clone(),
            thing: thing_of(authority, &command.event),
            from: settled.size(),
            lost_when: None,
            place: None,
        })
    }

    /// Whether the ledger takes what the desk says.
    fn may_say(&self, authority: &Authority, now: u64) -> bool {
        authority.role(&self.outbox.key()) == Some(Role::Desk) && !self.outbox.is_resting(now)
    }

    /// Notes it, then writes it.
    fn say(
        &mut self,
        signed: &Signed,
        who: &str,
        from: SocketAddr,
        now: u64,
        pending: Pending,
    ) -> Result<Submitted, MachineError> {
        let line = notes::said(signed, who, from, pending.from);
        let written = self.write(pending, signed.command.until_ms, ("said", line), now)?;
        if matches!(written, Submitted::Waits(_)) {
            Counters::add(&self.counters.said, 1);
        }
        Ok(written)
    }

    /// Notes in a line what happens, then does it.
    fn write(
        &mut self,
        pending: Pending,
        until_ms: u64,
        (what, mut line): (&str, crate::audit::Fields),
        now: u64,
    ) -> Result<Submitted, MachineError> {
        let id = pending.id;
        let no_room = || Ok(Submitted::Answered(Refusal::NoRoom.answer(Some(id))));
        notes::will_stand(&mut line, self.outbox.next_place());
        if !self.note(now, what, line)? {
            return no_room();
        }
        if !self.outbox.say(now, std::slice::from_ref(&pending.event))? {
            self.memory.lose(&pending, until_ms);
            self.note(now, "lost", notes::named(id))?;
            return no_room();
        }
        self.memory.wait(pending, until_ms, &mut self.read_to);
        Ok(Submitted::Waits(id))
    }

    /// Somebody whose word is not known to be anybody's.
    fn refuse_stranger(
        &mut self,
        bytes: &[u8],
        from: SocketAddr,
        now: u64,
        refusal: &Refusal,
    ) -> Result<Submitted, MachineError> {
        let answer = refusal.answer(None);
        Counters::add(&self.counters.refused, 1);
        if *refusal == Refusal::NotReady {
            return Ok(Submitted::Answered(answer));
        }
        Counters::add(&self.counters.wrong_signatures, 1);
        if let Some(unwritten) = self.limit.wrong(from.ip(), now) {
            let line = notes::stranger(bytes, from, &answer, unwritten);
            self.note(now, "refused", line)?;
        }
        Ok(Submitted::Answered(answer))
    }

    /// A turn with the ledger: looks what became final, sends what was written. `new_stream` is used if the stream was closed.
    ///
    /// # Errors
    /// [`MachineError`].
    pub fn turn(
        &mut self,
        mirror: &SharedReader<D>,
        log: &mut impl Log,
        now: u64,
        new_stream: StreamId,
    ) -> Result<(), MachineError> {
        self.outbox.beat(now)?;
        self.heed_final(mirror, now)?;
        self.publish(mirror, log, now, new_stream)?;
        self.count(mirror);
        Ok(())
    }

    fn count(&self, mirror: &SharedReader<D>) {
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let reader = locked(mirror);
        let settled = reader.settled();
        let unapproved = settled.authority().map_or(0, |it| it.waiting().count());
        Counters::set(&self.counters.unapproved, wide(unapproved));
        Counters::set(&self.counters.final_size, settled.size());
        Counters::set(&self.counters.waiting, wide(self.memory.pending.len()));
        let (counters, outbox) = (&self.counters, &self.outbox);
        Counters::set(&counters.key_refused, u64::from(outbox.is_key_refused()));
        let no_room = self.no_lines.saturating_add(outbox.no_room());
        Counters::set(&counters.no_room, no_room);
    }

    /// Looks for what is pending among what became final, and notes the answers.
    fn heed_final(&mut self, mirror: &SharedReader<D>, now: u64) -> Result<(), MachineError> {
        let mut left = POSITIONS_PER_TURN;
        loop {
            let reader = locked(mirror);
            let final_size = reader.final_size();
            if self.memory.pending.is_empty() {
                self.read_to = self.read_to.max(final_size);
                return Ok(());
            }
            let to = final_size.min(self.read_to.saturating_add(FRAMES_AT_ONCE));
            let found = self.find(&reader, to)?;
            drop(reader);
            for (id, at, outcome) in found {
                if !self.answer(id, at, &outcome, now)? {
                    // Without room for the line it is looked for again, and the spool keeps it.
                    return Ok(());
                }
            }
            left = left.saturating_sub(to.saturating_sub(self.read_to));
            self.read_to = self.read_to.max(to);
            self.lose_what_is_lost(now)?;
            if final_size <= self.read_to || left == 0 {
                return Ok(());
            }
        }
    }

    /// Pending commands among the positions up to `to`, and what became of them.
    fn find(&self, reader: &Reader<D>, to: u64) -> Result<Vec<(Hash, At, Outcome)>, MachineError> {
        let mut found: Vec<(Hash, At, Outcome)> = Vec::new();
        let Some(authority) = reader.settled().authority() else {
            return Ok(found);
        };
        for record in reader.store().records(self.read_to) {
            let record = record?;
            if to <= record.position() {
                break;
            }
            let Record::Frame(stored) = record else {
                continue;
            };
            if stored.frame.header().key != self.outbox.key() {
                continue;
            }
            for (index, event) in (0..).zip(stored.frame.decode()?) {
                let pending = self.memory.pending.iter();
                let said = |one: &&Pending| one.event == event && one.from <= stored.position;
                let Some(pending) = pending.into_iter().find(said) else {
                    continue;
                };
                let at = At {
                    position: stored.position,
                    index,
                };
                let is_new = found.iter().all(|(id, ..)| *id != pending.id);
                if is_new {
                    let came = outcome(authority, at, &event, pending.thing.as_ref());
                    found.push((pending.id, at, came));
                }
            }
        }
        Ok(found)
    }

    fn answer(
        &mut self,
        id: Hash,
        at: At,
        outcome: &Outcome,
        now: u64,
    ) -> Result<bool, MachineError> {
        let answer = outcome.answer(id, at);
        if !self.note(now, "answered", notes::answered(id, &answer))? {
            return Ok(false);
        }
        let counter = match outcome {
            Outcome::Overtaken => &self.counters.overtaken,
            _ => &self.counters.answered,
        };
        Counters::add(counter, 1);
        tracing::info!(%id, %at, outcome = outcome.name(), "a command is final");
        self.memory.settle(id, Standing::Answered(answer.clone()));
        self.answers.push((id, answer));
        Ok(true)
    }

    /// What was written to a stream that was closed, and is not final where it ended.
    fn lose_what_is_lost(&mut self, now: u64) -> Result<(), MachineError> {
        for id in self.memory.lost(self.read_to, now) {
            if self.note(now, "lost", notes::named(id))? {
                Counters::add(&self.counters.lost, 1);
                tracing::error!(%id, "a command did not reach the ledger: its stream was closed");
                self.memory.settle(id, Standing::Lost);
                self.answers.push((id, lost(id)));
            }
        }
        Ok(())
    }

    fn publish(
        &mut self,
        mirror: &SharedReader<D>,
        log: &mut impl Log,
        now: u64,
        new_stream: StreamId,
    ) -> Result<(), MachineError> {
        let mut reader = locked(mirror);
        // Sending also forgets what is final: nothing that is pending may be among it.
        if !self.memory.pending.is_empty() && self.read_to < reader.final_size() {
            return Ok(());
        }
        let closed = self.outbox.publish(&mut reader, log, now, new_stream)?;
        self.outbox.read_back(&reader, reader.settled())?;
        if let Some(head) = closed {
            self.memory.stream_closed(head);
            Counters::add(&self.counters.moves, 1);
        }
        Ok(())
    }

    /// What a former life noted and did not answer: it waits if the spool has it, else it was never written.
    fn recover(&mut self, now: u64) -> Result<(), MachineError> {
        let held = self.outbox.held()?;
        let mut never = Vec::new();
        let mut lowest = u64::MAX;
        for pending in &mut self.memory.pending {
            lowest = lowest.min(pending.from);
            let mut newest = held.iter().rev();
            match newest.find(|held| pending.is_at(held)) {
                None => never.push(pending.id),
                Some(held) if held.is_closed => {
                    pending.lost_when = self.memory.commands.get(&pending.id).map(Kept::expired);
                }
                Some(_) => {}
            }
        }
        if lowest != u64::MAX {
            self.read_to = lowest;
        }
        for id in never {
            if !self.note(now, "lost", notes::named(id))? {
                return Err(DiskError::Full {
                    path: crate::audit::AUDIT_FILE.to_owned(),
                }
                .into());
            }
            Counters::add(&self.counters.lost, 1);
            self.memory.settle(id, Standing::Lost);
        }
        self.memory.forget(now);
        Ok(())
    }

    /// False if there is no room for the line now.
    fn note(
        &mut self,
        now: u64,
        what: &str,
        fields: crate::audit::Fields,
    ) -> Result<bool, MachineError> {
        match self.audit.note(now, what, fields) {
            Ok(()) => {
                if std::mem::take(&mut self.lines_wait) {
                    tracing::info!("the desk's audit trail has room again");
                }
                Ok(true)
            }
            Err(DiskError::Full { .. }) => {
                self.no_lines = self.no_lines.saturating_add(1);
                if !std::mem::replace(&mut self.lines_wait, true) {
                    tracing::error!(
                        "no room for the desk's audit trail: commands are refused, and answers wait; \
                         see docs/runbooks/spool-full.md"
                    );
                }
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A known operator.
struct Who {
    name: String,
}
