//! `seed_night_run`: a station's night in one call, and the way back.

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::Arc;

use super::border::catch;
use super::callback::Asked;
use super::cancel::{seed_cancel_token, token};
use super::config::seed_config;
use super::error::seed_error;
use super::handle::with;
use super::pointers::{array, check_out, check_size, fill_text, put, text};
use super::session::seed_session;
use super::store::seed_store;
use super::student::seed_student;
use super::teacher::{seed_teacher, seeing};
use crate::infer::LiveSession;
use crate::night::{Line, Night, NightOptions, NightOutcome, NightProgress, NightStage, describe, restore};
use crate::{Error, Result, torch};

/// The student learns; done and total count steps.
pub const SEED_NIGHT_DISTIL: i32 = 1;
/// A classifier is made; done and total count as for seed_classifier_fit.
pub const SEED_NIGHT_FINETUNE: i32 = 2;
/// Both students and the teacher embed frames, and the gate judges; done and total count images.
pub const SEED_NIGHT_EVALUATE: i32 = 3;
/// Files and session are exchanged.
pub const SEED_NIGHT_SWAP: i32 = 4;
/// The report and the line of the history are written.
pub const SEED_NIGHT_REPORT: i32 = 5;

const _: () = assert!(
    SEED_NIGHT_DISTIL == NightStage::Distil as i32
        && SEED_NIGHT_FINETUNE == NightStage::Finetune as i32
        && SEED_NIGHT_EVALUATE == NightStage::Evaluate as i32
        && SEED_NIGHT_SWAP == NightStage::Swap as i32
        && SEED_NIGHT_REPORT == NightStage::Report as i32
);

/// There were too few new frames; nothing was changed.
pub const SEED_NIGHT_NOTHING_NEW: i32 = 0;
/// The token or the callback ended the call; the same call goes on.
pub const SEED_NIGHT_CANCELLED: i32 = 1;
/// The night is done and the old student stays live.
pub const SEED_NIGHT_KEPT: i32 = 2;
/// The night is done and the new student is live.
pub const SEED_NIGHT_LIVE: i32 = 3;

/// How much of what a night takes. Set struct_size to sizeof(seed_night_options); 0 elsewhere is the default. Where 0 is wanted as a
/// value, set SEED_OPTION_ZERO.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_night_options {
    /// sizeof(seed_night_options).
    pub struct_size: usize,
    /// New frames without which there is nothing to do. Default: 64.
    pub min_new_frames: u64,
    /// Most held-out frames that the students are compared on, the newest, from 12 on. Default: 500.
    pub max_compared: u64,
    /// Labelled frames that a class needs to be learned, at least 2. Default: 5.
    pub min_labels: u64,
    /// Labelled frames of the reference below which kNN and the classifier are measured but decide nothing. Default: 100; 1 lets them
    /// decide always.
    pub min_reference: u64,
    /// Frames whose teacher embeddings are the queue of the KL. Default: 512.
    pub queue_frames: u64,
    /// Neighbours of overlap and of kNN. Default: 10.
    pub k: usize,
    /// Share of all frames that is held out of training, by the frame's number, and of each class's labelled frames that is the
    /// reference, .01 to .9. Default: .2.
    pub held_out: f64,
    /// Share of older frames among those that are distilled on, up to .95; 0 is the default of .5, SEED_OPTION_ZERO is none.
    pub replay: f64,
    /// Share of the old student's KL that the new one's may be above it. Default: 0.02.
    pub kl_margin: f64,
    /// By how much the overlap may be below. Default: 0.02.
    pub overlap_margin: f64,
    /// By how much the balanced recall may be below, of kNN, and how much worse the classifier may be shown to be. Default: 0.02.
    pub recall_margin: f64,
    /// How many times the old latency is allowed. Default: 1.1.
    pub latency_factor: f64,
}

/// One report of a night. Each stage begins with one whose done and total are 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_night_progress {
    /// sizeof(seed_night_progress) of the library.
    pub struct_size: usize,
    /// Number of the night, from 1 on.
    pub night: u64,
    /// How much of the stage is done.
    pub done: u64,
    /// How much there is to do at most.
    pub total: u64,
    /// Mean loss since the report before, of the stages that learn; NaN where there is none.
    pub loss: f64,
    /// Images a second since the report before; 0 where nothing was measured.
    pub images_per_second: f64,
    /// Estimated seconds to the end of the stage.
    pub eta_seconds: f64,
    /// Seconds since the call began.
    pub elapsed_seconds: f64,
    /// SEED_NIGHT_DISTIL to SEED_NIGHT_REPORT: what is being done.
    pub stage: i32,
    /// 0.
    pub reserved: i32,
}

