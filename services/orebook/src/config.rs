//! The configuration: one TOML file, every key known, every default here.

mod direct;
mod edge;
mod payouts;
mod reading;
mod wallet;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use orebook_chain::{Landmark, Rewards};
use orebook_schema::Hash;
use orebook_schema::names::Pot as PotNumber;
use orebook_schema::policy::{PPM, PotRules, Scheme as PotScheme};
use orebook_schema::units::unhex;
use serde::Deserialize;
use toml::Spanned;

pub use self::direct::Direct;
pub use self::edge::{Doors, Firewall, Tls, edge, tls};
pub use self::payouts::{
    AUTO_PAY_LIMIT_DEFAULT, DIRECT_OUTPUTS_DEFAULT, PAYOUT_DEPTH_DEFAULT,
    PAYOUT_FINAL_DEPTH_DEFAULT, PayoutTerms, WRITEOFF_MS_DEFAULT, direct_outputs,
};
pub use self::reading::{
    ConfigFault, FILE_BYTES_MAX, ReadError, balancers, parse, proxies, read, region,
};
pub use self::wallet::{Wallet, WalletKind, base_units, projector};

/// Share difficulty of the default port: a slow processor finds one every second.
const DIFFICULTY_DEFAULT: &str = "0.0001";
/// The same of scrypt², about two hashes.
const SCRYPT2_DIFFICULTY: &str = "0.00003";
/// Text of the coinbase unless configured.
const TEXT_DEFAULT: &str = "/Orebook/";
/// PPLNS window of a new ledger's pot unless configured: twice the network's work.
const WINDOW_PPM_DEFAULT: u64 = 2_000_000;
/// How long a change of an account's address waits in a new ledger unless configured: a day.
pub const ADDRESS_HOLD_MS_DEFAULT: u64 = 86_400_000;
/// Pool fee of a new ledger's pot unless configured: 1 %.
const FEE_PPM_DEFAULT: u32 = 10_000;
/// The desk's port is so much above that of the pages, unless configured.
pub const DESK_PORT_ABOVE: u16 = 10;
/// Pots of a policy, at most (LEDGER-FORMAT.md, section 5).
const POTS_MAX: usize = 16;

/// Everything a process is told.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder of the pool; `--data` wins over it.
    pub data: Option<PathBuf>,
    /// What the pool's own coinbases and its ledger say.
    pub pool: Pool,
    /// Chain nodes; the first is preferred. None: the development chain.
    pub node: Vec<Node>,
    /// The development chain, where no node is configured.
    pub development: Development,
    /// Gateways as written; see [`Config::gateways`].
    pub gateway: Vec<Gateway>,
    /// Pages and API.
    pub http: Http,
    /// The ledger's other holders.
    pub ledger: Ledger,
    /// Brokers; none: the embedded log.
    #[cfg(feature = "kafka")]
    pub kafka: Option<orebook_kafka::KafkaConfig>,
    /// Spools of gateways.
    pub spool: Spool,
    /// The settler.
    pub settler: Settler,
    /// The paymaster's hot wallet. Without one nobody is paid, but on the development chain, which has one of its own.
    pub wallet: Option<Wallet>,
    /// The door for people's commands.
    pub desk: Desk,
    /// The activity log.
    pub activity: Activity,
}

/// Coins whose facts are known; everything can be said by hand too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The development chain (sha256d).
    Dev,
    /// Bitcoin.
    Bitcoin,
    /// Bitcoin's regtest.
    BitcoinRegtest,
    /// Litecoin (scrypt).
    Litecoin,
    /// Litecoin's regtest.
    LitecoinRegtest,
    /// Ethereum Classic (etchash).
    EthereumClassic,
    /// A test chain of ethash.
    EthashTest,
    /// A development chain of scrypt², Verium's proof of work: every few hashes are a share.
    VeriumTest,
}

impl Preset {
    /// Whether it is an ethash-like: its nodes make the blocks, and say who is paid.
    #[must_use]
    pub const fn is_ethash(self) -> bool {
        matches!(self, Self::EthereumClassic | Self::EthashTest)
    }

    /// Whether its coins are worth nothing.
    #[must_use]
    pub const fn is_test(self) -> bool {
        matches!(
            self,
            Self::Dev
                | Self::BitcoinRegtest
                | Self::LitecoinRegtest
                | Self::EthashTest
                | Self::VeriumTest
        )
    }

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Bitcoin => "bitcoin",
            Self::BitcoinRegtest => "bitcoin-regtest",
            Self::Litecoin => "litecoin",
            Self::LitecoinRegtest => "litecoin-regtest",
            Self::EthereumClassic => "ethereum-classic",
            Self::EthashTest => "ethash-test",
            Self::VeriumTest => "verium-test",
        }
    }
}

