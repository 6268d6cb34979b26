//! ONNX Runtime as an engine: a network written as ONNX, in memory, and read by the library that is on this machine.
//!
//! ```text
//! views (B, H, W, C) → Transpose → the network's nodes → "rows" (B, d)
//!                                                      → a stage's map (B, C, h, w)
//! ```
//!
//! The nodes are those of an exported student ([`crate::onnx`]). Feature maps get a session of their own when they are asked for first,
//! which goes no further than it must; so a network with stages keeps its weights here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Output;
use super::host::HostNetwork;
use super::options::EngineChoice;
use crate::data::Input;
use crate::engine::Engine;
use crate::engine::onnxruntime::{self, Library, Model};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Network, Stage};
use crate::onnx::proto::{FLOAT, Graph, ValueInfo};
use crate::onnx::{IMAGES, Writer, encoded, model};
use crate::{shutdown, torch};

/// The rows' name in the graph.
const ROWS: &str = "rows";

/// Images that go through at once: memory is that of so many, however many a call has.
const PIECE: usize = 16;

/// A feature map's name in the graph, and its sides behind the batch.
struct Map {
    name: String,
    sides: [i64; 3],
}

/// A network in ONNX Runtime.
pub(super) struct OnnxNetwork {
    library: &'static Library,
    rows: Model,
    dim: usize,
    /// H, W, C.
    view: [i64; 3],
    stages: Vec<Stage>,
    maps: Vec<Map>,
    /// All of the network, where it has stages.
    graph: Option<Graph>,
    /// Sessions of stages that were asked for.
    of_stages: Mutex<BTreeMap<Vec<usize>, Arc<Model>>>,
    providers: &'static str,
    threads: usize,
}

impl OnnxNetwork {
    /// A copy of `network` as it is now, which gives `output` (B, `dim`) for views that `input` describes, in float32.
    ///
    /// # Errors
    /// Those of [`Library::open`] and [`Model::new`]; `Unsupported` for a network that cannot be written as ONNX.
    pub fn new(
        network: &Network,
        input: &Input,
        output: Output,
        dim: i64,
        choice: EngineChoice,
    ) -> Result<OnnxNetwork> {
        let library = Library::open(choice.library)?;
        torch::statics::keep();
        onnxruntime::check_providers(library, choice.providers)?;
        let (graph, stages, maps) = written(network, input, output, dim)?;
        let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
        let compile = |graph| Model::new(library, &encoded(&model(graph, []))?, choice.providers, threads);
        let rows = compile(graph.part(&[ROWS])).map_err(|error| error.context(library.path.display()))?;
        let side = |side: u32| i64::from(side);
        Ok(OnnxNetwork {
            library,
            rows,
            // Widths are positive and below 2^20.
            dim: dim as usize,
            view: [side(input.height), side(input.width), side(input.channels)],
            graph: (!stages.is_empty()).then_some(graph),
            stages,
            maps,
            of_stages: Mutex::default(),
            providers: choice.providers,
            threads,
        })
    }

    fn map(&self, stage: usize) -> Result<&Map> {
        self.maps.get(stage).ok_or_else(|| Error::new(ErrorKind::Internal, format!("there is no stage {stage}")))
    }

    fn view_len(&self) -> usize {
        // Sides are at most 4096, channels 3.
        self.view.iter().product::<i64>() as usize
    }

    fn images(&self, views: &[f32]) -> [i64; 4] {
        let [height, width, channels] = self.view;
        [(views.len() / self.view_len()) as i64, height, width, channels]
    }

    /// The session that gives these stages' maps, made where it was not asked for before.
    fn of_stages(&self, stages: &[usize]) -> Result<Arc<Model>> {
        // Nothing that may panic runs under the lock.
        let mut known = self.of_stages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = known.get(stages) {
            return Ok(Arc::clone(model));
        }
        let names = stages.iter().map(|&stage| Ok(self.map(stage)?.name.as_str())).collect::<Result<Vec<_>>>()?;
        let graph = self.graph.as_ref().ok_or_else(|| Error::new(ErrorKind::Internal, "the network has no stages"))?;
        let bytes = encoded(&model(graph.part(&names), []))?;
        let made = Arc::new(Model::new(self.library, &bytes, self.providers, self.threads)?);
        known.insert(stages.to_vec(), Arc::clone(&made));
        Ok(made)
    }
}

