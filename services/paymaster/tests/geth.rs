//! EVM wallets against the real thing: go-ethereum 1.10.26 with ethash. A missing Go is a failure.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "../../chain/tests/ethnode/mod.rs"]
#[allow(dead_code, reason = "the tests of nodes need more of it")]
mod ethnode;
#[path = "../../chain/tests/golang/mod.rs"]
mod golang;

use std::time::Duration;

use ethnode::{Geth, solve};
use orebook_chain::eth::{EthNode, keccak256};
use orebook_chain::wallet::evm::EvmNode;
use orebook_chain::{EthWork, SubmitAnswer};
use orebook_paymaster::evm::rlp::List;
use orebook_paymaster::evm::{EvmKey, EvmWallet, EvmWalletConfig, Fees, Tx};
use orebook_paymaster::survey::{Asked, Foreign, Survey, Surveyed};
use orebook_paymaster::wallet::{
    Found, Order, Pay, Sent, Sight, SignedTx, Wallet, WalletError, Watched,
};
use orebook_schema::Account;
use orebook_schema::units::{Hash, hex, unhex};
use orebook_schema::work::ethash_name;
use serde_json::json;

/// Longer than anything that is waited for may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks of a test.
const LOOK: Duration = Duration::from_millis(20);
/// The chain's number, as the node program has it.
const CHAIN: u64 = 1_337;
/// Base units of a coin; a block pays two (Constantinople).
const COIN: u128 = 1_000_000_000_000_000_000;
/// A thousandth of it.
const MILLI: u128 = COIN / 1_000;
/// Gas of a plain payment.
const GAS: u128 = 21_000;

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

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

/// A chain whose blocks pay the wallet.
struct Chain {
    geth: Geth,
    node: EthNode,
    wallet: EvmWallet,
}

fn key() -> EvmKey {
    EvmKey::new(&[0x51; 32]).expect("a key")
}

fn wallet(geth: &Geth, config: EvmWalletConfig) -> EvmWallet {
    EvmWallet::new(config, key(), EvmNode::new(geth.config()))
}

/// No peers are asked for: the node has none.
fn config() -> EvmWalletConfig {
    EvmWalletConfig {
        peers_min: 0,
        ..EvmWalletConfig::new(CHAIN)
    }
}

impl Chain {
    async fn start(is_london: bool, blocks: u64) -> Self {
        let pays = format!("-etherbase=0x{}", hex(&key().address()));
        let london = format!("-london={is_london}");
        let geth = Geth::start(&[&pays, &london]);
        let chain = Self {
            node: geth.node(),
            wallet: wallet(&geth, config()),
            geth,
        };
        chain.mine(blocks).await;
        chain
    }

    fn again(&mut self) {
        self.geth.kill_and_start();
        self.node = self.geth.node();
        self.wallet = wallet(&self.geth, config());
    }

    /// So many blocks on top of the best one.
    async fn mine(&self, blocks: u64) {
        for _ in 0..blocks {
            self.mine_one().await;
        }
    }

    /// A block on top, with the name and the height that a ledger has of it; and its work.
    async fn mine_one(&self) -> (Hash, u64, EthWork) {
        let tip = self.node.tip().await.expect("a tip");
        let is_next = |work: &EthWork| work.height == tip.height + 1;
        let ask = async || self.node.work(None).await;
        let work = until(
            "work",
            ask,
            |work| matches!(work, Ok(Some(work)) if is_next(work)),
        );
        let work = work.await.expect("an answer").expect("work");
        let found = solve(&work, 0);
        assert_eq!(self.node.submit(&found).await, SubmitAnswer::Accepted);
        let ask = async || self.node.tip().await;
        let is_higher = |now: &Result<orebook_chain::ChainTip, _>| matches!(now, Ok(now) if tip.height < now.height);
        until("the block", ask, is_higher).await.expect("a tip");
        (ethash_name(&found.seal, found.nonce), work.height, work)
    }

