//! A chat stream becomes Responses events.

mod append;
mod call;
mod carrier;
mod chunk;
mod compactor;
mod emit;
mod item;
mod plain;
mod predict;
mod source;
mod think;
mod tracker;
mod unwrap;
mod view;

use crate::auth::secret::SealKey;
use crate::chat;
use crate::error::{Error, Kind, Source};
use crate::json::with_tape;
pub use crate::ledger::usage::Usage;
use crate::provider::Profile;
use crate::responses::tool::ToolTable;
use crate::sse::{FeedError, Frames};
use crate::translate::diagnostic::Diagnostic;
use call::Calls;
use carrier::Carrier;
pub use compactor::{Compactor, Form, Reader};
use emit::{Emitter, Status};
use item::Open;
use predict::Predictor;
use source::Sources;
use think::Think;
use view::Root;

/// How events leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sink {
    /// `event:` and `data:` lines.
    Sse,
    /// Nothing until the end, then the final object alone.
    Json,
    /// A WebSocket frame each.
    WebSocket,
}

/// All that the event machine needs to know of the exchange.
#[derive(Debug)]
pub struct Plan {
    /// How events leave.
    pub sink: Sink,
    /// The response's id, `resp_…`.
    pub response_id: String,
    /// Unix seconds.
    pub created_at: u64,
    /// JSON members of the snapshot that echo the request: `"instructions":null,…,"tools":[…]`,
    /// without the surrounding braces. See `translate::snapshot`.
    pub echo: Vec<u8>,
    /// The tools, to turn calls back.
    pub tools: ToolTable,
    /// Show reasoning as a summary (else as reasoning text).
    pub reasoning_summary: bool,
    /// Seal reasoning into `encrypted_content`: the key and the profile's name.
    pub seal: Option<(SealKey, String)>,
    /// Random bytes for ids and nonces.
    pub seed: [u8; 32],
    /// How the provider's streams differ.
    pub rules: Rules,
    /// The provider may search the web by itself, which becomes an item.
    pub web_search: bool,
    /// Refusals are sent as `output_text`: Codex drops a message with a refusal part.
    pub refusal_as_text: bool,
    /// The terminal event of a stream is held back, see [`Translator::say_end`].
    pub hold_end: bool,
}

/// How the streams of a provider differ from the plain form, see [`Profile`].
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Tags inside content around reasoning.
    pub think_tags: Vec<String>,
    /// The first of these tags is open from the start.
    pub think_prefilled: bool,
    /// Texts repeat what was sent before.
    pub cumulative: bool,
    /// Events that are no JSON are skipped.
    pub lenient_sse: bool,
}

impl Rules {
    /// Those of a profile.
    pub fn of(profile: &Profile) -> Self {
        Rules {
            think_tags: profile.think_tags.clone(),
            think_prefilled: profile.think_prefilled,
            cumulative: profile.cumulative,
            lenient_sse: profile.lenient_sse,
        }
    }
}

/// What a call of [`Translator::feed`] led to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// Nothing was said to the client yet; an error can still be an HTTP status.
    Silent,
    /// Output has begun.
    Committed,
    /// The terminal event was written; nothing more will come.
    Terminal,
}

/// How the upstream body ended.
#[derive(Clone, Debug)]
pub enum UpstreamEnd {
    /// As its framing says it should.
    Clean,
    /// Otherwise; the error is what the client is told.
    Broken(Error),
}

