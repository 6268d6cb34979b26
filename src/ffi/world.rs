//! `seed_world`: several processes that make one run together.

use std::ffi::c_char;
use std::sync::Arc;
use std::time::Duration;

use super::border::catch;
use super::error::seed_error;
use super::handle::{Guarded, free, handle, with, with_mut};
use super::pointers::{check_out, put, put_new, text};
use super::trainer::seed_trainer;
use crate::world::World;

/// How long the others are waited for where nothing else is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// The processes of which this is one, each with a rank from 0 on (docs/world.md). One trainer at a time works with it.
pub struct seed_world(Guarded<Arc<World>>);
handle!(seed_world, Arc<World>);

/// Joins, as `rank` of `size` processes, those that give the same `address`, and waits until all have joined. `address` is "host:port" of
/// rank 0, which listens there, an address of its machine that the others can reach; or "file:PATH" for processes of one machine: rank 0
/// chooses a free port and writes it to that file. Further ports are the system's choice, so a firewall between the machines must let all
/// of them pass. Nothing is encrypted and nobody is asked for a password: use it in a network that you trust.
///
/// `timeout_ms` (0: 600,000) is how long the others are waited for, here and whenever an answer of theirs is needed. A process that ends is
/// noticed at once, one whose machine or network vanishes after this time. The caller frees the world.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for a rank from `size` on, a size of 0 or above 1024, a malformed address, and a rank
/// that another process has; SEED_ERROR_MISMATCH, on all of them, where processes disagree about the size or run different versions of the
/// library; SEED_ERROR_IO where the address cannot be listened at or reached, and where not all have joined in time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_world_new(
    rank: u32,
    size: u32,
    address: *const c_char,
    timeout_ms: u64,
    out: *mut *mut seed_world,
) -> *mut seed_error {
    // SAFETY: passed on from the C caller, as in every function of this file.
    catch(|| unsafe {
        let address = text("address", address)?;
        let timeout = if timeout_ms == 0 { DEFAULT_TIMEOUT } else { Duration::from_millis(timeout_ms) };
        put_new(out, || Ok(Arc::new(World::join(rank, size, address, timeout)?)))
    })
}

/// The rank of this process and the number of processes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_world_position(
    world: *const seed_world,
    rank: *mut u32,
    size: *mut u32,
) -> *mut seed_error {
    catch(|| unsafe {
        check_out("rank", rank)?;
        check_out("size", size)?;
        let (own, all) = with(world, |world| Ok((world.rank(), world.size())))?;
        put(rank, own);
        put(size, all);
        Ok(())
    })
}

/// Leaves the others. NULL is fine. A trainer that was given the world keeps it until it is freed itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_world_free(world: *mut seed_world) {
    free(world)
}

/// Makes the run of `trainer` together with the same run in the other processes of `world`: from now on all of them call seed_trainer_run
/// at once, with the same number of steps. "batch_size" is the number of images of a step over all processes, each of which takes its
/// equal share; their gradients are averaged, and the queue holds the teacher's rows of all. Rank 0 writes "checkpoint_path" and
/// "tensorboard_folder" and looks at the probe's frames; all resume from the same checkpoint. A process that cancels, pauses or fails does
/// so for all.
///
/// Errors: SEED_ERROR_INVALID_ARGUMENT for a trainer with a working world or without a data set, and where "batch_size" is no multiple of the
/// number of processes; SEED_ERROR_UNSUPPORTED for a method of which a process would need more than its share of the images (all but
/// "seed", "l2" and "binary_contrastive"), and on a GPU. seed_trainer_run gives SEED_ERROR_MISMATCH, on every process, where their
/// runs are not the same, and SEED_ERROR_IO where the others are gone; then the trainer takes a new world.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_trainer_set_world(
    trainer: *mut seed_trainer,
    world: *const seed_world,
) -> *mut seed_error {
    catch(|| {
        let world = with(world, |world| Ok(Arc::clone(world)))?;
        with_mut(trainer, |trainer| trainer.join(world))
    })
}
