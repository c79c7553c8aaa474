//! What connections say: bytes into lines, lines into actions, actions into answers or claims.

use std::collections::HashSet;
use std::io::BufRead as _;

use orebook_pow::{Claim, version_of};
use orebook_schema::Work;
use orebook_schema::activity::{AgentText, LoginFault};
use orebook_schema::names::{Account, RegisteredName, WorkerName};
use orebook_schema::work::Extranonce;
use orebook_stratum::{
    Action, Authorize, CloseReason, Configured, EthashSubmit, Id, JobRef, LINE_BYTES_MAX, Refused,
    StratumError, Submit, Subscribe, Suggestion, UserNumber,
};

use crate::accounts::NoAccount;
use crate::activity::reject;
use crate::batch::{ConnId, JobKey};
use crate::config::{NTIME_AHEAD_S, exact};
use crate::conn::{Cause, Conn, Due, Found, Trip, User};
use crate::edge::{LoginResult, ShareResult};
use crate::jobs::Freshness;
use crate::judge::{Claimed, Said, Verdict};
use crate::limits::{Offence, ShareWindow};
use crate::looper::{ENDS, Loop, Names, Order, note_handed_out};

/// First byte of a TLS hello.
const TLS_HELLO: u8 = 0x16;
/// How requests of web browsers and load balancers begin.
const HTTP: [&[u8]; 3] = [b"GET ", b"HEAD ", b"POST "];
/// What they are told.
const HTTP_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\
    Content-Length: 48\r\n\r\nThis port speaks Stratum, for mining machines.\r\n";
/// A rig's name where an account has too many.
const OTHER: &str = "other";

/// The bytes before the first line feed and those after it.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes;
    // Looks at many bytes at a time; reading from memory cannot fail.
    let taken = rest.skip_until(b'\n').unwrap_or(0);
    let (with_end, after) = bytes.split_at_checked(taken)?;
    Some((with_end.strip_suffix(b"\n")?, after))
}

/// What a dialect's end is to the gateway.
const fn cause(reason: CloseReason) -> Cause {
    match reason {
        CloseReason::Tls => Cause::TlsOnPlain,
        CloseReason::Http => Cause::Http,
        CloseReason::Served | CloseReason::Bye => Cause::Left,
        _ => Cause::Protocol,
    }
}

/// The rig's name: what the password says, else what the user name does.
fn rig(authorize: &Authorize) -> &WorkerName {
    let said = authorize.options.worker.as_ref();
    said.unwrap_or(&authorize.name.worker)
}

/// Why a connection that cannot be read is lost.
fn lost(error: &std::io::Error) -> Cause {
    match error.kind() {
        // Only TLS says so of bytes: `tls`.
        std::io::ErrorKind::Other => Cause::Tls,
        _ => Cause::Left,
    }
}

impl Loop {
    /// Reads a connection once and takes what it says. `Err` if it is lost.
    pub(crate) fn read_conn(
        &mut self,
        conn: &mut Conn,
        id: ConnId,
        buffer: &mut [u8],
    ) -> Result<(), Cause> {
        let found = conn.read(buffer).map_err(|error| lost(&error))?;
        let len = match found {
            Found::End => {
                // It may still listen: what it asked is answered.
                conn.closing = Some(Cause::Left);
                self.soil(id.slot);
                return Ok(());
            }
            Found::Last(len) => len,
            Found::More(len) => {
                conn.is_ready = true;
                self.read_again(id.slot, conn);
                len
            }
        };
        self.hear(conn, id, buffer.get(..len).unwrap_or_default());
        Ok(())
    }

    fn hear(&mut self, conn: &mut Conn, id: ConnId, bytes: &[u8]) {
        if conn.has_said_anything {
            self.hear_lines(conn, id, bytes);
        } else if let Some(first) = self.unwrap_first(conn, id, bytes)
            && !first.is_empty()
        {
            self.hear_first(conn, id, &first);
        }
    }

    fn hear_first(&mut self, conn: &mut Conn, id: ConnId, bytes: &[u8]) {
        conn.has_said_anything = true;
        if conn.tls.is_none() && self.certificates.is_tls(conn.port) {
            return self.begin_tls(conn, id, bytes);
        }
        if bytes.first() == Some(&TLS_HELLO) {
            return self.send_away(conn, id, Cause::TlsOnPlain);
        }
        if !self.config.is_ethash() && HTTP.iter().any(|method| bytes.starts_with(method)) {
            conn.out(&mut self.spare).extend_from_slice(HTTP_ANSWER);
            return self.send_away(conn, id, Cause::Http);
        }
        self.hear_lines(conn, id, bytes);
    }

