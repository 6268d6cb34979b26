//! Any bytes behind a sound beginning of safetensors: `u64 length · "{" …`.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use libseed_fuzz::MemoryFile;

thread_local!(static FILE: RefCell<MemoryFile> = RefCell::default());

fuzz_target!(|bytes: &[u8]| {
    // The ninth byte tells the format; with it every input gets into the reader.
    if bytes.get(8) == Some(&b'{') {
        FILE.with_borrow_mut(|file| file.read(bytes));
    }
});
