//! The bytes of a JSON string that are not plain, many at a time.
//!
//! On x86-64 by SSE2, which every such processor has; elsewhere byte by byte, in a form that
//! compilers vectorise.

/// Bytes that [`masks`] looks at.
pub(super) const BYTES: usize = 64;

/// One bit for each byte of a block, the first byte the lowest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Masks {
    pub quotes: u64,
    pub slashes: u64,
    /// Control characters, which no string may hold.
    pub controls: u64,
}

/// The place of the first `"`, `\` or control character; 16 where there is none.
#[inline(always)]
pub(super) fn first(block: &[u8; 16]) -> usize {
    let lane = lane::of(block);
    (lane.quotes | lane.slashes | lane.controls | 1 << 16).trailing_zeros() as usize
}

/// What stands where in a block.
#[inline(always)]
pub(super) fn masks(block: &[u8; BYTES]) -> Masks {
    let (lanes, _) = block.as_chunks::<16>();
    let mut masks = Masks::default();
    for (n, lane) in lanes.iter().enumerate() {
        let lane = lane::of(lane);
        masks.quotes |= u64::from(lane.quotes) << (16 * n);
        masks.slashes |= u64::from(lane.slashes) << (16 * n);
        masks.controls |= u64::from(lane.controls) << (16 * n);
    }
    masks
}

/// The same of sixteen bytes.
#[derive(Clone, Copy)]
struct Lane {
    quotes: u32,
    slashes: u32,
    controls: u32,
}

#[cfg(target_arch = "x86_64")]
mod lane {
    use super::Lane;
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8,
    };

    #[inline(always)]
    pub fn of(block: &[u8; 16]) -> Lane {
        // SAFETY: SSE2 is part of x86-64 itself: there is no such processor without it.
        unsafe { sse2(block) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn sse2(block: &[u8; 16]) -> Lane {
        let word = u128::from_le_bytes(*block);
        let bytes = _mm_set_epi64x((word >> 64) as i64, word as i64);
        let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let slashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        let controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        Lane {
            quotes: _mm_movemask_epi8(quotes) as u32,
            slashes: _mm_movemask_epi8(slashes) as u32,
            controls: _mm_movemask_epi8(controls) as u32,
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod lane {
    use super::Lane;

    #[inline(always)]
    pub fn of(block: &[u8; 16]) -> Lane {
        super::naive(block)
    }
}

/// Byte by byte.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn naive(block: &[u8; 16]) -> Lane {
    let mask = |is: fn(u8) -> bool| {
        let bits = block.iter().enumerate();
        bits.fold(0, |mask, (n, byte)| mask | u32::from(is(*byte)) << n)
    };
    Lane {
        quotes: mask(|b| b == b'"'),
        slashes: mask(|b| b == b'\\'),
        controls: mask(|b| b < 0x20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn masks_are_the_naive_ones(bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), 0x1eu8..0x24, Just(b'\\'), Just(b'"')], BYTES,
        )) {
            let block: &[u8; BYTES] = bytes.first_chunk().unwrap();
            let found = masks(block);
            let (lanes, _) = block.as_chunks::<16>();
            for (n, lane) in lanes.iter().enumerate() {
                let naive = naive(lane);
                let of = |mask: u64| (mask >> (16 * n)) as u16;
                prop_assert_eq!(u32::from(of(found.quotes)), naive.quotes);
                prop_assert_eq!(u32::from(of(found.slashes)), naive.slashes);
                prop_assert_eq!(u32::from(of(found.controls)), naive.controls);
                let any = naive.quotes | naive.slashes | naive.controls;
                prop_assert_eq!(first(lane), (any | 1 << 16).trailing_zeros() as usize);
            }
        }
    }
}