/// How a night ended. Set struct_size to sizeof(seed_night_result) first. Figures of the night are 0, those that were not
/// measured NaN; seed_night_describe has their intervals.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_night_result {
    /// sizeof(seed_night_result).
    pub struct_size: usize,
    /// Number of the night, from 1 on.
    pub night: u64,
    /// New frames in the store.
    pub new_frames: u64,
    /// Frames that were distilled on, older ones included.
    pub learned_frames: u64,
    /// How many of these are older.
    pub older_frames: u64,
    /// Labelled frames that a classifier was fitted to.
    pub labelled_frames: u64,
    /// Held-out frames that the students were compared on.
    pub compared_frames: u64,
    /// Labelled frames that were judged.
    pub reference_frames: u64,
    /// Seconds from the night's beginning to its end, interruptions included.
    pub seconds: f64,
    /// Loss of the distillation at its end.
    pub loss: f64,
    /// Mean KL of the student that was live, in nats.
    pub kl_old: f64,
    /// Mean KL of the new student.
    pub kl_new: f64,
    /// Overlap with the teacher's neighbours, of the student that was live.
    pub overlap_old: f64,
    /// Overlap of the new student.
    pub overlap_new: f64,
    /// Balanced recall of kNN on the reference, of the student that was live.
    pub recall_old: f64,
    /// Balanced recall of the new student.
    pub recall_new: f64,
    /// Balanced recall of the new classifier on the reference.
    pub classifier_recall: f64,
    /// Median milliseconds of one frame, of the student that was live.
    pub latency_old: f64,
    /// Median milliseconds of the new student.
    pub latency_new: f64,
    /// SEED_NIGHT_NOTHING_NEW, _CANCELLED, _KEPT or _LIVE.
    pub outcome: i32,
    /// 0.
    pub reserved: i32,
    /// Why there was nothing to do or the old student stays, for a person, cut to fit; else empty. UTF-8, ends with NUL.
    pub reason: [c_char; 256],
}

/// Receives a report on the thread that called seed_night_run; it is valid during the call. A return other than 0 ends the call
/// as a cancel token does.
pub type seed_night_callback =
    Option<unsafe extern "C-unwind" fn(progress: *const seed_night_progress, user_data: *mut c_void) -> i32>;

/// Runs a station's night: fixes the new frames of `store`, distils `teacher` on into the live student of `folder` (by the
/// settings of `config`, "steps" or "epochs" above all), fits a classifier to the labels there are ("finetune.…"), compares
/// new student and classifier with the live ones on frames that were not learned from, and where the gate lets them pass makes them
/// live: both in `folder`, the student in `session`. Writes a report and a line of history (docs/night.md says what lies in the folder). The line may go on
/// pushing into `store` and asking `session` meanwhile.
///
/// Whatever interrupts it (a cancel, an error, kill -9, a full disk), the same call goes on, on the CPU to the same student bit
/// for bit. A night that was begun with other settings or options is begun anew.
///
/// `first` (may be NULL) is the student that the first night starts from; it is copied, and not looked at where the folder has a
/// student. Image size, mean and std of `config` must be the student's, the width of its embedding the teacher's. `session` (may
/// be NULL) is one of the live student. `options`, `callback`, `user_data` and `cancel` may be NULL. `*result` has its
/// struct_size set.
///
/// Errors: SEED_ERROR_BUSY when another call works in the folder; SEED_ERROR_MISMATCH when the folder is another teacher's, or
/// student, session and configuration do not fit together; SEED_ERROR_UNSUPPORTED for a folder on a file system that cannot
/// exchange two names at once, and for a stored teacher; SEED_ERROR_INVALID_ARGUMENT for options out of bounds and where there is no student to start from;
/// SEED_ERROR_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_night_run(
    config: *const seed_config,
    store: *const seed_store,
    teacher: *const seed_teacher,
    folder: *const c_char,
    first: *const seed_student,
    options: *const seed_night_options,
    session: *const seed_session,
    callback: seed_night_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    result: *mut seed_night_result,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        check_out("result", result)?;
        check_size::<seed_night_result>("seed_night_result", (*result).struct_size)?;
        let config = with(config, |config| Ok(config.clone()))?;
        // Taken out of their handles: an error of the night must not come between the line and its store.
        let store = with(store, |store| Ok(store.to_read()))?;
        let teacher = seeing(teacher, "seed_night_run")?;
        let first = match first.is_null() {
            true => None,
            false => Some(with(first, |student| Ok((Arc::clone(&student.network), student.header()?)))?),
        };
        let options = read_options(options)?;
        let cancel = token(cancel)?;
        let folder = Path::new(text("folder", folder)?);
        let line = line(session)?;
        let night = Night { config: &config, store: &store, teacher, folder, first, options: &options };
        let asked = Asked::default();
        let mut observe = |progress: &NightProgress| {
            asked.control(callback.map(|call| move || call(&seed_night_progress::from(progress), user_data)))
        };
        let outcome = asked.result(torch::caught(|| night.run(line.as_deref(), &cancel, &mut observe)))?;
        put(result, seed_night_result::of(&outcome));
        Ok(())
    })
}

