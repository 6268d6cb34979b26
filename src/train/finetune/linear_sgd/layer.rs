//! The linear layer that learns by SGD.

use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Reduction, Tensor};

use crate::config::LinearConfig;
use crate::data::random::{Purpose, generator};
use crate::optim::Sgd;
use crate::sys::memory::room;
use crate::{Result, torch};

/// Deviation of the first weights.
const DEVIATION: f64 = 0.01;

/// The linear layer that learns.
pub struct Layer {
    /// W, (K, d).
    pub weight: Tensor,
    /// b, (K).
    pub bias: Tensor,
    sgd: Sgd,
}

impl Layer {
    /// W from N(0, .01²) by `seed`, b from 0.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn new(dim: usize, classes: usize, settings: &LinearConfig, seed: u64, device: Device) -> Result<Self> {
        let mut values: Vec<f32> = room(dim.saturating_mul(classes), "the weights of a classifier")?;
        let mut random = generator(seed, 0, 0, Purpose::LinearProbe);
        values.extend((0..dim * classes).map(|_| {
            let normal: f64 = StandardNormal.sample(&mut random);
            (normal * DEVIATION) as f32
        }));
        let weight = Tensor::f_from_slice(&values)?.f_view([classes as i64, dim as i64])?;
        Self::of(&weight, &Tensor::f_zeros([classes as i64], (Kind::Float, Device::Cpu))?, settings, device)
    }

    /// From copies of these weights, in float32 on `device`.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn of(weight: &Tensor, bias: &Tensor, settings: &LinearConfig, device: Device) -> Result<Self> {
        let leaf = |tensor: &Tensor| -> Result<Tensor> {
            let copy = tensor.f_detach()?.f_to_device_(device, Kind::Float, false, true)?;
            Ok(copy.f_set_requires_grad(true)?)
        };
        let (weight, bias) = (leaf(weight)?, leaf(bias)?);
        let both = vec![("weight".to_owned(), weight.shallow_clone()), ("bias".to_owned(), bias.shallow_clone())];
        Ok(Self { weight, bias, sgd: Sgd::new(both, settings.momentum, settings.weight_decay)? })
    }

    /// One step on features (B, d) on the layer's device and the class of each. Gives the loss before it, 0-dim, unread.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn step(&mut self, features: &Tensor, truth: &[i64], learning_rate: f64) -> Result<Tensor> {
        let targets = torch::copy_to(&Tensor::f_from_slice(truth)?, self.weight.device())?;
        let logits = features.f_detach()?.f_linear(&self.weight, Some(&self.bias))?; // z, (B, K)
        let loss = logits.f_cross_entropy_loss::<Tensor>(&targets, None, Reduction::Mean, -100, 0.0)?;
        loss.f_backward()?;
        self.sgd.step(learning_rate)?;
        Ok(loss.f_detach()?)
    }

    /// Log-probabilities (B·K) of features (B·d), row by row.
    pub(super) fn log_probabilities(&self, features: &[f32]) -> Result<Vec<f64>> {
        let _no_grad = tch::no_grad_guard();
        let features = Tensor::f_from_slice(features)?.f_view([-1, self.weight.size()[1]])?;
        let logits = torch::copy_to(&features, self.weight.device())?.f_linear(&self.weight, Some(&self.bias))?;
        torch::numbers(&logits.f_log_softmax(1, Kind::Double)?, "the answers of a classifier")
    }
}
