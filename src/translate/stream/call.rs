//! Tool calls: told apart however the provider numbers them, and sent one after another.
//!
//! Only the front call streams; what comes for later ones waits until it is complete, since
//! clients follow one item at a time.

use super::Translator;
use super::emit::{Delta, Emitter};
use super::item::{Part, status};
use super::predict::Take;
use super::tracker::Tracker;
use super::unwrap::Unwrapper;
use crate::json::{Content, Kind as JsonKind, Str, Tape, Value, write};
use crate::responses::tool::ToolKind;
use crate::translate::call_id;
use crate::translate::snapshot::compact;
use std::borrow::Cow;

/// The calls of an answer that are not closed yet.
#[derive(Debug, Default)]
pub(super) struct Calls {
    list: Vec<Call>,
    /// The first call that is not closed.
    front: usize,
    /// Reasoning that came while a call was unfinished, as escaped JSON text.
    pub(super) late_reasoning: Vec<u8>,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<i64>,
    id: String,
    name: String,
    /// As escaped JSON text.
    arguments: Vec<u8>,
    sent: usize,
    json: Tracker,
    /// A freeform call in the provider's own form: its input is bare.
    bare: bool,
    open: Option<OpenCall>,
}

#[derive(Debug)]
struct OpenCall {
    item_id: String,
    kind: ToolKind,
    /// `,"call_id":…,"name":…` and, where there is one, the namespace.
    names: Vec<u8>,
    unwrapper: Unwrapper,
}

impl Calls {
    pub(super) fn is_open(&self) -> bool {
        self.front < self.list.len()
    }

    /// The front call, if it is the only one that is open, has that index, and sends pieces of
    /// its arguments at once.
    #[inline]
    pub(super) fn flow(&mut self, index: Option<i64>) -> Option<Flow<'_>> {
        let alone = self.front + 1 == self.list.len();
        let call = self.list.get_mut(self.front).filter(|_| alone)?;
        if call.index != index || call.complete() || call.sent != call.arguments.len() {
            return None;
        }
        let open = call.open.as_mut()?;
        let (delta, unwrapper) = match open.kind {
            ToolKind::Function => (Delta::Arguments, None),
            ToolKind::Custom if call.bare => (Delta::Input, None),
            ToolKind::Custom => (Delta::Input, Some(&mut open.unwrapper)),
            _ => return None,
        };
        Some(Flow {
            delta,
            item_id: &open.item_id,
            pieces: Pieces {
                arguments: &mut call.arguments,
                sent: &mut call.sent,
                json: &mut call.json,
                bare: call.bare,
                unwrapper,
            },
        })
    }

    /// Whether the arguments of every call are a whole JSON object.
    pub(super) fn all_complete(&self) -> bool {
        self.list[self.front..].iter().all(Call::complete)
    }

    /// The call that a delta belongs to; `None` for a new one.
    fn find(&self, index: Option<i64>, id: &str, name: &str) -> Option<usize> {
        let found = match index {
            Some(_) => self.list.iter().rposition(|c| c.index == index),
            None if !id.is_empty() => self.list.iter().rposition(|c| c.id == id),
            None if !name.is_empty() => None,
            None => self.list.len().checked_sub(1),
        }?;
        let call = &self.list[found];
        // Ollama numbers every call 0: another id with a name is another call.
        let other = !id.is_empty() && !call.id.is_empty() && call.id != id && !name.is_empty();
        (!other).then_some(found)
    }
}

impl Call {
    /// Whether its arguments are a whole JSON object. Bare input never says that it is.
    fn complete(&self) -> bool {
        !self.bare && self.json.complete()
    }

    /// Takes the next piece of its arguments.
    fn take(&mut self, piece: &Content<'_>) {
        self.json.feed(piece);
        piece.append(&mut self.arguments);
    }
}

/// A call whose arguments go out as they come.
pub(super) struct Flow<'a> {
    pub(super) delta: Delta,
    pub(super) item_id: &'a str,
    pub(super) pieces: Pieces<'a>,
}

/// What takes the pieces of such a call.
pub(super) struct Pieces<'a> {
    arguments: &'a mut Vec<u8>,
    sent: &'a mut usize,
    json: &'a mut Tracker,
    bare: bool,
    unwrapper: Option<&'a mut Unwrapper>,
}