    /// Where it may be HTTP, what comes is whatever the dialect takes, until that is one of lines.
    fn hear_speaker(&mut self, conn: &mut Conn, id: ConnId, bytes: &[u8]) {
        let mut whole = std::mem::take(&mut conn.partial);
        whole.extend_from_slice(bytes);
        let mut rest = whole.as_slice();
        while conn.may_be_web() {
            let mut out = std::mem::take(&mut self.scratch);
            out.clear();
            let served = conn.session.may_send_work();
            let heard = conn.session.hear(rest, &mut out);
            rest = rest.get(heard.taken..).unwrap_or_default();
            if heard.action == Action::More {
                self.scratch = out;
                conn.partial = rest.to_vec();
                return;
            }
            if !self.take_forwarded(conn, id) {
                self.scratch = out;
                return;
            }
            self.heard(conn, id, (heard.action, served), out);
            if conn.closing.is_some() {
                return;
            }
        }
        self.hear_lines(conn, id, rest);
    }

    fn hear_lines(&mut self, conn: &mut Conn, id: ConnId, bytes: &[u8]) {
        if self.config.is_ethash() && conn.may_be_web() {
            return self.hear_speaker(conn, id, bytes);
        }
        let mut rest = bytes;
        while let Some((line, after)) = split_line(rest) {
            rest = after;
            if conn.partial.is_empty() {
                self.line(conn, id, line);
            } else {
                let mut whole = std::mem::take(&mut conn.partial);
                whole.extend_from_slice(line);
                self.line(conn, id, &whole);
            }
            if conn.closing.is_some() {
                return;
            }
        }
        if rest.is_empty() {
            return;
        }
        conn.partial.extend_from_slice(rest);
        if LINE_BYTES_MAX < conn.partial.len() {
            // The session says what is wrong with it.
            let whole = std::mem::take(&mut conn.partial);
            self.line(conn, id, &whole);
        }
    }

    pub(crate) fn send_away(&mut self, conn: &mut Conn, id: ConnId, cause: Cause) {
        conn.closing = Some(cause);
        self.soil(id.slot);
    }

    fn line(&mut self, conn: &mut Conn, id: ConnId, line: &[u8]) {
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        let served = conn.session.may_send_work();
        let action = conn.session.line(line, &mut out);
        self.heard(conn, id, (action, served), out);
    }

    /// Does what a request asks. `served`: whether it had work before.
    fn heard(
        &mut self,
        conn: &mut Conn,
        id: ConnId,
        (action, served): (Action, bool),
        mut out: Vec<u8>,
    ) {
        self.counts.lines += 1;
        conn.silence.heard(self.now);
        if !conn.edge.is_of(conn.session.dialect()) {
            self.place(conn);
        }
        let is_introduced = matches!(action, Action::Subscribe(_) | Action::Agent(_));
        match action {
            Action::Submit(submit) => self.submit(conn, id, submit, &mut out),
            Action::EthashSubmit(submit) => self.submit_ethash(conn, id, submit, &mut out),
            Action::GetWork { id } => self.give_work(conn, &id, &mut out),
            Action::GetHeight { id, is_pending } => {
                self.give_height(conn, &id, is_pending, &mut out);
            }
            Action::Nothing
            | Action::ExtranonceSubscribed
            | Action::Hashrate { .. }
            | Action::NotSpoken(_)
            | Action::More => {}
            Action::Agent(agent) => conn.agent = AgentText::of(agent.as_str()),
            Action::Subscribe(subscribe) => self.subscribe(conn, id, &subscribe, &mut out),
            Action::Authorize(authorize) => self.authorize(conn, id, &authorize, &mut out),
            Action::Suggest(suggestion) => self.suggest(conn, &suggestion),
            Action::Configured(configured) => self.configured(conn, &configured),
            Action::Refused { what, error } => self.refused(conn, what, error),
            Action::Close(reason) => conn.closing = Some(cause(reason)),
        }
        if is_introduced {
            self.place(conn);
        }
        if conn.trip != Trip::Over {
            self.note_trip(conn, !out.is_empty());
        }
        if !out.is_empty() {
            self.say(conn, id, &out);
        }
        self.scratch = out;
        if conn.closing.is_some() {
            self.soil(id.slot);
        } else if !served && conn.session.may_send_work() {
            self.count_miner(conn);
            self.start(conn, id);
        }
    }

