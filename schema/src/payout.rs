//! What the paymaster says, and what the desk says of it (section 3, kinds 32 to 38): batches of payouts, their
//! transactions, halts of a wallet, write-offs. A batch's lines stand in its [`BatchBody`], which is said before as parts.
//!
//! What is obeyed, and what it posts, is the money rules' (docs/rules.md 8 and 5.4).

use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::desk::Reason;
use crate::event::Part;
use crate::names::Account;
use crate::units::{At, Hash};

/// Most lines of a batch, and so most of its transactions.
pub const BATCH_LINES_MAX: u16 = 2_000;
/// Most blocks that a batch cites.
pub const BATCH_BLOCKS_MAX: u16 = 1_024;
/// Most bytes of a batch body.
pub const BATCH_BODY_BYTES_MAX: usize = 1 << 20;
/// Largest amount or fee of a batch and of each of its lines, base units: as of a block's value.
pub const PAYOUT_MAX: u128 = 1 << 80;
/// Most parts of a whole that a reader joins.
pub const WHOLE_PARTS_MAX: u16 = 64;
/// Most bytes of one part.
pub const PART_BYTES_MAX: usize = 32_000;
/// Most projectors' answers that a proposal cites.
pub const DIGEST_ANSWERS_MAX: u8 = 4;
/// Most bytes of a raw transaction that stands in its event; a longer one is said as parts.
pub const RAW_BYTES_MAX: usize = 24_000;

/// A line of a batch: what one account is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchLine {
    /// Whom.
    pub account: Account,
    /// Where: a script or an EVM address, never a name.
    pub address: Account,
    /// What is taken from the account, base units, 1 to [`PAYOUT_MAX`].
    pub amount: u128,
    /// What of it goes to the network, base units, below `amount`.
    pub fee: u128,
}

/// The lines of a batch and the blocks that they are paid of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchBody {
    /// 1 to [`BATCH_LINES_MAX`], strictly ascending by account.
    pub lines: Vec<BatchLine>,
    /// Confirmed blocks that it pays of, at most [`BATCH_BLOCKS_MAX`], strictly ascending.
    pub blocks: Vec<Hash>,
}

impl BatchBody {
    /// Sum of the lines' amounts, base units; none above [`PAYOUT_MAX`].
    #[must_use]
    pub fn total(&self) -> Option<u128> {
        let mut amounts = self.lines.iter().map(|line| line.amount);
        let total = amounts.try_fold(0u128, u128::checked_add)?;
        (total <= PAYOUT_MAX).then_some(total)
    }

    /// Canonical bytes (section 3). The body must be within its limits: a decoded one is, and [`BatchBody::is_legal`] tells
    /// for a built one.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.lines.len() * 128 + self.blocks.len() * 32 + 4);
        put_count16(self.lines.len(), &mut out);
        for line in &self.lines {
            line.account.write(&mut out);
            line.address.write(&mut out);
            out.put(&line.amount.to_le_bytes());
            out.put(&line.fee.to_le_bytes());
        }
        put_count16(self.blocks.len(), &mut out);
        self.blocks.iter().for_each(|block| out.put(&block.0));
        out
    }

    /// Reads exactly one body.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not canonical, or over a limit.
    pub fn read(bytes: &[u8]) -> Decoded<Self> {
        if BATCH_BODY_BYTES_MAX < bytes.len() {
            return Err(DecodeError::Limit("batch body"));
        }
        let mut reader = Reader::new(bytes, "batch body");
        let count = reader.u16()?;
        if !(1..=BATCH_LINES_MAX).contains(&count) {
            return Err(DecodeError::Limit("batch lines"));
        }
        let mut lines: Vec<BatchLine> = Vec::new();
        for _ in 0..count {
            let line = read_line(&mut reader)?;
            if lines
                .last()
                .is_some_and(|last| line.account <= last.account)
            {
                return Err(DecodeError::Order("batch lines"));
            }
            lines.push(line);
        }
        let count = reader.u16()?;
        if BATCH_BLOCKS_MAX < count {
            return Err(DecodeError::Limit("batch blocks"));
        }
        let blocks = (0..count)
            .map(|_| reader.hash())
            .collect::<Decoded<Vec<_>>>()?;
        if !blocks.is_sorted_by(|a, b| a < b) {
            return Err(DecodeError::Order("batch blocks"));
        }
        reader.end()?;
        Ok(Self { lines, blocks })
    }

    /// Whether it is one that a reader would accept.
    #[must_use]
    pub fn is_legal(&self) -> bool {
        self.lines.len() <= usize::from(BATCH_LINES_MAX)
            && self.blocks.len() <= usize::from(BATCH_BLOCKS_MAX)
            && Self::read(&self.to_bytes()).is_ok_and(|back| back == *self)
    }
}

