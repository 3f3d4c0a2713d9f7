//! The answers that follow from a script, as bytes: what the provider sends and what a client of
//! a perfect gateway would read.

use crate::script::{Pattern, Script, Texts, VARIANTS};
use serde_json::{Value, json};
use std::sync::OnceLock;

/// The model that scripted answers name.
pub const MODEL: &str = "loadtest";
/// The one tool that is ever called.
pub const TOOL: &str = "lookup";
const CREATED: u64 = 1_780_000_000;

/// Which interface an answer belongs to.
#[derive(
    Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// Chat completions.
    Chat,
    /// The Responses API.
    Responses,
}

impl Api {
    /// The usual path of the interface.
    pub fn path(self) -> &'static str {
        match self {
            Api::Chat => "/v1/chat/completions",
            Api::Responses => "/v1/responses",
        }
    }
}

/// Where a delta ends, in the bytes and in the texts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    /// In the framed bytes.
    pub wire_end: usize,
    /// In the event stream.
    pub plain_end: usize,
    /// Where the delta's text is in the framed bytes.
    pub text_at: usize,
    /// Bytes of text up to here.
    pub text: usize,
    /// Bytes of reasoning up to here.
    pub reasoning: usize,
    /// Bytes of arguments up to here.
    pub arguments: usize,
}

/// A streaming answer.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The body with chunked framing: one chunk per delta.
    pub wire: Pattern,
    /// The event stream itself.
    pub plain: Pattern,
    /// The deltas.
    pub steps: Vec<Step>,
}

/// The texts an answer must add up to.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The text.
    pub text: Pattern,
    /// Where each text delta ends in it.
    pub text_ends: Vec<usize>,
    /// The text as it stands in a JSON string.
    pub escaped: Pattern,
    /// Where each text delta ends in that.
    pub escaped_ends: Vec<usize>,
    /// The reasoning.
    pub reasoning: Pattern,
    /// The tool call's arguments.
    pub arguments: Pattern,
}

/// All answers of a script, each made when it is first asked for.
#[derive(Debug)]
pub struct Answers {
    /// The script.
    pub script: Script,
    texts: Vec<Texts>,
    expected: Vec<Expected>,
    streams: [[OnceLock<Stream>; VARIANTS]; 3],
    objects: [[OnceLock<Pattern>; VARIANTS]; 2],
}

impl Answers {
    /// The answers of `script`.
    pub fn new(script: &Script) -> Result<Answers, String> {
        script.check()?;
        let texts: Vec<Texts> = (0..VARIANTS).map(|v| Texts::new(script, v)).collect();
        Ok(Answers {
            script: script.clone(),
            expected: texts.iter().map(Expected::new).collect(),
            texts,
            streams: Default::default(),
            objects: Default::default(),
        })
    }

    /// What an answer of `variant` must add up to.
    pub fn expected(&self, variant: usize) -> &Expected {
        &self.expected[variant]
    }

    /// The streaming answer; `usage` says whether a chat client asked for it.
    pub fn stream(&self, api: Api, usage: bool, variant: usize) -> &Stream {
        let kind = match (api, usage) {
            (Api::Chat, false) => 0,
            (Api::Chat, true) => 1,
            (Api::Responses, _) => 2,
        };
        let texts = &self.texts[variant];
        self.streams[kind][variant].get_or_init(|| match api {
            Api::Chat => chat_stream(texts, usage),
            Api::Responses => responses_stream(texts),
        })
    }

    /// The answer as one JSON object.
    pub fn object(&self, api: Api, variant: usize) -> &Pattern {
        let texts = &self.texts[variant];
        self.objects[(api == Api::Responses) as usize][variant].get_or_init(|| {
            let object = match api {
                Api::Chat => chat_object(texts),
                Api::Responses => response(texts, "completed"),
            };
            Pattern::new(object.to_string().into_bytes())
        })
    }
}

