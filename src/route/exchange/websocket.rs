//! What an exchange has to do with a WebSocket: the handshake is one, and so is each request that
//! comes over it.

use super::{Exchange, seed_of};
use crate::config::Snapshot;
use crate::error::{Error, Kind, Source};
use crate::http::head::{RequestHead, write_response};
use crate::http::websocket::{self, Refusal};
use crate::json::Value;
use crate::route::answer::{Framing, Transport};
use crate::route::conversation::{Conversation, Create};
use crate::route::endpoint::Endpoint;
use crate::route::prepare;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// The WebSocket transport is switched off. Codex falls back to HTTP at once on a 426, and after
/// seven tries on anything else.
pub(super) fn not_served() -> Error {
    let message = "The WebSocket transport is not served here; use HTTP.";
    Error::new(Source::Gateway, Kind::UpgradeRequired, message)
}

impl Exchange {
    /// A request that came as a message, whole. Its answer is frames.
    pub(in crate::route) fn over_websocket(
        snapshot: Arc<Snapshot>,
        head: RequestHead,
        create: Result<Create, Error>,
        entropy: [u8; 32],
        unix_s: u64,
        now: Instant,
    ) -> Exchange {
        let framing = Framing {
            transport: Transport::WebSocket,
            keep_alive: true,
            head_only: false,
        };
        let mut exchange = Self::fresh(snapshot, head, framing, entropy, unix_s, now);
        exchange.endpoint = Endpoint::Responses;
        let begun = exchange.authorize().and(create).and_then(|create| {
            if !create.generate {
                exchange.endpoint = Endpoint::WarmUp;
            }
            exchange.route(create.body)
        });
        if let Err(error) = begun {
            exchange.answer_error(&error);
        }
        exchange
    }

    /// The connection behind a handshake that was accepted.
    pub fn into_conversation(self) -> Option<Box<Conversation>> {
        let changed = self.endpoint == Endpoint::WebSocket && self.log.status == 101;
        (changed && !self.client_gone).then(|| {
            Box::new(Conversation::new(
                self.snapshot,
                &self.head,
                self.entropy,
                self.unix_s,
                self.last,
            ))
        })
    }

    /// The id of the response that the client got to its end, and its items, comma separated.
    pub(in crate::route) fn response(&self) -> Option<(Cow<'_, [u8]>, &[u8])> {
        if self.endpoint == Endpoint::WarmUp && self.log.status == 200 {
            let id = prepare::response_id(&seed_of(self.entropy, 0));
            return Some((Cow::Owned(id.into_bytes()), b""));
        }
        let (id, items) = self.attempt.as_ref()?.response()?;
        Some((Cow::Borrowed(id), items))
    }

    /// Accepts the handshake.
    pub(super) fn change_protocol(&mut self) -> Result<(), Error> {
        judge_origin(&self.head, self.snapshot.keys.is_empty())?;
        let accept = websocket::accept(&self.head).map_err(|refusal| match refusal {
            Refusal::Malformed(what) => {
                Error::bad_request(format!("The WebSocket handshake is malformed: {what}."))
            }
            Refusal::Version => Error::new(
                Source::Downstream,
                Kind::UpgradeRequired,
                "Only version 13 of the WebSocket protocol is spoken here.",
            ),
        })?;
        let fields = [
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-accept", &accept),
        ];
        write_response(&mut self.out, 101, &fields);
        self.log.status = 101;
        self.log.outcome = "websocket";
        self.over();
        Ok(())
    }

    /// Answers a request that only prepares for the next one: no provider is asked.
    pub(super) fn warm_up(&mut self, request: Value<'_>) {
        let seed = seed_of(self.entropy, 0);
        let mut translator = prepare::warm_up(request, &self.head, seed, self.unix_s);
        translator.say_nothing(&mut self.out);
        self.log.status = 200;
        self.log.outcome = "warmed_up";
        self.over();
    }
}

/// Browsers send `Origin`, and let any page open a WebSocket to any address: only a page that
/// came from here may. An open Strait also wants the page to name it by a loopback address, since
/// anybody can point a name of their own there.
fn judge_origin(head: &RequestHead, open: bool) -> Result<(), Error> {
    let host = head.headers.get("host").unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        // The colons of an address in brackets are its own.
        if port.ends_with(']') { host } else { name }
    });
    let loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&name);
    let own = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some_and(|a| a.eq_ignore_ascii_case(host)) && (loopback || !open)
    };
    if head.headers.all("origin").all(own) {
        return Ok(());
    }
    let message = "Pages from elsewhere may not open a WebSocket here.";
    Err(Error::new(Source::Downstream, Kind::ForeignOrigin, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{Parsed, request};

    #[test]
    fn only_pages_from_here_may_open_a_websocket() {
        let judge = |host: &str, origin: &str, open: bool| {
            let text = format!("GET / HTTP/1.1\r\nhost: {host}\r\n{origin}\r\n");
            match request(text.as_bytes()) {
                Ok(Parsed::Complete { head, .. }) => judge_origin(&head, open).is_ok(),
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
