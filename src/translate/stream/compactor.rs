//! A provider's answer becomes one `compaction` item: its text, sealed.
//!
//! ```text
//! stream := created in_progress added compacting done completed
//!         | created in_progress incomplete | created in_progress error failed
//! ```
//!
//! Nothing of the answer shows on the way, so nothing need be said before its end: until then, or
//! until the head cannot be held any longer, a failure is an HTTP status.

use super::emit::{Emitter, Status, write_usage};
use super::{Plan, Progress, State, Translator, UpstreamEnd, Usage};
use crate::auth::secret::SealKey;
use crate::error::{Error, Kind, Source};
use crate::json::{Tape, Value, write};
use crate::translate::fold::Fold;
use crate::translate::seal;

/// What reads the provider's answer, and makes one response object of it.
#[derive(Debug)]
pub enum Reader {
    /// Of a chat provider; its plan says [`Json`](super::Sink::Json).
    Chat(Box<Translator>),
    /// Of one that speaks Responses.
    Responses(Box<Fold>),
}

/// What the client gets.
#[derive(Debug, Eq, PartialEq)]
pub enum Form {
    /// A response, whose only item is the compaction.
    Response,
    /// The object of `POST /v1/responses/compact`; these items, comma separated, come before the
    /// compaction.
    Compaction(Vec<u8>),
}

/// The machine. `feed(a ++ b)` writes the same as `feed(a); feed(b)`.
#[derive(Debug)]
pub struct Compactor {
    reader: Reader,
    /// The response object that the reader makes.
    object: Vec<u8>,
    emitter: Emitter,
    form: Form,
    key: SealKey,
    state: State,
    usage: Option<Usage>,
    status: Option<&'static str>,
}

/// How the provider's answer ended.
enum Summary {
    /// Escaped.
    Text(Vec<u8>),
    Cut(&'static str),
}

impl Compactor {
    /// A machine for one exchange. Of `plan`, what concerns tools and reasoning is of no
    /// interest; `key` seals the summary.
    pub fn new(reader: Reader, plan: Plan, form: Form, key: SealKey) -> Self {
        Compactor {
            reader,
            object: Vec::new(),
            emitter: Emitter::new(plan),
            form,
            key,
            state: State::Silent,
            usage: None,
            status: None,
        }
    }

    /// Tells the wall clock, in Unix seconds, for `completed_at`.
    pub fn set_now(&mut self, unix_s: u64) {
        self.emitter.now_s = unix_s;
    }

    /// Takes the next bytes of the provider's stream. An error means that nothing was said to the
    /// client: answer with an HTTP status instead.
    pub fn feed(&mut self, upstream: &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        if self.state == State::Over {
            return Ok(Progress::Terminal);
        }
        let object = &mut self.object;
        let read = match &mut self.reader {
            Reader::Chat(t) => t.feed(upstream, object).map(|p| p == Progress::Terminal),
            Reader::Responses(fold) => fold.feed(upstream, object),
        };
        self.settle(read, out)
    }

    /// Takes a whole object, which came instead of a stream.
    pub fn feed_object(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        let object = &mut self.object;
        let read = match &mut self.reader {
            Reader::Chat(t) => t.feed_object(body, object).map(|_| true),
            Reader::Responses(fold) => {
                fold.feed_object(body, object);
                Ok(true)
            }
        };
        self.settle(read, out)
    }

    /// The provider's stream has ended; appends what the client is still owed.
    pub fn finish(&mut self, end: UpstreamEnd, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.state == State::Over {
            return Ok(());
        }
        let object = &mut self.object;
        let read = match (&mut self.reader, end) {
            // An answer that broke is none, whatever was read of it.
            (_, UpstreamEnd::Broken(error)) => Err(error),
            (Reader::Chat(t), end) => t.finish(end, object),
            (Reader::Responses(fold), end) => fold.finish(end, object),
        };
        self.settle(read.map(|()| true), out).map(drop)
    }

    /// Starts the client's stream (`created`, `in_progress`) although nothing is known yet.
    pub fn commit(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Silent && self.emitter.streams() {
            self.state = State::Committed;
            for kind in ["response.created", "response.in_progress"] {
                self.emitter
                    .response_event(out, kind, &Status::InProgress, None);
            }
        }
    }

    /// Repeats `response.in_progress`, if the stream is committed and not over.
    pub fn keepalive(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Committed {
            self.emitter
                .response_event(out, "response.in_progress", &Status::InProgress, None);
        }
    }

    /// Whether only usage and the end of the provider's stream are outstanding.
    pub fn finishing(&self) -> bool {
        match &self.reader {
            Reader::Chat(t) => self.state != State::Over && t.finishing(),
            Reader::Responses(_) => false,
        }
    }

    /// How many events were written.
    pub fn events(&self) -> u64 {
        self.emitter.events()
    }

    /// Token counts, once the provider gave them.
    pub fn usage(&self) -> Option<Usage> {
        match &self.reader {
            Reader::Chat(t) => t.usage(),
            Reader::Responses(fold) => fold.usage(),
        }
    }

    /// Why the model stopped, once the provider said so.
    pub fn stop(&self) -> &str {
        match &self.reader {
            Reader::Chat(t) => t.stop(),
            Reader::Responses(fold) => &fold.ending().stop,
        }
    }

    /// The model that the answer names.
    pub fn served(&self) -> &str {
        match &self.reader {
            Reader::Chat(t) => t.served(),
            Reader::Responses(fold) => &fold.ending().served,
        }
    }

