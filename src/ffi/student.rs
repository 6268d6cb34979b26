//! `seed_student`: the network that learns.

use std::ffi::c_char;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::border::catch;
use super::config::seed_config;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with, with_mut};
use super::pointers::{check_out, fill_text, put, put_new, text};
use crate::model::student_file::{StudentHeader, load_student, save_student};
use crate::model::{Architecture, Head, Network};
use crate::train::distill::{SharedNetwork, lock};
use crate::{Error, device};

/// What a student handle holds: the shared weights, and how its images were made.
pub struct StudentInner {
    pub(super) network: SharedNetwork,
    pub(super) header: StudentHeader,
}

/// A compact network with a projection head. Trainers share it; sessions take a copy of its weights as they are when the
/// session is made. All functions but seed_student_free may be called from several threads at once; they wait for a step
/// that is writing the weights.
pub struct seed_student(pub(super) Guarded<StudentInner>);
handle!(seed_student, StudentInner);

/// Makes a student with random weights, drawn from the configuration's "seed": `architecture` is "resnet10", "resnet18",
/// "resnet34", "resnet50", "resnet101", "resnet152", "resnet50w2", "resnet50w4" (SwAV's wide ones), "mobilenet_v2",
/// "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0" or "efficientnet_b1"; "embedding_dim", "projection_hidden",
/// "device", image size, mean and std come from `config`. The caller frees it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_new(
    architecture: *const c_char,
    config: *const seed_config,
    out: *mut *mut seed_student,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let architecture = Architecture::parse(text("architecture", architecture)?)?;
        put_new(out, || {
            with(config, |config| {
                config.validate()?;
                // Both are bounded by 65536 in the configuration.
                let head =
                    Head::Projection { hidden: config.projection_hidden as i64, dim: config.embedding_dim as i64 };
                let network = Network::new(architecture, head, config.seed, device::parse(&config.device)?)?;
                let header = StudentHeader::new(&network, &config.view);
                Ok(StudentInner { network: Arc::new(Mutex::new(network)), header })
            })
        })
    })
}

/// Reads a student that seed_student_save wrote, to the configuration's "device". Image size, mean and std are the file's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_load(
    path: *const c_char,
    config: *const seed_config,
    out: *mut *mut seed_student,
) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        put_new(out, || {
            let device = with(config, |config| device::parse(&config.device))?;
            let (mut network, header) = load_student(path)?;
            network.to_device(device)?;
            Ok(StudentInner { network: Arc::new(Mutex::new(network)), header })
        })
    })
}

/// Writes the student to a safetensors file with torchvision's key names, atomically.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_save(student: *const seed_student, path: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        with(student, |student| save_student(path, &*lock(&student.network)?, &student.header))
    })
}

/// Keeps a JSON value under `key` in the student's provenance, which seed_student_save writes into the file: what it was distilled
/// from, how well it agreed with its teacher. NULL takes the key away. Wants the handle alone.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for a text that is no JSON.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_set_provenance(
    student: *mut seed_student,
    key: *const c_char,
    json: *const c_char,
) -> *mut seed_error {
    catch(|| unsafe {
        let key = text("key", key)?;
        let value = if json.is_null() {
            None
        } else {
            let value = serde_json::from_str::<serde_json::Value>(text("json", json)?);
            Some(value.map_err(|error| Error::invalid(format!("the provenance {key:?} is no JSON: {error}")))?)
        };
        with_mut(student, |student| {
            let entries = student.header.provenance.as_object_mut();
            let entries = entries.ok_or_else(|| Error::invalid("the student's provenance is no JSON object"))?;
            match value {
                Some(value) => drop(entries.insert(key.to_owned(), value)),
                None => drop(entries.remove(key)),
            }
            Ok(())
        })
    })
}

/// The student's provenance as a JSON object into `buffer`: NULL asks for the size; too small a buffer is left alone; `*length`
/// receives the bytes needed, the NUL included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_provenance(
    student: *const seed_student,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let json = with(student, |student| Ok(student.header.provenance.to_string()))?;
        fill_text(&json, buffer, capacity, length)
    })
}

/// The number of parameters, projection head included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_parameter_count(student: *const seed_student, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(student, |student| Ok(lock(&student.network)?.parameter_count()))?);
        Ok(())
    })
}

/// The width of the embedding, C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_dim(student: *const seed_student, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(student, |student| Ok(lock(&student.network)?.output_dim()))?);
        Ok(())
    })
}

/// Releases a student. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_free(student: *mut seed_student) {
    unsafe { free(student) }
}
