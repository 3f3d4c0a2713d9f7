//! Plots as SVG, written by hand: bars and lines, logarithmic, with the numbers beside them.

use super::direct;
use super::results::{Cell, Results};
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const COLOURS: [&str; 12] = [
    "#0b6e4f", "#3366aa", "#cc6633", "#8844aa", "#999933", "#aa3355", "#22889a", "#666666",
    "#b8860b", "#5577ee", "#77aa44", "#cc4477",
];
const OURS: &str = "#e4572e";
const FORWARDS: &str = "#9aa5b1";
const TRANSLATES: &str = "#4a6fa5";

/// All plots: file name, title, and the SVG itself.
pub(super) fn all(r: &Results) -> Vec<(String, String, String)> {
    let mut plots = Vec::new();
    let panels: [(&str, &str, &str); 6] = [
        ("paced", "many paced streams", "µs per delta"),
        ("step", "the same in step", "µs per delta"),
        ("flat", "64 streams flat out", "µs per delta"),
        ("flat-1", "one stream flat out", "µs per delta"),
        ("json", "small JSON answers", "µs per answer"),
        ("fresh", "20 deltas, new connection", "µs per answer"),
    ];
    let cpu: Vec<Panel> = panels
        .iter()
        .map(|(scenario, title, unit)| Panel {
            title: format!("{title}, {unit}"),
            bars: bars(r, scenario, |_, c| c.cpu()),
        })
        .collect();
    push(
        &mut plots,
        "cpu.svg",
        "CPU of the gateway: shorter is better",
        &cpu,
    );
    let added = |name: &str, what: fn(&Cell) -> f64| {
        let side = r.sides.iter().find(|s| s.name == name);
        side.and_then(|s| r.median(direct(s.api), "latency", what))
            .unwrap_or(0.0)
    };
    let latency = [
        Panel {
            title: "added to the first delta, ms, median".into(),
            bars: bars(r, "latency", |n, c| {
                c.first_ms.p50 - added(n, |c| c.first_ms.p50)
            }),
        },
        Panel {
            title: "added to every delta, ms, median".into(),
            bars: bars(r, "latency", |n, c| {
                c.late_ms.p50 - added(n, |c| c.late_ms.p50)
            }),
        },
        Panel {
            title: "added to every delta, ms, 99th percentile".into(),
            bars: bars(r, "latency", |n, c| {
                c.late_ms.p99 - added(n, |c| c.late_ms.p99)
            }),
        },
    ];
    let title = "Time that the gateway adds: shorter is better";
    push(&mut plots, "latency.svg", title, &latency);
    let memory = [Panel {
        title: "1,000 streams: KiB per stream".into(),
        bars: bars(r, "memory", |_, c| c.kib_per_stream()),
    }];
    push(
        &mut plots,
        "memory.svg",
        "Memory: shorter is better",
        &memory,
    );
    if let Some(svg) = scaling(r) {
        let title = "CPU per delta, as streams grow";
        plots.push(("scaling.svg".into(), title.into(), svg));
    }
    plots
}

struct Panel {
    title: String,
    bars: Vec<Bar>,
}

struct Bar {
    name: String,
    value: f64,
    colour: &'static str,
    is_wrong: bool,
}

fn push(plots: &mut Vec<(String, String, String)>, file: &str, title: &str, panels: &[Panel]) {
    let panels: Vec<&Panel> = panels.iter().filter(|p| !p.bars.is_empty()).collect();
    if !panels.is_empty() {
        plots.push((file.into(), title.into(), draw(title, &panels)));
    }
}