/// Bytes cut into parts, to be said one after another; none if they are no bytes, or more than [`WHOLE_PARTS_MAX`] parts
/// hold. What they say is named by the SHA-256 of all of them.
#[must_use]
pub fn cut_into_parts(bytes: &[u8]) -> Option<Vec<Part>> {
    let pieces = bytes.chunks(PART_BYTES_MAX);
    let of = u16::try_from(pieces.len()).ok()?;
    if !(1..=WHOLE_PARTS_MAX).contains(&of) {
        return None;
    }
    let whole = Hash::of(&[bytes]);
    let part = |(index, piece): (u16, &[u8])| Part {
        whole,
        index,
        of,
        bytes: piece.to_vec(),
    };
    Some((0u16..).zip(pieces).map(part).collect())
}

/// Who answered with a digest: 1 to 64 of the bytes 0x21 to 0x7e, such as a projector's address. A remark.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Answerer(Box<str>);

impl Answerer {
    /// Most bytes.
    pub const BYTES_MAX: usize = 64;

    /// Reads a name; none if it is empty, too long, or has anything but the bytes 0x21 to 0x7e.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |byte: u8| (0x21..=0x7e).contains(&byte);
        (!text.is_empty() && text.len() <= Self::BYTES_MAX && text.bytes().all(legal))
            .then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A projector's digest of the money, as it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestAnswer {
    /// Who.
    pub who: Answerer,
    /// What.
    pub digest: Hash,
}

/// A batch is proposed: what kind 32 says. What approvers sign is its digest as of a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutProposed {
    /// Which wallet pays.
    pub wallet: u16,
    /// The wallet's next batch, dense from 0.
    pub batch: u64,
    /// Zero: a batch is proposed once.
    pub expects: At,
    /// Transactions: 1, or as many as lines.
    pub txs: u16,
    /// Lines of the body, 1 to [`BATCH_LINES_MAX`].
    pub lines: u16,
    /// Sum of the lines' amounts, base units, 1 to [`PAYOUT_MAX`].
    pub total: u128,
    /// Expected network fee of the whole batch, base units, at most [`PAYOUT_MAX`].
    pub fee: u128,
    /// SHA-256 of the batch body, said before as parts.
    pub body: Hash,
    /// How many positions the digests are of.
    pub digest_position: u64,
    /// What projectors answered, 1 to [`DIGEST_ANSWERS_MAX`].
    pub digests: Vec<DigestAnswer>,
}

/// What every version of a transaction spends, so that no two of them can both be paid.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Spends(Box<[u8]>);

impl Spends {
    /// Most bytes.
    pub const BYTES_MAX: usize = 44;

