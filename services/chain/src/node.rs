//! One node: a program asked over RPC, or the development chain in this process. All answer the same questions.

use std::io;
use std::sync::Arc;

use orebook_schema::units::Hash;

use crate::answer::SubmitAnswer;
use crate::dev::DevChain;
use crate::eth::{EthFate, EthHeader, EthNode, EthWork, SubmitEth};
use crate::hash::shown;
use crate::rpc::{RpcFigures, RpcNode};
use crate::template::{Template, TemplateError};

/// The best block of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainTip {
    /// Its height.
    pub height: u64,
    /// Its hash, header order.
    pub hash: Hash,
}

/// A block's place in the chain, as a node sees it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHeader {
    /// Its hash, header order.
    pub hash: Hash,
    /// Its height.
    pub height: u64,
    /// 1 for the tip, 2 for its parent, and so on; -1 for a block that is not on the best chain.
    pub confirmations: i64,
    /// Its parent; zero for the first block.
    pub prev: Hash,
    /// Its time, seconds since 1970.
    pub time: u32,
}

/// A block and what it pays, as a node sees it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainBlock {
    /// Its place.
    pub header: ChainHeader,
    /// Id of the coinbase without witness, header order.
    pub coinbase_txid: Hash,
    /// The coinbase's input script: height, tag, extranonces, text.
    pub coinbase_script_sig: Vec<u8>,
    /// Base units and output script of each output, in order.
    pub coinbase_outputs: Vec<(u128, Vec<u8>)>,
    /// New coins of the block, base units, if the node knows.
    pub subsidy: Option<u128>,
    /// Transaction fees of the block, base units, if the node knows.
    pub fees: Option<u128>,
}

impl ChainBlock {
    /// What the coinbase pays to one script, base units.
    #[must_use]
    pub fn paid_to(&self, script: &[u8]) -> u128 {
        let ours = self.coinbase_outputs.iter().filter(|(_, to)| to == script);
        ours.fold(0, |sum, (value, _)| sum.saturating_add(*value))
    }
}

/// Why a question has no answer. It never holds a credential, and a node's own words only cut and without control characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// No connection; nothing was sent.
    #[error("cannot connect: {0}")]
    Connect(io::ErrorKind),
    /// The configured address is none.
    #[error("the node's address is no host and port")]
    Address,
    /// The deadline passed; what was sent may have been done.
    #[error("no answer in time")]
    Timeout,
    /// The exchange broke off; what was sent may have been done.
    #[error("the connection broke off")]
    Broken,
    /// User and password cannot be read.
    #[error("credentials: {0}")]
    Credentials(&'static str),
    /// User and password were refused.
    #[error("the node refuses our user and password")]
    Unauthorized,
    /// The answer is longer than its limit.
    #[error("the answer is longer than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// An HTTP status without an RPC error.
    #[error("HTTP status {0}")]
    Http(u16),
    /// The answer is not what the question asks for.
    #[error("{0} cannot be read")]
    Garbage(&'static str),
    /// The node answered with an RPC error.
    #[error("error {code}: {message}")]
    Fault {
        /// The node's code.
        code: i64,
        /// The node's words.
        message: String,
    },
    /// A template that cannot be used.
    #[error("unusable template: {0}")]
    Template(#[from] TemplateError),
    /// The node's chain is not this one: its first block, or a later one that tells them apart.
    #[error("the node is on another chain: {0}")]
    OtherChain(String),
    /// The node's blocks pay somebody else.
    #[error("the node's blocks pay {0}, not the pool: mend its etherbase")]
    OtherPayee(String),
    /// Which chain the node is on was not asked yet, or not since its last failure.
    #[error("which chain the node is on is not known yet")]
    ChainUnknown,
    /// Work that is not the child of the node's own newest block.
    #[error("the node gives old or wrong work: height {height} on a chain of {tip}")]
    Old {
        /// Height that the work says.
        height: u64,
        /// Height of the node's newest block.
        tip: u64,
    },
    /// A template on another block than the node's own newest.
    #[error("the node gives an old template: its parent is not the newest block")]
    OldParent,
    /// Work that cannot be used.
    #[error("unusable work: {0}")]
    Work(&'static str),
    /// A question for another kind of node.
    #[error("this kind of node has no answer to that question")]
    Kind,
    /// The question was dropped: the process is shutting down.
    #[error("shutting down")]
    Stopped,
}

/// What a node gives to be mined. A list of nodes gives one kind only.
#[derive(Clone, Debug)]
pub enum NodeWork {
    /// A bitcoin-like's template.
    Template(Arc<Template>),
    /// An ethash-like's header.
    Eth(Arc<EthWork>),
}

impl NodeWork {
    /// Height of the block that it would make.
    #[must_use]
    pub fn height(&self) -> u64 {
        match self {
            Self::Template(template) => template.height,
            Self::Eth(work) => work.height,
        }
    }

    /// The block it is built on, in the byte order of its kind.
    #[must_use]
    pub fn parent(&self) -> Hash {
        match self {
            Self::Template(template) => template.prev,
            Self::Eth(work) => work.parent,
        }
    }

    /// Whether jobs on it replace the jobs on `before`: it has another parent.
    #[must_use]
    pub fn is_clean_after(&self, before: &Self) -> bool {
        self.parent() != before.parent()
    }

    /// Whether they are the same value, not only equal ones.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Template(one), Self::Template(another)) => Arc::ptr_eq(one, another),
            (Self::Eth(one), Self::Eth(another)) => Arc::ptr_eq(one, another),
            _ => false,
        }
    }

    fn template(&self) -> Option<&Template> {
        match self {
            Self::Template(template) => Some(template),
            Self::Eth(_) => None,
        }
    }
}

/// A block to be offered.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Block(Arc<Vec<u8>>),
    Eth(SubmitEth),
}