/// What the pool's own coinbases and its ledger say.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Pool {
    /// Coin of a ledger that `up` makes in a new folder.
    pub coin: Option<Preset>,
    /// Address that coinbases pay; without one a development pool uses an address of its own. Of ethash-likes the address that
    /// the nodes' blocks pay (`--miner.etherbase`): it is compared, and nothing here changes it.
    pub payout_address: Option<String>,
    /// What blocks of an ethash-like pay without fees and uncles, which its nodes do not tell, where it is not the coin's own
    /// table: base units as decimal text, or `height:reward` steps ([`orebook_chain::Rewards::parse`]).
    pub block_reward: Option<String>,
    /// Where nodes of an ethash-like post new work (`--miner.notify http://ADDRESS/`), so that it is not waited for.
    pub push_listen: Option<SocketAddr>,
    /// A block that tells the coin's chain from another one with the same first block, as Ethereum Classic's from Ethereum's, where it
    /// need not be said: a node of an ethash-like with another block there gives no work.
    pub landmark: Option<LandmarkText>,
    /// Text in the coinbase: how people see whose block it is.
    pub text: String,
    /// Ledger time that a change of an account's address waits, milliseconds, at most 30 days; of a ledger that `up` makes in
    /// a new folder.
    pub address_hold_ms: u64,
    /// A batch of payouts whose total is at most this needs no approval, base units as decimal text; of a ledger that `up` makes
    /// in a new folder, as the next three. See [`Pool::payouts`] for what holds where nothing is said.
    pub auto_pay_limit: Option<String>,
    /// Confirmations at which a payout counts as paid.
    pub payout_depth: Option<u32>,
    /// Confirmations after which it is not watched any more.
    pub payout_final_depth: Option<u32>,
    /// How long an account must owe before it may be written off, milliseconds of ledger time.
    pub writeoff_ms: u64,
    /// Whether whole base units that splits leave go to the pool's fees.
    pub rounding_to_fee: bool,
    /// Pots of a ledger that `up` makes in a new folder.
    pub pot: Vec<Pot>,
}

/// A block of a chain.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LandmarkText {
    /// Its height.
    pub height: u64,
    /// Its hash, 64 hex digits behind `0x`.
    pub hash: String,
}

impl Pool {
    /// The landmark that is said here.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn landmark(&self) -> Result<Option<Landmark>, String> {
        let Some(said) = &self.landmark else {
            return Ok(None);
        };
        let wrong = || format!("pool.landmark: {:?} is no hash", said.hash);
        let hex = said.hash.strip_prefix("0x").ok_or_else(wrong)?;
        let bytes = unhex(hex).and_then(|bytes| bytes.try_into().ok());
        Ok(Some(Landmark {
            height: said.height,
            hash: Hash(bytes.ok_or_else(wrong)?),
        }))
    }
}

/// Rules of a pot in the first policy of a ledger that `up` makes; later ones are the ledger's own matter.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Pot {
    /// Its number, which ports name.
    pub pot: Spanned<u16>,
    /// How it is paid.
    pub scheme: Spanned<Scheme>,
    /// PPLNS window, parts per million of the network's work.
    #[serde(default = "window_ppm")]
    pub window_ppm: Spanned<u64>,
    /// Pool fee, parts per million.
    #[serde(default = "fee_ppm")]
    pub fee_ppm: Spanned<u32>,
    /// Least that coinbases pay a miner himself, base units; 0: they pay the pool alone.
    #[serde(default)]
    pub direct_min: u64,
    /// Most outputs to miners in a coinbase, where `direct_min` is not 0.
    #[serde(default = "payouts::direct_outputs_default")]
    pub direct_outputs: u16,
}

/// How a pot is paid (docs/rules.md, section 3).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// The last N work before a block.
    Pplns,
    /// The finder takes all.
    Solo,
    /// The block's round.
    Prop,
    /// Each share at once.
    Pps,
    /// The same with mean transaction fees.
    Fpps,
}

impl Scheme {
    /// As the ledger has it.
    #[must_use]
    pub const fn in_ledger(self) -> PotScheme {
        match self {
            Self::Pplns => PotScheme::Pplns,
            Self::Solo => PotScheme::Solo,
            Self::Prop => PotScheme::Prop,
            Self::Pps => PotScheme::Pps,
            Self::Fpps => PotScheme::Fpps,
        }
    }
}

