//! One try upstream: the request for one target, and its answer on the way to the client.

mod end;

use super::answer::{self, Framing};
use super::mode::Mode;
use super::prepare::{Order, prepare};
use super::quota::Shown;
use super::request_id;
use super::upstream::{self, Answer, Piece};
use crate::chat;
use crate::config::{Origin, Snapshot, Target};
use crate::error::{Error, Kind, Source};
use crate::http::head::media_type;
use crate::limits;
use crate::translate::diagnostic::Diagnostic;
use crate::translate::stream::{UpstreamEnd, Usage};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;

/// Whether more is to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Everything was said to the client.
    Done,
    /// Everything but the last piece was; [`Attempt::release`] says it.
    Held,
    /// More is to come.
    More,
}

/// What the answer's body turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Body {
    Error,
    Object,
    Stream,
    Unknown,
}

/// One try upstream.
pub struct Attempt {
    target: Target,
    request: Bytes,
    framing: Framing,
    snapshot: Arc<Snapshot>,
    mode: Mode,
    /// The provider was asked for a stream.
    streaming: bool,
    diagnostics: Vec<Diagnostic>,
    diagnostics_field: String,
    quota: Option<Arc<Shown>>,
    reused: bool,
    sent: bool,
    answer: Answer,
    body: Body,
    collected: Vec<u8>,
    head_sent: bool,
    /// The last piece waits for [`Attempt::release`]; `collected` is then its response object.
    holds_end: bool,
    over: bool,
    dirty: bool,
    started: Option<Instant>,
    unix_s: u64,
    last_upstream: Option<Instant>,
    last_output: Option<Instant>,
    finish_seen: Option<Instant>,
    detail: String,
}

impl Attempt {
    /// Translates the request for the target.
    pub fn new(order: Order<'_>) -> Result<Attempt, Error> {
        let prepared = prepare(&order)?;
        Ok(Attempt {
            target: order.target,
            request: prepared.request.into(),
            framing: order.framing,
            snapshot: order.snapshot.clone(),
            mode: prepared.mode,
            streaming: prepared.streaming,
            diagnostics_field: diagnostics_field(&prepared.diagnostics),
            diagnostics: prepared.diagnostics,
            quota: order.quota.cloned(),
            reused: false,
            sent: false,
            answer: Answer::new(),
            body: Body::Unknown,
            collected: Vec::new(),
            head_sent: false,
            holds_end: order.place.kept,
            over: false,
            dirty: false,
            started: None,
            unix_s: order.unix_s,
            last_upstream: None,
            last_output: None,
            finish_seen: None,
            detail: String::new(),
        })
    }

    /// Who is asked.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Where to connect.
    pub fn origin(&self) -> &Origin {
        &self.target.provider.origin
    }

    /// A connection is there; returns the request's bytes. They are kept while a stale
    /// connection may make them needed again.
    pub fn connected(&mut self, reused: bool, may_restart: bool) -> Bytes {
        self.reused = reused;
        if reused && may_restart {
            self.request.clone()
        } else {
            std::mem::take(&mut self.request)
        }
    }

    /// The request was written.
    pub fn sent(&mut self, now: Instant, _out: &mut Vec<u8>) -> Result<Step, Error> {
        self.sent = true;
        self.started.get_or_insert(now);
        Ok(Step::More)
    }

    /// Whether the connection came from the pool and has not answered at all.
    pub fn stale(&self) -> bool {
        self.reused && !self.answer.begun()
    }

    /// Forgets the connection, to be sent again on another.
    pub fn restart(&mut self) {
        self.sent = false;
        self.reused = false;
    }

    /// Takes bytes from upstream.
    pub fn bytes(&mut self, bytes: &[u8], now: Instant, out: &mut Vec<u8>) -> Result<Step, Error> {
        self.last_upstream = Some(now);
        self.started.get_or_insert(now);
        if !self.request.is_empty() {
            // The connection was not stale: the request will not be needed again.
            self.request = Bytes::new();
        }
        let mut input = bytes;
        if !self.answer.feed_head(&mut input)? {
            return Ok(Step::More);
        }
        if self.body == Body::Unknown {
            self.body = self.judge_head()?;
        }
        if self.over {
            return self.tail(input);
        }
        self.set_clock(now);
        let step = match self.body {
            Body::Stream => self.stream(now, out, |attempt, out| attempt.pump(&mut input, out)),
            _ => self.collect(&mut input, out),
        };
        if self.answer.reusable() && !input.is_empty() {
            self.dirty = true;
        }
        step
    }

