//! The frozen teacher: a network of ours, a TorchScript file, or an engine of the application.
//!
//! ```text
//! t = z/‖z‖,  z = head(backbone(x)) in eval mode (running statistics), outside autograd
//! ```
//!
//! SEED asks a teacher for nothing but z (B, D), whatever computes it. What only a network of ours can do (features, a session
//! of fused operations, its weights) is an `Unsupported` error for the others.
//!
//! ```
//! use seed::model::{Application, ApplicationOptions, BatchFormat, Teacher};
//! use tch::{Device, Kind, Tensor};
//! // An engine that gives the mean of each channel.
//! let engine = |images: &Tensor, embeddings: &Tensor| {
//!     embeddings.shallow_clone().copy_(&images.mean_dim([2i64, 3].as_slice(), false, Kind::Float));
//!     Ok(())
//! };
//! let options = ApplicationOptions {
//!     dim: 3,
//!     identity: "mean of channels, 1".to_owned(),
//!     format: BatchFormat::FloatNchw,
//!     at: Device::Cpu,
//!     device: Device::Cpu,
//!     mean: [0.485, 0.456, 0.406],
//!     std: [0.229, 0.224, 0.225],
//! };
//! let teacher = Teacher::from_embedder(Application::new(Box::new(engine), options)?);
//! let images = Tensor::ones([2, 3, 8, 8], (Kind::Float, Device::Cpu));
//! assert_eq!(teacher.embed(&images)?.size(), [2, 3]);
//! # Ok::<(), seed::Error>(())
//! ```

mod application;
mod embedder;
mod frozen;
mod torchscript;

use std::path::Path;
use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use self::embedder::{check_rows, mark_zeros};
use self::frozen::Frozen;
use super::network::check_images;
use super::published::{projection_of, published};
use super::weights::{self, HostTensor, Side, StateDict};
use super::{Architecture, Fused, Head, Load, LoadReport, Network, PatchMap, unit_rows};
use crate::error::{Error, ErrorKind, Result};
use crate::finite::Names;
use crate::warnings::Warnings;

pub use self::application::{Application, ApplicationOptions, BatchFormat, EmbedFunction};
pub use self::embedder::Embedder;
pub use self::torchscript::TorchScript;

/// A teacher that may be shared between threads (`Arc<Teacher>`): nothing it offers changes it.
pub struct Teacher(Source, Warnings);

enum Source {
    Network(Box<Frozen>),
    Embedder(Arc<dyn Embedder>),
}

impl Teacher {
    /// Freezes `network`. Handles to its tensors that were taken before must not be written to any more, which is why the
    /// network should come straight from where it was made.
    ///
    /// # Errors
    /// `InvalidArgument` for a network with a classifier: its logits are not an embedding.
    pub fn new(network: Network) -> Result<Teacher> {
        Ok(Teacher(Source::Network(Box::new(Frozen::new(network)?)), Warnings::default()))
    }

    /// A teacher that is no network of ours.
    pub fn from_embedder(embedder: impl Embedder + 'static) -> Teacher {
        Teacher(Source::Embedder(Arc::new(embedder)), Warnings::default())
    }

    /// A teacher from weights under torchvision's names or those of a published checkpoint
    /// ([`published`](super::published())). A projection head in the weights is kept; a classifier is not, and then the
    /// embedding is the normalised features.
    ///
    /// # Errors
    /// Those of [`Network::load`].
    pub fn from_state(architecture: Architecture, state: StateDict, device: Device) -> Result<Teacher> {
        let found = published(architecture, state, Side::Teacher)?;
        let head = projection_of(&found.state).unwrap_or(Head::None);
        let network = Network::blank(found.architecture, head, device)?;
        let mut report = network.load(&found.state, Load::Everything)?;
        report.ignored.splice(0..0, found.aside);
        let mut frozen = Frozen::new(network)?;
        frozen.report = report;
        Ok(Teacher(Source::Network(Box::new(frozen)), found.warnings))
    }

    /// A teacher from a file of weights (safetensors or a torch checkpoint).
    ///
    /// # Errors
    /// Those of [`weights::read`] and [`from_state`](Teacher::from_state); they name the file.
    pub fn from_file(architecture: Architecture, path: &Path, device: Device) -> Result<Teacher> {
        let state = weights::read(path)?;
        Teacher::from_state(architecture, state, device).map_err(|error| error.context(path.display()))
    }

    /// The same teacher with channels-last weights; embeddings change by rounding only. Others than networks of ours stay as
    /// they are.
    pub fn into_channels_last(self) -> Result<Teacher> {
        match self.0 {
            Source::Network(network) => Ok(Teacher(Source::Network(Box::new(network.into_channels_last()?)), self.1)),
            other @ Source::Embedder(_) => Ok(Teacher(other, self.1)),
        }
    }

