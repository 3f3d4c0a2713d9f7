//! A validating scan of one JSON document into a reusable tape of spans.

use super::run::plain_len;
use std::borrow::Cow;
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

const ESCAPED: u8 = 1;
const LONE_SURROGATE: u8 = 2;

#[derive(Clone, Copy, Debug)]
struct Node {
    start: u32,
    end: u32,
    /// Index of the node after this value's last descendant.
    next: u32,
    kind: Kind,
    flags: u8,
}

/// The reusable memory of a scan. In steady state a scan allocates nothing.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// Scans `src`, which must be exactly one JSON document in UTF-8 (white space around it is
    /// fine), and returns its root. Documents over `u32::MAX` bytes are refused.
    pub fn parse<'a>(&'a mut self, src: &'a [u8]) -> Result<Value<'a>, JsonError> {
        self.nodes.clear();
        if src.len() >= u32::MAX as usize {
            return Err(JsonError {
                at: 0,
                what: "the document is too long",
            });
        }
        if let Err(e) = simdutf8::compat::from_utf8(src) {
            return Err(JsonError {
                at: e.valid_up_to(),
                what: "the document is not UTF-8",
            });
        }
        let mut scan = Scan {
            src,
            at: 0,
            nodes: &mut self.nodes,
        };
        scan.white();
        scan.value(0)?;
        scan.white();
        if scan.at != src.len() {
            return Err(scan.error("something follows the document"));
        }
        Ok(Value {
            src,
            nodes: &self.nodes,
            at: 0,
        })
    }
}

struct Scan<'a, 't> {
    src: &'a [u8],
    at: usize,
    nodes: &'t mut Vec<Node>,
}

impl Scan<'_, '_> {
    #[cold]
    fn error(&self, what: &'static str) -> JsonError {
        JsonError { at: self.at, what }
    }

