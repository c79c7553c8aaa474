//! Policies (section 5): the rules that come with a job.

use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::genesis::Algorithm;
use crate::names::Pot;

/// One million: the whole, in parts per million.
pub const PPM: u32 = 1_000_000;
/// Longest time that a change of address waits, milliseconds: 30 days.
pub const ADDRESS_HOLD_MS_MAX: u64 = 2_592_000_000;
/// Longest time that an account owes before it may be written off, milliseconds: about 35 years.
pub const WRITEOFF_MS_MAX: u64 = 1 << 40;

/// Most outputs to miners in a coinbase: what follows a job's extranonces has at most 16,384 bytes, an output at least 31.
pub const DIRECT_OUTPUTS_MAX: u16 = 500;

/// How a pot's shares are paid (money rules, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Scheme {
    /// Pay per last N shares.
    Pplns = 1,
    /// The finder takes all.
    Solo = 2,
    /// Proportional to the round.
    Prop = 3,
    /// Pay per share.
    Pps = 4,
    /// Pay per share with mean transaction fees.
    Fpps = 5,
}

impl Scheme {
    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pplns => "pplns",
            Self::Solo => "solo",
            Self::Prop => "prop",
            Self::Pps => "pps",
            Self::Fpps => "fpps",
        }
    }

    /// Whether each share is paid for itself, and blocks are the pool's.
    #[must_use]
    pub const fn is_per_share(self) -> bool {
        matches!(self, Self::Pps | Self::Fpps)
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Pplns,
            2 => Self::Solo,
            3 => Self::Prop,
            4 => Self::Pps,
            5 => Self::Fpps,
            _ => return None,
        })
    }
}

/// Who bears the network fees of payouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NetworkFees {
    /// The pool's `network_fees` book.
    Pool = 0,
    /// The lines of the batch.
    Miner = 1,
}

/// One pot's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PotRules {
    /// Which pot.
    pub pot: Pot,
    /// How it is paid; for ever the same for a pot's number.
    pub scheme: Scheme,
    /// PPLNS window as parts per million of network work, at least 1.
    pub n_ppm: u64,
    /// Pool fee, parts per million.
    pub fee_ppm: u32,
    /// Finder's bonus, parts per million.
    pub bonus_ppm: u32,
    /// What a stale share is paid, parts per million of its work.
    pub stale_ppm: u32,
    /// Whether transaction fees go to the pool.
    pub keep_tx_fees: bool,
    /// Least that the coinbase pays a miner himself, base units; 0: the pot does not pay by the coinbase.
    pub direct_min: u64,
    /// Most outputs to miners in a coinbase, 1 to [`DIRECT_OUTPUTS_MAX`]; 0 iff `direct_min` is.
    pub direct_outputs: u16,
}

/// A policy: scheme, window and fees for each pot, depths, thresholds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// 1 to 16 pots, ascending by number.
    pub pots: Vec<PotRules>,
    /// Blocks on top at which a block's postings are made, immature.
    pub immature_depth: u32,
    /// Blocks on top at which they become available; above `immature_depth`.
    pub confirmed_depth: u32,
    /// Blocks on top of another block at the same height that make ours orphaned.
    pub orphan_depth: u32,
    /// Payout threshold in base units.
    pub threshold: u128,
    /// Ledger time that a change of an account's address waits, milliseconds, at most [`ADDRESS_HOLD_MS_MAX`].
    pub address_hold_ms: u64,
    /// Who bears network fees.
    pub network_fees: NetworkFees,
    /// A batch whose total is at most this needs no approval, base units.
    pub auto_pay_limit: u128,
    /// Confirmations at which a payout's transaction counts as paid, at least 1.
    pub payout_depth: u32,
    /// Confirmations after which it is not watched any more; above `payout_depth`.
    pub payout_final_depth: u32,
    /// Ledger time that an account's `available` must have been below zero before it may be written off, milliseconds, at
    /// most [`WRITEOFF_MS_MAX`].
    pub writeoff_ms: u64,
    /// Whether whole base units of `rounding` go to `fee`.
    pub rounding_to_fee: bool,
}

impl Policy {
    /// Rules of a pot.
    #[must_use]
    pub fn pot(&self, pot: Pot) -> Option<&PotRules> {
        self.pots.iter().find(|rules| rules.pot == pot)
    }

    /// Whether only pots pay by the coinbase that can: PPLNS ones of bitcoin-likes without a finder's bonus, since nobody knows
    /// the finder while the list of outputs is made. Another policy is refused for ever.
    #[must_use]
    pub fn pays_direct_where_it_can(&self, algorithm: Algorithm) -> bool {
        let is_bitcoin_like = !matches!(algorithm, Algorithm::Ethash | Algorithm::Etchash);
        let mut pots = self.pots.iter();
        pots.all(|rules| {
            let can = is_bitcoin_like && rules.scheme == Scheme::Pplns && rules.bonus_ppm == 0;
            rules.direct_min == 0 || can
        })
    }

