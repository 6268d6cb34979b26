//! A teacher that the application runs: an engine of its own (ONNX Runtime, OpenVINO, TensorRT) behind a callback.
//!
//! The callback sees either the run's numbers or the pixels themselves. Views are whole levels before they are normalised, so
//! the way back is exact:
//!
//! ```text
//! x = (v/255 − mean) / std        v = round(255 · (x · std + mean)),   v ∈ {0, …, 255}
//! ```

use tch::{Device, Kind, Tensor};

use super::embedder::{Embedder, MAX_DIM};
use crate::error::{Error, Result};
use crate::torch;

/// How the callback is shown a batch; always contiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchFormat {
    /// (B, 3, H, W) float32, normalised by the mean and deviation of the run.
    FloatNchw,
    /// (B, H, W, 3) bytes: red, green and blue levels.
    BytesNhwc,
}

/// What the application says about its teacher.
#[derive(Debug, Clone)]
pub struct ApplicationOptions {
    /// D, the width of the embedding.
    pub dim: i64,
    /// A text that changes when the embeddings do: a file's name and hash, a version.
    pub identity: String,
    /// How batches are shown.
    pub format: BatchFormat,
    /// Where batches are shown and embeddings expected: main memory, or the run's device.
    pub at: Device,
    /// The run's device.
    pub device: Device,
    /// Means that the run's views are normalised by.
    pub mean: [f64; 3],
    /// Deviations that the run's views are normalised by.
    pub std: [f64; 3],
}

/// Fills embeddings (B, D) float32, zeros so far, from images in the format and the place that were asked for.
pub type EmbedFunction = dyn Fn(&Tensor, &Tensor) -> Result<()> + Send + Sync;

/// A callback of the application as a teacher.
pub struct Application {
    embed: Box<EmbedFunction>,
    options: ApplicationOptions,
    identity: String,
}

/// Longest text of an identity, which has to fit a bank's header.
const MAX_IDENTITY: usize = 1024;

/// Farthest from a whole level that a view's number may be; float32 is a hundred times closer for every mean and deviation.
const NEAR: f64 = 0.02;

impl Application {
    /// A teacher that calls `embed`, on the thread that computes and possibly on several at once.
    ///
    /// # Errors
    /// `InvalidArgument` for a width or an identity out of bounds, or where `at` is a GPU and the run's device is not.
    pub fn new(embed: Box<EmbedFunction>, options: ApplicationOptions) -> Result<Self> {
        if !(1..=MAX_DIM).contains(&options.dim) {
            return Err(Error::invalid(format!("dim is {}, expected 1 to {MAX_DIM}", options.dim)));
        }
        let text = options.identity.trim();
        if text.is_empty() || text.len() > MAX_IDENTITY || text.chars().any(char::is_control) {
            return Err(Error::invalid(format!(
                "the identity has {} bytes, expected 1 to {MAX_IDENTITY} without control characters: banks and checkpoints \
                 tell by it whether the teacher is still the same",
                text.len()
            )));
        }
        if options.at != Device::Cpu && options.at != options.device {
            return Err(Error::invalid(format!(
                "the callback asks for batches on {:?}, but \"device\" is {:?}",
                options.at, options.device
            )));
        }
        let identity = format!("application {text}");
        Ok(Self { embed, options, identity })
    }

    /// Normalised numbers (B, 3, H, W) as the levels they were, (B, H, W, 3) bytes.
    fn levels(&self, images: &Tensor) -> Result<Tensor> {
        let numbers = |values: [f64; 3]| {
            let values = torch::copy_to(&Tensor::f_from_slice(&values.map(|value| value as f32))?, images.device())?;
            Ok::<_, Error>(values.f_view([1, 1, 1, 3])?)
        };
        let nhwc = images.f_permute([0, 2, 3, 1])?;
        let exact =
            nhwc.f_mul(&numbers(self.options.std)?)?.f_add(&numbers(self.options.mean)?)?.f_mul_scalar(255.0)?;
        let levels = exact.f_round()?.f_clamp(0.0, 255.0)?;
        let apart = exact.f_sub(&levels)?.f_abs()?.f_max()?.f_double_value(&[])?;
        if apart.is_nan() || apart > NEAR {
            return Err(Error::mismatch(
                "the views were normalised by another mean or std than the teacher was made with; make both with the same \
                 configuration",
            ));
        }
        Ok(levels.f_to_kind(Kind::Uint8)?.f_contiguous()?)
    }
}

