//! A freeform tool's input, out of the function arguments that carry it.
//!
//! A provider streams `{"input":"*** Begin\n…"}` as the text of a JSON string. Decoded once, the
//! bytes between the inner quotes are escaped JSON text already, and that is what goes out. What
//! does not have that form (another key, raw text, a fenced block) is understood at the end.

use crate::json::{Content, Tape, write};

/// Where the decoder stands in `{"input":"…"}`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// Before the inner string: everything is kept.
    #[default]
    Before,
    /// Inside the inner string.
    Inside,
    /// Behind the inner string.
    Behind,
    /// Some other form: everything is kept until the end.
    Other,
}

/// Takes the arguments of one call, piece by piece, and gives the tool's input.
#[derive(Debug, Default)]
pub(super) struct Unwrapper {
    state: State,
    /// The arguments, decoded once: the JSON text that the model wrote. Of those inside the
    /// inner string, what the state machine still has to see.
    source: Vec<u8>,
    /// How much of `source` the state machine has seen.
    seen: usize,
    /// The input so far, as escaped JSON text.
    pub(super) input: Vec<u8>,
    /// How much of `input` has left.
    sent: usize,
    /// The input begins with a code fence: nothing leaves before its end is known.
    fenced: bool,
}

const FENCE: &[u8] = b"```";

impl Unwrapper {
    /// Takes a piece without escapes in the middle of the inner string, if that is where the
    /// arguments stand and the input leaves as it comes: then the piece is the input's, too.
    #[inline(always)]
    pub(super) fn pass(&mut self, piece: &Content<'_>) -> bool {
        let within = self.state == State::Inside && self.source.is_empty();
        let flows = within && self.sent > 0 && self.sent == self.input.len();
        if !flows || piece.escaped() {
            return false;
        }
        piece.append(&mut self.input);
        self.sent = self.input.len();
        true
    }

    /// Takes escaped bytes of the arguments; whole escapes only.
    pub(super) fn feed(&mut self, escaped: &[u8]) {
        decode(escaped, &mut self.source);
        if self.state == State::Before {
            self.enter();
        }
        if self.state == State::Inside {
            self.inside();
            if self.seen == self.source.len() {
                self.source.clear();
                self.seen = 0;
            }
        }
    }

    /// The bytes of the input that may leave now.
    pub(super) fn ready(&mut self) -> &[u8] {
        let from = self.sent;
        let held = || self.fenced || FENCE.starts_with(&self.input[..self.input.len().min(3)]);
        if self.sent > 0 || !held() {
            self.sent = self.input.len();
        } else if self.input.len() >= FENCE.len() {
            self.fenced = true;
        }
        &self.input[from..self.sent]
    }

    /// The arguments have ended: settles the input and returns what has not left.
    pub(super) fn finish(&mut self) -> &[u8] {
        if matches!(self.state, State::Before | State::Other) {
            self.input.clear();
            understand(&self.source, &mut self.input);
        }
        if self.sent == 0 {
            strip_fence(&mut self.input);
        }
        let from = self.sent;
        self.sent = self.input.len();
        &self.input[from..]
    }

    /// Looks for `{"input":"` at the start.
    fn enter(&mut self) {
        let mut rest = self.source.as_slice();
        for part in [&b"{"[..], b"\"input\"", b":", b"\""] {
            rest = rest.trim_ascii_start();
            if rest.len() < part.len() {
                if !part.starts_with(rest) {
                    self.state = State::Other;
                }
                return;
            }
            match rest.strip_prefix(part) {
                Some(tail) => rest = tail,
                None => {
                    self.state = State::Other;
                    return;
                }
            }
        }
        self.seen = self.source.len() - rest.len();
        self.state = State::Inside;
    }

    fn inside(&mut self) {
        while let Some(&byte) = self.source.get(self.seen) {
            let rest = &self.source[self.seen..];
            let len = match byte {
                b'"' => {
                    self.state = State::Behind;
                    return;
                }
                b'\\' => match escape_len(rest) {
                    Some(len) => len,
                    None => return,
                },
                // A model that writes a raw line end inside a string means a line end.
                0..=0x1f => {
                    write::escape_into(&mut self.input, &char::from(byte).to_string());
                    self.seen += 1;
                    continue;
                }
                _ => rest
                    .iter()
                    .position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f))
                    .unwrap_or(rest.len()),
            };
            match rest[..len] {
                [
                    b'\\',
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u',
                    ..,
                ] => {
                    splice_escape(&rest[..len], &mut self.input);
                }
                [b'\\', ..] => {
                    // Not an escape of JSON: the backslash stands for itself.
                    self.input.extend_from_slice(b"\\\\");
                    self.seen += 1;
                    continue;
                }
                _ => self.input.extend_from_slice(&rest[..len]),
            }
            self.seen += len;
        }
    }
}

/// The length of the escape at the start of `rest`; `None` while it is not all there. A high
/// surrogate waits for its partner.
fn escape_len(rest: &[u8]) -> Option<usize> {
    match rest.get(1)? {
        b'u' => {
            let unit = unit(rest.get(2..6)?);
            if !unit.is_some_and(|u| (0xD800..0xDC00).contains(&u)) {
                return Some(6);
            }
            match (rest.get(6), rest.get(7)) {
                (None, _) | (Some(b'\\'), None) => None,
                (Some(b'\\'), Some(b'u')) => rest.get(8..12).map(|_| 12),
                _ => Some(6),
            }
        }
        _ => Some(2),
    }
}

