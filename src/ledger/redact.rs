//! Secrets are taken out of what the audit keeps.
//!
//! Three kinds are known: those of the configuration and of the exchange itself, wherever they
//! stand; words that begin as the keys of well-known services do; and blocks of private keys.

use std::ops::Range;

/// What stands in a secret's place.
pub const MARK: &str = "[redacted]";
/// What is shorter is no secret, or would take half of the text with it.
const SECRET_BYTES_MIN: usize = 8;
/// So much follows the begin of a well-known key, with a digit in it: no name of a tool does that.
const REST_BYTES_MIN: usize = 16;

/// How the keys of well-known services begin.
const BEGINNINGS: &[&str] = &[
    "AIza",
    "AKIA",
    "ASIA",
    "eyJ",
    "github_pat_",
    "gho_",
    "ghp_",
    "ghr_",
    "ghs_",
    "ghu_",
    "glpat-",
    "gsk_",
    "hf_",
    "npm_",
    "nvapi-",
    "pypi-",
    "rk_live_",
    "sk-",
    "sk_live_",
    "sk_test_",
    "xai-",
    "xoxa-",
    "xoxb-",
    "xoxp-",
    "ya29.",
];

const BLOCK_BEGIN: &str = "-----BEGIN ";
const BLOCK_END: &str = "-----END ";
const BLOCK_NAME: &str = "PRIVATE KEY-----";

/// The names of the strings that come in pieces, in either dialect.
const PIECES: [&str; 5] = [
    "arguments",
    "content",
    "delta",
    "reasoning",
    "reasoning_content",
];

/// Knows what is secret.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, with what they are in a JSON text, where that is something else.
    secrets: Vec<(String, Option<String>)>,
    beginnings: Vec<String>,
}

impl Redactor {
    /// Also takes out words that begin so.
    pub fn new(beginnings: Vec<String>) -> Self {
        Redactor {
            secrets: Vec::new(),
            beginnings,
        }
    }

    /// Also takes out this one, wherever it stands.
    pub fn add(&mut self, secret: &str) {
        if secret.len() >= SECRET_BYTES_MIN && !self.secrets.iter().any(|(s, _)| s == secret) {
            let escaped = Some(escaped(secret)).filter(|escaped| escaped != secret);
            self.secrets.push((secret.to_owned(), escaped));
            // One that another begins with must not leave the other's end.
            self.secrets
                .sort_by_key(|(s, _)| std::cmp::Reverse(s.len()));
        }
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (secret, escaped) in &self.secrets {
            for secret in [Some(secret), escaped.as_ref()].into_iter().flatten() {
                if text.contains(secret.as_str()) {
                    text = text.replace(secret.as_str(), MARK);
                }
            }
        }
        self.words(&text)
    }

    /// Whether there is a secret in it.
    pub fn finds(&self, text: &str) -> bool {
        self.text(text) != text
    }

    /// The events of a stream without what they tell in pieces: where the pieces of a name
    /// together hold a secret, all of them go.
    pub fn pieces(&self, events: &str) -> String {
        let mut events = events.to_owned();
        for name in PIECES {
            let spans = strings(&events, name);
            let whole: String = spans.iter().map(|span| &events[span.clone()]).collect();
            if spans.len() > 1 && self.finds(&whole) {
                for span in spans.into_iter().rev() {
                    events.replace_range(span, MARK);
                }
            }
        }
        events
    }

    fn words(&self, text: &str) -> String {
        let bytes = text.as_bytes();
        let mut out = String::with_capacity(text.len());
        let mut kept = 0;
        let mut at = 0;
        while at < bytes.len() {
            let end = match bytes[at] {
                b'-' => block(text, at),
                b if b.is_ascii_alphabetic() && begins_word(bytes, at) => self.word(text, at),
                _ => None,
            };
            match end {
                Some(end) => {
                    out.push_str(&text[kept..at]);
                    out.push_str(MARK);
                    (kept, at) = (end, end);
                }
                None => at += 1,
            }
        }
        out.push_str(&text[kept..]);
        out
    }

