//! Axes of a chart: what they span, round ticks, dates, and numbers for people.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Smaller differences are none, so that no step underflows.
pub(super) const SMALLEST: f64 = 1e-100;
/// About as many ticks as an axis of dates has room for.
const DATES: f64 = 8.0;
const DAY: i64 = 86_400;
/// Steps between dates in seconds, up to two weeks.
const STEPS: [i64; 16] =
    [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, DAY, 2 * DAY, 7 * DAY, 14 * DAY];
/// Longer ones in months.
const MONTHS: [i64; 9] = [1, 3, 6, 12, 24, 60, 120, 600, 1200];

/// One axis with the texts of its ticks.
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From the smallest to the largest value, or a little further where a tick is near; ticks lie between.
    pub fn exact(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = range(values)?;
        let step = round_step(high - low, 8.0);
        // 4,999 steps from 0 end at the tick of 5,000.
        let near = |tick: f64, end: f64| if (tick - end).abs() <= 0.02 * (high - low) { tick } else { end };
        let (low, high) = (near((low / step).floor() * step, low), near((high / step).ceil() * step, high));
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        Some(Self { low, high, ticks: ticks(first, last, step) })
    }

    /// Widened to whole ticks.
    pub fn rounded(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = range(values)?;
        let step = round_step(high - low, 5.0);
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        Some(Self { low: first * step, high: last * step, ticks: ticks(first, last, step) })
    }

    /// Of seconds since 1970 in UTC, with a little room at both ends.
    pub fn dates(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return None;
        }
        let room = (0.02 * (high - low)).max(1.0);
        let (low, high) = (low - room, high + room);
        Some(Self { low, high, ticks: date_ticks(low, high) })
    }
}

fn date_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let step = STEPS.into_iter().find(|&step| (high - low) / step as f64 <= DATES);
    let mut ticks = Vec::new();
    if let Some(step) = step {
        let mut at = (low / step as f64).ceil() as i64 * step;
        while at as f64 <= high {
            ticks.push((at as f64, date_text(at, step)));
            at += step;
        }
        return ticks;
    }
    let months_long = (high - low) / (30.4 * DAY as f64);
    let step = MONTHS.into_iter().find(|&step| months_long / step as f64 <= DATES).unwrap_or(12_000);
    // Dates are from −9999 to 9999, and so are the times that charts take.
    let Some(first) = moment(low as i64).map(|first| first.date()) else { return ticks };
    let mut month = (i64::from(first.year()) * 12 + i64::from(first.month()) - 1).div_euclid(step) * step;
    loop {
        let date = Date::new(month.div_euclid(12) as i16, month.rem_euclid(12) as i8 + 1, 1);
        let Ok(at) = date.and_then(|date| date.to_zoned(TimeZone::UTC)) else { return ticks };
        let at = at.timestamp().as_second();
        if at as f64 > high {
            return ticks;
        }
        if at as f64 >= low {
            ticks.push((at as f64, date_text(at, DAY)));
        }
        month += step;
    }
}

fn moment(seconds: i64) -> Option<jiff::civil::DateTime> {
    Some(Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC).datetime())
}

/// A moment as the ticks of `step` seconds need it: the day, the minute or the second.
fn date_text(seconds: i64, step: i64) -> String {
    let format = if step >= DAY {
        "%Y-%m-%d"
    } else if step >= 60 {
        "%m-%d %H:%M"
    } else {
        "%H:%M:%S"
    };
    moment(seconds).map_or_else(String::new, |moment| moment.strftime(format).to_string())
}

