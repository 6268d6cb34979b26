//! `seed_teacher`: what is learned from.

use std::ffi::c_char;
use std::path::Path;
use std::sync::Arc;

use super::border::catch;
use super::config::seed_config;
use super::embeddings::seed_embeddings;
use super::error::seed_error;
use super::handle::{Guarded, Handle, free, warnings, with};
use super::pointers::{check_out, fill_text, put, put_new, text};
use crate::data::Dataset;
use crate::distill::{Bank, ImageEmbeddings, ImageTargets, Targets};
use crate::model::{Architecture, Teacher, TorchScript};
use crate::warnings::Warnings;
use crate::{Error, ErrorKind, Result, device};

/// What is learned from: a frozen network, a TorchScript file, an engine of the application (seed_teacher_from_callback), or what
/// a teacher said before and that was stored (seed_teacher_from_bank, seed_teacher_from_embeddings). A stored one serves
/// seed_trainer_new; what has to show a teacher images refuses it with SEED_ERROR_UNSUPPORTED. Trainers and sessions hold what they
/// use. All functions may be called from several threads at once.
pub struct seed_teacher(pub(super) Guarded<Source>);

impl Handle for seed_teacher {
    const NAME: &'static str = "seed_teacher";
    type Value = Source;
    fn warnings(source: &Source) -> Warnings {
        match source {
            Source::Live(teacher) => teacher.warnings().clone(),
            Source::Bank(_) | Source::Table(_) => Warnings::default(),
        }
    }
}

/// Where a teacher's answers come from.
#[derive(Clone)]
pub enum Source {
    /// It is shown images.
    Live(Arc<Teacher>),
    /// It was shown views of a data set once.
    Bank(Arc<Bank>),
    /// It was shown images elsewhere once.
    Table(Arc<ImageEmbeddings>),
}

impl Source {
    /// The teacher that `job` shows images.
    ///
    /// # Errors
    /// `Unsupported` where the answers are stored.
    fn seeing(&self, job: &str) -> Result<Arc<Teacher>> {
        let Source::Live(teacher) = self else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{job} needs a teacher that can be shown images, found {}, which serves seed_trainer_new alone; give the \
                     network (seed_teacher_load, seed_teacher_load_torchscript) or the engine (seed_teacher_from_callback)",
                    self.title()
                ),
            ));
        };
        Ok(Arc::clone(teacher))
    }

    /// What it is, for a person.
    fn title(&self) -> String {
        match self {
            Source::Live(teacher) => format!("a teacher ({})", teacher.name()),
            Source::Bank(bank) => format!("a bank of {}'s embeddings", bank.header().teacher.architecture),
            Source::Table(table) => format!("a table of {} embeddings", table.len()),
        }
    }

    /// The width of its embeddings.
    fn dim(&self) -> i64 {
        match self {
            Source::Live(teacher) => teacher.embedding_dim(),
            // At most 65,536, checked when the bank was opened.
            Source::Bank(bank) => bank.header().dim as i64,
            Source::Table(table) => table.dim(),
        }
    }

    /// Refuses a bank that another teacher filled.
    ///
    /// # Errors
    /// `Mismatch` naming both teachers; `Unsupported` for a table of embeddings, which fills no bank.
    pub(super) fn check_filled(&self, bank: &Bank) -> Result<()> {
        match self {
            Source::Live(teacher) => bank.check_teacher(teacher.name(), &teacher.identity()?),
            Source::Bank(other) => {
                let teacher = &other.header().teacher;
                bank.check_teacher(&teacher.architecture, &teacher.identity)
            }
            Source::Table(_) => self.seeing("a bank").map(drop),
        }
    }

    /// The targets of a run over `dataset`.
    ///
    /// # Errors
    /// Those of [`ImageTargets::new`]; `InvalidArgument` for a table of embeddings without a data set.
    pub(super) fn targets(self, dataset: Option<&Dataset>) -> Result<Targets> {
        Ok(match self {
            Source::Live(teacher) => teacher.into(),
            Source::Bank(bank) => bank.into(),
            Source::Table(table) => {
                let dataset = dataset.ok_or_else(|| {
                    Error::invalid(
                        "a teacher of stored embeddings needs the data set of their images, the dataset is NULL",
                    )
                })?;
                Arc::new(ImageTargets::new(table, dataset)?).into()
            }
        })
    }
}

/// The teacher of a handle that `job` shows images.
///
/// # Errors
/// `Unsupported` where its answers are stored.
pub(super) fn seeing(teacher: *const seed_teacher, job: &str) -> Result<Arc<Teacher>> {
    with(teacher, |source| source.seeing(job))
}

