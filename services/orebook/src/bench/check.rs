//! After a run: the ledger is verified as an auditor does, and holds each share that was answered `true` exactly once.

use std::collections::BTreeMap;
use std::path::Path;

use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::{Record, SegmentStore, verify_files};
use orebook_pow::{Claim, PreparedJob, Proof};
use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{U256, WorkUnit, unhex};
use orebook_schema::work::{Extranonce, Share, Worker};
use orebook_schema::{Event, StreamId};

use super::ground::{LEDGER, failed};
use super::load::{SessionSent, nonce};
use crate::Failure;

/// What was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    /// Shares that were answered `true`, each found once.
    pub(super) shares: u64,
    /// Rigs that it names.
    pub(super) workers: usize,
    /// Positions of the ledger.
    pub(super) positions: u64,
    /// Bytes of its segments, room made ahead too.
    pub(super) bytes: u64,
    /// Bytes of its final frames.
    pub(super) frame_bytes: u64,
}

/// What a stream announced in an epoch.
#[derive(Default)]
struct Announced {
    workers: BTreeMap<u32, Worker>,
    jobs: BTreeMap<u32, PreparedJob>,
}

/// How often each share of a session is in the ledger.
struct Session<'s> {
    sent: &'s SessionSent,
    times: Vec<u8>,
}

type Sessions<'s> = BTreeMap<Extranonce, Session<'s>>;

/// Checks the ledger in `folder` below `dir` against what was answered.
pub(super) fn each_once(
    dir: &Path,
    folder: &str,
    sent: &[SessionSent],
) -> Result<Checked, Failure> {
    let mut sessions = sessions_of(sent)?;
    let walked = walk(dir, folder, |events, mine| {
        take(events, mine, &mut sessions)
    })?;
    let shares = sessions
        .values()
        .try_fold(0, |sum, session| session.judge().map(|shares| sum + shares))?;
    Ok(Checked { shares, ..walked })
}

/// The same of ethash: whether each of these nonces was answered `true`. Their work was checked when they were made.
pub(super) fn each_nonce_once(
    dir: &Path,
    folder: &str,
    answered: &BTreeMap<u64, bool>,
) -> Result<Checked, Failure> {
    let mut times: BTreeMap<u64, u32> = BTreeMap::new();
    let walked = walk(dir, folder, |events, mine| {
        for event in events {
            match event {
                Event::Worker(worker) => {
                    let worker = worker.as_ref().clone();
                    mine.workers.insert(worker.number, worker);
                }
                Event::EthashShare(share) => *times.entry(share.nonce).or_default() += 1,
                Event::Moved(_) => return Err("a moved share".to_owned()),
                _ => {}
            }
        }
        Ok(())
    })?;
    for (nonce, is_accepted) in answered {
        let found = times.remove(nonce).unwrap_or(0);
        let wanted = u32::from(*is_accepted);
        if found != wanted {
            let message = format!("nonce {nonce} is {found} times in the ledger, not {wanted}");
            return Err(Failure::new(message).found());
        }
    }
    if let Some((nonce, _)) = times.first_key_value() {
        return Err(failed("a share that nobody sent", nonce).found());
    }
    let accepted = answered.values().filter(|is_accepted| **is_accepted);
    let shares = u64::try_from(accepted.count()).unwrap_or(u64::MAX);
    Ok(Checked { shares, ..walked })
}

/// Verifies a ledger as an auditor does, and shows the events of each final frame with what its stream announced.
fn walk(
    dir: &Path,
    folder: &str,
    mut look: impl FnMut(&[Event], &mut Announced) -> Result<(), String>,
) -> Result<Checked, Failure> {
    let disk = RealDisk::new(dir.to_path_buf());
    let segments = format!("{folder}/segments");
    let verified = verify_files(&disk, &segments, Some(LEDGER), &mut |_| {})
        .map_err(|fault| failed("the ledger", fault).found())?;
    let opened = SegmentStore::open_read_only(disk, &segments, LEDGER, 0);
    let (store, _) = opened.map_err(|error| failed("the ledger", error).found())?;
    let mut announced: BTreeMap<(StreamId, u32), Announced> = BTreeMap::new();
    let mut frame_bytes = 0;
    for record in store.records(0) {
        let record = record.map_err(|error| failed("the ledger", error).found())?;
        let Record::Frame(stored) = record else {
            return Err(Failure::new("a stream of the bench was closed").found());
        };
        // What is not final may still go away.
        if verified.final_size <= stored.position {
            break;
        }
        frame_bytes += u64::try_from(stored.frame.bytes().len()).unwrap_or(u64::MAX);
        let header = stored.frame.header();
        let mine = announced.entry((header.stream, header.epoch)).or_default();
        let events = stored.frame.decode();
        let events = events.map_err(|error| failed("the ledger", error).found())?;
        look(&events, mine)
            .map_err(|what| failed(&format!("position {}", stored.position), what).found())?;
    }
    let workers = announced.values().map(|mine| mine.workers.len()).sum();
    Ok(Checked {
        shares: 0,
        workers,
        positions: verified.positions,
        bytes: verified.bytes,
        frame_bytes,
    })
}

