//! The coin's nodes, or the development chain in their place.

use std::sync::Arc;
use std::time::Duration;

use orebook_archiver::now_ms;
use orebook_chain::address::{self, Network};
use orebook_chain::dev::{DevChain, DevConfig, bits_of_difficulty};
use orebook_chain::hash::sha256d;
use orebook_chain::nodes::{NodeConfig, NodeKind, Nodes, NodesConfig, Timing};
use orebook_chain::rpc::{Credentials, RpcConfig};
use orebook_schema::Hash;
use orebook_schema::names::{Account, Script};
use tokio::runtime::Handle;

use super::place::Place;
use crate::Failure;
use orebook::config::{Config, Development};

/// Whose coinbase pays where nothing is configured.
const POOL_NAME: &str = "pool";
/// Who finds the blocks that are not ours.
const FOREIGN_NAME: &str = "somebody-else";
/// How often the development chain's other miners look at it.
const FOREIGN_TURN: Duration = Duration::from_millis(200);
/// The development node is in the process: asking it costs nothing.
const DEV_POLL: Duration = Duration::from_millis(100);
/// Witness program of a key's hash (BIP 141), as a script.
const P2WPKH: [u8; 2] = [0x00, 0x14];

/// The coin's chain as the roles see it.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) nodes: Nodes,
    pub(crate) dev: Option<DevChain>,
    pub(crate) payout: Script,
}

/// Addresses of the ledger's coin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses(Network);

impl Addresses {
    /// Those of a ledger's coin.
    pub(crate) fn of(place: &Place) -> Result<Self, Failure> {
        let coin = place.genesis.coin_name.as_str();
        let name = if coin == "dev" { "development" } else { coin };
        Network::parse(name)
            .map(Self)
            .ok_or_else(|| Failure::new(format!("addresses of {coin} are not known")))
    }

    /// The account of a login: a payout address.
    pub(crate) fn account(self, login: &str) -> Result<Account, String> {
        address::account(login, self.0).map_err(|error| error.to_string())
    }

    /// How an account is shown: the address, where it has one.
    pub(crate) fn shown(self, account: &Account) -> Option<String> {
        address::show_account(account, self.0)
    }

    /// A user of the development chain: `alice.rig1` is the address that "alice" stands for, and worker rig1.
    pub(crate) fn user_of(self, name: &str) -> Option<String> {
        let (account, worker) = name.split_once('.').unwrap_or((name, "default"));
        let script = script_of_name(account)?;
        let shown = address::show(script.bytes(), self.0)?;
        Some(format!("{shown}.{worker}"))
    }
}

/// The script that a name stands for on the development chain. Nobody has a key of it.
fn script_of_name(name: &str) -> Option<Script> {
    let hash = sha256d(name.as_bytes());
    let program = hash.0.get(..20)?;
    Script::new(&[&P2WPKH, program].concat())
}

impl Chain {
    /// Connects to the configured nodes, or opens the development chain in the pool's folder.
    pub(crate) fn start(config: &Config, place: &Place, runtime: &Handle) -> Result<Self, Failure> {
        let Addresses(network) = Addresses::of(place)?;
        let dev = if config.node.is_empty() {
            Some(development(&config.development, place)?)
        } else {
            None
        };
        let nodes = match &dev {
            Some(dev) => vec![NodeConfig {
                name: "development".to_owned(),
                kind: NodeKind::Dev(dev.clone()),
            }],
            None => configured(config, network),
        };
        let mut timing = Timing::default();
        if dev.is_some() {
            timing.poll = DEV_POLL;
        }
        let chain = place.genesis.chain;
        let nodes = NodesConfig {
            nodes,
            genesis: (chain != Hash::ZERO).then_some(chain),
            push: None,
            timing,
        };
        let _inside = runtime.enter();
        let nodes = Nodes::start(nodes).map_err(|error| Failure::new(error.to_string()))?;
        let payout = match &config.pool.payout_address {
            Some(text) => address::parse(text, network)
                .map_err(|error| Failure::new(format!("pool.payout_address: {error}")))?,
            None => script_of_name(POOL_NAME)
                .ok_or_else(|| Failure::new("the development pool has no script"))?,
        };
        Ok(Self { nodes, dev, payout })
    }
}

fn configured(config: &Config, network: Network) -> Vec<NodeConfig> {
    let mweb = matches!(
        network,
        Network::Litecoin | Network::LitecoinTest | Network::LitecoinRegtest
    );
    let one = |node: &orebook::config::Node| NodeConfig {
        name: node.name.clone(),
        kind: NodeKind::Rpc(RpcConfig::new(
            node.rpc.clone(),
            Credentials::file(node.credentials_file.clone()),
            mweb,
        )),
    };
    config.node.iter().map(one).collect()
}

fn development(config: &Development, place: &Place) -> Result<DevChain, Failure> {
    let algorithm = place.genesis.algorithm;
    let unit = algorithm.work_unit();
    let bits_start = bits_of_difficulty(&config.difficulty, unit).ok_or_else(|| {
        let message = format!("development.difficulty: {} is none", config.difficulty);
        Failure::new(message)
    })?;
    let dev = DevConfig {
        algorithm,
        bits_start,
        block_time_s: config.block_seconds,
        maturity: config.maturity,
        ..DevConfig::default()
    };
    let clock = Arc::new(|| now_ms() / 1_000);
    DevChain::open(dev, clock, &place.path().join("chain"))
        .map_err(|error| Failure::new(format!("development chain: {error}")))
}

/// The rest of the development chain's world: others find blocks, and now and then the chain reorganises. What happens
/// after a block is decided by its hash. Runs on a thread until the process ends.
pub(crate) fn start_others(dev: DevChain, config: &Development) -> std::io::Result<()> {
    let (foreign, orphan) = (config.foreign_one_in, config.orphan_one_in);
    if foreign == 0 && orphan == 0 {
        return Ok(());
    }
    let is_turn = |byte: u8, one_in: u32| one_in != 0 && u32::from(byte) % one_in == 0;
    let others = move || {
        let mut seen = dev.tip().hash;
        loop {
            std::thread::sleep(FOREIGN_TURN);
            let tip = dev.tip();
            if tip.hash == seen {
                continue;
            }
            seen = tip.hash;
            let [first, second, ..] = tip.hash.0;
            let done = if is_turn(first, orphan) && 1 < tip.height {
                dev.reorganise(1).map(|_| ())
            } else if is_turn(second, foreign) {
                let script = script_of_name(FOREIGN_NAME);
                dev.mine(script.as_ref().map_or(&[][..], Script::bytes))
                    .map(|_| ())
            } else {
                Ok(())
            };
            if let Err(error) = done {
                tracing::warn!(%error, "the development chain's other miners");
            }
        }
    };
    let builder = std::thread::Builder::new().name("others".to_owned());
    builder.spawn(others).map(|_| ())
}
