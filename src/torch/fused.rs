//! A program of fused operations, built once and run often: the safe side of `fused.cpp`.

use std::ffi::c_char;
use std::ptr::NonNull;

use tch::{Kind, Tensor};
use torch_sys::C_tensor;

use super::check;
pub use super::graph::{ConvGeometry, IMAGES, Value};
use super::graph::{Graph, Operation};
use crate::{Error, Result};

/// The opaque program of `fused.cpp`.
#[repr(C)]
struct RawProgram {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn seed_fused_new(out: *mut *mut RawProgram) -> *mut c_char;
    fn seed_fused_free(program: *mut RawProgram);
    fn seed_fused_conv(
        program: *mut RawProgram,
        input: i32,
        other: i32,
        weight: *const C_tensor,
        bias: *const C_tensor,
        stride: i64,
        padding: i64,
        groups: i64,
        activation: i32,
        output: *mut i32,
    ) -> *mut c_char;
    fn seed_fused_max_pool(program: *mut RawProgram, input: i32, output: *mut i32) -> *mut c_char;
    fn seed_fused_squeeze(
        program: *mut RawProgram,
        input: i32,
        weights: *const *const C_tensor,
        inner: i32,
        gate: i32,
        output: *mut i32,
    ) -> *mut c_char;
    fn seed_fused_mean(program: *mut RawProgram, input: i32, output: *mut i32) -> *mut c_char;
    fn seed_fused_linear(
        program: *mut RawProgram,
        input: i32,
        weight: *const C_tensor,
        bias: *const C_tensor,
        activation: i32,
        output: *mut i32,
    ) -> *mut c_char;
    fn seed_fused_linear_sum(
        program: *mut RawProgram,
        input: i32,
        other: i32,
        weight: *const C_tensor,
        bias: *const C_tensor,
        activation: i32,
        output: *mut i32,
    ) -> *mut c_char;
    fn seed_fused_patches(
        program: *mut RawProgram,
        input: i32,
        weights: *const *const C_tensor,
        antialias: i32,
        output: *mut i32,
    ) -> *mut c_char;
    fn seed_fused_layer_norm(
        program: *mut RawProgram,
        input: i32,
        weight: *const C_tensor,
        bias: *const C_tensor,
        eps: f64,
        output: *mut i32,
    ) -> *mut c_char;
    fn seed_fused_attention(program: *mut RawProgram, input: i32, heads: i64, output: *mut i32) -> *mut c_char;
    fn seed_fused_token(program: *mut RawProgram, input: i32, number: i64, output: *mut i32) -> *mut c_char;
    fn seed_fused_same_padding(
        program: *mut RawProgram,
        input: i32,
        kernel: i64,
        stride: i64,
        output: *mut i32,
    ) -> *mut c_char;
    fn seed_fused_activation(program: *mut RawProgram, input: i32, activation: i32, output: *mut i32) -> *mut c_char;
    fn seed_fused_prepare(
        program: *mut RawProgram,
        dtype: i32,
        onednn: i32,
        batch: i64,
        height: i64,
        width: i64,
    ) -> *mut c_char;
    fn seed_fused_run(
        program: *const RawProgram,
        images: *const C_tensor,
        outputs: *const i32,
        count: usize,
        results: *mut *mut C_tensor,
    ) -> *mut c_char;
}

/// A feature map inside a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// torchvision's name of the module that gives it: "layer2", "features.6".
    pub name: String,
    /// Channels.
    pub channels: i64,
    /// Pixels of the image to one of the map, in both directions; the map is ⌈H/stride⌉ × ⌈W/stride⌉.
    pub stride: i64,
    pub(crate) value: Value,
}

/// A program that is being built, and the list of what it was told. Activations are the numbers of
/// `model::layers::Activation`.
pub struct Builder {
    raw: NonNull<RawProgram>,
    graph: Graph,
    stages: Vec<Stage>,
}

