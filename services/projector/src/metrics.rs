//! What `/metrics` says: counters and gauges of prometheus-client, latencies of hdrhistogram as summaries, and whatever
//! other rooms of the process add as text. Labels come from closed sets only: never an account's or a worker's name.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

/// Media type of [`Metrics::text`].
pub const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Most bytes of one source's text; a longer one is left out, since the room that wrote it has a label without an end.
/// A gateway with 64 ports on which everything that can happen did has about 6 MB; one with four ports 100 kB.
pub const SOURCE_BYTES_MAX: usize = 8 << 20;
/// Longest latency told apart; longer ones count as this.
const LATENCY_US_MAX: u64 = 60_000_000;
/// A summary's quantiles cover one to two of these.
const WINDOW: Duration = Duration::from_secs(300);
const QUANTILES: [(&str, f64); 4] = [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99), ("1", 1.0)];

/// Another room's metrics: appends lines of OpenMetrics text, without `# EOF`. Called at each scrape; must not wait.
pub type Source = Box<dyn Fn(&mut String) + Send + Sync>;

/// Every metric of a process. Clones are the same set.
#[derive(Clone, Default)]
pub struct Metrics {
    held: Arc<Held>,
}

#[derive(Default)]
struct Held {
    registry: Mutex<Registry>,
    summaries: Mutex<Vec<Arc<Summary>>>,
    sources: Mutex<Vec<Source>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

// A panic ends the process (see `orebook`); until it has, figures are as good as they were.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers metrics of prometheus-client. Names begin with `orebook_`, once per name.
    pub fn register(&self, with: impl FnOnce(&mut Registry)) {
        with(&mut lock(&self.held.registry));
    }

    /// Adds another room's text.
    pub fn add_source(&self, source: Source) {
        lock(&self.held.sources).push(source);
    }

    /// Adds a summary of latencies in seconds: one row for each of `values` of the label.
    #[must_use]
    pub fn summary(
        &self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: &[&'static str],
    ) -> Arc<Summary> {
        let row = |value: &&'static str| (*value, Mutex::new(Latencies::new()));
        let summary = Arc::new(Summary {
            name,
            help,
            label,
            rows: values.iter().map(row).collect(),
        });
        lock(&self.held.summaries).push(summary.clone());
        summary
    }

    /// Everything as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(16 << 10);
        // A String takes every byte, so that these writes cannot fail.
        let written = encode_registry(&mut text, &lock(&self.held.registry));
        assert!(written.is_ok(), "metrics of our own can be written");
        let now = Instant::now();
        for summary in lock(&self.held.summaries).iter() {
            summary.write(now, &mut text);
        }
        for source in lock(&self.held.sources).iter() {
            let mut part = String::new();
            source(&mut part);
            if part.len() <= SOURCE_BYTES_MAX {
                text.push_str(&part);
                if !part.is_empty() && !part.ends_with('\n') {
                    text.push('\n');
                }
            }
        }
        let written = encode_eof(&mut text);
        assert!(written.is_ok(), "metrics of our own can be written");
        text
    }
}

/// Latencies of a few named kinds. Quantiles cover the last five to ten minutes, count and sum the process's life.
#[derive(Debug)]
pub struct Summary {
    name: &'static str,
    help: &'static str,
    label: &'static str,
    rows: Vec<(&'static str, Mutex<Latencies>)>,
}

#[derive(Debug)]
struct Latencies {
    current: Option<Histogram<u32>>,
    before: Option<Histogram<u32>>,
    since: Option<Instant>,
    count: u64,
    sum: Duration,
}

impl Latencies {
    fn new() -> Self {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_US_MAX, 2).ok();
        Self {
            current: histogram(),
            before: histogram(),
            since: None,
            count: 0,
            sum: Duration::ZERO,
        }
    }

