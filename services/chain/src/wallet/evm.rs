//! What an EVM wallet asks its node.
//!
//! Quantities are read strictly, answers have limits before they are parsed, and a block's hash is that of its header's fields
//! (as in [`crate::eth`]). What a node says of fees and nonces is its word: a wallet has caps.

use orebook_schema::units::{Hash, U256};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::eth::words::{
    array, data, hash32, shown, shown_bytes, strict_quantity, strict_quantity64, strict_quantity128,
};
use crate::eth::{EthConfig, EthHeader, EthNode, TRANSACTIONS_MAX, keccak256};
use crate::node::NodeError;
use crate::rpc::{Client, SMALL_ANSWER_BYTES_MAX};

/// Most bytes of an answer that holds a block with whole transactions: 30 million gas of zero bytes are 15 MB in hex. A longer
/// one is [`NodeError::TooLarge`].
pub const FULL_BLOCK_ANSWER_BYTES_MAX: usize = 16 << 20;
/// Addresses whose code is asked for in one request.
pub const CODES_PER_BATCH: usize = 100;
/// Most bytes of such an answer: a program has at most 24 KiB (EIP-170), twice that in hex.
pub const CODES_ANSWER_BYTES_MAX: usize = 8 << 20;

/// A node has no such method (JSON-RPC 2.0, section 5.1).
const METHOD_UNKNOWN: i64 = -32_601;
/// A node failed by itself and judged nothing (the same).
const INTERNAL: i64 = -32_603;
/// How nodes say that they have a transaction, in lower case: geth and erigon; older geth and Besu; OpenEthereum; Nethermind.
const KNOWN: [&str; 4] = [
    "already known",
    "known transaction",
    "already imported",
    "alreadyknown",
];

/// The state that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvmState {
    /// After the best block.
    Latest,
    /// After what waits in the node's memory pool too.
    Pending,
    /// After the best chain's block of a height; nodes that prune have only the newest ones, others are [`NodeError::Fault`].
    Height(u64),
}

/// A transaction that a node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvmTransaction {
    /// Its name.
    pub hash: Hash,
    /// Who signed it.
    pub from: [u8; 20],
    /// Its number among that account's.
    pub nonce: u64,
    /// Height and hash of its block; none while it waits.
    pub block: Option<(u64, Hash)>,
}

/// What became of a transaction in a block, which need not be the best chain's any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvmReceipt {
    /// Height of its block.
    pub height: u64,
    /// Its block.
    pub block: Hash,
    /// Status 1: it did what it says. With status 0 only its gas was taken.
    pub paid: bool,
    /// Units of gas that it used.
    pub gas_used: u64,
    /// Base units for a unit of gas; none from older nodes.
    pub price: Option<u128>,
}

/// What a node said of a raw transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawAnswer {
    /// It has it, now or since before, waiting or in a block.
    Taken,
    /// It refuses it and does not know it, with its own words.
    Refused(String),
}

/// A client of one node. No connection outlives its request.
#[derive(Debug)]
pub struct EvmNode {
    config: EthConfig,
    eth: EthNode,
    client: Client,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransactionJson {
    hash: String,
    from: String,
    nonce: String,
    block_number: Option<String>,
    block_hash: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptJson {
    transaction_hash: String,
    block_number: String,
    block_hash: String,
    status: String,
    gas_used: String,
    effective_gas_price: Option<String>,
}

#[derive(Deserialize)]
struct BlockJson {
    hash: String,
    transactions: Vec<TransactionJson>,
}

impl EvmState {
    fn word(self) -> String {
        match self {
            Self::Latest => "latest".to_owned(),
            Self::Pending => "pending".to_owned(),
            Self::Height(height) => format!("0x{height:x}"),
        }
    }
}

impl TransactionJson {
    fn read(&self) -> Option<EvmTransaction> {
        let block = match (&self.block_number, &self.block_hash) {
            (Some(number), Some(hash)) => Some((strict_quantity64(number)?, hash32(hash)?)),
            (_, None) => None,
            (None, Some(_)) => return None,
        };
        Some(EvmTransaction {
            hash: hash32(&self.hash)?,
            from: array(&self.from)?,
            nonce: strict_quantity64(&self.nonce)?,
            block,
        })
    }
}

impl ReceiptJson {
    fn read(&self) -> Option<EvmReceipt> {
        let price = self.effective_gas_price.as_deref();
        Some(EvmReceipt {
            height: strict_quantity64(&self.block_number)?,
            block: hash32(&self.block_hash)?,
            paid: match self.status.as_str() {
                "0x1" => true,
                "0x0" => false,
                _ => return None,
            },
            gas_used: strict_quantity64(&self.gas_used)?,
            price: match price {
                Some(price) => Some(strict_quantity128(price)?),
                None => None,
            },
        })
    }
}

impl EvmNode {
    /// A client. Nothing is connected yet.
    #[must_use]
    pub fn new(config: EthConfig) -> Self {
        let client = Client::new(config.address.clone(), config.credentials.clone(), "2.0");
        Self {
            eth: EthNode::new(config.clone()),
            config,
            client,
        }
    }

    /// Headers and places of blocks.
    #[must_use]
    pub const fn eth(&self) -> &EthNode {
        &self.eth
    }

    /// `eth_chainId` (EIP-695).
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn chain_id(&self) -> Result<u64, NodeError> {
        self.number64("eth_chainId", &json!([])).await
    }

    /// `net_peerCount`.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn peers(&self) -> Result<u64, NodeError> {
        self.number64("net_peerCount", &json!([])).await
    }

    /// `eth_syncing`: whether the node says that it is behind. One that has just started does not know yet.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn is_syncing(&self) -> Result<bool, NodeError> {
        match self.ask("eth_syncing", &json!([])).await? {
            Value::Bool(false) => Ok(false),
            Value::Object(_) => Ok(true),
            _ => Err(NodeError::Garbage("eth_syncing")),
        }
    }

