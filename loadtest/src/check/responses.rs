//! The Responses API, held against the script.

use super::{Fault, Notes, Part, Subject, parse};
use crate::sse::{Splitter, fields};
use memchr::memmem;
use serde_json::Value;

const SEQUENCE: &[u8] = b"\"sequence_number\":";

/// The bytes around the text of a delta event, learned from the first one of a stream. A later
/// event is right when it has the same bytes, the next number, and the next text.
struct Template {
    before: Vec<u8>,
    after: Vec<u8>,
    /// Where the digits of the number are: before (true) or after the text.
    number: Option<(bool, usize)>,
}

/// A Responses stream.
pub struct ResponsesStream {
    subject: Subject,
    splitter: Splitter,
    template: Option<Template>,
    /// Deltas of text that were whole deltas of the provider.
    whole: usize,
    events: usize,
    sequence: Option<u64>,
    seen: Seen,
    terminal: bool,
    fault: Option<Fault>,
}

/// Which kinds of events have come.
#[derive(Default)]
struct Seen {
    any: bool,
    names: bool,
    numbers: bool,
    text_done: bool,
    part: bool,
    item_done: bool,
    done: bool,
}

impl ResponsesStream {
    /// Nothing read yet.
    pub(super) fn new(subject: Subject) -> ResponsesStream {
        ResponsesStream {
            subject,
            splitter: Splitter::default(),
            template: None,
            whole: 0,
            events: 0,
            sequence: None,
            seen: Seen::default(),
            terminal: false,
            fault: None,
        }
    }

    pub(super) fn events(&self) -> usize {
        self.events
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut splitter = std::mem::take(&mut self.splitter);
        let fits = splitter.feed(bytes, &mut |block| {
            if self.fault.is_none() && !self.fast(block) {
                self.fault = self.block(block).err();
            }
        });
        self.splitter = splitter;
        if !fits {
            self.fault = Some(Fault::Garbled("an event without end".into()));
        }
    }

    /// True when the block is the template with the next delta of the script.
    fn fast(&mut self, block: &[u8]) -> bool {
        let Some(template) = &self.template else {
            return false;
        };
        let expected = self.subject.expected();
        let k = self.whole;
        let Some(&end) = expected.escaped_ends.get(k) else {
            return false;
        };
        let start = if k == 0 {
            0
        } else {
            expected.escaped_ends[k - 1]
        };
        let wanted = self.sequence.map(|n| n + 1);
        let Some((next, number)) = follow(&template.before, block, template.number, true) else {
            return false;
        };
        let rest = &block[next..];
        if rest.len() < end - start
            || !expected
                .escaped
                .matches(start, &rest[..end - start], &self.subject.id)
        {
            return false;
        }
        let rest = &rest[end - start..];
        let Some((used, later)) = follow(&template.after, rest, template.number, false) else {
            return false;
        };
        if used != rest.len() || number.or(later) != wanted.filter(|_| template.number.is_some()) {
            return false;
        }
        self.subject.text = self.subject.expected().text_ends[k];
        self.whole += 1;
        self.events += 1;
        if template.number.is_some() {
            self.sequence = wanted;
        }
        true
    }

    /// After a delta that was parsed: is it a delta of the script, and what is around it?
    fn learn(&mut self, block: &[u8]) {
        let expected = self.subject.expected();
        let k = expected
            .text_ends
            .partition_point(|e| *e < self.subject.text);
        if expected.text_ends.get(k) != Some(&self.subject.text) {
            self.template = None;
            // Deltas are cut otherwise here: each one is parsed.
            self.whole = usize::MAX;
            return;
        }
        self.whole = k + 1;
        let start = if k == 0 {
            0
        } else {
            expected.escaped_ends[k - 1]
        };
        let mut escaped = Vec::new();
        let range = start..expected.escaped_ends[k];
        expected.escaped.copy(range, &self.subject.id, &mut escaped);
        let Some(at) = memmem::find(block, &escaped) else {
            return;
        };
        let (before, after) = (&block[..at], &block[at + escaped.len()..]);
        let digits = |part: &[u8]| memmem::find(part, SEQUENCE).map(|n| n + SEQUENCE.len());
        let number = match (digits(before), digits(after)) {
            (Some(n), None) => Some((true, n)),
            (None, Some(n)) => Some((false, n)),
            (None, None) => None,
            (Some(_), Some(_)) => return,
        };
        self.template = Some(Template {
            before: before.to_vec(),
            after: after.to_vec(),
            number,
        });
    }

