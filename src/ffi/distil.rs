//! `seed_distil` and `seed_distilled`: from frames and a teacher to a student in one call.

use std::ffi::{c_char, c_void};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::border::catch;
use super::callback::Asked;
use super::cancel::{seed_cancel_token, token};
use super::config::seed_config;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with};
use super::pointers::check_size;
use super::pointers::{check_out, fill_text, put, put_new, text};
use super::student::{StudentInner, seed_student};
use super::teacher::{seed_teacher, seeing};
use super::trainer::outcome_code;
use crate::config::Config;
use crate::model::Architecture;
use crate::recipe::{Distilled, Progress, Request, distil};
use crate::{Error, Result};

/// Both networks are measured and the settings decided on.
pub const SEED_DISTIL_PLAN: i32 = 1;
/// The teacher sees the views that the student will learn from.
pub const SEED_DISTIL_BANK: i32 = 2;
/// The student learns.
pub const SEED_DISTIL_RUN: i32 = 3;
/// The student is judged and the report written.
pub const SEED_DISTIL_REPORT: i32 = 4;

/// One report of seed_distil.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_distil_progress {
    /// sizeof(seed_distil_progress) of the library.
    pub struct_size: usize,
    /// What is being done, one of SEED_DISTIL_*.
    pub stage: i32,
    /// Views that the teacher has seen, or steps that were made. 0 in the other stages.
    pub done: u64,
    /// Of how many; 0 where that is not known.
    pub total: u64,
    /// Seconds since the call began.
    pub elapsed_seconds: f64,
    /// Estimated seconds to the end of the stage; NaN where they are not known.
    pub eta_seconds: f64,
    /// Images a second; 0 where they are not known.
    pub images_per_second: f64,
    /// Mean loss since the report before; NaN outside of SEED_DISTIL_RUN and before the first step.
    pub loss: f64,
    /// Share of the teacher's ten nearest frames that are the student's too, 0 to 1, at the last look; NaN before the first.
    pub probe_agreement: f64,
    /// Balanced 10-NN recall by the classes of the frames' folders, 0 to 1, at the last look; NaN without classes.
    pub probe_recall: f64,
}

impl From<&Progress> for seed_distil_progress {
    fn from(progress: &Progress) -> Self {
        Self {
            struct_size: size_of::<Self>(),
            stage: progress.stage as i32,
            done: progress.done,
            total: progress.total,
            elapsed_seconds: progress.elapsed_seconds,
            eta_seconds: progress.eta_seconds,
            images_per_second: progress.images_per_second,
            loss: progress.loss,
            probe_agreement: progress.looks.map_or(f64::NAN, |looks| looks.last.agreement),
            probe_recall: progress.looks.and_then(|looks| looks.last.recall).unwrap_or(f64::NAN),
        }
    }
}

/// Receives the reports of seed_distil, on the thread that called it; the report is valid during the call. The first comes at once.
/// A return other than 0 ends the work where it can be gone on with.
pub type seed_distil_callback =
    Option<unsafe extern "C-unwind" fn(progress: *const seed_distil_progress, user_data: *mut c_void) -> i32>;

/// How good a student is. Figures are NaN where they are not known: those by labels without classes of folders, all of a call that
/// was cancelled.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_distil_summary {
    /// Set to sizeof(seed_distil_summary) before the call.
    pub struct_size: usize,
    /// SEED_OUTCOME_FINISHED or SEED_OUTCOME_CANCELLED.
    pub outcome: i32,
    /// Frames that the figures are of.
    pub images: u64,
    /// Classes of folders among them; 0 without.
    pub classes: u64,
    /// Steps that were made.
    pub steps: u64,
    /// Seconds that the call took.
    pub seconds: f64,
    /// Share of the teacher's ten nearest frames that are the student's too, by the embedding, before the run.
    pub agreement_before: f64,
    /// The same after it.
    pub agreement_after: f64,
    /// What two spaces share that have nothing to do with each other.
    pub agreement_chance: f64,
    /// Mean balanced recall of 10-NN by the embedding over five splits into two thirds and one, before the run.
    pub recall_before: f64,
    /// The same after it.
    pub recall_after: f64,
    /// Sample deviation of the five splits, after it.
    pub recall_after_deviation: f64,
    /// The teacher's.
    pub recall_teacher: f64,
    /// 1 / classes.
    pub recall_chance: f64,
    /// How many warnings there are; seed_distilled_warnings gives them.
    pub warnings: u64,
}

/// What seed_distil made. It may be used by several threads at once.
pub struct seed_distilled(Guarded<Distilled>);
handle!(seed_distilled, Distilled);

