//! One step of distillation, in the order of the paper:
//!
//! ```text
//! s = student(x)/‖·‖   t = teacher(x)/‖·‖     both see the same view x (B,3,H,W)
//! L = seed_loss(s, t, D)                      over the queue as it was before this batch
//! backward, SGD                               through s only
//! D ← enqueue(t)
//! ```

use tch::{Kind, Tensor};

use super::loss::{Temperatures, seed_loss};
use super::queue::Queue;
use crate::Result;
use crate::finite::Names;
use crate::model::{Mode, Network, Teacher, unit_rows};
use crate::optim::Sgd;
use crate::torch::{Autocast, caught};

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
    /// Pieces that the batch goes through the networks in, one after another (gradient accumulation). The gradient is
    /// that of the whole batch, but for batch norm, which sees a piece at a time.
    pub pieces: u64,
    /// Highest L2 norm of the gradient over all parameters; 0: no limit.
    pub clip_norm: f64,
    /// Where the views are grey, how the teacher's red, green and blue are made of them: x·scale + shift.
    pub colours: Option<[(f64, f64); 3]>,
}

/// Where a batch's targets t come from.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    /// The teacher sees the images, which errors call by these names.
    Embed(&'a Teacher, Names<'a>),
    /// They are there already: (B,C), unit rows, on the images' device.
    Given(&'a Tensor),
}

impl<'a> From<&'a Teacher> for Target<'a> {
    fn from(teacher: &'a Teacher) -> Self {
        Target::Embed(teacher, &|row| format!("image {row} of the step"))
    }
}

