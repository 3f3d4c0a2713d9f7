//! The names of a request: our own, the client's, and the provider's.

use crate::http::head::Headers;
use crate::json::write;
use crate::translate::seed::{self, mix};

/// The field that names a request, in both directions.
pub(super) const FIELD: &str = "x-request-id";
/// Longest name of a client's or a provider's making that is noted.
const BYTES_MAX: usize = 128;

/// Our own name of a request: every answer says it, and what is noted of the request stands under
/// it. It is never the client's: two clients may choose the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RequestId([u64; 2]);

impl RequestId {
    /// The name that follows from a request's randomness. Half of that stays unknown to whoever
    /// knows the name, so nothing else that follows from it can be told.
    pub fn of(entropy: &[u8; 32]) -> Self {
        let [a, b, c, d] = seed::words(entropy);
        RequestId([mix(a ^ mix(c)), mix(b ^ mix(d))])
    }

    /// Appends `req_` and 32 hexadecimal digits.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"req_");
        for word in self.0 {
            out.extend_from_slice(&write::hex_digits(word));
        }
    }

    /// What [`RequestId::write`] appends.
    pub fn text(self) -> String {
        seed::name("req_", self.0)
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
