//! A student that has collapsed: whatever it is shown, it gives the same vector.
//!
//! A run shows that nowhere else. Its loss is finite and quiet, at about the entropy of a guess, and the steps go on to the end. What
//! tells is the mean cosine of two different images of a batch of B,
//!
//! ```text
//! c(X) = (‖Σ_i x_i‖² − B) / (B·(B − 1))        x_i unit rows: s of the student, t of the teacher
//! ```
//!
//! which takes one sum over rows that are there, so there is no further pass, and it is read with the loss when progress is
//! reported. A student counts as collapsed where 1 − c(s) < [`SHARE`]·(1 − c(t)): images lie that much closer together than the
//! teacher has them. The teacher is the measure because a line's parts may look alike: a fixed limit would blame a student that does
//! what it is taught. And it counts only [`REPORTS`] reports on end after a student that was not collapsed, or from the second
//! [`REPORTS`] on, since random weights begin close together and leave that within some steps.

use tch::{Kind, Tensor};

use crate::Result;
use crate::config::Config;

/// The share of the teacher's spread below which the student's is none.
const SHARE: f64 = 0.01;
/// Reports on end that must say so.
const REPORTS: u32 = 2;

/// What the reports of a run have said so far.
#[derive(Debug, Default)]
pub(super) struct Collapse {
    /// Σ s and Σ t of the last reported step, unread, and B.
    seen: Option<(Tensor, Tensor, i64)>,
    /// Reports on end at which the student was collapsed.
    reports: u32,
    /// Whether it was told.
    told: bool,
}

impl Collapse {
    /// Looks at a step's `embedding` s and `target` t, both (B,C), without reading anything.
    pub fn see(&mut self, embedding: &Tensor, target: &Tensor) -> Result<()> {
        let sum = |rows: &Tensor| rows.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float);
        self.seen = Some((sum(embedding)?, sum(target)?, embedding.size()[0]));
        Ok(())
    }

    /// What to tell of the last step that was seen, if anything: once, and once more at the `end` of the run. Waits for the device.
    pub fn warning(&mut self, step: u64, end: bool, config: &Config) -> Result<Option<String>> {
        let Some((student, teacher, batch)) = self.seen.take() else { return Ok(None) };
        if batch < 2 {
            return Ok(None);
        }
        let (student, teacher) = (cosine(&student, batch)?, cosine(&teacher, batch)?);
        if 1.0 - student >= SHARE * (1.0 - teacher) {
            (self.reports, self.told) = (0, false);
            return Ok(None);
        }
        self.reports += 1;
        if self.reports < REPORTS && !end || self.told && !end {
            return Ok(None);
        }
        self.told = true;
        Ok(Some(format!(
            "the student has collapsed{}: two different images of a batch have a mean cosine of {student:.6}, their targets one of \
             {teacher:.3}; begin anew with a lower learning_rate (now {}), more warmup_steps (now {}) or a clip_norm (now {})",
            if end { ", and the run has ended so".to_owned() } else { format!(" by step {step}") },
            config.learning_rate,
            config.warmup_steps,
            config.clip_norm,
        )))
    }
}

/// c of rows whose sum is `sum`.
fn cosine(sum: &Tensor, batch: i64) -> Result<f64> {
    let square = sum.f_to_kind(Kind::Double)?.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
    let batch = batch as f64;
    Ok((square - batch) / (batch * (batch - 1.0)))
}
