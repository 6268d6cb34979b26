//! Where a run's targets t come from: the teacher in the loop, or a bank of what it said before.

use std::sync::Arc;

use super::bank::Bank;
use crate::error::Result;
use crate::model::Teacher;

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
