//! Kimi and Qwen.

use super::{PENALTIES, PLAIN, RC, TEXT_ONLY};
use crate::dialects::{Dialect, Ids, Json, Rule, Shows, Thinks, UsageAt, UsageForm, Wants};

pub const KIMI_K2: Dialect = Dialect {
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

pub const KIMI_K3: Dialect = Dialect {
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

pub const QWEN_37: Dialect = Dialect {
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

pub const QWEN_38: Dialect = Dialect {
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
