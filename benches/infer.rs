//! A session on frames in memory: latency of one frame, frames a second of a batch. The counterpart is
//! `infer_engines.py`.
//!
//! "Whole" is frame (bytes) → resized, cropped, normalised → network → features, in one call of [`Session::embed`]. "Prepare"
//! is the part before the network, measured apart on the same frames; whole less prepare is the network.

mod program;

use std::time::Instant;

use program::{number, quantile, text};
use seed::data::render::render_centred;
use seed::data::{FrameView, PixelFormat, Scratch, ViewConfig};
use seed::infer::{Output, Session, SessionOptions};
use seed::model::{Architecture, Head, Network};

/// Calls before the clock counts.
const WARM_UP: usize = 5;

fn main() -> seed::Result<()> {
    let device = program::device()?;
    let (side, batch) = (number("--size", 224u32)?, number("--batch", 32usize)?);
    let view = ViewConfig { width: side, height: side, ..ViewConfig::default() };
    let network = Network::new(Architecture::parse(&text("--network", "resnet18"))?, Head::None, 1, device)?;
    let precision = match text("--precision", "fp32").as_str() {
        "auto" => None,
        name => Some(seed::device::precision(name, device)?),
    };
    let session = Session::new(&network, &view, SessionOptions { device, precision, output: Output::Features })?;

    let bytes = side as usize * side as usize * 3;
    let pixels: Vec<u8> = (0..bytes * batch).map(|i| (i * 7 % 251) as u8).collect();
    let frame = |place: usize| {
        FrameView::new(&pixels[place * bytes..][..bytes], side, side, side as usize * 3, PixelFormat::Rgb8)
    };
    let frames = (0..batch).map(frame).collect::<seed::Result<Vec<_>>>()?;
    let mut scratch = Scratch::new();
    let mut out = vec![0f32; view.view_len()];
    let mut prepare = || render_centred(&frames[0].to_frame()?, &view, &mut out, &mut scratch);

    let repeats = number("--repeats", 100)?;
    let mut one = times(repeats, || session.embed(&frames[..1]).map(drop))?;
    let mut many = times(repeats.div_ceil(10), || session.embed(&frames).map(drop))?;
    let mut before = times(repeats, &mut prepare)?;
    let prepare_ms = quantile(&mut before, 0.5);
    let whole_ms = quantile(&mut many, 0.5);
    println!(
        "{{\"p50_ms\": {:.3}, \"p99_ms\": {:.3}, \"images_per_s\": {:.2}, \"prepare_ms\": {prepare_ms:.3}, \
         \"network_p50_ms\": {:.3}, \"network_images_per_s\": {:.2}}}",
        quantile(&mut one, 0.5),
        quantile(&mut one, 0.99),
        batch as f64 / whole_ms * 1e3,
        quantile(&mut one, 0.5) - prepare_ms,
        batch as f64 / (whole_ms - prepare_ms * batch as f64) * 1e3,
    );
    Ok(())
}

/// Times of `repeats` calls, in ms.
fn times(repeats: usize, mut call: impl FnMut() -> seed::Result<()>) -> seed::Result<Vec<f64>> {
    let mut times = Vec::new();
    for n in 0..WARM_UP + repeats.max(1) {
        let start = Instant::now();
        call()?;
        if n >= WARM_UP {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}
