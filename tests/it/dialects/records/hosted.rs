//! Other services.

use super::{PLAIN, RC, TEXT_ONLY};
use crate::dialects::{
    Dialect, Ids, Index, Json, Rule, Shows, Thinks, UsageAt, UsageForm, Wants, Wire,
};

pub const OPENROUTER: Dialect = Dialect {
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

pub const GROQ: Dialect = Dialect {
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

pub const GROQ_QWEN: Dialect = Dialect {
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

pub const MISTRAL: Dialect = Dialect {
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

pub const GEMINI: Dialect = Dialect {
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

pub const ANTHROPIC: Dialect = Dialect {
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

pub const CEREBRAS: Dialect = Dialect {
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

pub const TOGETHER: Dialect = Dialect {
    name: "together",
    profile: "together",
    model: "zai-org/GLM-5.3",
    thinks: Thinks::Always,
    shows: Shows::Field(RC),
    wants: Wants::Text(RC),
    usage_at: UsageAt::Own,
    index: Index::Float,
    finish: ("eos", "tool_calls"),
    efforts: words!("low", "low", "low", "medium", "high", "max", "max"),
    rules: &[
        Rule::Developer,
        Rule::NoStrict,
        Rule::No(&["reasoning"]),
        Rule::Values("reasoning_effort", &["low", "medium", "high", "max"]),
        Rule::Images {
            user: true,
            tool: false,
            http: true,
        },
    ],
    family: "together",
    ..PLAIN
};

pub const FIREWORKS: Dialect = Dialect {
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

pub const OPENAI_CHAT: Dialect = Dialect {
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

pub const AZURE_CHAT: Dialect = Dialect {
    name: "azure-chat",
    profile: "azure",
    model: "my-deployment",
    overrides: "wire = \"chat\"",
    key: ("api-key", ""),
    family: "azure",
    ..OPENAI_CHAT
};

pub const XAI_CHAT: Dialect = Dialect {
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

pub const OPENAI: Dialect = Dialect {
    name: "openai",
    profile: "openai",
    model: "gpt-6-luna",
    wire: Wire::Responses,
    family: "openai",
    ..PLAIN
};
