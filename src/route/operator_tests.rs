//! An operator's question on its way through an exchange.

use super::exchange::Input;
use super::exchange_tests::{Peer, snapshot};
use super::operator::Reply;
use crate::limits;

fn reply() -> Option<Reply> {
    Some(Reply {
        status: 200,
        content_type: "text/plain",
        fields: vec![("x-a", "b".to_owned())],
        body: b"page".to_vec(),
    })
}

fn asked(head: &str, body: &[u8]) -> Peer {
    Peer::with(
        snapshot(),
        &format!("{head}\r\nhost: localhost:1\r\n\r\n"),
        body,
    )
}

#[test]
fn the_answer_is_framed_like_any_other() {
    for (method, body) in [("GET", "page"), ("HEAD", "")] {
        let mut peer = asked(&format!("{method} /admin HTTP/1.1"), b"");
        assert_eq!(peer.done, None);
        peer.input(Input::Operated(reply()));
        let text = String::from_utf8_lossy(&peer.client).into_owned();
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        assert!(text.contains("content-length: 4\r\n") && text.contains("x-a: b\r\n"));
        assert!(text.ends_with(&format!("\r\n\r\n{body}")), "{text}");
        assert_eq!(peer.done, Some(true));
    }
}

#[test]
fn no_answer_is_an_error_and_the_connection_lives() {
    let mut late = asked("GET /admin HTTP/1.1", b"");
    late.now += limits::OPERATOR_WAIT;
    late.input(Input::Deadline);
    let mut none = asked("GET /admin HTTP/1.1", b"");
    none.input(Input::Operated(None));
    let mut drained = asked("GET /admin HTTP/1.1", b"");
    drained.input(Input::Drain);
    for (peer, keep_alive) in [(late, true), (none, true), (drained, false)] {
        assert_eq!(peer.answered().0, 503);
        assert_eq!(peer.done, Some(keep_alive));
    }
}

#[test]
fn what_is_wrong_is_told_before_anybody_is_asked() {
    let own = "origin: http://localhost:1\r\n";
    for (head, status) in [
        ("POST /admin HTTP/1.1".to_owned(), 405),
        ("DELETE /admin/sign-in HTTP/1.1".to_owned(), 405),
        (
            "POST /admin/sign-in HTTP/1.1\r\ncontent-length: 1".to_owned(),
            403,
        ),
        (
            format!("POST /admin/sign-in HTTP/1.1\r\n{own}content-length: 16385"),
            413,
        ),
    ] {
        assert_eq!(asked(&head, b"").answered().0, status, "{head}");
    }
    let head = format!("POST /admin/sign-in HTTP/1.1\r\n{own}transfer-encoding: chunked");
    let long = format!("4001\r\n{}\r\n0\r\n\r\n", "a".repeat(0x4001));
    let peer = asked(&head, long.as_bytes());
    assert_eq!((peer.answered().0, peer.done), (413, Some(false)));
}
