//! Class sheets: some pictures of every class, chosen by a rule, so that the same report shows the same ones.
//!
//! With embeddings: the images nearest to the mean of their class's unit rows by cosine, and those farthest from it. Without:
//! images at even distances. With a classifier's answers: those it took for another class, the surest mistakes first.

use std::io::{self, Write};

use super::axis::grouped;
use super::html::escape;
use super::thumbnail::Thumbnail;
use crate::error::{Error, ErrorKind, Result};
use crate::eval::Embeddings;
use crate::sys::memory::{collected, gathered, room};

/// Thumbnails of one sheet: some 3 kB each.
const MOST_THUMBNAILS: usize = 3000;

/// What a class sheet is made of.
#[derive(Clone, Copy, Debug)]
pub struct ClassImages<'a> {
    /// The classes' names.
    pub names: &'a [String],
    /// The class of each image; −1: none, and the image is left out.
    pub labels: &'a [i32],
    /// One row for each image.
    pub embeddings: Option<Embeddings<'a>>,
    /// A classifier's answers for each image, −1 for none, and their probabilities, if known.
    pub answers: Option<(&'a [i32], Option<&'a [f32]>)>,
}

/// Images of one class in the order in which they are shown, and what their captions say: the cosine, or nothing. A class may be
/// the whole data set, so captions are made for what is shown only.
type Ranked = Vec<(usize, f64)>;

impl ClassImages<'_> {
    fn check(&self, per_class: usize) -> Result<()> {
        let images = self.labels.len();
        let classes = self.names.len();
        let known = |label: &i32| *label == -1 || usize::try_from(*label).is_ok_and(|label| label < classes);
        let answers = self.answers.map(|(answers, _)| answers).unwrap_or(&[]);
        if let Some(bad) = self.labels.iter().chain(answers).find(|label| !known(label)) {
            return Err(Error::invalid(format!(
                "a label or an answer is {bad}, expected −1 to {} for {classes} classes",
                classes as i64 - 1
            )));
        }
        for (what, count) in [
            ("embeddings", self.embeddings.map(|rows| rows.len())),
            ("answers", self.answers.map(|(answers, _)| answers.len())),
            ("probabilities", self.answers.and_then(|(_, shares)| shares).map(<[f32]>::len)),
        ] {
            if let Some(count) = count.filter(|&count| count != images) {
                return Err(Error::invalid(format!("{count} {what} for {images} images")));
            }
        }
        let thumbnails = classes.saturating_mul(per_class).saturating_mul(self.columns().len());
        if per_class == 0 || thumbnails > MOST_THUMBNAILS {
            return Err(Error::invalid(format!(
                "{per_class} images a class make a sheet of {thumbnails}, expected 1 to {MOST_THUMBNAILS}"
            )));
        }
        Ok(())
    }

    fn columns(&self) -> Vec<&'static str> {
        let mut columns = if self.embeddings.is_some() { vec!["most typical", "most unusual"] } else { vec!["images"] };
        columns.extend(self.answers.map(|_| "taken for another class"));
        columns
    }

    /// How many images the class has, and its columns.
    fn choose(&self, class: usize, unit: Option<&[f32]>) -> Result<(usize, Vec<Ranked>)> {
        let of_class = |i: &usize| self.labels[*i] == class as i32;
        let mut own = room((0..self.labels.len()).filter(of_class).count(), WHAT)?;
        own.extend((0..self.labels.len()).filter(of_class));
        let mut columns = match (unit, self.embeddings) {
            (Some(unit), Some(rows)) => by_centre(unit, rows.dim(), &own)?,
            _ => vec![collected(own.iter().map(|&image| (image, 0.0)), WHAT)?],
        };
        if let Some((answers, shares)) = self.answers {
            columns.push(self.mistakes(&own, answers, shares)?);
        }
        Ok((own.len(), columns))
    }

    fn mistakes(&self, own: &[usize], answers: &[i32], shares: Option<&[f32]>) -> Result<Ranked> {
        let sure = |image: usize| shares.map_or(0.0, |shares| f64::from(shares[image]));
        let wrong = own.iter().copied().filter(|&i| answers[i] >= 0 && answers[i] != self.labels[i]);
        let mut wrong = gathered(wrong.map(|image| (image, sure(image))), WHAT)?;
        wrong.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(wrong)
    }

    /// What stands beside the name of an image of that column.
    fn caption(&self, column: usize, image: usize, number: f64) -> String {
        let of_embeddings = if self.embeddings.is_some() { 2 } else { 0 };
        match self.answers {
            _ if column < of_embeddings => format!("cosine {number:.2}"),
            Some((answers, shares)) if column + 1 == self.columns().len() => {
                let answer = &self.names[answers[image] as usize];
                shares.map_or_else(|| format!("→ {answer}"), |_| format!("→ {answer} {number:.2}"))
            }
            _ => String::new(),
        }
    }
}

/// For messages.
const WHAT: &str = "the images of a class";

