//! Whom Strait asks, and how they are: connections, models, and keys that are left alone for now.

use super::units;
use crate::config::{Provider, Snapshot};
use crate::ledger::breaker::State;
use crate::ledger::health::{Condition, KeyOut};
use maud::{Markup, html};
use std::time::Instant;

pub(super) fn show(snapshot: &Snapshot, now: Instant) -> Markup {
    html! {
        div.title { h1 { "Providers" } p.soft { "How they fare since Strait has started. A breaker that is open passes its target over, until a probe goes through." } }
        @if snapshot.providers.is_empty() {
            div.card.empty { p { "None. Export a provider's key, such as " code { "DEEPSEEK_API_KEY" } ", or add one under " code { "[providers]" } " in strait.toml; " code { "strait profiles" } " lists those that are known." } }
        } @else {
            div.stack data-refresh="5" { @for provider in snapshot.providers.values() { (one(provider, now)) } }
        }
    }
}

fn one(provider: &Provider, now: Instant) -> Markup {
    let conditions = provider.health.conditions();
    let keys_out = provider.health.keys_out(now);
    html! {
        section.card aria-labelledby={ "provider-" (provider.name) } {
            div.title {
                h2 id={ "provider-" (provider.name) } { (provider.name) }
                span.mono { (address(provider)) }
                span.soft { "profile " (provider.profile.name) ", " (credential(provider)) }
                span.end { (overall(&conditions, &keys_out)) }
            }
            @if conditions.is_empty() { p.soft { "Not asked yet." } } @else { (table(&conditions, now)) }
            @for out in &keys_out { p.note {
                "Key " (place_of(provider, out.key)) " rests for " (units::millis(out.until.saturating_duration_since(now).as_millis() as u64))
                @if let Some(model) = &out.model { " with " span.mono { (model) } } ": " (out.why)
            } }
        }
    }
}

fn overall(conditions: &[Condition], keys_out: &[KeyOut]) -> Markup {
    let open = conditions
        .iter()
        .filter(|c| c.state != State::Closed)
        .count();
    html! {
        @if conditions.is_empty() { span.tag { "not asked yet" } }
        @else if open > 0 { span.tag.bad { (open) " of " (conditions.len()) " out" } }
        @else if !keys_out.is_empty() { span.tag.warn { "keys rest" } }
        @else { span.tag.good { "well" } }
    }
}

fn table(conditions: &[Condition], now: Instant) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { "What" } th scope="col" { "Breaker" } th.n.mid scope="col" { "Since" } th.n scope="col" { "Failures in a row" } th scope="col" { "Last failure" } } }
            tbody { @for condition in conditions { tr {
                th scope="row" { @match &condition.model { Some(model) => span.mono { (model) }, None => "connections" } }
                td { (breaker(condition.state)) }
                td.n.mid { @match condition.since { Some(at) => (units::millis(now.saturating_duration_since(at).as_millis() as u64)), None => "–" } }
                td.n { (condition.in_a_row) }
                td { @if condition.last_error.is_empty() { "–" } @else { (condition.last_error) } }
            } } }
        }
    }
}

fn breaker(state: State) -> Markup {
    html! {
        @match state {
            State::Closed => span.tag.good { "closed" },
            State::HalfOpen => span.tag.warn { "half open" },
            State::Open => span.tag.bad { "open" },
        }
    }
}

fn address(provider: &Provider) -> String {
    let origin = &provider.origin;
    let scheme = if origin.tls { "https" } else { "http" };
    let usual = if origin.tls { 443 } else { 80 };
    let host = match origin.host.contains(':') {
        true => format!("[{}]", origin.host),
        false => origin.host.to_string(),
    };
    let port = match origin.port == usual {
        true => String::new(),
        false => format!(":{}", origin.port),
    };
    format!("{scheme}://{host}{port}{}", provider.path_prefix)
}

/// That there is one, and nothing of it.
fn credential(provider: &Provider) -> String {
    match (&provider.login, provider.keys.len()) {
        (Some(_), _) => "ChatGPT login".to_owned(),
        (None, 0) => "no key".to_owned(),
        (None, 1) => "one key".to_owned(),
        (None, count) => format!("{count} keys"),
    }
}

/// Which of a provider's keys it is: its place, from 1.
fn place_of(provider: &Provider, id: u64) -> String {
    let place = provider.keys.iter().position(|key| key.id == id);
    place.map_or_else(|| "of before".to_owned(), |place| (place + 1).to_string())
}
