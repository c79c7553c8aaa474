//! A list of nodes as one: the first well one gives templates, every one gets found blocks, and the first that answers answers.

mod events;
mod health;
mod watch;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orebook_schema::units::Hash;
use tokio::sync::watch::{Receiver, Sender};
use tokio::sync::{Notify, broadcast};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

pub use events::{EVENTS_MAX, NodeEvent, NodeFault};
pub use health::{BEHIND_BLOCKS_MAX, ERRORS_MAX, RENEW_SPACING, WELL_AFTER};

use crate::answer::SubmitAnswer;
use crate::dev::DevChain;
use crate::eth::{EthConfig, EthFate, EthHeader, EthNode, PushDoor, SubmitEth};
use crate::node::{ChainBlock, ChainHeader, ChainTip, Found, Node, NodeError, NodeWork};
use crate::rpc::{RpcConfig, RpcFigures, RpcNode};
use events::Events;
use health::Health;

/// Most nodes of a list; a longer one is refused.
pub const NODES_MAX: usize = 8;
/// Least time between the end of a long poll and the next, against nodes that answer at once without end.
pub const LONG_POLL_SPACING: Duration = Duration::from_millis(100);
/// Blocks of ours that nodes took which are remembered, over all nodes.
pub const ACCEPTED_MAX: usize = 64;
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
    /// A bitcoin-like program with an RPC server.
    Rpc(RpcConfig),
    /// An ethash-like one. A list has these only, or none of them.
    Eth(EthConfig),
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
    /// The chain's first block, header order (ethash-likes: as shown); a node with another one gives no work and no answers. `None` trusts every node.
    pub genesis: Option<Hash>,
    /// Where nodes post their newest work (`miner.notify`), besides being polled. For ethash-likes.
    pub push: Option<PushDoor>,
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
    /// Ethash-likes beside others.
    #[error("a coin's nodes are all of one kind")]
    Mixed,
    /// A pause of no length would ask without end.
    #[error("a node's poll interval is zero")]
    Poll,
}

