//! The names of a request: our own, the client's, and the provider's.

use crate::http::head::Headers;
use crate::json::write;

/// The field that names a request, in both directions.
pub(super) const FIELD: &str = "x-request-id";
/// Longest name of a client's or a provider's making that is noted.
const BYTES_MAX: usize = 128;

/// Our own name of a request: every answer says it, and what is noted of the request stands under
/// it. It is never the client's: two clients may choose the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// The name that follows from a request's randomness, and tells nothing of it.
    pub fn of(entropy: &[u8; 32]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, entropy);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_ref()[..16]);
        RequestId(bytes)
    }

    /// `req_` and 32 hexadecimal digits.
    pub fn text(self) -> String {
        let mut text = String::with_capacity(36);
        text.push_str("req_");
        write::hex(&mut text, &self.0);
        text
    }
}

/// The other side's name of a request, if it is short and can be shown as it is; else nothing.
pub(super) fn told(headers: &Headers) -> &str {
    let shown = |name: &&str| name.len() <= BYTES_MAX && name.bytes().all(|b| b.is_ascii_graphic());
    headers.get(FIELD).filter(shown).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_shown_is_noted() {
        for (name, noted) in [
            ("abc-123", "abc-123"),
            ("", ""),
            ("a b", ""),
            ("\u{e9}", ""),
            (&"x".repeat(129), ""),
        ] {
            let mut headers = Headers::default();
            headers.push(FIELD, name);
            assert_eq!(told(&headers), noted);
        }
        assert_eq!(told(&Headers::default()), "");
    }

    #[test]
    fn a_name_has_one_form() {
        let name = RequestId::of(&[7; 32]).text();
        assert_eq!(name.len(), 36);
        assert!(name.starts_with("req_"));
        assert_ne!(name, RequestId::of(&[8; 32]).text());
    }
}
