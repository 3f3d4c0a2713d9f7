//! The event machine against the vectors: whole, at every split, at every prefix.

use super::*;
use crate::responses::tool::{Tool, ToolKind};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const ECHO: &[u8] = br#""model":"m","background":false,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"parallel_tool_calls":true,"previous_response_id":null,"prompt_cache_key":null,"reasoning":{"effort":null,"summary":null},"safety_identifier":null,"service_tier":"default","store":false,"temperature":1.0,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1.0,"truncation":"disabled","metadata":{},"presence_penalty":0.0,"frequency_penalty":0.0"#;

fn rules(options: &Json) -> Rules {
    let think = options["think_tags"] == true;
    Rules {
        think_tags: think.then(|| "think".to_owned()).into_iter().collect(),
        think_prefilled: options["think_prefilled"] == true,
        cumulative: options["cumulative"] == true,
        lenient_sse: options["lenient_sse"] == true,
    }
}

pub(super) fn plan(options: &Json, sink: Sink) -> Plan {
    let mut tools = ToolTable::default();
    let empty = Vec::new();
    for name in options["custom"].as_array().unwrap_or(&empty) {
        let name = name.as_str().unwrap().to_owned();
        tools.push(Tool {
            flat: name.clone(),
            namespace: None,
            name,
            kind: ToolKind::Custom,
        });
    }
    for (flat, pair) in options["names"].as_object().into_iter().flatten() {
        let part = |i: usize| pair[i].as_str().unwrap().to_owned();
        let (namespace, name) = (Some(part(0)), part(1));
        tools.push(Tool {
            flat: flat.clone(),
            namespace,
            name,
            kind: ToolKind::Function,
        });
    }
    Plan {
        sink,
        response_id: "resp_1".into(),
        created_at: 1_760_000_000,
        echo: ECHO.to_vec(),
        tools,
        reasoning_summary: options["reasoning"] == "summary",
        seal: None,
        seed: [3; 32],
        rules: rules(options),
        web_search: options["web_search"] == true,
        refusal_as_text: false,
        hold_end: false,
    }
}

/// A transcript: its name, options, the provider's stream, and the events that it must become.
pub(super) type Vector = (String, Json, Vec<u8>, Vec<Json>);

/// Those of the specification, and our own.
pub(super) fn vectors() -> Vec<Vector> {
    let all = [folder("vectors"), folder("situations")].concat();
    assert!(all.len() > 80);
    all
}

fn folder(name: &str) -> Vec<Vector> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name);
    let mut all = Vec::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    for file in files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "json"))
    {
        let about: Json = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let name = about["name"].as_str().unwrap().to_owned();
        let options = about["options"].clone();
        let of = |end: &str| file.with_file_name(format!("{name}.{end}"));
        let chat = std::fs::read(of("chat.sse")).unwrap();
        // New transcripts are written once, to be read by a person before they are committed.
        if std::env::var_os("STRAIT_BLESS").is_some() && !of("events.jsonl").exists() {
            let out = run(plan(&options, Sink::Sse), &[&chat], UpstreamEnd::Clean);
            let lines = events(&out).into_iter().map(|e| format!("{e}\n"));
            std::fs::write(of("events.jsonl"), lines.collect::<String>()).unwrap();
        }
        let events = std::fs::read(of("events.jsonl")).unwrap();
        let events = events.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        let events = events.map(|l| serde_json::from_slice(l).unwrap()).collect();
        all.push((name, options, chat, events));
    }
    all
}

/// Runs a translator over the pieces; an error before commit is told as a committed one.
fn run(plan: Plan, pieces: &[&[u8]], end: UpstreamEnd) -> Vec<u8> {
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
        translator.state = State::Silent;
        translator.commit(&mut out);
        translator.end(&Status::Failed(&error), &mut out);
    }
    out
}

fn events(out: &[u8]) -> Vec<Json> {
    let mut frames = Frames::new();
    let mut seen = Vec::new();
    let mut on = |f: crate::sse::Frame<'_>| -> Result<(), ()> {
        if f.data != b"[DONE]" {
            let event: Json = serde_json::from_slice(f.data).expect("events are JSON");
            assert_eq!(event["type"].as_str().unwrap().as_bytes(), f.event);
            seen.push(event);
        }
        Ok(())
    };
    frames.feed(out, &mut on).unwrap();
    frames.finish(&mut on).unwrap();
    seen
}

