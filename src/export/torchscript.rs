//! A network as TorchScript: source text of its operations, and their weights as buffers, so that `.to(device)` and `.half()`
//! move them.
//!
//! ```text
//! def forward(self, images: Tensor):
//!     x0 = images
//!     x1 = torch.relu(torch.conv2d(x0, self.w1, self.b1, [2, 2], [3, 3], [1, 1], 1))
//!     …
//!     return embedding
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::check::Comparison;
use super::numbers::hoisted;
use super::outputs::{names, outputs};
use super::{ExportInput, Options};
use crate::error::{Error, ErrorKind, Result};
use crate::model::student_file::StudentHeader;
use crate::model::weights::SCRIPT_EXTRA;
use crate::model::{Activation, Count, Network, count, resample_positions};
use crate::sys::disk;
use crate::torch::compile;
use crate::torch::fused::Value;
use crate::torch::graph::{Node, Operation};
use crate::torch::script::Script;

/// Writes the module and, before it is in place, loads it and runs it for two batch sizes.
pub(super) fn write(
    path: &Path,
    network: &Network,
    header: &StudentHeader,
    options: &Options,
    texts: &BTreeMap<String, String>,
) -> Result<()> {
    let Module { source, buffers } = Module::of(network, header, options)?;
    let (source, numbers) = if compile::prints_plainly() { (source, Vec::new()) } else { hoisted(&source) };
    let extra = serde_json::to_string(texts)
        .map_err(|error| Error::invalid(format!("the metadata cannot be written as JSON: {error}")))?;
    disk::replace_checked(path, |file, temporary| {
        compile::save(&source, &buffers, &numbers, SCRIPT_EXTRA, &extra, (&file, path))?;
        drop(file);
        // Read here, so that a disk that fails is told from a module that is wrong.
        let bytes = std::fs::read(temporary).map_err(|error| Error::io("read", path, &error))?;
        let loaded = Script::load(&bytes, Device::Cpu).map_err(refused)?;
        for batch in [1, 3] {
            let comparison = Comparison::new(network, header, options, batch)?;
            comparison.check_finite()?;
            comparison.check(&run(&loaded, names(network.head(), options.outputs).len(), &comparison.input)?)?;
        }
        Ok(())
    })
}

/// All `count` outputs of the module. tch's own modules would leak the images where libtorch fails.
fn run(module: &Script, count: usize, images: &Tensor) -> Result<Vec<Tensor>> {
    let name = |place: usize| if count == 1 { String::new() } else { place.to_string() };
    (0..count).map(|place| module.forward(images, &name(place)).map_err(refused)).collect()
}

/// What libtorch refuses of a module that was just written is a failure of libtorch, no fault of a file or of the caller.
fn refused(error: Error) -> Error {
    match error.kind() {
        ErrorKind::OutOfMemory => error,
        _ => Error::new(ErrorKind::Torch, error.message().to_owned()),
    }
}

