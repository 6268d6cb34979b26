//! Several processes that make one run together. Each has a rank from 0 on; rank 0 is the one that writes.
//!
//! ```text
//! join       all processes find each other at the address of rank 0, and connect each with each (join.rs)
//! agree      each says what it wants, or that it failed; all get the same answer
//! same       each says what it is about to do; all get an error where one is about to do something else
//! sum, rows, spread       numbers: added up, one process's after another's, those of rank 0
//! ```
//!
//! Every call is made by all processes, in one order, and waits for the others: at most for the timeout, and not at all for a process
//! whose connections are closed, as the system closes those of a process that ended. After such an error the world is broken: each later
//! call gives the same error, and the connections are closed, so that the others notice.
//!
//! ```
//! use std::time::Duration;
//! use seed::world::World;
//! let file = tempfile::tempdir().unwrap();
//! let address = format!("file:{}", file.path().join("address").display());
//! let world = World::join(0, 1, &address, Duration::from_secs(60))?; // alone
//! assert_eq!((world.rank(), world.size()), (0, 1));
//! # Ok::<(), seed::Error>(())
//! ```

mod join;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tch::{Device, Tensor};

use crate::sys::memory::filled;
use crate::torch::world::Group;
use crate::{Error, ErrorKind, Result};

pub use self::join::MOST_RANKS;

/// What a process wants at a moment that all processes come to; what comes later goes before what comes earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// The next step.
    GoOn,
    /// To be asked again: it is paused.
    Wait,
    /// To end, as cancelled.
    End,
}

/// In a vote: this number plus the kind of error.
const FAILED: i64 = 16;

const KINDS: [ErrorKind; 15] = [
    ErrorKind::InvalidArgument,
    ErrorKind::Config,
    ErrorKind::Io,
    ErrorKind::Format,
    ErrorKind::Mismatch,
    ErrorKind::OutOfMemory,
    ErrorKind::Device,
    ErrorKind::Busy,
    ErrorKind::Poisoned,
    ErrorKind::Cancelled,
    ErrorKind::Torch,
    ErrorKind::Unsupported,
    ErrorKind::NotInitialized,
    ErrorKind::Internal,
    ErrorKind::BufferTooSmall,
];

/// The processes that one belongs to.
#[derive(Debug)]
pub struct World {
    rank: u32,
    size: u32,
    timeout: Duration,
    /// Or why there is none any more.
    group: Mutex<std::result::Result<Group, (ErrorKind, String)>>,
    /// Whether a call of the application works with it.
    taken: AtomicBool,
    /// Whether all know that one has failed, so that nobody waits for anybody.
    failed: AtomicBool,
}

/// One call's use of a world, until it is settled.
#[derive(Debug)]
pub struct Turn<'a> {
    world: &'a World,
    settled: bool,
}

impl Turn<'_> {
    /// Ends the call by `result`. An error that the others have not been told of breaks the world, so that they do not wait, and so that no later
    /// call of this process meets them in the middle of something else.
    pub fn settle<T>(mut self, result: Result<T>) -> Result<T> {
        self.settled = true;
        match result {
            Err(error) if !self.world.failed.load(Ordering::Acquire) => Err(self.world.leave(error)),
            result => result,
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.world.leave(Error::internal("a run of several processes", "it was left in the middle"));
        }
        self.world.taken.store(false, Ordering::Release);
    }
}

impl World {
    /// Joins, as `rank` of `size` processes, those that give the same `address`: `host:port` of rank 0, which listens there; or
    /// `file:PATH` for processes of one machine, where rank 0 chooses a free port and writes it to that file. Waits until all have
    /// joined, at most for `timeout`, and later as long for an answer of theirs.
    ///
    /// # Errors
    /// `InvalidArgument` for a rank, size or address that cannot be, and for a rank that has joined already; `Mismatch` where another
    /// process has another version of the library or another size; `Io` where the address cannot be listened at or reached, and where
    /// not all have joined in time.
    pub fn join(rank: u32, size: u32, address: &str, timeout: Duration) -> Result<Self> {
        let group = join::join(rank, size, address, timeout)?;
        let world = Self {
            rank,
            size,
            timeout,
            group: Mutex::new(Ok(group)),
            taken: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        };
        world.agree("that all have joined", Ok(Wish::GoOn))?;
        Ok(world)
    }

