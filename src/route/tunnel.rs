//! What is said to a proxy until the connection leads on to the provider, pure: bytes in, bytes
//! out. An error is a phrase about the proxy, without its credentials.

use crate::config::{Protocol, Proxy};
use crate::http::head::{self, Parsed};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::IpAddr;

/// What follows from what a proxy said.
#[derive(Debug, Eq, PartialEq)]
pub enum Step {
    /// The connection leads to the provider.
    Open,
    /// Send this, which may be nothing, and read on.
    Send(Vec<u8>),
}

/// What a proxy is expected to say next.
#[derive(Clone, Copy, Debug)]
enum Awaiting {
    /// Whether it believes who we are (RFC 1929, section 2).
    Belief,
    /// Whether it has connected (RFC 1928, section 6).
    Connection,
    /// The answer to CONNECT (RFC 9110, section 9.3.6).
    Head,
    /// Which of our ways to say who we are it takes (RFC 1928, section 3).
    Method,
}

/// A whole answer: what is said to it, and awaited then; `None`: the connection is there.
type Next = Option<(Awaiting, Vec<u8>)>;

/// A connection that is led through a proxy.
pub struct Tunnel<'a> {
    proxy: &'a Proxy,
    host: &'a str,
    port: u16,
    awaiting: Awaiting,
    received: Vec<u8>,
}

impl<'a> Tunnel<'a> {
    /// A tunnel to `host`, a name or an address, and the words that it begins with.
    pub fn new(proxy: &'a Proxy, host: &'a str, port: u16) -> (Self, Vec<u8>) {
        let (awaiting, words) = match (proxy.protocol, &proxy.credentials) {
            (Protocol::Http, _) => (Awaiting::Head, connect(proxy, host, port)),
            (_, None) => (Awaiting::Method, vec![5, 1, 0]),
            (_, Some(_)) => (Awaiting::Method, vec![5, 2, 0, 2]),
        };
        let tunnel = Tunnel {
            proxy,
            host,
            port,
            awaiting,
            received: Vec::new(),
        };
        (tunnel, words)
    }

