//! What a step is given: the views of a batch with the teacher's rows of them, and the numbers beside them.

use tch::{Kind, Tensor};

use super::patches::PatchTerm;
use crate::{Error, Result};

/// The numbers that one step needs beside its networks.
#[derive(Debug, Clone, Copy)]
pub struct StepSettings {
    /// Number format of both forward passes: float32 or bfloat16. Loss and weights are float32.
    pub precision: Kind,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Key of this step's dropout and stochastic depth.
    pub noise: u64,
    /// Whether batch norm uses its running statistics and leaves them alone.
    pub running_norm: bool,
    /// Pieces that the batch goes through the networks in, one after another (gradient accumulation). The gradient is
    /// that of the whole batch, but for batch norm, which sees a piece at a time.
    pub pieces: u64,
    /// Highest L2 norm of the gradient over all parameters; 0: no limit.
    pub clip_norm: f64,
    /// The pass over the data set that the step belongs to, from 0; none without a data set.
    pub epoch: Option<u64>,
}

/// What a step learns from, all of it on the student's device.
#[derive(Clone, Copy)]
pub struct StepBatch<'a> {
    /// (B,3,H,W), or (B,1,H,W) of a student with one channel, normalised.
    pub views: &'a Tensor,
    /// t (B,C), the teacher's rows of them, unit vectors in float32; none without a teacher.
    pub target: Option<&'a Tensor>,
    /// Which image of the data set each view shows, where they show any.
    pub images: Option<&'a [usize]>,
    /// Another view of each image, as `views`, where the strategy [wants](super::Strategy::wants_second_views) them.
    pub second: Option<&'a Tensor>,
    /// Small views of each image, each (B,3,h,w), where the strategy [joins](super::Strategy::joins_views) all views.
    pub small: &'a [Tensor],
    /// What the views learn of the teacher's feature map, where a run has that.
    pub patches: Option<PatchTerm<'a>>,
}

impl StepBatch<'_> {
    /// The large views, those of the first kind before the second, and the small ones, where there are some.
    pub(super) fn by_size(&self) -> Result<Vec<Tensor>> {
        let large: Vec<_> = std::iter::once(self.views).chain(self.second).collect();
        let mut sizes = vec![Tensor::f_cat(&large, 0)?];
        if !self.small.is_empty() {
            sizes.push(Tensor::f_cat(self.small, 0)?);
        }
        Ok(sizes)
    }

    /// t, for a strategy that learns from a teacher.
    ///
    /// # Errors
    /// `InvalidArgument` where there is none.
    pub fn taught(&self) -> Result<&Tensor> {
        self.target
            .ok_or_else(|| Error::invalid("a step without a teacher's rows, for a method that learns from a teacher"))
    }
}
