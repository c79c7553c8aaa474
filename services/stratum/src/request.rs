//! One line as a JSON request, read by serde_json without copying what needs no copy.
//!
//! Nothing here recurses: nested values are skipped over, so depth is bounded by the length of the line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::id::Id;

/// A request, a notification or a reply of a client.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) id: Id,
    /// `None` if it is a reply.
    pub(crate) method: Option<Cow<'a, str>>,
    /// As written; absent and `null` are the same.
    params: Option<&'a RawValue>,
    /// Of a reply.
    result: Option<&'a RawValue>,
    /// As written. ethminer's legacy dialect says `"2.0"`.
    jsonrpc: Option<&'a RawValue>,
    /// eth-proxy's name of the rig, as written.
    worker: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Text<'a>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default)]
    worker: Option<&'a RawValue>,
}

/// A value that is there, `null` included: a client may answer us `null`, and that is a reply.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

/// A string, borrowed where it has no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Request<'a> {
    /// Reads a line. `None` unless it is UTF-8, one JSON object without a repeated key, with a legal id, and a request or a
    /// reply.
    pub(crate) fn read(line: &'a [u8]) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        // serde would take an array for the fields in their order.
        if !line.trim_start().starts_with('{') {
            return None;
        }
        let fields: Fields<'a> = serde_json::from_str(line).ok()?;
        if fields.method.is_none() && fields.result.is_none() && fields.error.is_none() {
            return None;
        }
        Some(Self {
            id: match fields.id {
                Some(token) => Id::of_token(token.get().as_bytes())?,
                None => Id::null(),
            },
            method: fields.method.map(|Text(method)| method),
            params: fields.params,
            result: fields.result,
            jsonrpc: fields.jsonrpc,
            worker: fields.worker,
        })
    }

    /// The parameters as written, whatever they are; `None` if there are none.
    pub(crate) fn raw_params(&self) -> Option<&'a RawValue> {
        self.params
    }

    /// A parameter that is a text.
    pub(crate) fn text_param(&self, index: usize) -> Option<Cow<'a, str>> {
        text(self.params()?.get(index)?)
    }

    /// Whether it says `"jsonrpc":"2.0"`.
    pub(crate) fn is_jsonrpc_2(&self) -> bool {
        self.jsonrpc.and_then(text).as_deref() == Some("2.0")
    }

    /// The member `worker`, if it is a text.
    pub(crate) fn worker(&self) -> Option<Cow<'a, str>> {
        text(self.worker?)
    }

    /// The parameters, none if there are none; `None` if they are no array.
    pub(crate) fn params(&self) -> Option<Vec<&'a RawValue>> {
        match self.params {
            Some(params) => list(params),
            None => Some(Vec::new()),
        }
    }

    /// The result of a reply, if it is a string.
    pub(crate) fn result_text(&self) -> Option<Cow<'a, str>> {
        text(self.result?)
    }
}

/// The items of an array.
pub(crate) fn list(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// The members of an object; of a repeated key the last.
pub(crate) fn members(value: &RawValue) -> Option<BTreeMap<Cow<'_, str>, &RawValue>> {
    let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(value.get()).ok()?;
    Some(members)
}

/// A string's text.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let Text(text) = serde_json::from_str(value.get()).ok()?;
    Some(text)
}

/// The digits of a number, or the text of a string that should be one.
pub(crate) fn number_text(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().as_bytes().first() {
        Some(b'0'..=b'9' | b'-') => Some(Cow::Borrowed(value.get())),
        _ => text(value),
    }
}
