//! Templates: what a node offers to be mined, and the jobs, coinbases and blocks made of it.
//!
//! Byte orders: every hash here is in header order, the reverse of what RPC shows. A coinbase is written **without**
//! witness in two parts around the extranonces; [`Template::block`] puts the witness in.

use std::ops::Deref;

use orebook_schema::names::Script;
use orebook_schema::units::{At, Hash, U256, WorkUnit, target_of_bits};
use orebook_schema::work::Job;

use crate::hash::merkle_branches;
use crate::wire::{HEIGHT_MAX, SCRIPT_SIG_BYTES_MAX, height_push, put_bytes, put_size};

/// Most bytes of the node's auxiliary flags in the coinbase; a template with more is refused.
pub const AUX_FLAGS_BYTES_MAX: usize = 32;
/// Most bytes of the pool's text in the coinbase; a longer one is refused, so that nothing is ever cut.
pub const TEXT_BYTES_MAX: usize = 32;
/// Most bytes of both extranonces together.
pub const EXTRANONCE_BYTES_MAX: usize = 16;
/// Bytes of both extranonces where nobody asks for others: 4 of ours, 4 of the miner's.
pub const EXTRANONCE_BYTES_DEFAULT: usize = 8;
/// Most transactions besides the coinbase: 16 merkle branches, as many as a job may have. A template with more is refused.
pub const TRANSACTIONS_MAX: usize = 65_535;
/// Longest payout or commitment script that goes into a coinbase; a longer one is refused.
pub const OUTPUT_SCRIPT_BYTES_MAX: usize = 1_024;

/// Most bytes of a coinbase's second part, as the ledger keeps it.
const COINBASE2_BYTES_MAX: u64 = 16_384;
/// Bytes of it beside scripts and accounts' outputs, at most: text, sequence, a count of three bytes, heads of the pool's output
/// and of the commitment with three bytes of length each, locktime.
const COINBASE2_HEAD_BYTES: u64 = 32 + 4 + 3 + 11 + 11 + 4;
/// Weight of what is before it, at most, and of the witness: version, one input with a script of 100 bytes; marker, flag and
/// the reserved value.
const COINBASE1_WEIGHT_MAX: u64 = 4 * (4 + 1 + 36 + 1 + 100) + 36;
/// What a payout script's own operations may cost: one of a form that is not a witness program's.
const SIGOPS_OF_POOL: u64 = 4;

/// A transaction to be mined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The bytes as they go into the block.
    pub data: Vec<u8>,
    /// Its id without witness, header order: the merkle leaf.
    pub txid: Hash,
    /// Its fee in base units; 0 where the node does not say.
    pub fee: u64,
}

/// The fields of a template, as a node or a test gives them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TemplateFields {
    /// Height of the block to be found.
    pub height: u64,
    /// Its parent, header order.
    pub prev: Hash,
    /// Header version.
    pub version: u32,
    /// Compact target.
    pub nbits: u32,
    /// The node's time, seconds since 1970: `curtime`.
    pub time: u32,
    /// The least time a block may have.
    pub mintime: u32,
    /// What the block pays, fees included, base units: `coinbasevalue`.
    pub reward: u64,
    /// Fees therein; the sum over the transactions.
    pub fees: u64,
    /// Transactions after the coinbase, in block order.
    pub transactions: Vec<Transaction>,
    /// Output script of the witness commitment, if the node wants one.
    pub witness_commitment: Option<Vec<u8>>,
    /// Litecoin's extension block, appended to the block.
    pub mweb: Option<Vec<u8>>,
    /// Bytes the node wants in the coinbase script.
    pub aux_flags: Vec<u8>,
    /// What to ask a long poll with, if the node offers one.
    pub longpoll_id: Option<String>,
    /// Weight that the transactions leave for a coinbase.
    pub coinbase_weight_max: u64,
    /// Cost of signature operations that they leave for it.
    pub coinbase_sigops_max: u64,
}

/// A template whose fields were checked. Its fields are read through it: `template.height`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    fields: TemplateFields,
    target: U256,
    branches: Vec<Hash>,
}

