//! A chat stream becomes Responses events.

use crate::auth::secret::SealKey;
use crate::error::Error;
use crate::responses::tool::ToolTable;

/// How events leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sink {
    /// `event:` and `data:` lines.
    Sse,
    /// Nothing until the end, then the final object alone.
    Json,
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
    /// `<think>` tags inside content are reasoning.
    pub think_tags: bool,
    /// Refusals are sent as `output_text`: Codex drops a message with a refusal part.
    pub refusal_as_text: bool,
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

/// Token counts, as the Responses API counts them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// All input tokens.
    pub input: u64,
    /// Of these, read from the provider's cache.
    pub cached: u64,
    /// Of these, written to the provider's cache.
    pub cache_write: u64,
    /// All output tokens, reasoning included.
    pub output: u64,
    /// Of these, reasoning.
    pub reasoning: u64,
}

/// The event machine: one upstream stream becomes one downstream stream.
/// `feed(a ++ b)` writes the same as `feed(a); feed(b)`.
#[derive(Debug)]
pub struct Translator {
    _plan: Plan,
}

impl Translator {
    /// A machine for one exchange.
    pub fn new(plan: Plan) -> Self {
        Translator { _plan: plan }
    }

    /// Takes the next bytes of the upstream body (SSE) and appends whole downstream events.
    /// An error means that nothing was committed: answer with an HTTP status instead.
    pub fn feed(&mut self, _upstream: &[u8], _out: &mut Vec<u8>) -> Result<Progress, Error> {
        unimplemented!()
    }

    /// Takes a whole `chat.completion` object instead of a stream.
    pub fn feed_object(&mut self, _body: &[u8], _out: &mut Vec<u8>) -> Result<Progress, Error> {
        unimplemented!()
    }

    /// Starts the stream (`created`, `in_progress`) although there is no output yet.
    pub fn commit(&mut self, _out: &mut Vec<u8>) {
        unimplemented!()
    }

    /// The upstream body has ended. Appends what the client is still owed, exactly one terminal
    /// event (and `[DONE]`). An error means that nothing was committed. A no-op after a terminal.
    pub fn finish(&mut self, _end: UpstreamEnd, _out: &mut Vec<u8>) -> Result<(), Error> {
        unimplemented!()
    }

    /// Repeats `response.in_progress`, if the stream is committed and not over.
    pub fn keepalive(&mut self, _out: &mut Vec<u8>) {
        unimplemented!()
    }

    /// Whether `finish_reason` was seen, so that only usage and the end are outstanding.
    pub fn finishing(&self) -> bool {
        unimplemented!()
    }

    /// Token counts, once the provider gave them.
    pub fn usage(&self) -> Option<Usage> {
        unimplemented!()
    }

    /// `completed`, `incomplete` or `failed`, once over.
    pub fn status(&self) -> Option<&'static str> {
        unimplemented!()
    }
}