/// Distils a student of `architecture` from `teacher` on the frames of `dataset` within about `seconds`, and writes
/// `folder`/student.safetensors and `folder`/report.html. No setting is needed: both networks are measured for a moment, and size of the
/// images, views, batch, learning rate, temperatures, queue and epochs follow from the frames, this machine and the time
/// (seed_config_plan). What is set in `config` by its key is kept; `config` may be NULL. `weights` is a file that the student starts
/// from, as for seed_student_load_weights, or NULL: at random.
///
/// No label is used to learn. Where the frames lie in folders of classes, these tell how good the student is.
///
/// `callback`, `user_data` and `cancel` may be NULL. A call that was cancelled, or killed, left its work in `folder`: the same call goes
/// on with it, with the settings that were decided on then. The result has the outcome. The caller frees it.
///
/// The best student of the run is kept, by its agreement with the teacher on some frames that are looked at now and then ("probe.images").
/// A student that is no better than before, or than chance, is told by seed_distilled_warnings, in the report and the log.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for an empty data set or a time below a second, SEED_ERROR_BUSY where another call works in the
/// folder, SEED_ERROR_MISMATCH where it holds unfinished work of another run, SEED_ERROR_IO, SEED_ERROR_OUT_OF_MEMORY,
/// SEED_ERROR_TORCH when the run diverges, SEED_ERROR_UNSUPPORTED for a stored teacher; those of seed_student_load_weights.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_distil(
    dataset: *const seed_dataset,
    teacher: *const seed_teacher,
    architecture: *const c_char,
    weights: *const c_char,
    seconds: f64,
    folder: *const c_char,
    config: *const seed_config,
    callback: seed_distil_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    out: *mut *mut seed_distilled,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let cancel = token(cancel)?;
        let request = Request {
            architecture: Architecture::parse(text("architecture", architecture)?)?,
            weights: optional_path("weights", weights)?,
            seconds,
            folder: PathBuf::from(text("folder", folder)?),
            config: if config.is_null() { Config::default() } else { with(config, |config| Ok(config.clone()))? },
            dataset: with(dataset, |dataset| Ok(Arc::clone(dataset)))?,
            teacher: seeing(teacher, "seed_distil")?,
        };
        put_new(out, || {
            let asked = Asked::default();
            let distilled = distil(&request, &cancel, |progress| {
                asked.control(callback.map(|call| move || call(&seed_distil_progress::from(progress), user_data)))
            });
            asked.result(distilled)
        })
    })
}

/// The student that was made; of a call that was cancelled, as far as it is. The caller frees it; it stays when the result is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_distilled_student(
    distilled: *const seed_distilled,
    out: *mut *mut seed_student,
) -> *mut seed_error {
    catch(|| unsafe {
        put_new(out, || {
            with(distilled, |distilled| {
                let (network, provenance) = (Arc::clone(&distilled.student), Arc::clone(&distilled.provenance));
                StudentInner::shared(network, provenance, &distilled.config.view.input)
            })
        })
    })
}

/// How good the student is, into `*summary`, whose struct_size is set.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for another struct_size than the library knows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_distilled_summary(
    distilled: *const seed_distilled,
    summary: *mut seed_distil_summary,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("summary", summary)?;
        check_size::<seed_distil_summary>("seed_distil_summary", (*summary).struct_size)?;
        let found = with(distilled, |distilled| Ok(summary_of(distilled)))?;
        put(summary, found);
        Ok(())
    })
}

/// What a caller should know although nothing failed, one warning a line, by the rule of seed_config_get_string; empty where there is
/// none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_distilled_warnings(
    distilled: *const seed_distilled,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let found = with(distilled, |distilled| Ok(distilled.warnings.text()))?;
        fill_text(&found, buffer, capacity, length)
    })
}

/// The settings of the run, as seed_config_to_json gives them, by the rule of seed_config_get_string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_distilled_settings(
    distilled: *const seed_distilled,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let json = with(distilled, |distilled| distilled.config.to_json())?;
        fill_text(&json, buffer, capacity, length)
    })
}

/// Releases a result. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_distilled_free(distilled: *mut seed_distilled) {
    free(distilled)
}

unsafe fn optional_path(name: &str, path: *const c_char) -> Result<Option<PathBuf>> {
    if path.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on from the C caller.
    let path = unsafe { text(name, path) }?;
    if path.is_empty() {
        return Err(Error::invalid(format!("{name} is empty, expected a file, or NULL for none")));
    }
    Ok(Some(Path::new(path).to_owned()))
}

fn summary_of(distilled: &Distilled) -> seed_distil_summary {
    let figures = distilled.figures.as_ref();
    let recall = |of: usize| figures.and_then(|figures| figures.recall).map_or(f64::NAN, |recall| recall[of].mean);
    let classes = figures.map_or(0, |figures| figures.classes);
    seed_distil_summary {
        struct_size: size_of::<seed_distil_summary>(),
        outcome: outcome_code(distilled.outcome),
        images: figures.map_or(0, |figures| figures.images as u64),
        classes: classes as u64,
        steps: distilled.steps,
        seconds: distilled.seconds,
        agreement_before: figures.map_or(f64::NAN, |figures| figures.agreement[0]),
        agreement_after: figures.map_or(f64::NAN, |figures| figures.agreement[1]),
        agreement_chance: figures.map_or(f64::NAN, |figures| figures.chance),
        recall_before: recall(0),
        recall_after: recall(1),
        recall_after_deviation: figures
            .and_then(|figures| figures.recall)
            .map_or(f64::NAN, |recall| recall[1].deviation),
        recall_teacher: recall(2),
        recall_chance: if classes > 0 { 1.0 / classes as f64 } else { f64::NAN },
        warnings: distilled.warnings.list().len() as u64,
    }
}
