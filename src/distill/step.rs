//! One step of distillation, in the order of the paper:
//!
//! ```text
//! s = student(x)/‖·‖   t = teacher(x)/‖·‖     both see the same view x (B,3,H,W); t comes first (`Targets`)
//! L = loss(s, t, D)                           over the queue as it was before this batch
//! backward, SGD                               through s only
//! D ← enqueue(t)
//! ```

use tch::{Kind, Tensor};

use super::loss::Temperatures;
use super::queue::Queue;
use super::strategy::Strategy;
use crate::Result;
use crate::model::{Mode, Network, unit_rows};
use crate::optim::Sgd;
use crate::torch::{Autocast, caught};

/// The numbers that one step needs beside its networks.
#[derive(Debug, Clone, Copy)]
pub struct StepSettings {
    /// What is learned.
    pub strategy: Strategy,
    /// τ_S and τ_T.
    pub temperatures: Temperatures,
    /// Number format of both forward passes: float32 or bfloat16. Loss and weights are float32.
    pub precision: Kind,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Key of this step's dropout and stochastic depth.
    pub noise: u64,
    /// Whether batch norm uses its running statistics and leaves them alone.
    pub running_norm: bool,
    /// Pieces that the batch goes through the networks in, one after another (gradient accumulation). The gradient is
    /// that of the whole batch, but for batch norm, which sees a piece at a time.
    pub pieces: u64,
    /// Highest L2 norm of the gradient over all parameters; 0: no limit.
    pub clip_norm: f64,
}

/// What a step computed, all of it unread and without a gradient.
#[derive(Debug)]
pub struct Step {
    /// L, 0-dim.
    pub loss: Tensor,
    /// s, (B,C), as it was before the update.
    pub embedding: Tensor,
    /// t, (B,C).
    pub target: Tensor,
}

/// One step on `images` (B,3,H,W), or (B,1,H,W) of a student with one channel, normalised, with the teacher's rows `target` (B,C) of
/// them, unit vectors; all of it on the student's device. Reading the loss waits for the device.
///
/// On an error before the update the weights are as they were, and no gradient stays behind.
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch.
pub fn distill(
    images: &Tensor,
    student: &Network,
    target: &Tensor,
    queue: &mut Queue,
    optimiser: &mut Sgd,
    settings: &StepSettings,
) -> Result<Step> {
    let result = caught(|| {
        let out = accumulate(images, student, target, queue, settings)?;
        if settings.clip_norm > 0.0 {
            let _norm = optimiser.clip_gradients(settings.clip_norm)?; // unread, so that nothing waits
        }
        optimiser.step(settings.learning_rate)?;
        Ok(out)
    });
    let step = result.inspect_err(|_| {
        // The next backward pass would add to what stays behind. The first error is the one to tell; a second one here
        // adds nothing.
        let _ = optimiser.drop_gradients();
    })?;
    queue.push(&step.target)?;
    Ok(step)
}

/// Adds up the gradients of all pieces; gives the batch's loss and rows. Every piece sees the same queue.
fn accumulate(
    images: &Tensor,
    student: &Network,
    target: &Tensor,
    queue: &Queue,
    settings: &StepSettings,
) -> Result<Step> {
    let batch = images.size()[0];
    let length = (batch as u64).div_ceil(settings.pieces.max(1)).max(1) as i64;
    if length >= batch {
        return forward_backward(images, student, target, queue, settings, 1.0);
    }
    let (mut losses, mut embeddings) = (Vec::new(), Vec::new());
    for (number, start) in (0..batch).step_by(length as usize).enumerate() {
        let of_piece = |rows: &Tensor| rows.f_narrow(0, start, length.min(batch - start));
        let (piece, target) = (of_piece(images)?, of_piece(target)?);
        let share = piece.size()[0] as f64 / batch as f64;
        let noise = settings.noise.wrapping_add((number as u64).wrapping_mul(0xd1b5_4a32_d192_ed03));
        let step = forward_backward(&piece, student, &target, queue, &StepSettings { noise, ..*settings }, share)?;
        losses.push(step.loss);
        embeddings.push(step.embedding);
    }
    Ok(Step {
        loss: Tensor::f_stack(&losses, 0)?.f_sum(None)?,
        embedding: Tensor::f_cat(&embeddings, 0)?,
        target: target.shallow_clone(),
    })
}

