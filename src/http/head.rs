//! Request and response heads.

use crate::error::{Error, Kind, Source};
use crate::limits;
use std::mem::MaybeUninit;

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

/// Header fields in order; names in lower case. All of them stand in one buffer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Headers {
    text: String,
    fields: Vec<Field>,
}

/// Where a field stands in the buffer: its name, and behind it its value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Field {
    name: u32,
    value: u32,
    end: u32,
}

impl Headers {
    /// The value of the first field called `name` (given in lower case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| {
            let (name, value) = (field.name as usize, field.value as usize);
            (
                &self.text[name..value],
                &self.text[value..field.end as usize],
            )
        })
    }

    /// Adds a field; `name` must be in lower case. All fields together are to stay below 4 GiB:
    /// heads are limited to far less.
    pub fn push(&mut self, name: &str, value: &str) {
        let begin = self.text.len();
        self.text.push_str(name);
        self.text.push_str(value);
        self.fields.push(Field {
            name: begin as u32,
            value: (begin + name.len()) as u32,
            end: self.text.len() as u32,
        });
    }
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

fn bad(what: &str) -> Error {
    Error::bad_request(format!("The request head is malformed: {what}."))
}

fn broken(what: &str) -> Error {
    let message = format!("The provider's response head is malformed: {what}.");
    Error::new(Source::Upstream, Kind::UpstreamBroken, message)
}

/// The length of the head in `bytes`, blank line included. Every LF must follow a CR: a bare one
/// is read as a line end by some and not by others, which is how requests are smuggled.
fn head_len(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    let mut line = 0;
    for at in memchr::memchr_iter(b'\n', bytes) {
        if at == 0 || bytes[at - 1] != b'\r' {
            return Err("a line ends in a bare LF");
        }
        if at - line == 1 {
            return Ok(Some(at + 1));
        }
        line = at + 1;
    }
    Ok(None)
}

/// Reads a request head (RFC 9112 sections 2 to 6), strictly: what two parsers could read
/// differently is refused. Errors are for the client: 400, or 431 over the limits.
pub fn request(bytes: &[u8]) -> Result<Parsed<RequestHead>, Error> {
    // RFC 9112 section 2.2: an empty line before a request line is let pass.
    let skip = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let bytes = &bytes[skip..];
    let len = head_len(bytes).map_err(bad)?;
    if len.unwrap_or(bytes.len()) > limits::HEAD_BYTES_MAX {
        let message = format!(
            "The request head is larger than {} bytes.",
            limits::HEAD_BYTES_MAX
        );
        return Err(Error::new(Source::Downstream, Kind::HeadTooLarge, message));
    }
    let Some(len) = len else {
        return Ok(Parsed::Partial);
    };
    let mut fields = [const { MaybeUninit::uninit() }; limits::HEADERS_MAX];
    let mut raw = httparse::Request::new(&mut []);
    match raw.parse_with_uninit_headers(&bytes[..len], &mut fields) {
        Ok(httparse::Status::Complete(n)) if n == len => {}
        Ok(_) => return Err(bad("it does not end at its blank line")),
        Err(httparse::Error::TooManyHeaders) => {
            let message = format!("The request has more than {} fields.", limits::HEADERS_MAX);
            return Err(Error::new(Source::Downstream, Kind::HeadTooLarge, message));
        }
        Err(e) => return Err(bad(&e.to_string())),
    }
    let http11 = raw.version == Some(1);
    let headers = Headers::read(raw.headers).map_err(bad)?;
    let method = raw.method.unwrap_or_default().to_owned();
    let (path, query) = target(&method, raw.path.unwrap_or_default()).map_err(bad)?;
    if headers.all("host").count() != 1 && (http11 || headers.get("host").is_some()) {
        return Err(bad("exactly one Host is needed"));
    }
    let body = match framing(&headers, http11).map_err(bad)? {
        BodyKind::UntilClose => BodyKind::None,
        kind => kind,
    };
    let expect_continue = match headers.get("expect") {
        None => false,
        Some(e) if e.eq_ignore_ascii_case("100-continue") => http11 && body != BodyKind::None,
        Some(_) => return Err(bad("the expectation is unknown")),
    };
    let keep_alive = keeps_alive(&headers, http11);
    let head = RequestHead {
        method,
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
    let len = head_len(bytes).map_err(broken)?;
    if len.unwrap_or(bytes.len()) > limits::HEAD_BYTES_MAX {
        return Err(broken("it is too large"));
    }
    let Some(len) = len else {
        return Ok(Parsed::Partial);
    };
    let mut fields = [const { MaybeUninit::uninit() }; limits::HEADERS_MAX];
    let mut raw = httparse::Response::new(&mut []);
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut raw,
        &bytes[..len],
        &mut fields,
    ) {
        Ok(httparse::Status::Complete(n)) if n == len => {}
        Ok(_) => return Err(broken("it does not end at its blank line")),
        Err(e) => return Err(broken(&e.to_string())),
    }
    let http11 = raw.version == Some(1);
    let status = raw.code.unwrap_or(0);
    let headers = Headers::read(raw.headers).map_err(broken)?;
    let bodiless = status < 200 || matches!(status, 204 | 304) || request_method == "HEAD";
    let body = match framing(&headers, http11).map_err(broken)? {
        _ if bodiless => BodyKind::None,
        kind => kind,
    };
    let keep_alive = body != BodyKind::UntilClose && keeps_alive(&headers, http11);
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

impl Headers {
    /// Takes over what httparse read: it refuses control characters in values. Text is judged
    /// once for all fields: a name is never empty and ASCII, so what is cut off in one value
    /// cannot be completed by the next.
    fn read(raw: &[httparse::Header<'_>]) -> Result<Headers, &'static str> {
        let mut text = Vec::with_capacity(raw.iter().map(|f| f.name.len() + f.value.len()).sum());
        let mut fields = Vec::with_capacity(raw.len());
        for field in raw {
            let begin = text.len();
            text.extend_from_slice(field.name.as_bytes());
            text[begin..].make_ascii_lowercase();
            let value = text.len();
            text.extend_from_slice(trimmed(field.value));
            fields.push(Field {
                name: begin as u32,
                value: value as u32,
                end: text.len() as u32,
            });
        }
        let text = String::from_utf8(text).map_err(|_| "a value is not text")?;
        Ok(Headers { text, fields })
    }

    /// The values of all fields called `name` (given in lower case).
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter_map(move |field| {
            let (begin, value) = (field.name as usize, field.value as usize);
            let same = value - begin == name.len()
                && &self.text.as_bytes()[begin..value] == name.as_bytes();
            same.then(|| &self.text[value..field.end as usize])
        })
    }
}

/// A value without the blanks around it.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The path and query of a request target: origin form, absolute form, or `*`.
fn target(method: &str, target: &str) -> Result<(String, Option<String>), &'static str> {
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
    Ok(match origin.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (origin.to_owned(), None),
    })
}

