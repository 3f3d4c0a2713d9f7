//! Frames that hold one piece of the answer and nothing else that matters, read in one pass
//! without a tape. They are nearly all of a stream, and this is how those are translated that are
//! not known by heart: the first of a kind, and every one of a provider that sends a random member.
//!
//! Every member must be one that is listed here, with a value that is known to say nothing. All
//! else goes the way of the tape; so does what is not JSON.

use super::Translator;
use super::predict::{Found, Hole};
use super::view::REASONING;
use crate::json::{Content, Names, Pull};

/// What a frame of data begins with.
const DATA: &[u8] = b"data: ";

static ROOT: Names<10> = Names::new([
    "choices",
    "usage",
    "object",
    "created",
    "id",
    "model",
    "obfuscation",
    "provider",
    "service_tier",
    "system_fingerprint",
]);

static CHOICE: Names<9> = Names::new([
    "delta",
    "index",
    "finish_reason",
    "logprobs",
    "native_finish_reason",
    "stop_reason",
    "content_filter_results",
    "matched_stop",
    "token_ids",
]);

static DELTA: Names<8> = Names::new([
    REASONING[0],
    REASONING[1],
    REASONING[2],
    "content",
    "role",
    "tool_calls",
    "refusal",
    "function_call",
]);

static CALL: Names<4> = Names::new(["index", "function", "id", "type"]);

static FUNCTION: Names<2> = Names::new(["arguments", "name"]);

/// The one piece of a delta, and the delta's length without it.
struct Piece<'a> {
    hole: Hole,
    text: Text<'a>,
    charge: usize,
}

/// A string, and where it is.
#[derive(Clone, Copy)]
struct Text<'a> {
    start: usize,
    bytes: &'a [u8],
}

impl Translator {
    /// Translates the frame at the start of `bytes`, if it is plain and the machine stands where
    /// its piece belongs; returns its length. Otherwise nothing was done.
    pub(super) fn plain(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        if !self.predicts() || !self.frames.idle() {
            return None;
        }
        let mut pull = Pull::new(bytes.strip_prefix(DATA)?)?;
        let piece = root(&mut pull, self.reasoning_source)?;
        let data = pull.at();
        let (frame, behind) = bytes.split_at(DATA.len() + data);
        let blank = match behind {
            [b'\n', b'\n', ..] => 2,
            [b'\r', b'\n', b'\r', b'\n', ..] => 4,
            _ => return None,
        };
        if simdutf8::basic::from_utf8(frame).is_err() {
            return None;
        }
        // Where tags are looked for, text is not just passed on.
        if piece.hole == Hole::Text && !self.think.is_off() {
            return None;
        }
        let text = Content::known(
            &frame[DATA.len() + piece.text.start..],
            piece.text.bytes.len(),
        );
        if !self.known_piece(piece.hole, text, piece.charge, out) {
            return None;
        }
        self.deltas = true;
        self.predictor.note(Found {
            hole: piece.hole,
            start: piece.text.start,
            end: piece.text.start + piece.text.bytes.len(),
            data,
            charge: piece.charge,
        });
        Some(frame.len() + blank)
    }
}

/// Reads an object, each member at most once: `member` takes its number in `names` and reads the
/// value.
#[inline(always)]
fn object<'a, const N: usize>(
    pull: &mut Pull<'a>,
    names: &Names<N>,
    mut member: impl FnMut(&mut Pull<'a>, usize) -> Option<()>,
) -> Option<()> {
    let (mut seen, mut before) = (0u32, b'{');
    while let Some(name) = pull.member(before, names)? {
        if seen & 1 << name != 0 {
            return None;
        }
        seen |= 1 << name;
        before = b',';
        member(pull, name)?;
    }
    Some(())
}

/// Reads an array of one value.
#[inline(always)]
fn single<'a, T>(pull: &mut Pull<'a>, read: impl FnOnce(&mut Pull<'a>) -> Option<T>) -> Option<T> {
    pull.open(b'[', b']')?.then_some(())?;
    let value = read(pull)?;
    (!pull.more(b']')?).then_some(value)
}

