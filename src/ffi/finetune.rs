//! `seed_classifier_fit`: a classifier out of a student and labels.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::border::catch;
use super::callback::Asked;
use super::cancel::{seed_cancel_token, token};
use super::classifier::seed_classifier;
use super::config::seed_config;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::handle::with;
use super::pointers::{self, array, check_out, put, put_new, text};
use super::student::seed_student;
use super::teacher::{seed_teacher, seeing};
use super::trainer::outcome_code;
use crate::infer::Classifier;
use crate::train::finetune::{FinetuneProgress, Labelled, Stage, Start, Teachers, finetune_with};
use crate::train::shared::with_lock;
use crate::{Error, Result};

/// The backbone embeds the labelled images; done and total count images.
pub const SEED_STAGE_EMBEDDING: i32 = 0;
/// The linear classifier is fitted; done and total count values of the penalty.
pub const SEED_STAGE_LINEAR: i32 = 1;
/// All layers learn; done and total count steps.
pub const SEED_STAGE_FULL: i32 = 2;
/// A linear classifier learns by SGD on frozen features (seed_linear_sgd_evaluate); done and total count steps.
pub const SEED_STAGE_SGD: i32 = 3;
/// What has learned is tested (seed_linear_sgd_evaluate); done and total count images.
pub const SEED_STAGE_TEST: i32 = 4;

const _: () = assert!(
    SEED_STAGE_EMBEDDING == Stage::Embedding as i32
        && SEED_STAGE_LINEAR == Stage::Linear as i32
        && SEED_STAGE_FULL == Stage::Full as i32
        && SEED_STAGE_SGD == Stage::Sgd as i32
        && SEED_STAGE_TEST == Stage::Test as i32
);

/// One report of seed_classifier_fit or seed_linear_sgd_evaluate.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_finetune_progress {
    /// sizeof(seed_finetune_progress) of the library.
    pub struct_size: usize,
    /// SEED_STAGE_*: what is being done.
    pub stage: i32,
    /// 0.
    pub reserved: i32,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do at most.
    pub total: u64,
    /// Passes over the images so far (SEED_STAGE_FULL, SEED_STAGE_SGD).
    pub epoch: u64,
    /// Mean loss of the last pass (SEED_STAGE_FULL) or of the steps since the report before (SEED_STAGE_SGD); NaN where there is none.
    pub loss: f64,
    /// Calibrated loss on the held-out images, the last that was measured; NaN where there is none.
    pub held_out_loss: f64,
    /// Share of the held-out images that got their class then; NaN where there is none.
    pub held_out_accuracy: f64,
    /// Estimated seconds to the end of this stage.
    pub eta_seconds: f64,
    /// Seconds since the call began.
    pub elapsed_seconds: f64,
}

impl From<&FinetuneProgress> for seed_finetune_progress {
    fn from(progress: &FinetuneProgress) -> Self {
        Self {
            struct_size: size_of::<Self>(),
            stage: progress.stage as i32,
            reserved: 0,
            done: progress.done,
            total: progress.total,
            epoch: progress.epoch,
            loss: progress.loss,
            held_out_loss: progress.held_out_loss,
            held_out_accuracy: progress.held_out_accuracy,
            eta_seconds: progress.eta_seconds,
            elapsed_seconds: progress.elapsed_seconds,
        }
    }
}

/// Receives a report on the thread that called; it is valid during the call. A return other than 0 ends seed_classifier_fit with the
/// best classifier so far, and seed_linear_sgd_evaluate with SEED_ERROR_CANCELLED.
pub type seed_finetune_callback =
    Option<unsafe extern "C-unwind" fn(progress: *const seed_finetune_progress, user_data: *mut c_void) -> i32>;

/// Makes a classifier of a copy of `student` (its features and their backbone) and the labelled images of `dataset`, by the
/// settings "finetune.…" of `config` (docs/finetune.md). `labels` has one number for each image of the data set: its class, or
/// −1 for none; seed_dataset_class_labels makes them of folders. `names` are `class_count` texts, all different.
///
/// Instead of `student`, `earlier` may be given: then the fit starts from that classifier's backbone and classes, whose names
/// must come first; new ones follow. Exactly one of both is not NULL. `teacher` (may be NULL) is what "finetune.anchor" draws
/// the student to; without one it is the student as it was.
///
/// `callback`, `user_data`, `cancel` and `outcome` may be NULL. `*outcome` receives SEED_OUTCOME_FINISHED, or
/// SEED_OUTCOME_CANCELLED when the token or the callback ended it: `*out` is the best classifier so far then. The caller
/// frees it.
///
/// Errors: SEED_ERROR_CANCELLED when it was ended before there was any classifier; SEED_ERROR_INVALID_ARGUMENT for labels or
/// names that do not fit, or images of fewer than two classes; SEED_ERROR_MISMATCH for a teacher, an earlier classifier or a
/// checkpoint ("finetune.checkpoint_path") that does not fit; SEED_ERROR_UNSUPPORTED for a stored teacher.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_fit(
    config: *const seed_config,
    student: *const seed_student,
    earlier: *const seed_classifier,
    teacher: *const seed_teacher,
    dataset: *const seed_dataset,
    labels: *const i64,
    label_count: usize,
    names: *const *const c_char,
    class_count: usize,
    callback: seed_finetune_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    outcome: *mut i32,
    out: *mut *mut seed_classifier,
) -> *mut seed_error {
    let fit = Fit { config, student, earlier, teacher, dataset, callback, user_data, cancel, outcome, out };
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        fit.run(None, pointers::labels("labels", labels, label_count), array("names", names, class_count))
    })
}

