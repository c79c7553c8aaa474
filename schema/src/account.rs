//! Registered accounts and what their owners set (section 3, kinds 26 and 27).

use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::names::{Account, RegisteredName, WorkerName};
use crate::policy::PPM;
use crate::units::{At, Hash};

/// Most worker names that one event adds; more are said by several events.
pub const REGISTERED_WORKERS_MAX: usize = 400;
/// Most registered names of a ledger, so that what gateways hold of them has a limit: one more is refused for ever.
pub const NAMES_MAX: usize = 16_384;
/// Most registered workers of a ledger, over all names; likewise.
pub const WORKERS_MAX: usize = 65_536;
/// Most bytes of a setting's proof.
pub const PROOF_BYTES_MAX: usize = 1_024;

/// A registered name comes, or changes: what kind 26 says. By compare and set on the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Whose; the account is `name:NAME`.
    pub name: RegisteredName,
    /// The name's last obeyed registration.
    pub expects: At,
    /// Where it is paid: a script or an EVM address, never a name.
    pub payout: Account,
    /// Payout threshold, base units; 0: the policy's.
    pub threshold: u128,
    /// SHA-256 of the account's secret token; none: it has none.
    pub token: Option<Hash>,
    /// Whether only registered workers may mine.
    pub registered_only: bool,
    /// Worker names that are added to those registered before, at most [`REGISTERED_WORKERS_MAX`], strictly ascending by
    /// their bytes.
    pub workers: Vec<WorkerName>,
}

/// Who said a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum SetBy {
    /// The operator; approvals where genesis asks for them.
    Operator = 1,
    /// The account's owner, by a message signed with its address.
    Signed = 2,
    /// The account's owner, by the secret token.
    Token = 3,
}

impl SetBy {
    /// Every one, by number.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Signed, Self::Token];

    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Signed => "signed",
            Self::Token => "token",
        }
    }

    /// Reads a shown name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.name() == text)
    }
}

/// What is set, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// Payout threshold, base units; 0: the policy's.
    Threshold(u128),
    /// Where the account is paid, once the policy's hold time passed: a script or an EVM address.
    Address(Account),
    /// Part of each credit that is donated, parts per million, at most [`PPM`].
    Donation(u32),
    /// The next batch has a line for the account whatever its threshold.
    PayNow,
}

impl SettingValue {
    /// Its number in the format.
    #[must_use]
    pub const fn what(&self) -> u8 {
        match self {
            Self::Threshold(_) => 1,
            Self::Address(_) => 2,
            Self::Donation(_) => 3,
            Self::PayNow => 4,
        }
    }

    /// Lower-case name as shown.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Threshold(_) => "threshold",
            Self::Address(_) => "address",
            Self::Donation(_) => "donation",
            Self::PayNow => "pay_now",
        }
    }
}

/// A setting of an account: what kind 27 says. By compare and set on the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Whose.
    pub account: Account,
    /// The account's last obeyed setting, whatever it set.
    pub expects: At,
    /// Who said it.
    pub by: SetBy,
    /// What, and to what.
    pub value: SettingValue,
    /// What shows that the owner said it, at most [`PROOF_BYTES_MAX`]; empty iff the operator did.
    pub proof: Vec<u8>,
}

pub(crate) fn write_registration(said: &Registration, out: &mut Vec<u8>) {
    out.put_bytes8(said.name.as_str().as_bytes());
    out.put_at(said.expects);
    said.payout.write(out);
    out.put(&said.threshold.to_le_bytes());
    out.put(&said.token.unwrap_or(Hash::ZERO).0);
    out.push(u8::from(said.registered_only));
    let count = u16::try_from(said.workers.len()).unwrap_or(u16::MAX);
    out.put(&count.to_le_bytes());
    for worker in &said.workers {
        out.put_bytes8(worker.as_str().as_bytes());
    }
}

pub(crate) fn read_registration(reader: &mut Reader<'_>) -> Decoded<Registration> {
    let text = str::from_utf8(reader.bytes8(32)?).map_err(|_| DecodeError::Value("name"))?;
    let name = RegisteredName::parse(text)
        .filter(|name| name.as_str() == text)
        .ok_or(DecodeError::Value("name"))?;
    let expects = reader.at()?;
    let payout = read_payout(reader)?;
    let threshold = reader.u128()?;
    let token = reader.hash()?;
    let registered_only = reader.count8(0, 1)? == 1;
    let count = usize::from(reader.u16()?);
    if REGISTERED_WORKERS_MAX < count {
        return Err(DecodeError::Limit("registered workers"));
    }
    let workers = (0..count)
        .map(|_| {
            str::from_utf8(reader.bytes8(64)?)
                .ok()
                .and_then(WorkerName::parse)
                .ok_or(DecodeError::Value("worker name"))
        })
        .collect::<Decoded<Vec<_>>>()?;
    if !workers.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Order("registered workers"));
    }
    Ok(Registration {
        name,
        expects,
        payout,
        threshold,
        token: (token != Hash::ZERO).then_some(token),
        registered_only,
        workers,
    })
}

/// What is paid is a script or an address; a name is paid at the address that it names.
fn read_payout(reader: &mut Reader<'_>) -> Decoded<Account> {
    match Account::from_reader(reader)? {
        Account::Name(_) => Err(DecodeError::Value("payout address")),
        address => Ok(address),
    }
}

pub(crate) fn write_setting(setting: &Setting, out: &mut Vec<u8>) {
    setting.account.write(out);
    out.put_at(setting.expects);
    out.put(&[setting.by as u8, setting.value.what()]);
    match &setting.value {
        SettingValue::Threshold(threshold) => out.put(&threshold.to_le_bytes()),
        SettingValue::Address(address) => address.write(out),
        SettingValue::Donation(ppm) => out.put(&ppm.to_le_bytes()),
        SettingValue::PayNow => {}
    }
    out.put_bytes16(&setting.proof);
}

pub(crate) fn read_setting(reader: &mut Reader<'_>) -> Decoded<Setting> {
    let account = Account::from_reader(reader)?;
    let expects = reader.at()?;
    let by = reader.u8()?;
    let by = SetBy::ALL
        .into_iter()
        .find(|known| *known as u8 == by)
        .ok_or(DecodeError::Value("who set"))?;
    let value = match reader.u8()? {
        1 => SettingValue::Threshold(reader.u128()?),
        2 => SettingValue::Address(read_payout(reader)?),
        3 => SettingValue::Donation(reader.u32()?),
        4 => SettingValue::PayNow,
        _ => return Err(DecodeError::Value("what is set")),
    };
    if matches!(value, SettingValue::Donation(ppm) if PPM < ppm) {
        return Err(DecodeError::Limit("donation"));
    }
    let proof = reader.bytes16(PROOF_BYTES_MAX)?.to_vec();
    if proof.is_empty() == (by == SetBy::Operator) {
        Ok(Setting {
            account,
            expects,
            by,
            value,
            proof,
        })
    } else {
        Err(DecodeError::Value("proof"))
    }
}
