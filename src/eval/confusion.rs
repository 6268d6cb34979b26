//! The confusion matrix: how many images of each class got which class.
//!
//! `counts[t·K + p]` images of class t were called p. From it: recall(c) = counts[c,c] / Σ_p counts[c,p], precision(c) =
//! counts[c,c] / Σ_t counts[t,c], accuracy = trace / total, balanced recall = mean recall of the classes that occur.
//!
//! ```
//! use seed::eval::Confusion;
//! let matrix = Confusion::of(&[0, 1, 1, 0], &[0, 1, 0, 0], 2)?;
//! assert_eq!(matrix.counts(), [2, 1, 0, 1]);
//! assert_eq!(matrix.recall(0), Some(2.0 / 3.0));
//! assert_eq!(matrix.accuracy(), 0.75);
//! # Ok::<(), seed::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use super::bootstrap::Interval;
use crate::error::{Error, Result};
use crate::sys::memory::filled;

/// scipy.stats.norm.ppf(.975)
const TWO_SIDED_95: f64 = 1.959_963_984_540_054;

/// K×K counts, truth by row, prediction by column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

impl Confusion {
    /// Of predictions and true classes, all below `classes`.
    ///
    /// # Errors
    /// `InvalidArgument` where there are not equally many, or a class is out of bounds.
    pub fn of(predicted: &[usize], truth: &[usize], classes: usize) -> Result<Self> {
        if predicted.len() != truth.len() {
            return Err(Error::invalid(format!("{} predictions for {} images", predicted.len(), truth.len())));
        }
        let cells = classes.checked_mul(classes).ok_or_else(|| Error::invalid(format!("{classes} classes")))?;
        let mut counts = filled(0, cells, "a confusion matrix")?;
        for (&predicted, &truth) in predicted.iter().zip(truth) {
            if predicted >= classes || truth >= classes {
                return Err(Error::invalid(format!(
                    "class {} is out of bounds, there are {classes} classes",
                    predicted.max(truth)
                )));
            }
            counts[truth * classes + predicted] += 1;
        }
        Ok(Self { classes, counts })
    }

    /// K.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// K·K counts, row by row.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Whether the counts are as many as the classes ask for; what a file holds may lie.
    pub fn is_sound(&self) -> bool {
        self.classes.checked_mul(self.classes) == Some(self.counts.len())
    }

    fn row(&self, class: usize) -> &[u64] {
        &self.counts[class * self.classes..][..self.classes]
    }

    /// Share of a class's images that were called so; None where there is no such image.
    pub fn recall(&self, class: usize) -> Option<f64> {
        let images: u64 = self.row(class).iter().sum();
        (images > 0).then(|| self.row(class)[class] as f64 / images as f64)
    }

    /// Share of what was called `class` that is; None where nothing was.
    pub fn precision(&self, class: usize) -> Option<f64> {
        let called: u64 = (0..self.classes).map(|truth| self.row(truth)[class]).sum();
        (called > 0).then(|| self.row(class)[class] as f64 / called as f64)
    }

    /// Share of images that got their class; NaN for no image.
    pub fn accuracy(&self) -> f64 {
        let hits: u64 = (0..self.classes).map(|class| self.row(class)[class]).sum();
        hits as f64 / self.counts.iter().sum::<u64>() as f64
    }

    /// Mean recall of the classes that occur; NaN for no image.
    pub fn balanced_recall(&self) -> f64 {
        let recalls: Vec<f64> = (0..self.classes).filter_map(|class| self.recall(class)).collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }

    /// The balanced recall of answers that know nothing: 1 / the classes that occur, whether they are drawn or always the same. 1
    /// for no image.
    pub fn chance(&self) -> f64 {
        1.0 / (0..self.classes).filter(|&class| self.recall(class).is_some()).count().max(1) as f64
    }

