//! A station's night: from the frames of the day to a student that serves tomorrow, in one call that can be interrupted anywhere.
//!
//! ```text
//! frames (fixed) → distil on from the live student → fine-tune with the labels → evaluate, gate → swap → report
//! ```
//!
//! Everything lies in one folder, each file or folder of it whole or absent:
//!
//! | name | what |
//! |---|---|
//! | `night.json` | whose folder it is, and how far the night has come ([`state`]) |
//! | `live/` | `student.safetensors`, `classifier.safetensors` where there is one, `about.json` |
//! | `previous/` | what was live before |
//! | `night/` | work under way: the night's frames, checkpoints, the candidate, its evaluation; gone when the night is done |
//! | `queue.safetensors` | the queue that the last night's distillation ended with, which the next one begins with |
//! | `history.jsonl` | one line for each night that was done |
//! | `report.html` | the last night's report |
//! | `night.lock` | held while a process works here |
//!
//! A stage counts as done when `night.json` says so, and what a stage made is whole before that. So the same call after a
//! cancel, a kill or a full disk goes on with the stage that was under way: distillation from its checkpoint, full fine-tuning
//! from its last pass, the others from their beginning. On the CPU the student is then the same, bit for bit. `live` and
//! `previous` are exchanged by single system calls, student and classifier together.

mod about;
mod charts;
mod chosen;
mod classifiers;
mod distil;
mod evaluate;
mod evaluation;
mod files;
mod folder;
mod history;
mod label;
mod lock;
mod options;
mod progress;
mod queue;
mod report;
mod restore;
mod shown;
mod state;
mod swap;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub use history::{Line, last as last_night};
pub use options::NightOptions;
pub use progress::{NightProgress, NightStage};
pub use restore::restore;
pub use state::describe;

use self::chosen::Frames;
use self::folder::Folder;
use self::lock::lock_folder;
use self::state::{Begun, State};
use crate::config::Config;
use crate::infer::LiveSession;
use crate::model::student_file::{StudentHeader, load_student};
use crate::model::{Network, Teacher};
use crate::store::Store;
use crate::sys::hash;
use crate::train::shared::{SharedNetwork, with_lock};
use crate::train::{CancelToken, Control};
use crate::{Error, ErrorKind, Result};

/// What a night is made of.
pub struct Night<'a> {
    /// Settings of distillation and fine-tuning; image size, mean and std must be the student's.
    pub config: &'a Config,
    /// Where the frames and labels are.
    pub store: &'a Store,
    /// Whom the student follows.
    pub teacher: Arc<Teacher>,
    /// The station's folder; made where there is none.
    pub folder: &'a Path,
    /// Whom the first night starts from; not looked at where the folder has a student.
    pub first: Option<(SharedNetwork, StudentHeader)>,
    /// How much of what.
    pub options: &'a NightOptions,
}

/// How a night ended.
#[derive(Debug, Clone, PartialEq)]
pub enum NightOutcome {
    /// There were too few new frames, or too few that could be held out. Nothing was changed; says why.
    NothingNew(String),
    /// The token or the observer ended it; the same call goes on.
    Cancelled,
    /// The night is done and the old student stays live.
    Kept(Line),
    /// The night is done and the new student is live.
    Live(Line),
}

/// What a stage needs to know.
struct Work<'a> {
    night: &'a Night<'a>,
    folder: &'a Folder,
    begun: &'a Begun,
    frames: &'a Frames,
    /// Of the folder.
    seed: u64,
    cancel: &'a CancelToken,
    began: Instant,
}

/// Whether a stage came to its end.
#[derive(PartialEq, Eq)]
enum Stage {
    Done,
    Cancelled,
}

