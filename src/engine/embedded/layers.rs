//! A program made ready for a set of instructions: sizes found, weights packed, once.

use super::kernels::{Kernels, Panel, bounds, is_bound};
use super::lines::Lines;
use super::program::{Activation, Operation, Program, Shape, Step, unsupported};
use crate::error::{Error, ErrorKind, Result};

/// What memory is asked for.
const WEIGHTS: &str = "the weights of the embedded engine";

/// A convolution or a linear layer.
pub struct Product {
    weights: Lines,
    /// (outputs, up to whole vectors).
    pub bias: Lines,
    /// First vector, vectors, and where the weights are.
    panels: Vec<[usize; 3]>,
    /// Numbers in a vector.
    lanes: usize,
    /// Rows and columns that each tap lies behind the first; none where output pixel p reads input pixel p.
    pub taps: Vec<[usize; 2]>,
    /// Numbers that follow each other at a tap.
    pub run: usize,
    /// Zeros above and on the left.
    pub before: [usize; 2],
    /// Whether there are zeros at all.
    pub outside: bool,
    /// Step of the kernel.
    pub stride: usize,
    /// Bounds of the results.
    pub bounds: [f32; 2],
    /// What follows where it is more.
    pub activation: Option<Activation>,
}

impl Product {
    /// `weight` gives the weight of an output and of number k of tap t, as (output, t·run + k).
    fn new(
        kernels: &Kernels,
        (outputs, depth): (usize, usize),
        weight: impl Fn(usize, usize) -> f32,
        bias: &[f32],
        activation: Activation,
    ) -> Result<Product> {
        let lanes = kernels.lanes;
        let vectors = outputs.div_ceil(lanes);
        let mut weights = Lines::zeros(vectors.saturating_mul(lanes).saturating_mul(depth), WEIGHTS)?;
        let mut panels = Vec::new();
        let (mut first, mut place) = (0, 0);
        for count in panel_sizes(vectors, kernels.many) {
            panels.push([first, count, place]);
            let width = count * lanes;
            for row in 0..depth {
                for column in 0..width.min(outputs - first * lanes) {
                    weights.numbers_mut()[place + row * width + column] = weight(first * lanes + column, row);
                }
            }
            (first, place) = (first + count, place + depth * width);
        }
        Ok(Product {
            weights,
            bias: Lines::of(bias, vectors * lanes, WEIGHTS)?,
            panels,
            lanes,
            taps: Vec::new(),
            run: depth,
            before: [0; 2],
            outside: false,
            stride: 1,
            bounds: bounds(activation),
            activation: (!is_bound(activation)).then_some(activation),
        })
    }

    /// How many panels there are.
    pub fn panels(&self) -> usize {
        self.panels.len()
    }

    /// One of them.
    pub fn panel(&self, number: usize) -> Panel {
        let [first, vectors, place] = self.panels[number];
        Panel { first, vectors, weights: self.weights.numbers()[place..].as_ptr(), pitch: vectors * self.lanes }
    }
}

/// Vectors of the panels: with many registers fours, else twos; threes where a panel of one would be left.
pub fn panel_sizes(vectors: usize, many: bool) -> Vec<usize> {
    let most = if many { 4 } else { 2 };
    let mut sizes = vec![most; vectors / most];
    match (vectors % most, sizes.len()) {
        (0, _) => {}
        (1, 0) => sizes.push(1),
        (1, _) if !many => *sizes.last_mut().unwrap_or(&mut 0) = 3,
        (1, _) => {
            sizes.pop();
            sizes.extend([3, 2]);
        }
        (2, 1..) => {
            sizes.pop();
            sizes.extend([3, 3]);
        }
        (rest, _) => sizes.push(rest),
    }
    sizes
}

