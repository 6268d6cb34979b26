//! Curves as inline SVG: axes with round ticks or dates, a legend, one line for each series, intervals as bands, limits.

use std::io::{self, Write};

use super::axis::{Axis, minute, short};
use super::html::escape;

/// User units of the drawing; it scales with the page.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 46.0;
/// A curve of more points than this is thinned: the drawing is no finer.
const MOST_POINTS: usize = 1000;
/// Up to this many points each gets a dot that says its values; an alarm always does.
const MOST_DOTS: usize = 60;
/// Colours and dashes in the style sheet; more series repeat them.
const STYLES: usize = 6;
/// Larger numbers are left out, so that no difference overflows.
const LARGEST: f64 = 1e100;

/// A point of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub x: f64,
    pub y: f64,
    /// The interval's ends; both are y where there is none.
    pub low: f64,
    pub high: f64,
    /// Marked as an alarm.
    pub alarm: bool,
}

impl Point {
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y, low: y, high: y, alarm: false }
    }

    fn is_drawable(&self) -> bool {
        [self.x, self.y, self.low, self.high].iter().all(|value| value.abs() <= LARGEST)
    }

    fn has_interval(&self) -> bool {
        self.low < self.high
    }
}

#[derive(Clone, Debug)]
pub(super) struct Chart {
    title: String,
    x_label: String,
    y_label: String,
    /// Whether x counts seconds since 1970.
    dated: bool,
    series: Vec<Series>,
    limits: Vec<(String, f64)>,
}

#[derive(Clone, Debug)]
struct Series {
    name: String,
    points: Vec<Point>,
}

impl Chart {
    pub fn new(title: &str, x_label: &str, y_label: &str) -> Self {
        let [title, x_label, y_label] = [title, x_label, y_label].map(str::to_owned);
        Self { title, x_label, y_label, dated: false, series: Vec::new(), limits: Vec::new() }
    }