impl Take for Pieces<'_> {
    #[inline(always)]
    fn take(&mut self, piece: &Content<'_>, emitter: &mut Emitter, out: &mut Vec<u8>) -> bool {
        self.json.feed(piece);
        piece.append(self.arguments);
        *self.sent = self.arguments.len();
        if let Some(unwrapper) = &mut self.unwrapper
            && !unwrapper.pass(piece)
        {
            unwrapper.feed(piece.raw());
            let ready = unwrapper.ready();
            if !ready.is_empty() {
                emitter.again(out, &Content::valid(ready));
            }
        } else {
            emitter.again(out, piece);
        }
        self.bare || !self.json.complete()
    }
}

impl Translator {
    /// Takes one entry of `delta.tool_calls`, or the legacy `function_call`.
    pub(super) fn call_delta(&mut self, call: Value<'_>, function: Option<Value<'_>>) {
        let (mut id, mut index, mut custom) = (None, None, None);
        for (key, value) in call.entries() {
            match &*key.bytes() {
                b"id" => id = Some(value),
                b"index" => index = value.as_f64().map(|i| i as i64),
                b"custom" => custom = Some(value).filter(|v| !v.is_null()),
                _ => {}
            }
        }
        let content: &[u8] = match custom {
            Some(_) => b"input",
            None => b"arguments",
        };
        let (mut name, mut arguments) = (None, None);
        for (key, value) in custom.or(function).iter().flat_map(|f| f.entries()) {
            match &*key.bytes() {
                b"name" => name = Some(value),
                key if key == content => arguments = Some(value),
                _ => {}
            }
        }
        let (id, name) = (text_of(id).text(), text_of(name).text());
        let arguments = match arguments.filter(|a| !a.is_null()) {
            None => Cow::Borrowed(&b""[..]),
            Some(value) => match value.as_str() {
                Some(text) => text.escaped(),
                None => {
                    let mut escaped = Vec::new();
                    write::escape_again(&mut escaped, &compact_of(value));
                    Cow::Owned(escaped)
                }
            },
        };
        let at = match self.calls.find(index, &id, &name) {
            Some(at) => at,
            None if id.is_empty() && name.is_empty() && arguments.is_empty() => return,
            None => {
                self.calls.list.push(Call {
                    index,
                    ..Call::default()
                });
                self.calls.list.len() - 1
            }
        };
        let entry = &mut self.calls.list[at];
        entry.bare |= custom.is_some();
        if entry.json.complete() && entry.arguments == *arguments && !id.is_empty() {
            // The same complete call once more.
            return;
        }
        if entry.open.is_none() {
            if entry.id.is_empty() {
                entry.id = id.into_owned();
            }
            match name.strip_prefix(entry.name.as_str()) {
                Some(_) => entry.name = name.into_owned(),
                None => entry.name.push_str(&name),
            }
        }
        entry.take(&Content::valid(&arguments));
        if self.emitter.plan.seal.is_some() {
            self.carrier.call(at as u64, call);
        }
        self.held_space.clear();
    }

    /// The index of the front call, if it is the only one that is open.
    pub(super) fn front_index(&self) -> Option<Option<i64>> {
        let alone = self.calls.front + 1 == self.calls.list.len();
        let call = self.calls.list.get(self.calls.front).filter(|_| alone)?;
        call.open.as_ref().map(|_| call.index)
    }

    /// Sends what the front call has, and goes on to the next when it is complete.
    pub(super) fn advance(&mut self, out: &mut Vec<u8>) {
        loop {
            let Some(call) = self.calls.list.get(self.calls.front) else {
                return;
            };
            if call.arguments.is_empty() && !call.complete() {
                return;
            }
            self.stream_call(out);
            let front = self.calls.front;
            let call = &self.calls.list[front];
            if front + 1 == self.calls.list.len() || !call.bare && !call.complete() {
                return;
            }
            self.close_call(false, out);
        }
    }

    /// Opens the front call if it is not, and sends the arguments that have not left.
    fn stream_call(&mut self, out: &mut Vec<u8>) {
        self.open_call(out);
        let Some(call) = self.calls.list.get_mut(self.calls.front) else {
            return;
        };
        let Call {
            arguments,
            sent,
            bare,
            open: Some(open),
            ..
        } = call
        else {
            return;
        };
        let news = &arguments[*sent..];
        *sent = arguments.len();
        let (kind, delta) = match open.kind {
            ToolKind::Function => (Delta::Arguments, news),
            ToolKind::Custom if *bare => (Delta::Input, news),
            ToolKind::Custom => {
                open.unwrapper.feed(news);
                (Delta::Input, open.unwrapper.ready())
            }
            _ => return,
        };
        if !delta.is_empty() {
            self.emitter.delta(out, kind, &open.item_id, 0, delta);
        }
    }

