//! Request and response heads.

pub use super::headers::Headers;
use super::lines::{self, Lines};
use super::token;
use crate::error::{Error, Kind, Source};
use crate::limits;

/// How a message's body is delimited (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BodyKind {
    /// No body.
    None,
    /// Exactly so many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Until the connection closes; responses only.
    UntilClose,
}

/// The head of a request, already judged: framing is unambiguous.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// As sent, e.g. `POST`.
    pub method: String,
    /// The target's path, without the query.
    pub path: String,
    /// The target's query, without `?`.
    pub query: Option<String>,
    /// HTTP/1.1 (else 1.0).
    pub http11: bool,
    /// All fields.
    pub headers: Headers,
    /// How the body is delimited; never [`BodyKind::UntilClose`].
    pub body: BodyKind,
    /// Whether the client wants to keep the connection.
    pub keep_alive: bool,
    /// The client waits for `100 Continue`.
    pub expect_continue: bool,
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// All fields.
    pub headers: Headers,
    /// How the body is delimited.
    pub body: BodyKind,
    /// Whether the connection can be used again once the body was read whole.
    pub keep_alive: bool,
}

/// What a buffer holds of a head.
#[derive(Clone, Debug)]
pub enum Parsed<T> {
    /// The whole head.
    Complete {
        /// What it says.
        head: T,
        /// Its length in bytes, blank line included.
        len: usize,
    },
    /// A head that is fine as far as it goes.
    Partial,
}

const NO_REQUEST_LINE: &str = "the request line is not a method and a target";

fn bad(what: &str) -> Error {
    Error::bad_request(format!("The request head is malformed: {what}."))
}

fn broken(what: &str) -> Error {
    let message = format!("The provider's response head is malformed: {what}.");
    Error::new(Source::Upstream, Kind::UpstreamBroken, message)
}

/// Reads a request head (RFC 9112 sections 2 to 6), strictly: what two parsers could read
/// differently is refused. Errors are for the client: 400, or 431 over the limits.
pub fn request(bytes: &[u8]) -> Result<Parsed<RequestHead>, Error> {
    // RFC 9112 section 2.2: an empty line before a request line is let pass.
    let skip = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let bytes = &bytes[skip..];
    let mut ends = lines::NONE;
    let lines = lines::find(bytes, &mut ends).map_err(bad)?;
    let len = lines.as_ref().map_or(bytes.len(), |lines| lines.len);
    if len > limits::HEAD_BYTES_MAX {
        let message = format!(
            "The request head is larger than {} bytes.",
            limits::HEAD_BYTES_MAX
        );
        return Err(Error::new(Source::Downstream, Kind::HeadTooLarge, message));
    }
    let Some(lines) = lines else {
        // Who speaks another protocol, TLS for one, is told at once instead of after a time-out.
        return match bytes.first() {
            Some(first) if !token::holds(*first) && *first != b'\r' => Err(bad(NO_REQUEST_LINE)),
            _ => Ok(Parsed::Partial),
        };
    };
    if lines.count > ends.len() {
        let message = format!("The request has more than {} fields.", limits::HEADERS_MAX);
        return Err(Error::new(Source::Downstream, Kind::HeadTooLarge, message));
    }
    let (start, ends) = split(&lines, &ends).map_err(bad)?;
    let text = simdutf8::basic::from_utf8(&bytes[..len]).map_err(|_| bad("it is not text"))?;
    let headers = Headers::read(&text[start..], start, ends).map_err(bad)?;
    let (method, target, http11) = request_line(&text[..start]).map_err(bad)?;
    let (path, query) = path_of(method, target).map_err(bad)?;
    let noted = Noted::of(&headers);
    if noted.host.again || noted.host.first.is_none() && http11 {
        return Err(bad("exactly one Host is needed"));
    }
    let body = match noted.framing(http11).map_err(bad)? {
        BodyKind::UntilClose => BodyKind::None,
        kind => kind,
    };
    let expect_continue = match noted.expect.first {
        None => false,
        Some(e) if e.eq_ignore_ascii_case("100-continue") => http11 && body != BodyKind::None,
        Some(_) => return Err(bad("the expectation is unknown")),
    };
    let keep_alive = noted.keeps_alive(http11);
    let head = RequestHead {
        method: method.to_owned(),
        path,
        query,
        http11,
        headers,
        body,
        keep_alive,
        expect_continue,
    };
    Ok(Parsed::Complete {
        head,
        len: len + skip,
    })
}

