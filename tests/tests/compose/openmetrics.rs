//! OpenMetrics text, read strictly: what Prometheus would read is what is there, and nothing is left to its kindness.

use std::collections::{BTreeMap, BTreeSet};

/// A metric: its type, and the labels that any of its samples has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) labels: BTreeSet<String>,
}

/// Labels of a sample, in their order.
type Labels = Vec<(String, String)>;

fn is_name(text: &str) -> bool {
    let is_first = |c: char| c.is_ascii_lowercase() || c == '_';
    text.starts_with(is_first) && text.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

/// Splits `name{labels} value`.
fn sample(line: &str) -> Result<(&str, Labels, f64), String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        let (inside, after) = inner.rsplit_once("} ").ok_or("no end of labels")?;
        rest = after;
        for label in inside.split(',') {
            let (name, value) = label.split_once('=').ok_or("a label without a value")?;
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            let value = value.ok_or("a value without quotes")?;
            if !is_name(name) || value.contains(['"', '\\', '\n']) {
                return Err(format!("the label {name}={value}"));
            }
            if value.parse::<std::net::IpAddr>().is_ok() {
                return Err(format!("an address: {value}"));
            }
            if labels.iter().any(|(known, _)| known == name) {
                return Err(format!("{name} twice"));
            }
            labels.push((name.to_owned(), value.to_owned()));
        }
    } else {
        rest = rest.strip_prefix(' ').ok_or("no space")?;
    }
    let value = rest.parse().map_err(|_| format!("the value {rest}"))?;
    Ok((name, labels, value))
}

/// What a family's samples are called, by its type.
fn suffixes(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "counter" => &["_total"],
        "gauge" => &[""],
        "histogram" => &["_bucket", "_count", "_sum"],
        "summary" => &["", "_count", "_sum"],
        _ => return None,
    })
}

/// The buckets of one histogram, and what `_count` says.
#[derive(Default)]
struct Buckets {
    ends: Vec<f64>,
    counts: Vec<f64>,
    count: Option<f64>,
}

impl Buckets {
    fn fault(&self) -> Option<&'static str> {
        let ascends = self.ends.windows(2).all(|two| two[0] < two[1]);
        let grows = self.counts.windows(2).all(|two| two[0] <= two[1]);
        if !ascends || self.ends.last() != Some(&f64::INFINITY) {
            Some("its buckets do not ascend to +Inf")
        } else if !grows {
            Some("its buckets do not add up")
        } else if self.counts.last() != self.count.as_ref() {
            Some("its last bucket is not its count")
        } else {
            None
        }
    }
}

