//! Intersection over union: how well predicted masks cover the true ones, class by class (Everingham et al., "The PASCAL visual object
//! classes challenge", IJCV 2010).
//!
//! ```text
//! n_ct = pixels of class t that were called c, over all images      IoU_c = n_cc / (Σ_t n_ct + Σ_c' n_c'c − n_cc)
//! mIoU = mean of IoU_c over the classes that a true or a predicted pixel has
//! ```
//!
//! ```
//! use seed::eval::MaskOverlap;
//! let mut overlap = MaskOverlap::new(3)?;
//! overlap.add(&[0, 0, 1, 1], &[0, 1, 1, 255])?; // the last pixel is ignored
//! assert_eq!((overlap.iou(0), overlap.iou(1), overlap.iou(2)), (Some(0.5), Some(0.5), None));
//! assert_eq!((overlap.mean_iou(), overlap.accuracy()), (0.5, 2.0 / 3.0));
//! # Ok::<(), seed::Error>(())
//! ```

use crate::error::{Error, Result};
use crate::sys::memory::filled;

/// The class of a pixel that counts for nothing.
pub const IGNORED: u8 = 255;

/// Classes at most: the others' numbers are bytes, and one is [`IGNORED`].
pub const MOST_CLASSES: usize = 255;

/// Pixels counted by their true and their predicted class.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskOverlap {
    classes: usize,
    /// n, predicted class by row, true class by column.
    counts: Vec<u64>,
}

impl MaskOverlap {
    /// Of no pixel yet.
    ///
    /// # Errors
    /// `InvalidArgument` for no class or more than [`MOST_CLASSES`]; `OutOfMemory`.
    pub fn new(classes: usize) -> Result<Self> {
        check_classes(classes)?;
        Ok(Self { classes, counts: filled(0, classes * classes, "counts of pixels")? })
    }

    /// Counts the pixels of an image. True ones of class [`IGNORED`] count for nothing.
    ///
    /// # Errors
    /// `InvalidArgument` where there are not as many of both or a class is unknown; nothing is counted then.
    pub fn add(&mut self, predicted: &[u8], truth: &[u8]) -> Result<()> {
        if predicted.len() != truth.len() {
            let (found, wanted) = (predicted.len(), truth.len());
            return Err(Error::invalid(format!("{found} predicted pixels for {wanted} true ones, expected as many")));
        }
        let known = |class: u8| usize::from(class) < self.classes;
        let unknown = |what: &str, place: usize, class: u8| {
            let highest = self.classes - 1;
            Error::invalid(format!("the {what} class of pixel {place} is {class}, expected 0 to {highest}"))
        };
        for (place, (&predicted, &truth)) in predicted.iter().zip(truth).enumerate() {
            if truth != IGNORED && !known(truth) {
                return Err(unknown("true", place, truth));
            }
            if !known(predicted) {
                return Err(unknown("predicted", place, predicted));
            }
        }
        for (&predicted, &truth) in predicted.iter().zip(truth).filter(|&(_, &truth)| truth != IGNORED) {
            self.counts[usize::from(predicted) * self.classes + usize::from(truth)] += 1;
        }
        Ok(())
    }

    /// IoU of a class below the number of classes; none where no true and no predicted pixel has it.
    pub fn iou(&self, class: usize) -> Option<f64> {
        let predicted: u64 = self.counts[class * self.classes..][..self.classes].iter().sum();
        let truth: u64 = self.counts.iter().skip(class).step_by(self.classes).sum();
        let both = self.counts[class * self.classes + class];
        let union = predicted + truth - both;
        (union > 0).then(|| both as f64 / union as f64)
    }

    /// Mean IoU; NaN where no pixel was counted.
    pub fn mean_iou(&self) -> f64 {
        let found: Vec<f64> = (0..self.classes).filter_map(|class| self.iou(class)).collect();
        found.iter().sum::<f64>() / found.len() as f64
    }

    /// Share of the pixels that got their class; NaN where none was counted.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = self.counts.iter().step_by(self.classes + 1).sum();
        right as f64 / self.counts.iter().sum::<u64>() as f64
    }
}

/// Refuses a number of classes that masks cannot have.
pub(crate) fn check_classes(classes: usize) -> Result<()> {
    if !(1..=MOST_CLASSES).contains(&classes) {
        return Err(Error::invalid(format!("{classes} classes, expected 1 to {MOST_CLASSES}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_add_up_and_what_does_not_fit_is_refused() {
        let mut both = MaskOverlap::new(2).unwrap();
        both.add(&[0, 1, 1], &[0, 0, 1]).unwrap();
        both.add(&[1, 0], &[1, 255]).unwrap();
        let mut once = MaskOverlap::new(2).unwrap();
        once.add(&[0, 1, 1, 1, 0], &[0, 0, 1, 1, 255]).unwrap();
        assert_eq!(both, once);
        assert_eq!((both.iou(0), both.iou(1)), (Some(0.5), Some(2.0 / 3.0)));
        for (predicted, truth) in [(&[0u8, 1][..], &[0u8][..]), (&[2], &[0]), (&[0], &[2]), (&[255], &[0])] {
            assert!(both.add(predicted, truth).is_err());
        }
        assert_eq!(both, once, "a refusal counts nothing");
        assert!(MaskOverlap::new(0).is_err() && MaskOverlap::new(256).is_err());
        let none = MaskOverlap::new(255).unwrap();
        assert!(none.mean_iou().is_nan() && none.accuracy().is_nan());
    }
}
