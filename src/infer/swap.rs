//! A session that can be exchanged while it is asked: a running line takes a new student between two calls.
//!
//! A call takes what runs now once and keeps it to its end, so an exchange waits for nobody and nobody waits for it.
//!
//! ```
//! use seed::data::Input;
//! use seed::infer::{LiveSession, Session, SessionOptions};
//! use seed::model::{Architecture, Head, Network};
//! let session = |dim| {
//!     let head = Head::Projection { hidden: 8, dim };
//!     let network = Network::new(Architecture::MobileNetV3Small, head, 7, tch::Device::Cpu)?;
//!     Session::new(&network, &Input { width: 32, height: 32, ..Input::default() }, SessionOptions::default())
//! };
//! let (line, other) = (LiveSession::new(session(16)?), LiveSession::new(session(8)?));
//! assert!(line.exchange(&other).is_err(), "what its vectors are compared with would no longer fit");
//! line.replace(session(16)?);
//! assert_eq!(line.current().dim(), 16);
//! # Ok::<(), seed::Error>(())
//! ```

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::options::SessionOptions;
use super::session::Session;
use crate::config::Config;
use crate::error::{Error, Result};

/// What runs on the line. Nothing that may panic runs under its lock.
pub struct LiveSession(RwLock<Arc<Session>>);

impl LiveSession {
    /// Runs `session`.
    pub fn new(session: Session) -> Self {
        Self(RwLock::new(Arc::new(session)))
    }

    /// What runs now.
    pub fn current(&self) -> Arc<Session> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes ready the student in the file `path`, to [`replace`](LiveSession::replace) what runs now: with the same kind of output and the
    /// same tiles of feature maps, on the device and in the precision that `config` says.
    ///
    /// # Errors
    /// Those of [`Session::open`]; `Mismatch` where its vectors have another length.
    pub fn successor(&self, path: &Path, config: &Config) -> Result<Session> {
        let current = self.current();
        let options = SessionOptions { tile: *current.tile(), ..SessionOptions::of(config, current.output())? };
        let next = Session::open(path, options)?;
        if next.dim() != current.dim() {
            return Err(Error::mismatch(format!(
                "the session gives {} numbers, the student in {} {}: give a session of the live student",
                current.dim(),
                path.display(),
                next.dim()
            )));
        }
        Ok(next)
    }

    /// Runs `session` from the next call on.
    pub fn replace(&self, session: Session) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(session);
    }

    /// Exchanges what the two run.
    ///
    /// # Errors
    /// `Mismatch` where their vectors differ in length or kind, or their feature maps in tiles; both are left as they were.
    pub fn exchange(&self, other: &LiveSession) -> Result<()> {
        if std::ptr::eq(self, other) {
            return Ok(());
        }
        // Always in the order of their addresses, so that two exchanges cannot wait for each other.
        let (first, second) =
            if std::ptr::from_ref(self) < std::ptr::from_ref(other) { (self, other) } else { (other, self) };
        let mut first = first.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut second = second.0.write().unwrap_or_else(PoisonError::into_inner);
        if (first.dim(), first.output()) != (second.dim(), second.output()) {
            return Err(Error::mismatch(format!(
                "one session gives {} numbers ({:?}), the other {} ({:?})",
                first.dim(),
                first.output(),
                second.dim(),
                second.output()
            )));
        }
        if first.tile() != second.tile() {
            return Err(Error::mismatch(format!(
                "one session gives feature maps of {}, the other of {}: open both with the same tile.size and tile.overlap",
                first.tile(),
                second.tile()
            )));
        }
        std::mem::swap(&mut *first, &mut *second);
        Ok(())
    }
}
