//! Frames that are known by heart.
//!
//! A provider's frames differ from one to the next only in one string. A frame that was translated
//! the slow way, and led to nothing but one delta, is remembered as the bytes before and behind
//! that string. A frame of the same bytes with another string in the hole parses to the same but
//! for that string, so what the machine does with it is known without a parse: equal bytes parse
//! equally. This is exact, not a guess; whatever does not match goes the slow way.

use super::call;
use super::emit::{Delta, Emitter};
use super::item::{Open, Part};
use super::view::REASONING;
use super::{State, Translator};
use crate::json::{Content, Kind, Value};
use crate::limits;
use crate::sse::Frame;

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
    /// What stands behind the hole, then what stands before it: all that stands between the holes
    /// of two such frames, so that one comparison judges it.
    between: Vec<u8>,
    /// How much of it stands behind the hole.
    behind: usize,
    /// How much of what stands before the hole names the field.
    field: usize,
    /// How much of what stands behind the hole ends the frame.
    end: usize,
    /// The length of the delta's object without the hole, which counts against the answer's limit;
    /// it is a part of `between`.
    charge: usize,
}

/// What bytes in which known frames are looked for are.
#[derive(Clone, Copy)]
enum Form {
    /// The data of one frame.
    Data,
    /// A stream, as it comes, from the start of a frame on.
    Frames,
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

    /// The template of the frame at the start of `bytes`, as far as the bytes before its hole
    /// tell.
    #[inline(always)]
    fn find(&mut self, bytes: &[u8], form: Form) -> Option<&Template> {
        if !self.templates.first()?.begins(bytes, form) {
            self.find_other(bytes, form)?;
        }
        self.templates.first()
    }

