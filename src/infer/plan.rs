//! What runs a session's network, chosen once when the session is made.
//!
//! "auto" takes the fastest by the clock of libtorch, the embedded engine and, where it is found, ONNX Runtime, among those whose rows agree with
//! libtorch's in float32 ([`contest`](super::contest)), and says why.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::contest::{Contest, views_of};
use super::embedded_engine::EmbeddedNetwork;
use super::host::HostNetwork;
use super::onnx_engine::OnnxNetwork;
use super::options::SessionOptions;
use super::programs::Programs;
use crate::config::EngineName;
use crate::data::Input;
use crate::engine::Engine;
use crate::engine::embedded::Level;
use crate::error::{Error, ErrorKind, Result};
use crate::finite::Names;
use crate::model::{Embedder, Network, Stage, embed_with};
use crate::sys::memory::filled;
use crate::torch;

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
    /// Another engine.
    Host(Box<dyn HostNetwork>),
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
        let embedded = || {
            let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
            EmbeddedNetwork::new(network, input, output, Level::best(), threads)
        };
        let plan = |runner, reason: String| Plan { runner, reason, warning: None };
        let set = format!("the setting \"engine\" is \"{}\"", engine.name.word());
        match engine.name {
            EngineName::Libtorch => Ok(plan(Runner::Programs(programs()?), set)),
            EngineName::OnnxRuntime => {
                check_float32("ONNX Runtime", precision)?;
                Ok(plan(Runner::Host(Box::new(OnnxNetwork::new(network, input, output, dim, engine)?)), set))
            }
            EngineName::Embedded => {
                check_float32("the embedded engine", precision)?;
                Ok(plan(Runner::Host(Box::new(embedded()?)), set))
            }
            EngineName::Auto => {
                let programs = programs()?;
                if programs.device() != Device::Cpu {
                    return Ok(plan(Runner::Programs(programs), format!("{set}, and it computes on a GPU")));
                }
                if precision == Some(Kind::BFloat16) {
                    return Ok(plan(Runner::Programs(programs), format!("{set}, and the others compute in float32")));
                }
                let mut contest = Contest::new(&programs, network, input, dim, output)?;
                let onnx = OnnxNetwork::new(network, input, output, dim, engine)
                    .and_then(|found| contest.enter(Box::new(found)));
                let mut warning = None;
                if let Err(error) = onnx {
                    let named = crate::engine::onnxruntime::is_named(engine.library);
                    warning = named.then(|| format!("ONNX Runtime does not run the session: {error}"));
                    contest.absent("onnxruntime", &error);
                }
                if let Err(error) = embedded().and_then(|found| contest.enter(Box::new(found))) {
                    contest.absent("embedded", &error);
                }
                let (winner, figures) = contest.result();
                let runner = winner.map_or(Runner::Programs(programs), Runner::Host);
                Ok(Plan { runner, reason: format!("{set}; {figures}"), warning })
            }
        }
    }

    /// The plan of a teacher that is no network of ours.
    ///
    /// # Errors
    /// `Unsupported` where an engine is asked for.
    pub fn of_embedder(embedder: &Arc<dyn Embedder>, engine: EngineName) -> Result<Plan> {
        if !matches!(engine, EngineName::Libtorch | EngineName::Auto) {
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
            Runner::Host(network) => network.describe(),
            Runner::Embedder(embedder) => embedder.name().to_owned(),
        };
        format!("{name}: {}", self.reason)
    }

    /// The engine's name where it is not libtorch.
    pub fn other_engine(&self) -> Option<String> {
        match &self.runner {
            Runner::Host(network) => Some(network.describe()),
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
            Runner::Host(network) => Some(&**network),
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
            Runner::Host(network) => {
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
            Runner::Host(network) => {
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
            Runner::Host(network) => network.stages(),
            Runner::Embedder(_) => &[],
        }
    }

    /// Number format of products and convolutions, where it is known.
    pub fn kind(&self) -> Option<Kind> {
        match &self.runner {
            Runner::Programs(programs) => Some(programs.kind()),
            Runner::Host(_) => Some(Kind::Float),
            Runner::Embedder(_) => None,
        }
    }

    /// Images that go through at once; 0: as many as come.
    pub fn piece(&self) -> i64 {
        match &self.runner {
            Runner::Programs(programs) => programs.piece(),
            Runner::Host(network) => network.piece() as i64,
            Runner::Embedder(_) => 0,
        }
    }

    /// Where images are taken and results are given.
    pub fn device(&self) -> Device {
        match &self.runner {
            Runner::Programs(programs) => programs.device(),
            Runner::Host(_) => Device::Cpu,
            Runner::Embedder(embedder) => embedder.device(),
        }
    }
}

/// Refuses bfloat16, which the other engines do not compute in.
fn check_float32(name: &str, precision: Option<Kind>) -> Result<()> {
    if precision != Some(Kind::BFloat16) {
        return Ok(());
    }
    let reason = format!(
        "{name} computes in float32 here: set \"precision\" to \"fp32\" or \"auto\", or \"engine\" to \"libtorch\""
    );
    Err(Error::new(ErrorKind::Unsupported, reason))
}