    /// Takes what the proxy said.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Step, String> {
        self.received.extend_from_slice(bytes);
        let mut words = Vec::new();
        while let Some((length, next)) = self.answer()? {
            self.received.drain(..length);
            match next {
                Some((awaiting, more)) => {
                    self.awaiting = awaiting;
                    words.extend(more);
                }
                None if self.received.is_empty() => return Ok(Step::Open),
                None => return Err("it said more than it was asked".to_owned()),
            }
        }
        Ok(Step::Send(words))
    }

    /// The first whole answer among what was received, and its length.
    fn answer(&self) -> Result<Option<(usize, Next)>, String> {
        if let Awaiting::Head = self.awaiting {
            return self.head();
        }
        let [version, said, rest @ ..] = self.received.as_slice() else {
            return Ok(None);
        };
        Ok(match (self.awaiting, said) {
            (Awaiting::Belief, 0) => Some((2, self.request())),
            (Awaiting::Belief, _) => return Err(UNBELIEVED.to_owned()),
            _ if *version != 5 => return Err("it does not speak SOCKS 5".to_owned()),
            (Awaiting::Method, 0) => Some((2, self.request())),
            (Awaiting::Method, 2) => Some((2, self.credentials()?)),
            (Awaiting::Method, _) => return Err(self.unknown().to_owned()),
            (_, 0) => {
                let address = match rest {
                    [_, 1, ..] => Some(4),
                    [_, 4, ..] => Some(16),
                    [_, 3, length, ..] => Some(1 + usize::from(*length)),
                    [_, 0 | 2 | 5.., ..] => return Err("it answers garbage".to_owned()),
                    _ => None,
                };
                let length = address.map(|length| 4 + length + 2);
                let whole = length.filter(|length| *length <= self.received.len());
                whole.map(|length| (length, None))
            }
            (_, code) => return Err(refusal(*code)),
        })
    }

    fn head(&self) -> Result<Option<(usize, Next)>, String> {
        let parsed = head::response(&self.received, "CONNECT").map_err(|e| e.message)?;
        let Parsed::Complete { head, len } = parsed else {
            return Ok(None);
        };
        match head.status {
            100..200 => Ok(Some((len, Some((Awaiting::Head, Vec::new()))))),
            // Whatever the head says of a body: there is none.
            200..300 => Ok(Some((len, None))),
            407 => Err(self.unknown().to_owned()),
            status => Err(format!("it answers CONNECT with status {status}")),
        }
    }

    /// Why a proxy that wants to know who we are does not.
    fn unknown(&self) -> &'static str {
        match self.proxy.credentials {
            Some(_) => UNBELIEVED,
            None => "it wants a user and a password, and its URL holds none",
        }
    }

    fn credentials(&self) -> Result<Next, String> {
        let credentials = self.proxy.credentials.as_ref();
        let (user, password) = credentials.ok_or_else(|| self.unknown())?;
        let mut words = vec![1];
        for part in [user.expose(), password.expose()] {
            // The configuration lets nothing longer in.
            words.push(u8::try_from(part.len()).map_err(|_| UNBELIEVED)?);
            words.extend_from_slice(part.as_bytes());
        }
        Ok(Some((Awaiting::Belief, words)))
    }

    fn request(&self) -> Next {
        let mut words = vec![5, 1, 0];
        match self.host.parse() {
            Ok(IpAddr::V4(address)) => {
                words.push(1);
                words.extend(address.octets());
            }
            Ok(IpAddr::V6(address)) => {
                words.push(4);
                words.extend(address.octets());
            }
            Err(_) => {
                // No name is longer (RFC 1035, section 2.3.4).
                let name = &self.host.as_bytes()[..self.host.len().min(255)];
                words.extend([3, name.len() as u8]);
                words.extend_from_slice(name);
            }
        }
        words.extend(self.port.to_be_bytes());
        Some((Awaiting::Connection, words))
    }
}

const UNBELIEVED: &str = "it refuses the user and the password in its URL";

fn connect(proxy: &Proxy, host: &str, port: u16) -> Vec<u8> {
    let authority = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let mut words = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n");
    if let Some((user, password)) = &proxy.credentials {
        let pair = format!("{}:{}", user.expose(), password.expose());
        words.push_str("proxy-authorization: Basic ");
        STANDARD.encode_string(pair, &mut words);
        words.push_str("\r\n");
    }
    words.push_str("\r\n");
    words.into_bytes()
}

