//! A submit: its fields as text, and as numbers.

use orebook_schema::work::Extranonce;

use crate::id::Id;
use crate::{StratumError, hex};

/// Number of a user of this connection: dense from 0 in the order of their first authorize, valid while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserNumber(pub u16);

/// A well-formed submit of an authorized user. Numbers are canonical: upper and lower case make the same submit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// To be echoed in the reply.
    pub id: Id,
    /// Whose it is.
    pub user: UserNumber,
    /// The job's id on the wire ([`show_job_id`]); whether there is such a job is the gateway's to find out.
    pub job: u32,
    /// What the rig put into the coinbase; of the session's size.
    pub extranonce2: Extranonce,
    /// Header time, seconds.
    pub ntime: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Rolled version bits, inside [`Session::version_mask`](crate::Session::version_mask); `None`: the job's version as it is.
    pub version_bits: Option<u32>,
}

/// The parameters of a submit, before they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields<'a> {
    pub(crate) user: &'a str,
    pub(crate) job: &'a [u8],
    pub(crate) extranonce2: &'a [u8],
    pub(crate) ntime: &'a [u8],
    pub(crate) nonce: &'a [u8],
    pub(crate) version_bits: Option<&'a [u8]>,
}

impl Fields<'_> {
    /// Reads the numbers, in the order of the parameters but the job last: a malformed share is malformed whatever its job.
    pub(crate) fn submit(
        &self,
        id: Id,
        user: UserNumber,
        extranonce2_size: u8,
        version_mask: Option<u32>,
    ) -> Result<Submit, StratumError> {
        let extranonce2 =
            extranonce(self.extranonce2, extranonce2_size).ok_or(StratumError::Extranonce2)?;
        let ntime = hex::u32_of(self.ntime).ok_or(StratumError::Ntime)?;
        let nonce = hex::u32_of(self.nonce).ok_or(StratumError::Nonce)?;
        let version_bits = match self.version_bits {
            Some(text) => rolled(text, version_mask)?,
            None => None,
        };
        Ok(Submit {
            id,
            user,
            job: job_id(self.job).ok_or(StratumError::JobNotFound)?,
            extranonce2,
            ntime,
            nonce,
            version_bits,
        })
    }
}

fn extranonce(text: &[u8], size: u8) -> Option<Extranonce> {
    let mut bytes = [0; Extranonce::BYTES_MAX];
    let place = bytes.get_mut(..usize::from(size))?;
    if hex::fill(text, place) {
        Extranonce::new(place)
    } else {
        None
    }
}

/// A sixth parameter. Some proxies send it always: zero is ignored where rolling was not negotiated.
fn rolled(text: &[u8], mask: Option<u32>) -> Result<Option<u32>, StratumError> {
    let bits = hex::u32_of(text).ok_or(StratumError::VersionBits)?;
    match mask {
        Some(mask) if bits & !mask == 0 => Ok(Some(bits)),
        None if bits == 0 => Ok(None),
        _ => Err(StratumError::VersionBits),
    }
}

/// A job's id on the wire: lower-case hex without leading zeros. Not the ledger's job number, which begins again with each
/// epoch: ids are a gateway's own counter, unique while connections and resumed sessions live.
#[must_use]
pub fn show_job_id(id: u32) -> String {
    format!("{id:x}")
}

/// Reads exactly what [`show_job_id`] writes: a client echoes, it does not compute.
#[must_use]
pub fn parse_job_id(text: &str) -> Option<u32> {
    job_id(text.as_bytes())
}

fn job_id(text: &[u8]) -> Option<u32> {
    let spelled_once = text == b"0" || text.first() != Some(&b'0');
    if spelled_once && !text.iter().any(u8::is_ascii_uppercase) {
        hex::short_u32(text)
    } else {
        None
    }
}
