//! Where a string of a document ends, and whether its escapes are legal.

use super::block;
use super::scan::{ESCAPED, Fault, LONE_SURROGATE, What, hex4};

/// A string that was seen to its end.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// Behind the closing quote.
    pub end: u32,
    pub flags: u8,
}

/// Strings of less than so many short blocks need no other pass.
const SHORT_BLOCKS: usize = 3;

/// Reads the string whose opening quote is at `start`. The document is not longer than `u32` can
/// say.
#[inline(always)]
pub(super) fn read(src: &[u8], start: usize) -> Result<Seen, Fault> {
    // Names and most values of a frame are this short.
    let mut at = start + 1;
    for _ in 0..SHORT_BLOCKS {
        let Some(block) = src.get(at..).and_then(|rest| rest.first_chunk()) else {
            break;
        };
        let len = block::first(block);
        match block.get(len) {
            None => at += block.len(),
            Some(b'"') => {
                return Ok(Seen {
                    end: (at + len) as u32 + 1,
                    flags: 0,
                });
            }
            _ => break,
        }
    }
    long(src, at)
}

/// Reads a string from `at`, which is between its characters, to its end.
#[inline(never)]
fn long(src: &[u8], mut at: usize) -> Result<Seen, Fault> {
    let mut flags = 0;
    while let Some(block) = src.get(at..).and_then(|rest| rest.first_chunk()) {
        match step(src, at, block, &mut flags)? {
            Step::End(end) => return Ok(Seen { end, flags }),
            Step::On(next) => at = next,
        }
    }
    // What is behind the document counts as control characters, which end a string.
    let mut block = [0; block::BYTES];
    loop {
        let rest = src.get(at..).unwrap_or(b"");
        block[..rest.len()].copy_from_slice(rest);
        block[rest.len()..].fill(0);
        match step(src, at, &block, &mut flags)? {
            Step::End(end) => return Ok(Seen { end, flags }),
            Step::On(next) => at = next,
        }
    }
}

enum Step {
    /// The string ends; this is behind its closing quote.
    End(u32),
    /// It goes on there.
    On(usize),
}

/// Looks at the block of a string that begins at `at`.
#[inline(always)]
fn step(src: &[u8], at: usize, block: &[u8; block::BYTES], flags: &mut u8) -> Result<Step, Fault> {
    let mut stops = block::stops(block);
    while stops != 0 {
        let n = stops.trailing_zeros() as usize;
        let place = at + n;
        match block[n] {
            b'\\' => {
                let (behind, lone) = escape(src, place)?;
                *flags |= ESCAPED | lone;
                let taken = behind - at;
                if taken >= block::BYTES {
                    return Ok(Step::On(behind));
                }
                stops &= u64::MAX << taken;
            }
            b'"' => return Ok(Step::End(place as u32 + 1)),
            _ if place >= src.len() => return Err(Fault::new(src.len(), What::OpenString)),
            _ => return Err(Fault::new(place, What::Control)),
        }
    }
    Ok(Step::On(at + block::BYTES))
}

/// Reads the escape at `at`: what is behind it, and [`LONE_SURROGATE`] if it is one.
#[inline(always)]
fn escape(src: &[u8], at: usize) -> Result<(usize, u8), Fault> {
    match src.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok((at + 2, 0)),
        Some(b'u') => unicode(src, at),
        _ => Err(Fault::new(at, What::Escape)),
    }
}

#[inline(never)]
fn unicode(src: &[u8], at: usize) -> Result<(usize, u8), Fault> {
    let unit = |at: usize| {
        let digits = src.get(at + 2..at + 6).and_then(hex4);
        digits.ok_or(Fault::new(at, What::Hex))
    };
    let behind = at + 6;
    match unit(at)? {
        0xD800..=0xDBFF => {
            let pair =
                src[behind..].starts_with(b"\\u") && (0xDC00..=0xDFFF).contains(&unit(behind)?);
            match pair {
                true => Ok((behind + 6, 0)),
                false => Ok((behind, LONE_SURROGATE)),
            }
        }
        0xDC00..=0xDFFF => Ok((behind, LONE_SURROGATE)),
        _ => Ok((behind, 0)),
    }
}
