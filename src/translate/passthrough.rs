//! A Responses stream passed through byte for byte, with a tap that knows whether it ended as it
//! must and what it cost.

use super::ending::Ending;
use super::held::Held;
use super::stream::{UpstreamEnd, Usage};
use super::usage;
use crate::chat::error::classify;
use crate::error::{Error, Kind, Source};
use crate::json::{Tape, Value, write};
use crate::limits;
use std::borrow::Cow;

/// Looks at a Responses stream on its way. Only whole frames are let through, so that a stream
/// that breaks inside a frame can still be ended properly; and none before there is output, so
/// that what fails before can be tried elsewhere.
#[derive(Debug)]
pub struct Tap {
    partial: Vec<u8>,
    /// What came before there is output; `None` once something was let through.
    opening: Option<Vec<u8>>,
    /// What came last is output, or an end.
    speaks: bool,
    /// The error that came instead of output.
    refusal: Option<Error>,
    tape: Tape,
    response_id: Option<Vec<u8>>,
    model: Vec<u8>,
    created_at: u64,
    sequence: Option<u64>,
    events: u64,
    output: Vec<u8>,
    usage: Option<Usage>,
    ending: Ending,
    status: Option<&'static str>,
    /// Chat streams have other frames; they are let through and only their end is looked at.
    chat: bool,
    /// What is held back from the terminal event on, where it is to be.
    held: Option<Box<Held>>,
}

impl Tap {
    /// A tap on a Responses stream.
    pub fn responses() -> Self {
        Tap {
            partial: Vec::new(),
            opening: Some(Vec::new()),
            speaks: false,
            refusal: None,
            tape: Tape::default(),
            response_id: None,
            model: Vec::new(),
            created_at: 0,
            sequence: None,
            output: Vec::new(),
            usage: None,
            ending: Ending::default(),
            status: None,
            chat: false,
            events: 0,
            held: None,
        }
    }

    /// A tap on a chat stream.
    pub fn chat() -> Self {
        Tap {
            chat: true,
            ..Self::responses()
        }
    }

    /// Holds the terminal event back, and what comes behind it, until [`Tap::say_end`].
    pub fn holding_end(self) -> Self {
        Tap {
            held: Some(Box::default()),
            ..self
        }
    }

