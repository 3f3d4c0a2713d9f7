//! The machine against the vectors (whole, at every split, at every prefix), and what the
//! vectors do not hold.

use super::*;
use crate::error::{Kind as ErrorKind, Source};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use std::path::Path;

pub(super) fn plan(sink: Sink) -> Plan {
    Plan {
        sink,
        id: "chatcmpl-1".into(),
        created: 1_760_000_000,
        model: "m".into(),
        include_usage: true,
        custom_tools: Vec::new(),
        legacy_functions: false,
        stop: Vec::new(),
        seed: [3; 32],
        seal: None,
    }
}

struct Vector {
    name: String,
    custom: Vec<String>,
    /// The events as a stream.
    events: Vec<u8>,
    /// The chunks that they must become.
    chunks: String,
}

impl Vector {
    fn plan(&self, sink: Sink) -> Plan {
        Plan {
            custom_tools: self.custom.clone(),
            ..plan(sink)
        }
    }
}

/// The members of a response that mean something to the machine.
const READ: [&str; 5] = ["error", "incomplete_details", "output", "status", "usage"];

/// The vectors; in the brief form the members of responses that nothing is read from are left
/// out, so that there are fewer places to cut at.
fn vectors(brief: bool) -> Vec<Vector> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = file.strip_suffix(".back.chat.sse") else {
            continue;
        };
        let read = |end: &str| std::fs::read_to_string(dir.join(format!("{name}.{end}"))).unwrap();
        let about: Json = serde_json::from_str(&read("json")).unwrap();
        let custom = about["options"]["custom"].as_array();
        let custom = custom.into_iter().flatten();
        let lines = read("events.jsonl");
        let events: Vec<Json> = lines
            .lines()
            .map(|line| {
                let mut event: Json = serde_json::from_str(line).unwrap();
                if let Some(response) = event["response"].as_object_mut().filter(|_| brief) {
                    response.retain(|key, _| READ.contains(&key.as_str()));
                }
                event
            })
            .collect();
        all.push(Vector {
            name: name.to_owned(),
            custom: custom.map(|c| c.as_str().unwrap().to_owned()).collect(),
            events: sse(&events),
            chunks: read("back.chat.sse"),
        });
    }
    assert!(all.len() > 30);
    all
}

pub(super) fn sse(events: &[Json]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        let kind = event["type"].as_str().unwrap_or("");
        out.extend_from_slice(format!("event: {kind}\ndata: {event}\n\n").as_bytes());
    }
    out
}

/// Runs a machine over the pieces; an error before commit is told as a committed one.
pub(super) fn run(plan: Plan, pieces: &[&[u8]], end: UpstreamEnd) -> String {
    let (mut translator, mut out) = (Translator::new(plan), Vec::new());
    let mut failed = None;
    for piece in pieces {
        if let Err(error) = translator.feed(piece, &mut out) {
            failed = Some(error);
            break;
        }
    }
    if failed.is_none() {
        failed = translator.finish(end, &mut out).err();
    }
    if let Some(error) = failed {
        assert!(out.is_empty(), "an error after output");
        assert_eq!(translator.status(), Some("failed"));
        translator.emitter.failed(&mut out, &error);
    }
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    text
}

pub(super) fn stream(plan: Plan, events: &[Json]) -> String {
    run(plan, &[&sse(events)], UpstreamEnd::Clean)
}

pub(super) fn chunks(text: &str) -> Vec<Json> {
    let frames = text.split("\n\n").filter_map(|f| f.strip_prefix("data: "));
    frames
        .filter(|f| *f != "[DONE]")
        .map(|f| serde_json::from_str(f).expect("chunks are JSON"))
        .collect()
}

/// The deltas, and the reason at the end.
pub(super) fn deltas(text: &str) -> Vec<Json> {
    let chunks = chunks(text);
    let choices = chunks.iter().map(|c| &c["choices"][0]);
    choices
        .filter(|c| !c.is_null())
        .map(|c| match &c["finish_reason"] {
            Json::Null => c["delta"].clone(),
            reason => reason.clone(),
        })
        .collect()
}

