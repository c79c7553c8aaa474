//! A hot wallet on a real chain: litecoinds in regtest. A missing litecoind is a failure.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::future::Future;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use orebook_chain::address::{Network, parse, show};
use orebook_chain::hash::{parse_shown, shown};
use orebook_chain::wallet::bitcoin::BitcoinNode;
use orebook_chain::{Credentials, RpcConfig};
use orebook_paymaster::bitcoin::key::Key;
use orebook_paymaster::bitcoin::tx::{Tx, outpoint_bytes};
use orebook_paymaster::bitcoin::{BitcoinConfig, BitcoinWallet};
use orebook_paymaster::survey::{Asked, Foreign, Survey, Surveyed};
use orebook_paymaster::wallet::{
    Order, Pay, Sent, Sight, SignedTx, Wallet as _, WalletError, Watched,
};
use orebook_schema::names::Script;
use orebook_schema::{Account, Hash};
use orebook_tests::litecoind::{Node, Pair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything that is waited for may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Base units of a coin, and of a regtest block's reward.
const COIN: u128 = 100_000_000;
const REWARD: u128 = 50 * COIN;
/// Script of nobody, who is paid by lines and for blocks that are not ours.
const NOBODY: [u8; 22] = [
    0, 20, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
];

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

/// A key as an operator has it: in a file that nobody else may read.
fn key(byte: u8) -> Key {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hot.key");
    let mut open = std::fs::OpenOptions::new();
    let file = open.write(true).create_new(true).mode(0o600).open(&path);
    let text = format!("{byte:02x}").repeat(32);
    writeln!(file.expect("a file"), "{text}").expect("it is written");
    Key::read(&path).expect("a key")
}

fn rpc(node: &Node) -> RpcConfig {
    RpcConfig::new(node.rpc(), Credentials::file(node.cookie()), true)
}

fn config(script: &[u8]) -> BitcoinConfig {
    let script = Script::new(script).expect("a script");
    let mut config = BitcoinConfig::new(Network::LitecoinRegtest, script);
    config.peers_min = 1;
    config.scan_blocks = 400;
    config
}

/// A new process over a node: it remembers nothing.
fn wallet(node: &Node, script: &[u8], byte: u8) -> BitcoinWallet {
    let node = BitcoinNode::new(rpc(node), None).expect("a node");
    BitcoinWallet::new(config(script), Some(key(byte)), node).expect("a wallet")
}

fn address(script: &[u8]) -> String {
    show(script, Network::LitecoinRegtest).expect("an address")
}

/// Mines blocks that pay a script; the newest block's hash as the node shows it.
fn mine(node: &Node, blocks: u32, script: &[u8]) -> String {
    node.cli(&["generatetoaddress", &blocks.to_string(), &address(script)]);
    node.cli(&["getbestblockhash"])
}

fn pay(script: &[u8], amount: u128) -> Pay {
    Pay {
        address: Account::Script(Script::new(script).expect("a script")),
        amount,
    }
}

fn order(pays: &[Pay]) -> Order {
    Order {
        pays: pays.to_vec(),
        fee_max: COIN / 100,
        taken: Vec::new(),
        replaces: None,
    }
}

fn watched(versions: &[&SignedTx]) -> Watched {
    let all = versions.iter().map(|one| (one.txid, one.raw.clone()));
    Watched {
        versions: all.collect(),
        spends: versions[0].spends.clone(),
    }
}

fn block(text: &str) -> Hash {
    parse_shown(text).expect("a hash")
}

fn mined(of: &SignedTx, height: u64, in_block: &str, confirmations: u64) -> Sight {
    Sight::Mined {
        txid: of.txid,
        height,
        block: block(in_block),
        confirmations,
        paid: true,
        fee: of.fee,
    }
}

fn pending(of: &SignedTx) -> Sight {
    Sight::Pending { txid: of.txid }
}

/// What a transaction spends, in its order.
fn inputs(of: &SignedTx) -> Vec<[u8; 36]> {
    let tx = Tx::read(&of.raw).expect("a transaction");
    let named = tx.inputs.iter().map(|input| outpoint_bytes(input.outpoint));
    named.collect()
}

/// Why a wallet is not ready.
fn words(answer: Result<impl std::fmt::Debug, WalletError>) -> String {
    match answer {
        Err(WalletError::NotReady(words)) => words,
        other => panic!("it is not ready, and says {other:?}"),
    }
}

/// Waits until a node has this best block.
async fn until_known(node: &Node, best: &str) {
    let started = tokio::time::Instant::now();
    while node.cli(&["getbestblockhash"]) != best {
        assert!(started.elapsed() < PATIENCE, "the nodes do not agree");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_key_files_wallet_pays_and_follows_its_transactions() {
    run(async {
        let pair = Pair::start_with(&[], &["-txindex=1"]);
        let (own, other) = (key(0x11).witness_script(), key(0x22).legacy_script());
        let hot = wallet(&pair.a, &own, 0x11);
        let payee = wallet(&pair.a, &other, 0x22);

        // Rewards count at once and are spendable after a hundred blocks.
        mine(&pair.a, 3, &own);
        mine(&pair.a, 100, &NOBODY);
        let funds = hot.ready().await.expect("it is ready");
        assert_eq!(
            (funds.spendable, funds.balance, funds.height),
            (3 * REWARD, 3 * REWARD, 103)
        );
        mine(&pair.a, 1, &own);
        let funds = hot.ready().await.expect("it is ready");
        assert_eq!((funds.spendable, funds.balance), (3 * REWARD, 4 * REWARD));
        let script = Script::new(&own).expect("a script");
        assert_eq!(funds.address, Account::Script(script));
        assert_eq!(funds.dust, 5_460, "what litecoind calls dust");

        // Signed, seen by nobody; sent, and sent again; in a block, and sent again.
        let lines = [pay(&other, 10 * COIN), pay(&NOBODY, 5_460)];
        let first = hot.sign(&order(&lines)).await.expect("it signs");
        let expected = hot.estimate(&lines).await.expect("an estimate");
        assert_eq!(first.fee, expected);
        let same = hot.sign(&order(&lines)).await;
        assert_eq!(same.as_ref(), Ok(&first), "the same again");
        assert_eq!(hot.look(&watched(&[&first])).await, Ok(Sight::Nowhere));
        assert_eq!(hot.send(&first.raw).await, Ok(Sent::Taken));
        assert_eq!(hot.send(&first.raw).await, Ok(Sent::Taken));
        assert_eq!(hot.look(&watched(&[&first])).await, Ok(pending(&first)));
        let home = mine(&pair.a, 1, &NOBODY);
        assert_eq!(hot.send(&first.raw).await, Ok(Sent::Taken));
        let in_block = Ok(mined(&first, 105, &home, 1));
        assert_eq!(hot.look(&watched(&[&first])).await, in_block);
        let funds = hot.ready().await.expect("it is ready");
        let rest = 4 * REWARD - 10 * COIN - 5_460 - first.fee;
        assert_eq!((funds.spendable, funds.balance), (rest - REWARD, rest));

        // The block is reorganised away and comes back.
        pair.a.cli(&["invalidateblock", &home]);
        assert_eq!(hot.look(&watched(&[&first])).await, Ok(pending(&first)));
        pair.a.cli(&["reconsiderblock", &home]);
        assert_eq!(hot.look(&watched(&[&first])).await, in_block);

        // The payee spends what it got, at an old address; then everything that was paid is spent, and the change.
        let onward = order(&[pay(&NOBODY, 9 * COIN)]);
        let onward = payee.sign(&onward).await.expect("it signs");
        assert_eq!(payee.send(&onward.raw).await, Ok(Sent::Taken));
        let rest = order(&[pay(&NOBODY, funds.spendable - COIN / 1_000)]);
        let second = hot.sign(&rest).await.expect("it signs");
        assert_eq!(hot.send(&second.raw).await, Ok(Sent::Taken));
        let best = mine(&pair.a, 1, &NOBODY);
        let paid_on = Ok(mined(&onward, 106, &best, 1));
        assert_eq!(payee.look(&watched(&[&onward])).await, paid_on);
        until_known(&pair.b, &best).await;

        // A process that remembers nothing comes to the same, with and without an index of transactions.
        let all = [(&first, 105, &home, 2), (&second, 106, &best, 1)];
        for node in [&pair.a, &pair.b] {
            for (of, height, place, deep) in all {
                let sight = wallet(node, &own, 0x11).look(&watched(&[of])).await;
                assert_eq!(sight, Ok(mined(of, height, place, deep)), "{}", node.rpc());
            }
        }
    });
}

#[test]
fn versions_replace_each_other_and_strangers_take_coins() {
    run(async {
        let pair = Pair::start_with(&["-mempoolreplacement=1"], &[]);
        let own = key(0x33).witness_script();
        let hot = wallet(&pair.a, &own, 0x33);
        let lines = [pay(&NOBODY, 60 * COIN)];
        assert!(words(hot.sign(&order(&lines)).await).starts_with("no funds"));
        mine(&pair.a, 4, &own);
        mine(&pair.a, 100, &NOBODY);

        // A second version spends the same, pays more, and takes the place of the first, which nobody takes again.
        let first = hot.sign(&order(&lines)).await.expect("it signs");
        assert_eq!(inputs(&first).len(), 2);
        assert_eq!(inputs(&first)[0].to_vec(), first.spends);
        assert_eq!(hot.send(&first.raw).await, Ok(Sent::Taken));
        let again = Order {
            replaces: Some(first.raw.clone()),
            ..order(&lines)
        };
        let second = hot.sign(&again).await.expect("it signs");
        assert_eq!(second.spends, first.spends);
        assert_eq!(inputs(&first), inputs(&second));
        assert!(first.fee < second.fee, "{} and {}", first.fee, second.fee);
        assert_eq!(hot.send(&second.raw).await, Ok(Sent::Taken));
        let both = watched(&[&first, &second]);
        assert_eq!(hot.look(&both).await, Ok(pending(&second)));
        let sent = hot.send(&first.raw).await;
        assert!(matches!(sent, Ok(Sent::Refused(_))), "{sent:?}");
        let capped = Order {
            replaces: Some(second.raw.clone()),
            fee_max: second.fee,
            ..order(&lines)
        };
        assert!(words(hot.sign(&capped).await).starts_with("fee above its cap"));

        // Coins of transactions under way are taken: the other two are left, and after them none.
        let beside = Order {
            taken: vec![first.raw.clone(), second.raw.clone()],
            ..order(&lines)
        };
        let third = hot.sign(&beside).await.expect("it signs");
        let is_taken = |one: &[u8; 36]| inputs(&second).contains(one);
        assert!(!inputs(&third).iter().any(is_taken));
        let none = Order {
            taken: vec![second.raw.clone(), third.raw.clone()],
            ..order(&lines)
        };
        assert!(words(hot.sign(&none).await).starts_with("no funds"));
        // Also without being told: what waits in the node's memory pool spends them.
        let untold = hot.sign(&order(&lines)).await.expect("it signs");
        assert_eq!(inputs(&untold), inputs(&third));

        let home = mine(&pair.a, 1, &NOBODY);
        assert_eq!(hot.look(&both).await, Ok(mined(&second, 105, &home, 1)));

        // Another transaction of the key, which the ledger does not know, takes a coin of the third.
        let one = order(&[pay(&NOBODY, 40 * COIN)]);
        let stranger = Order {
            taken: vec![second.raw.clone()],
            ..one
        };
        let stranger = hot.sign(&stranger).await.expect("it signs");
        assert!(inputs(&third).contains(&inputs(&stranger)[0]));
        assert_eq!(hot.send(&stranger.raw).await, Ok(Sent::Taken));
        let dead = watched(&[&third]);
        assert_eq!(hot.look(&dead).await, Ok(Sight::Nowhere));
        let taken = mine(&pair.a, 1, &NOBODY);
        let conflict = |confirmations| {
            Ok(Sight::Conflict {
                by: stranger.txid,
                height: 106,
                confirmations,
                fee: stranger.fee,
            })
        };
        assert_eq!(hot.look(&dead).await, conflict(1));
        let sent = hot.send(&third.raw).await;
        assert!(matches!(sent, Ok(Sent::Refused(_))), "{sent:?}");
        mine(&pair.a, 2, &NOBODY);
        assert_eq!(hot.look(&dead).await, conflict(3));
        assert_eq!(wallet(&pair.a, &own, 0x33).look(&dead).await, conflict(3));

        // Not far enough back to see it: nothing is known, and nothing is said.
        let mut short = config(&own);
        short.scan_blocks = 2;
        let node = BitcoinNode::new(rpc(&pair.a), None).expect("a node");
        let short = BitcoinWallet::new(short, Some(key(0x33)), node).expect("a wallet");
        for _ in 0..2 {
            let sight = short.look(&dead).await;
            assert!(matches!(sight, Err(WalletError::Gone { .. })), "{sight:?}");
        }

        // The conflict is reorganised away: the coin is there again, for whoever is mined first. Then it comes back.
        pair.a.cli(&["invalidateblock", &taken]);
        assert_eq!(hot.look(&dead).await, Ok(Sight::Nowhere));
        pair.a.cli(&["reconsiderblock", &taken]);
        assert_eq!(hot.look(&dead).await, conflict(3));
    });
}

#[test]
fn what_spends_the_change_of_a_version_that_is_no_more_is_gone_and_its_maker_is_named() {
    run(async {
        let pair = Pair::start_with(&["-mempoolreplacement=1"], &[]);
        let own = key(0x55).witness_script();
        let hot = wallet(&pair.a, &own, 0x55);
        mine(&pair.a, 1, &own);
        mine(&pair.a, 100, &NOBODY);
        let first = hot.sign(&order(&[pay(&NOBODY, COIN)])).await;
        let first = first.expect("it signs");
        let again = Order {
            replaces: Some(first.raw.clone()),
            ..order(&[pay(&NOBODY, COIN)])
        };
        assert_eq!(hot.send(&first.raw).await, Ok(Sent::Taken));
        let second = hot.sign(&again).await.expect("it signs");
        assert_eq!(hot.send(&second.raw).await, Ok(Sent::Taken));
        let home = mine(&pair.a, 1, &NOBODY);
        // Its change is the only coin.
        let next = hot.sign(&order(&[pay(&NOBODY, 2 * COIN)])).await;
        let next = next.expect("it signs");
        let made = |of: &SignedTx| inputs(of)[0][..32].to_vec();
        assert_eq!(made(&next), second.txid.0.to_vec());
        assert_eq!(hot.send(&next.raw).await, Ok(Sent::Taken));

        // Somebody mines the first version instead.
        pair.a.cli(&["invalidateblock", &home]);
        let raw: String = first.raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = format!("[\"{raw}\"]");
        pair.a.cli(&["generateblock", &address(&NOBODY), &list]);
        mine(&pair.a, 2, &NOBODY);
        let told = hot.look(&watched(&[&next])).await;
        let Err(WalletError::Gone { makers, words }) = told else {
            panic!("nobody spent it, and it is not there: {told:?}")
        };
        assert_eq!(makers, [[second.txid]]);
        assert!(words.contains("do not tell by whom"), "{words}");
        let both = hot.look(&watched(&[&first, &second])).await;
        let is_first =
            |sight: &Sight| matches!(sight, Sight::Mined { txid, .. } if *txid == first.txid);
        assert!(both.as_ref().is_ok_and(is_first), "{both:?}");
    });
}

#[test]
fn the_nodes_own_wallet_lists_and_signs_and_chooses_nothing() {
    run(async {
        let pair = Pair::start_with(&["-mempoolreplacement=1"], &[]);
        let hand = |command: &[&str]| pair.a.cli(&[&["-rpcwallet=hot"], command].concat());
        pair.a.cli(&["createwallet", "spare"]);
        pair.a.cli(&["createwallet", "hot"]);
        let own = hand(&["getnewaddress", "", "bech32"]);
        let script = parse(&own, Network::LitecoinRegtest).expect("an address");
        let script = script.bytes();
        let open = |name: Option<&str>| {
            let node = BitcoinNode::new(rpc(&pair.a), name).expect("a node");
            BitcoinWallet::new(config(script), None, node).expect("a wallet")
        };
        let hot = open(Some("hot"));
        assert!(words(open(Some("none")).ready().await).contains("no such wallet"));
        assert!(words(open(None).ready().await).contains("no such wallet"));
        assert!(words(open(Some("spare")).ready().await).contains("no key"));

        mine(&pair.a, 4, script);
        mine(&pair.a, 100, &NOBODY);
        mine(&pair.a, 1, script);
        let funds = hot.ready().await.expect("it is ready");
        assert_eq!((funds.spendable, funds.balance), (4 * REWARD, 5 * REWARD));

        let lines = [pay(&NOBODY, 60 * COIN), pay(&NOBODY, COIN)];
        let first = hot.sign(&order(&lines)).await.expect("it signs");
        assert_eq!(hot.look(&watched(&[&first])).await, Ok(Sight::Nowhere));
        assert_eq!(hot.send(&first.raw).await, Ok(Sent::Taken));
        assert_eq!(hot.look(&watched(&[&first])).await, Ok(pending(&first)));
        let again = Order {
            replaces: Some(first.raw.clone()),
            ..order(&lines)
        };
        let second = hot.sign(&again).await.expect("it signs");
        assert!(first.fee < second.fee && first.spends == second.spends);
        assert_eq!(hot.send(&second.raw).await, Ok(Sent::Taken));
        let both = watched(&[&first, &second]);
        assert_eq!(hot.look(&both).await, Ok(pending(&second)));
        let home = mine(&pair.a, 1, &NOBODY);
        let in_block = Ok(mined(&second, 106, &home, 1));
        assert_eq!(hot.look(&both).await, in_block);
        assert_eq!(hot.send(&second.raw).await, Ok(Sent::Taken));
        // Change comes back to the wallet's own address, and to no other that the node would make up.
        let tx = Tx::read(&second.raw).expect("a transaction");
        let change = tx.outputs.last().expect("a change");
        assert_eq!(change.script, script);
        pair.a.cli(&["invalidateblock", &home]);
        assert_eq!(hot.look(&both).await, Ok(pending(&second)));
        pair.a.cli(&["reconsiderblock", &home]);
        assert_eq!(hot.look(&both).await, in_block);

        // Somebody pays from the node's wallet by hand: everything in it.
        let third = hot.sign(&order(&lines)).await.expect("it signs");
        hand(&["settxfee", "0.001"]);
        let all = hand(&["getbalance"]);
        let by = hand(&["sendtoaddress", &address(&NOBODY), &all, "", "", "true"]);
        let dead = watched(&[&third]);
        assert_eq!(hot.look(&dead).await, Ok(Sight::Nowhere));
        let sent = hot.send(&third.raw).await;
        assert!(matches!(sent, Ok(Sent::Refused(_))), "{sent:?}");
        mine(&pair.a, 1, &NOBODY);
        let sight = hot.look(&dead).await.expect("an answer");
        let Sight::Conflict {
            by: found,
            height: 107,
            confirmations: 1,
            fee: 1..,
        } = sight
        else {
            panic!("a conflict that cost something: {sight:?}")
        };
        assert_eq!(shown(found), by);

        // A locked wallet signs nothing, and says so before it is asked to.
        hand(&["encryptwallet", "sesame"]);
        assert!(words(hot.ready().await).contains("locked"));
        assert!(words(hot.sign(&order(&lines)).await).contains("locked"));
        hand(&["walletpassphrase", "sesame", "600"]);
        hot.ready().await.expect("it is ready");
    });
}

/// What the ledger has of a wallet: these transactions, the first in a block at a height.
fn asked(of: &[&SignedTx], since: u64) -> Asked {
    Asked {
        txids: of.iter().map(|one| one.txid).collect(),
        spends: of.iter().map(|one| one.spends.clone()).collect(),
        since: Some(since),
        ..Asked::default()
    }
}

/// Asks until all is read.
async fn survey(wallet: &BitcoinWallet, asked: &Asked) -> Survey {
    loop {
        match wallet.survey(asked).await.expect("an answer") {
            Surveyed::Reading(left) => assert!(0 < left),
            Surveyed::Done(survey) => return survey,
        }
    }
}

fn foreign(txid: &str, height: u64) -> Foreign {
    Foreign {
        txid: Some(block(txid)),
        height: Some(height),
        nonce: None,
    }
}

/// Name of a block's coinbase.
fn coinbase(node: &Node, height: u64) -> Hash {
    let hash = node.cli(&["getblockhash", &height.to_string()]);
    let told: serde_json::Value =
        serde_json::from_str(&node.cli(&["getblock", &hash])).expect("JSON");
    block(told["tx"][0].as_str().expect("a name"))
}

#[test]
fn a_survey_names_what_left_the_wallet_and_no_event_names() {
    run(async {
        let pair = Pair::start_with(&[], &[]);
        let own = key(0x55).witness_script();
        let hot = wallet(&pair.a, &own, 0x55);
        mine(&pair.a, 4, &own);
        mine(&pair.a, 100, &NOBODY);
        let none = survey(&hot, &Asked::default()).await;
        assert_eq!((none.since, none.balance), (None, 4 * REWARD));

        let first = hot.sign(&order(&[pay(&NOBODY, 60 * COIN)])).await;
        let first = first.expect("it signs");
        assert_eq!(hot.send(&first.raw).await, Ok(Sent::Taken));
        mine(&pair.a, 1, &NOBODY);
        let payments = hot.payments(&first.raw).expect("payments");
        assert_eq!(payments[0], pay(&NOBODY, 60 * COIN));
        assert_eq!(
            payments[1].address,
            Account::Script(Script::new(&own).expect("a script"))
        );
        let known = asked(&[&first], 105);
        let calm = survey(&hot, &known).await;
        assert_eq!(
            (calm.foreign.as_slice(), calm.since),
            ([].as_slice(), Some(105))
        );

        // Somebody else with the key: a coin of a block, and then the change of the payout; each in its block, found once.
        let taken = Order {
            taken: vec![first.raw.clone()],
            ..order(&[pay(&NOBODY, 45 * COIN)])
        };
        let stranger = hot.sign(&taken).await.expect("it signs");
        assert_eq!(hot.send(&stranger.raw).await, Ok(Sent::Taken));
        let home = mine(&pair.a, 1, &NOBODY);
        let by = shown(stranger.txid);
        let expected = vec![foreign(&by, 106)];
        let found = survey(&hot, &known).await;
        assert_eq!(found.foreign, expected);
        let funds = hot.ready().await.expect("it is ready");
        assert_eq!(found.balance, funds.balance);
        // A process that remembers nothing knows the coin as a block's of ours; an older deposit of nobody's it would not know.
        let fresh = wallet(&pair.a, &own, 0x55);
        let of_blocks = Asked {
            coinbases: (1..=4).map(|height| coinbase(&pair.a, height)).collect(),
            ..known.clone()
        };
        assert_eq!(survey(&fresh, &of_blocks).await, found);
        let fresh = wallet(&pair.a, &own, 0x55);
        assert_eq!(survey(&fresh, &known).await.foreign, []);
        // As soon as an event names it, it is no stranger's.
        let both = asked(&[&first, &stranger], 105);
        assert_eq!(survey(&hot, &both).await.foreign, []);

        // A reorganisation takes it away: the blocks are read again.
        pair.a.cli(&["invalidateblock", &home]);
        let mut gone = hot.survey(&known).await;
        while !matches!(&gone, Ok(Surveyed::Done(survey)) if survey.foreign.is_empty()) {
            assert!(
                matches!(
                    &gone,
                    Err(WalletError::NoAnswer(_)) | Ok(Surveyed::Reading(_))
                ),
                "{gone:?}"
            );
            gone = hot.survey(&known).await;
        }
        pair.a.cli(&["reconsiderblock", &home]);
        mine(&pair.a, 1, &NOBODY);
        let mut back = hot.survey(&known).await;
        while back.is_err() {
            back = hot.survey(&known).await;
        }
        assert_eq!(survey(&hot, &known).await.foreign, expected);
        // And blocks of ours stand, or not.
        assert_eq!(hot.block(block(&home)).await, Ok(Some(106)));
        assert_eq!(hot.block(Hash([7; 32])).await, Ok(None));
    });
}

#[test]
fn a_survey_of_the_nodes_own_wallet_names_what_a_hand_sent() {
    run(async {
        let pair = Pair::start_with(&[], &[]);
        let hand = |command: &[&str]| pair.a.cli(&[&["-rpcwallet=hot"], command].concat());
        pair.a.cli(&["createwallet", "hot"]);
        let own = hand(&["getnewaddress", "", "bech32"]);
        let script = parse(&own, Network::LitecoinRegtest).expect("an address");
        let script = script.bytes();
        let node = BitcoinNode::new(rpc(&pair.a), Some("hot")).expect("a node");
        let hot = BitcoinWallet::new(config(script), None, node).expect("a wallet");
        mine(&pair.a, 3, script);
        mine(&pair.a, 100, &NOBODY);
        let first = hot.sign(&order(&[pay(&NOBODY, COIN)])).await;
        let first = first.expect("it signs");
        assert_eq!(hot.send(&first.raw).await, Ok(Sent::Taken));
        mine(&pair.a, 1, &NOBODY);
        let known = asked(&[&first], 104);
        assert_eq!(survey(&hot, &known).await.foreign, []);
        hand(&["settxfee", "0.001"]);
        let by = hand(&["sendtoaddress", &address(&NOBODY), "3"]);
        // What waits is looked at when it is in a block.
        assert_eq!(survey(&hot, &known).await.foreign, []);
        mine(&pair.a, 1, &NOBODY);
        assert_eq!(survey(&hot, &known).await.foreign, [foreign(&by, 105)]);
    });
}

/// Carries requests to a node, and loses the answer to each that sends a transaction.
async fn deaf(far: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let near = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, far.clone()));
        }
    });
    near
}

