//! Jobs as ethash miners read them. Everything that does not depend on a session is written once per job
//! ([`EthashLines::new`]); a session adds its target, and says again only what changed.

use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{U256, WorkUnit};
use orebook_schema::{Hash, Work};

use super::EthashSession;
use crate::dialect::Dialect;
use crate::hex;
use crate::id::Id;
use crate::write::{put, put_shown};

/// Digits after the point of NiceHash's difficulties from difficulty 1 on; below it there are [`SMALL_FRACTION_DIGITS`], so
/// that at least 17 digits matter and a double has them all.
const FRACTION_DIGITS: u32 = 18;
const SMALL_FRACTION_DIGITS: u32 = 28;

/// How much harder a difficulty is told than it is, as a shift: by one part in 2^48. See [`ethash_difficulty`].
const MARGIN_SHIFT: usize = 48;

/// A job for ethash miners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthashWork {
    /// Its id on the wire ([`show_job_id`](crate::show_job_id)).
    pub number: u32,
    /// Hash of the header without nonce and mix.
    pub seal: Hash,
    /// What the cache is made from.
    pub seed: Hash,
    /// Epoch of the data set: what EthereumStratum/2.0.0 says instead of the seed.
    pub epoch: u32,
    /// ethash or etchash.
    pub algorithm: Algorithm,
    /// The block's number.
    pub height: u64,
}

/// A job's lines, for every session.
#[derive(Clone, Debug)]
pub struct EthashLines {
    work: EthashWork,
    /// NiceHash's notify, without and with `clean`.
    nicehash: [Vec<u8>; 2],
    /// EthereumStratum/2.0.0's.
    stratum_2: [Vec<u8>; 2],
    /// `["0xSEAL","0xSEED","0x`, where the target follows.
    node_head: Vec<u8>,
    /// `","0xHEIGHT"]`.
    node_tail: Vec<u8>,
    /// The legacy notify up to the target.
    legacy_head: Vec<u8>,
}

impl EthashLines {
    /// Writes what no session changes.
    #[must_use]
    pub fn new(work: EthashWork) -> Self {
        let digits = |hash: Hash| {
            let mut digits = Vec::new();
            hex::write(&mut digits, &hash.0);
            String::from_utf8(digits).unwrap_or_default()
        };
        let (number, height) = (work.number, work.height);
        let (seal, seed) = (digits(work.seal), digits(work.seed));
        let nicehash = |clean: bool| {
            format!(
                "{{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"{number:x}\",\"{seed}\",\"{seal}\",{clean}]}}\n"
            )
            .into_bytes()
        };
        let stratum_2 = |clean: u8| {
            format!(
                "{{\"method\":\"mining.notify\",\"params\":[\"{number:x}\",\"{height:x}\",\"{seal}\",\"{clean}\"]}}\n"
            )
            .into_bytes()
        };
        Self {
            work,
            nicehash: [nicehash(false), nicehash(true)],
            stratum_2: [stratum_2(0), stratum_2(1)],
            node_head: format!("[\"0x{seal}\",\"0x{seed}\",\"0x").into_bytes(),
            node_tail: format!("\",\"0x{height:x}\"]").into_bytes(),
            legacy_head: format!(
                "{{\"id\":null,\"jsonrpc\":\"2.0\",\"method\":\"mining.notify\",\
                 \"params\":[\"{seal}\",\"0x{seal}\",\"0x{seed}\",\"0x"
            )
            .into_bytes(),
        }
    }

    /// The job.
    #[must_use]
    pub const fn work(&self) -> &EthashWork {
        &self.work
    }

    /// `[seal, seed, target, height]` as a node gives it.
    fn put_node_work(&self, out: &mut Vec<u8>, target: U256) {
        put(out, &[&self.node_head]);
        put_target(out, target);
        put(out, &[&self.node_tail]);
    }
}

/// What a session was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    work: Work,
    epoch: u32,
    algorithm: Algorithm,
}

