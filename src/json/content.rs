//! The content of one string, judged without the document around it.

use super::run::{self, BLOCK};
use super::scan::{hex4, low_follows};

/// The content of a string inside a longer text: still escaped, known to be valid, with whatever
/// stands behind it.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    bytes: &'a [u8],
    len: usize,
    marks: u8,
}

/// A mark: there are escapes.
const ESCAPED: u8 = 1;
/// A mark: some of them are quotes, or name a character by number.
const QUOTES: u8 = 2;

/// Most bytes of a short content.
pub const SHORT: usize = 32;

impl<'a> Content<'a> {
    /// The string content at the start of `bytes`, up to its closing quote: valid UTF-8, valid
    /// escapes, and no surrogate without its partner. `None` for anything else, or where the end
    /// is not there yet.
    #[inline]
    pub fn of(bytes: &'a [u8]) -> Option<Content<'a>> {
        let (len, marks) = scan(bytes)?;
        Some(Content { bytes, len, marks })
    }

    /// Escaped text that is known to be valid.
    pub fn valid(text: &'a [u8]) -> Content<'a> {
        Content::known(text, text.len())
    }

    /// The same of the first `len` bytes of `bytes`, which are at least so many.
    pub fn known(bytes: &'a [u8], len: usize) -> Content<'a> {
        Content {
            bytes,
            len,
            marks: ESCAPED | QUOTES,
        }
    }

    /// Its length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is the empty string.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it may hold escapes.
    #[inline]
    pub fn escaped(&self) -> bool {
        self.marks & ESCAPED != 0
    }

    /// Whether it may hold quotes, or characters that are given by number.
    #[inline]
    pub fn quotes(&self) -> bool {
        self.marks & QUOTES != 0
    }

    /// The bytes between the quotes.
    #[inline]
    pub fn raw(&self) -> &'a [u8] {
        &self.bytes[..self.len]
    }

    /// What stands behind it, from its closing quote on.
    #[inline]
    pub fn behind(&self) -> &'a [u8] {
        &self.bytes[self.len..]
    }

    /// A block that begins with it, if it is short and enough stands behind it: a copy of fixed
    /// size costs a fraction of a copy of its own length.
    #[inline(always)]
    pub fn block(&self) -> Option<&'a [u8; SHORT]> {
        self.bytes.first_chunk().filter(|_| self.len <= SHORT)
    }

    /// Appends it.
    #[inline(always)]
    pub fn append(&self, out: &mut Vec<u8>) {
        match self.block() {
            Some(block) => {
                let end = out.len() + self.len;
                out.extend_from_slice(block);
                out.truncate(end);
            }
            None => out.extend_from_slice(self.raw()),
        }
    }
}

/// The length of the content at the start of `bytes`, and its marks.
#[inline(always)]
fn scan(bytes: &[u8]) -> Option<(usize, u8)> {
    let (mut from, mut marks) = (0, 0);
    loop {
        let mut stops = match bytes.get(from..)?.first_chunk() {
            Some(block) => run::stops(block),
            None => last_stops(&bytes[from..]),
        };
        let mut next = BLOCK;
        while stops != 0 {
            let at = from + run::place(stops);
            let len = match *bytes.get(at)? {
                b'"' => return Some((at, marks)),
                b'\\' => {
                    let (len, mark) = escape(bytes, at)?;
                    marks |= mark;
                    len
                }
                0..0x20 => return None,
                0x20..0x80 => 1,
                0x80.. => char_len(&bytes[at..])?,
            };
            next = at + len - from;
            stops = run::from(stops, next);
        }
        from += next.max(BLOCK);
    }
}

/// The stops of what is left behind the last whole block, and one behind its end.
#[cold]
fn last_stops(rest: &[u8]) -> run::Marks {
    run::stops(&std::array::from_fn(|at| {
        rest.get(at).copied().unwrap_or(0)
    }))
}