    /// The bytes, if there are 1 to 44.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=Self::BYTES_MAX)
            .contains(&bytes.len())
            .then(|| Self(bytes.into()))
    }

    /// Of bitcoin-likes: one outpoint, the transaction's id in internal order.
    #[must_use]
    pub fn outpoint(txid: Hash, vout: u32) -> Self {
        Self([txid.0.as_slice(), &vout.to_le_bytes()].concat().into())
    }

    /// Of EVM chains: the payer's address and its nonce.
    #[must_use]
    pub fn nonce(payer: [u8; 20], nonce: u64) -> Self {
        Self([payer.as_slice(), &nonce.to_le_bytes()].concat().into())
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A transaction of a batch is signed, at first or again: what kind 33 says. It is said before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutSigned {
    /// Which wallet.
    pub wallet: u16,
    /// Which batch.
    pub batch: u64,
    /// Which transaction of it, from 0.
    pub tx: u16,
    /// The transaction's last obeyed event.
    pub expects: At,
    /// Its id: of bitcoin-likes in internal order, of EVM chains the transaction's hash.
    pub txid: Hash,
    /// Most that it can cost, base units, at most [`PAYOUT_MAX`].
    pub fee: u128,
    /// What every version of it spends.
    pub spends: Spends,
    /// SHA-256 of the raw transaction.
    pub body: Hash,
    /// The raw transaction, at most [`RAW_BYTES_MAX`]; empty: it was said before as parts.
    pub raw: Vec<u8>,
}

/// What became of a transaction on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Step {
    /// It was sent.
    Broadcast = 1,
    /// The network has it.
    Seen = 2,
    /// It has the confirmations at which it counts as paid.
    Confirmed = 3,
    /// It has those after which it is not watched any more.
    Final = 4,
    /// Another transaction spends what it spends.
    Conflicted = 5,
    /// It is in a block, and did nothing (EVM status 0).
    Failed = 6,
    /// Nobody knows it.
    Unknown = 7,
}

impl Step {
    /// Every one, by number.
    pub const ALL: [Self; 7] = [
        Self::Broadcast,
        Self::Seen,
        Self::Confirmed,
        Self::Final,
        Self::Conflicted,
        Self::Failed,
        Self::Unknown,
    ];

    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Seen => "seen",
            Self::Confirmed => "confirmed",
            Self::Final => "final",
            Self::Conflicted => "conflicted",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the transaction is in a block and has cost what it costs: such a step has a block, and no other a fee.
    #[must_use]
    pub const fn is_in_a_block(self) -> bool {
        matches!(self, Self::Confirmed | Self::Final | Self::Failed)
    }
}

/// A transaction of a batch went a step: what kind 34 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutStep {
    /// Which wallet.
    pub wallet: u16,
    /// Which batch.
    pub batch: u64,
    /// Which transaction of it.
    pub tx: u16,
    /// The transaction's last obeyed event.
    pub expects: At,
    /// Which step.
    pub step: Step,
    /// The version that is meant; of a conflict the other transaction.
    pub txid: Hash,
    /// Height of its block; 0 without one.
    pub height: u64,
    /// Its block, header order.
    pub block: Option<Hash>,
    /// What it cost, base units, at most [`PAYOUT_MAX`]; 0 but where [`Step::is_in_a_block`].
    pub fee: u128,
}

/// A transaction of a batch will never be paid: what kind 35 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutCancelled {
    /// Which wallet.
    pub wallet: u16,
    /// Which batch.
    pub batch: u64,
    /// Which transaction of it.
    pub tx: u16,
    /// The transaction's last obeyed event.
    pub expects: At,
    /// The transaction that conflicts, at final depth; none: it was never signed.
    pub by: Option<Hash>,
    /// Height of the block of `by`; 0 without it.
    pub height: u64,
    /// What `by` cost us, base units, at most [`PAYOUT_MAX`]; 0 if it is not ours or there is none.
    pub fee: u128,
    /// Why.
    pub reason: Reason,
}

/// A wallet pays nothing more until it is resumed: what kind 36 says. It compares nothing, so that it always works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutHalt {
    /// Which wallet.
    pub wallet: u16,
    /// Why.
    pub reason: Reason,
}

/// A wallet may pay again: what kind 37 says. What approvers sign is its digest as of a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayoutResume {
    /// Which wallet.
    pub wallet: u16,
    /// The wallet's last obeyed halt or resume.
    pub expects: At,
    /// Why.
    pub reason: Reason,
}

/// The pool's reserve takes over what an account owes: what kind 38 says. By compare and set on the account's write-offs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOff {
    /// Whose `available` is below zero.
    pub account: Account,
    /// The account's last obeyed write-off.
    pub expects: At,
    /// Why.
    pub reason: Reason,
}

