//! A confusion matrix for people: counts and shares of each row, tinted by the share; of very many classes the most frequent
//! confusions and each class's recall instead, since no one reads thousands of cells.

use std::io::{self, Write};

use super::axis::grouped;
use super::html::escape;
use crate::error::Result;
use crate::eval::Confusion;
use crate::sys::memory::{gathered, spare};

/// Classes of the largest matrix.
const MOST_CLASSES: usize = 60;
/// Rows of the list of confusions.
const MOST_PAIRS: usize = 40;

#[derive(Clone, Debug)]
pub(super) struct Matrix {
    title: String,
    names: Vec<String>,
    confusion: Confusion,
}

impl Matrix {
    pub fn new(title: &str, names: &[String], confusion: &Confusion) -> Result<Self> {
        confusion.check_names(names)?;
        spare(size_of_val(confusion.counts()), "a confusion matrix")?;
        Ok(Self { title: title.to_owned(), names: names.to_vec(), confusion: confusion.clone() })
    }

    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let matrix = &self.confusion;
        let images: u64 = matrix.counts().iter().sum();
        let balanced = matrix.balanced_interval();
        write!(
            out,
            "<figure class=\"confusion\">\n<figcaption>{}</figcaption>\n<p class=\"note\">{} images, accuracy {:.3}, balanced recall {:.3} (95 %: {:.3} to {:.3}; chance {:.3})</p>\n<div class=\"wide\">",
            escape(&self.title),
            grouped(&images.to_string()),
            matrix.accuracy(),
            balanced.value,
            balanced.low,
            balanced.high,
            matrix.chance()
        )?;
        if matrix.classes() <= MOST_CLASSES { self.write_cells(out) } else { self.write_lists(out) }?;
        out.write_all(b"</div></figure>\n")
    }

    /// True class by row, answered class by column.
    fn write_cells(&self, out: &mut dyn Write) -> io::Result<()> {
        let matrix = &self.confusion;
        out.write_all(b"<table>\n<thead><tr><th scope=\"col\">true class, by row; answered, by column</th>")?;
        for name in &self.names {
            // Written upwards, so that long names take no width.
            write!(out, "<th scope=\"col\" class=\"up\" title=\"{0}\"><span>{0}</span></th>", escape(name))?;
        }
        out.write_all(
            b"<th scope=\"col\" class=\"number\">images</th><th scope=\"col\" class=\"number\">recall</th></tr></thead>\n<tbody>\n",
        )?;
        for (truth, name) in self.names.iter().enumerate() {
            let row = &matrix.counts()[truth * matrix.classes()..][..matrix.classes()];
            let images: u64 = row.iter().sum();
            write!(out, "<tr><th scope=\"row\" title=\"{0}\"><span>{0}</span></th>", escape(name))?;
            for (answer, &count) in row.iter().enumerate() {
                write_cell(count, images, truth == answer, name, &self.names[answer], out)?;
            }
            writeln!(
                out,
                "<td class=\"number\">{}</td>{}</tr>",
                grouped(&images.to_string()),
                share(matrix.recall(truth))
            )?;
        }
        out.write_all(b"<tr><th scope=\"row\">precision</th>")?;
        for class in 0..matrix.classes() {
            out.write_all(share(matrix.precision(class)).as_bytes())?;
        }
        out.write_all(b"<td></td><td></td></tr>\n</tbody>\n</table>")
    }

    fn write_lists(&self, out: &mut dyn Write) -> io::Result<()> {
        let (matrix, classes) = (&self.confusion, self.names.len());
        let images = |truth: usize| matrix.counts()[truth * classes..][..classes].iter().sum::<u64>();
        let wrong = |(place, count): (usize, &u64)| {
            let (truth, answer) = (place / classes, place % classes);
            (truth != answer && *count > 0).then_some((*count, truth, answer))
        };
        let pairs = matrix.counts().iter().enumerate().filter_map(wrong);
        let mut pairs = gathered(pairs, "the confusions of a report").map_err(|_| io::ErrorKind::OutOfMemory)?;
        pairs.sort_unstable_by_key(|&(count, truth, answer)| (std::cmp::Reverse(count), truth, answer));
        let left_out = pairs.len().saturating_sub(MOST_PAIRS);
        out.write_all(
            b"<table>\n<thead><tr><th scope=\"col\">true class</th><th scope=\"col\">answered</th><th scope=\"col\" class=\"number\">images</th><th scope=\"col\" class=\"number\">share of the class</th></tr></thead>\n<tbody>\n",
        )?;
        for &(count, truth, answer) in pairs.iter().take(MOST_PAIRS) {
            writeln!(
                out,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"number\">{count}</td><td class=\"number\">{:.1} %</td></tr>",
                escape(&self.names[truth]),
                escape(&self.names[answer]),
                100.0 * count as f64 / images(truth) as f64
            )?;
        }
        out.write_all(b"</tbody>\n</table>\n")?;
        if left_out > 0 {
            writeln!(out, "<p class=\"note\">and {} rarer confusions</p>", grouped(&left_out.to_string()))?;
        }
        out.write_all(
            b"<table>\n<thead><tr><th scope=\"col\">true class</th><th scope=\"col\" class=\"number\">images</th><th scope=\"col\" class=\"number\">recall</th></tr></thead>\n<tbody>\n",
        )?;
        for (class, name) in self.names.iter().enumerate() {
            writeln!(
                out,
                "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td>{}</tr>",
                escape(name),
                images(class),
                share(matrix.recall(class))
            )?;
        }
        out.write_all(b"</tbody>\n</table>")
    }
}

