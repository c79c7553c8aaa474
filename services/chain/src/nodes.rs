//! A list of nodes as one: the first well one gives templates, every one gets found blocks, and the first that answers answers.

mod health;

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orebook_schema::units::Hash;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

pub use health::{BEHIND_BLOCKS_MAX, ERRORS_MAX, WELL_AFTER};

use crate::answer::SubmitAnswer;
use crate::dev::DevChain;
use crate::hash::shown;
use crate::node::{ChainBlock, ChainHeader, ChainTip, Node, NodeError};
use crate::rpc::{RpcConfig, RpcNode};
use crate::template::Template;
use health::Health;

/// Most nodes of a list; a longer one is refused.
pub const NODES_MAX: usize = 8;
/// Least time between the end of a long poll and the next, against nodes that answer at once without end.
pub const LONG_POLL_SPACING: Duration = Duration::from_millis(100);
/// Longest name of a node.
pub const NODE_NAME_BYTES_MAX: usize = 64;

/// A node of the list.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its name in logs and answers; unique in the list, 1 to [`NODE_NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// A program with an RPC server.
    Rpc(RpcConfig),
    /// The development chain in this process.
    Dev(DevChain),
}

/// How often things are asked and when patience ends.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two questions for the tip. Default 1 s.
    pub poll: Duration,
    /// Age at which a template of the same parent is asked for and handed out anew. Default 30 s.
    pub refresh: Duration,
    /// Without a node's word that its template is current for so long, it gives no work. Default 30 s.
    pub stale_after: Duration,
    /// How long a node may be one block behind another. Default 30 s.
    pub lag: Duration,
    /// Pause before a long poll is tried again after it failed. Default 30 s.
    pub long_poll_pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            refresh: Duration::from_secs(30),
            stale_after: Duration::from_secs(30),
            lag: Duration::from_secs(30),
            long_poll_pause: Duration::from_secs(30),
        }
    }
}

/// The nodes of one coin.
#[derive(Clone, Debug)]
pub struct NodesConfig {
    /// In the order of preference; 1 to [`NODES_MAX`].
    pub nodes: Vec<NodeConfig>,
    /// The chain's first block, header order; a node with another one gives no work and no answers. `None` trusts every node.
    pub genesis: Option<Hash>,
    /// How often things are asked.
    pub timing: Timing,
}

/// Why a list of nodes is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// None, or more than [`NODES_MAX`].
    #[error("a coin has 1 to {NODES_MAX} nodes, not {0}")]
    Count(usize),
    /// A name that is empty, too long or used twice.
    #[error(
        "the node's name `{0}` is empty, longer than {NODE_NAME_BYTES_MAX} bytes, or used twice"
    )]
    Name(String),
    /// A pause of no length would ask without end.
    #[error("a node's poll interval is zero")]
    Poll,
}

/// What miners are to be given.
#[derive(Clone, Debug)]
pub enum Work {
    /// This. Two values with the same parent and other fees or times may follow each other.
    Fresh(Arc<Template>),
    /// Nothing: no node has fresh work.
    None {
        /// Which nodes, and why; fit for a log and for an operator.
        why: String,
    },
}

/// One node's state, for logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHealth {
    /// Its name.
    pub name: String,
    /// Whether it is preferred to later ones.
    pub well: bool,
    /// Its last failure, if that is not over.
    pub why: Option<String>,
    /// Failures one after another.
    pub errors: u32,
    /// Height of the block that its newest template would make.
    pub height: Option<u64>,
}

/// A handle on the running list; clones are the same list.
#[derive(Clone, Debug)]
pub struct Nodes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    names: Vec<String>,
    nodes: Vec<Arc<Node>>,
    genesis: Option<Hash>,
    timing: Timing,
    state: Mutex<State>,
    work: watch::Sender<Work>,
    /// Somebody's health changed.
    changed: Notify,
    /// Ask every node now: a block was submitted.
    ask_now: watch::Sender<u64>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct State {
    health: Vec<Health>,
    chosen: Option<usize>,
}

impl Nodes {
    /// Starts to ask the nodes: a task for each and one that chooses. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`ConfigError`], the first that applies.
    pub fn start(config: NodesConfig) -> Result<Self, ConfigError> {
        check(&config)?;
        let (names, nodes): (Vec<_>, Vec<_>) = config
            .nodes
            .into_iter()
            .map(|node| {
                let kind = match node.kind {
                    NodeKind::Rpc(config) => Node::Rpc(RpcNode::new(config)),
                    NodeKind::Dev(chain) => Node::Dev(chain),
                };
                (node.name, Arc::new(kind))
            })
            .unzip();
        let health: Vec<Health> = nodes.iter().map(|_| Health::default()).collect();
        let shared = Arc::new(Shared {
            work: watch::Sender::new(Work::None {
                why: health::why(&names, &health),
            }),
            names,
            nodes,
            genesis: config.genesis,
            timing: config.timing,
            state: Mutex::new(State {
                health,
                chosen: None,
            }),
            changed: Notify::new(),
            ask_now: watch::Sender::new(0),
            stop: watch::Sender::new(false),
            tasks: Mutex::new(Vec::new()),
        });
        let watchers =
            (0..shared.nodes.len()).map(|index| tokio::spawn(Arc::clone(&shared).watch(index)));
        let mut tasks: Vec<JoinHandle<()>> = watchers.collect();
        tasks.push(tokio::spawn(Arc::clone(&shared).choose()));
        *lock(&shared.tasks) = tasks;
        Ok(Self { shared })
    }

