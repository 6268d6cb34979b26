//! The linear probe: what a linear classifier makes of frozen features, over repeated splits (method.md §6).
//!
//! For each of some seeds: a third of each class is kept for testing, of the rest the share `label_fraction` is learned from
//! (1: the linear protocol; .01 and .1: few labels), a fifth of what is learned from chooses the penalty (cross-validation, where that
//! would be fewer than 30 images), then the classifier
//! is fitted anew to all of it. In place of the paper's SGD (lr 30·B/256, 100 epochs) it is the exact minimum by L-BFGS, which
//! has no learning rate to be tuned for each network.

use tch::{Kind, Tensor};

use super::linear::{Problem, Scale, class_weights};
use super::penalty::PENALTIES;
use super::split::split;
use super::{FEWEST_HELD_OUT, Score, cross, floats};
use crate::config::FinetuneConfig;
use crate::eval::calibration::probabilities;
use crate::eval::judgement::answers;
use crate::eval::knn::{MAX_SPLITS, Spread};
use crate::eval::{Confusion, Embeddings, auroc_one_against_rest};
use crate::{Error, Result};

/// Most classes; each takes memory, so that one wild label must not decide how much.
const MAX_CLASSES: usize = 1 << 16;

/// What a probe asks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probe {
    /// Random splits, 1 to [`MAX_SPLITS`].
    pub splits: u32,
    /// Share of each class that is kept for testing.
    pub test_fraction: f64,
    /// Share of the other images' labels that is learned from, at least one image a class.
    pub label_fraction: f64,
    /// Which splits: equal seeds give equal splits of equal labels, so that networks can be compared.
    pub seed: u64,
}

impl Default for Probe {
    fn default() -> Self {
        Self { splits: 5, test_fraction: 1.0 / 3.0, label_fraction: 1.0, seed: 0 }
    }
}

/// What it found, over the splits.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeScores {
    /// Share of test images that got their class.
    pub accuracy: Spread,
    /// Mean recall of the classes.
    pub balanced_recall: Spread,
    /// Mean over classes of the AUROC against all others; NaN where no split has two classes to test on.
    pub auroc: Spread,
    /// Recall of each class; NaN where no split has a test image of it.
    pub recalls: Vec<Spread>,
}

/// The number of classes that `labels` speak of: the highest one + 1.
///
/// # Errors
/// `InvalidArgument` where that would be more than memory should be taken for.
pub fn class_count(labels: &[i32]) -> Result<usize> {
    let classes = labels.iter().copied().max().map_or(0, |highest| usize::try_from(highest).map_or(0, |c| c + 1));
    if classes > MAX_CLASSES {
        return Err(Error::invalid(format!("a label is {}, expected below {MAX_CLASSES}", classes - 1)));
    }
    Ok(classes)
}

/// Probes `features` (N, D) with the class of each row, numbered from 0; −1 leaves a row out.
///
/// # Errors
/// `InvalidArgument` where there is not a label for each row, fewer than two classes occur, or nothing is left to test on;
/// `Cancelled` where `stop` says so; `OutOfMemory` or `Torch` from libtorch.
pub fn linear_probe(
    features: &Embeddings<'_>,
    labels: &[i32],
    probe: &Probe,
    stop: &mut dyn FnMut() -> bool,
) -> Result<ProbeScores> {
    let classes = class_count(labels)?;
    let labelled = crate::infer::classifier::labelled(labels, features.len(), classes)?;
    if !((1..=MAX_SPLITS).contains(&probe.splits) && probe.test_fraction > 0.0 && probe.test_fraction < 1.0) {
        return Err(Error::invalid(format!(
            "{} splits with {} for testing, expected 1 to {MAX_SPLITS} and a share between 0 and 1",
            probe.splits, probe.test_fraction
        )));
    }
    let mut scores = Collected::new(classes);
    for number in 0..u64::from(probe.splits) {
        let seed = probe.seed.wrapping_add(number);
        let outer = FinetuneConfig {
            held_out: probe.test_fraction,
            label_fraction: probe.label_fraction,
            ..FinetuneConfig::default()
        };
        let outer = split(labels, &labelled, classes, &outer, seed);
        scores.push(probe_once(features, labels, classes, (&outer.train, &outer.held_out), seed, stop)?);
    }
    Ok(scores.spread())
}