    /// Somebody finds blocks beside the chain, which leave the newest of it behind.
    fn branch(&self, back: u64, blocks: u64, like: &EthWork) {
        for _ in 0..blocks {
            let seal = self
                .geth
                .ask("eth_sideWork", &json!([format!("0x{back:x}")]));
            let seal = seal.as_str().and_then(|text| unhex(&text[2..]));
            let seal = seal.and_then(|seal| seal.try_into().ok());
            let mut work = *like;
            work.seal = Hash(seal.expect("a hash"));
            let found = solve(&work, 0);
            let (nonce, mix) = (
                format!("0x{:016x}", found.nonce),
                format!("0x{}", hex(&found.mix.0)),
            );
            self.geth.ask("eth_sideSeal", &json!([nonce, mix]));
        }
        self.geth.ask("eth_sideInsert", &json!([]));
    }

    /// Blocks until a sight is the wanted one: a transaction comes into the second block, since work is not made anew for it.
    async fn mine_until(&self, tx: &Watched, wanted: impl Fn(&Sight) -> bool) -> Sight {
        for _ in 0..10 {
            let sight = self.wallet.look(tx).await.expect("an answer");
            if wanted(&sight) {
                return sight;
            }
            self.mine(1).await;
        }
        panic!("no block has it")
    }

    fn balance(&self, address: &[u8; 20]) -> u128 {
        let balance = self.geth.ask(
            "eth_getBalance",
            &json!([format!("0x{}", hex(address)), "latest"]),
        );
        let balance = balance.as_str().expect("a number");
        u128::from_str_radix(&balance[2..], 16).expect("a number")
    }

    async fn sign(&self, order: &Order) -> SignedTx {
        self.wallet.sign(order).await.expect("a transaction")
    }

    /// Straight to the node, past every check of the wallet.
    fn send_raw(&self, raw: &[u8]) {
        self.geth.ask(
            "eth_sendRawTransaction",
            &json!([format!("0x{}", hex(raw))]),
        );
    }
}

fn pay(to: [u8; 20], amount: u128) -> Order {
    Order {
        pays: vec![Pay {
            address: Account::Evm(to),
            amount,
        }],
        fee_max: COIN,
        taken: Vec::new(),
        replaces: None,
    }
}

fn watched(versions: &[&SignedTx]) -> Watched {
    Watched {
        versions: versions
            .iter()
            .map(|tx| (tx.txid, tx.raw.clone()))
            .collect(),
        spends: versions[0].spends.clone(),
    }
}

fn fees(tx: &SignedTx) -> Fees {
    Tx::read(&tx.raw).expect("a payment").tx.fees
}

fn is_mined(sight: &Sight) -> bool {
    matches!(sight, Sight::Mined { .. })
}

