//! The anchor: the distillation loss beside the labels' loss, so that a student forgets nothing while it learns classes.
//!
//! L = L_labels + λ·L_SEED(s, t, D): s the student's embedding of the view, t the teacher's, D a queue of the teacher's
//! embeddings of the labelled images. Without a teacher, the student as it was before is the teacher. Where the student has no
//! projection, its features are the embedding.

use std::sync::Arc;

use tch::{Kind, Tensor};

use crate::config::Config;
use crate::config::to_usize;
use crate::data::{Dataset, Input, Loader, ViewConfig};
use crate::distill::queue::Queue;
use crate::distill::views::upload;
use crate::distill::{Temperatures, seed_loss};
use crate::model::{Mode, Network, Teacher, unit_rows};
use crate::{Error, Result, torch};

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
        input: &Input,
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
        let recipe = ViewConfig::from(*input);
        let mut loader = Loader::frames(Arc::clone(images), *input, 32, to_usize(config.workers)?)?;
        while let Some(batch) = loader.next() {
            let batch = batch?;
            let names = |row: usize| images.title(batch.indices[row]);
            let rows = teacher.embed_named(&upload(&batch.views[0], &recipe, device)?, None, &names)?;
            // A broken image has no row.
            let sound: Vec<i64> = (0..batch.indices.len())
                .filter(|place| !batch.broken.contains(place))
                .map(|place| place as i64)
                .collect();
            if !sound.is_empty() {
                queue.push(&rows.f_index_select(0, &torch::copy_to(&Tensor::f_from_slice(&sound)?, device)?)?)?;
            }
            loader.recycle(batch);
        }
        let temperatures = Temperatures { student: config.temperature_student, teacher: config.temperature_teacher };
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

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::data::Frame;
    use crate::model::{Architecture, Head};

    #[test]
    fn the_pull_has_the_gradient_of_the_loss_written_out() {
        let dataset = Dataset::in_memory();
        for number in 0..5usize {
            let pixels = (0..32 * 32).map(|place| (place * (2 * number + 3) % 251) as u8).collect();
            dataset.push_frame(&number.to_string(), Frame::new(32, 32, 1, pixels).unwrap()).unwrap();
        }
        let (dataset, input) = (Arc::new(dataset), Input { width: 32, height: 32, ..Input::default() });
        let network = |seed| {
            let head = Head::Projection { hidden: 16, dim: 8 };
            Network::new(Architecture::ResNet10, head, seed, Device::Cpu).unwrap()
        };
        let mut config = Config { workers: 1, temperature_teacher: 0.1, ..Config::default() };
        config.finetune.anchor = 3.0;
        let (student, teacher) = (network(1), Arc::new(Teacher::new(network(2)).unwrap()));
        let anchor = Anchor::new(&config, Some(teacher), &student, &dataset, &input).unwrap().unwrap();
        assert_eq!((anchor.queue.capacity(), anchor.queue.len()), (5, 5), "no noise, the images' own rows");

        let images = Tensor::rand([4, 3, 32, 32], (Kind::Float, Device::Cpu));
        let gradients = |loss: Tensor| -> Vec<Tensor> {
            loss.backward();
            let parameters = student.parameters();
            let found = parameters.iter().map(|(_, parameter)| parameter.grad().copy()).collect();
            parameters.into_iter().for_each(|(_, mut parameter)| parameter.zero_grad());
            found
        };
        let features = || student.features(&images, Mode::Eval).unwrap();
        let (pull, value, rows) = anchor.pull(&student, &features(), &images, Mode::Eval).unwrap();
        let found = gradients(pull);

        let (s, d) = (unit_rows(&student.head_forward(features(), Mode::Eval).unwrap()).unwrap(), anchor.queue.rows());
        let logits = |x: &Tensor, temperature: f64| {
            let own = (x * &rows).sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
            Tensor::cat(&[own, x.matmul(&d.tr())], 1) / temperature
        };
        let target = logits(&rows, 0.1).softmax(1, Kind::Float);
        let loss: Tensor = (target * logits(&s, 0.2).log_softmax(1, Kind::Float)).sum(Kind::Float) * (-3.0 / 4.0);
        assert!((loss.double_value(&[]) - value.double_value(&[])).abs() < 1e-4);
        for (a, b) in found.iter().zip(gradients(loss)) {
            let scale = b.abs().max().double_value(&[]).max(1e-6);
            assert!((a - &b).abs().max().double_value(&[]) < 1e-3 * scale);
        }
    }
}
