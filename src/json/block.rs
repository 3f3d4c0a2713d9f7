//! Where in a block of bytes the first ones stand that are not plain in a JSON string: `"`, `\` and
//! control characters.
//!
//! On x86-64 by SSE2, which every such processor has; elsewhere byte by byte, in a form that
//! compilers vectorise.

/// Bytes that [`stops`] looks at.
pub(super) const BYTES: usize = 64;

/// The place of the first byte that is not plain; 16 where there is none.
#[inline(always)]
pub(super) fn first(block: &[u8; 16]) -> usize {
    (lane::stops(block) | 1 << 16).trailing_zeros() as usize
}

/// One bit for each byte of a block, the first byte the lowest: set where it is not plain.
#[inline(always)]
pub(super) fn stops(block: &[u8; BYTES]) -> u64 {
    let (lanes, _) = block.as_chunks::<16>();
    let lanes = lanes.iter().enumerate();
    lanes.fold(0, |stops, (n, lane)| {
        stops | u64::from(lane::stops(lane)) << (16 * n)
    })
}

#[cfg(target_arch = "x86_64")]
mod lane {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };

    #[inline(always)]
    pub fn stops(block: &[u8; 16]) -> u32 {
        // SAFETY: SSE2 is part of x86-64 itself: there is no such processor without it.
        unsafe { sse2(block) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn sse2(block: &[u8; 16]) -> u32 {
        let word = u128::from_le_bytes(*block);
        let bytes = _mm_set_epi64x((word >> 64) as i64, word as i64);
        let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let slashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        let controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, slashes), controls)) as u32
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod lane {
    pub fn stops(block: &[u8; 16]) -> u32 {
        super::naive(block)
    }
}

/// Byte by byte.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn naive(block: &[u8; 16]) -> u32 {
    let bytes = block.iter().enumerate();
    bytes.fold(0, |stops, (n, byte)| {
        stops | u32::from(*byte == b'"' || *byte == b'\\' || *byte < 0x20) << n
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stops_are_the_naive_ones(bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), 0x1eu8..0x24, Just(b'\\'), Just(b'"')], BYTES,
        )) {
            let block: &[u8; BYTES] = bytes.first_chunk().unwrap();
            let found = stops(block);
            let (lanes, _) = block.as_chunks::<16>();
            for (n, lane) in lanes.iter().enumerate() {
                prop_assert_eq!((found >> (16 * n)) as u16, naive(lane) as u16);
                prop_assert_eq!(first(lane), (naive(lane) | 1 << 16).trailing_zeros() as usize);
            }
        }
    }
}
