//! Mixup (Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018) as distillation has it: teacher and student see the same
//! mixture of two images, so no label has to be mixed (Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022).
//!
//! ```text
//! x'_i = λ·x_i + (1 − λ)·x_π(i)       λ from 0 to 1, one for the step; π a random order of the batch
//! ```

use tch::Tensor;

use crate::Result;
use crate::data::random::{Purpose, generator, shuffle, unit};
use crate::torch;

/// How a step's images are mixed.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixup {
    /// λ.
    weight: f64,
    /// π.
    partners: Vec<i64>,
}

impl Mixup {
    /// Of step `step` on `images` images in a run by `seed`, of whose steps the share `share` is mixed: none where this one is not.
    pub fn of_step(share: f64, seed: u64, step: u64, images: i64) -> Option<Self> {
        if share <= 0.0 {
            return None;
        }
        let mut random = generator(seed, step, 0, Purpose::Mixup);
        if unit(&mut random) >= share {
            return None;
        }
        let weight = unit(&mut random);
        let mut partners: Vec<i64> = (0..images).collect();
        shuffle(&mut random, &mut partners);
        Some(Self { weight, partners })
    }

    /// The mixtures of `views` (B,C,H,W), in the memory's order that these have.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn of(&self, views: &Tensor) -> Result<Tensor> {
        let partners = torch::copy_to(&Tensor::f_from_slice(&self.partners)?, views.device())?;
        // As (B,H,W,C), which keeps it channels-last.
        let views = views.f_permute([0, 2, 3, 1])?;
        let others = views.f_index_select(0, &partners)?;
        Ok(others.f_lerp(&views, self.weight)?.f_permute([0, 3, 1, 2])?)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn a_mixture_is_that_of_two_images_of_the_batch() {
        let views = Tensor::rand([6, 3, 4, 5], (Kind::Float, Device::Cpu));
        let mixup = Mixup::of_step(1.0, 3, 11, 6).unwrap();
        let mixed = mixup.of(&views).unwrap();
        assert_eq!(mixed.size(), views.size());
        for image in 0..6 {
            let partner = mixup.partners[image as usize];
            let wanted = views.get(image) * mixup.weight + views.get(partner) * (1.0 - mixup.weight);
            assert!((mixed.get(image) - wanted).abs().max().double_value(&[]) < 1e-6);
        }
        let mut partners = mixup.partners.clone();
        partners.sort_unstable();
        assert!(partners == [0, 1, 2, 3, 4, 5] && mixup.partners != partners, "{:?}", mixup.partners);
    }

    #[test]
    fn steps_differ_and_the_share_of_them_is_mixed() {
        let of = |share, step| Mixup::of_step(share, 7, step, 8);
        let mixed = (0..400).filter(|&step| of(0.25, step).is_some()).count();
        assert!((70..130).contains(&mixed), "{mixed} of 400");
        assert!(of(0.0, 1).is_none() && of(1.0, 1).is_some() && of(1.0, 1) == of(1.0, 1) && of(1.0, 1) != of(1.0, 2));
        let weights: Vec<f64> = (0..400).map(|step| of(1.0, step).unwrap().weight).collect();
        let mean = weights.iter().sum::<f64>() / 400.0;
        assert!((mean - 0.5).abs() < 0.06 && weights.iter().all(|weight| (0.0..1.0).contains(weight)), "{mean}");
    }
}
