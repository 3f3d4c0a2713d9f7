//! Reads what Prometheus reads, more strictly than Prometheus does.

use std::collections::{BTreeMap, BTreeSet};

/// The samples of a scrape, by name and labels.
pub struct Scrape(BTreeMap<(String, BTreeMap<String, String>), f64>);

impl Scrape {
    /// Panics where the text is not legal, in either format.
    pub fn read(text: &str) -> Scrape {
        let open_metrics = text.ends_with("# EOF\n");
        let text = text.strip_suffix("# EOF\n").unwrap_or(text);
        let mut samples = BTreeMap::new();
        let (mut family, mut kind, mut seen) = ("", "", BTreeSet::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("help");
                assert!(!help.is_empty() && seen.insert(name), "{line}");
                (family, kind) = (name, "");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, word) = rest.split_once(' ').expect("a type");
                assert_eq!((name, kind), (family, ""), "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&word), "{line}");
                kind = word;
            } else {
                let (name, labels, value) = sample(line);
                let suffix = name.strip_prefix(family).expect(line);
                let legal: &[&str] = match (kind, open_metrics) {
                    ("counter", true) => &["_total"],
                    ("histogram", _) => &["_bucket", "_count", "_sum"],
                    ("counter" | "gauge", _) => &[""],
                    _ => panic!("a sample without a type: {line}"),
                };
                assert!(legal.contains(&suffix), "{line}");
                assert!(kind != "counter" || family.ends_with("_total") != open_metrics);
                assert!(value >= 0.0, "{line}");
                let key = (name.to_owned(), labels);
                assert_eq!(samples.insert(key, value), None, "{line}");
            }
        }
        let scrape = Scrape(samples);
        scrape.check_histograms();
        scrape
    }

    fn check_histograms(&self) {
        let buckets = self
            .0
            .iter()
            .filter(|((name, _), _)| name.ends_with("_bucket"));
        let mut series: BTreeMap<_, Vec<(f64, f64)>> = BTreeMap::new();
        for ((name, labels), count) in buckets {
            let mut labels = labels.clone();
            let bound = labels.remove("le").expect("a bound");
            let bound = bound.replace("+Inf", "inf").parse().expect("a number");
            let name = name.trim_end_matches("_bucket").to_owned();
            series
                .entry((name, labels))
                .or_default()
                .push((bound, *count));
        }
        for ((name, labels), mut buckets) in series {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(
                buckets.is_sorted_by(|a, b| a.1 <= b.1),
                "{name} {buckets:?}"
            );
            let last = buckets.last().copied();
            let count = self.0[&(format!("{name}_count"), labels.clone())];
            assert_eq!(last, Some((f64::INFINITY, count)), "{name}");
            let sum = self.0[&(format!("{name}_sum"), labels)];
            assert!(sum > 0.0 || count == 0.0, "{name}");
        }
    }

    /// The sum of all samples of this name that have at least these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted = |own: &BTreeMap<String, String>| {
            let mut labels = labels.iter();
            labels.all(|(label, value)| own.get(*label).is_some_and(|own| own == value))
        };
        let own = self.0.iter().filter(|((own, _), _)| own == name);
        own.filter(|((_, labels), _)| wanted(labels))
            .map(|(_, value)| value)
            .sum()
    }

    /// All values of a label.
    pub fn values(&self, label: &str) -> BTreeSet<&str> {
        let labels = self.0.keys().filter_map(|(_, labels)| labels.get(label));
        labels.map(String::as_str).collect()
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

fn sample(line: &str) -> (&str, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    assert!(!name.is_empty() && name.bytes().all(legal), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (label, behind) = inside.split_once("=\"").expect(line);
            assert!(!label.is_empty() && label.bytes().all(legal), "{line}");
            let (value, behind) = quoted(behind);
            assert_eq!(labels.insert(label.to_owned(), value), None, "{line}");
            match behind.strip_prefix(',') {
                Some(next) => inside = next,
                None => {
                    rest = behind.strip_prefix('}').expect(line);
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').expect(line);
    (name, labels, value.parse().expect(line))
}

/// The value up to its closing quote, and what stands behind that.
fn quoted(text: &str) -> (String, &str) {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                other => panic!("no escape: {other:?}"),
            },
            c => value.push(c),
        }
    }
    panic!("not closed: {text}");
}
