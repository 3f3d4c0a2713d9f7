//! Values of a scanned document, read from its tape.

use super::scan::{ANY_LOOK, Kind, Node, look, look_bit};
use super::text::Str;
use std::fmt;

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
    /// The first value on a tape of `nodes`.
    pub(super) fn root(src: &'a [u8], nodes: &'a [Node]) -> Self {
        Value { src, nodes, at: 0 }
    }

    /// What the value's descendants are read from: the document, the tape, and on it the first
    /// of them and what is behind the last.
    #[inline(always)]
    pub(super) fn inside(&self) -> (&'a [u8], &'a [Node], u32, u32) {
        (self.src, self.nodes, self.at + 1, self.node().next)
    }

    /// The value at that place of the same tape.
    #[inline(always)]
    pub(super) fn at(&self, at: u32) -> Value<'a> {
        Value { at, ..*self }
    }

    #[inline(always)]
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
        if self.kind() != Kind::Number {
            return None;
        }
        let digit = |n: u64, byte: &u8| match byte {
            b'0'..=b'9' => n.checked_mul(10)?.checked_add((byte - b'0').into()),
            _ => None,
        };
        if let Some(n) = self.raw().iter().try_fold(0, digit) {
            return Some(n);
        }
        let value = self.as_f64()?;
        (value >= 0.0 && value.fract() == 0.0 && value < 9e15).then_some(value as u64)
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
    #[inline]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        let object = self.node();
        let look = look(key.len(), key.as_bytes().first().copied().unwrap_or(b'"'));
        // Another kind has no such bits.
        match object.look & look_bit(look) {
            0 => None,
            _ => self.find(key, look),
        }
    }

    #[inline(never)]
    fn find(&self, key: &str, look: u16) -> Option<Value<'a>> {
        let (_, nodes, mut at, end) = self.inside();
        let mut found = None;
        while at < end {
            // A name has no descendants: its value stands right behind it.
            let Some([name, value]) = nodes[at as usize..].first_chunk() else {
                break;
            };
            if (name.look == look || name.look == ANY_LOOK) && self.at(at).is_text(key) {
                found = Some(at + 1);
            }
            at = value.next;
        }
        found.map(|at| self.at(at))
    }

    #[inline(never)]
    fn is_text(&self, text: &str) -> bool {
        self.as_str().is_some_and(|own| own == *text)
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
