//! The paymaster's hot wallet, as the configuration says.

use std::ops::Range;
use std::path::{Path, PathBuf};

use orebook_chain::address::{Network, account};
use orebook_chain::rpc::{Credentials, RpcConfig};
use orebook_chain::wallet::bitcoin::BitcoinNode;
use orebook_chain::wallet::evm::EvmNode;
use orebook_chain::{DevChain, EthConfig};
use orebook_paymaster::bitcoin::key::Key;
use orebook_paymaster::bitcoin::{BitcoinConfig, BitcoinWallet};
use orebook_paymaster::evm::{EvmKey, EvmWallet, EvmWalletConfig};
use orebook_paymaster::survey::{Asked, Surveyed};
use orebook_paymaster::wallet::{
    Found, Order, Pay, Ready, Sent, Sight, SignedTx, Wallet, WalletError, Watched,
};
use orebook_schema::names::Script;
use orebook_schema::{Account, Hash};

use super::chain::Addresses;
use super::place::Place;
use super::stop_at::StopAt;
use crate::Failure;
use crate::init::WALLET_KEY;
use orebook::config::{Config, Node, Wallet as Said, WalletKind, base_units};

/// A hot wallet of any kind of chain.
pub(crate) struct HotWallet {
    of: Kind,
    stop_at: StopAt,
}

enum Kind {
    Bitcoin(Box<BitcoinWallet>),
    Evm(Box<EvmWallet>),
}

/// Where a wallet's key is.
fn key_file(said: Option<&Said>, place: &Place) -> PathBuf {
    let named = said.and_then(|said| said.key_file.clone());
    named.unwrap_or_else(|| place.path().join("keys").join(WALLET_KEY))
}

/// The key of the development chain's wallet; none in a folder of before there was one.
fn development_key(config: &Config, place: &Place) -> Result<Option<Key>, Failure> {
    let path = key_file(config.wallet.as_ref(), place);
    if !path.exists()
        && config
            .wallet
            .as_ref()
            .is_none_or(|said| said.key_file.is_none())
    {
        return Ok(None);
    }
    read_key(&path).map(Some)
}

/// Its output script, which the pool's blocks pay there.
pub(super) fn development_script(
    config: &Config,
    place: &Place,
) -> Result<Option<Script>, Failure> {
    let key = development_key(config, place)?;
    key.map(|key| script(&key.witness_script())).transpose()
}

fn read_key(path: &Path) -> Result<Key, Failure> {
    Key::read(path).map_err(|error| {
        Failure::new(format!("{}: {error}", path.display()))
            .hint("see docs/runbooks/paymaster-host-lost.md")
    })
}

/// Opens the wallet; none on a development chain without a key. Nothing is asked yet.
pub(crate) fn open(
    config: &Config,
    said: &Said,
    place: &Place,
    chain: Option<DevChain>,
) -> Result<Option<HotWallet>, Failure> {
    let stop_at = place.stop_at.clone();
    let of = kind(config, said, place, chain)?;
    Ok(of.map(|of| HotWallet { of, stop_at }))
}

fn kind(
    config: &Config,
    said: &Said,
    place: &Place,
    chain: Option<DevChain>,
) -> Result<Option<Kind>, Failure> {
    let Addresses(network) = Addresses::of(place)?;
    if let Some(chain) = chain {
        let Some(key) = development_key(config, place)? else {
            return Ok(None);
        };
        let script = script(&key.witness_script())?;
        let mut own = bitcoin(said, network, script)?;
        own.maturity = u64::from(config.development.maturity);
        return wallet(own, Some(key), BitcoinNode::of_dev(chain)).map(Some);
    }
    let node = said.node(&config.node).map_err(Failure::new)?;
    let node = node.ok_or_else(|| Failure::new("the wallet has no node to ask"))?;
    let address = config.pool.payout_address.as_deref().unwrap_or_default();
    let address = account(address, network)
        .map_err(|error| Failure::new(format!("pool.payout_address: {error}")))?;
    match address {
        Account::Script(script) => {
            let key = match said.kind {
                WalletKind::Key => Some(read_key(&key_file(Some(said), place))?),
                WalletKind::Node => None,
            };
            let asked = rpc(node, said, network)?;
            wallet(bitcoin(said, network, script)?, key, asked).map(Some)
        }
        Account::Evm(address) => {
            let key = key_file(Some(said), place);
            evm(said, place, node, &key, address).map(Some)
        }
        Account::Name(_) => Err(Failure::new("pool.payout_address: a name is no address")),
    }
}

