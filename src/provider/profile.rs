//! A provider's dialect as a record of facts, read from a profile file.

use crate::ledger::usage::Usage;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::{Table, Value};

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

/// What proves to a provider who asks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// The access token of a ChatGPT login, from the file that the Codex CLI keeps.
    Chatgpt,
    /// A key.
    #[default]
    Key,
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

/// In which form reasoning goes back.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum ReplayForm {
    /// As a string in [`Profile::replay_field`].
    #[default]
    Text,
    /// As the provider's own array of details, unchanged, in [`Profile::replay_field`].
    Details,
    /// As a `thinking` part at the head of the message's content.
    Content,
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
    /// What proves who asks.
    pub auth: Auth,
    /// With a login: where its access token is refreshed; may be overridden in `strait.toml`.
    pub token_url: String,
    /// With a login: the OAuth client that it was made for (RFC 6749, section 2.2).
    pub client_id: String,
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
    /// The model that serves names nobody knows, where this is the only provider; empty: none.
    pub default_model: String,
    /// Whether it is used only where `strait.toml` names it, whatever the environment holds.
    pub named_only: bool,
    /// Further headers of every request.
    pub headers: BTreeMap<String, String>,
    /// Headers of the client's request that go on to the provider; a name that ends in `*` stands
    /// for all that begin so.
    pub headers_forward: Vec<String>,
    /// Headers of the provider's answer that go back to the client, named in the same way.
    pub headers_return: Vec<String>,
    /// Whether it wants to know the program that asks, as `originator` and `version`: Codex under
    /// its own name, every other client under Strait's.
    pub originator: bool,
    /// The header that names the conversation; empty: none.
    pub session_header: String,

    /// `max_tokens` or `max_completion_tokens`; empty: it takes no limit.
    pub max_tokens_field: String,
    /// Lowest and highest temperature.
    pub temperature: Option<(f64, f64)>,
    /// Lowest and highest `top_p`.
    pub top_p: Option<(f64, f64)>,
    /// Whether temperature and its kin are taken while thinking is on.
    pub sampling_while_thinking: bool,
    /// Whether `verbosity` is understood.
    pub verbosity: bool,
    /// Whether `service_tier` is understood.
    pub service_tier: bool,
    /// Whether `logprobs` and `top_logprobs` are understood.
    pub logprobs: bool,
    /// Whether `stream_options: {include_usage}` is understood.
    pub stream_usage: bool,
    /// The field to which `prompt_cache_key` goes; empty: dropped.
    pub cache_key_field: String,
    /// The field to which `safety_identifier` or `user` goes; empty: dropped.
    pub user_field: String,
    /// Fewest and most characters of that field's value.
    pub user_length: (usize, usize),
    /// Request fields (as sent to the provider) that it refuses.
    pub drop_fields: Vec<String>,
    /// JSON members merged into every request.
    pub extra_body: BTreeMap<String, Value>,
    /// For Responses: JSON members of every request, where the client does not give them. Codex's
    /// own requests are whole as they are.
    pub default_body: BTreeMap<String, Value>,
    /// For Responses: whether it answers only as a stream; who wants one object gets it folded.
    pub stream_only: bool,
    /// For Responses: whether it keeps responses, so that a request may continue one by its id.
    pub keeps_responses: bool,
    /// For Responses: whether `input` must be a list.
    pub input_list: bool,
    /// For Responses: whether a message may have the role `system`; else it becomes `developer`.
    pub system_role: bool,
    /// For Responses: whether it answers a trailing `compaction_trigger`.
    pub compaction_trigger: bool,
    /// For Responses: which of the paths `compact` and `input_tokens` it has below `/responses`.
    pub endpoints: Vec<String>,
    /// JSON members of every request that offers tools, where the client does not say otherwise.
    pub with_tools: BTreeMap<String, Value>,

    /// Whether the role `developer` is understood.
    pub developer_role: bool,
    /// System messages in mid conversation.
    pub mid_system: MidSystem,
    /// Whether messages of one role must not follow one another.
    pub merge_adjacent: bool,
    /// Send `""` instead of `null` as the content of an assistant message that only calls tools.
    pub content_empty_string: bool,
    /// Images in user messages.
    pub images_user: bool,
    /// Images in tool messages.
    pub images_tool: bool,
    /// Images by `http:` and `https:` URL, besides `data:` URLs.
    pub images_http: bool,
    /// Whether `detail` of an image is understood.
    pub image_detail: bool,
    /// Whether `file` parts (PDF and the like) are understood.
    pub files: bool,
    /// JSON modes.
    pub response_format: JsonMode,
    /// Whether a JSON mode works together with tools.
    pub json_with_tools: bool,
    /// Whether a JSON mode works while thinking is on.
    pub json_while_thinking: bool,

    /// Values of `tool_choice` that it takes, of `auto`, `none`, `required`, `any`, `function`.
    pub tool_choice: Vec<String>,
    /// The same while thinking is on, where that differs.
    pub tool_choice_while_thinking: Option<Vec<String>>,
    /// Whether `strict: true` on a function is understood.
    pub strict_tools: bool,
    /// Whether freeform tools (`type: custom`) are understood.
    pub custom_tools: bool,
    /// Whether `parallel_tool_calls` is understood.
    pub parallel_tool_calls: bool,
    /// Most tools in a request; 0: no limit.
    pub tools_max: usize,
    /// Whether a history with calls needs the tools declared, even where none is offered.
    pub tools_with_history: bool,
    /// Whether a tool message needs the function's `name`.
    pub name_on_tool: bool,
    /// Longest id of a call; 0: no limit.
    pub call_id_max: usize,
    /// The exact length of an id of a call, letters and digits only; 0: free.
    pub call_id_exact: usize,
    /// JSON-Schema keywords that it refuses; they are left out.
    pub schema_drop: Vec<String>,
    /// JSON-Schema keywords beside which it refuses any other, e.g. `$ref`.
    pub schema_alone: Vec<String>,
    /// Pairs of keywords of which it refuses the second beside the first.
    pub schema_apart: Vec<(String, String)>,
    /// Whether `type` may be a list, as in `["string", "null"]`.
    pub schema_type_lists: bool,
    /// Members that the first call of each turn must carry, where the provider's own are lost.
    pub call_extra_missing: BTreeMap<String, Value>,

    /// The provider's own web search, as an entry of `tools`; empty: it has none.
    pub web_search_tool: Table,
    /// The provider's own web search, as members of the request.
    pub web_search_body: BTreeMap<String, Value>,
    /// Whether that tool takes the client's `user_location`, under that name.
    pub web_search_location: bool,
    /// For passed-through requests: the types of tools that it takes; empty: all.
    pub tool_types: Vec<String>,

    /// The field in which the reasoning effort is sent, e.g. `reasoning_effort`; empty: none.
    pub effort_field: String,
    /// Codex's effort -> the provider's; an effort that is missing goes to its nearest neighbour.
    pub efforts: BTreeMap<String, String>,
    /// JSON members merged into the request while thinking is on.
    pub thinking_on: BTreeMap<String, Value>,
    /// JSON members merged into the request for effort `none`.
    pub thinking_off: BTreeMap<String, Value>,
    /// Whether it thinks where the request does not say.
    pub thinks_by_default: bool,
    /// The field of an assistant message in which reasoning goes back; empty: none.
    pub replay_field: String,
    /// In which form it goes back.
    pub replay_form: ReplayForm,
    /// When it must go back.
    pub replay: Replay,
    /// Tags inside content around reasoning, e.g. `think` for `<think>…</think>`.
    pub think_tags: Vec<String>,
    /// The prompt template has opened the first of these tags already.
    pub think_prefilled: bool,
    /// Texts in a stream repeat what was sent before; only what is new counts.
    pub cumulative: bool,
    /// Events of a stream that are no JSON are skipped.
    pub lenient_sse: bool,

    /// Its models, by name. A name that ends in `*` stands for all that begin so; the longest wins.
    pub models: BTreeMap<String, Model>,
    /// The dialect of each model that differs; filled in by the loader.
    #[serde(skip)]
    pub variants: BTreeMap<String, Arc<Profile>>,
}

