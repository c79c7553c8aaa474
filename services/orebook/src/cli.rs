//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use orebook::config::{
    ADDRESS_HOLD_MS_DEFAULT, AUTO_PAY_LIMIT_DEFAULT, DIRECT_OUTPUTS_DEFAULT, PAYOUT_DEPTH_DEFAULT,
    PAYOUT_FINAL_DEPTH_DEFAULT, Preset, WRITEOFF_MS_DEFAULT,
};
use orebook_schema::policy::{ADDRESS_HOLD_MS_MAX, DIRECT_OUTPUTS_MAX, WRITEOFF_MS_MAX};

use crate::desk::args::{
    AccountCommand, AdjustArgs, ApproveArgs, BanCommand, DeskArgs, DustCommand, KeyCommand,
    PayCommand, PolicyCommand, SchemaCommand, SendArgs, SetArgs, SettingCommand, WriteOffArgs,
};

/// A mining pool that keeps its books.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  orebook up                                     a pool with a development chain, a miner and pages
  orebook mine --url 127.0.0.1:3333 --user ADDRESS.rig
  orebook init --data pool                       a new ledger for a development chain
  orebook ledger verify --data pool              every byte, hash, root and signature"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs every role in one process on the embedded ledger. Without nodes in the configuration: on a development chain,
    /// with a small miner.
    Up(UpArgs),
    /// The same look, built without C or C++: projections live in memory.
    Demo(UpArgs),
    /// Runs a gateway alone: accepts miners, records their shares, sends them to the log.
    Gateway(RoleArgs),
    /// Runs an archiver alone: keeps the ledger's segments and signs checkpoints.
    Archiver(RoleArgs),
    /// Runs the settler alone: says what became of blocks.
    Settler(RoleArgs),
    /// Runs the paymaster alone: proposes, signs, sends and follows payouts. The only process that reaches a wallet.
    Paymaster(RoleArgs),
    /// Runs the projections, the API and the pages alone.
    Projector(RoleArgs),
    /// Runs the desk alone: takes people's signed commands, and writes them. Or checks its audit trail.
    Desk(DeskArgs),
    /// Producers' keys: makes, shows, adds and revokes them.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Scheme, window and fees of each pot: shows the policy in force, or says a new one.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Kinds of events that may be used.
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Operators' bans of accounts and networks.
    #[command(subcommand)]
    Ban(BanCommand),
    /// Moves money by hand between a book of the pool and an account, with approvals.
    Adjust(AdjustArgs),
    /// Writes off what an account owes for long: the reserve takes it over, with approvals.
    Writeoff(WriteOffArgs),
    /// Announces that small balances of accounts that are not active move, with approvals and 30 days of notice.
    #[command(subcommand)]
    Dust(DustCommand),
    /// Payouts: what is proposed, on its way and halted; approves a batch, halts a wallet, lets it pay again.
    #[command(subcommand)]
    Pay(PayCommand),
    /// Registered accounts: names that miners may use instead of an address, and their workers.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Sets threshold, address, donation or payment now for a miner who cannot.
    Set(SetArgs),
    /// What a miner sets himself: prints the text that he signs, and sends it signed, or with his account's token.
    #[command(subcommand)]
    Setting(SettingCommand),
    /// Approves a thing that waits for approvals.
    Approve(ApproveArgs),
    /// Sends a command that was signed elsewhere.
    Send(SendArgs),
    /// Mines on a pool by processor, for demonstrations and tests: Stratum V1, and ethash in each of its dialects.
    Mine(MineArgs),
    /// Computes all figures again from the ledger alone, and prints their digests.
    #[cfg(feature = "rocksdb")]
    Replay(ReplayArgs),
    /// Says where a figure comes from, step by step, each with its rule of docs/rules.md and its place in the ledger.
    Explain(ExplainArgs),
    /// Compares the ledger, replayed from its files, with the projection that pages show and with the chain, and prints only the
    /// differences. Exit code 3 if there are any that nobody has looked at.
    Reconcile(ReconcileArgs),
    /// Reads a configuration and says what is wrong with it, or what it means.
    Check(CheckArgs),
    /// Asks a role over HTTP whether it is well; for service managers.
    Health(HealthArgs),
    /// Measures every speed that we claim.
    Bench(BenchArgs),
    /// A process that `bench` starts; its settings are a line of JSON on stdin.
    #[command(hide = true)]
    BenchPart {
        /// Which.
        #[arg(value_enum)]
        part: BenchPart,
    },
    /// Writes a new ledger's genesis and the keys of its first producers.
    Init(InitArgs),
    /// Makes the whole dataset of an epoch of ethash as a file, for a gateway that has the memory to check shares by it.
    Dataset(DatasetArgs),
    /// Reads a ledger's segment files.
    #[command(subcommand)]
    Ledger(LedgerCommand),
}

