//! The dialects, one record each.

use super::{
    Dialect, Ids, Index, Json, Rule, Search, Shows, Thinks, UsageAt, UsageForm, Wants, Wire,
};

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

const DEEPSEEK_FIELDS: Rule = Rule::Fields(&[
    "model",
    "messages",
    "tools",
    "tool_choice",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_p",
    "thinking",
    "reasoning_effort",
    "response_format",
    "stop",
    "parallel_tool_calls",
    "logprobs",
    "top_logprobs",
    "presence_penalty",
    "frequency_penalty",
    "user_id",
]);

const DEEPSEEK: Dialect = Dialect {
    name: "deepseek-pro",
    profile: "deepseek",
    model: "deepseek-v4-pro",
    thinks: Thinks::Type(true),
    shows: Shows::Field(RC),
    wants: Wants::Text(RC),
    usage_at: UsageAt::Finish,
    usage: UsageForm::HitMiss,
    ids: Ids::Prefix("call_00_"),
    comment: Some("keep-alive"),
    efforts: on!(
        r#"{"thinking":{"type":"disabled"}}"#,
        r#""thinking":{"type":"enabled"},"reasoning_effort":"#,
        r#""high""#,
        r#""high""#,
        r#""high""#,
        r#""high""#,
        r#""max""#,
        r#""max""#
    ),
    json: Json::Object,
    json_thinking: Json::Object,
    json_tools: Json::Object,
    images_user: false,
    required: None,
    named: false,
    later: "system",
    rules: &[
        DEEPSEEK_FIELDS,
        Rule::Developer,
        Rule::Choice(&["auto", "none", "required", "function"]),
        Rule::ChoiceThinking(&["auto", "none"]),
        Rule::Formats(&["text", "json_object"]),
        Rule::Reasoning(RC),
        Rule::NoStrict,
        Rule::Length("user_id", 1, 512),
        Rule::Values("thinking.type", &["enabled", "disabled"]),
        Rule::Values("reasoning_effort", &["high", "max"]),
        TEXT_ONLY,
    ],
    family: "deepseek",
    ..PLAIN
};

const DEEPSEEK_FLASH: Dialect = Dialect {
    name: "deepseek-flash",
    model: "deepseek-flash",
    efforts: on!(
        r#"{"thinking":{"type":"disabled"}}"#,
        r#""thinking":{"type":"enabled"},"reasoning_effort":"#,
        r#""low""#,
        r#""low""#,
        r#""high""#,
        r#""high""#,
        r#""high""#,
        r#""max""#
    ),
    images_user: true,
    images_tool: true,
    later: "user",
    rules: &[
        DEEPSEEK_FIELDS,
        Rule::Developer,
        Rule::LeadingSystem,
        Rule::Choice(&["auto", "none", "required", "function"]),
        Rule::ChoiceThinking(&["auto", "none"]),
        Rule::Formats(&["text", "json_object"]),
        Rule::Reasoning(RC),
        Rule::NoStrict,
        Rule::Length("user_id", 1, 512),
        Rule::Values("thinking.type", &["enabled", "disabled"]),
        Rule::Values("reasoning_effort", &["low", "high", "max"]),
    ],
    ..DEEPSEEK
};

/// What all of Zhipu's models refuse.
macro_rules! glm_rules {
    ($($more:expr),*) => {
        &[
            Rule::Developer,
            Rule::LeadingSystem,
            Rule::Choice(&["auto"]),
            Rule::Formats(&["text", "json_object"]),
            Rule::Range("temperature", 0.0, 1.0),
            Rule::Range("top_p", 0.01, 1.0),
            Rule::Length("user_id", 6, 128),
            Rule::No(&["parallel_tool_calls", "user", "service_tier", "max_completion_tokens"]),
            Rule::No(PENALTIES),
            Rule::NoStrict,
            $($more),*
        ]
    };
}

