//! The log line of an exchange.

use super::attempt::Attempt;
use crate::http::head::RequestHead;
use crate::json::write;
use crate::translate::diagnostic::Diagnostic;
use crate::translate::stream::Usage;
use std::time::Duration;

/// Bytes after which a line lists no further diagnostics.
const DIAGNOSTICS_BYTES: usize = 1024;

/// Whether a response is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kept {
    /// No: the store was in trouble.
    Failed,
    /// Perhaps: the store did not answer in time.
    Late,
    /// No: there is no store, or it is nothing to be kept.
    No,
    Yes,
}

impl Kept {
    fn name(self) -> &'static str {
        match self {
            Kept::Failed => "failed",
            Kept::Late => "late",
            Kept::No => "no",
            Kept::Yes => "yes",
        }
    }
}

/// What the line says.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub model: String,
    pub target: String,
    pub key: String,
    pub status: u16,
    pub outcome: &'static str,
    pub detail: String,
    pub usage: Option<Usage>,
    /// Whether the response is kept; `None` where the client wants none kept.
    pub kept: Option<Kept>,
    /// `code path`, comma separated.
    diagnostics: String,
    pub attempts: u32,
}

impl Log {
    /// Notes what was dropped or changed.
    pub fn diagnose(&mut self, attempt: &Attempt) {
        self.diagnostics.clear();
        for Diagnostic { code, path, .. } in attempt.diagnostics() {
            if self.diagnostics.len() > DIAGNOSTICS_BYTES {
                return self.diagnostics.push_str(", …");
            }
            if !self.diagnostics.is_empty() {
                self.diagnostics.push_str(", ");
            }
            self.diagnostics.push_str(code);
            self.diagnostics.push(' ');
            self.diagnostics.push_str(path);
        }
    }

    /// The line: `key=value` pairs, no secrets, no content.
    pub fn line(&self, head: &RequestHead, took: Duration) -> String {
        let mut line = Vec::with_capacity(256);
        line.extend_from_slice(head.method.as_bytes());
        line.push(b' ');
        line.extend_from_slice(head.path.as_bytes());
        number(&mut line, " status=", self.status.into());
        line.extend_from_slice(b" outcome=");
        line.extend_from_slice(self.outcome.as_bytes());
        let ms = took.as_millis().try_into().unwrap_or(u64::MAX);
        number(&mut line, " ms=", ms);
        number(&mut line, " attempts=", self.attempts.into());
        text(&mut line, " model=", &self.model);
        text(&mut line, " target=", &self.target);
        text(&mut line, " key=", &self.key);
        if let Some(u) = self.usage {
            number(&mut line, " input=", u.input);
            number(&mut line, " cached=", u.cached);
            number(&mut line, " output=", u.output);
            number(&mut line, " reasoning=", u.reasoning);
        }
        if let Some(kept) = self.kept {
            line.extend_from_slice(b" stored=");
            line.extend_from_slice(kept.name().as_bytes());
        }
        text(&mut line, " diagnostics=", &self.diagnostics);
        text(&mut line, " detail=", &self.detail);
        String::from_utf8(line).unwrap_or_default()
    }
}

fn number(line: &mut Vec<u8>, name: &str, value: u64) {
    line.extend_from_slice(name.as_bytes());
    write::uint(line, value);
}

/// Quotes what a client or a provider said: nothing in it may steer a terminal or look like
/// another field.
fn text(line: &mut Vec<u8>, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    line.extend_from_slice(name.as_bytes());
    let plain = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
    if value.bytes().all(plain) {
        write::quoted(line, value.as_bytes());
    } else {
        line.extend_from_slice(format!("{value:?}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_said_cannot_leave_its_quotes() {
        for (said, shown) in [
            ("plain text", "a=\"plain text\""),
            ("a\" b=\"c", r#"a="a\" b=\"c""#),
            ("a\\", r#"a="a\\""#),
            (
                "\u{9b}31m\n\u{202e}\u{7f}",
                r#"a="\u{9b}31m\n\u{202e}\u{7f}""#,
            ),
            ("é", "a=\"é\""),
            ("", ""),
        ] {
            let mut line = Vec::new();
            text(&mut line, "a=", said);
            assert_eq!(String::from_utf8(line).unwrap(), shown);
        }
    }
}
