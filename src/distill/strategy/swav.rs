//! SwAV (Caron et al., "Unsupervised learning of visual features by contrasting cluster assignments", NeurIPS 2020): no teacher. From each
//! view of an image the student is to find the [prototypes](Prototypes) of the image's other views.
//!
//! ```text
//! z_v = student(x_v)/‖·‖ (B,C)              V views of each image, the first two of them large
//! q_i = Sinkhorn(z_i·cᵀ/ε)                  i one of the two large views; over the batch and, where it is used, the queue D_i
//! L = mean_i mean_{v≠i} −mean_b Σ_p q_i[b,p] · log softmax(z_v·cᵀ/τ)[b,p]
//! ```
//!
//! Each of the large views has a queue D_i of its own embeddings of earlier batches, so that a small batch is shared out among many
//! prototypes. It is used once it is full, from a set pass over the images on; before that embeddings change too fast to be of use.
//! In the first passes the prototypes get no gradient (Caron et al., 2020, appendix A).

use std::collections::BTreeMap;

use tch::Tensor;

use super::prototypes::{Prototypes, assignment, clustering_loss};
use super::{Learned, Piece, Strategy, part_of};
use crate::distill::batch::{StepBatch, StepSettings};
use crate::distill::queue::{Queue, QueueSnapshot};
use crate::model::Network;
use crate::model::weights::StateDict;
use crate::{Error, Result};

/// The parts of a checkpoint beside that of the prototypes: a queue for each large view.
const QUEUES: [&str; 2] = ["queue_of_first_views", "queue_of_second_views"];

/// The numbers of a run.
#[derive(Debug, Clone, Copy)]
pub struct SwAvSettings {
    /// P.
    pub prototypes: i64,
    /// τ.
    pub temperature: f64,
    /// Small views of each image beside the two large ones.
    pub small: i64,
    /// Rows of each queue; 0: no queue.
    pub queue: i64,
    /// The pass over the images, from 0, from which on queues are used.
    pub queue_epoch: u64,
    /// Passes over the images in which the prototypes get no gradient.
    pub frozen_epochs: u64,
    /// Images that the run learns from, to which the number of prototypes is compared; 0: not known.
    pub images: i64,
    /// What prototypes are drawn from.
    pub seed: u64,
}

/// Prototypes, queues, and the loss over them.
pub struct SwAv {
    settings: SwAvSettings,
    prototypes: Prototypes,
    /// D_i, or none.
    queues: Vec<Queue>,
}

impl SwAv {
    /// For a run of `student`.
    ///
    /// # Errors
    /// `InvalidArgument` without a prototype; `OutOfMemory` or `Torch` from libtorch.
    pub fn new(settings: SwAvSettings, student: &Network) -> Result<Self> {
        let (width, device) = (student.output_dim(), student.device());
        let prototypes = Prototypes::new(settings.prototypes, width, settings.seed, device)?;
        let seeds = [settings.seed, settings.seed.wrapping_add(1)];
        let queues = match settings.queue {
            0 => Vec::new(),
            rows => seeds.map(|seed| Queue::new(rows, width, seed, device)).into_iter().collect::<Result<_>>()?,
        };
        Ok(Self { settings, prototypes, queues })
    }

    /// Views of an image.
    fn views(&self) -> i64 {
        2 + self.settings.small
    }

    /// q (B,P) of the rows `own` (B,C) of large view `number`.
    fn assigned(&self, number: usize, own: &Tensor, epoch: Option<u64>) -> Result<Tensor> {
        let due = epoch.is_none_or(|epoch| epoch >= self.settings.queue_epoch);
        let prototypes = self.prototypes.rows().f_detach()?;
        match self.queues.get(number) {
            Some(queue) if due && queue.len() == queue.capacity() => assignment(own, queue.rows(), &prototypes),
            _ => assignment(own, &own.f_narrow(0, 0, 0)?, &prototypes),
        }
    }
}

impl Strategy for SwAv {
    fn wants_second_views(&self) -> bool {
        true
    }

    fn joins_views(&self) -> bool {
        true
    }

    /// Nothing; a batch that cannot be shared out is refused before the student has seen it.
    fn goal(&self, batch: &StepBatch<'_>, _queue: &Queue, _settings: &StepSettings) -> Result<Vec<Tensor>> {
        let found = 1 + i64::from(batch.second.is_some()) + batch.small.len() as i64;
        if found != self.views() || batch.second.is_none() {
            return Err(Error::invalid(format!(
                "swav was made for {} views of each image, found {found}",
                self.views()
            )));
        }
        match batch.views.size()[0] {
            0 | 1 => Err(Error::invalid(
                "swav shares its prototypes out among two images at least, the batch has one: raise batch_size",
            )),
            _ => Ok(Vec::new()),
        }
    }