    #[inline(always)]
    fn peek(&self) -> u8 {
        self.src.get(self.at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn white(&mut self) {
        // Every white byte is at most a space, and hardly any provider writes one.
        while self.peek() <= b' ' && matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// Notes a value without descendants, which ends here.
    #[inline(always)]
    fn leaf(&mut self, start: usize, kind: Kind, flags: u8) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node {
            start: start as u32,
            end: self.at as u32,
            next,
            kind,
            flags,
        });
    }

    fn open(&mut self, kind: Kind) -> usize {
        self.leaf(self.at, kind, 0);
        self.nodes.len() - 1
    }

    fn close(&mut self, node: usize) {
        let next = self.nodes.len() as u32;
        let node = &mut self.nodes[node];
        node.end = self.at as u32;
        node.next = next;
    }

    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > DEPTH_MAX {
            return Err(self.error("the document is nested too deeply"));
        }
        match self.peek() {
            b'"' => self.string(),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b't' => self.word(b"true", Kind::Bool),
            b'f' => self.word(b"false", Kind::Bool),
            b'n' => self.word(b"null", Kind::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ if self.at >= self.src.len() => Err(self.error("the document ends early")),
            _ => Err(self.error("a value was expected")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        let node = self.open(Kind::Object);
        self.at += 1;
        self.white();
        if self.peek() == b'}' {
            self.at += 1;
            self.close(node);
            return Ok(());
        }
        loop {
            if self.peek() != b'"' {
                return Err(self.error("a member name was expected"));
            }
            self.string()?;
            self.white();
            if self.peek() != b':' {
                return Err(self.error("':' was expected"));
            }
            self.at += 1;
            self.white();
            // Most members are strings.
            match self.peek() {
                b'"' if depth < DEPTH_MAX => self.string()?,
                _ => self.value(depth + 1)?,
            }
            self.white();
            match self.peek() {
                b',' => {
                    self.at += 1;
                    self.white();
                }
                b'}' => {
                    self.at += 1;
                    self.close(node);
                    return Ok(());
                }
                _ => return Err(self.error("',' or '}' was expected")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        let node = self.open(Kind::Array);
        self.at += 1;
        self.white();
        if self.peek() == b']' {
            self.at += 1;
            self.close(node);
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.white();
            match self.peek() {
                b',' => {
                    self.at += 1;
                    self.white();
                }
                b']' => {
                    self.at += 1;
                    self.close(node);
                    return Ok(());
                }
                _ => return Err(self.error("',' or ']' was expected")),
            }
        }
    }

    #[inline(always)]
    fn word(&mut self, word: &'static [u8], kind: Kind) -> Result<(), JsonError> {
        if !self.src[self.at..].starts_with(word) {
            return Err(self.error("a value was expected"));
        }
        let start = self.at;
        self.at += word.len();
        self.leaf(start, kind, 0);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.peek().is_ascii_digit() {
            return Err(self.error("a digit was expected"));
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        self.leaf(start, Kind::Number, 0);
        Ok(())
    }

    #[inline(always)]
    fn string(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.at += 1 + plain_len(&self.src[start + 1..]);
        if self.peek() == b'"' {
            self.at += 1;
            self.leaf(start, Kind::String, 0);
            return Ok(());
        }
        self.rest_of_string(start)
    }

    /// The rest of a string in which something stands that is not plain.
    #[inline(never)]
    fn rest_of_string(&mut self, start: usize) -> Result<(), JsonError> {
        let mut flags = 0;
        loop {
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    self.leaf(start, Kind::String, flags);
                    return Ok(());
                }
                b'\\' => {
                    flags |= ESCAPED;
                    flags |= self.escape()?;
                }
                _ if self.at >= self.src.len() => {
                    return Err(self.error("a string is not closed"));
                }
                _ => return Err(self.error("a control character in a string")),
            }
            self.at += plain_len(&self.src[self.at.min(self.src.len())..]);
        }
    }

    fn escape(&mut self) -> Result<u8, JsonError> {
        match self.src.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(0)
            }
            Some(b'u') => {
                let unit = self.unit(self.at)?;
                self.at += 6;
                match unit {
                    0xD800..=0xDBFF => {
                        if self.src[self.at..].starts_with(b"\\u")
                            && (0xDC00..=0xDFFF).contains(&self.unit(self.at)?)
                        {
                            self.at += 6;
                            return Ok(0);
                        }
                        Ok(LONE_SURROGATE)
                    }
                    0xDC00..=0xDFFF => Ok(LONE_SURROGATE),
                    _ => Ok(0),
                }
            }
            _ => Err(self.error("an unknown escape in a string")),
        }
    }

    fn unit(&self, at: usize) -> Result<u16, JsonError> {
        self.src
            .get(at + 2..at + 6)
            .and_then(hex4)
            .ok_or(JsonError {
                at,
                what: "four hexadecimal digits were expected",
            })
    }
}

pub(super) fn hex4(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |unit, d| {
        let d = (*d as char).to_digit(16)?;
        Some(unit << 4 | d as u16)
    })
}

/// A value of a scanned document.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    src: &'a [u8],
    nodes: &'a [Node],
    at: u32,
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.raw()))
    }
}

impl<'a> Value<'a> {
    fn node(&self) -> Node {
        self.nodes[self.at as usize]
    }

    /// What the value is.
    pub fn kind(&self) -> Kind {
        self.node().kind
    }

