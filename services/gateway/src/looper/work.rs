//! Work: jobs from templates, to everybody in slices; what time brings.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orebook_chain::Template;
use orebook_schema::names::{Account, Pot};

use super::{Loop, NodeWork, note_handed_out};
use crate::bridge::Standing;
use crate::config::CLOCK_APART_S_MAX;
use crate::conn::Cause;
use crate::jobs::Wanted;

/// Said to miners while an epoch's cache is made.
const NO_CACHE: &str = "the epoch's cache is being made: come again in some seconds";
/// Notifications of one turn, half a millisecond or so: between them shares are served, and one waits for two turns at most.
const SENDS_PER_TURN: usize = 64;
/// Looks in which every connection was looked at once.
const LOOKS: usize = 10;
/// A job younger than this is not replaced for the sake of a new difficulty.
const RETARGET_JOB: Duration = Duration::from_secs(3);
/// An hour: names are counted within it.
const HOUR: Duration = Duration::from_secs(3_600);

/// A job on its way to everybody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broadcast {
    /// Slot that is next, how many are left, and how many there were.
    next: usize,
    left: usize,
    count: usize,
    /// Before its first write.
    began: Option<Instant>,
}

impl Loop {
    /// A clock far from the chain's would give the ledger wrong times.
    pub(super) fn compare_clocks(&self, template: &Template) {
        let now_s = u32::try_from(self.now_ms / 1_000).unwrap_or(u32::MAX);
        let apart_s = now_s.abs_diff(template.time);
        let doubted = CLOCK_APART_S_MAX < apart_s;
        if self.bridge.doubt_clock(doubted) && doubted {
            tracing::error!(
                apart_s,
                "this clock and the node's are far apart: frames stay in the spool; see docs/runbooks/clock-wrong.md"
            );
        }
    }

    pub(super) fn take_standing(&mut self, standing: Standing) {
        let tagged = |standing: &Standing| standing.terms.as_ref().map(|terms| terms.tagged);
        if tagged(&self.standing) != tagged(&standing) && self.caches.is_none() {
            // The coinbase of the jobs so far names another stream. A header that a node made names none.
            self.jobs.clear();
        }
        let banned = !Arc::ptr_eq(&self.standing.bans, &standing.bans);
        self.standing = standing;
        if banned {
            self.end_banned();
        }
    }

    /// Why an operator keeps this account or address out now; for the miner to read.
    pub(crate) fn banned(&self, account: &Account, from: IpAddr) -> Option<String> {
        let bans = &self.standing.bans;
        bans.refusal(account, from, self.now_ms)
    }

    /// Ends every session of an account, or from an address, that was banned meanwhile, and tells why. What it sent before is
    /// answered and counts.
    fn end_banned(&mut self) {
        let (bans, now_ms) = (Arc::clone(&self.standing.bans), self.now_ms);
        for (slot, conn) in (0u32..).zip(&mut self.conns) {
            let Some(conn) = conn.as_mut().filter(|conn| conn.closing.is_none()) else {
                continue;
            };
            let from = conn.address;
            let mut users = conn.users.iter();
            let why = users.find_map(|user| bans.refusal(&user.account, from, now_ms));
            if let Some(why) = why {
                conn.show(&why, &mut self.spare);
                conn.closing = Some(Cause::Banned);
                self.dirty.push(slot);
            }
        }
    }

    /// New work goes out if there is some and its shares can be recorded; else everybody is told and sent away.
    pub(super) fn open_or_shut(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        self.lacks_cache = !self.has_cache();
        let cache = self.lacks_cache.then_some(NO_CACHE);
        let why = self.no_work.as_deref().or(self.standing.closed).or(cache);
        if let Some(why) = why {
            if self.shut.as_deref() != Some(why) {
                tracing::warn!(why, "miners are sent away");
                self.shut = Some(why.to_owned());
                self.send_all_away(Cause::NoWork);
            }
            return;
        }
        if self.shut.take().is_some() {
            tracing::info!("miners are served");
        }
        if self.make_job() {
            self.begin_broadcast();
        }
    }