/// The event machine: one upstream stream becomes one downstream stream.
/// `feed(a ++ b)` writes the same as `feed(a); feed(b)`.
///
/// ```text
/// stream   := created in_progress { item } terminal
/// item     := added body done            one after another, never interleaved
/// terminal := completed | incomplete | error failed
/// ```
#[derive(Debug)]
pub struct Translator {
    emitter: Emitter,
    frames: Frames,
    state: State,
    open: Open,
    calls: Calls,
    think: Think,
    /// Which field reasoning comes in; the first one that is not empty is locked.
    reasoning_source: Option<&'static str>,
    /// White space that came while no message was open: it belongs to the next text, if any.
    held_space: Vec<u8>,
    /// Text that came while a call was unfinished: it follows the calls.
    late_text: Vec<u8>,
    /// Frames that are known by heart.
    predictor: Predictor,
    /// What the provider wants back besides the text of its reasoning.
    carrier: Carrier,
    /// What the provider's web search found.
    sources: Sources,
    /// What was said so far, where texts repeat it.
    repeated: Option<Box<Repeated>>,
    /// A delta was seen, so that a whole message repeats it.
    deltas: bool,
    finish: Option<Finish>,
    /// Why it stopped, and which model it was, in the provider's words.
    stop: String,
    served: String,
    usage: Option<Usage>,
    dropped: Vec<Diagnostic>,
    status: Option<&'static str>,
    answer_bytes: usize,
}

/// What was said so far, for providers that repeat it.
#[derive(Debug, Default)]
struct Repeated {
    reasoning: Vec<u8>,
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Nothing was said.
    Silent,
    /// `created` and `in_progress` were.
    Committed,
    /// The terminal event was.
    Over,
}

/// What the provider's `finish_reason` means (Chat API, and what providers made of it).
#[derive(Clone, Debug)]
enum Finish {
    Completed,
    Failed(String),
    Incomplete(&'static str),
}

impl Finish {
    fn of(reason: &str) -> Finish {
        match reason {
            "length" | "max_tokens" | "model_context_window_exceeded" | "repetition_truncation" => {
                Finish::Incomplete("max_output_tokens")
            }
            "content_filter" | "sensitive" | "safety" => Finish::Incomplete("content_filter"),
            "network_error"
            | "insufficient_system_resource"
            | "error"
            | "abort"
            | "unknown"
            | "none" => Finish::Failed(reason.to_owned()),
            _ => Finish::Completed,
        }
    }
}

impl Translator {
    /// A machine for one exchange.
    pub fn new(plan: Plan) -> Self {
        let think = Think::new(&plan.rules.think_tags, plan.rules.think_prefilled);
        Translator {
            emitter: Emitter::new(plan),
            frames: Frames::new(),
            state: State::Silent,
            open: Open::None,
            calls: Calls::default(),
            think,
            reasoning_source: None,
            held_space: Vec::new(),
            late_text: Vec::new(),
            predictor: Predictor::default(),
            carrier: Carrier::default(),
            sources: Sources::default(),
            repeated: None,
            deltas: false,
            finish: None,
            stop: String::new(),
            served: String::new(),
            usage: None,
            dropped: Vec::new(),
            status: None,
            answer_bytes: 0,
        }
    }

    /// How many frames were translated without a parse, because all of their bytes but one
    /// string's were those of an earlier one.
    pub fn predicted_frames(&self) -> u64 {
        self.predictor.hits()
    }

    /// Translates every frame the slow way, for tests that compare.
    pub fn without_prediction(mut self) -> Self {
        self.predictor.switch_off();
        self
    }

    /// Tells the wall clock, in Unix seconds, for `completed_at`.
    pub fn set_now(&mut self, unix_s: u64) {
        self.emitter.now_s = unix_s;
    }

    /// Takes the next bytes of the upstream body (SSE) and appends whole downstream events.
    /// An error means that nothing was committed: answer with an HTTP status instead.
    pub fn feed(&mut self, upstream: &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        let used = match self.frames.idle() && !self.predictor.pausing() {
            true => self.predicted(upstream, out),
            false => 0,
        };
        if used < upstream.len() {
            self.feed_rest(&upstream[used..], out)?;
        }
        Ok(self.progress())
    }

    /// Takes bytes that do not begin with a frame that is known by heart.
    #[inline(never)]
    fn feed_rest(&mut self, upstream: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let mut rest = upstream;
        while !rest.is_empty() {
            let (frame, tail) = match self.plain(rest, out) {
                Some(len) => rest.split_at(len),
                None => {
                    let (frame, tail) = rest.split_at(predict::frame_len(rest));
                    self.frames_of(frame, out)?;
                    (frame, tail)
                }
            };
            self.learn(frame);
            rest = tail;
            if self.frames.idle() && !self.predictor.pausing() {
                rest = &rest[self.predicted(rest, out)..];
            }
        }
        Ok(())
    }

