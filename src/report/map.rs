//! The drawing of a map of embeddings: a point for each image, a colour and a shape for each class, names where the pointer rests.

use std::io::{self, Write};

use super::axis::grouped;
use super::html::escape;
use crate::error::{Error, Result};
use crate::eval::{EmbeddingMap, MapMethod};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 640.0;
const EDGE: f64 = 24.0;
/// Colours in the style sheet.
const COLOURS: usize = 12;
/// Circle, square, triangle, diamond.
const SHAPES: usize = 4;
/// Classes that the legend names.
const MOST_NAMES: usize = 100;

/// What is known about the images of a map.
#[derive(Clone, Copy, Debug)]
pub struct MapImages<'a> {
    /// The class of each image that was given to the map; −1: none. Empty: no classes.
    pub labels: &'a [i32],
    /// The classes' names.
    pub classes: &'a [String],
}

/// Where an image lies, and its name.
type Point = (f64, f64, String);

#[derive(Clone, Debug)]
pub(super) struct Map {
    title: String,
    points: Vec<Point>,
    /// The class of each point, if it has one.
    of: Vec<Option<usize>>,
    /// Name, points shown, images in all.
    classes: Vec<(String, usize, usize)>,
    note: String,
    axes: Option<[f64; 2]>,
}

impl Map {
    /// `names` has a name for each point of the map.
    pub fn new(title: &str, map: &EmbeddingMap, images: &MapImages<'_>, names: Vec<String>) -> Result<Self> {
        let labels = images.labels;
        if !labels.is_empty() && labels.len() != map.total() {
            return Err(Error::invalid(format!("{} labels for {} embeddings", labels.len(), map.total())));
        }
        if names.len() != map.rows().len() {
            return Err(Error::invalid(format!("{} names for {} points", names.len(), map.rows().len())));
        }
        let known = images.classes.len();
        if let Some(bad) = labels.iter().find(|&&label| label < -1 || label >= 0 && label as usize >= known) {
            return Err(Error::invalid(format!(
                "a label is {bad}, expected −1 to {} for {known} classes",
                known as i64 - 1
            )));
        }
        let class_of = |row: u32| labels.get(row as usize).and_then(|&label| usize::try_from(label).ok());
        let of: Vec<Option<usize>> = map.rows().iter().map(|&row| class_of(row)).collect();
        let classes = images.classes.iter().enumerate().map(|(class, name)| {
            let shown = of.iter().filter(|own| **own == Some(class)).count();
            (name.clone(), shown, labels.iter().filter(|&&label| label == class as i32).count())
        });
        let points = map.points().iter().zip(names).map(|(point, name)| (point[0], point[1], name));
        Ok(Self {
            title: title.to_owned(),
            points: points.collect(),
            classes: classes.collect(),
            of,
            note: note(map),
            axes: map.explained(),
        })
    }

    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(
            out,
            "<figure class=\"map\">\n<figcaption>{}</figcaption>\n<p class=\"note\">{}</p>\n<ul class=\"legend\">",
            escape(&self.title),
            self.note
        )?;
        for (class, (name, shown, images)) in self.classes.iter().enumerate().take(MOST_NAMES) {
            let count = if shown == images {
                grouped(&images.to_string())
            } else {
                format!("{shown} of {}", grouped(&images.to_string()))
            };
            write!(
                out,
                "<li><svg width=\"12\" height=\"12\" aria-hidden=\"true\"><path class=\"p{}\" d=\"{}\"/></svg>{} ({count})</li>",
                class % COLOURS,
                marker(class, 6.0, 6.0, 5.0),
                escape(name)
            )?;
        }
        if self.classes.len() > MOST_NAMES {
            write!(out, "<li>and {} more classes</li>", self.classes.len() - MOST_NAMES)?;
        }
        if self.of.contains(&None) && !self.classes.is_empty() {
            out.write_all(
                b"<li><svg width=\"12\" height=\"12\" aria-hidden=\"true\"><circle class=\"p\" cx=\"6\" cy=\"6\" r=\"3\"/></svg>no class</li>",
            )?;
        }
        writeln!(
            out,
            "</ul>\n<div class=\"wide\"><svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}, {} points\">\n<rect class=\"grid\" x=\"1\" y=\"1\" width=\"{}\" height=\"{}\"/>",
            escape(&self.title),
            self.points.len(),
            WIDTH - 2.0,
            HEIGHT - 2.0
        )?;
        if let Some([first, second]) = self.axes {
            writeln!(
                out,
                "<text class=\"end\" x=\"{}\" y=\"{}\">first component, {:.0} % of the variance</text><text x=\"8\" y=\"16\">second component, {:.0} %</text>",
                WIDTH - 8.0,
                HEIGHT - 8.0,
                100.0 * first,
                100.0 * second
            )?;
        }
        self.draw(out)?;
        out.write_all(b"</svg></div></figure>\n")
    }

    /// The larger classes first, so that a rare one is not covered.
    fn draw(&self, out: &mut dyn Write) -> io::Result<()> {
        let ends = |of: fn(&Point) -> f64| {
            let (low, high) = self
                .points
                .iter()
                .map(of)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
            (low, if high > low { high } else { low + 1.0 })
        };
        let (x, y) = (ends(|point| point.0), ends(|point| point.1));
        // One scale for both axes: distances are what a map is about.
        let unit = ((WIDTH - 2.0 * EDGE) / (x.1 - x.0)).min((HEIGHT - 2.0 * EDGE) / (y.1 - y.0));
        let place = |point: &Point| {
            let across = WIDTH / 2.0 + (point.0 - (x.0 + x.1) / 2.0) * unit;
            let up = HEIGHT / 2.0 - (point.1 - (y.0 + y.1) / 2.0) * unit;
            (across, up)
        };
        let mut groups: Vec<(Option<usize>, Vec<&Point>)> = Vec::new();
        for (point, &class) in self.points.iter().zip(&self.of) {
            match groups.iter_mut().find(|group| group.0 == class) {
                Some(group) => group.1.push(point),
                None => groups.push((class, vec![point])),
            }
        }
        groups.sort_by_key(|(class, points)| (class.is_some(), std::cmp::Reverse(points.len()), *class));
        for (class, points) in groups {
            let style = class.map_or_else(|| "p".to_owned(), |class| format!("p{}", class % COLOURS));
            let name = class.map_or("no class", |class| &self.classes[class].0);
            let name = if self.classes.is_empty() { String::new() } else { format!(" · {}", escape(name)) };
            writeln!(out, "<g class=\"{style}\">")?;
            for point in points {
                let ((x, y), title) = (place(point), escape(&point.2));
                match class {
                    Some(class) => {
                        let sign = marker(class, x, y, 4.0);
                        writeln!(out, "<path d=\"{sign}\"><title>{title}{name}</title></path>")?;
                    }
                    None => writeln!(
                        out,
                        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"><title>{title}{name}</title></circle>"
                    )?,
                }
            }
            out.write_all(b"</g>\n")?;
        }
        Ok(())
    }
}

