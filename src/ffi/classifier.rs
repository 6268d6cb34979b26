//! `seed_classifier`: images to classes.

use std::collections::BTreeSet;
use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::Arc;

use super::border::catch;
use super::callback::Asked;
use super::cancel::{seed_cancel_token, seed_count_callback, token};
use super::config::seed_config;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::export::seed_export_options;
use super::handle::{Guarded, free, handle, warnings, with};
use super::image::{Images, seed_image};
use super::pointers::{self, check_out, fill, fill_text, put, put_new, text};
use crate::export::export_classifier;
use crate::infer::{Classifier, Output, SessionOptions, Verdicts};
use crate::train::pace::counted;
use crate::{Error, ErrorKind, Result};

/// Images that go through the network at once.
const CHUNK: usize = 32;

/// A network that says which class an image is of, how sure it is, and when it is not. It never changes; all functions may
/// be called from several threads at once.
pub struct seed_classifier(pub(super) Guarded<Arc<Classifier>>);
handle!(seed_classifier, Arc<Classifier>, |classifier| classifier.warnings());

/// Opens a file of seed_classifier_save. "device" and "precision" come from `config`. The caller frees the classifier.
///
/// Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a file that is damaged, hostile or no classifier's, SEED_ERROR_MISMATCH for one that holds
/// other tensors besides.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_open(
    path: *const c_char,
    config: *const seed_config,
    out: *mut *mut seed_classifier,
) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        put_new(out, || {
            let options = with(config, |config| SessionOptions::of(config, Output::Logits))?;
            Ok(Arc::new(Classifier::open(path, options)?))
        })
    })
}

/// Writes the classifier to one safetensors file, atomically: network with torchvision's key names, classes, temperature,
/// threshold and what the held-out images said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_save(
    classifier: *const seed_classifier,
    path: *const c_char,
) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        with(classifier, |classifier| classifier.save(path))
    })
}

/// Writes the classifier to one ONNX file, operator set 17, for any batch size: "probabilities" (B, K), calibrated; "class" (B), the
/// most probable one; "confidence" (B), its probability; "unsure" (B), whether that lies below the threshold. The input is
/// options->input; format must be SEED_EXPORT_ONNX and outputs 0. The metadata has the class names, temperature and threshold
/// ("classifier", as seed_classifier_describe), how images are made, and the provenance. The file is checked before it is in place; on an
/// error what stood at `path` is as it was. docs/export.md lists inputs, outputs and metadata.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for options out of bounds and a network that gives NaN; SEED_ERROR_UNSUPPORTED for another format or
/// other outputs, for an operation that cannot be written, naming it, and for 2 GB of weights and more; SEED_ERROR_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_export(
    classifier: *const seed_classifier,
    path: *const c_char,
    options: *const seed_export_options,
) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        check_out("options", options.cast_mut())?;
        let input = (*options).onnx_input("a classifier")?;
        with(classifier, |classifier| export_classifier(path, classifier, input))
    })
}

/// The number of classes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_class_count(
    classifier: *const seed_classifier,
    out: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(classifier, |classifier| Ok(classifier.classes()))?);
        Ok(())
    })
}

/// The name of class `index`, by the rule of seed_config_get_string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_class_name(
    classifier: *const seed_classifier,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let name = with(classifier, |classifier| {
            classifier.header().names.get(index).cloned().ok_or_else(|| {
                Error::invalid(format!(
                    "there is no class {index}, there are {} (numbered from 0)",
                    classifier.classes()
                ))
            })
        })?;
        fill_text(&name, buffer, capacity, length)
    })
}

/// What is known about the classifier as a JSON object, by the rule of seed_config_get_string: "names", "temperature",
/// "threshold" (2 where no answer is sure), "held_out" (accuracy, balanced recall with its 95 % interval and what chance would give,
/// recalls, AUROC, calibration error, coverage and risk of the threshold, confusion matrix; null where no image was held out),
/// "calibration" ("by" "held_out", "cross_validation" or "none", "images", "folds"; null in files of earlier versions) and
/// "training".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_describe(
    classifier: *const seed_classifier,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let text = with(classifier, |classifier| json(classifier.header()))?;
        fill_text(&text, buffer, capacity, length)
    })
}

/// The confusion matrix of the held-out images: K·K counts into `buffer`, true class by row, answered class by column, by the
/// rule of seed_neighbours. No counts where no image was held out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_confusion(
    classifier: *const seed_classifier,
    buffer: *mut u64,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        with(classifier, |classifier| {
            let held_out = classifier.header().held_out.as_ref();
            fill(held_out.map_or(&[][..], |judgement| judgement.confusion.counts()), buffer, capacity, length)
        })
    })
}

/// The same as a table of comma-separated values with the classes' names, by the rule of seed_config_get_string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_confusion_csv(
    classifier: *const seed_classifier,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let table = with(classifier, |classifier| match &classifier.header().held_out {
            Some(judgement) => judgement.confusion.to_csv(&classifier.header().names),
            None => Ok(String::new()),
        })?;
        fill_text(&table, buffer, capacity, length)
    })
}

/// Places for the answers to some images, each of which may be NULL.
struct Places {
    classes: *mut i64,
    confidences: *mut f32,
    unsure: *mut u8,
    probabilities: *mut f32,
}

impl Places {
    fn check(&self) -> Result<()> {
        for (name, pointer, aligned) in [
            ("classes", self.classes.is_null(), self.classes.is_aligned()),
            ("confidences", self.confidences.is_null(), self.confidences.is_aligned()),
            ("probabilities", self.probabilities.is_null(), self.probabilities.is_aligned()),
        ] {
            if !pointer && !aligned {
                return Err(Error::invalid(format!("{name} is not aligned to its type")));
            }
        }
        Ok(())
    }

