//! A validating scan of one JSON document into a reusable tape of spans.

use super::string;
use super::value::Value;
use std::fmt;

/// Deepest nesting accepted; deeper documents are refused, so that recursion is bounded.
pub const DEPTH_MAX: usize = 128;

/// What a JSON value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `[…]`
    Array,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
    /// A number, kept as written.
    Number,
    /// `{…}`
    Object,
    /// A string, kept escaped.
    String,
}

/// Why a document was refused, and at which byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct JsonError {
    /// Offset into the document, in bytes.
    pub at: usize,
    /// One short phrase for the client.
    pub what: &'static str,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for JsonError {}

/// The string holds escapes.
pub(super) const ESCAPED: u8 = 1;
/// The string holds a surrogate without its partner.
pub(super) const LONE_SURROGATE: u8 = 2;

/// Why a scan stopped, and at which byte.
#[derive(Clone, Copy)]
pub(super) struct Fault {
    at: u32,
    what: What,
}

impl Fault {
    #[cold]
    pub(super) fn new(at: usize, what: What) -> Self {
        Fault {
            at: at as u32,
            what,
        }
    }
}

/// What is wrong with a document.
#[derive(Clone, Copy)]
pub(super) enum What {
    Colon,
    Control,
    Deep,
    Digit,
    EarlyEnd,
    Escape,
    Hex,
    InArray,
    InObject,
    Name,
    OpenString,
    Trailing,
    Value,
}

impl What {
    fn phrase(self) -> &'static str {
        match self {
            What::Colon => "':' was expected",
            What::Control => "a control character in a string",
            What::Deep => "the document is nested too deeply",
            What::Digit => "a digit was expected",
            What::EarlyEnd => "the document ends early",
            What::Escape => "an unknown escape in a string",
            What::Hex => "four hexadecimal digits were expected",
            What::InArray => "',' or ']' was expected",
            What::InObject => "',' or '}' was expected",
            What::Name => "a member name was expected",
            What::OpenString => "a string is not closed",
            What::Trailing => "something follows the document",
            What::Value => "a value was expected",
        }
    }
}

/// A value on the tape; a member's name is one too, right before its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub start: u32,
    pub end: u32,
    /// Index of the node after this value's last descendant. While a container is open, the index
    /// of the one around it.
    pub next: u32,
    pub kind: Kind,
    pub flags: u8,
    /// Of a member's name: what it looks like, see [`look`]. Of an object: the looks of all its
    /// names, see [`look_bit`].
    pub look: u16,
}

/// The look of a name with escapes: it may be any.
pub(super) const ANY_LOOK: u16 = u16::MAX;

/// What a name looks like: its length and its first byte, which is its closing quote where it is
/// empty. Hardly two names of an object look alike, so that few have to be compared.
#[inline(always)]
pub(super) fn look(len: usize, first: u8) -> u16 {
    // No byte of UTF-8 is 255, so this is never ANY_LOOK.
    (len as u16) << 8 | u16::from(first)
}

/// A bit for names of that look. Most look-ups are of members that an object does not have; this
/// tells without a walk.
#[inline(always)]
pub(super) fn look_bit(look: u16) -> u16 {
    1 << ((look >> 8 ^ look) % 16)
}

/// What stands for the container around the root.
const NOTHING: u32 = u32::MAX;

/// The reusable memory of a scan. In steady state a scan allocates nothing.
#[derive(Debug, Default)]
pub struct Tape {
    /// Those beyond the last document's are left from earlier ones.
    nodes: Vec<Node>,
}

impl Tape {
    /// An empty tape.
    pub const fn new() -> Self {
        Tape { nodes: Vec::new() }
    }

    /// How many nodes it has room for.
    pub fn nodes(&self) -> usize {
        self.nodes.capacity()
    }

    /// Scans `src`, which must be exactly one JSON document in UTF-8 (white space around it is
    /// fine), and returns its root. Documents over `u32::MAX` bytes are refused.
    pub fn parse<'a>(&'a mut self, src: &'a [u8]) -> Result<Value<'a>, JsonError> {
        if src.len() >= u32::MAX as usize {
            return Err(JsonError {
                at: 0,
                what: "the document is too long",
            });
        }
        if simdutf8::basic::from_utf8(src).is_err()
            && let Err(e) = simdutf8::compat::from_utf8(src)
        {
            return Err(JsonError {
                at: e.valid_up_to(),
                what: "the document is not UTF-8",
            });
        }
        let mut scan = Scan {
            src,
            nodes: &mut self.nodes,
            used: 0,
        };
        let used = match scan.document() {
            Ok(()) => scan.used,
            Err(fault) => {
                return Err(JsonError {
                    at: fault.at as usize,
                    what: fault.what.phrase(),
                });
            }
        };
        Ok(Value::root(src, &self.nodes[..used]))
    }
}

