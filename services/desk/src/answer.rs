//! Answers: what became of a command, as JSON with a status of HTTP.

use orebook_schema::{At, Hash};
use serde_json::{Value, json};

/// Why a command was refused before anything was written. In the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many commands with a wrong signature came from this address.
    #[error("too many wrong signatures from your address: come again in a minute")]
    TooMany,
    /// Not the bytes of a command.
    #[error("these bytes are no command: {0}")]
    Malformed(String),
    /// Meant for another ledger.
    #[error("the command is for another ledger")]
    WrongLedger,
    /// Nobody knows this key.
    #[error("this key is no operator's and no approver's")]
    UnknownOperator,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Signature,
    /// Known, and not allowed to say this.
    #[error("this operator may not say {0}")]
    NotAllowed(&'static str),
    /// Its time is over.
    #[error("the command's time is over: sign it again")]
    Expired,
    /// Its time is too far ahead.
    #[error("the command would be taken for more than a week: sign it for less")]
    TooLong,
    /// People say other kinds.
    #[error("a command cannot say {0}")]
    Kind(&'static str),
    /// No position of the ledger is final here yet.
    #[error("no position of the ledger is final here yet: come again")]
    NotReady,
    /// The ledger refuses the desk's own frames.
    #[error("the desk's own key is not in force")]
    KeyNotInForce,
    /// Another command on the same subject waits for its answer, or too many wait.
    #[error("another command on this subject waits for its answer: ask for that one first")]
    Busy,
    /// It is so already, or was said already.
    #[error("{0}")]
    Already(String),
    /// The subject has moved on.
    #[error("the subject has moved on: its last obeyed event is {current}, not {expects}")]
    Expects {
        /// What the command expects.
        expects: At,
        /// What it would have to expect.
        current: At,
    },
    /// Nothing verifies with the key.
    #[error("nothing verifies with this key: it is no point of the curve, or of small order")]
    NoKey,
    /// Nobody could say or finish anything after it.
    #[error("this is the last {0} key in force: put another in force first")]
    LastKey(&'static str),
    /// A pot's number has one scheme for ever.
    #[error("a pot's number has one scheme for ever: give the new scheme a new number")]
    Scheme,
    /// What gateways hold of bans has a limit.
    #[error("too many targets are banned: lift some first")]
    TooManyBans,
    /// What gateways hold of registered accounts has limits.
    #[error("too many names or workers are registered")]
    TooManyAccounts,
    /// Nobody has the name.
    #[error("no account is registered as {0}")]
    NotRegistered(String),
    /// What is cited does not exist yet.
    #[error("the ledger has no place {0} yet")]
    NotThere(At),
    /// A kind or version that this software does not know: its folds would stop.
    #[error("this software knows no kind {kind} of version {version}")]
    UnknownKind {
        /// Kind.
        kind: u8,
        /// Version.
        version: u8,
    },
    /// Not one of genesis.
    #[error("this key is no approver of the ledger")]
    NotApprover,
    /// The approval's own signature is wrong.
    #[error("the approval's signature is wrong")]
    ApprovalSignature,
    /// The ledger would not obey it, for a cause that no check above names.
    #[error("the ledger would not obey it")]
    NotObeyed,
    /// The text of a setting is none.
    #[error(transparent)]
    Text(#[from] crate::setting::TextError),
    /// The signature of a setting's text.
    #[error(transparent)]
    Proof(#[from] orebook_chain::signed::SignedError),
    /// The token is not the account's.
    #[error("this is not the account's token, or it has none: the pool's operator makes one")]
    Token,
    /// More than a token may do.
    #[error("{0}")]
    TokenMay(&'static str),
    /// A browser asks for a page that is not the pool's.
    #[error("settings are taken from the pool's own page, and from no other site's")]
    Origin,
    /// A question for a text.
    #[error("{0}")]
    Question(&'static str),
    /// A text's time is too far ahead.
    #[error("the text would be taken for more than a day: ask for another")]
    TooFar,
    /// One account, or all together, set more often than is taken.
    #[error("too many settings were said: come again later")]
    TooOften,
    /// No room in the spool or for the audit trail.
    #[error("the desk has no room to write now: come again")]
    NoRoom,
}

impl Refusal {
    /// Its name, for programs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::Malformed(_) => "malformed",
            Self::WrongLedger => "wrong_ledger",
            Self::UnknownOperator => "unknown_operator",
            Self::Signature => "signature",
            Self::NotAllowed(_) => "not_allowed",
            Self::Expired => "expired",
            Self::TooLong => "too_long",
            Self::Kind(_) => "kind",
            Self::NotReady => "not_ready",
            Self::KeyNotInForce => "key_not_in_force",
            Self::Busy => "busy",
            Self::Already(_) => "already",
            Self::Expects { .. } => "expects",
            Self::NoKey => "no_key",
            Self::LastKey(_) => "last_key",
            Self::Scheme => "scheme",
            Self::TooManyBans => "too_many_bans",
            Self::TooManyAccounts => "too_many_accounts",
            Self::NotRegistered(_) => "not_registered",
            Self::NotThere(_) => "not_there",
            Self::UnknownKind { .. } => "unknown_kind",
            Self::NotApprover => "not_approver",
            Self::ApprovalSignature => "approval_signature",
            Self::NotObeyed => "not_obeyed",
            Self::Text(crate::setting::TextError::Ledger) => "wrong_ledger",
            Self::Text(_) => "text",
            Self::Proof(_) => "signature",
            Self::Token => "token",
            Self::TokenMay(_) => "token_may",
            Self::Origin => "origin",
            Self::Question(_) => "question",
            Self::TooFar => "too_long",
            Self::TooOften => "too_often",
            Self::NoRoom => "no_room",
        }
    }

    /// Status of HTTP: 400 for what can never be taken, 403 for who may not, 409 for what came too late, 422 for what must not
    /// be, 429 and 503 for what may be taken later.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::TooMany | Self::TooOften => 429,
            Self::Malformed(_)
            | Self::Text(_)
            | Self::Question(_)
            | Self::TooFar
            | Self::WrongLedger
            | Self::TooLong
            | Self::Kind(_) => 400,
            Self::UnknownOperator
            | Self::Signature
            | Self::NotAllowed(_)
            | Self::Proof(_)
            | Self::Token
            | Self::TokenMay(_)
            | Self::Origin
            | Self::NotApprover
            | Self::ApprovalSignature => 403,
            Self::Busy | Self::Already(_) | Self::Expects { .. } | Self::Expired => 409,
            Self::NoKey
            | Self::LastKey(_)
            | Self::Scheme
            | Self::TooManyBans
            | Self::TooManyAccounts
            | Self::NotRegistered(_)
            | Self::NotThere(_)
            | Self::UnknownKind { .. }
            | Self::NotObeyed => 422,
            Self::NotReady | Self::KeyNotInForce | Self::NoRoom => 503,
        }
    }

    /// As an answer.
    #[must_use]
    pub fn answer(&self, id: Option<Hash>) -> Answer {
        let mut body = json!({
            "outcome": "refused",
            "cause": self.name(),
            "message": self.to_string(),
        });
        if let Some(id) = id {
            put(&mut body, "id", id.to_string().into());
        }
        if let Self::Expects { current, .. } = self {
            put(&mut body, "current", place(*current));
        }
        Answer {
            status: self.status(),
            body,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Status of HTTP.
    pub status: u16,
    /// What is said; an object.
    pub body: Value,
}

/// A thing that needs approvals, as answers show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThingState {
    /// What approvers sign.
    pub digest: Hash,
    /// Approvals that it needs; none if no thing of this digest waits, or if that is not known any more.
    pub needed: Option<usize>,
    /// Approvals that were admitted.
    pub approved: usize,
}

/// What became of a command that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Obeyed,
    /// It stands, and takes effect with the last approval that it needs.
    Waits(ThingState),
    /// An approval that counts; the thing, where it is known.
    Counted(Option<ThingState>),
    /// It stands, and is judged with the balances, which the desk does not know; what approvers sign, and how many did.
    Said(ThingState),
    /// It stands, and its subject had moved on: it changes nothing.
    Overtaken,
}

impl Outcome {
    /// Its name, for programs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Obeyed => "obeyed",
            Self::Waits(_) => "waits",
            Self::Counted(_) => "counted",
            Self::Said(_) => "said",
            Self::Overtaken => "overtaken",
        }
    }

    /// As an answer, for a command that stands at `at`.
    #[must_use]
    pub fn answer(&self, id: Hash, at: At) -> Answer {
        let mut body = json!({ "id": id.to_string(), "outcome": self.name(), "at": place(at) });
        let (status, message) = match self {
            Self::Obeyed => (200, "obeyed".to_owned()),
            Self::Waits(thing) => {
                let missing = missing(thing).unwrap_or(0);
                (200, format!("waits for {missing} more approvals"))
            }
            Self::Counted(None) => (200, "the approval counts".to_owned()),
            Self::Counted(Some(thing)) => match missing(thing) {
                None => (
                    200,
                    "the approval counts; no thing of this digest waits here. A batch of payouts or a resume is judged with \
                     the balances: `orebook pay status` shows whether it took effect"
                        .to_owned(),
                ),
                Some(0) => (200, "the approval counts; the thing took effect".to_owned()),
                Some(left) => (
                    200,
                    format!("the approval counts; {left} more approvals are needed"),
                ),
            },
            Self::Said(thing) => {
                let missing = missing(thing).unwrap_or(0);
                (
                    200,
                    format!(
                        "said; it needs {missing} more approvals, and whether it is obeyed is judged with the balances, by the place \
                         that it names: `orebook pay status` shows whether, and where, the wallet is halted still"
                    ),
                )
            }
            Self::Overtaken => (
                409,
                "written, and not obeyed: its subject had moved on".to_owned(),
            ),
        };
        put(&mut body, "message", message.into());
        if let Self::Waits(thing) | Self::Counted(Some(thing)) | Self::Said(thing) = self {
            let thing = json!({
                "digest": thing.digest.to_string(),
                "needed": thing.needed,
                "approved": thing.approved,
                "missing": missing(thing),
            });
            put(&mut body, "thing", thing);
        }
        Answer { status, body }
    }
}