    /// The same teacher on another device.
    ///
    /// # Errors
    /// `Unsupported` for others than networks of ours: make them anew on that device.
    pub fn into_device(self, device: Device) -> Result<Teacher> {
        match self.0 {
            Source::Network(network) => Ok(Teacher(Source::Network(Box::new(network.into_device(device)?)), self.1)),
            Source::Embedder(embedder) if embedder.device() == device => {
                Ok(Teacher(Source::Embedder(embedder), self.1))
            }
            Source::Embedder(embedder) => Err(Error::new(
                ErrorKind::Unsupported,
                format!("a teacher of kind {} cannot move; make it anew on {device:?}", embedder.name()),
            )),
        }
    }

    /// Embeddings: (B, 3, H, W) → (B, [`embedding_dim`](Teacher::embedding_dim)), float32 unit rows, outside autograd.
    ///
    /// # Errors
    /// Those of [`Network::features`]; those of the [`Embedder`], `Mismatch` where it gives a row of zeros or none of numbers.
    pub fn embed(&self, images: &Tensor) -> Result<Tensor> {
        self.embed_named(images, None, &place_in(images))
    }

    /// As [`embed`](Teacher::embed), by a program of fused operations in `kind` (float32 or bfloat16) that is made at the first
    /// call and kept for further images of the same size. Equals `embed` but for rounding. Others than networks of ours compute
    /// in their own format.
    ///
    /// # Errors
    /// Those of [`embed`](Teacher::embed) and [`Fused::new`].
    pub fn embed_fused(&self, images: &Tensor, kind: Kind) -> Result<Tensor> {
        self.embed_named(images, Some(kind), &place_in(images))
    }

    /// As [`embed`](Teacher::embed), or [`embed_fused`](Teacher::embed_fused) where `kind` is given; errors call image i by the
    /// name that `names` gives. Rows on a GPU are not looked at, since that would wait for it; one of zeros is −∞ there.
    ///
    /// # Errors
    /// Those of both.
    pub fn embed_named(&self, images: &Tensor, kind: Option<Kind>, names: Names) -> Result<Tensor> {
        let rows = match (&self.0, kind) {
            (Source::Network(network), Some(kind)) => network.embed_fused(images, kind)?,
            (Source::Network(network), None) => network.embed(images)?,
            (Source::Embedder(embedder), _) => return embed_with(&**embedder, images, names),
        };
        check_rows(&rows, &format!("teacher ({})", self.name()), names)?;
        mark_zeros(rows)
    }

    /// As [`embed_named`](Teacher::embed_named) by fused operations in `kind`, with the feature map (B, C, h, w), float32, of the same pass.
    ///
    /// # Errors
    /// Those of `embed_named`; `Unsupported` for others than networks of ours, `InvalidArgument` where this one has no such map.
    pub fn embed_with_map(
        &self,
        images: &Tensor,
        kind: Kind,
        map: &PatchMap,
        names: Names,
    ) -> Result<(Tensor, Tensor)> {
        let (rows, map) = self.frozen()?.embed_fused_with_map(images, kind, map)?;
        check_rows(&rows, &format!("teacher ({})", self.name()), names)?;
        Ok((mark_zeros(rows)?, map))
    }

    /// Backbone features before the head, not normalised: (B, 3, H, W) → (B, feature_dim), outside autograd.
    ///
    /// # Errors
    /// Those of [`Network::features`]; `Unsupported` for others than networks of ours.
    pub fn features(&self, images: &Tensor) -> Result<Tensor> {
        self.frozen()?.features(images)
    }

    /// A copy of the teacher as a program of fused operations; see [`Fused::new`].
    ///
    /// # Errors
    /// Those of [`Fused::new`]; `Unsupported` for others than networks of ours.
    pub fn fused(&self, kind: Kind, piece: i64, height: i64, width: i64) -> Result<Fused> {
        self.frozen()?.fused(kind, piece, height, width)
    }

    /// The network, for what does not change it.
    ///
    /// # Errors
    /// `Unsupported` for others than networks of ours.
    pub(crate) fn network(&self) -> Result<&Network> {
        Ok(self.frozen()?.network())
    }

    /// What computes, where it is no network of ours.
    pub fn embedder(&self) -> Option<&Arc<dyn Embedder>> {
        match &self.0 {
            Source::Network(_) => None,
            Source::Embedder(embedder) => Some(embedder),
        }
    }

    /// Width of the embeddings.
    pub fn embedding_dim(&self) -> i64 {
        match &self.0 {
            Source::Network(network) => network.network().output_dim(),
            Source::Embedder(embedder) => embedder.dim(),
        }
    }

