//! Distilling a classifier: the student learns what the teacher's classifier answers, also to images that have no label.
//!
//! ```text
//! L = λ_labels·L_labels + λ_logits·τ²·KL(softmax(z_T/τ) ‖ softmax(z_S/τ)),  mean over the images of a step
//! ```
//!
//! Hinton et al., "Distilling the knowledge in a neural network", 2015: τ above 1 shows which wrong classes are near, and τ²
//! keeps the gradient's size where τ changes. The teacher's z_T are its raw logits on the same view, in eval mode.
//!
//! ```
//! use seed::train::finetune::logits::logit_loss;
//! use tch::Tensor;
//! let of_teacher = Tensor::from_slice(&[2.0f32, 0.0, -1.0]).view([1, 3]);
//! // Logits that differ by one number for all classes say the same.
//! let loss = logit_loss(&(&of_teacher + 5.0), &of_teacher, 4.0)?;
//! assert!(loss.double_value(&[]).abs() < 1e-5);
//! # Ok::<(), seed::Error>(())
//! ```

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use crate::data::Input;
use crate::infer::Classifier;
use crate::model::{Mode, Network};
use crate::{Error, Result};

/// τ²·mean_i KL(softmax(z_T/τ) ‖ softmax(z_S/τ)), 0-dim, of logits (B, K) of the student and of the teacher, which is constant.
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch.
pub fn logit_loss(student: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor> {
    let kind = student.f_kind()?;
    let wanted = teacher.f_detach()?.f_div_scalar(temperature)?.f_log_softmax(1, kind)?; // log p
    let found = student.f_div_scalar(temperature)?.f_log_softmax(1, kind)?; // log q
    let divergence = wanted.f_exp()?.f_mul(&wanted.f_sub(&found)?)?.f_sum(kind)?;
    let images = student.size()[0].max(1) as f64;
    Ok(divergence.f_mul_scalar(temperature * temperature / images)?)
}

/// A frozen classifier to learn from.
pub(super) struct Tutor {
    network: Network,
}

impl Tutor {
    /// A copy of `classifier`, for a run whose classes are `names` and whose images are made by `input`.
    ///
    /// # Errors
    /// `Mismatch` where classes or images are others.
    pub fn new(classifier: &Arc<Classifier>, names: &[String], input: &Input, device: Device) -> Result<Tutor> {
        let known = &classifier.header().names;
        if known != names {
            return Err(Error::mismatch(format!(
                "the teacher's classifier knows {known:?}, the run {names:?}: both need the same classes in the same order"
            )));
        }
        if classifier.input() != input {
            return Err(Error::mismatch(format!(
                "the teacher's classifier takes images of {}, the student of {input}: fit the former on images as the student's",
                classifier.input()
            )));
        }
        let mut network = classifier.network()?;
        network.freeze()?;
        network.to_device(device)?;
        network.to_channels_last()?;
        Ok(Tutor { network })
    }

    /// z_T (B, K) of images (B, C, H, W), float32, outside autograd.
    pub fn logits(&self, images: &Tensor) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        Ok(self.network.forward(images, Mode::Eval)?.f_to_kind(Kind::Float)?)
    }

    /// What a checkpoint must agree in: SHA-256 over its tensors.
    pub fn identity(&self) -> Result<Vec<u8>> {
        let mut hash = Sha256::new();
        for (name, tensor) in self.network.to_state()? {
            hash.update(name.as_bytes());
            hash.update(&tensor.bytes);
        }
        Ok(hash.finalize().to_vec())
    }
}
