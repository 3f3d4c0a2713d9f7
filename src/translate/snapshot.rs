//! The members of a response object that echo the request, as the Responses API has them.
//!
//! Everything here must be accepted by the published types of the API, because clients validate
//! whole snapshots; what the types refuse is left out or replaced by the default.

use super::diagnostic::Diagnostic;
use crate::json::write;
use crate::json::{Kind, Value};

/// Longest list of diagnostics in `metadata`, in bytes: the API's limit for a metadata value.
const DIAGNOSTICS_BYTES_MAX: usize = 512;
/// Room for all members but the long ones.
const ECHO_BYTES: usize = 640;
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
const SUMMARIES: [&str; 3] = ["auto", "concise", "detailed"];
const TIERS: [&str; 7] = [
    "auto",
    "default",
    "flex",
    "scale",
    "priority",
    "fast",
    "ultrafast",
];

/// What of a response's place among others its object says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// It is kept, so that it can be asked for and continued.
    pub kept: bool,
    /// The id of the response that it continues, as escaped JSON text.
    pub previous: Option<&'a [u8]>,
}

/// Says a member of the request as it is where it fits, else the default.
macro_rules! member {
    ($echo:ident, $name:literal, $fits:expr, $default:literal) => {
        let key = concat!(",\"", $name, "\":");
        let default = concat!(",\"", $name, "\":", $default);
        $echo.member($name, $fits, key, default)
    };
}

/// The echoed members, `"model":…,…,"frequency_penalty":…`, without braces. `minimal` leaves out
/// what is long: tools and instructions.
pub fn echo(
    request: Value<'_>,
    model_requested: &str,
    diagnostics: &[Diagnostic],
    minimal: bool,
    place: Place<'_>,
) -> Vec<u8> {
    let instructions = request.str("instructions").filter(|_| !minimal);
    let tools = request.get("tools").filter(|_| !minimal);
    let long = instructions.map_or(0, |text| text.raw().len());
    let long = long + tools.map_or(0, |tools| tools.raw().len());
    let mut echo = Echo {
        request,
        out: Vec::with_capacity(ECHO_BYTES + long),
    };
    echo.raw("\"model\":");
    write::string(&mut echo.out, model_requested);
    echo.raw(",\"background\":false,\"instructions\":");
    match instructions {
        Some(text) => {
            echo.out.push(b'"');
            text.splice(&mut echo.out);
            echo.out.push(b'"');
        }
        None => echo.raw("null"),
    }
    member!(echo, "max_output_tokens", is_integer, "null");
    member!(echo, "max_tool_calls", is_integer, "null");
    member!(echo, "parallel_tool_calls", is_bool, "true");
    echo.raw(",\"previous_response_id\":");
    match place.previous {
        Some(id) => write::quoted(&mut echo.out, id),
        None => echo.raw("null"),
    }
    member!(echo, "prompt_cache_key", is_string, "null");
    echo.reasoning();
    member!(echo, "safety_identifier", is_string, "null");
    member!(echo, "service_tier", is_tier, "\"default\"");
    echo.raw(match place.kept {
        true => ",\"store\":true",
        false => ",\"store\":false",
    });
    member!(echo, "temperature", is_number, "1.0");
    echo.text();
    member!(echo, "tool_choice", is_tool_choice, "\"auto\"");
    echo.tools(tools);
    member!(echo, "top_logprobs", is_integer, "0");
    member!(echo, "top_p", is_number, "1.0");
    member!(echo, "truncation", is_truncation, "\"disabled\"");
    echo.metadata(diagnostics);
    member!(echo, "presence_penalty", is_number, "0.0");
    member!(echo, "frequency_penalty", is_number, "0.0");
    // It is kept for as long as the stream lasts.
    echo.out.shrink_to_fit();
    echo.out
}

fn is_integer(v: Value<'_>) -> bool {
    v.as_u64().is_some()
}

fn is_bool(v: Value<'_>) -> bool {
    v.kind() == Kind::Bool
}

fn is_string(v: Value<'_>) -> bool {
    v.kind() == Kind::String
}

