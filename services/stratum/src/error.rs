//! What a miner is told when something is not accepted, and why a connection ends.

/// An error reply: `[code, message, null]` (background: protocols 1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StratumError {
    /// No JSON object with a method, or not UTF-8, or over a limit.
    #[error("Malformed request")]
    Malformed,
    /// The method is known, its parameters are not what it takes.
    #[error("Invalid parameters")]
    Parameters,
    /// A method we do not have.
    #[error("Unsupported method")]
    Method,
    /// extranonce2 is no hex of the session's size.
    #[error("Invalid extranonce2")]
    Extranonce2,
    /// ntime is not eight hex digits.
    #[error("Invalid ntime")]
    Ntime,
    /// ntime is a number, but too early or too late.
    #[error("ntime out of range")]
    NtimeRange,
    /// nonce is not eight hex digits.
    #[error("Invalid nonce")]
    Nonce,
    /// Version bits are not eight hex digits, outside the mask, or sent though rolling was not negotiated.
    #[error("Invalid version bits")]
    VersionBits,
    /// The gateway cannot take shares now: its queue or its disk is full.
    #[error("Temporarily unavailable")]
    Unavailable,
    /// No node gives fresh work.
    #[error("No work available")]
    NoWork,
    /// The job is not known, or its parent is gone.
    #[error("Job not found")]
    JobNotFound,
    /// The same share came before.
    #[error("Duplicate share")]
    Duplicate,
    /// The hash is above the target.
    #[error("Low difficulty share")]
    LowDifficulty,
    /// The user is not authorized here, or may not be.
    #[error("Unauthorized worker")]
    Unauthorized,
    /// A share before subscribe.
    #[error("Not subscribed")]
    NotSubscribed,
}

impl StratumError {
    /// Every error.
    pub const ALL: [Self; 15] = [
        Self::Malformed,
        Self::Parameters,
        Self::Method,
        Self::Extranonce2,
        Self::Ntime,
        Self::NtimeRange,
        Self::Nonce,
        Self::VersionBits,
        Self::Unavailable,
        Self::NoWork,
        Self::JobNotFound,
        Self::Duplicate,
        Self::LowDifficulty,
        Self::Unauthorized,
        Self::NotSubscribed,
    ];

    /// The protocol's number: 21 job not found, 22 duplicate, 23 low difficulty, 24 unauthorized, 25 not subscribed, else 20.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::JobNotFound => 21,
            Self::Duplicate => 22,
            Self::LowDifficulty => 23,
            Self::Unauthorized => 24,
            Self::NotSubscribed => 25,
            _ => 20,
        }
    }

    /// Lower-case name for metrics and counts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Parameters => "parameters",
            Self::Method => "method",
            Self::Extranonce2 => "extranonce2",
            Self::Ntime => "ntime",
            Self::NtimeRange => "ntime_range",
            Self::Nonce => "nonce",
            Self::VersionBits => "version_bits",
            Self::Unavailable => "unavailable",
            Self::NoWork => "no_work",
            Self::JobNotFound => "job_not_found",
            Self::Duplicate => "duplicate",
            Self::LowDifficulty => "low_difficulty",
            Self::Unauthorized => "unauthorized",
            Self::NotSubscribed => "not_subscribed",
        }
    }
}

/// Why a connection must be closed; the error reply, if one is due, is written already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// A line longer than [`LINE_BYTES_MAX`](crate::LINE_BYTES_MAX).
    #[error("line too long")]
    LineTooLong,
    /// [`MALFORMED_LINES_MAX`](crate::MALFORMED_LINES_MAX) lines that were no request.
    #[error("malformed lines")]
    Malformed,
    /// [`FOREIGN_REQUESTS_MAX`](crate::FOREIGN_REQUESTS_MAX) first requests of dialects that the port does not take.
    #[error("no dialect of this port")]
    Dialect,
    /// A TLS hello where none is taken.
    #[error("TLS on a plain port")]
    Tls,
    /// HTTP that is malformed or over a limit, or on a port without getwork.
    #[error("HTTP that is not served")]
    Http,
    /// An HTTP request said that it was the connection's last; it was served.
    #[error("the last request was served")]
    Served,
    /// The miner said good-bye.
    #[error("good-bye")]
    Bye,
}

impl CloseReason {
    /// Lower-case name for metrics and counts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::Malformed => "malformed",
            Self::Dialect => "dialect",
            Self::Tls => "tls_on_plain",
            Self::Http => "http",
            Self::Served => "served",
            Self::Bye => "bye",
        }
    }
}
