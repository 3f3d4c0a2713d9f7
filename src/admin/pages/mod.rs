//! The pages: each has its place in the navigation, and a module that makes it.

mod layout;
mod models;
mod providers;
mod units;

use super::query::Query;
use super::{Viewer, reply};
use crate::error::{Error, Kind, Source};
use crate::route::operator::{Ask, Reply};
pub(super) use layout::sign_in;
use layout::{Place, page};
use maud::html;

/// Answers a signed-in operator.
pub(super) fn answer(path: &str, _query: &Query, ask: &Ask, viewer: &Viewer) -> Reply {
    let content = match path {
        "/admin" => return reply::redirect("/admin/models"),
        "/admin/models" => page(viewer, Place::Models, "Models", models::show(&ask.snapshot)),
        "/admin/providers" => page(
            viewer,
            Place::Providers,
            "Providers",
            providers::show(&ask.snapshot),
        ),
        path if super::is_api(path) => {
            let message = format!("Unknown request URL: GET {path}.");
            return reply::error(&Error::new(Source::Downstream, Kind::NotFound, message));
        }
        _ => return reply::html(404, missing(viewer)),
    };
    reply::html(200, content)
}

fn missing(viewer: &Viewer) -> maud::Markup {
    let content = html! {
        div.title { h1 { "There is no such page" } }
        div.card.empty { p { "Perhaps it is one of those above." } }
    };
    page(viewer, Place::Nowhere, "Not found", content)
}
