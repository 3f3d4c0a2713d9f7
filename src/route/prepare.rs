//! The request for one target, and the machine for its answer.

use super::answer::Framing;
use super::compact;
use super::endpoint::Endpoint;
use super::identity;
use super::mode::Mode;
use super::quota::Shown;
use super::upstream;
use crate::auth::chatgpt::Credential;
use crate::config::{Snapshot, Target};
use crate::error::Error;
use crate::http::head::RequestHead;
use crate::json::Value;
use crate::ledger::span::{SpanId, Trace};
use crate::provider::profile::Wire;
use crate::responses::tool::ToolTable;
use crate::translate::diagnostic::Diagnostic;
use crate::translate::fold::Fold;
use crate::translate::passthrough::Tap;
use crate::translate::seed::{self, mix};
use crate::translate::snapshot::Place;
use crate::translate::stream::{Plan, Rules, Sink, Translator};
use crate::translate::{request, reverse, rewrite, snapshot};
use std::sync::Arc;

/// What an attempt is made from.
pub struct Order<'a> {
    /// The configuration in force.
    pub snapshot: &'a Arc<Snapshot>,
    /// What the client asked for.
    pub endpoint: Endpoint,
    /// Who is asked.
    pub target: Target,
    /// Which of the provider's keys is shown; `None`: it has none.
    pub key: Option<usize>,
    /// The client's body, scanned.
    pub request: Value<'a>,
    /// The client's body.
    pub body: &'a [u8],
    /// The client's head.
    pub head: &'a RequestHead,
    /// The login, where the provider takes one.
    pub credential: Option<&'a Credential>,
    /// How the client is answered.
    pub framing: Framing,
    /// Whether the response is to be kept, and what it continues.
    pub place: Place<'a>,
    /// The trace, and the try's own span in it, where Strait traces.
    pub trace: Option<(&'a Trace, SpanId)>,
    /// What the client is shown of its key's budget.
    pub quota: Option<&'a Arc<Shown>>,
    /// Randomness that no other attempt has.
    pub seed: [u8; 32],
    /// The wall clock, in Unix seconds.
    pub unix_s: u64,
}

/// A request that is ready to be sent.
pub(super) struct Prepared {
    /// Head and body.
    pub request: Vec<u8>,
    pub mode: Mode,
    /// The provider was asked for a stream.
    pub streaming: bool,
    pub diagnostics: Vec<Diagnostic>,
}

/// Translates the request for the target.
pub(super) fn prepare(order: &Order<'_>) -> Result<Prepared, Error> {
    let profile = order.target.provider.profile.for_model(&order.target.model);
    if let Some(prepared) = compact::prepare(order, profile)? {
        return Ok(prepared);
    }
    match (order.endpoint, profile.wire) {
        (Endpoint::Responses, Wire::Chat) => translated(order),
        (Endpoint::Responses, Wire::Responses) => Ok(responses_passed(order)),
        (Endpoint::Chat, Wire::Chat) => Ok(chat_passed(order)),
        (Endpoint::Chat, Wire::Responses) => reversed(order),
        // No other endpoint needs a provider.
        _ => Err(Error::bad_request("This endpoint needs no model.")),
    }
}

fn translated(order: &Order<'_>) -> Result<Prepared, Error> {
    let profile = order.target.provider.profile.for_model(&order.target.model);
    let cx = request::Context {
        profile,
        model: &order.target.model,
        seal_key: &order.snapshot.seal_key,
    };
    let mut translated = request::translate(order.request, cx)?;
    let wanted = order.request.get("store").and_then(|s| s.as_bool());
    if wanted == Some(true) && !order.place.kept {
        translated.diagnostics.push(Diagnostic {
            code: "field.degraded",
            path: "store".into(),
            message: "There is no store: the response is not kept.".into(),
        });
    }
    let codex = identity::is_codex(order.head);
    let echo = echo(
        order.request,
        order.head,
        &translated.diagnostics,
        order.place,
    );
    let sink = match translated.stream {
        true if order.framing.is_websocket() => Sink::WebSocket,
        true => Sink::Sse,
        false => Sink::Json,
    };
    let seal = translated
        .encrypted_reasoning
        .then(|| (order.snapshot.seal_key.clone(), profile.name.clone()));
    let plan = Plan {
        sink,
        response_id: response_id(&order.seed),
        created_at: order.unix_s,
        echo,
        tools: translated.tools,
        reasoning_summary: translated.reasoning_summary,
        seal,
        seed: order.seed,
        rules: Rules::of(profile),
        web_search: translated.web_search,
        refusal_as_text: codex,
        hold_end: order.place.kept,
    };
    Ok(Prepared {
        request: upstream::request(
            order,
            "/chat/completions",
            translated.stream,
            &translated.body,
        ),
        mode: Mode::Translate(Box::new(Translator::new(plan)), sink),
        streaming: translated.stream,
        diagnostics: translated.diagnostics,
    })
}

