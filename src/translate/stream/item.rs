//! Reasoning and message items: opened by their first delta, closed by whatever comes next.

use super::emit::Delta;
use super::{State, Translator};
use crate::error::Error;
use crate::json::write;
use crate::limits;
use crate::translate::seal::{Sealed, seal};

/// The item that is open. Texts are escaped JSON text.
#[derive(Debug)]
pub(super) enum Open {
    None,
    Message {
        id: String,
        /// Those that are done, a comma behind each.
        parts: Vec<u8>,
        part: Part,
        index: u64,
        text: Vec<u8>,
        logprobs: Vec<u8>,
    },
    Reasoning {
        id: String,
        text: Vec<u8>,
    },
}

impl Open {
    /// Bytes of the text so far.
    pub(super) fn text_len(&self) -> usize {
        match self {
            Open::None => 0,
            Open::Message { text, .. } | Open::Reasoning { text, .. } => text.len(),
        }
    }
}

/// The kind of a message's open part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    Refusal,
    Text,
}

/// Room for what an item says besides its texts.
const ITEM_BYTES: usize = 192;

impl Translator {
    /// Counts what is kept for the final object against its limit.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), Error> {
        self.answer_bytes += bytes;
        if self.answer_bytes > limits::ANSWER_BYTES_MAX {
            let message = "The provider's answer is too large.";
            let source = crate::error::Source::Upstream;
            return Err(Error::new(
                source,
                crate::error::Kind::UpstreamBroken,
                message,
            ));
        }
        Ok(())
    }

    pub(super) fn reasoning(&mut self, delta: &[u8], out: &mut Vec<u8>) {
        if delta.is_empty() {
            return;
        }
        self.commit(out);
        if !matches!(self.open, Open::Reasoning { .. }) {
            self.close_open(false, out);
            self.open_reasoning(out);
        }
        let Open::Reasoning { id, text } = &mut self.open else {
            return;
        };
        text.extend_from_slice(delta);
        let kind = self.emitter.reasoning();
        self.emitter.delta(out, kind, id, 0, delta);
    }

    fn open_reasoning(&mut self, out: &mut Vec<u8>) {
        let id = self.emitter.id("rs_");
        let item = format!("{{\"id\":\"{id}\",\"type\":\"reasoning\",\"summary\":[]}}");
        self.emitter
            .item_added(out, |out| out.extend_from_slice(item.as_bytes()));
        let (kind, index, part): (_, _, &[u8]) = match self.emitter.plan.reasoning_summary {
            true => (
                "response.reasoning_summary_part.added",
                "summary_index",
                b"summary_text",
            ),
            false => (
                "response.content_part.added",
                "content_index",
                b"reasoning_text",
            ),
        };
        self.emitter
            .item_event(out, kind, &id, Some((index, 0)), |out| {
                typed_text(out, b",\"part\":", part, b"");
            });
        self.open = Open::Reasoning {
            id,
            text: Vec::new(),
        };
    }

    fn close_reasoning(&mut self, id: &str, text: Vec<u8>, cut: bool, out: &mut Vec<u8>) {
        let summary = self.emitter.plan.reasoning_summary;
        let (base, index, part): (_, _, &[u8]) = match summary {
            true => (
                "response.reasoning_summary_text.done",
                "summary_index",
                b"summary_text",
            ),
            false => (
                "response.reasoning_text.done",
                "content_index",
                b"reasoning_text",
            ),
        };
        self.emitter
            .item_event(out, base, id, Some((index, 0)), |out| {
                out.extend_from_slice(b",\"text\":");
                write::quoted(out, &text);
            });
        let done = match summary {
            true => "response.reasoning_summary_part.done",
            false => "response.content_part.done",
        };
        self.emitter
            .item_event(out, done, id, Some((index, 0)), |out| {
                typed_text(out, b",\"part\":", part, &text);
            });
        let mut item =
            format!("{{\"id\":\"{id}\",\"type\":\"reasoning\",\"summary\":[").into_bytes();
        if summary {
            typed_text(&mut item, b"", part, &text);
            item.extend_from_slice(b"]");
        } else {
            item.extend_from_slice(b"],\"content\":[");
            typed_text(&mut item, b"", part, &text);
            item.extend_from_slice(b"]");
        }
        let details = self.carrier.take_details();
        self.seal_into(&mut item, text, details);
        item.extend_from_slice(status(cut));
        item.push(b'}');
        self.emitter.item_done(out, &item);
    }

    /// Appends `encrypted_content`, if the client wants it.
    fn seal_into(&mut self, item: &mut Vec<u8>, escaped_text: Vec<u8>, extra: Vec<u8>) {
        let Some((key, profile)) = self.emitter.plan.seal.clone() else {
            return;
        };
        let nonce = self.emitter.nonce();
        let sealed = Sealed {
            profile,
            escaped_text,
            extra,
        };
        item.extend_from_slice(b",\"encrypted_content\":");
        write::string(item, &seal(&key, nonce, &sealed));
    }

    /// What the provider wants back and came too late for a reasoning item travels in one of
    /// its own, at the end: it still belongs to this turn.
    pub(super) fn carry(&mut self, out: &mut Vec<u8>) {
        let extra = self.carrier.take_all();
        if extra.is_empty() || self.emitter.plan.seal.is_none() {
            return;
        }
        let id = self.emitter.id("rs_");
        let mut item =
            format!("{{\"id\":\"{id}\",\"type\":\"reasoning\",\"summary\":[]").into_bytes();
        self.emitter.item_added(out, |out| {
            out.extend_from_slice(&item);
            out.push(b'}');
        });
        self.seal_into(&mut item, Vec::new(), extra);
        item.extend_from_slice(status(false));
        item.push(b'}');
        self.emitter.item_done(out, &item);
    }

    /// The provider's web search as an item: before the message, or behind one that was open.
    pub(super) fn close_search(&mut self, out: &mut Vec<u8>) {
        if !self.emitter.plan.web_search || self.state != State::Committed {
            return;
        }
        let Some(action) = self.sources.take_search() else {
            return;
        };
        let id = self.emitter.id("ws_");
        let item = |status: &str| {
            let head = format!(
                "{{\"id\":\"{id}\",\"type\":\"web_search_call\",\"status\":\"{status}\",\"action\":"
            );
            [head.as_bytes(), &action, b"}"].concat()
        };
        self.emitter
            .item_added(out, |out| out.extend_from_slice(&item("in_progress")));
        for kind in ["in_progress", "searching", "completed"] {
            let kind = format!("response.web_search_call.{kind}");
            self.emitter.item_event(out, &kind, &id, None, |_| {});
        }
        self.emitter.item_done(out, &item("completed"));
    }

    /// Text, or a refusal, with what was held back before it.
    pub(super) fn message(&mut self, kind: Part, delta: &[u8], logprobs: &[u8], out: &mut Vec<u8>) {
        self.commit(out);
        if !matches!(self.open, Open::Message { .. }) {
            self.close_open(false, out);
            self.close_search(out);
            let id = self.emitter.id("msg_");
            self.emitter.item_added(out, |out| {
                out.extend_from_slice(b"{\"id\":\"");
                out.extend_from_slice(id.as_bytes());
                out.extend_from_slice(b"\",\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}");
            });
            self.open = Open::Message {
                id,
                parts: Vec::new(),
                part: kind,
                index: 0,
                text: Vec::new(),
                logprobs: Vec::new(),
            };
            self.open_part(out);
        }
        if matches!(&self.open, Open::Message { part, .. } if *part != kind) {
            let annotations = self.close_part(out);
            if let Open::Message {
                parts,
                part,
                index,
                text,
                logprobs,
                ..
            } = &mut self.open
            {
                message_part(parts, *part, text, &annotations, logprobs);
                parts.push(b',');
                *part = kind;
                *index += 1;
                text.clear();
                logprobs.clear();
            }
            self.open_part(out);
        }
        let held = std::mem::take(&mut self.held_space);
        let Open::Message {
            id,
            text,
            index,
            logprobs: kept,
            ..
        } = &mut self.open
        else {
            return;
        };
        text.extend_from_slice(&held);
        text.extend_from_slice(delta);
        if !logprobs.is_empty() {
            if !kept.is_empty() {
                kept.push(b',');
            }
            kept.extend_from_slice(logprobs);
        }
        let event = match kind {
            Part::Refusal => Delta::Refusal,
            Part::Text => Delta::Text,
        };
        self.emitter
            .delta_with(out, event, id, *index, &[&held, delta], logprobs);
        self.held_space = held;
        self.held_space.clear();
    }

    fn open_part(&mut self, out: &mut Vec<u8>) {
        let Open::Message {
            id, part, index, ..
        } = &self.open
        else {
            return;
        };
        let at = Some(("content_index", *index));
        self.emitter
            .item_event(out, "response.content_part.added", id, at, |out| {
                out.extend_from_slice(b",\"part\":");
                message_part(out, *part, b"", b"", b"");
            });
    }

    /// Says the open part's end; returns its annotations.
    fn close_part(&mut self, out: &mut Vec<u8>) -> Vec<u8> {
        let Open::Message {
            id,
            part,
            index,
            text,
            logprobs,
            ..
        } = &self.open
        else {
            return Vec::new();
        };
        let (kind, field) = match part {
            Part::Refusal => ("response.refusal.done", &b",\"refusal\":"[..]),
            Part::Text => ("response.output_text.done", &b",\"text\":"[..]),
        };
        let at = Some(("content_index", *index));
        let mut annotations = Vec::new();
        if *part == Part::Text {
            for (n, annotation) in self.sources.take_annotations(text).into_iter().enumerate() {
                let kind = "response.output_text.annotation.added";
                self.emitter.item_event(out, kind, id, at, |out| {
                    out.extend_from_slice(b",\"annotation_index\":");
                    write::uint(out, n as u64);
                    out.extend_from_slice(b",\"annotation\":");
                    out.extend_from_slice(&annotation);
                });
                if n > 0 {
                    annotations.push(b',');
                }
                annotations.extend_from_slice(&annotation);
            }
        }
        self.emitter.item_event(out, kind, id, at, |out| {
            out.extend_from_slice(field);
            write::quoted(out, text);
            if *part == Part::Text {
                out.extend_from_slice(b",\"logprobs\":[");
                out.extend_from_slice(logprobs);
                out.push(b']');
            }
        });
        self.emitter
            .item_event(out, "response.content_part.done", id, at, |out| {
                out.extend_from_slice(b",\"part\":");
                message_part(out, *part, text, &annotations, logprobs);
            });
        annotations
    }

    /// Closes the reasoning or message item that is open, if one is.
    pub(super) fn close_open(&mut self, cut: bool, out: &mut Vec<u8>) {
        let annotations = self.close_part(out);
        match std::mem::replace(&mut self.open, Open::None) {
            Open::None => {}
            Open::Reasoning { id, text } => self.close_reasoning(&id, text, cut, out),
            Open::Message {
                id,
                parts,
                part,
                text,
                logprobs,
                ..
            } => self.emitter.item_made(out, |item| {
                let texts = [&parts, &text, &annotations, &logprobs].map(Vec::len);
                item.reserve(texts.iter().sum::<usize>() + ITEM_BYTES);
                item.extend_from_slice(b"{\"id\":\"");
                item.extend_from_slice(id.as_bytes());
                item.extend_from_slice(b"\",\"type\":\"message\"");
                item.extend_from_slice(status(cut));
                item.extend_from_slice(b",\"role\":\"assistant\",\"content\":[");
                item.extend_from_slice(&parts);
                message_part(item, part, &text, &annotations, &logprobs);
                item.extend_from_slice(b"]}");
            }),
        }
    }

    /// Closes everything; `cut` if the answer ended early, which the last item then says.
    pub(super) fn close_all(&mut self, cut: bool, out: &mut Vec<u8>) {
        self.close_calls(cut, out);
        if !self.late_text.is_empty() && self.state == State::Committed {
            let text = std::mem::take(&mut self.late_text);
            self.message(Part::Text, &text, b"", out);
        }
        self.close_open(cut, out);
    }
}

pub(super) fn status(cut: bool) -> &'static [u8] {
    if cut {
        b",\"status\":\"incomplete\""
    } else {
        b",\"status\":\"completed\""
    }
}

fn typed_text(out: &mut Vec<u8>, before: &[u8], kind: &[u8], text: &[u8]) {
    out.extend_from_slice(before);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind);
    out.extend_from_slice(b"\",\"text\":");
    write::quoted(out, text);
    out.push(b'}');
}

fn message_part(out: &mut Vec<u8>, part: Part, text: &[u8], annotations: &[u8], logprobs: &[u8]) {
    match part {
        Part::Refusal => {
            out.extend_from_slice(b"{\"type\":\"refusal\",\"refusal\":");
            write::quoted(out, text);
        }
        Part::Text => {
            out.extend_from_slice(b"{\"type\":\"output_text\",\"text\":");
            write::quoted(out, text);
            out.extend_from_slice(b",\"annotations\":[");
            out.extend_from_slice(annotations);
            out.extend_from_slice(b"],\"logprobs\":[");
            out.extend_from_slice(logprobs);
            out.push(b']');
        }
    }
    out.push(b'}');
}
