//! TorchScript modules from source text and tensors: the safe side of `compile.cpp`.

use std::ffi::{CString, c_char, c_int};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use tch::Tensor;
use torch_sys::C_tensor;

use super::check;
use crate::{Error, Result};

unsafe extern "C" {
    fn seed_compile_prints_plainly() -> c_int;
    fn seed_compile_script(
        source: *const c_char,
        names: *const *const c_char,
        tensors: *const *const C_tensor,
        count: usize,
        number_names: *const *const c_char,
        numbers: *const f64,
        whole: *const u8,
        number_count: usize,
        extra_name: *const c_char,
        extra: *const c_char,
        file: c_int,
        failure: *mut c_int,
    ) -> *mut c_char;
}

/// A number that is an attribute of a module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Below 2⁵³.
    Int(i64),
    Float(f64),
}

/// Whether the numbers of a module's text are written as they are. libtorch writes them through C++ streams, which take the locale
/// that the application may have set for the process: 1280 becomes "1.280" and 0.5 "0,5" where it is a German one.
pub fn prints_plainly() -> bool {
    // SAFETY: nothing goes in.
    unsafe { seed_compile_prints_plainly() != 0 }
}

/// Compiles `source`, the methods of a module over `buffers` and `numbers`, and writes the module to `file`, which is to become
/// `path`, with the text `extra` as its extra file `extra_name`.
///
/// # Errors
/// `InvalidArgument` for a NUL in a text, `Torch` from the compiler, `Io` from writing.
pub fn save(
    source: &str,
    buffers: &[(String, Tensor)],
    numbers: &[(String, Number)],
    extra_name: &str,
    extra: &str,
    (file, path): (&File, &Path),
) -> Result<()> {
    let text = |bytes: &[u8]| {
        CString::new(bytes).map_err(|_| Error::invalid("a text of the TorchScript module holds a NUL".to_owned()))
    };
    let names = buffers.iter().map(|(name, _)| text(name.as_bytes())).collect::<Result<Vec<_>>>()?;
    let name_pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let tensors: Vec<_> = buffers.iter().map(|(_, tensor)| tensor.as_ptr()).collect();
    let (source, extra_name, extra) = (text(source.as_bytes())?, text(extra_name.as_bytes())?, text(extra.as_bytes())?);
    let number_names = numbers.iter().map(|(name, _)| text(name.as_bytes())).collect::<Result<Vec<_>>>()?;
    let number_pointers: Vec<_> = number_names.iter().map(|name| name.as_ptr()).collect();
    let whole: Vec<u8> = numbers.iter().map(|(_, number)| u8::from(matches!(number, Number::Int(_)))).collect();
    let numbers: Vec<f64> = numbers
        .iter()
        .map(|&(_, number)| match number {
            Number::Int(number) => number as f64,
            Number::Float(number) => number,
        })
        .collect();
    let mut failure = 0;
    // SAFETY: all texts end in NUL and live through the call, as do the tensors and the file; the lists have `len` elements.
    check(unsafe {
        seed_compile_script(
            source.as_ptr(),
            name_pointers.as_ptr(),
            tensors.as_ptr().cast(),
            tensors.len(),
            number_pointers.as_ptr(),
            numbers.as_ptr(),
            whole.as_ptr(),
            numbers.len(),
            extra_name.as_ptr(),
            extra.as_ptr(),
            file.as_raw_fd(),
            &raw mut failure,
        )
    })?;
    match failure {
        0 => Ok(()),
        number => Err(Error::io("write", path, &std::io::Error::from_raw_os_error(number))),
    }
}
