//! The mean of the students of a run's last steps, which the run ends with where "student.average" is above 0 (Polyak averaging; Tarvainen and
//! Valpola, "Mean teachers are better role models", NeurIPS 2017).
//!
//! ```text
//! θ' ← m·θ' + (1 − m)·θ        after step n, m = min(share, (1 + n)/(10 + n)), so that the first weights are soon forgotten
//! ```
//!
//! Statistics of batch norm are averaged likewise. Until the run ends, sessions and files of the student have the last step's weights.

use std::sync::{Arc, Mutex};

use super::shared::{SharedNetwork, with_lock};
use crate::Result;
use crate::model::Network;

/// θ'.
pub(super) struct Average {
    pub(super) network: SharedNetwork,
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
    pub fn follow(&self, student: &Network, number: u64) -> Result<()> {
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
