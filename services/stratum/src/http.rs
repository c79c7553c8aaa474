//! HTTP as getwork needs it: one request out of bytes, answers with their length. HTTP/1.0 and 1.1 (RFC 9112), strict: line
//! ends are CRLF, bodies have a Content-Length, nothing is chunked, nothing is folded.
//!
//! A head is judged once it is whole, so that what is answered does not depend on how the bytes were split.

use std::borrow::Cow;

use crate::write::{put, put_shown};
use crate::{PasswordOptions, UserName};

/// Most bytes of a request's line and headers, their last CRLF included. More is answered 431, and the connection ends.
pub const HTTP_HEAD_BYTES_MAX: usize = 8_192;

/// Most headers of a request; more are answered 431.
pub const HTTP_HEADERS_MAX: usize = 64;

/// Most bytes of a request's body. The largest honest one, `eth_submitWork`, has below 400. More is answered 413.
pub const HTTP_BODY_BYTES_MAX: usize = 4_096;

const HEAD_END: &[u8] = b"\r\n\r\n";

/// What a person with a browser, or a load balancer, is told.
const GREETING: &str = "This port speaks Stratum, for mining machines.\n";

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpRequest<'a> {
    pub(crate) ask: Ask<'a>,
    /// Whether the connection goes on behind it.
    pub(crate) keep_alive: bool,
    /// `X-Forwarded-For` as it came, its lines joined (RFC 9110, 5.3); empty if there is none.
    pub(crate) forwarded_for: Cow<'a, str>,
    /// How many bytes it took.
    pub(crate) len: usize,
}

/// What it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask<'a> {
    /// A call, by somebody or by nobody.
    Call { user: Option<User>, body: &'a [u8] },
    /// A look by a person or a load balancer; with a text, or its length only.
    Look { with_text: bool },
    /// Nothing that there is.
    Wrong(HttpFault),
}

/// Whom a path or `Authorization: Basic` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) text: Box<str>,
    pub(crate) options: PasswordOptions,
}

/// Why a request is not served. The first two leave the connection open: they were understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpFault {
    Path,
    Method,
    Malformed,
    Length,
    BodyTooLarge,
    Expectation,
    HeadTooLarge,
    Version,
}

impl HttpFault {
    /// Status, reason, and what a person can do.
    const fn told(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Path => (
                404,
                "Not Found",
                "Miners POST JSON-RPC to /ADDRESS/RIG; there is nothing else here.\n",
            ),
            Self::Method => (
                405,
                "Method Not Allowed",
                "Miners POST JSON-RPC to /ADDRESS/RIG.\n",
            ),
            Self::Malformed => (400, "Bad Request", "This is no HTTP request.\n"),
            Self::Length => (
                411,
                "Length Required",
                "A body needs a Content-Length and must not be chunked.\n",
            ),
            Self::BodyTooLarge => (413, "Content Too Large", "A body has 4096 bytes at most.\n"),
            Self::Expectation => (
                417,
                "Expectation Failed",
                "Send the body without waiting for a 100.\n",
            ),
            Self::HeadTooLarge => (
                431,
                "Request Header Fields Too Large",
                "Headers have 8192 bytes and 64 lines at most.\n",
            ),
            Self::Version => (
                505,
                "HTTP Version Not Supported",
                "HTTP/1.0 and HTTP/1.1 only.\n",
            ),
        }
    }

    /// Writes the answer. What was not understood ends the connection, and says so.
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        let (status, reason, text) = self.told();
        let more = match self {
            Self::Path => "",
            Self::Method => "Allow: POST, GET, HEAD\r\n",
            _ => "Connection: close\r\n",
        };
        put_text(out, status, reason, more, text, true);
    }
}

/// Reads the request at the beginning of the bytes; none if it is not whole.
///
/// # Errors
/// Why the connection cannot go on: where the next request begins is not known.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<HttpRequest<'_>>, HttpFault> {
    let within = bytes.get(..HTTP_HEAD_BYTES_MAX).unwrap_or(bytes);
    let end = within
        .windows(HEAD_END.len())
        .position(|part| part == HEAD_END);
    let Some(end) = end else {
        let is_too_long = HTTP_HEAD_BYTES_MAX <= bytes.len();
        return if is_too_long {
            Err(HttpFault::HeadTooLarge)
        } else {
            Ok(None)
        };
    };
    let head_bytes = end + HEAD_END.len();
    let head = bytes.get(..end).ok_or(HttpFault::Malformed)?;
    let head = Head::read(head)?;
    let rest = bytes.get(head_bytes..).unwrap_or_default();
    let Some(body) = rest.get(..head.body_bytes) else {
        return Ok(None);
    };
    Ok(Some(HttpRequest {
        ask: head.ask(body),
        keep_alive: head.keep_alive,
        forwarded_for: head.forwarded_for,
        len: head_bytes + head.body_bytes,
    }))
}

/// A line and headers.
struct Head<'a> {
    method: &'a str,
    path: &'a str,
    keep_alive: bool,
    body_bytes: usize,
    basic: Option<(Box<str>, PasswordOptions)>,
    forwarded_for: Cow<'a, str>,
}

