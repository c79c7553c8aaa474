//! The list of nodes: whose work is handed out, where blocks go, who answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use orebook_chain::hash::{parse_shown, shown};
use orebook_chain::nodes::{ERRORS_MAX, NODES_MAX};
use orebook_chain::{
    ConfigError, DevChain, DevConfig, EthConfig, NodeConfig, NodeError, NodeKind, NodeWork, Nodes,
    NodesConfig, SubmitAnswer, Template, Timing, Work,
};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::Hash;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::fake::{Fake, OURS, Reply, easy_chain, fault, golden, golden_node, header, result, run};
use crate::mining::find;

/// Longer than anything that is waited for may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn quick() -> Timing {
    Timing {
        poll: Duration::from_millis(20),
        refresh: Duration::from_secs(30),
        stale_after: Duration::from_secs(2),
        lag: Duration::from_secs(30),
        long_poll_pause: Duration::from_millis(50),
    }
}

fn list(nodes: Vec<(&str, NodeKind)>, genesis: Option<Hash>) -> NodesConfig {
    let nodes = nodes
        .into_iter()
        .map(|(name, kind)| NodeConfig {
            name: name.to_owned(),
            kind,
        })
        .collect();
    NodesConfig {
        nodes,
        genesis,
        push: None,
        timing: quick(),
    }
}

fn rpc(fake: &Fake) -> NodeKind {
    NodeKind::Rpc(fake.config())
}

pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| panic!("waited too long for {what}"))
}

pub(crate) async fn fresh(
    work: &mut watch::Receiver<Work>,
    wanted: impl Fn(&Template) -> bool,
) -> Arc<Template> {
    let seen = within(
        "work",
        work.wait_for(
            |work| matches!(work, Work::Fresh(NodeWork::Template(template)) if wanted(template)),
        ),
    )
    .await;
    let Work::Fresh(NodeWork::Template(template)) = &*seen.expect("the list runs") else {
        panic!("it was fresh")
    };
    Arc::clone(template)
}

async fn none(work: &mut watch::Receiver<Work>, wanted: &str) -> String {
    let seen = within(
        "no work",
        work.wait_for(|work| matches!(work, Work::None { why } if why.contains(wanted))),
    )
    .await;
    let Work::None { why } = &*seen.expect("the list runs") else {
        panic!("there was none")
    };
    why.clone()
}

#[test]
fn lists_that_make_no_sense_are_refused() {
    run(async {
        let chain = easy_chain();
        let dev = || NodeKind::Dev(chain.clone());
        let many: Vec<(&str, NodeKind)> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
            .map(|name| (name, dev()))
            .into();
        assert_eq!(many.len(), NODES_MAX + 1);
        let refused = |nodes| {
            Nodes::start(list(nodes, None))
                .map(|_| ())
                .expect_err("refused")
        };
        assert_eq!(refused(Vec::new()), ConfigError::Count(0));
        assert_eq!(refused(many), ConfigError::Count(9));
        assert_eq!(refused(vec![("", dev())]), ConfigError::Name(String::new()));
        assert_eq!(
            refused(vec![("a", dev()), ("a", dev())]),
            ConfigError::Name("a".to_owned())
        );
        let eth = NodeKind::Eth(EthConfig::new("127.0.0.1:1".to_owned()));
        assert_eq!(refused(vec![("a", dev()), ("b", eth)]), ConfigError::Mixed);
        let mut still = list(vec![("a", dev())], None);
        still.timing.poll = Duration::ZERO;
        assert_eq!(Nodes::start(still).map(|_| ()), Err(ConfigError::Poll));
    });
}

#[test]
fn the_first_node_gives_work_and_gives_it_again_when_it_is_back() {
    run(async {
        let is_down = Arc::new(AtomicBool::new(false));
        let down = Arc::clone(&is_down);
        let first = Fake::start(Arc::new(move |method, _| {
            let mut replies = golden_node().into_iter();
            match replies.find(|(of, _)| *of == method) {
                _ if down.load(Ordering::SeqCst) => Reply::Close,
                Some((_, reply)) => reply,
                None => fault(-32_601, "Method not found"),
            }
        }))
        .await;
        // The second node is at the same height on another parent, so that each change shows.
        let mut template = golden();
        template["previousblockhash"] = shown(Hash([2; 32])).into();
        template["longpollid"] = Value::Null;
        let second = Fake::with(vec![
            ("getblocktemplate", result(template)),
            ("getblockheader", header(&json!(shown(Hash([2; 32]))), 101)),
            ("getbestblockhash", result(json!(shown(Hash([2; 32]))))),
        ])
        .await;
        let nodes = Nodes::start(list(
            vec![("first", rpc(&first)), ("second", rpc(&second))],
            None,
        ))
        .expect("a list");
        let mut work = nodes.templates();
        let of_first =
            parse_shown(golden()["previousblockhash"].as_str().expect("hex")).expect("a hash");
        for _ in 0..2 {
            fresh(&mut work, |template| template.prev == of_first).await;
            is_down.store(true, Ordering::SeqCst);
            fresh(&mut work, |template| template.prev == Hash([2; 32])).await;
            let health = nodes.health();
            assert!(
                !health[0].well && health[0].why.is_some() && ERRORS_MAX <= health[0].errors,
                "{health:?}"
            );
            assert!(
                health[1].well && health[1].height == Some(102),
                "{health:?}"
            );
            is_down.store(false, Ordering::SeqCst);
        }
        fresh(&mut work, |template| template.prev == of_first).await;
        nodes.stop().await;
    });
}

