//! Blocks of bytes looked at as a whole: where control characters stand, and names put into lower
//! case.
//!
//! On x86-64 by SSE2, which every such processor has; elsewhere byte by byte, in a form that
//! compilers vectorise.

/// Bytes that [`controls`] looks at.
pub(super) const BYTES: usize = 64;

/// Bytes that [`lower`] looks at.
pub(super) const LANE: usize = 16;

/// One bit for each byte of a block, the first byte the lowest: set where it is a control character
/// of ASCII.
#[inline(always)]
pub(super) fn controls(block: &[u8; BYTES]) -> u64 {
    let (lanes, _) = block.as_chunks::<LANE>();
    let lanes = lanes.iter().enumerate();
    lanes.fold(0, |found, (n, lane)| {
        found | u64::from(lane::controls(lane)) << (LANE * n)
    })
}

/// Puts the letters, digits, `-` and `_` at the start of a lane into lower case; returns how many
/// they are.
#[inline(always)]
pub(super) fn lower(lane: &mut [u8; LANE]) -> usize {
    lane::lower(lane)
}

#[cfg(target_arch = "x86_64")]
mod lane {
    use super::LANE;
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_and_si128, _mm_cmpeq_epi8, _mm_cvtsi128_si64, _mm_min_epu8,
        _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8, _mm_unpackhi_epi64,
    };

    /// From its `LANE - n`th byte on, a lane whose first `n` bytes hold the bit that lower case is.
    const CASE: [u8; 2 * LANE] = {
        let mut case = [0; 2 * LANE];
        case.split_at_mut(LANE).0.copy_from_slice(&[0x20; LANE]);
        case
    };

    #[inline(always)]
    pub fn controls(lane: &[u8; LANE]) -> u32 {
        // SAFETY: SSE2 is part of x86-64 itself: there is no such processor without it.
        unsafe { controls_sse2(lane) }
    }

    #[inline(always)]
    pub fn lower(lane: &mut [u8; LANE]) -> usize {
        // SAFETY: as above.
        unsafe { lower_sse2(lane) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn controls_sse2(lane: &[u8; LANE]) -> u32 {
        let bytes = load(lane);
        let delete = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
        _mm_movemask_epi8(_mm_or_si128(among(bytes, 0, 0x20), delete)) as u32
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn lower_sse2(lane: &mut [u8; LANE]) -> usize {
        let bytes = load(lane);
        let letters = among(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), b'a', 26);
        let digits = among(bytes, b'0', 10);
        let signs = _mm_or_si128(among(bytes, b'-', 1), among(bytes, b'_', 1));
        let plain = _mm_or_si128(_mm_or_si128(letters, digits), signs);
        let len = (!_mm_movemask_epi8(plain)).trailing_zeros() as usize;
        if let Some(case) = CASE.get(LANE - len..).and_then(|rest| rest.first_chunk()) {
            let case = _mm_and_si128(letters, load(case));
            store(_mm_or_si128(bytes, case), lane);
        }
        len
    }

    /// All ones in the bytes that are `first` or one of the next up to `count`.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn among(bytes: __m128i, first: u8, count: u8) -> __m128i {
        let from = _mm_add_epi8(bytes, _mm_set1_epi8(first.wrapping_neg() as i8));
        let last = _mm_set1_epi8(count as i8 - 1);
        _mm_cmpeq_epi8(_mm_min_epu8(from, last), from)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(lane: &[u8; LANE]) -> __m128i {
        let word = u128::from_le_bytes(*lane);
        _mm_set_epi64x((word >> 64) as i64, word as i64)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn store(bytes: __m128i, lane: &mut [u8; LANE]) {
        let low = _mm_cvtsi128_si64(bytes) as u64;
        let high = _mm_cvtsi128_si64(_mm_unpackhi_epi64(bytes, bytes)) as u64;
        *lane = (u128::from(high) << 64 | u128::from(low)).to_le_bytes();
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod lane {
    pub use super::naive::{controls, lower};
}

/// Byte by byte.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod naive {
    use super::LANE;

    pub fn controls(lane: &[u8; LANE]) -> u32 {
        let bytes = lane.iter().enumerate();
        bytes.fold(0, |found, (n, byte)| {
            found | u32::from(byte.is_ascii_control()) << n
        })
    }

    pub fn lower(lane: &mut [u8; LANE]) -> usize {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let len = lane.iter().take_while(|b| plain(b)).count();
        lane[..len].make_ascii_lowercase();
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_ways_find_the_same(bytes in prop::collection::vec(
            prop_oneof![
                any::<u8>(),
                0x1eu8..0x22,
                0x7eu8..0x81,
                prop::sample::select(b"@AZ[`az{/09:-_.".to_vec()),
            ],
            BYTES,
        )) {
            let block: &[u8; BYTES] = bytes.first_chunk().unwrap();
            let (lanes, _) = block.as_chunks::<LANE>();
            for (n, lane) in lanes.iter().enumerate() {
                prop_assert_eq!((controls(block) >> (LANE * n)) as u16, naive::controls(lane) as u16);
                let (mut ours, mut theirs) = (*lane, *lane);
                prop_assert_eq!(lower(&mut ours), naive::lower(&mut theirs));
                prop_assert_eq!(ours, theirs);
            }
        }

        #[test]
        fn names_are_put_into_lower_case(name in "[a-zA-Z0-9_-]{0,16}", behind in "[:. ][A-Z]{15}") {
            let text = [name.as_bytes(), behind.as_bytes()].concat();
            let mut lane = *text.first_chunk().unwrap();
            let len = name.len();
            prop_assert_eq!(lower(&mut lane), len);
            let lowered = [&name.to_ascii_lowercase().as_bytes()[..len], &text[len..]].concat();
            prop_assert_eq!(&lane[..], &lowered[..LANE]);
        }
    }
}
