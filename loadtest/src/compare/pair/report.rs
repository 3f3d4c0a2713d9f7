//! What came of gateways at the same time: rows for people and for machines.

use crate::compare::report::number;
use crate::compare::{Cell, Results, Scenario, Side, Spread};
use serde::Serialize;
use std::fmt::Write;
use std::io;
use std::path::Path;

/// Everything that was measured, and what follows from it.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// The measurements, without the round that does not count. Ratios are to its last side.
    pub results: Results,
    /// What was wrong: in a probe or in any answer, the uncounted round's included.
    pub faults: Vec<String>,
}

/// One gateway in one scenario, over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The scenario's name.
    pub scenario: String,
    /// The gateway's name.
    pub name: String,
    /// Answers that were right.
    pub right: u64,
    /// Answers that were not, or that the test did not wait for.
    pub wrong: u64,
    /// Microseconds of the gateway's CPU per right answer.
    pub us_per_answer: Option<Spread>,
    /// The same per delta of these answers; `None`: the answers were in one piece.
    pub us_per_delta: Option<Spread>,
    /// The ratio to the base within a round.
    pub ratio: Option<Spread>,
    /// The share of the machine that went to other work: 0 to 1.
    pub foreign: f64,
}

/// What `results.json` holds.
#[derive(Serialize)]
struct File<'a> {
    base: &'a str,
    summary: Vec<Row>,
    faults: &'a [String],
    #[serde(flatten)]
    results: &'a Results,
}

fn wrong(cell: &Cell) -> u64 {
    cell.wrong() + cell.unfinished
}

/// True where answers come in deltas.
fn is_in_pieces(scenario: &str) -> bool {
    scenario != Scenario::Json.name()
}

fn per(cell: &Cell, units: u64) -> f64 {
    // Without units it is no number, and spreads leave it out.
    cell.usage.cpu_s * 1e6 / units as f64
}

impl Pairs {
    pub(super) fn begin(results: Results) -> Pairs {
        Pairs {
            results,
            faults: Vec::new(),
        }
    }

    /// Adds a gateway that was probed.
    pub(super) fn add(&mut self, side: &Side) {
        for probe in &side.verdict.probes {
            if let Some(fault) = &probe.fault {
                let text = format!("{}, {}: {fault}", side.name, probe.name);
                self.faults.push(text);
            }
        }
        self.results.sides.push(side.clone());
    }

    /// Notes what is wrong; without a right answer there is no going on.
    pub(super) fn check(&mut self, cell: &Cell) -> io::Result<()> {
        let example = cell.examples.first().map_or("no answer", String::as_str);
        let at = format!("{}, {}", cell.name, cell.scenario);
        if cell.right == 0 {
            let text = format!("{at}: no right answer: {example}");
            return Err(io::Error::other(text));
        }
        if wrong(cell) > 0 {
            let (wrong, all) = (wrong(cell), wrong(cell) + cell.right);
            let text = format!("{at}: {wrong} of {all} answers wrong: {example}");
            self.faults.push(text);
        }
        Ok(())
    }

    /// Says what one measurement gave, a line for each gateway.
    pub(super) fn lines(&self, cells: &[Cell], say: &mut dyn FnMut(&str)) {
        let base = cells.last().map_or(f64::NAN, Cell::cpu);
        for cell in cells {
            let round = match cell.round {
                0 => "warm-up".to_owned(),
                n => format!("round {n}"),
            };
            let per_delta = match is_in_pieces(&cell.scenario) {
                true => format!("{:.3} a delta, ", per(cell, cell.deltas)),
                false => String::new(),
            };
            say(&format!(
                "{round:<8} {:<8} {:<20} {:>9.2} µs an answer, {per_delta}ratio {:.3}, {} right, \
                 {} wrong, other work {:.0} %",
                cell.scenario,
                cell.name,
                per(cell, cell.right),
                cell.cpu() / base,
                cell.right,
                wrong(cell),
                cell.usage.foreign * 100.0
            ));
        }
    }

    /// Whom ratios are taken to: the last gateway.
    pub fn base(&self) -> &str {
        self.results.sides.last().map_or("", |s| &s.name)
    }

