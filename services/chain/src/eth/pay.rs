//! What a block paid its miner besides new coins: its uncles and its transactions, held against its header.
//!
//! A header's hash is that of its fields, so what hangs on the fields is proven: the uncles, by the hash of their list, and the
//! gas of all transactions. What a unit of gas cost is the node's word, but not below what was burnt.

use orebook_schema::units::{Hash, U256};
use serde::Deserialize;
use serde_json::{Value, json};

use super::header::{EthHeader, HeaderJson, UNCLES_MAX, uncles_hash};
use super::node::EthNode;
use super::words::{hash32, quantity, quantity64, shown};
use crate::node::NodeError;

/// Most transactions of a block whose receipts are asked for; a block with more is [`NodeError::Garbage`].
pub const TRANSACTIONS_MAX: usize = 16_384;
/// Receipts in one request, where the node does not give a block's at once.
pub const RECEIPTS_PER_BATCH: usize = 50;
/// Most bytes of an answer with receipts: each has a bloom filter and its logs.
pub const RECEIPTS_ANSWER_BYTES_MAX: usize = 16 << 20;

/// What is read of a block for its transactions.
#[derive(Deserialize)]
struct Listed {
    hash: String,
    transactions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptJson {
    transaction_hash: String,
    block_hash: String,
    gas_used: String,
    /// Older nodes do not tell it.
    effective_gas_price: Option<String>,
}

/// Of a mined transaction this is the price that was paid, also where it offered more (EIP-1559).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PriceJson {
    hash: String,
    block_hash: Option<String>,
    gas_price: String,
}

/// Base units for a unit of gas, where the receipt tells; and the gas.
struct Receipt {
    price: Option<U256>,
    gas: u64,
}

impl ReceiptJson {
    fn read(&self, of: &EthHeader, transaction: Hash) -> Option<Receipt> {
        let is_asked = hash32(&self.transaction_hash)? == transaction;
        if !is_asked || hash32(&self.block_hash)? != of.hash {
            return None;
        }
        let price = self.effective_gas_price.as_deref().map(quantity);
        Some(Receipt {
            price: match price {
                Some(price) => Some(price?),
                None => None,
            },
            gas: quantity64(&self.gas_used)?,
        })
    }
}

impl EthNode {
    /// The uncles that a block names, in its order: exactly those that its header commits to.
    ///
    /// # Errors
    /// [`NodeError`]; uncles whose list has not the header's hash are [`NodeError::Garbage`].
    pub async fn uncles(&self, of: &EthHeader) -> Result<Vec<EthHeader>, NodeError> {
        let method = "eth_getUncleByBlockHashAndIndex";
        let mut uncles = Vec::with_capacity(UNCLES_MAX);
        let mut list = Vec::new();
        for (index, hash) in of.uncles.iter().enumerate() {
            let params = json!([shown(&of.hash), format!("0x{index:x}")]);
            let told: Option<HeaderJson> = self.large(method, &params).await?;
            let read = told.as_ref().and_then(HeaderJson::header_and_rlp);
            let read = read.filter(|(uncle, _)| uncle.hash == *hash);
            let (uncle, rlp) = read.ok_or(NodeError::Garbage(method))?;
            uncles.push(uncle);
            list.extend(rlp);
        }
        if uncles_hash(&list) == of.uncles_hash {
            Ok(uncles)
        } else {
            Err(NodeError::Garbage(method))
        }
    }

    /// Fees that a block's transactions paid its miner, base units: for each the gas times what it cost beyond the base fee, which
    /// is burnt. By `eth_getBlockReceipts` where the node has it, else by [`RECEIPTS_PER_BATCH`] receipts at a time.
    ///
    /// # Errors
    /// [`NodeError`]; receipts that are not those of the block's transactions, whose gas is not the header's, or that cost less
    /// than was burnt are [`NodeError::Garbage`].
    pub async fn fees(&self, of: &EthHeader) -> Result<u128, NodeError> {
        // There is no transaction without gas.
        if of.gas_used == 0 {
            return Ok(0);
        }
        let transactions = self.transactions(of).await?;
        let receipts = match self.receipts_at_once(of, &transactions).await {
            Err(NodeError::Fault { .. } | NodeError::TooLarge { .. }) => {
                self.receipts_one_by_one(of, &transactions).await?
            }
            other => other?,
        };
        let gas = receipts
            .iter()
            .try_fold(0_u64, |sum, receipt| sum.checked_add(receipt.gas));
        if gas != Some(of.gas_used) {
            return Err(NodeError::Garbage("the receipts' gas"));
        }
        let prices = self.prices(of, &transactions, &receipts).await?;
        let burnt = of.base_fee.unwrap_or(U256::ZERO);
        let paid = receipts
            .iter()
            .zip(prices)
            .try_fold(U256::ZERO, |sum, (receipt, price)| {
                let ours = price.checked_sub(burnt)?;
                sum.checked_add(ours.checked_mul(U256::from(receipt.gas))?)
            });
        paid.and_then(|paid| u128::try_from(paid).ok())
            .ok_or(NodeError::Garbage("the receipts' price"))
    }

