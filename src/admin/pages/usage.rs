//! Tokens and money: by day, and by model, provider or key.

use super::now::stat;
use super::{rows, units};
use crate::admin::known::Known;
use crate::admin::plot::{Bars, SERIES_MAX};
use crate::admin::query::Query;
use crate::ledger::audit::{Bucket, Group, Question, Reply, Step, Totals};
use maud::{Markup, html};
use std::collections::BTreeMap;

const PATH: &str = "/admin/usage";
const DAY_MS: u64 = 86_400_000;
const RANGES: [(&str, u64, &str); 4] = [
    ("1", 1, "Today"),
    ("7", 7, "7 days"),
    ("", 30, "30 days"),
    ("90", 90, "90 days"),
];
const GROUPS: [(&str, Group, &str); 3] = [
    ("", Group::Model, "Model"),
    ("provider", Group::Provider, "Provider"),
    ("key", Group::Key, "Key"),
];

pub(super) fn show(known: &mut dyn Known, query: &Query, unix_s: u64) -> Markup {
    let (days, group, name) = chosen(query);
    let now_ms = unix_s.saturating_mul(1000);
    let today = now_ms - now_ms % DAY_MS;
    let from_ms = today.saturating_sub((days - 1) * DAY_MS);
    let step = if days == 1 { Step::Hour } else { Step::Day };
    let asked = Question::Usage {
        from_ms,
        until_ms: today + DAY_MS,
        step,
        group,
    };
    let buckets = match known.audit(asked) {
        None => return framed(query, rows::no_audit()),
        Some(Err(why)) => return framed(query, rows::trouble(&why)),
        Some(Ok(Reply::Usage(buckets))) => buckets,
        Some(Ok(_)) => Vec::new(),
    };
    if buckets.is_empty() {
        return framed(query, rows::nothing_yet());
    }
    let sums = Sums::of(&buckets, from_ms, step, days);
    framed(
        query,
        html! {
            (totals(&sums.all))
            div.plots {
                div.card { (sums.plot("Cost", dollars, |t| t.cost_nanos as f64 / 1e9)) }
                div.card { (sums.tokens()) }
                div.card { (sums.plot("Requests", whole, |t| t.requests as f64)) }
                div.card { (sums.plot("Failed", whole, |t| t.errors as f64)) }
            }
            (sums.table(name))
            (sums.by_step())
            p.soft.small { "Days are those of UTC. Costs come from the prices of the providers' profiles; what has no price counts as nothing and is told apart." }
        },
    )
}

fn chosen(query: &Query) -> (u64, Group, &'static str) {
    let days = RANGES
        .iter()
        .find(|(value, ..)| *value == query.get("days"));
    let group = GROUPS.iter().find(|(value, ..)| *value == query.get("by"));
    let (_, group, name) = group.copied().unwrap_or(GROUPS[0]);
    (days.map_or(30, |(_, days, _)| *days), group, name)
}

fn framed(query: &Query, content: Markup) -> Markup {
    let tabs = |label: &str, name: &str, values: &[(&str, &str)]| {
        html! { nav.tabs aria-label=(label) { @for (value, title) in values {
            a href=(query.link_with(PATH, name, value)) aria-current=[(query.get(name) == *value).then_some("true")] { (title) }
        } } }
    };
    html! {
        div.title { h1 { "Usage" } }
        div.row {
            (tabs("Time", "days", &RANGES.map(|(value, _, title)| (value, title))))
            (tabs("Told apart by", "by", &GROUPS.map(|(value, _, title)| (value, title))))
        }
        (content)
    }
}

fn totals(all: &Totals) -> Markup {
    let usage = &all.usage;
    html! { dl.stats {
        (stat("Cost", &units::money(all.cost_nanos), &match all.unpriced { 0 => String::new(), n => format!("{} unpriced", units::short(n)) }))
        (stat("Requests", &units::short(all.requests), &format!("{} failed", units::short(all.errors))))
        (stat("Input tokens", &units::short(usage.input), &format!("{} cached", units::percent(usage.cached, usage.input))))
        (stat("Output tokens", &units::short(usage.output), &format!("{} reasoning", units::percent(usage.reasoning, usage.output))))
    } }
}

fn dollars(value: f64) -> String {
    units::money((value * 1e9) as u64)
}

fn whole(value: f64) -> String {
    units::short(value.round() as u64)
}

/// Sums by step and by name.
struct Sums {
    all: Totals,
    /// The steps' labels, and their sums.
    steps: Vec<(String, Totals)>,
    /// The names' sums, dearest first, and their values by step.
    names: Vec<(String, Totals, Vec<Totals>)>,
}

impl Sums {
    fn of(buckets: &[Bucket], from_ms: u64, step: Step, days: u64) -> Sums {
        let count = match step {
            Step::Hour => 24,
            _ => days as usize,
        };
        let label = |i: usize| {
            let at = from_ms + i as u64 * step.millis();
            match step {
                Step::Hour => format!("{i:02}:00"),
                _ => units::day(at).split_off(5),
            }
        };
        let mut sums = Sums {
            all: Totals::default(),
            steps: (0..count).map(|i| (label(i), Totals::default())).collect(),
            names: Vec::new(),
        };
        let mut names: BTreeMap<&str, (Totals, Vec<Totals>)> = BTreeMap::new();
        for bucket in buckets {
            let at = bucket.from_ms.saturating_sub(from_ms) / step.millis();
            let at = (at as usize).min(count - 1);
            sums.all.add(&bucket.totals);
            sums.steps[at].1.add(&bucket.totals);
            let new = || (Totals::default(), vec![Totals::default(); count]);
            let (all, steps) = names.entry(&bucket.name).or_insert_with(new);
            all.add(&bucket.totals);
            steps[at].add(&bucket.totals);
        }
        let names = names
            .into_iter()
            .map(|(name, (all, steps))| (name.to_owned(), all, steps));
        sums.names = names.collect();
        let weight = |t: &Totals| (t.cost_nanos, t.usage.input + t.usage.output, t.requests);
        sums.names
            .sort_by_key(|(_, all, _)| std::cmp::Reverse(weight(all)));
        sums
    }

