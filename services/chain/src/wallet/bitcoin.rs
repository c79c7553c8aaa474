//! What a bitcoin-like hot wallet asks: a node that is a program, over RPC, or the development chain in this process; and the wallet
//! inside a node, if it has the key.

mod dev;
mod held;

use std::time::Duration;

use orebook_schema::units::{Hash, hex, unhex};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use held::{HeldBalance, HeldSent, HeldSigned, HeldTransaction};

use super::decimal::Amount;
use crate::dev::DevChain;
use crate::hash::{parse_shown, sha256d, shown};
use crate::node::{ChainHeader, ChainTip, NodeError};
use crate::rpc::{
    Client, LARGE_ANSWER_BYTES_MAX, RpcConfig, RpcFigures, RpcNode, SMALL_ANSWER_BYTES_MAX,
};

/// How long a search of the whole set of unspent outputs may take: a minute or two on Bitcoin's.
pub const SCAN_TIMEOUT: Duration = Duration::from_secs(300);
/// Most coins of one wallet that are read; a wallet of more is refused: bring them together.
pub const COINS_MAX: usize = 50_000;
/// Most questions in one request.
const BATCH_MAX: usize = 500;
/// Longest wallet name that is put into a path.
const WALLET_NAME_BYTES_MAX: usize = 100;

/// An output of a transaction, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outpoint {
    /// The transaction, header order.
    pub txid: Hash,
    /// Its output, from 0.
    pub vout: u32,
}

/// An unspent output in the best chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Its name.
    pub outpoint: Outpoint,
    /// Base units.
    pub value: u64,
    /// What it asks for.
    pub script: Vec<u8>,
    /// Blocks on top of its own and that one; at least 1.
    pub confirmations: u64,
    /// Whether it may only be spent after the chain's maturity; `None` if the node's list does not say.
    pub is_coinbase: Option<bool>,
}

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Height of its best block.
    pub height: u64,
    /// That block, header order.
    pub hash: Hash,
    /// Nodes that it is connected to.
    pub peers: u64,
    /// Whether it is still catching up with the chain.
    pub is_catching_up: bool,
    /// Least fee that it relays, base units per 1,000 virtual bytes.
    pub relay_rate: u64,
    /// What a replacement must pay more, base units per 1,000 virtual bytes of it.
    pub replace_rate: u64,
}

/// Where a node has a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The block that it is in, best chain or not; `None` while it waits in the memory pool.
    pub block: Option<Hash>,
    /// Its bytes.
    pub raw: Vec<u8>,
}

/// What a node said of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It has it, now or since before.
    Taken,
    /// It judged it and refuses it, in its own words.
    Refused(String),
}

/// A node that a wallet asks.
#[derive(Clone, Debug)]
pub struct BitcoinNode {
    asked: Asked,
}

#[derive(Clone, Debug)]
enum Asked {
    Rpc(Box<Rpc>),
    Dev(DevChain),
}

/// A node that is a program.
#[derive(Clone, Debug)]
struct Rpc {
    node: RpcNode,
    client: Client,
    timeout: Duration,
}

#[derive(Deserialize)]
struct ChainReply {
    blocks: u64,
    bestblockhash: String,
    #[serde(default)]
    initialblockdownload: bool,
}

#[derive(Deserialize)]
struct NetworkReply {
    connections: u64,
    relayfee: Amount,
    incrementalfee: Option<Amount>,
}

#[derive(Deserialize)]
struct PoolReply {
    mempoolminfee: Option<Amount>,
}

#[derive(Deserialize)]
struct RateReply {
    feerate: Option<Amount>,
}

