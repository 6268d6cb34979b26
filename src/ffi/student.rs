//! `seed_student`: the network that learns.

use std::ffi::c_char;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::border::catch;
use super::config::seed_config;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with};
use super::pointers::{check_out, put, put_new, text};
use crate::model::provenance::{Provenance, SharedProvenance};
use crate::model::student_file::{StudentHeader, load_student, save_student};
use crate::model::{Architecture, Head, Network};
use crate::train::distill::{SharedNetwork, lock};
use crate::{Error, device};

/// What a student handle holds: the shared weights, and how its images were made.
pub struct StudentInner {
    pub(super) network: SharedNetwork,
    header: StudentHeader,
    /// Runs write to it, so the header's own is that of the beginning only.
    pub(super) provenance: SharedProvenance,
}

impl StudentInner {
    fn new(network: Network, header: StudentHeader) -> Self {
        let provenance = Arc::new(Provenance::of_value(header.provenance.clone()));
        Self { network: Arc::new(Mutex::new(network)), header, provenance }
    }

    /// The header as it is now.
    pub(super) fn header(&self) -> StudentHeader {
        StudentHeader { provenance: self.provenance.to_value(), ..self.header.clone() }
    }
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
                Ok(StudentInner::new(network, header))
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
            Ok(StudentInner::new(network, header))
        })
    })
}

/// Writes the student to a safetensors file with torchvision's key names, atomically.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_save(student: *const seed_student, path: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        with(student, |student| save_student(path, &*lock(&student.network)?, &student.header()))
    })
}

/// Notes where the student comes from, for every file that is written of it: `json` under `key`, any JSON value; null removes the
/// key. Scores, a line's name, a date. A run notes its teacher, the number of images, steps, loss and settings by itself under
/// "distillation", the library its version under "library"; these two cannot be set. seed_model_provenance reads all of it.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for text that is no JSON, an empty or reserved key, or more than 256 KiB in all; nothing is
/// changed then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_set_provenance(
    student: *const seed_student,
    key: *const c_char,
    json: *const c_char,
) -> *mut seed_error {
    catch(|| unsafe {
        let (key, json) = (text("key", key)?, text("json", json)?);
        let value =
            serde_json::from_str(json).map_err(|error| Error::invalid(format!("json is no JSON value: {error}")))?;
        with(student, |student| student.provenance.set(key, value))
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