/// Algorithms of ethash-likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EthashLike {
    /// Epochs of 30,000 blocks.
    Ethash,
    /// Longer ones, from a block on (ECIP-1099).
    Etchash,
}

/// How `mine` speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MineDialect {
    /// Stratum V1.
    Stratum,
    /// eth-proxy.
    EthProxy,
    /// EthereumStratum/1.0.0.
    Nicehash,
    /// EthereumStratum/2.0.0.
    Es2,
    /// ethminer's first one.
    Legacy,
    /// A node's calls over HTTP.
    Getwork,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object on stdout.
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook dataset --folder caches --algorithm etchash --height 20000000     4 GiB")]
pub(crate) struct DatasetArgs {
    /// Folder of the caches; a gateway that keeps its caches there takes the dataset at its next start.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// ethash or etchash.
    #[arg(long)]
    pub(crate) algorithm: String,
    /// A block of the epoch.
    #[arg(long)]
    pub(crate) height: u64,
    /// Threads; as many as there are cores if not said.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook init --data pool
  orebook init --data pool --coin litecoin --gateways 2 --archivers 2 --approvers 3 --needed 2")]
pub(crate) struct InitArgs {
    /// Folder of the pool: `keys` and `ledger` are made in it. Neither may exist.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// The coin.
    #[arg(long, value_enum, default_value_t = Preset::Dev)]
    pub(crate) coin: Preset,
    /// Algorithm of the coin ethash-test; other coins have their own.
    #[arg(long, value_enum)]
    pub(crate) algorithm: Option<EthashLike>,
    /// How many gateways get a key.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) gateways: u8,
    /// How many archivers get a key.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) archivers: u8,
    /// How many approvers there are.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) approvers: u8,
    /// How many of them must approve a key or a policy.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) needed: u8,
    /// Pool fee of both pots, parts per million.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) fee_ppm: u32,
    /// PPLNS window, parts per million of the network's work.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) window_ppm: u64,
    /// Ledger time that a change of an account's address waits, milliseconds.
    #[arg(long, default_value_t = ADDRESS_HOLD_MS_DEFAULT, value_parser = clap::value_parser!(u64).range(0..=ADDRESS_HOLD_MS_MAX))]
    pub(crate) address_hold_ms: u64,
    /// A batch of payouts whose total is at most this needs no approval, base units.
    #[arg(long, default_value_t = AUTO_PAY_LIMIT_DEFAULT)]
    pub(crate) auto_pay_limit: u128,
    /// Confirmations at which a payout counts as paid.
    #[arg(long, default_value_t = PAYOUT_DEPTH_DEFAULT, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) payout_depth: u32,
    /// Confirmations after which it is not watched any more; above --payout-depth.
    #[arg(long, default_value_t = PAYOUT_FINAL_DEPTH_DEFAULT)]
    pub(crate) payout_final_depth: u32,
    /// How long an account must owe before it may be written off, milliseconds of ledger time.
    #[arg(long, default_value_t = WRITEOFF_MS_DEFAULT, value_parser = clap::value_parser!(u64).range(0..=WRITEOFF_MS_MAX))]
    pub(crate) writeoff_ms: u64,
    /// Whole base units that splits leave go to the pool's fees.
    #[arg(long)]
    pub(crate) rounding_to_fee: bool,
    /// Least that coinbases pay a miner himself, base units, of bitcoin-likes; 0: they pay the pool alone.
    #[arg(long, default_value_t = 0)]
    pub(crate) direct_min: u64,
    /// Most outputs to miners in a coinbase, where --direct-min is not 0.
    #[arg(long, default_value_t = DIRECT_OUTPUTS_DEFAULT, value_parser = clap::value_parser!(u16).range(1..=i64::from(DIRECT_OUTPUTS_MAX)))]
    pub(crate) direct_outputs: u16,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook up
  orebook up --coin verium-test                  the same with scrypt²: a share each few seconds
  orebook up --data /srv/pool --config orebook.toml
  orebook up --format json | head -n 1           the addresses, for programs")]
pub(crate) struct UpArgs {
    /// Folder of the pool; made if it does not exist. A folder that is forgotten at the end unless given here or configured.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Configuration (TOML).
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Coin of a ledger that is made in a new folder; wins over the configuration's.
    #[arg(long, value_enum)]
    pub(crate) coin: Option<Preset>,
    /// Frames go through this Kafka broker (`host:port`) instead of the embedded log; for development, one replica. The
    /// configuration's [kafka] says more.
    #[cfg(feature = "kafka")]
    #[arg(long)]
    pub(crate) kafka: Option<String>,
    /// Address of the first gateway's first port.
    #[arg(long)]
    pub(crate) stratum: Option<SocketAddr>,
    /// Address of pages and API.
    #[arg(long)]
    pub(crate) http: Option<SocketAddr>,
    /// How the addresses are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook archiver --data /srv/pool --config orebook.toml
  orebook gateway --data /srv/pool --config orebook.toml --number 2")]
pub(crate) struct RoleArgs {
    /// Folder with the ledger's genesis and this role's key, as `init` made them.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Configuration (TOML).
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Which gateway or archiver this is: names its key, and the [[gateway]] that it is.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) number: u8,
    /// Address of pages, API, health and metrics.
    #[arg(long)]
    pub(crate) http: Option<SocketAddr>,
    /// How the addresses are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

impl RoleArgs {
    /// What `up` would be told.
    pub(crate) fn up(&self) -> UpArgs {
        UpArgs {
            data: self.data.clone(),
            config: Some(self.config.clone()),
            coin: None,
            #[cfg(feature = "kafka")]
            kafka: None,
            stratum: None,
            http: self.http,
            format: self.format,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook mine --url 127.0.0.1:3333 --user ADDRESS.rig1 --threads 2
  orebook mine --url pool.example:3333 --user ADDRESS --algorithm scrypt --seconds 60 --format json
  orebook mine --url 127.0.0.1:3333 --user ADDRESS.rig --algorithm ethash --dialect getwork --rigs 3 --reconnect")]
pub(crate) struct MineArgs {
    /// The pool, host:port.
    #[arg(long)]
    pub(crate) url: String,
    /// How it speaks; if not said, Stratum V1, and eth-proxy for ethash and etchash, which have the others too.
    #[arg(long, value_enum)]
    pub(crate) dialect: Option<MineDialect>,
    /// User: a payout address, then `.worker`.
    #[arg(long)]
    pub(crate) user: String,
    /// Password.
    #[arg(long, default_value = "x")]
    pub(crate) password: String,
    /// sha256d, scrypt, scrypt2, ethash or etchash; the last two by the light cache, some thousand hashes a second and core.
    #[arg(long, default_value = "sha256d")]
    pub(crate) algorithm: String,
    /// Rigs, a connection each. Where there are several, their numbers follow the user's name.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) rigs: u16,
    /// Threads of each rig.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Rigs come again when their connection ends, until the end that is said here; without it that is an error.
    #[arg(long)]
    pub(crate) reconnect: bool,
    /// Most hashes a second of all threads of a rig.
    #[arg(long)]
    pub(crate) hashes_per_second: Option<u64>,
    /// Ends after so many accepted shares.
    #[arg(long)]
    pub(crate) shares: Option<u64>,
    /// Ends after so many seconds.
    #[arg(long)]
    pub(crate) seconds: Option<u64>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook health http://127.0.0.1:8080/readyz")]
pub(crate) struct HealthArgs {
    /// What to ask, `http://host:port/path`. Exit code 0 iff the answer is 200.
    pub(crate) url: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook check --config orebook.toml
  orebook check -- gateway --data D --config orebook.toml --number 2     a service's whole command")]
pub(crate) struct CheckArgs {
    /// Configuration (TOML).
    #[arg(long, required_unless_present = "command")]
    pub(crate) config: Option<PathBuf>,
    /// A command of `orebook` as a service file has it: parsed and judged with the configuration it names, not started.
    #[arg(last = true, conflicts_with = "config")]
    pub(crate) command: Vec<String>,
    /// Asks the brokers of [kafka] too, about the ledger of this folder, and refuses dangerous settings of theirs by name.
    #[cfg(feature = "kafka")]
    #[arg(long, value_name = "DATA")]
    pub(crate) brokers: Option<PathBuf>,
}

#[cfg(feature = "rocksdb")]
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook replay --data pool --into /tmp/again
  orebook replay --segments copy/segments --into /tmp/again --format json
  orebook replay --data pool --into later --from snapshot       the snapshot and its tail")]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Folder for the projections; empty, or one that an earlier replay left.
    #[arg(long)]
    pub(crate) into: PathBuf,
    /// Begins with this snapshot instead of the ledger's first position; `--into` is empty then.
    #[arg(long)]
    pub(crate) from: Option<PathBuf>,
    /// Leaves a snapshot of the projections in this folder at the end.
    #[arg(long)]
    pub(crate) snapshot: Option<PathBuf>,
    /// Prints every balance in sub-units instead, as JSON; tests/oracle.py prints the same.
    #[arg(long)]
    pub(crate) balances: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook explain --data pool --account ADDRESS --block 812345      what an account has of a block
  orebook explain --data pool --payout 0/17 --account ADDRESS       a line, back to the blocks that it pays
  orebook explain --segments copy/segments --payout 0/17 --format json")]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// A batch of payouts, WALLET/BATCH.
    #[arg(long, value_parser = parse_payout, required_unless_present = "block", conflicts_with = "block")]
    pub(crate) payout: Option<(u16, u64)>,
    /// Account: an address of the coin, or `script:HEX`, `evm:HEX`, `name:NAME`.
    #[arg(long, required_unless_present = "payout")]
    pub(crate) account: Option<String>,
    /// A block, by height or by hash.
    #[arg(long)]
    pub(crate) block: Option<String>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook reconcile --data pool --url http://127.0.0.1:8080         digest and balances
  orebook reconcile --data pool --config orebook.toml               each block, as the nodes show it")]
pub(crate) struct ReconcileArgs {
    /// Folder of the pool.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Configuration (TOML), with the nodes: each block of ours is looked for on the chain. With [wallet] each transaction of
    /// it, too, and what left it.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// A projector, `http://host:port`: its digest and balances are compared.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Reads WALLET/BATCH.
fn parse_payout(text: &str) -> Result<(u16, u64), String> {
    let says = "a batch is WALLET/BATCH, as in 0/17";
    let (wallet, batch) = text.split_once('/').ok_or(says)?;
    let wallet = wallet.parse().map_err(|_| says)?;
    Ok((wallet, batch.parse().map_err(|_| says)?))
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook bench
  orebook bench replay_full --format json
  orebook bench kafka_mirror --kafka-home /srv/kafka/libs")]
pub(crate) struct BenchArgs {
    /// Which; all unless named.
    pub(crate) names: Vec<String>,
    /// A small size of those that have one, once: to see that they work. The figures mean nothing.
    #[arg(long)]
    pub(crate) small: bool,
    /// Folder of Kafka's jars, for the benches over real brokers; unless given, where `./orebook test kafka` puts them.
    #[cfg(feature = "kafka")]
    #[arg(long)]
    pub(crate) kafka_home: Option<PathBuf>,
    /// How the results are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Processes of a bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchPart {
    /// The gateway.
    Gateway,
    /// Who sends shares.
    Load,
    /// Who says back what is said to it.
    Echo,
    /// Miners whose answers are timed.
    Miners,
    /// Many connections.
    Swarm,
    /// Rigs of ethash.
    Rigs,
    /// Who reads a topic from its beginning.
    #[cfg(feature = "kafka")]
    Reader,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Prints every event as a line of JSON (LEDGER-FORMAT.md, section 9).
    #[command(after_help = "Examples:
  orebook ledger cat --data pool
  orebook ledger cat --data pool --from 1000 --limit 50")]
    Cat {
        #[command(flatten)]
        place: PlaceArgs,
        /// First position printed.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Most positions printed.
        #[arg(long)]
        limit: Option<u64>,
    },
    /// Checks every byte, hash, root, signature and admission again. Exit code 3 if anything is wrong.
    #[command(after_help = "Examples:
  orebook ledger verify --data pool
  orebook ledger verify --segments copy/segments --format json
  orebook ledger verify --data pool --work              every share is hashed again, too
  orebook ledger verify --data pool --work --oracle     by the crate `ethash` instead of our code")]
    Verify {
        #[command(flatten)]
        place: PlaceArgs,
        /// Besides: hashes every share again, and names those that miss their target, carry another stream's tag, or are there twice, and
        /// blocks that no share explains. Takes long where hashing does.
        #[arg(long)]
        work: bool,
        /// Hashes ethash and etchash by the crate `ethash`, which has no line in common with our code; ten times as slow.
        #[arg(long, requires = "work")]
        oracle: bool,
        /// How the result is printed.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Makes the list of each block whose coinbase paid accounts again, from the positions that it says it stands on, and prints how the
    /// coinbase differs (docs/rules.md, 11.6 to 11.8). Exit code 3 if one does.
    #[command(after_help = "Examples:
  orebook ledger coinbases --data pool
  orebook ledger coinbases --segments copy/segments --format json")]
    Coinbases {
        #[command(flatten)]
        place: PlaceArgs,
        /// How the result is printed.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Brings damaged or missing segments back from a peer or a copy: each frame is admitted again, and the tree must have the
    /// root that was signed here. What verifies is not touched; the damaged file is kept as `.damaged-N`. The process that
    /// uses the folder must not run. Exit code 3 if damage is left.
    #[command(after_help = "Examples:
  orebook ledger repair --data pool --from http://archiver-2:8080 --dry-run
  orebook ledger repair --data pool --from /mnt/copy/ledger/segments
  orebook ledger repair --data new --from http://archiver-2:8080 --more    a new archiver's folder")]
    Repair(RepairArgs),
    /// Sends frames again that the log lost and no spool has: those after the last final position of some segments. They are
    /// signed by their producers, and count once however often they are sent. An archiver must run somewhere else meanwhile.
    /// Exit code 1 if not everything became final.
    #[command(after_help = "Examples:
  orebook ledger republish --data mirror-1 --config orebook.toml --segments copy/segments --dry-run
  orebook ledger republish --data mirror-1 --config orebook.toml --segments copy/segments")]
    Republish(RepublishArgs),
    /// Counts what a ledger holds.
    #[command(after_help = "Examples:
  orebook ledger stat --data pool
  orebook ledger stat --data pool --format json")]
    Stat {
        #[command(flatten)]
        place: PlaceArgs,
        /// How the result is printed.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// Folder of the pool, whose `ledger/segments` are repaired.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Who has them: a peer (`http://host:port`), a pool's folder, or a folder of segment files.
    #[arg(long)]
    pub(crate) from: String,
    /// Takes also what the peer has beyond the end here: for a folder that lost its files, or a new one.
    #[arg(long)]
    pub(crate) more: bool,
    /// Number of the archiver whose key and spool are here, where `keys` has several.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) number: Option<u8>,
    /// Says what would be done, and changes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct RepublishArgs {
    /// Folder with the ledger's genesis; its mirror follows the log, to see what became of the frames.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Configuration (TOML), with [kafka].
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Folder of the segment files that have the frames; otherwise those of `--data`.
    #[arg(long)]
    pub(crate) segments: Option<PathBuf>,
    /// First position that is sent; without it the first one that is not final in these files.
    #[arg(long)]
    pub(crate) from: Option<u64>,
    /// Seconds to wait until everything is final.
    #[arg(long = "wait", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) wait_s: u64,
    /// Says what would be sent, and sends nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct PlaceArgs {
    /// Folder of the pool.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Folder of the segment files themselves.
    #[arg(long)]
    pub(crate) segments: Option<PathBuf>,
}

impl PlaceArgs {
    /// Folder of the segment files.
    pub(crate) fn segments(&self) -> PathBuf {
        match (&self.data, &self.segments) {
            (_, Some(segments)) => segments.clone(),
            (Some(data), None) => data.join("ledger").join("segments"),
            (None, None) => PathBuf::from("segments"),
        }
    }
}
