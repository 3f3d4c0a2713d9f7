//! A WebSocket with Responses requests on it, one after the other.
//!
//! ```text
//! handshake (an exchange) ─▶ Conversation:  message ─▶ exchange ─▶ frames
//!                                              ▲                      │
//!                                              └──── history ◀────────┘
//! ```
//!
//! Each message is an ordinary [`Exchange`], whose events are frames. The connection remembers what
//! was said, so that a request may name the last response and bring only what is new. One response
//! is under way at a time; one more request may wait.

mod history;
#[cfg(test)]
mod tests;

use super::exchange::Exchange;
use super::machine::{Action, Input, Machine, Note};
use crate::config::Snapshot;
use crate::error::Error;
use crate::http::head::{BodyKind, Headers, RequestHead};
use crate::http::websocket::{CloseCode, Connection, Message, encode};
use crate::json::Tape;
use crate::ledger::meter::Lease;
use crate::ledger::peer::Peer;
use crate::ledger::record::Record;
use crate::limits;
use history::History;
use std::sync::Arc;
use std::time::Instant;

/// A request that came as a message.
#[derive(Debug)]
pub(super) struct Create {
    /// What it would be as the body of a POST.
    pub body: Vec<u8>,
    /// `false`: it only wants an id that the next one can continue from.
    pub generate: bool,
    /// The response that it continues, whose items stand in the body already; escaped JSON text.
    pub previous: Option<Vec<u8>>,
    /// What was taken for it already of what its key may have.
    pub lease: Option<Box<Lease>>,
}

/// A WebSocket behind its handshake, as a pure state machine.
pub struct Conversation {
    snapshot: Arc<Snapshot>,
    /// The head of every request on this connection.
    head: RequestHead,
    /// Where they come from.
    client: Peer,
    entropy: [u8; 32],
    /// The wall clock at `started`, in Unix seconds.
    unix_s: u64,
    started: Instant,
    last: Instant,
    connection: Connection,
    history: History,
    exchange: Option<Box<Exchange>>,
    /// A message that waits for its turn.
    waiting: Option<Vec<u8>>,
    out: Vec<u8>,
    /// So many requests were begun.
    requests: u64,
    /// The end of the last response.
    resting_since: Instant,
    /// When the client was last heard of.
    heard: Instant,
    /// A ping that was not answered.
    pinged: Option<Instant>,
    draining: bool,
    client_gone: bool,
    /// How it ended, for the log.
    outcome: &'static str,
}

impl Conversation {
    /// Starts behind the handshake whose request was `handshake`. `client`, `entropy` and `unix_s`
    /// are those of its exchange.
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        handshake: &RequestHead,
        client: Peer,
        entropy: [u8; 32],
        unix_s: u64,
        now: Instant,
    ) -> Self {
        Conversation {
            snapshot,
            head: head_of_requests(handshake),
            client,
            entropy,
            unix_s,
            started: now,
            last: now,
            connection: Connection::new(limits::BODY_BYTES_MAX),
            history: History::default(),
            exchange: None,
            waiting: None,
            out: Vec::new(),
            requests: 0,
            resting_since: now,
            heard: now,
            pinged: None,
            draining: false,
            client_gone: false,
            outcome: "open",
        }
    }

    fn message(&mut self, message: Message) {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => {
                let why = "requests are text";
                return self.close(CloseCode::Unsupported, why, "binary");
            }
        };
        if self.waiting.replace(text).is_some() {
            let why = "one request at a time, and one that waits";
            self.close(CloseCode::Policy, why, "too_many_requests");
        }
    }

    /// Begins the response to a message. What is wrong with it is told in the exchange's way.
    fn begin(&mut self, message: &[u8]) {
        self.requests += 1;
        let mut tape = Tape::new();
        let create = match tape.parse(message) {
            Ok(message) => self.history.begin(message, self.snapshot.store.keeps()),
            Err(e) => Err(Error::bad_request(format!(
                "The message is not valid JSON: {e}."
            ))),
        };
        let mut material = self.entropy.to_vec();
        material.extend_from_slice(&self.requests.to_le_bytes());
        let digest = ring::digest::digest(&ring::digest::SHA256, &material);
        let mut entropy = [0; 32];
        entropy.copy_from_slice(digest.as_ref());
        self.exchange = Some(Box::new(Exchange::over_websocket(
            self.snapshot.clone(),
            self.head.clone(),
            self.client,
            create,
            entropy,
            self.unix_s + self.last.duration_since(self.started).as_secs(),
            self.last,
        )));
    }

    /// The response under way is over.
    fn end(&mut self) -> Action {
        let Some(mut exchange) = self.exchange.take() else {
            return Action::Wait;
        };
        match exchange.response() {
            Some((id, items)) => self.history.keep(&id, exchange.loaded(), items),
            None => self.history.undo(),
        }
        self.resting_since = self.last;
        self.heard = self.last;
        Action::Record(exchange.take_record())
    }

    fn close(&mut self, code: CloseCode, why: &str, outcome: &'static str) {
        self.connection.close(code, why, &mut self.out);
        self.leave(outcome);
    }

    /// Nothing more will be said: what is under way is cancelled.
    fn leave(&mut self, outcome: &'static str) {
        if self.outcome == "open" {
            self.outcome = outcome;
        }
        self.waiting = None;
        if let Some(exchange) = &mut self.exchange {
            exchange.handle(Input::ClientGone, self.last);
        }
    }

    fn is_over(&self) -> bool {
        self.client_gone || self.connection.is_closed()
    }

    /// Looks after a connection on which nothing is under way.
    fn look(&mut self, now: Instant) {
        let late = |at: Instant| now >= at;
        if late(self.resting_since + limits::WEBSOCKET_IDLE) {
            self.close(CloseCode::GoingAway, "no request for long", "idle");
        } else if self.pinged.is_some_and(|at| late(at + limits::PING_EVERY)) {
            self.close(CloseCode::GoingAway, "no answer to a ping", "silent");
        } else if self.pinged.is_none() && late(self.heard + limits::PING_EVERY) {
            self.pinged = Some(now);
            encode::ping(&mut self.out);
        }
    }
}