    fn block(&mut self, block: &[u8]) -> Result<(), Fault> {
        let (name, data) = fields(block);
        if data.is_empty() {
            return Ok(());
        }
        if &*data == b"[DONE]" {
            self.seen.done = true;
            return Ok(());
        }
        if self.terminal {
            return Err(Fault::Garbled("an event after the terminal event".into()));
        }
        let event: Value = parse(&data)?;
        let kind = event["type"].as_str().unwrap_or("");
        if !self.seen.any && kind != "response.created" {
            self.subject
                .notes
                .insert("does not begin with response.created");
        }
        self.seen.any = true;
        if !name.is_empty() {
            self.seen.names = true;
            if name != kind.as_bytes() {
                self.subject.notes.insert("event name and type differ");
            }
        }
        if let Some(number) = event["sequence_number"].as_u64() {
            self.seen.numbers = true;
            if self.sequence.is_some_and(|before| number != before + 1) {
                self.subject.notes.insert("sequence_number jumps");
            }
            self.sequence = Some(number);
        }
        let text = |field: &str| event[field].as_str().unwrap_or("");
        match kind {
            "response.output_text.delta" => {
                self.delta(Part::Text, text("delta"))?;
                self.learn(block);
            }
            "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
                self.delta(Part::Reasoning, text("delta"))?;
            }
            "response.function_call_arguments.delta" => {
                self.delta(Part::Arguments, text("delta"))?;
            }
            "response.output_text.done" => {
                self.seen.text_done = true;
                self.subject.whole(Part::Text, text("text"), kind)?;
            }
            "response.content_part.done" => {
                self.seen.part = true;
                if event["part"]["type"] == "output_text" {
                    let text = event["part"]["text"].as_str().unwrap_or("");
                    self.subject.whole(Part::Text, text, kind)?;
                }
            }
            "response.function_call_arguments.done" => {
                self.whole_arguments(text("arguments"), kind)?;
            }
            "response.output_item.done" => {
                self.seen.item_done = true;
                self.item(&event["item"], kind)?;
            }
            "response.completed" => {
                self.terminal = true;
                let response = &event["response"];
                for item in response["output"].as_array().into_iter().flatten() {
                    self.item(item, kind)?;
                }
                object_notes(&mut self.subject, response);
            }
            "response.failed" | "response.incomplete" | "error" => {
                let what = event["response"]["error"].to_string();
                return Err(Fault::Failed(format!("{kind}: {what}")));
            }
            _ => {}
        }
        Ok(())
    }

    fn delta(&mut self, part: Part, delta: &str) -> Result<(), Fault> {
        if !delta.is_empty() {
            self.subject.delta(part, delta)?;
            self.events += 1;
        }
        Ok(())
    }

    /// Arguments that were not streamed count when they come whole.
    fn whole_arguments(&mut self, arguments: &str, place: &str) -> Result<(), Fault> {
        self.subject.whole(Part::Arguments, arguments, place)?;
        if self.subject.arguments == 0 {
            self.subject.notes.insert("arguments not streamed");
        }
        self.subject.arguments = self.subject.pattern(Part::Arguments).bytes.len();
        Ok(())
    }

    fn item(&mut self, item: &Value, place: &str) -> Result<(), Fault> {
        match item["type"].as_str().unwrap_or("") {
            "message" => {
                let text = message_text(item);
                if text.is_empty() && self.subject.expected().text.bytes.is_empty() {
                    return Ok(());
                }
                self.subject.whole(Part::Text, &text, place)
            }
            "function_call" => {
                let arguments = item["arguments"].as_str().unwrap_or("");
                self.whole_arguments(arguments, place)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn finish(mut self) -> Result<Notes, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if !self.terminal {
            return Err(Fault::Lost("no terminal event".into()));
        }
        self.subject.complete()?;
        if !self.splitter.is_empty() {
            return Err(Fault::Lost("the last event has no end".into()));
        }
        let has_text = !self.subject.expected().text.bytes.is_empty();
        let seen = &self.seen;
        let lacking = [
            (!seen.names, "no event: lines"),
            (!seen.numbers, "no sequence_number"),
            (has_text && !seen.text_done, "no output_text.done"),
            (has_text && !seen.part, "no content_part.done"),
            (!seen.item_done, "no output_item.done"),
            (seen.done, "adds [DONE]"),
        ];
        let lacking = lacking.into_iter().filter(|(is, _)| *is);
        self.subject.notes.extend(lacking.map(|(_, note)| note));
        Ok(self.subject.notes)
    }
}

/// Follows `part` in `input`, reading a number where one belongs. Returns how many bytes of the
/// input were used, and the number.
fn follow(
    part: &[u8],
    input: &[u8],
    number: Option<(bool, usize)>,
    before: bool,
) -> Option<(usize, Option<u64>)> {
    let Some((_, at)) = number.filter(|(place, _)| *place == before) else {
        return input.starts_with(part).then_some((part.len(), None));
    };
    let skip = |bytes: &[u8]| bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    if input.len() < at || input[..at] != part[..at] {
        return None;
    }
    let digits = skip(&input[at..]);
    let value = std::str::from_utf8(&input[at..at + digits]).ok()?;
    let value = value.parse().ok()?;
    let rest = &part[at + skip(&part[at..])..];
    let used = at + digits;
    input[used..]
        .starts_with(rest)
        .then_some((used + rest.len(), Some(value)))
}

fn message_text(item: &Value) -> String {
    let parts = item["content"].as_array().into_iter().flatten();
    parts.filter_map(|p| p["text"].as_str()).collect()
}

fn object_notes(subject: &mut Subject, response: &Value) {
    if response["status"].as_str() != Some("completed") {
        subject.notes.insert("final status is not completed");
    }
    if !response["usage"].is_object() {
        subject.notes.insert("no usage");
    }
    if response["output"].as_array().is_none_or(Vec::is_empty) {
        subject.notes.insert("final object without output");
    }
}

/// A Responses answer in one piece.
pub struct ResponsesObject {
    subject: Subject,
    body: Vec<u8>,
}

impl ResponsesObject {
    /// Nothing read yet.
    pub(super) fn new(subject: Subject) -> ResponsesObject {
        ResponsesObject {
            subject,
            body: Vec::new(),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }

    pub(super) fn finish(mut self) -> Result<Notes, Fault> {
        let response: Value = parse(&self.body)?;
        if !response["error"].is_null() {
            return Err(Fault::Failed(response["error"].to_string()));
        }
        for item in response["output"].as_array().into_iter().flatten() {
            match item["type"].as_str().unwrap_or("") {
                "message" => self.subject.delta(Part::Text, &message_text(item))?,
                "function_call" => {
                    let arguments = item["arguments"].as_str().unwrap_or("");
                    self.subject.whole(Part::Arguments, arguments, "output")?;
                    self.subject.arguments = self.subject.expected().arguments.bytes.len();
                }
                "reasoning" => {
                    let text = [&item["content"], &item["summary"]]
                        .into_iter()
                        .flat_map(|part| part.as_array().into_iter().flatten())
                        .find_map(|part| part["text"].as_str());
                    if let Some(text) = text {
                        self.subject.delta(Part::Reasoning, text)?;
                    }
                }
                _ => {}
            }
        }
        self.subject.complete()?;
        object_notes(&mut self.subject, &response);
        Ok(self.subject.notes)
    }
}