    fn frames_of(&mut self, upstream: &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        // A frame whose beginning came earlier was not compared with what is known by heart.
        let mut cut = !self.frames.idle();
        let mut frames = std::mem::take(&mut self.frames);
        let result = frames.feed(upstream, |frame| {
            let known = std::mem::take(&mut cut) && self.predicted_data(&frame, out);
            if known {
                Ok(())
            } else {
                self.frame(frame.event, frame.data, out)
            }
        });
        self.frames = frames;
        self.settle(result, out)
    }

    fn settle(
        &mut self,
        result: Result<(), FeedError<Error>>,
        out: &mut Vec<u8>,
    ) -> Result<Progress, Error> {
        match result {
            Ok(()) => {}
            Err(FeedError::Frame(error)) => self.fail(error, out)?,
            Err(FeedError::TooLarge) => {
                let message = "The provider sent a frame that is too large.";
                self.fail(
                    Error::new(Source::Upstream, Kind::UpstreamBroken, message),
                    out,
                )?;
            }
        }
        Ok(self.progress())
    }

    fn progress(&self) -> Progress {
        match self.state {
            State::Over => Progress::Terminal,
            State::Committed if self.emitter.streams() => Progress::Committed,
            _ => Progress::Silent,
        }
    }

    fn frame(&mut self, event: &[u8], data: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if self.state == State::Over {
            return Ok(());
        }
        let data = data.trim_ascii();
        if data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            return self.conclude(out);
        }
        with_tape(|tape| match tape.parse(data) {
            Err(_) if self.emitter.plan.rules.lenient_sse => Ok(()),
            Err(_) => {
                let message = "The provider sent an event that is not JSON.";
                Err(Error::new(Source::Upstream, Kind::UpstreamBroken, message))
            }
            Ok(chunk) => match Root::of(chunk) {
                root if root.is_error(event) => Err(chat::error::classify(200, data, None)),
                root => {
                    let before = self.emitter.events();
                    let result = self.chunk(&root, out);
                    if self.emitter.events() == before + 1 && event.is_empty() {
                        self.consider(chunk, data.len());
                    }
                    result
                }
            },
        })
    }

    /// Takes a whole `chat.completion` object instead of a stream.
    pub fn feed_object(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        let result = with_tape(|tape| match tape.parse(body) {
            Err(e) => {
                let message = format!("The provider's answer is not JSON: {e}.");
                Err(Error::new(Source::Upstream, Kind::UpstreamBroken, message))
            }
            Ok(object) => match Root::of(object) {
                root if root.is_error(b"") => Err(chat::error::classify(200, body, None)),
                root if root.choices().and_then(|c| c.items().next()).is_none() => {
                    let message = "The provider's answer holds no choice.";
                    Err(Error::new(Source::Upstream, Kind::UpstreamBroken, message))
                }
                root => self.chunk(&root, out).and_then(|()| self.conclude(out)),
            },
        });
        self.settle(result.map_err(FeedError::Frame), out)
    }

    /// Starts the stream (`created`, `in_progress`) although there may be no output yet.
    pub fn commit(&mut self, out: &mut Vec<u8>) {
        if self.state != State::Silent {
            return;
        }
        self.state = State::Committed;
        self.emitter.begin_response(out);
    }

    /// Says a whole response without output, for a request that wants none.
    pub fn say_nothing(&mut self, out: &mut Vec<u8>) {
        self.commit(out);
        self.end(&Status::Completed, out);
    }