fn script(bytes: &[u8]) -> Result<Script, Failure> {
    Script::new(bytes).ok_or_else(|| Failure::new("the wallet's key has no script"))
}

fn bitcoin(said: &Said, network: Network, script: Script) -> Result<BitcoinConfig, Failure> {
    let mut own = BitcoinConfig::new(network, script);
    own.rate_max = said.fee_rate_max.unwrap_or(own.rate_max);
    own.rate_fallback = said.fee_rate_fallback.unwrap_or(own.rate_fallback);
    own.peers_min = said.peers_min.unwrap_or(own.peers_min);
    let fee_max = base_units("fee_max", said.fee_max.as_deref()).map_err(Failure::new)?;
    let fee_max = fee_max.map(|fee_max| u64::try_from(fee_max).unwrap_or(u64::MAX));
    own.fee_max = fee_max.unwrap_or(own.fee_max);
    Ok(own)
}

fn wallet(config: BitcoinConfig, key: Option<Key>, node: BitcoinNode) -> Result<Kind, Failure> {
    let wallet = BitcoinWallet::new(config, key, node).map_err(|error| {
        Failure::new(format!("wallet: {error}"))
            .hint("pool.payout_address is the address of the wallet's key")
    })?;
    Ok(Kind::Bitcoin(Box::new(wallet)))
}

/// Number of the coin's chain (EIP-155); none if it has to be said.
fn chain_id(coin: &str) -> Option<u64> {
    match coin {
        "ethereum-classic" => Some(61),
        "expanse" => Some(2),
        _ => None,
    }
}

fn evm(
    said: &Said,
    place: &Place,
    node: &Node,
    key_file: &Path,
    address: [u8; 20],
) -> Result<Kind, Failure> {
    let of_coin = || chain_id(place.genesis.coin_name.as_str());
    let chain_id = said.chain_id.or_else(of_coin).ok_or_else(|| {
        Failure::new("wallet.chain_id: the coin's is not known")
            .hint("what the node answers to eth_chainId; every signature is for it alone")
    })?;
    let mut own = EvmWalletConfig::new(chain_id);
    let units = |key, text: &Option<String>| base_units(key, text.as_deref()).map_err(Failure::new);
    own.gas_price_max = units("gas_price_max", &said.gas_price_max)?.unwrap_or(own.gas_price_max);
    let priority_fee_max = units("priority_fee_max", &said.priority_fee_max)?;
    own.priority_fee_max = priority_fee_max.unwrap_or(own.priority_fee_max);
    own.peers_min = said.peers_min.unwrap_or(own.peers_min);
    let key = EvmKey::read(key_file).map_err(|error| {
        Failure::new(format!("{}: {error}", key_file.display()))
            .hint("see docs/runbooks/paymaster-host-lost.md")
    })?;
    let asked = EthConfig {
        credentials: node.credentials_file.clone().map(Credentials::file),
        ..EthConfig::new(node.rpc.clone())
    };
    let wallet = EvmWallet::new(own, key, EvmNode::new(asked));
    if wallet.address() != address {
        return Err(
            Failure::new("wallet: pool.payout_address is not of the key in the key file")
                .hint("what the nodes' blocks pay is what is paid from"),
        );
    }
    Ok(Kind::Evm(Box::new(wallet)))
}

