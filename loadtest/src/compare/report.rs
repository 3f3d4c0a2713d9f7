//! The results as Markdown, for people, beside the plots and the numbers.

use super::results::{Cell, Results, Side, Spread};
use super::{direct, plot};
use std::fmt::Write;
use std::io;
use std::path::Path;

/// Whom ratios are taken to.
const BAR: &str = "nginx";
const PEER: &str = "codex-relay";

/// Writes `README.md`, `results.json` and the plots into `dir`.
pub fn write(results: &Results, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let json = serde_json::to_string(results).map_err(io::Error::other)?;
    std::fs::write(dir.join("results.json"), json)?;
    let plots = plot::all(results);
    for (name, _, svg) in &plots {
        std::fs::write(dir.join(name), svg)?;
    }
    let mut out = String::new();
    markdown(results, &plots, &mut out).map_err(io::Error::other)?;
    std::fs::write(dir.join("README.md"), out)
}

fn markdown(r: &Results, plots: &[(String, String, String)], out: &mut String) -> std::fmt::Result {
    writeln!(out, "# Gateways side by side, {}\n", r.date)?;
    writeln!(out, "{}.", r.machine.join("; "))?;
    let rounds = if r.rounds == 1 { "round" } else { "rounds" };
    writeln!(
        out,
        "{} {rounds}; medians, and the least and the most in brackets. Ratios are taken within a \
         round.\n\n`{}`\n",
        r.rounds, r.command
    )?;
    if r.foreign() > 0.3 {
        writeln!(
            out,
            "**The machine was busy: {:.0} % of its CPU went to other work, on the average. Times \
             are indicative only; ratios of CPU are better, differences of a tenth are noise.**\n",
            r.foreign() * 100.0
        )?;
    }
    glance(r, out)?;
    for (name, title, _) in plots {
        writeln!(out, "![{title}]({name})\n")?;
    }
    correctness(r, out)?;
    for (name, title) in &r.scenarios {
        scenario(r, name, title, out)?;
    }
    method(r, out)
}

/// The sides that were measured, the forwarders first.
fn measured(r: &Results) -> impl Iterator<Item = &Side> {
    r.sides.iter().filter(|s| s.is_measured)
}

pub(super) fn number(value: Option<f64>) -> String {
    match value {
        None => "–".into(),
        Some(v) if v.abs() >= 100.0 => format!("{v:.0}"),
        Some(v) if v.abs() >= 10.0 => format!("{v:.1}"),
        Some(v) => format!("{v:.2}"),
    }
}

fn mark(side: &Side) -> String {
    let wrong: Vec<&str> = side
        .verdict
        .probes
        .iter()
        .filter(|p| p.fault.is_some())
        .map(|p| p.name.as_str())
        .collect();
    let mut text = match wrong.is_empty() {
        true => "yes".to_owned(),
        false => format!("**no**: {}", wrong.join(", ")),
    };
    if side.verdict.holds_back() {
        text.push_str("; **does not stream**");
    }
    text
}

/// A number, with a warning when answers were wrong in that scenario.
fn flagged(r: &Results, name: &str, scenario: &str, text: String) -> String {
    let sum = |what: fn(&Cell) -> u64| r.of(name, scenario).map(what).sum::<u64>();
    let all = sum(|c| c.wrong() + c.unfinished + c.right);
    match (sum(Cell::wrong), sum(|c| c.unfinished)) {
        (0, 0) => text,
        (0, n) => format!("{text} ⚠ {n} of {all} unfinished"),
        (n, 0) => format!("{text} ⚠ {n} of {all} wrong"),
        (n, m) => format!("{text} ⚠ {n} wrong, {m} unfinished of {all}"),
    }
}

