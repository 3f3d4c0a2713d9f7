//! Tool-call items and their outputs: which belong together, and what they say (SPEC 1.2, 1.3).

use super::call_id;
use super::parts::{Piece, Pieces};
use super::snapshot::compact;
use super::tools::Toolbox;
use crate::error::Error;
use crate::json::write;
use crate::json::{Kind, Str, Tape, Value};
use crate::provider::Profile;
use smallvec::smallvec;
use std::borrow::Cow;
use std::collections::HashMap;

/// The type of an item; an object without one but with a role is a message, and one that has
/// only an id refers to another.
pub(super) fn item_type<'a>(item: Value<'a>) -> Str<'a> {
    if let Some(kind) = item.str("type") {
        return kind;
    }
    Str::plain(if item.present("role").is_some() {
        "message"
    } else if item.present("id").is_some() {
        "item_reference"
    } else {
        ""
    })
}

pub(super) fn is_call(kind: &str) -> bool {
    matches!(
        kind,
        "function_call"
            | "custom_tool_call"
            | "local_shell_call"
            | "shell_call"
            | "apply_patch_call"
            | "tool_search_call"
            | "mcp_call"
    )
}

pub(super) fn is_output(kind: &str) -> bool {
    matches!(
        kind,
        "function_call_output"
            | "custom_tool_call_output"
            | "local_shell_call_output"
            | "shell_call_output"
            | "apply_patch_call_output"
            | "tool_search_output"
    )
}

/// The id of the call that an output answers. `local_shell_call_output` carries it as `id`.
pub(super) fn output_id<'a>(item: Value<'a>, kind: &str) -> Option<Str<'a>> {
    let id = item.str("call_id");
    match kind {
        "local_shell_call_output" => id.or_else(|| item.str("id")),
        _ => id,
    }
    .filter(|id| !id.is_empty())
}

fn id_of<'a>(item: Value<'a>) -> Option<Str<'a>> {
    item.str("call_id")
        .or_else(|| item.str("id"))
        .filter(|id| !id.is_empty())
}

/// Where the answer to a call is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// In the item of that index.
    At(usize),
    /// Nowhere.
    Missing,
    /// In the call's own item.
    Own,
}

/// Which output answers which call.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    answers: HashMap<usize, usize>,
    own: Vec<usize>,
    orphans: Vec<usize>,
    /// Outputs that a later output for the same call replaces, and that later one.
    pub repeated: Vec<(usize, usize)>,
}