    /// Upstream closed its side; `why` if not cleanly.
    pub fn closed(&mut self, why: Option<&str>, out: &mut Vec<u8>) -> Result<Step, Error> {
        self.dirty = true;
        if self.over {
            return Ok(Step::Done);
        }
        let finishing = self.mode.finishing();
        let clean = why.is_none() && self.answer.eof_is_clean() || finishing;
        let now = self.last_upstream.or(self.started);
        match self.body {
            Body::Stream => {
                let end = match clean {
                    true => UpstreamEnd::Clean,
                    false => UpstreamEnd::Broken(early_end(why, true)),
                };
                let Some(now) = now else {
                    return Err(early_end(why, true));
                };
                self.stream(now, out, |attempt, out| {
                    attempt.finish(end, out).map(|()| true)
                })
            }
            Body::Error => Err(self.classify()),
            Body::Object if clean => {
                let body = std::mem::take(&mut self.collected);
                self.object(&body, out)
            }
            _ => Err(early_end(why, self.answer.begun())),
        }
    }

    /// A deadline may have passed.
    pub fn deadline(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<Step, Error> {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.finish_by()) {
            self.dirty = true;
            return self.stream(now, out, |attempt, out| {
                attempt.finish(UpstreamEnd::Clean, out).map(|()| true)
            });
        }
        if due(self.silent_by()) {
            let begun = self.answer.begun();
            let limit = if begun {
                self.snapshot.timeouts.silence
            } else {
                self.snapshot.timeouts.first_byte
            };
            let message = format!("The provider was silent for {} s.", limit.as_secs_f32());
            return Err(Error::new(Source::Upstream, Kind::UpstreamTimeout, message));
        }
        if due(self.hold_until()) || due(self.keepalive_at()) {
            let held = !self.head_sent;
            return self.stream(now, out, |attempt, out| {
                match held {
                    true => attempt.mode.commit(out),
                    false => attempt.mode.keepalive(out),
                }
                attempt.last_output = Some(now);
                attempt.head_sent |= held;
                Ok(false)
            });
        }
        Ok(Step::More)
    }

    /// When [`Attempt::deadline`] is next due.
    pub fn next_deadline(&self) -> Option<Instant> {
        let sooner = |a: Option<Instant>, b: Option<Instant>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let begun = match self.head_sent {
            true => self.keepalive_at(),
            false => self.hold_until(),
        };
        sooner(sooner(self.silent_by(), begun), self.finish_by())
    }

    /// Ends a committed stream with `error`.
    pub fn abort(&mut self, error: Error, out: &mut Vec<u8>) -> Step {
        if self.over {
            return Step::Done;
        }
        self.dirty = true;
        self.detail = error.to_string();
        let begin = self.framing.begin(out);
        // A committed machine turns every error into its terminal event.
        let _ = self.finish(UpstreamEnd::Broken(error), out);
        self.over = true;
        self.end_stream(out, begin)
    }

    /// Whether output has begun, so that nothing may be replayed.
    pub fn committed(&self) -> bool {
        self.head_sent
    }

    /// Whether the upstream body was read to its end.
    pub fn complete(&self) -> bool {
        self.answer.reusable() || self.dirty || self.answer.head().is_some_and(|h| !h.keep_alive)
    }

    /// Whether the upstream connection can serve another request.
    pub fn reusable(&self) -> bool {
        self.sent && !self.dirty && self.answer.reusable()
    }

    /// Events that the client was sent; 0 where it wants no stream.
    pub fn events(&self) -> u64 {
        match self.head_sent {
            true => self.mode.events(),
            false => 0,
        }
    }

    /// The status that the client got.
    pub fn status(&self) -> u16 {
        self.answer.head().map_or(0, |h| h.status)
    }

    /// The provider's name for the request, if it told one.
    pub fn request_id(&self) -> &str {
        let head = self.answer.head();
        head.map_or("", |head| request_id::told(&head.headers))
    }

