//! What clients may ask for, where it goes, what it can take and what it costs.

use crate::config::Snapshot;
use crate::provider::profile::{Model, Price};
use maud::{Markup, html};

pub(super) fn show(snapshot: &Snapshot) -> Markup {
    html! {
        div.title { h1 { "Models" } p.soft { "What clients may ask for. " code { "provider/model" } " can always be asked for directly." } }
        section aria-labelledby="aliases" {
            h2 #aliases { "Aliases" }
            @if snapshot.models.is_empty() {
                div.card.empty { p { "None. Add some under " code { "[models]" } " in strait.toml: " code { "\"gpt-5.5\" = \"deepseek/deepseek-v4-pro\"" } "." } }
            } @else {
                div.scroll { table {
                    thead { tr { th scope="col" { "Asked for" } th scope="col" { "Goes to" } th.n scope="col" { "Window" } th.n.mid scope="col" { "Input" } th.n.mid scope="col" { "Cached" } th.n.mid scope="col" { "Output" } } }
                    tbody { @for (alias, chain) in &snapshot.models {
                        @for (i, target) in chain.iter().enumerate() {
                            tr {
                                @if i == 0 { th.mono scope="row" rowspan=(chain.len()) { @if alias == "*" { "* " span.soft { "any other name" } } @else { (alias) } } }
                                td.mono { @match target.weight { Some(weight) => { span.tag.mark title="its share of the conversations" { (weight) } " " } None => { @if i > 0 { span.tag { "then" } " " } } } (target.provider.name) "/" (target.model) }
                                (facts(target.provider.profile.model(&target.model)))
                            }
                        }
                    } }
                } }
                p.soft.small { "Prices in US dollars per million tokens, from the provider's profile." }
            }
        }
        @for provider in snapshot.providers.values() {
            @let known: Vec<&String> = provider.profile.named_models().collect();
            @if !known.is_empty() {
                section aria-labelledby={ "models-" (provider.name) } {
                    h2 id={ "models-" (provider.name) } { (provider.name) }
                    div.scroll { table {
                        thead { tr { th scope="col" { "Model" } th scope="col" { "Reasoning" } th.n scope="col" { "Window" } th.n.mid scope="col" { "Input" } th.n.mid scope="col" { "Cached" } th.n.mid scope="col" { "Output" } } }
                        tbody { @for name in known {
                            @let model = provider.profile.model(name);
                            tr {
                                th.mono scope="row" { (name) }
                                td { (model.map_or(String::new(), |m| m.efforts_offered.join(", "))) }
                                (facts(model))
                            }
                        } }
                    } }
                }
            }
        }
    }
}

fn facts(model: Option<&Model>) -> Markup {
    let price = model.and_then(|m| m.price);
    let cell = |pick: fn(Price) -> Option<f64>| match price.and_then(pick) {
        Some(dollars) => format!("{dollars:.3}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
        None => "–".to_owned(),
    };
    html! {
        td.n { @match model.and_then(|m| m.context_window) { Some(tokens) => (super::units::count(tokens)), None => "–" } }
        td.n.mid { (cell(|p| Some(p.input))) }
        td.n.mid { (cell(|p| p.cached)) }
        td.n.mid { (cell(|p| Some(p.output))) }
    }
}
