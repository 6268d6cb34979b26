//! One step of distillation, in the order of the paper:
//!
//! ```text
//! s = student(x)/‖·‖   t = teacher(x)/‖·‖     both see the same view x (B,3,H,W); t comes first (`Targets`)
//! L = loss(s, t, D)                           over the queue as it was before this batch (`Strategy`)
//! backward, SGD                               through s, and what the strategy trains beside the student
//! D ← enqueue(t)
//! ```
//!
//! With small patches (Fang et al., 2021, §4.4) each image has small views beside it, which teacher and student see alike. They have a queue
//! of their own, into which only the first of each image goes, and their losses are added: L + mean_j L_j.
//!
//! Where several processes make one run, each has a share of the batch. Their gradients and losses are averaged before the update, and the
//! rows of all of them go into the queue, in their order ([`Together`]).

use tch::{Kind, Tensor};

use super::batch::{StepBatch, StepSettings};
use super::patches::PatchTerm;
use super::queue::Queue;
use super::strategy::{Piece, Strategy};
use crate::model::{Mode, Network, unit_rows};
use crate::optim::Sgd;
use crate::torch::{Autocast, ExactFloat32, caught};
use crate::{Error, Result};

/// The small views of a batch's images, which have a loss of their own each.
pub struct Small<'a> {
    /// One for each small view of an image, of the same images in the same order.
    pub views: Vec<StepBatch<'a>>,
    /// Theirs.
    pub queue: &'a mut Queue,
}

/// What a step computed, all of it unread and without a gradient.
#[derive(Debug)]
pub struct Step {
    /// L, 0-dim.
    pub loss: Tensor,
    /// s, (B,C), as it was before the update; of joined views (V·B,C).
    pub embedding: Tensor,
    /// What goes into the queue, (B,C): t, or what stands for it; none where there is no such thing.
    pub target: Option<Tensor>,
}

/// What the processes that make one step do together.
pub trait Together {
    /// Replaces the gradients of `parameters` and the loss by their means over all processes, and each of the rows (b,C) by those of all
    /// processes, (B,C). Every process of a step comes here, also one whose share has failed.
    ///
    /// # Errors
    /// Its own, where `own` is one, or another process's; nothing is updated then.
    fn exchange(&self, parameters: &[Tensor], own: Result<Exchanged>) -> Result<Exchanged>;
}

/// What [`Together::exchange`] makes of one process's all processes'.
#[derive(Debug)]
pub struct Exchanged {
    /// L, 0-dim.
    pub loss: Tensor,
    /// Of each queue that takes any, what goes into it.
    pub rows: Vec<Option<Tensor>>,
}

/// One step on `batch` and, where there are some, on its images' `small` views. Reading the loss waits for the device.
///
/// `together`: with the other processes of the run, where it has some.
///
/// On an error before the update the weights are as they were, and no gradient stays behind.
///
/// # Errors
/// Those of the strategy and of `together`; `OutOfMemory` or `Torch` from libtorch.
#[allow(clippy::too_many_arguments)] // a step is what all of these do
pub fn distill(
    batch: &StepBatch<'_>,
    small: Option<Small<'_>>,
    student: &Network,
    queue: &mut Queue,
    optimiser: &mut Sgd,
    strategy: &mut dyn Strategy,
    settings: &StepSettings,
    together: Option<&dyn Together>,
) -> Result<Step> {
    let result = caught(|| {
        let of_small = small.as_ref().and_then(|small| small.views.first()).and_then(|first| first.target);
        let (share, own) = match caught(|| gradients(batch, small.as_ref(), student, queue, strategy, settings)) {
            Ok((out, goal)) => {
                let rows = vec![out.target.as_ref().map(Tensor::shallow_clone), of_small.map(Tensor::shallow_clone)];
                let own = Exchanged { loss: out.loss.shallow_clone(), rows };
                (Some((out, goal)), Ok(own))
            }
            Err(error) => (None, Err(error)),
        };
        let Exchanged { loss, rows } = match together {
            Some(together) => together.exchange(optimiser.parameters(), own)?,
            None => own?,
        };
        let (mut out, goal) = share.ok_or_else(|| Error::internal("a step", "the share of a process is missing"))?;
        out.loss = loss;
        if settings.clip_norm > 0.0 {
            let _norm = optimiser.clip_gradients(settings.clip_norm)?; // unread, so that nothing waits
        }
        optimiser.step(settings.learning_rate)?;
        strategy.updated(student, &goal, &out.embedding)?;
        Ok((out, rows))
    });
    let (step, rows) = result.inspect_err(|_| {
        // The next backward pass would add to what stays behind. The first error is the one to tell; a second one here
        // adds nothing.
        let _ = optimiser.drop_gradients();
    })?;
    let queues = std::iter::once(queue).chain(small.map(|small| small.queue));
    for (queue, rows) in queues.zip(rows) {
        if let Some(rows) = rows {
            queue.push(&rows)?;
        }
    }
    Ok(step)
}