    fn enqueued(&self, _batch: &StepBatch<'_>, _goal: &[Tensor]) -> Option<Tensor> {
        None
    }

    fn loss(&self, piece: &Piece<'_>) -> Result<Learned> {
        let rows = piece.embedding.f_detach()?;
        let images = rows.size()[0] / self.views();
        let of_view =
            |number: usize| self.assigned(number, &rows.f_narrow(0, number as i64 * images, images)?, piece.epoch);
        let assigned = [of_view(0)?, of_view(1)?];
        let mut learned = swapped_loss(piece.embedding, &assigned, self.prototypes.rows(), self.settings.temperature)?;
        if piece.epoch.is_some_and(|epoch| epoch < self.settings.frozen_epochs) {
            learned.gradients.truncate(1); // that of the student
        }
        Ok(learned)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        self.prototypes.parameters()
    }

    /// The batch enters the queues after the loss was taken over them.
    fn updated(&mut self, _student: &Network, _goal: &[Tensor], embedding: &Tensor) -> Result<()> {
        self.prototypes.normalise()?;
        let images = embedding.size()[0] / self.views();
        for (queue, number) in self.queues.iter_mut().zip(0i64..) {
            queue.push(&embedding.f_narrow(0, number * images, images)?)?;
        }
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        let SwAvSettings { prototypes, images, .. } = self.settings;
        if images == 0 || prototypes <= images {
            return Vec::new();
        }
        vec![format!(
            "swav.prototypes is {prototypes}, but the run learns from {images} images: with more prototypes than images no two images \
             need share one; set it to {} at most, or to 0",
            (images / 2).max(1)
        )]
    }

    fn parts(&self) -> Result<BTreeMap<String, StateDict>> {
        let mut parts = self.prototypes.parts()?;
        for (name, queue) in QUEUES.into_iter().zip(&self.queues) {
            parts.insert(name.to_owned(), queue.snapshot()?.to_state()?);
        }
        Ok(parts)
    }

    fn restore(&mut self, parts: &BTreeMap<String, StateDict>) -> Result<()> {
        let named = QUEUES.into_iter().zip(&self.queues);
        let found = named.map(|(name, _)| QueueSnapshot::from_state(part_of(parts, name)?));
        let found = found.collect::<Result<Vec<_>>>()?;
        let before = self.queues.iter().map(Queue::snapshot).collect::<Result<Vec<_>>>()?;
        let mut put = |snapshots: &[QueueSnapshot]| {
            self.queues.iter_mut().zip(snapshots).try_for_each(|(queue, snapshot)| queue.restore(snapshot))
        };
        let restored = put(&found);
        if let Err(error) = restored.and_then(|()| self.prototypes.restore(parts)) {
            put(&before)?;
            return Err(error);
        }
        Ok(())
    }
}

