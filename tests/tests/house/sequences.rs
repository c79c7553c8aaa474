//! Sequences: admission in `ledger/` is the only place that compares sequence numbers.

use orebook_tests::tokens::{Kind, Token, split_tests, tokens};
use orebook_tests::{TextFile, text_files};

use crate::{Fault, assert_none, is_rust, is_test_file, planted};

const COMPARISONS: [&str; 6] = ["<", ">", "<=", ">=", "==", "!="];
const COMPARING_METHODS: [&str; 8] = ["cmp", "partial_cmp", "eq", "ne", "lt", "le", "gt", "ge"];

fn is_sequence(token: &Token<'_>) -> bool {
    let text = token.text;
    let named = text == "seq" || text.ends_with("first_seq") || text.ends_with("next_seq");
    token.kind == Kind::Word && named
}

/// Rule: outside `ledger/` nobody compares `seq`, `…first_seq` or `…next_seq`; tests may.
fn compared_sequences(file: &TextFile) -> Vec<Fault> {
    let watched = file.path.starts_with("services/") || file.path.starts_with("replay/");
    if !watched || !is_rust(file) || is_test_file(&file.path) {
        return Vec::new();
    }
    let (code, _) = split_tests(&tokens(&file.text));
    let mut faults = Vec::new();
    for at in 0..code.len() {
        if let Some(name) = operator_on_sequence(&code, at).or(method_on_sequence(&code, at)) {
            faults.push(Fault {
                file: file.path.clone(),
                line: code[at].line,
                rule: "sequences are compared in ledger/ only",
                found: format!("`{}` compared by `{}`", name, code[at].text),
                instead:
                    "ask ledger: `admit` and the publisher know what is next, a duplicate or a \
                          gap; add the question there if it is new"
                        .to_owned(),
            });
        }
    }
    faults
}

fn operator_on_sequence<'a>(code: &[Token<'a>], at: usize) -> Option<&'a str> {
    let is_comparison = COMPARISONS.iter().any(|sign| code[at].is_sign(sign));
    if !is_comparison || is_generic_bracket(code, at) {
        return None;
    }
    let left = operand(code[..at].iter().rev(), &[")", "]"], &["(", "["]);
    let right = operand(code[at + 1..].iter(), &["(", "["], &[")", "]"]);
    left.into_iter()
        .chain(right)
        .find(|token| is_sequence(token))
        .map(|token| token.text)
}

/// `f::<T>()`, `<T as Trait>::f()` and `fn f<T>()` compare nothing.
fn is_generic_bracket(code: &[Token<'_>], at: usize) -> bool {
    let before = |count: usize| at.checked_sub(count).map(|index| code[index]);
    let opens_path = before(1).is_some_and(|token| token.is_sign("::"));
    let closes_path = code.get(at + 1).is_some_and(|token| token.is_sign("::"));
    let declares = before(2).is_some_and(|token| token.is_word("fn"));
    opens_path || closes_path || declares
}

fn method_on_sequence<'a>(code: &[Token<'a>], at: usize) -> Option<&'a str> {
    let name = code[at];
    let is_method = name.kind == Kind::Word && COMPARING_METHODS.contains(&name.text);
    if !is_method || at < 2 || !code[at - 1].is_sign(".") {
        return None;
    }
    let receiver = operand(code[..at - 1].iter().rev(), &[")", "]"], &["(", "["]);
    receiver
        .into_iter()
        .find(|token| is_sequence(token))
        .map(|token| token.text)
}

/// The tokens of one operand, read away from the operator; what stands in brackets is left out.
fn operand<'t, 'a: 't>(
    side: impl Iterator<Item = &'t Token<'a>>,
    opens: &[&str],
    closes: &[&str],
) -> Vec<Token<'a>> {
    const ENDS: [&str; 17] = [
        ";", "{", "}", ",", ":", "=", "=>", "->", "&&", "||", "<", ">", "<=", ">=", "==", "!=", "|",
    ];
    const WORDS_THAT_END: [&str; 8] = [
        "if", "while", "match", "return", "let", "in", "else", "where",
    ];
    let mut depth = 0_usize;
    let mut found = Vec::new();
    for token in side {
        let is_one_of = |signs: &[&str]| signs.iter().any(|sign| token.is_sign(sign));
        if is_one_of(opens) {
            depth += 1;
        } else if is_one_of(closes) {
            if depth == 0 {
                break;
            }
            depth -= 1;
        } else if depth == 0 {
            if is_one_of(&ENDS) || WORDS_THAT_END.iter().any(|word| token.is_word(word)) {
                break;
            }
            found.push(*token);
        }
    }
    found
}

#[test]
fn only_the_ledger_compares_sequences() {
    let faults: Vec<Fault> = text_files().iter().flat_map(compared_sequences).collect();
    assert_none(&faults);
}

#[test]
fn planted_comparisons_are_found() {
    for planted_fault in [
        "if seq < 3 {}",
        "if frame.first_seq >= stream.next {}",
        "let late = known != header.first_seq;",
        "while 7 == self.stream.next_seq() {}",
        "assert!(own_next_seq.0 > 4);",
        "match x { n if n <= frame.seq + 1 => {} _ => {} }",
        "let gap = a && header.seq as u64 != b;",
        "let order = one.seq.cmp(&other.seq);",
        "let same = one.first_seq().eq(&x);",
    ] {
        let text = format!("fn f() {{\n    {planted_fault}\n}}");
        for path in ["services/gateway/src/spool.rs", "replay/src/engine.rs"] {
            let faults = compared_sequences(&planted(path, &text));
            assert_eq!(faults.len(), 1, "{planted_fault}: {faults:?}");
            assert_eq!(faults[0].line, 2);
        }
    }
}

#[test]
fn sequences_that_are_passed_on_are_no_fault() {
    let text = "// if seq < 3\nconst S: &str = \"seq == 3\";\n\
                fn next_seq<T>(seq: u64) -> Option<u64> { let first_seq: Vec<u64> = seq; }\n\
                let subsequence = sequel < 3; let next_seq = log.next_seq();\n\
                stream.next_seq::<u8>(); <T as Log>::next_seq(log); for seq in 0..9 { f(seq, a < b); }\n\
                Frame { seq, count: 3 }; let x = if a > b { seq } else { 0 }; f(seq) < 3;\n\
                #[cfg(test)] mod tests { fn t() { assert!(seq == 3); } }";
    assert_eq!(
        compared_sequences(&planted("services/gateway/src/spool.rs", text)),
        []
    );
}

#[test]
fn the_ledger_and_tests_may_compare() {
    let text = "fn f() { if seq < first_seq {} }";
    for path in [
        "ledger/src/admission.rs",
        "services/gateway/tests/spool.rs",
        "tests/sim/src/a.rs",
    ] {
        assert_eq!(compared_sequences(&planted(path, text)), [], "{path}");
    }
}
