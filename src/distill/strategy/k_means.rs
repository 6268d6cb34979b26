//! Clusters of the teacher as labels (DeepCluster's loss, Caron et al., ECCV 2018, over a frozen teacher): the student learns, by a linear
//! layer on its features, which cluster of the teacher's embeddings an image belongs to.
//!
//! ```text
//! y = spherical k-means of what the teacher says of each image's whole frame, once, before the first step
//! L = −mean_i log softmax(W·x_i + b)[y_i]      x (B,F) the backbone's features, before the head; over the images that have a label
//! ∂L/∂z_i = (softmax(z_i) − onehot(y_i))/n     z = x·Wᵀ + b (B,k), n images with a label
//! ```
//!
//! The head gets no gradient. An image that could not be read then, or that came later, has no label and teaches nothing.

use std::collections::{BTreeMap, BTreeSet};

use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

use super::spherical_k_means::spherical_k_means;
use super::{Known, Learned, Piece, Strategy, part, part_of, stored};
use crate::data::random::{Purpose, generator};
use crate::distill::batch::{StepBatch, StepSettings};
use crate::distill::queue::Queue;
use crate::model::weights::{HostTensor, StateDict};
use crate::sys::memory::{collected, filled, room};
use crate::{Error, Result, torch};

/// Standard deviation of the linear layer's first weights (DeepCluster's published code).
const DEVIATION: f32 = 0.01;
/// The part of a checkpoint, and its tensors.
const PART: &str = "clusters";
const WEIGHT: &str = "weight";
const BIAS: &str = "bias";
const LABELS: &str = "labels";

/// Labels of the data set's images, and the linear layer that learns them.
#[derive(Debug)]
pub struct KMeans {
    /// W (k,F), float32, a leaf of autograd.
    weight: Tensor,
    /// b (k), as W.
    bias: Tensor,
    /// The cluster of each image of the data set, -1 for none; none before the first step.
    labels: Option<Vec<i64>>,
    seed: u64,
}

impl KMeans {
    /// `clusters` clusters, k, learned from `features` features, F, on `device`; `seed` decides the first weights and the clusters.
    ///
    /// # Errors
    /// `InvalidArgument` without a cluster; `OutOfMemory` or `Torch` from libtorch.
    pub fn new(clusters: i64, features: i64, seed: u64, device: Device) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let numbers = clusters.checked_mul(features).filter(|&numbers| clusters > 0 && numbers > 0);
        let numbers = numbers.and_then(|numbers| usize::try_from(numbers).ok());
        let numbers = numbers.ok_or_else(|| {
            Error::invalid(format!("{clusters} clusters of {features} features, expected at least 1 of 1"))
        })?;
        let mut generator = generator(seed, 0, 1, Purpose::Method);
        let mut noise: Vec<f32> = room(numbers, "the linear layer")?;
        noise.extend(
            (0..numbers).map(|_| -> f32 { StandardNormal.sample(&mut generator) }).map(|number| number * DEVIATION),
        );
        let mut weight = Tensor::f_from_slice(&noise)?.f_reshape([clusters, features])?.f_to_device(device)?;
        let mut bias = Tensor::f_zeros([clusters], (Kind::Float, device))?;
        Ok(Self { weight: weight.f_requires_grad_(true)?, bias: bias.f_requires_grad_(true)?, labels: None, seed })
    }

    /// k.
    fn clusters(&self) -> i64 {
        self.weight.size()[0]
    }
}

impl Strategy for KMeans {
    /// Labels (B), -1 for none, and the weight of each row in a mean over B (B): B/n, or 0 without a label.
    fn goal(&self, batch: &StepBatch<'_>, _queue: &Queue, _settings: &StepSettings) -> Result<Vec<Tensor>> {
        let images = batch.images.ok_or_else(|| {
            Error::invalid(
                "method k_means knows the clusters of the data set's images only: call run, or choose another method",
            )
        })?;
        let all =
            self.labels.as_ref().ok_or_else(|| Error::invalid("method k_means has not made its clusters: call run"))?;
        let labels = collected(images.iter().map(|&image| all.get(image).copied().unwrap_or(-1)), "labels")?;
        let known = labels.iter().filter(|label| **label >= 0).count();
        let share = labels.len() as f32 / known.max(1) as f32;
        let weights = collected(labels.iter().map(|&label| if label >= 0 { share } else { 0f32 }), "weights")?;
        let device = self.weight.device();
        Ok(vec![
            torch::copy_to(&Tensor::f_from_slice(&labels)?, device)?,
            torch::copy_to(&Tensor::f_from_slice(&weights)?, device)?,
        ])
    }

