//! Counting by port, dialect and program ([`crate::edge`]) where the loop knows of it.

use std::time::Instant;

use orebook_stratum::Dialect;

use super::Loop;
use crate::agents::AgentFamily;
use crate::batch::JobKey;
use crate::conn::{Conn, Trip};
use crate::edge::{Edge, EdgePlace, EdgeTime};
use crate::judge::Claimed;

impl Loop {
    /// A connection is counted with its dialect and program from now on, where it said them.
    pub(crate) fn place(&self, conn: &mut Conn) {
        let agent = AgentFamily::of(&conn.agent);
        let place = EdgePlace::new(conn.port, conn.session.dialect(), agent);
        if place != conn.edge {
            self.edge
                .go(conn.edge, conn.is_counted_miner, conn.expected);
            conn.edge = place;
            self.edge.come(place, conn.is_counted_miner, conn.expected);
        }
    }

    /// It may be given work from now on.
    pub(crate) fn count_miner(&mut self, conn: &mut Conn) {
        self.counts.miners += 1;
        if !conn.is_counted_miner {
            conn.is_counted_miner = true;
            self.edge.mines(conn.edge);
        }
    }

    /// A client said something, and was answered or not.
    pub(crate) fn note_trip(&self, conn: &mut Conn, is_answered: bool) {
        conn.trip = match conn.trip {
            Trip::Due if conn.session.dialect() == Some(Dialect::GetWork) => Trip::Over,
            Trip::Due if is_answered => Trip::Begun(self.now),
            // It said this before it could have read our answer.
            Trip::Begun(at) if at == self.now => Trip::Over,
            Trip::Begun(at) => {
                let took = self.now.saturating_duration_since(at);
                self.edge.time(conn.edge, EdgeTime::RoundTrip, took);
                Trip::Over
            }
            trip => trip,
        };
    }

    /// A share of a job came.
    pub(crate) fn note_claim(&self, conn: &Conn, job: JobKey) {
        if let Some(job) = self.jobs.get(job) {
            let age = self.now.saturating_duration_since(job.made);
            self.edge.time(conn.edge, EdgeTime::JobAtShare, age);
        }
    }

    /// It is answered now, and was judged before.
    pub(crate) fn note_verdict(&self, conn: &Conn, claimed: &Claimed) {
        if let Some(judged) = claimed.judged {
            let took = judged.saturating_duration_since(claimed.read);
            self.edge.time(conn.edge, EdgeTime::Validation, took);
        }
    }
}

/// A job that was made then was handed out, and shares are expected from now on at the difficulty that it went with.
pub(crate) fn note_handed_out(edge: &Edge, conn: &mut Conn, made: Instant, now: Instant) {
    let age = now.saturating_duration_since(made);
    edge.time(conn.edge, EdgeTime::JobHandedOut, age);
    let expected = conn.sent.map_or(0, |sent| conn.vardiff.expected(sent.work));
    if expected != conn.expected {
        edge.expect(conn.edge, conn.expected, expected);
        conn.expected = expected;
    }
}
