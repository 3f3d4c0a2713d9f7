//! The real Codex CLI over a WebSocket: the same outcome as over HTTP, and the way back to HTTP.

use crate::codex::{Codex, Run};
use crate::provider::{Answer, Provider, calls, text};
use crate::strait::Strait;
use crate::wire::{Mode, Wire};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const DRIVERS: [&str; 2] = ["io_uring", "epoll"];
const MODELS: &str =
    "[models]\nlisted = \"mock/listed\"\n\"*\" = \"mock/*\"\n[timeouts]\nsilence_s = 1.0\n";

fn exec(id: &str, cmd: &str) -> Answer {
    let arguments = json!({ "cmd": cmd }).to_string();
    Answer::Stream(calls(
        "I should run it.",
        &[(id, "exec_command", &arguments)],
    ))
}

fn patch(id: &str, patch: &str) -> Answer {
    let arguments = json!({ "input": patch }).to_string();
    Answer::Stream(calls("", &[(id, "apply_patch", &arguments)]))
}

fn say(answer: &str) -> Answer {
    Answer::Stream(text(answer))
}

/// What a session came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    codes: Vec<i32>,
    texts: Vec<String>,
    commands: Vec<(Value, Value)>,
    patches: Vec<Value>,
    file: String,
    /// What the provider was asked, message by message, without what differs from run to run.
    asked: Vec<Vec<Value>>,
    usage: Vec<Value>,
}

/// One session of two turns: a command, a patch, text, and a turn after `resume`.
fn session(strait: &Strait, provider: &Provider, codex: &Codex) -> Outcome {
    std::fs::write(codex.project.join("old.txt"), "alpha\n").unwrap();
    let runs = [
        codex.exec(&["go"]),
        codex.exec(&["resume", "--last", "and now?"]),
    ];
    for run in &runs {
        assert!(
            run.errors().is_empty() && !run.stderr.contains("ERROR"),
            "{}: {run:#?}",
            strait.banner
        );
    }
    let items = |kind: &str| -> Vec<Value> {
        let all = runs.iter().flat_map(|r: &Run| r.items(kind));
        all.cloned().collect()
    };
    Outcome {
        codes: runs.iter().map(|r| r.code).collect(),
        texts: runs.iter().map(Run::text).collect(),
        commands: items("command_execution")
            .into_iter()
            .map(|c| (c["exit_code"].clone(), c["aggregated_output"].clone()))
            .collect(),
        patches: items("file_change")
            .into_iter()
            .map(|c| c["status"].clone())
            .collect(),
        file: std::fs::read_to_string(codex.project.join("old.txt")).unwrap(),
        asked: provider.bodies().iter().map(messages).collect(),
        usage: runs
            .iter()
            .map(|r| r.events.last().unwrap()["usage"].clone())
            .collect(),
    }
}

/// The messages of a request: roles, calls, and texts where they come from the script.
fn messages(body: &Value) -> Vec<Value> {
    let all = body["messages"].as_array().unwrap();
    all.iter()
        .map(|m| {
            let content = match m["role"].as_str().unwrap() {
                "assistant" => m["content"].clone(),
                _ => Value::Null,
            };
            json!([
                m["role"],
                content,
                m["reasoning_content"],
                m["tool_calls"],
                m["tool_call_id"]
            ])
        })
        .collect()
}

#[test]
fn a_session_has_the_same_outcome_as_over_http() {
    let change = "*** Begin Patch\n*** Update File: old.txt\n@@\n-alpha\n+beta\n*** End Patch\n";
    for driver in DRIVERS {
        let script = || {
            vec![
                exec("call_a", "echo one; exit 3"),
                exec("call_b", "echo two"),
                patch("call_c", change),
                say("done"),
                say("again"),
            ]
        };
        let run = |websocket: bool| {
            let provider = Provider::deepseek(script());
            let mut strait = Strait::with("deepseek", &provider.url(), driver, MODELS);
            let wire = Wire::before(strait.address, Mode::Straight);
            strait.address = wire.address;
            let codex = match websocket {
                true => Codex::over_websocket(&strait, "listed"),
                false => Codex::new(&strait, "listed", ""),
            }?;
            let outcome = session(&strait, &provider, &codex);
            Some((outcome, wire))
        };
        let (Some((over_http, posts)), Some((over_websocket, upgrades))) = (run(false), run(true))
        else {
            return;
        };
        assert_eq!(over_websocket, over_http);
        assert_eq!(over_http.texts, ["done", "again"]);
        assert_eq!(over_http.file, "beta\n");
        assert_eq!(over_http.asked.len(), 5);
        // Each process opens one WebSocket, and nothing goes beside it.
        assert_eq!(posts.count("POST /v1/responses "), 5);
        assert_eq!(upgrades.count("GET /v1/responses "), 2);
        assert_eq!(upgrades.count("POST "), 0);
    }
}

