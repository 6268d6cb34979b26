//! Faults of the device: memory that is out at any place, kernels that fail. Each is an error of the right kind, leaves no memory behind,
//! and harms no other object. SEED_SWEEP in the environment tries every place ("all", "each") or so many.

use std::sync::{Arc, Mutex};

use seed::config::Config;
use seed::data::{FrameView, PixelFormat};
use seed::infer::{Output, Session};
use seed::model::Teacher;
use seed::train::{CancelToken, Distillation};
use seed::{Error, ErrorKind, Result};
use tch::Device;

use crate::runs::*;
use crate::sessions::{options, view};
use crate::stand_in::{Event, Gpu};

/// Places that a sweep tries of `all`, at even distances.
fn places(all: u64, sample: u64) -> Vec<u64> {
    let wanted = match std::env::var("SEED_SWEEP") {
        Ok(text) => text.parse().unwrap_or(all),
        Err(_) => sample,
    };
    let count = wanted.clamp(1, all.max(1));
    (0..count).map(|number| 1 + number * all / count).collect()
}

/// Another object on the device, which must answer as before.
struct Witness {
    session: Session,
    rows: Vec<f32>,
}

impl Witness {
    fn new() -> Witness {
        let session = Session::new(&network(STUDENT, 9, CPU), &view(), options(Device::Cuda(0), Output::Features));
        let session = session.unwrap();
        let rows = Self::embed(&session).unwrap();
        Witness { session, rows }
    }

    fn embed(session: &Session) -> Result<Vec<f32>> {
        let pixels = pixels(4, 36);
        session.embed(&[FrameView::new(&pixels, 36, 36, 36, PixelFormat::Mono8).unwrap()])
    }

    fn check(&self) {
        assert!(Self::embed(&self.session).unwrap() == self.rows, "the witness answers something else");
    }
}

fn run_on_gpu() -> Distillation {
    let config = Config { head_dropout: 0.3, learning_rate: 0.05, ..config(GPU, 1_000_000) };
    let mut run = run_of(&config, network(STUDENT, 1, GPU), teacher(GPU));
    losses(&mut run, Some(2)).unwrap();
    run
}

fn step(run: &mut Distillation) -> Result<()> {
    run.run(Some(1), &CancelToken::new(), |_| seed::train::Control::Continue).map(drop)
}

/// Runs `work` with the faults that `fail` sets at each of `places`, and looks at what it left. At least one of them must be met.
fn sweep(
    gpu: &Gpu,
    what: &str,
    places: &[u64],
    fail: impl Fn(u64),
    expected: impl Fn(&Error) -> bool,
    mut work: impl FnMut() -> Result<()>,
) {
    let witness = Witness::new();
    let before = gpu.taken(0);
    let mut met = 0;
    for &place in places {
        fail(place);
        let result = work();
        gpu.reset();
        if let Err(error) = &result {
            assert!(expected(error), "{what} at place {place}: {:?} {error}", error.kind());
            met += 1;
        }
        drop(result);
        witness.check();
        assert_eq!(gpu.taken(0), before, "{what} at place {place} leaves memory behind");
    }
    assert!(met >= places.len().div_ceil(2), "{what}: {met} of {} faults were met", places.len());
    work().unwrap_or_else(|error| panic!("{what} after the faults: {error}"));
    println!("{what}: {met} faults");
}

fn allocations(gpu: &Gpu, work: impl FnOnce() -> Result<()>) -> u64 {
    gpu.reset();
    work().unwrap();
    gpu.count(Event::Allocation) + gpu.count(Event::PinnedAllocation)
}

fn out_of_memory(gpu: &Gpu, what: &str, sample: u64, mut work: impl FnMut() -> Result<()>) {
    let all = allocations(gpu, &mut work);
    assert!(all > 0, "{what} takes no memory");
    let is_right = |error: &Error| error.kind() == ErrorKind::OutOfMemory;
    sweep(gpu, what, &places(all, sample), |place| gpu.fail_allocation(place), is_right, work);
}

#[test]
fn a_step_without_memory_is_an_error_and_the_run_goes_on() {
    let gpu = Gpu::take();
    let mut run = run_on_gpu();
    out_of_memory(&gpu, "a step", 24, || step(&mut run));
    assert!(losses(&mut run, Some(2)).unwrap().iter().all(|loss| loss.is_finite()));
}

#[test]
fn what_is_made_without_memory_is_not_there() {
    let gpu = Gpu::take();
    let on_cpu = network(STUDENT, 3, CPU);
    out_of_memory(&gpu, "a session", 12, || {
        Session::new(&on_cpu, &view(), options(Device::Cuda(0), Output::Embedding)).map(drop)
    });
    out_of_memory(&gpu, "a teacher", 8, || {
        Teacher::new(network(STUDENT, 3, CPU))?.into_device(Device::Cuda(0)).map(drop)
    });
    out_of_memory(&gpu, "a run", 12, || {
        let student = Arc::new(Mutex::new(network(STUDENT, 1, CPU)));
        seed::train::shared::with_lock(&student, |student| student.to_device(Device::Cuda(0)))?;
        let teacher = Teacher::new(network("resnet10", 2, CPU))?.into_device(Device::Cuda(0))?;
        let run = Distillation::new(config(GPU, 4), student, Arc::new(teacher), None, Some(dataset()));
        step(&mut run?)
    });
}

#[test]
fn calls_without_memory_are_errors_and_work_again() {
    let gpu = Gpu::take();
    let session = Session::new(&network(STUDENT, 3, CPU), &view(), options(Device::Cuda(0), Output::Embedding));
    let session = session.unwrap();
    Witness::embed(&session).unwrap();
    out_of_memory(&gpu, "embedding", 12, || Witness::embed(&session).map(drop));
    let run = run_on_gpu();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    run.save(&path).unwrap();
    out_of_memory(&gpu, "a checkpoint", 6, || run.save(&path));
    let mut resumed = run_on_gpu();
    out_of_memory(&gpu, "resuming", 8, || resumed.resume(&path));
}

#[test]
fn a_kernel_that_fails_is_an_error_and_nothing_more() {
    let gpu = Gpu::take();
    let mut run = run_on_gpu();
    gpu.reset();
    step(&mut run).unwrap();
    let all = gpu.count(Event::Kernel);
    let is_right = |error: &Error| error.kind() == ErrorKind::Torch && error.message().contains("launch failure");
    sweep(&gpu, "a step", &places(all, 16), |place| gpu.fail_kernel(place, false), is_right, || step(&mut run));
    let session = Session::new(&network(STUDENT, 3, CPU), &view(), options(Device::Cuda(0), Output::Embedding));
    let session = session.unwrap();
    gpu.reset();
    Witness::embed(&session).unwrap();
    let all = gpu.count(Event::Kernel);
    let embed = || Witness::embed(&session).map(drop);
    sweep(&gpu, "embedding", &places(all, 8), |place| gpu.fail_kernel(place, false), is_right, embed);
}

#[test]
fn a_device_that_stays_broken_is_told_by_every_call_and_objects_can_be_freed() {
    let gpu = Gpu::take();
    let mut run = run_on_gpu();
    let witness = Witness::new();
    gpu.fail_kernel(20, true);
    for _ in 0..2 {
        let error = step(&mut run).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Torch, "{error}");
        assert_eq!(Witness::embed(&witness.session).unwrap_err().kind(), ErrorKind::Torch);
    }
    drop((run, witness));
    gpu.reset();
    assert_eq!(gpu.taken(0), 0);
}
