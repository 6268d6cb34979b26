//! `seed_model`: a network in figures and words.

use std::ffi::c_char;
use std::path::Path;

use super::border::catch;
use super::config::seed_config;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with};
use super::pointers::{check_out, check_size, fill_text, put, put_new, text};
use super::session::seed_session;
use super::student::{projection, seed_student};
use super::teacher::{seed_teacher, seeing};
use crate::Error;
use crate::data::Resize;
use crate::model::student_file::read_about;
use crate::model::{Architecture, Description, Head};

/// Nothing follows the features.
pub const SEED_HEAD_NONE: i32 = 0;
/// Linear, ReLU, linear.
pub const SEED_HEAD_PROJECTION: i32 = 1;
/// Linear, batch norm, ReLU, linear.
pub const SEED_HEAD_NORMED_PROJECTION: i32 = 2;
/// A linear layer to classes.
pub const SEED_HEAD_CLASSIFIER: i32 = 3;
/// One linear layer to the embedding, as MoCo-v1's.
pub const SEED_HEAD_LINEAR_PROJECTION: i32 = 4;

/// All of a frame, each side resized to the network's.
pub const SEED_RESIZE_WHOLE: i32 = 0;
/// All of a frame with its aspect ratio, padded by the mean colour.
pub const SEED_RESIZE_LETTERBOX: i32 = 1;
/// The shorter side resized to size · 256/224 and the middle cut out.
pub const SEED_RESIZE_CENTRE: i32 = 2;

/// A network in figures. Set struct_size to sizeof(seed_model_info) first.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_model_info {
    /// sizeof(seed_model_info).
    pub struct_size: usize,
    /// Numbers that a run learns, head included, running statistics not; 0 where only the application knows, of a teacher of its own.
    pub parameters: i64,
    /// Multiplications with addition for one image of this size, head included, as torchvision counts them (GMac times 10⁹);
    /// 0 where they cannot be counted: of a teacher that is no network of libseed.
    pub multiply_adds: u64,
    /// Width of the features before the head; 0 for a teacher that is no network of libseed.
    pub feature_dim: i64,
    /// Width of the embedding; with a classifier the number of classes, without a head feature_dim.
    pub embedding_dim: i64,
    /// Subtracted from red, green and blue in [0, 1].
    pub mean: [f64; 3],
    /// Divides red, green and blue afterwards.
    pub std: [f64; 3],
    /// Pixels in a row of the network's images; others are resized to this size.
    pub input_width: u32,
    /// Rows of the network's images.
    pub input_height: u32,
    /// Channels of the network's images.
    pub input_channels: u32,
    /// SEED_HEAD_*.
    pub head: i32,
    /// SEED_RESIZE_*: how a frame becomes the network's image.
    pub resize: i32,
    /// 0.
    pub reserved: i32,
}

/// What a network is, as it was when this was made. All functions may be called from several threads at once.
pub struct seed_model(Guarded<Description>);
handle!(seed_model, Description);

/// The number of architectures that seed_student_new and seed_teacher_load know.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_architecture_count(out: *mut usize) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, Architecture::all().len());
        Ok(())
    })
}

/// The name of architecture `index`, from 0, such as "resnet18", by the rule of seed_config_get_string. seed_model_new tells more
/// of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_architecture_name(
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let all = Architecture::all();
        let architecture = all.get(index).ok_or_else(|| {
            Error::invalid(format!("architecture {index} does not exist, there are {} (from 0)", all.len()))
        })?;
        fill_text(architecture.name(), buffer, capacity, length)
    })
}

/// Describes the student that seed_student_new would make of that architecture and configuration, without making it: image size,
/// "resize", "embedding_dim", "projection_hidden", mean and std come from `config`. It takes milliseconds and hardly any memory. The
/// caller frees it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_model_new(
    architecture: *const c_char,
    config: *const seed_config,
    out: *mut *mut seed_model,
) -> *mut seed_error {
    catch(|| unsafe {
        let architecture = Architecture::parse(text("architecture", architecture)?)?;
        put_new(out, || {
            with(config, |config| {
                config.validate()?;
                Description::new(architecture, projection(config), &config.view.input, serde_json::json!({}))
            })
        })
    })
}

/// Describes the network in a file without reading its weights: a student that seed_student_save wrote, or a file of
/// seed_student_export of any format. Nothing in the file is executed. The caller frees it.
///
/// Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a file that libseed did not write or that is damaged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_model_open(path: *const c_char, out: *mut *mut seed_model) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        put_new(out, || {
            let header = read_about(path)?;
            let view = header.input;
            Description::new(header.architecture, header.head, &view, header.provenance)
                .map_err(|error| error.context(path.display()))
        })
    })
}

