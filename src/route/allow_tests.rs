//! What a key may and may not, through whole exchanges.

use super::exchange::{Input, Machine};
use super::exchange_tests::{Peer, SSE, post, snapshot};
use super::keep_tests::keeping;
use super::memory::Memory;
use crate::config::{ClientKey, Models, Snapshot};
use crate::ledger::meter::{Budget, Limits};
use crate::ledger::stored::Reply;
use crate::ledger::window::Per;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

const ASK: &str = r#"{"model":"fast/m","stream":true,"store":false,"input":"hi"}"#;

fn key(limits: Limits) -> Arc<ClientKey> {
    let mut key = ClientKey::new("Team A", "secret", false);
    key.models = Models::new(vec!["fast/*".to_owned()]).unwrap();
    key.limits = limits;
    Arc::new(key)
}

fn streams(key: &ClientKey) -> u64 {
    key.meter.had(&key.limits, Instant::now(), 0).streams
}

fn keyed(key: &Arc<ClientKey>) -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.keys.push(key.clone());
    snapshot
}

fn ask_with(snapshot: Snapshot, fields: &str, body: &str) -> Peer {
    let fields = format!("\r\nauthorization: Bearer secret\r\n{fields}");
    let head = post("/v1/responses", body.len()).replacen("\r\n", &fields, 1);
    Peer::with(snapshot, &head, body.as_bytes())
}

fn ask(key: &Arc<ClientKey>) -> Peer {
    ask_with(keyed(key), "", ASK)
}

