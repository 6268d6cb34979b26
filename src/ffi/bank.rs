//! `seed_bank`: the teacher's embeddings of V views of each image, made once.

use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::Arc;

use super::border::catch;
use super::callback::Asked;
use super::cancel::{seed_cancel_token, token};
use super::config::seed_config;
use super::dataset::seed_dataset;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with};
use super::pointers::{check_optional, check_out, fill_text, put, put_new, text};
use super::teacher::{Source, seed_teacher, seeing};
use super::trainer::outcome_code;
use crate::distill::bank::{Bank, predicted_bytes};
use crate::train::{BankProgress, fill_bank};
use crate::{Error, ErrorKind};

/// A finished or unfinished bank that is open for reading; its file is locked against seed_bank_fill. Teachers and trainers hold
/// what they use. All functions may be called from several threads at once.
pub struct seed_bank(pub(super) Guarded<Arc<Bank>>);
handle!(seed_bank, Arc<Bank>);

/// One report of the filling of a bank.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct seed_bank_progress {
    /// sizeof(seed_bank_progress) of the library.
    pub struct_size: usize,
    /// Rows that are finished, of earlier calls too.
    pub rows: u64,
    /// Rows of the whole bank: views times images.
    pub total_rows: u64,
    /// Images that could not be read so far.
    pub skipped_images: u64,
    /// Rows a second since the report before.
    pub rows_per_second: f64,
    /// Estimated seconds to the last row.
    pub eta_seconds: f64,
    /// Seconds since the call began.
    pub elapsed_seconds: f64,
    /// Share of the time since the report before in which the teacher waited for images, 0 to 1.
    pub waiting_share: f64,
}

impl From<&BankProgress> for seed_bank_progress {
    fn from(progress: &BankProgress) -> Self {
        Self {
            struct_size: size_of::<Self>(),
            rows: progress.rows,
            total_rows: progress.total_rows,
            skipped_images: progress.skipped_images,
            rows_per_second: progress.rows_per_second,
            eta_seconds: progress.eta_seconds,
            elapsed_seconds: progress.elapsed_seconds,
            waiting_share: progress.waiting_share,
        }
    }
}

/// Receives a report every "progress_every" chunks of rows, on the thread that called seed_bank_fill; the report is valid
/// during the call. A return other than 0 ends the filling; what is finished is kept.
pub type seed_bank_callback =
    Option<unsafe extern "C-unwind" fn(progress: *const seed_bank_progress, user_data: *mut c_void) -> i32>;

/// Writes to `*bytes` the size of the file of a bank of `views` views of `images` images, `dim` numbers each: about
/// images·views·(2·dim + 4). `dim` is the width of the teacher's embedding, times 1 + "small.count" where small views stand beside the large ones.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for 0, above 2^32 - 1 images, 10^6 views or 2^22 numbers, or a size above 63 bits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_bank_predict_size(images: u64, views: u64, dim: u64, bytes: *mut u64) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        check_out("bytes", bytes)?;
        put(bytes, predicted_bytes(images, views, dim)?);
        Ok(())
    })
}

/// Fills the bank in the file `path`: "view_count" views of every image of `dataset`, and "small.count" small ones beside each, seen by `teacher`. Begins a new file or
/// goes on with the one that is there, to its end or for at least `max_rows` more rows (0: no limit), and writes one of
/// SEED_OUTCOME_* to `*outcome`. `callback`, `user_data`, `cancel` and `outcome` may be NULL. The whole file is reserved at
/// the start. kill -9 at any moment costs a few seconds of work: the next call goes on from the last rows that are sound.
///
/// Errors: SEED_ERROR_IO when the disk is too small (says the bytes that are missing) or full, SEED_ERROR_MISMATCH when
/// the teacher gives NaN or infinity, naming the image, or with the reason when the bank there is of another teacher,
/// precision, data set, seed or of other views, SEED_ERROR_FORMAT when the file there is no bank, SEED_ERROR_BUSY while
/// it is open, SEED_ERROR_UNSUPPORTED for a stored teacher.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_bank_fill(
    path: *const c_char,
    config: *const seed_config,
    teacher: *const seed_teacher,
    dataset: *const seed_dataset,
    max_rows: u64,
    callback: seed_bank_callback,
    user_data: *mut c_void,
    cancel: *const seed_cancel_token,
    outcome: *mut i32,
) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        let config = with(config, |config| Ok(config.clone()))?;
        let teacher = seeing(teacher, "seed_bank_fill")?;
        let dataset = with(dataset, |dataset| Ok(Arc::clone(dataset)))?;
        let cancel = token(cancel)?;
        check_optional("outcome", outcome)?;
        let limit = (max_rows > 0).then_some(max_rows);
        let asked = Asked::default();
        let filled = fill_bank(path, &config, &teacher, &dataset, limit, &cancel, |progress| {
            asked.control(callback.map(|call| move || call(&seed_bank_progress::from(progress), user_data)))
        });
        let result = asked.result(filled)?;
        if !outcome.is_null() {
            put(outcome, outcome_code(result));
        }
        Ok(())
    })
}

