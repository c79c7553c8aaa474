//! What the loop does about who misbehaves: the narrowest measure first (`limits`), told in words, reported as counts.

use std::net::IpAddr;
use std::time::Instant;

use orebook_stratum::UserNumber;

use crate::conn::{Cause, Conn};
use crate::limits::{Offence, seconds};
use crate::looper::Loop;

/// Good shares of a connection after which its address is credited with them.
const EARNED_AT_ONCE: u32 = 16;

impl Loop {
    /// Something happened that an address is kept out for if it happens too often.
    pub(crate) fn offend(&mut self, address: IpAddr, offence: Offence) {
        let Some(place) = self.doors.offend(address, offence, self.now) else {
            return;
        };
        self.counts.bans += 1;
        self.activity.banned(place.address(), self.now_ms);
        self.firewall.ban(place, seconds(self.config.limits.ban));
    }

    /// A connection ends: whether that counts against its address.
    pub(crate) fn note_ending(&mut self, conn: &Conn, cause: Cause) {
        if !conn.is_counted {
            return;
        }
        self.doors.earn(conn.address, conn.earned);
        if matches!(
            cause,
            Cause::Protocol
                | Cause::Proxy
                | Cause::TlsOnPlain
                | Cause::PlainOnTls
                | Cause::Tls
                | Cause::Handshake
        ) {
            self.offend(conn.address, Offence::Malformed);
        }
    }

    /// Why a login is kept out of its address, for the miner to read.
    pub(crate) fn kept_out(&self, conn: &Conn, user: &str) -> Option<String> {
        let left = self.logins.left(conn.address, user, self.now)?;
        Some(format!(
            "too many shares of this worker were refused: it is kept out for {} s",
            seconds(left)
        ))
    }

    /// A share was proved.
    pub(crate) fn note_good(&mut self, conn: &mut Conn, user: UserNumber) {
        if !conn.is_proved {
            conn.is_proved = true;
            self.doors.prove(conn.address);
        }
        conn.earned += 1;
        if EARNED_AT_ONCE <= conn.earned {
            self.doors.earn(conn.address, conn.earned);
            conn.earned = 0;
        }
        self.judge_user(conn, user, true);
    }

    /// A share was refused as one that its miner should not have sent.
    pub(crate) fn note_bad(&mut self, conn: &mut Conn, user: UserNumber) {
        self.judge_user(conn, user, false);
    }

    fn judge_user(&mut self, conn: &mut Conn, number: UserNumber, is_good: bool) {
        let limits = self.config.limits;
        let Some(user) = conn.users.get_mut(usize::from(number.0)) else {
            return;
        };
        let Some(bad) = user.window.note(is_good, &limits) else {
            return;
        };
        let until = self.now.checked_add(limits.ban);
        user.barred = until;
        let (text, of, ban) = (user.text.clone(), limits.invalid_of, seconds(limits.ban));
        // The text is a miner's own; the message writer escapes it.
        let why = format!("{bad} of {of} shares of {text} were refused");
        let others = self.has_good_session_of(conn, &text);
        let why = if others {
            why
        } else {
            format!("{why}: it is kept out for {ban} s")
        };
        conn.show(&why, &mut self.spare);
        if conn.users.len() == 1 {
            conn.closing = Some(Cause::BadShares);
        }
        if let (false, Some(until)) = (others, until) {
            self.logins.ban(conn.address, &text, until, self.now);
            self.counts.bans += 1;
            self.offend(conn.address, Offence::BadLogin);
        }
    }

    /// Whether another connection of this login, from the same address, had good shares: it may be one of many rigs with one
    /// name. Asked once in [`crate::Limits::invalid_of`] shares at most. The connection in hand is not among the others.
    fn has_good_session_of(&self, conn: &Conn, text: &str) -> bool {
        self.conns.iter().flatten().any(|other| {
            other.address == conn.address
                && other.closing.is_none()
                && other.is_proved
                && other.users.iter().any(|user| &*user.text == text)
        })
    }
}

impl Conn {
    /// Whether the shares of a user are refused now.
    pub(crate) fn is_barred(&self, user: UserNumber, now: Instant) -> bool {
        let user = self.users.get(usize::from(user.0));
        user.and_then(|user| user.barred)
            .is_some_and(|until| now < until)
    }
}