fn unit(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Appends a `\u` escape (one or a pair) so that it is valid whatever the model wrote.
fn splice_escape(escape: &[u8], out: &mut Vec<u8>) {
    let lone = match escape {
        [_, b'u', digits @ ..] if digits.len() == 4 => {
            unit(digits).is_none_or(|u| (0xD800..0xE000).contains(&u))
        }
        [_, b'u', digits @ ..] => {
            let low = digits.get(6..10).and_then(unit);
            !low.is_some_and(|u| (0xDC00..0xE000).contains(&u))
        }
        _ => false,
    };
    out.extend_from_slice(if lone { b"\\ufffd" } else { escape });
}

/// Appends the text that escaped JSON text stands for.
fn decode(escaped: &[u8], out: &mut Vec<u8>) {
    let mut rest = escaped;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let Some(kind) = rest.get(1) else { return };
        let (c, len) = match kind {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => decode_unit(rest),
            other => (char::from(*other), 2),
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        rest = rest.get(len..).unwrap_or(b"");
    }
    out.extend_from_slice(rest);
}

fn decode_unit(rest: &[u8]) -> (char, usize) {
    let high = rest.get(2..6).and_then(unit).unwrap_or(0xFFFD);
    if (0xD800..0xDC00).contains(&high) {
        let low = rest
            .get(8..12)
            .and_then(unit)
            .filter(|u| (0xDC00..0xE000).contains(u));
        if let (Some(b"\\u"), Some(low)) = (rest.get(6..8), low) {
            let c = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            return (char::from_u32(c).unwrap_or('\u{FFFD}'), 12);
        }
    }
    (char::from_u32(high).unwrap_or('\u{FFFD}'), 6)
}

/// Finds the input in arguments of another form: the member `input`, the only string member, a
/// bare JSON string, or the text itself.
fn understand(source: &[u8], out: &mut Vec<u8>) {
    let mut tape = Tape::new();
    if let Ok(value) = tape.parse(source) {
        let named = value.str("input");
        let only = || {
            let mut entries = value.entries();
            let first = entries.next()?;
            entries.next().is_none().then_some(first.1.as_str())?
        };
        if let Some(text) = named.or_else(|| value.as_str()).or_else(only) {
            return text.splice(out);
        }
    }
    write::escape_into(out, &String::from_utf8_lossy(source));
}

/// Takes off a code fence that stands around the whole input (escaped JSON text).
fn strip_fence(input: &mut Vec<u8>) {
    let Some(rest) = input.strip_prefix(FENCE) else {
        return;
    };
    let Some(first) = memchr::memmem::find(rest, b"\\n") else {
        return;
    };
    let mut body = &rest[first + 2..];
    while let Some(shorter) = body.strip_suffix(b"\\n") {
        body = shorter;
    }
    let Some(body) = body.strip_suffix(FENCE) else {
        return;
    };
    if memchr::memmem::find(body, b"\\n```").is_some_and(|at| at + 5 < body.len()) {
        return;
    }
    *input = body.to_vec();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(arguments: &str, cuts: &[usize]) -> String {
        let mut unwrapper = Unwrapper::default();
        let mut out = Vec::new();
        let mut chars = arguments.chars().peekable();
        let mut cuts = cuts.iter().cycle();
        while chars.peek().is_some() {
            let piece: String = chars.by_ref().take(*cuts.next().unwrap()).collect();
            let mut escaped = Vec::new();
            write::escape_into(&mut escaped, &piece);
            unwrapper.feed(&escaped);
            out.extend_from_slice(unwrapper.ready());
        }
        out.extend_from_slice(unwrapper.finish());
        assert_eq!(out, unwrapper.input);
        serde_json::from_slice(&[b"\"", &out[..], b"\""].concat()).unwrap()
    }

    #[test]
    fn forms_that_models_use() {
        let cases = [
            (r#"{"input":"a\nb"}"#, "a\nb"),
            (r#" { "input" : "x\u00e9\ud83d\ude00" } "#, "xé😀"),
            (r#"{"patch":"*** Begin"}"#, "*** Begin"),
            (r#"{"a":"b","c":"d"}"#, r#"{"a":"b","c":"d"}"#),
            (r#""quoted""#, "quoted"),
            ("*** Begin Patch\n+\"x\"", "*** Begin Patch\n+\"x\""),
            ("{\"input\":\"raw\nline\"}", "raw\nline"),
            (r#"{"input":"```\nbody\n```"}"#, "body\n"),
            ("```patch\nbody\n```\n", "body\n"),
            (r#"{"input":"``"}"#, "``"),
            (r#"{"input":"bad \d escape"}"#, "bad \\d escape"),
            (r#"{"input":"lone \ud83d."}"#, "lone \u{fffd}."),
            (r#"{"input":"cut"#, "cut"),
            ("", ""),
        ];
        for (arguments, input) in cases {
            for cuts in [&[1][..], &[2], &[3], &[1000]] {
                assert_eq!(run(arguments, cuts), input, "{arguments:?} {cuts:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>(), cut in 1usize..9) {
            prop_assume!(!text.starts_with("```"));
            let arguments = serde_json::json!({ "input": &text }).to_string();
            prop_assert_eq!(run(&arguments, &[cut]), text);
        }

        #[test]
        fn any_arguments_do_no_harm(text in any::<String>(), cut in 1usize..9) {
            run(&text, &[cut]);
        }
    }
}