impl Builder {
    /// An empty program.
    pub fn new() -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: a valid place for one pointer.
        check(unsafe { seed_fused_new(&mut raw) })?;
        let raw = NonNull::new(raw).ok_or_else(|| Error::invalid("the fused program was not made"))?;
        Ok(Self { raw, graph: Graph::default(), stages: Vec::new() })
    }

    /// Names `value` as a feature map that can be asked for.
    pub fn mark(&mut self, name: String, channels: i64, stride: i64, value: Value) {
        self.stages.push(Stage { name, channels, stride, value });
    }

    /// What was marked, from the image on.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// act(conv(input) + other), weight (O, I/groups, k, k), bias (O).
    pub fn conv(
        &mut self,
        input: Value,
        other: Option<Value>,
        weight: &Tensor,
        bias: &Tensor,
        geometry: ConvGeometry,
        activation: i32,
    ) -> Result<Value> {
        let mut output = 0;
        let ConvGeometry { stride, padding, groups } = geometry;
        let other = other.map_or(-1, |value| value.0);
        // SAFETY: program and tensors live through the call.
        check(unsafe {
            seed_fused_conv(
                self.raw.as_ptr(),
                input.0,
                other,
                weight.as_ptr(),
                bias.as_ptr(),
                stride,
                padding,
                groups,
                activation,
                &mut output,
            )
        })?;
        let (weight, bias) = (weight.shallow_clone(), bias.shallow_clone());
        let other = (other >= 0).then_some(Value(other));
        Ok(self.record(Operation::Conv { input, other, weight, bias, geometry, activation }, output))
    }

    /// 3×3 maxima, stride 2, padding 1.
    pub fn max_pool(&mut self, input: Value) -> Result<Value> {
        let mut output = 0;
        // SAFETY: the program lives through the call.
        check(unsafe { seed_fused_max_pool(self.raw.as_ptr(), input.0, &mut output) })?;
        Ok(self.record(Operation::MaxPool { input }, output))
    }

    /// x·gate(W₂·inner(W₁·mean(x) + b₁) + b₂), `weights` W₁ (S, C), b₁, W₂ (C, S), b₂. Overwrites `input`: nothing else
    /// may read it.
    pub fn squeeze(&mut self, input: Value, weights: [&Tensor; 4], inner: i32, gate: i32) -> Result<Value> {
        let mut output = 0;
        let pointers = weights.map(Tensor::as_ptr);
        // SAFETY: program and tensors live through the call; four pointers are read.
        check(unsafe { seed_fused_squeeze(self.raw.as_ptr(), input.0, pointers.as_ptr(), inner, gate, &mut output) })?;
        let weights = weights.map(Tensor::shallow_clone);
        Ok(self.record(Operation::Squeeze { input, weights, inner, gate }, output))
    }

    /// Mean over the image: (B, C, H, W) → (B, C).
    pub fn mean(&mut self, input: Value) -> Result<Value> {
        let mut output = 0;
        // SAFETY: the program lives through the call.
        check(unsafe { seed_fused_mean(self.raw.as_ptr(), input.0, &mut output) })?;
        Ok(self.record(Operation::Mean { input }, output))
    }

    /// act(input·Wᵀ + b), weight (O, I), bias (O).
    pub fn linear(&mut self, input: Value, weight: &Tensor, bias: &Tensor, activation: i32) -> Result<Value> {
        let mut output = 0;
        // SAFETY: program and tensors live through the call.
        check(unsafe {
            seed_fused_linear(self.raw.as_ptr(), input.0, weight.as_ptr(), bias.as_ptr(), activation, &mut output)
        })?;
        let (weight, bias) = (weight.shallow_clone(), bias.shallow_clone());
        Ok(self.record(Operation::Linear { input, weight, bias, activation }, output))
    }

    fn record(&mut self, operation: Operation, output: i32) -> Value {
        self.graph.push(operation, Value(output));
        Value(output)
    }

    /// The list of what was told, in place of a program that runs.
    pub fn into_graph(mut self) -> Graph {
        std::mem::take(&mut self.graph)
    }

    /// Zeros around (B, C, H, W), so that a convolution without padding gives ⌈H/stride⌉ × ⌈W/stride⌉: as few as are needed, the
    /// odd one below and on the right (TensorFlow's "SAME").
    pub fn same_padding(&mut self, input: Value, kernel: i64, stride: i64) -> Result<Value> {
        let mut output = 0;
        // SAFETY: the program lives through the call.
        check(unsafe { seed_fused_same_padding(self.raw.as_ptr(), input.0, kernel, stride, &mut output) })?;
        Ok(self.record(Operation::SamePadding { input, kernel, stride }, output))
    }

    /// act(input), element by element. Overwrites `input`: nothing else may read it.
    pub fn activation(&mut self, input: Value, activation: i32) -> Result<Value> {
        let mut output = 0;
        // SAFETY: the program lives through the call.
        check(unsafe { seed_fused_activation(self.raw.as_ptr(), input.0, activation, &mut output) })?;
        Ok(self.record(Operation::Activation { input, activation }, output))
    }

    /// act(input·Wᵀ + b) + other, weight (O, I), bias (O); in the type of `other`.
    pub fn linear_sum(
        &mut self,
        input: Value,
        other: Value,
        weight: &Tensor,
        bias: &Tensor,
        activation: i32,
    ) -> Result<Value> {
        let mut output = 0;
        let (w, b) = (weight.as_ptr(), bias.as_ptr());
        // SAFETY: program and tensors live through the call.
        check(unsafe { seed_fused_linear_sum(self.raw.as_ptr(), input.0, other.0, w, b, activation, &mut output) })?;
        let (weight, bias) = (weight.shallow_clone(), bias.shallow_clone());
        Ok(self.record(Operation::LinearSum { input, other, weight, bias, activation }, output))
    }

    /// Images (B, 3, H, W) → float32 tokens (B, F + H/p·W/p, D). `weights`: W (D, 3, p, p), b (D), the first tokens
    /// (1, F, D), and the positions (1, G, G, D) of the others, resampled to the images' grid: bicubic, with `antialias`
    /// filtered where it shrinks.
    pub fn patches(&mut self, input: Value, weights: [&Tensor; 4], antialias: bool) -> Result<Value> {
        let mut output = 0;
        let pointers = weights.map(Tensor::as_ptr);
        // SAFETY: program and tensors live through the call; four pointers are read.
        check(unsafe {
            seed_fused_patches(self.raw.as_ptr(), input.0, pointers.as_ptr(), i32::from(antialias), &mut output)
        })?;
        let weights = weights.map(Tensor::shallow_clone);
        Ok(self.record(Operation::Patches { input, weights, antialias }, output))
    }

    /// Layer normalisation over the last axis, weight and bias (D); reads and computes float32, gives the program's type.
    pub fn layer_norm(&mut self, input: Value, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Value> {
        let mut output = 0;
        // SAFETY: program and tensors live through the call.
        check(unsafe {
            seed_fused_layer_norm(self.raw.as_ptr(), input.0, weight.as_ptr(), bias.as_ptr(), eps, &mut output)
        })?;
        let (weight, bias) = (weight.shallow_clone(), bias.shallow_clone());
        Ok(self.record(Operation::LayerNorm { input, weight, bias, eps }, output))
    }

    /// Self-attention: queries, keys and values (B, T, 3D) → (B, T, D).
    pub fn attention(&mut self, input: Value, heads: i64) -> Result<Value> {
        let mut output = 0;
        // SAFETY: the program lives through the call.
        check(unsafe { seed_fused_attention(self.raw.as_ptr(), input.0, heads, &mut output) })?;
        Ok(self.record(Operation::Attention { input, heads }, output))
    }

    /// Token `number` of each image: (B, T, D) → (B, D).
    pub fn token(&mut self, input: Value, number: i64) -> Result<Value> {
        let mut output = 0;
        // SAFETY: the program lives through the call.
        check(unsafe { seed_fused_token(self.raw.as_ptr(), input.0, number, &mut output) })?;
        Ok(self.record(Operation::Token { input, number }, output))
    }

    /// The finished program, its weights in `kind` (float32 or bfloat16). With `onednn` the weights are packed for images
    /// (batch, C, height, width), on the CPU only; other sizes run as well, but slower.
    pub fn prepare(mut self, kind: Kind, onednn: bool, batch: i64, height: i64, width: i64) -> Result<Program> {
        let dtype = match kind {
            Kind::Float => 6, // c10::ScalarType::Float
            Kind::BFloat16 => 15,
            other => return Err(Error::invalid(format!("a fused program runs in float32 or bfloat16, not {other:?}"))),
        };
        // SAFETY: the program lives through the call.
        check(unsafe { seed_fused_prepare(self.raw.as_ptr(), dtype, i32::from(onednn), batch, height, width) })?;
        // A program has its own copies of the weights.
        self.graph = Graph::default();
        Ok(Program { builder: self })
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        // SAFETY: made by `seed_fused_new`, released once, here.
        unsafe { seed_fused_free(self.raw.as_ptr()) }
    }
}

