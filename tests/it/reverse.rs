//! A chat client and a provider that speaks Responses.

use crate::client::{Answer as Got, Connection, post_with};
use crate::judge::judge_chat;
use crate::provider::{Answer, Provider};
use crate::strait::Strait;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;

fn chat(address: SocketAddr, body: &Value) -> Got {
    let mut connection = Connection::open(address);
    connection.send(post_with(
        "/v1/chat/completions",
        "",
        body.to_string().as_bytes(),
    ));
    connection.answer()
}

/// The events of a vector as a provider sends them.
fn sse(events: &[Value]) -> Vec<u8> {
    let frame = |e: &Value| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap());
    events.iter().map(frame).collect::<String>().into_bytes()
}

fn vectors() -> Vec<(String, Vec<Value>)> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut all = Vec::new();
    for folder in ["vectors", "situations"] {
        for entry in std::fs::read_dir(tests.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let Some(name) = name.strip_suffix(".events.jsonl") else {
                continue;
            };
            let lines = std::fs::read_to_string(&path).unwrap();
            let events = lines.lines().map(|l| serde_json::from_str(l).unwrap());
            all.push((name.to_owned(), events.collect()));
        }
    }
    all.sort_by(|a: &(String, Vec<Value>), b| a.0.cmp(&b.0));
    all
}

#[test]
fn every_stream_of_events_becomes_chunks_that_the_judges_pass() {
    let vectors = vectors();
    assert!(vectors.len() > 80);
    let answers = vectors.iter().map(|(_, events)| Answer::Raw(sse(events)));
    let provider = Provider::start(answers.collect());
    let strait = Strait::start("openai", &provider.url(), "io_uring");
    let ask = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "x"}]});
    let mut streams = Vec::new();
    for (name, events) in &vectors {
        let got = chat(strait.address, &ask);
        let last = events.last().unwrap();
        let output = last["response"]["output"].as_array().unwrap();
        // Nothing was said before it failed: an honest status, and no stream to judge.
        if last["type"] == "response.failed" && output.is_empty() {
            assert!(got.status >= 400, "{name}: {got:?}");
            continue;
        }
        assert_eq!(got.status, 200, "{name}");
        let text = String::from_utf8(got.body.clone()).unwrap();
        assert!(text.ends_with("data: [DONE]\n\n"), "{name}: {text}");
        // The judge asks for a finish, which a stream that failed does not have.
        if last["type"] == "response.failed" {
            assert!(text.contains("data: {\"error\":{"), "{name}: {text}");
        } else {
            streams.push((name.as_str(), got.body));
        }
    }
    // Arguments that the model cut or malformed are passed on as they are, and the judge wants
    // them to be JSON.
    let whole = |name: &&str| !["27", "28"].iter().any(|n| name.starts_with(n));
    let streams = streams.iter().filter(|(n, _)| whole(n));
    let streams: Vec<_> = streams.map(|(n, b)| (*n, b.as_slice())).collect();
    judge_chat(&streams);
}

#[test]
fn a_request_is_translated_whole_and_what_is_lost_is_said() {
    let object = json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed",
        "model": "m", "output": [
            {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAAA"},
            {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "Hi", "annotations": []}]},
            {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "completed"}],
        "usage": {"input_tokens": 7, "input_tokens_details": {"cached_tokens": 2}, "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 10}});
    let answer = || Answer::Plain(200, "", object.to_string());
    for driver in ["io_uring", "epoll"] {
        let provider = Provider::start(vec![answer(), answer()]);
        let strait = Strait::start("openai", &provider.url(), driver);
        let mut messages = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
        ]);
        let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]);
        let ask = |messages: &Value| {
            json!({"model": "m", "messages": messages, "tools": tools, "max_tokens": 99, "seed": 7,
                "reasoning_effort": "low", "response_format": {"type": "json_object"}})
        };
        let got = chat(strait.address, &ask(&messages));
        assert!(
            got.head
                .contains("x-strait-diagnostics: field.dropped seed"),
            "{}",
            got.head
        );
        let said = got.json();
        let message = &said["choices"][0]["message"];
        assert_eq!(
            (&message["content"], &message["reasoning_content"]),
            (&json!("Hi"), &json!("Hm."))
        );
        assert_eq!(said["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(said["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
        let seen = &provider.take_seen()[0];
        assert!(
            seen.head.starts_with("POST /v1/responses "),
            "{}",
            seen.head
        );
        let body = &seen.body;
        assert_eq!(body["instructions"], "Be brief.");
        assert_eq!(body["input"][0]["content"][1]["type"], "input_image");
        assert_eq!(
            (&body["max_output_tokens"], &body["store"]),
            (&json!(99), &json!(false))
        );
        assert_eq!(body["reasoning"]["effort"], "low");
        assert_eq!(body["tools"][0]["name"], "f");
        assert_eq!(body.get("seed"), None);
        // The next turn gives the provider its own encrypted reasoning back.
        messages.as_array_mut().unwrap().push(message.clone());
        messages
            .as_array_mut()
            .unwrap()
            .push(json!({"role": "tool", "tool_call_id": "call_1", "content": "done"}));
        chat(strait.address, &ask(&messages));
        let body = provider.bodies().pop().unwrap();
        let kinds: Vec<_> = body["input"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i["type"].as_str().unwrap_or("message").to_owned())
            .collect();
        assert_eq!(
            kinds,
            [
                "message",
                "reasoning",
                "message",
                "function_call",
                "function_call_output"
            ]
        );
        assert_eq!(body["input"][1]["encrypted_content"], "gAAAA");
    }
}

#[test]
fn errors_of_a_responses_provider_keep_their_meaning() {
    let cases = [
        (
            429,
            "retry-after: 3\r\n",
            r#"{"error":{"message":"slow","type":"rate_limit_error","code":"rate_limit_exceeded"}}"#,
            429,
            "rate_limit_exceeded",
        ),
        (
            400,
            "",
            r#"{"error":{"message":"Your input exceeds the context window","code":"context_length_exceeded"}}"#,
            400,
            "context_length_exceeded",
        ),
        (
            401,
            "",
            r#"{"error":{"message":"bad key"}}"#,
            400,
            "provider_auth",
        ),
        (503, "", "<html>", 503, "server_error"),
    ];
    let answers = cases.iter().map(|c| Answer::Plain(c.0, c.1, c.2.into()));
    let provider = Provider::start(answers.collect());
    let strait = Strait::start("openai", &provider.url(), "io_uring");
    for (_, _, _, status, code) in cases {
        let got = chat(
            strait.address,
            &json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "x"}]}),
        );
        assert_eq!(
            (got.status, got.json()["error"]["code"].as_str()),
            (status, Some(code))
        );
    }
    // Inside the stream, before output: a status as well.
    let failed = json!({"type": "response.failed", "sequence_number": 2, "response": {"id": "resp_1", "status": "failed", "output": [], "error": {"code": "rate_limit_exceeded", "message": "slow"}}});
    let provider = Provider::start(vec![Answer::Raw(sse(&[failed]))]);
    let strait = Strait::start("openai", &provider.url(), "epoll");
    let got = chat(
        strait.address,
        &json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "x"}]}),
    );
    assert_eq!(got.status, 429);
}
