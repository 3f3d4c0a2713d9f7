//! Spans in OTLP's JSON encoding (OpenTelemetry protocol 1.x), named by the semantic conventions
//! for HTTP and for generative AI.
//!
//! JSON and not protobuf: every collector takes both, and this needs no further library.

use super::record::{Record, Try};
use super::span::{SpanId, Trace};
use crate::json::write;
use serde_json::{Value, json};
use std::time::Duration;

/// `SPAN_KIND_SERVER` and `SPAN_KIND_CLIENT`.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// An exchange that is over, and when.
#[derive(Debug)]
pub struct Ended {
    /// What is known of it; its trace is there.
    pub record: Box<Record>,
    /// When it was over, since the Unix epoch.
    pub at: Duration,
}

/// The body of an export: a span for each exchange and each of its tries.
pub fn encode(service: &str, ended: &[Ended]) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let spans: Vec<Value> = ended.iter().flat_map(spans).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            attribute("service.name", service),
            attribute("service.version", version),
        ]},
        "scopeSpans": [{"scope": {"name": "strait", "version": version}, "spans": spans}],
    }]})
    .to_string()
    .into_bytes()
}

fn spans(ended: &Ended) -> Vec<Value> {
    let record = &*ended.record;
    let Some(trace) = record.trace.as_deref() else {
        return Vec::new();
    };
    let began = ended.at.saturating_sub(record.took);
    let mut spans = vec![exchange(record, trace, began)];
    for (i, tried) in record.tries.iter().enumerate() {
        let last = i + 1 == record.tries.len();
        spans.push(attempt(record, tried, last, trace, began));
    }
    spans
}

fn exchange(record: &Record, trace: &Trace, began: Duration) -> Value {
    let mut attributes = vec![
        attribute("http.request.method", &record.method),
        attribute("url.path", &record.path),
        attribute("strait.request_id", &record.id),
        attribute("strait.outcome", record.outcome),
        number("http.request.body.size", record.request_bytes),
        number("strait.events", record.events),
    ];
    if record.status > 0 {
        let status = record.status.into();
        attributes.push(number("http.response.status_code", status));
    }
    let client = record.client.to_string();
    let texts = [
        ("client.address", &client),
        ("gen_ai.request.model", &record.model),
        ("gen_ai.conversation.id", &record.thread),
        ("strait.key", &record.key),
        ("strait.client_request_id", &record.client_id),
        ("strait.diagnostics", &record.diagnostics),
    ];
    let said = texts.into_iter().filter(|(_, text)| !text.is_empty());
    attributes.extend(said.map(|(name, text)| attribute(name, text)));
    // A server's own failures only: what is wrong with a request is none.
    let failed = record.status >= 500 || record.outcome == "failed";
    if failed {
        attributes.push(attribute("error.type", record.outcome));
    }
    let mut span = span(trace, trace.span, trace.parent, SERVER, began, record.took);
    span["name"] = format!("{} {}", record.method, record.path).into();
    span["attributes"] = attributes.into();
    if failed {
        span["status"] = json!({"code": ERROR, "message": record.detail});
    }
    if let Some(first) = record.first_event {
        span["events"] = json!([{"timeUnixNano": nanos(began + first), "name": "first event"}]);
    }
    span
}

fn attempt(record: &Record, tried: &Try, last: bool, trace: &Trace, began: Duration) -> Value {
    let mut attributes = vec![
        attribute("gen_ai.operation.name", "chat"),
        attribute("gen_ai.provider.name", &tried.provider),
        attribute("gen_ai.request.model", &tried.model),
    ];
    if tried.status > 0 {
        let status = tried.status.into();
        attributes.push(number("http.response.status_code", status));
    }
    if !tried.request_id.is_empty() {
        attributes.push(attribute("strait.upstream_request_id", &tried.request_id));
    }
    if let Some(usage) = record.usage.filter(|_| last) {
        attributes.extend([
            number("gen_ai.usage.input_tokens", usage.input),
            number("gen_ai.usage.output_tokens", usage.output),
            number("gen_ai.usage.cache_read.input_tokens", usage.cached),
            number(
                "gen_ai.usage.cache_creation.input_tokens",
                usage.cache_write,
            ),
            number("gen_ai.usage.reasoning.output_tokens", usage.reasoning),
        ]);
    }
    if let Some(nanos) = record.cost_nanos.filter(|_| last) {
        let value = json!({"doubleValue": nanos as f64 / 1e9});
        attributes.push(json!({"key": "strait.cost_usd", "value": value}));
    }
    let at = began + tried.began;
    let mut span = span(trace, tried.span, Some(trace.span), CLIENT, at, tried.took);
    span["name"] = format!("chat {}", tried.model).into();
    if !tried.error.is_empty() {
        attributes.push(attribute("error.type", tried.error));
        span["status"] = json!({"code": ERROR});
    }
    span["attributes"] = attributes.into();
    span
}

