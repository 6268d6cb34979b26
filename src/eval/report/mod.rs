//! A report as one HTML file that needs nothing else: text, tables, curves as inline SVG, sheets of nearest neighbours.
//!
//! No scripts, no fonts, no address outside the file; a content security policy in it holds the browser to that. Everything
//! that comes from outside is escaped. It follows the reader's light or dark setting and prints.
//!
//! ```
//! use seed::eval::Report;
//! let mut report = Report::new("Distillation");
//! report.paragraph("Student against teacher.");
//! report.table("kNN", &["network", "recall"], &[vec!["student".into(), "0.71".into()]])?;
//! report.curve("Loss", "step", "loss", "student", &[(0.0, 11.0), (100.0, 9.2)]);
//! assert!(report.to_html().starts_with("<!doctype html>"));
//! # Ok::<(), seed::Error>(())
//! ```

mod chart;
pub(in crate::eval) mod html;
mod sheet;

use std::path::Path;

pub use sheet::{SheetRow, Thumbnail};

use crate::error::{Error, Result};
use chart::Chart;
use html::escape;
use sheet::Sheet;

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
}

/// A number that the reader should see first.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is.
    pub label: String,
    /// The number with its unit, as it is to be shown.
    pub value: String,
    /// What it is to be compared with; may be empty.
    pub note: String,
}

#[derive(Clone, Debug)]
struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
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
    /// `InvalidArgument` where a row has not as many cells as the header.
    pub fn table(&mut self, title: &str, header: &[&str], rows: &[Vec<String>]) -> Result<()> {
        if let Some(row) = rows.iter().position(|row| row.len() != header.len()) {
            return Err(Error::invalid(format!(
                "row {row} of the table {title:?} has {} cells, expected {} as in the header",
                rows[row].len(),
                header.len()
            )));
        }
        let header = header.iter().map(|&cell| cell.to_owned()).collect();
        self.parts.push(Part::Table(Table { title: title.to_owned(), header, rows: rows.to_vec() }));
        Ok(())
    }

    /// Adds points to a series of the chart of that title; both stand where they were first named. Points that are not finite are left
    /// out; of very many, the extremes of each stretch are kept.
    pub fn curve(&mut self, chart: &str, x_label: &str, y_label: &str, series: &str, points: &[(f64, f64)]) {
        let known = self.parts.iter_mut().find_map(|part| match part {
            Part::Chart(known) if known.title() == chart => Some(known),
            _ => None,
        });
        match known {
            Some(known) => known.add(series, points),
            None => {
                let mut new = Chart::new(chart, x_label, y_label);
                new.add(series, points);
                self.parts.push(Part::Chart(new));
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

    /// The whole file.
    pub fn to_html(&self) -> String {
        let mut body = String::new();
        for part in &self.parts {
            match part {
                Part::Heading(text) => body += &format!("<h2>{}</h2>\n", escape(text)),
                Part::Paragraph(text) => body += &format!("<p>{}</p>\n", escape(text)),
                Part::Figures(figures) => body += &html_of_figures(figures),
                Part::Table(table) => body += &table.to_html(),
                Part::Chart(chart) => body += &chart.to_html(),
                Part::Sheet(sheet) => body += &sheet.to_html(),
            }
        }
        html::page(&self.title, &body)
    }

    /// Writes the file; whoever opens `path` meanwhile sees the old one or the new one, whole.
    ///
    /// # Errors
    /// `Io`, and the old file is as it was.
    pub fn write(&self, path: &Path) -> Result<()> {
        html::write_whole(path, self.to_html().as_bytes())
    }
}

fn html_of_figures(figures: &[Figure]) -> String {
    let mut out = String::from("<dl class=\"figures\">\n");
    for Figure { label, value, note } in figures {
        out += &format!("<div><dt>{}</dt><dd>{}</dd>", escape(label), escape(value));
        if !note.is_empty() {
            out += &format!("<dd class=\"note\">{}</dd>", escape(note));
        }
        out += "</div>\n";
    }
    out + "</dl>\n"
}

impl Table {
    fn to_html(&self) -> String {
        let numeric: Vec<bool> = (0..self.header.len()).map(|column| self.is_numeric(column)).collect();
        let class = |column: usize| if numeric[column] { " class=\"number\"" } else { "" };
        let mut out = format!(
            "<figure><figcaption>{}</figcaption>\n<div class=\"wide\"><table>\n<thead><tr>",
            escape(&self.title)
        );
        for (column, cell) in self.header.iter().enumerate() {
            out += &format!("<th scope=\"col\"{}>{}</th>", class(column), escape(cell));
        }
        out += "</tr></thead>\n<tbody>\n";
        for row in &self.rows {
            out += "<tr>";
            for (column, cell) in row.iter().enumerate() {
                let (tag, end) = if column == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
                out += &format!("<{tag}{}>{}</{end}>", class(column), escape(cell));
            }
            out += "</tr>\n";
        }
        out + "</tbody>\n</table></div></figure>\n"
    }

    /// Whether every cell that is not empty starts as a number does ("0.71 ± 0.02", "−3", "12 images/s", "—").
    fn is_numeric(&self, column: usize) -> bool {
        let starts = |cell: &String| cell.starts_with(|first: char| first.is_ascii_digit() || "+-−.–—".contains(first));
        let cells = || self.rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty());
        cells().next().is_some() && cells().all(starts)
    }
}
