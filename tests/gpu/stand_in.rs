//! The stand-in for libtorch_cuda.so: built once for each state of its sources, loaded as a user's libtorch_cuda is, asked for its counts.

use std::ffi::{CStr, CString, c_int, c_void};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use sha2::{Digest, Sha256};

use crate::programs::{compiler, expect_success, libtorch_folder, root};

/// What happens on a device; in the order of `stand_in/fakecuda.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Event {
    Kernel,
    KernelThatWaits,
    Item,
    ToHostBlocking,
    ToHostPinned,
    ToHostPageable,
    ToDeviceBlockingPinned,
    ToDeviceBlockingPageable,
    ToDevicePinned,
    ToDevicePageable,
    OnDevice,
    BetweenDevices,
    StreamWait,
    DeviceWait,
    RecordWait,
    Allocation,
    PinnedAllocation,
    IndexMoved,
    Tf32Product,
}

/// What makes the host wait for the device, or a copy wait for the host: pageable memory is copied while the caller stands still.
pub const WAITS: [Event; 11] = [
    Event::KernelThatWaits,
    Event::Item,
    Event::ToHostBlocking,
    Event::ToHostPageable,
    Event::ToDeviceBlockingPinned,
    Event::ToDeviceBlockingPageable,
    Event::ToDevicePageable,
    Event::StreamWait,
    Event::DeviceWait,
    Event::RecordWait,
    Event::IndexMoved,
];

struct Functions {
    count: extern "C" fn(c_int) -> u64,
    reset: extern "C" fn(),
    fail_allocation: extern "C" fn(i64),
    fail_kernel: extern "C" fn(i64, c_int),
    allow_tf32: extern "C" fn(c_int),
}

/// Of the stand-in that the process has loaded.
static FUNCTIONS: OnceLock<Functions> = OnceLock::new();

/// The device, to one test alone: counts are the process's.
pub struct Gpu {
    functions: &'static Functions,
    _alone: MutexGuard<'static, ()>,
}

impl Gpu {
    /// Loads the stand-in, once a process, and waits until no other test has it.
    pub fn take() -> Gpu {
        static ALONE: Mutex<()> = Mutex::new(());
        // A test that failed leaves nothing behind that the reset does not clear.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let functions = FUNCTIONS.get_or_init(|| {
            // SAFETY: who asks libtorch anything in this process comes here first and waits; the other tests only start processes, for
            // which std reads the environment under the lock that it writes it with.
            unsafe { std::env::set_var("SEED_LIBTORCH", folder()) };
            seed::device::initialise().unwrap();
            functions()
        });
        let gpu = Gpu { functions, _alone: alone };
        gpu.reset();
        gpu
    }

    /// How often `event` has happened since the last reset.
    pub fn count(&self, event: Event) -> u64 {
        Gpu::counted(event)
    }

    /// As [`count`](Gpu::count), for a callback of who has taken the device.
    pub fn counted(event: Event) -> u64 {
        FUNCTIONS.get().map_or(0, |functions| (functions.count)(event as c_int))
    }

    /// What waited since the last reset, with how often.
    pub fn waits(&self) -> Vec<(Event, u64)> {
        WAITS.into_iter().map(|event| (event, self.count(event))).filter(|(_, count)| *count > 0).collect()
    }

    /// Counts from 0 again; no fault is to come.
    pub fn reset(&self) {
        (self.functions.reset)();
    }

    /// The `n`th allocation from now is out of memory.
    pub fn fail_allocation(&self, n: u64) {
        (self.functions.fail_allocation)(n as i64);
    }

    /// The `n`th kernel from now fails, and all after it where the fault is `sticky`.
    pub fn fail_kernel(&self, n: u64, sticky: bool) {
        (self.functions.fail_kernel)(n as i64, c_int::from(sticky));
    }

    /// Whether the process allows TensorFloat-32 in matrix products.
    pub fn allow_tf32(&self, allow: bool) {
        (self.functions.allow_tf32)(c_int::from(allow));
    }

    /// Bytes that tensors take on device `index`.
    pub fn taken(&self, index: usize) -> u64 {
        seed::machine::memory(&format!("cuda:{index}")).unwrap().device_taken
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        self.reset();
        self.allow_tf32(false);
    }
}

