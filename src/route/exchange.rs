//! The life of one request.
//!
//! ```text
//!                              ┌───────────── [Pausing] ◀─────────────┐
//! head ─▶ Body ─▶ [Loading] ─▶ [Login] ─▶ Connecting ─▶ Sending ─▶ Answering ─▶ [Keeping] ─▶ Tail ─▶ Over
//!           │                                 └────── attempt ──────┘                          ▲
//!           └─ refused, or answered without a provider ────────────────────────────────────────┘
//! ```
//!
//! Until the first output event ("commit") an error is an HTTP status, and the same or another
//! target of the plan may be tried; after it, an error is the stream's terminal event, and
//! nothing is ever replayed.

mod allow;
mod ask;
mod count;
mod follow;
mod keep;
mod note;
mod operate;
mod queue;
mod retry;
mod websocket;

use super::answer::{Framing, Transport};
pub use super::answer::{RequestId, refuse};
use super::attempt::{Attempt, Step};
use super::endpoint::{self, Endpoint};
use super::forwarded;
use super::local;
pub use super::login::Ask;
use super::login::{self, Showing};
pub use super::machine::{Action, Input, Machine, Note};
use super::plan::Plan;
use super::quota::Shown;
use super::trace;
use crate::config::{ClientKey, Origin, Snapshot};
use crate::error::{Error, Kind, Source};
use crate::http::coding;
use crate::http::framing::{BodyDecoder, Decoded};
use crate::http::head::{BodyKind, Headers, RequestHead};
use crate::json::{Tape, Value, with_tape};
use crate::ledger::meter::Lease;
use crate::ledger::peer::Peer;
use crate::ledger::record::Record;
use crate::limits;
use keep::Keeping;
use std::sync::Arc;
use std::time::Instant;

/// Where the exchange stands.
#[derive(Debug, PartialEq)]
enum Phase {
    /// The store was asked what the client asks.
    Asking,
    /// The body of the request is being read.
    Body,
    /// A connection was asked for.
    Connecting,
    /// The events of a background response are told.
    Following,
    /// The last piece of the answer is held back until the store has kept the response.
    Keeping,
    /// The store was asked for the response that the request continues.
    Loading,
    /// A credential was asked for.
    Login,
    /// The operator's thread was asked.
    Operating,
    /// A try has failed, and the next is not due yet.
    Pausing,
    /// The store was asked to keep the response, which the background will work on.
    Queueing,
    /// The request is on its way.
    Sending,
    /// The answer is awaited or arriving.
    Answering,
    /// All is said to the client; the end of the upstream body is awaited, for the pool's sake.
    Tail,
    /// Nothing is left to do.
    Over,
}

/// How long the end of an upstream body is awaited after the client has everything.
const TAIL: std::time::Duration = std::time::Duration::from_millis(100);

/// One request and its response, as a pure state machine.
pub struct Exchange {
    snapshot: Arc<Snapshot>,
    head: RequestHead,
    endpoint: Endpoint,
    framing: Framing,
    entropy: [u8; 32],
    unix_s: u64,
    started: Instant,
    last: Instant,
    phase: Phase,
    decoder: BodyDecoder,
    body: Vec<u8>,
    attempt: Option<Attempt>,
    plan: Plan,
    /// Why the last try failed, while the next is waited for.
    failure: Option<Box<Error>>,
    stale_retries: u8,
    login: Showing,
    keeping: Option<Box<Keeping>>,
    upstream_open: bool,
    /// What the shell is to do next: mostly one thing.
    pending: Vec<Action>,
    deadline: Option<Instant>,
    out: Vec<u8>,
    client_gone: bool,
    record: Box<Record>,
    /// Who asks; `None` where Strait asks for no key.
    key: Option<Arc<ClientKey>>,
    /// What the request has taken of what its key may have.
    lease: Option<Box<Lease>>,
    /// What the client is shown of that.
    quota: Option<Arc<Shown>>,
}

impl Exchange {
    /// Starts with the request's head. `entropy` is fresh randomness; `unix_s` is the wall clock.
    pub fn new(
        snapshot: Arc<Snapshot>,
        head: RequestHead,
        entropy: [u8; 32],
        unix_s: u64,
        now: Instant,
    ) -> Self {
        let mut exchange = Self::before_admission(snapshot, head, entropy, unix_s, now);
        if let Err(error) = exchange.admit() {
            exchange.refuse_request(&error);
        }
        exchange
    }

