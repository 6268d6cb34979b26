//! A backbone with its head: building, forward pass, memory format, device and copies.

use tch::{Device, Kind, Tensor};

use super::head::{Head, HeadLayers};
use super::load::{self, Load, LoadReport};
use super::params::{Entry, Filling, Role, Store};
use super::weights::{HostTensor, StateDict};
use super::{Architecture, Backbone, Mode, PatchMap, Stage};
use crate::error::{Error, Result};
use crate::torch::fused::{Builder, Value};
use crate::torch::graph::Graph;

/// A network. See the [module](super) for the rules on threads and grad mode.
pub struct Network {
    architecture: Architecture,
    head: Head,
    backbone: Box<dyn Backbone>,
    head_layers: HeadLayers,
    store: Store,
}

impl Network {
    /// A network with torchvision's initial distribution, every tensor's numbers drawn from `seed` and its place in
    /// the state, so that the same seed gives the same backbone under every head.
    ///
    /// # Errors
    /// `InvalidArgument` for a head's width out of bounds; `OutOfMemory`, `Device` or `Torch` from libtorch.
    pub fn new(architecture: Architecture, head: Head, seed: u64, device: Device) -> Result<Network> {
        Network::build(architecture, head, 3, Filling::Random { seed }, device)
    }

    /// As [`new`](Network::new), for images of one channel where `channels` is 1: (B, 1, H, W).
    ///
    /// # Errors
    /// Those of `new`, and `InvalidArgument` where `channels` is neither 3 nor 1.
    pub fn with_channels(
        architecture: Architecture,
        head: Head,
        channels: i64,
        seed: u64,
        device: Device,
    ) -> Result<Network> {
        Network::build(architecture, head, channels, Filling::Random { seed }, device)
    }

    /// A network of zeros, for tensors that are about to be read from somewhere else.
    pub(crate) fn blank(architecture: Architecture, head: Head, device: Device) -> Result<Network> {
        Network::build(architecture, head, 3, Filling::Zeros, device)
    }

    /// A network of shapes without numbers, which costs no memory: to be counted and lowered, not to be run.
    pub(crate) fn shape_only(architecture: Architecture, head: Head, channels: i64) -> Result<Network> {
        Network::build(architecture, head, channels, Filling::Shapes, Device::Cpu)
    }

    /// As [`blank`](Network::blank), of this network's architecture and channels.
    pub(crate) fn blank_like(&self, head: Head, device: Device) -> Result<Network> {
        Network::build(self.architecture, head, self.channels(), Filling::Zeros, device)
    }

    /// As [`blank`](Network::blank), for images of `channels` channels.
    pub(crate) fn blank_with_channels(
        architecture: Architecture,
        head: Head,
        channels: i64,
        device: Device,
    ) -> Result<Network> {
        Network::build(architecture, head, channels, Filling::Zeros, device)
    }

    fn build(
        architecture: Architecture,
        head: Head,
        channels: i64,
        filling: Filling,
        device: Device,
    ) -> Result<Network> {
        if channels != 3 && channels != 1 {
            return Err(Error::invalid(format!("a network takes images of 3 channels or 1, not {channels}")));
        }
        let features = architecture.feature_dim();
        let head = head.resolved(features)?;
        let mut store = Store::new(filling, channels, device);
        let mut root = store.root();
        let backbone = architecture.build(&mut root)?;
        let head_layers = HeadLayers::new(&mut root, architecture, head)?;
        Ok(Network { architecture, head, backbone, head_layers, store })
    }

    /// Backbone features: (B, 3, H, W), or (B, 1, H, W) with one channel, → (B, [`feature_dim`](Network::feature_dim)).
    ///
    /// # Errors
    /// `InvalidArgument` where `images` is not a non-empty floating-point (B, [`channels`](Network::channels), H, W) on the network's device; where H or W is
    /// no multiple of a Vision Transformer's patch; or where training gives batch norm only one value per channel
    /// (B·⌈H/32⌉·⌈W/32⌉ = 1). Nothing has been written then.
    pub fn features(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        check_images(images, self.device(), self.channels())?;
        let (batch, _, height, width) = images.size4()?;
        self.architecture.check_size(batch, height, width, mode)?;
        self.backbone.features(images, mode, &mut |_, _| {})
    }

