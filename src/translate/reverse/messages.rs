//! Messages become input items (SPEC 2.1).

use super::body::Body;
use super::parts;
use super::request::{Context, missing, wrong_type};
use super::{FORMAT_RAW, SEALED_FOR};
use crate::error::Error;
use crate::json::write;
use crate::json::{Kind, Str, Value};
use crate::provider::profile::Replay;
use crate::translate::seal;
use crate::translate::snapshot::compact;
use std::collections::HashSet;

/// Longest id that the Responses API takes.
const ID_BYTES_MAX: usize = 64;
/// Members of a message that are read here, whatever its role.
const KNOWN: [&str; 9] = [
    "content",
    "function_call",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "refusal",
    "role",
    "tool_call_id",
    "tool_calls",
];

/// Writes `instructions` and `input`.
pub(super) struct Input<'b, 'a> {
    body: &'b mut Body<'a>,
    cx: Context<'b>,
    first: bool,
    /// Ids of calls of custom tools: their outputs are of another type.
    custom: HashSet<String>,
    /// The id made up for a `function_call` whose answer has not come.
    legacy: Option<String>,
}

impl<'b, 'a> Input<'b, 'a> {
    pub fn new(body: &'b mut Body<'a>, cx: Context<'b>) -> Self {
        Input {
            body,
            cx,
            first: true,
            custom: HashSet::new(),
            legacy: None,
        }
    }

    /// Writes all messages of `request`.
    pub fn write(&mut self, request: Value<'_>) -> Result<(), Error> {
        let messages = request.present("messages");
        let messages = || messages.iter().flat_map(|m| m.items()).enumerate();
        // The first system message alone is the instructions, unless it is all there is: an
        // empty input is refused.
        let mut skip = 0;
        if let Some((_, lead)) = messages().next()
            && messages().nth(1).is_some()
            && is_system(lead)
            && self.body.takes("instructions")
            && self.body.open("instructions", "messages[0]")
        {
            self.body.out.push(b'"');
            self.text(lead.get("content"), "messages[0].content");
            self.body.out.push(b'"');
            self.unknown(lead, 0);
            skip = 1;
        }
        self.body.out.extend_from_slice(b",\"input\":[");
        for (i, message) in messages().skip(skip) {
            self.message(message, i)?;
        }
        self.body.out.push(b']');
        Ok(())
    }

    fn message(&mut self, message: Value<'_>, i: usize) -> Result<(), Error> {
        if message.kind() != Kind::Object {
            return Err(wrong_type(&format!("messages[{i}]"), "an object"));
        }
        let role = message.str("role");
        let role = role.ok_or_else(|| missing(&format!("messages[{i}].role")))?;
        match &*role.text() {
            "system" | "developer" => {
                self.begin(b"message\",\"role\":\"developer\",\"content\":[{\"type\":\"input_text\",\"text\":\"");
                self.text(message.get("content"), &format!("messages[{i}].content"));
                self.body.out.extend_from_slice(b"\"}]}");
            }
            "user" => {
                let path = format!("messages[{i}].content");
                let content = message.present("content").ok_or_else(|| missing(&path))?;
                self.begin(b"message\",\"role\":\"user\",\"content\":");
                parts::input(content, &path, self.body)?;
                self.body.out.push(b'}');
            }
            "assistant" => self.assistant(message, i)?,
            "tool" => {
                let path = format!("messages[{i}].tool_call_id");
                let id = message.str("tool_call_id").filter(|id| !id.is_empty());
                let id = id.ok_or_else(|| missing(&path))?;
                self.output(message, &legal_id(&id.text()), i)?;
            }
            "function" => match self.legacy.take() {
                Some(id) => self.output(message, &id, i)?,
                None => self.body.note(
                    "item.dropped",
                    format!("messages[{i}]"),
                    "No function_call stands before this answer.",
                ),
            },
            _ => {
                let message = "'system', 'developer', 'user', 'assistant', 'tool' or 'function'";
                return Err(wrong_type(&format!("messages[{i}].role"), message));
            }
        }
        self.unknown(message, i);
        Ok(())
    }

    fn assistant(&mut self, message: Value<'_>, i: usize) -> Result<(), Error> {
        self.reasoning(message, i);
        self.said(message, i);
        let calls = message.present("tool_calls");
        if calls.is_some_and(|c| c.kind() != Kind::Array) {
            return Err(wrong_type(&format!("messages[{i}].tool_calls"), "an array"));
        }
        for (k, call) in calls.iter().flat_map(|c| c.items()).enumerate() {
            let path = format!("messages[{i}].tool_calls[{k}]");
            let id = call.str("id").filter(|id| !id.is_empty());
            let id = id.ok_or_else(|| missing(&format!("{path}.id")))?;
            self.call(call, &legal_id(&id.text()), &path)?;
        }
        if let Some(call) = message.present("function_call") {
            // Its place never changes while the history grows, so neither does its id.
            let id = format!("call_legacy_{i}");
            self.function_call(call, &id, &format!("messages[{i}].function_call"))?;
            self.legacy = Some(id);
        }
        Ok(())
    }

