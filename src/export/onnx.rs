//! A network as an ONNX graph of operator set 17: one to five nodes for each operation.
//!
//! | operation | nodes |
//! |---|---|
//! | convolution | Conv, Add of the shortcut, activation |
//! | maxima | MaxPool |
//! | squeeze and excitation | GlobalAveragePool, Conv 1×1, activation, Conv 1×1, activation, Mul |
//! | mean | GlobalAveragePool, Flatten |
//! | linear | Gemm, of tokens MatMul and Add; activation |
//! | "SAME" padding | Pad |
//! | patches, layer norm, attention, token | [`super::onnx_tokens`] |
//! | unit rows | ReduceL2, Max with 1e-12, Div |
//! | normalisation | Transpose and Cast for bytes, Sub, Div |

use tch::Tensor;

use super::onnx_proto::{Attribute, FLOAT, Graph, INT64, Node, UINT8, ValueInfo, Weights};
use super::outputs::outputs;
use super::{ExportInput, Options};
use crate::error::{Error, ErrorKind, Result};
use crate::model::student_file::StudentHeader;
use crate::model::weights::{HostTensor, HostType};
use crate::model::{Activation, Count, Network, count, same_padding};
use crate::torch::fused::{ConvGeometry, IMAGES as FIRST, Value};
use crate::torch::graph;
use crate::torch::graph::Operation;

/// The name of the input.
const IMAGES: &str = "images";

/// Bytes that a protobuf message must stay below.
pub(super) const LARGEST: usize = i32::MAX as usize;

/// `network` in eval mode, with what `options` ask for before and behind it.
///
/// # Errors
/// `Unsupported` for an operation that is not known here, naming it, and for 2 GB of weights and more.
pub(super) fn graph(network: &Network, header: &StudentHeader, options: &Options) -> Result<Graph> {
    let (operations, wanted) = outputs(network, header, options.outputs)?;
    let mut writer = Writer::new(header, options.input)?;
    let values: Vec<Value> = wanted.iter().map(|output| output.value).collect();
    let values = writer.network(&operations, "", &values)?;
    let mut infos = Vec::with_capacity(wanted.len());
    for (output, value) in wanted.iter().zip(values) {
        if output.unit_rows {
            writer.unit_rows(&value, output.name)?;
        } else {
            writer.node("Identity", &[&value], output.name, Vec::new());
        }
        infos.push(ValueInfo::batch_of(output.name, FLOAT, &output.sides));
    }
    Ok(writer.finish(network.architecture().name(), infos))
}

/// What is said of a file that would be larger.
pub(super) fn too_large() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the weights are 2 GB or more, which an ONNX file cannot hold; a student can be exported as TorchScript or safetensors",
    )
}

/// Nodes and weights so far.
pub(super) struct Writer {
    nodes: Vec<Node>,
    weights: Vec<Weights>,
    bytes: usize,
    /// The input.
    images: ValueInfo,
    /// What the images are called that networks take.
    first: String,
    size: (i64, i64),
    /// Of the network that is being written.
    pub sizes: Count,
}

impl Writer {
    /// A graph that takes images as `input` says and so far makes of them what networks take.
    pub fn new(header: &StudentHeader, input: ExportInput) -> Result<Self> {
        let channels = i64::from(header.input.channels);
        let (height, width) = (i64::from(header.input.height), i64::from(header.input.width));
        let images = match input {
            ExportInput::Bytes => ValueInfo::batch_of(IMAGES, UINT8, &[height, width, channels]),
            _ => ValueInfo::batch_of(IMAGES, FLOAT, &[channels, height, width]),
        };
        let (nodes, weights, first) = (Vec::new(), Vec::new(), String::new());
        let mut writer =
            Self { nodes, weights, bytes: 0, images, first, size: (height, width), sizes: Count::default() };
        writer.first = writer.input(header, input)?;
        Ok(writer)
    }

    /// The graph whose nodes give `outputs`.
    pub fn finish(self, name: &str, outputs: Vec<ValueInfo>) -> Graph {
        Graph {
            node: self.nodes,
            name: name.to_owned(),
            initializer: self.weights,
            input: vec![self.images],
            output: outputs,
        }
    }