#[derive(Deserialize)]
struct ScriptReply {
    hex: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutputReply {
    confirmations: u64,
    value: Amount,
    script_pub_key: ScriptReply,
    coinbase: bool,
}

#[derive(Deserialize)]
struct KnownReply {
    txid: String,
    hex: String,
    blockhash: Option<String>,
}

#[derive(Deserialize)]
struct ScanReply {
    success: bool,
    height: u64,
    bestblock: String,
    unspents: Vec<ScanCoin>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScanCoin {
    txid: String,
    vout: u32,
    script_pub_key: String,
    amount: Amount,
    height: u64,
    coinbase: Option<bool>,
}

/// The coins of a script, as one block left them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coins {
    /// The block.
    pub tip: Hash,
    /// Its height.
    pub height: u64,
    /// The coins, in no order.
    pub coins: Vec<Coin>,
}

impl BitcoinNode {
    /// A node. `wallet` names one of several wallets that the node has open; with one it is not needed. Nothing is connected yet.
    ///
    /// # Errors
    /// [`NodeError::Address`] for a name that fits in no path: 1 to 100 letters, digits, `-`, `_` and `.`.
    pub fn new(config: RpcConfig, wallet: Option<&str>) -> Result<Self, NodeError> {
        let client = Client::new(
            config.address.clone(),
            Some(config.credentials.clone()),
            "1.0",
        );
        let client = match wallet {
            None => client,
            Some(name) => {
                let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
                if name.is_empty()
                    || WALLET_NAME_BYTES_MAX < name.len()
                    || !name.bytes().all(is_plain)
                {
                    return Err(NodeError::Address);
                }
                client.at(format!("/wallet/{name}"))
            }
        };
        let timeout = config.timeout;
        Ok(Self {
            asked: Asked::Rpc(Box::new(Rpc {
                node: RpcNode::new(config),
                client,
                timeout,
            })),
        })
    }

    /// The development chain in this process. It has no wallet of its own, and no peers.
    #[must_use]
    pub const fn of_dev(chain: DevChain) -> Self {
        Self {
            asked: Asked::Dev(chain),
        }
    }

    /// What its questions cost so far, those about headers left out.
    #[must_use]
    pub fn figures(&self) -> RpcFigures {
        match &self.asked {
            Asked::Rpc(rpc) => rpc.client.figures(),
            Asked::Dev(_) => RpcFigures::default(),
        }
    }

    /// `getblockchaininfo`, `getnetworkinfo`, `getmempoolinfo`.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn standing(&self) -> Result<Standing, NodeError> {
        if let Asked::Dev(chain) = &self.asked {
            return Ok(dev::standing(chain));
        }
        let chain: ChainReply = self.ask("getblockchaininfo", &json!([])).await?;
        let network: NetworkReply = self.ask("getnetworkinfo", &json!([])).await?;
        let pool: PoolReply = self.ask("getmempoolinfo", &json!([])).await?;
        let garbage = NodeError::Garbage("getnetworkinfo");
        let relay = network.relayfee.units().ok_or(garbage)?;
        let least = pool.mempoolminfee.and_then(Amount::units).unwrap_or(relay);
        let more = network.incrementalfee.and_then(Amount::units);
        Ok(Standing {
            height: chain.blocks,
            hash: parse_shown(&chain.bestblockhash)
                .ok_or(NodeError::Garbage("getblockchaininfo"))?,
            peers: network.connections,
            is_catching_up: chain.initialblockdownload,
            relay_rate: relay.max(least),
            replace_rate: more.unwrap_or(relay),
        })
    }