/// How the body is delimited (RFC 9112 section 6.3). Whatever names two lengths is refused.
fn framing(headers: &Headers, http11: bool) -> Result<BodyKind, &'static str> {
    let mut lengths = headers.all("content-length");
    let mut codings = headers.all("transfer-encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(BodyKind::UntilClose),
        (Some(_), Some(_)) => Err("it has both a length and a transfer coding"),
        (None, Some(coding)) => {
            if !http11 {
                return Err("a transfer coding in HTTP/1.0");
            }
            if codings.next().is_some() || !coding.eq_ignore_ascii_case("chunked") {
                return Err("its transfer coding is not just chunked");
            }
            Ok(BodyKind::Chunked)
        }
        (Some(length), None) => {
            let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
            match length.parse() {
                Ok(n) if digits && lengths.next().is_none() => Ok(BodyKind::Length(n)),
                _ => Err("its content length is not one number"),
            }
        }
    }
}

fn keeps_alive(headers: &Headers, http11: bool) -> bool {
    let says = |token: &str| {
        headers
            .all("connection")
            .flat_map(|v| v.split(','))
            .any(|t| t.trim().eq_ignore_ascii_case(token))
    };
    !says("close") && (http11 || says("keep-alive"))
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

/// Appends a response head in canonical form. Bytes that could end a field's line become spaces.
pub fn write_response(out: &mut Vec<u8>, status: u16, fields: &[(&str, &str)]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status_line(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in fields {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend(
            value
                .bytes()
                .map(|b| if b < 0x20 || b == 0x7f { b' ' } else { b }),
        );
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(head: &str) -> Result<RequestHead, Error> {
        match request(head.as_bytes())? {
            Parsed::Complete { head: read, len } => {
                assert_eq!(len, head.len());
                Ok(read)
            }
            Parsed::Partial => panic!("partial: {head:?}"),
        }
    }

    #[test]
    fn reads_what_codex_sends_at_every_split() {
        let raw = b"\r\nPOST /v1/responses?a=b HTTP/1.1\r\nX-Meta: {\"a\":1}\r\nHost: h:1\r\nContent-Length: 12\r\n\r\n";
        for cut in 0..raw.len() {
            assert!(matches!(request(&raw[..cut]), Ok(Parsed::Partial)), "{cut}");
        }
        let Ok(Parsed::Complete { head, len }) = request(raw) else {
            panic!()
        };
        assert_eq!(len, raw.len());
        assert_eq!(
            (head.path.as_str(), head.query.as_deref()),
            ("/v1/responses", Some("a=b"))
        );
        assert_eq!(head.headers.get("x-meta"), Some("{\"a\":1}"));
        assert_eq!((head.body, head.keep_alive), (BodyKind::Length(12), true));
    }

    #[test]
    fn values_are_text_without_control_characters() {
        let with = |value: &[u8]| {
            [
                b"GET / HTTP/1.1\r\nhost: x\r\na:",
                value,
                b"\r\nb: c\r\n\r\n",
            ]
            .concat()
        };
        for byte in (0..=0x1f).chain([0x7f]) {
            let read = request(&with(&[b'1', byte, b'2']));
            assert_eq!(read.is_ok(), byte == b'\t', "{byte:#x}");
        }
        for cut in [&b"\xc3"[..], b"\xe2\x82", b"\xa4", b"\xf0\x9f\x98 "] {
            assert!(request(&with(cut)).is_err(), "{cut:?}");
        }
        let Ok(Parsed::Complete { head, .. }) =
            request(&with("\t \u{20ac}, \u{1f600}\t ".as_bytes()))
        else {
            panic!("text is refused");
        };
        assert_eq!(head.headers.get("a"), Some("\u{20ac}, \u{1f600}"));
        let all: Vec<_> = head.headers.iter().collect();
        assert_eq!(all[2], ("b", "c"));
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        let with = |fields: &str| format!("POST / HTTP/1.1\r\nhost: x\r\n{fields}\r\n\r\n");
        let cases = [
            with("content-length: 5\r\ntransfer-encoding: chunked"),
            with("content-length: 5\r\ncontent-length: 5"),
            with("content-length: 5, 5"),
            with("content-length: +5"),
            with("content-length: 5x"),
            with("content-length:"),
            with("content-length: 99999999999999999999"),
            with("transfer-encoding: gzip, chunked"),
            with("transfer-encoding: chunked\r\ntransfer-encoding: chunked"),
            with("transfer-encoding : chunked"),
            with("x: a\n b: c"),
            with("x: a\r\n folded"),
            with("x: a\u{1}b"),
            with("host: y"),
            with("expect: the-unexpected"),
            "POST / HTTP/1.1\nhost: x\n\n".into(),
            "POST / HTTP/1.1\r\n\r\n".into(),
            "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n".into(),
            "POST / HTTP/2.0\r\nhost: x\r\n\r\n".into(),
            "POST x HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            "POST  / HTTP/1.1\r\nhost: x\r\n\r\n".into(),
            "GARBAGE\r\n\r\n".into(),
        ];
        for head in cases {
            assert!(request(head.as_bytes()).is_err(), "{head:?}");
        }
        let many = "a: b\r\n".repeat(limits::HEADERS_MAX + 1);
        let error = request(with(many.trim_end()).as_bytes()).unwrap_err();
        assert_eq!(error.status(), 431);
        assert_eq!(
            request(&[b'a'; limits::HEAD_BYTES_MAX + 1])
                .unwrap_err()
                .status(),
            431
        );
    }

    #[test]
    fn keep_alive_and_expectations() {
        assert!(
            !read("GET / HTTP/1.1\r\nhost: x\r\nconnection: a, Close\r\n\r\n")
                .unwrap()
                .keep_alive
        );
        assert!(!read("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        assert!(
            read("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
                .unwrap()
                .keep_alive
        );
        let head = read("POST http://h/p?q HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\nexpect: 100-Continue\r\n\r\n").unwrap();
        assert!(head.expect_continue);
        assert_eq!(head.path, "/p");
    }

    #[test]
    fn responses() {
        let read = |head: &str| match response(head.as_bytes(), "POST") {
            Ok(Parsed::Complete { head, .. }) => Ok((head.status, head.body, head.keep_alive)),
            Ok(Parsed::Partial) => panic!("partial"),
            Err(e) => Err(e),
        };
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(read(chunked), Ok((200, BodyKind::Chunked, true)));
        assert_eq!(
            read("HTTP/1.1 100 C\r\n\r\n"),
            Ok((100, BodyKind::None, true))
        );
        assert_eq!(
            read("HTTP/1.1 200\r\n\r\n"),
            Ok((200, BodyKind::UntilClose, false))
        );
        assert_eq!(
            read("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n"),
            Ok((200, BodyKind::Length(3), false))
        );
        assert!(
            read("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n")
                .is_err()
        );
        assert!(read("HTTX\r\n\r\n").is_err());
    }

    #[test]
    fn a_written_head_holds_no_foreign_line_ends() {
        let mut out = Vec::new();
        write_response(&mut out, 200, &[("a", "b\r\nevil: 1")]);
        assert_eq!(out, b"HTTP/1.1 200 OK\r\na: b  evil: 1\r\n\r\n");
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = request(&bytes);
            let _ = response(&bytes, "GET");
        }
    }
}