    /// Of this process, from 0.
    pub fn rank(&self) -> u32 {
        self.rank
    }

    /// Number of processes.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Whether this is rank 0, which writes.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// Whether it has lost the others for good: each call fails.
    pub fn is_broken(&self) -> bool {
        self.group().is_err()
    }

    /// How long the others are waited for.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Begins a call of the application that works with the world; what failed before is forgotten. The others, which wait for this process,
    /// wait for the timeout where it is `Busy`.
    ///
    /// # Errors
    /// `Busy` where another one does.
    pub fn turn(&self) -> Result<Turn<'_>> {
        if self.taken.swap(true, Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Busy, "another run of this process is using the world"));
        }
        self.failed.store(false, Ordering::Release);
        Ok(Turn { world: self, settled: false })
    }

    /// What all do next: the greatest wish of all processes. `what` is waited for, in messages.
    ///
    /// # Errors
    /// Its own, where `own` is one; else that of the first process that has one, with its rank. `Io` where the others do not answer.
    pub fn agree(&self, what: &str, own: Result<Wish>) -> Result<Wish> {
        if self.failed.load(Ordering::Acquire) {
            // They do not wait for this.
            return own;
        }
        let code = match &own {
            Ok(wish) => *wish as i64,
            Err(error) => FAILED + error.kind() as i64,
        };
        let votes = match self.votes(what, code) {
            Ok(votes) => votes,
            // Why this process fails says more than that the others are gone.
            Err(error) => return own.and(Err(error)),
        };
        if votes.iter().all(|vote| *vote < FAILED) {
            let wishes = [Wish::End, Wish::Wait, Wish::GoOn];
            return Ok(wishes.into_iter().find(|wish| votes.contains(&(*wish as i64))).unwrap_or(Wish::GoOn));
        }
        self.failed.store(true, Ordering::Release);
        let own_text = own.as_ref().err().map_or("", Error::message);
        let texts = match self.texts("why it failed", own_text) {
            Ok(texts) => texts,
            Err(error) => return own.and(Err(error)),
        };
        own?;
        let rank = votes.iter().position(|vote| *vote >= FAILED).unwrap_or(0);
        let kind = KINDS.into_iter().find(|kind| FAILED + *kind as i64 == votes[rank]).unwrap_or(ErrorKind::Internal);
        Err(Error::new(kind, format!("rank {rank} has failed, which ends the call on all: {}", texts[rank])))
    }

    /// What `own` is, where no process has failed.
    ///
    /// # Errors
    /// As [`agree`](World::agree).
    pub fn together<T>(&self, what: &str, own: Result<T>) -> Result<T> {
        let (value, wish) = match own {
            Ok(value) => (Some(value), Ok(Wish::GoOn)),
            Err(error) => (None, Err(error)),
        };
        self.agree(what, wish)?;
        value.ok_or_else(|| Error::internal("a world", "an error that nobody has"))
    }

    /// Makes sure that all processes say the same `facts`, each of which is something's name and what it is.
    ///
    /// # Errors
    /// `Mismatch` on every process, with the first fact that differs from rank 0's and whose it is; `Io` where the others do not answer.
    pub fn same(&self, facts: &[(String, String)]) -> Result<()> {
        let own = serde_json::to_string(facts).map_err(|error| Error::internal("the facts of a run", error))?;
        let texts = self.texts("what they are about to do", &own)?;
        let read = |text: &String| -> Result<Vec<(String, String)>> {
            serde_json::from_str(text).map_err(|error| Error::internal("the facts of a run", error))
        };
        let first = read(&texts[0])?;
        for (rank, text) in texts.iter().enumerate().skip(1) {
            let other = read(text)?;
            let names = first.iter().chain(&other).map(|(name, _)| name);
            for fact in names {
                let value = |facts: &[(String, String)]| {
                    facts.iter().find(|(name, _)| name == fact).map_or("nothing".to_owned(), |(_, value)| value.clone())
                };
                let (expected, found) = (value(&first), value(&other));
                if found != expected {
                    // All find the same.
                    self.failed.store(true, Ordering::Release);
                    return Err(Error::mismatch(format!(
                        "the processes are about to do different things: {fact} is {found} on rank {rank}, but {expected} on rank 0"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Replaces the numbers of `tensor`, which is contiguous and on the CPU, by their sums over all processes: the same bits on each.
    ///
    /// # Errors
    /// `Io` where the others do not answer.
    pub fn sum(&self, tensor: &Tensor) -> Result<()> {
        self.wait_for("sums", |group| group.sum(tensor))
    }

    /// The rows (b,…) of all processes in the order of their ranks, (size·b,…), on the CPU.
    ///
    /// # Errors
    /// `Io` where the others do not answer.
    pub fn rows(&self, rows: &Tensor) -> Result<Tensor> {
        let all = self.wait_for("rows", |group| group.gather(&rows.f_to_device(Device::Cpu)?))?;
        Ok(all.f_flatten(0, 1)?)
    }

    /// Replaces the numbers of `tensor`, which is contiguous and on the CPU, by those of rank 0.
    ///
    /// # Errors
    /// `Io` where the others do not answer.
    pub fn spread(&self, tensor: &Tensor) -> Result<()> {
        self.wait_for("what rank 0 has", |group| group.spread(tensor))
    }

    /// Leaves the others, which get an error as soon as they wait for this process: it has failed where they do not ask. Gives `error` back.
    pub fn leave(&self, error: Error) -> Error {
        let mut group = self.group();
        if group.is_ok() {
            *group = Err((error.kind(), error.message().to_owned()));
        }
        error
    }

    fn votes(&self, what: &str, own: i64) -> Result<Vec<i64>> {
        let mut votes = vec![0; self.size as usize];
        votes[self.rank as usize] = own;
        let votes = Tensor::f_from_slice(&votes)?;
        self.wait_for(what, |group| group.sum(&votes))?;
        Ok(Vec::try_from(&votes)?)
    }

    /// The texts of all processes.
    fn texts(&self, what: &str, own: &str) -> Result<Vec<String>> {
        let lengths = self.votes(what, own.len() as i64)?;
        let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
        let mut bytes = filled(0u8, longest as usize, "a text of a world")?;
        bytes[..own.len()].copy_from_slice(own.as_bytes());
        let own = Tensor::f_from_slice(&bytes)?;
        let all = self.wait_for(what, |group| group.gather(&own))?;
        let text = |(rank, length): (usize, &i64)| {
            let row = all.f_get(rank as i64)?.f_narrow(0, 0, *length)?.f_contiguous()?;
            let mut bytes = filled(0u8, *length as usize, "a text of a world")?;
            row.f_copy_data(&mut bytes, *length as usize)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        lengths.iter().enumerate().map(text).collect()
    }

    /// Makes `call`, which waits for all processes.
    fn wait_for<T>(&self, what: &str, call: impl FnOnce(&Group) -> Result<T>) -> Result<T> {
        let mut group = self.group();
        let began = Instant::now();
        let result = match &*group {
            Ok(group) => call(group),
            Err((kind, reason)) => return Err(Error::new(*kind, reason)),
        };
        result.map_err(|error| {
            let kind = match error.kind() {
                ErrorKind::OutOfMemory => ErrorKind::OutOfMemory,
                _ => ErrorKind::Io,
            };
            let reason = format!(
                "rank {} of {} has lost the other processes after {:.1} s of waiting for {what} (timeout {} s): {}; see what the \
                 others say, then begin again on all",
                self.rank,
                self.size,
                began.elapsed().as_secs_f64(),
                self.timeout.as_secs_f64(),
                join::reason(&error),
            );
            *group = Err((kind, reason.clone()));
            Error::new(kind, reason)
        })
    }

    fn group(&self) -> MutexGuard<'_, std::result::Result<Group, (ErrorKind, String)>> {
        // Nothing that may panic leaves it half changed.
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy of `tensor` as the world takes it: contiguous, on the CPU, without a gradient.
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch.
pub fn host_copy(tensor: &Tensor) -> Result<Tensor> {
    let _no_grad = tch::no_grad_guard();
    let mut copy = Tensor::f_empty(tensor.size(), (tensor.f_kind()?, Device::Cpu))?;
    copy.f_copy_(tensor)?;
    Ok(copy)
}

/// Copies `values` into `tensor`, wherever and however that lies.
///
/// # Errors
/// `OutOfMemory` or `Torch` from libtorch.
pub fn put_back(tensor: &Tensor, values: &Tensor) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    let mut tensor = tensor.shallow_clone();
    tensor.f_copy_(values)?;
    Ok(())
}
