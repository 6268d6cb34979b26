//! Judging vectors by a linear classifier. A plain function over the application's memory.

use super::border::catch;
use super::cancel::{seed_cancel_token, token};
use super::error::seed_error;
use super::pointers::{self, array, check_optional, check_out, check_size, product, put};
use crate::eval::Embeddings;
use crate::train::finetune::probe::{Probe, ProbeScores, linear_probe};
use crate::{Error, ErrorKind, Result};

/// What seed_linear_evaluate, seed_semi_supervised_evaluate and seed_transfer_evaluate found. Set struct_size to
/// sizeof(seed_linear_result) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_linear_result {
    /// sizeof(seed_linear_result).
    pub struct_size: usize,
    /// Share of test images with the right class, mean over the splits.
    pub accuracy_mean: f64,
    /// Its standard deviation.
    pub accuracy_deviation: f64,
    /// Mean of the classes' recalls, mean over the splits.
    pub balanced_recall_mean: f64,
    /// Its standard deviation.
    pub balanced_recall_deviation: f64,
    /// Mean over classes of the AUROC against all others, mean over the splits in which it is defined; NaN where it is in none,
    /// since no split has test images of two classes.
    pub auroc_mean: f64,
    /// Its standard deviation; NaN as the mean.
    pub auroc_deviation: f64,
}

/// The linear protocol: logistic regression on frozen features, `count` vectors of `dim` floats, over `splits` random splits.
/// A third of each class is for testing; of the others the share `label_fraction` is learned from, at least one a class (1: the
/// linear protocol; .01, .1: few labels). `labels` are class numbers from 0, −1 for a vector to be left out. The splits depend
/// on `seed` and the labels alone, so different networks are judged on the same ones. `recalls` (may be NULL) receives the
/// mean recall of each of the `class_count` classes, which is the highest label + 1; NaN for a class without a test image.
/// `cancel` may be NULL. Nothing of the arguments is kept; any thread may call.
///
/// Errors: SEED_ERROR_CANCELLED when the token ended it; SEED_ERROR_INVALID_ARGUMENT for labels, splits or a share that do not
/// fit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_linear_evaluate(
    features: *const f32,
    count: usize,
    dim: usize,
    labels: *const i64,
    splits: u32,
    seed: u64,
    label_fraction: f64,
    cancel: *const seed_cancel_token,
    result: *mut seed_linear_result,
    recalls: *mut f64,
    class_count: usize,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let places = Places::new(result, recalls, class_count)?;
        if !(label_fraction > 0.0 && label_fraction <= 1.0) {
            return Err(Error::invalid(format!("label_fraction is {label_fraction}, expected above 0 and at most 1")));
        }
        let cancel = token(cancel)?;
        let features = Embeddings::new(array("features", features, product("features", count, dim)?)?, dim)?;
        let labels = &pointers::labels("labels", labels, count)?;
        let probe = Probe { splits, seed, label_fraction, ..Probe::default() };
        let found = linear_probe(&features, labels, &probe, &mut || cancel.wait().1)?;
        places.write(&found)
    })
}

/// Where a protocol's scores go.
pub(super) struct Places {
    result: *mut seed_linear_result,
    recalls: *mut f64,
    class_count: usize,
}

impl Places {
    /// # Safety
    /// `result` is NULL or points to a struct, `recalls` is NULL or has room for `class_count` numbers.
    pub unsafe fn new(result: *mut seed_linear_result, recalls: *mut f64, class_count: usize) -> Result<Self> {
        check_out("result", result)?;
        check_optional("recalls", recalls)?;
        // SAFETY: by contract, and checked above.
        check_size::<seed_linear_result>("seed_linear_result", unsafe { (*result).struct_size })?;
        Ok(Self { result, recalls, class_count })
    }

    /// Refuses a number of classes that is not that of the labels, before long work.
    pub fn check(&self, classes: usize) -> Result<()> {
        if !self.recalls.is_null() && self.class_count != classes {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("class_count is {}, but the labels are of {classes} classes", self.class_count),
            ));
        }
        Ok(())
    }

    /// # Safety
    /// As for [`Places::new`].
    pub unsafe fn write(&self, found: &ProbeScores) -> Result<()> {
        self.check(found.recalls.len())?;
        // SAFETY: by contract.
        unsafe {
            if !self.recalls.is_null() {
                for (i, recall) in found.recalls.iter().enumerate() {
                    self.recalls.add(i).write(recall.mean);
                }
            }
            put(
                self.result,
                seed_linear_result {
                    struct_size: size_of::<seed_linear_result>(),
                    accuracy_mean: found.accuracy.mean,
                    accuracy_deviation: found.accuracy.deviation,
                    balanced_recall_mean: found.balanced_recall.mean,
                    balanced_recall_deviation: found.balanced_recall.deviation,
                    auroc_mean: found.auroc.mean,
                    auroc_deviation: found.auroc.deviation,
                },
            );
        }
        Ok(())
    }
}