/// One step on `images` (B,3,H,W), or (B,1,H,W) of a student with one channel, normalised, on the networks' device. Returns
/// the loss, 0-dim, unread: reading it waits for the device.
///
/// On an error before the update the weights are as they were, and no gradient stays behind.
pub fn distill<'a>(
    images: &Tensor,
    student: &Network,
    target: impl Into<Target<'a>>,
    queue: &mut Queue,
    optimiser: &mut Sgd,
    settings: &StepSettings,
) -> Result<Tensor> {
    Ok(distill_step(images, student, target, queue, optimiser, settings)?.loss)
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

/// As [`distill`], with the embeddings that the loss came of.
///
/// # Errors
/// Those of `distill`.
pub fn distill_step<'a>(
    images: &Tensor,
    student: &Network,
    target: impl Into<Target<'a>>,
    queue: &mut Queue,
    optimiser: &mut Sgd,
    settings: &StepSettings,
) -> Result<Step> {
    let result = caught(|| {
        let out = accumulate(images, student, target.into(), queue, settings)?;
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

/// What the teacher sees of the student's `images`: the same, or of grey ones (B,1,H,W) the colours (B,3,H,W) that the grey
/// frame has when it is normalised as a colour one.
pub fn for_teacher(images: &Tensor, colours: Option<[(f64, f64); 3]>) -> Result<Tensor> {
    let Some(colours) = colours else { return Ok(images.shallow_clone()) };
    let row = |values: [f64; 3]| {
        Tensor::f_from_slice(&values.map(|value| value as f32))?.f_to_device_(images.device(), Kind::Float, true, false)
    };
    let pixels = images.f_permute([0, 2, 3, 1])?; // (B,H,W,1)
    let pixels = pixels.f_mul(&row(colours.map(|(scale, _)| scale))?)?.f_add(&row(colours.map(|(_, shift)| shift))?)?;
    Ok(pixels.f_permute([0, 3, 1, 2])?) // channels-last
}

/// Adds up the gradients of all pieces; gives the batch's loss and rows. Every piece sees the same queue.
fn accumulate(
    images: &Tensor,
    student: &Network,
    target: Target<'_>,
    queue: &Queue,
    settings: &StepSettings,
) -> Result<Step> {
    let batch = images.size()[0];
    let length = (batch as u64).div_ceil(settings.pieces.max(1)).max(1) as i64;
    if length >= batch {
        return forward_backward(images, student, target, queue, settings, 1.0);
    }
    let (mut losses, mut embeddings, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for (number, start) in (0..batch).step_by(length as usize).enumerate() {
        let piece = images.f_narrow(0, start, length.min(batch - start))?;
        let own; // this piece's rows of given targets
        let shifted: Box<dyn Fn(usize) -> String>;
        let target = match target {
            Target::Given(rows) => {
                own = rows.f_narrow(0, start, length.min(batch - start))?;
                Target::Given(&own)
            }
            Target::Embed(teacher, names) => {
                shifted = Box::new(move |row| names(start as usize + row));
                Target::Embed(teacher, &*shifted)
            }
        };
        let share = piece.size()[0] as f64 / batch as f64;
        let noise = settings.noise.wrapping_add((number as u64).wrapping_mul(0xd1b5_4a32_d192_ed03));
        let step = forward_backward(&piece, student, target, queue, &StepSettings { noise, ..*settings }, share)?;
        losses.push(step.loss);
        embeddings.push(step.embedding);
        targets.push(step.target);
    }
    Ok(Step {
        loss: Tensor::f_stack(&losses, 0)?.f_sum(None)?,
        embedding: Tensor::f_cat(&embeddings, 0)?,
        target: Tensor::f_cat(&targets, 0)?,
    })
}

/// One forward and backward pass; loss and gradient are multiplied by `share`.
fn forward_backward(
    images: &Tensor,
    student: &Network,
    target: Target<'_>,
    queue: &Queue,
    settings: &StepSettings,
    share: f64,
) -> Result<Step> {
    let target = match target {
        Target::Embed(teacher, names) => {
            let images = for_teacher(images, settings.colours)?;
            teacher.embed_named(&images, Some(settings.precision), names)? // t, (B,C), unit rows
        }
        Target::Given(rows) => rows.shallow_clone(),
    };
    let output = {
        let _autocast = Autocast::enter(images.device(), settings.precision)?;
        student.forward(images, Mode::Train { noise: settings.noise })?
    };
    let embedding = unit_rows(&output.f_to_kind(Kind::Float)?)?; // s, (B,C)
    let mut loss = seed_loss(&embedding, &target, queue.rows(), settings.temperatures)?;
    if share != 1.0 {
        loss.value = loss.value.f_mul_scalar(share)?;
        loss.gradient = loss.gradient.f_mul_scalar(share)?;
    }
    loss.backward(&embedding)?;
    Ok(Step { loss: loss.value, embedding: embedding.f_detach()?, target })
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::model::{Architecture, Head};

    /// The student's parameters after one step on a batch whose second half repeats the first.
    fn after_one_step(pieces: u64, clip_norm: f64) -> (f64, Vec<Tensor>, Tensor) {
        let head = Head::Projection { hidden: 16, dim: 8 };
        let network = |seed| Network::new(Architecture::ResNet18, head, seed, Device::Cpu).unwrap();
        let (student, teacher) = (network(1), Teacher::new(network(2)).unwrap());
        let mut queue = Queue::new(32, 8, 3, Device::Cpu).unwrap();
        let before: Vec<_> = student.parameters().into_iter().map(|(_, p)| p.detach().copy()).collect();
        let mut optimiser = Sgd::new(student.parameters(), 0.9, 0.0).unwrap();
        let wave: Vec<f32> = (0..3 * 3 * 32 * 32).map(|i| (i as f32 * 0.37).sin() * (i as f32 * 0.011).cos()).collect();
        let half = Tensor::from_slice(&wave).view([3, 3, 32, 32]);
        let images = Tensor::cat(&[&half, &half], 0);
        let settings = StepSettings {
            temperatures: Temperatures::default(),
            precision: Kind::Float,
            learning_rate: 1.0,
            noise: 0,
            pieces,
            clip_norm,
            colours: None,
        };
        let loss = distill(&images, &student, &teacher, &mut queue, &mut optimiser, &settings).unwrap();
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
