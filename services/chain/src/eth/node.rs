//! JSON-RPC to an ethash node over plain HTTP/1.1. Limits and deadlines as for bitcoin-likes ([`crate::rpc`]).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use orebook_schema::units::Hash;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::header::{EthHeader, HeaderJson};
use super::words::{array, quantity64, shown, shown_bytes};
use super::{EthFate, EthWork, SubmitEth, WorkItems};
use crate::answer::SubmitAnswer;
use crate::node::{ChainHeader, ChainTip, NodeError};
use crate::rewards::Rewards;
use crate::rpc::RpcFigures;
use crate::rpc::{Client, Credentials, SMALL_ANSWER_BYTES_MAX, SUBMIT_PAUSE, SUBMIT_TRIES};

/// Most bytes of an answer that holds a block with its transactions' hashes; a longer one is [`NodeError::TooLarge`].
pub const BLOCK_ANSWER_BYTES_MAX: usize = 2 << 20;
/// How often work and tip are asked for until they fit: a block may come between the two questions.
pub const LOOKS_MAX: u32 = 3;
/// How far above a block its uncles' last nephew can be.
pub const UNCLE_DEPTH: u64 = 6;
/// Works of which a node's `false` is its judgement; of older ones, and of other nodes', it says nothing.
pub const GIVEN_MAX: usize = 64;

/// An ethash node and how to ask it.
#[derive(Clone, Debug)]
pub struct EthConfig {
    /// `host:port` of the HTTP RPC server.
    pub address: String,
    /// User and password, where something before the node wants them; the node itself knows none.
    pub credentials: Option<Credentials>,
    /// What blocks pay without fees; `None` if nobody says. Each work's [`EthWork::reward`] is its height's.
    pub rewards: Option<Rewards>,
    /// Deadline of a question, connecting included.
    pub timeout: Duration,
    /// Deadline of one try of a submission.
    pub submit_timeout: Duration,
    /// A block that tells the chain from another one with the same first block. A node that has another hash there gives no work;
    /// of one that has no such block yet nothing is known.
    pub landmark: Option<Landmark>,
    /// Whom the node's blocks must pay (`eth_coinbase`). A node that says somebody else gives no work; one that knows no such call
    /// says nothing. None: anybody.
    pub payee: Option<[u8; 20]>,
}

/// A block that only one chain has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landmark {
    /// Its height.
    pub height: u64,
    /// Its hash, as it is shown.
    pub hash: Hash,
}

impl Landmark {
    /// Ethereum Classic's: its first block that Ethereum, which has the same blocks before, has not. Clients of both chains tell
    /// their peers apart by it.
    pub const ETHEREUM_CLASSIC: Self = Self {
        height: 1_920_000,
        hash: Hash([
            0x94, 0x36, 0x5e, 0x3a, 0x8c, 0x0b, 0x35, 0x08, 0x9c, 0x1d, 0x11, 0x95, 0x08, 0x1f,
            0xe7, 0x48, 0x9b, 0x52, 0x8a, 0x84, 0xb2, 0x21, 0x99, 0xc9, 0x16, 0x18, 0x0d, 0xb8,
            0xb2, 0x8a, 0xde, 0x7f,
        ]),
    };
}

impl EthConfig {
    /// A node with the usual deadlines: 10 s for a question, 30 s for a submission.
    #[must_use]
    pub const fn new(address: String) -> Self {
        Self {
            address,
            credentials: None,
            rewards: None,
            timeout: Duration::from_secs(10),
            submit_timeout: Duration::from_secs(30),
            landmark: None,
            payee: None,
        }
    }
}

/// A client of one node. No connection outlives its request; kept are the names of the newest works it gave.
#[derive(Debug)]
pub struct EthNode {
    config: EthConfig,
    client: Client,
    given: Mutex<VecDeque<Hash>>,
}

/// What is read of the pending block, whose other fields are null or not final.
#[derive(Deserialize)]
struct Pending {
    number: Option<String>,
    timestamp: String,
}

impl EthNode {
    /// A client. Nothing is connected yet.
    #[must_use]
    pub fn new(config: EthConfig) -> Self {
        let client = Client::new(config.address.clone(), config.credentials.clone(), "2.0");
        Self {
            config,
            client,
            given: Mutex::new(VecDeque::new()),
        }
    }

    /// What its questions cost so far.
    pub(crate) fn figures(&self) -> RpcFigures {
        self.client.figures()
    }

