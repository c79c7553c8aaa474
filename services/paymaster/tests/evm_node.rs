//! What an EVM wallet makes of nodes that lie, lag or forget: a node of ours answers by a script.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::sync::Arc;
use std::time::Duration;

use orebook_chain::EthConfig;
use orebook_chain::eth::{SealFields, keccak256};
use orebook_chain::wallet::evm::EvmNode;
use orebook_paymaster::evm::{EvmKey, EvmWallet, EvmWalletConfig, Tx};
use orebook_paymaster::wallet::{Order, Pay, Sent, Sight, Wallet as _, WalletError, Watched};
use orebook_schema::Account;
use orebook_schema::units::{Hash, U256, hex};
use serde_json::{Value, json};

#[path = "evm_node/limits.rs"]
mod limits;
mod scripted;

use scripted::{Reply, Script, listen};

const TO: [u8; 20] = [0x77; 20];
/// Gwei.
const PRICE: u128 = 1_000_000_000;

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

fn shown(bytes: &[u8]) -> Value {
    format!("0x{}", hex(bytes)).into()
}

fn key() -> EvmKey {
    EvmKey::new(&[0x51; 32]).expect("a key")
}

/// Without an age of the best block: a chain of tests has its own time.
fn config() -> EvmWalletConfig {
    EvmWalletConfig {
        tip_age_max: None,
        ..EvmWalletConfig::new(61)
    }
}

/// A wallet whose node answers by a script.
async fn wallet(config: EvmWalletConfig, script: Script) -> EvmWallet {
    let mut node = EthConfig::new(listen(script).await);
    node.timeout = Duration::from_secs(60);
    EvmWallet::new(config, key(), EvmNode::new(node))
}

/// A chain of headers, of which one may have a transaction in it.
#[derive(Clone)]
struct Fake {
    tip: u64,
    /// The block with the transaction, and the transaction's name and nonce.
    mined: Option<(u64, Hash, u64)>,
    /// Lowest height whose state the node has.
    state_from: u64,
    /// Whether the receipt is of the chain's block, or of one that is no more.
    is_canonical: bool,
    /// Whether a receipt tells the price.
    has_price: bool,
    /// Names in the memory pool.
    waiting: Vec<Hash>,
    /// Whether the node knows its transactions by name.
    knows_names: bool,
    /// What is said to a raw transaction.
    said: Reply,
    peers: &'static str,
    syncing: Value,
    /// Seconds since 1970 of its first block.
    time: u64,
    /// Base units of the wallet.
    balance: u128,
    /// The wallet's transactions with those that wait, of whomever; none: as many as are mined.
    pending: Option<u64>,
    /// Gas that the program of every address wants; none: they have no program.
    gas: Option<u64>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            tip: 400,
            mined: None,
            state_from: 0,
            is_canonical: true,
            has_price: true,
            waiting: Vec::new(),
            knows_names: true,
            said: None,
            peers: "0x9",
            syncing: json!(false),
            time: 0,
            balance: 1_000_000_000_000_000_000,
            pending: None,
            gas: None,
        }
    }
}

impl Fake {
    fn header(&self, height: u64) -> (SealFields, Hash) {
        let gas_used = match self.mined {
            Some((at, ..)) if at == height => 21_000,
            _ => 0,
        };
        let fields = SealFields {
            parent: Hash([u8::try_from(height % 251).expect("small"); 32]),
            uncles_hash: Hash([1; 32]),
            miner: [2; 20],
            state_root: Hash([3; 32]),
            transactions_root: Hash([4; 32]),
            receipts_root: Hash([5; 32]),
            bloom: Box::new([0; 256]),
            difficulty: U256::from(32),
            number: height,
            gas_limit: 8_000_000,
            gas_used,
            time: self.time + height,
            extra: Vec::new(),
            base_fee: None,
        };
        let hash = fields.hash(&Hash([6; 32]), 7);
        (fields, hash)
    }

    fn block(&self, height: u64, is_full: bool) -> Value {
        let (fields, hash) = self.header(height);
        let transactions = match self.mined {
            Some((at, name, nonce)) if at == height => {
                vec![self.transaction(name, nonce, Some(at))]
            }
            _ => vec![],
        };
        json!({
            "hash": shown(&hash.0), "parentHash": shown(&fields.parent.0), "sha3Uncles": shown(&fields.uncles_hash.0),
            "miner": shown(&fields.miner), "stateRoot": shown(&fields.state_root.0),
            "transactionsRoot": shown(&fields.transactions_root.0), "receiptsRoot": shown(&fields.receipts_root.0),
            "logsBloom": shown(fields.bloom.as_slice()), "difficulty": "0x20", "number": format!("0x{height:x}"),
            "gasLimit": "0x7a1200", "gasUsed": format!("0x{:x}", fields.gas_used), "timestamp": format!("0x{:x}", fields.time),
            "extraData": "0x", "mixHash": shown(&[6; 32]), "nonce": "0x0000000000000007", "uncles": [],
            "transactions": if is_full { json!(transactions) } else { json!([]) },
        })
    }

