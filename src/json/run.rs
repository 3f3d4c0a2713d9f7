//! Runs of plain bytes inside JSON strings, sixteen bytes a step.
//!
//! On x86-64 by SSE2; elsewhere by the classic tricks on words of eight bytes. On the frames of a
//! provider, where strings are short, the former takes a third fewer instructions.

/// Length of the run of bytes before the first `"`, `\` or control byte.
#[inline(always)]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = bytes[at..].first_chunk::<BLOCK>() {
        let found = block::ends(block);
        if found != 0 {
            return at + place(found);
        }
        at += BLOCK;
    }
    while let Some(b) = bytes.get(at) {
        if *b == b'"' || *b == b'\\' || *b < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

/// Bytes of a block.
pub(super) const BLOCK: usize = block::BYTES;

/// Marks of bytes of a block.
pub(super) type Marks = block::Marks;

/// Marks of the bytes of a block that are `"`, `\`, control bytes, or not ASCII. Behind the first
/// there may be marks of bytes that are none of these.
#[inline(always)]
pub(super) fn stops(block: &[u8; BLOCK]) -> Marks {
    block::ascii_ends(block)
}

/// The place of the first marked byte; `marks` is not zero.
#[inline(always)]
pub(super) fn place(marks: Marks) -> usize {
    marks.trailing_zeros() as usize / block::BITS
}

/// The marks of the bytes from `place`, at most [`BLOCK`], on.
#[inline(always)]
pub(super) fn from(marks: Marks, place: usize) -> Marks {
    match place {
        BLOCK.. => 0,
        _ => marks & (Marks::MAX << (place * block::BITS)),
    }
}

#[cfg(target_arch = "x86_64")]
mod block {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set_epi64x, _mm_set1_epi8,
    };

    pub const BYTES: usize = 16;
    /// Bits of a mark for each byte.
    pub const BITS: usize = 1;
    pub type Marks = u32;

    /// Marks of the bytes that end a run.
    #[inline(always)]
    pub fn ends(block: &[u8; BYTES]) -> Marks {
        // SAFETY: SSE2 is part of x86-64 itself: there is no such processor without it.
        unsafe { ends_sse2(block) }
    }

    /// The same where what is not ASCII ends a run, too.
    #[inline(always)]
    pub fn ascii_ends(block: &[u8; BYTES]) -> Marks {
        // SAFETY: as above.
        unsafe { ascii_ends_sse2(block) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn ends_sse2(block: &[u8; BYTES]) -> Marks {
        let bytes = load(block);
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        marks(bytes, control)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn ascii_ends_sse2(block: &[u8; BYTES]) -> Marks {
        let bytes = load(block);
        // As signed numbers the bytes that are not ASCII are negative.
        marks(bytes, _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(block: &[u8; BYTES]) -> __m128i {
        let word = u128::from_le_bytes(*block);
        _mm_set_epi64x((word >> 64) as i64, word as i64)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn marks(bytes: __m128i, odd: __m128i) -> Marks {
        let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let slash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), odd)) as u32
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod block {
    pub const BYTES: usize = 8;
    /// Bits of a mark for each byte.
    pub const BITS: usize = 8;
    pub type Marks = u64;

    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES * 0x80;

    /// Marks of the bytes that end a run. Behind the first there may be marks that are none.
    #[inline(always)]
    pub fn ends(block: &[u8; BYTES]) -> Marks {
        let word = u64::from_le_bytes(*block);
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        let found = (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        found & HIGHS
    }

    /// The same where what is not ASCII ends a run, too.
    #[inline(always)]
    pub fn ascii_ends(block: &[u8; BYTES]) -> Marks {
        ends(block) | u64::from_le_bytes(*block) & HIGHS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_run_is_the_naive_one(bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), 0x1eu8..0x24, Just(b'\\'), b'a'..=b'z', b'a'..=b'z'], 0..70,
        )) {
            let end = bytes.iter().position(|b| *b == b'"' || *b == b'\\' || *b < 0x20);
            prop_assert_eq!(plain_len(&bytes), end.unwrap_or(bytes.len()));
            for block in bytes.windows(BLOCK) {
                let stop = |b: &u8| !(0x20..0x80).contains(b) || matches!(b, b'"' | b'\\');
                let found = stops(block.first_chunk().unwrap());
                let first = (found != 0).then(|| place(found));
                prop_assert_eq!(first, block.iter().position(stop));
                for at in 0..=BLOCK {
                    let rest = from(found, at);
                    prop_assert!(rest == 0 || place(rest) >= at);
                    let missed = block[at..].iter().position(stop).map(|p| at + p);
                    prop_assert!(missed.is_none_or(|p| rest != 0 && place(rest) <= p));
                }
            }
        }
    }
}
