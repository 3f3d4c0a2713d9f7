//! A Responses request becomes a chat request.

use super::choice;
use super::compaction;
use super::diagnostic::Diagnostic;
use super::effort::{self, Effort};
use super::fields;
use super::item::Item;
use super::items::Messages;
use super::tools::Toolbox;
use crate::auth::secret::SealKey;
use crate::error::{Error, Kind as ErrorKind, Source};
use crate::json::write;
use crate::json::{Kind, Value};
use crate::provider::Profile;
use crate::provider::profile::Model;
use crate::responses::tool::ToolTable;

/// What a request is translated for.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The provider's dialect for this model, see [`Profile::for_model`].
    pub profile: &'a Profile,
    /// The provider's name for the model.
    pub model: &'a str,
    /// Opens what earlier answers sealed.
    pub seal_key: &'a SealKey,
}

/// A chat request, and what the answer needs to know of it.
#[derive(Debug)]
pub struct Translated {
    /// The body for the provider.
    pub body: Vec<u8>,
    /// The tools, to turn calls back.
    pub tools: ToolTable,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Whether reasoning is shown as a summary (else as reasoning text).
    pub reasoning_summary: bool,
    /// Whether the client wants `encrypted_content`.
    pub encrypted_reasoning: bool,
    /// Whether the provider may search the web by itself.
    pub web_search: bool,
    /// What was dropped or changed.
    pub diagnostics: Vec<Diagnostic>,
}

/// The provider's dialect, and what this request makes of it.
pub(super) struct Dialect<'a> {
    pub profile: &'a Profile,
    pub model: Option<&'a Model>,
    /// What is sent about thinking.
    pub effort: Effort,
}

/// Translates `request`, the root of the client's body. The order of the body's members is
/// constant, and what a growing history adds comes after what it had: prompt caches compare
/// prefixes.
pub fn translate(request: Value<'_>, cx: Context<'_>) -> Result<Translated, Error> {
    check(request)?;
    let profile = cx.profile;
    let mut diagnostics = Vec::new();
    compaction::managed(request, &mut diagnostics)?;
    let items = compaction::current(Item::list(request));
    let mut tools = Toolbox::collect(request, &items, profile, &mut diagnostics);
    let settings = fields::Settings::of(request, &items);
    let effort = effort::decide(
        settings.effort,
        profile,
        tools.any_offered(),
        &mut diagnostics,
    );
    let dialect = Dialect {
        profile,
        model: profile.model(cx.model),
        effort,
    };
    let mut choice = choice::read(request, &dialect, &mut tools, &mut diagnostics)?;
    if profile.tools_with_history && !tools.any_offered() && tools.declare_called(&items) {
        choice = choice::none(&dialect);
    }
    let (format, note) =
        fields::response_format(&settings, &dialect, tools.any_offered(), &mut diagnostics);

    // What is escaped once more grows; to copy a large body for that is dear.
    let len = request.raw().len();
    let mut body = Vec::with_capacity(len + len / 8 + 4096);
    body.extend_from_slice(b"{\"model\":");
    write::string(&mut body, cx.model);
    body.extend_from_slice(b",\"messages\":");
    Messages::new(&mut body, cx, &tools, &mut diagnostics).write(
        request.str("instructions"),
        request.str("input"),
        &items,
        note,
    )?;
    let web_search = tools.searches();
    let mut fields = fields::Fields::new(&mut body, request, &dialect, &tools, &mut diagnostics);
    if tools.any_offered() {
        fields.tools(&tools, &choice);
    }
    if let Some(format) = format {
        fields.raw("response_format", &format);
    }
    let stream = fields.rest()?;
    body.push(b'}');
    let reasoning = request.present("reasoning");
    let summary = reasoning.and_then(|r| r.present("summary").or(r.present("generate_summary")));
    Ok(Translated {
        body,
        tools: tools.into_table(),
        stream,
        reasoning_summary: summary.is_some_and(|s| s.as_str().is_none_or(|s| s != "none")),
        encrypted_reasoning: fields::includes(request, "reasoning.encrypted_content"),
        web_search,
        diagnostics,
    })
}

/// An error for a field that is not there.
pub(super) fn missing(param: &str) -> Error {
    Error::bad_request(format!("Missing required parameter: '{param}'."))
        .with_code("missing_required_parameter")
        .with_param(param)
}

/// An error for a field of the wrong type.
pub(super) fn wrong_type(param: &str, expected: &str) -> Error {
    Error::bad_request(format!("Invalid type for '{param}': expected {expected}."))
        .with_code("invalid_type")
        .with_param(param)
}

/// What must hold before anything is translated.
fn check(request: Value<'_>) -> Result<(), Error> {
    if request.kind() != Kind::Object {
        return Err(Error::bad_request(
            "The request body must be a JSON object.",
        ));
    }
    if request.str("model").is_none_or(|m| m.is_empty()) {
        return Err(missing("model"));
    }
    check_state(request)?;
    match request.present("background") {
        None => {}
        Some(b) if b.as_bool() == Some(false) => {}
        Some(b) if b.as_bool().is_none() => return Err(wrong_type("background", "a boolean")),
        Some(_) => return Err(unsupported("background")),
    }
    match request.present("input") {
        None => return Err(missing("input")),
        Some(input) if input.kind() == Kind::Array => {
            if input.items().next().is_none() && request.present("instructions").is_none() {
                return Err(missing("input"));
            }
        }
        Some(input) if input.kind() == Kind::String => {}
        Some(_) => return Err(wrong_type("input", "a string or an array of items")),
    }
    for (name, kind, expected) in [
        ("instructions", Kind::String, "a string"),
        ("tools", Kind::Array, "an array"),
        ("include", Kind::Array, "an array"),
        ("reasoning", Kind::Object, "an object"),
        ("text", Kind::Object, "an object"),
        ("metadata", Kind::Object, "an object"),
        ("stream", Kind::Bool, "a boolean"),
        ("parallel_tool_calls", Kind::Bool, "a boolean"),
    ] {
        if request.present(name).is_some_and(|v| v.kind() != kind) {
            return Err(wrong_type(name, expected));
        }
    }
    Ok(())
}

/// Nothing is kept here that a request could refer to.
pub(super) fn check_state(request: Value<'_>) -> Result<(), Error> {
    if let Some(id) = request.present("previous_response_id") {
        let id = id.as_str().map(|s| s.text()).unwrap_or_default();
        return Err(
            Error::bad_request(format!("Previous response with id '{id}' not found."))
                .with_code("previous_response_not_found")
                .with_param("previous_response_id"),
        );
    }
    for name in ["conversation", "prompt"] {
        if request.present(name).is_some() {
            return Err(unsupported(name));
        }
    }
    Ok(())
}

fn unsupported(param: &str) -> Error {
    Error::new(
        Source::Downstream,
        ErrorKind::Unsupported,
        format!("Unsupported parameter: '{param}' is not served here."),
    )
    .with_param(param)
}
