//! One chunk of a chat stream (or the message of a whole answer), field by field.

use super::item::{Open, Part};
use super::think::{self, Said};
use super::{Finish, State, Translator};
use crate::error::Error;
use crate::json::{Kind as JsonKind, Str, Value, write};
use crate::translate::diagnostic::Diagnostic;
use crate::translate::usage;

/// Whether an event is an error in one of the shapes that providers use.
pub(super) fn is_error(chunk: Value<'_>, event: &[u8]) -> bool {
    let broken = |base: Value<'_>| {
        base.get("status_code")
            .and_then(|c| c.as_u64())
            .is_some_and(|c| c != 0)
    };
    // Gemini wraps the object in a list.
    let chunk = chunk.items().next().unwrap_or(chunk);
    event == b"error"
        || chunk.present("error").is_some()
        || chunk.str("object").is_some_and(|o| o == "error")
        || chunk.present("base_resp").is_some_and(broken)
        || chunk.get("choices").is_none()
            && chunk.get("usage").is_none()
            && (chunk.get("message").is_some() || chunk.get("detail").is_some())
}

/// The fields in which providers send reasoning, in the order of trust.
const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "reasoning_text"];

impl Translator {
    pub(super) fn chunk(&mut self, chunk: Value<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut usage = usage::of_chunk(chunk);
        self.sources_of_chunk(chunk);
        let first = |c: &Value<'_>| c.get("index").and_then(|i| i.as_u64()).unwrap_or(0) == 0;
        let choice = chunk.present("choices").and_then(|c| c.items().find(first));
        if let Some(choice) = choice {
            usage = usage.or_else(|| usage::of_chat(choice.present("usage")));
            let delta = choice.present("delta");
            self.deltas |= delta.is_some_and(|d| d.entries().next().is_some());
            // Some providers end a stream by the whole message, which was said already.
            let whole = choice.present("message").filter(|_| !self.deltas);
            let delta = delta.or(whole);
            if let (Some(delta), None) = (delta, &self.finish) {
                self.delta(delta, choice, out)?;
            }
            if let Some(reason) = choice.str("finish_reason").filter(|r| !r.is_empty()) {
                self.finish
                    .get_or_insert_with(|| Finish::of(&reason.text()));
            }
        }
        if usage.is_some() {
            self.usage = usage;
            // The usual last word; `[DONE]` adds nothing to it.
            if self.finish.is_some() {
                return self.conclude(out);
            }
        }
        Ok(())
    }

    fn delta(
        &mut self,
        delta: Value<'_>,
        choice: Value<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.charge(delta.raw().len())?;
        self.sources_of(delta);
        for lost in ["audio", "images"] {
            if delta.present(lost).is_some() {
                self.drop_part(lost);
            }
        }
        self.reasoning_of(delta, out);
        if let Some(content) = delta.present("content") {
            let logprobs = logprobs_of(choice);
            match content.as_str() {
                Some(text) => self.content(text, &logprobs, out),
                None => self.content_parts(content, out),
            }
        }
        if let Some(refusal) = delta.str("refusal").filter(|r| !r.is_empty()) {
            let mut text = Vec::new();
            refusal.splice(&mut text);
            let part = match self.emitter.plan.refusal_as_text {
                true => Part::Text,
                false => Part::Refusal,
            };
            self.text(part, &text, b"", out);
        }
        if let Some(calls) = delta.present("tool_calls") {
            for call in calls.items() {
                self.call_delta(call, call.present("function"))?;
            }
            self.advance(out);
        } else if let Some(call) = delta.present("function_call") {
            self.call_delta(call, Some(call))?;
            self.advance(out);
        }
        Ok(())
    }

    /// Notes, once, that a part of the answer has no place in the client's dialect.
    fn drop_part(&mut self, name: &str) {
        let path = format!("choices[0].delta.{name}");
        if self.dropped.iter().all(|d| d.path != path) {
            self.dropped.push(Diagnostic {
                code: "output.dropped",
                path,
                message: "The answer held content that has no place in a response.".into(),
            });
        }
    }

    fn reasoning_of(&mut self, delta: Value<'_>, out: &mut Vec<u8>) {
        let details = delta.present("reasoning_details");
        if let Some(details) = details.filter(|_| self.emitter.plan.seal.is_some()) {
            self.carrier
                .details(details, self.emitter.plan.rules.cumulative);
        }
        for name in REASONING {
            let Some(text) = delta.str(name).filter(|t| !t.is_empty()) else {
                continue;
            };
            if *self.reasoning_source.get_or_insert(name) == name {
                self.reasoning_piece(text, out);
            }
            return;
        }
        let Some(details) = details else {
            return;
        };
        for detail in details.items() {
            let text = detail.str("text").or_else(|| detail.str("summary"));
            let Some(text) = text.filter(|t| !t.is_empty()) else {
                continue;
            };
            if *self.reasoning_source.get_or_insert("reasoning_details") == "reasoning_details" {
                self.reasoning_piece(text, out);
            }
        }
    }

    fn reasoning_piece(&mut self, text: Str<'_>, out: &mut Vec<u8>) {
        self.held_space.clear();
        self.settle_calls(out);
        let mut escaped = Vec::new();
        text.splice(&mut escaped);
        if self.emitter.plan.rules.cumulative {
            escaped = fresh(&mut self.repeated.reasoning, escaped);
        }
        if self.calls.is_open() {
            // A call is unfinished, and items do not interleave: thoughts cannot wait in order.
            return self.late_text_for_reasoning(escaped);
        }
        self.reasoning(&escaped, out);
    }

