//! `seed_student`: the network that learns.

use std::ffi::c_char;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::border::catch;
use super::config::seed_config;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with};
use super::pointers::{check_out, put, put_new, text};
use crate::device;
use crate::model::student_file::{StudentHeader, load_student, save_student};
use crate::model::{Architecture, Head, Network};
use crate::train::distill::{SharedNetwork, lock};

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

/// Makes a student with random weights, drawn from the configuration's "seed": `architecture` is
/// - "resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", or SwAV's "resnet50w2", "resnet50w4";
/// - "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "efficientnet_b1";
/// - as SEED trained them "seed_mobilenet_v3_large", "tf_efficientnet_b0", "tf_efficientnet_b1";
/// - narrow with "_w0.25", "_w0.5" or "_w0.75" behind a ResNet up to 50 or a MobileNet: "resnet18_w0.5";
/// - "vit_small_patch16" and so on: "small", "base" or "large", "patch8", "patch16" (DINO), "patch14_dinov2" or
///   "patch14_reg4_dinov2"; image width and height must be multiples of the patch.
///
/// "embedding_dim", "projection_hidden", "device", image size, channels, mean and std come from `config`. With
/// "image_channels" 1 the network takes one grey channel; teachers still see three. The caller frees it.
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
                let (channels, device) = (i64::from(config.view.channels), device::parse(&config.device)?);
                let network = Network::with_channels(architecture, head, channels, config.seed, device)?;
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
