//! Frames that are known by heart.
//!
//! A provider's frames differ from one to the next only in one string. A frame that was translated
//! the slow way, and led to nothing but one delta, is remembered as the bytes before and behind
//! that string. A frame of the same bytes with another string in the hole parses to the same but
//! for that string, so what the machine does with it is known without a parse: equal bytes parse
//! equally. This is exact, not a guess; whatever does not match goes the slow way.

use super::emit::Delta;
use super::item::{Open, Part};
use super::view::REASONING;
use super::{State, Translator};
use crate::json::{Kind, Value, string_len};
use crate::limits;

/// Frames of so many kinds are remembered: text, reasoning, and a call or two.
const TEMPLATES_MAX: usize = 4;
/// Longer frames are not worth remembering: the memory would be each stream's own.
const TEMPLATE_BYTES_MAX: usize = 2048;
/// A provider whose frames never match (each has a random member) is not learned from for so many
/// frames.
const PAUSE_FRAMES: u32 = 64;
/// So many templates in vain lead to a pause.
const VAIN_MAX: u32 = 4;

/// What the string in the hole is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hole {
    /// A piece of the arguments of the call of that index.
    Arguments(Option<i64>),
    Reasoning,
    Text,
}

/// A frame with a hole.
#[derive(Debug)]
struct Template {
    hole: Hole,
    /// All bytes but those in the hole.
    bytes: Vec<u8>,
    /// Where the hole is.
    at: usize,
    /// The length of the delta's object without the hole, which counts against the answer's limit.
    charge: usize,
}

/// A frame that is known by heart.
pub(super) struct Known<'a> {
    pub hole: Hole,
    pub charge: usize,
    /// The string in the hole.
    pub piece: &'a [u8],
    /// The frame's length.
    pub len: usize,
}

/// A hole that was found in a frame, relative to its data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub hole: Hole,
    pub start: usize,
    pub end: usize,
    pub data: usize,
    pub charge: usize,
}

/// What is remembered of one stream.
#[derive(Debug, Default)]
pub(super) struct Predictor {
    /// The last used one stands first.
    templates: Vec<Template>,
    found: Option<Found>,
    off: bool,
    /// Frames that were known by heart.
    hits: u64,
    /// Templates since the last one that was of use.
    vain: u32,
    pause: u32,
}

impl Predictor {
    pub(super) fn switch_off(&mut self) {
        self.off = true;
    }

    /// The frame at the start of `bytes`, if it is known.
    #[inline]
    fn find<'a>(&mut self, bytes: &'a [u8]) -> Option<Known<'a>> {
        let first = self.templates.first()?;
        if let Some(known) = first.matches(bytes) {
            return Some(known);
        }
        let mut others = self.templates.iter().enumerate().skip(1);
        let (n, known) = others.find_map(|(n, t)| Some((n, t.matches(bytes)?)))?;
        self.templates.swap(0, n);
        Some(known)
    }

    /// Whether the templates proved to be of no use, so that looking at them is none either.
    pub(super) fn pausing(&self) -> bool {
        self.pause > 0
    }

    /// Whether nothing is to be learned from this frame.
    fn pauses(&mut self) -> bool {
        let pauses = self.pause > 0;
        self.pause -= u32::from(pauses);
        pauses
    }

    /// Notes the hole of a frame that was read without a parse, see [`Translator::plain`].
    pub(super) fn note(&mut self, found: Found) {
        if !self.pauses() {
            self.found = Some(found);
        }
    }

    pub(super) fn hits(&self) -> u64 {
        self.hits
    }
}

/// The length of the first frame in `bytes`, its blank line included; of everything, where there
/// is no blank line.
pub(super) fn frame_len(bytes: &[u8]) -> usize {
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'\n', &bytes[from..]) {
        let end = from + at + 1;
        match &bytes[end..] {
            [b'\n', ..] => return end + 1,
            [b'\r', b'\n', ..] => return end + 2,
            _ => from = end,
        }
    }
    bytes.len()
}

impl Translator {
    /// Whether frames of this stream may be known without a parse.
    pub(super) fn predicts(&self) -> bool {
        !self.predictor.off && !self.emitter.plan.rules.cumulative
    }

    /// Translates as many frames at the start of `bytes` as are known by heart; returns how many
    /// bytes they are.
    pub(super) fn predicted(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut used = 0;
        while let Some(known) = self.predictor.find(&bytes[used..]) {
            if !self.known_piece(&known, out) {
                break;
            }
            self.predictor.vain = 0;
            self.predictor.hits += 1;
            used += known.len;
        }
        used
    }

