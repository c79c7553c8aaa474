//! JSON-RPC to a bitcoin-like node over plain HTTP/1.1: templates, submission, the settler's questions.
//!
//! One connection per request, so that a broken one harms one question only. No TLS: nodes stand on the loopback or in the
//! operator's own network. Every request has a deadline, every answer a size limit that is applied before it is parsed.

mod client;
mod credentials;
mod figures;
mod http;
mod offer;

use std::time::Duration;

use orebook_schema::units::{Hash, hex, unhex};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) use client::{Client, plain};
pub use credentials::{CREDENTIALS_BYTES_MAX, Credentials};
pub use figures::{RPC_BOUNDS_MS, RPC_ERRORS, RpcFigures};
pub use offer::template_of_json;

use crate::answer::SubmitAnswer;
use crate::hash::{parse_shown, sha256d, shown};
use crate::node::{ChainBlock, ChainHeader, ChainTip, NodeError};
use crate::template::Template;
use crate::wire::{BLOCK_BYTES_MAX, Coinbase, HeaderFields, coinbase_of_block, height_of};

/// Most bytes of an answer that holds a template or a block (a block in hex, and as much again for what stands around it). A
/// longer one ends the request with [`NodeError::TooLarge`].
pub const LARGE_ANSWER_BYTES_MAX: usize = 4 * BLOCK_BYTES_MAX;
/// Most bytes of any other answer; a longer one ends the request with [`NodeError::TooLarge`].
pub const SMALL_ANSWER_BYTES_MAX: usize = 256 << 10;
/// How long a long poll may hang before it is asked again.
pub const LONG_POLL_TIMEOUT: Duration = Duration::from_secs(300);
/// How many times a block is offered to a node that could not be reached or did not answer.
pub const SUBMIT_TRIES: u32 = 3;
/// Pause before a block is offered again.
pub const SUBMIT_PAUSE: Duration = Duration::from_millis(200);
/// Most characters of a node's own words that are kept; the rest is cut.
pub const NODE_TEXT_CHARS_MAX: usize = 200;

/// A node and how to ask it.
#[derive(Clone, Debug)]
pub struct RpcConfig {
    /// `host:port` of the RPC server.
    pub address: String,
    /// User and password.
    pub credentials: Credentials,
    /// Whether templates are asked with the rule `mweb` besides `segwit` (Litecoin).
    pub mweb: bool,
    /// Whether long polls are tried; polling goes on beside them.
    pub long_poll: bool,
    /// Deadline of a question, connecting included.
    pub timeout: Duration,
    /// Deadline of one try of a submission.
    pub submit_timeout: Duration,
}

impl RpcConfig {
    /// A node with the usual deadlines: 10 s for a question, 30 s for a submission; long polls on.
    #[must_use]
    pub const fn new(address: String, credentials: Credentials, mweb: bool) -> Self {
        Self {
            address,
            credentials,
            mweb,
            long_poll: true,
            timeout: Duration::from_secs(10),
            submit_timeout: Duration::from_secs(30),
        }
    }
}

/// A client of one node. Only its configuration is kept: no connection outlives its request.
#[derive(Clone, Debug)]
pub struct RpcNode {
    config: RpcConfig,
    client: Client,
}

#[derive(Deserialize)]
struct HeaderReply {
    hash: String,
    confirmations: i64,
    height: u64,
    time: u32,
    previousblockhash: Option<String>,
}

#[derive(Deserialize)]
struct StatsReply {
    subsidy: u64,
    totalfee: u64,
}

impl RpcNode {
    /// A client. Nothing is connected yet.
    #[must_use]
    pub fn new(config: RpcConfig) -> Self {
        let credentials = Some(config.credentials.clone());
        let client = Client::new(config.address.clone(), credentials, "1.0");
        Self { config, client }
    }

    /// What its questions cost so far.
    pub(crate) fn figures(&self) -> RpcFigures {
        self.client.figures()
    }

    /// Whether long polls are to be tried.
    pub(crate) const fn long_polls(&self) -> bool {
        self.config.long_poll
    }

    /// `getblocktemplate` (BIP22, BIP23, BIP145). With a long poll id the answer comes when the node has something new.
    ///
    /// # Errors
    /// [`NodeError`]; among them [`NodeError::Template`] for a template that cannot be used.
    pub async fn template(&self, longpoll_id: Option<&str>) -> Result<Template, NodeError> {
        let rules: &[&str] = if self.config.mweb {
            &["segwit", "mweb"]
        } else {
            &["segwit"]
        };
        let (method, most) = ("getblocktemplate", LARGE_ANSWER_BYTES_MAX);
        let offer: Option<offer::Offer> = match longpoll_id {
            Some(id) => {
                let params = json!([{"rules": rules, "longpollid": id}]);
                let request = self.client.body(method, &params);
                self.client.wait(request, most, LONG_POLL_TIMEOUT).await?
            }
            None => {
                let request = self.client.body(method, &json!([{ "rules": rules }]));
                let timeout = self.config.timeout;
                self.client.exchange(request, most, timeout).await?
            }
        };
        Ok(offer.ok_or(NodeError::Garbage(method))?.template()?)
    }

    /// `submitblock`, offered up to [`SUBMIT_TRIES`] times until the node answers; a block that arrived twice is a
    /// `duplicate`, which harms nothing.
    pub async fn submit(&self, block: &[u8]) -> SubmitAnswer {
        let request = self.client.body("submitblock", &json!([hex(block)]));
        let mut causes = Vec::new();
        for tried in 0..SUBMIT_TRIES {
            if 0 < tried {
                tokio::time::sleep(SUBMIT_PAUSE).await;
            }
            let timeout = self.config.submit_timeout;
            let answer = self
                .client
                .exchange::<String>(request.clone(), SMALL_ANSWER_BYTES_MAX, timeout)
                .await;
            match answer {
                Ok(result) => {
                    return SubmitAnswer::of_result(result.map(|text| plain(&text)).as_deref());
                }
                Err(NodeError::Fault { code, message }) => {
                    return SubmitAnswer::of_error(code, &message);
                }
                Err(error) => causes.push(error.to_string()),
            }
        }
        SubmitAnswer::Unknown(causes.join("; "))
    }

