//! From a header to its hashes, by algorithm.

use orebook_schema::Hash;
use orebook_schema::genesis::Algorithm;
use scrypt::Params;

use crate::scrypt2::scrypt2_alone;
use crate::sha256::sha256d_header;
use crate::{HEADER_BYTES, Proof};

/// log2 of scrypt's N for Litecoin and kin; r and p are 1.
const SCRYPT_LOG_N: u8 = 10;

/// How a coin hashes headers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Engine {
    Sha256d,
    Scrypt(Params),
    Scrypt2,
}

impl Engine {
    pub(crate) fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::Sha256d => Some(Self::Sha256d),
            Algorithm::Scrypt => Params::new(SCRYPT_LOG_N, 1, 1).ok().map(Self::Scrypt),
            Algorithm::Scrypt2 => Some(Self::Scrypt2),
            Algorithm::Ethash | Algorithm::Etchash => None,
        }
    }

    pub(crate) fn prove(&self, header: [u8; HEADER_BYTES]) -> Proof {
        self.prove_hashed(header, sha256d_header(&header))
    }

    /// Goes on where the SHA-256d of the header is known.
    pub(crate) fn prove_hashed(&self, header: [u8; HEADER_BYTES], block_hash: Hash) -> Proof {
        let pow = match self {
            Self::Sha256d => block_hash,
            Self::Scrypt(params) => scrypt_of(&header, params),
            Self::Scrypt2 => scrypt2_alone(&header),
        };
        Proof {
            header,
            pow,
            block_hash,
        }
    }
}

/// Hashes a whole header, as a miner or a node does. `None` for algorithms that are not built. scrypt² takes 128 MiB for it;
/// [`crate::scrypt2()`] hashes in memory that it is lent.
#[must_use]
pub fn prove_header(header: [u8; HEADER_BYTES], algorithm: Algorithm) -> Option<Proof> {
    Engine::of(algorithm).map(|engine| engine.prove(header))
}

/// scrypt of a header with the header as its salt. The crate takes 128 KiB for each call; it has no way to lend it some.
fn scrypt_of(header: &[u8; HEADER_BYTES], params: &Params) -> Hash {
    let mut pow = [0; 32];
    let hashed = scrypt::scrypt(header, header, params, &mut pow);
    assert!(hashed.is_ok(), "scrypt gives any length up to 2^37 bytes");
    Hash(pow)
}
