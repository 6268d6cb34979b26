//! ONNX Runtime, opened at run time from a place that the user names: nothing of it is linked or brought along.
//!
//! Its C API is called by hand (`api.rs`): thirty functions of a table whose places never change. The crate `ort` would keep one library and
//! one environment for the process, panics where a library is missing or too old, and decides itself what is logged where.

mod api;
mod library;
mod places;

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::{NonNull, null, null_mut};

use self::api::Opaque;
pub use self::library::Library;
pub use self::places::{VARIABLE, is_named};
use crate::error::{Error, ErrorKind, Result};

/// ONNX's number of float32.
const FLOAT: c_int = 1;
/// Every optimisation of a graph (`ORT_ENABLE_ALL`).
const ALL: c_int = 99;

/// What computes: the word in settings, ONNX Runtime's name.
const PROVIDERS: [(&str, &str); 5] = [
    ("cpu", "CPUExecutionProvider"),
    ("cuda", "CUDAExecutionProvider"),
    ("tensorrt", "TensorrtExecutionProvider"),
    ("openvino", "OpenVINOExecutionProvider"),
    ("directml", "DmlExecutionProvider"),
];

/// A model that is ready to run. Several threads may run it at once.
pub struct Model {
    library: &'static Library,
    session: NonNull<Opaque>,
}

// SAFETY: ONNX Runtime allows a session to be run by several threads at once, and nothing else is done to it until it is released.
unsafe impl Send for Model {}
unsafe impl Sync for Model {}

/// What a model fills: name, sides, numbers.
pub struct Output<'a> {
    /// The output's name in the model.
    pub name: &'a str,
    /// Its sides, the batch first.
    pub sides: Vec<i64>,
    /// As many numbers as the sides say.
    pub numbers: &'a mut [f32],
}

impl Model {
    /// The model in `bytes`, which are not needed afterwards. `providers` are words of [`check_providers`], the most wanted first; what one
    /// does not compute the next does. `threads` compute at once.
    ///
    /// # Errors
    /// Those of [`check_providers`]; `Mismatch` or `Device` where the library refuses the model or a provider cannot be had, `OutOfMemory`.
    pub fn new(library: &'static Library, bytes: &[u8], providers: &str, threads: usize) -> Result<Model> {
        let api = &library.api;
        let options = Options::new(library)?;
        let threads = c_int::try_from(threads.max(1)).unwrap_or(c_int::MAX);
        // SAFETY: options of this library's, texts that live through the calls.
        unsafe {
            api.check((api.set_session_graph_optimization_level)(options.raw.as_ptr(), ALL))?;
            api.check((api.set_intra_op_num_threads)(options.raw.as_ptr(), threads))?;
            api.check((api.set_inter_op_num_threads)(options.raw.as_ptr(), 1))?;
            // An idle session leaves its cores to others.
            let (key, no) = (c"session.intra_op.allow_spinning".as_ptr(), c"0".as_ptr());
            api.check((api.add_session_config_entry)(options.raw.as_ptr(), key, no))?;
        }
        for provider in check_providers(library, providers)? {
            options.append(provider).map_err(|error| error.context(format!("engine.providers: {provider}")))?;
        }
        let mut session = null_mut();
        // SAFETY: the model's bytes are read through the call only.
        api.check(unsafe {
            let (model, length) = (bytes.as_ptr().cast(), bytes.len());
            let environment = library.environment.as_ptr();
            (api.create_session_from_array)(environment, model, length, options.raw.as_ptr(), &mut session)
        })?;
        let session = NonNull::new(session)
            .ok_or_else(|| Error::new(ErrorKind::Mismatch, "ONNX Runtime made no session of the model"))?;
        Ok(Model { library, session })
    }

