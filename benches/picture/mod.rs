//! Line charts as SVG. The same chart gives the same bytes.

use std::{fmt::Display, fs, ops::Range, path::Path};

use anyhow::{Context, Result, anyhow, ensure};
use plotters::{
    coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter},
    prelude::{
        ChartBuilder, Circle, Color, IntoDrawingArea, IntoFont, LineSeries, PathElement, RGBColor,
        SVGBackend, TRANSPARENT, Text, WHITE,
    },
};

/// Width and height of a picture, in pixels.
const SIZE: (u32, u32) = (800, 480);
/// Width of the legend, at the right.
const LEGEND: i32 = 170;
/// Height of a line of the legend.
const LEGEND_LINE: i32 = 24;
const FIRST_LEGEND_LINE: i32 = 64;

/// Colours that readers with a colour vision deficiency can tell apart (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// A line chart.
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

/// One axis. A linear axis begins at zero.
pub(crate) struct Axis {
    /// What the axis measures, with the unit: "server CPU per tick (ns)".
    pub(crate) label: String,
    /// True when equal distances are equal ratios. All values must be positive then.
    pub(crate) logarithmic: bool,
}

/// One line of a chart, with a dot at each of its points.
pub(crate) struct Line {
    pub(crate) name: String,
    /// Pairs of x and y, in the order in which they are joined.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Places values along an axis.
struct Scale {
    logarithmic: bool,
    /// Where the axis begins and ends, in the units of [`Scale::place`].
    range: Range<f64>,
    /// The values that have a label.
    ticks: Vec<f64>,
}

impl Chart {
    /// Draws the chart into a file.
    ///
    /// # Errors
    /// When there is no point, when a value has no place on its axis, and when the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let svg = self.draw().with_context(|| format!("cannot draw {:?}", self.title))?;
        fs::write(path, svg).with_context(|| format!("cannot write {}", path.display()))
    }

    fn draw(&self) -> Result<String> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Scale::new(self.x.logarithmic, points().map(|(x, _)| *x).collect())?;
        let y = Scale::new(self.y.logarithmic, points().map(|(_, y)| *y).collect())?;
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            root.fill(&WHITE).map_err(unusable)?;
            let (left, legend) = root.split_horizontally(SIZE.0 as i32 - LEGEND);
            let mut chart = ChartBuilder::on(&left)
                .caption(&self.title, ("sans-serif", 20))
                .margin(16)
                .x_label_area_size(44)
                .y_label_area_size(72)
                .build_cartesian_2d(x, y)
                .map_err(unusable)?;
            chart
                .configure_mesh()
                .light_line_style(TRANSPARENT)
                .x_desc(&self.x.label)
                .y_desc(&self.y.label)
                .label_style(("sans-serif", 14))
                .axis_desc_style(("sans-serif", 15))
                .draw()
                .map_err(unusable)?;
            for (at, line) in self.lines.iter().enumerate() {
                let style = COLOURS[at % COLOURS.len()].stroke_width(2);
                chart.draw_series(LineSeries::new(line.points.iter().copied(), style)).map_err(unusable)?;
                let dots = line.points.iter().map(|point| Circle::new(*point, 3, style.filled()));
                chart.draw_series(dots).map_err(unusable)?;
                let height = FIRST_LEGEND_LINE + at as i32 * LEGEND_LINE;
                let name = Text::new(line.name.as_str(), (32, height - 7), ("sans-serif", 15).into_font());
                legend.draw(&PathElement::new([(0, height), (24, height)], style)).map_err(unusable)?;
                legend.draw(&Circle::new((12, height), 3, style.filled())).map_err(unusable)?;
                legend.draw(&name).map_err(unusable)?;
            }
            root.present().map_err(unusable)?;
        }
        Ok(svg)
    }
}

impl Scale {
    /// A scale with room for all values.
    fn new(logarithmic: bool, values: Vec<f64>) -> Result<Self> {
        let fits = |value: &f64| value.is_finite() && (*value > 0.0 || !logarithmic);
        ensure!(values.iter().all(fits), "a value has no place on its axis");
        let least = values.iter().copied().reduce(f64::min).context("there is no point")?;
        let most = values.iter().copied().reduce(f64::max).context("there is no point")?;
        let mut scale =
            Scale { logarithmic, range: least.min(0.0)..most.max(f64::MIN_POSITIVE), ticks: Vec::new() };
        if logarithmic {
            // A tenth of the axis, and of a decade at least.
            let margin = (libm::log10(most / least) / 10.0).max(0.1);
            scale.range = scale.place(least) - margin..scale.place(most) + margin;
        } else {
            scale.range.end += (scale.range.end - scale.range.start) / 12.0;
        }
        scale.ticks =
            scale.candidates().into_iter().filter(|tick| scale.range.contains(&scale.place(*tick))).collect();
        Ok(scale)
    }

    /// Round values from below the axis to above it.
    fn candidates(&self) -> Vec<f64> {
        let Range { start, end } = self.range;
        if self.logarithmic {
            let decades = start.floor() as i32..=end.ceil() as i32;
            return decades.flat_map(|decade| steps(decade, if end - start > 3.5 { 1 } else { 3 })).collect();
        }
        let decade = libm::log10(end - start).floor() as i32;
        // The first step with which there are not more than eight labels.
        let step = [decade - 1, decade]
            .into_iter()
            .flat_map(|decade| steps(decade, 3))
            .find(|step| (end - start) / step < 8.0);
        let step = step.unwrap_or(end - start);
        ((start / step).floor() as i64..=(end / step).ceil() as i64).map(|at| at as f64 * step).collect()
    }

    fn place(&self, value: f64) -> f64 {
        if self.logarithmic { libm::log10(value) } else { value }
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (self.place(*value) - self.range.start) / (self.range.end - self.range.start);
        first + (f64::from(last - first) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    /// Of values, although only the mesh of three dimensions asks for it.
    fn range(&self) -> Range<f64> {
        let value = |place| if self.logarithmic { libm::exp10(place) } else { place };
        value(self.range.start)..value(self.range.end)
    }
}

impl ValueFormatter<f64> for Scale {
    fn format(value: &f64) -> String {
        plain(*value)
    }
}

/// The first of one, two and five times a power of ten.
fn steps(decade: i32, count: usize) -> impl Iterator<Item = f64> {
    [1.0, 2.0, 5.0].into_iter().take(count).map(move |step| step * libm::exp10(f64::from(decade)))
}

/// A number as people write it: 0.05, 7.5, 10,000.
fn plain(value: f64) -> String {
    // Three digits hide what the logarithm rounds.
    let decimals = (2 - libm::log10(value.abs().max(1e-9)).floor() as i32).clamp(0, 9) as usize;
    let number = format!("{value:.decimals$}");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    let mut text = String::new();
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    match fraction.trim_end_matches('0') {
        "" => text,
        fraction => format!("{text}.{fraction}"),
    }
}

/// Errors of the library borrow the string that is drawn into.
fn unusable(error: impl Display) -> anyhow::Error {
    anyhow!("{error}")
}