fn put_count16(count: usize, out: &mut Vec<u8>) {
    out.put(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
}

fn read_line(reader: &mut Reader<'_>) -> Decoded<BatchLine> {
    let account = Account::from_reader(reader)?;
    let address = Account::from_reader(reader)?;
    if matches!(address, Account::Name(_)) {
        return Err(DecodeError::Value("payout address"));
    }
    let line = BatchLine {
        account,
        address,
        amount: read_amount(reader)?,
        fee: reader.u128()?,
    };
    if line.fee < line.amount {
        Ok(line)
    } else {
        Err(DecodeError::Limit("line's fee"))
    }
}

/// 1 to [`PAYOUT_MAX`].
fn read_amount(reader: &mut Reader<'_>) -> Decoded<u128> {
    match reader.u128()? {
        amount @ 1..=PAYOUT_MAX => Ok(amount),
        _ => Err(DecodeError::Limit("amount")),
    }
}

/// 0 to [`PAYOUT_MAX`].
fn read_fee(reader: &mut Reader<'_>) -> Decoded<u128> {
    match reader.u128()? {
        fee @ 0..=PAYOUT_MAX => Ok(fee),
        _ => Err(DecodeError::Limit("network fee")),
    }
}

fn read_hash_or_none(reader: &mut Reader<'_>) -> Decoded<Option<Hash>> {
    let hash = reader.hash()?;
    Ok((hash != Hash::ZERO).then_some(hash))
}

pub(crate) fn write_payout_proposed(said: &PayoutProposed, out: &mut Vec<u8>) {
    out.put(&said.wallet.to_le_bytes());
    out.put(&said.batch.to_le_bytes());
    out.put_at(said.expects);
    out.put(&said.txs.to_le_bytes());
    out.put(&said.lines.to_le_bytes());
    out.put(&said.total.to_le_bytes());
    out.put(&said.fee.to_le_bytes());
    out.put(&said.body.0);
    out.put(&said.digest_position.to_le_bytes());
    out.push(u8::try_from(said.digests.len()).unwrap_or(u8::MAX));
    for answer in &said.digests {
        out.put_bytes8(answer.who.as_str().as_bytes());
        out.put(&answer.digest.0);
    }
}

pub(crate) fn read_payout_proposed(reader: &mut Reader<'_>) -> Decoded<PayoutProposed> {
    let wallet = reader.u16()?;
    let batch = reader.u64()?;
    let expects = reader.at()?;
    let txs = reader.u16()?;
    let lines = reader.u16()?;
    if txs == 0 || !(1..=BATCH_LINES_MAX).contains(&lines) {
        return Err(DecodeError::Limit("transactions or lines"));
    }
    Ok(PayoutProposed {
        wallet,
        batch,
        expects,
        txs,
        lines,
        total: read_amount(reader)?,
        fee: read_fee(reader)?,
        body: reader.hash()?,
        digest_position: reader.u64()?,
        digests: read_digests(reader)?,
    })
}

fn read_digests(reader: &mut Reader<'_>) -> Decoded<Vec<DigestAnswer>> {
    (0..reader.count8(1, DIGEST_ANSWERS_MAX)?)
        .map(|_| {
            let who = str::from_utf8(reader.bytes8(Answerer::BYTES_MAX)?).ok();
            let who = who.and_then(Answerer::parse);
            Ok(DigestAnswer {
                who: who.ok_or(DecodeError::Value("who answered"))?,
                digest: reader.hash()?,
            })
        })
        .collect()
}

pub(crate) fn write_payout_signed(said: &PayoutSigned, out: &mut Vec<u8>) {
    out.put(&said.wallet.to_le_bytes());
    out.put(&said.batch.to_le_bytes());
    out.put(&said.tx.to_le_bytes());
    out.put_at(said.expects);
    out.put(&said.txid.0);
    out.put(&said.fee.to_le_bytes());
    out.put_bytes8(said.spends.bytes());
    out.put(&said.body.0);
    out.put_bytes16(&said.raw);
}

pub(crate) fn read_payout_signed(reader: &mut Reader<'_>) -> Decoded<PayoutSigned> {
    Ok(PayoutSigned {
        wallet: reader.u16()?,
        batch: reader.u64()?,
        tx: reader.u16()?,
        expects: reader.at()?,
        txid: reader.hash()?,
        fee: read_fee(reader)?,
        spends: Spends::new(reader.bytes8(Spends::BYTES_MAX)?)
            .ok_or(DecodeError::Limit("what is spent"))?,
        body: reader.hash()?,
        raw: reader.bytes16(RAW_BYTES_MAX)?.to_vec(),
    })
}

pub(crate) fn write_payout_step(said: &PayoutStep, out: &mut Vec<u8>) {
    out.put(&said.wallet.to_le_bytes());
    out.put(&said.batch.to_le_bytes());
    out.put(&said.tx.to_le_bytes());
    out.put_at(said.expects);
    out.push(said.step as u8);
    out.put(&said.txid.0);
    out.put(&said.height.to_le_bytes());
    out.put(&said.block.unwrap_or(Hash::ZERO).0);
    out.put(&said.fee.to_le_bytes());
}

pub(crate) fn read_payout_step(reader: &mut Reader<'_>) -> Decoded<PayoutStep> {
    let wallet = reader.u16()?;
    let batch = reader.u64()?;
    let tx = reader.u16()?;
    let expects = reader.at()?;
    let step = reader.u8()?;
    let step = Step::ALL
        .into_iter()
        .find(|known| *known as u8 == step)
        .ok_or(DecodeError::Value("step"))?;
    let said = PayoutStep {
        wallet,
        batch,
        tx,
        expects,
        step,
        txid: reader.hash()?,
        height: reader.u64()?,
        block: read_hash_or_none(reader)?,
        fee: read_fee(reader)?,
    };
    let needs_block = step.is_in_a_block() || said.height != 0;
    if needs_block && said.block.is_none() {
        return Err(DecodeError::Value("step's block"));
    }
    if !step.is_in_a_block() && said.fee != 0 {
        return Err(DecodeError::Value("step's fee"));
    }
    Ok(said)
}

pub(crate) fn write_payout_cancelled(said: &PayoutCancelled, out: &mut Vec<u8>) {
    out.put(&said.wallet.to_le_bytes());
    out.put(&said.batch.to_le_bytes());
    out.put(&said.tx.to_le_bytes());
    out.put_at(said.expects);
    out.put(&said.by.unwrap_or(Hash::ZERO).0);
    out.put(&said.height.to_le_bytes());
    out.put(&said.fee.to_le_bytes());
    out.put_bytes8(said.reason.as_str().as_bytes());
}

pub(crate) fn read_payout_cancelled(reader: &mut Reader<'_>) -> Decoded<PayoutCancelled> {
    let said = PayoutCancelled {
        wallet: reader.u16()?,
        batch: reader.u64()?,
        tx: reader.u16()?,
        expects: reader.at()?,
        by: read_hash_or_none(reader)?,
        height: reader.u64()?,
        fee: read_fee(reader)?,
        reason: Reason::read(reader)?,
    };
    if said.by.is_none() && (said.height, said.fee) != (0, 0) {
        Err(DecodeError::Value("height or fee of no transaction"))
    } else {
        Ok(said)
    }
}

pub(crate) fn write_payout_halt(said: &PayoutHalt, out: &mut Vec<u8>) {
    out.put(&said.wallet.to_le_bytes());
    out.put_bytes8(said.reason.as_str().as_bytes());
}

pub(crate) fn read_payout_halt(reader: &mut Reader<'_>) -> Decoded<PayoutHalt> {
    Ok(PayoutHalt {
        wallet: reader.u16()?,
        reason: Reason::read(reader)?,
    })
}

pub(crate) fn write_payout_resume(said: &PayoutResume, out: &mut Vec<u8>) {
    out.put(&said.wallet.to_le_bytes());
    out.put_at(said.expects);
    out.put_bytes8(said.reason.as_str().as_bytes());
}

pub(crate) fn read_payout_resume(reader: &mut Reader<'_>) -> Decoded<PayoutResume> {
    Ok(PayoutResume {
        wallet: reader.u16()?,
        expects: reader.at()?,
        reason: Reason::read(reader)?,
    })
}

pub(crate) fn write_write_off(said: &WriteOff, out: &mut Vec<u8>) {
    said.account.write(out);
    out.put_at(said.expects);
    out.put_bytes8(said.reason.as_str().as_bytes());
}

pub(crate) fn read_write_off(reader: &mut Reader<'_>) -> Decoded<WriteOff> {
    Ok(WriteOff {
        account: Account::from_reader(reader)?,
        expects: reader.at()?,
        reason: Reason::read(reader)?,
    })
}