/// The gradients of all views of a batch, added up, with the loss and the goal of the large ones.
fn gradients(
    batch: &StepBatch<'_>,
    small: Option<&Small<'_>>,
    student: &Network,
    queue: &Queue,
    strategy: &dyn Strategy,
    settings: &StepSettings,
) -> Result<(Step, Vec<Tensor>)> {
    let (mut out, goal) = accumulate(batch, student, queue, strategy, settings, 1.0)?;
    if let Some(small) = small {
        let weight = 1.0 / small.views.len() as f64;
        for (number, view) in (1u64..).zip(&small.views) {
            let noise = settings.noise.wrapping_add(number.wrapping_mul(0x8cb9_2ba7_2f3d_8dd7));
            let settings = StepSettings { noise, ..*settings };
            let (step, _) = accumulate(view, student, small.queue, strategy, &settings, weight)?;
            out.loss = out.loss.f_add(&step.loss)?;
        }
    }
    Ok((out, goal))
}

/// Adds up the gradients of all pieces, times `weight`; gives the batch's loss, times that, and rows, and what they were to learn. Every
/// piece sees the same queue and its rows of the goal.
fn accumulate(
    batch: &StepBatch<'_>,
    student: &Network,
    queue: &Queue,
    strategy: &dyn Strategy,
    settings: &StepSettings,
    weight: f64,
) -> Result<(Step, Vec<Tensor>)> {
    let goal = {
        let _no_grad = tch::no_grad_guard();
        strategy.goal(batch, queue, settings)?
    };
    let target = strategy.enqueued(batch, &goal);
    if strategy.joins_views() {
        let views = batch.by_size()?;
        let shown = Shown { views: &views, goal: &goal, patches: None };
        let (loss, embedding) = forward_backward(&shown, student, queue, strategy, settings, weight)?;
        return Ok((Step { loss, embedding, target }, goal));
    }
    let views = batch.views;
    let rows = views.size()[0];
    let pieces = settings.pieces.max(strategy.pieces(rows));
    let length = (rows as u64).div_ceil(pieces.max(1)).max(1) as i64;
    if length >= rows {
        let shown = Shown { views: std::slice::from_ref(views), goal: &goal, patches: batch.patches };
        let (loss, embedding) = forward_backward(&shown, student, queue, strategy, settings, weight)?;
        return Ok((Step { loss, embedding, target }, goal));
    }
    let (mut losses, mut embeddings) = (Vec::new(), Vec::new());
    for (number, start) in (0..rows).step_by(length as usize).enumerate() {
        let of_piece = |rows_of: &Tensor| rows_of.f_narrow(0, start, length.min(rows - start));
        let views = [of_piece(views)?];
        let of_goal = goal.iter().map(of_piece).collect::<std::result::Result<Vec<_>, _>>()?;
        let share = weight * views[0].size()[0] as f64 / rows as f64;
        let noise = settings.noise.wrapping_add((number as u64).wrapping_mul(0xd1b5_4a32_d192_ed03));
        let settings = StepSettings { noise, ..*settings };
        let of_map = batch.patches.map(|patches| of_piece(patches.teacher)).transpose()?;
        let patches = batch.patches.zip(of_map.as_ref()).map(|(patches, teacher)| PatchTerm { teacher, ..patches });
        let shown = Shown { views: &views, goal: &of_goal, patches };
        let (loss, embedding) = forward_backward(&shown, student, queue, strategy, &settings, share)?;
        losses.push(loss);
        embeddings.push(embedding);
    }
    let (loss, embedding) = (Tensor::f_stack(&losses, 0)?.f_sum(None)?, Tensor::f_cat(&embeddings, 0)?);
    Ok((Step { loss, embedding, target }, goal))
}

