//! The authenticated, versioned envelope in which reasoning and summaries travel through the client.
//!
//! A prefix, `gwr1.` for reasoning and `gwc1.` for the summary of a compaction, + base64url(version,
//! nonce, ChaCha20-Poly1305 of the payload), as in RFC 8439; the prefix and the version are
//! authenticated with it, so that the one never opens as the other. The payload is a flag
//! (compressed or not), the length of the profile's name, that name, and the compressible rest: the
//! length of the text in four bytes, that text, and what else the provider wants back.

use crate::auth::secret::SealKey;
use crate::limits::ANSWER_BYTES_MAX;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use std::io::Read;

/// What tells Strait's own envelopes of reasoning from those of other vendors.
pub const PREFIX: &str = "gwr1.";
/// The same for summaries, as they stand in a `compaction` item.
pub const SUMMARY_PREFIX: &str = "gwc1.";
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
/// Below this many bytes zstd's framing costs more than it saves.
const COMPRESS_BYTES_MIN: usize = 256;
/// Fast: the text is on the path of every turn.
const ZSTD_LEVEL: i32 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// What a sealed reasoning item holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed {
    /// The profile that produced the reasoning; it is given back to no other.
    pub profile: String,
    /// The reasoning text, as JSON string content that is still escaped.
    pub escaped_text: Vec<u8>,
    /// What else the provider wants back with the message: a JSON object, or nothing. Its member
    /// `details` is the array of reasoning details, `calls` holds members of calls by their id.
    pub extra: Vec<u8>,
}

/// Seals reasoning; `nonce` must never repeat under one key.
pub fn seal(key: &SealKey, nonce: [u8; 12], sealed: &Sealed) -> String {
    close(PREFIX, key, nonce, sealed)
}

/// Opens an envelope of [`seal`]; `None` for anything else.
pub fn unseal(key: &SealKey, envelope: &str) -> Option<Sealed> {
    open(PREFIX, key, envelope)
}

/// Seals a summary, JSON string content that is still escaped; `nonce` must never repeat under one
/// key. Any provider may read it.
pub fn seal_summary(key: &SealKey, nonce: [u8; 12], escaped_text: Vec<u8>) -> String {
    let sealed = Sealed {
        profile: String::new(),
        escaped_text,
        extra: Vec::new(),
    };
    close(SUMMARY_PREFIX, key, nonce, &sealed)
}

/// The summary in an envelope of [`seal_summary`]; `None` for anything else.
pub fn unseal_summary(key: &SealKey, envelope: &str) -> Option<Vec<u8>> {
    open(SUMMARY_PREFIX, key, envelope).map(|sealed| sealed.escaped_text)
}

fn close(prefix: &str, key: &SealKey, nonce: [u8; 12], sealed: &Sealed) -> String {
    let mut payload = pack(sealed);
    let Some(aead) = cipher(key) else {
        return String::new();
    };
    let nonce_used = Nonce::assume_unique_for_key(nonce);
    if aead
        .seal_in_place_append_tag(nonce_used, aad(prefix), &mut payload)
        .is_err()
    {
        // Only a text beyond 256 GiB could lead here; an empty envelope opens to nothing.
        return String::new();
    }
    let mut bytes = Vec::with_capacity(1 + NONCE_BYTES + payload.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&payload);
    let mut envelope = String::with_capacity(prefix.len() + bytes.len() * 4 / 3 + 4);
    envelope.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(&bytes, &mut envelope);
    envelope
}

fn open(prefix: &str, key: &SealKey, envelope: &str) -> Option<Sealed> {
    let bytes = URL_SAFE_NO_PAD
        .decode(envelope.strip_prefix(prefix)?)
        .ok()?;
    let (version, rest) = bytes.split_first()?;
    if *version != VERSION || rest.len() < NONCE_BYTES {
        return None;
    }
    let (nonce, payload) = rest.split_at(NONCE_BYTES);
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut payload = payload.to_vec();
    let payload = cipher(key)?
        .open_in_place(nonce, aad(prefix), &mut payload)
        .ok()?;
    unpack(payload)
}

fn cipher(key: &SealKey) -> Option<LessSafeKey> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key.expose()).ok()?;
    Some(LessSafeKey::new(key))
}

fn aad(prefix: &str) -> Aad<Vec<u8>> {
    Aad::from([prefix.as_bytes(), &[VERSION]].concat())
}