    fn turn(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        if WINDOW <= now.saturating_duration_since(since) {
            std::mem::swap(&mut self.current, &mut self.before);
            if let Some(current) = &mut self.current {
                current.reset();
            }
            self.since = Some(now);
        }
    }

    fn record(&mut self, took: Duration, now: Instant) {
        self.turn(now);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(current) = &mut self.current {
            current.saturating_record(took_us.clamp(1, LATENCY_US_MAX));
        }
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(took);
    }

    fn quantile(&self, quantile: f64) -> Option<Duration> {
        let mut both = self.current.clone()?;
        both.add(self.before.as_ref()?).ok()?;
        (!both.is_empty()).then(|| Duration::from_micros(both.value_at_quantile(quantile)))
    }
}

impl Summary {
    /// Records a latency of the kind `value`; one that was not named at the start is left out.
    pub fn record(&self, value: &str, took: Duration) {
        if let Some((_, row)) = self.rows.iter().find(|(name, _)| *name == value) {
            lock(row).record(took, Instant::now());
        }
    }

    fn write(&self, now: Instant, out: &mut String) {
        use fmt::Write as _;
        let Self {
            name, help, label, ..
        } = self;
        let mut write = |line: fmt::Arguments<'_>| {
            let written = out.write_fmt(line);
            assert!(written.is_ok(), "a String takes every byte");
        };
        write(format_args!(
            "# HELP {name} {help}.\n# TYPE {name} summary\n# UNIT {name} seconds\n"
        ));
        for (value, row) in &self.rows {
            let mut row = lock(row);
            row.turn(now);
            for (shown, quantile) in QUANTILES {
                if let Some(took) = row.quantile(quantile) {
                    let took = took.as_secs_f64();
                    write(format_args!(
                        "{name}{{{label}=\"{value}\",quantile=\"{shown}\"}} {took}\n"
                    ));
                }
            }
            let (count, sum) = (row.count, row.sum.as_secs_f64());
            write(format_args!(
                "{name}_sum{{{label}=\"{value}\"}} {sum}\n{name}_count{{{label}=\"{value}\"}} {count}\n"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn the_text_has_every_kind_of_metric_and_one_end() {
        let metrics = Metrics::new();
        let requests = Counter::<u64>::default();
        metrics.register(|registry| {
            registry.register("orebook_test_requests", "Requests", requests.clone());
        });
        requests.inc();
        let summary = metrics.summary("orebook_test_seconds", "Time", "step", &["read", "fold"]);
        summary.record("read", Duration::from_millis(5));
        summary.record("unknown", Duration::from_millis(5));
        metrics.add_source(Box::new(|out| {
            out.push_str("# TYPE orebook_other gauge\norebook_other 3")
        }));
        metrics.add_source(Box::new(|out| {
            out.push_str(&"x".repeat(SOURCE_BYTES_MAX + 1))
        }));
        let text = metrics.text();
        for line in [
            "orebook_test_requests_total 1",
            "orebook_test_seconds_count{step=\"read\"} 1",
            "orebook_test_seconds_sum{step=\"read\"} 0.005",
            "orebook_test_seconds_count{step=\"fold\"} 0",
            "orebook_other 3",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
        }
        assert!(!text.contains("unknown") && !text.contains("xx"));
        assert!(text.ends_with("# EOF\n"));
        assert_eq!(text.matches("# EOF").count(), 1);
    }

    #[test]
    fn quantiles_forget_what_is_two_windows_old_and_sums_do_not() {
        let mut latencies = Latencies::new();
        let start = Instant::now();
        latencies.record(Duration::from_secs(9), start);
        latencies.record(Duration::from_millis(1), start + WINDOW);
        assert!(Some(Duration::from_secs(8)) < latencies.quantile(1.0));
        latencies.turn(start + WINDOW + WINDOW);
        assert!(latencies.quantile(1.0) < Some(Duration::from_millis(2)));
        assert_eq!(
            (latencies.count, latencies.sum),
            (2, Duration::from_millis(9_001))
        );
    }
}
