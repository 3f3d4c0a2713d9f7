//! Strings of a scanned document: escaped as they came, unescaped where someone asks.

use super::scan::{ESCAPED, LONE_SURROGATE, hex4, low_follows};
use std::borrow::Cow;
use std::fmt;

/// A string of a scanned document: the bytes between the quotes, still escaped, known to be valid.
#[derive(Clone, Copy)]
pub struct Str<'a> {
    pub(super) raw: &'a [u8],
    pub(super) flags: u8,
}

impl fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text(), f)
    }
}

impl PartialEq<str> for Str<'_> {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        if self.flags & ESCAPED == 0 {
            self.raw == other.as_bytes()
        } else {
            self.text() == other
        }
    }
}

impl PartialEq<&str> for Str<'_> {
    #[inline]
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

    /// Appends the text, unescaped, as UTF-8.
    pub fn unescape(&self, out: &mut Vec<u8>) {
        let mut rest = self.raw;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            let (c, len) = unescape(rest);
            match u8::try_from(c) {
                Ok(ascii) if ascii < 0x80 => out.push(ascii),
                _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            rest = &rest[len..];
        }
        out.extend_from_slice(rest);
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
        self.unescape(&mut text);
        Cow::Owned(match String::from_utf8(text) {
            Ok(text) => text,
            Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
        })
    }
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
