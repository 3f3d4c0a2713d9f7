//! What is noted of an exchange.

use super::exchange_tests::{ASK, Peer, SSE, post};
use super::machine::{Machine, Note};
use crate::config::{self, Snapshot};
use crate::ledger::record::Record;
use crate::provider::Profile;
use std::time::Duration;

fn taken(peer: &mut Peer) -> Box<Record> {
    match peer.exchange.record() {
        Note::Exchange(record) => record,
        Note::Line(line) => panic!("{line}"),
    }
}

#[test]
fn an_answer_is_noted_with_its_times_sizes_tokens_and_cost() {
    let env = |name: &str| (name == "DEEPSEEK_API_KEY").then(|| "sk-d".to_owned());
    let snapshot = config::from_env(&env).unwrap();
    let body = r#"{"model":"deepseek/deepseek-v4-pro","stream":true,"input":"hi","client_metadata":{"session_id":"s-9","turn_id":"u-1"}}"#;
    let head = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: strait\r\nsession-id: s-1\r\nthread-id: t-1\r\n\
         user-agent: codex_exec/0.169.0 (Debian 12) xterm\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut peer = Peer::with(snapshot, &head, body.as_bytes());
    peer.connected();
    peer.now += Duration::from_millis(30);
    peer.bytes(SSE);
    peer.text("hel");
    peer.now += Duration::from_millis(70);
    peer.chunk(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"model":"v4-pro-0102","usage":{"prompt_tokens":1000,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":400}}}"#);
    peer.chunk("[DONE]");
    peer.bytes("0\r\n\r\n");
    let record = taken(&mut peer);
    assert_eq!(
        (record.session.as_str(), record.thread.as_str()),
        ("s-1", "t-1")
    );
    assert_eq!(
        (record.method.as_str(), record.path.as_str()),
        ("POST", "/v1/responses")
    );
    assert_eq!(
        (record.turn.as_str(), record.agent.as_str()),
        ("u-1", "codex_exec/0.169.0")
    );
    assert_eq!(
        (record.stop.as_str(), record.served.as_str()),
        ("stop", "v4-pro-0102")
    );
    assert!(record.saying.is_none(), "content is noted only if wanted");
    assert!(record.asks_model && record.streamed && record.id.starts_with("req_"));
    assert_eq!(record.first_event, Some(Duration::from_millis(30)));
    assert_eq!(record.took, Duration::from_millis(100));
    assert_eq!(record.request_bytes, body.len() as u64);
    assert_eq!(record.answer_bytes, peer.client.len() as u64);
    assert!(record.upstream_bytes > 100);
    let [only] = record.tries.as_slice() else {
        panic!("{record:?}")
    };
    assert_eq!(
        (only.provider.as_str(), only.model.as_str()),
        ("deepseek", "deepseek-v4-pro")
    );
    assert_eq!((only.status, only.error), (200, ""));
    assert_eq!(only.took, record.took);
    // 600 × 1.32 + 400 × 0.044 + 10 × 3.96 dollars for a million.
    assert_eq!(record.cost_nanos, Some(849_200));
}

#[test]
fn every_way_to_an_answer_notes_why_it_stopped_and_who_gave_it() {
    const CHAT: &str = r#"{"model":"m-2","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"length"}]}"#;
    const CHUNK: &str = r#"data: {"model":"m-2","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"length"}]}

data: [DONE]

"#;
    const RESPONSE: &str = r#"{"id":"resp_1","object":"response","model":"m-2","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"a"}]}]}"#;
    let event = format!("data: {{\"type\":\"response.incomplete\",\"response\":{RESPONSE}}}\n\n");
    let responses = "wire = 'responses'";
    let folding = "wire = 'responses'\nstream_only = true";
    for (profile, path, streamed, answer, stop) in [
        ("", "/v1/responses", true, CHUNK, "length"),
        ("", "/v1/responses", false, CHAT, "length"),
        ("", "/v1/chat/completions", true, CHUNK, "length"),
        ("", "/v1/chat/completions", false, CHAT, "length"),
        (
            responses,
            "/v1/responses",
            true,
            &event,
            "max_output_tokens",
        ),
        (
            responses,
            "/v1/responses",
            false,
            RESPONSE,
            "max_output_tokens",
        ),
        (folding, "/v1/responses", false, &event, "max_output_tokens"),
        (
            responses,
            "/v1/chat/completions",
            true,
            &event,
            "max_output_tokens",
        ),
        (
            responses,
            "/v1/chat/completions",
            false,
            RESPONSE,
            "max_output_tokens",
        ),
    ] {
        let profile = format!("key_optional = true\n{profile}");
        let profile = Profile::parse("mock", &profile).unwrap();
        let snapshot = Snapshot::single(profile, "http://127.0.0.1:9/v1");
        let said = match path {
            "/v1/responses" => r#""input":"hi""#,
            _ => r#""messages":[{"role":"user","content":"hi"}]"#,
        };
        let body = format!(r#"{{"model":"m","stream":{streamed},{said}}}"#);
        let mut peer = Peer::with(snapshot, &post(path, body.len()), body.as_bytes());
        peer.connected();
        let media = match answer.starts_with("data") {
            true => "text/event-stream",
            false => "application/json",
        };
        let length = answer.len();
        peer.bytes(&format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: {length}\r\n\r\n{answer}"
        ));
        let record = taken(&mut peer);
        assert_eq!(
            (&*record.stop, &*record.served),
            (stop, "m-2"),
            "{path} {streamed} {answer}: {record:?}"
        );
    }
}

#[test]
fn a_failure_is_noted_with_its_reason() {
    let mut peer = Peer::ask(ASK);
    peer.connected();
    peer.now += Duration::from_millis(5);
    peer.bytes("HTTP/1.1 503 X\r\ncontent-length: 2\r\n\r\n{}");
    let record = taken(&mut peer);
    assert_eq!((record.status, record.outcome), (503, "overloaded"));
    assert_eq!(record.code, "server_error");
    let [only] = record.tries.as_slice() else {
        panic!("{record:?}")
    };
    assert_eq!((only.status, only.error), (503, "overloaded"));
    assert_eq!(only.took, Duration::from_millis(5));
    assert_eq!((record.first_event, record.cost_nanos), (None, None));
}