    /// What the slow way does with a frame of that kind. `false` if the machine does not stand
    /// where it must; nothing was done then.
    // Two callers keep the compiler from inlining it into the loop over frames that are known.
    #[inline(always)]
    pub(super) fn known_piece(&mut self, known: &Known<'_>, out: &mut Vec<u8>) -> bool {
        let piece = known.piece;
        let bytes = self.answer_bytes + known.charge + piece.len();
        let steady = self.state == State::Committed && self.finish.is_none();
        if bytes > limits::ANSWER_BYTES_MAX || !steady {
            return false;
        }
        let done = match known.hole {
            Hole::Arguments(index) => self.predicted_arguments(index, piece, out),
            _ if self.calls.is_open() => false,
            Hole::Text => self.predicted_text(piece, out),
            Hole::Reasoning => self.predicted_reasoning(piece, out),
        };
        if done {
            self.answer_bytes = bytes;
        }
        done
    }

    fn predicted_text(&mut self, piece: &[u8], out: &mut Vec<u8>) -> bool {
        let Open::Message {
            id,
            text,
            index,
            part: Part::Text,
            ..
        } = &mut self.open
        else {
            return false;
        };
        text.extend_from_slice(piece);
        self.emitter.delta(out, Delta::Text, id, *index, piece);
        true
    }

    fn predicted_reasoning(&mut self, piece: &[u8], out: &mut Vec<u8>) -> bool {
        let Open::Reasoning { id, text } = &mut self.open else {
            return false;
        };
        text.extend_from_slice(piece);
        let kind = match self.emitter.plan.reasoning_summary {
            true => Delta::Summary,
            false => Delta::Reasoning,
        };
        self.held_space.clear();
        self.emitter.delta(out, kind, id, 0, piece);
        true
    }

    /// A frame led to one event: notes where its hole is, if it has one and nothing else in it
    /// matters. `data` is the length of the frame's data.
    pub(super) fn consider(&mut self, chunk: Value<'_>, data: usize) {
        if !self.predicts() || self.finish.is_some() || self.predictor.pauses() {
            return;
        }
        let Some((hole, string, charge)) = hole_of(chunk, self.reasoning_source) else {
            return;
        };
        let stands = match hole {
            Hole::Text => {
                // Where tags are looked for, or white space waits, text is not just passed on.
                let message = matches!(
                    &self.open,
                    Open::Message {
                        part: Part::Text,
                        ..
                    }
                );
                message && self.think.is_off() && !self.calls.is_open()
            }
            Hole::Reasoning => matches!(self.open, Open::Reasoning { .. }) && !self.calls.is_open(),
            Hole::Arguments(index) => self.front_index() == Some(index),
        };
        if !stands {
            return;
        }
        let span = string.span();
        self.predictor.found = Some(Found {
            hole,
            start: span.start + 1,
            end: span.end - 1,
            data,
            charge: charge - (span.len() - 2),
        });
    }

    /// Remembers `frame` if its hole was found.
    pub(super) fn learn(&mut self, frame: &[u8]) {
        let Some(found) = self.predictor.found.take() else {
            return;
        };
        let offset = match frame {
            [b'd', b'a', b't', b'a', b':', b' ', ..] => 6,
            [b'd', b'a', b't', b'a', b':', ..] => 5,
            _ => return,
        };
        // The frame is that one line of data: with another line, or a frame that began in an
        // earlier read, it could be anything.
        let end = offset + found.data;
        let tail = frame.get(end..);
        if !matches!(tail, Some(b"\n\n" | b"\r\n\r\n")) || frame[..end].contains(&b'\n') {
            return;
        }
        if frame.len() > TEMPLATE_BYTES_MAX {
            return;
        }
        let (start, end) = (offset + found.start, offset + found.end);
        let predictor = &mut self.predictor;
        let mut template = match predictor.templates.len() {
            TEMPLATES_MAX => predictor.templates.pop(),
            _ => None,
        }
        .unwrap_or_else(|| Template {
            hole: found.hole,
            bytes: Vec::new(),
            at: 0,
            charge: 0,
        });
        template.hole = found.hole;
        template.at = start;
        template.charge = found.charge;
        template.bytes.clear();
        template.bytes.extend_from_slice(&frame[..start]);
        template.bytes.extend_from_slice(&frame[end..]);
        predictor.templates.insert(0, template);
        predictor.vain += 1;
        if predictor.vain > VAIN_MAX {
            predictor.vain = 0;
            predictor.pause = PAUSE_FRAMES;
        }
    }
}