    /// The same in a process that drains: the answer says that it is the connection's last one, and
    /// whoever asks learns that the process is not ready.
    pub fn last(
        snapshot: Arc<Snapshot>,
        mut head: RequestHead,
        entropy: [u8; 32],
        unix_s: u64,
        now: Instant,
    ) -> Self {
        head.keep_alive = false;
        let mut exchange = Self::before_admission(snapshot, head, entropy, unix_s, now);
        let admitted = match Endpoint::of(&exchange.head) {
            Ok(Endpoint::Ready) => Err(local::not_ready()),
            _ => exchange.admit(),
        };
        if let Err(error) = admitted {
            exchange.refuse_request(&error);
        }
        exchange
    }

    /// Tells it whose connection it came on: its record names who asked.
    pub fn came_from(&mut self, peer: Peer) {
        let trusted = &self.snapshot.trusted_proxies;
        self.record.client = forwarded::client(peer, &self.head.headers, trusted);
    }

    fn before_admission(
        snapshot: Arc<Snapshot>,
        head: RequestHead,
        entropy: [u8; 32],
        unix_s: u64,
        now: Instant,
    ) -> Self {
        let framing = Framing {
            transport: Transport::of(&head),
            keep_alive: head.keep_alive,
            head_only: head.method == "HEAD",
            id: RequestId::of(&entropy),
        };
        Self::fresh(snapshot, head, framing, entropy, unix_s, now)
    }

    fn fresh(
        snapshot: Arc<Snapshot>,
        head: RequestHead,
        framing: Framing,
        entropy: [u8; 32],
        unix_s: u64,
        now: Instant,
    ) -> Self {
        let trace = trace::begin(snapshot.traces.as_ref(), &head, &entropy);
        let record = note::begin(&head, framing.id, trace);
        Exchange {
            decoder: BodyDecoder::new(head.body),
            endpoint: Endpoint::Health,
            plan: Plan::new(&snapshot, Vec::new()),
            snapshot,
            head,
            framing,
            entropy,
            unix_s,
            started: now,
            last: now,
            phase: Phase::Body,
            body: Vec::new(),
            attempt: None,
            failure: None,
            stale_retries: 0,
            login: Showing::default(),
            keeping: None,
            upstream_open: false,
            pending: Vec::new(),
            deadline: Some(now + limits::CLIENT_READ_TIMEOUT),
            out: Vec::new(),
            client_gone: false,
            record,
            key: None,
            lease: None,
            quota: None,
        }
    }