    /// What the assistant said, if anything.
    fn said(&mut self, message: Value<'_>, i: usize) {
        let path = format!("messages[{i}].content");
        let mut list = Vec::new();
        match message.present("content") {
            Some(content) if content.kind() == Kind::Array => {
                for (k, part) in content.items().enumerate() {
                    let refusal = part.str("type").is_some_and(|t| t == "refusal");
                    match parts::text_of(part) {
                        Some(text) => spoken(&mut list, refusal, text),
                        None => parts::dropped(part, &path, k, self.body),
                    }
                }
            }
            Some(content) => match content.as_str() {
                Some(text) => spoken(&mut list, false, text),
                None => parts::dropped(content, &path, 0, self.body),
            },
            None => {}
        }
        if let Some(refusal) = message.str("refusal") {
            spoken(&mut list, true, refusal);
        }
        if !list.is_empty() {
            self.begin(b"message\",\"role\":\"assistant\",\"content\":[");
            self.body.out.extend_from_slice(&list);
            self.body.out.extend_from_slice(b"]}");
        }
    }

    /// Reasoning goes first: what the provider encrypted as it was, plain text only to one that
    /// takes it back.
    fn reasoning(&mut self, message: Value<'_>, i: usize) {
        let mut encrypted = false;
        let mut plain = message.str("reasoning_content");
        plain = plain.or_else(|| message.str("reasoning"));
        let details = message.present("reasoning_details");
        let mut pieces = Vec::new();
        for (k, detail) in details.iter().flat_map(|d| d.items()).enumerate() {
            if let Some(blob) = detail.str("data") {
                encrypted |= self.encrypted(
                    detail,
                    blob,
                    &format!("messages[{i}].reasoning_details[{k}]"),
                );
            } else if let Some(text) = detail.str("text").or_else(|| detail.str("summary")) {
                text.splice(&mut pieces);
            }
        }
        if let Some(text) = plain {
            pieces.clear();
            text.splice(&mut pieces);
        }
        if encrypted || pieces.is_empty() {
            return;
        }
        if self.cx.profile.replay == Replay::None {
            let path = format!("messages[{i}].reasoning_content");
            let message = "The provider takes back reasoning only as it encrypted it.";
            return self.body.note("content.dropped", path, message);
        }
        self.begin(
            b"reasoning\",\"summary\":[],\"content\":[{\"type\":\"reasoning_text\",\"text\":\"",
        );
        self.body.out.extend_from_slice(&pieces);
        self.body.out.extend_from_slice(b"\"}]}");
    }

    /// One encrypted piece of reasoning; says whether the provider gets it back.
    fn encrypted(&mut self, detail: Value<'_>, blob: Str<'_>, path: &str) -> bool {
        let text = blob.text();
        let mut own = Vec::new();
        if text.starts_with(seal::PREFIX) {
            let sealed = seal::unseal(self.cx.seal_key, &text).filter(|sealed| {
                sealed.profile.strip_suffix(SEALED_FOR) == Some(&self.cx.profile.name)
            });
            own = sealed.map(|s| s.escaped_text).unwrap_or_default();
        } else if detail.str("format").is_none_or(|f| f == FORMAT_RAW) {
            blob.splice(&mut own);
        }
        if own.is_empty() {
            let message = "The reasoning is another provider's, or was changed on the way.";
            self.body.note("item.dropped", path, message);
            return false;
        }
        self.begin(b"reasoning\",");
        if let Some(id) = detail.str("id").filter(|id| is_item_id(id.raw())) {
            self.body.out.extend_from_slice(b"\"id\":\"");
            id.splice(&mut self.body.out);
            self.body.out.extend_from_slice(b"\",");
        }
        self.body
            .out
            .extend_from_slice(b"\"summary\":[],\"encrypted_content\":\"");
        self.body.out.extend_from_slice(&own);
        self.body.out.extend_from_slice(b"\"}");
        true
    }

    fn call(&mut self, call: Value<'_>, id: &str, path: &str) -> Result<(), Error> {
        let Some(custom) = call.present("custom") else {
            let path = format!("{path}.function");
            let function = call.present("function").ok_or_else(|| missing(&path))?;
            return self.function_call(function, id, &path);
        };
        let path = format!("{path}.custom.name");
        let name = custom.str("name").ok_or_else(|| missing(&path))?;
        self.custom.insert(id.to_owned());
        self.call_head(b"custom_tool_call\",\"call_id\":", id, name);
        self.body.out.extend_from_slice(b",\"input\":\"");
        let input = custom.str("input").unwrap_or(Str::EMPTY);
        input.splice(&mut self.body.out);
        self.body.out.extend_from_slice(b"\"}");
        Ok(())
    }

