//! All workers' numbers, summed, with what only the shell can measure.

use super::cell::{Family, Observed};
use super::text::{Billionths, Format, Kind, Text};
use super::{Core, TOKENS, Target};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

/// A number that somebody else keeps.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sample {
    /// The family's name; a counter's without `_total`.
    pub name: &'static str,
    /// Whether it only grows.
    pub counts: bool,
    /// What it is, as a sentence.
    pub help: &'static str,
    /// Its one label, if it has one, and the value of that.
    pub label: Option<(&'static str, String)>,
    /// The number.
    pub value: u64,
}

/// What only the shell can measure. Samples of one family stand together.
#[derive(Clone, Debug, Default)]
pub struct Shell {
    /// `io_uring` or `epoll`.
    pub driver: &'static str,
    /// When the process began, in Unix seconds.
    pub started_s: f64,
    /// Anything else.
    pub samples: Vec<Sample>,
}

/// Connections to providers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pool {
    /// Those with an exchange.
    pub active: u64,
    /// Those that wait for one.
    pub idle: u64,
}

impl Pool {
    /// Those of all workers.
    pub fn of(cores: &[Arc<Core>]) -> Self {
        let sum = |of: fn(&Core) -> u64| cores.iter().map(|core| of(core)).sum::<u64>();
        let idle = sum(|core| core.idle.get());
        Pool {
            // Read one after the other, so they may not fit by one.
            active: sum(|core| core.connections.get()).saturating_sub(idle),
            idle,
        }
    }
}

/// The text of all numbers.
pub fn expose(cores: &[Arc<Core>], shell: &Shell, format: Format) -> String {
    let mut text = Text::new(format);
    let mut targets: BTreeMap<(&str, &str), Vec<&Target>> = BTreeMap::new();
    for target in cores.iter().flat_map(|core| core.targets.iter()) {
        let series = targets.entry((&target.provider, &target.model));
        series.or_default().push(target);
    }
    exchanges(&mut text, cores, &targets);
    sizes(&mut text, cores);
    for (name, help, of) in TIMES {
        text.family(name, Kind::Histogram, help);
        for ((provider, model), own) in &targets {
            let mut seen = Observed::default();
            own.iter().for_each(|target| of(target, &mut seen));
            if seen.count() > 0 {
                let labels = [("provider", *provider), ("model", *model)];
                text.histogram(&labels, &seen);
            }
        }
    }
    let mut added = Observed::default();
    cores.iter().for_each(|core| core.added.add_to(&mut added));
    let help = "From a read from a provider to the write of what it gave for the client.";
    text.family("strait_added_seconds", Kind::Histogram, help);
    text.histogram(&[], &added);
    self::shell(&mut text, cores, shell);
    text.finish()
}

type Time = (&'static str, &'static str, fn(&Target, &mut Observed));

const TIMES: [Time; 3] = [
    (
        "strait_first_event_seconds",
        "From the request's head to the first event of the answer.",
        |target, seen| target.first_event.add_to(seen),
    ),
    (
        "strait_gap_seconds",
        "Between two writes of events to a client.",
        |target, seen| target.gap.add_to(seen),
    ),
    (
        "strait_duration_seconds",
        "From the request's head to the end of the answer.",
        |target, seen| target.duration.add_to(seen),
    ),
];

type Targets<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a Target>>;

