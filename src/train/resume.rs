//! A run's checkpoint: what is written, and how another process goes on from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tch::Tensor;

use super::average::Average;
use super::board::Board;
use super::distill::Distillation;
use super::looking::state_of;
use super::shared::{lock, with_lock};
use super::strategies::needs;
use crate::checkpoint::{self, Contents, Manifest, format};
use crate::config::{
    BatchNorm, FREE_SETTINGS, MethodName, MethodsConfig, Optimiser, PatchConfig, ProbeConfig, QueueFill, SmallConfig,
    Standardise,
};
use crate::distill::queue::{Queue, QueueSnapshot};
use crate::model::weights::{HostTensor, StateDict};
use crate::model::{Load, Network};
use crate::{Error, ErrorKind, Result, torch};

/// The parts of a checkpoint: the student's weights, the optimiser's velocities by parameter, the queue, and the weights of the best
/// student so far, where another than the last one is. A strategy may have others.
const STUDENT: &str = "student";
const OPTIMISER: &str = "optimiser";
const QUEUE: &str = "queue";
const BEST: &str = "best";
const AVERAGE: &str = "average";
const SMALL_QUEUE: &str = "queue_of_small_views";

/// What a setting was before there was a key for it, so that older checkpoints stay the same runs.
fn before_the_key(key: &str) -> Value {
    match key {
        "batch_norm" => json!(BatchNorm::Batch),
        "method" => json!(MethodName::Seed),
        "optimiser" => json!(Optimiser::Sgd),
        "methods" => json!(MethodsConfig::default()),
        "small" => json!(SmallConfig::default()),
        "patch" => json!(PatchConfig::default()),
        "queue_fill" => json!(QueueFill::Noise),
        "projection_layers" => json!(2),
        "mixup" | "student_average" => json!(0.0),
        "standardise" => json!(Standardise::None),
        "head_dropout" => json!(0.0),
        "probe" => json!(ProbeConfig { images: 0, ..ProbeConfig::default() }),
        _ => Value::Null,
    }
}

impl Distillation {
    /// Whether an error of [`run`](Distillation::run) came of a loss that is not finite: every further try of the same run ends so.
    ///
    /// # Errors
    /// `Torch` from libtorch.
    pub fn has_diverged(&self) -> Result<bool> {
        if self.losses.unread.is_empty() {
            return Ok(false);
        }
        Ok(!Tensor::f_stack(&self.losses.unread, 0)?.f_mean(None)?.f_double_value(&[])?.is_finite())
    }

    pub(super) fn checkpoint_if_configured(&self) -> Result<()> {
        if self.config.checkpoint_path.is_empty() || !self.writes() {
            return Ok(());
        }
        if !self.losses.unread.is_empty() {
            // A run that has diverged must not replace the last checkpoint that is good.
            self.finite_loss()?;
        }
        self.save(&PathBuf::from(&self.config.checkpoint_path))
    }

    /// The checkpoint where a call ends: of several processes, one that failed for rank 0 has failed for all.
    pub(super) fn checkpoint_of_all(&self, what: &str) -> Result<()> {
        self.together(what, self.checkpoint_if_configured())
    }

    /// Writes everything that the run needs to go on, atomically, to the folder `path`.
    pub fn save(&self, path: &Path) -> Result<()> {
        // Held to the end: one save at a time, and of one moment.
        with_lock(&self.student, |student| self.save_of(student, path))
    }

    fn save_of(&self, student: &Network, path: &Path) -> Result<()> {
        let snapshot = with_lock(&self.queue, |queue| queue.snapshot())?;
        let contents = Contents {
            manifest: Manifest {
                format: format::FORMAT.to_owned(),
                library: env!("CARGO_PKG_VERSION").to_owned(),
                step: self.step,
                optimiser_steps: self.optimiser.steps(),
                method: self.config.method.word().to_owned(),
                architecture: student.architecture().name().to_owned(),
                config: serde_json::to_value(&self.config)
                    .map_err(|error| Error::new(ErrorKind::Internal, format!("the configuration: {error}")))?,
                dataset: self.dataset.as_ref().map_or(String::new(), |dataset| dataset.identity()),
                teacher: self.targets.identity()?,
                queue: (snapshot.pointer, snapshot.filled),
                loss: self.record.as_ref().and_then(|record| record.loss),
                probe: self.looking.to_value()?,
                files: Default::default(),
            },
            parts: self.parts(student, &snapshot)?,
        };
        checkpoint::save(path, &contents)
    }

    fn parts(&self, student: &Network, queue: &QueueSnapshot) -> Result<BTreeMap<String, StateDict>> {
        let plain = |tensors| StateDict { tensors, metadata: Default::default() };
        let (names, tensors): (Vec<&str>, Vec<Tensor>) =
            self.optimiser.velocities().map(|(name, velocity)| (name, velocity.shallow_clone())).unzip();
        let mut velocities = BTreeMap::new();
        torch::each_on_host(&tensors, |number, velocity| {
            velocities.insert(names[number].to_owned(), HostTensor::from_tensor(&velocity)?);
            Ok(())
        })?;
        let mut parts = BTreeMap::from([
            (STUDENT.to_owned(), plain(student.to_state()?.into_iter().collect())),
            (OPTIMISER.to_owned(), plain(velocities)),
            (QUEUE.to_owned(), queue.to_state()?),
        ]);
        if let Some(best) = self.looking.best() {
            parts.insert(BEST.to_owned(), best.clone());
        }
        parts.extend(self.strategy.parts()?);
        parts.extend(self.standardisation_part()?);
        if let Some(average) = &self.average {
            parts.insert(AVERAGE.to_owned(), with_lock(&average.network, state_of)?);
        }
        if let Some(queue) = &self.small_queue {
            parts.insert(SMALL_QUEUE.to_owned(), queue.snapshot()?.to_state()?);
        }
        Ok(parts)
    }

