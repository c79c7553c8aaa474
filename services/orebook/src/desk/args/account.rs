//! Arguments of commands about accounts.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{AskArgs, SayArgs};

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  orebook account register anna --payout ADDRESS --key operator.key --yes
  orebook account register farm-7 --payout ADDRESS --threshold 5000000 --only-registered --key operator.key --yes
  orebook account import farm-7 workers.csv --key operator.key           shows what would be said
  orebook account import farm-7 workers.csv --key operator.key --yes
  orebook account token anna --file anna.token --key operator.key --yes
  orebook account show farm-7")]
pub(crate) enum AccountCommand {
    /// Shows what a name is registered as.
    Show {
        /// The name.
        name: String,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Registers a name, so that miners may use it as user name; or says it again with what is given here changed.
    Register {
        /// The name: 1 to 32 of a-z 0-9 _ -.
        name: String,
        #[command(flatten)]
        change: RegisterArgs,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Registers the workers of a file of comma-separated values whose first line has a column `worker`, in several events.
    /// Those that are registered already are left out, so it may be run again.
    Import {
        /// The registered name.
        name: String,
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Makes a secret token in a file for the account's owner. Only its SHA-256 is said.
    Token {
        /// The registered name.
        name: String,
        /// The file; it must not exist, and only its owner may read it.
        #[arg(long)]
        file: PathBuf,
        #[command(flatten)]
        say: SayArgs,
    },
}

/// What a registration changes.
#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// Payout address; needed for a new name. A changed one waits the policy's hold.
    #[arg(long)]
    pub(crate) payout: Option<String>,
    /// Payout threshold, base units; 0: the policy's.
    #[arg(long)]
    pub(crate) threshold: Option<u128>,
    /// Whether only registered workers may mine; `--only-registered false` lets everybody.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) only_registered: Option<bool>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook set anna threshold 5000000 --key operator.key              shows what would be said
  orebook set ADDRESS address NEW_ADDRESS --key operator.key --yes   holds when the policy's address_hold_ms is over
  orebook set anna donation 10000 --key operator.key --yes           1 % of what blocks credit from now on
  orebook set anna pay-now --key operator.key --yes")]
pub(crate) struct SetArgs {
    /// A registered name, a payout address, or an account's canonical text.
    pub(crate) account: String,
    #[command(subcommand)]
    pub(crate) what: SetCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SetCommand {
    /// From which balance on it is paid.
    Threshold {
        /// Base units; 0: the policy's.
        threshold: u128,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Where it is paid.
    Address {
        /// The payout address.
        address: String,
        #[command(flatten)]
        say: SayArgs,
    },
    /// What it donates of its credits.
    Donation {
        /// Parts per million, at most 1000000.
        #[arg(value_parser = clap::value_parser!(u32).range(..=1_000_000))]
        ppm: u32,
        #[command(flatten)]
        say: SayArgs,
    },
    /// That it be paid with the next batch.
    PayNow {
        #[command(flatten)]
        say: SayArgs,
    },
}

impl SetCommand {
    /// How it is said.
    pub(crate) const fn say(&self) -> &SayArgs {
        match self {
            Self::Threshold { say, .. }
            | Self::Address { say, .. }
            | Self::Donation { say, .. }
            | Self::PayNow { say } => say,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn who_may_mine_stays_as_it_is_unless_it_is_said() {
        for (said, expected) in [
            ("", None),
            (" --only-registered", Some(true)),
            (" --only-registered true", Some(true)),
            (" --only-registered false", Some(false)),
        ] {
            let words = format!("orebook account register anna --key k{said}");
            let parsed = Cli::try_parse_from(words.split(' ')).unwrap().command;
            let Command::Account(AccountCommand::Register { name, change, .. }) = parsed else {
                panic!("{words}");
            };
            assert_eq!(
                (name.as_str(), change.only_registered),
                ("anna", expected),
                "{words}"
            );
        }
    }

    #[test]
    fn a_setting_has_one_value_and_a_key_that_signs() {
        for (words, is_read) in [
            ("orebook set anna threshold 5 --key k", true),
            ("orebook set anna threshold 5", false),
            ("orebook set anna threshold --key k", false),
            ("orebook set anna threshold -1 --key k", false),
            ("orebook set anna address rltc1 --key k --yes", true),
            ("orebook set anna donation 1000000 --key k", true),
            ("orebook set anna donation 1000001 --key k", false),
            ("orebook set anna pay-now --key k --print", true),
            ("orebook set anna pay-now now --key k", false),
            ("orebook set anna --key k", false),
            ("orebook account import anna --key k", false),
            ("orebook account token anna --key k", false),
        ] {
            let parsed = Cli::try_parse_from(words.split(' '));
            assert_eq!(parsed.is_ok(), is_read, "{words}");
        }
    }
}
