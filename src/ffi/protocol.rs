//! Judging a student by protocols that fine-tune it or carry it to other images.

use std::ffi::c_void;
use std::sync::Arc;

use super::border::catch;
use super::callback::Asked;
use super::cancel::{seed_cancel_token, seed_count_callback, token};
use super::config::seed_config;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::handle::with;
use super::pointers;
use super::probe::{Places, seed_linear_result};
use super::student::seed_student;
use crate::Result;
use crate::config::Config;
use crate::train::finetune::Start;
use crate::train::finetune::probe::{ProbeScores, class_count};
use crate::train::finetune::protocol::{Classed, semi_supervised, transfer};
use crate::train::shared::with_lock;
use crate::train::{CancelToken, Control};

/// What both functions are given besides images.
struct Call {
    config: *const seed_config,
    student: *const seed_student,
    callback: seed_count_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
}

impl Call {
    /// # Safety
    /// As the C functions say.
    unsafe fn run(
        self,
        work: impl FnOnce(&Config, &Start, &CancelToken, &mut dyn FnMut(usize, usize) -> Control) -> Result<ProbeScores>,
    ) -> Result<ProbeScores> {
        let Self { config, student, callback, user_data, cancel } = self;
        // SAFETY: by contract.
        unsafe {
            let config = with(config, |config| Ok(config.clone()))?;
            let start =
                with(student, |student| with_lock(&student.network, |n| Start::student(n, &student.header_of(n))))?;
            let cancel = token(cancel)?;
            let asked = Asked::default();
            let scores = work(&config, &start, &cancel, &mut |done, total| {
                asked.control(callback.map(|call| move || call(done, total, user_data)))
            });
            asked.result(scores)
        }
    }
}

/// The semi-supervised protocol: all layers of a copy of `student` are fine-tuned on few labels, over `splits` random splits
/// (1 to 10,000). A third of each class is for testing; of the others "finetune.label_fraction" (.01, .1) or
/// "finetune.labels_per_class" of `config` are learned from, at least one a class, by the other settings "finetune.…" in the
/// mode "full" (the classifier's learning rate is "finetune.head_rate_factor" times the backbone's). Labels beyond these few
/// are not seen, "finetune.held_out" is a part of them; "finetune.checkpoint_path" is not used.
///
/// `labels` has one number for each image of `dataset`: its class from 0, or −1 for none. Split i is that of the seed "seed" + i
/// and depends on the labels beside it alone, so different networks are judged on the same ones. `recalls` (may be NULL)
/// receives the mean recall of each of the `class_count` classes, which is the highest label + 1; NaN for a class without a test
/// image. AUROC is the mean over classes of each one against all others; NaN where no split has test images of two classes. `callback` is told how much of the work is done, after each pass; `callback`,
/// `user_data` and `cancel` may be NULL.
///
/// Errors: SEED_ERROR_CANCELLED when the callback or the token ended it; SEED_ERROR_INVALID_ARGUMENT for labels that do not fit
/// or are of fewer than two classes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_semi_supervised_evaluate(
    config: *const seed_config,
    student: *const seed_student,
    dataset: *const seed_dataset,
    labels: *const i64,
    label_count: usize,
    splits: u32,
    callback: seed_count_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    result: *mut seed_linear_result,
    recalls: *mut f64,
    class_count: usize,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let places = Places::new(result, recalls, class_count)?;
        let dataset = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
        let labels = &pointers::labels("labels", labels, label_count)?;
        places.check(self::class_count(labels)?)?;
        let images = Classed { dataset: &dataset, labels };
        let call = Call { config, student, callback, user_data, cancel };
        let found =
            call.run(|config, start, cancel, observe| semi_supervised(config, start, images, splits, cancel, observe))?;
        places.write(&found)
    })
}

/// The transfer protocol: how good `student` is on other images than it was distilled on, over `splits` runs (1 to 10,000). With
/// "finetune.mode" linear, a logistic regression is fitted to frozen features, which are computed once, and a fifth of what is
/// learned from chooses its penalty; with full, all layers are fine-tuned as for seed_semi_supervised_evaluate.
///
/// It learns from `dataset` and is tested on `test`, or where that is NULL on a third of each class of `dataset`, another one in
/// each run. By default all labels that are not for testing are learned from; "finetune.label_fraction" and
/// "finetune.labels_per_class" make it fewer. With `test` and all labels of a linear fit, runs differ in what chooses the penalty
/// only. `labels` and `test_labels` have one class number for each image, or −1; `test_labels` may be NULL where `test` is. All
/// else is as for seed_semi_supervised_evaluate; `class_count` is the highest of all labels + 1.
///
/// The paper's semi-supervised protocol is this one with `test`, "finetune.mode" full, "finetune.held_out" 0 and a "finetune.label_fraction": all
/// labelled images of the fraction are learned from, for all of "finetune.epochs", and nothing chooses a pass or is calibrated.
///
/// Errors: as for seed_semi_supervised_evaluate.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_transfer_evaluate(
    config: *const seed_config,
    student: *const seed_student,
    dataset: *const seed_dataset,
    labels: *const i64,
    label_count: usize,
    test: *const seed_dataset,
    test_labels: *const i64,
    test_label_count: usize,
    splits: u32,
    callback: seed_count_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    result: *mut seed_linear_result,
    recalls: *mut f64,
    class_count: usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let places = Places::new(result, recalls, class_count)?;
        let dataset = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
        let labels = &pointers::labels("labels", labels, label_count)?;
        let test = if test.is_null() { None } else { Some(with(test, |test| Ok(Arc::clone(test)))?) };
        let test_labels = match &test {
            Some(_) => pointers::labels("test_labels", test_labels, test_label_count)?,
            None => Vec::new(),
        };
        let test = test.as_ref().map(|dataset| Classed { dataset, labels: &test_labels });
        let tested = test.map_or(Ok(0), |test| self::class_count(test.labels))?;
        places.check(self::class_count(labels)?.max(tested))?;
        let images = Classed { dataset: &dataset, labels };
        let call = Call { config, student, callback, user_data, cancel };
        let found =
            call.run(|config, start, cancel, observe| transfer(config, start, images, test, splits, cancel, observe))?;
        places.write(&found)
    })
}
