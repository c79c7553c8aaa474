//! Arguments of what accounts' owners say themselves.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::Format;

/// The listener for miners, as the example of a configuration has it.
const MINERS_DEFAULT: &str = "127.0.0.1:8091";

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  orebook setting text ADDRESS threshold 5000000 --file wish     base units; 0: the policy's
  orebook setting text ADDRESS address NEW_ADDRESS --file wish   holds when the policy's hold is over
  orebook setting text ADDRESS donation 10000 --file wish        parts per million
  orebook setting text anna pay-now --file wish                  of a registered name
  … read it, sign its very bytes with the address's wallet (signmessage, BIP322, personal_sign), then
  orebook setting send --text wish --signature SIGNATURE
  orebook setting send --text wish --token anna.token            of a registered name")]
pub(crate) enum SettingCommand {
    /// Prints the text of a setting, for its owner to sign. Nothing is sent.
    Text {
        /// A payout address, or a registered name.
        account: String,
        /// What is to be set.
        #[arg(value_enum)]
        what: What,
        /// Base units, a payout address, or parts per million; nothing of pay-now.
        value: Option<String>,
        /// Writes the text, byte by byte as it is to be signed, to a new file too.
        #[arg(long)]
        file: Option<PathBuf>,
        /// The desk's listener for miners, host:port.
        #[arg(long, default_value = MINERS_DEFAULT)]
        miners: String,
    },
    /// Sends a text with its signature, or with an account's token. Sent again, it gets the same answer.
    Send(SettingSendArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SettingSendArgs {
    /// File with the text.
    #[arg(long)]
    pub(crate) text: PathBuf,
    /// The signature as the wallet prints it: base64, or 0x and hex.
    #[arg(long, required_unless_present = "token", conflicts_with = "token")]
    pub(crate) signature: Option<String>,
    /// File with a registered account's token. It goes to the desk: use a connection that nobody else reads.
    #[arg(long, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// The desk's listener for miners, host:port.
    #[arg(long, default_value = MINERS_DEFAULT)]
    pub(crate) miners: String,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    Threshold,
    Address,
    Donation,
    PayNow,
}

impl What {
    /// As the desk calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::Address => "address",
            Self::Donation => "donation",
            Self::PayNow => "pay_now",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::Cli;

    #[test]
    fn a_text_is_asked_for_and_sent_with_a_signature_or_a_token() {
        for (words, is_read) in [
            ("orebook setting text anna threshold 5", true),
            ("orebook setting text anna pay-now", true),
            ("orebook setting text anna everything", false),
            ("orebook setting text anna", false),
            ("orebook setting send --text f --signature s", true),
            ("orebook setting send --text f --token t", true),
            (
                "orebook setting send --text f --token t --signature s",
                false,
            ),
            ("orebook setting send --text f", false),
            ("orebook setting send --signature s", false),
        ] {
            let parsed = Cli::try_parse_from(words.split(' '));
            assert_eq!(parsed.is_ok(), is_read, "{words}");
        }
    }
}
