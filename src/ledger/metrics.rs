//! What is counted: a block of numbers for each worker, written by that worker only, and summed
//! when somebody asks.
//!
//! Labels come from closed sets: providers and models that the configuration knows, endpoints,
//! statuses, classes of errors. A model that a client names, and that neither the configuration
//! knows nor a provider has answered for, is counted as `other`.

mod cell;
mod scrape;
mod text;

pub use cell::{BOUNDS, Counter, Family, Gauge, Histogram, Observed};
pub use scrape::{Pool, Sample, Shell, expose};
pub use text::Format;

use super::live::Live;
use super::record::{Record, Try};
use crate::limits;
use cell::List;

/// What stands for a model that the configuration does not know, or for one too many.
const OTHER: &str = "other";

/// What one worker counts. On cache lines of its own, so that no other worker's writes slow it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Core {
    /// Events that clients were sent.
    pub events: Counter,
    /// Bytes that clients were sent.
    pub to_clients: Counter,
    /// Bytes that providers sent.
    pub from_providers: Counter,
    /// Bytes that clients sent.
    pub from_clients: Counter,
    /// From a read that brought something for the client to the write of it.
    pub added: Histogram,
    /// Connections to providers, in use or not.
    pub connections: Gauge,
    /// Of these, those that wait for a request.
    pub idle: Gauge,
    /// What is under way.
    pub live: Live,
    errors: Family<&'static str>,
    targets: List<Target>,
}

/// What one worker counts of a provider's model.
#[derive(Debug)]
#[repr(align(128))]
pub struct Target {
    provider: String,
    model: String,
    /// Between two writes of events to a client.
    pub gap: Histogram,
    first_event: Histogram,
    duration: Histogram,
    tokens: [Counter; TOKENS.len()],
    cost_nanos: Counter,
    /// By endpoint and status.
    requests: Family<(&'static str, u16)>,
    /// By how they ended.
    attempts: Family<&'static str>,
}

/// The kinds of tokens, in the order in which they are counted.
const TOKENS: [&str; 5] = ["input", "cached", "cache_write", "output", "reasoning"];

impl Target {
    fn new(provider: &str, model: &str) -> Self {
        Target {
            provider: provider.to_owned(),
            model: model.to_owned(),
            gap: Histogram::default(),
            first_event: Histogram::default(),
            duration: Histogram::default(),
            tokens: Default::default(),
            cost_nanos: Counter::default(),
            requests: Family::default(),
            attempts: Family::default(),
        }
    }
}

impl Core {
    /// The numbers of a provider's model. `knows` says whether the configuration knows them.
    pub fn target(&self, provider: &str, model: &str, knows: impl FnOnce() -> bool) -> &Target {
        let named = |model: &str| {
            let mut targets = self.targets.iter();
            targets.find(|t| t.model == model && t.provider == provider)
        };
        if let Some(target) = named(model).filter(|_| model != OTHER) {
            return target;
        }
        let room = self.targets.iter().count() < limits::METRICS_TARGETS_MAX;
        let model = if room && knows() { model } else { OTHER };
        self.targets.find_or_push(
            |t| t.model == model && t.provider == provider,
            || Target::new(provider, model),
        )
    }

