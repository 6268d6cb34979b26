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

use crate::error::{Error, Result};
use crate::memory::filled;

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

    /// Share of images that got their class; 0 for no image.
    pub fn accuracy(&self) -> f64 {
        let hits: u64 = (0..self.classes).map(|class| self.row(class)[class]).sum();
        hits as f64 / self.counts.iter().sum::<u64>().max(1) as f64
    }

    /// Mean recall of the classes that occur; 0 for no image.
    pub fn balanced_recall(&self) -> f64 {
        let recalls: Vec<f64> = (0..self.classes).filter_map(|class| self.recall(class)).collect();
        recalls.iter().sum::<f64>() / recalls.len().max(1) as f64
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

    pub(super) fn check_names(&self, names: &[String]) -> Result<()> {
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
