//! The text in which Prometheus reads numbers: its own format of old, or OpenMetrics 1.0.
//!
//! Own code, since the crate for it (prometheus-client 0.24) writes OpenMetrics only, does not
//! escape the values of labels, and wants a registry of its own.

use super::cell::{BOUNDS, Observed};
use std::fmt::{Display, Write};

/// Which text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' own, version 0.0.4.
    Prometheus,
}

impl Format {
    /// What a scraper's `accept` asks for.
    pub fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Format::OpenMetrics,
            false => Format::Prometheus,
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What a family of numbers is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Labels with their values.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text as it is written, one family after the other.
pub(super) struct Text {
    format: Format,
    out: String,
    name: &'static str,
    kind: Kind,
}

impl Text {
    pub(super) fn new(format: Format) -> Self {
        Text {
            format,
            out: String::new(),
            name: "",
            kind: Kind::Gauge,
        }
    }

    /// Begins a family. A counter's name comes without `_total`.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        (self.name, self.kind) = (name, kind);
        let (word, suffix) = match (kind, self.format) {
            // The old format names samples, OpenMetrics what they are of.
            (Kind::Counter, Format::Prometheus) => ("counter", "_total"),
            (Kind::Counter, Format::OpenMetrics) => ("counter", ""),
            (Kind::Gauge, _) => ("gauge", ""),
            (Kind::Histogram, _) => ("histogram", ""),
        };
        self.put(format_args!("# HELP {name}{suffix} {help}\n"));
        self.put(format_args!("# TYPE {name}{suffix} {word}\n"));
    }

    /// A number of the family.
    pub(super) fn number(&mut self, labels: Labels<'_>, value: impl Display) {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            _ => "",
        };
        self.sample(suffix, labels, None, value);
    }

    /// A histogram of the family, in seconds.
    pub(super) fn histogram(&mut self, labels: Labels<'_>, seen: &Observed) {
        let bounds = BOUNDS.iter().map(|nanos| Some(Billionths(*nanos)));
        let mut count = 0;
        for (bound, own) in bounds.chain([None]).zip(seen.buckets) {
            count += own;
            let le = bound.map_or("+Inf".to_owned(), |bound| bound.to_string());
            self.sample("_bucket", labels, Some(&le), count);
        }
        let sum = seen.nanos as f64 / 1e9;
        self.sample("_sum", labels, None, sum);
        self.sample("_count", labels, None, count);
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn sample(&mut self, suffix: &str, labels: Labels<'_>, le: Option<&str>, value: impl Display) {
        self.out.push_str(self.name);
        self.out.push_str(suffix);
        let mut before = '{';
        let le = le.map(|le| ("le", le));
        for (name, value) in labels.iter().copied().chain(le) {
            self.out.push(before);
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(&mut self.out, value);
            self.out.push('"');
            before = ',';
        }
        if before == ',' {
            self.out.push('}');
        }
        self.put(format_args!(" {value}\n"));
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.out.write_fmt(text);
    }
}

/// The same in both formats.
fn escape(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

/// A number of billionths, written as a decimal without loss, and with a point, as OpenMetrics
/// wants the bounds of buckets.
pub(super) struct Billionths(pub(super) u64);

impl Display for Billionths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let short = text.trim_end_matches('0');
        let point = if short.ends_with('.') { "0" } else { "" };
        write!(f, "{short}{point}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::Histogram;
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_asked_for_is_given() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        for other in ["", "*/*", "text/html", "text/plain;version=0.0.4"] {
            assert_eq!(Format::accepted(other), Format::Prometheus);
        }
    }

    #[test]
    fn both_formats_say_the_same_in_their_own_way() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(150));
        histogram.observe(Duration::from_secs(1000));
        let mut seen = Observed::default();
        histogram.add_to(&mut seen);
        let write = |format| {
            let mut text = Text::new(format);
            text.family("a", Kind::Counter, "What.");
            text.number(&[("m", "x\"\\\n")], 3);
            text.family("b", Kind::Gauge, "How much.");
            text.number(&[], 7);
            text.family("c_seconds", Kind::Histogram, "How long.");
            text.histogram(&[("m", "x")], &seen);
            text.finish()
        };
        let old = write(Format::Prometheus);
        let begin = "# HELP a_total What.\n# TYPE a_total counter\na_total{m=\"x\\\"\\\\\\n\"} 3\n\
            # HELP b How much.\n# TYPE b gauge\nb 7\n\
            # HELP c_seconds How long.\n# TYPE c_seconds histogram\n\
            c_seconds_bucket{m=\"x\",le=\"0.0001\"} 0\n\
            c_seconds_bucket{m=\"x\",le=\"0.0002\"} 1\n";
        assert!(old.starts_with(begin), "{old}");
        let end = "c_seconds_bucket{m=\"x\",le=\"600.0\"} 1\n\
            c_seconds_bucket{m=\"x\",le=\"+Inf\"} 2\n\
            c_seconds_sum{m=\"x\"} 1000.00015\nc_seconds_count{m=\"x\"} 2\n";
        assert!(old.ends_with(end), "{old}");
        let new = write(Format::OpenMetrics);
        let same = old.replace("# HELP a_total", "# HELP a");
        let same = same.replace("# TYPE a_total", "# TYPE a");
        assert_eq!(new, same + "# EOF\n");
    }

    #[test]
    fn billionths_are_written_without_loss() {
        for (nanos, text) in [
            (0, "0.0"),
            (1, "0.000000001"),
            (100_000, "0.0001"),
            (600_000_000_000, "600.0"),
        ] {
            assert_eq!(Billionths(nanos).to_string(), text);
        }
    }
}
