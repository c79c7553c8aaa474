//! What a desk remembers of commands: by their ids, so that one that is sent twice is written once.

use std::collections::BTreeMap;

use orebook_ledger::authority::Waiting;
use orebook_producer::outbox::{Held, Place};
use orebook_schema::account::SetBy;
use orebook_schema::{Event, Hash};

use crate::answer::Answer;
use crate::judge::Subject;

/// Commands that are remembered at most: those whose time is not over. Further ones are told to come again.
pub(crate) const COMMANDS_MAX: usize = 4_096;

/// Of those, settings that owners said themselves, at most.
pub(crate) const SETTINGS_MAX: usize = 2_048;
/// Of what waits to become final, likewise.
const SETTINGS_WAIT_MAX: usize = 32;

/// Whether it is a setting by an account's owner.
pub(crate) fn is_owners(event: &Event) -> bool {
    matches!(event, Event::Setting(setting) if setting.by != SetBy::Operator)
}

/// How a command stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Standing {
    /// Written, or about to be.
    Pending,
    /// Final.
    Answered(Answer),
    /// It never reached the ledger; sent again, it is written.
    Lost,
}

/// A command that is remembered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    /// When it is not taken any more, milliseconds since 1970.
    pub(crate) until_ms: u64,
    pub(crate) event: Event,
    pub(crate) standing: Standing,
}

impl Kept {
    /// It is lost when its time is over.
    pub(crate) const fn expired(&self) -> LostWhen {
        LostWhen::Time(self.until_ms)
    }
}

/// When a command that was written to a closed stream counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LostWhen {
    /// So many positions are final, and it is not among them.
    Size(u64),
    /// Its time is over: nobody knows any more what the stream's end was.
    Time(u64),
}

/// A command that is written and not final.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pending {
    pub(crate) id: Hash,
    pub(crate) subject: Subject,
    pub(crate) event: Event,
    /// What it approves, as that waited when the command came.
    pub(crate) thing: Option<Waiting>,
    /// Final positions when it came: it stands at or above.
    pub(crate) from: u64,
    pub(crate) lost_when: Option<LostWhen>,
    /// Of a former life's: where it was about to be written.
    pub(crate) place: Option<Place>,
}

impl Pending {
    /// Whether it is what the spool holds there. A line of before places were noted goes by the event alone.
    pub(crate) fn is_at(&self, held: &Held) -> bool {
        self.event == held.event && self.place.is_none_or(|place| place == held.place)
    }
}

/// Every command that is remembered.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) commands: BTreeMap<Hash, Kept>,
    pub(crate) pending: Vec<Pending>,
}

impl Memory {
    /// Forgets what is answered and cannot be sent any more.
    pub(crate) fn forget(&mut self, now: u64) {
        self.commands
            .retain(|_, kept| kept.standing == Standing::Pending || now <= kept.until_ms);
    }

    pub(crate) fn is_full(&self) -> bool {
        COMMANDS_MAX <= self.commands.len()
    }

    /// Whether miners have used up their part of it: operators find room always.
    pub(crate) fn is_full_of_settings(&self) -> bool {
        let waiting = self.pending.iter().map(|one| &one.event);
        let kept = self.commands.values().map(|kept| &kept.event);
        SETTINGS_WAIT_MAX <= waiting.filter(|event| is_owners(event)).count()
            || SETTINGS_MAX <= kept.filter(|event| is_owners(event)).count()
    }

    /// A command was written. `read_to` is where looking for it begins, if nothing else is looked for.
    pub(crate) fn wait(&mut self, pending: Pending, until_ms: u64, read_to: &mut u64) {
        if self.pending.is_empty() {
            *read_to = pending.from;
        }
        self.keep(&pending, until_ms, Standing::Pending);
        self.pending.push(pending);
    }

    /// A command could not be written.
    pub(crate) fn lose(&mut self, lost: &Pending, until_ms: u64) {
        self.pending.retain(|one| one.id != lost.id);
        self.keep(lost, until_ms, Standing::Lost);
    }

    fn keep(&mut self, pending: &Pending, until_ms: u64, standing: Standing) {
        let kept = Kept {
            until_ms,
            event: pending.event.clone(),
            standing,
        };
        self.commands.insert(pending.id, kept);
    }

    /// A command is not pending any more.
    pub(crate) fn settle(&mut self, id: Hash, standing: Standing) {
        self.pending.retain(|one| one.id != id);
        if let Some(kept) = self.commands.get_mut(&id) {
            kept.standing = standing;
        }
    }

    /// The stream of everything that is pending was closed, when the ledger's head was of this size.
    pub(crate) fn stream_closed(&mut self, head: u64) {
        for pending in &mut self.pending {
            pending.lost_when.get_or_insert(LostWhen::Size(head));
        }
    }

    /// Commands of closed streams that are not among the first `size` final positions, and will not be.
    pub(crate) fn lost(&self, size: u64, now: u64) -> Vec<Hash> {
        let is_lost = |pending: &&Pending| match pending.lost_when {
            Some(LostWhen::Size(head)) => head <= size,
            Some(LostWhen::Time(until)) => until < now,
            None => false,
        };
        let lost = self.pending.iter().filter(is_lost);
        lost.map(|pending| pending.id).collect()
    }
}