/// From nowhere to deep in the chain, with and without London; the books of the node are the check.
#[test]
fn a_payment_is_signed_sent_and_followed_until_it_is_deep() {
    for is_london in [true, false] {
        run(async {
            let chain = Chain::start(is_london, 2).await;
            let wallet = &chain.wallet;
            let ready = wallet.ready().await.expect("ready");
            assert_eq!((ready.height, ready.dust), (2, 1));
            assert_eq!((ready.balance, ready.spendable), (4 * COIN, 4 * COIN));
            assert_eq!(ready.address, Account::Evm(wallet.address()));

            let to = [0x77; 20];
            let order = pay(to, 3 * MILLI);
            let expected = wallet.estimate(&order.pays).await.expect("a fee");
            let tx = chain.sign(&order).await;
            assert_eq!(matches!(fees(&tx), Fees::Market { .. }), is_london);
            assert_eq!(
                chain.sign(&order).await,
                tx,
                "nobody has seen it: the same again"
            );
            let it = watched(&[&tx]);
            assert_eq!(wallet.look(&it).await, Ok(Sight::Nowhere));

            // The same bytes any number of times: waiting, and in a block.
            let txid = tx.txid;
            assert_eq!(wallet.send(&tx.raw).await, Ok(Sent::Taken));
            assert_eq!(wallet.send(&tx.raw).await, Ok(Sent::Taken));
            assert_eq!(wallet.look(&it).await, Ok(Sight::Pending { txid }));
            let sight = chain.mine_until(&it, is_mined).await;
            assert_eq!(wallet.send(&tx.raw).await, Ok(Sent::Taken));

            let Sight::Mined {
                height,
                block,
                confirmations: 1,
                paid: true,
                fee,
                ..
            } = sight
            else {
                panic!("it was mined: {sight:?}")
            };
            assert_eq!(chain.node.hash_at(height).await, Ok(Some(block)));
            assert_eq!(chain.balance(&to), 3 * MILLI);
            assert!(
                0 < fee && fee <= tx.fee && fee <= expected,
                "{fee} of {} and {expected}",
                tx.fee
            );
            // The block's fee comes back to the wallet, which is the miner; but not what is burnt.
            let header = chain
                .node
                .header_at(height)
                .await
                .expect("an answer")
                .expect("a block");
            let burnt = header
                .base_fee
                .map_or(0, |base| u128::try_from(base).expect("small"))
                * GAS;
            let now = wallet.ready().await.expect("ready").balance;
            assert_eq!(now, u128::from(height) * 2 * COIN - 3 * MILLI - burnt);

            chain.mine(3).await;
            let sight = wallet.look(&it).await;
            let deeper = Sight::Mined {
                txid,
                height,
                block,
                confirmations: 4,
                paid: true,
                fee,
            };
            assert_eq!(sight, Ok(deeper));
        });
    }
}

#[test]
fn a_replacement_pays_an_eighth_more_and_one_of_the_versions_is_mined() {
    for is_london in [true, false] {
        run(async {
            let chain = Chain::start(is_london, 2).await;
            let wallet = &chain.wallet;
            let order = pay([0x78; 20], MILLI);
            let first = chain.sign(&order).await;
            assert_eq!(wallet.send(&first.raw).await, Ok(Sent::Taken));

            // Paying another one, or with a nonce that is not the wallet's, it would be no replacement.
            let mut other = pay([0x79; 20], MILLI);
            other.replaces = Some(first.raw.clone());
            let refused = wallet.sign(&other).await;
            assert!(
                matches!(refused, Err(WalletError::Cannot(_))),
                "{refused:?}"
            );

            let mut again = order.clone();
            again.replaces = Some(first.raw.clone());
            let second = chain.sign(&again).await;
            let (old, new) = (fees(&first), fees(&second));
            assert!(old.max() * 9 <= new.max() * 8 && old.priority() * 9 <= new.priority() * 8);
            assert_eq!(second.spends, first.spends);
            assert_eq!(wallet.send(&second.raw).await, Ok(Sent::Taken));
            let both = watched(&[&first, &second]);
            let txid = second.txid;
            assert_eq!(wallet.look(&both).await, Ok(Sight::Pending { txid }));
            // The node has dropped the first for it, and says so if it comes again.
            let refused = wallet.send(&first.raw).await;
            assert!(matches!(refused, Ok(Sent::Refused(_))), "{refused:?}");

            let sight = chain.mine_until(&both, is_mined).await;
            assert!(
                matches!(sight, Sight::Mined { txid: mined, .. } if mined == txid),
                "{sight:?}"
            );
            assert_eq!(chain.balance(&[0x78; 20]), MILLI);
            again.replaces = Some(second.raw.clone());
            let late = wallet.sign(&again).await;
            assert!(matches!(late, Err(WalletError::NotReady(_))), "{late:?}");
        });
    }
}

