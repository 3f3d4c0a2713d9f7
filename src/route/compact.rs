//! Compactions and token counts: asked of a provider that has them, else made of what every
//! provider has.

use super::endpoint::Endpoint;
use super::identity;
use super::mode::Mode;
use super::prepare::{Order, Prepared, response_id};
use super::upstream;
use crate::error::Error;
use crate::json::{Tape, Value};
use crate::provider::Profile;
use crate::provider::profile::Wire;
use crate::responses::tool::ToolTable;
use crate::translate::diagnostic::Diagnostic;
use crate::translate::fold::Fold;
use crate::translate::passthrough::Tap;
use crate::translate::stream::{Compactor, Form, Plan, Reader, Rules, Sink, Translator};
use crate::translate::{compaction, request, rewrite, snapshot};

/// The path of the endpoint below `/responses`, as profiles name it; `None` for all but the
/// endpoints that not every provider has.
pub(super) fn name_of(endpoint: Endpoint) -> Option<&'static str> {
    match endpoint {
        Endpoint::Compact => Some("compact"),
        Endpoint::InputTokens => Some("input_tokens"),
        _ => None,
    }
}

/// Makes the request, if it is one for a compaction or a count.
pub(super) fn prepare(order: &Order<'_>, profile: &Profile) -> Result<Option<Prepared>, Error> {
    if let Some(name) = name_of(order.endpoint)
        && profile.has_endpoint(name)
    {
        return Ok(Some(passed(order, profile, &format!("/responses/{name}"))));
    }
    let by_itself = profile.wire == Wire::Responses && profile.compaction_trigger;
    match order.endpoint {
        Endpoint::Compact => summarised(order, profile).map(Some),
        Endpoint::Responses if !by_itself && compaction::is_asked_for(order.request) => {
            summarised(order, profile).map(Some)
        }
        _ => Ok(None),
    }
}

fn passed(order: &Order<'_>, profile: &Profile, path: &str) -> Prepared {
    let mut diagnostics = Vec::new();
    let body = rewritten(order, order.request, order.body, profile, &mut diagnostics);
    Prepared {
        request: upstream::request(order, path, false, &body),
        mode: Mode::Pass(Box::new(Tap::responses())),
        streaming: false,
        diagnostics,
    }
}

fn rewritten(
    order: &Order<'_>,
    request: Value<'_>,
    body: &[u8],
    profile: &Profile,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<u8> {
    rewrite::rewrite(
        request,
        body,
        &order.target.model,
        profile,
        &order.snapshot.seal_key,
        identity::is_codex(order.head),
        diagnostics,
    )
}

/// Asks for a summary in the place of an answer.
fn summarised(order: &Order<'_>, profile: &Profile) -> Result<Prepared, Error> {
    let asked = compaction::ask(order.request)?;
    let mut tape = Tape::new();
    let request = tape
        .parse(&asked)
        .map_err(|e| Error::bad_request(e.to_string()))?;
    let (path, body, reader, diagnostics) = match profile.wire {
        Wire::Chat => {
            let cx = request::Context {
                profile,
                model: &order.target.model,
                seal_key: &order.snapshot.seal_key,
            };
            let translated = request::translate(request, cx)?;
            let plan = plan(order, Sink::Json, b"\"model\":null".to_vec(), profile);
            let reader = Reader::Chat(Box::new(Translator::new(plan)));
            let diagnostics = translated.diagnostics;
            ("/chat/completions", translated.body, reader, diagnostics)
        }
        Wire::Responses => {
            let mut diagnostics = Vec::new();
            let body = rewritten(order, request, &asked, profile, &mut diagnostics);
            let reader = Reader::Responses(Box::new(Fold::new()));
            ("/responses", body, reader, diagnostics)
        }
    };
    let streams = order.request.get("stream").and_then(|s| s.as_bool()) == Some(true);
    let (form, sink) = match order.endpoint {
        Endpoint::Compact => {
            let kept = compaction::kept(order.request, &order.seed);
            (Form::Compaction(kept), Sink::Json)
        }
        _ if order.framing.is_websocket() => (Form::Response, Sink::WebSocket),
        _ if streams => (Form::Response, Sink::Sse),
        _ => (Form::Response, Sink::Json),
    };
    let requested = order.request.str("model").map(|m| m.text());
    let codex = identity::is_codex(order.head);
    let echo = snapshot::echo(
        order.request,
        &requested.unwrap_or_default(),
        &diagnostics,
        codex,
        order.place,
    );
    let plan = plan(order, sink, echo, profile);
    let key = order.snapshot.seal_key.clone();
    Ok(Prepared {
        request: upstream::request(order, path, true, &body),
        mode: Mode::Compact(Box::new(Compactor::new(reader, plan, form, key)), sink),
        streaming: true,
        diagnostics,
    })
}

fn plan(order: &Order<'_>, sink: Sink, echo: Vec<u8>, profile: &Profile) -> Plan {
    Plan {
        sink,
        response_id: response_id(&order.seed),
        created_at: order.unix_s,
        echo,
        tools: ToolTable::default(),
        reasoning_summary: false,
        seal: None,
        seed: order.seed,
        rules: Rules::of(profile),
        web_search: false,
        refusal_as_text: false,
        hold_end: order.place.kept,
    }
}
