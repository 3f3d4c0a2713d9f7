//! The chat request's members besides messages (SPEC 1.1).

use super::choice::Choice;
use super::diagnostic::Diagnostic;
use super::request::{Dialect, wrong_type};
use super::tools::{self, Toolbox};
use crate::error::Error;
use crate::json::write;
use crate::json::{Kind, Str, Value};
use crate::provider::Profile;
use crate::provider::profile::{JsonMode, Replay};

/// Fields that are read somewhere, or mean nothing to a provider that keeps no state; they are
/// left out in silence. Any other field is left out with a diagnostic.
const KNOWN: [&str; 32] = [
    "background",
    "client_metadata",
    "conversation",
    "frequency_penalty",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// What `configuration_update` items may change on the way; the last one counts.
#[derive(Clone, Copy)]
pub(super) struct Settings<'a> {
    effort: Option<Value<'a>>,
    format: Option<Value<'a>>,
}

impl<'a> Settings<'a> {
    pub fn of(request: Value<'a>) -> Self {
        let mut settings = Settings {
            effort: None,
            format: None,
        };
        settings.read(request);
        for item in request.present("input").iter().flat_map(|v| v.items()) {
            if item
                .str("type")
                .is_some_and(|t| t == "configuration_update")
            {
                settings.read(item);
            }
        }
        settings
    }

    fn read(&mut self, from: Value<'a>) {
        let effort = from.present("reasoning").and_then(|r| r.present("effort"));
        let format = from.present("text").and_then(|t| t.present("format"));
        self.effort = effort.or(self.effort);
        self.format = format.or(self.format);
    }
}

/// Whether `include` names `what`.
pub(super) fn includes(request: Value<'_>, what: &str) -> bool {
    let include = request.present("include");
    let mut items = include.iter().flat_map(|v| v.items());
    items.any(|v| v.as_str().is_some_and(|s| s == *what))
}

/// `response_format`, and what has to be said in words where the provider lacks that mode.
pub(super) fn response_format(
    settings: &Settings<'_>,
    profile: &Profile,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    const OBJECT: &[u8] = br#"{"type":"json_object"}"#;
    let Some(format) = settings.format else {
        return (None, None);
    };
    let kind = format.str("type").unwrap_or(Str::EMPTY).text();
    let mode = profile.response_format;
    if mode != JsonMode::JsonSchema
        && (kind == "json_schema" || (kind == "json_object" && mode == JsonMode::None))
    {
        diagnostics.push(Diagnostic {
            code: "text.format.degraded",
            path: "text.format".into(),
            message: "The provider has no such JSON mode; the prompt asks for it instead.".into(),
        });
    }
    match &*kind {
        "json_object" if mode == JsonMode::None => {
            let note = b"Answer with one JSON object and nothing else.".to_vec();
            (None, Some(note))
        }
        "json_object" => (Some(OBJECT.to_vec()), None),
        "json_schema" if mode == JsonMode::JsonSchema => (Some(schema_format(format)), None),
        "json_schema" => {
            let mut note = b"Answer with one JSON object that conforms to this JSON Schema and \
                with nothing else, no prose and no code fence:\\n"
                .to_vec();
            let mut schema = Vec::new();
            if let Some(value) = schema_of(format) {
                tools::schema(&mut schema, value, false);
            }
            write::escape_again(&mut note, &schema);
            let object = (mode == JsonMode::JsonObject).then(|| OBJECT.to_vec());
            (object, Some(note))
        }
        "text" => (None, None),
        _ => {
            diagnostics.push(Diagnostic {
                code: "field.dropped",
                path: "text.format".into(),
                message: "The format is not known.".into(),
            });
            (None, None)
        }
    }
}

fn schema_of<'a>(format: Value<'a>) -> Option<Value<'a>> {
    // Chat completions nest it once more.
    let inner = format.present("json_schema").unwrap_or(format);
    inner.present("schema").filter(|s| s.kind() == Kind::Object)
}

fn schema_format(format: Value<'_>) -> Vec<u8> {
    let inner = format.present("json_schema").unwrap_or(format);
    let mut out = b"{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"".to_vec();
    match inner.str("name") {
        Some(name) => name.splice(&mut out),
        None => out.extend_from_slice(b"output"),
    }
    out.push(b'"');
    if let Some(description) = inner.str("description") {
        out.extend_from_slice(b",\"description\":\"");
        description.splice(&mut out);
        out.push(b'"');
    }
    out.extend_from_slice(b",\"schema\":");
    match schema_of(format) {
        Some(schema) => tools::schema(&mut out, schema, false),
        None => out.extend_from_slice(b"{}"),
    }
    if let Some(strict) = inner.present("strict").and_then(|s| s.as_bool()) {
        out.extend_from_slice(if strict {
            b",\"strict\":true"
        } else {
            b",\"strict\":false"
        });
    }
    out.extend_from_slice(b"}}");
    out
}

