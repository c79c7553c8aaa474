//! Payout addresses: every spelling of an address is one account, and what is none is told why, in words for a miner.
//!
//! Of bitcoin-likes SegWit addresses by BIP173 and BIP350 (version 0 and Taproot), the older ones by base58 with checksum.
//! Litecoin's extension block addresses name no output script and are refused by name. Of ethash-likes 20 bytes in hex, with
//! the checksum of EIP-55 where letters of both cases are used (`evm`). Nothing here knows keys.

mod evm;

use std::fmt;

use bech32::primitives::decode::{SegwitHrpstring, SegwitHrpstringError, UncheckedHrpstringError};
use bech32::{Fe32, Hrp, segwit};
use orebook_schema::names::{Account, Script};

/// Longest address that is looked at (BIP173); a longer one is refused unread.
pub const ADDRESS_BYTES_MAX: usize = 90;

/// Characters of a base58 address; a text of another length is a name rather than a mistyped address.
const BASE58_CHARS: std::ops::RangeInclusive<usize> = 25..=36;

/// A chain, as far as its addresses differ from those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Bitcoin.
    Bitcoin,
    /// Bitcoin's test networks (testnet, signet).
    BitcoinTest,
    /// Bitcoin regtest.
    BitcoinRegtest,
    /// Litecoin.
    Litecoin,
    /// Litecoin's test network.
    LitecoinTest,
    /// Litecoin regtest.
    LitecoinRegtest,
    /// Verium. Vericoin has the same spellings, so that nobody can tell an address of one from an address of the other: the
    /// same key has both.
    Verium,
    /// Ethereum Classic. No chain of its kind has spellings of its own.
    EthereumClassic,
    /// Expanse.
    Expanse,
    /// A test chain of ethash.
    EthashTest,
    /// The development chain: SegWit addresses only.
    Development,
}

/// What differs from network to network. Base58 versions: the first of each list is the one that is written.
struct Spelling {
    name: &'static str,
    shown: &'static str,
    hrp: &'static str,
    key_hash: &'static [u8],
    script_hash: &'static [u8],
}

impl Network {
    /// Every network.
    pub const ALL: [Self; 11] = [
        Self::Bitcoin,
        Self::BitcoinTest,
        Self::BitcoinRegtest,
        Self::Litecoin,
        Self::LitecoinTest,
        Self::LitecoinRegtest,
        Self::Verium,
        Self::EthereumClassic,
        Self::Expanse,
        Self::EthashTest,
        Self::Development,
    ];

    const fn spelling(self) -> Spelling {
        let (name, shown, hrp, key_hash, script_hash): (_, _, _, &[u8], &[u8]) = match self {
            Self::Bitcoin => ("bitcoin", "Bitcoin", "bc", &[0x00], &[0x05]),
            Self::BitcoinTest => ("bitcoin-test", "Bitcoin testnet", "tb", &[0x6f], &[0xc4]),
            Self::BitcoinRegtest => (
                "bitcoin-regtest",
                "Bitcoin regtest",
                "bcrt",
                &[0x6f],
                &[0xc4],
            ),
            Self::Litecoin => ("litecoin", "Litecoin", "ltc", &[0x30], &[0x32, 0x05]),
            Self::LitecoinTest => (
                "litecoin-test",
                "Litecoin testnet",
                "tltc",
                &[0x6f],
                &[0x3a, 0xc4],
            ),
            Self::LitecoinRegtest => (
                "litecoin-regtest",
                "Litecoin regtest",
                "rltc",
                &[0x6f],
                &[0x3a, 0xc4],
            ),
            Self::Verium => ("verium", "Verium", "vry", &[0x46], &[0x84]),
            Self::EthereumClassic => ("ethereum-classic", "Ethereum Classic", "", &[], &[]),
            Self::Expanse => ("expanse", "Expanse", "", &[], &[]),
            Self::EthashTest => ("ethash-test", "an ethash test chain", "", &[], &[]),
            Self::Development => ("development", "the development chain", "ob", &[], &[]),
        };
        Spelling {
            name,
            shown,
            hrp,
            key_hash,
            script_hash,
        }
    }

    /// The network of a ledger's coin, as its genesis names it: `dev` is the development chain.
    #[must_use]
    pub fn of_coin(coin: &str) -> Option<Self> {
        match coin {
            "dev" | "verium-test" => Some(Self::Development),
            coin => Self::parse(coin),
        }
    }

