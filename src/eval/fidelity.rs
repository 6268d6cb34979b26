//! How well a student still reproduces its teacher on frames without labels, and how sure that is.
//!
//! ```text
//! KL_i = Σ_j p_T[i,j] · (log p_T[i,j] − log p_S[i,j])     p_T = softmax([t·t, t·Dᵀ]/τ_T)   p_S = softmax([s·t, s·Dᵀ]/τ_S)
//! overlap_i = |T(i) ∩ S(i)| / k        cosine_i = s·t        each: mean over N frames with its 95 % interval
//! ```
//!
//! s, t (N, C) are the unit embeddings of both, D (K, C) a fixed queue of teacher embeddings, of the training images say: the loss
//! of SEED without the teacher's entropy, so 0 is a perfect student when τ_S = τ_T. Measure it when the student is made, keep the
//! result with the student, and measure again, with the same queue and as many frames, on those of today: [`Fidelity::since`]
//! says what has become worse.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::agreement::cosine;
use super::bootstrap::{Interval, mean_interval};
use super::{Embeddings, Neighbours, nearest};
use crate::error::{Error, Result};
use crate::sys::memory::spare;

/// Logits that a block may hold: 32 MiB of float64, twice.
const BLOCK_ELEMENTS: usize = 1 << 22;

/// At which temperatures and among how many neighbours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FidelityConfig {
    /// τ_S, as it was distilled.
    pub temperature_student: f64,
    /// τ_T, as it was distilled.
    pub temperature_teacher: f64,
    /// Neighbours of the overlap, from 1 to N − 1.
    pub k: usize,
    /// Of the intervals.
    pub seed: u64,
}

impl Default for FidelityConfig {
    /// The paper's temperatures, 10 neighbours.
    fn default() -> Self {
        Self { temperature_student: 0.2, temperature_teacher: 0.01, k: 10, seed: 0 }
    }
}

/// A measurement; JSON by serde, to be kept in a student's provenance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fidelity {
    /// N.
    pub frames: usize,
    /// Neighbours of the overlap.
    pub k: usize,
    /// K.
    pub queue: usize,
    /// τ_S.
    pub temperature_student: f64,
    /// τ_T.
    pub temperature_teacher: f64,
    /// Mean KL, in nats, from 0 on: less is better.
    pub kl: Interval,
    /// Mean overlap, from 0 to 1.
    pub overlap: Interval,
    /// Mean cosine, from −1 to 1.
    pub cosine: Interval,
}

/// The three figures of each frame, N of each.
#[derive(Debug, Clone, PartialEq)]
pub struct FidelityRows {
    /// KL.
    pub kl: Vec<f64>,
    /// Overlap.
    pub overlap: Vec<f64>,
    /// Cosine.
    pub cosine: Vec<f64>,
}

/// What has become of one figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// "kl", "overlap" or "cosine".
    pub figure: &'static str,
    /// When the student was made.
    pub then: Interval,
    /// Now.
    pub now: Interval,
    /// Whether it is worse and the intervals do not touch.
    pub worse: bool,
}

/// Measures a student by a teacher's embeddings of the same frames.
///
/// # Errors
/// `InvalidArgument` where frames, widths, temperatures or k do not fit; `Torch` or `OutOfMemory` from libtorch.
pub fn fidelity(
    student: &Embeddings<'_>,
    teacher: &Embeddings<'_>,
    queue: &Embeddings<'_>,
    config: &FidelityConfig,
) -> Result<Fidelity> {
    let rows = fidelity_rows(student, teacher, queue, config)?;
    Ok(Fidelity {
        frames: student.len(),
        k: config.k,
        queue: queue.len(),
        temperature_student: config.temperature_student,
        temperature_teacher: config.temperature_teacher,
        kl: mean_interval(&rows.kl, config.seed),
        overlap: mean_interval(&rows.overlap, config.seed),
        cosine: mean_interval(&rows.cosine, config.seed),
    })
}

/// The figures frame by frame.
///
/// # Errors
/// As [`fidelity`].
pub fn fidelity_rows(
    student: &Embeddings<'_>,
    teacher: &Embeddings<'_>,
    queue: &Embeddings<'_>,
    config: &FidelityConfig,
) -> Result<FidelityRows> {
    let (shape, other) = ((teacher.len(), teacher.dim()), (student.len(), student.dim()));
    if shape != other || queue.dim() != teacher.dim() {
        return Err(Error::invalid(format!(
            "teacher embeddings are {}×{}, student embeddings {}×{}, the queue is {} wide: the same frames and one width are expected",
            shape.0,
            shape.1,
            other.0,
            other.1,
            queue.dim()
        )));
    }
    for (name, temperature) in
        [("temperature_student", config.temperature_student), ("temperature_teacher", config.temperature_teacher)]
    {
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(Error::invalid(format!("{name} is {temperature}, expected a number above 0")));
        }
    }
    let (of_teacher, of_student) = (nearest(teacher, config.k)?, nearest(student, config.k)?);
    spare(4 * teacher.len() * size_of::<f64>(), "three figures for each frame")?;
    Ok(FidelityRows {
        kl: divergences(student, teacher, queue, config)?,
        overlap: overlaps(&of_teacher, &of_student),
        cosine: teacher.rows().zip(student.rows()).map(|(t, s)| cosine(t, s)).collect(),
    })
}