    fn place(&self, height: u64) -> Hash {
        if self.is_canonical {
            self.header(height).1
        } else {
            Hash([0xdd; 32])
        }
    }

    fn transaction(&self, name: Hash, nonce: u64, height: Option<u64>) -> Value {
        let block = height.map(|height| shown(&self.place(height).0));
        json!({
            "hash": shown(&name.0), "from": shown(&key().address()), "nonce": format!("0x{nonce:x}"),
            "blockNumber": height.map(|height| format!("0x{height:x}")), "blockHash": block,
        })
    }

    fn count(&self, state: &Value) -> Reply {
        if let Some(pending) = self.pending.filter(|_| state == "pending") {
            return Some(Ok(format!("0x{pending:x}").into()));
        }
        let (Some((at, _, nonce)), Some(text)) =
            (self.mined.filter(|_| self.is_canonical), state.as_str())
        else {
            return Some(Ok(json!("0x0")));
        };
        let height = text
            .strip_prefix("0x")
            .map(|text| u64::from_str_radix(text, 16).expect("a height"));
        let height = height.unwrap_or(self.tip);
        if height < self.state_from {
            return Some(Err((-32_000, "missing trie node")));
        }
        Some(Ok(format!(
            "0x{:x}",
            if at <= height { nonce + 1 } else { 0 }
        )
        .into()))
    }

    fn answer(&self, method: &str, params: &Value) -> Reply {
        let is_it = |name: &Hash| params[0] == shown(&name.0);
        let mined = self
            .mined
            .filter(|(_, name, _)| self.knows_names && is_it(name));
        Some(Ok(match method {
            "eth_chainId" => json!("0x3d"),
            "net_peerCount" => json!(self.peers),
            "eth_syncing" => self.syncing.clone(),
            "eth_gasPrice" => format!("0x{PRICE:x}").into(),
            "eth_getBalance" => format!("0x{:x}", self.balance).into(),
            "eth_getCode" => json!(self.gas.map_or("0x", |_| "0x60")),
            "eth_estimateGas" => format!("0x{:x}", self.gas.expect("a program")).into(),
            "eth_blockNumber" => format!("0x{:x}", self.tip).into(),
            "eth_getTransactionCount" => return self.count(&params[1]),
            "eth_sendRawTransaction" => return self.said.clone(),
            "eth_getBlockByNumber" => {
                let text = params[0].as_str().expect("a word");
                let height = text.strip_prefix("0x").map(|text| u64::from_str_radix(text, 16).expect("a height"));
                match height.unwrap_or(self.tip) {
                    height if height <= self.tip => self.block(height, false),
                    _ => Value::Null,
                }
            }
            "eth_getBlockByHash" => {
                let mut heights = (0..=self.tip).rev();
                let found = heights.find(|height| params[0] == shown(&self.header(*height).1.0));
                found.map_or(Value::Null, |height| self.block(height, params[1] == json!(true)))
            }
            "eth_getTransactionByHash" if self.waiting.iter().any(is_it) => {
                let name = self.waiting.iter().find(|name| is_it(name)).expect("it waits");
                self.transaction(*name, 0, None)
            }
            "eth_getTransactionByHash" => mined.map_or(Value::Null, |(at, name, nonce)| self.transaction(name, nonce, Some(at))),
            "eth_getTransactionReceipt" => mined.map_or(Value::Null, |(at, name, _)| {
                let price = self.has_price.then(|| format!("0x{PRICE:x}"));
                json!({
                    "transactionHash": shown(&name.0), "blockNumber": format!("0x{at:x}"),
                    "blockHash": shown(&self.place(at).0), "status": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": price,
                })
            }),
            other => panic!("nobody asks {other}"),
        }))
    }

    async fn wallet(self) -> EvmWallet {
        self.wallet_of(config()).await
    }

    async fn wallet_of(self, config: EvmWalletConfig) -> EvmWallet {
        let script = move |method: &str, params: &Value| self.answer(method, params);
        wallet(config, Arc::new(script)).await
    }
}

fn order() -> Order {
    Order {
        pays: vec![Pay {
            address: Account::Evm(TO),
            amount: 5,
        }],
        fee_max: u128::MAX,
        taken: Vec::new(),
        replaces: None,
    }
}

/// A payment of the wallet's, with the nonce 0.
async fn payment() -> (Hash, Watched) {
    let tx = Fake::default()
        .wallet()
        .await
        .sign(&order())
        .await
        .expect("a transaction");
    let versions = vec![(tx.txid, tx.raw)];
    (
        tx.txid,
        Watched {
            versions,
            spends: tx.spends,
        },
    )
}

