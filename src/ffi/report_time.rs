//! The parts of a `seed_report` that show how figures move from day to day.

use std::ffi::c_char;

use super::border::catch;
use super::drift::seed_drift_signal;
use super::error::seed_error;
use super::handle::with_mut;
use super::pointers::check_size;
use super::pointers::{array, text};
use super::report::seed_report;
use crate::report::Moment;

/// Adds a measurement at `time_us` (microseconds since 1970, UTC) to a series of a chart over time; chart and series stand where they
/// were first named. `low` and `high` are its confidence interval, which is drawn as a band along the series, or NAN both.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when the interval does not hold the value, the time is not in the years -9999 to 9999, or the
/// chart is one of seed_report_add_point.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_add_time_point(
    report: *mut seed_report,
    chart: *const c_char,
    y_label: *const c_char,
    series: *const c_char,
    time_us: i64,
    value: f64,
    low: f64,
    high: f64,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let interval = (!(low.is_nan() && high.is_nan())).then_some((low, high));
        let moment = Moment { seconds: seconds(time_us), value, interval, alarm: false };
        let (chart, y_label, series) = (text("chart", chart)?, text("y_label", y_label)?, text("series", series)?);
        with_mut(report, |report| report.moment(chart, y_label, series, &moment))
    })
}

/// Adds what a batch of frames at `time_us` said (seed_drift_measure) to a chart over time: its energy, marked where the signal was
/// raised, and the threshold of that batch.
///
/// Errors: as seed_report_add_time_point.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_add_drift(
    report: *mut seed_report,
    chart: *const c_char,
    time_us: i64,
    signal: *const seed_drift_signal,
) -> *mut seed_error {
    catch(|| unsafe {
        let chart = text("chart", chart)?;
        let found = array("signal", signal, 1)?[0];
        check_size::<seed_drift_signal>("seed_drift_signal", found.struct_size)?;
        let moment = |value, alarm| Moment { seconds: seconds(time_us), value, interval: None, alarm };
        with_mut(report, |report| {
            report.moment(chart, "energy distance", "drift", &moment(found.energy, found.raised != 0))?;
            report.moment(chart, "energy distance", "alarm above", &moment(found.threshold, false))
        })
    })
}

/// Draws a level across a chart, such as a threshold. One of the same name takes the place of the earlier one.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when the report has no such chart yet or `y` is not finite.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_add_limit(
    report: *mut seed_report,
    chart: *const c_char,
    name: *const c_char,
    y: f64,
) -> *mut seed_error {
    catch(|| unsafe {
        let (chart, name) = (text("chart", chart)?, text("name", name)?);
        with_mut(report, |report| report.limit(chart, name, y))
    })
}

fn seconds(time_us: i64) -> f64 {
    time_us as f64 / 1e6
}
