//! Answers to the client: canonical heads, whole bodies, and the frame around a stream.

use super::request_id;
use crate::error::{Error, Source};
use crate::http::framing::{LAST_CHUNK, chunk_begin, chunk_end};
use crate::http::head::{RequestHead, begin_response, write_field};
use crate::http::websocket::encode;
use crate::json::write;
use crate::sse::{Frame, Frames};

pub use super::request_id::RequestId;

/// Room for a head.
const HEAD_BYTES: usize = 320;

/// How the answer to one request is framed, fixed by the request's head.
#[derive(Clone, Copy, Debug)]
pub struct Framing {
    /// What carries it.
    pub transport: Transport,
    /// The connection stays usable.
    pub keep_alive: bool,
    /// The request was `HEAD`: no body is sent.
    pub head_only: bool,
    /// The request's own name; every head says it.
    pub id: RequestId,
}

/// What carries an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// HTTP/1.0: a stream ends with the connection.
    Http10,
    /// HTTP/1.1: a stream is chunked.
    Http11,
    /// A WebSocket: there are no heads, and every event is a frame.
    WebSocket,
}

impl Transport {
    /// That of the answer to a request with this head.
    pub fn of(head: &RequestHead) -> Transport {
        match head.http11 {
            true => Transport::Http11,
            false => Transport::Http10,
        }
    }
}

impl Framing {
    /// Appends a whole answer.
    pub fn whole(
        &self,
        out: &mut Vec<u8>,
        status: u16,
        content_type: &str,
        more: &[(&str, &str)],
        body: &[u8],
    ) {
        out.reserve(HEAD_BYTES + body.len());
        let begin = out.len();
        out.extend_from_slice(body);
        self.head_before(out, begin, status, content_type, more);
    }

    /// Makes a whole answer of the body that stands in `out` from `begin`.
    pub fn head_before(
        &self,
        out: &mut Vec<u8>,
        begin: usize,
        status: u16,
        content_type: &str,
        more: &[(&str, &str)],
    ) {
        let end = out.len();
        begin_response(out, status);
        write_field(out, "content-type", content_type);
        out.extend_from_slice(b"content-length: ");
        write::uint(out, (end - begin) as u64);
        out.extend_from_slice(b"\r\n");
        self.name(out);
        self.end_head(out, more);
        match self.head_only {
            true => drop(out.drain(begin..end)),
            false => out[begin..].rotate_left(end - begin),
        }
    }

    /// Appends the answer for an error.
    pub fn error(&self, out: &mut Vec<u8>, error: &Error, more: &[(&str, &str)]) {
        if self.is_websocket() {
            return error_event(out, error);
        }
        let retry = error.retry_after_s.map(|s| s.to_string());
        let mut fields = vec![("x-strait-error-source", source_name(error.source))];
        if let Some(retry) = &retry {
            fields.push(("retry-after", retry));
        }
        if error.status() == 501 {
            // OpenAI's SDKs ask again after any 5xx.
            fields.push(("x-should-retry", "false"));
        }
        if error.status() == 426 {
            fields.push(("upgrade", "HTTP/1.1"));
            fields.push(("sec-websocket-version", "13"));
        }
        fields.extend_from_slice(more);
        self.whole(
            out,
            error.status(),
            "application/json",
            &fields,
            &error.body(),
        );
    }

    /// Appends the head of a stream of server-sent events.
    pub fn stream_head(&self, out: &mut Vec<u8>, more: &[(&str, &str)]) {
        if self.is_websocket() {
            return;
        }
        out.reserve(HEAD_BYTES);
        begin_response(out, 200);
        out.extend_from_slice(b"content-type: text/event-stream\r\ncache-control: no-cache\r\n");
        self.name(out);
        let body = match self.is_chunked() {
            true => "x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n",
            false => "x-accel-buffering: no\r\n",
        };
        out.extend_from_slice(body.as_bytes());
        self.end_head(out, more);
    }

    /// Begins a piece of a stream's body; what is appended next belongs to it.
    pub fn begin(&self, out: &mut Vec<u8>) -> usize {
        if self.is_chunked() {
            chunk_begin(out)
        } else {
            out.len()
        }
    }

