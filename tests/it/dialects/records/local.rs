//! Servers that one runs oneself.

use super::{PLAIN, RC};
use crate::dialects::{Dialect, Ids, Index, Rule, Shows, Thinks, UsageForm, Wants};

pub const OLLAMA: Dialect = Dialect {
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

pub const VLLM: Dialect = Dialect {
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

pub const SGLANG: Dialect = Dialect {
    name: "sglang",
    profile: "sglang",
    shows: Shows::Field(RC),
    wants: Wants::Text(RC),
    ..VLLM
};

pub const LLAMA: Dialect = Dialect {
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

pub const LMSTUDIO: Dialect = Dialect {
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

pub const COMPATIBLE: Dialect = Dialect {
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