/// The length of the escape at `at`, of two for a pair of surrogates, and its marks.
#[inline(always)]
fn escape(bytes: &[u8], at: usize) -> Option<(usize, u8)> {
    /// The marks of an escape that is a letter behind the backslash.
    const LETTERS: [u8; 256] = {
        let mut letters = [0; 256];
        let all = b"\\/bfnrt";
        let mut at = 0;
        while at < all.len() {
            letters[all[at] as usize] = ESCAPED;
            at += 1;
        }
        letters[b'"' as usize] = ESCAPED | QUOTES;
        letters
    };
    match LETTERS[*bytes.get(at + 1)? as usize] {
        0 => Some((unit_len(&bytes[at..])?, ESCAPED | QUOTES)),
        marks => Some((2, marks)),
    }
}

/// The length of the escape by number at the start of `rest`.
#[cold]
fn unit_len(rest: &[u8]) -> Option<usize> {
    if rest.get(1) != Some(&b'u') {
        return None;
    }
    match hex4(rest.get(2..6)?)? {
        0xD800..=0xDBFF if low_follows(&rest[6..]) => Some(12),
        0xD800..=0xDFFF => None,
        _ => Some(6),
    }
}

/// The length of the character, not ASCII, at the start of `rest` (RFC 3629, section 4): the
/// first bytes say how many follow, and each form excludes what a shorter one can say,
/// surrogates, and what is over U+10FFFF.
#[inline(always)]
fn char_len(rest: &[u8]) -> Option<usize> {
    let word = u32::from_le_bytes(match rest.first_chunk() {
        Some(bytes) => *bytes,
        // No zero continues a character.
        None => std::array::from_fn(|at| rest.get(at).copied().unwrap_or(0)),
    });
    if word & 0x00c0_c0f0 == 0x0080_80e0 {
        return (!matches!(word & 0x200f, 0 | 0x200d)).then_some(3);
    }
    if word & 0xc0e0 == 0x80c0 {
        return (word & 0x1e != 0).then_some(2);
    }
    let four = word & 0xc0c0_c0f8 == 0x8080_80f0;
    let legal = match word & 7 {
        0 => word & 0x3000 != 0,
        1..=3 => true,
        4 => word & 0x3000 == 0,
        _ => false,
    };
    (four && legal).then_some(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn characters_are_those_of_the_standard_library() {
        let later = [
            0, b'"', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff,
        ];
        for first in 0x80..=0xff {
            for second in 0..=0xff {
                for (third, fourth) in later.into_iter().flat_map(|t| later.map(|f| (t, f))) {
                    let bytes = [first, second, third, fourth];
                    let expected = match std::str::from_utf8(&bytes) {
                        Ok(text) => text.chars().next().map(char::len_utf8),
                        Err(e) if e.valid_up_to() > 0 => {
                            let text = std::str::from_utf8(&bytes[..e.valid_up_to()]).unwrap();
                            text.chars().next().map(char::len_utf8)
                        }
                        Err(_) => None,
                    };
                    assert_eq!(char_len(&bytes), expected, "{bytes:x?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn text_is_found_and_copied(text in ".{0,50}", behind in prop::collection::vec(any::<u8>(), 0..40)) {
            let quoted = serde_json::to_string(&text).unwrap();
            let bytes = [&quoted.as_bytes()[1..], &behind].concat();
            let content = Content::of(&bytes).unwrap();
            prop_assert_eq!(content.raw(), &quoted.as_bytes()[1..quoted.len() - 1]);
            prop_assert_eq!(content.behind(), [b"\"", &behind[..]].concat());
            prop_assert_eq!(content.escaped(), content.raw().contains(&b'\\'));
            let number = quoted.replace("\\\\", "").contains("\\u");
            prop_assert_eq!(content.quotes(), number || text.contains('"'));
            let mut out = b"x".to_vec();
            content.append(&mut out);
            Content::valid(content.raw()).append(&mut out);
            Content::known(&bytes, content.len()).append(&mut out);
            prop_assert_eq!(out, [b"x", content.raw(), content.raw(), content.raw()].concat());
        }
    }
}
