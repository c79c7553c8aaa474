//! A connection whose dialect is not known before it speaks: the first bytes and the first method decide, once.
//!
//! | first | dialect |
//! |---|---|
//! | `mining.subscribe` with `EthereumStratum/1.0.0` second | NiceHash |
//! | `mining.subscribe` of `[]` with `"jsonrpc":"2.0"`; any other, where the port has no Stratum V1 | legacy |
//! | `mining.subscribe` else, `mining.configure`, `mining.authorize`, `mining.suggest_…` and the like | Stratum V1 |
//! | `mining.hello` of `EthereumStratum/2.0.0` | EthereumStratum/2.0.0 |
//! | `eth_submitLogin` and the other `eth_` calls | eth-proxy |
//! | an HTTP method | getwork |
//!
//! What the port does not take is answered with an error at once, and is no offence: ethminer tries its dialects one after
//! another, each on a new connection, and waits a second where nothing answers.

use orebook_schema::Work;
use orebook_schema::work::Extranonce;

use crate::action::{Action, Authorize, Refused, Subscribe};
use crate::dialect::{Dialect, Dialects, Recognised, recognise};
use crate::ethash::{
    EthashLines, EthashSession, HelloTerms, NICEHASH_PROTOCOL, NONCE_BYTES, error_code, put_error,
};
use crate::http::{self, Ask, HttpRequest};
use crate::id::Id;
use crate::request::Request;
use crate::session::{Session, SessionConfig};
use crate::submit::UserNumber;
use crate::write::{self, Reconnect, harmless, put, put_shown, quoted};
use crate::{CloseReason, LINE_BYTES_MAX, StratumError};

/// How many first requests of dialects that a port does not take a connection may make; the last of them ends it.
pub const FOREIGN_REQUESTS_MAX: u32 = 5;

/// What a gateway allows on the connections of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeakerConfig {
    /// What the port takes.
    pub dialects: Dialects,
    /// For Stratum V1.
    pub session: SessionConfig,
    /// For EthereumStratum/2.0.0.
    pub hello: HelloTerms,
}

/// What [`Speaker::hear`] made of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// So many bytes are done with.
    pub taken: usize,
    /// What they ask.
    pub action: Action,
}

/// One connection of any dialect.
///
/// Answers leave in the order of the requests. What [`Session`] says of Stratum V1 holds for every dialect: nothing is written
/// before the first reply, no job before [`may_send_work`](Self::may_send_work).
#[derive(Clone, Debug)]
pub struct Speaker {
    dialects: Dialects,
    hello: HelloTerms,
    /// Latched: it never changes.
    dialect: Option<Dialect>,
    /// Stratum V1's; before the dialect is known it also counts lines that are none.
    v1: Session,
    /// The other dialects'.
    ethash: Option<Box<EthashSession>>,
    foreign_requests: u32,
    web: Web,
}

/// What getwork needs to know of its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Web {
    /// The request at the front was answered already: its login was refused.
    is_answered: bool,
    /// The last request was the last.
    is_over: bool,
    /// Of the last request.
    forwarded_for: Option<Box<str>>,
}

/// What a first request is.
enum First {
    Of(Dialect),
    /// It says nothing of the dialect, and Stratum V1's session knows what to say.
    Any,
    /// Too early in every dialect.
    Early,
    /// Of a dialect that the port does not take, or of none; answered in this shape.
    Foreign(Dialect),
}

impl Speaker {
    /// A new connection.
    #[must_use]
    pub fn new(config: SpeakerConfig) -> Self {
        Self {
            dialects: config.dialects,
            hello: config.hello,
            dialect: None,
            v1: Session::new(config.session),
            ethash: None,
            foreign_requests: 0,
            web: Web::default(),
        }
    }

