//! `translate::seal`: arbitrary text opens to nothing; what was sealed opens to itself, and with
//! one character changed to nothing; a payload of arbitrary bytes, sealed with the right key as
//! an older or foreign version might have, never panics and stays within the limits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strait_fuzz::fuzz_target;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use strait::auth::secret::SealKey;
use strait::limits::ANSWER_BYTES_MAX;
use strait::translate::seal::{
    PREFIX, SUMMARY_PREFIX, Sealed, seal, seal_summary, unseal, unseal_summary,
};

const KEY: [u8; 32] = [7; 32];

fuzz_target!(|data: &[u8]| {
    let key = SealKey::new(KEY);
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(unseal(&key, text), None);
        assert_eq!(unseal(&key, &format!("{PREFIX}{text}")), None);
        assert_eq!(unseal_summary(&key, text), None);
        assert_eq!(
            unseal_summary(&key, &format!("{SUMMARY_PREFIX}{text}")),
            None
        );
    }
    let digest = strait_fuzz::digest(data);
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&digest.to_le_bytes());

    let split = (digest >> 32) as usize % (data.len() + 1);
    let sealed = Sealed {
        profile: "deepseek".into(),
        escaped_text: data[..split].to_vec(),
        extra: data[split..].to_vec(),
    };
    let envelope = seal(&key, nonce, &sealed);
    assert_eq!(unseal(&key, &envelope), Some(sealed));
    let mut changed = envelope.into_bytes();
    let at = digest as usize % changed.len();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).expect("ASCII");
    assert_eq!(unseal(&key, &changed), None);

    let summary = seal_summary(&key, nonce, data.to_vec());
    assert_eq!(unseal_summary(&key, &summary).as_deref(), Some(data));
    assert_eq!(
        unseal(&key, &summary.replacen(SUMMARY_PREFIX, PREFIX, 1)),
        None
    );

    let mut payload = data.to_vec();
    let cipher = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &KEY).expect("a key"));
    let unique = Nonce::assume_unique_for_key(nonce);
    let aad = Aad::from([b'g', b'w', b'r', b'1', b'.', 1]);
    cipher
        .seal_in_place_append_tag(unique, aad, &mut payload)
        .expect("a short payload");
    let bytes = [&[1][..], &nonce, &payload].concat();
    let envelope = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    if let Some(opened) = unseal(&key, &envelope) {
        assert!(opened.escaped_text.len() + opened.extra.len() <= ANSWER_BYTES_MAX);
        assert!(data[0] <= 1 && opened.profile.len() == usize::from(data[1]));
    }
});
