//! `seed_queue`: the teacher's last K embeddings.

use std::ffi::c_char;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tch::{Device, Tensor};

use super::border::catch;
use super::error::seed_error;
use super::eval::{Places, nearest_into};
use super::handle::{Guarded, free, handle, with};
use super::pointers::{answer_size, array, check_out, product, put, put_new, text};
use crate::distill::Queue;
use crate::train::shared::{SharedQueue, lock, with_lock};
use crate::{Error, Result, torch};

/// A first-in-first-out queue of K unit rows of width C. Trainers hold what they use. All functions may be called from
/// several threads at once; they wait for a step that is using the queue.
pub struct seed_queue(pub(super) Guarded<SharedQueue>);
handle!(seed_queue, SharedQueue);

/// Makes a queue of `capacity` rows (K) of width `dim` (C), filled with normalised Gaussian noise drawn from `seed`, as
/// SEED starts. The caller frees it with seed_queue_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_queue_new(
    capacity: usize,
    dim: usize,
    seed: u64,
    out: *mut *mut seed_queue,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        put_new(out, || Ok(Arc::new(Mutex::new(Queue::new(signed(capacity)?, signed(dim)?, seed, Device::Cpu)?))))
    })
}

/// Reads a queue that seed_queue_save wrote.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_queue_load(path: *const c_char, out: *mut *mut seed_queue) -> *mut seed_error {
    catch(|| unsafe {
        put_new(out, || Ok(Arc::new(Mutex::new(Queue::load(Path::new(text("path", path)?), Device::Cpu)?))))
    })
}

/// Writes the queue to a safetensors file, atomically.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_queue_save(queue: *const seed_queue, path: *const c_char) -> *mut seed_error {
    catch(|| unsafe {
        let path = Path::new(text("path", path)?);
        with(queue, |queue| with_lock(queue, |queue| queue.save(path)))
    })
}

/// Enqueues `count` embeddings of `dim` floats, row after row; each is normalised. The oldest make room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_queue_push(
    queue: *const seed_queue,
    embeddings: *const f32,
    count: usize,
    dim: usize,
) -> *mut seed_error {
    catch(|| unsafe {
        with(queue, |queue| {
            let rows = rows("embeddings", embeddings, count, dim)?;
            if count == 0 {
                return Ok(());
            }
            with_lock(queue, |queue| queue.push(&crate::model::unit_rows(&rows)?))
        })
    })
}

/// The number of rows that were pushed, at most the capacity; the others are noise still.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_queue_length(queue: *const seed_queue, out: *mut usize) -> *mut seed_error {
    catch(|| unsafe { number(queue, out, |queue| queue.len()) })
}

/// K, the number of rows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_queue_capacity(queue: *const seed_queue, out: *mut usize) -> *mut seed_error {
    catch(|| unsafe { number(queue, out, |queue| queue.capacity()) })
}

/// C, the width of a row.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_queue_dim(queue: *const seed_queue, out: *mut usize) -> *mut seed_error {
    catch(|| unsafe { number(queue, out, |queue| queue.width()) })
}

/// Similarities of `count` queries of `dim` floats with every row: count·K floats, query after query, into `buffer`. NULL
/// asks for the size; too small a buffer is left alone; `*length` receives the number of floats needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_queue_similarities(
    queue: *const seed_queue,
    queries: *const f32,
    count: usize,
    dim: usize,
    buffer: *mut f32,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        with(queue, |queue| {
            with_lock(queue, |queue| {
                let needed = product("the result", count, usize::try_from(queue.capacity()).unwrap_or(usize::MAX))?;
                if !answer_size(needed, buffer, capacity, length)? || needed == 0 {
                    return Ok(());
                }
                let result = queue.similarities(&rows("queries", queries, count, dim)?)?;
                let result = result.f_to_device(Device::Cpu)?.f_contiguous()?;
                result.f_copy_data(std::slice::from_raw_parts_mut(buffer, needed), needed)?;
                Ok(())
            })
        })
    })
}

