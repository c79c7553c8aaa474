//! The paymaster's hot wallet: whose key, which node, and what may leave it at most. No secret stands in a configuration.

use std::path::PathBuf;

use orebook_schema::payout::PAYOUT_MAX;
use serde::Deserialize;

use super::{Config, Node};

/// Projectors that may be asked; a proposal has room for so many answers.
const PROJECTORS_MAX: usize = 4;
/// Longest address of a projector, as a proposal names it.
const PROJECTOR_BYTES_MAX: usize = 64;
/// Lines of a batch at most (LEDGER-FORMAT.md).
const LINES_MAX: u16 = 2_000;
/// Between two batches unless said, milliseconds of ledger time: an hour.
const INTERVAL_MS: u64 = 3_600_000;
/// Between two reconciliations unless said, milliseconds of ledger time: a day.
const RECONCILE_MS: u64 = 86_400_000;
/// Between two batches on the development chain.
const DEVELOPMENT_INTERVAL_MS: u64 = 5_000;
/// Between two looks at the chain unless said, milliseconds.
const POLL_MS: u32 = 5_000;
/// The same on the development chain, which is in the process.
const DEVELOPMENT_POLL_MS: u32 = 250;

/// A hot wallet. Amounts are base units as decimal text.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Wallet {
    /// Its number, as the ledger has it.
    pub number: u16,
    /// Who has its key.
    pub kind: WalletKind,
    /// Its key, readable by its owner only: 64 hex digits, or WIF. `wallet.key` in the folder of keys unless given.
    pub key_file: Option<PathBuf>,
    /// Which [[node]] is asked, by name; the first unless given.
    pub node: Option<String>,
    /// Which of several wallets that the node has open.
    pub node_wallet: Option<String>,
    /// Number of an ethash-like's chain (EIP-155), where it is not the coin's own.
    pub chain_id: Option<u64>,
    /// Most base units for 1,000 virtual bytes of a bitcoin-like.
    pub fee_rate_max: Option<u64>,
    /// Base units for 1,000 virtual bytes where the node has no estimate.
    pub fee_rate_fallback: Option<u64>,
    /// Most base units of a unit of gas.
    pub gas_price_max: Option<String>,
    /// Most of that for the miner.
    pub priority_fee_max: Option<String>,
    /// Most that one transaction may cost, base units.
    pub fee_max: Option<String>,
    /// Most that one batch may pay, base units; no limit unless given.
    pub batch_max: Option<String>,
    /// Most that the batches of 24 hours may pay, base units; no limit unless given.
    pub day_max: Option<String>,
    /// A wallet with less is said to be low, base units; no such minimum unless given.
    pub balance_min: Option<String>,
    /// Lines of a batch, 1 to 2,000.
    pub lines_max: u16,
    /// Fewest peers of the node.
    pub peers_min: Option<u64>,
    /// Between two batches, milliseconds of ledger time; an hour unless given, on the development chain five seconds.
    pub interval_ms: Option<u64>,
    /// After so long in memory pools a transaction is replaced by one that pays more, milliseconds of ledger time.
    pub stuck_ms: u64,
    /// Between two reconciliations with the chain, milliseconds of ledger time: a day.
    pub reconcile_ms: u64,
    /// Between two looks at the chain, milliseconds.
    pub poll_ms: Option<u32>,
    /// Projectors whose digest of money is asked before anything is proposed, `http://host:port`. With `up` it asks its own.
    pub projectors: Vec<String>,
    /// Nothing is said, signed or sent. True unless given, but on the development chain.
    pub dry_run: Option<bool>,
}

/// Who has a wallet's key.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum WalletKind {
    /// A file of this machine.
    #[default]
    Key,
    /// The wallet inside a bitcoin-like node.
    Node,
}

impl Default for Wallet {
    fn default() -> Self {
        Self {
            number: 0,
            kind: WalletKind::Key,
            key_file: None,
            node: None,
            node_wallet: None,
            chain_id: None,
            fee_rate_max: None,
            fee_rate_fallback: None,
            gas_price_max: None,
            priority_fee_max: None,
            fee_max: None,
            batch_max: None,
            day_max: None,
            balance_min: None,
            lines_max: 1_000,
            peers_min: None,
            interval_ms: None,
            stuck_ms: INTERVAL_MS,
            reconcile_ms: RECONCILE_MS,
            poll_ms: None,
            projectors: Vec::new(),
            dry_run: None,
        }
    }
}

