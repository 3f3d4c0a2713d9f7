//! Appending the three parts of a delta's event by few instructions.

use crate::json::Content;

/// What stands behind a piece: the first `len` bytes of a block that is copied whole.
#[derive(Debug)]
pub(super) struct End {
    block: [u8; End::ROOM],
    len: usize,
}

impl End {
    const ROOM: usize = 24;

    /// At most 24 bytes.
    pub(super) const fn new(text: &[u8]) -> End {
        let mut block = [0; End::ROOM];
        block.split_at_mut(text.len()).0.copy_from_slice(text);
        End {
            block,
            len: text.len(),
        }
    }

    /// The bytes themselves.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.block[..self.len]
    }
}

/// Appends `line`, `piece` and `end`: what three calls of `extend_from_slice` do, with one look at
/// the capacity, and without a call for the two that are short. That is a fifth of an event.
#[inline(always)]
pub(super) fn append(out: &mut Vec<u8>, line: &[u8], piece: &Content<'_>, end: &End) {
    let Some(block) = piece.block() else {
        out.extend_from_slice(line);
        out.extend_from_slice(piece.raw());
        out.extend_from_slice(end.bytes());
        return;
    };
    out.reserve(line.len() + block.len() + End::ROOM);
    let from = out.len();
    // SAFETY: `reserve` made room behind `from` for the line, a block and an end; a piece is no
    // longer than its block, so every copy stays in that room. What was borrowed cannot overlap
    // with what `out` owns. All bytes up to the new length were written: each copy begins where
    // the part before it ends.
    unsafe {
        let at = out.as_mut_ptr().add(from);
        at.copy_from_nonoverlapping(line.as_ptr(), line.len());
        let at = at.add(line.len());
        at.copy_from_nonoverlapping(block.as_ptr(), block.len());
        let at = at.add(piece.len());
        at.copy_from_nonoverlapping(end.block.as_ptr(), End::ROOM);
        out.set_len(from + line.len() + piece.len() + end.len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_parts_arrive(
            before in ".{0,9}",
            line in ".{0,99}",
            text in "[a-z]{0,50}",
            behind in "[a-z]{0,50}",
            end in "[a-z]{0,24}",
            spare in 0usize..200,
        ) {
            let mut out = Vec::with_capacity(before.len() + spare);
            out.extend_from_slice(before.as_bytes());
            let frame = format!("{text}\"{behind}");
            let piece = Content::of(frame.as_bytes()).unwrap();
            append(&mut out, line.as_bytes(), &piece, &End::new(end.as_bytes()));
            let whole = Content::valid(text.as_bytes());
            append(&mut out, b"", &whole, &End::new(b""));
            prop_assert_eq!(out, format!("{before}{line}{text}{end}{text}").into_bytes());
        }
    }
}