fn is_number(v: Value<'_>) -> bool {
    v.kind() == Kind::Number
}

fn is_tier(v: Value<'_>) -> bool {
    one_of(v, &TIERS)
}

fn is_truncation(v: Value<'_>) -> bool {
    one_of(v, &["auto", "disabled"])
}

fn one_of(v: Value<'_>, allowed: &[&str]) -> bool {
    v.as_str().is_some_and(|s| allowed.iter().any(|a| s == *a))
}

/// Whether the published union has this form. Its members differ in what they need.
fn is_tool_choice(v: Value<'_>) -> bool {
    if v.kind() != Kind::Object {
        return one_of(v, &["none", "auto", "required"]);
    }
    let Some(kind) = v.str("type") else {
        return false;
    };
    match &*kind.text() {
        "function" | "custom" => v.str("name").is_some(),
        "allowed_tools" => {
            v.get("mode")
                .is_some_and(|m| one_of(m, &["auto", "required"]))
                && v.get("tools").is_some_and(|t| {
                    t.kind() == Kind::Array && t.items().all(|t| t.kind() == Kind::Object)
                })
        }
        "shell" | "apply_patch" | "web_search_preview" | "file_search" | "code_interpreter"
        | "image_generation" => true,
        _ => false,
    }
}

/// Whether the published union of tools has this form.
fn is_tool(tool: Value<'_>) -> bool {
    let Some(kind) = tool.str("type") else {
        return false;
    };
    let named = tool.str("name").is_some();
    let fits = [
        ("parameters", Kind::Object),
        ("description", Kind::String),
        ("strict", Kind::Bool),
        ("defer_loading", Kind::Bool),
        ("external_web_access", Kind::Bool),
    ]
    .iter()
    .all(|(key, kind)| tool.present(key).is_none_or(|v| v.kind() == *kind));
    if !fits {
        return false;
    }
    match &*kind.text() {
        "function" => named,
        "custom" => named && tool.present("format").is_none_or(is_format),
        "namespace" => {
            named
                && tool.str("description").is_some()
                && tool
                    .get("tools")
                    .is_some_and(|t| t.kind() == Kind::Array && t.items().all(is_member))
        }
        "tool_search" | "web_search" | "local_shell" | "shell" | "apply_patch"
        | "web_search_preview" => true,
        _ => false,
    }
}

fn is_member(tool: Value<'_>) -> bool {
    tool.get("type")
        .is_some_and(|t| one_of(t, &["function", "custom"]))
        && is_tool(tool)
}

fn is_format(format: Value<'_>) -> bool {
    match format.str("type") {
        Some(t) if t == "text" => true,
        Some(t) if t == "grammar" => {
            format.str("definition").is_some()
                && format
                    .get("syntax")
                    .is_some_and(|s| one_of(s, &["lark", "regex"]))
        }
        _ => false,
    }
}

struct Echo<'a> {
    request: Value<'a>,
    out: Vec<u8>,
}

impl<'a> Echo<'a> {
    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn key(&mut self, name: &str) {
        self.raw(",\"");
        self.raw(name);
        self.raw("\":");
    }

    /// A value of the client's. Strings are spliced, since they may hold lone surrogates.
    fn value(&mut self, value: Value<'_>) {
        match value.as_str() {
            Some(text) => {
                self.out.push(b'"');
                text.splice(&mut self.out);
                self.out.push(b'"');
            }
            None => compact(&mut self.out, value),
        }
    }

