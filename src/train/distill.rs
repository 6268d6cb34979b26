//! Distillation as a method of the loop ([`super::run`]): views → teacher (or its bank) → student → loss over the queue → SGD → queue. What
//! the loss is, SEED's or another, is the strategy's matter ([`super::strategies`]).

use std::sync::{Arc, Mutex};

use tch::{Device, Kind};

use super::average::Average;
use super::bank::check_bank;
use super::board::Board;
use super::cancel::CancelToken;
use super::checks::{check_images, check_mixup, check_standardise, check_student, check_view_tile, total_steps};
use super::depth::seeing;
use super::looking::Looking;
use super::losses::Losses;
use super::pace::{Pace, paced};
use super::patches::PatchMaps;
use super::probe::{Looks, ProbeImages};
use super::progress::{Control, Progress};
use super::record::Record;
use super::run::{Course, Outcome, run};
use super::shared::{SharedNetwork, SharedQueue, with_lock};
use super::strategies::{Ground, needs, strategy};
use super::world::Membership;
use crate::config::{Config, Optimiser, to_usize};
use crate::data::{Dataset, Loader, Sampling};
use crate::distill::queue::Queue;
use crate::distill::standardise::Standardisation;
use crate::distill::{Strategy, Targets};
use crate::model::Head;
use crate::optim::{Cosine, Sgd};
use crate::warnings::Warnings;
use crate::{Error, Result, device};

/// Width of the embedding of a student that learns without a teacher, where nothing else is said (MoCo's and SimCLR's).
const OWN_WIDTH: i64 = 128;

/// One run: what it works on, and how far it is.
pub struct Distillation {
    pub(super) config: Config,
    pub(super) device: Device,
    pub(super) precision: Kind,
    pub(super) targets: Targets,
    // What is done to them, where targets.standardise says so: known from the first call on.
    pub(super) standardisation: Option<Standardisation>,
    // What is compared patch by patch, where the run has that.
    pub(super) patch_maps: Option<PatchMaps>,
    pub(super) student: SharedNetwork,
    // The mean of its last steps, where the run is to end with that.
    pub(super) average: Option<Average>,
    pub(super) queue: SharedQueue,
    // Of the small views, where there are some.
    pub(super) small_queue: Option<Queue>,
    pub(super) optimiser: Sgd,
    pub(super) dataset: Option<Arc<Dataset>>,
    pub(super) strategy: Box<dyn Strategy>,
    pub(super) schedule: Cosine,
    pub(super) step: u64,
    // Losses whose values were not read yet, so that no step waits for the device.
    pub(super) losses: Losses,
    pub(super) record: Option<Record>,
    pub(super) board: Board,
    // Whether the queue is our own and still noise, which the data set's embeddings may replace.
    pub(super) fresh_queue: bool,
    pub(super) looking: Looking,
    pub(super) warnings: Warnings,
    /// Where several processes make the run.
    pub(super) membership: Option<Membership>,
}

