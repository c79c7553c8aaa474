//! A queue in which sessions have turns: each session's items keep their order, and a session with many waits for itself.

use std::collections::{HashMap, VecDeque};

use crate::batch::ConnId;

/// See the module. Bounded by whoever fills it.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    /// Sessions with something waiting, the next one first.
    turns: VecDeque<ConnId>,
    waiting: HashMap<ConnId, VecDeque<T>>,
    count: usize,
}

impl<T> FairQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            turns: VecDeque::new(),
            waiting: HashMap::new(),
            count: 0,
        }
    }

    /// Items that wait.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// Items of a session that wait.
    pub(super) fn of(&self, session: ConnId) -> usize {
        self.waiting.get(&session).map_or(0, VecDeque::len)
    }

    /// How many are taken at most before the next item of a session, if nothing else comes.
    pub(super) fn ahead(&self, session: ConnId) -> usize {
        let rounds = self.of(session) + 1;
        self.count.min(rounds.saturating_mul(self.turns.len()))
    }

    /// Puts an item behind those of its session.
    pub(super) fn push(&mut self, session: ConnId, item: T) {
        let items = self.waiting.entry(session).or_default();
        if items.is_empty() {
            self.turns.push_back(session);
        }
        items.push_back(item);
        self.count += 1;
    }

    /// Takes the next items, one of each session in turn: at most `max`, as long as they go together with the first.
    pub(super) fn take(
        &mut self,
        max: usize,
        go_together: impl Fn(&T, &T) -> bool,
        out: &mut Vec<T>,
    ) {
        let from = out.len();
        while out.len() - from < max {
            let Some(session) = self.turns.front().copied() else {
                return;
            };
            let next = self.waiting.get(&session).and_then(VecDeque::front);
            let fits = match (out.get(from), next) {
                (Some(first), Some(next)) => go_together(first, next),
                _ => true,
            };
            if !fits {
                return;
            }
            self.turns.pop_front();
            let Some(items) = self.waiting.get_mut(&session) else {
                continue;
            };
            if let Some(item) = items.pop_front() {
                out.push(item);
                self.count -= 1;
            }
            if items.is_empty() {
                self.waiting.remove(&session);
            } else {
                self.turns.push_back(session);
            }
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.turns.clear();
        self.waiting.clear();
        self.count = 0;
    }
}
