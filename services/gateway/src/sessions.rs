//! Session numbers: who has which, and what is kept of those that ended, so that a miner who comes again goes on where he was.
//!
//! A session's id is its number and a tag that only this process can make: who guesses ids finds nobody's, and an id of another
//! gateway or of a former process is none of ours. Duplicates need nothing from here: they are told by the shares themselves.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use orebook_schema::Hash;
use orebook_schema::units::{hex, unhex};

use crate::batch::{ConnId, JobKey};
use crate::conn::{Due, Sent};
use crate::vardiff::Vardiff;

/// How long an ended session's difficulty and jobs are kept. Later, its id still gives its number.
const KEPT: Duration = Duration::from_secs(600);
/// Ended sessions that are kept; the oldest go.
const KEPT_MAX: usize = 16_384;
/// Bytes of a tag: guessing takes 2^63 connections.
const TAG_BYTES: usize = 8;
/// Hex digits of an id: number and tag.
const ID_DIGITS: usize = 2 * (4 + TAG_BYTES);

/// What a session had when its connection ended.
#[derive(Clone, Debug)]
pub(crate) struct Former {
    pub(crate) works: Vec<(JobKey, Due)>,
    /// The last job that it was sent.
    pub(crate) sent: Option<Sent>,
    /// The newest one.
    pub(crate) top: Option<JobKey>,
    pub(crate) vardiff: Vardiff,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Sessions {
    secret: [u8; 32],
    /// The largest number.
    last: u32,
    next: u32,
    holders: HashMap<u32, ConnId>,
    /// What ended, and when.
    ended: HashMap<u32, (Former, Instant)>,
    /// The same, oldest first; some were resumed since.
    order: VecDeque<(u32, Instant)>,
}

impl Sessions {
    /// `secret`: 32 random bytes, made anew by each process. `last`: the largest number that a session may have.
    pub(crate) fn new(secret: [u8; 32], last: u32) -> Self {
        Self {
            secret,
            last,
            next: 0,
            holders: HashMap::new(),
            ended: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The id of a number, as miners are told it.
    pub(crate) fn id(&self, number: u32) -> String {
        hex(&[&number.to_be_bytes()[..], &self.tag(number)].concat())
    }

    /// The number of an id that this process gave.
    pub(crate) fn number_of(&self, id: &str) -> Option<u32> {
        if id.len() != ID_DIGITS {
            return None;
        }
        let bytes = unhex(id)?;
        let (number, tag) = bytes.split_first_chunk::<4>()?;
        let number = u32::from_be_bytes(*number);
        // All bytes are compared: the time tells nothing of where they differ.
        let differs = self
            .tag(number)
            .iter()
            .zip(tag)
            .fold(0, |all, (a, b)| all | (a ^ b));
        (differs == 0).then_some(number)
    }

    fn tag(&self, number: u32) -> [u8; TAG_BYTES] {
        let hash = Hash::of(&[&self.secret, b"session", &number.to_be_bytes()]);
        hash.0.first_chunk().copied().unwrap_or_default()
    }

    /// A number that nobody has, for a new session; `None` if all are taken. Numbers come again when all others were given: long
    /// after the jobs of their time, or, where they are few, to shares that are told apart by more than the number.
    pub(crate) fn begin(&mut self, holder: ConnId) -> Option<u32> {
        let room = usize::try_from(self.last).unwrap_or(usize::MAX);
        if room <= self.holders.len() {
            return None;
        }
        while room <= self.holders.len() + self.ended.len() && !self.order.is_empty() {
            self.forget_first();
        }
        while self.holders.contains_key(&self.next) || self.ended.contains_key(&self.next) {
            self.next = self.after(self.next);
        }
        let number = self.next;
        self.next = self.after(number);
        self.holders.insert(number, holder);
        Some(number)
    }

    const fn after(&self, number: u32) -> u32 {
        if number < self.last { number + 1 } else { 0 }
    }

    /// Gives a number to another connection. Who had it until now, and what is kept of it.
    pub(crate) fn take_over(
        &mut self,
        number: u32,
        holder: ConnId,
    ) -> (Option<ConnId>, Option<Former>) {
        let former = self.ended.remove(&number).map(|(former, _)| former);
        (self.holders.insert(number, holder), former)
    }

    /// A connection ended. Whether it still had its number.
    pub(crate) fn end(&mut self, number: u32, holder: ConnId) -> bool {
        let had = self.holders.get(&number) == Some(&holder);
        if had {
            self.holders.remove(&number);
        }
        had
    }

    /// Keeps what a session had, for some time.
    pub(crate) fn keep(&mut self, number: u32, former: Former, now: Instant) {
        self.ended.insert(number, (former, now));
        self.order.push_back((number, now));
        if KEPT_MAX < self.order.len() {
            self.forget_first();
        }
    }

    /// Forgets what ended long ago.
    pub(crate) fn forget_old(&mut self, now: Instant) {
        let is_old = |(_, ended): &(u32, Instant)| KEPT <= now.saturating_duration_since(*ended);
        while self.order.front().is_some_and(is_old) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((number, when)) = self.order.pop_front() else {
            return;
        };
        // It may have been resumed, and have ended again since.
        if self
            .ended
            .get(&number)
            .is_some_and(|(_, ended)| *ended == when)
        {
            self.ended.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use orebook_schema::Work;
    use orebook_schema::units::WorkUnit;

    use super::*;
    use crate::config::DifficultyRule;

    fn former(parent: u32) -> Former {
        let rule = DifficultyRule::Fixed(Work::new(1).unwrap());
        Former {
            works: Vec::new(),
            sent: Some(Sent {
                job: JobKey(1),
                parent,
                work: Work::new(1).unwrap(),
            }),
            top: Some(JobKey(1)),
            vardiff: Vardiff::new(rule, WorkUnit::Sha256d, 0),
        }
    }

    fn conn(slot: u32) -> ConnId {
        ConnId {
            slot,
            generation: slot,
        }
    }

    #[test]
    fn an_id_gives_its_number_and_no_other_text_gives_any() {
        let ours = Sessions::new([7; 32], u32::MAX);
        for number in [0, 1, 0xdead_beef, u32::MAX] {
            let id = ours.id(number);
            assert_eq!(ours.number_of(&id), Some(number));
            for place in 0..id.len() {
                let mut other = id.clone().into_bytes();
                other[place] = if other[place] == b'0' { b'1' } else { b'0' };
                let other = String::from_utf8(other).unwrap();
                assert_eq!(ours.number_of(&other), None, "{other}");
            }
            let theirs = Sessions::new([8; 32], u32::MAX);
            assert_eq!(theirs.number_of(&id), None, "of another process");
        }
        for text in [
            "",
            "00000001",
            "zz",
            &"0".repeat(ID_DIGITS),
            &"é".repeat(12),
        ] {
            assert_eq!(ours.number_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_is_held_by_one_and_kept_for_who_comes_again() {
        let now = Instant::now();
        let mut sessions = Sessions::new([0; 32], u32::MAX);
        let number = sessions.begin(conn(1)).unwrap();
        assert_ne!(sessions.begin(conn(2)), Some(number));
        let (holder, kept) = sessions.take_over(number, conn(3));
        assert_eq!((holder, kept.is_none()), (Some(conn(1)), true));
        assert!(!sessions.end(number, conn(1)), "it is another's");
        assert!(sessions.end(number, conn(3)));
        sessions.keep(number, former(5), now);
        let (holder, kept) = sessions.take_over(number, conn(4));
        assert_eq!(
            (
                holder,
                kept.and_then(|kept| kept.sent).map(|sent| sent.parent)
            ),
            (None, Some(5))
        );
        // What it had is given once, and what is kept again outlives the first time's end.
        assert!(sessions.take_over(number, conn(5)).1.is_none());
        sessions.keep(number, former(6), now + KEPT / 2);
        sessions.forget_old(now + KEPT);
        assert!(sessions.take_over(number, conn(6)).1.is_some());
        sessions.keep(number, former(7), now + KEPT / 2);
        sessions.forget_old(now + 2 * KEPT);
        assert!(sessions.take_over(number, conn(7)).1.is_none());
    }

    #[test]
    fn where_numbers_are_few_what_ended_makes_room_and_nobody_shares_one() {
        let now = Instant::now();
        let mut sessions = Sessions::new([0; 32], 3);
        let numbers: Vec<_> = (0..3).map(|slot| sessions.begin(conn(slot))).collect();
        assert_eq!(numbers, [Some(0), Some(1), Some(2)]);
        assert_eq!(sessions.begin(conn(3)), None);
        assert!(sessions.end(1, conn(1)));
        sessions.keep(1, former(1), now);
        assert_eq!(sessions.begin(conn(4)), Some(3));
        assert!(sessions.end(2, conn(2)));
        sessions.keep(2, former(1), now);
        assert_eq!(sessions.begin(conn(5)), Some(1), "forgotten first");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let now = Instant::now();
        let mut sessions = Sessions::new([0; 32], u32::MAX);
        for number in 0..=u32::try_from(KEPT_MAX).unwrap() {
            sessions.keep(number, former(number), now);
        }
        assert_eq!(
            (sessions.ended.len(), sessions.order.len()),
            (KEPT_MAX, KEPT_MAX)
        );
        assert!(
            sessions.take_over(0, conn(0)).1.is_none(),
            "the oldest went"
        );
    }
}