    /// Width of the features.
    ///
    /// # Errors
    /// `Unsupported` for others than networks of ours.
    pub fn feature_dim(&self) -> Result<i64> {
        Ok(self.frozen()?.network().feature_dim())
    }

    /// What it is, for a person: the backbone's name, "torchscript" or "application".
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Source::Network(network) => network.network().architecture().name(),
            Source::Embedder(embedder) => embedder.name(),
        }
    }

    /// The number format of its forward pass in a run whose precision is `run`.
    pub fn number_format(&self, run: Kind) -> &str {
        match &self.0 {
            Source::Network(_) if run == Kind::BFloat16 => "bf16",
            Source::Network(_) => "fp32",
            Source::Embedder(embedder) => embedder.number_format(),
        }
    }

    /// The backbone.
    ///
    /// # Errors
    /// `Unsupported` for others than networks of ours.
    pub fn architecture(&self) -> Result<Architecture> {
        Ok(self.frozen()?.network().architecture())
    }

    /// The head.
    ///
    /// # Errors
    /// `Unsupported` for others than networks of ours.
    pub fn head(&self) -> Result<Head> {
        Ok(self.frozen()?.network().head())
    }

    /// Where images are taken and embeddings given.
    pub fn device(&self) -> Device {
        match &self.0 {
            Source::Network(network) => network.network().device(),
            Source::Embedder(embedder) => embedder.device(),
        }
    }

    /// Number of parameters' elements.
    ///
    /// # Errors
    /// `Unsupported` for an application's own teacher, which only the application knows.
    pub fn parameter_count(&self) -> Result<i64> {
        match &self.0 {
            Source::Network(network) => Ok(network.network().parameter_count()),
            Source::Embedder(embedder) => embedder.parameter_count().ok_or_else(|| self.unsupported("parameters")),
        }
    }

    /// What loading the weights left aside; empty for a teacher that was not loaded.
    pub fn report(&self) -> LoadReport {
        self.frozen().map_or_else(|_| LoadReport::default(), |frozen| frozen.report.clone())
    }

    /// What a caller should know about the teacher although nothing failed.
    pub fn warnings(&self) -> &Warnings {
        &self.1
    }

    /// A text that is the same as long as the teacher is. Of a network, SHA-256 over architecture, names and values in
    /// lower-case hex; of a TorchScript file, over its bytes; of an application's teacher, the text it was given.
    pub fn identity(&self) -> Result<String> {
        match &self.0 {
            Source::Network(network) => network.identity(),
            Source::Embedder(embedder) => Ok(embedder.identity().to_owned()),
        }
    }

    /// A copy of every tensor in host memory, in state order.
    ///
    /// # Errors
    /// `Unsupported` for others than networks of ours.
    pub fn to_state(&self) -> Result<Vec<(String, HostTensor)>> {
        self.frozen()?.to_state()
    }

    fn frozen(&self) -> Result<&Frozen> {
        match &self.0 {
            Source::Network(network) => Ok(network),
            Source::Embedder(_) => Err(self.unsupported("backbone, weights and features")),
        }
    }

    fn unsupported(&self, what: &str) -> Error {
        let name = self.name();
        Error::new(
            ErrorKind::Unsupported,
            format!("libseed knows no {what} of a teacher of kind {name}; load its weights by an architecture's name"),
        )
    }
}

/// Names images by their place in the batch (B, …).
fn place_in(images: &Tensor) -> impl Fn(usize) -> String + use<> {
    let batch = images.size().first().copied().unwrap_or(0);
    move |row| format!("image {row} of a batch of {batch}")
}

/// Unit rows of what `embedder` gives for `images`, on the embedder's device; `names` as for [`Teacher::embed_named`].
///
/// # Errors
/// Those of [`Teacher::embed`].
pub(crate) fn embed_with(embedder: &dyn Embedder, images: &Tensor, names: Names) -> Result<Tensor> {
    check_images(images, embedder.device(), 3)?;
    // No guard that switches gradients off stays while an application's callback runs: it may train another student.
    let rows = embedder.embed(images)?.f_detach()?;
    check_rows(&rows, &format!("teacher ({})", embedder.name()), names)?;
    mark_zeros(unit_rows(&rows)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_teacher_can_be_shared() {
        fn shared<T: Send + Sync>() {}
        shared::<Teacher>();
    }

    #[test]
    fn a_classifier_is_not_a_teacher() {
        let head = Head::Classifier { classes: 2 };
        let network = Network::new(Architecture::MobileNetV3Small, head, 0, Device::Cpu).unwrap();
        assert!(Teacher::new(network).is_err());
    }
}