fn window_ppm() -> Spanned<u64> {
    Spanned::new(0..0, WINDOW_PPM_DEFAULT)
}

fn fee_ppm() -> Spanned<u32> {
    Spanned::new(0..0, FEE_PPM_DEFAULT)
}

/// A chain node.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Name in logs and metrics.
    pub name: String,
    /// `host:port` of its RPC.
    pub rpc: String,
    /// What it is.
    #[serde(default)]
    pub kind: NodeKind,
    /// File with one line `user:password`; the node's cookie file is one. A node of an ethash-like may have none.
    pub credentials_file: Option<PathBuf>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// It gives templates (`getblocktemplate`).
    #[default]
    Bitcoin,
    /// It gives seal hashes (`eth_getWork`).
    Ethash,
}

/// The development chain in the process, used where no node is configured.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Development {
    /// Seconds between blocks that its difficulty aims at.
    pub block_seconds: u32,
    /// Difficulty of its first blocks, decimal text.
    pub difficulty: String,
    /// Blocks after which a coinbase may be spent.
    pub maturity: u32,
    /// One block in so many is found by somebody else; 0 for none.
    pub foreign_one_in: u32,
    /// One block in so many makes the chain reorganise by one; 0 for never.
    pub orphan_one_in: u32,
    /// Rigs of the demonstration's own miner, `name.worker`; on this chain a name stands for an address.
    pub miners: Vec<String>,
    /// Hashes a second of each of these rigs.
    pub miner_hashes_per_second: u64,
}

/// A gateway.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// Its ports.
    pub port: Vec<Port>,
    /// Shortest time between two commits of the spool, milliseconds.
    pub commit_ms: u32,
    /// How long a share of the last parent's job is taken as stale, milliseconds.
    pub stale_grace_ms: u32,
    /// Where it stands, for `/metrics`: 1 to 16 of `a` to `z`, digits and hyphens.
    pub region: Option<String>,
    /// Silence of a miner that is borne in any case, seconds; who is slow on a high difficulty is given longer.
    pub idle_s: u32,
    /// Hashes a second of the slowest rig that is expected, by which a miner without a share is judged; 0: none is too slow.
    pub slowest_hashes_per_s: u64,
    /// Limits of its doors.
    pub doors: Doors,
    /// How its miners leave when it ends.
    pub drain: Drain,
    /// Checks of shares that take long to hash.
    pub checks: Checks,
    /// Whom it asks for what coinbases pay accounts.
    pub direct: Direct,
}

/// The threads that check shares of scrypt² and ethash, and how long a share may wait for them.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Checks {
    /// Threads; 0: one less than there are cores, from 1 to 16. Of scrypt² each takes 256 MiB.
    pub threads: u16,
    /// Seconds: a share that would wait longer is answered `busy` at once.
    pub wait_s: u16,
}

/// How a gateway that ends sends its miners to the `elsewhere` of their ports: in waves, while the others are served on. Where
/// no port has an `elsewhere` it ends at once.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Drain {
    /// Miners of a wave; more where `max_s` is short. 0: all at once.
    pub wave: u32,
    /// Milliseconds between two waves.
    pub interval_ms: u32,
    /// Seconds after which a miner that was sent elsewhere and did not go is closed.
    pub grace_s: u32,
    /// Seconds after which nobody is waited for.
    pub max_s: u32,
}

/// A port of a gateway.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Number of the pot that its shares go to.
    #[serde(default)]
    pub pot: u16,
    /// Fixed difficulty, decimal text.
    pub difficulty: Option<String>,
    /// Or one that follows the rig's speed.
    pub vardiff: Option<Vardiff>,
    /// Networks of load balancers (`10.0.0.0/8`, `2001:db8::1`): a connection from them begins with a PROXY header, version 1 or
    /// 2, and counts as its client's. From everybody else such a header is refused.
    #[serde(default)]
    pub proxy_from: Vec<String>,
    /// Where its miners are sent when this gateway cannot serve them or ends, `host:port` each, in turn.
    #[serde(default)]
    pub elsewhere: OneOrMore,
    /// Its certificate, if it speaks TLS.
    pub tls: Option<Tls>,
    /// Where it stands, if that is not where its gateway does.
    pub region: Option<String>,
}

/// A text, or a list of them.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One.
    One(String),
    /// Any number.
    More(Vec<String>),
}