    fn late_text_for_reasoning(&mut self, escaped: Vec<u8>) {
        self.calls.late_reasoning.extend_from_slice(&escaped);
    }

    /// Mistral's list of parts: `thinking` and `text`.
    fn content_parts(&mut self, content: Value<'_>, out: &mut Vec<u8>) {
        for part in content.items() {
            match part.str("type").map(|t| t.text()).as_deref() {
                Some("thinking") => {
                    let Some(thinking) = part.get("thinking") else {
                        continue;
                    };
                    if let Some(text) = thinking.as_str() {
                        self.reasoning_piece(text, out);
                    }
                    for piece in thinking.items() {
                        if let Some(text) = piece.str("text").filter(|t| !t.is_empty()) {
                            self.reasoning_piece(text, out);
                        }
                    }
                }
                _ => {
                    if let Some(text) = part.str("text") {
                        self.content(text, b"", out);
                    }
                }
            }
        }
    }

    fn content(&mut self, text: Str<'_>, logprobs: &[u8], out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let mut escaped = Vec::new();
        text.splice(&mut escaped);
        if self.emitter.plan.rules.cumulative {
            escaped = fresh(&mut self.repeated.text, escaped);
        }
        if escaped.is_empty() {
            return;
        }
        if self.think.is_off() {
            return self.text(Part::Text, &escaped, logprobs, out);
        }
        let mut said = Vec::new();
        self.think.feed(&plain_angles(&escaped), |kind, text| {
            said.push((kind, text.to_vec()))
        });
        for (kind, text) in said {
            self.say(kind, &text, out);
        }
    }

    fn say(&mut self, kind: Said, text: &[u8], out: &mut Vec<u8>) {
        match kind {
            Said::Reasoning => self.reasoning(text, out),
            Said::Text => self.text(Part::Text, text, b"", out),
        }
    }

    /// The answer is over: nothing is held back for a tag any more.
    pub(super) fn flush_think(&mut self, out: &mut Vec<u8>) {
        if let Some((kind, text)) = self.think.finish() {
            self.say(kind, &text, out);
        }
    }

    fn text(&mut self, part: Part, text: &[u8], logprobs: &[u8], out: &mut Vec<u8>) {
        let message_open = matches!(self.open, Open::Message { .. });
        if !message_open && think::is_space(text) {
            self.held_space.extend_from_slice(text);
            return;
        }
        if self.calls.is_open() {
            self.settle_calls(out);
        }
        if self.calls.is_open() {
            let held = std::mem::take(&mut self.held_space);
            self.late_text.extend_from_slice(&held);
            self.late_text.extend_from_slice(text);
            return;
        }
        self.message(part, text, logprobs, out);
    }

    /// Closes the calls if all of them are complete, as when text follows them.
    fn settle_calls(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Committed && self.calls.all_complete() {
            self.close_calls(false, out);
        }
    }
}

/// What is new in `text`, where providers repeat what they have said.
fn fresh(said: &mut Vec<u8>, text: Vec<u8>) -> Vec<u8> {
    match text.strip_prefix(&said[..]) {
        Some(news) => {
            let news = news.to_vec();
            *said = text;
            news
        }
        // A plain delta after all.
        None => {
            said.extend_from_slice(&text);
            text
        }
    }
}

/// Go's encoder writes `<` as `\u003c`.
fn plain_angles(escaped: &[u8]) -> Vec<u8> {
    if memchr::memmem::find(escaped, b"\\u003").is_none() {
        return escaped.to_vec();
    }
    let text = String::from_utf8_lossy(escaped);
    let text = text.replace("\\u003c", "<").replace("\\u003e", ">");
    text.replace("\\u003C", "<")
        .replace("\\u003E", ">")
        .into_bytes()
}

/// The entries of `choices[].logprobs.content`, as the Responses API writes them.
fn logprobs_of(choice: Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let content = choice
        .present("logprobs")
        .and_then(|l| l.present("content"));
    let Some(content) = content.filter(|c| c.kind() == JsonKind::Array) else {
        return out;
    };
    for entry in content.items() {
        if !out.is_empty() {
            out.push(b',');
        }
        logprob(entry, &mut out);
        out.extend_from_slice(b",\"top_logprobs\":[");
        let mut first = true;
        for top in entry.present("top_logprobs").iter().flat_map(|t| t.items()) {
            if !std::mem::replace(&mut first, false) {
                out.push(b',');
            }
            logprob(top, &mut out);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }
    out
}

fn logprob(entry: Value<'_>, out: &mut Vec<u8>) {
    let token = entry.str("token").unwrap_or(Str::EMPTY);
    out.extend_from_slice(b"{\"token\":\"");
    token.splice(out);
    out.extend_from_slice(b"\",\"logprob\":");
    let number = entry
        .get("logprob")
        .filter(|n| n.kind() == JsonKind::Number);
    out.extend_from_slice(number.map_or(b"0", |n| n.raw()));
    out.extend_from_slice(b",\"bytes\":");
    match entry
        .present("bytes")
        .filter(|b| b.kind() == JsonKind::Array)
    {
        Some(bytes) => out.extend_from_slice(bytes.raw()),
        None => {
            out.push(b'[');
            for (i, byte) in token.text().bytes().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write::uint(out, u64::from(byte));
            }
            out.push(b']');
        }
    }
}