/// Nightly reconciliations look for each confirmed block: by the name that the ledger has it under, which is not its hash, and also
/// where another branch left it as an uncle.
#[test]
fn a_block_of_ours_is_found_by_its_shares_name_and_as_an_uncle() {
    run(async {
        let chain = Chain::start(true, 1).await;
        let wallet = &chain.wallet;
        let (below, height, _) = chain.mine_one().await;
        let (lost, at, work) = chain.mine_one().await;
        for (name, height, stands) in [
            (below, height, true),
            (lost, at, true),
            (lost, height, false),
            (below, at, false),
            (below, at + 1, false),
            (Hash([7; 32]), height, false),
        ] {
            let found = wallet.our_block(name, height).await;
            let found = found.expect("an answer");
            assert_eq!(found.height(), stands.then_some(height), "{height}");
        }
        // A transaction's block is asked for by its hash, as ever.
        let hash = chain.node.hash_at(at).await.expect("an answer");
        let hash = hash.expect("a block");
        assert_eq!(wallet.block(hash).await, Ok(Some(at)));
        assert_eq!(wallet.block(lost).await, Ok(None));

        chain.branch(1, 2, &work);
        let gone = Ok(Found::Gone { tip: at + 1 });
        assert_eq!(wallet.our_block(lost, at).await, gone);
        let ask = async || {
            chain.mine(1).await;
            wallet.our_block(lost, at).await
        };
        let found = until("the uncle", ask, |found| *found == Ok(Found::At(at))).await;
        assert_eq!(found, Ok(Found::At(at)));
        let tip = chain.node.tip().await.expect("a tip").height;
        assert!(tip <= at + 6, "no later block may name it");
        assert_eq!(wallet.block(hash).await, Ok(None), "it stands nowhere");
        let stands = Ok(Found::At(height));
        assert_eq!(wallet.our_block(below, height).await, stands);
    });
}

/// What the ledger has of the wallet: these transactions.
fn asked(of: &[&SignedTx]) -> Asked {
    Asked {
        txids: of.iter().map(|one| one.txid).collect(),
        spends: of.iter().map(|one| one.spends.clone()).collect(),
        since: Some(1),
        ..Asked::default()
    }
}

async fn survey(wallet: &EvmWallet, asked: &Asked) -> Survey {
    match wallet.survey(asked).await.expect("an answer") {
        Surveyed::Done(survey) => survey,
        Surveyed::Reading(left) => panic!("no block is read: {left}"),
    }
}

/// Before the ledger's first nonce, and after its last.
#[test]
fn a_survey_names_each_nonce_that_no_event_names() {
    run(async {
        let chain = Chain::start(true, 2).await;
        let wallet = &chain.wallet;
        let before = chain.sign(&pay([0x71; 20], MILLI)).await;
        chain.send_raw(&before.raw);
        chain.mine_until(&watched(&[&before]), is_mined).await;
        let ours = chain.sign(&pay([0x72; 20], 2 * MILLI)).await;
        let payments = wallet.payments(&ours.raw).expect("payments");
        assert_eq!(payments, pay([0x72; 20], 2 * MILLI).pays);
        chain.send_raw(&ours.raw);
        let known = asked(&[&ours]);
        assert_eq!(survey(wallet, &known).await.foreign, [], "it waits");
        let sight = chain.mine_until(&watched(&[&ours]), is_mined).await;
        let calm = survey(wallet, &known).await;
        assert_eq!(
            calm.foreign,
            [],
            "what was before the ledger's first is no matter"
        );
        assert_eq!(calm.balance, chain.balance(&wallet.address()));
        let Sight::Mined { block, height, .. } = sight else {
            panic!("it was mined: {sight:?}")
        };
        assert_eq!(Wallet::block(wallet, block).await, Ok(Some(height)));
        assert_eq!(Wallet::block(wallet, Hash([7; 32])).await, Ok(None));

        // Somebody else with the key.
        let stranger = chain.sign(&pay([0x73; 20], 3 * MILLI)).await;
        chain.send_raw(&stranger.raw);
        let waits = Foreign {
            txid: None,
            height: None,
            nonce: Some(2),
        };
        assert_eq!(survey(wallet, &known).await.foreign, [waits]);
        let sight = chain.mine_until(&watched(&[&stranger]), is_mined).await;
        let Sight::Mined { height, .. } = sight else {
            panic!("it was mined: {sight:?}")
        };
        let found = Foreign {
            txid: Some(stranger.txid),
            height: Some(height),
            nonce: Some(2),
        };
        assert_eq!(survey(wallet, &known).await.foreign, [found]);
        assert_eq!(
            survey(wallet, &asked(&[&ours, &stranger])).await.foreign,
            []
        );
    });
}