    /// The balanced recall b with its 95 % interval: Wilson's ("Probable inference, the law of succession, and statistical inference",
    /// 1927) for n = m²/Σ 1/n_c images, m being the classes that occur and n_c the images of each. That is the number of images whose
    /// share of hits would vary as b does; where all classes have equally many it is their sum, and the interval is that of the share
    /// of hits. Unlike a bootstrap it does not shrink to a point where a class has one image or all answers are right.
    pub fn balanced_interval(&self) -> Interval {
        let counts = (0..self.classes).map(|class| self.row(class).iter().sum::<u64>()).filter(|&count| count > 0);
        let (present, inverse) = counts.fold((0.0, 0.0), |(m, sum), count| (m + 1.0, sum + 1.0 / count as f64));
        if present == 0.0 {
            return Interval { value: 0.0, low: 0.0, high: 1.0 };
        }
        let (value, n, z) = (self.balanced_recall(), present * present / inverse, TWO_SIDED_95);
        let middle = (value + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (value * (1.0 - value) / n + z * z / (4.0 * n * n)).sqrt();
        Interval { value, low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
    }

    /// Whether the balanced recall is shown to be above [`chance`](Self::chance): the lower end of its interval is.
    pub fn beats_chance(&self) -> bool {
        self.balanced_interval().low > self.chance()
    }

    /// The counts of both together.
    ///
    /// # Errors
    /// `InvalidArgument` where they have other classes.
    pub fn with(&self, other: &Self) -> Result<Self> {
        if self.classes != other.classes || !self.is_sound() || !other.is_sound() {
            return Err(Error::invalid(format!("matrices of {} and {} classes", self.classes, other.classes)));
        }
        let mut both = self.clone();
        both.counts.iter_mut().zip(&other.counts).for_each(|(sum, &count)| *sum = sum.saturating_add(count));
        Ok(both)
    }

    /// As a table for people: a head of "true class", the names and "recall", then a row for each true class.
    ///
    /// # Errors
    /// `InvalidArgument` where there are not as many names as classes.
    pub fn to_table(&self, names: &[String]) -> Result<(Vec<String>, Vec<Vec<String>>)> {
        self.check_names(names)?;
        let head = ["true class".to_owned()].into_iter().chain(names.iter().cloned()).chain(["recall".to_owned()]);
        let row = |(class, name): (usize, &String)| {
            let recall = self.recall(class).map_or_else(|| "–".to_owned(), |recall| format!("{recall:.3}"));
            let counts = self.row(class).iter().map(u64::to_string);
            [name.clone()].into_iter().chain(counts).chain([recall]).collect()
        };
        Ok((head.collect(), names.iter().enumerate().map(row).collect()))
    }

    pub(crate) fn check_names(&self, names: &[String]) -> Result<()> {
        if names.len() != self.classes {
            return Err(Error::invalid(format!("{} names for {} classes", names.len(), self.classes)));
        }
        Ok(())
    }

    /// As a table of comma-separated values (RFC 4180): a head of the names, then a row for each true class.
    ///
    /// # Errors
    /// `InvalidArgument` where there are not as many names as classes.
    pub fn to_csv(&self, names: &[String]) -> Result<String> {
        self.check_names(names)?;
        let mut table = String::from("truth \\ predicted");
        for name in names {
            table += &format!(",{}", quoted(name));
        }
        for (class, name) in names.iter().enumerate() {
            table += &format!("\n{}", quoted(name));
            for count in self.row(class) {
                table += &format!(",{count}");
            }
        }
        Ok(table + "\n")
    }
}

/// A name as a field: in quotes where it holds a comma, a quote or a line's end.
fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n', '\r']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_from_the_counts() {
        let matrix = Confusion::of(&[0, 0, 1, 2, 2, 2], &[0, 1, 1, 1, 2, 2], 4).unwrap();
        assert_eq!(matrix.recall(1), Some(1.0 / 3.0));
        assert_eq!((matrix.precision(0), matrix.recall(3), matrix.precision(3)), (Some(0.5), None, None));
        assert!((matrix.balanced_recall() - (1.0 + 1.0 / 3.0 + 1.0) / 3.0).abs() < 1e-12);
        assert!(Confusion::of(&[4], &[0], 4).is_err() && Confusion::of(&[0], &[], 4).is_err());
        let none = Confusion::of(&[], &[], 4).unwrap();
        assert!(none.accuracy().is_nan() && none.balanced_recall().is_nan());
    }

    /// `hits[c]` of `images[c]` right, the others called the next class.
    fn matrix(hits: &[usize], images: &[usize]) -> Confusion {
        let classes = hits.len();
        let (mut predicted, mut truth) = (Vec::new(), Vec::new());
        for class in 0..classes {
            for image in 0..images[class] {
                truth.push(class);
                predicted.push(if image < hits[class] { class } else { (class + 1) % classes });
            }
        }
        Confusion::of(&predicted, &truth, classes).unwrap()
    }

    #[test]
    fn the_interval_of_equal_classes_is_that_of_the_share_of_hits() {
        // scipy.stats.binomtest(hits, images).proportion_ci(method='wilson')
        for (hits, images, low, high) in [
            (&[3, 4][..], &[6, 6][..], 0.31951131254954973, 0.8067396863412435),
            (&[6, 6], &[6, 6], 0.7575059933447592, 1.0),
            (&[0, 0, 0], &[2, 2, 2], 0.0, 0.3903342879021653),
            (&[10, 10, 5, 5], &[25, 25, 25, 25], 0.21894885294932764, 0.39584854633346667),
        ] {
            let found = matrix(hits, images).balanced_interval();
            assert!((found.low - low).abs() < 1e-12 && (found.high - high).abs() < 1e-12, "{hits:?}: {found:?}");
        }
        // A class of two images counts for half of the recall, so the other's 200 help little: n = 4/(1/200 + 1/2).
        let found = matrix(&[200, 2], &[200, 2]).balanced_interval();
        let n = 4.0 / (1.0 / 200.0 + 1.0 / 2.0);
        assert!((found.low - n / (n + TWO_SIDED_95 * TWO_SIDED_95)).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn chance_is_beaten_only_by_enough_images() {
        // One answer for everything is chance, however many images there are.
        let always = Confusion::of(&[0; 900], &(0..900).map(|i| i % 3).collect::<Vec<_>>(), 3).unwrap();
        assert!((always.balanced_recall() - always.chance()).abs() < 1e-12 && !always.beats_chance());
        // Half of three classes is shown to be more than a third by 150 images, not by 12.
        assert!(matrix(&[25, 25, 25], &[50, 50, 50]).beats_chance() && !matrix(&[2, 2, 2], &[4, 4, 4]).beats_chance());
        // Of one class everything is known before.
        assert!(!matrix(&[9, 0], &[9, 0]).beats_chance());
        let both = matrix(&[2, 2, 2], &[4, 4, 4]).with(&matrix(&[5, 5, 5], &[6, 6, 6])).unwrap();
        assert!(both.counts().iter().sum::<u64>() == 30 && (both.balanced_recall() - 0.7).abs() < 1e-12);
        assert!(both.with(&always).is_ok() && both.with(&matrix(&[1, 1], &[1, 1])).is_err());
    }

    #[test]
    fn names_that_would_break_the_table_are_quoted() {
        let matrix = Confusion::of(&[1], &[0], 2).unwrap();
        let names = ["a, \"b\"".to_owned(), "c".to_owned()];
        assert_eq!(
            matrix.to_csv(&names).unwrap(),
            "truth \\ predicted,\"a, \"\"b\"\"\",c\n\"a, \"\"b\"\"\",0,1\nc,0,0\n"
        );
    }
}
