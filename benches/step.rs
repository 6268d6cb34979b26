//! Images a second of the distillation step alone, on synthetic images already in memory: the counterpart of `step` in
//! the PyTorch reference. `cargo xtask bench step` runs both in turn and prints the ratios.
//!
//! One line of JSON on standard output: {"images_per_s": median}.

mod program;

use std::time::Instant;

use program::{number, pair, quantile, text};
use seed::config::Precision;
use seed::distill::Temperatures;
use seed::distill::queue::Queue;
use seed::distill::step::distill;
use seed::distill::strategy::Seed;
use seed::distill::{StepBatch, StepSettings};
use seed::optim::Sgd;
use tch::{Kind, Tensor};

/// Steps before the clock counts: libtorch chooses its kernels in the first ones.
const WARM_UP: usize = 3;

fn main() -> seed::Result<()> {
    let device = program::device()?;
    let precision = seed::device::precision(Precision::parse("--precision", &text("--precision", "auto"))?, device);
    let (batch, size, dim): (i64, i64, i64) = (number("--batch", 32)?, number("--size", 224)?, number("--dim", 128)?);
    let (student, teacher) = pair(dim, device)?;
    let mut queue = Queue::new(number("--queue", 65536)?, dim, 0, device)?;
    let mut optimiser = Sgd::new(student.parameters(), 0.9, 1e-4)?;
    let images = Tensor::f_randn([batch, size, size, 3], (Kind::Float, device))?.f_permute([0, 3, 1, 2])?;

    let mut seconds = Vec::new();
    for round in 0..WARM_UP + number("--steps", 10usize)?.max(1) {
        let start = Instant::now();
        let settings = StepSettings {
            precision,
            learning_rate: 0.03 * batch as f64 / 256.0,
            noise: round as u64,
            running_norm: false,
            pieces: 1,
            clip_norm: 0.0,
            epoch: None,
        };
        let target = teacher.embed_fused(&images, precision)?;
        let batch =
            StepBatch { views: &images, target: Some(&target), images: None, second: None, small: &[], patches: None };
        let mut seed = Seed { temperatures: Temperatures::default() };
        let step = distill(&batch, None, &student, &mut queue, &mut optimiser, &mut seed, &settings, None)?;
        step.loss.f_double_value(&[])?; // waits for the device
        if round >= WARM_UP {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    let images_per_s = batch as f64 / quantile(&mut seconds, 0.5);
    println!("{{\"images_per_s\": {images_per_s:.3}, \"precision\": \"{precision:?}\"}}");
    Ok(())
}
