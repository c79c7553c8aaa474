//! Uncles and fees of a block by a node that tells them in different ways, late, in part, or not truly.

use std::sync::Arc;

use orebook_chain::eth::{
    EthHeader, EthNode, RECEIPTS_PER_BATCH, SealFields, TRANSACTIONS_MAX, keccak256,
};
use orebook_chain::{EthConfig, NodeError};
use orebook_schema::units::{Hash, U256, hex};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, fault, result, run};

/// Burnt for a unit of gas.
const BASE_FEE: u64 = 7;
const GAS: u64 = 21_000;

fn fields(number: u64, uncles_hash: Hash, gas_used: u64) -> SealFields {
    SealFields {
        parent: Hash::of(&[&number.to_le_bytes()]),
        uncles_hash,
        miner: [0xaa; 20],
        state_root: Hash::ZERO,
        transactions_root: Hash::ZERO,
        receipts_root: Hash::ZERO,
        bloom: Box::new([0; 256]),
        difficulty: U256::from(1_000),
        number,
        gas_limit: 30_000_000,
        gas_used,
        time: 1_800_000_000 + number,
        extra: b"words".to_vec(),
        base_fee: Some(U256::from(BASE_FEE)),
    }
}

fn word(hash: Hash) -> String {
    format!("0x{hash}")
}

/// A header as nodes write it.
fn told(fields: &SealFields, uncles: &[Hash], transactions: &[Hash]) -> Value {
    let list = |hashes: &[Hash]| hashes.iter().map(|hash| word(*hash)).collect::<Vec<_>>();
    json!({
        "hash": word(fields.hash(&Hash::ZERO, 7)),
        "parentHash": word(fields.parent),
        "sha3Uncles": word(fields.uncles_hash),
        "miner": format!("0x{}", hex(&fields.miner)),
        "stateRoot": word(fields.state_root),
        "transactionsRoot": word(fields.transactions_root),
        "receiptsRoot": word(fields.receipts_root),
        "logsBloom": format!("0x{}", hex(fields.bloom.as_slice())),
        "difficulty": "0x3e8",
        "number": format!("0x{:x}", fields.number),
        "gasLimit": "0x1c9c380",
        "gasUsed": format!("0x{:x}", fields.gas_used),
        "timestamp": format!("0x{:x}", fields.time),
        "extraData": format!("0x{}", hex(&fields.extra)),
        "mixHash": word(Hash::ZERO),
        "nonce": "0x0000000000000007",
        "baseFeePerGas": format!("0x{BASE_FEE:x}"),
        "uncles": list(uncles),
        "transactions": list(transactions),
    })
}

/// What the node has, and how it tells.
#[derive(Clone)]
struct Story {
    uncles: Vec<Value>,
    /// Said to be the block's, in its header's words.
    uncles_told: Vec<Value>,
    transactions: Vec<Hash>,
    /// Gas of each, and the price that the receipt tells.
    receipts: Vec<(u64, Option<u64>)>,
    gas_used: u64,
    has_block_receipts: bool,
    change: fn(&mut Value),
    prices: u64,
}

impl Story {
    /// A block of so many transactions, each for 10 a unit, in the plainest way.
    fn of(count: usize) -> Self {
        let transactions = (0..count).map(|at| Hash::of(&[b"tx", &at.to_le_bytes()]));
        Self {
            uncles: Vec::new(),
            uncles_told: Vec::new(),
            transactions: transactions.collect(),
            receipts: vec![(GAS, Some(10)); count],
            gas_used: GAS * count as u64,
            has_block_receipts: true,
            change: |_| {},
            prices: 10,
        }
    }

    fn block(&self) -> Value {
        let mut list = Vec::new();
        for uncle in &self.uncles {
            list.extend(rlp_of(uncle));
        }
        let hashes: Vec<Hash> = self.uncles.iter().map(hash_of).collect();
        let fields = fields(100, keccak256(&rlp_list(&list)), self.gas_used);
        told(&fields, &hashes, &self.transactions)
    }

