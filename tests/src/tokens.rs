//! Rust source as words and signs: comments are gone, strings are opaque.
//!
//! Not a parser. It is exact about what is code and what is comment, string, character or lifetime,
//! and about paths (`std::{fs, io}` is `std::fs` and `std::io`); that is all the house rules need.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An identifier or keyword.
    Word,
    /// A number literal, with its suffix.
    Number,
    /// A string, byte string or character literal; rules must not look inside.
    Literal,
    /// `'a`.
    Lifetime,
    /// Punctuation, the longest that fits: `::`, `<=`, `{`.
    Sign,
}

/// One token with the line it begins on, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its source text.
    pub text: &'a str,
    /// Its line.
    pub line: usize,
}

impl Token<'_> {
    /// Is this the identifier or keyword `word`?
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word
    }

    /// Is this the punctuation `sign`?
    pub fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }
}

/// A path such as `std::fs::File`, with the line of its last word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'a> {
    /// Its words, `*` included.
    pub words: Vec<&'a str>,
    /// The line of its last word.
    pub line: usize,
}

const SIGNS: [&str; 24] = [
    "<<=", ">>=", "...", "..=", "::", "->", "=>", "<=", ">=", "==", "!=", "&&", "||", "<<", ">>",
    "..", "+=", "-=", "*=", "/=", "%=", "^=", "&=", "|=",
];

/// The tokens of a source text.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut reader = Reader {
        source,
        at: 0,
        line: 1,
        found: Vec::new(),
    };
    while reader.at < source.len() {
        reader.step();
    }
    reader.found
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
    line: usize,
    found: Vec<Token<'a>>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn step(&mut self) {
        let rest = self.rest();
        let first = rest
            .chars()
            .next()
            .expect("a step is taken before the end only");
        if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else if rest.starts_with("//") {
            self.skip(rest.find('\n').unwrap_or(rest.len()));
        } else if rest.starts_with("/*") {
            self.skip(block_comment_bytes(rest));
        } else if let Some(bytes) = string_bytes(rest) {
            self.take(Kind::Literal, bytes);
        } else if first == '\'' {
            self.take_quote(rest);
        } else if first.is_ascii_digit() {
            let after_dot = self.found.last().is_some_and(|token| token.is_sign("."));
            self.take(Kind::Number, number_bytes(rest, after_dot));
        } else if is_word_char(first) {
            if rest.starts_with("r#") {
                self.skip(2);
            }
            self.take(Kind::Word, word_bytes(self.rest()));
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            self.take(Kind::Sign, sign.map_or(first.len_utf8(), |sign| sign.len()));
        }
    }

    fn take_quote(&mut self, rest: &str) {
        match char_literal_bytes(rest) {
            Some(bytes) => self.take(Kind::Literal, bytes),
            None => self.take(Kind::Lifetime, 1 + word_bytes(&rest[1..])),
        }
    }

    fn take(&mut self, kind: Kind, bytes: usize) {
        let text = &self.rest()[..bytes];
        self.found.push(Token {
            kind,
            text,
            line: self.line,
        });
        self.skip(bytes);
    }

    fn skip(&mut self, bytes: usize) {
        self.line += self.rest()[..bytes].matches('\n').count();
        self.at += bytes;
    }
}

fn is_word_char(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word_bytes(rest: &str) -> usize {
    rest.find(|c| !is_word_char(c)).unwrap_or(rest.len())
}

fn number_bytes(rest: &str, after_dot: bool) -> usize {
    let whole = word_bytes(rest);
    // `pair.0.1` is two indexes, `0..9` a range, `1.max(2)` a call: none has a fraction.
    if after_dot || !rest[whole..].starts_with('.') {
        return whole;
    }
    match rest[whole + 1..].chars().next() {
        Some(next) if next.is_ascii_digit() => whole + 1 + word_bytes(&rest[whole + 1..]),
        Some(next) if next == '.' || is_word_char(next) => whole,
        _ => whole + 1,
    }
}

fn block_comment_bytes(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of the string literal that begins here, prefix and quotes included.
fn string_bytes(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix);
        after.is_some_and(|after| after.starts_with('"') || after.starts_with('#'))
    })?;
    let after = &rest[prefix.len()..];
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    if !after[hashes..].starts_with('"') || (hashes > 0 && !prefix.contains('r')) {
        return None;
    }
    let open = prefix.len() + hashes + 1;
    let inside = &rest[open..];
    if prefix.contains('r') {
        let close = format!("\"{}", "#".repeat(hashes));
        return Some(
            inside
                .find(&close)
                .map_or(rest.len(), |end| open + end + close.len()),
        );
    }
    Some(quoted_end(inside, b'"').map_or(rest.len(), |end| open + end))
}

