//! `seed_trainer`: one distillation run.

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::Arc;

use super::border::catch;
use super::callback::Asked;
use super::cancel::{seed_cancel_token, token};
use super::config::seed_config;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, warnings, with, with_mut};
use super::image::{seed_image, views};
use super::pointers::{check_optional, check_out, fill_text, put, put_new, text};
use super::queue::seed_queue;
use super::student::seed_student;
use super::teacher::seed_teacher;
use crate::data::frame::{CLAMPED, CLAMPED_BY_FULL};
use crate::data::{FrameView, RangeKind};
use crate::distill::Targets;
use crate::train::probe::Looks;
use crate::train::{Distillation, Outcome, Progress};

/// The last step of the run was made.
pub const SEED_OUTCOME_FINISHED: i32 = 0;
/// The given number of steps was made; more are left.
pub const SEED_OUTCOME_PAUSED: i32 = 1;
/// The cancel token or the callback ended the call after a whole step.
pub const SEED_OUTCOME_CANCELLED: i32 = 2;

/// One report of a run.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_progress {
    /// sizeof(seed_progress) of the library.
    pub struct_size: usize,
    /// Steps made since the very first start, resumed runs included.
    pub step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Epoch of the next image, from 0.
    pub epoch: u64,
    /// Images that could not be read so far.
    pub skipped_images: u64,
    /// Mean loss since the report before; NaN in the first report, which comes before the first step.
    pub loss: f64,
    /// Learning rate of the last step: "learning_rate"·"batch_size"/256 at its highest.
    pub learning_rate: f64,
    /// Images a second since the report before.
    pub images_per_second: f64,
    /// Estimated seconds to the last step; NaN in the first report.
    pub eta_seconds: f64,
    /// Seconds since the call began.
    pub elapsed_seconds: f64,
    /// Share of the time since the report before in which the step waited for images, 0 to 1.
    pub waiting_share: f64,
    /// Share of the teacher's ten nearest frames that are the student's too, over the frames of the run's probe ("probe.images"), 0
    /// to 1: at the last look. NaN where the run is not probed.
    pub probe_agreement: f64,
    /// The same at the first look.
    pub probe_agreement_start: f64,
    /// The same of the best look so far.
    pub probe_agreement_best: f64,
    /// Balanced 10-NN recall over these frames by the classes of their folders, 0 to 1, at the last look. NaN without classes.
    pub probe_recall: f64,
    /// Steps made before the last look.
    pub probe_step: u64,
}

impl From<&Progress> for seed_progress {
    fn from(progress: &Progress) -> Self {
        let of = |figure: &dyn Fn(&Looks) -> f64| progress.looks.as_ref().map_or(f64::NAN, figure);
        Self {
            struct_size: size_of::<Self>(),
            step: progress.step,
            total_steps: progress.total_steps,
            epoch: progress.epoch,
            skipped_images: progress.skipped_images,
            loss: progress.loss,
            learning_rate: progress.learning_rate,
            images_per_second: progress.images_per_second,
            eta_seconds: progress.eta_seconds,
            elapsed_seconds: progress.elapsed_seconds,
            waiting_share: progress.waiting_share,
            probe_agreement: of(&|looks| looks.last.agreement),
            probe_agreement_start: of(&|looks| looks.start.agreement),
            probe_agreement_best: of(&|looks| looks.best.agreement),
            probe_recall: of(&|looks| looks.last.recall.unwrap_or(f64::NAN)),
            probe_step: progress.looks.map_or(0, |looks| looks.last.step),
        }
    }
}

/// The SEED_OUTCOME_* of an outcome.
pub(super) fn outcome_code(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Finished => SEED_OUTCOME_FINISHED,
        Outcome::Paused => SEED_OUTCOME_PAUSED,
        Outcome::Cancelled => SEED_OUTCOME_CANCELLED,
    }
}

/// Receives a report before the first step, after it and then every "progress_every" steps, on the thread that called seed_trainer_run; the report is valid during
/// the call. A return other than 0 ends the run after this step. The trainer itself is busy meanwhile; the student may be
/// saved, and sessions may be made of it.
pub type seed_progress_callback =
    Option<unsafe extern "C-unwind" fn(progress: *const seed_progress, user_data: *mut c_void) -> i32>;

/// One distillation run. Used by one thread at a time; it holds what it was made of.
pub struct seed_trainer(Guarded<Distillation>);
handle!(seed_trainer, Distillation, |run| run.warnings());