/// The images by their cosine to the mean of their unit rows, falling and rising.
fn by_centre(unit: &[f32], dim: usize, own: &[usize]) -> Result<Vec<Ranked>> {
    let mut centre = vec![0f64; dim];
    for &image in own {
        centre.iter_mut().zip(&unit[image * dim..]).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let length = centre.iter().map(|value| value * value).sum::<f64>().sqrt().max(1e-12);
    let cosine = |image: usize| {
        centre.iter().zip(&unit[image * dim..]).map(|(sum, &value)| sum * f64::from(value)).sum::<f64>() / length
    };
    let mut typical = collected(own.iter().map(|&image| (image, cosine(image))), WHAT)?;
    typical.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let unusual = collected(typical.iter().rev().copied(), WHAT)?;
    Ok(vec![typical, unusual])
}

#[derive(Clone, Debug)]
pub(super) struct ClassSheet {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<(String, usize, Vec<Vec<Thumbnail>>)>,
}

impl ClassSheet {
    /// At most `per_class` pictures in each column of a class. `thumbnail` makes that of an image, given what to write beside its
    /// name; an image that cannot be read is passed over.
    pub fn new(
        title: &str,
        of: &ClassImages<'_>,
        per_class: usize,
        mut thumbnail: impl FnMut(usize, &str) -> Result<Thumbnail>,
    ) -> Result<Self> {
        of.check(per_class)?;
        let unit = of.embeddings.map(|rows| rows.unit_rows()).transpose()?;
        let mut rows = Vec::new();
        for (class, name) in of.names.iter().enumerate() {
            let (images, ranked) = of.choose(class, unit.as_deref())?;
            let mut columns: Vec<Vec<Thumbnail>> = Vec::new();
            for (number, column) in ranked.iter().enumerate() {
                // What is typical already is not shown as unusual again; mistakes are.
                let taken: Vec<u64> = match number {
                    1 if of.embeddings.is_some() => columns[0].iter().map(Thumbnail::key).collect(),
                    _ => Vec::new(),
                };
                let step = if of.embeddings.is_none() && number == 0 { (column.len() / per_class).max(1) } else { 1 };
                let mut shown = Vec::new();
                for &(image, beside) in column.iter().step_by(step) {
                    if shown.len() == per_class {
                        break;
                    }
                    if taken.contains(&(image as u64)) {
                        continue;
                    }
                    match thumbnail(image, &of.caption(number, image, beside)) {
                        Ok(picture) => shown.push(picture),
                        Err(error) if matches!(error.kind(), ErrorKind::Format | ErrorKind::Io) => {}
                        Err(error) => return Err(error),
                    }
                }
                columns.push(shown);
            }
            rows.push((name.clone(), images, columns));
        }
        Ok(Self { title: title.to_owned(), columns: of.columns(), rows })
    }

    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(
            out,
            "<figure class=\"sheet classes\">\n<figcaption>{}</figcaption>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">class</th>",
            escape(&self.title)
        )?;
        for column in &self.columns {
            write!(out, "<th scope=\"col\">{column}</th>")?;
        }
        out.write_all(b"</tr></thead>\n<tbody>\n")?;
        for (name, images, columns) in &self.rows {
            write!(
                out,
                "<tr><th scope=\"row\">{}<small>{} images</small></th>",
                escape(name),
                grouped(&images.to_string())
            )?;
            for column in columns {
                if column.is_empty() {
                    out.write_all("<td>–</td>".as_bytes())?;
                    continue;
                }
                out.write_all(b"<td><ol>")?;
                for picture in column {
                    picture.write(false, out)?;
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

    fn numbers(sheet: &ClassSheet, class: usize) -> Vec<Vec<u64>> {
        sheet.rows[class].2.iter().map(|column| column.iter().map(Thumbnail::key).collect()).collect()
    }

    fn picture(image: usize, caption: &str) -> Result<Thumbnail> {
        Thumbnail::new(image as u64, &Frame::new(2, 2, 1, vec![0; 4])?, caption)
    }

    #[test]
    fn typical_unusual_and_mistaken_images_are_chosen() {
        let names = ["a".to_owned(), "<i>".to_owned()];
        // Class 0 leans to x, image 3 of it to y; class 1 is one image; image 5 has no class.
        let rows = [1.0, 0.1, 1.0, 0.0, 1.0, -0.4, 0.2, 1.0, 0.0, 1.0, 1.0, 1.0];
        let labels = [0, 0, 0, 0, 1, -1];
        let (answers, shares) = ([1, 0, 1, 1, 1, 0], [0.6, 0.9, 0.8, 0.6, 1.0, 1.0]);
        let of = ClassImages {
            names: &names,
            labels: &labels,
            embeddings: Some(Embeddings::new(&rows, 2).unwrap()),
            answers: Some((&answers, Some(&shares))),
        };
        let sheet = ClassSheet::new("t", &of, 2, picture).unwrap();
        assert_eq!(numbers(&sheet, 0), [vec![0, 1], vec![3, 2], vec![2, 0]]);
        assert_eq!(numbers(&sheet, 1), [vec![4], vec![], vec![]]);
        let html = text_of(|out| sheet.write(out));
        assert!(html.contains("→ &lt;i&gt; 0.80") && !html.contains("<i>") && html.contains("4 images"), "{html}");
    }

    #[test]
    fn without_embeddings_images_are_spread_and_broken_ones_passed_over() {
        let names = ["a".to_owned()];
        let of = ClassImages { names: &names, labels: &[0; 9], embeddings: None, answers: None };
        let sheet = ClassSheet::new("t", &of, 3, |image, caption| {
            if image == 3 { Err(Error::new(ErrorKind::Format, "broken")) } else { picture(image, caption) }
        });
        assert_eq!(numbers(&sheet.unwrap(), 0), [[0, 6]]);
        for (labels, per_class) in [(&[2][..], 1), (&[-2], 1), (&[0], 0), (&[0], 5000)] {
            assert!(ClassSheet::new("t", &ClassImages { labels, ..of }, per_class, picture).is_err());
        }
    }
}