fn missing(thing: &ThingState) -> Option<usize> {
    thing
        .needed
        .map(|needed| needed.saturating_sub(thing.approved))
}

/// Written, and not final yet.
#[must_use]
pub fn pending(id: Hash) -> Answer {
    Answer {
        status: 202,
        body: json!({
            "id": id.to_string(),
            "outcome": "unknown",
            "message": "not final yet: ask for this id, or send the very same again",
        }),
    }
}

/// It never reached the ledger, and never will by itself.
#[must_use]
pub fn lost(id: Hash) -> Answer {
    Answer {
        status: 503,
        body: json!({
            "id": id.to_string(),
            "outcome": "lost",
            "message": "it did not reach the ledger: send it again",
        }),
    }
}

/// No command of this id is known.
#[must_use]
pub fn unknown(id: Hash) -> Answer {
    Answer {
        status: 404,
        body: json!({
            "id": id.to_string(),
            "outcome": "never",
            "message": "no command of this id was taken here",
        }),
    }
}

/// A place in the ledger, as answers show it.
#[must_use]
pub fn place(at: At) -> Value {
    json!([at.position, at.index])
}

fn put(body: &mut Value, key: &str, value: Value) {
    if let Value::Object(fields) = body {
        fields.insert(key.to_owned(), value);
    }
}
