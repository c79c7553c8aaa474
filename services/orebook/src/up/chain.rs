//! The coin's nodes, or the development chain in their place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use orebook_archiver::now_ms;
use orebook_chain::address::{self, Network};
use orebook_chain::dev::{DevChain, DevConfig, bits_of_difficulty};
use orebook_chain::hash::sha256d;
use orebook_chain::nodes::{NodeConfig, NodeKind, Nodes, NodesConfig, Timing};
use orebook_chain::rpc::{Credentials, RpcConfig};
use orebook_chain::{EthConfig, Landmark, PushDoor, Rewards};
use orebook_schema::Hash;
use orebook_schema::names::{Account, Script};
use orebook_schema::units::WorkUnit;
use orebook_settler::ethash::EthRules;
use orebook_settler::look::{Dialect, Payout};
use tokio::runtime::Handle;

use super::duty::Duty;
use super::place::Place;
use super::wallet;
use crate::Failure;
use orebook::config::{Config, Development, NodeKind as NodeText};

/// Whose coinbase pays where nothing is configured.
const POOL_NAME: &str = "pool";
/// Who finds the blocks that are not ours.
const FOREIGN_NAME: &str = "somebody-else";
/// How often the development chain's other miners look at it.
const FOREIGN_TURN: Duration = Duration::from_millis(200);
/// Blocks that they replace at most, and fewer than make a coinbase mature. On a busy machine they fall behind and would replace
/// ever more to catch up, also blocks that were paid out of for good: less than a test coin's depth for that, 4 (`payout_final_depth`).
const REPLACED_MAX: u64 = 3;
/// The development node is in the process: asking it costs nothing.
const DEV_POLL: Duration = Duration::from_millis(100);
/// How often nodes of ethash-likes are asked whom they pay.
const PAYEES_EACH: Duration = Duration::from_secs(10);
/// Witness program of a key's hash (BIP 141), as a script.
const P2WPKH: [u8; 2] = [0x00, 0x14];

/// The coin's chain as the roles see it.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) nodes: Nodes,
    pub(crate) dev: Option<DevChain>,
    pub(crate) payout: Paid,
}

/// Whom a block pays.
#[derive(Clone, Debug)]
pub(crate) enum Paid {
    /// The script in our coinbase.
    Script(Script),
    /// The address that an ethash-like's nodes put into their blocks.
    Node([u8; 20]),
}

impl Paid {
    /// What a coinbase of ours says; nothing where we make none.
    pub(crate) fn script(&self) -> &[u8] {
        match self {
            Self::Script(script) => script.bytes(),
            Self::Node(_) => &[],
        }
    }

    /// Whom nodes' blocks pay; none where the coinbase is ours.
    const fn payee(&self) -> Option<[u8; 20]> {
        match self {
            Self::Script(_) => None,
            Self::Node(payee) => Some(*payee),
        }
    }
}

/// Addresses of the ledger's coin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses(pub(super) Network);

impl Addresses {
    /// Those of a ledger's coin.
    pub(crate) fn of(place: &Place) -> Result<Self, Failure> {
        Self::of_coin(place.genesis.coin_name.as_str())
    }

    /// Those of a coin, as a genesis names it.
    pub(crate) fn of_coin(coin: &str) -> Result<Self, Failure> {
        Network::of_coin(coin)
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
    pub(crate) fn start(
        duty: Duty,
        config: &Config,
        place: &Place,
        runtime: &Handle,
    ) -> Result<Self, Failure> {
        let Addresses(network) = Addresses::of(place)?;
        check_kinds(config, place)?;
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
            None => configured(config, place, network, paid(config, None, network)?.payee())?,
        };
        let mut timing = Timing::default();
        if dev.is_some() {
            timing.poll = DEV_POLL;
        }
        let own = match &dev {
            Some(_) => wallet::development_script(config, place)?,
            None => None,
        };
        let payout = paid(config, own, network)?;
        // Who gives no work waits for none; and a settler may run beside a gateway, by the same configuration.
        let push = config.pool.push_listen.filter(|_| duty.has_gateways());
        let push = push.map(|address| {
            PushDoor::bind(address)
                .map_err(|error| Failure::new(format!("pool.push_listen {address}: {error}")))
        });
        let chain = place.genesis.chain;
        let nodes = NodesConfig {
            nodes,
            genesis: (chain != Hash::ZERO).then_some(chain),
            push: push.transpose()?,
            timing,
        };
        let _inside = runtime.enter();
        let nodes = Nodes::start(nodes).map_err(|error| Failure::new(error.to_string()))?;
        if let Paid::Node(payee) = payout {
            runtime.spawn(watch_payees(nodes.clone(), payee, network));
        }
        Ok(Self { nodes, dev, payout })
    }

