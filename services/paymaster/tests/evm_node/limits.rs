//! What a wallet does not sign: each limit at its last unit.

use std::time::{Duration, SystemTime};

use orebook_paymaster::evm::{EvmWalletConfig, Tx};
use orebook_paymaster::wallet::{Order, Wallet as _, WalletError};
use orebook_schema::Hash;

use super::{Fake, PRICE, TO, config, key, order, run};

/// What the wallet of a node signs, or why it does not.
async fn signed(node: Fake, order: &Order) -> Result<Tx, String> {
    match node.wallet().await.sign(order).await {
        Ok(signed) => {
            let tx = Tx::read(&signed.raw).expect("a payment").tx;
            assert_eq!(signed.fee, tx.fee_max());
            Ok(tx)
        }
        Err(WalletError::NotReady(why)) => Err(format!("not ready: {why}")),
        Err(WalletError::Cannot(why)) => Err(format!("cannot: {why}")),
        Err(other) => panic!("{other:?}"),
    }
}

/// The wallet's payment at a nonce, as it signs it.
async fn raw_at(nonce: u64) -> Vec<u8> {
    let tx = signed(Fake::default(), &order()).await.expect("a payment");
    Tx { nonce, ..tx }.sign(&key())
}

/// Five units for 21,000 of gas, with all that goes before it: what is mined is paid, and what it replaces is not paid beside it.
#[test]
fn what_the_balance_does_not_have_is_not_signed() {
    run(async {
        let one = 5 + 21_000 * PRICE;
        let again = 5 + 21_000 * PRICE / 8 * 9;
        let mined = Some((390, Hash([0xee; 32]), 0));
        let (first, second) = (raw_at(0).await, raw_at(1).await);
        for (mined, taken, replaces, wanted) in [
            (None, vec![], None, one),
            (None, vec![&first], None, 2 * one),
            (None, vec![&first, &second], None, 3 * one),
            (mined, vec![&first, &second], None, 2 * one),
            (None, vec![&first, &second], Some(&second), one + again),
        ] {
            let order = Order {
                taken: taken.into_iter().cloned().collect(),
                replaces: replaces.cloned(),
                ..order()
            };
            let has = |balance| Fake {
                balance,
                mined,
                ..Fake::default()
            };
            assert!(signed(has(wanted), &order).await.is_ok(), "{wanted}");
            let short = signed(has(wanted - 1), &order).await;
            let why = format!(
                "not ready: no funds: it has {} base units, and {wanted} are wanted",
                wanted - 1
            );
            assert_eq!(short, Err(why));
        }
    });
}

#[test]
fn nothing_is_signed_where_a_stranger_waits_at_the_next_nonce() {
    run(async {
        for (pending, taken, nonce) in [
            (0, vec![], Ok(0)),
            (1, vec![], Err(0)),
            (1, vec![0], Ok(1)),
            (2, vec![0], Err(1)),
            (2, vec![0, 1], Ok(2)),
        ] {
            let mut order = order();
            for nonce in taken {
                order.taken.push(raw_at(nonce).await);
            }
            let node = Fake {
                pending: Some(pending),
                ..Fake::default()
            };
            let found = signed(node, &order).await.map(|tx| tx.nonce);
            let wanted = nonce.map_err(|nonce| {
                format!("not ready: a transaction that the ledger does not have waits at the wallet's nonce {nonce}")
            });
            assert_eq!(found, wanted, "{pending}");
        }
    });
}

#[test]
fn a_replacement_has_the_nonce_of_what_it_replaces_and_pays_an_eighth_more() {
    run(async {
        let (first, second) = (raw_at(0).await, raw_at(1).await);
        let order = Order {
            taken: vec![first.clone(), second],
            replaces: Some(first),
            ..order()
        };
        let tx = signed(Fake::default(), &order)
            .await
            .expect("a replacement");
        assert_eq!((tx.nonce, tx.value, tx.to), (0, 5, TO));
        assert_eq!(tx.fee_max(), 21_000 * PRICE / 8 * 9);
        let node = Fake {
            mined: Some((390, Hash([0xee; 32]), 0)),
            ..Fake::default()
        };
        let why = "not ready: what it replaces has its nonce used already";
        assert_eq!(signed(node, &order).await, Err(why.to_owned()));
        let mut other = order;
        other.pays[0].amount = 6;
        let why = "cannot: a replacement pays the same amount to the same address";
        assert_eq!(signed(Fake::default(), &other).await, Err(why.to_owned()));
    });
}

#[test]
fn a_program_gets_a_quarter_more_gas_than_it_wants_and_never_more_than_its_cap() {
    run(async {
        for (wants, gas) in [
            (40_000, Ok(50_000)),
            (80_001, Ok(100_000)),
            (100_000, Ok(100_000)),
            (100_001, Err("above the cap of 100000")),
        ] {
            let node = Fake {
                gas: Some(wants),
                ..Fake::default()
            };
            let found = signed(node, &order()).await.map(|tx| tx.gas);
            match (found, gas) {
                (Ok(found), Ok(gas)) => assert_eq!(found, gas, "{wants}"),
                (Err(why), Err(words)) => {
                    assert!(why.starts_with("cannot: ") && why.ends_with(words), "{why}");
                }
                other => panic!("{wants}: {other:?}"),
            }
        }
    });
}

/// A day old or of this minute, where an hour is allowed; each in `ready` and in `sign`.
#[test]
fn a_node_whose_best_block_is_too_old_or_whose_gas_is_too_dear_is_not_ready() {
    run(async {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.expect("after 1970").as_secs() - 400;
        let hour = Some(Duration::from_secs(3_600));
        let day = 86_400;
        for (time, tip_age_max, gas_price_max, why) in [
            (now, hour, PRICE, None),
            (now - day, None, PRICE, None),
            (now - day, hour, PRICE, Some("s old, more than 3600")),
            (now, hour, PRICE - 1, Some("above its cap of 999999999")),
        ] {
            let config = EvmWalletConfig {
                tip_age_max,
                gas_price_max,
                ..config()
            };
            let node = Fake {
                time,
                ..Fake::default()
            };
            let wallet = node.wallet_of(config).await;
            for told in [
                wallet.ready().await.map(drop),
                wallet.sign(&order()).await.map(drop),
            ] {
                match (told, why) {
                    (Ok(()), None) => {}
                    (Err(WalletError::NotReady(told)), Some(why)) => {
                        assert!(told.ends_with(why), "{told}");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    });
}

#[test]
fn a_payment_that_would_cost_more_than_its_order_allows_is_not_signed() {
    run(async {
        for (less, is_signed) in [(0, true), (1, false)] {
            let order = Order {
                fee_max: 21_000 * PRICE - less,
                ..order()
            };
            let found = signed(Fake::default(), &order).await;
            assert_eq!(found.is_ok(), is_signed, "{found:?}");
        }
    });
}