    fn loss(&self, piece: &Piece<'_>) -> Result<Learned> {
        let [labels, weights] = piece.goal else {
            return Err(Error::invalid("k_means takes labels and weights of a piece"));
        };
        label_loss(piece.features, labels, weights, &self.weight, &self.bias)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        vec![
            (format!("{PART}.{WEIGHT}"), self.weight.shallow_clone()),
            (format!("{PART}.{BIAS}"), self.bias.shallow_clone()),
        ]
    }

    fn wants_embeddings(&self) -> bool {
        self.labels.is_none()
    }

    fn prepare(&mut self, known: &Known, go_on: &dyn Fn() -> bool) -> Result<()> {
        let (k, readable) = (self.clusters(), known.numbers.len());
        if k > readable as i64 {
            return Err(Error::invalid(format!(
                "method k_means was to make {k} clusters, but only {readable} images can be read; set k_means.clusters to {readable} at most"
            )));
        }
        let draw = &mut generator(self.seed, 0, 2, Purpose::Method);
        let found = spherical_k_means(&known.rows, known.dim, k as usize, draw, go_on)?;
        let Some(found) = found else { return Ok(()) };
        log::info!(
            "k_means: {} clusters of {readable} images, mean cosine to the centre {:.3}",
            found.used,
            found.cosine
        );
        let mut labels = filled(-1i64, known.images, "the labels of images")?;
        for (&image, label) in known.numbers.iter().zip(found.labels) {
            labels[image] = label;
        }
        self.labels = Some(labels);
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        let known = || self.labels.iter().flatten().filter(|label| **label >= 0);
        let (images, used, k) = (known().count(), known().collect::<BTreeSet<_>>().len(), self.clusters());
        if images == 0 || (used as i64 == k && k > 1) {
            return Vec::new();
        }
        let lesson =
            if used == 1 { ": there is nothing to tell apart, so that the student learns nothing" } else { "" };
        vec![format!("the teacher's embeddings of {images} images make {used} of {k} clusters{lesson}")]
    }

    fn parts(&self) -> Result<BTreeMap<String, StateDict>> {
        let (weight, bias) = (self.weight.f_detach()?, self.bias.f_detach()?);
        let mut state = part(&[(WEIGHT, &weight), (BIAS, &bias)])?;
        if let Some(labels) = &self.labels {
            state.tensors.insert(LABELS.to_owned(), HostTensor::from_tensor(&Tensor::f_from_slice(labels)?)?);
        }
        Ok(BTreeMap::from([(PART.to_owned(), state)]))
    }

    fn restore(&mut self, parts: &BTreeMap<String, StateDict>) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let part = part_of(parts, PART)?;
        let (weight, bias) = (stored(part, WEIGHT, &self.weight)?, stored(part, BIAS, &self.bias)?);
        let labels = part.tensors.get(LABELS).map(|labels| self.checked(labels)).transpose()?;
        self.weight.shallow_clone().f_copy_(&weight)?;
        self.bias.shallow_clone().f_copy_(&bias)?;
        self.labels = labels;
        Ok(())
    }
}

impl KMeans {
    /// Labels of a checkpoint, which is not trusted.
    fn checked(&self, labels: &HostTensor) -> Result<Vec<i64>> {
        let labels = labels.to_tensor()?;
        if labels.kind() != Kind::Int64 || labels.dim() != 1 {
            return Err(Error::mismatch(format!(
                "the labels are {:?} {:?}, expected Int64 (images)",
                labels.kind(),
                labels.size()
            )));
        }
        let mut numbers = filled(0i64, labels.numel(), "labels")?;
        let count = numbers.len();
        labels.f_copy_data(&mut numbers, count)?;
        let labels = numbers;
        match labels.iter().find(|label| !(-1..self.clusters()).contains(label)) {
            Some(label) => Err(Error::mismatch(format!("a label is {label}, expected -1 to {}", self.clusters() - 1))),
            None => Ok(labels),
        }
    }
}

