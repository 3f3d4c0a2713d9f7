//! The names of requests and traces: what comes in goes on, what goes out comes back, and what is
//! recorded arrives.

use crate::client::{Answer as Got, Connection, post_with};
use crate::provider::{Answer, Provider, Seen, text};
use crate::strait::Strait;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn answers(seen: &Seen) -> Answer {
    match seen.body["model"].as_str() {
        Some("served") => Answer::Stream(text("hello")),
        _ => Answer::Plain(503, "x-request-id: theirs\r\n", "{}".to_owned()),
    }
}

fn config(url: &str, more: &str) -> String {
    format!(
        "listen = [\"127.0.0.1:0\"]\nworkers = 2\n[providers.mock]\nprofile = \"openai-compatible\"\nbase_url = \"{url}\"\napi_key = \"sk-test-provider-key\"\n[models]\nfast = [\"mock/broken\", \"mock/served\"]\n{more}"
    )
}

fn ask(address: SocketAddr, fields: &str) -> Got {
    let mut connection = Connection::open(address);
    let body = br#"{"model":"fast","input":"hi","stream":true}"#;
    connection.send(post_with("/v1/responses", fields, body));
    connection.answer()
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(own, _)| own.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

#[test]
fn every_answer_has_a_name_and_the_log_has_it_too() {
    let provider = Provider::answering(answers);
    let vars = [("STRAIT_LOG_FORMAT", "json")];
    let strait = Strait::launch(&config(&provider.url(), ""), "io_uring", &vars);
    let banner: Value = serde_json::from_str(&strait.banner).expect("JSON");
    assert!(
        banner["message"]
            .as_str()
            .is_some_and(|m| m.starts_with("strait "))
    );
    let got = ask(strait.address, "x-request-id: mine-7\r\n");
    assert_eq!(got.status, 200);
    let name = field(&got.head, "x-request-id").expect("a name");
    let line: Value = serde_json::from_str(&strait.says("\"exchange\"")).expect("JSON");
    assert_eq!(line["request_id"], name);
    assert_eq!(line["client_request_id"], "mine-7");
    assert_eq!(line["attempts"][0]["request_id"], "theirs");
    assert_eq!(line["attempts"][0]["error"], "overloaded");
    assert_eq!(
        (&line["status"], &line["outcome"]),
        (&200.into(), &"completed".into())
    );
    assert_eq!(line["usage"]["input"], 100);
    assert!(line["timestamp"].as_str().is_some_and(|t| t.ends_with('Z')));
    for request in [
        "GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /health HTTP/1.1\r\nhost: x\r\n\r\n",
        "GARBAGE\r\n\r\n",
    ] {
        let mut connection = Connection::open(strait.address);
        connection.send(request);
        let head = connection.head();
        let name = field(&head, "x-request-id").expect(request);
        let line = strait.says(name);
        let _: Value = serde_json::from_str(&line).expect("JSON");
    }
    strait.signal("TERM");
    let line: Value = serde_json::from_str(&strait.says("draining")).expect("JSON");
    assert_eq!(line["level"], "info");
}

#[test]
fn a_trace_goes_through_and_none_is_made_up() {
    let provider = Provider::answering(answers);
    let strait = Strait::launch(&config(&provider.url(), ""), "epoll", &[]);
    let parent = format!("00-{TRACE}-{SPAN}-01");
    ask(
        strait.address,
        &format!("traceparent: {parent}\r\ntracestate: a=1\r\n"),
    );
    for seen in provider.take_seen() {
        assert_eq!(field(&seen.head, "traceparent"), Some(parent.as_str()));
        assert_eq!(field(&seen.head, "tracestate"), Some("a=1"));
    }
    ask(
        strait.address,
        "traceparent: 00-0-0-01\r\ntracestate: a=1\r\n",
    );
    ask(strait.address, "");
    let seen = provider.take_seen();
    assert!(seen.len() >= 4);
    assert!(seen.iter().all(|seen| !seen.head.contains("trace")));
}

#[test]
fn spans_arrive_with_the_right_parents() {
    let provider = Provider::answering(answers);
    let collector = Provider::answering(|_: &Seen| Answer::Plain(200, "", "{}".to_owned()));
    let more = format!("[traces]\nendpoint = \"{}/traces\"\n", collector.url());
    let vars = [("OTEL_EXPORTER_OTLP_HEADERS", "x-key=sesame")];
    let strait = Strait::launch(&config(&provider.url(), &more), "io_uring", &vars);
    let unsampled = "00-11111111111111111111111111111111-1111111111111111-00";
    ask(strait.address, &format!("traceparent: {unsampled}\r\n"));
    let told = provider.take_seen();
    let parent = field(&told[0].head, "traceparent").unwrap();
    assert!(
        parent.starts_with("00-1111") && parent.ends_with("-00"),
        "{parent}"
    );
    let got = ask(
        strait.address,
        &format!("traceparent: 00-{TRACE}-{SPAN}-01\r\n"),
    );
    assert_eq!(got.status, 200);
    let arrived = collector.arrived.recv_timeout(Duration::from_secs(30));
    arrived.expect("the collector is told");
    let exported = collector.take_seen();
    assert!(exported[0].head.starts_with("POST /v1/traces "));
    assert_eq!(field(&exported[0].head, "x-key"), Some("sesame"));
    let spans = exported[0].body["resourceSpans"][0]["scopeSpans"][0]["spans"].clone();
    let spans = spans.as_array().expect("spans");
    let (whole, tries) = spans.split_first().expect("spans");
    let [broken, .., served] = tries else {
        panic!("{spans:?}")
    };
    assert!(spans.iter().all(|span| span["traceId"] == TRACE));
    assert_eq!(whole["parentSpanId"], SPAN);
    // Each provider was told the span of its own try.
    let seen = provider.take_seen();
    assert_eq!(seen.len(), tries.len());
    for (span, seen) in tries.iter().zip(seen) {
        assert_eq!(span["parentSpanId"], whole["spanId"]);
        let own = span["spanId"].as_str().unwrap();
        let told = format!("00-{TRACE}-{own}-01");
        assert_eq!(field(&seen.head, "traceparent"), Some(told.as_str()));
    }
    let tokens = json!({"key": "gen_ai.usage.input_tokens", "value": {"intValue": "100"}});
    assert!(served["attributes"].as_array().unwrap().contains(&tokens));
    assert_eq!(broken["status"]["code"], 2);
}
