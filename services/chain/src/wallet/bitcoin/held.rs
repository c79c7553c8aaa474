//! The wallet inside a node: it lists its coins and signs; what is paid and with which coins is not its choice.

use orebook_schema::units::{Hash, hex, unhex};
use serde::Deserialize;
use serde_json::json;

use super::{Amount, BitcoinNode, COINS_MAX, Coin, LARGE_ANSWER_BYTES_MAX, Outpoint};
use crate::hash::{parse_shown, shown};
use crate::node::NodeError;

/// What a node's wallet has, base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldBalance {
    /// All of it: confirmed, unconfirmed, immature.
    pub total: u64,
    /// Whether it must be unlocked before it signs.
    pub is_locked: bool,
}

/// What a node's wallet made of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSigned {
    /// The transaction with the signatures that it could make.
    pub raw: Vec<u8>,
    /// Whether none is missing.
    pub is_complete: bool,
}

/// What a node's wallet knows of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldTransaction {
    /// The block that it is in; `None` while it waits, and where another took its place.
    pub block: Option<Hash>,
    /// What it costs, base units, if it spends coins of the wallet.
    pub fee: Option<u64>,
}

/// Something that a node's wallet spent, in a block of the best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldSent {
    /// The transaction.
    pub txid: Hash,
    /// Blocks on top of its own and that one; at least 1.
    pub confirmations: u64,
}

#[derive(Deserialize)]
struct InfoReply {
    unlocked_until: Option<u64>,
    private_keys_enabled: Option<bool>,
}

#[derive(Deserialize)]
struct BalancesReply {
    mine: MineReply,
}

#[derive(Deserialize)]
struct MineReply {
    trusted: Amount,
    untrusted_pending: Amount,
    immature: Amount,
}

#[derive(Deserialize)]
struct AddressReply {
    ismine: bool,
    #[serde(rename = "scriptPubKey")]
    script_pub_key: String,
}

/// One of `listunspent`. An output of an extension block has no number of its own, and is no coin for us.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedReply {
    txid: Option<String>,
    vout: Option<u32>,
    script_pub_key: Option<String>,
    amount: Amount,
    #[serde(default)]
    confirmations: u64,
    #[serde(default)]
    spendable: bool,
    #[serde(default)]
    solvable: bool,
}

#[derive(Deserialize)]
struct SignReply {
    hex: String,
    complete: bool,
}

#[derive(Deserialize)]
struct TestReply {
    allowed: bool,
    #[serde(rename = "reject-reason")]
    reject_reason: Option<String>,
}

#[derive(Deserialize)]
struct TransactionReply {
    txid: String,
    confirmations: i64,
    blockhash: Option<String>,
    fee: Option<Amount>,
}

#[derive(Deserialize)]
struct SinceReply {
    transactions: Vec<SinceOne>,
}

#[derive(Deserialize)]
struct SinceOne {
    category: String,
    txid: String,
    #[serde(default)]
    confirmations: i64,
}

impl BitcoinNode {
    /// `getbalances` and `getwalletinfo`.
    ///
    /// # Errors
    /// [`NodeError`]; [`NodeError::Fault`] -18 if no such wallet is open.
    pub async fn held_balance(&self) -> Result<HeldBalance, NodeError> {
        let garbage = || NodeError::Garbage("getbalances");
        let info: InfoReply = self.ask("getwalletinfo", &json!([])).await?;
        let BalancesReply { mine } = self.ask("getbalances", &json!([])).await?;
        let parts = [mine.trusted, mine.untrusted_pending, mine.immature];
        let mut total: u64 = 0;
        for part in parts {
            let units = part.units().ok_or_else(garbage)?;
            total = total.checked_add(units).ok_or_else(garbage)?;
        }
        Ok(HeldBalance {
            total,
            is_locked: info.unlocked_until == Some(0) || info.private_keys_enabled == Some(false),
        })
    }

