//! Lists of items as JSON that stays escaped: what a request brings, what is put before it, and
//! the ids that items get when they are kept.

use crate::error::Error;
use crate::json::{Kind, Str, Tape, Value, write};
use ring::digest;

/// The items that a request brings.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The inside of an array.
    Items(&'a [u8]),
    /// A string in its quotes: what the user says.
    Text(&'a [u8]),
}

impl<'a> Input<'a> {
    const TEXT: (&'static [u8], &'static [u8]) = (
        b"{\"type\":\"message\",\"role\":\"user\",\"content\":",
        b"}",
    );

    /// The input of a request; none is an empty list.
    pub fn of(request: Value<'a>) -> Result<Input<'a>, Error> {
        let Some(input) = request.present("input") else {
            return Ok(Input::Items(b""));
        };
        let raw = input.raw();
        match input.kind() {
            Kind::Array => Ok(Input::Items(raw[1..raw.len() - 1].trim_ascii())),
            Kind::String => Ok(Input::Text(raw)),
            _ => {
                let what = "Invalid type for 'input': expected a string or an array.";
                let error = Error::bad_request(what).with_param("input");
                Err(error.with_code("invalid_type"))
            }
        }
    }

    /// Bytes that [`Input::append_to`] appends, at most.
    pub fn bytes(&self) -> usize {
        match self {
            Input::Items(items) => items.len() + 1,
            Input::Text(text) => Self::TEXT.0.len() + text.len() + Self::TEXT.1.len() + 1,
        }
    }

    /// Appends the items to others, comma separated.
    pub fn append_to(&self, items: &mut Vec<u8>) {
        match self {
            Input::Items(more) => append(items, more),
            Input::Text(text) => append(items, &[Self::TEXT.0, text, Self::TEXT.1].concat()),
        }
    }
}

/// Appends `more` items to others, comma separated.
pub fn append(items: &mut Vec<u8>, more: &[u8]) {
    if more.is_empty() {
        return;
    }
    if !items.is_empty() {
        items.push(b',');
    }
    items.extend_from_slice(more);
}

/// The request with other members `first`, without those named, and with `items` as its input
/// where there are any to be said.
pub fn request_with(
    request: Value<'_>,
    first: &str,
    without: &[&str],
    items: Option<&[u8]>,
) -> Vec<u8> {
    let room = items.map_or(0, <[u8]>::len) + request.raw().len() + first.len() + 16;
    let mut body = Vec::with_capacity(room);
    body.push(b'{');
    body.extend_from_slice(first.as_bytes());
    let mut untold = items;
    for (key, value) in request.entries() {
        if without.iter().any(|name| key == *name) {
            continue;
        }
        if key == "input" {
            if let Some(items) = untold.take() {
                list(&mut body, items);
            }
            continue;
        }
        separate(&mut body);
        write::quoted(&mut body, key.raw());
        body.push(b':');
        body.extend_from_slice(value.raw());
    }
    if let Some(items) = untold {
        list(&mut body, items);
    }
    body.push(b'}');
    body
}

fn list(body: &mut Vec<u8>, items: &[u8]) {
    separate(body);
    body.extend_from_slice(b"\"input\":[");
    body.extend_from_slice(items);
    body.push(b']');
}

fn separate(body: &mut Vec<u8>) {
    if body.len() > 1 {
        body.push(b',');
    }
}

/// What ids begin with, by type (OpenAI refuses other beginnings).
const PREFIXES: [(&str, &str); 26] = [
    ("additional_tools", "at"),
    ("apply_patch_call", "apc"),
    ("apply_patch_call_output", "apco"),
    ("code_interpreter_call", "ci"),
    ("compaction", "cmp"),
    ("computer_call", "cu"),
    ("computer_call_output", "cuo"),
    ("custom_tool_call", "ctc"),
    ("custom_tool_call_output", "ctco"),
    ("file_search_call", "fs"),
    ("function_call", "fc"),
    ("function_call_output", "fco"),
    ("image_generation_call", "ig"),
    ("local_shell_call", "lsh"),
    ("mcp_approval_request", "mcpr"),
    ("mcp_approval_response", "mcpa"),
    ("mcp_call", "mcp"),
    ("mcp_list_tools", "mcpl"),
    ("program", "cm"),
    ("program_output", "cmo"),
    ("reasoning", "rs"),
    ("shell_call", "sh"),
    ("shell_call_output", "sho"),
    ("tool_search_call", "tsc"),
    ("tool_search_output", "tso"),
    ("web_search_call", "ws"),
];

/// The input of a request as it is kept: comma separated items, each with an id. Ids that are
/// given stay; the others follow from `seed`. A message gets its type and a list of parts, as the
/// API shows it.
pub fn kept(request: Value<'_>, seed: &[u8; 32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(request.get("input").map_or(0, |i| i.raw().len()) + 256);
    let Some(input) = request.present("input") else {
        return out;
    };
    let mut ids = Ids { seed, count: 0 };
    if let Some(text) = input.as_str() {
        out.extend_from_slice(b"{\"id\":");
        write::string(&mut out, &ids.next("msg"));
        out.extend_from_slice(b",\"type\":\"message\",\"role\":\"user\",\"content\":");
        parts(&mut out, text, false);
        out.push(b'}');
        return out;
    }
    for (i, item) in input.items().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        keep(&mut out, item, &mut ids);
    }
    out
}

fn keep(out: &mut Vec<u8>, item: Value<'_>, ids: &mut Ids<'_>) {
    if item.kind() != Kind::Object {
        return out.extend_from_slice(item.raw());
    }
    let kind = item.str("type");
    let message = match kind {
        Some(kind) => kind == "message",
        None => item.present("role").is_some(),
    };
    let id = item.str("id").filter(|id| !id.is_empty());
    let text = item.str("content").filter(|_| message);
    if id.is_some() && kind.is_some() && text.is_none() {
        return out.extend_from_slice(item.raw());
    }
    out.extend_from_slice(b"{\"id\":");
    match (id, item.str("call_id")) {
        (Some(id), _) => write::quoted(out, &id.escaped()),
        // This item's id is what names the call.
        (None, Some(call)) if kind.is_some_and(|k| k == "local_shell_call_output") => {
            write::quoted(out, &call.escaped());
        }
        (None, _) => write::string(out, &ids.next(prefix(kind, message))),
    }
    if message && kind.is_none() {
        out.extend_from_slice(b",\"type\":\"message\"");
    }
    let said = item.str("role").is_some_and(|role| role == "assistant");
    for (key, value) in item.entries().filter(|(key, _)| *key != "id") {
        out.push(b',');
        write::quoted(out, key.raw());
        out.push(b':');
        match text {
            Some(text) if key == "content" => parts(out, text, said),
            _ => out.extend_from_slice(value.raw()),
        }
    }
    out.push(b'}');
}

/// A text as the list of parts that it stands for.
fn parts(out: &mut Vec<u8>, text: Str<'_>, output: bool) {
    let kind: &[u8] = if output { b"output" } else { b"input" };
    out.extend_from_slice(b"[{\"type\":\"");
    out.extend_from_slice(kind);
    out.extend_from_slice(b"_text\",\"text\":");
    write::quoted(out, &text.escaped());
    if output {
        out.extend_from_slice(b",\"annotations\":[]");
    }
    out.extend_from_slice(b"}]");
}

fn prefix(kind: Option<Str<'_>>, message: bool) -> &'static str {
    let known = PREFIXES
        .iter()
        .find(|(name, _)| kind.is_some_and(|k| k == **name));
    match known {
        _ if message => "msg",
        Some((_, prefix)) => prefix,
        None => "item",
    }
}

/// Ids that follow from a secret seed.
struct Ids<'a> {
    seed: &'a [u8; 32],
    count: u64,
}

impl Ids<'_> {
    fn next(&mut self, prefix: &str) -> String {
        self.count += 1;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(self.seed);
        context.update(b"item");
        context.update(&self.count.to_le_bytes());
        let mut id = String::with_capacity(prefix.len() + 33);
        id.push_str(prefix);
        id.push('_');
        write::hex(&mut id, &context.finish().as_ref()[..16]);
        id
    }
}

/// Calls `each` with every item of a comma separated list; `false` if it is no such list.
pub fn for_each(items: &[u8], each: impl FnMut(Value<'_>)) -> bool {
    let list = [b"[", items, b"]"].concat();
    let mut tape = Tape::new();
    match tape.parse(&list) {
        Ok(list) => list.items().for_each(each),
        Err(_) => return false,
    }
    true
}
