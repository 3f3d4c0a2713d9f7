//! Which of Strait's endpoints a request head asks for, and whether it may.

use super::operator;
use super::stored::Question;
use crate::error::{Error, Kind, Source};
use crate::http::head::{BodyKind, RequestHead, media_type};
use crate::http::websocket;
use crate::limits;

/// What a request asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    Chat,
    /// `POST /v1/responses/compact`
    Compact,
    /// `GET /health`, `/healthz`: the process is alive.
    Health,
    /// `POST /v1/responses/input_tokens`
    InputTokens,
    /// `GET /v1/models`
    Models,
    /// `/admin` and all below, and `/metrics`: what operators ask.
    Operator,
    /// `GET /readyz`: the process takes requests.
    Ready,
    /// `POST /v1/responses`, or the same over a WebSocket.
    Responses,
    /// What is asked of a response that is kept.
    Stored(Question),
    /// The same over a WebSocket with `generate: false`: only an id for the next one to name.
    WarmUp,
    /// `GET /v1/responses` that asks for a WebSocket.
    WebSocket,
}

impl Endpoint {
    /// Whether the endpoint answers without a client key.
    pub fn is_open(self) -> bool {
        matches!(self, Endpoint::Health | Endpoint::Ready)
    }

    /// A word for it, for the counters.
    pub fn name(self) -> &'static str {
        match self {
            Endpoint::Chat => "chat",
            Endpoint::Compact => "compact",
            Endpoint::Health => "health",
            Endpoint::InputTokens => "input_tokens",
            Endpoint::Models => "models",
            Endpoint::Operator => "operator",
            Endpoint::Ready => "ready",
            Endpoint::Responses => "responses",
            Endpoint::Stored(_) => "stored",
            Endpoint::WarmUp => "warm_up",
            Endpoint::WebSocket => "websocket",
        }
    }

    /// Whether the answer is a model's business.
    pub fn needs_model(self) -> bool {
        matches!(
            self,
            Endpoint::Chat
                | Endpoint::Compact
                | Endpoint::InputTokens
                | Endpoint::Responses
                | Endpoint::WarmUp
        )
    }

    /// Largest body of a request, in bytes.
    pub fn body_bytes_max(self) -> usize {
        match self {
            Endpoint::Operator => limits::OPERATOR_BODY_BYTES_MAX,
            _ => limits::BODY_BYTES_MAX,
        }
    }

    /// Judges the head: path, then method, then media type and announced size. Nothing of the
    /// body is needed for any of these refusals.
    pub fn of(head: &RequestHead) -> Result<Endpoint, Error> {
        if let Some(methods) = operator::methods(&head.path) {
            return match methods.split(", ").any(|method| method == head.method) {
                true => operator::judge_body(head).map(|()| Endpoint::Operator),
                false => Err(not_allowed(head, methods)),
            };
        }
        let Some((endpoint, method)) = at(&head.path) else {
            return match Question::of(&head.path, &head.method) {
                Some((Some(question), _)) => Ok(Endpoint::Stored(question)),
                Some((None, methods)) => Err(not_allowed(head, methods)),
                None => {
                    let message = format!("Unknown request URL: {} {}.", head.method, head.path);
                    Err(Error::new(Source::Downstream, Kind::NotFound, message))
                }
            };
        };
        if endpoint == Endpoint::Responses && websocket::is_asked_for(head) {
            return Ok(Endpoint::WebSocket);
        }
        if head.method != method && !(method == "GET" && head.method == "HEAD") {
            return Err(not_allowed(head, method));
        }
        if method == "POST" {
            judge_body(head)?;
        }
        Ok(endpoint)
    }
}

/// The endpoint at a path, and its method.
fn at(path: &str) -> Option<(Endpoint, &'static str)> {
    Some(match path.trim_end_matches('/') {
        "/v1/responses" | "/responses" => (Endpoint::Responses, "POST"),
        "/v1/responses/compact" | "/responses/compact" => (Endpoint::Compact, "POST"),
        "/v1/responses/input_tokens" | "/responses/input_tokens" => (Endpoint::InputTokens, "POST"),
        "/v1/chat/completions" | "/chat/completions" => (Endpoint::Chat, "POST"),
        "/v1/models" | "/models" => (Endpoint::Models, "GET"),
        "/health" | "/healthz" => (Endpoint::Health, "GET"),
        "/readyz" => (Endpoint::Ready, "GET"),
        _ => return None,
    })
}

/// The methods that a path takes, as the field `allow` lists them (RFC 9110, section 10.2.1).
pub fn methods(path: &str) -> &'static str {
    if let Some(methods) = operator::methods(path) {
        return methods;
    }
    match (at(path), Question::of(path, "")) {
        // A WebSocket's handshake is a GET.
        (Some((Endpoint::Responses, _)), _) => "GET, POST",
        (Some((_, "GET")), _) => "GET, HEAD",
        (Some((_, method)), _) => method,
        (None, Some((_, methods))) => methods,
        (None, None) => "",
    }
}

fn not_allowed(head: &RequestHead, methods: &str) -> Error {
    let message = format!("{} takes {methods}, not {}.", head.path, head.method);
    Error::new(Source::Downstream, Kind::MethodNotAllowed, message)
}

fn judge_body(head: &RequestHead) -> Result<(), Error> {
    let media = head
        .headers
        .get("content-type")
        .unwrap_or("application/json");
    let media = media_type(media);
    if !media.eq_ignore_ascii_case("application/json") {
        let message = format!("The content type must be application/json, not {media:?}.");
        return Err(Error::new(
            Source::Downstream,
            Kind::UnsupportedMediaType,
            message,
        ));
    }
    match head.body {
        BodyKind::Length(n) if n > limits::BODY_BYTES_MAX as u64 => {
            Err(too_large(limits::BODY_BYTES_MAX))
        }
        BodyKind::None | BodyKind::Length(0) => Err(Error::bad_request(
            "The request has no body; a JSON object was expected.",
        )),
        _ => Ok(()),
    }
}

/// The body is over `max` bytes.
pub fn too_large(max: usize) -> Error {
    let message = match max >> 20 {
        0 => format!("The request body is larger than {} KiB.", max >> 10),
        mib => format!("The request body is larger than {mib} MiB."),
    };
    Error::new(Source::Downstream, Kind::BodyTooLarge, message)
}
