//! A setting as its owner says it: a text that a person reads in his wallet before he signs it, and the proof that the ledger keeps.
//!
//! ```text
//! Orebook setting
//! ledger 01890f5c-7a1b-7c3d-8e4f-5a6b7c8d9e0f
//! account ltc1q…
//! set threshold 5000000 base units
//! after 81200.3
//! until 1795400000
//! ```
//! ASCII, six lines, none ends the last. `account` is a payout address, or `name:NAME`; `set` is one of `threshold N base units`,
//! `address ADDRESS`, `donation N ppm`, `pay_now`; `after` is the account's last obeyed setting, `0.0` if there is none, so that a
//! text works once; `until`, seconds since 1970, is when the desk stops taking it. There is one spelling: what is read is written
//! back as the same text.

use orebook_chain::address::{self, Network};
use orebook_chain::signed;
use orebook_schema::account::{SetBy, Setting, SettingValue};
use orebook_schema::policy::PPM;
use orebook_schema::{Account, At, Hash, LedgerId};

/// Longest text, bytes: one with two addresses has fewer than 400.
pub const TEXT_BYTES_MAX: usize = 640;
/// How long after now a text may be taken at most, in milliseconds: a day. What is taken is remembered so long.
pub const SETTING_LIFE_MS_MAX: u64 = 24 * 3_600 * 1_000;
/// What precedes a text where its name is hashed.
const SETTING_DOMAIN: &[u8] = b"orebook/setting/0\n";
/// The first line.
const TITLE: &str = "Orebook setting";
/// What is between text and signature in a proof.
const SIGNATURE: &str = "\nsignature ";

/// Why a text is no setting of this ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Longer than [`TEXT_BYTES_MAX`].
    #[error("the text is longer than {TEXT_BYTES_MAX} bytes")]
    Length,
    /// Not the lines of a setting, or another spelling of them.
    #[error("this is no setting's text: ask for it, and sign and send it without a change ({0})")]
    Form(&'static str),
    /// Of another ledger.
    #[error("the text is for another ledger")]
    Ledger,
    /// A coin whose addresses are not known.
    #[error("addresses of this ledger's coin are not known here: the operator sets it")]
    Coin,
}

/// What an account's owner wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The ledger.
    pub ledger: LedgerId,
    /// Whose.
    pub account: Account,
    /// What, and to what.
    pub value: SettingValue,
    /// The account's last obeyed setting.
    pub expects: At,
    /// When the desk stops taking it, seconds since 1970.
    pub until_s: u64,
}

impl Wanted {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self, network: Network) -> String {
        let shown = |account: &Account| {
            let address = address::show_account(account, network);
            address.unwrap_or_else(|| account.to_string())
        };
        let set = match &self.value {
            SettingValue::Threshold(threshold) => format!("threshold {threshold} base units"),
            SettingValue::Address(address) => format!("address {}", shown(address)),
            SettingValue::Donation(ppm) => format!("donation {ppm} ppm"),
            SettingValue::PayNow => "pay_now".to_owned(),
        };
        format!(
            "{TITLE}\nledger {}\naccount {}\nset {set}\nafter {}\nuntil {}",
            self.ledger,
            shown(&self.account),
            self.expects,
            self.until_s
        )
    }

    /// Reads a text.
    ///
    /// # Errors
    /// [`TextError`], the first that applies; `Ledger` is not judged here.
    pub fn read(text: &str, network: Network) -> Result<Self, TextError> {
        if TEXT_BYTES_MAX < text.len() {
            return Err(TextError::Length);
        }
        let mut lines = text.split('\n');
        let mut line = |front: &'static str| {
            let line = lines.next().and_then(|line| line.strip_prefix(front));
            line.ok_or(TextError::Form(front))
        };
        line(TITLE)?;
        let ledger = LedgerId::parse(line("ledger ")?).ok_or(TextError::Form("ledger"))?;
        let whose = account(line("account ")?, network).ok_or(TextError::Form("account"))?;
        let value = value(line("set ")?, network).ok_or(TextError::Form("set"))?;
        let expects = place(line("after ")?).ok_or(TextError::Form("after"))?;
        let until_s = line("until ")?.parse();
        let read = Self {
            ledger,
            account: whose,
            value,
            expects,
            until_s: until_s.map_err(|_| TextError::Form("until"))?,
        };
        if read.text(network) == text {
            Ok(read)
        } else {
            Err(TextError::Form("another spelling"))
        }
    }

    /// The event's setting, with its proof.
    #[must_use]
    pub fn setting(self, by: SetBy, proof: Vec<u8>) -> Setting {
        Setting {
            account: self.account,
            expects: self.expects,
            by,
            value: self.value,
            proof,
        }
    }
}

