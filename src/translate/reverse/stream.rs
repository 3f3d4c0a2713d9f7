//! A stream of Responses events becomes chat chunks (SPEC 3.8).

mod calls;
mod emit;
mod events;
pub(in crate::translate) mod failure;
mod items;
mod said;
mod stop;

use crate::auth::secret::SealKey;
use crate::error::Error;
use crate::json::{Kind, Tape, with_tape};
use crate::limits;
use crate::sse::{FeedError, Frames};
use crate::translate::ending::Ending;
pub use crate::translate::stream::{Progress, Sink, UpstreamEnd, Usage};
use emit::Emitter;
use items::Item;
use said::Said;
use stop::Stops;

/// All that the machine needs to know of the exchange.
#[derive(Debug)]
pub struct Plan {
    /// How the answer leaves.
    pub sink: Sink,
    /// The answer's id, `chatcmpl-…`.
    pub id: String,
    /// Unix seconds.
    pub created: u64,
    /// The model, as requested.
    pub model: String,
    /// A stream ends with a usage chunk.
    pub include_usage: bool,
    /// Names of the tools that the client declared as custom.
    pub custom_tools: Vec<String>,
    /// A call is answered as `function_call`.
    pub legacy_functions: bool,
    /// Where the text has to end.
    pub stop: Vec<String>,
    /// Random bytes for ids and nonces.
    pub seed: [u8; 32],
    /// Seal the provider's encrypted reasoning, so that it goes back to no other: the key and
    /// the profile's name. Where absent it passes as it is.
    pub seal: Option<(SealKey, String)>,
}

/// The machine: one upstream stream of events becomes one downstream stream of chunks.
/// `feed(a ++ b)` writes the same as `feed(a); feed(b)`.
///
/// ```text
/// stream := { delta } end
/// end    := [annotations] finish_reason [usage] "[DONE]" | error "[DONE]"
/// ```
///
/// Nothing is said before the first output, so that an error until then can be an HTTP status.
#[derive(Debug)]
pub struct Translator {
    emitter: Emitter,
    frames: Frames,
    state: State,
    items: Vec<Item>,
    stops: Stops,
    said: Said,
    /// How many calls there are.
    calls: u64,
    /// How many pieces of encrypted reasoning were passed on.
    sealed: u64,
    custom_tools: Vec<String>,
    legacy_functions: bool,
    seal: Option<(SealKey, String)>,
    seed: [u8; 32],
    usage: Option<Usage>,
    ending: Ending,
    status: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Nothing was said.
    Silent,
    /// A chunk was.
    Committed,
    /// The end was.
    Over,
}

impl Translator {
    /// A machine for one exchange.
    pub fn new(plan: Plan) -> Self {
        Translator {
            emitter: Emitter::new(&plan),
            frames: Frames::new(),
            state: State::Silent,
            items: Vec::new(),
            stops: Stops::new(plan.stop),
            said: Said::default(),
            calls: 0,
            sealed: 0,
            custom_tools: plan.custom_tools,
            legacy_functions: plan.legacy_functions,
            seal: plan.seal,
            seed: plan.seed,
            usage: None,
            ending: Ending::default(),
            status: None,
        }
    }

    /// Takes the next bytes of the upstream body (SSE) and appends whole chunks.
    /// An error means that nothing was committed: answer with an HTTP status instead.
    pub fn feed(&mut self, upstream: &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        let mut frames = std::mem::take(&mut self.frames);
        let result = frames.feed(upstream, |frame| self.frame(frame.event, frame.data, out));
        self.frames = frames;
        self.settle(result, out)
    }

    /// Takes a whole Response object instead of a stream.
    pub fn feed_object(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        let mut tape = Tape::new();
        let result = match tape.parse(body) {
            Err(e) => Err(failure::broken(&format!(
                "The provider's answer is not JSON: {e}."
            ))),
            Ok(_) if self.state == State::Over => Ok(()),
            Ok(object) => self.object(object, out),
        };
        self.settle(result.map_err(FeedError::Frame), out)
    }

    /// Says who speaks, although there may be no output yet.
    pub fn commit(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Silent {
            self.state = State::Committed;
            self.emitter.role(out);
        }
    }

    /// Appends a comment, if the stream is committed and not over.
    pub fn keepalive(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Committed && self.emitter.is_sse() {
            out.extend_from_slice(b": keepalive\n\n");
        }
    }

    /// The upstream body has ended. Appends what the client is still owed: an end, exactly one.
    /// An error means that nothing was committed. A no-op after an end.
    pub fn finish(&mut self, end: UpstreamEnd, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut frames = std::mem::take(&mut self.frames);
        let result = match end {
            UpstreamEnd::Clean => frames.finish(|f| self.frame(f.event, f.data, out)),
            UpstreamEnd::Broken(error) => Err(FeedError::Frame(error)),
        };
        self.settle(result, out)?;
        if self.state != State::Over {
            self.fail(failure::truncated(), out)?;
        }
        Ok(())
    }

    /// Whether only usage and the end are outstanding: never, since the event that says how an
    /// answer ended holds both.
    pub fn finishing(&self) -> bool {
        false
    }

    /// How many chunks were written.
    pub fn events(&self) -> u64 {
        self.emitter.events()
    }

    /// Token counts, once the provider gave them.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// What the answer said of itself at its end.
    pub fn ending(&self) -> &Ending {
        &self.ending
    }

    /// `completed`, `incomplete` or `failed`, once over.
    pub fn status(&self) -> Option<&'static str> {
        self.status
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
                let error = failure::broken("The provider sent a frame that is too large.");
                self.fail(error, out)?;
            }
        }
        Ok(match self.state {
            State::Over => Progress::Terminal,
            State::Committed if self.emitter.is_sse() => Progress::Committed,
            _ => Progress::Silent,
        })
    }

    fn frame(&mut self, event: &[u8], data: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let data = data.trim_ascii();
        if self.state == State::Over || data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            return Err(failure::truncated());
        }
        with_tape(|tape| match tape.parse(data) {
            Err(_) => Err(failure::broken(
                "The provider sent an event that is not JSON.",
            )),
            Ok(value) if value.kind() != Kind::Object => Ok(()),
            Ok(value) => self.event(event, value, out),
        })?;
        if self.state == State::Silent && self.emitter.has_begun() {
            self.state = State::Committed;
        }
        if self.emitter.kept > limits::ANSWER_BYTES_MAX {
            return Err(failure::broken("The provider's answer is too large."));
        }
        Ok(())
    }

    /// The answer ended well, or as well as can be.
    fn end(&mut self, status: &'static str, reason: &str, out: &mut Vec<u8>) {
        self.state = State::Over;
        self.status = Some(status);
        self.emitter.end(out, reason, self.usage);
    }

    /// Before commit the error is the caller's to tell; after it, it is the end.
    fn fail(&mut self, error: Error, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.state == State::Over {
            return Ok(());
        }
        // A chunk of the very frame that failed may have been written.
        let committed = self.state == State::Committed || self.emitter.has_begun();
        if committed && self.emitter.is_sse() {
            self.flush(out);
            self.emitter.failed(out, &error);
        }
        self.state = State::Over;
        self.status = Some("failed");
        match committed && self.emitter.is_sse() {
            true => Ok(()),
            false => Err(error),
        }
    }
}

#[cfg(test)]
mod calls_tests;
#[cfg(test)]
mod ends_tests;
#[cfg(test)]
mod props_tests;
#[cfg(test)]
mod said_tests;
#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
