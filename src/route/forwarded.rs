//! Who is behind a proxy, as the proxy says it: `x-forwarded-for`, or `forwarded` (RFC 7239) where
//! that is not there. Each proxy on the way adds at the right whom it was asked by; what is at the
//! left of what a trusted one has added, anybody may have written. So the first from the right that
//! is not trusted itself counts.

use crate::config::TrustedProxies;
use crate::http::head::Headers;
use crate::ledger::peer::Peer;
use std::net::{IpAddr, SocketAddr};

/// Where a request with these fields comes from, whose connection is `peer`'s.
pub(super) fn client(peer: Peer, headers: &Headers, trusted: &TrustedProxies) -> Peer {
    if !trusted.has(peer) {
        return peer;
    }
    if headers.get("x-forwarded-for").is_some() {
        let fields = headers.all("x-forwarded-for");
        return behind(peer, fields.flat_map(|field| field.split(',')), trusted);
    }
    let elements = headers.all("forwarded").flat_map(|field| field.split(','));
    behind(peer, elements.map(of_element), trusted)
}

/// The one that counts of a list.
fn behind<'a>(peer: Peer, list: impl Iterator<Item = &'a str>, trusted: &TrustedProxies) -> Peer {
    let mut found = None;
    for text in list {
        match address(text) {
            // Whoever added it does not say, so what it was told is not known to be so.
            None => found = None,
            Some(client) if !trusted.has(client) => found = Some(client),
            // Only trusted ones so far: the first of them has asked.
            Some(proxy) => found = found.or(Some(proxy)),
        }
    }
    found.unwrap_or(peer)
}

/// What an element of `forwarded` says of who asked; empty if it does not.
fn of_element(element: &str) -> &str {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    named.next().map_or("", |(_, value)| value)
}

/// An address, perhaps in quotes, in brackets, with a port.
fn address(text: &str) -> Option<Peer> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let alone = bare.unwrap_or(text).parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    alone.or_else(with_port).map(Peer::of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Parsed, request};

    fn seen(peer: &str, trusted: &str, fields: &str) -> String {
        let text = format!("trusted_proxies = [{trusted}]");
        let snapshot = crate::config::parse("f", &text, &|_| None).unwrap();
        let text = format!("GET / HTTP/1.1\r\nhost: x\r\n{fields}\r\n");
        let Ok(Parsed::Complete { head, .. }) = request(text.as_bytes()) else {
            panic!("{text}")
        };
        let peer = match peer {
            "unix" => Peer::Unix,
            address => Peer::of(address.parse().unwrap()),
        };
        client(peer, &head.headers, &snapshot.trusted_proxies).to_string()
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        let fields = "x-forwarded-for: 1.2.3.4\r\nforwarded: for=1.2.3.4\r\n";
        for (peer, trusted) in [
            ("10.0.0.1", ""),
            ("10.0.0.1", "\"10.0.0.2\", \"unix\""),
            ("unix", "\"10.0.0.0/8\""),
        ] {
            assert_eq!(seen(peer, trusted, fields), peer);
        }
    }

    #[test]
    fn the_first_from_the_right_counts_that_is_not_trusted() {
        let trusted = "\"10.0.0.0/8\", \"fd00::/8\", \"unix\"";
        for (fields, expected) in [
            ("", "10.0.0.1"),
            ("x-forwarded-for: 192.0.2.7\r\n", "192.0.2.7"),
            // The left one is what the client says of itself.
            (
                "x-forwarded-for: 1.1.1.1, 192.0.2.7, 10.9.9.9\r\n",
                "192.0.2.7",
            ),
            (
                "x-forwarded-for: 1.1.1.1\r\nx-forwarded-for:192.0.2.7,10.9.9.9\r\n",
                "192.0.2.7",
            ),
            // Who asks is trusted, too.
            ("x-forwarded-for: 10.5.5.5, 10.9.9.9\r\n", "10.5.5.5"),
            // What nobody can read is where it ends.
            ("x-forwarded-for: 192.0.2.7, unknown\r\n", "10.0.0.1"),
            ("x-forwarded-for: 192.0.2.7, , 10.9.9.9\r\n", "10.9.9.9"),
            ("x-forwarded-for: \r\n", "10.0.0.1"),
            // Forms that are about.
            ("x-forwarded-for: 192.0.2.7:4711\r\n", "192.0.2.7"),
            ("x-forwarded-for: 2001:db8::7\r\n", "2001:db8::7"),
            ("x-forwarded-for: [2001:db8::7]:80\r\n", "2001:db8::7"),
            ("x-forwarded-for: ::ffff:192.0.2.7\r\n", "192.0.2.7"),
            ("forwarded: for=192.0.2.7;proto=https\r\n", "192.0.2.7"),
            (
                "forwarded: for=1.1.1.1, proto=https;For=\"[2001:db8::7]:4711\";by=x\r\n",
                "2001:db8::7",
            ),
            ("forwarded: for=192.0.2.7, for=_hidden\r\n", "10.0.0.1"),
            ("forwarded: for=192.0.2.7, proto=https\r\n", "10.0.0.1"),
            // Mostly only one of the two is the proxy's own.
            (
                "forwarded: for=1.1.1.1\r\nx-forwarded-for: 192.0.2.7\r\n",
                "192.0.2.7",
            ),
        ] {
            assert_eq!(seen("10.0.0.1", trusted, fields), expected, "{fields}");
        }
        let fields = "x-forwarded-for: 192.0.2.7\r\n";
        assert_eq!(seen("unix", trusted, fields), "192.0.2.7");
    }
}
