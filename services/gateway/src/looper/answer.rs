//! Answers: what the writer gave back, released in the order of the requests.

use orebook_schema::activity::Reject;
use orebook_stratum::{Id, Speaker, StratumError};

use super::{BATCHES_MAX, Loop};
use crate::activity::{Activity, FirstShare};
use crate::batch::{Answer, Batch, Candidate, ConnId, Outcome, Refusal};
use crate::conn::Conn;
use crate::edge::{EdgeTime, ShareResult};
use crate::writer::{NO_ROOM, NOT_IN_FORCE};

impl Loop {
    /// Answers what came back from the writer.
    pub(super) fn release(&mut self) {
        let mut done = std::mem::take(&mut self.done);
        for mut batch in done.drain(..) {
            self.unanswered = self.unanswered.saturating_sub(batch.shares.len());
            self.count_outcomes(&batch);
            for reply in &batch.replies {
                self.answer(&batch, reply.conn, &reply.what);
            }
            batch.clear();
            if self.batches.len() < BATCHES_MAX {
                self.batches.push(batch);
            }
        }
        self.done = done;
    }

    fn answer(&mut self, batch: &Batch, id: ConnId, what: &Answer) {
        let slot = usize::try_from(id.slot).unwrap_or(usize::MAX);
        let share = match what {
            Answer::Share { index, .. } => {
                let index = usize::try_from(*index).unwrap_or(usize::MAX);
                batch.shares.get(index)
            }
            Answer::Lines(_) => None,
        };
        let conn = self.conns.get_mut(slot).and_then(Option::as_mut);
        let mut conn = conn.filter(|conn| conn.generation == id.generation);
        if let Some(share) = share {
            note(
                &mut self.activity,
                conn.as_mut().map(|conn| &mut ***conn),
                share,
                self.now_ms,
            );
        }
        let Some(conn) = conn else {
            return;
        };
        conn.waiting = conn.waiting.saturating_sub(1);
        if conn.is_flushed() || conn.waiting == 0 {
            self.dirty.push(id.slot);
        }
        conn.say(&mut self.spare, |speaker, out| match what {
            Answer::Lines(range) => out.extend_from_slice(batch.text(range)),
            Answer::Share { id, .. } => match share.map(|share| (share.outcome, share.stale)) {
                Some((Outcome::Recorded, false)) => speaker.accepted(out, id),
                Some((Outcome::Recorded, true)) => speaker.accepted_stale(out, id),
                Some((Outcome::Refused(refusal), _)) => refuse(speaker, out, id, refusal),
                Some((Outcome::Waiting, _)) | None => {
                    speaker.refused(out, id, StratumError::Unavailable);
                }
            },
        });
    }

    fn count_outcomes(&mut self, batch: &Batch) {
        let waited = self.now.saturating_duration_since(batch.received);
        let mut recorded = 0;
        for share in &batch.shares {
            let result = match share.outcome {
                Outcome::Recorded => {
                    recorded += 1;
                    self.counts.shares.stale += u64::from(share.stale);
                    self.edge.work(share.edge, share.work);
                    if share.stale {
                        ShareResult::Stale
                    } else {
                        ShareResult::Accepted
                    }
                }
                Outcome::Refused(Refusal::OldStream) => {
                    self.counts.shares.unknown_job += 1;
                    ShareResult::UnknownJob
                }
                Outcome::Refused(_) | Outcome::Waiting => {
                    self.counts.shares.other += 1;
                    self.counts.shares.unrecorded += 1;
                    ShareResult::Unrecorded
                }
            };
            self.edge.share(share.edge, result);
            self.edge.time(share.edge, EdgeTime::Answer, waited);
        }
        self.counts.shares.accepted += recorded;
        if !batch.shares.is_empty() {
            let count = u64::try_from(batch.shares.len()).unwrap_or(0);
            self.metrics.sessions().answer_ns.record(waited, count);
        }
    }
}

fn refuse(speaker: &Speaker, out: &mut Vec<u8>, id: &Id, refusal: Refusal) {
    let why = match refusal {
        Refusal::OldStream => return speaker.refused(out, id, StratumError::JobNotFound),
        Refusal::Fault => return speaker.refused(out, id, StratumError::Unavailable),
        Refusal::NoRoom => NO_ROOM,
        Refusal::NotInForce => NOT_IN_FORCE,
        Refusal::TooMany => "cannot record shares now: too many rigs",
    };
    speaker.refused_why(out, id, StratumError::Unavailable, why);
}

/// Tells the activity log what became of a share: the first of a worker, and each that was refused.
fn note(activity: &mut Activity, conn: Option<&mut Conn>, share: &Candidate, now_ms: u64) {
    let reason = match share.outcome {
        Outcome::Recorded => {
            return conn.map_or((), |conn| note_accepted(activity, conn, share, now_ms));
        }
        Outcome::Refused(Refusal::OldStream) => Reject::UnknownJob,
        Outcome::Refused(_) | Outcome::Waiting => Reject::Unrecorded,
    };
    let mut account = None;
    if let Some(conn) = conn {
        conn.rejected += 1;
        let mut users = conn.users.iter();
        let user = users.find(|user| user.introduced.is_some_and(|(key, _)| key == share.worker));
        account = user.map(|user| &user.account);
    }
    activity.rejected(account, reason, now_ms);
}

fn note_accepted(activity: &mut Activity, conn: &mut Conn, share: &Candidate, now_ms: u64) {
    conn.accepted += 1;
    // Zero in the steady state: nothing is looked for.
    if conn.unsaid == 0 {
        return;
    }
    let is_its = |user: &crate::conn::User| {
        !user.is_said && user.introduced.is_some_and(|(key, _)| key == share.worker)
    };
    let Some(place) = conn.users.iter().position(is_its) else {
        return;
    };
    conn.unsaid -= 1;
    let (Some(user), Some(session)) = (conn.users.get_mut(place), conn.number) else {
        return;
    };
    user.is_said = true;
    let first = FirstShare {
        session,
        user: place,
        address: conn.address,
        account: &user.account,
        worker: &user.name,
        agent: &conn.agent,
    };
    activity.opened(&first, now_ms);
}
