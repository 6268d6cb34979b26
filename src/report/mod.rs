//! A report as one HTML file that needs nothing else: text, tables, curves as inline SVG, sheets of nearest neighbours and of
//! classes, confusion matrices, maps of embeddings, heat maps over frames.
//!
//! No scripts, no fonts, no address outside the file; a content security policy in it holds the browser to that. Everything
//! that comes from outside is escaped. It follows the reader's light or dark setting and prints.
//!
//! A page of pictures has megabytes: it is written part by part and never in memory as a whole, but for who asks for its text.
//!
//! ```
//! use seed::report::Report;
//! let mut report = Report::new("Distillation");
//! report.paragraph("Student against teacher.");
//! report.table("kNN", &["network", "recall"], &[vec!["student".into(), "0.71".into()]])?;
//! report.curve("Loss", "step", "loss", "student", &[(0.0, 11.0), (100.0, 9.2)]);
//! assert!(report.to_html()?.starts_with("<!doctype html>"));
//! # Ok::<(), seed::Error>(())
//! ```

mod axis;
mod chart;
mod classes;
mod confusion;
mod contour;
mod heat;
pub(in crate::report) mod html;
mod map;
mod sheet;
mod table;
mod thumbnail;

use std::io::{self, Write};
use std::path::Path;

pub use classes::ClassImages;
pub use heat::{HeatFigure, heat_picture};
pub use map::MapImages;
pub use sheet::SheetRow;
pub use table::Figure;
pub(crate) use table::bytes_of_cell;
pub use thumbnail::Thumbnail;

use crate::error::{Error, ErrorKind, Result};
use crate::eval::{Confusion, EmbeddingMap};
use crate::sys::disk::replace;
use crate::sys::memory::Written;
use chart::{Chart, Point};
use classes::ClassSheet;
use confusion::Matrix;
use heat::HeatSheet;
use html::escape;
use map::Map;
use sheet::Sheet;
use table::{Table, write_figures};

/// Seconds since 1970 of the first and the last moment of the years −9999 to 9999, with a day's room for time zones.
const MOMENTS: std::ops::RangeInclusive<f64> = -377_705_000_000.0..=253_402_000_000.0;

/// A report that grows from top to bottom.
#[derive(Clone, Debug)]
pub struct Report {
    title: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Heading(String),
    Paragraph(String),
    Figures(Vec<Figure>),
    Table(Table),
    Chart(Chart),
    Sheet(Sheet),
    Classes(ClassSheet),
    Confusion(Matrix),
    Map(Map),
    Heat(HeatSheet),
}

/// A measurement at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Seconds since 1970, UTC.
    pub seconds: f64,
    /// What was measured.
    pub value: f64,
    /// The ends of its confidence interval.
    pub interval: Option<(f64, f64)>,
    /// Whether to mark it.
    pub alarm: bool,
}