    /// What miners are to be given, now and whenever it changes. The last value stands; nothing queues up.
    #[must_use]
    pub fn templates(&self) -> watch::Receiver<Work> {
        self.shared.work.subscribe()
    }

    /// Gives a found block to every node at once, sick ones too; ends when each has answered or its deadlines passed. A caller
    /// that stops waiting takes no block back. The answers are in the order of the list; after each, every node is asked for
    /// new work at once.
    pub async fn submit(&self, block: Vec<u8>) -> Vec<(String, SubmitAnswer)> {
        let block = Arc::new(block);
        let mut tries = Vec::new();
        for (index, name) in self.shared.names.iter().enumerate() {
            let (shared, block) = (Arc::clone(&self.shared), Arc::clone(&block));
            // A task of its own: a caller that goes away takes no block back.
            tries.push((name.clone(), tokio::spawn(shared.offer(index, block))));
        }
        let mut answers = Vec::new();
        for (name, offered) in tries {
            let answer = offered.await;
            let answer = answer.unwrap_or_else(|error| SubmitAnswer::Unknown(error.to_string()));
            answers.push((name, answer));
        }
        answers
    }

    /// The best block, by the first node that answers.
    ///
    /// # Errors
    /// The last node's [`NodeError`], if none answered.
    pub async fn tip(&self) -> Result<ChainTip, NodeError> {
        self.shared
            .ask(|node| async move { node.tip().await })
            .await
    }

    /// The best chain's block at a height, by the first node that answers; `None` above its tip.
    ///
    /// # Errors
    /// The last node's [`NodeError`], if none answered.
    pub async fn hash_at(&self, height: u64) -> Result<Option<Hash>, NodeError> {
        self.shared
            .ask(|node| async move { node.hash_at(height).await })
            .await
    }

    /// A block's place, by the first node that answers; `None` if that node does not know the block, which says nothing of
    /// other nodes.
    ///
    /// # Errors
    /// The last node's [`NodeError`], if none answered.
    pub async fn header(&self, hash: Hash) -> Result<Option<ChainHeader>, NodeError> {
        self.shared
            .ask(|node| async move { node.header(hash).await })
            .await
    }

    /// A block and what it pays, by the first node that answers; else as [`Self::header`].
    ///
    /// # Errors
    /// The last node's [`NodeError`], if none answered.
    pub async fn block(&self, hash: Hash) -> Result<Option<ChainBlock>, NodeError> {
        self.shared
            .ask(|node| async move { node.block(hash).await })
            .await
    }

    /// What every node says of a height, in the order of the list: for decisions that need a quorum.
    pub async fn hash_at_each(
        &self,
        height: u64,
    ) -> Vec<(String, Result<Option<Hash>, NodeError>)> {
        let mut questions = JoinSet::new();
        for (index, node) in self.shared.nodes.iter().enumerate() {
            let node = Arc::clone(node);
            questions.spawn(async move { (index, node.hash_at(height).await) });
        }
        let names = self.shared.names.iter();
        let mut answers: Vec<_> = names
            .map(|name| (name.clone(), Err(NodeError::Stopped)))
            .collect();
        while let Some(outcome) = questions.join_next().await {
            if let Ok((index, answer)) = outcome
                && let Some((_, place)) = answers.get_mut(index)
            {
                *place = self.shared.trusted(index, answer);
            }
        }
        answers
    }

    /// Each node's state, in the order of the list.
    #[must_use]
    pub fn health(&self) -> Vec<NodeHealth> {
        let now = Instant::now();
        let state = lock(&self.shared.state);
        let health = state
            .health
            .iter()
            .zip(&self.shared.names)
            .map(|(node, name)| NodeHealth {
                name: name.clone(),
                well: node.is_well(now, self.shared.timing.stale_after),
                why: node.why.clone(),
                errors: node.errors,
                height: node.template.as_ref().map(|template| template.height),
            });
        health.collect()
    }

    /// Ends all tasks and waits for them. Questions in flight end with their own deadlines.
    pub async fn stop(&self) {
        self.shared.stop.send_replace(true);
        let tasks = std::mem::take(&mut *lock(&self.shared.tasks));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a node's task ended badly");
            }
        }
    }
}

impl Shared {
    /// Asks the chosen node first, then the others in order, until one answers.
    async fn ask<T, F>(&self, question: impl Fn(Arc<Node>) -> F) -> Result<T, NodeError>
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
    async fn offer(self: Arc<Self>, index: usize, block: Arc<Vec<u8>>) -> SubmitAnswer {
        let (Some(node), Some(name)) = (self.nodes.get(index), self.names.get(index)) else {
            return SubmitAnswer::Unknown("there is no such node".to_owned());
        };
        let answer = node.submit(&block).await;
        tracing::info!(node = %name, answer = ?answer, "a node answered to our block");
        self.ask_now
            .send_modify(|count| *count = count.wrapping_add(1));
        answer
    }

