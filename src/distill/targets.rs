//! Where a run's targets t come from: the teacher in the loop, a bank of what it said before, or an embedding an image.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::bank::Bank;
use super::image_targets::ImageTargets;
use super::views::for_teacher;
use crate::data::{Batch, Slot, ViewConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::finite::Names;
use crate::model::{PatchMap, Teacher, unit_rows};
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
    /// There is no teacher: the student learns from its own views, to rows of `dim`.
    Own {
        /// C; 0: the student's.
        dim: i64,
    },
}

impl Targets {
    /// Whether there is a teacher, or what stands for one.
    pub fn has_teacher(&self) -> bool {
        !matches!(self, Targets::Own { .. })
    }

    /// C.
    pub fn dim(&self) -> i64 {
        match self {
            Targets::Teacher(teacher) => teacher.embedding_dim(),
            // At most 65,536, checked when the bank was opened.
            Targets::Bank(bank) => bank.header().dim as i64,
            Targets::Images(images) => images.dim(),
            Targets::Own { dim } => *dim,
        }
    }

    /// Where the teacher is; what is stored serves every device.
    pub fn device(&self) -> Option<Device> {
        match self {
            Targets::Teacher(teacher) => Some(teacher.device()),
            Targets::Bank(_) | Targets::Images(_) | Targets::Own { .. } => None,
        }
    }

    /// What there is to learn of a step's `views`: t (B, C), unit rows in float32 on the views' device, and the teacher's feature map where
    /// `asking` wants one. A teacher sees them, in as many pieces as the student
    /// does; nothing is locked meanwhile, so that nobody waits for it and an application's callback may use the library. What is stored
    /// is looked up by `batch`; a bank's rows are brought back to length 1, since float16 rounds each number by up to 2⁻¹¹ of itself.
    ///
    /// # Errors
    /// Those of the source, which call image i by the name that `asking` gives; `InvalidArgument` for views that no batch of the data
    /// set is, where the source is no teacher; `Unsupported` for a feature map of what has none.
    pub fn of_step(
        &self,
        views: &Tensor,
        batch: Option<&Batch>,
        number: usize,
        view: &ViewConfig,
        asking: &Asking<'_>,
    ) -> Result<Told> {
        let no_batch = || {
            Error::invalid(
                "a run over stored embeddings has no targets for other images: call run, or make the run with the teacher",
            )
        };
        let stored = match self {
            Targets::Teacher(teacher) => return asking.of(teacher, &for_teacher(views, &view.input)?),
            _ if asking.map.is_some() => return Err(no_map(self)),
            Targets::Bank(bank) => {
                let batch = batch.ok_or_else(no_batch)?;
                bank.targets(&batch.slots, &batch.indices, number)?
            }
            Targets::Images(images) => images.targets(&batch.ok_or_else(no_batch)?.indices)?,
            Targets::Own { .. } => return Err(no_teacher()),
        };
        let rows = unit_rows(&torch::copy_to(&stored, views.device())?.f_to_kind(Kind::Float)?)?;
        Ok(Told { rows, map: None })
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
            Targets::Own { .. } => return Err(no_teacher()),
            Targets::Bank(bank) => {
                let mut views = Vec::new();
                for view in 0..bank.header().views.count {
                    let slots: Vec<Slot> = numbers.iter().map(|&index| Slot { view, index }).collect();
                    views.push(bank.targets(&slots, numbers, 0)?.f_to_kind(Kind::Float)?);
                }
                Tensor::f_stack(&views, 0)?.f_mean_dim([0i64].as_slice(), false, Kind::Float)?
            }
        };
        unit_rows(&rows.f_to_kind(Kind::Float)?)
    }

    /// Who gives the rows, for messages.
    pub fn who(&self) -> String {
        match self {
            Targets::Teacher(teacher) => format!("teacher ({})", teacher.name()),
            Targets::Bank(bank) => format!("bank's teacher ({})", bank.header().teacher.architecture),
            Targets::Images(_) => "table of embeddings".to_owned(),
            Targets::Own { .. } => "student itself".to_owned(),
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
            Targets::Own { .. } => Ok("none".to_owned()),
        }
    }
}

fn no_teacher() -> Error {
    Error::invalid("there is no teacher to ask: the student learns from its own views")
}

fn no_map(targets: &Targets) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the {} has embeddings and no feature maps", targets.who()))
}

/// What a teacher says of a step's views.
pub struct Told {
    /// t (B,C), unit rows in float32.
    pub rows: Tensor,
    /// The feature map (B,C',h,w), float32, where it was asked for.
    pub map: Option<Tensor>,
}

/// How a step asks its teacher.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Number format of the forward pass.
    pub precision: Kind,
    /// Pieces that the batch goes through in, one after another.
    pub pieces: u64,
    /// The feature map that is asked for beside the embedding, if any.
    pub map: Option<&'a PatchMap>,
    /// What errors call an image of the batch.
    pub names: Names<'a>,
}

impl Asking<'_> {
    /// What `teacher` says of `images` (B,3,H,W).
    fn of(&self, teacher: &Teacher, images: &Tensor) -> Result<Told> {
        let batch = images.size()[0];
        let length = (batch as u64).div_ceil(self.pieces.max(1)).max(1) as i64;
        if length >= batch {
            return self.of_piece(teacher, images, self.names);
        }
        let (mut rows, mut maps) = (Vec::new(), Vec::new());
        for start in (0..batch).step_by(length as usize) {
            let piece = images.f_narrow(0, start, length.min(batch - start))?;
            let names = |row: usize| (self.names)(start as usize + row);
            let told = self.of_piece(teacher, &piece, &names)?;
            rows.push(told.rows);
            maps.extend(told.map);
        }
        let map = match maps.is_empty() {
            true => None,
            false => Some(Tensor::f_cat(&maps, 0)?),
        };
        Ok(Told { rows: Tensor::f_cat(&rows, 0)?, map })
    }

    fn of_piece(&self, teacher: &Teacher, images: &Tensor, names: Names) -> Result<Told> {
        match self.map {
            Some(map) => {
                let (rows, map) = teacher.embed_with_map(images, self.precision, map, names)?;
                Ok(Told { rows, map: Some(map) })
            }
            None => Ok(Told { rows: teacher.embed_named(images, Some(self.precision), names)?, map: None }),
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
