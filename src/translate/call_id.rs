//! Ids of calls that one side would refuse, made fit and recognised again (SPEC 4.5).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Longest id that clients accept.
const BYTES_MAX: usize = 64;
/// What an encoded id begins with.
const ENCODED: &str = "callx_";
/// What stands for an id that is too long to be encoded.
const HASHED: &str = "callh_";

/// The client's id for a call that the provider names `id`: the same if clients accept it, else
/// an encoding of it that [`decode`] turns back, or a digest where that would be too long.
pub(super) fn encode(id: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if id.len() <= BYTES_MAX && id.bytes().all(plain) && !id.starts_with(ENCODED) {
        return id.to_owned();
    }
    let encoded = format!("{ENCODED}{}", URL_SAFE_NO_PAD.encode(id));
    match encoded.len() <= BYTES_MAX {
        true => encoded,
        false => {
            let digest = ring::digest::digest(&ring::digest::SHA256, id.as_bytes());
            let hex = digest.as_ref()[..16].iter().map(|b| format!("{b:02x}"));
            hex.fold(HASHED.to_owned(), |id, byte| id + &byte)
        }
    }
}

/// The provider's id, if `id` is one of [`encode`]'s encodings.
pub(super) fn decode(id: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(id.strip_prefix(ENCODED)?).ok()?;
    String::from_utf8(bytes).ok().filter(|id| !id.is_empty())
}

/// `length` letters and digits that depend on nothing but `id`; at most 42 of them.
pub(super) fn digest(id: &str, length: usize) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let digest = ring::digest::digest(&ring::digest::SHA256, id.as_bytes());
    let bytes = digest.as_ref();
    let letter = |i: usize| {
        let mixed =
            usize::from(bytes[i % 32]) + 7 * usize::from(bytes[(i + 16) % 32]) * (i / 32 + 1);
        char::from(LETTERS[mixed % 62])
    };
    (0..length.min(42)).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_are_legal_and_come_back(id in "\\PC{1,90}") {
            let encoded = encode(&id);
            prop_assert!(encoded.len() <= 64);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            if !encoded.starts_with(HASHED) {
                prop_assert_eq!(decode(&encoded).unwrap_or(encoded), id);
            }
        }
    }

    #[test]
    fn digests_have_the_length_asked_for() {
        assert_eq!(digest("a", 9).len(), 9);
        assert_ne!(digest("a", 9), digest("b", 9));
        assert_eq!(encode("functions.f:0"), "callx_ZnVuY3Rpb25zLmY6MA");
    }
}
