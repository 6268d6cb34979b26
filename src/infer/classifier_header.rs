//! What a classifier's file says beside the weights: its classes, how it was calibrated, and how well it did.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::eval::judgement::Judgement;

/// Most bytes of a class's name.
const LONGEST_NAME: usize = 1024;

/// The threshold above every probability: each answer is "unsure".
pub const NOTHING_IS_SURE: f32 = 2.0;

/// What temperature and threshold rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibratedBy {
    /// Images that the classifier has not learned from.
    HeldOut,
    /// Cross-validation: each image was answered by a classifier that had learned from the others.
    CrossValidation,
    /// Nothing: they are as they would be without any image.
    None,
}

/// How a classifier was calibrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// By what.
    pub by: CalibratedBy,
    /// How many images that were; of [`CalibratedBy::None`], how many there would have been.
    pub images: usize,
    /// Folds of the cross-validation.
    #[serde(default)]
    pub folds: Option<usize>,
}

/// What a classifier's file says beside the student's header, as JSON under "classifier".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierHeader {
    /// The classes' names in the order of their numbers, all different.
    pub names: Vec<String>,
    /// T of the probabilities.
    pub temperature: f64,
    /// θ: below this probability the answer is "unsure". 0: never.
    pub threshold: f32,
    /// How well it did on the images that were held out, by cross-validation where [`calibration`](Self::calibration) says so; none
    /// where none were.
    pub held_out: Option<Judgement>,
    /// What temperature and threshold rest on; none in files of earlier versions.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// How it was made, for people.
    #[serde(default)]
    pub training: Value,
}

impl ClassifierHeader {
    /// Of classes with these names, T = 1 and no threshold.
    pub fn uncalibrated(names: Vec<String>) -> Self {
        Self { names, temperature: 1.0, threshold: 0.0, held_out: None, calibration: None, training: Value::Null }
    }

    /// What who uses the classifier should know: that it is not calibrated, or not shown to be better than chance.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(Calibration { by: CalibratedBy::None, images, .. }) = self.calibration {
            let sure = match self.threshold >= 1.0 {
                true => "every answer is unsure",
                false => "no answer is unsure, whatever it is worth",
            };
            notes.push(match images {
                0 => format!(
                    "no image was held out, so nothing is calibrated, neither the probabilities nor \"unsure\"; {sure}. Judge the \
                     classifier on images of their own"
                ),
                _ => format!(
                    "the classifier is not calibrated: {images} images are too few to choose temperature and threshold by; {sure}"
                ),
            });
        }
        if self.threshold >= 1.0 && notes.is_empty() {
            notes.push(
                "every answer is unsure: by the images that were held out, the surest answers are not shown to be right more often \
                 than wrong"
                    .to_owned(),
            );
        }
        if let Some(judged) = self.held_out.as_ref().filter(|judged| !judged.confusion.beats_chance()) {
            let found = judged.confusion.balanced_interval();
            notes.push(format!(
                "the classifier is not shown to be better than chance: its balanced recall is {:.3} (95 %: {:.3} to {:.3}) on {} \
                 images, chance is {:.3}",
                found.value,
                found.low,
                found.high,
                judged.images,
                judged.confusion.chance()
            ));
        }
        notes
    }

    /// What a person should know about a classifier with this header.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.held_out.is_none() && self.calibration.is_none() {
            warnings.push(
                "no image was held out, so the probabilities are not calibrated and \"unsure\" has no threshold of its own; \
                 label more images, or set \"finetune.held_out\" above 0"
                    .to_owned(),
            );
        }
        if self.training.get("diverged") == Some(&Value::Bool(true)) {
            warnings.push(
                "fine-tuning has diverged; this is the best classifier before that, lower \"finetune.learning_rate\""
                    .to_owned(),
            );
        }
        warnings.extend(self.notes());
        warnings
    }

    pub(super) fn check(&self, classes: i64) -> Result<()> {
        check_names(&self.names)?;
        if i64::try_from(self.names.len()) != Ok(classes) {
            return Err(Error::invalid(format!("{} names for {classes} classes", self.names.len())));
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return Err(Error::invalid(format!("temperature is {}, expected a number above 0", self.temperature)));
        }
        if !(0.0..=2.0).contains(&self.threshold) {
            return Err(Error::invalid(format!("threshold is {}, expected a probability", self.threshold)));
        }
        match &self.held_out {
            Some(judgement) if !judgement.confusion.is_sound() || judgement.confusion.classes() != self.names.len() => {
                Err(Error::invalid("the confusion matrix does not fit the classes"))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses names that are empty, too long, hold a control character, or occur twice.
pub fn check_names(names: &[String]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for (class, name) in names.iter().enumerate() {
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control) {
            return Err(Error::invalid(format!(
                "class {class} is named {name:?}, expected 1 to {LONGEST_NAME} bytes without control characters"
            )));
        }
        if !seen.insert(name) {
            return Err(Error::invalid(format!("two classes are named {name:?}")));
        }
    }
    Ok(())
}
