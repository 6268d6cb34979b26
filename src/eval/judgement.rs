//! Everything that logits and true classes say about a classifier, in one record: [`Judgement`].

use serde::{Deserialize, Serialize};

use super::calibration::{calibration_error, negative_log_likelihood, probabilities};
use super::confusion::Confusion;
use super::roc::auroc_one_against_rest;
use super::selective::{Selected, selected};
use crate::error::Result;
use crate::sys::memory::spare;

/// How well a classifier does on labelled images. All shares are in [0, 1].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// Labelled images that were judged.
    pub images: usize,
    /// Share that got its class, unsure answers included.
    pub accuracy: f64,
    /// Mean recall of the classes that occur.
    pub balanced_recall: f64,
    /// The lower end of its 95 % interval ([`Confusion::balanced_interval`]).
    #[serde(default)]
    pub balanced_recall_low: f64,
    /// The upper end.
    #[serde(default)]
    pub balanced_recall_high: f64,
    /// The balanced recall of answers that know nothing: 1 / the classes that occur. 0 in files of earlier versions.
    #[serde(default)]
    pub chance: f64,
    /// Recall of each class; none where the class does not occur.
    pub recalls: Vec<Option<f64>>,
    /// Mean over classes of the AUROC against all others, by the calibrated probabilities; none where it is not defined.
    pub auroc: Option<f64>,
    /// Mean negative log-likelihood of the calibrated probabilities, in nats.
    pub nll: f64,
    /// The same without calibration (T = 1).
    pub nll_uncalibrated: f64,
    /// Expected calibration error of the calibrated probabilities, 15 bins.
    pub calibration_error: f64,
    /// The same without calibration.
    pub calibration_error_uncalibrated: f64,
    /// What the threshold of the reject option does.
    pub selected: Selected,
    /// Counts of true and predicted classes, unsure answers included.
    pub confusion: Confusion,
}

/// Judges `logits` (N, classes) by the true classes, with the classifier's temperature and threshold.
///
/// # Errors
/// `InvalidArgument` where logits and truth do not fit together or there is no image.
pub fn judge(logits: &[f32], classes: usize, truth: &[usize], temperature: f64, threshold: f64) -> Result<Judgement> {
    // Probabilities before and after calibration, one column more of them, and some numbers for each image.
    spare(
        logits.len().saturating_mul(3 * size_of::<f32>()).saturating_add(truth.len().saturating_mul(96)),
        "a judgement",
    )?;
    let nll = negative_log_likelihood(logits, classes, truth, temperature)?;
    let calibrated = probabilities(logits, classes, temperature);
    let answers = answers(&calibrated, classes);
    let predicted: Vec<usize> = answers.iter().map(|&(class, _)| class).collect();
    let correct: Vec<bool> = predicted.iter().zip(truth).map(|(predicted, truth)| predicted == truth).collect();
    let confidence: Vec<f64> = answers.iter().map(|&(_, confidence)| confidence).collect();
    let raw: Vec<f64> = self::answers(&probabilities(logits, classes, 1.0), classes)
        .iter()
        .map(|&(_, confidence)| confidence)
        .collect();
    let confusion = Confusion::of(&predicted, truth, classes)?;
    let balanced = confusion.balanced_interval();
    Ok(Judgement {
        images: truth.len(),
        accuracy: confusion.accuracy(),
        balanced_recall: balanced.value,
        balanced_recall_low: balanced.low,
        balanced_recall_high: balanced.high,
        chance: confusion.chance(),
        recalls: (0..classes).map(|class| confusion.recall(class)).collect(),
        auroc: auroc_one_against_rest(&calibrated, classes, truth),
        nll,
        nll_uncalibrated: negative_log_likelihood(logits, classes, truth, 1.0)?,
        calibration_error: calibration_error(&confidence, &correct),
        calibration_error_uncalibrated: calibration_error(&raw, &correct),
        selected: selected(&confidence, &correct, threshold),
        confusion,
    })
}

/// The most probable class of each row of `probabilities` (N, classes) and its probability; of equal ones the first.
pub fn answers(probabilities: &[f32], classes: usize) -> Vec<(usize, f64)> {
    let of_row = |row: &[f32]| {
        let better = |best: (usize, f64), (class, &p): (usize, &f32)| {
            if f64::from(p) > best.1 { (class, f64::from(p)) } else { best }
        };
        row.iter().enumerate().fold((0, -1.0), better)
    };
    probabilities.chunks_exact(classes.max(1)).map(of_row).collect()
}
