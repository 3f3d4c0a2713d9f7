//! What was said last, for the blank lines between texts that the client gets as one.

use super::Translator;
use super::emit::Probs;
use super::items::{Thought, find, slot};
use crate::error::Error;
use crate::json::{Str, Value, write};

/// Between two messages, and between two thoughts: escaped.
const BLANK_LINE: &[u8] = b"\\n\\n";

/// What the client has seen so far.
#[derive(Debug, Default)]
pub(super) struct Said {
    last: Last,
    /// The message whose text was shown last.
    message: Option<u64>,
    /// The message whose text came last; some of it may be held back.
    coming: u64,
    /// The reasoning item and the part of it that was shown last.
    thought: Option<(u64, u64)>,
    /// Length of the whole text so far, in characters.
    chars: u64,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Last {
    #[default]
    Nothing,
    Call,
    Reasoning,
    Text,
}

impl Translator {
    /// A piece of the text of a message.
    pub(super) fn text(
        &mut self,
        place: (u64, u64),
        text: Str<'_>,
        probs: Option<Value<'_>>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let (o, c) = place;
        if text.is_empty() {
            return Ok(());
        }
        if self.said.coming != o {
            self.flush(out);
            self.said.coming = o;
        }
        // The first text of a message takes what separates it from the one before.
        if self.said.message != Some(o) && self.separates() && !self.stops.is_holding() {
            self.said.chars += 2;
        }
        let part = slot(&mut slot(&mut self.items, o).parts, c);
        if !std::mem::replace(&mut part.shown, true) {
            part.base = self.said.chars;
        }
        self.said.chars += chars(text.raw());
        if !self.stops.is_active() {
            let separator = self.separator(o);
            let probs = probs.map_or(Probs::None, Probs::List);
            self.emitter.text(out, probs, |out| {
                out.extend_from_slice(separator);
                text.splice(out);
            });
            return Ok(());
        }
        let entries = probs.iter().flat_map(|p| p.items()).map(|entry| {
            let mut written = Vec::new();
            super::emit::write_entry(&mut written, entry);
            let token = entry.str("token").unwrap_or(Str::EMPTY);
            (token.text().len(), written)
        });
        let passed = self.stops.push(&text.text(), entries);
        self.pass(&passed, out);
        if passed.stopped {
            self.stopped(out);
        }
        Ok(())
    }

    /// What was held back in case it were the beginning of a stop sequence goes out.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        if self.stops.is_holding() {
            let passed = self.stops.flush();
            self.pass(&passed, out);
        }
    }

    fn pass(&mut self, passed: &super::stop::Passed, out: &mut Vec<u8>) {
        if passed.text.is_empty() {
            return;
        }
        let separator = self.separator(self.said.coming);
        self.emitter
            .text(out, Probs::Written(&passed.probs), |out| {
                out.extend_from_slice(separator);
                write::escape_into(out, &passed.text);
            });
    }

    /// Whether a blank line goes before the text of another message. Reasoning in between is
    /// separation enough.
    fn separates(&self) -> bool {
        self.said.message.is_some() && self.said.last != Last::Reasoning
    }

    fn separator(&mut self, o: u64) -> &'static [u8] {
        let other = self.said.message != Some(o) && self.separates();
        self.said.message = Some(o);
        self.said.last = Last::Text;
        if other { BLANK_LINE } else { b"" }
    }

    pub(super) fn refusal(&mut self, place: (u64, u64), text: Str<'_>, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        self.flush(out);
        slot(&mut slot(&mut self.items, place.0).parts, place.1).shown = true;
        self.emitter.refusal(out, |out| text.splice(out));
    }

    /// A piece of reasoning. The parts of a summary stand apart, and so do the thoughts of two
    /// items, unless text in between has parted them.
    pub(super) fn thought(
        &mut self,
        place: (u64, u64),
        source: Thought,
        text: Str<'_>,
        out: &mut Vec<u8>,
    ) {
        self.flush(out);
        slot(&mut slot(&mut self.items, place.0).parts, place.1).shown = true;
        // Raw text goes on from part to part; a summary's parts are paragraphs.
        let paragraph = match source {
            Thought::Raw => (place.0, 0),
            Thought::Summary => place,
        };
        let before = self.said.thought.replace(paragraph);
        let apart = before.is_some_and(|b| b != paragraph) && self.said.last != Last::Text;
        self.said.last = Last::Reasoning;
        self.emitter.reasoning(out, |out| {
            if apart {
                out.extend_from_slice(BLANK_LINE);
            }
            text.splice(out);
        });
    }

    pub(super) fn said_call(&mut self, out: &mut Vec<u8>) {
        self.flush(out);
        self.said.last = Last::Call;
    }

    /// An annotation of a part: its offsets count from the start of the whole text.
    pub(super) fn annotation(&mut self, place: (u64, u64), annotation: Value<'_>) {
        let parts = find(&self.items, place.0).map(|at| &self.items[at].parts);
        let part = parts.and_then(|p| find(p, place.1).map(|at| &p[at]));
        let base = part.map_or(self.said.chars, |p| match p.shown {
            true => p.base,
            false => self.said.chars,
        });
        // Others point to files that the client cannot fetch here.
        if annotation.str("type").is_none_or(|t| t != "url_citation") {
            return;
        }
        let inner = annotation.present("url_citation").unwrap_or(annotation);
        let mut entry = b"{\"type\":\"url_citation\",\"url_citation\":{".to_vec();
        for key in ["start_index", "end_index"] {
            let index = inner.get(key).and_then(|n| n.as_u64()).unwrap_or(0);
            write::string(&mut entry, key);
            entry.push(b':');
            write::uint(&mut entry, index.saturating_add(base));
            entry.push(b',');
        }
        for (key, end) in [("url", b','), ("title", b'}')] {
            write::string(&mut entry, key);
            entry.extend_from_slice(b":\"");
            inner.str(key).unwrap_or(Str::EMPTY).splice(&mut entry);
            entry.extend_from_slice(&[b'"', end]);
        }
        entry.push(b'}');
        self.emitter.annotation(&entry);
    }
}

/// Number of characters in escaped text.
fn chars(escaped: &[u8]) -> u64 {
    let starts = |bytes: &[u8]| bytes.iter().filter(|b| **b & 0xC0 != 0x80).count() as u64;
    let mut count = 0;
    let mut rest = escaped;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        count += starts(&rest[..at]);
        let (len, low) = match rest.get(at + 1) {
            Some(b'u') => {
                // The second half of a pair belongs to the first.
                let low = matches!(
                    rest.get(at + 2..at + 4),
                    Some([b'd' | b'D', b'c'..=b'f' | b'C'..=b'F'])
                );
                (6, low)
            }
            _ => (2, false),
        };
        count += u64::from(!low);
        rest = rest.get(at + len..).unwrap_or(b"");
    }
    count + starts(rest)
}

#[cfg(test)]
mod tests {
    use super::chars;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn characters_are_counted_escaped_or_not(text in any::<String>(), ascii: bool) {
            let mut json = serde_json::to_string(&text).unwrap();
            if ascii {
                let units = text.encode_utf16().map(|u| format!("\\u{u:04X}"));
                json = format!("\"{}\"", units.collect::<String>());
            }
            prop_assert_eq!(chars(&json.as_bytes()[1..json.len() - 1]), text.chars().count() as u64);
        }
    }
}