    /// `eth_getWork`, held against the node's own tip: `None` where `known` is still current.
    ///
    /// # Errors
    /// [`NodeError::Old`] if the work is not the tip's child in [`LOOKS_MAX`] looks, [`NodeError::Work`] if it cannot be the
    /// tip's child, [`NodeError::Fault`] while the node has none.
    pub async fn work(&self, known: Option<&EthWork>) -> Result<Option<EthWork>, NodeError> {
        if let Some(known) = known
            && self.items().await?.seal == known.seal
            && self.height().await?.checked_add(1) == Some(known.height)
        {
            return Ok(None);
        }
        let mut looks = 0;
        loop {
            looks += 1;
            let tip = self.latest().await?;
            let items = self.items().await?;
            let wanted = tip.number.saturating_add(1);
            // Three items tell no height: the tip must not have moved meanwhile.
            let height = match items.height {
                Some(height) => height,
                None => self.height().await?.saturating_add(1),
            };
            if height == wanted {
                let reward = self.config.rewards.as_ref();
                let mut work = items.on(&tip, reward.and_then(|table| table.block(wanted)))?;
                work.time = self
                    .pending_time(wanted)
                    .await
                    .unwrap_or(work.time)
                    .max(work.time);
                self.gave(work.seal);
                return Ok(Some(work));
            }
            if LOOKS_MAX <= looks {
                let tip = tip.number;
                return Err(NodeError::Old { height, tip });
            }
        }
    }

    /// `eth_submitWork`, offered up to [`SUBMIT_TRIES`] times until the node answers. A solution that arrived twice is `true`
    /// twice, which harms nothing.
    pub async fn submit(&self, found: &SubmitEth) -> SubmitAnswer {
        let nonce = format!("0x{:016x}", found.nonce);
        let params = json!([nonce, shown(&found.seal), shown(&found.mix)]);
        let request = self.client.body("eth_submitWork", &params);
        let mut causes = Vec::new();
        for tried in 0..SUBMIT_TRIES {
            if 0 < tried {
                tokio::time::sleep(SUBMIT_PAUSE).await;
            }
            let timeout = self.config.submit_timeout;
            let answer =
                self.client
                    .exchange::<bool>(request.clone(), SMALL_ANSWER_BYTES_MAX, timeout);
            match answer.await {
                Ok(Some(true)) => return SubmitAnswer::Accepted,
                Ok(Some(false)) if self.has_given(found.seal) => {
                    return SubmitAnswer::Rejected("false".to_owned());
                }
                Ok(Some(false)) => {
                    return SubmitAnswer::Unknown("false, of work that is not its own".to_owned());
                }
                Ok(None) => return SubmitAnswer::Unknown("null".to_owned()),
                Err(NodeError::Fault { code, message }) => {
                    return SubmitAnswer::of_error(code, &message);
                }
                Err(error) => causes.push(error.to_string()),
            }
        }
        SubmitAnswer::Unknown(causes.join("; "))
    }

