//! `seed_report`: a page that a person can look at.

use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;

use super::border::catch;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with, with_mut};
use super::pointers::{array, product, put_new, text};
use crate::data::Dataset;
use crate::report::{Report, SheetRow, Thumbnail, bytes_of_cell};
use crate::sys::memory::{room, spare};
use crate::{Error, Result};

/// A report that grows from top to bottom and becomes one HTML file, with nothing outside it. Used by one thread at a
/// time.
pub struct seed_report(Guarded<Report>);
handle!(seed_report, Report);

/// Makes an empty report. The caller frees it with seed_report_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_new(title: *const c_char, out: *mut *mut seed_report) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe { put_new(out, || Ok(Report::new(text("title", title)?))) })
}

/// Adds a paragraph of plain text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_add_paragraph(
    report: *mut seed_report,
    paragraph: *const c_char,
) -> *mut seed_error {
    catch(|| unsafe {
        with_mut(report, |report| {
            report.paragraph(text("paragraph", paragraph)?);
            Ok(())
        })
    })
}

/// Adds a heading between parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_add_heading(report: *mut seed_report, heading: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        with_mut(report, |report| {
            report.heading(text("heading", heading)?);
            Ok(())
        })
    })
}

/// Adds a table of `columns` heads and `rows`·`columns` cells, row after row.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_add_table(
    report: *mut seed_report,
    title: *const c_char,
    heads: *const *const c_char,
    columns: usize,
    cells: *const *const c_char,
    rows: usize,
) -> *mut seed_error {
    catch(|| unsafe {
        with_mut(report, |report| {
            if columns == 0 {
                return Err(Error::invalid("columns is 0, expected at least one"));
            }
            let heads = texts("heads", heads, columns)?;
            let cells = texts("cells", cells, product("the table", columns, rows)?)?;
            spare(cells.iter().map(|cell| bytes_of_cell(cell)).sum(), "a table of a report")?;
            let rows: Vec<Vec<String>> =
                cells.chunks(columns).map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect();
            report.table(text("title", title)?, &heads, &rows)
        })
    })
}

/// Adds a point to a series of a chart; chart and series stand where they were first named.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_add_point(
    report: *mut seed_report,
    chart: *const c_char,
    x_label: *const c_char,
    y_label: *const c_char,
    series: *const c_char,
    x: f64,
    y: f64,
) -> *mut seed_error {
    catch(|| unsafe {
        with_mut(report, |report| {
            let (chart, series) = (text("chart", chart)?, text("series", series)?);
            report.curve(chart, text("x_label", x_label)?, text("y_label", y_label)?, series, &[(x, y)]);
            Ok(())
        })
    })
}

/// Adds a sheet of pictures: for each of `count` queries the `k` nearest by two networks, side by side; what both found is
/// marked. `queries` are numbers of images of `dataset`; `left` and `right` hold count·k numbers, as seed_neighbours
/// gives them for those queries.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_add_neighbours(
    report: *mut seed_report,
    title: *const c_char,
    dataset: *const seed_dataset,
    queries: *const u32,
    count: usize,
    k: usize,
    left_name: *const c_char,
    left: *const u32,
    right_name: *const c_char,
    right: *const u32,
) -> *mut seed_error {
    catch(|| unsafe {
        let dataset: Arc<Dataset> = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
        let needed = product("the sheet", count, k)?;
        let (left, right) = (array("left", left, needed)?, array("right", right, needed)?);
        let mut rows = Vec::new();
        for (i, &query) in array("queries", queries, count)?.iter().enumerate() {
            let side = |numbers: &[u32]| -> Result<Vec<Thumbnail>> {
                numbers[i * k..(i + 1) * k].iter().map(|&number| thumbnail(&dataset, number)).collect()
            };
            rows.push(SheetRow { query: thumbnail(&dataset, query)?, neighbours: vec![side(left)?, side(right)?] });
        }
        let columns = [text("left_name", left_name)?, text("right_name", right_name)?];
        with_mut(report, |report| report.neighbour_sheet(text("title", title)?, &columns, rows))
    })
}

/// Writes the report to an HTML file, atomically. More may be added and written again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_write(report: *const seed_report, path: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        with(report, |report| report.write(path))
    })
}

/// Releases a report. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_report_free(report: *mut seed_report) {
    free(report)
}

fn thumbnail(dataset: &Dataset, number: u32) -> Result<Thumbnail> {
    thumbnail_with(dataset, number as usize, "")
}

/// The image's thumbnail, with `caption` before its name, which may be long and is cut then.
pub(super) fn thumbnail_with(dataset: &Dataset, number: usize, caption: &str) -> Result<Thumbnail> {
    let name = dataset.name(number)?;
    let text = if caption.is_empty() { name } else { format!("{caption} · {name}") };
    Thumbnail::new(number as u64, &*dataset.load(number)?, &text)
}

pub(super) unsafe fn texts<'a>(name: &str, pointer: *const *const c_char, count: usize) -> Result<Vec<&'a str>> {
    // SAFETY: by contract of the C functions.
    let pointers = unsafe { array(name, pointer, count) }?;
    let mut texts = room(count, name)?;
    for (i, &pointer) in pointers.iter().enumerate() {
        texts.push(unsafe { text(&format!("{name}[{i}]"), pointer) }?);
    }
    Ok(texts)
}