    /// The upstream body has ended. Appends what the client is still owed, exactly one terminal
    /// event (and `[DONE]`). An error means that nothing was committed. A no-op after a terminal.
    pub fn finish(&mut self, end: UpstreamEnd, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut frames = std::mem::take(&mut self.frames);
        let result = match end {
            UpstreamEnd::Clean => frames.finish(|f| self.frame(f.event, f.data, out)),
            UpstreamEnd::Broken(error) => Err(FeedError::Frame(error)),
        };
        if self.state == State::Over {
            return Ok(());
        }
        self.settle(result, out)?;
        if self.state != State::Over {
            let result = match self.finish {
                Some(_) => self.conclude(out),
                None => {
                    let message = "The provider's stream ended before finish_reason.";
                    Err(Error::new(Source::Upstream, Kind::UpstreamBroken, message))
                }
            };
            self.settle(result.map_err(FeedError::Frame), out)?;
        }
        Ok(())
    }

    /// Repeats `response.in_progress`, if the stream is committed and not over.
    pub fn keepalive(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Committed {
            self.emitter
                .response_event(out, "response.in_progress", &Status::InProgress, None);
        }
    }

    /// Whether `finish_reason` was seen, so that only usage and the end are outstanding.
    pub fn finishing(&self) -> bool {
        self.finish.is_some() && self.state != State::Over
    }

    /// How many events were written.
    pub fn events(&self) -> u64 {
        self.emitter.events()
    }

    /// The provider's `finish_reason`, once it gave one.
    pub fn stop(&self) -> &str {
        &self.stop
    }

    /// The model that the chunk with it names.
    pub fn served(&self) -> &str {
        &self.served
    }

    /// Token counts, once the provider gave them.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The id of the response and its items, comma separated, once it has ended well.
    pub fn response(&self) -> Option<(&[u8], &[u8])> {
        let id = self.emitter.plan.response_id.as_bytes();
        matches!(self.status, Some("completed" | "incomplete"))
            .then_some((id, self.emitter.output()))
    }

    /// The response object of the terminal event that is held back, once.
    pub fn take_held(&mut self) -> Option<Vec<u8>> {
        self.emitter.held.take()
    }

    /// Says the terminal event that was held back, with this response object.
    pub fn say_end(&mut self, response: &[u8], out: &mut Vec<u8>) {
        let status = self.status.unwrap_or("completed");
        self.emitter.say_end(status, response, out);
    }

    /// What of the answer had no place in the client's dialect.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.dropped
    }

    /// `completed`, `incomplete` or `failed`, once over.
    pub fn status(&self) -> Option<&'static str> {
        self.status
    }

    /// The provider is done: closes what is open and says how it ended.
    fn conclude(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let finish = match self.finish.take() {
            Some(finish) => finish,
            // `[DONE]` without a reason: fine if there is output and no call is cut.
            None if self.state == State::Committed && self.calls.all_complete() => {
                Finish::Completed
            }
            None => {
                let message = "The provider's stream ended before finish_reason.";
                return Err(Error::new(Source::Upstream, Kind::UpstreamBroken, message));
            }
        };
        if let Finish::Failed(reason) = finish {
            let message = format!("The provider ended its answer early: {reason}.");
            return Err(Error::new(Source::Upstream, Kind::UpstreamBroken, message));
        }
        self.commit(out);
        self.emitter.make_room(out, self.open.text_len());
        let cut = matches!(finish, Finish::Incomplete(_));
        self.flush_think(out);
        self.close_all(cut, out);
        self.close_search(out);
        if !cut {
            self.carry(out);
        }
        let status = match finish {
            Finish::Incomplete(reason) => Status::Incomplete(reason),
            _ => Status::Completed,
        };
        self.end(&status, out);
        Ok(())
    }

    fn end(&mut self, status: &Status<'_>, out: &mut Vec<u8>) {
        self.state = State::Over;
        self.status = Some(status.name());
        if !self.emitter.streams() {
            return self.emitter.snapshot(out, status, self.usage);
        }
        self.emitter.end(out, status, self.usage);
    }

    /// Before commit the error is the caller's to tell; after it, it is the terminal event.
    fn fail(&mut self, error: Error, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.state == State::Over {
            return Ok(());
        }
        if self.state == State::Silent || !self.emitter.streams() {
            self.state = State::Over;
            self.status = Some("failed");
            return Err(error);
        }
        self.close_all(true, out);
        self.end(&Status::Failed(&error), out);
        Ok(())
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
