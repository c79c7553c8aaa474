//! Genesis (section 5): what a ledger is, said once, at position 0.

use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::event::{Kind, SchemaEntry, read_entries, write_entries};
use crate::names::{CoinName, Key, LedgerId};
use crate::policy::Policy;
use crate::role::Role;
use crate::units::{Hash, WorkUnit};

/// The coin's proof of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Algorithm {
    /// Double SHA-256.
    Sha256d = 1,
    /// scrypt, N = 1,024.
    Scrypt = 2,
    /// scrypt², N = 1,048,576.
    Scrypt2 = 3,
    /// ethash.
    Ethash = 4,
    /// etchash (ECIP-1099).
    Etchash = 5,
}

impl Algorithm {
    /// Every algorithm, by number.
    pub const ALL: [Self; 5] = [
        Self::Sha256d,
        Self::Scrypt,
        Self::Scrypt2,
        Self::Ethash,
        Self::Etchash,
    ];

    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256d => "sha256d",
            Self::Scrypt => "scrypt",
            Self::Scrypt2 => "scrypt2",
            Self::Ethash => "ethash",
            Self::Etchash => "etchash",
        }
    }

    /// Reads a shown name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == text)
    }

    /// Unit of its work.
    #[must_use]
    pub const fn work_unit(self) -> WorkUnit {
        match self {
            Self::Sha256d => WorkUnit::Sha256d,
            Self::Scrypt | Self::Scrypt2 => WorkUnit::Scrypt,
            Self::Ethash | Self::Etchash => WorkUnit::Ethash,
        }
    }

    /// Bit k set iff kind k is of other algorithms (their work, and voids of it), which a ledger of this one never has (section 6, test 1).
    #[must_use]
    pub const fn foreign_kinds(self) -> u64 {
        match self {
            Self::Sha256d | Self::Scrypt | Self::Scrypt2 => {
                Kind::EthashJob.bit() | Kind::EthashShare.bit() | Kind::Void.bit()
            }
            Self::Ethash | Self::Etchash => Kind::Job.bit() | Kind::Share.bit(),
        }
    }
}

/// What approvers approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Approved {
    /// A producer's key.
    Key = 1,
    /// A policy.
    Policy = 2,
    /// An operator's ban, or its lifting.
    Ban = 3,
    /// An adjustment.
    Adjustment = 4,
    /// A registered account.
    Account = 5,
    /// A setting that the operator says; what an account's owner says waits for nobody.
    Setting = 6,
    /// A batch of payouts above the policy's limit.
    Payout = 7,
    /// A halted wallet that may pay again.
    Resume = 8,
    /// A write-off.
    WriteOff = 9,
    /// An announcement of inactive dust.
    InactiveDust = 10,
}

impl Approved {
    /// Everything, by number.
    pub const ALL: [Self; 10] = [
        Self::Key,
        Self::Policy,
        Self::Ban,
        Self::Adjustment,
        Self::Account,
        Self::Setting,
        Self::Payout,
        Self::Resume,
        Self::WriteOff,
        Self::InactiveDust,
    ];

    /// How many of `approvers` must approve it where genesis does not say (money rules, 8.7): keys, policies and resumes
    /// one, bans, accounts and settings none, adjustments, payouts, write-offs and inactive dust two, or one if there is but one
    /// approver.
    #[must_use]
    pub fn needed_unlisted(self, approvers: usize) -> usize {
        match self {
            Self::Key | Self::Policy | Self::Resume => 1,
            Self::Ban | Self::Account | Self::Setting => 0,
            Self::Adjustment | Self::Payout | Self::WriteOff | Self::InactiveDust => {
                approvers.min(2)
            }
        }
    }
}

/// The first event of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The ledger.
    pub ledger: LedgerId,
    /// SLIP-44 coin type; 1 for test chains.
    pub coin: u32,
    /// The coin's name.
    pub coin_name: CoinName,
    /// Its proof of work.
    pub algorithm: Algorithm,
    /// Decimals of the coin above the base unit, at most 18.
    pub decimals: u8,
    /// The chain's genesis block, header order.
    pub chain: Hash,
    /// Positions in a segment, 1 to 1,048,576.
    pub segment_positions: u32,
    /// Frame bytes in a segment, 65,536 to 2^32.
    pub segment_bytes: u64,
    /// How many projectors' digests a payout needs, 1 or 2.
    pub digest_answers: u8,
    /// Who approves; 1 to 16, ascending.
    pub approvers: Vec<Key>,
    /// How many must approve what; for what is not listed see [`Approved::needed_unlisted`].
    pub approvals: Vec<(Approved, u8)>,
    /// First producers' keys with their roles, 1 to 64, ascending by key.
    pub producers: Vec<(Key, Role)>,
    /// Schema set 0.
    pub schema_set: Vec<SchemaEntry>,
    /// The first policy.
    pub policy: Policy,
}