    /// `eth_getBalance`, base units; more than 2^128 − 1 counts as that.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn balance(&self, of: &[u8; 20], state: EvmState) -> Result<u128, NodeError> {
        let method = "eth_getBalance";
        let params = json!([shown_bytes(of), state.word()]);
        let text: String = self.ask(method, &params).await?;
        let balance: U256 = strict_quantity(&text).ok_or(NodeError::Garbage(method))?;
        Ok(u128::try_from(balance).unwrap_or(u128::MAX))
    }

    /// `eth_getTransactionCount`: the nonce of the account's next transaction.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn count(&self, of: &[u8; 20], state: EvmState) -> Result<u64, NodeError> {
        let params = json!([shown_bytes(of), state.word()]);
        self.number64("eth_getTransactionCount", &params).await
    }

    /// `eth_gasPrice`, base units for a unit of gas.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn gas_price(&self) -> Result<u128, NodeError> {
        self.number128("eth_gasPrice", &json!([])).await
    }

    /// `eth_maxPriorityFeePerGas`; none from a node that knows no such call.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn priority_fee(&self) -> Result<Option<u128>, NodeError> {
        match self.number128("eth_maxPriorityFeePerGas", &json!([])).await {
            Ok(fee) => Ok(Some(fee)),
            Err(NodeError::Fault { code, .. }) if code == METHOD_UNKNOWN => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `eth_estimateGas` of a plain payment.
    ///
    /// # Errors
    /// [`NodeError`]; a payment that the receiver's program refuses is [`NodeError::Fault`].
    pub async fn estimate_gas(
        &self,
        from: &[u8; 20],
        to: &[u8; 20],
        value: u128,
    ) -> Result<u64, NodeError> {
        let (from, to) = (shown_bytes(from), shown_bytes(to));
        let params = json!([{"from": from, "to": to, "value": format!("0x{value:x}")}]);
        self.number64("eth_estimateGas", &params).await
    }

    /// Whether each address has a program (`eth_getCode`), in the order of the question.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn have_code(&self, addresses: &[[u8; 20]]) -> Result<Vec<bool>, NodeError> {
        let method = "eth_getCode";
        let mut found = Vec::with_capacity(addresses.len());
        for part in addresses.chunks(CODES_PER_BATCH) {
            let params: Vec<Value> = part
                .iter()
                .map(|address| json!([shown_bytes(address), "latest"]))
                .collect();
            let timeout = self.config.timeout;
            let answers = self
                .client
                .batch::<String>(method, &params, CODES_ANSWER_BYTES_MAX, timeout)
                .await?;
            for answer in answers {
                let code = answer.as_deref().and_then(data);
                found.push(!code.ok_or(NodeError::Garbage(method))?.is_empty());
            }
        }
        Ok(found)
    }

    /// `eth_sendRawTransaction`, once. A refusal of what the node has is none: the same bytes may be sent any number of times,
    /// also after they are in a block ("nonce too low").
    ///
    /// # Errors
    /// [`NodeError`]: it may have arrived.
    pub async fn send_raw(&self, raw: &[u8]) -> Result<RawAnswer, NodeError> {
        let method = "eth_sendRawTransaction";
        let name = keccak256(raw);
        let request = self.client.body(method, &json!([shown_bytes(raw)]));
        let timeout = self.config.submit_timeout;
        let answer = self
            .client
            .exchange::<String>(request, SMALL_ANSWER_BYTES_MAX, timeout);
        match answer.await {
            Ok(Some(text)) if hash32(&text) == Some(name) => Ok(RawAnswer::Taken),
            Ok(_) => Err(NodeError::Garbage(method)),
            Err(NodeError::Fault { code, message })
                if code != METHOD_UNKNOWN && code != INTERNAL =>
            {
                let lower = message.to_ascii_lowercase();
                let is_known = KNOWN.iter().any(|words| lower.contains(words));
                if is_known || self.transaction(name).await?.is_some() {
                    Ok(RawAnswer::Taken)
                } else {
                    Ok(RawAnswer::Refused(message))
                }
            }
            Err(error) => Err(error),
        }
    }

    /// `eth_getTransactionByHash`: none if the node does not know it.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn transaction(&self, name: Hash) -> Result<Option<EvmTransaction>, NodeError> {
        let method = "eth_getTransactionByHash";
        let told: Option<TransactionJson> = self.may_be(method, &json!([shown(&name)])).await?;
        let Some(told) = told else { return Ok(None) };
        let read = told.read().filter(|read| read.hash == name);
        read.map(Some).ok_or(NodeError::Garbage(method))
    }

    /// `eth_getTransactionReceipt`: none of a transaction that is in no block. A status must be there (Byzantium and later).
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn receipt(&self, name: Hash) -> Result<Option<EvmReceipt>, NodeError> {
        let method = "eth_getTransactionReceipt";
        let told: Option<ReceiptJson> = self.may_be(method, &json!([shown(&name)])).await?;
        let Some(told) = told else { return Ok(None) };
        let is_asked = hash32(&told.transaction_hash) == Some(name);
        let read = told.read().filter(|_| is_asked);
        read.map(Some).ok_or(NodeError::Garbage(method))
    }

    /// The transactions of the best chain's block of a height, in order, and its header; none above the tip.
    ///
    /// # Errors
    /// [`NodeError`]; [`NodeError::Garbage`] if there are more than [`TRANSACTIONS_MAX`].
    pub async fn transactions_at(
        &self,
        height: u64,
    ) -> Result<Option<(EthHeader, Vec<EvmTransaction>)>, NodeError> {
        let method = "eth_getBlockByHash";
        let Some(header) = self.eth.header_at(height).await? else {
            return Ok(None);
        };
        if header.gas_used == 0 {
            return Ok(Some((header, Vec::new())));
        }
        let request = self
            .client
            .body(method, &json!([shown(&header.hash), true]));
        let timeout = self.config.timeout;
        let told: Option<BlockJson> = self
            .client
            .exchange(request, FULL_BLOCK_ANSWER_BYTES_MAX, timeout)
            .await?;
        let garbage = || NodeError::Garbage(method);
        let told = told.ok_or_else(garbage)?;
        if hash32(&told.hash) != Some(header.hash) || TRANSACTIONS_MAX < told.transactions.len() {
            return Err(garbage());
        }
        let read: Option<Vec<EvmTransaction>> = told
            .transactions
            .iter()
            .map(TransactionJson::read)
            .collect();
        Ok(Some((header, read.ok_or_else(garbage)?)))
    }

    async fn number64(&self, method: &'static str, params: &Value) -> Result<u64, NodeError> {
        let text: String = self.ask(method, params).await?;
        strict_quantity64(&text).ok_or(NodeError::Garbage(method))
    }

    async fn number128(&self, method: &'static str, params: &Value) -> Result<u128, NodeError> {
        let text: String = self.ask(method, params).await?;
        strict_quantity128(&text).ok_or(NodeError::Garbage(method))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<T, NodeError> {
        let told = self.may_be(method, params).await?;
        told.ok_or(NodeError::Garbage(method))
    }

    async fn may_be<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<Option<T>, NodeError> {
        let request = self.client.body(method, params);
        let timeout = self.config.timeout;
        self.client
            .exchange(request, SMALL_ANSWER_BYTES_MAX, timeout)
            .await
    }
}
