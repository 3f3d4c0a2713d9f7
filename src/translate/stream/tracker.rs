//! Where the arguments of a call stand.

use crate::json::Content;

/// Follows the arguments of a call until their JSON object is complete.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Tracker {
    depth: u32,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

impl Tracker {
    /// Whether the object is complete.
    pub(super) fn complete(&self) -> bool {
        self.begun && self.depth == 0
    }

    /// Takes escaped JSON text; whole escapes only.
    #[inline(always)]
    pub(super) fn feed(&mut self, piece: &Content<'_>) {
        if !self.in_string || piece.quotes() {
            self.feed_all(piece.raw());
        } else if self.escaped || piece.escaped() {
            self.feed_within(piece.raw());
        }
    }

    /// Takes text within a string that cannot end it: only whether the last backslash is one of
    /// an escape, and waits for the next piece, matters.
    fn feed_within(&mut self, escaped: &[u8]) {
        let others = escaped
            .iter()
            .rposition(|b| *b != b'\\')
            .map_or(0, |at| at + 1);
        let odd = (escaped.len() - others) / 2 % 2 == 1;
        self.escaped = odd ^ (self.escaped && others == 0);
    }

    fn feed_all(&mut self, escaped: &[u8]) {
        let mut at = 0;
        while let Some(&byte) = escaped.get(at) {
            at += 1;
            if byte != b'\\' {
                self.byte(byte);
                continue;
            }
            match escaped.get(at) {
                Some(b'u') => {
                    let digits = escaped.get(at + 1..at + 5).unwrap_or(b"");
                    let digits = std::str::from_utf8(digits).unwrap_or("");
                    let unit = u16::from_str_radix(digits, 16).unwrap_or(u16::from(b'x'));
                    self.byte(u8::try_from(unit).unwrap_or(b'x'));
                    at += 5;
                }
                Some(other @ (b'"' | b'\\' | b'/')) => {
                    self.byte(*other);
                    at += 1;
                }
                _ => {
                    self.byte(b' ');
                    at += 1;
                }
            }
        }
    }

    fn byte(&mut self, byte: u8) {
        match byte {
            _ if std::mem::take(&mut self.escaped) => {}
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => {
                self.begun = true;
                self.depth += 1;
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A piece that was scanned says what is in it; one that was not is read byte by byte.
        #[test]
        fn what_is_known_of_a_piece_changes_nothing(
            pieces in prop::collection::vec("[{}\\[\\]\"\\\\nx\\x01]{0,6}", 0..9),
        ) {
            let (mut scanned, mut read) = (Tracker::default(), Tracker::default());
            for piece in pieces {
                let quoted = serde_json::to_vec(&piece).unwrap();
                scanned.feed(&Content::of(&quoted[1..]).unwrap());
                read.feed(&Content::valid(&quoted[1..quoted.len() - 1]));
                prop_assert_eq!(&scanned, &read);
            }
        }
    }
}
