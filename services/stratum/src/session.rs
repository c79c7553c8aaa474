//! One connection: what it has said so far, and what a line means then.

use orebook_schema::units::U256;
use orebook_schema::work::Extranonce;

use crate::action::{Action, Authorize, Configured, Refused, Subscribe, Suggestion};
use crate::extensions::negotiate;
use crate::id::Id;
use crate::request::{Request, number_text, text};
use crate::submit::{Fields, UserNumber};
use crate::users::Users;
use crate::write::{
    quoted, reply, reply_error, reply_refused, reply_true, write_get_version, write_set_extranonce,
    write_set_version_mask,
};
use crate::{
    Agent, CloseReason, DifficultyText, LINE_BYTES_MAX, MALFORMED_LINES_MAX, PasswordOptions,
    StratumError, UserName, hex, scan,
};

/// The id of our only request to clients.
const VERSION_ID: &str = "\"orebook-version\"";

/// Longest session id that a client may ask to resume; a longer one is none of ours.
const RESUME_BYTES_MAX: usize = 64;

/// What a gateway allows on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Bytes a rig adds to the coinbase: 4 for machines, 8 for proxies. Above 8 counts as 8.
    pub extranonce2_size: u8,
    /// Version bits that may be rolled, as a rule `0x1fffe000`; 0 if none.
    pub version_mask: u32,
}

/// The state of one connection.
///
/// Write nothing before the reply to subscribe (cpuminer reads one line and takes it for the reply), and no work before
/// [`Session::may_send_work`]. Replies leave in the order of the requests (cpuminer uses one id for all submits).
#[derive(Clone, Debug)]
pub struct Session {
    config: SessionConfig,
    subscribed: Option<Subscribed>,
    users: Users,
    /// Version bits the client would roll, once rolling was agreed.
    client_mask: Option<u32>,
    takes_extranonce: bool,
    asked_version: bool,
    malformed_lines: u32,
}

#[derive(Clone, Debug)]
struct Subscribed {
    session_id: Box<str>,
    extranonce1: Extranonce,
}

impl Session {
    /// A new connection.
    #[must_use]
    pub fn new(config: SessionConfig) -> Self {
        let extranonce2_size = config.extranonce2_size.min(8);
        Self {
            config: SessionConfig {
                extranonce2_size,
                ..config
            },
            subscribed: None,
            users: Users::default(),
            client_mask: None,
            takes_extranonce: false,
            asked_version: false,
            malformed_lines: 0,
        }
    }

    /// Whether jobs and difficulties may be sent: subscribed, and at least one user.
    #[must_use]
    pub fn may_send_work(&self) -> bool {
        self.subscribed.is_some() && !self.users.is_empty()
    }

    /// The session's part of the coinbase, once subscribed.
    #[must_use]
    pub fn extranonce1(&self) -> Option<Extranonce> {
        self.subscribed.as_ref().map(|session| session.extranonce1)
    }

    /// Bytes the rig adds to the coinbase.
    #[must_use]
    pub const fn extranonce2_size(&self) -> u8 {
        self.config.extranonce2_size
    }

    /// Version bits that submits may roll now; 0 if none.
    #[must_use]
    pub fn version_mask(&self) -> u32 {
        self.agreed_mask().unwrap_or(0)
    }

    /// The bits that both sides allow, if rolling was agreed.
    fn agreed_mask(&self) -> Option<u32> {
        self.client_mask
            .map(|theirs| theirs & self.config.version_mask)
    }

    /// How many lines were no request so far.
    pub(crate) const fn malformed_lines(&self) -> u32 {
        self.malformed_lines
    }

    /// Whether the client takes another extranonce.
    #[must_use]
    pub const fn takes_extranonce(&self) -> bool {
        self.takes_extranonce
    }

    /// Reads one line, without its `\n`; `\r` and empty lines are allowed. Appends replies to `out`, whole lines only.
    pub fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Action {
        if LINE_BYTES_MAX < line.len() {
            reply_error(out, &Id::null(), StratumError::Malformed);
            return Action::Close(CloseReason::LineTooLong);
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            return Action::Nothing;
        }
        if let Some((id, fields)) = scan::submit(line) {
            return self.submit(id, &fields, out);
        }
        match Request::read(line) {
            Some(request) => self.request(&request, out),
            None => self.malformed(out),
        }
    }

    /// Answers a subscribe: gives the session its id, opaque to the client, and its extranonce1.
    pub fn subscribed(
        &mut self,
        out: &mut Vec<u8>,
        subscribe: &Subscribe,
        session_id: &str,
        extranonce1: Extranonce,
    ) {
        let session = self.subscribed.insert(Subscribed {
            session_id: session_id.into(),
            extranonce1,
        });
        session.reply(out, &subscribe.id, self.config.extranonce2_size);
    }