/// One forward and backward pass; loss and gradient are multiplied by `share`.
fn forward_backward(
    images: &Tensor,
    student: &Network,
    target: &Tensor,
    queue: &Queue,
    settings: &StepSettings,
    share: f64,
) -> Result<Step> {
    let mode = match settings.running_norm {
        true => Mode::Eval,
        false => Mode::Train { noise: settings.noise },
    };
    let output = {
        let _autocast = Autocast::enter(images.device(), settings.precision)?;
        student.forward(images, mode)?
    };
    let embedding = unit_rows(&output.f_to_kind(Kind::Float)?)?; // s, (B,C)
    let mut loss = settings.strategy.loss(&embedding, target, queue.rows(), settings.temperatures)?;
    if share != 1.0 {
        loss.value = loss.value.f_mul_scalar(share)?;
        loss.gradient = loss.gradient.f_mul_scalar(share)?;
    }
    loss.backward(&embedding)?;
    Ok(Step { loss: loss.value, embedding: embedding.f_detach()?, target: target.shallow_clone() })
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::model::{Architecture, Head, Teacher};

    /// The student's parameters after one step on a batch whose second half repeats the first.
    fn after_one_step(pieces: u64, clip_norm: f64) -> (f64, Vec<Tensor>, Tensor) {
        let head = Head::Projection { hidden: 16, dim: 8 };
        let network = |seed| Network::new(Architecture::ResNet18, head, seed, Device::Cpu).unwrap();
        let student = network(1);
        let mut queue = Queue::new(32, 8, 3, Device::Cpu).unwrap();
        let before: Vec<_> = student.parameters().into_iter().map(|(_, p)| p.detach().copy()).collect();
        let mut optimiser = Sgd::new(student.parameters(), 0.9, 0.0).unwrap();
        let wave: Vec<f32> = (0..3 * 3 * 32 * 32).map(|i| (i as f32 * 0.37).sin() * (i as f32 * 0.011).cos()).collect();
        let half = Tensor::from_slice(&wave).view([3, 3, 32, 32]);
        let images = Tensor::cat(&[&half, &half], 0);
        let settings = StepSettings {
            strategy: Strategy::Seed,
            temperatures: Temperatures::default(),
            precision: Kind::Float,
            learning_rate: 1.0,
            noise: 0,
            running_norm: false,
            pieces,
            clip_norm,
        };
        let target = Teacher::new(network(2)).unwrap().embed(&images).unwrap();
        let loss = distill(&images, &student, &target, &mut queue, &mut optimiser, &settings).unwrap().loss;
        // lr 1 and no weight decay: the change is the gradient.
        let changes = student.parameters().into_iter().zip(before).map(|((_, p), old)| old - p.detach()).collect();
        (loss.double_value(&[]), changes, queue.rows().copy())
    }

    fn norm(tensors: &[Tensor]) -> f64 {
        tensors.iter().map(|t| (t * t).sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt()
    }

    #[test]
    fn pieces_add_up_to_the_batch() {
        let (whole_loss, whole, whole_queue) = after_one_step(1, 0.0);
        // Each piece has the batch norm statistics of the whole batch, since the halves are equal.
        let (loss, pieces, queue) = after_one_step(2, 0.0);
        assert!((loss - whole_loss).abs() < 1e-5, "{loss} {whole_loss}");
        let apart: Vec<_> = whole.iter().zip(&pieces).map(|(a, b)| a - b).collect();
        assert!(norm(&apart) < 1e-3 * norm(&whole), "{} of {}", norm(&apart), norm(&whole));
        assert!((whole_queue - queue).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn clipping_bounds_the_step() {
        let (_, free, _) = after_one_step(1, 0.0);
        let limit = norm(&free) / 4.0;
        let (_, clipped, _) = after_one_step(1, limit);
        assert!((norm(&clipped) / limit - 1.0).abs() < 1e-3, "{} for {limit}", norm(&clipped));
    }
}