/// An account as people write it: an address of the network, or a canonical text.
#[must_use]
pub fn account(text: &str, network: Network) -> Option<Account> {
    let address = address::account(text, network).ok();
    address.or_else(|| Account::parse(text))
}

/// What is set, as it stands in a text.
fn value(text: &str, network: Network) -> Option<SettingValue> {
    let (what, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = match what {
        "threshold" => rest.strip_suffix(" base units")?,
        "donation" => rest.strip_suffix(" ppm")?,
        _ => rest,
    };
    value_of(what, rest, network)
}

/// A value by the name of what is set: base units, an address, parts per million, or nothing.
#[must_use]
pub fn value_of(what: &str, text: &str, network: Network) -> Option<SettingValue> {
    match what {
        "threshold" => text.parse().ok().map(SettingValue::Threshold),
        // An address as the network shows it: nobody reads a script in hex before he signs it.
        "address" => {
            let address = address::account(text, network).ok();
            address.map(SettingValue::Address)
        }
        "donation" => {
            let ppm = text.parse().ok().filter(|ppm| *ppm <= PPM);
            ppm.map(SettingValue::Donation)
        }
        "pay_now" if text.is_empty() => Some(SettingValue::PayNow),
        _ => None,
    }
}

fn place(text: &str) -> Option<At> {
    let (position, index) = text.split_once('.')?;
    Some(At {
        position: position.parse().ok()?,
        index: index.parse().ok()?,
    })
}

/// The name of what was sent: the same text by the same way is the same, whoever signed it again.
#[must_use]
pub fn id_of(text: &str, by: SetBy) -> Hash {
    Hash::of(&[SETTING_DOMAIN, by.name().as_bytes(), b"\n", text.as_bytes()])
}

/// The proof of a signed text.
#[must_use]
pub fn proof(text: &str, signature: &str) -> Vec<u8> {
    [text, SIGNATURE, signature].concat().into_bytes()
}

/// Why a setting's proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not text and signature.
    #[error("its proof is no signed text")]
    Form,
    /// Its text.
    #[error("its proof: {0}")]
    Text(#[from] TextError),
    /// The text says something else.
    #[error("its proof is the text of another setting")]
    Another,
    /// Its signature.
    #[error("its proof: {0}")]
    Signed(#[from] signed::SignedError),
    /// No token that the name was registered with.
    #[error("its proof is the hash of no token that the name had")]
    Token,
}

/// Whether the proof of a setting by signed message shows that the account's owner said it in this ledger.
///
/// # Errors
/// [`ProofError`], the first that applies.
pub fn check(setting: &Setting, ledger: LedgerId, network: Network) -> Result<(), ProofError> {
    let proof = str::from_utf8(&setting.proof).map_err(|_| ProofError::Form)?;
    let (text, signature) = proof.rsplit_once(SIGNATURE).ok_or(ProofError::Form)?;
    let wanted = Wanted::read(text, network)?;
    if wanted.ledger != ledger {
        return Err(TextError::Ledger.into());
    }
    let until_s = wanted.until_s;
    let said = Wanted {
        ledger,
        account: setting.account.clone(),
        value: setting.value.clone(),
        expects: setting.expects,
        until_s,
    };
    if wanted != said {
        return Err(ProofError::Another);
    }
    signed::verify(&setting.account, network, text, signature)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: LedgerId = LedgerId([0x1d; 16]);

    fn wanted(account_text: &str, network: Network, value: SettingValue) -> Wanted {
        Wanted {
            ledger: LEDGER,
            account: account(account_text, network).unwrap(),
            value,
            expects: At {
                position: 81_200,
                index: 3,
            },
            until_s: 1_795_400_000,
        }
    }

    #[test]
    fn a_person_reads_what_he_signs() {
        let address = "ob1q2aul8m749aphmnrea66ajddz0ga2mxea5venuu";
        let text = wanted(
            address,
            Network::Development,
            SettingValue::Donation(10_000),
        );
        assert_eq!(
            text.text(Network::Development),
            "Orebook setting\nledger 1d1d1d1d-1d1d-1d1d-1d1d-1d1d1d1d1d1d\n\
             account ob1q2aul8m749aphmnrea66ajddz0ga2mxea5venuu\nset donation 10000 ppm\nafter 81200.3\n\
             until 1795400000"
        );
    }

    #[test]
    fn each_value_of_each_kind_of_account_is_read_back_and_has_one_spelling() {
        let evm = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23";
        let ltc = "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9";
        for (whose, network) in [
            (ltc, Network::Litecoin),
            ("name:anna", Network::Litecoin),
            (evm, Network::Expanse),
        ] {
            let address = if network.is_evm() { evm } else { ltc };
            for value in [
                SettingValue::Threshold(u128::MAX),
                SettingValue::Threshold(0),
                SettingValue::Address(account(address, network).unwrap()),
                SettingValue::Donation(PPM),
                SettingValue::PayNow,
            ] {
                let wanted = wanted(whose, network, value);
                let text = wanted.text(network);
                assert!(text.is_ascii() && text.len() <= 400, "{text}");
                assert_eq!(Wanted::read(&text, network), Ok(wanted));
                for at in 0..text.len() {
                    let mut changed = text.clone().into_bytes();
                    changed[at] = if changed[at] == b'7' { b'8' } else { b'7' };
                    let changed = String::from_utf8(changed).unwrap();
                    if let Ok(read) = Wanted::read(&changed, network) {
                        assert_eq!(read.text(network), changed);
                        assert_ne!(read.text(network), text);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_text_is_refused_by_its_line() {
        let ltc = "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9";
        let network = Network::Litecoin;
        let good = wanted(ltc, network, SettingValue::Donation(5)).text(network);
        for (from, to, expected) in [
            ("Orebook setting", "Orebook", "Orebook setting"),
            ("ledger 1d", "ledger 1D", "another spelling"),
            ("ledger 1d1d", "ledger 1d", "ledger"),
            ("account ltc1q", "account ltc1p", "account"),
            ("5 ppm", "1000001 ppm", "set"),
            ("5 ppm", "05 ppm", "another spelling"),
            ("5 ppm", "+5 ppm", "another spelling"),
            ("5 ppm", "5", "set"),
            ("donation 5 ppm", "pay_now ", "another spelling"),
            ("donation 5 ppm", "pay_now 1", "set"),
            ("donation 5 ppm", "address script:51", "set"),
            ("donation 5 ppm", "threshold -1 base units", "set"),
            ("after 81200.3", "after 81200", "after"),
            ("until 1795400000", "until", "until "),
            ("until 1795400000", "until 1795400000\n", "another spelling"),
            ("\nafter", "\r\nafter", "set"),
        ] {
            let changed = good.replacen(from, to, 1);
            assert_ne!(changed, good, "{from}");
            let read = Wanted::read(&changed, network);
            assert_eq!(read, Err(TextError::Form(expected)), "{changed}");
        }
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        assert_eq!(Wanted::read(&long, network), Err(TextError::Length));
    }
}
