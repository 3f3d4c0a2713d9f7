//! The log as objects, one a line: the same facts as the lines for people.

use super::record::{Record, Try};
use crate::json::write;
use serde::Serialize;
use std::time::Duration;

/// What every line has.
#[derive(Serialize)]
struct Line<'a, T> {
    timestamp: &'a str,
    level: &'a str,
    message: &'a str,
    #[serde(flatten)]
    more: T,
}

/// Nothing further.
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Exchange<'a> {
    request_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_request_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    trace_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    span_id: &'a str,
    method: &'a str,
    path: &'a str,
    endpoint: &'a str,
    status: u16,
    outcome: &'a str,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event_ms: Option<f64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    client: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    key: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    session: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    model: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<super::usage::Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    streamed: bool,
    events: u64,
    request_bytes: u64,
    answer_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    background: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    diagnostics: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
}

#[derive(Serialize)]
struct Attempt<'a> {
    provider: &'a str,
    model: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    request_id: &'a str,
    duration_ms: f64,
}

impl<'a> Attempt<'a> {
    fn of(tried: &'a Try) -> Self {
        Attempt {
            provider: &tried.provider,
            model: &tried.model,
            status: tried.status,
            error: tried.error,
            request_id: &tried.request_id,
            duration_ms: ms(tried.took),
        }
    }
}

/// The object for a line about anything but an exchange. `timestamp` is in RFC 3339.
pub fn message(timestamp: &str, level: &str, message: &str) -> String {
    object(&Line {
        timestamp,
        level,
        message,
        more: Nothing {},
    })
}

/// The object for an exchange that is over. `timestamp` is in RFC 3339.
pub fn exchange(timestamp: &str, record: &Record) -> String {
    let (mut trace_id, mut span_id) = (String::new(), String::new());
    if let Some(trace) = &record.trace {
        write::hex(&mut trace_id, &trace.id.0);
        write::hex(&mut span_id, &trace.span.0);
    }
    object(&Line {
        timestamp,
        level: "info",
        message: "exchange",
        more: Exchange {
            request_id: &record.id,
            client_request_id: &record.client_id,
            trace_id: &trace_id,
            span_id: &span_id,
            method: &record.method,
            path: &record.path,
            endpoint: record.endpoint,
            status: record.status,
            outcome: record.outcome,
            duration_ms: ms(record.took),
            first_event_ms: record.first_event.map(ms),
            client: &record.client.to_string(),
            key: &record.key,
            session: &record.session,
            model: &record.model,
            attempts: record.tries.iter().map(Attempt::of).collect(),
            usage: record.usage,
            cost_usd: record.cost_nanos.map(|nanos| nanos as f64 / 1e9),
            streamed: record.streamed,
            events: record.events,
            request_bytes: record.request_bytes,
            answer_bytes: record.answer_bytes,
            stored: record.kept.map(|kept| kept.name()),
            background: record.background,
            diagnostics: &record.diagnostics,
            detail: &record.detail,
        },
    })
}

fn ms(took: Duration) -> f64 {
    took.as_micros() as f64 / 1e3
}

fn object(line: &impl Serialize) -> String {
    // Names are strings and numbers are finite: it does not fail.
    serde_json::to_string(line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::peer::Peer;
    use super::super::span::{Trace, TraceId};
    use super::super::usage::Usage;
    use super::*;
    use serde_json::Value;

    const AT: &str = "2026-11-21T20:00:00.123Z";

    #[test]
    fn an_exchange_is_an_object_of_what_is_known() {
        let bare = Record {
            id: "req_1".to_owned(),
            method: "GET".to_owned(),
            path: "/\"\n\u{1b}".to_owned(),
            ..Record::default()
        };
        let line = exchange(AT, &bare);
        assert!(!line.contains('\n') && !line.contains('\u{1b}'));
        let object: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["timestamp"], AT);
        assert_eq!(object["path"], "/\"\n\u{1b}");
        for absent in [
            "usage",
            "trace_id",
            "attempts",
            "cost_usd",
            "client",
            "detail",
            "first_event_ms",
        ] {
            assert!(object.get(absent).is_none(), "{absent}");
        }
        let full = Record {
            trace: Some(Box::new(Trace {
                id: TraceId([0xab; 16]),
                ..Trace::default()
            })),
            tries: vec![Try {
                provider: "p".to_owned(),
                request_id: "theirs".to_owned(),
                took: Duration::from_micros(1500),
                ..Try::default()
            }],
            usage: Some(Usage {
                input: 7,
                ..Usage::default()
            }),
            cost_nanos: Some(500_000_000),
            client: Peer::Unix,
            ..bare
        };
        let object: Value = serde_json::from_str(&exchange(AT, &full)).unwrap();
        assert_eq!(object["trace_id"], "ab".repeat(16));
        assert_eq!(object["attempts"][0]["request_id"], "theirs");
        assert_eq!(object["attempts"][0]["duration_ms"], 1.5);
        assert_eq!(object["usage"]["input"], 7);
        assert_eq!(
            (&object["cost_usd"], &object["client"]),
            (&0.5.into(), &"unix".into())
        );
    }

    #[test]
    fn anything_else_is_an_object_with_a_message() {
        let object: Value = serde_json::from_str(&message(AT, "debug", "a \"b\"")).unwrap();
        assert_eq!(
            (&object["level"], &object["message"]),
            (&"debug".into(), &"a \"b\"".into())
        );
    }
}
