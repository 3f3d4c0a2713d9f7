//! Tokens (RFC 9110 section 5.6.2), which names of fields and methods are.

use super::block;

/// Whether `byte` may stand in a token.
pub(super) fn holds(byte: u8) -> bool {
    const HOLDS: [bool; 256] = {
        let mut holds = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            holds[byte as usize] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let (signs, mut at) = (b"!#$%&'*+-.^_`|~", 0);
        while at < signs.len() {
            holds[signs[at] as usize] = true;
            at += 1;
        }
        holds
    };
    HOLDS[byte as usize]
}

/// The length of the token at the start of `text`, which is put into lower case.
#[inline]
pub(super) fn lower(text: &mut [u8]) -> usize {
    let mut len = 0;
    while let Some(lane) = text[len..].first_chunk_mut() {
        let plain = block::lower(lane);
        len += plain;
        if plain < block::LANE {
            break;
        }
    }
    // Rare signs, and what is near the end.
    while let Some(byte) = text.get_mut(len).filter(|byte| holds(**byte)) {
        byte.make_ascii_lowercase();
        len += 1;
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_is_the_naive_one(text in prop::collection::vec(
            prop_oneof![
                prop::sample::select(b"aAzZmM09-_.!#$%&'*+^`|~".to_vec()),
                prop::sample::select(b"aAzZmM09-_.!#$%&'*+^`|~".to_vec()),
                any::<u8>(),
            ],
            0..50,
        )) {
            let sign = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
            let len = text.iter().take_while(|b| sign(b)).count();
            let mut lowered = text.clone();
            prop_assert_eq!(lower(&mut lowered), len);
            prop_assert_eq!(&lowered[..len], text[..len].to_ascii_lowercase());
            prop_assert_eq!(&lowered[len..], &text[len..]);
        }
    }
}