const GLM_47: Dialect = Dialect {
    name: "zhipu-4.7",
    profile: "zhipu",
    model: "glm-4.7",
    thinks: Thinks::Type(true),
    shows: Shows::Field(RC),
    wants: Wants::Text(RC),
    usage_at: UsageAt::Finish,
    efforts: on!(
        r#"{"thinking":{"type":"disabled"}}"#,
        r#""thinking":{"type":"enabled","clear_thinking":false}"#
    ),
    json: Json::Object,
    json_thinking: Json::Object,
    json_tools: Json::Object,
    images_user: false,
    search: Some(Search::Glm),
    required: None,
    named: false,
    temperatures: [Some(0.0), Some(1.0)],
    rules: glm_rules!(
        TEXT_ONLY,
        Rule::No(&["reasoning_effort"]),
        Rule::Values("thinking.type", &["enabled", "disabled"])
    ),
    family: "zhipu",
    ..PLAIN
};

const GLM_52: Dialect = Dialect {
    name: "zhipu-5.2",
    model: "glm-5.2",
    efforts: on!(
        r#"{"thinking":{"type":"disabled"},"reasoning_effort":"none"}"#,
        r#""thinking":{"type":"enabled","clear_thinking":false},"reasoning_effort":"#,
        r#""high""#,
        r#""high""#,
        r#""high""#,
        r#""high""#,
        r#""max""#,
        r#""max""#
    ),
    rules: glm_rules!(
        TEXT_ONLY,
        Rule::Values("thinking.type", &["enabled", "disabled"]),
        Rule::Values(
            "reasoning_effort",
            &["none", "minimal", "low", "medium", "high", "xhigh", "max"]
        )
    ),
    ..GLM_47
};

const GLM_53: Dialect = Dialect {
    name: "zhipu-5.3",
    model: "glm-5.3",
    thinks: Thinks::Always,
    efforts: on!(
        r#"{"thinking":{"type":"enabled","clear_thinking":false},"reasoning_effort":"low"}"#,
        r#""thinking":{"type":"enabled","clear_thinking":false},"reasoning_effort":"#,
        r#""low""#,
        r#""low""#,
        r#""high""#,
        r#""high""#,
        r#""max""#,
        r#""max""#
    ),
    // Some of its streams leave the index out.
    index: Index::Missing,
    rules: glm_rules!(
        TEXT_ONLY,
        Rule::Values("thinking.type", &["enabled"]),
        Rule::Values("reasoning_effort", &["low", "high", "max"])
    ),
    ..GLM_47
};

const ZAI: Dialect = Dialect {
    name: "zai",
    profile: "zai",
    model: "glm-5.3-flash",
    index: Index::Counted,
    images_user: true,
    rules: glm_rules!(
        Rule::Images {
            user: true,
            tool: false,
            http: true
        },
        Rule::Values("thinking.type", &["enabled"]),
        Rule::Values("reasoning_effort", &["low", "high", "max"])
    ),
    ..GLM_53
};