    /// Answers who asks for work. It is the newest, at the difficulty that his shares of it have.
    fn give_work(&mut self, conn: &mut Conn, id: &Id, out: &mut Vec<u8>) {
        let oldest = self.jobs.oldest();
        let newest = self.jobs.newest().filter(|_| self.shut.is_none());
        match newest.and_then(|job| Some((job, job.given()?))) {
            Some((job, given)) => {
                conn.silence.begin(self.now);
                // Who is not pushed to hears of another difficulty here, and only here does silence lower it.
                conn.vardiff.look(self.now_ms);
                conn.ease(job.key, self.unit, self.now);
                let work = conn.take_job(job, oldest, self.unit);
                note_handed_out(&self.edge, conn, job.made, self.now);
                conn.session.give_work(out, id, &given.lines, work);
            }
            None => conn.session.refused(out, id, StratumError::NoWork),
        }
    }

    fn give_height(&mut self, conn: &Conn, id: &Id, is_pending: bool, out: &mut Vec<u8>) {
        match self.jobs.newest().filter(|_| self.shut.is_none()) {
            Some(job) => {
                let height = job.height().saturating_sub(u64::from(!is_pending));
                conn.session.give_height(out, id, height);
            }
            None => conn.session.refused(out, id, StratumError::NoWork),
        }
    }

    /// Says something behind the answers that are due before it.
    fn say(&mut self, conn: &mut Conn, id: ConnId, lines: &[u8]) {
        if conn.unsaid_replies() == 0 && conn.claims == 0 {
            conn.out(&mut self.spare).extend_from_slice(lines);
            self.soil(id.slot);
        } else {
            let start = self.arena.len();
            self.arena.extend_from_slice(lines);
            self.orders.push(Order::Lines(id, start..self.arena.len()));
        }
    }

    /// The first job of a session.
    fn start(&mut self, conn: &mut Conn, id: ConnId) {
        let oldest = self.jobs.oldest();
        conn.silence.begin(self.now);
        if let Some(job) = self.jobs.newest() {
            conn.send_job(job, oldest, self.unit, &mut self.spare);
            note_handed_out(&self.edge, conn, job.made, self.now);
            self.soil(id.slot);
        }
    }

    fn subscribe(&mut self, conn: &mut Conn, id: ConnId, subscribe: &Subscribe, out: &mut Vec<u8>) {
        let leaving = self.drain.is_some().then_some(ENDS);
        if let Some(why) = leaving.or(self.shut.as_deref()).or(self.standing.newcomers) {
            let error = StratumError::Unavailable;
            conn.session.refused_why(out, &subscribe.id, error, why);
            if let Some(elsewhere) = self.elsewhere.next(&self.config.ports, conn.port) {
                conn.session.reconnect(out, Some(elsewhere.shown()));
            }
            conn.closing = Some(Cause::NoWork);
            return;
        }
        let resumed = subscribe.resume.as_deref();
        let resumed = resumed.and_then(|text| self.sessions.number_of(text));
        let number = match resumed {
            Some(number) => {
                self.resume(conn, id, number);
                Some(number)
            }
            None => self.sessions.begin(id),
        };
        let Some(number) = number else {
            let error = StratumError::Unavailable;
            conn.session
                .refused_why(out, &subscribe.id, error, "no session is free");
            conn.closing = Some(Cause::NoWork);
            return;
        };
        conn.number = Some(number);
        conn.agent = AgentText::of(subscribe.agent.as_str());
        let [_, _, high, low] = number.to_be_bytes();
        let extranonce1 = if self.config.is_ethash() {
            // The gateway's number is assigned, so no two gateways search the same nonces.
            Extranonce::new(&[self.config.ethash.gateway, high, low])
        } else {
            Extranonce::new(&number.to_be_bytes())
        };
        let extranonce1 = extranonce1.unwrap_or_default();
        let session_id = self.sessions.id(number);
        conn.session
            .subscribed(out, subscribe, &session_id, extranonce1);
    }