    /// `estimatesmartfee`: base units per 1,000 virtual bytes for a place within `blocks`; `None` where the node has too little
    /// to go by.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn rate(&self, blocks: u16) -> Result<Option<u64>, NodeError> {
        if let Asked::Dev(_) = &self.asked {
            return Ok(None);
        }
        let reply: RateReply = self.ask("estimatesmartfee", &json!([blocks])).await?;
        // A rate below zero is how older nodes say that they do not know.
        Ok(reply.feerate.and_then(Amount::units))
    }

    /// `scantxoutset`: every unspent output of a script in the best chain, from the node's own set. It takes a while.
    ///
    /// # Errors
    /// [`NodeError`]; while another search runs, [`NodeError::Fault`] -8.
    pub async fn coins(&self, script: &[u8]) -> Result<Coins, NodeError> {
        if let Asked::Dev(chain) = &self.asked {
            return Ok(dev::coins(chain, script));
        }
        let method = "scantxoutset";
        let params = json!(["start", [format!("raw({})", hex(script))]]);
        let most = LARGE_ANSWER_BYTES_MAX;
        let reply: ScanReply = self.call(method, &params, most, SCAN_TIMEOUT).await?;
        let garbage = || NodeError::Garbage(method);
        if !reply.success || COINS_MAX < reply.unspents.len() {
            return Err(garbage());
        }
        let mut coins = Vec::with_capacity(reply.unspents.len());
        for one in reply.unspents {
            let above = reply.height.checked_sub(one.height).ok_or_else(garbage)?;
            let found = unhex(&one.script_pub_key).ok_or_else(garbage)?;
            if found != script {
                return Err(garbage());
            }
            coins.push(Coin {
                outpoint: Outpoint {
                    txid: parse_shown(&one.txid).ok_or_else(garbage)?,
                    vout: one.vout,
                },
                value: one.amount.units().ok_or_else(garbage)?,
                script: found,
                confirmations: above.saturating_add(1),
                is_coinbase: one.coinbase,
            });
        }
        Ok(Coins {
            tip: parse_shown(&reply.bestblock).ok_or_else(garbage)?,
            height: reply.height,
            coins,
        })
    }

    /// `gettxout`: outputs as they stand, in the order of the names; `None` for one that is spent or was never there. With
    /// `pool`, what the memory pool spends is spent too.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn outputs(
        &self,
        outpoints: &[Outpoint],
        pool: bool,
    ) -> Result<Vec<Option<Coin>>, NodeError> {
        if let Asked::Dev(chain) = &self.asked {
            return Ok(outpoints
                .iter()
                .map(|one| dev::output(chain, *one, pool))
                .collect());
        }
        let method = "gettxout";
        let garbage = || NodeError::Garbage(method);
        let mut found = Vec::with_capacity(outpoints.len());
        for asked in outpoints.chunks(BATCH_MAX) {
            let params: Vec<Value> = asked
                .iter()
                .map(|one| json!([shown(one.txid), one.vout, pool]))
                .collect();
            let most = LARGE_ANSWER_BYTES_MAX;
            let replies: Vec<Option<OutputReply>> = self
                .rpc()?
                .client
                .batch(method, &params, most, self.timeout())
                .await?;
            for (outpoint, reply) in asked.iter().zip(replies) {
                let Some(reply) = reply else {
                    found.push(None);
                    continue;
                };
                found.push(Some(Coin {
                    outpoint: *outpoint,
                    value: reply.value.units().ok_or_else(garbage)?,
                    script: unhex(&reply.script_pub_key.hex).ok_or_else(garbage)?,
                    confirmations: reply.confirmations,
                    is_coinbase: Some(reply.coinbase),
                }));
            }
        }
        Ok(found)
    }

    /// `getrawtransaction`: a transaction in the memory pool, or in any block if the node keeps an index of them (`txindex`).
    ///
    /// # Errors
    /// [`NodeError`]; [`NodeError::Garbage`] for an answer about another transaction.
    pub async fn transaction(&self, txid: Hash) -> Result<Option<Known>, NodeError> {
        if let Asked::Dev(chain) = &self.asked {
            return Ok(dev::transaction(chain, txid));
        }
        let method = "getrawtransaction";
        let garbage = || NodeError::Garbage(method);
        let params = json!([shown(txid), 1]);
        let most = LARGE_ANSWER_BYTES_MAX;
        match self
            .call::<KnownReply>(method, &params, most, self.timeout())
            .await
        {
            Ok(reply) => {
                // An answer to another question would make a transaction wait that nobody has.
                if parse_shown(&reply.txid) != Some(txid) {
                    return Err(garbage());
                }
                let block = match reply.blockhash {
                    Some(text) => Some(parse_shown(&text).ok_or_else(garbage)?),
                    None => None,
                };
                let raw = unhex(&reply.hex).ok_or_else(garbage)?;
                Ok(Some(Known { block, raw }))
            }
            Err(NodeError::Fault { code: -5, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The best block's height and hash.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn tip(&self) -> Result<ChainTip, NodeError> {
        match &self.asked {
            Asked::Rpc(rpc) => rpc.node.tip().await,
            Asked::Dev(chain) => Ok(chain.tip()),
        }
    }

    /// `getblockheader`, as [`RpcNode::header`].
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn header(&self, hash: Hash) -> Result<Option<ChainHeader>, NodeError> {
        match &self.asked {
            Asked::Rpc(rpc) => rpc.node.header(hash).await,
            Asked::Dev(chain) => Ok(chain.header(hash)),
        }
    }

    /// `getblockhash`: the best chain's block at a height; `None` above its tip.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn hash_at(&self, height: u64) -> Result<Option<Hash>, NodeError> {
        match &self.asked {
            Asked::Rpc(rpc) => rpc.node.hash_at(height).await,
            Asked::Dev(chain) => Ok(chain.hash_at(height)),
        }
    }

    /// `getblock` in raw form: the bytes of exactly the block that was asked for.
    ///
    /// # Errors
    /// [`NodeError`]; a pruned block is [`NodeError::Fault`].
    pub async fn block(&self, hash: Hash) -> Result<Vec<u8>, NodeError> {
        if let Asked::Dev(chain) = &self.asked {
            return chain.block_bytes(hash).ok_or(NodeError::Garbage("a block"));
        }
        let method = "getblock";
        let params = json!([shown(hash), 0]);
        let most = LARGE_ANSWER_BYTES_MAX;
        let text: String = self.call(method, &params, most, self.timeout()).await?;
        let bytes = unhex(&text).ok_or(NodeError::Garbage(method))?;
        let header: &[u8; 80] = bytes.first_chunk().ok_or(NodeError::Garbage(method))?;
        if sha256d(header) == hash {
            Ok(bytes)
        } else {
            Err(NodeError::Garbage(method))
        }
    }

    /// `sendrawtransaction`. A node that says no is asked whether it has the transaction: one that it had before, and one that it
    /// took before something else failed, count as taken.
    ///
    /// # Errors
    /// [`NodeError`]: the node did not judge it, and it may have arrived.
    pub async fn send(&self, raw: &[u8], txid: Hash) -> Result<Heard, NodeError> {
        if let Asked::Dev(chain) = &self.asked {
            return dev::send(chain, raw);
        }
        let (code, message) = match self
            .ask::<String>("sendrawtransaction", &json!([hex(raw)]))
            .await
        {
            Ok(_) => return Ok(Heard::Taken),
            Err(NodeError::Fault { code, message }) => (code, message),
            Err(error) => return Err(error),
        };
        // -27: it is in the chain. -22, -25 and -26 are judgements: undecodable, missing inputs, against a rule.
        if code == -27 || is_known(&message) || matches!(self.transaction(txid).await, Ok(Some(_)))
        {
            Ok(Heard::Taken)
        } else if matches!(code, -22 | -25 | -26) {
            Ok(Heard::Refused(message))
        } else {
            Err(NodeError::Fault { code, message })
        }
    }

    /// Only a program is asked over RPC.
    fn rpc(&self) -> Result<&Rpc, NodeError> {
        match &self.asked {
            Asked::Rpc(rpc) => Ok(rpc),
            Asked::Dev(_) => Err(NodeError::Kind),
        }
    }

    fn timeout(&self) -> Duration {
        self.rpc().map_or(SCAN_TIMEOUT, |rpc| rpc.timeout)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<T, NodeError> {
        self.call(method, params, SMALL_ANSWER_BYTES_MAX, self.timeout())
            .await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<T, NodeError> {
        let client = &self.rpc()?.client;
        let request = client.body(method, params);
        let result = client.exchange(request, bytes_max, timeout).await?;
        result.ok_or(NodeError::Garbage(method))
    }
}

/// Whether a refusal means that the node has the transaction already (validation.cpp of Bitcoin Core, mempool.go of btcd).
fn is_known(message: &str) -> bool {
    const WORDS: [&str; 5] = [
        "txn-already-in-mempool",
        "txn-already-known",
        "txn-same-nonwitness-data-in-mempool",
        "already have transaction",
        "transaction already exists",
    ];
    let message = message.to_ascii_lowercase();
    WORDS.iter().any(|words| message.contains(words))
}
