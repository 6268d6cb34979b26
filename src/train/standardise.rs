//! A run whose targets are standardised ([`Standardisation`]): what the teacher says of the data set is asked before the first step.

use std::collections::BTreeMap;

use tch::Tensor;

use super::distill::Distillation;
use super::pace::Pace;
use super::probe::learned_images;
use crate::config::Standardise;
use crate::data::Dataset;
use crate::data::random::{Purpose, generator, shuffle};
use crate::distill::standardise::{Moments, Standardisation};
use crate::model::weights::StateDict;
use crate::{Error, Result};

/// At most so many frames, drawn at random, tell the mean: of more it hardly changes, and each costs a forward pass of the teacher.
const MOST_FRAMES: usize = 16_384;

/// The part of a checkpoint.
const PART: &str = "standardisation";

impl Distillation {
    /// Learns how the run's targets are standardised, where they are to be and it is not known yet; whether it is known then, which it is
    /// not in a cancelled call.
    pub(super) fn prepare_targets(&mut self, dataset: &Dataset, pace: &Pace<'_>) -> Result<bool> {
        if self.config.standardise == Standardise::None || self.standardisation.is_some() {
            return Ok(true);
        }
        let mut images = learned_images(&self.config, dataset.len());
        shuffle(&mut generator(self.config.seed, 0, 2, Purpose::Probe), &mut images);
        images.truncate(MOST_FRAMES);
        let mut moments = Moments::new(self.targets.dim(), self.config.standardise == Standardise::Whiten)?;
        let all = self.ask_about(dataset, &images, pace, &mut |_, rows| moments.add(&rows))?;
        if all {
            self.standardisation = Some(moments.finish(self.device)?);
        }
        Ok(all)
    }

    /// The targets that `rows` (B,C) of the teacher stand for.
    ///
    /// # Errors
    /// `InvalidArgument` where it is not known yet what is to be taken away from them.
    pub(super) fn standardised(&self, rows: Tensor) -> Result<Tensor> {
        match &self.standardisation {
            Some(standardisation) => standardisation.of(&rows),
            None if self.config.standardise == Standardise::None => Ok(rows),
            None => Err(Error::invalid(format!(
                "targets.standardise is \"{}\", and a call of run finds the mean of the teacher's embeddings of the data set before its first step: \
                 call run first, or set it to \"none\"",
                self.config.standardise
            ))),
        }
    }

    /// Takes it from a checkpoint's `parts` at step `step`: none where the run had not found it yet.
    ///
    /// # Errors
    /// `Mismatch` where the run needs it and they have none that fits.
    pub(super) fn standardisation_of(
        &self,
        parts: &BTreeMap<String, StateDict>,
        step: u64,
    ) -> Result<Option<Standardisation>> {
        if self.config.standardise == Standardise::None {
            return Ok(None);
        }
        let state = match parts.get(PART) {
            Some(state) => state,
            None if step == 0 => return Ok(None),
            None => return Err(Error::mismatch(format!("the checkpoint has no part \"{PART}\""))),
        };
        let whiten = self.config.standardise == Standardise::Whiten;
        Standardisation::from_state(state, self.targets.dim(), whiten, self.device).map(Some)
    }

    /// Its tensors, where it is known: handles.
    pub(super) fn standardising(&self) -> Vec<Tensor> {
        self.standardisation.as_ref().map_or_else(Vec::new, Standardisation::tensors)
    }

    /// What a checkpoint keeps of it.
    pub(super) fn standardisation_part(&self) -> Result<Option<(String, StateDict)>> {
        let state = self.standardisation.as_ref().map(Standardisation::to_state).transpose()?;
        Ok(state.map(|state| (PART.to_owned(), state)))
    }
}