/// The length of the character literal that begins with this quote; `None` for a lifetime.
fn char_literal_bytes(rest: &str) -> Option<usize> {
    let inside = &rest[1..];
    let first = inside.chars().next()?;
    if first == '\\' {
        return Some(quoted_end(inside, b'\'').map_or(rest.len(), |end| 1 + end));
    }
    inside[first.len_utf8()..]
        .starts_with('\'')
        .then(|| first.len_utf8() + 2)
}

/// Where a quoted text with escapes ends: just after its closing quote.
fn quoted_end(inside: &str, quote: u8) -> Option<usize> {
    let bytes = inside.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Where the bracket that opens at `open` is closed; the last token if it never is.
pub fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.kind != Kind::Sign {
            continue;
        }
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    tokens.len().saturating_sub(1)
}

/// The attributes `#[…]` and `#![…]`, each as the tokens between its brackets.
pub fn attributes<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if let Some(open) = attribute_opening(tokens, at) {
            found.push(&tokens[open + 1..closing(tokens, open).max(open + 1)]);
        }
    }
    found
}

fn attribute_opening(tokens: &[Token<'_>], hash: usize) -> Option<usize> {
    if !tokens[hash].is_sign("#") {
        return None;
    }
    let inner = tokens.get(hash + 1).is_some_and(|token| token.is_sign("!"));
    let open = hash + if inner { 2 } else { 1 };
    tokens
        .get(open)
        .is_some_and(|token| token.is_sign("["))
        .then_some(open)
}

/// The tokens without and within `#[cfg(test)] mod … { … }`, in this order.
pub fn split_tests<'a>(tokens: &[Token<'a>]) -> (Vec<Token<'a>>, Vec<Token<'a>>) {
    let (mut code, mut tests) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        match test_module_end(tokens, at) {
            Some(end) => {
                tests.extend_from_slice(&tokens[at..=end]);
                at = end + 1;
            }
            None => {
                code.push(tokens[at]);
                at += 1;
            }
        }
    }
    (code, tests)
}

fn test_module_end(tokens: &[Token<'_>], hash: usize) -> Option<usize> {
    const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let texts = tokens[hash..].iter().map(|token| token.text);
    if !texts.take(CFG_TEST.len()).eq(CFG_TEST) {
        return None;
    }
    let mut at = hash + CFG_TEST.len();
    while let Some(open) = tokens.get(at).and_then(|_| attribute_opening(tokens, at)) {
        at = closing(tokens, open) + 1;
    }
    let is_module = tokens.get(at)?.is_word("mod") && tokens.get(at + 2)?.is_sign("{");
    is_module.then(|| closing(tokens, at + 2))
}

/// Every path of the source; a group is spelled out, a lone word is a path of one.
pub fn paths<'a>(tokens: &[Token<'a>]) -> Vec<Path<'a>> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let starts = match at.checked_sub(1).map(|before| tokens[before]) {
            Some(before) if before.is_sign("::") => at < 2 || tokens[at - 2].kind == Kind::Sign,
            _ => true,
        };
        if starts && tokens[at].kind == Kind::Word {
            walk_path(tokens, at, Vec::new(), &mut found);
        }
    }
    found
}

/// Follows one path from `at`; gives the index after it.
fn walk_path<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    mut words: Vec<&'a str>,
    found: &mut Vec<Path<'a>>,
) -> usize {
    while let Some(token) = tokens.get(at) {
        if token.is_sign("{") && !words.is_empty() {
            return walk_group(tokens, at, &words, found);
        }
        if token.kind == Kind::Word || token.is_sign("*") {
            words.push(token.text);
            at += 1;
            if tokens.get(at).is_some_and(|next| next.is_sign("::")) {
                at += 1;
                continue;
            }
        }
        found.push(Path {
            words,
            line: token.line,
        });
        return at;
    }
    at
}

