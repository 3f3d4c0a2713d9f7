//! What can go wrong with a request, and what the client sees of it.
//!
//! One table maps a [`Kind`] to HTTP status, API type and API code. The statuses are chosen by
//! what the Codex CLI does with them: 400 is final and shown to the user, 429 needs an integer
//! `Retry-After`, 401/403/404/422 are retried in vain, 5xx are retried up to thirty times. So
//! what is permanent is a 400 wherever the API's meaning allows it.

use crate::json::write;
use std::fmt;

/// Who is at fault: the peer that an operator has to look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// The client sent something unusable.
    Downstream,
    /// Strait itself: its configuration, its limits, its shutdown.
    Gateway,
    /// The provider refused or broke.
    Upstream,
}

/// The class of an error. The variants are the rows of the one table in `Kind::row`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The request is not what the API allows.
    BadRequest,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The provider refused the content.
    ContentFilter,
    /// The prompt is longer than the model's context window.
    ContextOverflow,
    /// The provider could not be reached.
    ConnectFailed,
    /// Strait is shutting down.
    Draining,
    /// A parameter is understood, but cannot be served here.
    Unsupported,
    /// The host is none that an operator gave Strait.
    ForeignHost,
    /// A page from elsewhere wants a WebSocket, or a page of the operator's.
    ForeignOrigin,
    /// The request head is larger than the limit.
    HeadTooLarge,
    /// The client's own key is missing or wrong.
    InvalidKey,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The client's key may not ask for this model.
    ModelNotAllowed,
    /// No model of that name.
    ModelNotFound,
    /// The client's key is no operator's.
    NotAdmin,
    /// No such path.
    NotFound,
    /// The provider is overloaded; trying again helps.
    Overloaded,
    /// Strait's key for the provider was refused.
    ProviderAuth,
    /// The account at the provider is out of money or quota.
    Quota,
    /// The provider says: too fast.
    RateLimited,
    /// The client took too long to send its request.
    RequestTimeout,
    /// No response of that id that the client may see.
    ResponseNotFound,
    /// The store of responses could not be asked.
    StoreFailed,
    /// There is no store of responses.
    StoreOff,
    /// The body's media type is not JSON.
    UnsupportedMediaType,
    /// The provider broke: reset, garbage, 5xx, an early end.
    UpstreamBroken,
    /// The provider was silent for too long.
    UpstreamTimeout,
    /// HTTP 426: the WebSocket transport is not served.
    UpgradeRequired,
}

