//! What the scripted providers say: a word of the last user's message names the scene.

use super::responses;
use crate::dialects::{Call, Dialect, Fault, Say, Wire, fault, refuse, render};
use crate::provider::{Answer, Seen};
use serde_json::{Value, json};

pub const TEXT: &str = "Hello, wörld! 🦀 How are you?";
pub const DONE: &str = "It is 12 degrees in Oslo.";
pub const PATCH: &str = "*** Begin Patch\n*** Add File: a.txt\n+tab\t\"q\" \\ ü\n*** End Patch\n";
pub const JSON: &str = r#"{"name":"Ada","age":36}"#;
pub const RUN: &str = "echo one > ran.txt; echo done";
pub const FOUND: &str = "Two places know [ref_1] it.";

fn text_of(content: &Value) -> String {
    match content.as_array() {
        Some(parts) => parts.iter().filter_map(|p| p["text"].as_str()).collect(),
        None => content.as_str().unwrap_or("").to_owned(),
    }
}

/// The answer to one request.
pub fn answer(d: &Dialect, seen: &Seen) -> Answer {
    if d.wire == Wire::Responses {
        return passed(d, seen);
    }
    if let Some((_, why)) = refuse(d, seen) {
        return error(d, Fault::Refused, &why);
    }
    let messages = seen.body["messages"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let cued = |m: &Value| m["role"] == "user" && text_of(&m["content"]).contains("cue: ");
    let at = messages.iter().rposition(cued);
    let text = at.map_or(String::new(), |at| text_of(&messages[at]["content"]));
    let cue = text
        .split("cue: ")
        .nth(1)
        .unwrap_or("")
        .split_whitespace()
        .next()
        .unwrap_or("");
    let since = &messages[at.unwrap_or(0)..];
    let answered = since.iter().filter(|m| m["role"] == "tool").count();
    let calls = messages.iter().filter_map(|m| m["tool_calls"].as_array());
    let called = calls.map(Vec::len).sum();
    let call = |name, arguments: Value| Call {
        name,
        arguments: arguments.to_string(),
    };
    let oslo = || call("get_weather", json!({"city":"Oslo"}));
    let mut say = Say {
        called,
        ..Say::default()
    };
    match cue {
        "key" => return error(d, Fault::Key, ""),
        "rate" => return error(d, Fault::Rate, ""),
        "overflow" => return error(d, Fault::Overflow, ""),
        "overload" => return error(d, Fault::Overload, ""),
        "midway" => {
            say.text = "Half an answer";
            say.broken = Some(fault(d, Fault::Midway, "").2);
        }
        "tool" | "two" | "patch" | "look" if answered > 0 => say.text = DONE,
        "tool" | "look" => say.calls = vec![oslo()],
        "two" => say.calls = vec![oslo(), call("get_weather", json!({"city":"Århus"}))],
        "session" if answered == 0 => say.calls = vec![call("exec_command", json!({"cmd":RUN}))],
        "session" if answered > 1 => say.text = DONE,
        "patch" | "session" if d.freeform => {
            say.calls = vec![Call {
                name: "apply_patch",
                arguments: PATCH.into(),
            }]
        }
        "patch" | "session" => say.calls = vec![call("apply_patch", json!({"input":PATCH}))],
        "ends" => {
            say.text = TEXT;
            let word = text.split("cue: ends ").nth(1).unwrap_or("");
            say.ended = d.ends().iter().map(|e| e.0).find(|e| *e == word);
        }
        "json" => say.text = JSON,
        "search" => {
            say.text = FOUND;
            say.searched = true;
        }
        _ => say.text = TEXT,
    }
    render(d, &say, &seen.body)
}

fn error(d: &Dialect, kind: Fault, why: &str) -> Answer {
    let (status, fields, body) = fault(d, kind, why);
    Answer::Plain(status, fields, body.to_string())
}

fn passed(d: &Dialect, seen: &Seen) -> Answer {
    let (name, prefix) = d.key;
    let key = format!("{name}: {prefix}{}", d.secret());
    let mine = seen.head.lines().any(|l| l == key) && !seen.head.contains("client-key");
    if !mine || !seen.head.starts_with("POST /v1/responses HTTP/1.1") {
        return Answer::Plain(
            400,
            "",
            json!({"error":{"message":format!("the head: {}", seen.head)}}).to_string(),
        );
    }
    let text = seen.body.to_string();
    for (cue, kind) in [
        ("key", Fault::Key),
        ("rate", Fault::Rate),
        ("overflow", Fault::Overflow),
        ("overload", Fault::Overload),
    ] {
        if text.contains(&format!("cue: {cue}\"")) {
            return error(d, kind, "");
        }
    }
    let stream = seen.body["stream"] == true;
    let body = responses::canned(stream, &seen.body);
    match stream {
        true => Answer::Raw(body),
        false => Answer::Plain(200, "", String::from_utf8(body).unwrap()),
    }
}