/// Another transaction of the same key, from elsewhere: the ledger's one can never be mined.
#[test]
fn a_nonce_that_another_transaction_used_is_a_conflict_with_its_name() {
    run(async {
        let chain = Chain::start(true, 2).await;
        let wallet = &chain.wallet;
        let ours = chain.sign(&pay([0x7a; 20], MILLI)).await;
        let it = watched(&[&ours]);
        let mut tx = Tx::read(&ours.raw).expect("ours").tx;
        tx.to = [0x7b; 20];
        let foreign = tx.sign(&key());
        chain.send_raw(&foreign);
        assert_eq!(
            wallet.look(&it).await,
            Ok(Sight::Nowhere),
            "it is not decided yet"
        );
        // What the ledger does not have waits at the wallet's nonce: nothing is signed beside it.
        let beside = wallet.sign(&pay([0x7a; 20], MILLI)).await;
        assert!(
            matches!(&beside, Err(WalletError::NotReady(why)) if why.contains("waits")),
            "{beside:?}"
        );

        let sight = chain
            .mine_until(&it, |sight| *sight != Sight::Nowhere)
            .await;
        let Sight::Conflict {
            by,
            height,
            confirmations: 1,
            fee,
        } = sight
        else {
            panic!("it was a conflict: {sight:?}")
        };
        assert_eq!(by, keccak256(&foreign));
        assert!(0 < fee && fee <= ours.fee);
        let refused = wallet.send(&ours.raw).await;
        assert!(
            matches!(&refused, Ok(Sent::Refused(why)) if why.contains("nonce too low")),
            "{refused:?}"
        );
        chain.mine(5).await;
        let deeper = Sight::Conflict {
            by,
            height,
            confirmations: 6,
            fee,
        };
        assert_eq!(wallet.look(&it).await, Ok(deeper));

        // The other side: the foreign one is a mined one, if it is asked for.
        let (txid, spends) = (by, it.spends.clone());
        let foreign = Watched {
            versions: vec![(txid, foreign)],
            spends,
        };
        let sight = wallet.look(&foreign).await.expect("an answer");
        assert!(
            matches!(
                sight,
                Sight::Mined {
                    paid: true,
                    confirmations: 6,
                    ..
                }
            ),
            "{sight:?}"
        );
    });
}

/// A program that takes a payment only while it owns nothing: it reverts unless its balance is what it gets.
/// `CALLVALUE SELFBALANCE EQ PUSH1 10 JUMPI PUSH1 0 DUP1 REVERT JUMPDEST STOP`, and what deploys it.
const ONCE: [u8; 12] = [
    0x34, 0x47, 0x14, 0x60, 10, 0x57, 0x60, 0, 0x80, 0xfd, 0x5b, 0,
];

/// Deploys [`ONCE`] with the wallet's nonce; the address of a contract is of its maker and his nonce.
fn deployment(nonce: u64) -> (Vec<u8>, [u8; 20]) {
    let mut init = vec![0x6b];
    init.extend(ONCE);
    init.extend([0x60, 0, 0x52, 0x60, 12, 0x60, 20, 0xf3]);
    let fields = || {
        let list = List::new()
            .number(nonce.into())
            .number(5_000_000_000)
            .number(200_000);
        list.bytes(&[]).number(0).bytes(&init)
    };
    let unsigned = fields().number(CHAIN.into()).number(0).number(0).to_bytes();
    let proof = key().sign(&keccak256(&unsigned));
    let v = 35 + 2 * CHAIN + u64::from(proof.is_odd);
    let raw = fields()
        .number(v.into())
        .scalar(&proof.r)
        .scalar(&proof.s)
        .to_bytes();
    let name = keccak256(
        &List::new()
            .bytes(&key().address())
            .number(nonce.into())
            .to_bytes(),
    );
    (raw, name.0[12..].try_into().expect("20 bytes"))
}

