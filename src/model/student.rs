//! The student: a network with a projection head that learns the teacher's neighbourhoods.
//!
//! ```text
//! s = z/‖z‖,  z = W₂·relu(W₁·h + b₁) + b₂,  h = backbone(x)
//! ```

use std::path::Path;

use tch::{Device, Tensor};

use super::published::{projection_of, published};
use super::weights::{self, Side, StateDict};
use super::{Architecture, Head, Load, Mode, Network, unit_rows};
use crate::error::{Error, Result};

/// A network with a projection head. Moves between threads, is not shared: see the [module](super).
pub struct Student {
    network: Network,
}

impl Student {
    /// An untrained student whose head ends `dim` wide; `hidden` 0 means as wide as the features.
    ///
    /// # Errors
    /// Those of [`Network::new`].
    pub fn new(architecture: Architecture, hidden: i64, dim: i64, seed: u64, device: Device) -> Result<Student> {
        Student::from_network(Network::new(architecture, Head::Projection { hidden, dim }, seed, device)?)
    }

    /// The network as a student.
    ///
    /// # Errors
    /// `InvalidArgument` where it has no projection head.
    pub fn from_network(network: Network) -> Result<Student> {
        match network.head() {
            Head::Projection { .. } | Head::NormedProjection { .. } | Head::LinearProjection { .. } => {
                Ok(Student { network })
            }
            head => Err(Error::invalid(format!("a student needs a projection head, not {head:?}"))),
        }
    }

    /// A student from weights that hold a projection head; its widths are taken from them.
    ///
    /// # Errors
    /// `Mismatch` where they hold none, and those of [`Network::load`].
    pub fn from_state(architecture: Architecture, state: StateDict, device: Device) -> Result<Student> {
        let state = published(architecture, state, Side::Student)?.state;
        let head = projection_of(&state).ok_or_else(|| {
            Error::mismatch(format!(
                "these weights of {architecture} have no projection head (projection.0.weight, projection.2.weight); \
                 make a new student and load the backbone only"
            ))
        })?;
        let network = Network::blank(architecture, head, device)?;
        network.load(&state, Load::Everything)?;
        Ok(Student { network })
    }

    /// A student from a file of weights (safetensors or a torch checkpoint).
    ///
    /// # Errors
    /// Those of [`weights::read`] and [`from_state`](Student::from_state); they name the file.
    pub fn from_file(architecture: Architecture, path: &Path, device: Device) -> Result<Student> {
        let state = weights::read_side(path, Side::Student)?;
        Student::from_state(architecture, state, device).map_err(|error| error.context(path.display()))
    }

    /// Embeddings: (B, 3, H, W) → (B, dim), float32 unit rows. In the caller's grad mode, so that it can be trained.
    ///
    /// # Errors
    /// Those of [`Network::features`].
    pub fn embed(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        unit_rows(&self.network.forward(images, mode)?)
    }

    /// Backbone features before the head, not normalised: (B, 3, H, W) → (B, feature_dim).
    ///
    /// # Errors
    /// Those of [`Network::features`].
    pub fn features(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        self.network.features(images, mode)
    }

    /// Width of the embeddings.
    pub fn embedding_dim(&self) -> i64 {
        self.network.output_dim()
    }

    /// Backbone and head.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Backbone and head, to be moved to another device.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Gives up the student for its network.
    pub fn into_network(self) -> Network {
        self.network
    }

    /// An equal student that shares nothing with this one.
    pub fn deep_copy(&self) -> Result<Student> {
        Ok(Student { network: self.network.deep_copy()? })
    }
}
