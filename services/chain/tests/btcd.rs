//! Against the real thing: btcd 0.24.2 on simnet (sha256d). A missing Go is a failure.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

mod btcnode;
mod golang;
mod mining;

use std::sync::Arc;
use std::time::Duration;

use btcnode::Btcd;
use mining::find;
use orebook_chain::hash::{number, parse_shown, pow_hash};
use orebook_chain::rpc::RpcNode;
use orebook_chain::{
    NodeConfig, NodeKind, NodeWork, Nodes, NodesConfig, SubmitAnswer, Template, Timing, Work,
};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{Hash, target_of_bits};
use tokio::sync::watch;

/// Longer than anything that is waited for may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const GENESIS: &str = "683e86bd5c6d110d91b94b97137ba6bfe02dbbdb8e3dff722a669b5d69d77af6";
const OURS: [u8; 22] = [
    0, 20, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
];
const THEIRS: [u8; 22] = [
    0, 20, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
];
/// Blocks that are mined: heights on both sides of 16, from which on a coinbase says its height in another form.
const BLOCKS: u64 = 20;

async fn fresh(work: &mut watch::Receiver<Work>, height: u64) -> Arc<Template> {
    let is_wanted = |work: &Work| matches!(work, Work::Fresh(NodeWork::Template(template)) if template.height == height);
    let seen = tokio::time::timeout(PATIENCE, work.wait_for(is_wanted)).await;
    let seen = seen.unwrap_or_else(|_| panic!("waited too long for work of height {height}"));
    let Work::Fresh(NodeWork::Template(template)) = &*seen.expect("the list runs") else {
        panic!("it was fresh")
    };
    Arc::clone(template)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

fn rejected(answer: &SubmitAnswer) -> &str {
    match answer {
        SubmitAnswer::Rejected(why) => why,
        other => panic!("not rejected: {other:?}"),
    }
}

#[test]
fn blocks_are_mined_and_refused_on_a_real_btcd() {
    run(async {
        let btcd = Btcd::start();
        let node = RpcNode::new(btcd.config());
        let nodes = Nodes::start(NodesConfig {
            nodes: vec![NodeConfig {
                name: "btcd".to_owned(),
                kind: NodeKind::Rpc(btcd.config()),
            }],
            genesis: parse_shown(GENESIS),
            push: None,
            timing: Timing {
                poll: Duration::from_millis(50),
                ..Timing::default()
            },
        });
        let nodes = nodes.expect("a list");
        let mut works = nodes.templates();
        let mut parent = parse_shown(GENESIS).expect("a hash");
        let mut mined = Vec::new();
        for height in 1..=BLOCKS {
            let template = fresh(&mut works, height).await;
            assert_eq!(template.prev, parent);
            let found = find(&template, Algorithm::Sha256d, &OURS, height);
            let answers = nodes.submit(found.bytes.clone()).await;
            assert_eq!(
                answers,
                [("btcd".to_owned(), SubmitAnswer::Accepted)],
                "height {height}"
            );
            let block = nodes
                .block(found.hash)
                .await
                .expect("an answer")
                .expect("known");
            assert_eq!((block.header.height, block.header.prev), (height, parent));
            assert_eq!(block.coinbase_txid, found.coinbase_txid);
            assert_eq!(block.paid_to(&OURS), u128::from(template.reward));
            parent = found.hash;
            mined.push(found);
        }
        let header = nodes
            .header(mined[0].hash)
            .await
            .expect("an answer")
            .expect("known");
        assert_eq!(header.confirmations, i64::try_from(BLOCKS).expect("few"));
        let tip = nodes.tip().await.expect("an answer");
        assert_eq!((tip.height, tip.hash), (BLOCKS, parent));
        assert_eq!(nodes.hash_at(BLOCKS + 1).await, Ok(None));
        assert_eq!(nodes.header(Hash([1; 32])).await, Ok(None));

        // What btcd says in words: the same again, above the target, half a block.
        let first = &mined[0];
        let again = node.submit(&first.bytes).await;
        assert!(
            matches!(&again, SubmitAnswer::Unknown(why) if why.starts_with("rejected: already have block")),
            "{again:?}"
        );
        let mut high = first.bytes.clone();
        while {
            high[76] = high[76].wrapping_add(1);
            let header: [u8; 80] = high[..80].try_into().expect("a header");
            let hash = pow_hash(&header, Algorithm::Sha256d).expect("built");
            number(hash) <= target_of_bits(0x207f_ffff).expect("a target")
        } {}
        let answer = node.submit(&high).await;
        assert!(
            rejected(&answer).contains("is higher than expected max"),
            "{answer:?}"
        );
        let answer = node.submit(&first.bytes[..100]).await;
        assert!(
            rejected(&answer).starts_with("error -22: Block decode failed"),
            "{answer:?}"
        );

        // Two blocks of one height: the second is beside the best chain, and says so when it is asked for.
        let template = fresh(&mut works, BLOCKS + 1).await;
        let ours = find(&template, Algorithm::Sha256d, &OURS, 100);
        let theirs = find(&template, Algorithm::Sha256d, &THEIRS, 101);
        assert_eq!(node.submit(&ours.bytes).await, SubmitAnswer::Accepted);
        // It takes the second with the same word; only the confirmations tell them apart.
        assert_eq!(node.submit(&theirs.bytes).await, SubmitAnswer::Accepted);
        let lost = node
            .header(theirs.hash)
            .await
            .expect("an answer")
            .expect("known");
        assert_eq!((lost.height, lost.confirmations), (BLOCKS + 1, -1));
        nodes.stop().await;
    });
}