    fn plot(&self, title: &str, unit: fn(f64) -> String, value: fn(&Totals) -> f64) -> Markup {
        let values = |steps: &[Totals]| steps.iter().map(value).collect::<Vec<f64>>();
        let mut series: Vec<(String, Vec<f64>)> = Vec::new();
        for (i, (name, _, steps)) in self.names.iter().enumerate() {
            match series.last_mut() {
                // The last place is for all that come after it.
                Some((rest, sums)) if i >= SERIES_MAX => {
                    rest.clear();
                    rest.push_str("all others");
                    sums.iter_mut()
                        .zip(values(steps))
                        .for_each(|(sum, v)| *sum += v);
                }
                _ => series.push((name.clone(), values(steps))),
            }
        }
        self.bars(title, &series, unit)
    }

    fn tokens(&self) -> Markup {
        let values =
            |pick: fn(&Totals) -> u64| self.steps.iter().map(|(_, t)| pick(t) as f64).collect();
        let series: [(String, Vec<f64>); 3] = [
            (
                "input".to_owned(),
                values(|t| t.usage.input.saturating_sub(t.usage.cached)),
            ),
            ("input, cached".to_owned(), values(|t| t.usage.cached)),
            ("output".to_owned(), values(|t| t.usage.output)),
        ];
        self.bars("Tokens", &series, whole)
    }

    fn bars(&self, title: &str, series: &[(String, Vec<f64>)], unit: fn(f64) -> String) -> Markup {
        let steps: Vec<String> = self.steps.iter().map(|(label, _)| label.clone()).collect();
        Bars {
            title,
            steps: &steps,
            series,
            unit,
        }
        .draw()
    }

    fn table(&self, name: &str) -> Markup {
        html! { section aria-labelledby="by-name" {
            h2 #by-name { "By " (name.to_lowercase()) }
            (table(name, self.names.iter().map(|(name, totals, _)| (name.as_str(), totals)), &self.all))
        } }
    }

    fn by_step(&self) -> Markup {
        let steps = self.steps.iter().filter(|(_, totals)| totals.requests > 0);
        html! { details { summary { "The same by step" }
            (table("Step", steps.map(|(label, totals)| (label.as_str(), totals)), &self.all))
        } }
    }
}

fn table<'a>(
    name: &str,
    lines: impl Iterator<Item = (&'a str, &'a Totals)>,
    all: &Totals,
) -> Markup {
    let cells = |t: &Totals| {
        html! {
            td.n { (units::count(t.requests)) } td.n.mid { (units::count(t.errors)) }
            td.n { (units::short(t.usage.input)) } td.n.mid { (units::percent(t.usage.cached, t.usage.input)) }
            td.n { (units::short(t.usage.output)) } td.n { (units::money(t.cost_nanos)) @if t.unpriced > 0 { " " span.tag title="exchanges without a price" { "+" (units::short(t.unpriced)) } } }
        }
    };
    html! { div.scroll { table {
        thead { tr {
            th scope="col" { (name) } th.n scope="col" { "Requests" } th.n.mid scope="col" { "Failed" }
            th.n scope="col" { "Input" } th.n.mid scope="col" { "Cached" } th.n scope="col" { "Output" } th.n scope="col" { "Cost" }
        } }
        tbody { @for (name, totals) in lines { tr { th scope="row" { @if name.is_empty() { span.soft { "none" } } @else { (name) } } (cells(totals)) } } }
        tfoot { tr { th scope="row" { "All" } (cells(all)) } }
    } } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::usage::Usage;

    fn bucket(day: u64, name: &str, cost_nanos: u64) -> Bucket {
        Bucket {
            from_ms: day * DAY_MS,
            name: name.to_owned(),
            totals: Totals {
                requests: 1,
                cost_nanos,
                usage: Usage {
                    input: 10,
                    ..Usage::default()
                },
                ..Totals::default()
            },
        }
    }

    #[test]
    fn sums_fall_into_their_days_and_names() {
        let buckets = [
            bucket(100, "a", 5),
            bucket(102, "b", 9),
            bucket(102, "a", 1),
        ];
        let sums = Sums::of(&buckets, 100 * DAY_MS, Step::Day, 3);
        let costs: Vec<u64> = sums.steps.iter().map(|(_, t)| t.cost_nanos).collect();
        assert_eq!((costs, sums.all.requests), (vec![5, 0, 10], 3));
        let names: Vec<&str> = sums.names.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(sums.steps[0].0, "04-11");
    }

    #[test]
    fn many_names_are_few_colours() {
        let buckets: Vec<Bucket> = (0..20)
            .map(|i| bucket(1, &format!("m{i:02}"), 100 - i))
            .collect();
        let sums = Sums::of(&buckets, DAY_MS, Step::Day, 1);
        let plot = sums
            .plot("Cost", whole, |t| t.cost_nanos as f64)
            .into_string();
        assert_eq!(plot.matches("<li>").count(), SERIES_MAX);
        assert!(plot.contains("all others") && plot.contains("class=\"k7\""));
        assert!(sums.table("Model").into_string().contains("m19"));
    }
}
