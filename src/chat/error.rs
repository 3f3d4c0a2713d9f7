//! What the error bodies of providers mean: every shape that they use, and one class each.

use crate::error::{Error, Kind, Source};
use crate::json::{Tape, Value};
use crate::limits;

/// Seconds that a client is told to wait where the provider says "too fast" but not how long.
/// Codex gives up at once on a 429 without `Retry-After`.
const RETRY_AFTER_UNKNOWN_S: u32 = 5;

/// What an error body says, whatever its shape.
#[derive(Debug, Default)]
struct Said {
    message: String,
    code: String,
    kind: String,
    status: Option<u16>,
    /// Seconds after which to try again, where the body says so.
    retry_s: Option<u32>,
}

/// Classifies an error answer. `status` is the HTTP status, or 200 for an error inside a stream.
/// No HTML, no key and at most [`limits::ERROR_MESSAGE_BYTES_MAX`] of the provider's words reach
/// the client.
pub fn classify(status: u16, body: &[u8], retry_after_s: Option<u32>) -> Error {
    let mut tape = Tape::new();
    let said = tape.parse(body).map(read).unwrap_or_default();
    let status = match (status, said.status) {
        (200, Some(inner)) => inner,
        (status, _) => status,
    };
    let kind = kind_of(status, &said);
    let retry_after_s = retry_after_s.or(said.retry_s);
    let mut message = clean(&said.message);
    if message.is_empty() {
        message = format!("The provider answered with HTTP status {status}.");
    }
    let wait = match kind {
        Kind::RateLimited => Some(retry_after_s.unwrap_or(RETRY_AFTER_UNKNOWN_S)),
        Kind::Overloaded | Kind::UpstreamBroken => retry_after_s,
        _ => None,
    };
    if let (Kind::RateLimited, Some(wait)) = (kind, wait) {
        // Codex reads the time from the message when the error comes inside a stream.
        if !message.to_ascii_lowercase().contains("try again in") {
            let end = if message.ends_with(['.', '!', '?']) {
                ""
            } else {
                "."
            };
            message.push_str(&format!("{end} Please try again in {wait}s."));
        }
    }
    if kind == Kind::ProviderAuth {
        message = format!("The provider refused the gateway's credentials: {message}");
    }
    let mut error = Error::new(Source::Upstream, kind, message);
    error.retry_after_s = wait;
    if kind == Kind::BadRequest && !said.code.is_empty() && legal_code(&said.code) {
        error.code = Some(said.code);
    }
    error
}

fn read(body: Value<'_>) -> Said {
    // Gemini wraps the object in a list.
    let body = body.items().next().unwrap_or(body);
    let text = |v: Value<'_>, key: &str| v.str(key).map(|s| s.text().into_owned());
    let mut said = Said::default();
    let error = body.present("error");
    let inner = error.filter(|e| e.as_str().is_none()).unwrap_or(body);
    if let Some(base) = body.present("base_resp") {
        said.message = text(base, "status_msg").unwrap_or_default();
        let number = base.get("status_code").map(raw).unwrap_or_default();
        said.code = format!("base_resp.{number}");
        return said;
    }
    said.message = error
        .and_then(|e| e.as_str())
        .map(|s| s.text().into_owned())
        .or_else(|| text(inner, "message"))
        .or_else(|| text(body, "detail"))
        .or_else(|| body.present("detail").map(raw))
        .unwrap_or_default();
    if let Some(original) = inner.present("metadata").and_then(|m| text(m, "raw")) {
        said.message = format!("{}: {original}", said.message);
    }
    said.code = inner.present("code").map(raw).unwrap_or_default();
    said.kind = text(inner, "type").unwrap_or_default();
    said.status = said.code.parse().ok().filter(|s| (400..600).contains(s));
    let details = inner.present("details");
    let delays = details.iter().flat_map(|d| d.items());
    said.retry_s = delays
        .filter_map(|d| text(d, "retryDelay"))
        .find_map(|delay| delay.strip_suffix('s')?.parse::<f64>().ok())
        .filter(|s| (0.0..f64::from(u32::MAX)).contains(s))
        .map(|s| s.ceil() as u32);
    said
}

fn raw(value: Value<'_>) -> String {
    match value.as_str() {
        Some(text) => text.text().into_owned(),
        None => String::from_utf8_lossy(value.raw()).into_owned(),
    }
}

