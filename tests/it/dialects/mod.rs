//! Providers as their own documents describe them: one record a dialect, written apart from
//! Strait's profiles, so that a profile that is wrong is refused here as it would be out there.
//! The sources are those of `PROVIDERS.md` and of the profiles: API references, recorded streams,
//! and maintainers' answers in public threads.

mod faults;
mod records;
mod rules;
mod speech;

pub use faults::{Fault, fault, overload_status};
pub use records::all;
pub use rules::refuse;
pub use speech::{Call, Say, render, searched, signature, thoughts};

use serde_json::Value;

/// Which API a provider speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wire {
    Chat,
    Responses,
}

/// Where the model's thoughts stand in an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shows {
    /// A field of the delta or message.
    Field(&'static str),
    /// OpenRouter: `reasoning` and signed `reasoning_details`.
    Details,
    /// MiniMax M2: `reasoning_details` and content that repeat themselves.
    Cumulative,
    /// Mistral: `thinking` parts of the content.
    Parts,
    /// Inside the content, between tags.
    Tags(&'static str),
    /// Nowhere.
    Hidden,
}

/// How a request says whether the model thinks.
#[derive(Clone, Copy, Debug)]
pub enum Thinks {
    Never,
    Always,
    /// `thinking.type`, with what holds where it is missing.
    Type(bool),
    /// `enable_thinking`.
    Enable(bool),
    /// `chat_template_kwargs.enable_thinking`.
    Template(bool),
    /// `reasoning_effort`, where `none` is off.
    Effort(bool),
    /// `reasoning.effort` or `reasoning.enabled`.
    Nested(bool),
}

/// In which form earlier thoughts are wanted back with a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wants {
    Nothing,
    /// Under the same name.
    Text(&'static str),
    /// The details, unchanged.
    Details,
    Parts,
    /// Gemini: the signature on the call.
    Signature,
}

/// Where the token counts come in a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UsageAt {
    /// In a chunk of its own, if `stream_options` asks for it.
    Asked,
    /// In a chunk of its own, always.
    Own,
    /// With the finish reason.
    Finish,
    /// Inside the choice of the finish chunk.
    Choice,
    /// Under `x_groq`.
    Groq,
}

/// How token counts are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UsageForm {
    Details,
    /// `prompt_cache_hit_tokens`.
    HitMiss,
    /// `cached_tokens` on the top level.
    Top,
    /// Reasoning is counted beside the completion.
    Beside,
    /// Neither cached nor reasoning tokens are told.
    Bare,
}

/// The `index` of calls in a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Index {
    Counted,
    /// As a number with a fraction.
    Float,
    Zero,
    Missing,
}

/// The ids that a provider gives its calls, and takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ids {
    /// A prefix and digits.
    Prefix(&'static str),
    /// `functions.name:0`
    Kimi,
    /// Nine letters and digits.
    Nine,
}

/// How a JSON schema reaches the model.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Json {
    Schema,
    Object,
    Words,
}

/// A web search of the provider's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Search {
    /// `web_search: {enable: true}`; results beside the choices.
    Glm,
    /// Its own tool; results as annotations.
    MiMo,
}

