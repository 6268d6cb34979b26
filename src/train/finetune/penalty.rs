//! The penalty of the linear classifier: which are tried, and the classifier by the best of them, on the held-out images or, where
//! these are few, by cross-validation ([`cross`]).

use std::time::Instant;

use super::features::Part;
use super::linear::{Linear, Problem, Scale, class_weights};
use super::{Evidence, FEWEST_TO_CALIBRATE, FinetuneProgress, Run, Score, Stage, cross, floats};
use crate::config::{ClassWeights, FinetuneConfig};
use crate::train::progress::Control;
use crate::{Error, ErrorKind, Result};

/// Values of the penalty that are tried, strongest first, each from the solution before.
pub(super) const PENALTIES: [f64; 7] = [1e4, 1e3, 1e2, 1e1, 1e0, 1e-1, 1e-2];

/// A linear classifier and what is known about it.
pub(super) struct Fitted {
    pub(super) layer: Linear,
    pub(super) penalty: f64,
    pub(super) score: Score,
    /// Images that it has learned from.
    pub(super) images: usize,
    pub(super) evidence: Evidence,
}

impl Run<'_> {
    /// The linear classifier on features as they are, its penalty, and how good it is. `given`: the penalty, else it is the setting's
    /// or the best on the held-out images.
    pub(super) fn fit_linear(
        &mut self,
        train: &Part,
        held_out: &Part,
        given: Option<f64>,
        known: Option<&Linear>,
        report: &mut dyn FnMut(FinetuneProgress) -> Control,
    ) -> Result<Fitted> {
        let settings = &self.config.finetune;
        let weights = class_weights(&train.truth, self.classes(), settings.class_weights == ClassWeights::Balanced);
        let scale = Scale::of(&train.features)?;
        let problem = Problem::new(&scale.apply(&train.features)?, &train.truth, &weights, settings.label_smoothing)?;
        let penalties = match given {
            Some(penalty) => vec![penalty],
            None => penalties(settings, !held_out.truth.is_empty()),
        };
        let mut from = known.map(|rows| rows.scaled(&scale)).transpose()?;
        let mut best: Option<Fitted> = None;
        let total = penalties.len();
        for (number, penalty) in penalties.into_iter().enumerate() {
            let solved = problem.solve(penalty, from.as_ref(), &mut || self.stop.now());
            let (layer, stopped) = match solved {
                Err(error) if error.kind() == ErrorKind::Cancelled && best.is_some() => break,
                solved => solved?,
            };
            let unscaled = layer.unscaled(&scale)?;
            let logits = floats(&unscaled.logits(&held_out.features)?)?;
            let score = Score::of(&logits, self.classes(), &held_out.truth)?;
            // Of equals the stronger penalty stays; a search that was cut short counts as well as what it found.
            if best.as_ref().is_none_or(|known| score.loss < known.score.loss) {
                let evidence = Evidence::held_out(logits, held_out);
                best = Some(Fitted { layer: unscaled, penalty, score, images: train.truth.len(), evidence });
            }
            from = Some(layer);
            let progress = linear_progress(self.began, number + 1, total, score);
            self.stop.asked |= report(progress) == Control::Stop;
            if stopped || self.stop.now() {
                break;
            }
        }
        best.ok_or_else(|| Error::new(ErrorKind::Internal, "no penalty was tried"))
    }

    /// The same where few images were held out: the penalty and what is known about the classifier come from cross-validation, and
    /// the classifier learns from all images. Where the settings ask for fewer labels than there are, the held-out ones are none of
    /// these, and are left aside.
    pub(super) fn fit_few(
        &mut self,
        train: &Part,
        held_out: &Part,
        known: Option<&Linear>,
        report: &mut dyn FnMut(FinetuneProgress) -> Control,
    ) -> Result<Fitted> {
        let config = self.config;
        let settings = &config.finetune;
        let joined = match settings.label_fraction < 1.0 || settings.labels_per_class > 0 {
            true => None,
            false => Some(train.with(held_out)?),
        };
        let all = joined.as_ref().unwrap_or(train);
        let images = cross::Images {
            features: &all.features,
            truth: &all.truth,
            classes: self.classes(),
            balanced: settings.class_weights == ClassWeights::Balanced,
            smoothing: settings.label_smoothing,
        };
        let tried = penalties(settings, true);
        let (began, cancel, mut asked) = (self.began, self.stop.cancel, self.stop.asked);
        let found = {
            let stopped = std::cell::Cell::new(asked);
            let mut stop = || {
                stopped.set(stopped.get() || cancel.wait().1);
                stopped.get()
            };
            let found = images.cross_validate(&tried, config.seed, &mut stop, &mut |done, score| {
                let progress = linear_progress(began, done, tried.len(), score);
                stopped.set(stopped.get() || report(progress) == Control::Stop);
                stopped.get()
            })?;
            asked |= stopped.get();
            found
        };
        self.stop.asked = asked;
        let alone = (0..self.classes()).filter(|class| all.truth.iter().filter(|truth| *truth == class).count() == 1);
        let alone: Vec<&str> = alone.map(|class| self.images.names[class].as_str()).collect();
        if !alone.is_empty() {
            self.notes
                .push(format!("no image could be spared to test the classes {alone:?}: they have one image each"));
        }
        let (penalty, score, evidence) = match found {
            Some(found) if found.truth.len() >= FEWEST_TO_CALIBRATE => {
                (found.penalty, found.score, Evidence::cross_validation(found))
            }
            Some(found) => (found.penalty, found.score, Evidence::none(all)),
            None => (penalties(settings, false)[0], Score::NONE, Evidence::none(all)),
        };
        // A cancel has had its effect on the search; this fit gives the best classifier so far.
        let scale = Scale::of(&all.features)?;
        let weights = class_weights(&all.truth, self.classes(), images.balanced);
        let problem = Problem::new(&scale.apply(&all.features)?, &all.truth, &weights, settings.label_smoothing)?;
        let from = known.map(|rows| rows.scaled(&scale)).transpose()?;
        let (layer, _) = problem.solve(penalty, from.as_ref(), &mut || false)?;
        Ok(Fitted { layer: layer.unscaled(&scale)?, penalty, score, images: all.truth.len(), evidence })
    }
}

fn linear_progress(began: Instant, done: usize, total: usize, score: Score) -> FinetuneProgress {
    FinetuneProgress {
        stage: Stage::Linear,
        done: done as u64,
        total: total as u64,
        epoch: 0,
        loss: f64::NAN,
        held_out_loss: score.loss,
        held_out_accuracy: score.accuracy,
        eta_seconds: 0.0,
        elapsed_seconds: began.elapsed().as_secs_f64(),
    }
}

/// The penalties to try, strongest first; `judged`: there are images to choose by.
fn penalties(settings: &FinetuneConfig, judged: bool) -> Vec<f64> {
    match (settings.penalty, judged) {
        (0.0, true) => PENALTIES.to_vec(),
        (0.0, false) => vec![1.0],
        (penalty, _) => vec![penalty],
    }
}