fn overlaps(teacher: &Neighbours, student: &Neighbours) -> Vec<f64> {
    let shared = |(t, s): (&[u32], &[u32])| t.iter().filter(|index| s.contains(index)).count() as f64 / t.len() as f64;
    teacher.rows().zip(student.rows()).map(|((t, _), (s, _))| shared((t, s))).collect()
}

/// KL of each frame, in float64: τ_T makes logits of a hundred, whose differences count.
fn divergences(
    student: &Embeddings<'_>,
    teacher: &Embeddings<'_>,
    queue: &Embeddings<'_>,
    config: &FidelityConfig,
) -> Result<Vec<f64>> {
    let _guard = tch::no_grad_guard();
    let dim = teacher.dim();
    let double = |rows: &[f32]| -> Result<Tensor> {
        Ok(Tensor::f_from_slice(rows)?.f_view([-1, dim as i64])?.f_to_kind(Kind::Double)?)
    };
    let (s_rows, t_rows) = (student.unit_rows()?, teacher.unit_rows()?);
    let queue_columns = double(&queue.unit_rows()?)?.f_transpose(0, 1)?; // (C, K)
    let block = (BLOCK_ELEMENTS / (queue.len() + 1)).max(1) * dim;
    let mut found = Vec::with_capacity(teacher.len());
    for (s, t) in s_rows.chunks(block).zip(t_rows.chunks(block)) {
        let (s, t) = (double(s)?, double(t)?); // (b, C)
        let log_p = |rows: &Tensor, temperature: f64| -> Result<Tensor> {
            let own = (rows * &t).f_sum_dim_intlist([1i64].as_slice(), true, Kind::Double)?; // (b, 1)
            let logits = Tensor::f_cat(&[own, rows.f_matmul(&queue_columns)?], 1)?; // (b, 1 + K)
            Ok(logits.f_div_scalar(temperature)?.f_log_softmax(1, Kind::Double)?)
        };
        let (log_t, log_s) = (log_p(&t, config.temperature_teacher)?, log_p(&s, config.temperature_student)?);
        let kl = log_t.f_exp()?.f_mul(&log_t.f_sub(&log_s)?)?;
        let kl = kl.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Double)?; // (b,)
        found.extend(Vec::<f64>::try_from(&kl)?);
    }
    Ok(found)
}

impl Fidelity {
    /// What has become of the student since `then`.
    ///
    /// # Errors
    /// `Mismatch` where the two were not measured alike: overlap depends on the number of frames, KL on the queue's.
    pub fn since(&self, then: &Fidelity) -> Result<[Change; 3]> {
        let of =
            |f: &Fidelity| (f.frames, f.k, f.queue, f.temperature_student.to_bits(), f.temperature_teacher.to_bits());
        if of(self) != of(then) {
            return Err(Error::mismatch(format!(
                "then {} frames, {} neighbours, a queue of {} and temperatures {}, {} were measured, now {}, {}, {} and {}, {}: \
                 measure alike to compare",
                then.frames,
                then.k,
                then.queue,
                then.temperature_student,
                then.temperature_teacher,
                self.frames,
                self.k,
                self.queue,
                self.temperature_student,
                self.temperature_teacher
            )));
        }
        Ok([
            Change { figure: "kl", then: then.kl, now: self.kl, worse: self.kl.low > then.kl.high },
            Change {
                figure: "overlap",
                then: then.overlap,
                now: self.overlap,
                worse: self.overlap.high < then.overlap.low,
            },
            Change { figure: "cosine", then: then.cosine, now: self.cosine, worse: self.cosine.high < then.cosine.low },
        ])
    }

    /// As a JSON object, for a student's provenance.
    ///
    /// # Errors
    /// `InvalidArgument` where a figure is not finite, which JSON cannot say.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::invalid(format!("fidelity as JSON: {error}")))
    }

    /// From what [`to_json`](Fidelity::to_json) gave.
    ///
    /// # Errors
    /// `InvalidArgument` where the text is no such object.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| Error::invalid(format!("fidelity from JSON: {error}")))
    }
}