impl OneOrMore {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

impl Default for OneOrMore {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

/// A difficulty that follows the rig's speed.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Vardiff {
    /// The first difficulty, decimal text.
    pub start: String,
    /// The lowest.
    pub min: String,
    /// The highest.
    pub max: String,
    /// Seconds between shares that it aims at.
    #[serde(default = "seconds_per_share")]
    pub seconds_per_share: u32,
    /// What `d=` in a miner's password means, within these bounds.
    #[serde(default)]
    pub password: AskedText,
}

/// What `d=` in a password means.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum AskedText {
    /// The session starts with it.
    #[default]
    Start,
    /// The session keeps it.
    Fixed,
}

const fn seconds_per_share() -> u32 {
    10
}

/// Pages and API.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address to listen on.
    pub listen: SocketAddr,
}

/// The ledger's other holders.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Ledger {
    /// `host:port` of archivers and projectors that serve segments: what the log does not have any more comes from them.
    pub peers: Vec<String>,
}

/// A gateway's spool.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Bytes of a file.
    pub file_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
}

/// The settler.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Settler {
    /// Milliseconds between two looks at the chain.
    pub poll_ms: u32,
    /// A coinbase without a share counts as recovered so many milliseconds after every gateway could have said it.
    pub grace_ms: u64,
}

/// The desk: the only door for people's commands.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Desk {
    /// Address of its own listener; unless said, the loopback, with a port [`DESK_PORT_ABOVE`] above that of the pages.
    pub listen: Option<SocketAddr>,
    /// Address of a listener for miners' own settings; none unless said. Nothing else of the desk is reached there.
    pub miners: Option<SocketAddr>,
    /// Proxies in front of it, as networks: whose a request is, is what their `X-Forwarded-For` says.
    pub miners_proxy_from: Vec<String>,
    /// How long a command's answer is waited for, milliseconds.
    pub answer_ms: u32,
    /// Who may send commands, besides the approvers of genesis.
    pub operator: Vec<DeskOperator>,
}

/// A person who may send commands.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DeskOperator {
    /// As the audit trail calls him.
    pub name: String,
    /// His public key, 64 hex digits.
    pub key: String,
    /// What he may say; everything unless given.
    #[serde(default = "every_right")]
    pub may: Vec<DeskRight>,
}

/// What an operator may say.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum DeskRight {
    /// Producers' keys.
    Key,
    /// Policies.
    Policy,
    /// Schema sets.
    Schema,
    /// Bans.
    Ban,
    /// Adjustments.
    Adjust,
    /// Registered accounts and settings.
    Account,
    /// Halts and resumes of a wallet.
    Pay,
}

fn every_right() -> Vec<DeskRight> {
    use DeskRight::{Account, Adjust, Ban, Key, Pay, Policy, Schema};
    vec![Key, Policy, Schema, Ban, Adjust, Account, Pay]
}

/// The activity log: sessions, failed logins, rejects.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Activity {
    /// Days that reports are kept, 1 to 365; of a topic when it is made.
    pub retention_days: u16,
    /// Bytes of all files of the embedded log, at least 2 MiB; the oldest go beyond it.
    pub total_bytes: u64,
    /// Milliseconds between a gateway's reports, 100 to 60,000; what happened since is lost with a process that is killed.
    pub flush_ms: u32,
    /// Whether the API shows everybody from which networks (/24, /48) logins failed.
    pub show_networks: bool,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            retention_days: 14,
            total_bytes: 64 << 20,
            flush_ms: 10_000,
            show_networks: false,
        }
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            coin: None,
            payout_address: None,
            block_reward: None,
            push_listen: None,
            landmark: None,
            text: TEXT_DEFAULT.to_owned(),
            address_hold_ms: ADDRESS_HOLD_MS_DEFAULT,
            auto_pay_limit: None,
            payout_depth: None,
            payout_final_depth: None,
            writeoff_ms: WRITEOFF_MS_DEFAULT,
            rounding_to_fee: false,
            pot: [(0, Scheme::Pplns), (1, Scheme::Solo)]
                .map(|(pot, scheme)| Pot {
                    pot: Spanned::new(0..0, pot),
                    scheme: Spanned::new(0..0, scheme),
                    window_ppm: window_ppm(),
                    fee_ppm: fee_ppm(),
                    direct_min: 0,
                    direct_outputs: DIRECT_OUTPUTS_DEFAULT,
                })
                .to_vec(),
        }
    }
}

impl Default for Development {
    fn default() -> Self {
        Self {
            block_seconds: 4,
            difficulty: "0.001".to_owned(),
            maturity: 6,
            foreign_one_in: 4,
            orphan_one_in: 16,
            miners: ["alice.rig1", "bob.rig1", "bob.rig2"]
                .map(str::to_owned)
                .to_vec(),
            miner_hashes_per_second: 400_000,
        }
    }
}