    async fn transactions(&self, of: &EthHeader) -> Result<Vec<Hash>, NodeError> {
        let method = "eth_getBlockByHash";
        let garbage = || NodeError::Garbage(method);
        let params = json!([shown(&of.hash), false]);
        let listed: Option<Listed> = self.large(method, &params).await?;
        let listed = listed.ok_or_else(garbage)?;
        let count = listed.transactions.len();
        if hash32(&listed.hash) != Some(of.hash) || TRANSACTIONS_MAX < count {
            return Err(garbage());
        }
        let hashes = listed.transactions.iter().map(|text| hash32(text));
        hashes.collect::<Option<_>>().ok_or_else(garbage)
    }

    async fn receipts_at_once(
        &self,
        of: &EthHeader,
        transactions: &[Hash],
    ) -> Result<Vec<Receipt>, NodeError> {
        let method = "eth_getBlockReceipts";
        let params = json!([shown(&of.hash)]);
        let told: Option<Vec<ReceiptJson>> = self
            .sized(method, &params, RECEIPTS_ANSWER_BYTES_MAX)
            .await?;
        read_all(of, transactions, &told.unwrap_or_default()).ok_or(NodeError::Garbage(method))
    }

    async fn receipts_one_by_one(
        &self,
        of: &EthHeader,
        transactions: &[Hash],
    ) -> Result<Vec<Receipt>, NodeError> {
        let method = "eth_getTransactionReceipt";
        let mut receipts = Vec::with_capacity(transactions.len());
        for part in transactions.chunks(RECEIPTS_PER_BATCH) {
            let told: Vec<ReceiptJson> = self.batch(method, part).await?;
            let read = read_all(of, part, &told).ok_or(NodeError::Garbage(method))?;
            receipts.extend(read);
        }
        Ok(receipts)
    }

    /// The price of each transaction's gas: its receipt's, else the transaction's own.
    async fn prices(
        &self,
        of: &EthHeader,
        transactions: &[Hash],
        receipts: &[Receipt],
    ) -> Result<Vec<U256>, NodeError> {
        let told: Option<Vec<U256>> = receipts.iter().map(|receipt| receipt.price).collect();
        if let Some(prices) = told {
            return Ok(prices);
        }
        let method = "eth_getTransactionByHash";
        let read = |told: &PriceJson, wanted: &Hash| {
            let block = hash32(told.block_hash.as_deref()?)?;
            let is_asked = hash32(&told.hash)? == *wanted && block == of.hash;
            quantity(&told.gas_price).filter(|_| is_asked)
        };
        let mut prices = Vec::with_capacity(transactions.len());
        for part in transactions.chunks(RECEIPTS_PER_BATCH) {
            let told: Vec<PriceJson> = self.batch(method, part).await?;
            let read = told
                .iter()
                .zip(part)
                .map(|(told, wanted)| read(told, wanted));
            let read: Option<Vec<U256>> = read.collect();
            prices.extend(read.ok_or(NodeError::Garbage(method))?);
        }
        Ok(prices)
    }

    /// The same question of each hash; every one must have an answer.
    async fn batch<T: serde::de::DeserializeOwned>(
        &self,
        method: &'static str,
        hashes: &[Hash],
    ) -> Result<Vec<T>, NodeError> {
        let params: Vec<Value> = hashes.iter().map(|hash| json!([shown(hash)])).collect();
        let answers = self
            .exchange_batch(method, &params, RECEIPTS_ANSWER_BYTES_MAX)
            .await?;
        let all: Option<Vec<T>> = answers.into_iter().collect();
        all.ok_or(NodeError::Garbage(method))
    }
}

fn read_all(of: &EthHeader, transactions: &[Hash], told: &[ReceiptJson]) -> Option<Vec<Receipt>> {
    if told.len() != transactions.len() {
        return None;
    }
    let pairs = told.iter().zip(transactions);
    pairs.map(|(told, hash)| told.read(of, *hash)).collect()
}