impl Distillation {
    /// A run from the start. `targets` is the teacher (`Arc<Teacher>`), a bank of its embeddings (`Arc<Bank>`), which
    /// must be finished and hold the very views of this configuration and data set, or an embedding for each image of the
    /// data set (`Arc<ImageTargets>`). `queue` None: a new one of the
    /// configured capacity. `dataset` None: the application brings its own batches ([`Distillation::step_on`]), and `steps` must be configured.
    ///
    /// Errors: `Mismatch` when teacher, student, queue and configuration do not share one embedding width, or the
    /// bank is stale.
    pub fn new(
        config: Config,
        student: SharedNetwork,
        targets: impl Into<Targets>,
        queue: Option<SharedQueue>,
        dataset: Option<Arc<Dataset>>,
    ) -> Result<Self> {
        let mut targets = targets.into();
        config.validate()?;
        let config = seeing(config, dataset.as_deref())?;
        let needs = needs(&config, targets.has_teacher())?;
        check_mixup(&config, &targets)?;
        check_view_tile(&config, &targets)?;
        check_standardise(&config, targets.has_teacher(), dataset.is_some(), queue.is_some())?;
        if let Targets::Images(images) = &targets {
            check_images(images, dataset.as_deref())?;
        }
        if let Targets::Bank(bank) = &targets {
            check_bank(bank, &config, dataset.as_deref())?;
        }
        let device = device::parse(&config.device)?;
        let precision = device::precision(config.precision, device);
        // The probe compares with a teacher.
        let probed = dataset.as_deref().filter(|_| needs.teacher);
        let probe = probed.and_then(|dataset| ProbeImages::choose(&config, dataset.len()));
        let learned = match (&probe, &dataset) {
            (Some(ProbeImages { learned: Some(learned), .. }), _) => learned.len(),
            (_, Some(dataset)) => dataset.len(),
            (_, None) => 0,
        };
        let total = total_steps(&config, dataset.is_some().then_some(learned))?;
        let (optimiser, strategy, average, patch_maps) = with_lock(&student, |student| {
            let headless = config.embedding_dim == 0 && student.head() == Head::None;
            if let Targets::Own { dim } = &mut targets {
                *dim = if headless { OWN_WIDTH } else { student.output_dim() };
            }
            if headless {
                let (hidden, dim) = (to_i64(config.projection_hidden)?, targets.dim());
                let layers = to_i64(config.projection_layers)?;
                let head = match needs.normed_head {
                    true => Head::NormedProjection { layers, hidden, dim },
                    false => Head::projection(layers, hidden, dim),
                };
                student.replace_head(head, config.seed)?;
            }
            check_student(student, &targets, &config, device)?;
            let patch_maps = PatchMaps::of_run(&config, &targets, student.architecture())?;
            student.to_channels_last()?;
            let ground =
                Ground { config: &config, images: dataset.as_ref().map(|dataset| dataset.len()), learned, student };
            let strategy = strategy(&ground)?;
            let parameters = student.parameters().into_iter().chain(strategy.parameters()).collect();
            let optimiser = match config.optimiser {
                Optimiser::Lars => Sgd::lars(parameters, config.momentum, config.weight_decay)?,
                Optimiser::Sgd => Sgd::new(parameters, config.momentum, config.weight_decay)?,
            };
            Ok((optimiser, strategy, Average::new(student, config.student_average)?, patch_maps))
        })?;
        let width = targets.dim();
        let fresh_queue = queue.is_none();
        let queue = match queue {
            Some(queue) => queue,
            None => Arc::new(Mutex::new(Queue::new(to_i64(config.queue_capacity)?, width, config.seed, device)?)),
        };
        let small_queue = match config.small.count {
            0 => None,
            _ if strategy.joins_views() => None,
            // Other noise than the large views'.
            _ => Some(Queue::new(to_i64(config.queue_capacity)?, width, config.seed.wrapping_add(1), device)?),
        };
        with_lock(&queue, |queue| {
            if queue.width() != width {
                return Err(Error::mismatch(format!(
                    "the queue holds embeddings of {}, the run's are of {width}",
                    queue.width()
                )));
            }
            queue.to_device(device)
        })?;
        if let Some(dataset) = &dataset {
            dataset.set_cache_bytes(usize::try_from(config.cache_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20));
        }
        let base = config.learning_rate * config.batch_size as f64 / 256.0;
        let warmup = match config.warmup_steps {
            0 if !config.chosen.contains("warmup_steps") => {
                let images = needs.warmup_epochs.saturating_mul(learned as u64);
                (images / config.batch_size).min(total / 10)
            }
            steps => steps,
        };
        let schedule = Cosine { base, warmup, total };
        let run = Self {
            config,
            device,
            precision,
            targets,
            standardisation: None,
            patch_maps,
            student,
            average,
            queue,
            small_queue,
            optimiser,
            dataset,
            strategy,
            schedule,
            step: 0,
            losses: Losses::default(),
            record: None,
            board: Board::default(),
            fresh_queue,
            looking: Looking::new(probe),
            warnings: Warnings::default(),
            membership: None,
        };
        run.warn_of_strategy();
        Ok(run)
    }