fn glance(r: &Results, out: &mut String) -> std::fmt::Result {
    let has = |name: &str| r.scenarios.iter().any(|(s, _)| s == name);
    let shown: Vec<(&str, &str)> = [
        ("paced", "paced, µs/delta"),
        ("step", "in step, µs/delta"),
        ("flat", "flat out, µs/delta"),
        ("flat-1", "one stream flat out, µs/delta"),
        ("json", "small JSON, µs/answer"),
        ("fresh", "new connections, µs/answer"),
    ]
    .into_iter()
    .filter(|(s, _)| has(s))
    .collect();
    writeln!(out, "## At a glance\n")?;
    writeln!(
        out,
        "CPU of the gateway, and in brackets the ratio to {BAR} in the same round. Forwarders pass \
         chat through; translators turn chat into Responses, which is more work and more bytes.\n"
    )?;
    write!(out, "| gateway | does | right |")?;
    for (_, heading) in &shown {
        write!(out, " {heading} |")?;
    }
    writeln!(
        out,
        " added to first delta, ms | added per delta, ms p50 / p99 | KiB per stream |"
    )?;
    writeln!(
        out,
        "|---|---|---|{}---:|---:|---:|",
        "---:|".repeat(shown.len())
    )?;
    for side in measured(r) {
        let does = match side.api {
            crate::answers::Api::Chat => "forwards",
            crate::answers::Api::Responses => "translates",
        };
        write!(out, "| **{}** | {does} | {} |", side.name, mark(side))?;
        for (scenario, _) in &shown {
            let cpu = number(r.median(&side.name, scenario, |c| c.cpu()));
            let ratio = r.ratio(&side.name, BAR, scenario);
            let text = match ratio {
                Some(ratio) => format!("{cpu} ({}×)", number(Some(ratio.median))),
                None => cpu,
            };
            write!(out, " {} |", flagged(r, &side.name, scenario, text))?;
        }
        let added = |what: fn(&Cell) -> f64| {
            let there = r.median(&side.name, "latency", what)?;
            Some(there - r.median(direct(side.api), "latency", what)?)
        };
        writeln!(
            out,
            " {} | {} / {} | {} |",
            number(added(|c| c.first_ms.p50)),
            number(added(|c| c.late_ms.p50)),
            number(added(|c| c.late_ms.p99)),
            memory(r, side),
        )?;
    }
    let rest: Vec<String> = r
        .sides
        .iter()
        .filter(|s| !s.is_measured)
        .map(|s| match &s.absent {
            Some(why) => format!("{} ({why})", s.name),
            None => format!("{} (its streaming text is wrong)", s.name),
        })
        .collect();
    if !rest.is_empty() {
        writeln!(out, "\nNot measured: {}.", rest.join("; "))?;
    }
    writeln!(out)
}

/// KiB per stream, with the number of streams where it is not the usual one.
fn memory(r: &Results, side: &Side) -> String {
    let kib = number(r.median(&side.name, "memory", Cell::kib_per_stream));
    match r.of(&side.name, "memory").next() {
        Some(cell) if side.streams_max > 0 => format!("{kib} (with {})", cell.connections),
        _ => kib,
    }
}

fn correctness(r: &Results, out: &mut String) -> std::fmt::Result {
    writeln!(out, "## Correctness\n")?;
    let Some(first) = r.sides.iter().find(|s| !s.verdict.probes.is_empty()) else {
        return writeln!(out, "No gateway ran.\n");
    };
    write!(out, "| gateway | version |")?;
    for probe in &first.verdict.probes {
        write!(out, " {} |", probe.name)?;
    }
    writeln!(out, " first delta after | habits |")?;
    let columns = "---|".repeat(first.verdict.probes.len());
    writeln!(out, "|---|---|{columns}---:|---|")?;
    let mut faults = Vec::new();
    for side in r.sides.iter().filter(|s| !s.verdict.probes.is_empty()) {
        write!(out, "| {} | {} |", side.name, side.version)?;
        for probe in &side.verdict.probes {
            let dropped = probe.notes.iter().any(|n| n == "reasoning dropped");
            let mark = match (&probe.fault, dropped) {
                (None, false) => "right".to_owned(),
                (None, true) => "reasoning dropped".to_owned(),
                (Some(fault), _) => {
                    faults.push(format!("{}, {}: {fault}", side.name, probe.name));
                    format!("**{}**", fault.split(':').next().unwrap_or("wrong"))
                }
            };
            write!(out, " {mark} |")?;
        }
        writeln!(
            out,
            " {:.0} % | {} |",
            side.verdict.held * 100.0,
            side.verdict.notes().join(", ")
        )?;
    }
    writeln!(
        out,
        "\n\"First delta after\": how much of a paced answer had passed when its first delta came.\n"
    )?;
    for fault in &faults {
        let fault: String = fault.chars().take(300).collect();
        writeln!(out, "- {}", fault.replace('|', "\\|").replace('\n', " "))?;
    }
    let notes = r.sides.iter().filter(|s| !s.note.is_empty());
    for side in notes {
        writeln!(out, "- {}: {}", side.name, side.note)?;
    }
    writeln!(out)
}