/// Reads a whole chunk.
#[inline(always)]
fn root<'a>(pull: &mut Pull<'a>, source: Option<&'static str>) -> Option<Piece<'a>> {
    let mut piece = None;
    object(pull, &ROOT, |pull, name| match name {
        0 => {
            piece = single(pull, |pull| choice(pull, source))?;
            Some(())
        }
        1 => pull.null().then_some(()),
        // An error may come in the clothes of a chunk.
        2 => {
            let kind = pull.text()?;
            (!matches!(kind.first(), Some(b'e' | b'\\'))).then_some(())
        }
        _ => pull.scalar().map(|_| ()),
    })?;
    piece
}

#[inline(always)]
fn choice<'a>(pull: &mut Pull<'a>, source: Option<&'static str>) -> Option<Option<Piece<'a>>> {
    let mut piece = None;
    object(pull, &CHOICE, |pull, name| match name {
        0 => {
            let from = pull.at();
            let (hole, text) = delta(pull, source)?;
            piece = Some(Piece {
                hole,
                text,
                charge: pull.at() - from - text.bytes.len(),
            });
            Some(())
        }
        1 => (pull.scalar()? == b"0").then_some(()),
        2..6 => pull.null().then_some(()),
        _ => pull.scalar().map(|_| ()),
    })?;
    Some(piece)
}

#[inline(always)]
fn delta<'a>(pull: &mut Pull<'a>, source: Option<&'static str>) -> Option<(Hole, Text<'a>)> {
    let mut found: Option<(Hole, Text<'a>)> = None;
    object(pull, &DELTA, |pull, name| {
        let (hole, text) = match name {
            0..3 => (Hole::Reasoning, text(pull)?),
            3 => (Hole::Text, text(pull)?),
            4 => return pull.scalar().map(|_| ()),
            5 if pull.begins(b'[') => {
                let found;
                (found, *pull) = calls(pull.clone())?;
                found
            }
            _ => return pull.text()?.is_empty().then_some(()),
        };
        if text.bytes.is_empty() {
            return Some(());
        }
        if hole == Hole::Reasoning && source != Some(REASONING[name]) {
            return None;
        }
        found.replace((hole, text)).is_none().then_some(())
    })?;
    found
}

/// A string, or `null`, which is like an empty one.
#[inline(always)]
fn text<'a>(pull: &mut Pull<'a>) -> Option<Text<'a>> {
    let bytes = pull.text()?;
    // The closing quote was read too; where an empty one is matters to nobody.
    let start = pull.at() - 1 - bytes.len();
    Some(Text { start, bytes })
}

/// Reads a list of one call. The place is passed by value, so that it stays in registers elsewhere.
#[inline(never)]
fn calls<'a>(mut pull: Pull<'a>) -> Option<((Hole, Text<'a>), Pull<'a>)> {
    let found = single(&mut pull, call)?;
    Some((found, pull))
}

/// A piece of the arguments of a call. A name or an id may begin another one.
#[inline(always)]
fn call<'a>(pull: &mut Pull<'a>) -> Option<(Hole, Text<'a>)> {
    let (mut index, mut arguments) = (None, None);
    object(pull, &CALL, |pull, name| match name {
        0 => {
            index = Some(small(pull.scalar()?)?);
            Some(())
        }
        1 => object(pull, &FUNCTION, |pull, name| match name {
            0 => {
                arguments = Some(pull.begins(b'"').then(|| text(pull))??);
                Some(())
            }
            _ => pull.text()?.is_empty().then_some(()),
        }),
        2 => pull.text()?.is_empty().then_some(()),
        _ => pull.scalar().map(|_| ()),
    })?;
    Some((Hole::Arguments(index), arguments?))
}

/// A number without sign, fraction or exponent.
fn small(digits: &[u8]) -> Option<i64> {
    let short = digits.len() < 10 && digits.iter().all(u8::is_ascii_digit);
    short.then(|| digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
}
