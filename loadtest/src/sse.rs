//! Event streams, cut into blocks as their bytes arrive.

use std::borrow::Cow;

/// Most bytes of one event.
const BLOCK_MAX: usize = 64 << 20;

/// Cuts a stream at its empty lines.
#[derive(Debug, Default)]
pub struct Splitter {
    partial: Vec<u8>,
    /// Where in `partial` the last line begins.
    line: usize,
}

impl Splitter {
    /// Hands every complete block, without its empty line, to `take`. False: a block is too long.
    pub fn feed(&mut self, mut input: &[u8], take: &mut impl FnMut(&[u8])) -> bool {
        if !self.partial.is_empty() {
            // Finish the block that was begun.
            let mut at = 0;
            while let Some(end) = memchr::memchr(b'\n', &input[at..]) {
                let stop = at + end + 1;
                self.partial.extend_from_slice(&input[at..stop]);
                at = stop;
                let empty = is_empty_line(&self.partial[self.line..]);
                if empty {
                    take(&self.partial[..self.line]);
                    self.partial.clear();
                    self.line = 0;
                    break;
                }
                self.line = self.partial.len();
            }
            if !self.partial.is_empty() {
                self.partial.extend_from_slice(&input[at..]);
                return self.partial.len() <= BLOCK_MAX;
            }
            input = &input[at..];
        }
        let (mut block, mut line) = (0, 0);
        for end in memchr::memchr_iter(b'\n', input) {
            if is_empty_line(&input[line..=end]) {
                if line > block {
                    take(&input[block..line]);
                }
                block = end + 1;
            }
            line = end + 1;
        }
        self.partial.extend_from_slice(&input[block..]);
        self.line = line - block;
        self.partial.len() <= BLOCK_MAX
    }

    /// True when the stream ends where a block ends.
    pub fn is_empty(&self) -> bool {
        self.partial.iter().all(u8::is_ascii_whitespace)
    }
}

fn is_empty_line(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// The name and the data of a block; no data: a comment.
pub fn fields(block: &[u8]) -> (&[u8], Cow<'_, [u8]>) {
    let mut name: &[u8] = b"";
    let mut data: Option<Cow<'_, [u8]>> = None;
    for line in block.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(value) = value(line, b"data") {
            data = Some(match data {
                None => Cow::Borrowed(value),
                Some(before) => Cow::Owned([&before[..], value].join(&b'\n')),
            });
        } else if let Some(value) = value(line, b"event") {
            name = value;
        }
    }
    (name, data.unwrap_or_default())
}

fn value<'a>(line: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(field)?.strip_prefix(b":")?;
    Some(rest.strip_prefix(b" ").unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_same_at_every_cut() {
        let input = b"event: a\ndata: 1\n\n: comment\n\ndata: 2\r\ndata:3\r\n\r\ndata: [DONE]\n\n";
        for step in 1..=input.len() {
            let mut splitter = Splitter::default();
            let mut got = Vec::new();
            for piece in input.chunks(step) {
                let ok = splitter.feed(piece, &mut |block| {
                    let (name, data) = fields(block);
                    got.push((name.to_vec(), data.to_vec()));
                });
                assert!(ok);
            }
            assert!(splitter.is_empty());
            let text: Vec<_> = got
                .iter()
                .map(|(n, d)| {
                    (
                        std::str::from_utf8(n).unwrap(),
                        std::str::from_utf8(d).unwrap(),
                    )
                })
                .collect();
            assert_eq!(
                text,
                [("a", "1"), ("", ""), ("", "2\n3"), ("", "[DONE]")],
                "{step}"
            );
        }
    }

    #[test]
    fn a_block_without_its_end_is_noticed() {
        let mut splitter = Splitter::default();
        assert!(splitter.feed(b"data: 1\n", &mut |_| panic!("not yet")));
        assert!(!splitter.is_empty());
    }
}
