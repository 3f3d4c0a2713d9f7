//! Writes Responses events: one counter, one snapshot source, one list of finished items.

use super::append::{End, append};
use super::{Plan, Sink, Usage};
use crate::error::Error;
use crate::http::websocket;
use crate::json::{Content, write};
use crate::translate::seed::{self, mix};

/// How a response ended, or that it has not.
#[derive(Debug)]
pub(super) enum Status<'a> {
    InProgress,
    Completed,
    Incomplete(&'static str),
    Failed(&'a Error),
}

impl Status<'_> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Status::InProgress => "in_progress",
            Status::Completed => "completed",
            Status::Incomplete(_) => "incomplete",
            Status::Failed(_) => "failed",
        }
    }
}

/// The kinds of events that repeat: one piece of a text each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Delta {
    Arguments,
    Input,
    Reasoning,
    Refusal,
    Summary,
    Text,
}

/// What an event says before its sequence number.
macro_rules! head {
    ($kind:literal) => {
        concat!(
            "event: ",
            $kind,
            "\ndata: {\"type\":\"",
            $kind,
            "\",\"sequence_number\":"
        )
    };
}

impl Delta {
    fn head(self) -> &'static str {
        match self {
            Delta::Arguments => head!("response.function_call_arguments.delta"),
            Delta::Input => head!("response.custom_tool_call_input.delta"),
            Delta::Reasoning => head!("response.reasoning_text.delta"),
            Delta::Refusal => head!("response.refusal.delta"),
            Delta::Summary => head!("response.reasoning_summary_text.delta"),
            Delta::Text => head!("response.output_text.delta"),
        }
    }

    fn end(self, sink: Sink) -> &'static End {
        match (self, sink) {
            (Delta::Text, Sink::WebSocket) => &TEXT_FRAME_END,
            (Delta::Text, _) => &TEXT_END,
            (_, Sink::WebSocket) => &FRAME_END,
            _ => &END,
        }
    }

    /// The name of the index within the item.
    fn index(self) -> Option<&'static str> {
        match self {
            Delta::Arguments | Delta::Input => None,
            Delta::Summary => Some("summary_index"),
            _ => Some("content_index"),
        }
    }
}

/// The next delta's event up to its text, which is that of the last one but for the sequence
/// number.
#[derive(Debug)]
struct Line {
    /// Which deltas it is for; `None` where another event came behind the last one. Between two
    /// items, or two parts of one, there are always other events.
    of: Option<Delta>,
    bytes: Vec<u8>,
    /// Where the first digit of the sequence number stands.
    first: usize,
    /// Where its last one does.
    last: usize,
    /// What stands behind the text.
    end: &'static End,
}

impl Line {
    /// Makes it say the next number.
    #[inline(always)]
    fn step(&mut self) {
        match self.bytes.get_mut(self.last) {
            Some(digit) if *digit != b'9' => *digit += 1,
            _ => self.carry(),
        }
    }

    #[cold]
    fn carry(&mut self) {
        for digit in self.bytes[self.first..=self.last].iter_mut().rev() {
            if *digit != b'9' {
                *digit += 1;
                return;
            }
            *digit = b'0';
        }
        self.bytes.insert(self.first, b'1');
        self.last += 1;
    }
}

/// Room for what a snapshot says besides the output and the echo.
const SNAPSHOT_BYTES: usize = 512;
/// Room for the rest of a stream's first piece: the beginning of an item, and some text.
const BEGIN_BYTES: usize = 1024;
/// Room for the events at the end of a stream, besides texts and the response.
const END_BYTES: usize = 1280;
/// Room for a line, with digits to spare.
const LINE_BYTES: usize = 256;

/// Behind output text without log probabilities.
static TEXT_END: End = End::new(b"\",\"logprobs\":[]}\n\n");
/// Behind any other piece.
static END: End = End::new(b"\"}\n\n");
/// The same in a WebSocket's frame.
static TEXT_FRAME_END: End = End::new(b"\",\"logprobs\":[]}");
static FRAME_END: End = End::new(b"\"}");

/// The writer of one response's events.
#[derive(Debug)]
pub(super) struct Emitter {
    pub(super) plan: Plan,
    sequence: u64,
    line: Line,
    /// Index of the item that is open, or of the next one.
    pub(super) index: u64,
    output: Vec<u8>,
    ids: u64,
    pub(super) now_s: u64,
    /// The response object of the terminal event, while that is held back.
    pub(super) held: Option<Vec<u8>>,
}