impl Expected {
    fn new(texts: &Texts) -> Expected {
        let mut escaped = Vec::new();
        let (mut text_ends, mut escaped_ends, mut text_end) = (Vec::new(), Vec::new(), 0);
        for delta in &texts.text {
            let quoted = Value::from(delta.as_str()).to_string();
            escaped.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
            text_end += delta.len();
            text_ends.push(text_end);
            escaped_ends.push(escaped.len());
        }
        Expected {
            text: Pattern::new(texts.text.concat().into_bytes()),
            text_ends,
            escaped: Pattern::new(escaped),
            escaped_ends,
            reasoning: Pattern::new(texts.reasoning.concat().into_bytes()),
            arguments: Pattern::new(texts.arguments.concat().into_bytes()),
        }
    }
}

/// Collects events into steps.
#[derive(Default)]
struct Writer {
    wire: Vec<u8>,
    plain: Vec<u8>,
    chunk: Vec<u8>,
    text_at: usize,
    steps: Vec<Step>,
    sequence: u64,
    counts: (usize, usize, usize),
}

#[derive(Clone, Copy)]
enum Kind {
    Reasoning,
    Text,
    Arguments,
}

impl Writer {
    fn chat(&mut self, event: &Value) {
        self.chunk
            .extend_from_slice(format!("data: {event}\n\n").as_bytes());
    }

    fn responses(&mut self, kind: &str, mut fields: Value) {
        let mut event = json!({"type": kind, "sequence_number": self.sequence});
        self.sequence += 1;
        let (to, from) = (event.as_object_mut(), fields.as_object_mut());
        to.expect("an object").append(from.expect("an object"));
        self.chunk
            .extend_from_slice(format!("event: {kind}\ndata: {event}\n\n").as_bytes());
    }

    /// Ends the step whose event, the last one written, carries `delta`.
    fn step(&mut self, kind: Kind, delta: &str) {
        let quoted = Value::from(delta).to_string();
        let at = memchr::memmem::rfind(&self.chunk, quoted.as_bytes());
        let at = at.expect("the delta was just written") + 1;
        let count = match kind {
            Kind::Reasoning => &mut self.counts.0,
            Kind::Text => &mut self.counts.1,
            Kind::Arguments => &mut self.counts.2,
        };
        *count += delta.len();
        self.text_at = at;
        self.flush();
        let (reasoning, text, arguments) = self.counts;
        self.steps.push(Step {
            wire_end: self.wire.len(),
            plain_end: self.plain.len(),
            text_at: self.text_at,
            text,
            reasoning,
            arguments,
        });
    }

    fn flush(&mut self) {
        let head = format!("{:x}\r\n", self.chunk.len());
        self.text_at += self.wire.len() + head.len();
        self.wire.extend_from_slice(head.as_bytes());
        self.wire.extend_from_slice(&self.chunk);
        self.wire.extend_from_slice(b"\r\n");
        self.plain.append(&mut self.chunk);
    }

    /// The trailer goes with the last delta: its chunk follows in the same write.
    fn finish(mut self) -> Stream {
        self.flush();
        self.wire.extend_from_slice(b"0\r\n\r\n");
        if let Some(last) = self.steps.last_mut() {
            last.wire_end = self.wire.len();
        }
        Stream {
            wire: Pattern::new(self.wire),
            plain: Pattern::new(self.plain),
            steps: self.steps,
        }
    }
}

fn chat_usage(texts: &Texts) -> Value {
    let out = texts.text.len() + texts.reasoning.len() + texts.arguments.len();
    json!({
        "prompt_tokens": 11,
        "completion_tokens": out,
        "total_tokens": 11 + out,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": texts.reasoning.len()},
    })
}

