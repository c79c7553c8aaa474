//! One node's client: requests, limits, wrong answers, submission, the settler's questions, credentials.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use orebook_chain::hash::shown;
use orebook_chain::rpc::{RpcNode, SMALL_ANSWER_BYTES_MAX, SUBMIT_TRIES};
use orebook_chain::wallet::bitcoin::{BitcoinNode, HeldTransaction, Known};
use orebook_chain::{Credentials, NodeError, RpcConfig, SubmitAnswer};
use orebook_schema::units::{Hash, hex};
use serde_json::json;
use tokio::net::TcpListener;

use crate::fake::{Fake, OURS, Reply, easy_chain, fault, golden, golden_node, result, run};

#[test]
fn a_request_says_method_rules_and_password() {
    run(async {
        let fake = Fake::start(Arc::new(|method, params| match method {
            "getblocktemplate" if params[0]["rules"] == json!(["segwit", "mweb"]) => {
                result(golden())
            }
            _ => fault(-8, "wrong rules"),
        }))
        .await;
        let template = fake.client().template(None).await.expect("a template");
        assert_eq!(template.height, 102);
        let (_, head) = fake.asked.lock().expect("unpoisoned")[0].clone();
        assert!(head.starts_with("post / http/1.1"), "{head}");
        // The head was folded to lower case; so is user:password in base64.
        assert!(
            head.contains(&format!(
                "authorization: basic {}",
                "dXNlcjpwYXNzd29yZA==".to_ascii_lowercase()
            )),
            "{head}"
        );
    });
}

#[test]
fn a_transaction_of_another_question_is_no_answer() {
    run(async {
        let (asked, other) = (Hash([1; 32]), Hash([2; 32]));
        let answer = |txid: Hash| {
            let known = json!({"txid": shown(txid), "hash": shown(asked), "hex": "00"});
            let held = json!({"txid": shown(txid), "confirmations": 0});
            vec![
                ("getrawtransaction", result(known)),
                ("gettransaction", result(held)),
            ]
        };
        // What waits, by its name; and an older answer, of a node or of whatever stands before it.
        for (told, is_it) in [(asked, true), (other, false)] {
            let fake = Fake::with(answer(told)).await;
            let node = BitcoinNode::new(fake.config(), None).expect("a node");
            let waits = Known {
                block: None,
                raw: vec![0],
            };
            let expected = if is_it {
                Ok(Some(waits))
            } else {
                Err(NodeError::Garbage("getrawtransaction"))
            };
            assert_eq!(node.transaction(asked).await, expected, "{told}");
            let held = HeldTransaction {
                block: None,
                fee: None,
            };
            let expected = if is_it {
                Ok(Some(held))
            } else {
                Err(NodeError::Garbage("gettransaction"))
            };
            assert_eq!(node.held_transaction(asked).await, expected, "{told}");
        }
    });
}

#[test]
fn wrong_answers_are_errors_of_their_kind() {
    run(async {
        let large = "0".repeat(SMALL_ANSWER_BYTES_MAX + 1);
        let endless = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            "40\r\n".to_owned() + &"x".repeat(64) + "\r\n"
        );
        let endless = endless
            + &("40\r\n".to_owned() + &"x".repeat(64) + "\r\n")
                .repeat(SMALL_ANSWER_BYTES_MAX / 64 + 1);
        let headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(1_000));
        let head = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(1 << 20));
        let too_large = NodeError::TooLarge {
            bytes_max: SMALL_ANSWER_BYTES_MAX,
        };
        let garbage = NodeError::Garbage("the answer");
        let table = vec![
            (Reply::Hang, NodeError::Timeout),
            (Reply::Close, NodeError::Broken),
            (
                Reply::Raw(b"\x16\x03\x01 not http".to_vec()),
                NodeError::Broken,
            ),
            (
                Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec()),
                NodeError::Broken,
            ),
            (Reply::Raw(headers.into_bytes()), NodeError::Broken),
            (Reply::Raw(head.into_bytes()), NodeError::Broken),
            (Reply::Http(200, large), too_large.clone()),
            (Reply::Raw(endless.into_bytes()), too_large),
            (Reply::Http(401, String::new()), NodeError::Unauthorized),
            (Reply::Http(403, "no".to_owned()), NodeError::Unauthorized),
            (
                Reply::Http(503, "Work queue depth exceeded".to_owned()),
                NodeError::Http(503),
            ),
            (
                Reply::Http(500, "{\"result\":\"00\"}".to_owned()),
                NodeError::Http(500),
            ),
            (Reply::Http(200, String::new()), garbage.clone()),
            (Reply::Http(200, "{}".to_owned()), garbage.clone()),
            (Reply::Http(200, "[".repeat(10_000)), garbage.clone()),
            (
                Reply::Http(200, "{\"result\":7,\"error\":null}".to_owned()),
                garbage.clone(),
            ),
            (
                Reply::Http(200, "{\"result\":\"\u{7f}\",\"result\":\"\"}".to_owned()),
                garbage,
            ),
            (result(json!(null)), NodeError::Garbage("getbestblockhash")),
            (result(json!("00")), NodeError::Garbage("getbestblockhash")),
            (
                fault(-28, "Loading block index…\n\u{1b}[31m"),
                NodeError::Fault {
                    code: -28,
                    message: "Loading block index…??[31m".to_owned(),
                },
            ),
        ];
        for (reply, expected) in table {
            let shown = format!("{reply:?}").chars().take(80).collect::<String>();
            let fake = Fake::with(vec![("*", reply)]).await;
            assert_eq!(fake.client().best_hash().await, Err(expected), "{shown}");
        }
    });
}

