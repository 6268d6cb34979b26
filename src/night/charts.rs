//! The nights of the history as charts over dates, for the report: what was live after each night, refusals marked.

use jiff::Timestamp;

use super::evaluation::Gate;
use super::history::{Line, Pair};
use crate::gate::Criterion;
use crate::report::{Moment, Report};

/// A figure and the ends of its interval, where it has one.
type Found = (f64, Option<(f64, f64)>);

/// One chart: its title, what y counts, and the figure of a night.
struct Chart {
    title: &'static str,
    label: &'static str,
    of: fn(&Line) -> Option<Found>,
}

const CHARTS: [Chart; 5] = [
    Chart { title: "Overlap with the teacher", label: "overlap", of: |line| Some(with_interval(line, line.overlap?)) },
    Chart { title: "KL to the teacher", label: "KL, nats", of: |line| Some(with_interval(line, line.kl?)) },
    Chart {
        title: "kNN on the reference",
        label: "balanced recall",
        of: |line| line.knn_recall.map(|recall| (kept(line, recall.old, recall.new), None)),
    },
    Chart {
        title: "The classifier on the reference",
        label: "balanced recall",
        // A night without a new one leaves the old one live.
        of: |line| {
            let recall = line.classifier_recall?;
            kept(line, recall.old, recall.new.or(recall.old)).map(|recall| (recall, None))
        },
    },
    Chart {
        title: "Latency of one frame",
        label: "ms",
        of: |line| line.latency_ms.map(|latency| (kept(line, latency.old, latency.new), None)),
    },
];
const SERIES: &str = "live after the night (alarm: a new student was refused)";

/// Draws them; a line without a date or a figure is passed over. `gate`: tonight's, whose limits are drawn.
pub(super) fn over_time(page: &mut Report, nights: &[Line], gate: Option<&Gate>) {
    let mut dated: Vec<(f64, &Line)> = nights.iter().filter_map(|line| Some((seconds(line)?, line))).collect();
    // A clock that was set back must not draw a line back.
    dated.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (Chart { title, label, of }, limit) in CHARTS.iter().zip(limits(gate)) {
        let title = format!("{title}, over time");
        let mut drawn = false;
        for &(seconds, line) in &dated {
            let Some((value, interval)) = of(line) else { continue };
            let interval = interval.filter(|&(low, high)| low <= value && value <= high);
            let moment = Moment { seconds, value, interval, alarm: !line.live };
            // A year that no chart has room for.
            drawn |= page.moment(&title, label, SERIES, &moment).is_ok();
        }
        let chance = nights.last().and_then(|line| line.chance).filter(|_| *label == "balanced recall");
        if let (true, Some(level)) = (drawn, chance) {
            let _ = page.limit(&title, "chance", level);
        }
        if let (true, Some(level)) = (drawn, limit) {
            let _ = page.limit(&title, "what tonight's student had to keep to", level);
        }
    }
}

/// The level that the bound of the new student's figure had to keep to, of each chart. A margin as large as the figure itself limits
/// nothing, and would flatten the curve.
fn limits(gate: Option<&Gate>) -> [Option<f64>; 5] {
    let level = |one: Criterion| (one.limit.abs() < one.old.abs()).then_some(one.old + one.limit);
    let Some(gate) = gate else { return [None; 5] };
    [
        level(gate.overlap),
        level(gate.kl),
        gate.recall.filter(|_| gate.recall_decides).and_then(level),
        gate.classifier.filter(|_| gate.classifier_decides).and_then(level),
        level(gate.latency),
    ]
}

fn kept<T>(line: &Line, old: T, new: T) -> T {
    if line.live { new } else { old }
}

fn with_interval(line: &Line, pair: Pair) -> Found {
    let found = kept(line, pair.old, pair.new);
    (found.value, Some((found.low, found.high)))
}

fn seconds(line: &Line) -> Option<f64> {
    line.ended.parse::<Timestamp>().ok().map(|time| time.as_second() as f64)
}