    /// A chart over time.
    pub fn dated(title: &str, y_label: &str) -> Self {
        Self { dated: true, ..Self::new(title, "time (UTC)", y_label) }
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    pub fn is_dated(&self) -> bool {
        self.dated
    }

    pub fn add(&mut self, name: &str, points: impl Iterator<Item = Point>) {
        let drawable = points.filter(Point::is_drawable);
        match self.series.iter_mut().find(|series| series.name == name) {
            // A run adds its points one by one.
            Some(series) => {
                series.points.extend(drawable);
                series.points = thin(std::mem::take(&mut series.points));
            }
            None => self.series.push(Series { name: name.to_owned(), points: thin(drawable.collect()) }),
        }
    }

    /// A level that is drawn across; a later one of the same name takes its place.
    pub fn limit(&mut self, name: &str, y: f64) {
        match self.limits.iter_mut().find(|limit| limit.0 == name) {
            Some(limit) => limit.1 = y,
            None => self.limits.push((name.to_owned(), y)),
        }
    }

    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "<figure>\n<figcaption>{}</figcaption>\n<ul class=\"legend\">", escape(&self.title))?;
        let key = |style: String, name: &str, out: &mut dyn Write| {
            write!(
                out,
                "<li><svg width=\"26\" height=\"10\" aria-hidden=\"true\"><path class=\"{style}\" d=\"M1 5H25\"/></svg>{}</li>",
                escape(name)
            )
        };
        for (number, series) in self.series.iter().enumerate() {
            key(format!("line s{}", number % STYLES), &series.name, out)?;
        }
        for (name, y) in &self.limits {
            key("limit".to_owned(), &format!("{name}: {}", short(*y)), out)?;
        }
        let points = || self.series.iter().flat_map(|series| &series.points);
        if points().any(|point| point.alarm) {
            out.write_all(
                b"<li><svg width=\"26\" height=\"12\" aria-hidden=\"true\"><circle class=\"alarm\" cx=\"13\" cy=\"6\" r=\"4.5\"/></svg>alarm</li>",
            )?;
        }
        out.write_all(b"</ul>\n")?;
        if points().any(Point::has_interval) {
            out.write_all(b"<p class=\"note\">bands and bars: confidence intervals</p>\n")?;
        }
        let x = points().map(|point| point.x);
        let x = if self.dated { Axis::dates(x) } else { Axis::exact(x) };
        // A limit alone is nothing to draw.
        let levels = if x.is_some() { self.limits.as_slice() } else { &[] };
        let y = points().flat_map(|point| [point.y, point.low, point.high]);
        match (x, Axis::rounded(y.chain(levels.iter().map(|limit| limit.1)))) {
            (Some(x), Some(y)) => self.draw(&x, &y, out)?,
            _ => out.write_all(b"<p class=\"note\">no points</p>\n")?,
        }
        out.write_all(b"</figure>\n")
    }

    fn draw(&self, x_axis: &Axis, y_axis: &Axis, out: &mut dyn Write) -> io::Result<()> {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let x_of = |x: f64| LEFT + (x - x_axis.low) / (x_axis.high - x_axis.low) * (right - LEFT);
        let y_of = |y: f64| bottom - (y - y_axis.low) / (y_axis.high - y_axis.low) * (bottom - TOP);
        writeln!(
            out,
            "<div class=\"wide\"><svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escape(&self.title)
        )?;
        for (tick, text) in &y_axis.ticks {
            let y = y_of(*tick);
            writeln!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"y\" x=\"{}\" y=\"{:.1}\">{text}</text>",
                LEFT - 8.0,
                y + 4.0
            )?;
        }
        for (tick, text) in &x_axis.ticks {
            let x = x_of(*tick);
            writeln!(
                out,
                "<path class=\"axis\" d=\"M{x:.1} {bottom}v5\"/><text class=\"x\" x=\"{x:.1}\" y=\"{}\">{text}</text>",
                bottom + 18.0
            )?;
        }
        writeln!(
            out,
            "<path class=\"axis\" d=\"M{LEFT} {bottom}H{right}\"/>\n\
             <text class=\"label end\" x=\"{right}\" y=\"{}\">{}</text>\n<text class=\"label\" x=\"8\" y=\"14\">{}</text>",
            HEIGHT - 8.0,
            escape(&self.x_label),
            escape(&self.y_label)
        )?;
        for (name, y) in &self.limits {
            writeln!(
                out,
                "<path class=\"limit\" d=\"M{LEFT} {:.1}H{right}\"><title>{}: {}</title></path>",
                y_of(*y),
                escape(name),
                short(*y)
            )?;
        }
        // Bands first, so that every line lies on top of all of them.
        for (number, series) in self.series.iter().enumerate() {
            series.draw_intervals(number % STYLES, &x_of, &y_of, out)?;
        }
        for (number, series) in self.series.iter().enumerate() {
            self.draw_line(number % STYLES, series, &x_of, &y_of, out)?;
        }
        out.write_all(b"</svg></div>\n")
    }

    fn draw_line(
        &self,
        style: usize,
        series: &Series,
        x_of: &impl Fn(f64) -> f64,
        y_of: &impl Fn(f64) -> f64,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let (name, points) = (escape(&series.name), &series.points);
        if points.len() > 1 {
            write!(out, "<path class=\"line s{style}\" d=\"M")?;
            write_corners(points.iter().map(|point| (point.x, point.y)), x_of, y_of, out)?;
            writeln!(out, "\"><title>{name}</title></path>")?;
        }
        for point in points.iter().filter(|point| points.len() <= MOST_DOTS || point.alarm) {
            let at = if self.dated { minute(point.x) } else { short(point.x) };
            let interval = match point.has_interval() {
                true => format!(" ({} to {})", short(point.low), short(point.high)),
                false => String::new(),
            };
            let (class, radius, alarm) =
                if point.alarm { ("alarm".to_owned(), 4.5, ", alarm") } else { (format!("dot s{style}"), 3.0, "") };
            writeln!(
                out,
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\"><title>{name}: {}{interval} at {at}{alarm}</title></circle>",
                x_of(point.x),
                y_of(point.y),
                short(point.y),
            )?;
        }
        Ok(())
    }
}