impl Genesis {
    /// How many approvals a thing needs.
    #[must_use]
    pub fn needed(&self, what: Approved) -> usize {
        let mut listed = self.approvals.iter();
        listed.find(|(of, _)| *of == what).map_or_else(
            || what.needed_unlisted(self.approvers.len()),
            |(_, needed)| usize::from(*needed),
        )
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let count = |len: usize| u8::try_from(len).unwrap_or(u8::MAX);
        out.put(&self.ledger.0);
        out.put(&self.coin.to_le_bytes());
        out.put_bytes8(self.coin_name.as_str().as_bytes());
        out.push(self.algorithm as u8);
        out.push(self.decimals);
        out.put(&self.chain.0);
        out.put(&self.segment_positions.to_le_bytes());
        out.put(&self.segment_bytes.to_le_bytes());
        out.push(self.digest_answers);
        out.push(count(self.approvers.len()));
        self.approvers.iter().for_each(|key| out.put(&key.0));
        out.push(count(self.approvals.len()));
        self.approvals
            .iter()
            .for_each(|(what, needed)| out.put(&[*what as u8, *needed]));
        out.push(count(self.producers.len()));
        for (key, role) in &self.producers {
            out.put(&key.0);
            out.push(*role as u8);
        }
        write_entries(&self.schema_set, out);
        self.policy.write(out);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Decoded<Self> {
        let ledger = LedgerId(reader.array()?);
        let coin = reader.u32()?;
        let coin_name = str::from_utf8(reader.bytes8(16)?)
            .ok()
            .and_then(CoinName::parse)
            .ok_or(DecodeError::Value("coin name"))?;
        let algorithm = reader.u8()?;
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|known| *known as u8 == algorithm)
            .ok_or(DecodeError::Value("algorithm"))?;
        let decimals = reader.count8(0, 18)?;
        let chain = reader.hash()?;
        let segment_positions = reader.u32()?;
        let segment_bytes = reader.u64()?;
        if !(1..=1_048_576).contains(&segment_positions)
            || !(65_536..=1 << 32).contains(&segment_bytes)
        {
            return Err(DecodeError::Limit("segment size"));
        }
        let digest_answers = reader.count8(1, 2)?;
        let approvers = read_keys(reader)?;
        let approvals = read_approvals(reader, approvers.len())?;
        let producers = read_producers(reader)?;
        let schema_set = read_entries(reader)?;
        let policy = Policy::read(reader)?;
        if !policy.pays_direct_where_it_can(algorithm) {
            return Err(DecodeError::Value("a pot that pays by the coinbase"));
        }
        Ok(Self {
            ledger,
            coin,
            coin_name,
            algorithm,
            decimals,
            chain,
            segment_positions,
            segment_bytes,
            digest_answers,
            approvers,
            approvals,
            producers,
            schema_set,
            policy,
        })
    }
}

fn read_keys(reader: &mut Reader<'_>) -> Decoded<Vec<Key>> {
    let count = reader.count8(1, 16)?;
    let keys = (0..count)
        .map(|_| Ok(Key(reader.array()?)))
        .collect::<Decoded<Vec<_>>>()?;
    if keys.is_sorted_by(|a, b| a < b) {
        Ok(keys)
    } else {
        Err(DecodeError::Order("approvers"))
    }
}

fn read_approvals(reader: &mut Reader<'_>, approvers: usize) -> Decoded<Vec<(Approved, u8)>> {
    let mut approvals: Vec<(Approved, u8)> = Vec::new();
    for _ in 0..reader.count8(0, 16)? {
        let what = reader.u8()?;
        let what = Approved::ALL
            .into_iter()
            .find(|known| *known as u8 == what)
            .ok_or(DecodeError::Value("approved thing"))?;
        let needed = reader.u8()?;
        if needed == 0 || approvers < usize::from(needed) {
            return Err(DecodeError::Limit("needed approvals"));
        }
        if approvals.last().is_some_and(|(last, _)| what <= *last) {
            return Err(DecodeError::Order("approvals"));
        }
        approvals.push((what, needed));
    }
    Ok(approvals)
}

fn read_producers(reader: &mut Reader<'_>) -> Decoded<Vec<(Key, Role)>> {
    let mut producers: Vec<(Key, Role)> = Vec::new();
    for _ in 0..reader.count8(1, 64)? {
        let key = Key(reader.array()?);
        let role = Role::from_byte(reader.u8()?).ok_or(DecodeError::Value("role"))?;
        if producers.last().is_some_and(|(last, _)| key <= *last) {
            return Err(DecodeError::Order("producers"));
        }
        producers.push((key, role));
    }
    Ok(producers)
}
