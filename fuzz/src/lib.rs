//! What the targets share: a file in memory, since weights are read from files, and the promises that every answer must keep.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::PathBuf;

use seed::ErrorKind;
use seed::model::weights::{contents, read};

/// A file without a folder; its path is that of the open descriptor.
pub struct MemoryFile {
    file: File,
    path: PathBuf,
}

impl MemoryFile {
    /// An empty file.
    pub fn new() -> Self {
        // SAFETY: the name is a text with NUL, and the descriptor that comes back is ours alone.
        let file = unsafe {
            let descriptor = libc::memfd_create(c"weights".as_ptr(), 0);
            assert!(descriptor >= 0, "memfd_create failed: {}", std::io::Error::last_os_error());
            File::from_raw_fd(descriptor)
        };
        let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
        Self { file, path }
    }

    /// Replaces the content, reads it as weights and checks what comes of it.
    pub fn read(&mut self, bytes: &[u8]) {
        self.file.set_len(0).expect("a file in memory can be cut");
        self.file.seek(SeekFrom::Start(0)).expect("a file in memory has a beginning");
        self.file.write_all(bytes).expect("a file in memory can be written");
        // Whatever the answer, it must come without a panic.
        let _ = contents(&self.path);
        match read(&self.path) {
            Ok(state) => {
                for tensor in state.tensors.values() {
                    assert_eq!(tensor.count().map(|count| count * tensor.dtype.size()), Some(tensor.bytes.len()));
                }
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Format, "{error}"),
        }
    }
}

impl Default for MemoryFile {
    fn default() -> Self {
        Self::new()
    }
}
