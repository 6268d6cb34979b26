//! The projection head and the unit sphere it maps to.
//!
//! ```text
//! z = W₂·relu(W₁·h + b₁) + b₂        h: (B, d) features, W₁: (hidden, d), W₂: (dim, hidden)
//! z = W·h + b                        W: (dim, d), MoCo-v1
//! z = Wₙ·relu(norm(… relu(norm(W₁·h + b₁)) …)) + bₙ
//! embedding = z / max(‖z‖₂, 1e-12)
//! ```
//!
//! SEED's student head is d–d–128 without normalisation layers (Fang et al. 2021), as is MoCo-v2's. SwAV and SimCLR have batch
//! norm before the ReLU, and so have deeper heads that are thrown away after the run (SimReg, Navaneet et al., BMVC 2021).

use tch::{Kind, Tensor};

use super::Mode;
use super::layers::{Activation, BatchNorm2d, Linear, LinearInitial, NormConfig};
use super::params::Path;
use crate::error::Result;
use crate::torch::fused::{Builder, Value};

/// Linear layers with a ReLU between them, keys "projection.0" and "projection.2"; with batch norm before each ReLU "projection.0", ".1", ".3"
/// and, of more layers, ".4", ".6" and so on; of one layer "projection.0" alone.
pub(crate) struct Projection {
    hidden: Vec<(Linear, Option<BatchNorm2d>)>,
    last: Linear,
}

impl Projection {
    /// Two layers.
    pub fn new(root: &mut Path<'_>, features: i64, hidden: i64, dim: i64) -> Result<Projection> {
        let mut path = root.at("projection");
        let first = Linear::new(&mut path.at(0), features, hidden, LinearInitial::Torch)?;
        let last = Linear::new(&mut path.at(2), hidden, dim, LinearInitial::Torch)?;
        Ok(Projection { hidden: vec![(first, None)], last })
    }

    /// So many `layers`, with batch norm after each but the last.
    pub fn normed(root: &mut Path<'_>, features: i64, layers: i64, hidden: i64, dim: i64) -> Result<Projection> {
        let mut path = root.at("projection");
        let (mut inner, mut width, mut place) = (Vec::new(), features, 0);
        for _ in 1..layers {
            let linear = Linear::new(&mut path.at(place), width, hidden, LinearInitial::Torch)?;
            inner.push((linear, Some(BatchNorm2d::new(&mut path.at(place + 1), hidden, NormConfig::TORCH)?)));
            (width, place) = (hidden, place + 3);
        }
        Ok(Projection { hidden: inner, last: Linear::new(&mut path.at(place), width, dim, LinearInitial::Torch)? })
    }

    /// One layer from the features to the embedding.
    pub fn linear(root: &mut Path<'_>, features: i64, dim: i64) -> Result<Projection> {
        let last = Linear::new(&mut root.at("projection").at(0), features, dim, LinearInitial::Torch)?;
        Ok(Projection { hidden: Vec::new(), last })
    }

    pub fn forward(&self, features: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut value = features.shallow_clone();
        for (linear, norm) in &self.hidden {
            value = linear.forward(&value)?; // (B, hidden)
            if let Some(norm) = norm {
                value = norm.forward(&value, mode)?;
            }
            value = Activation::Relu.apply(value, mode)?;
        }
        self.last.forward(&value) // (B, dim)
    }

    pub fn lower(&self, builder: &mut Builder, features: Value) -> Result<Value> {
        let mut value = features;
        for (linear, norm) in &self.hidden {
            value = match norm {
                Some(norm) => linear.lower_normed(builder, value, norm, Activation::Relu)?,
                None => linear.lower(builder, value, Activation::Relu)?,
            };
        }
        self.last.lower(builder, value, Activation::Identity)
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
