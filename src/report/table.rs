//! Tables, and numbers in large type.

use std::io::{self, Write};

use super::html::escape;
use crate::error::{Error, Result};
use crate::sys::memory::spare;

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

pub(super) fn write_figures(figures: &[Figure], out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"<dl class=\"figures\">\n")?;
    for Figure { label, value, note } in figures {
        write!(out, "<div><dt>{}</dt><dd>{}</dd>", escape(label), escape(value))?;
        if !note.is_empty() {
            write!(out, "<dd class=\"note\">{}</dd>", escape(note))?;
        }
        out.write_all(b"</div>\n")?;
    }
    out.write_all(b"</dl>\n")
}

/// A cell's text, its place in a row, and what an allocator keeps beside it.
pub(crate) fn bytes_of_cell(cell: &str) -> usize {
    cell.len() + 48
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: &str, header: &[&str], rows: &[Vec<String>]) -> Result<Self> {
        if let Some(row) = rows.iter().position(|row| row.len() != header.len()) {
            return Err(Error::invalid(format!(
                "row {row} of the table {title:?} has {} cells, expected {} as in the header",
                rows[row].len(),
                header.len()
            )));
        }
        let bytes: usize = rows.iter().flatten().map(|cell| bytes_of_cell(cell)).sum();
        spare(bytes, "a table of a report")?;
        let header = header.iter().map(|&cell| cell.to_owned()).collect();
        Ok(Self { title: title.to_owned(), header, rows: rows.to_vec() })
    }

    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let numeric: Vec<bool> = (0..self.header.len()).map(|column| self.is_numeric(column)).collect();
        let class = |column: usize| if numeric[column] { " class=\"number\"" } else { "" };
        write!(
            out,
            "<figure><figcaption>{}</figcaption>\n<div class=\"wide\"><table>\n<thead><tr>",
            escape(&self.title)
        )?;
        for (column, cell) in self.header.iter().enumerate() {
            write!(out, "<th scope=\"col\"{}>{}</th>", class(column), escape(cell))?;
        }
        out.write_all(b"</tr></thead>\n<tbody>\n")?;
        for row in &self.rows {
            out.write_all(b"<tr>")?;
            for (column, cell) in row.iter().enumerate() {
                let (tag, end) = if column == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
                write!(out, "<{tag}{}>{}</{end}>", class(column), escape(cell))?;
            }
            out.write_all(b"</tr>\n")?;
        }
        out.write_all(b"</tbody>\n</table></div></figure>\n")
    }

    /// Whether every cell that is not empty starts as a number does ("0.71 ± 0.02", "−3", "12 images/s", "—").
    fn is_numeric(&self, column: usize) -> bool {
        let starts = |cell: &String| cell.starts_with(|first: char| first.is_ascii_digit() || "+-−.–—".contains(first));
        let cells = || self.rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty());
        cells().next().is_some() && cells().all(starts)
    }
}
