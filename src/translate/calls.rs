//! Tool-call items and their outputs: which belong together, and what they say (SPEC 1.2, 1.3).

use super::call_id;
use super::item::{Item, ItemKind};
use super::parts::{Piece, Pieces};
use super::snapshot::compact;
use super::tools::Toolbox;
use crate::error::Error;
use crate::json::write;
use crate::json::{Kind, Str, Tape, Value};
use crate::provider::Profile;
use foldhash::fast::RandomState;
use smallvec::{SmallVec, smallvec};
use std::borrow::Cow;
use std::collections::HashMap;

/// Where the answer to a call is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// In the item of that index.
    At(usize),
    /// Nowhere.
    Missing,
    /// The item is an answer itself, to no call.
    Orphan,
    /// In the call's own item.
    Own,
}

/// Which output answers which call.
#[derive(Debug)]
pub(super) struct Pairs {
    /// One for each item.
    answers: Vec<Answer>,
    /// Outputs that a later output for the same call replaces, and that later one.
    pub repeated: Vec<(usize, usize)>,
}

/// The calls of one id.
#[derive(Default)]
struct Calls {
    /// Those without an answer, the nearest last.
    open: SmallVec<[usize; 2]>,
    nearest: usize,
}

impl Pairs {
    /// Pairs each output with the nearest call before it that has its id and no answer yet.
    pub fn of(items: &[Item<'_>]) -> Result<Pairs, Error> {
        let mut pairs = Pairs {
            answers: vec![Answer::Missing; items.len()],
            repeated: Vec::new(),
        };
        let mut calls: HashMap<Cow<'_, [u8]>, Calls, RandomState> = HashMap::default();
        for (i, item) in items.iter().enumerate() {
            if item.kind == ItemKind::McpCall {
                pairs.answers[i] = Answer::Own;
            } else if item.kind.is_call() {
                let id = item.call_id().ok_or_else(|| missing(i, "call_id"))?;
                let calls = calls.entry(id.bytes()).or_default();
                calls.open.push(i);
                calls.nearest = i;
            } else if item.kind.is_output() {
                let Some(id) = item.answered_id() else {
                    if item.kind == ItemKind::ToolSearchOutput {
                        // What a server searched has no call; its tools are read elsewhere.
                        continue;
                    }
                    return Err(missing(i, "call_id"));
                };
                pairs.output(i, calls.get_mut(&*id.bytes()));
            }
        }
        Ok(pairs)
    }

    fn output(&mut self, i: usize, calls: Option<&mut Calls>) {
        let Some(calls) = calls else {
            self.answers[i] = Answer::Orphan;
            return;
        };
        let call = calls.open.pop().unwrap_or(calls.nearest);
        if let Answer::At(earlier) = std::mem::replace(&mut self.answers[call], Answer::At(i)) {
            self.repeated.push((earlier, i));
        }
    }

    pub fn answer_of(&self, call: usize) -> Answer {
        self.answers[call]
    }

    pub fn is_orphan(&self, output: usize) -> bool {
        self.answers[output] == Answer::Orphan
    }
}

fn missing(i: usize, field: &str) -> Error {
    let param = format!("input[{i}].{field}");
    Error::bad_request(format!("Missing required parameter: '{param}'."))
        .with_code("missing_required_parameter")
        .with_param(param)
}

/// A call as the provider sees it.
pub(super) struct CallText<'a> {
    /// The client's id.
    pub id: Cow<'a, str>,
    pub flat: Cow<'a, str>,
    /// JSON text, escaped; for a freeform call its input, escaped.
    pub arguments: Piece<'a>,
    /// A freeform call, for a provider that knows them.
    pub freeform: bool,
}

/// The provider's id for a call that the client knows as `id`: what was encoded for the client is
/// decoded, and what the provider would refuse is replaced, always by the same.
pub(super) fn wire_id<'i>(profile: &Profile, id: Cow<'i, str>) -> Cow<'i, str> {
    let id = call_id::decode(&id).map_or(id, Cow::Owned);
    let exact = profile.call_id_exact;
    if exact > 0 {
        let fits = id.len() == exact && id.bytes().all(|b| b.is_ascii_alphanumeric());
        return match fits {
            true => id,
            false => Cow::Owned(call_id::digest(&id, exact)),
        };
    }
    match profile.call_id_max {
        most if most > 0 && id.len() > most => Cow::Owned(call_id::digest(&id, most)),
        _ => id,
    }
}

/// What reading a call takes besides its item, and keeps for the next one.
#[derive(Default)]
pub(super) struct Scratch {
    text: Vec<u8>,
    tape: Tape,
}

/// Reads a call item. `native` says that the provider knows freeform calls.
pub(super) fn read<'a>(
    item: &Item<'a>,
    i: usize,
    tools: &'a Toolbox,
    native: bool,
    scratch: &mut Scratch,
) -> Result<CallText<'a>, Error> {
    let id = item.call_id().ok_or_else(|| missing(i, "call_id"))?;
    let named = || item.name().ok_or_else(|| missing(i, "name"));
    let freeform = native && item.kind == ItemKind::CustomToolCall;
    let value = item.value();
    let (arguments, flat) = match item.kind {
        ItemKind::CustomToolCall => {
            let name = named()?;
            let input = item.input().unwrap_or(Str::EMPTY);
            let arguments = match freeform {
                true => Piece::Text(input),
                false => wrapped("input", input),
            };
            (arguments, tools.called(item.namespace(), name))
        }
        ItemKind::FunctionCall => {
            let name = named()?;
            let arguments = arguments(item.arguments(), scratch);
            (arguments, tools.called(item.namespace(), name))
        }
        ItemKind::McpCall => {
            let name = named()?;
            let arguments = arguments(item.arguments(), scratch);
            (arguments, tools.called(value.str("server_label"), name))
        }
        kind => {
            let (given, name) = match kind {
                ItemKind::ToolSearchCall => (item.arguments(), "tool_search"),
                ItemKind::ApplyPatchCall => (value.get("operation"), "apply_patch"),
                ItemKind::ShellCall => (value.get("action"), "shell"),
                _ => (value.get("action"), "local_shell"),
            };
            let flat = tools.called(None, Str::plain(name));
            (arguments(given, scratch), flat)
        }
    };
    Ok(CallText {
        id: id.text(),
        flat,
        arguments,
        freeform,
    })
}