    /// The value's bytes, verbatim.
    pub fn raw(&self) -> &'a [u8] {
        let node = self.node();
        &self.src[node.start as usize..node.end as usize]
    }

    /// Where the value stands in the document, in bytes.
    pub fn span(&self) -> std::ops::Range<usize> {
        let node = self.node();
        node.start as usize..node.end as usize
    }

    /// Whether the value is `null`.
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// The string, still escaped; `None` for any other kind.
    pub fn as_str(&self) -> Option<Str<'a>> {
        let node = self.node();
        (node.kind == Kind::String).then(|| Str {
            raw: &self.src[node.start as usize + 1..node.end as usize - 1],
            flags: node.flags,
        })
    }

    /// `true` or `false`; `None` for any other kind.
    pub fn as_bool(&self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.raw() == b"true")
    }

    /// The number as an unsigned integer, if it is one (`7` and `7.0` are, `7.5` is not).
    pub fn as_u64(&self) -> Option<u64> {
        let value = self.as_f64()?;
        match std::str::from_utf8(self.raw()).ok()?.parse() {
            Ok(n) => Some(n),
            Err(_) if value >= 0.0 && value.fract() == 0.0 && value < 9e15 => Some(value as u64),
            Err(_) => None,
        }
    }

    /// The number; `None` for any other kind.
    pub fn as_f64(&self) -> Option<f64> {
        if self.kind() != Kind::Number {
            return None;
        }
        std::str::from_utf8(self.raw()).ok()?.parse().ok()
    }

    /// The member `key` of an object. The last one wins, as in most parsers. A `null` member and
    /// one that is missing are told apart; see [`Value::present`].
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        let object = self.node();
        if object.kind != Kind::Object {
            return None;
        }
        let (mut at, mut found) = (self.at + 1, None);
        while at < object.next {
            // A name has no descendants: its value stands right behind it.
            let name = &self.nodes[at as usize];
            let raw = &self.src[name.start as usize + 1..name.end as usize - 1];
            let same = match name.flags & ESCAPED {
                0 => raw == key.as_bytes(),
                _ => Value { at, ..*self }.as_str().is_some_and(|s| s == *key),
            };
            if same {
                found = Some(at + 1);
            }
            at = self.nodes[at as usize + 1].next;
        }
        found.map(|at| Value { at, ..*self })
    }

    /// Like [`Value::get`], with `null` read as absent.
    pub fn present(&self, key: &str) -> Option<Value<'a>> {
        self.get(key).filter(|v| !v.is_null())
    }

    /// The string member `key`; `None` when absent, `null` or not a string.
    pub fn str(&self, key: &str) -> Option<Str<'a>> {
        self.get(key)?.as_str()
    }

    /// The members of an object, in order; nothing for any other kind.
    pub fn entries(&self) -> impl Iterator<Item = (Str<'a>, Value<'a>)> + use<'a> {
        let mut walk = self.walk(Kind::Object);
        std::iter::from_fn(move || {
            let key = walk.next()?;
            let value = walk.next()?;
            Some((key.as_str()?, value))
        })
    }

    /// The items of an array, in order; nothing for any other kind.
    pub fn items(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        self.walk(Kind::Array)
    }

    fn walk(&self, kind: Kind) -> Walk<'a> {
        let node = self.node();
        let end = if node.kind == kind {
            node.next
        } else {
            self.at + 1
        };
        Walk {
            value: Value {
                at: self.at + 1,
                ..*self
            },
            end,
        }
    }
}

struct Walk<'a> {
    value: Value<'a>,
    end: u32,
}

impl<'a> Iterator for Walk<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.value.at >= self.end {
            return None;
        }
        let value = self.value;
        self.value.at = value.node().next;
        Some(value)
    }
}

/// A string of a scanned document: the bytes between the quotes, still escaped, known to be valid.
#[derive(Clone, Copy)]
pub struct Str<'a> {
    raw: &'a [u8],
    flags: u8,
}

impl fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text(), f)
    }
}

impl PartialEq<str> for Str<'_> {
    fn eq(&self, other: &str) -> bool {
        if self.flags & ESCAPED == 0 {
            self.raw == other.as_bytes()
        } else {
            self.text() == other
        }
    }
}

impl PartialEq<&str> for Str<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl<'a> Str<'a> {
    /// The empty string.
    pub const EMPTY: Str<'static> = Str { raw: b"", flags: 0 };

