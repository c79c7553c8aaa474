//! What ethash miners are answered. Four shapes of an answer, and one of them in HTTP:
//!
//! | dialect | yes | no |
//! |---|---|---|
//! | eth-proxy, legacy, getwork | `{"id":1,"jsonrpc":"2.0","result":true}` | `…,"result":null,"error":{"code":23,"message":"…"}}` |
//! | NiceHash | `{"id":1,"result":true,"error":null}` | `{"id":1,"result":null,"error":[23,"…",null]}` |
//! | EthereumStratum/2.0.0 | `{"id":1}`, or with a result | `{"id":1,"error":{"code":406,"message":"…"}}` |
//!
//! With `jsonrpc` a yes must have no `error`, not even null: ethminer disconnects. And a no has the result null, never false,
//! which older ethminers took for a yes.

use orebook_schema::work::Extranonce;

use super::{EthashSession, NICEHASH_PROTOCOL, STRATUM_2_PROTOCOL};
use crate::dialect::Dialect;
use crate::http;
use crate::id::Id;
use crate::submit::UserNumber;
use crate::write::{harmless, put, put_shown, quoted};
use crate::{StratumError, hex};

/// EthereumStratum/2.0.0's number for a share that counts although it is late (EIP-1571, responses, example 2).
const STALE_CODE: i32 = 202;

impl EthashSession {
    /// A result, JSON without a line break.
    pub(super) fn put_result(&self, out: &mut Vec<u8>, id: &Id, result: &[u8]) {
        let id = id.bytes();
        match self.dialect {
            Dialect::EthereumStratum2 => {
                put(out, &[b"{\"id\":", id, b",\"result\":", result, b"}\n"])
            }
            Dialect::NiceHash => put(
                out,
                &[
                    b"{\"id\":",
                    id,
                    b",\"result\":",
                    result,
                    b",\"error\":null}\n",
                ],
            ),
            Dialect::GetWork => {
                let mut body = Vec::new();
                put_node_result(&mut body, id, result);
                http::put_json(out, &body);
            }
            _ => {
                put_node_result(out, id, result);
                put(out, &[b"\n"]);
            }
        }
    }

    /// Yes.
    pub(crate) fn put_accepted(&self, out: &mut Vec<u8>, id: &Id) {
        match self.dialect {
            Dialect::EthereumStratum2 => put(out, &[b"{\"id\":", id.bytes(), b"}\n"]),
            _ => self.put_result(out, id, b"true"),
        }
    }

    /// Yes, but late. Only EthereumStratum/2.0.0 can say so.
    pub(crate) fn put_accepted_stale(&self, out: &mut Vec<u8>, id: &Id) {
        match self.dialect {
            Dialect::EthereumStratum2 => self.put_error(out, id, STALE_CODE, "Stale"),
            _ => self.put_accepted(out, id),
        }
    }

    /// No.
    pub(crate) fn put_refusal(&self, out: &mut Vec<u8>, id: &Id, error: StratumError) {
        let words = match (self.dialect, error) {
            (Dialect::NiceHash, error) => error.to_string(),
            (_, StratumError::NoWork) => "Work not ready".to_owned(),
            (_, StratumError::Method) => "Method not found".to_owned(),
            (_, error) => error.to_string(),
        };
        self.put_error(out, id, error_code(self.dialect, error), &words);
    }

    /// No, in words of the gateway's own.
    pub(crate) fn put_refusal_why(
        &self,
        out: &mut Vec<u8>,
        id: &Id,
        error: StratumError,
        why: &str,
    ) {
        self.put_error(out, id, error_code(self.dialect, error), &harmless(why));
    }

    fn put_error(&self, out: &mut Vec<u8>, id: &Id, code: i32, words: &str) {
        put_error(out, self.dialect, id, code, words);
    }

    pub(super) fn put_hello(&self, out: &mut Vec<u8>, id: &Id) {
        let (timeout, errors) = (self.terms.timeout_s, self.terms.errors_max);
        let result = format!(
            "{{\"proto\":\"{STRATUM_2_PROTOCOL}\",\"encoding\":\"plain\",\"resume\":\"0\",\
             \"timeout\":\"{timeout:x}\",\"maxerrors\":\"{errors:x}\",\"node\":\"orebook\"}}"
        );
        self.put_result(out, id, result.as_bytes());
    }

