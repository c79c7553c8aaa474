//! Chain nodes: what is to be mined, where a found block goes, what became of it.
//!
//! Nodes' answers are hostile bytes: limits before parsing, amounts as integers. Only a node that judged a block accepts or
//! rejects it; everything else is unknown until the chain answers. Nothing here knows miners or the ledger.
//!
//! Reading order: [`hash`], [`wire`], [`template`], [`answer`], [`address`], [`rpc`], [`rewards`], [`signed`], [`eth`], [`node`], [`nodes`], [`dev`],
//! [`wallet`].

pub mod address;
pub mod answer;
pub mod dev;
pub mod eth;
pub mod hash;
pub mod node;
pub mod nodes;
pub mod rewards;
pub mod rpc;
pub mod signed;
pub mod template;
pub mod wallet;
pub mod wire;

pub use answer::SubmitAnswer;
pub use dev::{
    DevBalance, DevChain, DevClock, DevCoin, DevConfig, DevError, DevPlace, DevRefusal,
    DevTransaction, OutPoint,
};
pub use eth::{EthConfig, EthFate, EthHeader, EthWork, Landmark, PushDoor, SubmitEth};
pub use node::{ChainBlock, ChainHeader, ChainTip, NodeError, NodeWork};
pub use nodes::{
    ConfigError, NodeConfig, NodeEvent, NodeFault, NodeHealth, NodeKind, Nodes, NodesConfig,
    Timing, Work,
};
pub use rewards::Rewards;
pub use rpc::{Credentials, RpcConfig};
pub use template::{
    CoinbaseParts, JobParts, OutputRoom, Paying, Template, TemplateError, TemplateFields,
    Transaction,
};
