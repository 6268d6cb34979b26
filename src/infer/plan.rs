//! What runs a session's network, chosen once when the session is made.
//!
//! "auto" takes ONNX Runtime where it is found, its rows agree with libtorch's float32 ones to a cosine of [`ALIKE`], and it is the faster
//! of the two by the clock, single images and batches counting alike. Else it takes libtorch, and says why.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor};

use super::Output;
use super::onnx_engine::{OnnxNetwork, PIECE};
use super::options::SessionOptions;
use super::programs::{CALIBRATION, Programs, calibration_images};
use crate::config::EngineName;
use crate::data::Input;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::eval::agreement::cosine;
use crate::finite::Names;
use crate::model::{Embedder, Network, Stage, embed_with};
use crate::sys::memory::filled;
use crate::torch;

/// Smallest cosine between an engine's rows and libtorch's in float32 for which "auto" takes the engine.
pub const ALIKE: f64 = 0.9999;

/// Passes that the clock takes the best of.
const LAPS: usize = 5;

/// What a session computes by, and why.
pub(super) struct Plan {
    runner: Runner,
    /// Why it was taken, for a person.
    reason: String,
    /// What a caller should know of the choice.
    pub warning: Option<String>,
}

enum Runner {
    Programs(Box<Programs>),
    OnnxRuntime(Box<OnnxNetwork>),
    /// A teacher that is no network of ours, whose embeddings alone are known.
    Embedder(Arc<dyn Embedder>),
}

impl Plan {
    /// The plan of `network` for views that `input` describes, with rows `dim` wide.
    ///
    /// # Errors
    /// Those of the engine that is asked for; with "auto" those of libtorch.
    pub fn choose(network: &Network, input: &Input, dim: i64, options: &SessionOptions) -> Result<Plan> {
        let SessionOptions { precision, output, engine, .. } = *options;
        let programs = || Programs::choose(network, input, precision, output).map(Box::new);
        let plan = |runner, reason: String| Plan { runner, reason, warning: None };
        let set = format!("the setting \"engine\" is \"{}\"", engine.name.word());
        match engine.name {
            EngineName::Libtorch => Ok(plan(Runner::Programs(programs()?), set)),
            EngineName::OnnxRuntime => {
                if precision == Some(Kind::BFloat16) {
                    let reason = "ONNX Runtime computes in float32 here: set \"precision\" to \"fp32\" or \"auto\", or \"engine\" to \"libtorch\"";
                    return Err(Error::new(ErrorKind::Unsupported, reason));
                }
                let found = OnnxNetwork::new(network, input, output, dim, engine)?;
                Ok(plan(Runner::OnnxRuntime(Box::new(found)), set))
            }
            EngineName::Auto => {
                let programs = programs()?;
                if programs.device() != Device::Cpu {
                    return Ok(plan(Runner::Programs(programs), format!("{set}, and it computes on a GPU")));
                }
                if precision == Some(Kind::BFloat16) {
                    return Ok(plan(Runner::Programs(programs), format!("{set}, and the others compute in float32")));
                }
                let other = OnnxNetwork::new(network, input, output, dim, engine);
                let compared = other.and_then(|other| {
                    let figures = compare(&programs, &other, network, input, dim, output)?;
                    Ok((other, figures))
                });
                Ok(match compared {
                    Ok((other, figures)) if figures.takes_other() => {
                        plan(Runner::OnnxRuntime(Box::new(other)), format!("{set}; {figures}"))
                    }
                    Ok((_, figures)) => plan(Runner::Programs(programs), format!("{set}; {figures}")),
                    Err(error) => {
                        let reason = format!("{set}, and there is no other: {error}");
                        let named = crate::engine::onnxruntime::is_named(engine.library);
                        let warning = named.then(|| format!("libtorch runs the session, not ONNX Runtime: {error}"));
                        Plan { runner: Runner::Programs(programs), reason, warning }
                    }
                })
            }
        }
    }

    /// The plan of a teacher that is no network of ours.
    ///
    /// # Errors
    /// `Unsupported` where an engine is asked for.
    pub fn of_embedder(embedder: &Arc<dyn Embedder>, engine: EngineName) -> Result<Plan> {
        if engine == EngineName::OnnxRuntime {
            let reason = "a teacher that is no network of libseed computes by itself: set \"engine\" to \"libtorch\" or \"auto\"";
            return Err(Error::new(ErrorKind::Unsupported, reason));
        }
        let reason = "a teacher that is no network of libseed computes by itself".to_owned();
        Ok(Plan { runner: Runner::Embedder(Arc::clone(embedder)), reason, warning: None })
    }

