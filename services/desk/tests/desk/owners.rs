//! Owners of accounts, as wallets stand for them: a key, its address on the development chain, and signatures as nodes make them.

use k256::ecdsa::SigningKey;
use orebook_chain::address::{Network, show};
use orebook_chain::hash::{hash160, sha256d};
use orebook_desk::machine::{Asked, Sent, Shown};
use orebook_schema::Account;
use orebook_schema::names::Script;

use crate::world::World;

pub(crate) const NETWORK: Network = Network::Development;
/// Header byte of BIP137 for P2WPKH.
const HEADER: u8 = 39;
const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(crate) struct Owner {
    key: SigningKey,
}

impl Owner {
    pub(crate) fn new(number: u8) -> Self {
        let key = SigningKey::from_slice(&[number; 32]).expect("a key");
        Self { key }
    }

    pub(crate) fn account(&self) -> Account {
        let key = self.key.verifying_key().to_sec1_point(true);
        let script = [&[0, 20], hash160(key.as_bytes()).as_slice()].concat();
        Account::Script(Script::new(&script).expect("a script"))
    }

    pub(crate) fn address(&self) -> String {
        let Account::Script(script) = self.account() else {
            panic!("a script");
        };
        show(script.bytes(), NETWORK).expect("an address")
    }

    /// Base64 of a compact signature.
    pub(crate) fn sign(&self, text: &str) -> String {
        self.sign_with(text, HEADER)
    }

    pub(crate) fn sign_with(&self, text: &str, header: u8) -> String {
        let magic = NETWORK.message_magic();
        let len = u8::try_from(text.len()).map_or_else(
            |_| {
                [
                    &[0xfd],
                    u16::try_from(text.len()).unwrap().to_le_bytes().as_slice(),
                ]
                .concat()
            },
            |len| match len {
                0..=0xfc => vec![len],
                len => vec![0xfd, len, 0],
            },
        );
        let head = [&[u8::try_from(magic.len()).unwrap()], magic.as_bytes()].concat();
        let digest = sha256d(&[head.as_slice(), &len, text.as_bytes()].concat());
        let (signature, id) = self.key.sign_prehash_recoverable(&digest.0);
        let bytes = [&[header + id.to_byte()], signature.to_bytes().as_slice()].concat();
        let groups = bytes.chunks(3).map(|group| {
            let mut bits = [0; 4];
            bits[1..=group.len()].copy_from_slice(group);
            let bits = u32::from_be_bytes(bits);
            let symbol = |at: usize| {
                let index = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap();
                if at <= group.len() {
                    char::from(SYMBOLS[index])
                } else {
                    '='
                }
            };
            (0..4).map(symbol).collect::<String>()
        });
        groups.collect()
    }

    /// What he sends, signed.
    pub(crate) fn signed(&self, text: &str) -> Sent {
        Sent {
            text: text.to_owned(),
            shown: Shown::Signature(self.sign(text)),
        }
    }

    /// The desk's text for a setting of his.
    pub(crate) fn text(&self, world: &mut World, what: &str, value: &str) -> String {
        text(world, &self.address(), what, value)
    }
}

/// The first desk's text for a setting of an account.
pub(crate) fn text(world: &mut World, account: &str, what: &str, value: &str) -> String {
    let asked = Asked {
        account: account.to_owned(),
        what: what.to_owned(),
        value: value.to_owned(),
    };
    let now = world.now;
    let answer = world.desks[0].text(&asked, now);
    let text = answer.body["text"].as_str();
    text.unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
}