    /// One row for each scenario and gateway.
    pub fn rows(&self) -> Vec<Row> {
        let r = &self.results;
        let row = |scenario: &str, side: &Side| {
            let name = side.name.as_str();
            let sum = |what: fn(&Cell) -> u64| r.of(name, scenario).map(what).sum();
            let pieces = r.of(name, scenario).filter(|_| is_in_pieces(scenario));
            Row {
                scenario: scenario.to_owned(),
                name: name.to_owned(),
                right: sum(|c| c.right),
                wrong: sum(wrong),
                us_per_answer: Spread::of(r.of(name, scenario).map(|c| per(c, c.right))),
                us_per_delta: Spread::of(pieces.map(|c| per(c, c.deltas))),
                ratio: r.ratio(name, self.base(), scenario),
                foreign: r.median(name, scenario, |c| c.usage.foreign).unwrap_or(0.0),
            }
        };
        let scenarios = r.scenarios.iter();
        scenarios
            .flat_map(|(scenario, _)| r.sides.iter().map(move |side| row(scenario, side)))
            .collect()
    }

    /// What costs more than `limit` times the base, or cannot be said to cost less.
    pub fn above(&self, limit: f64) -> Vec<String> {
        let mut above = Vec::new();
        for row in self.rows().iter().filter(|r| r.name != self.base()) {
            let at = format!("{}, {}", row.name, row.scenario);
            match row.ratio {
                Some(ratio) if ratio.median <= limit => {}
                Some(ratio) => above.push(format!("{at}: {:.3} is above {limit}", ratio.median)),
                None => above.push(format!("{at}: no ratio")),
            }
        }
        above
    }

