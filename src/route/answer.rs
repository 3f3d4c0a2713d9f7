//! Answers to the client: canonical heads, whole bodies, and the frame around a stream.

use crate::error::{Error, Source};
use crate::http::framing::{LAST_CHUNK, chunk_begin, chunk_end};
use crate::http::head::write_response;

/// How the answer to one request is framed, fixed by the request's head.
#[derive(Clone, Copy, Debug)]
pub struct Framing {
    /// HTTP/1.1, so that chunked coding is understood.
    pub http11: bool,
    /// The connection stays usable.
    pub keep_alive: bool,
    /// The request was `HEAD`: no body is sent.
    pub head_only: bool,
}

impl Framing {
    /// Appends a whole answer with a body of known length.
    pub fn whole(
        &self,
        out: &mut Vec<u8>,
        status: u16,
        content_type: &str,
        more: &[(&str, &str)],
        body: &[u8],
    ) {
        let length = body.len().to_string();
        let mut fields = vec![("content-type", content_type), ("content-length", &length)];
        fields.extend_from_slice(more);
        self.connection(&mut fields);
        write_response(out, status, &fields);
        if !self.head_only {
            out.extend_from_slice(body);
        }
    }

    /// Appends the answer for an error.
    pub fn error(&self, out: &mut Vec<u8>, error: &Error, more: &[(&str, &str)]) {
        let retry = error.retry_after_s.map(|s| s.to_string());
        let mut fields = vec![("x-strait-error-source", source_name(error.source))];
        if let Some(retry) = &retry {
            fields.push(("retry-after", retry));
        }
        if error.status() == 405 {
            fields.push(("allow", "GET, POST"));
        }
        if error.status() == 426 {
            fields.push(("upgrade", "HTTP/1.1"));
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

    /// Appends the head of a stream of unknown length.
    pub fn stream_head(
        &self,
        out: &mut Vec<u8>,
        status: u16,
        content_type: &str,
        more: &[(&str, &str)],
    ) {
        let mut fields = vec![
            ("content-type", content_type),
            ("cache-control", "no-cache"),
        ];
        fields.push(("x-accel-buffering", "no"));
        if self.http11 {
            fields.push(("transfer-encoding", "chunked"));
        }
        fields.extend_from_slice(more);
        self.connection(&mut fields);
        write_response(out, status, &fields);
    }

    /// Begins a piece of a stream's body; what is appended next belongs to it.
    pub fn begin(&self, out: &mut Vec<u8>) -> usize {
        if self.http11 {
            chunk_begin(out)
        } else {
            out.len()
        }
    }

    /// Ends a piece begun by [`Framing::begin`]; an empty piece leaves no trace.
    pub fn end(&self, out: &mut Vec<u8>, begin: usize) {
        if self.http11 {
            chunk_end(out, begin);
        }
    }

    /// Ends the stream's body.
    pub fn last(&self, out: &mut Vec<u8>) {
        if self.http11 {
            out.extend_from_slice(LAST_CHUNK);
        }
    }

    fn connection(&self, fields: &mut Vec<(&str, &str)>) {
        if !self.keep_alive {
            fields.push(("connection", "close"));
        } else if !self.http11 {
            fields.push(("connection", "keep-alive"));
        }
    }
}

fn source_name(source: Source) -> &'static str {
    match source {
        Source::Downstream => "client",
        Source::Gateway => "gateway",
        Source::Upstream => "upstream",
    }
}

/// A whole answer, with `connection: close`, for a head that could not be read.
pub fn refuse(error: &Error) -> Vec<u8> {
    let framing = Framing {
        http11: true,
        keep_alive: false,
        head_only: false,
    };
    let mut out = Vec::new();
    framing.error(&mut out, error, &[]);
    out
}
