//! Arguments of what people say of payouts and debts.

use clap::{Args, Subcommand};

use super::SayArgs;
use crate::cli::Format;

/// Pages and API of `orebook up` without a configuration.
const API_DEFAULT: &str = "127.0.0.1:8080";

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  orebook pay status
  orebook pay propose                                           what the paymaster would propose now
  orebook pay approve --batch 12 --key approver-1.key           shows the batch
  orebook pay approve --batch 12 --key approver-1.key --yes
  orebook pay halt --reason 'the node is being restored' --key anna.key --yes
  orebook pay resume --expects 81200.3 --api 127.0.0.1:8080 --reason 'it was restored' --key anna.key --yes
  orebook approve --thing HEX --key approver-1.key --yes        of a batch, or of a resume")]
pub(crate) enum PayCommand {
    /// Shows wallets, batches, what became of them, and what approvals are missing.
    Status {
        /// A projector, host:port.
        #[arg(long, default_value = API_DEFAULT)]
        api: String,
        /// Batches, newest first.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
        limit: u16,
        /// How the result is printed.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Shows what the paymaster would propose, and what it waits for. Nothing is said: the paymaster proposes by itself.
    Propose {
        /// The paymaster's own address, host:port; of `orebook up` that of the pages.
        #[arg(long, default_value = API_DEFAULT)]
        paymaster: String,
        /// How the result is printed.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Approves a batch: signs its digest with an approver's key and sends that to the desk.
    Approve {
        /// The wallet's number.
        #[arg(long, default_value_t = 0)]
        wallet: u16,
        /// The batch's number.
        #[arg(long)]
        batch: u64,
        /// A projector, host:port: what the batch is comes from it.
        #[arg(long, default_value = API_DEFAULT)]
        api: String,
        #[command(flatten)]
        say: SayArgs,
    },
    /// A wallet pays nothing more until it is resumed. What is under way is still watched.
    Halt {
        /// The wallet's number.
        #[arg(long, default_value_t = 0)]
        wallet: u16,
        /// Why, at most 200 printable ASCII characters.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        say: SayArgs,
    },
    /// A halted wallet may pay again, with an approval.
    Resume {
        /// The wallet's number.
        #[arg(long, default_value_t = 0)]
        wallet: u16,
        /// Place of the wallet's last halt: its position and index, as `orebook pay status` shows them. A resume that names another
        /// place is taken and approved, and never obeyed.
        #[arg(long, value_name = "POSITION.INDEX")]
        expects: String,
        /// A projector, host:port: asked first whether that is the place.
        #[arg(long)]
        api: Option<String>,
        /// Why, at most 200 printable ASCII characters.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        say: SayArgs,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orebook writeoff --account ADDRESS --reason 'she left' --key anna.key
  orebook writeoff … --yes")]
pub(crate) struct WriteOffArgs {
    /// A payout address, or the account's canonical text. Its available balance must be below zero for as long as the policy asks.
    #[arg(long)]
    pub(crate) account: String,
    /// Why, at most 200 printable ASCII characters.
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) say: SayArgs,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  orebook dust propose --account ADDRESS --account ADDRESS --cutoff 1200000 --to donation --reason 'silent for a year' --key anna.key
  orebook dust propose … --yes                   then approvers approve it, and 30 days later it moves
  orebook dust withdraw --reason 'a mistake' --key anna.key --yes")]
pub(crate) enum DustCommand {
    /// Announces that dust of accounts moves 30 days after its approval, of those that were not active since.
    Propose {
        /// A payout address, or the account's canonical text; once for each, at most 400.
        #[arg(long = "account", required = true)]
        accounts: Vec<String>,
        /// A position: who was active above it keeps what he has.
        #[arg(long)]
        cutoff: u64,
        /// Where it goes: reserve, donation or fee.
        #[arg(long)]
        to: String,
        /// Why, at most 200 printable ASCII characters; miners read it.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Takes back what was announced and did not move yet.
    Withdraw {
        /// Why, at most 200 printable ASCII characters.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        say: SayArgs,
    },
}
