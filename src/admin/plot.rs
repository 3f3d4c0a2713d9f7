//! Plots as SVG, drawn on the server. The library wants colours; the ones given here are names
//! that the style sheet turns into those of the reader's light or dark.

use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;

/// Most names that are told apart; the last of them is the rest.
pub(super) const SERIES_MAX: usize = 8;
const SIZE: (u32, u32) = (640, 220);
const GRID: RGBColor = RGBColor(0, 9, 0);
const AXIS: RGBColor = RGBColor(0, 10, 0);

/// Values by step, one stack of bars for each.
pub(super) struct Bars<'a> {
    pub(super) title: &'a str,
    /// What stands below each step.
    pub(super) steps: &'a [String],
    /// A name, and its value for each step; at most [`SERIES_MAX`].
    pub(super) series: &'a [(String, Vec<f64>)],
    /// How a value is written.
    pub(super) unit: fn(f64) -> String,
}

impl Bars<'_> {
    pub(super) fn draw(&self) -> Markup {
        let mut svg = String::new();
        let drawn = self.draw_into(&mut svg).is_ok();
        let values = self.series.iter().flat_map(|(_, values)| values);
        // An empty sum of floats would be -0.
        let sum = (self.unit)(values.fold(0.0, |sum, value| sum + value));
        html! {
            figure {
                figcaption { (self.title) " " span.soft { (sum) } }
                @if drawn {
                    div role="img" aria-label={ (self.title) ", " (self.steps.len()) " steps, in all " (sum) "; the numbers stand in the table below" } {
                        // Made of numbers and of our own labels only.
                        (PreEscaped(svg))
                    }
                }
                ul.legend { @for (i, (name, _)) in self.series.iter().enumerate() {
                    li {
                        svg viewBox="0 0 10 10" aria-hidden="true" { rect class={ "k" (i) } width="10" height="10" rx="2" {} }
                        @if name.is_empty() { "none" } @else { (name) }
                    }
                } }
            }
        }
    }

    fn draw_into(&self, svg: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let count = self.steps.len();
        let stack = |step: usize| self.series.iter().map(move |(_, v)| v[step]).sum::<f64>();
        let top = (0..count).map(stack).fold(0.0, f64::max);
        let top = if top > 0.0 { top * 1.05 } else { 1.0 };
        let error = |_| DrawingAreaErrorKind::LayoutError;
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..count as f64, 0.0..top)
            .map_err(error)?;
        let label = |x: &f64| {
            let step = x.round();
            match (x - step).abs() < 1e-6 && step >= 0.0 {
                true => self.steps.get(step as usize).cloned().unwrap_or_default(),
                false => String::new(),
            }
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(AXIS)
            .x_labels(count.min(8))
            .x_label_formatter(&label)
            .y_labels(4)
            .y_label_formatter(&|value| (self.unit)(*value))
            .label_style(("sans-serif", 12))
            .draw()
            .map_err(error)?;
        for step in 0..count {
            let mut base = 0.0;
            for (i, (_, values)) in self.series.iter().enumerate() {
                let next = base + values[step];
                if values[step] > 0.0 {
                    let (left, right) = (step as f64 + 0.12, step as f64 + 0.88);
                    let colour = RGBColor(0, i as u8 + 1, 0);
                    let bar = Rectangle::new([(left, base), (right, next)], colour.filled());
                    chart.draw_series([bar]).map_err(error)?;
                }
                base = next;
            }
        }
        drop(chart);
        root.present().map_err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(series: &[(String, Vec<f64>)]) -> String {
        let steps = ["11-20".to_owned(), "11-21".to_owned()];
        let bars = Bars {
            title: "Cost",
            steps: &steps,
            series,
            unit: |v| format!("${v:.0}"),
        };
        bars.draw().into_string()
    }

    #[test]
    fn bars_stand_on_each_other_in_the_names_of_our_colours() {
        let svg = draw(&[
            ("a<b".to_owned(), vec![3.0, 0.0]),
            ("b".to_owned(), vec![1.0, 2.0]),
        ]);
        let bars = |colour: &str| svg.matches(&format!("fill=\"{colour}\"")).count();
        assert_eq!((bars("#000100"), bars("#000200")), (1, 2), "{svg}");
        assert!(svg.contains("a&lt;b") && svg.contains("$6"), "{svg}");
        assert!(svg.contains("11-20") && !svg.contains(" style="), "{svg}");
    }

    #[test]
    fn nothing_is_a_plot_too() {
        assert!(draw(&[]).contains("<svg"));
        assert!(draw(&[("a".to_owned(), vec![0.0, 0.0])]).contains("<svg"));
    }
}
