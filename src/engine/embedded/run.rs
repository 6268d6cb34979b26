//! A pass: the steps of a plan over some images, each divided into items that threads take.

use super::kernels::{DepthwiseCall, PoolCall, ProductCall, Taps};
use super::layers::{Depthwise, Layer, Layers, Node, Product};
use super::plan::{Plan, QUERIES};
use super::program::{Activation, Shape};
use super::team::Crew;

/// Bytes of the input that a block of pixels reads, while all panels of weights pass over it: a part of a core's cache.
const BLOCK: usize = 128 << 10;

/// Every tile of every panel divides it.
const TILES: usize = 24;

/// Items that each thread gets, so that none waits long for another.
const SHARES: usize = 4;

/// One pass.
pub struct Pass<'a> {
    /// The network.
    pub layers: &'a Layers,
    /// Where values lie.
    pub plan: &'a Plan,
    /// (images, H, W, C).
    pub views: &'a [f32],
    /// How many.
    pub images: usize,
    /// `Plan::numbers` numbers, this pass's alone.
    pub memory: *mut f32,
}

// SAFETY: members write apart from each other, item by item, and read what is finished: a stage begins when the one before it has ended.
unsafe impl Sync for Pass<'_> {}

impl Pass<'_> {
    /// Computes all that is wanted. Every member of the crew calls it, with its number.
    pub fn run(&self, crew: &Crew, member: usize) {
        for (stage, &number) in self.plan.order.iter().enumerate() {
            // SAFETY: the layers' shapes are what the kernels are called with, the plan gives each value memory of its own, the level of the layers
            // is one that the CPU has, and no two items of a stage write the same place.
            unsafe { self.step(number, (crew, stage), member) };
        }
    }

    /// First number of a value; image i lies i · [`pitch`](Pass::pitch) behind.
    pub fn value(&self, value: usize) -> *mut f32 {
        match value {
            0 => self.views.as_ptr().cast_mut(),
            // SAFETY: the plan's places lie inside of the memory.
            _ => unsafe { self.memory.add(self.plan.places[value] * self.images) },
        }
    }

    /// Numbers from one image's share of a value to the next.
    pub fn pitch(&self, value: usize) -> usize {
        let shape = &self.layers.shapes[value];
        let exact = shape.pixels() * shape.pitch;
        if value == 0 { exact } else { exact.next_multiple_of(16) }
    }

    unsafe fn step(&self, number: usize, (crew, stage): (&Crew, usize), member: usize) {
        let (node, output) = (&self.layers.nodes[number], number + 1);
        let (from, to) = (self.value(node.input).cast_const(), self.value(output));
        let pitches = [self.pitch(node.input), self.pitch(output)];
        let (shape, result) = (self.layers.shapes[node.input], self.layers.shapes[output]);
        let kernels = self.layers.kernels;
        let (size, columns, pitch) = ([shape.height, shape.width], result.width, result.pitch);
        // Rows of outputs of all images, one item each.
        let rows = |work: &dyn Fn(usize, usize)| {
            crew.each(stage, self.images * result.height, |item| work(item / result.height, item % result.height));
        };
        // SAFETY: as in `run`.
        unsafe {
            match &node.layer {
                Layer::Pad(before) => rows(&|image, row| {
                    let to = to.add(image * pitches[1] + row * columns * pitch);
                    to.write_bytes(0, columns * pitch);
                    if let Some(row) = row.checked_sub(before[0]).filter(|&row| row < shape.height) {
                        let line = shape.width * shape.pitch;
                        let from = from.add(image * pitches[0] + row * line);
                        to.add(before[1] * pitch).copy_from_nonoverlapping(from, line);
                    }
                }),
                Layer::Product(product) => self.product(node, product, output, (crew, stage)),
                Layer::Depthwise(layer) => {
                    let Depthwise { weights, bias, kernel, stride, before, bounds, activation } = layer;
                    let call = DepthwiseCall {
                        input: from,
                        output: to,
                        image_pitch: pitches,
                        pitch,
                        size,
                        columns,
                        kernel: *kernel,
                        stride: *stride,
                        before: *before,
                        weights: weights.numbers(),
                        bias: bias.numbers(),
                        bounds: *bounds,
                        activation: *activation,
                        activate: kernels.activate,
                    };
                    rows(&|image, row| (kernels.depthwise)(&call, image, row));
                }
                Layer::MaxPool => {
                    let call = PoolCall { input: from, output: to, image_pitch: pitches, pitch, size, columns };
                    rows(&|image, row| (kernels.largest)(&call, image, row));
                }
                Layer::Mean => {
                    let vectors = pitch / kernels.lanes;
                    let groups = vectors.div_ceil(4);
                    crew.each(stage, self.images * groups, |item| {
                        let (image, first) = (item / groups, item % groups * 4);
                        let sides = [shape.height, shape.width, pitch];
                        let (from, to) = (from.add(image * pitches[0]), to.add(image * pitches[1]));
                        (kernels.mean)(from, to, sides, first, (vectors - first).min(4));
                    });
                }
                Layer::Scale => {
                    let (factors, apart) = self.beside(node);
                    rows(&|image, row| {
                        let place = image * pitches[1] + row * columns * pitch;
                        let factors = factors.add(image * apart);
                        (kernels.scale)(from.add(place), to.add(place), factors, columns, pitch);
                    });
                }
                Layer::Activate(activation) => rows(&|image, row| {
                    let place = image * pitches[1] + row * columns * pitch;
                    (kernels.activate)(*activation, from.add(place), to.add(place), columns * pitch);
                }),
                Layer::Patches(product, first, positions, count) => {
                    let behind = to.add(count * pitch);
                    let grid = [shape.height / product.stride, shape.width / product.stride];
                    let call = ProductCall {
                        output: behind,
                        other: positions.numbers().as_ptr(),
                        other_pitch: [0, pitch],
                        ..self.call(product, node, output, grid[1])
                    };
                    let panels = product.panels();
                    crew.each(stage, self.images * (panels + 1), |item| {
                        let (image, panel) = (item / (panels + 1), item % (panels + 1));
                        if panel == panels {
                            let to = to.add(image * pitches[1]);
                            return to.copy_from_nonoverlapping(first.numbers().as_ptr(), count * pitch);
                        }
                        let panel = product.panel(panel);
                        (kernels.product[panel.vectors - 1])(&call, panel, image, 0, grid[0] * grid[1]);
                    });
                }
                Layer::Normalise(weight, bias, eps) => rows(&|image, row| {
                    let place = image * pitches[1] + row * pitch;
                    let weights = [weight.numbers().as_ptr(), bias.numbers().as_ptr()];
                    (kernels.norm)(from.add(place), to.add(place), weights, *eps, [columns, shape.channels, pitch]);
                }),
                Layer::Attention(heads) => {
                    let scratch = self.memory.add(self.plan.size * self.images + self.plan.scratch * member);
                    crew.each(stage, self.images * heads, |item| {
                        let (image, head) = (item / heads, item % heads);
                        let (from, to) = (from.add(image * pitches[0]), to.add(image * pitches[1]));
                        self.attention((from, shape), (to, result), *heads, head, scratch);
                    });
                }
                Layer::Token(number) => crew.each(stage, self.images, |image| {
                    let from = from.add(image * pitches[0] + number * shape.pitch);
                    to.add(image * pitches[1]).copy_from_nonoverlapping(from, shape.pitch);
                }),
            }
        }
    }

    /// The value that a node reads beside its input, and how far its images lie from each other.
    fn beside(&self, node: &Node) -> (*const f32, usize) {
        node.other.map_or((std::ptr::null(), 0), |value| (self.value(value).cast_const(), self.pitch(value)))
    }

    /// A call of `product` for a node, whose outputs lie in rows of `columns`.
    fn call<'a>(&'a self, product: &'a Product, node: &Node, output: usize, columns: usize) -> ProductCall<'a> {
        let (shape, result) = (self.layers.shapes[node.input], self.layers.shapes[output]);
        let (other, apart) = self.beside(node);
        let taps = Taps {
            offsets: &product.taps,
            before: product.before,
            stride: product.stride,
            size: [shape.height, shape.width],
            columns,
            outside: product.outside,
        };
        ProductCall {
            input: self.value(node.input),
            input_pitch: [self.pitch(node.input), shape.pitch],
            taps: (!product.taps.is_empty()).then_some(taps),
            run: product.run,
            zeros: self.layers.zeros.numbers().as_ptr(),
            output: self.value(output),
            output_pitch: [self.pitch(output), result.pitch],
            other,
            other_pitch: [apart, result.pitch],
            bias: product.bias.numbers().as_ptr(),
            bounds: product.bounds,
            activation: product.activation,
            activate: self.layers.kernels.activate,
        }
    }

    unsafe fn product(&self, node: &Node, product: &Product, output: usize, (crew, stage): (&Crew, usize)) {
        let (shape, result) = (self.layers.shapes[node.input], self.layers.shapes[output]);
        let mut call = self.call(product, node, output, result.width);
        let (mut images, mut pixels) = (self.images, result.pixels());
        if pixels == 1 && call.taps.is_none() {
            // Rows of several images are pixels of one.
            (images, pixels) = (1, self.images);
            call.input_pitch[1] = call.input_pitch[0];
            call.output_pitch[1] = call.output_pitch[0];
            call.other_pitch[1] = call.other_pitch[0];
        }
        let panels = product.panels();
        let per_pixel = product.stride * product.stride * shape.pitch * size_of::<f32>();
        let mut block = (BLOCK / per_pixel.max(1)).max(1).next_multiple_of(TILES);
        if crew.members() > 1 {
            // Enough items for everyone.
            let blocks = (crew.members() * SHARES).div_ceil(images * panels);
            block = block.min(pixels.div_ceil(blocks).next_multiple_of(TILES));
        }
        let blocks = pixels.div_ceil(block);
        crew.each(stage, images * blocks * panels, |item| {
            // Weights are read once for all images where these are small, else pixels once for all weights.
            let (image, part, panel) = match blocks {
                1 => (item % images, 0, item / images),
                _ => (item / panels / blocks, item / panels % blocks, item % panels),
            };
            let panel = product.panel(panel);
            let from = part * block;
            let run = self.layers.kernels.product[panel.vectors - 1];
            // SAFETY: as in `run`.
            unsafe { run(&call, panel, image, from, (from + block).min(pixels)) };
        });
    }

    /// A head of an image: tokens (T, 3D) at `from`, (T, D) at `to`.
    unsafe fn attention(
        &self,
        (from, shape): (*const f32, Shape),
        (to, result): (*mut f32, Shape),
        heads: usize,
        head: usize,
        scratch: *mut f32,
    ) {
        let kernels = self.layers.kernels;
        let (tokens, width) = (shape.pixels(), result.channels);
        let each = width / heads;
        let padded = tokens.next_multiple_of(kernels.lanes);
        let [q, k, v] = [0, 1, 2].map(|part| from.wrapping_add(part * width + head * each));
        let vectors = |count: usize| super::layers::panel_sizes(count / kernels.lanes, kernels.many);
        // SAFETY: the plan's scratch holds keys and scores; heads are whole vectors.
        unsafe {
            // Keys (each, padded), turned, so that scores are a product with them.
            let scores = scratch.add(each * padded);
            for channel in 0..each {
                for token in 0..padded {
                    let key = if token < tokens { *k.add(token * shape.pitch + channel) } else { 0.0 };
                    *scratch.add(channel * padded + token) = key;
                }
            }
            for first in (0..tokens).step_by(QUERIES) {
                let queries = (tokens - first).min(QUERIES);
                let call = ProductCall {
                    input: q.add(first * shape.pitch),
                    input_pitch: [0, shape.pitch],
                    taps: None,
                    run: each,
                    zeros: std::ptr::null(),
                    output: scores,
                    output_pitch: [0, padded],
                    other: std::ptr::null(),
                    other_pitch: [0; 2],
                    bias: std::ptr::null(),
                    bounds: super::kernels::bounds(Activation::Identity),
                    activation: None,
                    activate: kernels.activate,
                };
                let run = |call: &ProductCall<'_>, sizes: Vec<usize>, weights: *const f32, pitch: usize| {
                    let mut first = 0;
                    for vectors in sizes {
                        let weights = weights.add(first * kernels.lanes);
                        let panel = super::kernels::Panel { first, vectors, weights, pitch };
                        (kernels.product[vectors - 1])(call, panel, 0, 0, queries);
                        first += vectors;
                    }
                };
                run(&call, vectors(padded), scratch, padded);
                for query in 0..queries {
                    (kernels.softmax)(scores.add(query * padded), tokens, padded, (each as f32).sqrt().recip());
                }
                let call = ProductCall {
                    input: scores,
                    input_pitch: [0, padded],
                    run: tokens,
                    output: to.add(first * result.pitch + head * each),
                    output_pitch: [0, result.pitch],
                    ..call
                };
                run(&call, vectors(each), v, shape.pitch);
            }
        }
    }
}