impl Report {
    /// A report with nothing but its title.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), parts: Vec::new() }
    }

    /// A heading between parts.
    pub fn heading(&mut self, text: &str) {
        self.parts.push(Part::Heading(text.to_owned()));
    }

    /// A paragraph of plain text.
    pub fn paragraph(&mut self, text: &str) {
        self.parts.push(Part::Paragraph(text.to_owned()));
    }

    /// A row of large numbers.
    pub fn figures(&mut self, figures: &[Figure]) {
        self.parts.push(Part::Figures(figures.to_vec()));
    }

    /// A table; columns whose cells are numbers are aligned right.
    ///
    /// # Errors
    /// `InvalidArgument` where a row has not as many cells as the header, `OutOfMemory`.
    pub fn table(&mut self, title: &str, header: &[&str], rows: &[Vec<String>]) -> Result<()> {
        self.parts.push(Part::Table(Table::new(title, header, rows)?));
        Ok(())
    }

    /// Adds points to a series of the chart of that title; both stand where they were first named. Points that are not finite are left
    /// out; of very many, the extremes of each stretch are kept.
    pub fn curve(&mut self, chart: &str, x_label: &str, y_label: &str, series: &str, points: &[(f64, f64)]) {
        self.chart(chart, || Chart::new(chart, x_label, y_label))
            .add(series, points.iter().map(|&(x, y)| Point::new(x, y)));
    }

    /// Adds a measurement to a series of a chart over time; both stand where they were first named. Values that are not finite are
    /// left out.
    ///
    /// # Errors
    /// `InvalidArgument` for a time outside of the years −9999 to 9999, an interval that does not hold the value, or a chart
    /// that is not one over time.
    pub fn moment(&mut self, chart: &str, y_label: &str, series: &str, moment: &Moment) -> Result<()> {
        let Moment { seconds, value, interval, alarm } = *moment;
        if !MOMENTS.contains(&seconds) {
            return Err(Error::invalid(format!("the time {seconds} s since 1970 is not in the years −9999 to 9999")));
        }
        let (low, high) = interval.unwrap_or((value, value));
        if interval.is_some() && !(low <= value && value <= high) {
            return Err(Error::invalid(format!("the interval {low} to {high} does not hold its value {value}")));
        }
        let known = self.chart(chart, || Chart::dated(chart, y_label));
        if !known.is_dated() {
            return Err(Error::invalid(format!(
                "the chart {chart:?} has numbers along x, not times; take another title"
            )));
        }
        known.add(series, std::iter::once(Point { x: seconds, y: value, low, high, alarm }));
        Ok(())
    }

    /// Draws a level across a chart, such as a threshold; one of the same name takes the place of the earlier one.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no such chart yet or the level is not finite.
    pub fn limit(&mut self, chart: &str, name: &str, y: f64) -> Result<()> {
        if !y.is_finite() || y.abs() > 1e100 {
            return Err(Error::invalid(format!("the limit {name:?} is {y}, expected a finite number")));
        }
        let known = self.parts.iter_mut().find_map(|part| as_chart(part, chart));
        known
            .ok_or_else(|| Error::invalid(format!("there is no chart {chart:?} yet; add a point to it first")))?
            .limit(name, y);
        Ok(())
    }

    /// The chart of that title, or a new one at the end.
    fn chart(&mut self, title: &str, new: impl FnOnce() -> Chart) -> &mut Chart {
        let place = self.parts.iter_mut().position(|part| as_chart(part, title).is_some()).unwrap_or_else(|| {
            self.parts.push(Part::Chart(new()));
            self.parts.len() - 1
        });
        match &mut self.parts[place] {
            Part::Chart(chart) => chart,
            // `place` is that of a chart.
            _ => unreachable!("not a chart"),
        }
    }

    /// Pictures of each class, at most `per_class` in a column: typical and unusual ones, and a classifier's mistakes.
    /// `thumbnail` makes the picture of an image, given what to write beside its name; an image that it refuses as broken
    /// (`Format`, `Io`) is passed over.
    ///
    /// # Errors
    /// `InvalidArgument` where there are not as many labels, embeddings and answers, a class has no name, or the sheet
    /// would be too large; what `thumbnail` fails with.
    pub fn class_sheet(
        &mut self,
        title: &str,
        images: &ClassImages<'_>,
        per_class: usize,
        thumbnail: impl FnMut(usize, &str) -> Result<Thumbnail>,
    ) -> Result<()> {
        self.parts.push(Part::Classes(ClassSheet::new(title, images, per_class, thumbnail)?));
        Ok(())
    }

    /// A confusion matrix: counts and shares of each row; of more than 60 classes the most frequent confusions.
    ///
    /// # Errors
    /// `InvalidArgument` where there are not as many names as classes.
    pub fn confusion(&mut self, title: &str, names: &[String], confusion: &Confusion) -> Result<()> {
        self.parts.push(Part::Confusion(Matrix::new(title, names, confusion)?));
        Ok(())
    }

    /// A map of embeddings with a name for each of its points.
    ///
    /// # Errors
    /// `InvalidArgument` where labels or names are not as many as there must be, or a class has no name.
    pub fn map(&mut self, title: &str, map: &EmbeddingMap, images: &MapImages<'_>, names: Vec<String>) -> Result<()> {
        self.parts.push(Part::Map(Map::new(title, map, images, names)?));
        Ok(())
    }

    /// Adds a heat map over its frame to the sheet of that title, which stands where it was first named.
    ///
    /// # Errors
    /// `InvalidArgument` where the sheet is full.
    pub fn heat_map(&mut self, sheet: &str, figure: HeatFigure) -> Result<()> {
        let known = self.parts.iter_mut().find_map(|part| match part {
            Part::Heat(known) if known.title() == sheet => Some(known),
            _ => None,
        });
        match known {
            Some(known) => known.add(figure),
            None => {
                let mut new = HeatSheet::new(sheet);
                new.add(figure)?;
                self.parts.push(Part::Heat(new));
                Ok(())
            }
        }
    }

    /// Queries and what each network holds to be nearest, side by side: `columns` names the networks, each row has one
    /// list of thumbnails for each. What all of them found is marked.
    ///
    /// # Errors
    /// `InvalidArgument` where a row has not one list for each column.
    pub fn neighbour_sheet(&mut self, title: &str, columns: &[&str], rows: Vec<SheetRow>) -> Result<()> {
        self.parts.push(Part::Sheet(Sheet::new(title, columns, rows)?));
        Ok(())
    }

    /// The whole file as a text.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn to_html(&self) -> Result<String> {
        let missing = || Error::new(ErrorKind::OutOfMemory, "no memory for the text of a report; write it to a file");
        let mut text = Written::default();
        self.write_html(&mut text).map_err(|_| missing())?;
        String::from_utf8(text.into_bytes()).map_err(|error| Error::internal("the report's text", error))
    }

    fn write_html(&self, out: &mut dyn Write) -> io::Result<()> {
        html::begin(&self.title, out)?;
        for part in &self.parts {
            match part {
                Part::Heading(text) => writeln!(out, "<h2>{}</h2>", escape(text))?,
                Part::Paragraph(text) => writeln!(out, "<p>{}</p>", escape(text))?,
                Part::Figures(figures) => write_figures(figures, out)?,
                Part::Table(table) => table.write(out)?,
                Part::Chart(chart) => chart.write(out)?,
                Part::Sheet(sheet) => sheet.write(out)?,
                Part::Classes(sheet) => sheet.write(out)?,
                Part::Confusion(matrix) => matrix.write(out)?,
                Part::Map(map) => map.write(out)?,
                Part::Heat(sheet) => sheet.write(out)?,
            }
        }
        html::end(out)
    }

    /// Writes the file; whoever opens `path` meanwhile sees the old one or the new one, whole.
    ///
    /// # Errors
    /// `Io` or `OutOfMemory`, and the old file is as it was.
    pub fn write(&self, path: &Path) -> Result<()> {
        replace(path, |file| self.write_html(file))
    }
}

/// What a part writes, for tests.
#[cfg(test)]
fn text_of(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut text = Vec::new();
    write(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn as_chart<'a>(part: &'a mut Part, title: &str) -> Option<&'a mut Chart> {
    match part {
        Part::Chart(known) if known.title() == title => Some(known),
        _ => None,
    }
}