    /// What runs the network, and why: "libtorch: the setting …".
    pub fn engine(&self) -> String {
        let name = match &self.runner {
            Runner::Programs(programs) => programs.describe(),
            Runner::OnnxRuntime(network) => network.describe(),
            Runner::Embedder(embedder) => embedder.name().to_owned(),
        };
        format!("{name}: {}", self.reason)
    }

    /// The engine's name where it is not libtorch.
    pub fn other_engine(&self) -> Option<String> {
        match &self.runner {
            Runner::OnnxRuntime(network) => Some(network.describe()),
            _ => None,
        }
    }

    /// The teacher that computes by itself, where there is one.
    pub fn embedder(&self) -> Option<&Arc<dyn Embedder>> {
        match &self.runner {
            Runner::Embedder(embedder) => Some(embedder),
            _ => None,
        }
    }

    /// The engine; None for a teacher that computes by itself.
    pub fn host(&self) -> Option<&dyn Engine> {
        match &self.runner {
            Runner::Programs(programs) => Some(&**programs),
            Runner::OnnxRuntime(network) => Some(&**network),
            Runner::Embedder(_) => None,
        }
    }

    /// images (B, C, H, W) on the CPU or the plan's device → rows (B, `dim`), float32. Errors of an embedder call image i by the name that
    /// `names` gives; rows of programs are not looked at here.
    ///
    /// # Errors
    /// `Unsupported` for a GPU's images where another engine than libtorch runs.
    pub fn run(&self, images: &Tensor, dim: usize, names: Names) -> Result<Tensor> {
        match &self.runner {
            Runner::Programs(programs) => programs.run(&torch::copy_to(images, programs.device())?),
            Runner::Embedder(embedder) => embed_with(&**embedder, &torch::copy_to(images, embedder.device())?, names),
            Runner::OnnxRuntime(network) => {
                let (views, batch) = views_of(images)?;
                let mut rows = filled(0f32, batch * dim, "the rows of the images")?;
                network.rows(&views, &mut rows)?;
                Ok(Tensor::f_from_slice(&rows)?.f_view([batch as i64, dim as i64])?)
            }
        }
    }

    /// images (B, C, H, W) on the CPU or the plan's device → maps (B, C, h, w) of the stages, float32.
    ///
    /// # Errors
    /// `Unsupported` for a teacher that is no network of ours, and as [`run`](Plan::run).
    pub fn maps(&self, images: &Tensor, stages: &[Stage]) -> Result<Vec<Tensor>> {
        match &self.runner {
            Runner::Programs(programs) => programs.stage_maps(&torch::copy_to(images, programs.device())?, stages),
            Runner::Embedder(_) => {
                let reason = "a teacher that is no network of libseed has no feature maps to give";
                Err(Error::new(ErrorKind::Unsupported, reason))
            }
            Runner::OnnxRuntime(network) => {
                let (views, batch) = views_of(images)?;
                let number = |stage: &Stage| {
                    let found = network.stages().iter().position(|known| known == stage);
                    found.ok_or_else(|| Error::new(ErrorKind::Internal, format!("there is no stage {}", stage.name)))
                };
                let numbers = stages.iter().map(number).collect::<Result<Vec<_>>>()?;
                // A graph names each of its outputs once.
                let mut once = numbers.clone();
                once.sort_unstable();
                once.dedup();
                let mut sides = Vec::with_capacity(once.len());
                let mut maps = Vec::with_capacity(once.len());
                for &stage in &once {
                    let [channels, height, width] = network.map_sides(stage)?;
                    sides.push([batch as i64, channels, height, width]);
                    maps.push(filled(0f32, batch * (channels * height * width) as usize, "feature maps")?);
                }
                network.maps(&views, &once, &mut maps)?;
                let made = |&stage: &usize| {
                    let place = once.iter().position(|&known| known == stage).unwrap_or(0);
                    Ok(Tensor::f_from_slice(&maps[place])?.f_view(sides[place])?)
                };
                numbers.iter().map(made).collect()
            }
        }
    }

    /// The feature maps that can be asked for.
    pub fn stages(&self) -> &[Stage] {
        match &self.runner {
            Runner::Programs(programs) => programs.stages(),
            Runner::OnnxRuntime(network) => network.stages(),
            Runner::Embedder(_) => &[],
        }
    }

    /// Number format of products and convolutions, where it is known.
    pub fn kind(&self) -> Option<Kind> {
        match &self.runner {
            Runner::Programs(programs) => Some(programs.kind()),
            Runner::OnnxRuntime(_) => Some(Kind::Float),
            Runner::Embedder(_) => None,
        }
    }