fn bars(r: &Results, scenario: &str, value: impl Fn(&str, &Cell) -> f64) -> Vec<Bar> {
    let mut bars: Vec<Bar> = r
        .sides
        .iter()
        .filter_map(|side| {
            let median = r.median(&side.name, scenario, |c| value(&side.name, c))?;
            let wrong = r.of(&side.name, scenario).map(|c| c.wrong() + c.unfinished);
            let wrong: u64 = wrong.sum();
            let colour = match side.api {
                _ if side.name == "strait" => OURS,
                crate::answers::Api::Chat => FORWARDS,
                crate::answers::Api::Responses => TRANSLATES,
            };
            Some(Bar {
                name: side.name.clone(),
                value: median,
                colour,
                is_wrong: wrong > 0,
            })
        })
        .collect();
    bars.sort_by(|a, b| a.value.total_cmp(&b.value));
    bars
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn shown(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn begin(height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"20\" y=\"30\" font-size=\"18\" font-weight=\"600\">{}</text>\n",
        escape(title)
    )
}

/// Bars, one panel below the other; the scale is logarithmic within a panel.
fn draw(title: &str, panels: &[&Panel]) -> String {
    const ROW: f64 = 21.0;
    const LEFT: f64 = 170.0;
    const RIGHT: f64 = WIDTH - 180.0;
    let rows: usize = panels.iter().map(|p| p.bars.len()).sum();
    let height = 92.0 + rows as f64 * ROW + panels.len() as f64 * 46.0;
    let mut out = begin(height, title);
    let legend = [
        (OURS, "strait"),
        (TRANSLATES, "translates chat to Responses"),
        (FORWARDS, "forwards chat"),
    ];
    let mut x = 20.0;
    for (colour, text) in legend {
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"44\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"55\">{text}</text>",
            x + 18.0
        );
        x += 50.0 + text.len() as f64 * 7.0;
    }
    let _ = writeln!(
        out,
        "<text x=\"{x}\" y=\"55\" fill=\"#777\">logarithmic</text>"
    );
    let mut y = 84.0;
    for panel in panels {
        let _ = writeln!(
            out,
            "<text x=\"20\" y=\"{}\" font-weight=\"600\">{}</text>",
            y + 14.0,
            escape(&panel.title)
        );
        y += 24.0;
        let positive = panel.bars.iter().map(|b| b.value).filter(|v| *v > 0.0);
        let least = positive.clone().fold(f64::INFINITY, f64::min).max(0.001);
        let most = positive.fold(least * 10.0, f64::max);
        let floor = (least / 2.0).log10();
        let scale = |v: f64| match v > 0.0 {
            true => ((v.log10() - floor) / (most.log10() - floor)).clamp(0.003, 1.0),
            false => 0.003,
        };
        for bar in &panel.bars {
            let width = scale(bar.value) * (RIGHT - LEFT);
            let weight = if bar.colour == OURS { "700" } else { "400" };
            let warning = if bar.is_wrong {
                " ⚠ not all right"
            } else {
                ""
            };
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" font-weight=\"{weight}\">{}</text>\
                 <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" rx=\"2\" \
                 fill=\"{}\"/><text x=\"{:.1}\" y=\"{}\" font-weight=\"{weight}\">{}{warning}</text>",
                LEFT - 8.0,
                y + 13.0,
                escape(&bar.name),
                ROW - 5.0,
                bar.colour,
                LEFT + width + 6.0,
                y + 13.0,
                shown(bar.value),
            );
            y += ROW;
        }
        y += 22.0;
    }
    out.push_str("</svg>\n");
    out
}

/// Lines: CPU per delta over the number of streams, both logarithmic.
fn scaling(r: &Results) -> Option<String> {
    let mut sizes: Vec<usize> = r
        .cells
        .iter()
        .filter_map(|c| c.scenario.strip_prefix("scale-")?.parse().ok())
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    if sizes.len() < 2 {
        return None;
    }
    let lines: Vec<(&str, Vec<(f64, f64)>)> = r
        .sides
        .iter()
        .map(|side| {
            let points = sizes.iter().filter_map(|n| {
                let cpu = r.median(&side.name, &format!("scale-{n}"), |c| c.cpu())?;
                Some((*n as f64, cpu))
            });
            (side.name.as_str(), points.collect::<Vec<_>>())
        })
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let values = lines.iter().flat_map(|(_, p)| p.iter().map(|(_, v)| *v));
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.fold(least * 2.0, f64::max);
    let (bottom, top) = (least.log10().floor(), most.log10().ceil());
    let (first, last) = ((sizes[0] as f64).log10(), (*sizes.last()? as f64).log10());
    let x = |n: f64| 80.0 + (n.log10() - first) / (last - first) * 560.0;
    let y = |v: f64| 420.0 - (v.log10() - bottom) / (top - bottom) * 350.0;
    let mut out = begin(480.0, "CPU per delta, µs, as streams grow");
    for decade in bottom as i32..=top as i32 {
        let v = 10f64.powi(decade);
        let _ = writeln!(
            out,
            "<line x1=\"80\" x2=\"640\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#ddd\"/>\
             <text x=\"72\" y=\"{1:.1}\" text-anchor=\"end\">{v}</text>",
            y(v),
            y(v) + 4.0
        );
    }
    for n in &sizes {
        let _ = writeln!(
            out,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"70\" y2=\"420\" stroke=\"#eee\"/>\
             <text x=\"{0:.1}\" y=\"440\" text-anchor=\"middle\">{n}</text>",
            x(*n as f64)
        );
    }
    out.push_str("<text x=\"360\" y=\"464\" text-anchor=\"middle\">streams</text>\n");
    let mut labels: Vec<(f64, &str, &str)> = Vec::new();
    for (i, (name, points)) in lines.iter().enumerate() {
        let ours = *name == "strait";
        let colour = if ours {
            OURS
        } else {
            COLOURS[i % COLOURS.len()]
        };
        let width = if ours { 3.5 } else { 1.8 };
        let path: Vec<String> = points
            .iter()
            .map(|(n, v)| format!("{:.1},{:.1}", x(*n), y(*v)))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
            path.join(" ")
        );
        for (n, v) in points {
            let _ = writeln!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                x(*n),
                y(*v)
            );
        }
        labels.push((y(points[points.len() - 1].1), name, colour));
    }
    // Labels at the right, moved apart.
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = 70.0;
    for (at, name, colour) in labels {
        let at = f64::max(at + 4.0, free);
        free = at + 16.0;
        let _ = writeln!(
            out,
            "<text x=\"656\" y=\"{at:.1}\" fill=\"{colour}\" font-weight=\"600\">{}</text>",
            escape(name)
        );
    }
    out.push_str("</svg>\n");
    Some(out)
}