    /// Appends what a network needs for the values `wanted`, and gives their names. `prefix` begins the names of its values and
    /// weights, which tells two networks of one file apart.
    ///
    /// # Errors
    /// `Unsupported` for an operation that is not known here, naming it, and for 2 GB of weights and more.
    pub fn network(&mut self, operations: &graph::Graph, prefix: &str, wanted: &[Value]) -> Result<Vec<String>> {
        self.sizes = count(operations, self.size.0, self.size.1)?;
        let first = self.first.clone();
        let name = |value: i32| if value == FIRST.number() { first.clone() } else { format!("{prefix}x{value}") };
        for node in operations.leading_to(wanted) {
            self.operation(node, prefix, &name)?;
        }
        Ok(wanted.iter().map(|value| name(value.number())).collect())
    }

    /// Appends a node with one output and gives the output's name back.
    pub fn node(&mut self, op_type: &str, inputs: &[&str], output: &str, attribute: Vec<Attribute>) -> String {
        self.node_of(op_type, inputs, &[output], attribute);
        output.to_owned()
    }

    /// Appends a node with several outputs, the last of which names it.
    pub fn node_of(&mut self, op_type: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<Attribute>) {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.nodes.push(Node {
            input: owned(inputs),
            output: owned(outputs),
            name: format!("{op_type}_{}", outputs.last().unwrap_or(&"")),
            op_type: op_type.to_owned(),
            attribute,
        });
    }

    /// Adds float32 weights of that shape and gives their name back.
    pub fn weights(&mut self, name: String, tensor: &Tensor, dims: &[i64]) -> Result<String> {
        let host = HostTensor::from_tensor(&tensor.f_to_kind(tch::Kind::Float)?)?;
        debug_assert_eq!(host.dtype, HostType::F32);
        self.bytes = self.bytes.saturating_add(host.bytes.len());
        if self.bytes > LARGEST {
            return Err(too_large());
        }
        self.weights.push(Weights {
            dims: dims.to_vec(),
            data_type: FLOAT,
            name: name.clone(),
            raw_data: host.bytes.into(),
        });
        Ok(name)
    }

    /// Whole numbers under a name, once: (count), or a scalar where `dims` is empty.
    pub fn integers(&mut self, name: &str, values: &[i64], dims: &[i64]) -> String {
        if !self.weights.iter().any(|weights| weights.name == name) {
            let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.weights.push(Weights { dims: dims.to_vec(), data_type: INT64, name: name.to_owned(), raw_data });
        }
        name.to_owned()
    }

    /// A number under a name, once.
    pub fn scalar(&mut self, name: &str, value: f32) -> Result<String> {
        if self.weights.iter().any(|weights| weights.name == name) {
            return Ok(name.to_owned());
        }
        self.weights(name.to_owned(), &Tensor::f_from_slice(&[value])?, &[])
    }

