//! A document read value by value, without a tape: for documents of a form that is known, most of
//! whose members matter to nobody. What is read is validated as by the scan, but for UTF-8.

use super::block;
use super::names::Names;
use super::scan::{LONE_SURROGATE, number};
use super::string;

/// A place in a document. `None` says that the document is not of the expected form there, or not
/// JSON at all: a scan tells which.
///
/// Of white space only spaces are skipped: this is for documents on one line.
#[derive(Clone, Debug)]
pub struct Pull<'a> {
    src: &'a [u8],
    at: usize,
}

impl<'a> Pull<'a> {
    /// Starts at the first byte of `src`; what follows the document is not looked at. Documents
    /// longer than `u32` can say are not read.
    pub fn new(src: &'a [u8]) -> Option<Self> {
        u32::try_from(src.len()).ok()?;
        Some(Pull { src, at: 0 })
    }

    /// How many bytes were read.
    pub fn at(&self) -> usize {
        self.at
    }

    #[inline(always)]
    fn peek(&self) -> u8 {
        self.src.get(self.at).copied().unwrap_or(0)
    }

    /// The next byte that is not a space. Hardly any provider writes spaces.
    #[inline(always)]
    fn next(&mut self) -> u8 {
        if self.peek() == b' ' {
            self.at = behind_spaces(self.src, self.at);
        }
        self.peek()
    }

    /// Whether the next value begins with `byte`.
    #[inline(always)]
    pub fn begins(&self, byte: u8) -> bool {
        self.peek() == byte
    }

    /// Begins a container, `{` or `[`: whether there is anything in it before `end`.
    #[inline(always)]
    pub fn open(&mut self, begin: u8, end: u8) -> Option<bool> {
        if self.peek() != begin {
            return None;
        }
        self.at += 1;
        let empty = self.next() == end;
        self.at += usize::from(empty);
        Some(!empty)
    }

    /// Behind a value in a container: whether another follows before `end`.
    #[inline(always)]
    pub fn more(&mut self, end: u8) -> Option<bool> {
        let next = self.next();
        self.at += 1;
        if next == b',' {
            self.next();
            return Some(true);
        }
        (next == end).then_some(false)
    }

    /// The name of the next member of an object, which must be one of `names`, and the colon behind
    /// it: before the first, `before` is what begins the object, and a comma otherwise. `Some(None)`
    /// at the end of the object.
    #[inline(always)]
    pub fn member<const N: usize>(
        &mut self,
        before: u8,
        names: &Names<N>,
    ) -> Option<Option<usize>> {
        let (name, at) = match self.plain_member(before, names) {
            Some((name, at)) => (Some(name), at),
            None if before == b',' && self.peek() == b'}' => (None, self.at + 1),
            None => self.clone().any_member(before, names)?,
        };
        self.at = at;
        Some(name)
    }

    /// The same for a member of a short name without blanks around it, as nearly all are.
    #[inline(always)]
    fn plain_member<const N: usize>(&self, before: u8, names: &Names<N>) -> Option<(usize, usize)> {
        let bytes: &[u8; 20] = self.src.get(self.at..)?.first_chunk()?;
        let [sign, b'"', rest @ ..] = bytes else {
            return None;
        };
        let (block, _) = rest.split_first_chunk().filter(|_| *sign == before)?;
        // A name that is known is plain.
        let len = block::quote(block);
        if len >= block.len() || bytes[len + 2..][..2] != *b"\":" || bytes[len + 4] == b' ' {
            return None;
        }
        Some((names.find_short(block, len)?, self.at + len + 4))
    }

    #[inline(never)]
    fn any_member<const N: usize>(
        mut self,
        before: u8,
        names: &Names<N>,
    ) -> Option<(Option<usize>, usize)> {
        let more = match before {
            b',' => self.more(b'}')?,
            _ => self.open(before, b'}')?,
        };
        if !more {
            return Some((None, self.at));
        }
        let (from, to) = self.span()?;
        let name = names.find(self.src, from, to)?;
        if self.next() != b':' {
            return None;
        }
        self.at += 1;
        self.next();
        Some((Some(name), self.at))
    }