/// Reads a response head. Interim ones (1xx) are returned as any other, without a body.
pub fn response(bytes: &[u8], request_method: &str) -> Result<Parsed<ResponseHead>, Error> {
    let mut ends = lines::NONE;
    let lines = lines::find(bytes, &mut ends).map_err(broken)?;
    let len = lines.as_ref().map_or(bytes.len(), |lines| lines.len);
    if len > limits::HEAD_BYTES_MAX {
        return Err(broken("it is too large"));
    }
    let Some(lines) = lines else {
        return Ok(Parsed::Partial);
    };
    if lines.count > ends.len() {
        return Err(broken("it has too many fields"));
    }
    let (start, ends) = split(&lines, &ends).map_err(broken)?;
    let Some((status, http11)) = status_line_of(&bytes[..start]) else {
        return Err(broken("its status line is wrong"));
    };
    let text = simdutf8::basic::from_utf8(&bytes[start..len]);
    let text = text.map_err(|_| broken("a value is not text"))?;
    let headers = Headers::read(text, start, ends).map_err(broken)?;
    let bodiless = status < 200 || matches!(status, 204 | 304) || request_method == "HEAD";
    let noted = Noted::of(&headers);
    let body = match noted.framing(http11).map_err(broken)? {
        _ if bodiless => BodyKind::None,
        kind => kind,
    };
    let keep_alive = body != BodyKind::UntilClose && noted.keeps_alive(http11);
    Ok(Parsed::Complete {
        head: ResponseHead {
            status,
            headers,
            body,
            keep_alive,
        },
        len,
    })
}

/// Where the start line of a whole head ends, and the lines of its fields.
fn split<'a>(lines: &Lines, ends: &'a [u32]) -> Result<(usize, &'a [u32]), &'static str> {
    match &ends[..lines.count] {
        _ if lines.controls => Err("there are control characters in it"),
        [] => Err("its start line is empty"),
        [start, ends @ ..] => Ok((*start as usize, ends)),
    }
}

/// The method and the target of a request line, and whether it is HTTP/1.1 (RFC 9112 section 3).
fn request_line(line: &str) -> Result<(&str, &str, bool), &'static str> {
    let (line, http11) = match line.strip_suffix(" HTTP/1.1") {
        Some(line) => (line, true),
        None => match line.strip_suffix(" HTTP/1.0") {
            Some(line) => (line, false),
            None => return Err("its version is unknown"),
        },
    };
    let end = line.bytes().position(|b| !token::holds(b));
    let (method, target) = line.split_at(end.unwrap_or(line.len()));
    match target.strip_prefix(' ') {
        Some(target) if !method.is_empty() && !target.bytes().any(|b| b <= b' ') => {
            Ok((method, target, http11))
        }
        _ => Err(NO_REQUEST_LINE),
    }
}

/// The status of a status line, and whether it is HTTP/1.1 (RFC 9112 section 4). The phrase behind
/// it says nothing; some leave out even the space before it.
fn status_line_of(line: &[u8]) -> Option<(u16, bool)> {
    let (http11, rest) = match line.strip_prefix(b"HTTP/1.1 ") {
        Some(rest) => (true, rest),
        None => (false, line.strip_prefix(b"HTTP/1.0 ")?),
    };
    let (digits, phrase) = rest.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(phrase, [] | [b' ', ..]) {
        return None;
    }
    let status = digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
    Some((status, http11))
}

/// The fields that say how a message is to be read, found in one pass.
#[derive(Default)]
struct Noted<'a> {
    host: Seen<'a>,
    length: Seen<'a>,
    coding: Seen<'a>,
    expect: Seen<'a>,
    close: bool,
    keep_alive: bool,
}

/// The first value of a field, and whether there is another.
#[derive(Default)]
struct Seen<'a> {
    first: Option<&'a str>,
    again: bool,
}

impl<'a> Seen<'a> {
    fn note(&mut self, value: &'a str) {
        self.again = self.first.is_some();
        self.first.get_or_insert(value);
    }
}

