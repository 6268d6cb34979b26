//! A student that has collapsed: whatever it is shown, it gives the same vector.
//!
//! A run shows that nowhere else. Its loss is finite and quiet, at about the entropy of a guess, and the steps go on to the end. What
//! tells is the mean cosine of two different images of a batch of B,
//!
//! ```text
//! c(X) = (‖Σ_i x_i‖² − B) / (B·(B − 1))        x_i unit rows: s of the student, t of the teacher
//! ```
//!
//! which takes one sum over the rows of the last step, so there is no further pass, and it is taken and read with the loss when
//! progress is reported. A student counts as collapsed where 1 − c(s) < [`SHARE`]·(1 − c(t)): images lie that much closer together than the
//! teacher has them. The teacher is the measure because a line's parts may look alike: a fixed limit would blame a student that does
//! what it is taught. And it takes [`REPORTS`] reports on end, since random
//! weights begin close together and leave that within some steps.

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
    /// Reports on end at which the student was collapsed.
    reports: u32,
    /// Whether it was told.
    told: bool,
}

impl Collapse {
    /// What to tell of a reported step by its `embedding` s and the teacher's `target` t, both (B,C), if anything: once, and once more at the `end`
    /// of the run. Waits for the device.
    pub fn look(
        &mut self,
        embedding: &Tensor,
        target: Option<&Tensor>,
        step: u64,
        end: bool,
        config: &Config,
    ) -> Result<Option<String>> {
        if embedding.size()[0] < 2 {
            return Ok(None);
        }
        // Without a teacher, images that lie in all directions are the measure.
        let (student, teacher) = (cosine(embedding)?, target.map_or(Ok(0.0), cosine)?);
        log::debug!("step {step}: mean cosine of two images {student:.6}, of their targets {teacher:.6}");
        if 1.0 - student >= SHARE * (1.0 - teacher) {
            (self.reports, self.told) = (0, false);
            return Ok(None);
        }
        self.reports += 1;
        if !end && (self.reports < REPORTS || self.told) {
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

/// c of unit rows (B,C).
fn cosine(rows: &Tensor) -> Result<f64> {
    let sum = rows.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?;
    let (square, batch) = (sum.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?, rows.size()[0] as f64);
    Ok((square - batch) / (batch * (batch - 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unit rows around one direction, farther from it by `spread`.
    fn rows(spread: f32) -> Tensor {
        let numbers: Vec<f32> =
            (0..64 * 8).map(|i| if i % 8 == 0 { 1.0 } else { spread * ((i * 37 % 101) as f32 / 50.0 - 1.0) }).collect();
        crate::model::unit_rows(&Tensor::from_slice(&numbers).view([64, 8])).unwrap()
    }

    #[test]
    fn the_mean_cosine_is_that_of_all_pairs() {
        let rows = rows(0.5);
        let all = rows.matmul(&rows.tr());
        let pairs = (all.sum(Kind::Double).double_value(&[]) - all.trace().double_value(&[])) / (64.0 * 63.0);
        assert!((cosine(&rows).unwrap() - pairs).abs() < 1e-6);
        assert!(cosine(&Tensor::eye(4, (Kind::Float, tch::Device::Cpu))).unwrap().abs() < 1e-9);
    }

    #[test]
    fn it_is_told_after_two_reports_and_at_the_end_by_the_teachers_measure() {
        let mut collapse = Collapse::default();
        let mut look = |student: f32, teacher: f32, end| {
            collapse.look(&rows(student), Some(&rows(teacher)), 7, end, &Config::default()).unwrap()
        };
        assert_eq!(look(0.001, 0.5, false), None);
        assert_eq!(look(0.5, 0.5, false), None, "random weights may begin so");
        assert_eq!(look(0.001, 0.5, false), None);
        assert!(look(0.001, 0.5, false).unwrap().contains("collapsed by step 7"));
        assert_eq!(look(0.001, 0.5, false), None, "once");
        assert!(look(0.001, 0.5, true).unwrap().contains("and the run has ended so"));
        // Parts that the teacher finds alike, too, are no collapse.
        assert_eq!((look(0.001, 0.005, false), look(0.001, 0.005, true)), (None, None));
    }
}