impl Night<'_> {
    /// Runs a night, or goes on with the one that was interrupted. `line` runs the new student, where that passes.
    /// `observe` is called on this thread.
    ///
    /// # Errors
    /// `Busy` where another call works in the folder; `Mismatch` where the folder is another teacher's or its student does not
    /// fit the configuration; `InvalidArgument` for options out of bounds, and where there is no student to start from; those
    /// of the stages. After any of them the same call goes on.
    pub fn run(
        &self,
        line: Option<&LiveSession>,
        cancel: &CancelToken,
        observe: &mut dyn FnMut(&NightProgress) -> Control,
    ) -> Result<NightOutcome> {
        self.config.validate()?;
        self.options.check()?;
        let folder = Folder::make(self.folder)?;
        let _lock = lock_folder(&folder.lock())?;
        folder.remove_leftovers();
        let mut state = State::of(&folder, self)?;
        self.settle_student(&folder)?;
        if let Some(line) = line {
            // Better now than at the end of the night.
            line.successor(&folder.live().student(), self.config)?;
        }
        let settings = self.settings()?;
        self.drop_what_cannot_go_on(&folder, &mut state, &settings)?;
        if state.begun.is_none()
            && let Some(reason) = self.begin(&folder, &mut state, settings)?
        {
            return Ok(NightOutcome::NothingNew(reason));
        }
        let frames = match (Frames::load(&folder), state.begun.as_ref().map(|begun| begun.stage)) {
            (Err(error), Some(NightStage::Swap | NightStage::Report)) if error.kind() == ErrorKind::Format => {
                // Only the report would say more.
                log::warn!("the night goes on without its frames: {error}");
                Frames::default()
            }
            (frames, _) => frames?,
        };
        self.go_on(&folder, &mut state, &frames, line, cancel, observe)
    }

    fn go_on(
        &self,
        folder: &Folder,
        state: &mut State,
        frames: &Frames,
        line: Option<&LiveSession>,
        cancel: &CancelToken,
        observe: &mut dyn FnMut(&NightProgress) -> Control,
    ) -> Result<NightOutcome> {
        let began = Instant::now();
        loop {
            let Some(begun) = state.begun.clone() else {
                return Err(Error::new(ErrorKind::Internal, "the night ended twice"));
            };
            if cancel.wait().1 {
                return Ok(NightOutcome::Cancelled);
            }
            let work = Work { night: self, folder, begun: &begun, frames, seed: state.seed, cancel, began };
            if observe(&work.progress(begun.stage, 0, 0)) == Control::Stop {
                return Ok(NightOutcome::Cancelled);
            }
            let done = match begun.stage {
                NightStage::Distil => distil::run(&work, observe)?,
                NightStage::Finetune => label::run(&work, observe)?,
                NightStage::Evaluate => evaluate::run(&work, observe)?,
                NightStage::Swap => swap::run(&work, line)?,
                NightStage::Report => {
                    let told = report::run(&work, line.is_some())?;
                    queue::keep(folder)?;
                    state.end(folder, &begun, told.frames_seen)?;
                    folder.remove_work();
                    return Ok(if told.live { NightOutcome::Live(told) } else { NightOutcome::Kept(told) });
                }
            };
            match done {
                Stage::Cancelled => return Ok(NightOutcome::Cancelled),
                Stage::Done => state.advance(folder)?,
            }
        }
    }

    /// Sees to it that the folder has a student, and that it is one for this configuration and teacher.
    fn settle_student(&self, folder: &Folder) -> Result<()> {
        if folder.live().exists() {
            let (network, header) = load_student(&folder.live().student())?;
            return self
                .check_student(&network, &header)
                .map_err(|error| error.context(folder.live().student().display()));
        }
        let Some((network, header)) = &self.first else {
            return Err(Error::invalid(format!(
                "{} has no student yet; give the one that the first night starts from",
                folder.path().display()
            )));
        };
        with_lock(network, |network| {
            self.check_student(network, header)?;
            swap::install_first(folder, network, header)
        })
    }

    fn check_student(&self, network: &Network, header: &StudentHeader) -> Result<()> {
        let (own, dim) = (network.output_dim(), self.teacher.embedding_dim());
        if own != dim {
            return Err(Error::mismatch(format!("the student's embedding has {own} numbers, the teacher's {dim}")));
        }
        let (theirs, wanted) = (header.input, self.config.view.input);
        if theirs != wanted {
            return Err(Error::mismatch(format!(
                "the student takes views of {theirs}, the configuration says {wanted}"
            )));
        }
        Ok(())
    }

    /// A night that was begun with other settings or from another student, or whose frames have gone, is begun anew.
    fn drop_what_cannot_go_on(&self, folder: &Folder, state: &mut State, settings: &str) -> Result<()> {
        let Some(begun) = &state.begun else { return Ok(()) };
        let live = folder.live().student_hash()?;
        let reason = if begun.stage == NightStage::Report {
            None
        } else if begun.stage == NightStage::Swap {
            // What is left needs neither frames nor settings.
            swap::hindrance(folder, begun, &live)?
        } else if begun.settings != settings {
            Some("the settings, options or the library's version are others".to_owned())
        } else if begun.from != live {
            Some("the live student is another".to_owned())
        } else {
            Frames::load(folder)
                .and_then(|frames| frames.gone(self.store))
                .unwrap_or_else(|error| Some(error.to_string()))
        };
        let Some(reason) = reason else { return Ok(()) };
        log::warn!("night {} is begun anew: {reason}", begun.number);
        state.drop_night(folder)?;
        folder.remove_work();
        Ok(())
    }

    /// Fixes the night's frames; gives the reason where there is nothing to do.
    fn begin(&self, folder: &Folder, state: &mut State, settings: String) -> Result<Option<String>> {
        folder.remove_work();
        let number = state.nights + 1;
        let frames = match Frames::choose(self.store, state.seed, number, state.seen, self.options)? {
            Ok(frames) => frames,
            Err(reason) => return Ok(Some(reason)),
        };
        folder.make_work()?;
        frames.save(folder)?;
        let from = folder.live().student_hash()?;
        let began_us = history::now_us();
        state
            .begin(folder, Begun { number, settings, from, last: frames.last, began_us, stage: NightStage::Distil })?;
        Ok(None)
    }

    /// SHA-256 over what shapes the night's numbers: where and how fast it works may change from one call to the next.
    fn settings(&self) -> Result<String> {
        let standard = Config::default();
        let mut config = Config {
            device: standard.device,
            output: standard.output,
            workers: standard.workers,
            cache_mib: standard.cache_mib,
            duty_cycle: standard.duty_cycle,
            nice: standard.nice,
            checkpoint_every: standard.checkpoint_every,
            checkpoint_path: standard.checkpoint_path,
            progress_every: standard.progress_every,
            tensorboard_folder: standard.tensorboard_folder,
            anomaly: standard.anomaly,
            linear: standard.linear,
            segment: standard.segment,
            ..self.config.clone()
        };
        config.finetune.checkpoint_path.clear();
        let text = serde_json::to_string(&(config, format!("{:?}", self.options), env!("CARGO_PKG_VERSION")))
            .map_err(|error| Error::new(ErrorKind::Internal, format!("the settings: {error}")))?;
        Ok(hash::of(text.as_bytes()))
    }
}

impl Work<'_> {
    /// A report of `stage`; the caller fills in what else it knows.
    fn progress(&self, stage: NightStage, done: u64, total: u64) -> NightProgress {
        NightProgress {
            night: self.begun.number,
            stage,
            done,
            total,
            loss: f64::NAN,
            images_per_second: 0.0,
            eta_seconds: 0.0,
            elapsed_seconds: self.began.elapsed().as_secs_f64(),
        }
    }
}