/// Loss and gradients of the linear layer W (k,F), b (k) over `features` (b,F), of any format and within autograd, for `labels` (b) below k,
/// -1 for none, whose rows count by `weights` (b) in the mean over b. The gradient is computed in the format of W.
///
/// # Errors
/// `InvalidArgument` for other shapes; `OutOfMemory` or `Torch` from libtorch.
pub fn label_loss(
    features: &Tensor,
    labels: &Tensor,
    weights: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
) -> Result<Learned> {
    let _no_grad = tch::no_grad_guard();
    let (w, b) = (weight.f_detach()?, bias.f_detach()?);
    let x = features.f_detach()?.f_to_kind(w.kind())?;
    let rows = x.size()[0];
    if x.dim() != 2 || w.dim() != 2 || x.size()[1] != w.size()[1] || [labels.size(), weights.size()] != [[rows], [rows]]
    {
        return Err(Error::invalid(format!(
            "the loss takes features (b,F), labels (b), weights (b) and W (k,F); found {:?}, {:?}, {:?} and {:?}",
            x.size(),
            labels.size(),
            weights.size(),
            w.size()
        )));
    }
    let log_p = x.f_matmul(&w.f_tr()?)?.f_add(&b)?.f_log_softmax(1, None::<Kind>)?; // (b,k)
    // A row without a label takes any; its weight is 0.
    let labels = labels.f_clamp_min(0)?.f_unsqueeze(1)?;
    let weights = weights.f_unsqueeze(1)?;
    let own = log_p.f_gather(1, &labels, false)?; // (b,1)
    let value = own.f_mul(&weights)?.f_sum(None)?.f_div_scalar(-(rows as f64))?;
    let minus = weights.f_ones_like()?.f_neg()?;
    let of_logits = log_p.f_exp()?.f_scatter_add(1, &labels, &minus)?.f_mul(&weights)?.f_div_scalar(rows as f64)?;
    let gradients = vec![
        (features.shallow_clone(), of_logits.f_matmul(&w)?),
        (weight.shallow_clone(), of_logits.f_tr()?.f_matmul(&x)?),
        (bias.shallow_clone(), of_logits.f_sum_dim_intlist([0i64].as_slice(), false, None)?),
    ];
    Ok(Learned { value, gradients })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::distill::loss::tests::random;
    use crate::distill::strategy::tests::SETTINGS;
    use crate::model::unit_rows;

    fn apart(a: &Tensor, b: &Tensor) -> f64 {
        (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
    }

    #[test]
    fn it_is_that_of_autograd_in_float64() {
        let leaf = |tensor: Tensor| tensor.detach().copy().set_requires_grad(true);
        let (x, w, b) = (leaf(random(6, 1)), leaf(random(4, 2)), leaf(random(1, 3).view([16]).narrow(0, 0, 4)));
        // Rows 1 and 4 have no label: the mean is over the other four.
        let labels = [2i64, -1, 0, 3, -1, 2];
        let kept = Tensor::from_slice(&[0i64, 2, 3, 5]);
        let log_p = (x.matmul(&w.tr()) + &b).log_softmax(1, None::<Kind>).index_select(0, &kept);
        let wanted = -log_p.gather(1, &Tensor::from_slice(&[2i64, 0, 3, 2]).unsqueeze(1), false).mean(None);
        wanted.backward();
        let weights: Vec<f64> = labels.iter().map(|&label| if label >= 0 { 1.5 } else { 0.0 }).collect();
        for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 1e-5)] {
            let own = |tensor: &Tensor| tensor.detach().to_kind(kind).copy().set_requires_grad(true);
            let (x2, w2, b2) = (own(&x), own(&w), own(&b));
            let weights = Tensor::from_slice(&weights).to_kind(kind);
            let found = label_loss(&x2, &Tensor::from_slice(&labels), &weights, &w2, &b2).unwrap();
            found.backward().unwrap();
            assert!(apart(&found.value, &wanted) < tolerance, "{kind:?}");
            for (found, wanted) in [(x2, &x), (w2, &w), (b2, &b)] {
                assert!(apart(&found.grad(), &wanted.grad()) < tolerance, "{kind:?}");
                assert!(wanted.grad().abs().max().double_value(&[]) > 1e-3);
            }
        }
    }

    /// What `count` images of the teacher's are, in a data set of `images`.
    fn known(images: usize, count: i64) -> Known {
        let rows = unit_rows(&random(count, 5).to_kind(Kind::Float)).unwrap();
        let rows = Vec::<f32>::try_from(rows.view([-1])).unwrap();
        // The first image cannot be read.
        Known { images, numbers: (1..=count as usize).collect(), rows, dim: 16 }
    }

    fn goal(strategy: &KMeans, images: Option<&[usize]>) -> Result<Vec<Tensor>> {
        let target = random(images.map_or(1, <[usize]>::len) as i64, 1);
        let queue = Queue::new(3, 16, 3, Device::Cpu)?;
        strategy.goal(
            &StepBatch { views: &target, target: Some(&target), images, second: None, small: &[], patches: None },
            &queue,
            &SETTINGS,
        )
    }

    #[test]
    fn an_image_without_a_label_counts_for_nothing() {
        let mut strategy = KMeans::new(3, 16, 1, Device::Cpu).unwrap();
        assert!(goal(&strategy, Some(&[1, 2])).is_err(), "no clusters yet");
        strategy.prepare(&known(13, 12), &|| true).unwrap();
        assert!(strategy.warnings().is_empty() && !strategy.wants_embeddings());
        // Image 0 was not readable, and image 99 came later.
        let found = goal(&strategy, Some(&[0, 5, 99, 7])).unwrap();
        let (labels, weights) = (Vec::<i64>::try_from(&found[0]).unwrap(), Vec::<f32>::try_from(&found[1]).unwrap());
        assert!(labels[0] == -1 && labels[2] == -1 && labels[1] >= 0 && labels[3] >= 0);
        assert_eq!(weights, [0.0, 2.0, 0.0, 2.0]);
        let none = goal(&strategy, Some(&[0, 0])).unwrap();
        let loss = label_loss(&random(2, 1), &none[0], &none[1], &strategy.weight, &strategy.bias).unwrap();
        assert!(loss.value.double_value(&[]) == 0.0 && loss.gradients[0].1.abs().max().double_value(&[]) == 0.0);
        assert_eq!(goal(&strategy, None).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn one_cluster_gives_no_gradient_and_says_so() {
        let mut strategy = KMeans::new(1, 16, 1, Device::Cpu).unwrap();
        assert!(strategy.warnings().is_empty());
        strategy.prepare(&known(6, 5), &|| true).unwrap();
        let warnings = strategy.warnings();
        assert!(warnings[0].contains("5 images make 1 of 1 clusters: there is nothing"), "{warnings:?}");
        let mut resumed = KMeans::new(1, 16, 1, Device::Cpu).unwrap();
        resumed.restore(&strategy.parts().unwrap()).unwrap();
        assert_eq!(resumed.warnings(), warnings);
        let goal = goal(&strategy, Some(&[1, 2, 3])).unwrap();
        let found = label_loss(&random(3, 1), &goal[0], &goal[1], &strategy.weight, &strategy.bias).unwrap();
        assert!(found.value.double_value(&[]) == 0.0);
        assert!(found.gradients.iter().all(|(_, gradient)| gradient.abs().max().double_value(&[]) == 0.0));
    }

    #[test]
    fn too_few_images_are_refused_and_a_stop_leaves_all_as_it_was() {
        let mut strategy = KMeans::new(6, 16, 1, Device::Cpu).unwrap();
        let error = strategy.prepare(&known(9, 5), &|| true).unwrap_err();
        assert!(error.message().contains("6 clusters") && error.message().contains("5 images can be read"), "{error}");
        strategy.prepare(&known(9, 8), &|| false).unwrap();
        assert!(strategy.wants_embeddings());
        assert!(KMeans::new(0, 16, 1, Device::Cpu).is_err());
    }

    #[test]
    fn the_state_comes_back_and_what_does_not_fit_changes_nothing() {
        let mut first = KMeans::new(3, 16, 1, Device::Cpu).unwrap();
        let before = first.parts().unwrap();
        first.prepare(&known(13, 12), &|| true).unwrap();
        let parts = first.parts().unwrap();
        let mut second = KMeans::new(3, 16, 2, Device::Cpu).unwrap();
        let untouched = second.weight.detach().copy();
        let wrong = |labels: Tensor| {
            let mut wrong = parts.clone();
            let labels = HostTensor::from_tensor(&labels).unwrap();
            wrong.get_mut(PART).unwrap().tensors.insert(LABELS.to_owned(), labels);
            wrong
        };
        for wrong in [
            BTreeMap::new(),
            KMeans::new(4, 16, 1, Device::Cpu).unwrap().parts().unwrap(),
            wrong(Tensor::from_slice(&[0i64, 3])),
            wrong(Tensor::from_slice(&[0i64, -2])),
            wrong(Tensor::from_slice(&[0f32, 1.0])),
        ] {
            assert_eq!(second.restore(&wrong).unwrap_err().kind(), ErrorKind::Mismatch);
            assert!(apart(&second.weight, &untouched) == 0.0 && second.wants_embeddings());
        }
        second.restore(&parts).unwrap();
        assert!(second.labels == first.labels && apart(&second.weight, &first.weight) == 0.0);
        // Back to before the clusters were made.
        second.restore(&before).unwrap();
        assert!(second.wants_embeddings());
    }
}
