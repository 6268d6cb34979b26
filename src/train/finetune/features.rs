//! Features of the labelled images: what the frozen backbone says of each, by one pass, beside its class.

use std::sync::Arc;

use tch::{Kind, Tensor};

use super::{FinetuneProgress, Run, Stage, Start, split};
use crate::Result;
use crate::config::to_usize;
use crate::infer::{Output, Session, SessionOptions};
use crate::sys::memory::room;
use crate::train::progress::Control;

/// Images that are embedded at once.
pub(super) const CHUNK: usize = 32;

/// Features (N, d) in float64 and classes of images that could be read.
pub(super) struct Part {
    /// Numbers in the data set.
    pub(super) images: Vec<usize>,
    pub(super) features: Tensor,
    pub(super) truth: Vec<usize>,
}

impl Part {
    /// Both together.
    pub(super) fn with(&self, other: &Part) -> Result<Part> {
        Ok(Part {
            images: [self.images.as_slice(), &other.images].concat(),
            features: Tensor::f_cat(&[&self.features, &other.features], 0)?,
            truth: [self.truth.as_slice(), &other.truth].concat(),
        })
    }
}

impl Run<'_> {
    /// Features of all images of the split, by one pass of the backbone.
    pub(super) fn embed(
        &mut self,
        start: &Start,
        split: &split::Split,
        report: &mut dyn FnMut(FinetuneProgress) -> Control,
    ) -> Result<(Part, Part)> {
        let all = [split.train.as_slice(), split.held_out.as_slice()].concat();
        let part = Arc::new(self.images.dataset.subset(&all)?);
        let options = SessionOptions::of(self.config, Output::Features)?;
        let session = Session::new(&start.network, &start.input, options)?;
        let began = self.began;
        let stop = &mut self.stop;
        let rows = session.embed_marked(&part, CHUNK, to_usize(self.config.workers)?, &mut |done, total| {
            let elapsed = began.elapsed().as_secs_f64();
            let progress = FinetuneProgress {
                stage: Stage::Embedding,
                done: done as u64,
                total: total as u64,
                epoch: 0,
                loss: f64::NAN,
                held_out_loss: f64::NAN,
                held_out_accuracy: f64::NAN,
                eta_seconds: elapsed / done.max(1) as f64 * (total - done) as f64,
                elapsed_seconds: elapsed,
            };
            stop.asked |= report(progress) == Control::Stop;
            !stop.now()
        })?;
        let dim = session.dim();
        let take = |range: std::ops::Range<usize>| -> Result<Part> {
            let sound: Vec<usize> = range.filter(|place| !rows.broken.contains(place)).collect();
            let mut values: Vec<f32> = room(sound.len() * dim, "features of labelled images")?;
            sound.iter().for_each(|&place| values.extend_from_slice(&rows.values[place * dim..][..dim]));
            let features = Tensor::f_from_slice(&values)?.f_view([sound.len() as i64, dim as i64])?;
            let images: Vec<usize> = sound.iter().map(|&place| all[place]).collect();
            // The split holds images whose label is a class.
            let truth = images.iter().map(|&image| self.images.labels[image] as usize).collect();
            Ok(Part { images, features: features.f_to_kind(Kind::Double)?, truth })
        };
        Ok((take(0..split.train.len())?, take(split.train.len()..all.len())?))
    }
}
