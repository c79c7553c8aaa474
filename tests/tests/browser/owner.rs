//! The owner of an account, as his wallet stands for him: a key, its address on the development chain, and signatures of texts as
//! wallets make them of SegWit addresses (BIP137).

use k256::ecdsa::SigningKey;
use orebook_chain::address::{Network, show};
use orebook_chain::hash::{hash160, sha256d};

const NETWORK: Network = Network::Development;
/// Header byte of BIP137 for an address of a key's hash.
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

    pub(crate) fn address(&self) -> String {
        let key = self.key.verifying_key().to_sec1_point(true);
        let script = [&[0, 20], hash160(key.as_bytes()).as_slice()].concat();
        show(&script, NETWORK).expect("an address")
    }

    /// Base64 of a compact signature.
    pub(crate) fn sign(&self, text: &str) -> String {
        let sized = |text: &str| {
            let len = u8::try_from(text.len()).expect("one byte says it");
            assert!(len < 0xfd, "one byte says it");
            [&[len], text.as_bytes()].concat()
        };
        let digest = sha256d(&[sized(NETWORK.message_magic()), sized(text)].concat());
        let (signature, id) = self.key.sign_prehash_recoverable(&digest.0);
        let bytes = [&[HEADER + id.to_byte()], signature.to_bytes().as_slice()].concat();
        base64(&bytes)
    }
}

fn base64(bytes: &[u8]) -> String {
    let symbols = bytes.chunks(3).flat_map(|group| {
        let mut bits = [0; 4];
        bits[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bits);
        let symbol = move |at: usize| char::from(SYMBOLS[(bits >> (18 - 6 * at) & 63) as usize]);
        let padding = std::iter::repeat_n('=', 3 - group.len());
        (0..=group.len()).map(symbol).chain(padding)
    });
    symbols.collect()
}