/// What a provider answers 400 to, besides what all of them do.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Members of the request that are known; all others are refused.
    Fields(&'static [&'static str]),
    /// Members of the request that are refused.
    No(&'static [&'static str]),
    /// Members of an assistant's message that are refused.
    NotInAssistant(&'static [&'static str]),
    /// Known roles, where `developer` is another.
    Developer,
    /// One system message, and only at the beginning.
    LeadingSystem,
    /// Users' messages must not follow one another.
    Alternate,
    /// Forms of `tool_choice`: auto, none, required, any, function.
    Choice(&'static [&'static str]),
    /// The same while thinking.
    ChoiceThinking(&'static [&'static str]),
    /// Types of `response_format`.
    Formats(&'static [&'static str]),
    /// Neither JSON mode beside tools.
    NoFormatWithTools,
    /// Neither JSON mode while thinking.
    NoFormatThinking,
    /// The field that every assistant's message with calls must have while thinking.
    Reasoning(&'static str),
    /// Tool messages need the function's name.
    NameOnTool,
    /// A history with calls needs the tools.
    ToolsWithHistory,
    /// A number's range.
    Range(&'static str, f64, f64),
    /// Zero is refused.
    AboveZero(&'static str),
    /// The length of a text.
    Length(&'static str, usize, usize),
    /// Values of a member; dots go deeper.
    Values(&'static str, &'static [&'static str]),
    /// Keywords that a schema must not have.
    Keywords(&'static [&'static str]),
    /// Nothing beside `$ref`, no `type` beside `anyOf`.
    Moonshot,
    /// `type` is one word.
    OneType,
    /// Images of users, images in tool messages, addresses of images.
    Images { user: bool, tool: bool, http: bool },
    /// `detail` of an image.
    NoDetail,
    /// Neither `strict` nor custom tools.
    NoStrict,
    /// The first call of an assistant's message needs its thought signature.
    Signature,
    /// Content of an assistant's message with calls may not be null.
    NoNullContent,
}

/// A provider's dialect.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// What it is called in the table and in `strait.toml`.
    pub name: &'static str,
    pub profile: &'static str,
    pub model: &'static str,
    /// Lines under its `override`.
    pub overrides: &'static str,
    pub wire: Wire,
    /// The header of the key, and what stands before the key.
    pub key: (&'static str, &'static str),

    pub thinks: Thinks,
    pub shows: Shows,
    pub wants: Wants,
    pub usage_at: UsageAt,
    pub usage: UsageForm,
    pub index: Index,
    pub ids: Ids,
    /// Arguments come in one piece.
    pub whole_calls: bool,
    /// Reasons of the end: of a text, of calls.
    pub finish: (&'static str, &'static str),
    /// A comment that keeps the connection awake.
    pub comment: Option<&'static str>,
    /// The id and time of chunks differ.
    pub wanders: bool,
    /// The stream ends in the whole message once more.
    pub repeats: bool,

    /// What a request says about thinking for none, minimal, low, medium, high, xhigh, max; JSON.
    pub efforts: [&'static str; 7],
    pub json: Json,
    /// The same while thinking, and beside tools.
    pub json_thinking: Json,
    pub json_tools: Json,
    pub images_user: bool,
    pub images_tool: bool,
    pub images_http: bool,
    pub search: Option<Search>,
    /// `required` in its words.
    pub required: Option<&'static str>,
    /// A function can be named.
    pub named: bool,
    /// The field of the limit; temperatures 0 and 2 in its words.
    pub limit: &'static str,
    pub temperatures: [Option<f64>; 2],
    /// The role of a later developer message.
    pub later: &'static str,
    /// Freeform tools are known.
    pub freeform: bool,
    /// `strict` of functions is known.
    pub strict: bool,
    pub rules: &'static [Rule],
    /// Whose error bodies it has.
    pub family: &'static str,
}

impl Dialect {
    /// Unusual reasons for an end, and what the client is told of each: the status, and the reason
    /// of an answer that is incomplete.
    pub fn ends(&self) -> &'static [(&'static str, &'static str, &'static str)] {
        const CUT: (&str, &str, &str) = ("length", "incomplete", "max_output_tokens");
        const FILTER: (&str, &str, &str) = ("content_filter", "incomplete", "content_filter");
        match self.family {
            "zhipu" => &[
                CUT,
                ("sensitive", "incomplete", "content_filter"),
                (
                    "model_context_window_exceeded",
                    "incomplete",
                    "max_output_tokens",
                ),
                ("network_error", "failed", ""),
            ],
            "deepseek" => &[CUT, FILTER, ("insufficient_system_resource", "failed", "")],
            "xiaomi" => &[
                CUT,
                FILTER,
                ("repetition_truncation", "incomplete", "max_output_tokens"),
            ],
            "openrouter" => &[CUT, FILTER, ("error", "failed", "")],
            "vllm" => &[CUT, ("abort", "failed", "")],
            _ => &[CUT, FILTER],
        }
    }

    /// The key that Strait holds for it.
    pub fn secret(&self) -> String {
        format!("sk-test-provider-key-{}", self.name)
    }

    /// Whether the model thinks about this request.
    pub fn thinks(&self, body: &Value) -> bool {
        let flag = |value: &Value, unsaid: bool| value.as_bool().unwrap_or(unsaid);
        let word =
            |value: &Value, off: &str, unsaid: bool| value.as_str().map_or(unsaid, |v| v != off);
        match self.thinks {
            Thinks::Never => false,
            Thinks::Always => true,
            Thinks::Type(unsaid) => word(&body["thinking"]["type"], "disabled", unsaid),
            Thinks::Enable(unsaid) => flag(&body["enable_thinking"], unsaid),
            Thinks::Template(unsaid) => {
                flag(&body["chat_template_kwargs"]["enable_thinking"], unsaid)
            }
            Thinks::Effort(unsaid) => word(&body["reasoning_effort"], "none", unsaid),
            Thinks::Nested(unsaid) => match body["reasoning"]["enabled"].as_bool() {
                Some(enabled) => enabled,
                None => word(&body["reasoning"]["effort"], "none", unsaid),
            },
        }
    }

    /// The id of the `n`th call of a conversation.
    pub fn call_id(&self, name: &str, n: usize) -> String {
        match self.ids {
            Ids::Prefix(prefix) => format!("{prefix}{:024}", 7_000 + n),
            Ids::Kimi => format!("functions.{name}:{n}"),
            Ids::Nine => format!("aB3xY{:04}", 7_000 + n),
        }
    }
}