    fn admit(&mut self) -> Result<(), Error> {
        self.endpoint = Endpoint::of(&self.head)?;
        if self.endpoint == Endpoint::WebSocket && !self.snapshot.websocket {
            return Err(websocket::not_served());
        }
        self.authorize()?;
        if matches!(self.head.body, BodyKind::None | BodyKind::Length(0)) {
            self.body_complete();
        } else if self.head.expect_continue {
            self.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        Ok(())
    }

    fn body_complete(&mut self) {
        let body = std::mem::take(&mut self.body);
        if let Err(error) = self.route(body) {
            self.answer_error(&error);
        }
    }

    /// Answers what needs no provider; starts the first attempt of what does.
    fn route(&mut self, body: Vec<u8>) -> Result<(), Error> {
        if self.endpoint == Endpoint::WebSocket {
            return self.change_protocol();
        }
        if let Endpoint::Stored(question) = self.endpoint {
            return self.ask(question);
        }
        if self.endpoint == Endpoint::Operator {
            return self.operate(body);
        }
        if !self.endpoint.needs_model() {
            self.record.status = 200;
            self.record.outcome = "answered";
            local::answer(
                self.endpoint,
                &self.snapshot,
                self.key.as_deref(),
                &self.head,
                self.framing,
                &mut self.out,
            );
            self.over();
            return Ok(());
        }
        let body = match self.head.headers.get("content-encoding") {
            Some(coding) => coding::decode(coding, body)?,
            None => body,
        };
        match with_tape(|tape| self.understand(tape, &body))? {
            true => self.keep(body),
            false => self.body = body,
        }
        Ok(())
    }

    /// Reads a request for a model and starts it: `true`. `false` where something else has to come
    /// first, so that the body is read again.
    fn understand(&mut self, tape: &mut Tape, body: &[u8]) -> Result<bool, Error> {
        let request = tape
            .parse(body)
            .map_err(|e| Error::bad_request(format!("The request body is not valid JSON: {e}.")))?;
        self.note_request(request, body);
        let counts = self.endpoint == Endpoint::InputTokens;
        if !counts || request.present("model").is_some() {
            let model = local::model_of(request)?;
            self.may_ask_for(&model)?;
            let mut chain = self
                .snapshot
                .resolve(&model)
                .ok_or_else(|| local::unknown_model(&model))?;
            if counts {
                chain.retain(count::can_count);
            }
            self.plan = Plan::new(&self.snapshot, chain);
            self.record.model = model;
        }
        if self.endpoint != Endpoint::Chat && self.asks_for_previous(request)? {
            return Ok(false);
        }
        self.go(request, body).map(|()| true)
    }

    /// Starts what is known to be whole.
    fn go(&mut self, request: Value<'_>, body: &[u8]) -> Result<(), Error> {
        match self.endpoint {
            Endpoint::WarmUp => {
                self.warm_up(request);
                return Ok(());
            }
            Endpoint::InputTokens if self.plan.targets().is_empty() => {
                return self.estimate(request);
            }
            _ => self.take_lease()?,
        }
        match self.endpoint {
            Endpoint::Responses if self.is_for_background(request)? => return self.queue(request),
            Endpoint::Responses => self.decide_to_keep(request),
            _ => {}
        }
        self.begin(request, body)
    }

    fn connect(&mut self, attempt: Attempt) {
        self.ask_for_connection(attempt.origin().clone());
        self.attempt = Some(attempt);
    }

    fn ask_for_connection(&mut self, origin: Origin) {
        if std::mem::take(&mut self.upstream_open) {
            self.pending.push(Action::CloseUpstream);
        }
        self.pending.push(Action::Connect(origin));
        self.deadline = Some(self.last + self.snapshot.timeouts.connect);
        self.phase = Phase::Connecting;
    }

    fn connected(&mut self, reused: bool, now: Instant) {
        let Some(attempt) = &mut self.attempt else {
            return;
        };
        self.upstream_open = true;
        self.phase = Phase::Sending;
        let bytes = attempt.connected(reused, self.stale_retries == 0);
        if let Some(saying) = &mut self.record.saying {
            saying.sends(&bytes);
        }
        self.deadline = Some(now + self.snapshot.timeouts.silence);
        self.pending.push(Action::ToUpstream(bytes));
    }

    fn upstream_bytes(&mut self, bytes: &[u8], now: Instant) {
        if matches!(self.phase, Phase::Sending) {
            self.phase = Phase::Answering;
        }
        self.record.upstream_bytes += bytes.len() as u64;
        if let Some(saying) = &mut self.record.saying {
            saying.received.take(bytes, saying.max);
        }
        self.step(now, |attempt, out| attempt.bytes(bytes, now, out));
        // What was kept for another try is not needed once there is output.
        let needed = self.body.is_empty() || self.is_kept();
        if !needed && self.attempt.as_ref().is_some_and(Attempt::committed) {
            self.body = Vec::new();
        }
    }

    fn upstream_closed(&mut self, why: Option<&str>, now: Instant) {
        let Some(attempt) = &mut self.attempt else {
            return;
        };
        if matches!(self.phase, Phase::Tail | Phase::Over) {
            return self.over();
        }
        if attempt.stale() && self.stale_retries == 0 && self.phase != Phase::Keeping {
            // A pooled connection that closes before the first byte of an answer was idle for too
            // long; the provider never saw the request (RFC 9110 section 9.2.2 allows this).
            self.stale_retries += 1;
            attempt.restart();
            let origin = attempt.origin().clone();
            return self.ask_for_connection(origin);
        }
        self.step(now, |attempt, out| attempt.closed(why, out));
    }

    fn deadline_passed(&mut self, now: Instant) {
        if self.deadline.is_none_or(|at| at > now) {
            return;
        }
        match self.phase {
            Phase::Body => {
                let message = "The request's body did not arrive in time.";
                let error = Error::new(Source::Downstream, Kind::RequestTimeout, message);
                self.refuse_request(&error);
            }
            Phase::Asking | Phase::Keeping | Phase::Loading | Phase::Queueing => {
                self.store_is_late(now);
            }
            Phase::Following => self.follow_on(now),
            Phase::Operating => self.operated(None),
            Phase::Login => self.fail(login::late(), now),
            Phase::Pausing => self.try_again(now),
            Phase::Connecting => {
                let message = "The provider could not be reached: no connection in time.";
                self.fail(
                    Error::new(Source::Upstream, Kind::ConnectFailed, message),
                    now,
                );
            }
            Phase::Sending => {
                let message = "The provider did not take the request in time.";
                self.fail(
                    Error::new(Source::Upstream, Kind::UpstreamTimeout, message),
                    now,
                );
            }
            Phase::Answering => self.step(now, |attempt, out| attempt.deadline(now, out)),
            Phase::Tail | Phase::Over => self.over(),
        }
    }

    fn step(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut Attempt, &mut Vec<u8>) -> Result<Step, Error>,
    ) {
        if self.phase == Phase::Over {
            return;
        }
        let Some(attempt) = &mut self.attempt else {
            return;
        };
        let step = act(attempt, &mut self.out);
        if attempt.committed() && self.record.first_event.is_none() {
            self.record.first_event = Some(now.duration_since(self.started));
            // Nobody else is asked, so none of it is told again.
            self.head.headers = Headers::default();
            if attempt.status() != 0 {
                self.plan.answered(now);
            }
        }
        if self.phase == Phase::Keeping {
            // Only the end of the upstream body is outstanding; it says nothing more.
            return self.give_back();
        }
        match step {
            Ok(Step::More) => self.deadline = attempt.next_deadline(),
            Ok(Step::Done) => self.said(now),
            Ok(Step::Held) => self.hold(now),
            Err(error) => self.fail(error, now),
        }
    }

