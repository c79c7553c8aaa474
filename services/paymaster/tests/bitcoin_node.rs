//! What a bitcoin-like wallet makes of a node that is not ready, or signs something else: a node of ours answers by a script.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::sync::Arc;

use orebook_chain::address::Network;
use orebook_chain::hash::{parse_shown, shown};
use orebook_chain::wallet::bitcoin::{BitcoinNode, Outpoint};
use orebook_chain::{Credentials, RpcConfig};
use orebook_paymaster::bitcoin::tx::{Output, Tx};
use orebook_paymaster::bitcoin::{BitcoinConfig, BitcoinWallet};
use orebook_paymaster::wallet::{Order, Pay, SignedTx, Wallet as _, WalletError};
use orebook_schema::names::Script;
use orebook_schema::units::{hex, unhex};
use orebook_schema::{Account, Hash};
use serde_json::{Value, json};

mod scripted;

use scripted::{Reply, listen};

/// The wallet's script, and that of who is paid.
const OWN: [u8; 22] = [
    0, 20, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
];
const MINER: [u8; 22] = [
    0, 20, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
];
const COIN: u128 = 100_000_000;
/// What the node relays from, base units for 1,000 bytes.
const RELAY_RATE: u64 = 10_000;
/// Peers that the wallet wants.
const PEERS: u64 = 2;

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

/// What a node's wallet does to a transaction besides signing it.
type Change = fn(&mut Tx);

/// A node whose wallet has two coins, one of them enough for the order.
#[derive(Clone)]
struct Fake {
    is_catching_up: bool,
    peers: u64,
    /// Whole coins for 1,000 bytes.
    estimate: Value,
    change: Change,
    is_complete: bool,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            is_catching_up: false,
            peers: PEERS,
            estimate: json!(0.0002),
            change: |_| {},
            is_complete: true,
        }
    }
}

impl Fake {
    fn answer(&self, method: &str, params: &Value) -> Reply {
        let coin = |byte: u8| {
            json!({
                "txid": shown(Hash([byte; 32])), "vout": 0, "scriptPubKey": hex(&OWN), "amount": 9,
                "confirmations": 200, "spendable": true, "solvable": true,
            })
        };
        Some(Ok(match method {
            "getblockchaininfo" => json!({
                "blocks": 300, "bestblockhash": shown(Hash([1; 32])),
                "initialblockdownload": self.is_catching_up,
            }),
            "getnetworkinfo" => json!({"connections": self.peers, "relayfee": 0.0001}),
            "getmempoolinfo" => json!({}),
            "estimatesmartfee" => json!({"feerate": self.estimate}),
            "getwalletinfo" => json!({}),
            "getbalances" => {
                json!({"mine": {"trusted": 18, "untrusted_pending": 0, "immature": 0}})
            }
            "getaddressinfo" => json!({"ismine": true, "scriptPubKey": hex(&OWN)}),
            "listunspent" => json!([coin(0x61), coin(0x62)]),
            "gettxout" => {
                let txid = params[0].as_str().and_then(parse_shown);
                txid.expect("a coin");
                json!({
                    "confirmations": 200, "value": 9, "scriptPubKey": {"hex": hex(&OWN)},
                    "coinbase": false,
                })
            }
            "signrawtransactionwithwallet" => {
                let raw = params[0].as_str().and_then(unhex).expect("bytes");
                let mut tx = Tx::read(&raw).expect("a transaction");
                (self.change)(&mut tx);
                for input in &mut tx.inputs {
                    input.witness = vec![vec![0x30; 71], vec![2; 33]];
                }
                json!({"hex": hex(&tx.bytes()), "complete": self.is_complete})
            }
            "testmempoolaccept" => json!([{"allowed": true}]),
            other => panic!("nobody asks for {other}"),
        }))
    }

    async fn wallet(self, rate_max: u64) -> BitcoinWallet {
        let address = listen(Arc::new(move |method, params| self.answer(method, params))).await;
        let rpc = RpcConfig::new(address, Credentials::new("pool", "secret"), true);
        let node = BitcoinNode::new(rpc, None).expect("a node");
        let script = Script::new(&OWN).expect("a script");
        let mut config = BitcoinConfig::new(Network::LitecoinRegtest, script);
        config.peers_min = PEERS;
        config.rate_max = rate_max;
        BitcoinWallet::new(config, None, node).expect("a wallet")
    }
}

fn order() -> Order {
    let pay = |amount| Pay {
        address: Account::Script(Script::new(&MINER).expect("a script")),
        amount,
    };
    Order {
        pays: vec![pay(2 * COIN), pay(COIN)],
        fee_max: COIN / 100,
        taken: Vec::new(),
        replaces: None,
    }
}

