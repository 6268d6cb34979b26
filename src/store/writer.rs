//! The thread that encodes and stores what was pushed.
//!
//! Frames are encoded without a transaction open, then up to [`BATCH`] of them are stored by one, so that one commit serves many.
//! When the disk is full the frames wait and are tried again, commands are answered with the reason, and what the queue cannot
//! hold meanwhile is dropped and counted.

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::fault::{fault, passes};
use super::options::{Keep, StoreOptions};
use super::prepare::{Embed, Prepared, prepare};
use super::queue::{Job, Pushed, Queue};
use super::retention::{Retention, Tally};
use super::state;
use crate::error::{Error, ErrorKind, Result};

/// Most frames of one transaction.
const BATCH: usize = 8;

/// How often an idle writer looks for frames that are too old.
const IDLE: Duration = Duration::from_secs(30);

/// The first and the longest pause before what failed is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How often frames are tried that a store refuses as damaged: SQLite says so of a page that could not be read, too.
const TRIES: u32 = 4;

/// What has happened since the store was opened, and what it holds.
#[derive(Default)]
pub(super) struct Counters {
    pub dropped: AtomicU64,
    pub passed_over: AtomicU64,
    pub failed: AtomicU64,
    pub stored: AtomicU64,
    pub evicted: AtomicU64,
    pub frames: AtomicU64,
    pub bytes: AtomicU64,
    /// Frames that were offered, dropped ones aside: the number of the next draw of the reservoir.
    pub seen: AtomicU64,
    /// θ of the reservoir: who draws more is passed over before a pixel is copied.
    pub threshold: AtomicI64,
    /// Width of the embeddings; 0 while there is none.
    pub dim: AtomicU64,
    /// What keeps the writer from storing, while it does.
    pub trouble: Mutex<Option<String>>,
}