impl Config {
    /// Fills in what was not said, as it suits the coin: a hash of scrypt² takes most of a second.
    pub fn suit(&mut self) {
        if self.pool.coin != Some(Preset::VeriumTest) {
            return;
        }
        if self.development == Development::default() {
            self.development = Development::of_scrypt2();
        }
        if self.gateway.is_empty() {
            let mut gateway = Gateway::default();
            for port in &mut gateway.port {
                port.difficulty = Some(SCRYPT2_DIFFICULTY.to_owned());
            }
            self.gateway.push(gateway);
        }
    }
}

impl Development {
    /// Blocks of four hashes at first, and of ten after a while: one rig, and nobody else, who would hash in this process too.
    fn of_scrypt2() -> Self {
        Self {
            block_seconds: 8,
            difficulty: "0.00006".to_owned(),
            foreign_one_in: 0,
            orphan_one_in: 0,
            miners: vec!["alice.rig1".to_owned()],
            miner_hashes_per_second: 2,
            ..Self::default()
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            port: vec![Port::default()],
            commit_ms: 1,
            stale_grace_ms: 5_000,
            region: None,
            idle_s: 3_600,
            slowest_hashes_per_s: 0,
            doors: Doors::default(),
            drain: Drain::default(),
            checks: Checks::default(),
            direct: Direct::default(),
        }
    }
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            threads: 0,
            wait_s: 10,
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            wave: 256,
            interval_ms: 1_000,
            grace_s: 10,
            max_s: 30,
        }
    }
}

impl Default for Port {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3333)),
            pot: 0,
            difficulty: Some(DIFFICULTY_DEFAULT.to_owned()),
            vardiff: None,
            proxy_from: Vec::new(),
            elsewhere: OneOrMore::default(),
            tls: None,
            region: None,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
        }
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            total_bytes: 4 << 30,
        }
    }
}

impl Default for Settler {
    fn default() -> Self {
        Self {
            poll_ms: 500,
            grace_ms: 60_000,
        }
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            listen: None,
            miners: None,
            miners_proxy_from: Vec::new(),
            answer_ms: 15_000,
            operator: Vec::new(),
        }
    }
}

impl Pool {
    /// The table of what blocks pay without fees and uncles, if it is said.
    ///
    /// # Errors
    /// What is wrong with `block_reward`, in words.
    pub fn rewards(&self) -> Result<Option<Rewards>, String> {
        let text = self.block_reward.as_deref();
        let table = text.map(Rewards::parse).transpose();
        table.map_err(|why| format!("pool.block_reward: {why}"))
    }

    /// Rules of the pots of a new ledger, by number.
    #[must_use]
    pub fn rules(&self) -> Vec<PotRules> {
        let rules = self.pot.iter().map(|pot| PotRules {
            pot: PotNumber(*pot.pot.get_ref()),
            scheme: pot.scheme.get_ref().in_ledger(),
            n_ppm: match pot.scheme.get_ref() {
                // Nothing is looked back at.
                Scheme::Solo => 1,
                _ => *pot.window_ppm.get_ref(),
            },
            fee_ppm: *pot.fee_ppm.get_ref(),
            bonus_ppm: 0,
            stale_ppm: 0,
            keep_tx_fees: false,
            direct_min: pot.direct_min,
            direct_outputs: direct_outputs(pot.direct_min, pot.direct_outputs),
        });
        let mut rules: Vec<PotRules> = rules.collect();
        rules.sort_by_key(|rules| rules.pot);
        rules
    }
}

impl Config {
    /// Where the desk listens: a port of its own, above that of the pages; any free one if theirs is.
    #[must_use]
    pub fn desk_listen(&self) -> SocketAddr {
        let pages = self.http.listen;
        self.desk.listen.unwrap_or_else(|| {
            let port = match pages.port() {
                0 => 0,
                port => port.saturating_add(DESK_PORT_ABOVE),
            };
            // Pages may be for everybody; commands are not, unless somebody says so.
            SocketAddr::from(([127, 0, 0, 1], port))
        })
    }

    /// Whether nodes of an ethash-like are configured.
    #[must_use]
    pub fn is_ethash(&self) -> bool {
        self.node.iter().any(|node| node.kind == NodeKind::Ethash)
    }

    /// Gateways, one by default.
    #[must_use]
    pub fn gateways(&self) -> Vec<Gateway> {
        if self.gateway.is_empty() {
            vec![Gateway::default()]
        } else {
            self.gateway.clone()
        }
    }
}