fn span(
    trace: &Trace,
    own: SpanId,
    parent: Option<SpanId>,
    kind: u8,
    began: Duration,
    took: Duration,
) -> Value {
    let mut span = json!({
        "traceId": hex(&trace.id.0),
        "spanId": hex(&own.0),
        "kind": kind,
        "startTimeUnixNano": nanos(began),
        "endTimeUnixNano": nanos(began + took),
        "flags": 1,
    });
    if let Some(parent) = parent {
        span["parentSpanId"] = hex(&parent.0).into();
    }
    span
}

fn attribute(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// The encoding writes 64-bit numbers as strings.
fn number(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

fn nanos(at: Duration) -> String {
    at.as_nanos().to_string()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    write::hex(&mut text, bytes);
    text
}

#[cfg(test)]
mod tests {
    use super::super::span::TraceId;
    use super::super::usage::Usage;
    use super::*;

    fn value<'a>(span: &'a Value, key: &str) -> &'a Value {
        let mut attributes = span["attributes"].as_array().unwrap().iter();
        let found = attributes.find(|a| a["key"] == key);
        &found.unwrap_or_else(|| panic!("no {key} in {span}"))["value"]
    }

    #[test]
    fn an_exchange_and_its_tries_are_spans() {
        let tried = |model: &str, error: &'static str, began: u64| Try {
            provider: "lab".to_owned(),
            model: model.to_owned(),
            error,
            began: Duration::from_millis(began),
            took: Duration::from_millis(30),
            span: SpanId([began as u8; 8]),
            ..Try::default()
        };
        let record = Record {
            method: "POST".to_owned(),
            path: "/v1/responses".to_owned(),
            status: 200,
            outcome: "completed",
            model: "fast".to_owned(),
            tries: vec![tried("a", "overloaded", 1), tried("b", "", 40)],
            usage: Some(Usage {
                input: 7,
                ..Usage::default()
            }),
            trace: Some(Box::new(Trace {
                id: TraceId([0xab; 16]),
                parent: Some(SpanId([0xcd; 8])),
                span: SpanId([0xef; 8]),
                sampled: true,
            })),
            took: Duration::from_millis(100),
            ..Record::default()
        };
        let ended = Ended {
            record: Box::new(record),
            at: Duration::from_secs(10),
        };
        let body: Value = serde_json::from_slice(&encode("gate", &[ended])).unwrap();
        let resource = &body["resourceSpans"][0];
        assert_eq!(
            value(&resource["resource"], "service.name")["stringValue"],
            "gate"
        );
        let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
        let [whole, first, second] = spans.as_slice() else {
            panic!("{spans:?}")
        };
        assert!(spans.iter().all(|s| s["traceId"] == "ab".repeat(16)));
        assert_eq!(whole["parentSpanId"], "cd".repeat(8));
        assert_eq!(whole["startTimeUnixNano"], "9900000000");
        assert_eq!(whole["endTimeUnixNano"], "10000000000");
        assert_eq!(
            (&whole["kind"], whole.get("status")),
            (&SERVER.into(), None)
        );
        for tried in [first, second] {
            assert_eq!(tried["parentSpanId"], whole["spanId"]);
        }
        assert_eq!(first["status"]["code"], ERROR);
        assert_eq!(value(first, "error.type")["stringValue"], "overloaded");
        assert_eq!(second["startTimeUnixNano"], "9940000000");
        assert_eq!(value(second, "gen_ai.usage.input_tokens")["intValue"], "7");
        assert_eq!(value(whole, "gen_ai.request.model")["stringValue"], "fast");
        assert_eq!(value(second, "gen_ai.request.model")["stringValue"], "b");
    }
}
