//! `tool_choice`: what the client forces, in the forms that the provider takes (SPEC 1.5).

use super::diagnostic::Diagnostic;
use super::request::{Dialect, wrong_type};
use super::tools::Toolbox;
use crate::error::Error;
use crate::json::write;
use crate::json::{Kind, Str, Value};
use crate::responses::tool::Tool;

/// The value of `tool_choice` for the provider: JSON, or nothing for `auto`.
pub(super) type Choice = Option<Vec<u8>>;

/// Reads the client's choice, and hides the tools that it rules out.
pub(super) fn read(
    request: Value<'_>,
    dialect: &Dialect<'_>,
    tools: &mut Toolbox,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Choice, Error> {
    let Some(choice) = request.present("tool_choice") else {
        return Ok(None);
    };
    if let Some(mode) = choice.as_str() {
        return match &*mode.text() {
            "auto" => Ok(None),
            "none" if takes(dialect, "none") => Ok(Some(b"\"none\"".to_vec())),
            "none" => {
                tools.restrict(|_| false);
                Ok(None)
            }
            "required" => Ok(required(dialect, diagnostics)),
            other => Err(Error::bad_request(format!(
                "Invalid value for 'tool_choice': '{other}'."
            ))
            .with_code("invalid_value")
            .with_param("tool_choice")),
        };
    }
    if choice.kind() != Kind::Object {
        return Err(wrong_type("tool_choice", "a string or an object"));
    }
    let kind = choice.str("type").unwrap_or(Str::EMPTY).text();
    match &*kind {
        "function" | "custom" => {
            // Chat completions nest the name; some clients send that form.
            let inner = choice.present(&kind).unwrap_or(choice);
            named(inner, dialect, tools, diagnostics)
        }
        "shell" | "local_shell" | "apply_patch" => one(None, &kind, dialect, tools, diagnostics),
        "allowed_tools" => allowed(choice, dialect, tools, diagnostics),
        other if other.starts_with("web_search") && tools.searches() => {
            tools.only_search();
            Ok(required(dialect, diagnostics))
        }
        other => Err(Error::bad_request(format!(
            "The tool choice '{other}' needs a hosted tool, which the provider does not have."
        ))
        .with_code("unsupported_tool_choice")
        .with_param("tool_choice")),
    }
}

fn takes(dialect: &Dialect<'_>, form: &str) -> bool {
    let profile = dialect.profile;
    let modes = match &profile.tool_choice_while_thinking {
        Some(modes) if dialect.effort.thinking => modes,
        _ => &profile.tool_choice,
    };
    modes.iter().any(|c| c == form)
}

/// No tool may be called.
pub(super) fn none(dialect: &Dialect<'_>) -> Choice {
    takes(dialect, "none").then(|| b"\"none\"".to_vec())
}

fn required(dialect: &Dialect<'_>, diagnostics: &mut Vec<Diagnostic>) -> Choice {
    for form in ["required", "any"] {
        if takes(dialect, form) {
            return Some(format!("\"{form}\"").into_bytes());
        }
    }
    diagnostics.push(Diagnostic {
        code: "tool_choice.degraded",
        path: "tool_choice".into(),
        message: "The provider cannot be forced to call a tool; it decides itself.".into(),
    });
    None
}

fn named(
    choice: Value<'_>,
    dialect: &Dialect<'_>,
    tools: &mut Toolbox,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Choice, Error> {
    let name = choice.str("name").unwrap_or(Str::EMPTY).text();
    let space = choice.str("namespace").map(|s| s.text());
    one(space.as_deref(), &name, dialect, tools, diagnostics)
}

/// One tool that must be called. Where the provider cannot be told its name, it is offered no
/// other.
fn one(
    space: Option<&str>,
    name: &str,
    dialect: &Dialect<'_>,
    tools: &mut Toolbox,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Choice, Error> {
    let Some(entry) = tools.find(space, name) else {
        return Err(Error::bad_request(format!(
            "Tool choice '{name}' not found in 'tools' parameter."
        ))
        .with_param("tool_choice"));
    };
    let flat = entry.tool.flat.clone();
    if takes(dialect, "function") {
        let mut out = b"{\"type\":\"function\",\"function\":{\"name\":".to_vec();
        write::string(&mut out, &flat);
        out.extend_from_slice(b"}}");
        return Ok(Some(out));
    }
    tools.restrict(|t| t.flat == flat);
    Ok(required(dialect, diagnostics))
}

fn allowed(
    choice: Value<'_>,
    dialect: &Dialect<'_>,
    tools: &mut Toolbox,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Choice, Error> {
    let Some(list) = choice.present("tools").filter(|t| t.kind() == Kind::Array) else {
        return Err(wrong_type("tool_choice.tools", "an array"));
    };
    let matches = |tool: &Tool, wanted: Value<'_>| {
        let kind = wanted.str("type").unwrap_or(Str::EMPTY);
        match wanted.str("name") {
            Some(space) if kind == "namespace" => {
                tool.namespace.as_deref().is_some_and(|n| space == *n)
            }
            Some(name) => {
                let space = wanted.str("namespace").map(|s| s.text());
                name == *tool.name && tool.namespace.as_deref() == space.as_deref()
            }
            // Tools without a name of their own are called what they are.
            None => tool.namespace.is_none() && kind == *tool.name,
        }
    };
    let search = |wanted: Value<'_>| {
        let kind = wanted.str("type").unwrap_or(Str::EMPTY).text();
        kind.starts_with("web_search")
    };
    let keep_search = tools.searches() && list.items().any(search);
    tools.restrict(|tool| list.items().any(|wanted| matches(tool, wanted)));
    tools.allow_search(keep_search);
    let forced = choice.str("mode").is_some_and(|m| m == "required");
    if forced && tools.any_offered() {
        return Ok(required(dialect, diagnostics));
    }
    Ok(None)
}
