//! One exchange: what it was, how long each part of it took, what was said as a person reads it,
//! and both wire forms side by side.

use super::{rows, talk, timeline, units, wire};
use crate::admin::known::Known;
use crate::admin::query::Query;
use crate::admin::reply;
use crate::ledger::audit::{Detail, Question, Reply, Row, Tried};
use crate::route::operator;
use maud::{Markup, html};

pub(super) enum Found {
    Page(Markup),
    Raw(operator::Reply),
    Missing,
}

/// What is under `/admin/audit/`: a number, and perhaps one of its four texts.
pub(super) fn show(known: &mut dyn Known, path: &str, query: &Query) -> Found {
    let (number, text) = match path.split_once('/') {
        Some((number, text)) => (number, Some(text)),
        None => (path, None),
    };
    let Ok(number) = number.parse() else {
        return Found::Missing;
    };
    let detail = match known.audit(Question::Detail(number)) {
        None => return Found::Page(rows::no_audit()),
        Some(Err(why)) => return Found::Page(rows::trouble(&why)),
        Some(Ok(Reply::Detail(Some(detail)))) => detail,
        Some(Ok(_)) => return Found::Missing,
    };
    match text {
        None => Found::Page(page(&detail, query)),
        Some(name) => match detail.bodies.as_ref().and_then(|b| wire::side(b, name)) {
            Some(said) => Found::Raw(reply::of(
                200,
                "text/plain; charset=utf-8",
                wire::whole(said),
            )),
            None => Found::Missing,
        },
    }
}

const VIEWS: [(&str, &str); 2] = [("", "Conversation"), ("wire", "Wire")];

fn page(detail: &Detail, query: &Query) -> Markup {
    let row = &detail.row;
    let path = format!("/admin/audit/{}", row.number);
    let view = query.get("view");
    html! {
        div.title {
            h1 { (row.model) " " (rows::ending(row)) }
            p.soft { (units::time(row.started_ms)) }
            a.end href="/admin/audit" rel="up" { "Back to the audit" }
        }
        @if !row.detail.is_empty() { div.note.bad[row.status >= 400] { p {
            @if !row.code.is_empty() { span.mono { (row.code) } ": " } (row.detail)
        } } }
        div.card { (facts(row)) }
        section.card aria-labelledby="timeline" { h2 #timeline { "Timeline" } (timeline::show(row)) @if row.tries.len() > 1 || row.tries.iter().any(|t| !t.error.is_empty() || !t.passed.is_empty()) { (tries(&row.tries)) } }
        @match &detail.bodies {
            None => div.card.empty { p { "What was said is not kept. Switch it on with " code { "bodies = true" } " under " code { "[audit]" } " in strait.toml; secrets are taken out before anything is written." } },
            Some(bodies) => {
                nav.tabs aria-label="What was said" { @for (name, title) in VIEWS {
                    a href=(Query::link(&path, &[("view", name)])) aria-current=[(name == view).then_some("page")] { (title) }
                } }
                @if view == "wire" { (wire::show(&path, bodies)) } @else { (talk::show(&path, bodies)) }
            }
        }
    }
}

fn facts(row: &Row) -> Markup {
    let link = |name: &str, value: &str| Query::link("/admin/audit", &[(name, value)]);
    let usage = row.usage.unwrap_or_default();
    html! {
        dl.facts {
            (fact("Target", &html! { span.mono { (row.provider) "/" (row.target) } }, !row.provider.is_empty()))
            (fact("Answered by", &html! { span.mono { (row.served) } }, !row.served.is_empty()))
            (fact("Asked by", &html! { (row.agent) }, !row.agent.is_empty()))
            (fact("From", &html! { a.mono href=(link("q", &row.client)) { (row.client) } }, !row.client.is_empty()))
            (fact("Key", &html! { a href=(link("key", &row.key)) { (row.key) } }, !row.key.is_empty()))
            (fact("Session", &html! { a.mono href=(link("session", &row.session)) { (row.session) } }, !row.session.is_empty()))
            (fact("Thread", &html! { a.mono href=(link("thread", &row.thread)) { (row.thread) } }, !row.thread.is_empty() && row.thread != row.session))
            (fact("Turn", &html! { span.mono { (row.turn) } }, !row.turn.is_empty()))
            (fact("Tokens in", &html! { (units::count(usage.input)) " " span.soft { (units::count(usage.cached)) " cached" @if usage.cache_write > 0 { ", " (units::count(usage.cache_write)) " written" } } }, row.usage.is_some()))
            (fact("Tokens out", &html! { (units::count(usage.output)) " " span.soft { (units::count(usage.reasoning)) " reasoning" } }, row.usage.is_some()))
            (fact("Cost", &html! { @match row.cost_nanos { Some(nanos) => (units::money(nanos)), None => "no price known" } }, row.usage.is_some()))
            (fact("Stopped because", &html! { (row.stop) }, !row.stop.is_empty()))
            (fact("Bytes", &html! { (units::bytes(row.request_bytes)) " in, " (units::bytes(row.upstream_bytes)) " from the provider, " (units::bytes(row.answer_bytes)) " out" }, true))
            (fact("Request", &html! { span.mono { (row.method) " " (row.path) } }, true))
            (fact("Request id", &html! { span.mono { (row.id) } }, !row.id.is_empty()))
            (fact("Kept as response", &html! { (row.stored.as_deref().unwrap_or_default()) }, row.stored.is_some()))
            (fact("Background", &html! { (row.background.as_deref().unwrap_or_default()) }, row.background.is_some()))
            (fact("Changed on the way", &html! { @for note in row.diagnostics.split(", ") { span.tag.warn { (note) } " " } }, !row.diagnostics.is_empty()))
        }
    }
}

fn fact(name: &str, value: &Markup, known: bool) -> Markup {
    html! { @if known { div { dt { (name) } dd { (value) } } } }
}

fn tries(tries: &[Tried]) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { "Try" } th scope="col" { "Target" } th scope="col" { "Status" } th scope="col" { "Why not" } th.n scope="col" { "Took" } th scope="col" { "Passed over" } } }
            tbody { @for (i, tried) in tries.iter().enumerate() { tr {
                th scope="row" { (i + 1) }
                td.mono { (tried.provider) "/" (tried.model) @if tried.api_key > 1 { " " span.tag { "key " (tried.api_key) } } }
                td { @if tried.status > 0 { (tried.status) } @else { "–" } }
                td { @if tried.error.is_empty() { span.tag.good { "the answer" } } @else { span.tag.bad { (tried.error) } } }
                td.n { (units::millis(tried.took_ms)) }
                td { @for passed in &tried.passed { span.tag.warn { (passed) } " " } }
            } } }
        }
    }
}