/// Makes a run that distils `teacher` into `student` by "method". `teacher` NULL: a method that needs none ("moco_v2", "simclr",
/// "swav"), by which the student becomes a teacher for another run (seed_teacher_load of its file). `queue` NULL: a new one of "queue_capacity". `dataset` NULL: the
/// application brings its own batches by seed_trainer_step, and "steps" must be set; a stored teacher (seed_teacher_from_bank,
/// seed_teacher_from_embeddings) knows the images of a data set only, so it needs one. A student that has a range keeps it where neither the data set nor `config` says one.
/// The caller frees the trainer.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for a method that learns from a teacher without one, or the reverse; SEED_ERROR_MISMATCH when the widths
/// of the embeddings or the devices differ; for a stored teacher, with the reason, when
/// the bank is stale or not finished, or images have no row, listing their names.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_trainer_new(
    config: *const seed_config,
    student: *const seed_student,
    teacher: *const seed_teacher,
    queue: *const seed_queue,
    dataset: *const seed_dataset,
    out: *mut *mut seed_trainer,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let mut config = with(config, |config| Ok(config.clone()))?;
        let (network, provenance, input) = with(student, |student| {
            Ok((Arc::clone(&student.network), Arc::clone(&student.provenance), student.input()))
        })?;
        if config.view.input.range.kind != RangeKind::Dataset && config.chosen_range()?.is_none() {
            // A student that was taught to see frames by a range goes on seeing them by it, unless the data set has another.
            config.view.input.range = input.range;
        }
        if config.chosen_roi()?.is_none() {
            config.view.input.roi = input.roi;
        }
        let teacher = if teacher.is_null() { None } else { Some(with(teacher, |teacher| Ok(teacher.clone()))?) };
        let queue = if queue.is_null() { None } else { Some(with(queue, |queue| Ok(Arc::clone(queue)))?) };
        let dataset = if dataset.is_null() { None } else { Some(with(dataset, |dataset| Ok(Arc::clone(dataset)))?) };
        put_new(out, || {
            let targets = match teacher {
                Some(teacher) => teacher.targets(dataset.as_deref())?,
                None => Targets::Own { dim: 0 },
            };
            let run = Distillation::new(config, network, targets, queue, dataset)?.recorded_in(provenance);
            with(student, |student| {
                student.learns_by(run.input());
                Ok(run)
            })
        })
    })
}

/// Distils until the end of the run, or for `max_steps` more steps (0: no limit), and writes one of SEED_OUTCOME_* to
/// `*outcome`. `callback`, `user_data`, `cancel` and `outcome` may be NULL. With "checkpoint_path" set, the run is saved
/// every "checkpoint_every" steps (0: every twentieth of the run), on cancel and at the end. After an error or a cancel another call goes on where this
/// one ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_trainer_run(
    trainer: *mut seed_trainer,
    max_steps: u64,
    callback: seed_progress_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    outcome: *mut i32,
) -> *mut seed_error {
    catch(|| unsafe {
        let cancel = token(cancel)?;
        check_optional("outcome", outcome)?;
        let limit = (max_steps > 0).then_some(max_steps);
        let result = with_mut(trainer, |trainer| {
            let asked = Asked::default();
            let ended = trainer.run(limit, &cancel, |progress| {
                asked.control(callback.map(|call| move || call(&seed_progress::from(progress), user_data)))
            });
            asked.result(ended)
        })?;
        if !outcome.is_null() {
            put(outcome, outcome_code(result));
        }
        Ok(())
    })
}

/// Makes one step on `count` images of the application's own, of any sizes; one augmented view of each is used. `*loss`
/// (may be NULL) receives the loss.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_trainer_step(
    trainer: *mut seed_trainer,
    images: *const seed_image,
    count: usize,
    loss: *mut f64,
) -> *mut seed_error {
    catch(|| unsafe {
        check_optional("loss", loss)?;
        let views = views(images, count)?;
        let value = with_mut(trainer, |trainer| {
            let range = trainer.input().range;
            let frame = |view: &FrameView<'_>| view.to_frame_by(&range, Vec::new(), &mut Vec::new());
            let frames = views.iter().map(frame).collect::<crate::Result<Vec<_>>>()?;
            if views.iter().any(|view| view.is_clamped()) {
                trainer.warnings().add(CLAMPED);
            }
            if views.iter().any(|view| view.is_clamped_by(&range)) {
                trainer.warnings().add(CLAMPED_BY_FULL);
            }
            trainer.step_on(&frames)
        })?;
        if !loss.is_null() {
            put(loss, value);
        }
        Ok(())
    })
}

/// How many steps were made and how many the run has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_trainer_position(
    trainer: *const seed_trainer,
    step: *mut u64,
    total_steps: *mut u64,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("step", step)?;
        check_out("total_steps", total_steps)?;
        let (made, total) = with(trainer, |trainer| Ok((trainer.step(), trainer.total_steps())))?;
        put(step, made);
        put(total_steps, total);
        Ok(())
    })
}

/// Writes everything that the run needs to go on to the folder `path`, atomically: kill -9 at any moment leaves the old
/// checkpoint or the new one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_trainer_save(trainer: *const seed_trainer, path: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        with(trainer, |trainer| trainer.save(path))
    })
}

/// Goes on where the checkpoint in the folder `path` stopped: the same run, on the CPU bit for bit. Images that could not be read are
/// asked for again; those with damaged content stay skipped.
///
/// Errors: SEED_ERROR_FORMAT for a damaged checkpoint, SEED_ERROR_MISMATCH when teacher, data set, architecture or a
/// setting that shapes the numbers is another; the trainer is left as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_trainer_resume(trainer: *mut seed_trainer, path: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        with_mut(trainer, |trainer| trainer.resume(path))
    })
}

/// What you should know about the run although nothing failed, such as a student that has collapsed: one warning a line, each once, by the rule of seed_config_get_string;
/// empty where there is none. It may be called at any time, from the progress callback too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_trainer_warnings(
    trainer: *const seed_trainer,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill_text(&warnings(trainer)?, buffer, capacity, length) })
}

/// Releases a trainer. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_trainer_free(trainer: *mut seed_trainer) {
    free(trainer)
}
