//! Where a run's targets t come from: the teacher in the loop, a bank of what it said before, or an embedding an image.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::bank::Bank;
use super::image_targets::ImageTargets;
use super::step::Target;
use crate::data::{Batch, Slot};
use crate::error::{Error, ErrorKind, Result};
use crate::finite::Names;
use crate::model::{Teacher, unit_rows};
use crate::torch;

/// The source of t (B, C), unit rows.
#[derive(Clone)]
pub enum Targets {
    /// The teacher sees every view, in the run's precision.
    Teacher(Arc<Teacher>),
    /// The teacher saw the views once; it need not be loaded.
    Bank(Arc<Bank>),
    /// Every view of an image has the image's own embedding, made elsewhere.
    Images(Arc<ImageTargets>),
}

impl Targets {
    /// C.
    pub fn dim(&self) -> i64 {
        match self {
            Targets::Teacher(teacher) => teacher.embedding_dim(),
            // At most 65,536, checked when the bank was opened.
            Targets::Bank(bank) => bank.header().dim as i64,
            Targets::Images(images) => images.dim(),
        }
    }

    /// Where the teacher is; what is stored serves every device.
    pub fn device(&self) -> Option<Device> {
        match self {
            Targets::Teacher(teacher) => Some(teacher.device()),
            Targets::Bank(_) | Targets::Images(_) => None,
        }
    }

    /// The stored rows for `batch` as (B, C) unit rows in float32 on `device`; `None` where the teacher is to be asked. A
    /// bank's are brought back to length 1, since float16 rounds each number by up to 2⁻¹¹ of itself.
    pub fn stored(&self, batch: &Batch, device: Device) -> Result<Option<Tensor>> {
        let rows = match self {
            Targets::Teacher(_) => return Ok(None),
            Targets::Bank(bank) => bank.targets(&batch.slots, &batch.indices)?,
            Targets::Images(images) => images.targets(&batch.indices)?,
        };
        Ok(Some(unit_rows(&torch::copy_to(&rows, device)?.f_to_kind(Kind::Float)?)?))
    }

    /// What a teacher that is no network of ours says of `images` (B,3,H,W), asked in `pieces` as the student is; `None` for
    /// any other source. An application's callback may use the library, so it is called before a step locks anything.
    /// Errors call image i by the name that `names` gives.
    pub fn asked(&self, images: &Tensor, pieces: u64, names: Names) -> Result<Option<Tensor>> {
        let Targets::Teacher(teacher) = self else { return Ok(None) };
        if teacher.embedder().is_none() {
            return Ok(None);
        }
        let batch = images.size()[0];
        let length = (batch as u64).div_ceil(pieces.max(1)).max(1) as i64;
        let mut rows = Vec::new();
        for start in (0..batch).step_by(length as usize) {
            let piece = images.f_narrow(0, start, length.min(batch - start))?;
            rows.push(teacher.embed_named(&piece, None, &|row| names(start as usize + row))?);
        }
        Ok(Some(Tensor::f_cat(&rows, 0)?))
    }

    /// What the teacher says of whole frames, `images` (B,3,H,W), which are the images `numbers` of the data set: (B,C) unit rows. A
    /// bank has no such view, so its answer is the mean of those that it has. Errors call image i by the name that `names` gives.
    ///
    /// # Errors
    /// Those of the source.
    pub fn of_frames(&self, images: &Tensor, numbers: &[usize], precision: Kind, names: Names) -> Result<Tensor> {
        let rows = match self {
            Targets::Teacher(teacher) => return teacher.embed_named(images, Some(precision), names),
            Targets::Images(targets) => targets.targets(numbers)?,
            Targets::Bank(bank) => {
                let mut views = Vec::new();
                for view in 0..bank.header().views.count {
                    let slots: Vec<Slot> = numbers.iter().map(|&index| Slot { view, index }).collect();
                    views.push(bank.targets(&slots, numbers)?.f_to_kind(Kind::Float)?);
                }
                Tensor::f_stack(&views, 0)?.f_mean_dim([0i64].as_slice(), false, Kind::Float)?
            }
        };
        unit_rows(&rows.f_to_kind(Kind::Float)?)
    }

    /// What a step takes its targets from: the `stored` rows, or the teacher.
    pub fn of_step<'a>(&'a self, stored: Option<&'a Tensor>, names: Names<'a>) -> Result<Target<'a>> {
        match (self, stored) {
            (_, Some(rows)) => Ok(Target::Given(rows)),
            (Targets::Teacher(teacher), None) => Ok(Target::Embed(teacher, names)),
            (_, None) => Err(Error::new(ErrorKind::Internal, "a step over stored targets without its rows")),
        }
    }

    /// Who gives the rows, for messages.
    pub fn who(&self) -> String {
        match self {
            Targets::Teacher(teacher) => format!("teacher ({})", teacher.name()),
            Targets::Bank(bank) => format!("bank's teacher ({})", bank.header().teacher.architecture),
            Targets::Images(_) => "table of embeddings".to_owned(),
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
            Targets::Images(images) => Ok(images.identity().to_owned()),
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

impl From<Arc<ImageTargets>> for Targets {
    fn from(images: Arc<ImageTargets>) -> Self {
        Targets::Images(images)
    }
}
