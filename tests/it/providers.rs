//! Every profile against a scripted provider that behaves, and refuses, as that provider's
//! documents say (`dialects`): a table of providers and situations, printed by the run itself.

mod bench;
mod limits;
mod responses;
pub mod script;
mod speaking;
mod tooling;
mod trouble;
mod wrong;

use crate::dialects::{self, Dialect};
use crate::judge;
use crate::provider::Provider;
use crate::strait::Strait;
use bench::{Bench, Cell};
use serde_json::Value;
use std::io::Write as _;
use std::sync::Mutex;

/// A situation: what heads its column, what it is, and the proof.
type Situation = (&'static str, &'static str, fn(&mut Bench) -> Cell);

const SITUATIONS: &[Situation] = &[
    ("text", "text, streamed", speaking::streamed),
    ("whole", "text, as one object", speaking::whole),
    (
        "think",
        "reasoning is shown, as a summary and as text",
        speaking::reasoning,
    ),
    ("usage", "token counts", speaking::usage),
    (
        "tool",
        "a call, its output, the next turn; thoughts go back as they must, kept and lost",
        tooling::call,
    ),
    (
        "two",
        "two calls at once, answered out of order",
        tooling::parallel,
    ),
    (
        "switch",
        "a history of another provider's, with its sealed thoughts and its ids",
        tooling::switched,
    ),
    (
        "patch",
        "a freeform tool, there and back",
        tooling::freeform,
    ),
    (
        "choice",
        "a tool is required, a function is named",
        tooling::choice,
    ),
    (
        "search",
        "web search: the provider's own, or dropped and said",
        tooling::search,
    ),
    ("codex", "what Codex itself asked", tooling::codex),
    ("effort", "every effort from none to max", limits::efforts),
    (
        "json",
        "a JSON schema: plain, while thinking, beside tools",
        limits::json,
    ),
    (
        "img-in",
        "an image in a user's message, as data and as an address",
        limits::image_in,
    ),
    ("img-out", "an image in a tool's output", limits::image_out),
    (
        "later",
        "a developer's message in mid conversation",
        limits::later,
    ),
    (
        "limits",
        "a limit of tokens, temperatures 0 and 2",
        limits::sampling,
    ),
    (
        "errors",
        "bad key, rate limit, overflow, overload",
        trouble::errors,
    ),
    (
        "ends",
        "unusual ends: cut off, filtered, broken, in the provider's own words",
        trouble::ends,
    ),
    ("midway", "an error in mid stream", trouble::midway),
];

/// Lines of `strait.toml` for a dialect.
pub fn configured(d: &Dialect, provider: &Provider) -> String {
    let (name, profile, key) = (d.name, d.profile, d.secret());
    let mut lines = format!(
        "[providers.{name:?}]\nprofile = {profile:?}\nbase_url = {:?}\napi_key = {key:?}\n",
        provider.url()
    );
    if !d.overrides.is_empty() {
        lines += &format!("[providers.{name:?}.override]\n{}\n", d.overrides);
    }
    lines
}

/// A provider for every dialect, and one Strait before all of them.
pub fn everybody(more: &str) -> (Vec<(Dialect, Provider)>, Strait) {
    started(dialects::all(), more)
}

fn started(dialects: Vec<Dialect>, more: &str) -> (Vec<(Dialect, Provider)>, Strait) {
    let start = |d: Dialect| {
        let provider = Provider::answering(move |seen| script::answer(&d, seen));
        (d, provider)
    };
    let all: Vec<_> = dialects.into_iter().map(start).collect();
    let mut config: String = all.iter().map(|(d, p)| configured(d, p)).collect();
    config += more;
    let strait = Strait::with("openai-compatible", &all[0].1.url(), "io_uring", &config);
    (all, strait)
}

#[test]
fn every_provider_in_every_situation() {
    let mut rows = rows(dialects::all());
    judged(&mut rows);
    let failures = show(&rows);
    assert!(failures == 0, "{failures} cells fail; see the table");
}

/// Each of these facts of a profile, made wrong, is found by the table.
#[test]
fn a_wrong_profile_is_found() {
    let all = dialects::all();
    let kimi = all.iter().find(|d| d.name == "kimi-k2.6");
    let mut dialects = vec![*kimi.expect("Kimi is there")];
    for (i, (name, wrong)) in wrong::FACTS.iter().enumerate() {
        let right = all
            .iter()
            .find(|d| d.name == *name)
            .expect("a known dialect");
        dialects.push(Dialect {
            name: format!("wrong-{i}").leak(),
            overrides: format!("{}\n{wrong}", right.overrides).leak(),
            ..*right
        });
    }
    let rows = rows(dialects);
    let unfound: Vec<_> = rows[1..]
        .iter()
        .zip(wrong::FACTS)
        .filter(|(row, _)| row.cells.iter().all(Result::is_ok))
        .map(|(_, fact)| fact)
        .collect();
    assert!(unfound.is_empty(), "not found: {unfound:#?}");
}