    fn receipt(&self, hash: &Value) -> Value {
        let at = self
            .transactions
            .iter()
            .position(|known| json!(word(*known)) == *hash);
        let Some(at) = at else { return Value::Null };
        let (gas, price) = self.receipts[at];
        let mut receipt = json!({
            "transactionHash": hash,
            "blockHash": self.block()["hash"],
            "gasUsed": format!("0x{gas:x}"),
            "logs": [{"data": "0x00"}],
        });
        if let Some(price) = price {
            receipt["effectiveGasPrice"] = format!("0x{price:x}").into();
        }
        (self.change)(&mut receipt);
        receipt
    }

    fn answer(&self, method: &str, params: &Value) -> Reply {
        let each = |answer: &dyn Fn(&Value) -> Value| {
            let Value::Array(asked) = params else {
                panic!("several questions")
            };
            assert!(asked.len() <= RECEIPTS_PER_BATCH);
            // Answers may come in any order.
            let answers = asked.iter().rev().map(|asked| {
                json!({"jsonrpc": "2.0", "id": asked["id"], "result": answer(&asked["params"][0])})
            });
            Reply::Http(200, Value::from(answers.collect::<Vec<_>>()).to_string())
        };
        match method {
            "eth_getBlockByNumber" | "eth_getBlockByHash" => result(self.block()),
            "eth_getUncleByBlockHashAndIndex" => {
                let at = params[1]
                    .as_str()
                    .and_then(|text| text[2..].parse::<usize>().ok());
                let uncle = at.and_then(|at| self.uncles_told.get(at));
                result(uncle.cloned().unwrap_or(Value::Null))
            }
            "eth_getBlockReceipts" if self.has_block_receipts => {
                let all = self
                    .transactions
                    .iter()
                    .map(|hash| self.receipt(&json!(word(*hash))));
                result(all.collect::<Vec<_>>().into())
            }
            "eth_getTransactionReceipt" => each(&|hash| self.receipt(hash)),
            "eth_getTransactionByHash" => each(&|hash| {
                let price = format!("0x{:x}", self.prices);
                json!({"hash": hash, "blockHash": self.block()["hash"], "gasPrice": price})
            }),
            _ => fault(-32_601, "the method does not exist"),
        }
    }
}

/// The RLP of a header that [`told`] wrote, from what it says.
fn rlp_of(told: &Value) -> Vec<u8> {
    let bytes = |key: &str| {
        orebook_schema::units::unhex(&told[key].as_str().expect("a word")[2..]).expect("hex")
    };
    let number = |key: &str| {
        let text = told[key].as_str().expect("a word");
        u64::from_str_radix(&text[2..], 16)
            .expect("a number")
            .to_be_bytes()
    };
    let mut items = Vec::new();
    for key in [
        "parentHash",
        "sha3Uncles",
        "miner",
        "stateRoot",
        "transactionsRoot",
        "receiptsRoot",
        "logsBloom",
    ] {
        put(&mut items, &bytes(key));
    }
    for key in ["difficulty", "number", "gasLimit", "gasUsed", "timestamp"] {
        put_trimmed(&mut items, &number(key));
    }
    for key in ["extraData", "mixHash", "nonce"] {
        put(&mut items, &bytes(key));
    }
    put_trimmed(&mut items, &number("baseFeePerGas"));
    rlp_list(&items)
}

fn put_trimmed(out: &mut Vec<u8>, number: &[u8]) {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    put(out, &number[zeros..]);
}

fn put(out: &mut Vec<u8>, item: &[u8]) {
    match item {
        [byte @ 0..=0x7f] => out.push(*byte),
        _ => {
            head(out, 0x80, item.len());
            out.extend(item);
        }
    }
}

fn rlp_list(items: &[u8]) -> Vec<u8> {
    let mut list = Vec::new();
    head(&mut list, 0xc0, items.len());
    list.extend(items);
    list
}

fn head(out: &mut Vec<u8>, kind: u8, len: usize) {
    let digits = len.to_be_bytes();
    let digits = &digits[digits.iter().take_while(|digit| **digit == 0).count()..];
    match len {
        0..=55 => out.push(kind + small(len)),
        _ => {
            out.push(kind + 55 + small(digits.len()));
            out.extend(digits);
        }
    }
}

fn small(len: usize) -> u8 {
    u8::try_from(len).expect("a small number")
}

fn hash_of(told: &Value) -> Hash {
    let bytes = orebook_schema::units::unhex(&told["hash"].as_str().expect("a word")[2..]);
    Hash(bytes.expect("hex").try_into().expect("32 bytes"))
}