impl EthashSession {
    /// Writes a job, and before it what it needs. `clean`: older jobs are worth nothing any more.
    pub(crate) fn put_job(
        &mut self,
        out: &mut Vec<u8>,
        job: &EthashLines,
        work: Work,
        clean: bool,
    ) {
        let target = work.target(WorkUnit::Ethash);
        let line = |[dirty, clean_line]: &[Vec<u8>; 2], out: &mut Vec<u8>| {
            put(out, &[if clean { clean_line } else { dirty }]);
        };
        match self.dialect {
            Dialect::EthProxy => {
                put(out, &[b"{\"id\":0,\"jsonrpc\":\"2.0\",\"result\":"]);
                job.put_node_work(out, target);
                put(out, &[b"}\n"]);
            }
            Dialect::NiceHash => {
                if self.sent.is_none_or(|sent| sent.work != work) {
                    let difficulty = ethash_difficulty(work);
                    put_shown(
                        out,
                        format_args!(
                            "{{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[{difficulty}]}}\n"
                        ),
                    );
                }
                line(&job.nicehash, out);
            }
            Dialect::Legacy => {
                put(out, &[&job.legacy_head]);
                put_target(out, target);
                put_shown(out, format_args!("\",{clean}]}}\n"));
            }
            Dialect::EthereumStratum2 => {
                self.put_set(out, job.work(), work, target);
                line(&job.stratum_2, out);
            }
            Dialect::StratumV1 | Dialect::GetWork => return,
        }
        self.sent = Some(Sent {
            work,
            epoch: job.work.epoch,
            algorithm: job.work.algorithm,
        });
    }

    /// `mining.set`: all four members at first, later what changed.
    fn put_set(&self, out: &mut Vec<u8>, job: &EthashWork, work: Work, target: U256) {
        let last = self.sent;
        let mut members = Vec::new();
        if last.is_none_or(|last| last.epoch != job.epoch) {
            members.push(format!("\"epoch\":\"{:x}\"", job.epoch));
        }
        if last.is_none_or(|last| last.work != work) {
            let mut digits = Vec::new();
            put_target(&mut digits, target);
            let digits = String::from_utf8(digits).unwrap_or_default();
            members.push(format!("\"target\":\"{digits}\""));
        }
        if last.is_none_or(|last| last.algorithm != job.algorithm) {
            members.push(format!("\"algo\":\"{}\"", job.algorithm.name()));
        }
        if last.is_none() {
            let mut digits = Vec::new();
            hex::write(&mut digits, self.prefix().unwrap_or_default().bytes());
            let digits = String::from_utf8(digits).unwrap_or_default();
            members.push(format!("\"extranonce\":\"{digits}\""));
        }
        if !members.is_empty() {
            let members = members.join(",");
            put_shown(
                out,
                format_args!("{{\"method\":\"mining.set\",\"params\":{{{members}}}}}\n"),
            );
        }
    }

    /// Answers `eth_getWork`.
    pub(crate) fn put_work(&self, out: &mut Vec<u8>, id: &Id, job: &EthashLines, work: Work) {
        let mut result = Vec::new();
        job.put_node_work(&mut result, work.target(WorkUnit::Ethash));
        self.put_result(out, id, &result);
    }
}

/// A target of 64 digits, which with `0x` are the 66 characters that every client takes.
fn put_target(out: &mut Vec<u8>, target: U256) {
    hex::write(out, &target.to_be_bytes::<32>());
}

/// NiceHash's difficulty of a share that is worth `work` hashes: w × 65,535 / 2^48, as a decimal.
///
/// A client makes the target floor(0xffff × 2^208 / d) from it, as a rule with doubles, and what it finds must meet ours,
/// floor(2^256 / w): so d is rounded up, behind a margin of one part in 2^48 that covers the rounding of a double's parse and
/// division. Its target is never easier than ours, and harder by less than one part in 2^47 (below difficulty 10^-8 by the
/// 28th digit, which is less). The margin costs a miner one share in 10^14; work is credited as assigned.
#[must_use]
pub fn ethash_difficulty(work: Work) -> String {
    let hashes = U256::from(work.units());
    let digits = if work.units() < 1 << 32 {
        SMALL_FRACTION_DIGITS
    } else {
        FRACTION_DIGITS
    };
    let scale = U256::from(10).pow(U256::from(digits));
    // Below 2^63 × 2^16 × 10^18, or 2^32 × 2^16 × 10^28: far from 2^256, with the margin's 2^48 as well.
    let numerator = hashes * U256::from(65_535) * scale;
    let with_margin = numerator + (numerator >> MARGIN_SHIFT) + U256::ONE;
    let scaled = (with_margin >> 48_usize) + U256::ONE;
    let (whole, fraction) = (scaled / scale, scaled % scale);
    let width = usize::try_from(digits).unwrap_or_default();
    let fraction = format!("{:0>width$}", fraction.to_string());
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        whole.to_string()
    } else {
        format!("{whole}.{fraction}")
    }
}
