//! The targets of steps whose loss was not read yet, on a GPU: which rows hold NaN or were all zeros, unread as well.
//!
//! On the CPU a teacher's rows are looked at before the student learns from them. On a GPU that would wait in each step, so a flag a
//! row stays there, and is read when a loss turns out to be none: then a teacher that gave NaN is told apart from a student that has
//! diverged. A teacher's rows of zeros, which have no direction, come as −∞.

use tch::{Device, Tensor};

use super::Targets;
use crate::error::Result;
use crate::finite::{self, Names};

/// Flags of the steps since the last report.
#[derive(Default)]
pub struct UnreadTargets {
    /// Whether each row is finite, and whether it was zeros, (2,B); and what errors call its image.
    steps: Vec<(Tensor, Vec<String>)>,
}

impl UnreadTargets {
    /// Remembers which rows of `target` (B,C) are finite; nothing where it is on the CPU.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn push(&mut self, target: &Tensor, names: Names) -> Result<()> {
        if target.device() != Device::Cpu {
            let names = (0..target.size()[0]).map(|row| names(row as usize)).collect();
            let flags = [target.f_isfinite()?, target.f_isneginf()?].map(|each| each.f_all_dim(1, false));
            let [finite, zeros] = flags;
            self.steps.push((Tensor::f_stack(&[finite?, zeros?], 0)?, names));
        }
        Ok(())
    }

    /// Forgets them: the losses were read.
    pub fn clear(&mut self) {
        self.steps.clear();
    }

    /// Refuses the first row that holds NaN or was zeros. Waits for the device.
    ///
    /// # Errors
    /// `Mismatch` naming the teacher and the image.
    pub fn check(&self, targets: &Targets) -> Result<()> {
        for (flags, names) in &self.steps {
            let flags = Vec::<bool>::try_from(flags.f_to_device(Device::Cpu)?.f_flatten(0, -1)?)?;
            let (finite, zeros) = flags.split_at(flags.len() / 2);
            if let Some(row) = finite.iter().position(|finite| !finite) {
                let what = if zeros[row] { "zeros only" } else { finite::NONE };
                let image = names.get(row).cloned().unwrap_or_else(|| format!("image {row}"));
                return Err(finite::gave(&targets.who(), what, &image));
            }
        }
        Ok(())
    }
}
