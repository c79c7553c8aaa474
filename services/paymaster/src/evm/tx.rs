//! A wallet's transactions: plain payments, legacy (EIP-155) and with the fee market's fees (EIP-1559, type 2 of EIP-2718).

use orebook_chain::eth::keccak256;
use orebook_schema::units::Hash;

use super::key::{EvmKey, Proof};
use super::rlp::{Items, List, RlpError};

/// First byte of a transaction of EIP-1559.
const TYPE_2: u8 = 2;
/// What EIP-155 adds to twice the chain's number, and to 0 or 1 of the signature.
const V_BASE: u64 = 35;
/// Highest number of a chain: with EIP-155 its double must fit.
pub const CHAIN_ID_MAX: u64 = (u64::MAX - V_BASE - 1) / 2;

/// What a unit of gas may cost, base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fees {
    /// Before London: exactly so much.
    Legacy {
        /// The price.
        price: u128,
    },
    /// From London on: the block's base fee, which is burnt, and the miner's.
    Market {
        /// Most for both.
        max: u128,
        /// Most for the miner.
        priority: u128,
    },
}

impl Fees {
    /// Most that a unit can cost.
    #[must_use]
    pub const fn max(self) -> u128 {
        match self {
            Self::Legacy { price } => price,
            Self::Market { max, .. } => max,
        }
    }

    /// What the miner gets at most.
    #[must_use]
    pub const fn priority(self) -> u128 {
        match self {
            Self::Legacy { price } => price,
            Self::Market { priority, .. } => priority,
        }
    }
}

/// A payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tx {
    /// The chain's number (EIP-155), 1 to [`CHAIN_ID_MAX`].
    pub chain_id: u64,
    /// Its number among the wallet's transactions.
    pub nonce: u64,
    /// Price of gas.
    pub fees: Fees,
    /// Most units of gas.
    pub gas: u64,
    /// Who is paid.
    pub to: [u8; 20],
    /// Base units that he gets.
    pub value: u128,
}

/// Why bytes are no signed payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// Of a type that is not signed here.
    #[error("a transaction of another type")]
    Type,
    /// No RLP of its type.
    #[error("no transaction: {0}")]
    Rlp(#[from] RlpError),
    /// Not of one chain: no or an impossible number.
    #[error("it names no chain")]
    Chain,
    /// Data or an access list: more than a payment.
    #[error("it is more than a payment")]
    Payload,
    /// The miner's fee is above the whole.
    #[error("its priority fee is above its whole fee")]
    Fees,
    /// No signature, or one that EIP-2 forbids.
    #[error("its signature is none")]
    Signature,
}

/// A payment as it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What was signed.
    pub tx: Tx,
    /// The signature.
    pub proof: Proof,
    /// By whom.
    pub sender: [u8; 20],
    /// Its name: Keccak-256 of the raw bytes.
    pub hash: Hash,
}

impl Tx {
    /// Most that it can cost besides its value, base units; saturated.
    #[must_use]
    pub fn fee_max(&self) -> u128 {
        self.fees.max().saturating_mul(u128::from(self.gas))
    }

    /// Signs: the raw bytes. The same again gives the same.
    #[must_use]
    pub fn sign(&self, key: &EvmKey) -> Vec<u8> {
        self.raw(&key.sign(&self.digest()))
    }

    /// The raw bytes with a signature.
    #[must_use]
    pub fn raw(&self, proof: &Proof) -> Vec<u8> {
        let Proof { is_odd, r, s } = proof;
        let list = self.fields();
        match self.fees {
            Fees::Legacy { .. } => {
                let v = V_BASE
                    .saturating_add(self.chain_id.saturating_mul(2))
                    .saturating_add(u64::from(*is_odd));
                list.number(v.into()).scalar(r).scalar(s).to_bytes()
            }
            Fees::Market { .. } => typed(&list.number(u128::from(*is_odd)).scalar(r).scalar(s)),
        }
    }