/// A convolution of every channel by itself.
pub struct Depthwise {
    /// (taps, pitch).
    pub weights: Lines,
    /// (pitch).
    pub bias: Lines,
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Step of the kernel.
    pub stride: usize,
    /// Zeros above and on the left.
    pub before: [usize; 2],
    /// Bounds of the results.
    pub bounds: [f32; 2],
    /// What follows where it is more.
    pub activation: Option<Activation>,
}

/// What a node computes.
pub enum Layer {
    /// Zeros around the images: rows above, columns on the left.
    Pad([usize; 2]),
    /// A convolution or a linear layer.
    Product(Product),
    /// A convolution of every channel by itself.
    Depthwise(Depthwise),
    /// 3×3 maxima.
    MaxPool,
    /// The mean of a map.
    Mean,
    /// A map times a row.
    Scale,
    /// An activation by itself.
    Activate(Activation),
    /// Patches' product, the first tokens (F, pitch), the positions (patches, pitch), F.
    Patches(Product, Lines, Lines, usize),
    /// Weight, bias, eps.
    Normalise(Lines, Lines, f32),
    /// Heads.
    Attention(usize),
    /// One token.
    Token(usize),
}

/// A layer and the values that it reads; number n gives value n + 1.
pub struct Node {
    /// What it computes.
    pub layer: Layer,
    /// What it is computed of.
    pub input: usize,
    /// What it reads beside.
    pub other: Option<usize>,
}

/// A program that is ready.
pub struct Layers {
    /// In order.
    pub nodes: Vec<Node>,
    /// Of each value.
    pub shapes: Vec<Shape>,
    /// The value here of each value of the program.
    pub values: Vec<usize>,
    /// As many zeros as a tap reads.
    pub zeros: Lines,
    /// The instructions that weights are packed for.
    pub kernels: &'static Kernels,
}

impl Layers {
    /// `program` for these kernels.
    ///
    /// # Errors
    /// `Unsupported`, naming the operation, where there is no kernel; `InvalidArgument` where a map is empty or too large; `Internal` where weights
    /// do not fit; `OutOfMemory`.
    pub fn new(program: Program, kernels: &'static Kernels) -> Result<Layers> {
        let [height, width, channels] = program.image;
        let image = Shape { height, width, channels, pitch: channels };
        if !(1..=3).contains(&channels) || height == 0 || width == 0 {
            return Err(Error::invalid(format!(
                "images of {height}×{width} with {channels} channels; expected 1 to 3 channels"
            )));
        }
        let mut layers = Layers {
            nodes: Vec::new(),
            shapes: vec![image],
            values: vec![0],
            zeros: Lines::zeros(0, WEIGHTS)?,
            kernels,
        };
        let mut longest = 0;
        for Step { operation, input } in program.steps {
            let value = |number: usize| {
                let found = layers.values.get(number).copied();
                found.ok_or_else(|| {
                    Error::new(ErrorKind::Internal, format!("{} reads value {number}", operation.name()))
                })
            };
            let (input, other) = (value(input)?, operation.other().map(value).transpose()?);
            let output = layers.append(operation, input, other)?;
            layers.values.push(output);
            if let Some(Layer::Product(product)) = layers.nodes.last().map(|node| &node.layer) {
                longest = longest.max(product.run);
            }
        }
        layers.zeros = Lines::zeros(longest, WEIGHTS)?;
        Ok(layers)
    }

    /// Appends a node that gives a value of this shape.
    fn push(&mut self, layer: Layer, input: usize, other: Option<usize>, shape: Shape) -> Result<usize> {
        shape.numbers()?;
        self.nodes.push(Node { layer, input, other });
        self.shapes.push(shape);
        Ok(self.nodes.len())
    }

