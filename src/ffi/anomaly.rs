//! `seed_anomaly`: what does not look like a good part, and where.

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
use super::pointers::{answer_size, check_out, fill_text, product, put, put_new, text};
use super::student::seed_student;
use crate::data::FrameView;
use crate::export::export_detector;
use crate::infer::{AnomalyDetector, Output, SessionOptions};
use crate::train::shared::with_lock;
use crate::{Error, ErrorKind, Result};

/// Images that are judged at once.
const CHUNK: usize = 16;

/// A memory of good parts that says how far an image is from all of them, and where. All functions may be called from
/// several threads at once, seed_anomaly_add among them.
pub struct seed_anomaly(Guarded<AnomalyDetector>);
handle!(seed_anomaly, AnomalyDetector, |anomaly| anomaly.warnings());

/// Learns the images of `good`, all of good parts, by the features of `student` and the settings "anomaly.…", "tile.…", "seed",
/// "device" and "precision" of `config` (docs/anomaly.md): "anomaly.kind" is patchcore, a memory of patches, or stfpm, a second
/// network that learns the feature maps of good parts. A part of the images, "anomaly.held_out", is not learned but sets
/// the threshold for "anomaly.false_alarm_rate"; where several images show the same part, say so by "anomaly.group", or the
/// threshold is too low for further parts. Pixels that seed_dataset_set_ignored names count for nothing. Broken images are left out. `callback`, `user_data` and `cancel` may be NULL.
/// The callback counts images, for stfpm times the passes over them. With "anomaly.checkpoint_path" stfpm writes its state to that
/// file after each pass, goes on from it when it is called again with the same settings, images and student, on the CPU bit for
/// bit, and removes it when it is done. The caller frees the detector.
///
/// Errors: SEED_ERROR_CANCELLED when the callback or the token ended it; SEED_ERROR_IO (some cannot be read) or
/// SEED_ERROR_FORMAT (all are damaged) when there is no sound image; SEED_ERROR_INVALID_ARGUMENT when there is no image at all or
/// one group of images only, stfpm diverges or a feature map is unknown; SEED_ERROR_UNSUPPORTED when the backbone has none;
/// SEED_ERROR_MISMATCH when the checkpoint is of another run, SEED_ERROR_FORMAT when it is damaged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_anomaly_fit(
    config: *const seed_config,
    student: *const seed_student,
    good: *const seed_dataset,
    callback: seed_count_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    out: *mut *mut seed_anomaly,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let asked = Asked::default();
        let cancel = token(cancel)?;
        let mut progress = asked.going_on(callback, user_data, cancel.clone());
        let config = with(config, |config| Ok(config.clone()))?;
        let good = with(good, |good| Ok(Arc::clone(good)))?;
        put_new(out, || {
            let (network, header) =
                with(student, |student| Ok((with_lock(&student.network, |n| n.deep_copy())?, student.header()?)))?;
            let options = SessionOptions::of(&config, Output::Features)?;
            let view = header.input;
            let fitted = AnomalyDetector::fit_with(&network, &view, &config, options, &good, &cancel, &mut progress);
            Ok(asked.result(fitted)?.with_provenance(header.provenance))
        })
    })
}

/// Learns further images of good parts, while the detector goes on judging: the memory grows by what it does not cover, up to
/// its "anomaly.memory_max", and "anomaly.held_out" of the images join those that set the threshold. Calls under way end with
/// what they began with. `callback`, `user_data` and `cancel` may be NULL.
///
/// Errors: as seed_anomaly_fit, and SEED_ERROR_UNSUPPORTED for the kind stfpm, which has to be fitted again with all parts; nothing
/// has changed then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_anomaly_add(
    anomaly: *const seed_anomaly,
    config: *const seed_config,
    good: *const seed_dataset,
    callback: seed_count_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
) -> *mut seed_error {
    catch(|| unsafe {
        let asked = Asked::default();
        let cancel = token(cancel)?;
        let mut progress = asked.going_on(callback, user_data, cancel.clone());
        let config = with(config, |config| Ok(config.clone()))?;
        let good = with(good, |good| Ok(Arc::clone(good)))?;
        with(anomaly, |anomaly| asked.result(anomaly.add(&good, &config, &cancel, &mut progress)))
    })
}

/// Opens a file of seed_anomaly_save. "device" and "precision" come from `config`. The caller frees the detector.
///
/// Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a file that is damaged, hostile or no detector's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_anomaly_open(
    path: *const c_char,
    config: *const seed_config,
    out: *mut *mut seed_anomaly,
) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        put_new(out, || {
            AnomalyDetector::open(path, with(config, |config| SessionOptions::of(config, Output::Features))?)
        })
    })
}

/// Writes the detector to one safetensors file, atomically: backbone, memory or second network, held-out scores and settings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_anomaly_save(anomaly: *const seed_anomaly, path: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        with(anomaly, |anomaly| anomaly.save(path))
    })
}

/// Writes the detector as it is now to one ONNX file, operator set 17, for any batch size: "score" (B); "alarm" (B), whether it lies
/// above the threshold; "map" (B, H, W), the heat map in the pixels of the resized image. Memory or second network are inside. The
/// input is options->input; format must be SEED_EXPORT_ONNX and outputs 0. The metadata has the settings ("anomaly"), "threshold", "rate",
/// how images are made, how the map belongs to a frame ("map"), and the provenance. The file is checked before it is in place; on an error
/// what stood at `path` is as it was. docs/export.md lists inputs, outputs and metadata.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for options out of bounds; SEED_ERROR_MISMATCH for a network that gives NaN;
/// SEED_ERROR_UNSUPPORTED for a detector that ignores pixels or sees tiles, another format or other outputs, for an operation that cannot be written, naming it, and for 2 GB of
/// weights and more; SEED_ERROR_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_anomaly_export(
    anomaly: *const seed_anomaly,
    path: *const c_char,
    options: *const seed_export_options,
) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        check_out("options", options.cast_mut())?;
        let input = (*options).onnx_input("a detector")?;
        with(anomaly, |anomaly| export_detector(path, anomaly, input))
    })
}