    /// The dialect, once it is known.
    #[must_use]
    pub const fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    /// Takes one line or one HTTP request from the beginning of the bytes that came and were not taken yet. Call it again with
    /// the rest until it says [`Action::More`], also with no rest: the last request of a connection is known by then. Whoever
    /// keeps the bytes never keeps more than [`LINE_BYTES_MAX`] + 1, for HTTP the two limits of a request together.
    ///
    /// Over HTTP each request names its user. [`Action::Authorize`] takes no byte then: answer it by
    /// [`authorized`](Self::authorized) or [`login_refused`](Self::login_refused), and the next call goes on with the request.
    pub fn hear(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Heard {
        match self.dialect {
            Some(Dialect::GetWork) => self.hear_http(bytes, out),
            Some(_) => self.hear_line(bytes, out),
            None => match recognise(bytes) {
                Recognised::More if LINE_BYTES_MAX < bytes.len() => self.hear_line(bytes, out),
                Recognised::More => heard(0, Action::More),
                Recognised::Tls => heard(bytes.len(), Action::Close(CloseReason::Tls)),
                Recognised::Lines => self.hear_line(bytes, out),
                Recognised::Http if self.dialects.has(Dialect::GetWork) => {
                    self.latch(Dialect::GetWork);
                    let blanks = bytes.len() - bytes.trim_ascii_start().len();
                    heard(blanks, Action::Nothing)
                }
                Recognised::Http => {
                    http::put_greeting(out, true, true);
                    heard(bytes.len(), Action::Close(CloseReason::Http))
                }
            },
        }
    }

    fn hear_line(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Heard {
        match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let line = bytes.get(..end).unwrap_or_default();
                heard(end + 1, self.line(line, out))
            }
            None if LINE_BYTES_MAX < bytes.len() => heard(bytes.len(), self.line(bytes, out)),
            None => heard(0, Action::More),
        }
    }

    /// Reads one line, without its `\n`, as [`Session::line`] does. Not for HTTP.
    pub fn line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Action {
        match self.dialect {
            Some(Dialect::StratumV1) => self.v1.line(line, out),
            dialect => self.other_line(line, dialect.is_some(), out),
        }
    }

    fn other_line(&mut self, line: &[u8], is_latched: bool, out: &mut Vec<u8>) -> Action {
        if LINE_BYTES_MAX < line.len() {
            return self.v1.line(line, out);
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            return Action::Nothing;
        }
        match &mut self.ethash {
            Some(ethash) if is_latched => ethash.line(line, out),
            _ => self.first_line(line, out),
        }
    }

    fn first_line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Action {
        let Some(request) = Request::read(line) else {
            // Counts it, and the count goes over to whatever dialect follows.
            return self.v1.line(line, out);
        };
        match first(&request, self.dialects) {
            First::Of(Dialect::StratumV1) => {
                self.dialect = Some(Dialect::StratumV1);
                self.v1.line(line, out)
            }
            First::Of(dialect) => self.latch(dialect).request(&request, out),
            First::Any => self.v1.line(line, out),
            First::Early => {
                write::reply_error(out, &request.id, StratumError::NotSubscribed);
                Action::Refused {
                    what: Refused::Request,
                    error: StratumError::NotSubscribed,
                }
            }
            First::Foreign(shape) => self.foreign(&request.id, shape, out),
        }
    }

    fn foreign(&mut self, id: &Id, shape: Dialect, out: &mut Vec<u8>) -> Action {
        let error = StratumError::Method;
        put_error(out, shape, id, error_code(shape, error), &error.to_string());
        self.foreign_requests = self.foreign_requests.saturating_add(1);
        if FOREIGN_REQUESTS_MAX <= self.foreign_requests {
            return Action::Close(CloseReason::Dialect);
        }
        Action::NotSpoken(error)
    }

    fn latch(&mut self, dialect: Dialect) -> &mut EthashSession {
        self.dialect = Some(dialect);
        let session = EthashSession::new(dialect, self.hello, self.v1.malformed_lines());
        self.ethash.insert(Box::new(session))
    }

