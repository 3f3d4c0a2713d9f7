//! Turns out of a stream: server-sent events, or a message a line; what came before a cut counts.

use super::{Turn, chat, error, responses, str};
use crate::sse::{Frame, Frames};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(super) fn turns(body: &[u8]) -> Option<Vec<Turn>> {
    let mut heard = Heard::default();
    let begin = body.trim_ascii_start();
    if begin.starts_with(b"{") {
        for line in body.split(|b| *b == b'\n') {
            heard.event(line);
        }
    } else {
        let mut frames = Frames::new();
        let mut frame = |frame: Frame<'_>| {
            heard.event(frame.data);
            Ok::<(), std::convert::Infallible>(())
        };
        // A frame over the limit ends what can be read.
        let _ = frames.feed(body, &mut frame);
        let _ = frames.finish(&mut frame);
    }
    heard.turns()
}

/// What was said so far.
#[derive(Default)]
struct Heard {
    any: bool,
    /// Items by their place: what is known of them last.
    items: BTreeMap<u64, Value>,
    /// A chat answer's message, put together.
    message: Map<String, Value>,
    calls: BTreeMap<u64, (String, String)>,
    errors: Vec<Turn>,
}

impl Heard {
    fn event(&mut self, data: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Value>(data) else {
            return;
        };
        self.any = true;
        match str(&event, "type") {
            "response.output_item.added" | "response.output_item.done" => {
                let place = place(&event);
                self.items.insert(place, event["item"].clone());
            }
            "response.output_text.delta" => self.text(&event, "content", "output_text"),
            "response.reasoning_summary_text.delta" => {
                self.text(&event, "summary", "summary_text");
            }
            "response.reasoning_text.delta" => self.text(&event, "content", "reasoning_text"),
            "response.function_call_arguments.delta" => self.argument(&event, "arguments"),
            "response.custom_tool_call_input.delta" => self.argument(&event, "input"),
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.end(&event["response"]);
            }
            "error" => self
                .errors
                .push(error(event.get("error").unwrap_or(&event))),
            _ => self.chunk(&event),
        }
    }

    /// The final object says it all again, in order.
    fn end(&mut self, response: &Value) {
        let output = response.get("output").and_then(Value::as_array);
        for (i, item) in output.into_iter().flatten().enumerate() {
            self.items.insert(i as u64, item.clone());
        }
        if let Some(what) = response.get("error").filter(|e| !e.is_null()) {
            self.errors.push(error(what));
        }
    }

    fn text(&mut self, event: &Value, member: &str, kind: &str) {
        let Some(Value::Object(item)) = self.items.get_mut(&place(event)) else {
            return;
        };
        let parts = item.entry(member).or_insert_with(|| json!([]));
        let Value::Array(parts) = parts else { return };
        match parts.last_mut().and_then(|part| part.get_mut("text")) {
            Some(Value::String(text)) => text.push_str(str(event, "delta")),
            _ => parts.push(json!({"type": kind, "text": str(event, "delta")})),
        }
    }

    fn argument(&mut self, event: &Value, member: &str) {
        let Some(Value::Object(item)) = self.items.get_mut(&place(event)) else {
            return;
        };
        if let Value::String(text) = item.entry(member).or_insert_with(|| json!("")) {
            text.push_str(str(event, "delta"));
        }
    }

    /// A chunk of a chat answer.
    fn chunk(&mut self, event: &Value) {
        if let Some(what) = event.get("error").filter(|e| !e.is_null()) {
            self.errors.push(error(what));
        }
        let choices = event.get("choices").and_then(Value::as_array);
        let deltas = choices.into_iter().flatten().map(|choice| &choice["delta"]);
        for delta in deltas {
            for member in ["content", "reasoning_content", "reasoning"] {
                let Some(more) = delta.get(member).and_then(Value::as_str) else {
                    continue;
                };
                let own = self.message.entry(member).or_insert_with(|| json!(""));
                if let Value::String(text) = own {
                    text.push_str(more);
                }
            }
            let calls = delta.get("tool_calls").and_then(Value::as_array);
            for call in calls.into_iter().flatten() {
                let index = call.get("index").and_then(Value::as_u64).unwrap_or(0);
                let (name, arguments) = self.calls.entry(index).or_default();
                name.push_str(str(&call["function"], "name"));
                arguments.push_str(str(&call["function"], "arguments"));
            }
        }
    }

    fn turns(mut self) -> Option<Vec<Turn>> {
        if !self.any {
            return None;
        }
        let mut turns: Vec<Turn> = self.items.values().map(responses::turn).collect();
        let calls = self
            .calls
            .into_values()
            .map(|(name, arguments)| json!({"function": {"name": name, "arguments": arguments}}));
        self.message.insert("role".to_owned(), json!("assistant"));
        self.message
            .insert("tool_calls".to_owned(), calls.collect());
        turns.extend(chat::of_message(&Value::Object(self.message)));
        turns.extend(self.errors);
        Some(turns)
    }
}

fn place(event: &Value) -> u64 {
    let index = event.get("output_index").and_then(Value::as_u64);
    index.unwrap_or_default()
}
