//! The head of a student that starts from weights of its own: fitted, so that its first gradients do not undo what the backbone knows
//! (Kumar et al., "Fine-tuning can distort pretrained features and underperform out-of-distribution", ICLR 2022).
//!
//! ```text
//! W₁ = I (where the hidden layer is as wide as the features), b = 0, h = relu(features) of N frames (N, d)
//! t = the teacher's rows (N, C), each as long as its h, since an embedding is divided by its length anyway
//! W₂ = tᵀ·(h·hᵀ + λI)⁻¹·h          ridge regression in its dual form, λ = 1e-4·mean diagonal of h·hᵀ, in float64
//! ```

use std::sync::Arc;

use tch::{Kind, Tensor};

use super::request::Request;
use crate::config::{Config, Standardise};
use crate::data::random::{Purpose, generator, shuffle};
use crate::distill::Targets;
use crate::distill::standardise::Moments;
use crate::distill::views::for_teacher;
use crate::model::{Head, Mode};
use crate::train::probe::{PIECE, learned_images, read};
use crate::train::shared::{SharedNetwork, with_lock};
use crate::{Result, device, torch};

/// Frames that the head is fitted to at most.
const MOST: usize = 2048;

/// Share of the mean diagonal that is added to it.
const RIDGE: f64 = 1e-4;

/// Gives a student without a head one that tells the frames apart as the teacher does, as far as one matrix can.
///
/// # Errors
/// Those of the networks; `OutOfMemory` or `Torch` from libtorch.
pub(super) fn fit(request: &Request, config: &Config, student: &SharedNetwork) -> Result<()> {
    let targets = Targets::from(Arc::clone(&request.teacher));
    let (features, hidden) = with_lock(student, |student| {
        let (layers, hidden) = (config.projection_layers as i64, config.projection_hidden as i64);
        student.replace_head(Head::projection(layers, hidden, targets.dim()), config.seed)?;
        Ok((student.feature_dim(), if hidden == 0 { student.feature_dim() } else { hidden }))
    })?;
    if hidden != features || config.projection_layers != 2 {
        log::info!(
            "the head begins at random: it has {} layers, the hidden ones {hidden} wide, and only one of two layers as wide as the student's features \
             ({features}) can be fitted",
            config.projection_layers
        );
        return Ok(());
    }
    let device = device::parse(&config.device)?;
    // What the probe holds out is not seen here either.
    let mut images = learned_images(config, request.dataset.len());
    shuffle(&mut generator(config.seed, 0, 3, Purpose::Probe), &mut images);
    images.truncate(MOST);
    let _no_grad = tch::no_grad_guard();
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for piece in images.chunks(PIECE) {
        let (sound, frames) = read(&request.dataset, piece, &config.view.input)?;
        if sound.is_empty() {
            continue;
        }
        let frames = torch::copy_to(&frames, device)?;
        let seen = for_teacher(&frames, &config.view.input)?;
        let names = |row: usize| request.dataset.title(sound[row]);
        outputs.push(targets.of_frames(&seen, &sound, Kind::Float, &names)?.f_to_kind(Kind::Double)?);
        let found = with_lock(student, |student| student.features(&frames, Mode::Eval))?;
        inputs.push(found.f_relu()?.f_to_kind(Kind::Double)?);
    }
    if inputs.is_empty() {
        return Ok(());
    }
    let h = Tensor::f_cat(&inputs, 0)?;
    let length = h.f_norm_scalaropt_dim(2, [1i64].as_slice(), true)?;
    let t = goals(&Tensor::f_cat(&outputs, 0)?, config.standardise)?.f_mul(&length)?;
    let gram = h.f_matmul(&h.f_tr()?)?; // (N, N)
    let ridge = gram.f_diagonal(0, 0, 1)?.f_mean(None)?.f_mul_scalar(RIDGE)?.f_clamp_min(1e-12)?;
    let eye = Tensor::f_eye(h.size()[0], (Kind::Double, device))?;
    let dual = Tensor::f_linalg_solve(&gram.f_add(&eye.f_mul(&ridge)?)?, &t, true)?; // (N, C)
    let second = dual.f_tr()?.f_matmul(&h)?; // (C, d)
    if !bool::try_from(second.f_isfinite()?.f_all()?)? {
        return Ok(());
    }
    with_lock(student, |student| {
        for (name, parameter) in student.parameters() {
            let value = match name.as_str() {
                "projection.0.weight" => Tensor::f_eye(features, (Kind::Float, device))?,
                "projection.0.bias" | "projection.2.bias" => parameter.f_zeros_like()?,
                "projection.2.weight" => second.f_to_kind(Kind::Float)?,
                _ => continue,
            };
            parameter.f_detach()?.f_copy_(&value)?;
        }
        Ok(())
    })
}

/// What the run will have its student learn of the teacher's `rows` (N,C), float64.
fn goals(rows: &Tensor, standardise: Standardise) -> Result<Tensor> {
    if standardise == Standardise::None {
        return Ok(rows.shallow_clone());
    }
    let mut moments = Moments::new(rows.size()[1], standardise == Standardise::Whiten)?;
    moments.add(rows)?;
    let rows = moments.finish(rows.device())?.of(&rows.f_to_kind(Kind::Float)?)?;
    Ok(rows.f_to_kind(Kind::Double)?)
}
