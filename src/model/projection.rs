//! The projection head and the unit sphere it maps to.
//!
//! ```text
//! z = W₂·relu(W₁·h + b₁) + b₂        h: (B, d) features, W₁: (hidden, d), W₂: (dim, hidden)
//! z = W·h + b                        W: (dim, d), MoCo-v1
//! embedding = z / max(‖z‖₂, 1e-12)
//! ```
//!
//! SEED's student head is d–d–128 without normalisation layers (Fang et al. 2021), as is MoCo-v2's. SwAV and SimCLR have batch
//! norm before the ReLU.

use tch::{Kind, Tensor};

use super::Mode;
use super::layers::{Activation, BatchNorm2d, Linear, LinearInitial, NormConfig};
use super::params::Path;
use crate::error::Result;
use crate::torch::fused::{Builder, Value};

/// Linear, ReLU, linear, keys "projection.0" and "projection.2"; with batch norm "projection.0", ".1" and ".3"; of one layer
/// "projection.0" alone.
pub(crate) struct Projection {
    first: Linear,
    norm: Option<BatchNorm2d>,
    /// None where the first layer is the only one.
    second: Option<Linear>,
}

impl Projection {
    pub fn new(root: &mut Path<'_>, features: i64, hidden: i64, dim: i64, normed: bool) -> Result<Projection> {
        let mut path = root.at("projection");
        Ok(Projection {
            first: Linear::new(&mut path.at(0), features, hidden, LinearInitial::Torch)?,
            norm: normed.then(|| BatchNorm2d::new(&mut path.at(1), hidden, NormConfig::TORCH)).transpose()?,
            second: Some(Linear::new(&mut path.at(if normed { 3 } else { 2 }), hidden, dim, LinearInitial::Torch)?),
        })
    }

    /// One layer from the features to the embedding.
    pub fn linear(root: &mut Path<'_>, features: i64, dim: i64) -> Result<Projection> {
        let first = Linear::new(&mut root.at("projection").at(0), features, dim, LinearInitial::Torch)?;
        Ok(Projection { first, norm: None, second: None })
    }

    pub fn forward(&self, features: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut hidden = self.first.forward(features)?; // (B, hidden), or (B, dim) of a single layer
        let Some(second) = &self.second else { return Ok(hidden) };
        if let Some(norm) = &self.norm {
            hidden = norm.forward(&hidden, mode)?;
        }
        second.forward(&Activation::Relu.apply(hidden, mode)?) // (B, dim)
    }

    pub fn lower(&self, builder: &mut Builder, features: Value) -> Result<Value> {
        let Some(second) = &self.second else {
            return self.first.lower(builder, features, Activation::Identity);
        };
        let hidden = match &self.norm {
            Some(norm) => self.first.lower_normed(builder, features, norm, Activation::Relu)?,
            None => self.first.lower(builder, features, Activation::Relu)?,
        };
        second.lower(builder, hidden, Activation::Identity)
    }
}

/// Each row divided by its length: (B, C) → (B, C) with unit rows, as torch's `F.normalize` (a row shorter than 1e-12 is
/// divided by 1e-12). Half precision is widened to float32 first: unit rows meet temperatures of 1e-4 later.
///
/// ```
/// use tch::Tensor;
/// let rows = seed::model::unit_rows(&Tensor::from_slice(&[3f32, 4.0, 0.0, 0.0]).reshape([2, 2])).unwrap();
/// let values: Vec<f32> = Vec::try_from(rows.flatten(0, -1)).unwrap();
/// assert_eq!(values, [0.6, 0.8, 0.0, 0.0]);
/// ```
///
/// # Errors
/// What libtorch reports, for instance for a tensor without a second axis.
pub fn unit_rows(rows: &Tensor) -> Result<Tensor> {
    let rows = match rows.f_kind()? {
        Kind::Half | Kind::BFloat16 => rows.f_to_kind(Kind::Float)?,
        _ => rows.shallow_clone(),
    };
    let length = rows.f_norm_scalaropt_dim(2, [1i64].as_slice(), true)?.f_clamp_min(1e-12)?; // (B, 1)
    Ok(rows.f_div(&length)?)
}