#[test]
fn frames_hold_what_events_do() {
    for (name, options, chat, _) in vectors() {
        for step in [chat.len(), 7] {
            let pieces: Vec<_> = chat.chunks(step).collect();
            let stream = run(plan(&options, Sink::Sse), &pieces, UpstreamEnd::Clean);
            let mut expected = Vec::new();
            let mut write = |f: crate::sse::Frame<'_>| -> Result<(), ()> {
                if f.data != b"[DONE]" {
                    crate::http::websocket::encode::text(&mut expected, f.data);
                }
                Ok(())
            };
            Frames::new().feed(&stream, &mut write).unwrap();
            let frames = run(plan(&options, Sink::WebSocket), &pieces, UpstreamEnd::Clean);
            assert!(frames == expected, "{name} in steps of {step}");
        }
    }
}

/// Replaces ids in order of appearance, and messages of errors, which are ours to word.
fn normalise(value: &mut Json, ids: &mut HashMap<String, String>) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(|v| normalise(v, ids)),
        Json::Object(map) => {
            for (key, v) in map.iter_mut() {
                match v {
                    Json::String(s) if key == "id" || key == "item_id" || key == "call_id" => {
                        let n = ids.len();
                        *s = ids
                            .entry(s.clone())
                            .or_insert_with(|| format!("id{n}"))
                            .clone();
                    }
                    Json::String(s) if key == "message" => *s = String::new(),
                    _ => normalise(v, ids),
                }
            }
        }
        _ => {}
    }
}

fn normal(mut events: Vec<Json>) -> Vec<Json> {
    // One pass in the order of the events, ids by first appearance of `item.id`.
    let mut ids = HashMap::new();
    for event in &mut events {
        for key in ["code", "param"] {
            if event["type"] == "error" {
                event["error"].as_object_mut().map(|e| e.remove(key));
            }
        }
        if event["type"] == "error" {
            event.as_object_mut().map(|e| e.remove("error"));
        }
        normalise(event, &mut ids);
    }
    events
}

