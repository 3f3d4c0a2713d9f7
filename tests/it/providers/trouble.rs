//! What goes wrong at the provider, and what the client is told.

use super::bench::{Bench, Cell, same, text, user, want};
use crate::dialects::{Fault, fault, overload_status};
use serde_json::{Value, json};

/// The provider's own words, wherever its shape has them.
fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(k, v)| match (k.as_str(), v) {
                ("message" | "raw" | "status_msg" | "detail" | "error", Value::String(text)) => {
                    vec![text.as_str()]
                }
                _ => words(v),
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(words).collect(),
        _ => Vec::new(),
    }
}

pub fn errors(b: &mut Bench) -> Cell {
    let cases = [
        ("key", Fault::Key, 400, "provider_auth"),
        ("rate", Fault::Rate, 429, "rate_limit_exceeded"),
        ("overflow", Fault::Overflow, 400, "context_length_exceeded"),
        ("overload", Fault::Overload, overload_status(b.d), ""),
    ];
    for stream in [true, false] {
        for (cue, kind, status, code) in cases {
            let (got, seen) = b.post(&json!({"stream":stream,"input":[user(cue)]}));
            want(
                seen.len() == 1,
                format!("{cue}: asked {} times", seen.len()),
            )?;
            let said = String::from_utf8_lossy(&got.body).into_owned();
            want(
                got.status == status,
                format!("{cue}: expected {status}, found {} {said}", got.status),
            )?;
            let error = &got.json()["error"];
            want(
                code.is_empty() || error["code"] == code,
                format!("{cue}: expected {code}, found {said}"),
            )?;
            if status == 429 {
                let field = got
                    .head
                    .lines()
                    .find_map(|l| l.strip_prefix("retry-after: "));
                let wait = field
                    .and_then(|f| f.trim().parse::<u32>().ok())
                    .ok_or(format!("{cue}: no Retry-After"))?;
                let (_, fields, _) = fault(b.d, kind, "");
                let expected = match (b.d.family, fields.is_empty()) {
                    ("gemini", _) => 34,
                    (_, false) => 7,
                    _ => wait,
                };
                want(
                    wait == expected,
                    format!("{cue}: Retry-After {wait}, not {expected}"),
                )?;
            }
            let body = fault(b.d, kind, "").2;
            let theirs = words(&body).pop().unwrap_or("").trim().to_owned();
            let message = error["message"].as_str().unwrap_or("");
            let told = message.contains(theirs.split('.').next().unwrap_or(""));
            want(
                told,
                format!("{cue}: {message:?} lacks the provider's words {theirs:?}"),
            )?;
            want(
                got.head.contains("x-strait-error-source: upstream"),
                format!("{cue}: whose fault"),
            )?;
        }
    }
    Ok("")
}

pub fn midway(b: &mut Bench) -> Cell {
    let request = json!({"stream":true,"input":[user("midway")]});
    if b.passes() {
        return b.passed(&request);
    }
    let (got, _) = b.post(&request);
    b.judged.push(got.body.clone());
    want(
        got.status == 200,
        format!("{} {}", got.status, String::from_utf8_lossy(&got.body)),
    )?;
    want(
        got.terminals() == ["response.failed"],
        format!("{:?}", got.terminals()),
    )?;
    let response = got.events().pop().unwrap_or_default()["response"].clone();
    same(
        "the text so far",
        &json!(text(&got)),
        &json!("Half an answer"),
    )?;
    let body = fault(b.d, Fault::Midway, "").2;
    let theirs = words(&body).pop().unwrap_or("").to_owned();
    let message = response["error"]["message"].as_str().unwrap_or("");
    want(
        message.contains(&theirs),
        format!("{message:?} lacks {theirs:?}"),
    )?;
    same(
        "the code",
        &response["error"]["code"],
        &json!("server_error"),
    )?;
    Ok("")
}

pub fn ends(b: &mut Bench) -> Cell {
    if b.passes() {
        return b.passed(&json!({"input":[user("text")]}));
    }
    for (reason, status, why) in b.d.ends() {
        let (got, _) = b.post(&json!({"stream":true,"input":[user(&format!("ends {reason}"))]}));
        b.judged.push(got.body.clone());
        let response = super::bench::response(&got);
        same(reason, &response["status"], &json!(status))?;
        if *status == "incomplete" {
            same(
                reason,
                &response["incomplete_details"]["reason"],
                &json!(why),
            )?;
        }
        same("the text", &json!(text(&got)), &json!(super::script::TEXT))?;
    }
    Ok("")
}
