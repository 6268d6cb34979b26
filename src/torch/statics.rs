//! Static objects that come to be while libtorch is used, such as oneDNN's tables of kernels, stay until the process is gone; so do
//! those of an ONNX Runtime.
//!
//! A C++ library registers the destructor of such an object with `__cxa_atexit` when the object is made. Handlers run in the reverse
//! order, so these run before every handler that was registered earlier, while other threads may still compute with the objects: in one or
//! two of a hundred tries that corrupted the heap. None of them does anything that the end of the process does not do as well, so from
//! [`keep`] on the calls of `__cxa_atexit` come here and register nothing. That is done in the tables of addresses of libtorch's own
//! libraries; those of the program and of other libraries are as they were. What libtorch registered while it was loaded is destroyed as
//! ever, behind the library's own last handler ([`crate::shutdown`]).

/// Files whose calls are meant.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FILES: [&str; 4] = ["libtorch", "libc10", "libcaffe2", "libonnxruntime"];

/// Makes what libtorch registers from now on stay. Any number of times, since more of it may have been loaded, such as CUDA's libraries.
pub extern "C" fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the function has the type that is asked for, and keeps nothing.
    unsafe {
        libc::dl_iterate_phdr(Some(elf::each), std::ptr::null_mut());
    }
}

/// When this library is loaded, behind libtorch.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = keep;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod elf {
    use std::ffi::{CStr, c_int, c_void};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::FILES;

    /// Type of a dynamic section's entry, and what it holds (System V ABI, chapter 5).
    const END: i64 = 0;
    const BYTES_OF_JUMPS: i64 = 2;
    const STRINGS: i64 = 5;
    const SYMBOLS: i64 = 6;
    const JUMPS: i64 = 23;

    #[repr(C)]
    struct Dynamic {
        tag: i64,
        value: u64,
    }

    /// One place that holds the address of a function.
    #[repr(C)]
    struct Jump {
        place: u64,
        info: u64,
        addend: i64,
    }

    #[repr(C)]
    struct Symbol {
        name: u32,
        info: u8,
        other: u8,
        section: u16,
        value: u64,
        size: u64,
    }

    /// What is called in place of `__cxa_atexit`.
    unsafe extern "C" fn stays(_: *const c_void, _: *mut c_void, _: *mut c_void) -> c_int {
        0
    }

    /// # Safety
    /// Called by `dl_iterate_phdr`.
    pub(super) unsafe extern "C" fn each(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
        // SAFETY: the loader gives the description of a library that is loaded and stays while this runs.
        let (info, name) = unsafe { (&*info, (*info).dlpi_name) };
        if name.is_null() {
            return 0;
        }
        // SAFETY: the loader's own text.
        let name = unsafe { CStr::from_ptr(name) }.to_bytes();
        let file = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if FILES.iter().any(|wanted| file.starts_with(wanted.as_bytes())) {
            // SAFETY: as above.
            unsafe { redirect(info) };
        }
        0
    }

    /// # Safety
    /// `info` describes a library that is loaded.
    unsafe fn redirect(info: &libc::dl_phdr_info) {
        let base = info.dlpi_addr as usize;
        // SAFETY: the headers of a loaded library are in memory, and so is what they say of it.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let Some(dynamic) = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC) else { return };
        let mut found = [0usize; 4];
        let mut entry = (base + dynamic.p_vaddr as usize) as *const Dynamic;
        loop {
            // SAFETY: the section ends with an entry that says so.
            let Dynamic { tag, value } = unsafe { entry.read() };
            match tag {
                END => break,
                BYTES_OF_JUMPS => found[0] = value as usize,
                STRINGS => found[1] = value as usize,
                SYMBOLS => found[2] = value as usize,
                JUMPS => found[3] = value as usize,
                _ => {}
            }
            // SAFETY: as above.
            entry = unsafe { entry.add(1) };
        }
        let [bytes, strings, symbols, jumps] = found;
        if [bytes, strings, symbols, jumps].contains(&0) {
            return;
        }
        // The loader has added the library's address to these on most machines.
        let at = |address: usize| if address < base { base + address } else { address };
        let (strings, symbols) = (at(strings) as *const u8, at(symbols) as *const Symbol);
        for number in 0..bytes / size_of::<Jump>() {
            // SAFETY: the table has as many entries.
            let jump = unsafe { &*(at(jumps) as *const Jump).add(number) };
            // SAFETY: an entry names a symbol of this table, and that its name.
            let name = unsafe {
                let symbol = &*symbols.add((jump.info >> 32) as usize);
                CStr::from_ptr(strings.add(symbol.name as usize).cast())
            };
            if name == c"__cxa_atexit" {
                let place = base + jump.place as usize;
                let fixed = headers.iter().find(|header| {
                    let start = base + header.p_vaddr as usize;
                    header.p_type == libc::PT_GNU_RELRO && (start..start + header.p_memsz as usize).contains(&place)
                });
                // SAFETY: the place is the loader's, of a pointer, and the function has the type of what it replaces.
                unsafe { write(place, fixed.is_some()) };
            }
        }
    }

    /// # Safety
    /// `place` holds the address of a function of the type of [`stays`]; `fixed`: in memory that is read-only since the library was loaded.
    unsafe fn write(place: usize, fixed: bool) {
        // SAFETY: a table of addresses is aligned, and readers see the old address or the new one.
        let slot = unsafe { &*(place as *const AtomicUsize) };
        let own = stays as *const () as usize;
        if slot.load(Ordering::Relaxed) == own {
            return;
        }
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let Ok(page) = usize::try_from(page) else { return };
        let start = (place & !(page - 1)) as *mut c_void;
        // SAFETY: the page belongs to that memory, and is read-only again afterwards.
        let protect = |how| !fixed || unsafe { libc::mprotect(start, page, how) } == 0;
        if protect(libc::PROT_READ | libc::PROT_WRITE) {
            slot.store(own, Ordering::Relaxed);
            protect(libc::PROT_READ);
        }
    }
}
