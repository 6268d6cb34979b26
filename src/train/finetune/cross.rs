//! Cross-validation of the linear classifier, for labels so few that none can be spared.
//!
//! ```text
//! the images of a class → k folds by turns → for each fold: fit on the others, logits z of the fold
//! penalty = argmin over λ of the NLL, at its best temperature, of all z together       temperature and threshold from the same z
//! ```
//!
//! Each image is answered by a layer that has not learned from it, so that as many answers stand for the classifier as there are
//! images (Stone, "Cross-validatory choice and assessment of statistical predictions", 1974). An image that is alone in its class is
//! always learned from: without it the class could not be answered.

use tch::Tensor;

use super::linear::{Linear, Problem, Scale, class_weights};
use super::{Score, floats};
use crate::data::random::{Purpose, generator, shuffle};
use crate::{Error, ErrorKind, Result};

/// Folds at most.
const MOST_FOLDS: usize = 5;

/// Features (N, d) in float64 with a class for each row, and how they are fitted.
pub(super) struct Images<'a> {
    pub features: &'a Tensor,
    pub truth: &'a [usize],
    pub classes: usize,
    pub balanced: bool,
    pub smoothing: f64,
}

/// What the images that were left out said of the best penalty.
pub(super) struct CrossValidated {
    pub penalty: f64,
    /// (images, classes), of those in a fold.
    pub logits: Vec<f32>,
    pub truth: Vec<usize>,
    pub score: Score,
    pub folds: usize,
}

impl Images<'_> {
    /// Tries `penalties`, strongest first; `done` is told how many were tried and how good the last one is, and ends it by returning
    /// true. None where no class has two images.
    ///
    /// # Errors
    /// `Cancelled` where `stop` says so before a penalty was tried; `OutOfMemory` or `Torch` from libtorch.
    pub fn cross_validate(
        &self,
        penalties: &[f64],
        seed: u64,
        stop: &mut dyn FnMut() -> bool,
        done: &mut dyn FnMut(usize, Score) -> bool,
    ) -> Result<Option<CrossValidated>> {
        let (fold_of, folds) = folds(self.truth, self.classes, seed);
        if folds == 0 {
            return Ok(None);
        }
        let mut parts = Vec::new();
        for fold in 0..folds {
            let rows = |own: bool| -> Vec<i64> {
                let chosen = fold_of.iter().enumerate().filter(|(_, of)| (**of == Some(fold)) == own);
                chosen.map(|(row, _)| row as i64).collect()
            };
            let (others, left_out) = (rows(false), rows(true));
            parts.push((self.fit(&others)?, self.rows(&left_out)?, left_out, None::<Linear>));
        }
        let rows: Vec<usize> = parts.iter().flat_map(|(_, _, left_out, _)| left_out).map(|&row| row as usize).collect();
        let truth: Vec<usize> = rows.iter().map(|&row| self.truth[row]).collect();
        let mut best: Option<(f64, Vec<f32>, Score)> = None;
        let mut stopped = false;
        'penalties: for (number, &penalty) in penalties.iter().enumerate() {
            let mut logits = Vec::new();
            for ((scale, problem), features, _, from) in &mut parts {
                let (layer, ended) = match problem.solve(penalty, from.as_ref(), stop) {
                    Err(error) if error.kind() == ErrorKind::Cancelled && best.is_some() => {
                        break 'penalties;
                    }
                    solved => solved?,
                };
                logits.extend(floats(&layer.logits(&scale.apply(features)?)?)?);
                stopped |= ended;
                *from = Some(layer);
            }
            let score = Score::of(&logits, self.classes, &truth)?;
            // Of equals the stronger penalty stays.
            if best.as_ref().is_none_or(|(_, _, known)| score.loss < known.loss) {
                best = Some((penalty, logits, score));
            }
            if done(number + 1, score) || stopped {
                break;
            }
        }
        let (penalty, logits, score) = best.ok_or_else(|| Error::new(ErrorKind::Internal, "no penalty was tried"))?;
        Ok(Some(CrossValidated { penalty, logits, truth, score, folds }))
    }

    fn rows(&self, rows: &[i64]) -> Result<Tensor> {
        let index = Tensor::f_from_slice(rows)?.f_to_device(self.features.device())?;
        Ok(self.features.f_index_select(0, &index)?)
    }

    fn fit(&self, rows: &[i64]) -> Result<(Scale, Problem)> {
        let (features, truth) =
            (self.rows(rows)?, rows.iter().map(|&row| self.truth[row as usize]).collect::<Vec<_>>());
        let scale = Scale::of(&features)?;
        let weights = class_weights(&truth, self.classes, self.balanced);
        let problem = Problem::new(&scale.apply(&features)?, &truth, &weights, self.smoothing)?;
        Ok((scale, problem))
    }
}

