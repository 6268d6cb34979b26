//! Frames of one megapixel into a store: how many a second, and how long a push holds the line up.
//!
//! The frames are mosaics of the real images of `--data`. First they are pushed as fast as the store takes them, then at `--rate`
//! frames a second without waiting, as a camera does, and each push is timed.

mod program;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use program::{number, quantile, text};
use seed::data::{Dataset, Encoding, FrameView, PixelFormat};
use seed::store::{Entry, Keep, Store, StoreOptions};

const SIDE: usize = 1024;

/// Different frames in memory.
const FRAMES: usize = 12;

fn main() -> seed::Result<()> {
    let channels = if text("--colour", "grey") == "rgb" { 3 } else { 1 };
    let encoding = match text("--encoding", "png").as_str() {
        "jpeg" => Encoding::Jpeg { quality: 90 },
        _ => Encoding::Png,
    };
    let keep = match text("--keep", "newest").as_str() {
        "reservoir" => Keep::Reservoir,
        "novel" => Keep::Novel,
        _ => Keep::Newest,
    };
    let dim = number("--dim", if keep == Keep::Novel { 128 } else { 0 })?;
    let (count, rate) = (number("--frames", 300usize)?, number("--rate", 30f64)?);
    let max_frames = number("--max_frames", 200u64)?;
    let folder = PathBuf::from(text("--folder", &std::env::temp_dir().to_string_lossy()));
    let path = folder.join(format!("bench-{}.seed", std::process::id()));
    let frames = mosaics(Path::new(&text("--data", "")), channels)?;
    let format = if channels == 1 { PixelFormat::Mono8 } else { PixelFormat::Rgb8 };
    let stride = SIDE * channels;
    let options = StoreOptions { encoding, keep, max_frames, ..StoreOptions::default() };
    let store = Store::open(&path, &options)?;
    let push = |number: usize, wait: Duration| -> seed::Result<bool> {
        let view = FrameView::new(&frames[number % FRAMES], SIDE as u32, SIDE as u32, stride, format)?;
        let vector = (0..dim).map(|d| ((number * 31 + d * 17) % 97) as f32 - 48.0).collect();
        let entry = Entry { embedding: (dim > 0).then_some(vector), ..Entry::default() };
        Ok(store.push(&view, entry, wait)?.is_some())
    };
    // Warm: buffers, pages, the first growth of the file.
    for number in 0..20 {
        push(number, Duration::MAX)?;
    }
    store.flush()?;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    for number in 0..count {
        push(number, Duration::MAX)?;
    }
    store.flush()?;
    let cpu_ms = (cpu_seconds() - cpu) * 1e3 / count as f64;
    let seconds = start.elapsed().as_secs_f64();
    let (mut delays, mut copies, mut buffer) = (Vec::new(), Vec::new(), vec![0u8; frames[0].len()]);
    let before = store.stats()?;
    let start = Instant::now();
    for number in 0..count {
        let due = Duration::from_secs_f64(number as f64 / rate);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        let began = Instant::now();
        push(number, Duration::ZERO)?;
        delays.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        buffer.copy_from_slice(black_box(&frames[(number + 1) % FRAMES]));
        black_box(&buffer);
        copies.push(began.elapsed().as_secs_f64() * 1e3);
    }
    store.flush()?;
    let after = store.stats()?;
    println!(
        "{{\"frames_per_s\": {:.2}, \"cpu_ms_per_frame\": {:.2}, \"push_p50_ms\": {:.3}, \"push_p99_ms\": {:.3}, \"push_max_ms\": {:.3}, \"copy_p50_ms\": {:.3}, \
         \"copy_p99_ms\": {:.3}, \"dropped\": {}, \"kib_per_frame\": {:.1}, \"file_over_content\": {:.3}}}",
        count as f64 / seconds,
        cpu_ms,
        quantile(&mut delays, 0.5),
        quantile(&mut delays, 0.99),
        quantile(&mut delays, 1.0),
        quantile(&mut copies, 0.5),
        quantile(&mut copies, 0.99),
        after.dropped - before.dropped,
        after.bytes as f64 / after.frames.max(1) as f64 / 1024.0,
        std::fs::metadata(&path).map_or(0.0, |found| found.len() as f64) / after.bytes.max(1) as f64,
    );
    drop(store);
    for end in ["", "-wal", "-shm", ".lock"] {
        let mut name = path.clone().into_os_string();
        name.push(end);
        // The log goes when the store is closed.
        let _ = std::fs::remove_file(name);
    }
    Ok(())
}

/// What this process has computed so far: unlike the clock, it does not depend on what else the machine does.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the place it is given and nothing else.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Frames of SIDE² pixels, each of them tiled with real images from another place on; in colour, red, green and blue are the same
/// picture at slightly different levels.
fn mosaics(folder: &Path, channels: usize) -> seed::Result<Vec<Vec<u8>>> {
    let dataset = Dataset::from_folder(folder)?;
    (0..FRAMES)
        .map(|number| {
            let mut pixels = vec![0u8; SIDE * SIDE * channels];
            let (mut top, mut image) = (0, number * 37);
            while top < SIDE {
                let (mut left, mut lowest) = (0, SIDE);
                while left < SIDE {
                    let frame = dataset.load(image % dataset.len())?;
                    image += 1;
                    let (width, height) =
                        ((frame.width() as usize).min(SIDE - left), (frame.height() as usize).min(SIDE - top));
                    lowest = lowest.min(frame.height() as usize);
                    let step = usize::from(frame.channels());
                    for y in 0..height {
                        for x in 0..width {
                            let level = frame.pixels()[(y * frame.width() as usize + x) * step];
                            for channel in 0..channels {
                                pixels[((top + y) * SIDE + left + x) * channels + channel] =
                                    level - level / 16 * channel as u8;
                            }
                        }
                    }
                    left += width;
                }
                top += lowest;
            }
            Ok(pixels)
        })
        .collect()
}