    /// Where the characters of the string are that begins here.
    #[inline(always)]
    fn span(&mut self) -> Option<(usize, usize)> {
        if self.peek() != b'"' {
            return None;
        }
        let from = self.at + 1;
        let seen = string::read(self.src, self.at).ok()?;
        // One that has to be written otherwise than it is here is not plain.
        if seen.flags & LONE_SURROGATE != 0 {
            return None;
        }
        self.at = seen.end as usize;
        Some((from, self.at - 1))
    }

    /// A string, still escaped, no surrogate in it without its partner; empty for `null`.
    #[inline(always)]
    pub fn text(&mut self) -> Option<&'a [u8]> {
        match self.span() {
            Some((from, to)) => Some(&self.src[from..to]),
            None => self.null().then_some(&self.src[self.at..self.at]),
        }
    }

    /// Reads `null`, if that is the next value.
    #[inline(always)]
    pub fn null(&mut self) -> bool {
        self.word(b"null")
    }

    #[inline(always)]
    fn word(&mut self, word: &'static [u8]) -> bool {
        let is = self.src[self.at.min(self.src.len())..].starts_with(word);
        self.at += if is { word.len() } else { 0 };
        is
    }

    /// Any value that is not a container with something in it, as written.
    #[inline(always)]
    pub fn scalar(&mut self) -> Option<&'a [u8]> {
        let from = self.at;
        if self.span().is_none() {
            self.at = self.clone().bare()?;
        }
        Some(&self.src[from..self.at])
    }

    /// What is behind the value here, which is none with something in it.
    #[inline(never)]
    fn bare(mut self) -> Option<usize> {
        let read = match self.peek() {
            b'-' | b'0'..=b'9' => return number(self.src, self.at).ok(),
            b'n' => self.null(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'{' => !self.open(b'{', b'}')?,
            b'[' => !self.open(b'[', b']')?,
            _ => false,
        };
        read.then_some(self.at)
    }
}

/// The place is passed by value, so that it stays in a register elsewhere.
#[cold]
#[inline(never)]
fn behind_spaces(src: &[u8], from: usize) -> usize {
    let spaces = src[from..].iter().take_while(|b| **b == b' ');
    from + spaces.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;
    use proptest::prelude::*;

    static NAMES: Names<3> = Names::new(["a", "text", "reasoning_content"]);

    /// Reads an object of scalars: its values, and what is behind it.
    fn read(src: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
        let mut pull = Pull::new(src)?;
        let mut values = Vec::new();
        let mut before = b'{';
        while pull.member(before, &NAMES)?.is_some() {
            values.push(pull.scalar()?);
            before = b',';
        }
        Some((values, pull.at()))
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_scan_reads(
            src in "\\{((\"(a|text|reasoning_content|b)\" ?: ?(\"[a\"\\\\u0-9é]{0,40}\"|-?[0-9]{1,3}(\\.[0-9])?|null|true|false|\\{ ?\\}|\\[\\]|tru|x),? ?){0,4})\\}",
            behind in prop::sample::select(vec!["", "\n\ndata: {\"a\":\"text\",\"a\":0}"]),
        ) {
            let mut tape = Tape::new();
            let scanned = tape.parse(src.as_bytes());
            if let Some((ours, end)) = read(format!("{src}{behind}").as_bytes()) {
                // What is behind the object is not looked at.
                let mut tape = Tape::new();
                let object = tape.parse(&src.as_bytes()[..end]).expect("what was read is JSON");
                let theirs: Vec<_> = object.entries().map(|(_, value)| value.raw()).collect();
                prop_assert_eq!(ours, theirs);
            } else if let Ok(object) = scanned {
                let names = object.entries().any(|(key, _)| key == "b" || key.raw().contains(&b'\\'));
                let lone = src.contains("\\ud");
                prop_assert!(names || lone || object.entries().any(|(_, v)| v.raw().len() > 2), "{}", src);
            }
        }
    }

    #[test]
    fn text_may_be_null_but_nothing_else() {
        for (src, text) in [
            (&b"\"a\\n\""[..], Some(&b"a\\n"[..])),
            (b"null", Some(b"")),
            (b"\"\"", Some(b"")),
            (b"7", None),
            (b"\"\\ud800\"", None),
            (b"\"a", None),
            (b"", None),
        ] {
            assert_eq!(Pull::new(src).unwrap().text(), text);
        }
    }
}
