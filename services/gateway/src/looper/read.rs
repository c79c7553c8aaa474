//! Who is read, and in which order: who had a good share before who had none yet, so that a flood of newcomers is not before
//! anybody's share. Who ended waits with the newcomers: a farm that loses its power is ten thousand ends at once.

use std::collections::VecDeque;

use super::Loop;
use crate::batch::ConnId;
use crate::conn::{Cause, Conn};
use crate::tls::HANDSHAKES_PER_TURN;

/// Connections with a good share that are read in one turn at most; the others come in the next one.
const READS_PER_TURN: usize = 1_024;
/// Newcomers, and connections that ended, that are read in one turn at most: half a millisecond or so, which a share waits for
/// twice at most, before it is read and before it is answered.
pub(super) const NEWCOMERS_PER_TURN: usize = 64;
/// The part of what may be unanswered that is left to newcomers, however much the others send.
const OF_NEWCOMERS: usize = 16;

/// Connections with bytes to be read, each line in its order.
#[derive(Debug, Default)]
pub(super) struct Ready {
    proved: VecDeque<u32>,
    newcomers: VecDeque<u32>,
}

impl Ready {
    pub(super) fn push(&mut self, slot: u32, conn: &Conn) {
        if conn.is_proved && !conn.is_ending {
            self.proved.push_back(slot);
        } else {
            self.newcomers.push_back(slot);
        }
    }
}

impl Loop {
    /// Whether somebody has bytes to be read, and what he says may be answered.
    pub(super) fn has_readable(&self) -> bool {
        let unanswered = self.config.limits.unanswered;
        let proved = !self.ready.proved.is_empty() && self.has_room(of_proved(unanswered));
        let others = !self.ready.newcomers.is_empty() || !self.shaking.is_empty();
        proved || others && self.has_room(unanswered)
    }

    /// Whether somebody comes, or waits who had no good share yet.
    pub(super) fn has_newcomers(&self) -> bool {
        !self.ready.newcomers.is_empty()
            || !self.shaking.is_empty()
            || self.doors.any_ready(self.now)
    }

    fn has_room(&self, most: usize) -> bool {
        self.unanswered + self.awaited.held + self.claims.len() < most
    }

    /// Reads those who had a good share, each once.
    pub(super) fn read_proved(&mut self) {
        let most = of_proved(self.config.limits.unanswered);
        for _ in 0..self.ready.proved.len().min(READS_PER_TURN) {
            if !self.has_room(most) {
                return;
            }
            if let Some(slot) = self.ready.proved.pop_front() {
                self.read_slot(slot);
            }
        }
    }

    /// Reads a few of the others, each once.
    pub(super) fn read_newcomers(&mut self) {
        let most = self.config.limits.unanswered;
        self.shakes_left = 0;
        for _ in 0..self.ready.newcomers.len().min(NEWCOMERS_PER_TURN) {
            if !self.has_room(most) {
                return;
            }
            if let Some(slot) = self.ready.newcomers.pop_front() {
                self.read_slot(slot);
            }
        }
        // A few handshakes, in their order; the others wait without being looked at, however many there are.
        self.shakes_left = HANDSHAKES_PER_TURN;
        for _ in 0..HANDSHAKES_PER_TURN {
            if let Some(slot) = self.shaking.pop_front() {
                self.read_slot(slot);
            }
        }
    }

    fn read_slot(&mut self, slot: u32) {
        let place = usize::try_from(slot).unwrap_or(usize::MAX);
        let Some(mut conn) = self.conns.get_mut(place).and_then(Option::take) else {
            return;
        };
        conn.is_ready = false;
        let id = ConnId {
            slot,
            generation: conn.generation,
        };
        let held = conn.unsaid_replies();
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = if conn.closing.is_some() {
            // What it says now is not heard, but a lost connection is noticed.
            conn.read(&mut buffer).map_or(Err(Cause::Left), |_| Ok(()))
        } else if !conn.is_flushed() || self.config.limits.unanswered_per_connection <= held {
            // It is read on when it has taken its answers.
            (conn.is_ready, conn.is_parked) = (true, true);
            Ok(())
        } else if self.may_shake(&conn) {
            let read = self.read_conn(&mut conn, id, &mut buffer);
            self.note_handshake(&mut conn, id);
            read
        } else {
            conn.is_ready = true;
            self.shaking.push_back(slot);
            Ok(())
        };
        self.buffer = buffer;
        if let Err(cause) = result {
            // What it sent in this turn is judged before it goes.
            conn.closing = Some(cause);
            self.soil(slot);
        }
        if let Some(place) = self.conns.get_mut(place) {
            *place = Some(conn);
        }
    }

    /// A connection has more bytes to be read.
    pub(crate) fn read_again(&mut self, slot: u32, conn: &Conn) {
        self.ready.push(slot, conn);
    }
}

/// What may be unanswered when one is read who had a good share.
fn of_proved(unanswered: usize) -> usize {
    (unanswered - unanswered / OF_NEWCOMERS).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_had_a_good_share_leaves_room_for_answers_to_newcomers() {
        for (unanswered, proved) in [(1, 1), (3, 3), (16, 15), (65_536, 61_440)] {
            assert_eq!(of_proved(unanswered), proved, "{unanswered}");
        }
    }
}
