//! Hostile weights files give an error of kind `Format`: no code runs, no panic, no absurd memory or time.
//!
//! `tests/hostile/make_weights.py` writes the files, each named for its attack. A second test damages sound files at random.
//!
//! A program of its own: its allocator counts what the whole process takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use seed::ErrorKind;
use seed::model::weights::read;

/// Counts the bytes in use, so that the highest can be compared with a bound.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; only counters are kept beside.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise about `layout` is the one that System asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `alloc` above with the same layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The counters are the process's, so the tests here take turns.
static TURN: Mutex<()> = Mutex::new(());

/// The peak of additional bytes while `work` runs.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = IN_USE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    (result, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// The name that every pickle with code would create in the working directory.
const SENTINEL: &str = "seed-hostile-sentinel";

/// No file here needs more than the fixed part of the budget for tensors, twice while a strided one is copied.
const MEMORY: usize = 40 << 20;

#[test]
fn every_hostile_file_is_a_format_error() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for path in files("hostile/weights") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let start = Instant::now();
        let (result, peak) = peak_of(|| read(&path));
        let error = result.expect_err(&name);
        assert_eq!(error.kind(), ErrorKind::Format, "{error}");
        assert!(error.message().contains(&name), "the message names the file: {error}");
        assert!(peak < MEMORY, "{name} took {peak} bytes");
        assert!(start.elapsed() < Duration::from_secs(10), "{name} took {:?}", start.elapsed());
        println!("{error}");
    }
    assert!(!Path::new(SENTINEL).exists(), "a pickle was executed");
}

#[test]
fn refused_globals_are_named() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let cases = [
        ("pickle_os_system.zip.pt", "os.system"),
        ("pickle_os_system.legacy.pt", "os.system"),
        ("pickle_posix_system.pt", "posix.system"),
        ("pickle_subprocess.pt", "subprocess.check_output"),
        ("pickle_eval.pt", "builtins.eval"),
        ("pickle_python2_exec.pt", "builtins.execfile"),
        ("pickle_getattr.pt", "builtins.getattr"),
        ("pickle_load_from_bytes.pt", "torch.storage._load_from_bytes"),
        ("pickle_stack_global_dotted.pt", "builtins.eval.__call__"),
        ("pickle_code_beside_weights.pt", "os.system"),
    ];
    for (name, global) in cases {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/weights").join(name);
        let error = read(&path).expect_err(name);
        assert!(error.message().contains(global), "{error}");
    }
}

/// Sound files with bytes flipped, words replaced by extreme numbers, pieces cut out or the end cut off.
#[test]
fn damaged_files_never_panic_or_take_absurd_memory() {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut random = ChaCha8Rng::seed_from_u64(0x5eed);
    let folder = tempfile::tempdir().unwrap();
    let (mut refused, mut accepted) = (0, 0);
    for path in files("golden/weights") {
        let sound = std::fs::read(&path).unwrap();
        let damaged = folder.path().join(path.file_name().unwrap());
        for _ in 0..200 {
            let mut bytes = sound.clone();
            for _ in 0..1 + random.next_u32() % 4 {
                damage(&mut bytes, &mut random);
            }
            std::fs::File::create(&damaged).unwrap().write_all(&bytes).unwrap();
            let start = Instant::now();
            let (result, peak) = peak_of(|| read(&damaged));
            assert!(peak < MEMORY, "{} took {peak} bytes", damaged.display());
            assert!(start.elapsed() < Duration::from_secs(10), "{} took {:?}", damaged.display(), start.elapsed());
            match result {
                Ok(state) => {
                    accepted += 1;
                    // Whatever is accepted is at least consistent.
                    for tensor in state.tensors.values() {
                        assert_eq!(tensor.count().map(|count| count * tensor.dtype.size()), Some(tensor.bytes.len()));
                    }
                }
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.kind(), ErrorKind::Format, "{error}");
                }
            }
        }
    }
    println!("{refused} damaged files were refused, {accepted} were still sound");
    assert!(refused > 1000 && !Path::new(SENTINEL).exists());
}

fn damage(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        return;
    }
    let at = random.next_u32() as usize % bytes.len();
    match random.next_u32() % 6 {
        0 => bytes[at] ^= 1 << (random.next_u32() % 8),
        1 => bytes[at] = random.next_u32() as u8,
        2 => bytes.truncate(at),
        3 => {
            let end = bytes.len().min(at + 1 + random.next_u32() as usize % 16);
            bytes.drain(at..end);
        }
        4 => {
            let word = [u64::MAX, 1 << 60, i64::MAX as u64, u64::from(u32::MAX), 0][random.next_u32() as usize % 5];
            let width = [4, 8][random.next_u32() as usize % 2].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&word.to_le_bytes()[..width]);
        }
        _ => {
            let piece = bytes[at..bytes.len().min(at + 32)].to_vec();
            let to = random.next_u32() as usize % bytes.len();
            bytes.splice(to..to, piece);
        }
    }
}
