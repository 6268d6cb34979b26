//! The mean of the students of a run's last steps, which the run ends with where "student.average" is above 0 (Polyak averaging; Tarvainen and
//! Valpola, "Mean teachers are better role models", NeurIPS 2017).
//!
//! ```text
//! θ' ← m·θ' + (1 − m)·θ        after step n, m = min(share, (1 + n)/(10 + n)), so that the first weights are soon forgotten
//! ```
//!
//! Statistics of batch norm are averaged likewise. Until the run ends, sessions and files of the student have the last step's weights.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::distill::Distillation;
use super::looking::state_of;
use super::shared::{SharedNetwork, with_lock};
use crate::model::weights::StateDict;
use crate::model::{Load, Network};
use crate::{Error, Result};

/// The part of a checkpoint.
const PART: &str = "average";

/// θ'.
pub(super) struct Average {
    network: SharedNetwork,
    share: f64,
}

impl Average {
    /// Of a run that begins with `student`; none where `share` is 0.
    pub fn new(student: &Network, share: f64) -> Result<Option<Self>> {
        if share <= 0.0 {
            return Ok(None);
        }
        let network = student.deep_copy()?;
        network.freeze()?;
        network.to_channels_last()?;
        Ok(Some(Self { network: Arc::new(Mutex::new(network)), share }))
    }

    /// Takes `student` in, as it is after step `number`, counted from 1.
    fn follow(&self, student: &Network, number: u64) -> Result<()> {
        let number = number as f64;
        let share = self.share.min((1.0 + number) / (10.0 + number));
        let _no_grad = tch::no_grad_guard();
        with_lock(&self.network, |network| {
            let pairs = network.tensors().into_iter().zip(student.tensors());
            for ((_, mut own), (_, theirs)) in pairs {
                if own.f_is_floating_point()? {
                    let _ = own.f_lerp_(&theirs.f_detach()?, 1.0 - share)?;
                } else {
                    own.f_copy_(&theirs)?; // a counter of batch norm
                }
            }
            Ok(())
        })
    }
}

impl Distillation {
    /// Whom the probe looks at: the student that the run would end with.
    pub(super) fn judged(&self) -> &SharedNetwork {
        self.average.as_ref().map_or(&self.student, |average| &average.network)
    }

    /// After a step of `student`.
    pub(super) fn follow(&self, student: &Network) -> Result<()> {
        self.average.as_ref().map_or(Ok(()), |average| average.follow(student, self.step))
    }

    /// At the end: the student becomes the mean.
    pub(super) fn take_average(&mut self) -> Result<()> {
        let Some(average) = &self.average else { return Ok(()) };
        let state = with_lock(&average.network, state_of)?;
        with_lock(&self.student, |student| student.load(&state, Load::Everything))?;
        self.average = None;
        Ok(())
    }

    /// What a checkpoint keeps of it.
    pub(super) fn average_part(&self) -> Result<Option<(String, StateDict)>> {
        let Some(average) = &self.average else { return Ok(None) };
        Ok(Some((PART.to_owned(), with_lock(&average.network, state_of)?)))
    }

    /// That of a checkpoint's `parts` at step `step`: none where the run is over.
    ///
    /// # Errors
    /// `Mismatch` where the run needs it and they have none that fits.
    pub(super) fn average_of(&self, parts: &BTreeMap<String, StateDict>, step: u64) -> Result<Option<Average>> {
        let share = self.config.student_average;
        let Some(average) = with_lock(&self.student, |student| Average::new(student, share))? else { return Ok(None) };
        match parts.get(PART) {
            Some(state) => {
                with_lock(&average.network, |network| network.load(state, Load::Everything))?;
                Ok(Some(average))
            }
            None if step >= self.total_steps() => Ok(None),
            None => Err(Error::mismatch(format!("the checkpoint has no part \"{PART}\""))),
        }
    }
}