    /// `getaddressinfo`: whether the wallet has the key of an address, whose script is `script`.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn held_is_own(&self, address: &str, script: &[u8]) -> Result<bool, NodeError> {
        let reply: AddressReply = self.ask("getaddressinfo", &json!([address])).await?;
        Ok(reply.ismine && unhex(&reply.script_pub_key).as_deref() == Some(script))
    }

    /// `listunspent`: the wallet's spendable coins that are in a block. Immature ones, locked ones and those that its own
    /// waiting transactions spend are not among them.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn held_coins(&self) -> Result<Vec<Coin>, NodeError> {
        let method = "listunspent";
        let garbage = || NodeError::Garbage(method);
        let params = json!([1, 9_999_999, [], true]);
        let most = LARGE_ANSWER_BYTES_MAX;
        let listed: Vec<ListedReply> = self.call(method, &params, most, self.timeout()).await?;
        if COINS_MAX < listed.len() {
            return Err(garbage());
        }
        let mut coins = Vec::with_capacity(listed.len());
        for one in listed {
            let (Some(txid), Some(vout), Some(script)) = (one.txid, one.vout, one.script_pub_key)
            else {
                continue;
            };
            if !one.spendable || !one.solvable || one.confirmations == 0 {
                continue;
            }
            coins.push(Coin {
                outpoint: Outpoint {
                    txid: parse_shown(&txid).ok_or_else(garbage)?,
                    vout,
                },
                value: one.amount.units().ok_or_else(garbage)?,
                script: unhex(&script).ok_or_else(garbage)?,
                confirmations: one.confirmations,
                is_coinbase: None,
            });
        }
        Ok(coins)
    }

    /// `signrawtransactionwithwallet`.
    ///
    /// # Errors
    /// [`NodeError`]; [`NodeError::Fault`] -13 if the wallet is locked.
    pub async fn held_sign(&self, unsigned: &[u8]) -> Result<HeldSigned, NodeError> {
        let method = "signrawtransactionwithwallet";
        let most = LARGE_ANSWER_BYTES_MAX;
        let params = json!([hex(unsigned)]);
        let reply: SignReply = self.call(method, &params, most, self.timeout()).await?;
        Ok(HeldSigned {
            raw: unhex(&reply.hex).ok_or(NodeError::Garbage(method))?,
            is_complete: reply.complete,
        })
    }

    /// `testmempoolaccept`: `None` if the node would take it, else its words.
    ///
    /// # Errors
    /// [`NodeError`].
    pub async fn would_refuse(&self, raw: &[u8]) -> Result<Option<String>, NodeError> {
        let method = "testmempoolaccept";
        let replies: Vec<TestReply> = self.ask(method, &json!([[hex(raw)]])).await?;
        let [reply] = replies.as_slice() else {
            return Err(NodeError::Garbage(method));
        };
        let words = reply.reject_reason.as_deref().unwrap_or("no reason given");
        Ok((!reply.allowed).then(|| crate::rpc::plain(words)))
    }

    /// `gettransaction`: `None` if the wallet does not know it.
    ///
    /// # Errors
    /// [`NodeError`]; [`NodeError::Garbage`] for an answer about another transaction.
    pub async fn held_transaction(&self, txid: Hash) -> Result<Option<HeldTransaction>, NodeError> {
        let method = "gettransaction";
        let garbage = || NodeError::Garbage(method);
        let most = LARGE_ANSWER_BYTES_MAX;
        let params = json!([shown(txid)]);
        let reply: TransactionReply = match self.call(method, &params, most, self.timeout()).await {
            Ok(reply) => reply,
            Err(NodeError::Fault { code: -5, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if parse_shown(&reply.txid) != Some(txid) {
            return Err(garbage());
        }
        let block = match reply.blockhash {
            Some(text) if 0 < reply.confirmations => Some(parse_shown(&text).ok_or_else(garbage)?),
            _ => None,
        };
        // A node's wallet writes what a transaction costs as a loss.
        let fee = reply.fee.and_then(|Amount(fee)| fee.checked_abs());
        let fee = fee.and_then(|fee| u64::try_from(fee).ok());
        Ok(Some(HeldTransaction { block, fee }))
    }

    /// `listsinceblock`: what spends the wallet's coins, in blocks of the best chain after this one; of all blocks without one. One
    /// of several outputs comes several times.
    ///
    /// # Errors
    /// [`NodeError`]; [`NodeError::Garbage`] if there are more than [`COINS_MAX`] entries.
    pub async fn held_sent(&self, after: Option<Hash>) -> Result<Vec<HeldSent>, NodeError> {
        let method = "listsinceblock";
        let garbage = || NodeError::Garbage(method);
        let params = match after {
            Some(after) => json!([shown(after)]),
            None => json!([]),
        };
        let most = LARGE_ANSWER_BYTES_MAX;
        let reply: SinceReply = self.call(method, &params, most, self.timeout()).await?;
        if COINS_MAX < reply.transactions.len() {
            return Err(garbage());
        }
        let mut sent = Vec::new();
        for one in reply.transactions {
            let confirmations = u64::try_from(one.confirmations).unwrap_or(0);
            if one.category == "send" && 0 < confirmations {
                let txid = parse_shown(&one.txid).ok_or_else(garbage)?;
                sent.push(HeldSent {
                    txid,
                    confirmations,
                });
            }
        }
        Ok(sent)
    }
}
