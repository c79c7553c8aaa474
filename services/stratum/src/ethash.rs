//! One connection of an ethash miner: what it has said so far, and what a request means then. Five dialects share it, since
//! they differ in spelling only: who logs in, how work is told, how a nonce is written, what an answer looks like.
//!
//! `fields` reads numbers, `reply` writes answers, `work` writes jobs.

mod fields;
mod reply;
mod work;

use orebook_schema::Hash;
use orebook_schema::work::Extranonce;

pub use self::work::{EthashLines, EthashWork, ethash_difficulty};

pub(crate) use self::reply::{error_code, put_error};
use self::work::Sent;
use crate::action::{Action, Authorize, Refused, Subscribe};
use crate::dialect::Dialect;
use crate::id::Id;
use crate::request::{Request, members, text};
use crate::submit::{UserNumber, parse_job_id};
use crate::users::Users;
use crate::{Agent, CloseReason, MALFORMED_LINES_MAX, PasswordOptions, StratumError, UserName};

/// Most bytes of a nonce that a pool may fix (EthereumStratum/1.0.0 and 2.0.0).
pub const NONCE_PREFIX_BYTES_MAX: usize = 3;

/// Bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 8;

/// Longest session id that a client may ask to resume; a longer one is none of ours.
const RESUME_BYTES_MAX: usize = 64;

/// The protocol's name in hello and in NiceHash's subscribe.
pub(crate) const NICEHASH_PROTOCOL: &str = "EthereumStratum/1.0.0";
const STRATUM_2_PROTOCOL: &str = "EthereumStratum/2.0.0";

/// A well-formed share of an ethash miner. Numbers are canonical: however a nonce was written, it is the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EthashSubmit {
    /// To be echoed in the reply.
    pub id: Id,
    /// Whose it is.
    pub user: UserNumber,
    /// The job it is for; whether there is such a job is the gateway's to find out.
    pub job: JobRef,
    /// The whole nonce, the session's prefix included: the number that is big-endian on the wire and hashed little-endian.
    pub nonce: u64,
    /// The mix that the miner claims, where the dialect has one: a quick check is possible.
    pub mix: Option<Hash>,
}

/// How a share names its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobRef {
    /// By the job's id on the wire ([`show_job_id`](crate::show_job_id)): NiceHash and EthereumStratum/2.0.0.
    Number(u32),
    /// By the seal hash: eth-proxy, getwork, and ethminer's legacy dialect, whose older clients take only a hash for an id.
    Seal(Hash),
}

/// What `mining.hello` tells a miner about us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloTerms {
    /// After how many seconds of silence the gateway may end the connection.
    pub timeout_s: u32,
    /// How many errors it bears.
    pub errors_max: u32,
}

/// The state of one connection.
#[derive(Clone, Debug)]
pub(crate) struct EthashSession {
    dialect: Dialect,
    terms: HelloTerms,
    /// EthereumStratum/2.0.0: hello was said.
    greeted: bool,
    /// Session id and prefix of the nonce; the id is empty where the dialect has none.
    subscribed: Option<(Box<str>, Extranonce)>,
    users: Users,
    /// eth-proxy and getwork: whose the next share is.
    current: Option<UserNumber>,
    sent: Option<Sent>,
    malformed_lines: u32,
}

impl EthashSession {
    pub(crate) fn new(dialect: Dialect, terms: HelloTerms, malformed_lines: u32) -> Self {
        assert!(
            dialect != Dialect::StratumV1,
            "Stratum V1 has a session of its own"
        );
        Self {
            dialect,
            terms,
            greeted: false,
            subscribed: None,
            users: Users::default(),
            current: None,
            sent: None,
            malformed_lines,
        }
    }

    pub(crate) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether a dialect begins with a login instead of a subscribe.
    const fn has_no_subscribe(&self) -> bool {
        matches!(self.dialect, Dialect::EthProxy | Dialect::GetWork)
    }

    pub(crate) fn may_send_work(&self) -> bool {
        let is_subscribed = self.has_no_subscribe() || self.subscribed.is_some();
        self.dialect != Dialect::GetWork && is_subscribed && !self.users.is_empty()
    }

    /// The bytes of the nonce that are ours; `None` before subscribe, or login where there is none.
    pub(crate) fn prefix(&self) -> Option<Extranonce> {
        match &self.subscribed {
            Some((_, prefix)) => Some(*prefix),
            None if self.has_no_subscribe() && !self.users.is_empty() => {
                Some(Extranonce::default())
            }
            None => None,
        }
    }

    /// A line, or the body of an HTTP request.
    pub(crate) fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Action {
        match Request::read(line) {
            Some(request) => self.request(&request, out),
            None => self.malformed(out),
        }
    }

