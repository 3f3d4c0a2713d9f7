//! What each event means.

use super::items::{Item, ItemKind, Thought, find, slot};
use super::{State, Translator, failure};
use crate::error::Error;
use crate::json::{Kind, Str, Value, write};
use crate::translate::ending::Ending;
use crate::translate::reverse::{FORMAT_RAW, FORMAT_SEALED, SEALED_FOR};
use crate::translate::seal;
use crate::translate::usage;

/// How an answer ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Completed,
    Filtered,
    Cut,
}

impl Translator {
    pub(super) fn event(
        &mut self,
        name: &[u8],
        event: Value<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let kind = event.str("type").map_or(name, |t| t.raw());
        let Some(kind) = kind.strip_prefix(b"response.") else {
            if kind == b"error" || event.present("error").is_some() {
                return Err(failure::of_event(event));
            }
            return Ok(());
        };
        match kind {
            b"output_text.delta" => {
                let place = (self.item_of(event), number(event, "content_index"));
                let text = event.str("delta").unwrap_or(Str::EMPTY);
                slot(&mut self.items, place.0).streamed |= !text.is_empty();
                return self.text(place, text, event.present("logprobs"), out);
            }
            b"output_text.done" => {
                let place = (self.item_of(event), number(event, "content_index"));
                let probs = event.present("logprobs");
                return self.whole_text(place, event.str("text"), probs, out);
            }
            b"output_text.annotation.added" => {
                let place = (self.item_of(event), number(event, "content_index"));
                if let Some(annotation) = event.present("annotation") {
                    slot(&mut slot(&mut self.items, place.0).parts, place.1).annotations += 1;
                    self.annotation(place, annotation);
                }
            }
            b"refusal.delta" => {
                let place = (self.item_of(event), number(event, "content_index"));
                let text = event.str("delta").unwrap_or(Str::EMPTY);
                slot(&mut self.items, place.0).streamed |= !text.is_empty();
                self.refusal(place, text, out);
            }
            b"refusal.done" => {
                let place = (self.item_of(event), number(event, "content_index"));
                self.whole_refusal(place, event.str("refusal"), out);
            }
            b"reasoning_text.delta" | b"reasoning.delta" => {
                self.reasoning(event, Thought::Raw, out);
            }
            b"reasoning_text.done" | b"reasoning.done" => {
                let place = (self.item_of(event), number(event, "content_index"));
                self.whole_thought(place, Thought::Raw, event.str("text"), out);
            }
            b"reasoning_summary_text.delta" => self.reasoning(event, Thought::Summary, out),
            b"reasoning_summary_text.done" => {
                let place = (self.item_of(event), number(event, "summary_index"));
                self.whole_thought(place, Thought::Summary, event.str("text"), out);
            }
            b"reasoning_summary_part.done" => {
                let place = (self.item_of(event), number(event, "summary_index"));
                let text = event.present("part").and_then(|p| p.str("text"));
                self.whole_thought(place, Thought::Summary, text, out);
            }
            b"reasoning_summary_part.added" => {
                let place = (self.item_of(event), number(event, "summary_index"));
                slot(&mut slot(&mut self.items, place.0).parts, place.1).added = true;
            }
            b"content_part.added" => {
                let place = (self.item_of(event), number(event, "content_index"));
                slot(&mut slot(&mut self.items, place.0).parts, place.1).added = true;
            }
            b"content_part.done" => {
                let place = (self.item_of(event), number(event, "content_index"));
                if let Some(part) = event.present("part") {
                    return self.part(place, part, out);
                }
            }
            b"output_item.added" => {
                let o = self.item_of(event);
                if let Some(item) = event.present("item") {
                    slot(&mut self.items, o).kind = ItemKind::of(item);
                    if is_call(item) {
                        self.announce(o, item, out);
                    }
                }
            }
            b"output_item.done" => {
                let o = self.item_of(event);
                if let Some(item) = event.present("item") {
                    return self.item_done(o, item, out);
                }
            }
            b"function_call_arguments.delta" | b"custom_tool_call_input.delta" => {
                let o = self.item_of(event);
                self.arguments(o, event.str("delta").unwrap_or(Str::EMPTY), out);
            }
            b"function_call_arguments.done" => {
                let o = self.item_of(event);
                self.all_arguments(o, event.present("arguments"), out);
            }
            b"custom_tool_call_input.done" => {
                let o = self.item_of(event);
                self.all_arguments(o, event.present("input"), out);
            }
            b"completed" | b"done" | b"incomplete" | b"failed" | b"cancelled" => {
                let response = event.present("response").unwrap_or(event);
                // The name of the event is the status, except for one that says it all inside.
                let status = (kind != b"done").then(|| String::from_utf8_lossy(kind));
                return self.response(response, status.as_deref(), out);
            }
            b"error" => return Err(failure::of_event(event)),
            _ => {}
        }
        Ok(())
    }

