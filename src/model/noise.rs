//! Noise of the training mode: dropout and stochastic depth.
//!
//! Both multiply by a mask of 0 and 1/(1−p) (Srivastava et al. 2014; Huang et al. 2016, mode "row"):
//! `out[b, …] = x[b, …] · mask[b, …]`. The mask of layer `l` comes from ChaCha keyed by `(noise, l)`, never from torch's global
//! generator, so a step can be replayed and two networks never disturb each other.

use rand_core::RngCore;
use tch::Tensor;

use super::Mode;
use super::params::Path;
use crate::data::random::{Purpose, generator};
use crate::error::Result;
use crate::sys::memory::room;
use crate::torch;

/// What one number of the mask covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grain {
    /// One element (dropout).
    Element,
    /// One image of the batch (stochastic depth).
    Row,
}

/// A layer that drops parts of its input while training and is the identity otherwise.
pub(crate) struct RandomDrop {
    probability: f64,
    layer: u64,
    grain: Grain,
}

impl RandomDrop {
    /// Dropout of single elements.
    pub fn elements(path: &mut Path<'_>, probability: f64) -> RandomDrop {
        RandomDrop { probability, layer: path.noise_layer(), grain: Grain::Element }
    }

    /// Stochastic depth: whole rows of the batch.
    pub fn rows(path: &mut Path<'_>, probability: f64) -> RandomDrop {
        RandomDrop { probability, layer: path.noise_layer(), grain: Grain::Row }
    }

    /// Drops this share from now on.
    pub fn set_probability(&mut self, probability: f64) {
        self.probability = probability;
    }

    /// The share that is dropped.
    pub fn probability(&self) -> f64 {
        self.probability
    }

    /// `x` is (B, …); the result has its shape and type.
    pub fn forward(&self, x: Tensor, mode: Mode) -> Result<Tensor> {
        let Mode::Train { noise } = mode else { return Ok(x) };
        if self.probability <= 0.0 {
            return Ok(x);
        }
        let shape: Vec<i64> = match self.grain {
            Grain::Element => x.size(),
            Grain::Row => x.size().iter().enumerate().map(|(axis, &side)| if axis == 0 { side } else { 1 }).collect(),
        };
        let values = mask(self.probability, noise, self.layer, shape.iter().product::<i64>() as usize)?;
        let mask = Tensor::f_from_slice(&values)?.f_view(shape.as_slice())?;
        Ok(x.f_mul(&torch::copy_to(&mask, x.device())?.f_to_kind(x.f_kind()?)?)?)
    }
}

/// A number survives where a uniform 32-bit word lies below `(1 − p)·2³²`; survivors are scaled to keep the expectation.
fn mask(probability: f64, noise: u64, layer: u64, elements: usize) -> Result<Vec<f32>> {
    let survival = 1.0 - probability;
    let threshold = survival * (1u64 << 32) as f64;
    let scale = (1.0 / survival) as f32;
    let mut random = generator(noise, layer, 0, Purpose::Noise);
    let mut values = room(elements, "a mask of noise")?;
    values.extend((0..elements).map(|_| if f64::from(random.next_u32()) < threshold { scale } else { 0.0 }));
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_keep_the_expectation_and_can_be_replayed() {
        let mask = |noise, layer| mask(0.2, noise, layer, 100_000).unwrap();
        let values = mask(9, 1);
        assert!(values.iter().all(|&value| value == 0.0 || value == 1.25));
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert_eq!(values, mask(9, 1));
        assert_ne!(values, mask(9, 2));
        assert_ne!(values, mask(10, 1));
    }

    #[test]
    fn rows_are_dropped_whole() {
        let layer = RandomDrop { probability: 0.5, layer: 0, grain: Grain::Row };
        let ones = Tensor::ones([64, 2, 3, 3], (tch::Kind::Float, tch::Device::Cpu));
        let out = layer.forward(ones.shallow_clone(), Mode::Train { noise: 4 }).unwrap();
        let sums: Vec<f32> =
            Vec::try_from(out.sum_dim_intlist([1i64, 2, 3].as_slice(), false, tch::Kind::Float)).unwrap();
        assert!(sums.iter().all(|&sum| sum == 0.0 || sum == 36.0), "{sums:?}");
        assert!(sums.contains(&0.0) && sums.contains(&36.0));
        assert_eq!(layer.forward(ones.shallow_clone(), Mode::Eval).unwrap(), ones);
    }
}