    /// A session goes on at this connection. The one that had it is closed, when what it asked is answered: as a rule nobody is
    /// there any more.
    fn resume(&mut self, conn: &mut Conn, id: ConnId, number: u32) {
        let (holder, mut former) = self.sessions.take_over(number, id);
        if let Some(holder) = holder {
            let place = usize::try_from(holder.slot).unwrap_or(usize::MAX);
            let held = self.conns.get_mut(place).and_then(Option::as_mut);
            if let Some(held) = held.filter(|held| held.generation == holder.generation) {
                former = held.leave();
                held.closing.get_or_insert(Cause::Resumed);
                self.soil(holder.slot);
            }
        }
        if let Some(former) = former {
            conn.resume(former, self.now_ms);
        }
        self.counts.resumed += 1;
    }

    fn authorize(&mut self, conn: &mut Conn, id: ConnId, authorize: &Authorize, out: &mut Vec<u8>) {
        if let Some(why) = &self.shut {
            let error = StratumError::Unavailable;
            conn.session.login_refused(out, authorize, error, why);
            self.edge.login(conn.edge, LoginResult::Unavailable);
            conn.closing = Some(Cause::NoWork);
            return;
        }
        if let Some(why) = self.kept_out(conn, &authorize.user) {
            let error = StratumError::Unauthorized;
            conn.session.login_refused(out, authorize, error, &why);
            self.edge.login(conn.edge, LoginResult::KeptOut);
            conn.closing = Some(Cause::KeptOut);
            return;
        }
        let account = self.account_of(conn, authorize);
        let account = match account {
            Ok(account) => account,
            Err((fault, why)) => {
                let error = StratumError::Unauthorized;
                conn.session.login_refused(out, authorize, error, &why);
                return self.failed_login(conn, fault);
            }
        };
        if let Some(why) = self.banned(&account, conn.address) {
            let error = StratumError::Unauthorized;
            conn.session.login_refused(out, authorize, error, &why);
            self.failed_login(conn, LoginFault::Banned);
            conn.closing = Some(Cause::Banned);
            return;
        }
        let Some(number) = conn.session.authorized(out, authorize, Ok(())) else {
            return self.failed_login(conn, LoginFault::Request);
        };
        self.counts.logins += 1;
        self.edge.login(conn.edge, LoginResult::Ok);
        if conn.number.is_none() && conn.session.extranonce1().is_some() {
            // Its dialect has no subscribe, and its nonces have no prefix: the number is for the activity log.
            conn.number = self.sessions.begin(id);
        }
        let options = &authorize.options;
        if usize::from(number.0) == conn.users.len() {
            conn.users.push(User {
                text: authorize.user.clone(),
                account,
                name: rig(authorize).clone(),
                introduced: None,
                is_said: false,
                window: ShareWindow::default(),
                barred: None,
            });
        }
        if let Some(least) = options
            .difficulty_min
            .as_ref()
            .and_then(|text| text.work(self.unit))
        {
            conn.vardiff.at_least(least, self.now_ms);
        }
        if let Some(wanted) = options
            .difficulty
            .as_ref()
            .and_then(|text| text.work(self.unit))
        {
            conn.vardiff.ask(wanted, self.now_ms);
        }
        conn.note_difficulty();
    }

    /// Who is paid for a login; else what is wrong with it, for the miner to read.
    fn account_of(
        &self,
        conn: &Conn,
        authorize: &Authorize,
    ) -> Result<Account, (LoginFault, String)> {
        let is_known = conn.users.iter().any(|user| user.text == authorize.user);
        if !is_known && self.config.limits.users_per_connection <= conn.users.len() {
            let why = "too many workers on one connection";
            return Err((LoginFault::Workers, why.to_owned()));
        }
        let port = self.config.ports.get(conn.port);
        let pot = port.map(|port| port.pot);
        if pot.is_none_or(|pot| !self.has_pot(pot)) {
            let why = "the policy has no pot for this port";
            return Err((LoginFault::Pot, why.to_owned()));
        }
        let login = &*authorize.name.login;
        match (self.parse_account)(login) {
            Ok(account) => Ok(account),
            Err(why) => self.registered(login, rig(authorize), why),
        }
    }

