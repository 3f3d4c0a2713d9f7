//! Every provider behind clients that nobody here wrote: the real Codex CLI does a session with
//! each, and OpenAI's SDKs (`tests/sdk/every_provider.py`) ask each of them. Two small tables.

use crate::codex::{self, Codex, Run};
use crate::dialects::{self, Dialect};
use crate::judge::python;
use crate::provider::Provider;
use crate::providers::everybody;
use crate::providers::script::DONE;
use crate::sdk;
use crate::skip;
use crate::strait::Strait;
use serde_json::json;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

/// A name that is listed for each dialect, so that Codex finds it in the catalog and offers
/// `apply_patch`.
fn names() -> String {
    let line = |d: Dialect| format!("\"at-{}\" = \"{}/{}\"\n", d.name, d.name, d.model);
    let lines: String = dialects::all().into_iter().map(line).collect();
    format!("[models]\n{lines}")
}

fn print(text: &str) {
    std::io::stdout().lock().write_all(text.as_bytes()).unwrap();
}

#[test]
fn codex_does_a_session_with_every_provider() {
    if codex::program().is_none() {
        return skip("no Node, or npm could not install Codex");
    }
    let (all, strait) = everybody(&names());
    let queue = Mutex::new(all.into_iter().enumerate());
    let rows = Mutex::new(Vec::new());
    let work = || {
        let take = || queue.lock().unwrap().next();
        while let Some((i, (d, provider))) = take() {
            let found = session(&d, &provider, &strait);
            rows.lock().unwrap().push((i, d.name, found));
        }
    };
    std::thread::scope(|scope| drop([(); 3].map(|()| scope.spawn(work))));
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|(i, ..)| *i);
    let mut out = String::from("\nCodex x providers: a command, a patch, an answer\n");
    let mut failed = 0;
    for (_, name, found) in rows {
        let mark = found.err().map_or("ok".into(), |why| {
            failed += 1;
            format!("FAIL {why}")
        });
        out += &format!("{name:<15} {mark}\n");
    }
    print(&out);
    assert!(failed == 0, "{failed} sessions fail; see the table");
}

/// What the user sees of one session, and what the provider saw.
fn session(d: &Dialect, provider: &Provider, strait: &Strait) -> Result<(), String> {
    let codex = Codex::new(strait, &format!("at-{}", d.name), "").ok_or("no Codex")?;
    let run: Run = codex.exec(&["cue: session"]);
    let want = |holds: bool, what: &str| match holds {
        true => Ok(()),
        false => Err(format!("{what}: {run:?}")),
    };
    want(
        run.errors().is_empty() && !run.stderr.contains("ERROR"),
        "errors",
    )?;
    want(run.code == 0, "the exit code")?;
    let commands = run.items("command_execution");
    let ran = commands.len() == 1 && commands[0]["exit_code"] == 0;
    want(
        ran && commands[0]["aggregated_output"] == "done\n",
        "the command",
    )?;
    let changes = run.items("file_change");
    want(
        changes.len() == 1 && changes[0]["status"] == "completed",
        "the patch",
    )?;
    want(run.text() == DONE, "the answer")?;
    let usage = &run.events.last().ok_or("no events")?["usage"];
    want(
        usage["input_tokens"].as_u64() >= Some(100),
        "the token counts",
    )?;
    let read = |name: &str| std::fs::read_to_string(codex.project.join(name)).unwrap_or_default();
    want(read("ran.txt") == "one\n", "what the command wrote")?;
    want(read("a.txt") == "tab\t\"q\" \\ ü\n", "what the patch wrote")?;
    let seen = provider.take_seen();
    want(
        seen.len() == 3,
        &format!("{} requests instead of three", seen.len()),
    )
}

#[test]
fn the_sdks_ask_every_provider() {
    let Some(python) = python() else {
        return skip("no Python with venv and pip, so no SDK for Python");
    };
    let (_all, strait) = everybody("");
    let models: Vec<String> = dialects::all()
        .iter()
        .map(|d| format!("{}/{}", d.name, d.model))
        .collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/every_provider.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .arg(json!(models).to_string())
        .arg(format!("http://{}/v1", strait.address));
    let output = sdk::asking(&mut command, "client-key-of-the-table")
        .output()
        .unwrap();
    print(&String::from_utf8_lossy(&output.stdout));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "see the table; {stderr}");
}