    /// Fills `outputs` with what the model makes of `input`, which has these sides.
    ///
    /// # Errors
    /// `Mismatch` where names or sides are not the model's; `Device` or `OutOfMemory` where the library cannot compute.
    pub fn run(&self, name: &CStr, sides: &[i64], input: &[f32], outputs: &mut [Output<'_>]) -> Result<()> {
        let api = &self.library.api;
        // SAFETY: an input is only read.
        let images = unsafe { self.tensor(input.as_ptr().cast_mut(), input.len(), sides) }?;
        let mut names = Vec::with_capacity(outputs.len());
        let mut values = Vec::with_capacity(outputs.len());
        for output in outputs.iter_mut() {
            names.push(CString::new(output.name).map_err(|_| Error::invalid("an output's name holds a NUL"))?);
            // SAFETY: the numbers are this call's alone.
            values.push(unsafe { self.tensor(output.numbers.as_mut_ptr(), output.numbers.len(), &output.sides) }?);
        }
        let names: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let mut places: Vec<_> = values.iter().map(|value| value.raw.as_ptr()).collect();
        let (input_name, input_value) = (name.as_ptr(), images.raw.as_ptr().cast_const());
        // SAFETY: names, values and their numbers live through the call; each list holds as many as are said. Outputs that are there are
        // filled, not replaced.
        api.check(unsafe {
            (api.run)(
                self.session.as_ptr(),
                null(),
                &input_name,
                &input_value,
                1,
                names.as_ptr(),
                names.len(),
                places.as_mut_ptr(),
            )
        })
    }

    /// A tensor over numbers that are the caller's.
    ///
    /// # Safety
    /// The numbers live as long as the tensor, and nobody else uses them while something may be written to it.
    unsafe fn tensor(&self, numbers: *mut f32, count: usize, sides: &[i64]) -> Result<Tensor> {
        let api = &self.library.api;
        let wanted = sides.iter().try_fold(1usize, |all, &side| all.checked_mul(usize::try_from(side).ok()?));
        if wanted != Some(count) {
            return Err(Error::new(ErrorKind::Internal, format!("{count} numbers were given for a tensor {sides:?}")));
        }
        let mut made = null_mut();
        let memory = self.library.memory.as_ptr();
        let (data, bytes) = (numbers.cast::<c_void>(), count * size_of::<f32>());
        // SAFETY: sides and place live through the call, the numbers longer.
        api.check(unsafe {
            (api.create_tensor_with_data)(memory, data, bytes, sides.as_ptr(), sides.len(), FLOAT, &mut made)
        })?;
        let raw = NonNull::new(made).ok_or_else(|| Error::new(ErrorKind::Mismatch, "ONNX Runtime made no tensor"))?;
        Ok(Tensor { library: self.library, raw })
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: made by this library, released once, when nobody runs it any more.
        unsafe { (self.library.api.release_session)(self.session.as_ptr()) }
    }
}

struct Tensor {
    library: &'static Library,
    raw: NonNull<Opaque>,
}

impl Drop for Tensor {
    fn drop(&mut self) {
        // SAFETY: made by this library, released once. The numbers are the caller's.
        unsafe { (self.library.api.release_value)(self.raw.as_ptr()) }
    }
}

/// The names of the execution providers that `words` ("cuda,cpu") say, in their order; "CPUExecutionProvider" for none. A name of ONNX
/// Runtime's own, as it lists them, may stand in place of a word.
///
/// # Errors
/// `Config` for a word that is none; `Unsupported` where the library was built without one. Both list what the library has.
pub fn check_providers(library: &Library, words: &str) -> Result<Vec<&'static str>> {
    let mut found = Vec::new();
    let has = || {
        format!("ONNX Runtime {} of {} has {}", library.version, library.path.display(), library.providers.join(", "))
    };
    for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let known = PROVIDERS.iter().find(|(short, name)| *short == word || *name == word).ok_or_else(|| {
            let words = PROVIDERS.map(|(short, _)| short).join(", ");
            Error::new(ErrorKind::Config, format!("engine.providers: {word:?} is none of {words}; {}", has()))
        })?;
        if !library.providers.iter().any(|provider| provider == known.1) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("engine.providers: there is no {:?}: {}", known.0, has()),
            ));
        }
        found.push(known.1);
    }
    if found.is_empty() {
        found.push(PROVIDERS[0].1);
    }
    Ok(found)
}

/// How a session is to be made.
struct Options {
    library: &'static Library,
    raw: NonNull<Opaque>,
}

impl Options {
    fn new(library: &'static Library) -> Result<Options> {
        let mut made = null_mut();
        // SAFETY: a valid place.
        library.api.check(unsafe { (library.api.create_session_options)(&mut made) })?;
        let raw = NonNull::new(made).ok_or_else(|| Error::new(ErrorKind::Mismatch, "ONNX Runtime made no options"))?;
        Ok(Options { library, raw })
    }

    /// Asks for a provider, after those that were asked for before. The CPU's is there always.
    fn append(&self, provider: &str) -> Result<()> {
        let (api, own) = (&self.library.api, self.raw.as_ptr());
        let mut made = null_mut();
        // SAFETY: options of this library's; a provider's own are released once, here. Texts live through the calls.
        unsafe {
            match provider {
                "CPUExecutionProvider" => Ok(()),
                "CUDAExecutionProvider" => {
                    api.check((api.create_cuda_options)(&mut made))?;
                    let appended = api.check((api.append_cuda)(own, made));
                    (api.release_cuda_options)(made);
                    appended
                }
                "TensorrtExecutionProvider" => {
                    api.check((api.create_tensorrt_options)(&mut made))?;
                    let appended = api.check((api.append_tensorrt)(own, made));
                    (api.release_tensorrt_options)(made);
                    appended
                }
                "DmlExecutionProvider" => api.check((api.append_provider)(own, c"DML".as_ptr(), null(), null(), 0)),
                _ => api.check((api.append_provider)(own, c"OpenVINO".as_ptr(), null(), null(), 0)),
            }
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: made by this library, released once.
        unsafe { (self.library.api.release_session_options)(self.raw.as_ptr()) }
    }
}