/// A reply of RFC 1928, section 6, in words.
fn refusal(code: u8) -> String {
    let why = match code {
        1 => "it failed",
        2 => "its rules do not allow this provider",
        3 | 4 => "it cannot reach the provider",
        5 => "the provider refuses its connection",
        6 => "the provider did not answer it in time",
        _ => return format!("it refuses with code {code}"),
    };
    why.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::secret::Secret;

    fn proxy(protocol: Protocol, credentials: Option<(&str, &str)>) -> Proxy {
        Proxy {
            protocol,
            host: "proxy.test".to_owned(),
            port: 3128,
            credentials: credentials.map(|(u, p)| (Secret::new(u), Secret::new(p))),
            named_by: "HTTPS_PROXY".to_owned(),
        }
    }

    /// All that is said when the proxy's `answers` come byte by byte.
    fn talk(proxy: &Proxy, host: &str, answers: &[u8]) -> (Vec<u8>, Result<Step, String>) {
        let (mut tunnel, mut said) = Tunnel::new(proxy, host, 443);
        let mut last = Ok(Step::Send(Vec::new()));
        for (i, byte) in answers.iter().enumerate() {
            last = tunnel.receive(&[*byte]);
            match &last {
                Ok(Step::Send(words)) => said.extend(words),
                Ok(Step::Open) => assert_eq!(i + 1, answers.len()),
                Err(_) => break,
            }
        }
        (said, last)
    }

    #[test]
    fn connect_is_asked_for_and_any_2xx_opens() {
        let open = proxy(Protocol::Http, None);
        let answer = b"HTTP/1.1 103 X\r\n\r\nHTTP/1.0 200 Connection established\r\nx: y\r\n\r\n";
        let (said, last) = talk(&open, "api.test", answer);
        let request = "CONNECT api.test:443 HTTP/1.1\r\nhost: api.test:443\r\n\r\n";
        assert_eq!(said, request.as_bytes());
        assert_eq!(last, Ok(Step::Open));
        let keyed = proxy(Protocol::Http, Some(("Aladdin", "open sesame")));
        let (said, last) = talk(
            &keyed,
            "::1",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        );
        // The example of RFC 7617, section 2.
        let request = "CONNECT [::1]:443 HTTP/1.1\r\nhost: [::1]:443\r\nproxy-authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n";
        assert_eq!(said, request.as_bytes());
        assert_eq!(last, Ok(Step::Open));
        let (mut tunnel, _) = Tunnel::new(&open, "api.test", 443);
        assert!(tunnel.receive(b"HTTP/1.1 200 OK\r\n\r\nhello").is_err());
    }

    #[test]
    fn socks_is_spoken_with_names_and_addresses() {
        let open = proxy(Protocol::Socks5h, None);
        let reply = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let (said, last) = talk(&open, "api.test", &reply);
        assert_eq!(said, b"\x05\x01\0\x05\x01\0\x03\x08api.test\x01\xbb");
        assert_eq!(last, Ok(Step::Open));
        let keyed = proxy(Protocol::Socks5, Some(("me", "pw")));
        let reply = [&[5, 2, 1, 0, 5, 0, 0, 3, 2][..], b"ab", &[0, 0]].concat();
        let (said, last) = talk(&keyed, "10.0.0.1", &reply);
        assert_eq!(
            said,
            b"\x05\x02\0\x02\x01\x02me\x02pw\x05\x01\0\x01\x0a\0\0\x01\x01\xbb"
        );
        assert_eq!(last, Ok(Step::Open));
        let reply = [&[5, 0, 5, 0, 0, 4][..], &[0; 18]].concat();
        let (said, last) = talk(&open, "fd00::1", &reply);
        assert_eq!(said.len(), 3 + 4 + 16 + 2);
        assert_eq!(last, Ok(Step::Open));
    }

    #[test]
    fn refusals_are_told_without_the_credentials() {
        let (http, socks) = (Protocol::Http, Protocol::Socks5h);
        for (protocol, credentials, answer, expected) in [
            (
                http,
                false,
                &b"HTTP/1.1 407 X\r\ncontent-length: 9\r\n\r\n"[..],
                "it wants a user",
            ),
            (http, true, b"HTTP/1.1 407 X\r\n\r\n", "it refuses the user"),
            (http, true, b"HTTP/1.1 403 X\r\n\r\n", "with status 403"),
            (http, true, b"SSH-2.0\r\n\r\n", ""),
            (socks, false, b"\x05\xff", "it wants a user"),
            (socks, false, b"\x05\x02", "it wants a user"),
            (socks, true, b"\x05\x02\x01\x01", "it refuses the user"),
            (socks, true, b"HTTP/1.1 400", "it does not speak SOCKS 5"),
            (socks, true, b"\x05\0\x05\x02", "its rules do not allow"),
            (socks, true, b"\x05\0\x05\x05", "refuses its connection"),
            (socks, true, b"\x05\0\x05\x63", "code 99"),
            (socks, true, b"\x05\0\x05\0\0\x09", "garbage"),
        ] {
            let proxy = proxy(protocol, credentials.then_some(("me", "s3cret")));
            let why = talk(&proxy, "api.test", answer).1.unwrap_err();
            assert!(why.contains(expected) && !why.contains("s3cret"), "{why}");
        }
    }
}