fn functions() -> Functions {
    let path = CString::new(folder().join("libtorch_cuda.so").as_os_str().as_bytes()).unwrap();
    // SAFETY: the library is loaded already and is never unloaded; each function has the signature of stand_in/fakecuda.h.
    unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD);
        assert!(!library.is_null(), "the library has not loaded {path:?}");
        let symbol = |name: &CStr| {
            let place = libc::dlsym(library, name.as_ptr());
            assert!(!place.is_null(), "{name:?}");
            place
        };
        Functions {
            count: std::mem::transmute::<*mut c_void, extern "C" fn(c_int) -> u64>(symbol(c"fakecuda_count")),
            reset: std::mem::transmute::<*mut c_void, extern "C" fn()>(symbol(c"fakecuda_reset")),
            fail_allocation: std::mem::transmute::<*mut c_void, extern "C" fn(i64)>(symbol(
                c"fakecuda_fail_allocation",
            )),
            fail_kernel: std::mem::transmute::<*mut c_void, extern "C" fn(i64, c_int)>(symbol(c"fakecuda_fail_kernel")),
            allow_tf32: std::mem::transmute::<*mut c_void, extern "C" fn(c_int)>(symbol(c"fakecuda_allow_tf32")),
        }
    }
}

/// The folder of the stand-in, built when its sources, its compiler or libtorch are others than before.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let sources = root().join("tests/gpu/stand_in");
        let libtorch = libtorch_folder();
        let mut hash = Sha256::new();
        for name in ["fakecuda.h", "counts.h", "memory.h", "device.h", "kernels.cpp", "driver.c"] {
            hash.update(std::fs::read(sources.join(name)).unwrap());
        }
        hash.update(include_str!("stand_in.rs"));
        hash.update(compiler("c++").arg("--version").output().unwrap().stdout);
        hash.update(std::fs::read(libtorch.parent().unwrap().join("build-version")).unwrap_or_default());
        let mut name = "stand-in-".to_owned();
        hash.finalize().iter().take(8).for_each(|byte| write!(name, "{byte:02x}").unwrap());
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let place = target.join(name);
        if !place.exists() {
            let draft = tempfile::tempdir_in(target).unwrap();
            build(&sources, &libtorch, draft.path());
            let draft = draft.keep();
            if let Err(error) = std::fs::rename(&draft, &place) {
                // Another process may have built it meanwhile.
                assert!(place.exists(), "{}: {error}", place.display());
                std::fs::remove_dir_all(draft).unwrap();
            }
        }
        place
    })
}

fn build(sources: &Path, libtorch: &Path, folder: &Path) {
    let include = libtorch.parent().unwrap().join("include");
    // What the real libtorch_cuda has kernels for, by the names of its headers.
    let mut list = String::new();
    for entry in std::fs::read_dir(include.join("ATen/ops")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(operation) = name.strip_suffix("_cuda_dispatch.h") {
            writeln!(list, "\"aten::{operation}\",").unwrap();
        }
    }
    std::fs::write(folder.join("cuda_ops.inc"), list).unwrap();
    let done = |what: &str, command: &mut Command| drop(expect_success(what, &command.output().unwrap()));
    let driver = folder.join("libcuda.so.1");
    let mut command = compiler("c");
    command.args(["-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-Wl,-soname,libcuda.so.1"]);
    done("compiling driver.c", command.arg(sources.join("driver.c")).arg("-o").arg(&driver));
    let mut command = compiler("c++");
    command.args([
        "-std=c++17",
        "-O1",
        "-g1",
        "-fPIC",
        "-shared",
        "-fvisibility=hidden",
        "-Wall",
        "-Wextra",
        "-Werror",
    ]);
    command.args(["-Wno-unused-parameter", "-D_GLIBCXX_USE_CXX11_ABI=1", "-isystem"]).arg(&include);
    command.arg("-isystem").arg(include.join("torch/csrc/api/include")).arg("-I").arg(folder);
    command.arg(sources.join("kernels.cpp")).arg("-o").arg(folder.join("libtorch_cuda.so"));
    command.args(["-Wl,-soname,libtorch_cuda.so", "-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN"]).arg(&driver);
    done("compiling kernels.cpp", command.arg("-L").arg(libtorch).args(["-ltorch_cpu", "-lc10"]));
}