#[test]
fn work_that_nobody_confirms_is_taken_back_with_the_reason() {
    run(async {
        let hangs = Arc::new(AtomicBool::new(false));
        let hang = Arc::clone(&hangs);
        let fake = Fake::start(Arc::new(move |method, _| {
            let mut replies = golden_node().into_iter();
            match replies.find(|(of, _)| *of == method) {
                Some((_, reply)) if !hang.load(Ordering::SeqCst) => reply,
                _ => Reply::Hang,
            }
        }))
        .await;
        let nodes = Nodes::start(list(vec![("only", rpc(&fake))], None)).expect("a list");
        let mut work = nodes.templates();
        assert!(matches!(&*work.borrow(), Work::None { why } if why.contains("not answered")));
        fresh(&mut work, |_| true).await;
        hangs.store(true, Ordering::SeqCst);
        let why = none(&mut work, "only").await;
        assert!(why.contains("no answer in time"), "{why}");
        hangs.store(false, Ordering::SeqCst);
        fresh(&mut work, |_| true).await;
        nodes.stop().await;
    });
}

#[test]
fn a_node_that_refuses_long_polls_is_polled() {
    run(async {
        let height = Arc::new(AtomicU64::new(102));
        let now = Arc::clone(&height);
        let fake = Fake::start(Arc::new(move |method, params| {
            let height = now.load(Ordering::SeqCst);
            let tip = shown(Hash::of(&[&height.to_le_bytes()]));
            match method {
                "getbestblockhash" => result(json!(tip)),
                "getblockheader" => header(&params[0], height - 1),
                "getblocktemplate" if params[0]["longpollid"].is_string() => {
                    fault(-8, "no long polls here")
                }
                "getblocktemplate" => {
                    let mut template = golden();
                    template["height"] = height.into();
                    template["previousblockhash"] = tip.into();
                    result(template)
                }
                _ => fault(-32_601, "Method not found"),
            }
        }))
        .await;
        let nodes = Nodes::start(list(vec![("only", rpc(&fake))], None)).expect("a list");
        let mut work = nodes.templates();
        for next in 102..106 {
            height.store(next, Ordering::SeqCst);
            fresh(&mut work, |template| template.height == next).await;
            assert!(nodes.health()[0].well, "a refused long poll is no sickness");
        }
        nodes.stop().await;
    });
}

#[test]
fn a_long_poll_brings_the_next_block_without_a_poll() {
    run(async {
        let chain = easy_chain();
        let mut config = list(
            vec![("dev", NodeKind::Dev(chain.clone()))],
            Some(chain.genesis()),
        );
        // After the first look the next poll would come after the test's patience.
        config.timing.poll = PATIENCE * 2;
        config.timing.stale_after = PATIENCE * 3;
        let nodes = Nodes::start(config).expect("a list");
        let mut work = nodes.templates();
        fresh(&mut work, |template| template.height == 1).await;
        chain.mine(&OURS).expect("a block");
        let template = fresh(&mut work, |template| template.height == 2).await;
        assert_eq!(template.prev, chain.tip().hash);
        nodes.stop().await;
    });
}

#[test]
fn a_found_block_goes_to_every_node_and_new_work_follows() {
    run(async {
        let chain = easy_chain();
        let dead = Fake::with(vec![("submitblock", Reply::Hang), ("*", Reply::Hang)]).await;
        let deaf = Fake::with(vec![("submitblock", result(json!("high-hash")))]).await;
        let listed = vec![
            ("dead", rpc(&dead)),
            ("deaf", rpc(&deaf)),
            ("dev", NodeKind::Dev(chain.clone())),
        ];
        let nodes = Nodes::start(list(listed, None)).expect("a list");
        let mut work = nodes.templates();
        for height in 1..=3 {
            let template = fresh(&mut work, |template| template.height == height).await;
            let found = find(&template, Algorithm::Sha256d, &OURS, 0);
            let answers = within("answers", nodes.submit(found.bytes)).await;
            let names: Vec<&str> = answers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["dead", "deaf", "dev"]);
            assert!(
                matches!(&answers[0].1, SubmitAnswer::Unknown(why) if why.contains("no answer in time")),
                "{answers:?}"
            );
            assert_eq!(answers[1].1, SubmitAnswer::Rejected("high-hash".to_owned()));
            assert_eq!(answers[2].1, SubmitAnswer::Accepted);
            let block = chain.block(found.hash).expect("taken");
            assert_eq!(block.coinbase_txid, found.coinbase_txid);
            let next = fresh(&mut work, |template| template.prev == found.hash).await;
            assert!(next.is_clean_after(&template));
        }
        // Questions are answered by the first node that can.
        assert_eq!(
            within("the tip", nodes.tip()).await.expect("one answers"),
            chain.tip()
        );
        let hash = within("a hash", nodes.hash_at(2))
            .await
            .expect("one answers")
            .expect("mined");
        let block = within("a block", nodes.block(hash))
            .await
            .expect("one answers")
            .expect("mined");
        assert_eq!(
            (block.header.confirmations, Some(block.header.hash)),
            (2, chain.hash_at(2))
        );
        let header = within("a header", nodes.header(hash))
            .await
            .expect("one answers");
        assert_eq!(header, Some(block.header));
        let each = within("each", nodes.hash_at_each(2)).await;
        assert!(each[0].1.is_err() && each[1].1.is_err());
        assert_eq!(each[2], ("dev".to_owned(), Ok(Some(hash))));
        nodes.stop().await;
    });
}

