//! Query strings, read strictly: a parameter that a route does not have is an error, not a wish that nobody heard.

use super::refusal::Refusal;

/// Longest query string.
pub(crate) const QUERY_BYTES_MAX: usize = 512;
/// Rows of a page unless asked otherwise.
pub(crate) const LIMIT_DEFAULT: usize = 50;
/// Most rows of a page.
pub(crate) const LIMIT_MAX: usize = 200;

/// A query string's parameters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pairs: Vec<(&'static str, String)>,
}

impl Query {
    /// Reads a query string whose parameters are all in `known`, each at most once.
    ///
    /// # Errors
    /// [`Refusal::BadQuery`] which names the parameter.
    pub(crate) fn parse(raw: Option<&str>, known: &[&'static str]) -> Result<Self, Refusal> {
        let raw = raw.unwrap_or_default();
        if QUERY_BYTES_MAX < raw.len() {
            return Err(bad(format!("a query has at most {QUERY_BYTES_MAX} bytes")));
        }
        let mut pairs: Vec<(&'static str, String)> = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(name) = known.iter().find(|known| **known == name) else {
                return Err(bad(unknown(name, known)));
            };
            if pairs.iter().any(|(before, _)| before == name) {
                return Err(bad(format!("`{name}` is given twice")));
            }
            let value = decoded(value).ok_or_else(|| {
                bad(format!(
                    "the value of `{name}` is not percent-encoded UTF-8"
                ))
            })?;
            pairs.push((*name, value));
        }
        Ok(Self { pairs })
    }

    /// A parameter's text, if it is given.
    #[must_use]
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(have, _)| *have == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter that is a plain decimal number within `range`.
    ///
    /// # Errors
    /// [`Refusal::BadQuery`] if it is anything else.
    pub(crate) fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let number = plain(text).filter(|number| range.contains(number));
        let (low, high) = (range.start(), range.end());
        number
            .map(Some)
            .ok_or_else(|| bad(format!("`{name}` is a number from {low} to {high}")))
    }

    /// Rows asked for: `limit`, [`LIMIT_DEFAULT`] if it is not given.
    ///
    /// # Errors
    /// [`Refusal::BadQuery`] if it is not 1 to [`LIMIT_MAX`].
    pub(crate) fn limit(&self) -> Result<usize, Refusal> {
        let most = u64::try_from(LIMIT_MAX).unwrap_or(u64::MAX);
        let limit = self.number("limit", 1..=most)?;
        Ok(limit.map_or(LIMIT_DEFAULT, |limit| {
            usize::try_from(limit).unwrap_or(LIMIT_MAX)
        }))
    }
}

pub(super) fn bad(message: String) -> Refusal {
    Refusal::BadQuery(message)
}

fn unknown(name: &str, known: &[&str]) -> String {
    let shown: String = name
        .chars()
        .filter(|c| c.is_ascii_graphic())
        .take(32)
        .collect();
    if known.is_empty() {
        format!("this route has no parameters, and `{shown}` is none")
    } else {
        format!(
            "`{shown}` is no parameter of this route; it has {}",
            known.join(", ")
        )
    }
}

/// A number without sign, spaces or leading zeros: one spelling a value.
pub(super) fn plain(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    (digits && canonical).then(|| text.parse().ok()).flatten()
}

/// Text of a percent-encoded value; `+` stays a plus.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.extend(orebook_schema::units::unhex(str::from_utf8(&pair).ok()?)?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_queries_are_refused_with_the_parameter_named() {
        let long = "limit=1&".repeat(100);
        for (raw, says) in [
            (
                "limt=5",
                "`limt` is no parameter of this route; it has limit, cursor",
            ),
            ("limit=5&limit=6", "`limit` is given twice"),
            (
                "cursor=%zz",
                "the value of `cursor` is not percent-encoded UTF-8",
            ),
            (
                "cursor=%f",
                "the value of `cursor` is not percent-encoded UTF-8",
            ),
            (
                "cursor=%ff",
                "the value of `cursor` is not percent-encoded UTF-8",
            ),
            (
                "Limit=5",
                "`Limit` is no parameter of this route; it has limit, cursor",
            ),
            (long.as_str(), "a query has at most 512 bytes"),
        ] {
            let refused = Query::parse(Some(raw), &["limit", "cursor"]).unwrap_err();
            assert_eq!(refused, Refusal::BadQuery(says.to_owned()), "{raw}");
        }
        for limit in [
            "0",
            "201",
            "-1",
            "+1",
            "01",
            "1.0",
            "",
            "99999999999999999999",
            "1 ",
        ] {
            let query = Query::parse(Some(&format!("limit={limit}")), &["limit"]).unwrap();
            let refused = query.limit().unwrap_err();
            let says = "`limit` is a number from 1 to 200".to_owned();
            assert_eq!(refused, Refusal::BadQuery(says), "{limit}");
        }
    }

    #[test]
    fn good_queries_are_read() {
        let query = Query::parse(Some("cursor=a%2Fb+c&&limit=200"), &["limit", "cursor"]).unwrap();
        assert_eq!(query.text("cursor"), Some("a/b+c"));
        assert_eq!(query.limit(), Ok(200));
        assert_eq!(Query::parse(None, &[]).unwrap().limit(), Ok(LIMIT_DEFAULT));
    }
}