    /// Writes the answers; where `broken` says so, the class is −1, the answer unsure and every number 0.
    ///
    /// # Safety
    /// Each place that is not NULL has room for as many elements as there are answers, `probabilities` times the classes.
    unsafe fn write(&self, verdicts: &Verdicts, broken: &BTreeSet<usize>) {
        for i in 0..verdicts.len() {
            let broken = broken.contains(&i);
            // SAFETY: by contract.
            unsafe {
                if !self.classes.is_null() {
                    // Classes are bounded by the file's format, far below 2^31.
                    self.classes.add(i).write(if broken { -1 } else { verdicts.class(i) as i64 });
                }
                if !self.confidences.is_null() {
                    self.confidences.add(i).write(if broken { 0.0 } else { verdicts.probability(i) });
                }
                if !self.unsure.is_null() {
                    self.unsure.add(i).write(u8::from(broken || verdicts.unsure(i)));
                }
                if !self.probabilities.is_null() {
                    for (j, &probability) in verdicts.of(i).iter().enumerate() {
                        let place = self.probabilities.add(i * verdicts.of(i).len() + j);
                        place.write(if broken { 0.0 } else { probability });
                    }
                }
            }
        }
    }
}

/// Classifies `count` images of any sizes. Each of the four arrays may be NULL: `classes` receives `count` class numbers,
/// `confidences` as many probabilities of these, `unsure` 1 where that lies below the classifier's threshold and 0 else, and
/// `probabilities` count·K numbers, image after image.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_classify(
    classifier: *const seed_classifier,
    images: *const seed_image,
    count: usize,
    classes: *mut i64,
    confidences: *mut f32,
    unsure: *mut u8,
    probabilities: *mut f32,
) -> *mut seed_error {
    catch(|| unsafe {
        let places = Places { classes, confidences, unsure, probabilities };
        places.check()?;
        with(classifier, |classifier| {
            let images = Images::new(images, count)?;
            places.write(&classifier.classify_each(count, |i| images.view(i))?, &BTreeSet::new());
            Ok(())
        })
    })
}

/// Classifies all images of a data set, in order. The arrays are as for seed_classifier_classify, with room for `capacity`
/// images; a broken image gets class −1, is unsure, and its numbers are 0. `callback`, `user_data` and `cancel` may be NULL.
///
/// Errors: as seed_session_embed_dataset; SEED_ERROR_BUFFER_TOO_SMALL when the data set has more images than `capacity`; SEED_ERROR_CANCELLED when the
/// callback or the token ended it. The arrays are left alone then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_classify_dataset(
    classifier: *const seed_classifier,
    dataset: *const seed_dataset,
    callback: seed_count_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    classes: *mut i64,
    confidences: *mut f32,
    unsure: *mut u8,
    probabilities: *mut f32,
    capacity: usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let places = Places { classes, confidences, unsure, probabilities };
        places.check()?;
        let cancel = token(cancel)?;
        let dataset = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
        with(classifier, |classifier| {
            let asked = Asked::default();
            let mut progress = asked.going_on(callback, user_data, cancel.clone());
            if dataset.len() > capacity {
                return Err(Error::new(
                    ErrorKind::BufferTooSmall,
                    format!("the arrays have room for {capacity} images, but there are {}", dataset.len()),
                ));
            }
            let (rate, device) = classifier.pace();
            let work =
                |told: &mut dyn FnMut(usize, usize) -> bool| classifier.classify_dataset(&dataset, CHUNK, 0, told);
            let (verdicts, broken) = asked.result(counted(rate, device, &cancel, work, &mut progress))?;
            if verdicts.len() > capacity {
                // Frames were pushed between both counts.
                return Err(Error::new(ErrorKind::BufferTooSmall, "images were pushed meanwhile; try again"));
            }
            places.write(&verdicts, &broken);
            Ok(())
        })
    })
}

/// How well the classifier does on the labelled images of a data set that it has not learned from, as a JSON object with
/// "images", "accuracy", "balanced_recall" with "balanced_recall_low" and "_high" (its 95 % interval) and "chance", "recalls",
/// "auroc", "nll", "calibration_error", "selected" (coverage and risk of the threshold) and "confusion", by the rule of
/// seed_config_get_string (each call embeds the images). `labels` are as for seed_classifier_fit; broken images are left out, "images"
/// says how many were judged. `callback`, `user_data` and `cancel` may be NULL.
///
/// Errors: as seed_session_embed_dataset, SEED_ERROR_CANCELLED when the callback or the token ended it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_judge(
    classifier: *const seed_classifier,
    dataset: *const seed_dataset,
    labels: *const i64,
    label_count: usize,
    callback: seed_count_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let cancel = token(cancel)?;
        let dataset = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
        let labels = &pointers::labels("labels", labels, label_count)?;
        let text = with(classifier, |classifier| {
            let asked = Asked::default();
            let mut progress = asked.going_on(callback, user_data, cancel.clone());
            let (rate, device) = classifier.pace();
            let work = |told: &mut dyn FnMut(usize, usize) -> bool| classifier.judge(&dataset, labels, CHUNK, 0, told);
            json(&asked.result(counted(rate, device, &cancel, work, &mut progress))?)
        })?;
        fill_text(&text, buffer, capacity, length)
    })
}

/// What you should know about the classifier although nothing failed, such as probabilities that nothing was held out to calibrate: one
/// warning a line, each once, by the rule of seed_config_get_string; empty where there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_warnings(
    classifier: *const seed_classifier,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill_text(&warnings(classifier)?, buffer, capacity, length) })
}

/// Releases a classifier. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_classifier_free(classifier: *mut seed_classifier) {
    free(classifier)
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
}
