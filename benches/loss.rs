//! Time and memory of the loss with its gradient, for one size in one process. The counterpart is `loss_naive.py`.
//!
//! One line of JSON: the median time in ms, and how much memory beyond the inputs was resident at the peak, in MiB. The
//! queue belongs to the inputs; its own size is printed beside it.

mod program;

use std::time::Instant;

use program::{number, quantile};
use seed::distill::{Temperatures, seed_loss};
use tch::{Device, Kind, Tensor};

fn main() -> seed::Result<()> {
    let device = program::device()?;
    let (batch, capacity, dim) = (number("--batch", 32)?, number("--queue", 65_536)?, number("--dim", 128)?);
    // libtorch's own first-time memory is not the loss's.
    once(&Inputs::new(batch, 64, dim, device)?)?;
    let inputs = Inputs::new(batch, capacity, dim, device)?;

    program::forget_peak()?;
    let before = program::resident_mib()?;
    once(&inputs)?;
    let mut times = Vec::new();
    for _ in 0..number("--repeats", 10usize)?.max(1) {
        times.push(once(&inputs)?);
    }
    let peak = program::peak_mib()? - before;
    let queue = (capacity * dim * 4) as f64 / f64::from(1 << 20);
    println!("{{\"ms\": {:.4}, \"peak_mib\": {peak:.2}, \"queue_mib\": {queue:.2}}}", quantile(&mut times, 0.5));
    Ok(())
}

/// Unit rows: student and teacher (B,C), queue (K,C).
struct Inputs {
    student: Tensor,
    teacher: Tensor,
    queue: Tensor,
}

impl Inputs {
    fn new(batch: i64, capacity: i64, dim: i64, device: Device) -> seed::Result<Self> {
        let unit = |rows: i64| -> seed::Result<Tensor> {
            let mut random = Tensor::f_randn([rows, dim], (Kind::Float, device))?;
            let lengths = random.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), true)?;
            Ok(random.f_div_(&lengths)?) // in place: the queue is in memory once
        };
        let student = unit(batch)?.f_set_requires_grad(true)?;
        Ok(Self { student, teacher: unit(batch)?, queue: unit(capacity)? })
    }
}

/// Loss and gradient once, in ms.
fn once(inputs: &Inputs) -> seed::Result<f64> {
    let start = Instant::now();
    let mut gradient = inputs.student.f_grad()?;
    if gradient.defined() {
        let _zeroed = gradient.f_zero_()?;
    }
    let loss = seed_loss(&inputs.student, &inputs.teacher, &inputs.queue, Temperatures::default())?;
    loss.backward(&inputs.student)?;
    inputs.student.f_grad()?.f_sum(None)?.f_double_value(&[])?; // waits for the device
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