#[test]
fn a_program_that_refuses_a_payment_costs_its_gas_and_pays_nobody() {
    run(async {
        let chain = Chain::start(true, 2).await;
        let wallet = &chain.wallet;
        let (deploy, program) = deployment(0);
        chain.send_raw(&deploy);
        chain.mine(2).await;
        let code = chain.geth.ask(
            "eth_getCode",
            &json!([format!("0x{}", hex(&program)), "latest"]),
        );
        assert_eq!(code, format!("0x{}", hex(&ONCE)));

        // Both look well when they are signed; the second meets what the first left behind.
        let order = pay(program, MILLI);
        let mut narrow = config();
        narrow.contract_gas_max = 21_010;
        let above = self::wallet(&chain.geth, narrow).sign(&order).await;
        assert!(
            matches!(&above, Err(WalletError::Cannot(why)) if why.contains("cap")),
            "{above:?}"
        );
        let first = chain.sign(&order).await;
        assert!(GAS < u128::from(Tx::read(&first.raw).expect("ours").tx.gas));
        let second = chain
            .sign(&Order {
                taken: vec![first.raw.clone()],
                ..order.clone()
            })
            .await;
        for tx in [&first, &second] {
            assert_eq!(wallet.send(&tx.raw).await, Ok(Sent::Taken));
        }
        let sight = chain.mine_until(&watched(&[&first]), is_mined).await;
        assert!(
            matches!(sight, Sight::Mined { paid: true, .. }),
            "{sight:?}"
        );
        let sight = chain.mine_until(&watched(&[&second]), is_mined).await;
        let Sight::Mined {
            paid: false, fee, ..
        } = sight
        else {
            panic!("it was refused: {sight:?}")
        };
        assert!(0 < fee && fee < second.fee, "the gas that it used is gone");
        assert_eq!(chain.balance(&program), MILLI);

        // Now the node knows beforehand.
        let refused = wallet.sign(&order).await;
        assert!(
            matches!(&refused, Err(WalletError::Cannot(why)) if why.contains("revert")),
            "{refused:?}"
        );
        let refused = wallet.estimate(&order.pays).await;
        assert!(
            matches!(refused, Err(WalletError::Cannot(_))),
            "{refused:?}"
        );
    });
}

/// Ten lines of a batch are ten transactions with ten nonces; the node is killed while they wait.
#[test]
fn ten_transactions_stand_in_one_line_and_outlive_the_nodes_death() {
    run(async {
        let mut chain = Chain::start(true, 2).await;
        assert_eq!(chain.wallet.divide(3), [0..1, 1..2, 2..3]);
        let mut signed: Vec<SignedTx> = Vec::new();
        for number in 0..10 {
            let mut order = pay([0x80 + number; 20], MILLI + u128::from(number));
            order.taken = signed.iter().map(|tx| tx.raw.clone()).collect();
            signed.push(chain.sign(&order).await);
        }
        for (nonce, tx) in (0_u64..).zip(&signed) {
            let mut spends = key().address().to_vec();
            spends.extend(nonce.to_le_bytes());
            assert_eq!(tx.spends, spends);
        }
        // What waits is not to be spent again.
        let mut rich = pay([0x90; 20], 3_995 * MILLI);
        rich.taken = signed.iter().map(|tx| tx.raw.clone()).collect();
        let refused = chain.wallet.sign(&rich).await;
        assert!(
            matches!(&refused, Err(WalletError::NotReady(why)) if why.contains("no funds")),
            "{refused:?}"
        );

        // The last comes first and waits for the others.
        for tx in signed.iter().rev() {
            assert_eq!(chain.wallet.send(&tx.raw).await, Ok(Sent::Taken));
        }
        chain.again();
        let tip = chain.node.tip().await.expect("a tip");
        assert_eq!(tip.height, 2, "the chain is what it was");
        for tx in &signed {
            // Whether a node that was killed still has them is its affair.
            let sight = chain.wallet.look(&watched(&[tx])).await;
            assert!(
                matches!(sight, Ok(Sight::Nowhere | Sight::Pending { .. })),
                "{sight:?}"
            );
            assert_eq!(chain.wallet.send(&tx.raw).await, Ok(Sent::Taken));
        }
        for (number, tx) in (0..10).zip(&signed) {
            let sight = chain.mine_until(&watched(&[tx]), is_mined).await;
            assert!(
                matches!(sight, Sight::Mined { paid: true, .. }),
                "{sight:?}"
            );
            assert_eq!(
                chain.balance(&[0x80 + number; 20]),
                MILLI + u128::from(number)
            );
        }
        let height = chain.node.tip().await.expect("a tip").height;
        chain.again();
        let sight = chain.wallet.look(&watched(&[&signed[9]])).await;
        assert!(
            matches!(sight, Ok(Sight::Mined { .. })),
            "after block {height}: {sight:?}"
        );
    });
}