fn chat_stream(texts: &Texts, usage: bool) -> Stream {
    let mut w = Writer::default();
    let chunk = |delta: Value, finish: Value| {
        let mut chunk = json!({
            "id": "chatcmpl-5f0c1e9a7b3d4826",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": MODEL,
            "system_fingerprint": "fp_loadtest_0001",
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
        });
        if usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    w.chat(&chunk(
        json!({"role": "assistant", "content": ""}),
        Value::Null,
    ));
    for delta in &texts.reasoning {
        w.chat(&chunk(json!({"reasoning_content": delta}), Value::Null));
        w.step(Kind::Reasoning, delta);
    }
    for delta in &texts.text {
        w.chat(&chunk(json!({"content": delta}), Value::Null));
        w.step(Kind::Text, delta);
    }
    if !texts.arguments.is_empty() {
        let call = json!({"tool_calls": [{"index": 0, "id": "call_lt_0001", "type": "function",
            "function": {"name": TOOL, "arguments": ""}}]});
        w.chat(&chunk(call, Value::Null));
    }
    for delta in &texts.arguments {
        let call = json!({"tool_calls": [{"index": 0, "function": {"arguments": delta}}]});
        w.chat(&chunk(call, Value::Null));
        w.step(Kind::Arguments, delta);
    }
    w.chat(&chunk(json!({}), finish_reason(texts).into()));
    if usage {
        let mut last = chunk(json!({}), Value::Null);
        last["choices"] = json!([]);
        last["usage"] = chat_usage(texts);
        w.chat(&last);
    }
    w.chunk.extend_from_slice(b"data: [DONE]\n\n");
    w.finish()
}

fn finish_reason(texts: &Texts) -> &'static str {
    match texts.arguments.is_empty() {
        true => "stop",
        false => "tool_calls",
    }
}

fn chat_object(texts: &Texts) -> Value {
    let mut message = json!({"role": "assistant", "content": texts.text.concat()});
    if !texts.reasoning.is_empty() {
        message["reasoning_content"] = texts.reasoning.concat().into();
    }
    if !texts.arguments.is_empty() {
        message["tool_calls"] = json!([{"id": "call_lt_0001", "type": "function",
            "function": {"name": TOOL, "arguments": texts.arguments.concat()}}]);
    }
    json!({
        "id": "chatcmpl-5f0c1e9a7b3d4826",
        "object": "chat.completion",
        "created": CREATED,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "logprobs": null,
            "finish_reason": finish_reason(texts)}],
        "usage": chat_usage(texts),
    })
}

fn reasoning_item(texts: &Texts) -> Value {
    json!({"id": "rs_lt_1", "type": "reasoning", "summary": [],
        "content": [{"type": "reasoning_text", "text": texts.reasoning.concat()}]})
}

fn message_item(texts: &Texts) -> Value {
    json!({"id": "msg_lt_1", "type": "message", "status": "completed", "role": "assistant",
        "content": [text_part(&texts.text.concat())]})
}

