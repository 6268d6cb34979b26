//! The momentum encoder of MoCo (He et al., 2020): a copy of the student that follows it slowly and gives the keys.
//!
//! ```text
//! θ_k ← m·θ_k + (1 − m)·θ_q       the parameters; running statistics are its own, of its own batches
//! k = encoder(x')/‖·‖             x' another view than the student's, the batch in another order and in pieces, see below
//! ```
//!
//! Batch norm must not tell which key belongs to which query, as it would where both come of the same images: the queue's keys have the
//! statistics of other batches. MoCo shuffles the keys' batch over several GPUs. Here both batches go through in [`pieces`], and the keys'
//! is shuffled first, so that a query and its key have the statistics of different images.

use tch::{Kind, Tensor};

use super::batch::StepSettings;
use crate::data::random::{Purpose, generator, shuffle};
use crate::model::weights::StateDict;
use crate::model::{Load, Mode, Network, unit_rows};
use crate::torch::{self, Autocast};
use crate::{Error, Result};

/// Pieces of a batch at most.
const MOST: i64 = 4;
/// Images of a piece at least: batch norm over fewer says little.
const FEWEST: i64 = 8;

/// In how many pieces a batch of so many images goes through both encoders, at least: 4 from 32 images on, 1 below 16.
pub fn pieces(batch: i64) -> i64 {
    (batch / FEWEST).clamp(1, MOST)
}

/// The copy that follows.
pub struct Momentum {
    encoder: Network,
    momentum: f64,
}