/// What a session runs, which may be exchanged even while its handle is freed; NULL is none.
fn line(session: *const seed_session) -> Result<Option<Arc<LiveSession>>> {
    match session.is_null() {
        true => Ok(None),
        false => with(session, |session| Ok(Some(Arc::clone(&session.live)))),
    }
}

/// Exchanges the live student of `folder`, with its classifier, and the one before; `session` (may be NULL) gets the one that is
/// live then. The same call again goes forward. A night that was begun is dropped, its frames are new again. `config` says on
/// which device and in which precision the session computes.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT when no student has been replaced so far; SEED_ERROR_BUSY while a night runs there;
/// SEED_ERROR_MISMATCH when the session's vectors have another length. Nothing is changed then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_night_restore(
    folder: *const c_char,
    config: *const seed_config,
    session: *const seed_session,
) -> *mut seed_error {
    catch(|| unsafe {
        let folder = Path::new(text("folder", folder)?);
        let config = with(config, |config| Ok(config.clone()))?;
        restore(folder, &config, line(session)?.as_deref())
    })
}

/// How things stand in a station's folder, as JSON, into `buffer`: NULL asks for the size; too small a buffer is left alone;
/// `*length` receives the bytes needed, the NUL included. "nights" that were done, "live" and "previous" (null, or an
/// object: "night", the one that made the student, and "classifier", the one that made its classifier, where that is known), "begun" (number and stage of the night under way, or null), "last" (the last line of the history: every figure
/// with its interval, or null). At any time, also while a night runs.
///
/// Errors: SEED_ERROR_IO, SEED_ERROR_INVALID_ARGUMENT when the folder is no station's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_night_describe(
    folder: *const c_char,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill_text(&describe(Path::new(text("folder", folder)?))?, buffer, capacity, length) })
}

impl From<&NightProgress> for seed_night_progress {
    fn from(progress: &NightProgress) -> Self {
        Self {
            struct_size: size_of::<Self>(),
            night: progress.night,
            done: progress.done,
            total: progress.total,
            loss: progress.loss,
            images_per_second: progress.images_per_second,
            eta_seconds: progress.eta_seconds,
            elapsed_seconds: progress.elapsed_seconds,
            stage: progress.stage as i32,
            reserved: 0,
        }
    }
}

impl seed_night_result {
    fn of(outcome: &NightOutcome) -> Self {
        match outcome {
            NightOutcome::NothingNew(reason) => Self::without(SEED_NIGHT_NOTHING_NEW, reason),
            NightOutcome::Cancelled => Self::without(SEED_NIGHT_CANCELLED, ""),
            NightOutcome::Kept(line) => Self::with(SEED_NIGHT_KEPT, line),
            NightOutcome::Live(line) => Self::with(SEED_NIGHT_LIVE, line),
        }
    }

