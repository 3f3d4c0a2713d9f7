//! Turns out of Chat Completions: messages, and the choices of an answer.

use super::responses::parts;
use super::{Kind, Part, Turn, arguments, output, str, text};
use serde_json::Value;

pub(super) fn of_messages(messages: &Value) -> Vec<Turn> {
    let messages = messages.as_array().into_iter().flatten();
    messages.flat_map(of_message).collect()
}

pub(super) fn of_answer(answer: &Value) -> Vec<Turn> {
    let choices = answer["choices"].as_array().into_iter().flatten();
    let messages = choices.filter_map(|choice| choice.get("message"));
    messages.flat_map(of_message).collect()
}

pub(super) fn of_message(message: &Value) -> Vec<Turn> {
    let role = str(message, "role");
    let content = message.get("content").unwrap_or(&Value::Null);
    if role == "tool" {
        return vec![Turn {
            kind: Kind::Output,
            who: "output".to_owned(),
            note: str(message, "tool_call_id").to_owned(),
            parts: match content {
                Value::String(text) => vec![output(text)],
                other => parts(other),
            },
        }];
    }
    let mut turns = Vec::new();
    // Providers have two names for it.
    for member in ["reasoning_content", "reasoning"] {
        let words = message.get(member).map(text).unwrap_or_default();
        if !words.is_empty() {
            turns.push(Turn {
                kind: Kind::Reasoning,
                who: "reasoning".to_owned(),
                parts: vec![Part::Words(words)],
                ..Turn::default()
            });
        }
    }
    let words = parts(content);
    if words.iter().any(|part| *part != Part::Words(String::new())) {
        turns.push(Turn {
            kind: match role {
                "assistant" => Kind::Assistant,
                "system" | "developer" => Kind::Instructions,
                _ => Kind::User,
            },
            who: role.to_owned(),
            parts: words,
            ..Turn::default()
        });
    }
    let calls = message.get("tool_calls").and_then(Value::as_array);
    for call in calls.into_iter().flatten() {
        let function = call.get("function").unwrap_or(&Value::Null);
        let name = str(function, "name");
        turns.push(Turn {
            kind: Kind::Call,
            who: name.to_owned(),
            parts: arguments(name, str(function, "arguments")),
            ..Turn::default()
        });
    }
    turns
}
