//! The operations of a Vision Transformer as ONNX nodes.
//!
//! | operation | nodes |
//! |---|---|
//! | patches | Conv, Reshape, Transpose, Pad for the first tokens, Add of these and of the positions |
//! | linear of tokens | MatMul, Add, activation |
//! | layer norm | LayerNormalization |
//! | attention | Reshape, Transpose, Gather (thrice), Transpose, MatMul, Mul, Softmax, MatMul, Transpose, Reshape |
//!
//! The positions are those of the student's image size, resampled here.

use tch::Tensor;

use super::proto::Attribute;
use super::{Writer, before};
use crate::error::Result;
use crate::model::resample_positions;
use crate::torch::fused::Value;

impl Writer {
    /// act(x·Wᵀ + b) of tokens (B, T, I); `y` numbers the weights.
    pub fn linear_of_tokens(
        &mut self,
        (y, x): (&str, &str),
        weight: &Tensor,
        bias: &Tensor,
        activation: i32,
        output: &str,
    ) -> Result<()> {
        let activation = super::activation_of(activation)?;
        let transposed = weight.f_detach()?.f_transpose(0, 1)?.f_contiguous()?; // (I, O)
        let w = self.weights(format!("w{y}"), &transposed, &transposed.size())?;
        let b = self.weights(format!("b{y}"), bias, &bias.size())?;
        let product = self.node("MatMul", &[x, &w], &format!("{output}_matmul"), Vec::new());
        let sum = self.node("Add", &[&product, &b], &before(activation, output), Vec::new());
        self.activate(activation, &sum, output)?;
        Ok(())
    }

    /// Images → tokens.
    pub fn patches(
        &mut self,
        y: &str,
        (images, x): (Value, &str),
        [weight, bias, first, table]: &[Tensor; 4],
        antialias: bool,
        output: &str,
    ) -> Result<()> {
        let (width, _, rows, columns) = weight.size4()?;
        let map = self.sizes.map(images)?;
        let grid = (map.height / rows, map.width / columns);
        let positions = resample_positions(table, grid.0, grid.1, antialias)?.f_flatten(1, 2)?; // (1, N, D)
        let w = self.weights(format!("w{y}"), weight, &weight.size())?;
        let b = self.weights(format!("b{y}"), bias, &bias.size())?;
        let (_, count, _) = first.size3()?;
        let added = Tensor::f_cat(&[first.f_reshape([1, count, width])?, positions], 1)?; // (1, first + N, D)
        let added = self.weights(format!("positions{y}"), &added, &added.size())?;
        let attributes =
            vec![Attribute::ints("kernel_shape", &[rows, columns]), Attribute::ints("strides", &[rows, columns])];
        let grid = self.node("Conv", &[x, &w, &b], &format!("{output}_grid"), attributes);
        // 0 keeps a side.
        let flat = self.integers(&format!("flat{y}"), &[0, width, -1], &[3]);
        let flat = self.node("Reshape", &[&grid, &flat], &format!("{output}_flat"), Vec::new());
        let turned = vec![Attribute::ints("perm", &[0, 2, 1])];
        let patches = self.node("Transpose", &[&flat], &format!("{output}_patches"), turned);
        // Zeros stand for the first tokens until these are added: no node asks how large the batch is, which OpenCV would keep from
        // its loading on.
        let before = self.integers(&format!("before{y}"), &[0, count, 0, 0, 0, 0], &[6]);
        let tokens = self.node("Pad", &[&patches, &before], &format!("{output}_tokens"), Vec::new());
        self.node("Add", &[&tokens, &added], output, Vec::new());
        Ok(())
    }

    /// (x − mean)/√(var + eps) · weight + bias over the last axis.
    pub fn layer_norm(
        &mut self,
        y: &str,
        x: &str,
        (weight, bias): (&Tensor, &Tensor),
        eps: f64,
        output: &str,
    ) -> Result<()> {
        let w = self.weights(format!("w{y}"), weight, &weight.size())?;
        let b = self.weights(format!("b{y}"), bias, &bias.size())?;
        let attributes = vec![Attribute::int("axis", -1), Attribute::float("epsilon", eps as f32)];
        self.node("LayerNormalization", &[x, &w, &b], output, attributes);
        Ok(())
    }

    /// softmax(q·kᵀ/√d)·v in each head: (B, T, 3D) → (B, T, D).
    pub fn attention(&mut self, (input, x): (Value, &str), heads: i64, output: &str) -> Result<()> {
        let width = self.sizes.map(input)?.channels / 3;
        let each = width / heads.max(1);
        let apart = self.integers(&format!("heads{heads}_{each}"), &[0, 0, 3, heads, each], &[5]);
        let parts = self.node("Reshape", &[x, &apart], &format!("{output}_parts"), Vec::new());
        let order = vec![Attribute::ints("perm", &[2, 0, 3, 1, 4])];
        let parts = self.node("Transpose", &[&parts], &format!("{output}_heads"), order); // (3, B, heads, T, d)
        let [q, k, v] = [(0, "q"), (1, "k"), (2, "v")].map(|(number, part)| {
            let index = self.integers(&format!("number{number}"), &[number], &[]);
            self.node("Gather", &[&parts, &index], &format!("{output}_{part}"), vec![Attribute::int("axis", 0)])
        });
        let turned = vec![Attribute::ints("perm", &[0, 1, 3, 2])];
        let k = self.node("Transpose", &[&k], &format!("{output}_kt"), turned);
        let scores = self.node("MatMul", &[&q, &k], &format!("{output}_scores"), Vec::new());
        let scale = self.scalar(&format!("scale{each}"), (each as f32).sqrt().recip())?;
        let scores = self.node("Mul", &[&scores, &scale], &format!("{output}_scaled"), Vec::new());
        let shares = self.node("Softmax", &[&scores], &format!("{output}_shares"), vec![Attribute::int("axis", -1)]);
        let rows = self.node("MatMul", &[&shares, &v], &format!("{output}_rows"), Vec::new());
        let back = vec![Attribute::ints("perm", &[0, 2, 1, 3])];
        let rows = self.node("Transpose", &[&rows], &format!("{output}_tokens"), back);
        let together = self.integers(&format!("together{width}"), &[0, 0, width], &[3]);
        self.node("Reshape", &[&rows, &together], output, Vec::new());
        Ok(())
    }
}