    fn open_call(&mut self, out: &mut Vec<u8>) {
        let front = self.calls.front;
        if self.calls.list.get(front).is_none_or(|c| c.open.is_some()) {
            return;
        }
        self.commit(out);
        self.close_open(false, out);
        let fresh = self.emitter.id("call_");
        let call = &mut self.calls.list[front];
        let id = match call.id.as_str() {
            "" => fresh,
            id => call_id::encode(id),
        };
        self.carrier.call_named(front as u64, &id);
        let tool = self.emitter.plan.tools.by_flat(&call.name).cloned();
        let unknown = if call.bare {
            ToolKind::Custom
        } else {
            ToolKind::Function
        };
        let kind = tool.as_ref().map_or(unknown, |t| t.kind);
        let mut names = b",\"call_id\":".to_vec();
        write::string(&mut names, &id);
        if matches!(kind, ToolKind::Function | ToolKind::Custom) {
            names.extend_from_slice(b",\"name\":");
            write::string(&mut names, tool.as_ref().map_or(&call.name, |t| &t.name));
            if let Some(namespace) = tool.as_ref().and_then(|t| t.namespace.as_ref()) {
                names.extend_from_slice(b",\"namespace\":");
                write::string(&mut names, namespace);
            }
        }
        let item_id = self.emitter.id(prefix(kind));
        let open = OpenCall {
            item_id,
            kind,
            names,
            unwrapper: Unwrapper::default(),
        };
        let empty: &[u8] = if matches!(kind, ToolKind::Function | ToolKind::Custom) {
            b""
        } else {
            b"{}"
        };
        let item = item_of(&open, b",\"status\":\"in_progress\"", empty);
        self.emitter
            .item_added(out, |out| out.extend_from_slice(&item));
        self.calls.list[front].open = Some(open);
    }

    /// Closes the front call; `cut` if the answer ended early.
    fn close_call(&mut self, cut: bool, out: &mut Vec<u8>) {
        self.stream_call(out);
        let Some(call) = self.calls.list.get_mut(self.calls.front) else {
            return;
        };
        self.calls.front += 1;
        let cut = cut && !call.complete();
        if call.arguments.is_empty() && !cut && !call.bare {
            call.arguments.extend_from_slice(b"{}");
            self.calls.front -= 1;
            self.stream_call(out);
            self.calls.front += 1;
        }
        let call = &mut self.calls.list[self.calls.front - 1];
        let Call {
            arguments,
            bare,
            open: Some(open),
            ..
        } = call
        else {
            return;
        };
        let (kind, field, whole): (_, &[u8], &[u8]) = match open.kind {
            ToolKind::Function => (
                "response.function_call_arguments.done",
                b",\"arguments\":",
                arguments,
            ),
            ToolKind::Custom if *bare => (
                "response.custom_tool_call_input.done",
                b",\"input\":",
                arguments,
            ),
            ToolKind::Custom => {
                let rest = open.unwrapper.finish();
                if !rest.is_empty() {
                    self.emitter
                        .delta(out, Delta::Input, &open.item_id, 0, rest);
                }
                (
                    "response.custom_tool_call_input.done",
                    b",\"input\":",
                    &open.unwrapper.input,
                )
            }
            _ => {
                let item = item_of(open, status(cut), &decoded(arguments));
                return self.emitter.item_done(out, &item);
            }
        };
        // A call that was cut has no `done`: nobody may run it.
        if !cut {
            self.emitter
                .item_event(out, kind, &open.item_id, None, |out| {
                    out.extend_from_slice(field);
                    write::quoted(out, whole);
                });
        }
        let item = item_of(open, status(cut), whole);
        self.emitter.item_done(out, &item);
    }