async fn sign(node: Fake) -> Result<SignedTx, WalletError> {
    node.wallet(100_000).await.sign(&order()).await
}

#[test]
fn what_the_nodes_wallet_signs_is_what_was_ordered_or_nothing_is_paid() {
    run(async {
        let signed = sign(Fake::default()).await.expect("it signs");
        let tx = Tx::read(&signed.raw).expect("a transaction");
        let change = Output {
            value: u64::try_from(6 * COIN - signed.fee).expect("a coin"),
            script: OWN.to_vec(),
        };
        assert_eq!((tx.inputs.len(), tx.outputs.len()), (1, 3));
        assert_eq!(tx.outputs[2], change);

        let changes: [(&str, Change); 11] = [
            ("another is paid", |tx| tx.outputs[0].script[21] = 8),
            ("less is paid", |tx| tx.outputs[1].value -= 1),
            ("one gets another's", |tx| tx.outputs.swap(0, 1)),
            ("one is not paid", |tx| drop(tx.outputs.remove(1))),
            ("one more is paid", |tx| {
                let more = tx.outputs[0].clone();
                tx.outputs[2].value -= more.value;
                tx.outputs.push(more);
            }),
            ("the fee takes the change", |tx| drop(tx.outputs.pop())),
            ("change goes elsewhere", |tx| {
                tx.outputs[2].script = MINER.to_vec();
            }),
            ("another coin", |tx| {
                tx.inputs[0].outpoint = Outpoint {
                    txid: Hash([0x63; 32]),
                    vout: 0,
                };
            }),
            ("one more coin", |tx| {
                let mut more = tx.inputs[0].clone();
                more.outpoint.txid = Hash([0x64; 32]);
                tx.inputs.push(more);
            }),
            ("it cannot be replaced", |tx| {
                tx.inputs[0].sequence = u32::MAX;
            }),
            ("it is mined later", |tx| tx.locktime = 400),
        ];
        for (what, change) in changes {
            let said = sign(Fake {
                change,
                ..Fake::default()
            });
            let words = "the node's wallet changed what it was to sign".to_owned();
            assert_eq!(said.await, Err(WalletError::Cannot(words)), "{what}");
        }
        let half = sign(Fake {
            is_complete: false,
            ..Fake::default()
        });
        let words = "the node's wallet does not sign every coin".to_owned();
        assert_eq!(half.await, Err(WalletError::NotReady(words)));
    });
}

#[test]
fn a_node_that_catches_up_or_is_alone_pays_nothing() {
    run(async {
        let catches_up = Fake {
            is_catching_up: true,
            ..Fake::default()
        };
        let alone = Fake {
            peers: PEERS - 1,
            ..Fake::default()
        };
        for (node, words) in [
            (
                catches_up,
                "the node is still catching up with the chain".to_owned(),
            ),
            (alone, "the node has 1 peers and needs 2".to_owned()),
        ] {
            let wallet = node.wallet(100_000).await;
            let error = WalletError::NotReady(words);
            assert_eq!(wallet.ready().await, Err(error.clone()));
            let estimate = wallet.estimate(&order().pays).await;
            assert_eq!(estimate, Err(error.clone()));
            assert_eq!(wallet.sign(&order()).await, Err(error));
        }
        let ready = Fake::default().wallet(100_000).await.ready().await;
        assert_eq!(ready.expect("it is ready").spendable, 18 * COIN);
    });
}

#[test]
fn a_fee_rate_has_its_cap_and_a_node_that_relays_above_it_pays_nothing() {
    run(async {
        let fee = |estimate: Value, rate_max: u64| async move {
            let node = Fake {
                estimate,
                ..Fake::default()
            };
            let wallet = node.wallet(rate_max).await;
            let signed = wallet.sign(&order()).await.expect("it signs");
            let expected = wallet.estimate(&order().pays).await;
            assert_eq!(expected, Ok(signed.fee));
            signed.fee
        };
        let wished = fee(json!(0.0004), 100_000).await;
        assert_eq!(fee(json!(0.0004), 40_000).await, wished, "at the cap");
        assert_eq!(fee(json!(0.0009), 40_000).await, wished, "above it");
        assert!(fee(json!(0.0004), 39_000).await < wished, "below it");
        let least = fee(json!(0.0001), 100_000).await;
        assert_eq!(fee(json!(0.0009), RELAY_RATE).await, least);

        let wallet = Fake::default().wallet(RELAY_RATE - 1).await;
        let words = "fee above its cap: the node relays from 10000 base units for 1,000 bytes on, and the cap is 9999";
        let said = wallet.sign(&order()).await;
        assert_eq!(said, Err(WalletError::NotReady(words.to_owned())));
    });
}
