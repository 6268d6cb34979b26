//! Student–teacher feature pyramid matching (Wang et al., "Student-teacher feature pyramid matching for anomaly detection", BMVC
//! 2021): a second network learns the feature maps of good parts; where it fails is a defect.
//!
//! ```text
//! d_l = ½·‖T_l/‖T_l‖ − S_l/‖S_l‖‖²    (B, h_l, w_l): norms over channels; T the backbone, S the network that learns
//! loss = Σ_l mean of d_l              map = Π_l d_l, enlarged to the image      score = max of the map
//! ```
//!
//! S is judged by its running statistics.

use std::sync::{Mutex, PoisonError};

use tch::Tensor;

use super::file::STUDENT;
use super::images::maps_of;
use super::parts::Part;
use super::score::{Best, Judged};
use crate::data::Input;
use crate::error::{Error, Result};
use crate::finite::Names;
use crate::infer::options::{Output, SessionOptions};
use crate::infer::session::Session;
use crate::model::weights::{HostTensor, StateDict};
use crate::model::{Head, Load, Network, Stage};
use crate::torch;

/// d_l (B, h, w) of maps (B, C, h, w): between 0 and 2.
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch.
pub fn discrepancy(teacher: &Tensor, student: &Tensor) -> Result<Tensor> {
    let apart = unit(teacher)?.f_sub(&unit(student)?)?;
    let kind = apart.f_kind()?;
    Ok(apart.f_mul(&apart)?.f_sum_dim_intlist([1i64].as_slice(), false, kind)?.f_mul_scalar(0.5)?)
}

/// The loss, 0-dim, of maps of the same stages.
///
/// # Errors
/// As [`discrepancy`]; `InvalidArgument` for no map.
pub fn loss(teacher: &[Tensor], student: &[Tensor]) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (of_teacher, of_student) in teacher.iter().zip(student) {
        let mean = discrepancy(of_teacher, of_student)?.f_mean(None)?;
        sum = Some(match sum {
            Some(sum) => sum.f_add(&mean)?,
            None => mean,
        });
    }
    sum.ok_or_else(|| Error::invalid("there is no feature map to compare"))
}

/// The heat maps (B, H, W) of maps of the same stages.
///
/// # Errors
/// As [`loss`].
pub fn heat(teacher: &[Tensor], student: &[Tensor], (height, width): (i64, i64)) -> Result<Tensor> {
    let mut product: Option<Tensor> = None;
    for (of_teacher, of_student) in teacher.iter().zip(student) {
        let small = discrepancy(of_teacher, of_student)?.f_unsqueeze(1)?;
        let large = small.f_upsample_bilinear2d([height, width], false, None::<f64>, None::<f64>)?;
        product = Some(match product {
            Some(product) => product.f_mul(&large)?,
            None => large,
        });
    }
    let product = product.ok_or_else(|| Error::invalid("there is no feature map to compare"))?;
    Ok(product.f_squeeze_dim(1)?)
}

/// Unit vectors over channels, as torch's `normalize`: where all are 0 they stay.
fn unit(map: &Tensor) -> Result<Tensor> {
    let length = map.f_norm_scalaropt_dim(2, [1i64].as_slice(), true)?;
    Ok(map.f_div(&length.f_clamp_min(1e-12)?)?)
}

/// A network that has learned the maps of good parts.
pub(crate) struct Copyist {
    session: Session,
    /// What is saved; the session has a copy of its own.
    network: Mutex<Network>,
}

impl Copyist {
    pub(crate) fn new(mut network: Network, input: &Input, options: SessionOptions) -> Result<Copyist> {
        let session = Session::new(&network, input, SessionOptions { output: Output::Features, ..options })?;
        network.to_device(tch::Device::Cpu)?;
        Ok(Copyist { session, network: Mutex::new(network) })
    }

    /// From the tensors of [`to_state`](Copyist::to_state), in a network as `backbone`.
    pub fn from_state(
        backbone: &Network,
        state: &StateDict,
        input: &Input,
        options: SessionOptions,
    ) -> Result<Copyist> {
        let network = backbone.blank_like(Head::None, tch::Device::Cpu)?;
        network.load(state, Load::Everything)?;
        Copyist::new(network, input, options)
    }

    pub fn to_state(&self) -> Result<Vec<(String, HostTensor)>> {
        // The network is only read after it was put here.
        let network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(network.to_state()?.into_iter().map(|(name, tensor)| (format!("{STUDENT}{name}"), tensor)).collect())
    }

    /// A copy of the network, on the CPU.
    pub fn network(&self) -> Result<Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner).deep_copy()
    }

    /// Score and, where a size is asked for, heat map of each of `images` by the backbone's maps of them. Errors call image i by the
    /// name that `names` gives.
    pub fn scores(
        &self,
        teacher: &[Tensor],
        stages: &[Stage],
        images: &Tensor,
        size: Option<(i64, i64)>,
        names: Names,
        parts: &[Part],
    ) -> Result<Vec<Judged>> {
        let _no_grad = tch::no_grad_guard();
        let own: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
        let student = maps_of(&self.session, &self.session.stages_named(&own)?, images, names)?;
        let (_, _, height, width) = images.size4()?;
        let maps = heat(teacher, &student, (height, width))?;
        let (kind, device) = (maps.f_kind()?, maps.device());
        // 1 where a cell is marked, else 0.
        let mask = |marks: &[bool]| -> Result<Tensor> {
            let marks = Tensor::f_from_slice(marks)?.f_view([height, width])?.f_to_kind(kind)?;
            torch::copy_to(&marks, device)
        };
        let each = |(image, part): (usize, &Part)| -> Result<Judged> {
            let mut map = maps.f_select(0, image as i64)?;
            let (counted, own) = (part.counted(height, width)?, part.own(height, width)?);
            if let Some(counted) = &counted {
                map = map.f_mul(&mask(counted)?)?;
            }
            // Discrepancies are never below 0, so what is not judged is below what is.
            let highest = match &own {
                Some(own) => map.f_mul(&mask(own)?)?.f_max()?,
                None => map.f_max()?,
            };
            let highest = highest.f_double_value(&[])?;
            let best = Some(Best { highest, score: highest as f32 });
            Ok(Judged { best, map: size.map(|size| super::score::resized(&map, size)).transpose()? })
        };
        parts.iter().enumerate().map(each).collect()
    }
}