/// What a coinbase is made of besides the template.
#[derive(Clone, Copy, Debug)]
pub struct CoinbaseParts<'a> {
    /// First 8 bytes of SHA-256(stream ‖ epoch): no proof is valid in two epochs.
    pub tag: [u8; 8],
    /// The pool's text, at most [`TEXT_BYTES_MAX`].
    pub text: &'a str,
    /// Who is paid: the output script.
    pub payout_script: &'a [u8],
    /// Bytes of extranonce1 and extranonce2 together, at most [`EXTRANONCE_BYTES_MAX`].
    pub extranonce_bytes: usize,
}

/// What a coinbase pays besides the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paying {
    /// Positions of the ledger that the list stands on, at least 1: the job's `direct`.
    pub direct: u64,
    /// Place of the policy that the list follows; a job under another one must not pay by it.
    pub policy: At,
    /// Base units and scripts, in order.
    pub outputs: Vec<(u64, Script)>,
}

/// What a coinbase has room for besides the outputs that it always has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputRoom {
    /// Bytes of outputs.
    pub bytes: u64,
    /// Cost of their signature operations.
    pub sigops: u64,
}

/// What a job is made of besides the template.
#[derive(Clone, Copy, Debug)]
pub struct JobParts<'a> {
    /// Dense from 0 within (stream, epoch).
    pub number: u32,
    /// The policy that settles it.
    pub policy: At,
    /// Whether it replaces the work before it.
    pub clean: bool,
    /// The chain's unit of work.
    pub unit: WorkUnit,
    /// The coinbase.
    pub coinbase: CoinbaseParts<'a>,
}

/// Why a template, or a coinbase on it, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The height is 0 or above [`HEIGHT_MAX`].
    #[error("height {0} is out of range")]
    Height(u64),
    /// The compact target is negative, zero or too large.
    #[error("bits {0:08x} are no target")]
    Bits(u32),
    /// The node's target is not that of its bits.
    #[error("target and bits differ")]
    Target,
    /// The least time is after the current one.
    #[error("mintime is after curtime")]
    Time,
    /// Fees are more than the reward, or their sum is no number.
    #[error("fees are more than the reward")]
    Fees,
    /// More transactions than [`TRANSACTIONS_MAX`].
    #[error("{0} transactions are more than {TRANSACTIONS_MAX}")]
    Transactions(usize),
    /// Auxiliary flags longer than [`AUX_FLAGS_BYTES_MAX`].
    #[error("auxiliary flags of {0} bytes are more than {AUX_FLAGS_BYTES_MAX}")]
    AuxFlags(usize),
    /// An output script that is empty or longer than [`OUTPUT_SCRIPT_BYTES_MAX`].
    #[error("an output script of {0} bytes")]
    OutputScript(usize),
    /// The pool's text is longer than [`TEXT_BYTES_MAX`].
    #[error("the coinbase text of {0} bytes is longer than {TEXT_BYTES_MAX}")]
    Text(usize),
    /// Outputs that are more than the reward, or more than a job's coinbase holds.
    #[error("the coinbase's outputs are more than the reward or than a job holds")]
    Outputs,
    /// Extranonces of no bytes or more than [`EXTRANONCE_BYTES_MAX`].
    #[error("{0} extranonce bytes are out of range")]
    Extranonce(usize),
    /// A rule that a miner must know and we do not.
    #[error("the node asks for the unknown rule `{0}`")]
    Rule(String),
    /// A field that is missing or is no hex.
    #[error("the template's {0} is missing or malformed")]
    Field(&'static str),
}

impl Deref for Template {
    type Target = TemplateFields;

    fn deref(&self) -> &TemplateFields {
        &self.fields
    }
}

impl Template {
    /// Checks the fields.
    ///
    /// # Errors
    /// The first [`TemplateError`] in the order of its variants.
    pub fn new(fields: TemplateFields) -> Result<Self, TemplateError> {
        if fields.height == 0 || HEIGHT_MAX < fields.height {
            return Err(TemplateError::Height(fields.height));
        }
        let target = target_of_bits(fields.nbits).ok_or(TemplateError::Bits(fields.nbits))?;
        if fields.time < fields.mintime {
            return Err(TemplateError::Time);
        }
        let fees = fields
            .transactions
            .iter()
            .try_fold(0u64, |sum, tx| sum.checked_add(tx.fee));
        if fees != Some(fields.fees) || fields.reward < fields.fees {
            return Err(TemplateError::Fees);
        }
        if TRANSACTIONS_MAX < fields.transactions.len() {
            return Err(TemplateError::Transactions(fields.transactions.len()));
        }
        if AUX_FLAGS_BYTES_MAX < fields.aux_flags.len() {
            return Err(TemplateError::AuxFlags(fields.aux_flags.len()));
        }
        if let Some(script) = &fields.witness_commitment {
            check_script(script)?;
        }
        let txids: Vec<Hash> = fields.transactions.iter().map(|tx| tx.txid).collect();
        Ok(Self {
            branches: merkle_branches(&txids),
            fields,
            target,
        })
    }

