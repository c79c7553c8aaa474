//! Connections that ended while claims of theirs were checked. What was taken is judged and recorded for whom it is, though
//! nobody is answered: it was earned, and what solved a block is nowhere else.
//!
//! Bounded: there are as many as claims wait for checks at most, each keeps the users of its claims alone, and their replies
//! count among those that are unanswered until the checks end.

use orebook_stratum::UserNumber;

use super::Loop;
use crate::awaited::Held;
use crate::batch::ConnId;
use crate::conn::{Conn, User};
use crate::judge::Claimed;

impl Loop {
    /// A connection ended: it is forgotten, or kept without its socket until its checks end.
    pub(super) fn lose(&mut self, mut conn: Box<Conn>, id: ConnId) {
        conn.end();
        let mut asked = Vec::new();
        for held in std::mem::take(&mut conn.held) {
            match held {
                Held::Asked(token) => asked.push(token),
                Held::Judged(mut claimed) => {
                    self.awaited.held = self.awaited.held.saturating_sub(1);
                    self.answer_claim(&mut conn, &mut claimed);
                }
                Held::Lines(_) => self.awaited.held = self.awaited.held.saturating_sub(1),
            }
        }
        self.keep_users(&mut conn, &asked);
        conn.held = asked.into_iter().map(Held::Asked).collect();
        self.keep_while_awaited(conn, id);
    }

    /// A check of a connection that ended came back. The reply goes nowhere.
    pub(crate) fn checked_of_lost(&mut self, claimed: &mut Claimed, token: u64) {
        let id = claimed.conn;
        let Some(mut conn) = self.awaited.lost.remove(&id) else {
            return;
        };
        conn.held
            .retain(|held| !matches!(held, Held::Asked(asked) if *asked == token));
        self.awaited.held = self.awaited.held.saturating_sub(1);
        self.answer_claim(&mut conn, claimed);
        self.keep_while_awaited(conn, id);
    }

    fn keep_while_awaited(&mut self, mut conn: Box<Conn>, id: ConnId) {
        if conn.held.is_empty() {
            self.let_go(&conn.users);
        } else {
            conn.end();
            self.awaited.lost.insert(id, conn);
        }
    }

    /// Lets go of users without a claim that is awaited; the claims get the numbers that the others have then.
    fn keep_users(&mut self, conn: &mut Conn, asked: &[u64]) {
        let users = std::mem::take(&mut conn.users);
        let mut users: Vec<Option<User>> = users.into_iter().map(Some).collect();
        let mut kept: Vec<UserNumber> = Vec::new();
        for token in asked {
            let Some(claimed) = self.awaited.claims.get_mut(token) else {
                continue;
            };
            let was = claimed.user;
            let place = kept.iter().position(|user| *user == was);
            let place = place.unwrap_or(kept.len());
            if place == kept.len() {
                kept.push(was);
                let user = users.get_mut(usize::from(was.0)).and_then(Option::take);
                conn.users.extend(user);
            }
            // There are no more of them than there were.
            claimed.user = u16::try_from(place).map_or(was, UserNumber);
        }
        let others: Vec<User> = users.into_iter().flatten().collect();
        self.let_go(&others);
    }

    /// The writer need not know them any more.
    fn let_go(&mut self, users: &[User]) {
        let introduced = users.iter().filter_map(|user| user.introduced);
        self.batch
            .gone_workers
            .extend(introduced.map(|(key, _)| key));
    }
}
