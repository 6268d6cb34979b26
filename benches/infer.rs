//! A session on frames in memory: latency of one frame, frames a second of a batch. The counterpart is
//! `infer_engines.py`.
//!
//! "Whole" is frame (bytes) → resized, cropped, normalised → network → features, in one call of [`Session::embed`]. "Network"
//! is libtorch's program alone, of the same precision and piece, on a tensor that is ready; of a session by another engine it is
//! the session on such a tensor.

mod program;

use std::time::Instant;

use program::{number, quantile, text};
use seed::config::{EngineConfig, EngineName, Precision};
use seed::data::{FrameView, Input, PixelFormat, Resize};
use seed::infer::{EngineChoice, Output, Session, SessionOptions};
use seed::model::{Architecture, Fused, Head, Network};
use seed::torch::channels_last;
use tch::{Device, Kind, Tensor};

/// Calls before the clock counts.
const WARM_UP: usize = 5;

fn main() -> seed::Result<()> {
    let device = program::device()?;
    let (side, batch) = (number("--size", 224u32)?, number("--batch", 32usize)?);
    // As torchvision on the other side.
    let view = Input { width: side, height: side, resize: Resize::Centre, ..Input::default() };
    let network = Network::new(Architecture::parse(&text("--network", "resnet18"))?, Head::None, 1, device)?;
    let precision = match Precision::parse("--precision", &text("--precision", "fp32"))? {
        Precision::Auto => None,
        chosen => Some(seed::device::precision(chosen, device)),
    };
    // ONNX Runtime is the one that SEED_ONNXRUNTIME names.
    let engine = EngineName::parse("--engine", &text("--engine", "libtorch"))?;
    let engine = EngineChoice::of(&EngineConfig { name: engine, ..EngineConfig::default() });
    let session = Session::new(
        &network,
        &view,
        SessionOptions { device, precision, output: Output::Features, engine, ..SessionOptions::default() },
    )?;

    let bytes = side as usize * side as usize * 3;
    let pixels: Vec<u8> = (0..bytes * batch).map(|i| (i * 7 % 251) as u8).collect();
    let frame = |place: usize| {
        FrameView::new(&pixels[place * bytes..][..bytes], side, side, side as usize * 3, PixelFormat::Rgb8)
    };
    let frames = (0..batch).map(frame).collect::<seed::Result<Vec<_>>>()?;
    let program = |piece| Fused::new(&network, session.precision(), piece, side.into(), side.into());
    let (single, several) = (program(1)?, program(session.piece())?);
    let images = Tensor::f_rand([batch as i64, 3, side.into(), side.into()], (Kind::Float, device))?;
    let images = channels_last(&images)?;
    let first = channels_last(&images.f_narrow(0, 0, 1)?)?;
    let features = |fused: &Fused, images: &Tensor| -> seed::Result<()> {
        let _rows = fused.features(images)?.f_to_device(Device::Cpu)?;
        Ok(())
    };

    let (repeats, few) = (number("--repeats", 100usize)?, number("--repeats", 100usize)?.div_ceil(10));
    let mut one = times(repeats, || session.embed(&frames[..1]).map(drop))?;
    let mut many = times(few, || session.embed(&frames).map(drop))?;
    let by_libtorch = session.engine().starts_with("libtorch");
    let network = |fused: &Fused, images: &Tensor| match by_libtorch {
        true => features(fused, images),
        false => session.embed_tensor(images).map(drop),
    };
    let mut network_one = times(repeats, || network(&single, &first))?;
    let mut network_many = times(few, || network(&several, &images))?;
    println!(
        "{{\"p50_ms\": {:.3}, \"p99_ms\": {:.3}, \"images_per_s\": {:.2}, \"network_p50_ms\": {:.3}, \
         \"network_images_per_s\": {:.2}, \"plan\": \"{}\", \"engine\": {:?}}}",
        quantile(&mut one, 0.5),
        quantile(&mut one, 0.99),
        batch as f64 / quantile(&mut many, 0.5) * 1e3,
        quantile(&mut network_one, 0.5),
        batch as f64 / quantile(&mut network_many, 0.5) * 1e3,
        session.describe(),
        session.engine(),
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
