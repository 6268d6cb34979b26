//! SEED with MoCo-v2's loss beside it (He et al., CVPR 2020; Chen et al., 2020): the student learns from its teacher, and to know a second
//! view of an image from other images.
//!
//! ```text
//! L = L_SEED + λ·L_MoCo     L_MoCo = InfoNCE(s, k, D')     s of the view that the teacher sees, k (B,C) of another view of each image
//! k = momentum encoder(x₂)/‖·‖, outside autograd ([`Momentum`], m .999); D' (K,C) a queue of such k; τ .2
//! ```
//!
//! So that a batch does not give its keys away by its statistics, it goes through the student in [`pieces`].

use std::collections::BTreeMap;

use tch::Tensor;

use super::{Learned, Piece, Seed, Strategy, part_of};
use crate::distill::batch::{StepBatch, StepSettings};
use crate::distill::contrast::info_nce_loss;
use crate::distill::loss::seed_loss;
use crate::distill::momentum::{Momentum, pieces};
use crate::distill::queue::{Queue, QueueSnapshot};
use crate::model::Network;
use crate::model::weights::StateDict;
use crate::{Error, Result};

/// τ.
const TEMPERATURE: f64 = 0.2;
/// The parts of a checkpoint.
const ENCODER: &str = "momentum_encoder";
const QUEUE: &str = "momentum_queue";

/// SEED's loss, and MoCo's where it has a weight.
pub struct SeedMoco {
    /// SEED's.
    pub seed: Seed,
    /// λ and what MoCo's loss needs; none where λ is 0, which is SEED itself.
    pub moco: Option<Moco>,
}

/// The momentum encoder and its queue.
pub struct Moco {
    weight: f64,
    encoder: Momentum,
    queue: Queue,
}

impl Moco {
    /// λ = `weight`, over a copy of `student` that keeps `momentum` of itself at each step, and a queue of `capacity` rows of noise drawn from `seed`.
    ///
    /// # Errors
    /// `InvalidArgument` for a queue without rows; `OutOfMemory` or `Torch` from libtorch.
    pub fn new(weight: f64, momentum: f64, student: &Network, capacity: i64, seed: u64) -> Result<Self> {
        // Another noise than that of the teacher's queue, which is drawn from the same seed.
        let queue = Queue::new(capacity, student.output_dim(), !seed, student.device())?;
        Ok(Self { weight, encoder: Momentum::new(student, momentum)?, queue })
    }
}

impl Strategy for SeedMoco {
    /// t (B,C) and, of the second views, k (B,C).
    fn goal(&self, batch: &StepBatch<'_>, _queue: &Queue, settings: &StepSettings) -> Result<Vec<Tensor>> {
        let target = batch.taught()?.shallow_clone();
        let Some(moco) = &self.moco else { return Ok(vec![target]) };
        let second =
            batch.second.ok_or_else(|| Error::invalid("method seed_moco takes two views of each image, found one"))?;
        Ok(vec![target, moco.encoder.keys_of_step(second, settings)?])
    }

    fn loss(&self, piece: &Piece<'_>) -> Result<Learned> {
        let mut loss = seed_loss(piece.embedding, piece.target()?, piece.queue, self.seed.temperatures)?;
        if let (Some(moco), [_, keys]) = (&self.moco, piece.goal) {
            let beside = info_nce_loss(piece.embedding, keys, moco.queue.rows(), TEMPERATURE)?;
            loss.value = loss.value.f_add(&beside.value.f_mul_scalar(moco.weight)?)?;
            loss.gradient = loss.gradient.f_add(&beside.gradient.f_mul_scalar(moco.weight)?)?;
        }
        Ok(Learned::of(loss, piece.embedding))
    }

    fn updated(&mut self, student: &Network, goal: &[Tensor], _embedding: &Tensor) -> Result<()> {
        if let (Some(moco), [_, keys]) = (&mut self.moco, goal) {
            moco.encoder.follow(student)?;
            moco.queue.push(keys)?;
        }
        Ok(())
    }

    fn wants_second_views(&self) -> bool {
        self.moco.is_some()
    }

    fn pieces(&self, batch: i64) -> u64 {
        if self.moco.is_some() { pieces(batch).unsigned_abs() } else { 1 }
    }

    fn parts(&self) -> Result<BTreeMap<String, StateDict>> {
        let Some(moco) = &self.moco else { return Ok(BTreeMap::new()) };
        Ok(BTreeMap::from([
            (ENCODER.to_owned(), moco.encoder.to_state()?),
            (QUEUE.to_owned(), moco.queue.snapshot()?.to_state()?),
        ]))
    }

