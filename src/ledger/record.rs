//! What is noted of an exchange once it is over: for the log, the counters and the audit.

use super::peer::Peer;
use super::raw::Saying;
use super::span::{SpanId, Trace};
use super::usage::Usage;
use crate::json::write;
use std::fmt;
use std::time::Duration;

/// Whether a response is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kept {
    /// No: the store was in trouble.
    Failed,
    /// Perhaps: the store did not answer in time.
    Late,
    /// No: there is no store, or it is nothing to be kept.
    No,
    /// Yes.
    Yes,
}

impl Kept {
    /// For the log.
    pub fn name(self) -> &'static str {
        match self {
            Kept::Failed => "failed",
            Kept::Late => "late",
            Kept::No => "no",
            Kept::Yes => "yes",
        }
    }
}

/// One try upstream.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Try {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The provider's name for the model.
    pub model: String,
    /// Which of the provider's keys was shown, from 1; 0: none.
    pub key: u16,
    /// The status of its answer; 0 where there was none.
    pub status: u16,
    /// Why it was not the answer: a label of [`crate::error`]; empty for the one that was.
    pub error: &'static str,
    /// From the exchange's begin to its own.
    pub began: Duration,
    /// From its begin to its end.
    pub took: Duration,
    /// The targets that were passed over on the way to it; behind it, where it was the last.
    pub passed: Vec<Passed>,
    /// The provider's name for the request; empty if it told none.
    pub request_id: String,
    /// Its span, where the exchange is traced.
    pub span: SpanId,
}

/// A target that was not asked although its turn had come.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Passed {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The provider's name for the model.
    pub model: String,
    /// `breaker_open`, or `key_resting` where all its keys are out.
    pub why: &'static str,
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}: {}", self.provider, self.model, self.why)
    }
}

/// What is noted of an exchange. Nothing but [`Record::saying`] is secret, or content.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The request's own id, as the client is told it.
    pub id: String,
    /// The client's own name for the request; empty if it told none.
    pub client_id: String,
    /// Its place in a trace; `None` where Strait traces nothing.
    pub trace: Option<Box<Trace>>,
    /// The request's method; `WEBSOCKET` for one over a WebSocket.
    pub method: String,
    /// The request's path, without its query.
    pub path: String,
    /// Which endpoint it asks, in one word from a closed set.
    pub endpoint: &'static str,
    /// It asks for an answer of a model, so that it belongs into the audit.
    pub asks_model: bool,
    /// Where it comes from.
    pub client: Peer,
    /// The name of the client key; empty where Strait asks for none.
    pub key: String,
    /// Codex's session (`session-id`); empty for other clients.
    pub session: String,
    /// Codex's thread (`thread-id`): the session itself, or one of its sub-agents.
    pub thread: String,
    /// Codex's turn, out of `x-codex-turn-metadata`.
    pub turn: String,
    /// The client's program and its version: the first product of its `user-agent`.
    pub agent: String,
    /// The model that the client asked for.
    pub model: String,
    /// The model that the answer names.
    pub served: String,
    /// The upstream tries, in order; the last one is whose answer the client got.
    pub tries: Vec<Try>,
    /// The status that the client got; 0 where it got none.
    pub status: u16,
    /// How it ended, in one word.
    pub outcome: &'static str,
    /// Why the model stopped, in the provider's word.
    pub stop: String,
    /// The error's code, as the client was told it.
    pub code: String,
    /// More on a failure.
    pub detail: String,
    /// Token counts, where known.
    pub usage: Option<Usage>,
    /// What it cost, in billionths of a US dollar; `None` where tokens or prices are not known.
    pub cost_nanos: Option<u64>,
    /// The client was answered with a stream.
    pub streamed: bool,
    /// Whether the response is kept; `None` where the client wants none kept.
    pub kept: Option<Kept>,
    /// How a response in the background ended.
    pub background: Option<&'static str>,
    /// What was dropped or changed: `code path`, comma separated.
    pub diagnostics: String,
    /// From the request's head to the first piece of the answer.
    pub first_event: Option<Duration>,
    /// From the request's head to the end.
    pub took: Duration,
    /// Events that the client was sent; 0 where it wanted no stream.
    pub events: u64,
    /// Bytes of the request's body, as they were sent.
    pub request_bytes: u64,
    /// Bytes that providers sent.
    pub upstream_bytes: u64,
    /// Bytes that the client was sent.
    pub answer_bytes: u64,
    /// What was said, where the audit wants it.
    pub saying: Option<Box<Saying>>,
}

impl Record {
    /// The line for the log: `key=value` pairs, no secrets, no content.
    pub fn line(&self) -> String {
        let mut line = Vec::with_capacity(256);
        line.extend_from_slice(self.method.as_bytes());
        line.push(b' ');
        line.extend_from_slice(self.path.as_bytes());
        number(&mut line, " status=", self.status.into());
        line.extend_from_slice(b" outcome=");
        line.extend_from_slice(self.outcome.as_bytes());
        let ms = self.took.as_millis().try_into().unwrap_or(u64::MAX);
        number(&mut line, " ms=", ms);
        line.extend_from_slice(b" id=");
        line.extend_from_slice(self.id.as_bytes());
        if let Some(trace) = &self.trace {
            let mut id = String::with_capacity(32);
            write::hex(&mut id, &trace.id.0);
            line.extend_from_slice(b" trace=");
            line.extend_from_slice(id.as_bytes());
        }
        number(&mut line, " attempts=", self.tries.len() as u64);
        text(&mut line, " model=", &self.model);
        if let Some(last) = self.tries.last() {
            text(
                &mut line,
                " target=",
                &format!("{}/{}", last.provider, last.model),
            );
        }
        if self.client != Peer::Unknown {
            // An address quotes nothing.
            line.extend_from_slice(format!(" client={}", self.client).as_bytes());
        }
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
        if let Some(how) = self.background {
            line.extend_from_slice(b" background=");
            line.extend_from_slice(how.as_bytes());
        }
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
