//! The development chain answers a wallet's questions as a node that is a program does.

use orebook_chain::wallet::bitcoin::{BitcoinNode, Heard, Outpoint};
use orebook_chain::{DevCoin, NodeError};
use orebook_schema::units::Hash;

use crate::growth::{OURS, THEIRS};
use crate::payments::{Draft, funded, mine_to};

fn outpoint(coin: &DevCoin) -> Outpoint {
    let (txid, vout) = coin.out_point.split_at(32);
    Outpoint {
        txid: Hash(txid.try_into().expect("32 bytes")),
        vout: u32::from_le_bytes(vout.try_into().expect("4 bytes")),
    }
}

#[tokio::test]
async fn a_wallet_sees_its_coins_spends_one_and_finds_the_payment() {
    let (chain, time, payer) = funded();
    let node = BitcoinNode::of_dev(chain.clone());
    let standing = node.standing().await.expect("an answer");
    assert_eq!((standing.height, standing.hash), (6, chain.tip().hash));
    assert!(!standing.is_catching_up && standing.peers == 0);
    assert_eq!(node.rate(6).await, Ok(None));
    let listed = node.coins(&payer.script()).await.expect("an answer");
    assert_eq!((listed.height, listed.tip), (6, chain.tip().hash));
    let mut coins = chain.unspent(&payer.script());
    coins.sort_by_key(|coin| coin.height);
    let of = |coin: &DevCoin| {
        let found = listed
            .coins
            .iter()
            .find(|one| one.outpoint == outpoint(coin));
        let found = found.expect("listed");
        (found.value, found.confirmations, found.is_coinbase)
    };
    assert_eq!(of(&coins[0]), (coins[0].amount, 6, Some(true)));
    assert_eq!(of(&coins[2]), (coins[2].amount, 1, Some(true)));

    let raw = payer.pay(&Draft::of(
        &coins[..1],
        &[(coins[0].amount - 1_000, &THEIRS)],
    ));
    let txid = chain.submit_transaction(&raw).expect("taken");
    assert_eq!(node.send(&raw, txid).await, Ok(Heard::Taken), "it has it");
    let own = [outpoint(&coins[0])];
    for (pool, is_there) in [(false, true), (true, false)] {
        let told = node.outputs(&own, pool).await.expect("an answer");
        assert_eq!(told[0].is_some(), is_there, "the pool counts: {pool}");
    }
    let known = node.transaction(txid).await.expect("an answer");
    assert_eq!(known.map(|known| known.block), Some(None));
    let block = mine_to(&chain, &time, &OURS, 1)[0];
    let known = node.transaction(txid).await.expect("an answer");
    let known = known.expect("mined");
    assert_eq!((known.block, known.raw), (Some(block), raw.clone()));
    assert_eq!(node.send(&raw, txid).await, Ok(Heard::Taken), "it is mined");
    assert_eq!(node.outputs(&own, false).await, Ok(vec![None]));
    assert_eq!(node.hash_at(7).await, Ok(Some(block)));
    let bytes = node.block(block).await.expect("known");
    assert_eq!(chain.block_bytes(block), Some(bytes));
    let double = payer.pay(&Draft::of(&coins[..1], &[(1_000, &OURS)]));
    assert_eq!(
        node.send(&double, Hash::ZERO).await,
        Ok(Heard::Refused("bad-txns-inputs-missingorspent".to_owned()))
    );
    assert!(matches!(node.held_balance().await, Err(NodeError::Kind)));
}