/// The fold of each image, none where it is always learned from, and the number of folds; 0 where no class has two images. Images of a
/// class go to folds by turns, so that a class of two or more is in each part that is learned from.
fn folds(truth: &[usize], classes: usize, seed: u64) -> (Vec<Option<usize>>, usize) {
    let mut of_class = vec![Vec::new(); classes];
    truth.iter().enumerate().for_each(|(row, &class)| of_class[class].push(row));
    let folds = of_class.iter().map(Vec::len).max().unwrap_or(0).min(MOST_FOLDS);
    let mut fold_of = vec![None; truth.len()];
    if folds < 2 {
        return (fold_of, 0);
    }
    let mut turn = 0;
    for (class, mut rows) in of_class.into_iter().enumerate().filter(|(_, rows)| rows.len() >= 2) {
        // Epoch 0 is the split into what is learned from and what is held out.
        shuffle(&mut generator(seed, 1, class as u64, Purpose::Split), &mut rows);
        for row in rows {
            fold_of[row] = Some(turn % folds);
            turn += 1;
        }
    }
    (fold_of, folds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_two_or_more_is_in_every_part_that_is_learned_from() {
        for counts in [[5, 5, 5], [2, 1, 2], [40, 2, 7], [3, 0, 2]] {
            let truth: Vec<usize> = (0..3).flat_map(|class| vec![class; counts[class]]).collect();
            let (fold_of, folds) = folds(&truth, 3, 7);
            assert_eq!(folds, (*counts.iter().max().unwrap()).min(5));
            for fold in 0..folds {
                let sizes = [0, 1, 2].map(|class| {
                    let of_class = truth.iter().zip(&fold_of).filter(|(truth, _)| **truth == class);
                    let left_out = of_class.filter(|(_, of)| **of == Some(fold)).count();
                    assert!(counts[class] == 0 || left_out < counts[class], "{counts:?}: class {class} is gone");
                    assert!(left_out <= counts[class].div_ceil(folds), "{counts:?}: uneven");
                    left_out
                });
                assert!(sizes.iter().sum::<usize>() > 0, "{counts:?}: fold {fold} is empty");
            }
            let alone = |row: usize| counts[truth[row]] == 1;
            assert!((0..truth.len()).all(|row| fold_of[row].is_none() == alone(row)), "{counts:?}");
        }
        assert_eq!(folds(&[0, 1, 2], 3, 7), (vec![None; 3], 0));
        assert_eq!(folds(&[], 3, 7), (vec![], 0));
    }

    #[test]
    fn what_is_left_out_is_answered_as_scikit_learn_does() {
        // Five images of one class are left out one by one, whatever the shuffle; the others' single images are always learned from.
        let values: Vec<f64> = (0..7)
            .flat_map(|i| (0..3).map(move |j| f64::from(3 * i + j).sin() + f64::from(u8::from(i % 2 == 1 && j == 0))))
            .collect();
        let features = Tensor::from_slice(&values).view([7, 3]);
        let images =
            Images { features: &features, truth: &[0, 0, 0, 0, 0, 1, 2], classes: 3, balanced: false, smoothing: 0.0 };
        // LogisticRegression(C=1/penalty) on the others at deviation 1 for each image; then the temperature by
        // scipy.optimize.minimize_scalar, and the mean negative log-likelihood of the five.
        let expected = [
            (100.0, 0.15447216519371804, 1.0, [4.56199367, -2.283839, -2.27815467]),
            (1.0, 0.4013344525311828, 1.0, [4.57976739, -2.83335817, -1.74640922]),
            (0.01, 0.606086274189824, 0.8, [16.35468994, -9.42928163, -6.92540831]),
        ];
        for (penalty, loss, accuracy, sums) in expected {
            let found = images.cross_validate(&[penalty], 7, &mut || false, &mut |_, _| false).unwrap().unwrap();
            assert_eq!((found.folds, found.truth.as_slice(), found.score.accuracy), (5, &[0; 5][..], accuracy));
            assert!((found.score.loss - loss).abs() < 1e-4, "{penalty}: {} instead of {loss}", found.score.loss);
            for (class, sum) in sums.into_iter().enumerate() {
                let own: f32 = found.logits.iter().skip(class).step_by(3).sum();
                assert!((f64::from(own) - sum).abs() < 2e-3 * sum.abs(), "{penalty}: {own} instead of {sum}");
            }
        }
        let mut told = Vec::new();
        let all = images.cross_validate(&[100.0, 1.0, 0.01], 7, &mut || false, &mut |done, score| {
            told.push((done, score.accuracy));
            false
        });
        assert_eq!((all.unwrap().unwrap().penalty, told), (100.0, vec![(1, 1.0), (2, 1.0), (3, 0.8)]));
        // Ended after the second: what was found by then.
        let ended = images.cross_validate(&[0.01, 1.0, 100.0], 7, &mut || false, &mut |done, _| done == 2);
        assert_eq!(ended.unwrap().unwrap().penalty, 1.0);
        let error = images.cross_validate(&[1.0], 7, &mut || true, &mut |_, _| false).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