#[test]
fn where_a_payment_stands_is_what_the_best_chains_blocks_say() {
    run(async {
        let (ours, tx) = payment().await;
        let foreign = Hash([0xee; 32]);
        let fee = 21_000 * PRICE;
        let block = |fake: &Fake, height: u64| fake.header(height).1;
        let fake = Fake::default;
        let mined = |name| Fake {
            mined: Some((390, name, 0)),
            ..fake()
        };
        let conflict = |by, height, confirmations, fee| {
            Some(Sight::Conflict {
                by,
                height,
                confirmations,
                fee,
            })
        };
        let found = conflict(foreign, 390, 11, fee);
        let ours_mined = Some(Sight::Mined {
            txid: ours,
            height: 390,
            block: block(&mined(ours), 390),
            confirmations: 11,
            paid: true,
            fee,
        });
        for (case, fake, sight) in [
            ("nothing is known", fake(), Some(Sight::Nowhere)),
            (
                "it waits",
                Fake {
                    waiting: vec![ours],
                    ..fake()
                },
                Some(Sight::Pending { txid: ours }),
            ),
            ("it is mined", mined(ours), ours_mined.clone()),
            (
                "an older node tells no price",
                Fake {
                    has_price: false,
                    ..mined(ours)
                },
                ours_mined,
            ),
            // Its block is no longer the best chain's, though the node still tells of it.
            (
                "reorganised away",
                Fake {
                    is_canonical: false,
                    ..mined(ours)
                },
                Some(Sight::Nowhere),
            ),
            (
                "and it waits again",
                Fake {
                    is_canonical: false,
                    waiting: vec![ours],
                    ..mined(ours)
                },
                Some(Sight::Pending { txid: ours }),
            ),
            // The node lost its names of transactions: it is in its block, so it is no conflict.
            (
                "mined, and unknown by name",
                Fake {
                    knows_names: false,
                    ..mined(ours)
                },
                None,
            ),
            ("another used the nonce", mined(foreign), found.clone()),
            (
                "just now",
                Fake {
                    tip: 390,
                    ..mined(foreign)
                },
                conflict(foreign, 390, 1, fee),
            ),
            (
                "in the first block",
                Fake {
                    mined: Some((1, foreign, 0)),
                    ..fake()
                },
                conflict(foreign, 1, 400, fee),
            ),
            // States are there for the newest blocks only; then blocks are searched, as far as the limit goes.
            (
                "some states",
                Fake {
                    state_from: 385,
                    ..mined(foreign)
                },
                found.clone(),
            ),
            (
                "states above it",
                Fake {
                    state_from: 395,
                    ..mined(foreign)
                },
                found.clone(),
            ),
            (
                "one state",
                Fake {
                    state_from: 400,
                    ..mined(foreign)
                },
                found,
            ),
            (
                "too long ago",
                Fake {
                    state_from: 400,
                    mined: Some((100, foreign, 0)),
                    ..fake()
                },
                conflict(Hash::ZERO, 0, 1, 0),
            ),
            (
                "too long ago, but of a known depth",
                Fake {
                    state_from: 365,
                    mined: Some((100, foreign, 0)),
                    ..fake()
                },
                conflict(Hash::ZERO, 0, 36, 0),
            ),
        ] {
            let told = fake.wallet().await.look(&tx).await;
            match sight {
                Some(sight) => assert_eq!(told, Ok(sight), "{case}"),
                None => assert!(
                    matches!(told, Err(WalletError::NoAnswer(_))),
                    "{case}: {told:?}"
                ),
            }
        }
    });
}

