//! The Responses request's members besides `input` and the tools (SPEC 2).

use super::body::Body;
use super::request::{flag, missing, unsupported, wrong_type};
use crate::error::Error;
use crate::json::write;
use crate::json::{Kind, Str, Value};
use crate::translate::snapshot::compact;

/// Fields that are read somewhere. Any other field is left out with a diagnostic.
const KNOWN: [&str; 34] = [
    "chat_template_kwargs",
    "enable_thinking",
    "function_call",
    "functions",
    "include_reasoning",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
];
/// Fields with the same name and meaning in both APIs.
const SAME: [&str; 7] = [
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
];
/// The least that the Responses API takes as a limit.
const OUTPUT_TOKENS_MIN: u64 = 16;

/// Appends all members of `request` that are not messages or tools.
pub(super) fn write(request: Value<'_>, body: &mut Body<'_>) -> Result<(), Error> {
    text(request, body)?;
    reasoning(request, body)?;
    limit(request, body)?;
    sampling(request, body)?;
    let logprobs = logprobs(request, body)?;
    body.own("include", include(logprobs));
    if flag(request, "store") {
        let message = "Answers are not stored: none could be fetched in this dialect.";
        body.note("field.degraded", "store", message);
    }
    // Absent means true here, and false in the client's dialect.
    body.own("store", b"false");
    if flag(request, "stream") || body.profile.stream_only {
        body.raw("stream", "stream", b"true");
        // Padding of deltas that would be thrown away here.
        body.own("stream_options", br#"{"include_obfuscation":false}"#);
    }
    for name in SAME {
        if let Some(value) = request.present(name)
            && body.open(name, name)
        {
            compact(&mut body.out, value);
        }
    }
    let profile = body.profile;
    for (name, value) in profile.extra_body.iter().filter(|(n, _)| *n != "reasoning") {
        body.set(name, value);
    }
    body.defaults();
    unknown(request, body);
    Ok(())
}

fn include(logprobs: bool) -> &'static [u8] {
    // Nothing is stored, so the client has to carry the reasoning.
    match logprobs {
        true => br#"["reasoning.encrypted_content","message.output_text.logprobs"]"#,
        false => br#"["reasoning.encrypted_content"]"#,
    }
}

/// `response_format` and `verbosity` are members of `text`.
fn text(request: Value<'_>, body: &mut Body<'_>) -> Result<(), Error> {
    let mut members = Vec::new();
    if let Some(format) = request.present("response_format")
        && body.takes_or_note("text.format", "response_format")
    {
        response_format(format, &mut members, body)?;
    }
    if let Some(verbosity) = request.present("verbosity") {
        let level = verbosity.as_str();
        let level = level.ok_or_else(|| wrong_type("verbosity", "a string"))?;
        if body.takes_or_note("text.verbosity", "verbosity") {
            let comma: &[u8] = if members.is_empty() { b"" } else { b"," };
            members.extend_from_slice(comma);
            members.extend_from_slice(b"\"verbosity\":\"");
            level.splice(&mut members);
            members.push(b'"');
        }
    }
    let path = match request.present("response_format") {
        Some(_) => "response_format",
        None => "verbosity",
    };
    if !members.is_empty() && body.open("text", path) {
        body.out.push(b'{');
        body.out.extend_from_slice(&members);
        body.out.push(b'}');
    }
    Ok(())
}

