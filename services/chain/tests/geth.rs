//! Against the real thing: go-ethereum 1.10.26 with ethash. A missing Go is a failure.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[allow(dead_code, reason = "the paymaster's tests need more of it")]
mod ethnode;
mod golang;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ethnode::{DIFFICULTY, Geth, solve, solve_where};
use orebook_chain::{
    EthFate, EthWork, NodeConfig, NodeError, NodeEvent, NodeKind, NodeWork, Nodes, NodesConfig,
    PushDoor, Rewards, SubmitAnswer, Timing, Work,
};
use orebook_schema::units::Hash;
use serde_json::json;
use tokio::sync::watch;

/// Longer than anything that is waited for may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks of a test.
const LOOK: Duration = Duration::from_millis(20);

fn list(nodes: &[(&str, &Geth)], genesis: Option<Hash>) -> NodesConfig {
    let nodes = nodes.iter().map(|(name, geth)| NodeConfig {
        name: (*name).to_owned(),
        kind: NodeKind::Eth(geth.config()),
    });
    NodesConfig {
        nodes: nodes.collect(),
        genesis,
        push: None,
        timing: Timing {
            poll: Duration::from_millis(50),
            ..Timing::default()
        },
    }
}

/// Waits for work that is wanted.
async fn fresh(
    work: &mut watch::Receiver<Work>,
    wanted: impl Fn(&EthWork) -> bool,
) -> Arc<EthWork> {
    let is_wanted = |work: &Work| matches!(work, Work::Fresh(NodeWork::Eth(work)) if wanted(work));
    let seen = tokio::time::timeout(PATIENCE, work.wait_for(is_wanted)).await;
    let seen = seen
        .expect("waited too long for work")
        .expect("the list runs");
    let Work::Fresh(NodeWork::Eth(work)) = &*seen else {
        panic!("it was fresh")
    };
    Arc::clone(work)
}

