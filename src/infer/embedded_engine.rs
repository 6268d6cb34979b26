//! The embedded engine's networks: the operations that a network is lowered to, with their weights as numbers.
//!
//! | operation | steps of the engine |
//! |---|---|
//! | convolution behind "SAME" padding | one convolution with that padding |
//! | squeeze and excitation | mean, linear, linear, scale |
//! | linear with a sum | linear that reads a second value |
//! | patches | patches, the positions resampled for the images' size |
//! | all others | themselves |

use std::collections::BTreeMap;

use tch::Tensor;

use super::Output;
use super::host::HostNetwork;
use crate::data::Input;
use crate::engine::Engine;
use crate::engine::embedded::{Activation, Embedded, Level, Operation, Program, Step};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{self, Network, Stage, count, resample_positions, same_padding};
use crate::shutdown;
use crate::torch::graph::{Graph, IMAGES, Operation as Lowered, Value};
use crate::torch::numbers;

/// Images between two marks of the process's end.
const PIECE: usize = 16;

/// A network in the embedded engine.
pub struct EmbeddedNetwork {
    engine: Embedded,
    /// The rows' value in the program, and the stages'.
    rows: usize,
    maps: Vec<usize>,
    output: Output,
    dim: usize,
    view_len: usize,
    stages: Vec<Stage>,
}

impl EmbeddedNetwork {
    /// A copy of `network` as it is now, which gives `output` for views that `input` describes, by the instructions of `level` and up to
    /// `threads` threads.
    ///
    /// # Errors
    /// Those of [`Embedded::new`]; `Unsupported` for an operation that the engine does not have.
    pub fn new(
        network: &Network,
        input: &Input,
        output: Output,
        level: Level,
        threads: usize,
    ) -> Result<EmbeddedNetwork> {
        let _no_grad = tch::no_grad_guard();
        let (graph, stages, features, whole) = network.staged_graph()?;
        let (program, values) = program_of(&graph, input)?;
        let engine = Embedded::new(program, level, threads)?;
        let rows = value_of(&values, if output == Output::Features { features } else { whole })?;
        let maps = stages.iter().map(|stage| value_of(&values, stage.value)).collect::<Result<_>>()?;
        let dim = engine.sides(rows)?[0];
        Ok(EmbeddedNetwork { engine, rows, maps, output, dim, view_len: input.view_len(), stages })
    }
}

impl HostNetwork for EmbeddedNetwork {
    fn stages(&self) -> &[Stage] {
        &self.stages
    }

    fn map_sides(&self, stage: usize) -> Result<[i64; 3]> {
        let value = self.maps.get(stage);
        let value = value.ok_or_else(|| Error::new(ErrorKind::Internal, format!("there is no stage {stage}")))?;
        // Sides and channels are far below 2^31.
        Ok(self.engine.sides(*value)?.map(|side| side as i64))
    }

    fn piece(&self) -> usize {
        PIECE
    }
}

impl Engine for EmbeddedNetwork {
    fn describe(&self) -> String {
        format!("embedded ({})", self.engine.level().name())
    }

    fn rows(&self, views: &[f32], rows: &mut [f32]) -> Result<()> {
        let images = views.len() / self.view_len;
        if images == 0 || images * self.view_len != views.len() || images * self.dim != rows.len() {
            let (views, rows, one, dim) = (views.len(), rows.len(), self.view_len, self.dim);
            let reason = format!(
                "{views} numbers of views and {rows} of rows; expected one or more images, {one} and {dim} for each"
            );
            return Err(Error::invalid(reason));
        }
        for (views, rows) in views.chunks(PIECE * self.view_len).zip(rows.chunks_mut(PIECE * self.dim)) {
            // A thread that comes by while the process ends is held here.
            shutdown::pass();
            self.engine.run(views, &[self.rows], &mut [rows])?;
        }
        if self.output == Output::Embedding {
            for row in rows.chunks_mut(self.dim) {
                let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
                // NaN stays NaN.
                let length = if length < 1e-12 { 1e-12 } else { length };
                row.iter_mut().for_each(|value| *value /= length);
            }
        }
        Ok(())
    }

    fn maps(&self, views: &[f32], stages: &[usize], maps: &mut [Vec<f32>]) -> Result<()> {
        let mut wanted = Vec::with_capacity(stages.len());
        let mut of_image = Vec::with_capacity(stages.len());
        for &stage in stages {
            of_image.push(self.map_sides(stage)?.iter().product::<i64>() as usize);
            wanted.push(self.maps[stage]);
        }
        for (number, views) in views.chunks(PIECE * self.view_len).enumerate() {
            shutdown::pass();
            let images = views.len() / self.view_len;
            let parts = maps.iter_mut().zip(&of_image);
            let mut parts: Vec<&mut [f32]> =
                parts.map(|(map, &one)| &mut map[number * PIECE * one..][..images * one]).collect();
            self.engine.run(views, &wanted, &mut parts)?;
        }
        Ok(())
    }
}

fn value_of(values: &BTreeMap<i32, usize>, value: Value) -> Result<usize> {
    let found = values.get(&value.number()).copied();
    found.ok_or_else(|| Error::new(ErrorKind::Internal, format!("value {} was not lowered", value.number())))
}