#[test]
fn transient_failures_are_ridden_out() {
    for driver in DRIVERS {
        let error = |status, fields| {
            let body = json!({"error":{"message":"try later"}});
            Answer::Plain(status, fields, body.to_string())
        };
        let begun = || text("Hello there friend")[..2].to_vec();
        let provider = Provider::start(vec![
            error(429, "retry-after: 3\r\n"),
            error(500, ""),
            error(529, ""),
            Answer::Reset(begun()),
            Answer::Silence(begun()),
            say("recovered"),
        ]);
        let strait = Strait::with("openai-compatible", &provider.url(), driver, MODELS);
        let Some(codex) = Codex::over_websocket(&strait, "listed") else {
            return;
        };
        let begin = Instant::now();
        let run = codex.exec(&["hi"]);
        assert_eq!((run.code, run.text()), (0, "recovered".into()), "{run:#?}");
        assert_eq!(provider.take_seen().len(), 6);
        let waited = begin.elapsed() >= Duration::from_secs(3);
        assert!(waited, "the provider's Retry-After reaches Codex");
    }
}

#[test]
fn final_failures_are_shown_as_over_http() {
    let overflow = "This model's maximum context length is 10 tokens";
    for (status, message, shown) in [
        (400, overflow, "context window"),
        (400, "something else", "something else"),
        (401, "bad key", "bad key"),
        (402, "Insufficient Balance", "Quota exceeded"),
    ] {
        for websocket in [false, true] {
            let body = json!({"error":{"message":message}}).to_string();
            let provider = Provider::start(vec![Answer::Plain(status, "", body)]);
            let strait = Strait::with("openai-compatible", &provider.url(), "io_uring", MODELS);
            let codex = match websocket {
                true => Codex::over_websocket(&strait, "listed"),
                false => Codex::new(&strait, "listed", ""),
            };
            let Some(codex) = codex else { return };
            let run = codex.exec(&["hi"]);
            let said = run.errors().join("\n");
            assert!(run.code == 1 && said.contains(shown), "{run:#?}");
            assert_eq!(provider.take_seen().len(), 1, "nothing is retried");
        }
    }
}

#[test]
fn codex_goes_on_over_http_where_websockets_are_switched_off() {
    let provider = Provider::start(vec![exec("call_a", "echo one"), say("done")]);
    let url = provider.url();
    let mut strait = Strait::start_with_top("websocket = false\n", &url, "io_uring");
    let wire = Wire::before(strait.address, Mode::Straight);
    strait.address = wire.address;
    let Some(codex) = Codex::over_websocket(&strait, "m") else {
        return;
    };
    let run = codex.exec(&["go"]);
    assert_eq!((run.code, run.text()), (0, "done".into()), "{run:#?}");
    assert!(run.errors().is_empty(), "nobody notices: {run:#?}");
    assert_eq!(
        (wire.count("GET /v1/responses "), wire.count("POST ")),
        (1, 2)
    );
}

#[test]
fn codex_goes_on_over_http_where_websockets_break() {
    let provider = Provider::start(vec![exec("call_a", "echo one"), say("done")]);
    let mut strait = Strait::with("openai-compatible", &provider.url(), "io_uring", MODELS);
    let wire = Wire::before(strait.address, Mode::CutWebSockets);
    strait.address = wire.address;
    let Some(codex) = Codex::over_websocket(&strait, "listed") else {
        return;
    };
    let run = codex.exec(&["go"]);
    assert_eq!((run.code, run.text()), (0, "done".into()), "{run:#?}");
    assert_eq!(run.items("command_execution").len(), 1);
    assert!(wire.count("GET /v1/responses ") > 1);
    assert_eq!(wire.count("POST "), 2);
}

#[test]
fn an_unknown_previous_response_makes_codex_send_everything() {
    for driver in DRIVERS {
        let provider = Provider::start(vec![exec("call_a", "echo one"), say("done")]);
        let mut strait = Strait::with("openai-compatible", &provider.url(), driver, MODELS);
        // Behind the warm-up and the first turn, Strait sees another connection.
        let wire = Wire::before(strait.address, Mode::SwapAfter(2));
        strait.address = wire.address;
        let Some(codex) = Codex::over_websocket(&strait, "listed") else {
            return;
        };
        let run = codex.exec(&["go"]);
        assert_eq!((run.code, run.text()), (0, "done".into()), "{run:#?}");
        assert!(run.errors().is_empty(), "nobody notices: {run:#?}");
        assert_eq!(run.items("command_execution").len(), 1);
        assert!(wire.heard("previous_response_not_found"));
        assert_eq!(
            (wire.count("GET /v1/responses "), wire.count("POST ")),
            (2, 0)
        );
        let bodies = provider.bodies();
        let (first, last) = (messages(&bodies[0]), messages(&bodies[1]));
        assert!(bodies.len() == 2 && last.starts_with(&first), "{last:#?}");
        assert_eq!(last.last().unwrap()[4], "call_a");
    }
}
