//! What a gateway writes: replies to requests, and notifications. Each function appends one whole line with its `\n`.

use std::io::Write as _;

use orebook_schema::Hash;
use orebook_schema::work::{Extranonce, Job};

use crate::id::Id;
use crate::{DifficultyText, StratumError, hex};

/// Where a client shall connect next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect<'a> {
    /// Name or address; many firmwares accept their own domain only.
    pub host: &'a str,
    /// Port.
    pub port: u16,
    /// How long to wait, seconds.
    pub wait_s: u32,
}

/// `true`.
pub fn reply_true(out: &mut Vec<u8>, id: &Id) {
    reply(out, id, b"true");
}

/// An error; `result` is `null`, since some clients demand that both keys exist.
pub fn reply_error(out: &mut Vec<u8>, id: &Id, error: StratumError) {
    put_error(out, id, b"null", error);
}

/// A refused authorize: `false`, with the reason as the error.
pub fn reply_refused(out: &mut Vec<u8>, id: &Id, error: StratumError) {
    put_error(out, id, b"false", error);
}

/// Any result, which must be JSON without a line break.
pub(crate) fn reply(out: &mut Vec<u8>, id: &Id, result: &[u8]) {
    put(out, &[b"{\"id\":", id.bytes(), b",\"result\":", result]);
    put(out, &[b",\"error\":null}\n"]);
}

fn put_error(out: &mut Vec<u8>, id: &Id, result: &[u8], error: StratumError) {
    put(out, &[b"{\"id\":", id.bytes(), b",\"result\":", result]);
    put_shown(
        out,
        format_args!(",\"error\":[{},\"{error}\",null]}}\n", error.code()),
    );
}

/// `mining.set_difficulty`: holds from the next notify on, so write it before the notify it governs.
pub fn write_set_difficulty(out: &mut Vec<u8>, difficulty: &DifficultyText) {
    notification(out, "mining.set_difficulty", difficulty.as_str().as_bytes());
}

/// `mining.notify` of a job. `id` is the job's on the wire ([`show_job_id`](crate::show_job_id)). The line depends on nothing
/// but the arguments: write it once per job, with and without `clean`, for all sessions.
///
/// On the wire version, nbits and ntime are big-endian hex, branches header-order hex, and the parent has the bytes of each of
/// its eight words reversed (background: protocols 1.3).
pub fn write_notify(out: &mut Vec<u8>, id: u32, job: &Job, clean: bool) {
    put_shown(
        out,
        format_args!("{{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"{id:x}\",\""),
    );
    hex::write(out, &words_reversed(job.prev));
    put(out, &[b"\",\""]);
    hex::write(out, &job.coinbase1);
    put(out, &[b"\",\""]);
    hex::write(out, &job.coinbase2);
    put(out, &[b"\",["]);
    for (index, branch) in job.branches.iter().enumerate() {
        put(out, &[if index == 0 { b"\"" } else { b",\"" }]);
        hex::write(out, &branch.0);
        put(out, &[b"\""]);
    }
    let (version, nbits, time) = (job.version, job.nbits, job.time);
    put_shown(
        out,
        format_args!("],\"{version:08x}\",\"{nbits:08x}\",\"{time:08x}\",{clean}]}}\n"),
    );
}

/// `mining.set_extranonce`: holds from the next notify on, which must be clean. See
/// [`Session::change_extranonce`](crate::Session::change_extranonce), which also keeps it.
pub(crate) fn write_set_extranonce(
    out: &mut Vec<u8>,
    extranonce1: Extranonce,
    extranonce2_size: u8,
) {
    let mut params = vec![b'"'];
    hex::write(&mut params, extranonce1.bytes());
    put_shown(&mut params, format_args!("\",{extranonce2_size}"));
    notification(out, "mining.set_extranonce", &params);
}

/// `mining.set_version_mask`: holds at once. See [`Session::change_version_mask`](crate::Session::change_version_mask), which
/// also keeps it.
pub(crate) fn write_set_version_mask(out: &mut Vec<u8>, mask: u32) {
    notification(
        out,
        "mining.set_version_mask",
        format!("\"{mask:08x}\"").as_bytes(),
    );
}

/// `client.show_message`: a text for the person at the rig.
pub fn write_show_message(out: &mut Vec<u8>, text: &str) {
    notification(out, "client.show_message", quoted(text).as_bytes());
}

/// `client.reconnect`, to another place or to the same.
pub fn write_reconnect(out: &mut Vec<u8>, to: Option<Reconnect<'_>>) {
    let params = to.map_or_else(String::new, |to| {
        format!("{},{},{}", quoted(to.host), to.port, to.wait_s)
    });
    notification(out, "client.reconnect", params.as_bytes());
}

/// A request of ours that wants a reply.
pub(crate) fn write_get_version(out: &mut Vec<u8>, id: &str) {
    put_shown(
        out,
        format_args!("{{\"id\":{id},\"method\":\"client.get_version\",\"params\":[]}}\n"),
    );
}

/// Words that need no escape in JSON: what is not printable ASCII, a quote or a backslash is shown as `?`.
pub(crate) fn harmless(words: &str) -> String {
    let legal = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
    words
        .chars()
        .map(|c| if legal(c) { c } else { '?' })
        .collect()
}

/// A JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn notification(out: &mut Vec<u8>, method: &str, params: &[u8]) {
    put(out, &[b"{\"id\":null,\"method\":\"", method.as_bytes()]);
    put(out, &[b"\",\"params\":[", params, b"]}\n"]);
}

fn words_reversed(Hash(mut bytes): Hash) -> [u8; 32] {
    let (words, _) = bytes.as_chunks_mut::<4>();
    words.iter_mut().for_each(|word| word.reverse());
    bytes
}

pub(crate) fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

pub(crate) fn put_shown(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    assert!(written.is_ok(), "a Vec takes every byte");
}
