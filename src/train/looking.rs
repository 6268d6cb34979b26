//! What a run does with its probe: looks at the start, every few per cent and at the end, and keeps the best student.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use tch::Tensor;

use super::distill::Distillation;
use super::pace::Pace;
use super::probe::{Look, Looks, PIECE, Probe, ProbeImages, learned_images, read};
use super::shared::{SharedNetwork, with_lock};
use crate::config::QueueFill;
use crate::config::to_usize;
use crate::data::Dataset;
use crate::data::random::{Purpose, generator, shuffle};
use crate::distill::Targets;
use crate::distill::views::for_teacher;
use crate::model::weights::StateDict;
use crate::model::{Load, Network, Teacher};
use crate::{Error, Result, torch};

/// At most so many frames fill a queue before the first step: with many more the first step would be long in coming, and the run's own
/// batches replace what is left of the noise.
const MOST_FILLED: usize = 4096;

/// The probe of a run and what it has found.
#[derive(Default)]
pub(super) struct Looking {
    chosen: Option<ProbeImages>,
    /// Who is asked about the probe's frames, where that is not the source of the run's targets.
    judge: Option<Targets>,
    /// Made when the run begins: reading frames and asking the teacher takes a moment.
    probe: Option<Probe>,
    looks: Option<Looks>,
    /// The weights of `looks.best`, where they are not the student's own any more.
    best: Option<StateDict>,
    /// At the end: the student that is not kept, and the look at it.
    other: Option<(StateDict, Look)>,
}

impl Looking {
    pub fn new(chosen: Option<ProbeImages>) -> Self {
        Self { chosen, ..Self::default() }
    }

    /// Forgets what was found: another process looks.
    pub fn forget(&mut self) {
        *self = Self::new(self.chosen.take());
    }

    /// What was found so far.
    pub fn looks(&self) -> Option<Looks> {
        self.looks
    }

    /// The images that the run learns from, where they are not all.
    pub fn learned(&self) -> Option<Arc<[usize]>> {
        self.chosen.as_ref().and_then(|chosen| chosen.learned.clone())
    }

    /// How many of `all` images these are.
    pub fn learns_from(&self, all: usize) -> usize {
        self.learned().map_or(all, |learned| learned.len())
    }

    /// The best student's weights, for a checkpoint.
    pub fn best(&self) -> Option<&StateDict> {
        self.best.as_ref()
    }

    /// What was found, for a checkpoint's manifest.
    pub fn to_value(&self) -> Result<Value> {
        serde_json::to_value(self.looks).map_err(|error| Error::internal("the probe", error))
    }

    /// Goes on from a checkpoint in `path`, which may have none of this.
    pub fn restore(&mut self, path: &Path, looks: &Value, best: Option<StateDict>) -> Result<()> {
        self.looks = serde_json::from_value(looks.clone())
            .map_err(|error| Error::format(path, format!("its probe: {error}")))?;
        self.best = best;
        Ok(())
    }
}

impl Distillation {
    /// Lets `teacher` itself say which frames of the probe are near each other. A bank knows random views of a frame only, and the mean
    /// of few of them is another answer than that to the frame.
    pub fn probed_by(mut self, teacher: Arc<Teacher>) -> Self {
        self.looking.judge = Some(teacher.into());
        self
    }

    /// Whom the probe looks at: the student that the run would end with.
    fn judged(&self) -> &SharedNetwork {
        self.average.as_ref().map_or(&self.student, |average| &average.network)
    }

    /// At the end: the student becomes the mean of the run's students, where there is one.
    pub(super) fn take_average(&mut self) -> Result<()> {
        let Some(average) = &self.average else { return Ok(()) };
        let state = with_lock(&average.network, state_of)?;
        with_lock(&self.student, |student| student.load(&state, Load::Everything))?;
        self.average = None;
        Ok(())
    }

    /// Looks at the student before the run's first step. In a resumed run the looks go on.
    pub(super) fn look_at_start(&mut self, dataset: &Dataset) -> Result<()> {
        let Some(chosen) = self.looking.chosen.as_ref().filter(|_| self.writes()) else { return Ok(()) };
        if self.looking.probe.is_none() {
            let judge = self.looking.judge.as_ref().unwrap_or(&self.targets);
            self.looking.probe = Probe::new(chosen, dataset, judge, &self.config, self.device, self.precision)?;
        }
        if let Some(probe) = &self.looking.probe
            && self.looking.looks.is_none()
        {
            let look = probe.look(self.judged(), self.step, self.precision)?;
            self.looking.looks = Some(probe.begin(look));
            self.show_look(&look);
            self.remember_best()?;
        }
        Ok(())
    }

    /// Looks at the student where it is time to, after a step.
    pub(super) fn look_when_due(&mut self) -> Result<()> {
        let total = self.total_steps();
        let Some(probe) = &self.looking.probe else { return Ok(()) };
        // A look costs about as much as a third of a step's work on as many images: it shall stay below a twelfth of the run.
        let least = (4 * probe.images()).div_ceil(self.config.batch_size);
        let every = ((total as f64 * self.config.probe.every) as u64).max(least);
        if !self.step.is_multiple_of(every) && self.step != total {
            return Ok(());
        }
        let look = probe.look(self.judged(), self.step, self.precision)?;
        let better = self.looking.looks.as_mut().is_some_and(|looks| looks.add(look));
        self.show_look(&look);
        if better {
            self.remember_best()?;
        }
        Ok(())
    }