    fn function_call(&mut self, function: Value<'_>, id: &str, path: &str) -> Result<(), Error> {
        let name = function.str("name");
        let name = name.ok_or_else(|| missing(&format!("{path}.name")))?;
        self.call_head(b"function_call\",\"call_id\":", id, name);
        let out = &mut self.body.out;
        out.extend_from_slice(b",\"arguments\":\"");
        match function.present("arguments") {
            None => out.extend_from_slice(b"{}"),
            Some(arguments) => match arguments.as_str() {
                Some(text) if text.is_empty() => out.extend_from_slice(b"{}"),
                Some(text) => text.splice(out),
                // Some clients forget that it is JSON in a string.
                None => {
                    let mut json = Vec::new();
                    compact(&mut json, arguments);
                    write::escape_again(out, &json);
                }
            },
        }
        out.extend_from_slice(b"\"}");
        Ok(())
    }

    fn call_head(&mut self, head: &[u8], id: &str, name: Str<'_>) {
        self.begin(head);
        write::string(&mut self.body.out, id);
        self.body.out.extend_from_slice(b",\"name\":\"");
        name.splice(&mut self.body.out);
        self.body.out.push(b'"');
    }

    /// What a tool brought: one string where it is all text.
    fn output(&mut self, message: Value<'_>, id: &str, i: usize) -> Result<(), Error> {
        self.begin(match self.custom.contains(id) {
            true => b"custom_tool_call_output\",\"call_id\":",
            false => b"function_call_output\",\"call_id\":",
        });
        write::string(&mut self.body.out, id);
        self.body.out.extend_from_slice(b",\"output\":");
        let path = format!("messages[{i}].content");
        match message.present("content") {
            Some(content) if !parts::is_text(content) => parts::input(content, &path, self.body)?,
            content => {
                self.body.out.push(b'"');
                self.text(content, &path);
                self.body.out.push(b'"');
            }
        }
        self.body.out.push(b'}');
        Ok(())
    }

    fn text(&mut self, content: Option<Value<'_>>, path: &str) {
        let Some(content) = content else { return };
        let mut text = std::mem::take(&mut self.body.out);
        parts::text(content, path, &mut text, self.body);
        self.body.out = text;
    }

    /// Starts an item; `head` follows `{"type":"`.
    fn begin(&mut self, head: &[u8]) {
        if !std::mem::take(&mut self.first) {
            self.body.out.push(b',');
        }
        self.body.out.extend_from_slice(b"{\"type\":\"");
        self.body.out.extend_from_slice(head);
    }

    /// Says what of a message has no place in an item.
    fn unknown(&mut self, message: Value<'_>, i: usize) {
        let function = message.str("role").is_some_and(|r| r == "function");
        for (key, value) in message.entries() {
            let known = KNOWN.iter().any(|k| key == *k) || (function && key == "name");
            let empty = value.is_null() || value.raw() == b"[]";
            if !known && !empty {
                let path = format!("messages[{i}].{}", key.text());
                self.body
                    .note("field.dropped", path, "Items have no such field.");
            }
        }
    }
}

fn is_system(message: Value<'_>) -> bool {
    let role = message.str("role");
    role.is_some_and(|r| r == "system" || r == "developer")
}

/// Appends a part of an assistant's message, unless there is nothing in it.
fn spoken(list: &mut Vec<u8>, refusal: bool, text: Str<'_>) {
    if text.is_empty() {
        return;
    }
    if !list.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(match refusal {
        true => b"{\"type\":\"refusal\",\"refusal\":\"",
        false => b"{\"type\":\"output_text\",\"text\":\"",
    });
    text.splice(list);
    list.extend_from_slice(match refusal {
        true => b"\"}",
        false => b"\",\"annotations\":[]}",
    });
}

/// The id, or where it is too long one that is made from it, always the same.
fn legal_id(id: &str) -> String {
    if id.len() <= ID_BYTES_MAX {
        return id.to_owned();
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, id.as_bytes());
    let mut short = "call_".to_owned();
    for byte in &digest.as_ref()[..16] {
        short.push_str(&format!("{byte:02x}"));
    }
    short
}

/// Whether it is an id of a reasoning item: others are refused.
fn is_item_id(id: &[u8]) -> bool {
    let legal = |b: &u8| b.is_ascii_alphanumeric() || b"_-".contains(b);
    id.starts_with(b"rs_") && id.len() <= ID_BYTES_MAX && id.iter().all(legal)
}