    /// Reads raw bytes of a signed payment; only one spelling is taken.
    ///
    /// # Errors
    /// [`TxError`].
    pub fn read(raw: &[u8]) -> Result<Signed, TxError> {
        let (tx, proof) = match raw.first() {
            Some(&TYPE_2) => Self::read_market(raw.get(1..).unwrap_or_default())?,
            // A list is a legacy transaction (EIP-2718).
            Some(0xc0..=0xff) => Self::read_legacy(raw)?,
            _ => return Err(TxError::Type),
        };
        let sender = proof.signer(&tx.digest()).ok_or(TxError::Signature)?;
        Ok(Signed {
            tx,
            proof,
            sender,
            hash: keccak256(raw),
        })
    }

    /// What is signed.
    #[must_use]
    pub fn digest(&self) -> Hash {
        let list = self.fields();
        match self.fees {
            Fees::Legacy { .. } => {
                let list = list.number(self.chain_id.into()).number(0).number(0);
                keccak256(&list.to_bytes())
            }
            Fees::Market { .. } => keccak256(&typed(&list)),
        }
    }

    /// The fields that stand before the signature.
    fn fields(&self) -> List {
        let start = match self.fees {
            Fees::Legacy { price } => List::new().number(self.nonce.into()).number(price),
            Fees::Market { max, priority } => List::new()
                .number(self.chain_id.into())
                .number(self.nonce.into())
                .number(priority)
                .number(max),
        };
        let payment = start
            .number(self.gas.into())
            .bytes(&self.to)
            .number(self.value)
            .bytes(&[]);
        match self.fees {
            Fees::Legacy { .. } => payment,
            Fees::Market { .. } => payment.list(&List::new()),
        }
    }

    fn read_legacy(raw: &[u8]) -> Result<(Self, Proof), TxError> {
        let mut items = Items::of_list(raw)?;
        let nonce = items.number64()?;
        let price = items.number()?;
        let (gas, to, value) = payment(&mut items)?;
        let v = items
            .number64()?
            .checked_sub(V_BASE)
            .ok_or(TxError::Chain)?;
        let proof = proof(v % 2 == 1, &mut items)?;
        items.end()?;
        let chain_id = v / 2;
        if chain_id == 0 || CHAIN_ID_MAX < chain_id {
            return Err(TxError::Chain);
        }
        let fees = Fees::Legacy { price };
        let tx = Self {
            chain_id,
            nonce,
            fees,
            gas,
            to,
            value,
        };
        Ok((tx, proof))
    }

    fn read_market(list: &[u8]) -> Result<(Self, Proof), TxError> {
        let mut items = Items::of_list(list)?;
        let chain_id = items.number64()?;
        let nonce = items.number64()?;
        let priority = items.number()?;
        let max = items.number()?;
        let (gas, to, value) = payment(&mut items)?;
        if items.list()?.end().is_err() {
            return Err(TxError::Payload);
        }
        let is_odd = match items.number64()? {
            0 => false,
            1 => true,
            _ => return Err(TxError::Signature),
        };
        let proof = proof(is_odd, &mut items)?;
        items.end()?;
        if chain_id == 0 || CHAIN_ID_MAX < chain_id {
            return Err(TxError::Chain);
        }
        if max < priority {
            return Err(TxError::Fees);
        }
        let fees = Fees::Market { max, priority };
        let tx = Self {
            chain_id,
            nonce,
            fees,
            gas,
            to,
            value,
        };
        Ok((tx, proof))
    }
}

/// A transaction of type 2 (EIP-2718).
fn typed(list: &List) -> Vec<u8> {
    let mut out = vec![TYPE_2];
    out.extend(list.to_bytes());
    out
}

fn payment(items: &mut Items<'_>) -> Result<(u64, [u8; 20], u128), TxError> {
    let gas = items.number64()?;
    let to = items.array()?;
    let value = items.number()?;
    if !items.bytes()?.is_empty() {
        return Err(TxError::Payload);
    }
    Ok((gas, to, value))
}

fn proof(is_odd: bool, items: &mut Items<'_>) -> Result<Proof, TxError> {
    let (r, s) = (items.scalar()?, items.scalar()?);
    Ok(Proof { is_odd, r, s })
}
