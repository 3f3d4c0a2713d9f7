//! One chunk of a chat stream (or the message of a whole answer), field by field.

use super::item::{Open, Part};
use super::think::{self, Said};
use super::view::{Choice, Delta, Root};
use super::{Finish, State, Translator};
use crate::error::Error;
use crate::json::{Kind as JsonKind, Str, Value, write};
use crate::translate::diagnostic::Diagnostic;
use crate::translate::usage;
use std::borrow::Cow;

impl Translator {
    pub(super) fn chunk(&mut self, chunk: &Root<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let beside = |x: Value<'_>| usage::of_chat(x.present("usage"));
        let mut usage = usage::of_chat(chunk.usage()).or_else(|| chunk.x_groq().and_then(beside));
        self.sources_of_chunk(chunk);
        if let Some(choice) = chunk.choices().and_then(Choice::first) {
            usage = usage.or_else(|| usage::of_chat(choice.usage()));
            let delta = choice.delta();
            self.deltas |= delta.is_some_and(|d| d.entries().next().is_some());
            // Some providers end a stream by the whole message, which was said already.
            let whole = choice.message().filter(|_| !self.deltas);
            let delta = delta.or(whole);
            if let (Some(delta), None) = (delta, &self.finish) {
                self.delta(delta, &choice, out)?;
            }
            let reason = choice.finish_reason().and_then(|r| r.as_str());
            if let Some(reason) = reason.filter(|r| !r.is_empty())
                && self.finish.is_none()
            {
                self.stop = reason.text().into_owned();
                let model = chunk.model().map(|m| m.text().into_owned());
                self.served = model.unwrap_or_default();
                self.finish = Some(Finish::of(&self.stop));
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
        choice: &Choice<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.charge(delta.raw().len())?;
        let delta = Delta::of(delta);
        self.sources_of(delta.annotations());
        for (name, lost) in [("audio", delta.audio()), ("images", delta.images())] {
            if lost.is_some() {
                self.drop_part(name);
            }
        }
        self.reasoning_of(&delta, out);
        if let Some(content) = delta.content() {
            let logprobs = logprobs_of(choice.logprobs());
            match content.as_str() {
                Some(text) => self.content(text, &logprobs, out),
                None => self.content_parts(content, out),
            }
        }
        let refusal = delta.refusal().and_then(|r| r.as_str());
        if let Some(refusal) = refusal.filter(|r| !r.is_empty()) {
            let part = match self.emitter.plan.refusal_as_text {
                true => Part::Text,
                false => Part::Refusal,
            };
            self.text(part, &refusal.escaped(), b"", out);
        }
        if let Some(calls) = delta.tool_calls() {
            for call in calls.items() {
                self.call_delta(call, call.present("function"));
            }
            self.advance(out);
        } else if let Some(call) = delta.function_call() {
            self.call_delta(call, Some(call));
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

    fn reasoning_of(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) {
        let details = delta.reasoning_details();
        if let Some(details) = details.filter(|_| self.emitter.plan.seal.is_some()) {
            self.carrier
                .details(details, self.emitter.plan.rules.cumulative);
        }
        for (name, member) in delta.reasoning() {
            let text = member.and_then(|m| m.as_str());
            let Some(text) = text.filter(|t| !t.is_empty()) else {
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
        let mut escaped = text.escaped();
        if self.emitter.plan.rules.cumulative {
            let said = &mut self.repeated.get_or_insert_default().reasoning;
            escaped = Cow::Owned(fresh(said, escaped.into_owned()));
        }
        self.thought(&escaped, out);
    }

    fn thought(&mut self, escaped: &[u8], out: &mut Vec<u8>) {
        self.held_space.clear();
        self.settle_calls(out);
        if self.calls.is_open() {
            // A call is unfinished, and items do not interleave: thoughts cannot wait in order.
            return self.calls.late_reasoning.extend_from_slice(escaped);
        }
        self.reasoning(escaped, out);
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
        let mut escaped = text.escaped();
        if self.emitter.plan.rules.cumulative {
            let said = &mut self.repeated.get_or_insert_default().text;
            escaped = Cow::Owned(fresh(said, escaped.into_owned()));
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
            Said::Reasoning => self.thought(text, out),
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
        let done = self.calls.is_open() && self.calls.all_complete();
        if self.state == State::Committed && done {
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
    let mut plain = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        // Escapes are taken one by one: behind an escaped backslash, `u003c` is text.
        let (text, len): (&[u8], _) = match rest.get(1..6) {
            Some(b"u003c" | b"u003C") => (b"<", 6),
            Some(b"u003e" | b"u003E") => (b">", 6),
            _ => (&rest[..rest.len().min(2)], rest.len().min(2)),
        };
        plain.extend_from_slice(text);
        rest = &rest[len..];
    }
    plain.extend_from_slice(rest);
    plain
}

/// The entries of `choices[].logprobs.content`, as the Responses API writes them.
fn logprobs_of(logprobs: Option<Value<'_>>) -> Vec<u8> {
    let mut out = Vec::new();
    let content = logprobs.and_then(|l| l.present("content"));
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
        .filter(|n| n.as_f64().is_some_and(f64::is_finite));
    out.extend_from_slice(number.map_or(b"0", |n| n.raw()));
    out.extend_from_slice(b",\"bytes\":");
    let given = entry
        .present("bytes")
        .filter(|b| b.kind() == JsonKind::Array);
    let bytes: Vec<u64> = match given {
        Some(bytes) => bytes.items().filter_map(|b| b.as_u64()).collect(),
        None => token.text().bytes().map(u64::from).collect(),
    };
    out.push(b'[');
    for (i, byte) in bytes.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write::uint(out, byte);
    }
    out.push(b']');
}