#[test]
fn a_refusal_counts_only_of_what_the_node_does_not_have() {
    run(async {
        let (ours, tx) = payment().await;
        let raw = &tx.versions[0].1;
        let fault = |code, words| Some(Err((code, words)));
        let mined = Some((390, ours, 0));
        for (said, waiting, mined, expected) in [
            (Some(Ok(shown(&ours.0))), false, None, Some(Sent::Taken)),
            (
                fault(-32_000, "already known"),
                false,
                None,
                Some(Sent::Taken),
            ),
            (
                fault(-32_000, "known transaction: 77"),
                false,
                None,
                Some(Sent::Taken),
            ),
            (
                fault(
                    -32_010,
                    "Transaction with the same hash was already imported.",
                ),
                false,
                None,
                Some(Sent::Taken),
            ),
            (
                fault(-32_010, "AlreadyKnown"),
                false,
                None,
                Some(Sent::Taken),
            ),
            (
                fault(-32_000, "nonce too low"),
                false,
                mined,
                Some(Sent::Taken),
            ),
            (fault(-32_000, "who knows"), true, None, Some(Sent::Taken)),
            (
                fault(-32_000, "nonce too low"),
                false,
                None,
                Some(Sent::Refused("nonce too low".to_owned())),
            ),
            (
                fault(-32_000, "replacement transaction underpriced"),
                false,
                None,
                Some(Sent::Refused(
                    "replacement transaction underpriced".to_owned(),
                )),
            ),
            // Another name than the bytes have, a node without the call, one that failed, none: it may have arrived.
            (Some(Ok(shown(&[1; 32]))), false, None, None),
            (Some(Ok(Value::Null)), false, None, None),
            (
                fault(-32_601, "the method does not exist"),
                false,
                None,
                None,
            ),
            (fault(-32_603, "internal error"), false, None, None),
            (None, false, None, None),
        ] {
            let case = format!("{said:?}, waiting {waiting}, mined {mined:?}");
            let waiting = if waiting { vec![ours] } else { vec![] };
            let fake = Fake {
                said,
                waiting,
                mined,
                ..Fake::default()
            };
            let told = fake.wallet().await.send(raw).await;
            match expected {
                Some(expected) => assert_eq!(told, Ok(expected), "{case}"),
                None => assert!(
                    matches!(told, Err(WalletError::NoAnswer(_))),
                    "{case}: {told:?}"
                ),
            }
        }
    });
}

#[test]
fn a_node_that_is_behind_alone_or_unreadable_signs_nothing() {
    run(async {
        let behind = json!({"currentBlock": "0x1", "highestBlock": "0x2"});
        for (peers, syncing, is_not_ready) in [
            ("0x0", json!(false), true),
            ("0x9", behind, true),
            // Quantities have one spelling.
            ("0x09", json!(false), false),
            ("9", json!(false), false),
            ("0x", json!(false), false),
            ("0x9", json!(true), false),
            ("0x9", Value::Null, false),
        ] {
            let case = format!("{peers} {syncing}");
            let wallet = Fake {
                peers,
                syncing,
                ..Fake::default()
            }
            .wallet()
            .await;
            for told in [
                wallet.ready().await.map(drop),
                wallet.sign(&order()).await.map(drop),
            ] {
                match told {
                    Err(WalletError::NotReady(_)) => assert!(is_not_ready, "{case}"),
                    Err(WalletError::NoAnswer(_)) => assert!(!is_not_ready, "{case}"),
                    other => panic!("{case}: {other:?}"),
                }
            }
        }
    });
}

/// The next nonce is after all that the ledger has, also where the node has not heard of them.
#[test]
fn the_line_of_nonces_goes_on_after_what_the_ledger_has() {
    run(async {
        let (_, tx) = payment().await;
        let first = Tx::read(&tx.versions[0].1).expect("a payment").tx;
        let at = |nonce: u64| Tx { nonce, ..first }.sign(&key());
        let used = |nonce| Some((390, Hash([0xee; 32]), nonce));
        for (mined, taken, nonce) in [
            (None, vec![], 0),
            (None, vec![at(0)], 1),
            (None, vec![at(4), at(2), at(3)], 5),
            (used(6), vec![], 7),
            (used(6), vec![at(2)], 7),
            (used(6), vec![at(6)], 7),
            (used(6), vec![at(7), at(8)], 9),
        ] {
            let wallet = Fake {
                mined,
                ..Fake::default()
            }
            .wallet()
            .await;
            let signed = wallet
                .sign(&Order { taken, ..order() })
                .await
                .expect("a transaction");
            let read = Tx::read(&signed.raw).expect("a payment");
            assert_eq!((read.tx.nonce, read.hash), (nonce, signed.txid));
            assert_eq!(signed.txid, keccak256(&signed.raw));
            assert_eq!(signed.fee, 21_000 * PRICE);
        }
    });
}

#[test]
fn what_was_read_before_is_read_as_before_and_what_is_strange_stays_strange() {
    run(async {
        let node = Fake::default();
        let one = node.wallet().await;
        let mut order = order();
        for nonce in 0..3 {
            let signed = one.sign(&order).await.expect("a transaction");
            let read = Tx::read(&signed.raw).expect("its own");
            assert_eq!(read.tx.nonce, nonce, "each goes on after those before it");
            let pays = one.payments(&signed.raw).expect("its own");
            assert_eq!(pays, one.payments(&signed.raw).expect("the same again"));
            order.taken.push(signed.raw);
        }
        let mut strange = order.taken.pop().expect("three");
        // Another signature is another sender's.
        let last = strange.len() - 1;
        strange[last] ^= 1;
        order.taken.push(strange);
        for _ in 0..2 {
            let said = one.sign(&order).await;
            assert!(matches!(said, Err(WalletError::Cannot(_))), "{said:?}");
        }
    });
}