#[test]
fn a_wallet_is_not_ready_on_another_chain_without_peers_or_above_its_caps() {
    run(async {
        let chain = Chain::start(true, 1).await;
        type Change = fn(&mut EvmWalletConfig);
        let changes: [(Change, &str); 4] = [
            (|config| config.chain_id = 61, "chain 1337"),
            (|config| config.peers_min = 1, "0 peers"),
            (|config| config.gas_price_max = 1_000, "above its cap"),
            (|config| config.tip_age_max = Some(Duration::ZERO), "s old"),
        ];
        let order = pay([0x91; 20], MILLI);
        // So that the best block is of an earlier second than the question.
        let second = chain.node.latest().await.expect("a block").time;
        let now = async || {
            std::time::SystemTime::UNIX_EPOCH
                .elapsed()
                .map(|now| now.as_secs())
        };
        until(
            "the next second",
            now,
            |now| matches!(now, Ok(now) if u64::from(second) < *now),
        )
        .await
        .expect("a clock");
        for (change, words) in changes {
            let mut narrow = config();
            change(&mut narrow);
            let narrow = wallet(&chain.geth, narrow);
            let ready = narrow.ready().await.map(drop);
            let signed = narrow.sign(&order).await.map(drop);
            for told in [ready, signed] {
                assert!(
                    matches!(&told, Err(WalletError::NotReady(why)) if why.contains(words)),
                    "{words}: {told:?}"
                );
            }
        }
        // Nothing that is not the wallet's is sent, and nothing that is no address of the chain is paid.
        let stranger = EvmKey::new(&[0x52; 32]).expect("a key");
        let tx = chain.sign(&order).await;
        let foreign = Tx::read(&tx.raw).expect("ours").tx.sign(&stranger);
        for told in [
            chain.wallet.send(&foreign).await.map(drop),
            chain.wallet.send(b"\x02\xc0").await.map(drop),
            chain.wallet.sign(&pay([0; 20], 1)).await.map(drop),
            chain
                .wallet
                .sign(&Order {
                    taken: vec![foreign],
                    ..order.clone()
                })
                .await
                .map(drop),
            chain
                .wallet
                .look(&Watched {
                    versions: vec![(Hash::ZERO, tx.raw)],
                    spends: vec![0; 28],
                })
                .await
                .map(drop),
        ] {
            assert!(matches!(told, Err(WalletError::Cannot(_))), "{told:?}");
        }
        let mut dear = order;
        dear.fee_max = 21_000;
        let told = chain.wallet.sign(&dear).await;
        assert!(
            matches!(&told, Err(WalletError::NotReady(why)) if why.contains("above its cap")),
            "{told:?}"
        );
    });
}
