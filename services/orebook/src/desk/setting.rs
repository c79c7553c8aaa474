//! What accounts' owners say themselves: a text to sign, and the text with its proof.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use orebook_desk::setting::TEXT_BYTES_MAX;
use serde_json::{Value, json};

use super::args::{SettingCommand, SettingSendArgs, What};
use super::client::{get_of, post_json};
use super::{message, refused, told};
use crate::{Failure, keys, print, say};

/// What is asked.
const MINERS: &str = "the desk's listener for miners";
const OFF_UNLESS_SAID: &str =
    "a desk has it where `[desk] miners` says; `orebook up` prints it; --miners takes host:port";

/// `orebook setting`.
pub(crate) fn run(command: &SettingCommand) -> Result<(), Failure> {
    match command {
        SettingCommand::Text {
            account,
            what,
            value,
            file,
            miners,
        } => text(account, *what, value.as_deref(), file.as_deref(), miners),
        SettingCommand::Send(args) => send(args),
    }
}

fn text(
    account: &str,
    what: What,
    value: Option<&str>,
    file: Option<&Path>,
    miners: &str,
) -> Result<(), Failure> {
    let value = value.unwrap_or_default();
    let is_plain = |text: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b":_-".contains(&b);
        text.bytes().all(plain)
    };
    if let Some(wrong) = [account, value].into_iter().find(|text| !is_plain(text)) {
        let what = format!("{wrong} is no account, address or whole number");
        return Err(Failure::new(what));
    }
    let path = format!(
        "/settings/text?account={account}&what={}&value={value}",
        what.name()
    );
    let (status, body) =
        get_of(MINERS, miners, &path).map_err(|failure| failure.hint(OFF_UNLESS_SAID))?;
    let named = |name| body.get(name).and_then(Value::as_str);
    let Some(text) = named("text").filter(|_| status == 200) else {
        return Err(Failure::new(message(&body)));
    };
    let said = named("says").unwrap_or("?");
    say(&format!("to be signed, within an hour: {said}"));
    if let Some(file) = file {
        written(file, text)?;
    }
    print(text)
}

/// The very bytes that are signed, in a new file.
fn written(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", file.display()));
    let mut new = OpenOptions::new();
    let opened = new.write(true).create_new(true).open(file);
    let mut opened = opened.map_err(failed)?;
    opened.write_all(text.as_bytes()).map_err(failed)
}

fn send(args: &SettingSendArgs) -> Result<(), Failure> {
    let text = text_of(&args.text)?;
    let (body, token) = match (&args.signature, &args.token) {
        (Some(signature), None) => (json!({ "text": text, "signature": signature }), None),
        (_, Some(file)) => (json!({ "text": text }), Some(keys::read_token(file)?)),
        (None, None) => return Err(Failure::new("give --signature or --token")),
    };
    let answer = posted(&args.miners, &body, token.as_deref())?;
    told(&answer, args.format)
}

fn posted(miners: &str, body: &Value, token: Option<&str>) -> Result<Value, Failure> {
    let (status, body) = post_json(MINERS, miners, "/settings", body, token)
        .map_err(|failure| failure.hint("send it again: it counts once"))?;
    if status == 200 {
        Ok(body)
    } else {
        Err(refused(&body))
    }
}

/// A text of a file; a line's end behind it is no part of it.
fn text_of(file: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", file.display()));
    let len = std::fs::metadata(file).map_err(failed)?.len();
    if u64::try_from(TEXT_BYTES_MAX + 2).is_ok_and(|max| max < len) {
        let what = format!("{}: no text of a setting is as long", file.display());
        return Err(Failure::new(what));
    }
    let text = std::fs::read_to_string(file).map_err(failed)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_as_it_is_signed_and_read_with_or_without_a_lines_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("wish");
        written(&file, "a\nb").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"a\nb");
        assert!(written(&file, "c").is_err(), "it is never overwritten");
        for end in ["", "\n", "\r\n"] {
            std::fs::write(&file, format!("a\nb{end}")).unwrap();
            assert_eq!(text_of(&file).unwrap(), "a\nb");
        }
        std::fs::write(&file, vec![b'x'; 643]).unwrap();
        assert!(text_of(&file).is_err());
    }
}
