//! The chat request's members besides messages (SPEC 1.1).

use super::choice::Choice;
use super::diagnostic::Diagnostic;
use super::item::{Item, ItemKind};
use super::request::{Dialect, wrong_type};
use super::schema;
use super::tools::Toolbox;
use crate::error::Error;
use crate::json::write;
use crate::json::{Kind, Str, Value};
use crate::provider::Profile;
use crate::provider::builtin::merge_value;
use crate::provider::profile::JsonMode;

/// Fields that are read somewhere, or mean nothing to a provider that keeps no state; they are
/// left out in silence. Any other field is left out with a diagnostic.
const KNOWN: [&str; 33] = [
    "background",
    "client_metadata",
    "context_management",
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

/// Values of `include` that the API has. Those without a meaning for chat providers are inert.
const INCLUDES: [&str; 8] = [
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
];

/// What `configuration_update` items may change on the way; the last one counts.
#[derive(Clone, Copy)]
pub(super) struct Settings<'a> {
    pub effort: Option<Value<'a>>,
    pub format: Option<Value<'a>>,
}

impl<'a> Settings<'a> {
    pub fn of(request: Value<'a>, items: &[Item<'a>]) -> Self {
        let mut settings = Settings {
            effort: None,
            format: None,
        };
        settings.read(request);
        for item in items {
            if item.kind == ItemKind::ConfigurationUpdate {
                settings.read(item.value());
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
    dialect: &Dialect<'_>,
    has_tools: bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    const OBJECT: &[u8] = br#"{"type":"json_object"}"#;
    let Some(format) = settings.format else {
        return (None, None);
    };
    let kind = format.str("type").unwrap_or(Str::EMPTY).text();
    let profile = dialect.profile;
    let excluded = has_tools && !profile.json_with_tools
        || dialect.effort.thinking && !profile.json_while_thinking;
    let mode = match excluded {
        true => JsonMode::None,
        false => profile.response_format,
    };
    if mode != JsonMode::JsonSchema
        && (kind == "json_schema" || (kind == "json_object" && mode == JsonMode::None))
    {
        diagnostics.push(Diagnostic {
            code: "text.format.degraded",
            path: "text.format".into(),
            message: "The provider has no such JSON mode here; the prompt asks for it instead."
                .into(),
        });
    }
    match &*kind {
        "json_object" if mode == JsonMode::None => {
            let note = b"Answer with one JSON object and nothing else.".to_vec();
            (None, Some(note))
        }
        "json_object" => (Some(OBJECT.to_vec()), None),
        "json_schema" if mode == JsonMode::JsonSchema => {
            (Some(schema_format(format, profile)), None)
        }
        "json_schema" => {
            let mut note = b"Answer with one JSON object that conforms to this JSON Schema and \
                with nothing else, no prose and no code fence:\\n"
                .to_vec();
            let mut schema = Vec::new();
            if let Some(value) = schema_of(format) {
                schema::write(&mut schema, value, profile);
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

fn schema_format(format: Value<'_>, profile: &Profile) -> Vec<u8> {
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
        Some(schema) => schema::write(&mut out, schema, profile),
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
}

impl<'a, 'o> Fields<'a, 'o> {
    pub fn new(
        out: &'o mut Vec<u8>,
        request: Value<'a>,
        dialect: &'o Dialect<'a>,
        tools: &Toolbox,
        diagnostics: &'o mut Vec<Diagnostic>,
    ) -> Self {
        let mut fields = Fields {
            out,
            request,
            dialect,
            diagnostics,
            extra: toml::Table::new(),
        };
        let profile = dialect.profile;
        let none = std::collections::BTreeMap::new();
        let of_tools = if tools.any_offered() {
            &profile.with_tools
        } else {
            &none
        };
        let of_search = if tools.searches() {
            &profile.web_search_body
        } else {
            &none
        };
        let unsaid = of_tools
            .iter()
            .filter(|(key, _)| request.present(key).is_none());
        for (key, value) in profile.extra_body.iter().chain(unsaid).chain(of_search) {
            merge_value(&mut fields.extra, key, value);
        }
        for (key, value) in &dialect.effort.members {
            merge_value(&mut fields.extra, key, value);
        }
        fields
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
        self.identity();
        self.rare();
        let stream = self.request.present("stream").and_then(|s| s.as_bool()) == Some(true);
        if stream {
            self.raw("stream", b"true");
            if self.dialect.profile.stream_usage {
                self.raw("stream_options", br#"{"include_usage":true}"#);
            }
        }
        if !self.extra.is_empty() {
            for (key, value) in std::mem::take(&mut self.extra) {
                if self.open(&key) {
                    toml_json(self.out, &value);
                }
            }
        }
        self.unknown();
        Ok(stream)
    }

    fn limits(&mut self) -> Result<(), Error> {
        let Some(limit) = self.request.present("max_output_tokens") else {
            return Ok(());
        };
        let mut limit = limit
            .as_u64()
            .ok_or_else(|| wrong_type("max_output_tokens", "a positive integer"))?;
        let most = self.dialect.model.and_then(|m| m.output_tokens_max);
        if let Some(most) = most.filter(|most| *most < limit) {
            limit = most;
            let message = format!("The model's answers have at most {most} tokens.");
            self.diagnostic("field.degraded", "max_output_tokens", message);
        }
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
        let profile = self.dialect.profile;
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
            if self.dialect.effort.thinking && !profile.sampling_while_thinking {
                let message = "The provider fixes it while thinking.".to_owned();
                self.diagnostic("field.dropped", name, message);
                continue;
            }
            let range = match name {
                "temperature" => profile.temperature,
                "top_p" => profile.top_p,
                _ => None,
            };
            let clamped = match range {
                // Not `clamp`, which panics where a profile has the bounds the wrong way round.
                Some((low, high)) => number.max(low).min(high),
                None => number,
            };
            if clamped == number {
                self.raw(name, value.raw());
            } else if clamped.is_finite() {
                self.raw(name, clamped.to_string().as_bytes());
                let message = format!("Out of the provider's range; {clamped} is sent.");
                self.diagnostic("field.degraded", name, message);
            }
        }
        self.logprobs()
    }

    fn logprobs(&mut self) -> Result<(), Error> {
        let top = match self.request.present("top_logprobs") {
            Some(top) => top
                .as_u64()
                .ok_or_else(|| wrong_type("top_logprobs", "an integer"))?,
            None => 0,
        };
        let wanted = top > 0 || includes(self.request, "message.output_text.logprobs");
        if wanted && !self.dialect.profile.logprobs {
            let message = "The provider gives none.".to_owned();
            self.diagnostic("field.dropped", "top_logprobs", message);
            return Ok(());
        }
        if wanted {
            self.raw("logprobs", b"true");
        }
        if top > 0 && self.open("top_logprobs") {
            write::uint(self.out, top);
        }
        Ok(())
    }

    /// What says who asks: the key of the cache, and the user.
    fn identity(&mut self) {
        let profile = self.dialect.profile;
        if let Some(key) = self.request.str("prompt_cache_key")
            && !profile.cache_key_field.is_empty()
        {
            self.string(&profile.cache_key_field, key);
        }
        let user = ["safety_identifier", "user"].map(|name| (name, self.request.str(name)));
        for (name, value) in user {
            let Some(value) = value.filter(|v| !v.is_empty()) else {
                continue;
            };
            if profile.user_field.is_empty() {
                let message = "The provider has no field for it.".to_owned();
                self.diagnostic("field.dropped", name, message);
                continue;
            }
            let (least, most) = profile.user_length;
            let length = value.text().chars().count();
            if (least..=most).contains(&length) {
                return self.string(&profile.user_field, value);
            }
            let message = format!("The provider takes {least} to {most} characters.");
            self.diagnostic("field.dropped", name, message);
        }
    }

    /// Fields that a few providers have.
    fn rare(&mut self) {
        let profile = self.dialect.profile;
        let text = self.request.present("text");
        if let Some(verbosity) = text.and_then(|t| t.str("verbosity")) {
            match profile.verbosity {
                true => self.string("verbosity", verbosity),
                false => {
                    let message = "The provider has no such setting.".to_owned();
                    self.diagnostic("field.dropped", "text.verbosity", message);
                }
            }
        }
        let tier = self.request.str("service_tier");
        if let Some(tier) = tier.filter(|t| *t != "auto" && *t != "default") {
            match profile.service_tier {
                true => self.string("service_tier", tier),
                false => {
                    let message = "The provider has no service tiers.".to_owned();
                    self.diagnostic("field.dropped", "service_tier", message);
                }
            }
        }
        if self.request.str("truncation").is_some_and(|t| t == "auto") {
            let message = "The history is sent whole; too much is an error.".to_owned();
            self.diagnostic("field.dropped", "truncation", message);
        }
        let include = self.request.present("include");
        for (i, value) in include.iter().flat_map(|v| v.items()).enumerate() {
            let known = value
                .as_str()
                .is_some_and(|v| INCLUDES.iter().any(|k| v == **k));
            if !known {
                let message = "The value is not known.".to_owned();
                self.diagnostic("field.dropped", &format!("include[{i}]"), message);
            }
        }
    }

    fn string(&mut self, name: &str, value: Str<'_>) {
        if self.open(name) {
            self.out.push(b'"');
            value.splice(self.out);
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
    }

    fn diagnostic(&mut self, code: &'static str, path: &str, message: String) {
        self.diagnostics.push(Diagnostic {
            code,
            path: path.to_owned(),
            message,
        });
    }
}

/// Appends a profile's value as JSON.
pub(super) fn toml_json(out: &mut Vec<u8>, value: &toml::Value) {
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
