//! Networks: backbones with the definitions and key names of torchvision (Vision Transformers: of DINO), heads, the frozen teacher and the student.
//!
//! ```text
//! images (B,3,H,W) ─ backbone → features (B,d) ─ head → logits (B,classes) or projection (B,C) ─ unit_rows → embedding
//! ```
//!
//! ```
//! use seed::model::{Architecture, Head, Mode, Network};
//! use tch::{Device, Kind, Tensor};
//! let head = Head::Projection { hidden: 0, dim: 128 };
//! let network = Network::new(Architecture::MobileNetV3Small, head, 7, Device::Cpu)?;
//! let images = Tensor::zeros([2, 3, 64, 64], (Kind::Float, Device::Cpu));
//! assert_eq!(network.forward(&images, Mode::Eval)?.size(), [2, 128]);
//! # Ok::<(), seed::Error>(())
//! ```
//!
//! # Threads
//! A [`Network`] may move between threads but is not shared: training writes running statistics and parameters in place
//! through `&self`. The tensors that [`Network::parameters`] hands out are handles to the same storage, so they
//! belong to the thread that uses the network. A [`Teacher`] is never written to after it is made and may be shared freely.
//!
//! # Grad mode
//! Nothing here changes libtorch's thread-local grad mode beyond a guard that restores it.

mod architecture;
mod cost;
mod description;
mod fused;
mod grey;
mod head;
mod initial;
mod layers;
mod load;
mod names;
mod narrow;
mod network;
mod networks;
mod noise;
mod params;
mod patch_map;
mod projection;
pub mod provenance;
mod published;
mod student;
pub mod student_file;
mod student_header;
mod teacher;
pub mod vit;
pub mod weights;
mod weights_summary;

use tch::Tensor;

pub use architecture::Architecture;
pub(crate) use cost::{Count, count, same_padding};
pub use description::Description;
pub use fused::Fused;
pub use grey::fold_stem;
pub use head::{DEEPEST, Head};
pub use initial::{InitialWeights, start_from};
pub(crate) use layers::Activation;
pub use load::{Load, LoadReport};
pub use narrow::{Narrow, Width};
pub use network::Network;
pub use patch_map::PatchMap;
pub use projection::unit_rows;
pub use published::{Published, published, published_names};
pub use student::Student;
pub(crate) use teacher::embed_with;
pub use teacher::{Application, ApplicationOptions, BatchFormat, EmbedFunction, Embedder, Teacher, TorchScript};
pub(crate) use vit::resample as resample_positions;
pub use weights_summary::describe;

use crate::error::Result;
pub use crate::torch::fused::Stage;
use crate::torch::fused::{Builder, Value};

/// How a forward pass treats batch norm, dropout and stochastic depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Running statistics, no noise; nothing is written.
    Eval,
    /// Batch statistics, running ones updated, noise drawn.
    Train {
        /// Key of this step's randomness: the same key gives the same masks. torch's global generator is never touched.
        noise: u64,
    },
}

/// A network up to its features.
pub(crate) trait Backbone: Send {
    /// (B, 3, H, W) → (B, d), the outputs of the stages that [`lower`](Backbone::lower) marks given to `keep` by name.
    fn features(&self, images: &Tensor, mode: Mode, keep: &mut dyn FnMut(&str, &Tensor)) -> Result<Tensor>;

    /// Appends the eval mode of [`features`](Backbone::features) to a program of fused operations.
    fn lower(&self, builder: &mut Builder) -> Result<Value>;

    /// What a loss over patches sees of a stage's output that `keep` was given.
    fn patches_of(&self, kept: &Tensor) -> Result<Tensor> {
        Ok(kept.shallow_clone())
    }

    /// As [`lower`](Backbone::lower), with the value of [`patches_of`](Backbone::patches_of) the stage `name`, where there is one.
    fn lower_with_patches(&self, builder: &mut Builder, name: &str) -> Result<(Value, Option<Value>)> {
        let features = self.lower(builder)?;
        Ok((features, builder.stages().iter().find(|stage| stage.name == name).map(|stage| stage.value)))
    }
}