    /// How the chain's blocks are known to be ours, for the settler.
    pub(crate) fn dialect(&self, config: &Config, place: &Place) -> Result<Dialect, Failure> {
        match &self.payout {
            Paid::Script(script) => Ok(Dialect::Bitcoin(Payout {
                scripts: vec![script.bytes().to_vec()],
                texts: vec![config.pool.text.clone()],
            })),
            Paid::Node(payee) => match rewards(config, place)? {
                Some(rewards) => Ok(Dialect::Ethash(EthRules::new(*payee, rewards))),
                None => {
                    let coin = place.genesis.coin_name.as_str();
                    Err(
                        Failure::new(format!("what blocks of {coin} pay is not known")).hint(
                            "say it in pool.block_reward, with the heights at which it changes",
                        ),
                    )
                }
            },
        }
    }
}

/// The ledger's algorithm needs nodes of its kind.
fn check_kinds(config: &Config, place: &Place) -> Result<(), Failure> {
    let algorithm = place.genesis.algorithm;
    let is_ethash = algorithm.work_unit() == WorkUnit::Ethash;
    let kind = if is_ethash {
        NodeText::Ethash
    } else {
        NodeText::Bitcoin
    };
    let name = algorithm.name();
    if is_ethash && config.node.is_empty() {
        return Err(Failure::new(format!(
            "the ledger's algorithm is {name}, and no node is configured"
        ))
        .hint("the development chain has no ethash; say [[node]] with kind = \"ethash\""));
    }
    match config.node.iter().find(|node| node.kind != kind) {
        Some(node) => Err(Failure::new(format!(
            "the ledger's algorithm is {name}, and node {} is none of it",
            node.name
        ))
        .hint("kind = \"ethash\" is for nodes of ethash and etchash only")),
        None => Ok(()),
    }
}

/// Whom the pool's blocks pay. On the development chain the wallet's own key, where the folder has one: what is mined is what
/// is paid from.
fn paid(config: &Config, own: Option<Script>, network: Network) -> Result<Paid, Failure> {
    let Some(text) = &config.pool.payout_address else {
        if let Some(script) = own {
            return Ok(Paid::Script(script));
        }
        let script = script_of_name(POOL_NAME);
        let script = script.ok_or_else(|| Failure::new("the development pool has no script"))?;
        return Ok(Paid::Script(script));
    };
    match address::account(text, network) {
        Ok(Account::Script(script)) => Ok(Paid::Script(script)),
        Ok(Account::Evm(payee)) => Ok(Paid::Node(payee)),
        Ok(Account::Name(_)) => Err(Failure::new("pool.payout_address: a name is no address")),
        Err(error) => Err(Failure::new(format!("pool.payout_address: {error}"))),
    }
}

/// Says whom the nodes pay, as soon as they answer and whenever it changes: work that pays somebody else is the pool's loss,
/// which only who runs the node can end. Ends with the runtime.
async fn watch_payees(nodes: Nodes, wanted: [u8; 20], network: Network) {
    let shown = |payee: [u8; 20]| {
        let account = Account::Evm(payee);
        address::show_account(&account, network).unwrap_or_else(|| account.to_string())
    };
    let mut known = BTreeMap::new();
    loop {
        for (node, answer) in nodes.payees().await {
            let is_paid = match answer {
                Ok(payee) if known.insert(node.clone(), payee) == Some(payee) => continue,
                Ok(payee) => payee,
                Err(error) => {
                    tracing::debug!(node, %error, "whom its blocks pay is not known");
                    continue;
                }
            };
            let (pays, configured) = (shown(is_paid), shown(wanted));
            if is_paid == wanted {
                tracing::info!(node, pays, "its blocks pay the pool");
            } else {
                tracing::error!(
                    node,
                    pays,
                    configured,
                    "its blocks pay somebody else than pool.payout_address: mend its etherbase"
                );
            }
        }
        tokio::time::sleep(PAYEES_EACH).await;
    }
}