/// Proves every situation for every dialect. Kimi, which is among them, says something first, for
/// the others to be asked about.
fn rows(dialects: Vec<Dialect>) -> Vec<Row> {
    let (all, strait) = started(dialects, "");
    let kimi = all.iter().find(|(d, _)| d.name == "kimi-k2.6");
    let (d, provider) = kimi.expect("Kimi is there");
    let elsewhere = tooling::said(&mut Bench::new(d, provider, strait.address, &[])).unwrap();
    let queue = Mutex::new(all.into_iter().enumerate());
    let rows: Mutex<Vec<(usize, Row)>> = Mutex::default();
    let work = || {
        let take = || queue.lock().unwrap().next();
        while let Some((i, (d, provider))) = take() {
            let row = row(&d, &provider, &strait, &elsewhere);
            rows.lock().unwrap().push((i, row));
        }
    };
    std::thread::scope(|scope| drop([(); 4].map(|()| scope.spawn(work))));
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|(i, _)| *i);
    rows.into_iter().map(|(_, row)| row).collect()
}

struct Row {
    name: &'static str,
    cells: Vec<Cell>,
    /// Streams and objects, by the column they belong to.
    bodies: Vec<(usize, String, Vec<u8>)>,
}

fn row(d: &Dialect, provider: &Provider, strait: &Strait, elsewhere: &[Value]) -> Row {
    let mut row = Row {
        name: d.name,
        cells: Vec::new(),
        bodies: Vec::new(),
    };
    for (column, (name, _, prove)) in SITUATIONS.iter().enumerate() {
        let mut bench = Bench::new(d, provider, strait.address, elsewhere);
        let proof = std::panic::AssertUnwindSafe(|| prove(&mut bench));
        let cell = std::panic::catch_unwind(proof).unwrap_or_else(|_| Err("it panicked".into()));
        row.cells.push(cell);
        for (n, body) in bench.judged.drain(..).enumerate() {
            row.bodies
                .push((column, format!("{}~{name}~{n}", d.name), body));
        }
    }
    row
}

/// All streams and objects go before the judges in one go; what they find is a failure of the cell.
fn judged(rows: &mut [Row]) {
    let bodies: Vec<(&str, &[u8])> = rows
        .iter()
        .flat_map(|r| {
            r.bodies
                .iter()
                .map(|(_, name, body)| (name.as_str(), body.as_slice()))
        })
        .collect();
    let said = judge::verdict(&bodies);
    for row in rows {
        for (column, name, _) in &row.bodies {
            let lines: Vec<&str> = said
                .lines()
                .filter(|l| l.contains(&format!("/{name}.")))
                .collect();
            if !lines.is_empty() && row.cells[*column].is_ok() {
                row.cells[*column] = Err(format!("the judges: {}", lines.join("; ")));
            }
        }
    }
}

/// Prints the table, past the capture of the test harness; returns how many cells failed.
fn show(rows: &[Row]) -> usize {
    let mut out = String::from("\nproviders x situations\n");
    for (name, about, _) in SITUATIONS {
        out += &format!("  {name:<8} {about}\n");
    }
    out += &format!("\n{:<15}", "");
    for (name, ..) in SITUATIONS {
        out += &format!("{name:>8}");
    }
    let (mut notes, mut failures) = (Vec::<&str>::new(), Vec::new());
    let mut counts = [0; 2];
    for row in rows {
        out += &format!("\n{:<15}", row.name);
        for (cell, (column, ..)) in row.cells.iter().zip(SITUATIONS) {
            let mark = match cell {
                Ok("") => {
                    counts[0] += 1;
                    "ok".to_owned()
                }
                Ok(note) => {
                    counts[1] += 1;
                    let known = notes.iter().position(|n| n == note);
                    let at = known.unwrap_or_else(|| {
                        notes.push(note);
                        notes.len() - 1
                    });
                    format!("({})", char::from(b'a' + at as u8))
                }
                Err(why) => {
                    failures.push(format!("FAIL {} {column}: {why}", row.name));
                    "FAIL".to_owned()
                }
            };
            out += &format!("{mark:>8}");
        }
    }
    out += &format!(
        "\n\n{} ok, {} not applicable or noted, {} failed\n",
        counts[0],
        counts[1],
        failures.len()
    );
    for (i, note) in notes.iter().enumerate() {
        out += &format!("  ({}) {note}\n", char::from(b'a' + i as u8));
    }
    for failure in &failures {
        out += &format!("{failure}\n");
    }
    std::io::stdout().lock().write_all(out.as_bytes()).unwrap();
    failures.len()
}
