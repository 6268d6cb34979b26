//! c10d's store and process group (`world.cpp`), as they are: what waits, how long, and what is said of it is [`crate::world`]'s.

use std::ffi::{CString, c_char};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::ptr::NonNull;
use std::time::Duration;

use tch::Tensor;
use torch_sys::C_tensor;

use super::{check, take};
use crate::{Error, Result};

#[repr(C)]
struct Raw {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn seed_shim_world_open(
        host: *const c_char,
        port: u16,
        listener: i32,
        timeout: i64,
        out: *mut *mut Raw,
    ) -> *mut c_char;
    fn seed_shim_world_put(world: *mut Raw, key: *const c_char, text: *const c_char) -> *mut c_char;
    fn seed_shim_world_take(world: *mut Raw, key: *const c_char, out: *mut *mut c_char) -> *mut c_char;
    fn seed_shim_world_count(world: *mut Raw, key: *const c_char, out: *mut i64) -> *mut c_char;
    fn seed_shim_world_connect(world: *mut Raw, rank: i32, size: i32, host: *const c_char, timeout: i64)
    -> *mut c_char;
    fn seed_shim_world_sum(world: *mut Raw, tensor: *const C_tensor) -> *mut c_char;
    fn seed_shim_world_gather(world: *mut Raw, tensor: *const C_tensor, out: *mut *mut C_tensor) -> *mut c_char;
    fn seed_shim_world_spread(world: *mut Raw, tensor: *const C_tensor) -> *mut c_char;
    fn seed_shim_world_close(world: *mut Raw);
}

/// A store, and after [`connect`](Group::connect) a group of processes. Its errors are libtorch's.
#[derive(Debug)]
pub struct Group(NonNull<Raw>);

// SAFETY: c10d's objects belong to no thread; one thread at a time uses them, since a `Group` is not `Sync`.
unsafe impl Send for Group {}

impl Group {
    /// Opens the store at `address`: serves it on `listener`, or connects to it.
    pub fn open(address: SocketAddr, listener: Option<TcpListener>, timeout: Duration) -> Result<Self> {
        let host = text(&address.ip().to_string())?;
        // libtorch takes the socket over.
        let listener = listener.map_or(-1, IntoRawFd::into_raw_fd);
        let mut out = std::ptr::null_mut();
        // SAFETY: the text lives through the call, and `out` is a valid place.
        check(unsafe { seed_shim_world_open(host.as_ptr(), address.port(), listener, millis(timeout), &mut out) })?;
        let world = NonNull::new(out).ok_or_else(|| Error::internal("the store of a world", "there is none"))?;
        Ok(Self(world))
    }

    /// Puts `value` under `key`.
    pub fn put(&self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (text(key)?, text(value)?);
        // SAFETY: both texts live through the call.
        check(unsafe { seed_shim_world_put(self.0.as_ptr(), key.as_ptr(), value.as_ptr()) })
    }

    /// What is under `key`, if anything is yet.
    pub fn take(&self, key: &str) -> Result<Option<String>> {
        let key = text(key)?;
        let mut out = std::ptr::null_mut();
        // SAFETY: the text lives through the call, and `out` is a valid place.
        check(unsafe { seed_shim_world_take(self.0.as_ptr(), key.as_ptr(), &mut out) })?;
        // SAFETY: set by the shim, ours to release.
        Ok((!out.is_null()).then(|| unsafe { take(out) }))
    }

    /// How often this was called for `key`, by any process, this time included.
    pub fn count(&self, key: &str) -> Result<i64> {
        let key = text(key)?;
        let mut out = 0;
        // SAFETY: the text lives through the call, and `out` is a valid place.
        check(unsafe { seed_shim_world_count(self.0.as_ptr(), key.as_ptr(), &mut out) })?;
        Ok(out)
    }

    /// Connects with all others; `own` is the address by which they reach this process.
    pub fn connect(&mut self, rank: u32, size: u32, own: IpAddr, timeout: Duration) -> Result<()> {
        let host = text(&own.to_string())?;
        let (rank, size) = (rank as i32, size as i32); // at most `MOST_RANKS`
        // SAFETY: the text lives through the call.
        check(unsafe { seed_shim_world_connect(self.0.as_ptr(), rank, size, host.as_ptr(), millis(timeout)) })
    }

    /// Replaces the numbers of `tensor`, contiguous on the CPU, by their sums over all processes: the same bits in each.
    pub fn sum(&self, tensor: &Tensor) -> Result<()> {
        // SAFETY: the tensor lives through the call; its values may be changed, as tch allows.
        check(unsafe { seed_shim_world_sum(self.0.as_ptr(), tensor.as_ptr()) })
    }

    /// (size,…): the tensors (…) of all processes on the CPU, which have one shape.
    pub fn gather(&self, tensor: &Tensor) -> Result<Tensor> {
        let mut out = std::ptr::null_mut();
        // SAFETY: the tensor lives through the call; the shim allocates the tensor that `from_ptr` takes over.
        check(unsafe { seed_shim_world_gather(self.0.as_ptr(), tensor.as_ptr(), &mut out) })?;
        Ok(unsafe { Tensor::from_ptr(out) })
    }

    /// Replaces the numbers of `tensor`, contiguous on the CPU, by those of rank 0.
    pub fn spread(&self, tensor: &Tensor) -> Result<()> {
        // SAFETY: as in `sum`.
        check(unsafe { seed_shim_world_spread(self.0.as_ptr(), tensor.as_ptr()) })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: made by `open` and closed once, here.
        unsafe { seed_shim_world_close(self.0.as_ptr()) }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX).max(1)
}

fn text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::invalid(format!("{text:?} holds a NUL")))
}
