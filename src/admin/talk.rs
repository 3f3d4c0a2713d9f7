//! An exchange as people read it: the turns of its request and of its answer, out of both
//! dialects, and out of a stream that may have been cut anywhere.

mod chat;
mod responses;
mod stream;

use serde_json::Value;

/// One turn of a conversation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Turn {
    pub(super) kind: Kind,
    /// Who speaks, or which tool is meant.
    pub(super) who: String,
    /// What else is to be said of it, in a word or two.
    pub(super) note: String,
    pub(super) parts: Vec<Part>,
}

/// What a turn is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Kind {
    Assistant,
    Call,
    /// Instructions of a system or a developer.
    Instructions,
    #[default]
    Other,
    Output,
    Reasoning,
    User,
}

/// A piece of a turn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// Programs and what they print.
    Code(String),
    /// A patch, or another text that is lines added and taken away.
    Diff(String),
    /// Something that is not text, in a few words.
    Thing(String),
    /// What somebody says.
    Words(String),
}

/// The turns of a request's body; `None` where it cannot be read.
pub(super) fn of_request(body: &[u8]) -> Option<Vec<Turn>> {
    let request: Value = serde_json::from_slice(body).ok()?;
    match request.get("messages") {
        Some(messages) => Some(chat::of_messages(messages)),
        None => request.is_object().then(|| responses::of_request(&request)),
    }
}

/// The turns of an answer's body, as far as it goes.
pub(super) fn of_answer(body: &[u8]) -> Option<Vec<Turn>> {
    match serde_json::from_slice::<Value>(body) {
        Ok(answer) if answer.get("choices").is_some() => Some(chat::of_answer(&answer)),
        Ok(answer) if answer.get("output").is_some() => {
            Some(responses::of_items(&answer["output"]))
        }
        Ok(answer) if answer.get("error").is_some_and(|e| !e.is_null()) => {
            Some(vec![error(&answer["error"])])
        }
        _ => stream::turns(body),
    }
}

/// An error as a turn.
fn error(error: &Value) -> Turn {
    let message = error.get("message").map_or_else(|| error.to_string(), text);
    Turn {
        kind: Kind::Other,
        who: "error".to_owned(),
        note: error.get("code").map(text).unwrap_or_default(),
        parts: vec![Part::Words(message)],
    }
}

/// A string as it is, nothing for `null`, anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The string of a member.
fn str<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What a tool was called with: patches and commands as such, other objects member by member.
fn arguments(name: &str, arguments: &str) -> Vec<Part> {
    if is_patch(arguments) && !arguments.trim_start().starts_with('{') {
        return vec![Part::Diff(arguments.to_owned())];
    }
    let Ok(Value::Object(members)) = serde_json::from_str(arguments) else {
        return match arguments.is_empty() {
            true => Vec::new(),
            false => vec![Part::Code(arguments.to_owned())],
        };
    };
    let mut parts = Vec::new();
    let mut rest = serde_json::Map::new();
    for (member, value) in members {
        let command = match &value {
            Value::Array(words) if member == "command" => Some(command(words)),
            Value::String(text) if is_patch(text) => {
                parts.push(Part::Diff(text.clone()));
                continue;
            }
            Value::String(text) if ["cmd", "command", "chars"].contains(&member.as_str()) => {
                Some(text.clone())
            }
            _ => None,
        };
        match command {
            Some(patch) if is_patch(&patch) => parts.push(Part::Diff(patch)),
            Some(command) => parts.push(Part::Code(format!("$ {command}"))),
            None => {
                rest.insert(member, value);
            }
        }
    }
    // A plan or a search reads well enough as JSON.
    if !rest.is_empty() || parts.is_empty() && !name.is_empty() {
        let rest = serde_json::to_string_pretty(&Value::Object(rest)).unwrap_or_default();
        parts.push(Part::Code(rest));
    }
    parts
}

/// The words of a command as one would type them; what a shell runs without the shell.
fn command(words: &[Value]) -> String {
    let words: Vec<String> = words.iter().map(text).collect();
    match words.as_slice() {
        [shell, flag, script] if shell.ends_with("sh") && flag.starts_with('-') => script.clone(),
        words => words.join(" "),
    }
}

/// What a tool has put out.
fn output(text: &str) -> Part {
    match is_patch(text) {
        true => Part::Diff(text.to_owned()),
        false => Part::Code(text.to_owned()),
    }
}

/// Whether a text is best read as lines added and taken away.
fn is_patch(text: &str) -> bool {
    text.contains("*** Begin Patch")
        || text.starts_with("diff --git ")
        || text.contains("\ndiff --git ")
        || text.contains("\n+++ ") && text.contains("\n@@ ")
}

#[cfg(test)]
mod tests;