    #[cold]
    fn find_other(&mut self, bytes: &[u8], form: Form) -> Option<()> {
        let at = self.templates.iter().position(|t| t.begins(bytes, form))?;
        self.templates.swap(0, at);
        Some(())
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
    /// bytes they are. What matters beside the bytes of a frame is looked at once for all of
    /// them, since no such frame changes it.
    #[inline(never)]
    pub(super) fn predicted(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut used = 0;
        while used < bytes.len() {
            match self.predicted_run(&bytes[used..], Form::Frames, out) {
                0 => break,
                len => used += len,
            }
        }
        used
    }

    /// The same for a frame that did not come in one piece. `false` if it is not known.
    pub(super) fn predicted_data(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> bool {
        let data = frame.data.trim_ascii();
        frame.event.is_empty() && self.predicted_run(data, Form::Data, out) > 0
    }

    /// What the slow way does with frames of one kind; how many bytes they are. None if the first
    /// is not known, or if the machine does not stand where it must; nothing was done then.
    #[inline(always)]
    fn predicted_run(&mut self, bytes: &[u8], form: Form, out: &mut Vec<u8>) -> usize {
        // What counts against the limit is less than what comes, so that one look is enough. The
        // slow way judges what is near the limit.
        if !self.may_take(bytes.len()) {
            return 0;
        }
        let Some(template) = self.predictor.find(bytes, form) else {
            return 0;
        };
        let hole = template.hole;
        let frames = Frames {
            template,
            bytes,
            form,
        };
        let run = frames.go_to(
            hole,
            &mut self.open,
            &mut self.calls,
            &mut self.emitter,
            out,
        );
        if run.frames > 0 {
            let uncharged = template.between.len() - template.charge;
            self.took(hole, run.len - run.frames * uncharged);
            self.predictor.vain = 0;
            self.predictor.hits += run.frames as u64;
        }
        run.len
    }

    /// The same for one frame that was read without a tape: `piece` is what is in its hole, and
    /// `charge` the rest of its delta. `false` if the machine does not stand where it must.
    pub(super) fn known_piece(
        &mut self,
        hole: Hole,
        piece: Content<'_>,
        charge: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let bytes = charge + piece.len();
        if !self.may_take(bytes) {
            return false;
        }
        let run = piece.go_to(
            hole,
            &mut self.open,
            &mut self.calls,
            &mut self.emitter,
            out,
        );
        if run.frames > 0 {
            self.took(hole, bytes);
        }
        run.frames > 0
    }

    /// Whether pieces just go on, and `bytes` more of them are within the limit.
    #[inline(always)]
    fn may_take(&self, bytes: usize) -> bool {
        let fits = self.answer_bytes + bytes <= limits::ANSWER_BYTES_MAX;
        fits && self.state == State::Committed && self.finish.is_none()
    }

    /// Notes that pieces of `bytes` in all went out.
    #[inline(always)]
    fn took(&mut self, hole: Hole, bytes: usize) {
        if hole != Hole::Text {
            self.held_space.clear();
        }
        self.answer_bytes += bytes;
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
        let field = match frame {
            [b'd', b'a', b't', b'a', b':', b' ', ..] => 6,
            [b'd', b'a', b't', b'a', b':', ..] => 5,
            _ => return,
        };
        // The frame is that one line of data: with another line, or a frame that began in an
        // earlier read, it could be anything.
        let data_end = field + found.data;
        let tail = frame.get(data_end..);
        if !matches!(tail, Some(b"\n\n" | b"\r\n\r\n")) || frame[..data_end].contains(&b'\n') {
            return;
        }
        if frame.len() > TEMPLATE_BYTES_MAX {
            return;
        }
        let (start, end) = (field + found.start, field + found.end);
        let predictor = &mut self.predictor;
        let mut template = match predictor.templates.len() {
            TEMPLATES_MAX => predictor.templates.pop(),
            _ => None,
        }
        .unwrap_or_else(|| Template {
            hole: found.hole,
            between: Vec::new(),
            behind: 0,
            field: 0,
            end: 0,
            charge: 0,
        });
        template.hole = found.hole;
        template.charge = found.charge;
        template.field = field;
        template.end = frame.len() - data_end;
        template.between.clear();
        // The next one to be learned here is of about the same length.
        let about = frame.len().next_multiple_of(128);
        template.between.reserve_exact(about);
        template.between.extend_from_slice(&frame[end..]);
        template.behind = template.between.len();
        template.between.extend_from_slice(&frame[..start]);
        // Most streams have one or two.
        predictor.templates.reserve_exact(1);
        predictor.templates.insert(0, template);
        predictor.vain += 1;
        if predictor.vain > VAIN_MAX {
            predictor.vain = 0;
            predictor.pause = PAUSE_FRAMES;
        }
    }
}

/// Known frames, one after another.
#[derive(Default)]
struct Run {
    frames: usize,
    /// The length of all of them.
    len: usize,
}

/// Where pieces of one kind come from.
trait Supply {
    fn run(&self, taker: impl Take, emitter: &mut Emitter, out: &mut Vec<u8>) -> Run;

    /// Brings them to where the machine keeps pieces for that hole, if it stands there.
    #[inline(always)]
    fn go_to(
        &self,
        hole: Hole,
        open: &mut Open,
        calls: &mut call::Calls,
        emitter: &mut Emitter,
        out: &mut Vec<u8>,
    ) -> Run {
        match (hole, open) {
            (Hole::Arguments(index), _) => {
                let Some(flow) = calls.flow(index) else {
                    return Run::default();
                };
                emitter.begin(flow.delta, flow.item_id, 0);
                self.run(flow.pieces, emitter, out)
            }
            _ if calls.is_open() => Run::default(),
            (
                Hole::Text,
                Open::Message {
                    id,
                    text,
                    index,
                    part: Part::Text,
                    ..
                },
            ) => {
                emitter.begin(Delta::Text, id, *index);
                self.run(text, emitter, out)
            }
            (Hole::Reasoning, Open::Reasoning { id, text }) => {
                emitter.begin(emitter.reasoning(), id, 0);
                self.run(text, emitter, out)
            }
            _ => Run::default(),
        }
    }
}

/// Frames that are known by heart, as far as they go.
struct Frames<'a> {
    template: &'a Template,
    bytes: &'a [u8],
    form: Form,
}

impl Supply for Frames<'_> {
    #[inline(always)]
    fn run(&self, taker: impl Take, emitter: &mut Emitter, out: &mut Vec<u8>) -> Run {
        self.template
            .run(self.bytes, self.form, taker, emitter, out)
    }
}

