//! Sheets of nearest neighbours: each query with what one or more networks find nearest to it.

use std::io::{self, Write};

use super::html::escape;
use super::thumbnail::Thumbnail;
use crate::error::{Error, Result};

/// A query and the thumbnails of each column, nearest first.
#[derive(Clone, Debug)]
pub struct SheetRow {
    /// What was searched for.
    pub query: Thumbnail,
    /// One list for each column of the sheet.
    pub neighbours: Vec<Vec<Thumbnail>>,
}

impl SheetRow {
    /// Whether every column has it; with one column nothing is shared.
    fn is_shared(&self, key: u64) -> bool {
        self.neighbours.len() > 1 && self.neighbours.iter().all(|side| side.iter().any(|other| other.key() == key))
    }

    /// How many of the first column's thumbnails all columns have, and how many it has.
    fn shared(&self) -> (usize, usize) {
        let first = self.neighbours.first().map_or(&[][..], Vec::as_slice);
        (first.iter().filter(|thumbnail| self.is_shared(thumbnail.key())).count(), first.len())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Sheet {
    title: String,
    columns: Vec<String>,
    rows: Vec<SheetRow>,
}

impl Sheet {
    pub fn new(title: &str, columns: &[&str], rows: Vec<SheetRow>) -> Result<Self> {
        if let Some(row) = rows.iter().position(|row| row.neighbours.len() != columns.len()) {
            return Err(Error::invalid(format!(
                "row {row} of the sheet {title:?} has {} lists of neighbours, expected one for each of {} columns",
                rows[row].neighbours.len(),
                columns.len()
            )));
        }
        Ok(Self { title: title.to_owned(), columns: columns.iter().map(|&name| name.to_owned()).collect(), rows })
    }

    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "<figure class=\"sheet\">\n<figcaption>{}</figcaption>\n", escape(&self.title))?;
        let comparing = self.columns.len() > 1;
        if comparing {
            let (shared, all) =
                self.rows.iter().map(SheetRow::shared).fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
            let names = self.columns.join(" and ");
            writeln!(
                out,
                "<p class=\"note\"><b class=\"mark\">✓</b> found by {}: {shared} of {all} neighbours on this sheet</p>",
                escape(&names)
            )?;
        }
        out.write_all(b"<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">query</th>")?;
        for name in &self.columns {
            write!(out, "<th scope=\"col\">{}</th>", escape(name))?;
        }
        out.write_all(b"</tr></thead>\n<tbody>\n")?;
        for row in &self.rows {
            out.write_all(b"<tr><th scope=\"row\"><ul class=\"query\">")?;
            row.query.write(false, out)?;
            out.write_all(b"</ul></th>")?;
            for side in &row.neighbours {
                out.write_all(b"<td><ol>")?;
                for thumbnail in side {
                    thumbnail.write(row.is_shared(thumbnail.key()), out)?;
                }
                out.write_all(b"</ol></td>")?;
            }
            out.write_all(b"</tr>\n")?;
        }
        out.write_all(b"</tbody>\n</table></div></figure>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Frame;
    use crate::report::text_of;

    fn grey(key: u64, width: u32, height: u32) -> Thumbnail {
        let pixels = (0..width * height).map(|i| (i % 251) as u8).collect();
        Thumbnail::new(key, &Frame::new(width, height, 1, pixels).unwrap(), "a <b>").unwrap()
    }

    #[test]
    fn what_both_sides_found_is_marked_on_both() {
        let side = |keys: [u64; 2]| keys.map(|key| grey(key, 8, 8)).to_vec();
        let row = SheetRow { query: grey(9, 8, 8), neighbours: vec![side([1, 2]), side([3, 1])] };
        assert_eq!(row.shared(), (1, 2));
        let sheet = Sheet::new("s", &["student", "teacher"], vec![row.clone()]).unwrap();
        let html = text_of(|out| sheet.write(out));
        assert_eq!(html.matches("class=\"shared\"").count(), 2);
        assert!(html.contains("1 of 2 neighbours") && html.contains("a &lt;b&gt;") && !html.contains("<b>"));
        assert!(Sheet::new("s", &["student"], vec![row]).is_err());
    }
}
