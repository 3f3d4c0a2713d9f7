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

/// The place of the first quote; 16 where there is none.
#[inline(always)]
pub(super) fn quote(block: &[u8; 16]) -> usize {
    (lane::quotes(block) | 1 << 16).trailing_zeros() as usize
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
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };

    #[inline(always)]
    pub fn stops(block: &[u8; 16]) -> u32 {
        // SAFETY: SSE2 is part of x86-64 itself: there is no such processor without it.
        unsafe { stops_sse2(block) }
    }

    #[inline(always)]
    pub fn quotes(block: &[u8; 16]) -> u32 {
        // SAFETY: as above.
        unsafe { quotes_sse2(block) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn quotes_sse2(block: &[u8; 16]) -> u32 {
        _mm_movemask_epi8(_mm_cmpeq_epi8(load(block), _mm_set1_epi8(b'"' as i8))) as u32
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(block: &[u8; 16]) -> __m128i {
        let word = u128::from_le_bytes(*block);
        _mm_set_epi64x((word >> 64) as i64, word as i64)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn stops_sse2(block: &[u8; 16]) -> u32 {
        let bytes = load(block);
        let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let slashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        let controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, slashes), controls)) as u32
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod lane {
    pub fn stops(block: &[u8; 16]) -> u32 {
        super::marks(block, |byte| matches!(byte, b'"' | b'\\' | ..0x20))
    }

    pub fn quotes(block: &[u8; 16]) -> u32 {
        super::marks(block, |byte| byte == b'"')
    }
}

/// Byte by byte.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn marks(block: &[u8; 16], is: impl Fn(u8) -> bool) -> u32 {
    let bytes = block.iter().enumerate();
    bytes.fold(0, |marks, (n, byte)| marks | u32::from(is(*byte)) << n)
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
                let naive = marks(lane, |byte| matches!(byte, b'"' | b'\\' | ..0x20));
                prop_assert_eq!((found >> (16 * n)) as u16, naive as u16);
                prop_assert_eq!(first(lane), (naive | 1 << 16).trailing_zeros() as usize);
                let quotes = lane.iter().position(|byte| *byte == b'"');
                prop_assert_eq!(quote(lane), quotes.unwrap_or(16));
            }
        }
    }
}
