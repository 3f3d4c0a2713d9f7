//! What gateways are compared by.

use crate::run::{Arrivals, Load, Plan, Target};
use crate::script::Script;
use clap::Args;
use std::time::Duration;

/// How large the scenarios are.
#[derive(Args, Clone, Debug)]
pub struct Sizes {
    /// Seconds per measurement.
    #[arg(long, short, default_value_t = 5.0)]
    pub seconds: f64,
    /// Streams of the paced scenarios, through each gateway.
    #[arg(long, default_value_t = 500)]
    pub streams: usize,
    /// Requests per second of the open load.
    #[arg(long, default_value_t = 200.0)]
    pub rate: f64,
    /// How long the last answers of a measurement may take, in seconds.
    #[arg(long, default_value_t = 15.0)]
    pub drain: f64,
}

/// A scenario.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scenario {
    /// Many streams, a delta every 50 ms.
    Paced,
    /// The same, with the deltas of all streams at the same moments.
    Step,
    /// 64 streams, as fast as they go.
    Flat,
    /// One stream, as fast as it goes.
    Single,
    /// Small answers in one piece.
    Json,
    /// Streams of 20 deltas, each on a new connection.
    Fresh,
    /// 1,000 slow streams in a gateway just started: what memory does it take?
    Memory,
    /// 20 quiet streams: how much later do deltas come?
    Latency,
    /// Arrivals that do not wait for answers.
    Open,
    /// So many slow streams.
    Scale(usize),
}

/// All scenarios, in the order they are run.
pub const ALL: &[Scenario] = &[
    Scenario::Latency,
    Scenario::Paced,
    Scenario::Step,
    Scenario::Flat,
    Scenario::Single,
    Scenario::Json,
    Scenario::Fresh,
    Scenario::Open,
    Scenario::Memory,
    Scenario::Scale(10),
    Scenario::Scale(100),
    Scenario::Scale(1000),
    Scenario::Scale(5000),
];

impl Scenario {
    /// The scenarios with the given names; `scale` names all of its sizes.
    pub fn parse(names: &str) -> Result<Vec<Scenario>, String> {
        if names == "all" {
            return Ok(ALL.to_vec());
        }
        let mut chosen = Vec::new();
        for name in names.split(',') {
            let found: Vec<Scenario> = ALL
                .iter()
                .copied()
                .filter(|s| s.name() == name || name == "scale" && s.streams().is_some())
                .collect();
            if found.is_empty() {
                let known: Vec<String> = ALL.iter().map(|s| s.name()).collect();
                return Err(format!(
                    "{name}: known are all, scale, {}",
                    known.join(", ")
                ));
            }
            chosen.extend(found);
        }
        Ok(chosen)
    }

    /// The name on the command line and in the results.
    pub fn name(self) -> String {
        match self {
            Scenario::Paced => "paced".into(),
            Scenario::Step => "step".into(),
            Scenario::Flat => "flat".into(),
            Scenario::Single => "flat-1".into(),
            Scenario::Json => "json".into(),
            Scenario::Fresh => "fresh".into(),
            Scenario::Memory => "memory".into(),
            Scenario::Latency => "latency".into(),
            Scenario::Open => "open".into(),
            Scenario::Scale(n) => format!("scale-{n}"),
        }
    }

    /// The size of a scaling scenario.
    pub fn streams(self) -> Option<usize> {
        match self {
            Scenario::Scale(n) => Some(n),
            _ => None,
        }
    }

