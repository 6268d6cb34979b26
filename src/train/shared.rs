//! What trainer, sessions and the application share, and the locks on it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use tch::Device;

use crate::distill::queue::Queue;
use crate::model::Network;
use crate::{Error, ErrorKind, Result, torch};

/// A student that trainer, sessions and the application share; locked for the length of a step.
pub type SharedNetwork = Arc<Mutex<Network>>;
/// A queue that trainer and application share.
pub type SharedQueue = Arc<Mutex<Queue>>;

/// The queue in the file `path`, on `device`.
///
/// # Errors
/// Those of [`Queue::load`].
pub fn load_queue(path: &Path, device: Device) -> Result<SharedQueue> {
    Ok(Arc::new(Mutex::new(Queue::load(path, device)?)))
}

/// Runs `body` alone on what is shared. tch's own panics become errors before the lock is let go ([`torch::caught`]), so that they
/// leave it usable.
///
/// # Errors
/// As [`lock`], and those of `body`.
pub fn with_lock<T, R>(shared: &Mutex<T>, body: impl FnOnce(&mut T) -> Result<R>) -> Result<R> {
    let mut value = lock(shared)?;
    torch::caught(|| body(&mut value))
}

/// Locks what is shared, for what asks nothing of libtorch; else [`with_lock`]. A thread that panicked while it held the lock has
/// left it in an unknown state.
pub fn lock<T>(shared: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    shared.lock().map_err(|_| Error::new(ErrorKind::Poisoned, "an earlier panic left this object in an unknown state"))
}