fn sessions_of(sent: &[SessionSent]) -> Result<Sessions<'_>, Failure> {
    let mut sessions = Sessions::new();
    for one in sent {
        let extranonce1 = unhex(&one.extranonce1).and_then(|bytes| Extranonce::new(&bytes));
        let extranonce1 =
            extranonce1.ok_or_else(|| failed("extranonce1", one.extranonce1.clone()))?;
        let times = vec![0; usize::try_from(one.sent).unwrap_or(usize::MAX)];
        let session = Session { sent: one, times };
        if sessions.insert(extranonce1, session).is_some() {
            return Err(failed("two sessions have extranonce1", &one.extranonce1).found());
        }
    }
    Ok(sessions)
}

fn take(
    events: &[Event],
    announced: &mut Announced,
    sessions: &mut Sessions<'_>,
) -> Result<(), String> {
    // Shares of one job that follow each other are proven together.
    let mut run: Vec<(Share, Claim)> = Vec::new();
    let mut proofs = Vec::new();
    for event in events {
        match event {
            Event::Worker(worker) => {
                announced
                    .workers
                    .insert(worker.number, worker.as_ref().clone());
            }
            Event::Job(job) => {
                let prepared = PreparedJob::new(job, Algorithm::Sha256d);
                let prepared = prepared.ok_or_else(|| format!("job {}", job.number))?;
                announced.jobs.insert(job.number, prepared);
            }
            Event::Share(share) => {
                if run.first().is_some_and(|(first, _)| first.job != share.job) {
                    prove(&announced.jobs, &mut run, &mut proofs)?;
                }
                let worker = announced.workers.get(&share.worker);
                let worker = worker.ok_or_else(|| format!("worker {}", share.worker))?;
                run.push((*share, count(share, worker, sessions)?));
            }
            Event::Moved(_) => return Err("a moved share".to_owned()),
            _ => {}
        }
    }
    prove(&announced.jobs, &mut run, &mut proofs)
}

/// Counts a share for its session.
fn count(share: &Share, worker: &Worker, sessions: &mut Sessions<'_>) -> Result<Claim, String> {
    let number: Option<[u8; 4]> = share.extranonce2.bytes().try_into().ok();
    let number = number.map(u32::from_be_bytes);
    let session = sessions.get_mut(&worker.extranonce1);
    let times = session.zip(number).and_then(|(session, number)| {
        let at = usize::try_from(number).ok()?;
        session.times.get_mut(at)
    });
    let (Some(times), Some(number)) = (times, number) else {
        return Err(format!("a share that nobody sent: {share:?}"));
    };
    if share.nonce != nonce(number) {
        return Err(format!("a share with another nonce: {share:?}"));
    }
    *times = times.saturating_add(1);
    Ok(Claim {
        extranonce1: worker.extranonce1,
        extranonce2: share.extranonce2,
        ntime: share.ntime,
        nonce: share.nonce,
        version: share.version,
    })
}

/// Hashes the shares again and compares with what they say they are worth.
fn prove(
    jobs: &BTreeMap<u32, PreparedJob>,
    run: &mut Vec<(Share, Claim)>,
    proofs: &mut Vec<Proof>,
) -> Result<(), String> {
    let Some((first, _)) = run.first() else {
        return Ok(());
    };
    let job = jobs
        .get(&first.job)
        .ok_or_else(|| format!("job {}", first.job))?;
    let claims: Vec<Claim> = run.iter().map(|(_, claim)| *claim).collect();
    proofs.clear();
    job.prove_batch(&claims, proofs);
    let target = |share: &Share| -> U256 { share.work.target(WorkUnit::Sha256d) };
    let wrong = run
        .iter()
        .zip(proofs.iter())
        .find(|((share, _), proof)| target(share) < proof.value());
    if proofs.len() != run.len() || wrong.is_some() {
        return Err(format!("a share without its work: {wrong:?}"));
    }
    run.clear();
    Ok(())
}

impl Session<'_> {
    /// Shares that were answered `true`, if each is there once and nothing else is.
    fn judge(&self) -> Result<u64, Failure> {
        let mut refused = self.sent.refused.iter().peekable();
        let mut shares = 0;
        for (number, times) in (0..).zip(&self.times) {
            let is_refused = refused.next_if(|refused| **refused == number).is_some();
            let wanted = u8::from(!is_refused);
            if *times != wanted {
                return Err(Failure::new(format!(
                    "share {number} of session {} is {times} times in the ledger, not {wanted}",
                    self.sent.extranonce1
                ))
                .found());
            }
            shares += u64::from(wanted);
        }
        Ok(shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_a_doubled_and_an_unanswered_share_are_found() {
        let sent = SessionSent {
            extranonce1: "00000001".to_owned(),
            sent: 4,
            refused: vec![2],
        };
        for (times, right) in [
            ([1, 1, 0, 1], true),
            ([1, 1, 1, 1], false),
            ([1, 0, 0, 1], false),
            ([1, 2, 0, 1], false),
        ] {
            let session = Session {
                sent: &sent,
                times: times.to_vec(),
            };
            assert_eq!(session.judge().is_ok(), right, "{times:?}");
        }
    }
}