    /// Writes `README.md` and `results.json` into `dir`.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)?;
        let file = File {
            base: self.base(),
            summary: self.rows(),
            faults: &self.faults,
            results: &self.results,
        };
        let json = serde_json::to_string_pretty(&file).map_err(io::Error::other)?;
        std::fs::write(dir.join("results.json"), json)?;
        let mut out = String::new();
        self.markdown(&mut out).map_err(io::Error::other)?;
        std::fs::write(dir.join("README.md"), out)
    }

    fn markdown(&self, out: &mut String) -> std::fmt::Result {
        let r = &self.results;
        let rounds = if r.rounds == 1 { "round" } else { "rounds" };
        writeln!(out, "# Gateways at the same time, {}\n", r.date)?;
        writeln!(out, "{}.\n\n`{}`\n", r.machine.join("; "), r.command)?;
        writeln!(
            out,
            "{} {rounds} after one that does not count; medians, and the least and the most in \
             brackets. All gateways ran at once, each with a provider of its own, under the same \
             load each; ratios are to {} in the same round. CPU counts from the first request \
             until a second after the last answer.\n",
            r.rounds,
            self.base()
        )?;
        if r.foreign() > 0.3 {
            writeln!(
                out,
                "**The machine was busy: {:.0} % of its CPU went to other work, on the average; \
                 differences of a few hundredths are noise.**\n",
                r.foreign() * 100.0
            )?;
        }
        writeln!(out, "{}", self.table())?;
        for (name, title) in &r.scenarios {
            writeln!(out, "- {name}: {title}")?;
        }
        writeln!(out, "\n| gateway | version | what it is |\n|---|---|---|")?;
        for s in &r.sides {
            writeln!(out, "| {} | {} | {} |", s.name, s.version, s.about)?;
        }
        if !self.faults.is_empty() {
            writeln!(out, "\n**Wrong answers:**\n")?;
        }
        for fault in &self.faults {
            let fault: String = fault.chars().take(300).collect();
            writeln!(out, "- {}", fault.replace('\n', " "))?;
        }
        Ok(())
    }

    /// The rows as a table in Markdown.
    pub fn table(&self) -> String {
        let micros = |spread: Option<Spread>| match spread {
            None => "–".to_owned(),
            Some(s) => {
                let [median, least, most] = [s.median, s.least, s.most].map(|v| number(Some(v)));
                format!("{median} ({least}–{most})")
            }
        };
        let mut table = format!(
            "| scenario | gateway | CPU µs per answer | per delta | ratio to {} | right | wrong | \
             other work |\n|---|---|---:|---:|---:|---:|---:|---:|\n",
            self.base()
        );
        for row in self.rows() {
            let ratio = match row.ratio {
                None => "–".to_owned(),
                Some(_) if row.name == self.base() => "1".to_owned(),
                Some(s) => format!("**{:.3}** ({:.3}–{:.3})", s.median, s.least, s.most),
            };
            table.push_str(&format!(
                "| {} | {} | {} | {} | {ratio} | {} | {} | {:.0} % |\n",
                row.scenario,
                row.name,
                micros(row.us_per_answer),
                micros(row.us_per_delta),
                row.right,
                row.wrong,
                row.foreign * 100.0
            ));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::Api;
    use crate::outside::Usage;
    use crate::run::Percentiles;

    fn cell(name: &str, scenario: &str, round: usize, cpu_s: f64, wrong: u64) -> Cell {
        let (right, deltas) = (100, 2_000);
        Cell {
            name: name.into(),
            api: Api::Chat,
            scenario: scenario.into(),
            round,
            connections: 1,
            right,
            garbled: wrong,
            lost: 0,
            failed: 0,
            unfinished: 0,
            deltas,
            seconds: 1.0,
            cpu_us: cpu_s * 1e6 / deltas as f64,
            syscalls: None,
            usage: Usage {
                cpu_s,
                foreign: 0.25,
                ..Usage::default()
            },
            first_ms: Percentiles::default(),
            gap_ms: Percentiles::default(),
            late_ms: Percentiles::default(),
            total_ms: Percentiles::default(),
            examples: vec!["garbled: x".into()],
        }
    }

    fn pairs() -> Pairs {
        let side = |name: &str| {
            let mut side = Side::direct(Api::Chat);
            side.name = name.into();
            side
        };
        let rounds = [(1, 0.011, 0.010), (2, 0.021, 0.020), (3, 0.012, 0.010)];
        let both = |(round, full, bare)| {
            ["paced", "json"].into_iter().flat_map(move |scenario| {
                [
                    cell("full", scenario, round, full, 0),
                    cell("bare", scenario, round, bare, 0),
                ]
            })
        };
        Pairs::begin(Results {
            date: "2026-01-02".into(),
            machine: vec!["a machine".into()],
            command: "loadtest pair".into(),
            rounds: 3,
            scenarios: ["paced", "json"].map(|s| (s.into(), s.into())).into(),
            sides: vec![side("full"), side("bare")],
            cells: rounds.into_iter().flat_map(both).collect(),
        })
    }

    #[test]
    fn rows_are_per_answer_and_per_delta_and_ratios_to_the_last_gateway() {
        let rows = pairs().rows();
        let names = rows.iter().map(|r| (r.scenario.as_str(), r.name.as_str()));
        assert!(names.eq([
            ("paced", "full"),
            ("paced", "bare"),
            ("json", "full"),
            ("json", "bare")
        ]));
        let (first, whole) = (&rows[0], &rows[2]);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        near(first.us_per_answer.unwrap().median, 120.0);
        near(first.us_per_answer.unwrap().most, 210.0);
        near(first.us_per_delta.unwrap().least, 5.5);
        near(first.ratio.unwrap().median, 1.1);
        near(first.ratio.unwrap().least, 1.05);
        near(rows[1].ratio.unwrap().most, 1.0);
        assert_eq!((first.right, first.wrong), (300, 0));
        assert_eq!(whole.us_per_delta, None);
    }

    #[test]
    fn a_limit_is_for_the_median_of_all_but_the_base() {
        let mut pairs = pairs();
        assert!(pairs.above(1.101).is_empty());
        let above = pairs.above(1.05);
        assert_eq!(above.len(), 2, "{above:?}");
        assert_eq!(above[0], "full, paced: 1.100 is above 1.05");
        pairs.results.cells.retain(|c| c.scenario != "json");
        assert_eq!(pairs.above(2.0), ["full, json: no ratio"]);
    }

    #[test]
    fn wrong_answers_are_noted_and_nothing_but_wrong_ones_is_the_end() {
        let mut pairs = pairs();
        pairs.check(&cell("full", "flat", 0, 0.01, 0)).unwrap();
        assert!(pairs.faults.is_empty());
        pairs.check(&cell("full", "flat", 0, 0.01, 4)).unwrap();
        let text = "full, flat: 4 of 104 answers wrong: garbled: x";
        assert_eq!(pairs.faults, [text]);
        let mut nothing = cell("full", "flat", 0, 0.01, 4);
        nothing.right = 0;
        let e = pairs.check(&nothing).unwrap_err();
        assert!(e.to_string().contains("no right answer"), "{e}");
    }

    #[test]
    fn the_table_shows_what_the_rows_hold() {
        let mut pairs = pairs();
        pairs.faults.push("full, flat: garbled\nx".into());
        let mut out = String::new();
        pairs.markdown(&mut out).unwrap();
        let row = "| paced | full | 120 (110–210) | 6.00 (5.50–10.5) | **1.100** (1.050–1.200) | \
                   300 | 0 | 25 % |";
        assert!(out.contains(row), "{out}");
        let row = "| json | bare | 100 (100–200) | – | 1 | 300 | 0 | 25 % |";
        assert!(out.contains(row), "{out}");
        assert!(out.contains("- full, flat: garbled x\n"), "{out}");
        assert!(!out.contains("busy"), "{out}");
        for cell in &mut pairs.results.cells {
            cell.usage.foreign = 0.5;
        }
        pairs.markdown(&mut out).unwrap();
        assert!(out.contains("50 % of its CPU"), "{out}");
    }
}