impl<'a> Head<'a> {
    fn read(head: &'a [u8]) -> Result<Self, HttpFault> {
        let head = str::from_utf8(head).map_err(|_| HttpFault::Malformed)?;
        // CR and LF come together or not at all; other control characters never.
        let is_legal = |c: char| c == '\t' || !c.is_control();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut parts = first.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HttpFault::Malformed);
        };
        let keep_alive = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ if version.starts_with("HTTP/") => return Err(HttpFault::Version),
            _ => return Err(HttpFault::Malformed),
        };
        if !target.starts_with('/') || !target.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(HttpFault::Malformed);
        }
        let mut read = Self {
            method,
            // What follows a question mark means nothing here.
            path: target.split_once('?').map_or(target, |(path, _)| path),
            keep_alive,
            body_bytes: 0,
            basic: None,
            forwarded_for: Cow::Borrowed(""),
        };
        let (mut count, mut length) = (0, None);
        for line in lines {
            count += 1;
            if HTTP_HEADERS_MAX < count {
                return Err(HttpFault::HeadTooLarge);
            }
            let (name, value) = line.split_once(':').ok_or(HttpFault::Malformed)?;
            if !is_token(name) || !value.chars().all(is_legal) {
                return Err(HttpFault::Malformed);
            }
            read.header(name, value.trim_matches([' ', '\t']), &mut length)?;
        }
        read.body_bytes = match length {
            Some(length) => length,
            None if method == "POST" => return Err(HttpFault::Length),
            None => 0,
        };
        Ok(read)
    }

    fn header(
        &mut self,
        name: &str,
        value: &'a str,
        length: &mut Option<usize>,
    ) -> Result<(), HttpFault> {
        match name.to_ascii_lowercase().as_str() {
            "content-length" if length.is_some() => return Err(HttpFault::Malformed),
            "content-length" => *length = Some(content_length(value)?),
            "transfer-encoding" => return Err(HttpFault::Length),
            "expect" => return Err(HttpFault::Expectation),
            "connection" => {
                let closes = |option: &str| option.trim().eq_ignore_ascii_case("close");
                self.keep_alive &= !value.split(',').any(closes);
            }
            "authorization" => self.basic = basic(value),
            "x-forwarded-for" => {
                if !self.forwarded_for.is_empty() {
                    self.forwarded_for += ", ";
                }
                self.forwarded_for += value;
            }
            _ => {}
        }
        Ok(())
    }

    fn ask(&self, body: &'a [u8]) -> Ask<'a> {
        let named = self.path.trim_matches('/');
        let user = if named.is_empty() {
            self.basic.clone()
        } else {
            let options = self.basic.clone().map(|(_, options)| options);
            Some((named.into(), options.unwrap_or_default()))
        };
        if user
            .as_ref()
            .is_some_and(|(text, _)| UserName::parse(text).is_none())
        {
            return Ask::Wrong(HttpFault::Path);
        }
        match self.method {
            "POST" => Ask::Call {
                user: user.map(|(text, options)| User { text, options }),
                body,
            },
            "GET" => Ask::Look { with_text: true },
            "HEAD" => Ask::Look { with_text: false },
            _ => Ask::Wrong(HttpFault::Method),
        }
    }
}

/// A header's name (RFC 9110, 5.6.2).
fn is_token(name: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(is_part)
}

fn content_length(value: &str) -> Result<usize, HttpFault> {
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(HttpFault::Malformed);
    }
    // What does not fit is too large as well.
    let length = value.parse().unwrap_or(usize::MAX);
    if HTTP_BODY_BYTES_MAX < length {
        return Err(HttpFault::BodyTooLarge);
    }
    Ok(length)
}

/// `Basic` credentials (RFC 7617); what is none is ignored. Nothing of a password is kept but its options.
fn basic(value: &str) -> Option<(Box<str>, PasswordOptions)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(unbase64(encoded.trim())?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.into(), PasswordOptions::parse(password)))
}

/// Base64 (RFC 4648, 4), padded or not.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 & 0xffff | u32::from(value);
        bits += 6;
        if 8 <= bits {
            bits -= 8;
            let [.., byte] = (held >> bits).to_be_bytes();
            bytes.push(byte);
        }
    }
    Some(bytes)
}

/// A JSON answer.
pub(crate) fn put_json(out: &mut Vec<u8>, body: &[u8]) {
    let body = body.trim_ascii_end();
    let len = body.len();
    put_shown(
        out,
        format_args!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n"
        ),
    );
    put(out, &[body]);
}

/// The answer to a look; `closing`, where the port takes no calls.
pub(crate) fn put_greeting(out: &mut Vec<u8>, with_text: bool, closing: bool) {
    let more = if closing { "Connection: close\r\n" } else { "" };
    put_text(out, 200, "OK", more, GREETING, with_text);
}

fn put_text(out: &mut Vec<u8>, status: u16, reason: &str, more: &str, text: &str, with_text: bool) {
    let len = text.len();
    put_shown(
        out,
        format_args!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\n{more}Content-Length: {len}\r\n\r\n"
        ),
    );
    if with_text {
        put(out, &[text.as_bytes()]);
    }
}