impl<'a> Noted<'a> {
    fn of(headers: &'a Headers) -> Self {
        let mut noted = Noted::default();
        for (n, name) in headers.names().enumerate() {
            let seen = match name {
                b"connection" => {
                    noted.connection(headers.value(n));
                    continue;
                }
                b"content-length" => &mut noted.length,
                b"expect" => &mut noted.expect,
                b"host" => &mut noted.host,
                b"transfer-encoding" => &mut noted.coding,
                _ => continue,
            };
            seen.note(headers.value(n));
        }
        noted
    }

    fn connection(&mut self, value: &str) {
        for token in value.as_bytes().split(|b| *b == b',') {
            let token = token.trim_ascii();
            self.close |= token.eq_ignore_ascii_case(b"close");
            self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn keeps_alive(&self, http11: bool) -> bool {
        !self.close && (http11 || self.keep_alive)
    }

    /// How the body is delimited (RFC 9112 section 6.3). Whatever names two lengths is refused.
    fn framing(&self, http11: bool) -> Result<BodyKind, &'static str> {
        match (self.length.first, self.coding.first) {
            (None, None) => Ok(BodyKind::UntilClose),
            (Some(_), Some(_)) => Err("it has both a length and a transfer coding"),
            (None, Some(coding)) => {
                if !http11 {
                    return Err("a transfer coding in HTTP/1.0");
                }
                if self.coding.again || !coding.eq_ignore_ascii_case("chunked") {
                    return Err("its transfer coding is not just chunked");
                }
                Ok(BodyKind::Chunked)
            }
            (Some(length), None) => {
                let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
                match length.parse() {
                    Ok(n) if digits && !self.length.again => Ok(BodyKind::Length(n)),
                    _ => Err("its content length is not one number"),
                }
            }
        }
    }
}

/// The path and query of a request target: origin form, absolute form, or `*`.
fn path_of(method: &str, target: &str) -> Result<(String, Option<String>), &'static str> {
    let origin = match target.as_bytes() {
        [b'/', ..] => target,
        b"*" if method == "OPTIONS" => target,
        _ => match target.split_once("://") {
            Some((scheme, rest)) if ["http", "https"].contains(&&*scheme.to_ascii_lowercase()) => {
                rest.find('/').map_or("/", |at| &rest[at..])
            }
            _ => return Err("the request target is not a path"),
        },
    };
    Ok(match origin.bytes().position(|b| b == b'?') {
        Some(at) => (origin[..at].to_owned(), Some(origin[at + 1..].to_owned())),
        None => (origin.to_owned(), None),
    })
}

/// A status with its reason phrase, e.g. `200 OK`.
pub fn status_line(status: u16) -> &'static str {
    match status {
        101 => "101 Switching Protocols",
        200 => "200 OK",
        303 => "303 See Other",
        400 => "400 Bad Request",
        401 => "401 Unauthorized",
        403 => "403 Forbidden",
        404 => "404 Not Found",
        405 => "405 Method Not Allowed",
        408 => "408 Request Timeout",
        413 => "413 Content Too Large",
        415 => "415 Unsupported Media Type",
        421 => "421 Misdirected Request",
        426 => "426 Upgrade Required",
        429 => "429 Too Many Requests",
        431 => "431 Request Header Fields Too Large",
        501 => "501 Not Implemented",
        502 => "502 Bad Gateway",
        503 => "503 Service Unavailable",
        504 => "504 Gateway Timeout",
        _ => "500 Internal Server Error",
    }
}

/// Appends a response head in canonical form.
pub fn write_response(out: &mut Vec<u8>, status: u16, fields: &[(&str, &str)]) {
    begin_response(out, status);
    for (name, value) in fields {
        write_field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a response's status line. Fields follow, and behind them an empty line.
pub fn begin_response(out: &mut Vec<u8>, status: u16) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status_line(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a field. Bytes of the value that could end its line become spaces.
pub fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let begin = out.len();
    out.extend_from_slice(value.as_bytes());
    for byte in &mut out[begin..] {
        if *byte < 0x20 || *byte == 0x7f {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The media type of a `content-type` (RFC 9110, section 8.3.1), without its parameters.
pub fn media_type(field: &str) -> &str {
    // Most have none; nothing shorter is to be looked for then.
    match field {
        "application/json" | "text/event-stream" => field,
        _ => field.split(';').next().unwrap_or_default().trim(),
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