    /// Ends a piece begun by [`Framing::begin`]; an empty piece leaves no trace.
    pub fn end(&self, out: &mut Vec<u8>, begin: usize) {
        if self.is_chunked() {
            chunk_end(out, begin);
        }
    }

    /// Ends the stream's body.
    pub fn last(&self, out: &mut Vec<u8>) {
        if self.is_chunked() {
            out.extend_from_slice(LAST_CHUNK);
        }
    }

    /// Whether the request came over a WebSocket.
    pub fn is_websocket(&self) -> bool {
        self.transport == Transport::WebSocket
    }

    fn is_chunked(&self) -> bool {
        self.transport == Transport::Http11
    }

    /// Says the request's name.
    fn name(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(request_id::FIELD.as_bytes());
        out.extend_from_slice(b": ");
        self.id.write(out);
        out.extend_from_slice(b"\r\n");
    }

    /// Ends a head: `more` fields, and what becomes of the connection.
    fn end_head(&self, out: &mut Vec<u8>, more: &[(&str, &str)]) {
        for (name, value) in more {
            write_field(out, name, value);
        }
        let end = match (self.keep_alive, self.transport) {
            (false, _) => "connection: close\r\n\r\n",
            (true, Transport::Http10) => "connection: keep-alive\r\n\r\n",
            (true, _) => "\r\n",
        };
        out.extend_from_slice(end.as_bytes());
    }
}

/// Appends the event for an error before any output. Without a status Codex would overlook it and
/// wait; the status means the same as over HTTP.
fn error_event(out: &mut Vec<u8>, error: &Error) {
    let frame = encode::begin(out);
    out.extend_from_slice(b"{\"type\":\"error\",\"status\":");
    write::uint(out, error.status().into());
    out.extend_from_slice(b",\"error\":");
    error.write_object(out);
    if let Some(seconds) = error.retry_after_s {
        out.extend_from_slice(b",\"headers\":{\"retry-after\":\"");
        write::uint(out, seconds.into());
        out.extend_from_slice(b"\"}");
    }
    out.push(b'}');
    encode::end(out, frame);
}

/// Turns the whole server-sent events that stand in `out` behind `from` into frames.
pub fn frames_of_events(out: &mut Vec<u8>, from: usize) {
    let events = out.split_off(from);
    let mut frame = |event: Frame<'_>| {
        if event.data != b"[DONE]" {
            match std::str::from_utf8(event.data) {
                Ok(_) => encode::text(out, event.data),
                Err(_) => encode::text(out, String::from_utf8_lossy(event.data).as_bytes()),
            }
        }
        Ok::<(), std::convert::Infallible>(())
    };
    // Whoever let the events through limits their size, and taking a frame does not fail.
    let mut frames = Frames::new();
    let _ = frames.feed(&events, &mut frame);
    let _ = frames.finish(&mut frame);
}

fn source_name(source: Source) -> &'static str {
    match source {
        Source::Downstream => "client",
        Source::Gateway => "gateway",
        Source::Upstream => "upstream",
    }
}

/// A whole answer, with `connection: close`, for a head that could not be read.
pub fn refuse(error: &Error, id: RequestId) -> Vec<u8> {
    let framing = Framing {
        transport: Transport::Http11,
        keep_alive: false,
        head_only: false,
        id,
    };
    let mut out = Vec::new();
    framing.error(&mut out, error, &[]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_become_frames() {
        let mut out = b"before".to_vec();
        out.extend_from_slice(b"event: a\ndata: {\"a\":1}\n\n: comment\r\n\r\n");
        out.extend_from_slice(b"data: {\r\ndata: }\r\n\r\ndata: \xff\n\ndata: [DONE]\n\n");
        frames_of_events(&mut out, 6);
        let expected = [
            &b"before\x81\x07{\"a\":1}\x81\x03{\n}\x81\x03"[..],
            "\u{fffd}".as_bytes(),
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn an_error_is_an_event_with_a_status() {
        let error = Error::bad_request("no \"model\"").with_param("model");
        let mut out = Vec::new();
        error_event(&mut out, &error);
        let event: serde_json::Value = serde_json::from_slice(&out[4..]).expect("JSON");
        assert_eq!(
            (&event["type"], &event["status"]),
            (&"error".into(), &400.into())
        );
        assert_eq!(event["error"]["param"], "model");
        assert!(event.get("headers").is_none());
    }
}
