//! Every documented path answers, and every answer is what the document says.

use super::tests::{ask_of, keyed, snapshot};
use super::{Dashboard, Known};
use crate::config::Snapshot;
use crate::ledger::audit::{self, Bodies, Bucket, Detail, Page, Question, Row, Tried};
use crate::ledger::live::{Facts, Phase, View};
use crate::ledger::usage::Usage;
use crate::route::operator::Pass;
use serde_json::Value;
use std::time::{Duration, Instant};

/// A shell with one of everything.
pub(super) struct One;

fn row() -> Row {
    Row {
        number: 7,
        model: "gpt-5.5".to_owned(),
        provider: "mock".to_owned(),
        outcome: "completed".to_owned(),
        status: 200,
        took_ms: 900,
        first_event_ms: Some(300),
        usage: Some(Usage::default()),
        tries: vec![Tried::default(), Tried::default()],
        has_bodies: true,
        ..Row::default()
    }
}

impl Known for One {
    fn audit(&mut self, question: Question) -> Option<Result<audit::Reply, String>> {
        Some(Ok(match question {
            Question::Page(..) => audit::Reply::Page(Page {
                next: Some(row().cursor()),
                rows: vec![row()],
            }),
            Question::Detail(7) => audit::Reply::Detail(Some(Box::new(Detail {
                row: row(),
                bodies: Some(Bodies::default()),
            }))),
            Question::Detail(_) => audit::Reply::Detail(None),
            Question::Usage { from_ms, .. } => audit::Reply::Usage(vec![Bucket {
                from_ms,
                name: "gpt-5.5".to_owned(),
                totals: audit::Totals::of(&row()),
            }]),
        }))
    }

    fn live(&mut self, _: Instant) -> Vec<View> {
        let facts = Facts {
            id: "req_1".to_owned(),
            key: "fleet".to_owned(),
            session: "s".to_owned(),
            asked: "gpt-5.5".to_owned(),
            provider: "mock".to_owned(),
            model: "m".to_owned(),
            attempt: 2,
        };
        vec![View {
            facts,
            phase: Phase::Streaming,
            age: Duration::from_millis(1500),
            silent: Some(Duration::from_millis(20)),
            events: 30,
            bytes: 9000,
            rate: Some(40.0),
        }]
    }
}

pub(super) fn document() -> Value {
    serde_json::from_str(include_str!("assets/openapi.json")).unwrap()
}

pub(super) fn get(snapshot: Snapshot, path: &str) -> (u16, Value) {
    let mut ask = ask_of(snapshot, &format!("GET {path}"), "", "");
    if ask.pass == Pass::Session {
        ask.pass = Pass::Key("ops".to_owned());
    }
    let reply = Dashboard::default().answer(&ask, &mut One, Instant::now());
    assert_eq!(reply.content_type, "application/json", "{path}");
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

/// What is wrong with a value, as far as the document uses JSON Schema.
pub(super) fn judge(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let list = |name: &str| schema[name].as_array().into_iter().flatten();
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document.pointer(&name[1..]).expect(name);
        return judge(document, schema, value, at);
    }
    for one in list("allOf") {
        wrong.extend(judge(document, one, value, at));
    }
    if schema["anyOf"].is_array()
        && !list("anyOf").any(|s| judge(document, s, value, at).is_empty())
    {
        wrong.push(format!("{at} is none of them: {value}"));
    }
    if schema
        .get("const")
        .is_some_and(|expected| expected != value)
    {
        wrong.push(format!("{at} is {value}"));
    }
    if schema["enum"].is_array() && !list("enum").any(|one| one == value) {
        wrong.push(format!("{at} is {value}"));
    }
    let is = |kind: &str| match kind {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        other => panic!("{other}"),
    };
    let typed = match &schema["type"] {
        Value::String(kind) => is(kind),
        Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
        _ => true,
    };
    if !typed {
        wrong.push(format!("{at} has another type: {value}"));
    }
    for name in list("required").filter_map(Value::as_str) {
        if value.get(name).is_none() {
            wrong.push(format!("{at} has no {name}"));
        }
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            wrong.extend(judge(document, schema, value, &format!("{at}.{name}")));
        }
    }
    for value in value.as_array().into_iter().flatten() {
        wrong.extend(judge(document, &schema["items"], value, &format!("{at}[]")));
    }
    wrong
}

#[test]
fn every_documented_path_answers_as_documented() {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 8);
    for (path, operations) in paths {
        let schema =
            &operations["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let (status, answer) = get(keyed(), &path.replace("{number}", "7"));
        assert_eq!(status, 200, "{path}");
        let wrong = judge(&document, schema, &answer, path);
        assert!(wrong.is_empty(), "{wrong:?}");
        let empty = answer.get("data").and_then(Value::as_array);
        assert!(
            empty.is_none_or(|data| !data.is_empty()),
            "{path} shows nothing"
        );
    }
}

/// Nothing that the document does not name, so that it names all.
#[test]
fn nothing_is_left_undocumented() {
    fn names(document: &Value, schema: &Value, out: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            return names(document, document.pointer(&name[1..]).unwrap(), out);
        }
        for one in schema["allOf"].as_array().into_iter().flatten() {
            names(document, one, out);
        }
        out.extend(
            schema["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone()),
        );
    }
    let document = document();
    for (path, schema) in [
        ("/admin/api/v1/audit/7", "Exchange"),
        ("/admin/api/v1/live", "Stream"),
        ("/admin/api/v1/keys", "Key"),
        ("/admin/api/v1/providers", "Provider"),
    ] {
        let mut known = Vec::new();
        names(
            &document,
            &document["components"]["schemas"][schema],
            &mut known,
        );
        let (_, answer) = get(keyed(), path);
        let one = answer.pointer("/data/0").unwrap_or(&answer);
        for name in one.as_object().unwrap().keys() {
            assert!(known.contains(name), "{schema}.{name}");
        }
    }
}

#[test]
fn errors_are_error_objects() {
    let document = document();
    let schema = &document["components"]["schemas"]["Error"];
    for (path, expected) in [
        ("/admin/api/v1/audit?class=x", 400),
        ("/admin/api/v1/audit?limit=501", 400),
        ("/admin/api/v1/usage?step=x", 400),
        ("/admin/api/v1/usage?by=x", 400),
        ("/admin/api/v1/audit/8", 404),
        ("/admin/api/v1/audit/x", 404),
        ("/admin/api/v2", 404),
    ] {
        let (status, answer) = get(snapshot(), path);
        assert_eq!(status, expected, "{path}");
        assert!(
            judge(&document, schema, &answer, path).is_empty(),
            "{answer}"
        );
    }
}
