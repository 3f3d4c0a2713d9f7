//! What an exchange has to do with a WebSocket: the handshake is one, and so is each request that
//! comes over it.

use super::{Exchange, RequestId, seed_of};
use crate::config::Snapshot;
use crate::error::{Error, Kind, Source};
use crate::http::head::{RequestHead, write_response};
use crate::http::websocket::{self, Refusal};
use crate::json::Value;
use crate::ledger::peer::Peer;
use crate::route::answer::{Framing, Transport};
use crate::route::conversation::{Conversation, Create};
use crate::route::endpoint::Endpoint;
use crate::route::origin;
use crate::route::{prepare, request_id};
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
    /// A request of `client`'s that came as a message, whole. Its answer is frames.
    pub(in crate::route) fn over_websocket(
        snapshot: Arc<Snapshot>,
        head: RequestHead,
        client: Peer,
        create: Result<Create, Error>,
        entropy: [u8; 32],
        unix_s: u64,
        now: Instant,
    ) -> Exchange {
        let framing = Framing {
            transport: Transport::WebSocket,
            keep_alive: true,
            head_only: false,
            id: RequestId::of(&entropy),
        };
        let mut exchange = Self::fresh(snapshot, head, framing, entropy, unix_s, now);
        exchange.endpoint = Endpoint::Responses;
        exchange.record.client = client;
        let begun = exchange.authorize().and(create).and_then(|create| {
            if !create.generate {
                exchange.endpoint = Endpoint::WarmUp;
            }
            if create.previous.is_some() {
                exchange.keeping.get_or_insert_default().previous = create.previous;
            }
            exchange.record.request_bytes = create.body.len() as u64;
            exchange.lease = create.lease;
            exchange.route(create.body)
        });
        if let Err(error) = begun {
            exchange.answer_error(&error);
        }
        exchange
    }

    /// The connection behind a handshake that was accepted.
    pub fn into_conversation(self) -> Option<Box<Conversation>> {
        let changed = self.endpoint == Endpoint::WebSocket && self.record.status == 101;
        (changed && !self.client_gone).then(|| {
            Box::new(Conversation::new(
                self.snapshot,
                &self.head,
                self.record.client,
                self.entropy,
                self.unix_s,
                self.last,
            ))
        })
    }

    /// The id of the response that the client got to its end, and its items, comma separated.
    pub(in crate::route) fn response(&self) -> Option<(Cow<'_, [u8]>, &[u8])> {
        if self.endpoint == Endpoint::WarmUp && self.record.status == 200 {
            let id = prepare::response_id(&seed_of(self.entropy, 0));
            return Some((Cow::Owned(id.into_bytes()), b""));
        }
        let (id, items) = self.attempt.as_ref()?.response()?;
        Some((Cow::Borrowed(id), items))
    }

    /// Accepts the handshake.
    pub(super) fn change_protocol(&mut self) -> Result<(), Error> {
        origin::admit_websocket(&self.head, self.snapshot.is_open())?;
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
            (request_id::FIELD, &self.record.id),
        ];
        write_response(&mut self.out, 101, &fields);
        self.record.status = 101;
        self.record.outcome = "websocket";
        self.over();
        Ok(())
    }

    /// Answers a request that only prepares for the next one: no provider is asked.
    pub(super) fn warm_up(&mut self, request: Value<'_>) {
        let seed = seed_of(self.entropy, 0);
        let mut translator = prepare::warm_up(request, &self.head, self.place(), seed, self.unix_s);
        translator.say_nothing(&mut self.out);
        self.record.status = 200;
        self.record.outcome = "warmed_up";
        self.over();
    }
}
