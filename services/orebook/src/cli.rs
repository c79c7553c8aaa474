//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A mining pool that keeps its books.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  orebook init --data pool                       a new ledger for a development chain
  orebook ledger verify --data pool              every byte, hash, root and signature"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Writes a new ledger's genesis and the keys of its first producers.
    Init(InitArgs),
    /// Reads a ledger's segment files.
    #[command(subcommand)]
    Ledger(LedgerCommand),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object on stdout.
    Json,
}

/// Coins whose facts are known; everything can be said by hand too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// The development chain (sha256d).
    Dev,
    /// Bitcoin.
    Bitcoin,
    /// Litecoin (scrypt).
    Litecoin,
    /// Litecoin's regtest.
    LitecoinRegtest,
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
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
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
  orebook ledger verify --segments copy/segments --format json")]
    Verify {
        #[command(flatten)]
        place: PlaceArgs,
        /// How the result is printed.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
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