/// An amount of base units, at most what a payout may be.
///
/// # Errors
/// What is wrong with it, in words.
pub fn base_units(key: &str, text: Option<&str>) -> Result<Option<u128>, String> {
    let Some(text) = text else {
        return Ok(None);
    };
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let units = text.parse::<u128>().ok().filter(|_| is_plain);
    let units = units.filter(|units| (1..=PAYOUT_MAX).contains(units));
    units.map(Some).ok_or_else(|| {
        format!("wallet.{key}: {text:?} is no whole number of base units from 1 to {PAYOUT_MAX}")
    })
}

/// `host:port` of a projector's address.
#[must_use]
pub fn projector(url: &str) -> Option<&str> {
    let host = url.strip_prefix("http://")?;
    let host = host.strip_suffix('/').unwrap_or(host);
    let (name, port) = host.rsplit_once(':')?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    let is_sound = !name.is_empty() && name.bytes().all(is_plain) && port.parse::<u16>().is_ok();
    (is_sound && host.len() <= PROJECTOR_BYTES_MAX).then_some(host)
}

impl Wallet {
    /// Between two batches, milliseconds of ledger time.
    #[must_use]
    pub fn interval_ms(&self, is_development: bool) -> u64 {
        self.interval_ms.unwrap_or(if is_development {
            DEVELOPMENT_INTERVAL_MS
        } else {
            INTERVAL_MS
        })
    }

    /// Between two looks at the chain, milliseconds.
    #[must_use]
    pub fn poll_ms(&self, is_development: bool) -> u64 {
        let poll_ms = self.poll_ms.unwrap_or(if is_development {
            DEVELOPMENT_POLL_MS
        } else {
            POLL_MS
        });
        u64::from(poll_ms)
    }

    /// Whether nothing is said, signed or sent.
    #[must_use]
    pub fn is_dry_run(&self, is_development: bool) -> bool {
        self.dry_run.unwrap_or(!is_development)
    }

    /// The node that it asks; none on the development chain.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn node<'a>(&self, nodes: &'a [Node]) -> Result<Option<&'a Node>, String> {
        let Some(name) = &self.node else {
            return Ok(nodes.first());
        };
        let found = nodes.iter().find(|node| node.name == *name);
        let found = found.ok_or_else(|| format!("wallet.node: no [[node]] is called {name}"));
        found.map(Some)
    }
}

