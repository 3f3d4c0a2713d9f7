//! The audit: what was, filtered and searched, a page at a time.

use super::rows;
use crate::admin::filter;
use crate::admin::known::Known;
use crate::admin::query::Query;
use crate::error::Error;
use crate::ledger::audit::{Class, Question, Reply};
use maud::{Markup, html};

const PATH: &str = "/admin/audit";
const PAGE: usize = 50;
/// Filters that other pages lead to; shown as what can be taken away.
const NARROW: [(&str, &str); 3] = [
    ("session", "Session"),
    ("thread", "Thread"),
    ("id", "Request"),
];

pub(super) fn show(known: &mut dyn Known, query: &Query) -> (u16, Markup) {
    let asked = filter::filter(query).and_then(|f| Ok((f, filter::cursor(query)?)));
    let (status, result) = match asked {
        Ok((filter, cursor)) => (
            200,
            found(
                known.audit(Question::Page(Box::new(filter), cursor, PAGE)),
                query,
            ),
        ),
        Err(error) => (400, mistake(&error)),
    };
    let markup = html! {
        div.title { h1 { "Audit" } p.soft { "Every exchange with a model, newest first." } }
        (form(query))
        @for (name, title) in NARROW { @let value = query.get(name); @if !value.is_empty() {
            div.row { span { (title) " " span.mono { (value) } } a href=(query.link_with(PATH, name, "")) { "Show all" span.hidden { " but this " (title) } } }
        } }
        (result)
    };
    (status, markup)
}

fn mistake(error: &Error) -> Markup {
    html! { div.note.bad role="alert" { p { (error.message) } } }
}

fn found(reply: Option<Result<Reply, String>>, query: &Query) -> Markup {
    let page = match reply {
        None => return rows::no_audit(),
        Some(Err(why)) => return rows::trouble(&why),
        Some(Ok(Reply::Page(page))) => page,
        Some(Ok(_)) => return rows::nothing_yet(),
    };
    let later = !query.get("before").is_empty();
    if page.rows.is_empty() && (later || query.is_set()) {
        return html! { div.card.empty { p { "Nothing fits. " a href=(PATH) { "Show everything" } "." } } };
    }
    if page.rows.is_empty() {
        return rows::nothing_yet();
    }
    html! {
        (rows::table(&page.rows))
        div.pager {
            span { @if later { a href=(query.link_with(PATH, "before", "")) rel="first" { "Newest" } } }
            span { @if let Some(next) = &page.next { a href=(query.link_with(PATH, "before", &filter::write_cursor(next))) rel="next" { "Older" } } }
        }
    }
}

fn form(query: &Query) -> Markup {
    let narrow = NARROW
        .iter()
        .filter(|(name, _)| !query.get(name).is_empty());
    html! {
        form.filters.card method="get" action=(PATH) role="search" {
            label.full { "Search" input type="search" name="q" value=(query.get("q")) placeholder="Words of rows, prompts and answers" aria-keyshortcuts="/"; }
            label { "Key" input name="key" value=(query.get("key")) autocomplete="off"; }
            label { "Model" input name="model" value=(query.get("model")) autocomplete="off"; }
            label { "Provider" input name="provider" value=(query.get("provider")) autocomplete="off"; }
            label { "End" select name="class" {
                option value="" { "any" }
                @for class in Class::ALL { option value=(class.name()) selected[query.get("class") == class.name()] { (class.name()) } }
            } }
            label { "Status" input name="status" value=(query.get("status")) placeholder="429, 4xx" autocomplete="off"; }
            label { "From (UTC)" input type="date" name="from" value=(query.get("from")); }
            label { "Until" input type="date" name="until" value=(query.get("until")); }
            @for (name, _) in narrow { input type="hidden" name=(name) value=(query.get(name)); }
            div.row { button.main { "Show" } @if query.is_set() { a href=(PATH) { "Clear" } } }
        }
    }
}