/// `count` rows from row `first` on: count·C floats into `buffer`, by the rule of seed_queue_similarities. Row j is its
/// column j; rows from seed_queue_length on are noise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_queue_rows(
    queue: *const seed_queue,
    first: usize,
    count: usize,
    buffer: *mut f32,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        with(queue, |queue| {
            with_lock(queue, |queue| {
                let (rows, width) = (queue.capacity() as usize, queue.width() as usize);
                if first.checked_add(count).is_none_or(|end| end > rows) {
                    return Err(Error::invalid(format!(
                        "rows {first} to {} were asked for, but the queue has {rows}",
                        first.saturating_add(count)
                    )));
                }
                let needed = product("the result", count, width)?;
                if !answer_size(needed, buffer, capacity, length)? || needed == 0 {
                    return Ok(());
                }
                let part = queue.rows().f_narrow(0, signed(first)?, signed(count)?)?;
                let part = part.f_to_device(Device::Cpu)?.f_contiguous()?;
                part.f_copy_data(std::slice::from_raw_parts_mut(buffer, needed), needed)?;
                Ok(())
            })
        })
    })
}

/// The `k` rows nearest to each of `count` queries of `dim` floats by cosine, nearest first, among those that were pushed:
/// count·k row numbers into `indices` and, unless it is NULL, as many cosines into `similarities`. `indices` NULL asks for
/// the size; too small a buffer is left alone; `*length` receives the numbers needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_queue_nearest(
    queue: *const seed_queue,
    queries: *const f32,
    count: usize,
    dim: usize,
    k: usize,
    indices: *mut u32,
    similarities: *mut f32,
    capacity: usize,
    length: *mut usize,
) -> *mut seed_error {
    catch(|| unsafe {
        let pushed = with(queue, |queue| {
            with_lock(queue, |queue| {
                let rows = queue.rows().f_narrow(0, 0, queue.len())?;
                Ok((torch::numbers(&rows, "the queue")?, queue.width() as usize))
            })
        });
        let (rows, width) = pushed?;
        if dim != width {
            return Err(Error::mismatch(format!("queries are {dim} wide, the queue is {width}")));
        }
        if rows.is_empty() {
            return Err(Error::invalid("nothing was pushed to the queue yet, so nothing is near"));
        }
        nearest_into(queries, count, &rows, dim, k, Places { indices, similarities, capacity, length })
    })
}

/// A copy of the queue as it is now, to be put back by seed_queue_restore. The caller frees it with seed_queue_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_queue_snapshot(queue: *const seed_queue, out: *mut *mut seed_queue) -> *mut seed_error {
    catch(|| unsafe {
        put_new(out, || {
            let snapshot = with(queue, |queue| with_lock(queue, |queue| queue.snapshot()))?;
            Ok(Arc::new(Mutex::new(Queue::from_snapshot(snapshot))))
        })
    })
}

/// Makes the queue what `snapshot` is: any queue of the same K and C, which is left as it is.
///
/// Errors: SEED_ERROR_MISMATCH when K or C differ; the queue is left as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_queue_restore(queue: *const seed_queue, snapshot: *const seed_queue) -> *mut seed_error {
    catch(|| {
        // A copy first, so that never two queues are locked at once.
        let snapshot = with(snapshot, |snapshot| with_lock(snapshot, |snapshot| snapshot.snapshot()))?;
        with(queue, |queue| with_lock(queue, |queue| queue.restore(&snapshot)))
    })
}

/// Releases a queue. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_queue_free(queue: *mut seed_queue) {
    free(queue)
}

unsafe fn number(queue: *const seed_queue, out: *mut usize, read: impl Fn(&Queue) -> i64) -> Result<()> {
    check_out("out", out)?;
    let value = with(queue, |queue| Ok(read(&*lock(queue)?)))?;
    // SAFETY: checked above.
    unsafe { put(out, usize::try_from(value).unwrap_or(0)) };
    Ok(())
}

/// `count` rows of `dim` floats as a tensor of its own.
unsafe fn rows(name: &str, pointer: *const f32, count: usize, dim: usize) -> Result<Tensor> {
    // SAFETY: by contract of the C functions.
    let numbers = unsafe { array(name, pointer, product(name, count, dim)?) }?;
    if let Some(place) = numbers.iter().position(|number| !number.is_finite()) {
        return Err(Error::invalid(format!(
            "{name}[{}] holds {}, expected finite numbers",
            place / dim,
            numbers[place]
        )));
    }
    Ok(Tensor::f_from_slice(numbers)?.f_reshape([signed(count)?, signed(dim)?])?)
}

fn signed(number: usize) -> Result<i64> {
    i64::try_from(number).map_err(|_| Error::invalid(format!("{number} is too large")))
}