fn scenario(r: &Results, name: &str, title: &str, out: &mut String) -> std::fmt::Result {
    if !r.cells.iter().any(|c| c.scenario == name) {
        return Ok(());
    }
    let per_answer = ["json", "fresh", "open"].contains(&name);
    let unit = if per_answer { "answer" } else { "delta" };
    let counted = r.cells.iter().any(|c| c.syscalls.is_some());
    let calls = if counted { " system calls |" } else { "" };
    writeln!(out, "## {name}: {title}\n")?;
    writeln!(
        out,
        "| gateway | right | wrong | unfinished | CPU µs per {unit} | × {BAR} | × {PEER} |{calls} first ms \
         p50 / p99 | gap ms p50 / p99 | late ms p50 / p99 | total ms p50 / p99 | RSS peak MiB | \
         other work |"
    )?;
    let line = if counted { "---:|" } else { "" };
    writeln!(
        out,
        "|---|---:|---:|---:|---:|---:|---:|{line}---:|---:|---:|---:|---:|---:|"
    )?;
    let directs = [crate::answers::Api::Chat, crate::answers::Api::Responses].map(direct);
    let names = directs
        .into_iter()
        .chain(measured(r).map(|s| s.name.as_str()));
    for side in names {
        let cells: Vec<&Cell> = r.of(side, name).collect();
        let Some(cell) = cells.first() else {
            continue;
        };
        let is_direct = directs.contains(&side);
        let median = |what: &dyn Fn(&Cell) -> f64| number(r.median(side, name, what));
        let spread = |ratio: Option<Spread>| match ratio {
            Some(ratio) if !is_direct => {
                let [median, least, most] =
                    [ratio.median, ratio.least, ratio.most].map(|v| number(Some(v)));
                format!("**{median}** ({least}–{most})")
            }
            _ => "–".into(),
        };
        let cpu = match is_direct {
            true => "–".to_owned(),
            false => median(&|c| c.cpu()),
        };
        let limit = r.sides.iter().any(|s| s.name == side && s.streams_max > 0);
        let limit = match limit {
            true => format!(" ({} at once)", cell.connections),
            false => String::new(),
        };
        write!(
            out,
            "| {side}{limit} | {} | {} | {} | {cpu} | {} | {} |",
            cells.iter().map(|c| c.right).sum::<u64>(),
            cells.iter().map(|c| c.wrong()).sum::<u64>(),
            cells.iter().map(|c| c.unfinished).sum::<u64>(),
            spread(r.ratio(side, BAR, name)),
            spread(r.ratio(side, PEER, name)),
        )?;
        if counted {
            write!(out, " {} |", median(&|c| c.syscalls.unwrap_or(f64::NAN)))?;
        }
        let pair = |has: bool, p50: &dyn Fn(&Cell) -> f64, p99: &dyn Fn(&Cell) -> f64| match has {
            true => format!("{} / {}", median(p50), median(p99)),
            false => "–".into(),
        };
        let streams = name != "json";
        writeln!(
            out,
            " {} | {} | {} | {} | {} | {:.0} % |",
            pair(streams, &|c| c.first_ms.p50, &|c| c.first_ms.p99),
            pair(streams, &|c| c.gap_ms.p50, &|c| c.gap_ms.p99),
            pair(cell.late_ms.max > 0.0, &|c| c.late_ms.p50, &|c| c
                .late_ms
                .p99),
            pair(true, &|c| c.total_ms.p50, &|c| c.total_ms.p99),
            match is_direct {
                true => "–".to_owned(),
                false => median(&|c| c.usage.rss_peak_kib as f64 / 1024.0),
            },
            r.median(side, name, |c| c.usage.foreign * 100.0)
                .unwrap_or(0.0),
        )?;
    }
    writeln!(out)
}