/// Appends members to the body.
pub(super) struct Fields<'a, 'o> {
    out: &'o mut Vec<u8>,
    request: Value<'a>,
    dialect: &'o Dialect<'a>,
    diagnostics: &'o mut Vec<Diagnostic>,
    /// Members that the profile sets; they win over the client's, and come last.
    extra: toml::Table,
    has_tools: bool,
}

impl<'a, 'o> Fields<'a, 'o> {
    pub fn new(
        out: &'o mut Vec<u8>,
        request: Value<'a>,
        dialect: &'o Dialect<'a>,
        settings: &Settings<'a>,
        has_tools: bool,
        diagnostics: &'o mut Vec<Diagnostic>,
    ) -> Self {
        let mut fields = Fields {
            out,
            request,
            dialect,
            diagnostics,
            extra: toml::Table::new(),
            has_tools,
        };
        for (key, value) in &dialect.profile.extra_body {
            merge(&mut fields.extra, key, value);
        }
        fields.effort(settings.effort);
        fields
    }

    /// Decides on thinking and its effort.
    fn effort(&mut self, effort: Option<Value<'a>>) {
        let profile = self.dialect.profile;
        let Some(effort) = effort else {
            // The provider's default holds, but where thinking has to go back with the history
            // the provider must be told to keep it.
            if self.has_tools && self.dialect.replay != Replay::None {
                for (key, value) in &profile.thinking_on {
                    merge(&mut self.extra, key, value);
                }
            }
            return;
        };
        let effort = effort.as_str().unwrap_or(Str::EMPTY).text();
        let off = effort == "none";
        let members = if off {
            &profile.thinking_off
        } else {
            &profile.thinking_on
        };
        for (key, value) in members {
            merge(&mut self.extra, key, value);
        }
        let mut mapped = self.dialect.efforts.get(&*effort);
        if mapped.is_none() && effort == "ultra" {
            // Codex's name for more than the most that the API knows.
            mapped = self.dialect.efforts.get("max");
        }
        match mapped {
            Some(value) if !profile.effort_field.is_empty() => {
                let mut value = toml::Value::String(value.clone());
                let mut path = profile.effort_field.split('.').rev();
                let mut key = path.next().unwrap_or_default();
                // `reasoning.effort` is a member of a member.
                for outer in path {
                    value = toml::Value::Table([(key.to_owned(), value)].into_iter().collect());
                    key = outer;
                }
                merge(&mut self.extra, key, &value);
            }
            _ if members.is_empty() => {
                let message = format!("The provider has no effort for '{effort}'.");
                self.diagnostic("field.dropped", "reasoning.effort", message);
            }
            _ => {}
        }
    }

    /// Starts the member `name`, unless the profile forbids or sets it.
    fn open(&mut self, name: &str) -> bool {
        let profile = self.dialect.profile;
        if self.extra.contains_key(name) {
            return false;
        }
        if profile.drop_fields.iter().any(|f| f == name) {
            let message = "The provider refuses this field.".to_owned();
            self.diagnostic("field.dropped", name, message);
            return false;
        }
        self.out.push(b',');
        write::string(self.out, name);
        self.out.push(b':');
        true
    }

    /// Appends a member whose value is JSON already.
    pub fn raw(&mut self, name: &str, json: &[u8]) {
        if self.open(name) {
            self.out.extend_from_slice(json);
        }
    }

    /// Appends the tools and what belongs to them; only called when there are any.
    pub fn tools(&mut self, tools: &Toolbox, choice: &Choice) {
        if self.open("tools") {
            tools.write(self.out);
        }
        if let Some(choice) = choice {
            self.raw("tool_choice", choice);
        }
        let parallel = self.request.present("parallel_tool_calls");
        match parallel.and_then(|p| p.as_bool()) {
            Some(parallel) if self.dialect.profile.parallel_tool_calls => {
                let json: &[u8] = if parallel { b"true" } else { b"false" };
                self.raw("parallel_tool_calls", json);
            }
            Some(false) => {
                let message = "The provider may still call several tools at once.".to_owned();
                self.diagnostic("field.dropped", "parallel_tool_calls", message);
            }
            _ => {}
        }
    }

