//! A provider's dialect as a record of facts, read from a profile file.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Which API a provider speaks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Wire {
    /// Chat Completions; Strait translates.
    #[default]
    Chat,
    /// Responses; Strait passes through.
    Responses,
}

/// What becomes of a system or developer message in mid conversation.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum MidSystem {
    /// It stays, in place, as a system message.
    Ok,
    /// It becomes a user message wrapped in `<system_note>`, in place.
    #[default]
    User,
}

/// When an assistant message of the history must carry its reasoning again.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// Never sent back.
    #[default]
    None,
    /// Sent back where known.
    Optional,
    /// The field must be on every assistant message while thinking is on; empty where unknown.
    Required,
}

/// How the client sees a provider's JSON modes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum JsonMode {
    /// Neither mode; only an instruction in the prompt.
    None,
    /// `json_object` only; a schema becomes an instruction.
    JsonObject,
    /// Both `json_object` and `json_schema`.
    #[default]
    JsonSchema,
}

/// A provider's dialect. Every field has a conservative default, so that an unknown
/// OpenAI-compatible server works with an empty profile.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// The profile's name, e.g. `deepseek`; filled in by the loader.
    #[serde(skip)]
    pub name: String,
    /// Which API it speaks.
    pub wire: Wire,
    /// Where it listens, without a trailing slash; may be overridden in `strait.toml`.
    pub base_url: String,
    /// Environment variables that hold its key; the first one that is set is taken.
    pub key_env: Vec<String>,
    /// Environment variables that hold its base URL.
    pub base_url_env: Vec<String>,
    /// The header that carries the key.
    pub auth_header: String,
    /// What stands before the key in that header, e.g. `Bearer `.
    pub auth_prefix: String,
    /// Whether it works without a key (local servers).
    pub key_optional: bool,
    /// `max_tokens` or `max_completion_tokens`.
    pub max_tokens_field: String,
    /// Whether the role `developer` is understood.
    pub developer_role: bool,
    /// System messages in mid conversation.
    pub mid_system: MidSystem,
    /// Send `""` instead of `null` as the content of an assistant message that only calls tools.
    pub content_empty_string: bool,
    /// Values of `tool_choice` that it takes, of `auto`, `none`, `required`, `function`.
    pub tool_choice: Vec<String>,
    /// Whether `strict: true` on a function is understood.
    pub strict_tools: bool,
    /// Whether `parallel_tool_calls` is understood.
    pub parallel_tool_calls: bool,
    /// Most tools in a request.
    pub tools_max: usize,
    /// Images in user messages.
    pub images_user: bool,
    /// Images in tool messages.
    pub images_tool: bool,
    /// JSON modes.
    pub response_format: JsonMode,
    /// The field in which the reasoning effort is sent, e.g. `reasoning_effort`; empty: none.
    pub effort_field: String,
    /// Codex's effort -> the provider's; what is missing is not sent.
    pub efforts: BTreeMap<String, String>,
    /// JSON members merged into the request while thinking is on.
    pub thinking_on: BTreeMap<String, toml::Value>,
    /// JSON members merged into the request for effort `none`.
    pub thinking_off: BTreeMap<String, toml::Value>,
    /// The field of an assistant message in which reasoning goes back; empty: none.
    pub replay_field: String,
    /// When it must go back.
    pub replay: Replay,
    /// `<think>` tags inside content are reasoning.
    pub think_tags: bool,
    /// Whether `stream_options: {include_usage}` is understood.
    pub stream_usage: bool,
    /// Lowest and highest temperature.
    pub temperature: Option<(f64, f64)>,
    /// Request fields (as sent to the provider) that it refuses.
    pub drop_fields: Vec<String>,
    /// JSON members merged into every request.
    pub extra_body: BTreeMap<String, toml::Value>,
    /// The field to which `prompt_cache_key` goes; empty: dropped.
    pub cache_key_field: String,
    /// Its models, by name.
    pub models: BTreeMap<String, Model>,
}

/// A model of a provider, for the catalog, and where it differs from the provider's dialect.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Shown to people.
    pub display_name: Option<String>,
    /// In tokens.
    pub context_window: Option<u64>,
    /// Largest answer, in tokens.
    pub output_tokens_max: Option<u64>,
    /// Whether it takes images; the provider's `images_user` where absent.
    pub images: Option<bool>,
    /// Reasoning efforts offered to Codex.
    pub efforts_offered: Vec<String>,
    /// Overrides [`Profile::efforts`].
    pub efforts: Option<BTreeMap<String, String>>,
    /// Overrides [`Profile::mid_system`].
    pub mid_system: Option<MidSystem>,
}

impl Default for Profile {
    fn default() -> Self {
        Profile {
            name: String::new(),
            wire: Wire::Chat,
            base_url: String::new(),
            key_env: Vec::new(),
            base_url_env: Vec::new(),
            auth_header: "authorization".into(),
            auth_prefix: "Bearer ".into(),
            key_optional: false,
            max_tokens_field: "max_tokens".into(),
            developer_role: false,
            mid_system: MidSystem::User,
            content_empty_string: false,
            tool_choice: ["auto", "none", "required", "function"]
                .map(String::from)
                .to_vec(),
            strict_tools: false,
            parallel_tool_calls: true,
            tools_max: 128,
            images_user: true,
            images_tool: false,
            response_format: JsonMode::JsonSchema,
            effort_field: String::new(),
            efforts: BTreeMap::new(),
            thinking_on: BTreeMap::new(),
            thinking_off: BTreeMap::new(),
            replay_field: String::new(),
            replay: Replay::None,
            think_tags: false,
            stream_usage: true,
            temperature: None,
            drop_fields: Vec::new(),
            extra_body: BTreeMap::new(),
            cache_key_field: String::new(),
            models: BTreeMap::new(),
        }
    }
}

impl Profile {
    /// The dialect for one model: the provider's, with what the model overrides.
    pub fn for_model(&self, model: &str) -> std::borrow::Cow<'_, Profile> {
        use std::borrow::Cow;
        let Some(own) = self.models.get(model) else {
            return Cow::Borrowed(self);
        };
        let mut profile = self.clone();
        if let Some(efforts) = &own.efforts {
            profile.efforts.clone_from(efforts);
        }
        profile.mid_system = own.mid_system.unwrap_or(profile.mid_system);
        profile.images_user = own.images.unwrap_or(profile.images_user);
        Cow::Owned(profile)
    }
}