fn exchanges(text: &mut Text, cores: &[Arc<Core>], targets: &Targets<'_>) {
    text.family("strait_requests", Kind::Counter, "Requests answered.");
    for ((provider, model), own) in targets {
        for ((endpoint, status), count) in sum(own.iter().map(|t| &t.requests)) {
            let status = match status {
                0 => "none".to_owned(),
                status => status.to_string(),
            };
            let labels = [
                ("provider", *provider),
                ("model", *model),
                ("endpoint", endpoint),
                ("status", &*status),
            ];
            text.number(&labels, count);
        }
    }
    let help = "Tries upstream, by how they ended.";
    text.family("strait_attempts", Kind::Counter, help);
    let mut attempts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for ((provider, _), own) in targets {
        for (outcome, count) in sum(own.iter().map(|t| &t.attempts)) {
            *attempts.entry((provider, outcome)).or_default() += count;
        }
    }
    for ((provider, outcome), count) in attempts {
        text.number(&[("provider", provider), ("outcome", outcome)], count);
    }
    let help = "Requests that failed, by the class of what went wrong.";
    text.family("strait_errors", Kind::Counter, help);
    for (kind, count) in sum(cores.iter().map(|core| &core.errors)) {
        text.number(&[("kind", kind)], count);
    }
    let help = "Tokens as providers count them: cached and cache_write are parts of input, reasoning is one of output.";
    text.family("strait_tokens", Kind::Counter, help);
    for ((provider, model), own) in targets {
        for (i, kind) in TOKENS.into_iter().enumerate() {
            let count: u64 = own.iter().map(|t| t.tokens[i].get()).sum();
            let labels = [("provider", *provider), ("model", *model), ("kind", kind)];
            if count > 0 {
                text.number(&labels, count);
            }
        }
    }
    let help = "What tokens cost, by the prices of the profiles.";
    text.family("strait_cost_usd", Kind::Counter, help);
    for ((provider, model), own) in targets {
        let nanos: u64 = own.iter().map(|t| t.cost_nanos.get()).sum();
        if nanos > 0 {
            let labels = [("provider", *provider), ("model", *model)];
            text.number(&labels, Billionths(nanos));
        }
    }
}

fn sizes(text: &mut Text, cores: &[Arc<Core>]) {
    let sum = |of: fn(&Core) -> u64| cores.iter().map(|core| of(core)).sum::<u64>();
    let help = "Requests for a model that are under way.";
    text.family("strait_streams_active", Kind::Gauge, help);
    text.number(&[], sum(|core| core.live.count() as u64));
    let help = "Events that clients were sent.";
    text.family("strait_events", Kind::Counter, help);
    text.number(&[], sum(|core| core.events.get()));
    let help = "Bytes moved, without those of TLS.";
    text.family("strait_bytes", Kind::Counter, help);
    let from_clients = sum(|core| core.from_clients.get());
    text.number(&[("direction", "from_client")], from_clients);
    let from_providers = sum(|core| core.from_providers.get());
    text.number(&[("direction", "from_provider")], from_providers);
    let to_clients = sum(|core| core.to_clients.get());
    text.number(&[("direction", "to_client")], to_clients);
}

fn shell(text: &mut Text, cores: &[Arc<Core>], shell: &Shell) {
    let pool = Pool::of(cores);
    let help = "Connections to providers.";
    text.family("strait_pool_connections", Kind::Gauge, help);
    text.number(&[("state", "active")], pool.active);
    text.number(&[("state", "idle")], pool.idle);
    let mut name = "";
    for sample in &shell.samples {
        if sample.name != name {
            name = sample.name;
            let kind = match sample.counts {
                true => Kind::Counter,
                false => Kind::Gauge,
            };
            text.family(name, kind, sample.help);
        }
        let label = sample.label.as_ref();
        let label: Vec<_> = label
            .map(|(name, value)| (*name, &**value))
            .into_iter()
            .collect();
        text.number(&label, sample.value);
    }
    let workers = cores.len();
    gauge(text, "strait_workers", "Threads that serve.", workers);
    let help = "When the process began, in Unix seconds.";
    gauge(text, "process_start_time_seconds", help, shell.started_s);
    let help = "Which Strait this is.";
    text.family("strait_build_info", Kind::Gauge, help);
    let version = env!("CARGO_PKG_VERSION");
    text.number(&[("version", version), ("driver", shell.driver)], 1);
}

fn gauge(text: &mut Text, name: &'static str, help: &str, value: impl Display) {
    text.family(name, Kind::Gauge, help);
    text.number(&[], value);
}

/// What workers have counted together.
fn sum<'a, K: Copy + Ord + 'a>(families: impl Iterator<Item = &'a Family<K>>) -> BTreeMap<K, u64> {
    let mut sums = BTreeMap::new();
    for (label, count) in families.flat_map(Family::iter) {
        *sums.entry(label).or_default() += count;
    }
    sums
}