#[test]
fn vectors_give_the_exact_events() {
    let mut wrong = Vec::new();
    for (name, options, chat, expected) in vectors() {
        let out = run(plan(&options, Sink::Sse), &[&chat], UpstreamEnd::Clean);
        let (ours, theirs) = (normal(events(&out)), normal(expected));
        if ours != theirs {
            let at = ours.iter().zip(&theirs).position(|(a, b)| a != b);
            let at = at.unwrap_or(ours.len().min(theirs.len()));
            wrong.push(format!(
                "{name} #{at}\n ours   {:?}\n theirs {:?}",
                ours.get(at).map(Json::to_string),
                theirs.get(at).map(Json::to_string)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn segmentation_does_not_matter() {
    for (name, options, chat, _) in vectors() {
        let whole = run(plan(&options, Sink::Sse), &[&chat], UpstreamEnd::Clean);
        let bytes: Vec<&[u8]> = chat.chunks(1).collect();
        assert_eq!(
            run(plan(&options, Sink::Sse), &bytes, UpstreamEnd::Clean),
            whole,
            "{name}"
        );
        for cut in 0..chat.len() {
            let (a, b) = chat.split_at(cut);
            let split = run(plan(&options, Sink::Sse), &[a, b], UpstreamEnd::Clean);
            assert_eq!(split, whole, "{name} cut at {cut}");
        }
    }
}

#[test]
fn every_prefix_ends_in_exactly_one_terminal_event() {
    let broken =
        || UpstreamEnd::Broken(Error::new(Source::Upstream, Kind::UpstreamBroken, "reset"));
    for (name, options, chat, _) in vectors() {
        for cut in 0..=chat.len() {
            for end in [UpstreamEnd::Clean, broken()] {
                let out = run(plan(&options, Sink::Sse), &[&chat[..cut]], end);
                let events = events(&out);
                let kinds: Vec<&str> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
                let terminal = |k: &&str| {
                    [
                        "response.completed",
                        "response.incomplete",
                        "response.failed",
                    ]
                    .contains(k)
                };
                assert_eq!(
                    kinds.iter().filter(|k| terminal(k)).count(),
                    1,
                    "{name} {cut}"
                );
                assert!(terminal(kinds.last().unwrap()), "{name} {cut}: {kinds:?}");
                let count = |k: &str| kinds.iter().filter(|x| **x == k).count();
                assert_eq!(
                    count("response.output_item.added"),
                    count("response.output_item.done"),
                    "{name} {cut}"
                );
                for (n, event) in events.iter().enumerate() {
                    assert_eq!(event["sequence_number"], n, "{name} {cut}");
                }
            }
        }
    }
}

#[test]
fn the_object_is_the_streams_last_snapshot() {
    for (name, options, chat, _) in vectors() {
        let stream = events(&run(
            plan(&options, Sink::Sse),
            &[&chat],
            UpstreamEnd::Clean,
        ));
        let (mut translator, mut out) = (Translator::new(plan(&options, Sink::Json)), Vec::new());
        let fed = translator.feed(&chat, &mut out);
        let done = fed.and_then(|_| translator.finish(UpstreamEnd::Clean, &mut out));
        let last = &stream.last().unwrap()["response"];
        if done.is_err() {
            assert_eq!(last["status"], "failed", "{name}");
            continue;
        }
        let mut object: Json = serde_json::from_slice(&out).unwrap();
        let mut last = last.clone();
        let mut ids = (HashMap::new(), HashMap::new());
        normalise(&mut object, &mut ids.0);
        normalise(&mut last, &mut ids.1);
        assert_eq!(object, last, "{name}");
    }
}

#[test]
fn an_error_in_a_list_is_an_error() {
    let chat = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n\
        data: [{\"error\":{\"code\":503,\"message\":\"The model is overloaded.\"}}]\n\n";
    let out = run(plan(&Json::Null, Sink::Sse), &[chat], UpstreamEnd::Clean);
    let last = events(&out).pop().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(
        last["response"]["error"]["message"],
        "The model is overloaded."
    );
}

/// Each chunk as a frame of its own, with think tags looked for.
fn run_chunks(chunks: &[&str]) -> Vec<Json> {
    let options = serde_json::json!({"think_tags": true});
    let chat: String = chunks.iter().map(|c| format!("data: {c}\n\n")).collect();
    events(&run(
        plan(&options, Sink::Sse),
        &[chat.as_bytes()],
        UpstreamEnd::Clean,
    ))
}

fn kinds(events: &[Json]) -> Vec<&str> {
    events.iter().map(|e| e["type"].as_str().unwrap()).collect()
}

#[test]
fn thoughts_in_tags_wait_for_an_unfinished_call() {
    let events = run_chunks(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{"}}]}}]}"#,
        r#"{"choices":[{"delta":{"content":"<think>let me"}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"id":"c","function":{"arguments":"}"}}]}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ]);
    let items: Vec<_> = kinds(&events)
        .into_iter()
        .filter(|k| k.starts_with("response.output_item"))
        .collect();
    let (added, done) = ("response.output_item.added", "response.output_item.done");
    assert_eq!(items, [added, done, added, done]);
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!(output[0]["arguments"], "{}");
    assert_eq!(output[1]["content"][0]["text"], "let me");
}

#[test]
fn an_escaped_backslash_before_an_angles_escape_stays() {
    let events = run_chunks(&[
        r#"{"choices":[{"delta":{"content":"\u003cthink\u003ea\\u003cb\\\u003C/think\u003ec"}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
    ]);
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!(output[0]["content"][0]["text"], r"a\u003cb\");
    assert_eq!(output[1]["content"][0]["text"], "c");
}

#[test]
fn counts_at_the_end_of_their_range_do_not_overflow() {
    let max = u64::MAX;
    let usage = format!(
        r#"{{"choices":[],"usage":{{"prompt_tokens":{max},"completion_tokens":{max},"total_tokens":{max},"completion_tokens_details":{{"reasoning_tokens":{max}}}}}}}"#
    );
    let finish = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    let events = run_chunks(&[finish, &usage]);
    let usage = &events.last().unwrap()["response"]["usage"];
    assert_eq!(usage["total_tokens"], max);
}

#[test]
fn logprobs_stay_on_one_line_and_in_range() {
    let chunk = "{\"choices\":[{\"logprobs\":{\"content\":[{\"token\":\"a\",\"logprob\":-1e999,\ndata: \"bytes\":[\ndata: 97]}]},\ndata: \"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}";
    let options = serde_json::json!({});
    let chat = format!("data: {chunk}\n\n");
    let out = run(
        plan(&options, Sink::Sse),
        &[chat.as_bytes()],
        UpstreamEnd::Clean,
    );
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains(r#""logprob":0,"bytes":[97]"#), "{text}");
}
