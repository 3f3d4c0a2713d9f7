//! DeepSeek, Zhipu, MiniMax, Xiaomi.

use super::{NOTHING, PENALTIES, PLAIN, RC, TEXT_ONLY};
use crate::dialects::{
    Dialect, Ids, Index, Json, Rule, Search, Shows, Thinks, UsageAt, UsageForm, Wants,
};
use crate::provider;

const DEEPSEEK_FIELDS: Rule = Rule::Fields(provider::DEEPSEEK_FIELDS);

pub const DEEPSEEK: Dialect = Dialect {
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

pub const DEEPSEEK_FLASH: Dialect = Dialect {
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

pub const GLM_47: Dialect = Dialect {
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

pub const GLM_52: Dialect = Dialect {
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

pub const GLM_53: Dialect = Dialect {
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

pub const ZAI: Dialect = Dialect {
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

pub const MINIMAX_M3: Dialect = Dialect {
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

pub const MINIMAX_M2: Dialect = Dialect {
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

pub const XIAOMI: Dialect = Dialect {
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
