//! A list of worker names as a file of comma-separated values: what `orebook account import` reads.
//!
//! The first line names the columns, one of which is `worker`; the others are passed over, so that a farm's own list will do.
//! A field may stand in double quotes, a double quote inside is written twice (RFC 4180), and no field goes over a line's end.
//! Lines end with LF or CRLF; empty ones are passed over; a byte order mark at the front is none. Limits are looked at before
//! anything is read: [`FILE_BYTES_MAX`], [`LINE_BYTES_MAX`], [`WORKERS_MAX`], [`COLUMNS_MAX`].

use std::collections::BTreeMap;
use std::fmt;

use orebook_schema::WorkerName;

/// Bytes of a file at most: [`WORKERS_MAX`] lines of 128.
pub const FILE_BYTES_MAX: u64 = 8 << 20;
/// Bytes of a line at most, its end not counted.
pub const LINE_BYTES_MAX: usize = 4_096;
/// Names in a file at most: as many as a ledger has of all accounts (docs/rules.md 10.2).
pub const WORKERS_MAX: usize = 65_536;
/// Columns at most.
pub const COLUMNS_MAX: usize = 64;
/// Faults that are told at most; a file with more is broken in one way, as a rule.
pub const FAULTS_MAX: usize = 20;
/// The column that is read.
const COLUMN: &str = "worker";

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The file is too long; of line 1.
    File,
    /// The line is too long.
    Line,
    /// Not UTF-8.
    Text,
    /// The first line has no column of names, or two.
    Header,
    /// Too many columns.
    Columns,
    /// A quote that does not begin or end a field.
    Quote,
    /// The line ends before the column.
    Missing,
    /// Not a worker's name: its first characters.
    Name(String),
    /// The name stands in an earlier line.
    Twice {
        /// The name.
        name: String,
        /// Line of the first.
        first: usize,
    },
    /// Too many names.
    Many,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => write!(f, "the file has more than {FILE_BYTES_MAX} bytes"),
            Self::Line => write!(f, "the line has more than {LINE_BYTES_MAX} bytes"),
            Self::Text => f.write_str("the line is no UTF-8"),
            Self::Header => write!(
                f,
                "the first line names the columns, and exactly one of them is `{COLUMN}`"
            ),
            Self::Columns => write!(f, "the line has more than {COLUMNS_MAX} columns"),
            Self::Quote => {
                f.write_str("a double quote begins a field and ends it; inside it is written twice")
            }
            Self::Missing => write!(f, "the line has no column `{COLUMN}`"),
            Self::Name(text) => write!(
                f,
                "a worker's name is 1 to 64 of A-Z a-z 0-9 _ . -, not {text:?}"
            ),
            Self::Twice { name, first } => write!(f, "{name} stands in line {first} already"),
            Self::Many => write!(f, "the file has more than {WORKERS_MAX} names"),
        }
    }
}

