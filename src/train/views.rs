//! Which views of its images a run shows, and how a batch of them comes to the run's device.

use tch::Tensor;

use super::distill::Distillation;
use crate::Result;
use crate::config::to_usize;
use crate::data::{Batch, ViewConfig};
use crate::distill::views::upload;

impl Distillation {
    /// What the views of an image are drawn from, one of a batch after the other: the large ones, then the small ones.
    pub(super) fn recipes(&self) -> Result<Vec<ViewConfig>> {
        let large = if self.strategy.wants_second_views() { 2 } else { 1 };
        let mut recipes = vec![self.config.view.clone(); large];
        recipes.resize(large + to_usize(self.config.small.count)?, self.config.small.view(&self.config.view));
        Ok(recipes)
    }

    /// The views of a batch, each (B,C,H,W), channels-last, on the run's device.
    pub(super) fn upload(&self, batch: &Batch) -> Result<Vec<Tensor>> {
        let recipes = self.recipes()?;
        batch.views.iter().zip(&recipes).map(|(views, recipe)| upload(views, recipe, self.device)).collect()
    }
}