    /// Closes every call in order, then sends what had to wait for that.
    pub(super) fn close_calls(&mut self, cut: bool, out: &mut Vec<u8>) {
        while self.calls.is_open() {
            let call = &self.calls.list[self.calls.front];
            if call.name.is_empty() && call.arguments.is_empty() {
                self.calls.front += 1;
                continue;
            }
            self.open_call(out);
            self.close_call(cut, out);
        }
        self.calls.list.clear();
        self.calls.front = 0;
        self.carrier.calls_closed();
        let reasoning = std::mem::take(&mut self.calls.late_reasoning);
        self.reasoning(&reasoning, out);
        let text = std::mem::take(&mut self.late_text);
        if !text.is_empty() {
            self.message(Part::Text, &text, b"", out);
        }
    }
}

fn text_of(value: Option<Value<'_>>) -> Str<'_> {
    match value.and_then(|v| v.as_str()) {
        Some(text) => text,
        None => Str::EMPTY,
    }
}

fn compact_of(value: Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    compact(&mut out, value);
    out
}

fn prefix(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::ApplyPatch => "apc_",
        ToolKind::Custom => "ctc_",
        ToolKind::Function => "fc_",
        ToolKind::LocalShell => "lsh_",
        ToolKind::Shell => "sh_",
        ToolKind::ToolSearch => "tsc_",
    }
}

/// A call's item. `content` is escaped text for functions and freeform tools, the arguments as a
/// JSON object for the others.
fn item_of(open: &OpenCall, status: &[u8], content: &[u8]) -> Vec<u8> {
    let mut item = format!("{{\"id\":\"{}\",\"type\":\"", open.item_id).into_bytes();
    let kind: &[u8] = match open.kind {
        ToolKind::ApplyPatch => b"apply_patch_call",
        ToolKind::Custom => b"custom_tool_call",
        ToolKind::Function => b"function_call",
        ToolKind::LocalShell => b"local_shell_call",
        ToolKind::Shell => b"shell_call",
        ToolKind::ToolSearch => b"tool_search_call",
    };
    item.extend_from_slice(kind);
    item.push(b'"');
    item.extend_from_slice(status);
    item.extend_from_slice(&open.names);
    match open.kind {
        ToolKind::Function => {
            item.extend_from_slice(b",\"arguments\":");
            write::quoted(&mut item, content);
        }
        ToolKind::Custom => {
            item.extend_from_slice(b",\"input\":");
            write::quoted(&mut item, content);
        }
        ToolKind::ToolSearch => {
            item.extend_from_slice(b",\"execution\":\"client\",\"arguments\":");
            item.extend_from_slice(content);
        }
        ToolKind::LocalShell => {
            item.extend_from_slice(b",\"action\":{\"type\":\"exec\"");
            members(
                &mut item,
                content,
                &[
                    ("command", "[]"),
                    ("env", "{}"),
                    ("timeout_ms", "null"),
                    ("working_directory", "null"),
                ],
            );
            item.push(b'}');
        }
        ToolKind::Shell => {
            let from = item.len();
            members(
                &mut item,
                content,
                &[
                    ("commands", "[]"),
                    ("max_output_length", "null"),
                    ("timeout_ms", "null"),
                ],
            );
            item[from] = b'{';
            item.splice(from..from, b",\"action\":".iter().copied());
            item.push(b'}');
        }
        ToolKind::ApplyPatch => {
            item.extend_from_slice(b",\"operation\":");
            item.extend_from_slice(content);
        }
    }
    item.push(b'}');
    item
}

/// Appends `,"name":value` for each member, with a default for what the model left out.
fn members(out: &mut Vec<u8>, object: &[u8], names: &[(&str, &str)]) {
    let mut tape = Tape::new();
    let object = tape.parse(object).ok();
    for (name, default) in names {
        out.extend_from_slice(b",");
        write::string(out, name);
        out.push(b':');
        let value = object.and_then(|o| o.present(name));
        out.extend_from_slice(value.map_or(default.as_bytes(), |v| v.raw()));
    }
}

/// Arguments as a JSON object; `{}` where they are none.
fn decoded(escaped: &[u8]) -> Vec<u8> {
    let mut tape = Tape::new();
    let quoted = [b"\"", escaped, b"\""].concat();
    let text = match tape.parse(&quoted) {
        Ok(value) => value
            .as_str()
            .map(|s| s.text().into_owned())
            .unwrap_or_default(),
        Err(_) => String::new(),
    };
    let mut tape = Tape::new();
    match tape.parse(text.as_bytes()) {
        Ok(value) if value.kind() == JsonKind::Object => compact_of(value),
        _ => b"{}".to_vec(),
    }
}