fn response_format(
    format: Value<'_>,
    members: &mut Vec<u8>,
    body: &mut Body<'_>,
) -> Result<(), Error> {
    let kind = format.str("type");
    let kind = kind.ok_or_else(|| missing("response_format.type"))?.text();
    match &*kind {
        "text" => {}
        "json_object" => members.extend_from_slice(b"\"format\":{\"type\":\"json_object\"}"),
        "json_schema" => {
            let path = "response_format.json_schema";
            let inner = format.present("json_schema").ok_or_else(|| missing(path))?;
            let schema = inner.present("schema");
            members.extend_from_slice(b"\"format\":{\"type\":\"json_schema\",\"name\":\"");
            inner
                .str("name")
                .filter(|n| !n.is_empty())
                .unwrap_or(Str::plain("output"))
                .splice(members);
            members.extend_from_slice(b"\",\"schema\":");
            match schema.filter(|s| s.kind() == Kind::Object) {
                Some(schema) => compact(members, schema),
                None => members.extend_from_slice(b"{\"type\":\"object\"}"),
            }
            // Absent means true where possible here, and false in the client's dialect.
            members.extend_from_slice(strict(inner));
            if let Some(description) = inner.str("description") {
                members.extend_from_slice(b",\"description\":\"");
                description.splice(members);
                members.push(b'"');
            }
            members.push(b'}');
        }
        other => {
            let message = format!("The format '{other}' is not known.");
            body.note("field.dropped", "response_format", message);
        }
    }
    Ok(())
}

/// The member `strict`, always said.
pub(super) fn strict(object: Value<'_>) -> &'static [u8] {
    match flag(object, "strict") {
        true => b",\"strict\":true",
        false => b",\"strict\":false",
    }
}

/// What the many names for thinking, and for how much of it, come to.
fn reasoning(request: Value<'_>, body: &mut Body<'_>) -> Result<(), Error> {
    let nested = request.present("reasoning");
    if nested.is_some_and(|r| r.kind() != Kind::Object) {
        return Err(wrong_type("reasoning", "an object"));
    }
    let mut table = toml::Table::new();
    if let Some((effort, path)) = effort(request, nested)?
        && body.takes_or_note("reasoning.effort", path)
    {
        let efforts = &body.profile.efforts;
        match efforts.get(&effort) {
            Some(mapped) => {
                table.insert("effort".into(), mapped.clone().into());
            }
            None if efforts.is_empty() => {
                table.insert("effort".into(), effort.into());
            }
            None => {
                let message = format!("The provider has no effort for '{effort}'.");
                body.note("field.dropped", path, message);
            }
        }
    }
    let asked = nested.and_then(|r| r.str("summary")).map(|s| s.text());
    let summary = match asked {
        Some(summary) => Some(summary.into_owned()),
        None => flag(request, "include_reasoning").then(|| "auto".to_owned()),
    };
    if let Some(summary) = summary
        && body.takes_or_note("reasoning.summary", "reasoning.summary")
    {
        table.insert("summary".into(), summary.into());
    }
    for (key, value) in nested.iter().flat_map(|r| r.entries()) {
        let read = ["effort", "enabled", "summary"].iter().any(|k| key == *k);
        if !read && !value.is_null() {
            let path = format!("reasoning.{}", key.text());
            let message = "The field has no place in the provider's API.";
            body.note("field.dropped", path, message);
        }
    }
    let profile = body.profile;
    match profile.extra_body.get("reasoning") {
        Some(toml::Value::Table(more)) => table.extend(more.clone()),
        Some(other) => {
            body.set("reasoning", other);
            return Ok(());
        }
        None => {}
    }
    if !table.is_empty() && body.takes_or_note("reasoning", "reasoning_effort") {
        body.set("reasoning", &toml::Value::Table(table));
    }
    Ok(())
}

/// The effort, and the field that says it. The API's own field comes first.
fn effort(
    request: Value<'_>,
    nested: Option<Value<'_>>,
) -> Result<Option<(String, &'static str)>, Error> {
    const OWN: &str = "reasoning_effort";
    if let Some(effort) = request.present(OWN) {
        let effort = effort.as_str().ok_or_else(|| wrong_type(OWN, "a string"))?;
        return Ok(Some((effort.text().into_owned(), OWN)));
    }
    if let Some(effort) = nested.and_then(|r| r.str("effort")) {
        return Ok(Some((effort.text().into_owned(), "reasoning.effort")));
    }
    let off = |object: Option<Value<'_>>, name: &str| {
        object.and_then(|o| o.get(name)).and_then(|v| v.as_bool()) == Some(false)
    };
    let thinking = request.present("thinking").and_then(|t| t.str("type"));
    let template = request.present("chat_template_kwargs");
    let path = if off(nested, "enabled") {
        "reasoning.enabled"
    } else if thinking.is_some_and(|t| t == "disabled") {
        "thinking"
    } else if off(Some(request), "enable_thinking") {
        "enable_thinking"
    } else if off(template, "enable_thinking") || off(template, "thinking") {
        "chat_template_kwargs"
    } else {
        return Ok(None);
    };
    Ok(Some(("none".to_owned(), path)))
}