impl Pairs {
    /// Pairs each output with the nearest call before it that has its id and no answer yet.
    pub fn of(items: &[Value<'_>]) -> Result<Pairs, Error> {
        let mut pairs = Pairs::default();
        let mut calls: HashMap<Cow<'_, str>, Vec<usize>> = HashMap::new();
        for (i, item) in items.iter().enumerate() {
            let kind = item_type(*item);
            let kind = kind.text();
            if kind == "mcp_call" {
                pairs.own.push(i);
            } else if is_call(&kind) {
                let id = id_of(*item).ok_or_else(|| missing(i, "call_id"))?;
                calls.entry(id.text()).or_default().push(i);
            } else if is_output(&kind) {
                let Some(id) = output_id(*item, &kind) else {
                    if kind == "tool_search_output" {
                        // What a server searched has no call; its tools are read elsewhere.
                        continue;
                    }
                    return Err(missing(i, "call_id"));
                };
                pairs.output(i, calls.get(&id.text()));
            }
        }
        pairs.orphans.sort_unstable();
        Ok(pairs)
    }

    fn output(&mut self, i: usize, calls: Option<&Vec<usize>>) {
        let Some(calls) = calls else {
            self.orphans.push(i);
            return;
        };
        let open = calls.iter().rev().find(|c| !self.answers.contains_key(c));
        let Some(call) = open.or(calls.last()) else {
            return;
        };
        if let Some(earlier) = self.answers.insert(*call, i) {
            self.repeated.push((earlier, i));
        }
    }

    pub fn answer_of(&self, call: usize) -> Answer {
        if self.own.binary_search(&call).is_ok() {
            return Answer::Own;
        }
        match self.answers.get(&call) {
            Some(at) => Answer::At(*at),
            None => Answer::Missing,
        }
    }

    pub fn is_orphan(&self, output: usize) -> bool {
        self.orphans.binary_search(&output).is_ok()
    }
}

fn missing(i: usize, field: &str) -> Error {
    let param = format!("input[{i}].{field}");
    Error::bad_request(format!("Missing required parameter: '{param}'."))
        .with_code("missing_required_parameter")
        .with_param(param)
}

/// A call as the provider sees it.
pub(super) struct CallText {
    /// The client's id.
    pub id: String,
    pub flat: String,
    /// JSON text, escaped; for a freeform call its input, escaped.
    pub arguments: Vec<u8>,
    /// A freeform call, for a provider that knows them.
    pub freeform: bool,
}

/// The provider's id for a call that the client knows as `id`: what was encoded for the client is
/// decoded, and what the provider would refuse is replaced, always by the same.
pub(super) fn wire_id(profile: &Profile, id: &str) -> String {
    let original = call_id::decode(id);
    let id = original.as_deref().unwrap_or(id);
    let exact = profile.call_id_exact;
    if exact > 0 {
        let fits = id.len() == exact && id.bytes().all(|b| b.is_ascii_alphanumeric());
        return match fits {
            true => id.to_owned(),
            false => call_id::digest(id, exact),
        };
    }
    match profile.call_id_max {
        most if most > 0 && id.len() > most => call_id::digest(id, most),
        _ => id.to_owned(),
    }
}

/// Reads a call item. `native` says that the provider knows freeform calls.
pub(super) fn read(
    item: Value<'_>,
    kind: &str,
    i: usize,
    tools: &Toolbox,
    native: bool,
    scratch: &mut Tape,
) -> Result<CallText, Error> {
    let id = id_of(item).ok_or_else(|| missing(i, "call_id"))?;
    let mut arguments = Vec::new();
    let freeform = native && kind == "custom_tool_call";
    let flat = match kind {
        "function_call" | "custom_tool_call" => {
            let name = item.str("name").ok_or_else(|| missing(i, "name"))?;
            let space = item.str("namespace").map(|s| s.text());
            if kind == "function_call" {
                write_arguments(&mut arguments, item.get("arguments"), scratch);
            } else {
                let input = item.str("input").unwrap_or(Str::EMPTY);
                match freeform {
                    true => input.splice(&mut arguments),
                    false => wrap(&mut arguments, "input", input),
                }
            }
            tools.flat(space.as_deref(), &name.text())
        }
        "mcp_call" => {
            let name = item.str("name").ok_or_else(|| missing(i, "name"))?;
            let label = item.str("server_label").map(|s| s.text());
            write_arguments(&mut arguments, item.get("arguments"), scratch);
            tools.flat(label.as_deref(), &name.text())
        }
        "tool_search_call" => {
            write_arguments(&mut arguments, item.get("arguments"), scratch);
            tools.flat(None, "tool_search")
        }
        "apply_patch_call" => {
            write_arguments(&mut arguments, item.get("operation"), scratch);
            tools.flat(None, "apply_patch")
        }
        _ => {
            write_arguments(&mut arguments, item.get("action"), scratch);
            let name = if kind == "shell_call" {
                "shell"
            } else {
                "local_shell"
            };
            tools.flat(None, name)
        }
    };
    Ok(CallText {
        id: id.text().into_owned(),
        flat,
        arguments,
        freeform,
    })
}

/// Appends a call's arguments as escaped JSON text, verbatim if they are an object. Anything else
/// is wrapped: many servers parse the arguments of old calls and fail for good if they cannot.
fn write_arguments(out: &mut Vec<u8>, arguments: Option<Value<'_>>, scratch: &mut Tape) {
    let Some(arguments) = arguments.filter(|a| !a.is_null()) else {
        return out.extend_from_slice(b"{}");
    };
    let Some(text) = arguments.as_str() else {
        let mut json = Vec::new();
        compact(&mut json, arguments);
        if arguments.kind() != Kind::Object {
            json = [b"{\"_raw\":", &json[..], b"}"].concat();
        }
        return write::escape_again(out, &json);
    };
    let plain = text.text();
    if plain.trim().is_empty() {
        return out.extend_from_slice(b"{}");
    }
    let parsed = scratch.parse(plain.as_bytes());
    if parsed.is_ok_and(|v| v.kind() == Kind::Object) {
        text.splice(out);
    } else {
        wrap(out, "_raw", text);
    }
}

/// Appends `{"key": text}` as escaped JSON text.
fn wrap(out: &mut Vec<u8>, key: &str, text: Str<'_>) {
    out.extend_from_slice(b"{\\\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\\\":\\\"");
    write::escape_again(out, &text.escaped());
    out.extend_from_slice(b"\\\"}");
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