/// A node behind one set of calls.
#[derive(Debug)]
pub(crate) enum Node {
    Rpc(RpcNode),
    Eth(EthNode),
    Dev(DevChain),
}

impl Node {
    /// One look: new work, or `None` where the known one is current and not due to be asked for anew.
    pub(crate) async fn look(
        &self,
        known: Option<&NodeWork>,
        is_due: bool,
    ) -> Result<Option<NodeWork>, NodeError> {
        match self {
            Self::Rpc(node) => {
                let known = known.and_then(NodeWork::template);
                let tip = node.best_hash().await?;
                if !is_due && known.is_some_and(|known| known.prev == tip) {
                    return Ok(None);
                }
                let template = vetted(node, node.template(None).await?, known, tip).await?;
                Ok(Some(NodeWork::Template(Arc::new(template))))
            }
            Self::Eth(node) => {
                let known = match known {
                    Some(NodeWork::Eth(work)) => Some(&**work),
                    _ => None,
                };
                let work = node.work(known).await?;
                Ok(work.map(|work| NodeWork::Eth(Arc::new(work))))
            }
            Self::Dev(chain) => {
                let known = known.and_then(NodeWork::template);
                if !is_due && known.is_some_and(|known| known.prev == chain.tip().hash) {
                    return Ok(None);
                }
                Ok(Some(NodeWork::Template(Arc::new(chain.template()))))
            }
        }
    }

    /// What to ask a long poll with, if the node and its newest work offer one.
    pub(crate) fn long_poll_id(&self, known: &NodeWork) -> Option<String> {
        let is_offered = match self {
            Self::Rpc(node) => node.long_polls(),
            Self::Eth(_) => false,
            Self::Dev(_) => true,
        };
        let id = known.template()?.longpoll_id.clone();
        id.filter(|_| is_offered)
    }

    /// Work, when there is something newer than what the id stands for.
    pub(crate) async fn long_poll(
        &self,
        id: &str,
        known: &NodeWork,
    ) -> Result<NodeWork, NodeError> {
        let template = match self {
            Self::Rpc(node) => {
                let template = node.template(Some(id)).await?;
                let tip = node.best_hash().await?;
                vetted(node, template, known.template(), tip).await?
            }
            Self::Eth(_) => return Err(NodeError::Kind),
            Self::Dev(chain) => {
                chain.changed_from(id).await;
                chain.template()
            }
        };
        Ok(NodeWork::Template(Arc::new(template)))
    }

    pub(crate) async fn submit(&self, found: &Found) -> SubmitAnswer {
        match (self, found) {
            (Self::Rpc(node), Found::Block(block)) => node.submit(block).await,
            (Self::Eth(node), Found::Eth(found)) => node.submit(found).await,
            (Self::Dev(chain), Found::Block(block)) => {
                // It checks and syncs a file: not a thing for the runtime's own threads.
                let (chain, block) = (chain.clone(), Arc::clone(block));
                let answer = tokio::task::spawn_blocking(move || chain.submit(&block)).await;
                answer.unwrap_or_else(|error| SubmitAnswer::Unknown(error.to_string()))
            }
            (Self::Eth(_), Found::Block(_)) | (Self::Rpc(_) | Self::Dev(_), Found::Eth(_)) => {
                SubmitAnswer::Unknown(NodeError::Kind.to_string())
            }
        }
    }