    /// The account of a registered name; `why` says what is wrong with it as an address. A name that nobody has costs nothing
    /// but this look: no store knows of it.
    fn registered(
        &self,
        login: &str,
        worker: &WorkerName,
        why: String,
    ) -> Result<Account, (LoginFault, String)> {
        let register = &self.config.edge.register;
        match self.standing.accounts.find(login, worker) {
            Ok(account) => Ok(account),
            Err(NoAccount::Worker) => Err((
                LoginFault::Unregistered,
                format!(
                    "only registered workers may mine for {login}, and {worker} is none: {register}",
                    worker = worker.as_str()
                ),
            )),
            // What cannot be a name is a mistyped address.
            Err(NoAccount::Unknown) if RegisteredName::parse(login).is_none() => {
                Err((LoginFault::Name, why))
            }
            Err(NoAccount::Unknown) => Err((
                LoginFault::Name,
                format!("{why}; and no account {login} is registered: {register}"),
            )),
        }
    }

    fn failed_login(&mut self, conn: &mut Conn, fault: LoginFault) {
        self.counts.failed_logins += 1;
        self.edge.login(conn.edge, LoginResult::Failed(fault));
        self.activity.failed_login(fault, conn.address, self.now_ms);
        self.offend(conn.address, Offence::FailedLogin);
        conn.failed_logins += 1;
        if self.config.limits.failed_logins_per_connection <= conn.failed_logins {
            conn.closing = Some(Cause::FailedLogins);
        }
    }

    fn suggest(&mut self, conn: &mut Conn, suggestion: &Suggestion) {
        let work = match suggestion {
            Suggestion::Difficulty(text) => text.work(self.unit),
            Suggestion::Target(target) => {
                let work = self.unit.network_work(*target);
                Work::new(u64::try_from(work).unwrap_or(Work::MAX).min(Work::MAX))
            }
        };
        if let Some(work) = work {
            conn.vardiff.suggest(exact(work, self.unit), self.now_ms);
            conn.note_difficulty();
        }
    }

    fn configured(&mut self, conn: &mut Conn, configured: &Configured) {
        let least = configured.difficulty_min.as_ref();
        if let Some(least) = least.and_then(|text| text.work(self.unit)) {
            conn.vardiff.at_least(least, self.now_ms);
            conn.note_difficulty();
        }
    }

    /// The session answered an error by itself.
    fn refused(&mut self, conn: &mut Conn, what: Refused, error: StratumError) {
        match what {
            Refused::Authorize => self.failed_login(conn, LoginFault::Request),
            Refused::Submit => self.count_refused(conn, None, error),
            Refused::Line | Refused::Request => {}
        }
    }

    fn submit(&mut self, conn: &mut Conn, id: ConnId, submit: Submit, out: &mut Vec<u8>) {
        match self.claim(conn, id, &submit) {
            Ok((claim, job, work, stale)) => {
                self.orders.push(Order::Claim(self.claims.len()));
                conn.claims += 1;
                self.claims.push(Claimed {
                    conn: id,
                    user: submit.user,
                    job,
                    work,
                    stale,
                    said: Said::Header(claim),
                    id: submit.id,
                    verdict: Verdict::Open,
                    read: self.now,
                    judged: None,
                });
                self.note_claim(conn, job);
            }
            Err(error) => {
                self.count_refused(conn, Some(submit.user), error);
                conn.session.refused(out, &submit.id, error);
            }
        }
    }

    /// What a submit says about which job, at which difficulty, and whether it is stale: everything but the hash is judged.
    fn claim(
        &self,
        conn: &Conn,
        _: ConnId,
        submit: &Submit,
    ) -> Result<(Claim, JobKey, Due, bool), StratumError> {
        if conn.is_barred(submit.user, self.now) {
            return Err(StratumError::Unauthorized);
        }
        let key = JobKey(submit.job);
        let freshness = self.jobs.freshness(key, self.now);
        let (Some(freshness), Some(job), Some(work)) =
            (freshness, self.jobs.get(key), conn.work_of(key))
        else {
            return Err(StratumError::JobNotFound);
        };
        let Some(built) = job.built() else {
            return Err(StratumError::JobNotFound);
        };
        let now_s = u32::try_from(self.now_ms / 1_000).unwrap_or(u32::MAX);
        let latest = built.template.time.max(now_s).saturating_add(NTIME_AHEAD_S);
        if !(built.template.mintime..=latest).contains(&submit.ntime) {
            return Err(StratumError::NtimeRange);
        }
        let version = match submit.version_bits {
            None => built.version,
            Some(bits) => version_of(built.version, conn.session.version_mask(), bits)
                .ok_or(StratumError::VersionBits)?,
        };
        if self.config.limits.seen <= job.seen.len() {
            return Err(StratumError::Unavailable);
        }
        let claim = Claim {
            extranonce1: conn
                .session
                .extranonce1()
                .ok_or(StratumError::NotSubscribed)?,
            extranonce2: submit.extranonce2,
            ntime: submit.ntime,
            nonce: submit.nonce,
            version,
        };
        Ok((claim, key, work, freshness == Freshness::Stale))
    }