fn walk_group<'a>(
    tokens: &[Token<'a>],
    open: usize,
    words: &[&'a str],
    found: &mut Vec<Path<'a>>,
) -> usize {
    let end = closing(tokens, open);
    let mut at = open + 1;
    while at < end {
        at = if tokens[at].kind == Kind::Word && !tokens[at].is_word("as") {
            walk_path(tokens, at, words.to_vec(), found).max(at + 1)
        } else if tokens[at].is_word("as") {
            at + 2
        } else {
            at + 1
        };
    }
    end + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        tokens(source).iter().map(|token| token.text).collect()
    }

    fn words(source: &str) -> Vec<&str> {
        let all = tokens(source);
        all.iter()
            .filter(|token| token.kind == Kind::Word)
            .map(|token| token.text)
            .collect()
    }

    #[test]
    fn comments_are_gone_nested_ones_too() {
        assert_eq!(words("a // b\n/* c /* d */ e */ f /// g"), ["a", "f"]);
    }

    #[test]
    fn strings_are_opaque_in_every_spelling() {
        let source =
            r####"a("b \" c", r"d", r#"e " f"#, b"g", br##"h "# i"##, c"j", 'k', b'l', '\'') m"####;
        assert_eq!(
            words(source),
            ["a", "b", "m"],
            "b is the prefix of a byte character"
        );
    }

    #[test]
    fn a_lifetime_is_no_character() {
        let all = tokens("fn f<'a>(x: &'a str) -> char { 'x' }");
        assert_eq!(
            all.iter()
                .filter(|token| token.kind == Kind::Lifetime)
                .count(),
            2
        );
        assert_eq!(
            all.iter()
                .filter(|token| token.kind == Kind::Literal)
                .count(),
            1
        );
    }

    #[test]
    fn signs_are_the_longest_that_fit() {
        assert_eq!(
            texts("a<=b>>=c::d->e"),
            ["a", "<=", "b", ">>=", "c", "::", "d", "->", "e"]
        );
    }

    #[test]
    fn numbers_keep_their_fraction_and_indexes_do_not() {
        assert_eq!(texts("1.5f64"), ["1.5f64"]);
        assert_eq!(texts("p.0.1"), ["p", ".", "0", ".", "1"]);
        assert_eq!(texts("0..9"), ["0", "..", "9"]);
        assert_eq!(texts("1.max(2)")[..3], ["1", ".", "max"]);
    }

    #[test]
    fn lines_are_counted_through_comments_and_strings() {
        let all = tokens("a\n/* \n */ \"x\ny\" b\n\nr#type");
        let lines: Vec<_> = all.iter().map(|token| (token.text, token.line)).collect();
        assert_eq!(lines, [("a", 1), ("\"x\ny\"", 3), ("b", 4), ("type", 6)]);
    }

    #[test]
    fn groups_are_spelled_out() {
        let all = tokens("use std::{fs::{self, File}, io as fast, env};");
        let found: Vec<String> = paths(&all)
            .iter()
            .map(|path| path.words.join("::"))
            .collect();
        for path in ["std::fs::self", "std::fs::File", "std::io", "std::env"] {
            assert!(
                found.iter().any(|seen| seen == path),
                "{path} is not in {found:?}"
            );
        }
        assert!(!found.iter().any(|seen| seen == "std::fast"));
    }

    #[test]
    fn test_modules_are_split_off() {
        let all = tokens("fn a() {} #[cfg(test)] #[allow(x)] mod tests { fn b() {} } fn c() {}");
        let (code, tests) = split_tests(&all);
        assert!(code.iter().any(|token| token.is_word("c")));
        assert!(!code.iter().any(|token| token.is_word("b")));
        assert!(tests.iter().any(|token| token.is_word("b")));
    }

    #[test]
    fn text_without_an_end_does_not_stop_the_reader() {
        for source in [
            "\"open", "/* open", "r#\"open", "'", "'\\", "#[", "b'", "\"\\",
        ] {
            let all = tokens(source);
            assert!(all.len() <= 4, "{source}: {all:?}");
        }
    }
}
