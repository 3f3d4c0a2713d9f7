//! Where the lines of a head end.

use super::block;
use crate::limits;

/// Room for the ends of a start line and as many fields as may be.
pub(super) type Ends = [u32; 1 + limits::HEADERS_MAX];

/// None of them noted yet.
pub(super) const NONE: Ends = [0; 1 + limits::HEADERS_MAX];

/// The lines of a whole head. The blank line at its end is not counted.
pub(super) struct Lines {
    /// How many there are, of which those there is room for were noted.
    pub count: usize,
    /// The length of the head in bytes, blank line included.
    pub len: usize,
    /// There are control characters in them other than the tabulator.
    pub controls: bool,
}

/// Finds the lines of the head in `bytes`, and notes where each ends: at its CR LF. `None` where
/// the blank line has not come yet.
///
/// Every LF must follow a CR: a bare one is read as a line end by some and not by others, which is
/// how requests are smuggled.
pub(super) fn find(bytes: &[u8], ends: &mut Ends) -> Result<Option<Lines>, &'static str> {
    let (mut line, mut count, mut controls) = (0, 0, false);
    for (n, block) in bytes.chunks(block::BYTES).enumerate() {
        let mut found = match block.first_chunk() {
            Some(block) => block::controls(block),
            None => last(block),
        };
        while found != 0 {
            let at = n * block::BYTES + found.trailing_zeros() as usize;
            found &= found - 1;
            match bytes[at] {
                b'\r' if bytes.get(at + 1) == Some(&b'\n') => {
                    // The LF is done with, too, if it is in this block.
                    found &= found.wrapping_sub(1);
                    let len = at + 2;
                    if at == line {
                        return Ok(Some(Lines {
                            count,
                            len,
                            controls,
                        }));
                    }
                    if let Some(room) = ends.get_mut(count) {
                        *room = at as u32;
                    }
                    count += 1;
                    line = len;
                }
                b'\n' if at + 1 == line => {}
                b'\n' => return Err("a line ends in a bare LF"),
                b'\t' => {}
                _ => controls = true,
            }
        }
    }
    Ok(None)
}

/// The control characters of what is shorter than a block.
fn last(rest: &[u8]) -> u64 {
    let mut block = [b' '; block::BYTES];
    block[..rest.len()].copy_from_slice(rest);
    block::controls(&block)
}