impl Template {
    /// The frame at the start of `bytes`, if it is this one with another string. Empty strings
    /// lead to no event, and are left to the slow way.
    #[inline]
    fn matches<'a>(&self, bytes: &'a [u8]) -> Option<Known<'a>> {
        let (before, behind) = self.bytes.split_at(self.at);
        let rest = bytes.strip_prefix(before)?;
        let len = string_len(rest).filter(|len| *len > 0)?;
        let (piece, tail) = rest.split_at(len);
        tail.starts_with(behind).then_some(Known {
            hole: self.hole,
            charge: self.charge,
            piece,
            len: self.bytes.len() + len,
        })
    }
}

/// The one string in a chunk that may differ from frame to frame, what it is, and the length of
/// the delta. `None` if anything else in the chunk matters, or might.
fn hole_of<'a>(chunk: Value<'a>, source: Option<&'static str>) -> Option<(Hole, Value<'a>, usize)> {
    const ROOT: [&[u8]; 8] = [
        b"created",
        b"id",
        b"model",
        b"object",
        b"obfuscation",
        b"provider",
        b"service_tier",
        b"system_fingerprint",
    ];
    let mut choices = None;
    for (key, value) in chunk.entries() {
        match &*key.bytes() {
            b"choices" if choices.is_none() => choices = Some(value),
            b"usage" if value.is_null() => {}
            key if ROOT.contains(&key) => {}
            _ => return None,
        }
    }
    let mut items = choices?.items();
    let choice = items.next().filter(|_| items.next().is_none())?;
    let mut delta = None;
    for (key, value) in choice.entries() {
        match &*key.bytes() {
            b"delta" if delta.is_none() => delta = Some(value),
            b"index" if value.raw() == b"0" => {}
            b"finish_reason" | b"logprobs" | b"native_finish_reason" | b"stop_reason"
                if value.is_null() => {}
            b"content_filter_results" | b"matched_stop" | b"token_ids" => {}
            _ => return None,
        }
    }
    let delta = delta?;
    let mut hole = None;
    for (key, value) in delta.entries() {
        let key = key.bytes();
        let empty = value.is_null() || value.as_str().is_some_and(|s| s.is_empty());
        let found = match &*key {
            b"role" => continue,
            b"content" | b"reasoning" | b"reasoning_content" | b"reasoning_text" | b"refusal"
            | b"function_call" | b"tool_calls"
                if empty =>
            {
                continue;
            }
            b"tool_calls" if value.kind() == Kind::Array => arguments_of(value)?,
            b"content" if value.kind() == Kind::String => (Hole::Text, value),
            key if value.kind() == Kind::String
                && REASONING.iter().any(|r| key == r.as_bytes())
                && source.is_some_and(|s| key == s.as_bytes()) =>
            {
                (Hole::Reasoning, value)
            }
            _ => return None,
        };
        if hole.replace(found).is_some() {
            return None;
        }
    }
    let (hole, string) = hole?;
    Some((hole, string, delta.raw().len()))
}

/// The piece of arguments in a `tool_calls` of one entry.
fn arguments_of<'a>(calls: Value<'a>) -> Option<(Hole, Value<'a>)> {
    let mut items = calls.items();
    let call = items.next().filter(|_| items.next().is_none())?;
    let (mut index, mut function) = (None, None);
    let mut named = false;
    for (key, value) in call.entries() {
        match &*key.bytes() {
            b"index" if index.is_none() => index = Some(value.as_f64()? as i64),
            b"function" if function.is_none() => function = Some(value),
            b"id" => named |= !value.is_null() && !value.as_str()?.is_empty(),
            b"type" => {}
            _ => return None,
        }
    }
    let mut arguments = None;
    for (key, value) in function?.entries() {
        match &*key.bytes() {
            b"arguments" if arguments.is_none() && value.kind() == Kind::String => {
                arguments = Some(value);
            }
            b"name" => named |= !value.is_null() && !value.as_str()?.is_empty(),
            _ => return None,
        }
    }
    // Without an index, a name begins another call; with one, it says nothing new, but what it
    // says must then be compared.
    (!named).then_some((Hole::Arguments(index), arguments?))
}
