//! How well a student reproduces its teacher, and whether a new one may take the place of the old: plain functions.

use std::ffi::c_void;
use std::sync::Arc;

use super::border::catch;
use super::callback::Asked;
use super::cancel::seed_count_callback;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::eval::vectors;
use super::handle::with;
use super::pointers::check_size;
use super::pointers::{array, check_out, put};
use super::session::seed_session;
use crate::data::Dataset;
use crate::eval::{Fidelity, FidelityConfig, Interval, fidelity};
use crate::gate::{Criterion, GateConfig, judge};
use crate::train::CancelToken;
use crate::{Error, Result};

/// A mean and its 95 % confidence interval.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_interval {
    /// The mean.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

/// How well a student reproduces its teacher. Set struct_size to sizeof(seed_fidelity) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_fidelity {
    /// sizeof(seed_fidelity).
    pub struct_size: usize,
    /// Frames that were measured.
    pub frames: usize,
    /// Neighbours of the overlap.
    pub k: usize,
    /// Embeddings of the queue.
    pub queue: usize,
    /// Of the student's softmax.
    pub temperature_student: f64,
    /// Of the teacher's softmax.
    pub temperature_teacher: f64,
    /// Mean Kullback–Leibler divergence of the student's softmax over the queue from the teacher's, in nats.
    pub kl: seed_interval,
    /// Mean share of the teacher's k nearest among the student's, 0 to 1.
    pub overlap: seed_interval,
    /// Mean cosine between both embeddings, −1 to 1.
    pub cosine: seed_interval,
}

/// KL is worse.
pub const SEED_WORSE_KL: i32 = 1;
/// Overlap is worse.
pub const SEED_WORSE_OVERLAP: i32 = 2;
/// Cosine is worse.
pub const SEED_WORSE_COSINE: i32 = 4;

/// The value 0 in an option whose 0 is the default: a margin of 0, no replay. Any other negative number says the same.
pub const SEED_OPTION_ZERO: f64 = -1.0;

/// By how much a new student may be worse than the old. Set struct_size to sizeof(seed_gate_options); 0 elsewhere is the default,
/// SEED_OPTION_ZERO the value 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_gate_options {
    /// sizeof(seed_gate_options).
    pub struct_size: usize,
    /// Neighbours of overlap and of kNN. Default: 10.
    pub k: usize,
    /// As it was distilled. Default: 0.2.
    pub temperature_student: f64,
    /// As it was distilled. Default: 0.01.
    pub temperature_teacher: f64,
    /// Share of the old student's KL that the new one's may be above it. Default: 0.02: at two temperatures KL is far
    /// above 0 for any student.
    pub kl_margin: f64,
    /// By how much the overlap may be below. Default: 0.02.
    pub overlap_margin: f64,
    /// By how much the balanced recall may be below. Default: 0.02.
    pub recall_margin: f64,
    /// How many times the old latency is allowed. Default: 1.1.
    pub latency_factor: f64,
    /// Of the intervals and the parts of the reference set.
    pub seed: u64,
}

/// One thing that must hold for a new student.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_criterion {
    /// Of the old student.
    pub old_value: f64,
    /// Of the new student.
    pub new_value: f64,
    /// New less old, frame by frame.
    pub difference: seed_interval,
    /// What the worse bound of the difference must keep to.
    pub limit: f64,
    /// 1 when it does, else 0.
    pub holds: i32,
}

/// What the gate says. Set struct_size to sizeof(seed_verdict) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_verdict {
    /// sizeof(seed_verdict).
    pub struct_size: usize,
    /// Mean KL to the teacher, in nats.
    pub kl: seed_criterion,
    /// Mean overlap with the teacher's neighbours.
    pub overlap: seed_criterion,
    /// Balanced recall of kNN on the reference set.
    pub recall: seed_criterion,
    /// Median time of one frame, in milliseconds; the difference is that of pairs of times.
    pub latency: seed_criterion,
    /// 1 when all four hold, else 0.
    pub passes: i32,
    /// 1 when the machine was too busy to tell which student is faster: latency does not hold then, but nothing was shown
    /// either; judge again. Else 0.
    pub latency_unclear: i32,
}

fn interval(found: Interval) -> seed_interval {
    seed_interval { value: found.value, low: found.low, high: found.high }
}

/// Measures a student by its teacher: `count` embeddings of `dim` floats of both for the same frames, against `queue_count` embeddings
/// of the teacher's. Temperatures of 0 are the paper's, .2 and .01. `*result` has its struct_size set. Keep the result when the student
/// is made (seed_student_set_provenance) and measure again with the same queue and as many frames of today.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_fidelity_measure(
    student: *const f32,
    teacher: *const f32,
    count: usize,
    dim: usize,
    queue: *const f32,
    queue_count: usize,
    k: usize,
    temperature_student: f64,
    temperature_teacher: f64,
    seed: u64,
    result: *mut seed_fidelity,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        check_out("result", result)?;
        check_size::<seed_fidelity>("seed_fidelity", (*result).struct_size)?;
        let standard = FidelityConfig::default();
        let config = FidelityConfig {
            temperature_student: or(temperature_student, standard.temperature_student),
            temperature_teacher: or(temperature_teacher, standard.temperature_teacher),
            k,
            seed,
        };
        let student = vectors("student", student, count, dim)?;
        let teacher = vectors("teacher", teacher, count, dim)?;
        let found = fidelity(&student, &teacher, &vectors("queue", queue, queue_count, dim)?, &config)?;
        put(
            result,
            seed_fidelity {
                struct_size: size_of::<seed_fidelity>(),
                frames: found.frames,
                k: found.k,
                queue: found.queue,
                temperature_student: found.temperature_student,
                temperature_teacher: found.temperature_teacher,
                kl: interval(found.kl),
                overlap: interval(found.overlap),
                cosine: interval(found.cosine),
            },
        );
        Ok(())
    })
}