    /// The block target: a block's hash is at most this.
    #[must_use]
    pub const fn target(&self) -> U256 {
        self.target
    }

    /// What a block costs on average (money rules, section 1).
    #[must_use]
    pub fn network_work(&self, unit: WorkUnit) -> u128 {
        unit.network_work(self.target)
    }

    /// What the coinbase id is folded with to give the merkle root, at most 16.
    #[must_use]
    pub fn branches(&self) -> Vec<Hash> {
        self.branches.clone()
    }

    /// Whether a job on this template replaces the jobs on `before`: it has another parent.
    #[must_use]
    pub fn is_clean_after(&self, before: &Self) -> bool {
        self.prev != before.prev
    }

    /// The coinbase without witness, up to and after the extranonces. The input script is: height (BIP34) ‖ the node's flags
    /// ‖ the 8-byte tag ‖ extranonces ‖ text; so the tag is the last 8 bytes of the first part. Outputs: the reward to the
    /// payout script, then the witness commitment if there is one. (BIP34, BIP141, BIP145)
    ///
    /// # Errors
    /// [`TemplateError::Text`], [`TemplateError::Extranonce`], [`TemplateError::OutputScript`]: the caller's parts.
    pub fn coinbase(&self, parts: &CoinbaseParts<'_>) -> Result<(Vec<u8>, Vec<u8>), TemplateError> {
        self.coinbase_paying(parts, &[])
    }

    /// What a coinbase of this template has room for: nothing where the node left none.
    #[must_use]
    pub fn room(&self, payout_script: &[u8]) -> OutputRoom {
        let commitment = self.witness_commitment.as_ref();
        let script_bytes = payout_script.len() + commitment.map_or(0, Vec::len);
        let script_bytes = u64::try_from(script_bytes).unwrap_or(u64::MAX);
        // Heads of outputs with long scripts, and how many outputs there are, included.
        let after = COINBASE2_HEAD_BYTES.saturating_add(script_bytes);
        let whole = after.saturating_mul(4).saturating_add(COINBASE1_WEIGHT_MAX);
        let by_weight = self.coinbase_weight_max.saturating_sub(whole) / 4;
        let by_job = COINBASE2_BYTES_MAX.saturating_sub(after);
        OutputRoom {
            bytes: by_weight.min(by_job),
            sigops: self.coinbase_sigops_max.saturating_sub(SIGOPS_OF_POOL),
        }
    }

    /// The same with accounts' outputs between the pool's own, which gets what they leave, and the commitment.
    ///
    /// # Errors
    /// As [`Self::coinbase`], and [`TemplateError::Outputs`].
    pub fn coinbase_paying(
        &self,
        parts: &CoinbaseParts<'_>,
        outputs: &[(u64, Script)],
    ) -> Result<(Vec<u8>, Vec<u8>), TemplateError> {
        if TEXT_BYTES_MAX < parts.text.len() {
            return Err(TemplateError::Text(parts.text.len()));
        }
        if parts.extranonce_bytes == 0 || EXTRANONCE_BYTES_MAX < parts.extranonce_bytes {
            return Err(TemplateError::Extranonce(parts.extranonce_bytes));
        }
        check_script(parts.payout_script)?;
        let mut rest = Some(self.reward);
        for (amount, _) in outputs {
            rest = rest.and_then(|rest| rest.checked_sub(*amount));
        }
        let rest = rest.ok_or(TemplateError::Outputs)?;
        let before = [
            &height_push(self.height),
            self.aux_flags.as_slice(),
            &parts.tag,
        ]
        .concat();
        let script_len = before.len() + parts.extranonce_bytes + parts.text.len();
        assert!(
            script_len <= SCRIPT_SIG_BYTES_MAX,
            "the parts' limits keep a coinbase script within 100 bytes"
        );

        let mut coinbase1 = 2u32.to_le_bytes().to_vec();
        coinbase1.push(1);
        coinbase1.extend([0; 32]);
        coinbase1.extend([0xff; 4]);
        put_size(&mut coinbase1, script_len);
        coinbase1.extend(before);

        let mut coinbase2 = parts.text.as_bytes().to_vec();
        coinbase2.extend([0xff; 4]);
        put_size(
            &mut coinbase2,
            1 + outputs.len() + usize::from(self.witness_commitment.is_some()),
        );
        coinbase2.extend(rest.to_le_bytes());
        put_bytes(&mut coinbase2, parts.payout_script);
        for (amount, script) in outputs {
            coinbase2.extend(amount.to_le_bytes());
            put_bytes(&mut coinbase2, script.bytes());
        }
        if let Some(script) = &self.witness_commitment {
            coinbase2.extend(0u64.to_le_bytes());
            put_bytes(&mut coinbase2, script);
        }
        coinbase2.extend([0; 4]);
        let bytes = u64::try_from(coinbase2.len()).unwrap_or(u64::MAX);
        if !outputs.is_empty() && COINBASE2_BYTES_MAX < bytes {
            return Err(TemplateError::Outputs);
        }
        Ok((coinbase1, coinbase2))
    }

