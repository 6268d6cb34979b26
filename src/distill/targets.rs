//! Where a run's targets t come from: the teacher in the loop, or a bank of what it said before.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::bank::Bank;
use super::step::Target;
use crate::data::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Teacher, unit_rows};
use crate::torch;

/// The source of t (B, C), unit rows.
#[derive(Clone)]
pub enum Targets {
    /// The teacher sees every view, in the run's precision.
    Teacher(Arc<Teacher>),
    /// The teacher saw the views once; it need not be loaded.
    Bank(Arc<Bank>),
}

impl Targets {
    /// C.
    pub fn dim(&self) -> i64 {
        match self {
            Targets::Teacher(teacher) => teacher.embedding_dim(),
            // At most 65,536, checked when the bank was opened.
            Targets::Bank(bank) => bank.header().dim as i64,
        }
    }

    /// Where the teacher is; a bank serves every device.
    pub fn device(&self) -> Option<Device> {
        match self {
            Targets::Teacher(teacher) => Some(teacher.device()),
            Targets::Bank(_) => None,
        }
    }

    /// The bank's rows for `batch` as (B, C) unit rows in float32 on `device`; `None` where the teacher is to be asked. They
    /// are brought back to length 1, since float16 rounds each number by up to 2⁻¹¹ of itself.
    pub fn stored(&self, batch: &Batch, device: Device) -> Result<Option<Tensor>> {
        let Targets::Bank(bank) = self else { return Ok(None) };
        let halves = bank.targets(&batch.slots, &batch.indices)?;
        Ok(Some(unit_rows(&torch::copy_to(&halves, device)?.f_to_kind(Kind::Float)?)?))
    }

    /// What a step takes its targets from: the `stored` rows, or the teacher.
    pub fn of_step<'a>(&'a self, stored: Option<&'a Tensor>) -> Result<Target<'a>> {
        match (self, stored) {
            (_, Some(rows)) => Ok(Target::Given(rows)),
            (Targets::Teacher(teacher), None) => Ok(Target::Embed(teacher)),
            (Targets::Bank(_), None) => Err(Error::new(ErrorKind::Internal, "a step over a bank without its rows")),
        }
    }

    /// The teacher's identity, and whether it speaks through a bank; a run goes on only with the same text.
    pub fn identity(&self) -> Result<String> {
        match self {
            Targets::Teacher(teacher) => teacher.identity(),
            Targets::Bank(bank) => {
                let teacher = &bank.header().teacher;
                Ok(format!("bank of {} in {}", teacher.identity, teacher.precision))
            }
        }
    }
}

impl From<Arc<Teacher>> for Targets {
    fn from(teacher: Arc<Teacher>) -> Self {
        Targets::Teacher(teacher)
    }
}

impl From<Arc<Bank>> for Targets {
    fn from(bank: Arc<Bank>) -> Self {
        Targets::Bank(bank)
    }
}
