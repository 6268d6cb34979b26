//! Curves as inline SVG: axes with round ticks, a legend, one line for each series.

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
/// Up to this many points each gets a dot that says its values.
const MOST_DOTS: usize = 60;
/// Colours and dashes in the style sheet; more series repeat them.
const STYLES: usize = 6;
/// Larger numbers are left out, so that no difference overflows.
const LARGEST: f64 = 1e100;
/// Smaller differences are none, so that no step underflows.
const SMALLEST: f64 = 1e-100;

#[derive(Clone, Debug)]
pub(super) struct Chart {
    title: String,
    x_label: String,
    y_label: String,
    series: Vec<Series>,
}

#[derive(Clone, Debug)]
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Chart {
    pub fn new(title: &str, x_label: &str, y_label: &str) -> Self {
        let [title, x_label, y_label] = [title, x_label, y_label].map(str::to_owned);
        Self { title, x_label, y_label, series: Vec::new() }
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    pub fn add(&mut self, name: &str, points: &[(f64, f64)]) {
        let drawable = |value: f64| value.abs() <= LARGEST;
        let drawable = points.iter().copied().filter(|&(x, y)| drawable(x) && drawable(y));
        match self.series.iter_mut().find(|series| series.name == name) {
            // A run adds its points one by one.
            Some(series) => {
                series.points.extend(drawable);
                series.points = thin(std::mem::take(&mut series.points));
            }
            None => self.series.push(Series { name: name.to_owned(), points: thin(drawable.collect()) }),
        }
    }

    pub fn to_html(&self) -> String {
        let mut out = format!("<figure>\n<figcaption>{}</figcaption>\n<ul class=\"legend\">", escape(&self.title));
        for (number, series) in self.series.iter().enumerate() {
            let style = number % STYLES;
            out += &format!(
                "<li><svg width=\"26\" height=\"10\" aria-hidden=\"true\"><path class=\"line s{style}\" d=\"M1 5H25\"/></svg>{}</li>",
                escape(&series.name)
            );
        }
        out += "</ul>\n";
        let points = || self.series.iter().flat_map(|series| &series.points);
        match (Axis::exact(points().map(|point| point.0)), Axis::rounded(points().map(|point| point.1))) {
            (Some(x), Some(y)) => out += &self.draw(&x, &y),
            _ => out += "<p class=\"note\">no points</p>\n",
        }
        out + "</figure>\n"
    }

    fn draw(&self, x_axis: &Axis, y_axis: &Axis) -> String {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let x_of = |x: f64| LEFT + (x - x_axis.low) / (x_axis.high - x_axis.low) * (right - LEFT);
        let y_of = |y: f64| bottom - (y - y_axis.low) / (y_axis.high - y_axis.low) * (bottom - TOP);
        let mut out = format!(
            "<div class=\"wide\"><svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escape(&self.title)
        );
        for &tick in &y_axis.ticks {
            let (y, text) = (y_of(tick), y_axis.text(tick));
            out += &format!(
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"y\" x=\"{}\" y=\"{:.1}\">{text}</text>\n",
                LEFT - 8.0,
                y + 4.0
            );
        }
        for &tick in &x_axis.ticks {
            let (x, text) = (x_of(tick), x_axis.text(tick));
            out += &format!(
                "<path class=\"axis\" d=\"M{x:.1} {bottom}v5\"/><text class=\"x\" x=\"{x:.1}\" y=\"{}\">{text}</text>\n",
                bottom + 18.0
            );
        }
        out += &format!(
            "<path class=\"axis\" d=\"M{LEFT} {bottom}H{right}\"/>\n\
             <text class=\"label end\" x=\"{right}\" y=\"{}\">{}</text>\n<text class=\"label\" x=\"8\" y=\"14\">{}</text>\n",
            HEIGHT - 8.0,
            escape(&self.x_label),
            escape(&self.y_label)
        );
        for (number, Series { name, points }) in self.series.iter().enumerate() {
            let (style, name) = (number % STYLES, escape(name));
            let corners: Vec<String> = points.iter().map(|&(x, y)| format!("{:.1} {:.1}", x_of(x), y_of(y))).collect();
            if corners.len() > 1 {
                out += &format!(
                    "<path class=\"line s{style}\" d=\"M{}\"><title>{name}</title></path>\n",
                    corners.join("L")
                );
            }
            for &(x, y) in points.iter().filter(|_| points.len() <= MOST_DOTS) {
                out += &format!(
                    "<circle class=\"dot s{style}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{name}: {} at {}</title></circle>\n",
                    x_of(x),
                    y_of(y),
                    short(y),
                    short(x)
                );
            }
        }
        out + "</svg></div>\n"
    }
}

/// Keeps both ends, and the lowest and the highest point of each of about `MOST_POINTS / 2` stretches, so that no peak is
/// lost.
fn thin(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= MOST_POINTS {
        return points;
    }
    let (first, last) = (points[0], points[points.len() - 1]);
    let stretch = points.len().div_ceil(MOST_POINTS / 2 - 1);
    let mut kept = vec![first];
    for part in points[1..points.len() - 1].chunks(stretch) {
        let by_height = |a: &usize, b: &usize| part[*a].1.total_cmp(&part[*b].1);
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

struct Axis {
    low: f64,
    high: f64,
    step: f64,
    ticks: Vec<f64>,
}

impl Axis {
    /// From the smallest to the largest value, or a little further where a tick is near; ticks lie between.
    fn exact(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = range(values)?;
        let step = round_step(high - low, 8.0);
        // 4,999 steps from 0 end at the tick of 5,000.
        let near = |tick: f64, end: f64| if (tick - end).abs() <= 0.02 * (high - low) { tick } else { end };
        let (low, high) = (near((low / step).floor() * step, low), near((high / step).ceil() * step, high));
        Some(Self { low, high, step, ticks: ticks((low / step - 1e-9).ceil(), (high / step + 1e-9).floor(), step) })
    }

    /// Widened to whole ticks.
    fn rounded(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = range(values)?;
        let step = round_step(high - low, 5.0);
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        Some(Self { low: first * step, high: last * step, step, ticks: ticks(first, last, step) })
    }

    /// With as many decimals as the step has.
    fn text(&self, tick: f64) -> String {
        if self.step >= 1e6 || self.step < 1e-5 {
            return format!("{tick:.2e}");
        }
        let fine = |decimals: i32| {
            (self.step * 10f64.powi(decimals)).fract().min(1.0 - (self.step * 10f64.powi(decimals)).fract()) < 1e-6
        };
        let decimals = (0..7).find(|&decimals| fine(decimals)).unwrap_or(7);
        grouped(&format!("{tick:.0$}", decimals as usize))
    }
}

/// The smallest and largest value, never equal; none without a value.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        None
    } else if high - low <= SMALLEST.max(1e-9 * low.abs().max(high.abs())) {
        // A constant is drawn in the middle; a range finer than float64's steps could not carry round ticks.
        let room = if low.abs() <= SMALLEST { 1.0 } else { low.abs() * 0.1 };
        Some((low - room, high + room))
    } else {
        Some((low, high))
    }
}

/// 1, 2 or 5 times a power of ten, so that about `wanted` steps cover `span`.
fn round_step(span: f64, wanted: f64) -> f64 {
    let rough = span / wanted;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.0);
    factor * power
}