/// A model of a provider: what the catalog says of it, and where it differs from the provider's
/// dialect.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Shown to people.
    pub display_name: Option<String>,
    /// In tokens.
    pub context_window: Option<u64>,
    /// Largest answer, in tokens; a larger limit of the client is lowered to it.
    pub output_tokens_max: Option<u64>,
    /// Reasoning efforts offered to Codex.
    pub efforts_offered: Vec<String>,
    /// In US dollars per million tokens.
    pub price: Option<Price>,
    /// Laid over the provider's profile for this model.
    #[serde(rename = "override")]
    pub overrides: Table,
}

/// Prices in US dollars per million tokens.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Input tokens.
    pub input: f64,
    /// Input tokens read from the provider's cache.
    #[serde(default)]
    pub cached: Option<f64>,
    /// Input tokens written to the provider's cache.
    #[serde(default)]
    pub cache_write: Option<f64>,
    /// Output tokens, reasoning included.
    pub output: f64,
}

impl Price {
    /// What an answer cost, in billionths of a US dollar. Where a provider has no price of its own
    /// for what touches its cache, that costs as much as other input.
    pub fn nanos(&self, usage: &Usage) -> u64 {
        let cached = usage.cached.min(usage.input);
        let written = usage.cache_write.min(usage.input - cached);
        let plain = usage.input - cached - written;
        let dollars_per_million = plain as f64 * self.input
            + cached as f64 * self.cached.unwrap_or(self.input)
            + written as f64 * self.cache_write.unwrap_or(self.input)
            + usage.output as f64 * self.output;
        // A dollar per million tokens is a thousand nano-dollars a token; `as` saturates.
        (dollars_per_million * 1e3).round() as u64
    }
}

