//! Whom Strait asks, and how they are.

use crate::config::{Provider, Snapshot};
use maud::{Markup, html};

pub(super) fn show(snapshot: &Snapshot) -> Markup {
    html! {
        div.title { h1 { "Providers" } }
        @if snapshot.providers.is_empty() {
            div.card.empty { p { "None. Export a provider's key, such as " code { "DEEPSEEK_API_KEY" } ", or add one under " code { "[providers]" } " in strait.toml; " code { "strait profiles" } " lists those that are known." } }
        } @else {
            div.scroll { table {
                thead { tr { th scope="col" { "Provider" } th scope="col" { "Address" } th.mid scope="col" { "Profile" } th scope="col" { "Credential" } } }
                tbody { @for provider in snapshot.providers.values() { tr {
                    th scope="row" { (provider.name) }
                    td.mono { (address(provider)) }
                    td.mid { (provider.profile.name) }
                    td { (credential(provider)) }
                } } }
            } }
        }
    }
}

fn address(provider: &Provider) -> String {
    let origin = &provider.origin;
    let scheme = if origin.tls { "https" } else { "http" };
    let usual = if origin.tls { 443 } else { 80 };
    let host = match origin.host.contains(':') {
        true => format!("[{}]", origin.host),
        false => origin.host.clone(),
    };
    let port = match origin.port == usual {
        true => String::new(),
        false => format!(":{}", origin.port),
    };
    format!("{scheme}://{host}{port}{}", provider.path_prefix)
}

/// That there is one, and nothing of it.
fn credential(provider: &Provider) -> Markup {
    html! {
        @if provider.login.is_some() { "ChatGPT login" }
        @else if let n @ 1.. = provider.keys.len() {
            @if n > 1 { (n) " keys " } @else { "key " }
            span.mono aria-label="hidden" { "••••" }
        }
        @else { "none needed" }
    }
}
