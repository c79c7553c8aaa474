//! Against the real thing: two litecoinds in regtest, on ports of their own. A missing litecoind is a failure.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

mod mining;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mining::{Found, find};
use orebook_chain::address::{Network, parse, show};
use orebook_chain::hash::{parse_shown, shown};
use orebook_chain::rpc::RpcNode;
use orebook_chain::signed::{SignedError, verify};
use orebook_chain::{
    Credentials, NodeConfig, NodeError, NodeKind, NodeWork, Nodes, NodesConfig, RpcConfig,
    SubmitAnswer, Template, Timing, Work,
};
use orebook_schema::Account;
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{Hash, hex, unhex};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

/// Longer than anything that is waited for may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const GENESIS: &str = "530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9";
const OURS: [u8; 22] = [
    0, 20, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
];
const THEIRS: [u8; 22] = [
    0, 20, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
];
const FLAGS: [&str; 12] = [
    "-regtest",
    "-server",
    "-rpcbind=127.0.0.1",
    "-rpcallowip=127.0.0.1",
    "-listenonion=0",
    "-discover=0",
    "-dnsseed=0",
    "-upnp=0",
    "-fallbackfee=0.001",
    "-maxtipage=2000000000",
    "-printtoconsole=0",
    "-rpcthreads=8",
];

/// Puts extension blocks off for ever. They begin at height 432, and then no template is made until somebody moves coins in.
const WITHOUT_MWEB: &str = "-vbparams=mweb:4000000000:4100000000";

/// A running litecoind; it is killed when it goes out of scope, whatever happens.
struct Daemon {
    child: Child,
    folder: PathBuf,
    rpc_port: u16,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}

impl Daemon {
    fn start(folder: &Path, rpc_port: u16, more: &[String]) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let child = Command::new("litecoind")
            .args(FLAGS)
            .arg(format!("-datadir={}", folder.display()))
            .arg(format!("-rpcport={rpc_port}"))
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.expect("litecoind starts; if it is missing: apt-get install litecoind");
        Self {
            child,
            folder: folder.to_owned(),
            rpc_port,
        }
    }

    fn config(&self) -> RpcConfig {
        let cookie = self.folder.join("regtest/.cookie");
        RpcConfig::new(
            format!("127.0.0.1:{}", self.rpc_port),
            Credentials::file(cookie),
            true,
        )
    }

    fn node(&self) -> RpcNode {
        RpcNode::new(self.config())
    }

    /// Runs one command of the node's own client.
    fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("litecoin-cli")
            .args([
                "-regtest",
                &format!("-datadir={}", self.folder.display()),
                &format!("-rpcport={}", self.rpc_port),
            ])
            .args(arguments)
            .output()
            .expect("litecoin-cli comes with litecoind");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    }
}

/// Two nodes connected to each other: a lonely one gives no templates.
struct Pair {
    a: Daemon,
    b: Daemon,
    _folder: TempDir,
}

/// Ports that were free a moment ago; all are held until all are known, so they differ.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

impl Pair {
    /// Starts both and waits until both give templates. Somebody may take a port in between: then others are tried.
    async fn start() -> Self {
        Self::start_with(&[WITHOUT_MWEB]).await
    }

    async fn start_with(flags: &[&str]) -> Self {
        for _ in 0..5 {
            let folder = tempfile::tempdir().expect("a folder");
            let [p2p, rpc_a, rpc_b] = free_ports();
            let listens = [
                format!("-port={p2p}"),
                format!("-bind=127.0.0.1:{p2p}"),
                "-listen=1".to_owned(),
            ];
            let connects = [format!("-connect=127.0.0.1:{p2p}"), "-listen=0".to_owned()];
            let flags = flags.iter().map(|flag| (*flag).to_owned());
            let listens: Vec<String> = listens.into_iter().chain(flags.clone()).collect();
            let connects: Vec<String> = connects.into_iter().chain(flags).collect();
            let a = Daemon::start(&folder.path().join("a"), rpc_a, &listens);
            let b = Daemon::start(&folder.path().join("b"), rpc_b, &connects);
            let mut pair = Self {
                a,
                b,
                _folder: folder,
            };
            if pair.is_ready().await {
                return pair;
            }
        }
        panic!("litecoind ended five times right after its start");
    }