    /// The feature maps of these `stages` (names as [`Stage`](super::Stage) has them), each (B, C, h, w), within autograd.
    ///
    /// # Errors
    /// Those of [`features`](Network::features); `InvalidArgument` where there is no such stage.
    pub fn maps(&self, images: &Tensor, stages: &[&str], mode: Mode) -> Result<Vec<Tensor>> {
        check_images(images, self.device(), self.channels())?;
        let (batch, _, height, width) = images.size4()?;
        self.architecture.check_size(batch, height, width, mode)?;
        let mut found: Vec<Option<Tensor>> = stages.iter().map(|_| None).collect();
        let _features = self.backbone.features(images, mode, &mut |name, map| {
            if let Some(place) = stages.iter().position(|stage| *stage == name) {
                found[place] = Some(map.shallow_clone());
            }
        })?;
        found.into_iter().zip(stages).map(|(map, stage)| map.ok_or_else(|| self.no_map(stage))).collect()
    }

    /// The features with the map (B, C, h, w) that a loss over patches looks at, of one pass, within autograd.
    ///
    /// # Errors
    /// Those of [`features`](Network::features); `InvalidArgument` where the network has no such map.
    pub fn features_with_map(&self, images: &Tensor, map: &PatchMap, mode: Mode) -> Result<(Tensor, Tensor)> {
        check_images(images, self.device(), self.channels())?;
        let (batch, _, height, width) = images.size4()?;
        self.architecture.check_size(batch, height, width, mode)?;
        let mut kept = None;
        let features = self.backbone.features(images, mode, &mut |name, value| {
            if name == map.stage {
                kept = Some(value.shallow_clone());
            }
        })?;
        let kept = kept.ok_or_else(|| self.no_map(&map.stage))?;
        Ok((features, map.of(&self.backbone.patches_of(&kept)?, height, width)?))
    }

    fn no_map(&self, stage: &str) -> Error {
        Error::invalid(format!("{} has no feature map {stage:?}", self.architecture.name()))
    }

    /// Head on top of the features: (B, 3, H, W) → (B, [`output_dim`](Network::output_dim)); not normalised.
    ///
    /// # Errors
    /// Those of [`features`](Network::features).
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor> {
        let features = self.features(images, mode)?;
        self.head_forward(features, mode)
    }

    /// The head alone: (B, feature_dim) → (B, output_dim), for a caller that wants features and output of one pass.
    pub fn head_forward(&self, features: Tensor, mode: Mode) -> Result<Tensor> {
        self.head_layers.forward(features, mode)
    }

    /// Drops `probability` of the features before a projection while it trains, from now on: 0 in a new network and behind a new head. It is no
    /// part of the network's state.
    pub fn set_head_dropout(&mut self, probability: f64) {
        self.head_layers.set_dropout(probability);
    }

    /// Appends the network in eval mode to a program: the values of its features and of its output.
    pub(crate) fn lower(&self, builder: &mut Builder) -> Result<(Value, Value)> {
        let features = self.backbone.lower(builder)?;
        Ok((features, self.head_layers.lower(builder, features)?))
    }

    /// As [`lower`](Network::lower): the values of the output and of the map that a loss over patches looks at.
    ///
    /// # Errors
    /// `InvalidArgument` where the network has no such map.
    pub(crate) fn lower_with_map(&self, builder: &mut Builder, map: &PatchMap) -> Result<(Value, Value, Value)> {
        let (features, patches) = self.backbone.lower_with_patches(builder, &map.stage)?;
        let patches = patches.ok_or_else(|| self.no_map(&map.stage))?;
        Ok((features, self.head_layers.lower(builder, features)?, patches))
    }