    /// What precedes a message that a key of this network signs, without its length: of bitcoin-likes their nodes' own
    /// (Bitcoin's and Litecoin's `src/util/message.cpp`, Verium's `src/util/validation.cpp`, each `strMessageMagic`), of ethash-likes
    /// that of EIP-191's version 0x45, which all of them share. The development chain has Bitcoin's, so that wallets can sign.
    #[must_use]
    pub const fn message_magic(self) -> &'static str {
        match self {
            Self::Bitcoin | Self::BitcoinTest | Self::BitcoinRegtest | Self::Development => {
                "Bitcoin Signed Message:\n"
            }
            Self::Litecoin | Self::LitecoinTest | Self::LitecoinRegtest => {
                "Litecoin Signed Message:\n"
            }
            Self::Verium => "Verium Signed Message:\n",
            Self::EthereumClassic | Self::Expanse | Self::EthashTest => {
                "Ethereum Signed Message:\n"
            }
        }
    }

    /// The name in configurations: `bitcoin`, `bitcoin-test`, `bitcoin-regtest`, `litecoin`, `litecoin-test`,
    /// `litecoin-regtest`, `verium`, `ethereum-classic`, `expanse`, `ethash-test`, `development`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.spelling().name
    }

    /// Whether its addresses are 20 bytes in hex, as those of every ethash-like.
    #[must_use]
    pub const fn is_evm(self) -> bool {
        matches!(
            self,
            Self::EthereumClassic | Self::Expanse | Self::EthashTest
        )
    }

    /// Reads a name of a configuration.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|network| network.name() == name)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spelling().shown)
    }
}

/// Why a text is no address of this network, in words that a miner may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Empty, or longer than [`ADDRESS_BYTES_MAX`].
    #[error("an address has 1 to {ADDRESS_BYTES_MAX} characters")]
    Length,
    /// Neither bech32 nor base58.
    #[error("this is no address of {0}")]
    Unknown(Network),
    /// Upper and lower case in one bech32 text (BIP173).
    #[error("the address mixes upper and lower case: a part is mistyped")]
    MixedCase,
    /// The checksum does not fit.
    #[error("the address has a wrong checksum: a character is mistyped or missing")]
    Checksum,
    /// A witness version whose outputs anybody might spend.
    #[error("witness version {0} is not in use")]
    WitnessVersion(u8),
    /// A program of another length than its version has.
    #[error("the address has a wrong length")]
    ProgramLength,
    /// A good address of another network.
    #[error("a {of} address; this pool mines {pool}")]
    OtherNetwork {
        /// A network that it belongs to.
        of: Network,
        /// The network asked for.
        pool: Network,
    },
    /// An address of an ethash-like, where a bitcoin-like is mined.
    #[error("an address of an Ethereum-like chain; this pool mines {0}")]
    EvmElsewhere(Network),
    /// No 40 hex digits, where an ethash-like is mined.
    #[error("this is no address of {0}: give 0x and 40 hex digits")]
    EvmDigits(Network),
    /// Letters of both cases that do not spell the checksum (EIP-55).
    #[error("the address has a wrong checksum: a character or its case is mistyped")]
    EvmChecksum,
    /// The address of nobody.
    #[error("the zero address belongs to nobody")]
    EvmZero,
    /// An address of Litecoin's extension block.
    #[error(
        "an MWEB address cannot be paid by a pool: give a Litecoin address that begins with ltc1, L or M"
    )]
    Mweb,
}

/// Reads an address of `network` as the account that it is.
///
/// # Errors
/// [`AddressError`], the first that applies.
pub fn account(text: &str, network: Network) -> Result<Account, AddressError> {
    if network.is_evm() {
        evm::parse(text, network).map(Account::Evm)
    } else {
        parse(text, network).map(Account::Script)
    }
}

/// Shows an account as an address of `network`; `None` if the network has none for it. Ethash-likes with checksum.
#[must_use]
pub fn show_account(account: &Account, network: Network) -> Option<String> {
    match account {
        Account::Script(script) => show(script.bytes(), network),
        Account::Evm(address) => network.is_evm().then(|| evm::show(address)),
        Account::Name(_) => None,
    }
}

/// Reads an address of a bitcoin-like as its output script.
///
/// # Errors
/// [`AddressError`], the first that applies.
pub fn parse(text: &str, network: Network) -> Result<Script, AddressError> {
    if network.is_evm() {
        return Err(AddressError::Unknown(network));
    }
    if text.is_empty() || ADDRESS_BYTES_MAX < text.len() {
        // Addresses of the extension block are longer; their owner hears the real reason.
        return Err(if is_mweb(text) {
            AddressError::Mweb
        } else {
            AddressError::Length
        });
    }
    if is_mweb(text) {
        return Err(AddressError::Mweb);
    }
    if evm::is_spelled(text) {
        return Err(AddressError::EvmElsewhere(network));
    }
    let prefix = text
        .rsplit_once('1')
        .map(|(prefix, _)| prefix.to_ascii_lowercase());
    let of = prefix.and_then(|prefix| {
        Network::ALL
            .into_iter()
            .find(|one| !prefix.is_empty() && one.spelling().hrp == prefix)
    });
    let bytes = match of {
        Some(of) => {
            let bytes = witness_script(text, network)?;
            if of != network {
                return Err(AddressError::OtherNetwork { of, pool: network });
            }
            bytes
        }
        None => base58_script(text, network)?,
    };
    Script::new(&bytes).ok_or(AddressError::ProgramLength)
}