    /// Whether every figure is within the limits of section 5: what [`Policy::read`] would accept.
    #[must_use]
    pub fn is_legal(&self) -> bool {
        let mut bytes = Vec::new();
        if 16 < self.pots.len() {
            return false;
        }
        self.write(&mut bytes);
        Self::read(&mut Reader::new(&bytes, "policy")).is_ok()
    }

    /// Canonical bytes (section 5).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Reads canonical bytes from the front of a reader.
    ///
    /// # Errors
    /// [`DecodeError`] if they are none.
    pub fn from_reader(reader: &mut Reader<'_>) -> Decoded<Self> {
        Self::read(reader)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.pots.len()).unwrap_or(u8::MAX));
        for pot in &self.pots {
            out.put(&pot.pot.0.to_le_bytes());
            out.push(pot.scheme as u8);
            out.put(&pot.n_ppm.to_le_bytes());
            out.put(&pot.fee_ppm.to_le_bytes());
            out.put(&pot.bonus_ppm.to_le_bytes());
            out.put(&pot.stale_ppm.to_le_bytes());
            out.push(u8::from(pot.keep_tx_fees));
            out.put(&pot.direct_min.to_le_bytes());
            out.put(&pot.direct_outputs.to_le_bytes());
        }
        out.put(&self.immature_depth.to_le_bytes());
        out.put(&self.confirmed_depth.to_le_bytes());
        out.put(&self.orphan_depth.to_le_bytes());
        out.put(&self.threshold.to_le_bytes());
        out.put(&self.address_hold_ms.to_le_bytes());
        out.push(self.network_fees as u8);
        out.put(&self.auto_pay_limit.to_le_bytes());
        out.put(&self.payout_depth.to_le_bytes());
        out.put(&self.payout_final_depth.to_le_bytes());
        out.put(&self.writeoff_ms.to_le_bytes());
        out.push(u8::from(self.rounding_to_fee));
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Decoded<Self> {
        let mut pots: Vec<PotRules> = Vec::new();
        for _ in 0..reader.count8(1, 16)? {
            let rules = read_pot(reader)?;
            if pots.last().is_some_and(|last| rules.pot <= last.pot) {
                return Err(DecodeError::Order("pots"));
            }
            pots.push(rules);
        }
        let policy = Self {
            pots,
            immature_depth: reader.u32()?,
            confirmed_depth: reader.u32()?,
            orphan_depth: reader.u32()?,
            threshold: reader.u128()?,
            address_hold_ms: reader.u64()?,
            network_fees: match reader.u8()? {
                0 => NetworkFees::Pool,
                1 => NetworkFees::Miner,
                _ => return Err(DecodeError::Value("network_fees")),
            },
            auto_pay_limit: reader.u128()?,
            payout_depth: reader.u32()?,
            payout_final_depth: reader.u32()?,
            writeoff_ms: reader.u64()?,
            rounding_to_fee: read_bool(reader, "rounding_to_fee")?,
        };
        let depths_ok = 1 <= policy.immature_depth
            && policy.immature_depth < policy.confirmed_depth
            && 1 <= policy.orphan_depth
            && 1 <= policy.payout_depth
            && policy.payout_depth < policy.payout_final_depth;
        if !depths_ok {
            return Err(DecodeError::Limit("depths"));
        }
        if ADDRESS_HOLD_MS_MAX < policy.address_hold_ms {
            return Err(DecodeError::Limit("address hold"));
        }
        if policy.writeoff_ms <= WRITEOFF_MS_MAX {
            Ok(policy)
        } else {
            Err(DecodeError::Limit("time to a write-off"))
        }
    }
}

fn read_pot(reader: &mut Reader<'_>) -> Decoded<PotRules> {
    let rules = PotRules {
        pot: Pot(reader.u16()?),
        scheme: Scheme::from_byte(reader.u8()?).ok_or(DecodeError::Value("scheme"))?,
        n_ppm: reader.u64()?,
        fee_ppm: reader.u32()?,
        bonus_ppm: reader.u32()?,
        stale_ppm: reader.u32()?,
        keep_tx_fees: read_bool(reader, "keep_tx_fees")?,
        direct_min: reader.u64()?,
        direct_outputs: reader.u16()?,
    };
    let ppm_ok = rules.fee_ppm <= PPM && rules.bonus_ppm <= PPM && rules.stale_ppm <= PPM;
    if !ppm_ok || rules.n_ppm == 0 {
        return Err(DecodeError::Limit("ppm"));
    }
    let outputs = if rules.direct_min == 0 {
        0..=0
    } else {
        1..=DIRECT_OUTPUTS_MAX
    };
    if outputs.contains(&rules.direct_outputs) {
        Ok(rules)
    } else {
        Err(DecodeError::Limit("outputs of a coinbase"))
    }
}

fn read_bool(reader: &mut Reader<'_>, what: &'static str) -> Decoded<bool> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Value(what)),
    }
}