/// One pass over a document. Places are passed by value, so that they stay in registers.
struct Scan<'a, 't> {
    src: &'a [u8],
    nodes: &'t mut Vec<Node>,
    used: usize,
}

impl Scan<'_, '_> {
    /// The whole document. The containers that are open are linked through their nodes, so there
    /// is no recursion.
    fn document(&mut self) -> Result<(), Fault> {
        let mut at = self.white(0);
        let mut open = NOTHING;
        let mut depth = 0;
        let mut in_object = false;
        'value: loop {
            if depth > DEPTH_MAX {
                return Err(Fault::new(at, What::Deep));
            }
            match self.peek(at) {
                b'"' => at = self.string(at)?,
                kind @ (b'{' | b'[') => {
                    let node = self.used as u32;
                    in_object = kind == b'{';
                    let kind = match in_object {
                        true => Kind::Object,
                        false => Kind::Array,
                    };
                    self.push(at, 0, open, kind, 0);
                    at = self.white(at + 1);
                    open = node;
                    depth += 1;
                    // An empty one is closed below.
                    match (in_object, self.peek(at)) {
                        (true, b'}') | (false, b']') => {}
                        (true, _) => {
                            at = self.name(at, open)?;
                            continue 'value;
                        }
                        (false, _) => continue 'value,
                    }
                }
                b't' => at = self.word(at, b"true", Kind::Bool)?,
                b'f' => at = self.word(at, b"false", Kind::Bool)?,
                b'n' => at = self.word(at, b"null", Kind::Null)?,
                b'-' | b'0'..=b'9' => {
                    let end = number(self.src, at)?;
                    self.leaf(at, end, Kind::Number, 0);
                    at = end;
                }
                _ if at >= self.src.len() => return Err(Fault::new(at, What::EarlyEnd)),
                _ => return Err(Fault::new(at, What::Value)),
            }
            // Behind a value, or at the end of an empty container.
            loop {
                at = self.white(at);
                if open == NOTHING {
                    return match at == self.src.len() {
                        true => Ok(()),
                        false => Err(Fault::new(at, What::Trailing)),
                    };
                }
                match (in_object, self.peek(at)) {
                    (true, b',') => {
                        at = self.white(at + 1);
                        at = self.name(at, open)?;
                        continue 'value;
                    }
                    (false, b',') => {
                        at = self.white(at + 1);
                        continue 'value;
                    }
                    (true, b'}') | (false, b']') => {
                        at += 1;
                        depth -= 1;
                        open = self.close(open, at);
                        in_object =
                            open != NOTHING && self.nodes[open as usize].kind == Kind::Object;
                    }
                    (true, _) => return Err(Fault::new(at, What::InObject)),
                    (false, _) => return Err(Fault::new(at, What::InArray)),
                }
            }
        }
    }

    #[inline(always)]
    fn peek(&self, at: usize) -> u8 {
        self.src.get(at).copied().unwrap_or(0)
    }

    /// What is behind the white space at `at`.
    #[inline(always)]
    fn white(&self, mut at: usize) -> usize {
        // Every white byte is at most a space, and hardly any provider writes one.
        while self.peek(at) <= b' ' && matches!(self.peek(at), b' ' | b'\t' | b'\n' | b'\r') {
            at += 1;
        }
        at
    }

    #[inline(always)]
    fn push(&mut self, start: usize, end: usize, next: u32, kind: Kind, flags: u8) {
        let new = Node {
            start: start as u32,
            end: end as u32,
            next,
            kind,
            flags,
            look: 0,
        };
        match self.nodes.get_mut(self.used) {
            Some(node) => *node = new,
            None => grow(self.nodes, new),
        }
        self.used += 1;
    }

    /// Notes a value without descendants.
    #[inline(always)]
    fn leaf(&mut self, start: usize, end: usize, kind: Kind, flags: u8) {
        self.push(start, end, self.used as u32 + 1, kind, flags);
    }

    /// Ends the container `node` at `end`; returns the one around it.
    #[inline(always)]
    fn close(&mut self, node: u32, end: usize) -> u32 {
        let next = self.used as u32;
        let node = &mut self.nodes[node as usize];
        node.end = end as u32;
        std::mem::replace(&mut node.next, next)
    }

    #[inline(always)]
    fn string(&mut self, at: usize) -> Result<usize, Fault> {
        let seen = string::read(self.src, at)?;
        self.leaf(at, seen.end as usize, Kind::String, seen.flags);
        Ok(seen.end as usize)
    }

    /// A name of a member of the object `of`, and the colon behind it.
    #[inline(always)]
    fn name(&mut self, at: usize, of: u32) -> Result<usize, Fault> {
        if self.peek(at) != b'"' {
            return Err(Fault::new(at, What::Name));
        }
        let seen = string::read(self.src, at)?;
        let end = seen.end as usize;
        self.leaf(at, end, Kind::String, seen.flags);
        let (look, bits) = match seen.flags & ESCAPED {
            0 => {
                let look = look(end - at - 2, self.peek(at + 1));
                (look, look_bit(look))
            }
            _ => (ANY_LOOK, u16::MAX),
        };
        self.nodes[self.used - 1].look = look;
        self.nodes[of as usize].look |= bits;
        let at = self.white(end);
        if self.peek(at) != b':' {
            return Err(Fault::new(at, What::Colon));
        }
        Ok(self.white(at + 1))
    }

    #[inline(always)]
    fn word(&mut self, at: usize, word: &'static [u8], kind: Kind) -> Result<usize, Fault> {
        if !self.src[at..].starts_with(word) {
            return Err(Fault::new(at, What::Value));
        }
        let end = at + word.len();
        self.leaf(at, end, kind, 0);
        Ok(end)
    }
}