fn pack(sealed: &Sealed) -> Vec<u8> {
    let mut packed = None;
    let mut rest = Vec::with_capacity(4 + sealed.escaped_text.len() + sealed.extra.len());
    rest.extend_from_slice(&(sealed.escaped_text.len() as u32).to_le_bytes());
    rest.extend_from_slice(&sealed.escaped_text);
    rest.extend_from_slice(&sealed.extra);
    if rest.len() > COMPRESS_BYTES_MIN {
        packed = zstd::bulk::compress(&rest, ZSTD_LEVEL).ok();
    }
    let name = sealed.profile.as_bytes();
    // Names of profiles are file names; 255 bytes are the most that a file name can have.
    let name = &name[..name.len().min(usize::from(u8::MAX))];
    let mut payload = vec![if packed.is_some() { ZSTD } else { PLAIN }];
    payload.push(name.len() as u8);
    payload.extend_from_slice(name);
    payload.extend_from_slice(packed.as_ref().unwrap_or(&rest));
    payload
}

fn unpack(payload: &[u8]) -> Option<Sealed> {
    let (&form, rest) = payload.split_first()?;
    let (&name_len, rest) = rest.split_first()?;
    let name = rest.get(..usize::from(name_len))?;
    let rest = &rest[usize::from(name_len)..];
    let mut escaped_text = match form {
        PLAIN => rest.to_vec(),
        ZSTD => inflate(rest)?,
        _ => return None,
    };
    let text_len = u32::from_le_bytes(*escaped_text.first_chunk::<4>()?) as usize;
    escaped_text.drain(..4);
    if text_len > escaped_text.len() {
        return None;
    }
    let extra = escaped_text.split_off(text_len);
    Some(Sealed {
        profile: String::from_utf8(name.to_vec()).ok()?,
        escaped_text,
        extra,
    })
}

/// Decompresses at most [`ANSWER_BYTES_MAX`]; no honest answer was longer.
fn inflate(packed: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut reader = zstd::stream::read::Decoder::new(packed).ok()?;
    let limit = ANSWER_BYTES_MAX as u64 + 1;
    reader.by_ref().take(limit).read_to_end(&mut text).ok()?;
    (text.len() <= ANSWER_BYTES_MAX).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealed(text: &[u8]) -> Sealed {
        Sealed {
            profile: "p".into(),
            escaped_text: text.to_vec(),
            extra: text.iter().rev().copied().collect(),
        }
    }

    proptest! {
        #[test]
        fn round_trips(text in prop::collection::vec(any::<u8>(), 0..2000), nonce: [u8; 12]) {
            let key = SealKey::new([7; 32]);
            let envelope = seal(&key, nonce, &sealed(&text));
            prop_assert!(envelope.starts_with(PREFIX));
            prop_assert_eq!(unseal(&key, &envelope), Some(sealed(&text)));
            prop_assert_eq!(unseal(&SealKey::new([8; 32]), &envelope), None);
        }

        #[test]
        fn a_summary_comes_back_and_neither_kind_poses_as_the_other(
            text in prop::collection::vec(any::<u8>(), 0..2000),
            nonce: [u8; 12],
        ) {
            let key = SealKey::new([7; 32]);
            let envelope = seal_summary(&key, nonce, text.clone());
            prop_assert!(envelope.starts_with(SUMMARY_PREFIX));
            prop_assert_eq!(unseal_summary(&key, &envelope), Some(text.clone()));
            prop_assert_eq!(unseal_summary(&SealKey::new([8; 32]), &envelope), None);
            prop_assert_eq!(unseal(&key, &envelope), None);
            let posing = envelope.replacen(SUMMARY_PREFIX, PREFIX, 1);
            prop_assert_eq!(unseal(&key, &posing), None);
            let posing = seal(&key, nonce, &sealed(&text)).replacen(PREFIX, SUMMARY_PREFIX, 1);
            prop_assert_eq!(unseal_summary(&key, &posing), None);
        }

        #[test]
        fn any_changed_character_is_refused(at in 0usize..100, len in 0usize..400) {
            let key = SealKey::new([7; 32]);
            let envelope = seal(&key, [1; 12], &sealed(&vec![b'x'; len]));
            let at = at % envelope.len();
            let mut bytes = envelope.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(unseal(&key, &changed), None);
        }

        #[test]
        fn garbage_opens_to_nothing(text in ".{0,60}") {
            let key = SealKey::new([7; 32]);
            prop_assert_eq!(unseal(&key, &text), None);
            prop_assert_eq!(unseal(&key, &format!("{PREFIX}{text}")), None);
        }
    }

    #[test]
    fn long_text_is_compressed() {
        let key = SealKey::new([7; 32]);
        let envelope = seal(&key, [0; 12], &sealed(&vec![b'x'; 100_000]));
        assert!(envelope.len() < 1000);
        assert!(unseal(&key, "gAAAAABforeign").is_none());
    }
}