impl Series {
    /// A band where points follow one another, a bar for one that stands alone.
    fn draw_intervals(
        &self,
        style: usize,
        x_of: &impl Fn(f64) -> f64,
        y_of: &impl Fn(f64) -> f64,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        for run in self.points.split(|point| !point.has_interval()) {
            match run {
                [] => {}
                [alone] => {
                    let (x, low, high) = (x_of(alone.x), y_of(alone.low), y_of(alone.high));
                    writeln!(out, "<path class=\"bar s{style}\" d=\"M{x:.1} {low:.1}V{high:.1}\"/>")?;
                }
                _ => {
                    let there = run.iter().map(|point| (point.x, point.high));
                    let back = run.iter().rev().map(|point| (point.x, point.low));
                    write!(out, "<path class=\"band s{style}\" d=\"M")?;
                    write_corners(there.chain(back), x_of, y_of, out)?;
                    out.write_all(b"Z\"/>\n")?;
                }
            }
        }
        Ok(())
    }
}

fn write_corners(
    points: impl Iterator<Item = (f64, f64)>,
    x_of: &impl Fn(f64) -> f64,
    y_of: &impl Fn(f64) -> f64,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (place, (x, y)) in points.enumerate() {
        write!(out, "{}{:.1} {:.1}", if place == 0 { "" } else { "L" }, x_of(x), y_of(y))?;
    }
    Ok(())
}

/// Keeps both ends, and the lowest and the highest point of each of about `MOST_POINTS / 2` stretches, so
/// that no peak is lost.
fn thin(points: Vec<Point>) -> Vec<Point> {
    if points.len() <= MOST_POINTS {
        return points;
    }
    let (first, last) = (points[0], points[points.len() - 1]);
    let stretch = points.len().div_ceil(MOST_POINTS / 2 - 1);
    let mut kept = vec![first];
    for part in points[1..points.len() - 1].chunks(stretch) {
        let by_height = |a: &usize, b: &usize| part[*a].y.total_cmp(&part[*b].y);
        let (lowest, highest) = ((0..part.len()).min_by(by_height), (0..part.len()).max_by(by_height));
        // `chunks` yields no empty part, so both are there.
        let (Some(lowest), Some(highest)) = (lowest, highest) else { continue };
        kept.push(part[lowest.min(highest)]);
        if lowest != highest {
            kept.push(part[lowest.max(highest)]);
        }
    }
    kept.push(last);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text_of;

    #[test]
    fn odd_values_are_survived() {
        let mut chart = Chart::new("t", "x", "y");
        chart.add("s", [Point::new(f64::NAN, 1.0), Point::new(1.0, f64::INFINITY)].into_iter());
        chart.limit("l", 3.0);
        assert!(text_of(|out| chart.write(out)).contains("no points"));
        chart.add("t", [Point::new(2.0, 2.0)].into_iter());
        let html = text_of(|out| chart.write(out));
        assert!(html.contains("<circle") && !html.contains("NaN") && !html.contains("inf"), "{html}");
    }

    #[test]
    fn thinning_keeps_the_peaks() {
        let mut points: Vec<Point> = (0..50_000).map(|i| Point::new(f64::from(i), f64::from(i % 7))).collect();
        points[31_415].y = 99.0;
        points[27_182].y = -99.0;
        let thinned = thin(points.clone());
        assert!(thinned.len() <= MOST_POINTS);
        assert_eq!((thinned[0].x, thinned[thinned.len() - 1].x), (0.0, 49_999.0));
        assert!(thinned.contains(&points[31_415]) && thinned.contains(&points[27_182]));
        assert!(thinned.is_sorted_by(|a, b| a.x < b.x));
    }

    #[test]
    fn intervals_are_bands_limits_are_lines_and_alarms_are_marked() {
        let mut chart = Chart::dated("t", "KL");
        let day = |i: i32| 1.7e9 + 86_400.0 * f64::from(i);
        let with = |i: i32, alarm| Point { x: day(i), y: 0.5, low: 0.4, high: 0.7, alarm };
        chart.add("s", [with(0, false), with(1, true), Point::new(day(2), 0.5), with(3, false)].into_iter());
        chart.limit("threshold", 0.9);
        chart.limit("threshold", 0.8);
        let html = text_of(|out| chart.write(out));
        assert_eq!(html.matches("class=\"band s0\"").count(), 1);
        assert_eq!(html.matches("class=\"bar s0\"").count(), 1);
        assert!(html.contains("0.5 (0.4 to 0.7) at 2023-11-15 22:13 UTC, alarm"), "{html}");
        assert!(html.contains("threshold: 0.8") && !html.contains("threshold: 0.9"));
        assert!(html.contains(">0.8</text>") || html.contains(">0.80</text>"), "the axis reaches the limit");
    }
}