    /// Steps made, resumed ones included.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.schedule.total
    }

    /// The student, shared.
    pub fn student(&self) -> &SharedNetwork {
        &self.student
    }

    /// What the run's probe has found so far; None where it is not probed or has not begun.
    pub fn looks(&self) -> Option<Looks> {
        self.looking.looks()
    }

    /// The queue, shared.
    pub fn queue(&self) -> &SharedQueue {
        &self.queue
    }

    /// What a caller should know about the run although nothing failed.
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// Distils until the run's end, or for `max_steps` more steps. `observe` is called every `progress_every` steps and
    /// at the end, on this thread, with nothing locked. After an error or a cancel the run can go on with another call:
    /// every finished step counts.
    pub fn run(
        &mut self,
        max_steps: Option<u64>,
        cancel: &CancelToken,
        mut observe: impl FnMut(&Progress) -> Control,
    ) -> Result<Outcome> {
        let config = self.config.clone();
        paced(&config, |report| self.run_here(max_steps, cancel, report), |progress| observe(&progress))
    }

    fn run_here(
        &mut self,
        max_steps: Option<u64>,
        cancel: &CancelToken,
        observe: &mut dyn FnMut(Progress) -> Control,
    ) -> Result<Outcome> {
        let total = self.total_steps();
        let end = total.min(self.step.saturating_add(max_steps.unwrap_or(u64::MAX)));
        let world = self.world();
        let turn = world.as_ref().map(|world| world.turn()).transpose()?;
        let result = self.run_to(end, cancel, observe);
        match turn {
            Some(turn) => turn.settle(result),
            None => result,
        }
    }

    fn run_to(
        &mut self,
        end: u64,
        cancel: &CancelToken,
        observe: &mut dyn FnMut(Progress) -> Control,
    ) -> Result<Outcome> {
        let total = self.total_steps();
        self.meet(end)?;
        let pace = Pace::new(&self.config, self.device, cancel);
        let begun = self.begin(end, &pace, observe);
        let Some(mut loader) = self.agree_on_start(begun)? else {
            self.checkpoint_of_all("the checkpoint")?;
            return Ok(Outcome::Cancelled);
        };
        self.share_queue()?;
        let course = Course {
            first: self.step,
            end,
            total,
            of_pass: 0,
            images: to_usize(self.config.batch_size)?,
            report_every: self.config.progress_every.max(1),
            save_every: match self.config.checkpoint_every {
                0 => (total / 20).max(1),
                steps => steps,
            },
            schedule: self.schedule,
            seed: self.config.seed,
        };
        let outcome = run(self, &mut loader, &course, &pace, observe)?;
        if outcome == Outcome::Finished {
            let kept = self.take_average().and_then(|()| self.keep_best());
            self.share_student(kept)?;
            let noted = self.note(None);
            self.together("the record of the run", noted)?;
            self.checkpoint_of_all("the last checkpoint")?;
        }
        Ok(outcome)
    }

    /// What comes before the first step of a call that ends before step `end`: the loader, or none where the observer has ended it.
    fn begin(
        &mut self,
        end: u64,
        pace: &Pace<'_>,
        observe: &mut dyn FnMut(Progress) -> Control,
    ) -> Result<Option<Loader>> {
        let dataset = self.dataset.clone().ok_or_else(|| {
            Error::invalid("the run has no data set: give the trainer one, or call step with your own images")
        })?;
        let sampling = Sampling {
            recipes: self.recipes()?,
            seed: self.config.seed,
            repeated: self.config.view_count,
            kept: self.looking.learned(),
        };
        let workers = to_usize(self.config.workers)?;
        let (images, share) = self.share()?;
        let loader = Loader::shared(Arc::clone(&dataset), sampling, images, share, self.step..end, workers)?;
        if self.writes() {
            self.board.open(&self.config.tensorboard_folder, self.step + 1)?;
        }
        // Before anything that takes time: whoever waits sees that the run has begun.
        if observe(self.before()) == Control::Stop {
            return Ok(None);
        }
        if !self.prepare_targets(&dataset, pace)? {
            return Ok(None);
        }
        self.fill_queue(&dataset, pace)?;
        self.prepare_strategy(&dataset, pace)?;
        self.look_at_start(&dataset)?;
        Ok(Some(loader))
    }

    /// How far the run is, without what a step measures.
    pub(super) fn before(&self) -> Progress {
        Progress {
            step: self.step,
            total_steps: self.total_steps(),
            epoch: self.epoch(),
            loss: f64::NAN,
            learning_rate: self.schedule.learning_rate(self.step),
            images_per_second: 0.0,
            eta_seconds: f64::NAN,
            elapsed_seconds: 0.0,
            waiting_share: 0.0,
            skipped_images: self.dataset.as_ref().map_or(0, |dataset| dataset.skipped().len() as u64),
            looks: self.looks(),
        }
    }

    /// The pass over the data set that the next step belongs to, from 0.
    pub(super) fn epoch(&self) -> u64 {
        let images = self.dataset.as_ref().map_or(0, |dataset| dataset.len());
        self.step.saturating_mul(self.config.batch_size) / self.looking.learns_from(images).max(1) as u64
    }
}

fn to_i64(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| Error::invalid(format!("{number} is too large")))
}
