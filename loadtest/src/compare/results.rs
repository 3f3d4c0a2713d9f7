//! What was measured.

use super::{Scenario, Sizes, Verdict, direct};
use crate::answers::Api;
use crate::outside::Usage;
use crate::recipe::Recipe;
use crate::run::{Outcome, Percentiles, Plan};
use serde::{Deserialize, Deserializer, Serialize};

/// One gateway, or the provider itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Side {
    /// Its name.
    pub name: String,
    /// What it is.
    pub about: String,
    /// Where it comes from.
    pub origin: String,
    /// Its version.
    pub version: String,
    /// The interface it is asked by.
    pub api: Api,
    /// Whether the recipe was ever tried.
    pub tried: String,
    /// What a reader should know.
    pub note: String,
    /// Why it did not run, if it did not.
    pub absent: Option<String>,
    /// How correct it is.
    pub verdict: Verdict,
    /// True when it was measured.
    pub is_measured: bool,
    /// The most streams it is given; 0: no limit.
    pub streams_max: usize,
}

impl Side {
    pub(super) fn new(recipe: &Recipe) -> Side {
        Side {
            name: recipe.name.clone(),
            about: recipe.about.clone(),
            origin: recipe.origin.clone(),
            version: recipe.version.clone(),
            api: recipe.api,
            tried: recipe.tried.clone(),
            note: recipe.note.clone(),
            absent: None,
            verdict: Verdict::default(),
            is_measured: false,
            streams_max: recipe.streams_max,
        }
    }

    pub(super) fn direct(api: Api) -> Side {
        Side {
            name: direct(api).into(),
            about: "the scripted provider itself".into(),
            origin: String::new(),
            version: String::new(),
            api,
            tried: String::new(),
            note: String::new(),
            absent: None,
            verdict: Verdict::default(),
            is_measured: true,
            streams_max: 0,
        }
    }

    /// One line for the terminal.
    pub fn line(&self) -> String {
        let mut line = format!("{} {}:", self.name, self.version);
        for probe in &self.verdict.probes {
            let mark = match (
                &probe.fault,
                probe.notes.iter().any(|n| n.contains("dropped")),
            ) {
                (Some(fault), _) => format!("WRONG ({fault})"),
                (None, true) => "dropped".into(),
                (None, false) => "right".into(),
            };
            line.push_str(&format!(" {} {mark};", probe.name));
        }
        line.push_str(&format!(" held back {:.0} %", self.verdict.held * 100.0));
        line
    }
}

/// One measurement.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cell {
    /// The gateway's name.
    pub name: String,
    /// The interface.
    pub api: Api,
    /// The scenario's name.
    pub scenario: String,
    /// The round, from 0.
    pub round: usize,
    /// Streams or connections at once.
    pub connections: usize,
    /// Answers that were right.
    pub right: u64,
    /// Answers that were not, by kind.
    pub garbled: u64,
    /// Answers that ended early.
    pub lost: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Answers that the test did not wait for any longer.
    #[serde(default)]
    pub unfinished: u64,
    /// Deltas that the provider sent in right answers.
    pub deltas: u64,
    /// How long it took.
    pub seconds: f64,
    /// Microseconds of the gateway's CPU per delta or answer.
    #[serde(deserialize_with = "number")]
    pub cpu_us: f64,
    /// System calls per delta or answer.
    pub syscalls: Option<f64>,
    /// What the process tree used.
    pub usage: Usage,
    /// Milliseconds to the first delta.
    pub first_ms: Percentiles,
    /// Milliseconds between deltas.
    pub gap_ms: Percentiles,
    /// Milliseconds behind the script.
    pub late_ms: Percentiles,
    /// Milliseconds to the end.
    pub total_ms: Percentiles,
    /// The first few faults.
    pub examples: Vec<String>,
}

impl Cell {
    pub(super) fn new(
        name: &str,
        api: Api,
        scenario: Scenario,
        plan: &Plan,
        outcome: &Outcome,
        usage: Usage,
        syscalls: Option<u64>,
    ) -> Cell {
        let deltas = outcome.right * plan.script.steps() as u64;
        let units = match scenario.is_per_answer() {
            true => outcome.right,
            false => deltas,
        };
        let per = |n: f64| {
            if units == 0 {
                f64::NAN
            } else {
                n / units as f64
            }
        };
        Cell {
            name: name.to_owned(),
            api,
            scenario: scenario.name(),
            round: 0,
            connections: plan.connections_max(),
            right: outcome.right,
            garbled: outcome.garbled,
            lost: outcome.lost,
            failed: outcome.failed,
            unfinished: outcome.unfinished,
            deltas,
            seconds: outcome.seconds,
            cpu_us: per(usage.cpu_s * 1e6),
            syscalls: syscalls.map(|n| per(n as f64)),
            usage,
            first_ms: (&outcome.first).into(),
            gap_ms: (&outcome.gap).into(),
            late_ms: (&outcome.late).into(),
            total_ms: (&outcome.total).into(),
            examples: outcome.examples.clone(),
        }
    }