impl HostNetwork for OnnxNetwork {
    fn stages(&self) -> &[Stage] {
        &self.stages
    }

    fn map_sides(&self, stage: usize) -> Result<[i64; 3]> {
        Ok(self.map(stage)?.sides)
    }

    fn piece(&self) -> usize {
        PIECE
    }
}

impl Engine for OnnxNetwork {
    fn describe(&self) -> String {
        let providers = if self.providers.is_empty() { "cpu" } else { self.providers.trim() };
        format!("onnxruntime {} ({providers})", self.library.version)
    }

    fn rows(&self, views: &[f32], rows: &mut [f32]) -> Result<()> {
        for (views, rows) in views.chunks(PIECE * self.view_len()).zip(rows.chunks_mut(PIECE * self.dim)) {
            // A thread that comes by while the process ends is held here instead of in a library that is being taken down.
            shutdown::pass();
            let images = self.images(views);
            let rows = onnxruntime::Output { name: ROWS, sides: vec![images[0], self.dim as i64], numbers: rows };
            self.rows.run(&input_name()?, &images, views, &mut [rows])?;
        }
        Ok(())
    }

    fn maps(&self, views: &[f32], stages: &[usize], maps: &mut [Vec<f32>]) -> Result<()> {
        let (model, input) = (self.of_stages(stages)?, input_name()?);
        let kinds = stages.iter().map(|&stage| self.map(stage)).collect::<Result<Vec<_>>>()?;
        for (number, views) in views.chunks(PIECE * self.view_len()).enumerate() {
            shutdown::pass();
            let images = self.images(views);
            let outputs = kinds.iter().zip(&mut *maps).map(|(kind, map)| {
                let of_image = kind.sides.iter().product::<i64>() as usize;
                let numbers = &mut map[number * PIECE * of_image..][..images[0] as usize * of_image];
                let sides = std::iter::once(images[0]).chain(kind.sides).collect();
                onnxruntime::Output { name: &kind.name, sides, numbers }
            });
            model.run(&input, &images, views, &mut outputs.collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

fn input_name() -> Result<std::ffi::CString> {
    std::ffi::CString::new(IMAGES).map_err(|error| Error::internal("the images' name", error))
}

/// The network as a graph of all its outputs, its stages, and the maps of these.
fn written(network: &Network, input: &Input, output: Output, dim: i64) -> Result<(Graph, Vec<Stage>, Vec<Map>)> {
    let _no_grad = tch::no_grad_guard();
    let (operations, stages, features, whole) = network.staged_graph()?;
    let mut writer = Writer::of_views(input);
    let row = if output == Output::Features { features } else { whole };
    let values: Vec<_> = std::iter::once(row).chain(stages.iter().map(|stage| stage.value)).collect();
    let mut names = writer.network(&operations, "", &values)?.into_iter();
    let row = names.next().ok_or_else(|| Error::new(ErrorKind::Internal, "the network has no output"))?;
    match output {
        Output::Embedding => writer.unit_rows(&row, ROWS)?,
        Output::Features | Output::Logits => writer.node("Identity", &[&row], ROWS, Vec::new()),
    };
    let mut infos = vec![ValueInfo::batch_of(ROWS, FLOAT, &[dim])];
    let mut maps = Vec::with_capacity(stages.len());
    for (stage, name) in stages.iter().zip(names) {
        let size = writer.sizes.map(stage.value)?;
        let sides = [size.channels, size.height, size.width];
        infos.push(ValueInfo::batch_of(&name, FLOAT, &sides));
        maps.push(Map { name, sides });
    }
    Ok((writer.finish(network.architecture().name(), infos), stages, maps))
}