impl Momentum {
    /// A copy of `student`, which keeps `momentum` of itself at each step.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn new(student: &Network, momentum: f64) -> Result<Self> {
        let encoder = student.deep_copy()?;
        encoder.freeze()?;
        encoder.to_channels_last()?;
        Ok(Self { encoder, momentum })
    }

    /// One step after `student`.
    ///
    /// # Errors
    /// `Mismatch` where the student has other tensors than when it was copied; those of libtorch.
    pub fn follow(&self, student: &Network) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let (own, theirs) = (self.encoder.parameters(), student.parameters());
        if own.len() != theirs.len() {
            return Err(Error::mismatch(
                "the student is another network than the one that its momentum encoder follows",
            ));
        }
        for ((_, own), (_, theirs)) in own.into_iter().zip(theirs) {
            let mut own = own;
            let _ = own.f_lerp_(&theirs.f_detach()?, 1.0 - self.momentum)?;
        }
        Ok(())
    }

    /// The keys (B,C) of `images` (B,C',H,W), unit rows in float32, row i of image i. The order in which they go through, `noise`'s, is
    /// nobody else's.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn keys(&self, images: &Tensor, precision: Kind, noise: u64) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let batch = images.size()[0];
        let mut order: Vec<i64> = (0..batch).collect();
        shuffle(&mut generator(noise, 0, 0, Purpose::Shuffle), &mut order);
        let mut back = vec![0i64; order.len()];
        order.iter().zip(0..).for_each(|(&image, place)| back[image as usize] = place);
        let on_device = |numbers: &[i64]| torch::copy_to(&Tensor::f_from_slice(numbers)?, images.device());
        // As (B,H,W,C), which keeps it channels-last.
        let shuffled =
            images.f_permute([0, 2, 3, 1])?.f_index_select(0, &on_device(&order)?)?.f_permute([0, 3, 1, 2])?;
        let mut rows = Vec::new();
        for (number, piece) in shuffled.f_chunk(pieces(batch), 0)?.into_iter().enumerate() {
            let mode = Mode::Train { noise: noise.wrapping_add(number as u64) };
            let _autocast = Autocast::enter(images.device(), precision)?;
            rows.push(self.encoder.forward(&piece, mode)?);
        }
        let rows = Tensor::f_cat(&rows, 0)?.f_to_kind(Kind::Float)?;
        unit_rows(&rows.f_index_select(0, &on_device(&back)?)?)
    }

    /// As [`keys`](Momentum::keys), by the running statistics of batch norm, which stay as they are: nothing of the batch is in them.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn keys_by_running_norm(&self, images: &Tensor, precision: Kind) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let rows = {
            let _autocast = Autocast::enter(images.device(), precision)?;
            self.encoder.forward(images, Mode::Eval)?
        };
        unit_rows(&rows.f_to_kind(Kind::Float)?)
    }

    /// The keys of a step's second views, by the statistics of batch norm that its student goes by.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn keys_of_step(&self, images: &Tensor, settings: &StepSettings) -> Result<Tensor> {
        match settings.running_norm {
            true => self.keys_by_running_norm(images, settings.precision),
            false => self.keys(images, settings.precision, settings.noise),
        }
    }

    /// Its tensors, for a checkpoint.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn to_state(&self) -> Result<StateDict> {
        Ok(StateDict { tensors: self.encoder.to_state()?.into_iter().collect(), metadata: Default::default() })
    }

    /// Puts back what [`to_state`](Momentum::to_state) gave.
    ///
    /// # Errors
    /// `Mismatch` for tensors of another network; nothing is changed then.
    pub fn restore(&self, state: &StateDict) -> Result<()> {
        self.encoder.load(state, Load::Everything)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::model::{Architecture, Head};

    fn network(seed: u64) -> Network {
        Network::new(Architecture::ResNet10, Head::Projection { hidden: 0, dim: 8 }, seed, Device::Cpu).unwrap()
    }

    fn images(count: i64) -> Tensor {
        let wave: Vec<f32> =
            (0..count * 3 * 32 * 32).map(|i| (i as f32 * 0.37).sin() * (i as f32 * 0.0113).cos()).collect();
        Tensor::from_slice(&wave).view([count, 3, 32, 32])
    }

    #[test]
    fn it_follows_the_student_by_its_share() {
        let (student, other) = (network(1), network(2));
        let momentum = Momentum::new(&student, 0.9).unwrap();
        momentum.follow(&other).unwrap();
        momentum.follow(&other).unwrap();
        for (((_, own), (_, first)), (_, then)) in
            momentum.encoder.parameters().iter().zip(student.parameters()).zip(other.parameters())
        {
            // m²·θ + (1 − m²)·θ'
            let expected = first.to_kind(Kind::Double) * 0.81 + then.to_kind(Kind::Double) * 0.19;
            assert!((own.to_kind(Kind::Double) - expected).abs().max().double_value(&[]) < 1e-6);
        }
        let before = momentum.encoder.parameters()[0].1.copy();
        let still = Momentum { momentum: 1.0, ..momentum };
        still.follow(&network(3)).unwrap();
        assert_eq!(before, still.encoder.parameters()[0].1);
        assert!(!still.encoder.parameters()[0].1.requires_grad());
    }

    #[test]
    fn keys_come_back_in_the_order_of_their_images() {
        let momentum = Momentum::new(&network(1), 0.999).unwrap();
        assert_eq!((pieces(40), pieces(15), pieces(1)), (4, 1, 1));
        // In one piece the statistics are those of the whole batch, in whatever order it comes.
        let few = images(12);
        let keys = momentum.keys(&few, Kind::Float, 3).unwrap();
        let student = network(1);
        let plain = tch::no_grad(|| unit_rows(&student.forward(&few, Mode::Train { noise: 0 }).unwrap()).unwrap());
        assert!((&keys - &plain).abs().max().double_value(&[]) < 1e-4);
        let apart = (plain.narrow(0, 0, 11) - plain.narrow(0, 1, 11)).abs().max().double_value(&[]);
        assert!(apart > 1e-2, "rows of different images differ by {apart} only");
        let images = images(40);
        let keys = momentum.keys(&images, Kind::Float, 3).unwrap();
        assert_eq!(keys.size(), [40, 8]);
        let lengths = keys.square().sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        assert!((lengths - 1.0).abs().max().double_value(&[]) < 1e-5);
        // Statistics are of a piece, and pieces of the noise's order.
        assert!(momentum.keys(&images, Kind::Float, 4).unwrap() != keys);
    }

    #[test]
    fn its_state_goes_there_and_back() {
        let momentum = Momentum::new(&network(1), 0.5).unwrap();
        momentum.follow(&network(2)).unwrap();
        let _keys = momentum.keys(&images(16), Kind::Float, 1).unwrap();
        let state = momentum.to_state().unwrap();
        let other = Momentum::new(&network(5), 0.5).unwrap();
        other.restore(&state).unwrap();
        for ((_, a), (_, b)) in momentum.encoder.tensors().iter().zip(other.encoder.tensors()) {
            assert_eq!(*a, b);
        }
        let narrow =
            Network::new(Architecture::ResNet10, Head::Projection { hidden: 0, dim: 4 }, 1, Device::Cpu).unwrap();
        assert!(Momentum::new(&narrow, 0.5).unwrap().restore(&state).is_err());
    }
}
