//! Names out of an attempt's randomness.

use crate::json::write;

/// The four words of a seed.
pub(crate) fn words(seed: &[u8; 32]) -> [u64; 4] {
    let (words, _) = seed.as_chunks();
    std::array::from_fn(|n| u64::from_le_bytes(words[n]))
}

/// The finaliser of SplitMix64: every input bit changes every output bit.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A name: `prefix`, and the hexadecimal digits of `words`.
pub(crate) fn name<const N: usize>(prefix: &str, words: [u64; N]) -> String {
    let mut name = Vec::with_capacity(prefix.len() + 16 * N);
    name.extend_from_slice(prefix.as_bytes());
    for word in words {
        name.extend_from_slice(&write::hex_digits(word));
    }
    String::from_utf8(name).unwrap_or_default()
}
