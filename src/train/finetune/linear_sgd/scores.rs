//! What is counted on test images, and the scores that come of it.

use crate::Result;
use crate::sys::memory::filled;

/// A test image is right in the top-5 sense where its class is among so many.
const TOP: usize = 5;

/// What the probe found.
#[derive(Debug, Clone, PartialEq)]
pub struct SgdScores {
    /// Labelled images that were learned from.
    pub images: usize,
    /// Labelled images that were tested on, broken ones left out.
    pub test_images: usize,
    /// Share of the test images whose class is the most probable one (top-1).
    pub accuracy: f64,
    /// Share of the test images whose class is among the five most probable ones (top-5); 1 where there are no more classes.
    pub top5: f64,
    /// Mean recall of the classes that have a test image.
    pub balanced_recall: f64,
    /// Recall of each class; none for a class without a test image.
    pub recalls: Vec<Option<f64>>,
    /// Mean −log of the probability that a test image's class was given.
    pub loss: f64,
    /// Mean loss of the steps of the last pass.
    pub train_loss: f64,
}

/// What was counted on the test images.
pub(super) struct Counts {
    /// Images and hits of each class.
    classes: Vec<(u64, u64)>,
    /// Hits in the top-5 sense.
    top5: u64,
    /// Sum of −log p.
    loss: f64,
}

impl Counts {
    pub fn new(classes: usize) -> Result<Self> {
        Ok(Self { classes: filled((0, 0), classes, "the recalls of classes")?, top5: 0, loss: 0.0 })
    }

    /// An image of class `truth` with these log-probabilities. Of equal ones the lower class comes first.
    pub fn add(&mut self, logs: &[f64], truth: usize) -> bool {
        let own = logs[truth];
        let before = |(class, &log): (usize, &f64)| log > own || (log == own && class < truth);
        let rank = logs.iter().enumerate().filter(|&one| before(one)).count();
        let (images, hits) = &mut self.classes[truth];
        *images += 1;
        *hits += u64::from(rank == 0);
        self.top5 += u64::from(rank < TOP);
        self.loss -= own;
        logs.iter().all(|log| log.is_finite())
    }

    pub fn scores(&self, images: usize, train_loss: f64) -> SgdScores {
        let tested: u64 = self.classes.iter().map(|(images, _)| images).sum();
        let hits: u64 = self.classes.iter().map(|(_, hits)| hits).sum();
        let share = |count: u64| count as f64 / tested as f64;
        let recalls: Vec<Option<f64>> =
            self.classes.iter().map(|&(images, hits)| (images > 0).then(|| hits as f64 / images as f64)).collect();
        let known: Vec<f64> = recalls.iter().flatten().copied().collect();
        SgdScores {
            images,
            test_images: tested as usize,
            accuracy: share(hits),
            top5: share(self.top5),
            balanced_recall: known.iter().sum::<f64>() / known.len() as f64,
            recalls,
            loss: self.loss / tested as f64,
            train_loss,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_a_stable_sort_downwards() {
        // numpy: argsort(-logs, kind="stable") gives the classes 1, 3, 0, 4, 5, 2, 6; the class 2 comes sixth.
        let logs = [-2.0, -0.5, -4.0, -0.5, -2.5, -3.0, -9.0];
        let mut counts = Counts::new(7).unwrap();
        for truth in 0..7 {
            assert!(counts.add(&logs, truth));
        }
        let scores = counts.scores(9, 0.25);
        assert_eq!((scores.images, scores.test_images, scores.accuracy, scores.top5), (9, 7, 1.0 / 7.0, 5.0 / 7.0));
        assert_eq!(scores.recalls[1], Some(1.0));
        assert!((scores.loss - 21.5 / 7.0).abs() < 1e-12 && scores.balanced_recall == 1.0 / 7.0);
        // Two of class 1, none of class 2: recalls and their mean are of what was there.
        let mut counts = Counts::new(3).unwrap();
        for (logs, truth) in [([-0.1, -2.0, -3.0], 0), ([-0.1, -2.0, -3.0], 1), ([-2.0, -0.1, -3.0], 1)] {
            assert!(counts.add(&logs, truth));
        }
        let scores = counts.scores(3, 0.0);
        assert_eq!((scores.recalls, scores.balanced_recall), (vec![Some(1.0), Some(0.5), None], 0.75));
        assert_eq!((scores.accuracy, scores.top5), (2.0 / 3.0, 1.0));
        assert!(!counts.add(&[f64::NAN, -1.0, -1.0], 1));
    }
}