#[test]
fn a_caller_that_goes_away_takes_no_block_back() {
    run(async {
        let chain = easy_chain();
        let nodes =
            Nodes::start(list(vec![("dev", NodeKind::Dev(chain.clone()))], None)).expect("a list");
        let mut work = nodes.templates();
        for height in 1..=10 {
            let template = fresh(&mut work, |template| template.height == height).await;
            let found = find(&template, Algorithm::Sha256d, &OURS, 0);
            // The submission is begun and dropped.
            let gone = tokio::time::timeout(Duration::ZERO, nodes.submit(found.bytes)).await;
            drop(gone);
            fresh(&mut work, |template| template.prev == found.hash).await;
        }
        nodes.stop().await;
    });
}

#[test]
fn an_orphaned_tip_makes_new_work_on_its_parent() {
    run(async {
        let chain = easy_chain();
        chain.mine(&OURS).expect("a block");
        let orphan = chain.mine(&OURS).expect("a block");
        let nodes =
            Nodes::start(list(vec![("dev", NodeKind::Dev(chain.clone()))], None)).expect("a list");
        let mut work = nodes.templates();
        fresh(&mut work, |template| template.height == 3).await;
        let tip = chain.orphan_tip(1).expect("long enough");
        fresh(&mut work, |template| {
            template.height == 2 && template.prev == tip.hash
        })
        .await;
        let header = nodes
            .header(orphan)
            .await
            .expect("an answer")
            .expect("known");
        assert_eq!(header.confirmations, -1);
        nodes.stop().await;
    });
}

#[test]
fn a_node_on_another_chain_gives_no_work_and_no_answers() {
    run(async {
        let ours = easy_chain();
        let config = DevConfig {
            seed: 99,
            bits_start: 0x207f_ffff,
            ..DevConfig::default()
        };
        let other = DevChain::new(config, Arc::new(|| 1_800_000_000)).expect("a chain");
        for _ in 0..5 {
            other.mine(&OURS).expect("a block");
        }
        let listed = vec![
            ("other", NodeKind::Dev(other.clone())),
            ("ours", NodeKind::Dev(ours.clone())),
        ];
        let nodes = Nodes::start(list(listed, Some(ours.genesis()))).expect("a list");
        let mut work = nodes.templates();
        let template = fresh(&mut work, |_| true).await;
        assert_eq!(template.prev, ours.genesis());
        assert_eq!(nodes.tip().await.expect("ours answers"), ours.tip());
        let each = nodes.hash_at_each(0).await;
        assert!(each[0].1.is_err(), "{each:?}");
        assert_eq!(each[1].1, Ok(Some(ours.genesis())));
        nodes.stop().await;

        let alone = Nodes::start(list(
            vec![("other", NodeKind::Dev(other))],
            Some(ours.genesis()),
        ))
        .expect("a list");
        let why = none(&mut alone.templates(), "another chain").await;
        assert!(why.contains("other: "), "{why}");
        assert!(matches!(alone.tip().await, Err(NodeError::ChainUnknown)));
        alone.stop().await;
    });
}

#[test]
fn futures_may_move_between_threads() {
    const fn sendable<T: Send>(_: &T) {}
    run(async {
        let nodes =
            Nodes::start(list(vec![("dev", NodeKind::Dev(easy_chain()))], None)).expect("a list");
        sendable(&nodes.tip());
        sendable(&nodes.hash_at(1));
        sendable(&nodes.header(Hash::ZERO));
        sendable(&nodes.block(Hash::ZERO));
        sendable(&nodes.hash_at_each(1));
        sendable(&nodes.submit(Vec::new()));
        sendable(&nodes.stop());
        let asked = tokio::spawn({
            let nodes = nodes.clone();
            async move { nodes.tip().await }
        });
        assert!(within("the tip", asked).await.expect("it ends").is_ok());
        nodes.stop().await;
    });
}