    pub(super) fn put_subscribed(
        &self,
        out: &mut Vec<u8>,
        id: &Id,
        session: &str,
        prefix: Extranonce,
    ) {
        let session = quoted(session);
        match self.dialect {
            Dialect::NiceHash => {
                let mut result =
                    format!("[[\"mining.notify\",{session},\"{NICEHASH_PROTOCOL}\"],\"")
                        .into_bytes();
                hex::write(&mut result, prefix.bytes());
                result.extend_from_slice(b"\"]");
                self.put_result(out, id, &result);
            }
            Dialect::EthereumStratum2 => self.put_result(out, id, session.as_bytes()),
            _ => self.put_accepted(out, id),
        }
    }

    /// EthereumStratum/2.0.0 gives the user a token; over HTTP nobody asked.
    pub(super) fn put_authorized(&self, out: &mut Vec<u8>, id: &Id, user: UserNumber) {
        match self.dialect {
            Dialect::GetWork => {}
            Dialect::EthereumStratum2 => {
                self.put_result(out, id, format!("\"w-{:x}\"", user.0).as_bytes());
            }
            _ => self.put_accepted(out, id),
        }
    }

    /// The number of a block, as a node would give it, and nothing else of the block.
    pub(crate) fn put_height(&self, out: &mut Vec<u8>, id: &Id, height: u64) {
        self.put_result(
            out,
            id,
            format!("{{\"number\":\"0x{height:x}\"}}").as_bytes(),
        );
    }
}

/// An error in the shape of a dialect. `words` need no escape.
pub(crate) fn put_error(out: &mut Vec<u8>, dialect: Dialect, id: &Id, code: i32, words: &str) {
    let id = id.bytes();
    match dialect {
        Dialect::StratumV1 | Dialect::NiceHash => {
            put(out, &[b"{\"id\":", id]);
            put_shown(
                out,
                format_args!(",\"result\":null,\"error\":[{code},\"{words}\",null]}}\n"),
            );
        }
        Dialect::EthereumStratum2 => {
            put(out, &[b"{\"id\":", id]);
            put_shown(
                out,
                format_args!(",\"error\":{{\"code\":{code},\"message\":\"{words}\"}}}}\n"),
            );
        }
        Dialect::GetWork => {
            let mut body = Vec::new();
            put_node_error(&mut body, id, code, words);
            http::put_json(out, &body);
        }
        Dialect::EthProxy | Dialect::Legacy => {
            put_node_error(out, id, code, words);
            put(out, &[b"\n"]);
        }
    }
}

fn put_node_result(out: &mut Vec<u8>, id: &[u8], result: &[u8]) {
    put(
        out,
        &[
            b"{\"id\":",
            id,
            b",\"jsonrpc\":\"2.0\",\"result\":",
            result,
            b"}",
        ],
    );
}

fn put_node_error(out: &mut Vec<u8>, id: &[u8], code: i32, words: &str) {
    put(out, &[b"{\"id\":", id]);
    put_shown(
        out,
        format_args!(
            ",\"jsonrpc\":\"2.0\",\"result\":null,\"error\":{{\"code\":{code},\"message\":\"{words}\"}}}}"
        ),
    );
}

/// The number of an error. NiceHash has Stratum V1's; eth-proxy too where it has one of its own, else what open-ethereum-pool
/// says; EthereumStratum/2.0.0 has classes (EIP-1571, responses): 3xx who, 4xx what, 5xx ours.
pub(crate) const fn error_code(dialect: Dialect, error: StratumError) -> i32 {
    match dialect {
        Dialect::StratumV1 | Dialect::NiceHash => error.code() as i32,
        Dialect::EthereumStratum2 => match error {
            StratumError::Unauthorized => 301,
            StratumError::NotSubscribed => 302,
            StratumError::JobNotFound => 404,
            StratumError::Method => 405,
            StratumError::LowDifficulty | StratumError::Nonce => 406,
            StratumError::Duplicate => 409,
            StratumError::NoWork => 500,
            StratumError::Unavailable => 503,
            _ => 400,
        },
        Dialect::EthProxy | Dialect::Legacy | Dialect::GetWork => match error {
            StratumError::NoWork => 0,
            StratumError::Parameters | StratumError::Nonce => -1,
            StratumError::Method => -3,
            _ => error.code() as i32,
        },
    }
}
