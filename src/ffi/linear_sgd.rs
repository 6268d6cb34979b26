//! Judging a student by the paper's linear protocol: SGD on frozen features, batch by batch.

use std::ffi::c_void;
use std::sync::Arc;

use super::border::catch;
use super::callback::Asked;
use super::cancel::{seed_cancel_token, token};
use super::config::seed_config;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::finetune::{seed_finetune_callback, seed_finetune_progress};
use super::handle::with;
use super::pointers::{self, check_optional, check_out, check_size, put};
use super::student::seed_student;
use crate::Error;
use crate::train::finetune::Start;
use crate::train::finetune::linear_sgd::linear_sgd;
use crate::train::finetune::probe::class_count;
use crate::train::finetune::protocol::Classed;
use crate::train::shared::with_lock;

/// What seed_linear_sgd_evaluate found. Set struct_size to sizeof(seed_linear_sgd_result) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_linear_sgd_result {
    /// sizeof(seed_linear_sgd_result).
    pub struct_size: usize,
    /// Labelled images that were learned from.
    pub images: u64,
    /// Labelled images that were tested on; broken ones are left out.
    pub test_images: u64,
    /// Share of the test images whose class is the most probable one (top-1).
    pub accuracy: f64,
    /// Share of the test images whose class is among the five most probable ones (top-5); 1 where there are at most five classes.
    pub top5_accuracy: f64,
    /// Mean recall of the classes that have a test image.
    pub balanced_recall: f64,
    /// Mean −log of the probability that the test images' classes were given.
    pub loss: f64,
    /// Mean loss of the steps of the last pass over the images that were learned from.
    pub train_loss: f64,
}

/// The paper's linear protocol: a linear classifier learns by SGD on the frozen features of `student`, and is tested once, after the last
/// step. Features are computed batch by batch, of other crops in each pass, and not kept, so memory does not grow with the number of images.
/// By default 100 passes, 256 images a step, learning rate 30·B/256, a tenth of it from pass 60 on and a hundredth from pass 80, momentum .9, no weight
/// decay, crops of 8 % to 100 % and flips: settings "linear.…" of `config`, "view.crop_ratio_…" and "view.flip_probability". Test images are
/// seen as a session sees them; "resize" "centre" is the crop of the paper.
///
/// `dataset` is learned from and `test` is tested on; `labels` and `test_labels` have one number for each of their images: its class from 0,
/// or −1 for none. A broken image is shown by another one while learning, and left out of the test. `recalls` (may be NULL) receives the
/// recall of each of the `class_count` classes, the highest of all labels + 1; NaN for a class without a test image. `callback` receives
/// reports with SEED_STAGE_SGD and SEED_STAGE_TEST, every "progress_every" steps; `callback`, `user_data` and `cancel` may be NULL.
///
/// Errors: SEED_ERROR_CANCELLED when the callback or the token ended it; SEED_ERROR_INVALID_ARGUMENT for labels that do not fit, or that
/// are of fewer than two classes in `dataset`; SEED_ERROR_MISMATCH for a student that gives NaN; SEED_ERROR_TORCH where the classifier
/// diverges: lower "linear.learning_rate" then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_linear_sgd_evaluate(
    config: *const seed_config,
    student: *const seed_student,
    dataset: *const seed_dataset,
    labels: *const i64,
    label_count: usize,
    test: *const seed_dataset,
    test_labels: *const i64,
    test_label_count: usize,
    callback: seed_finetune_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    result: *mut seed_linear_sgd_result,
    recalls: *mut f64,
    class_count: usize,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller.
    catch(|| unsafe {
        check_out("result", result)?;
        check_size::<seed_linear_sgd_result>("seed_linear_sgd_result", (*result).struct_size)?;
        check_optional("recalls", recalls)?;
        let config = with(config, |config| Ok(config.clone()))?;
        let start = with(student, |student| with_lock(&student.network, |n| Start::student(n, &student.header_of(n))))?;
        let dataset = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
        let labels = pointers::labels("labels", labels, label_count)?;
        let test = with(test, |test| Ok(Arc::clone(test)))?;
        let test_labels = pointers::labels("test_labels", test_labels, test_label_count)?;
        let classes = self::class_count(&labels)?.max(self::class_count(&test_labels)?);
        if !recalls.is_null() && class_count != classes {
            return Err(Error::invalid(format!(
                "class_count is {class_count}, but the labels are of {classes} classes"
            )));
        }
        let cancel = token(cancel)?;
        let asked = Asked::default();
        let learned = Classed { dataset: &dataset, labels: &labels };
        let tested = Classed { dataset: &test, labels: &test_labels };
        let found = linear_sgd(&config, &start, learned, tested, &cancel, |progress| {
            asked.control(callback.map(|call| move || call(&seed_finetune_progress::from(progress), user_data)))
        });
        let found = asked.result(found)?;
        if !recalls.is_null() {
            for (class, recall) in found.recalls.iter().enumerate() {
                recalls.add(class).write(recall.unwrap_or(f64::NAN));
            }
        }
        put(
            result,
            seed_linear_sgd_result {
                struct_size: size_of::<seed_linear_sgd_result>(),
                images: found.images as u64,
                test_images: found.test_images as u64,
                accuracy: found.accuracy,
                top5_accuracy: found.top5,
                balanced_recall: found.balanced_recall,
                loss: found.loss,
                train_loss: found.train_loss,
            },
        );
        Ok(())
    })
}
