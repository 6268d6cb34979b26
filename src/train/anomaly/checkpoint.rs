//! STFPM's state after a pass ([`pass`]).
//!
//! | tensor | what |
//! |---|---|
//! | `network.NAME` | the network as it learns |
//! | `velocity.NAME` | of its optimiser |
//!
//! The metadata key `anomaly_training` says which run it is of ([`Learner::identify`](super::stfpm::Learner::identify)) and how far it is. On the CPU a resumed run
//! is the same run, bit for bit.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::checkpoint::pass::{self, Tensors};
use crate::error::{Error, Result};
use crate::model::weights::{HostTensor, StateDict};
use crate::model::{Load, Network};
use crate::optim::Sgd;

/// How far learning is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    format: String,
    identity: String,
    /// Passes made.
    pub epoch: u64,
    /// Steps of the optimiser.
    steps: u64,
    /// Sound images of the last pass.
    pub sound: u64,
}

impl pass::Position for Position {
    const KEY: &'static str = "anomaly_training";
    const FORMAT: &'static str = "libseed.stfpm.1";
    const RUN: &'static str = "learning good parts";
    const SAME: &'static str = "settings, images or student";

    fn format(&self) -> &str {
        &self.format
    }

    fn identity(&self) -> &str {
        &self.identity
    }
}

impl Position {
    /// Before the first pass of the run `identity`.
    pub fn new(identity: String) -> Position {
        Position { format: <Position as pass::Position>::FORMAT.to_owned(), identity, epoch: 0, steps: 0, sound: 0 }
    }

    /// Counts another pass, of `sound` images, after which the optimiser has made `steps`.
    pub fn pass(&mut self, steps: u64, sound: u64) {
        (self.epoch, self.steps, self.sound) = (self.epoch + 1, steps, sound);
    }

    /// Writes the state after a pass.
    ///
    /// # Errors
    /// `Io`; what stood there is as it was then.
    pub fn save(&self, path: &Path, network: &Network, optimiser: &Sgd) -> Result<()> {
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let mut tensors = Tensors::default();
        tensors.add_all("network.", network.to_state()?)?;
        tensors.add_copies("velocity.", optimiser.velocities())?;
        pass::save(path, self, &tensors)
    }

    /// Goes on from the file, where there is one: `images` are to be learned in passes of at most `steps` steps.
    ///
    /// # Errors
    /// `Format` where it is damaged or no such file, `Mismatch` where it is of another run.
    pub fn resume(
        &mut self,
        path: &Path,
        network: &Network,
        optimiser: &mut Sgd,
        (epochs, steps, images): (u64, u64, u64),
    ) -> Result<()> {
        let Some((found, mut state)) = pass::load::<Position>(path, &self.identity)? else { return Ok(()) };
        let most = found.epoch.saturating_mul(steps);
        for (what, value, low, high) in [
            ("epoch", found.epoch, 1, epochs),
            ("steps", found.steps, found.epoch, most),
            ("sound", found.sound, 1, images),
        ] {
            if !(low..=high).contains(&value) {
                return Err(Error::format(path, format!("{what} is {value}, expected {low} to {high}")));
            }
        }
        let (weights, velocities) = (pass::take(&mut state, "network."), pass::take(&mut state, "velocity."));
        for (name, tensor) in weights.iter().chain(&velocities) {
            if !tensor.is_finite()? {
                return Err(Error::format(path, format!("{name} holds NaN or infinite numbers")));
            }
        }
        let weights = StateDict { tensors: weights, metadata: Default::default() };
        let velocity = |name: &str| velocities.get(name).map(HostTensor::to_tensor).transpose();
        network
            .load(&weights, Load::Everything)
            .and_then(|_| optimiser.restore(found.steps, velocity))
            .map_err(|error| error.context(path.display()))?;
        *self = found;
        Ok(())
    }
}
