//! Leaving: miners are told why and where to go, all at once or in waves while the others are served on.

use std::time::Instant;

use super::Loop;
use crate::config::{Elsewhere, Limits, PortConfig};
use crate::conn::Cause;

/// Said to miners when the gateway ends.
pub(crate) const ENDS: &str = "the gateway stops";

/// Other gateways are named in turn.
#[derive(Debug, Default)]
pub(crate) struct Turns(usize);

impl Turns {
    /// Where the next miner of a port goes.
    pub(crate) fn next<'p>(
        &mut self,
        ports: &'p [PortConfig],
        port: usize,
    ) -> Option<&'p Elsewhere> {
        let elsewhere = &ports.get(port)?.elsewhere;
        let turn = self.0.checked_rem(elsewhere.len())?;
        self.0 = self.0.wrapping_add(1);
        elsewhere.get(turn)
    }
}

/// Waves of miners that leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    /// Slot that is looked at next.
    slot: usize,
    next_wave: Instant,
    wave: usize,
    ends: Instant,
}

impl Drain {
    fn new(limits: &Limits, connections: usize, now: Instant) -> Self {
        let time = limits.drain_max.saturating_sub(limits.drain_grace);
        let interval_ms = limits.drain_interval.as_millis().max(1);
        let waves = usize::try_from(time.as_millis() / interval_ms).unwrap_or(usize::MAX);
        Self {
            slot: 0,
            next_wave: now,
            wave: limits.drain_wave.max(connections.div_ceil(waves.max(1))),
            ends: now + limits.drain_max,
        }
    }
}

impl Loop {
    /// Nobody comes in any more. Who is inside goes in waves if there is somewhere to go, else at once.
    pub(super) fn begin_to_end(&mut self) {
        let limits = &self.config.limits;
        self.ends = self.now.checked_add(limits.drain_max);
        let anywhere = self
            .config
            .ports
            .iter()
            .any(|port| !port.elsewhere.is_empty());
        let count = self.conns.iter().flatten().count();
        if anywhere && 0 < limits.drain_wave && 0 < count && self.shut.is_none() {
            self.drain = Some(Drain::new(limits, count, self.now));
            tracing::info!(count, "miners are sent elsewhere, then the gateway ends");
        } else {
            self.end_all();
        }
    }

    fn end_all(&mut self) {
        self.drain = None;
        self.stopping = Some(self.now);
        self.shut = Some(ENDS.to_owned());
        self.send_all_away(Cause::Stopping);
    }

    /// The next wave, if it is time for it.
    pub(super) fn drain_on(&mut self) {
        let Some(mut drain) = self.drain.take() else {
            return;
        };
        if drain.ends <= self.now || self.conns.iter().all(Option::is_none) {
            return self.end_all();
        }
        if drain.next_wave <= self.now {
            drain.next_wave = self.now + self.config.limits.drain_interval;
            let mut sent = 0;
            while drain.slot < self.conns.len() && sent < drain.wave {
                sent += usize::from(self.send_elsewhere(drain.slot));
                drain.slot += 1;
            }
        }
        self.drain = Some(drain);
    }

    /// Sends one elsewhere, or away if there is nowhere to go. Whether somebody was there.
    fn send_elsewhere(&mut self, slot: usize) -> bool {
        let Some(Some(conn)) = self.conns.get_mut(slot) else {
            return false;
        };
        if conn.closing.is_some() {
            return false;
        }
        let elsewhere = self.elsewhere.next(&self.config.ports, conn.port);
        let has_subscribed = conn.session.extranonce1().is_some();
        match elsewhere.filter(|_| has_subscribed) {
            Some(elsewhere) => {
                conn.show(ENDS, &mut self.spare);
                if conn.reconnect(elsewhere.shown(), &mut self.spare) {
                    conn.told = Some(self.now);
                } else {
                    // It finds its way by itself.
                    conn.closing = Some(Cause::Drained);
                }
                self.counts.sent_elsewhere += 1;
            }
            None => {
                if has_subscribed {
                    conn.show(ENDS, &mut self.spare);
                }
                conn.closing = Some(Cause::Stopping);
            }
        }
        self.dirty.push(u32::try_from(slot).unwrap_or(u32::MAX));
        true
    }

    /// Tells everybody why, and closes once everything is answered.
    pub(super) fn send_all_away(&mut self, cause: Cause) {
        let why = self.shut.clone().unwrap_or_default();
        for slot in 0..self.conns.len() {
            let Some(Some(conn)) = self.conns.get_mut(slot) else {
                continue;
            };
            if conn.closing.is_some() {
                continue;
            }
            if conn.session.extranonce1().is_some() && conn.told.is_none() {
                let elsewhere = self.elsewhere.next(&self.config.ports, conn.port);
                conn.show(&why, &mut self.spare);
                if let Some(elsewhere) = elsewhere {
                    conn.reconnect(elsewhere.shown(), &mut self.spare);
                }
            }
            conn.closing = Some(cause);
            self.dirty.push(u32::try_from(slot).unwrap_or(u32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wave_is_as_large_as_configured_or_as_the_time_needs() {
        let limits = |wave, interval_ms, grace, max| Limits {
            drain_wave: wave,
            drain_interval: Duration::from_millis(interval_ms),
            drain_grace: Duration::from_secs(grace),
            drain_max: Duration::from_secs(max),
            ..Limits::default()
        };
        for (limits, count, wave) in [
            (limits(10, 1_000, 10, 30), 100, 10),
            (limits(10, 1_000, 10, 30), 200, 10),
            (limits(10, 1_000, 10, 30), 201, 11),
            (limits(10, 500, 10, 30), 16_000, 400),
            (limits(1, 1_000, 30, 10), 777, 777),
            (limits(1, 60_000, 10, 30), 777, 777),
        ] {
            let drain = Drain::new(&limits, count, Instant::now());
            assert_eq!(drain.wave, wave, "{count} of {limits:?}");
        }
    }
}
