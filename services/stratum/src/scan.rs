//! The short way for `mining.submit`, by far the most frequent line: one pass over the bytes, no copy, no allocation.
//!
//! It understands the usual spelling only, in any order of keys and with any white space. At anything else, a backslash, an
//! unknown or repeated key, a character outside printable ASCII, it gives up and [`crate::request`] decides; where both
//! read a line they read the same, which `tests/lines.rs` and the fuzz target check.

use crate::id::Id;
use crate::submit::Fields;

/// Reads a line as a submit, or gives up.
pub(crate) fn submit(line: &[u8]) -> Option<(Id, Fields<'_>)> {
    let mut at = Cursor { rest: line };
    let (mut id, mut is_submit, mut fields) = (None, false, None);
    at.token(b'{')?;
    loop {
        let key = at.string()?;
        at.token(b':')?;
        match key {
            b"id" if id.is_none() => id = Some(at.id()?),
            b"method" if !is_submit && at.string()? == b"mining.submit" => is_submit = true,
            b"params" if fields.is_none() => fields = Some(at.fields()?),
            _ => return None,
        }
        match at.mark()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    at.space();
    if at.rest.is_empty() && is_submit {
        Some((id.unwrap_or_else(Id::null), fields?))
    } else {
        None
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn space(&mut self) {
        while let Some((b' ' | b'\t' | b'\r' | b'\n', rest)) = self.rest.split_first() {
            self.rest = rest;
        }
    }

    /// The next byte that is no white space.
    fn mark(&mut self) -> Option<u8> {
        self.space();
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn token(&mut self, wanted: u8) -> Option<()> {
        (self.mark()? == wanted).then_some(())
    }

    /// A string of printable ASCII without escapes; the quotes are dropped.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.token(b'"')?;
        let (text, rest) = self.rest.split_at_checked(plain_bytes(self.rest))?;
        self.rest = rest.strip_prefix(b"\"")?;
        Some(text)
    }

    /// A string, a natural number, or null, with the bytes it was written in.
    fn id(&mut self) -> Option<Id> {
        self.space();
        let start = self.rest;
        match start.first()? {
            b'"' => {
                self.string()?;
            }
            b'n' => self.rest = start.strip_prefix(b"null")?,
            b'1'..=b'9' => {
                let digits = start.iter().position(|b| !b.is_ascii_digit())?;
                self.rest = start.get(digits..)?;
                // A point or an exponent goes on; `null` and strings end by themselves.
                if matches!(self.rest.first(), Some(b'.' | b'e' | b'E')) {
                    return None;
                }
            }
            b'0' => {
                self.rest = start.get(1..)?;
                if matches!(self.rest.first(), Some(b'0'..=b'9' | b'.' | b'e' | b'E')) {
                    return None;
                }
            }
            _ => return None,
        }
        let token = start.get(..start.len() - self.rest.len())?;
        Id::of_token(token)
    }

    /// An array of five or six strings.
    fn fields(&mut self) -> Option<Fields<'a>> {
        self.token(b'[')?;
        let mut next = |last: bool| {
            let text = self.string()?;
            if !last {
                self.token(b',')?;
            }
            Some(text)
        };
        let (user, job, extranonce2, ntime) =
            (next(false)?, next(false)?, next(false)?, next(false)?);
        let nonce = next(true)?;
        let mut fields = Fields {
            user: str::from_utf8(user).ok()?,
            job,
            extranonce2,
            ntime,
            nonce,
            version_bits: None,
        };
        match self.mark()? {
            b']' => Some(fields),
            b',' => {
                fields.version_bits = Some(self.string()?);
                self.token(b']')?;
                Some(fields)
            }
            _ => None,
        }
    }
}

/// How many bytes come before the first quote, backslash or byte outside printable ASCII. Eight at a time: bit 7 of a byte is
/// set where it ends the run; a borrow may set it in later bytes too, but never in an earlier one.
fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH;
    let is = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks();
    let mut before = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let ends =
            below(word, b' ') | is(word, b'"') | is(word, b'\\') | is(word, 0x7f) | word & HIGH;
        if ends != 0 {
            return before + usize::from(ends.trailing_zeros().to_le_bytes()[0] / 8);
        }
        before += 8;
    }
    let plain = |b: &u8| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\');
    before + rest.iter().take_while(|b| plain(b)).count()
}

#[cfg(test)]
mod tests {
    use super::{plain_bytes, submit};

    /// What miners send; if these gave up, every share would take the long way and no other test would say so.
    #[test]
    fn the_usual_spellings_are_scanned() {
        for line in [
            r#"{"method": "mining.submit", "params": ["addr.rig1", "1", "00000000", "6b011d6c", "8d000000"], "id":4}"#,
            r#"{"params":["a","bf","0000000000000000","504e86ed","b2957c02"],"id":4,"method":"mining.submit"}"#,
            r#"{"id":0,"method":"mining.submit","params":["a.b","1","00","504e86ed","b2957c02","1fffe000"]}"#,
            r#"{"id":"x-1","method":"mining.submit","params":["a.b","1","","5","zz",""]}"#,
            " {\"method\":\"mining.submit\",\t\"params\" : [ \"a\",\"1\",\"0\",\"1\",\"2\" ] , \"id\" : null } ",
            r#"{"method":"mining.submit","params":["a","1","0","1","2"]}"#,
        ] {
            assert!(submit(line.as_bytes()).is_some(), "{line}");
        }
    }

    #[test]
    fn a_run_of_plain_bytes_ends_where_it_should() {
        for byte in 0..=u8::MAX {
            let plain = (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
            for before in 0..20 {
                for (filler, after) in [(b'a', 0x80), (b' ', b'!'), (b'~', b'"')] {
                    let mut bytes = vec![filler; before];
                    bytes.push(byte);
                    bytes.extend([after; 9]);
                    let end = if plain {
                        usize::from(after == b'!') * 9 + 1
                    } else {
                        0
                    };
                    assert_eq!(plain_bytes(&bytes), before + end, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_usual_is_left_to_the_reader() {
        for line in [
            r#"{"id":1,"id":2,"method":"mining.submit","params":["a","1","0","1","2"]}"#,
            r#"{"method":"mining.ping","method":"mining.submit","params":["a","1","0","1","2"]}"#,
            r#"{"id":1,"method":"mining.submit","params":["a","1","0","1"]}"#,
            r#"{"id":1,"method":"mining.submit","params":["a","1","0","1","2","3","4"]}"#,
            r#"{"id":1,"method":"mining.submit","params":["a\u0041","1","0","1","2"]}"#,
            r#"{"id":1,"method":"mining.submit","params":["\u00e4","1","0","1","2"]}"#,
            r#"{"id":1.5,"method":"mining.submit","params":["a","1","0","1","2"]}"#,
            r#"{"id":01,"method":"mining.submit","params":["a","1","0","1","2"]}"#,
            r#"{"id":1,"method":"mining.submit","params":["a","1","0","1","2"],}"#,
            r#"{"id":1,"method":"mining.submit","params":["a","1","0","1","2",]}"#,
            r#"{"id":1,"method":"mining.submit","params":["a","1","0","1","2"]} x"#,
            r#"{"id":1,"method":"mining.submit"}"#,
            r#"{"id":1,"params":["a","1","0","1","2"]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"mining.submit","params":["a","1","0","1","2"]}"#,
            "",
            "{",
            "{}",
        ] {
            assert!(submit(line.as_bytes()).is_none(), "{line}");
        }
    }
}
