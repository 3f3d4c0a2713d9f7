//! The frame around every page.

use crate::admin::{Viewer, assets, reply};
use crate::route::operator::Reply;
use maud::{DOCTYPE, Markup, html};

/// A page's place in the navigation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Audit,
    Keys,
    Models,
    Nowhere,
    Now,
    Providers,
    Usage,
}

/// Where one can go: the place, its path, its name, and the key behind `g`.
const PLACES: [(Place, &str, &str, &str); 6] = [
    (Place::Now, "/admin", "Now", "n"),
    (Place::Audit, "/admin/audit", "Audit", "a"),
    (Place::Usage, "/admin/usage", "Usage", "u"),
    (Place::Providers, "/admin/providers", "Providers", "p"),
    (Place::Models, "/admin/models", "Models", "m"),
    (Place::Keys, "/admin/keys", "Keys", "k"),
];

/// A page for somebody signed in.
pub(super) fn page(viewer: &Viewer, place: Place, title: &str, content: Markup) -> Markup {
    document(
        title,
        html! {
            a.skip href="#main" { "Skip to the content" }
            header.top { div {
                (brand())
                nav aria-label="Pages" {
                    @for (own, path, name, key) in PLACES {
                        a href=(path) data-go=(key) aria-keyshortcuts={ "g " (key) }
                            aria-current=[(own == place).then_some("page")] { (name) }
                    }
                }
                div.who {
                    button.link #show-keys type="button" hidden title="Keyboard shortcuts" { kbd { "?" } span.hidden { " Keyboard shortcuts" } }
                    @if viewer.by_session {
                        span.wide { (viewer.key) }
                        form method="post" action="/admin/sign-out" { button.link { "Sign out" } }
                    }
                }
            } }
            main #main { (content) }
            (shortcuts())
            footer { "Strait " (env!("CARGO_PKG_VERSION")) }
        },
    )
}

/// Where one signs in, and why it did not work.
pub(in crate::admin) fn sign_in(status: u16, next: &str, why: Option<&str>) -> Reply {
    reply::html(
        status,
        document(
            "Sign in",
            html! {
                main #main { div.sign-in {
                    (brand())
                    @if let Some(why) = why { div.note.bad role="alert" { p { (why) } } }
                    form.card method="post" action="/admin/sign-in" {
                        h1 { "Sign in" }
                        input type="hidden" name="next" value=(next);
                        // For password managers, which want a name with a secret.
                        input type="text" name="user" value="admin" autocomplete="username" hidden;
                        label { "Admin key"
                            input type="password" name="key" required autofocus autocomplete="current-password" spellcheck="false";
                        }
                        div.row { button.main { "Sign in" } }
                    }
                    p.soft.small { "A client key with " code { "admin = true" } " in strait.toml, or the value of " code { "STRAIT_MASTER_KEY" } "." }
                } }
            },
        ),
    )
}

fn document(title: &str, body: Markup) -> Markup {
    let (style, script) = assets::paths();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) " · Strait" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href=(style);
                script src=(script) defer {}
            }
            body { (body) }
        }
    }
}

fn brand() -> Markup {
    html! {
        a.brand href="/admin" {
            svg width="22" height="22" viewBox="0 0 22 22" fill="none" aria-hidden="true" {
                path d="M2 4c5 0 5 4 9 4s4-4 9-4M2 18c5 0 5-4 9-4s4 4 9 4M2 11h18" stroke-width="1.8" stroke-linecap="round" {}
            }
            "Strait"
        }
    }
}

fn shortcuts() -> Markup {
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keyboard" }
            dl {
                @for (_, _, name, key) in PLACES { dt { kbd { "g" } " " kbd { (key) } } dd { (name) } }
                dt { kbd { "j" } " " kbd { "k" } } dd { "Next and previous row; " kbd { "Enter" } " opens it" }
                dt { kbd { "u" } } dd { "Back to the list" }
                dt { kbd { "/" } } dd { "Search the audit" }
                dt { kbd { "?" } } dd { "This" }
            }
            form method="dialog" { button { "Close" } }
        }
    }
}