impl Embedder for Application {
    fn embed(&self, images: &Tensor) -> Result<Tensor> {
        let images = torch::copy_to(images, self.options.at)?;
        let images = match self.options.format {
            BatchFormat::FloatNchw => images.f_to_kind(Kind::Float)?.f_contiguous()?,
            BatchFormat::BytesNhwc => self.levels(&images)?,
        };
        let embeddings = Tensor::f_zeros([images.size()[0], self.options.dim], (Kind::Float, self.options.at))?;
        if let Device::Cuda(index) = self.options.at {
            // The application's stream is not ours: what it reads must be there.
            torch::finish(index)?;
        }
        (self.embed)(&images, &embeddings)?;
        torch::copy_to(&embeddings, self.options.device)
    }

    fn dim(&self) -> i64 {
        self.options.dim
    }

    fn device(&self) -> Device {
        self.options.device
    }

    fn name(&self) -> &'static str {
        "application"
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn number_format(&self) -> &str {
        "its own"
    }

    fn parameter_count(&self) -> Option<i64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(mean: [f64; 3], std: [f64; 3]) -> ApplicationOptions {
        let (format, at, device) = (BatchFormat::BytesNhwc, Device::Cpu, Device::Cpu);
        ApplicationOptions { dim: 1, identity: "test".to_owned(), format, at, device, mean, std }
    }

    fn nothing() -> Box<EmbedFunction> {
        Box::new(|_: &Tensor, _: &Tensor| Ok(()))
    }

    /// All 256 levels in each channel, normalised as `data/render.rs` does it: (1, 3, 16, 16).
    fn normalised(mean: [f64; 3], std: [f64; 3]) -> Tensor {
        let numbers: Vec<f32> = (0..3)
            .flat_map(|c| (0..256).map(move |level| (level as f32 / 255.0 - mean[c] as f32) / std[c] as f32))
            .collect();
        Tensor::from_slice(&numbers).view([1, 3, 16, 16])
    }

    #[test]
    fn every_level_comes_back_for_every_mean_and_deviation() {
        let corners = [-10.0, -0.3, 0.0, 0.485, 0.5, 1.0, 10.0];
        for mean in corners {
            for std in [1e-4, 0.01, 0.225, 1.0, 100.0] {
                let (mean, std) = ([mean, 0.456, 0.406], [std, 0.224, 0.225]);
                let teacher = Application::new(nothing(), options(mean, std)).unwrap();
                let levels = teacher.levels(&normalised(mean, std)).unwrap();
                assert_eq!((levels.size(), levels.kind()), (vec![1, 16, 16, 3], Kind::Uint8));
                let levels = Vec::<u8>::try_from(levels.flatten(0, -1)).unwrap();
                assert!(levels.iter().enumerate().all(|(i, &level)| level as usize == i / 3), "{mean:?} {std:?}");
            }
        }
    }

    #[test]
    fn views_of_another_normalisation_are_refused() {
        let teacher = Application::new(nothing(), options([0.5; 3], [0.25; 3])).unwrap();
        let error = teacher.levels(&normalised([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])).unwrap_err();
        assert!(error.message().contains("another mean or std"), "{error}");
        assert!(teacher.levels(&Tensor::full([1, 3, 8, 8], f64::NAN, (Kind::Float, Device::Cpu))).is_err());
    }

    #[test]
    fn what_the_application_says_is_checked() {
        let good = options([0.5; 3], [0.25; 3]);
        let long = "x".repeat(MAX_IDENTITY + 1);
        for identity in ["", " ", "a\nb", long.as_str()] {
            let options = ApplicationOptions { identity: identity.to_owned(), ..good.clone() };
            assert!(Application::new(nothing(), options).is_err(), "{identity:?}");
        }
        for dim in [0, -1, MAX_DIM + 1] {
            assert!(Application::new(nothing(), ApplicationOptions { dim, ..good.clone() }).is_err());
        }
        assert!(Application::new(nothing(), ApplicationOptions { at: Device::Cuda(0), ..good }).is_err());
    }
}
