//! The pages: each has its place in the navigation, and a module that makes it.

mod audit;
mod exchange;
mod keys;
mod layout;
mod models;
mod now;
mod providers;
#[cfg(test)]
mod providers_tests;
mod rows;
mod talk;
mod timeline;
mod units;
mod usage;
mod wire;

use super::known::Known;
use super::query::Query;
use super::{Viewer, reply};
use crate::route::operator::{Ask, Reply};
use exchange::Found;
pub(super) use layout::sign_in;
use layout::{Place, page};
use maud::{Markup, html};
use std::time::Instant;

/// Answers a signed-in operator.
pub(super) fn answer(
    path: &str,
    query: &Query,
    ask: &Ask,
    viewer: &Viewer,
    known: &mut dyn Known,
    now: Instant,
) -> Reply {
    let good = |place: Place, title: &str, content: Markup| {
        reply::html(200, page(viewer, place, title, content))
    };
    match path {
        "/admin" => good(Place::Now, "Now", now::show(known, ask.unix_s, now)),
        // Where other gateways have it.
        "/admin/dashboard/audit" => reply::redirect("/admin/audit"),
        "/admin/dashboard" => reply::redirect("/admin"),
        "/admin/audit" => {
            let (status, content) = audit::show(known, query);
            reply::html(status, page(viewer, Place::Audit, "Audit", content))
        }
        "/admin/usage" => good(Place::Usage, "Usage", usage::show(known, query, ask.unix_s)),
        "/admin/keys" => good(
            Place::Keys,
            "Keys",
            keys::show(&ask.snapshot, known, ask.unix_s, now),
        ),
        "/admin/models" => good(Place::Models, "Models", models::show(&ask.snapshot)),
        "/admin/providers" => good(
            Place::Providers,
            "Providers",
            providers::show(&ask.snapshot, now),
        ),
        _ => match path.strip_prefix("/admin/audit/") {
            Some(rest) => match exchange::show(known, rest, query) {
                Found::Page(content) => good(Place::Audit, "Exchange", content),
                Found::Raw(raw) => raw,
                Found::Missing => missing(viewer),
            },
            None => missing(viewer),
        },
    }
}

fn missing(viewer: &Viewer) -> Reply {
    let content = html! {
        div.title { h1 { "There is no such page" } }
        div.card.empty { p { "Perhaps it is one of those above. A row of the audit goes when it is too old." } }
    };
    let content = page(viewer, Place::Nowhere, "Not found", content);
    reply::html(404, content)
}