fn call_item(texts: &Texts) -> Value {
    json!({"id": "fc_lt_1", "type": "function_call", "status": "completed", "name": TOOL,
        "call_id": "call_lt_0001", "arguments": texts.arguments.concat()})
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn response(texts: &Texts, status: &str) -> Value {
    let done = status == "completed";
    let mut output = Vec::new();
    if done {
        if !texts.reasoning.is_empty() {
            output.push(reasoning_item(texts));
        }
        if !texts.text.is_empty() {
            output.push(message_item(texts));
        }
        if !texts.arguments.is_empty() {
            output.push(call_item(texts));
        }
    }
    let tokens = texts.text.len() + texts.reasoning.len() + texts.arguments.len();
    let usage = match done {
        true => json!({"input_tokens": 11, "input_tokens_details": {"cached_tokens": 3},
            "output_tokens": tokens,
            "output_tokens_details": {"reasoning_tokens": texts.reasoning.len()},
            "total_tokens": 11 + tokens}),
        false => Value::Null,
    };
    json!({
        "id": "resp_lt_1", "object": "response", "created_at": CREATED, "status": status,
        "error": null, "incomplete_details": null, "instructions": null, "metadata": {},
        "model": MODEL, "output": output, "parallel_tool_calls": true, "temperature": 1.0,
        "tool_choice": "auto", "tools": [], "top_p": 1.0, "usage": usage,
    })
}

fn responses_stream(texts: &Texts) -> Stream {
    let mut w = Writer::default();
    let begun = json!({"response": response(texts, "in_progress")});
    w.responses("response.created", begun.clone());
    w.responses("response.in_progress", begun);
    let mut index = 0;
    if !texts.reasoning.is_empty() {
        let item = json!({"id": "rs_lt_1", "type": "reasoning", "summary": [], "content": []});
        w.responses(
            "response.output_item.added",
            json!({"output_index": 0, "item": item}),
        );
        let at = |field: &str, value: Value| json!({"item_id": "rs_lt_1", "output_index": 0, "content_index": 0, field: value});
        for delta in &texts.reasoning {
            w.responses(
                "response.reasoning_text.delta",
                at("delta", delta.as_str().into()),
            );
            w.step(Kind::Reasoning, delta);
        }
        let whole = texts.reasoning.concat();
        w.responses("response.reasoning_text.done", at("text", whole.into()));
        let done = json!({"output_index": 0, "item": reasoning_item(texts)});
        w.responses("response.output_item.done", done);
        index += 1;
    }
    if !texts.text.is_empty() {
        let item = json!({"id": "msg_lt_1", "type": "message", "status": "in_progress",
            "role": "assistant", "content": []});
        w.responses(
            "response.output_item.added",
            json!({"output_index": index, "item": item}),
        );
        let at = |field: &str, value: Value| json!({"item_id": "msg_lt_1", "output_index": index, "content_index": 0, field: value});
        w.responses("response.content_part.added", at("part", text_part("")));
        for delta in &texts.text {
            w.responses(
                "response.output_text.delta",
                at("delta", delta.as_str().into()),
            );
            w.step(Kind::Text, delta);
        }
        let whole = texts.text.concat();
        w.responses(
            "response.output_text.done",
            at("text", whole.as_str().into()),
        );
        w.responses("response.content_part.done", at("part", text_part(&whole)));
        let done = json!({"output_index": index, "item": message_item(texts)});
        w.responses("response.output_item.done", done);
        index += 1;
    }
    if !texts.arguments.is_empty() {
        let mut item = call_item(texts);
        item["status"] = "in_progress".into();
        item["arguments"] = "".into();
        w.responses(
            "response.output_item.added",
            json!({"output_index": index, "item": item}),
        );
        let at = |field: &str, value: Value| json!({"item_id": "fc_lt_1", "output_index": index, field: value});
        for delta in &texts.arguments {
            let event = at("delta", delta.as_str().into());
            w.responses("response.function_call_arguments.delta", event);
            w.step(Kind::Arguments, delta);
        }
        let whole = at("arguments", texts.arguments.concat().into());
        w.responses("response.function_call_arguments.done", whole);
        let done = json!({"output_index": index, "item": call_item(texts)});
        w.responses("response.output_item.done", done);
    }
    w.responses(
        "response.completed",
        json!({"response": response(texts, "completed")}),
    );
    w.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_lie_in_order_and_hold_their_deltas() {
        let script = Script {
            deltas: 20,
            reasoning: 2,
            tool_deltas: 3,
            ..Script::default()
        };
        let answers = Answers::new(&script).unwrap();
        for (api, usage) in [
            (Api::Chat, true),
            (Api::Chat, false),
            (Api::Responses, true),
        ] {
            let stream = answers.stream(api, usage, 1);
            assert_eq!(stream.steps.len(), 25);
            assert!(
                stream
                    .steps
                    .windows(2)
                    .all(|s| s[0].wire_end < s[1].wire_end)
            );
            assert_eq!(stream.steps[24].wire_end, stream.wire.bytes.len());
            let at = stream.steps[2].text_at;
            assert_eq!(&stream.wire.bytes[at..at + 8], b"@@HOLE@@");
            assert!(stream.plain.bytes.ends_with(b"\n\n"));
            assert!(!stream.plain.holes.is_empty());
        }
    }
}
