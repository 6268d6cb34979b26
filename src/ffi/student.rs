//! `seed_student`: the network that learns.

use std::ffi::c_char;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use super::border::catch;
use super::config::seed_config;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, warnings, with, with_mut};
use super::pointers::{check_out, fill_text, put, put_new, text};
use crate::config::Config;
use crate::data::{Input, Range, Roi};
use crate::model::provenance::{Provenance, SharedProvenance};
use crate::model::student_file::{StudentHeader, load_student, save_student};
use crate::model::{Architecture, Head, Mode, Network, start_from};
use crate::train::shared::{SharedNetwork, lock, with_lock};
use crate::warnings::Warnings;
use crate::{Error, Result, device};

/// What a student handle holds: the shared weights, and how its images were made.
pub struct StudentInner {
    pub(super) network: SharedNetwork,
    header: StudentHeader,
    /// How frames are seen since the last run was made; the header's own are those of the beginning only.
    seen: Mutex<(Range, Roi)>,
    /// Runs write to it, so the header's own is that of the beginning only.
    pub(super) provenance: SharedProvenance,
    /// What the last seed_student_load_weights did, as JSON; empty before.
    initial: String,
    warnings: Warnings,
}

impl StudentInner {
    fn new(network: Network, header: StudentHeader) -> Self {
        let provenance = Arc::new(Provenance::of_value(header.provenance.clone()));
        let (network, seen) = (Arc::new(Mutex::new(network)), Mutex::new((header.input.range, header.input.roi)));
        Self { network, header, seen, provenance, initial: String::new(), warnings: Warnings::default() }
    }

    /// A student that a run has made, whose images are made as `input` says.
    pub(super) fn shared(network: SharedNetwork, provenance: SharedProvenance, input: &Input) -> Result<Self> {
        let header = StudentHeader::new(&*lock(&network)?, input);
        let seen = Mutex::new((header.input.range, header.input.roi));
        Ok(Self { network, header, seen, provenance, initial: String::new(), warnings: Warnings::default() })
    }

    /// The header as it is now; a run may have given `network` its head.
    pub(super) fn header_of(&self, network: &Network) -> StudentHeader {
        let (head, provenance) = (network.head(), self.provenance.to_value());
        StudentHeader { head, provenance, input: self.input(), ..self.header.clone() }
    }

    /// As [`header_of`](StudentInner::header_of), for a caller that holds no lock.
    pub(super) fn header(&self) -> Result<StudentHeader> {
        Ok(self.header_of(&*lock(&self.network)?))
    }

    /// How images are made.
    pub(super) fn input(&self) -> Input {
        let (range, roi) = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Input { range, roi, ..self.header.input }
    }

    /// From now on the student is one for frames that are seen by the range and in the region of `input`.
    pub(super) fn learns_by(&self, input: &Input) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = (input.range, input.roi);
    }
}

/// The head that a configuration asks for; none yet where the teacher's width is not known.
pub(super) fn projection(config: &Config) -> Head {
    match config.embedding_dim {
        0 => Head::None,
        // Both are bounded by 65536 in the configuration.
        dim => Head::projection(config.projection_layers as i64, config.projection_hidden as i64, dim as i64),
    }
}

/// A compact network with a projection head. Trainers share it; sessions take a copy of its weights as they are when the
/// session is made. All functions but seed_student_load_weights may be called from several threads at once; they wait for a
/// step that is writing the weights.
pub struct seed_student(pub(super) Guarded<StudentInner>);
handle!(seed_student, StudentInner, |student| &student.warnings);

