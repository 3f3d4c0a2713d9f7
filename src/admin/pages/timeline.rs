//! How the time of an exchange went: a lane for each try, the first event, the end.

use super::units;
use crate::ledger::audit::Row;
use maud::{Markup, html};

const WIDTH: u64 = 1000;
const LABEL: u64 = 240;
const LANE: usize = 24;
/// More tries than this are in the table only.
const LANES_MAX: usize = 12;

pub(super) fn show(row: &Row) -> Markup {
    let all = row.took_ms.max(1);
    let x = |ms: u64| LABEL + (WIDTH - LABEL) * ms.min(all) / all;
    let tries = &row.tries[..row.tries.len().min(LANES_MAX)];
    let height = (tries.len() + 1) * LANE + 22;
    html! {
        figure {
            svg.plain viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label=(said(row)) font-size="12" {
                (lane(0, "exchange", &units::millis(row.took_ms), x(0), x(row.took_ms), "k6"))
                @for (i, tried) in tries.iter().enumerate() {
                    (lane(i + 1, &format!("{}/{}", tried.provider, tried.model), &units::millis(tried.took_ms), x(tried.began_ms), x(tried.began_ms + tried.took_ms),
                        if tried.error.is_empty() { "k0" } else { "span-bad" }))
                }
                @if let Some(first) = row.first_event_ms {
                    line.tick x1=(x(first)) x2=(x(first)) y1="0" y2=(height - 18) stroke-width="2" {}
                    text x=(x(first)) y=(height - 5) text-anchor=(if first * 2 > all { "end" } else { "start" }) { "first event after " (units::millis(first)) }
                }
            }
        }
    }
}

fn lane(number: usize, name: &str, took: &str, from: u64, to: u64, class: &str) -> Markup {
    let y = number * LANE;
    let name: String = name.chars().take(34).collect();
    html! {
        g {
            title { (name) ", " (took) }
            text x="0" y=(y + 16) { (name) }
            rect.lane x=(LABEL) y=(y + 4) width=(WIDTH - LABEL) height=(LANE - 8) rx="3" {}
            rect class=(class) x=(from) y=(y + 4) width=(to.saturating_sub(from).max(2)) height=(LANE - 8) rx="3" {}
        }
    }
}

/// The picture in words.
fn said(row: &Row) -> String {
    let first = match row.first_event_ms {
        Some(ms) => format!("first event after {}", units::millis(ms)),
        None => "no event".to_owned(),
    };
    let tries = row.tries.len();
    format!(
        "{} in all, {tries} tries, {first}",
        units::millis(row.took_ms)
    )
}