fn rpc(node: &Node, said: &Said, network: Network) -> Result<BitcoinNode, Failure> {
    let name = &node.name;
    let credentials = node.credentials_file.clone().map(Credentials::file);
    let credentials =
        credentials.ok_or_else(|| Failure::new(format!("node {name}: no credentials_file")))?;
    let mweb = matches!(
        network,
        Network::Litecoin | Network::LitecoinTest | Network::LitecoinRegtest
    );
    let config = RpcConfig::new(node.rpc.clone(), credentials, mweb);
    BitcoinNode::new(config, said.node_wallet.as_deref())
        .map_err(|error| Failure::new(format!("wallet.node_wallet: {error}")))
}

impl Wallet for HotWallet {
    fn divide(&self, lines: usize) -> Vec<Range<usize>> {
        match &self.of {
            Kind::Bitcoin(wallet) => wallet.divide(lines),
            Kind::Evm(wallet) => wallet.divide(lines),
        }
    }

    fn accepts(&self, address: &Account) -> bool {
        match &self.of {
            Kind::Bitcoin(wallet) => wallet.accepts(address),
            Kind::Evm(wallet) => wallet.accepts(address),
        }
    }

    async fn ready(&self) -> Result<Ready, WalletError> {
        match &self.of {
            Kind::Bitcoin(wallet) => wallet.ready().await,
            Kind::Evm(wallet) => wallet.ready().await,
        }
    }

    async fn estimate(&self, pays: &[Pay]) -> Result<u128, WalletError> {
        match &self.of {
            Kind::Bitcoin(wallet) => wallet.estimate(pays).await,
            Kind::Evm(wallet) => wallet.estimate(pays).await,
        }
    }

    async fn sign(&self, order: &Order) -> Result<SignedTx, WalletError> {
        self.stop_at.pass("wallet", "sign", false);
        let done = match &self.of {
            Kind::Bitcoin(wallet) => wallet.sign(order).await,
            Kind::Evm(wallet) => wallet.sign(order).await,
        };
        self.stop_at.pass("wallet", "sign", true);
        done
    }

    async fn send(&self, raw: &[u8]) -> Result<Sent, WalletError> {
        self.stop_at.pass("wallet", "send", false);
        let done = match &self.of {
            Kind::Bitcoin(wallet) => wallet.send(raw).await,
            Kind::Evm(wallet) => wallet.send(raw).await,
        };
        self.stop_at.pass("wallet", "send", true);
        done
    }

    async fn look(&self, tx: &Watched) -> Result<Sight, WalletError> {
        match &self.of {
            Kind::Bitcoin(wallet) => wallet.look(tx).await,
            Kind::Evm(wallet) => wallet.look(tx).await,
        }
    }

    fn address(&self) -> Account {
        match &self.of {
            Kind::Bitcoin(wallet) => wallet.address(),
            Kind::Evm(wallet) => Wallet::address(wallet.as_ref()),
        }
    }

    fn payments(&self, raw: &[u8]) -> Result<Vec<Pay>, WalletError> {
        match &self.of {
            Kind::Bitcoin(wallet) => wallet.payments(raw),
            Kind::Evm(wallet) => wallet.payments(raw),
        }
    }

    async fn survey(&self, asked: &Asked) -> Result<Surveyed, WalletError> {
        match &self.of {
            Kind::Bitcoin(wallet) => wallet.survey(asked).await,
            Kind::Evm(wallet) => wallet.survey(asked).await,
        }
    }

    async fn block(&self, hash: Hash) -> Result<Option<u64>, WalletError> {
        match &self.of {
            Kind::Bitcoin(wallet) => wallet.block(hash).await,
            Kind::Evm(wallet) => wallet.block(hash).await,
        }
    }

    async fn our_block(&self, name: Hash, height: u64) -> Result<Found, WalletError> {
        match &self.of {
            Kind::Bitcoin(wallet) => wallet.our_block(name, height).await,
            Kind::Evm(wallet) => wallet.our_block(name, height).await,
        }
    }
}
