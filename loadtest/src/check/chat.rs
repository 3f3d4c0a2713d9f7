//! Chat completions, held against the script.

use super::{Fault, Notes, Part, Subject, parse};
use crate::answers::Api;
use crate::sse::{Splitter, fields};
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default, borrow)]
    choices: Vec<Choice<'a>>,
    #[serde(default)]
    usage: Option<serde_json::Value>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default, borrow)]
    delta: Option<Message<'a>>,
    #[serde(default, borrow)]
    message: Option<Message<'a>>,
    #[serde(default, borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
struct Message<'a> {
    #[serde(default, borrow)]
    content: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default, borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(default, borrow)]
    arguments: Option<Cow<'a, str>>,
}

/// A chat stream. While it is the provider's own bytes, they are compared as they are; from the
/// first difference on, events are parsed and what they say is compared.
pub struct ChatStream {
    subject: Subject,
    /// Bytes that were as the provider sent them; `None` once they differ.
    same: Option<usize>,
    /// Deltas within `same`.
    step: usize,
    splitter: Splitter,
    parsed: usize,
    finished: bool,
    done: usize,
    fault: Option<Fault>,
}

impl ChatStream {
    /// Nothing read yet.
    pub(super) fn new(subject: Subject) -> ChatStream {
        ChatStream {
            subject,
            same: Some(0),
            step: 0,
            splitter: Splitter::default(),
            parsed: 0,
            finished: false,
            done: 0,
            fault: None,
        }
    }

    pub(super) fn events(&self) -> usize {
        self.step + self.parsed
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let Some(at) = self.same else {
            return self.parse(bytes);
        };
        let answers = self.subject.answers.clone();
        let stream = answers.stream(Api::Chat, true, self.subject.variant);
        let agrees = stream.plain.agrees(at, bytes, &self.subject.id);
        let now = at + agrees;
        while stream
            .steps
            .get(self.step)
            .is_some_and(|s| s.plain_end <= now)
        {
            self.step += 1;
        }
        self.same = Some(now);
        if agrees == bytes.len() {
            return;
        }
        // Go back to where the last delta ended, and parse from there.
        let mut from = 0;
        if let Some(step) = self.step.checked_sub(1).map(|s| stream.steps[s]) {
            from = step.plain_end;
            self.subject.text = step.text;
            self.subject.reasoning = step.reasoning;
            self.subject.arguments = step.arguments;
        }
        let mut again = Vec::new();
        stream.plain.copy(from..now, &self.subject.id, &mut again);
        self.same = None;
        self.parse(&again);
        self.parse(&bytes[agrees..]);
    }

    fn parse(&mut self, bytes: &[u8]) {
        let mut splitter = std::mem::take(&mut self.splitter);
        let fits = splitter.feed(bytes, &mut |block| {
            if self.fault.is_none() {
                self.fault = self.block(block).err();
            }
        });
        self.splitter = splitter;
        if !fits {
            self.fault = Some(Fault::Garbled("an event without end".into()));
        }
    }

    fn block(&mut self, block: &[u8]) -> Result<(), Fault> {
        let (_, data) = fields(block);
        if data.is_empty() {
            return Ok(());
        }
        if self.done > 0 {
            return Err(Fault::Garbled("an event after [DONE]".into()));
        }
        if &*data == b"[DONE]" {
            self.done += 1;
            return Ok(());
        }
        let chunk: Chunk<'_> = parse(&data)?;
        if let Some(error) = chunk.error {
            return Err(Fault::Failed(error.to_string()));
        }
        if chunk.usage.is_some_and(|u| u.is_object()) {
            self.subject.notes.insert("usage");
        }
        for choice in chunk.choices {
            let delta = choice.delta.unwrap_or_default();
            self.parsed += take(&mut self.subject, &delta)?;
            self.finished |= choice.finish_reason.is_some();
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Notes, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if let Some(at) = self.same {
            let answers = &self.subject.answers;
            let all = answers.stream(Api::Chat, true, self.subject.variant);
            return match all.plain.bytes.len() {
                n if n == at => Ok(Notes::from(["unchanged"])),
                n => Err(Fault::Lost(format!("{at} of {n} bytes"))),
            };
        }
        self.subject.complete()?;
        if !self.splitter.is_empty() {
            return Err(Fault::Lost("the last event has no end".into()));
        }
        if self.done == 0 {
            return Err(Fault::Lost("no [DONE]".into()));
        }
        if !self.finished {
            return Err(Fault::Lost("no finish_reason".into()));
        }
        if !self.subject.notes.remove("usage") {
            self.subject.notes.insert("no usage");
        }
        Ok(self.subject.notes)
    }
}

/// Takes a message's deltas and returns how many there were.
fn take(subject: &mut Subject, message: &Message<'_>) -> Result<usize, Fault> {
    let mut count = 0;
    let parts = [
        (Part::Reasoning, &message.reasoning_content),
        (Part::Text, &message.content),
    ];
    for (part, delta) in parts {
        if let Some(delta) = delta.as_deref().filter(|d| !d.is_empty()) {
            subject.delta(part, delta)?;
            count += 1;
        }
    }
    for call in message.tool_calls.iter().flatten() {
        let arguments = call.function.as_ref().and_then(|f| f.arguments.as_deref());
        if let Some(delta) = arguments.filter(|a| !a.is_empty()) {
            subject.delta(Part::Arguments, delta)?;
            count += 1;
        }
    }
    Ok(count)
}

/// A chat answer in one piece.
pub struct ChatObject {
    subject: Subject,
    body: Vec<u8>,
}

impl ChatObject {
    /// Nothing read yet.
    pub(super) fn new(subject: Subject) -> ChatObject {
        ChatObject {
            subject,
            body: Vec::new(),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }

    pub(super) fn finish(mut self) -> Result<Notes, Fault> {
        let answers = self.subject.answers.clone();
        let wanted = answers.object(Api::Chat, self.subject.variant);
        if self.body.len() == wanted.bytes.len() && wanted.matches(0, &self.body, &self.subject.id)
        {
            return Ok(Notes::from(["unchanged"]));
        }
        let object: Chunk<'_> = parse(&self.body)?;
        if let Some(error) = object.error.filter(|e| !e.is_null()) {
            return Err(Fault::Failed(error.to_string()));
        }
        for choice in object.choices {
            take(&mut self.subject, &choice.message.unwrap_or_default())?;
        }
        self.subject.complete()?;
        Ok(self.subject.notes)
    }
}
