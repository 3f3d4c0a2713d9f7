//! What the provider's errors mean: events, and the `error` of a response.

use crate::chat;
use crate::error::{Error, Kind, Source};
use crate::json::{Str, Value, write};

/// Codes of `response.error` that blame the request.
const REQUEST: [&str; 20] = [
    "bio_policy",
    "data_residency_mismatch",
    "empty_image_file",
    "failed_to_download_image",
    "image_content_policy_violation",
    "image_file_not_found",
    "image_file_too_large",
    "image_parse_error",
    "image_too_large",
    "image_too_small",
    "invalid_base64_image",
    "invalid_encrypted_content",
    "invalid_image",
    "invalid_image_format",
    "invalid_image_mode",
    "invalid_image_url",
    "invalid_prompt",
    "invalid_request",
    "misalignment_policy_violation",
    "unsupported_image_media_type",
];
/// Codes that say: later.
const BUSY: [&str; 2] = ["server_is_overloaded", "slow_down"];

/// The provider broke off.
pub(in crate::translate) fn broken(message: &str) -> Error {
    Error::new(Source::Upstream, Kind::UpstreamBroken, message)
}

/// The stream ended, but the answer did not.
pub(in crate::translate) fn truncated() -> Error {
    broken("The provider's stream ended before its last event.").with_code("stream_truncated")
}

/// The error of an `error` event, in the nested form or the flat one.
pub(in crate::translate) fn of_event(event: Value<'_>) -> Error {
    match event.present("error") {
        Some(error) => of(error, event.get("status").and_then(|s| s.as_u64())),
        None => of(event, None),
    }
}

/// The error of a response that failed.
pub(in crate::translate) fn of_response(response: Value<'_>) -> Error {
    match response.present("error") {
        Some(error) => of(error, None),
        None => broken("The provider failed and gave no reason."),
    }
}

fn of(error: Value<'_>, status: Option<u64>) -> Error {
    let code = error.str("code").unwrap_or(Str::EMPTY);
    let is = |codes: &[&str]| codes.iter().any(|c| code == *c);
    let status = match status {
        Some(status) if (400..600).contains(&status) => status as u16,
        _ if is(&REQUEST) => 400,
        _ if is(&BUSY) => 503,
        _ => 200,
    };
    let said = error.as_str().or_else(|| error.str("message"));
    if said.is_none_or(|m| m.is_empty()) && code.is_empty() {
        return broken("The provider failed and gave no reason.");
    }
    let mut body = b"{\"error\":".to_vec();
    body.extend_from_slice(error.raw());
    if said.is_none_or(|m| m.is_empty()) {
        // The code is all there is to say.
        body.truncate(b"{\"error\":".len());
        body.extend_from_slice(b"{\"code\":");
        write::quoted(&mut body, code.raw());
        body.extend_from_slice(b",\"message\":");
        write::quoted(&mut body, code.raw());
        body.push(b'}');
    }
    body.push(b'}');
    let mut classified = chat::error::classify(status, &body, None);
    if classified.kind == Kind::BadRequest {
        classified.param = error.str("param").map(|p| p.text().into_owned());
    }
    classified
}