    /// Everything was said to the client; only the upstream body's end may be outstanding.
    fn said(&mut self, now: Instant) {
        let Some(attempt) = &self.attempt else { return };
        self.plan.answered(now);
        self.record.status = attempt.status();
        self.record.outcome = attempt.outcome();
        self.record.detail = attempt.detail().to_owned();
        let complete = attempt.complete();
        self.note_end();
        if complete {
            self.over();
        } else {
            self.phase = Phase::Tail;
            self.deadline = Some(now + TAIL);
        }
    }

    fn client_left(&mut self) {
        self.client_gone = true;
        self.out.clear();
        // What was paid for is kept all the same.
        if matches!(self.phase, Phase::Keeping | Phase::Queueing | Phase::Tail) {
            return;
        }
        if self.phase != Phase::Over {
            self.record.outcome = "client_gone";
            self.note_end();
            self.over();
        }
    }

    /// Answers without having read the whole request: the connection cannot be used again.
    fn refuse_request(&mut self, error: &Error) {
        self.framing.keep_alive &= self.head.body == BodyKind::None;
        self.out.clear();
        self.answer_error(error);
    }

    fn answer_error(&mut self, error: &Error) {
        self.record.status = error.status();
        self.record.outcome = error.label();
        self.record.detail = error.message.clone();
        self.record.code = error.api_code().to_owned();
        let allow = [("allow", endpoint::methods(&self.head.path))];
        let more: &[_] = match error.kind {
            Kind::MethodNotAllowed => &allow,
            _ => &[],
        };
        self.framing.error(&mut self.out, error, more);
        self.over();
    }

    fn over(&mut self) {
        self.phase = Phase::Over;
        self.plan.abandon(self.last);
        self.pending.clear();
        self.deadline = None;
        self.body = Vec::new();
    }
}