    /// Whether shares of the work can be checked: of ethash once the epoch's cache is made.
    pub(super) fn has_cache(&self) -> bool {
        let (Some(caches), Some((NodeWork::Given(work), _))) = (&self.caches, &self.work) else {
            return true;
        };
        let epoch = caches.follow(work.height);
        epoch.is_some_and(|epoch| caches.get(epoch).is_some())
    }

    /// Makes a job of the newest work. Whether miners are to have another one now.
    fn make_job(&mut self) -> bool {
        let (Some((work, since)), Some(terms)) = (&self.work, &self.standing.terms) else {
            return false;
        };
        let made = match work {
            NodeWork::Template(template, paying) => {
                // A list follows one policy; jobs of another pay the pool alone until there is one of theirs.
                let paying = paying.as_deref();
                let paying = paying.filter(|paying| paying.policy == terms.at);
                let wanted = Wanted {
                    template,
                    paying,
                    since: *since,
                    terms,
                    now: self.now,
                };
                match self.jobs.make(&wanted) {
                    Ok(job) => {
                        self.counts.direct_jobs += u64::from(paying.is_some());
                        Some(job)
                    }
                    Err(error) => {
                        tracing::error!(%error, "no job can be made of the node's template");
                        return false;
                    }
                }
            }
            NodeWork::Given(work) => {
                let caches = self.caches.as_ref();
                let Some(epoch) = caches.and_then(|caches| caches.follow(work.height)) else {
                    return false;
                };
                match self.jobs.give(work, epoch, terms, self.now) {
                    Some(made) => made,
                    None => return false,
                }
            }
        };
        if let Some(job) = made {
            self.batch.new_jobs.push(job);
        }
        self.counts.jobs += 1;
        true
    }

    fn begin_broadcast(&mut self) {
        let count = self.conns.len();
        // The same miners are not always the last.
        let next = self.broadcast.map_or_else(
            || {
                usize::try_from(self.counts.jobs)
                    .unwrap_or(0)
                    .wrapping_mul(SENDS_PER_TURN)
            },
            |broadcast| broadcast.next,
        );
        self.last_broadcast = self.now;
        self.broadcast = Some(Broadcast {
            next: next.checked_rem(count).unwrap_or(0),
            left: count,
            count,
            began: None,
        });
    }

    pub(super) fn broadcast_slice(&mut self) {
        let Some(mut broadcast) = self.broadcast.take() else {
            return;
        };
        let began = *broadcast.began.get_or_insert_with(Instant::now);
        let mut sends = 0;
        while 0 < broadcast.left && sends < SENDS_PER_TURN {
            let slot = broadcast.next;
            broadcast.left -= 1;
            broadcast.next = if slot + 1 < broadcast.count {
                slot + 1
            } else {
                0
            };
            sends += usize::from(self.send_newest(slot));
        }
        if broadcast.left == 0 {
            self.broadcast_began = Some(began);
        } else {
            self.broadcast = Some(broadcast);
        }
    }

    /// Everything of this turn was written: if that ended a job's way to everybody, says how long it took.
    pub(super) fn note_broadcast(&mut self) {
        if let Some(began) = self.broadcast_began.take() {
            let took = began.elapsed();
            self.metrics.sessions().broadcast_ns.record(took, 1);
        }
    }

    /// Sends the newest job to a connection, if it is one of a miner that lacks it.
    fn send_newest(&mut self, slot: usize) -> bool {
        let oldest = self.jobs.oldest();
        let (Some(job), Some(Some(conn))) = (self.jobs.newest(), self.conns.get_mut(slot)) else {
            return false;
        };
        let sent = conn.send_job(job, oldest, self.unit, &mut self.spare);
        if sent {
            note_handed_out(&self.edge, conn, job.made, self.now);
            self.dirty.push(u32::try_from(slot).unwrap_or(u32::MAX));
        }
        sent
    }

