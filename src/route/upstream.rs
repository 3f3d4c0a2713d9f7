//! The provider's side of one attempt, pure: the request's bytes, and the answer's head and body
//! as they arrive.

use super::identity;
use super::prepare::Order;
use crate::config::Origin;
use crate::error::{Error, Kind, Source};
use crate::http::framing::{BodyDecoder, Decoded};
use crate::http::head::{self, Headers, Parsed, ResponseHead};
use crate::json::write;
use crate::limits;

/// The end of a head up to the body's length, of a request for a stream.
const STREAM_LENGTH: &[u8] =
    b"\r\ncontent-type: application/json\r\naccept: text/event-stream\r\ncontent-length: ";
/// The same of one for an object.
const OBJECT_LENGTH: &[u8] =
    b"\r\ncontent-type: application/json\r\naccept: application/json\r\ncontent-length: ";

/// Writes a whole request: head, then `body`. `api_path` starts with a slash.
pub(super) fn request(order: &Order<'_>, api_path: &str, stream: bool, body: &[u8]) -> Vec<u8> {
    let provider = &order.target.provider;
    post(
        &provider.origin,
        &[&provider.path_prefix, api_path],
        stream,
        body,
        |out| {
            identity::write(out, order);
        },
    )
}

/// Writes a whole POST of `body`; `fields` appends further fields, each behind a line end.
pub fn post(
    origin: &Origin,
    path: &[&str],
    stream: bool,
    body: &[u8],
    fields: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + body.len());
    let default_port = if origin.tls { 443 } else { 80 };
    let (open, close) = match origin.host.contains(':') {
        true => (" HTTP/1.1\r\nhost: [", "]"),
        false => (" HTTP/1.1\r\nhost: ", ""),
    };
    out.extend_from_slice(b"POST ");
    for part in path.iter().chain(&[open, &origin.host, close]) {
        out.extend_from_slice(part.as_bytes());
    }
    if origin.port != default_port {
        out.push(b':');
        write::uint(&mut out, u64::from(origin.port));
    }
    fields(&mut out);
    let length = match stream {
        true => STREAM_LENGTH,
        false => OBJECT_LENGTH,
    };
    out.extend_from_slice(length);
    write::uint(&mut out, body.len() as u64);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
    out
}

/// What the bytes of an answer turned out to be.
#[derive(Debug)]
pub enum Piece<'a> {
    /// Bytes of the body.
    Body(&'a [u8]),
    /// The body is complete.
    End,
    /// The head, once.
    Head(&'a ResponseHead),
    /// Nothing more without further bytes.
    NeedMore,
}

/// An answer as it arrives.
#[derive(Debug, Default)]
pub struct Answer {
    buffer: Vec<u8>,
    head: Option<ResponseHead>,
    body: Option<BodyDecoder>,
    ended: bool,
}

impl Answer {
    /// An answer of which nothing was seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether any byte of the answer was seen.
    pub fn begun(&self) -> bool {
        self.head.is_some() || !self.buffer.is_empty()
    }

    /// The head, once it was read.
    pub fn head(&self) -> Option<&ResponseHead> {
        self.head.as_ref()
    }

    /// Whether the connection can be used again: the body is complete and both sides agree.
    pub fn reusable(&self) -> bool {
        self.ended && self.head.as_ref().is_some_and(|h| h.keep_alive)
    }

    /// Whether an end of the connection here is the regular end of the body.
    pub fn eof_is_clean(&self) -> bool {
        self.body.as_ref().is_some_and(|b| b.eof())
    }

    /// Takes the head's bytes from `input`. `true` once the head is complete.
    pub fn feed_head(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        while self.head.is_none() {
            if input.is_empty() {
                return Ok(false);
            }
            // Mostly it comes whole, and is read where it stands.
            let held = self.buffer.len();
            let parsed = match held {
                0 => head::response(input, "POST")?,
                _ => {
                    self.buffer.extend_from_slice(input);
                    head::response(&self.buffer, "POST")?
                }
            };
            match parsed {
                Parsed::Partial => {
                    if held == 0 {
                        self.buffer.extend_from_slice(input);
                    }
                    *input = &[];
                    if self.buffer.len() > limits::HEAD_BYTES_MAX {
                        return Err(broken("its response head is too large"));
                    }
                }
                Parsed::Complete { head, len } => {
                    *input = &input[len.saturating_sub(held)..];
                    self.buffer = Vec::new();
                    // Interim answers (RFC 9110 section 15.2) say nothing that matters here.
                    if head.status >= 200 {
                        self.body = Some(BodyDecoder::new(head.body));
                        self.head = Some(head);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Takes the next piece of the body from `input`, without copying it.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, Error> {
        let Some(body) = &mut self.body else {
            return Ok(Piece::NeedMore);
        };
        match body.next(input) {
            Ok(Decoded::Data(bytes)) => Ok(Piece::Body(bytes)),
            Ok(Decoded::NeedMore) => Ok(Piece::NeedMore),
            Ok(Decoded::End) => {
                self.ended = true;
                Ok(Piece::End)
            }
            Err(e) => Err(broken(&format!("its framing is broken ({e})"))),
        }
    }
}

/// `Retry-After` in whole seconds, rounded up. A date is not read: without a clock it says
/// nothing, and providers send numbers.
pub fn retry_after_s(headers: &Headers) -> Option<u32> {
    let seconds = |name: &str, unit: f64| -> Option<u32> {
        let value: f64 = headers.get(name)?.trim().parse().ok()?;
        let value = (value / unit).ceil();
        (0.0..=86_400.0).contains(&value).then_some(value as u32)
    };
    seconds("retry-after-ms", 1000.0).or_else(|| seconds("retry-after", 1.0))
}

/// The provider broke, in the way that `what` says.
pub fn broken(what: &str) -> Error {
    let message = format!("The provider's answer is unusable: {what}.");
    Error::new(Source::Upstream, Kind::UpstreamBroken, message)
}