    /// The network in eval mode as a list of operations with batch norm folded into their weights, and the values of its
    /// features and of its output. Linear layers' weights are the network's own tensors: read them before it learns on.
    pub(crate) fn graph(&self) -> Result<(Graph, Value, Value)> {
        let (graph, _, features, output) = self.staged_graph()?;
        Ok((graph, features, output))
    }

    /// As [`graph`](Network::graph), with the stages that feature maps can be asked of.
    pub(crate) fn staged_graph(&self) -> Result<(Graph, Vec<Stage>, Value, Value)> {
        let mut builder = Builder::new()?;
        let (features, output) = self.lower(&mut builder)?;
        let stages = builder.stages().to_vec();
        Ok((builder.into_graph(), stages, features, output))
    }

    /// As [`graph`](Network::graph), with the values of the feature maps of these stages.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no such stage.
    pub(crate) fn maps_graph(&self, stages: &[&str]) -> Result<(Graph, Vec<Value>)> {
        let mut builder = Builder::new()?;
        self.lower(&mut builder)?;
        let find = |name: &&str| {
            let found = builder.stages().iter().find(|stage| stage.name == *name).map(|stage| stage.value);
            found.ok_or_else(|| self.no_map(name))
        };
        let values = stages.iter().map(find).collect::<Result<_>>()?;
        Ok((builder.into_graph(), values))
    }

    /// Width of the features.
    pub fn feature_dim(&self) -> i64 {
        self.architecture.feature_dim()
    }

    /// Width of [`forward`](Network::forward)'s output.
    pub fn output_dim(&self) -> i64 {
        match self.head {
            Head::None => self.feature_dim(),
            Head::Classifier { classes } => classes,
            Head::Projection { dim, .. } | Head::NormedProjection { dim, .. } | Head::LinearProjection { dim } => dim,
        }
    }

    /// The backbone's name.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The head, a projection's hidden width filled in.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Channels of the images: 3, or 1 of a grey network.
    pub fn channels(&self) -> i64 {
        self.store.image_channels()
    }

    /// Where the tensors lie.
    pub fn device(&self) -> Device {
        self.store.device()
    }