    fn submit_ethash(
        &mut self,
        conn: &mut Conn,
        id: ConnId,
        submit: EthashSubmit,
        out: &mut Vec<u8>,
    ) {
        match self.ethash_claim(conn, &submit) {
            Ok((job, work, stale)) => {
                self.orders.push(Order::Claim(self.claims.len()));
                conn.claims += 1;
                self.claims.push(Claimed {
                    conn: id,
                    user: submit.user,
                    job,
                    work,
                    stale,
                    said: Said::Nonce(submit.nonce, submit.mix),
                    id: submit.id,
                    verdict: Verdict::Open,
                    read: self.now,
                    judged: None,
                });
                self.note_claim(conn, job);
            }
            Err(error) => {
                self.count_refused(conn, Some(submit.user), error);
                conn.session.refused(out, &submit.id, error);
            }
        }
    }

    /// As [`Self::claim`], of ethash.
    fn ethash_claim(
        &self,
        conn: &Conn,
        submit: &EthashSubmit,
    ) -> Result<(JobKey, Due, bool), StratumError> {
        if conn.is_barred(submit.user, self.now) {
            return Err(StratumError::Unauthorized);
        }
        let key = match submit.job {
            JobRef::Number(number) => Some(JobKey(number)),
            JobRef::Seal(seal) => self.jobs.sealed(&seal),
        };
        let known = key.and_then(|key| {
            let freshness = self.jobs.freshness(key, self.now)?;
            let job = self.jobs.get(key).filter(|job| job.given().is_some())?;
            Some((key, freshness, job, conn.due(key, self.now)?))
        });
        let (key, freshness, job, work) = known.ok_or(StratumError::JobNotFound)?;
        if self.config.limits.seen <= job.seen.len() {
            return Err(StratumError::Unavailable);
        }
        Ok((key, work, freshness == Freshness::Stale))
    }

    /// Counts a share that was refused, and ends a session that sends nothing else.
    pub(crate) fn count_refused(
        &mut self,
        conn: &mut Conn,
        user: Option<UserNumber>,
        error: StratumError,
    ) {
        let known = user.and_then(|user| conn.users.get(usize::from(user.0)));
        let account = known.map(|user| &user.account);
        self.activity.rejected(account, reject(error), self.now_ms);
        conn.rejected += 1;
        self.edge.share(conn.edge, ShareResult::of(error));
        let shares = &mut self.counts.shares;
        let (counter, is_bad) = match error {
            StratumError::JobNotFound => (&mut shares.unknown_job, false),
            StratumError::Duplicate => (&mut shares.duplicate, true),
            StratumError::LowDifficulty => (&mut shares.low, true),
            StratumError::Unauthorized => (&mut shares.unauthorized, true),
            StratumError::NotSubscribed => (&mut shares.not_subscribed, true),
            _ => (&mut shares.other, true),
        };
        *counter += 1;
        if is_bad {
            conn.bad_shares += 1;
            if self.config.limits.bad_shares_in_a_row <= conn.bad_shares {
                conn.closing = Some(Cause::BadShares);
            }
            if let Some(user) = user {
                self.note_bad(conn, user);
            }
        }
    }

    /// The name that is recorded: names are bounded by account and hour, since each is kept for ever.
    pub(crate) fn recorded_name(&mut self, account: &Account, name: &WorkerName) -> WorkerName {
        if self.standing.accounts.has_worker(account, name) {
            // The ledger has it already.
            return name.clone();
        }
        let now = self.now;
        let names = self.names.entry(account.clone()).or_insert_with(|| Names {
            since: now,
            names: HashSet::new(),
        });
        let known = names.names.contains(name.as_str());
        if !known && self.config.limits.names_per_account <= names.names.len() {
            return WorkerName::parse(OTHER).unwrap_or_else(|| name.clone());
        }
        if !known {
            names.names.insert(name.as_str().into());
        }
        name.clone()
    }
}