impl Default for Profile {
    fn default() -> Self {
        Profile {
            name: String::new(),
            wire: Wire::Chat,
            base_url: String::new(),
            auth: Auth::Key,
            token_url: String::new(),
            client_id: String::new(),
            key_env: Vec::new(),
            base_url_env: Vec::new(),
            auth_header: "authorization".into(),
            auth_prefix: "Bearer ".into(),
            key_optional: false,
            default_model: String::new(),
            named_only: false,
            headers: BTreeMap::new(),
            headers_forward: Vec::new(),
            headers_return: Vec::new(),
            originator: false,
            session_header: String::new(),
            max_tokens_field: "max_tokens".into(),
            temperature: None,
            top_p: None,
            sampling_while_thinking: true,
            verbosity: false,
            service_tier: false,
            logprobs: true,
            stream_usage: true,
            cache_key_field: String::new(),
            user_field: String::new(),
            user_length: (1, 512),
            drop_fields: Vec::new(),
            extra_body: BTreeMap::new(),
            default_body: BTreeMap::new(),
            stream_only: false,
            keeps_responses: false,
            input_list: false,
            system_role: true,
            compaction_trigger: false,
            endpoints: Vec::new(),
            with_tools: BTreeMap::new(),
            developer_role: false,
            mid_system: MidSystem::User,
            merge_adjacent: false,
            content_empty_string: false,
            images_user: true,
            images_tool: false,
            images_http: true,
            image_detail: true,
            files: false,
            response_format: JsonMode::JsonSchema,
            json_with_tools: true,
            json_while_thinking: true,
            tool_choice: ["auto", "none", "required", "function"]
                .map(String::from)
                .to_vec(),
            tool_choice_while_thinking: None,
            strict_tools: false,
            custom_tools: false,
            parallel_tool_calls: true,
            tools_max: 128,
            tools_with_history: false,
            name_on_tool: false,
            call_id_max: 0,
            call_id_exact: 0,
            schema_drop: Vec::new(),
            schema_alone: Vec::new(),
            schema_apart: Vec::new(),
            schema_type_lists: true,
            call_extra_missing: BTreeMap::new(),
            web_search_tool: Table::new(),
            web_search_body: BTreeMap::new(),
            web_search_location: false,
            tool_types: Vec::new(),
            effort_field: String::new(),
            efforts: BTreeMap::new(),
            thinking_on: BTreeMap::new(),
            thinking_off: BTreeMap::new(),
            thinks_by_default: false,
            replay_field: String::new(),
            replay_form: ReplayForm::Text,
            replay: Replay::None,
            think_tags: Vec::new(),
            think_prefilled: false,
            cumulative: false,
            lenient_sse: false,
            models: BTreeMap::new(),
            variants: BTreeMap::new(),
        }
    }
}

impl Profile {
    /// The dialect for one model: the provider's, with what the model overrides.
    pub fn for_model(&self, model: &str) -> &Profile {
        match key_for(self.variants.keys(), model) {
            Some(key) => &self.variants[key],
            None => self,
        }
    }

    /// What is known of one model; the longest name or pattern that fits it.
    pub fn model(&self, model: &str) -> Option<&Model> {
        key_for(self.models.keys(), model).map(|key| &self.models[key])
    }

    /// The models that have a name, patterns left out.
    pub fn named_models(&self) -> impl DoubleEndedIterator<Item = &String> {
        self.models.keys().filter(|name| !name.ends_with('*'))
    }

    /// When reasoning goes back: never, where there is no field for it.
    pub fn replays(&self) -> Replay {
        match self.replay_field.is_empty() && self.replay_form != ReplayForm::Content {
            true => Replay::None,
            false => self.replay,
        }
    }

    /// Whether it speaks Responses and has that path below `/responses`.
    pub fn has_endpoint(&self, name: &str) -> bool {
        self.wire == Wire::Responses && self.endpoints.iter().any(|e| e == name)
    }

    /// Whether it makes compaction items, so that it can read its own.
    pub fn compacts(&self) -> bool {
        self.wire == Wire::Responses && (self.compaction_trigger || self.has_endpoint("compact"))
    }

    /// Whether a header goes from the client to the provider.
    pub fn forwards(&self, header: &str) -> bool {
        listed(&self.headers_forward, header)
    }

    /// Whether a header of the provider's answer goes to the client.
    pub fn returns(&self, header: &str) -> bool {
        listed(&self.headers_return, header)
    }

    /// Whether the provider searches the web by itself.
    pub fn searches(&self) -> bool {
        !self.web_search_tool.is_empty() || !self.web_search_body.is_empty()
    }
}

/// Whether `names` hold `name` or the beginning of it.
fn listed(names: &[String], name: &str) -> bool {
    names.iter().any(|known| match known.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => known == name,
    })
}

fn key_for<'a>(keys: impl Iterator<Item = &'a String>, model: &str) -> Option<&'a String> {
    keys.filter(|key| match key.strip_suffix('*') {
        Some(prefix) => model.starts_with(prefix),
        None => *key == model,
    })
    // A whole name is longer than any pattern that fits it, or as long with its star.
    .max_by_key(|key| (!key.ends_with('*'), key.len()))
}
