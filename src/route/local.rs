//! What Strait answers by itself.

use super::answer::Framing;
use super::endpoint::Endpoint;
use crate::config::{ClientKey, Snapshot};
use crate::error::{Error, Kind, Source};
use crate::http::head::RequestHead;
use crate::json::Value;
use crate::limits;
use crate::responses::catalog;

/// Answers an endpoint that needs no provider. A key is told of no model that it may not ask for.
pub fn answer(
    endpoint: Endpoint,
    snapshot: &Snapshot,
    key: Option<&ClientKey>,
    head: &RequestHead,
    framing: Framing,
    out: &mut Vec<u8>,
) {
    if endpoint != Endpoint::Models {
        let body = br#"{"status":"ok"}"#;
        return framing.whole(out, 200, "application/json", &[], body);
    }
    let query = head.query.as_deref().unwrap_or("");
    let codex = query
        .split('&')
        .any(|pair| pair.starts_with("client_version="));
    let mut models = snapshot.catalog();
    models.retain(|entry| key.is_none_or(|key| key.models.has(&entry.slug)));
    let body = catalog::list(&models, codex);
    let etag = catalog::etag(&body);
    framing.whole(out, 200, "application/json", &[("etag", &etag)], &body);
}

/// The process drains: others are to be asked.
pub fn not_ready() -> Error {
    let message = "The gateway is shutting down.";
    Error::new(Source::Gateway, Kind::Draining, message)
}

/// The model that a request asks for.
pub fn model_of(request: Value<'_>) -> Result<String, Error> {
    if request.entries().next().is_none() && request.raw() != b"{}" {
        return Err(Error::bad_request(
            "The request body must be a JSON object.",
        ));
    }
    let model = request.present("model").ok_or_else(|| {
        Error::bad_request("Missing required parameter: 'model'.")
            .with_param("model")
            .with_code("missing_required_parameter")
    })?;
    match model.as_str() {
        Some(name) if !name.is_empty() => Ok(name.text().into_owned()),
        _ => Err(
            Error::bad_request("Invalid type for 'model': expected a non-empty string.")
                .with_param("model")
                .with_code("invalid_type"),
        ),
    }
}

/// No target answers to `model`.
pub fn unknown_model(model: &str) -> Error {
    let model: String = model.chars().take(128).collect();
    let message =
        format!("The model {model:?} does not exist here; GET /v1/models lists those that do.");
    Error::new(Source::Downstream, Kind::ModelNotFound, message).with_param("model")
}

/// There is no response of that name to continue. Codex answers to this code with its whole
/// history, on a new connection, without a word.
pub fn no_previous(previous: Value<'_>) -> Error {
    let id: String = match previous.as_str() {
        Some(id) => id.text().chars().take(128).collect(),
        None => String::new(),
    };
    Error::bad_request(format!("Previous response with id '{id}' not found."))
        .with_param("previous_response_id")
        .with_code("previous_response_not_found")
}

/// The request with all that it continues is over [`limits::BODY_BYTES_MAX`].
pub fn too_long() -> Error {
    let mib = limits::BODY_BYTES_MAX >> 20;
    let what = format!("The request with all that it continues is over {mib} MiB.");
    Error::new(Source::Downstream, Kind::BodyTooLarge, what)
}
