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
fn another_protocol_is_refused_by_its_first_byte() {
    for hello in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"\0",
        b" GET / HTTP/1.1",
        b"\xff",
    ] {
        assert!(request(hello).is_err(), "{hello:?}");
        assert!(request(&hello[..1]).is_err(), "{hello:?}");
    }
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
    let Ok(Parsed::Complete { head, .. }) = request(&with("\t \u{20ac}, \u{1f600}\t ".as_bytes()))
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
        read("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n").is_err()
    );
    assert!(read("HTTX\r\n\r\n").is_err());
}

#[test]
fn a_written_head_holds_no_foreign_line_ends() {
    let mut out = Vec::new();
    write_response(&mut out, 200, &[("a", "b\r\nevil: 1")]);
    assert_eq!(out, b"HTTP/1.1 200 OK\r\na: b  evil: 1\r\n\r\n");
}

/// What httparse makes of a whole head: its start line, and its fields as we write them.
type Read = (String, Vec<(String, String)>);

/// The same from what httparse returned, where it is one that we would let pass: every LF behind a
/// CR, values of text.
fn theirs(raw: &[u8], start: String, fields: &[httparse::Header<'_>]) -> Option<Read> {
    let bare = |w: &[u8]| w[1] == b'\n' && w[0] != b'\r';
    if raw.windows(2).any(bare) {
        return None;
    }
    let field = |f: &httparse::Header<'_>| {
        let value = std::str::from_utf8(f.value).ok()?;
        let value = value.trim_matches([' ', '\t']);
        Some((f.name.to_ascii_lowercase(), value.to_owned()))
    };
    Some((start, fields.iter().map(field).collect::<Option<_>>()?))
}

fn ours(start: String, headers: &Headers) -> Read {
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    (start, headers.iter().map(own).collect())
}

/// A line that may be a field.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let name = "[a-zA-Z0-9_-]{0,20}([!#.~(@ \t]|[A-Z]{0,3})";
    let value = "[ \t]{0,2}[ -~\t\u{e9}\u{20ac}]{0,40}[ \t]{0,2}";
    let odd = prop::collection::vec(any::<u8>(), 0..2);
    (
        name,
        "(:|:|:|)",
        value,
        prop_oneof![3 => Just(vec![]), 1 => odd],
    )
        .prop_map(|(name, colon, value, odd)| {
            [name.as_bytes(), colon.as_bytes(), value.as_bytes(), &odd].concat()
        })
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = request(&bytes);
        let _ = response(&bytes, "GET");
    }

    #[test]
    fn requests_are_read_as_httparse_reads_them(
        start in "(GET|POST|get|P.ST|) {1,2}(/|/p\\?q|/\u{e9}|/\t|/a b|) {1,2}HTTP/1\\.[0-2] {0,1}",
        lines in prop::collection::vec(line(), 0..6),
    ) {
        let fields: Vec<u8> = lines.iter().flat_map(|line| [line, &b"\r\n"[..]].concat()).collect();
        let head = [start.as_bytes(), b"\r\nhost: h\r\n", &fields, b"\r\n"].concat();
        let mut room = [httparse::EMPTY_HEADER; limits::HEADERS_MAX];
        let mut raw = httparse::Request::new(&mut room);
        let whole = raw.parse(&head) == Ok(httparse::Status::Complete(head.len()));
        let expected = whole.then(|| {
            let start = format!("{} {} {}", raw.method?, raw.path?, raw.version? == 1);
            theirs(&head, start, raw.headers)
        });
        let read = match request(&head) {
            Ok(Parsed::Complete { head: read, len }) if len == head.len() => {
                let query = read.query.map_or(String::new(), |q| format!("?{q}"));
                let start = format!("{} {}{query} {}", read.method, read.path, read.http11);
                Some(ours(start, &read.headers))
            }
            _ => None,
        };
        prop_assert_eq!(read, expected.flatten(), "{:?}", String::from_utf8_lossy(&head));
    }

    #[test]
    fn responses_are_read_as_httparse_reads_them(
        start in "(HTTP/1\\.[0-2]|HTTP) {1,2}[0-9]{2,4}[a ]?[ -~\t\u{e9}]{0,9}",
        odd in prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(any::<u8>(), 0..2)],
        lines in prop::collection::vec(line(), 0..6),
    ) {
        let fields: Vec<u8> = lines.iter().flat_map(|line| [line, &b"\r\n"[..]].concat()).collect();
        let head = [start.as_bytes(), &odd, b"\r\n", &fields, b"\r\n"].concat();
        let mut room = [httparse::EMPTY_HEADER; limits::HEADERS_MAX];
        let mut raw = httparse::Response::new(&mut room);
        let whole = raw.parse(&head) == Ok(httparse::Status::Complete(head.len()));
        let expected = whole.then(|| theirs(&head, raw.code?.to_string(), raw.headers));
        let read = match response(&head, "POST") {
            Ok(Parsed::Complete { head: read, len }) if len == head.len() => {
                Some(ours(read.status.to_string(), &read.headers))
            }
            _ => None,
        };
        prop_assert_eq!(read, expected.flatten(), "{:?}", String::from_utf8_lossy(&head));
    }
}