    fn hear_http(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Heard {
        if self.web.is_over {
            return heard(bytes.len(), Action::Close(CloseReason::Served));
        }
        match http::read(bytes) {
            Ok(None) => heard(0, Action::More),
            Ok(Some(request)) => self.http_request(&request, out),
            Err(fault) => {
                fault.put(out);
                heard(bytes.len(), Action::Close(CloseReason::Http))
            }
        }
    }

    fn http_request(&mut self, request: &HttpRequest<'_>, out: &mut Vec<u8>) -> Heard {
        self.web.forwarded_for = Some((*request.forwarded_for).into());
        let (taken, action) = match &request.ask {
            _ if self.web.is_answered => (request.len, Action::Nothing),
            Ask::Look { with_text } => {
                http::put_greeting(out, *with_text, false);
                (request.len, Action::Nothing)
            }
            Ask::Wrong(fault) => {
                fault.put(out);
                let action = Action::Refused {
                    what: Refused::Request,
                    error: StratumError::Method,
                };
                (request.len, action)
            }
            Ask::Call { user, body } => self.call(user.as_ref(), body, request.len, out),
        };
        if taken != 0 {
            self.web.is_answered = false;
            self.web.is_over = !request.keep_alive;
        }
        heard(taken, action)
    }

    fn call(
        &mut self,
        user: Option<&http::User>,
        body: &[u8],
        len: usize,
        out: &mut Vec<u8>,
    ) -> (usize, Action) {
        let Some(ethash) = &mut self.ethash else {
            return (len, Action::Nothing);
        };
        // What is no request is no login either.
        let Some(request) = Request::read(body) else {
            return (len, ethash.line(body, out));
        };
        match user {
            Some(user) => {
                let (text, options) = (&user.text, user.options.clone());
                if let Some(authorize) = ethash.log_in_by_path(&request.id, text, options) {
                    return (0, Action::Authorize(authorize));
                }
            }
            None => ethash.log_out(),
        }
        let before = out.len();
        let action = ethash.request(&request, out);
        if out.len() == before && action == Action::Nothing {
            // A reply or the like: HTTP wants an answer all the same.
            ethash.put_refusal(out, &request.id, StratumError::Malformed);
        }
        (len, action)
    }

    /// Takes what the last HTTP request said as `X-Forwarded-For`, empty if nothing; `None` if there was no request since. Anybody
    /// can say anything there: it is the gateway that knows whom to believe.
    pub const fn take_forwarded_for(&mut self) -> Option<Box<str>> {
        self.web.forwarded_for.take()
    }

    /// Whether jobs may be sent: subscribed where there is a subscribe, and at least one user. Never over getwork.
    #[must_use]
    pub fn may_send_work(&self) -> bool {
        match &self.ethash {
            Some(ethash) => ethash.may_send_work(),
            None => self.v1.may_send_work(),
        }
    }

    /// What is ours and the session's own: of the coinbase, or of the nonce. Once subscribed, or logged in.
    #[must_use]
    pub fn extranonce1(&self) -> Option<Extranonce> {
        match &self.ethash {
            Some(ethash) => ethash.prefix(),
            None => self.v1.extranonce1(),
        }
    }

    /// Bytes the rig adds to it.
    #[must_use]
    pub fn extranonce2_size(&self) -> u8 {
        match &self.ethash {
            Some(ethash) => {
                let ours = ethash.prefix().unwrap_or_default().bytes().len();
                u8::try_from(NONCE_BYTES.saturating_sub(ours)).unwrap_or_default()
            }
            None => self.v1.extranonce2_size(),
        }
    }

    /// Version bits that submits may roll now; 0 if none.
    #[must_use]
    pub fn version_mask(&self) -> u32 {
        match &self.ethash {
            Some(_) => 0,
            None => self.v1.version_mask(),
        }
    }

    /// Stratum V1's session, for what it alone has.
    pub const fn v1(&mut self) -> &mut Session {
        &mut self.v1
    }

    /// Answers a subscribe: gives the session its id and its extranonce1, which for ethash are at most
    /// [`NONCE_PREFIX_BYTES_MAX`](crate::NONCE_PREFIX_BYTES_MAX) bytes (the legacy dialect has none).
    pub fn subscribed(
        &mut self,
        out: &mut Vec<u8>,
        subscribe: &Subscribe,
        session_id: &str,
        extranonce1: Extranonce,
    ) {
        match &mut self.ethash {
            Some(ethash) => ethash.subscribed(out, subscribe, session_id, extranonce1),
            None => self.v1.subscribed(out, subscribe, session_id, extranonce1),
        }
    }

    /// Answers an authorize, as [`Session::authorized`] does.
    pub fn authorized(
        &mut self,
        out: &mut Vec<u8>,
        authorize: &Authorize,
        verdict: Result<(), StratumError>,
    ) -> Option<UserNumber> {
        match &mut self.ethash {
            Some(ethash) => {
                let number = ethash.authorized(out, authorize, verdict);
                self.web.is_answered = number.is_none() && ethash.dialect() == Dialect::GetWork;
                number
            }
            None => self.v1.authorized(out, authorize, verdict),
        }
    }

    /// Refuses an authorize in words of the gateway's own; quotes, backslashes and what is not ASCII are shown as `?`.
    pub fn login_refused(
        &mut self,
        out: &mut Vec<u8>,
        authorize: &Authorize,
        error: StratumError,
        why: &str,
    ) {
        match &mut self.ethash {
            Some(ethash) => {
                ethash.put_refusal_why(out, &authorize.id, error, why);
                self.web.is_answered = ethash.dialect() == Dialect::GetWork;
            }
            None => {
                put(out, &[b"{\"id\":", authorize.id.bytes()]);
                let (code, why) = (error.code(), harmless(why));
                put_shown(
                    out,
                    format_args!(",\"result\":false,\"error\":[{code},\"{why}\",null]}}\n"),
                );
            }
        }
    }

    /// Yes.
    pub fn accepted(&self, out: &mut Vec<u8>, id: &Id) {
        match &self.ethash {
            Some(ethash) => ethash.put_accepted(out, id),
            None => write::reply_true(out, id),
        }
    }

    /// Yes, but late: EthereumStratum/2.0.0 says so, the others say yes.
    pub fn accepted_stale(&self, out: &mut Vec<u8>, id: &Id) {
        match &self.ethash {
            Some(ethash) => ethash.put_accepted_stale(out, id),
            None => write::reply_true(out, id),
        }
    }

    /// No.
    pub fn refused(&self, out: &mut Vec<u8>, id: &Id, error: StratumError) {
        match &self.ethash {
            Some(ethash) => ethash.put_refusal(out, id, error),
            None => write::reply_error(out, id, error),
        }
    }

    /// No, in words of the gateway's own, as in [`login_refused`](Self::login_refused).
    pub fn refused_why(&self, out: &mut Vec<u8>, id: &Id, error: StratumError, why: &str) {
        match &self.ethash {
            Some(ethash) => ethash.put_refusal_why(out, id, error, why),
            None => {
                let code = i32::from(error.code());
                put_error(out, Dialect::StratumV1, id, code, &harmless(why));
            }
        }
    }

    /// Sends an ethash job, and before it the difficulty or what else changed. `clean`: older jobs are worth nothing any more.
    /// Send only the newest job: ethminer keeps the first of a transmission. Writes nothing over getwork and Stratum V1.
    pub fn send_ethash(&mut self, out: &mut Vec<u8>, job: &EthashLines, work: Work, clean: bool) {
        if let Some(ethash) = &mut self.ethash {
            ethash.put_job(out, job, work, clean);
        }
    }

    /// Answers [`Action::GetWork`]; without a job say [`refused`](Self::refused) with [`StratumError::NoWork`].
    pub fn give_work(&self, out: &mut Vec<u8>, id: &Id, job: &EthashLines, work: Work) {
        if let Some(ethash) = &self.ethash {
            ethash.put_work(out, id, job, work);
        }
    }

    /// Answers [`Action::GetHeight`].
    pub fn give_height(&self, out: &mut Vec<u8>, id: &Id, height: u64) {
        if let Some(ethash) = &self.ethash {
            ethash.put_height(out, id, height);
        }
    }

    /// Sends the client elsewhere, or here again; says whether its dialect has words for that. eth-proxy, the legacy dialect and
    /// getwork have none: close, and they come again.
    pub fn reconnect(&self, out: &mut Vec<u8>, to: Option<Reconnect<'_>>) -> bool {
        match (self.dialect, to) {
            (Some(Dialect::StratumV1 | Dialect::NiceHash), to) => {
                write::write_reconnect(out, to);
                true
            }
            (Some(Dialect::EthereumStratum2), Some(to)) => {
                let (host, port) = (quoted(to.host), to.port);
                put_shown(
                    out,
                    format_args!(
                        "{{\"method\":\"mining.reconnect\",\"params\":{{\"host\":{host},\"port\":\"{port:x}\",\"resume\":\"0\"}}}}\n"
                    ),
                );
                true
            }
            _ => false,
        }
    }

    /// A last word before the gateway closes, where a dialect has one.
    pub fn bye(&self, out: &mut Vec<u8>) {
        if self.dialect == Some(Dialect::EthereumStratum2) {
            out.extend_from_slice(b"{\"method\":\"mining.bye\"}\n");
        }
    }
}

const fn heard(taken: usize, action: Action) -> Heard {
    Heard { taken, action }
}

/// What a first request says of its dialect, on a port that takes these.
fn first(request: &Request<'_>, dialects: Dialects) -> First {
    let Some(method) = request.method.as_deref() else {
        // A reply to nothing.
        return First::Any;
    };
    let of = |dialect: Dialect| {
        if dialects.has(dialect) {
            First::Of(dialect)
        } else {
            First::Foreign(dialect)
        }
    };
    match method {
        "mining.subscribe" => subscribe_of(request, dialects),
        "mining.hello" => {
            let is_ours = request.raw_params().is_some_and(|params| {
                // Another protocol of this kind latches nothing.
                params.get().contains("EthereumStratum/2.0.0")
            });
            match of(Dialect::EthereumStratum2) {
                First::Of(_) if !is_ours => First::Foreign(Dialect::EthereumStratum2),
                first => first,
            }
        }
        _ if method.starts_with("eth_") => of(Dialect::EthProxy),
        "mining.ping" | "mining.noop" | "mining.extranonce.subscribe" | "mining.submit" => {
            First::Any
        }
        "mining.authorize" if !dialects.has(Dialect::StratumV1) => First::Early,
        "mining.authorize"
        | "mining.configure"
        | "mining.suggest_difficulty"
        | "mining.suggest_target"
        | "mining.capabilities"
        | "mining.multi_version"
        | "mining.hashrate" => of(Dialect::StratumV1),
        _ => First::Foreign(Dialect::StratumV1),
    }
}

fn subscribe_of(request: &Request<'_>, dialects: Dialects) -> First {
    let protocol = request.text_param(1);
    if protocol.as_deref() == Some(NICEHASH_PROTOCOL) {
        return if dialects.has(Dialect::NiceHash) {
            First::Of(Dialect::NiceHash)
        } else {
            First::Foreign(Dialect::NiceHash)
        };
    }
    let is_bare = request.params().is_some_and(|params| params.is_empty());
    let says_legacy = is_bare && request.is_jsonrpc_2();
    match (
        dialects.has(Dialect::StratumV1),
        dialects.has(Dialect::Legacy),
    ) {
        (_, true) if says_legacy => First::Of(Dialect::Legacy),
        (true, _) => First::Of(Dialect::StratumV1),
        (false, true) => First::Of(Dialect::Legacy),
        (false, false) => First::Foreign(Dialect::StratumV1),
    }
}
