//! Any bytes as a torch checkpoint: the zip and its directory, the legacy format, the pickle machine, layouts and storages.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use libseed_fuzz::MemoryFile;

thread_local!(static FILE: RefCell<MemoryFile> = RefCell::default());

fuzz_target!(|bytes: &[u8]| FILE.with_borrow_mut(|file| file.read(bytes)));
