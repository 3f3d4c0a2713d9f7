//! `chat::error::classify`: no error body panics it; the message is of bounded length, holds no
//! HTML document and no key; the status is one that clients know what to do with, and its error
//! object is JSON.

use strait_fuzz::fuzz_target;
use strait::chat::error::classify;
use strait::limits::ERROR_MESSAGE_BYTES_MAX;

const STATUSES: [u16; 16] = [
    200, 400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529, 999,
];
/// What is said around the provider's words.
const AROUND_BYTES_MAX: usize = 128;

fuzz_target!(|data: &[u8]| {
    let digest = strait_fuzz::digest(data);
    let status = STATUSES[(digest & 15) as usize];
    let wait = (digest & 16 != 0).then_some((digest >> 32) as u32);
    for status in [200, status] {
        let error = classify(status, data, wait);
        let message = error.message.to_ascii_lowercase();
        assert!(message.len() <= ERROR_MESSAGE_BYTES_MAX + AROUND_BYTES_MAX);
        assert!(!message.is_empty());
        assert!(
            !message.contains("<html") && !message.contains("<!doctype"),
            "{message}"
        );
        assert!(!has_key(&error.message), "{message}");
        assert!((400..600).contains(&error.status()));
        assert!(error.status() != 429 || error.retry_after_s.is_some() || error.label() == "quota");
        assert!(error.code.as_ref().is_none_or(|c| c.len() <= 64));
        assert!(strait_fuzz::is_json(&error.body()));
    }
});

/// `sk-` or `tp-` at the beginning of a word that goes on for ten characters or more.
fn has_key(message: &str) -> bool {
    let between = |c: char| c.is_whitespace() || "\"'`=:,;/()[]{}<>".contains(c);
    message
        .split(between)
        .any(|w| w.len() > 12 && (w.starts_with("sk-") || w.starts_with("tp-")))
}
