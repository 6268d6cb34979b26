//! Feature maps from inside a session's network, for segmentation and detection heads outside and for anomaly detection.
//!
//! ```text
//! frame → as for embedding → (B, 3, H, W) → backbone up to a stage → map (B, C, ⌈H/stride⌉, ⌈W/stride⌉)
//! ```
//!
//! ```
//! use seed::data::{FrameView, PixelFormat, Input};
//! use seed::infer::{Session, SessionOptions};
//! use seed::model::{Architecture, Head, Network};
//! let network = Network::new(Architecture::ResNet10, Head::None, 7, tch::Device::Cpu)?;
//! let view = Input { width: 64, height: 32, ..Input::default() };
//! let session = Session::new(&network, &view, SessionOptions::default())?;
//! let stages: Vec<_> = session.stages().iter().map(|stage| (stage.name.as_str(), stage.channels, stage.stride)).collect();
//! assert_eq!(stages, [("layer1", 64, 4), ("layer2", 128, 8), ("layer3", 256, 16), ("layer4", 512, 32)]);
//! let pixels = vec![128; 80 * 60];
//! let frame = FrameView::new(&pixels, 80, 60, 80, PixelFormat::Mono8)?;
//! assert_eq!(session.feature_maps(&[frame], &["layer2"])?[0].size(), [1, 128, 4, 8]);
//! # Ok::<(), seed::Error>(())
//! ```

use tch::{Device, Kind, Tensor};

use super::Session;
use crate::data::render::render_frame;
use crate::data::{FrameView, Input, Scratch};
use crate::error::{Error, Result};
use crate::finite::{self, Names};
use crate::model::Stage;

impl Session {
    /// The feature maps that can be asked for, from the image on; none for some backbones.
    pub fn stages(&self) -> &[Stage] {
        self.plan.stages()
    }

    /// The stages of these names.
    ///
    /// # Errors
    /// `InvalidArgument` where there is no such stage; lists those that there are.
    pub fn stages_named(&self, names: &[&str]) -> Result<Vec<Stage>> {
        let find = |name: &&str| {
            self.stages().iter().find(|stage| stage.name == *name).cloned().ok_or_else(|| {
                let known: Vec<&str> = self.stages().iter().map(|stage| stage.name.as_str()).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let network = &self.description().name;
                Error::invalid(format!("{network} has no feature map {name:?} (there are: {known})"))
            })
        };
        names.iter().map(find).collect()
    }

    /// The feature maps of `frames` at the stages of these names, each (B, C, h, w), float32, on the session's device, for the
    /// same part of the frame that embeddings see. Where the options name a tile, they are those of all the frame's tiles, stitched, and as large
    /// as [`map_size`](Session::map_size) says; the frames have one size then.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown name, no frame, frames of several sizes or smaller than a tile where there are tiles, or a frame that is not sound (names its place); `OutOfMemory` or
    /// `Torch` from libtorch.
    pub fn feature_maps(&self, frames: &[FrameView<'_>], names: &[&str]) -> Result<Vec<Tensor>> {
        let stages = self.stages_named(names)?;
        if !self.tile.is_none() {
            return self.stitched_maps(frames, &stages);
        }
        let mut scratch = Scratch::new();
        let length = self.input.view_len();
        let mut views = vec![0f32; frames.len() * length];
        for (number, (frame, view)) in frames.iter().zip(views.chunks_exact_mut(length)).enumerate() {
            self.note_frame(frame);
            let frame = self.levels_of(frame).map_err(|error| error.context(format!("frame {number}")))?;
            render_frame(&frame, &self.input, view, &mut scratch)?;
        }
        self.sound_maps(&images_of(&views, &self.input)?, &stages, &|row| format!("frame {row}"))
    }

    /// The maps of images (B, C, H, W), whatever they hold: looking at them would wait for a GPU.
    pub(crate) fn maps_unread(&self, images: &Tensor, stages: &[Stage]) -> Result<Vec<Tensor>> {
        self.plan.maps(images, stages)
    }

    /// The maps of images (B, C, H, W), which must be numbers; errors call image i by the name that `names` gives.
    pub(crate) fn sound_maps(&self, images: &Tensor, stages: &[Stage], names: Names) -> Result<Vec<Tensor>> {
        let maps = self.plan.maps(images, stages)?;
        maps.iter().try_for_each(|map| finite::check_entries(map, || self.who(), names))?;
        Ok(maps)
    }
}

/// Views (B, H, W, C) as a channels-last tensor (B, C, H, W) on the CPU.
pub(super) fn images_of(views: &[f32], input: &Input) -> Result<Tensor> {
    if views.is_empty() {
        return Err(Error::invalid("there is no frame, expected at least one"));
    }
    let (height, width) = (i64::from(input.height), i64::from(input.width));
    let nhwc = Tensor::f_from_slice(views)?.f_view([-1, height, width, i64::from(input.channels)])?;
    debug_assert_eq!((nhwc.kind(), nhwc.device()), (Kind::Float, Device::Cpu));
    Ok(nhwc.f_permute([0, 3, 1, 2])?)
}