/// How well a classifier that is fitted to the rows `train` does on the rows `test`; `seed` decides which fifth of `train`
/// chooses the penalty, or where that would be few images, the folds of the cross-validation that chooses it.
///
/// # Errors
/// Those of [`linear_probe`].
pub(super) fn probe_once(
    features: &Embeddings<'_>,
    labels: &[i32],
    classes: usize,
    (train, test): (&[usize], &[usize]),
    seed: u64,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Scores> {
    let test = Part::of(features, labels, test)?;
    let inner = FinetuneConfig { held_out: 0.2, ..FinetuneConfig::default() };
    let inner = split(labels, train, classes, &inner, seed);
    let mut best = (f64::INFINITY, 1.0);
    if inner.held_out.len() < FEWEST_HELD_OUT {
        let all = Part::of(features, labels, train)?;
        let images =
            cross::Images { features: &all.features, truth: &all.truth, classes, balanced: false, smoothing: 0.0 };
        if let Some(found) = images.cross_validate(&PENALTIES, seed, stop, &mut |_, _| false)? {
            best.1 = found.penalty;
        }
    } else {
        let (learn, choose) = (Part::of(features, labels, &inner.train)?, Part::of(features, labels, &inner.held_out)?);
        let mut from = None;
        let fit = Fit::new(&learn, classes)?;
        for penalty in PENALTIES {
            let layer = fit.problem.solve(penalty, from.as_ref(), stop)?.0;
            let logits = floats(&layer.logits(&fit.scale.apply(&choose.features)?)?)?;
            let score = Score::of(&logits, classes, &choose.truth)?;
            if score.loss < best.0 {
                best = (score.loss, penalty);
            }
            from = Some(layer);
        }
    }
    let fit = Fit::new(&Part::of(features, labels, train)?, classes)?;
    let layer = fit.problem.solve(best.1, None, stop)?.0;
    let logits = floats(&layer.logits(&fit.scale.apply(&test.features)?)?)?;
    let rows = probabilities(&logits, classes, 1.0);
    let predicted: Vec<usize> = answers(&rows, classes).into_iter().map(|(class, _)| class).collect();
    let confusion = Confusion::of(&predicted, &test.truth, classes)?;
    Ok(Scores {
        accuracy: confusion.accuracy(),
        balanced_recall: confusion.balanced_recall(),
        auroc: auroc_one_against_rest(&rows, classes, &test.truth),
        recalls: (0..classes).map(|class| confusion.recall(class)).collect(),
    })
}

/// How well one classifier did on images that it has not learned from.
pub(super) struct Scores {
    pub accuracy: f64,
    pub balanced_recall: f64,
    /// None where it is not defined.
    pub auroc: Option<f64>,
    /// None where a class has no image.
    pub recalls: Vec<Option<f64>>,
}

/// Scores of several splits.
pub(super) struct Collected {
    accuracies: Vec<f64>,
    balanced: Vec<f64>,
    aurocs: Vec<f64>,
    recalls: Vec<Vec<f64>>,
}

impl Collected {
    pub fn new(classes: usize) -> Self {
        Self { accuracies: Vec::new(), balanced: Vec::new(), aurocs: Vec::new(), recalls: vec![Vec::new(); classes] }
    }

    pub fn push(&mut self, scores: Scores) {
        self.accuracies.push(scores.accuracy);
        self.balanced.push(scores.balanced_recall);
        self.aurocs.extend(scores.auroc);
        self.recalls.iter_mut().zip(scores.recalls).for_each(|(all, one)| all.extend(one));
    }

    pub fn spread(&self) -> ProbeScores {
        ProbeScores {
            accuracy: Spread::of(&self.accuracies),
            balanced_recall: Spread::of(&self.balanced),
            auroc: Spread::of(&self.aurocs),
            recalls: self.recalls.iter().map(|values| Spread::of(values)).collect(),
        }
    }
}

/// Some rows with their classes.
struct Part {
    features: Tensor,
    truth: Vec<usize>,
}

impl Part {
    fn of(features: &Embeddings<'_>, labels: &[i32], rows: &[usize]) -> Result<Part> {
        if rows.is_empty() {
            return Err(Error::invalid("a part of the split is empty: there are too few labelled images"));
        }
        let values = Tensor::f_from_slice(&features.select(rows)?)?;
        let size = [rows.len() as i64, features.dim() as i64];
        // Only labelled rows are split.
        let truth = rows.iter().map(|&row| labels[row] as usize).collect();
        Ok(Part { features: values.f_view(size)?.f_to_kind(Kind::Double)?, truth })
    }
}

struct Fit {
    scale: Scale,
    problem: Problem,
}

impl Fit {
    fn new(part: &Part, classes: usize) -> Result<Fit> {
        let present = (0..classes).filter(|class| part.truth.contains(class)).count();
        if present < 2 {
            return Err(Error::invalid(format!(
                "the images to learn from are of {present} class, expected at least 2"
            )));
        }
        let scale = Scale::of(&part.features)?;
        let weights = class_weights(&part.truth, classes, false);
        let problem = Problem::new(&scale.apply(&part.features)?, &part.truth, &weights, 0.0)?;
        Ok(Fit { scale, problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes that differ in one of eight features by `gap` deviations, 3:1.
    fn rows(gap: f32) -> (Vec<f32>, Vec<i32>) {
        let noise = |i: usize| ((i as f32 * 12.9898).sin() * 43_758.547).fract();
        let labels: Vec<i32> = (0..200).map(|i| i32::from(i % 4 == 0)).collect();
        let values = (0..200 * 8).map(|at| noise(at) + if at % 8 == 3 { gap * labels[at / 8] as f32 } else { 0.0 });
        (values.collect(), labels)
    }

    #[test]
    fn a_feature_that_tells_the_classes_apart_is_found() {
        let run = |gap: f32, label_fraction: f64| {
            let (values, labels) = rows(gap);
            let probe = Probe { label_fraction, ..Probe::default() };
            linear_probe(&Embeddings::new(&values, 8).unwrap(), &labels, &probe, &mut || false).unwrap()
        };
        let apart = run(4.0, 1.0);
        assert!(apart.accuracy.mean > 0.98 && apart.auroc.mean > 0.99, "{apart:?}");
        assert_eq!(apart.recalls.len(), 2);
        let alike = run(0.0, 1.0);
        assert!(alike.auroc.mean < 0.65 && alike.balanced_recall.mean < 0.65, "{alike:?}");
        let few = run(1.5, 0.05);
        assert!(few.accuracy.mean < run(1.5, 1.0).accuracy.mean, "{few:?}");
        assert_eq!(run(1.5, 0.05), few, "the same seed gives the same");
    }

    #[test]
    fn what_cannot_be_probed_is_refused() {
        let (values, mut labels) = rows(1.0);
        let rows = Embeddings::new(&values, 8).unwrap();
        assert!(linear_probe(&rows, &labels[1..], &Probe::default(), &mut || false).is_err());
        for splits in [0, MAX_SPLITS + 1] {
            assert!(linear_probe(&rows, &labels, &Probe { splits, ..Probe::default() }, &mut || false).is_err());
        }
        // The highest label asks for memory.
        let mut far = labels.clone();
        far[0] = i32::MAX;
        let error = linear_probe(&rows, &far, &Probe::default(), &mut || false).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::InvalidArgument);
        let stopped = linear_probe(&rows, &labels, &Probe::default(), &mut || true).unwrap_err();
        assert_eq!(stopped.kind(), crate::ErrorKind::Cancelled);
        labels.fill(0);
        assert!(linear_probe(&rows, &labels, &Probe::default(), &mut || false).is_err());
    }
}