/// Every family by name.
///
/// # Errors
/// The first line that is none, and why.
pub(crate) fn read(text: &str) -> Result<BTreeMap<String, Family>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("no # EOF at the end")?;
    let mut families = BTreeMap::<String, Family>::new();
    let mut helped = BTreeSet::new();
    let mut current = String::new();
    let mut seen = BTreeSet::new();
    let mut buckets = BTreeMap::<(String, Labels), Buckets>::new();
    for line in body.lines() {
        let wrong = |why: &str| format!("{why}: {line}");
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, rest) = (words.next(), words.next(), words.next());
            let (Some(what), Some(name), Some(rest)) = (what, name, rest) else {
                return Err(wrong("no comment of OpenMetrics"));
            };
            if !is_name(name) || !name.starts_with("orebook_") {
                return Err(wrong("no name of ours"));
            }
            match what {
                "TYPE" if suffixes(rest).is_none() => return Err(wrong("no type")),
                "TYPE" => {
                    let family = Family {
                        kind: rest.to_owned(),
                        ..Family::default()
                    };
                    if families.insert(name.to_owned(), family).is_some() {
                        return Err(wrong("a family twice"));
                    }
                    current = name.to_owned();
                }
                "HELP" if !helped.insert(name.to_owned()) => return Err(wrong("help twice")),
                "HELP" => {}
                "UNIT" if !name.ends_with(&format!("_{rest}")) => {
                    return Err(wrong("a name without its unit"));
                }
                "UNIT" => {}
                _ => return Err(wrong("no comment of OpenMetrics")),
            }
            continue;
        }
        let (name, labels, value) = sample(line).map_err(|why| wrong(&why))?;
        let family = families
            .get_mut(&current)
            .ok_or(wrong("no type before it"))?;
        let suffix = name.strip_prefix(current.as_str());
        let legal = suffixes(&family.kind).unwrap_or_default();
        let suffix = suffix.filter(|suffix| legal.contains(suffix));
        let Some(suffix) = suffix else {
            return Err(wrong("not of the family before it"));
        };
        if !seen.insert((name.to_owned(), labels.clone())) {
            return Err(wrong("a sample twice"));
        }
        if family.kind != "gauge" && (value.is_nan() || value < 0.0) {
            return Err(wrong("less than nothing"));
        }
        let names = labels.iter().map(|(name, _)| name.clone());
        family.labels.extend(names.filter(|name| name != "le"));
        if family.kind == "histogram" {
            let mut of = labels.clone();
            let end = of.iter().position(|(name, _)| name == "le");
            let end = end.map(|place| of.remove(place).1);
            let histogram = buckets.entry((current.clone(), of)).or_default();
            match (suffix, end) {
                ("_bucket", Some(end)) => {
                    let end = match end.as_str() {
                        "+Inf" => f64::INFINITY,
                        end if end.contains('.') => end.parse().map_err(|_| wrong("no bound"))?,
                        _ => return Err(wrong("a bound is a decimal")),
                    };
                    histogram.ends.push(end);
                    histogram.counts.push(value);
                }
                ("_count", None) => histogram.count = Some(value),
                ("_sum", None) => {}
                _ => return Err(wrong("le stands at buckets, and there only")),
            }
        }
    }
    for ((name, labels), histogram) in &buckets {
        if let Some(fault) = histogram.fault() {
            return Err(format!("{fault}: {name} {labels:?}"));
        }
    }
    match families.keys().find(|name| !helped.contains(*name)) {
        Some(name) => Err(format!("no help: {name}")),
        None => Ok(families),
    }
}

#[test]
fn what_prometheus_would_not_read_is_refused() {
    let good = "# TYPE orebook_a counter\n# HELP orebook_a A\norebook_a_total{b=\"c\"} 1\n\
                # TYPE orebook_h histogram\n# HELP orebook_h H\norebook_h_bucket{le=\"0.5\"} 1\n\
                orebook_h_bucket{le=\"+Inf\"} 2\norebook_h_count 2\norebook_h_sum 0.7\n# EOF\n";
    let families = read(good).expect("it is right");
    assert_eq!(
        families["orebook_a"].labels,
        BTreeSet::from(["b".to_owned()])
    );
    for (from, to, says) in [
        ("# EOF\n", "", "no # EOF"),
        ("# HELP orebook_a A\n", "", "no help"),
        ("orebook_a_total", "orebook_a", "not of the family"),
        ("b=\"c\"} 1", "b=\"192.0.2.1\"} 1", "an address"),
        ("b=\"c\"} 1", "b=\"c\"} -1", "less than nothing"),
        ("b=\"c\"} 1", "b=\"c\"} one", "the value"),
        ("b=\"c\"} 1", "b=\"c\",b=\"d\"} 1", "b twice"),
        ("b=\"c\"} 1", "b=c} 1", "without quotes"),
        (
            "b=\"c\"} 1\n",
            "b=\"c\"} 1\norebook_a_total{b=\"c\"} 1\n",
            "a sample twice",
        ),
        ("# TYPE orebook_h h", "# TYPE orebook_a h", "a family twice"),
        ("le=\"0.5\"", "le=\"1\"", "a bound is a decimal"),
        (
            "bucket{le=\"0.5\"} 1",
            "bucket{le=\"0.5\"} 3",
            "do not add up",
        ),
        ("orebook_h_count 2", "orebook_h_count 3", "is not its count"),
        ("le=\"+Inf\"", "le=\"0.1\"", "do not ascend"),
    ] {
        let wrong = good.replacen(from, to, 1);
        assert_ne!(wrong, good, "{from}");
        let said = read(&wrong).expect_err(from);
        assert!(said.contains(says), "{from}: {said}");
    }
}