    /// The id of the response and its items, comma separated, once it has ended well.
    pub fn response(&self) -> Option<(&[u8], &[u8])> {
        let id = self.emitter.plan.response_id.as_bytes();
        let ended = matches!(self.status, Some("completed" | "incomplete"));
        (ended && self.form == Form::Response).then_some((id, self.emitter.output()))
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

    /// `completed`, `incomplete` or `failed`, once over.
    pub fn status(&self) -> Option<&'static str> {
        self.status
    }

    fn settle(&mut self, read: Result<bool, Error>, out: &mut Vec<u8>) -> Result<Progress, Error> {
        let told = match read {
            Ok(false) => return Ok(Progress::Silent),
            Ok(true) => {
                self.usage = self.usage();
                self.tell(out)
            }
            Err(error) => Err(error),
        };
        let committed = self.state == State::Committed;
        let Err(error) = told else {
            self.state = State::Over;
            return Ok(Progress::Terminal);
        };
        self.state = State::Over;
        self.status = Some("failed");
        if !committed {
            return Err(error);
        }
        self.emitter.end(out, &Status::Failed(&error), self.usage);
        Ok(Progress::Terminal)
    }

    /// The provider's answer is whole: says what came of it. An error has said nothing.
    fn tell(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let object = std::mem::take(&mut self.object);
        let mut tape = Tape::new();
        let summary = match tape.parse(&object) {
            Ok(response) => summary_of(response)?,
            Err(_) => return Err(unusable("is not JSON")),
        };
        let status = match summary {
            Summary::Text(text) => {
                let nonce = self.emitter.nonce();
                self.item(&seal::seal_summary(&self.key, nonce, text), out);
                Status::Completed
            }
            Summary::Cut(reason) if self.form != Form::Response => return Err(cut(reason)),
            Summary::Cut(reason) => {
                self.commit(out);
                Status::Incomplete(reason)
            }
        };
        self.status = Some(status.name());
        match &self.form {
            Form::Compaction(kept) => self.object_of(kept, out),
            Form::Response if !self.emitter.streams() => {
                self.emitter.snapshot(out, &status, self.usage);
            }
            Form::Response => self.emitter.end(out, &status, self.usage),
        }
        Ok(())
    }

    fn item(&mut self, envelope: &str, out: &mut Vec<u8>) {
        self.commit(out);
        let id = self.emitter.id("cmp_");
        let item = |content: &str| {
            let item = format!(
                "{{\"id\":\"{id}\",\"type\":\"compaction\",\"encrypted_content\":\"{content}\"}}"
            );
            item.into_bytes()
        };
        self.emitter
            .item_added(out, |out| out.extend_from_slice(&item("")));
        let kind = "response.compaction.compacting";
        self.emitter.item_event(out, kind, &id, None, |_| {});
        self.emitter.item_done(out, &item(envelope));
    }

    /// The object that `POST /v1/responses/compact` answers.
    fn object_of(&self, kept: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(self.emitter.plan.response_id.as_bytes());
        out.extend_from_slice(b"\",\"object\":\"response.compaction\",\"created_at\":");
        write::uint(out, self.emitter.plan.created_at);
        out.extend_from_slice(b",\"output\":[");
        out.extend_from_slice(kept);
        if !kept.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(self.emitter.output());
        out.extend_from_slice(b"],\"usage\":");
        match self.usage {
            Some(usage) => write_usage(out, usage),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
}

/// The text of all messages of a response.
fn summary_of(response: Value<'_>) -> Result<Summary, Error> {
    if response.str("status").is_some_and(|s| s == "incomplete") {
        let reason = response
            .present("incomplete_details")
            .and_then(|d| d.str("reason"));
        let filtered = reason.is_some_and(|r| r == "content_filter");
        return Ok(Summary::Cut(match filtered {
            true => "content_filter",
            false => "max_output_tokens",
        }));
    }
    let mut text = Vec::new();
    let mut blank = true;
    let output = response.present("output");
    let items = output.iter().flat_map(|o| o.items());
    for part in items
        .filter(|i| i.str("type").is_some_and(|t| t == "message"))
        .filter_map(|i| i.present("content"))
        .flat_map(|content| content.items())
    {
        if part.present("refusal").is_some() {
            return Err(Error::new(
                Source::Upstream,
                Kind::ContentFilter,
                "The model refused to write the summary; nothing was compacted.",
            ));
        }
        if let Some(said) = part.str("text") {
            blank &= said.text().trim().is_empty();
            said.splice(&mut text);
        }
    }
    match blank {
        true => Err(unusable("holds no text")),
        false => Ok(Summary::Text(text)),
    }
}

fn unusable(why: &str) -> Error {
    let message = format!("The provider's summary {why}; nothing was compacted.");
    Error::new(Source::Upstream, Kind::UpstreamBroken, message)
}

/// The summary has no end, and the client's dialect no way to say so. Asking again would not help.
fn cut(reason: &str) -> Error {
    let (kind, message) = match reason {
        "content_filter" => (
            Kind::ContentFilter,
            "The provider's content filter cut the summary off; nothing was compacted.",
        ),
        _ => (
            Kind::BadRequest,
            "The summary is longer than the model may answer; nothing was compacted.",
        ),
    };
    Error::new(Source::Upstream, kind, message).with_code(reason)
}

#[cfg(test)]
#[path = "compactor_tests.rs"]
mod tests;