/// Adds up chunks, as clients do.
pub(super) fn accumulate(text: &str) -> Json {
    let mut message = Map::new();
    let (mut calls, mut probs): (Vec<Json>, Vec<Json>) = (Vec::new(), Vec::new());
    let mut object = json!({"choices": [{"index": 0, "logprobs": null}]});
    for chunk in chunks(text) {
        if let Some(usage) = chunk["usage"].as_object() {
            object["usage"] = json!(usage);
        }
        let choice = &chunk["choices"][0];
        if !choice["finish_reason"].is_null() {
            object["choices"][0]["finish_reason"] = choice["finish_reason"].clone();
        }
        probs.extend(
            choice["logprobs"]["content"]
                .as_array()
                .into_iter()
                .flatten()
                .cloned(),
        );
        for (key, value) in choice["delta"].as_object().into_iter().flatten() {
            match key.as_str() {
                "tool_calls" => {
                    let call = value[0].as_object().unwrap();
                    let k = call["index"].as_u64().unwrap() as usize;
                    if calls.len() == k {
                        calls.push(json!({}));
                    }
                    add(&mut calls[k], value[0].clone());
                    calls[k].as_object_mut().unwrap().remove("index");
                }
                _ => {
                    let mut whole = Json::Object(std::mem::take(&mut message));
                    add(&mut whole, json!({key: value}));
                    message = whole.as_object().unwrap().clone();
                }
            }
        }
    }
    if !calls.is_empty() {
        message.insert("tool_calls".into(), json!(calls));
    }
    if !probs.is_empty() {
        object["choices"][0]["logprobs"] = json!({"content": probs, "refusal": null});
    }
    let refusal = message.entry("refusal").or_insert(Json::Null).clone();
    let called = message.contains_key("tool_calls") || message.contains_key("function_call");
    if message["content"] == "" && (called || !refusal.is_null()) {
        message.insert("content".into(), Json::Null);
    }
    object["choices"][0]["message"] = Json::Object(message);
    for (key, value) in [
        ("id", json!("chatcmpl-1")),
        ("object", json!("chat.completion")),
        ("created", json!(1_760_000_000)),
        ("model", json!("m")),
    ] {
        object[key] = value;
    }
    object
}

fn add(into: &mut Json, delta: Json) {
    match (into, delta) {
        (Json::Object(old), Json::Object(new)) => {
            for (key, value) in new {
                match old.get_mut(&key) {
                    Some(have) if !have.is_null() => add(have, value),
                    _ => {
                        old.insert(key, value);
                    }
                }
            }
        }
        (Json::Array(old), Json::Array(new)) => old.extend(new),
        (Json::String(old), Json::String(new)) => old.push_str(&new),
        (_, Json::Null) => {}
        (old, new) => *old = new,
    }
}

pub(super) fn whole(plan: Plan, events: &[u8]) -> Result<Json, Error> {
    let (mut translator, mut out) = (Translator::new(plan), Vec::new());
    translator.feed(events, &mut out)?;
    translator.finish(UpstreamEnd::Clean, &mut out)?;
    assert!(translator.status().is_some_and(|s| s != "failed"));
    Ok(serde_json::from_slice(&out).expect("the object is JSON"))
}

pub(super) fn delta(o: u64, text: &str) -> Json {
    json!({"type": "response.output_text.delta", "output_index": o, "content_index": 0, "delta": text})
}

pub(super) fn thought(kind: &str, o: u64, part: u64, text: &str) -> Json {
    let (index, kind) = match kind {
        "raw" => ("content_index", "response.reasoning_text.delta"),
        _ => ("summary_index", "response.reasoning_summary_text.delta"),
    };
    json!({"type": kind, "output_index": o, index: part, "delta": text})
}

pub(super) fn done(o: u64, item: Json) -> Json {
    json!({"type": "response.output_item.done", "output_index": o, "item": item})
}

pub(super) fn added(o: u64, item: Json) -> Json {
    json!({"type": "response.output_item.added", "output_index": o, "item": item})
}

pub(super) fn call(arguments: &str) -> Json {
    json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": arguments})
}

pub(super) fn arguments(o: u64, delta: &str) -> Json {
    json!({"type": "response.function_call_arguments.delta", "output_index": o, "delta": delta})
}

pub(super) fn completed() -> Json {
    json!({"type": "response.completed", "response": {"status": "completed", "output": []}})
}

/// The deltas of a stream; the object must say the same.
pub(super) fn said(plan: impl Fn(Sink) -> Plan, events: &[Json]) -> Vec<Json> {
    let text = stream(plan(Sink::Sse), events);
    let object = whole(plan(Sink::Json), &sse(events)).unwrap();
    assert_eq!(object, accumulate(&text));
    deltas(&text)
}

pub(super) fn message(plan: impl Fn(Sink) -> Plan, events: &[Json]) -> Json {
    said(&plan, events);
    let object = whole(plan(Sink::Json), &sse(events)).unwrap();
    let mut message = object["choices"][0]["message"].clone();
    message["finish"] = object["choices"][0]["finish_reason"].clone();
    message
}

pub(super) fn tool(delta: Json) -> Json {
    json!({"tool_calls": [delta]})
}

/// Without the error's message, which is ours to word, and its type, for which the vectors and
/// the table of errors differ on rate limits.
fn normal(text: &str) -> Vec<Json> {
    let mut chunks = chunks(text);
    for chunk in &mut chunks {
        if let Some(error) = chunk["error"].as_object_mut() {
            assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()));
            error.remove("message");
            error.remove("type");
        } else if let Some(chunk) = chunk.as_object_mut() {
            chunk.remove("error");
        }
    }
    chunks
}