/// The outline of a class's sign around (x, y): neighbours in the list of classes differ in colour and shape.
fn marker(class: usize, x: f64, y: f64, r: f64) -> String {
    match (class + class / COLOURS) % SHAPES {
        0 => format!("M{:.1} {y:.1}a{r} {r} 0 1 0 {w} 0a{r} {r} 0 1 0 -{w} 0z", x - r, w = 2.0 * r),
        1 => format!("M{:.1} {:.1}h{w:.1}v{w:.1}h-{w:.1}z", x - 0.85 * r, y - 0.85 * r, w = 1.7 * r),
        2 => format!("M{x:.1} {:.1}l{:.1} {:.1}h-{:.1}z", y - 1.1 * r, 1.1 * r, 2.0 * r, 2.2 * r),
        _ => format!("M{x:.1} {:.1}l{r} {h:.1}l-{r} {h:.1}l-{r} -{h:.1}z", y - 1.3 * r, h = 1.3 * r),
    }
}

fn note(map: &EmbeddingMap) -> String {
    let (shown, total) = (map.rows().len(), map.total());
    let part = if shown == total {
        format!("{} images", grouped(&total.to_string()))
    } else {
        format!(
            "{} of {} images, drawn at random; where there are classes, of the largest ones fewer",
            grouped(&shown.to_string()),
            grouped(&total.to_string())
        )
    };
    match map.method() {
        MapMethod::Pca => format!("{part}. Principal components of the unit rows"),
        MapMethod::Tsne => {
            format!("{part}. t-SNE: who is near whom counts, distances between far groups and sizes of groups do not")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{Embeddings, MapConfig, embedding_map};
    use crate::report::text_of;

    #[test]
    fn a_map_has_a_sign_for_each_image_and_a_legend() {
        let rows: Vec<f32> = (0..60).map(|i| ((i * 37 % 19) as f32 - 9.0) / 9.0).collect();
        let names = ["good".to_owned(), "<crack>".to_owned()];
        let labels: Vec<i32> = (0..20).map(|i| i % 3 - 1).collect();
        let config = MapConfig { method: MapMethod::Pca, ..MapConfig::default() };
        let map = embedding_map(&Embeddings::new(&rows, 3).unwrap(), &labels, &config).unwrap();
        let images = MapImages { labels: &labels, classes: &names };
        let own: Vec<String> = (0..20).map(|i| format!("{i}&.png")).collect();
        let drawn = Map::new("t", &map, &images, own.clone()).unwrap();
        let html = text_of(|out| drawn.write(out));
        assert_eq!(html.matches("<title>").count(), 20);
        assert!(html.contains("<title>5&amp;.png · &lt;crack&gt;</title>") && html.contains("good (7)"), "{html}");
        assert!(html.contains("no class") && html.contains("% of the variance") && !html.contains("NaN"));
        assert!(Map::new("t", &map, &images, own[1..].to_vec()).is_err());
        assert!(Map::new("t", &map, &MapImages { labels: &[0], ..images }, own.clone()).is_err());
        assert!(Map::new("t", &map, &MapImages { classes: &names[..1], ..images }, own).is_err());
    }

    #[test]
    fn forty_eight_classes_have_signs_of_their_own() {
        let signs: std::collections::BTreeSet<_> =
            (0..48).map(|class| (class % COLOURS, (class + class / COLOURS) % SHAPES)).collect();
        assert_eq!(signs.len(), 48);
    }
}