fn write_cell(count: u64, images: u64, right: bool, truth: &str, answer: &str, out: &mut dyn Write) -> io::Result<()> {
    if count == 0 {
        return out.write_all(b"<td class=\"cell none\">0</td>");
    }
    let percent = 100.0 * count as f64 / images as f64;
    let class = if right { "right" } else { "wrong" };
    write!(
        out,
        "<td class=\"cell {class}\" style=\"--share:{percent:.0}%\" title=\"{} answered as {}\">{}<small>{percent:.0} %</small></td>",
        escape(truth),
        escape(answer),
        grouped(&count.to_string())
    )
}

fn share(value: Option<f64>) -> String {
    format!("<td class=\"number\">{}</td>", value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text_of;

    #[test]
    fn cells_say_counts_and_shares_of_the_row() {
        let confusion = Confusion::of(&[0, 0, 1, 1], &[0, 1, 1, 1], 2).unwrap();
        let names = ["good".to_owned(), "<b>&".to_owned()];
        let matrix = Matrix::new("t", &names, &confusion).unwrap();
        let html = text_of(|out| matrix.write(out));
        assert!(
            html.contains("--share:67%\" title=\"&lt;b&gt;&amp; answered as &lt;b&gt;&amp;\">2<small>67 %"),
            "{html}"
        );
        assert!(html.contains("class=\"cell none\">0<") && html.contains("4 images, accuracy 0.750"), "{html}");
        assert!(!html.contains("<b>"));
        assert!(Matrix::new("t", &names[..1], &confusion).is_err());
    }

    #[test]
    fn very_many_classes_are_lists_of_bounded_length() {
        let classes = 1000;
        let truth: Vec<usize> = (0..5000).map(|i| i % classes).collect();
        let answers: Vec<usize> = (0..5000).map(|i| if i % 3 == 0 { (i * 7) % classes } else { i % classes }).collect();
        let names: Vec<String> = (0..classes).map(|i| format!("class {i}")).collect();
        let matrix = Matrix::new("t", &names, &Confusion::of(&answers, &truth, classes).unwrap()).unwrap();
        let html = text_of(|out| matrix.write(out));
        assert!(html.len() < 250_000 && html.contains("rarer confusions"), "{} bytes", html.len());
    }
}
