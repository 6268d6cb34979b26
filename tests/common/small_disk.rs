//! A disk that is soon full.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A file system in memory, unmounted at the end.
pub struct SmallDisk(pub PathBuf);

impl SmallDisk {
    /// None where nothing can be mounted, which takes root. `size` is as mount(8) reads it: "4m".
    pub fn mount(place: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&place).unwrap();
        let size = format!("size={size}");
        let arguments = ["-t", "tmpfs", "-o", &size, "tmpfs"];
        let mounted = Command::new("mount").args(arguments).arg(&place).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(place))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