/// A network's operations as a program, and which of its values the graph's are.
fn program_of(graph: &Graph, input: &Input) -> Result<(Program, BTreeMap<i32, usize>)> {
    let (height, width) = (i64::from(input.height), i64::from(input.width));
    let sizes = count(graph, height, width)?;
    let image = [input.height, input.width, input.channels].map(|side| side as usize);
    let mut program = Program { image, steps: Vec::new() };
    let mut values = BTreeMap::from([(IMAGES.number(), 0)]);
    // Maps that are padded for the convolution that follows: of which value, by how much.
    let mut padded: BTreeMap<i32, (Value, [usize; 4])> = BTreeMap::new();
    for node in graph.nodes() {
        let given = |value: Value| match padded.contains_key(&value.number()) {
            true => Err(unsupported("padding", "something else than a convolution follows")),
            false => value_of(&values, value),
        };
        let mut push = |operation: Operation, input: usize| {
            program.steps.push(Step { operation, input });
            program.steps.len()
        };
        let output = match &node.operation {
            Lowered::Conv { input, other, weight, bias, geometry, activation } => {
                let (source, padding) = match padded.get(&input.number()) {
                    Some(&(source, padding)) => (source, padding),
                    None => (*input, [0; 4]),
                };
                let (_, _, rows, columns) = weight.size4()?;
                let even = side(geometry.padding)?;
                let convolution = Operation::Convolution {
                    weight: floats(weight)?,
                    bias: floats(bias)?,
                    kernel: [side(rows)?, side(columns)?],
                    stride: side(geometry.stride)?,
                    padding: padding.map(|zeros| zeros + even),
                    groups: side(geometry.groups)?,
                    other: other.map(given).transpose()?,
                    activation: activation_of(*activation)?,
                };
                push(convolution, value_of(&values, source)?)
            }
            Lowered::SamePadding { input, kernel, stride } => {
                let map = sizes.map(*input)?;
                let rows = same_padding(map.height, *kernel, *stride);
                let columns = same_padding(map.width, *kernel, *stride);
                let zeros = [side(rows.0)?, side(columns.0)?, side(rows.1)?, side(columns.1)?];
                padded.insert(node.output.number(), (*input, zeros));
                continue;
            }
            Lowered::MaxPool { input } => push(Operation::MaxPool, given(*input)?),
            Lowered::Mean { input } => push(Operation::Mean, given(*input)?),
            Lowered::Squeeze { input, weights, inner, gate } => {
                let map = given(*input)?;
                let mut factors = push(Operation::Mean, map);
                for (pair, activation) in weights.chunks_exact(2).zip([*inner, *gate]) {
                    factors = push(linear(&pair[0], &pair[1], None, activation)?, factors);
                }
                push(Operation::Scale { factors }, map)
            }
            Lowered::Linear { input, weight, bias, activation } => {
                push(linear(weight, bias, None, *activation)?, given(*input)?)
            }
            Lowered::LinearSum { input, other, weight, bias, activation } => {
                if activation_of(*activation)? != Activation::Identity {
                    return Err(unsupported("linear with a sum", "an activation comes before the sum"));
                }
                push(linear(weight, bias, Some(given(*other)?), *activation)?, given(*input)?)
            }
            Lowered::Activation { input, activation } => {
                push(Operation::Activate(activation_of(*activation)?), given(*input)?)
            }
            Lowered::Patches { input, weights: [weight, bias, first, table], antialias } => {
                let (_, _, rows, columns) = weight.size4()?;
                let positions = resample_positions(table, height / rows.max(1), width / columns.max(1), *antialias)?;
                let patches = Operation::Patches {
                    weight: floats(weight)?,
                    bias: floats(bias)?,
                    patch: [side(rows)?, side(columns)?],
                    first: floats(first)?,
                    positions: floats(&positions)?,
                };
                push(patches, given(*input)?)
            }
            Lowered::LayerNorm { input, weight, bias, eps } => {
                let norm = Operation::LayerNorm { weight: floats(weight)?, bias: floats(bias)?, eps: *eps as f32 };
                push(norm, given(*input)?)
            }
            Lowered::Attention { input, heads } => push(Operation::Attention { heads: side(*heads)? }, given(*input)?),
            Lowered::Token { input, number } => push(Operation::Token(side(*number)?), given(*input)?),
            Lowered::Unrecorded { name } => return Err(unsupported(name, "it is not recorded")),
        };
        values.insert(node.output.number(), output);
    }
    Ok((program, values))
}

fn linear(weight: &Tensor, bias: &Tensor, other: Option<usize>, activation: i32) -> Result<Operation> {
    let (weight, bias) = (floats(weight)?, floats(bias)?);
    Ok(Operation::Linear { weight, bias, other, activation: activation_of(activation)? })
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    numbers(tensor, "the weights of the embedded engine")
}

fn side(number: i64) -> Result<usize> {
    usize::try_from(number).map_err(|_| Error::new(ErrorKind::Internal, format!("{number} is no size")))
}

fn unsupported(operation: &str, why: &str) -> Error {
    let reason = format!("not supported by the embedded engine: operation {operation}: {why}");
    Error::new(ErrorKind::Unsupported, reason)
}

/// The activation that an operation names by its number.
fn activation_of(number: i32) -> Result<Activation> {
    use model::Activation as Known;
    let known = Known::numbered(number);
    Ok(match known.ok_or_else(|| unsupported("activation", &format!("there is none of the number {number}")))? {
        Known::Identity => Activation::Identity,
        Known::Relu => Activation::Relu,
        Known::Relu6 => Activation::Relu6,
        Known::Hardswish => Activation::Hardswish,
        Known::Hardsigmoid => Activation::Hardsigmoid,
        Known::Silu => Activation::Silu,
        Known::Sigmoid => Activation::Sigmoid,
        Known::Gelu => Activation::Gelu,
    })
}