/// Asks until the answer is the wanted one.
async fn until<T>(what: &str, ask: impl AsyncFn() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let looks = async {
        let mut pause = tokio::time::interval(LOOK);
        loop {
            pause.tick().await;
            let answer = ask().await;
            if wanted(&answer) {
                return answer;
            }
        }
    };
    let seen = tokio::time::timeout(PATIENCE, looks).await;
    seen.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

/// Under both forms of a header: without a base fee, and with one (London).
#[test]
fn blocks_are_mined_on_a_real_chain_and_found_again_by_their_seal() {
    for rules in [&[][..], &["-london"]] {
        run(async {
            let geth = Geth::start(rules);
            let node = geth.node();
            let genesis = node
                .header_at(0)
                .await
                .expect("an answer")
                .expect("a first block");
            let nodes = Nodes::start(list(&[("geth", &geth)], Some(genesis.hash))).expect("a list");
            let mut works = nodes.templates();
            let mut parent = genesis.hash;
            for height in 1..=5 {
                let work = fresh(&mut works, |work| work.height == height).await;
                assert_eq!((work.parent, work.seed), (parent, Hash::ZERO), "{rules:?}");
                assert_eq!(work.network_work, u128::from(DIFFICULTY));
                assert_eq!(work.reward, None, "nobody said it");
                let bad = solve_where(&work, 0, |value| work.target < value);
                let good = solve(&work, 0);
                assert_eq!(
                    node.submit(&bad).await,
                    SubmitAnswer::Unknown("false, of work that is not its own".to_owned())
                );
                let answers = nodes.submit_eth(bad).await;
                assert_eq!(
                    answers,
                    [(
                        "geth".to_owned(),
                        SubmitAnswer::Rejected("false".to_owned())
                    )]
                );
                let accepted = [("geth".to_owned(), SubmitAnswer::Accepted)];
                assert_eq!(nodes.submit_eth(good).await, accepted);
                assert_eq!(
                    nodes.submit_eth(good).await,
                    accepted,
                    "the same again is true again"
                );

                // The header's fields give the seal hash that was the work, and the block's hash.
                let ask = async || nodes.fate(height, work.seal, good.nonce).await;
                let fate = until("the block", ask, |fate| {
                    matches!(fate, Ok(EthFate::Block(_)))
                })
                .await;
                let Ok(EthFate::Block(block)) = fate else {
                    panic!("it was the block")
                };
                assert_eq!(
                    (block.seal, block.nonce, block.mix),
                    (work.seal, good.nonce, good.mix)
                );
                assert_eq!(
                    (block.number, block.parent, block.time),
                    (height, parent, work.time)
                );
                assert_eq!(node.hash_at(height).await, Ok(Some(block.hash)));
                parent = block.hash;
            }

            let tip = nodes.tip().await.expect("an answer");
            assert_eq!((tip.height, tip.hash), (5, parent));
            assert_eq!(nodes.hash_at(6).await, Ok(None));
            let second = node.hash_at(2).await.expect("an answer").expect("mined");
            let header = nodes
                .header(second)
                .await
                .expect("an answer")
                .expect("known");
            assert_eq!((header.height, header.confirmations), (2, 4));
            assert_eq!(nodes.header(Hash([1; 32])).await, Ok(None));
            assert_eq!(nodes.block(second).await, Err(NodeError::Kind));
            assert_eq!(nodes.fate(3, Hash([1; 32]), 1).await, Ok(EthFate::Nowhere));
            assert_eq!(nodes.fate(99, Hash([1; 32]), 1).await, Ok(EthFate::Nowhere));
            nodes.stop().await;
        });
    }
}

/// The address that the chain pays: `-etherbase`'s default.
const PAYEE: &str = "0x00000000000000000000000000000000000000aa";

/// With London, where a base fee is burnt, and without. The node's own books are the check: the payee has what the blocks'
/// values add up to, at every height, nephew rewards and an uncle's reward among them.
#[test]
fn what_blocks_and_uncles_are_worth_is_what_the_chain_paid() {
    for rules in [&[][..], &["-london"]] {
        run(async {
            let geth = Geth::start(rules);
            let nodes = Nodes::start(list(&[("geth", &geth)], None)).expect("a list");
            let rewards = Rewards::of_coin("ethash-test").expect("a table");
            let mut works = nodes.templates();
            let (mut sum, mut uncles_seen, mut fees_seen, mut burnt) = (0, 0, 0, false);
            for height in 1..=8 {
                let work = fresh(&mut works, |work| work.height == height).await;
                let first = solve(&work, 0);
                let second = solve(&work, first.nonce + 1);
                // Of some works two solutions, so that there are uncles; transactions between.
                let found = if height % 3 == 1 {
                    &[first, second][..]
                } else {
                    &[first]
                };
                for found in found {
                    let answers = nodes.submit_eth(*found).await;
                    assert_eq!(answers[0].1, SubmitAnswer::Accepted);
                }
                for price in [3_000_000_000_u64, 2_000_000_000]
                    .iter()
                    .take(usize::try_from(height % 3).expect("at most two"))
                {
                    geth.ask("eth_transfer", &json!([format!("0x{price:x}")]));
                }
                let ask = async || nodes.eth_at(height).await;
                let seen = until("the block", ask, |at| matches!(at, Ok(Some(_)))).await;
                let header = seen.expect("an answer").expect("a block");
                let fees = nodes.fees(&header).await.expect("receipts");
                let uncles = nodes.uncles(&header).await.expect("uncles");
                assert_eq!(uncles.len(), header.uncles.len());
                let nephew = rewards.nephew(height).expect("a reward") * uncles.len() as u128;
                sum += rewards.block(height).expect("a reward") + nephew + fees;
                for uncle in &uncles {
                    sum += rewards.uncle(uncle.number, height).expect("a reward");
                    assert_ne!(
                        nodes
                            .eth_at(uncle.number)
                            .await
                            .map(|it| it.map(|it| it.hash)),
                        Ok(Some(uncle.hash))
                    );
                }
                uncles_seen += uncles.len();
                fees_seen += fees;
                burnt |= 0 < header.gas_used && header.base_fee.is_some();
                let paid = geth.ask("eth_getBalance", &json!([PAYEE, format!("0x{height:x}")]));
                let paid = paid
                    .as_str()
                    .and_then(|text| u128::from_str_radix(&text[2..], 16).ok());
                assert_eq!(paid, Some(sum), "{rules:?}, height {height}: {header:?}");
            }
            assert!(
                0 < uncles_seen && 0 < fees_seen,
                "{uncles_seen} uncles, fees {fees_seen}"
            );
            assert_eq!(burnt, !rules.is_empty());
            nodes.stop().await;
        });
    }
}

#[test]
fn a_second_solution_of_the_same_work_becomes_an_uncle_that_is_found_again() {
    run(async {
        let geth = Geth::start(&[]);
        let nodes = Nodes::start(list(&[("geth", &geth)], None)).expect("a list");
        let mut works = nodes.templates();
        let work = fresh(&mut works, |work| work.height == 1).await;
        let first = solve(&work, 0);
        let second = solve(&work, first.nonce + 1);
        for found in [first, second] {
            let answers = nodes.submit_eth(found).await;
            assert_eq!(answers[0].1, SubmitAnswer::Accepted);
        }
        let mut uncle = None;
        for height in 2..=5 {
            let work = fresh(&mut works, |work| work.height == height).await;
            let answers = nodes.submit_eth(solve(&work, 0)).await;
            assert_eq!(answers[0].1, SubmitAnswer::Accepted);
            until(
                "the block",
                async || nodes.hash_at(height).await,
                |hash| matches!(hash, Ok(Some(_))),
            )
            .await
            .expect("an answer");
            // Which of the two is the block, the node decides by lot.
            for found in [first, second] {
                if let Ok(EthFate::Uncle { uncle: ours, of }) =
                    nodes.fate(1, found.seal, found.nonce).await
                {
                    uncle = Some((found, ours, of));
                }
            }
            if uncle.is_some() {
                break;
            }
        }
        let (found, ours, of) = uncle.expect("an uncle in one of the next blocks");
        assert_eq!(
            (ours.seal, ours.nonce, ours.number),
            (found.seal, found.nonce, 1)
        );
        assert!(of.uncles.contains(&ours.hash));
        let header = nodes
            .header(ours.hash)
            .await
            .expect("an answer")
            .expect("known");
        assert_eq!((header.height, header.confirmations), (1, -1));
        nodes.stop().await;
    });
}

/// By the work array, and by the whole header (`miner.notify.full`).
#[test]
fn a_push_of_the_node_brings_the_next_work_without_a_poll() {
    for full in [false, true] {
        run(async {
            let door = PushDoor::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
            let url = format!("-notify=http://{}/", door.address());
            let geth = Geth::start(&[
                &url,
                if full {
                    "-notify-full"
                } else {
                    "-notify-full=false"
                },
            ]);
            let mut config = list(&[("geth", &geth)], None);
            config.push = Some(door);
            // The next poll would come after the test's patience.
            config.timing.poll = PATIENCE * 2;
            config.timing.stale_after = PATIENCE * 3;
            // Without the list's own submission, which has the node asked at once.
            let node = geth.node();
            // A node that has no work yet fails the first look, and only a push brings the second.
            until("work", async || node.work(None).await, Result::is_ok)
                .await
                .expect("work");
            let nodes = Nodes::start(config).expect("a list");
            let mut works = nodes.templates();
            for height in 1..=3 {
                let work = fresh(&mut works, |work| work.height == height).await;
                assert_eq!(node.submit(&solve(&work, 0)).await, SubmitAnswer::Accepted);
            }
            fresh(&mut works, |work| work.height == 4).await;
            nodes.stop().await;
        });
    }
}

#[test]
fn when_the_first_node_dies_the_second_gives_work_and_an_event_says_so() {
    run(async {
        // The same chain by its first block, with different work by its headers' words.
        let (first, second) = (
            Geth::start(&["-extra=first"]),
            Geth::start(&["-extra=second"]),
        );
        let genesis = first.node().hash_at(0).await.expect("an answer");
        assert_eq!(second.node().hash_at(0).await.expect("an answer"), genesis);
        let config = list(&[("first", &first), ("second", &second)], genesis);
        let nodes = Nodes::start(config).expect("a list");
        let (mut works, mut events) = (nodes.templates(), nodes.events());
        // A node that was just started has no work for a moment, and says an error then.
        let asked = second.node();
        let ask = async || asked.work(None).await.ok().flatten();
        let own = until("work", ask, Option::is_some).await.expect("work");
        until(
            "both",
            async || nodes.health(),
            |health| health.iter().all(|node| node.well),
        )
        .await;
        let work = fresh(&mut works, |work| work.seal != own.seal).await;

        // A solution goes to both; who did not give the work knows nothing of it.
        let answers = nodes.submit_eth(solve(&work, 0)).await;
        assert_eq!(answers[0], ("first".to_owned(), SubmitAnswer::Accepted));
        assert!(
            matches!(&answers[1].1, SubmitAnswer::Unknown(why) if why.starts_with("false")),
            "{answers:?}"
        );

        drop(first);
        fresh(&mut works, |work| work.seal == own.seal).await;
        let told = async {
            loop {
                match events.recv().await.expect("the list runs") {
                    NodeEvent::Source {
                        was: Some(was),
                        is: Some(is),
                        why,
                    } if was == "first" && is == "second" => return why,
                    _ => {}
                }
            }
        };
        let why = tokio::time::timeout(PATIENCE, told)
            .await
            .expect("an event");
        assert!(why.contains("first: cannot connect"), "{why}");
        nodes.stop().await;
    });
}
