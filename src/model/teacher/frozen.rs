//! A network of our own that never changes, and the program of fused operations that it runs as.

use std::sync::{Arc, Mutex, PoisonError};

use once_cell::sync::OnceCell;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::model::network::check_images;
use crate::model::weights::HostTensor;
use crate::model::{Fused, Head, LoadReport, Mode, Network, PatchMap, unit_rows};

/// A frozen network that may be shared between threads: nothing it offers writes to its tensors.
pub(super) struct Frozen {
    network: Network,
    pub report: LoadReport,
    /// The programs of the last formats and sizes, which a run asks for in every step, at most [`PROGRAMS`], the last one last.
    programs: Mutex<Vec<(ProgramKey, Arc<Fused>)>>,
    /// SHA-256 of the weights, once it was asked for: every checkpoint does.
    identity: OnceCell<String>,
}

/// Number format, height and width, and the map that is asked for beside the embedding.
type ProgramKey = (Kind, i64, i64, Option<PatchMap>);

/// Programs that are kept: large and small views of a run, and what a session or a probe asks beside them.
const PROGRAMS: usize = 3;

/// Pixels that go through a fused teacher at once on the CPU: eight images of 224². Fixed and not tried out, so that the same
/// run gives the same bits.
const PIECE_PIXELS: i64 = 8 * 224 * 224;

// SAFETY: the program is behind a mutex and Sync by itself. `Network` is not Sync because training writes buffers and handles to
// its tensors can be taken. A teacher keeps
// its network to itself: `&self` offers only forward passes in eval mode without autograd, which read the tensors, and
// copies of them. libtorch allows concurrent reads, and a handle's reference count is atomic.
unsafe impl Sync for Frozen {}

impl Frozen {
    /// Freezes `network`. Handles to its tensors that were taken before must not be written to any more, which is why the
    /// network should come straight from where it was made.
    ///
    /// # Errors
    /// `InvalidArgument` for a network with a classifier, whose logits are not an embedding, and for one of grey images.
    pub fn new(network: Network) -> Result<Frozen> {
        if let Head::Classifier { .. } = network.head() {
            return Err(Error::invalid("a teacher needs a projection head or none, not a classifier"));
        }
        if network.channels() != 3 {
            return Err(Error::invalid("a teacher sees three channels, of grey frames too; this network takes one"));
        }
        network.freeze()?;
        Ok(Frozen { network, report: LoadReport::default(), programs: Mutex::default(), identity: OnceCell::new() })
    }

    /// The same teacher with channels-last weights; embeddings change by rounding only.
    pub fn into_channels_last(self) -> Result<Frozen> {
        self.network.to_channels_last()?;
        Ok(self)
    }

    /// The same teacher on another device.
    pub fn into_device(mut self, device: Device) -> Result<Frozen> {
        self.programs = Mutex::default();
        self.network.to_device(device)?;
        Ok(self)
    }

    /// Embeddings: (B, 3, H, W) → (B, [`embedding_dim`](Frozen::embedding_dim)), float32 unit rows, outside autograd.
    ///
    /// # Errors
    /// Those of [`Network::features`].
    pub fn embed(&self, images: &Tensor) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        unit_rows(&self.network.forward(images, Mode::Eval)?)
    }

    /// As [`embed`](Frozen::embed), by a program of fused operations in `kind` (float32 or bfloat16) that is made at the first
    /// call and kept for further images of the same size. Equals `embed` but for rounding.
    ///
    /// # Errors
    /// Those of [`Network::features`] and [`Fused::new`].
    pub fn embed_fused(&self, images: &Tensor, kind: Kind) -> Result<Tensor> {
        check_images(images, self.network.device(), self.network.channels())?;
        let (_, _, height, width) = images.size4()?;
        let program = self.program((kind, height, width, None))?;
        unit_rows(&program.forward(images)?)
    }

    /// As [`embed_fused`](Frozen::embed_fused), with the feature map (B, C, h, w), float32, of the same pass.
    ///
    /// # Errors
    /// Those of `embed_fused`; `InvalidArgument` where the network has no such map.
    pub fn embed_fused_with_map(&self, images: &Tensor, kind: Kind, map: &PatchMap) -> Result<(Tensor, Tensor)> {
        check_images(images, self.network.device(), self.network.channels())?;
        let (_, _, height, width) = images.size4()?;
        let program = self.program((kind, height, width, Some(map.clone())))?;
        let (output, map) = program.forward_with_map(images, map)?;
        Ok((unit_rows(&output)?, map))
    }

    fn program(&self, wanted: ProgramKey) -> Result<Arc<Fused>> {
        let mut kept = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let (kind, height, width, ref map) = wanted;
        if let Some((_, program)) = kept.iter().find(|(key, _)| *key == wanted) {
            return Ok(Arc::clone(program));
        }
        let piece = (PIECE_PIXELS / height.saturating_mul(width).max(1)).clamp(1, 32);
        let program = Arc::new(match map {
            Some(map) => Fused::with_map(&self.network, map, kind, piece, height, width)?,
            None => self.fused(kind, piece, height, width)?,
        });
        if kept.len() == PROGRAMS {
            kept.remove(0);
        }
        kept.push((wanted, Arc::clone(&program)));
        Ok(program)
    }

    /// Backbone features before the head, not normalised: (B, 3, H, W) → (B, feature_dim), outside autograd.
    pub fn features(&self, images: &Tensor) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        self.network.features(images, Mode::Eval)
    }

    /// A copy as a program of fused operations; see [`Fused::new`].
    pub fn fused(&self, kind: Kind, piece: i64, height: i64, width: i64) -> Result<Fused> {
        Fused::new(&self.network, kind, piece, height, width)
    }

    /// The network, for what does not change it.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// SHA-256 over architecture, names and values in lower-case hex: the same weights give the same text.
    pub fn identity(&self) -> Result<String> {
        let identity = self.identity.get_or_try_init(|| -> Result<String> {
            let mut hash = Sha256::new();
            hash.update(self.network.architecture().name());
            for (name, tensor) in self.to_state()? {
                hash.update(&name);
                hash.update(&tensor.bytes);
            }
            Ok(crate::sys::hash::text(hash))
        })?;
        Ok(identity.clone())
    }

    /// A copy of every tensor in host memory, in state order.
    pub fn to_state(&self) -> Result<Vec<(String, HostTensor)>> {
        self.network.to_state()
    }
}