impl Counters {
    /// Sets or clears the trouble.
    pub fn trouble(&self, trouble: Option<&Error>) {
        let text = trouble.map(|error| error.message().to_owned());
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// Counts what a transaction did, which ends what trouble there was.
    fn add(&self, tally: Tally) {
        self.stored.fetch_add(tally.stored, Ordering::Relaxed);
        self.passed_over.fetch_add(tally.passed_over, Ordering::Relaxed);
        self.evicted.fetch_add(tally.evicted, Ordering::Relaxed);
        self.trouble(None);
    }

    /// Notes the width of an embedding.
    ///
    /// # Errors
    /// `Mismatch` where others are not as wide.
    pub fn settle_dim(&self, dim: usize) -> Result<()> {
        let dim = dim as u64;
        match self.dim.compare_exchange(0, dim, Ordering::AcqRel, Ordering::Acquire) {
            Err(found) if found != dim => Err(Error::mismatch(format!(
                "the embedding is {dim} wide, those of the store are {found}: all must come from one network"
            ))),
            _ => Ok(()),
        }
    }
}

pub(super) struct Writer {
    pub path: PathBuf,
    pub connection: Connection,
    pub queue: Arc<Queue>,
    pub counters: Arc<Counters>,
    pub options: StoreOptions,
    pub embed: Arc<RwLock<Option<Arc<Embed>>>>,
    /// None after a transaction that failed: what is in memory may be more than what is stored.
    pub retention: Option<Retention>,
    /// Of SQLite's `data_version`: another program has written when it changes.
    pub version: i64,
    /// What a full disk is given back to take frames out.
    pub reserve: Reserve,
    /// Frames that have a number and could not be stored, and why.
    pub lost: Option<(u64, Error)>,
}

/// Whatever ends the thread, nobody waits for it any longer.
struct Abandon(Arc<Queue>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Writer {
    /// Works until the queue is closed and empty.
    ///
    /// # Errors
    /// Where frames that have a number were lost, or what was stored could not be synced.
    pub fn run(mut self) -> Result<()> {
        let _abandon = Abandon(Arc::clone(&self.queue));
        while let Some(jobs) = self.queue.take(BATCH, IDLE) {
            if jobs.is_empty() {
                self.age();
            }
            let mut frames = Vec::new();
            for job in jobs {
                match job {
                    Job::Store(pushed) => frames.push(*pushed),
                    command => self.command(command),
                }
            }
            if !frames.is_empty() {
                self.store(frames);
            }
        }
        let closed = self.close();
        match self.lost {
            Some((count, error)) => Err(error.context(format!("{count} frames that had a number are lost"))),
            None => closed,
        }
    }

    /// Stores frames, however often it takes.
    fn store(&mut self, frames: Vec<Pushed>) {
        let (count, reserved) = (frames.len(), frames.iter().map(|pushed| pushed.reserved).sum());
        let embed = self.embed.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut memory = Vec::new();
        let mut ready = Vec::new();
        for (id, prepared, spare) in prepare(frames, self.options.encoding, embed.as_ref()) {
            memory.extend(spare);
            match prepared.and_then(|prepared| self.accept(prepared)) {
                Ok(prepared) => ready.push(prepared),
                Err(error) => {
                    log::warn!("frame {id} is not stored: {error}");
                    self.counters.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        let mut pause = PAUSES.0;
        let mut last = false;
        let mut refused = 0;
        loop {
            match self.transact(|retention, transaction| {
                let mut tally = Tally::default();
                for frame in &ready {
                    retention.place(transaction, frame, &mut tally)?;
                }
                retention.age(transaction, &mut tally)?;
                Ok(tally)
            }) {
                Ok(tally) => {
                    self.counters.add(tally);
                    // Where a full disk took it, there is room again.
                    self.reserve.make();
                    break;
                }
                Err(error) => {
                    self.counters.trouble(Some(&error));
                    if self.remove_first() {
                        continue;
                    }
                    self.queue.refuse_commands(&error);
                    refused += u32::from(!passes(&error));
                    if last || refused == TRIES {
                        log::error!("{} frames are lost: {error}", ready.len());
                        self.counters.failed.fetch_add(ready.len() as u64, Ordering::Relaxed);
                        let before = self.lost.take().map_or(0, |(count, _)| count);
                        self.lost = Some((before + ready.len() as u64, error));
                        break;
                    }
                    log::warn!("{} frames wait: {error}", ready.len());
                    last = self.queue.rest(pause);
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
        self.queue.done(reserved, count, memory.into_iter());
    }

    /// Does the removals that wait behind frames which cannot be stored; whether one has made room.
    fn remove_first(&mut self) -> bool {
        let mut made_room = false;
        for (ids, reply) in self.queue.removals() {
            let outcome = self.remove(&ids);
            made_room |= outcome.is_ok();
            // Who asked may have gone.
            let _ = reply.send(outcome);
        }
        made_room
    }

    /// Takes frames out. On a full disk even that takes some room, for the log: the reserve is given back for it.
    fn remove(&mut self, ids: &[i64]) -> Result<()> {
        let attempt = |writer: &mut Self, ids: &[i64]| {
            writer.transact(|retention, transaction| {
                for &id in ids {
                    retention.remove(transaction, id)?;
                }
                Ok(())
            })
        };
        let mut outcome = attempt(self, ids);
        if outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Io) && self.reserve.spend() {
            outcome = attempt(self, ids);
        }
        if outcome.is_ok() {
            // What the log holds goes to its place, so that its room serves what comes; the next commit tries again.
            let log = self.connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
            if let Err(error) = log {
                log::debug!("the log cannot be taken over now: {error}");
            }
            self.reserve.make();
        }
        outcome
    }

    /// Lets frames go that have become too old while nothing came.
    fn age(&mut self) {
        while self.options.max_age.is_some() {
            let mut tally = Tally::default();
            match self.transact(|retention, transaction| retention.age(transaction, &mut tally)) {
                Ok(more) => {
                    self.counters.add(tally);
                    if !more {
                        break;
                    }
                }
                Err(error) => {
                    self.counters.trouble(Some(&error));
                    break;
                }
            }
        }
    }

    /// Refuses what could never be stored.
    fn accept(&self, frame: Prepared) -> Result<Prepared> {
        if frame.bytes() > self.options.max_bytes {
            let (bytes, most) = (frame.bytes(), self.options.max_bytes);
            return Err(Error::invalid(format!("it takes {bytes} bytes, expected at most max_bytes, {most}")));
        }
        match &frame.entry.embedding {
            Some(vector) => self.counters.settle_dim(vector.len())?,
            // The session was taken away between the push and now.
            None if self.options.keep == Keep::Novel => {
                return Err(Error::invalid("it has no embedding to tell whether it is novel"));
            }
            None => {}
        }
        Ok(frame)
    }

    fn command(&mut self, job: Job) {
        let (reply, outcome) = match job {
            Job::Store(_) => return,
            Job::Flush { reply } => (reply, self.flush(0)),
            Job::Label { id, label, reply } => {
                let there = self.transact(|retention, transaction| retention.label(transaction, id, label.as_ref()));
                let outcome = there.and_then(|there| if there { Ok(()) } else { Err(no_frame(&self.path, id)) });
                (reply, outcome)
            }
            Job::Remove { ids, reply } => {
                let outcome = self.remove(&ids);
                let Some(reply) = reply else { return };
                (reply, outcome)
            }
        };
        // Who asked may have gone.
        let _ = reply.send(outcome);
    }

    /// Syncs all that was committed to the disk.
    fn flush(&mut self, clean: i64) -> Result<()> {
        let failed = |error| fault("sync", &self.path.clone(), &error);
        self.connection.execute_batch("PRAGMA synchronous = FULL").map_err(failed)?;
        let outcome = self.transact(|_, transaction| state::put(transaction, "clean", clean));
        let failed = |error| fault("sync", &self.path, &error);
        self.connection.execute_batch("PRAGMA synchronous = NORMAL").map_err(failed)?;
        outcome
    }

    /// Runs `body` in a transaction that also writes the state. On an error nothing of it has happened.
    fn transact<R>(
        &mut self,
        body: impl FnOnce(&mut Retention, &rusqlite::Transaction<'_>) -> rusqlite::Result<R>,
    ) -> Result<R> {
        let Self { path, connection, retention, .. } = self;
        let version = connection
            .query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0))
            .map_err(|error| fault("write", path, &error))?;
        let mut current = match retention.take() {
            // Another program, sqlite3 for instance, may have set labels or deleted rows.
            Some(current) if version == self.version => current,
            _ => Retention::load(connection, path, &self.options)?,
        };
        self.version = version;
        let (_, _, next_id) = self.queue.depth();
        let seen = self.counters.seen.load(Ordering::Relaxed);
        let run = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = body(&mut current, &transaction)?;
            state::put(&transaction, "next_id", next_id)?;
            state::put(&transaction, "seen", i64::try_from(seen).unwrap_or(i64::MAX))?;
            state::put(&transaction, "threshold", current.threshold)?;
            transaction.commit()?;
            Ok(result)
        };
        let result = run().map_err(|error| fault("write", path, &error))?;
        let counters = &self.counters;
        counters.frames.store(current.frames, Ordering::Relaxed);
        counters.bytes.store(current.bytes, Ordering::Relaxed);
        counters.threshold.store(current.threshold, Ordering::Relaxed);
        *retention = Some(current);
        Ok(result)
    }

    fn close(&mut self) -> Result<()> {
        self.reserve.spend();
        self.flush(1)
    }
}

/// A file beside the store that holds some room on its disk, so that frames can be taken out when the disk is full.
pub(super) struct Reserve {
    path: PathBuf,
    there: bool,
}

/// Taking out a frame writes some pages of 16 KiB to the log: room for some tens of frames.
const RESERVE: i64 = 512 << 10;

impl Reserve {
    /// That of the store at `store`; a disk that is full already has none.
    pub fn beside(store: &std::path::Path) -> Self {
        let mut path = store.as_os_str().to_owned();
        path.push(".reserve");
        let mut reserve = Self { path: PathBuf::from(path), there: false };
        reserve.make();
        reserve
    }

    fn make(&mut self) {
        if self.there {
            return;
        }
        let made = std::fs::File::create(&self.path).and_then(|file| {
            // SAFETY: an open descriptor of our own.
            match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, RESERVE) } {
                0 => Ok(()),
                code => Err(std::io::Error::from_raw_os_error(code)),
            }
        });
        self.there = made.is_ok();
        if let Err(error) = made {
            log::debug!("no room is held for a full disk: {error}");
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Gives the room back; whether there was any.
    fn spend(&mut self) -> bool {
        std::mem::take(&mut self.there) && std::fs::remove_file(&self.path).is_ok()
    }
}

/// The error of asking for a frame that is not there.
pub(super) fn no_frame(path: &std::path::Path, id: i64) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "there is no frame {id} in the store {}: it was passed over, has made room for others, was removed, or is not \
             stored yet",
            path.display()
        ),
    )
}
