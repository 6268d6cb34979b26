//! A whole run from image files on disk, the counterpart of `run` in the PyTorch reference: images a second of the
//! training loop, peak of memory, and kNN of the student's features, which says that both sides did the same work.
//!
//! The clock covers [`Distillation::run`]: reading, decoding, views, steps. The process is new, so no frame is decoded
//! yet. `--no_knn` leaves the kNN out; then the folder need not be sorted into classes. `--method` names another method than SEED; one
//! that needs no teacher takes the optimiser and the views of its preset.

mod program;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use program::{flag, number, pair, text};
use seed::config::{Config, MethodName, Precision};
use seed::data::{Dataset, Input};
use seed::distill::Targets;
use seed::eval::{Embeddings, KnnConfig, evaluate_splits};
use seed::infer::{Output, Session, SessionOptions};
use seed::train::shared::{SharedNetwork, lock};
use seed::train::{CancelToken, Control, Distillation};
use tch::{Device, Kind};

fn main() -> seed::Result<()> {
    let device = program::device()?;
    let size = number("--size", 224)?;
    let dataset = Arc::new(Dataset::from_folder(&PathBuf::from(text("--data", "")))?);
    let mut config = Config::default();
    let method = MethodName::parse("--method", &text("--method", "seed"))?;
    // Only methods without a teacher have a preset of their own.
    let alone = config.preset(method.word()).is_ok();
    config.method = method;
    config.small.size = size * 3 / 7;
    if flag("--no_probe") {
        config.probe.images = 0;
    }
    config.view.input = Input { width: size, height: size, ..Input::default() };
    let config = Config {
        device: text("--device", "cpu"),
        precision: Precision::parse("--precision", &text("--precision", "auto"))?,
        batch_size: number("--batch", 32)?,
        epochs: number("--epochs", 1)?,
        steps: number("--steps", 0)?,
        queue_capacity: number("--queue", 65_536)?,
        workers: number("--workers", 0)?,
        cache_mib: number("--cache_mib", config.cache_mib)?,
        progress_every: 1 << 30,
        ..config
    };
    let (batch, input) = (config.batch_size, config.view.input);
    let precision = seed::device::precision(config.precision, device);
    let (student, teacher) = pair(128, device)?;
    let student = Arc::new(Mutex::new(student));
    let targets = if alone { Targets::Own { dim: 0 } } else { Arc::new(teacher).into() };
    // Of a teacher that is not needed nothing counts.
    program::forget_peak()?;
    let mut run = Distillation::new(config, Arc::clone(&student), targets, None, Some(Arc::clone(&dataset)))?;

    let (mut loss, mut waiting) = (f64::NAN, f64::NAN);
    let start = Instant::now();
    run.run(None, &CancelToken::new(), |progress| {
        (loss, waiting) = (progress.loss, progress.waiting_share);
        Control::Continue
    })?;
    let images_per_s = (run.step() * batch) as f64 / start.elapsed().as_secs_f64();
    let peak = program::peak_mib()?;
    let knn = if flag("--no_knn") { String::new() } else { knn(&dataset, &student, &input, device, precision)? };
    println!(
        "{{\"images_per_s\": {images_per_s:.3}, \"peak_mib\": {peak:.1}, \"loss\": {loss:.4}, \
         \"waiting_share\": {waiting:.3}{knn}}}"
    );
    Ok(())
}

/// Weighted 10-NN on backbone features, two thirds of the images as gallery, labels by folder: the end of the JSON line.
fn knn(
    dataset: &Arc<Dataset>,
    student: &SharedNetwork,
    input: &Input,
    device: Device,
    precision: Kind,
) -> seed::Result<String> {
    let options =
        SessionOptions { device, precision: Some(precision), output: Output::Features, ..SessionOptions::default() };
    let session = Session::new(&*lock(student)?, input, options)?;
    let rows = session.embed_dataset(dataset, 64, 0, &mut |_, _| true)?;
    let mut classes = Vec::new();
    let mut labels = Vec::new();
    for i in 0..dataset.len() {
        let name = dataset.name(i)?;
        let class = name.split('/').next().unwrap_or("").to_owned();
        let place = classes.iter().position(|known| *known == class).unwrap_or_else(|| {
            classes.push(class);
            classes.len() - 1
        });
        labels.push(place as i64);
    }
    let scores = evaluate_splits(&Embeddings::new(&rows, session.dim())?, &labels, &KnnConfig::default())?;
    Ok(format!(", \"knn10\": {:.4}, \"balanced\": {:.4}", scores.accuracy.mean, scores.balanced_recall.mean))
}
