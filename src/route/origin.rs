//! Which web pages may use Strait. Browsers name the page in `Origin` (RFC 6454), other programs
//! name none. With client keys the key decides; without, any page could use a Strait that runs on
//! its reader's machine: by a plain form, or by having its own name resolved to a loopback address
//! (DNS rebinding).

use crate::error::{Error, Kind, Source};
use crate::http::head::RequestHead;
use std::net::IpAddr;

/// Admits a request: without client keys (`open`) only pages of this machine may send one.
pub(super) fn admit(head: &RequestHead, open: bool) -> Result<(), Error> {
    if !open || head.headers.all("origin").all(is_of_this_machine) {
        return Ok(());
    }
    Err(foreign(
        "A web page can use this server only with one of its client keys.",
    ))
}

/// Admits a WebSocket handshake: browsers let any page open one to any address, so only a page
/// that came from here may. An open Strait also wants the page to name it by a loopback address,
/// since anybody can point a name of their own there.
pub(super) fn admit_websocket(head: &RequestHead, open: bool) -> Result<(), Error> {
    let host = head.headers.get("host").unwrap_or_default();
    let allowed = is_loopback(name_of(host)) || !open;
    let own = |origin: &str| is_own(origin, host) && allowed;
    if head.headers.all("origin").all(own) {
        return Ok(());
    }
    Err(foreign(
        "Pages from elsewhere may not open a WebSocket here.",
    ))
}

/// Admits what may come from a browser to the operator's pages: from one of them, or by the
/// operator's own doing (an address typed, a link followed). What a browser posts names its page.
pub(super) fn admit_own(head: &RequestHead) -> Result<(), Error> {
    let field = |name| head.headers.get(name);
    let reads = matches!(head.method.as_str(), "GET" | "HEAD");
    let followed = reads
        && field("sec-fetch-mode") == Some("navigate")
        && field("sec-fetch-dest") == Some("document");
    let near = match field("sec-fetch-site") {
        None | Some("same-origin") => true,
        Some("none") => reads,
        Some(_) => followed,
    };
    let host = field("host").unwrap_or_default();
    let mut origins = head.headers.all("origin");
    let named = reads || field("origin").is_some();
    if near && named && origins.all(|origin| is_own(origin, host)) {
        return Ok(());
    }
    Err(foreign(
        "Pages from elsewhere can do nothing here. Programs present an admin key as a bearer token.",
    ))
}

/// Whether an origin is the host itself.
fn is_own(origin: &str, host: &str) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some_and(|a| a.eq_ignore_ascii_case(host))
}

/// A host without its port; an address of version 6 in brackets.
pub(super) fn name_of(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(name, port)| {
        // The colons of an address in brackets are its own.
        if port.ends_with(']') { host } else { name }
    })
}

/// Whether a host's name can only mean this machine.
pub(super) fn is_loopback(name: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].contains(&name)
}

fn foreign(message: &str) -> Error {
    Error::new(Source::Downstream, Kind::ForeignOrigin, message)
}

/// Whether an origin (RFC 6454, section 6.1) lies on this machine.
fn is_of_this_machine(origin: &str) -> bool {
    let authority = origin.split_once("://").map_or("", |(_, rest)| rest);
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|a| a.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Parsed, request};

    #[test]
    fn origins_of_this_machine() {
        for here in [
            "http://localhost:3000",
            "http://127.0.0.1",
            "https://[::1]:8787",
        ] {
            assert!(is_of_this_machine(here), "{here}");
        }
        for there in [
            "null",
            "",
            "http://localhost.evil.test",
            "http://10.0.0.1:8787",
            "file://",
        ] {
            assert!(!is_of_this_machine(there), "{there}");
        }
    }

    #[test]
    fn only_pages_from_here_may_open_a_websocket() {
        let judge = |host: &str, origin: &str, open: bool| {
            let text = format!("GET / HTTP/1.1\r\nhost: {host}\r\n{origin}\r\n");
            match request(text.as_bytes()) {
                Ok(Parsed::Complete { head, .. }) => admit_websocket(&head, open).is_ok(),
                other => panic!("{other:?}"),
            }
        };
        for (host, origin, keyed, open) in [
            ("127.0.0.1:8787", "", true, true),
            ("evil.example:8787", "", true, true),
            (
                "127.0.0.1:8787",
                "origin: http://127.0.0.1:8787\r\n",
                true,
                true,
            ),
            (
                "localhost:8787",
                "origin: http://LOCALHOST:8787\r\n",
                true,
                true,
            ),
            ("[::1]:8787", "origin: http://[::1]:8787\r\n", true, true),
            ("[::1]", "origin: http://[::1]\r\n", true, true),
            (
                "127.0.0.1:8787",
                "origin: https://evil.example\r\n",
                false,
                false,
            ),
            (
                "127.0.0.1:8787",
                "origin: http://127.0.0.1:9999\r\n",
                false,
                false,
            ),
            ("127.0.0.1:8787", "origin: null\r\n", false, false),
            (
                "evil.example:8787",
                "origin: http://evil.example:8787\r\n",
                true,
                false,
            ),
            (
                "127.0.0.1:1",
                "origin: http://127.0.0.1:1\r\norigin: http://evil.example\r\n",
                false,
                false,
            ),
        ] {
            assert_eq!(judge(host, origin, false), keyed, "{host} {origin}");
            assert_eq!(judge(host, origin, true), open, "{host} {origin}");
        }
    }
}