fn responses_passed(order: &Order<'_>) -> Prepared {
    let target = &order.target;
    let profile = target.provider.profile.for_model(&target.model);
    let mut diagnostics = Vec::new();
    let body = rewrite::rewrite(
        order.request,
        order.body,
        &target.model,
        profile,
        &order.snapshot.seal_key,
        identity::is_codex(order.head),
        &mut diagnostics,
    );
    let wanted = wants_stream(order.request);
    let streaming = wanted || profile.stream_only;
    Prepared {
        request: upstream::request(order, "/responses", streaming, &body),
        mode: match streaming && !wanted {
            true => Mode::Fold(Box::new(Fold::new())),
            false => {
                let tap = Tap::responses();
                let tap = if order.place.kept {
                    tap.holding_end()
                } else {
                    tap
                };
                Mode::Pass(Box::new(tap))
            }
        },
        streaming,
        diagnostics,
    }
}

fn chat_passed(order: &Order<'_>) -> Prepared {
    let target = &order.target;
    let body = rewrite::rename(order.request, order.body, &target.model);
    let streaming = wants_stream(order.request);
    Prepared {
        request: upstream::request(order, "/chat/completions", streaming, &body),
        mode: Mode::Pass(Box::new(Tap::chat())),
        streaming,
        diagnostics: Vec::new(),
    }
}

/// A chat client and a provider that speaks Responses.
fn reversed(order: &Order<'_>) -> Result<Prepared, Error> {
    let target = &order.target;
    let profile = target.provider.profile.for_model(&target.model);
    let cx = reverse::request::Context {
        profile,
        model: &target.model,
        seal_key: &order.snapshot.seal_key,
    };
    let translated = reverse::request::translate(order.request, cx)?;
    let requested = order.request.str("model").map(|m| m.text());
    let sink = match translated.stream {
        true => Sink::Sse,
        false => Sink::Json,
    };
    let plan = reverse::stream::Plan {
        sink,
        id: id_of("chatcmpl-", &order.seed),
        created: order.unix_s,
        model: requested.unwrap_or_default().into_owned(),
        include_usage: translated.include_usage,
        custom_tools: translated.custom_tools,
        legacy_functions: translated.legacy_functions,
        stop: translated.stop,
        seed: order.seed,
        seal: Some((order.snapshot.seal_key.clone(), profile.name.clone())),
    };
    let translator = Box::new(reverse::stream::Translator::new(plan));
    let streaming = translated.stream || profile.stream_only;
    Ok(Prepared {
        request: upstream::request(order, "/responses", streaming, &translated.body),
        mode: Mode::Reverse(translator, sink),
        streaming,
        diagnostics: translated.diagnostics,
    })
}

fn wants_stream(request: Value<'_>) -> bool {
    request.get("stream").and_then(|s| s.as_bool()) == Some(true)
}

/// What a response says of its request.
pub(super) fn echo(
    request: Value<'_>,
    head: &RequestHead,
    diagnostics: &[Diagnostic],
    place: Place<'_>,
) -> Vec<u8> {
    let requested = request.str("model").map(|m| m.text()).unwrap_or_default();
    let codex = identity::is_codex(head);
    snapshot::echo(request, &requested, diagnostics, codex, place)
}

/// The machine for a request over a WebSocket that wants no output.
pub(super) fn warm_up(
    request: Value<'_>,
    head: &RequestHead,
    place: Place<'_>,
    seed: [u8; 32],
    unix_s: u64,
) -> Translator {
    Translator::new(Plan {
        sink: Sink::WebSocket,
        response_id: response_id(&seed),
        created_at: unix_s,
        echo: echo(request, head, &[], place),
        tools: ToolTable::default(),
        reasoning_summary: false,
        seal: None,
        seed,
        rules: Rules::default(),
        web_search: false,
        refusal_as_text: false,
        hold_end: false,
    })
}

/// The id of the response that a seed belongs to.
pub(super) fn response_id(seed: &[u8; 32]) -> String {
    id_of("resp_", seed)
}

/// A name with 48 hexadecimal digits behind `prefix` that nobody can guess, not even by the
/// request's name: that tells half of what they follow from.
fn id_of(prefix: &str, seed: &[u8; 32]) -> String {
    let [a, b, c, d] = seed::words(seed);
    seed::name(prefix, [mix(a ^ d), mix(b ^ mix(a)), mix(c ^ mix(b))])
}