    /// Lets through what came before there is output.
    pub fn commit(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.opening.take().unwrap_or_default());
    }

    /// Lets the whole frames of `bytes` (and of what was held back before) through to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let from = out.len();
        let Some(end) = last_boundary(&self.partial, bytes) else {
            if self.partial.len() + bytes.len() > limits::FRAME_BYTES_MAX {
                let message = "The provider sent a frame that is too large.";
                return Err(Error::new(Source::Upstream, Kind::UpstreamBroken, message));
            }
            self.partial.extend_from_slice(bytes);
            return Ok(());
        };
        out.extend_from_slice(&self.partial);
        out.extend_from_slice(&bytes[..end]);
        self.partial.clear();
        self.partial.extend_from_slice(&bytes[end..]);
        self.look(&out[from..]);
        if self.opening.is_some() {
            self.open(out, from)?;
        }
        if self.held.is_some() {
            self.hold(out, from);
        }
        Ok(())
    }

    /// Keeps back what stands behind `from` while it is no output.
    fn open(&mut self, out: &mut Vec<u8>, from: usize) -> Result<(), Error> {
        let mut opening = self.opening.take().unwrap_or_default();
        if let Some(refusal) = self.refusal.take() {
            out.truncate(from);
            return Err(refusal);
        }
        let is_short = opening.len() < limits::FRAME_BYTES_MAX;
        if self.speaks || !is_short {
            out.splice(from..from, opening);
        } else {
            opening.extend_from_slice(&out[from..]);
            out.truncate(from);
            self.opening = Some(opening);
        }
        Ok(())
    }

    /// Takes the terminal event, and what comes behind it, out of what is let through.
    fn hold(&mut self, out: &mut Vec<u8>, from: usize) {
        if let Some(held) = &mut self.held
            && self.status.is_some()
        {
            held.take(out, from);
        }
    }

    /// Whether a terminal event is held back.
    pub fn holds(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.begun())
    }

    /// The response object of the terminal event that is held back, once; with its items, which
    /// some providers tell only in the events before. `None` where it holds no object.
    pub fn take_held(&mut self) -> Option<Vec<u8>> {
        self.held.as_mut()?.response(&self.output)
    }

    /// Lets through what was held back, as it came; `unstored`: the response says that it is not
    /// kept.
    pub fn say_end(&mut self, unstored: bool, out: &mut Vec<u8>) {
        if let Some(held) = self.held.take() {
            held.say(unstored, out);
        }
    }

    /// Whether the stream said how it ended.
    pub fn ended(&self) -> bool {
        self.status.is_some()
    }

    /// `completed`, `incomplete` or `failed`, once over.
    pub fn status(&self) -> Option<&'static str> {
        self.status
    }

    /// The id of the response (as escaped JSON text) and its items, comma separated, once it has
    /// ended well.
    pub fn response(&self) -> Option<(&[u8], &[u8])> {
        let id = self.response_id.as_deref()?;
        matches!(self.status, Some("completed" | "incomplete")).then_some((id, &self.output))
    }

    /// How many events were let through, and written here.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The model that the answer names.
    pub fn served(&self) -> Cow<'_, str> {
        match self.ending.served.is_empty() {
            true => String::from_utf8_lossy(&self.model),
            false => Cow::Borrowed(&self.ending.served),
        }
    }

    /// Why the model stopped, once the provider said so.
    pub fn stop(&self) -> &str {
        &self.ending.stop
    }

    /// Notes what a whole object that came instead of a stream says of itself.
    pub fn look_at_object(&mut self, body: &[u8]) {
        let mut tape = std::mem::take(&mut self.tape);
        match tape.parse(body) {
            Ok(object) if object.get("choices").is_some() => {
                self.usage = usage::of_chunk(object);
                self.ending = Ending::of_chat(object).unwrap_or_default();
            }
            Ok(object) => {
                self.usage = usage::of_response(object);
                self.ending = Ending::of_response(object, None);
            }
            // It is the client's to wonder about.
            Err(_) => {}
        }
        self.tape = tape;
    }

    /// Token counts, once the provider gave them.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The upstream body has ended; appends the terminal event that the client is still owed. An
    /// error where nothing was let through, so that something else still can be.
    pub fn finish(&mut self, end: UpstreamEnd, out: &mut Vec<u8>) -> Result<(), Error> {
        let from = out.len();
        self.end(end, out)?;
        self.hold(out, from);
        Ok(())
    }

    fn end(&mut self, end: UpstreamEnd, out: &mut Vec<u8>) -> Result<(), Error> {
        let held = std::mem::take(&mut self.partial);
        if self.ended() {
            out.extend_from_slice(&held);
            return Ok(());
        }
        if matches!(end, UpstreamEnd::Clean) && !held.is_empty() {
            // Some servers leave out the last blank line.
            self.look(&[&held[..], b"\n\n"].concat());
            if let Some(refusal) = self.refusal.take() {
                return Err(refusal);
            }
            if self.ended() {
                self.commit(out);
                out.extend_from_slice(&held);
                out.extend_from_slice(b"\n\n");
                return Ok(());
            }
        }
        let message = "The provider's stream ended before its last event.";
        let error = match end {
            UpstreamEnd::Clean => Error::new(Source::Upstream, Kind::UpstreamBroken, message),
            UpstreamEnd::Broken(error) => error,
        };
        if self.opening.is_some() {
            return Err(error);
        }
        self.status = Some("failed");
        if self.chat {
            self.events += 1;
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(&error.body());
            out.extend_from_slice(b"\n\ndata: [DONE]\n\n");
        } else {
            self.fail(&error, out);
        }
        Ok(())
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        self.events += 2;
        let sequence = self.sequence.map_or(0, |n| n.saturating_add(1));
        out.extend_from_slice(b"event: error\ndata: {\"type\":\"error\",\"sequence_number\":");
        write::uint(out, sequence);
        out.extend_from_slice(b",\"code\":");
        write::string(out, error.api_code());
        out.extend_from_slice(b",\"message\":");
        write::string(out, &error.message);
        out.extend_from_slice(b",\"param\":null,\"error\":");
        error.write_object(out);
        let head = b"}\n\nevent: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":";
        out.extend_from_slice(head);
        write::uint(out, sequence.saturating_add(1));
        out.extend_from_slice(b",\"response\":{\"id\":");
        write::quoted(out, self.response_id.as_deref().unwrap_or(b"resp_unknown"));
        out.extend_from_slice(b",\"object\":\"response\",\"created_at\":");
        write::uint(out, self.created_at);
        out.extend_from_slice(b",\"status\":\"failed\",\"error\":{\"code\":");
        write::string(out, error.api_code());
        out.extend_from_slice(b",\"message\":");
        write::string(out, &error.message);
        out.extend_from_slice(b"},\"incomplete_details\":null,\"model\":");
        write::quoted(out, &self.model);
        out.extend_from_slice(b",\"output\":[");
        out.extend_from_slice(&self.output);
        let tail = b"],\"instructions\":null,\"metadata\":{},\"parallel_tool_calls\":true,\
            \"temperature\":null,\"top_p\":null,\"tool_choice\":\"auto\",\"tools\":[],\"usage\":null}}\n\n";
        out.extend_from_slice(tail);
    }

    fn look(&mut self, frames: &[u8]) {
        let mut tape = std::mem::take(&mut self.tape);
        for line in frames.split(|b| *b == b'\n' || *b == b'\r') {
            let Some(data) = line.strip_prefix(b"data:") else {
                continue;
            };
            let data = data.trim_ascii();
            if data == b"[DONE]" {
                self.status.get_or_insert("completed");
                self.speaks = true;
                continue;
            }
            self.events += 1;
            // Deltas are the many; only their number is of interest, and the parser finds it.
            if let Ok(event) = tape.parse(data) {
                if self.chat {
                    self.look_at_chunk(event);
                } else {
                    self.look_at_event(event);
                }
            } else {
                self.speaks = true;
            }
        }
        self.tape = tape;
    }

    fn look_at_event(&mut self, event: Value<'_>) {
        if let Some(n) = event.get("sequence_number").and_then(|n| n.as_u64()) {
            self.sequence = Some(n);
        }
        if self.opening.is_some() {
            self.look_for_output(event);
        }
        let Some(kind) = event.str("type") else {
            return;
        };
        if kind == "response.output_item.done"
            && let Some(item) = event.get("item")
        {
            if !self.output.is_empty() {
                self.output.push(b',');
            }
            self.output.extend_from_slice(item.raw());
        }
        let Some(response) = event.get("response") else {
            return;
        };
        if kind == "response.created" {
            let escaped = |name: &str| {
                let mut out = Vec::new();
                response.str(name)?.splice(&mut out);
                Some(out)
            };
            self.response_id = escaped("id");
            self.model = escaped("model").unwrap_or_default();
            self.created_at = response
                .get("created_at")
                .and_then(|n| n.as_u64())
                .unwrap_or(0);
        }
        self.status = match &*kind.text() {
            "response.completed" | "response.done" => Some("completed"),
            "response.incomplete" => Some("incomplete"),
            "response.failed" => Some("failed"),
            _ => return,
        };
        self.usage = usage::of_response(response);
        self.ending = Ending::of_response(response, self.status);
    }

    /// Whether a Responses event is output, or an error instead of it.
    fn look_for_output(&mut self, event: Value<'_>) {
        const BEFORE: [&str; 3] = [
            "response.created",
            "response.in_progress",
            "response.queued",
        ];
        let kind = event.str("type").map(|kind| kind.text());
        let kind = kind.as_deref().unwrap_or_default();
        let failed = match kind {
            "response.failed" => event.get("response"),
            "error" => Some(event),
            _ => None,
        };
        match failed.filter(|_| !self.speaks && self.refusal.is_none()) {
            Some(said) => self.refusal = Some(classify(200, said.raw(), None)),
            None => self.speaks |= !BEFORE.contains(&kind),
        }
    }

    fn look_at_chunk(&mut self, chunk: Value<'_>) {
        if self.opening.is_some() {
            match chunk.present("error").filter(|_| !self.speaks) {
                Some(_) => self.refusal = Some(classify(200, chunk.raw(), None)),
                None => self.speaks = true,
            }
        }
        if chunk.present("error").is_some() {
            self.status = Some("failed");
        }
        self.usage = usage::of_chunk(chunk).or(self.usage);
        if let Some(ending) = Ending::of_chat(chunk) {
            self.ending = ending;
        }
    }
}