/// Describes a student, its provenance as it is now. The caller frees it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_model_from_student(
    student: *const seed_student,
    out: *mut *mut seed_model,
) -> *mut seed_error {
    catch(|| unsafe {
        put_new(out, || {
            let header = with(student, |student| student.header())?;
            Description::new(header.architecture, header.head, &header.input, header.provenance.clone())
        })
    })
}

/// Describes a teacher for images of the configuration's size, mean and std, which a teacher itself does not have. The caller
/// frees it.
///
/// Errors: SEED_ERROR_UNSUPPORTED for a stored teacher.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_model_from_teacher(
    teacher: *const seed_teacher,
    config: *const seed_config,
    out: *mut *mut seed_model,
) -> *mut seed_error {
    catch(|| unsafe {
        put_new(out, || {
            let teacher = seeing(teacher, "seed_model_from_teacher")?;
            with(config, |config| {
                config.validate()?;
                Description::of_teacher(&teacher, &config.view.input)
            })
        })
    })
}

/// Describes the network that a session runs now. The caller frees it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_model_from_session(
    session: *const seed_session,
    out: *mut *mut seed_model,
) -> *mut seed_error {
    catch(|| unsafe { put_new(out, || with(session, |session| Ok(session.current().description().clone()))) })
}

/// The figures of the network.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT where info->struct_size is not sizeof(seed_model_info).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_model_get_info(model: *const seed_model, info: *mut seed_model_info) -> *mut seed_error {
    catch(|| unsafe {
        check_out("info", info)?;
        check_size::<seed_model_info>("seed_model_info", (*info).struct_size)?;
        let found = with(model, |model| Ok(figures(model)))?;
        put(info, found);
        Ok(())
    })
}

fn figures(model: &Description) -> seed_model_info {
    seed_model_info {
        struct_size: size_of::<seed_model_info>(),
        parameters: model.parameters.unwrap_or(0),
        multiply_adds: model.multiply_adds.unwrap_or(0),
        feature_dim: model.feature_dim.unwrap_or(0),
        embedding_dim: model.output_dim,
        mean: model.input.mean,
        std: model.input.std,
        input_width: model.input.width,
        input_height: model.input.height,
        input_channels: model.input.channels,
        head: match model.head {
            Head::None => SEED_HEAD_NONE,
            Head::Projection { .. } => SEED_HEAD_PROJECTION,
            Head::NormedProjection { .. } => SEED_HEAD_NORMED_PROJECTION,
            Head::Classifier { .. } => SEED_HEAD_CLASSIFIER,
            Head::LinearProjection { .. } => SEED_HEAD_LINEAR_PROJECTION,
        },
        resize: match model.input.resize {
            Resize::Whole => SEED_RESIZE_WHOLE,
            Resize::Letterbox => SEED_RESIZE_LETTERBOX,
            Resize::Centre => SEED_RESIZE_CENTRE,
        },
        reserved: 0,
    }
}

/// The name of the architecture, such as "resnet18", by the rule of seed_config_get_string; "torchscript" or "application" for a
/// teacher that is no network of libseed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_model_architecture(
    model: *const seed_model,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let name = with(model, |model| Ok(model.name.clone()))?;
        fill_text(&name, buffer, capacity, length)
    })
}

/// Which samples of a frame become which of 256 levels before the network sees them, as pairs that seed_config_parse takes, by the rule of
/// seed_config_get_string: "range=full range.gamma=1", or "range=fixed range.low=96 range.high=3871 range.gamma=1". A student's,
/// classifier's or detector's is the one of the data set that it learned from; whoever runs an exported file applies it before the
/// frame is resized.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_model_range(
    model: *const seed_model,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let range = with(model, |model| Ok(model.input.range.pairs()))?;
        fill_text(&range, buffer, capacity, length)
    })
}

/// Where the network comes from, a JSON object, by the rule of seed_config_get_string: "library", "distillation" (teacher, images,
/// steps, loss, settings) and what the application set by seed_student_set_provenance. "{}" where nothing is known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_model_provenance(
    model: *const seed_model,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let provenance = with(model, |model| Ok(model.provenance.to_string()))?;
        fill_text(&provenance, buffer, capacity, length)
    })
}

/// Releases a model. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_model_free(model: *mut seed_model) {
    free(model)
}