impl Machine for Exchange {
    fn client_bytes(&mut self, bytes: &[u8], now: Instant) -> usize {
        self.last = now;
        if self.phase != Phase::Body {
            return 0;
        }
        self.deadline = Some(now + limits::CLIENT_READ_TIMEOUT);
        let mut rest = bytes;
        loop {
            match self.decoder.next(&mut rest) {
                Ok(Decoded::Data(data)) => {
                    let max = self.endpoint.body_bytes_max();
                    if self.body.len() + data.len() > max {
                        self.refuse_request(&endpoint::too_large(max));
                        return bytes.len();
                    }
                    self.record.request_bytes += data.len() as u64;
                    self.body.extend_from_slice(data);
                }
                Ok(Decoded::NeedMore) => return bytes.len(),
                Ok(Decoded::End) => {
                    self.body_complete();
                    return bytes.len() - rest.len();
                }
                Err(e) => {
                    let message = format!("The request body's framing is broken: {e}.");
                    self.refuse_request(&Error::bad_request(message));
                    return bytes.len();
                }
            }
        }
    }

    fn handle(&mut self, input: Input<'_>, now: Instant) {
        self.last = now;
        match input {
            Input::ClientGone => self.client_left(),
            Input::Connected { reused } => self.connected(reused, now),
            Input::ConnectFailed(why) => {
                let message = format!("The provider could not be reached: {why}.");
                self.fail(
                    Error::new(Source::Upstream, Kind::ConnectFailed, message),
                    now,
                );
            }
            Input::Credential(result) => self.credential(result, now),
            Input::Operated(reply) => self.operated(reply),
            Input::Stored(reply) => self.stored(reply, now),
            Input::RequestSent => {
                self.phase = Phase::Answering;
                // There may be nothing to do for long.
                self.pending.shrink_to_fit();
                self.step(now, |attempt, out| attempt.sent(now, out));
            }
            Input::UpstreamBytes(bytes) => self.upstream_bytes(bytes, now),
            Input::UpstreamEof => self.upstream_closed(None, now),
            Input::UpstreamBroken(why) => self.upstream_closed(Some(why), now),
            Input::Deadline => self.deadline_passed(now),
            Input::Drain => {
                let message = "The gateway is shutting down; try again.";
                let error = Error::new(Source::Gateway, Kind::Draining, message);
                self.framing.keep_alive = false;
                match self.phase {
                    Phase::Body => self.refuse_request(&error),
                    Phase::Following => self.follow_until(now + limits::STORE_LAST_WAIT),
                    Phase::Keeping => self.deadline = Some(now + limits::STORE_LAST_WAIT),
                    Phase::Tail | Phase::Over => self.over(),
                    _ => self.give_up(error, now),
                }
            }
        }
    }

    fn poll(&mut self) -> Action {
        if !self.out.is_empty() && !self.client_gone {
            return Action::ToClient;
        }
        if !self.pending.is_empty() {
            return self.pending.remove(0);
        }
        match self.phase {
            Phase::Body => Action::ReadClient,
            Phase::Over if self.upstream_open => {
                self.upstream_open = false;
                match self.attempt.as_ref().is_some_and(Attempt::reusable) {
                    true => Action::ReleaseUpstream,
                    false => Action::CloseUpstream,
                }
            }
            Phase::Over => Action::Done {
                keep_alive: self.framing.keep_alive && !self.client_gone,
            },
            _ => Action::Wait,
        }
    }

    fn take_output(&mut self) -> Vec<u8> {
        self.record.answer_bytes += self.out.len() as u64;
        if let Some(saying) = &mut self.record.saying {
            saying.answer.take(&self.out, saying.max);
        }
        std::mem::take(&mut self.out)
    }

    fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.out.is_empty() {
            buffer.clear();
            self.out = buffer;
        }
    }

    fn client_is_silent(&self) -> bool {
        self.attempt.as_ref().is_some_and(Attempt::streams)
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn rests(&self) -> bool {
        false
    }

    fn under_way(&self) -> Option<(&Record, Instant)> {
        Some((&self.record, self.started))
    }

    fn events(&self) -> u64 {
        self.attempt.as_ref().map_or(0, Attempt::events)
    }

    fn record(&mut self) -> Note {
        Note::Exchange(self.take_record())
    }
}

/// The key that a request presents.
pub(in crate::route) fn bearer(head: &RequestHead) -> Option<&str> {
    let (scheme, key) = head.headers.get("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn seed_of(entropy: [u8; 32], attempt: u32) -> [u8; 32] {
    let mut seed = entropy;
    for (byte, counter) in seed.iter_mut().zip(attempt.to_le_bytes()) {
        *byte ^= counter;
    }
    seed
}