    fn show_look(&mut self, look: &Look) {
        let mut shown = vec![("probe/agreement", look.agreement), ("probe/mean_cosine", look.cosine)];
        shown.extend(look.recall.map(|recall| ("probe/balanced_recall", recall)));
        self.board.show(look.step, &shown);
    }

    fn remember_best(&mut self) -> Result<()> {
        if self.config.probe.keep_best > 0 {
            self.looking.best = Some(with_lock(self.judged(), state_of)?);
        }
        Ok(())
    }

    /// At the end: the student becomes the best one of all looks, and what went wrong is said.
    pub(super) fn keep_best(&mut self) -> Result<()> {
        let Some(looks) = self.looking.looks else { return Ok(()) };
        let mut end = looks.last;
        if let Some(best) = &self.looking.best
            && looks.best.agreement > looks.last.agreement
        {
            let last = with_lock(&self.student, |student| {
                let last = state_of(student)?;
                student.load(best, Load::Everything)?;
                Ok(last)
            })?;
            self.looking.other = Some((last, looks.last));
            end = looks.best;
            if let Some(looks) = &mut self.looking.looks {
                looks.last = end;
            }
            log::info!(
                "the student of step {} is kept, which shares {:.3} of the teacher's nearest frames; the last one, of step {}, \
                 shared {:.3} (set probe.keep_best to 0 to keep the last one)",
                looks.best.step,
                looks.best.agreement,
                looks.last.step,
                looks.last.agreement
            );
        }
        self.looking.best = None;
        looks.warnings(&end).into_iter().for_each(|warning| self.warnings.add(warning));
        Ok(())
    }

    /// Where the best student of all looks was kept instead of the last one, or the reverse: takes the other of the two. False where there
    /// is only one.
    ///
    /// # Errors
    /// Those of a load; nothing is changed then.
    pub fn take_the_other(&mut self) -> Result<bool> {
        let Some((weights, look)) = &self.looking.other else { return Ok(false) };
        let kept = with_lock(&self.student, |student| {
            let kept = state_of(student)?;
            student.load(weights, Load::Everything)?;
            Ok(kept)
        })?;
        if let Some(looks) = &mut self.looking.looks {
            let before = std::mem::replace(&mut looks.last, *look);
            self.looking.other = Some((kept, before));
        }
        self.note(None)?;
        Ok(true)
    }

    /// Puts the teacher's embeddings of the data set into a queue that is still noise. A cancelled call leaves it as it is.
    pub(super) fn fill_queue(&mut self, dataset: &Dataset, pace: &Pace<'_>) -> Result<()> {
        let wanted = self.fresh_queue
            && self.step == 0
            && self.targets.has_teacher()
            && self.config.queue_fill == QueueFill::Dataset;
        if !wanted {
            self.fresh_queue = false;
            return Ok(());
        }
        let mut images = learned_images(&self.config, dataset.len());
        shuffle(&mut generator(self.config.seed, 0, 1, Purpose::Probe), &mut images);
        images.truncate(to_usize(self.config.queue_capacity)?.min(MOST_FILLED));
        let mut rows = Vec::new();
        let all = self.ask_about(dataset, &images, pace, &mut |_, found| {
            rows.push(self.standardised(found)?);
            Ok(())
        })?;
        if all {
            with_lock(&self.queue, |queue| rows.iter().try_for_each(|rows| queue.push(rows)))?;
            self.fresh_queue = false;
        }
        Ok(())
    }

    /// Hands to `take`, piece by piece, what the teacher says of the whole frames of `images`: those that can be read, with their rows
    /// (n,C). Whether it came to the end: a cancel ends it.
    pub(super) fn ask_about(
        &self,
        dataset: &Dataset,
        images: &[usize],
        pace: &Pace<'_>,
        take: &mut dyn FnMut(&[usize], Tensor) -> Result<()>,
    ) -> Result<bool> {
        for piece in images.chunks(PIECE) {
            if pace.cancel().wait().1 {
                return Ok(false);
            }
            let start = Instant::now();
            let (sound, frames) = read(dataset, piece, &self.config.view.input)?;
            if !sound.is_empty() {
                let seen = for_teacher(&torch::copy_to(&frames, self.device)?, &self.config.view.input)?;
                let rows = self.targets.of_frames(&seen, &sound, self.precision, &|row| dataset.title(sound[row]))?;
                take(&sound, rows)?;
            }
            pace.rest(start)?;
        }
        Ok(true)
    }
}

/// All tensors of a network, on the host.
pub(super) fn state_of(student: &mut Network) -> Result<StateDict> {
    Ok(StateDict { tensors: student.to_state()?.into_iter().collect(), metadata: Default::default() })
}
