//! The request head parser: its verdict does not change with the segmentation, what it accepts
//! httparse accepts with the same length, holds no ambiguous byte or framing, and reads the same
//! once it is written in canonical form.

use strait_fuzz::fuzz_target;
use strait::http::head::{BodyKind, Parsed, RequestHead, request};
use strait::limits::HEADERS_MAX;

fuzz_target!(|data: &[u8]| {
    let whole = request(data);
    let (refused, complete) = match &whole {
        Ok(Parsed::Complete { head, len }) => {
            accepted(head, *len, data);
            (false, Some(*len))
        }
        Ok(Parsed::Partial) => (false, None),
        Err(error) => {
            assert!([400, 431].contains(&error.status()), "{error}");
            (true, None)
        }
    };
    let step = data.len() / 512 + 1;
    let mut was_refused = false;
    for cut in (0..data.len()).step_by(step).chain(complete) {
        match request(&data[..cut]) {
            Ok(Parsed::Complete { len, .. }) => {
                assert!(!was_refused, "accepted after all at {cut}");
                assert_eq!(Some(len), complete, "complete at {cut}");
                assert!(len <= cut);
            }
            Ok(Parsed::Partial) => {
                assert!(!was_refused, "partial after a refusal at {cut}");
                assert!(complete.is_none_or(|len| cut < len), "partial at {cut}");
            }
            Err(_) => {
                assert!(refused, "refused at {cut}, but not as a whole");
                was_refused = true;
            }
        }
    }
});

fn accepted(head: &RequestHead, len: usize, data: &[u8]) {
    let raw = &data[..len];
    let raw = raw.strip_prefix(b"\r\n").unwrap_or(raw);
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut theirs = httparse::Request::new(&mut fields);
    assert_eq!(theirs.parse(data), Ok(httparse::Status::Complete(len)));
    assert_eq!(theirs.method, Some(head.method.as_str()));
    assert_eq!(theirs.version == Some(1), head.http11);
    assert_eq!(theirs.headers.len(), head.headers.iter().count());

    // What other parsers might read differently.
    let lines: Vec<&[u8]> = raw
        .strip_suffix(b"\r\n\r\n")
        .expect("a blank line")
        .split(|b| *b == b'\n')
        .collect();
    let named = |name: &[u8]| {
        let is = |l: &&&[u8]| {
            let colon = l.iter().position(|b| *b == b':');
            colon.is_some_and(|at| l[..at].trim_ascii().eq_ignore_ascii_case(name))
        };
        lines[1..].iter().filter(is).count()
    };
    for (n, line) in lines.iter().enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.contains(&b'\r') && !line.contains(&0), "line {n}");
        assert!(
            !line.starts_with(b" ") && !line.starts_with(b"\t"),
            "line {n} is folded"
        );
    }
    let (lengths, codings) = (named(b"content-length"), named(b"transfer-encoding"));
    match head.body {
        BodyKind::None => assert_eq!((lengths, codings), (0, 0)),
        BodyKind::Length(_) => assert_eq!((lengths, codings), (1, 0)),
        BodyKind::Chunked => assert_eq!((lengths, codings, head.http11), (0, 1, true)),
        BodyKind::UntilClose => panic!("a request until close"),
    }
    assert!(named(b"host") <= 1 && (named(b"host") == 1 || !head.http11));

    let query = head
        .query
        .as_ref()
        .map_or(String::new(), |q| format!("?{q}"));
    let version = u8::from(head.http11);
    let mut text = format!("{} {}{query} HTTP/1.{version}\r\n", head.method, head.path);
    for (name, value) in head.headers.iter() {
        assert!(!name.bytes().any(|b| b.is_ascii_uppercase()));
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    match request(text.as_bytes()) {
        Ok(Parsed::Complete { head: again, len }) => {
            assert_eq!(len, text.len());
            assert_eq!((&again.path, &again.query), (&head.path, &head.query));
            assert_eq!((&again.method, again.http11), (&head.method, head.http11));
            assert_eq!((again.body, again.keep_alive), (head.body, head.keep_alive));
            assert_eq!(again.headers, head.headers);
            assert_eq!(again.expect_continue, head.expect_continue);
        }
        other => panic!("{text:?} reads as {other:?}"),
    }
}