fn method(r: &Results, out: &mut String) -> std::fmt::Result {
    writeln!(out, "## How it was measured\n")?;
    writeln!(
        out,
        "- One scripted provider, one load generator, one gateway at a time; the others are started \
         and idle. Every answer is compared with the script byte for byte; \"wrong\" counts answers \
         with other bytes, answers that end early, and refusals; \"unfinished\" those that the test \
         did not wait for. Where both are more than a tenth, no CPU is given.\n\
         - CPU is the time on a CPU of all threads of the gateway's process tree \
         (`/proc/PID/task/*/schedstat`), from the first request to the last answer, divided by the \
         deltas the provider sent in right answers, or by these answers.\n\
         - First delta, late and total are counted from the moment a request was meant to be sent, \
         so that queueing shows; where asking the provider directly is late as well, the machine \
         was full, and times say nothing about gateways. Late: how far behind the script's own time a delta came. Gap: \
         between deltas; those read together have none. \"Added\" is the difference of medians \
         (or of 99th percentiles) to asking the provider directly.\n\
         - RSS peak is the sum of `VmHWM` over the process tree, reset before each measurement. KiB \
         per stream: the peak less what was resident at the start, for a gateway just started. \
         With few streams, what a gateway takes once is most of it.\n\
         - \"Other work\" is the share of the whole machine's CPU that went to processes which are \
         neither gateway, provider nor load generator. Where it is high, times say little and CPU \
         ratios within a round still say something; differences below 10 % are no findings.\n\
         - Loopback only; every gateway with its defaults, unless its recipe says otherwise."
    )?;
    writeln!(out, "\n| gateway | version | from | what it is | tried |")?;
    writeln!(out, "|---|---|---|---|---|")?;
    for s in &r.sides {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            s.name, s.version, s.origin, s.about, s.tried
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::Api;
    use crate::compare::probe::Probe;
    use crate::outside::Usage;
    use crate::run::Percentiles;

    fn side(name: &str, api: Api, fault: Option<&str>) -> Side {
        let mut side = Side::direct(api);
        side.name = name.into();
        side.verdict.probes = vec![Probe {
            name: "tool call".into(),
            right: 1,
            fault: fault.map(str::to_owned),
            notes: vec!["no usage".into()],
        }];
        side
    }

    fn cell(name: &str, api: Api, round: usize, cpu_us: f64, lost: u64) -> Cell {
        Cell {
            name: name.into(),
            api,
            scenario: "paced".into(),
            round,
            connections: 1,
            right: 9,
            garbled: 0,
            lost,
            failed: 0,
            unfinished: 0,
            deltas: 90,
            seconds: 1.0,
            cpu_us,
            syscalls: None,
            usage: Usage::default(),
            first_ms: Percentiles::default(),
            gap_ms: Percentiles::default(),
            late_ms: Percentiles::default(),
            total_ms: Percentiles::default(),
            examples: Vec::new(),
        }
    }

    fn results() -> Results {
        let cells = [(0, 10.0, 20.0), (1, 20.0, 10.0), (2, 10.0, 15.0)];
        let cells = cells.into_iter().flat_map(|(round, nginx, other)| {
            [
                cell("nginx", Api::Chat, round, nginx, 0),
                cell("other", Api::Responses, round, other, 0),
                cell("broken", Api::Responses, round, f64::NAN, 9),
            ]
        });
        Results {
            date: "2026-01-02".into(),
            machine: vec!["a machine".into()],
            command: "loadtest".into(),
            rounds: 3,
            scenarios: vec![("paced".into(), "paced".into())],
            sides: vec![
                side("nginx", Api::Chat, None),
                side("other", Api::Responses, Some("garbled: x|y")),
                side("broken", Api::Responses, None),
            ],
            cells: cells.collect(),
        }
    }

    #[test]
    fn ratios_are_taken_within_rounds_and_faults_are_marked() {
        let r = results();
        let ratio = Spread {
            median: 1.5,
            least: 0.5,
            most: 2.0,
        };
        assert_eq!(r.ratio("other", "nginx", "paced"), Some(ratio));
        let mut out = String::new();
        markdown(&r, &plot::all(&r), &mut out).unwrap();
        assert!(out.contains("15.0 (1.50×) |"), "{out}");
        assert!(out.contains("– ⚠ 27 of 54 wrong"), "{out}");
        assert!(out.contains("**no**: tool call"), "{out}");
        assert!(out.contains("garbled: x\\|y"), "{out}");
        assert!(!out.contains("NaN"), "{out}");
    }

    #[test]
    fn plots_hold_every_gateway_with_a_number_and_no_other() {
        let plots = plot::all(&results());
        let (_, _, svg) = plots.iter().find(|(n, _, _)| n == "cpu.svg").unwrap();
        assert!(svg.contains(">nginx<") && svg.contains(">other<"));
        assert!(!svg.contains(">broken<") && !svg.contains("NaN"));
    }

    #[test]
    fn results_are_read_back_as_they_were_written() {
        let json = serde_json::to_string(&results()).unwrap();
        let back: Results = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
    }
}