/// The offset in `bytes` behind the last blank line of `held ++ bytes`, if there is one that ends
/// in `bytes`.
fn last_boundary(held: &[u8], bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    while let Some(at) = memchr::memrchr2(b'\n', b'\r', &bytes[..end]) {
        // The line before this line end is empty if another line end stands directly before it.
        let before = |back: usize| -> Option<u8> {
            match at.checked_sub(back) {
                Some(i) => Some(bytes[i]),
                None => held.len().checked_sub(back - at).map(|i| held[i]),
            }
        };
        let blank = match (before(1), bytes[at]) {
            (Some(b'\n'), _) | (Some(b'\r'), b'\r') => true,
            (Some(b'\r'), _) => matches!(before(2), Some(b'\n' | b'\r')),
            _ => false,
        };
        if blank {
            return Some(at + 1);
        }
        end = at;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"model\":\"m\",\"created_at\":5}}\n\n\
        event: response.output_text.delta\r\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"a\"}\r\n\r\n\
        event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}}\n\n";

    #[test]
    fn passes_bytes_through_at_every_split() {
        for cut in 0..=STREAM.len() {
            let (mut tap, mut out) = (Tap::responses(), Vec::new());
            tap.feed(&STREAM[..cut], &mut out).unwrap();
            tap.feed(&STREAM[cut..], &mut out).unwrap();
            tap.finish(UpstreamEnd::Clean, &mut out).unwrap();
            assert_eq!(out, STREAM, "cut at {cut}");
            assert_eq!(tap.status(), Some("completed"));
            assert_eq!(tap.usage().unwrap().output, 4);
        }
    }

    #[test]
    fn frames_that_end_in_bare_returns_are_let_through() {
        let stream = b"data: {\"type\":\"response.completed\",\"response\":{}}\r\rdata: x\r";
        for cut in 0..=stream.len() {
            let (mut tap, mut out) = (Tap::responses(), Vec::new());
            tap.feed(&stream[..cut], &mut out).unwrap();
            tap.feed(&stream[cut..], &mut out).unwrap();
            assert_eq!(tap.status(), Some("completed"), "cut at {cut}");
            assert_eq!(out, stream[..stream.len() - 8]);
        }
    }

    #[test]
    fn every_prefix_ends_in_one_terminal_event_or_leaves_no_trace() {
        let output = STREAM.windows(6).position(|w| w == b"\r\n\r\nev").unwrap() + 3;
        for cut in 0..STREAM.len() {
            let (mut tap, mut out) = (Tap::responses(), Vec::new());
            tap.feed(&STREAM[..cut], &mut out).unwrap();
            let error = Error::new(Source::Upstream, Kind::UpstreamBroken, "reset");
            let ended = tap.finish(UpstreamEnd::Broken(error.clone()), &mut out);
            if cut < output {
                assert_eq!((ended, out.len()), (Err(error), 0), "cut at {cut}");
                continue;
            }
            let text = String::from_utf8(out).unwrap();
            let ends = text.matches("event: response.failed").count()
                + text.matches("event: response.completed").count();
            assert_eq!(ends, 1, "cut at {cut}: {text}");
            assert!(text.ends_with("\n\n"));
        }
    }

    #[test]
    fn an_error_in_the_place_of_output_is_one() {
        let created = r#"data: {"type":"response.created","response":{"id":"r"}}"#;
        let busy = r#"data: {"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"x"}}}"#;
        let error = r#"data: {"type":"error","code":"insufficient_quota","message":"x"}"#;
        let delta = r#"data: {"type":"response.output_text.delta","delta":"a"}"#;
        let chunk = r#"data: {"choices":[]}"#;
        let wrong = r#"data: {"error":{"code":503,"message":"x"}}"#;
        let (plain, chat) = (Tap::responses, Tap::chat);
        type Case<'a> = (fn() -> Tap, &'a [&'a str], Option<Kind>);
        let cases: [Case; 6] = [
            (plain, &[created, busy], Some(Kind::RateLimited)),
            (plain, &[error, busy], Some(Kind::Quota)),
            (plain, &[created, delta, busy], None),
            (plain, &[created, "data: what?"], None),
            (chat, &[": wait", wrong], Some(Kind::Overloaded)),
            (chat, &[chunk, wrong], None),
        ];
        for (tap, frames, expected) in cases {
            let stream = frames.join("\n\n") + "\n\n";
            for cut in 0..=stream.len() {
                let (mut tap, mut out) = (tap(), Vec::new());
                let pieces = [&stream.as_bytes()[..cut], &stream.as_bytes()[cut..]];
                let fed = pieces.into_iter().try_for_each(|p| tap.feed(p, &mut out));
                assert_eq!(fed.err().map(|e| e.kind), expected, "{stream} cut at {cut}");
                let let_through = if expected.is_none() { stream.len() } else { 0 };
                assert_eq!(out.len(), let_through, "{stream} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_waits_for_output_is_let_through_when_it_is_wanted() {
        let (mut tap, mut out) = (Tap::responses(), Vec::new());
        let cut = STREAM.windows(2).position(|w| w == b"\n\n").unwrap() + 2;
        tap.feed(&STREAM[..cut], &mut out).unwrap();
        assert!(out.is_empty());
        tap.commit(&mut out);
        tap.feed(&STREAM[cut..], &mut out).unwrap();
        assert_eq!(out, STREAM);
    }

    #[test]
    fn a_sequence_number_at_the_end_of_its_range_does_not_overflow() {
        let (mut tap, mut out) = (Tap::responses(), Vec::new());
        let frame = format!("data: {{\"sequence_number\":{}}}\n\n", u64::MAX);
        tap.feed(frame.as_bytes(), &mut out).unwrap();
        tap.finish(UpstreamEnd::Clean, &mut out).unwrap();
        assert!(out.ends_with(b"}}\n\n"));
    }
}
