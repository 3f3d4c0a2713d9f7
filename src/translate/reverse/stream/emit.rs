//! Writes chat chunks, or gathers them into one `chat.completion`.

use super::Plan;
use crate::error::Error;
use crate::json::{Kind, Str, Value, write};
use crate::translate::stream::{Sink, Usage};

/// What a call is to the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// `tool_calls[].custom`
    Custom,
    /// `tool_calls[].function`
    Function,
    /// `function_call`
    Legacy,
}

/// A gathered call; all escaped.
#[derive(Debug)]
struct Call {
    form: Form,
    id: Vec<u8>,
    name: Vec<u8>,
    arguments: Vec<u8>,
}

/// Where the log probabilities of a chunk come from.
#[derive(Clone, Copy)]
pub(super) enum Probs<'a> {
    None,
    /// The provider's list.
    List(Value<'a>),
    /// Entries in the client's form, separated by commas.
    Written(&'a [u8]),
}

/// The writer of one answer.
#[derive(Debug)]
pub(super) struct Emitter {
    sse: bool,
    include_usage: bool,
    /// `"id":…` to `"model":…`, with a comma behind it.
    about: (Vec<u8>, Vec<u8>),
    role_sent: bool,
    chunks: u64,
    /// Bytes that are kept until the end.
    pub kept: usize,
    content: Vec<u8>,
    refusal: Vec<u8>,
    reasoning: Vec<u8>,
    details: Vec<u8>,
    annotations: Vec<u8>,
    probs: Vec<u8>,
    calls: Vec<Call>,
}

impl Emitter {
    pub fn new(plan: &Plan) -> Self {
        let about = |object: &str| {
            let mut out = b"\"id\":".to_vec();
            write::string(&mut out, &plan.id);
            out.extend_from_slice(b",\"object\":");
            write::string(&mut out, object);
            out.extend_from_slice(b",\"created\":");
            write::uint(&mut out, plan.created);
            out.extend_from_slice(b",\"model\":");
            write::string(&mut out, &plan.model);
            out.push(b',');
            out
        };
        Emitter {
            sse: plan.sink == Sink::Sse,
            include_usage: plan.include_usage,
            about: (about("chat.completion.chunk"), about("chat.completion")),
            role_sent: false,
            chunks: 0,
            kept: 0,
            content: Vec::new(),
            refusal: Vec::new(),
            reasoning: Vec::new(),
            details: Vec::new(),
            annotations: Vec::new(),
            probs: Vec::new(),
            calls: Vec::new(),
        }
    }

    pub fn is_sse(&self) -> bool {
        self.sse
    }

    /// How many chunks were written.
    pub fn events(&self) -> u64 {
        self.chunks
    }

    /// Whether a chunk was written.
    pub fn has_begun(&self) -> bool {
        self.role_sent
    }

    fn head(&mut self, out: &mut Vec<u8>) {
        self.chunks += 1;
        out.extend_from_slice(b"data: {");
        out.extend_from_slice(&self.about.0);
        out.extend_from_slice(b"\"choices\":[");
    }

    /// Starts a chunk; the first one says who speaks, and has `content` whatever else it holds,
    /// since many clients count on that.
    fn open(&mut self, out: &mut Vec<u8>, content: &[u8]) {
        self.head(out);
        out.extend_from_slice(b"{\"index\":0,\"delta\":{");
        if !std::mem::replace(&mut self.role_sent, true) {
            out.extend_from_slice(b"\"role\":\"assistant\",");
            out.extend_from_slice(content);
        }
    }

    fn close(&self, out: &mut Vec<u8>, probs: Probs<'_>, finish: Option<&str>) {
        out.extend_from_slice(b"},\"logprobs\":");
        write_probs(out, probs);
        out.extend_from_slice(b",\"finish_reason\":");
        match finish {
            Some(reason) => write::string(out, reason),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(match self.include_usage {
            true => b"}],\"usage\":null}\n\n",
            false => b"}]}\n\n",
        });
    }

    /// A chunk whose only member is `"name":"…"`.
    fn string(
        &mut self,
        out: &mut Vec<u8>,
        name: &[u8],
        fill: &[u8],
        probs: Probs<'_>,
        text: impl FnOnce(&mut Vec<u8>),
    ) {
        self.open(out, fill);
        out.push(b'"');
        out.extend_from_slice(name);
        out.extend_from_slice(b"\":\"");
        text(out);
        out.push(b'"');
        self.close(out, probs, None);
    }

    /// Says who speaks, and nothing else.
    pub fn role(&mut self, out: &mut Vec<u8>) {
        if self.sse && !self.role_sent {
            self.open(out, b"\"content\":\"\"");
            self.close(out, Probs::None, None);
        }
    }

    /// A piece of the answer; `text` appends it, escaped.
    pub fn text(&mut self, out: &mut Vec<u8>, probs: Probs<'_>, text: impl FnOnce(&mut Vec<u8>)) {
        if self.sse {
            return self.string(out, b"content", b"", probs, text);
        }
        self.kept += gather(&mut self.content, text);
        self.kept += gather(&mut self.probs, |list| {
            let from = list.len();
            if from > 0 {
                list.push(b',');
            }
            if !probs.write(list) {
                list.truncate(from);
            }
        });
    }

    /// A piece of a refusal.
    pub fn refusal(&mut self, out: &mut Vec<u8>, text: impl FnOnce(&mut Vec<u8>)) {
        if self.sse {
            return self.string(out, b"refusal", b"\"content\":\"\",", Probs::None, text);
        }
        self.kept += gather(&mut self.refusal, text);
    }

    /// A piece of reasoning.
    pub fn reasoning(&mut self, out: &mut Vec<u8>, text: impl FnOnce(&mut Vec<u8>)) {
        if self.sse {
            let fill = b"\"content\":\"\",";
            return self.string(out, b"reasoning_content", fill, Probs::None, text);
        }
        self.kept += gather(&mut self.reasoning, text);
    }

    /// An entry of `reasoning_details`, as JSON.
    pub fn detail(&mut self, out: &mut Vec<u8>, entry: &[u8]) {
        if !self.sse {
            self.kept += gather_entry(&mut self.details, entry);
            return;
        }
        self.open(out, b"\"content\":\"\",");
        out.extend_from_slice(b"\"reasoning_details\":[");
        out.extend_from_slice(entry);
        out.push(b']');
        self.close(out, Probs::None, None);
    }

    /// An annotation, as JSON; all are said together at the end.
    pub fn annotation(&mut self, entry: &[u8]) {
        self.kept += gather_entry(&mut self.annotations, entry);
    }

    /// Call number `k` begins. `id` and `name` append themselves, escaped.
    pub fn call(&mut self, out: &mut Vec<u8>, k: u64, form: Form, id: &[u8], name: &[u8]) {
        if !self.sse {
            self.kept += id.len() + name.len();
            self.calls.push(Call {
                form,
                id: id.to_vec(),
                name: name.to_vec(),
                arguments: Vec::new(),
            });
            return;
        }
        self.open(out, b"\"content\":null,");
        if form != Form::Legacy {
            out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
            write::uint(out, k);
            out.push(b',');
        }
        write_call(out, form, id, name, b"");
        if form != Form::Legacy {
            out.push(b']');
        }
        self.close(out, Probs::None, None);
    }

    /// A piece of the arguments of call number `k`; `text` appends it, escaped.
    pub fn arguments(
        &mut self,
        out: &mut Vec<u8>,
        k: u64,
        form: Form,
        text: impl FnOnce(&mut Vec<u8>),
    ) {
        if !self.sse {
            if let Some(call) = self.calls.get_mut(k as usize) {
                self.kept += gather(&mut call.arguments, text);
            }
            return;
        }
        self.open(out, b"\"content\":null,");
        if form != Form::Legacy {
            out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
            write::uint(out, k);
            out.push(b',');
        }
        out.extend_from_slice(match form {
            Form::Custom => b"\"custom\":{\"input\":\"",
            Form::Function => b"\"function\":{\"arguments\":\"",
            Form::Legacy => b"\"function_call\":{\"arguments\":\"",
        });
        text(out);
        out.extend_from_slice(match form {
            Form::Legacy => b"\"}",
            _ => b"\"}}]",
        });
        self.close(out, Probs::None, None);
    }

    /// The end: the reason, the token counts, `[DONE]`; or the whole object.
    pub fn end(&mut self, out: &mut Vec<u8>, reason: &str, usage: Option<Usage>) {
        if !self.sse {
            return self.object(out, reason, usage);
        }
        if !self.annotations.is_empty() {
            self.open(out, b"\"content\":\"\",");
            out.extend_from_slice(b"\"annotations\":[");
            out.extend_from_slice(&self.annotations);
            out.push(b']');
            self.close(out, Probs::None, None);
        }
        self.role(out);
        self.open(out, b"");
        self.close(out, Probs::None, Some(reason));
        if let Some(usage) = usage.filter(|_| self.include_usage) {
            self.head(out);
            out.extend_from_slice(b"],\"usage\":");
            write_usage(out, usage);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// The end of a stream that failed.
    pub fn failed(&mut self, out: &mut Vec<u8>, error: &Error) {
        self.chunks += 1;
        out.extend_from_slice(b"data: {\"error\":");
        error.write_object(out);
        out.extend_from_slice(b"}\n\ndata: [DONE]\n\n");
    }

    fn object(&self, out: &mut Vec<u8>, reason: &str, usage: Option<Usage>) {
        out.push(b'{');
        out.extend_from_slice(&self.about.1);
        out.extend_from_slice(
            b"\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":",
        );
        let silent = !self.calls.is_empty() || !self.refusal.is_empty();
        match self.content.is_empty() && silent {
            true => out.extend_from_slice(b"null"),
            false => write::quoted(out, &self.content),
        }
        out.extend_from_slice(b",\"refusal\":");
        match self.refusal.is_empty() {
            true => out.extend_from_slice(b"null"),
            false => write::quoted(out, &self.refusal),
        }
        if !self.reasoning.is_empty() {
            out.extend_from_slice(b",\"reasoning_content\":");
            write::quoted(out, &self.reasoning);
        }
        write_list(out, b"reasoning_details", &self.details);
        write_list(out, b"annotations", &self.annotations);
        self.write_calls(out);
        out.extend_from_slice(b"},\"logprobs\":");
        write_probs(out, Probs::Written(&self.probs));
        out.extend_from_slice(b",\"finish_reason\":");
        write::string(out, reason);
        out.extend_from_slice(b"}]");
        if let Some(usage) = usage {
            out.extend_from_slice(b",\"usage\":");
            write_usage(out, usage);
        }
        out.push(b'}');
    }

    fn write_calls(&self, out: &mut Vec<u8>) {
        for (k, call) in self.calls.iter().enumerate() {
            out.push(b',');
            if call.form != Form::Legacy && k == 0 {
                out.extend_from_slice(b"\"tool_calls\":[");
            }
            if call.form != Form::Legacy {
                out.push(b'{');
            }
            write_call(out, call.form, &call.id, &call.name, &call.arguments);
        }
        if self.calls.first().is_some_and(|c| c.form != Form::Legacy) {
            out.push(b']');
        }
    }
}

impl Probs<'_> {
    /// Appends the entries; says whether there were any.
    pub fn write(&self, out: &mut Vec<u8>) -> bool {
        let from = out.len();
        match self {
            Probs::None => {}
            Probs::Written(entries) => out.extend_from_slice(entries),
            Probs::List(list) => {
                for entry in list.items().filter(|e| e.kind() == Kind::Object) {
                    if out.len() > from {
                        out.push(b',');
                    }
                    write_entry(out, entry);
                }
            }
        }
        out.len() > from
    }
}

fn gather(into: &mut Vec<u8>, text: impl FnOnce(&mut Vec<u8>)) -> usize {
    let from = into.len();
    text(into);
    into.len() - from
}

fn gather_entry(into: &mut Vec<u8>, entry: &[u8]) -> usize {
    if !into.is_empty() {
        into.push(b',');
    }
    into.extend_from_slice(entry);
    entry.len() + 1
}

fn write_list(out: &mut Vec<u8>, name: &[u8], entries: &[u8]) {
    if !entries.is_empty() {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name);
        out.extend_from_slice(b"\":[");
        out.extend_from_slice(entries);
        out.push(b']');
    }
}

/// Appends a whole call; those in a list are inside braces that are open already.
fn write_call(out: &mut Vec<u8>, form: Form, id: &[u8], name: &[u8], arguments: &[u8]) {
    if form != Form::Legacy {
        out.extend_from_slice(b"\"id\":");
        write::quoted(out, id);
    }
    out.extend_from_slice(match form {
        Form::Custom => b",\"type\":\"custom\",\"custom\":{\"name\":",
        Form::Function => b",\"type\":\"function\",\"function\":{\"name\":",
        Form::Legacy => b"\"function_call\":{\"name\":",
    });
    write::quoted(out, name);
    out.extend_from_slice(match form {
        Form::Custom => b",\"input\":",
        _ => b",\"arguments\":",
    });
    write::quoted(out, arguments);
    out.extend_from_slice(match form {
        Form::Legacy => b"}",
        _ => b"}}",
    });
}

fn write_probs(out: &mut Vec<u8>, probs: Probs<'_>) {
    let from = out.len();
    out.extend_from_slice(b"{\"content\":[");
    if probs.write(out) {
        out.extend_from_slice(b"],\"refusal\":null}");
    } else {
        out.truncate(from);
        out.extend_from_slice(b"null");
    }
}

/// An entry of `logprobs`; the client's form has the token's bytes, which deltas lack.
pub(super) fn write_entry(out: &mut Vec<u8>, entry: Value<'_>) {
    write_token(out, entry);
    out.extend_from_slice(b",\"top_logprobs\":[");
    let top = entry.present("top_logprobs");
    let top = top.iter().flat_map(|t| t.items());
    for (i, token) in top.filter(|t| t.kind() == Kind::Object).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_token(out, token);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

fn write_token(out: &mut Vec<u8>, entry: Value<'_>) {
    let token = entry.str("token").unwrap_or(Str::EMPTY);
    out.extend_from_slice(b"{\"token\":\"");
    token.splice(out);
    out.extend_from_slice(b"\",\"logprob\":");
    let number = entry.get("logprob").filter(|n| n.kind() == Kind::Number);
    out.extend_from_slice(number.map_or(b"0", |n| n.raw()));
    out.extend_from_slice(b",\"bytes\":[");
    match entry.present("bytes").filter(|b| b.kind() == Kind::Array) {
        Some(bytes) => list(out, bytes.items().filter_map(|b| b.as_u64())),
        None => list(out, token.text().bytes().map(u64::from)),
    }
    out.push(b']');
}

fn list(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    for (i, number) in numbers.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write::uint(out, number);
    }
}

fn write_usage(out: &mut Vec<u8>, usage: Usage) {
    out.extend_from_slice(b"{\"prompt_tokens\":");
    write::uint(out, usage.input);
    out.extend_from_slice(b",\"completion_tokens\":");
    write::uint(out, usage.output);
    out.extend_from_slice(b",\"total_tokens\":");
    write::uint(out, usage.input.saturating_add(usage.output));
    out.extend_from_slice(b",\"prompt_tokens_details\":{\"cached_tokens\":");
    write::uint(out, usage.cached);
    out.extend_from_slice(
        b",\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":",
    );
    write::uint(out, usage.reasoning);
    out.extend_from_slice(
        b",\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}",
    );
}