/// What no single key of the wallet says.
pub(super) fn check(config: &Config) -> Result<(), String> {
    let Some(wallet) = &config.wallet else {
        return Ok(());
    };
    for (key, text) in [
        ("gas_price_max", &wallet.gas_price_max),
        ("priority_fee_max", &wallet.priority_fee_max),
        ("fee_max", &wallet.fee_max),
        ("batch_max", &wallet.batch_max),
        ("day_max", &wallet.day_max),
        ("balance_min", &wallet.balance_min),
    ] {
        base_units(key, text.as_deref())?;
    }
    if !(1..=LINES_MAX).contains(&wallet.lines_max) {
        return Err(format!("wallet.lines_max: 1 to {LINES_MAX}"));
    }
    for (key, value) in [
        ("fee_rate_max", wallet.fee_rate_max),
        ("fee_rate_fallback", wallet.fee_rate_fallback),
        ("chain_id", wallet.chain_id),
        ("poll_ms", wallet.poll_ms.map(u64::from)),
        ("reconcile_ms", Some(wallet.reconcile_ms)),
    ] {
        if value == Some(0) {
            return Err(format!("wallet.{key}: above zero"));
        }
    }
    if PROJECTORS_MAX < wallet.projectors.len() {
        return Err(format!("wallet.projectors: at most {PROJECTORS_MAX}"));
    }
    if let Some(wrong) = wallet
        .projectors
        .iter()
        .find(|url| projector(url).is_none())
    {
        return Err(format!(
            "wallet.projectors: {wrong:?} is not as http://10.0.0.5:8080, at most {PROJECTOR_BYTES_MAX} bytes behind http://"
        ));
    }
    let is_ethash = config.is_ethash();
    let node = wallet.node(&config.node)?;
    if wallet.kind == WalletKind::Node && (is_ethash || node.is_none()) {
        return Err("wallet.kind: only a bitcoin-like's node has a wallet that signs".to_owned());
    }
    for (key, is_said, of_ethash) in [
        ("chain_id", wallet.chain_id.is_some(), true),
        ("gas_price_max", wallet.gas_price_max.is_some(), true),
        ("priority_fee_max", wallet.priority_fee_max.is_some(), true),
        ("node_wallet", wallet.node_wallet.is_some(), false),
        ("fee_rate_max", wallet.fee_rate_max.is_some(), false),
        (
            "fee_rate_fallback",
            wallet.fee_rate_fallback.is_some(),
            false,
        ),
    ] {
        if is_said && is_ethash != of_ethash {
            let kind = if of_ethash { "ethash" } else { "bitcoin" };
            return Err(format!("wallet.{key}: only with nodes of kind {kind}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    const BITCOIN: &str = "[pool]\npayout_address = \"a\"\n[[node]]\nname = \"a\"\nrpc = \"127.0.0.1:1\"\n\
                           credentials_file = \"c\"\n";
    const ETHASH: &str = "[pool]\npayout_address = \"a\"\n[[node]]\nname = \"a\"\nrpc = \"127.0.0.1:1\"\n\
                          kind = \"ethash\"\n";

    #[test]
    fn a_wallet_that_cannot_pay_is_refused_in_words() {
        for (nodes, text, says) in [
            ("", "kind = \"node\"", "only a bitcoin-like's node"),
            (ETHASH, "kind = \"node\"", "only a bitcoin-like's node"),
            (BITCOIN, "node = \"b\"", "no [[node]] is called b"),
            (BITCOIN, "chain_id = 61", "only with nodes of kind ethash"),
            (
                ETHASH,
                "fee_rate_max = 1",
                "only with nodes of kind bitcoin",
            ),
            (
                BITCOIN,
                "fee_rate_max = 0",
                "wallet.fee_rate_max: above zero",
            ),
            (
                BITCOIN,
                "fee_max = \"0\"",
                "wallet.fee_max: \"0\" is no whole number",
            ),
            (
                BITCOIN,
                "day_max = \"1.5\"",
                "wallet.day_max: \"1.5\" is no whole number",
            ),
            (BITCOIN, "batch_max = \"+1\"", "is no whole number"),
            (
                BITCOIN,
                "batch_max = \"1208925819614629174706177\"",
                "is no whole number",
            ),
            (BITCOIN, "lines_max = 2001", "wallet.lines_max: 1 to 2000"),
            (
                BITCOIN,
                "projectors = [\"https://a:1\"]",
                "not as http://10.0.0.5:8080",
            ),
            (
                BITCOIN,
                "projectors = [\"http://a\"]",
                "not as http://10.0.0.5:8080",
            ),
            (
                BITCOIN,
                "projectors = [\"http://u:p@a:1\"]",
                "not as http://10.0.0.5:8080",
            ),
            (BITCOIN, "key = \"12\"", "unknown field `key`"),
        ] {
            let fault = parse(&format!("{nodes}[wallet]\n{text}\n")).unwrap_err();
            assert!(fault.message.contains(says), "{text}: {}", fault.message);
        }
    }

    #[test]
    fn a_wallet_of_a_real_coin_pays_only_where_it_is_said() {
        for (nodes, text, is_development, is_dry_run, interval_ms) in [
            (BITCOIN, "", false, true, 3_600_000),
            (BITCOIN, "dry_run = false\ninterval_ms = 7", false, false, 7),
            (ETHASH, "", false, true, 3_600_000),
            ("", "", true, false, 5_000),
            ("", "dry_run = true", true, true, 5_000),
        ] {
            let config = parse(&format!("{nodes}[wallet]\n{text}\n")).unwrap();
            assert_eq!(config.node.is_empty(), is_development);
            let wallet = config.wallet.unwrap();
            assert_eq!(wallet.is_dry_run(is_development), is_dry_run, "{text}");
            assert_eq!(wallet.interval_ms(is_development), interval_ms, "{text}");
        }
    }

    #[test]
    fn a_projector_is_named_by_its_host_and_port() {
        for (url, host) in [
            ("http://127.0.0.1:8080", Some("127.0.0.1:8080")),
            ("http://projector-2:80/", Some("projector-2:80")),
            ("http://[::1]:80", Some("[::1]:80")),
            ("http://a:80/api", None),
            ("http://:80", None),
            ("http://a:65536", None),
        ] {
            assert_eq!(super::projector(url), host, "{url}");
        }
    }
}
