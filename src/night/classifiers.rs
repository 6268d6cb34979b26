//! Both classifiers on the reference: how good each is, and whether the new one is shown to be worse than the live one.
//!
//! ```text
//! upper bound of balanced recall, new − live, on the images that neither has seen   ≥ −recall_margin
//! ```
//!
//! It is the gate's interval for kNN, resampled class by class: both have seen the same images. But a linear layer that was fitted
//! anew differs from the old one on many images, either way: with a hundred images the lower bound lies a tenth below 0 even for a
//! better one. So where the gate asks that the student is shown to be no worse, its classifier must only not be shown to be worse.
//! Before that it must be shown to be better than chance at all ([`not_better_than_chance`]); one that is not is left out.

use std::sync::Arc;

use super::folder::Place;
use crate::data::Dataset;
use crate::eval::Confusion;
use crate::eval::calibration::probabilities;
use crate::eval::judgement::{Judgement, answers, judge};
use crate::gate::{Criterion, GateConfig, recall_of};
use crate::infer::{Classifier, Output, SessionOptions};
use crate::{Error, ErrorKind, Result};

/// What classifiers are judged by.
pub(super) struct Reference<'a> {
    pub images: &'a Arc<Dataset>,
    /// A class for each image.
    pub classes: &'a [i32],
    /// Whether no night has ever fine-tuned on the image: as classes grow, one that was learned from comes to be judged by.
    pub unseen: &'a [bool],
    /// The classes' names.
    pub names: &'a [String],
}

/// What a classifier says about the reference.
pub(super) struct Answered {
    pub judgement: Judgement,
    /// What the images said that were held out of its fit.
    pub held_out: Option<Judgement>,
    /// The class of each image and its probability; none where the image is broken.
    pub answers: Vec<Option<(usize, f64)>>,
}

/// Why the new classifier may not go live, where it may not: nothing shows that it is better than chance, neither the reference nor the
/// images that were held out of its fit, both taken together.
pub(super) fn not_better_than_chance(judged: &[Option<&Judgement>]) -> Result<Option<String>> {
    let mut all: Option<Confusion> = None;
    for judgement in judged.iter().copied().flatten() {
        all = Some(match &all {
            Some(counts) => counts.with(&judgement.confusion)?,
            None => judgement.confusion.clone(),
        });
    }
    let Some(counts) = all else {
        return Ok(Some(
            "the new classifier is left out: no image was held out to judge it by; label more frames".to_owned(),
        ));
    };
    let (found, images) = (counts.balanced_interval(), counts.counts().iter().sum::<u64>());
    Ok((!counts.beats_chance()).then(|| {
        format!(
            "the new classifier is left out: by {images} images it is not shown to be better than chance, which is {:.3}; its balanced \
             recall is {:.3} (95 %: {:.3} to {:.3}); label more frames",
            counts.chance(),
            found.value,
            found.low,
            found.high
        )
    }))
}

/// What is known of a classifier where there is no reference; none where there is no classifier.
///
/// # Errors
/// `Format` where it is damaged.
pub(super) fn of_its_fit(place: &Place, options: SessionOptions) -> Result<Option<Option<Judgement>>> {
    if !place.classifier().exists() {
        return Ok(None);
    }
    let classifier = Classifier::open(&place.classifier(), SessionOptions { output: Output::Logits, ..options })?;
    Ok(Some(classifier.header().held_out.clone()))
}

impl Reference<'_> {
    /// The live classifier's; none where there is none that can be compared. One that is damaged must not keep a better one away.
    ///
    /// # Errors
    /// Those of the embedding, `Cancelled` by `go_on`.
    pub fn by_live(
        &self,
        place: &Place,
        options: SessionOptions,
        config: &GateConfig,
        go_on: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Answered>> {
        match self.by_new(place, options, config, go_on) {
            Err(error) if error.kind() == ErrorKind::Format => {
                log::warn!("the live classifier is not compared: {error}");
                Ok(None)
            }
            found => found,
        }
    }

    /// The new classifier's; none where there is none.
    ///
    /// # Errors
    /// Those of [`by_live`](Self::by_live); `Format` where it is damaged or gives numbers that are not finite.
    pub fn by_new(
        &self,
        place: &Place,
        options: SessionOptions,
        config: &GateConfig,
        go_on: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Answered>> {
        if !place.classifier().exists() {
            return Ok(None);
        }
        let classifier = Classifier::open(&place.classifier(), SessionOptions { output: Output::Logits, ..options })?;
        if classifier.header().names != self.names {
            return Ok(None);
        }
        let logits = match classifier.logits_of(self.images, config.batch, config.workers, go_on) {
            // NaN, with the image for which it came.
            Err(error) if error.kind() == ErrorKind::Mismatch => {
                return Err(Error::format(&place.classifier(), error.message()));
            }
            logits => logits?,
        };
        let (classes, header) = (classifier.classes(), classifier.header());
        let images = logits.values.len() / classes.max(1);
        let sound: Vec<usize> = (0..images).filter(|image| !logits.broken.contains(image)).collect();
        if sound.is_empty() {
            return Ok(None);
        }
        let rows: Vec<f32> =
            sound.iter().flat_map(|&image| logits.values[image * classes..][..classes].iter().copied()).collect();
        // Frames::load sees to it that each is a class.
        let truth: Vec<usize> = sound.iter().map(|&image| self.classes[image] as usize).collect();
        let judgement = judge(&rows, classes, &truth, header.temperature, f64::from(header.threshold))?;
        let mut all = vec![None; images];
        for (&image, answer) in sound.iter().zip(answers(&probabilities(&rows, classes, header.temperature), classes)) {
            all[image] = Some(answer);
        }
        Ok(Some(Answered { judgement, held_out: header.held_out.clone(), answers: all }))
    }

    /// Whether `new` is not shown to be worse than `old`, and whether that decides. With too few images it holds.
    pub fn compare(&self, old: &Answered, new: &Answered, config: &GateConfig) -> Option<(Criterion, bool)> {
        let pairs = old.answers.iter().zip(&new.answers).zip(self.classes).zip(self.unseen);
        let both: Vec<(usize, usize, i64)> = pairs
            .filter(|(_, unseen)| **unseen)
            .filter_map(|(((old, new), &class), _)| Some(((*old)?.0, (*new)?.0, i64::from(class))))
            .collect();
        if both.is_empty() {
            return None;
        }
        let hit = |answer: usize, class: i64| f64::from(u8::from(i64::try_from(answer) == Ok(class)));
        let of_old: Vec<f64> = both.iter().map(|&(old, _, class)| hit(old, class)).collect();
        let of_new: Vec<f64> = both.iter().map(|&(_, new, class)| hit(new, class)).collect();
        let labels: Vec<i64> = both.iter().map(|&(_, _, class)| class).collect();
        let mut found = recall_of(&of_old, &of_new, &labels, config.recall_margin, config.fidelity.seed);
        let decides = labels.len() >= config.min_reference;
        found.holds = !decides || found.difference.high >= found.limit;
        Some((found, decides))
    }
}
