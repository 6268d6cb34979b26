//! A warm session allocates no buffer on the Rust side, whether one thread calls or several: what is left are the small
//! vectors of the crates below (the resize filter's coefficients, tensors' sizes), as many in every call.
//!
//! A program of its own, since its allocator counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use seed::data::{FrameView, Input, PixelFormat};
use seed::infer::{Session, SessionOptions};
use seed::model::{Architecture, Head, Network};

/// Frames, views and rows here are all larger than this, the vectors of the crates below smaller.
const BUFFER: usize = 3000;

/// Small vectors that one call may make: the resize filter's for each row and column of the view, and a few.
const SMALL: u64 = 2 * (64 + 64) + 16;

struct Counting;

thread_local! {
    static BUFFERS: Cell<u64> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has no counter any more.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        if layout.size() >= BUFFER {
            let _ = BUFFERS.try_with(|count| count.set(count.get() + 1));
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_warm_session_allocates_no_buffer() {
    let network = Network::new(Architecture::MobileNetV3Small, Head::None, 3, tch::Device::Cpu).unwrap();
    let view = Input { width: 64, height: 64, ..Input::default() };
    let session = Session::new(&network, &view, SessionOptions::default()).unwrap();
    let pixels: Vec<u8> = (0..90 * 70 * 3).map(|i| (i * 7 % 253) as u8).collect();
    let formats = [(PixelFormat::Mono8, 90), (PixelFormat::Rgb8, 270), (PixelFormat::Bgr8, 270)];
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut out = vec![0f32; session.dim()];
                let mut lap = || {
                    for (format, stride) in formats {
                        let frame = FrameView::new(&pixels, 90, 70, stride, format).unwrap();
                        session.embed_into(&[frame], &mut out).unwrap();
                    }
                };
                // The first calls make the scratch memory of this thread; batches get theirs when they are first used.
                (0..8).for_each(|_| lap());
                let (buffers, all) = (BUFFERS.get(), ALLOCATIONS.get());
                (0..20).for_each(|_| lap());
                // A batch that was never used until now may be opened by this thread: its two buffers come then.
                assert!(BUFFERS.get() - buffers <= 4, "{} buffers in 60 calls", BUFFERS.get() - buffers);
                assert!(ALLOCATIONS.get() - all <= 60 * SMALL, "{} in 60 calls", ALLOCATIONS.get() - all);
            });
        }
    });
    let mut out = vec![0f32; session.dim()];
    let frame = FrameView::new(&pixels, 90, 70, 90, PixelFormat::Mono8).unwrap();
    session.embed_into(&[frame], &mut out).unwrap();
    let (buffers, all) = (BUFFERS.get(), ALLOCATIONS.get());
    for _ in 0..20 {
        session.embed_into(&[frame], &mut out).unwrap();
    }
    assert_eq!(BUFFERS.get(), buffers, "a lone caller allocates no buffer at all");
    assert!(ALLOCATIONS.get() - all <= 20 * SMALL, "{} allocations in 20 calls", ALLOCATIONS.get() - all);
}
