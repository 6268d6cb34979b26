//! A network as an ONNX graph of operator set 17: one to five nodes for each operation. Exporters write it to files, sessions hand it to
//! an engine that reads ONNX.
//!
//! | operation | nodes |
//! |---|---|
//! | convolution | Conv, Add of the shortcut, activation |
//! | maxima | MaxPool |
//! | squeeze and excitation | GlobalAveragePool, Conv 1×1, activation, Conv 1×1, activation, Mul |
//! | mean | GlobalAveragePool, Flatten |
//! | linear | Gemm, of tokens MatMul and Add; activation |
//! | "SAME" padding | Pad |
//! | patches, layer norm, attention, token | [`tokens`] |
//! | unit rows | ReduceL2, Max with 1e-12, Div |
//! | normalisation | Transpose and Cast for bytes, Sub, Div |

mod file;
mod part;
pub mod proto;
mod tokens;

use tch::Tensor;

pub use self::file::{LARGEST, encoded, model, too_large};
use self::proto::{Attribute, FLOAT, Graph, INT64, Node, UINT8, ValueInfo, Weights};
use crate::data::Input;
use crate::error::{Error, ErrorKind, Result};
use crate::model::weights::{HostTensor, HostType};
use crate::model::{Activation, Count, count, same_padding};
use crate::torch::fused::{ConvGeometry, IMAGES as FIRST, Value};
use crate::torch::graph;
use crate::torch::graph::Operation;

/// The name of the input.
pub const IMAGES: &str = "images";

/// What a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportInput {
    /// float32 (B, 3, H, W), red, green, blue, normalised by the caller.
    Normalised,
    /// float32 (B, 3, H, W) in [0, 1]; the network normalises.
    Unit,
    /// uint8 (B, H, W, 3), as cameras and decoders give it; the network does the rest.
    Bytes,
}

/// Nodes and weights so far.
pub struct Writer {
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
    /// A graph that takes images as `form` says and so far makes of them what networks take.
    ///
    /// # Errors
    /// `Torch` or `OutOfMemory` from libtorch.
    pub fn new(input: &Input, form: ExportInput) -> Result<Self> {
        let (height, width, channels) = sides(input);
        let mut writer = Self::empty(
            input,
            match form {
                ExportInput::Bytes => ValueInfo::batch_of(IMAGES, UINT8, &[height, width, channels]),
                _ => ValueInfo::batch_of(IMAGES, FLOAT, &[channels, height, width]),
            },
        );
        writer.first = writer.input(input, form)?;
        Ok(writer)
    }

    /// A graph that takes a session's views: float32 (B, H, W, C), normalised.
    pub fn of_views(input: &Input) -> Self {
        let (height, width, channels) = sides(input);
        let mut writer = Self::empty(input, ValueInfo::batch_of(IMAGES, FLOAT, &[height, width, channels]));
        writer.first = writer.planes();
        writer
    }

    fn empty(input: &Input, images: ValueInfo) -> Self {
        let (height, width, _) = sides(input);
        Self {
            nodes: Vec::new(),
            weights: Vec::new(),
            bytes: 0,
            images,
            first: String::new(),
            size: (height, width),
            sizes: Count::default(),
        }
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
    fn input(&mut self, input: &Input, form: ExportInput) -> Result<String> {
        let (images, scale) = match form {
            ExportInput::Normalised => return Ok(IMAGES.to_owned()),
            ExportInput::Unit => (IMAGES.to_owned(), 1.0),
            ExportInput::Bytes => {
                let planes = self.planes();
                (self.node("Cast", &[&planes], "levels", vec![Attribute::int("to", i64::from(FLOAT))]), 255.0)
            }
        };
        let mut channels = |name: &str, values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|value| (value * scale) as f32).collect();
            self.weights(name.to_owned(), &Tensor::f_from_slice(&values)?, &[1, values.len() as i64, 1, 1])
        };
        let (mean, std) = input.normal();
        let (mean, std) = (channels("mean", &mean)?, channels("std", &std)?);
        let centred = self.node("Sub", &[&images, &mean], "centred", Vec::new());
        Ok(self.node("Div", &[&centred, &std], "normalised", Vec::new()))
    }

    /// (B, H, W, C) → (B, C, H, W).
    fn planes(&mut self) -> String {
        self.node("Transpose", &[IMAGES], "planes", vec![Attribute::ints("perm", &[0, 3, 1, 2])])
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
                let activation = activation_of(*activation)?;
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
                    let activation = activation_of(activation)?;
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
                let (x, activation) = (name(input.number()), activation_of(*activation)?);
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
                let activation = activation_of(*activation)?;
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

/// The activation that an operation names by its number.
///
/// # Errors
/// `Unsupported` where there is none of that number.
pub fn activation_of(number: i32) -> Result<Activation> {
    Activation::numbered(number).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, format!("activation {number} cannot be exported in this version"))
    })
}

/// Height, width and channels.
fn sides(input: &Input) -> (i64, i64, i64) {
    (i64::from(input.height), i64::from(input.width), i64::from(input.channels))
}

/// What the value before an activation is called: `output` itself where nothing follows.
pub fn before(activation: Activation, output: &str) -> String {
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
