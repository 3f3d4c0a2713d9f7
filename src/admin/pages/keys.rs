//! Who may ask, and until when.

use super::units;
use crate::admin::api::end_ms;
use crate::admin::known::Known;
use crate::config::Snapshot;
use crate::ledger::audit::{Bucket, Group, Question, Reply, Step};
use maud::{Markup, html};

const DAY_MS: u64 = 86_400_000;

pub(super) fn show(snapshot: &Snapshot, known: &mut dyn Known, unix_s: u64) -> Markup {
    let used = used(known, unix_s);
    html! {
        div.title { h1 { "Keys" } p.soft { "What clients present, by name: nobody can read a key here, or anywhere." } }
        @if snapshot.keys.is_empty() {
            div.card.empty {
                p { "None: every program on this machine may ask, and Strait listens on loopback only." }
                p { "Add " code { "[[keys]]" } " to strait.toml, or export " code { "STRAIT_MASTER_KEY" } "." }
            }
        } @else {
            div.scroll { table {
                thead { tr { th scope="col" { "Key" } th scope="col" { "May" } th scope="col" { "Ends" } th.n scope="col" { "Requests, 30 days" } th.n.mid scope="col" { "Tokens" } th.n scope="col" { "Cost" } th scope="col" { span.hidden { "Its exchanges" } } } }
                tbody { @for key in &snapshot.keys {
                    @let sums = used.iter().find(|bucket| bucket.name == key.name).map(|b| b.totals).unwrap_or_default();
                    tr data-row {
                        th scope="row" { (key.name) }
                        td { "use models" @if key.admin { " " span.tag.mark { "admin" } } }
                        td { (ending(end_ms(key), unix_s)) }
                        td.n { (units::count(sums.requests)) }
                        td.n.mid { (units::short(sums.usage.input + sums.usage.output)) }
                        td.n { (units::money(sums.cost_nanos)) }
                        td { a href=(crate::admin::query::Query::link("/admin/audit", &[("key", &key.name)])) { "Audit" span.hidden { " of " (key.name) } } }
                    }
                } }
            } }
        }
    }
}

fn ending(end_ms: Option<u64>, unix_s: u64) -> Markup {
    html! {
        @match end_ms {
            None => span.soft { "never" },
            Some(ms) if ms / 1000 <= unix_s => span.tag.bad { "over since " (units::day(ms)) },
            Some(ms) if ms / 1000 <= unix_s + 7 * 86_400 => span.tag.warn { (units::time(ms)) },
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