    /// Goes on where the checkpoint in `path` stopped: the same run, on the CPU bit for bit. Teacher, data set, student
    /// architecture and every setting that shapes the numbers must be the same; nothing is changed when they are not.
    pub fn resume(&mut self, path: &Path) -> Result<()> {
        let mut contents = checkpoint::load(path)?;
        let manifest = &contents.manifest;
        self.check_same_run(manifest).map_err(|error| error.context(path.display()))?;
        let part = |name: &str| contents.part(name).map_err(|error| error.context(path.display()));
        let standardisation =
            self.standardisation_of(&contents.parts, manifest.step).map_err(|error| error.context(path.display()))?;
        let average = self.average_of(&contents.parts, manifest.step).map_err(|error| error.context(path.display()))?;
        let (weights, velocities) = (part(STUDENT)?, part(OPTIMISER)?);
        let snapshot = QueueSnapshot::from_state(part(QUEUE)?)?;
        let of_small = match &self.small_queue {
            Some(_) => Some(QueueSnapshot::from_state(part(SMALL_QUEUE)?)?),
            None => None,
        };
        let velocity = |name: &str| velocities.tensors.get(name).map(HostTensor::to_tensor).transpose();
        let (optimiser, strategy) = (&mut self.optimiser, &mut self.strategy);
        let small_before = self.small_queue.as_ref().map(Queue::snapshot).transpose()?;
        let small_queue = &mut self.small_queue;
        let mut restore_small = |snapshot: &Option<QueueSnapshot>| match (&mut *small_queue, snapshot) {
            (Some(queue), Some(snapshot)) => queue.restore(snapshot),
            _ => Ok(()),
        };
        // The optimiser checks before it writes, and so do student, queue and strategy: a misfit leaves all as it was.
        with_lock(&self.student, |student| {
            with_lock(&self.queue, |queue| {
                let before = (queue.snapshot()?, strategy.parts()?);
                queue.restore(&snapshot)?;
                let restored = restore_small(&of_small)
                    .and_then(|()| strategy.restore(&contents.parts))
                    .and_then(|()| student.load(weights, Load::Everything))
                    .and_then(|_| optimiser.restore(manifest.optimiser_steps, velocity));
                if restored.is_err() {
                    restore_small(&small_before)?;
                    queue.restore(&before.0)?;
                    strategy.restore(&before.1)?;
                }
                restored
            })
        })
        .map_err(|error| error.context(path.display()))?;
        (self.standardisation, self.average) = (standardisation, average);
        let best = contents.parts.remove(BEST);
        let manifest = &contents.manifest;
        // Only rank 0 looks, and knows how it was.
        if self.writes() {
            self.looking.restore(path, &manifest.probe, best)?;
        }
        // One that was written before the first step may have a queue that is noise still.
        self.fresh_queue &= manifest.step == 0 && manifest.queue.1 == 0;
        self.step = manifest.step;
        self.warn_of_strategy();
        self.losses.unread.clear();
        // Another start: the next report begins another file.
        self.board = Board::default();
        if let Some(record) = &mut self.record {
            record.loss = manifest.loss;
        }
        self.note(None)
    }

    /// The mean of the run's students in a checkpoint's `parts` at step `step`: none where the run is over.
    ///
    /// # Errors
    /// `Mismatch` where the run needs it and they have none that fits.
    fn average_of(&self, parts: &BTreeMap<String, StateDict>, step: u64) -> Result<Option<Average>> {
        let share = self.config.student_average;
        let Some(average) = with_lock(&self.student, |student| Average::new(student, share))? else { return Ok(None) };
        match parts.get(AVERAGE) {
            Some(state) => {
                with_lock(&average.network, |network| network.load(state, Load::Everything))?;
                Ok(Some(average))
            }
            None if step >= self.total_steps() => Ok(None),
            None => Err(Error::mismatch(format!("the checkpoint has no part \"{AVERAGE}\""))),
        }
    }

    fn check_same_run(&self, manifest: &Manifest) -> Result<()> {
        let expect = |what: &str, found: &str, expected: &str| {
            if found == expected {
                return Ok(());
            }
            Err(Error::mismatch(format!("the checkpoint's {what} is \"{found}\", but this run's is \"{expected}\"")))
        };
        expect("method", &manifest.method, self.config.method.word())?;
        expect("student architecture", &manifest.architecture, lock(&self.student)?.architecture().name())?;
        expect("teacher", &manifest.teacher, &self.targets.identity()?)?;
        expect("data set", &manifest.dataset, &self.dataset.as_ref().map_or(String::new(), |d| d.identity()))?;
        let own = serde_json::to_value(&self.config)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("the configuration: {error}")))?;
        for (key, value) in own.as_object().into_iter().flatten() {
            if FREE_SETTINGS.contains(&key.as_str()) {
                continue;
            }
            let stored = manifest.config.get(key).cloned().unwrap_or_else(|| before_the_key(key));
            if key == "methods" {
                // What other methods would need is none of this run's.
                let needs = needs(&self.config, self.targets.has_teacher())?;
                let defaults = before_the_key(key);
                for name in needs.settings {
                    let of = |all: &Value| all.get(name).unwrap_or(&defaults[name]).to_string();
                    expect(&format!("setting {name} of method {}", self.config.method), &of(&stored), &of(value))?;
                }
                continue;
            }
            expect(&format!("setting {key}"), &stored.to_string(), &value.to_string())?;
        }
        if manifest.step > self.total_steps() {
            return Err(Error::mismatch(format!(
                "the checkpoint is at step {}, but the run has {} steps",
                manifest.step,
                self.total_steps()
            )));
        }
        Ok(())
    }
}