    fn without(outcome: i32, reason: &str) -> Self {
        const NONE: f64 = f64::NAN;
        Self {
            struct_size: size_of::<Self>(),
            night: 0,
            new_frames: 0,
            learned_frames: 0,
            older_frames: 0,
            labelled_frames: 0,
            compared_frames: 0,
            reference_frames: 0,
            seconds: 0.0,
            loss: NONE,
            kl_old: NONE,
            kl_new: NONE,
            overlap_old: NONE,
            overlap_new: NONE,
            recall_old: NONE,
            recall_new: NONE,
            classifier_recall: NONE,
            latency_old: NONE,
            latency_new: NONE,
            outcome,
            reserved: 0,
            reason: cut(reason),
        }
    }

    fn with(outcome: i32, line: &Line) -> Self {
        let (kl, overlap) = (line.kl, line.overlap);
        let or = |value: Option<f64>| value.unwrap_or(f64::NAN);
        Self {
            night: line.night,
            new_frames: line.new_frames,
            learned_frames: line.learned_frames,
            older_frames: line.older_frames,
            labelled_frames: line.labelled_frames,
            compared_frames: line.compared_frames,
            reference_frames: line.reference_frames,
            seconds: line.seconds,
            loss: or(line.loss),
            kl_old: or(kl.map(|kl| kl.old.value)),
            kl_new: or(kl.map(|kl| kl.new.value)),
            overlap_old: or(overlap.map(|overlap| overlap.old.value)),
            overlap_new: or(overlap.map(|overlap| overlap.new.value)),
            recall_old: or(line.knn_recall.map(|recall| recall.old)),
            recall_new: or(line.knn_recall.map(|recall| recall.new)),
            classifier_recall: or(line.classifier_recall.and_then(|recall| recall.new)),
            latency_old: or(line.latency_ms.map(|latency| latency.old)),
            latency_new: or(line.latency_ms.map(|latency| latency.new)),
            ..Self::without(outcome, &line.reason)
        }
    }
}

/// As much of `text` as fits before the NUL, in whole characters.
fn cut(text: &str) -> [c_char; 256] {
    let mut buffer = [0; 256];
    let end = (0..buffer.len()).rev().find(|&end| text.is_char_boundary(end.min(text.len()))).unwrap_or(0);
    for (place, byte) in buffer.iter_mut().zip(text.bytes().take(end)) {
        *place = byte.cast_signed();
    }
    buffer
}

unsafe fn read_options(options: *const seed_night_options) -> Result<NightOptions> {
    let standard = NightOptions::default();
    if options.is_null() {
        return Ok(standard);
    }
    // SAFETY: by contract of the C function.
    let options = unsafe { array("options", options, 1) }?[0];
    check_size::<seed_night_options>("seed_night_options", options.struct_size)?;
    let count = |value: u64, default: u64| if value == 0 { default } else { value };
    let share = super::gate::or;
    if options.k > u32::MAX as usize {
        return Err(Error::invalid(format!("k is {}, expected some neighbours", options.k)));
    }
    let mut gate = standard.gate.clone();
    gate.k = if options.k == 0 { gate.k } else { options.k };
    gate.fidelity.k = gate.k;
    gate.kl_margin = share(options.kl_margin, gate.kl_margin);
    gate.overlap_margin = share(options.overlap_margin, gate.overlap_margin);
    gate.recall_margin = share(options.recall_margin, gate.recall_margin);
    gate.latency_factor = share(options.latency_factor, gate.latency_factor);
    gate.min_reference = usize::try_from(count(options.min_reference, gate.min_reference as u64)).unwrap_or(usize::MAX);
    Ok(NightOptions {
        min_new_frames: count(options.min_new_frames, standard.min_new_frames),
        held_out: share(options.held_out, standard.held_out),
        max_compared: count(options.max_compared, standard.max_compared),
        replay: share(options.replay, standard.replay),
        min_labels: count(options.min_labels, standard.min_labels),
        queue: count(options.queue_frames, standard.queue),
        gate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        for (length, kept) in [(0, 0), (100, 200), (127, 254), (128, 254), (300, 254)] {
            let found = cut(&"ü".repeat(length));
            assert_eq!(found.iter().position(|&byte| byte == 0), Some(kept), "{length}");
        }
        assert_eq!(cut(&"x".repeat(900))[254..], [b'x' as c_char, 0]);
    }
}
