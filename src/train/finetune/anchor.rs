//! The anchor: the distillation loss beside the labels' loss, so that a student forgets nothing while it learns classes.
//!
//! L = L_labels + λ·L_SEED(s, t, D): s the student's embedding of the view, t the teacher's, D a queue of the teacher's
//! embeddings of the labelled images. Without a teacher, the student as it was before is the teacher. Where the student has no
//! projection, its features are the embedding.

use std::sync::Arc;

use tch::{Kind, Tensor};

use crate::config::Config;
use crate::data::{Dataset, Loader, ViewConfig};
use crate::distill::queue::Queue;
use crate::distill::{Temperatures, seed_loss};
use crate::model::{Mode, Network, Teacher, unit_rows};
use crate::train::distill::{to_usize, upload};
use crate::{Error, Result};

pub(super) struct Anchor {
    strength: f64,
    temperatures: Temperatures,
    teacher: Arc<Teacher>,
    pub queue: Queue,
}

impl Anchor {
    /// The anchor that `config` asks for; the queue is filled from the middles of `images`.
    pub fn new(
        config: &Config,
        teacher: Option<Arc<Teacher>>,
        network: &Network,
        images: &Arc<Dataset>,
        view: &ViewConfig,
    ) -> Result<Option<Anchor>> {
        let strength = config.finetune.anchor;
        if strength == 0.0 {
            return Ok(None);
        }
        let teacher = match teacher {
            Some(teacher) => teacher,
            None => Arc::new(Teacher::new(network.deep_copy()?)?),
        };
        let (device, width) = (network.device(), teacher.embedding_dim());
        if width != network.output_dim() {
            return Err(Error::mismatch(format!(
                "the teacher's embedding has {width} numbers, the student's {}: anchor to the teacher that the student was \
                 distilled from, or to none",
                network.output_dim()
            )));
        }
        if teacher.device() != device {
            return Err(Error::mismatch(format!(
                "the teacher is on {:?}, but the run on {device:?}; make it with the same \"device\"",
                teacher.device()
            )));
        }
        // Noise rows would only be in the way of the few images that there are.
        let capacity = config.queue_capacity.clamp(1, images.len().max(1) as u64);
        let mut queue = Queue::new(capacity as i64, width, config.seed, device)?;
        let mut loader = Loader::centred(Arc::clone(images), view.clone(), 32, to_usize(config.workers)?)?;
        while let Some(batch) = loader.next() {
            let batch = batch?;
            queue.push(&teacher.embed(&upload(&batch, view, device)?)?)?;
            loader.recycle(batch);
        }
        let temperatures =
            Temperatures { student: config.temperature_student, teacher: config.temperature_teacher };
        Ok(Some(Anchor { strength, temperatures, teacher, queue }))
    }

    /// What to add to the loss before backward, its value for people, and the teacher's rows for the queue, of `features`
    /// (B, d) that `network` made of `images`.
    pub fn pull(
        &self,
        network: &Network,
        features: &Tensor,
        images: &Tensor,
        mode: Mode,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let target = self.teacher.embed(images)?; // t, (B, C)
        let output = network.head_forward(features.shallow_clone(), mode)?;
        let embedding = unit_rows(&output.f_to_kind(Kind::Float)?)?; // s, (B, C)
        let loss = seed_loss(&embedding, &target, self.queue.rows(), self.temperatures)?;
        // Its gradient is that of Σ s·g with g constant.
        let pull = embedding.f_mul(&loss.gradient)?.f_sum(Kind::Float)?.f_mul_scalar(self.strength)?;
        Ok((pull, loss.value.f_mul_scalar(self.strength)?, target))
    }

    /// What a checkpoint must agree in.
    pub fn identity(&self) -> Result<String> {
        self.teacher.identity()
    }
}