/// Methods for what takes more than an expression, each behind the call that asks for it.
const METHODS: [(&str, &str); 2] = [
    (
        "self.same_padding(",
        "\
def same_padding(self, x: Tensor, kernel: int, stride: int) -> Tensor:
    rows = max((x.size(2) + stride - 1) // stride * stride - stride + kernel - x.size(2), 0)
    columns = max((x.size(3) + stride - 1) // stride * stride - stride + kernel - x.size(3), 0)
    return torch.constant_pad_nd(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2], 0.)
",
    ),
    (
        "self.attention(",
        "\
def attention(self, qkv: Tensor, heads: int) -> Tensor:
    batch = qkv.size(0)
    tokens = qkv.size(1)
    width = qkv.size(2) // 3
    parts = qkv.view([batch, tokens, 3, heads, width // heads]).permute([2, 0, 3, 1, 4])
    rows = torch.scaled_dot_product_attention(parts[0], parts[1], parts[2])
    return rows.transpose(1, 2).reshape([batch, tokens, width])
",
    ),
];

/// Source text and buffers.
struct Module {
    source: String,
    buffers: Vec<(String, Tensor)>,
}

impl Module {
    fn of(network: &Network, header: &StudentHeader, options: &Options) -> Result<Module> {
        let (graph, outputs) = outputs(network, header, options.outputs)?;
        graph.check_recorded()?;
        // Positions are those of the student's size; maps may have any.
        let sizes = count(&graph, i64::from(header.input.height), i64::from(header.input.width))?;
        let mut module = Module { source: String::new(), buffers: Vec::new() };
        module.line(&match outputs.len() {
            1 => "def forward(self, images: Tensor) -> Tensor:".to_owned(),
            count => format!("def forward(self, images: Tensor) -> Tuple[{}]:", vec!["Tensor"; count].join(", ")),
        });
        module.input(header, options.input)?;
        let wanted: Vec<Value> = outputs.iter().map(|output| output.value).collect();
        for node in graph.leading_to(&wanted) {
            module.node(node, &sizes)?;
        }
        let mut given = Vec::with_capacity(outputs.len());
        for output in outputs {
            let rows = output.value.number();
            if output.unit_rows {
                let length = format!("torch.clamp_min(torch.norm(x{rows}, 2, [1], True), 1e-12)");
                module.line(&format!("    embedding = x{rows} / {length}"));
                given.push("embedding".to_owned());
            } else {
                given.push(format!("x{rows}"));
            }
        }
        module.line(&match given.as_slice() {
            [one] => format!("    return {one}"),
            several => format!("    return ({})", several.join(", ")),
        });
        let needed = METHODS.iter().filter(|(call, _)| module.source.contains(call));
        module.source =
            needed.map(|&(_, method)| method).chain([module.source.as_str()]).collect::<Vec<_>>().join("\n");
        Ok(module)
    }

    fn line(&mut self, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.source, "{text}");
    }

    /// `x0` from what the caller gives.
    fn input(&mut self, header: &StudentHeader, input: ExportInput) -> Result<()> {
        let scale = match input {
            ExportInput::Normalised => {
                self.line("    x0 = images");
                return Ok(());
            }
            ExportInput::Unit => {
                self.line("    levels = images");
                1.0
            }
            ExportInput::Bytes => {
                self.line("    levels = images.permute([0, 3, 1, 2]).to(self.mean.dtype)");
                255.0
            }
        };
        let (mean, std) = header.input.normal();
        for (name, values) in [("mean", mean), ("std", std)] {
            let scaled: Vec<f32> = values.iter().map(|value| (value * scale) as f32).collect();
            self.buffers.push((name.to_owned(), Tensor::f_from_slice(&scaled)?.f_view([1, -1, 1, 1])?));
        }
        self.line("    x0 = (levels - self.mean) / self.std");
        Ok(())
    }

    /// Adds a buffer with a copy of `tensor` and gives the expression that names it.
    fn buffer(&mut self, name: String, tensor: &Tensor) -> Result<String> {
        let copy = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
        let expression = format!("self.{name}");
        self.buffers.push((name, copy));
        Ok(expression)
    }

    fn node(&mut self, node: &Node, sizes: &Count) -> Result<()> {
        let y = node.output.number();
        let expression = match &node.operation {
            Operation::Conv { input, other, weight, bias, geometry, activation } => {
                let (weight, bias) = (self.buffer(format!("w{y}"), weight)?, self.buffer(format!("b{y}"), bias)?);
                let (x, s, p, g) = (input.number(), geometry.stride, geometry.padding, geometry.groups);
                let sum = other.map_or(String::new(), |other| format!(" + x{}", other.number()));
                let conv = format!("torch.conv2d(x{x}, {weight}, {bias}, [{s}, {s}], [{p}, {p}], [1, 1], {g}){sum}");
                activated(*activation, conv)?
            }
            Operation::MaxPool { input } => {
                format!("torch.max_pool2d(x{}, [3, 3], [2, 2], [1, 1])", input.number())
            }
            Operation::Squeeze { input, weights, inner, gate } => {
                let x = input.number();
                let mut names = Vec::with_capacity(4);
                for (tensor, name) in weights.iter().zip(["u", "c", "v", "d"]) {
                    names.push(self.buffer(format!("{name}{y}"), tensor)?);
                }
                let [u, c, v, d] = [0, 1, 2, 3].map(|i: usize| names[i].clone());
                let squeezed = activated(*inner, format!("torch.linear(torch.mean(x{x}, [2, 3]), {u}, {c})"))?;
                let factors = activated(*gate, format!("torch.linear({squeezed}, {v}, {d})"))?;
                format!("x{x} * {factors}.unsqueeze(2).unsqueeze(3)")
            }
            Operation::Mean { input } => format!("torch.mean(x{}, [2, 3])", input.number()),
            Operation::Linear { input, weight, bias, activation } => {
                let (weight, bias) = (self.buffer(format!("w{y}"), weight)?, self.buffer(format!("b{y}"), bias)?);
                activated(*activation, format!("torch.linear(x{}, {weight}, {bias})", input.number()))?
            }
            Operation::LinearSum { input, other, weight, bias, activation } => {
                let (weight, bias) = (self.buffer(format!("w{y}"), weight)?, self.buffer(format!("b{y}"), bias)?);
                let product = activated(*activation, format!("torch.linear(x{}, {weight}, {bias})", input.number()))?;
                format!("{product} + x{}", other.number())
            }
            Operation::SamePadding { input, kernel, stride } => {
                format!("self.same_padding(x{}, {kernel}, {stride})", input.number())
            }
            Operation::Activation { input, activation } => activated(*activation, format!("x{}", input.number()))?,
            Operation::Patches { input, weights, antialias } => {
                let [w, b, first, table] = weights;
                let (_, _, p, q) = w.size4()?;
                let map = sizes.map(*input)?;
                let positions =
                    resample_positions(table, map.height / p, map.width / q, *antialias)?.f_flatten(1, 2)?;
                let (w, b) = (self.buffer(format!("w{y}"), w)?, self.buffer(format!("b{y}"), b)?);
                let (f, n) = (self.buffer(format!("f{y}"), first)?, self.buffer(format!("n{y}"), &positions)?);
                let x = input.number();
                self.line(&format!("    p{y} = torch.conv2d(x{x}, {w}, {b}, [{p}, {q}], [0, 0], [1, 1], 1)"));
                self.line(&format!("    p{y} = p{y}.flatten(2).transpose(1, 2) + {n}"));
                format!("torch.cat([{f}.expand([p{y}.size(0), -1, -1]), p{y}], 1)")
            }
            Operation::LayerNorm { input, weight, bias, eps } => {
                let (weight, bias) = (self.buffer(format!("w{y}"), weight)?, self.buffer(format!("b{y}"), bias)?);
                let width = sizes.map(*input)?.channels;
                format!("torch.layer_norm(x{}, [{width}], {weight}, {bias}, {eps:e})", input.number())
            }
            Operation::Attention { input, heads } => format!("self.attention(x{}, {heads})", input.number()),
            Operation::Token { input, number } => format!("torch.select(x{}, 1, {number})", input.number()),
            Operation::Unrecorded { name } => {
                return Err(Error::new(ErrorKind::Unsupported, format!("{name} cannot be written as TorchScript")));
            }
        };
        self.line(&format!("    x{y} = {expression}"));
        Ok(())
    }
}

/// `expression` with the activation of that number around it.
fn activated(number: i32, expression: String) -> Result<String> {
    Ok(match crate::onnx::activation_of(number)? {
        Activation::Identity => expression,
        Activation::Relu => format!("torch.relu({expression})"),
        Activation::Relu6 => format!("torch.hardtanh({expression}, 0., 6.)"),
        Activation::Hardswish => format!("torch.hardswish({expression})"),
        Activation::Hardsigmoid => format!("torch.hardsigmoid({expression})"),
        Activation::Silu => format!("torch.silu({expression})"),
        Activation::Sigmoid => format!("torch.sigmoid({expression})"),
        Activation::Gelu => format!("torch.gelu({expression})"),
    })
}