#[test]
fn vectors_give_the_exact_chunks() {
    for vector in vectors(false) {
        let ours = run(
            vector.plan(Sink::Sse),
            &[&vector.events],
            UpstreamEnd::Clean,
        );
        let name = &vector.name;
        if vector.chunks.contains("{\"error\"") {
            assert_eq!(normal(&ours), normal(&vector.chunks), "{name}");
        } else {
            assert_eq!(ours, vector.chunks, "{name}");
        }
    }
}

#[test]
fn segmentation_does_not_matter() {
    for vector in vectors(true) {
        let plan = || vector.plan(Sink::Sse);
        let expected = run(plan(), &[&vector.events], UpstreamEnd::Clean);
        let bytes: Vec<&[u8]> = vector.events.chunks(1).collect();
        let name = &vector.name;
        assert_eq!(run(plan(), &bytes, UpstreamEnd::Clean), expected, "{name}");
        for cut in 0..vector.events.len() {
            let (a, b) = vector.events.split_at(cut);
            let ours = run(plan(), &[a, b], UpstreamEnd::Clean);
            assert_eq!(ours, expected, "{name} cut at {cut}");
        }
    }
}

#[test]
fn every_prefix_ends_in_exactly_one_end() {
    let broken = || Error::new(Source::Upstream, ErrorKind::UpstreamBroken, "reset");
    for vector in vectors(true) {
        for cut in 0..=vector.events.len() {
            for end in [UpstreamEnd::Clean, UpstreamEnd::Broken(broken())] {
                let text = run(vector.plan(Sink::Sse), &[&vector.events[..cut]], end);
                let is_end = |c: &Json| {
                    c.get("error").is_some() || c["choices"][0]["finish_reason"].is_string()
                };
                let chunks = chunks(&text);
                let name = &vector.name;
                assert_eq!(
                    chunks.iter().filter(|c| is_end(c)).count(),
                    1,
                    "{name} {cut}"
                );
                let at = chunks.iter().position(is_end).unwrap();
                let usage = chunks[at + 1..].iter().all(|c| c["choices"] == json!([]));
                assert!(usage && chunks.len() - at <= 2, "{name} {cut}: {text}");
                assert_eq!(text.matches("[DONE]").count(), 1, "{name} {cut}");
            }
        }
    }
}

#[test]
fn the_object_is_what_the_chunks_add_up_to() {
    for vector in vectors(false) {
        let name = &vector.name;
        let text = run(
            vector.plan(Sink::Sse),
            &[&vector.events],
            UpstreamEnd::Clean,
        );
        match whole(vector.plan(Sink::Json), &vector.events) {
            Ok(object) => assert_eq!(object, accumulate(&text), "{name}"),
            Err(error) => {
                let said = &chunks(&text).pop().unwrap()["error"];
                assert_eq!(said["message"], error.message, "{name}");
            }
        }
    }
}

/// The final object of a vector's events.
fn response(events: &[u8]) -> Option<Json> {
    let text = std::str::from_utf8(events).unwrap();
    let last = text.lines().rfind(|l| l.starts_with("data: "))?;
    let event: Json = serde_json::from_str(&last["data: ".len()..]).unwrap();
    Some(event["response"].clone()).filter(|r| !r.is_null())
}

#[test]
fn a_whole_response_says_what_its_stream_says() {
    for vector in vectors(false) {
        let name = &vector.name;
        let Some(response) = response(&vector.events) else {
            continue;
        };
        let body = serde_json::to_vec(&response).unwrap();
        let (mut translator, mut out) = (Translator::new(vector.plan(Sink::Json)), Vec::new());
        let fed = translator.feed_object(&body, &mut out);
        match whole(vector.plan(Sink::Json), &vector.events) {
            Ok(expected) => {
                assert_eq!(fed, Ok(Progress::Terminal), "{name}");
                let object: Json = serde_json::from_slice(&out).unwrap();
                assert_eq!(object, expected, "{name}");
                let (mut translator, mut out) =
                    (Translator::new(vector.plan(Sink::Sse)), Vec::new());
                translator.feed_object(&body, &mut out).unwrap();
                let text = String::from_utf8(out).unwrap();
                assert_eq!(accumulate(&text), expected, "{name}");
            }
            Err(error) => {
                assert!(out.is_empty(), "{name}");
                assert_eq!(fed.unwrap_err().api_code(), error.api_code(), "{name}");
            }
        }
    }
}

proptest! {
    #[test]
    fn random_segments_are_the_same(
        pick in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let vectors = vectors(true);
        let vector = &vectors[pick.index(vectors.len())];
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(vector.events.len())).collect();
        cuts.extend([0, vector.events.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &vector.events[w[0]..w[1]]).collect();
        let ours = run(vector.plan(Sink::Sse), &pieces, UpstreamEnd::Clean);
        let expected = run(vector.plan(Sink::Sse), &[&vector.events], UpstreamEnd::Clean);
        prop_assert_eq!(ours, expected);
    }
}
