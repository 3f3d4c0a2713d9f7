//! What came of a run.

use super::connection::Connection;
use super::plan::Plan;
use crate::check::{Fault, Notes};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Different faults that are kept as examples.
const EXAMPLES_MAX: usize = 5;
/// Histograms end at ten minutes.
const LONGEST_NS: u64 = 600_000_000_000;

/// What came of a run. Times are nanoseconds.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Requests begun.
    pub started: u64,
    /// Answers that were right.
    pub right: u64,
    /// Answers with bytes the provider never sent.
    pub garbled: u64,
    /// Answers that ended early.
    pub lost: u64,
    /// Requests that the gateway refused or failed.
    pub failed: u64,
    /// Answers that the test did not wait for any longer.
    pub unfinished: u64,
    /// Deltas in the answers that were right.
    pub events: u64,
    /// Connections opened.
    pub connections: u64,
    /// Until the last answer.
    pub seconds: f64,
    /// From the moment a request was meant to be sent to its first delta.
    pub first: Histogram<u64>,
    /// Between deltas; those that were read together have no gap.
    pub gap: Histogram<u64>,
    /// How much later than the script says a delta came, counted from when the request was meant
    /// to be sent; only for steady scripts.
    pub late: Histogram<u64>,
    /// From the moment a request was meant to be sent to the end of its answer.
    pub total: Histogram<u64>,
    /// How often an answer had which habit.
    pub notes: BTreeMap<String, u64>,
    /// The first few faults.
    pub examples: Vec<String>,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, LONGEST_NS, 3).expect("the bounds are in order")
}

impl Outcome {
    pub(super) fn new() -> Outcome {
        Outcome {
            started: 0,
            right: 0,
            garbled: 0,
            lost: 0,
            failed: 0,
            unfinished: 0,
            events: 0,
            connections: 0,
            seconds: 0.0,
            first: histogram(),
            gap: histogram(),
            late: histogram(),
            total: histogram(),
            notes: BTreeMap::new(),
            examples: Vec::new(),
        }
    }

    pub(super) fn deltas(
        &mut self,
        connection: &mut Connection,
        before: usize,
        after: usize,
        now: u64,
        plan: &Plan,
    ) {
        let since = now.saturating_sub(connection.intended);
        if before == 0 {
            self.first.saturating_record(since);
        } else {
            let gap = now.saturating_sub(connection.last_event);
            self.gap.saturating_record(gap);
        }
        self.gap.saturating_record_n(0, (after - before - 1) as u64);
        connection.last_event = now;
        if plan.script.is_steady() {
            let script = &plan.script;
            for step in before..after {
                let write = (step / script.burst()) as f64;
                let due = (script.first_ms + write * script.interval_ms) * 1e6;
                self.late
                    .saturating_record(since.saturating_sub(due as u64));
            }
        }
    }

    pub(super) fn right(&mut self, notes: Notes, events: u64, total: u64) {
        self.right += 1;
        self.events += events;
        self.total.saturating_record(total);
        for note in notes {
            *self.notes.entry(note.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn wrong(&mut self, fault: Fault) {
        let (count, kind, what) = match fault {
            Fault::Garbled(what) => (&mut self.garbled, "garbled", what),
            Fault::Lost(what) => (&mut self.lost, "lost", what),
            Fault::Failed(what) => (&mut self.failed, "failed", what),
            Fault::Unfinished(what) => (&mut self.unfinished, "unfinished", what),
        };
        *count += 1;
        let text = format!("{kind}: {what}");
        if self.examples.len() < EXAMPLES_MAX && !self.examples.contains(&text) {
            self.examples.push(text);
        }
    }

    /// Answers that were not right.
    pub fn wrong_count(&self) -> u64 {
        self.garbled + self.lost + self.failed + self.unfinished
    }
}

/// The percentiles of a histogram, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half are below.
    pub p50: f64,
    /// 90 of 100 are below.
    pub p90: f64,
    /// 99 of 100 are below.
    pub p99: f64,
    /// 999 of 1,000 are below.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

impl From<&Histogram<u64>> for Percentiles {
    fn from(h: &Histogram<u64>) -> Percentiles {
        let ms = |q: f64| h.value_at_quantile(q) as f64 / 1e6;
        Percentiles {
            p50: ms(0.5),
            p90: ms(0.9),
            p99: ms(0.99),
            p999: ms(0.999),
            max: h.max() as f64 / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_milliseconds() {
        let mut h = histogram();
        for i in 1..=1000u64 {
            h.saturating_record(i * 1_000_000);
        }
        let p = Percentiles::from(&h);
        assert!((p.p50 - 500.0).abs() < 1.0, "{p:?}");
        assert!((p.p99 - 990.0).abs() < 2.0, "{p:?}");
        assert!((p.max - 1000.0).abs() < 2.0, "{p:?}");
        h.saturating_record(u64::MAX);
        assert!(Percentiles::from(&h).max >= 600_000.0 * 0.99);
    }

    #[test]
    fn faults_are_counted_and_some_are_kept() {
        let mut outcome = Outcome::new();
        for i in 0..20 {
            outcome.wrong(Fault::Garbled(format!("{}", i / 2)));
        }
        outcome.wrong(Fault::Lost("x".into()));
        assert_eq!(
            (outcome.garbled, outcome.lost, outcome.wrong_count()),
            (20, 1, 21)
        );
        assert_eq!(outcome.examples.len(), EXAMPLES_MAX);
    }
}