    fn restore(&mut self, parts: &BTreeMap<String, StateDict>) -> Result<()> {
        let Some(moco) = &mut self.moco else { return Ok(()) };
        let (encoder, queue) = (part_of(parts, ENCODER)?, QueueSnapshot::from_state(part_of(parts, QUEUE)?)?);
        let before = moco.queue.snapshot()?;
        moco.queue.restore(&queue)?;
        if let Err(error) = moco.encoder.restore(encoder) {
            moco.queue.restore(&before)?;
            return Err(error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::ErrorKind;
    use crate::distill::Temperatures;
    use crate::distill::loss::naive_loss;
    use crate::distill::loss::tests::random;
    use crate::distill::strategy::tests::SETTINGS;
    use crate::model::{Architecture, Head, unit_rows};

    fn unit(rows: i64, seed: u64) -> Tensor {
        unit_rows(&random(rows, seed)).unwrap().to_kind(Kind::Float)
    }

    fn apart(a: &Tensor, b: &Tensor) -> f64 {
        (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
    }

    fn student(seed: u64) -> Network {
        Network::new(Architecture::ResNet10, Head::Projection { hidden: 8, dim: 16 }, seed, Device::Cpu).unwrap()
    }

    fn strategy(weight: f64, network: &Network) -> SeedMoco {
        let moco = (weight > 0.0).then(|| Moco::new(weight, 0.999, network, 7, 3).unwrap());
        SeedMoco { seed: Seed { temperatures: Temperatures::default() }, moco }
    }

    /// By running statistics, which one image has as well.
    const AT_REST: StepSettings = StepSettings { running_norm: true, ..SETTINGS };

    #[test]
    fn both_losses_add_up_as_autograd_has_it_in_float64() {
        let network = student(1);
        let (t, k, queue, raw) = (unit(4, 2), unit(4, 3), unit(20, 4), random(4, 1));
        let own = strategy(0.5, &network);
        let keys_queue = own.moco.as_ref().unwrap().queue.rows().to_kind(Kind::Double);
        let exact = raw.detach().copy().set_requires_grad(true);
        let s = unit_rows(&exact).unwrap();
        let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
        let positive = (&s * double(&k)).sum_dim_intlist([1i64].as_slice(), true, None);
        let logits = Tensor::cat(&[positive, s.matmul(&keys_queue.tr())], 1) / TEMPERATURE;
        let moco = -logits.log_softmax(1, None::<Kind>).select(1, 0).mean(None);
        let wanted = naive_loss(&s, &double(&t), &double(&queue), Temperatures::default()).unwrap() + moco * 0.5;
        wanted.backward();
        let leaf = raw.to_kind(Kind::Float).set_requires_grad(true);
        let s = unit_rows(&leaf).unwrap();
        let of = |strategy: &SeedMoco, goal: &[Tensor]| {
            strategy.loss(&Piece { features: &s, embedding: &s, goal, queue: &queue, epoch: None }).unwrap()
        };
        let found = of(&own, &[t.shallow_clone(), k.shallow_clone()]);
        found.backward().unwrap();
        assert!(apart(&found.value, &wanted) < 1e-5 && apart(&leaf.grad(), &exact.grad()) < 1e-5);
        // With λ 0 it is SEED, bit for bit, and asks for no second view.
        let without = strategy(0.0, &network);
        let (alone, seed) =
            (of(&without, &[t.shallow_clone()]), seed_loss(&s, &t, &queue, Temperatures::default()).unwrap());
        assert!(apart(&alone.gradients[0].1, &seed.gradient) == 0.0 && apart(&alone.value, &seed.value) == 0.0);
        assert!(own.wants_second_views() && !without.wants_second_views());
        assert_eq!((own.pieces(64), without.pieces(64)), (4, 1));
    }

    #[test]
    fn the_encoder_follows_the_student_and_the_queue_takes_its_keys() {
        let mut own = strategy(1.0, &student(1));
        let (views, target, queue) = (Tensor::ones([2, 3, 8, 8], (Kind::Float, Device::Cpu)), unit(2, 1), unit(3, 2));
        let mut of_teacher = Queue::new(3, 16, 3, Device::Cpu).unwrap();
        of_teacher.push(&queue).unwrap();
        let batch =
            StepBatch { views: &views, target: Some(&target), images: None, second: None, small: &[], patches: None };
        let error = own.goal(&batch, &of_teacher, &AT_REST).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let both = StepBatch { second: Some(&views), ..batch };
        let goal = own.goal(&both, &of_teacher, &AT_REST).unwrap();
        assert!(apart(&goal[0], &target) == 0.0);
        let lengths = goal[1].norm_scalaropt_dim(2.0, [1i64].as_slice(), false);
        assert!(apart(&lengths, &lengths.ones_like()) < 1e-6);
        own.updated(&student(2), &goal, &target).unwrap();
        let moco = own.moco.as_ref().unwrap();
        assert!(apart(&moco.queue.rows().narrow(0, 0, 2), &goal[1]) == 0.0 && moco.queue.len() == 2);
        let after = own.goal(&both, &of_teacher, &AT_REST).unwrap();
        assert!(apart(&after[1], &goal[1]) > 0.0, "the encoder has not moved");
    }

    #[test]
    fn the_state_comes_back_and_what_does_not_fit_changes_nothing() {
        let views = Tensor::ones([2, 3, 8, 8], (Kind::Float, Device::Cpu));
        let mut first = strategy(1.0, &student(1));
        let keys = unit(2, 5);
        first.updated(&student(2), &[keys.shallow_clone(), keys.shallow_clone()], &keys).unwrap();
        let parts = first.parts().unwrap();
        let mut second = strategy(1.0, &student(3));
        let state = |of: &SeedMoco| {
            let moco = of.moco.as_ref().unwrap();
            (moco.encoder.keys_by_running_norm(&views, Kind::Float).unwrap(), moco.queue.rows().copy())
        };
        let before = state(&second);
        let mut shapeless = parts.clone();
        shapeless.get_mut(ENCODER).unwrap().tensors.clear();
        for wrong in [shapeless, BTreeMap::new()] {
            assert_eq!(second.restore(&wrong).unwrap_err().kind(), ErrorKind::Mismatch);
            let now = state(&second);
            assert!(apart(&now.0, &before.0) == 0.0 && apart(&now.1, &before.1) == 0.0);
        }
        second.restore(&parts).unwrap();
        let (now, wanted) = (state(&second), state(&first));
        assert!(apart(&now.0, &wanted.0) == 0.0 && apart(&now.1, &wanted.1) == 0.0);
    }
}