impl Supply for Content<'_> {
    #[inline(always)]
    fn run(&self, mut taker: impl Take, emitter: &mut Emitter, out: &mut Vec<u8>) -> Run {
        taker.take(self, emitter, out);
        Run {
            frames: 1,
            len: self.len(),
        }
    }
}

impl Template {
    /// Whether `bytes` begin as this frame does.
    #[inline(always)]
    fn begins(&self, bytes: &[u8], form: Form) -> bool {
        match form {
            Form::Frames => bytes.starts_with(self.before()),
            Form::Data => bytes.starts_with(self.data_before()),
        }
    }

    /// What stands before the hole.
    #[inline]
    fn before(&self) -> &[u8] {
        &self.between[self.behind..]
    }

    /// What stands before the hole in the frame's data.
    fn data_before(&self) -> &[u8] {
        &self.between[self.behind + self.field..]
    }

    /// What stands behind the hole in the frame's data.
    fn data_behind(&self) -> &[u8] {
        &self.between[..self.behind - self.end]
    }

    /// Takes the frames at the start of `bytes` that are this one with another string; the bytes
    /// before the first one's hole are known to be there. Empty strings lead to no event, and are
    /// left to the slow way.
    #[inline(never)]
    fn run(
        &self,
        bytes: &[u8],
        form: Form,
        mut taker: impl Take,
        emitter: &mut Emitter,
        out: &mut Vec<u8>,
    ) -> Run {
        if let Form::Data = form {
            return self.once(bytes, taker, emitter, out);
        }
        let (between, behind) = (&self.between[..], &self.between[..self.behind]);
        let mut run = Run::default();
        let mut rest = bytes.get(self.before().len()..);
        while let Some(piece) = rest.and_then(Content::of) {
            let tail = piece.behind();
            rest = tail.strip_prefix(between);
            let whole = rest.is_some() || tail.starts_with(behind);
            if !whole || piece.is_empty() {
                break;
            }
            run.frames += 1;
            run.len = bytes.len() - tail.len() + behind.len();
            if !taker.take(&piece, emitter, out) {
                break;
            }
        }
        run
    }

    /// The same for the data of one frame; the length is that of the whole frame.
    #[inline(never)]
    fn once(
        &self,
        data: &[u8],
        mut taker: impl Take,
        emitter: &mut Emitter,
        out: &mut Vec<u8>,
    ) -> Run {
        let piece = Content::of(&data[self.data_before().len()..]);
        let known = |p: &Content<'_>| p.behind() == self.data_behind() && !p.is_empty();
        let Some(piece) = piece.filter(known) else {
            return Run::default();
        };
        taker.take(&piece, emitter, out);
        Run {
            frames: 1,
            len: self.between.len() + piece.len(),
        }
    }
}

/// What keeps the pieces of known frames for the end, and sends them.
pub(super) trait Take {
    /// Takes the next piece; `false` if that was the last that may come this way.
    fn take(&mut self, piece: &Content<'_>, emitter: &mut Emitter, out: &mut Vec<u8>) -> bool;
}

/// A text keeps every piece, and each goes out as it is.
impl Take for &mut Vec<u8> {
    #[inline(always)]
    fn take(&mut self, piece: &Content<'_>, emitter: &mut Emitter, out: &mut Vec<u8>) -> bool {
        piece.append(self);
        emitter.again(out, piece);
        true
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