/// Reads a teacher's weights from a safetensors file or a torch checkpoint (.pt, .pth, .pth.tar; zip or legacy format),
/// which is read as data: nothing in it is executed. Without a projection head in the file the embedding is the backbone's
/// features. A Vision Transformer keeps the file's grid of positions, which must be square. `architecture` as for
/// seed_student_new; "device" comes from `config`. The caller frees it.
///
/// Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a damaged or hostile file, SEED_ERROR_MISMATCH listing missing, unexpected
/// and misshapen keys.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_load(
    path: *const c_char,
    architecture: *const c_char,
    config: *const seed_config,
    out: *mut *mut seed_teacher,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        let architecture = Architecture::parse(text("architecture", architecture)?)?;
        put_new(out, || {
            let device = with(config, |config| device::parse(&config.device))?;
            let teacher = Teacher::from_file(architecture, path, device)?.into_channels_last()?;
            Ok(Source::Live(Arc::new(teacher)))
        })
    })
}

/// Makes a teacher of a TorchScript file, written by torch.jit.save: any PyTorch network that takes float images
/// (B, 3, H, W), normalised by "mean" and "std" of the run, and gives floating-point rows (B, D), or (B, D, 1, 1). Where it
/// gives a tuple, a list or a dict, `output` says which tensor to take, by its key, field or number from 0; NULL takes the
/// first. It is put into eval mode, frozen, moved to the "device" of `config` and tried on images of "image_width" and
/// "image_height", which tells D. It computes in the type of its weights, whatever "precision" says. The caller frees it.
///
/// A TorchScript file is a program, unlike a file of weights: what it contains is run in this process, with all rights of
/// this process. Load only what you would also run.
///
/// Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT when the file is no TorchScript module, SEED_ERROR_MISMATCH when it refuses such
/// images or gives something else, with what it gave.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_load_torchscript(
    path: *const c_char,
    output: *const c_char,
    config: *const seed_config,
    out: *mut *mut seed_teacher,
) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        let output = if output.is_null() { "" } else { text("output", output)? };
        put_new(out, || {
            let config = with(config, |config| Ok(config.clone()))?;
            config.validate()?;
            let device = device::parse(&config.device)?;
            let size = (i64::from(config.view.input.height), i64::from(config.view.input.width));
            let teacher = Teacher::from_embedder(TorchScript::load(path, output, size, device)?);
            Ok(Source::Live(Arc::new(teacher)))
        })
    })
}

/// Makes a teacher of `embeddings`: every view of an image has one target, the image's own row. Rows are found by the names of the
/// images (seed_dataset_name) where the embeddings have names, else row i is image i's, when seed_trainer_new is given the data set,
/// which is not NULL then. An image may lack a row, or have one of zeros, only where it cannot be read. seed_trainer_step is refused.
/// The teacher holds the embeddings, also after seed_embeddings_free. The caller frees it.
///
/// The target does not follow the crop, as it does with a network or a bank, so keep the views mild ("view.crop_scale_min"
/// near 1); where the teacher can be run here, seed_bank_fill learns more from it.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT; whether the embeddings fit a data set is judged by seed_trainer_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_from_embeddings(
    embeddings: *const seed_embeddings,
    out: *mut *mut seed_teacher,
) -> *mut seed_error {
    catch(|| unsafe { put_new(out, || with(embeddings, |table| Ok(Source::Table(Arc::clone(table))))) })
}

/// The width of the teacher's embedding; set "embedding_dim" to it before making the student.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_dim(teacher: *const seed_teacher, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, with(teacher, |source| Ok(source.dim()))?);
        Ok(())
    })
}

/// The number of parameters.
///
/// Errors: SEED_ERROR_UNSUPPORTED for an engine of the application, which libseed cannot look into, and a stored teacher.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_parameter_count(teacher: *const seed_teacher, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe {
        check_out("out", out)?;
        put(out, seeing(teacher, "the number of parameters")?.parameter_count()?);
        Ok(())
    })
}

/// What you should know about the teacher although nothing failed, such as tensors of its file that were not understood: one warning a line,
/// each once, by the rule of seed_config_get_string; empty where there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_warnings(
    teacher: *const seed_teacher,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe { fill_text(&warnings(teacher)?, buffer, capacity, length) })
}

/// Releases a teacher. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_free(teacher: *mut seed_teacher) {
    free(teacher)
}