/// What an option says: 0 is the default, and what is below is the value 0. NaN stays for the checks to refuse.
pub(super) fn or(value: f64, default: f64) -> f64 {
    match value {
        0.0 => default,
        value if value < 0.0 => 0.0,
        value => value,
    }
}

unsafe fn read_fidelity(name: &str, pointer: *const seed_fidelity) -> Result<Fidelity> {
    // SAFETY: by contract of the C function.
    let found = unsafe { array(name, pointer, 1) }?[0];
    check_size::<seed_fidelity>("seed_fidelity", found.struct_size)?;
    let of = |found: seed_interval| Interval { value: found.value, low: found.low, high: found.high };
    Ok(Fidelity {
        frames: found.frames,
        k: found.k,
        queue: found.queue,
        temperature_student: found.temperature_student,
        temperature_teacher: found.temperature_teacher,
        kl: of(found.kl),
        overlap: of(found.overlap),
        cosine: of(found.cosine),
    })
}

/// Which figures have become worse since `then`, so that the intervals do not touch: a sum of SEED_WORSE_*, 0 for none.
///
/// Errors: SEED_ERROR_MISMATCH when the two were not measured alike.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_fidelity_compare(
    then: *const seed_fidelity,
    now: *const seed_fidelity,
    worse: *mut i32,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("worse", worse)?;
        let changes = read_fidelity("now", now)?.since(&read_fidelity("then", then)?)?;
        let bits = [SEED_WORSE_KL, SEED_WORSE_OVERLAP, SEED_WORSE_COSINE];
        put(worse, changes.iter().zip(bits).map(|(change, bit)| if change.worse { bit } else { 0 }).sum());
        Ok(())
    })
}

/// Compares a new student with the old: on `frames`, by how well each agrees with the teacher; on `reference`, whose `label_count`
/// images have the classes `labels`, by kNN; and by their latency, in pairs of times on the same frame, so that a busy machine refuses
/// no student that is as fast. All three sessions give embeddings ("output" "embedding") of one width. `options` may be NULL.
/// `callback` (may be NULL) is told how many of how many images are embedded, on this thread; a return other than 0 cancels.
/// `*verdict` has its struct_size set. Nothing is changed: seed_session_swap puts the new student in, and the same call puts the old
/// one back.
///
/// Errors: SEED_ERROR_MISMATCH for widths that differ, SEED_ERROR_CANCELLED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_gate_judge(
    old_session: *const seed_session,
    new_session: *const seed_session,
    teacher: *const seed_session,
    frames: *const seed_dataset,
    reference: *const seed_dataset,
    labels: *const i64,
    label_count: usize,
    options: *const seed_gate_options,
    callback: seed_count_callback,
    user_data: *mut c_void,
    verdict: *mut seed_verdict,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("verdict", verdict)?;
        check_size::<seed_verdict>("seed_verdict", (*verdict).struct_size)?;
        let config = read_options(options)?;
        let session = |pointer: *const seed_session| with(pointer, |session| Ok(session.current()));
        let (old, new, teacher) = (session(old_session)?, session(new_session)?, session(teacher)?);
        let dataset =
            |pointer: *const seed_dataset| -> Result<Arc<Dataset>> { with(pointer, |dataset| Ok(Arc::clone(dataset))) };
        let (frames, reference) = (dataset(frames)?, dataset(reference)?);
        let labels = array("labels", labels, label_count)?;
        let asked = Asked::default();
        let mut report = asked.going_on(callback, user_data, CancelToken::new());
        let found = asked.result(judge(&old, &new, &teacher, &frames, &reference, labels, &config, &mut report))?;
        let of = |found: Criterion| seed_criterion {
            old_value: found.old,
            new_value: found.new,
            difference: interval(found.difference),
            limit: found.limit,
            holds: i32::from(found.holds),
        };
        put(
            verdict,
            seed_verdict {
                struct_size: size_of::<seed_verdict>(),
                kl: of(found.kl),
                overlap: of(found.overlap),
                recall: of(found.recall),
                latency: of(found.latency),
                passes: i32::from(found.passes),
                latency_unclear: i32::from(found.latency_unclear),
            },
        );
        Ok(())
    })
}

unsafe fn read_options(options: *const seed_gate_options) -> Result<GateConfig> {
    let standard = GateConfig::default();
    if options.is_null() {
        return Ok(standard);
    }
    // SAFETY: by contract of the C function.
    let options = unsafe { array("options", options, 1) }?[0];
    check_size::<seed_gate_options>("seed_gate_options", options.struct_size)?;
    if options.k > u32::MAX as usize {
        return Err(Error::invalid(format!("k is {}, expected some neighbours", options.k)));
    }
    let k = if options.k == 0 { standard.k } else { options.k };
    Ok(GateConfig {
        fidelity: FidelityConfig {
            temperature_student: or(options.temperature_student, standard.fidelity.temperature_student),
            temperature_teacher: or(options.temperature_teacher, standard.fidelity.temperature_teacher),
            k,
            seed: options.seed,
        },
        kl_margin: or(options.kl_margin, standard.kl_margin),
        overlap_margin: or(options.overlap_margin, standard.overlap_margin),
        recall_margin: or(options.recall_margin, standard.recall_margin),
        latency_factor: or(options.latency_factor, standard.latency_factor),
        k,
        ..standard
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_the_default_and_can_be_said() {
        assert_eq!([0.0, SEED_OPTION_ZERO, -0.3, 0.3].map(|value| or(value, 0.5)), [0.5, 0.0, 0.0, 0.3]);
        assert!(or(f64::NAN, 0.5).is_nan());
    }
}