/// A call's arguments as escaped JSON text, verbatim if they are an object. Anything else is
/// wrapped: many servers parse the arguments of old calls and fail for good if they cannot.
fn arguments<'a>(given: Option<Value<'a>>, scratch: &mut Scratch) -> Piece<'a> {
    const NONE: Str<'static> = Str::plain("{}");
    let Some(given) = given.filter(|a| !a.is_null()) else {
        return Piece::Text(NONE);
    };
    let Some(text) = given.as_str() else {
        let mut json = Vec::new();
        compact(&mut json, given);
        if given.kind() != Kind::Object {
            json = [b"{\"_raw\":", &json[..], b"}"].concat();
        }
        let mut escaped = Vec::new();
        write::escape_again(&mut escaped, &json);
        return Piece::Made(escaped);
    };
    scratch.text.clear();
    text.unescape(&mut scratch.text);
    let parsed = scratch.tape.parse(&scratch.text);
    if parsed.is_ok_and(|v| v.kind() == Kind::Object) {
        Piece::Text(text)
    } else if text.text().trim().is_empty() {
        Piece::Text(NONE)
    } else {
        wrapped("_raw", text)
    }
}

/// `{"key": text}` as escaped JSON text.
fn wrapped<'a>(key: &str, text: Str<'_>) -> Piece<'a> {
    // Every escape in the text grows by one byte.
    let mut out = Vec::with_capacity(text.raw().len() * 9 / 8 + key.len() + 16);
    out.extend_from_slice(b"{\\\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\\\":\\\"");
    write::escape_again(&mut out, &text.escaped());
    out.extend_from_slice(b"\\\"}");
    Piece::Made(out)
}

/// What an `mcp_call` brought, which stands in its own item.
pub(super) fn mcp_output(item: Value<'_>) -> Pieces<'_> {
    let output = item.str("output").filter(|o| !o.is_empty());
    if let Some(text) = output {
        return smallvec![Piece::Text(text)];
    }
    match item.present("error") {
        Some(error) => {
            let mut text = b"error: ".to_vec();
            match error.as_str() {
                Some(error) => error.splice(&mut text),
                None => write::escape_again(&mut text, error.raw()),
            }
            smallvec![Piece::Made(text)]
        }
        None => smallvec![Piece::Text(Str::EMPTY)],
    }
}

/// The results of shell commands as text.
pub(super) fn shell_output(item: Value<'_>) -> Pieces<'_> {
    let Some(output) = item.present("output") else {
        return smallvec![Piece::Text(Str::EMPTY)];
    };
    if let Some(text) = output.as_str() {
        return smallvec![Piece::Text(text)];
    }
    let mut pieces = Pieces::new();
    for result in output.items() {
        let mut text = b"exit_code: ".to_vec();
        let code = result
            .present("outcome")
            .and_then(|o| o.present("exit_code"));
        match code.filter(|c| c.kind() == Kind::Number) {
            Some(code) => text.extend_from_slice(code.raw()),
            None => text.extend_from_slice(b"none (timed out)"),
        }
        text.extend_from_slice(b"\\nstdout:\\n");
        result.str("stdout").unwrap_or(Str::EMPTY).splice(&mut text);
        text.extend_from_slice(b"\\nstderr:\\n");
        result.str("stderr").unwrap_or(Str::EMPTY).splice(&mut text);
        pieces.push(Piece::Made(text));
    }
    pieces
}

/// How a patch went, as text.
pub(super) fn patch_output(item: Value<'_>) -> Pieces<'_> {
    [item.str("status"), item.str("output")]
        .into_iter()
        .flatten()
        .filter(|t| !t.is_empty())
        .map(Piece::Text)
        .collect()
}

/// The tools that a search found: their names, as the model must call them, and what they do.
pub(super) fn search_output<'a>(item: Value<'a>, tools: &Toolbox) -> Pieces<'a> {
    let mut list = b"[".to_vec();
    let mut one = |space: Option<&str>, tool: Value<'_>| {
        let Some(name) = tool.str("name") else {
            return;
        };
        list.extend_from_slice(if list.len() > 1 { b",{" } else { b"{" });
        list.extend_from_slice(b"\"name\":");
        write::string(&mut list, &tools.flat(space, &name.text()));
        if let Some(description) = tool.str("description") {
            list.extend_from_slice(b",\"description\":\"");
            description.splice(&mut list);
            list.push(b'"');
        }
        list.push(b'}');
    };
    for tool in item.present("tools").iter().flat_map(|t| t.items()) {
        if tool.str("type").is_some_and(|t| t == "namespace") {
            let space = tool.str("name").unwrap_or(Str::EMPTY).text();
            for member in tool.present("tools").iter().flat_map(|t| t.items()) {
                one(Some(&space), member);
            }
        } else {
            one(None, tool);
        }
    }
    list.push(b']');
    let mut text = Vec::with_capacity(list.len() + list.len() / 8);
    write::escape_again(&mut text, &list);
    smallvec![Piece::Made(text)]
}