    /// Answers an authorize. Gives the user's number, the same as before for the same text; `None` if refused, or if there
    /// are [`USERS_MAX`] users already, which refuses too.
    pub fn authorized(
        &mut self,
        out: &mut Vec<u8>,
        authorize: &Authorize,
        verdict: Result<(), StratumError>,
    ) -> Option<UserNumber> {
        let number = verdict.and_then(|()| self.users.enter(&authorize.user));
        match number {
            Ok(number) => {
                reply_true(out, &authorize.id);
                Some(number)
            }
            Err(error) => {
                reply_refused(out, &authorize.id, error);
                None
            }
        }
    }

    /// Sends another extranonce1, which holds from the next notify on; that one must be clean. Writes nothing and says
    /// `false` if the client did not ask for such changes or is not subscribed.
    pub fn change_extranonce(&mut self, out: &mut Vec<u8>, extranonce1: Extranonce) -> bool {
        match &mut self.subscribed {
            Some(session) if self.takes_extranonce => {
                session.extranonce1 = extranonce1;
                write_set_extranonce(out, extranonce1, self.config.extranonce2_size);
                true
            }
            _ => false,
        }
    }

    /// Allows other version bits, at once, and sends what is left of them for this client. Writes nothing and says `false` if
    /// rolling was never agreed.
    pub fn change_version_mask(&mut self, out: &mut Vec<u8>, mask: u32) -> bool {
        self.config.version_mask = mask;
        match self.agreed_mask() {
            Some(mask) => {
                write_set_version_mask(out, mask);
                true
            }
            None => false,
        }
    }

    /// Asks the client what it runs; the answer, if one comes, is [`Action::Agent`].
    pub fn ask_version(&mut self, out: &mut Vec<u8>) {
        self.asked_version = true;
        write_get_version(out, VERSION_ID);
    }