/// Shows a script as an address of `network`; `None` if the network has no address for such a script.
#[must_use]
pub fn show(script: &[u8], network: Network) -> Option<String> {
    let spelling = network.spelling();
    match script {
        [0x76, 0xa9, 20, hash @ .., 0x88, 0xac] if hash.len() == 20 => {
            base58(*spelling.key_hash.first()?, hash)
        }
        [0xa9, 20, hash @ .., 0x87] if hash.len() == 20 => {
            base58(*spelling.script_hash.first()?, hash)
        }
        [0, len @ (20 | 32), program @ ..] if program.len() == usize::from(*len) => {
            segwit::encode_v0(Hrp::parse(spelling.hrp).ok()?, program).ok()
        }
        [0x51, 32, program @ ..] if program.len() == 32 => {
            segwit::encode_v1(Hrp::parse(spelling.hrp).ok()?, program).ok()
        }
        _ => None,
    }
}

fn is_mweb(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["ltcmweb1", "tmweb1", "rmweb1"]
        .iter()
        .any(|prefix| lower.starts_with(prefix))
}

fn base58(version: u8, hash: &[u8]) -> Option<String> {
    Some(bs58::encode(hash).with_check_version(version).into_string())
}

fn witness_script(text: &str, network: Network) -> Result<Vec<u8>, AddressError> {
    let is_mixed = text.bytes().any(|b| b.is_ascii_lowercase())
        && text.bytes().any(|b| b.is_ascii_uppercase());
    if is_mixed {
        return Err(AddressError::MixedCase);
    }
    let decoded = SegwitHrpstring::new(text).map_err(|error| match error {
        SegwitHrpstringError::Checksum(_) => AddressError::Checksum,
        SegwitHrpstringError::InvalidWitnessVersion(version) => {
            AddressError::WitnessVersion(version.to_u8())
        }
        SegwitHrpstringError::WitnessLength(_)
        | SegwitHrpstringError::Padding(_)
        | SegwitHrpstringError::NoData => AddressError::ProgramLength,
        SegwitHrpstringError::Unchecked(UncheckedHrpstringError::Char(_)) => AddressError::Checksum,
        _ => AddressError::Unknown(network),
    })?;
    let program: Vec<u8> = decoded.byte_iter().collect();
    let opcode = match (decoded.witness_version(), program.len()) {
        (Fe32::Q, 20 | 32) => 0,
        (Fe32::P, 32) => 0x51,
        (Fe32::Q | Fe32::P, _) => return Err(AddressError::ProgramLength),
        (version, _) => return Err(AddressError::WitnessVersion(version.to_u8())),
    };
    let len = u8::try_from(program.len()).map_err(|_| AddressError::ProgramLength)?;
    Ok([&[opcode, len], program.as_slice()].concat())
}

fn base58_script(text: &str, network: Network) -> Result<Vec<u8>, AddressError> {
    let decoded = bs58::decode(text)
        .with_check(None)
        .into_vec()
        .map_err(|error| match error {
            bs58::decode::Error::InvalidChecksum { .. } if BASE58_CHARS.contains(&text.len()) => {
                AddressError::Checksum
            }
            _ => AddressError::Unknown(network),
        })?;
    let (version, hash) = decoded.split_first().ok_or(AddressError::ProgramLength)?;
    if hash.len() != 20 {
        return Err(AddressError::ProgramLength);
    }
    let here = network.spelling();
    if here.key_hash.contains(version) {
        return Ok([&[0x76, 0xa9, 20], hash, &[0x88, 0xac]].concat());
    }
    if here.script_hash.contains(version) {
        return Ok([&[0xa9, 20], hash, &[0x87]].concat());
    }
    let knows = |one: &Network| {
        one.spelling().key_hash.contains(version) || one.spelling().script_hash.contains(version)
    };
    Err(Network::ALL
        .into_iter()
        .find(knows)
        .map_or(AddressError::Unknown(network), |of| {
            AddressError::OtherNetwork { of, pool: network }
        }))
}
