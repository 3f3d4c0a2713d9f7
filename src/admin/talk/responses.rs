//! Turns out of Responses: a request's instructions and input, a response's output items.

use super::{Kind, Part, Turn, arguments, output, str, text};
use serde_json::Value;

pub(super) fn of_request(request: &Value) -> Vec<Turn> {
    let mut turns = Vec::new();
    let instructions = str(request, "instructions");
    if !instructions.is_empty() {
        turns.push(Turn {
            kind: Kind::Instructions,
            who: "instructions".to_owned(),
            parts: vec![Part::Words(instructions.to_owned())],
            ..Turn::default()
        });
    }
    match request.get("input") {
        Some(Value::String(words)) => turns.push(Turn {
            kind: Kind::User,
            who: "user".to_owned(),
            parts: vec![Part::Words(words.clone())],
            ..Turn::default()
        }),
        Some(items) => turns.extend(of_items(items)),
        None => {}
    }
    turns
}

pub(super) fn of_items(items: &Value) -> Vec<Turn> {
    items.as_array().into_iter().flatten().map(turn).collect()
}

pub(super) fn turn(item: &Value) -> Turn {
    let kind = str(item, "type");
    match kind {
        "message" | "" => message(item),
        "reasoning" => reasoning(item),
        "function_call" => {
            let name = str(item, "name");
            call(name, arguments(name, str(item, "arguments")))
        }
        "custom_tool_call" => {
            let name = str(item, "name");
            call(name, arguments(name, str(item, "input")))
        }
        "local_shell_call" => {
            let action = item.get("action").map(Value::to_string);
            call("shell", arguments("shell", &action.unwrap_or_default()))
        }
        _ if kind.ends_with("_call_output") => Turn {
            kind: Kind::Output,
            who: "output".to_owned(),
            note: str(item, "call_id").to_owned(),
            parts: outputs(item.get("output").unwrap_or(&Value::Null)),
        },
        "compaction" | "compaction_summary" => Turn {
            who: "compaction".to_owned(),
            note: "sealed".to_owned(),
            ..Turn::default()
        },
        _ => Turn {
            kind: match kind.ends_with("_call") {
                true => Kind::Call,
                false => Kind::Other,
            },
            who: kind.to_owned(),
            parts: vec![Part::Code(
                serde_json::to_string_pretty(item).unwrap_or_default(),
            )],
            ..Turn::default()
        },
    }
}

fn call(name: &str, parts: Vec<Part>) -> Turn {
    Turn {
        kind: Kind::Call,
        who: name.to_owned(),
        parts,
        ..Turn::default()
    }
}

fn message(item: &Value) -> Turn {
    let role = str(item, "role");
    Turn {
        kind: match role {
            "assistant" => Kind::Assistant,
            "developer" | "system" => Kind::Instructions,
            _ => Kind::User,
        },
        who: role.to_owned(),
        note: str(item, "phase").to_owned(),
        parts: parts(item.get("content").unwrap_or(&Value::Null)),
    }
}

/// A text, or a list of texts and other things.
pub(super) fn parts(content: &Value) -> Vec<Part> {
    match content {
        Value::Array(parts) => parts.iter().map(part).collect(),
        Value::Null => Vec::new(),
        other => vec![Part::Words(text(other))],
    }
}

fn part(part: &Value) -> Part {
    for name in ["text", "refusal"] {
        if let Some(Value::String(words)) = part.get(name) {
            return Part::Words(words.clone());
        }
    }
    let kind = str(part, "type");
    let url = match part.get("image_url") {
        Some(Value::String(url)) => url.as_str(),
        Some(object) => str(object, "url"),
        None => str(part, "file_id"),
    };
    // What an address says of itself; never the thing, which could be fetched from elsewhere.
    let from = match url.split_once(";base64,") {
        Some((media, data)) => format!(
            "{}, {} bytes",
            media.trim_start_matches("data:"),
            data.len() / 4 * 3
        ),
        None => url.chars().take(200).collect(),
    };
    Part::Thing(format!("{kind} {from}").trim().to_owned())
}

fn outputs(output_of: &Value) -> Vec<Part> {
    match output_of {
        Value::String(text) => vec![output(text)],
        Value::Array(_) => parts(output_of),
        Value::Object(object) if object.get("content").is_some_and(Value::is_string) => {
            vec![output(&text(&object["content"]))]
        }
        Value::Null => Vec::new(),
        other => vec![Part::Code(other.to_string())],
    }
}

fn reasoning(item: &Value) -> Turn {
    let mut words = Vec::new();
    for member in ["summary", "content"] {
        let list = item.get(member).and_then(Value::as_array);
        for part in list.into_iter().flatten() {
            words.push(Part::Words(str(part, "text").to_owned()));
        }
    }
    let sealed = item.get("encrypted_content").is_some_and(Value::is_string);
    Turn {
        kind: Kind::Reasoning,
        who: "reasoning".to_owned(),
        note: match sealed {
            true => "travels sealed".to_owned(),
            false => String::new(),
        },
        parts: words,
    }
}