    /// Images that go through at once; 0: as many as come.
    pub fn piece(&self) -> i64 {
        match &self.runner {
            Runner::Programs(programs) => programs.piece(),
            Runner::OnnxRuntime(_) => PIECE as i64,
            Runner::Embedder(_) => 0,
        }
    }

    /// Where images are taken and results are given.
    pub fn device(&self) -> Device {
        match &self.runner {
            Runner::Programs(programs) => programs.device(),
            Runner::OnnxRuntime(_) => Device::Cpu,
            Runner::Embedder(embedder) => embedder.device(),
        }
    }
}

/// Images (B, C, H, W) on the host as views (B, H, W, C), and B.
fn views_of(images: &Tensor) -> Result<(Vec<f32>, usize)> {
    if images.device() != Device::Cpu {
        let reason = format!(
            "the images are on {:?}, which ONNX Runtime does not take from here: give images in the host's memory, or set \"engine\" to \
             \"libtorch\"",
            images.device()
        );
        return Err(Error::new(ErrorKind::Unsupported, reason));
    }
    let views = images.f_permute([0, 2, 3, 1])?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let batch = usize::try_from(images.size()[0]).unwrap_or(0);
    Ok((torch::numbers(&views, "the images' numbers")?, batch))
}

/// Two engines on the same views.
struct Figures {
    name: String,
    /// Smallest cosine of the other's rows to libtorch's in float32.
    cosine: f64,
    /// Times of one image alone, and of one of [`PIECE`]: libtorch's, the other's.
    times: [[Duration; 2]; 2],
}

impl Figures {
    fn takes_other(&self) -> bool {
        let cost = |[alone, among]: [Duration; 2]| alone.as_secs_f64() * among.as_secs_f64();
        // Written so that NaN refuses.
        self.cosine >= ALIKE && cost(self.times[1]) < cost(self.times[0])
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [own, other] = self.times.map(|[alone, among]| {
            format!(
                "{:.2} ms an image alone and {:.2} in a batch",
                alone.as_secs_f64() * 1e3,
                among.as_secs_f64() * 1e3
            )
        });
        write!(
            f,
            "libtorch takes {own}, {} {other}; the smallest cosine of their rows is {:.6}",
            self.name, self.cosine
        )
    }
}

fn compare(
    programs: &Programs,
    other: &OnnxNetwork,
    network: &Network,
    input: &Input,
    dim: i64,
    output: Output,
) -> Result<Figures> {
    let channels = i64::from(input.channels);
    let images = calibration_images(PIECE as i64, channels, i64::from(input.height), i64::from(input.width))?;
    let (views, _) = views_of(&images)?;
    let dim = usize::try_from(dim).unwrap_or(0);
    let mut rows = [filled(0f32, PIECE * dim, "rows")?, filled(0f32, PIECE * dim, "rows")?];
    let count = CALIBRATION as usize;
    let probed = &views[..count * input.view_len()];
    Programs::exact(network, input, output)?.rows(probed, &mut rows[0][..count * dim])?;
    other.rows(probed, &mut rows[1][..count * dim])?;
    let pairs = rows[0][..count * dim].chunks(dim).zip(rows[1][..count * dim].chunks(dim));
    // NaN stays NaN.
    let cosine = pairs
        .map(|(a, b)| cosine(a, b))
        .fold(1.0f64, |least, next| if least.is_nan() || next >= least { least } else { next });
    let mut clock = |engine: &dyn Engine| -> Result<[Duration; 2]> {
        let mut times = [Duration::MAX; 2];
        for (time, count) in times.iter_mut().zip([1, PIECE]) {
            for lap in 0..=LAPS {
                let start = Instant::now();
                engine.rows(&views[..count * input.view_len()], &mut rows[0][..count * dim])?;
                // The first pass warms up.
                if lap > 0 {
                    *time = (*time).min(start.elapsed() / count as u32);
                }
            }
        }
        Ok(times)
    };
    Ok(Figures { name: other.describe(), cosine, times: [clock(programs)?, clock(other)?] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_engine_is_taken_where_it_agrees_and_is_the_faster_one() {
        let takes = |cosine: f64, own: [u64; 2], other: [u64; 2]| {
            let times = [own, other].map(|times| times.map(Duration::from_micros));
            Figures { name: "other".to_owned(), cosine, times }.takes_other()
        };
        assert!(takes(1.0, [100, 50], [90, 50]) && takes(ALIKE, [100, 50], [40, 120]));
        assert!(
            !takes(1.0, [90, 50], [100, 50]) && !takes(1.0, [100, 50], [100, 50]) && !takes(1.0, [40, 50], [90, 50])
        );
        for cosine in [0.99989, 0.0, -1.0, f64::NAN] {
            assert!(!takes(cosine, [100, 100], [1, 1]), "{cosine}");
        }
    }
}