/// Appends a node and makes room for more: twice as many, as a vector does.
#[cold]
#[inline(never)]
fn grow(nodes: &mut Vec<Node>, new: Node) {
    nodes.push(new);
    nodes.resize(nodes.capacity(), new);
}

/// The end of the number at `at`.
#[inline(always)]
pub(super) fn number(src: &[u8], mut at: usize) -> Result<usize, Fault> {
    let peek = |at: usize| src.get(at).copied().unwrap_or(0);
    if peek(at) == b'-' {
        at += 1;
    }
    at = match peek(at) {
        b'0' => at + 1,
        _ => digits(src, at)?,
    };
    if peek(at) == b'.' {
        at = digits(src, at + 1)?;
    }
    if matches!(peek(at), b'e' | b'E') {
        at += 1;
        if matches!(peek(at), b'+' | b'-') {
            at += 1;
        }
        at = digits(src, at)?;
    }
    Ok(at)
}

/// What is behind the digits at `at`, of which there must be one.
#[inline(always)]
fn digits(src: &[u8], at: usize) -> Result<usize, Fault> {
    let mut end = at;
    // Eight at a time: in a word from which every digit's tens are taken, other bytes are above 9.
    loop {
        let rest = src.get(end..).unwrap_or(b"");
        let Some(word) = rest.first_chunk() else {
            end += rest.iter().take_while(|b| b.is_ascii_digit()).count();
            break;
        };
        const ONES: u64 = u64::MAX / 255;
        let word = u64::from_le_bytes(*word) ^ (ONES * b'0' as u64);
        let others = (word.wrapping_add(ONES * (0x80 - 10)) | word) & (ONES * 0x80);
        end += (others.trailing_zeros() / 8) as usize;
        if others != 0 {
            break;
        }
    }
    match end == at {
        true => Err(Fault::new(at, What::Digit)),
        false => Ok(end),
    }
}

/// The number that four hexadecimal digits stand for.
pub(super) fn hex4(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |unit, d| {
        let d = (*d as char).to_digit(16)?;
        Some(unit << 4 | d as u16)
    })
}

pub(super) fn low_follows(rest: &[u8]) -> bool {
    rest.starts_with(b"\\u")
        && rest
            .get(2..6)
            .and_then(hex4)
            .is_some_and(|u| (0xDC00..=0xDFFF).contains(&u))
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
