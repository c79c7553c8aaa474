//! The answer to `getblocktemplate` as JSON, and the template it makes.

use orebook_schema::units::{U256, target_of_bits, unhex};
use serde::Deserialize;

use crate::hash::parse_shown;
use crate::template::{Template, TemplateError, TemplateFields, Transaction};

/// Rules that a node may demand of a miner (`!` before the name, BIP9) and that assembly follows.
const RULES_KNOWN: [&str; 3] = ["segwit", "mweb", "taproot"];
/// Weight that nodes keep for the coinbase where they say nothing, header included.
const WEIGHT_KEPT: u64 = 4_000;
/// Cost of signature operations that they keep for it.
const SIGOPS_KEPT: u64 = 400;
/// Weight of a header and of how many transactions there are.
const HEAD_WEIGHT: u64 = 4 * (80 + 9);
/// Longest long poll id that is kept; with a longer one the node is polled.
const LONGPOLL_ID_BYTES_MAX: usize = 256;

/// What is read of the answer; everything else in it is left alone.
#[derive(Deserialize)]
pub(super) struct Offer {
    version: i64,
    previousblockhash: String,
    transactions: Vec<OfferedTransaction>,
    #[serde(default)]
    coinbaseaux: Option<Aux>,
    coinbasevalue: u64,
    default_witness_commitment: Option<String>,
    target: Option<String>,
    #[serde(default)]
    mintime: u32,
    curtime: u32,
    bits: String,
    height: u64,
    longpollid: Option<String>,
    mweb: Option<String>,
    weightlimit: Option<u64>,
    sigoplimit: Option<u64>,
    #[serde(default)]
    rules: Vec<String>,
}

#[derive(Deserialize)]
struct Aux {
    flags: Option<String>,
}

#[derive(Deserialize)]
struct OfferedTransaction {
    data: String,
    txid: Option<String>,
    hash: String,
    fee: Option<u64>,
    weight: Option<u64>,
    sigops: Option<u64>,
}

/// The template in the JSON text of a `getblocktemplate` result.
///
/// # Errors
/// [`TemplateError`]: [`TemplateError::Field`] where a field is missing or malformed, [`TemplateError::Rule`] where the node
/// demands a rule that assembly does not know, else as [`Template::new`].
pub fn template_of_json(json: &[u8]) -> Result<Template, TemplateError> {
    let offer: Offer = serde_json::from_slice(json).map_err(|_| TemplateError::Field("JSON"))?;
    offer.template()
}

impl Offer {
    /// Weight that is left for a coinbase: what the node keeps for one where it does not say its limit (BIP145).
    fn weight_left(&self) -> u64 {
        let Some(limit) = self.weightlimit else {
            return WEIGHT_KEPT;
        };
        let weights = self.transactions.iter().map(|tx| {
            let most = u64::try_from(tx.data.len() / 2).unwrap_or(u64::MAX);
            tx.weight.unwrap_or_else(|| most.saturating_mul(4))
        });
        let taken = weights.fold(HEAD_WEIGHT, u64::saturating_add);
        limit.saturating_sub(taken)
    }

    /// Cost of signature operations that is left for a coinbase: likewise, also where a transaction's is not said.
    fn sigops_left(&self) -> u64 {
        let mut counts = self.transactions.iter().map(|tx| tx.sigops);
        let taken = counts.try_fold(0u64, |sum, count| Some(sum.saturating_add(count?)));
        match (self.weightlimit, self.sigoplimit, taken) {
            (Some(_), Some(limit), Some(taken)) => limit.saturating_sub(taken),
            _ => SIGOPS_KEPT,
        }
    }

    pub(super) fn template(self) -> Result<Template, TemplateError> {
        let demanded = self.rules.iter().filter_map(|rule| rule.strip_prefix('!'));
        if let Some(unknown) = demanded.clone().find(|rule| !RULES_KNOWN.contains(rule)) {
            let printable = unknown.chars().filter(|c| c.is_ascii_graphic()).take(32);
            return Err(TemplateError::Rule(printable.collect()));
        }
        let nbits =
            u32::from_str_radix(&self.bits, 16).map_err(|_| TemplateError::Field("bits"))?;
        if let Some(target) = &self.target {
            let bytes = unhex(target).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            let target = U256::from_be_bytes(bytes.ok_or(TemplateError::Field("target"))?);
            if target_of_bits(nbits) != Some(target) {
                return Err(TemplateError::Target);
            }
        }
        let (coinbase_weight_max, coinbase_sigops_max) = (self.weight_left(), self.sigops_left());
        let transactions: Vec<Transaction> = self
            .transactions
            .into_iter()
            .map(transaction)
            .collect::<Result<_, _>>()?;
        let fees = transactions
            .iter()
            .try_fold(0u64, |sum, tx| sum.checked_add(tx.fee));
        let hex_of = |text: Option<String>, what| {
            text.map(|text| unhex(&text).ok_or(TemplateError::Field(what)))
                .transpose()
        };
        Template::new(TemplateFields {
            height: self.height,
            prev: parse_shown(&self.previousblockhash)
                .ok_or(TemplateError::Field("previousblockhash"))?,
            version: header_version(self.version).ok_or(TemplateError::Field("version"))?,
            nbits,
            time: self.curtime,
            mintime: self.mintime,
            reward: self.coinbasevalue,
            fees: fees.ok_or(TemplateError::Fees)?,
            transactions,
            witness_commitment: hex_of(
                self.default_witness_commitment,
                "default_witness_commitment",
            )?,
            mweb: hex_of(self.mweb, "mweb")?,
            aux_flags: hex_of(self.coinbaseaux.and_then(|aux| aux.flags), "coinbaseaux")?
                .unwrap_or_default(),
            longpoll_id: self
                .longpollid
                .filter(|id| id.len() <= LONGPOLL_ID_BYTES_MAX),
            coinbase_weight_max,
            coinbase_sigops_max,
        })
    }
}

/// Nodes write the version as a signed number; the header has its 32 bits.
fn header_version(version: i64) -> Option<u32> {
    let signed = i32::try_from(version).map(i32::cast_unsigned);
    signed.ok().or_else(|| u32::try_from(version).ok())
}

fn transaction(offered: OfferedTransaction) -> Result<Transaction, TemplateError> {
    // Before BIP145 the only id was `hash`; it is the merkle leaf only where there is no `txid`.
    let id = offered.txid.as_ref().unwrap_or(&offered.hash);
    Ok(Transaction {
        txid: parse_shown(id).ok_or(TemplateError::Field("txid"))?,
        data: unhex(&offered.data).ok_or(TemplateError::Field("data"))?,
        fee: offered.fee.unwrap_or(0),
    })
}