/// A client of a node with that story, the header, and the node to count questions at.
async fn client(story: &Story) -> (EthNode, EthHeader, Fake) {
    let told = story.clone();
    let fake = Fake::start(Arc::new(move |method: &str, params: &Value| {
        told.answer(method, params)
    }))
    .await;
    let node = EthNode::new(EthConfig::new(fake.address.clone()));
    let header = node
        .header_at(100)
        .await
        .expect("an answer")
        .expect("a block");
    (node, header, fake)
}

fn uncle(number: u64) -> Value {
    told(&fields(number, Hash::of(&[b"other"]), 0), &[], &[])
}

#[test]
fn fees_are_gas_times_the_price_beyond_what_is_burnt() {
    type Edit = fn(&mut Story);
    let plain: Edit = |_| {};
    for (name, count, edit, fees) in [
        ("no transaction", 0, plain, 0),
        ("one", 1, plain, 3 * GAS),
        (
            "a batch and one more",
            RECEIPTS_PER_BATCH + 1,
            plain,
            3 * GAS * 51,
        ),
        (
            "different prices",
            2,
            |story| story.receipts = vec![(GAS, Some(7)), (GAS, Some(9))],
            2 * GAS,
        ),
        (
            "different gas",
            2,
            |story| {
                story.receipts = vec![(GAS, Some(8)), (100_000, Some(8))];
                story.gas_used = 121_000;
            },
            121_000,
        ),
        (
            "no receipts of a whole block",
            120,
            |story| story.has_block_receipts = false,
            3 * GAS * 120,
        ),
        (
            "no prices in receipts",
            60,
            |story| {
                for receipt in &mut story.receipts {
                    receipt.1 = None;
                }
                story.prices = 12;
            },
            5 * GAS * 60,
        ),
    ] {
        run(async move {
            let mut story = Story::of(count);
            edit(&mut story);
            let (node, header, fake) = client(&story).await;
            assert_eq!(node.fees(&header).await, Ok(u128::from(fees)), "{name}");
            if count == 0 {
                assert_eq!(
                    fake.count("eth_getBlockByHash"),
                    0,
                    "{name}: nothing is asked"
                );
            }
            if !story.has_block_receipts {
                assert_eq!(fake.count("eth_getTransactionReceipt"), 3, "{name}");
            }
        });
    }
}

#[test]
fn receipts_that_do_not_fit_their_block_are_none() {
    type Edit = fn(&mut Story);
    let cases: [(&str, Edit); 11] = [
        ("gas that is not the header's", |story| {
            story.receipts[1].0 += 1
        }),
        ("a price below what was burnt", |story| {
            story.receipts[1].1 = Some(BASE_FEE - 1)
        }),
        ("the receipt of another transaction", |story| {
            story.change = |receipt| receipt["transactionHash"] = word(Hash([1; 32])).into();
        }),
        ("the receipt of another block", |story| {
            story.change = |receipt| receipt["blockHash"] = word(Hash([1; 32])).into();
        }),
        ("a price that is no number", |story| {
            story.change = |receipt| receipt["effectiveGasPrice"] = "0x".into();
        }),
        ("gas that is no number", |story| {
            story.change = |receipt| receipt["gasUsed"] = "21000".into();
        }),
        ("gas beyond 64 bits", |story| {
            story.change = |receipt| receipt["gasUsed"] = "0x10000000000000000".into();
        }),
        ("a price that is dearer than all there is", |story| {
            story.change =
                |receipt| receipt["effectiveGasPrice"] = format!("0x{}", "f".repeat(64)).into();
        }),
        ("a word in place of a receipt", |story| {
            story.change = |receipt| *receipt = json!("receipt")
        }),
        (
            "a price without a receipt's, below what was burnt",
            |story| {
                story.receipts[0].1 = None;
                story.prices = BASE_FEE - 1;
            },
        ),
        ("no transactions, though gas was used", |story| {
            story.transactions.clear()
        }),
    ];
    for (name, edit) in cases {
        for has_block_receipts in [true, false] {
            run(async move {
                let mut story = Story::of(2);
                edit(&mut story);
                story.has_block_receipts = has_block_receipts;
                let (node, header, _fake) = client(&story).await;
                let fees = node.fees(&header).await;
                assert!(
                    matches!(fees, Err(NodeError::Garbage(_))),
                    "{name}: {fees:?}"
                );
            });
        }
    }
}

