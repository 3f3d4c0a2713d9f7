//! The handshake (RFC 6455 section 4.2).

use crate::http::head::{BodyKind, RequestHead};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// What the client's key is hashed with.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The version of the protocol.
const VERSION: &str = "13";

/// Why a handshake is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is no handshake of this protocol; one phrase for the client.
    Malformed(&'static str),
    /// It asks for another version of the protocol.
    Version,
}

/// Whether the client wants to leave HTTP for this protocol.
pub fn is_asked_for(head: &RequestHead) -> bool {
    head.method == "GET" && lists(head, "upgrade", "websocket")
}

/// Judges a handshake; returns the value of `sec-websocket-accept`.
pub fn accept(head: &RequestHead) -> Result<String, Refusal> {
    let malformed = |what| Err(Refusal::Malformed(what));
    if !head.http11 {
        return malformed("it needs HTTP/1.1");
    }
    if !lists(head, "connection", "upgrade") {
        return malformed("Connection does not say upgrade");
    }
    if head.body != BodyKind::None && head.body != BodyKind::Length(0) {
        return malformed("it has a body");
    }
    let mut versions = head.headers.all("sec-websocket-version");
    if versions.next() != Some(VERSION) || versions.next().is_some() {
        return Err(Refusal::Version);
    }
    let mut keys = head.headers.all("sec-websocket-key");
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return malformed("exactly one Sec-WebSocket-Key is needed");
    };
    if BASE64.decode(key).map_or(0, |nonce| nonce.len()) != 16 {
        return malformed("Sec-WebSocket-Key is not 16 bytes in base64");
    }
    // The protocol's choice; nothing rests on its strength.
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    Ok(BASE64.encode(hash))
}

/// Whether a field that is a list of tokens has this one.
fn lists(head: &RequestHead, name: &str, token: &str) -> bool {
    head.headers
        .all(name)
        .flat_map(|value| value.split(','))
        .any(|t| t.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Parsed, request};

    const GOOD: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

    fn head(text: &str) -> RequestHead {
        match request(text.as_bytes()) {
            Ok(Parsed::Complete { head, .. }) => head,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_example_of_the_rfc() {
        let head = head(GOOD);
        assert!(is_asked_for(&head));
        assert_eq!(accept(&head).as_deref(), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for (from, to) in [
            ("keep-alive, Upgrade", "keep-alive"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            (
                "Sec-WebSocket-Key:",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key:",
            ),
            ("Version: 13", "Version: 13\r\nContent-Length: 3"),
            ("HTTP/1.1", "HTTP/1.0"),
        ] {
            let changed = GOOD.replacen(from, to, 1);
            let refused = accept(&head(&changed));
            assert!(
                matches!(refused, Err(Refusal::Malformed(_))),
                "{changed}: {refused:?}"
            );
        }
        for version in ["8", "13, 8", "13\r\nSec-WebSocket-Version: 8"] {
            let changed = GOOD.replace("Version: 13", &format!("Version: {version}"));
            assert_eq!(accept(&head(&changed)), Err(Refusal::Version), "{version}");
        }
        assert_eq!(
            accept(&head(&GOOD.replace("Sec-WebSocket-Version: 13\r\n", ""))),
            Err(Refusal::Version)
        );
        assert!(!is_asked_for(&head(&GOOD.replacen("GET", "PUT", 1))));
        assert!(!is_asked_for(&head(&GOOD.replace("WebSocket\r", "h2c\r"))));
    }
}
