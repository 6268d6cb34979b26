//! A `seed_session` as what runs on the line: a night, or the way back, puts the live student into it.

use std::path::Path;

use super::handle::{Held, hold};
use super::session::seed_session;
use crate::config::Config;
use crate::infer::{Session, SessionOptions};
use crate::night::Station;
use crate::{Error, Result};

/// A session that runs what is live.
pub(super) struct OfSession {
    session: Held<seed_session>,
    config: Config,
    prepared: Option<Session>,
}

impl OfSession {
    /// `session` may be NULL: then nothing runs.
    pub(super) fn of(session: *const seed_session, config: &Config) -> Result<Option<Self>> {
        if session.is_null() {
            return Ok(None);
        }
        let session = hold(session)?;
        session.with(|_| Ok(()))?;
        Ok(Some(Self { session, config: config.clone(), prepared: None }))
    }
}

impl Station for OfSession {
    fn prepare(&mut self, student: &Path) -> Result<()> {
        let (dim, output) = self.session.with(|inner| Ok((inner.current().dim(), inner.current().output())))?;
        let next = Session::open(student, SessionOptions::of(&self.config, output)?)?;
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
        let done = self.session.with(|inner| {
            inner.replace(next);
            Ok(())
        });
        if let Err(error) = done {
            log::error!("the session goes on with the old student: {error}");
        }
    }
}