    async fn is_ready(&mut self) -> bool {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let ended = |daemon: &mut Daemon| daemon.child.try_wait().expect("our child").is_some();
            if ended(&mut self.a) || ended(&mut self.b) {
                return false;
            }
            let both = (
                self.a.node().template(None).await,
                self.b.node().template(None).await,
            );
            match both {
                (Ok(_), Ok(_)) => return true,
                both => assert!(
                    tokio::time::Instant::now() < deadline,
                    "litecoind does not get ready: {both:?}"
                ),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn nodes(&self) -> Nodes {
        let node = |name: &str, daemon: &Daemon| NodeConfig {
            name: name.to_owned(),
            kind: NodeKind::Rpc(daemon.config()),
        };
        let nodes = vec![node("a", &self.a), node("b", &self.b)];
        let timing = Timing {
            poll: Duration::from_millis(200),
            ..Timing::default()
        };
        Nodes::start(NodesConfig {
            nodes,
            genesis: parse_shown(GENESIS),
            push: None,
            timing,
        })
        .expect("a list")
    }
}

async fn fresh(
    work: &mut watch::Receiver<Work>,
    wanted: impl Fn(&Template) -> bool,
) -> Arc<Template> {
    let waiting = work.wait_for(
        |work| matches!(work, Work::Fresh(NodeWork::Template(template)) if wanted(template)),
    );
    let seen = tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("work in time")
        .expect("the list runs");
    let Work::Fresh(NodeWork::Template(template)) = &*seen else {
        panic!("it was fresh")
    };
    Arc::clone(template)
}

/// Asks again and again until the answer is right.
async fn until<T: std::fmt::Debug>(
    what: &str,
    question: impl AsyncFn() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = question().await;
        if wanted(&answer) {
            return answer;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited too long for {what}: {answer:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Finds a block on the newest template with this parent and gives it to the nodes.
async fn mine(
    nodes: &Nodes,
    parent: Hash,
    payout_script: &[u8],
    lot: u64,
) -> (Arc<Template>, Found) {
    let template = fresh(&mut nodes.templates(), |template| template.prev == parent).await;
    let found = find(&template, Algorithm::Scrypt, payout_script, lot);
    let answers = nodes.submit(found.bytes.clone()).await;
    assert_eq!(answers.len(), 2);
    // One of them takes it; the other may have heard of it by then.
    let is_good = |answer: &SubmitAnswer| {
        matches!(answer, SubmitAnswer::Accepted)
            || *answer == SubmitAnswer::Unknown("duplicate".to_owned())
    };
    assert!(
        answers.iter().all(|(_, answer)| is_good(answer)),
        "{answers:?}"
    );
    assert!(
        answers
            .iter()
            .any(|(_, answer)| *answer == SubmitAnswer::Accepted),
        "{answers:?}"
    );
    (template, found)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

#[test]
fn a_block_is_mined_confirmed_and_orphaned_on_a_real_node() {
    run(async {
        let pair = Pair::start().await;
        let nodes = pair.nodes();
        let genesis = parse_shown(GENESIS).expect("a hash");
        until(
            "the first block",
            async || nodes.hash_at(0).await,
            |hash| *hash == Ok(Some(genesis)),
        )
        .await
        .expect("an answer");
        assert_eq!(nodes.tip().await.map(|tip| tip.height), Ok(0));
        assert_eq!(nodes.hash_at(1).await, Ok(None));
        assert_eq!(nodes.header(Hash([1; 32])).await, Ok(None));
        assert_eq!(nodes.block(Hash([1; 32])).await, Ok(None));

        // Height 1 to 20, so that both forms of a height's push are judged by the node.
        let mut parent = genesis;
        let mut first = None;
        for height in 1..=20 {
            let (template, found) = mine(&nodes, parent, &OURS, height).await;
            assert_eq!(template.height, height);
            let block = until(
                "the block",
                async || nodes.block(found.hash).await,
                |block| matches!(block, Ok(Some(_))),
            )
            .await;
            let block = block.expect("an answer").expect("known");
            assert_eq!(block.header.height, height);
            assert_eq!(block.header.prev, parent);
            assert_eq!(block.coinbase_txid, found.coinbase_txid);
            assert_eq!(block.paid_to(&OURS), u128::from(template.reward));
            assert_eq!((block.subsidy, block.fees), (Some(5_000_000_000), Some(0)));
            assert!(block.coinbase_script_sig.ends_with(b"/test/"));
            parent = found.hash;
            first.get_or_insert(found);
        }
        let first = first.expect("twenty blocks");
        let deep = |header: &Result<_, NodeError>| matches!(header, Ok(Some(seen)) if { let seen: &orebook_chain::ChainHeader = seen; seen.confirmations == 20 });
        until(
            "confirmations",
            async || nodes.header(first.hash).await,
            deep,
        )
        .await
        .expect("an answer");

        // The same block again, a block above the target, and half a block.
        let again = pair.a.node().submit(&first.bytes).await;
        assert_eq!(again, SubmitAnswer::Unknown("duplicate".to_owned()));
        let mut high = first.bytes.clone();
        while {
            high[76] = high[76].wrapping_add(1);
            let header: [u8; 80] = high[..80].try_into().expect("a header");
            let hash = orebook_chain::hash::pow_hash(&header, Algorithm::Scrypt).expect("built");
            orebook_chain::hash::number(hash)
                <= orebook_schema::units::target_of_bits(0x207f_ffff).expect("a target")
        } {}
        assert_eq!(
            pair.a.node().submit(&high).await,
            SubmitAnswer::Rejected("high-hash".to_owned())
        );
        let half = pair.a.node().submit(&first.bytes[..100]).await;
        assert_eq!(
            half,
            SubmitAnswer::Rejected("error -22: Block decode failed".to_owned())
        );

        // Two blocks of one height: the second may win yet, and nobody knows.
        let template = fresh(&mut nodes.templates(), |template| template.prev == parent).await;
        let (ours, theirs) = (
            find(&template, Algorithm::Scrypt, &OURS, 100),
            find(&template, Algorithm::Scrypt, &THEIRS, 101),
        );
        assert_eq!(
            pair.a.node().submit(&ours.bytes).await,
            SubmitAnswer::Accepted
        );
        assert_eq!(
            pair.a.node().submit(&theirs.bytes).await,
            SubmitAnswer::Unknown("inconclusive".to_owned())
        );
        let lost = pair
            .a
            .node()
            .header(theirs.hash)
            .await
            .expect("an answer")
            .expect("known");
        assert_eq!((lost.height, lost.confirmations), (21, -1));

        // The winner is orphaned on both nodes; another block takes its height.
        until(
            "both nodes",
            async || pair.b.node().best_hash().await,
            |hash| *hash == Ok(ours.hash),
        )
        .await
        .expect("an answer");
        for daemon in [&pair.a, &pair.b] {
            daemon.cli(&["invalidateblock", &shown(ours.hash)]);
            if daemon.cli(&["getbestblockhash"]) == shown(theirs.hash) {
                daemon.cli(&["invalidateblock", &shown(theirs.hash)]);
            }
        }
        let (_, other) = mine(&nodes, parent, &THEIRS, 102).await;
        until(
            "another block",
            async || nodes.hash_at(21).await,
            |hash| *hash == Ok(Some(other.hash)),
        )
        .await
        .expect("an answer");
        let orphan = nodes
            .header(ours.hash)
            .await
            .expect("an answer")
            .expect("still known");
        assert_eq!((orphan.height, orphan.confirmations), (21, -1));
        let block = nodes
            .block(ours.hash)
            .await
            .expect("an answer")
            .expect("still known");
        assert_eq!(block.coinbase_txid, ours.coinbase_txid);
        let each = until(
            "both nodes",
            async || nodes.hash_at_each(21).await,
            |each| each.iter().all(|(_, hash)| *hash == Ok(Some(other.hash))),
        )
        .await;
        assert_eq!(each.len(), 2);
        nodes.stop().await;
    });
}

#[test]
fn payments_with_witnesses_are_mined_and_their_fees_are_known() {
    run(async {
        let pair = Pair::start().await;
        pair.a.cli(&["createwallet", "w"]);
        let own = pair.a.cli(&["getnewaddress", "", "bech32"]);
        pair.a.cli(&["generatetoaddress", "102", &own]);
        for kind in ["bech32", "legacy", "p2sh-segwit"] {
            let to = pair.a.cli(&["getnewaddress", "", kind]);
            // Every kind of address is the script that the node itself says.
            let told: Value =
                serde_json::from_str(&pair.a.cli(&["validateaddress", &to])).expect("JSON");
            let script = parse(&to, Network::LitecoinRegtest).expect("an address of this network");
            assert_eq!(
                hex(script.bytes()),
                told["scriptPubKey"].as_str().expect("hex"),
                "{to}"
            );
            assert_eq!(
                show(script.bytes(), Network::LitecoinRegtest).as_deref(),
                Some(to.as_str())
            );
            pair.a.cli(&["sendtoaddress", &to, "1.25"]);
        }
        let nodes = pair.nodes();
        let template = fresh(&mut nodes.templates(), |template| {
            template.height == 103 && template.transactions.len() == 3
        })
        .await;
        assert!(0 < template.fees);
        let payout = parse(&own, Network::LitecoinRegtest).expect("an address");
        let found = find(&template, Algorithm::Scrypt, payout.bytes(), 0);
        assert_eq!(
            pair.a.node().submit(&found.bytes).await,
            SubmitAnswer::Accepted
        );
        let seen = until(
            "the block",
            async || nodes.block(found.hash).await,
            |block| matches!(block, Ok(Some(_))),
        )
        .await;
        let block = seen.expect("an answer").expect("known");
        assert_eq!(block.paid_to(payout.bytes()), u128::from(template.reward));
        assert_eq!(block.fees, Some(u128::from(template.fees)));
        let whole = pair.a.cli(&["getblock", &shown(found.hash), "0"]);
        assert_eq!(
            unhex(&whole),
            Some(found.bytes),
            "the node keeps the very bytes"
        );
        nodes.stop().await;
    });
}

#[test]
fn blocks_with_extension_blocks_are_mined_on_a_real_node() {
    run(async {
        let pair = Pair::start_with(&[]).await;
        pair.a.cli(&["createwallet", "w"]);
        let own = pair.a.cli(&["getnewaddress", "", "bech32"]);
        pair.a.cli(&["generatetoaddress", "431", &own]);
        // The first extension block is made when somebody moves coins in.
        let inside = pair.a.cli(&["getnewaddress", "", "mweb"]);
        let moved_in = pair.a.cli(&["sendtoaddress", &inside, "10"]);
        let nodes = pair.nodes();
        let mut work = nodes.templates();
        for height in [432, 433] {
            let template = fresh(&mut work, |template| {
                template.height == height && template.mweb.is_some()
            })
            .await;
            let extension = 1 + template.mweb.as_ref().map_or(0, Vec::len);
            if height == 432 {
                let txids = template.transactions.iter().map(|tx| shown(tx.txid));
                assert!(txids.into_iter().any(|txid| txid == moved_in));
            }
            // Without its extension block a block is no block; with it the node keeps the very bytes.
            let bare = find(&template, Algorithm::Scrypt, &OURS, height + 1_000);
            let bare = &bare.bytes[..bare.bytes.len() - extension];
            let answer = pair.a.node().submit(bare).await;
            assert!(matches!(answer, SubmitAnswer::Rejected(_)), "{answer:?}");
            let found = find(&template, Algorithm::Scrypt, &OURS, height);
            let answer = pair.a.node().submit(&found.bytes).await;
            assert_eq!(answer, SubmitAnswer::Accepted, "height {height}");
            let whole = pair.a.cli(&["getblock", &shown(found.hash), "0"]);
            assert_eq!(unhex(&whole), Some(found.bytes));
            let both = async || {
                let tips = (
                    pair.a.node().best_hash().await,
                    pair.b.node().best_hash().await,
                );
                tips == (Ok(found.hash), Ok(found.hash))
            };
            until("both nodes", both, |is_so| *is_so).await;
        }
        nodes.stop().await;
    });
}

#[test]
fn work_goes_on_when_the_first_node_dies() {
    run(async {
        let pair = Pair::start().await;
        let nodes = pair.nodes();
        let mut work = nodes.templates();
        let template = fresh(&mut work, |template| template.height == 1).await;
        let Pair { a, b, _folder } = pair;
        drop(a);
        // Alone the second node has no peer, and gives no template; its last one stands until it goes stale.
        let found = find(&template, Algorithm::Scrypt, &OURS, 0);
        let answers = nodes.submit(found.bytes).await;
        assert!(
            matches!(&answers[0].1, SubmitAnswer::Unknown(why) if why.contains("cannot connect")),
            "{answers:?}"
        );
        assert_eq!(answers[1].1, SubmitAnswer::Accepted);
        until(
            "the tip",
            async || nodes.tip().await,
            |tip| tip.as_ref().is_ok_and(|tip| tip.hash == found.hash),
        )
        .await
        .expect("an answer");
        let health = until(
            "the health",
            async || nodes.health(),
            |health| !health[0].well,
        )
        .await;
        assert!(
            health[0]
                .why
                .as_ref()
                .is_some_and(|why| why.contains("cannot connect")),
            "{health:?}"
        );
        drop(b);
        nodes.stop().await;
    });
}

#[test]
fn what_a_real_wallet_signs_is_of_its_address_and_text_only() {
    run(async {
        let pair = Pair::start().await;
        pair.a.cli(&["createwallet", "signs"]);
        let address = pair.a.cli(&["getnewaddress", "", "legacy"]);
        let other = pair.a.cli(&["getnewaddress", "", "legacy"]);
        // Several lines, as a setting's text has; and more than 252 bytes.
        let text = format!("Orebook setting\naccount {address}\n{}", "x".repeat(300));
        let signature = pair.a.cli(&["signmessage", &address, &text]);
        let holds = |address: &str, text: &str| {
            let script = parse(address, Network::LitecoinRegtest).expect("its address");
            let account = Account::Script(script);
            verify(&account, Network::LitecoinRegtest, text, &signature)
        };
        assert_eq!(holds(&address, &text), Ok(()));
        assert_eq!(holds(&address, &text[1..]), Err(SignedError::Wrong));
        assert_eq!(holds(&other, &text), Err(SignedError::Wrong));
    });
}