const MINIMAX_M3: Dialect = Dialect {
    name: "minimax-m3",
    profile: "minimax",
    model: "MiniMax-M3",
    thinks: Thinks::Type(true),
    shows: Shows::Field(RC),
    wants: Wants::Text(RC),
    ids: Ids::Prefix("call_function_"),
    efforts: on!(
        r#"{"thinking":{"type":"disabled"}}"#,
        r#""thinking":{"type":"adaptive"}"#
    ),
    json: Json::Words,
    json_thinking: Json::Words,
    json_tools: Json::Words,
    required: None,
    named: false,
    limit: "max_completion_tokens",
    temperatures: [Some(0.01), Some(1.0)],
    rules: &[
        Rule::Developer,
        Rule::LeadingSystem,
        Rule::Choice(&["auto"]),
        Rule::Formats(&[]),
        Rule::Range("temperature", 0.0, 1.0),
        Rule::AboveZero("temperature"),
        Rule::No(&[
            "parallel_tool_calls",
            "user",
            "service_tier",
            "reasoning_effort",
            "max_tokens",
        ]),
        Rule::No(PENALTIES),
        Rule::NoStrict,
        Rule::Values("thinking.type", &["adaptive", "disabled"]),
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    family: "minimax",
    ..PLAIN
};

const MINIMAX_M2: Dialect = Dialect {
    name: "minimax-m2.7",
    model: "MiniMax-M2.7",
    thinks: Thinks::Always,
    shows: Shows::Cumulative,
    wants: Wants::Details,
    repeats: true,
    efforts: NOTHING,
    images_user: false,
    rules: &[
        Rule::Developer,
        Rule::LeadingSystem,
        Rule::Choice(&["auto"]),
        Rule::Formats(&[]),
        Rule::Range("temperature", 0.0, 1.0),
        Rule::AboveZero("temperature"),
        Rule::No(&[
            "parallel_tool_calls",
            "user",
            "service_tier",
            "reasoning_effort",
            "max_tokens",
            "thinking",
        ]),
        Rule::No(PENALTIES),
        Rule::NoStrict,
        TEXT_ONLY,
    ],
    ..MINIMAX_M3
};

const XIAOMI: Dialect = Dialect {
    name: "xiaomi",
    profile: "xiaomi",
    model: "mimo-v2.6-pro",
    thinks: Thinks::Type(true),
    shows: Shows::Field(RC),
    wants: Wants::Text(RC),
    efforts: on!(
        r#"{"thinking":{"type":"disabled"}}"#,
        r#""thinking":{"type":"enabled"}"#
    ),
    json: Json::Object,
    json_thinking: Json::Object,
    json_tools: Json::Object,
    search: Some(Search::MiMo),
    required: None,
    named: false,
    limit: "max_completion_tokens",
    temperatures: [Some(0.0), Some(1.5)],
    strict: true,
    rules: &[
        Rule::Developer,
        Rule::LeadingSystem,
        Rule::Choice(&["auto"]),
        Rule::Formats(&["text", "json_object"]),
        Rule::Range("temperature", 0.0, 1.5),
        Rule::Range("top_p", 0.01, 1.0),
        Rule::No(&[
            "parallel_tool_calls",
            "user",
            "service_tier",
            "reasoning_effort",
            "max_tokens",
        ]),
        Rule::Reasoning(RC),
        Rule::Values("thinking.type", &["enabled", "disabled"]),
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    family: "xiaomi",
    ..PLAIN
};

const KIMI_K2: Dialect = Dialect {
    name: "kimi-k2.6",
    profile: "kimi",
    model: "kimi-k2.6",
    thinks: Thinks::Type(true),
    shows: Shows::Field(RC),
    wants: Wants::Text(RC),
    usage_at: UsageAt::Choice,
    usage: UsageForm::Top,
    ids: Ids::Kimi,
    efforts: on!(
        r#"{"thinking":{"type":"disabled"}}"#,
        r#""thinking":{"type":"enabled"}"#
    ),
    images_tool: true,
    images_http: false,
    required: None,
    named: false,
    temperatures: [None, None],
    later: "system",
    rules: &[
        Rule::Developer,
        Rule::ChoiceThinking(&["auto", "none"]),
        Rule::No(&[
            "temperature",
            "top_p",
            "reasoning_effort",
            "user",
            "service_tier",
        ]),
        Rule::No(PENALTIES),
        Rule::NoStrict,
        Rule::Reasoning(RC),
        Rule::Moonshot,
        Rule::Values("thinking.type", &["enabled", "disabled"]),
        Rule::Images {
            user: true,
            tool: true,
            http: false,
        },
    ],
    family: "kimi",
    ..PLAIN
};

const KIMI_K3: Dialect = Dialect {
    name: "kimi-k3",
    model: "kimi-k3",
    thinks: Thinks::Always,
    usage_at: UsageAt::Asked,
    efforts: words!("low", "low", "low", "high", "high", "max", "max"),
    rules: &[
        Rule::Developer,
        Rule::ChoiceThinking(&["auto", "none"]),
        Rule::No(&["temperature", "top_p", "thinking", "user", "service_tier"]),
        Rule::No(PENALTIES),
        Rule::NoStrict,
        Rule::Reasoning(RC),
        Rule::Moonshot,
        Rule::Values("reasoning_effort", &["low", "high", "max"]),
        Rule::Images {
            user: true,
            tool: true,
            http: false,
        },
    ],
    ..KIMI_K2
};

/// What all of DashScope's models refuse. The range of temperatures is open at its end.
macro_rules! qwen_rules {
    ($($more:expr),*) => {
        &[
            Rule::Developer,
            Rule::LeadingSystem,
            Rule::Choice(&["auto", "none", "function"]),
            Rule::ChoiceThinking(&["auto", "none"]),
            Rule::NoFormatThinking,
            Rule::Range("temperature", 0.0, 1.999_999),
            Rule::No(&["thinking", "user", "service_tier"]),
            Rule::NoStrict,
            $($more),*
        ]
    };
}

const QWEN_37: Dialect = Dialect {
    name: "qwen-3.7",
    profile: "qwen",
    model: "qwen3.7-max",
    thinks: Thinks::Enable(false),
    shows: Shows::Field(RC),
    wants: Wants::Text(RC),
    efforts: on!(
        r#"{"enable_thinking":false}"#,
        r#""enable_thinking":true,"preserve_thinking":true"#
    ),
    json_thinking: Json::Words,
    json_tools: Json::Words,
    images_user: false,
    required: None,
    named: false,
    temperatures: [Some(0.0), Some(1.99)],
    rules: qwen_rules!(TEXT_ONLY, Rule::No(&["reasoning_effort"])),
    family: "qwen",
    ..PLAIN
};

const QWEN_38: Dialect = Dialect {
    name: "qwen-3.8",
    model: "qwen3.8-max",
    efforts: on!(
        r#"{"enable_thinking":false}"#,
        r#""enable_thinking":true,"preserve_thinking":true,"reasoning_effort":"#,
        r#""low""#,
        r#""low""#,
        r#""medium""#,
        r#""medium""#,
        r#""xhigh""#,
        r#""xhigh""#
    ),
    images_user: true,
    rules: qwen_rules!(
        Rule::Values("reasoning_effort", &["low", "medium", "xhigh"]),
        Rule::Images {
            user: true,
            tool: false,
            http: true
        }
    ),
    ..QWEN_37
};

const OPENROUTER: Dialect = Dialect {
    name: "openrouter",
    profile: "openrouter",
    model: "anthropic/claude-sonnet-5",
    thinks: Thinks::Nested(true),
    shows: Shows::Details,
    wants: Wants::Details,
    usage_at: UsageAt::Own,
    ids: Ids::Prefix("toolu_"),
    comment: Some("OPENROUTER PROCESSING"),
    efforts: [
        r#"{"reasoning":{"effort":"none"}}"#,
        r#"{"reasoning":{"effort":"minimal"}}"#,
        r#"{"reasoning":{"effort":"low"}}"#,
        r#"{"reasoning":{"effort":"medium"}}"#,
        r#"{"reasoning":{"effort":"high"}}"#,
        r#"{"reasoning":{"effort":"xhigh"}}"#,
        r#"{"reasoning":{"effort":"xhigh"}}"#,
    ],
    strict: true,
    rules: &[
        Rule::ToolsWithHistory,
        Rule::LeadingSystem,
        Rule::Values(
            "reasoning.effort",
            &["none", "minimal", "low", "medium", "high", "xhigh"],
        ),
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    family: "openrouter",
    ..PLAIN
};

const GROQ_FIELDS: Rule = Rule::Fields(&[
    "model",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "stream",
    "stream_options",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "user",
    "service_tier",
    "reasoning_effort",
    "reasoning_format",
    "include_reasoning",
]);

const GROQ: Dialect = Dialect {
    name: "groq-gpt-oss",
    profile: "groq",
    model: "openai/gpt-oss-120b",
    thinks: Thinks::Always,
    shows: Shows::Field("reasoning"),
    usage_at: UsageAt::Groq,
    ids: Ids::Prefix("fc_"),
    whole_calls: true,
    wanders: true,
    efforts: words!("low", "low", "low", "medium", "high", "high", "high"),
    json_tools: Json::Words,
    images_user: false,
    limit: "max_completion_tokens",
    later: "developer",
    strict: true,
    rules: &[
        GROQ_FIELDS,
        Rule::No(&["reasoning_format"]),
        Rule::NotInAssistant(&[RC, "reasoning_details"]),
        Rule::NoFormatWithTools,
        Rule::Values("reasoning_effort", &["low", "medium", "high"]),
        TEXT_ONLY,
    ],
    family: "groq",
    ..PLAIN
};

const GROQ_QWEN: Dialect = Dialect {
    name: "groq-qwen",
    model: "qwen/qwen3.6-27b",
    thinks: Thinks::Effort(true),
    efforts: words!(
        "none", "default", "default", "default", "default", "default", "default"
    ),
    images_user: true,
    rules: &[
        GROQ_FIELDS,
        Rule::NotInAssistant(&[RC, "reasoning_details"]),
        Rule::NoFormatWithTools,
        Rule::Values("reasoning_effort", &["none", "default"]),
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    ..GROQ
};

const MISTRAL: Dialect = Dialect {
    name: "mistral",
    profile: "mistral",
    model: "mistral-medium-latest",
    thinks: Thinks::Effort(false),
    shows: Shows::Parts,
    wants: Wants::Parts,
    usage_at: UsageAt::Finish,
    usage: UsageForm::Bare,
    index: Index::Missing,
    ids: Ids::Nine,
    whole_calls: true,
    efforts: words!("none", "high", "high", "high", "high", "high", "high"),
    required: Some("any"),
    temperatures: [Some(0.0), Some(1.5)],
    strict: true,
    rules: &[
        Rule::Fields(&[
            "model",
            "messages",
            "temperature",
            "top_p",
            "max_tokens",
            "stream",
            "stop",
            "random_seed",
            "response_format",
            "tools",
            "tool_choice",
            "presence_penalty",
            "frequency_penalty",
            "n",
            "prediction",
            "parallel_tool_calls",
            "prompt_mode",
            "reasoning_effort",
            "safe_prompt",
            "metadata",
            "prompt_cache_key",
        ]),
        Rule::Developer,
        Rule::LeadingSystem,
        Rule::Choice(&["auto", "none", "any", "required", "function"]),
        Rule::NameOnTool,
        Rule::NoNullContent,
        Rule::NotInAssistant(&[RC, "reasoning", "reasoning_details"]),
        Rule::Range("temperature", 0.0, 1.5),
        Rule::Values("reasoning_effort", &["none", "high"]),
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    family: "mistral",
    ..PLAIN
};

const GEMINI: Dialect = Dialect {
    name: "gemini",
    profile: "gemini",
    model: "gemini-3.8-flash",
    thinks: Thinks::Always,
    // Thoughts are shown only to those who ask in Google's own words.
    shows: Shows::Hidden,
    wants: Wants::Signature,
    index: Index::Missing,
    ids: Ids::Prefix("function-call-"),
    whole_calls: true,
    // Gemini 3 cannot stop thinking.
    efforts: words!(
        "minimal", "minimal", "low", "medium", "high", "high", "high"
    ),
    rules: &[
        Rule::Fields(&[
            "model",
            "messages",
            "max_tokens",
            "max_completion_tokens",
            "temperature",
            "top_p",
            "n",
            "stop",
            "stream",
            "stream_options",
            "tools",
            "tool_choice",
            "response_format",
            "reasoning_effort",
            "extra_body",
            "seed",
        ]),
        Rule::Developer,
        Rule::LeadingSystem,
        Rule::Values("reasoning_effort", &["minimal", "low", "medium", "high"]),
        Rule::NoStrict,
        Rule::Signature,
        Rule::Keywords(&[
            "$schema",
            "additionalProperties",
            "exclusiveMaximum",
            "exclusiveMinimum",
            "propertyNames",
            "patternProperties",
        ]),
        Rule::OneType,
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    family: "gemini",
    ..PLAIN
};

const ANTHROPIC: Dialect = Dialect {
    name: "anthropic",
    profile: "anthropic",
    model: "claude-sonnet-5",
    ids: Ids::Prefix("toolu_"),
    usage: UsageForm::Bare,
    json: Json::Words,
    json_thinking: Json::Words,
    json_tools: Json::Words,
    limit: "max_completion_tokens",
    // Sampling is fixed.
    temperatures: [None, None],
    rules: &[
        Rule::ToolsWithHistory,
        Rule::LeadingSystem,
        Rule::No(&["temperature", "top_p"]),
        Rule::NotInAssistant(&[RC, "reasoning", "reasoning_details"]),
        Rule::NoDetail,
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    family: "anthropic",
    ..PLAIN
};

const OLLAMA: Dialect = Dialect {
    name: "ollama",
    profile: "ollama",
    model: "qwen3.6:27b",
    thinks: Thinks::Effort(true),
    shows: Shows::Field("reasoning"),
    usage: UsageForm::Bare,
    index: Index::Zero,
    whole_calls: true,
    efforts: words!("none", "low", "low", "medium", "high", "high", "high"),
    images_http: false,
    required: None,
    named: false,
    later: "system",
    rules: &[
        Rule::Developer,
        Rule::Values("reasoning_effort", &["none", "low", "medium", "high"]),
        Rule::Images {
            user: true,
            tool: false,
            http: false,
        },
    ],
    family: "ollama",
    ..PLAIN
};

const VLLM: Dialect = Dialect {
    name: "vllm",
    profile: "vllm",
    model: "Qwen/Qwen3.6-27B",
    thinks: Thinks::Template(true),
    shows: Shows::Field("reasoning"),
    wants: Wants::Text("reasoning"),
    ids: Ids::Prefix("chatcmpl-tool-"),
    efforts: on!(
        r#"{"chat_template_kwargs":{"enable_thinking":false}}"#,
        r#""chat_template_kwargs":{"enable_thinking":true}"#
    ),
    rules: &[
        Rule::Developer,
        Rule::LeadingSystem,
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    family: "vllm",
    ..PLAIN
};

const SGLANG: Dialect = Dialect {
    name: "sglang",
    profile: "sglang",
    shows: Shows::Field(RC),
    wants: Wants::Text(RC),
    ..VLLM
};

const LLAMA: Dialect = Dialect {
    name: "llama.cpp",
    profile: "llama.cpp",
    model: "qwen3.6-27b-q4",
    thinks: Thinks::Template(true),
    shows: Shows::Field(RC),
    wants: Wants::Text(RC),
    usage: UsageForm::Bare,
    ids: Ids::Prefix(""),
    efforts: on!(
        r#"{"chat_template_kwargs":{"enable_thinking":false}}"#,
        r#""chat_template_kwargs":{"enable_thinking":true}"#
    ),
    named: false,
    rules: &[
        Rule::Developer,
        Rule::LeadingSystem,
        Rule::Alternate,
        Rule::Choice(&["auto", "none", "required"]),
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    family: "llama.cpp",
    ..PLAIN
};

const LMSTUDIO: Dialect = Dialect {
    name: "lmstudio",
    profile: "lmstudio",
    model: "qwen3.6-27b",
    thinks: Thinks::Always,
    shows: Shows::Tags("think"),
    usage: UsageForm::Bare,
    ids: Ids::Prefix(""),
    whole_calls: true,
    images_http: false,
    named: false,
    rules: &[
        Rule::Developer,
        Rule::LeadingSystem,
        Rule::Choice(&["auto", "none", "required"]),
        Rule::Images {
            user: true,
            tool: false,
            http: false,
        },
    ],
    family: "lmstudio",
    ..PLAIN
};

const CEREBRAS: Dialect = Dialect {
    name: "cerebras",
    profile: "cerebras",
    model: "gpt-oss-120b",
    thinks: Thinks::Always,
    shows: Shows::Field("reasoning"),
    wants: Wants::Text("reasoning"),
    usage_at: UsageAt::Own,
    ids: Ids::Prefix(""),
    efforts: words!("low", "low", "low", "medium", "high", "high", "high"),
    images_user: false,
    limit: "max_completion_tokens",
    strict: true,
    rules: &[
        Rule::Developer,
        Rule::No(&[
            "frequency_penalty",
            "presence_penalty",
            "logit_bias",
            "service_tier",
            "prompt_cache_key",
            "verbosity",
        ]),
        Rule::NotInAssistant(&[RC]),
        Rule::Values("reasoning_effort", &["low", "medium", "high"]),
        TEXT_ONLY,
    ],
    family: "cerebras",
    ..PLAIN
};

const TOGETHER: Dialect = Dialect {
    name: "together",
    profile: "together",
    model: "zai-org/GLM-5.3",
    thinks: Thinks::Nested(true),
    shows: Shows::Field("reasoning"),
    usage_at: UsageAt::Finish,
    index: Index::Float,
    finish: ("eos", "tool_calls"),
    efforts: on!(
        r#"{"reasoning":{"enabled":false}}"#,
        r#""reasoning":{"enabled":true}"#
    ),
    rules: &[
        Rule::Developer,
        Rule::NoStrict,
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    family: "together",
    ..PLAIN
};

const FIREWORKS: Dialect = Dialect {
    name: "fireworks",
    profile: "fireworks",
    model: "accounts/fireworks/models/glm-5p3",
    thinks: Thinks::Effort(true),
    shows: Shows::Field(RC),
    wants: Wants::Text(RC),
    usage_at: UsageAt::Finish,
    efforts: words!("none", "low", "low", "medium", "high", "high", "high"),
    rules: &[
        Rule::Developer,
        Rule::NoStrict,
        Rule::Values("reasoning_effort", &["none", "low", "medium", "high"]),
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    family: "fireworks",
    ..PLAIN
};

const COMPATIBLE: Dialect = Dialect {
    name: "compatible",
    thinks: Thinks::Always,
    shows: Shows::Field(RC),
    wants: Wants::Text(RC),
    rules: &[
        Rule::Developer,
        Rule::LeadingSystem,
        Rule::NoStrict,
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    ..PLAIN
};

const OPENAI_CHAT: Dialect = Dialect {
    name: "openai-chat",
    profile: "openai-chat",
    model: "gpt-6-luna",
    efforts: words!("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    limit: "max_completion_tokens",
    later: "developer",
    freeform: true,
    strict: true,
    rules: &[
        Rule::No(&["max_tokens"]),
        Rule::NotInAssistant(&[RC, "reasoning", "reasoning_details"]),
        Rule::Length("safety_identifier", 1, 64),
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    family: "openai",
    ..PLAIN
};

const AZURE_CHAT: Dialect = Dialect {
    name: "azure-chat",
    profile: "azure",
    model: "my-deployment",
    overrides: "wire = \"chat\"",
    key: ("api-key", ""),
    family: "azure",
    ..OPENAI_CHAT
};

const XAI_CHAT: Dialect = Dialect {
    name: "xai-chat",
    profile: "xai",
    model: "grok-4.7",
    overrides: "wire = \"chat\"",
    thinks: Thinks::Always,
    shows: Shows::Field(RC),
    usage_at: UsageAt::Own,
    usage: UsageForm::Beside,
    whole_calls: true,
    wanders: true,
    efforts: words!("low", "low", "low", "medium", "high", "xhigh", "xhigh"),
    images_tool: true,
    limit: "max_completion_tokens",
    later: "system",
    strict: true,
    rules: &[
        Rule::Developer,
        Rule::No(&["presence_penalty", "frequency_penalty", "stop"]),
        Rule::Values("reasoning_effort", &["low", "medium", "high", "xhigh"]),
    ],
    family: "xai",
    ..PLAIN
};

const OPENAI: Dialect = Dialect {
    name: "openai",
    profile: "openai",
    model: "gpt-6-luna",
    wire: Wire::Responses,
    family: "openai",
    ..PLAIN
};

/// Every dialect, in the order of the table.
pub fn all() -> Vec<Dialect> {
    let passed = |name, profile, model, key, family| Dialect {
        name,
        profile,
        model,
        key,
        family,
        ..OPENAI
    };
    let bearer = PLAIN.key;
    vec![
        DEEPSEEK,
        DEEPSEEK_FLASH,
        GLM_47,
        GLM_52,
        GLM_53,
        ZAI,
        MINIMAX_M3,
        MINIMAX_M2,
        XIAOMI,
        KIMI_K2,
        KIMI_K3,
        QWEN_37,
        QWEN_38,
        OPENROUTER,
        GROQ,
        GROQ_QWEN,
        MISTRAL,
        GEMINI,
        ANTHROPIC,
        OLLAMA,
        VLLM,
        SGLANG,
        LLAMA,
        LMSTUDIO,
        CEREBRAS,
        TOGETHER,
        FIREWORKS,
        COMPATIBLE,
        OPENAI_CHAT,
        AZURE_CHAT,
        XAI_CHAT,
        OPENAI,
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