    /// How it ended, for the log.
    pub fn outcome(&self) -> &'static str {
        self.mode.outcome()
    }

    /// More on a failure, for the log.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether a stream was asked for.
    pub fn streams(&self) -> bool {
        self.streaming
    }

    /// Token counts, once known.
    pub fn usage(&self) -> Option<Usage> {
        self.mode.usage()
    }

    /// Why the model stopped, in the provider's word; empty where that is not known.
    pub fn stop(&self) -> &str {
        self.mode.stop()
    }

    /// The model that the answer names; empty where that is not known.
    pub fn served(&self) -> String {
        self.mode.served().into_owned()
    }

    /// The id of the response that the client got to its end, and its items.
    pub fn response(&self) -> Option<(&[u8], &[u8])> {
        self.mode.response()
    }

    /// What was dropped or changed, of the request and of the answer.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().chain(self.mode.diagnostics())
    }

    fn judge_head(&self) -> Result<Body, Error> {
        let Some(head) = self.answer.head() else {
            return Ok(Body::Unknown);
        };
        if !(200..300).contains(&head.status) {
            return Ok(Body::Error);
        }
        let media = media_type(head.headers.get("content-type").unwrap_or(""));
        let is = |name| media.eq_ignore_ascii_case(name);
        if is("text/event-stream") || media.is_empty() && self.streaming {
            return Ok(Body::Stream);
        }
        if is("application/json") || media.is_empty() {
            return Ok(Body::Object);
        }
        let media = media.to_ascii_lowercase();
        Err(upstream::broken(&format!("its content type is {media:?}")))
    }

    /// Writes one piece of the downstream stream: whatever `act` appends, in one chunk, behind
    /// the head if this is the first. `act` says whether the stream is over.
    fn stream(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
        act: impl FnOnce(&mut Self, &mut Vec<u8>) -> Result<bool, Error>,
    ) -> Result<Step, Error> {
        let before = out.len();
        let whole = self.mode.gives_object();
        let first = !self.head_sent && !whole;
        if first {
            self.stream_head(out);
        }
        let begin = if whole {
            out.len()
        } else {
            self.framing.begin(out)
        };
        let body_from = out.len();
        let result = act(self, out);
        if out.len() > body_from {
            self.last_output = Some(now);
        }
        if self.mode.finishing() {
            self.finish_seen.get_or_insert(now);
        }
        let silent = first && !self.head_sent && out.len() == body_from;
        // What is held back to the last piece is an answer all the same.
        let answered = self.holds_end && matches!(result, Ok(true));
        if result.is_err() || silent && !answered {
            // Nothing was committed: no trace of the head may leave.
            out.truncate(before);
            return result.map(|_| Step::More);
        }
        self.head_sent |= !whole;
        let step = match result? {
            true => {
                self.over = true;
                match whole {
                    true => self.end_object(out, begin),
                    false => self.end_stream(out, begin),
                }
            }
            false => {
                if !whole {
                    self.end_piece(out, begin);
                }
                Step::More
            }
        };
        Ok(step)
    }

    fn end_piece(&self, out: &mut Vec<u8>, begin: usize) {
        if self.framing.is_websocket() && self.mode.passes() {
            answer::frames_of_events(out, begin);
        }
        self.framing.end(out, begin);
    }

    fn stream_head(&self, out: &mut Vec<u8>) {
        if self.framing.is_websocket() {
            // There is no head to tell it in.
            let frame = self.quota.iter().flat_map(|quota| &quota.frame);
            return out.extend(frame);
        }
        self.framing.stream_head(out, &self.more_fields());
    }

    /// Says the object that stands in `out` from `begin`.
    fn whole(&self, out: &mut Vec<u8>, begin: usize) {
        self.framing
            .head_before(out, begin, 200, "application/json", &self.more_fields());
    }

    /// What the head says besides its framing: our diagnostics, and what of the provider's own
    /// fields is for the client.
    fn more_fields(&self) -> Vec<(&str, &str)> {
        let mut more = Vec::new();
        if !self.diagnostics_field.is_empty() {
            more.push(("x-strait-diagnostics", self.diagnostics_field.as_str()));
        }
        let quota = self.quota.iter().flat_map(|quota| &quota.fields);
        more.extend(quota.map(|(name, value)| (name.as_str(), value.as_str())));
        let profile = &self.target.provider.profile;
        if let Some(head) = self.answer.head()
            && !profile.headers_return.is_empty()
        {
            let fields = head.headers.iter();
            let ours = |name: &str| name == request_id::FIELD;
            more.extend(fields.filter(|(name, _)| profile.returns(name) && !ours(name)));
        }
        more
    }

    /// Moves the body's pieces through the mode's machine; `true` when the stream is over.
    fn pump(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, Error> {
        let mut over = false;
        loop {
            match self.answer.next(input)? {
                Piece::Body(bytes) if !over => over = self.mode.feed(bytes, out)?,
                Piece::Body(_) | Piece::Head(_) => {}
                Piece::NeedMore => return Ok(over),
                Piece::End if over => return Ok(true),
                Piece::End => {
                    self.finish(UpstreamEnd::Clean, out)?;
                    return Ok(true);
                }
            }
        }
    }

    fn finish(&mut self, end: UpstreamEnd, out: &mut Vec<u8>) -> Result<(), Error> {
        self.mode.finish(end, out)
    }

    /// Takes the body of an object, or of an error. One that comes in one read is not copied.
    fn collect(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<Step, Error> {
        let mut whole: &[u8] = &[];
        loop {
            match self.answer.next(input)? {
                Piece::Body(bytes)
                    if self.body == Body::Object
                        && whole.is_empty()
                        && self.collected.is_empty() =>
                {
                    whole = bytes;
                }
                Piece::Body(bytes) => {
                    self.collected.extend_from_slice(std::mem::take(&mut whole));
                    self.collected.extend_from_slice(bytes);
                    if self.body == Body::Error
                        && self.collected.len() > limits::ERROR_BODY_BYTES_MAX
                    {
                        self.collected.truncate(limits::ERROR_BODY_BYTES_MAX);
                        self.dirty = true;
                        return Err(self.classify());
                    }
                    if self.collected.len() > limits::ANSWER_BYTES_MAX {
                        return Err(upstream::broken("it is too large"));
                    }
                }
                Piece::Head(_) => {}
                Piece::NeedMore => {
                    self.collected.extend_from_slice(whole);
                    return Ok(Step::More);
                }
                Piece::End if self.body == Body::Error => return Err(self.classify()),
                Piece::End if whole.is_empty() => {
                    let body = std::mem::take(&mut self.collected);
                    return self.object(&body, out);
                }
                Piece::End => return self.object(whole, out),
            }
        }
    }

    /// The whole object is there.
    fn object(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Step, Error> {
        let now = self.last_upstream;
        if self.mode.passes() && self.framing.is_websocket() {
            return Err(upstream::broken("it is no stream"));
        }
        if self.mode.passes() {
            self.mode.look_at_object(body);
            self.over = true;
            let begin = out.len();
            out.extend_from_slice(body);
            return Ok(self.end_object(out, begin));
        }
        let Some(now) = now else {
            return Err(early_end(None, false));
        };
        self.stream(now, out, |attempt, out| attempt.mode.feed_object(body, out))
    }

    fn classify(&self) -> Error {
        let Some(head) = self.answer.head() else {
            return early_end(None, false);
        };
        chat::error::classify(
            head.status,
            &self.collected,
            upstream::retry_after_s(&head.headers),
        )
    }

    /// Reads the rest of a body whose content is not needed any more.
    fn tail(&mut self, mut input: &[u8]) -> Result<Step, Error> {
        loop {
            match self.answer.next(&mut input) {
                Ok(Piece::Body(_) | Piece::Head(_)) => {}
                Ok(Piece::NeedMore) => return Ok(Step::Done),
                Ok(Piece::End) => {
                    self.dirty |= !input.is_empty();
                    return Ok(Step::Done);
                }
                Err(_) => {
                    self.dirty = true;
                    return Ok(Step::Done);
                }
            }
        }
    }

    fn set_clock(&mut self, now: Instant) {
        if let Some(started) = self.started {
            let unix_s = self.unix_s + now.duration_since(started).as_secs();
            self.mode.set_now(unix_s);
        }
    }

    fn silent_by(&self) -> Option<Instant> {
        match self.last_upstream {
            Some(last) => Some(last + self.snapshot.timeouts.silence),
            None => self
                .started
                .map(|at| at + self.snapshot.timeouts.first_byte),
        }
    }

    fn hold_until(&self) -> Option<Instant> {
        let begins = match self.body {
            Body::Stream => self.mode.makes_stream() || self.mode.passes(),
            // What is passed through begins with the provider's own status.
            Body::Unknown => self.mode.makes_stream(),
            Body::Error | Body::Object => false,
        };
        (begins && !self.head_sent)
            .then(|| self.started.map(|at| at + self.snapshot.timeouts.hold))
            .flatten()
    }

    fn keepalive_at(&self) -> Option<Instant> {
        let keeps = self.mode.makes_stream() && self.head_sent;
        keeps
            .then(|| {
                self.last_output
                    .map(|at| at + self.snapshot.timeouts.keepalive)
            })
            .flatten()
    }

    fn finish_by(&self) -> Option<Instant> {
        self.finish_seen.map(|at| at + limits::FINISH_GRACE)
    }
}

fn early_end(why: Option<&str>, begun: bool) -> Error {
    let message = match (why, begun) {
        (Some(why), true) => format!("The connection to the provider broke mid-answer: {why}."),
        (Some(why), false) => format!("The connection to the provider broke: {why}."),
        (None, true) => "The provider closed the connection before the answer's end.".to_owned(),
        (None, false) => "The provider closed the connection without an answer.".to_owned(),
    };
    Error::new(Source::Upstream, Kind::UpstreamBroken, message)
}

fn diagnostics_field(diagnostics: &[Diagnostic]) -> String {
    let mut field = String::new();
    for Diagnostic { code, path, .. } in diagnostics {
        if field.len() > 512 {
            field.push_str(", …");
            break;
        }
        if !field.is_empty() {
            field.push_str(", ");
        }
        field.push_str(&format!("{code} {path}"));
    }
    field
}