    /// What turns the caller's images into those that the network was trained on; gives their name.
    fn input(&mut self, header: &StudentHeader, input: ExportInput) -> Result<String> {
        let (images, scale) = match input {
            ExportInput::Normalised => return Ok(IMAGES.to_owned()),
            ExportInput::Unit => (IMAGES.to_owned(), 1.0),
            ExportInput::Bytes => {
                let planes = self.node("Transpose", &[IMAGES], "planes", vec![Attribute::ints("perm", &[0, 3, 1, 2])]);
                (self.node("Cast", &[&planes], "levels", vec![Attribute::int("to", i64::from(FLOAT))]), 255.0)
            }
        };
        let mut channels = |name: &str, values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|value| (value * scale) as f32).collect();
            self.weights(name.to_owned(), &Tensor::f_from_slice(&values)?, &[1, values.len() as i64, 1, 1])
        };
        let (mean, std) = header.input.normal();
        let (mean, std) = (channels("mean", &mean)?, channels("std", &std)?);
        let centred = self.node("Sub", &[&images, &mean], "centred", Vec::new());
        Ok(self.node("Div", &[&centred, &std], "normalised", Vec::new()))
    }

    /// `rows` (B, C, …) divided by their lengths over the axis C; gives `output`. Where all of a row are 0 they stay.
    pub fn unit_rows(&mut self, rows: &str, output: &str) -> Result<String> {
        let axes = vec![Attribute::ints("axes", &[1]), Attribute::int("keepdims", 1)];
        let length = self.node("ReduceL2", &[rows], &format!("{output}_length"), axes);
        let smallest = self.scalar("smallest_length", 1e-12)?;
        let length = self.node("Max", &[&length, &smallest], &format!("{output}_length_above_0"), Vec::new());
        Ok(self.node("Div", &[rows, &length], output, Vec::new()))
    }

    fn operation(&mut self, node: &graph::Node, prefix: &str, name: &impl Fn(i32) -> String) -> Result<()> {
        let output = name(node.output.number());
        // Numbers the weights.
        let y = &format!("{prefix}{}", node.output.number());
        match &node.operation {
            Operation::Conv { input, other, weight, bias, geometry, activation } => {
                let x = name(input.number());
                let activation = super::activation(*activation)?;
                let sum = if other.is_some() { format!("{output}_conv") } else { before(activation, &output) };
                let (w, b) = (format!("w{y}"), format!("b{y}"));
                let (w, b) = (self.weights(w, weight, &weight.size())?, self.weights(b, bias, &bias.size())?);
                let (_, _, height, width) = weight.size4()?;
                let mut sum = self.node("Conv", &[&x, &w, &b], &sum, conv_attributes((height, width), *geometry));
                if let Some(other) = other {
                    let other = name(other.number());
                    sum = self.node("Add", &[&sum, &other], &before(activation, &output), Vec::new());
                }
                self.activate(activation, &sum, &output)?;
            }
            Operation::MaxPool { input } => {
                let attributes = vec![
                    Attribute::ints("kernel_shape", &[3, 3]),
                    Attribute::ints("pads", &[1, 1, 1, 1]),
                    Attribute::ints("strides", &[2, 2]),
                ];
                self.node("MaxPool", &[&name(input.number())], &output, attributes);
            }
            Operation::Squeeze { input, weights, inner, gate } => {
                let x = name(input.number());
                let mut squeezed = self.node("GlobalAveragePool", &[&x], &format!("{output}_mean"), Vec::new());
                for (number, (pair, activation)) in weights.chunks_exact(2).zip([*inner, *gate]).enumerate() {
                    let activation = super::activation(activation)?;
                    let (outputs, inputs) = pair[0].size2()?;
                    let w = self.weights(format!("w{y}_{number}"), &pair[0], &[outputs, inputs, 1, 1])?;
                    let b = self.weights(format!("b{y}_{number}"), &pair[1], &[outputs])?;
                    let end = format!("{output}_squeezed{number}");
                    let pointwise = ConvGeometry { stride: 1, padding: 0, groups: 1 };
                    let attributes = conv_attributes((1, 1), pointwise);
                    let sum = self.node("Conv", &[&squeezed, &w, &b], &before(activation, &end), attributes);
                    squeezed = self.activate(activation, &sum, &end)?;
                }
                self.node("Mul", &[&x, &squeezed], &output, Vec::new());
            }
            Operation::Mean { input } => {
                let x = name(input.number());
                let mean = self.node("GlobalAveragePool", &[&x], &format!("{output}_mean"), Vec::new());
                self.node("Flatten", &[&mean], &output, vec![Attribute::int("axis", 1)]);
            }
            Operation::Linear { input, weight, bias, activation } if self.sizes.map(*input)?.height > 1 => {
                self.linear_of_tokens((y, &name(input.number())), weight, bias, *activation, &output)?;
            }
            Operation::LinearSum { input, other, weight, bias, activation } => {
                let product = format!("{output}_product");
                self.linear_of_tokens((y, &name(input.number())), weight, bias, *activation, &product)?;
                self.node("Add", &[&product, &name(other.number())], &output, Vec::new());
            }
            Operation::SamePadding { input, kernel, stride } => {
                let map = self.sizes.map(*input)?;
                let (rows, columns) =
                    (same_padding(map.height, *kernel, *stride), same_padding(map.width, *kernel, *stride));
                let pads = [0, 0, rows.0, columns.0, 0, 0, rows.1, columns.1];
                let pads = self.integers(&format!("pads{y}"), &pads, &[8]);
                self.node("Pad", &[&name(input.number()), &pads], &output, Vec::new());
            }
            Operation::Activation { input, activation } => {
                let (x, activation) = (name(input.number()), super::activation(*activation)?);
                match activation {
                    Activation::Identity => self.node("Identity", &[&x], &output, Vec::new()),
                    other => self.activate(other, &x, &output)?,
                };
            }
            Operation::Patches { input, weights, antialias } => {
                self.patches(y, (*input, &name(input.number())), weights, *antialias, &output)?;
            }
            Operation::LayerNorm { input, weight, bias, eps } => {
                self.layer_norm(y, &name(input.number()), (weight, bias), *eps, &output)?;
            }
            Operation::Attention { input, heads } => {
                self.attention((*input, &name(input.number())), *heads, &output)?;
            }
            Operation::Token { input, number } => {
                let number = self.integers(&format!("number{number}"), &[*number], &[]);
                self.node("Gather", &[&name(input.number()), &number], &output, vec![Attribute::int("axis", 1)]);
            }
            Operation::Linear { input, weight, bias, activation } => {
                let x = name(input.number());
                let activation = super::activation(*activation)?;
                let (w, b) = (format!("w{y}"), format!("b{y}"));
                let (w, b) = (self.weights(w, weight, &weight.size())?, self.weights(b, bias, &bias.size())?);
                let transposed = vec![Attribute::int("transB", 1)];
                let sum = self.node("Gemm", &[&x, &w, &b], &before(activation, &output), transposed);
                self.activate(activation, &sum, &output)?;
            }
            Operation::Unrecorded { name } => {
                return Err(Error::new(ErrorKind::Unsupported, format!("{name} cannot be written as ONNX")));
            }
        }
        Ok(())
    }

    /// The activation of `x` as `output`, unless there is none and `x` is `output` already; gives `output`.
    pub fn activate(&mut self, activation: Activation, x: &str, output: &str) -> Result<String> {
        Ok(match activation {
            Activation::Identity => output.to_owned(),
            Activation::Relu => self.node("Relu", &[x], output, Vec::new()),
            Activation::Relu6 => {
                let (zero, six) = (self.scalar("zero", 0.0)?, self.scalar("six", 6.0)?);
                self.node("Clip", &[x, &zero, &six], output, Vec::new())
            }
            Activation::Hardswish => self.node("HardSwish", &[x], output, Vec::new()),
            Activation::Hardsigmoid => {
                // "beta" stays at its default, .5. Where both are written, OpenCV takes a Mul behind it for a HardSwish without
                // looking whether it multiplies the same value, and squeeze and excitation becomes garbage (4.13, 5.0).
                self.node("HardSigmoid", &[x], output, vec![Attribute::float("alpha", 1.0 / 6.0)])
            }
            Activation::Silu => {
                let gate = self.node("Sigmoid", &[x], &format!("{output}_gate"), Vec::new());
                self.node("Mul", &[x, &gate], output, Vec::new())
            }
            Activation::Sigmoid => self.node("Sigmoid", &[x], output, Vec::new()),
            Activation::Gelu => {
                // x · Φ(x) = x · (1 + erf(x/√2)) / 2, in PyTorch's order: OpenCV 4.10 to 5.0 crash while they load another one.
                let (root, one, half) =
                    (self.scalar("root", 2f32.sqrt())?, self.scalar("one", 1.0)?, self.scalar("half", 0.5)?);
                let scaled = self.node("Div", &[x, &root], &format!("{output}_scaled"), Vec::new());
                let erf = self.node("Erf", &[&scaled], &format!("{output}_erf"), Vec::new());
                let share = self.node("Add", &[&erf, &one], &format!("{output}_twice_share"), Vec::new());
                let twice = self.node("Mul", &[x, &share], &format!("{output}_twice"), Vec::new());
                self.node("Mul", &[&twice, &half], output, Vec::new())
            }
        })
    }
}

/// What the value before an activation is called: `output` itself where nothing follows.
pub(super) fn before(activation: Activation, output: &str) -> String {
    if activation == Activation::Identity { output.to_owned() } else { format!("{output}_sum") }
}

fn conv_attributes((height, width): (i64, i64), geometry: ConvGeometry) -> Vec<Attribute> {
    let ConvGeometry { stride, padding, groups } = geometry;
    vec![
        Attribute::ints("dilations", &[1, 1]),
        Attribute::int("group", groups),
        Attribute::ints("kernel_shape", &[height, width]),
        Attribute::ints("pads", &[padding; 4]),
        Attribute::ints("strides", &[stride, stride]),
    ]
}