/// A fault and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: What,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Reads a file's bytes: its names, in the order of their bytes.
///
/// # Errors
/// The first [`FAULTS_MAX`] faults by line, at least one; a file with a fault gives no names.
pub fn parse(bytes: &[u8]) -> Result<Vec<WorkerName>, Vec<Fault>> {
    if usize::try_from(FILE_BYTES_MAX).is_ok_and(|most| most < bytes.len()) {
        return Err(fault(1, What::File));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let header = lines.find(|(_, line)| !strip(line).is_empty());
    let (number, header) = header.ok_or_else(|| fault(1, What::Header))?;
    let column = column(header).map_err(|what| fault(number, what))?;
    let mut found: BTreeMap<WorkerName, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for (number, line) in lines {
        if strip(line).is_empty() {
            continue;
        }
        let what = match name(line, column) {
            Err(what) => what,
            Ok(_) if WORKERS_MAX <= found.len() => {
                faults.push(Fault {
                    line: number,
                    what: What::Many,
                });
                break;
            }
            Ok(name) => match found.get(&name) {
                Some(first) => What::Twice {
                    name: name.as_str().to_owned(),
                    first: *first,
                },
                None => {
                    found.insert(name, number);
                    continue;
                }
            },
        };
        faults.push(Fault { line: number, what });
        if FAULTS_MAX <= faults.len() {
            break;
        }
    }
    if faults.is_empty() {
        Ok(found.into_keys().collect())
    } else {
        Err(faults)
    }
}

fn fault(line: usize, what: What) -> Vec<Fault> {
    vec![Fault { line, what }]
}

fn strip(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Which column has the names.
fn column(header: &[u8]) -> Result<usize, What> {
    let fields = fields(header)?;
    let is_it = |field: &String| field.trim().eq_ignore_ascii_case(COLUMN);
    let mut found = fields.iter().enumerate().filter(|(_, field)| is_it(field));
    match (found.next(), found.next()) {
        (Some((column, _)), None) => Ok(column),
        _ => Err(What::Header),
    }
}

fn name(line: &[u8], column: usize) -> Result<WorkerName, What> {
    let fields = fields(line)?;
    let field = fields.get(column).ok_or(What::Missing)?;
    let text = field.trim();
    WorkerName::parse(text).ok_or_else(|| What::Name(text.chars().take(80).collect()))
}

/// The fields of a line.
fn fields(line: &[u8]) -> Result<Vec<String>, What> {
    let line = strip(line);
    if LINE_BYTES_MAX < line.len() {
        return Err(What::Line);
    }
    let mut rest = str::from_utf8(line).map_err(|_| What::Text)?;
    let mut fields = Vec::new();
    loop {
        if COLUMNS_MAX <= fields.len() {
            return Err(What::Columns);
        }
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                if field.contains('"') {
                    return Err(What::Quote);
                }
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(What::Quote),
        }
    }
}

/// A field behind its opening quote, and what follows its closing one.
fn quoted_field(mut rest: &str) -> Result<(String, &str), What> {
    let mut field = String::new();
    loop {
        let (before, after) = rest.split_once('"').ok_or(What::Quote)?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Ok((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<String>, Vec<String>> {
        match parse(text.as_bytes()) {
            Ok(names) => Ok(names.iter().map(|name| name.as_str().to_owned()).collect()),
            Err(faults) => Err(faults.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn names_are_read_by_their_column_whatever_stands_beside_it() {
        for (text, expected) in [
            ("worker\nb\na\n", &["a", "b"][..]),
            ("worker", &[]),
            ("\u{feff}worker\r\nrig1\r\n\r\nrig2", &["rig1", "rig2"]),
            ("\n\nip, Worker ,model\n10.0.0.1,rig1,x\n", &["rig1"]),
            (
                "worker,note\nrig1\nrig2,\"a, \"\"b\"\"\"\n",
                &["rig1", "rig2"],
            ),
            ("\"worker\"\n\"rig.1\"\n rig-2 \n", &["rig-2", "rig.1"]),
            // Names are told apart by case, and stand in the order of their bytes.
            ("worker\na\nA\n", &["A", "a"]),
        ] {
            assert_eq!(
                names(text),
                Ok(expected.iter().map(|n| (*n).to_owned()).collect()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn every_fault_has_its_line_and_no_name_comes_of_a_file_with_one() {
        let header = "the first line names the columns, and exactly one of them is `worker`";
        let quote = "a double quote begins a field and ends it; inside it is written twice";
        let name =
            |text: &str| format!("a worker's name is 1 to 64 of A-Z a-z 0-9 _ . -, not {text:?}");
        for (text, faults) in [
            ("", vec![format!("line 1: {header}")]),
            ("\n \n", vec![format!("line 2: {header}")]),
            ("rig1\nrig2\n", vec![format!("line 1: {header}")]),
            ("worker,WORKER\n", vec![format!("line 1: {header}")]),
            (
                "worker\na b\nok\n\n,\n",
                vec![
                    format!("line 2: {}", name("a b")),
                    format!("line 5: {}", name("")),
                ],
            ),
            (
                "ip,worker\nx,a\ny\n",
                vec!["line 3: the line has no column `worker`".to_owned()],
            ),
            (
                "worker\na\nb\na\n",
                vec!["line 4: a stands in line 2 already".to_owned()],
            ),
            (
                "worker\na\"b\n\"a\n\"a\"b\n",
                vec![
                    format!("line 2: {quote}"),
                    format!("line 3: {quote}"),
                    format!("line 4: {quote}"),
                ],
            ),
        ] {
            assert_eq!(names(text), Err(faults), "{text:?}");
        }
        assert_eq!(parse(b"worker\n\xff\n"), Err(fault(2, What::Text)));
    }

    #[test]
    fn limits_are_looked_at_before_what_they_limit() {
        let long = format!("worker\n{}\n", "x".repeat(LINE_BYTES_MAX + 1));
        assert_eq!(parse(long.as_bytes()), Err(fault(2, What::Line)));
        let wide = format!("worker{}\n", ",x".repeat(COLUMNS_MAX));
        assert_eq!(parse(wide.as_bytes()), Err(fault(1, What::Columns)));
        let big = vec![b'\n'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
        assert_eq!(parse(&big), Err(fault(1, What::File)));
        let bad = format!("worker\n{}", "?\n".repeat(FAULTS_MAX + 5));
        assert_eq!(parse(bad.as_bytes()).unwrap_err().len(), FAULTS_MAX);
        let mut many = String::from("worker\n");
        for number in 0..=WORKERS_MAX {
            many.push_str(&format!("w{number}\n"));
        }
        assert_eq!(
            parse(many.as_bytes()),
            Err(fault(WORKERS_MAX + 2, What::Many))
        );
        let fits = many.rsplit_once("w65536").unwrap().0;
        assert_eq!(parse(fits.as_bytes()).unwrap().len(), WORKERS_MAX);
    }
}