/// What miners are to be given.
#[derive(Clone, Debug)]
pub enum Work {
    /// This. Two values with the same parent and other fees or times may follow each other.
    Fresh(NodeWork),
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
    /// Height of the block that its newest work would make.
    pub height: Option<u64>,
    /// What asking it cost; none of the development chain.
    pub rpc: Option<RpcFigures>,
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
    /// Which node took which block.
    accepted: Mutex<VecDeque<(usize, Hash)>>,
    work: Sender<Work>,
    events: Events,
    /// Somebody's health changed.
    changed: Notify,
    /// Ask every node now: a block was submitted, or a node says that there is something new.
    ask_now: Sender<u64>,
    /// A push is new.
    pushed: Notify,
    stop: Sender<bool>,
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
                    NodeKind::Eth(config) => Node::Eth(EthNode::new(config)),
                    NodeKind::Dev(chain) => Node::Dev(chain),
                };
                (node.name, Arc::new(kind))
            })
            .unzip();
        let health: Vec<Health> = nodes.iter().map(|_| Health::default()).collect();
        let shared = Arc::new(Shared {
            work: Sender::new(Work::None {
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
            accepted: Mutex::default(),
            events: Events::new(),
            changed: Notify::new(),
            pushed: Notify::new(),
            ask_now: Sender::new(0),
            stop: Sender::new(false),
            tasks: Mutex::new(Vec::new()),
        });
        let watchers =
            (0..shared.nodes.len()).map(|index| tokio::spawn(Arc::clone(&shared).watch(index)));
        let mut tasks: Vec<JoinHandle<()>> = watchers.collect();
        tasks.push(tokio::spawn(Arc::clone(&shared).choose()));
        if let Some(door) = config.push {
            tasks.push(tokio::spawn(Arc::clone(&shared).open(door)));
            tasks.push(tokio::spawn(Arc::clone(&shared).wake()));
        }
        *lock(&shared.tasks) = tasks;
        Ok(Self { shared })
    }

    /// What miners are to be given, now and whenever it changes. The last value stands; nothing queues up.
    #[must_use]
    pub fn templates(&self) -> Receiver<Work> {
        self.shared.work.subscribe()
    }

    /// What happens to the nodes: for who asks first since they were started, for others from now on. Who does not read loses the oldest beyond [`EVENTS_MAX`], and learns how many.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<NodeEvent> {
        self.shared.events.subscribe()
    }

    /// Gives a found block to every node at once, sick ones too; ends when each has answered or its deadlines passed. A caller
    /// that stops waiting takes no block back. The answers are in the order of the list; after each, every node is asked for
    /// new work at once.
    pub async fn submit(&self, block: Vec<u8>) -> Vec<(String, SubmitAnswer)> {
        self.offer_all(&Found::Block(Arc::new(block))).await
    }

    /// As [`Self::submit`], for a solution of an ethash-like's work. A node knows its own work only: what another node gave it
    /// answers with `false`, which is [`SubmitAnswer::Unknown`].
    pub async fn submit_eth(&self, found: SubmitEth) -> Vec<(String, SubmitAnswer)> {
        self.offer_all(&Found::Eth(found)).await
    }

    async fn offer_all(&self, found: &Found) -> Vec<(String, SubmitAnswer)> {
        let mut tries = Vec::new();
        for (index, name) in self.shared.names.iter().enumerate() {
            let (shared, found) = (Arc::clone(&self.shared), found.clone());
            // A task of its own: a caller that goes away takes no block back.
            tries.push((name.clone(), tokio::spawn(shared.offer(index, found))));
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

    /// What became of a solution for an ethash-like's work of a height, by the first node that answers.
    ///
    /// # Errors
    /// The last node's [`NodeError`], if none answered; [`NodeError::Kind`] of bitcoin-likes.
    pub async fn fate(&self, height: u64, seal: Hash, nonce: u64) -> Result<EthFate, NodeError> {
        self.shared
            .ask(|node| async move { node.fate(height, seal, nonce).await })
            .await
    }

    /// An ethash-like's header at a height of the best chain, by the first node that answers; `None` above its tip.
    ///
    /// # Errors
    /// The last node's [`NodeError`], if none answered; [`NodeError::Kind`] of bitcoin-likes.
    pub async fn eth_at(&self, height: u64) -> Result<Option<EthHeader>, NodeError> {
        self.shared
            .ask(|node| async move { node.eth_at(height).await })
            .await
    }

    /// The uncles of an ethash-like's block, all that its header commits to, by the first node that tells exactly them.
    ///
    /// # Errors
    /// The last node's [`NodeError`], if none answered; [`NodeError::Kind`] of bitcoin-likes.
    pub async fn uncles(&self, of: &EthHeader) -> Result<Vec<EthHeader>, NodeError> {
        self.shared
            .ask(|node| async move { node.uncles(of).await })
            .await
    }

    /// Fees of an ethash-like's block without what was burnt, base units, by the first node that tells ([`EthNode::fees`]).
    ///
    /// # Errors
    /// The last node's [`NodeError`], if none answered; [`NodeError::Kind`] of bitcoin-likes.
    pub async fn fees(&self, of: &EthHeader) -> Result<u128, NodeError> {
        self.shared
            .ask(|node| async move { node.fees(of).await })
            .await
    }

    /// What every node says of a height, in the order of the list: for decisions that need a quorum.
    pub async fn hash_at_each(
        &self,
        height: u64,
    ) -> Vec<(String, Result<Option<Hash>, NodeError>)> {
        self.each(move |node| async move { node.hash_at(height).await })
            .await
    }

    /// The same, with the headers of ethash-likes.
    pub async fn eth_at_each(
        &self,
        height: u64,
    ) -> Vec<(String, Result<Option<EthHeader>, NodeError>)> {
        self.each(move |node| async move { node.eth_at(height).await })
            .await
    }

    async fn each<T, F>(
        &self,
        question: impl Fn(Arc<Node>) -> F,
    ) -> Vec<(String, Result<T, NodeError>)>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, NodeError>> + Send + 'static,
    {
        let mut questions = JoinSet::new();
        for (index, node) in self.shared.nodes.iter().enumerate() {
            let asked = question(Arc::clone(node));
            questions.spawn(async move { (index, asked.await) });
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

    /// Whom each ethash-like's blocks pay, in the order of the list; its own word, also of a node of another chain.
    /// [`NodeError::Kind`] of bitcoin-likes, whose coinbases are ours.
    pub async fn payees(&self) -> Vec<(String, Result<[u8; 20], NodeError>)> {
        let questions = self.shared.nodes.iter().map(|node| {
            let node = Arc::clone(node);
            tokio::spawn(async move { node.payee().await })
        });
        let questions: Vec<_> = questions.collect();
        let mut answers = Vec::new();
        for (name, asked) in self.shared.names.iter().zip(questions) {
            let answer = asked.await.unwrap_or(Err(NodeError::Stopped));
            answers.push((name.clone(), answer));
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
            .zip(self.shared.names.iter().zip(&self.shared.nodes))
            .map(|(node, (name, asked))| NodeHealth {
                name: name.clone(),
                well: node.is_well(now, self.shared.timing.stale_after),
                why: node.why.clone(),
                errors: node.errors,
                height: node.work.as_ref().map(NodeWork::height),
                rpc: asked.figures(),
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
    let is_eth = |node: &&NodeConfig| matches!(node.kind, NodeKind::Eth(_));
    if !matches!(config.nodes.iter().filter(is_eth).count(), 0)
        && !config.nodes.iter().all(|node| is_eth(&node))
    {
        return Err(ConfigError::Mixed);
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