    /// What the optimiser may change: handles to the network's own tensors, in state order.
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        self.handles(|entry| entry.role == Role::Parameter)
    }

    /// Running statistics and their counters: handles, in state order.
    pub fn buffers(&self) -> Vec<(String, Tensor)> {
        self.handles(|entry| entry.role == Role::Buffer)
    }

    /// Parameters and buffers in the order of torch's `state_dict`: handles.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        self.handles(|_| true)
    }

    fn handles(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<(String, Tensor)> {
        let entries = self.store.entries().iter().filter(|entry| wanted(entry));
        entries.map(|entry| (entry.name.clone(), entry.tensor.shallow_clone())).collect()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        self.store.entries()
    }

    /// Number of parameters' elements, as method.md and torchvision count them (no buffers).
    pub fn parameter_count(&self) -> i64 {
        let parameters = self.store.entries().iter().filter(|entry| entry.role == Role::Parameter);
        parameters.map(|entry| entry.tensor.numel() as i64).sum()
    }

    /// Copies weights in place; all or nothing. See [`Load`] for what must be there and [`LoadReport`] for what was not
    /// needed.
    ///
    /// # Errors
    /// `Mismatch` naming the keys that are missing, unexpected or of another shape or type; `Format` for bytes that
    /// contradict their shape. Nothing has been written then.
    pub fn load(&self, state: &StateDict, scope: Load) -> Result<LoadReport> {
        load::load(self, state, scope)
    }

    /// A copy of every tensor in host memory, in state order.
    pub fn to_state(&self) -> Result<Vec<(String, HostTensor)>> {
        load::to_state(self)
    }

    /// Replaces the head by a new one, whose numbers are drawn from `seed` as those of a network that is made with it. The tensors
    /// are others afterwards: handles that were taken before are not the network's any more.
    ///
    /// # Errors
    /// Those of [`new`](Network::new); the network is as it was then.
    pub fn replace_head(&mut self, head: Head, seed: u64) -> Result<()> {
        let filling = Filling::Random { seed };
        let replaced = Network::build(self.architecture, head, self.channels(), filling, self.device())?;
        let tensors = self.to_state()?.into_iter().collect();
        replaced.load(&StateDict { tensors, metadata: Default::default() }, Load::BackboneOnly)?;
        *self = replaced;
        Ok(())
    }

    /// Takes every parameter out of autograd.
    pub fn freeze(&self) -> Result<()> {
        for entry in self.store.entries() {
            let _same = entry.tensor.shallow_clone().f_requires_grad_(false)?;
        }
        Ok(())
    }

    /// Lays the 4-dimensional weights out channels-last (OHWI in memory, shape still OIHW), which makes libtorch choose
    /// its channels-last kernels. Handles stay valid; gradients do not, so do it before training.
    pub fn to_channels_last(&self) -> Result<()> {
        let _guard = tch::no_grad_guard();
        for entry in self.store.entries() {
            if let [output, input, height, width] = *entry.tensor.size().as_slice() {
                // Written out, since `contiguous` leaves the strides of a 1×1 kernel as they are.
                let strides = [height * width * input, 1, width * input, input];
                let options = (entry.tensor.f_kind()?, entry.tensor.device());
                let mut laid_out = Tensor::f_empty_strided([output, input, height, width], strides, options)?;
                laid_out.f_copy_(&entry.tensor)?;
                entry.tensor.shallow_clone().f_set_data(&laid_out)?;
            }
        }
        Ok(())
    }

    /// Moves every tensor; handles follow. Gradients do not: do it before training.
    ///
    /// # Errors
    /// `Device` or `OutOfMemory`; every tensor is still where it was then.
    pub fn to_device(&mut self, device: Device) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let entries = self.store.entries();
        let moved: Vec<Tensor> =
            entries.iter().map(|entry| Ok(entry.tensor.f_detach()?.f_to_device(device)?)).collect::<Result<_>>()?;
        for (entry, moved) in entries.iter().zip(&moved) {
            entry.tensor.shallow_clone().f_set_data(moved)?;
        }
        self.store.set_device(device);
        Ok(())
    }

    /// An equal network that shares nothing: same values, device, memory format, `requires_grad` and dropout of the head.
    pub fn deep_copy(&self) -> Result<Network> {
        let _guard = tch::no_grad_guard();
        let mut copy = self.blank_like(self.head, self.device())?;
        copy.set_head_dropout(self.head_layers.dropout());
        for (to, from) in copy.store.entries().iter().zip(self.store.entries()) {
            // A copying conversion to the same type keeps the strides.
            let values = from.tensor.f_detach()?.f_to_dtype(from.tensor.f_kind()?, false, true)?;
            to.tensor.shallow_clone().f_set_data(&values)?;
            let _same = to.tensor.shallow_clone().f_requires_grad_(from.tensor.requires_grad())?;
        }
        Ok(copy)
    }
}

/// Refuses what is not a non-empty floating-point (B, channels, H, W) on `device`.
pub(super) fn check_images(images: &Tensor, device: Device, channels: i64) -> Result<()> {
    if !images.defined() {
        return Err(Error::invalid("the tensor of images is undefined"));
    }
    let kind = images.f_kind()?;
    let size = images.size();
    if !matches!(*size.as_slice(), [batch, c, height, width] if batch > 0 && c == channels && height > 0 && width > 0) {
        return Err(Error::invalid(format!("images must be (B, {channels}, H, W) and not empty, got {size:?}")));
    }
    if !matches!(kind, Kind::Float | Kind::Half | Kind::BFloat16) {
        return Err(Error::invalid(format!("images must be float32 (or half under autocast), got {kind:?}")));
    }
    if images.device() != device {
        let found = images.device();
        return Err(Error::invalid(format!("images lie on {found:?}, the network on {device:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_can_move_to_another_thread() {
        fn moves<T: Send>() {}
        moves::<Network>();
    }
}
