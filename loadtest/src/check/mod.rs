//! Is the answer what the script says, byte for byte?

mod chat;
mod responses;

pub use chat::{ChatObject, ChatStream};
pub use responses::{ResponsesObject, ResponsesStream};

use crate::answers::{Answers, Api, Expected};
use crate::script::Pattern;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is wrong with an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Bytes that the provider never sent, or bytes in the wrong place.
    Garbled(String),
    /// What came was right, but not all of it came.
    Lost(String),
    /// The gateway said that it failed.
    Failed(String),
    /// The test gave up waiting, which says more about its patience than about the answer.
    Unfinished(String),
}

/// Things that an answer does differently without being wrong about the text.
pub type Notes = BTreeSet<&'static str>;

/// Checks one answer as it arrives.
pub enum Checker {
    /// A chat stream.
    ChatStream(Box<ChatStream>),
    /// A chat object.
    ChatObject(Box<ChatObject>),
    /// A Responses stream.
    ResponsesStream(Box<ResponsesStream>),
    /// A Responses object.
    ResponsesObject(Box<ResponsesObject>),
}

impl Checker {
    /// A checker for the answer to request `id`.
    pub fn new(answers: &Arc<Answers>, api: Api, streaming: bool, id: [u8; 8]) -> Checker {
        let subject = Subject::new(answers, id);
        match (api, streaming) {
            (Api::Chat, true) => Checker::ChatStream(Box::new(ChatStream::new(subject))),
            (Api::Chat, false) => Checker::ChatObject(Box::new(ChatObject::new(subject))),
            (Api::Responses, true) => {
                Checker::ResponsesStream(Box::new(ResponsesStream::new(subject)))
            }
            (Api::Responses, false) => {
                Checker::ResponsesObject(Box::new(ResponsesObject::new(subject)))
            }
        }
    }

    /// Takes the next bytes of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        match self {
            Checker::ChatStream(c) => c.feed(bytes),
            Checker::ChatObject(c) => c.feed(bytes),
            Checker::ResponsesStream(c) => c.feed(bytes),
            Checker::ResponsesObject(c) => c.feed(bytes),
        }
    }

    /// How many deltas have come.
    pub fn events(&self) -> usize {
        match self {
            Checker::ChatStream(c) => c.events(),
            Checker::ResponsesStream(c) => c.events(),
            Checker::ChatObject(_) | Checker::ResponsesObject(_) => 0,
        }
    }

    /// The verdict, when the body is complete.
    pub fn finish(self) -> Result<Notes, Fault> {
        match self {
            Checker::ChatStream(c) => c.finish(),
            Checker::ChatObject(c) => c.finish(),
            Checker::ResponsesStream(c) => c.finish(),
            Checker::ResponsesObject(c) => c.finish(),
        }
    }
}

/// What an answer is held against, and how far it has come.
pub struct Subject {
    answers: Arc<Answers>,
    variant: usize,
    id: [u8; 8],
    text: usize,
    reasoning: usize,
    arguments: usize,
    notes: Notes,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Text,
    Reasoning,
    Arguments,
}

impl Subject {
    fn new(answers: &Arc<Answers>, id: [u8; 8]) -> Subject {
        Subject {
            answers: answers.clone(),
            variant: crate::script::variant(&id),
            id,
            text: 0,
            reasoning: 0,
            arguments: 0,
            notes: Notes::new(),
        }
    }

    fn expected(&self) -> &Expected {
        self.answers.expected(self.variant)
    }

    fn pattern(&self, part: Part) -> &Pattern {
        let expected = self.expected();
        match part {
            Part::Text => &expected.text,
            Part::Reasoning => &expected.reasoning,
            Part::Arguments => &expected.arguments,
        }
    }

    /// A delta must be what comes next.
    fn delta(&mut self, part: Part, delta: &str) -> Result<(), Fault> {
        let at = match part {
            Part::Text => self.text,
            Part::Reasoning => self.reasoning,
            Part::Arguments => self.arguments,
        };
        let pattern = self.pattern(part);
        let agrees = pattern.agrees(at, delta.as_bytes(), &self.id);
        if agrees < delta.len() {
            let mut wanted = Vec::new();
            let from = at + agrees;
            let to = pattern.bytes.len().min(from + 16);
            pattern.copy(from..to, &self.id, &mut wanted);
            let got: String = String::from_utf8_lossy(&delta.as_bytes()[agrees..])
                .chars()
                .take(16)
                .collect();
            return Err(Fault::Garbled(format!(
                "{part:?} at byte {from}: expected {:?}, got {got:?}",
                String::from_utf8_lossy(&wanted)
            )));
        }
        *match part {
            Part::Text => &mut self.text,
            Part::Reasoning => &mut self.reasoning,
            Part::Arguments => &mut self.arguments,
        } += delta.len();
        Ok(())
    }

    /// A whole text must be all of it.
    fn whole(&self, part: Part, whole: &str, place: &str) -> Result<(), Fault> {
        let pattern = self.pattern(part);
        let agrees = pattern.agrees(0, whole.as_bytes(), &self.id);
        if agrees == pattern.bytes.len() && whole.len() == agrees {
            return Ok(());
        }
        if matches!(part, Part::Arguments) && self.same_json(whole) {
            return Ok(());
        }
        let what = format!(
            "{part:?} in {place}: {agrees} of {} bytes agree, {} came",
            pattern.bytes.len(),
            whole.len()
        );
        Err(match agrees == whole.len() {
            true => Fault::Lost(what),
            false => Fault::Garbled(what),
        })
    }

    /// Arguments may be written anew, as long as they say the same.
    fn same_json(&self, whole: &str) -> bool {
        let mut wanted = Vec::new();
        let pattern = self.pattern(Part::Arguments);
        pattern.copy(0..pattern.bytes.len(), &self.id, &mut wanted);
        let wanted: Result<serde_json::Value, _> = serde_json::from_slice(&wanted);
        let got: Result<serde_json::Value, _> = serde_json::from_str(whole);
        matches!((wanted, got), (Ok(a), Ok(b)) if a == b)
    }

    /// All deltas must have come; reasoning may be left out as a whole.
    fn complete(&mut self) -> Result<(), Fault> {
        for (part, at) in [(Part::Text, self.text), (Part::Arguments, self.arguments)] {
            let all = self.pattern(part).bytes.len();
            if at != all {
                return Err(Fault::Lost(format!("{part:?}: {at} of {all} bytes")));
            }
        }
        let all = self.expected().reasoning.bytes.len();
        match self.reasoning {
            n if n == all => Ok(()),
            0 => {
                self.notes.insert("reasoning dropped");
                Ok(())
            }
            n => Err(Fault::Lost(format!("Reasoning: {n} of {all} bytes"))),
        }
    }
}

/// Parses, or says which bytes are no JSON.
fn parse<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|e| {
        let start: String = String::from_utf8_lossy(bytes).chars().take(80).collect();
        Fault::Garbled(format!("{e} in {start:?}"))
    })
}

#[cfg(test)]
mod tests;