    fn request(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Action {
        let Some(method) = &request.method else {
            return self.reply_of_client(request);
        };
        let id = &request.id;
        match method.as_ref() {
            "mining.submit" => self.submit_by_request(request, out),
            "mining.subscribe" => self.subscribe(request, out),
            "mining.authorize" => authorize(request, out),
            "mining.configure" => self.configure(request, out),
            "mining.suggest_difficulty" => suggest(request, out, suggested_difficulty),
            "mining.suggest_target" => suggest(request, out, suggested_target),
            "mining.extranonce.subscribe" => {
                self.takes_extranonce = true;
                reply_true(out, id);
                Action::ExtranonceSubscribed
            }
            "mining.ping" => {
                reply(out, id, b"\"pong\"");
                Action::Nothing
            }
            "mining.noop" | "mining.capabilities" | "mining.multi_version" | "mining.hashrate" => {
                reply_true(out, id);
                Action::Nothing
            }
            // `mining.get_transactions` is here as well: its result is a list that we do not give away.
            _ => refuse(out, id, Refused::Request, StratumError::Method),
        }
    }

    fn malformed(&mut self, out: &mut Vec<u8>) -> Action {
        self.malformed_lines = self.malformed_lines.saturating_add(1);
        let refused = refuse(out, &Id::null(), Refused::Line, StratumError::Malformed);
        if MALFORMED_LINES_MAX <= self.malformed_lines {
            Action::Close(CloseReason::Malformed)
        } else {
            refused
        }
    }

    /// A reply needs no reply. What we did not ask is ignored.
    fn reply_of_client(&mut self, request: &Request<'_>) -> Action {
        if !self.asked_version || request.id.bytes() != VERSION_ID.as_bytes() {
            return Action::Nothing;
        }
        self.asked_version = false;
        match request.result_text() {
            Some(agent) => Action::Agent(Agent::of(&agent)),
            None => Action::Nothing,
        }
    }

    fn subscribe(&self, request: &Request<'_>, out: &mut Vec<u8>) -> Action {
        if let Some(session) = &self.subscribed {
            // Asked again on one connection: the same answer, never a second session.
            session.reply(out, &request.id, self.config.extranonce2_size);
            return Action::Nothing;
        }
        let Some(params) = request.params() else {
            return refuse(out, &request.id, Refused::Request, StratumError::Parameters);
        };
        let param = |index: usize| params.get(index).copied().and_then(text);
        let could_be_ours = |id: &str| {
            (1..=RESUME_BYTES_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
        };
        Action::Subscribe(Subscribe {
            id: request.id.clone(),
            agent: param(0).map_or_else(Agent::default, |agent| Agent::of(&agent)),
            resume: param(1)
                .filter(|id| could_be_ours(id))
                .map(|id| id.into_owned().into()),
        })
    }

    fn configure(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Action {
        let params = request.params().unwrap_or_default();
        let Some(agreed) = negotiate(&params, self.config.version_mask) else {
            return refuse(out, &request.id, Refused::Request, StratumError::Parameters);
        };
        reply(out, &request.id, agreed.result.as_bytes());
        if agreed.asks_rolling {
            self.client_mask = agreed.client_mask;
        }
        self.takes_extranonce |= agreed.extranonce;
        Action::Configured(Configured {
            version_mask: agreed.asks_rolling.then(|| self.version_mask()),
            difficulty_min: agreed.difficulty_min,
        })
    }

    fn submit_by_request(&self, request: &Request<'_>, out: &mut Vec<u8>) -> Action {
        let refused =
            |out: &mut Vec<u8>| refuse(out, &request.id, Refused::Submit, StratumError::Parameters);
        let Some(params) = request.params() else {
            return refused(out);
        };
        // A sixth parameter of null is none; what comes after it is ignored.
        let texts: Option<Vec<_>> = params.iter().take(5).map(|value| text(value)).collect();
        let bits = match params.get(5) {
            Some(value) if value.get() != "null" => Some(text(value)),
            _ => None,
        };
        let (Some(texts), Some(bits)) = (texts, bits.map_or(Some(None), |bits| bits.map(Some)))
        else {
            return refused(out);
        };
        let [user, job, extranonce2, ntime, nonce] = texts.as_slice() else {
            return refused(out);
        };
        let fields = Fields {
            user,
            job: job.as_bytes(),
            extranonce2: extranonce2.as_bytes(),
            ntime: ntime.as_bytes(),
            nonce: nonce.as_bytes(),
            version_bits: bits.as_deref().map(str::as_bytes),
        };
        self.submit(request.id.clone(), &fields, out)
    }

    fn submit(&self, id: Id, fields: &Fields<'_>, out: &mut Vec<u8>) -> Action {
        let (size, mask) = (self.config.extranonce2_size, self.agreed_mask());
        let submit = if self.subscribed.is_none() {
            Err(StratumError::NotSubscribed)
        } else {
            match self.users.get(fields.user) {
                Some(user) => fields.submit(id.clone(), user, size, mask),
                None => Err(StratumError::Unauthorized),
            }
        };
        match submit {
            Ok(submit) => Action::Submit(submit),
            Err(error) => refuse(out, &id, Refused::Submit, error),
        }
    }
}

impl Subscribed {
    fn reply(&self, out: &mut Vec<u8>, id: &Id, extranonce2_size: u8) {
        let session = quoted(&self.session_id);
        let mut result =
            format!("[[[\"mining.set_difficulty\",{session}],[\"mining.notify\",{session}]],\"")
                .into_bytes();
        hex::write(&mut result, self.extranonce1.bytes());
        result.extend_from_slice(format!("\",{extranonce2_size}]").as_bytes());
        reply(out, id, &result);
    }
}

fn authorize(request: &Request<'_>, out: &mut Vec<u8>) -> Action {
    let params = request.params().unwrap_or_default();
    let param = |index: usize| params.get(index).copied().and_then(text);
    let Some(user) = param(0) else {
        return refuse(
            out,
            &request.id,
            Refused::Authorize,
            StratumError::Parameters,
        );
    };
    let Some(name) = UserName::parse(&user) else {
        reply_refused(out, &request.id, StratumError::Unauthorized);
        return Action::Refused {
            what: Refused::Authorize,
            error: StratumError::Unauthorized,
        };
    };
    Action::Authorize(Authorize {
        id: request.id.clone(),
        user: user.into_owned().into(),
        name,
        options: param(1).map_or_else(PasswordOptions::default, |password| {
            PasswordOptions::parse(&password)
        }),
    })
}

fn suggest(
    request: &Request<'_>,
    out: &mut Vec<u8>,
    read: impl FnOnce(&str) -> Option<Suggestion>,
) -> Action {
    let params = request.params().unwrap_or_default();
    let wanted = params.first().copied().and_then(number_text);
    match wanted.and_then(|wanted| read(&wanted)) {
        Some(suggestion) => {
            reply_true(out, &request.id);
            Action::Suggest(suggestion)
        }
        None => refuse(out, &request.id, Refused::Request, StratumError::Parameters),
    }
}

fn suggested_difficulty(text: &str) -> Option<Suggestion> {
    DifficultyText::parse(text).map(Suggestion::Difficulty)
}

/// Up to 64 hex digits, big-endian, as targets are shown.
fn suggested_target(text: &str) -> Option<Suggestion> {
    if !(1..=64).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let target = U256::from_str_radix(text, 16).ok()?;
    (!target.is_zero()).then_some(Suggestion::Target(target))
}

fn refuse(out: &mut Vec<u8>, id: &Id, what: Refused, error: StratumError) -> Action {
    reply_error(out, id, error);
    Action::Refused { what, error }
}