/// Makes a student with random weights, drawn from the configuration's "seed". `architecture` is a name that seed_architecture_name gives
/// (docs/models.md has them all): "resnet18", narrow "resnet18_w0.5", "mobilenet_v3_large", "vit_small_patch16" and so on. Image width and
/// height must be multiples of a Vision Transformer's patch.
///
/// "embedding_dim", "projection_hidden", "device", image size, channels, "resize", range, mean and std come from `config`. With "embedding_dim" 0 (the
/// default) the student gets a projection head of the teacher's width when its first trainer is made; until then it has none,
/// and its embedding is its features. With
/// "image_channels" 1 the network takes one grey channel; teachers still see three. The caller frees it.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for an unknown architecture, or a Vision Transformer whose image size is no multiple of its patch.
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
                let head = projection(config);
                let (height, width) = (i64::from(config.view.input.height), i64::from(config.view.input.width));
                // Before there is a network, which may be large.
                architecture.check_size(1, height, width, Mode::Eval)?;
                let (channels, device) = (i64::from(config.view.input.channels), device::parse(&config.device)?);
                let network = Network::with_channels(architecture, head, channels, config.seed, device)?;
                let header = StudentHeader::new(&network, &config.view.input);
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

/// Lets the student start from earlier weights, before it is trained: ImageNet's as torchvision, timm or Hugging Face publish
/// them, another student's, or a checkpoint of SEED's (its student) and other self-supervised methods. The file is safetensors or a
/// torch checkpoint, is read as data, and must hold the whole backbone of the student's architecture. A projection head in it
/// is taken if it has the student's widths, and else the student keeps its own. Weights of three channels are folded to one
/// for a student of "image_channels" 1; a Vision Transformer's positions of another square grid are resampled to the
/// student's, as timm does. All or nothing. Image size, mean and std stay those of the student: set them to what the weights
/// were trained with. What was done is told by seed_student_weights_report.
/// Wants the handle alone; a run that trains the student goes on from the new weights with its next step.
///
/// Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a damaged or hostile file, SEED_ERROR_MISMATCH listing missing, unexpected and
/// misshapen keys and the architecture whose weights they are, SEED_ERROR_BUSY. The student is as it was then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_load_weights(student: *mut seed_student, path: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        with_mut(student, |student| {
            let initial = with_lock(&student.network, |n| start_from(n, path, &student.input()))?;
            // The folder says nothing on another machine.
            let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
            student.provenance.set_initial_weights(
                json!({ "file": file, "layout": initial.layout, "prefix": initial.prefix, "head": initial.head }),
            )?;
            student.warnings.keep(initial.warnings.iter().cloned());
            student.initial = serde_json::to_string(&initial)
                .map_err(|error| Error::invalid(format!("the report cannot be written as JSON: {error}")))?;
            Ok(())
        })
    })
}

/// What the last seed_student_load_weights of this student did, as JSON, by the rule of seed_config_get_string: "layout" (whose
/// names the file had), "prefix" (what was taken off each name), "head" (whether the file's was taken), "loaded" and "converted"
/// (numbers of tensors), "defaulted" (counters that the file lacks) and "ignored" (the file's tensors that were not used).
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT where none were loaded, SEED_ERROR_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_weights_report(
    student: *const seed_student,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let report = with(student, |student| match student.initial.as_str() {
            "" => Err(Error::invalid("no weights were loaded into this student; call seed_student_load_weights first")),
            report => Ok(report.to_owned()),
        })?;
        fill_text(&report, buffer, capacity, length)
    })
}

/// Writes the student to a safetensors file with torchvision's key names, atomically.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_save(student: *const seed_student, path: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        with(student, |student| with_lock(&student.network, |n| save_student(path, n, &student.header_of(n))))
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
        let json = with(student, |student| Ok(student.provenance.to_value().to_string()))?;
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

/// The width of the embedding, C; of a student that has no head yet ("embedding_dim" 0), that of its features.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_dim(student: *const seed_student, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(student, |student| Ok(lock(&student.network)?.output_dim()))?);
        Ok(())
    })
}

/// What you should know about the student although nothing failed, such as tensors of a file of weights that were not understood: one
/// warning a line, each once, by the rule of seed_config_get_string; empty where there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_warnings(
    student: *const seed_student,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill_text(&warnings(student)?, buffer, capacity, length) })
}

/// Releases a student. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_student_free(student: *mut seed_student) {
    free(student)
}
