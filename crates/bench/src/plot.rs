//! Plots, as SVG (SVG 1.1) that is read in light and in dark: a few points of what was measured, on a scale that begins at nothing, so
//! that what is flat looks flat. Not a library for plots: no more than the page of figures needs.

use crate::table::number;
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
/// The page around it may be light while the system is dark: the ground is always ours.
const STYLE: &str = "text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-size: 15px; font-weight: 600 } \
    .ground { fill: #ffffff } .grid { stroke: #d0d7de } .line { stroke: #0969da; stroke-width: 2; fill: none } .point { fill: #0969da } \
    .limit { stroke: #9a6700; stroke-dasharray: 6 4 } @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .ground { fill: #0d1117 } \
    .grid { stroke: #30363d } .line { stroke: #58a6ff } .point { fill: #58a6ff } .limit { stroke: #d29922 } }";

/// How something grows with something else.
#[derive(Debug, Clone)]
pub struct Plot {
    /// The file's name, without its ending.
    pub file: &'static str,
    /// What is seen.
    pub title: String,
    /// What grows, with its unit.
    pub across: &'static str,
    /// Whether each step across is a multiple of the one before.
    pub by_powers: bool,
    /// What is measured, with its unit.
    pub up: &'static str,
    /// Where `up` should stay below, and why.
    pub limit: Option<(f64, &'static str)>,
    /// What was measured: across and up, in the order of across.
    pub points: Vec<(f64, f64)>,
}

impl Plot {
    /// The file.
    pub fn svg(&self) -> String {
        let most = self.points.iter().map(|point| point.1).chain(self.limit.map(|limit| limit.0)).fold(0.0, f64::max);
        let step = step(most);
        let top = (most / step).ceil().max(1.0) * step;
        let (x, y) = (|across: f64| self.x(across), |up: f64| HEIGHT - BOTTOM - up / top * (HEIGHT - BOTTOM - TOP));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n<text class=\"title\" x=\"{LEFT}\" y=\"26\">{title}</text>\n",
            title = escaped(&self.title)
        );
        let mut put = |line: String| {
            // Writing to a string does not fail.
            let _ = writeln!(svg, "{line}");
        };
        for tick in 0..=(top / step).round() as u32 {
            let up = f64::from(tick) * step;
            put(format!("<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/>", WIDTH - RIGHT, y(up)));
            put(format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, y(up) + 4.0, number(up)));
        }
        for (across, _) in &self.points {
            put(format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x(*across),
                HEIGHT - BOTTOM + 20.0,
                thousands(*across)
            ));
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        put(format!("<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", HEIGHT - 16.0, escaped(self.across)));
        let half = (TOP + HEIGHT - BOTTOM) / 2.0;
        let turned = format!("<text x=\"18\" y=\"{half:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {half:.1})\">");
        put(format!("{turned}{}</text>", escaped(self.up)));
        if let Some((limit, why)) = self.limit {
            put(format!("<line class=\"limit\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/>", WIDTH - RIGHT, y(limit)));
            let (right, above) = (WIDTH - RIGHT, y(limit) - 6.0);
            put(format!("<text x=\"{right:.1}\" y=\"{above:.1}\" text-anchor=\"end\">{}</text>", escaped(why)));
        }
        let line: Vec<String> = self.points.iter().map(|(across, up)| format!("{:.1},{:.1}", x(*across), y(*up))).collect();
        put(format!("<polyline class=\"line\" points=\"{}\"/>", line.join(" ")));
        for (across, up) in &self.points {
            put(format!("<circle class=\"point\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>", x(*across), y(*up)));
            put(format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", x(*across), y(*up) - 10.0, number(*up)));
        }
        svg + "</svg>\n"
    }

    fn x(&self, across: f64) -> f64 {
        let scale = |value: f64| if self.by_powers { value.max(1.0).ln() } else { value };
        let (first, last) =
            (self.points.first().map_or(0.0, |point| scale(point.0)), self.points.last().map_or(1.0, |point| scale(point.0)));
        // The outermost points are not on the edge, or their figures would be cut.
        let (left, right) = (LEFT + 30.0, WIDTH - RIGHT - 30.0);
        left + (scale(across) - first) / (last - first).max(f64::MIN_POSITIVE) * (right - left)
    }
}

/// 1, 2 or 5 times a power of ten, of which about five make the whole.
fn step(most: f64) -> f64 {
    let power = 10f64.powf((most.max(f64::MIN_POSITIVE) / 5.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| step * 5.0 >= most).unwrap_or(power)
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let parts: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|part| std::str::from_utf8(part).unwrap_or_default()).collect();
    parts.join(",")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        Plot {
            file: "history",
            title: "A message costs the same & no more".into(),
            across: "entries in the log",
            by_powers: true,
            up: "server CPU per message, µs",
            limit: Some((250.0, "a quarter more than at 100")),
            points: vec![(100.0, 200.0), (10_000.0, 210.0), (1_000_000.0, 190.5)],
        }
    }

    #[test]
    fn a_plot_is_drawn_as_it_was_before() {
        insta::assert_snapshot!(plot().svg());
    }

    #[test]
    fn what_is_measured_is_where_it_belongs() {
        let svg = plot().svg();
        // By powers, 10^4 is half way between 10^2 and 10^6; and the scale begins at 0.
        assert!(svg.contains("<polyline class=\"line\" points=\"100.0,92.0 340.0,83.6 580.0,100.0\"/>"), "{svg}");
        assert!(svg.contains(">1,000,000</text>") && svg.contains("the same &amp; no more") && svg.contains(">190.5</text>"), "{svg}");
        let even = Plot { by_powers: false, limit: None, points: vec![(1000.0, 30.0), (2000.0, 30.0), (5000.0, 30.0)], ..plot() };
        assert_eq!([1000.0, 2000.0, 5000.0].map(|across| even.x(across).round()), [100.0, 220.0, 580.0]);
    }

    #[test]
    fn scales_have_round_steps() {
        assert_eq!([0.9, 10.0, 31.5, 250.0, 688.0].map(step), [0.2, 2.0, 10.0, 50.0, 200.0]);
    }

    /// One point has nothing to lie between; none at all is still a picture.
    #[test]
    fn few_points_are_drawn_too() {
        for points in [vec![], vec![(7.0, 0.0)]] {
            let svg = Plot { limit: None, points, ..plot() }.svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