    /// `getbestblockhash`.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn best_hash(&self) -> Result<Hash, NodeError> {
        let text: String = self.ask("getbestblockhash", &json!([])).await?;
        parse_shown(&text).ok_or(NodeError::Garbage("getbestblockhash"))
    }

    /// The best block's height and hash.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn tip(&self) -> Result<ChainTip, NodeError> {
        let hash = self.best_hash().await?;
        let header = self
            .header(hash)
            .await?
            .ok_or(NodeError::Garbage("getblockheader"))?;
        Ok(ChainTip {
            height: header.height,
            hash,
        })
    }

    /// `getblockhash`: the best chain's block at a height; `None` above its tip.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn hash_at(&self, height: u64) -> Result<Option<Hash>, NodeError> {
        match self.ask::<String>("getblockhash", &json!([height])).await {
            Ok(text) => parse_shown(&text)
                .map(Some)
                .ok_or(NodeError::Garbage("getblockhash")),
            Err(NodeError::Fault { code: -8, .. }) => Ok(None),
            // btcd has no code of its own for it.
            Err(NodeError::Fault { code: -1, message }) if message.contains("out of range") => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// `getblockheader`: `None` if the node does not know the block. btcd has no header for a block beside its best chain; then
    /// the block's own bytes give it, its height as BIP34 has it.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn header(&self, hash: Hash) -> Result<Option<ChainHeader>, NodeError> {
        let params = json!([shown(hash), true]);
        let reply: HeaderReply = match self.ask("getblockheader", &params).await {
            Ok(reply) => reply,
            Err(NodeError::Fault { code: -5, .. }) => return Ok(None),
            Err(NodeError::Fault { message, .. }) if message.contains("not in the main chain") => {
                return self.header_beside(hash).await.map(Some);
            }
            Err(error) => return Err(error),
        };
        let prev = match &reply.previousblockhash {
            Some(text) => parse_shown(text),
            None => Some(Hash::ZERO),
        };
        match prev {
            Some(prev) if parse_shown(&reply.hash) == Some(hash) => Ok(Some(ChainHeader {
                hash,
                height: reply.height,
                confirmations: reply.confirmations,
                prev,
                time: reply.time,
            })),
            _ => Err(NodeError::Garbage("getblockheader")),
        }
    }

    async fn header_beside(&self, hash: Hash) -> Result<ChainHeader, NodeError> {
        let (header, coinbase) = self.raw_block(hash).await?;
        let height = height_of(&coinbase.script_sig).ok_or(NodeError::Garbage("getblock"))?;
        let (prev, time) = (header.prev, header.time);
        Ok(ChainHeader {
            hash,
            height,
            confirmations: -1,
            prev,
            time,
        })
    }

    /// `getblock` in raw form: header and coinbase of exactly the block that was asked for.
    async fn raw_block(&self, hash: Hash) -> Result<(HeaderFields, Coinbase), NodeError> {
        let garbage = || NodeError::Garbage("getblock");
        let params = json!([shown(hash), 0]);
        let timeout = self.config.timeout;
        let raw: String = self
            .call("getblock", &params, LARGE_ANSWER_BYTES_MAX, timeout)
            .await?;
        let bytes = unhex(&raw).ok_or_else(garbage)?;
        let header: &[u8; 80] = bytes.first_chunk().ok_or_else(garbage)?;
        if sha256d(header) != hash {
            return Err(garbage());
        }
        let coinbase = coinbase_of_block(&bytes).map_err(|_| garbage())?;
        Ok((HeaderFields::read(header), coinbase))
    }

    /// `getblockheader`, `getblock` in raw form and `getblockstats`: `None` if the node does not know the block. Amounts are
    /// read from the block's bytes, so that no decimal number is ever parsed. Subsidy and fees are unknown where the node has
    /// no statistics of the block (btcd; a block that was never connected).
    ///
    /// # Errors
    /// [`NodeError`]; a pruned block is [`NodeError::Fault`].
    pub async fn block(&self, hash: Hash) -> Result<Option<ChainBlock>, NodeError> {
        let Some(header) = self.header(hash).await? else {
            return Ok(None);
        };
        let (_, coinbase) = self.raw_block(hash).await?;
        let wanted = json!([shown(hash), ["subsidy", "totalfee"]]);
        let stats = match self.ask::<StatsReply>("getblockstats", &wanted).await {
            Ok(stats) => Some(stats),
            Err(NodeError::Fault { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Some(ChainBlock {
            header,
            coinbase_txid: coinbase.txid,
            coinbase_script_sig: coinbase.script_sig,
            coinbase_outputs: coinbase
                .outputs
                .into_iter()
                .map(|(value, script)| (u128::from(value), script))
                .collect(),
            subsidy: stats.as_ref().map(|stats| u128::from(stats.subsidy)),
            fees: stats.as_ref().map(|stats| u128::from(stats.totalfee)),
        }))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<T, NodeError> {
        self.call(method, params, SMALL_ANSWER_BYTES_MAX, self.config.timeout)
            .await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<T, NodeError> {
        let request = self.client.body(method, params);
        let result = self.client.exchange(request, bytes_max, timeout).await?;
        result.ok_or(NodeError::Garbage(method))
    }
}