    /// The best block's height and hash.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn tip(&self) -> Result<ChainTip, NodeError> {
        let EthHeader { number, hash, .. } = self.latest().await?;
        Ok(ChainTip {
            height: number,
            hash,
        })
    }

    /// The best chain's block at a height; `None` above its tip.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn hash_at(&self, height: u64) -> Result<Option<Hash>, NodeError> {
        Ok(self.header_at(height).await?.map(|header| header.hash))
    }

    /// A block's place; `None` if the node does not know it. A block that is not the best chain's has -1 confirmations.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn header(&self, hash: Hash) -> Result<Option<ChainHeader>, NodeError> {
        let params = json!([shown(&hash), false]);
        let asked = self.header_by("eth_getBlockByHash", &params).await?;
        let Some(header) = asked else { return Ok(None) };
        if header.hash != hash {
            return Err(NodeError::Garbage("eth_getBlockByHash"));
        }
        let is_best = self.hash_at(header.number).await? == Some(hash);
        let above = self.height().await?.checked_sub(header.number);
        let deep = above.and_then(|above| i64::try_from(above).ok()?.checked_add(1));
        Ok(Some(ChainHeader {
            hash,
            height: header.number,
            confirmations: deep.filter(|_| is_best).unwrap_or(-1),
            prev: header.parent,
            time: header.time,
        }))
    }

    /// The best chain's header at a height; `None` above its tip.
    ///
    /// # Errors
    /// [`NodeError`]; a header whose hash is not that of its fields is [`NodeError::Garbage`].
    pub async fn header_at(&self, height: u64) -> Result<Option<EthHeader>, NodeError> {
        let params = json!([format!("0x{height:x}"), false]);
        let header = self.header_by("eth_getBlockByNumber", &params).await?;
        if header
            .as_ref()
            .is_some_and(|header| header.number != height)
        {
            return Err(NodeError::Garbage("eth_getBlockByNumber"));
        }
        Ok(header)
    }

    /// What became of a solution for work of a height: looks at the best chain's block there, then at the uncles that the
    /// [`UNCLE_DEPTH`] blocks above it name.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn fate(&self, height: u64, seal: Hash, nonce: u64) -> Result<EthFate, NodeError> {
        let is_ours = |header: &EthHeader| header.seal == seal && header.nonce == nonce;
        match self.header_at(height).await? {
            None => return Ok(EthFate::Nowhere),
            Some(header) if is_ours(&header) => return Ok(EthFate::Block(Box::new(header))),
            Some(_) => {}
        }
        for above in height.saturating_add(1)..=height.saturating_add(UNCLE_DEPTH) {
            let Some(of) = self.header_at(above).await? else {
                break;
            };
            let uncles = self.uncles(&of).await?;
            if let Some(uncle) = uncles.into_iter().find(is_ours) {
                let (uncle, of) = (Box::new(uncle), Box::new(of));
                return Ok(EthFate::Uncle { uncle, of });
            }
        }
        Ok(EthFate::Nowhere)
    }

    /// Whom the node's blocks pay (`eth_coinbase`).
    ///
    /// # Errors
    /// [`NodeError`]; [`NodeError::Fault`] of a node that has no such address.
    pub async fn payee(&self) -> Result<[u8; 20], NodeError> {
        let text: String = self.ask("eth_coinbase", &json!([])).await?;
        array(&text).ok_or(NodeError::Garbage("eth_coinbase"))
    }

    /// Whether its chain has the landmark and its blocks pay whom they must.
    ///
    /// # Errors
    /// [`NodeError::OtherChain`], [`NodeError::OtherPayee`], and what hinders the questions.
    pub async fn check_ours(&self) -> Result<(), NodeError> {
        if let Some(Landmark { height, hash }) = self.config.landmark
            && let Some(found) = self.hash_at(height).await?
            && found != hash
        {
            let found = shown(&found);
            let told = format!("its block {height} is {found}");
            return Err(NodeError::OtherChain(told));
        }
        let Some(wanted) = self.config.payee else {
            return Ok(());
        };
        match self.payee().await {
            Ok(payee) if payee != wanted => Err(NodeError::OtherPayee(shown_bytes(&payee))),
            Ok(_) | Err(NodeError::Fault { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn items(&self) -> Result<WorkItems, NodeError> {
        let items: Vec<String> = self.ask("eth_getWork", &json!([])).await?;
        WorkItems::read(&items)
    }

    async fn height(&self) -> Result<u64, NodeError> {
        let text: String = self.ask("eth_blockNumber", &json!([])).await?;
        quantity64(&text).ok_or(NodeError::Garbage("eth_blockNumber"))
    }

    /// The best block's header.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn latest(&self) -> Result<EthHeader, NodeError> {
        let method = "eth_getBlockByNumber";
        let header = self.header_by(method, &json!(["latest", false])).await?;
        header.ok_or(NodeError::Garbage(method))
    }

    /// The time of the block that is being made, if the node tells it. Nothing hangs on it: a failure is no failure.
    async fn pending_time(&self, height: u64) -> Option<u32> {
        let params = json!(["pending", false]);
        let pending: Pending = self
            .large("eth_getBlockByNumber", &params)
            .await
            .ok()
            .flatten()?;
        let is_this = quantity64(pending.number.as_deref()?)? == height;
        let time = quantity64(&pending.timestamp).filter(|_| is_this)?;
        u32::try_from(time).ok()
    }

    async fn header_by(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<Option<EthHeader>, NodeError> {
        let told: Option<HeaderJson> = self.large(method, params).await?;
        told.map(|told| told.header().ok_or(NodeError::Garbage(method)))
            .transpose()
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<T, NodeError> {
        let request = self.client.body(method, params);
        let timeout = self.config.timeout;
        let answer = self
            .client
            .exchange(request, SMALL_ANSWER_BYTES_MAX, timeout);
        answer.await?.ok_or(NodeError::Garbage(method))
    }

    pub(super) async fn large<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<Option<T>, NodeError> {
        self.sized(method, params, BLOCK_ANSWER_BYTES_MAX).await
    }

    pub(super) async fn sized<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
        bytes_max: usize,
    ) -> Result<Option<T>, NodeError> {
        let request = self.client.body(method, params);
        let timeout = self.config.timeout;
        self.client.exchange(request, bytes_max, timeout).await
    }

    /// One request with several questions of a method, each with its parameters; the answers are in that order.
    pub(super) async fn exchange_batch<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &[Value],
        bytes_max: usize,
    ) -> Result<Vec<Option<T>>, NodeError> {
        let timeout = self.config.timeout;
        self.client.batch(method, params, bytes_max, timeout).await
    }

    fn gave(&self, seal: Hash) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if !given.contains(&seal) {
            given.push_back(seal);
        }
        if GIVEN_MAX < given.len() {
            given.pop_front();
        }
    }

    fn has_given(&self, seal: Hash) -> bool {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.contains(&seal)
    }
}