/// As seed_classifier_fit in the "finetune.mode" full, but the student also learns what `taught_by`, the classifier of a teacher,
/// answers: "finetune.logit_weight"·τ²·KL(softmax(teacher's logits/τ) ‖ softmax(student's logits/τ)) is added to
/// "finetune.label_weight" times the labels' loss, τ being "finetune.logit_temperature" (Hinton et al., 2015). Images without a
/// label are learned from as well then, so that few labels suffice.
///
/// A teacher's classifier is made by seed_classifier_fit on a student that has the teacher's weights
/// (seed_student_load_weights), at the student's image size, mean and std, from the same classes in the same order.
///
/// Errors: as seed_classifier_fit; SEED_ERROR_INVALID_ARGUMENT for the mode "linear"; SEED_ERROR_MISMATCH where classes or images
/// of `taught_by` are not those of the run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_distil(
    config: *const seed_config,
    student: *const seed_student,
    earlier: *const seed_classifier,
    teacher: *const seed_teacher,
    taught_by: *const seed_classifier,
    dataset: *const seed_dataset,
    labels: *const i64,
    label_count: usize,
    names: *const *const c_char,
    class_count: usize,
    callback: seed_finetune_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    outcome: *mut i32,
    out: *mut *mut seed_classifier,
) -> *mut seed_error {
    let fit = Fit { config, student, earlier, teacher, dataset, callback, user_data, cancel, outcome, out };
    catch(|| unsafe {
        let tutor = with(taught_by, |classifier| Ok(Arc::clone(classifier)))?;
        fit.run(Some(tutor), pointers::labels("labels", labels, label_count), array("names", names, class_count))
    })
}

/// What both ways of making a classifier are given.
struct Fit {
    config: *const seed_config,
    student: *const seed_student,
    earlier: *const seed_classifier,
    teacher: *const seed_teacher,
    dataset: *const seed_dataset,
    callback: seed_finetune_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    outcome: *mut i32,
    out: *mut *mut seed_classifier,
}

impl Fit {
    /// # Safety
    /// As the C functions say.
    unsafe fn run(
        &self,
        classifier: Option<Arc<Classifier>>,
        labels: Result<Vec<i32>>,
        names: Result<&[*const c_char]>,
    ) -> Result<()> {
        let &Self { config, student, earlier, teacher, dataset, callback, user_data, cancel, outcome, out } = self;
        // SAFETY: by contract.
        unsafe {
            check_out("out", out)?;
            if !outcome.is_null() {
                check_out("outcome", outcome)?;
            }
            let config = with(config, |config| Ok(config.clone()))?;
            let start = match (student.is_null(), earlier.is_null()) {
                (false, true) => {
                    with(student, |student| with_lock(&student.network, |n| Start::student(n, &student.header_of(n))))?
                }
                (true, false) => Start::classifier(&*with(earlier, |earlier| Ok(Arc::clone(earlier)))?)?,
                _ => return Err(Error::invalid("give either a student or an earlier classifier, the other is NULL")),
            };
            let anchor = if teacher.is_null() { None } else { Some(seeing(teacher, "\"finetune.anchor\"")?) };
            let dataset = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
            let labels = labels?;
            let mut texts = Vec::new();
            for (i, &name) in names?.iter().enumerate() {
                texts.push(text(&format!("names[{i}]"), name)?.to_owned());
            }
            let cancel = token(cancel)?;
            let images = Labelled { dataset: &dataset, labels: &labels, names: &texts };
            let teachers = Teachers { anchor, classifier };
            let asked = Asked::default();
            let made = finetune_with(&config, start, teachers, &images, &cancel, |progress| {
                asked.control(callback.map(|call| move || call(&seed_finetune_progress::from(progress), user_data)))
            });
            let (classifier, ended) = asked.result(made)?;
            put_new(out, || Ok(Arc::new(classifier)))?;
            if !outcome.is_null() {
                put(outcome, outcome_code(ended));
            }
        }
        Ok(())
    }
}