fn kind_of(status: u16, said: &Said) -> Kind {
    let text = said.message.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|p| text.contains(p));
    let code = |codes: &[&str]| codes.iter().any(|c| said.code == *c || said.kind == *c);
    let overflow = [
        "maximum context length",
        "context window",
        "context length",
        "prompt is too long",
        "too many input tokens",
        "exceeds the context",
        // Kimi, DashScope, Gemini and xAI, in this order.
        "exceeded model token limit",
        "range of input length should be",
        "input token count",
        "maximum prompt length",
    ];
    if code(&[
        "context_length_exceeded",
        "exceed_context_size_error",
        "1261",
        "base_resp.1039",
    ]) || (matches!(status, 200 | 400 | 403 | 413 | 422)) && says(&overflow)
    {
        return Kind::ContextOverflow;
    }
    let quota = [
        "insufficient balance",
        "insufficient_quota",
        "exceeded your current quota",
        "quota exceeded",
    ];
    // Gemini's word for a limit by the minute is the same, but it says how long to wait.
    let passing = status == 429 && said.retry_s.is_some();
    if status == 402
        || code(&[
            "insufficient_quota",
            "usage_limit_reached",
            "usage_not_included",
            "1113",
            "base_resp.1008",
        ])
        || says(&quota) && !passing
    {
        return Kind::Quota;
    }
    if code(&[
        "content_filter",
        "1301",
        "base_resp.1026",
        "base_resp.1027",
        "data_inspection_failed",
    ]) {
        return Kind::ContentFilter;
    }
    if code(&["model_not_found"]) || status == 404 {
        return Kind::ModelNotFound;
    }
    let auth = [
        "invalid_api_key",
        "authentication_error",
        "base_resp.1004",
        "base_resp.2049",
    ];
    if status == 429
        || code(&[
            "rate_limit_exceeded",
            "rate_limit_error",
            "1302",
            "1303",
            "1305",
            "base_resp.1002",
        ])
    {
        return Kind::RateLimited;
    }
    // Gemini and xAI answer 400 to a wrong key.
    let wrong_key = status == 400 && says(&["api key not valid", "incorrect api key"]);
    if matches!(status, 401 | 403) || status == 200 && code(&auth) || wrong_key {
        return Kind::ProviderAuth;
    }
    if matches!(status, 503 | 529) || says(&["overloaded", "no available"]) {
        return Kind::Overloaded;
    }
    match status {
        // 408 and 409 are over soon: of time, and of another request in the way.
        400 | 405 | 406 | 410..=428 | 430..=499 => Kind::BadRequest,
        200 if code(&["invalid_request_error", "BadRequestError", "base_resp.2013"]) => {
            Kind::BadRequest
        }
        _ => Kind::UpstreamBroken,
    }
}