    /// A string of the program's own that needs no escaping.
    pub(crate) const fn plain(text: &'static str) -> Str<'static> {
        Str {
            raw: text.as_bytes(),
            flags: 0,
        }
    }

    /// Whether the string is empty.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The bytes between the quotes, verbatim: still escaped, perhaps with lone surrogates.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Appends the string, still escaped, without quotes. A surrogate without its partner, which
    /// strict parsers refuse, is written as U+FFFD.
    pub fn splice(&self, out: &mut Vec<u8>) {
        if self.flags & LONE_SURROGATE == 0 {
            out.extend_from_slice(self.raw);
            return;
        }
        let mut rest = self.raw;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            let (len, lone) = match hex4(rest.get(2..6).unwrap_or(b"")) {
                _ if rest[1] != b'u' => (2, false),
                Some(0xD800..=0xDBFF) if low_follows(&rest[6..]) => (12, false),
                Some(0xD800..=0xDFFF) => (6, true),
                _ => (6, false),
            };
            out.extend_from_slice(if lone { b"\\ufffd" } else { &rest[..len] });
            rest = &rest[len..];
        }
        out.extend_from_slice(rest);
    }

    /// The string, still escaped and fit to be spliced, see [`Str::splice`]; borrowed unless it
    /// holds a surrogate without its partner.
    pub fn escaped(&self) -> Cow<'a, [u8]> {
        if self.flags & LONE_SURROGATE == 0 {
            return Cow::Borrowed(self.raw);
        }
        let mut out = Vec::with_capacity(self.raw.len());
        self.splice(&mut out);
        Cow::Owned(out)
    }

    /// The bytes of the text, unescaped; for comparing with known names.
    pub fn bytes(&self) -> Cow<'a, [u8]> {
        #[cold]
        fn unescaped(text: &Str<'_>) -> Vec<u8> {
            text.text().into_owned().into_bytes()
        }
        match self.flags & ESCAPED {
            0 => Cow::Borrowed(self.raw),
            _ => Cow::Owned(unescaped(self)),
        }
    }

    /// The text, unescaped; borrowed where there is nothing to unescape.
    pub fn text(&self) -> Cow<'a, str> {
        if self.flags & ESCAPED == 0 {
            return match std::str::from_utf8(self.raw) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => String::from_utf8_lossy(self.raw),
            };
        }
        let mut text = Vec::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            text.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            let (c, len) = unescape(rest);
            match u8::try_from(c) {
                Ok(ascii) if ascii < 0x80 => text.push(ascii),
                _ => text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            rest = &rest[len..];
        }
        text.extend_from_slice(rest);
        Cow::Owned(match String::from_utf8(text) {
            Ok(text) => text,
            Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
        })
    }
}

pub(super) fn low_follows(rest: &[u8]) -> bool {
    rest.starts_with(b"\\u")
        && rest
            .get(2..6)
            .and_then(hex4)
            .is_some_and(|u| (0xDC00..=0xDFFF).contains(&u))
}

/// The character that the escape at the start of `rest` stands for, and the escape's length. The
/// escape is valid, since the scan saw it.
fn unescape(rest: &[u8]) -> (char, usize) {
    match rest[1] {
        b'b' => ('\u{8}', 2),
        b'f' => ('\u{c}', 2),
        b'n' => ('\n', 2),
        b'r' => ('\r', 2),
        b't' => ('\t', 2),
        b'u' => {
            let unit = hex4(&rest[2..6]).unwrap_or(0xFFFD) as u32;
            if (0xD800..=0xDBFF).contains(&unit) && low_follows(&rest[6..]) {
                let low = hex4(&rest[8..12]).unwrap_or(0) as u32;
                let c = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                return (char::from_u32(c).unwrap_or('\u{FFFD}'), 12);
            }
            (char::from_u32(unit).unwrap_or('\u{FFFD}'), 6)
        }
        other => (other as char, 2),
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