    fn member(&mut self, name: &str, fits: fn(Value<'_>) -> bool, key: &str, default: &str) {
        match self.request.get(name).filter(|v| fits(*v)) {
            Some(value) => {
                self.raw(key);
                self.value(value);
            }
            None => self.raw(default),
        }
    }

    fn reasoning(&mut self) {
        let Some(reasoning) = self.request.present("reasoning") else {
            return self.raw(",\"reasoning\":{\"effort\":null,\"summary\":null}");
        };
        let summary = reasoning.present("summary");
        let summary = summary.or_else(|| reasoning.present("generate_summary"));
        for (key, given, allowed) in [
            (
                ",\"reasoning\":{\"effort\":",
                reasoning.present("effort"),
                &EFFORTS[..],
            ),
            (",\"summary\":", summary, &SUMMARIES[..]),
        ] {
            self.raw(key);
            match given.filter(|v| one_of(*v, allowed)) {
                Some(value) => self.value(value),
                None => self.raw("null"),
            }
        }
        self.out.push(b'}');
    }

    fn text(&mut self) {
        let Some(text) = self.request.present("text") else {
            return self.raw(",\"text\":{\"format\":{\"type\":\"text\"}}");
        };
        self.raw(",\"text\":{\"format\":");
        let format = text.present("format").filter(|f| {
            f.str("type").is_some_and(|t| {
                t == "json_object"
                    || t == "text"
                    || (t == "json_schema"
                        && f.str("name").is_some()
                        && f.get("schema").is_some_and(|s| s.kind() == Kind::Object))
            })
        });
        match format {
            Some(format) => self.value(format),
            None => self.raw("{\"type\":\"text\"}"),
        }
        let verbosity = text.present("verbosity");
        if let Some(v) = verbosity.filter(|v| one_of(*v, &["low", "medium", "high"])) {
            self.raw(",\"verbosity\":");
            self.value(v);
        }
        self.out.push(b'}');
    }

    fn tools(&mut self, tools: Option<Value<'_>>) {
        self.raw(",\"tools\":[");
        let mut first = true;
        for tool in tools.iter().flat_map(|t| t.items()).filter(|t| is_tool(*t)) {
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.tool(tool);
        }
        self.out.push(b']');
    }

    /// One tool; Open Responses wants every key of a function, null where the client gave none.
    fn tool(&mut self, tool: Value<'_>) {
        if !tool.str("type").is_some_and(|t| t == "function") {
            self.value(tool);
            return;
        }
        compact(&mut self.out, tool);
        self.out.pop();
        for name in ["description", "parameters", "strict"] {
            if tool.get(name).is_none() {
                self.key(name);
                self.raw("null");
            }
        }
        self.out.push(b'}');
    }

    fn metadata(&mut self, diagnostics: &[Diagnostic]) {
        self.raw(",\"metadata\":{");
        let metadata = self.request.present("metadata");
        let mut first = true;
        for (key, value) in metadata.iter().flat_map(|m| m.entries()) {
            if value.kind() != Kind::String {
                continue;
            }
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.out.push(b'"');
            key.splice(&mut self.out);
            self.raw("\":");
            self.value(value);
        }
        if !diagnostics.is_empty() {
            if !first {
                self.out.push(b',');
            }
            self.raw("\"strait_diagnostics\":");
            write::string(&mut self.out, &summary(diagnostics));
        }
        self.out.push(b'}');
    }
}

/// `code path; code path`, cut at [`DIAGNOSTICS_BYTES_MAX`] bytes, between entries.
fn summary(diagnostics: &[Diagnostic]) -> String {
    let mut text = String::new();
    for d in diagnostics {
        let separator = if text.is_empty() { "" } else { "; " };
        let len = separator.len() + d.code.len() + 1 + d.path.len();
        if text.len() + len > DIAGNOSTICS_BYTES_MAX {
            break;
        }
        text.push_str(separator);
        text.push_str(d.code);
        text.push(' ');
        text.push_str(&d.path);
    }
    text
}

/// A value without white space between its tokens, so that it fits on one `data:` line.
pub(super) fn compact(out: &mut Vec<u8>, value: Value<'_>) {
    match value.kind() {
        Kind::Object => {
            out.push(b'{');
            for (i, (key, member)) in value.entries().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                out.push(b'"');
                key.splice(out);
                out.extend_from_slice(b"\":");
                compact(out, member);
            }
            out.push(b'}');
        }
        Kind::Array => {
            out.push(b'[');
            for (i, item) in value.items().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                compact(out, item);
            }
            out.push(b']');
        }
        Kind::String => {
            out.push(b'"');
            if let Some(text) = value.as_str() {
                text.splice(out);
            }
            out.push(b'"');
        }
        _ => out.extend_from_slice(value.raw()),
    }
}