    /// Counts an exchange that is over. `knows` says of a provider and a model whether the
    /// configuration knows them.
    pub fn note(&self, record: &Record, knows: impl Fn(&str, &str) -> bool) {
        // What a provider has answered for is a model of its own, whoever named it.
        let answered = |t: &Try| t.error.is_empty() && (200..300).contains(&t.status);
        let last = record.tries.last();
        let target = |provider: &str, model: &str| {
            self.target(provider, model, || {
                let served = |t: &Try| t.provider == provider && t.model == model && answered(t);
                provider.is_empty() || knows(provider, model) || last.is_some_and(served)
            })
        };
        for attempt in &record.tries {
            let outcome = match attempt.error {
                "" => "answered",
                error => error,
            };
            let target = target(&attempt.provider, &attempt.model);
            target.attempts.count(outcome);
        }
        if let Some(kind) = kind_of(record) {
            self.errors.count(kind);
        }
        let (provider, model) = last.map_or(("", ""), |t| (&*t.provider, &*t.model));
        let target = target(provider, model);
        target.requests.count((record.endpoint, record.status));
        if !record.asks_model {
            return;
        }
        target.duration.observe(record.took);
        if let Some(took) = record.first_event {
            target.first_event.observe(took);
        }
        if let Some(usage) = record.usage {
            let counts = [
                usage.input,
                usage.cached,
                usage.cache_write,
                usage.output,
                usage.reasoning,
            ];
            for (counter, count) in target.tokens.iter().zip(counts) {
                counter.add(count);
            }
        }
        target.cost_nanos.add(record.cost_nanos.unwrap_or_default());
    }
}

/// What went wrong with an exchange, if something did: a label of [`crate::error`], or how it
/// ended where the fault was not ours to name.
fn kind_of(record: &Record) -> Option<&'static str> {
    match record.tries.last() {
        Some(last) if !last.error.is_empty() => Some(last.error),
        _ if matches!(record.outcome, "client_gone" | "failed") => Some(record.outcome),
        _ if record.status >= 400 && record.outcome != "answered" => Some(record.outcome),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(model: &str) -> Record {
        Record {
            endpoint: "responses",
            asks_model: true,
            status: 200,
            outcome: "completed",
            tries: vec![Try {
                provider: "p".to_owned(),
                model: model.to_owned(),
                ..Try::default()
            }],
            ..Record::default()
        }
    }

    #[test]
    fn made_up_models_are_one() {
        let core = Core::default();
        for n in 0..1000 {
            core.note(&record(&format!("m{n}")), |_, model| model == "m7");
        }
        let series: Vec<_> = core.targets.iter().map(|t| (&*t.model, t)).collect();
        let [("other", other), ("m7", known)] = series.as_slice() else {
            panic!("{series:?}");
        };
        let requests = |target: &Target| target.requests.iter().collect::<Vec<_>>();
        assert_eq!(requests(other), [(("responses", 200), 999)]);
        assert_eq!(requests(known), [(("responses", 200), 1)]);
    }

    #[test]
    fn what_a_provider_answers_for_is_no_longer_made_up() {
        let core = Core::default();
        let mut served = record("served");
        core.note(&served, |_, _| false);
        served.tries[0].status = 200;
        core.note(&served, |_, _| false);
        served.tries[0].error = "upstream_broken";
        core.note(&served, |_, _| false);
        let mut refused = record("refused");
        refused.tries[0].status = 404;
        core.note(&refused, |_, _| false);
        let counts = |t: &Target| (t.model.clone(), t.requests.iter().next().unwrap().1);
        let counts: Vec<_> = core.targets.iter().map(counts).collect();
        assert_eq!(counts, [("other".to_owned(), 2), ("served".to_owned(), 2)]);
    }

    #[test]
    fn there_are_only_so_many_targets() {
        let core = Core::default();
        for n in 0..2 * limits::METRICS_TARGETS_MAX {
            core.note(&record(&format!("m{n}")), |_, _| true);
        }
        let count = core.targets.iter().count();
        assert_eq!(count, limits::METRICS_TARGETS_MAX + 1);
        let last = core.targets.iter().last().unwrap();
        assert_eq!(last.model, OTHER);
    }

    #[test]
    fn what_went_wrong_has_a_kind() {
        let with = |status, outcome, error| {
            let mut record = record("m");
            (record.status, record.outcome) = (status, outcome);
            record.tries[0].error = error;
            kind_of(&record)
        };
        assert_eq!(with(200, "completed", ""), None);
        assert_eq!(with(404, "answered", ""), None);
        assert_eq!(
            with(200, "failed", "upstream_broken"),
            Some("upstream_broken")
        );
        assert_eq!(with(200, "failed", ""), Some("failed"));
        assert_eq!(with(0, "client_gone", ""), Some("client_gone"));
        assert_eq!(with(401, "invalid_key", ""), Some("invalid_key"));
    }
}