fn ticks(first: f64, last: f64, step: f64) -> Vec<f64> {
    // round_step leaves about ten; the bound only guards against rounding far from zero. Adding 0 turns −0 into 0.
    let count = ((last - first) as usize + 1).min(20);
    (0..count).map(|number| (first + number as f64) * step + 0.0).collect()
}

/// A number for a person: five digits.
fn short(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e7).contains(&size) {
        return format!("{value:.3e}");
    }
    let decimals = if size >= 1000.0 { 0 } else { 4 };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    grouped(text)
}

/// "-12345.5" as "−12,345.5".
fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |rest| ("−", rest));
    let (whole, decimals) = digits.split_once('.').map_or((digits, None), |(whole, decimals)| (whole, Some(decimals)));
    let mut out = String::from(sign);
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(decimals) = decimals {
        out.push('.');
        out.push_str(decimals);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|&tick| axis.text(tick)).collect()
    }

    #[test]
    fn ticks_are_round() {
        let axis = Axis::rounded([0.113, 0.987].into_iter()).unwrap();
        assert_eq!(texts(&axis), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        let axis = Axis::exact([0.0, 12_345.0].into_iter()).unwrap();
        assert_eq!(texts(&axis), ["0", "2,000", "4,000", "6,000", "8,000", "10,000", "12,000"]);
        let axis = Axis::rounded([-0.02, 0.03].into_iter()).unwrap();
        assert_eq!(texts(&axis), ["−0.02", "−0.01", "0.00", "0.01", "0.02", "0.03"]);
    }

    #[test]
    fn odd_values_are_survived() {
        for values in [[3.0, 3.0], [0.0, 0.0], [-1e100, 1e100], [1e15, 1e15 + 0.25], [1e-300, 2e-300], [5e-324, 1e-323]]
        {
            for axis in [Axis::exact(values.into_iter()).unwrap(), Axis::rounded(values.into_iter()).unwrap()] {
                assert!(axis.low < axis.high && axis.ticks.len() <= 20, "{values:?}");
            }
        }
        let mut chart = Chart::new("t", "x", "y");
        chart.add("s", &[(f64::NAN, 1.0), (1.0, f64::INFINITY)]);
        assert!(chart.to_html().contains("no points"));
        chart.add("t", &[(2.0, 2.0)]);
        let html = chart.to_html();
        assert!(html.contains("<circle") && !html.contains("NaN") && !html.contains("inf"), "{html}");
    }

    #[test]
    fn thinning_keeps_the_peaks() {
        let mut points: Vec<(f64, f64)> = (0..50_000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        points[31_415].1 = 99.0;
        points[27_182].1 = -99.0;
        let thinned = thin(points);
        assert!(thinned.len() <= MOST_POINTS);
        assert_eq!((thinned[0].0, thinned[thinned.len() - 1].0), (0.0, 49_999.0));
        assert!(thinned.contains(&(31_415.0, 99.0)) && thinned.contains(&(27_182.0, -99.0)));
        assert!(thinned.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn numbers_read_well() {
        let read: Vec<String> = [0.0, 0.5, 1234567.0, -1500.0, 1e-7, 12.34567].map(short).into();
        assert_eq!(read, ["0", "0.5", "1,234,567", "−1,500", "1.000e-7", "12.3457"]);
    }
}