/// An answer of 120 tokens.
fn answer(peer: &mut Peer) {
    peer.connected();
    peer.bytes(SSE);
    peer.text("hi");
    peer.chunk(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
    peer.chunk(
        r#"{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120}}"#,
    );
    peer.bytes("e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    assert!(peer.done.is_some(), "{}", peer.said());
    peer.exchange.record();
}

fn field(peer: &Peer, name: &str) -> Option<String> {
    let said = peer.said();
    let mut lines = said.lines().take_while(|line| !line.is_empty());
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.map(str::to_owned)
}

#[test]
fn other_models_are_refused_and_not_shown() {
    let key = key(Limits::default());
    let peer = ask_with(keyed(&key), "", &ASK.replace("fast/m", "slow/m"));
    let (status, body) = peer.answered();
    let message = "This API key may not ask for the model \"slow/m\", only for: fast/*.";
    let error = json!({"error": {"message": message, "type": "invalid_request_error",
        "param": "model", "code": "model_not_allowed"}});
    assert_eq!((status, body), (403, error));
    assert_eq!(ask(&key).connects, 1);
    for (pattern, models) in [("fast/*", 0), ("*", 1)] {
        let mut one = ClientKey::new("a", "secret", false);
        one.models = Models::new(vec![pattern.to_owned()]).unwrap();
        let mut snapshot = keyed(&Arc::new(one));
        let chain = snapshot.models["*"].clone();
        snapshot.models.insert("slow".to_owned(), chain);
        let head = "GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\r\n";
        let (status, list) = Peer::with(snapshot, head, b"").answered();
        let shown = list["data"].as_array().unwrap().len();
        assert_eq!((status, shown), (200, models), "{pattern}");
    }
}

#[test]
fn a_place_is_free_when_the_answer_ends_or_its_client_leaves() {
    let key = key(Limits {
        streams: Some(1),
        ..Limits::default()
    });
    let mut first = ask(&key);
    let second = ask(&key);
    let (status, body) = second.answered();
    let message = "Rate limit of this API key reached: 1 requests at once. Please try again in 5s.";
    let error = json!({"error": {"message": message, "type": "rate_limit_error", "param": null,
        "code": "rate_limit_exceeded"}});
    assert_eq!((status, body), (429, error));
    assert_eq!(field(&second, "retry-after").as_deref(), Some("5"));
    assert_eq!(
        field(&second, "x-strait-error-source").as_deref(),
        Some("gateway")
    );
    answer(&mut first);
    let mut third = ask(&key);
    third.connected();
    third.input(Input::ClientGone);
    third.exchange.record();
    assert_eq!(streams(&key), 0);
    // One that is dropped without a word, too.
    drop(ask(&key));
    assert_eq!(ask(&key).connects, 1);
}

#[test]
fn tokens_count_at_the_end() {
    let key = key(Limits {
        tokens_per_minute: Some(120),
        ..Limits::default()
    });
    answer(&mut ask(&key));
    let refused = ask(&key);
    assert_eq!(refused.answered().0, 429);
    assert_eq!(field(&refused, "retry-after").as_deref(), Some("61"));
}

#[test]
fn an_answer_cut_short_costs_an_estimate() {
    let limit = |tokens| Limits {
        tokens_per_minute: Some(tokens),
        ..Limits::default()
    };
    // What fails before its first output costs nothing.
    let free = key(limit(1));
    let mut peer = ask(&free);
    peer.connected();
    peer.bytes("HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(peer.answered().0, 502);
    peer.exchange.record();
    assert_eq!(ask(&free).connects, 1);
    let tokens = ASK.len() as u64 / 4;
    for (most, status) in [(tokens + 1, 429), (tokens + 100, 0)] {
        let key = key(limit(most));
        let mut peer = ask(&key);
        peer.connected();
        peer.bytes(SSE);
        peer.text("hi");
        peer.input(Input::ClientGone);
        peer.exchange.record();
        let next = ask(&key);
        match status {
            0 => assert_eq!(next.connects, 1),
            status => assert_eq!(next.answered().0, status),
        }
    }
}

#[test]
fn what_is_spent_is_shown_and_then_it_is_over() {
    let key = key(Limits {
        budget: Some(Budget {
            nanos: 2_500_000_000,
            per: Per::Day,
        }),
        ..Limits::default()
    });
    let window = Per::Day.window(1_760_000_000);
    key.meter.stored(&Vec::new(), window, 1_000_000_000);
    let mut peer = ask_with(keyed(&key), "originator: codex_exec\r\n", ASK);
    answer(&mut peer);
    for (name, value) in [
        ("x-team-a-primary-used-percent", "40"),
        ("x-team-a-primary-window-minutes", "1440"),
        ("x-team-a-primary-reset-at", "1760054400"),
        ("x-team-a-limit-name", "team-a budget"),
    ] {
        assert_eq!(
            field(&peer, name).as_deref(),
            Some(value),
            "{}",
            peer.said()
        );
    }
    assert!(!peer.said().contains("codex.rate_limits"));
    key.meter.stored(&Vec::new(), window, 2_500_000_000);
    let peer = ask(&key);
    let (status, body) = peer.answered();
    let seconds = 1_760_054_400 - 1_760_000_000;
    let message = format!(
        "The budget of this API key is spent: 2.5 USD a day. Please try again in {seconds}s."
    );
    let error = json!({"error": {"message": message, "type": "insufficient_quota", "param": null,
        "code": "insufficient_quota"}});
    assert_eq!((status, body), (429, error));
    assert_eq!(field(&peer, "retry-after"), Some(seconds.to_string()));
}

#[test]
fn the_background_keeps_the_place_that_its_request_took() {
    let key = key(Limits {
        streams: Some(1),
        requests_per_minute: Some(2),
        ..Limits::default()
    });
    let body = r#"{"model":"fast/m","background":true,"input":"hi"}"#;
    let mut peer = ask_with(keeping(keyed(&key)), "", body);
    let mut store = Memory::default();
    peer.stored(&mut store);
    assert_eq!(peer.answered().0, 200);
    peer.exchange.record();
    let work = peer.spawned.take().unwrap();
    assert_eq!(streams(&key), 1);
    assert_eq!(ask(&key).answered().0, 429);
    drop(work);
    // It was one request, not two.
    assert_eq!(ask(&key).connects, 1);
    // One that could not be kept leaves no trace either.
    let mut peer = ask_with(keeping(keyed(&self::key(key.limits))), "", body);
    peer.input(Input::Stored(Reply::Failed("x".to_owned())));
    assert_eq!(peer.answered().0, 503);
}