/// A moment with its minute.
pub(super) fn minute(seconds: f64) -> String {
    moment(seconds as i64).map_or_else(String::new, |moment| moment.strftime("%Y-%m-%d %H:%M UTC").to_string())
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

fn ticks(first: f64, last: f64, step: f64) -> Vec<(f64, String)> {
    // round_step leaves about ten; the bound only guards against rounding far from zero. Adding 0 turns −0 into 0.
    let count = ((last - first) as usize + 1).min(20);
    let places = (0..count).map(|number| (first + number as f64) * step + 0.0);
    places.map(|tick| (tick, tick_text(tick, step))).collect()
}

/// With as many decimals as the step has.
fn tick_text(tick: f64, step: f64) -> String {
    if !(1e-5..1e6).contains(&step) {
        return format!("{tick:.2e}");
    }
    let fine =
        |decimals: i32| (step * 10f64.powi(decimals)).fract().min(1.0 - (step * 10f64.powi(decimals)).fract()) < 1e-6;
    let decimals = (0..7).find(|&decimals| fine(decimals)).unwrap_or(7);
    grouped(&format!("{tick:.0$}", decimals as usize))
}

/// A number for a person: five digits.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e7).contains(&size) {
        return format!("{value:.3e}");
    }
    let decimals = if size >= 1000.0 { 0 } else { 4 };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    grouped(text)
}

/// A distance for a person: three digits that count.
pub(super) fn significant(value: f32) -> String {
    let size = f64::from(value).abs();
    if size == 0.0 || !(1e-4..1e7).contains(&size) {
        return short(f64::from(value));
    }
    let decimals = (2 - size.log10().floor() as i32).max(0) as usize;
    grouped(&format!("{value:.decimals$}"))
}

/// "-12345.5" as "−12,345.5".
pub(super) fn grouped(number: &str) -> String {
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

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
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
    fn dates_are_those_of_the_calendar() {
        // 2024-02-27 00:00 to 2024-03-02 00:00 UTC, over a leap day; `date -u -d @N` says so.
        let day = 1_708_992_000.0;
        let axis = Axis::dates([day, day + 4.0 * 86_400.0].into_iter()).unwrap();
        assert_eq!(texts(&axis), ["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02"]);
        let axis = Axis::dates([day, day + 3600.0].into_iter()).unwrap();
        assert_eq!(texts(&axis), ["02-27 00:00", "02-27 00:15", "02-27 00:30", "02-27 00:45", "02-27 01:00"]);
        let axis = Axis::dates([day, day + 400.0 * 86_400.0].into_iter()).unwrap();
        assert_eq!(texts(&axis), ["2024-04-01", "2024-07-01", "2024-10-01", "2025-01-01", "2025-04-01"]);
        assert_eq!(minute(day + 61.5), "2024-02-27 00:01 UTC");
        let lone = Axis::dates([day].into_iter()).unwrap();
        assert!(lone.low < day && day < lone.high);
    }

    #[test]
    fn odd_ranges_are_survived() {
        for values in [[3.0, 3.0], [0.0, 0.0], [-1e100, 1e100], [1e15, 1e15 + 0.25], [1e-300, 2e-300], [5e-324, 1e-323]]
        {
            for axis in [Axis::exact(values.into_iter()).unwrap(), Axis::rounded(values.into_iter()).unwrap()] {
                assert!(axis.low < axis.high && axis.ticks.len() <= 20, "{values:?}");
            }
        }
        for ends in [[-3.7e11, 2.5e11], [0.0, 2.5e11], [-3.7e11, -3.7e11 + 1.0]] {
            let axis = Axis::dates(ends.into_iter()).unwrap();
            assert!(axis.ticks.len() <= 60, "{} ticks", axis.ticks.len());
        }
    }

    #[test]
    fn numbers_read_well() {
        let read: Vec<String> = [0.0, 0.5, 1234567.0, -1500.0, 1e-7, 12.34567].map(short).into();
        assert_eq!(read, ["0", "0.5", "1,234,567", "−1,500", "1.000e-7", "12.3457"]);
        let read: Vec<String> = [0.0, 0.5, 1234567.0, 4.9984, -0.012345, 1e-7].map(significant).into();
        assert_eq!(read, ["0", "0.500", "1,234,567", "5.00", "−0.0123", "1.000e-7"]);
    }
}