impl Machine for Conversation {
    fn client_bytes(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.last = now;
        self.heard = now;
        self.pinged = None;
        let mut input = bytes;
        while let Some(message) = self.connection.receive(&mut input, &mut self.out) {
            self.message(message);
        }
        if self.connection.is_closed() {
            self.leave(match self.connection.violation() {
                Some(_) => "protocol",
                None => "closed",
            });
        }
        bytes.len()
    }

    fn adopt(&mut self, snapshot: &Arc<Snapshot>) -> bool {
        self.snapshot = snapshot.clone();
        true
    }

    fn handle(&mut self, input: Input<'_>, now: Instant) {
        self.last = now;
        match (input, &mut self.exchange) {
            (Input::ClientGone, _) => {
                self.client_gone = true;
                self.out.clear();
                self.leave("client_gone");
            }
            (Input::Drain, exchange) => {
                self.draining = true;
                if let Some(exchange) = exchange {
                    exchange.handle(Input::Drain, now);
                }
            }
            (input, Some(exchange)) => exchange.handle(input, now),
            (Input::Deadline, None) => self.look(now),
            (_, None) => {}
        }
    }

    fn poll(&mut self) -> Action {
        loop {
            if !self.out.is_empty() {
                return Action::ToClient;
            }
            if let Some(exchange) = &mut self.exchange {
                return match exchange.poll() {
                    Action::Done { .. } => self.end(),
                    Action::Wait if !self.is_over() => Action::ReadClient,
                    action => action,
                };
            }
            if self.is_over() {
                return Action::Done { keep_alive: false };
            }
            if self.draining {
                let why = "the gateway is shutting down";
                self.close(CloseCode::GoingAway, why, "drained");
                continue;
            }
            match self.waiting.take() {
                Some(message) => self.begin(&message),
                None => return Action::ReadClient,
            }
        }
    }

    fn take_output(&mut self) -> Vec<u8> {
        match &mut self.exchange {
            Some(exchange) if self.out.is_empty() => exchange.take_output(),
            _ => std::mem::take(&mut self.out),
        }
    }

    fn recycle(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        match &mut self.exchange {
            Some(exchange) => exchange.recycle(buffer),
            None if self.out.is_empty() => self.out = buffer,
            None => {}
        }
    }

    fn client_is_silent(&self) -> bool {
        self.connection.is_between_messages()
    }

    fn deadline(&self) -> Option<Instant> {
        if let Some(exchange) = &self.exchange {
            return exchange.deadline();
        }
        let idle = self.resting_since + limits::WEBSOCKET_IDLE;
        let ping = self.pinged.unwrap_or(self.heard) + limits::PING_EVERY;
        Some(idle.min(ping))
    }

    fn rests(&self) -> bool {
        self.exchange.is_none() && self.waiting.is_none()
    }

    fn under_way(&self) -> Option<(&Record, Instant)> {
        self.exchange.as_ref()?.under_way()
    }

    fn events(&self) -> u64 {
        self.exchange
            .as_ref()
            .map_or(0, |exchange| exchange.events())
    }

    fn record(&mut self) -> Note {
        let took = self.last.duration_since(self.started).as_millis();
        let mut line = format!(
            "websocket outcome={} ms={took} requests={}",
            self.outcome, self.requests
        );
        if let Some(violation) = self.connection.violation() {
            line.push_str(&format!(" detail=\"{violation}\""));
        }
        Note::Line(line)
    }
}

/// The head that each request of a connection would have as a POST. Of the handshake's fields only
/// those are kept that mean something to a request.
fn head_of_requests(handshake: &RequestHead) -> RequestHead {
    let mut headers = Headers::default();
    for (name, value) in handshake.headers.iter() {
        if ["authorization", "originator", "traceparent", "tracestate"].contains(&name) {
            headers.push(name, value);
        }
    }
    RequestHead {
        method: "WEBSOCKET".to_owned(),
        path: handshake.path.clone(),
        query: None,
        http11: true,
        headers,
        body: BodyKind::None,
        keep_alive: true,
        expect_continue: false,
    }
}