/// Opens the bank in the file `path`, finished or not. With a `teacher`, which may be NULL, a bank of another one is refused; one
/// made by seed_teacher_from_bank stands for the teacher that filled that bank.
/// The header is checked now, rows when they are first used; seed_bank_verify checks them all. Trainers check views and
/// data set. The file must not be cut or written over by others while it is open. The caller frees the bank with
/// seed_bank_free.
///
/// Errors: SEED_ERROR_IO, SEED_ERROR_FORMAT for a damaged or hostile file, SEED_ERROR_MISMATCH for a stale bank,
/// SEED_ERROR_BUSY while it is being filled, SEED_ERROR_UNSUPPORTED for a teacher of embeddings, which fills no bank.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_bank_open(
    path: *const c_char,
    teacher: *const seed_teacher,
    out: *mut *mut seed_bank,
) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        put_new(out, || {
            let bank = Bank::open(path)?;
            if !teacher.is_null() {
                with(teacher, |teacher| teacher.check_filled(&bank))?;
            }
            Ok(Arc::new(bank))
        })
    })
}

/// Reads all finished rows and compares their checksums: one pass over the file, at the disk's speed.
///
/// Errors: SEED_ERROR_FORMAT naming the rows that are damaged; seed_bank_fill repairs them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_bank_verify(bank: *const seed_bank) -> *mut seed_error {
    catch(|| with(bank, |bank| bank.verify()))
}

/// How many rows are finished and how many the bank has. Any of the two may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_bank_rows(
    bank: *const seed_bank,
    finished: *mut u64,
    total: *mut u64,
) -> *mut seed_error {
    catch(|| unsafe {
        check_optional("finished", finished)?;
        check_optional("total", total)?;
        let (done, all) = with(bank, |bank| Ok(bank.rows()))?;
        for (out, number) in [(finished, done), (total, all)] {
            if !out.is_null() {
                put(out, number);
            }
        }
        Ok(())
    })
}

/// The width of an embedding; set "embedding_dim" to it before making the student.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_bank_dim(bank: *const seed_bank, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe { number(out, with(bank, |bank| Ok(bank.header().dim))?) })
}

/// The number of images that the bank was filled from.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_bank_images(bank: *const seed_bank, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe { number(out, with(bank, |bank| Ok(bank.header().views.images))?) })
}

/// The number of views of each image; a run over the bank needs "view_count" set to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_bank_views(bank: *const seed_bank, out: *mut i64) -> *mut seed_error {
    catch(|| unsafe { number(out, with(bank, |bank| Ok(bank.header().views.count))?) })
}

/// What the bank holds, as JSON (teacher, precision, data set, seed, settings of the views), into `buffer`: NULL asks for
/// the size; too small a buffer is left alone; `*length` receives the bytes needed, the NUL included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_bank_header(
    bank: *const seed_bank,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let json = with(bank, |bank| {
            serde_json::to_string_pretty(bank.header())
                .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
        })?;
        fill_text(&json, buffer, capacity, length)
    })
}

/// Makes a teacher of `bank`: a run over it has the loss of the run with the teacher in the loop, to float16 rounding, and no network
/// of the teacher is needed. seed_trainer_new wants a finished bank that holds the views that its configuration asks for
/// ("view_count", "seed", "small.count" and the settings of the views) of its data set, which is not NULL then. seed_trainer_step is refused. The
/// teacher holds the bank, also after seed_bank_free. The caller frees it.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT; whether the bank fits a run is judged by seed_trainer_new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_teacher_from_bank(
    bank: *const seed_bank,
    out: *mut *mut seed_teacher,
) -> *mut seed_error {
    catch(|| unsafe { put_new(out, || with(bank, |bank| Ok(Source::Bank(Arc::clone(bank))))) })
}

/// Releases a bank. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_bank_free(bank: *mut seed_bank) {
    free(bank)
}

unsafe fn number(out: *mut i64, value: u64) -> crate::Result<()> {
    check_out("out", out)?;
    // SAFETY: checked above. The header's numbers were bounded far below 2⁶³ when the bank was opened.
    unsafe { put(out, value as i64) };
    Ok(())
}