    /// A heading.
    pub fn title(self, sizes: &Sizes) -> String {
        match self {
            Scenario::Paced => format!("{} streams, a delta every 50 ms", sizes.streams),
            Scenario::Step => format!(
                "{} streams in step, as a batching engine sends: a delta every 50 ms",
                sizes.streams
            ),
            Scenario::Flat => "64 streams flat out, 200 deltas each".into(),
            Scenario::Single => "one stream flat out, 2,000 deltas".into(),
            Scenario::Json => "small JSON answers, 64 connections".into(),
            Scenario::Fresh => "streams of 20 deltas, each on a new connection, 64 at once".into(),
            Scenario::Memory => "1,000 streams, a delta every 200 ms, gateway just started".into(),
            Scenario::Latency => "20 quiet streams, a delta every 20 ms".into(),
            Scenario::Open => format!(
                "open load: {} streams a second at random moments, 20 deltas 5 ms apart",
                sizes.rate
            ),
            Scenario::Scale(n) => format!("{n} streams, a delta every 250 ms"),
        }
    }

    /// True where CPU is counted per answer rather than per delta.
    pub fn is_per_answer(self) -> bool {
        matches!(self, Scenario::Json | Scenario::Fresh | Scenario::Open)
    }

    /// True where the gateway is started anew.
    pub fn wants_fresh_process(self) -> bool {
        self == Scenario::Memory
    }

    /// True where a gateway that cannot carry `streams_max` of the streams is left out.
    pub fn exceeds(self, streams_max: usize) -> bool {
        streams_max > 0 && self.streams().is_some_and(|n| n > streams_max)
    }

    /// The plan; a limit on the streams at once, when there is one, is kept.
    pub fn plan(self, target: Target, sizes: &Sizes, streams_max: usize) -> Plan {
        let cap = |n: usize| match streams_max {
            0 => n,
            max => n.min(max),
        };
        let seconds = Duration::from_secs_f64(sizes.seconds);
        let flat = |deltas| Script {
            deltas,
            ..Script::default()
        };
        let paced = |deltas: f64, interval_ms| Script {
            deltas: (deltas as usize).max(2),
            interval_ms,
            ..Script::default()
        };
        let each_second = |n: f64| sizes.seconds * n;
        let (script, connections) = match self {
            Scenario::Paced => (paced(each_second(20.0), 50.0), cap(sizes.streams)),
            Scenario::Step => {
                let (mut script, streams) = (paced(each_second(20.0), 50.0), cap(sizes.streams));
                script.in_step = true;
                (script, streams)
            }
            Scenario::Flat => (flat(200), cap(64)),
            Scenario::Single => (flat(2000), 1),
            Scenario::Json => (flat(4), cap(64)),
            Scenario::Fresh => (flat(20), cap(64)),
            Scenario::Memory => (paced(each_second(5.0), 200.0), cap(1000)),
            Scenario::Latency => (paced(50.0, 20.0), cap(20)),
            Scenario::Open => (paced(20.0, 5.0), cap(1000)),
            Scenario::Scale(n) => (paced(each_second(4.0), 250.0), cap(n)),
        };
        let mut plan = Plan::new(target, script);
        plan.duration = seconds;
        plan.drain = Duration::from_secs_f64(sizes.drain);
        plan.timeout = Duration::from_secs_f64(sizes.seconds + sizes.drain);
        plan.streaming = self != Scenario::Json;
        plan.fresh = self == Scenario::Fresh;
        plan.load = match self {
            Scenario::Open => Load::Open {
                rate: sizes.rate,
                arrivals: Arrivals::Poisson,
                connections_max: connections,
            },
            _ => Load::Closed {
                connections,
                think: Duration::ZERO,
            },
        };
        if matches!(
            self,
            Scenario::Paced | Scenario::Step | Scenario::Memory | Scenario::Scale(_)
        ) {
            // Each stream once, begun within one interval.
            plan.requests_max = connections as u64;
            plan.ramp = Duration::from_secs_f64(plan.script.interval_ms / 1e3 * 4.0);
            plan.drain += seconds;
            plan.timeout += seconds;
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        assert_eq!(Scenario::parse("all").unwrap().len(), ALL.len());
        assert_eq!(Scenario::parse("scale").unwrap().len(), 4);
        let two = [Scenario::Single, Scenario::Scale(10)];
        assert_eq!(Scenario::parse("flat-1,scale-10").unwrap(), two);
        assert!(Scenario::parse("x").is_err());
    }
}