/// The score above which an image is an alarm, and the false-alarm rate that it keeps on good parts: the one that was asked
/// for, or 1/(n + 1) where n held-out groups of images ("anomaly.group") are too few for it, with "anomaly.confidence" c
/// 1 - (1 - c)^(1/n). Where none was held out the threshold comes of the learned images themselves (docs/anomaly.md), the rate is NaN,
/// and seed_anomaly_warnings says so. Both may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_anomaly_threshold(
    anomaly: *const seed_anomaly,
    threshold: *mut f32,
    rate: *mut f64,
) -> *mut seed_error {
    catch(|| unsafe {
        let found = with(anomaly, |anomaly| Ok(anomaly.threshold()))?;
        if !threshold.is_null() {
            check_out("threshold", threshold)?;
        }
        if !rate.is_null() {
            check_out("rate", rate)?;
            put(rate, found.rate);
        }
        if !threshold.is_null() {
            put(threshold, found.score);
        }
        Ok(())
    })
}

/// What is known about the detector as a JSON object, by the rule of seed_config_get_string: "settings", "patches" and
/// "patch_dim" of the memory (0 for stfpm), "held_out" and "held_out_groups" (how many images and groups of images), "threshold",
/// "rate" (null where none was held out), "ignored" (how many pixels of a frame count for nothing) and "computes".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_anomaly_describe(
    anomaly: *const seed_anomaly,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let about = with(anomaly, |anomaly| {
            let (patches, patch_dim) = anomaly.memory_size();
            let (threshold, held_out) = (anomaly.threshold(), anomaly.held_out());
            Ok(serde_json::json!({
                "settings": anomaly.settings(),
                "patches": patches,
                "patch_dim": patch_dim,
                "held_out": held_out.scores().len(),
                "held_out_groups": held_out.sizes().len(),
                "threshold": threshold.score.is_finite().then_some(threshold.score),
                "rate": (threshold.score.is_finite() && threshold.rate.is_finite()).then_some(threshold.rate),
                "ignored": anomaly.ignored().map_or(0, |ignored| ignored.marks().iter().filter(|&&mark| mark == 1).count()),
                "computes": anomaly.describe(),
            }))
        })?;
        let text =
            serde_json::to_string_pretty(&about).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        fill_text(&text, buffer, capacity, length)
    })
}

/// Scores `count` images of any sizes: `count` numbers into `scores`, and 1 for an alarm or 0 into `alarms`; each may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_anomaly_score(
    anomaly: *const seed_anomaly,
    images: *const seed_image,
    count: usize,
    scores: *mut f32,
    alarms: *mut u8,
) -> *mut seed_error {
    catch(|| unsafe {
        if !scores.is_null() {
            check_out("scores", scores)?;
        }
        with(anomaly, |anomaly| {
            let images = Images::new(images, count)?;
            let mut judged = Vec::with_capacity(count.min(1 << 20));
            for begin in (0..count).step_by(CHUNK) {
                let views: Vec<FrameView<'_>> =
                    (begin..count.min(begin + CHUNK)).map(|i| images.view(i)).collect::<Result<_>>()?;
                judged.extend(anomaly.judge(&views, false)?);
            }
            for (i, one) in judged.iter().enumerate() {
                if !scores.is_null() {
                    scores.add(i).write(one.score);
                }
                if !alarms.is_null() {
                    alarms.add(i).write(u8::from(one.alarm));
                }
            }
            Ok(())
        })
    })
}

/// The heat map of one image in its own pixels: width·height distances, row after row, into `buffer`, by the rule of
/// seed_neighbours. `score` and `alarm` (each may be NULL) are as for seed_anomaly_score.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_anomaly_map(
    anomaly: *const seed_anomaly,
    image: *const seed_image,
    buffer: *mut f32,
    capacity: usize,
    length: *mut usize,
    score: *mut f32,
    alarm: *mut u8,
) -> *mut seed_error {
    catch(|| unsafe {
        let view = Images::new(image, 1)?.view(0)?;
        let needed = product("the heat map", view.width as usize, view.height as usize)?;
        if !score.is_null() {
            check_out("score", score)?;
        }
        if !answer_size(needed, buffer, capacity, length)? {
            return Ok(());
        }
        with(anomaly, |anomaly| {
            let judged = anomaly.judge(&[view], true)?;
            let one = judged.first().ok_or_else(|| Error::new(ErrorKind::Internal, "the image was not judged"))?;
            std::ptr::copy_nonoverlapping(one.map.as_ptr(), buffer, needed.min(one.map.len()));
            if !score.is_null() {
                put(score, one.score);
            }
            if !alarm.is_null() {
                put(alarm, u8::from(one.alarm));
            }
            Ok(())
        })
    })
}

/// What you should know about the detector although nothing failed, such as a threshold that no held-out image has set: one warning a line,
/// each once, by the rule of seed_config_get_string; empty where there is none. Warnings about what it has learned are saved with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_anomaly_warnings(
    anomaly: *const seed_anomaly,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill_text(&warnings(anomaly)?, buffer, capacity, length) })
}

/// Releases a detector. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_anomaly_free(anomaly: *mut seed_anomaly) {
    free(anomaly)
}
