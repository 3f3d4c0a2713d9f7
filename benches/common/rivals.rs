//! The translator's step done the usual way: a frame is cut out, parsed by a library, and its
//! delta written into an event by `write!`. What they write is checked against the translator.

use serde::Deserialize;
use simd_json::prelude::*;
use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use super::transcript::Carry;

/// How a frame is parsed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parser {
    /// simd-json into structs.
    SimdTyped,
    /// simd-json's tape, walked; every buffer is used again.
    SimdTape,
    /// serde_json into structs.
    SerdeTyped,
}

impl Parser {
    /// All of them.
    pub const ALL: [Parser; 3] = [Parser::SimdTyped, Parser::SimdTape, Parser::SerdeTyped];

    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Parser::SimdTyped => "simd-json typed",
            Parser::SimdTape => "simd-json tape",
            Parser::SerdeTyped => "serde_json typed",
        }
    }
}

/// A string that borrows where it can, also inside an `Option`.
#[derive(Debug)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Usage {
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    arguments: Option<Text<'a>>,
}

impl<'a> Delta<'a> {
    fn carried(self, carry: Carry) -> Option<Text<'a>> {
        match carry {
            Carry::Reasoning => self.reasoning_content,
            Carry::Text | Carry::Unpredicted => self.content,
            Carry::Arguments | Carry::Custom => {
                self.tool_calls?.into_iter().next()?.function.arguments
            }
        }
    }
}

/// The step of one stream.
pub struct Rival {
    parser: Parser,
    carry: Carry,
    item_id: String,
    sequence: u64,
    output_index: u64,
    /// All that was said, for the events that close the item.
    said: String,
    /// A frame's beginning, whose end has not come.
    held: Vec<u8>,
    /// simd-json parses in place.
    copy: Vec<u8>,
    buffers: simd_json::Buffers,
    tape: simd_json::Tape<'static>,
    /// The last fragment ended behind a backslash.
    escape: bool,
    tokens: u64,
    finished: bool,
}

impl Rival {
    /// Goes on where `first`, the translator's first event of the steady stretch, begins.
    pub fn new(parser: Parser, carry: Carry, first: &serde_json::Value) -> Self {
        Rival {
            parser,
            carry,
            item_id: first["item_id"].as_str().expect("an item").to_owned(),
            sequence: first["sequence_number"].as_u64().expect("a number"),
            output_index: first["output_index"].as_u64().expect("an index"),
            said: String::new(),
            held: Vec::new(),
            copy: Vec::new(),
            buffers: simd_json::Buffers::default(),
            tape: simd_json::Tape::null(),
            escape: false,
            tokens: 0,
            finished: false,
        }
    }

    /// Takes the next bytes; appends events.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut held = std::mem::take(&mut self.held);
        let mut rest = input;
        if !held.is_empty() {
            let from = held.len();
            held.extend_from_slice(rest);
            let Some(at) = memchr::memmem::find(&held[from.saturating_sub(1)..], b"\n\n") else {
                self.held = held;
                return;
            };
            let end = at + from.saturating_sub(1);
            rest = &rest[end + 2 - from..];
            self.frame(&held[..end], out);
            held.clear();
        }
        while let Some(end) = memchr::memmem::find(rest, b"\n\n") {
            self.frame(&rest[..end], out);
            rest = &rest[end + 2..];
        }
        held.extend_from_slice(rest);
        self.held = held;
    }

    fn frame(&mut self, frame: &[u8], out: &mut Vec<u8>) {
        let data = frame.strip_prefix(b"data: ").unwrap_or(frame);
        let mut copy = std::mem::take(&mut self.copy);
        copy.clear();
        copy.extend_from_slice(data);
        match self.parser {
            Parser::SerdeTyped => {
                let chunk: Chunk<'_> = serde_json::from_slice(data).expect("a chunk");
                self.chunk(chunk, out);
            }
            Parser::SimdTyped => {
                let chunk: Chunk<'_> =
                    simd_json::serde::from_slice_with_buffers(&mut copy, &mut self.buffers)
                        .expect("a chunk");
                self.chunk(chunk, out);
            }
            Parser::SimdTape => {
                let mut tape = std::mem::replace(&mut self.tape, simd_json::Tape::null()).reset();
                simd_json::fill_tape(&mut copy, &mut self.buffers, &mut tape).expect("a chunk");
                let chunk = tape.as_value();
                let usage = chunk.get("usage").and_then(|u| u.get("completion_tokens"));
                self.tokens = usage.and_then(|u| u.as_u64()).unwrap_or(self.tokens);
                if let Some(choice) = chunk.get("choices").and_then(|c| c.into_array()?.get(0)) {
                    let reason = choice.get("finish_reason");
                    self.finished |= reason.is_some_and(|r| r.as_str().is_some());
                    if let Some(text) = walk(choice, self.carry) {
                        self.emit(text, out);
                    }
                }
                self.tape = tape.reset();
            }
        }
        self.copy = copy;
    }

    fn chunk(&mut self, chunk: Chunk<'_>, out: &mut Vec<u8>) {
        self.tokens = chunk.usage.map_or(self.tokens, |u| u.completion_tokens);
        let Some(choice) = chunk.choices.into_iter().next() else {
            return;
        };
        self.finished |= choice.finish_reason.is_some();
        if let Some(text) = choice.delta.carried(self.carry) {
            self.emit(&text.0, out);
        }
    }

    fn emit(&mut self, text: &str, out: &mut Vec<u8>) {
        let from = self.said.len();
        match self.carry {
            Carry::Custom => self.unescape(text),
            _ => self.said.push_str(text),
        }
        let delta = &self.said[from..];
        if delta.is_empty() {
            return;
        }
        let (kind, part, logprobs) = match self.carry {
            Carry::Reasoning => ("response.reasoning_text.delta", ",\"content_index\":0", ""),
            Carry::Text | Carry::Unpredicted => (
                "response.output_text.delta",
                ",\"content_index\":0",
                ",\"logprobs\":[]",
            ),
            Carry::Arguments => ("response.function_call_arguments.delta", "", ""),
            Carry::Custom => ("response.custom_tool_call_input.delta", "", ""),
        };
        let Rival {
            item_id,
            sequence,
            output_index,
            ..
        } = self;
        write!(
            out,
            "event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{sequence},\"item_id\":\"{item_id}\",\"output_index\":{output_index}{part},\"delta\":"
        )
        .expect("a vector takes all");
        serde_json::to_writer(&mut *out, delta).expect("a vector takes all");
        write!(out, "{logprobs}}}\n\n").expect("a vector takes all");
        self.sequence += 1;
    }

    /// Decodes the inner string of `{"input":"…"}`, which a fragment may cut anywhere.
    fn unescape(&mut self, text: &str) {
        for c in text.chars() {
            match (std::mem::take(&mut self.escape), c) {
                (true, 'n') => self.said.push('\n'),
                (true, 't') => self.said.push('\t'),
                (true, c) => self.said.push(c),
                (false, '\\') => self.escape = true,
                (false, c) => self.said.push(c),
            }
        }
    }
}

fn walk<'i>(choice: simd_json::tape::Value<'_, 'i>, carry: Carry) -> Option<&'i str> {
    let delta = choice.get("delta")?;
    let text = match carry {
        Carry::Reasoning => delta.get("reasoning_content")?,
        Carry::Text | Carry::Unpredicted => delta.get("content")?,
        Carry::Arguments | Carry::Custom => {
            let call = delta.get("tool_calls")?.into_array()?.get(0)?;
            call.get("function")?.get("arguments")?
        }
    };
    text.into_string()
}
