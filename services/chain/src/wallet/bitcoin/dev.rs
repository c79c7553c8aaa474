//! The development chain's answers to a wallet.

use orebook_schema::units::Hash;

use super::{Coin, Coins, Heard, Known, Outpoint, Standing, is_known};
use crate::dev::{DevChain, DevCoin, DevPlace, DevRefusal, OutPoint};
use crate::node::NodeError;

/// What it relays, base units per 1,000 virtual bytes.
const RELAY_RATE: u64 = 1_000;

pub(super) fn standing(chain: &DevChain) -> Standing {
    let tip = chain.tip();
    Standing {
        height: tip.height,
        hash: tip.hash,
        peers: 0,
        is_catching_up: false,
        relay_rate: RELAY_RATE,
        replace_rate: RELAY_RATE,
    }
}

/// Between two questions a block may come: then it is asked again.
pub(super) fn coins(chain: &DevChain, script: &[u8]) -> Coins {
    loop {
        let tip = chain.tip();
        let coins = chain.unspent(script);
        if chain.tip() == tip {
            let coins = coins.into_iter();
            return Coins {
                tip: tip.hash,
                height: tip.height,
                coins: coins.map(|coin| shown(&coin, script.to_vec())).collect(),
            };
        }
    }
}

pub(super) fn output(chain: &DevChain, outpoint: Outpoint, pool: bool) -> Option<Coin> {
    let (coin, script) = chain.coin(&written(outpoint))?;
    let is_there = !pool || coin.pool_spender.is_none();
    is_there.then(|| shown(&coin, script))
}

pub(super) fn transaction(chain: &DevChain, txid: Hash) -> Option<Known> {
    let found = chain.transaction(txid)?;
    Some(Known {
        block: match found.place {
            DevPlace::Pool => None,
            DevPlace::Block { hash, .. } => Some(hash),
        },
        raw: found.raw,
    })
}

pub(super) fn send(chain: &DevChain, raw: &[u8]) -> Result<Heard, NodeError> {
    match chain.submit_transaction(raw) {
        Ok(_) => Ok(Heard::Taken),
        Err(DevRefusal::Refused(words)) if is_known(words) => Ok(Heard::Taken),
        Err(DevRefusal::Unknown(_)) => Err(NodeError::Broken),
        Err(refusal) => Ok(Heard::Refused(refusal.to_string())),
    }
}

fn shown(coin: &DevCoin, script: Vec<u8>) -> Coin {
    let (txid, vout) = coin.out_point.split_at(32);
    Coin {
        outpoint: Outpoint {
            txid: Hash(txid.try_into().unwrap_or_default()),
            vout: u32::from_le_bytes(vout.try_into().unwrap_or_default()),
        },
        value: coin.amount,
        script,
        confirmations: coin.confirmations,
        is_coinbase: Some(coin.is_coinbase),
    }
}

fn written(outpoint: Outpoint) -> OutPoint {
    let bytes = outpoint.txid.0.into_iter();
    let bytes = bytes.chain(outpoint.vout.to_le_bytes());
    let mut point = [0; 36];
    for (to, from) in point.iter_mut().zip(bytes) {
        *to = from;
    }
    point
}
