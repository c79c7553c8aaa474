//! Arguments of people's commands.

mod account;
mod pay;
mod setting;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use orebook_schema::Role;

pub(crate) use self::account::{AccountCommand, RegisterArgs, SetArgs, SetCommand};
pub(crate) use self::pay::{DustCommand, PayCommand, WriteOffArgs};
pub(crate) use self::setting::{SettingCommand, SettingSendArgs, What};
use crate::cli::{Format, RoleArgs};

/// Days that a command may be taken at most.
pub(crate) const DAYS_MAX: u8 = 7;
/// The desk of `orebook up` without a configuration.
const DESK_DEFAULT: &str = "127.0.0.1:8090";

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  orebook desk --data /srv/pool --config orebook.toml
  orebook desk audit --data /srv/pool"
)]
pub(crate) struct DeskArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DeskCommand>,
    #[command(flatten)]
    pub(crate) role: Option<RoleArgs>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeskCommand {
    /// Checks the chain of the audit trail. Exit code 3 if a line is not what was written.
    Audit(AuditArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Folder of the pool, or of the desk's machine.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Whom to ask.
#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// The desk, host:port.
    #[arg(long, default_value = DESK_DEFAULT)]
    pub(crate) desk: String,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// How something is said.
#[derive(Debug, Args)]
pub(crate) struct SayArgs {
    /// The desk, host:port.
    #[arg(long, default_value = DESK_DEFAULT)]
    pub(crate) desk: String,
    /// File with the key that signs: an operator's or an approver's. It is read, and goes nowhere.
    #[arg(long = "key", value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Sends it. Without this it is only shown.
    #[arg(long, conflicts_with = "print")]
    pub(crate) yes: bool,
    /// Prints it signed, as hex, for `orebook send` on another machine.
    #[arg(long)]
    pub(crate) print: bool,
    /// Days until the desk does not take it any more.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=i64::from(DAYS_MAX)))]
    pub(crate) days: u8,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Roles of producers' keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    /// The door for people's commands.
    Desk,
    /// Accepts miners.
    Gateway,
    /// Keeps segments and signs checkpoints.
    Archiver,
    /// Says what became of blocks.
    Settler,
    /// Reaches a wallet.
    Paymaster,
}

impl RoleName {
    /// As the ledger has it.
    pub(crate) const fn role(self) -> Role {
        match self {
            Self::Desk => Role::Desk,
            Self::Gateway => Role::Gateway,
            Self::Archiver => Role::Archiver,
            Self::Settler => Role::Settler,
            Self::Paymaster => Role::Paymaster,
        }
    }
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  orebook key new --file anna.key                prints the public half
  orebook key show
  orebook key add --public HEX --role gateway --key anna.key --yes
  orebook key revoke --public HEX --key anna.key --yes")]
pub(crate) enum KeyCommand {
    /// Makes a secret key in a file, and prints its public half.
    New(KeyNewArgs),
    /// Shows producers' keys, in force or revoked.
    Show(AskArgs),
    /// Puts a producer's key in force.
    Add {
        /// The key's public half, 64 hex digits.
        #[arg(long, value_name = "HEX")]
        public: String,
        /// What it is for.
        #[arg(long, value_enum)]
        role: RoleName,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Revokes a producer's key: nothing that it signs counts from there on.
    Revoke {
        /// The key's public half, 64 hex digits.
        #[arg(long, value_name = "HEX")]
        public: String,
        #[command(flatten)]
        say: SayArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct KeyNewArgs {
    /// The file; it must not exist.
    #[arg(long)]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  orebook policy show
  orebook policy set --fee-ppm 5000 --key anna.key              shows what would be said
  orebook policy set --pot 1 --fee-ppm 5000 --key anna.key --yes")]
pub(crate) enum PolicyCommand {
    /// Shows the policy in force.
    Show(AskArgs),
    /// Says a policy: the one in force, with what is given here changed.
    Set {
        #[command(flatten)]
        change: Box<PolicyArgs>,
        #[command(flatten)]
        say: SayArgs,
    },
}

/// What a policy changes.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// Only this pot; every one unless given.
    #[arg(long)]
    pub(crate) pot: Option<u16>,
    /// Pool fee, parts per million.
    #[arg(long)]
    pub(crate) fee_ppm: Option<u32>,
    /// PPLNS window, parts per million of the network's work.
    #[arg(long)]
    pub(crate) window_ppm: Option<u64>,
    /// Finder's bonus, parts per million.
    #[arg(long)]
    pub(crate) bonus_ppm: Option<u32>,
    /// What a stale share is paid, parts per million of its work.
    #[arg(long)]
    pub(crate) stale_ppm: Option<u32>,
    /// Whether transaction fees go to the pool.
    #[arg(long)]
    pub(crate) keep_tx_fees: Option<bool>,
    /// Least that coinbases pay a miner himself, base units; 0: they pay the pool alone.
    #[arg(long)]
    pub(crate) direct_min: Option<u64>,
    /// Most outputs to miners in a coinbase.
    #[arg(long)]
    pub(crate) direct_outputs: Option<u16>,
    /// Payout threshold, base units.
    #[arg(long)]
    pub(crate) threshold: Option<u128>,
    /// Ledger time that a change of an account's address waits, milliseconds.
    #[arg(long)]
    pub(crate) address_hold_ms: Option<u64>,
    /// A batch of payouts whose total is at most this needs no approval, base units.
    #[arg(long)]
    pub(crate) auto_pay_limit: Option<u128>,
    /// Confirmations at which a payout counts as paid, and after which it is not watched any more.
    #[arg(long, value_names = ["PAID", "FINAL"], num_args = 2)]
    pub(crate) payout_depths: Option<Vec<u32>>,
    /// How long an account must owe before it may be written off, milliseconds of ledger time.
    #[arg(long)]
    pub(crate) writeoff_ms: Option<u64>,
    /// Whether whole base units that splits leave go to the pool's fees.
    #[arg(long)]
    pub(crate) rounding_to_fee: Option<bool>,
    /// Blocks on top at which a block counts as immature, confirmed, orphaned.
    #[arg(long, value_names = ["IMMATURE", "CONFIRMED", "ORPHAN"], num_args = 3)]
    pub(crate) depths: Option<Vec<u32>>,
    /// The whole policy from a file instead: JSON, as `policy show --format json` has it under "says".
    #[arg(long, conflicts_with_all = ["pot", "fee_ppm", "window_ppm", "bonus_ppm", "stale_ppm", "keep_tx_fees", "direct_min", "direct_outputs", "rounding_to_fee", "threshold", "address_hold_ms", "auto_pay_limit", "payout_depths", "writeoff_ms", "depths"])]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Announces every kind of event that this software knows, as the next schema set. Projectors are upgraded before.
    Announce {
        #[command(flatten)]
        say: SayArgs,
    },
}

/// Whom a ban is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct TargetArgs {
    /// A payout address, or the account's canonical text.
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// A network: 192.0.2.0/24, 2001:db8::/32, or one address.
    #[arg(long)]
    pub(crate) network: Option<String>,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  orebook ban list
  orebook ban add --network 192.0.2.0/24 --hours 24 --reason 'floods logins' --key anna.key --yes
  orebook ban add --account ADDRESS --reason 'withholds blocks' --key anna.key --yes
  orebook ban lift --account ADDRESS --reason 'it was not him' --key anna.key --yes")]
pub(crate) enum BanCommand {
    /// Shows who is banned, or was.
    List(AskArgs),
    /// Gateways refuse an account or a network from now on. What was earned stays and is paid.
    Add {
        #[command(flatten)]
        target: TargetArgs,
        /// Hours until it ends; unless given, when it is lifted.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        hours: Option<u32>,
        /// Why, at most 200 printable ASCII characters; the miner reads it.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Gateways let it in again.
    Lift {
        #[command(flatten)]
        target: TargetArgs,
        /// Why, at most 200 printable ASCII characters.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        say: SayArgs,
    },
}

/// Books on the other side of an adjustment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BookName {
    /// The pool's reserve.
    Reserve,
    /// Donations.
    Donation,
    /// The pool's fees.
    Fee,
    /// What rounding left.
    Rounding,
}

#[derive(Debug, Args)]
#[group(id = "way", required = true, multiple = false)]
pub(crate) struct WayArgs {
    /// Sub-units (10^-9 base units) that the account gets from the book.
    #[arg(long)]
    pub(crate) give: Option<u128>,
    /// Sub-units (10^-9 base units) that the book gets from the account.
    #[arg(long)]
    pub(crate) take: Option<u128>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook adjust --account ADDRESS --book reserve --give 5000000000 --reason 'block 812 was his' --key anna.key
  orebook adjust … --yes")]
pub(crate) struct AdjustArgs {
    /// A payout address, or the account's canonical text.
    #[arg(long)]
    pub(crate) account: String,
    /// The other book.
    #[arg(long, value_enum)]
    pub(crate) book: BookName,
    #[command(flatten)]
    pub(crate) way: WayArgs,
    /// Hash of the block that it explains, 64 hex digits in header order.
    #[arg(long)]
    pub(crate) block: Option<String>,
    /// Why, at most 200 printable ASCII characters.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) say: SayArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook approve --thing HEX --key approver-1.key --yes
  orebook approve --thing HEX --ledger UUID --key approver-1.key --print > signed     without any network
  orebook send signed")]
pub(crate) struct ApproveArgs {
    /// Digest of the thing, as the desk named it; of a batch of payouts as the paymaster did.
    #[arg(long, value_name = "HEX")]
    pub(crate) thing: String,
    /// The ledger's uuid; given, the desk is not asked what the thing is.
    #[arg(long, requires = "print")]
    pub(crate) ledger: Option<String>,
    #[command(flatten)]
    pub(crate) say: SayArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// File with a command that `--print` printed.
    pub(crate) file: PathBuf,
    /// The desk, host:port.
    #[arg(long, default_value = DESK_DEFAULT)]
    pub(crate) desk: String,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn the_key_that_is_spoken_of_is_not_the_one_that_signs() {
        let parsed = |words: &str| Cli::try_parse_from(words.split(' ')).unwrap().command;
        let said = "--key anna.key --yes --days 7";
        for words in [
            format!("orebook key revoke --public ab {said}"),
            format!("orebook key add --public ab --role gateway {said}"),
        ] {
            let (public, say) = match parsed(&words) {
                Command::Key(KeyCommand::Revoke { public, say }) => (public, say),
                Command::Key(KeyCommand::Add { public, say, .. }) => (public, say),
                other => panic!("{other:?}"),
            };
            assert_eq!(public, "ab", "{words}");
            assert_eq!(say.key, PathBuf::from("anna.key"), "{words}");
            assert!(say.yes && say.days == 7, "{words}");
        }
    }

    #[test]
    fn the_desk_runs_with_a_configuration_or_checks_its_trail() {
        for (words, runs, audits) in [
            ("orebook desk --data d --config c", true, false),
            ("orebook desk audit --data d", false, true),
        ] {
            let Command::Desk(args) = Cli::try_parse_from(words.split(' ')).unwrap().command else {
                panic!("{words}");
            };
            let seen = (
                args.role.is_some() && args.command.is_none(),
                args.command.is_some(),
            );
            assert_eq!(seen, (runs, audits), "{words}");
        }
        for wrong in [
            "orebook ban add --reason x --key k",
            "orebook ban add --network 192.0.2.1 --account a --reason x --key k",
            "orebook adjust --account a --book fee --reason x --key k",
            "orebook adjust --account a --book fee --give 1 --take 1 --reason x --key k",
            "orebook key revoke --public ab --key k --yes --print",
            "orebook policy set --fee-ppm 1 --file f --key k",
            "orebook approve --thing ab --key k --days 8",
        ] {
            assert!(Cli::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
    }
}
