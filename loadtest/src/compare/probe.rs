//! Correctness before speed: does a gateway keep what the provider says?

use crate::control;
use crate::run::{Gauge, Load, Plan, Target, drive};
use crate::script::Script;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// What came of one probe.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Probe {
    /// What was probed.
    pub name: String,
    /// Answers that were right.
    pub right: u64,
    /// The first fault, if there was one.
    pub fault: Option<String>,
    /// Habits of the answers.
    pub notes: Vec<String>,
}

/// What came of all probes.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Verdict {
    /// The probes, in order.
    pub probes: Vec<Probe>,
    /// The share of a paced answer that had passed when its first delta came: a gateway that
    /// passes deltas on at once has about 0.
    pub held: f64,
}

const ANSWERS: u64 = 6;

/// What is probed: a name, reasoning deltas, text deltas, fragments of arguments, streaming.
const PROBES: [(&str, usize, usize, usize, bool); 6] = [
    ("text", 0, 30, 0, true),
    ("reasoning", 10, 20, 0, true),
    ("tool call", 0, 0, 10, true),
    ("text + tool call", 0, 10, 10, true),
    ("whole text", 0, 30, 0, false),
    ("whole tool call", 0, 0, 10, false),
];

impl Verdict {
    /// True when streaming text, the basis of every measurement, is right.
    pub fn is_measurable(&self) -> bool {
        let text = self.probes.iter().find(|p| p.name == "text");
        text.is_some_and(|p| p.fault.is_none())
    }

    /// True when a probe found garbled or lost bytes, or a refusal.
    pub fn has_fault(&self) -> bool {
        self.probes.iter().any(|p| p.fault.is_some())
    }

    /// True when deltas are kept back for most of an answer.
    pub fn holds_back(&self) -> bool {
        self.held > 0.5
    }

    /// The habits of all answers.
    pub fn notes(&self) -> Vec<&str> {
        let all = self.probes.iter().flat_map(|p| p.notes.iter());
        let all: std::collections::BTreeSet<&str> = all.map(String::as_str).collect();
        all.into_iter().filter(|n| *n != "unchanged").collect()
    }
}

fn plan(target: &Target, script: Script) -> Plan {
    let mut plan = Plan::new(target.clone(), script);
    plan.requests_max = ANSWERS;
    plan.duration = Duration::from_secs(20);
    plan.timeout = Duration::from_secs(20);
    plan.drain = Duration::ZERO;
    plan.load = Load::Closed {
        connections: 2,
        think: Duration::ZERO,
    };
    plan
}

/// Probes a gateway.
pub fn probe(target: &Target, provider: SocketAddr) -> io::Result<Verdict> {
    let mut verdict = Verdict::default();
    for (name, reasoning, deltas, tool_deltas, streaming) in PROBES {
        let script = Script {
            reasoning,
            deltas,
            tool_deltas,
            ..Script::default()
        };
        control::set_script(provider, &script)?;
        let mut plan = plan(target, script);
        plan.streaming = streaming;
        let outcome = drive(&plan, &Gauge::default())?;
        verdict.probes.push(Probe {
            name: name.to_owned(),
            right: outcome.right,
            fault: outcome.examples.first().cloned(),
            notes: outcome.notes.keys().cloned().collect(),
        });
    }
    let script = Script {
        deltas: 40,
        interval_ms: 10.0,
        ..Script::default()
    };
    control::set_script(provider, &script)?;
    let length = script.seconds();
    let outcome = drive(&plan(target, script), &Gauge::default())?;
    verdict.held = match outcome.first.is_empty() {
        true => 1.0,
        false => outcome.first.value_at_quantile(0.5) as f64 / 1e9 / length,
    };
    Ok(verdict)
}