    /// The end of the secret word that begins here.
    fn word(&self, text: &str, at: usize) -> Option<usize> {
        let rest = &text.as_bytes()[at..];
        if rest.len() > 7 && rest[..7].eq_ignore_ascii_case(b"bearer ") {
            let end = word_end(rest, 7);
            return (end >= 7 + REST_BYTES_MIN).then_some(at + end);
        }
        let known = BEGINNINGS.iter().find(|b| rest.starts_with(b.as_bytes()));
        if let Some(begin) = known {
            let end = word_end(rest, begin.len());
            let tail = &rest[begin.len()..end];
            let secret = tail.len() >= REST_BYTES_MIN && tail.iter().any(u8::is_ascii_digit);
            return secret.then_some(at + end);
        }
        let own = |b: &&String| rest.starts_with(b.as_bytes());
        let begin = self.beginnings.iter().find(own)?;
        let end = word_end(rest, begin.len());
        (end > begin.len()).then_some(at + end)
    }
}

/// Whether a field of a head holds a secret, by its name.
pub fn is_secret_field(name: &str) -> bool {
    const PARTS: [&str; 7] = [
        "api-key",
        "apikey",
        "authorization",
        "cookie",
        "password",
        "secret",
        "token",
    ];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}

/// Where the values of a name stand that are strings, without their quotes.
fn strings(json: &str, name: &str) -> Vec<Range<usize>> {
    let label = format!("\"{name}\"");
    let bytes = json.as_bytes();
    let mut spans = Vec::new();
    for at in memchr::memmem::find_iter(bytes, label.as_bytes()) {
        let mut from = at + label.len();
        while matches!(bytes.get(from), Some(b' ' | b':')) {
            from += 1;
        }
        if bytes.get(from) != Some(&b'"') {
            continue;
        }
        from += 1;
        let mut end = from;
        while let Some(b) = bytes.get(end).filter(|b| **b != b'"') {
            end += 1 + usize::from(*b == b'\\');
        }
        // What ends in the middle of a piece, or of a character behind a backslash, is left.
        if end < bytes.len() {
            spans.push(from..end);
        }
    }
    spans
}

fn is_of_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=')
}

fn word_end(bytes: &[u8], from: usize) -> usize {
    let len = bytes[from..].iter().take_while(|b| is_of_word(**b)).count();
    from + len
}

/// Whether no word goes on here. The letter of an escape, as in `\n`, is none.
fn begins_word(bytes: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1) else {
        return true;
    };
    let escape = before > 0 && bytes[before - 1] == b'\\' && bytes[before].is_ascii_alphabetic();
    escape || !(bytes[before].is_ascii_alphanumeric() || matches!(bytes[before], b'-' | b'_'))
}

/// The end of the block of a private key that begins here; one without an end goes to the end.
fn block(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..];
    let name = rest.strip_prefix(BLOCK_BEGIN)?;
    // RSA, EC, ENCRYPTED, OPENSSH: a word or two.
    let length = name.find(BLOCK_NAME).filter(|length| *length < 24)?;
    let inside = BLOCK_BEGIN.len() + length + BLOCK_NAME.len();
    let end = rest[inside..].find(BLOCK_END).and_then(|end| {
        let end = inside + end;
        let name = rest[end..].find(BLOCK_NAME)?;
        Some(end + name + BLOCK_NAME.len())
    });
    Some(end.map_or(text.len(), |end| at + end))
}

