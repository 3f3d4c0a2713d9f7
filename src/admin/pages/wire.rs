//! Both wire forms, side by side: what the client sent and what the provider got, what the
//! provider answered and what the client got.

use super::units;
use crate::ledger::audit::{Bodies, Said};
use maud::{Markup, html};

/// Bytes of a text that stand in the page; the whole of it has a path of its own.
const SHOWN_MAX: usize = 100_000;

/// The four texts: name in the path, title.
const SIDES: [(&str, &str); 4] = [
    ("request", "From the client"),
    ("sent", "To the provider"),
    ("received", "From the provider"),
    ("answer", "To the client"),
];

/// One of the four texts by its name.
pub(super) fn side<'a>(bodies: &'a Bodies, name: &str) -> Option<&'a Said> {
    Some(match name {
        "request" => &bodies.request,
        "sent" => &bodies.sent,
        "received" => &bodies.received,
        "answer" => &bodies.answer,
        _ => return None,
    })
}

/// All that is kept of a text, as it was sent.
pub(super) fn whole(said: &Said) -> Vec<u8> {
    let mut out = said.head.as_bytes().to_vec();
    if !out.is_empty() {
        out.extend_from_slice(b"\n\n");
    }
    out.extend_from_slice(&said.body);
    if said.cut > 0 {
        out.extend_from_slice(format!("\n… {} more bytes were not kept", said.cut).as_bytes());
    }
    out
}

/// The begin of a body as text, JSON laid out; whether there is more.
pub(super) fn excerpt(said: &Said, max: usize) -> (String, bool) {
    let laid_out = (said.body.len() <= max)
        .then(|| serde_json::from_slice::<serde_json::Value>(&said.body).ok())
        .flatten()
        .and_then(|value| serde_json::to_string_pretty(&value).ok());
    let part = &said.body[..said.body.len().min(max)];
    let text = laid_out.unwrap_or_else(|| String::from_utf8_lossy(part).into_owned());
    (text, said.body.len() > max)
}

pub(super) fn show(path: &str, bodies: &Bodies) -> Markup {
    html! {
        div.pair {
            @for (name, title) in SIDES {
                @if let Some(said) = side(bodies, name) { (one(path, name, title, said)) }
            }
        }
    }
}

fn one(path: &str, name: &str, title: &str, said: &Said) -> Markup {
    let (text, more) = excerpt(said, SHOWN_MAX);
    let size = said.body.len() as u64 + said.cut;
    html! {
        section.card aria-labelledby=(name) {
            div.title {
                h2 id=(name) { (title) }
                span.soft.small { (units::bytes(size)) @if said.cut > 0 { ", " (units::bytes(said.body.len() as u64)) " kept" } }
                a.end.small href={ (path) "/" (name) } { "Raw" span.hidden { " text, " (title) } }
            }
            @if !said.head.is_empty() { details { summary { (said.head.lines().next().unwrap_or_default()) } pre tabindex="0" { (said.head) } } }
            @if text.is_empty() { p.soft { "No body." } } @else { pre tabindex="0" { (text) } }
            @if more { p { a href={ (path) "/" (name) } { "All of it" } } }
        }
    }
}
