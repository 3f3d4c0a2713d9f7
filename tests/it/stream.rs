//! Streams and objects through the running server, each before the judges.

use crate::client::{Answer as Got, Connection, post_with, respond};
use crate::judge::judge;
use crate::provider::{Answer, Provider, calls, delta, text};
use crate::strait::Strait;
use serde_json::json;
use std::time::Duration;

fn tools() -> serde_json::Value {
    json!([
        {"type":"function","name":"f","parameters":{"type":"object","properties":{}}},
        {"type":"custom","name":"apply_patch","description":"d","format":{"type":"text"}},
        {"type":"namespace","name":"mcp__demo","description":"d","tools":[{"type":"function","name":"add","description":"a","parameters":{"type":"object","properties":{}}}]},
    ])
}

fn ask(answer: Answer, stream: bool) -> Got {
    let provider = Provider::start(vec![answer]);
    let strait = Strait::start("openai-compatible", &provider.url(), "io_uring");
    respond(
        strait.address,
        &json!({"model":"m","stream":stream,"input":"hi","tools":tools()}),
    )
}

#[test]
fn text_calls_and_objects() {
    let patch = "*** Begin Patch\n+ü\t\"q\"\n";
    let three = [
        ("c1", "f", r#"{"x":1}"#.to_owned()),
        ("c2", "apply_patch", json!({"input": patch}).to_string()),
        ("c3", "mcp__demo__add", "{}".to_owned()),
    ];
    let three: Vec<(&str, &str, &str)> =
        three.iter().map(|(a, b, c)| (*a, *b, c.as_str())).collect();
    let told = ask(Answer::Stream(text("Hello there")), true);
    let called = ask(Answer::Stream(calls("think", &three)), true);
    let object = ask(Answer::Stream(calls("think", &three)), false);
    judge(&[("text", &told), ("calls", &called), ("object", &object)]);
    assert_eq!(told.terminals(), ["response.completed"]);
    let object = object.json();
    let last = called.events().pop().unwrap();
    let kinds: Vec<_> = object["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["type"].clone())
        .collect();
    assert_eq!(
        kinds,
        [
            "reasoning",
            "function_call",
            "custom_tool_call",
            "function_call"
        ]
    );
    assert_eq!(object["output"][2]["input"], patch);
    assert_eq!(
        (
            &object["output"][3]["namespace"],
            &object["output"][3]["name"]
        ),
        (&json!("mcp__demo"), &json!("add"))
    );
    assert_eq!(last["response"]["usage"], object["usage"]);
    assert_eq!(object["usage"]["input_tokens_details"]["cached_tokens"], 40);
}

#[test]
fn errors_before_output_are_statuses() {
    let error = |message: &str| json!({"error":{"message":message}}).to_string();
    let cases = [
        (401, "", error("bad key"), 400, "provider_auth", ""),
        (
            429,
            "retry-after: 3\r\n",
            error("slow"),
            429,
            "rate_limit_exceeded",
            "retry-after: 3\r\n",
        ),
        (
            429,
            "",
            error("slow"),
            429,
            "rate_limit_exceeded",
            "retry-after: 5\r\n",
        ),
        (500, "", "<html>".into(), 502, "server_error", ""),
        (529, "", error("overloaded"), 503, "server_error", ""),
        (
            400,
            "",
            error("maximum context length is 9 tokens"),
            400,
            "context_length_exceeded",
            "",
        ),
        (
            402,
            "",
            error("Insufficient Balance"),
            429,
            "insufficient_quota",
            "",
        ),
    ];
    for (status, fields, body, expected, code, field) in cases {
        let got = ask(Answer::Plain(status, fields, body), true);
        assert_eq!(
            (got.status, &got.json()["error"]["code"]),
            (expected, &json!(code)),
            "{status}"
        );
        assert!(got.head.contains(field), "{}", got.head);
        assert!(got.head.contains("x-strait-error-source: upstream\r\n"));
    }
}

#[test]
fn broken_streams_end_in_one_terminal_event() {
    let begun = || text("Hello there")[..2].to_vec();
    let garbage =
        b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: {{{\n\n"
            .to_vec();
    let answers = [
        ("reset", Answer::Reset(begun())),
        ("early", Answer::Stream(begun())),
        ("garbage", Answer::Raw(garbage)),
    ];
    for (name, answer) in answers {
        let got = ask(answer, true);
        assert_eq!(
            (got.status, got.terminals()),
            (200, vec!["response.failed".to_owned()]),
            "{name}"
        );
        judge(&[(name, &got)]);
    }
    assert_eq!(
        ask(Answer::Raw(b"data: {{{\n\n".to_vec()), true).status,
        502
    );
}

#[test]
fn silence_is_kept_alive_and_then_ended() {
    for driver in ["io_uring", "epoll"] {
        let provider = Provider::start(vec![Answer::Silence(text("Hello there")[..2].to_vec())]);
        let more =
            "[models]\n\"*\" = \"mock/*\"\n[timeouts]\nkeepalive_s = 0.1\nsilence_s = 0.55\n";
        let strait = Strait::with("openai-compatible", &provider.url(), driver, more);
        let got = respond(
            strait.address,
            &json!({"model":"m","stream":true,"input":"hi"}),
        );
        assert_eq!(got.terminals(), ["response.failed"]);
        let beats = got
            .events()
            .iter()
            .filter(|e| e["type"] == "response.in_progress")
            .count();
        assert!((4..=7).contains(&beats), "{beats} beats");
        judge(&[(driver, &got)]);
    }
}

#[test]
fn a_client_that_leaves_cancels_its_upstream() {
    for driver in ["io_uring", "epoll"] {
        for begun in [false, true] {
            let answer = if begun {
                Answer::Silence(vec![delta(json!({"content":"a"}))])
            } else {
                Answer::Mute
            };
            let provider = Provider::start(vec![answer]);
            let strait = Strait::start("openai-compatible", &provider.url(), driver);
            let mut connection = Connection::open(strait.address);
            let body = br#"{"model":"m","stream":true,"input":"hi"}"#;
            connection.send(post_with("/v1/responses", "", body));
            provider
                .arrived
                .recv_timeout(Duration::from_secs(5))
                .unwrap();
            if begun {
                connection.wait_for("output_text.delta");
            }
            drop(connection);
            provider
                .gone
                .recv_timeout(Duration::from_secs(5))
                .expect("upstream is closed");
        }
    }
}

#[test]
fn what_codex_itself_asks_gives_streams_that_the_judges_pass() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/codex_bodies");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    let answer = || Answer::Stream(calls("think", &[("c1", "exec_command", r#"{"cmd":"ls"}"#)]));
    let provider = Provider::start(files.iter().map(|_| answer()).collect());
    let strait = Strait::start("openai-compatible", &provider.url(), "io_uring");
    let mut connection = Connection::open(strait.address);
    let mut streams = Vec::new();
    for file in &files {
        let body = std::fs::read(file).unwrap();
        connection.send(post_with(
            "/v1/responses",
            "originator: codex_exec\r\n",
            &body,
        ));
        let got = connection.answer();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        assert_eq!(got.status, 200, "{name}");
        let last = got.events().pop().unwrap();
        let sealed = &last["response"]["output"][0]["encrypted_content"];
        assert!(
            sealed.as_str().is_some_and(|s| s.starts_with("gwr1.")),
            "{name}: {sealed}"
        );
        streams.push((name, got));
    }
    let streams: Vec<_> = streams.iter().map(|(n, g)| (n.as_str(), g)).collect();
    judge(&streams);
}