/// Loss and gradients for unit rows `student` (V·B,C), those of the first view of all B images, then of the second and so on, and
/// `prototypes` (P,C), within autograd or not; `assigned` q (B,P) of each of the first two views. All float32 or all float64 on one device.
///
/// # Errors
/// `InvalidArgument` for other shapes or formats; `OutOfMemory` or `Torch` from libtorch.
pub fn swapped_loss(
    student: &Tensor,
    assigned: &[Tensor; 2],
    prototypes: &Tensor,
    temperature: f64,
) -> Result<Learned> {
    let _no_grad = tch::no_grad_guard();
    let [first, second] = assigned;
    let (rows, images) = (student.size().first().copied().unwrap_or(0), first.size().first().copied().unwrap_or(0));
    if images < 1 || rows < 2 * images || rows % images != 0 {
        return Err(Error::invalid(format!(
            "swav takes the rows of two views or more of each of {images} images, found {rows} rows"
        )));
    }
    // Of 2·(V − 1) pairs of an assignment and another view, in a mean over V·B rows.
    let views = rows / images;
    let weight = views as f64 / (2 * (views - 1)) as f64;
    let (of_first, of_second) = (second.f_mul_scalar(weight)?, first.f_mul_scalar(weight)?);
    let of_others = of_first.f_add(&of_second)?.f_repeat([views - 2, 1])?;
    clustering_loss(student, &Tensor::f_cat(&[of_first, of_second, of_others], 0)?, prototypes, temperature)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::ErrorKind;
    use crate::distill::loss::tests::random;
    use crate::distill::strategy::prototypes::tests::{apart, published, unit};
    use crate::distill::strategy::tests::SETTINGS;
    use crate::model::{Architecture, Head, unit_rows};

    const TEMPERATURE: f64 = 0.1;
    const OWN: SwAvSettings = SwAvSettings {
        prototypes: 5,
        temperature: TEMPERATURE,
        small: 2,
        queue: 6,
        queue_epoch: 3,
        frozen_epochs: 1,
        images: 100,
        seed: 4,
    };

    fn student() -> Network {
        Network::new(Architecture::ResNet10, Head::Projection { hidden: 8, dim: 16 }, 1, Device::Cpu).unwrap()
    }

    fn strategy(settings: SwAvSettings) -> SwAv {
        SwAv::new(settings, &student()).unwrap()
    }

    /// The loop over `crops_for_assign` of SwAV's published main_swav.py, word for word, for one process: `output` (V·B,P) are the scores,
    /// `queue` the embeddings of each large view, (n,C), n may be 0.
    fn published_loss(output: &Tensor, queue: &[Tensor; 2], prototypes: &Tensor, views: i64) -> Tensor {
        let bs = output.size()[0] / views;
        let mut loss = Tensor::from(0.0);
        for crop_id in 0..2 {
            let q = tch::no_grad(|| {
                let mut out = output.narrow(0, bs * crop_id, bs).detach();
                if queue[crop_id as usize].size()[0] > 0 {
                    out = Tensor::cat(&[queue[crop_id as usize].mm(&prototypes.tr()), out], 0);
                }
                let q = published(&out, 3);
                q.narrow(0, q.size()[0] - bs, bs)
            });
            let mut subloss = Tensor::from(0.0);
            for v in (0..views).filter(|&v| v != crop_id) {
                let x = output.narrow(0, bs * v, bs) / TEMPERATURE;
                subloss -=
                    (&q * x.log_softmax(1, None::<Kind>)).sum_dim_intlist([1i64].as_slice(), false, None).mean(None);
            }
            loss += subloss / (views - 1) as f64;
        }
        loss / 2.0
    }

    #[test]
    fn it_is_the_published_loss_with_the_gradients_of_autograd_in_float64() {
        // Two large views alone, as many small ones as published, with a queue and without, and more prototypes than rows.
        for (images, small, more, count) in [(6, 0, 0, 5), (5, 6, 30, 7), (2, 1, 3, 40), (1, 2, 9, 4)] {
            let views = 2 + small;
            let raw = random(images * views, 1).set_requires_grad(true);
            let c = unit(count, 2).set_requires_grad(true);
            let queue = [3, 4].map(|seed| if more > 0 { unit(more, seed) } else { random(0, seed) });
            let output = unit_rows(&raw).unwrap().matmul(&c.tr());
            let wanted = published_loss(&output, &queue, &c, views);
            wanted.backward();
            for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 5e-5)] {
                let leaf = |tensor: &Tensor| tensor.detach().to_kind(kind).copy().set_requires_grad(true);
                let (own, own_c) = (leaf(&raw), leaf(&c));
                let z = unit_rows(&own).unwrap();
                let q = [0, 1].map(|view: i64| {
                    let rows = z.detach().narrow(0, view * images, images);
                    assignment(&rows, &queue[view as usize].to_kind(kind), &own_c.detach()).unwrap()
                });
                let found = swapped_loss(&z, &q, &own_c, TEMPERATURE).unwrap();
                found.backward().unwrap();
                let what = format!("{images} images, {small} small views, queue of {more}, {kind:?}");
                assert!(apart(&found.value, &wanted) < tolerance, "{what}: {}", apart(&found.value, &wanted));
                for (own, exact) in [(own.grad(), raw.grad()), (own_c.grad(), c.grad())] {
                    assert!(apart(&own, &exact) < tolerance, "{what}: {}", apart(&own, &exact));
                    assert!(exact.abs().max().double_value(&[]) > 1e-3);
                }
            }
        }
    }

    fn piece<'a>(embedding: &'a Tensor, queue: &'a Tensor, epoch: Option<u64>) -> Piece<'a> {
        Piece { features: embedding, embedding, goal: &[], queue, epoch }
    }

    #[test]
    fn the_queue_is_used_when_it_is_full_and_due_and_prototypes_wait_for_their_epoch() {
        let mut own = strategy(OWN);
        let rows = unit(4 * 3, 5).to_kind(Kind::Float);
        let none = rows.narrow(0, 0, 0);
        let value = |own: &SwAv, epoch| own.loss(&piece(&rows, &none, epoch)).unwrap().value.double_value(&[]);
        let alone = value(&own, Some(0));
        let earlier = unit(4 * 3, 6).to_kind(Kind::Float);
        own.updated(&student(), &[], &earlier).unwrap();
        assert_eq!(value(&own, Some(9)), alone, "three of six rows");
        own.updated(&student(), &[], &earlier).unwrap();
        // Normalised anew, prototypes may differ in their last bits.
        assert!((value(&own, Some(2)) - alone).abs() < 1e-5, "too early");
        assert!((value(&own, Some(3)) - alone).abs() > 1e-4);
        assert_eq!(value(&own, None), value(&own, Some(3)), "batches of no data set have no epochs");
        // Each queue has the rows of its own large view.
        for (number, queue) in own.queues.iter().enumerate() {
            let wanted = earlier.narrow(0, 3 * number as i64, 3).repeat([2, 1]);
            assert!(apart(queue.rows(), &wanted) == 0.0);
        }
        let gradients = |epoch| own.loss(&piece(&rows, &none, epoch)).unwrap().gradients.len();
        assert_eq!((gradients(Some(0)), gradients(Some(1)), gradients(None)), (1, 2, 2));
        // Without a queue there is none, and no parts of it.
        let mut without = strategy(SwAvSettings { queue: 0, ..OWN });
        without.updated(&student(), &[], &earlier).unwrap();
        assert!((value(&without, Some(9)) - alone).abs() < 1e-5 && without.parts().unwrap().len() == 1);
        // One shorter than a batch keeps the last rows.
        let mut short = strategy(SwAvSettings { queue: 2, ..OWN });
        short.updated(&student(), &[], &earlier).unwrap();
        assert!(value(&short, None).is_finite() && (value(&short, None) - alone).abs() > 1e-4);
    }

    #[test]
    fn equal_images_are_a_guess_and_what_does_not_fit_is_refused() {
        let own = strategy(OWN);
        let equal = unit(1, 5).to_kind(Kind::Float).expand([4 * 3, 16], false).contiguous();
        let found = own.loss(&piece(&equal, &equal, Some(2))).unwrap();
        assert!(found.gradients.iter().all(|(_, g)| g.isfinite().all().int64_value(&[]) == 1));
        let log_p = (equal.narrow(0, 0, 1).matmul(&own.prototypes.rows().detach().tr()) / TEMPERATURE)
            .log_softmax(1, None::<Kind>);
        assert!((found.value.double_value(&[]) + log_p.mean(None).double_value(&[])).abs() < 1e-5, "a uniform q");

        let views = Tensor::ones([2, 3, 8, 8], (Kind::Float, Device::Cpu));
        let small = [views.shallow_clone(), views.shallow_clone()];
        let queue = Queue::new(3, 16, 3, Device::Cpu).unwrap();
        let whole =
            StepBatch { views: &views, target: None, images: None, second: Some(&views), small: &small, patches: None };
        assert!(own.goal(&whole, &queue, &SETTINGS).unwrap().is_empty());
        let one = views.narrow(0, 0, 1);
        let cases = [
            (StepBatch { views: &one, ..whole }, "two images"),
            (StepBatch { second: None, ..whole }, "found 3"),
            (StepBatch { small: &small[..1], ..whole }, "found 3"),
        ];
        for (batch, words) in cases {
            let error = own.goal(&batch, &queue, &SETTINGS).unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains(words), "{error}");
        }
        let (rows, c) = (unit(6, 1), unit(4, 2));
        let q = |images: i64| [random(images, 3), random(images, 4)];
        for images in [0, 4, 6] {
            assert!(swapped_loss(&rows, &q(images), &c, TEMPERATURE).is_err(), "{images}");
        }
        assert!(SwAv::new(SwAvSettings { prototypes: 0, ..OWN }, &student()).is_err());
        let many = strategy(SwAvSettings { prototypes: 101, ..OWN });
        assert!(many.warnings()[0].contains("101") && own.warnings().is_empty());
        assert!(strategy(SwAvSettings { images: 0, ..OWN }).warnings().is_empty());
    }

    #[test]
    fn the_state_comes_back_and_what_does_not_fit_changes_nothing() {
        let mut first = strategy(OWN);
        first.updated(&student(), &[], &unit(4 * 3, 6).to_kind(Kind::Float)).unwrap();
        let parts = first.parts().unwrap();
        let mut second = strategy(SwAvSettings { seed: 9, ..OWN });
        let before = second.parts().unwrap();
        let without = |name: &str| {
            let mut parts = parts.clone();
            parts.remove(name);
            parts
        };
        let longer = strategy(SwAvSettings { queue: 7, ..OWN }).parts().unwrap();
        let wrong = [without("prototypes"), without(QUEUES[0]), without(QUEUES[1]), longer, BTreeMap::new()];
        for parts in wrong {
            assert_eq!(second.restore(&parts).unwrap_err().kind(), ErrorKind::Mismatch);
            assert!(second.parts().unwrap() == before);
        }
        second.restore(&parts).unwrap();
        assert!(second.parts().unwrap() == parts);
        assert_eq!(second.queues[1].len(), 3);
    }
}
