//! `mining.configure`: extensions a client asks for (BIP 310).

use serde_json::value::RawValue;

use crate::request::{list, members, number_text, text};
use crate::write::quoted;
use crate::{DifficultyText, hex};

/// Most extensions of one request; more are answered with error 20. Six are known.
const EXTENSIONS_MAX: usize = 32;
/// Longest name of an extension; a longer one is answered with error 20.
const NAME_BYTES_MAX: usize = 64;

/// What was agreed, and the reply that says so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Whether version rolling was asked for.
    pub(crate) asks_rolling: bool,
    /// The client's mask, if rolling was asked for and agreed.
    pub(crate) client_mask: Option<u32>,
    /// The least difficulty, if it was asked for and makes sense.
    pub(crate) difficulty_min: Option<DifficultyText>,
    /// Whether set_extranonce was asked for.
    pub(crate) extranonce: bool,
    /// The reply's result, JSON.
    pub(crate) result: String,
}

/// Negotiates; `mask` is what the gateway allows. `None` if the parameters are not a list of names and an object.
pub(crate) fn negotiate(params: &[&RawValue], mask: u32) -> Option<Agreed> {
    let names = list(params.first()?)?;
    if EXTENSIONS_MAX < names.len() {
        return None;
    }
    let options = match params.get(1) {
        Some(value) if value.get() != "null" => members(value)?,
        _ => Default::default(),
    };
    let option = |name: &str| options.get(name).copied();
    let mut agreed = Agreed {
        asks_rolling: false,
        client_mask: None,
        difficulty_min: None,
        extranonce: false,
        result: String::new(),
    };
    let mut answers: Vec<String> = Vec::new();
    let mut answered = Vec::new();
    for name in names {
        let name = text(name).filter(|name| name.len() <= NAME_BYTES_MAX)?;
        if answered.contains(&name) {
            continue;
        }
        let yes = match name.as_ref() {
            "version-rolling" => {
                agreed.asks_rolling = true;
                agreed.client_mask = rolling(
                    mask,
                    option("version-rolling.mask"),
                    option("version-rolling.min-bit-count"),
                );
                if let Some(theirs) = agreed.client_mask {
                    let both = mask & theirs;
                    answers.push(format!("\"version-rolling.mask\":\"{both:08x}\""));
                }
                agreed.client_mask.is_some()
            }
            "minimum-difficulty" => {
                let least = option("minimum-difficulty.value").and_then(number_text);
                agreed.difficulty_min = least.and_then(|least| DifficultyText::parse(&least));
                agreed.difficulty_min.is_some()
            }
            "subscribe-extranonce" => {
                agreed.extranonce = true;
                true
            }
            "info" => true,
            _ => false,
        };
        answers.push(format!("{}:{yes}", quoted(&name)));
        answered.push(name);
    }
    agreed.result = format!("{{{}}}", answers.join(","));
    Some(agreed)
}

/// The client's mask; `None` if the bits that both allow are none or too few for him, or what he says makes no sense.
fn rolling(ours: u32, theirs: Option<&RawValue>, least: Option<&RawValue>) -> Option<u32> {
    let theirs = match theirs {
        Some(value) => hex::short_u32(text(value)?.as_bytes())?,
        None => u32::MAX,
    };
    let least: u32 = match least {
        Some(value) => number_text(value)?.parse().ok()?,
        None => 1,
    };
    let both = ours & theirs;
    (both != 0 && least <= both.count_ones()).then_some(theirs)
}