#[test]
fn a_node_that_answers_batches_in_no_way_that_fits_is_not_believed() {
    let two = |first: Value, second: Value| Value::from(vec![first, second]).to_string();
    let item = |id: u64| json!({"id": id, "result": null});
    for (name, body, wanted) in [
        (
            "one error for all",
            json!({"error": {"code": -32_005, "message": "too many"}}).to_string(),
            "too many",
        ),
        (
            "an error for one",
            two(
                item(0),
                json!({"id": 1, "error": {"code": 3, "message": "no such"}}),
            ),
            "no such",
        ),
        (
            "one answer for two",
            Value::from(vec![item(0)]).to_string(),
            "cannot be read",
        ),
        (
            "the same number twice",
            two(item(1), item(1)),
            "cannot be read",
        ),
        (
            "a number that nobody asked",
            two(item(0), item(9)),
            "cannot be read",
        ),
        ("nothing known", two(item(0), item(1)), "cannot be read"),
        (
            "no results",
            two(json!({"id": 0}), json!({"id": 1})),
            "cannot be read",
        ),
        (
            "numbers that are none",
            two(json!({"id": "0", "result": null}), item(1)),
            "cannot be read",
        ),
        ("an object", "{}".to_owned(), "cannot be read"),
        ("words", "receipts".to_owned(), "cannot be read"),
    ] {
        run(async move {
            let mut story = Story::of(2);
            story.has_block_receipts = false;
            let told = story.clone();
            let script = move |method: &str, params: &Value| match method {
                "eth_getTransactionReceipt" => Reply::Http(200, body.clone()),
                _ => told.answer(method, params),
            };
            let fake = Fake::start(Arc::new(script)).await;
            let node = EthNode::new(EthConfig::new(fake.address.clone()));
            let header = node
                .header_at(100)
                .await
                .expect("an answer")
                .expect("a block");
            let why = node.fees(&header).await.expect_err(name).to_string();
            assert!(why.contains(wanted), "{name}: {why}");
        });
    }
}

#[test]
fn a_block_with_more_transactions_than_anybody_has_is_not_asked_for() {
    run(async {
        let story = Story::of(TRANSACTIONS_MAX + 1);
        let (node, header, fake) = client(&story).await;
        assert_eq!(
            node.fees(&header).await,
            Err(NodeError::Garbage("eth_getBlockByHash"))
        );
        assert_eq!(fake.count("eth_getBlockReceipts"), 0);
    });
}

#[test]
fn uncles_are_those_that_the_header_commits_to_or_none() {
    let (first, second, other) = (uncle(98), uncle(97), uncle(96));
    let both = vec![first.clone(), second.clone()];
    for (name, uncles, told, read) in [
        ("none", vec![], vec![], Some(vec![])),
        (
            "one",
            vec![first.clone()],
            vec![first.clone()],
            Some(vec![98]),
        ),
        ("two", both.clone(), both.clone(), Some(vec![98, 97])),
        (
            "another one",
            vec![first.clone()],
            vec![other.clone()],
            None,
        ),
        (
            "the other order",
            both.clone(),
            vec![second, first.clone()],
            None,
        ),
        ("one of two", both, vec![first], None),
    ] {
        run(async move {
            let mut story = Story::of(0);
            (story.uncles, story.uncles_told) = (uncles, told);
            let (node, header, _fake) = client(&story).await;
            let given = node.uncles(&header).await;
            match read {
                Some(heights) => {
                    let given = given.expect(name);
                    let given: Vec<u64> = given.iter().map(|uncle| uncle.number).collect();
                    assert_eq!(given, heights, "{name}");
                }
                None => assert!(
                    matches!(given, Err(NodeError::Garbage(_))),
                    "{name}: {given:?}"
                ),
            }
        });
    }
    // A node that hides what the header has: its list of names is not the header's.
    run(async {
        let mut story = Story::of(0);
        story.uncles = vec![uncle(98)];
        let (node, mut header, _fake) = client(&story).await;
        header.uncles.clear();
        assert!(matches!(
            node.uncles(&header).await,
            Err(NodeError::Garbage(_))
        ));
    });
}