    fn append(&mut self, operation: Operation, input: usize, other: Option<usize>) -> Result<usize> {
        let (kernels, lanes) = (self.kernels, self.kernels.lanes);
        let (shape, name) = (self.shapes[input], operation.name());
        let packed = shape.is_packed(lanes);
        let fits = |found: bool| match found {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Internal, format!("the weights of {name} do not fit {shape:?}"))),
        };
        if packed && !matches!(operation, Operation::Convolution { groups: 1, .. } | Operation::Patches { .. }) {
            return Err(unsupported(name, "it is applied to the images themselves"));
        }
        let same = |channels| Shape::padded(shape.height, shape.width, channels, lanes);
        match operation {
            Operation::Convolution { weight, bias, kernel, stride, padding, groups, other: _, activation } => {
                let depth = kernel[0] * kernel[1] * (shape.channels / groups.max(1));
                let output = convolved(shape, kernel, stride, padding, bias.len(), lanes)?;
                fits(weight.len() == bias.len() * depth)?;
                self.check_other(name, other, output)?;
                if groups == 1 {
                    return self.convolution(
                        (weight, bias, kernel, activation),
                        (stride, padding),
                        (input, other),
                        output,
                    );
                }
                if groups != shape.channels || bias.len() != groups || other.is_some() {
                    return Err(unsupported(name, format_args!("{groups} groups of {} channels", shape.channels)));
                }
                let taps = kernel[0] * kernel[1];
                let mut weights = Lines::zeros(taps * shape.pitch, WEIGHTS)?;
                for (place, number) in weight.iter().enumerate() {
                    weights.numbers_mut()[place % taps * shape.pitch + place / taps] = *number;
                }
                let layer = Depthwise {
                    weights,
                    bias: Lines::of(&bias, shape.pitch, WEIGHTS)?,
                    kernel,
                    stride,
                    before: [padding[0], padding[1]],
                    bounds: bounds(activation),
                    activation: (!is_bound(activation)).then_some(activation),
                };
                self.push(Layer::Depthwise(layer), input, None, output)
            }
            Operation::MaxPool => {
                let output = convolved(shape, [3, 3], 2, [1; 4], shape.channels, lanes)?;
                self.push(Layer::MaxPool, input, None, output)
            }
            Operation::Mean => self.push(Layer::Mean, input, None, Shape::padded(1, 1, shape.channels, lanes)),
            Operation::Linear { weight, bias, other: _, activation } => {
                fits(weight.len() == bias.len() * shape.channels)?;
                self.check_other(name, other, same(bias.len()))?;
                let sides = (bias.len(), shape.channels);
                let product = Product::new(kernels, sides, |o, k| weight[o * sides.1 + k], &bias, activation)?;
                self.push(Layer::Product(product), input, other, same(sides.0))
            }
            Operation::Scale { .. } => {
                self.check_other(name, other, Shape::padded(1, 1, shape.channels, lanes))?;
                self.push(Layer::Scale, input, other, shape)
            }
            Operation::Activate(activation) => self.push(Layer::Activate(activation), input, None, shape),
            Operation::Patches { weight, bias, patch, first, positions } => {
                let channels = shape.channels;
                let grid = [shape.height / patch[0].max(1), shape.width / patch[1].max(1)];
                let count = first.len() / bias.len().max(1);
                let output = Shape::padded(count + grid[0] * grid[1], 1, bias.len(), lanes);
                if !packed || patch[0] != patch[1] || grid.contains(&0) {
                    return Err(unsupported(name, format_args!("patches of {patch:?} of maps {shape:?}")));
                }
                let run = patch[1] * channels;
                fits(
                    weight.len() == bias.len() * patch[0] * run
                        && positions.len() == grid[0] * grid[1] * bias.len()
                        && first.len() == count * bias.len(),
                )?;
                let product = Product::new(
                    kernels,
                    (bias.len(), patch[0] * run),
                    |o, k| weight[((o * channels + k % channels) * patch[0] + k / run) * patch[1] + k % run / channels],
                    &bias,
                    Activation::Identity,
                )?;
                let taps = (0..patch[0]).map(|row| [row, 0]).collect();
                let product = Product { taps, run, stride: patch[0], ..product };
                let tokens = |values: &[f32]| Lines::rows(values, bias.len(), output.pitch, WEIGHTS);
                self.push(Layer::Patches(product, tokens(&first)?, tokens(&positions)?, count), input, None, output)
            }
            Operation::LayerNorm { weight, bias, eps } => {
                fits(weight.len() == shape.channels && bias.len() == shape.channels)?;
                let row = |values: &[f32]| Lines::of(values, shape.pitch, WEIGHTS);
                self.push(Layer::Normalise(row(&weight)?, row(&bias)?, eps), input, None, shape)
            }
            Operation::Attention { heads } => {
                let width = shape.channels / 3;
                if heads == 0 || !shape.channels.is_multiple_of(3 * heads) || !(width / heads).is_multiple_of(lanes) {
                    return Err(unsupported(name, format_args!("{heads} heads of {} channels", shape.channels)));
                }
                self.push(Layer::Attention(heads), input, None, same(width))
            }
            Operation::Token(number) => {
                fits(number < shape.pixels())?;
                self.push(Layer::Token(number), input, None, Shape::padded(1, 1, shape.channels, lanes))
            }
        }
    }

    fn check_other(&self, name: &str, other: Option<usize>, output: Shape) -> Result<()> {
        match other.map(|other| self.shapes[other]) {
            Some(shape) if shape != output => {
                let reason = format!("{name} gives {output:?} and reads {shape:?} beside");
                Err(Error::new(ErrorKind::Internal, reason))
            }
            _ => Ok(()),
        }
    }

    fn convolution(
        &mut self,
        (weight, bias, kernel, activation): (Vec<f32>, Vec<f32>, [usize; 2], Activation),
        (stride, padding): (usize, [usize; 4]),
        (mut input, other): (usize, Option<usize>),
        output: Shape,
    ) -> Result<usize> {
        let shape = self.shapes[input];
        let (channels, taps) = (shape.channels, kernel[0] * kernel[1]);
        // Rows of weights in the order of the kernel's places, each with its channels.
        let product = Product::new(
            self.kernels,
            (bias.len(), taps * channels),
            |o, k| weight[(o * channels + k % channels) * taps + k / channels],
            &bias,
            activation,
        )?;
        let product = Product { stride, ..product };
        let outside = padding.iter().any(|&zeros| zeros > 0);
        if shape.is_packed(self.kernels.lanes) {
            // Zeros around the images let each row of the kernel be one run.
            if outside {
                let [above, left, below, right] = padding;
                let (height, width) = (shape.height + above + below, shape.width + left + right);
                input = self.push(Layer::Pad([above, left]), input, None, Shape { height, width, ..shape })?;
            }
            let taps = (0..kernel[0]).map(|row| [row, 0]).collect();
            let product = Product { taps, run: kernel[1] * channels, ..product };
            return self.push(Layer::Product(product), input, other, output);
        }
        if kernel == [1, 1] && stride == 1 && !outside {
            return self.push(Layer::Product(product), input, other, output);
        }
        let taps = (0..kernel[0]).flat_map(|row| (0..kernel[1]).map(move |column| [row, column])).collect();
        let product = Product { taps, run: channels, before: [padding[0], padding[1]], outside, ..product };
        self.push(Layer::Product(product), input, other, output)
    }
}

/// The shape that a kernel's places along rows and columns give.
fn convolved(
    shape: Shape,
    kernel: [usize; 2],
    stride: usize,
    [above, left, below, right]: [usize; 4],
    channels: usize,
    lanes: usize,
) -> Result<Shape> {
    let places = |side: usize, kernel: usize| side.checked_sub(kernel).filter(|_| stride > 0 && kernel > 0);
    match (places(shape.height + above + below, kernel[0]), places(shape.width + left + right, kernel[1])) {
        (Some(rows), Some(columns)) => Ok(Shape::padded(rows / stride + 1, columns / stride + 1, channels, lanes)),
        _ => {
            let Shape { height, width, .. } = shape;
            Err(Error::invalid(format!("a map of {height}×{width} pixels has no place for a kernel of {kernel:?}")))
        }
    }
}