    /// The item of an event: its index, or where that is left out the item before.
    fn item_of(&self, event: Value<'_>) -> u64 {
        let given = event.get("output_index").and_then(|n| n.as_u64());
        let last = || self.items.last().map(super::items::Numbered::number);
        given.or_else(last).unwrap_or(0)
    }

    fn whole_text(
        &mut self,
        place: (u64, u64),
        text: Option<Str<'_>>,
        probs: Option<Value<'_>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match text {
            Some(text) if slot(&mut self.items, place.0).is_news(place.1) => {
                self.text(place, text, probs, out)
            }
            _ => Ok(()),
        }
    }

    fn whole_refusal(&mut self, place: (u64, u64), text: Option<Str<'_>>, out: &mut Vec<u8>) {
        if let Some(text) = text
            && slot(&mut self.items, place.0).is_news(place.1)
        {
            self.refusal(place, text, out);
        }
    }

    fn reasoning(&mut self, event: Value<'_>, source: Thought, out: &mut Vec<u8>) {
        let o = self.item_of(event);
        let text = event.str("delta").unwrap_or(Str::EMPTY);
        let item = slot(&mut self.items, o);
        if text.is_empty() || !item.is_source(source) {
            return;
        }
        item.streamed = true;
        let part = match source {
            Thought::Raw => number(event, "content_index"),
            Thought::Summary => number(event, "summary_index"),
        };
        self.thought((o, part), source, text, out);
    }

    fn whole_thought(
        &mut self,
        place: (u64, u64),
        source: Thought,
        text: Option<Str<'_>>,
        out: &mut Vec<u8>,
    ) {
        let Some(text) = text.filter(|t| !t.is_empty()) else {
            return;
        };
        let item = slot(&mut self.items, place.0);
        if item.is_source(source) && item.is_news(place.1) {
            self.thought(place, source, text, out);
        }
    }

    /// A part of a message or of a reasoning item, whole.
    fn part(&mut self, place: (u64, u64), part: Value<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        match &*part.str("type").unwrap_or(Str::EMPTY).text() {
            "output_text" | "text" => {
                let probs = part.present("logprobs");
                self.whole_text(place, part.str("text"), probs, out)?;
                let annotations = part.present("annotations");
                let annotations = || annotations.iter().flat_map(|a| a.items());
                let known =
                    &mut slot(&mut slot(&mut self.items, place.0).parts, place.1).annotations;
                let fresh = *known;
                *known = fresh.max(annotations().count());
                for annotation in annotations().skip(fresh) {
                    self.annotation(place, annotation);
                }
            }
            "refusal" => self.whole_refusal(place, part.str("refusal"), out),
            "reasoning_text" => {
                self.whole_thought(place, Thought::Raw, part.str("text"), out);
            }
            _ => {}
        }
        Ok(())
    }

    fn item_done(&mut self, o: u64, item: Value<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        if std::mem::replace(&mut slot(&mut self.items, o).done, true) {
            return Ok(());
        }
        match ItemKind::of(item) {
            Some(ItemKind::Message) => {
                let content = item.present("content");
                for (c, part) in content.iter().flat_map(|c| c.items()).enumerate() {
                    self.part((o, c as u64), part, out)?;
                    if self.state == State::Over {
                        break;
                    }
                }
            }
            Some(ItemKind::Reasoning) => {
                let content = item.present("content");
                for (c, part) in content.iter().flat_map(|c| c.items()).enumerate() {
                    let place = (o, c as u64);
                    self.whole_thought(place, Thought::Raw, part.str("text"), out);
                }
                let summary = item.present("summary");
                for (s, part) in summary.iter().flat_map(|c| c.items()).enumerate() {
                    let place = (o, s as u64);
                    self.whole_thought(place, Thought::Summary, part.str("text"), out);
                }
                self.encrypted(o, item, out);
            }
            Some(ItemKind::Call) => {
                self.announce(o, item, out);
                let text = item.present("arguments").or_else(|| item.present("input"));
                self.all_arguments(o, text, out);
                if item.str("status").is_none_or(|s| s != "incomplete") {
                    self.close_call(o, out);
                }
            }
            None => {}
        }
        Ok(())
    }

    /// The provider's own blob goes to the client, who gives it back with the history.
    fn encrypted(&mut self, o: u64, item: Value<'_>, out: &mut Vec<u8>) {
        let blob = item.str("encrypted_content").filter(|b| !b.is_empty());
        let Some(blob) = blob else { return };
        if std::mem::replace(&mut slot(&mut self.items, o).sealed, true) {
            return;
        }
        self.flush(out);
        let mut entry = b"{\"type\":\"reasoning.encrypted\",\"data\":\"".to_vec();
        let format = match &self.seal {
            Some((key, profile)) => {
                let mut escaped_text = Vec::new();
                blob.splice(&mut escaped_text);
                let sealed = seal::Sealed {
                    profile: format!("{profile}{SEALED_FOR}"),
                    escaped_text,
                    extra: Vec::new(),
                };
                let envelope = seal::seal(key, self.nonce(), &sealed);
                entry.extend_from_slice(envelope.as_bytes());
                FORMAT_SEALED
            }
            None => {
                blob.splice(&mut entry);
                FORMAT_RAW
            }
        };
        entry.extend_from_slice(b"\",\"id\":\"");
        item.str("id").unwrap_or(Str::EMPTY).splice(&mut entry);
        entry.extend_from_slice(b"\",\"format\":");
        write::string(&mut entry, format);
        // Clients that add up deltas do so by index.
        entry.extend_from_slice(b",\"index\":");
        write::uint(&mut entry, self.sealed);
        entry.push(b'}');
        self.sealed += 1;
        self.emitter.detail(out, &entry);
    }

    /// Never the same twice: the seed is fresh for every attempt, the counter within it.
    fn nonce(&self) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&self.seed[16..28]);
        for (byte, counter) in nonce[8..]
            .iter_mut()
            .zip((self.sealed as u32).to_le_bytes())
        {
            *byte ^= counter;
        }
        nonce
    }

    /// A whole Response object.
    pub(super) fn object(&mut self, object: Value<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        if object.present("output").is_none() && object.present("error").is_some() {
            return Err(failure::of_event(object));
        }
        let status = object.str("status").map(|s| s.text());
        if matches!(status.as_deref(), Some("queued" | "in_progress")) {
            return Err(failure::broken("The provider's answer is not finished."));
        }
        let list = object.present("output");
        if list.is_none_or(|l| l.kind() != Kind::Array) && status.as_deref() != Some("failed") {
            return Err(failure::broken("The provider's answer holds no output."));
        }
        self.response(object, None, out)
    }

    /// The answer is over: what was not said yet, how it ended, and what it cost.
    fn response(
        &mut self,
        response: Value<'_>,
        status: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let usage = response.present("usage");
        let counted = usage.is_some_and(|u| u.present("input_tokens").is_some());
        self.usage = usage::of_response(response)
            .filter(|_| counted)
            .or(self.usage);
        self.ending = Ending::of_response(response, status);
        let inside = response.str("status").map(|s| s.text());
        let end = match status.or(inside.as_deref()) {
            Some("failed") => return Err(failure::of_response(response)),
            Some("cancelled") => {
                return Err(failure::broken("The provider's answer was cancelled."));
            }
            Some("incomplete") => {
                let details = response.present("incomplete_details");
                let reason = details.and_then(|d| d.str("reason"));
                match reason.is_some_and(|r| r == "content_filter") {
                    true => End::Filtered,
                    false => End::Cut,
                }
            }
            _ => End::Completed,
        };
        self.rest(response, out)?;
        if self.state != State::Over {
            self.conclude(end, out);
        }
        Ok(())
    }

    /// What only the final object holds. Where items came as events, the numbers in its list may
    /// be others, so that only those are looked at that were left open.
    fn rest(&mut self, response: Value<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let unseen = self.items.is_empty();
        let output = response.present("output");
        for (o, item) in output.iter().flat_map(|v| v.items()).enumerate() {
            let o = o as u64;
            let seen = find(&self.items, o).map(|at| &self.items[at]);
            if unseen || seen.is_ok_and(|s| !s.done && s.kind == ItemKind::of(item)) {
                self.item_done(o, item, out)?;
            }
            if self.state == State::Over {
                break;
            }
        }
        Ok(())
    }

    fn conclude(&mut self, end: End, out: &mut Vec<u8>) {
        self.flush(out);
        if end == End::Completed {
            self.close_calls(out);
        }
        let reason = match end {
            End::Cut => "length",
            End::Filtered => "content_filter",
            End::Completed => self.complete_reason(),
        };
        let status = match end {
            End::Completed => "completed",
            _ => "incomplete",
        };
        self.end(status, reason, out);
    }

    /// A stop sequence came. What the provider still says is of no interest.
    pub(super) fn stopped(&mut self, out: &mut Vec<u8>) {
        let open = |i: &Item| i.call.is_some_and(|c| !c.complete);
        let reason = match self.items.iter().any(open) {
            true => "stop",
            false => self.complete_reason(),
        };
        self.end("completed", reason, out);
    }

    fn complete_reason(&self) -> &'static str {
        match self.calls {
            0 => "stop",
            _ if self.legacy_functions => "function_call",
            _ => "tool_calls",
        }
    }
}

fn number(event: Value<'_>, name: &str) -> u64 {
    event.get(name).and_then(|n| n.as_u64()).unwrap_or(0)
}

fn is_call(item: Value<'_>) -> bool {
    ItemKind::of(item) == Some(ItemKind::Call)
}
