//! Rows of the audit as a table, and what stands there instead when there are none.

use super::units;
use crate::ledger::audit::{Class, Row};
use maud::{Markup, html};

pub(super) fn table(rows: &[Row]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { "Began" } th scope="col" { "End" } th scope="col" { "Asked for" } th.mid scope="col" { "Target" }
                th.mid scope="col" { "Key" } th.n.wide scope="col" { "First event" } th.n scope="col" { "Took" }
                th.n scope="col" { "Input" } th.n.wide scope="col" { "Cached" } th.n scope="col" { "Output" } th.n scope="col" { "Cost" }
            } }
            tbody { @for row in rows { (line(row)) } }
        } }
    }
}

fn line(row: &Row) -> Markup {
    let tokens = |pick: fn(&crate::ledger::usage::Usage) -> u64| {
        row.usage
            .as_ref()
            .map_or_else(|| "–".to_owned(), |u| units::short(pick(u)))
    };
    html! {
        tr data-row {
            th.nowrap scope="row" { a href={ "/admin/audit/" (row.number) } { (units::time(row.started_ms)) } }
            td { (ending(row)) }
            td.mono { (row.model) }
            td.mono.mid {
                @if row.provider.is_empty() { "–" } @else { (row.provider) "/" (row.target) }
                @if row.tries.len() > 1 { " " span.tag.warn { (row.tries.len()) " tries" } }
            }
            td.mid { (row.key) }
            td.n.wide { @match row.first_event_ms { Some(ms) => (units::millis(ms)), None => "–" } }
            td.n { (units::millis(row.took_ms)) }
            td.n { (tokens(|u| u.input)) }
            td.n.wide { (tokens(|u| u.cached)) }
            td.n { (tokens(|u| u.output)) }
            td.n { @match row.cost_nanos { Some(nanos) => (units::money(nanos)), None => "–" } }
        }
    }
}

/// How an exchange ended, in a word and a colour.
pub(super) fn ending(row: &Row) -> Markup {
    let class = match row.class {
        Class::Done => "tag good",
        Class::Failed => "tag bad",
        Class::Left => "tag warn",
    };
    html! {
        span class=(class) { (row.outcome) }
        @if row.status >= 400 { " " span.tag.bad { (row.status) } }
    }
}

pub(super) fn nothing_yet() -> Markup {
    html! { div.card.empty { p { "No exchanges yet. Each one leaves a row here when it is over." } } }
}

pub(super) fn no_audit() -> Markup {
    html! { div.card.empty {
        p { "No audit is kept, so there is nothing to show of what was. Switch it on with " code { "[audit]" } " in strait.toml." }
    } }
}

pub(super) fn trouble(why: &str) -> Markup {
    html! { div.note.bad role="alert" { p { "The audit could not be asked: " (why) "." } } }
}