impl Kind {
    /// (HTTP status, API error type, API error code, metric label)
    fn row(self) -> (u16, &'static str, &'static str, &'static str) {
        const INVALID: &str = "invalid_request_error";
        const SERVER: &str = "server_error";
        match self {
            Kind::BadRequest => (400, INVALID, "invalid_request", "bad_request"),
            Kind::BodyTooLarge => (413, INVALID, "request_too_large", "body_too_large"),
            Kind::ContentFilter => (400, INVALID, "content_filter", "content_filter"),
            Kind::ContextOverflow => (400, INVALID, "context_length_exceeded", "context_overflow"),
            Kind::ConnectFailed => (502, SERVER, SERVER, "connect_failed"),
            Kind::Draining => (503, SERVER, SERVER, "draining"),
            Kind::Unsupported => (400, INVALID, "unsupported_parameter", "unsupported"),
            Kind::ForeignHost => (421, INVALID, "foreign_host", "foreign_host"),
            Kind::ForeignOrigin => (403, INVALID, "foreign_origin", "foreign_origin"),
            Kind::HeadTooLarge => (431, INVALID, "headers_too_large", "head_too_large"),
            Kind::InvalidKey => (
                401,
                "authentication_error",
                "invalid_api_key",
                "invalid_key",
            ),
            Kind::MethodNotAllowed => (405, INVALID, "method_not_allowed", "method_not_allowed"),
            Kind::ModelNotAllowed => (403, INVALID, "model_not_allowed", "model_not_allowed"),
            Kind::ModelNotFound => (404, INVALID, "model_not_found", "model_not_found"),
            Kind::NotAdmin => (403, INVALID, "admin_key_required", "not_admin"),
            Kind::NotFound => (404, INVALID, "unknown_url", "not_found"),
            Kind::Overloaded => (503, SERVER, SERVER, "overloaded"),
            // Waiting does not mend a key. Codex would ask thirty times on a 5xx and six times on
            // a 401, which also would blame the client's key; a 400 is shown at once.
            Kind::ProviderAuth => (400, SERVER, "provider_auth", "provider_auth"),
            Kind::Quota => (429, "insufficient_quota", "insufficient_quota", "quota"),
            Kind::RateLimited => (
                429,
                "rate_limit_error",
                "rate_limit_exceeded",
                "rate_limited",
            ),
            Kind::RequestTimeout => (408, INVALID, "request_timeout", "request_timeout"),
            Kind::ResponseNotFound => (404, INVALID, "", "response_not_found"),
            Kind::StoreFailed => (503, SERVER, SERVER, "store_failed"),
            Kind::StoreOff => (501, INVALID, "store_off", "store_off"),
            Kind::UnsupportedMediaType => (
                415,
                INVALID,
                "unsupported_media_type",
                "unsupported_media_type",
            ),
            Kind::UpstreamBroken => (502, SERVER, SERVER, "upstream_broken"),
            Kind::UpstreamTimeout => (504, SERVER, SERVER, "upstream_timeout"),
            Kind::UpgradeRequired => (426, INVALID, "websocket_not_served", "upgrade_required"),
        }
    }
}

/// An error with all that an operator and a client need of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    /// Who is at fault.
    pub source: Source,
    /// The class.
    pub kind: Kind,
    /// One or two sentences for the person who reads it. Never holds a secret.
    pub message: String,
    /// The request field at fault, as a path.
    pub param: Option<String>,
    /// A code more exact than the kind's own, such as the provider's.
    pub code: Option<String>,
    /// Whole seconds until trying again makes sense.
    pub retry_after_s: Option<u32>,
}

impl Error {
    /// An error of `kind`, with no parameter and the kind's own code.
    pub fn new(source: Source, kind: Kind, message: impl Into<String>) -> Self {
        Error {
            source,
            kind,
            message: message.into(),
            param: None,
            code: None,
            retry_after_s: None,
        }
    }

    /// The client's request cannot be used.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Source::Downstream, Kind::BadRequest, message)
    }

    /// Names the request field at fault.
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Gives a more exact code.
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The HTTP status for the client.
    pub fn status(&self) -> u16 {
        self.kind.row().0
    }

    /// The API's `error.type`.
    pub fn api_type(&self) -> &'static str {
        self.kind.row().1
    }

    /// The API's `error.code`, also used in `response.failed`; empty: `null`.
    pub fn api_code(&self) -> &str {
        self.code.as_deref().unwrap_or(self.kind.row().2)
    }

    /// A label from a closed set, for metrics and logs.
    pub fn label(&self) -> &'static str {
        self.kind.row().3
    }

    /// Appends `{"message":…,"type":…,"param":…,"code":…}`.
    pub fn write_object(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"message\":");
        write::string(out, &self.message);
        out.extend_from_slice(b",\"type\":");
        write::string(out, self.api_type());
        out.extend_from_slice(b",\"param\":");
        match &self.param {
            Some(param) => write::string(out, param),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"code\":");
        match self.api_code() {
            "" => out.extend_from_slice(b"null"),
            code => write::string(out, code),
        }
        out.push(b'}');
    }

    /// The body of an error answer: `{"error":{…}}`.
    pub fn body(&self) -> Vec<u8> {
        let mut out = b"{\"error\":".to_vec();
        self.write_object(&mut out);
        out.push(b'}');
        out
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.label(), self.status(), self.message)
    }
}

impl std::error::Error for Error {}
