//! A chat request becomes a Responses request (SPEC 2).

use super::body::Body;
use super::fields;
use super::messages::Input;
use super::tools::Tools;
use crate::auth::secret::SealKey;
use crate::error::{Error, Kind as ErrorKind, Source};
use crate::json::write;
use crate::json::{Kind, Value};
use crate::provider::Profile;
use crate::translate::diagnostic::Diagnostic;
pub(super) use crate::translate::request::{missing, wrong_type};

/// Most stop sequences in a request, as in the Chat API.
const STOP_MAX: usize = 4;
/// Longest stop sequence, in bytes: the end of the text is compared with it on every delta.
const STOP_BYTES_MAX: usize = 1024;

/// What a request is translated for.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The provider's dialect.
    pub profile: &'a Profile,
    /// The provider's name for the model.
    pub model: &'a str,
    /// Opens what earlier answers sealed.
    pub seal_key: &'a SealKey,
}

/// A Responses request, and what the answer needs to know of it.
#[derive(Debug)]
pub struct Translated {
    /// The body for the provider.
    pub body: Vec<u8>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Whether that stream ends with a usage chunk.
    pub include_usage: bool,
    /// Names of the tools that the client declared as custom; calls of others are functions.
    pub custom_tools: Vec<String>,
    /// The client speaks of `functions`, so that a call is answered as `function_call`.
    pub legacy_functions: bool,
    /// Where the text has to end; the Responses API has no such field.
    pub stop: Vec<String>,
    /// What was dropped or changed.
    pub diagnostics: Vec<Diagnostic>,
}

/// Translates `request`, the root of the client's body. The order of the body's members is
/// constant, and what a growing history adds comes after what it had: prompt caches compare
/// prefixes.
pub fn translate(request: Value<'_>, cx: Context<'_>) -> Result<Translated, Error> {
    check(request)?;
    let stop = stop(request)?;
    let mut body = Body::new(cx.profile, request.raw().len() + 1024);
    let tools = Tools::collect(request, &mut body)?;
    body.out.extend_from_slice(b"{\"model\":");
    write::string(&mut body.out, cx.model);
    Input::new(&mut body, cx).write(request)?;
    tools.write(request, &mut body)?;
    fields::write(request, &mut body)?;
    if !stop.is_empty() {
        let message = "The provider has no such field; the text is cut on its way to the client.";
        body.note("field.degraded", "stop", message);
    }
    let stream = flag(request, "stream");
    let options = request.present("stream_options");
    let (body, diagnostics) = body.finish();
    Ok(Translated {
        body,
        stream,
        include_usage: stream && options.is_some_and(|o| flag(o, "include_usage")),
        custom_tools: tools.custom,
        legacy_functions: tools.legacy,
        stop,
        diagnostics,
    })
}

/// Whether the member `name` is `true`.
pub(super) fn flag(object: Value<'_>, name: &str) -> bool {
    object.present(name).and_then(|v| v.as_bool()) == Some(true)
}

/// An error for a value that is legal, but cannot be served here.
pub(super) fn unsupported(param: &str, message: &str) -> Error {
    Error::new(Source::Downstream, ErrorKind::Unsupported, message)
        .with_code("unsupported_value")
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
    for (name, kind, expected) in [
        ("messages", Kind::Array, "an array"),
        ("tools", Kind::Array, "an array"),
        ("functions", Kind::Array, "an array"),
        ("modalities", Kind::Array, "an array"),
        ("metadata", Kind::Object, "an object"),
        ("response_format", Kind::Object, "an object"),
        ("stream_options", Kind::Object, "an object"),
        ("stream", Kind::Bool, "a boolean"),
        ("logprobs", Kind::Bool, "a boolean"),
        ("parallel_tool_calls", Kind::Bool, "a boolean"),
        ("store", Kind::Bool, "a boolean"),
    ] {
        if request.present(name).is_some_and(|v| v.kind() != kind) {
            return Err(wrong_type(name, expected));
        }
    }
    let messages = request.present("messages");
    if messages.is_none_or(|m| m.items().next().is_none()) {
        return Err(missing("messages"));
    }
    if let Some(n) = request.present("n") {
        match n.as_u64() {
            Some(1) => {}
            Some(n) if n > 1 => {
                let message = "n > 1 is not supported by this model route.";
                return Err(unsupported("n", message));
            }
            _ => return Err(wrong_type("n", "a positive integer")),
        }
    }
    let modalities = request.present("modalities");
    let mut modalities = modalities.iter().flat_map(|m| m.items());
    if modalities.any(|m| m.as_str().is_some_and(|m| m == "audio")) {
        return Err(unsupported("modalities", "The model route has no audio."));
    }
    if request.present("audio").is_some() {
        return Err(unsupported("audio", "The model route has no audio."));
    }
    Ok(())
}

fn stop(request: Value<'_>) -> Result<Vec<String>, Error> {
    let Some(stop) = request.present("stop") else {
        return Ok(Vec::new());
    };
    let wrong = || wrong_type("stop", "a string or an array of strings");
    let mut sequences = Vec::new();
    match stop.kind() {
        Kind::String => sequences.extend(stop.as_str()),
        Kind::Array => {
            for item in stop.items() {
                sequences.push(item.as_str().ok_or_else(wrong)?);
            }
        }
        _ => return Err(wrong()),
    }
    if sequences.len() > STOP_MAX {
        let message = format!("At most {STOP_MAX} stop sequences are allowed.");
        return Err(Error::bad_request(message).with_param("stop"));
    }
    let mut stop = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        if sequence.raw().len() > STOP_BYTES_MAX {
            let message = format!("A stop sequence is longer than {STOP_BYTES_MAX} bytes.");
            return Err(Error::bad_request(message).with_param("stop"));
        }
        if !sequence.is_empty() {
            stop.push(sequence.text().into_owned());
        }
    }
    Ok(stop)
}
