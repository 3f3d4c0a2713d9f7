//! The dialects, one record each.

use super::{Dialect, Ids, Index, Json, Rule, Shows, Thinks, UsageAt, UsageForm, Wants, Wire};

const NOTHING: [&str; 7] = ["{}"; 7];
const RC: &str = "reasoning_content";
const PENALTIES: &[&str] = &[
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "top_logprobs",
    "n",
    "logit_bias",
];
const TEXT_ONLY: Rule = Rule::Images {
    user: false,
    tool: false,
    http: false,
};

/// An answer as OpenAI documents it, and nothing else known.
const PLAIN: Dialect = Dialect {
    name: "",
    profile: "openai-compatible",
    model: "some-model",
    overrides: "",
    wire: Wire::Chat,
    key: ("authorization", "Bearer "),
    thinks: Thinks::Never,
    shows: Shows::Hidden,
    wants: Wants::Nothing,
    usage_at: UsageAt::Asked,
    usage: UsageForm::Details,
    index: Index::Counted,
    ids: Ids::Prefix("call_"),
    whole_calls: false,
    finish: ("stop", "tool_calls"),
    comment: None,
    wanders: false,
    repeats: false,
    efforts: NOTHING,
    json: Json::Schema,
    json_thinking: Json::Schema,
    json_tools: Json::Schema,
    images_user: true,
    images_tool: false,
    images_http: true,
    search: None,
    required: Some("required"),
    named: true,
    limit: "max_tokens",
    temperatures: [Some(0.0), Some(2.0)],
    later: "user",
    freeform: false,
    strict: false,
    rules: &[],
    family: "",
};

/// `reasoning_effort` alone, word by word.
macro_rules! words {
    ($($word:literal),*) => {
        [$(concat!(r#"{"reasoning_effort":""#, $word, r#""}"#)),*]
    };
}

/// Off, and then on with a word each.
macro_rules! on {
    ($off:literal, $on:literal) => {
        on!($off, $on, "", "", "", "", "", "")
    };
    ($off:literal, $on:literal, $($more:literal),*) => {
        [$off, $(concat!("{", $on, $more, "}")),*]
    };
}

mod china;
mod hosted;
mod local;
mod moonshot;

/// Every dialect, in the order of the table.
pub fn all() -> Vec<Dialect> {
    let passed = |name, profile, model, key, family| Dialect {
        name,
        profile,
        model,
        key,
        family,
        ..hosted::OPENAI
    };
    let bearer = PLAIN.key;
    vec![
        china::DEEPSEEK,
        china::DEEPSEEK_FLASH,
        china::GLM_47,
        china::GLM_52,
        china::GLM_53,
        china::ZAI,
        china::MINIMAX_M3,
        china::MINIMAX_M2,
        china::XIAOMI,
        moonshot::KIMI_K2,
        moonshot::KIMI_K3,
        moonshot::QWEN_37,
        moonshot::QWEN_38,
        hosted::OPENROUTER,
        hosted::GROQ,
        hosted::GROQ_QWEN,
        hosted::MISTRAL,
        hosted::GEMINI,
        hosted::ANTHROPIC,
        local::OLLAMA,
        local::VLLM,
        local::SGLANG,
        local::LLAMA,
        local::LMSTUDIO,
        hosted::CEREBRAS,
        hosted::TOGETHER,
        hosted::FIREWORKS,
        local::COMPATIBLE,
        hosted::OPENAI_CHAT,
        hosted::AZURE_CHAT,
        hosted::XAI_CHAT,
        hosted::OPENAI,
        passed("azure", "azure", "my-deployment", ("api-key", ""), "azure"),
        passed("xai", "xai", "grok-4.7", bearer, "xai"),
        passed(
            "deepseek-resp",
            "deepseek-responses",
            "deepseek-v4-flash",
            bearer,
            "deepseek",
        ),
    ]
}
