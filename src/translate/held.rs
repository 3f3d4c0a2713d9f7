//! The end of a Responses stream that is passed through, held back until its response is kept.

use crate::json::{Kind, Tape, Value};
use crate::limits;
use crate::responses::object;
use std::ops::Range;

/// The terminal event and what came behind it, byte for byte.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    /// Where the response object stands in them.
    response: Option<Range<usize>>,
}

impl Held {
    /// Whether the terminal event is there.
    pub fn begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Takes from `out` what is to be held back. Behind `from` whole frames stand there, the
    /// terminal event among them unless it came before.
    pub fn take(&mut self, out: &mut Vec<u8>, from: usize) {
        let mut frame = from;
        if !self.begun() {
            let Some((begin, response)) = terminal_frame(out, from) else {
                return;
            };
            frame = begin;
            self.response = response.map(|at| at.start - begin..at.end - begin);
        }
        // What comes behind the end means nothing; it is passed on while it is short.
        let rest = &out[frame..];
        if !self.begun() || self.bytes.len() + rest.len() <= 2 * limits::FRAME_BYTES_MAX {
            self.bytes.extend_from_slice(rest);
        }
        out.truncate(frame);
    }

    /// The response object; with `items` (comma separated) where it lists no output.
    pub fn response(&self, items: &[u8]) -> Option<Vec<u8>> {
        let mut tape = Tape::new();
        let response = tape.parse(&self.bytes[self.response.clone()?]).ok()?;
        let listed = response.present("output");
        if listed.is_some_and(|o| o.items().next().is_some()) || items.is_empty() {
            return Some(response.raw().to_vec());
        }
        let output = [b"[", items, b"]"].concat();
        Some(object::with(response, &[("output", &output)]))
    }

    /// Appends what is held; `unstored`: where the response says whether it is kept, it says no.
    pub fn say(&self, unstored: bool, out: &mut Vec<u8>) {
        let mut tape = Tape::new();
        let response = self.response.clone().filter(|_| unstored);
        match response.map(|at| (at.clone(), tape.parse(&self.bytes[at]))) {
            Some((at, Ok(response))) if response.get("store").is_some() => {
                out.extend_from_slice(&self.bytes[..at.start]);
                out.extend_from_slice(&object::with(response, &[("store", b"false")]));
                out.extend_from_slice(&self.bytes[at.end..]);
            }
            _ => out.extend_from_slice(&self.bytes),
        }
    }
}

/// Where the first frame with a terminal event begins, and where its response object stands.
fn terminal_frame(out: &[u8], from: usize) -> Option<(usize, Option<Range<usize>>)> {
    let (mut frame, mut at) = (from, from);
    let mut tape = Tape::new();
    while at < out.len() {
        let end = memchr::memchr2(b'\n', b'\r', &out[at..]).map_or(out.len(), |n| at + n);
        let two = out[end..].starts_with(b"\r\n");
        let next = out.len().min(end + 1 + usize::from(two));
        if at == end {
            frame = next;
        } else if out[at..end].starts_with(b"data:")
            && let Ok(event) = tape.parse(&out[at + 5..end])
            && is_terminal(event)
        {
            let response = event.get("response").filter(|r| r.kind() == Kind::Object);
            let place = |r: Value<'_>| at + 5 + r.span().start..at + 5 + r.span().end;
            return Some((frame, response.map(place)));
        }
        at = next;
    }
    None
}

fn is_terminal(event: Value<'_>) -> bool {
    const KINDS: [&str; 4] = [
        "response.completed",
        "response.done",
        "response.failed",
        "response.incomplete",
    ];
    let kind = event.str("type");
    event.get("response").is_some() && kind.is_some_and(|k| KINDS.iter().any(|name| k == **name))
}