    /// Sends the newest job once more to a miner who has it, at another difficulty.
    fn send_again(&mut self, slot: usize) {
        let (Some(job), Some(Some(conn))) = (self.jobs.newest(), self.conns.get_mut(slot)) else {
            return;
        };
        if conn.send_again(job, self.unit, self.now, &mut self.spare) {
            self.dirty.push(u32::try_from(slot).unwrap_or(u32::MAX));
        }
    }

    /// Whether the policy that jobs follow has a pot.
    pub(crate) fn has_pot(&self, pot: Pot) -> bool {
        let terms = self.standing.terms.as_ref();
        terms.is_some_and(|terms| terms.policy.pot(pot).is_some())
    }

    /// Time passed: deadlines, difficulties, jobs.
    pub(super) fn look_around(&mut self) {
        self.drain_on();
        self.sessions.forget_old(self.now);
        self.jobs.end_grace(self.now);
        self.names
            .retain(|_, names| self.now.saturating_duration_since(names.since) < HOUR);
        let newest = self.jobs.newest();
        let full = newest.is_some_and(|job| self.config.limits.seen_per_job <= job.seen.len());
        let silent = self.now.saturating_duration_since(self.last_broadcast);
        let young =
            newest.is_none_or(|job| self.now.saturating_duration_since(job.made) < RETARGET_JOB);
        if self.shut.is_none()
            && self.broadcast.is_none()
            && (full || self.config.limits.renotify <= silent)
            && self.make_job()
        {
            self.begin_broadcast();
        }
        let mut wanting = Vec::new();
        for slot in (self.look..self.conns.len()).step_by(LOOKS) {
            if let Some(cause) = self.look_at(slot) {
                self.close(u32::try_from(slot).unwrap_or(u32::MAX), cause);
            }
        }
        self.look = (self.look + 1) % LOOKS;
        if !young && self.shut.is_none() {
            for (slot, conn) in self.conns.iter().enumerate() {
                if conn.as_ref().is_some_and(|conn| conn.wants_job) {
                    wanting.push(slot);
                }
            }
            // One job serves all whose difficulty moved; the others keep theirs.
            if !wanting.is_empty() && self.make_job() {
                wanting.into_iter().for_each(|slot| {
                    self.send_newest(slot);
                });
            } else if self.caches.is_some() {
                // The header is the node's: there is no further job of it.
                wanting.into_iter().for_each(|slot| self.send_again(slot));
            }
        }
    }

    fn look_at(&mut self, slot: usize) -> Option<Cause> {
        let Some(Some(conn)) = self.conns.get_mut(slot) else {
            return None;
        };
        let over =
            |since: Instant, time: Duration| time <= self.now.saturating_duration_since(since);
        let limits = &self.config.limits;
        if conn
            .blocked
            .is_some_and(|since| over(since, limits.write_timeout))
        {
            return Some(Cause::SlowReader);
        }
        if conn.closing == Some(Cause::Resumed) && conn.unsaid_replies() == 0 {
            // Nobody reads there any more.
            return Some(Cause::Resumed);
        }
        if conn
            .told
            .is_some_and(|since| over(since, limits.drain_grace))
        {
            // What it asked is answered first.
            conn.closing.get_or_insert(Cause::Drained);
            self.dirty.push(u32::try_from(slot).unwrap_or(u32::MAX));
        }
        let is_shaking = !conn.is_secure() && self.certificates.is_tls(conn.port);
        if is_shaking && over(conn.since, limits.handshake_timeout) {
            return Some(Cause::Handshake);
        }
        if conn.users.is_empty() && over(conn.since, limits.login_timeout) {
            return Some(Cause::LoginTimeout);
        }
        if conn.is_miner() && self.shut.is_none() {
            let due = conn.difficulty();
            if conn.silence.is_over(due, limits, self.now) {
                return Some(Cause::Idle);
            }
        }
        if conn.is_miner() && conn.vardiff.look(self.now_ms) {
            conn.wants_job = true;
        }
        None
    }
}
