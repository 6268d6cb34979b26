//! Names in a station's folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::exchange;
use crate::sys::disk::sync;
use crate::sys::{hash, memory_file};
use crate::{Error, Result};

/// A station's folder.
pub(super) struct Folder(PathBuf);

/// A student with its classifier: `live`, `previous` or the candidate.
pub(super) struct Place(PathBuf);

impl Place {
    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn exists(&self) -> bool {
        self.0.exists()
    }

    pub fn student(&self) -> PathBuf {
        self.0.join("student.safetensors")
    }

    pub fn classifier(&self) -> PathBuf {
        self.0.join("classifier.safetensors")
    }

    /// Which night made the student.
    pub fn about(&self) -> PathBuf {
        self.0.join("about.json")
    }

    /// What tells this student from every other.
    pub fn student_hash(&self) -> Result<String> {
        Ok(hash::of_file(&self.student())?.1)
    }
}

impl Folder {
    /// Makes the folder where there is none, and sees whether its file system can do what is asked of it later.
    pub fn make(path: &Path) -> Result<Self> {
        if path.as_os_str().is_empty() {
            return Err(Error::invalid("the folder's name is empty"));
        }
        memory_file::on_disk(path, "a station's nights lie in a folder")?;
        fs::create_dir_all(path).map_err(|error| Error::io("create", path, &error))?;
        let folder = Self(path.to_owned());
        if !folder.live().exists() {
            folder.try_exchange()?;
        }
        Ok(folder)
    }

    /// The folder of an earlier night.
    pub fn known(path: &Path) -> Self {
        Self(path.to_owned())
    }

    fn try_exchange(&self) -> Result<()> {
        let names = ["a", "b"].map(|name| self.0.join(format!(".exchange-{name}-{}", std::process::id())));
        let tried = names
            .iter()
            .try_for_each(|name| fs::create_dir_all(name).map_err(|error| Error::io("create", name, &error)))
            .and_then(|()| exchange(&names[0], &names[1]));
        for name in &names {
            let _ = fs::remove_dir(name);
        }
        tried
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn lock(&self) -> PathBuf {
        self.0.join("night.lock")
    }

    pub fn state(&self) -> PathBuf {
        self.0.join("night.json")
    }

    pub fn history(&self) -> PathBuf {
        self.0.join("history.jsonl")
    }

    pub fn report(&self) -> PathBuf {
        self.0.join("report.html")
    }

    pub fn live(&self) -> Place {
        Place(self.0.join("live"))
    }

    pub fn previous(&self) -> Place {
        Place(self.0.join("previous"))
    }

    /// Work under way.
    pub fn work(&self) -> PathBuf {
        self.0.join("night")
    }

    /// What is to become live.
    pub fn candidate(&self) -> Place {
        Place(self.work().join("candidate"))
    }

    pub fn frames(&self) -> PathBuf {
        self.work().join("frames.json")
    }

    pub fn checkpoint(&self) -> PathBuf {
        self.work().join("checkpoint")
    }

    pub fn finetune_checkpoint(&self) -> PathBuf {
        self.work().join("finetune.safetensors")
    }

    pub fn evaluation(&self) -> PathBuf {
        self.work().join("evaluation.json")
    }

    pub fn shown(&self) -> PathBuf {
        self.work().join("shown.safetensors")
    }

    /// Makes the folders of a night's work.
    pub fn make_work(&self) -> Result<()> {
        let candidate = self.candidate();
        fs::create_dir_all(candidate.path()).map_err(|error| Error::io("create", candidate.path(), &error))?;
        sync(&self.work()).and_then(|()| sync(&self.0))
    }

    /// Removes a night's work; what cannot be removed now is removed when the next night begins.
    pub fn remove_work(&self) {
        match fs::remove_dir_all(self.work()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                log::warn!("cannot remove {}: {error}", self.work().display());
            }
            _ => {}
        }
    }

    /// Files half written by a process that was killed. Who calls this holds the lock, so nobody is writing.
    pub fn remove_leftovers(&self) {
        for place in [self.0.clone(), self.work(), self.candidate().path().to_owned()] {
            for entry in fs::read_dir(place).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with('.') && (name.ends_with(".tmp") || name.ends_with(".partial")) {
                    let _ = fs::remove_file(entry.path());
                } else if name.starts_with(".exchange-") {
                    let _ = fs::remove_dir(entry.path());
                }
            }
        }
    }
}
