//! What is happening now: the streams under way, today's sums, and what was over last.

use super::{rows, units};
use crate::admin::known::Known;
use crate::ledger::audit::{Group, Question, Reply, Step, Totals};
use crate::ledger::live::{Phase, View};
use maud::{Markup, html};
use std::time::{Duration, Instant};

const DAY_MS: u64 = 86_400_000;
/// How many finished exchanges are shown.
const LAST: usize = 8;

pub(super) fn show(known: &mut dyn Known, unix_s: u64, now: Instant) -> Markup {
    let live = known.live(now);
    let today = today(known, unix_s);
    let last = known.audit(Question::Page(Box::default(), None, LAST));
    let streams = live.iter().filter(|v| v.phase == Phase::Streaming).count();
    // An empty sum of floats is -0.
    let rate = live
        .iter()
        .filter_map(rate_now)
        .fold(0.0, |sum, rate| sum + rate);
    html! {
        div.title { h1 { "Now" } p.soft { "What is under way, refreshed every two seconds." } }
        div data-refresh="2" {
            div.stack {
                dl.stats {
                    (stat("Under way", &live.len().to_string(), &format!("{streams} streaming")))
                    (stat("Tokens per second", &format!("{rate:.0}"), ""))
                    @if let Some(t) = &today {
                        (stat("Requests today", &units::short(t.requests), "UTC"))
                        (stat("Failed today", &units::short(t.errors), &units::percent(t.errors, t.requests)))
                        (stat("Tokens today", &units::short(t.usage.input + t.usage.output), ""))
                        (stat("Cost today", &units::money(t.cost_nanos), if t.unpriced > 0 { "and unpriced" } else { "" }))
                    }
                }
                (streams_table(&live))
                section aria-labelledby="last" {
                    div.title { h2 #last { "Over last" } a.end href="/admin/audit" { "All of the audit" } }
                    @match last {
                        Some(Ok(Reply::Page(page))) if !page.rows.is_empty() => (rows::table(&page.rows)),
                        Some(Ok(_)) => (rows::nothing_yet()),
                        Some(Err(why)) => (rows::trouble(&why)),
                        None => (rows::no_audit()),
                    }
                }
            }
        }
    }
}

fn today(known: &mut dyn Known, unix_s: u64) -> Option<Totals> {
    let now_ms = unix_s.saturating_mul(1000);
    let reply = known.audit(Question::Usage {
        from_ms: now_ms - now_ms % DAY_MS,
        until_ms: now_ms + 1000,
        step: Step::Whole,
        group: Group::All,
    })?;
    match reply {
        Ok(Reply::Usage(buckets)) => {
            Some(buckets.first().map_or_else(Totals::default, |b| b.totals))
        }
        _ => None,
    }
}

pub(super) fn stat(name: &str, value: &str, more: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) @if !more.is_empty() { " " small { (more) } } } } }
}

/// What a stream that is silent tells no more is not its rate.
fn rate_now(view: &View) -> Option<f64> {
    let speaks = view
        .silent
        .is_some_and(|silent| silent < Duration::from_secs(5));
    view.rate.filter(|_| speaks)
}

fn streams_table(live: &[View]) -> Markup {
    html! {
        section aria-labelledby="streams" {
            h2 #streams { "Under way" }
            @if live.is_empty() {
                div.card.empty { p { "Nothing. Point Codex here with " code { "strait codex" } " and ask it something." } }
            } @else {
                div.scroll { table {
                    thead { tr {
                        th scope="col" { "Asked for" } th scope="col" { "Target" } th.mid scope="col" { "Key" }
                        th scope="col" { "Phase" } th.n scope="col" { "Since" } th.n scope="col" { "Tokens/s" }
                        th.n.wide scope="col" { "Events" } th.n.wide scope="col" { "Sent" } th.n.wide scope="col" { "Silent" }
                    } }
                    tbody { @for view in live { (stream_row(view)) } }
                } }
            }
        }
    }
}

fn stream_row(view: &View) -> Markup {
    let facts = &view.facts;
    let ms = |d: Duration| units::millis(d.as_millis() as u64);
    let (class, dot) = match view.phase {
        Phase::Streaming => ("tag good", true),
        Phase::Waiting => ("tag warn", false),
        Phase::Connecting => ("tag", false),
    };
    html! {
        tr data-row {
            th.mono scope="row" {
                @if facts.session.is_empty() { (facts.asked) }
                @else { a href={ "/admin/audit?session=" (facts.session) } title="The session in the audit" { (facts.asked) } }
            }
            td.mono { (facts.provider) "/" (facts.model) @if facts.attempt > 1 { " " span.tag.warn { "try " (facts.attempt) } } }
            td.mid { (facts.key) }
            td { span class=(class) { @if dot { span.live-dot aria-hidden="true" {} } (view.phase.name()) } }
            td.n { (ms(view.age)) }
            td.n { @match rate_now(view) { Some(rate) => (format!("{rate:.1}")), None => "–" } }
            td.n.wide { (units::count(view.events)) }
            td.n.wide { (units::bytes(view.bytes)) }
            td.n.wide { @match view.silent { Some(silent) => (ms(silent)), None => "–" } }
        }
    }
}
