//! One node: a program asked over RPC, or the development chain in this process. Both answer the same questions.

use std::io;

use orebook_schema::units::Hash;

use crate::answer::SubmitAnswer;
use crate::dev::DevChain;
use crate::rpc::RpcNode;
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
    /// The node's first block is not this chain's.
    #[error("the node is on another chain: its first block is {0}")]
    OtherChain(String),
    /// Which chain the node is on was not asked yet, or not since its last failure.
    #[error("which chain the node is on is not known yet")]
    ChainUnknown,
    /// The question was dropped: the process is shutting down.
    #[error("shutting down")]
    Stopped,
}

/// A node behind one set of calls.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Rpc(RpcNode),
    Dev(DevChain),
}

impl Node {
    /// A template; with a long poll id, when there is something new.
    pub(crate) async fn template(&self, longpoll_id: Option<&str>) -> Result<Template, NodeError> {
        match self {
            Self::Rpc(node) => node.template(longpoll_id).await,
            Self::Dev(chain) => {
                if let Some(id) = longpoll_id {
                    chain.changed_from(id).await;
                }
                Ok(chain.template())
            }
        }
    }

    pub(crate) const fn long_polls(&self) -> bool {
        match self {
            Self::Rpc(node) => node.long_polls(),
            Self::Dev(_) => true,
        }
    }

    pub(crate) async fn submit(&self, block: &[u8]) -> SubmitAnswer {
        match self {
            Self::Rpc(node) => node.submit(block).await,
            Self::Dev(chain) => {
                // It checks and syncs a file: not a thing for the runtime's own threads.
                let (chain, block) = (chain.clone(), block.to_vec());
                let answer = tokio::task::spawn_blocking(move || chain.submit(&block)).await;
                answer.unwrap_or_else(|error| SubmitAnswer::Unknown(error.to_string()))
            }
        }
    }

    pub(crate) async fn best_hash(&self) -> Result<Hash, NodeError> {
        match self {
            Self::Rpc(node) => node.best_hash().await,
            Self::Dev(chain) => Ok(chain.tip().hash),
        }
    }

    pub(crate) async fn tip(&self) -> Result<ChainTip, NodeError> {
        match self {
            Self::Rpc(node) => node.tip().await,
            Self::Dev(chain) => Ok(chain.tip()),
        }
    }

    pub(crate) async fn hash_at(&self, height: u64) -> Result<Option<Hash>, NodeError> {
        match self {
            Self::Rpc(node) => node.hash_at(height).await,
            Self::Dev(chain) => Ok(chain.hash_at(height)),
        }
    }

    pub(crate) async fn header(&self, hash: Hash) -> Result<Option<ChainHeader>, NodeError> {
        match self {
            Self::Rpc(node) => node.header(hash).await,
            Self::Dev(chain) => Ok(chain.header(hash)),
        }
    }

    pub(crate) async fn block(&self, hash: Hash) -> Result<Option<ChainBlock>, NodeError> {
        match self {
            Self::Rpc(node) => node.block(hash).await,
            Self::Dev(chain) => Ok(chain.block(hash)),
        }
    }
}