#[test]
fn nobody_listens_is_known_to_have_done_nothing() {
    run(async {
        let fake = Fake::with(Vec::new()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let node = RpcNode::new(RpcConfig {
            address,
            ..fake.config()
        });
        let error = node.best_hash().await.expect_err("nobody listens");
        assert_eq!(
            error,
            NodeError::Connect(std::io::ErrorKind::ConnectionRefused)
        );
        assert!(
            matches!(node.submit(&[0]).await, SubmitAnswer::Unknown(text) if text.contains("cannot connect"))
        );
    });
}

#[test]
fn submission_answers_are_told_apart() {
    run(async {
        let unknown = |text: &str| SubmitAnswer::Unknown(text.to_owned());
        let rejected = |text: &str| SubmitAnswer::Rejected(text.to_owned());
        let thrice = |text: &str| SubmitAnswer::Unknown([text; 3].join("; "));
        let btcd = "rejected: already have block 00ff";
        let table = vec![
            (result(json!(null)), SubmitAnswer::Accepted),
            (
                Reply::Http(200, "{\"result\":null}".to_owned()),
                SubmitAnswer::Accepted,
            ),
            (result(json!("duplicate")), unknown("duplicate")),
            (
                result(json!("duplicate-inconclusive")),
                unknown("duplicate-inconclusive"),
            ),
            (result(json!("inconclusive")), unknown("inconclusive")),
            (result(json!(btcd)), unknown(btcd)),
            (
                result(json!("duplicate-invalid")),
                rejected("duplicate-invalid"),
            ),
            (result(json!("high-hash")), rejected("high-hash")),
            (
                result(json!("rejected: block hash of 00 is higher")),
                rejected("rejected: block hash of 00 is higher"),
            ),
            (result(json!("bad\nwords")), rejected("bad?words")),
            (
                fault(-22, "Block decode failed"),
                rejected("error -22: Block decode failed"),
            ),
            (fault(-28, "Loading"), unknown("error -28: Loading")),
            (
                fault(-32_603, "internal"),
                unknown("error -32603: internal"),
            ),
            // The node may have taken the block in all of these: never a refusal, never an acceptance.
            (Reply::Hang, thrice("no answer in time")),
            (Reply::Close, thrice("the connection broke off")),
            (
                Reply::Http(500, "accepted, then out of memory".to_owned()),
                thrice("HTTP status 500"),
            ),
            (
                Reply::Http(200, "{}".to_owned()),
                thrice("the answer cannot be read"),
            ),
            (
                Reply::Http(200, "{\"result\":{}}".to_owned()),
                thrice("the answer cannot be read"),
            ),
            (
                Reply::Http(401, String::new()),
                thrice("the node refuses our user and password"),
            ),
        ];
        assert_eq!(SUBMIT_TRIES, 3);
        for (reply, expected) in table {
            let fake = Fake::with(vec![("submitblock", reply.clone())]).await;
            assert_eq!(
                fake.client().submit(&[1, 2, 3]).await,
                expected,
                "{reply:?}"
            );
            let tries = if matches!(&expected, SubmitAnswer::Unknown(text) if text.contains("; ")) {
                3
            } else {
                1
            };
            assert_eq!(fake.count("submitblock"), tries, "{reply:?}");
        }
    });
}

#[test]
fn a_block_whose_first_answer_was_lost_is_offered_again() {
    run(async {
        let tries = AtomicUsize::new(0);
        let fake = Fake::start(Arc::new(move |_, params| {
            assert_eq!(params, &json!(["010203"]));
            match tries.fetch_add(1, Ordering::SeqCst) {
                0 => Reply::Close,
                _ => result(json!("duplicate")),
            }
        }))
        .await;
        assert_eq!(
            fake.client().submit(&[1, 2, 3]).await,
            SubmitAnswer::Unknown("duplicate".to_owned())
        );
    });
}

#[test]
fn the_settlers_questions_tell_no_from_not_known() {
    run(async {
        let asked = Hash([7; 32]);
        let header = |confirmations: i64, hash: Hash| {
            result(
                json!({"hash": shown(hash), "confirmations": confirmations, "height": 9, "time": 5, "previousblockhash": shown(Hash([6; 32]))}),
            )
        };
        let node = |replies| async { Fake::with(replies).await.client() };
        let garbage = |method| Err(NodeError::Garbage(method));
        assert_eq!(
            node(vec![("*", fault(-5, "Block not found"))])
                .await
                .header(asked)
                .await,
            Ok(None)
        );
        assert_eq!(
            node(vec![("*", header(1, Hash([8; 32])))])
                .await
                .header(asked)
                .await,
            garbage("getblockheader")
        );
        let seen = node(vec![("*", header(-1, asked))])
            .await
            .header(asked)
            .await
            .expect("known")
            .expect("known");
        assert_eq!(
            (seen.height, seen.confirmations, seen.prev, seen.time),
            (9, -1, Hash([6; 32]), 5)
        );
        assert_eq!(
            node(vec![("*", fault(-8, "Block height out of range"))])
                .await
                .hash_at(3)
                .await,
            Ok(None)
        );
        assert_eq!(
            node(vec![("*", fault(-1, "Block number out of range"))])
                .await
                .hash_at(3)
                .await,
            Ok(None)
        );
        assert!(
            node(vec![("*", fault(-1, "disk on fire"))])
                .await
                .hash_at(3)
                .await
                .is_err()
        );
        assert_eq!(
            node(vec![("*", result(json!("xyz")))])
                .await
                .hash_at(3)
                .await,
            Err(NodeError::Garbage("getblockhash"))
        );
        let block = node(vec![
            ("getblockheader", header(1, asked)),
            ("getblock", result(json!("00".repeat(200)))),
        ])
        .await;
        assert_eq!(
            block.block(asked).await.map(|_| ()),
            Err(NodeError::Garbage("getblock"))
        );
    });
}

#[test]
fn a_block_is_read_from_its_bytes() {
    run(async {
        let chain = easy_chain();
        let hash = chain.mine(&OURS).expect("a block");
        let expected = chain.block(hash).expect("known");
        let bytes = hex(&chain.block_bytes(hash).expect("known"));
        let head = json!({"hash": shown(hash), "confirmations": 1, "height": 1, "time": expected.header.time, "previousblockhash": shown(chain.genesis())});
        let fees = expected
            .fees
            .map(|fees| u64::try_from(fees).expect("small"));
        let stats = result(json!({"subsidy": 5_000_000_000_u64, "totalfee": fees}));
        for (stats, known) in [(stats, true), (fault(-32_601, "Method not found"), false)] {
            let replies = vec![
                ("getblockheader", result(head.clone())),
                ("getblock", result(json!(bytes))),
                ("getblockstats", stats),
            ];
            let block = Fake::with(replies)
                .await
                .client()
                .block(hash)
                .await
                .expect("an answer")
                .expect("known");
            assert_eq!(
                (block.subsidy, block.fees),
                if known {
                    (expected.subsidy, expected.fees)
                } else {
                    (None, None)
                }
            );
            assert_eq!(
                (block.header, block.coinbase_txid),
                (expected.header, expected.coinbase_txid)
            );
            assert_eq!(block.coinbase_outputs, expected.coinbase_outputs);
        }
    });
}

#[test]
fn btcd_has_no_header_beside_its_best_chain_so_the_block_tells_it() {
    run(async {
        let chain = easy_chain();
        let hash = chain.mine(&OURS).expect("a block");
        let bytes = hex(&chain.block_bytes(hash).expect("known"));
        chain.orphan_tip(1).expect("long enough");
        let expected = chain.header(hash).expect("known");
        assert_eq!(expected.confirmations, -1);
        let words = fault(-32_603, "block 00ff is not in the main chain");
        let replies = vec![
            ("getblockheader", words),
            ("getblock", result(json!(bytes))),
        ];
        let node = Fake::with(replies).await.client();
        assert_eq!(node.header(hash).await, Ok(Some(expected)));
        assert_eq!(
            node.block(hash)
                .await
                .map(|block| block.map(|block| block.header)),
            Ok(Some(expected))
        );
    });
}

#[test]
fn credentials_come_from_a_file_that_may_change_and_are_never_told() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let cookie = folder.path().join("cookie");
        let fake = Fake::with(golden_node()).await;
        let node = RpcNode::new(RpcConfig {
            credentials: Credentials::file(cookie.clone()),
            ..fake.config()
        });
        let missing = node.best_hash().await.expect_err("no file");
        assert_eq!(
            missing.to_string(),
            "credentials: their file cannot be read"
        );
        for (content, is_good) in [
            ("__cookie__:0123abcd", true),
            ("user:geheim\n", true),
            ("no colon", false),
            ("two:lines\nhere:x", false),
            ("", false),
        ] {
            std::fs::write(&cookie, content).expect("written");
            let answer = node.best_hash().await;
            assert_eq!(answer.is_ok(), is_good, "{content:?}: {answer:?}");
            let told = format!("{answer:?} {node:?}");
            assert!(
                !told.contains("geheim") && !told.contains("0123abcd"),
                "{told}"
            );
        }
        std::fs::write(&cookie, format!("user:{}", "x".repeat(2_000))).expect("written");
        assert!(node.best_hash().await.is_err(), "too long");
    });
}