impl Emitter {
    pub(super) fn new(plan: Plan) -> Self {
        let now_s = plan.created_at;
        Emitter {
            plan,
            sequence: 0,
            line: Line {
                of: None,
                bytes: Vec::new(),
                first: 0,
                last: 0,
                end: &END,
            },
            index: 0,
            output: Vec::new(),
            ids: 0,
            now_s,
            held: None,
        }
    }

    /// How many events were written.
    pub(super) fn events(&self) -> u64 {
        self.sequence
    }

    fn is_sse(&self) -> bool {
        self.plan.sink == Sink::Sse
    }

    /// Whether events leave as they come.
    pub(super) fn streams(&self) -> bool {
        self.plan.sink != Sink::Json
    }

    /// The items that are done, comma separated.
    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }

    /// Begins an event; what is appended next is its JSON.
    fn open(&self, out: &mut Vec<u8>, kind: &str) -> usize {
        if self.plan.sink == Sink::WebSocket {
            return websocket::encode::begin(out);
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        0
    }

    /// Ends the event that begins at `begin`.
    fn close(&self, out: &mut Vec<u8>, begin: usize) {
        match self.plan.sink {
            Sink::WebSocket => websocket::encode::end(out, begin),
            _ => out.extend_from_slice(b"\n\n"),
        }
    }

    /// How reasoning is shown.
    pub(super) fn reasoning(&self) -> Delta {
        match self.plan.reasoning_summary {
            true => Delta::Summary,
            false => Delta::Reasoning,
        }
    }

    /// A fresh id with the given prefix: unique in the response, unpredictable across responses.
    pub(super) fn id(&mut self, prefix: &str) -> String {
        self.ids += 1;
        let [a, b, ..] = seed::words(&self.plan.seed);
        let words = [mix(a ^ self.ids), mix(b.wrapping_add(self.ids << 32))];
        seed::name(prefix, words)
    }

    /// A nonce that never repeats: the seed is fresh for every attempt, the counter within it.
    pub(super) fn nonce(&mut self) -> [u8; 12] {
        self.ids += 1;
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&self.plan.seed[16..28]);
        for (byte, counter) in nonce[8..].iter_mut().zip((self.ids as u32).to_le_bytes()) {
            *byte ^= counter;
        }
        nonce
    }

    /// Appends one event; `body` writes the members behind `sequence_number`, each with a comma
    /// before it.
    pub(super) fn event(
        &mut self,
        out: &mut Vec<u8>,
        kind: &str,
        body: impl FnOnce(&Self, &mut Vec<u8>),
    ) {
        if !self.streams() {
            return;
        }
        let begin = self.open(out, kind);
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\",\"sequence_number\":");
        write::uint(out, self.sequence);
        body(self, out);
        out.push(b'}');
        self.close(out, begin);
        self.sequence += 1;
        self.line.of = None;
    }

    /// Appends an event whose only further member is the response.
    pub(super) fn response_event(
        &mut self,
        out: &mut Vec<u8>,
        kind: &str,
        status: &Status<'_>,
        usage: Option<Usage>,
    ) {
        self.event(out, kind, |emitter, out| {
            out.extend_from_slice(b",\"response\":");
            emitter.snapshot(out, status, usage);
        });
    }

    /// Begins the stream: the response as it is before its first item, twice.
    pub(super) fn begin_response(&mut self, out: &mut Vec<u8>) {
        if !self.streams() {
            return;
        }
        let snapshot = self.plan.echo.len() + SNAPSHOT_BYTES;
        out.reserve(2 * snapshot + BEGIN_BYTES);
        self.response_event(out, "response.created", &Status::InProgress, None);
        self.response_event(out, "response.in_progress", &Status::InProgress, None);
    }

    /// Makes room for the end of a stream, which repeats the open item's text four times.
    pub(super) fn make_room(&self, out: &mut Vec<u8>, text: usize) {
        if self.streams() {
            let response = self.output.len() + self.plan.echo.len() + SNAPSHOT_BYTES;
            out.reserve(4 * text + response + END_BYTES);
        }
    }

    /// Appends an event about a part of the open item: `item_id`, `output_index`, and the index
    /// of the part where `part` names it.
    pub(super) fn item_event(
        &mut self,
        out: &mut Vec<u8>,
        kind: &str,
        id: &str,
        part: Option<(&str, u64)>,
        body: impl FnOnce(&mut Vec<u8>),
    ) {
        self.event(out, kind, |emitter, out| {
            out.extend_from_slice(b",\"item_id\":\"");
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(b"\",\"output_index\":");
            write::uint(out, emitter.index);
            if let Some((name, index)) = part {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                write::uint(out, index);
            }
            body(out);
        });
    }

    /// Appends one piece of a text of the open item, escaped JSON text. `part` is the index of the
    /// part.
    pub(super) fn delta(
        &mut self,
        out: &mut Vec<u8>,
        kind: Delta,
        id: &str,
        part: u64,
        piece: &[u8],
    ) {
        if self.streams() {
            self.begin(kind, id, part);
            self.again(out, &Content::valid(piece));
        }
    }

    /// Makes ready for [`Emitter::again`], if there is a stream.
    #[inline(always)]
    pub(super) fn begin(&mut self, kind: Delta, id: &str, part: u64) {
        if self.line.of != Some(kind) {
            self.prepare(kind, id, part);
        }
    }

    /// Appends one more event like the one that was begun.
    #[inline(always)]
    pub(super) fn again(&mut self, out: &mut Vec<u8>, piece: &Content<'_>) {
        if self.is_sse() {
            append(out, &self.line.bytes, piece, self.line.end);
            self.sequence += 1;
            self.line.step();
        } else {
            self.again_framed(out, piece);
        }
    }

    /// The same for a WebSocket.
    #[inline(never)]
    fn again_framed(&mut self, out: &mut Vec<u8>, piece: &Content<'_>) {
        if self.streams() {
            let begin = out.len();
            append(out, &self.line.bytes, piece, self.line.end);
            websocket::encode::end(out, begin);
            self.sequence += 1;
            self.line.step();
        }
    }

    /// Like [`Emitter::delta`] for pieces that belong together, with the log probabilities of
    /// output text.
    pub(super) fn delta_with(
        &mut self,
        out: &mut Vec<u8>,
        kind: Delta,
        id: &str,
        part: u64,
        pieces: &[&[u8]],
        logprobs: &[u8],
    ) {
        if !self.streams() {
            return;
        }
        self.begin(kind, id, part);
        let begin = out.len();
        out.extend_from_slice(&self.line.bytes);
        for piece in pieces {
            out.extend_from_slice(piece);
        }
        match (kind, logprobs) {
            (Delta::Text, logprobs) if !logprobs.is_empty() => {
                out.extend_from_slice(b"\",\"logprobs\":[");
                out.extend_from_slice(logprobs);
                out.extend_from_slice(b"]}");
                self.close(out, begin);
            }
            _ => {
                out.extend_from_slice(self.line.end.bytes());
                if self.plan.sink == Sink::WebSocket {
                    websocket::encode::end(out, begin);
                }
            }
        }
        self.sequence += 1;
        self.line.step();
    }

    /// Writes the event up to its text.
    #[cold]
    fn prepare(&mut self, kind: Delta, id: &str, part: u64) {
        self.line.of = Some(kind);
        self.line.end = kind.end(self.plan.sink);
        let out = &mut self.line.bytes;
        out.clear();
        out.reserve(LINE_BYTES);
        let head = match self.plan.sink {
            Sink::WebSocket => {
                websocket::encode::begin(out);
                kind.head().trim_start_matches(|c| c != '{')
            }
            _ => kind.head(),
        };
        out.extend_from_slice(head.as_bytes());
        self.line.first = out.len();
        write::uint(out, self.sequence);
        self.line.last = out.len() - 1;
        out.extend_from_slice(b",\"item_id\":\"");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(b"\",\"output_index\":");
        write::uint(out, self.index);
        if let Some(name) = kind.index() {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            write::uint(out, part);
        }
        out.extend_from_slice(b",\"delta\":\"");
    }

    /// Begins the item that `write` writes.
    pub(super) fn item_added(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        self.event(out, "response.output_item.added", |emitter, out| {
            out.extend_from_slice(b",\"output_index\":");
            write::uint(out, emitter.index);
            out.extend_from_slice(b",\"item\":");
            write(out);
        });
    }

    /// Ends the open item, which is `item`; it joins the final output.
    pub(super) fn item_done(&mut self, out: &mut Vec<u8>, item: &[u8]) {
        self.item_made(out, |output| {
            output.reserve(item.len());
            output.extend_from_slice(item);
        });
    }

    /// The same where `write` writes it.
    pub(super) fn item_made(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut output = std::mem::take(&mut self.output);
        if !output.is_empty() {
            output.push(b',');
        }
        let begin = output.len();
        write(&mut output);
        self.event(out, "response.output_item.done", |emitter, out| {
            out.extend_from_slice(b",\"output_index\":");
            write::uint(out, emitter.index);
            out.extend_from_slice(b",\"item\":");
            out.extend_from_slice(&output[begin..]);
        });
        self.output = output;
        self.index += 1;
    }

    /// Ends the stream: the terminal event, behind an `error` where it failed, since the SDKs read
    /// the one and Codex the other. Where the end is held back, only the response is made.
    pub(super) fn end(&mut self, out: &mut Vec<u8>, status: &Status<'_>, usage: Option<Usage>) {
        if let Status::Failed(error) = status {
            self.error(out, error);
        }
        if self.plan.hold_end {
            let mut response = Vec::new();
            self.snapshot(&mut response, status, usage);
            self.held = Some(response);
            return;
        }
        self.response_event(out, terminal(status.name()), status, usage);
        self.done(out);
    }

    /// The terminal event that was held back, with this response.
    pub(super) fn say_end(&mut self, status: &str, response: &[u8], out: &mut Vec<u8>) {
        self.event(out, terminal(status), |_, out| {
            out.extend_from_slice(b",\"response\":");
            out.extend_from_slice(response);
        });
        self.done(out);
    }

    fn done(&self, out: &mut Vec<u8>) {
        if self.is_sse() {
            out.extend_from_slice(b"data: [DONE]\n\n");
        }
    }

    fn error(&mut self, out: &mut Vec<u8>, error: &Error) {
        self.event(out, "error", |_, out| {
            out.extend_from_slice(b",\"code\":");
            write::string(out, error.api_code());
            out.extend_from_slice(b",\"message\":");
            write::string(out, &error.message);
            out.extend_from_slice(b",\"param\":null,\"error\":");
            error.write_object(out);
        });
    }

    /// The response object.
    pub(super) fn snapshot(&self, out: &mut Vec<u8>, status: &Status<'_>, usage: Option<Usage>) {
        let output = match status {
            Status::InProgress => &[][..],
            _ => &self.output,
        };
        out.reserve(output.len() + self.plan.echo.len() + SNAPSHOT_BYTES);
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(self.plan.response_id.as_bytes());
        out.extend_from_slice(b"\",\"object\":\"response\",\"created_at\":");
        write::uint(out, self.plan.created_at);
        out.extend_from_slice(b",\"status\":\"");
        out.extend_from_slice(status.name().as_bytes());
        out.extend_from_slice(b"\",\"completed_at\":");
        match status {
            Status::Completed => write::uint(out, self.now_s),
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"error\":");
        match status {
            Status::Failed(error) => {
                out.extend_from_slice(b"{\"code\":");
                write::string(out, error.api_code());
                out.extend_from_slice(b",\"message\":");
                write::string(out, &error.message);
                out.push(b'}');
            }
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"incomplete_details\":");
        match status {
            Status::Incomplete(reason) => {
                out.extend_from_slice(b"{\"reason\":");
                write::string(out, reason);
                out.push(b'}');
            }
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"output\":[");
        out.extend_from_slice(output);
        out.extend_from_slice(b"],\"usage\":");
        match usage {
            Some(usage) => write_usage(out, usage),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b',');
        out.extend_from_slice(&self.plan.echo);
        out.push(b'}');
    }
}

pub(super) fn write_usage(out: &mut Vec<u8>, usage: Usage) {
    out.extend_from_slice(b"{\"input_tokens\":");
    write::uint(out, usage.input);
    out.extend_from_slice(b",\"input_tokens_details\":{\"cached_tokens\":");
    write::uint(out, usage.cached);
    out.extend_from_slice(b",\"cache_write_tokens\":");
    write::uint(out, usage.cache_write);
    out.extend_from_slice(b"},\"output_tokens\":");
    write::uint(out, usage.output);
    out.extend_from_slice(b",\"output_tokens_details\":{\"reasoning_tokens\":");
    write::uint(out, usage.reasoning);
    out.extend_from_slice(b"},\"total_tokens\":");
    write::uint(out, usage.input.saturating_add(usage.output));
    out.push(b'}');
}

/// The terminal event of a response that ended so.
fn terminal(status: &str) -> &'static str {
    match status {
        "failed" => "response.failed",
        "incomplete" => "response.incomplete",
        _ => "response.completed",
    }
}
