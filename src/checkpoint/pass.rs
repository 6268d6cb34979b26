//! A run's state after a pass over its images, in one safetensors file that is replaced atomically: kill -9 at any moment leaves
//! that of the last pass or of the one before.
//!
//! One key of the metadata says which run the file is of and how far it is ([`Position`]); the tensors are the run's own matter.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tch::Tensor;

use crate::error::{Error, Result};
use crate::model::weights::{self, HostTensor, StateDict, write_safetensors};
use crate::sys::hash;
use crate::sys::memory::push;

/// How far a run is, as JSON in the metadata.
pub trait Position: Serialize + DeserializeOwned {
    /// Its key there.
    const KEY: &'static str;
    /// The file's format.
    const FORMAT: &'static str;
    /// What the run does, for a person.
    const RUN: &'static str;
    /// What must be the same to go on, for a person.
    const SAME: &'static str;

    /// The format that the file says.
    fn format(&self) -> &str;
    /// The [`Identity`] of the run that wrote it.
    fn identity(&self) -> &str;
}

/// What decides the numbers of a run: SHA-256 over parts, each after its length.
#[derive(Default)]
pub struct Identity(Sha256);

impl Identity {
    /// Adds a part.
    pub fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// In lower-case hexadecimal.
    pub fn finish(self) -> String {
        hash::text(self.0)
    }
}

/// Tensors to be written.
#[derive(Default)]
pub struct Tensors(Vec<(String, HostTensor)>);

impl Tensors {
    /// Adds one.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn add(&mut self, name: String, tensor: HostTensor) -> Result<()> {
        push(&mut self.0, (name, tensor), "a table of weights")
    }

    /// Adds all of a network's under `prefix`.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn add_all(&mut self, prefix: &str, state: impl IntoIterator<Item = (String, HostTensor)>) -> Result<()> {
        state.into_iter().try_for_each(|(name, tensor)| self.add(format!("{prefix}{name}"), tensor))
    }

    /// Adds copies of an optimiser's velocities under `prefix`.
    ///
    /// # Errors
    /// `OutOfMemory` or `Torch` from libtorch.
    pub fn add_copies<'a>(
        &mut self,
        prefix: &str,
        mut velocities: impl Iterator<Item = (&'a str, &'a Tensor)>,
    ) -> Result<()> {
        velocities.try_for_each(|(name, tensor)| self.add(format!("{prefix}{name}"), HostTensor::from_tensor(tensor)?))
    }
}

/// Puts the file in place of `path`.
///
/// # Errors
/// `Io`; what stood there is as it was then.
pub fn save<P: Position>(path: &Path, position: &P, tensors: &Tensors) -> Result<()> {
    let text = serde_json::to_string(position).map_err(|error| Error::internal("the position", error))?;
    write_safetensors(path, &tensors.0, &BTreeMap::from([(P::KEY.to_owned(), text)]))
}

/// The file at `path`, where there is one, of the run `identity`. It is hostile until its tensors are checked.
///
/// # Errors
/// `Format` where it is damaged or no such file, `Mismatch` where it is of another run.
pub fn load<P: Position>(path: &Path, identity: &str) -> Result<Option<(P, StateDict)>> {
    if path.as_os_str().is_empty() || !path.exists() {
        return Ok(None);
    }
    let state = weights::read(path)?;
    let text = state.metadata.get(P::KEY).map_or("", String::as_str);
    let position: P = serde_json::from_str(text)
        .map_err(|error| Error::format(path, format!("no checkpoint of {}: {error}", P::RUN)))?;
    if position.format() != P::FORMAT {
        return Err(Error::format(path, format!("format is {:?}, expected {:?}", position.format(), P::FORMAT)));
    }
    if position.identity() != identity {
        return Err(Error::mismatch(format!(
            "{} is the checkpoint of another run (other {}); remove it to start anew",
            path.display(),
            P::SAME
        )));
    }
    Ok(Some((position, state)))
}

/// Takes the tensors whose names begin with `prefix`, under the rest of their names.
pub fn take(state: &mut StateDict, prefix: &str) -> BTreeMap<String, HostTensor> {
    let names: Vec<String> = state.tensors.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
    let of = |name: String| Some((name[prefix.len()..].to_owned(), state.tensors.remove(&name)?));
    names.into_iter().filter_map(of).collect()
}

/// Removes the file of a run that is done, so that the next one starts anew.
pub fn forget(path: &Path) {
    if path.as_os_str().is_empty() {
        return;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            log::warn!("cannot remove {}: {error}", path.display());
        }
        _ => {}
    }
}