async fn carry(mut client: TcpStream, far: String) {
    let mut node = TcpStream::connect(&far).await.expect("the node");
    let (mut asked, mut answer, mut buffer) = (Vec::new(), Vec::new(), [0; 4_096]);
    let (mut from, mut to) = client.split();
    let (mut answers, mut questions) = node.split();
    let forth = async {
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            asked.extend_from_slice(&buffer[..count]);
            let carried = questions.write_all(&buffer[..count]).await;
            carried.expect("the node reads");
        }
    };
    // The node closes when it has answered; until then the client says all that it will.
    tokio::select! {
        () = forth => return,
        _ = answers.read_to_end(&mut answer) => {}
    }
    if asked.windows(18).any(|text| text == b"sendrawtransaction") {
        // Until the client has waited long enough.
        while let Ok(1..) = from.read(&mut buffer).await {}
        return;
    }
    to.write_all(&answer).await.expect("the client reads");
}

#[test]
fn a_node_that_answers_too_late_leaves_it_unknown_and_the_chain_tells() {
    run(async {
        let pair = Pair::start();
        let own = key(0x44).witness_script();
        mine(&pair.a, 1, &own);
        mine(&pair.a, 100, &NOBODY);
        let mut late = rpc(&pair.a);
        late.address = deaf(pair.a.rpc()).await;
        late.timeout = Duration::from_secs(3);
        let node = BitcoinNode::new(late, None).expect("a node");
        let hot = BitcoinWallet::new(config(&own), Some(key(0x44)), node).expect("a wallet");
        let line = order(&[pay(&NOBODY, COIN)]);
        let signed = hot.sign(&line).await.expect("it signs");
        let sent = hot.send(&signed.raw).await;
        assert!(matches!(sent, Err(WalletError::NoAnswer(_))), "{sent:?}");
        assert_eq!(hot.look(&watched(&[&signed])).await, Ok(pending(&signed)));
        let direct = wallet(&pair.a, &own, 0x44);
        assert_eq!(direct.send(&signed.raw).await, Ok(Sent::Taken));
        // A node that is gone tells nothing at all.
        drop(pair);
        let sight = direct.look(&watched(&[&signed])).await;
        assert!(matches!(sight, Err(WalletError::NoAnswer(_))), "{sight:?}");
    });
}
