//! What is said in an exchange, as its bytes come and go: for an audit that keeps content.

use std::fmt;

/// The begin of what one side said.
#[derive(Clone, Default)]
pub struct Raw {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How many more there were.
    pub cut: u64,
}

impl Raw {
    /// Takes the next bytes, as long as there are at most `max`.
    pub fn take(&mut self, bytes: &[u8], max: usize) {
        let room = max.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.cut += (bytes.len() - room) as u64;
    }
}

/// What was said in an exchange, with its secrets: it is redacted before it is kept.
#[derive(Clone, Default)]
pub struct Saying {
    /// Most bytes of each.
    pub max: usize,
    /// The fields of the client's request.
    pub fields: Vec<(String, String)>,
    /// The body of the client's request, decoded.
    pub request: Raw,
    /// The request to the last provider, head and all.
    pub sent: Raw,
    /// That provider's answer, head, framing and all.
    pub received: Raw,
    /// The answer to the client: head, framing and all, or frames of a WebSocket.
    pub answer: Raw,
}

impl Saying {
    /// Another request goes to a provider: what was said to the last one is forgotten.
    pub fn sends(&mut self, request: &[u8]) {
        self.sent = Raw::default();
        self.received = Raw::default();
        self.sent.take(request, self.max);
    }

    /// About how many bytes it holds.
    pub fn weight(&self) -> usize {
        [&self.request, &self.sent, &self.received, &self.answer]
            .iter()
            .map(|raw| raw.bytes.len())
            .sum()
    }
}

/// Shows nothing of it.
impl fmt::Debug for Saying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Saying({} bytes)", self.weight())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted() {
        let mut raw = Raw::default();
        raw.take(b"abc", 5);
        raw.take(b"defg", 5);
        raw.take(b"h", 5);
        assert_eq!((raw.bytes.as_slice(), raw.cut), (&b"abcde"[..], 3));
    }
}