    /// The job as the ledger keeps it.
    ///
    /// # Errors
    /// As [`Self::coinbase`].
    pub fn job(&self, parts: &JobParts<'_>) -> Result<Job, TemplateError> {
        self.job_paying(parts, None)
    }

    /// The same of a job whose coinbase pays accounts.
    ///
    /// # Errors
    /// As [`Self::coinbase_paying`].
    pub fn job_paying(
        &self,
        parts: &JobParts<'_>,
        paying: Option<&Paying>,
    ) -> Result<Job, TemplateError> {
        let outputs = paying.map_or(&[][..], |paying| &paying.outputs);
        let (coinbase1, coinbase2) = self.coinbase_paying(&parts.coinbase, outputs)?;
        Ok(Job {
            number: parts.number,
            policy: parts.policy,
            height: self.height,
            network_work: self.network_work(parts.unit),
            reward: u128::from(self.reward),
            fees: u128::from(self.fees),
            version: self.version,
            prev: self.prev,
            nbits: self.nbits,
            time: self.time,
            clean: parts.clean,
            coinbase1,
            coinbase2,
            branches: self.branches(),
            direct: paying.map_or(0, |paying| paying.direct),
        })
    }

    /// The whole block for `submitblock`, from a header and the coinbase **without** witness that it commits to. With a
    /// witness commitment the coinbase gets its marker and its reserved value (BIP141); Litecoin's extension block comes last.
    /// `coinbase` is what [`Self::coinbase`]'s parts and the extranonces give; other bytes make a block that no node takes.
    #[must_use]
    pub fn block(&self, header: &[u8; 80], coinbase: &[u8]) -> Vec<u8> {
        let data: usize = self.transactions.iter().map(|tx| tx.data.len()).sum();
        let mweb = self.mweb.as_ref().map_or(0, |mweb| 1 + mweb.len());
        let mut block = Vec::with_capacity(80 + 9 + coinbase.len() + 36 + data + mweb);
        block.extend_from_slice(header);
        put_size(&mut block, 1 + self.transactions.len());
        match (
            coinbase.split_first_chunk::<4>(),
            coinbase.split_last_chunk::<4>(),
        ) {
            (Some((version, rest)), Some((_, locktime))) if self.witness_commitment.is_some() => {
                block.extend(version);
                block.extend([0, 1]);
                block.extend(rest.get(..rest.len().saturating_sub(4)).unwrap_or_default());
                block.extend([1, 32]);
                block.extend([0; 32]);
                block.extend(locktime);
            }
            _ => block.extend_from_slice(coinbase),
        }
        for tx in &self.transactions {
            block.extend_from_slice(&tx.data);
        }
        if let Some(mweb) = &self.mweb {
            block.push(1);
            block.extend_from_slice(mweb);
        }
        block
    }
}

fn check_script(script: &[u8]) -> Result<(), TemplateError> {
    if script.is_empty() || OUTPUT_SCRIPT_BYTES_MAX < script.len() {
        Err(TemplateError::OutputScript(script.len()))
    } else {
        Ok(())
    }
}