    /// Appends everything else, and says whether the client wants a stream.
    pub fn rest(&mut self) -> Result<bool, Error> {
        self.limits()?;
        self.sampling()?;
        self.cache_key();
        let stream = self.request.present("stream").and_then(|s| s.as_bool()) == Some(true);
        if stream {
            self.raw("stream", b"true");
            if self.dialect.profile.stream_usage {
                self.raw("stream_options", br#"{"include_usage":true}"#);
            }
        }
        for (key, value) in std::mem::take(&mut self.extra) {
            if self.open(&key) {
                toml_json(self.out, &value);
            }
        }
        self.unknown();
        Ok(stream)
    }

    fn limits(&mut self) -> Result<(), Error> {
        let Some(limit) = self.request.present("max_output_tokens") else {
            return Ok(());
        };
        let limit = limit
            .as_u64()
            .ok_or_else(|| wrong_type("max_output_tokens", "a positive integer"))?;
        let field = &self.dialect.profile.max_tokens_field;
        if field.is_empty() {
            let message = "The provider takes no limit.".to_owned();
            self.diagnostic("field.dropped", "max_output_tokens", message);
        } else if self.open(field) {
            write::uint(self.out, limit);
        }
        Ok(())
    }

    fn sampling(&mut self) -> Result<(), Error> {
        for name in [
            "temperature",
            "top_p",
            "presence_penalty",
            "frequency_penalty",
        ] {
            let Some(value) = self.request.present(name) else {
                continue;
            };
            let number = value.as_f64().ok_or_else(|| wrong_type(name, "a number"))?;
            let range = self.dialect.profile.temperature;
            let clamped = match range {
                // Not `clamp`, which panics where a profile has the bounds the wrong way round.
                Some((low, high)) if name == "temperature" => number.max(low).min(high),
                _ => number,
            };
            if clamped == number {
                self.raw(name, value.raw());
            } else if clamped.is_finite() {
                self.raw(name, clamped.to_string().as_bytes());
                let message = format!("Out of the provider's range; {clamped} is sent.");
                self.diagnostic("field.degraded", name, message);
            }
        }
        let top = match self.request.present("top_logprobs") {
            Some(top) => top
                .as_u64()
                .ok_or_else(|| wrong_type("top_logprobs", "an integer"))?,
            None => 0,
        };
        if top > 0 || includes(self.request, "message.output_text.logprobs") {
            self.raw("logprobs", b"true");
        }
        if top > 0 && self.open("top_logprobs") {
            write::uint(self.out, top);
        }
        Ok(())
    }

    fn cache_key(&mut self) {
        let field = &self.dialect.profile.cache_key_field;
        let Some(key) = self.request.str("prompt_cache_key") else {
            return;
        };
        if !field.is_empty() && self.open(field) {
            self.out.push(b'"');
            key.splice(self.out);
            self.out.push(b'"');
        }
    }

    /// Says what was left out that the client may have counted on.
    fn unknown(&mut self) {
        for (key, value) in self.request.entries() {
            let known = KNOWN.iter().any(|k| key == *k);
            if !known && !value.is_null() {
                let message = "The field is not known, or has no place at the provider.".to_owned();
                self.diagnostic("field.dropped", &key.text(), message);
            }
        }
        let tier = self.request.str("service_tier");
        if tier.is_some_and(|t| t != "auto" && t != "default") {
            let message = "The provider has no service tiers.".to_owned();
            self.diagnostic("field.dropped", "service_tier", message);
        }
    }

    fn diagnostic(&mut self, code: &'static str, path: &str, message: String) {
        self.diagnostics.push(Diagnostic {
            code,
            path: path.to_owned(),
            message,
        });
    }
}

/// Sets a member; tables are merged member by member.
fn merge(into: &mut toml::Table, key: &str, value: &toml::Value) {
    match (into.get_mut(key), value) {
        (Some(toml::Value::Table(old)), toml::Value::Table(new)) => {
            for (key, value) in new {
                merge(old, key, value);
            }
        }
        _ => {
            into.insert(key.to_owned(), value.clone());
        }
    }
}

/// Appends a profile's value as JSON.
fn toml_json(out: &mut Vec<u8>, value: &toml::Value) {
    match value {
        toml::Value::String(text) => write::string(out, text),
        toml::Value::Integer(n) => out.extend_from_slice(n.to_string().as_bytes()),
        toml::Value::Float(n) if n.is_finite() => out.extend_from_slice(n.to_string().as_bytes()),
        // JSON has no infinity.
        toml::Value::Float(_) => out.extend_from_slice(b"null"),
        toml::Value::Boolean(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        toml::Value::Datetime(time) => write::string(out, &time.to_string()),
        toml::Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                toml_json(out, item);
            }
            out.push(b']');
        }
        toml::Value::Table(table) => {
            out.push(b'{');
            for (i, (key, member)) in table.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write::string(out, key);
                out.push(b':');
                toml_json(out, member);
            }
            out.push(b'}');
        }
    }
}