/// A program that runs.
pub struct Program {
    builder: Builder,
}

// SAFETY: the program owns its tensors, which nothing else refers to (`prepare` copies every weight). Running it only reads
// them, and libtorch allows that from several threads; nothing in it belongs to the thread that made it.
unsafe impl Send for Program {}
unsafe impl Sync for Program {}

impl Program {
    /// Runs on `images` (B, 3, H, W) floating point, channels-last, on the weights' device, until `output` is known; gives it as
    /// float32.
    pub fn run(&self, images: &Tensor, output: Value) -> Result<Tensor> {
        let mut outputs = self.run_many(images, &[output])?;
        outputs.pop().ok_or_else(|| Error::invalid("the fused program gave nothing"))
    }

    /// As [`run`](Program::run), of several values in one pass.
    pub fn run_many(&self, images: &Tensor, outputs: &[Value]) -> Result<Vec<Tensor>> {
        let numbers: Vec<i32> = outputs.iter().map(|value| value.0).collect();
        let mut results = vec![std::ptr::null_mut(); outputs.len()];
        // SAFETY: program and images live through the call, both lists hold as many places as are said; the shim allocates the
        // tensors that `from_ptr` takes over, all of them or none.
        check(unsafe {
            seed_fused_run(
                self.builder.raw.as_ptr(),
                images.as_ptr(),
                numbers.as_ptr(),
                numbers.len(),
                results.as_mut_ptr(),
            )
        })?;
        Ok(results.into_iter().map(|result| unsafe { Tensor::from_ptr(result) }).collect())
    }
}