fn legal_code(code: &str) -> bool {
    code.len() <= 64
        && code
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// The provider's words, cut where HTML begins and to a bearable length, with anything like a key
/// masked.
fn clean(message: &str) -> String {
    let lower = message.to_ascii_lowercase();
    let html = ["<html", "<!doctype"].iter().filter_map(|t| lower.find(t));
    let words = &message[..html.min().unwrap_or(message.len())];
    // A key is masked before the cut, which might leave its beginning.
    let between = |c: char| c.is_whitespace() || "\"'`=:,;/()[]{}<>".contains(c);
    let mut masked = String::with_capacity(words.len());
    for piece in words.split_inclusive(between) {
        let word = piece.trim_end_matches(between);
        if word.len() > 12 && (word.starts_with("sk-") || word.starts_with("tp-")) {
            masked.push_str("***");
            masked.push_str(&piece[word.len()..]);
        } else {
            masked.push_str(piece);
        }
    }
    let mut end = masked.len().min(limits::ERROR_MESSAGE_BYTES_MAX);
    while !masked.is_char_boundary(end) {
        end -= 1;
    }
    masked.truncate(masked[..end].trim_end().len());
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> Kind {
        classify(status, body.as_bytes(), None).kind
    }

    #[test]
    fn every_shape_is_read() {
        let overflow = "This model's maximum context length is 4096 tokens";
        let cases = [
            (
                400,
                format!(r#"{{"error":{{"message":"{overflow}"}}}}"#),
                Kind::ContextOverflow,
            ),
            (
                400,
                format!(r#"{{"object":"error","message":"{overflow}"}}"#),
                Kind::ContextOverflow,
            ),
            (
                200,
                r#"{"error":{"code":"context_length_exceeded","message":"x"}}"#.into(),
                Kind::ContextOverflow,
            ),
            (400, r#"{"error":"plain text"}"#.into(), Kind::BadRequest),
            (
                422,
                r#"{"detail":[{"msg":"bad"}]}"#.into(),
                Kind::BadRequest,
            ),
            (
                401,
                r#"{"error":{"message":"no"}}"#.into(),
                Kind::ProviderAuth,
            ),
            (
                402,
                r#"{"error":{"message":"Insufficient Balance"}}"#.into(),
                Kind::Quota,
            ),
            (
                429,
                r#"{"error":{"message":"slow"}}"#.into(),
                Kind::RateLimited,
            ),
            (
                429,
                r#"{"error":{"code":"insufficient_quota","message":"q"}}"#.into(),
                Kind::Quota,
            ),
            (
                200,
                r#"{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#.into(),
                Kind::Quota,
            ),
            (
                200,
                r#"{"error":{"code":429,"message":"x","metadata":{"raw":"too fast"}}}"#.into(),
                Kind::RateLimited,
            ),
            (
                400,
                r#"{"error":{"message":"Your request exceeded model token limit: 9"}}"#.into(),
                Kind::ContextOverflow,
            ),
            (
                400,
                r#"{"code":"InvalidParameter","message":"Range of input length should be [1, 9]"}"#.into(),
                Kind::ContextOverflow,
            ),
            (
                400,
                r#"[{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8)."}}]"#.into(),
                Kind::ContextOverflow,
            ),
            (
                400,
                r#"{"code":"x","error":"This model's maximum prompt length is 8 but the request contains 9 tokens."}"#.into(),
                Kind::ContextOverflow,
            ),
            (
                400,
                r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key."}}]"#.into(),
                Kind::ProviderAuth,
            ),
            (
                400,
                r#"{"code":"x","error":"Incorrect API key provided: xa***op."}"#.into(),
                Kind::ProviderAuth,
            ),
            (500, "<html>oops</html>".into(), Kind::UpstreamBroken),
            (529, "".into(), Kind::Overloaded),
            (
                404,
                r#"[{"error":{"message":"no such model"}}]"#.into(),
                Kind::ModelNotFound,
            ),
        ];
        for (status, body, expected) in cases {
            assert_eq!(kind(status, &body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_wait_in_the_body_makes_a_quota_a_rate_limit() {
        let body = |details: &str| {
            format!(
                r#"[{{"error":{{"code":429,"message":"You exceeded your current quota.","details":[{details}]}}}}]"#
            )
        };
        let error = classify(429, body(r#"{"retryDelay":"33.2s"}"#).as_bytes(), None);
        assert_eq!(
            (error.kind, error.retry_after_s),
            (Kind::RateLimited, Some(34))
        );
        assert_eq!(kind(429, &body(r#"{"violations":[]}"#)), Kind::Quota);
    }

    #[test]
    fn what_reaches_the_client_is_clean() {
        let error = classify(500, b"<html><b>secret page</b></html>", None);
        assert!(!error.message.contains("html"));
        let error = classify(
            401,
            br#"{"error":{"message":"bad key sk-0123456789abcdef here"}}"#,
            None,
        );
        assert!(!error.message.contains("0123456789"), "{}", error.message);
        let error = classify(429, b"{}", Some(7));
        assert_eq!(error.retry_after_s, Some(7));
        assert!(error.message.contains("try again in 7s"));
        for body in [
            r#"{"detail":"  <!DOCTYPE html><HTML>secret page"}"#,
            r#"{"error":{"message":"proxy said: <html>secret page</html>"}}"#,
        ] {
            let error = classify(502, body.as_bytes(), None);
            assert!(!error.message.contains("secret"), "{}", error.message);
            assert!(!error.message.is_empty());
        }
        for around in [
            "{\\\"api_key\\\":\\\"K\\\"}",
            "key=K",
            "key:\\nK,",
            "K",
            "<K>",
        ] {
            let key = around.replace('K', "sk-0123456789abcdef");
            let error = classify(401, format!(r#"{{"error":"{key}"}}"#).as_bytes(), None);
            assert!(error.message.contains("***"), "{}", error.message);
            assert!(!error.message.contains("0123"), "{}", error.message);
        }
        let long = format!(r#"{{"error":"{}"}}"#, "é".repeat(5000));
        assert!(
            classify(400, long.as_bytes(), None).message.len() <= limits::ERROR_MESSAGE_BYTES_MAX
        );
    }
}
