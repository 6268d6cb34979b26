//! A `seed_session` as what runs on the line: a night, or the way back, puts the live student into it.

use std::path::Path;

use super::handle::with;
use super::session::{options as session_options, seed_session};
use crate::config::Config;
use crate::infer::Session;
use crate::night::Station;
use crate::{Error, Result};

/// A session that runs what is live.
pub(super) struct OfSession {
    session: *const seed_session,
    config: Config,
    prepared: Option<Session>,
}

impl OfSession {
    /// # Safety
    /// `session` is NULL or lives as long as this.
    pub(super) unsafe fn of(session: *const seed_session, config: &Config) -> Result<Option<Self>> {
        if session.is_null() {
            return Ok(None);
        }
        // SAFETY: by contract.
        unsafe { with(session, |_| Ok(())) }?;
        Ok(Some(Self { session, config: config.clone(), prepared: None }))
    }
}

impl Station for OfSession {
    fn prepare(&mut self, student: &Path) -> Result<()> {
        // SAFETY: the session lives as long as this.
        let (dim, output) =
            unsafe { with(self.session, |inner| Ok((inner.current().dim(), inner.current().output()))) }?;
        let next = Session::open(student, session_options(&self.config, output)?)?;
        if next.dim() != dim {
            return Err(Error::mismatch(format!(
                "the session gives {dim} numbers, the student in {} {}: give a session of the live student",
                student.display(),
                next.dim()
            )));
        }
        self.prepared = Some(next);
        Ok(())
    }

    fn go_live(&mut self) {
        let Some(next) = self.prepared.take() else { return };
        // SAFETY: the session lives as long as this.
        let done = unsafe {
            with(self.session, |inner| {
                inner.replace(next);
                Ok(())
            })
        };
        if let Err(error) = done {
            log::error!("the session goes on with the old student: {error}");
        }
    }
}
