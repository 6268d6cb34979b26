//! One step of distillation, in the order of the paper:
//!
//! ```text
//! s = student(x)/‖·‖   t = teacher(x)/‖·‖     both see the same view x (B,3,H,W)
//! L = seed_loss(s, t, D)                      over the queue as it was before this batch
//! backward, SGD                               through s only
//! D ← enqueue(t)
//! ```

use tch::{Kind, Tensor};

use super::loss::{Temperatures, seed_loss, unit_rows};
use super::queue::Queue;
use crate::Result;
use crate::model::{Mode, Network, Teacher};
use crate::optim::Sgd;
use crate::torch::Autocast;

/// The numbers that one step needs beside its networks.
#[derive(Debug, Clone, Copy)]
pub struct StepSettings {
    /// τ_S and τ_T.
    pub temperatures: Temperatures,
    /// Number format of both forward passes: float32 or bfloat16. Loss and weights are float32.
    pub precision: Kind,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Key of this step's dropout and stochastic depth.
    pub noise: u64,
}

/// One step on `images` (B,3,H,W), normalised, on the networks' device. Returns the loss, 0-dim, unread: reading it
/// waits for the device.
///
/// On an error before the update the weights are as they were, and no gradient stays behind.
pub fn distill(
    images: &Tensor,
    student: &Network,
    teacher: &Teacher,
    queue: &mut Queue,
    optimiser: &mut Sgd,
    settings: &StepSettings,
) -> Result<Tensor> {
    let result = forward_backward(images, student, teacher, queue, settings);
    let (loss, target) = result.inspect_err(|_| {
        // The first error is the one to tell; a second one here adds nothing.
        let _ = optimiser.drop_gradients();
    })?;
    optimiser.step(settings.learning_rate)?;
    queue.push(&target)?;
    Ok(loss)
}

fn forward_backward(
    images: &Tensor,
    student: &Network,
    teacher: &Teacher,
    queue: &Queue,
    settings: &StepSettings,
) -> Result<(Tensor, Tensor)> {
    let (output, target) = {
        let _autocast = Autocast::enter(images.device(), settings.precision)?;
        let target = teacher.embed(images)?; // (B,C), unit rows
        (student.forward(images, Mode::Train { noise: settings.noise })?, target)
    };
    let embedding = unit_rows(&output.f_to_kind(Kind::Float)?)?; // s, (B,C)
    let target = target.f_to_kind(Kind::Float)?; // t, (B,C)
    let loss = seed_loss(&embedding, &target, queue.rows(), settings.temperatures)?;
    loss.backward(&embedding)?;
    Ok((loss.value, target))
}