fn limit(request: Value<'_>, body: &mut Body<'_>) -> Result<(), Error> {
    let newer = request.present("max_completion_tokens");
    let (limit, path) = match (newer, request.present("max_tokens")) {
        (Some(limit), _) => (limit, "max_completion_tokens"),
        (None, Some(limit)) => (limit, "max_tokens"),
        (None, None) => return Ok(()),
    };
    let limit = limit
        .as_u64()
        .ok_or_else(|| wrong_type(path, "a positive integer"))?;
    if body.open("max_output_tokens", path) {
        write::uint(&mut body.out, limit.max(OUTPUT_TOKENS_MIN));
        if limit < OUTPUT_TOKENS_MIN {
            let message = format!("The provider's least is {OUTPUT_TOKENS_MIN}, which is sent.");
            body.note("field.degraded", path, message);
        }
    }
    Ok(())
}

fn sampling(request: Value<'_>, body: &mut Body<'_>) -> Result<(), Error> {
    for name in ["temperature", "top_p"] {
        let Some(value) = request.present(name) else {
            continue;
        };
        let number = value.as_f64().ok_or_else(|| wrong_type(name, "a number"))?;
        let clamped = match body.profile.temperature {
            // Not `clamp`, which panics where a profile has the bounds the wrong way round.
            Some((low, high)) if name == "temperature" => number.max(low).min(high),
            _ => number,
        };
        if clamped == number {
            body.raw(name, name, value.raw());
        } else if clamped.is_finite() && body.open(name, name) {
            body.out.extend_from_slice(clamped.to_string().as_bytes());
            let message = format!("Out of the provider's range; {clamped} is sent.");
            body.note("field.degraded", name, message);
        }
    }
    Ok(())
}

/// Whether logprobs are asked for; then `include` has to name them.
fn logprobs(request: Value<'_>, body: &mut Body<'_>) -> Result<bool, Error> {
    let top = match request.present("top_logprobs") {
        Some(top) => top
            .as_u64()
            .filter(|n| *n <= 20)
            .ok_or_else(|| wrong_type("top_logprobs", "an integer from 0 to 20"))?,
        None => 0,
    };
    if !flag(request, "logprobs") {
        if top > 0 {
            let message = "It means nothing without 'logprobs'.";
            return Err(unsupported("top_logprobs", message));
        }
        return Ok(false);
    }
    if !body.takes_or_note("top_logprobs", "logprobs") {
        return Ok(false);
    }
    if body.open("top_logprobs", "logprobs") {
        write::uint(&mut body.out, top);
    }
    Ok(true)
}

/// Says what was left out that the client may have counted on.
fn unknown(request: Value<'_>, body: &mut Body<'_>) {
    for (key, value) in request.entries() {
        let known = KNOWN.iter().any(|k| key == *k);
        if !known && !value.is_null() {
            let message = "The field is not known, or has no place in the provider's API.";
            body.note("field.dropped", key.text(), message);
        }
    }
    // Thinking that is on is the provider's default; how much of it cannot be said in these.
    let thinking = request.present("thinking");
    if thinking.is_some_and(|t| t.str("type").is_none_or(|t| t != "disabled")) {
        let message = "Say 'reasoning_effort' instead.";
        body.note("field.dropped", "thinking", message);
    }
    let template = request.present("chat_template_kwargs");
    for (key, value) in template.iter().flat_map(|t| t.entries()) {
        let switch = key == "enable_thinking" || key == "thinking";
        if !switch || value.as_bool() != Some(false) {
            let path = format!("chat_template_kwargs.{}", key.text());
            body.note("field.dropped", path, "The provider has no such template.");
        }
    }
}