fn escaped(secret: &str) -> String {
    let json = serde_json::Value::from(secret).to_string();
    json[1..json.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "sk-proj-Ab3dEf6hIj9lMn0pQr";

    #[test]
    fn what_looks_like_a_key_goes_and_what_does_not_stays() {
        let redactor = Redactor::new(vec!["corp_".to_owned()]);
        for (text, kept) in [
            (format!("key: {KEY}."), "key: [redacted]"),
            (format!(r#"{{"a":"x\n{KEY}"}}"#), r#"{"a":"x\n[redacted]"}"#),
            ("Bearer abcdefghijklmnopqrstuvwx!".to_owned(), "[redacted]!"),
            (
                "AKIAIOSFODNN7EXAMPL3 x".to_owned(),
                "AKIAIOSFODNN7EXAMPL3 x",
            ),
            ("AKIA1234567890ABCDEF x".to_owned(), "[redacted] x"),
            ("ghp_0123456789abcdefABCDEF".to_owned(), "[redacted]"),
            ("corp_1 corp_".to_owned(), "[redacted] corp_"),
            (
                "the task-force-of-2026-and-more, sk-learn, disk-encryption-4".to_owned(),
                "the task-force-of-2026-and-more, sk-learn, disk-encryption-4",
            ),
            (
                "a -----BEGIN RSA PRIVATE KEY-----\\nMII\\n-----END RSA PRIVATE KEY----- b"
                    .to_owned(),
                "a [redacted] b",
            ),
            ("-----BEGIN PRIVATE KEY-----\nMII".to_owned(), "[redacted]"),
            (
                "-----BEGIN CERTIFICATE-----".to_owned(),
                "-----BEGIN CERTIFICATE-----",
            ),
        ] {
            let kept = kept.replace("AKIAIOSFODNN7EXAMPL3 x", "[redacted] x");
            assert_eq!(redactor.text(&text), kept, "{text}");
        }
    }

    #[test]
    fn a_secret_in_pieces_takes_them_with_it() {
        let redactor = Redactor::default();
        let (one, two) = KEY.split_at(7);
        let events = format!(
            "data: {{\"delta\":\"my \"}}\n\ndata: {{\"delta\": \"{one}\"}}\n\n\
             data: {{\"delta\":\"{two}\"}}\n\ndata: {{\"text\":\"x\"}}\n\n"
        );
        let kept = redactor.pieces(&events);
        assert!(!kept.contains(one) && !kept.contains(two), "{kept}");
        assert_eq!(kept.matches(MARK).count(), 3);
        assert!(kept.contains("{\"text\":\"x\"}"));
        let harmless = events.replace(two, "tail");
        assert_eq!(redactor.pieces(&harmless), harmless);
        for odd in [
            "\"delta\":\"",
            "\"delta\":\"a\\",
            "\"delta\":\"\\é\"",
            "\"delta\"",
        ] {
            redactor.pieces(&format!("\"delta\":\"{KEY}\"{odd}"));
        }
    }

    #[test]
    fn fields_are_known_by_their_names() {
        for name in ["Authorization", "x-api-key", "Set-Cookie", "X-Goog-Api-Key"] {
            assert!(is_secret_field(name), "{name}");
        }
        assert!(!is_secret_field("content-type"));
    }

    proptest! {
        #[test]
        fn what_was_added_is_nowhere_left(
            secrets in prop::collection::vec("[a-c\"\\\\]{8,12}", 1..4),
            parts in prop::collection::vec("[a-c ]{0,6}", 1..6),
            json in any::<bool>(),
        ) {
            let mut redactor = Redactor::default();
            for secret in &secrets {
                redactor.add(secret);
            }
            let mut text = String::new();
            for (part, secret) in parts.iter().zip(secrets.iter().cycle()) {
                text.push_str(part);
                text.push_str(secret);
            }
            if json {
                text = serde_json::Value::from(text).to_string();
            }
            let kept = redactor.text(&text);
            for secret in &secrets {
                prop_assert!(!kept.contains(secret.as_str()), "{secret} in {kept}");
                prop_assert!(!kept.contains(&escaped(secret)), "{secret} in {kept}");
            }
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,60}", more in "(-----BEGIN |PRIVATE KEY-----|sk-|bearer |é){0,6}") {
            let redactor = Redactor::new(vec!["abc".to_owned()]);
            redactor.text(&format!("{text}{more}{text}"));
        }
    }
}
