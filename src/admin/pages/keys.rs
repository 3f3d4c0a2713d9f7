//! Who may ask, for what and until when, and what each has had of what it may have.

use super::units;
use crate::admin::keys::{self, Count, Key, Money};
use crate::admin::known::Known;
use crate::admin::query::Query;
use crate::config::Snapshot;
use crate::ledger::audit::{Bucket, Group, Question, Reply, Step, Totals};
use maud::{Markup, html};
use std::time::Instant;

const DAY_MS: u64 = 86_400_000;
/// An end so near is worth a look.
const SOON_S: u64 = 7 * 86_400;

pub(super) fn show(
    snapshot: &Snapshot,
    known: &mut dyn Known,
    unix_s: u64,
    now: Instant,
) -> Markup {
    let keys = keys::all(snapshot, unix_s, now);
    html! {
        div.title { h1 { "Keys" } p.soft { "What clients present, by name: nobody can read a key here, or anywhere." } }
        @if keys.is_empty() {
            div.card.empty {
                p { "None: every program on this machine may ask, and Strait listens on loopback only." }
                p { "Add " code { "[[keys]]" } " to strait.toml, run " code { "strait keys add" } ", or export " code { "STRAIT_MASTER_KEY" } "." }
            }
        } @else {
            @let used = used(known, unix_s);
            div data-refresh="5" { div.scroll { table {
                thead { tr {
                    th scope="col" { "Key" } th scope="col" { "Models" }
                    th.n scope="col" { "Requests/min" } th.n scope="col" { "Tokens/min" } th.n scope="col" { "Streams" }
                    th scope="col" { "Budget" } th scope="col" { "Ends" }
                    th.n scope="col" { "Requests, 30 days" } th.n.wide scope="col" { "Tokens" } th.n scope="col" { "Cost" }
                    th scope="col" { span.hidden { "Its exchanges" } }
                } }
                tbody { @for key in &keys {
                    @let sums = used.iter().find(|bucket| bucket.name == key.name);
                    (row(key, &sums.map(|bucket| bucket.totals).unwrap_or_default(), unix_s))
                } }
            } } }
            p.soft.small {
                "Requests and tokens of the last minute, and streams under way, are those of this process. "
                @if snapshot.store.keeps() { "What is spent of a budget is shared through the store with all who use it, a second late." }
                @else { "So is what is spent of a budget: no store is kept, and it is forgotten when Strait stops." }
            }
        }
    }
}

fn row(key: &Key, sums: &Totals, unix_s: u64) -> Markup {
    html! {
        tr data-row {
            th scope="row" {
                (key.name)
                @if key.admin { " " span.tag.mark { "admin" } }
                @if key.older_secrets > 0 { " " span.tag.warn { "rotated" } }
                div.soft.small { (origin(key)) }
            }
            td { @if key.models.is_empty() { "all" } @else { @for model in &key.models { div.mono.nowrap { (model) } } } }
            td.n { (count(&key.requests_per_minute)) }
            td.n { (count(&key.tokens_per_minute)) }
            td.n { (count(&key.streams)) }
            td.nowrap { @match &key.budget { Some(money) => (budget(money)), None => "—" } }
            td { (ending(key, unix_s)) @if key.older_secrets > 0 { (older(key)) } }
            td.n { (units::count(sums.requests)) }
            td.n.wide { (units::short(sums.usage.input + sums.usage.output)) }
            td.n { (units::money(sums.cost_nanos)) }
            td { a href=(Query::link("/admin/audit", &[("key", &key.name)])) { "Audit" span.hidden { " of " (key.name) } } }
        }
    }
}

/// As operators know it.
fn origin(key: &Key) -> &'static str {
    match key.from {
        "file" => "strait.toml",
        from => from,
    }
}

fn older(key: &Key) -> Markup {
    html! {
        span.soft.small {
            @match key.older_secrets { 1 => "an older secret", n => { (n) " older secrets" } }
            @if let Some(ms) = key.older_until_ms { " until " (units::time(ms)) }
        }
    }
}

fn count(count: &Option<Count>) -> Markup {
    html! {
        @match count {
            None => "—",
            Some(Count { limit, used }) => {
                @if used >= limit { span.tag.bad { (units::short(*used)) } } @else { (units::short(*used)) }
                " of " (units::short(*limit))
            }
        }
    }
}

fn budget(money: &Money) -> Markup {
    let percent = units::percent(money.spent_nanos, money.limit_nanos);
    html! {
        (units::money(money.spent_nanos)) " of " (units::money(money.limit_nanos)) " "
        @if money.spent_nanos >= money.limit_nanos { span.tag.bad { (percent) } } @else { span.tag { (percent) } }
        span.soft.small {
            @match money.ends_ms { Some(ms) => { "this " (money.per) ", until " (units::time(ms)) }, None => "in total" }
        }
    }
}

fn ending(key: &Key, unix_s: u64) -> Markup {
    html! {
        @match key.expires_ms {
            None => span.soft { "never" },
            Some(ms) if key.expired => span.tag.bad { "expired " (units::day(ms)) },
            Some(ms) if ms / 1000 <= unix_s + SOON_S => span.tag.warn { (units::time(ms)) },
            Some(ms) => (units::time(ms)),
        }
    }
}

fn used(known: &mut dyn Known, unix_s: u64) -> Vec<Bucket> {
    let now_ms = unix_s.saturating_mul(1000);
    let asked = Question::Usage {
        from_ms: now_ms.saturating_sub(30 * DAY_MS),
        until_ms: now_ms + 1000,
        step: Step::Whole,
        group: Group::Key,
    };
    match known.audit(asked) {
        Some(Ok(Reply::Usage(buckets))) => buckets,
        _ => Vec::new(),
    }
}