    fn malformed(&mut self, out: &mut Vec<u8>) -> Action {
        self.malformed_lines = self.malformed_lines.saturating_add(1);
        self.put_refusal(out, &Id::null(), StratumError::Malformed);
        if MALFORMED_LINES_MAX <= self.malformed_lines {
            return Action::Close(CloseReason::Malformed);
        }
        Action::Refused {
            what: Refused::Line,
            error: StratumError::Malformed,
        }
    }

    pub(crate) fn request(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Action {
        let Some(method) = &request.method else {
            // A reply of the client; we ask nothing.
            return Action::Nothing;
        };
        match (self.dialect, method.as_ref()) {
            (_, "eth_submitHashrate") => self.hashrate(request, true, out),
            (Dialect::EthProxy | Dialect::GetWork, method) => self.node_call(method, request, out),
            (Dialect::EthereumStratum2, method) => self.stratum_2(method, request, out),
            (_, method) => self.stratum_1(method, request, out),
        }
    }

    fn node_call(&self, method: &str, request: &Request<'_>, out: &mut Vec<u8>) -> Action {
        let id = &request.id;
        match (self.dialect, method) {
            (Dialect::EthProxy, "eth_submitLogin" | "eth_login") => self.login(request, out),
            (_, "eth_getWork") if self.current.is_some() => Action::GetWork { id: id.clone() },
            (_, "eth_getBlockByNumber") if self.current.is_some() => {
                self.block_by_number(request, out)
            }
            (_, "eth_getWork" | "eth_getBlockByNumber") => {
                self.refuse(out, id, Refused::Request, self.nobody())
            }
            (_, "eth_submitWork") => self.submit(request, out),
            (Dialect::EthProxy, "mining.ping" | "mining.noop") => self.answered(out, id),
            _ => self.refuse(out, id, Refused::Request, StratumError::Method),
        }
    }

    fn stratum_1(&self, method: &str, request: &Request<'_>, out: &mut Vec<u8>) -> Action {
        let id = &request.id;
        match method {
            "mining.submit" => self.submit(request, out),
            "mining.subscribe" => self.subscribe(request, out),
            "mining.authorize" => self.login(request, out),
            "mining.ping" => {
                self.put_result(out, id, b"\"pong\"");
                Action::Nothing
            }
            // A session's prefix never changes, so nothing follows from the first; the others are told to no effect.
            "mining.extranonce.subscribe"
            | "mining.noop"
            | "mining.capabilities"
            | "mining.multi_version"
            | "mining.hashrate" => self.answered(out, id),
            _ => self.refuse(out, id, Refused::Request, StratumError::Method),
        }
    }

    fn stratum_2(&mut self, method: &str, request: &Request<'_>, out: &mut Vec<u8>) -> Action {
        let id = &request.id;
        match method {
            "mining.hello" => self.hello(request, out),
            "mining.bye" => Action::Close(CloseReason::Bye),
            _ if !self.greeted => {
                self.refuse(out, id, Refused::Request, StratumError::NotSubscribed)
            }
            "mining.subscribe" => self.subscribe(request, out),
            "mining.authorize" if self.subscribed.is_some() => self.login(request, out),
            "mining.authorize" => {
                self.refuse(out, id, Refused::Request, StratumError::NotSubscribed)
            }
            "mining.submit" => self.submit(request, out),
            "mining.hashrate" => self.hashrate(request, false, out),
            "mining.noop" => self.answered(out, id),
            _ => self.refuse(out, id, Refused::Request, StratumError::Method),
        }
    }

    /// Said again it is answered again; another protocol is refused, and a first one like that latches nothing.
    fn hello(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Action {
        let told = request.raw_params().and_then(members);
        let told = |key: &str| {
            let value = told.as_ref()?.get(key).copied()?;
            text(value)
        };
        if told("proto").as_deref() != Some(STRATUM_2_PROTOCOL) {
            return self.refuse(out, &request.id, Refused::Request, StratumError::Parameters);
        }
        self.greeted = true;
        self.put_hello(out, &request.id);
        told("agent").map_or(Action::Nothing, |agent| Action::Agent(Agent::of(&agent)))
    }

    fn subscribe(&self, request: &Request<'_>, out: &mut Vec<u8>) -> Action {
        if let Some((session, prefix)) = &self.subscribed {
            self.put_subscribed(out, &request.id, session, *prefix);
            return Action::Nothing;
        }
        // EthereumStratum/2.0.0: the id alone, no list. NiceHash: behind agent and protocol.
        let bare = request.raw_params().and_then(text);
        let (agent, resume) = match bare {
            Some(session) => (None, Some(session)),
            None if request.params().is_none() => {
                return self.refuse(out, &request.id, Refused::Request, StratumError::Parameters);
            }
            None if self.dialect == Dialect::EthereumStratum2 => (None, request.text_param(0)),
            None => (request.text_param(0), request.text_param(2)),
        };
        let could_be_ours = |id: &str| {
            (1..=RESUME_BYTES_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
        };
        Action::Subscribe(Subscribe {
            id: request.id.clone(),
            agent: agent.map_or_else(Agent::default, |agent| Agent::of(&agent)),
            resume: resume
                .filter(|id| could_be_ours(id))
                .map(|id| id.into_owned().into()),
        })
    }

    /// `[user, password?]`. eth-proxy's member `worker` names the rig if the user's name does not.
    fn login(&self, request: &Request<'_>, out: &mut Vec<u8>) -> Action {
        let Some(user) = request.text_param(0) else {
            return self.refuse(
                out,
                &request.id,
                Refused::Authorize,
                StratumError::Parameters,
            );
        };
        let password = request.text_param(1);
        let options = password.map_or_else(PasswordOptions::default, |password| {
            PasswordOptions::parse(&password)
        });
        let worker = request.worker();
        match authorize(request.id.clone(), &user, worker.as_deref(), options) {
            Some(authorize) => Action::Authorize(authorize),
            None => self.refuse(
                out,
                &request.id,
                Refused::Authorize,
                StratumError::Unauthorized,
            ),
        }
    }

    /// Who a request over HTTP is from. `None` if he is known and current now.
    pub(crate) fn log_in_by_path(
        &mut self,
        id: &Id,
        user: &str,
        options: PasswordOptions,
    ) -> Option<Authorize> {
        if let Some(number) = self.users.get(user) {
            self.current = Some(number);
            return None;
        }
        authorize(id.clone(), user, None, options)
    }

    /// A request over HTTP from nobody.
    pub(crate) fn log_out(&mut self) {
        self.current = None;
    }

    pub(crate) fn subscribed(
        &mut self,
        out: &mut Vec<u8>,
        subscribe: &Subscribe,
        session_id: &str,
        prefix: Extranonce,
    ) {
        assert!(
            prefix.bytes().len() <= NONCE_PREFIX_BYTES_MAX,
            "a nonce's prefix has three bytes at most"
        );
        let prefix = match self.dialect {
            // Its jobs tell no prefix: a rig searches where it likes.
            Dialect::Legacy => Extranonce::default(),
            _ => prefix,
        };
        self.put_subscribed(out, &subscribe.id, session_id, prefix);
        self.subscribed = Some((session_id.into(), prefix));
    }

    pub(crate) fn authorized(
        &mut self,
        out: &mut Vec<u8>,
        authorize: &Authorize,
        verdict: Result<(), StratumError>,
    ) -> Option<UserNumber> {
        let number = verdict.and_then(|()| self.users.enter(&authorize.user));
        match number {
            Ok(number) => {
                self.current = Some(number);
                self.put_authorized(out, &authorize.id, number);
                Some(number)
            }
            Err(error) => {
                self.put_refusal(out, &authorize.id, error);
                None
            }
        }
    }

    /// The error of whoever did not log in.
    fn nobody(&self) -> StratumError {
        match self.dialect {
            Dialect::GetWork => StratumError::Unauthorized,
            _ => StratumError::NotSubscribed,
        }
    }

    fn submit(&self, request: &Request<'_>, out: &mut Vec<u8>) -> Action {
        match self.share(request) {
            Ok(submit) => Action::EthashSubmit(submit),
            Err(error) => self.refuse(out, &request.id, Refused::Submit, error),
        }
    }

    /// Reads a share: who first, then its numbers, the job last, since a malformed share is malformed whatever its job.
    fn share(&self, request: &Request<'_>) -> Result<EthashSubmit, StratumError> {
        if !self.has_no_subscribe() && self.subscribed.is_none() {
            return Err(StratumError::NotSubscribed);
        }
        let params = request.params().ok_or(StratumError::Parameters)?;
        // What follows them is ignored.
        let count = if self.dialect == Dialect::Legacy {
            5
        } else {
            3
        };
        let texts: Option<Vec<_>> = params.iter().take(count).map(|value| text(value)).collect();
        let texts = texts.ok_or(StratumError::Parameters)?;
        let prefix = self.prefix().unwrap_or_default();
        let (user, job, nonce, mix) = match (self.dialect, texts.as_slice()) {
            (Dialect::EthProxy | Dialect::GetWork, [nonce, seal, mix]) => {
                let user = self.current.ok_or(self.nobody())?;
                let nonce = fields::nonce(nonce).ok_or(StratumError::Nonce)?;
                let mix = fields::hash(mix).ok_or(StratumError::Parameters)?;
                let seal = fields::hash(seal).ok_or(StratumError::Parameters)?;
                (user, JobRef::Seal(seal), nonce, Some(mix))
            }
            (Dialect::NiceHash, [user, job, nonce]) => {
                let user = self.user_of(user).ok_or(StratumError::Unauthorized)?;
                let nonce = fields::nonce_rest(nonce, prefix).ok_or(StratumError::Nonce)?;
                (user, job_number(job)?, nonce, None)
            }
            (Dialect::EthereumStratum2, [job, nonce, token]) => {
                let user = self.user_of_token(token);
                let user = user.ok_or(StratumError::Unauthorized)?;
                let nonce = fields::nonce_rest(nonce, prefix).ok_or(StratumError::Nonce)?;
                (user, job_number(job)?, nonce, None)
            }
            (Dialect::Legacy, [user, job, nonce, seal, mix]) => {
                let user = self.user_of(user).ok_or(StratumError::Unauthorized)?;
                let nonce = fields::nonce(nonce).ok_or(StratumError::Nonce)?;
                let mix = fields::hash(mix).ok_or(StratumError::Parameters)?;
                let seal = fields::hash(seal).ok_or(StratumError::Parameters)?;
                // The job's id is the seal hash as well.
                if fields::hash(job) != Some(seal) {
                    return Err(StratumError::JobNotFound);
                }
                (user, JobRef::Seal(seal), nonce, Some(mix))
            }
            _ => return Err(StratumError::Parameters),
        };
        Ok(EthashSubmit {
            id: request.id.clone(),
            user,
            job,
            nonce,
            mix,
        })
    }

    /// The user of a share. ethminer authorizes `LOGIN.WORKER` and some of its versions submit as `LOGIN`: where one user is
    /// logged in that begins so, it is he.
    fn user_of(&self, named: &str) -> Option<UserNumber> {
        if let Some(number) = self.users.get(named) {
            return Some(number);
        }
        let (user, number) = self.users.only()?;
        let rest = user.strip_prefix(named)?;
        rest.starts_with(['.', '/', '+']).then_some(number)
    }

    /// The user of what [`Self::put_authorized`] gave.
    fn user_of_token(&self, token: &str) -> Option<UserNumber> {
        let number = parse_job_id(token.strip_prefix("w-")?)?;
        let number = u16::try_from(number).ok().map(UserNumber)?;
        (usize::from(number.0) < self.users.len()).then_some(number)
    }

    /// `[rate, id]`, or `[rate, token]` in EthereumStratum/2.0.0. Informational: what cannot be read is answered as well.
    fn hashrate(&self, request: &Request<'_>, prefixed: bool, out: &mut Vec<u8>) -> Action {
        self.put_accepted(out, &request.id);
        let rate = request.text_param(0);
        let rate = rate.and_then(|rate| fields::quantity(&rate, prefixed));
        let user = match request.text_param(1) {
            Some(token) if !prefixed => self.user_of_token(&token),
            _ => self.current,
        };
        match (user, rate) {
            (Some(user), Some(hashes_per_second)) => Action::Hashrate {
                user,
                hashes_per_second,
            },
            _ => Action::Nothing,
        }
    }

    /// Only the two blocks whose number miners ask for.
    fn block_by_number(&self, request: &Request<'_>, out: &mut Vec<u8>) -> Action {
        match request.text_param(0).as_deref() {
            Some("pending") => Action::GetHeight {
                id: request.id.clone(),
                is_pending: true,
            },
            Some("latest") => Action::GetHeight {
                id: request.id.clone(),
                is_pending: false,
            },
            _ => self.refuse(out, &request.id, Refused::Request, StratumError::Parameters),
        }
    }

    fn answered(&self, out: &mut Vec<u8>, id: &Id) -> Action {
        self.put_accepted(out, id);
        Action::Nothing
    }

    fn refuse(&self, out: &mut Vec<u8>, id: &Id, what: Refused, error: StratumError) -> Action {
        self.put_refusal(out, id, error);
        Action::Refused { what, error }
    }
}

/// A login as the gateway gets it. The rig's name from `worker` makes the user's text, so that two rigs are two users.
fn authorize(
    id: Id,
    user: &str,
    worker: Option<&str>,
    options: PasswordOptions,
) -> Option<Authorize> {
    let name = UserName::parse(user)?;
    let is_named = user.len() != name.login.len();
    let joined = match worker {
        Some(worker) if !is_named && !worker.is_empty() => format!("{user}.{worker}"),
        _ => user.to_owned(),
    };
    Some(Authorize {
        id,
        name: UserName::parse(&joined)?,
        user: joined.into(),
        options,
    })
}

fn job_number(text: &str) -> Result<JobRef, StratumError> {
    let number = parse_job_id(text).ok_or(StratumError::JobNotFound)?;
    Ok(JobRef::Number(number))
}