/// The nodes, whose blocks must pay the pool where they say whom they pay.
fn configured(
    config: &Config,
    place: &Place,
    network: Network,
    payee: Option<[u8; 20]>,
) -> Result<Vec<NodeConfig>, Failure> {
    let coins = (network == Network::EthereumClassic).then_some(Landmark::ETHEREUM_CLASSIC);
    let landmark = config.pool.landmark().map_err(Failure::new)?.or(coins);
    let mweb = matches!(
        network,
        Network::Litecoin | Network::LitecoinTest | Network::LitecoinRegtest
    );
    let rewards = rewards(config, place)?;
    let one = |node: &orebook::config::Node| {
        let credentials = node.credentials_file.clone().map(Credentials::file);
        let kind = match (node.kind, credentials) {
            (NodeText::Ethash, credentials) => NodeKind::Eth(EthConfig {
                credentials,
                rewards: rewards.clone(),
                landmark,
                payee,
                ..EthConfig::new(node.rpc.clone())
            }),
            (NodeText::Bitcoin, Some(credentials)) => {
                NodeKind::Rpc(RpcConfig::new(node.rpc.clone(), credentials, mweb))
            }
            (NodeText::Bitcoin, None) => {
                let name = &node.name;
                return Err(Failure::new(format!("node {name}: no credentials_file")));
            }
        };
        Ok(NodeConfig {
            name: node.name.clone(),
            kind,
        })
    };
    config.node.iter().map(one).collect()
}

/// What blocks of an ethash-like pay: as the configuration says, else the table of the ledger's coin.
fn rewards(config: &Config, place: &Place) -> Result<Option<Rewards>, Failure> {
    let said = config.pool.rewards().map_err(Failure::new)?;
    Ok(said.or_else(|| Rewards::of_coin(place.genesis.coin_name.as_str())))
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
    let replaced_max = u64::from(config.maturity.saturating_sub(1)).clamp(1, REPLACED_MAX);
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
                dev.reorganise_at_most(1, replaced_max).map(|_| ())
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

#[cfg(test)]
mod tests {
    use super::*;
    use orebook::config::{Pool, Preset, parse};

    const EVM: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

    fn nodes(kind: &str) -> Config {
        let text = format!(
            "[pool]\npayout_address = \"{EVM}\"\n[[node]]\nname = \"a\"\nrpc = \"127.0.0.1:1\"\n\
             credentials_file = \"c\"\nkind = \"{kind}\"\n"
        );
        parse(&text).unwrap()
    }

    #[test]
    fn a_ledger_is_served_by_nodes_of_its_own_kind_only() {
        let (ethash, bitcoin) = (nodes("ethash"), nodes("bitcoin"));
        let none = Config::default();
        for (coin, config, refused) in [
            (Preset::Dev, &none, None),
            (Preset::Litecoin, &bitcoin, None),
            (Preset::EthashTest, &ethash, None),
            (Preset::EthereumClassic, &ethash, None),
            (Preset::Litecoin, &ethash, Some("node a is none of it")),
            (Preset::EthashTest, &bitcoin, Some("node a is none of it")),
            (Preset::EthashTest, &none, Some("no node is configured")),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let pool = Pool {
                coin: Some(coin),
                ..Pool::default()
            };
            let place = Place::open(Some(dir.path()), &pool, 1).unwrap();
            match (check_kinds(config, &place), refused) {
                (Ok(()), None) => {}
                (Err(why), Some(part)) => {
                    assert!(why.to_string().contains(part), "{coin:?}: {why}");
                }
                (other, _) => panic!("{coin:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_ethash_like_pays_by_its_nodes_and_others_by_a_script_of_ours() {
        let config = nodes("ethash");
        let of_nodes = paid(&config, None, Network::EthereumClassic).unwrap();
        assert!(matches!(of_nodes, Paid::Node([0x5a, 0xae, ..])));
        assert!(of_nodes.script().is_empty());
        let said = paid(&config, None, Network::Litecoin)
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("pool.payout_address: an address of an Ethereum-like"),
            "{said}"
        );
        let own = paid(&Config::default(), None, Network::Development).unwrap();
        assert!(matches!(own, Paid::Script(_)) && !own.script().is_empty());
    }
}