    fn order(&self) -> Vec<usize> {
        let chosen = lock(&self.state).chosen;
        let others = (0..self.nodes.len()).filter(|index| Some(*index) != chosen);
        chosen.into_iter().chain(others).collect()
    }

    /// An answer counts only once its node was seen to be on our chain.
    fn trusted<T>(&self, index: usize, answer: Result<T, NodeError>) -> Result<T, NodeError> {
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

    /// Keeps one node's template current: polls its tip, asks for a template when the tip moved or the old one is due, and holds
    /// a long poll beside that.
    async fn watch(self: Arc<Self>, index: usize) {
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
                        Ok(template) => {
                            fetched = Some(Instant::now());
                            self.note(index, Ok(Some(template)));
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
        let template = lock(&self.state).health.get(index)?.template.clone()?;
        let id = template.longpoll_id.clone().filter(|_| node.long_polls())?;
        let node = Arc::clone(node);
        Some(Box::pin(async move { node.template(Some(&id)).await }))
    }

    /// One look at a node: a new template, or `None` where the known one is current.
    async fn check(
        &self,
        index: usize,
        node: &Node,
        fetched: &mut Option<Instant>,
    ) -> Result<Option<Template>, NodeError> {
        self.check_chain(index, node).await?;
        let tip = node.best_hash().await?;
        let is_due = fetched.is_none_or(|at| self.timing.refresh <= at.elapsed());
        let known = lock(&self.state)
            .health
            .get(index)
            .and_then(|health| health.template.clone());
        if !is_due && known.is_some_and(|known| known.prev == tip) {
            return Ok(None);
        }
        let template = node.template(None).await?;
        *fetched = Some(Instant::now());
        Ok(Some(template))
    }

    async fn check_chain(&self, index: usize, node: &Node) -> Result<(), NodeError> {
        let is_known = lock(&self.state)
            .health
            .get(index)
            .is_some_and(|health| health.is_our_chain);
        if is_known {
            return Ok(());
        }
        if let Some(genesis) = self.genesis {
            let first = node.hash_at(0).await?;
            if first != Some(genesis) {
                return Err(NodeError::OtherChain(first.map(shown).unwrap_or_default()));
            }
        }
        if let Some(health) = lock(&self.state).health.get_mut(index) {
            health.is_our_chain = true;
        }
        Ok(())
    }

    /// Writes down how a look at a node ended, and says so in the log where it changed something.
    fn note(&self, index: usize, asked: Result<Option<Template>, NodeError>) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let (Some(health), Some(name)) = (state.health.get_mut(index), self.names.get(index))
        else {
            return;
        };
        let was = health.is_well(now, self.timing.stale_after);
        match asked {
            Ok(template) => health.succeeded(template.map(Arc::new), now),
            Err(error @ NodeError::OtherChain(_)) => health.is_elsewhere(error.to_string()),
            Err(error) => health.failed(error.to_string()),
        }
        let is = health.is_well(now, self.timing.stale_after);
        if was != is {
            tracing::info!(node = %name, well = is, why = health.why.as_deref().unwrap_or(""), "a node's health changed");
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Publishes work: the one place that does.
    async fn choose(self: Arc<Self>) {
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

    /// The template to be handed out, or why there is none.
    fn chosen(&self, now: Instant) -> Result<Arc<Template>, String> {
        let mut state = lock(&self.state);
        let chosen = health::choose(&mut state.health, now, &self.timing);
        if state.chosen != chosen {
            let name = chosen.and_then(|index| self.names.get(index));
            tracing::info!(
                node = name.map_or("none", String::as_str),
                "templates come from this node now"
            );
            state.chosen = chosen;
        }
        let health = chosen.and_then(|index| state.health.get(index));
        health
            .and_then(|health| health.template.clone())
            .ok_or_else(|| health::why(&self.names, &state.health))
    }
}

/// A long poll in flight.
type LongPoll = Pin<Box<dyn Future<Output = Result<Template, NodeError>> + Send>>;

/// Waits for a long poll; for ever, if there is none.
async fn answered(long_poll: &mut Option<LongPoll>) -> Result<Template, NodeError> {
    match long_poll {
        Some(long_poll) => long_poll.await,
        None => std::future::pending().await,
    }
}

fn check(config: &NodesConfig) -> Result<(), ConfigError> {
    let count = config.nodes.len();
    if count == 0 || NODES_MAX < count {
        return Err(ConfigError::Count(count));
    }
    for (index, node) in config.nodes.iter().enumerate() {
        let is_used = config
            .nodes
            .iter()
            .take(index)
            .any(|other| other.name == node.name);
        if is_used || node.name.is_empty() || NODE_NAME_BYTES_MAX < node.name.len() {
            return Err(ConfigError::Name(node.name.clone()));
        }
    }
    if config.timing.poll.is_zero() {
        return Err(ConfigError::Poll);
    }
    Ok(())
}

/// A poisoned lock means that a holder panicked; what it guards is replaced whole, so it is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
