//! The tasks of a list of nodes: one that watches each, one that chooses, and the door for pushes.

use std::pin::Pin;
use std::sync::Arc;

use orebook_schema::units::Hash;
use tokio::time::Instant;

use super::events::{NodeEvent, NodeFault};
use super::{ACCEPTED_MAX, LONG_POLL_SPACING, Shared, Work, health, lock};
use crate::answer::SubmitAnswer;
use crate::eth::{PUSH_SPACING, Push, PushDoor};
use crate::node::{Found, Node, NodeError, NodeWork};

impl Shared {
    /// Asks the chosen node first, then the others in order, until one answers.
    pub(super) async fn ask<T, F>(&self, question: impl Fn(Arc<Node>) -> F) -> Result<T, NodeError>
    where
        F: Future<Output = Result<T, NodeError>>,
    {
        let mut last = NodeError::Stopped;
        for index in self.order() {
            let Some(node) = self.nodes.get(index).map(Arc::clone) else {
                continue;
            };
            match self.trusted(index, question(node).await) {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Offers a block to one node, and has every node asked for new work after its answer.
    pub(super) async fn offer(self: Arc<Self>, index: usize, found: Found) -> SubmitAnswer {
        let (Some(node), Some(name)) = (self.nodes.get(index), self.names.get(index)) else {
            return SubmitAnswer::Unknown("there is no such node".to_owned());
        };
        let answer = node.submit(&found).await;
        if answer == SubmitAnswer::Accepted && self.was_accepted(index, &found) {
            self.events
                .say(NodeEvent::AcceptedTwice { node: name.clone() });
        }
        tracing::info!(node = %name, answer = ?answer, "a node answered to our block");
        self.ask_now
            .send_modify(|count| *count = count.wrapping_add(1));
        answer
    }

    /// Whether a node took a block before; from now on it has.
    fn was_accepted(&self, index: usize, found: &Found) -> bool {
        let name = match found {
            Found::Block(block) => Hash::of(&[block]),
            Found::Eth(found) => Hash::of(&[&found.seal.0, &found.nonce.to_be_bytes()]),
        };
        let mut accepted = lock(&self.accepted);
        let was = accepted.contains(&(index, name));
        if !was {
            accepted.push_back((index, name));
        }
        if ACCEPTED_MAX < accepted.len() {
            accepted.pop_front();
        }
        was
    }

    fn order(&self) -> Vec<usize> {
        let chosen = lock(&self.state).chosen;
        let others = (0..self.nodes.len()).filter(|index| Some(*index) != chosen);
        chosen.into_iter().chain(others).collect()
    }

    /// An answer counts only once its node was seen to be on our chain.
    pub(super) fn trusted<T>(
        &self,
        index: usize,
        answer: Result<T, NodeError>,
    ) -> Result<T, NodeError> {
        let is_our_chain = lock(&self.state)
            .health
            .get(index)
            .is_some_and(|health| health.is_our_chain);
        if self.genesis.is_none() || is_our_chain {
            answer
        } else {
            answer.and(Err(NodeError::ChainUnknown))
        }
    }

    /// Keeps one node's work current: polls its tip, asks for work when the tip moved or the old one is due, and holds
    /// a long poll beside that.
    pub(super) async fn watch(self: Arc<Self>, index: usize) {
        let Some(node) = self.nodes.get(index).map(Arc::clone) else {
            return;
        };
        let (mut stop, mut ask_now) = (self.stop.subscribe(), self.ask_now.subscribe());
        let mut fetched = None;
        let mut long_poll: Option<LongPoll> = None;
        let mut long_poll_at = Instant::now();
        loop {
            let asked = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                asked = self.check(index, &node, &mut fetched) => asked,
            };
            self.note(index, asked);
            if long_poll.is_none() && long_poll_at <= Instant::now() {
                long_poll = self.long_poll(index, &node);
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = ask_now.changed() => {}
                () = tokio::time::sleep(self.timing.poll) => {}
                answer = answered(&mut long_poll) => {
                    long_poll = None;
                    // A long poll may fail where polls do not: it is no sign of sickness.
                    long_poll_at = Instant::now() + match answer {
                        Ok(work) => {
                            fetched = Some(Instant::now());
                            self.note(index, Ok(Some(work)));
                            LONG_POLL_SPACING
                        }
                        Err(_) => self.timing.long_poll_pause,
                    };
                }
            }
        }
    }

    /// A long poll from the node's newest template on, if node and template offer one.
    fn long_poll(&self, index: usize, node: &Arc<Node>) -> Option<LongPoll> {
        let known = lock(&self.state).health.get(index)?.work.clone()?;
        let id = node.long_poll_id(&known)?;
        let node = Arc::clone(node);
        Some(Box::pin(async move { node.long_poll(&id, &known).await }))
    }

    /// One look at a node: new work, or `None` where the known one is current.
    async fn check(
        &self,
        index: usize,
        node: &Node,
        fetched: &mut Option<Instant>,
    ) -> Result<Option<NodeWork>, NodeError> {
        self.check_chain(index, node).await?;
        let is_due = fetched.is_none_or(|at| self.timing.refresh <= at.elapsed());
        let known = lock(&self.state)
            .health
            .get(index)
            .and_then(|health| health.work.clone());
        let work = node.look(known.as_ref(), is_due).await?;
        if let Some(work) = &work {
            // A node that was started anew between two looks may be on another chain now.
            if known.is_some_and(|known| work.is_clean_after(&known)) {
                self.check_genesis(node).await?;
            }
            *fetched = Some(Instant::now());
        }
        Ok(work)
    }

    async fn check_chain(&self, index: usize, node: &Node) -> Result<(), NodeError> {
        let is_known = lock(&self.state)
            .health
            .get(index)
            .is_some_and(|health| health.is_our_chain);
        if is_known {
            return Ok(());
        }
        self.check_genesis(node).await?;
        if let Some(health) = lock(&self.state).health.get_mut(index) {
            health.is_our_chain = true;
        }
        Ok(())
    }

    async fn check_genesis(&self, node: &Node) -> Result<(), NodeError> {
        if let Some(genesis) = self.genesis {
            let first = node.hash_at(0).await?;
            if first != Some(genesis) {
                let first = first.map(|first| node.shown(first));
                let first = first.unwrap_or_default();
                return Err(NodeError::OtherChain(format!("its first block is {first}")));
            }
        }
        node.check_ours().await
    }

    /// Writes down how a look at a node ended, and says so where it changed something.
    fn note(&self, index: usize, asked: Result<Option<NodeWork>, NodeError>) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let (Some(health), Some(name)) = (state.health.get_mut(index), self.names.get(index))
        else {
            return;
        };
        match asked {
            Ok(work) => health.succeeded(work, now),
            Err(error @ (NodeError::OtherChain(_) | NodeError::OtherPayee(_))) => {
                health.is_elsewhere(NodeFault::of(&error), error.to_string());
            }
            Err(error) => health.failed(NodeFault::of(&error), error.to_string()),
        }
        self.say_health(name, health, now);
        drop(state);
        self.changed.notify_one();
    }

    /// Says what is new of a node's health.
    fn say_health(&self, name: &str, health: &mut health::Health, now: Instant) {
        if let Some(fault) = health.news(now, self.timing.stale_after) {
            self.events.say(NodeEvent::Health {
                node: name.to_owned(),
                fault,
                why: health.why.clone().unwrap_or_default(),
            });
        }
    }

    /// Publishes work: the one place that does.
    pub(super) async fn choose(self: Arc<Self>) {
        let mut stop = self.stop.subscribe();
        let mut published_at = Instant::now();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.changed.notified() => {}
                // A node that hangs reports nothing: its template goes stale by the clock.
                () = tokio::time::sleep(self.timing.poll) => {}
            }
            let now = Instant::now();
            let chosen = self.chosen(now);
            let next =
                health::next_work(&self.work.borrow(), published_at, chosen, now, &self.timing);
            if let Some(work) = next {
                if let Work::None { why } = &work {
                    tracing::warn!(%why, "no work for miners");
                }
                published_at = now;
                self.work.send_replace(work);
            }
        }
    }

    /// The work to be handed out, or why there is none.
    fn chosen(&self, now: Instant) -> Result<NodeWork, String> {
        let mut state = lock(&self.state);
        let chosen = health::choose(&mut state.health, now, &self.timing);
        for (name, health) in self.names.iter().zip(&mut state.health) {
            self.say_health(name, health, now);
        }
        if state.chosen != chosen {
            let named = |index: Option<usize>| self.names.get(index?).cloned();
            self.events.say(NodeEvent::Source {
                was: named(state.chosen),
                is: named(chosen),
                why: health::faults(&self.names, &state.health, chosen),
            });
            state.chosen = chosen;
        }
        let health = chosen.and_then(|index| state.health.get(index));
        health
            .and_then(|health| health.work.clone())
            .ok_or_else(|| health::why(&self.names, &state.health))
    }

    /// Takes pushes until the list stops.
    pub(super) async fn open(self: Arc<Self>, door: PushDoor) {
        let (mut stop, shared) = (self.stop.subscribe(), Arc::clone(&self));
        let address = door.address();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            Err(error) = door.serve(move |push| shared.take(push)) => {
                tracing::error!(%address, %error, "pushes are not taken; nodes are polled");
            }
        }
    }

    /// A push that names work which no node gave is a reason to ask them all.
    fn take(&self, push: Push) {
        let knows = |health: &health::Health| match &health.work {
            Some(NodeWork::Eth(work)) => work.seal == push.seal,
            _ => false,
        };
        if !lock(&self.state).health.iter().any(knows) {
            self.pushed.notify_one();
        }
    }

    /// Has the nodes asked after pushes, not more often than [`PUSH_SPACING`] allows.
    pub(super) async fn wake(self: Arc<Self>) {
        let mut stop = self.stop.subscribe();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.pushed.notified() => {}
            }
            self.ask_now
                .send_modify(|count| *count = count.wrapping_add(1));
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(PUSH_SPACING) => {}
            }
        }
    }
}

/// A long poll in flight.
type LongPoll = Pin<Box<dyn Future<Output = Result<NodeWork, NodeError>> + Send>>;

/// Waits for a long poll; for ever, if there is none.
async fn answered(long_poll: &mut Option<LongPoll>) -> Result<NodeWork, NodeError> {
    match long_poll {
        Some(long_poll) => long_poll.await,
        None => std::future::pending().await,
    }
}