    pub(crate) async fn tip(&self) -> Result<ChainTip, NodeError> {
        match self {
            Self::Rpc(node) => node.tip().await,
            Self::Eth(node) => node.tip().await,
            Self::Dev(chain) => Ok(chain.tip()),
        }
    }

    pub(crate) async fn hash_at(&self, height: u64) -> Result<Option<Hash>, NodeError> {
        match self {
            Self::Rpc(node) => node.hash_at(height).await,
            Self::Eth(node) => node.hash_at(height).await,
            Self::Dev(chain) => Ok(chain.hash_at(height)),
        }
    }

    pub(crate) async fn header(&self, hash: Hash) -> Result<Option<ChainHeader>, NodeError> {
        match self {
            Self::Rpc(node) => node.header(hash).await,
            Self::Eth(node) => node.header(hash).await,
            Self::Dev(chain) => Ok(chain.header(hash)),
        }
    }

    pub(crate) async fn block(&self, hash: Hash) -> Result<Option<ChainBlock>, NodeError> {
        match self {
            Self::Rpc(node) => node.block(hash).await,
            Self::Eth(_) => Err(NodeError::Kind),
            Self::Dev(chain) => Ok(chain.block(hash)),
        }
    }

    pub(crate) async fn fate(
        &self,
        height: u64,
        seal: Hash,
        nonce: u64,
    ) -> Result<EthFate, NodeError> {
        match self {
            Self::Eth(node) => node.fate(height, seal, nonce).await,
            Self::Rpc(_) | Self::Dev(_) => Err(NodeError::Kind),
        }
    }

    pub(crate) async fn eth_at(&self, height: u64) -> Result<Option<EthHeader>, NodeError> {
        match self {
            Self::Eth(node) => node.header_at(height).await,
            Self::Rpc(_) | Self::Dev(_) => Err(NodeError::Kind),
        }
    }

    pub(crate) async fn uncles(&self, of: &EthHeader) -> Result<Vec<EthHeader>, NodeError> {
        match self {
            Self::Eth(node) => node.uncles(of).await,
            Self::Rpc(_) | Self::Dev(_) => Err(NodeError::Kind),
        }
    }

    pub(crate) async fn fees(&self, of: &EthHeader) -> Result<u128, NodeError> {
        match self {
            Self::Eth(node) => node.fees(of).await,
            Self::Rpc(_) | Self::Dev(_) => Err(NodeError::Kind),
        }
    }

    /// What asking it cost; none of the development chain.
    pub(crate) fn figures(&self) -> Option<RpcFigures> {
        match self {
            Self::Rpc(node) => Some(node.figures()),
            Self::Eth(node) => Some(node.figures()),
            Self::Dev(_) => None,
        }
    }

    /// Whether what it makes is of our chain and pays us, as far as it lets that be known beside its first block.
    pub(crate) async fn check_ours(&self) -> Result<(), NodeError> {
        match self {
            Self::Eth(node) => node.check_ours().await,
            Self::Rpc(_) | Self::Dev(_) => Ok(()),
        }
    }

    pub(crate) async fn payee(&self) -> Result<[u8; 20], NodeError> {
        match self {
            Self::Eth(node) => node.payee().await,
            Self::Rpc(_) | Self::Dev(_) => Err(NodeError::Kind),
        }
    }

    /// A hash as this kind of node shows it.
    pub(crate) fn shown(&self, hash: Hash) -> String {
        match self {
            Self::Rpc(_) | Self::Dev(_) => shown(hash),
            Self::Eth(_) => hash.to_string(),
        }
    }
}

/// A template that is the child of the node's own newest block, at that child's height: else it is old, or a lie. `tip` was
/// asked for before or after the template; a block may have come between.
async fn vetted(
    node: &RpcNode,
    template: Template,
    known: Option<&Template>,
    tip: Hash,
) -> Result<Template, NodeError> {
    if template.prev != tip && template.prev != node.best_hash().await? {
        return Err(NodeError::OldParent);
    }
    if known.is_some_and(|known| known.prev == template.prev && known.height == template.height) {
        return Ok(template);
    }
    let parent = node.header(template.prev).await?;
    let tip = parent.ok_or(NodeError::OldParent)?.height;
    if tip.checked_add(1) == Some(template.height) {
        Ok(template)
    } else {
        let height = template.height;
        Err(NodeError::Old { height, tip })
    }
}