    /// Answers that were not right.
    pub fn wrong(&self) -> u64 {
        self.garbled + self.lost + self.failed
    }

    /// Microseconds of CPU per delta or answer; NaN when more than a tenth of the answers were not
    /// right, since their share of the CPU would be counted to the others.
    pub fn cpu(&self) -> f64 {
        let not_right = self.wrong() + self.unfinished;
        match not_right * 10 > not_right + self.right {
            true => f64::NAN,
            false => self.cpu_us,
        }
    }

    /// KiB of memory per stream, beyond what there was at the start.
    pub fn kib_per_stream(&self) -> f64 {
        let grown = self.usage.rss_peak_kib as f64 - self.usage.rss_start_kib as f64;
        grown / self.connections.max(1) as f64
    }

    /// One line for the terminal.
    pub fn line(&self) -> String {
        format!(
            "{:<10} {:<20} {:>8.2} µs CPU, {} right, {} wrong, {} unfinished, first {:.2} ms, total {:.2}/{:.2} ms",
            self.scenario,
            self.name,
            self.cpu_us,
            self.right,
            self.wrong(),
            self.unfinished,
            self.first_ms.p50,
            self.total_ms.p50,
            self.total_ms.p99
        )
    }
}

/// Everything that was measured.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Results {
    /// The day, UTC.
    pub date: String,
    /// The machine, line by line.
    pub machine: Vec<String>,
    /// The command line.
    pub command: String,
    /// How often each scenario was measured.
    pub rounds: usize,
    /// The scenarios: name and title.
    pub scenarios: Vec<(String, String)>,
    /// The gateways.
    pub sides: Vec<Side>,
    /// The measurements.
    pub cells: Vec<Cell>,
}

impl Results {
    pub(super) fn begin(scenarios: &[Scenario], sizes: &Sizes, rounds: usize) -> Results {
        let title = |s: &Scenario| (s.name(), s.title(sizes));
        Results {
            date: today(),
            machine: machine(),
            command: std::env::args()
                .map(|a| a.rsplit('/').next().unwrap_or("").to_owned())
                .collect::<Vec<_>>()
                .join(" "),
            rounds,
            scenarios: scenarios.iter().map(title).collect(),
            sides: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// The measurements of a gateway in a scenario, by round.
    pub fn of<'a>(&'a self, name: &'a str, scenario: &'a str) -> impl Iterator<Item = &'a Cell> {
        self.cells
            .iter()
            .filter(move |c| c.name == name && c.scenario == scenario)
    }

    /// The median of something, over the rounds.
    pub fn median(&self, name: &str, scenario: &str, what: impl Fn(&Cell) -> f64) -> Option<f64> {
        median(self.of(name, scenario).map(what).collect())
    }

    /// The share of the machine that went to other work: the mean over all measurements.
    pub fn foreign(&self) -> f64 {
        let sum: f64 = self.cells.iter().map(|c| c.usage.foreign).sum();
        sum / self.cells.len().max(1) as f64
    }

    /// The ratio of CPU to that of `other` in the same round.
    pub fn ratio(&self, name: &str, other: &str, scenario: &str) -> Option<Spread> {
        Spread::of(self.of(name, scenario).filter_map(|cell| {
            let base = self.of(other, scenario).find(|b| b.round == cell.round)?;
            Some(cell.cpu() / base.cpu())
        }))
    }
}

/// The middle and the ends of some numbers.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// The spread of what is a number; none, when nothing is.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Spread> {
        let values: Vec<f64> = values.filter(|v| v.is_finite()).collect();
        Some(Spread {
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            most: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            median: median(values)?,
        })
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|v| v.is_finite());
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[n / 2]),
        n => Some((values[n / 2 - 1] + values[n / 2]) / 2.0),
    }
}

/// JSON has no NaN: a number that could not be had is null there.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// The day, from the days since 1970 (the civil calendar of Howard Hinnant's `days` algorithms).
fn today() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let days = now.map_or(0, |d| d.as_secs() / 86_400) as i64 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + (month <= 2) as i64;
    format!("{year:04}-{month:02}-{day:02}")
}

fn machine() -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("unknown CPU", |l| l.trim_start_matches([' ', '\t', ':']));
    let cpus = cpuinfo
        .lines()
        .filter(|l| l.starts_with("processor"))
        .count();
    let memory = read("/proc/meminfo");
    let memory = memory
        .lines()
        .find_map(|l| {
            l.strip_prefix("MemTotal:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0u64);
    vec![
        format!("{cpus} CPUs, {model}"),
        format!("{:.0} GiB of memory", memory as f64 / 1048576.0),
        format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        format!("load average at the start {}", read("/proc/loadavg").trim()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_the_median() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, f64::NAN, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn the_day_looks_like_one() {
        let day = today();
        assert_eq!(day.len(), 10);
        assert!(day.as_str() > "2025-01-01", "{day}");
    }
}