/// What goes through the student at once, and what it is to learn.
struct Shown<'a> {
    /// One tensor for each size.
    views: &'a [Tensor],
    /// Their rows of [`Strategy::goal`].
    goal: &'a [Tensor],
    /// Of the teacher's map, where there is one size.
    patches: Option<PatchTerm<'a>>,
}

/// One forward and backward pass of what is `shown`; loss and gradient are multiplied by `share`. Gives the loss and s (b,C), without a
/// gradient.
fn forward_backward(
    shown: &Shown<'_>,
    student: &Network,
    queue: &Queue,
    strategy: &dyn Strategy,
    settings: &StepSettings,
    share: f64,
) -> Result<(Tensor, Tensor)> {
    let mode = |number: u64| match settings.running_norm {
        true => Mode::Eval,
        false => Mode::Train { noise: settings.noise.wrapping_add(number.wrapping_mul(0x9e6c_63d0_876a_3f35)) },
    };
    let mut map = None;
    let (features, output) = {
        let _autocast = Autocast::enter(student.device(), settings.precision)?;
        let of_sizes = shown.views.iter().zip(0u64..).map(|(views, number)| match shown.patches {
            Some(patches) => {
                let (features, found) = student.features_with_map(views, patches.map, mode(number))?;
                map = Some(found);
                Ok(features)
            }
            None => student.features(views, mode(number)),
        });
        let mut of_sizes = of_sizes.collect::<Result<Vec<_>>>()?;
        let features = match of_sizes.len() {
            1 => of_sizes.remove(0),
            _ => Tensor::f_cat(&of_sizes, 0)?,
        };
        let output = student.head_forward(features.shallow_clone(), mode(0))?;
        (features, output)
    };
    let embedding = unit_rows(&output.f_to_kind(Kind::Float)?)?; // s, (b,C)
    let piece = Piece {
        features: &features,
        embedding: &embedding,
        goal: shown.goal,
        queue: queue.rows(),
        epoch: settings.epoch,
    };
    let mut learned = {
        let _exact = ExactFloat32::enter()?;
        let learned = strategy.loss(&piece)?;
        match shown.patches.zip(map) {
            Some((patches, map)) => learned.with_patches(patches, &map)?,
            None => learned,
        }
    };
    if share != 1.0 {
        learned = learned.times(share)?;
    }
    learned.backward()?;
    Ok((learned.value, embedding.f_detach()?))
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::distill::Temperatures;
    use crate::distill::strategy::Seed;
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
            precision: Kind::Float,
            learning_rate: 1.0,
            noise: 0,
            running_norm: false,
            pieces,
            clip_norm,
            epoch: None,
        };
        let target = Teacher::new(network(2)).unwrap().embed(&images).unwrap();
        let batch =
            StepBatch { views: &images, target: Some(&target), images: None, second: None, small: &[], patches: None };
        let mut seed = Seed { temperatures: Temperatures::default() };
        let step = distill(&batch, None, &student, &mut queue, &mut optimiser, &mut seed, &settings, None);
        let loss = step.unwrap().loss;
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
